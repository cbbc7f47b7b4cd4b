"""Whatever tests ask hypothesis for, no example is kept: a verdict depends on the commit alone."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st


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


def test_what_is_tried_does_not_depend_on_which_modules_are_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def tried() -> list[int]:
        numbers: list[int] = []

        @settings(settings.get_profile("ci"))
        @given(st.integers())
        def try_one(number: int) -> None:
            numbers.append(number)

        try_one()
        return numbers

    before = tried()
    folder = tmp_path.parent.parent / "another"  # what is called a test is left out by hypothesis
    folder.mkdir(exist_ok=True)
    file = folder / "constants.py"
    file.write_text(f"CONSTANTS = {[*range(1_000_000, 1_000_500)]}\n", encoding="utf-8")
    spec = importlib.util.spec_from_file_location("constants_of_another", file)
    assert spec is not None
    monkeypatch.setitem(sys.modules, "constants_of_another", importlib.util.module_from_spec(spec))
    assert tried() == before


def test_what_ci_tries_is_no_matter_of_chance() -> None:
    assert settings.get_profile("ci").derandomize
