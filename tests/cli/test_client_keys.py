"""The keys of tcpchat-client, as they are written and as they are bound."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prompt_toolkit.application import Application
from prompt_toolkit.application.current import set_app
from prompt_toolkit.input import DummyInput
from prompt_toolkit.key_binding import KeyBindings
from prompt_toolkit.key_binding.key_processor import KeyPress
from prompt_toolkit.keys import Keys
from prompt_toolkit.output import DummyOutput
from tcpchat_cli.terminal.keys import (
    ACTIONS,
    DEFAULT_KEYS,
    BadKey,
    bind_escape,
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


@pytest.mark.parametrize(
    ("together", "done"),
    [
        ([[Keys.Escape]], ["esc"]),
        ([[Keys.Escape], ["/"]], ["esc", "/"]),
        ([[Keys.Escape, "/"]], ["alt-/"]),
        ([[Keys.Escape, "/"], [Keys.Escape], ["/"]], ["alt-/", "esc", "/"]),
    ],
)
def test_esc_takes_nothing_of_what_is_typed_next(
    together: list[list[Keys | str]], done: list[str]
) -> None:
    did: list[str] = []
    bindings = KeyBindings()
    bindings.add("escape", "/")(lambda _: did.append("alt-/"))
    bindings.add("/")(lambda _: did.append("/"))
    bind_escape(bindings, lambda: did.append("esc"), when=True)
    app = Application[None](key_bindings=bindings, input=DummyInput(), output=DummyOutput())
    app.timeoutlen = None  # type: ignore[assignment] # it takes that, for ever; its type is inferred
    with set_app(app):
        for keys in together:
            app.key_processor.feed_multiple([KeyPress(key) for key in keys])
            app.key_processor.process_keys()
    assert did == done
