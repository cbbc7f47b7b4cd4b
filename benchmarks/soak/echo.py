"""`python -m benchmarks.soak.echo FILE`: what is beside a server in a soak, on the same machine.

It sends back each byte that comes. For a `d` it writes a page to FILE and has it on the disk first.
"""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path

PAGE = b"\0" * 4096


def main() -> None:
    """Say where, and echo to one connection until it ends."""
    with socket.create_server(("127.0.0.1", 0)) as listener, Path(sys.argv[1]).open("wb") as file:
        print(f"echo: listening on 127.0.0.1:{listener.getsockname()[1]}", flush=True)
        sock, _ = listener.accept()
        with sock:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            while byte := sock.recv(1):
                if byte == b"d":
                    os.pwrite(file.fileno(), PAGE, 0)
                    os.fdatasync(file.fileno())
                sock.sendall(byte)


if __name__ == "__main__":
    main()
