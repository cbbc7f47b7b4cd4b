"""The keys of tcpchat-client, as they are written and as they are bound."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tcpchat_cli.terminal.keys import (
    ACTIONS,
    DEFAULT_KEYS,
    BadKey,
    key_bindings,
    key_sequence,
    keys_text,
)


@pytest.mark.parametrize(
    ("key", "sequence"),
    [
        ("Alt-1", ("escape", "1")),
        ("alt-A", ("escape", "a")),
        ("Ctrl-N", ("c-n",)),
        ("PageUp", ("pageup",)),
        ("F5", ("f5",)),
        ("Alt-Left", ("escape", "left")),
        ("Ctrl-Home", ("c-home",)),
        ("Alt--", ("escape", "-")),
    ],
)
def test_a_key_is_written_as_people_write_it(key: str, sequence: tuple[str, ...]) -> None:
    assert key_sequence(key) == sequence


@given(st.text(st.characters(codec="utf-8"), max_size=12))
def test_what_is_no_key_is_told_in_one_sentence(key: str) -> None:
    try:
        key_bindings({"redraw": (key,)}, {"redraw": lambda _: None})
    except BadKey as error:
        told = str(error)
    else:
        return
    assert told.startswith(f"there is no key {key!r}; keys are written as ")
    assert "\n" not in told


def test_every_action_has_its_keys_and_no_two_have_the_same() -> None:
    actions = {action.name: lambda _: None for action in ACTIONS}
    bindings = key_bindings(DEFAULT_KEYS, actions).bindings
    assert len(bindings) == sum(len(action.keys) for action in ACTIONS)
    assert len({binding.keys for binding in bindings}) == len(bindings)
    assert [line.split(": ")[0] for line in keys_text()][:2] == ["Alt-1 … Alt-9", "Ctrl-N"]
