"""Small files that are kept: how they are opened, and written.

Rule: At any moment there is the old file or the new one: the new one is written beside, brought to
      the disk, and takes the old one's place.
"""

from __future__ import annotations

import contextlib
import os
import stat
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

# How a new file is called until it takes the old one's place, as nobody calls a file of theirs.
# That takes moments: one that is an hour old was left by a client that was killed.
_PREFIX: Final = ".tcpchat."
_SUFFIX: Final = ".new"
_LEFT_SECONDS: Final = 3_600


def at_once(path: str, flags: int, mode: int = 0o666) -> int:
    """An opener for `open` that waits for nobody. A pipe would have us wait for its other end; so
    it is read as empty, and raises OSError when it is opened to be written.
    """
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0), mode)


def write_whole(
    path: Path, text: str, *, mode: int | None = None, is_due: Callable[[], bool] = lambda: True
) -> bool:
    """Put a text into a file, all or nothing; its owner alone can read it, unless a mode is given.

    `is_due` is asked at the last moment: where it says no, the file stays as it is, and False is
    returned. Raises OSError.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    _remove_left(path.parent)
    descriptor, made = tempfile.mkstemp(prefix=_PREFIX, suffix=_SUFFIX, dir=path.parent)
    try:
        with open(descriptor, "wb") as file:
            if mode is not None:
                os.chmod(made, mode)
            file.write(text.encode())
            file.flush()
            os.fsync(descriptor)
        if not is_due():
            return False
        os.replace(made, path)
    finally:
        Path(made).unlink(missing_ok=True)
    _bring_to_disk(path.parent)
    return True


def _remove_left(folder: Path) -> None:
    """Remove what was left by those that were killed while they wrote."""
    for each in folder.glob(f"{_PREFIX}*{_SUFFIX}"):
        with contextlib.suppress(OSError):  # another's, or gone meanwhile
            status = each.lstat()
            is_old = time.time() - status.st_mtime > _LEFT_SECONDS
            if is_old and stat.S_ISREG(status.st_mode):
                each.unlink()


def _bring_to_disk(folder: Path) -> None:
    """A name is on the disk when its folder is. On Windows there is no such thing."""
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
