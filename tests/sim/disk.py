"""The disk of the node under test, and what may happen to it: it is full, it fails, it goes dark.

The files are real ones, written by the modules that ship; what is simulated is when each write
happens, and when its end is told. A node that dies between the two has written what it never told
of.
"""

from __future__ import annotations

import random
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

from tcpchat_core import ChatState, Entry
from tcpchat_net.logs import snapshots
from tcpchat_net.logs.archive import ARCHIVE_NAME, ArchiveError, ArchiveStore
from tcpchat_net.logs.records import decode_batch, entries_of
from tcpchat_net.logs.recovery import recover
from tcpchat_net.logs.replayer import InProcess, ReplayError
from tcpchat_net.logs.store import Batch, FullError, Store, StoreError
from tests.sim.clock import Clock
from tests.sim.config import Config
from tests.sim.parts import Parts

# How many entries a start may have to replay: in a simulation there are some hundred.
SNAPSHOT_EVERY = 60


class Disk:
    """What outlasts the node."""

    def __init__(self, config: Config, clock: Clock) -> None:
        self._made = tempfile.TemporaryDirectory(prefix="tcpchat-sim-")
        self.folder = Path(self._made.name)
        self.config, self.clock = config, clock
        self.draw = random.Random(f"disk in {config.seed}")
        self.fails = False
        self.lost = 0  # what was said up to this entry the archive may lack
        self._death: tuple[int, Callable[[], None]] | None = None
        self._older = b""  # the archive as it was at an earlier death

    @property
    def is_full(self) -> bool:
        """Whether there is no room now."""
        full_at = self.config.full_at
        return bool(full_at) and full_at <= self.clock.now < full_at + self.config.full_for

    def die_after(self, steps: int, die: Callable[[], None]) -> None:
        """Have the node die at the end of so many more things that are done with the disk."""
        self._death = (steps, die)

    def step(self) -> None:
        """Something is about to be done, or was done just now."""
        if self._death is not None:
            steps, die = self._death
            self._death = (steps - 1, die) if steps else None
            if not steps:
                die()

    def harm_archive(self) -> None:
        """Something happens to the archive, or nothing; nobody uses it meanwhile."""
        path = self.folder / ARCHIVE_NAME
        now = path.read_bytes()
        match self.draw.choice(("", "gone", "damaged", "older", "older")):
            case "gone":
                path.unlink()
            case "damaged":
                path.write_bytes(b"?" * len(now))
            case "older" if self._older:
                path.write_bytes(self._older)
            case _:
                self._older = now
                return
        # It is filled as far as the log reaches, and that is back to the oldest snapshot.
        self.lost = self.snapshots()[0]

    def snapshots(self) -> list[int]:
        """The numbers of all snapshots, the oldest first."""
        return [seq for seq, _ in snapshots.listed(self.folder)]

    def files(self) -> bytes:
        """All that stands in the files."""
        return b"".join(path.read_bytes() for path in sorted(self.folder.iterdir()))

    def entries(self) -> list[Entry]:
        """All that the log holds; nobody may use it meanwhile."""
        store = Store(self.folder)
        store.open()
        found = [
            entry
            for batch in store.read_all(0)
            for entry in entries_of(decode_batch(batch.record), batch.first, batch.at)
        ]
        store.close()
        return found

    def remove(self) -> None:
        """The simulation is over."""
        self._made.cleanup()


class SickStore(Store):
    """The log's file, on this disk."""

    def __init__(self, disk: Disk) -> None:
        # When a write is done is for the simulation to say, and not for the system's own disk.
        super().__init__(disk.folder, is_synced=False)
        self._disk = disk

    def append(self, batch: Batch) -> None:
        """As the disk does."""
        if self._disk.is_full:
            raise FullError("there is no room")
        if self._disk.fails:
            if self._disk.draw.random() < 0.5:  # nobody knows what it has written
                super().append(batch)
            raise StoreError("the disk fails")
        super().append(batch)


class SimHost:
    """A thread that works with the disk: one thing after the other, each in its time."""

    def __init__(self, disk: Disk) -> None:
        self._disk = disk
        self._free_at = self._told_at = 0
        self.is_dead = False

    def run(
        self, function: Callable[[], None], done: Callable[[BaseException | None], None]
    ) -> None:
        """Do it, and tell of it, each after a while."""
        clock, most, draw = self._disk.clock, self._disk.config.disk_ms, self._disk.draw
        self._free_at = max(self._free_at, clock.now + draw.randint(0, most))
        told_in = draw.randint(0, most)
        clock.at(self._free_at, lambda: self._do(function, done, told_in))

    def _do(
        self,
        function: Callable[[], None],
        done: Callable[[BaseException | None], None],
        told_in: int,
    ) -> None:
        self._disk.step()
        if self.is_dead:
            return
        failure: BaseException | None = None
        try:
            function()
        except (StoreError, ArchiveError, ReplayError, OSError) as error:
            failure = error
        self._disk.step()
        clock = self._disk.clock
        self._told_at = max(self._told_at, clock.now + told_in)
        clock.at(self._told_at, partial(self._unless_dead, partial(done, failure)))

    def _unless_dead(self, callback: Callable[[], None]) -> None:
        if not self.is_dead:
            callback()

    def after(self, ms: int, callback: Callable[[], None]) -> None:
        """Call back then."""
        self._disk.clock.after(ms, partial(self._unless_dead, callback))


class Kept:
    """What one boot of the node has on the disk: its log, its archive, its upkeep."""

    def __init__(
        self,
        disk: Disk,
        parts: Parts,
        fresh: Callable[[], ChatState],
        now: Callable[[], int],
        failed: Callable[[], None],
    ) -> None:
        self.store, self._archive = SickStore(disk), ArchiveStore(disk.folder)
        self.store.open()
        recovered = recover(self.store, fresh, self._archive, complain=lambda _why: None)
        self.state = recovered.state
        self._hosts = host, aside, library = SimHost(disk), SimHost(disk), SimHost(disk)
        self.log = parts.durable(
            self.store, host, failed=lambda _error: failed(), full=self._full, clock=now
        )
        self.is_stuck: Callable[[bool], None] = lambda _is_stuck: None
        self.keeper = parts.keeper(
            self._archive, library, lambda _why: None, is_behind=recovered.is_behind
        )
        self.upkeep = parts.upkeep(
            self.store,
            self.log,
            self.keeper,
            host=host,
            aside=aside,
            replay=InProcess,
            keep_ms=disk.config.keep_ms,
            every=SNAPSHOT_EVERY,
            complain=lambda _why: None,
            failed=lambda _error: failed(),
            clock=now,
        )

    def _full(self, is_full: bool) -> None:
        self.is_stuck(is_full)

    def die(self) -> None:
        """From here on nothing is done, and nothing that was done is told."""
        for host in self._hosts:
            host.is_dead = True
        self.upkeep.stop()
        self.store.close()
        self._archive.close()

    def archived(self, key: str) -> list[tuple[str, int, int]]:
        """What the archive has of a room, when all that it was given is in it: text, seq, at."""
        found: list[tuple[str, int, int]] = []
        after = 0
        while page := self._archive.everything(key, after):
            found += [(said.text, said.seq, said.at) for said in page]
            after = page[-1].seq
        return found
