"""What hypothesis draws: hostile texts, requests, notices, and lines that are nearly right."""

from __future__ import annotations

import types
from typing import Any, Union, get_args, get_origin, get_type_hints

import msgspec
from hypothesis import strategies as st

from tcpchat_core import Notice, Request
from tcpchat_core.dialects.jsonl import encode_request

# What a terminal obeys, what forges lines, what hides, and what JSON escapes.
NASTY = (
    '\x00\x07\x08\t\n\r\x1b[]2J\x7f\x85\x9b\u200b\u200d\u202e\u2028\u2029\u2066\ufeff\ufff9"\\/#é☕'
)

NASTY_TEXT = st.text(st.sampled_from(NASTY) | st.characters(exclude_categories=["Cs"]), max_size=24)

WORDS = st.sampled_from(["lobby", "#Lobby", "ada", "guest-1", "guest-2", "system", "", "a b"])

CUTS = st.lists(st.integers(0, 400), max_size=6)


def values_of(hint: Any, texts: st.SearchStrategy[str]) -> st.SearchStrategy[Any]:
    """Values of a field's type, with texts of our choosing."""
    if hint is str:
        return texts
    if hint is int:
        return st.integers(-(2**53), 2**53)
    if get_origin(hint) is dict:
        keys, values = (values_of(part, texts) for part in get_args(hint))
        return st.dictionaries(keys, values, max_size=3)
    if get_origin(hint) is tuple:
        return st.lists(values_of(get_args(hint)[0], texts), max_size=3).map(tuple)
    if get_origin(hint) in (Union, types.UnionType):  # `Annotated[…] | None` is the older of them
        return st.one_of([values_of(option, texts) for option in get_args(hint)])
    if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
        return structs(hint, texts)
    return st.from_type(hint)


def structs(kind: type[Any], texts: st.SearchStrategy[str]) -> st.SearchStrategy[Any]:
    """Values of one struct type."""
    hints = get_type_hints(kind)
    fields = {field: values_of(hints[field], texts) for field in kind.__struct_fields__}
    return st.builds(kind, **fields)


def requests(texts: st.SearchStrategy[str]) -> st.SearchStrategy[Request]:
    """Requests of every type."""
    return st.one_of([structs(kind, texts) for kind in get_args(Request)])


def notices(texts: st.SearchStrategy[str]) -> st.SearchStrategy[Notice]:
    """Notices of every type."""
    return st.one_of([structs(kind, texts) for kind in get_args(Notice)])


@st.composite
def mutated(draw: st.DrawFn, lines: st.SearchStrategy[bytes]) -> bytes:
    """Some lines with a few bytes changed, removed or put in."""
    data = bytearray(b"".join(draw(st.lists(lines, min_size=1, max_size=4))))
    for _ in range(draw(st.integers(0, 4))):
        at = draw(st.integers(0, len(data)))
        data[at : at + draw(st.integers(0, 2))] = draw(st.binary(max_size=2))
    return bytes(data)


JSON_LINES = requests(NASTY_TEXT | WORDS).map(encode_request)

PLAIN_LINES = st.builds(
    lambda command, rest: f"{command} {rest}\r\n".encode(),
    st.sampled_from(
        ["/join", "/nick", "/me", "/msg", "/topic", "/out", "/quit", "/who", "/", "hi"]
    ),
    NASTY_TEXT | WORDS,
)

# A negotiation as RFC 854 has it: an option, a short command, a subnegotiation.
NEGOTIATIONS = st.one_of(
    st.builds(
        lambda verb, option: bytes([255, verb, option]), st.integers(251, 254), st.integers(0, 255)
    ),
    st.integers(240, 249).map(lambda command: bytes([255, command])),
    st.binary(max_size=20)
    .filter(lambda data: b"\xff" not in data)
    .map(lambda data: b"\xff\xfa" + data + b"\xff\xf0"),
)
