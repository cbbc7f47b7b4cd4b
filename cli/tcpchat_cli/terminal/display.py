"""The terminal: a prompt at the bottom, and lines printed above it.

What is printed goes above the prompt in one piece and without letting go of the keyboard, so what
is being typed can be neither torn nor lost. The terminal keeps its own scrollback and selection.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import TextIO

from prompt_toolkit import PromptSession
from prompt_toolkit.completion import Completer
from prompt_toolkit.enums import EditingMode
from prompt_toolkit.formatted_text import FormattedText
from prompt_toolkit.key_binding import KeyBindings
from prompt_toolkit.output import ColorDepth, create_output
from prompt_toolkit.renderer import print_formatted_text
from prompt_toolkit.styles import DynamicStyle

from tcpchat_cli.terminal.render import Fragments, Line, encodable, in_encoding, layout
from tcpchat_cli.terminal.settings import Settings
from tcpchat_cli.terminal.theme import THEMES
from tcpchat_core.sanitize import replace_surrogates

# Narrower terminals are treated as if they were so wide, and wrap by themselves.
MIN_COLUMNS = 20


class Leave(Exception):
    """The person wants to go."""


class Display:
    """One terminal. `coloured` is whether the environment allows colours."""

    def __init__(self, settings: Settings, *, coloured: bool) -> None:
        self._settings = settings
        self._coloured = coloured
        # Asked where the cursor stands, a terminal answers late or not at all; we need not know.
        os.environ["PROMPT_TOOLKIT_NO_CPR"] = "1"
        self._output = create_output()
        # And it shows no bar before it knows how many rows are below the cursor. One row always
        # is; when more are needed, the terminal scrolls.
        self._output.get_rows_below_cursor_position = lambda: 1  # type: ignore[method-assign] # see above
        self._style = DynamicStyle(lambda: THEMES[settings.theme])
        self._session: PromptSession[str] | None = None  # whose prompt is on the screen
        self._log: TextIO | None = None

    @property
    def columns(self) -> int:
        """How wide a line may be.

        One less than the terminal: a row that is full to its end makes some add an empty one.
        """
        return max(MIN_COLUMNS, self._output.get_size().columns - 1)

    # ── Showing ──────────────────────────────────────────────────────────────────────────────

    def show(self, lines: list[Line]) -> None:
        """Print lines above the prompt, all at once."""
        if not lines:
            self.refresh()
            return
        self._write_log(lines)
        encoding = self._output.encoding()
        fragments = layout([in_encoding(line, encoding) for line in lines], self.columns)
        app = self._session.app if self._session else None
        if app is not None and app.is_running:
            app.renderer.erase()
            app.invalidate()
        print_formatted_text(
            self._output,
            FormattedText(fragments),
            self._style,
            color_depth=self._color_depth(),
        )

    def refresh(self) -> None:
        """Draw the prompt again: what it shows has changed."""
        if self._session is not None:
            self._session.app.invalidate()

    def clear(self) -> None:
        """Clear the screen, but for the prompt."""
        if self._session is not None:
            self._session.app.renderer.clear()

    def bell(self) -> None:
        """Ring."""
        self._output.bell()
        self._output.flush()

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

    async def prompt(
        self,
        *,
        message: Callable[[], Fragments],
        toolbar: Callable[[], Fragments],
        entered: Callable[[str], None],
        key_pressed: Callable[[], None],
        key_bindings: KeyBindings,
        completer: Completer,
    ) -> None:
        """Let a person type lines, until Leave is raised; `entered` is called with each."""
        session = self._new_session(erase_when_done=True)

        def accept(text: str) -> bool:
            entered(replace_surrogates(text))  # a terminal may send bytes that are no UTF-8
            return False  # the line leaves the prompt, and the prompt stays

        session.default_buffer.accept_handler = lambda buffer: accept(buffer.text)
        session.app.key_processor.before_key_press += lambda _: key_pressed()
        await session.prompt_async(
            lambda: self._encodable(message()),
            bottom_toolbar=lambda: self._encodable(toolbar()),
            key_bindings=key_bindings,
            completer=completer,
            complete_while_typing=False,
        )

    def leave(self) -> None:
        """End the prompt: Leave is raised where it was awaited."""
        if self._session is not None and self._session.app.is_running:
            self._session.app.exit(exception=Leave())

    def apply_settings(self) -> None:
        """Show and edit as the settings now say."""
        if self._session is not None:
            self._session.color_depth = self._color_depth()
            self._session.app.editing_mode = self._editing_mode()
            self.refresh()

    def _new_session(self, *, erase_when_done: bool = False) -> PromptSession[str]:
        self._session = PromptSession(
            output=self._output,
            style=self._style,
            color_depth=self._color_depth(),
            editing_mode=self._editing_mode(),
            erase_when_done=erase_when_done,
            enable_suspend=True,
            # An exception of our own: asyncio lets KeyboardInterrupt break its loop.
            interrupt_exception=Leave,
            eof_exception=Leave,
        )
        return self._session

    def _editing_mode(self) -> EditingMode:
        return EditingMode.VI if self._settings.keys == "vi" else EditingMode.EMACS

    def _color_depth(self) -> ColorDepth | None:
        """As many colours as the terminal has; none where they are not wanted."""
        wanted = self._coloured and self._settings.theme != "none"
        return None if wanted else ColorDepth.DEPTH_1_BIT

    def _encodable(self, fragments: Fragments) -> FormattedText:
        encoding = self._output.encoding()
        return FormattedText([(style, encodable(text, encoding)) for style, text in fragments])

    # ── The log ──────────────────────────────────────────────────────────────────────────────

    def log_to(self, file: str) -> None:
        """Also write what is shown to the end of a file; "" to none. Raises OSError."""
        if self._log is not None:
            self._log.close()
            self._log = None
        if file:
            # Lines, so that the file can be watched.
            self._log = Path(file).expanduser().open("a", encoding="utf-8", buffering=1)

    def _write_log(self, lines: list[Line]) -> None:
        if self._log is not None:
            today = datetime.now().date()
            self._log.writelines(f"{today} {line.text}\n" for line in lines)
