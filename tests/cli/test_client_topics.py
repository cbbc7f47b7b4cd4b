"""What /help of tcpchat-client shows."""

from __future__ import annotations

from itertools import chain

import pytest
from tcpchat_cli.terminal.commands import command_names
from tcpchat_cli.terminal.keys import DEFAULT_KEYS
from tcpchat_cli.terminal.topics import TOPICS, help_text, help_words

from tcpchat_core import COMMANDS
from tcpchat_core.commands import ELSEWHERE
from tcpchat_core.notices import Rejected


def test_every_command_is_in_one_topic() -> None:
    in_topics = [*chain.from_iterable(topic.commands for topic in TOPICS)]
    assert sorted(in_topics) == sorted(command_names())


def test_a_topic_is_called_as_no_command_is() -> None:
    names = {*command_names(), *chain.from_iterable(command.names for command in COMMANDS)}
    assert not names & {*help_words()}


@pytest.mark.parametrize("word", [*command_names(), *help_words()])
def test_each_word_is_explained(word: str) -> None:
    lines = help_text(word)
    assert not isinstance(lines, Rejected)
    assert lines == help_text(f"/{word.upper()}")


def test_no_key_is_offered_where_none_does_anything() -> None:
    for word in ("", "keys", "all"):
        lines = help_text(word, None)
        assert not isinstance(lines, Rejected)
        assert not [line for line in lines if "Alt-" in line or "Tab" in line]


def test_keys_that_were_set_stand_in_the_overview() -> None:
    lines = help_text("", {**DEFAULT_KEYS, "next-unread": ("F2",), "older": ()})
    assert not isinstance(lines, Rejected)
    assert [line for line in lines if line.startswith("F2: ")]
    assert not [line for line in lines if line.startswith("PageUp")]


@pytest.mark.parametrize(
    ("word", "meant"),
    [
        ("win", "view"),
        ("buffer", "view"),
        ("wc", "close"),
        ("quer", "query"),
        ("scrollback", "older"),
        ("hilight", "set"),
        ("qui", "quit"),
        ("ignroe", "ignore"),
    ],
)
def test_what_there_is_not_is_answered_with_what_is_meant_here(word: str, meant: str) -> None:
    told = help_text(word)
    assert isinstance(told, Rejected)
    assert told.text == f"there is no command /{word}; did you mean /{meant}?"


def test_what_is_called_otherwise_elsewhere_is_no_command_here_and_what_it_is_here_is_one() -> None:
    names = {*command_names(), *(name for command in COMMANDS for name in command.names)}
    for others in ELSEWHERE.values():
        assert set(others) <= names
    assert set(ELSEWHERE) & names == {"query"}  # which the server has not
