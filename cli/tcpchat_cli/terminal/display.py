"""The terminal: a prompt at the bottom, and lines printed above it.

What is printed goes above the prompt in one piece and without letting go of the keyboard, so what
is being typed can be neither torn nor lost. The terminal keeps its own scrollback and selection.
Only lines of the current view are printed; where another one becomes it, a line with its name is
printed, and then what there was last in it.

What was said and is taken back is printed once more, without its text, with all that is below it:
as long as it is on the screen for certain. What has left the screen is the terminal's.
"""

from __future__ import annotations

import codecs
import contextlib
import os
import signal
from collections import deque
from collections.abc import Callable, Sequence
from itertools import islice

from prompt_toolkit import PromptSession
from prompt_toolkit.application import Application
from prompt_toolkit.buffer import Buffer
from prompt_toolkit.document import Document
from prompt_toolkit.enums import EditingMode
from prompt_toolkit.formatted_text import FormattedText
from prompt_toolkit.history import History, InMemoryHistory
from prompt_toolkit.key_binding import merge_key_bindings
from prompt_toolkit.output import ColorDepth, create_output
from prompt_toolkit.renderer import print_formatted_text
from prompt_toolkit.styles import DynamicStyle

from tcpchat_cli.terminal.cells import ShownApart, answers
from tcpchat_cli.terminal.keys import KEY_SECONDS
from tcpchat_cli.terminal.layout import encodable, in_encoding, layout, row_count
from tcpchat_cli.terminal.links import has_links
from tcpchat_cli.terminal.numbering import MessageId
from tcpchat_cli.terminal.render import Fragments, Line, heading, marker, taken_back
from tcpchat_cli.terminal.settings import BadSettings, Settings
from tcpchat_cli.terminal.surface import Leave, Pane, Prompt, Way
from tcpchat_cli.terminal.theme import load_theme
from tcpchat_cli.terminal.view import View
from tcpchat_cli.terminal.widths import apart, char_width
from tcpchat_cli.terminal.window import Window
from tcpchat_core.sanitize import replace_surrogates

# So many of the last lines are remembered: more than are on any screen.
MAX_SHOWN = 500

# The prompt and its bar; and the view's name and its mark, which a switch prints with its lines.
MIN_PROMPT_ROWS = 2
MARK_ROWS = 2

# Narrower terminals are treated as if they were so wide, and wrap by themselves.
MIN_COLUMNS = 20


class _Typed(InMemoryHistory):
    """What was typed, to be typed again; `kept` makes of a line what is kept of it."""

    def __init__(self, kept: Callable[[str], str]) -> None:
        super().__init__()
        self._kept = kept
        self.is_open = False  # prompt_toolkit gives us what is half typed, too

    def append_string(self, string: str) -> None:
        """Keep a line."""
        if self.is_open:
            super().append_string(self._kept(string))


class Display:
    """One terminal. `coloured` is whether the environment allows colours."""

    def __init__(self, settings: Settings, *, coloured: bool) -> None:
        self._settings = settings
        self._coloured = coloured
        # Asked where the cursor stands, a terminal answers late or not at all; to draw, we need not
        # know. (What we ask ourselves, nobody waits for: see widths.py.)
        os.environ["PROMPT_TOOLKIT_NO_CPR"] = "1"
        self._output = create_output()
        self._window = Window(self._output)
        # And it shows no bar before it knows how many rows are below the cursor. One row always
        # is; when more are needed, the terminal scrolls.
        self._output.get_rows_below_cursor_position = lambda: 1  # type: ignore[method-assign] # see above
        self._knows_links = has_links(os.environ)
        self._theme = load_theme(settings.theme).style
        self._style = DynamicStyle(lambda: self._theme)
        self._session: PromptSession[str] | None = None  # whose prompt is on the screen
        self._begun = ""  # what the prompt begins with
        # The lines that stand above the prompt, one below the other, without any other between.
        self._shown: deque[Line] = deque(maxlen=MAX_SHOWN)
        self._size = self._output.get_size()  # of the terminal, when they were shown
        self._prompt_rows = 0  # how many the prompt takes
        # Once lines have left the screen, the prompt stands at its bottom; but for so many rows at
        # most, by which what stands there has become less since.
        self._spare_rows = 0
        self._has_switched = False
        self._message: Callable[[], Fragments] = list  # what stands before what is typed
        self._message_ends = 0  # how many lines of it were drawn above the last one

    @property
    def columns(self) -> int:
        """How wide a line may be.

        One less than the terminal: a row that is full to its end makes some add an empty one.
        """
        return max(MIN_COLUMNS, self._output.get_size().columns - 1)

    @property
    def has_keys(self) -> bool:
        """Keys are read one by one."""
        return True

    # ── Showing ──────────────────────────────────────────────────────────────────────────────

    def show(self, lines: Sequence[Line]) -> None:
        """Print lines above the prompt, all at once."""
        if not lines:
            self.refresh()
            return
        self._note_size()
        app = self._session.app if self._session else None
        if app is not None and app.is_running:
            app.renderer.erase()
            app.invalidate()
        fragments = self._layout(lines)
        self._print(fragments)
        self._shown += lines
        self._grown(self._rows(fragments))

    def show_older(self, lines: Sequence[Line]) -> None:
        """Print a page of what was said before: below all else, since nothing is printed above."""
        self.show(lines)

    def reveal(self, line: Line, around: Sequence[Line]) -> None:  # noqa: ARG002 # it is in `around`
        """Print what was found once more, with what is around it."""
        self.show([marker("found"), *around, marker("that was what was found")])

    def switch(self, view: View) -> None:
        """Print the view's name, then what fits of it; in any case what is new, below its mark."""
        if not self._has_switched:  # all that it has was just printed
            self._has_switched = True
            self.refresh()
            return
        self._note_size()
        room = self._size.rows - max(MIN_PROMPT_ROWS, self._prompt_rows) - MARK_ROWS
        count = rows = 0
        for line in reversed(view.lines):
            rows += self._rows(self._layout([line]))
            if rows > room:
                break
            count += 1
        count = min(max(count, view.mark or 0), MAX_SHOWN)
        lines = [*islice(view.lines, max(0, len(view.lines) - count), None)]
        if (mark := view.mark_line) is not None:
            lines.insert(max(0, len(lines) - (view.mark or 0)), mark)
        self.show([heading(view.title, view.topic, self.columns), *lines])

    def take_back(self, place: MessageId) -> None:
        """Show a message without its text, wherever it is on the screen."""
        self._note_size()
        app = self._session.app if self._session else None
        if app is None or not app.is_running:
            return
        room = self._size.rows - self._prompt_rows - self._spare_rows
        below = rows = 0
        for line in reversed(self._shown):
            rows += self._rows(self._layout([line]))
            if rows > room:
                break
            below += 1
        lines = [*self._shown]
        unseen = len(lines) - below
        found = [at for at in range(unseen, len(lines)) if lines[at].place == place]
        if not found:
            return
        before = self._layout(lines[found[0] :])
        for at in found:
            lines[at] = taken_back(lines[at])
        after = self._layout(lines[found[0] :])
        app.renderer.erase()
        self._output.cursor_up(self._rows(before))
        self._output.erase_down()
        self._print(after)
        app.invalidate()
        self._shown = deque(lines, MAX_SHOWN)
        self._grown(self._rows(after) - self._rows(before))

    def _layout(self, lines: Sequence[Line]) -> Fragments:
        encoding = self._output.encoding()
        shown = [in_encoding(line, encoding) for line in lines]
        return layout(shown, self.columns, links=self._has_links())

    def _has_links(self) -> bool:
        """Whether addresses are links; in no encoding in which one is shown as another."""
        wanted = self._settings.links
        known = wanted == "on" or (wanted == "auto" and self._knows_links)
        return known and self._is_utf8

    def _rows(self, fragments: Fragments) -> int:
        return row_count(fragments, max(MIN_COLUMNS, self._size.columns))

    def _print(self, fragments: Fragments) -> None:
        print_formatted_text(
            self._output,
            FormattedText(fragments),
            self._style,
            color_depth=self._color_depth(),
        )

    def _note_size(self) -> None:
        """In a terminal of another size, nobody knows where its lines are."""
        if (size := self._output.get_size()) != self._size:
            self._size = size
            self._forget_shown()

    def _forget_shown(self) -> None:
        self._shown.clear()

    def _note_prompt(self, app: Application[str]) -> None:
        """The prompt was drawn."""
        self._note_size()
        if (screen := app.renderer.last_rendered_screen) is not None:
            self._grown(screen.height - self._prompt_rows)
            self._prompt_rows = screen.height

    def _grown(self, rows: int) -> None:
        """What stands on the screen has become more, by so many rows."""
        self._spare_rows = max(0, self._spare_rows - rows)

    def refresh(self) -> None:
        """Draw the prompt again: what it shows has changed."""
        if self._session is None:
            return
        app = self._session.app
        if app.is_running and _line_ends(self._message()) < self._message_ends:
            app.renderer.erase()  # else it would keep its rows, and the bar stand away from it
        app.invalidate()

    def clear(self) -> None:
        """Clear the screen, but for the prompt."""
        if self._session is not None:
            self._session.app.renderer.clear()
            self._forget_shown()

    def scroll(self, way: Way) -> bool:  # noqa: ARG002 # see below
        """The terminal does that."""
        return False

    def toggle(self, pane: Pane) -> None:
        """There are no panes."""

    def call(self, data: str) -> None:
        """Send it to the window."""
        self._window.send(data)

    def show_title(self, text: str) -> None:
        """Have the window's title be this."""
        self._window.show_title(text)

    # ── Asking ───────────────────────────────────────────────────────────────────────────────

    async def question(self, text: str, *, secret: bool = False) -> str:
        """A person's answer; it stays on the screen behind the question. Raises Leave.

        Each question has a session of its own, so no answer gets into a history.
        """
        session = self._new_session()
        answer = await session.prompt_async(
            FormattedText([("class:prompt", text)]), is_password=secret
        )
        return replace_surrogates(answer)

    @property
    def text(self) -> str:
        """What is being typed."""
        return self._session.default_buffer.text if self._session is not None else ""

    @text.setter
    def text(self, text: str) -> None:
        self._begun = text
        if self._session is not None:
            self._session.default_buffer.document = Document(text)

    async def prompt(self, prompt: Prompt) -> None:
        """Let a person type lines, until Leave is raised."""
        typed = _Typed(prompt.kept)
        session = self._new_session(erase_when_done=True, history=typed)

        def accept(buffer: Buffer) -> bool:
            line = buffer.text
            # The line leaves the prompt, and the prompt stays. What is done may put there another.
            typed.is_open = True
            buffer.reset(append_to_history=True)
            typed.is_open = False
            prompt.entered(replace_surrogates(line))  # a terminal may send what is no UTF-8
            return True

        self._arrange(session)
        session.default_buffer.accept_handler = accept
        session.app.ttimeoutlen = KEY_SECONDS
        session.app.key_processor.before_key_press += lambda _: prompt.key_pressed()
        session.app.after_render += self._note_prompt
        if self._settings.ask_widths and self._is_utf8:
            session.app.after_render += self._ask_widths
        if hasattr(signal, "SIGCONT"):  # a shell has written something since we were suspended
            signal.signal(signal.SIGCONT, lambda *_: self._forget_shown())
        self._message = prompt.message
        with self._window.watched(session.app, prompt.focused):
            await session.prompt_async(
                self._drawn_message,
                default=self._begun,
                bottom_toolbar=lambda: self._encodable(prompt.toolbar()),
                key_bindings=merge_key_bindings([prompt.key_bindings, answers(self.refresh)]),
                completer=prompt.completer,
                complete_while_typing=False,
            )

    def _drawn_message(self) -> FormattedText:
        message = self._message()
        self._message_ends = _line_ends(message)
        return self._encodable(message)

    def _ask_widths(self, app: Application[str]) -> None:
        """Ask once, as soon as the terminal is ours: it echoes nothing, and answers are keys."""
        app.after_render -= self._ask_widths
        app.renderer.erase()
        self._output.write_raw(char_width.questions())
        self._output.flush()
        app.invalidate()

    def _arrange(self, session: PromptSession[str]) -> None:
        """Change how the prompt stands on the screen, before it is drawn."""

    def leave(self) -> None:
        """End the prompt: Leave is raised where it was awaited."""
        if self._session is not None and self._session.app.is_running:
            self._session.app.exit(exception=Leave())

    def apply_settings(self) -> None:
        """Show and edit as the settings now say."""
        with contextlib.suppress(BadSettings):  # its file has gone: it stays as it is
            self._theme = load_theme(self._settings.theme).style
        if self._session is not None:
            self._session.color_depth = self._color_depth()
            self._session.app.editing_mode = self._editing_mode()
            self.refresh()

    def _new_session(
        self, *, erase_when_done: bool = False, history: History | None = None
    ) -> PromptSession[str]:
        self._forget_shown()  # a question stays on the screen
        self._session = PromptSession(
            history=history,
            output=self._output,
            style=self._style,
            color_depth=self._color_depth(),
            editing_mode=self._editing_mode(),
            erase_when_done=erase_when_done,
            enable_suspend=True,
            input_processors=[ShownApart()],
            # An exception of our own: asyncio lets KeyboardInterrupt break its loop.
            interrupt_exception=Leave,
            eof_exception=Leave,
        )
        return self._session

    def _editing_mode(self) -> EditingMode:
        return EditingMode.VI if self._settings.editing == "vi" else EditingMode.EMACS

    def _color_depth(self) -> ColorDepth | None:
        """As many colours as the terminal has; none where they are not wanted."""
        wanted = self._coloured and self._settings.theme != "none"
        return None if wanted else ColorDepth.DEPTH_1_BIT

    def _encodable(self, fragments: Fragments) -> FormattedText:
        encoding = self._output.encoding()
        return FormattedText(
            [(style, apart(encodable(text, encoding))) for style, text in fragments]
        )

    @property
    def _is_utf8(self) -> bool:
        return codecs.lookup(self._output.encoding()).name == "utf-8"


def _line_ends(fragments: Fragments) -> int:
    return sum(text.count("\n") for _, text in fragments)
