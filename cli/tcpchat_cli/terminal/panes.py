"""The full screen: views at the left, people at the right, what is said in the middle.

Rule 1: Only what is visible is laid out (`scroll`), and what comes in crowds is drawn some times a
        second (`pacing`). A key is answered at once.

Rule 2: A narrow terminal shows the middle only, and the mouse is the terminal's, so that text can
        be selected. With the panes at the sides hidden, it can be over several rows.

Rule 3: Questions before one comes in are asked on the usual screen, as `display` does. The full
        screen is left whatever happens: prompt_toolkit does that, also for an exception.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, TypeAlias
from weakref import WeakKeyDictionary

from prompt_toolkit import PromptSession
from prompt_toolkit.application import Application
from prompt_toolkit.filters import Condition, Never
from prompt_toolkit.layout import (
    ConditionalContainer,
    Container,
    Dimension,
    HSplit,
    Layout,
    UIContent,
    UIControl,
    VSplit,
    Window,
)

from tcpchat_cli.terminal.display import Display
from tcpchat_cli.terminal.hints import Hints
from tcpchat_cli.terminal.layout import encodable, in_encoding
from tcpchat_cli.terminal.numbering import MessageId
from tcpchat_cli.terminal.pacing import Pacing
from tcpchat_cli.terminal.render import Fragments, Line
from tcpchat_cli.terminal.scroll import Scroll
from tcpchat_cli.terminal.settings import Settings
from tcpchat_cli.terminal.sides import people_rows, topic_row, view_rows
from tcpchat_cli.terminal.surface import Pane, Prompt, Way
from tcpchat_cli.terminal.view import View

# The panes at the sides, with the line beside each; and what they leave to the middle at least.
SIDE_COLUMNS: Final = 19
MIDDLE_COLUMNS: Final = 60

# Rows for so many columns and rows.
Draw: TypeAlias = Callable[[int, int], list[Fragments]]


class Panes(Display):
    """One terminal, and all of it."""

    def __init__(self, settings: Settings, *, coloured: bool) -> None:
        super().__init__(settings, coloured=coloured)
        self._prompt: Prompt | None = None  # while the screen is full
        self._scrolls: WeakKeyDictionary[View, Scroll] = WeakKeyDictionary()
        self._hidden: set[Pane] = set()
        self._hints = Hints(settings, has_keys=self.has_keys)
        self._told = ""  # instead of the topic, until one does something
        self._pacing = Pacing(super().refresh)

    # ── Showing ──────────────────────────────────────────────────────────────────────────────

    def show(self, lines: Sequence[Line]) -> None:
        """Draw what is new; print it, as long as the screen is not full and there is no view."""
        if self._prompt is not None:
            self._pacing.soon()
        elif not self._has_switched:
            super().show(lines)

    def show_older(self, lines: Sequence[Line]) -> None:
        """Go up to what stands above now."""
        if any(line.place for line in lines):
            self.scroll("page up")
        elif lines:
            self._told = lines[0].text
        self.refresh()

    def reveal(self, line: Line, around: Sequence[Line]) -> None:  # noqa: ARG002 # it is there
        """Go where the line is."""
        if self._prompt is not None:
            view = self._prompt.views.current
            lines = _marked(view)
            at = next((at for at, each in enumerate(lines) if each is line), None)
            if at is not None:
                self._scroll_of(view).to_line(lines, at)
                self._told = f"found: {line.text}"
        self.refresh()

    def switch(self, view: View) -> None:  # noqa: ARG002 # `Prompt.views` knows it
        """Draw another view."""
        self._has_switched = True
        self._told = ""
        self.refresh()

    def take_back(self, place: MessageId) -> None:  # noqa: ARG002 # the views know it
        """Draw what is left of it; what was found may have been that."""
        self._told = ""
        self.refresh()

    def clear(self) -> None:
        """Show nothing of what is there, until one goes up."""
        if self._prompt is not None:
            view = self._prompt.views.current
            self._scroll_of(view).clear(view.lines)
        self.refresh()

    def refresh(self) -> None:
        """Draw all that has changed."""
        if self._prompt is not None:
            self._pacing.soon()
        else:
            super().refresh()

    def scroll(self, way: Way) -> bool:
        """Go through the current view; False when there is nothing more that way."""
        if self._prompt is None:
            return False
        self._told = ""
        view = self._prompt.views.current
        lines, scroll = _marked(view), self._scroll_of(view)
        match way:
            case "page up":
                return scroll.page_up(lines)
            case "page down":
                if scroll.is_at_end:
                    return False
                scroll.page_down(lines)
            case "top":
                scroll.to_top(lines)
            case "end":
                scroll.to_end()
        return True

    def toggle(self, pane: Pane) -> None:
        """Hide a pane at the side, or show it again where there is room."""
        self._hidden ^= {pane}
        self.refresh()

    def _note_prompt(self, app: Application[str]) -> None:
        super()._note_prompt(app)
        self._pacing.drawn()

    # ── The layout ───────────────────────────────────────────────────────────────────────────

    async def prompt(self, prompt: Prompt) -> None:
        """Let a person type lines in full screen, until Leave is raised."""
        self._prompt = prompt
        try:
            await super().prompt(prompt)
        finally:
            self._prompt = None
            self._pacing.stop()

    def _arrange(self, session: PromptSession[str]) -> None:
        """Put the prompt, its bar and its menus below the panes."""
        app, bottom = session.app, session.layout
        app.full_screen = app.renderer.full_screen = True
        app.enable_page_navigation_bindings = Never()
        above = Window(_Rows(self._topic_rows), height=1, style="class:bottom-toolbar")
        panes = VSplit(
            [
                self._side("views", self._view_rows, is_left=True),
                Window(_Rows(self._said_rows, is_low=True)),
                self._side("people", self._people_rows, is_left=False),
            ]
        )
        whole = HSplit([above, panes, _Snug([bottom.container])])
        app.layout = Layout(whole, focused_element=bottom.current_window)

    def _side(self, pane: Pane, draw: Draw, *, is_left: bool) -> Container:
        line = Window(width=1, char=encodable("│", self._output.encoding()), style="class:time")
        rows = Window(_Rows(draw), width=SIDE_COLUMNS - 1)
        parts = [rows, line] if is_left else [line, rows]
        return ConditionalContainer(VSplit(parts), Condition(lambda: self._is_shown(pane)))

    def _is_shown(self, pane: Pane) -> bool:
        """Whether there is room for a pane; the views come first."""
        sides = [each for each in ("views", "people") if each not in self._hidden]
        room = (self._output.get_size().columns - MIDDLE_COLUMNS) // SIDE_COLUMNS
        return pane in sides[: max(0, room)]

    def _said_rows(self, columns: int, rows: int) -> list[Fragments]:
        if self._prompt is None:
            return []
        view = self._prompt.views.current
        return self._scroll_of(view).visible(_marked(view), columns, rows)

    def _view_rows(self, columns: int, rows: int) -> list[Fragments]:
        if self._prompt is None:
            return []
        views = self._prompt.views
        return self._in_encoding(view_rows([*views], views.current, columns, rows))

    def _people_rows(self, columns: int, rows: int) -> list[Fragments]:
        if self._prompt is None:
            return []
        return self._in_encoding(people_rows(self._prompt.people(), columns, rows))

    def _topic_rows(self, columns: int, _rows: int) -> list[Fragments]:
        if self._prompt is None:
            return []
        view = self._prompt.views.current
        scroll = self._scroll_of(view)
        told = self._told or ("" if scroll.is_at_end else self._more_below())
        return self._in_encoding([topic_row(view, told, columns)])

    def _more_below(self) -> str:
        """That what one sees is not the end, and how one gets there."""
        does = {"newer": "goes on", "newest": "goes to the end"}
        ways = [
            f"{keys[0]} {what}" for name, what in does.items() if (keys := self._hints.keys(name))
        ]
        return ", ".join(ways) or "there is more below"

    def _scroll_of(self, view: View) -> Scroll:
        if view not in self._scrolls:
            encoding = self._output.encoding()
            self._scrolls[view] = Scroll(lambda line: in_encoding(line, encoding))
        return self._scrolls[view]

    def _in_encoding(self, rows: list[Fragments]) -> list[Fragments]:
        return [[*self._encodable(row)] for row in rows]


def _marked(view: View) -> list[Line]:
    """The lines of a view with its mark among them."""
    lines = [*view.lines]
    if (mark := view.mark_line) is not None:
        lines.insert(len(lines) - (view.mark or 0), mark)
    return lines


class _Rows(UIControl):
    """Draws rows that are made for the size of the pane; `is_low` at its bottom."""

    def __init__(self, draw: Draw, *, is_low: bool = False) -> None:
        self._draw = draw
        self._is_low = is_low

    def create_content(self, width: int, height: int) -> UIContent:
        """What prompt_toolkit draws."""
        rows: list[Any] = [*self._draw(width, height)]
        if self._is_low:
            rows = [[]] * (height - len(rows)) + rows
        return UIContent(rows.__getitem__, len(rows), show_cursor=False)


class _Snug(HSplit):
    """Takes no more rows than it needs."""

    def preferred_height(self, width: int, max_available_height: int) -> Dimension:
        """As many at most as are preferred."""
        wanted = super().preferred_height(width, max_available_height)
        return Dimension(min=wanted.min, preferred=wanted.preferred, max=wanted.preferred)
