"""Small files that are kept: how they are opened, and written."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path


def at_once(path: str, flags: int, mode: int = 0o666) -> int:
    """An opener for `open` that waits for nobody. A pipe would have us wait for its other end; so
    it is read as empty, and raises OSError when it is opened to be written.
    """
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0), mode)


def write_whole(path: Path, text: str) -> None:
    """Put a text into a file, all or nothing, that only its owner can read. Raises OSError."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor, made = tempfile.mkstemp(prefix=".new-", dir=path.parent)  # of mode 0600
    try:
        with open(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(descriptor)
        Path(made).replace(path)
    except BaseException:
        Path(made).unlink(missing_ok=True)
        raise
