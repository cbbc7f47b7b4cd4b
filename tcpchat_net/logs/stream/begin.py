"""How a node begins: with the state that the shared log comes to, and a lease.

All of this waits, on one connection to the engine; nobody is served meanwhile.
"""

from __future__ import annotations

import gc
import hashlib
from bisect import bisect_left
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from tcpchat_core import ChatState
from tcpchat_core.archive import Archived
from tcpchat_net.logs.archive import ArchiveStore, DamagedError, Point
from tcpchat_net.logs.recovery import cut_archive, unless_damaged
from tcpchat_net.logs.replayer import SAID_AT_A_TIME, replay_batch
from tcpchat_net.logs.store import Batch
from tcpchat_net.logs.stream import (
    LEASE_MS,
    NO_CHAIN,
    NO_SEAT,
    ROWS_AT_A_TIME,
    Engine,
    EngineDownError,
    EngineRefusedError,
    Head,
    Joined,
    LeftBehindError,
    NewerFormatError,
    NoLogError,
    Row,
    divergence,
)
from tcpchat_net.logs.stream.log import CLAIM_AGAIN_MS, Member
from tcpchat_net.logs.stream.ring import Ring

# How long before it is looked again whether somebody else still has a node's number.
_HELD_AGAIN_MS: Final = 250


class Begun(NamedTuple):
    """A node that can be opened: who it is, where in the log, and the state there."""

    member: Member
    ring: Ring
    state: ChatState
    epoch: str
    term: int


def begin(
    engine: Engine,
    *,
    node: int,
    holder: str,
    fresh_epoch: str,
    known_epoch: str,
    known_term: int = 0,
    archive: ArchiveStore | None,
    sleep: Callable[[int], None],
    complain: Callable[[str], None],
    progress: Callable[[int, int], None] = lambda _reached, _last: None,
) -> Begun:
    """Come to the end of the log, which is made if there is none, and take a lease there.

    `node` is a number, or 0 for one that is free; `holder` says who this is, and who says the same
    may take over what it has. A log that has to be made gets `fresh_epoch`; with `known_epoch` it
    has to be there, and to be that one, at an engine of `known_term` or a later one. `archive` is
    opened, and brought up to the log. `sleep` waits for so many ms. Raises EngineError, and
    ArchiveError.
    """
    gc.disable()  # as in `recover`
    try:
        found = _head(engine, fresh_epoch, known_epoch)
        head = _taken_over(engine, found, known_term, sleep)
        joined: Joined | None = None
        reader: _Reader | None = None
        while reader is None or joined is None:
            try:
                reader = _Reader(engine, head, archive, complain, progress)
                reader.catch_up()
                joined = joined or _joined(engine, node, holder, sleep)
                while reader.ring.seq < joined.seq:
                    reader.catch_up()
                reader.finish()
            except DamagedError as error:
                assert archive is not None, "it is the archive's"
                complain(f"{error}; it is now {archive.put_aside().name}, and is filled anew")
                reader = None
    finally:
        gc.enable()
    member = Member(joined.node, joined.boot)
    return Begun(member, reader.ring, reader.state, head.epoch, head.term)


def _head(engine: Engine, fresh_epoch: str, known_epoch: str) -> Head:
    greeting = engine.connect()
    if not greeting.is_primary:
        raise EngineDownError("the engine is a replica, which takes nothing in")
    head = greeting.head
    if head is None:
        if known_epoch:
            raise NoLogError(
                "the engine has no such log, and what was said in it is in this node's folder:"
                " give the engine its data back, or give another folder with --data"
            )
        head = engine.create(fresh_epoch)
    if known_epoch not in ("", head.epoch):
        raise EngineRefusedError(
            "this node's folder is of another log: give another folder with --data"
        )
    return head


def _taken_over(engine: Engine, head: Head, known_term: int, sleep: Callable[[int], None]) -> Head:
    """Wait until the engine takes batches in. The nodes that are there have put back by then what
    it had lost; nobody is waited for longer than a lease's time.
    """
    greeting = engine.connect()
    while greeting.head is not None and greeting.head.engine != greeting.run_id:
        diverged = divergence(greeting.head, greeting.run_id)
        if not engine.claim(NO_SEAT, known_term, diverged):
            sleep(CLAIM_AGAIN_MS)
        greeting = engine.connect()
    head = greeting.head or head
    if head.term < known_term:
        raise LeftBehindError(head.term, known_term)
    return head


def _joined(engine: Engine, node: int, holder: str, sleep: Callable[[int], None]) -> Joined:
    """Take a lease; one that nobody renews is waited for."""
    waited = 0
    while not (joined := engine.join(node, holder)).boot:
        if waited + joined.left_ms > LEASE_MS + _HELD_AGAIN_MS:
            raise EngineRefusedError(
                f"node {node} is there already: {joined.holder} has the number; give another, or"
                " none to be given a free one"
            )
        sleep(_HELD_AGAIN_MS)
        waited += _HELD_AGAIN_MS
    return joined


class _Reader:
    """Reads the log from its last snapshot on, and gives the archive what that lacks."""

    def __init__(
        self,
        engine: Engine,
        head: Head,
        archive: ArchiveStore | None,
        complain: Callable[[str], None],
        progress: Callable[[int, int], None],
    ) -> None:
        self._engine, self._head = engine, head
        self._archive, self._complain, self._progress = archive, complain, progress
        self._said: list[Archived] = []
        self._known = self._opened(archive)
        self.state = ChatState(epoch=head.epoch)
        self.ring = Ring(0, NO_CHAIN)
        self._restore()

    def _restore(self) -> None:
        """Go on from a snapshot: the newest, or the oldest if the archive lacks what it holds."""
        engine, head, archive, complain = self._engine, self._head, self._archive, self._complain
        is_older = archive is not None and self._known < head.snapshot
        snapshot = (is_older and engine.snapshot(base=True)) or engine.snapshot()
        if snapshot is not None and not (is_older and not head.base):
            if hashlib.sha256(snapshot.data).hexdigest() != snapshot.digest:
                raise EngineRefusedError(f"the snapshot of entry {snapshot.seq} is damaged")
            self.state = ChatState.restore(snapshot.data)
            self.ring = Ring(snapshot.seq, snapshot.chain)
        if archive is not None and self._known < self.state.seq:
            complain(
                f"what was said between the entries {self._known} and {self.state.seq} is not in"
                " this node's archive: it was away for too long"
            )
            self._known = self.state.seq

    def _opened(self, archive: ArchiveStore | None) -> int:
        """Open an archive; which entry it has reached."""
        if archive is None:
            return 0
        unless_damaged(archive, archive.open, self._complain)
        unless_damaged(archive, archive.reached, self._complain)
        known, points = archive.reached(), archive.points()
        common = self._common(archive, points) if known else 0
        if known > self._head.seq or (points and common < points[0].seq):
            cut_archive(archive, common, self._complain)
        elif known > common:  # what came behind the last point is in the log, too
            archive.forget_beyond(common)
        return common

    def _common(self, archive: ArchiveStore, points: Sequence[Point]) -> int:
        """Up to where an archive is certain to be of this log, and not of an end that is lost.

        Raises DamagedError when that cannot be said.
        """
        engine, base = self._engine, self._head.base

        def is_common(point: Point) -> bool:
            return engine.chain(point.seq) == point.chain

        kept = [point for point in points if point.seq > base]
        if kept and not is_common(kept[0]):
            kept = kept[bisect_left(kept, 1, key=is_common) :]  # all before a common one are, too
        if kept or not base:
            return kept[0].seq if kept else 0
        # Before the log's beginning there is nothing to compare with. But an end that is lost is
        # that of an epoch, and the state knows where those have ended.
        older = next((point for point in points if point.seq <= base), None)
        snapshot = engine.snapshot(base=True) if older else None
        if older and snapshot:
            common = ChatState.restore(snapshot.data).common_with(older.epoch)
            if common is not None:
                return min(older.seq, common)
        raise DamagedError(f"{archive.path} may have what the log has lost")

    def catch_up(self) -> None:
        """Read all that there is now. Where others talk, more has come by then: nobody waits for a
        moment in which there is nothing.
        """
        is_at_end = False
        while not is_at_end:
            rows = self._engine.read(self.ring.seq, 0)
            if rows and rows[0].last - rows[0].size > self.ring.seq:
                self._skip()
                continue
            is_at_end = len(rows) < ROWS_AT_A_TIME
            for row in rows:
                self._read(row)
            if len(self._said) >= SAID_AT_A_TIME:
                self.finish()
            self._progress(self.state.seq, max(self.state.seq, self._head.seq))

    def _skip(self) -> None:
        """The log was cut behind a newer snapshot while this one was read on from: take that."""
        self.finish()
        self._known = max(self._known, self.state.seq)
        seq, head = self.ring.seq, self._engine.connect().head
        if head is None:
            raise NoLogError("the engine has lost the log")
        self._head = head
        self._restore()
        if self.ring.seq <= seq:
            raise EngineRefusedError(f"the log is damaged: what comes after entry {seq} is missing")

    def _read(self, row: Row) -> None:
        if not row.follows(self.ring.seq, self.ring.chain):
            raise EngineRefusedError(
                f"the log is damaged: its entry {row.last} does not follow entry {self.ring.seq}"
            )
        batch = Batch(self.ring.seq + 1, row.last, row.at, row.record)
        known = self._known if self._archive is not None else row.last
        try:
            self._said += replay_batch(self.state, batch, known)
        except ValueError as error:
            raise NewerFormatError(
                f"entry {batch.first} cannot be read: {error}; it may be of a newer tcpchat: update"
            ) from error
        self.ring.add(row)

    def finish(self) -> None:
        """Give the archive what it lacks."""
        if self._archive is not None:
            point = Point(self.ring.seq, self.ring.chain, self.state.epoch)
            self._archive.add(self._said, point.seq, point)
            self._said.clear()
