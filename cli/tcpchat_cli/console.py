"""The server's console log: who came, where they went; never what people say.

On a terminal, one short coloured line per happening, with nicks, rooms and the rest told apart.
Otherwise one line of `key=value` pairs, for grep and for collectors.
"""

from __future__ import annotations

import datetime as dt
import logging
import os
import sys

from colorama import Fore, Style, just_fix_windows_console

from tcpchat_core import Entry, events
from tcpchat_core.state import Person

LEVELS = ("debug", "info", "warning", "error")

_log = logging.getLogger("tcpchat")

_COLOURS = {"nick": Fore.CYAN, "to": Fore.CYAN, "room": Fore.GREEN}


def set_up(level: str) -> None:
    """Send the log to stderr, in colour when it is a terminal (and NO_COLOR is not set)."""
    stream = sys.stderr
    just_fix_windows_console()
    handler = logging.StreamHandler(stream)
    coloured = stream.isatty() and not os.environ.get("NO_COLOR")
    handler.setFormatter(_Coloured() if coloured else _KeyValue())
    _log.handlers[:] = [handler]
    _log.propagate = False
    _log.setLevel(level.upper())


def is_told(level: int) -> bool:
    """Whether what happens on this level is logged at all."""
    return _log.isEnabledFor(level)


def note(event: str, *, level: int = logging.INFO, **fields: str | int) -> None:
    """Log one happening."""
    if is_told(level):
        _log.log(level, event, extra={"fields": fields})


def complain(sentence: str) -> None:
    """Log that something outside is wrong."""
    note(sentence, level=logging.WARNING)


def observe(entry: Entry, person: Person | None, nick: str) -> None:
    """Log what somebody did, as `ChatServer` tells it; `nick` is the name it had before."""
    if person is None:
        return
    match entry.event:
        case events.Connect():
            note("connected", conn=entry.conn, nick=person.nick)
        case events.Resume():
            what = "connected" if person.id == entry.conn else "resumed"
            note(what, conn=entry.conn, nick=person.nick)
        case events.Nick() if person.nick != nick:
            note("renamed", conn=entry.conn, nick=nick, to=person.nick)
        case events.Join(room, key) if key in person.rooms:
            note("joined", conn=entry.conn, nick=nick, room=room)
        case events.Out(room):
            note("left", conn=entry.conn, nick=nick, room=room)
        case events.Disconnect() if person.away:
            note("lost", conn=entry.conn, nick=nick)
        case events.Quit() | events.Disconnect() | events.Expire():
            note("gone", conn=entry.conn, nick=nick)
        case _:
            pass


def _time(record: logging.LogRecord) -> dt.datetime:
    return dt.datetime.fromtimestamp(record.created, tz=dt.UTC)


class _KeyValue(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        """The line for one record."""
        fields: dict[str, str | int] = getattr(record, "fields", {})
        stamp = _time(record).isoformat(timespec="milliseconds")
        pairs = {"time": stamp, "level": record.levelname.lower(), "event": record.getMessage()}
        return " ".join(f"{key}={_quoted(value)}" for key, value in {**pairs, **fields}.items())


def _quoted(value: str | int) -> str:
    text = str(value)
    if text and not any(char.isspace() or char in '"=\\' for char in text):
        return text
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


class _Coloured(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        """The line for one record."""
        fields: dict[str, str | int] = getattr(record, "fields", {})
        stamp = _time(record).astimezone().strftime("%H:%M:%S")
        colour = Fore.YELLOW if record.levelno >= logging.WARNING else ""
        words = [f"{Style.DIM}{stamp}{Style.RESET_ALL}"]
        words.append(f"{colour}{record.getMessage()}{Style.RESET_ALL}")
        for key, value in fields.items():
            colour = _COLOURS.get(key, Style.DIM)
            words.append(f"{Style.DIM}{key}={Style.RESET_ALL}{colour}{value}{Style.RESET_ALL}")
        return " ".join(words)
