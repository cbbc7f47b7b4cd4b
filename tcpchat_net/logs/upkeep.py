"""Upkeep: what a log needs while its server runs, so that the next start is quick and the disk is
not filled for ever.

A folder holds the log, and two snapshots: the *base*, behind which the log begins, and the newest
one, from which a start goes on. Each round does what is due:

- An archive that is behind is filled from the log.
- A new snapshot is written when many entries, or a day, have passed since the last.
- With a time for which things are kept, what is past it is forgotten: by the state
  (`events.Forget`), by the log, whose base moves on, and by the archive.

Rule 1: The log is cut only behind a snapshot that the disk has. However a round ends, the next
        start finds a snapshot and every entry behind it.

Rule 2: Nothing here holds the log up for longer than it takes to read some rows, or, when something
        is forgotten, to write some megabytes.

Rule 3: What a snapshot says of a time that is past is nothing: it is written after the state has
        forgotten it, and the one before it is removed.
"""

from __future__ import annotations

import os
import shutil
from collections import deque
from collections.abc import Callable, Generator
from functools import partial
from pathlib import Path
from typing import Any, Final

from tcpchat_core import Propose, events
from tcpchat_net.happenings import Forgotten, Report, SnapshotTaken, nothing
from tcpchat_net.logs import Host, snapshots
from tcpchat_net.logs.archive import ArchiveError, ArchiveKeeper, DamagedError
from tcpchat_net.logs.chores import Chore, Rounds, Step
from tcpchat_net.logs.durable import DurableLog
from tcpchat_net.logs.memory import wall_ms
from tcpchat_net.logs.replayer import END, Program, ReplayError, Task, packed
from tcpchat_net.logs.store import MAX_SEQ, FullError, Store, StoreError

# How many entries a start may have to replay: some tenths of a second.
SNAPSHOT_EVERY: Final = 200_000
# … or how long a snapshot may be the newest, when anything has happened since.
SNAPSHOT_EVERY_MS: Final = 24 * 60 * 60 * 1_000

# How often it is looked what is due.
ROUND_MS: Final = 60_000

# How late what is past its time may be forgotten: a tenth of the time, and a day at most.
LATENESS: Final = 10
MAX_LATENESS_MS: Final = 24 * 60 * 60 * 1_000

# How long to wait before it is looked again whether an entry has been taken in.
WAIT_MS: Final = 50


class NoSnapshotError(ReplayError):
    """There is no snapshot to go on from."""


class Upkeep:
    """The upkeep of a log and its archive. Call `begin` when the log is open.

    `host` is where the log does its writing, `aside` another one for what would hold it up.
    `replay` starts a replay beside the server. What was said is kept for `keep_ms`; for ever, if
    that is None. `every` is how many entries a start may have to replay. `complain` is told what
    did not work and will be tried again; `failed` is called with what ended the log. `progress` is
    told which entry a replay has reached, and its last. `report` is told what was done.
    """

    def __init__(
        self,
        store: Store,
        log: DurableLog,
        archive: ArchiveKeeper,
        *,
        host: Host,
        aside: Host,
        replay: Callable[[Task], Program],
        keep_ms: int | None,
        every: int = SNAPSHOT_EVERY,
        complain: Callable[[str], None],
        failed: Callable[[StoreError], None],
        clock: Callable[[], int] = wall_ms,
        progress: Callable[[int, int], None] = lambda _reached, _last: None,
        report: Report = nothing,
    ) -> None:
        self._store = store
        self._folder = store.folder
        self._log = log
        self._host, self._aside = host, aside
        self._replay = replay
        self._archive = archive
        self._every = every
        self._complain = complain
        self._failed = failed
        self._clock = clock
        self._progress = progress
        self._report = report
        self._taken_at = clock()
        self._set_keep(keep_ms)
        self._backups: deque[tuple[Path, Callable[[Exception | None], None]]] = deque()
        self._rounds = Rounds(
            self._round,
            host,
            pause_ms=self._pause_ms,
            later=(FullError, ReplayError, ArchiveError, OSError),
            complain=complain,
            failed=self._fail,
            is_due=lambda: bool(self._backups),
        )

    def begin(self) -> None:
        """Look what is due, again and again."""
        self._rounds.begin()

    def back_up(self, target: Path, done: Callable[[Exception | None], None]) -> None:
        """Write a copy of the folder into an empty one, soon; then call `done`.

        (It is a part of a round, so that nothing is cut off meanwhile.)
        """
        self._backups.append((target, done))
        self._rounds.hurry()

    def keep(self, keep_ms: int | None) -> None:
        """Keep what was said for another time: what is older by now is forgotten soon."""
        if keep_ms != self._keep_ms:
            self._set_keep(keep_ms)
            self._rounds.set_pause(self._pause_ms)
            self._rounds.hurry()

    def _set_keep(self, keep_ms: int | None) -> None:
        self._keep_ms = keep_ms
        self._pause_ms = ROUND_MS
        self._forgotten_at: int | None = None
        if keep_ms is not None:
            self._lateness_ms = min(keep_ms // LATENESS, MAX_LATENESS_MS)
            self._pause_ms = max(1, min(ROUND_MS, self._lateness_ms))

    def stop(self) -> None:
        """Begin nothing more, and let go of what is half done."""
        self._rounds.stop()

    def _fail(self, error: Exception) -> None:
        if not isinstance(error, StoreError):
            raise error
        self._failed(error)

    # ── One round ────────────────────────────────────────────────────────────────────────────

    def _round(self) -> Chore:
        folder, now = self._folder, self._clock()
        while self._backups:
            yield from self._back_up_next()
        first = yield Step(self._host, self._store.first)
        yield Step(self._aside, partial(snapshots.remove_useless, folder, first))
        if self._archive.is_behind:
            yield from self._fill_archive()
        keep_ms = self._keep_ms
        if keep_ms is not None and (
            self._forgotten_at is None or now - self._forgotten_at >= self._lateness_ms
        ):
            yield from self._forget(now - keep_ms)
            self._taken_at = now
            if keep_ms == self._keep_ms:  # it may have been changed meanwhile
                self._forgotten_at = now
            return
        newest = yield from self._newest_whole()
        passed = self._log.seq - newest
        if passed >= self._every or (passed and now - self._taken_at >= SNAPSHOT_EVERY_MS):
            yield from self._take_newest()
            self._taken_at = now

    def compact(self) -> Chore:
        """Make the folder as small as it can be: what was said, and the state of now.

        The log is cut when it has been seen that the archive has all of it.
        """
        archive = self._archive
        try:
            yield Step(archive.host, archive.store.check)
        except DamagedError as error:
            archive.fall_behind(error)
        if archive.is_behind:
            yield from self._fill_archive()
        # Also when nothing is to be forgotten: the log's last entry stays, and is to say nothing.
        yield from self._forget(0 if self._keep_ms is None else self._clock() - self._keep_ms)
        yield from self._rewrite_archive()
        store, upto = self._store, self._log.seq
        yield from self._snapshot(upto)
        while (yield Step(self._host, partial(store.cut, upto))):
            pass
        yield Step(self._aside, partial(snapshots.keep_only, self._folder, upto))
        yield Step(self._host, store.vacuum)

    def _back_up_next(self) -> Chore:
        target, done = self._backups.popleft()
        try:
            yield from self.copy(target)
        except (StoreError, ArchiveError, OSError) as error:
            done(error)
        else:
            done(None)

    def copy(self, target: Path) -> Chore:
        """Write a copy of the folder, as it is now, into a folder that is empty."""
        store = self._store
        if not os.access(target, os.W_OK | os.X_OK):
            raise StoreError(
                f"the server cannot write to {target}, or has another folder there; have the"
                " backup written to where it can, such as its own folder"
            )
        copy, archive = Store(target), self._archive
        yield Step(self._aside, copy.open)
        try:
            # Before the log is: an archive may be behind its log, and not before it.
            kept = target / archive.store.path.name
            yield Step(archive.host, partial(archive.store.back_up, kept))
            upto = self._log.seq
            for key, value in (yield Step(self._host, store.all_meta)):
                yield Step(self._aside, partial(copy.set_meta, key, value))
            listed = yield Step(self._aside, partial(snapshots.listed, self._folder))
            for _, path in listed:
                yield Step(self._aside, partial(shutil.copy2, path, target))
            after = 0
            while batches := (yield Step(self._host, partial(store.read, after, upto))):
                after = batches[-1].last
                yield Step(self._aside, partial(copy.append_all, batches))
        finally:
            copy.close()

    def _take_newest(self) -> Chore:
        """Write a snapshot of now, in place of the newest one."""
        folder, upto, began = self._folder, self._log.seq, self._clock()
        yield from self._snapshot(upto)
        self._report(SnapshotTaken(upto, self._clock() - began))
        (base, _), *_ = yield Step(self._aside, partial(snapshots.listed, folder))
        yield Step(self._aside, partial(snapshots.keep_only, folder, base, upto))

    def _forget(self, before: int) -> Chore:
        """Forget what was said before a time, everywhere."""
        # First the state, then what is written of it.
        self._log.propose([Propose(0, 0, (events.Forget(before),))])
        promised = self._log.promised
        while self._log.seq < promised:
            yield WAIT_MS
        yield from self._take_newest()
        yield from self._move_base(before)
        yield from self._trim_archive(before)
        self._report(Forgotten(before))

    def _move_base(self, before: int) -> Chore:
        """Have the log begin where a time begins."""
        folder, store = self._folder, self._store
        listed = yield Step(self._aside, partial(snapshots.listed, folder))
        base, newest = listed[0][0], listed[-1][0]
        last = yield Step(self._host, partial(store.last_before, before))
        upto = min(max(base, last), newest)
        if upto < newest:
            try:
                yield from self._snapshot(upto, before)
            except NoSnapshotError:  # the base is damaged, so nobody can go on from there
                upto = newest
        while (yield Step(self._host, partial(store.cut, upto))):
            pass
        yield Step(self._aside, partial(snapshots.keep_only, folder, upto, newest))
        yield Step(self._host, store.checkpoint)

    def _trim_archive(self, before: int) -> Chore:
        self._archive.flush()  # what waits for it may be past its time, too
        archive = self._archive.store
        host = self._archive.host
        if not (yield Step(host, partial(archive.trim, before))):
            return
        while (yield Step(host, partial(archive.trim, before))):
            pass
        yield from self._rewrite_archive()

    def _rewrite_archive(self) -> Chore:
        archive, host = self._archive.store, self._archive.host
        yield Step(host, archive.begin_merge)
        while (yield Step(host, archive.merge)):
            pass
        yield Step(host, archive.vacuum)

    def _fill_archive(self) -> Chore:
        """Replay what the archive lacks, as far as the log and its snapshots reach."""
        folder, archive = self._folder, self._archive
        if archive.is_damaged:
            damaged = yield Step(archive.host, archive.store.renew)
            archive.is_damaged = False
            if damaged is not None:
                self._complain(f"the archive is damaged; it is now {damaged.name}")
        reached = yield Step(archive.host, archive.store.reached)
        start = yield Step(self._aside, partial(snapshots.newest_whole, folder, reached))
        if start is None:
            start = yield Step(self._aside, partial(snapshots.oldest_whole, folder))
            if start is None:
                raise self._no_snapshot()
            if archive.store.is_new:
                self._complain(
                    f"what was said between the entries {reached} and {start} is not in the archive"
                    f" any more, which is filled from the log: the log begins with {start + 1}"
                )
        archive.store.is_new = False
        try:
            yield from self._replayed(Task(str(folder), start, fills=True), self._log.seq)
        except DamagedError as error:
            archive.fall_behind(error)
            raise ReplayError(str(error)) from error
        archive.caught_up()

    # ── Replaying ────────────────────────────────────────────────────────────────────────────

    def _snapshot(self, upto: int, forget: int = 0) -> Chore:
        """Write the snapshot of an entry that the log has, which is the last of its row."""
        start = yield from self._newest_whole(upto)
        yield from self._replayed(Task(str(self._folder), start, forget=forget), upto)

    def _newest_whole(self, upto: int = MAX_SEQ) -> Generator[Step, Any, int]:
        """The number of the last snapshot that is whole, and at most `upto`."""
        seq = yield Step(self._aside, partial(snapshots.newest_whole, self._folder, upto))
        if seq is None:
            raise self._no_snapshot()
        return int(seq)

    def _no_snapshot(self) -> NoSnapshotError:
        return NoSnapshotError(
            f"no snapshot in {self._folder} is whole; start the server again, which reads all of"
            " the log"
        )

    def _replayed(self, task: Task, upto: int) -> Chore:
        """Have the batches behind a snapshot, up to an entry, replayed beside the server."""
        program = yield Step(self._aside, partial(self._replay, task))
        try:
            after = yield from self._hand_over(program, task.start, upto)
            if task.fills:
                # From here on the archive collects itself, so what there is now is the rest.
                self._archive.catching_up()
                yield from self._hand_over(program, after, self._log.seq)
            # A log that does not wait for the disk is not to end before its snapshot.
            yield Step(self._host, self._store.checkpoint)
            yield Step(self._aside, partial(program.write, END))
            yield Step(self._aside, program.finish)
        finally:
            program.kill()

    def _hand_over(self, program: Program, after: int, upto: int) -> Generator[Step, Any, int]:
        """Give a replay all batches of some entries; returns the number of the last."""
        while batches := (yield Step(self._host, partial(self._store.read, after, upto))):
            after = batches[-1].last
            self._progress(after, upto)
            data = b"".join(map(packed, batches))
            yield Step(self._aside, partial(program.write, data))
        return after
