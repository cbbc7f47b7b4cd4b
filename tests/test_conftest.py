"""Whatever tests ask hypothesis for, no example is kept: a verdict depends on the commit alone."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from hypothesis import settings


def test_no_property_keeps_its_examples(request: pytest.FixtureRequest) -> None:
    # Where decorators and state machines leave the settings that they were given.
    places = ("obj", "_hypothesis_internal_use_settings"), ("cls", "settings")
    own = {
        item.nodeid: getattr(getattr(item, owner), name)
        for item in request.session.items
        for owner, name in places
        if hasattr(getattr(item, owner, None), name)
    }
    assert not [name for name, found in own.items() if found and found.database is not None]
    # Those without, and those that a test makes while it runs.
    assert settings().database is None
    assert settings(max_examples=1).database is None


PROPERTY = """
import tests.conftest
from hypothesis import given, strategies as st

drawn = []

@given(st.integers())
def draw(number):
    drawn.append(number)

draw()
print(drawn)
"""


def drawn(profile: str) -> str:
    """What a property is tried with in a process of its own."""
    return subprocess.run(
        [sys.executable, "-c", PROPERTY],
        env=os.environ | {"HYPOTHESIS_PROFILE": profile},
        capture_output=True,
        text=True,
        check=True,
    ).stdout


def test_the_examples_of_the_profile_for_ci_are_the_same_in_each_run() -> None:
    assert drawn("ci") == drawn("ci")
    assert drawn("tcpchat") != drawn("tcpchat")
