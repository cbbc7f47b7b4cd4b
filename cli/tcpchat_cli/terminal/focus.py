"""Whether the terminal's window has the focus, as far as the terminal tells (DECSET 1004).

What it tells comes among the keys, and is taken out of them before anything else sees it: it is
never typed, and nobody has pressed a key by it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from prompt_toolkit.input import Input
from prompt_toolkit.input.ansi_escape_sequences import ANSI_SEQUENCES
from prompt_toolkit.key_binding import KeyPress
from prompt_toolkit.keys import Keys

ON: Final = "\x1b[?1004h"
OFF: Final = "\x1b[?1004l"

# What the terminal sends when its window is looked at, and when another is.
_REPORTS: Final = {"\x1b[I": True, "\x1b[O": False}


def take_reports(source: Input, focused: Callable[[bool], None]) -> None:
    """Take the reports out of what is typed, from now on; `focused` is called with each."""
    for report in _REPORTS:
        ANSI_SEQUENCES.setdefault(report, Keys.Ignore)

    read, flush = source.read_keys, source.flush_keys

    def without_reports(keys: list[KeyPress]) -> list[KeyPress]:
        for key in keys:
            if key.data in _REPORTS:
                focused(_REPORTS[key.data])
        return [key for key in keys if key.data not in _REPORTS]

    source.read_keys = lambda: without_reports(read())  # type: ignore[method-assign] # there is no hook
    source.flush_keys = lambda: without_reports(flush())  # type: ignore[method-assign] # see above
