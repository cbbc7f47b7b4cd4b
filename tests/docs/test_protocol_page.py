"""docs/protocol.md and the types say the same, in both directions; its examples are true.

The page has one section per request, notice and reason. A failure names the section and what it
lacks, so that a new type or field is documented by adding what is asked for.
"""

from __future__ import annotations

import re
from typing import Any, get_args

import msgspec
import pytest
from msgspec import inspect

from tcpchat_core import events, notices
from tcpchat_core.dialects.plain import PLAIN, decode_line
from tests.docs.chat_room import PASSWORD, play
from tests.docs.pages import code_blocks, read, sections, table

PAGE = sections(read("docs/protocol.md"), 2)

REQUESTS = {str(type.__struct_config__.tag): type for type in get_args(events.Request)}
NOTICES = {str(type.__struct_config__.tag): type for type in get_args(notices.Notice)}
REASONS = get_args(notices.Reason)

REQUEST_SECTIONS = sections(PAGE["Requests"], 3)
NOTICE_SECTIONS = sections(PAGE["Notices"], 3)
REASON_SECTIONS = sections(PAGE["Reasons"], 3)

# The server's own fields, explained once for all requests.
SERVER_FIELDS = ("key", "nick_key", "roles", "marks", "code_hash")

TYPES = [
    *((f"Requests / {tag}", REQUEST_SECTIONS, tag, type) for tag, type in REQUESTS.items()),
    *((f"Notices / {tag}", NOTICE_SECTIONS, tag, type) for tag, type in NOTICES.items()),
]


def _missing_and_extra(what: str, documented: Any, existing: Any) -> str:
    missing = [name for name in existing if name not in documented]
    extra = [name for name in documented if name not in existing]
    return "; ".join(
        f"docs/protocol.md, {what}: {verb} {', '.join(names)}"
        for verb, names in (("add", missing), ("there is no", extra))
        if names
    )


@pytest.mark.parametrize(
    ("part", "documented", "existing"),
    [
        ("Requests", REQUEST_SECTIONS, REQUESTS),
        ("Notices", NOTICE_SECTIONS, NOTICES),
        ("Reasons", REASON_SECTIONS, REASONS),
    ],
    ids=["requests", "notices", "reasons"],
)
def test_there_is_a_section_for_each_type_and_no_other(
    part: str, documented: Any, existing: Any
) -> None:
    problems = _missing_and_extra(f"sections of {part}", documented, existing)
    assert not problems, problems


# ── Fields ───────────────────────────────────────────────────────────────────────────────────


def _wire_type(type: inspect.Type) -> str:
    """A type as the page calls it."""
    match type:
        case inspect.UnionType(types):
            [present] = [type for type in types if not isinstance(type, inspect.NoneType)]
            return _wire_type(present)
        case inspect.StrType() | inspect.LiteralType():
            return "string"
        case inspect.IntType():
            return "integer"
        case inspect.BoolType():
            return "boolean"
        case inspect.VarTupleType(item):
            return f"array of {_plural(item)}"
        case inspect.DictType(_, value):
            return f"object of {_plural(value)}"
        case inspect.StructType(tag=str(tag)):
            return f"`{tag}`"
        case inspect.StructType():
            return "object"
        case _:
            raise AssertionError(f"say in _wire_type how the page calls a {type}")


def _plural(type: inspect.Type) -> str:
    name = _wire_type(type)
    return name if name.startswith("`") else f"{name}s"


def _default(field: inspect.Field) -> str:
    if field.required:
        return "required"
    default = field.default
    if field.default_factory is not msgspec.NODEFAULT:
        default = field.default_factory()
    return "none" if default is None else f"`{msgspec.json.encode(default).decode()}`"


def _rows(type: Any) -> dict[str, tuple[str, str]]:
    """The fields that the page has to explain: name to type and default, as the page has them."""
    info = inspect.type_info(type)
    assert isinstance(info, inspect.StructType)
    return {
        f"`{field.encode_name}`": (_wire_type(field.type), _default(field))
        for field in info.fields
        if field.encode_name not in SERVER_FIELDS
    }


def _nested(type: Any) -> dict[str, Any]:
    """The structs that are no requests or notices, by the name of the field that holds them."""
    info = inspect.type_info(type)
    assert isinstance(info, inspect.StructType)
    found: dict[str, Any] = {}
    for field in info.fields:
        inner = [field.type]
        while inner:
            match inner.pop():
                case inspect.UnionType(types):
                    inner += types
                case inspect.VarTupleType(item):
                    inner.append(item)
                case inspect.StructType(cls, tag=None):
                    found[field.encode_name] = cls
                case _:
                    pass
    return found


def _check_table(where: str, text: str, type: Any) -> None:
    documented = {row[0]: row[1:] for row in table(text)}
    existing = _rows(type)
    problems = _missing_and_extra(f"fields of {where}", documented, existing)
    assert not problems, problems
    for name, (wire_type, default) in existing.items():
        cells = documented[name]
        unlinked = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", cells[0])
        assert (unlinked, cells[1]) == (wire_type, default), (
            f"docs/protocol.md, {where}: the row of {name} says {unlinked}, {cells[1]}; "
            f"the type says {wire_type}, {default}"
        )
        assert cells[2], f"docs/protocol.md, {where}: say what {name} means"


@pytest.mark.parametrize(
    ("where", "part", "tag", "type"), TYPES, ids=[where for where, *_ in TYPES]
)
def test_each_field_is_explained_with_its_type_and_default(
    where: str, part: dict[str, str], tag: str, type: Any
) -> None:
    text = part.get(tag, "")
    own = re.split(r"^#### ", text, maxsplit=1, flags=re.MULTILINE)[0]
    _check_table(where, own, type)
    subsections = sections(text, 4)
    nested = _nested(type)
    problems = _missing_and_extra(f"subsections (####) of {where}", subsections, nested)
    assert not problems, problems
    for name, inner in nested.items():
        _check_table(f"{where} / {name}", subsections[name], inner)


def test_the_field_that_is_the_servers_own_is_explained_once() -> None:
    for field in SERVER_FIELDS:
        assert f"`{field}`" in PAGE["The JSON Lines dialect"]


# ── Examples ─────────────────────────────────────────────────────────────────────────────────


def _examples(where: str, text: str) -> list[str]:
    lines = [line for block in code_blocks(text, "json") for line in block.splitlines()]
    assert lines, f"docs/protocol.md, {where}: add an example line (```json)"
    return lines


def _unknown_fields(example: Any, value: Any) -> list[str]:
    """The fields of an example that its type does not have; decoding ignores such."""
    match value:
        case msgspec.Struct():
            known = {"type", *value.__struct_fields__} - set(SERVER_FIELDS)
            return [name for name in example if name not in known] + [
                unknown
                for name in example
                if name in value.__struct_fields__
                for unknown in _unknown_fields(example[name], getattr(value, name))
            ]
        case tuple():
            pairs = zip(example, value, strict=True)
            return [unknown for pair in pairs for unknown in _unknown_fields(*pair)]
        case _:
            return []


@pytest.mark.parametrize(
    ("where", "part", "tag", "type"), TYPES, ids=[where for where, *_ in TYPES]
)
def test_each_example_line_is_of_its_type_and_survives_encoding(
    where: str, part: dict[str, str], tag: str, type: Any
) -> None:
    union: Any = events.Request if type in REQUESTS.values() else notices.Notice
    for line in _examples(where, part.get(tag, "")):
        value = msgspec.json.decode(line, type=union)
        assert isinstance(value, type), f"docs/protocol.md, {where}: {line} is no {tag}"
        assert msgspec.json.decode(msgspec.json.encode(value), type=union) == value
        unknown = _unknown_fields(msgspec.json.decode(line), value)
        assert not unknown, f"docs/protocol.md, {where}: the example has unknown {unknown}"


@pytest.mark.parametrize("tag", NOTICES)
def test_below_a_notice_stands_what_the_plain_dialect_writes(tag: str) -> None:
    text = NOTICE_SECTIONS.get(tag, "")
    for line in _examples(f"Notices / {tag}", text):
        written = PLAIN.encode(msgspec.json.decode(line, type=notices.Notice)).decode()
        shown = "".join(code_blocks(text, "text"))
        assert shown == written, (
            f"docs/protocol.md, Notices / {tag}: the block ```text below the example should be "
            f"{written!r}, and is {shown!r}"
        )


@pytest.mark.parametrize("reason", REASONS)
def test_each_reason_has_an_example(reason: str) -> None:
    text = REASON_SECTIONS.get(reason, "")
    for line in _examples(f"Reasons / {reason}", text):
        rejected = msgspec.json.decode(line, type=notices.Rejected)
        assert rejected.reason == reason
        assert not _unknown_fields(msgspec.json.decode(line), rejected)
        [conversation] = code_blocks(text, "text") or [""]
        shown = (PLAIN.encode(rejected).decode().strip(), line)
        assert not conversation or any(f"< {how}\n" in conversation for how in shown), (
            f"docs/protocol.md, Reasons / {reason}: the conversation does not show the example"
        )


CONVERSATIONS = [
    *(
        (part, block)
        for part in ("A conversation", "Sessions", "Accounts")
        for block in code_blocks(PAGE[part], "text")
    ),
    *(
        (f"{part} / {title}", block)
        for part in ("Requests", "Reasons")
        for title, text in sections(PAGE[part], 3).items()
        for block in code_blocks(text, "text")
    ),
]


@pytest.mark.parametrize(
    ("where", "conversation"), CONVERSATIONS, ids=[where for where, _ in CONVERSATIONS]
)
def test_a_server_answers_as_the_page_shows(where: str, conversation: str) -> None:
    # That of a server, not of an account.
    has_password = "password" in where and where != "Requests / password"
    play(conversation, password=PASSWORD if has_password else "")


@pytest.mark.parametrize("tag", REQUESTS)
def test_the_conversation_of_a_request_makes_that_request(tag: str) -> None:
    for conversation in code_blocks(REQUEST_SECTIONS.get(tag, ""), "text"):
        sent = re.findall(r"^\w+> (.*)$", conversation, flags=re.MULTILINE)
        asked = [decode_line(line.encode()) for line in sent]
        assert any(isinstance(request, REQUESTS[tag]) for request in asked), (
            f"docs/protocol.md, Requests / {tag}: nothing in the conversation asks for {tag}"
        )
