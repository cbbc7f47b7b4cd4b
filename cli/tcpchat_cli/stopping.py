"""How a server is asked to end: by SIGTERM, or by Ctrl-C, at any moment.

Rule 1: While nobody is served there is nobody to tell and nothing to put away, so it ends there and
        then, in the middle of whatever it does. What is on the disk is whole at any moment.

Rule 2: Its status is 0, whenever it was asked.

Rule 3: The handlers are Python's own from the first line on. Those of gevent's loop would hear
        nothing while the loop does not run, as when a long log is read, and leave gaps between
        them.
"""

from __future__ import annotations

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


def call_when_asked(asked: Callable[[signal.Signals], None]) -> None:
    """From here on there is more to do. `asked` is called wherever the program just is, so it may
    not wait.
    """
    for number in _ASKING:
        signal.signal(number, lambda got, _frame: asked(signal.Signals(got)))
