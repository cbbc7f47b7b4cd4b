"""Whatever tests ask hypothesis for, no example is kept: a verdict depends on the commit alone."""

from __future__ import annotations

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


def test_what_ci_tries_is_no_matter_of_chance() -> None:
    assert settings.get_profile("ci").derandomize
