"""The server under test, on the simulated network: `ServerProtocol` and `Fanout`, no sockets.

It does what the real adapter does (tcpchat_net/server.py), with a clock and a log of its own. The
log may be far away: then a proposal is committed some time later, in the order of the proposals.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable

from tcpchat_core import (
    Broadcast,
    ChatState,
    Close,
    Effect,
    Entry,
    Event,
    Propose,
    Send,
    ServerProtocol,
)
from tcpchat_core.events import Say
from tcpchat_net.fanout import Fanout
from tests.sim.clock import Clock
from tests.sim.config import Config
from tests.sim.network import End

# When the log began, in milliseconds since the epoch.
EPOCH = 1_700_000_000_000

LINGER = 2_000
SWEEP = 500


class Connection:
    """One accepted connection; the fan-out's transport."""

    def __init__(self, server: Server, conn: int, end: End) -> None:
        self.server = server
        self.conn = conn
        self.end = end
        self.wants_writable = False
        self.is_read = True
        self.lingers = False
        end.incoming.readable = self.readable
        end.outgoing.writable = self._writable

    def write(self, data: bytes | memoryview, /) -> int:
        """Write what the kernel takes."""
        return self.end.send(bytes(data))

    def want_writable(self, wanted: bool) -> None:
        """Whether to be told that more can be written."""
        self.wants_writable = wanted

    def failed(self) -> None:
        """A write failed."""
        self.server.lost(self)

    def overrun(self) -> None:
        """The peer reads too slowly."""
        words = self.server.protocol.closing(self.conn, "you read too slowly")
        self.server.fanout.last_words(self.conn, words)
        self.server.lost(self, "read too slowly")

    def finished(self) -> None:
        """All is written: close this side, and read on until the peer closes its own."""
        try:
            self.end.shutdown()
        except ConnectionResetError:
            self.server.forget(self)
            return
        self.lingers = self.is_read = True
        self.server.clock.after(LINGER, lambda: self.server.forget(self))
        self.server.clock.after(0, self.readable)

    def readable(self) -> None:
        """Something has arrived, or it is this connection's turn again: read once."""
        if not self.is_read or self.conn not in self.server.connections:
            return
        try:
            data = self.end.recv(self.server.config.read_bytes)
        except BlockingIOError:
            return
        except ConnectionResetError:
            self.server.lost(self)
            return
        if not self.lingers:
            self.server.received(self, data)
        elif not data:
            self.server.forget(self)
        if data and self.is_read and self.end.has_more:
            self.server.clock.after(0, self.readable)

    def _writable(self) -> None:
        if self.wants_writable:
            self.server.fanout.writable(self.conn, self.server.clock.now)


class Server:
    """One node. `committed` is called with each entry, when it has been applied."""

    def __init__(
        self,
        clock: Clock,
        draw: random.Random,
        config: Config,
        committed: Callable[[Entry], None],
    ) -> None:
        self.clock = clock
        self.config = config
        self.state = ChatState(epoch="simulated", limits=config.state_limits)
        self.protocol = ServerProtocol(self.state, limits=config.limits, password=config.password)
        self.fanout = Fanout(
            lambda: clock.after(0, lambda: self.fanout.flush(clock.now)),
            max_backlog_bytes=config.max_backlog_bytes,
            stall_timeout_ms=config.stall_timeout,
        )
        self.connections: dict[int, Connection] = {}
        self.proposed: deque[tuple[int, Event]] = deque()
        self.entries = 0
        self._draw = draw
        self._committed = committed
        self._paused: dict[int, Connection] = {}
        self._commit_at = 0
        self._timer_at: int | None = None
        clock.after(SWEEP, self._sweep)

    def accept(self, conn: int, end: End, peer: str) -> None:
        """A peer connected."""
        if end.is_reset:
            return
        connection = self.connections[conn] = Connection(self, conn, end)
        self.fanout.add(conn, connection)
        token = f"token-{conn}-{self._draw.getrandbits(64):016x}"
        self._run(self.protocol.connection_made(conn, now=self.clock.now, token=token, peer=peer))
        connection.readable()

    def received(self, connection: Connection, data: bytes) -> None:
        """A peer sent bytes, or (b"") will send no more."""
        conn, now = connection.conn, self.clock.now
        if data:
            self._run(self.protocol.receive_data(conn, data, now=now))
        else:
            connection.is_read = False
            self._run(self.protocol.receive_eof(conn, now=now))
        if self.protocol.is_paused(conn):
            connection.is_read = False
            self._paused[conn] = connection

    def lost(self, connection: Connection, reason: str = "connection lost") -> None:
        """A connection is gone."""
        self.forget(connection)
        self._run(self.protocol.connection_lost(connection.conn, now=self.clock.now, reason=reason))

    def forget(self, connection: Connection) -> None:
        """The one end of every connection here."""
        if self.connections.pop(connection.conn, None) is not None:
            self._paused.pop(connection.conn, None)
            self.fanout.remove(connection.conn)
            connection.end.close()

    def _sweep(self) -> None:
        self.fanout.check_stalls(self.clock.now)
        self.clock.after(SWEEP, self._sweep)

    # ── Effects ──────────────────────────────────────────────────────────────────────────────

    def _run(self, effects: list[Effect]) -> None:
        if len(effects) > 1 and not self.config.log_delay:
            effects = self._commit_pasted(effects)
        for effect in effects:  # grows while it is walked through
            match effect:
                case Broadcast(audience, payload, author, receipt):
                    self.fanout.broadcast(audience, payload, author, receipt or b"")
                case Propose(conn, event):
                    if self.config.log_delay:
                        self._commit_later(conn, event)
                    else:
                        effects += self._commit(conn, event)
                case Send(conn, payload):
                    self.fanout.send(conn, payload)
                case Close(conn):
                    self.fanout.close(conn)
        for conn, connection in tuple(self._paused.items()):
            if not self.protocol.is_paused(conn):
                del self._paused[conn]
                connection.is_read = True
                self.clock.after(0, connection.readable)
        self._arm_timer()

    def _commit_later(self, conn: int, event: Event) -> None:
        when = self.clock.now + self._draw.randint(0, self.config.log_delay)
        self._commit_at = max(when, self._commit_at)
        self.proposed.append((conn, event))
        self.clock.at(self._commit_at, lambda: self._run(self._commit(*self.proposed.popleft())))

    def _commit(self, conn: int, event: Event) -> list[Effect]:
        self.entries += 1
        entry = Entry(self.entries, EPOCH + self.clock.now, conn, event)
        effects = self.protocol.commit(entry)
        self._committed(entry)
        return effects

    def _commit_pasted(self, effects: list[Effect]) -> list[Effect]:
        """As `ChatServer` does it: messages that are proposed together are committed together."""
        entries = [
            Entry(seq, EPOCH + self.clock.now, effect.conn, effect.event)
            for seq, effect in enumerate(effects, self.entries + 1)
            if isinstance(effect, Propose) and isinstance(effect.event, Say)
        ]
        if len(entries) < len(effects):
            return effects
        self.entries += len(entries)
        effects = self.protocol.commit_all(entries)
        for entry in entries:
            self._committed(entry)
        return effects

    def _arm_timer(self) -> None:
        at = self.protocol.get_timer()
        if at is not None and at != self._timer_at:
            self.clock.at(at, lambda: self._handle_timer(at))
        self._timer_at = at

    def _handle_timer(self, at: int) -> None:
        if self._timer_at == at:
            self._timer_at = None
            self._run(self.protocol.handle_timer(self.clock.now))
