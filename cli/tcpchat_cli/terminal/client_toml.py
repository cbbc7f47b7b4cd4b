"""The file client.toml: read, and changed without losing what a person has written in it.

Rule 1: What is changed is one key. All other lines, comments and their order stay byte for byte.
        The file is read again for each change, as an editor may have written it meanwhile.

Rule 2: A file that is no TOML is never written to.

Rule 3: At any moment there is the old file or the new one (`kept_files`). A link stays a link to
        the file.
"""

from __future__ import annotations

import contextlib
import os
import re
import stat
import tomllib
from collections.abc import Callable, Iterator, MutableMapping
from pathlib import Path
from typing import Any, Final, TypeAlias

import tomlkit
from tomlkit.exceptions import TOMLKitError

from tcpchat_cli.terminal.failures import reason
from tcpchat_cli.terminal.kept_files import at_once, write_whole
from tcpchat_cli.terminal.settings import BadSettings

# A file with every setting and a page about each has less; what never ends would take all memory.
MAX_FILE_BYTES: Final = 1_048_576

# How often a change begins anew because the file was written meanwhile.
_MAX_TRIES: Final = 5

# A value has fewer lines, or is not looked for when all else has failed.
_MAX_VALUE_LINES: Final = 50

_BOM: Final = "\ufeff"  # some editors of Windows begin a file with it

Table: TypeAlias = MutableMapping[str, Any]

# Which file it is, and of when.
_Stamp: TypeAlias = tuple[int, int, int] | None


def read_tables(path: Path) -> dict[str, Any]:
    """What the file holds; nothing where there is none. Raises BadSettings."""
    return _parse(path, _read(path)[0])


def change_file(path: Path, edit: Callable[[Table], None], key: str = "") -> None:
    """Let `edit` change the file: it adds, sets or removes `key` in it. Raises BadSettings.

    `edit` is called for what was read as TOML, and again for it with its comments.
    """
    try:
        real = Path(os.path.realpath(path))
        for _ in range(_MAX_TRIES):
            text, stamp = _read(path)
            _check_writable(real)
            new = _changed(path, text, edit, key)
            if new == text or _replace(real, new, stamp):
                return
    except OSError as error:
        raise BadSettings(f"cannot write {path}: {reason(error)}") from None
    raise BadSettings(f"cannot write {path}: another program keeps writing it")


def write_new(path: Path, text: str) -> bool:
    """Make the file; False where there is one, which stays as it is. Raises BadSettings."""
    try:
        return _replace(path, text, None)
    except OSError as error:
        raise BadSettings(f"cannot write {path}: {reason(error)}") from None


# ── Reading ──────────────────────────────────────────────────────────────────────────────────


def _read(path: Path) -> tuple[str, _Stamp]:
    """The text, with its line ends as they are; and which file that was."""
    try:
        with open(path, "rb", opener=at_once) as file:
            status = os.fstat(file.fileno())
            data = file.read(MAX_FILE_BYTES + 1) or b""  # None: a terminal has nothing to give yet
        if stat.S_ISFIFO(status.st_mode):
            raise BadSettings(f"{path} is a pipe: put a file in its place")
        if len(data) > MAX_FILE_BYTES:
            raise BadSettings(f"{path} has more than {MAX_FILE_BYTES:,} bytes")
        return data.decode(), _stamp(status)
    except (FileNotFoundError, NotADirectoryError):
        return "", None
    except OSError as error:
        raise BadSettings(f"cannot read {path}: {reason(error)}") from None
    except UnicodeDecodeError:
        raise BadSettings(f"{path} is not UTF-8 text") from None


def _parse(path: Path, text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text.removeprefix(_BOM))
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise BadSettings(f"{path} is not TOML: {error}") from None
    except ValueError:  # Python reads no longer ones
        raise BadSettings(f"{path} has a number with too many digits") from None


def _stamp(status: os.stat_result) -> _Stamp:
    return status.st_ino, status.st_mtime_ns, status.st_size


def _stamp_of(path: Path) -> _Stamp:
    try:
        return _stamp(path.stat())
    except (FileNotFoundError, NotADirectoryError):
        return None


# ── Changing ─────────────────────────────────────────────────────────────────────────────────


def _changed(path: Path, text: str, edit: Callable[[Table], None], key: str) -> str:
    """The text of the file, changed. What it comes to is compared with what it should come to."""
    wanted = _parse(path, text)
    edit(wanted)
    if wanted == _parse(path, text):
        return text
    bom = _BOM if text.startswith(_BOM) else ""
    body = text.removeprefix(_BOM)
    for new in _ways(body, edit, wanted, key):
        try:
            if tomllib.loads(new) == wanted:
                return bom + new
        except tomllib.TOMLDecodeError:
            continue
    raise BadSettings(f"cannot change {key} in {path}: it is written there in an unusual way")


def _ways(body: str, edit: Callable[[Table], None], wanted: Table, key: str) -> Iterator[str]:
    """Texts that may be what is wanted, the nicest first."""
    end = "\r\n" if "\r\n" in body else "\n"
    line = tomlkit.dumps({key: wanted[key]}).strip() + end if key in wanted else ""
    # (str.splitlines would part lines where TOML does not.)
    lines = re.split(r"(?<=\n)", body)
    if line:
        yield from _with_line(lines, key, line, end)
    with contextlib.suppress(TOMLKitError, TypeError, ValueError):
        document = tomlkit.parse(body)
        if tomlkit.dumps(document) == body:  # it has another order for some tables
            edit(document)
            yield tomlkit.dumps(document)
    yield from _in_place(lines, key, line)
    yield f"{line}{end}{body}"


def _in_place(lines: list[str], key: str, line: str) -> Iterator[str]:
    """A line, or none, in the place of those that give the key now."""
    gives = re.compile(rf"[ \t]*[\"']?{re.escape(key)}[\"']?[ \t]*=")
    for first in (at for at, each in enumerate(lines) if gives.match(each)):
        for last in range(first + 1, min(first + _MAX_VALUE_LINES, len(lines)) + 1):
            yield "".join((*lines[:first], line, *lines[last:]))


def _with_line(lines: list[str], key: str, line: str, end: str) -> Iterator[str]:
    """A new key at the top level: below the comment that shows it, or below the last key there.

    (Left to itself, tomlkit puts it between a table and the comment above that.)
    """
    in_comment = re.compile(rf"#\s*{re.escape(key)}\s*=")
    heads = [line.lstrip()[:1] for line in lines]  # the first character of each
    table = heads.index("[") if "[" in heads else len(lines)
    shown = [at for at in range(table) if in_comment.match(lines[at])]
    keys = [at for at in range(table) if heads[at] not in {"", "#"}]
    for at in (*shown[:1], *keys[-1:]):
        before = "".join(lines[: at + 1])
        before += "" if before.endswith(("\n", "\r\n")) else end
        yield f"{before}{line}{''.join(lines[at + 1 :])}"


# ── Writing ──────────────────────────────────────────────────────────────────────────────────


def _check_writable(path: Path) -> None:
    """Taking a file's place would not ask whether it may be written to."""
    try:
        mode = path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return
    if not mode & stat.S_IWUSR or not os.access(path, os.W_OK):
        raise BadSettings(f"cannot write {path}: it is read-only")


def _replace(path: Path, text: str, stamp: _Stamp) -> bool:
    """Put a text in a file's place; False where it is no longer that file. Raises OSError."""
    mode = None if stamp is None else stat.S_IMODE(path.stat().st_mode)
    return write_whole(path, text, mode=mode, is_due=lambda: _stamp_of(path) == stamp)
