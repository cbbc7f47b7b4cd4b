"""The look through what was said, as one types: what stands above the prompt meanwhile.

What was half typed before is put back at the end.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from tcpchat_cli.terminal.find import Look
from tcpchat_cli.terminal.numbering import MessageId
from tcpchat_cli.terminal.render import Fragments, Line, marker
from tcpchat_cli.terminal.surface import Surface
from tcpchat_cli.terminal.widths import text_width

# How many lines are shown on each side of the one that is found: while one types, and at the end.
_BESIDE: Final = 1
_BESIDE_AT_END: Final = 3

# Columns that stay free: what an encoding does not have may be shown by more characters.
_FREE: Final = 4


class Looking:
    """A look through the lines of a view; what is looked for is typed where lines are typed."""

    def __init__(self, display: Surface) -> None:
        self._display = display
        self._look: Look | None = None
        self._draft = ""
        self._has_older = True

    @property
    def is_on(self) -> bool:
        """Whether one is looking."""
        return self._look is not None

    def start_or_go_on(self, lines: Sequence[Line]) -> None:
        """Begin with the newest line; or go on to the next older one that has what is typed."""
        if self._look is None:
            self._look, self._draft = Look(lines), self._display.text
            self._display.text = ""
        else:
            self._look.typed = self._display.text
            self._has_older = self._look.hit() is None or self._look.older()
        self._display.refresh()

    def go_back(self) -> None:
        """The next newer line."""
        if self._look is not None:
            self._look.typed = self._display.text
            self._look.newer()
            self._has_older = True
            self._display.refresh()

    def take_back(self, place: MessageId) -> None:
        """The text of a message is not to be found any more."""
        if self._look is not None:
            self._look.take_back(place)

    def stop(self, *, show: bool = False) -> None:
        """End it; with `show`, what was found stays on the screen, with what was said around it."""
        if self._look is None:
            return
        look, self._look = self._look, None
        look.typed = self._display.text
        self._display.text, self._has_older = self._draft, True
        if show and (hit := look.hit()) is not None:
            self._display.reveal(look.lines[hit.at], look.around(hit, _BESIDE_AT_END))
        self._display.refresh()

    def message(self) -> Fragments:
        """The prompt: what was found between its neighbours, then what it asks for."""
        if self._look is None:
            return []
        if self._look.typed != self._display.text:
            self._has_older = True
        self._look.typed = self._display.text
        hit = self._look.hit()
        lines = self._look.around(hit, _BESIDE) if hit is not None else []
        if hit is None and self._look.typed:
            lines = [marker("nothing here has that")]
        elif not self._has_older:
            lines.append(marker("nothing older has that"))
        above: Fragments = []
        for line in lines:
            above += [*_in_one_row(line, self._display.columns - _FREE), ("", "\n")]
        return [*above, ("class:prompt", "find: ")]


def _in_one_row(line: Line, columns: int) -> Fragments:
    """As much of a line as has room in a row; in any case what is marked in it."""
    cells = [(style, char) for style, text in (*line.head, *line.body) for char in text]
    marked = [at for at, (style, _) in enumerate(cells) if "class:match" in style]
    widths = [text_width(char) for _, char in cells]
    begin = 0
    if marked and sum(widths[: marked[0]]) > columns * 2 // 3:
        begin = marked[0]
        left = columns // 3
        while begin > 0 and (left := left - widths[begin - 1]) > 0:
            begin -= 1
        cells, widths = [("", "…"), *cells[begin:]], [1, *widths[begin:]]
    shown: Fragments = []
    room = columns
    for (style, char), width in zip(cells, widths, strict=True):
        if width > room - 1:  # one is for the …
            return [*shown, ("", "…")]
        if shown and shown[-1][0] == style:
            shown[-1] = (style, shown[-1][1] + char)
        else:
            shown.append((style, char))
        room -= width
    return shown
