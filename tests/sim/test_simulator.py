"""Some hundred seeds of the simulation, and that a seed is the whole of it.

More of them, and one that fails by itself: `python -m tests.sim --help`.
"""

from __future__ import annotations

import pytest

from tests.sim.promises import simulate
from tests.sim.world import FAULTS

# Two cores run these in half a minute; in tens, so that they spread over the workers.
SEEDS = 240
AT_A_TIME = 10


@pytest.mark.parametrize("first", range(0, SEEDS, AT_A_TIME))
def test_every_promise_is_kept_through_faults(first: int) -> None:
    for seed in range(first, first + AT_A_TIME):
        world = simulate(seed)
        broken = "\n".join(f"{broken.checker}: {broken.text}" for broken in world.violations)
        assert not broken, f"seed {seed}\n{world.config}\n{broken}"


@pytest.mark.parametrize("seed", [3, 16, 19])
def test_a_seed_replays_exactly(seed: int) -> None:
    first, second = simulate(seed), simulate(seed)
    assert first.trace == second.trace
    assert first.faults == second.faults


def test_another_seed_is_another_simulation() -> None:
    assert simulate(1).trace != simulate(2).trace


def test_the_seeds_meet_every_kind_of_fault() -> None:
    met = set().union(*(simulate(seed).faults for seed in range(12)))
    assert met == set(FAULTS)
