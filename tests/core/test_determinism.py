"""The same entries give the same actions and the same state: anywhere, and from any snapshot."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tcpchat_core import ChatState
from tests.core import checkers
from tests.core.harness import LIMITS, random_log
from tests.core.replay import replay


@pytest.mark.parametrize("seed", [1, 2])
def test_a_log_replayed_with_any_hash_seed_has_the_same_actions_and_digest(seed: int) -> None:
    checkers.check_hash_seeds(seed, length=2000)


@given(
    seed=st.integers(0, 2**32),
    length=st.integers(0, 150),
    cut=st.integers(0, 150),
    again=st.integers(0, 20),
)
def test_a_snapshot_at_any_point_and_the_rest_equal_the_whole(
    seed: int, length: int, cut: int, again: int
) -> None:
    checkers.check_snapshot_and_rest(random_log(seed, length), cut, again)


def test_two_states_with_the_same_log_have_the_same_snapshot() -> None:
    log = random_log(3, 1000)
    one, other = ChatState(limits=LIMITS), ChatState(limits=LIMITS)
    assert replay(log, one) == replay(log, other)
    assert one.snapshot() == other.snapshot()
