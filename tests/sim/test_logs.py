"""The simulated log does all that a log may, and nothing that it may not."""

from __future__ import annotations

import random
from collections.abc import Sequence

from tcpchat_core import Entry, Propose, events
from tests.sim.clock import Clock
from tests.sim.logs import UnreliableLog


def deliveries(seed: int) -> list[list[Entry]]:
    """What is delivered of 200 proposals, one in each 10 ms."""
    clock = Clock()
    log = UnreliableLog(
        random.Random(seed), clock.after, lambda: clock.now, delay=50, late=100, again=0.3
    )
    delivered: list[list[Entry]] = []

    def on_entries(entries: Sequence[Entry]) -> None:
        delivered.append(list(entries))

    log.open(on_entries)
    for number in range(1, 201):
        event = events.Say("lobby", str(number), key="lobby")
        batch = [Propose(7, number, (event,))]
        clock.at(10 * number, lambda batch=batch: log.propose(batch))  # type: ignore[misc] # bound now
    clock.run(10_000)
    assert not log.undelivered
    return delivered


def test_everything_is_delivered_in_the_order_of_the_proposals_and_nothing_before_its_time() -> (
    None
):
    for seed in range(20):
        last = 0
        for entries in deliveries(seed):
            seqs = [entry.seq for entry in entries]
            assert seqs == list(range(seqs[0], seqs[-1] + 1))
            assert seqs[0] <= last + 1
            assert all(entry.number == entry.seq for entry in entries)
            last = max(last, seqs[-1])
        assert last == 200


def test_what_was_delivered_is_delivered_again_whole_and_in_part_and_late() -> None:
    kinds: set[str] = set()
    for entries in deliveries(1):
        kinds.add("several turns" if len({entry.at for entry in entries}) > 1 else "one turn")
    last = 0
    for entries in deliveries(1):
        if entries[-1].seq < last:
            kinds.add("late")
        elif entries[0].seq <= last:
            kinds.add("overlapping")
        last = max(last, entries[-1].seq)
    assert kinds == {"one turn", "several turns", "overlapping", "late"}
