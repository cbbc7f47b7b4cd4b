"""How a server is asked to end: by SIGTERM, or by Ctrl-C, at any moment.

Rule 1: While nobody is served there is nobody to tell and nothing to put away, so it ends there and
        then, in the middle of whatever it does. What is on the disk is whole at any moment.

Rule 2: Its status is 0, whenever it was asked.

Rule 3: The handlers are Python's own from the first line on. Those of gevent's loop would hear
        nothing while the loop does not run, as when a long log is read, and leave gaps between
        them.

Rule 4: While nobody is served, a thread hears of it, too. Python runs a handler between two of its
        own steps; a signal that comes behind the last step before a wait, as for a file that is a
        pipe, does not end that wait.
"""

from __future__ import annotations

import _thread
import os
import signal
from collections.abc import Callable
from typing import Final

_ASKING: Final = (signal.SIGINT, signal.SIGTERM)


def end_at_once() -> None:
    """From here on nobody is served."""
    for number in _ASKING:
        # Nothing is raised: what is interrupted may be where Python ignores what is raised.
        signal.signal(number, lambda *_: os._exit(0))
    heard, told = os.pipe()
    os.set_blocking(told, False)
    _hear_by(told)
    _thread.start_new_thread(_end_when_asked, (heard,))


def call_when_asked(asked: Callable[[signal.Signals], None]) -> None:
    """From here on there is more to do. `asked` is called wherever the program just is, so it may
    not wait.
    """
    _hear_by(None)
    for number in _ASKING:
        signal.signal(number, lambda got, _frame: asked(signal.Signals(got)))


_told: int | None = None


def _hear_by(told: int | None) -> None:
    """Have the numbers of signals written here, and nowhere else any more."""
    global _told  # noqa: PLW0603 # as there is one such descriptor for a process
    signal.set_wakeup_fd(-1 if told is None else told, warn_on_full_buffer=False)
    if _told is not None:
        os.close(_told)  # whoever reads there is done
    _told = told


def _end_when_asked(heard: int) -> None:
    while numbers := os.read(heard, 64):
        if any(number in _ASKING for number in numbers):
            os._exit(0)
    os.close(heard)
