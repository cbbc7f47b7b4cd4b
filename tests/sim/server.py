"""The host of the server under test: what the gevent server is on sockets, on a simulated network.

What is run is `tcpchat_net.node.Node`, as it ships; here are only the loop and the transports that
it asks for.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from functools import partial
from typing import Final

from tcpchat_core import ChatState, Entry, events
from tcpchat_net.logs import Log, OnEntries
from tcpchat_net.logs.archive import ArchiveKeeper
from tcpchat_net.node import SWEEP_MS
from tests.sim.branches import Branch
from tests.sim.clock import Clock
from tests.sim.config import Config
from tests.sim.network import Link
from tests.sim.parts import Parts

# When the log began, in milliseconds since the epoch.
EPOCH: Final = 1_700_000_000_000

# The node under test: not 0, so that its number is part of what is tested.
NODE: Final = 3


class Transport:
    """One accepted connection, as its node sees it."""

    def __init__(self, server: Server, link: Link) -> None:
        self._server = server
        self._end = link.server
        self.conn = 0
        self._is_read = True
        self._wants_writable = False
        do = server.clock.do
        self._end.incoming.readable = partial(do, self.readable)
        self._end.outgoing.writable = partial(do, self._writable)

    def write(self, data: bytes | memoryview, /) -> int:
        """Write what the kernel takes."""
        return self._end.send(bytes(data))

    def want_writable(self, wanted: bool) -> None:
        """Whether to be told that more can be written."""
        self._wants_writable = wanted

    def want_readable(self, wanted: bool) -> None:
        """Whether to read."""
        self._is_read = wanted
        if wanted:
            self._server.clock.after(0, self.readable)

    def finish_writing(self) -> None:
        """Nothing more will be written."""
        self._end.shutdown()

    def close(self) -> None:
        """Let go of the connection."""
        self._end.close()
        self._server.transports.pop(self.conn, None)

    def readable(self) -> None:
        """Something has arrived, or it is this connection's turn again: read once."""
        server = self._server
        if not self._is_read or self._end.is_closed or server.is_dead:
            return
        try:
            data = self._end.recv(server.config.read_bytes)
        except BlockingIOError:
            return
        except ConnectionResetError:
            server.node.lost(self.conn)
            return
        server.node.received(self.conn, data)
        if data and self._is_read and self._end.has_more:
            server.clock.after(0, self.readable)

    def _writable(self) -> None:
        if self._wants_writable and not self._server.is_dead:
            self._server.node.writable(self.conn)


class Server:
    """One boot of a node, and its loop: what is in `node` of all that is asked of it."""

    def __init__(
        self,
        clock: Clock,
        draw: random.Random,
        config: Config,
        parts: Parts,
        *,
        state: ChatState,
        log: Log,
        boot: int,
        number: int = NODE,
        archive: ArchiveKeeper | None = None,
        configuration: events.Configure | None = None,
    ) -> None:
        self.clock = clock
        self.config = config
        self.number, self.boot = number, boot
        self.state = state
        self.branch: Branch | None = None  # where it is in a log that is shared
        self.is_deaf = False  # it is stopped: nobody is accepted, and no entry is for it
        self.is_dead = False
        self.protocol = parts.protocol(
            state,
            limits=config.limits,
            password=config.password,
            dialects=parts.dialects,
            archive=None if archive is None else archive.keep,
            configuration=configuration,
        )
        self.node = parts.node(
            self.protocol,
            log,
            self,
            lambda: clock.now,
            archive=archive,
            number=number,
            boot=boot,
            max_backlog_bytes=config.max_backlog_bytes,
            stall_timeout_ms=config.stall_timeout,
        )
        self.transports: dict[int, Transport] = {}
        self._draw = draw
        self._timer = 0  # counts the times that were set: the last one is meant
        self.node.open()
        clock.after(SWEEP_MS, self._sweep)

    def accept(self, link: Link, peer: str) -> None:
        """A peer connects, from an address."""
        if self.is_deaf:
            link.client.reset()
        if self.is_deaf or link.server.is_reset:
            return
        transport = Transport(self, link)
        token = f"token-{self._draw.getrandbits(64):016x}"

        origin = f"of {peer}" if self.config.accounts else ""
        conn = self.node.connect(transport, token=token, peer=peer, origin=origin)
        link.conn = transport.conn = conn
        link.accepted_by, link.accepted_at = self, self.clock.now
        self.transports[conn] = transport
        transport.readable()

    def die(self) -> None:
        """Be gone, from one moment to the next."""
        self.is_deaf = self.is_dead = True

    # ── The loop of the node ─────────────────────────────────────────────────────────────────

    def wake(self) -> None:
        """End the turn when all that is due now is done."""
        self.clock.after(0, self._end_turn)

    def set_timer(self, at: int | None, /) -> None:
        """Have the node look at the time then."""
        self._timer += 1
        if at is not None:
            timer = self._timer
            self.clock.at(at, lambda: self._handle_timer(timer))

    def _end_turn(self) -> None:
        if not self.is_dead:
            self.node.end_turn()

    def _handle_timer(self, timer: int) -> None:
        if timer == self._timer and not self.is_dead:
            self.node.handle_timer()

    def _sweep(self) -> None:
        if not self.is_dead:
            self.node.sweep()
            self.clock.after(SWEEP_MS, self._sweep)


class TappedLog:
    """A log, and somebody else who is told what it delivers, after its node."""

    def __init__(self, log: Log, parts: Parts, tap: OnEntries) -> None:
        self._log = log
        self._between = parts.between
        self._tap = tap
        self.propose = log.propose

    @property
    def waiting(self) -> int:
        """As the log's."""
        return self._log.waiting

    def open(self, on_entries: OnEntries) -> None:
        """Begin to deliver, to both."""
        tell = self._between(on_entries)
        tap = self._tap

        def deliver(entries: Sequence[Entry]) -> None:
            tell(entries)
            tap(entries)

        self._log.open(deliver)
