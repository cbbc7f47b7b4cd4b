"""A client's reading of what an IRC server writes, by the grammar of RFC 2812 and message-tags."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from hypothesis import strategies as st

from tcpchat_core.names import Name, nick_name, room_name
from tcpchat_core.notices import Rejected


class Line(NamedTuple):
    """One line, taken apart."""

    tags: dict[str, str]
    source: str
    command: str
    params: tuple[str, ...]


def lines_of(data: bytes) -> list[bytes]:
    """The lines, without their ends; each has one, and no part of one is in it."""
    *lines, rest = data.split(b"\r\n")
    assert not rest
    assert not any(set(line) & {0, 10, 13} for line in lines)
    return lines


def parsed(line: bytes) -> Line:
    """What one line says. It is of a size that every client takes."""
    text = line.decode()
    tags: dict[str, str] = {}
    if text.startswith("@"):
        together, _, text = text[1:].partition(" ")
        tags = {
            name: value for name, _, value in (tag.partition("=") for tag in together.split(";"))
        }
    assert len(text.encode()) <= 510
    source = ""
    if text.startswith(":"):
        source, _, text = text[1:].partition(" ")
    words, colon, last = text.partition(" :")
    command, *params = words.split(" ")
    assert all(params), "no parameter before the last is empty"
    return Line(tags, source, command, (*params, last) if colon else tuple(params))


def told(data: bytes) -> list[Line]:
    """What all the lines say."""
    return [parsed(line) for line in lines_of(data)]


# Names of any script, as `names.py` lets them through.
_NAMES = st.text(
    st.characters(categories=["Ll", "Lo", "Nd"]) | st.sampled_from("-_.+𐐨𐐩عא"),
    min_size=1,
    max_size=32,
)


def _called(fold: Callable[[str], Name | Rejected]) -> st.SearchStrategy[str]:
    folded = _NAMES.map(fold)
    return folded.map(lambda name: name.text if isinstance(name, Name) else "").filter(bool)


NICKS = _called(nick_name)
ROOMS = _called(room_name)
