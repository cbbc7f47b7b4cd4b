"""Which rows of many lines are on the screen, and where one has scrolled to.

Rule 1: Only what is visible is laid out. The rows of the lines that were visible the last time are
        kept, as long as the pane is as wide.

Rule 2: No row is wider than its pane, counted as prompt_toolkit draws it: character by character.
        What a terminal may draw as one character of several is taken apart (a family of emoji
        becomes its people), or all that is beside it would stand in the wrong column.

Rule 3: No links (OSC 8): prompt_toolkit draws the cells that differ from those before, and writes
        what begins or ends a link only with the cell that it stands before. Where an address takes
        the place of another, or a menu covers its end, what one sees would not be where one goes.

Rule 4: What one looks at stays where it is while more comes below, or what is above is dropped.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from typing import Final

from prompt_toolkit.utils import get_cwidth

from tcpchat_cli.terminal.layout import layout
from tcpchat_cli.terminal.render import Fragments, Line, taken_back
from tcpchat_cli.terminal.widths import apart

# Characters that a terminal obeys, if ever one should come this far, are shown as unreadable.
_CONTROLS: Final = dict.fromkeys([*range(0x20), *range(0x7F, 0xA0)], "\ufffd")


class Rows:
    """The rows of lines, each laid out once for as long as it is visible.

    `encoded` gives a line without what the terminal's encoding has not.
    """

    def __init__(self, encoded: Callable[[Line], Line]) -> None:
        self._encoded = encoded
        self._columns = 1
        # By the line's identity. The line is kept too, so that no other can have its identity.
        self._kept: dict[int, tuple[Line, list[Fragments]]] = {}
        self._used: dict[int, tuple[Line, list[Fragments]]] = {}

    def begin(self, columns: int) -> None:
        """The screen is drawn anew; what was not visible the last time is forgotten."""
        self._kept = self._used if columns == self._columns else {}
        self._used, self._columns = {}, columns

    def of(self, line: Line) -> list[Fragments]:
        """The rows of a line; at least one."""
        found = self._used.get(id(line)) or self._kept.get(id(line))
        if found is None:
            found = line, line_rows(self._encoded(line), self._columns)
        self._used[id(line)] = found
        return found[1]


class Scroll:
    """Where one has scrolled to in one view; `encoded` as for `Rows`."""

    def __init__(self, encoded: Callable[[Line], Line] = lambda line: line) -> None:
        self._rows = Rows(encoded)
        self._top: tuple[Line, int] | None = None  # the row at the top; None at the end
        self._size = (1, 1)  # columns and rows, when it was drawn last
        self._cleared: Line | None = None  # at the end, nothing is shown from this line upwards

    @property
    def is_at_end(self) -> bool:
        """Whether what comes is seen."""
        return self._top is None

    def visible(self, lines: Sequence[Line], columns: int, height: int) -> list[Fragments]:
        """The rows to be drawn, at most `height`."""
        self._size = columns, height
        self._rows.begin(columns)
        if self._top is not None:
            at, row = self._first(lines)
            rows = self._downwards(lines, at, row, height + 1)
            if len(rows) > height:
                self._top = lines[at], row
                return rows[:height]
            self._top = None
        return self._last(lines, height)

    def page_up(self, lines: Sequence[Line]) -> bool:
        """Go up by a page; False when one was at the top already."""
        _, height = self._size
        at, row = self._first(lines)
        moved = self._move(lines, at, row, -max(1, height - 1))
        self._cleared = None
        if moved == (at, row):
            return False
        self._look_at(lines, *moved)
        return True

    def page_down(self, lines: Sequence[Line]) -> None:
        """Go down by a page."""
        if self._top is not None:
            _, height = self._size
            self._look_at(lines, *self._move(lines, *self._first(lines), max(1, height - 1)))

    def to_top(self, lines: Sequence[Line]) -> None:
        """Go to the oldest line."""
        if lines:
            self._look_at(lines, 0, 0)

    def to_end(self) -> None:
        """Follow what comes."""
        self._top = None

    def to_line(self, lines: Sequence[Line], at: int) -> None:
        """Go where a line is in the middle of the screen."""
        _, height = self._size
        self._look_at(lines, *self._move(lines, at, 0, -(height // 2)))

    def clear(self, lines: Sequence[Line]) -> None:
        """Show nothing of what is there, until one goes up."""
        self._top = None
        self._cleared = lines[-1] if lines else None

    def _is_cleared(self, line: Line) -> bool:
        """Whether nothing is shown from this line upwards; its text may have been taken back."""
        cleared = self._cleared
        return cleared is not None and (
            line is cleared or (line.place is not None and line == taken_back(cleared))
        )

    # ── Counting rows ────────────────────────────────────────────────────────────────────────

    def _look_at(self, lines: Sequence[Line], at: int, row: int) -> None:
        _, height = self._size
        is_end = len(self._downwards(lines, at, row, height + 1)) <= height
        self._top = None if is_end else (lines[at], row)

    def _place(self, lines: Sequence[Line], line: Line, row: int) -> tuple[int, int]:
        """Where a row of a line is; the first of all when the line is there no more."""
        same = (at for at, each in enumerate(lines) if each is line)
        if (found := next(same, None)) is not None:
            return found, row
        alike = (at for at, each in enumerate(lines) if line.place and each.place == line.place)
        if (found := next(alike, None)) is None:
            return 0, 0
        # Its text was taken back, so that it is another line, and perhaps a shorter one.
        return found, min(row, len(self._rows.of(lines[found])) - 1)

    def _first(self, lines: Sequence[Line]) -> tuple[int, int]:
        """The line and its row that are at the top of the screen."""
        if self._top is not None:
            return self._place(lines, *self._top)
        _, height = self._size
        left = height
        for at in range(len(lines) - 1, -1, -1):
            if self._is_cleared(lines[at]):
                return at + 1, 0
            left -= len(self._rows.of(lines[at]))
            if left <= 0:
                return at, -left
        return 0, 0

    def _move(self, lines: Sequence[Line], at: int, row: int, by: int) -> tuple[int, int]:
        """So many rows below a row of a line (above for less than 0), as far as there are lines."""
        row += by
        while row < 0 and at > 0:
            at -= 1
            row += len(self._rows.of(lines[at]))
        while at < len(lines) - 1 and row >= (count := len(self._rows.of(lines[at]))):
            at, row = at + 1, row - count
        return at, max(0, row)

    def _downwards(self, lines: Sequence[Line], at: int, row: int, height: int) -> list[Fragments]:
        rows: list[Fragments] = []
        for line in islice(lines, at, None):
            rows += self._rows.of(line)
            if len(rows) >= row + height:
                break
        return rows[row : row + height]

    def _last(self, lines: Sequence[Line], height: int) -> list[Fragments]:
        groups: list[list[Fragments]] = []
        count = 0
        for line in reversed(lines):
            if count >= height or self._is_cleared(line):
                break
            groups.append(self._rows.of(line))
            count += len(groups[-1])
        rows = [row for group in reversed(groups) for row in group]
        return rows[len(rows) - min(height, len(rows)) :]


def line_rows(line: Line, columns: int) -> list[Fragments]:
    """The rows of one line, none of them wider than `columns`; at least one."""
    rows: list[Fragments] = [[]]
    column = 0
    for style, text in layout([line], columns)[:-1]:
        for number, piece in enumerate(map(drawable, text.split("\n"))):
            if number:
                rows.append([])
                column = 0
            if column + get_cwidth(piece) <= columns:
                rows[-1].append((style, piece))
                column += get_cwidth(piece)
                continue
            for char in piece:  # a URL, which is not broken elsewhere
                width = get_cwidth(char)
                if column + width > columns and column:
                    rows.append([])
                    column = 0
                rows[-1].append((style, char if width <= columns else "?"))
                column += min(width, columns)
    return rows


def cut(fragments: Iterable[tuple[str, str]], columns: int) -> Fragments:
    """As much as goes into one row of so many columns; with … at its end when that is not all."""
    pieces = [(style, drawable(text)) for style, text in fragments]
    if sum(get_cwidth(text) for _, text in pieces) <= columns:
        return pieces
    if not columns:
        return []
    row: Fragments = []
    left = columns - 1  # for the …
    for style, text in pieces:
        kept = text
        while get_cwidth(kept) > left:
            kept = kept[:-1]
        row.append((style, kept))
        left -= get_cwidth(kept)
        if kept != text:
            break
    return [*row, ("", "…")]


def drawable(text: str) -> str:
    """The text with as many columns as its characters have one by one."""
    if text.isascii() and text.isprintable():
        return text
    return apart(text.translate(_CONTROLS))
