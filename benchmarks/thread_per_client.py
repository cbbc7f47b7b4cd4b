"""The chat server that most people would write first: a thread per client, `sendall` to each.

    python thread_per_client.py      stdout: `thread-per-client: listening on 127.0.0.1:PORT`

It stands in the comparison for what simple code costs. It knows `/nick NAME` and `/join ROOM`.
"""

from __future__ import annotations

import contextlib
import socket
import threading

rooms: dict[str, list[socket.socket]] = {}
lock = threading.Lock()


def serve(client: socket.socket) -> None:
    """Talk to one client until it goes."""
    nick = room = ""
    with client, contextlib.suppress(OSError):
        for line in client.makefile(encoding="utf-8", newline="\n"):
            text = line.rstrip("\n")
            if text.startswith("/nick "):
                nick = text.removeprefix("/nick ")
            elif text.startswith("/join "):
                room = text.removeprefix("/join ")
                with lock:
                    rooms.setdefault(room, []).append(client)
                client.sendall(f"* You joined {room}\n".encode())
            else:
                told = f"[{room}] {nick}: {text}\n".encode()
                with lock:
                    for member in rooms[room]:
                        if member is not client:
                            member.sendall(told)
    with lock:
        if client in rooms.get(room, []):
            rooms[room].remove(client)


def main() -> None:
    """Accept clients for ever."""
    threading.stack_size(256 * 1024)  # thousands of threads, and none of them nests deeply
    with socket.create_server(("127.0.0.1", 0), backlog=4096) as listener:
        print(f"thread-per-client: listening on 127.0.0.1:{listener.getsockname()[1]}", flush=True)
        while True:
            client, _ = listener.accept()
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=serve, args=(client,), daemon=True).start()


if __name__ == "__main__":
    main()
