"""A host of a node without sockets: a loop that turns when it is told to, and wires."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from tcpchat_core import ChatState, Notice, ServerLimits, ServerProtocol
from tcpchat_core.dialects.jsonl import decode_notice
from tcpchat_net.logs import Log
from tcpchat_net.logs.memory import MemoryLog
from tcpchat_net.node import Node
from tests.sim.clock import Clock
from tests.sim.logs import UnreliableLog

# When the log's clock began, in milliseconds since the epoch.
EPOCH_MS = 1_700_000_000_000

NO_FLOOD_LIMIT = ServerLimits(flood_rate=0)

HELLO = b'{"type":"hello"}\n'


class Wire:
    """One connection: the node's transport, and what its peer has seen of it."""

    def __init__(self) -> None:
        self.conn = 0
        self.taken = bytearray()
        self.writes = 0
        self.room_for: int | None = None  # None: for everything
        self.error: type[Exception] | None = None  # that writing raises
        self.is_read = True
        self.waits = False  # to be told when more can be written
        self.is_finished = False  # nothing more will be written
        self.is_closed = False
        self.ends = 0  # how often the host heard of the end

    def write(self, data: bytes | memoryview, /) -> int:
        assert not self.is_finished, "written after the last words"
        assert not self.is_closed, "written after the end"
        assert data, "nothing was written"
        if self.error is not None:
            raise self.error
        count = len(data) if self.room_for is None else min(self.room_for, len(data))
        if not count:
            raise BlockingIOError
        if self.room_for is not None:
            self.room_for -= count
        self.writes += 1
        self.taken += data[:count]
        return count

    def want_writable(self, wanted: bool) -> None:
        assert not self.is_closed
        assert wanted != self.waits, "told twice"
        self.waits = wanted

    def want_readable(self, wanted: bool) -> None:
        assert not self.is_closed
        assert wanted != self.is_read, "told twice"
        self.is_read = wanted

    def finish_writing(self) -> None:
        if self.error is not None:
            raise OSError
        self.is_finished = True

    def close(self) -> None:
        assert not self.is_closed, "closed twice"
        self.is_closed = True
        self.ends += 1

    def read(self) -> bytes:
        """Take what the peer was sent since the last time."""
        data = bytes(self.taken)
        self.taken.clear()
        return data

    def lines(self) -> list[str]:
        return self.read().decode().splitlines()

    def told(self) -> list[Notice]:
        return [decode_notice(line) for line in self.read().splitlines()]


class Host:
    """A node on a loop of its own. `log` makes one, for the host's clock."""

    def __init__(
        self,
        protocol: ServerProtocol | None = None,
        log: Callable[[Host], Log] | None = None,
        **options: Any,
    ) -> None:
        self.clock = Clock()
        self.turns = 0
        self.timer_at: int | None = None
        self.wires: list[Wire] = []
        self.protocol = protocol or ServerProtocol(ChatState(), limits=NO_FLOOD_LIMIT)
        self.log = MemoryLog(self.wall_ms) if log is None else log(self)
        self.node = Node(self.protocol, self.log, self, lambda: self.clock.now, **options)
        self.node.open()
        self.run()

    def wall_ms(self) -> int:
        return EPOCH_MS + self.clock.now

    # ── The loop, as the node sees it ────────────────────────────────────────────────────────

    def wake(self) -> None:
        self.clock.after(0, self._turn)

    def set_timer(self, at: int | None, /) -> None:
        self.timer_at = at
        if at is not None:
            self.clock.at(at, lambda: self._handle_timer(at))

    def _turn(self) -> None:
        self.turns += 1
        self.node.end_turn()

    def _handle_timer(self, at: int) -> None:
        if self.timer_at == at:
            self.timer_at = None
            self.node.handle_timer()

    def run(self) -> None:
        """All that is to be done now."""
        self.wait(0)

    def wait(self, milliseconds: int) -> None:
        """Time passes, and whoever can be written to is."""
        self.clock.run(self.clock.now + milliseconds)
        for wire in self.wires:
            while wire.waits and wire.room_for != 0:
                self.node.writable(wire.conn)
                self.clock.run(self.clock.now)

    def sweep(self, *, after_ms: int) -> None:
        """Time passes, then the node is swept."""
        self.wait(after_ms)
        self.node.sweep()
        self.run()

    # ── Peers ────────────────────────────────────────────────────────────────────────────────

    def connect(self, *, token: str = "", peer: str = "") -> Wire:
        wire = Wire()
        wire.conn = self.node.connect(wire, token=token, peer=peer)
        self.wires.append(wire)
        return wire

    def person(self, nick: str, *rooms: str) -> Wire:
        """Somebody with nc in some rooms, who has read all so far, as all others have."""
        wire = self.connect()
        lines = [f"/nick {nick}", *(f"/join {room}" for room in rooms)]
        self.type(wire, *lines)
        for each in self.wires:
            each.read()
        return wire

    def give(self, wire: Wire, data: bytes) -> None:
        """The loop has read something (or the end) of a wire, in the middle of a turn."""
        assert wire.is_read, "nobody reads"
        self.node.received(wire.conn, data)

    def type(self, wire: Wire, *lines: str) -> None:
        """A peer sends lines, and the loop turns."""
        self.give(wire, "".join(f"{line}\n" for line in lines).encode())
        self.run()

    def allow(self, wire: Wire, count: int | None) -> None:
        """A peer takes so many bytes more, or all that there will ever be."""
        wire.room_for = count
        self.run()


def far_away(seed: int, **options: Any) -> Callable[[Host], UnreliableLog]:
    """How to make a host's log a bad one."""
    return lambda host: UnreliableLog(
        random.Random(seed),
        host.clock.after,
        host.wall_ms,
        delay=50,
        late=50,
        again=0.3,
        twice=0.2,
        from_the_first=True,
        **options,
    )
