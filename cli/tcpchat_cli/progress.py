"""How far something is that takes longer than a second: a bar, where somebody can see it, and a
status for the service manager.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final, TypeAlias

from tcpchat_cli.notify import SERVICE

# Called with how much is done, and how much there is to do.
Report: TypeAlias = Callable[[int, int], None]

# What is done sooner needs no bar.
_SHOWN_AFTER_S: Final = 1.0

# How often the bar is drawn: a call costs less than a look at the clock.
_DRAWN_EVERY_S: Final = 0.1


@contextmanager
def progress(doing: str) -> Iterator[Report]:
    """Show on stderr how far something is, if that is a terminal; gone at the end. Whoever has
    started the service is told, too.
    """
    SERVICE.step(doing)
    if not sys.stderr.isatty():
        yield lambda done, of: SERVICE.progress(doing, done, of)
        return
    # It is seldom needed, and takes longer to import than all of a small server.
    from rich.console import Console  # noqa: PLC0415
    from rich.progress import (  # noqa: PLC0415
        BarColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    class Terminal(Console):
        """Whatever ends the program while the bar is shown, the cursor is there afterwards."""

        def show_cursor(self, show: bool = True) -> bool:
            return show

    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %"),
        TimeRemainingColumn(),
        console=Terminal(stderr=True),
        transient=True,
        auto_refresh=False,
    )
    task = bar.add_task(doing)
    drawn_at = time.monotonic() + _SHOWN_AFTER_S - _DRAWN_EVERY_S
    is_shown = False

    def report(done: int, of: int) -> None:
        nonlocal drawn_at, is_shown
        SERVICE.progress(doing, done, of)
        if time.monotonic() - drawn_at < _DRAWN_EVERY_S:
            return
        if not is_shown:
            is_shown = True
            bar.start()
        bar.update(task, completed=done, total=of, refresh=True)
        drawn_at = time.monotonic()

    try:
        yield report
    finally:
        if is_shown:
            bar.stop()
