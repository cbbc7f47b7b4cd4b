"""What happens to the server itself, and to connections, in the words of the log."""

from __future__ import annotations

import datetime as dt

from tcpchat_cli.console import note, shown_conn
from tcpchat_core import ChatState
from tcpchat_net.happenings import (
    CaughtUp,
    Exhausted,
    Forgotten,
    Happening,
    Held,
    Overrun,
    Refused,
    Released,
    Report,
    SnapshotTaken,
    Suspended,
    Throttled,
)


def tell(happening: Happening) -> None:
    """Log what happened to nobody's connection."""
    match happening:
        case Refused(host, reason, text, left_out):
            note("refused", host=host, reason=reason, text=text, left_out=left_out or "")
        case Exhausted(what, text, left_out):
            note("exhausted", what=what, text=text, left_out=left_out or "")
        case SnapshotTaken(seq, ms):
            note("snapshot", seq=seq, ms=ms)
        case Forgotten(before):
            note("forgotten", before=_time(before))
        case Held(ms, stack, left_out):
            note("held", ms=ms, stack=stack, left_out=left_out or "")
        case Released(ms):
            note("released", ms=ms)
        case Suspended(ms, left_out):
            note("suspended", ms=ms, left_out=left_out or "")
        case _:
            raise AssertionError(f"{happening} is told of elsewhere")


def telling(state: ChatState) -> Report:
    """Log also what happens to connections, with who has them in a state."""

    def nick_of(conn: int) -> str:
        person = state.person(conn)
        return "" if person is None else person.nick

    def tell_all(happening: Happening) -> None:
        match happening:
            case Throttled(conn, ms, left_out):
                left = left_out or ""
                note("throttled", conn=shown_conn(conn), nick=nick_of(conn), ms=ms, left_out=left)
            case CaughtUp(conn, ms, lines):
                note("caught-up", conn=shown_conn(conn), nick=nick_of(conn), ms=ms, lines=lines)
            case Overrun(conn, size, stalled_ms):
                note(
                    "overrun",
                    conn=shown_conn(conn),
                    nick=nick_of(conn),
                    backlog_bytes=size,
                    stalled_ms=stalled_ms,
                )
            case _:
                tell(happening)

    return tell_all


def _time(ms: int) -> str:
    return dt.datetime.fromtimestamp(ms / 1_000, tz=dt.UTC).isoformat(timespec="seconds")
