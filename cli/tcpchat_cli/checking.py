"""--check-config: what holds and what gives it, as a file that may be saved; and all that is wrong.

Rule 1: Everything is read as by a start, and nothing is made: no folder, no log, no port is taken.
        A server that runs with the same settings does not notice.

Rule 2: What is printed gives the same settings when it is read again. (A password in a URL is not
        shown, and a start would refuse that URL anyway.)
"""

from __future__ import annotations

import contextlib
import os
import re
import socket
import sys
import time
import tomllib
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Final, NoReturn

from tcpchat_cli.announcing import why_not
from tcpchat_cli.arguments import print_text
from tcpchat_cli.keeping import LACKS_METRICS, LACKS_PACKAGES, SharingError, data_folder
from tcpchat_cli.preparing import prepare
from tcpchat_cli.settings import (
    PROGRAM,
    TABLE,
    Configuration,
    Settings,
    host_and_port,
    key_of,
    show_value,
    without_password,
)
from tcpchat_net.tls import expires_at

# Where what gives a value stands, unless the value is longer.
_MAX_COLUMN: Final = 48


def check(configuration: Configuration) -> NoReturn:
    """Print what holds, and what is wrong on stderr; exit 0 when nothing is, otherwise 1."""
    if not configuration.problems:
        print_text(PROGRAM, as_file(configuration))
    problems = [*configuration.problems]
    if not configuration.refused >= TABLE.keys():  # of a file that cannot be read, nothing follows
        problems += find_problems(configuration.settings)
    for sentence in (*configuration.oddities, *problems):
        print(f"{PROGRAM}: {' '.join(sentence.splitlines())}", file=sys.stderr)
    raise SystemExit(bool(problems))


# ── What holds ───────────────────────────────────────────────────────────────────────────────────


def as_file(configuration: Configuration) -> str:
    """The settings as a configuration file, with what gives each."""
    settings, origins = configuration.settings, configuration.origins
    lines = {name: f"{key_of(name)} = {show_value(getattr(settings, name))}" for name in TABLE}
    width = max(len(line) for line in lines.values() if len(line) <= _MAX_COLUMN)
    told = {name: _origin(name, origins.get(name, "default")) for name in TABLE}
    return "".join(f"{line:<{width}}  # {told[name]}\n" for name, line in lines.items())


def _origin(name: str, origin: str) -> str:
    """What gives a setting, for people; of a file also the line."""
    text = ""
    with contextlib.suppress(OSError, UnicodeDecodeError):
        text = Path(origin).read_text(encoding="utf-8")
    number = _line_of(text, name)
    # A comment has no control characters.
    shown = "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in origin)
    return f"{shown}:{number}" if number else shown


def _line_of(text: str, name: str) -> int:
    """The line of a TOML file that gives a setting; 0 where that cannot be told."""
    key = name.replace("_", "[-_]")
    for found in re.finditer(rf"^[ \t]*([\"']?){key}\1[ \t]*=", text, flags=re.MULTILINE):
        before = text[: found.start()]
        with contextlib.suppress(tomllib.TOMLDecodeError):  # it stands inside of another value
            tomllib.loads(before)
            return before.count("\n") + 1
    return 0


# ── What is wrong ────────────────────────────────────────────────────────────────────────────────


def find_problems(settings: Settings) -> Iterator[str]:
    """All that keeps a server from serving with these, as far as that can be seen beforehand."""
    made, problems = prepare(settings)
    yield from problems
    if made.tls is not None:
        expiry = expires_at(made.tls)
        if expiry is not None and expiry <= time.time():
            when = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(expiry))
            yield f"the certificate in {settings.tls_cert} is over since {when}"
    yield from _unheard(settings.host, settings.port)
    if address := host_and_port(settings.metrics):
        yield from _unheard(*address)
        if find_spec("prometheus_client") is None:
            yield LACKS_METRICS
    if not settings.in_memory:
        yield from _unwritable(data_folder(settings.data))
    if settings.log:
        yield from _unreachable(settings)


def _unheard(host: str, port: int) -> Iterator[str]:
    """Why nobody can listen on an address. The port is not tried: a server may be there already."""
    try:
        found = socket.getaddrinfo(host, 0, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, kind, protocol, _, address = found[0]
        with socket.socket(family, kind, protocol) as sock:
            sock.bind(address)
    except (OSError, UnicodeError) as error:
        yield why_not(host, port, error)


def _unwritable(folder: Path) -> Iterator[str]:
    """Why a folder cannot be used, or made."""
    # (`Path.exists` raises where one may not look.)
    there = next(each for each in (folder, *folder.parents) if os.path.exists(each))
    if not there.is_dir():
        yield f"--data {folder}: {there} is no folder"
    elif not os.access(there, os.W_OK | os.X_OK):
        yield f"--data {folder}: {there} may not be written to by the user that this runs as"


def _unreachable(settings: Settings) -> Iterator[str]:
    """Why a log cannot be shared. Nobody is asked: whether it is there, a start finds out."""
    if find_spec("hiredis") is None:
        yield LACKS_PACKAGES
        return
    from tcpchat_cli.sharing import engine_address  # noqa: PLC0415 # not all have what it needs

    try:
        engine_address(settings)
    except SharingError as error:
        yield without_password(str(error))
