"""A server in memory, and IRC clients that talk to it line by line."""

from __future__ import annotations

from tcpchat_core import ChatState, ServerProtocol, events
from tests.core.harness import HELLO, NO_FLOOD_LIMIT, MemoryServer

ADA, BOB, IAN, UMA, PIA = 1, 2, 3, 4, 5


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


def room_of_all(protocol: ServerProtocol | None = None) -> IrcServer:
    """ada and bob write JSON; by IRC ian takes tags, and uma only times; pia reads with nc."""
    memory = IrcServer(protocol)
    for conn, called in ((ADA, "ada"), (BOB, "bob")):
        memory.connect(conn)
        memory.send(conn, HELLO)
        memory.ask(conn, events.Nick(called), events.Join("hall"))
    memory.register(IAN, "ian", "message-tags")
    memory.register(UMA, "uma", "server-time")
    for conn in (IAN, UMA):
        memory.say(conn, "JOIN #hall")
    memory.connect(PIA)
    memory.send(PIA, b"/nick pia\n/join hall\n")
    read_all(memory)
    return memory


def read_all(memory: IrcServer) -> None:
    """What the people of that room were told is looked at no more."""
    for conn in (ADA, BOB, IAN, UMA, PIA):
        memory.read(conn)


def numerics(lines: list[str]) -> list[str]:
    """The numerics among some lines, and the commands of the others."""
    bare = [line.partition(" ")[2] if line.startswith("@") else line for line in lines]
    return [line.split(" ")[1 if line.startswith(":") else 0] for line in bare]
