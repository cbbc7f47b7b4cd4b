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
    """The window of one terminal. It has a title of ours only while it is watched."""

    def __init__(self, output: Output) -> None:
        self._output = output
        self._is_ours = False
        self._title = ""  # what it is to be
        self._shown = ""  # what it is; "" where it has its own

    def send(self, data: str) -> None:
        """Send what `notify` has made."""
        self._output.write_raw(data)
        self._output.flush()

    def show_title(self, text: str) -> None:
        """Have it be what `title` has made, or with "" its own."""
        self._title = text
        if self._is_ours:
            self._set_title(text)

    @contextmanager
    def watched(self, app: Application[Any], focused: Callable[[bool], None]) -> Iterator[None]:
        """While `app` runs, `focused` is called when the window gets or loses the focus.

        At the end, and while another program has the terminal, nothing of us is left on it. What
        the terminal reports is asked for only while it shows nothing of what is typed by itself:
        from the first drawing to the last.
        """
        focus.take_reports(app.input, focused)
        app.suspend_to_background = self._suspend  # type: ignore[method-assign] # there is no hook
        app.after_render += lambda _: self._give_back() if app.is_done else self._take()
        try:
            yield
        finally:
            with suppress(OSError):  # the terminal is gone
                self._give_back()

    def _suspend(self, suspend_group: bool = True) -> None:
        self._give_back()
        run_in_terminal(lambda: self._stop(0 if suspend_group else os.getpid()))

    def _stop(self, process: int) -> None:
        self._give_back()  # it may have been drawn once more
        os.kill(process, signal.SIGTSTP)

    def _take(self) -> None:
        if not self._is_ours:
            self._is_ours = True
            self.send(focus.ON)
            self._set_title(self._title)

    def _give_back(self) -> None:
        if self._is_ours:
            self._is_ours = False
            self.send(focus.OFF)
            self._set_title("")

    def _set_title(self, text: str) -> None:
        if text == self._shown:
            return
        if not self._shown:
            self._output.write_raw(_KEEP_TITLE)
        self._output.set_title(text)
        if not text:
            self._output.write_raw(_TITLE_BACK)
        self._output.flush()
        self._shown = text
