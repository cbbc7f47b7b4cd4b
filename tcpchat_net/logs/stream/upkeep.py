"""The upkeep of a shared log: what keeps a start quick, the engine small, and an archive whole.

Each round does what is due. The first of the nodes that are there has a snapshot made beside it
when many entries have passed since the last, and gives it to the engine, which lets go of all
before the one before. And every node fills its own archive from the log when that is behind.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Generator
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from tcpchat_core import ChatState
from tcpchat_net.happenings import Report, SnapshotTaken, nothing
from tcpchat_net.logs import Host, snapshots
from tcpchat_net.logs.archive import ArchiveError, ArchiveKeeper, DamagedError
from tcpchat_net.logs.chores import Chore, Rounds, Step
from tcpchat_net.logs.memory import wall_ms
from tcpchat_net.logs.replayer import END, Program, ReplayError, Task, packed
from tcpchat_net.logs.store import Batch
from tcpchat_net.logs.stream import NO_CHAIN, EngineError, Greeting, Head, NoLogError, Row, Snapshot
from tcpchat_net.logs.stream.commands import Commands
from tcpchat_net.logs.stream.log import StreamLog

# How many entries a start may have to replay: some tenths of a second.
SNAPSHOT_EVERY: Final = 100_000

# How often it is looked what is due.
ROUND_MS: Final = 20_000


class StreamUpkeep:
    """The upkeep of a node's log. Call `begin` when the log is open.

    `engine` is a connection of its own, used where `aside` does its work. `keeper` is the node's
    archive, if it has one. The rest is as for `Upkeep`.
    """

    def __init__(
        self,
        engine: Commands,
        log: StreamLog,
        keeper: ArchiveKeeper | None,
        *,
        aside: Host,
        replay: Callable[[Task], Program],
        every: int = SNAPSHOT_EVERY,
        complain: Callable[[str], None],
        report: Report = nothing,
    ) -> None:
        self._engine, self._log, self._keeper = engine, log, keeper
        self._aside = aside
        self._replay = replay
        self._every = every
        self._complain, self._report = complain, report
        self._rounds = Rounds(
            self._round,
            aside,
            pause_ms=ROUND_MS,
            later=(EngineError, ReplayError, ArchiveError, OSError),
            complain=complain,
        )

    def begin(self) -> None:
        """Look what is due, again and again."""
        self._rounds.begin()

    def stop(self) -> None:
        """Begin nothing more, and let go of what is half done."""
        self._rounds.stop()

    # ── One round ────────────────────────────────────────────────────────────────────────────

    def _round(self) -> Chore:
        is_behind = self._keeper is not None and self._keeper.is_behind
        if not (is_behind or self._log.is_first):
            return
        greeting: Greeting = yield Step(self._aside, self._engine.connect)
        try:
            head = greeting.head
            if head is None:
                raise NoLogError("the engine has no such log any more")
            if self._keeper is not None and is_behind:
                yield from self._fill(self._keeper, head)
            if self._log.is_first and self._log.seq - head.snapshot >= self._every:
                yield from self._take_snapshot(head)
        finally:
            self._engine.close()

    def _take_snapshot(self, head: Head) -> Chore:
        """Have a snapshot made, and give it to the engine."""
        began = wall_ms()
        with tempfile.TemporaryDirectory(prefix="tcpchat-snapshot-") as made:
            folder = Path(made)
            base = yield from self._base(folder, head, newest=True)
            last = yield from self._replayed(Task(made, base), base, self._log.seq)
            if last is None:
                return
            path = snapshots.path_of(folder, last.last)
            data = yield Step(self._aside, partial(snapshots.read_bytes, path))
            taken = Snapshot(last.last, last.chain, sha256(data).hexdigest(), data)
            yield Step(self._aside, partial(self._engine.publish, taken))
            self._report(SnapshotTaken(last.last, wall_ms() - began))

    def _fill(self, keeper: ArchiveKeeper, head: Head) -> Chore:
        """Replay what the archive lacks, as far as the log and its snapshots reach."""
        if keeper.is_damaged:
            damaged = yield Step(keeper.host, keeper.store.renew)
            keeper.is_damaged = False
            if damaged is not None:
                self._complain(f"the archive is damaged; it is now {damaged.name}")
        reached = yield Step(keeper.host, keeper.store.reached)
        folder = keeper.store.path.parent
        base = yield from self._base(folder, head, newest=reached >= head.snapshot)
        if reached < base and keeper.store.is_new:
            self._complain(
                f"what was said between the entries {reached} and {base} is not in the archive any"
                f" more, which is filled from the log: the log begins with {base + 1}"
            )
        keeper.store.is_new = False
        place = keeper.place()
        task = Task(str(folder), base, fills=True)
        try:
            last = yield from self._replayed(task, base, self._log.seq, keeper)
            if place is not None and last is not None:  # the epoch is not a later one than there
                point = place._replace(seq=last.last, chain=last.chain)
                yield Step(keeper.host, partial(keeper.store.add, (), point.seq, point))
        except DamagedError as error:
            keeper.fall_behind(error)
            raise ReplayError(str(error)) from error
        finally:
            snapshots.path_of(folder, base).unlink(missing_ok=True)
        keeper.caught_up()

    def _base(self, folder: Path, head: Head, *, newest: bool) -> Generator[Step, Any, int]:
        """Have a snapshot in a folder to go on from, the newest or the oldest; its number."""
        snapshot: Snapshot | None = None
        if newest or head.base:
            snapshot = yield Step(self._aside, partial(self._engine.snapshot, base=not newest))
        if snapshot is None:
            fresh = ChatState(epoch=head.epoch).snapshot()
            snapshot = Snapshot(0, NO_CHAIN, "", fresh)
        write = partial(snapshots.write_bytes, folder, snapshot.seq, snapshot.data)
        yield Step(self._aside, write)
        return snapshot.seq

    def _replayed(
        self, task: Task, base: int, upto: int, keeper: ArchiveKeeper | None = None
    ) -> Generator[Step | int, Any, Row | None]:
        """Have the batches behind a snapshot, up to an entry, replayed beside the server; the last
        of them, if there are any.
        """
        program = yield Step(self._aside, partial(self._replay, task))
        try:
            last = yield from self._hand_over(program, base, upto)
            if keeper is not None:
                # From here on the archive collects itself, so what there is now is the rest.
                keeper.catching_up()
                after = base if last is None else last.last
                last = (yield from self._hand_over(program, after, self._log.seq)) or last
            yield Step(self._aside, partial(program.write, END))
            yield Step(self._aside, program.finish)
        finally:
            program.kill()
        return last

    def _hand_over(
        self, program: Program, after: int, upto: int
    ) -> Generator[Step, Any, Row | None]:
        last: Row | None = None
        while after < upto and (
            rows := (yield Step(self._aside, partial(self._engine.range, after, upto)))
        ):
            last = rows[-1]
            data = b"".join(
                packed(Batch(row.last - row.size + 1, row.last, row.at, row.record)) for row in rows
            )
            yield Step(self._aside, partial(program.write, data))
            after = last.last
        return last
