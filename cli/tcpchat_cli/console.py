"""The server's console log: who came, where they went; never what people say.

On a terminal, one short coloured line per happening, with nicks, rooms and the rest told apart.
Otherwise one line of `key=value` pairs, for grep and for collectors.
"""

from __future__ import annotations

import datetime as dt
import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from colorama import Fore, Style, just_fix_windows_console

from tcpchat_core import Action, Broadcast, Entry, Send, events, notices
from tcpchat_core.dialects.plain import mode_text

LEVELS = ("debug", "info", "warning", "error")

_log = logging.getLogger("tcpchat")

_COLOURS = {"nick": Fore.CYAN, "to": Fore.CYAN, "room": Fore.GREEN}


def open_missing_streams() -> None:
    """A service may be started with its output closed; then it says things to nobody."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open("w"))  # noqa: SIM115 # for the whole program


def set_up(level: str, *, worker: int = 0) -> None:
    """Send the log to stderr, in colour when it is a terminal (and NO_COLOR is not set).

    Of several workers each says in every line which one it is.
    """
    stream = sys.stderr
    just_fix_windows_console()
    handler = logging.StreamHandler(stream)
    coloured = stream.isatty() and not os.environ.get("NO_COLOR")
    handler.setFormatter(_Coloured(worker) if coloured else _KeyValue(worker))
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


class Journal:
    """Logs what people did, by what they were told of it.

    `observe` is for `ServerProtocol`, which calls it with each entry and what came of it. Of
    several nodes each logs its own people: `node` is its number.
    """

    def __init__(self, node: int = 0) -> None:
        self._node = node
        # Nobody is told when a connection is lost, so what its nick was has to be known.
        self._nicks: dict[int, str] = {}

    def observe(self, entry: Entry, actions: Sequence[Action]) -> None:
        """Log what came of one entry."""
        for action in actions:
            if not self._is_here(action.author if isinstance(action, Broadcast) else action.conn):
                continue
            match action:
                case Send(conn, notices.Welcome(nick)):
                    self._nicks[conn] = nick
                    note("connected", conn=_shown(conn), nick=nick)
                case Send(conn, notices.Resumed(nick)):
                    self._nicks[conn] = nick
                    note("resumed", conn=_shown(conn), nick=nick)
                case Send(conn, notices.Closing()):
                    self._nicks.pop(conn, None)
                case (
                    Send(conn, notices.Renamed(old, new, own=True))
                    | Broadcast(author=conn, receipt=notices.Renamed(old, new, own=True))
                ) if old != new:
                    self._nicks[conn] = new
                    note("renamed", conn=_shown(conn), nick=old, to=new)
                case Broadcast(_, notices.Joined(room, nick), conn):
                    note("joined", conn=_shown(conn), nick=nick, room=room)
                case Broadcast(_, notices.Left(room, nick, by=""), conn):
                    note("left", conn=_shown(conn), nick=nick, room=room)
                case Broadcast(_, notices.Gone(nick), conn):
                    self._nicks.pop(conn, None)
                    note("gone", conn=_shown(conn), nick=nick)
                case _:
                    _note_act(action)
        match entry.event:
            case events.Grant(account, code=code, admin=admin, device=device):
                role = "account" if admin is None else "admin" if admin else "unadmin"
                what = "invite" if code else "token" if device else role
                note("account", nick=account, what=what)
            case events.Withdraw(key):
                note("account", nick=key, what="withdraw")
        if isinstance(entry.event, events.Disconnect) and entry.conn in self._nicks:
            note("lost", conn=_shown(entry.conn), nick=self._nicks.pop(entry.conn))

    def _is_here(self, conn: int) -> bool:
        return events.node_of(conn) == self._node


def _note_act(action: Action) -> None:
    """Log what somebody did who looks after a room or the server, or with an account."""
    match action:
        case Broadcast(_, notices.Left(room, nick, by=by), conn):
            note("expelled", conn=_shown(conn), nick=nick, room=room, by=by)
        case Broadcast(_, notices.Restricted(room, nick, what, by=by), conn):
            note("restricted", conn=_shown(conn), nick=nick, room=room, what=what, by=by)
        case Broadcast(_, notices.Lifted(room, nick, what, by), conn):
            note("lifted", conn=_shown(conn), nick=nick, room=room, what=what, by=by)
        case Broadcast(_, notices.RoleSet(room, nick, role, by), conn):
            note("role", conn=_shown(conn), nick=nick, room=room, role=role, by=by)
        case Broadcast(_, notices.Redacted(room, seq, by), conn):
            note("redacted", conn=_shown(conn), nick=by, room=room, seq=seq)
        case Broadcast(_, notices.ModeSet(room, by) as mode, conn):
            note("mode", conn=_shown(conn), nick=by, room=room, mode=mode_text(mode))
        case Send(conn, notices.Expelled(nick, by)):
            note("expelled", conn=_shown(conn), nick=nick, by=by)
        case Send(conn, notices.Claimed(account, number)):
            note("device", conn=_shown(conn), nick=account, number=number)
        case Send(conn, notices.Restricted("", nick, what, by=by, own=False)):
            note("restricted", conn=_shown(conn), nick=nick, what=what, by=by)
        case Send(conn, notices.Lifted("", nick, what, by, own=False)):
            note("lifted", conn=_shown(conn), nick=nick, what=what, by=by)
        case Send(conn, notices.Invited(room, by, nick=nick)):
            note("invited", conn=_shown(conn), nick=nick or "by code", room=room, by=by)
        case _:
            pass


def _shown(conn: int) -> str:
    """A connection, for people: of which start of the server, and the how manieth since."""
    boot, count = events.boot_and_count(conn)
    return f"{boot}.{count}"


def _time(record: logging.LogRecord) -> dt.datetime:
    return dt.datetime.fromtimestamp(record.created, tz=dt.UTC)


class _KeyValue(logging.Formatter):
    def __init__(self, worker: int) -> None:
        super().__init__()
        self._worker: dict[str, str | int] = {"worker": worker} if worker else {}

    def format(self, record: logging.LogRecord) -> str:
        """The line for one record."""
        fields: dict[str, str | int] = getattr(record, "fields", {})
        stamp = _time(record).isoformat(timespec="milliseconds")
        pairs = {
            "time": stamp,
            "level": record.levelname.lower(),
            **self._worker,
            "event": record.getMessage(),
            **fields,
        }
        return " ".join(f"{key}={_quoted(value)}" for key, value in pairs.items())


def _quoted(value: str | int) -> str:
    text = str(value)
    if text and not any(char.isspace() or char in '"=\\' for char in text):
        return text
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


class _Coloured(logging.Formatter):
    def __init__(self, worker: int) -> None:
        super().__init__()
        self._worker = f" [{worker}]" if worker else ""

    def format(self, record: logging.LogRecord) -> str:
        """The line for one record."""
        fields: dict[str, str | int] = getattr(record, "fields", {})
        stamp = _time(record).astimezone().strftime("%H:%M:%S")
        colour = Fore.YELLOW if record.levelno >= logging.WARNING else ""
        words = [f"{Style.DIM}{stamp}{self._worker}{Style.RESET_ALL}"]
        words.append(f"{colour}{record.getMessage()}{Style.RESET_ALL}")
        for key, value in fields.items():
            colour = _COLOURS.get(key, Style.DIM)
            words.append(f"{Style.DIM}{key}={Style.RESET_ALL}{colour}{value}{Style.RESET_ALL}")
        return " ".join(words)
