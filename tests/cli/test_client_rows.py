"""Whatever a server says, it fits on the screen, and nothing of it is obeyed or forged.

The rows are those of terminals that count as these tests do: character by character or picture by
picture. Every notice that there is takes part, with any text in any of its fields.
"""

from __future__ import annotations

import types
import unicodedata
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import msgspec
import pyte
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tcpchat_cli.terminal import presence
from tcpchat_cli.terminal.layout import layout, row_count
from tcpchat_cli.terminal.presence import People
from tcpchat_cli.terminal.render import (
    MAX_LINES,
    MAX_MARKS,
    MAX_NICKS,
    MAX_TEXT_CHARS,
    Line,
    Renderer,
)
from tcpchat_cli.terminal.sides import people_rows, topic_row, view_rows
from tcpchat_cli.terminal.toolbar import Status, toolbar
from tcpchat_cli.terminal.view import Kind, View
from tcpchat_cli.terminal.widths import apart, shortened, text_width
from wcwidth import wcswidth, wcwidth

from tcpchat_core import ClientProtocol, Notice, events, notices
from tcpchat_core.dialects.plain import Plain
from tcpchat_core.notices import Quote, Said
from tcpchat_core.sanitize import is_safe

FAMILY = "\U0001f469\u200d\U0001f469\u200d\U0001f467"
HARD = st.sampled_from(
    [
        FAMILY,
        "\u2764\ufe0f",  # an emoji by its selector
        "\U0001f44d\U0001f3fd",  # with the colour of a skin
        "\U0001f1f0\U0001f1f7",  # a flag
        "\U0001f1f0",  # half a flag
        "1\ufe0f\u20e3",
        "\u1112\u1161\u11ab",  # a syllable in three parts
        "한국어",
        "العربية",
        "क्षि",
        "e" + "\u0301" * 40,
        "\u202eevil\u202c",
        "\u2066\u2069",
        "\x1b[2J",
        "\x1b]0;title\x07",
        "\x9b31m",
        "\r",
        "\n12:00 ada: forged",
        "\t",
        "\x00",
        "\u2028",
        "\ud83d",
        "\udc80",
        "\u200b\ufeff\u00ad",
        "://",
        "https://example.org/" + "x" * 200,
        "x" * 250,
        "中" * 100,
        "\ufe0f" * 30,
        " " * 100,
        "-- ",
        "!! ",
        "* ",
        "── ",
    ]
)
TEXT = st.lists(st.text(max_size=8) | st.text(st.characters(), max_size=8) | HARD, max_size=3).map(
    "".join
)
NUMBERS = st.integers(-(2**63), 2**63 - 1)
COLUMNS = st.integers(20, 200)


def any_value(kind: Any) -> st.SearchStrategy[Any]:
    """Any value of a type that a field of a notice has."""
    origin, arguments = get_origin(kind), get_args(kind)
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        fields = {name: any_value(hint) for name, hint in get_type_hints(kind).items()}
        return st.builds(kind, **{name: fields[name] for name in kind.__struct_fields__})
    if origin in {Union, types.UnionType}:
        return st.one_of([any_value(each) for each in arguments])
    if origin is tuple:
        return st.lists(any_value(arguments[0]), max_size=2).map(tuple)
    if origin is dict:
        return st.dictionaries(any_value(arguments[0]), any_value(arguments[1]), max_size=1)
    if origin is Literal:
        return st.sampled_from(arguments)
    return {str: TEXT, int: NUMBERS, bool: st.booleans(), type(None): st.none()}[kind]


ANY_NOTICE: st.SearchStrategy[Notice] = st.one_of([any_value(kind) for kind in get_args(Notice)])


def from_the_wire(notice: Notice) -> list[Notice]:
    """The notice as the client gets it from a server; nothing for what UTF-8 cannot hold."""
    try:
        data = msgspec.json.encode(notice)
    except UnicodeEncodeError:
        return []
    client = ClientProtocol()
    client.receive_data(b'{"type":"welcome","nick":"me","epoch":"1"}\n')
    return client.receive_data(data + b"\n").notices


def rendered(notice: Notice, *, me: str = "me", timestamps: bool = True) -> list[Line]:
    """The lines of a notice."""
    renderer = Renderer()
    renderer.me, renderer.timestamps = me, timestamps
    return renderer.lines(notice)


def most_marks(text: str) -> int:
    """How many marks stand on one character at most."""
    runs = "".join("m" if unicodedata.combining(char) else " " for char in text).split()
    return max(map(len, runs), default=0)


def rows_of(lines: list[Line], columns: int) -> list[str]:
    """The rows that are printed, without their ends."""
    text = "".join(piece for _, piece in layout(lines, columns))
    assert text.endswith("\n") or not text
    return text.split("\n")[:-1]


def cells(row: str) -> int:
    """The most columns that any terminal gives a row: by characters, or by pictures."""
    return max(sum(max(0, wcwidth(char)) for char in row), wcswidth(row))


def is_address(row: str) -> bool:
    """Whether a row is one long URL, which the terminal wraps."""
    return row.isascii() and "://" in row and " " not in row.strip()


@given(ANY_NOTICE, COLUMNS)
def test_no_row_is_wider_than_the_screen(notice: Notice, columns: int) -> None:
    for row in rows_of(rendered(notice), columns):
        assert cells(row) <= columns or is_address(row)


@given(ANY_NOTICE, COLUMNS, st.booleans())
def test_nothing_is_obeyed_and_each_line_has_its_own_head(
    notice: Notice, columns: int, timestamps: bool
) -> None:
    lines = rendered(notice, timestamps=timestamps)
    for line in lines:
        assert is_safe(line.text)
        first, *others = rows_of([line], columns)
        assert all(row.startswith("  ") for row in others)
        assert not line.head or first.startswith(line.head[0][1][:3].rstrip())


@given(ANY_NOTICE)
def test_what_is_shown_is_bounded(notice: Notice) -> None:
    lines = rendered(notice)
    assert len(lines) <= MAX_LINES + 10
    for line in lines:
        assert len(line.text) <= 3 * MAX_TEXT_CHARS + MAX_NICKS * 70
        assert most_marks(line.text) <= MAX_MARKS


@pytest.mark.parametrize("kind", get_args(Kind))
def test_what_others_have_named_has_few_marks_wherever_it_stands(kind: Kind) -> None:
    name = "a" + "\u0301" * 60
    said = Said("lobby", "bob", "yes", 2, 0, re=1, quote=Quote(name, name))
    view = View(name, kind)
    view.topic = name
    people = People(nicks=(name,), total=1)
    rows = [topic_row(view, "", 80), *view_rows([view], view, 80, 1), *people_rows(people, 80, 1)]
    shown = ["".join(text for _, text in row) for row in rows]
    shown += [line.text for line in rendered(said) if line.text.strip().startswith(">")]
    assert len(shown) == 4
    assert {most_marks(text) for text in shown} == {MAX_MARKS}
    assert " " not in View("a 2:b", "room").title  # in the bar it is one name


@given(ANY_NOTICE, COLUMNS)
def test_a_terminal_shows_as_many_rows_as_were_counted(notice: Notice, columns: int) -> None:
    lines = rendered(notice)
    text = "".join(piece for _, piece in layout(lines, columns))
    counted = row_count(layout(lines, columns), columns + 1)
    # pyte leaves out what stands behind a joiner; nothing of what is counted is in that.
    drawn = "".join(char for char in text if char == "\n" or wcwidth(char) > 0)
    screen = pyte.HistoryScreen(columns + 1, 5, history=100_000)
    pyte.Stream(screen).feed(drawn.replace("\n", "\r\n"))
    assert len(screen.history.top) + screen.cursor.y == counted


@given(TEXT, TEXT, st.booleans(), st.booleans())
@example("", "you may go", False, True)
@example("- you may", "go", False, False)
@example("-", "go", False, True)
def test_who_says_something_cannot_speak_as_the_program(
    nick: str, text: str, emote: bool, notice: bool
) -> None:
    (line,) = rendered(Said("lobby", nick, text, 1, 2**62, emote, notice=notice), timestamps=False)
    said = line.text
    assert not said.startswith(("-- ", "!! ", "── "))
    assert said.startswith("* ") == emote


@given(TEXT)
def test_ones_own_words_are_shown_as_safely_as_anybodys(text: str) -> None:
    sent = notices.Sent(0, "1", "lobby", seq=1)
    for said in (events.Say("lobby", text), events.Tell("bob", text)):
        for line in Renderer().own(said, sent):
            assert is_safe(line.text)
    assert is_safe(Renderer().system(text).text)
    assert is_safe(Renderer().error(text).text)


@given(st.lists(any_value(notices.Joined | notices.Left | notices.Renamed), max_size=300))
def test_many_changes_are_one_line_that_is_bounded(changes: list[Notice]) -> None:
    lines = presence.told(changes, Renderer())
    assert sum(len(line.text) for line in lines) <= 4 * MAX_TEXT_CHARS
    assert all(is_safe(line.text) for line in lines)


@given(COLUMNS, st.lists(TEXT, max_size=20), TEXT)
def test_the_bar_is_never_wider_than_the_screen(columns: int, rooms: list[str], state: str) -> None:
    views = [View(room, "room") for room in rooms] or [View("", "home")]
    status = Status(tuple(views), views[-1], 3, 12, state[:20], trouble=True)
    assert cells("".join(text for _, text in toolbar(status, columns))) <= columns


@given(TEXT)
def test_shown_apart_a_text_is_as_wide_on_every_terminal(text: str) -> None:
    shown = apart(text)
    by_characters = sum(max(0, wcwidth(char)) for char in shown.replace("\ufe0f", ""))
    selected = sum(char == "\ufe0f" for char in shown)
    if is_safe(text) and not set(text) & set("\u1112\u1161\u11ab"):
        assert wcswidth(shown) == by_characters + selected


@pytest.mark.parametrize("kind", get_args(Notice))
def test_from_the_wire_every_notice_can_be_shown(kind: type[Notice]) -> None:
    @given(any_value(kind))
    def holds(notice: Notice) -> None:
        for told in from_the_wire(notice):
            assert all(is_safe(line.text) for line in rendered(told))
            Plain().encode(told)

    holds()


@given(TEXT, st.integers(1, 60))
def test_what_is_shortened_fits_and_says_so(text: str, columns: int) -> None:
    short = shortened(text, columns)
    assert text_width(short) <= columns
    assert short == text or (short.endswith("…") and text.startswith(short[:-1]))
