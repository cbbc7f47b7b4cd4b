"""`python -m benchmarks.kept`: what a folder full of conversation costs.

A log is made as a server writes it, and its archive; then the server is started on it. Told are:
how many entries a second a recovery replays, how soon the server listens, how long it stands still
while a snapshot is taken, how long a search and a page of history take, how large the files are.
"""

from __future__ import annotations

import argparse
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from itertools import accumulate
from pathlib import Path
from typing import Final

import gevent
from rich.console import Console
from rich.table import Table

from tcpchat_core import ChatState, Entry, Event, Propose, events
from tcpchat_core.archive import Archived, Inquiry, Matches, Page, Place
from tcpchat_core.events import connection_number
from tcpchat_core.server.archiving import what_was_said
from tcpchat_net.log_thread import Child, LogThread
from tcpchat_net.logs import snapshots
from tcpchat_net.logs.archive import ARCHIVE_NAME, ArchiveKeeper, ArchiveStore
from tcpchat_net.logs.durable import DurableLog
from tcpchat_net.logs.records import encode_batch
from tcpchat_net.logs.recovery import recover
from tcpchat_net.logs.store import LOG_NAME, MAX_SEQ, Batch, Store
from tcpchat_net.logs.upkeep import SNAPSHOT_EVERY, Upkeep

MESSAGES: Final = 1_000_000
SESSIONS: Final = 10_000
ROOMS: Final = 1_000
# So many words are a message; as in a language, the n-th of a vocabulary is said 1/n as often.
WORDS: Final = 9
VOCABULARY: Final = 50_000
# How many entries a row of the log holds: about what a busy server collects during a write.
BATCH: Final = 20
SEARCHES: Final = 400
START_MS: Final = 1_700_000_000_000


class Folder:
    """A folder in which much was said."""

    def __init__(self, folder: Path, messages: int, sessions: int, rooms: int) -> None:
        self.folder = folder
        self.messages, self.sessions = messages, sessions
        self.rooms = [f"room{number}" for number in range(min(rooms, sessions))]
        self._draw = random.Random(1)
        self._words = [f"word{number}" for number in range(VOCABULARY)]
        self._weights = list(accumulate(1 / (number + 1) for number in range(VOCABULARY)))

    def make(self) -> None:
        """Say it all, as fast as that goes."""
        store, archive, state = Store(self.folder), ArchiveStore(self.folder), ChatState()
        store.open()
        archive.open()
        store.set_meta("epoch", state.epoch)
        snapshots.write(self.folder, state)
        said: list[Archived] = []
        batches: list[Batch] = []
        seq = 0
        for proposals in self._batches():
            first = seq + 1
            for propose in proposals:
                for entry in propose.entries(seq + 1, START_MS + seq):
                    self._handle(state, entry, said)
                    seq = entry.seq
            batches.append(Batch(first, seq, START_MS + seq, encode_batch(proposals)))
            if len(said) >= 5_000:
                archive.add(said, seq)
                store.append_all(batches)
                said.clear()
                batches.clear()
            if seq // SNAPSHOT_EVERY > first // SNAPSHOT_EVERY:
                snapshots.write(self.folder, state)  # as the upkeep does now and then
        archive.add(said, seq)
        store.append_all(batches)
        archive.close()
        store.checkpoint()
        store.close()

    def _handle(self, state: ChatState, entry: Entry, said: list[Archived]) -> None:
        if archived := what_was_said(state, entry, state.handle(entry)):
            said.append(archived)

    def _batches(self) -> Iterator[list[Propose]]:
        requests: list[tuple[int, tuple[Event, ...]]] = []
        for count in range(1, self.sessions + 1):
            room = self.rooms[count % len(self.rooms)]
            joined = (events.Connect(f"session{count}"), events.Join(room, room))
            requests.append((count, joined))
        numbers = dict.fromkeys(range(1, self.sessions + 1), 0)
        for said in range(self.messages):
            count = said % self.sessions + 1
            room = self.rooms[count % len(self.rooms)]
            requests.append((count, (events.Say(room, self.text(), key=room),)))
            if len(requests) >= BATCH:
                yield [self._propose(numbers, *request) for request in requests]
                requests.clear()
        yield [self._propose(numbers, *request) for request in requests]

    def _propose(self, numbers: dict[int, int], count: int, asked: tuple[Event, ...]) -> Propose:
        number = numbers[count] + 1
        numbers[count] += len(asked)
        return Propose(connection_number(0, 1, count), number, asked)

    def text(self, words: int = WORDS) -> str:
        """Something that one may say."""
        return " ".join(self._draw.choices(self._words, cum_weights=self._weights, k=words))


# ── What is measured ─────────────────────────────────────────────────────────────────────────────


def recovery_per_s(folder: Folder) -> float:
    """Entries a second that a start replays, from the first one on."""
    store, archive = Store(folder.folder), ArchiveStore(folder.folder)
    store.open()
    for seq, path in snapshots.listed(folder.folder):
        if seq:
            path.rename(path.with_suffix(".aside"))
    begin = time.perf_counter()
    state = recover(store, ChatState, archive, complain=sys.exit).state
    took = time.perf_counter() - begin
    for path in folder.folder.glob("*.aside"):
        path.rename(path.with_suffix(".bin"))
    archive.close()
    store.close()
    return state.seq / took


def listens_after_s(folder: Folder) -> float:
    """How long a server takes until it listens, from the start of its program on."""
    server = str(Path(sys.executable).with_name("tcpchat-server"))
    command = [server, "--port", "0", "--data", str(folder.folder), "--log-level", "error"]
    begin = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        process.stdout.readline()
        took = time.perf_counter() - begin
        process.terminate()
        process.stdout.read()
    return took


def longest_stall_s(folder: Folder) -> float:
    """For how long at most the event loop stands still while a snapshot of all is taken."""
    store, archive = Store(folder.folder), ArchiveStore(folder.folder)
    store.open()
    archive.open()
    disk, aside = LogThread(), LogThread()
    log = DurableLog(store, disk, failed=_raise)
    log.open(lambda _entries: None)
    told: list[str] = []
    upkeep = Upkeep(
        store,
        log,
        ArchiveKeeper(archive, aside, told.append),
        host=disk,
        aside=aside,
        replay=Child,
        keep_ms=None,
        every=1,
        complain=told.append,
        failed=_raise,
    )
    newest = max(seq for seq, _ in snapshots.listed(folder.folder))
    upkeep.begin()
    longest, last = 0.0, time.perf_counter()
    while not told and max(seq for seq, _ in snapshots.listed(folder.folder)) == newest:
        gevent.sleep(0.001)
        now = time.perf_counter()
        longest, last = max(longest, now - last - 0.001), now
    upkeep.stop()
    for thread in (disk, aside):
        thread.finish()
    archive.close()
    store.close()
    if told:
        sys.exit(f"benchmarks: {told[0]}")
    return longest


def _raise(error: Exception) -> None:
    raise error


def search_ms(folder: Folder, kind: Callable[[Folder], Inquiry], times: int) -> list[float]:
    """How long each of so many looks into the archive took, sorted."""
    archive = ArchiveStore(folder.folder)
    archive.open()
    took: list[float] = []
    for _ in range(times):
        inquiry = kind(folder)
        begin = time.perf_counter()
        archive.find(inquiry)
        took.append(1_000 * (time.perf_counter() - begin))
    archive.close()
    return sorted(took)


def _places(folder: Folder, count: int) -> tuple[Place, ...]:
    return tuple(Place(room, 0) for room in random.Random(2).sample(folder.rooms, count))


INQUIRIES: Final[dict[str, Callable[[Folder], Inquiry]]] = {
    "two words, in ten rooms": lambda folder: Matches(
        _places(folder, min(10, len(folder.rooms))),
        tuple(folder.text(2).split()),
        "",
        0,
        20,
        MAX_SEQ,
    ),
    "the most frequent word, in one room": lambda folder: Matches(
        _places(folder, 1), ("word0",), "", 0, 20, MAX_SEQ
    ),
    "a word, by one person": lambda folder: Matches(
        _places(folder, 1), (folder.text(1),), "guest-7", 0, 20, MAX_SEQ
    ),
    "a page of history": lambda folder: Page(_places(folder, 1)[0], 900_000, 100),
}


def main() -> None:
    """Make a folder, measure it, and tell."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.kept", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="little, to see that it works")
    quick = parser.parse_args().quick
    scale = 200 if quick else 1
    with tempfile.TemporaryDirectory(prefix="tcpchat-kept-") as made:
        folder = Folder(Path(made), MESSAGES // scale, SESSIONS // scale, ROOMS // scale)
        folder.make()
        sizes = {name: (Path(made) / name).stat().st_size for name in (LOG_NAME, ARCHIVE_NAME)}
        found = [
            ("recovery, entries a second", f"{recovery_per_s(folder):,.0f}"),
            ("longest stall during a snapshot, ms", f"{1_000 * longest_stall_s(folder):.1f}"),
            ("until the server listens, s", f"{listens_after_s(folder):.2f}"),
        ]
        for name, kind in INQUIRIES.items():
            took = search_ms(folder, kind, SEARCHES // scale + 1)
            found += [(f"{name}, p50 and p99 in ms", f"{_at(took, 50):.1f}, {_at(took, 99):.1f}")]
        found += [
            (f"{name}, MB for a million messages", f"{size * scale / 1e6:,.0f}")
            for name, size in sizes.items()
        ]
    table = Table(
        title=f"{folder.messages:,} messages by {folder.sessions:,} people with sessions,"
        f" in {len(folder.rooms):,} rooms",
        show_header=False,
    )
    for row in found:
        table.add_row(*row)
    Console().print(table)


def _at(took: list[float], percent: int) -> float:
    return took[min(len(took) - 1, len(took) * percent // 100)]


if __name__ == "__main__":
    main()
