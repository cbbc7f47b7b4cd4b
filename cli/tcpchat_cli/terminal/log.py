"""The file to which what is shown is written as well."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TextIO

from tcpchat_cli.terminal.render import Line


class Log:
    """A file that grows at its end, or none."""

    def __init__(self) -> None:
        self._file: TextIO | None = None

    def write_to(self, file: str) -> None:
        """Write to the end of a file from now on; "" to none. Raises OSError."""
        if self._file is not None:
            self._file.close()
            self._file = None
        if file:
            # Lines, so that the file can be watched.
            self._file = Path(file).expanduser().open("a", encoding="utf-8", buffering=1)

    def write(self, lines: Sequence[Line]) -> None:
        """Write lines, each with its day."""
        if self._file is not None:
            today = datetime.now().date()
            self._file.writelines(f"{today} {line.text}\n" for line in lines)
