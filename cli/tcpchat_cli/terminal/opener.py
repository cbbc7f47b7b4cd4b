"""How the files are opened that a person may have put anything in the place of."""

from __future__ import annotations

import os


def at_once(path: str, flags: int, mode: int = 0o666) -> int:
    """An opener for `open` that waits for nobody. A pipe would have us wait for its other end; so
    it is read as empty, and raises OSError when it is opened to be written.
    """
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0), mode)
