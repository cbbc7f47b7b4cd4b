"""Keys of tcpchat-client that were set in client.toml."""

from __future__ import annotations

from itertools import chain

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tcpchat_cli.terminal.configuration import load
from tcpchat_cli.terminal.key_settings import keys_with
from tcpchat_cli.terminal.keys import DEFAULT_KEYS, key_sequence
from tcpchat_cli.terminal.settings import BadSettings, config_path

from tests.cli.conftest import Server
from tests.cli.terminal import CLIENT, Terminal


def write(text: str) -> None:
    config_path().parent.mkdir(parents=True, exist_ok=True)
    config_path().write_text(text)


def test_an_action_that_is_not_named_keeps_its_keys() -> None:
    assert keys_with({}) == DEFAULT_KEYS
    set_keys = keys_with({"next-view": "F2", "redraw": (), "older": ("PageUp", "Alt-Up")})
    assert set_keys == {
        **DEFAULT_KEYS,
        "next-view": ("F2",),
        "redraw": (),
        "older": ("PageUp", "Alt-Up"),
    }


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("next = 'F2'", "there is no action 'next'; did you mean next-"),
        ("zzz = 'F2'", "there is no action 'zzz'; there are view, "),
        ("redraw = 'F99'", "there is no key 'F99'; keys are written as Alt-A, Ctrl-N,"),
        ("redraw = 'c-n'", "there is no key 'c-n'; keys are written as"),
        ("redraw = ''", "there is no key ''; keys are written as"),
        ("redraw = ['F2', 'f2']", "f2 is redraw and redraw: give one of them another key"),
        ("redraw = 'ctrl-n'", "ctrl-n is next-view and redraw: give one of them another key"),
        ("redraw = 'Ctrl-C'", "Ctrl-C leaves, and cannot be redraw"),
        ("redraw = 'Ctrl-M'", "Ctrl-M is Enter, and cannot be redraw"),
        ("redraw = 1", "keys can be a table"),
        ("redraw = [1]", "keys can be a table"),
    ],
)
def test_a_wrong_key_is_told_in_one_sentence(text: str, complaint: str) -> None:
    write(f"[keys]\n{text}\n")
    [problem] = load({}, {}).problems
    assert problem.startswith(f"{config_path()}: key")
    assert complaint in problem
    assert "\n" not in problem


KEYS = st.sampled_from((*chain(*DEFAULT_KEYS.values()), "F2", "f2", "Alt-Left", "Ctrl-C", "x"))


@given(st.dictionaries(st.sampled_from((*DEFAULT_KEYS, "none")), KEYS | st.tuples(KEYS, KEYS)))
def test_no_two_actions_have_one_key(named: dict[str, str | tuple[str, ...]]) -> None:
    try:
        keys = keys_with(named)
    except BadSettings:
        return
    sequences = [key_sequence(key) for key in chain(*keys.values())]
    assert len(sequences) == len(set(sequences))


def test_keys_that_were_set_do_on_a_terminal_what_the_others_did(server: Server) -> None:
    write("[keys]\nnext-view = ['F2', 'Alt-Right']\nprevious-view = 'Alt-P'\n")
    argv = [CLIENT, server.address, "--nick", "ada", "--room", "lobby,dev"]
    with Terminal(argv) as ada:
        ada.wait_for("^lobby>")
        ada.type("\x1bOQ")
        ada.wait_for("^dev>")
        ada.type("\x1bp")
        ada.wait_until(lambda: ada.prompt == "lobby>")
        ada.type("\x1b[1;3C")
        ada.wait_until(lambda: ada.prompt == "dev>")
        ada.enter("/help keys")
        ada.wait_for("^..:.. -- F2 or Alt-Right: go to the next view$")


def test_the_keys_that_find_something_can_be_set_and_the_old_ones_do_it_no_more(
    server: Server,
) -> None:
    write("[keys]\nlook = 'F2'\nlook-newer = 'F3'\nfind-typed = 'Ctrl-R'\n")
    with Terminal([CLIENT, server.address, "--nick", "ada", "--room", "lobby"]) as ada:
        ada.wait_for("^lobby>")
        for text in ("first", "tea one", "between", "tea two", "last"):
            ada.enter(text)
            ada.wait_for(f"ada: {text}$")
        ada.type("\x1bOQ")  # F2
        ada.wait_until(lambda: ada.prompt == "find:")
        ada.type("tea")
        ada.wait_until(lambda: found(ada).endswith("tea two"))
        ada.type("\x1bOQ")
        ada.wait_until(lambda: found(ada).endswith("tea one"))
        ada.type("\x1bOR")  # F3
        ada.wait_until(lambda: found(ada).endswith("tea two"))
        ada.type("\x07")  # Ctrl-G
        ada.wait_until(lambda: ada.prompt == "lobby>")
        ada.type("\x12one")  # Ctrl-R
        ada.wait_until(lambda: "reverse" in ada.prompt and "one" in ada.prompt)


def found(terminal: Terminal) -> str:
    """What a look has found: it stands above the line after it, which is above the prompt."""
    return terminal.rows[terminal.screen.cursor.y - 2]
