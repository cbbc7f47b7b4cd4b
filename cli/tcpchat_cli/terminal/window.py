"""The window that a terminal is in: its title, its focus, and what calls a person to it.

Nothing of it moves anything on the screen, so it may be sent at any time.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final

from prompt_toolkit.application import Application, run_in_terminal
from prompt_toolkit.output import Output

from tcpchat_cli.terminal import focus

# Keep one's title, and have it back (XTWINOPS). A terminal that cannot has an empty one then.
_KEEP_TITLE: Final = "\x1b[22;2t"
_TITLE_BACK: Final = "\x1b[23;2t"


class Window:
    """The window of one terminal."""

    def __init__(self, output: Output) -> None:
        self._output = output
        self._title: str | None = None  # None: it has its own

    def send(self, data: str) -> None:
        """Send what `notify` has made."""
        self._output.write_raw(data)
        self._output.flush()

    def show_title(self, text: str) -> None:
        """Set it to what `title` has made, or with "" give it its own back."""
        if text == (self._title or ""):
            return
        if self._title is None:
            self._output.write_raw(_KEEP_TITLE)
        self._title = text or None
        self._output.set_title(text)
        if not text:
            self._output.write_raw(_TITLE_BACK)
        self._output.flush()

    @contextmanager
    def watched(self, app: Application[Any], focused: Callable[[bool], None]) -> Iterator[None]:
        """While `app` runs, `focused` is called when the window gets or loses the focus.

        At the end, and while another program has the terminal, nothing of us is left on it.
        """
        focus.take_reports(app.input, focused)
        app.suspend_to_background = self._suspend  # type: ignore[method-assign] # there is no hook
        self.send(focus.ON)
        try:
            yield
        finally:
            with suppress(OSError):  # the terminal is gone
                self.send(focus.OFF)
                self.show_title("")

    def _suspend(self, suspend_group: bool = True) -> None:
        run_in_terminal(lambda: self._stop(0 if suspend_group else os.getpid()))

    def _stop(self, process: int) -> None:
        shown = self._title or ""
        self.show_title("")
        self.send(focus.OFF)
        os.kill(process, signal.SIGTSTP)
        self.send(focus.ON)
        self.show_title(shown)
