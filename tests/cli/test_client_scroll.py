"""Which rows of a view the full screen of tcpchat-client shows, and where paging leads."""

from __future__ import annotations

import unicodedata
from collections import deque
from itertools import chain

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from prompt_toolkit.layout.screen import Char
from tcpchat_cli.terminal.numbering import MessageId
from tcpchat_cli.terminal.render import Fragments, Line, taken_back
from tcpchat_cli.terminal.scroll import Scroll, cut, line_rows

# Wide characters, marks that combine, emoji that join, and what a terminal obeys.
CHARS = st.characters(codec="utf-8") | st.sampled_from(
    "한👩\u200d❤\ufe0f👍\U0001f3fd\u0301\x1b\x9bé "
)
JOINERS = "\u200d\ufe0e\ufe0f\U0001f3fb\U0001f3fc\U0001f3fd\U0001f3fe\U0001f3ff"
TEXT = st.text(CHARS, max_size=200) | st.just("https://example.org/" + "x" * 90)
PIECES = st.lists(st.tuples(st.just(""), TEXT.map(lambda text: text.replace("\n", " "))))
LINES = st.builds(Line, PIECES, PIECES)


def width(row: Fragments) -> int:
    """In how many columns prompt_toolkit draws a row."""
    return sum(Char(char).width for _, text in row for char in text)


@given(LINES, st.integers(1, 200))
def test_no_row_is_wider_than_its_pane_and_none_is_missing(line: Line, columns: int) -> None:
    rows = line_rows(line, columns)
    assert rows
    assert all(width(row) <= columns for row in rows)
    if columns > 1:  # else a wide character is a ?
        assert seen("".join(text for row in rows for _, text in row)) == seen(line.text)


def seen(text: str) -> str:
    """A text without its blanks, without what joins emoji, and without what a terminal obeys."""
    kept = (char for char in text if char not in JOINERS and not char.isspace())
    return "".join(char for char in kept if char != "\ufffd" and unicodedata.category(char) != "Cc")


@given(PIECES, st.integers(0, 80))
def test_what_is_cut_fits_and_says_that_it_was_cut(pieces: Fragments, columns: int) -> None:
    row = cut(pieces, columns)
    assert width(row) <= columns
    whole = cut(pieces, 10_000)
    assert row == whole or not columns or row[-1] == ("", "…")


@given(st.lists(LINES, max_size=8), st.integers(1, 60), st.integers(0, 30))
def test_at_the_end_the_last_rows_are_visible(lines: list[Line], columns: int, height: int) -> None:
    rows = [*chain.from_iterable(line_rows(line, columns) for line in lines)]
    shown = Scroll().visible(deque(lines), columns, height)
    assert shown == rows[max(0, len(rows) - height) :]


def line(number: int, rows: int) -> Line:
    """A line of so many rows of ten columns."""
    return Line([], [("", f"{number:04}{'-' * (10 * rows - 4)}")], MessageId("lobby", number))


class Paging(RuleBasedStateMachine):
    """Somebody who pages, while lines come and go: what is at the top stays there."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: deque[Line] = deque()
        self.scroll = Scroll()
        self.count = 0
        self.height = 5
        self.top: tuple[object, int] | None = None  # a line's place and its row; None at the end

    def all_rows(self) -> list[tuple[tuple[object, int], Fragments]]:
        """Each row with its line's place and its number in the line."""
        return [
            ((each.place, number), row)
            for each in self.lines
            for number, row in enumerate(line_rows(each, 10))
        ]

    def first(self) -> int:
        """Which row of all is at the top of the screen, or would be if there were enough."""
        rows = self.all_rows()
        places = [place for place, _ in rows]
        return len(rows) - self.height if self.top is None else places.index(self.top)

    def look_at(self, first: int) -> None:
        rows = self.all_rows()
        self.top = None if first + self.height >= len(rows) else rows[first][0]

    @rule(rows=st.integers(1, 9))
    def comes(self, rows: int) -> None:
        self.count += 1
        self.lines.append(line(self.count, rows))

    @precondition(lambda self: self.lines)
    @rule()
    def is_dropped(self) -> None:
        gone = self.lines.popleft()
        if self.top is not None:
            self.look_at(0 if self.top[0] == gone.place else self.first())

    @precondition(lambda self: self.lines)
    @rule(data=st.data())
    def is_taken_back(self, data: st.DataObject) -> None:
        at = data.draw(st.integers(0, len(self.lines) - 1))
        self.lines[at] = taken_back(self.lines[at])
        if self.top is not None:
            place, number = self.top
            left = sum(each == place for (each, _), _ in self.all_rows())
            self.top = place, min(number, left - 1)
            self.look_at(self.first())

    @rule(height=st.integers(1, 12))
    def is_resized(self, height: int) -> None:
        first = self.first()
        self.height = height
        if self.top is not None:
            self.look_at(first)

    @rule()
    def pages_up(self) -> None:
        first = max(0, self.first())
        assert self.scroll.page_up(self.lines) == (first > 0)
        self.look_at(max(0, first - max(1, self.height - 1)))

    @rule()
    def pages_down(self) -> None:
        self.scroll.page_down(self.lines)
        if self.top is not None:
            self.look_at(self.first() + max(1, self.height - 1))

    @rule()
    def goes_to_the_top(self) -> None:
        self.scroll.to_top(self.lines)
        self.look_at(0)

    @rule()
    def goes_to_the_end(self) -> None:
        self.scroll.to_end()
        self.top = None

    @invariant()
    def what_one_looks_at_stays(self) -> None:
        first = max(0, self.first())
        rows = [row for _, row in self.all_rows()]
        assert self.scroll.visible(self.lines, 10, self.height) == rows[first:][: self.height]
        assert self.scroll.is_at_end == (self.top is None)


TestPaging = Paging.TestCase


def test_what_was_cleared_is_there_for_who_goes_up() -> None:
    lines = deque([line(1, 1), line(2, 1)])
    scroll = Scroll()
    scroll.visible(lines, 10, 5)
    scroll.clear(lines)
    assert scroll.visible(lines, 10, 5) == []
    lines.append(line(3, 1))
    assert len(scroll.visible(lines, 10, 5)) == 1
    assert scroll.page_up(lines)
    assert len(scroll.visible(lines, 10, 5)) == 3


def test_what_was_cleared_does_not_come_back_when_its_last_line_is_taken_back() -> None:
    lines = [Line([("", "bob: ")], [("", f"{seq}")], MessageId("lobby", seq)) for seq in range(9)]
    scroll = Scroll()
    scroll.clear(lines)
    lines[-1] = taken_back(lines[-1])
    assert scroll.visible(lines, 20, 5) == []
    quote = Line([("", "> ")], [("", "bob: 8")], MessageId("lobby", 8))
    assert scroll.visible([*lines, quote], 20, 5) == line_rows(quote, 20)


def test_only_what_is_visible_is_laid_out_and_only_once() -> None:
    laid_out: list[Line] = []

    def encoded(line: Line) -> Line:
        laid_out.append(line)
        return line

    lines = deque(line(number, 1) for number in range(5_000))
    scroll = Scroll(encoded)
    scroll.visible(lines, 10, 50)
    assert len(laid_out) == 50
    scroll.visible(lines, 10, 50)
    assert len(laid_out) == 50
    lines.append(line(5_000, 1))
    scroll.visible(lines, 10, 50)
    assert len(laid_out) == 51
    scroll.page_up(lines)
    scroll.visible(lines, 10, 50)
    scroll.visible(lines, 10, 50)
    assert len(laid_out) <= 51 + 50
    scroll.visible(lines, 11, 50)  # another width: all that is visible again
    assert len(laid_out) <= 51 + 50 + 52
