"""The log of a node that shares it with others.

It has two connections to the engine: on one it proposes and keeps its lease, on the other it reads,
and waits there for what comes. Each is worked on by a `Host`, one call after the other.

    DOWN → (connect) → is it the engine that takes batches in? ──yes→ UP
                            └─no→ repair → claim → connect

Rule 1: A batch that was proposed is kept until it has been read. Whatever becomes of a call, after
        the next connection all that the engine does not know is proposed again; it takes in each
        once.

Rule 2: What is read is delivered when it follows what was read before. Should it not, this node has
        told people things that are in no log any more: it ends (`Ending.FORKED`), and begins anew.

Rule 3: The own lease is renewed before that of anybody else is looked at.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from enum import Enum
from typing import Final, NamedTuple, TypeVar

from tcpchat_core import Entry, Propose
from tcpchat_net.logs import Host, OnEntries
from tcpchat_net.logs.records import decode_batch, encode_batch, entries_of
from tcpchat_net.logs.stream import (
    BEAT_MS,
    ROWS_AT_A_TIME,
    Beat,
    Engine,
    EngineDownError,
    EngineError,
    Greeting,
    Head,
    LeftBehindError,
    NewerFormatError,
    NoLogError,
    Origin,
    Repaired,
    Row,
    Seat,
    Taken,
    divergence,
)
from tcpchat_net.logs.stream.ring import Ring

# A digest is taken behind the first batch that reaches a multiple of so many entries: so nodes take
# them at the same places.
DIGEST_EVERY: Final = 100_000

# How many events one batch has at most: as many as can be told without a pause that people notice.
MAX_EVENTS: Final = 1_000

# How many entries are delivered at a time, if their batches are no larger.
ENTRIES_AT_A_TIME: Final = 500

# How many batches are put back at a time.
REPAIRED_AT_A_TIME: Final = 200

# For how long the engine may let a read wait. No longer than it may be silent.
BLOCK_MS: Final = 1_000

# How long to wait before an engine that is not there is tried again: at first, and at most.
FIRST_PAUSE_MS: Final = 50
MAX_PAUSE_MS: Final = 1_000

# How long before it is asked again whether all nodes have come to a new engine.
CLAIM_AGAIN_MS: Final = 50

# For how long an engine may be away before people are told.
PATIENCE_MS: Final = 2_000


class Ending(Enum):
    """Why a node cannot go on with its log."""

    FENCED = "it was silent for too long, and another node has ended it"
    FORKED = "the log is not the one that it has read before"
    TRIMMED = "it fell behind, and the log does not reach back to where it was"
    LOST = "the engine has lost the log"
    UNREADABLE = "the log cannot be read"


_Reply = TypeVar("_Reply")


class Member(NamedTuple):
    """A node, in one of its boots."""

    node: int
    boot: int


class _Batch(NamedTuple):
    """What was proposed at once, and has not been read yet."""

    number: int
    size: int
    record: bytes
    proposals: list[Propose]


class StreamLog:
    """The log of a node that has a lease, and has read the log up to the end that `ring` has.

    `holder` has the lease. An engine that has lost it is told of it again, or may have given the
    same boot to somebody else.

    `writer` and `reader` are two connections to the engine, for which `writing` and `reading` do
    the waiting. `epoch` is that of the log. `lapse` says what is to be proposed when a boot of
    another node is over; `status` is what this node tells of itself, given what it was asked last;
    `mark` is called where all nodes take the digest of their states.

    `ended` is called once, with why it cannot go on and a sentence. `stuck` is called with a
    sentence when nothing can be proposed for a while, and with None when that is over. `complain`
    is told what was not as it should be. `term` is the highest of an engine that was seen, and
    `taken_over` is called with a higher one.
    """

    def __init__(
        self,
        member: Member,
        ring: Ring,
        epoch: str,
        *,
        holder: str,
        writer: Engine,
        reader: Engine,
        writing: Host,
        reading: Host,
        lapse: Callable[[int, int], Sequence[Propose]],
        status: Callable[[str], bytes],
        mark: Callable[[], None] = lambda: None,
        ended: Callable[[Ending, str], None],
        complain: Callable[[str], None],
        stuck: Callable[[str | None], None] = lambda _sentence: None,
        term: int = 0,
        taken_over: Callable[[int], None] = lambda _term: None,
    ) -> None:
        self.member = member
        self.ring = ring
        self.stuck = stuck
        self._epoch, self._holder = epoch, holder
        self._term, self._taken_over = term, taken_over
        self._writer, self._reader = writer, reader
        self._writing, self._reading = writing, reading
        self._lapse, self._status, self._mark = lapse, status, mark
        self._ended, self._complain = ended, complain
        self._on_entries: OnEntries | None = None
        self._next: list[Propose] = []  # what the next batch is made of
        self._next_count = 0
        self._sent: deque[_Batch] = deque()  # proposed, and not read yet, oldest first
        self._number = 0  # of the last batch
        self._known = 0  # … that the engine has taken in
        self.waiting = 0  # events that are proposed and not delivered yet
        self._asked = ""
        self._diverged = b""  # what the log goes on with in a new engine
        self._run = 0  # counts the connections: what comes of an earlier one is of no interest
        self.is_up = False  # the engine can be reached, and takes batches in
        self._is_proposing = False
        self._is_stuck = False
        self._is_over = False
        self._pause_ms = 0
        self._told = ""  # what was the matter with the engine last
        self._is_first = False
        self._others: Sequence[Seat] = ()  # the nodes that were there when it heard of them last
        self._is_lapsing = False
        self._is_reading = False
        self._rows: deque[Row] = deque()  # that were read, and are to be delivered
        self._last_known = 0  # the last entry that the engine has told of

    @property
    def seq(self) -> int:
        """The number of the last entry that was delivered."""
        return self.ring.seq

    @property
    def lag(self) -> int:
        """How many entries the engine has told of that are not delivered yet."""
        return max(0, self._last_known - self.seq)

    @property
    def is_first(self) -> bool:
        """Whether it is for this node to do what one of them has to."""
        return self.is_up and self._is_first

    def open(self, on_entries: OnEntries) -> None:
        """Begin to deliver."""
        self._on_entries = on_entries
        self._connect()
        self._writing.after(BEAT_MS, self._beat_on)

    def propose(self, batch: Sequence[Propose]) -> None:
        """Have these taken in, and deliver them when they have been read."""
        self._next += batch
        self._next_count += (count := sum([len(propose.events) for propose in batch]))
        self.waiting += count
        self._propose()

    def leave(self, proposals: Sequence[Propose], left: Callable[[], None]) -> None:
        """Put into the log that this node is over, and give its lease back; then call `left`.

        Call it when nothing waits any more, and nothing afterwards.
        """
        self._is_over = True
        node, boot = self.member
        origin = Origin(node, boot, 0, (node, boot))
        count = sum(len(propose.events) for propose in proposals)
        record = encode_batch(proposals)

        def lapse() -> None:
            if self.is_up:  # else the lease may be somebody else's
                self._writer.lapse(origin, count, record)

        self._writing.run(lapse, lambda _error: left())

    def close(self) -> None:
        """Deliver nothing more."""
        self._is_over = True
        self._run += 1
        self._writer.close()
        self._reader.close()

    # ── Getting up ───────────────────────────────────────────────────────────────────────────

    def _connect(self) -> None:
        """Connect anew, both ways."""
        self._run += 1
        self.is_up = self._is_proposing = self._is_lapsing = self._is_reading = False
        self._rows.clear()
        self._ask(self._writer.connect, self._greeted)

    def _ask(self, function: Callable[[], _Reply], done: Callable[[_Reply], None]) -> None:
        """Ask the engine something on the writer's connection."""
        self._ask_at(self._writing, function, done)

    def _ask_at(
        self, host: Host, function: Callable[[], _Reply], done: Callable[[_Reply], None]
    ) -> None:
        run = self._run
        replies: list[_Reply] = []

        def told(error: BaseException | None) -> None:
            if run != self._run or self._is_over:
                return
            if error is None:
                done(replies[0])
            else:
                self._failed(error)

        host.run(lambda: replies.append(function()), told)

    def _later(self, ms: int, callback: Callable[[], None]) -> None:
        """Call back after so long, unless it is another connection by then."""
        run = self._run

        def call() -> None:
            if run == self._run and not self._is_over:
                callback()

        self._writing.after(ms, call)

    def _failed(self, error: BaseException) -> None:
        """The connection cannot be gone on with."""
        if isinstance(error, NoLogError):
            self._end(Ending.LOST, str(error))
        elif isinstance(error, NewerFormatError):
            self._end(Ending.UNREADABLE, str(error))
        elif isinstance(error, EngineError):
            self._down(error)
        else:
            raise error

    def _down(self, error: EngineError) -> None:
        """Nothing can be done with the engine now: try again in a while."""
        is_news = self.is_up or not self._pause_ms
        self._run += 1
        self.is_up = self._is_proposing = self._is_lapsing = False
        self._writer.close()
        self._reader.close()
        if is_news or str(error) != self._told:
            self._told = str(error)
            self._complain(self._told)
        if is_news:
            waited_ms = error.waited_ms if isinstance(error, EngineDownError) else 0
            patience = max(0, PATIENCE_MS - waited_ms)
            self._writing.after(patience, lambda: self._tell_stuck(str(error)))
        self._pause_ms = min(MAX_PAUSE_MS, 2 * self._pause_ms or FIRST_PAUSE_MS)
        self._later(self._pause_ms, self._connect)

    def _tell_stuck(self, sentence: str) -> None:
        if not (self.is_up or self._is_stuck or self._is_over):
            self._is_stuck = True
            self.stuck(sentence)

    def _greeted(self, greeting: Greeting) -> None:
        head = greeting.head
        if not greeting.is_primary:
            self._down(EngineDownError("the engine is a replica, which takes nothing in"))
        elif head is None:
            self._end(Ending.LOST, "the engine has no such log any more")
        elif head.epoch != self._epoch:
            self._end(Ending.FORKED, "the engine has another log of the same name")
        elif head.engine == greeting.run_id and head.term < self._term:
            self._down(LeftBehindError(head.term, self._term))
        elif head.engine == greeting.run_id:
            self._take_up(head, greeting.run_id)
        else:
            self._diverged = divergence(head, greeting.run_id)
            self._repair(Repaired(head.seq, head.chain))

    def _repair(self, ends: Repaired) -> None:
        """Put back what a new engine has lost and this node has read."""
        if ends.is_closed:
            self._connect()
            return
        rows = self.ring.behind(ends.seq, ends.chain, REPAIRED_AT_A_TIME)
        if rows:
            self._ask(lambda: self._writer.repair(ends.seq, ends.chain, rows), self._repair)
        else:
            self._claim()

    def _claim(self) -> None:
        """Wait until all nodes have put back what they could."""
        seat = Seat(*self.member, self._holder)
        term, diverged, others = self._term, self._diverged, self._others
        self._ask(lambda: self._writer.claim(seat, term, diverged, others), self._claimed)

    def _claimed(self, is_open: bool) -> None:
        if is_open:
            self._connect()
        else:
            self._later(CLAIM_AGAIN_MS, self._claim)

    def _take_up(self, head: Head, run_id: str) -> None:
        """It is the engine that takes batches in: go on where this node was."""
        is_same = head.chain == self.ring.chain
        if head.seq < self.seq or (head.seq == self.seq and not is_same):
            self._end(Ending.FORKED, "entries that this node has read are in the log no more")
        elif head.base > self.seq:
            self._end(Ending.TRIMMED, f"the log begins with {head.base + 1}")
        else:
            self._ask(self._renewed, lambda beat: self._up(run_id, head.term, beat))

    def _up(self, run_id: str, term: int, beat: Beat) -> None:
        if not self._is_renewed(beat):
            return
        own = [lease.number for lease in beat.leases if lease.node == self.member.node]
        self._known = max(own, default=0)
        if not 0 <= self._number - self._known <= len(self._sent):
            self._end(Ending.FORKED, "the engine knows of other batches of this node")
            return
        self.is_up = True
        if term > self._term:
            self._term = term
            self._taken_over(term)
        if self._is_stuck:
            self._is_stuck = False
            self.stuck(None)
        self._read_at(run_id)
        self._propose()

    # ── The lease ────────────────────────────────────────────────────────────────────────────

    def _beat_on(self) -> None:
        if self._is_over:
            return
        self._writing.after(BEAT_MS, self._beat_on)
        if self.is_up:
            self._ask(self._renewed, self._beaten)

    def _renewed(self) -> Beat:
        return self._writer.beat(*self.member, self._status(self._asked))

    def _is_renewed(self, beat: Beat) -> bool:
        match beat.taken:
            case Taken.IN if self._is_taken(beat):
                self._end(Ending.FENCED, "somebody else has this node's lease")
            case Taken.IN:
                self._asked, self._last_known = beat.asked, beat.seq
                there = [lease for lease in beat.leases if lease.left_ms >= 0]
                own = self.member.node
                self._is_first = min([lease.node for lease in there], default=0) == own
                self._others = [
                    Seat(lease.node, lease.boot, lease.holder)
                    for lease in there
                    if lease.node != own
                ]
                return True
            case Taken.FENCED:
                self._end(Ending.FENCED, "this node's lease is over")
            case _:
                self._down(EngineDownError("another engine has taken over"))
        return False

    def _is_taken(self, beat: Beat) -> bool:
        """Whether the own lease is that of somebody else; one that was put back is nobody's."""
        holders = [lease.holder for lease in beat.leases if lease.node == self.member.node]
        return not {*holders} <= {"", self._holder}

    def _beaten(self, beat: Beat) -> None:
        if not self._is_renewed(beat) or not beat.may_lapse or self._is_lapsing:
            return
        for lease in beat.leases:
            if lease.left_ms < 0 and lease.node != self.member.node:
                self._lapse_one(lease.node, lease.boot)
                return

    def _lapse_one(self, node: int, boot: int) -> None:
        """A node is dead, or as good as that: have the log say so."""
        proposals = self._lapse(node, boot)
        count = sum(len(propose.events) for propose in proposals)
        origin, record = Origin(*self.member, 0, (node, boot)), encode_batch(proposals)

        def lapsed(is_done: bool) -> None:
            self._is_lapsing = False
            if is_done:
                self._complain(f"node {node} is gone without a word")

        self._is_lapsing = True
        self._ask(lambda: self._writer.lapse(origin, count, record), lapsed)

    # ── Proposing ────────────────────────────────────────────────────────────────────────────

    def _propose(self) -> None:
        """Have the oldest batch taken in that the engine does not know."""
        if not self.is_up or self._is_proposing or self._is_over:
            return
        unknown = self._number - self._known
        if not unknown:
            if not self._next:
                return
            self._make_batch()
            unknown = 1
        batch = self._sent[-unknown]  # what is known stands before it, until it has been read
        origin = Origin(*self.member, batch.number)
        self._is_proposing = True
        self._ask(
            lambda: self._writer.propose(origin, batch.size, batch.record),
            lambda taken: self._proposed(batch.number, taken),
        )

    def _make_batch(self) -> None:
        count = used = 0
        for propose in self._next:
            if count and count + len(propose.events) > MAX_EVENTS:
                break
            count += len(propose.events)
            used += 1
        proposals, self._next = self._next[:used], self._next[used:]
        self._number += 1
        self._sent.append(_Batch(self._number, count, encode_batch(proposals), proposals))

    def _proposed(self, number: int, taken: Taken) -> None:
        self._is_proposing = False
        match taken:
            case Taken.IN:
                self._known = max(self._known, number)
                self._propose()
            case Taken.FENCED:
                self._end(Ending.FENCED, "this node's lease is over")
            case Taken.GAP:
                self._end(Ending.FORKED, "the engine has lost what this node had proposed")
            case Taken.NEW_ENGINE:
                self._down(EngineDownError("another engine has taken over"))

    # ── Reading ──────────────────────────────────────────────────────────────────────────────

    def _read_at(self, run_id: str) -> None:
        """Read on the second connection, if it leads to the same engine."""

        def connect() -> None:
            if self._reader.connect().run_id != run_id:
                raise EngineDownError("there are two engines at the same address")

        self._ask_at(self._reading, connect, lambda _none: self._read())

    def _read(self) -> None:
        """Ask for what is next, also while what was read last is being delivered."""
        if self._is_reading or len(self._rows) > ROWS_AT_A_TIME:
            return
        self._is_reading = True
        after = self._rows[-1].last if self._rows else self.seq
        self._ask_at(self._reading, lambda: self._reader.read(after, BLOCK_MS), self._have_read)

    def _have_read(self, rows: Sequence[Row]) -> None:
        self._is_reading = False
        self._pause_ms = 0  # so it works, both ways
        is_idle = not self._rows
        self._rows += rows
        if rows:
            self._last_known = max(self._last_known, rows[-1].last)
        self._read()
        if is_idle:
            self._deliver()

    def _deliver(self) -> None:
        """Deliver some of what was read, and the rest soon."""
        entries: list[Entry] = []
        is_marked = False
        while self._rows and len(entries) < ENTRIES_AT_A_TIME and not is_marked:
            row = self._rows.popleft()
            first = self.seq + 1
            if not row.follows(self.seq, self.ring.chain):
                is_later = row.last - row.size > self.seq
                ending = Ending.TRIMMED if is_later else Ending.FORKED
                self._end(ending, f"entry {row.last} does not follow entry {self.seq}")
                return
            if self._is_own(row) and (not self._sent or row.record != self._sent[0].record):
                self._end(Ending.FORKED, f"entry {row.last} is of another one with the same boot")
                return
            try:
                entries += entries_of(self._batch_of(row), first, row.at)
            except ValueError as error:
                self._end(
                    Ending.UNREADABLE,
                    f"entry {first} cannot be read: {error}; it may be of a newer tcpchat: update",
                )
                return
            self.ring.add(row)
            is_marked = row.last // DIGEST_EVERY > (first - 1) // DIGEST_EVERY
        if entries:
            assert self._on_entries is not None, "the log is not open"
            self._on_entries(entries)
        if is_marked:
            self._mark()
        self._read()
        if self._rows:
            self._later(0, self._deliver)

    def _is_own(self, row: Row) -> bool:
        """Whether this node has proposed it, and it is counted."""
        return row.origin[:2] == self.member and row.origin.number > 0

    def _batch_of(self, row: Row) -> list[Propose]:
        """What was proposed. Raises ValueError."""
        if not self._is_own(row):
            return decode_batch(row.record)
        own = self._sent.popleft()
        assert own.number == row.origin.number, "an own batch comes in its turn"
        self._known = max(self._known, own.number)
        self.waiting -= own.size
        return own.proposals

    # ── The end ──────────────────────────────────────────────────────────────────────────────

    def _end(self, ending: Ending, sentence: str) -> None:
        if not self._is_over:
            self._is_over = True
            self._run += 1
            self._ended(ending, sentence)
