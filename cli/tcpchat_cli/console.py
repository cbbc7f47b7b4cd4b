"""The server's log on stderr: who came, where they went; never what people say.

Three formats of the same events (vocabulary.py): `console`, for people, one short line, in colour
on a terminal; `keyvalue`, for grep; `json`, for collectors. Each event is one line in each of them,
whatever is in its fields.
"""

from __future__ import annotations

import datetime as dt
import json
import logging
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Final

from colorama import Fore, Style, just_fix_windows_console

from tcpchat_cli.unhurried import UnhurriedHandler
from tcpchat_cli.vocabulary import EVENTS, INFO
from tcpchat_core import Action, Broadcast, Entry, Send, events, notices
from tcpchat_core.dialects.plain import mode_text

_log = logging.getLogger("tcpchat")


def open_missing_streams() -> None:
    """A service may be started with its output closed; then it says things to nobody."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open("w"))  # noqa: SIM115 # for the whole program


def set_up(level: str, *, worker: int = 0, format: str = "auto") -> None:
    """Send the log to stderr in a format: `auto`, `console`, `keyvalue` or `json`.

    `auto` is `console` on a terminal (unless NO_COLOR is set), and `keyvalue` otherwise. Of several
    workers each says in every line which one it is.
    """
    stream = sys.stderr
    just_fix_windows_console()
    is_coloured = stream.isatty() and not os.environ.get("NO_COLOR")
    if format == "auto":
        format = "console" if is_coloured else "keyvalue"
    handler = UnhurriedHandler(stream, lambda count: note("log-cut", left_out=count))
    handler.setFormatter(formatter_of(format, worker=worker, is_coloured=is_coloured))
    _log.handlers[:] = [handler]
    _log.propagate = False
    set_level(level)


def write_waiting() -> None:
    """Write the lines that could not be written when they were logged. Call it now and then."""
    for handler in _log.handlers:
        if isinstance(handler, UnhurriedHandler):
            handler.write_waiting()


def set_level(level: str) -> None:
    """Log so much from now on."""
    _log.setLevel(level.upper())


def set_up_for_tool() -> None:
    """Say on stderr what is wrong, in sentences: for a command that somebody has typed."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Sentence())
    _log.handlers[:] = [handler]
    _log.propagate = False
    _log.setLevel(logging.WARNING)


def is_told(level: int) -> bool:
    """Whether what happens on this level is logged at all."""
    return _log.isEnabledFor(level)


def note(event: str, **fields: str | int) -> None:
    """Log an event of the vocabulary. Fields that say nothing (`""`) are left out."""
    kind = EVENTS.get(event)
    level = INFO if kind is None else kind.level  # tests see to it that there is one
    if is_told(level):
        told = {name: value for name, value in fields.items() if value != ""}
        _log.log(level, event, extra={"fields": told})


def complain(sentence: str, *, about: str = "") -> None:
    """Log that something outside is wrong."""
    note("warning", about=about, text=sentence)


def complaining(about: str) -> Callable[[str], None]:
    """`complain`, for what has to do with one thing."""
    return partial(complain, about=about)


class Journal:
    """Logs what people did, by what they were told of it.

    `observe` is for `ServerProtocol`, which calls it with each entry and what came of it. Of
    several nodes each logs its own people: `node` is its number. `nicks` are those who are here
    already, by their connections.
    """

    def __init__(self, node: int = 0, nicks: Mapping[int, str] = MappingProxyType({})) -> None:
        self._node = node
        # Nobody is told when a connection is lost, so what its nick was has to be known.
        self._nicks = {conn: nick for conn, nick in nicks.items() if self._is_here(conn)}

    def observe(self, entry: Entry, actions: Sequence[Action]) -> None:
        """Log what came of one entry."""
        for action in actions:
            if not self._is_here(action.author if isinstance(action, Broadcast) else action.conn):
                continue
            match action:
                case Send(conn, notices.Welcome(nick)):
                    self._nicks[conn] = nick
                    note("connected", conn=shown_conn(conn), nick=nick)
                case Send(conn, notices.Resumed(nick)):
                    self._nicks[conn] = nick
                    note("resumed", conn=shown_conn(conn), nick=nick)
                case Send(conn, notices.Closing()):
                    if nick := self._nicks.pop(conn, ""):
                        note(
                            "disconnected", conn=shown_conn(conn), nick=nick, reason=_reason(entry)
                        )
                case (
                    Send(conn, notices.Renamed(old, new, own=True))
                    | Broadcast(author=conn, receipt=notices.Renamed(old, new, own=True))
                ) if old != new:
                    self._nicks[conn] = new
                    note("renamed", conn=shown_conn(conn), nick=old, to=new)
                case Broadcast(_, notices.Joined(room, nick), conn):
                    note("joined", conn=shown_conn(conn), nick=nick, room=room)
                case Broadcast(_, notices.Left(room, nick, by=""), conn):
                    note("left", conn=shown_conn(conn), nick=nick, room=room)
                case Broadcast(_, notices.Gone(nick), conn):
                    self._nicks.pop(conn, None)
                    note("gone", conn=shown_conn(conn), nick=nick, reason=_reason(entry))
                case _:
                    _note_act(entry.event, action)
        match entry.event:
            case events.Grant(account, code=code, admin=admin, device=device):
                role = "account" if admin is None else "admin" if admin else "unadmin"
                what = "invite" if code else "token" if device else role
                note("account", nick=account, what=what)
            case events.Withdraw(key):
                note("account", nick=key, what="withdraw")
        if isinstance(entry.event, events.Disconnect) and entry.conn in self._nicks:
            nick = self._nicks.pop(entry.conn)
            note("lost", conn=shown_conn(entry.conn), nick=nick, reason=_reason(entry))

    def _is_here(self, conn: int) -> bool:
        return events.node_of(conn) == self._node


def _note_act(event: events.Event, action: Action) -> None:
    """Log what somebody did who looks after a room or the server, or with an account."""
    is_ban = isinstance(event, events.Restrict)  # a mute puts nobody out
    match action:
        case Broadcast(_, notices.Left(room, nick, by=by), conn) if is_ban:
            note("restricted", conn=shown_conn(conn), nick=nick, room=room, what="ban", by=by)
        case Broadcast(_, notices.Left(room, nick, by=by), conn):
            note("expelled", conn=shown_conn(conn), nick=nick, room=room, by=by)
        case Broadcast(_, notices.Restricted(room, nick, what, by=by), conn):
            note("restricted", conn=shown_conn(conn), nick=nick, room=room, what=what, by=by)
        case Broadcast(_, notices.Lifted(room, nick, what, by), conn):
            note("lifted", conn=shown_conn(conn), nick=nick, room=room, what=what, by=by)
        case Broadcast(_, notices.RoleSet(room, nick, role, by), conn):
            note("role", conn=shown_conn(conn), nick=nick, room=room, role=role, by=by)
        case Broadcast(_, notices.Redacted(room, seq, by), conn):
            note("redacted", conn=shown_conn(conn), nick=by, room=room, seq=seq)
        case Broadcast(_, notices.ModeSet(room, by) as mode, conn):
            note("mode", conn=shown_conn(conn), nick=by, room=room, mode=mode_text(mode))
        case Send(conn, notices.Expelled(nick, by)) if is_ban:
            note("restricted", conn=shown_conn(conn), nick=nick, what="ban", by=by)
        case Send(conn, notices.Expelled(nick, by)):
            note("expelled", conn=shown_conn(conn), nick=nick, by=by)
        case Send(conn, notices.Claimed(account, number)):
            note("device", conn=shown_conn(conn), nick=account, number=number)
        case Send(conn, notices.Restricted("", nick, what, by=by, own=False)):
            note("restricted", conn=shown_conn(conn), nick=nick, what=what, by=by)
        case Send(conn, notices.Lifted("", nick, what, by, own=False)):
            note("lifted", conn=shown_conn(conn), nick=nick, what=what, by=by)
        case Send(conn, notices.Invited(room, by, nick=nick)):
            note("invited", conn=shown_conn(conn), nick=nick or "by code", room=room, by=by)
        case _:
            pass


# Why somebody is gone, by the event that it came of. What they say at the end is not among it.
_REASONS: Final[Mapping[type[events.EventBase], str]] = MappingProxyType(
    {
        events.Quit: "quit",
        events.Expire: "not resumed in time",
        events.Lapse: "the server had ended",
        events.Resume: "resumed elsewhere",
        events.Kick: "put out",
        events.Restrict: "banned",
        events.Revoke: "device revoked",
        events.Withdraw: "account withdrawn",
    }
)


def _reason(entry: Entry) -> str:
    """Why a connection has ended, or somebody is gone."""
    match entry.event:
        case events.Disconnect(reason):
            return reason or "connection closed"  # in words of the server's
        case event:
            return _REASONS.get(type(event), "")


def shown_conn(conn: int) -> str:
    """A connection, for people: of which start of the server, and the how manieth since."""
    boot, count = events.boot_and_count(conn)
    return f"{boot}.{count}"


# ── Formats ──────────────────────────────────────────────────────────────────────────────────────


def formatter_of(format: str, *, worker: int = 0, is_coloured: bool = False) -> logging.Formatter:
    """What writes the lines of a format other than `auto`."""
    match format:
        case "json":
            return _Json(worker)
        case "keyvalue":
            return _KeyValue(worker)
        case _:
            return _Coloured(worker) if is_coloured else _Console(worker)


def _time(record: logging.LogRecord) -> dt.datetime:
    return dt.datetime.fromtimestamp(record.created, tz=dt.UTC)


def _pairs(record: logging.LogRecord, worker: int) -> dict[str, str | int]:
    """The line for one record, for programs."""
    fields: dict[str, str | int] = getattr(record, "fields", {})
    return {
        "time": _time(record).isoformat(timespec="milliseconds"),
        "level": record.levelname.lower(),
        **({"worker": worker} if worker else {}),
        "event": record.getMessage(),
        **fields,
    }


class _KeyValue(logging.Formatter):
    def __init__(self, worker: int) -> None:
        super().__init__()
        self._worker = worker

    def format(self, record: logging.LogRecord) -> str:
        """The line for one record."""
        pairs = _pairs(record, self._worker)
        return " ".join(f"{key}={_quoted(value)}" for key, value in pairs.items())


class _Json(logging.Formatter):
    def __init__(self, worker: int) -> None:
        super().__init__()
        self._worker = worker

    def format(self, record: logging.LogRecord) -> str:
        """The line for one record. All of it is ASCII, so no reader can take it for something else:
        a path may have bytes that are no text.
        """
        return json.dumps(_pairs(record, self._worker), separators=(",", ":"))


def _quoted(value: str | int) -> str:
    text = str(value)
    if text and not any(char in '"=\\' or not _is_plain(char) for char in text):
        return text
    escaped = _on_one_line(text.replace("\\", "\\\\").replace('"', '\\"'))
    return f'"{escaped}"'


def _is_plain(char: str) -> bool:
    return char.isprintable() and not char.isspace()


def _on_one_line(text: str) -> str:
    """Without what would begin another line, or be obeyed by a terminal."""
    if text.isprintable():
        return text
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode() for char in text
    )


class _Console(logging.Formatter):
    """For people. A colour of "" is none."""

    event_colours: Mapping[int, str] = MappingProxyType({})
    field_colours: Mapping[str, str] = MappingProxyType({})
    dim = reset = ""

    def __init__(self, worker: int) -> None:
        super().__init__()
        self._worker = f" [{worker}]" if worker else ""

    def format(self, record: logging.LogRecord) -> str:
        """The line for one record."""
        fields: dict[str, str | int] = getattr(record, "fields", {})
        stamp = _time(record).astimezone().strftime("%H:%M:%S")
        colour = self.event_colours.get(record.levelno, "")
        words = [
            f"{self.dim}{stamp}{self._worker}{self.reset}",
            f"{colour}{record.getMessage()}{self.reset}",
        ]
        for key, value in fields.items():
            colour = self.field_colours.get(key, self.dim)
            shown = _on_one_line(str(value))
            words.append(f"{self.dim}{key}={self.reset}{colour}{shown}{self.reset}")
        return " ".join(words)


class _Sentence(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        """What one record says to people."""
        fields: dict[str, str | int] = getattr(record, "fields", {})
        return _on_one_line(str(fields.get("text", record.getMessage())))


class _Coloured(_Console):
    event_colours = MappingProxyType({logging.WARNING: Fore.YELLOW, logging.ERROR: Fore.RED})
    field_colours = MappingProxyType(
        {"nick": Fore.CYAN, "to": Fore.CYAN, "room": Fore.GREEN, "text": ""}
    )
    dim, reset = Style.DIM, Style.RESET_ALL
