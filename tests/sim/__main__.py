"""Run simulations: `python -m tests.sim --seed N`, `--runs N` or `--minutes M`.

One seed prints its whole configuration and all that was broken, and replays exactly; many print
what was covered, and the seeds that broke something. The exit status is 1 when anything did.
"""

from __future__ import annotations

import argparse
import gc
import importlib.util
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol

from tests.sim.promises import simulate

# A worker is given this many seeds at a time: seconds of work, so that the bar moves.
SEEDS_AT_A_TIME = 5


@dataclass
class Coverage:
    """What a number of simulations covered, and which of them broke a promise."""

    runs: int = 0
    virtual_ms: int = 0
    entries: int = 0
    connections: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    broken: dict[int, list[str]] = field(default_factory=dict)

    def add(self, other: Coverage) -> None:
        """Count another's in."""
        self.runs += other.runs
        self.virtual_ms += other.virtual_ms
        self.entries += other.entries
        self.connections += other.connections
        self.faults += other.faults
        self.broken |= other.broken

    def __str__(self) -> str:
        return (
            f"{self.runs:,} seeds, {self.virtual_ms / 3_600_000:,.1f} simulated hours, "
            f"{self.faults.total():,} faults, {len(self.broken)} seeds broke a promise"
        )


def cover(seeds: range, shared: bool) -> Coverage:
    """Run some seeds."""
    gc.set_threshold(100_000)  # a world is full of cycles, and is gone in a moment
    covered = Coverage()
    for seed in seeds:
        world = simulate(seed, shared=shared)
        covered.runs += 1
        covered.virtual_ms += world.clock.now
        covered.entries += len(world.entries)
        covered.connections += len(world.links)
        covered.faults += world.faults
        if world.violations:
            covered.broken[seed] = sorted({broken.checker for broken in world.violations})
    return covered


class Progress(Protocol):
    """Whatever shows how far it is."""

    def __call__(self, done: float, covered: Coverage, /) -> None:
        """`done` is a share of all that is to do."""


@contextmanager
def progress() -> Iterator[Progress]:
    """A bar where `rich` is installed and somebody looks; else a line now and then."""
    if sys.stderr.isatty() and importlib.util.find_spec("rich"):
        from rich import progress as bars
        from rich.console import Console

        columns = (
            bars.BarColumn(),
            bars.TimeElapsedColumn(),
            bars.TextColumn("{task.description}"),
        )
        with bars.Progress(*columns, console=Console(stderr=True)) as bar:
            task = bar.add_task("", total=1.0)
            yield lambda done, covered: bar.update(task, completed=done, description=str(covered))
        return
    shown = -1.0

    def show(done: float, covered: Coverage) -> None:
        nonlocal shown
        if done - shown >= 0.1 or done >= 1:
            shown = done
            print(f"{done:4.0%}  {covered}", file=sys.stderr)

    yield show


def run_many(first: int, runs: int | None, seconds: float, jobs: int, *, shared: bool) -> Coverage:
    """Run seeds from `first` on: so many, or as many as there is time for."""
    covered = Coverage()
    began = time.monotonic()

    def done() -> float:
        if runs is not None:
            return covered.runs / runs
        return min(1.0, (time.monotonic() - began) / seconds)

    end = None if runs is None else first + runs
    with progress() as show, ProcessPoolExecutor(jobs) as workers:
        at = first
        while done() < 1:
            # One round keeps every worker busy for a while; a round is short against a run.
            batches = []
            for _ in range(4 * jobs):
                stop = at + SEEDS_AT_A_TIME if end is None else min(end, at + SEEDS_AT_A_TIME)
                batches.append(range(at, stop))
                at = stop
            for part in workers.map(partial(cover, shared=shared), filter(None, batches)):
                covered.add(part)
                show(done(), covered)
    return covered


def show_one(seed: int, *, shared: bool) -> int:
    """Run one seed, and tell all about it."""
    world = simulate(seed, shared=shared)
    print(world.config)
    faults = ", ".join(f"{count} × {kind}" for kind, count in world.faults.most_common())
    print(f"{world.clock.now / 1_000:.1f} simulated seconds, {len(world.entries)} log entries")
    print(f"{len(world.links)} connections; faults: {faults or 'none'}")
    print(f"trace {world.trace}")
    for broken in world.violations:
        print(f"BROKEN {broken.checker}: {broken.text}")
    return 1 if world.violations else 0


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m tests.sim", description=__doc__)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--seed", type=int, help="run one, and print its configuration")
    what.add_argument("--runs", type=int, help="run so many")
    what.add_argument("--minutes", type=float, help="run as many as there is time for")
    parser.add_argument("--first", type=int, default=0, help="the seed to begin with")
    parser.add_argument("--jobs", type=int, default=2, help="processes to run them in")
    parser.add_argument("--shared", action="store_true", help="of nodes that share a log")
    options = parser.parse_args()
    if options.seed is not None:
        return show_one(options.seed, shared=options.shared)
    seconds = 60 * (options.minutes or 0)
    covered = run_many(options.first, options.runs, seconds, options.jobs, shared=options.shared)
    print(covered)
    print(f"{covered.entries:,} entries of the log, {covered.connections:,} connections")
    for kind, count in covered.faults.most_common():
        print(f"{count:>9,} × {kind}")
    for seed, checkers in sorted(covered.broken.items()):
        how = "--shared " if options.shared else ""
        print(f"BROKEN by {how}--seed {seed}: {', '.join(checkers)}")
    return 1 if covered.broken else 0


if __name__ == "__main__":
    sys.exit(main())
