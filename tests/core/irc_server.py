"""A server in memory, and IRC clients that talk to it line by line."""

from __future__ import annotations

from tcpchat_core import ChatState, ServerProtocol
from tests.core.harness import NO_FLOOD_LIMIT, MemoryServer


class IrcServer(MemoryServer):
    """A server that a test speaks IRC to."""

    def __init__(self, protocol: ServerProtocol | None = None, *, delayed: bool = False) -> None:
        made = protocol or ServerProtocol(ChatState(), limits=NO_FLOOD_LIMIT)
        super().__init__(made, delayed=delayed)

    def say(self, conn: int, *lines: str) -> list[str]:
        """A client says some lines at once. Returns what it is told."""
        self.send(conn, "".join(f"{line}\r\n" for line in lines).encode())
        return self.lines(conn)

    def register(self, conn: int, nick: str, *capabilities: str) -> list[str]:
        """A client connects, and comes in as `nick`. Returns what it is told."""
        self.connect(conn)
        asked = (f"CAP REQ :{' '.join(capabilities)}", "CAP END") if capabilities else ()
        return self.say(conn, *asked, f"NICK {nick}", f"USER {nick} 0 * :{nick}")


def numerics(lines: list[str]) -> list[str]:
    """The numerics among some lines, and the commands of the others."""
    bare = [line.partition(" ")[2] if line.startswith("@") else line for line in lines]
    return [line.split(" ")[1 if line.startswith(":") else 0] for line in bare]
