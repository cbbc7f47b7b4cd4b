"""Keys as they were set: the table `[keys]` of client.toml, over those that hold without it.

Rule 1: An action that is not named keeps its keys. An empty list leaves it without any.

Rule 2: A key does one thing: two actions with one key are refused, whichever of them was named.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Final, TypeAlias

from tcpchat_cli.terminal.keys import DEFAULT_KEYS, BadKey, key_sequence
from tcpchat_cli.terminal.settings import BadSettings

# By the name of an action, its key or its keys.
Given: TypeAlias = Mapping[str, str | tuple[str, ...]]

# What has to stay so that a line can be typed at all, and the program be left.
_TAKEN: Final[Mapping[tuple[str, ...], str]] = MappingProxyType(
    {
        ("c-c",): "leaves",
        ("c-d",): "leaves",
        ("c-m",): "is Enter",
        ("c-j",): "is Enter",
        ("c-i",): "is Tab",
        ("c-h",): "is Backspace",
        ("escape", "/"): "is the slash of a command",
    }
)


def keys_with(given: Given) -> dict[str, tuple[str, ...]]:
    """The keys of all actions. Raises BadSettings."""
    for action in given:
        if action not in DEFAULT_KEYS:
            near = difflib.get_close_matches(action, DEFAULT_KEYS, n=1)
            hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(DEFAULT_KEYS)}"
            raise BadSettings(f"keys: there is no action {action!r}; {hint}")
    named = {action: (its,) if isinstance(its, str) else its for action, its in given.items()}
    keys = {**DEFAULT_KEYS, **named}
    does: dict[tuple[str, ...], str] = {}
    for action, key, sequence in _all(keys):
        if what := _TAKEN.get(sequence):
            raise BadSettings(f"keys: {key} {what}, and cannot be {action}")
        if sequence in does:
            others = does[sequence]
            raise BadSettings(f"keys: {key} is {others} and {action}: give one of them another key")
        does[sequence] = action
    return keys


def _all(keys: Mapping[str, tuple[str, ...]]) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    """Each action with each of its keys, also as prompt_toolkit is told it."""
    for action, its in keys.items():
        for key in its:
            try:
                yield action, key, key_sequence(key)
            except BadKey as error:
                raise BadSettings(f"keys: {error}") from None
