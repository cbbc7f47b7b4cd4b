"""What everybody should have been told, and checks of what they were told.

The log of a server is replayed here with one plain list per connection: no batches, no sockets.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import zip_longest

from tcpchat_core import (
    Broadcast,
    ChatState,
    Enter,
    Entry,
    Leave,
    Notice,
    Send,
    Stream,
    events,
    notices,
)
from tcpchat_core.dialects.plain import PLAIN
from tests.net.peers import Peer, RecordingClient


class Streams:
    """For each connection of a log, all that it should be told, in order."""

    def __init__(self, log: Iterable[Entry]) -> None:
        state = ChatState()
        self.conns: dict[str, int] = {}  # by every nick that was asked for
        self.told: dict[int, list[Notice]] = defaultdict(list)
        for entry in log:
            if isinstance(entry.event, events.Nick):
                self.conns[entry.event.nick] = entry.conn
            for action in state.handle(entry):
                match action:
                    case Send(conn, notice):
                        self.told[conn].append(notice)
                    case Stream(conn, told):
                        self.told[conn] += told
                    case Enter(audience, conn):
                        audience.add(conn)
                    case Leave(audience, conn):
                        audience.discard(conn)
                    case Broadcast(_, notice, author, receipt):
                        for conn in action.conns():
                            own = receipt if conn == author else notice
                            if own is not None:
                                self.told[conn].append(own)

    def plain(self, nick: str) -> bytes:
        """The bytes for somebody with nc."""
        return b"".join(map(PLAIN.encode, self.told[self.conns[nick]]))


def check_plain(streams: Streams, nick: str, peer: Peer, last: bytes = b"") -> None:
    """A person with nc was shown exactly what it should be, and `last` at the end."""
    expected = streams.plain(nick) + last
    assert peer.received == expected, _difference(peer.lines, expected.decode().splitlines())


def check_program(streams: Streams, nick: str, heard: Sequence[Notice]) -> None:
    """A program was told exactly what it should be. (The server adds to the welcome.)"""
    expected = streams.told[streams.conns[nick]]
    assert isinstance(heard[0], notices.Welcome)
    assert heard[1:] == expected[1:], _difference(heard[1:], expected[1:])


def _difference(got: Sequence[object], expected: Sequence[object]) -> str:
    """Where two sequences begin to differ."""
    for place, pair in enumerate(zip_longest(got, expected)):
        if pair[0] != pair[1]:
            return f"at {place}: got {pair[0]!r}, not {pair[1]!r}"
    return "nowhere"


def check_one_order(clients: Iterable[RecordingClient]) -> None:
    """Each saw every message of a room while in it, its own by their receipts, in one order."""
    texts: dict[tuple[str, int], tuple[str, str]] = {}
    for client in clients:
        last: dict[str, int] = {}
        for notice in client.heard:
            match notice:
                case notices.Entered(room, seq=seq):
                    last[room] = seq
                case notices.Said(room, nick, text, seq):
                    assert seq == last[room] + 1, (client.nick, notice)
                    last[room] = seq
                    assert texts.setdefault((room, seq), (nick, text)) == (nick, text)
                case notices.Sent(room=str(room), seq=int(seq)):
                    assert seq == last[room] + 1, (client.nick, notice)
                    last[room] = seq
                case _:
                    pass
