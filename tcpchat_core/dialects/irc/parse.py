"""One line of IRC, as it comes in: `[@tags] [:source] COMMAND params [:last param]`.

The grammar is that of RFC 1459 and of the IRCv3 message tags. What is not in it is not refused but
read as far as it can be: there is a command, or there is nothing.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping
from typing import Final, TypeAlias

# How what would end a tag's value is written in one; any other character stands for itself.
_ESCAPED: Final = {":": ";", "s": " ", "r": "\r", "n": "\n"}
_ESCAPE: Final = re.compile(r"\\(.?)", re.DOTALL)

# A time, as IRCv3 server-time writes it.
_TIME: Final = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:]{8})\.([0-9]{3})Z")
NO_TIME: Final = "a time is written as 2026-11-29T16:40:00.000Z"


# What a line says: its tags, its command in upper case, and its parameters. Who a client says it is
# counts for nothing, so its source is left out. (A bare tuple: there is one for each line.)
Message: TypeAlias = tuple[Mapping[str, str], str, list[str]]

_NO_TAGS: Final[Mapping[str, str]] = {}


def parse(text: str) -> Message | None:
    """What a line without its end says; None when there is no command in it. Never raises."""
    tags = _NO_TAGS
    if text[:1] in _BEFORE_COMMAND:
        if text.startswith("@"):
            written, _, text = text[1:].partition(" ")
            tags = _tags(written)
        text = text.lstrip(" ")
        if text.startswith(":"):
            text = text.partition(" ")[2]
        text = f" {text}"  # there may be nothing but a last parameter
    words, has_last, last = text.partition(" :")
    params = words.split(" ")
    if "" in params:
        params = [word for word in params if word]
        if not params:
            return None
    command = params.pop(0).upper()
    if has_last:
        params.append(last)
    return tags, command, params


# By what begins a line that does not begin with its command. An empty one has none.
_BEFORE_COMMAND: Final = ("@", ":", " ", "")


def _tags(written: str) -> dict[str, str]:
    tags: dict[str, str] = {}
    for tag in written.split(";"):
        key, _, value = tag.partition("=")
        if key:
            tags[key] = _unescaped(value) if "\\" in value else value
    return tags


def _unescaped(value: str) -> str:
    return _ESCAPE.sub(lambda found: _ESCAPED.get(found[1], found[1]), value)


def time_of(text: str) -> int | None:
    """A time in ms since the epoch; None where none is written, or one that there is not."""
    found = _TIME.fullmatch(text)
    try:
        second = dt.datetime.fromisoformat(f"{found[1]}+00:00") if found else None
    except ValueError:
        second = None
    if found is None or second is None:
        return None
    return int(second.timestamp()) * 1_000 + int(found[2])
