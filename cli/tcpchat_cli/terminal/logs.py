"""Logs: what is shown of each room and of each conversation, at the end of a file of its own.

Rule 1: A name is somebody else's. It becomes the name of a file in a way that leads to no other
        folder, is bounded, and is no other name's, also where upper and lower case are the same.

Rule 2: A line of a log is one line, and begins with its day and time.

Rule 3: What cannot be written is told once, and the conversation goes on; so does the log when it
        can. Nobody but its owner can read what is made here.
"""

from __future__ import annotations

import os
import stat
import unicodedata
from collections.abc import Callable, Sequence
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import Final

from platformdirs import user_log_path

from tcpchat_cli.arguments import DEFAULT_PORT
from tcpchat_cli.terminal.address import Address
from tcpchat_cli.terminal.failures import reason
from tcpchat_cli.terminal.kept_files import at_once
from tcpchat_cli.terminal.render import Line
from tcpchat_cli.terminal.settings import BadSettings, Settings
from tcpchat_cli.terminal.view import View
from tcpchat_core.names import nick_key

# A name in a file system has at most 255 bytes; with what is put behind it, this has fewer.
_MAX_NAME_BYTES: Final = 160

# So much of a digest that nobody makes two names with the same.
_DIGEST_CHARS: Final = 20

# What Windows takes for a device, whatever stands behind its point.
_DEVICES: Final = frozenset(
    ("con", "prn", "aux", "nul", *(f"{name}{n}" for name in ("com", "lpt") for n in range(10)))
)


class Logs:
    """The logs of what is said on one server.

    `tell` is called with the sentence that something cannot be written.
    """

    def __init__(self, server: Address, settings: Settings, tell: Callable[[str], None]) -> None:
        self._server = server
        self._settings = settings
        self._tell = tell
        self._waiting: dict[Path, list[str]] = {}
        self._before: dict[str, int] = {}  # by room, the last message that was said before
        self._has_failed = False

    def begin(self, room: str, seq: int) -> None:
        """What was said in the room up to this number is from before: it is not logged."""
        self._before[room] = seq

    def add(self, view: View, lines: Sequence[Line]) -> None:
        """Lines at the end of a view, to be written soon."""
        if self._settings.log and view.kind != "home":
            new = [log_line(line) for line in lines if line.head and self._is_new(line, view)]
            self._waiting.setdefault(self.path(view), []).extend(new)

    def _is_new(self, line: Line, view: View) -> bool:
        """Whether it is no message of before, or found elsewhere."""
        if line.place is None:
            return True
        room, seq, _ = line.place
        return view.name == room and not 0 < seq <= self._before.get(room, 0)

    def write(self) -> None:
        """Write what was added: once for each view."""
        waiting, self._waiting = self._waiting, {}
        for path, lines in waiting.items():
            try:
                _append(path, "".join(lines).encode("utf-8", "replace"))
            except OSError as error:
                if not self._has_failed:
                    self._has_failed = True
                    self._tell(
                        f"cannot write {path}: {reason(error)}; until that works, nothing is logged"
                    )
                return
            self._has_failed = False

    def path(self, view: View) -> Path:
        """Where the log of a view lies."""
        host, port = safe_name(self._server.host.lower()), self._server.port
        server = host if port == DEFAULT_PORT else f"{host},{port}"
        folder = "rooms" if view.kind == "room" else "direct"
        # Names of rooms are as the server writes them; nicks are one if they have one key.
        name = view.name if view.kind == "room" else nick_key(view.name) or view.name
        return log_folder(self._settings) / server / folder / f"{safe_name(name)}.log"

    def where(self, view: View) -> str:
        """Where a view is logged, in a sentence."""
        if view.kind == "home":
            return "go to a room: each has a log of its own"
        if self._settings.log:
            return f"what is shown here goes to {self.path(view)} as well"
        return f"nothing is logged; after /set log on, this goes to {self.path(view)}"


def log_folder(settings: Settings) -> Path:
    """Where the logs lie."""
    if not settings.log_folder:
        return user_log_path("tcpchat", appauthor=False)
    return Path(settings.log_folder).expanduser()


def check_folder(name: str) -> None:
    """Raise BadSettings for what names no folder."""
    try:
        is_whole = not name or ("\0" not in name and Path(name).expanduser().is_absolute())
    except RuntimeError:  # nobody has that name
        is_whole = False
    if not is_whole:
        raise BadSettings(f"log_folder cannot be {name!r}: begin with / or ~/")


def log_line(line: Line) -> str:
    """A line as it stands in a log."""
    when = line.when or datetime.now()
    head = [(style, text) for style, text in line.head if style != "class:time"]
    if line.place and len(head) == 2 and head[1][1] == ": ":  # who has said it
        head = [("", f"<{head[0][1]}> ")]
    text = "".join(text for _, text in (*head, *line.body))
    return f"{when:%Y-%m-%d %H:%M} {' '.join(text.splitlines())}\n"


def safe_name(name: str) -> str:
    """A name of a file for any name; different ones have different ones."""
    normal = unicodedata.normalize("NFC", name)
    kept = "".join(char if _is_safe(char) else "_" for char in normal)
    kept = kept.encode()[:_MAX_NAME_BYTES].decode(errors="ignore").lstrip(".")
    is_itself = kept == name == name.casefold() != ""
    if is_itself and name.partition(".")[0] not in _DEVICES:
        return name
    digest = sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:_DIGEST_CHARS]
    return f"{kept}~{digest}"


def _is_safe(char: str) -> bool:
    return unicodedata.category(char)[0] in "LMN" or char in "-_."


def _append(path: Path, data: bytes) -> None:
    """Put data at the end of a file, all or nothing as far as that can be. Raises OSError."""
    for folder in reversed(path.parents):
        if not folder.exists():
            folder.mkdir(mode=0o700, exist_ok=True)
    descriptor = at_once(str(path), os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):  # a pipe would have us wait
            raise OSError("it is no file")
        written = 0
        try:
            while written < len(data):
                written += os.write(descriptor, data[written:])
        except OSError:
            if written and os.fstat(descriptor).st_size == status.st_size + written:
                os.ftruncate(descriptor, status.st_size)  # no half lines
            raise
    finally:
        os.close(descriptor)
