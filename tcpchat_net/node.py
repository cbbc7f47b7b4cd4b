"""Node: one server of the chat, without sockets and without a loop: the mind of every adapter.

It has the log, the protocol and the fan-out, and brings them together: what peers send becomes
proposals, the log's entries become effects, effects become bytes. A gevent server runs it on
sockets (server.py), the simulator on a network that breaks; there is no rule of it in either.

Call order: `open` once; `connect` for each connection that was made, `received` with what was read
(b"" at its end), `writable` when a transport that wanted to know can be written to, `lost` when
one broke; `end_turn` soon after `Loop.wake` was called; `handle_timer` at the time that
`Loop.set_timer` was called with; `sweep` now and then. At the end `stop`, then `drop_all`.

Rules:

Rule 1: What is proposed in one turn of the loop goes into the log as one batch, or as a few when it
        is much, and what comes back of it is sent in one write to each connection.

Rule 2: What a peer is sent goes through the fan-out, all of it.

Rule 3: Nothing is read from a peer whose words have to wait, or that does not take its answers.

Rule 4: A connection ends in one way only, `_forget`, whatever ended it.
"""

from __future__ import annotations

import enum
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final, Protocol

from tcpchat_core import (
    Broadcast,
    Close,
    Derive,
    Dialect,
    Effect,
    Enter,
    Entry,
    Leave,
    Look,
    Pause,
    Propose,
    Resume,
    Send,
    ServerLimits,
    ServerProtocol,
    Stream,
    lapses,
)
from tcpchat_core.archive import Inquiry
from tcpchat_core.events import Configure, Event, connection_number
from tcpchat_core.notices import Said
from tcpchat_core.server.protocol import Observer
from tcpchat_net.counters import Counters, Lag
from tcpchat_net.fanout import MAX_BACKLOG_BYTES, STALL_TIMEOUT_MS, Fanout
from tcpchat_net.happenings import Overrun, Report, nothing
from tcpchat_net.logs import Archive, Log
from tcpchat_net.throttles import Throttles

# How long a peer has to take what was sent, and to close its side, after we closed ours.
LINGER_MS: Final = 2_000

# How many proposals are worth waiting for: of more, the first are no longer in the processor's
# cache when the last is there.
MAX_BATCH: Final = 16

# How many events may wait for the log before nothing more is read from those who propose some:
# some megabytes as a rule, 130 at the very most.
MAX_WAITING: Final = 16_384


# No connection has this number: its entries are of nobody who is here.
_OWNER: Final = 0


class Stuck(enum.Enum):
    """Why nothing can be taken in for some time: what everybody is told then, and afterwards."""

    FULL = (
        "the server's disk is full: what you say waits until there is room",
        "there is room again: what was waiting is being said",
    )
    AWAY = (
        "the server cannot reach its log: what you say waits until it can",
        "the server has reached its log: what was waiting is being said",
    )

    def __init__(self, told: str, told_afterwards: str) -> None:
        self.told, self.told_afterwards = told, told_afterwards


class Held(enum.Flag):
    """Why nothing is read from a connection."""

    LOG = enum.auto()  # the log has to take in first what there is
    PAUSED = enum.auto()  # what it has said has to wait
    OWED = enum.auto()  # it does not take its answers
    ENDED = enum.auto()  # nothing more will come


# What `ServerProtocol.owes` is told of.
_UNHEARD: Final = Held.LOG | Held.OWED


# How often `sweep` is to be called: half a second is soon enough to give up who is stalled.
SWEEP_MS: Final = 500


class Loop(Protocol):
    """What a node needs of the event loop that it runs on."""

    def wake(self) -> None:
        """Call `Node.end_turn` when all that was read in this turn is dealt with."""

    def set_timer(self, at: int | None, /) -> None:
        """Call `Node.handle_timer` at this time, and not at an earlier one; None for never."""


class Passwords(Protocol):
    """What makes hashes of passwords, beside the loop."""

    def derive(self, password: str, against: str, done: Callable[[str | None], None]) -> None:
        """Make a hash, or (`against` is not "") see whether it is that of another, and call `done`
        in a later turn: with the hash, "" when it is another's, or None when there is no time.
        """


class Transport(Protocol):
    """One connection to a peer, as a node sees it. None of these waits, and `close` ends it."""

    def write(self, data: bytes | memoryview, /) -> int:
        """Write; return how many bytes were taken.

        Raises BlockingIOError when none can be taken now, another OSError when none ever will.
        """

    def want_writable(self, wanted: bool) -> None:
        """Whether to call `Node.writable` when bytes can be written again."""

    def want_readable(self, wanted: bool) -> None:
        """Whether to read, and to call `Node.received`. From the beginning it is wanted."""

    def finish_writing(self) -> None:
        """Tell the peer that nothing more will be sent. May raise OSError."""

    def close(self) -> None:
        """Let go of it."""


class Node:
    """One node. `number` and `boot` make its connections' numbers unique, over nodes and restarts.

    `clock` gives milliseconds and does not run backwards. Past `max_backlog_bytes` that a peer has
    not taken, or `stall_timeout_ms` in which it took nothing, it is given up. `stopwatch` gives
    nanoseconds, for what is measured; nothing is decided by them. `report` is told what happens to
    connections that a log should have.
    """

    def __init__(
        self,
        protocol: ServerProtocol,
        log: Log,
        loop: Loop,
        clock: Callable[[], int],
        *,
        archive: Archive | None = None,
        passwords: Passwords | None = None,
        number: int = 0,
        boot: int = 1,
        max_backlog_bytes: int = MAX_BACKLOG_BYTES,
        stall_timeout_ms: int = STALL_TIMEOUT_MS,
        stopwatch: Callable[[], int] = time.monotonic_ns,
        report: Report = nothing,
    ) -> None:
        self.protocol = protocol
        self.counters = Counters()
        self.lag = Lag(SWEEP_MS)
        self.stuck: Stuck | None = None  # why the log can take in nothing, if it cannot
        self._stopwatch = stopwatch
        self._report = report
        self._throttles = Throttles(report)
        # Of what was proposed and is not delivered yet: how many events there were with it, and
        # when that was.
        self._proposed: deque[tuple[int, int]] = deque()
        self._proposed_count = 0
        self._log = log
        self._archive = archive
        self._passwords = passwords
        self._loop = loop
        self._clock = clock
        self._number, self._boot = number, boot
        self._fanout = Fanout(
            self._wake, max_backlog_bytes=max_backlog_bytes, stall_timeout_ms=stall_timeout_ms
        )
        self._connections: dict[int, _Connection] = {}
        self._lingering: dict[int, tuple[int, _Connection]] = {}
        self._proposals: list[Propose] = []
        self._is_held_up = False  # who proposes something is not read from until it is taken in
        self._held_up: list[_Connection] = []
        self._is_awake = False  # `end_turn` will be called
        self._is_stopped = False
        self._timer_at: int | None = None
        self._owners: list[tuple[Event, Callable[[], None]]] = []  # what is not yet in the log

    # ── Life ─────────────────────────────────────────────────────────────────────────────────

    def open(self) -> None:
        """Begin. What an earlier boot of this node has left behind is over."""
        self.lag.turned_at = self._clock()
        self._log.open(self._on_entries)
        self._proposals += lapses(self.protocol.state, self._number, self._boot)
        self._carry_out(self.protocol.recover(now=self._clock()))
        self._wake()

    def stop(self, reason: str, *, retry: int | None = None, spread: int = 0) -> None:
        """Tell everybody, and close when that is written. The rest: see `ServerProtocol.stop`.

        What was read before is proposed first; what the log delivers afterwards is for the next
        boot.
        """
        self._propose()
        self._is_stopped = True
        self._carry_out(self.protocol.stop(reason, retry=retry, spread=spread))
        self._wake()

    def drop_all(self) -> None:
        """Close what is left, whether everything was written or not."""
        for connection in tuple(self._connections.values()):
            self._forget(connection)

    @property
    def connections(self) -> int:
        """How many connections there are."""
        return len(self._connections)

    @property
    def backlog_bytes(self) -> int:
        """How many bytes wait for slow peers, counted as if nothing were shared."""
        return self._fanout.backlog_bytes

    @property
    def sent_bytes(self) -> int:
        """How many bytes peers, or the kernel for them, have taken."""
        return self._fanout.sent_bytes

    def held(self) -> Mapping[Held, int]:
        """From how many connections nothing is read, by why: one may count for several reasons.
        Another thread may ask.
        """
        # The list is taken in one step, in which no other thread runs.
        reasons = Counter([each.held for each in list(self._connections.values()) if each.held])
        return {
            held: sum([count for each, count in reasons.items() if held in each]) for held in Held
        }

    # ── What happens to connections ──────────────────────────────────────────────────────────

    def connect(
        self,
        transport: Transport,
        *,
        token: str,
        peer: str,
        origin: str = "",
        is_safe: bool = True,
    ) -> int:
        """A connection was made; returns its number. At its end the transport is closed.

        `token`, `peer`, `origin` and `is_safe` are as in `ServerProtocol.connection_made`.
        """
        self.counters.connections += 1
        conn = connection_number(self._number, self._boot, self.counters.connections)
        connection = _Connection(self, conn, transport)
        self._connections[conn] = connection
        self._fanout.add(conn, connection)
        self._carry_out(
            self.protocol.connection_made(
                conn, now=self._clock(), token=token, peer=peer, origin=origin, is_safe=is_safe
            )
        )
        self._wake()
        return conn

    def received(self, conn: int, data: bytes) -> None:
        """A peer sent bytes, or (b"") will send no more."""
        connection = self._connections.get(conn)
        if connection is None:
            return
        self.counters.reads += 1
        self.counters.received_bytes += len(data)
        if conn in self._lingering:  # what comes now is of no interest, but its end is
            if not data:
                self._forget(connection)
            return
        if data:
            effects = self.protocol.receive_data(conn, data, now=self._clock())
        else:
            connection.hold(Held.ENDED)
            effects = self.protocol.receive_eof(conn, now=self._clock())
        count = len(self._proposals)
        self._carry_out(effects)
        self._wake()  # also without effects: there may be another timer
        if self._is_held_up and len(self._proposals) > count:
            connection.hold(Held.LOG)
            self._held_up.append(connection)
        if len(self._proposals) >= MAX_BATCH:
            self._propose()

    def log_is_stuck(self, is_stuck: bool, why: Stuck = Stuck.FULL) -> None:
        """Nothing can be taken in for some time, or it can again.

        Everybody is told. Who has said something is not read from meanwhile; questions are
        answered.
        """
        self.stuck = why if is_stuck else None
        self._carry_out(self.protocol.announce(why.told if is_stuck else why.told_afterwards))
        self._check_log()
        self._wake()

    def configure(
        self,
        *,
        max_backlog_bytes: int,
        stall_timeout_ms: int,
        limits: ServerLimits,
        motd: Iterable[str],
        password: str,
        dialects: Sequence[Dialect],
        observe: Observer | None,
        configuration: Configure,
    ) -> None:
        """Go on with other settings: the bounds for slow readers hold for everybody, the rest as
        `ServerProtocol.configure` says.
        """
        self._fanout.configure(
            max_backlog_bytes=max_backlog_bytes, stall_timeout_ms=stall_timeout_ms
        )
        self._carry_out(
            self.protocol.configure(
                now=self._clock(),
                limits=limits,
                motd=motd,
                password=password,
                dialects=dialects,
                observe=observe,
                configuration=configuration,
            )
        )
        self._wake()

    def propose(self, event: Event, done: Callable[[], None]) -> None:
        """Put something into the log that is nobody's on a connection: what the owner of the server
        does. `done` is called when it has happened.
        """
        self._owners.append((event, done))
        self._proposals.append(Propose(_OWNER, 0, (event,)))
        self._wake()

    def writable(self, conn: int) -> None:
        """A transport that wanted to know can be written to again."""
        self._fanout.writable(conn, self._clock())

    def lost(self, conn: int, reason: str = "connection lost") -> None:
        """A connection broke."""
        connection = self._connections.get(conn)
        if connection is not None:
            self._lost(connection, reason)

    # ── Time ─────────────────────────────────────────────────────────────────────────────────

    def end_turn(self) -> None:
        """Propose, commit and send what this turn has brought."""
        try:
            self._propose()
        finally:
            self._is_awake = False  # what is written may call for another turn
        self._fanout.flush(self._clock())
        at = self.protocol.get_timer()
        if at != self._timer_at:
            self._timer_at = at
            self._loop.set_timer(at)

    def handle_timer(self) -> None:
        """The time has come that the loop was told of."""
        self._timer_at = None
        self._carry_out(self.protocol.handle_timer(self._clock()))
        self._wake()

    def sweep(self) -> None:
        """Give up who has taken nothing for too long, and who does not close its side."""
        now = self._clock()
        self.lag.turned(now)
        self._fanout.check_stalls(now)
        self._throttles.sweep(now)
        for until, connection in tuple(self._lingering.values()):
            if now >= until:
                self._forget(connection)

    # ── Effects ──────────────────────────────────────────────────────────────────────────────

    def _propose(self) -> None:
        while self._proposals:  # a log that commits at once may bring more of them
            batch, self._proposals = self._proposals, []
            self.counters.batches += 1
            self._proposed_count += sum([len(each.events) for each in batch])
            self._proposed.append((self._proposed_count, self._stopwatch()))
            self._log.propose(batch)
        if self._log.waiting > MAX_WAITING:
            self._is_held_up = True

    def _on_entries(self, entries: Sequence[Entry]) -> None:
        if self._is_stopped:
            return  # everybody has had the last words
        if self._proposed:
            self._measure_log()
        seen = self.protocol.state.seq
        self._carry_out(self.protocol.commit(entries, now=self._clock()))
        if count := self.protocol.state.seq - seen:
            self.counters.entries += count
            self.counters.batch_entries.observe(count)
        if self._owners:
            self._tell_owners(entries)
        if self._is_held_up:
            self._check_log()
        self._wake()

    def _measure_log(self) -> None:
        """See how long that took which is delivered now."""
        delivered = self._proposed_count - self._log.waiting
        now = self._stopwatch()
        while self._proposed and self._proposed[0][0] <= delivered:
            _, began = self._proposed.popleft()
            self.counters.log_ns.observe(now - began)

    def _tell_owners(self, entries: Sequence[Entry]) -> None:
        happened = [entry.event for entry in entries if entry.conn == _OWNER]
        done = [each for each in self._owners if each[0] in happened]
        self._owners = [each for each in self._owners if each not in done]
        for _, tell in done:
            tell()

    def _carry_out(self, effects: Iterable[Effect]) -> None:
        fanout = self._fanout
        for effect in effects:
            # On the way of a message `isinstance`, which is several times as fast as `match`.
            if isinstance(effect, Broadcast):
                fanout.broadcast(
                    effect.audience,
                    effect.payload,
                    effect.author,
                    effect.receipt or b"",
                    effect.also,
                )
            elif isinstance(effect, Propose):
                self._proposals.append(effect)
                self._wake()
            elif isinstance(effect, Send):
                fanout.send(effect.conn, effect.payload)
            else:
                self._carry_out_rare(effect)

    def _carry_out_rare(self, effect: Effect) -> None:
        match effect:
            case Stream(conn, pieces):
                self._fanout.stream(conn, pieces)
            case Enter(audience, conn):
                self._fanout.enter(audience, conn)
            case Leave(audience, conn):
                self._fanout.leave(audience, conn)
            case Pause(conn):
                self.counters.pauses += 1
                if connection := self._connections.get(conn):
                    connection.hold(Held.PAUSED)
                    now = self._clock()
                    if (lines := self.protocol.throttled(conn, now=now)) is not None:
                        self._throttles.began(conn, now, lines)
            case Resume(conn):
                if connection := self._connections.get(conn):
                    connection.release(Held.PAUSED)
                    self._throttles.ended(conn, self._clock(), self.protocol.used_lines(conn))
            case Look(conn, ticket, inquiry):
                self._look(conn, ticket, inquiry)
            case Derive():
                self._derive(effect)
            case Close(conn):
                self._fanout.close(conn)
            case _:
                raise AssertionError(f"{effect} is carried out elsewhere")

    def _check_log(self) -> None:
        """Read again from those who had to wait, when the log has taken in enough."""
        self._is_held_up = self.stuck is not None or self._log.waiting > MAX_WAITING // 2
        if not self._is_held_up:
            held_up, self._held_up = self._held_up, []
            for connection in held_up:
                connection.release(Held.LOG)

    def _look(self, conn: int, ticket: int, inquiry: Inquiry) -> None:
        assert self._archive is not None, "nobody looks where there is none"

        def found(messages: Sequence[Said] | None) -> None:
            if not self._is_stopped:
                now = self._clock()
                self._carry_out(self.protocol.found(conn, ticket, messages, now=now))
                self._wake()

        self._archive.look(inquiry, found)

    def _derive(self, effect: Derive) -> None:
        assert self._passwords is not None, "no password is taken where there is none"

        def derived(made: str | None) -> None:
            if not self._is_stopped:
                now = self._clock()
                self._carry_out(self.protocol.derived(effect.conn, effect.ticket, made, now=now))
                self._wake()

        self._passwords.derive(effect.password, effect.against, derived)

    def _wake(self) -> None:
        if not self._is_awake:
            self._is_awake = True
            self._loop.wake()

    def _lost(self, connection: _Connection, reason: str = "connection lost") -> None:
        self._forget(connection)
        self._carry_out(
            self.protocol.connection_lost(connection.conn, now=self._clock(), reason=reason)
        )

    def _owes(self, connection: _Connection, owes: bool) -> None:
        self.protocol.owes(connection.conn, owes, now=self._clock())

    def _overrun(self, connection: _Connection) -> None:
        self.counters.overruns += 1
        waiting_bytes, since = self._fanout.given_up
        self._report(Overrun(connection.conn, waiting_bytes, self._clock() - since))
        closing = self.protocol.closing(connection.conn, "you read too slowly", retry=0)
        self._fanout.last_words(connection.conn, closing)
        self._lost(connection, "read too slowly")

    def _linger(self, connection: _Connection) -> None:
        """All is written: close our side, and read on until the peer closes its own.

        Closing a socket that has unread input resets it, and the peer may lose our last words.
        """
        try:
            connection.transport.finish_writing()
        except OSError:
            self._forget(connection)
            return
        if Held.ENDED in connection.held:  # it has closed its side already
            self._forget(connection)
            return
        self._fanout.remove(connection.conn)
        connection.release(~Held(0))
        self._lingering[connection.conn] = (self._clock() + LINGER_MS, connection)

    def _forget(self, connection: _Connection) -> None:
        """The one end of every connection: of its transport, its outbox and its place here."""
        if self._connections.pop(connection.conn, None) is None:
            return
        self._lingering.pop(connection.conn, None)
        self._throttles.forget(connection.conn)
        self._fanout.remove(connection.conn)
        connection.hold(Held.ENDED)
        connection.transport.close()


class _Connection:
    """What a node knows of one connection; the fan-out's `Transport`."""

    __slots__ = ("conn", "held", "node", "transport")

    def __init__(self, node: Node, conn: int, transport: Transport) -> None:
        self.node = node
        self.conn = conn
        self.transport = transport
        self.held = Held(0)  # why nothing is read from it now

    @property
    def write(self) -> Callable[[bytes | memoryview], int]:
        """As the transport's."""
        return self.transport.write

    def hold(self, reason: Held) -> None:
        """Read nothing from it, for this reason."""
        was_held, self.held = self.held, self.held | reason
        if not was_held:
            self.transport.want_readable(False)
        self._tell_unheard(was_held)

    def release(self, reasons: Held) -> None:
        """These are reasons no more: if there are no others, read again."""
        was_held, self.held = self.held, self.held & ~reasons
        if was_held and not self.held:
            self.transport.want_readable(True)
        self._tell_unheard(was_held)

    def _tell_unheard(self, was_held: Held) -> None:
        """While it cannot be heard for our reasons, its silence is not its own."""
        is_unheard = bool(self.held & _UNHEARD)
        if is_unheard != bool(was_held & _UNHEARD):
            self.node._owes(self, is_unheard)

    def want_writable(self, wanted: bool) -> None:
        """The fan-out has more to write than the peer takes, or has written it."""
        self.transport.want_writable(wanted)

    def owes(self, owes: bool, /) -> None:
        """It does not take its answers, or does again."""
        if owes:
            self.hold(Held.OWED)
        else:
            self.release(Held.OWED)

    def failed(self) -> None:
        """A write failed."""
        self.node._lost(self)

    def overrun(self) -> None:
        """The peer reads too slowly."""
        self.node._overrun(self)

    def finished(self) -> None:
        """All is written that was sent before the end."""
        self.node._linger(self)
