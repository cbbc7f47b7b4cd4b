"""Files that tcpchat-server is given on its command line, and reads at its start."""

from __future__ import annotations

from pathlib import Path
from typing import Final

# Longer ones are no use: nobody would type them, and a key file is no password.
_MAX_PASSWORD_BYTES: Final = 1_024


class FileError(Exception):
    """A file that cannot be used. The text is one sentence for people."""


def read_text(flag: str, name: str, max_bytes: int) -> str:
    """The text in a file that a flag names. Raises FileError."""
    try:
        with Path(name).open("rb") as file:
            data = file.read(max_bytes + 1)
        if len(data) > max_bytes:
            raise FileError(f"{flag} {name}: the file has more than {max_bytes:,} bytes")
        return data.decode()
    except UnicodeDecodeError:
        raise FileError(f"{flag} {name}: the file is not UTF-8 text") from None
    except OSError as error:
        raise FileError(f"{flag} {name}: cannot read the file: {error.strerror}") from None


def read_password(flag: str, name: str) -> str:
    """The first line of a file that a flag names. Raises FileError."""
    password = read_text(flag, name, _MAX_PASSWORD_BYTES).partition("\n")[0].strip()
    if not password:
        raise FileError(f"{flag} {name}: the first line of the file is empty")
    return password
