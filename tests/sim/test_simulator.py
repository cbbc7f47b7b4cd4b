"""Some hundred seeds of the simulation, and that a seed is the whole of it.

More of them, and one that fails by itself: `python -m tests.sim --help`.
"""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from tests.sim.browsers import OFFENCES, VISITS
from tests.sim.config import CLUSTER_FAULTS, LOSSES, Config, Sharing
from tests.sim.people import PARTINGS
from tests.sim.promises import simulate
from tests.sim.world import FAULTS

# Two cores run these in half a minute; in tens, so that they spread over the workers.
SEEDS = 240
AT_A_TIME = 10

# … and these in as long: what happens to several nodes is more.
SHARED_SEEDS = 40

# What these seeds have found was wrong (the commits that put it right name them), before there were
# browsers, or IRC.
FOUND = [80, 444, 855, 1200, 1493, 1973]

# … and those of engines that are lost with what no node has.
FOUND_LOSSES = [134, 225, 408, 423, 607, 2088]

# … and those of people who come by browsers.
FOUND_PAGES = [63, 77, 1395]


@pytest.mark.parametrize("first", range(0, SEEDS, AT_A_TIME))
def test_every_promise_is_kept_through_faults(first: int) -> None:
    for seed in range(first, first + AT_A_TIME):
        world = simulate(seed)
        broken = "\n".join(f"{broken.checker}: {broken.text}" for broken in world.violations)
        assert not broken, f"seed {seed}\n{world.config}\n{broken}"


@pytest.mark.parametrize(
    ("seeds", "may_lose", "browsers", "irc"),
    [
        *((range(first, first + 4), True, True, True) for first in range(0, SHARED_SEEDS, 4)),
        (FOUND, False, False, False),
        (FOUND_LOSSES, True, False, False),
        (FOUND_PAGES, True, True, False),
    ],
)
def test_every_promise_is_kept_by_nodes_that_share_a_log(
    seeds: Sequence[int], may_lose: bool, browsers: bool, irc: bool
) -> None:
    for seed in seeds:
        world = simulate(seed, shared=True, may_lose=may_lose, browsers=browsers, irc=irc)
        broken = "\n".join(f"{broken.checker}: {broken.text}" for broken in world.violations)
        assert not broken, f"seed {seed}\n{world.config}\n{broken}"


@pytest.mark.parametrize(
    ("seed", "shared"), [(3, False), (16, False), (19, False), (4, True), (11, True)]
)
def test_a_seed_replays_exactly(seed: int, shared: bool) -> None:
    first, second = simulate(seed, shared=shared), simulate(seed, shared=shared)
    assert first.trace == second.trace
    assert first.faults == second.faults


def test_another_seed_is_another_simulation() -> None:
    assert simulate(1).trace != simulate(2).trace


def test_the_seeds_meet_every_kind_of_fault() -> None:
    met = set().union(*(simulate(seed).faults for seed in range(20)))
    assert met == {*FAULTS, *PARTINGS, *VISITS, *OFFENCES}


def test_without_browsers_there_are_none() -> None:
    assert set(simulate(2, browsers=False).faults) <= set(FAULTS)
    assert Config.drawn(2, browsers=False) != Config.drawn(2)


def test_people_come_by_irc_if_they_may() -> None:
    assert Config.drawn(0).irc
    assert not Config.drawn(0, irc=False).irc


def test_the_shared_seeds_meet_every_kind_of_fault() -> None:
    met = {fault.kind for seed in range(SHARED_SEEDS) for fault in _sharing(seed).faults}
    assert met == {*CLUSTER_FAULTS, *LOSSES}


def _sharing(seed: int) -> Sharing:
    sharing = Config.drawn(seed, shared=True).sharing
    assert sharing is not None
    return sharing
