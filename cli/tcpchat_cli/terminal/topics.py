"""What `/help` shows: all commands by what they are for, on one screen; then one topic or command.

The names of topics are none of commands, so that each word after `/help` means one thing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

from tcpchat_cli.terminal.commands import TYPING_KEYS, explained, unknown, usages
from tcpchat_cli.terminal.keys import DEFAULT_KEYS, keys_text
from tcpchat_core.notices import Rejected


class Topic(NamedTuple):
    """Commands for one purpose, the most used first."""

    name: str
    commands: tuple[str, ...]


TOPICS: Final = (
    Topic("talking", ("msg", "r", "query", "reply", "me", "redact")),
    Topic("places", ("join", "out", "rooms", "topic", "invite", "view", "close", "quit")),
    Topic(
        "reading",
        ("search", "goto", "mentions", "older", "newer", "history", "links", "open", "clear"),
    ),
    Topic("people", ("who", "whois", "nick", "name", "away", "ignore", "unignore")),
    Topic("program", ("set", "unset", "log", "help")),
    Topic(
        "moderating",
        (
            *("kick", "mute", "unmute", "ban", "unban", "bans", "mod", "unmod", "own", "keep"),
            *("slow", "moderated", "topiclock", "private", "unlisted", "secret", "audit"),
        ),
    ),
    Topic("account", ("claim", "login", "password", "device", "devices", "revoke")),
)

_KEYS: Final = "keys"
_ALL: Final = "all"

# What one cannot do without, of the keys.
_FIRST_ACTIONS: Final = ("view", "next-unread", "older")

_SAYING: Final = "what you type is said where you look; //text says a text that begins with a slash"


def help_words() -> tuple[str, ...]:
    """What can stand after `/help`, besides a command."""
    return (*(topic.name for topic in TOPICS), _KEYS, _ALL)


def help_text(
    word: str, keys: Mapping[str, tuple[str, ...]] | None = DEFAULT_KEYS
) -> tuple[str, ...] | Rejected:
    """The lines of `/help WORD`, with the keys of the actions (None: there are none here); without
    a word, the overview.
    """
    name = word.removeprefix("/").lower()
    if not name:
        return (*_overview(keys),)
    if lines := explained(name):
        return lines
    if name == _KEYS:
        return (TYPING_KEYS[-1],) if keys is None else (*TYPING_KEYS, *keys_text(keys))
    if name == _ALL:
        return (_SAYING, *(line for topic in TOPICS for line in _lines(topic)))
    for topic in TOPICS:
        if topic.name == name:
            return (*_lines(topic),)
    return unknown(word.removeprefix("/"))


def _overview(keys: Mapping[str, tuple[str, ...]] | None) -> Iterator[str]:
    yield _SAYING
    for topic in TOPICS:
        yield f"{topic.name:<10} {' '.join(f'/{name}' for name in topic.commands)}"
    if keys is not None:
        yield TYPING_KEYS[0]
        yield from keys_text({name: keys[name] if name in _FIRST_ACTIONS else () for name in keys})
    yield TYPING_KEYS[-1]
    yield f"more: /help msg, /help {TOPICS[0].name}, /help {_KEYS}, /help {_ALL}"


def _lines(topic: Topic) -> Iterator[str]:
    for usage, summary in usages(topic.commands):
        yield f"{usage}: {summary}"
