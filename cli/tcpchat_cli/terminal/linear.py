"""One line after the other, for screen readers, and for terminals that cannot move their cursor.

Rule 1: Each line is written once, whole, at the end. Nothing is drawn, moved, coloured or wrapped,
        and nothing that a terminal obeys is written, but for the bell.

Rule 2: A line begins with who speaks: `ada: `, or `ada (action): `. What this program says begins
        with `* `, what goes wrong with `! `; in neither can a nick stand before a colon.

Rule 3: What a display shows without being asked (what is unread elsewhere) is told in a sentence
        when it changes.

Rule 4: One types into the terminal's own line. It shows what is typed, so one's own messages are
        not written again. What comes meanwhile is written as it comes.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final

from tcpchat_cli.terminal.layout import encodable
from tcpchat_cli.terminal.numbering import MessageId
from tcpchat_cli.terminal.render import Fragments, Line
from tcpchat_cli.terminal.settings import Settings
from tcpchat_cli.terminal.stdin import Input
from tcpchat_cli.terminal.surface import Leave, Pane, Prompt, Way
from tcpchat_cli.terminal.view import View
from tcpchat_core.sanitize import sanitize

# Nothing is cut to fit: the terminal wraps, and a screen reader needs no rows.
COLUMNS: Final = 1_000_000

# What can stand before who speaks.
_PLACES: Final = {"class:marker", "class:system", "class:time", "class:room"}

# What stands around the text of a mark, as `render.marker` makes it.
_RULE: Final = "─ "


class Linear:
    """A terminal to which lines are only added."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._input = Input()
        self._is_reading = False
        self._leaving: asyncio.Event = asyncio.Event()
        self._prompt: Prompt | None = None
        self._has_switched = False
        self._mentions: dict[View, int] = {}  # what was told of what is unread
        for stream in (sys.stdout, sys.stderr):
            if hasattr(stream, "reconfigure"):
                stream.reconfigure(errors="replace")

    @property
    def columns(self) -> int:
        """As wide as anything."""
        return COLUMNS

    @property
    def has_keys(self) -> bool:
        """The terminal gives on whole lines."""
        return False

    @property
    def text(self) -> str:
        """Nobody but the terminal knows what is being typed."""
        return ""

    @text.setter
    def text(self, text: str) -> None:
        pass

    # ── Showing ──────────────────────────────────────────────────────────────────────────────

    def show(self, lines: Sequence[Line]) -> None:
        """Write what is new, and what has changed elsewhere."""
        self._write_lines([line for line in lines if not line.echo])
        self.refresh()

    def show_older(self, lines: Sequence[Line]) -> None:
        """Write what was said before."""
        self._write_lines(lines)

    def reveal(self, line: Line, around: Sequence[Line]) -> None:  # noqa: ARG002 # it is in `around`
        """Write what was found, with what is around it."""
        self._write_lines(around)

    def switch(self, view: View) -> None:
        """Write where one is, and what is new there."""
        self._mentions.pop(view, None)
        is_first, self._has_switched = not self._has_switched, True
        if is_first or (view.kind == "room" and not view.lines):
            return  # one has come into it, or is about to, which is told
        if view.kind == "past":
            self._write([f"* now in what was said before in {view.name}"])
            return
        where = f"with {view.name}" if view.kind == "direct" else f"in {view.name}"
        news = f": {view.missed.summary()}" if view.missed else ": nothing new"
        lines = [*view.lines][len(view.lines) - (view.mark or 0) :]
        self._write([f"* now {where}{news}"])
        self._write_lines(lines)

    def take_back(self, place: MessageId) -> None:
        """What was written was written; who took it back is told."""

    def refresh(self) -> None:
        """Tell what is unread elsewhere and was not told."""
        if self._prompt is None:
            return
        views = self._prompt.views
        self._mentions = {view: told for view, told in self._mentions.items() if view.unread}
        told: list[str] = []
        for view in views:
            mentions = view.unread.mentions
            is_told = self._mentions.get(view) == mentions
            if view is views.current or view.kind == "direct" or not view.unread or is_told:
                continue  # who writes to one alone is told on all displays
            told.append(_news(view, is_for_me=mentions > self._mentions.get(view, 0)))
            self._mentions[view] = mentions
        self._write(told)

    def clear(self) -> None:
        """What was written stays."""

    def scroll(self, way: Way) -> bool:  # noqa: ARG002 # see below
        """The terminal does that."""
        return False

    def toggle(self, pane: Pane) -> None:
        """There are no panes."""

    def call(self, data: str) -> None:
        """Ring, whatever else would be sent."""
        self._send("\a" if data else "")

    def show_title(self, text: str) -> None:
        """The title stays what it is."""

    def apply_settings(self) -> None:
        """Nothing here depends on any."""

    def _write_lines(self, lines: Sequence[Line]) -> None:
        self._write(spoken(line, timestamps=self._settings.timestamps) for line in lines)

    def _write(self, texts: Iterable[str]) -> None:
        self._send("".join(f"{sanitize(text)}\n" for text in texts))

    def _send(self, text: str) -> None:
        if text and sys.stdout is not None:
            sys.stdout.write(encodable(text, sys.stdout.encoding))
            sys.stdout.flush()

    # ── Asking ───────────────────────────────────────────────────────────────────────────────

    async def question(self, text: str, *, secret: bool = False) -> str:
        """A person's answer, which is not shown if it is secret. Raises Leave."""
        quiet = _echo_off() if secret else contextlib.nullcontext()
        with _interrupts(self.leave), quiet:
            self._send(sanitize(text))
            try:
                return await self._line()
            finally:
                if secret:
                    self._send("\n")

    async def prompt(self, prompt: Prompt) -> None:
        """Give on what is typed, line by line, until Leave is raised."""
        self._prompt = prompt
        with _interrupts(self.leave):
            while True:
                line = await self._line()
                prompt.key_pressed()
                prompt.entered(line)

    def leave(self) -> None:
        """End the prompt."""
        self._leaving.set()

    async def _line(self) -> str:
        """The next line. Raises Leave where there is none, or Ctrl-C was pressed."""
        if not self._is_reading:
            self._is_reading = True
            self._input.start()
        line = asyncio.ensure_future(self._input.line())
        leaving = asyncio.ensure_future(self._leaving.wait())
        try:
            await asyncio.wait({line, leaving}, return_when=asyncio.FIRST_COMPLETED)
            if self._leaving.is_set() or (typed := line.result()) is None:
                raise Leave
            return typed
        finally:
            line.cancel()
            leaving.cancel()


# ── Lines as they are read ───────────────────────────────────────────────────────────────────


def spoken(line: Line, *, timestamps: bool) -> str:
    """A line as one would read it out, with its time before it if that is wanted."""
    head, before = [*line.head], ""
    if head and head[0][0] == "class:time":
        _, time = head.pop(0)
        before = time if timestamps else ""
    while len(head) > 1 and head[0][0] in _PLACES:  # of a line of a list: its number, day and room
        before += head.pop(0)[1].strip("[] ") + " "
    body = "".join(text for _, text in line.body)
    if not line.head and line.body and line.body[0][0] == "class:marker":
        return f"* {body.strip(_RULE)}"
    is_told = any(style == "class:told" for style, _ in head)
    is_called = not is_told and any(style == "class:mention" for style, _ in line.body)
    return f"{before}{_speaker(head, ('mention',) if is_called else ())}{body}"


def _speaker(head: Fragments, notes: tuple[str, ...]) -> str:
    """Who speaks, and how, instead of the signs that say so to the eye."""
    match head:
        case [("class:system", _)]:
            return "* "
        case [("class:error", _)]:
            return "! "
        case [("class:quote", _)]:
            return "* in answer to "
        case [("class:told", text)]:
            who, _, whom = text.strip("[] ").partition(" → ")
            how = ("notice",) if who.startswith("-") else ()
            return f"{who.strip('-')} to {whom}{_in_brackets(how)}: "
        case [("", "* "), (_, nick), ("", _)]:
            return f"{nick}{_in_brackets(('action', *notes))}: "
        case [("", "-"), (_, nick), ("", _)]:
            return f"{nick}{_in_brackets(('notice', *notes))}: "
        case [(_, nick), ("", ": ")]:
            return f"{nick}{_in_brackets(notes)}: "
        case _:
            return "".join(text for _, text in head)


def _in_brackets(notes: Sequence[str]) -> str:
    return f" ({', '.join(notes)})" if notes else ""


def _news(view: View, *, is_for_me: bool) -> str:
    """What is new in a view that one does not look at."""
    what = "you are mentioned" if is_for_me else "something new"
    return f"* {what} in {view.name}"


# ── The terminal ─────────────────────────────────────────────────────────────────────────────


@contextlib.contextmanager
def _interrupts(left: Callable[[], None]) -> Iterator[None]:
    """Call `left` for Ctrl-C."""
    loop = asyncio.get_running_loop()
    before = signal.getsignal(signal.SIGINT)
    try:
        loop.add_signal_handler(signal.SIGINT, left)
    except NotImplementedError:  # Windows: asyncio ends what runs
        yield
        return
    try:
        yield
    finally:
        loop.remove_signal_handler(signal.SIGINT)
        signal.signal(signal.SIGINT, before)


@contextlib.contextmanager
def _echo_off() -> Iterator[None]:
    """Have the terminal not show what is typed."""
    try:
        import termios  # noqa: PLC0415 # Windows has none
    except ImportError:
        yield
        return
    descriptor = sys.stdin.fileno()
    before = termios.tcgetattr(descriptor)
    quiet = [*before]
    quiet[3] = before[3] & ~termios.ECHO
    termios.tcsetattr(descriptor, termios.TCSADRAIN, quiet)
    try:
        yield
    finally:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)
