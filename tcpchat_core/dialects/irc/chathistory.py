"""What was said, as clients ask for it by CHATHISTORY (IRCv3 draft/chathistory).

Rules:

1. A message is named by its id, or by its time; none of those named is among what is given. What
   names a message of another room, or of another log, is refused: here it would be a wrong one.
2. What is between two places is counted from the first one on, be it the earlier or the later.
   Between a message and a time there may be either: so it is asked for both ways, and one of the
   two answers is empty.
3. What several questions are answered is told as one, with the last.
4. Only rooms have a history. Of people it is empty.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Final, NamedTuple, TypeAlias

import msgspec

from tcpchat_core.dialects import Asked, Item, Reply
from tcpchat_core.dialects.irc.asked import Gathering, How, Span
from tcpchat_core.dialects.irc.parse import NO_TIME, time_of
from tcpchat_core.dialects.irc.wire import (
    SERVER,
    channel,
    closed,
    line,
    message_number,
    opened,
    timestamp,
    within,
)
from tcpchat_core.events import History

# What a batch of it is called. There is one at a time.
_BATCH: Final = "history"

_TARGETS: Final = "TARGETS"

_COUNT: Final = re.compile(r"0*([0-9]{1,9})")


class Place(NamedTuple):
    """A message or a time, whichever it is."""

    seq: int | None = None
    at: int | None = None

    def after(self, query: History) -> History:
        """Only what was said later."""
        since = None if self.at is None else self.at + 1
        return msgspec.structs.replace(query, after=self.seq, since=since)

    def before(self, query: History) -> History:
        """Only what was said earlier."""
        return msgspec.structs.replace(query, before=self.seq, until=self.at)

    def around(self, query: History) -> History:
        """What was said earlier and later."""
        return msgspec.structs.replace(query, around=self.seq, around_at=self.at)


class _Invalid(Exception):
    """What stands in the line and cannot be. Does not leave this file."""

    def __init__(self, word: str, text: str, code: str = "INVALID_PARAMS") -> None:
        super().__init__(text)
        self.word, self.text, self.code = word, text, code


# ── What is asked ────────────────────────────────────────────────────────────────────────────


def items(params: list[str], *, epoch: str, rooms: Iterable[str], is_batch: bool) -> list[Item]:
    """What a CHATHISTORY asks for, of who is in these rooms; and whether it takes batches."""
    subcommand, *words = [params[0].upper(), *params[1:]] if params else [""]
    target = words[0] if words and subcommand != _TARGETS else ""
    try:
        limit = _limit(subcommand, words)
        if subcommand == _TARGETS:
            return _targets(words[:2], limit, rooms, is_batch=is_batch)
        if not target.startswith("#"):
            nothing = messages(target, b"", is_batch=is_batch)
            return [Reply(nothing)] if nothing else []
        places = [_place(word, target, epoch, subcommand) for word in words[1:-1]]
    except _Invalid as bad:
        # Its type may be one that is taken elsewhere, so the target is named.
        about = (target, bad.word) if bad.code == "INVALID_MSGREFTYPE" else (bad.word,)
        return [Reply(_fail(bad.code, subcommand, *filter(None, about), text=bad.text))]
    queries = _QUERIES[subcommand](History(target, limit=limit), *places)
    gathering = Gathering(len(queries))
    how = How("CHATHISTORY", target, subcommand=subcommand, gathering=gathering)
    return [Asked(query, how) for query in queries]


def _limit(subcommand: str, words: list[str]) -> int:
    """How many are wanted, which is the last of as many words as there have to be."""
    if subcommand not in _WORDS:
        raise _Invalid("", f"there are {', '.join(_WORDS)}")
    if len(words) != _WORDS[subcommand]:
        many = "few" if len(words) < _WORDS[subcommand] else "many"
        raise _Invalid("", f"these are too {many} parameters")
    found = _COUNT.fullmatch(words[-1])
    if found is None:
        raise _Invalid(words[-1], "how many is a number")
    return int(found[1])


def _place(word: str, room: str, epoch: str, subcommand: str) -> Place:
    """Which message or time a word is."""
    kind, is_reference, value = word.partition("=")
    if word == "*" and subcommand == "LATEST":
        return Place()
    if kind == "msgid":
        number = message_number(value, epoch, channel(room))
        if number is None:
            raise _Invalid(word, "this is the id of no message of this room")
        return Place(seq=number)
    if kind == "timestamp":
        return Place(at=_time(word, value))
    if is_reference:
        raise _Invalid(word, "a message is named by msgid= or timestamp=", "INVALID_MSGREFTYPE")
    raise _Invalid(word, "a message is named by msgid= or timestamp=")


def _time(word: str, text: str) -> int:
    at = time_of(text)
    if at is None:
        raise _Invalid(word, NO_TIME)
    return at


def _latest(query: History, place: Place) -> list[History]:
    return [msgspec.structs.replace(place.after(query), latest=True)]


def _between(query: History, first: Place, second: Place) -> list[History]:
    forwards = second.before(first.after(query))
    [backwards] = _latest(first.before(query), second)
    if (first.at is None) != (second.at is None):
        return [forwards, backwards]
    return [backwards if _is_later(first, second) else forwards]


def _is_later(first: Place, second: Place) -> bool:
    """Whether the first of two of the same kind is the later one."""
    return (first.seq or 0, first.at or 0) > (second.seq or 0, second.at or 0)


_Queries: TypeAlias = Callable[..., list[History]]

# How many words there are behind each, and what is asked by those that name a room.
_WORDS: Final = {"LATEST": 3, "BEFORE": 3, "AFTER": 3, "AROUND": 3, "BETWEEN": 4, _TARGETS: 3}
_QUERIES: Final[dict[str, _Queries]] = {
    "LATEST": _latest,
    "BEFORE": lambda query, place: [place.before(query)],
    "AFTER": lambda query, place: [place.after(query)],
    "AROUND": lambda query, place: [place.around(query)],
    "BETWEEN": _between,
}


def _targets(words: list[str], limit: int, rooms: Iterable[str], *, is_batch: bool) -> list[Item]:
    """What was said last in each room is asked for. It tells when that was."""
    first, second = [_time(word, word.removeprefix("timestamp=")) for word in words]
    span = Span(first, second, limit)
    queries = [History(room, limit=1) for room in rooms]
    gathering = Gathering(len(queries), span)
    if not queries:
        return [Reply(targets(gathering, span, is_batch=is_batch))]
    how = How("CHATHISTORY", subcommand=_TARGETS, gathering=gathering)
    return [Asked(query, how) for query in queries]


# ── What is answered ─────────────────────────────────────────────────────────────────────────


def messages(target: str, said: bytes, *, is_batch: bool) -> bytes:
    """What was said, in lines; `target` is as it is called here."""
    return _together("chathistory", target, lines=said, is_batch=is_batch)


def targets(gathering: Gathering, span: Span, *, is_batch: bool) -> bytes:
    """In which rooms something was said last between two times, and when."""
    low, high = sorted((span.first, span.second))
    found = [
        (said.at, page.room)
        for page in gathering.pages
        for said in page.messages
        if low < said.at < high
    ]
    found.sort()
    is_backwards = span.first > span.second
    shown = found[max(0, len(found) - span.limit) :] if is_backwards else found[: span.limit]
    lines = [
        line(SERVER, "CHATHISTORY", _TARGETS, channel(room), timestamp(at)) for at, room in shown
    ]
    return _together("draft/chathistory-targets", lines=b"".join(lines), is_batch=is_batch)


def _together(kind: str, *words: str, lines: bytes, is_batch: bool) -> bytes:
    if not is_batch:
        return lines
    return opened(_BATCH, kind, *words) + within(_BATCH, lines) + closed(_BATCH)


def refusal(how: How, gathering: Gathering) -> bytes:
    """Why it cannot be answered; b"" when it can."""
    for refused in gathering.refused:
        if how.subcommand != _TARGETS:
            code = "MESSAGE_ERROR" if refused.reason == "unavailable" else "INVALID_TARGET"
            return _fail(code, how.subcommand, how.target, text=refused.text)
        # A room that one has left meanwhile is none of one's rooms.
        if refused.reason != "not-in-room":
            return _fail("MESSAGE_ERROR", how.subcommand, text=refused.text)
    return b""


def _fail(code: str, subcommand: str, *words: str, text: str) -> bytes:
    """IRCv3 standard replies."""
    return line(SERVER, "FAIL", "CHATHISTORY", code, subcommand, *words, text=text)
