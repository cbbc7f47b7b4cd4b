"""The way from nodes to their engine, and what may happen on it and to the engine.

A command takes its time to the engine, happens there, and its reply takes its time back. What is
lost is the connection: then the command has happened or not, and who waits for the reply hears of
it soon, or when its patience ends.
"""

from __future__ import annotations

import random
import socket
import ssl
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final

from tcpchat_net.logs.stream import EngineDownError
from tcpchat_net.logs.stream.address import EngineAddress, Place
from tcpchat_net.logs.stream.commands import Argument, ReplyError
from tcpchat_net.resp import RespWire
from tests.sim.clock import Clock
from tests.sim.engine import ModelEngine, Reply
from tests.sim.process import Process

# As a `RespWire`'s.
CONNECT_MS: Final = 2_000
CALL_MS: Final = 2_500

# How much later a command or its reply may come than usual.
LATE_MS: Final = 4_000


class Line:
    """One connection, as the engine sees it."""

    def __init__(self) -> None:
        self.is_cut = False  # nothing that is on it arrives, in either direction
        self.is_closed = False  # by the node
        self.broken: Callable[[], None] = lambda: None  # tells its node that it is
        self.arrived_at = 0


class Exchange:
    """An engine at its place, and all connections to it."""

    def __init__(
        self,
        clock: Clock,
        draw: random.Random,
        engine: ModelEngine,
        place: Place,
        *,
        most_ms: int,
        every: int,
    ) -> None:
        self.clock, self.engine, self.place = clock, engine, place
        self.draw = draw
        self._most_ms, self._every = most_ms, every
        self.is_faulty = True
        self.is_down = self.is_paused = False
        self.happened: Callable[[str], None] = lambda _kind: None  # is told of faults
        self.done: Callable[[], None] = lambda: None  # … and that the engine has done something
        self._lines: dict[Line, None] = {}
        self._held: list[Callable[[], None]] = []  # what came while the engine was paused
        self._readers: list[Callable[[], bool]] = []  # who waits for batches

    @property
    def is_open(self) -> bool:
        """Whether there is an engine that takes batches in."""
        meta = self.engine.data.meta
        is_there = self.engine.is_primary and not (self.is_down or self.is_paused)
        return is_there and meta is not None and meta.engine == self.engine.run_id

    # ── The engine ───────────────────────────────────────────────────────────────────────────

    def pause(self) -> None:
        """Have the engine do nothing."""
        self.is_paused = True

    def go_on(self) -> None:
        """Have it go on, with what has come meanwhile."""
        self.is_paused = False
        held, self._held = self._held, []
        self.draw.shuffle(held)  # each connection has one at most
        for action in held:
            self.clock.after(0, action)

    def kill(self) -> None:
        """The engine is gone, and so are all connections."""
        self.is_down, self.is_paused = True, False
        self._held.clear()
        self._readers.clear()
        is_told = self.draw.random() < 0.7  # else its whole machine is gone
        lines, self._lines = self._lines, {}
        for line in lines:
            line.is_cut = True
            if is_told:
                self.clock.after(self.delay(), line.broken)

    def start(self) -> None:
        """There is an engine again at this place."""
        self.is_down = False

    # ── The way ──────────────────────────────────────────────────────────────────────────────

    def delay(self) -> int:
        """How long something is on its way."""
        return self.draw.randint(0, self._most_ms)

    def open(self, line: Line, opened: Callable[[EngineDownError | None], None]) -> None:
        """A connection is being made."""

        def reached() -> None:
            error = None
            if self.is_down:
                error = EngineDownError("cannot reach the engine: connection refused")
            else:
                self._lines[line] = None
            self.clock.after(self.delay(), partial(opened, error))

        if not line.is_cut:
            self.clock.after(self.delay(), reached)

    def closed(self, line: Line) -> None:
        """A node has let go of a connection."""
        self._lines.pop(line, None)

    def send(
        self,
        line: Line,
        command: tuple[Argument, ...],
        wait_ms: int,
        answer: Callable[[Reply | ReplyError], None],
    ) -> None:
        """A command is on its way."""
        fault = ""
        if self.is_faulty and self._every and self.draw.random() * self._every < 1:
            fault = self.draw.choice(("request lost", "request late", "reply lost", "reply late"))
            self.happened(fault)
        if fault == "request lost":
            self._break(line)
            return
        late = self.draw.randint(0, LATE_MS) if fault == "request late" else 0
        line.arrived_at = max(line.arrived_at, self.clock.now + self.delay() + late)
        arrive = partial(self._arrive, line, command, wait_ms, answer, fault)
        self.clock.at(line.arrived_at, arrive)

    def _arrive(
        self,
        line: Line,
        command: tuple[Argument, ...],
        wait_ms: int,
        answer: Callable[[Reply | ReplyError], None],
        fault: str,
    ) -> None:
        if line.is_cut:
            return
        if self.is_paused:  # its kernel takes it, also from who does not wait any more
            self._held.append(partial(self._arrive, line, command, wait_ms, answer, fault))
            return
        length = self._length
        reply = self._done(command)
        if reply is None and wait_ms:
            self._await(line, command, wait_ms, answer)
        elif fault == "reply lost":
            self._break(line)
        else:
            late = self.draw.randint(0, LATE_MS) if fault == "reply late" else 0
            self._answer(line, answer, reply, late)
        if self._length != length:
            self._wake()

    @property
    def _length(self) -> int:
        meta = self.engine.data.meta
        return 0 if meta is None else meta.seq

    def _break(self, line: Line) -> None:
        """A connection is lost; its node hears of it soon, or has to wait."""
        line.is_cut = True
        self._lines.pop(line, None)
        if self.draw.random() < 0.5:
            self.clock.after(self.delay(), line.broken)

    def _done(self, command: tuple[Argument, ...]) -> Reply | ReplyError:
        try:
            return self.engine.call(*command)
        except ReplyError as error:
            return error
        finally:
            self.done()

    def _answer(
        self,
        line: Line,
        answer: Callable[[Reply | ReplyError], None],
        reply: Reply | ReplyError,
        late: int = 0,
    ) -> None:
        def arrive() -> None:
            if not (line.is_cut or line.is_closed):
                answer(reply)

        self.clock.after(self.delay() + late, arrive)

    def _await(
        self,
        line: Line,
        command: tuple[Argument, ...],
        wait_ms: int,
        answer: Callable[[Reply | ReplyError], None],
    ) -> None:
        """Wait for batches, for so long."""

        def look() -> bool:
            if line.is_cut or line.is_closed:
                return True
            if (reply := self._done(command)) is None:
                return False
            self._answer(line, answer, reply)
            return True

        def end() -> None:
            if self.is_paused:
                self._held.append(end)
            elif look in self._readers:
                self._readers.remove(look)
                self._answer(line, answer, None)

        self._readers.append(look)
        self.clock.after(wait_ms, end)

    def _wake(self) -> None:
        """Who waits for batches is given them."""
        self._readers = [look for look in self._readers if not look()]


class SimWire(RespWire):
    """A `Wire` of a process to the engine, which may be at one of several places: which of them it
    takes is for the shipped code to say. `is_cut` tells whether it leads nowhere now.
    """

    def __init__(
        self,
        process: Process,
        exchanges: Sequence[Exchange],
        is_cut: Callable[[Exchange], bool] = lambda _exchange: False,
    ) -> None:
        self._exchanges = {exchange.place: exchange for exchange in exchanges}
        super().__init__(EngineAddress((*self._exchanges,)), socket, ssl)
        self._process, self._there = process, exchanges[0]
        self._is_cut = is_cut
        self._channel, self._heard = "", 0  # where it listens, and up to which entry it was told
        self._line: Line | None = None
        self._give_up: Callable[[Any], None] | None = None

    def _open_one(self, place: Place) -> None:
        self.close()
        self._place, self._there = place, self._exchanges[place]
        line = Line()
        line.is_cut = self._is_cut(self._there)
        self._line = self._sock = line
        resume = self._begin(CONNECT_MS)
        self._there.open(line, resume)
        self._wait()
        self.call("PING")

    def close(self) -> None:
        """Let go of it: who waits for something on it hears that."""
        if self._line is not None:
            line, self._line = self._line, None
            self._sock = None
            line.is_closed = True
            self._there.closed(line)
            # What is in the kernels may get there all the same.
            line.is_cut = line.is_cut or self._there.draw.random() < 0.3
        if self._give_up is not None:
            self._give_up(EngineDownError("the connection to the engine was closed"))

    def call(self, *command: Argument, wait_ms: int = 0) -> Any:
        """The reply to a command, which the engine may take `wait_ms` for."""
        line = self._line
        if line is None:
            raise EngineDownError("there is no connection to the engine")
        resume = self._begin(CALL_MS + wait_ms)
        line.broken = partial(resume, EngineDownError("the engine has hung up"))
        if self._is_cut(self._there):
            line.is_cut = True
        self._there.send(line, command, wait_ms, resume)
        return self._wait()

    def listen(self, channel: str) -> None:
        """Have what is put into a log told from now on."""
        self._channel = channel
        self._heard = int(self.call("HGET", channel.replace(":log", ":meta"), "seq") or 0)

    def heard(self, wait_ms: int) -> list[bytes]:
        """What was told: an engine tells of a batch when it is in the log, so it is found there."""
        after = f"{self._heard}-0"
        command = ("XREAD", "COUNT", 500, "BLOCK", wait_ms, "STREAMS", self._channel, after)
        reply = self.call(*command, wait_ms=wait_ms)
        entries = reply[0][1] if reply else []
        self._heard = _place(entries[-1]) if entries else self._heard
        return [
            b" ".join((b"%d" % _place(entry), size, at, origin, chain, record))
            for entry in entries
            for (_, chain, _, at, _, size, _, origin, _, record) in [entry[1]]
        ]

    def cut(self, exchange: Exchange) -> None:
        """What is on it now does not arrive any more, if that leads there."""
        if self._line is not None and self._there is exchange:
            self._line.is_cut = True

    def _begin(self, patience_ms: int) -> Callable[[Any], None]:
        self._give_up = resume = self._process.resumer()
        error = EngineDownError("the engine does not answer")
        self._process.after(patience_ms, partial(resume, error))
        return resume

    def _wait(self) -> Any:
        reply = self._process.wait()
        self._give_up = None
        if isinstance(reply, EngineDownError):
            self.close()
        if isinstance(reply, EngineDownError | ReplyError):
            raise reply
        return reply


def _place(entry: Any) -> int:
    """The number in the id of an entry of a stream."""
    return int(entry[0].partition(b"-")[0])
