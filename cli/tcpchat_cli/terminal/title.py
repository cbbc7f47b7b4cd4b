"""The title of the terminal's window: where one is, and how much is unread.

A terminal that can (XTWINOPS 22 and 23) has its own title back at the end; another has none. In
tmux and GNU screen it is the title of the pane or window.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final

from prompt_toolkit.output import Output

from tcpchat_cli.terminal.notify import field

# Rooms have 32 characters at most; more than one sees of a title is of no use.
MAX_NAME_BYTES: Final = 96

_KEEP: Final = "\x1b[22;2t"
_GIVE_BACK: Final = "\x1b[23;2t"


def title(name: str, unread: int, mentions: int) -> str:
    """For example "tcpchat: lobby (3, 1 for you)"."""
    count = f"{unread}, {mentions} for you" if mentions else f"{unread}"
    place = f": {field(name, MAX_NAME_BYTES)}" if name else ""
    return f"tcpchat{place}{f' ({count})' if unread else ''}"


class Title:
    """The title of one terminal."""

    def __init__(self, output: Output) -> None:
        self._output = output
        self._shown: str | None = None  # None: the terminal has its own

    def show(self, text: str) -> None:
        """Set it to what `title` has made; sends nothing where it is so already."""
        if text != self._shown:
            if self._shown is None:
                self._output.write_raw(_KEEP)
            self._shown = text
            self._output.set_title(text)
            self._output.flush()

    def give_back(self) -> None:
        """As it was before."""
        if self._shown is not None:
            self._shown = None
            self._output.set_title("")  # where nothing was kept
            self._output.write_raw(_GIVE_BACK)
            self._output.flush()

    @contextmanager
    def given_back(self) -> Iterator[None]:
        """It is given back at the end."""
        try:
            yield
        finally:
            with suppress(OSError):  # the terminal is gone
                self.give_back()
