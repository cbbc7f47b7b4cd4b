"""An adapter of the core that is as plain as can be: one list of bytes for each connection.

It does what a node does in the same turns, without groups, outboxes, or anything to read twice.
"""

from __future__ import annotations

from collections.abc import Iterable

from tcpchat_core import (
    Broadcast,
    Close,
    Effect,
    Enter,
    Entry,
    Leave,
    Pause,
    Propose,
    Resume,
    Send,
    ServerProtocol,
    Stream,
)
from tests.net.hosting import EPOCH_MS


class NaiveHost:
    """Its log delivers what was proposed in a turn at the turn's end."""

    def __init__(self, protocol: ServerProtocol) -> None:
        self.protocol = protocol
        self.now = 0
        self.output: dict[int, bytearray] = {}
        self.unread: set[int] = set()
        self.ended: set[int] = set()
        self._proposed: list[Propose] = []
        self._seq = 0

    def connect(self, conn: int, *, token: str) -> None:
        self.output[conn] = bytearray()
        self._carry_out(self.protocol.connection_made(conn, now=self.now, token=token))

    def read(self, conn: int, data: bytes) -> None:
        if data:
            self._carry_out(self.protocol.receive_data(conn, data, now=self.now))
        else:
            self.unread.add(conn)
            self._carry_out(self.protocol.receive_eof(conn, now=self.now))

    def lost(self, conn: int) -> None:
        self.ended.add(conn)
        self._carry_out(self.protocol.connection_lost(conn, now=self.now))

    def end_turn(self) -> None:
        while self._proposed:
            proposed, self._proposed = self._proposed, []
            entries: list[Entry] = []
            for propose in proposed:
                entries += propose.entries(self._seq + 1 + len(entries), EPOCH_MS + self.now)
            self._seq += len(entries)
            self._carry_out(self.protocol.commit(entries, now=self.now))

    def wait(self, milliseconds: int) -> None:
        until = self.now + milliseconds
        while (at := self.protocol.get_timer()) is not None and at <= until:
            self.now = max(self.now, at)
            self._carry_out(self.protocol.handle_timer(self.now))
            self.end_turn()
        self.now = until

    def _carry_out(self, effects: Iterable[Effect]) -> None:
        for effect in effects:
            match effect:
                case Propose():
                    self._proposed.append(effect)
                case Send(conn, data):
                    self._write(conn, data)
                case Stream(conn, pieces):
                    for piece in pieces:
                        self._write(conn, piece)
                case Broadcast(_, data, author, receipt):
                    for conn in effect.conns():
                        self._write(conn, (receipt or b"") if conn == author else data)
                case Enter(audience, conn):
                    audience.add(conn)
                case Leave(audience, conn):
                    audience.discard(conn)
                case Pause(conn):
                    self.unread.add(conn)
                case Resume(conn):
                    self.unread.discard(conn)
                case Close(conn):
                    self.ended.add(conn)

    def _write(self, conn: int, data: bytes) -> None:
        if conn not in self.ended:
            self.output[conn] += data
