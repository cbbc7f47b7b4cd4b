"""The log has one vocabulary, and says the same in each of its formats, in one line."""

from __future__ import annotations

import ast
import io
import json
import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import tcpchat_cli
from hypothesis import given
from hypothesis import strategies as st
from tcpchat_cli import console
from tcpchat_cli.settings import TABLE, Text
from tcpchat_cli.vocabulary import EVENTS, FIELDS

from tests.cli.log_lines import pairs, unknown
from tests.cli.serving import Talker, listening

FORMATS = ("console", "keyvalue", "json")

SOURCES = sorted(Path(*tcpchat_cli.__path__).rglob("*.py"))


@contextmanager
def logged(format: str, *, worker: int = 0, is_coloured: bool = False) -> Iterator[io.StringIO]:
    """What is logged in a format meanwhile."""
    logger = logging.getLogger("tcpchat")
    was = logger.handlers[:], logger.propagate, logger.level
    written = io.StringIO()
    handler = logging.StreamHandler(written)
    handler.setFormatter(console.formatter_of(format, worker=worker, is_coloured=is_coloured))
    logger.handlers[:], logger.propagate = [handler], False
    logger.setLevel(logging.INFO)
    try:
        yield written
    finally:
        logger.handlers[:], logger.propagate = was[:2]
        logger.setLevel(was[2])


# ── The vocabulary ───────────────────────────────────────────────────────────────────────────────


def _names(argument: ast.expr) -> list[str]:
    """The events that an argument may name."""
    match argument:
        case ast.Constant(str(name)):
            return [name]
        case ast.IfExp(_, one, other):
            return [*_names(one), *_names(other)]
        case _:
            raise AssertionError(f"an event is named by a word, not by {ast.unparse(argument)}")


def _notes() -> Iterator[tuple[str, list[str], list[str]]]:
    """Where something is logged: the place, what it names, and with which fields."""
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in ("note", "console.note"):
                fields = [each.arg for each in node.keywords if each.arg is not None]
                if len(fields) == len(node.keywords):
                    yield f"{path.name}:{node.lineno}", _names(node.args[0]), fields


def test_what_is_logged_is_in_the_vocabulary() -> None:
    notes = list(_notes())
    assert len(notes) > 20
    for place, names, fields in notes:
        for name in names:
            assert name in EVENTS, f"{place}: vocabulary.py lacks the event {name}"
            lacking = set(fields) - set(EVENTS[name].fields)
            assert not lacking, f"{place}: {name} has no {', '.join(lacking)} in vocabulary.py"


def test_what_is_in_the_vocabulary_is_logged() -> None:
    named = {name for _, names, _ in _notes() for name in names}
    assert named == EVENTS.keys()


def test_every_field_has_a_meaning_and_is_one_of_an_event() -> None:
    assert {field for kind in EVENTS.values() for field in kind.fields} == FIELDS.keys()


def test_names_can_be_matched_without_quotes() -> None:
    for name in EVENTS:
        assert re.fullmatch("[a-z]+(-[a-z]+)*", name)
    for name in FIELDS:
        assert re.fullmatch("[a-z]+(_[a-z]+)*", name)
    assert not FIELDS.keys() & {"time", "level", "event"}


def test_a_line_that_is_not_of_the_vocabulary_is_found() -> None:
    with logged("keyvalue") as log:
        console.note("left", conn="1.1", nick="ada")
        console.note("exploded", conn="1.1")
        console.note("left", message="hello")
    told = [pairs(line) for line in log.getvalue().splitlines()]
    assert unknown(told) == ["the event exploded", "left: message"]


# ── The formats ──────────────────────────────────────────────────────────────────────────────────


def test_json_is_an_object_a_line_with_numbers_as_numbers() -> None:
    with logged("json", worker=2) as log:
        console.note("redacted", conn="1.7", nick="ada", room="tea", seq=4711)
        console.complain("the disk is slow", about="upkeep")
    first, second = map(json.loads, log.getvalue().splitlines())
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00", first.pop("time"))
    assert first == {
        "level": "info",
        "worker": 2,
        "event": "redacted",
        "conn": "1.7",
        "nick": "ada",
        "room": "tea",
        "seq": 4711,
    }
    assert (second["level"], second["event"]) == ("warning", "warning")
    assert (second["about"], second["text"]) == ("upkeep", "the disk is slow")


def test_a_field_that_says_nothing_is_left_out_and_zero_says_something() -> None:
    with logged("keyvalue") as log:
        console.note("began-anew", node=0)
        console.note("lost", conn="1.1", nick="ada", reason="")
    first, second = map(pairs, log.getvalue().splitlines())
    assert first["node"] == "0"
    assert second.keys() == {"time", "level", "event", "conn", "nick"}


@pytest.mark.parametrize("format", FORMATS)
@given(nick=st.text(min_size=1), text=st.text(st.characters(exclude_categories=()), min_size=1))
def test_each_event_is_one_line_whatever_is_in_it(format: str, nick: str, text: str) -> None:
    with logged(format, is_coloured=False) as log:
        console.note("connected", conn="1.1", nick=nick)
        console.complain(text)
    written = log.getvalue()
    first, second = written.splitlines()
    assert written == f"{first}\n{second}\n"
    assert first.isprintable()
    if format == "json":
        assert written.isascii()
        assert json.loads(first)["nick"] == nick
        assert json.loads(second)["text"] == text
    elif format == "keyvalue":
        assert pairs(first).keys() == {"time", "level", "event", "conn", "nick"}
        assert pairs(second)["event"] == "warning"


def test_a_console_without_colours_says_the_same_as_one_with() -> None:
    lines = []
    for is_coloured in (False, True):
        with logged("console", is_coloured=is_coloured) as log:
            console.note("joined", conn="1.1", nick="ada", room="lobby")
        lines.append(re.sub(r"^\d\d:\d\d:\d\d", "", re.sub("\x1b\\[\\d*m", "", log.getvalue())))
        assert ("\x1b[" in log.getvalue()) == is_coloured
    assert lines == [" joined conn=1.1 nick=ada room=lobby\n"] * 2


@pytest.mark.parametrize("format", FORMATS)
def test_the_server_writes_its_log_in_the_format_that_it_is_given(format: str) -> None:
    with listening("--in-memory", "--log-format", format) as (server, address):
        with Talker(address, "/nick ada\n/quit\n") as ada:
            ada.read_until("* Closing: bye")
        server.process.terminate()
        _, _, log = server.wait()
    lines = log.splitlines()
    match format:
        case "json":
            told = [json.loads(line)["event"] for line in lines]
        case "keyvalue":
            told = [pairs(line)["event"] for line in lines]
        case _:  # it is no terminal
            assert "\x1b" not in log
            told = [line.split()[1] for line in lines]
    assert told == ["started", "connected", "renamed", "gone", "stopping", "stopped"]


def test_the_formats_of_the_flag_are_those_that_there_are() -> None:
    setting = TABLE["log_format"]
    assert isinstance(setting, Text)
    assert setting.choices == ("auto", *FORMATS)
