"""What the page takes over from Python: notices, requests, commands, colours and how names look.

`python -m tests.web.tables` writes tcpchat_net/page/tables.js anew; test_protocol.py tells when
that is due. So each rule stands once, and in Python.
"""

from __future__ import annotations

import json
import sys
import types
import typing
import unicodedata
from itertools import pairwise
from pathlib import Path
from typing import Any, Final, get_args, get_origin

import msgspec
from tcpchat_cli.terminal.theme import NICKS

from tcpchat_core import events, names, notices
from tcpchat_core.commands import COMMANDS, ELSEWHERE, LIKENESS

PAGE: Final = Path(__file__).parents[2] / "tcpchat_net" / "page"

_STRUCTS: Final = (
    notices.Limits,
    notices.RoomInfo,
    notices.RoomState,
    notices.RestrictionInfo,
    notices.DeviceInfo,
    notices.Act,
    notices.Quote,
)

# The server fills these in; a peer need not know of them.
_NOT_FOR_PEERS: Final = {"key", "nick_key", "roles", "marks", "code_hash"}

_KINDS: Final = {str: "str", int: "int", bool: "bool", notices.Said: "said"}


def _kind(annotation: Any) -> str:
    """A field's type in a few letters: `str`, `int?` for one that may be null, `[said]`."""
    if get_origin(annotation) in (types.UnionType, typing.Union):
        [inner] = [each for each in get_args(annotation) if each is not types.NoneType]
        return f"{_kind(inner)}?"
    if get_origin(annotation) is tuple:
        return f"[{_kind(get_args(annotation)[0])}]"
    if get_origin(annotation) is dict:
        return "map"
    return _KINDS.get(annotation) or str(annotation.__name__)


def _fields(struct: type[msgspec.Struct]) -> list[list[Any]]:
    """Each field's name, its kind, and its default if it has one."""
    hints = typing.get_type_hints(struct)
    fields: list[list[Any]] = []
    for field in msgspec.structs.fields(struct):
        if field.name in _NOT_FOR_PEERS:
            continue
        what: list[Any] = [_kind(hints[field.name])]
        if field.default_factory is not msgspec.NODEFAULT:
            what.append(field.default_factory())
        elif field.default is not msgspec.NODEFAULT:
            what.append(field.default)
        fields.append([field.name, what])
    return fields


def _tagged(union: Any) -> list[list[Any]]:
    return [[each.__struct_config__.tag, _fields(each)] for each in get_args(union)]


# The character that would stand for no distance; so those for small ones are in ASCII.
_GAP_0: Final = 0x1F


def _lookalikes() -> tuple[str, str, list[str]]:
    """Characters that names can have, one by one what each counts as, and each that counts as
    several with these behind it.

    Only what a name can hold in the form that the server shows is looked up. What counts as itself
    need not be said. Of the others it is told how far each is behind the one before, as a
    character: most are near, so that much less is sent.
    """
    parts = {char for code in range(sys.maxunicode + 1) for char in _parts(code)}
    kept = {
        chr(code): stands
        for code, stands in sorted(names._LOOKALIKES.items())
        if chr(code) in parts and chr(code) != stands
    }
    single = {char: stands for char, stands in kept.items() if len(stands) == 1}
    several = [char + stands for char, stands in kept.items() if len(stands) > 1]
    codes = [0, *map(ord, single)]
    gaps = [chr(_GAP_0 + code - before) for before, code in pairwise(codes)]
    return "".join(gaps), "".join(single.values()), several


def _parts(code: int) -> str:
    """What a character of names is composed of; "" for one that no name has."""
    char = chr(code)
    composed = unicodedata.normalize("NFD", char)
    if not any(ord(each) in names._LOOKALIKES for each in composed):
        return ""
    for text in (char, f"a{char}", f"{char}a", f"א{char}", f"ا{char}"):  # the bidi rule's doing
        name = names.nick_name(text)
        if isinstance(name, names.Name) and char in name.text:
            return composed
    return ""


def _js(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _table(name: str, pairs: list[list[Any]]) -> str:
    rows = "".join(f"[{_js(key)},new Map({_js(fields)})],\n" for key, fields in pairs)
    return f"export const {name} = new Map([\n{rows}]);\n"


def tables() -> str:
    """The text of tables.js."""
    structs = [[struct.__name__, _fields(struct)] for struct in _STRUCTS]
    commands = [
        {
            "names": command.names,
            "usage": command.usage,
            "summary": command.summary,
            "example": command.example,
        }
        for command in COMMANDS
    ]
    rows = "".join(f"{_js(command)},\n" for command in commands)
    alike, stand, several = _lookalikes()
    here = {name for command in COMMANDS for name in command.names}
    # What each is called here, "" where it is nothing.
    elsewhere = {
        other: next((name for name in all_names if name in here), "")
        for other, all_names in ELSEWHERE.items()
    }
    # What a reader would have to know of these stands here: with the page, comments are sent, too.
    # Of notices (by type), what stands in them, and requests: each field's kind, and its default if
    # it has one. GAPS, STAND, SEVERAL: characters of names that count as another, how far each is
    # behind the one before, from GAP_0 on; one by one as which; and where that is several.
    return f"""\
// Written by `python -m tests.web.tables`, which explains it; a test holds it to that.

{_table("NOTICES", _tagged(notices.Notice))}
{_table("STRUCTS", structs)}
{_table("REQUESTS", _tagged(events.Request))}
export const COMMANDS = [
{rows}];

export const LIKENESS = {LIKENESS};
export const ELSEWHERE = new Map({_js([*elsewhere.items()])});
export const COLOURS = {NICKS};
export const GAP_0 = {_GAP_0};
export const GAPS = {_js(alike)};
export const STAND = {_js(stand)};
export const SEVERAL = {_js(" ".join(several))};
"""


if __name__ == "__main__":
    (PAGE / "tables.js").write_text(tables(), encoding="utf-8")
