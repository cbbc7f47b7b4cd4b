"""Pages of what was said in a room: what the state remembers of them, the rest from the archive.

Rule 1: The messages of a room are numbered without a hole. So those that somebody asks for are the
        ones between two numbers, and those that the state holds are the last of them.

Rule 2: Nothing is shown that is not above the room's floor, and the archive is not asked for it.

Rule 3: A time stands for a number: that of the first message from then on. Where the state cannot
        tell which that is, the archive is asked for this first; then for the page.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from operator import attrgetter

from tcpchat_core.archive import Moment, Page, Place
from tcpchat_core.events import MAX_MESSAGES, History
from tcpchat_core.notices import HistoryPage, Said
from tcpchat_core.server.connection import Found, Wanted
from tcpchat_core.server.rate import ITEMS_A_LINE, LOOK_LINES
from tcpchat_core.state import Room

_at = attrgetter("at")


def page(
    room: Room, query: History, *, has_archive: bool, numbers: tuple[int, ...] = ()
) -> Found | Wanted:
    """The page that was asked for. `numbers` are those of its first times, if they are known."""
    floor = room.floor if has_archive else room.oldest - 1
    for at in _times(query)[len(numbers) :]:
        number = _number(room, at, floor)
        if isinstance(number, Moment):
            return Wanted(number, LOOK_LINES, query, room.name, numbers=numbers)
        numbers = (*numbers, number)
    after, before = _bounds(query, floor, room.seq + 1, numbers)
    limit, first = _limit(query), _begins_with_first(query)
    held, upto = room.between(after, before), min(before, room.oldest)
    has_all = upto <= after + 1
    if has_all or not limit or (len(held) >= limit and not first):
        answer = _cut(room, query, held, more=not has_all)
        return Found(answer, len(answer.messages) // ITEMS_A_LINE)
    lacks = limit if first else limit - len(held)
    wanted = Page(Place(room.key, room.floor), upto, lacks, after, first)
    return Wanted(wanted, LOOK_LINES, query, room.name, held[: limit + 1])


def with_page(room: Room, query: History, wanted: Wanted, messages: Sequence[Said]) -> Found:
    """The page, with what the archive has of it."""
    # Of what is known some may have been taken back since.
    known = [room.message(each.seq) or each for each in wanted.shown]
    found = messages if _begins_with_first(query) else [*reversed(messages)]
    return Found(_cut(room, query, (*found, *known)))


def with_moment(
    room: Room, query: History, wanted: Wanted, moment: Moment, messages: Sequence[Said]
) -> Found | Wanted:
    """The page, after the archive was asked which number one of its times stands for."""
    number = messages[0].seq if messages else moment.before
    return page(room, query, has_archive=True, numbers=(*wanted.numbers, number))


def _times(query: History) -> list[int]:
    return [at for at in (query.since, query.until, query.around_at) if at is not None]


def _number(room: Room, at: int, floor: int) -> int | Moment:
    """Which number a time stands for, or what has to be asked for it."""
    held = room.between(floor, room.seq + 1)
    if room.oldest > floor + 1 and not (held and held[0].at < at):
        return Moment(Place(room.key, room.floor), at, room.oldest)
    return room.oldest + bisect_left(held, at, key=_at)


def _bounds(query: History, floor: int, ceiling: int, numbers: tuple[int, ...]) -> tuple[int, int]:
    """Between which two numbers the messages are that a page is of."""
    rest = iter(numbers)
    afters, befores = [floor], [ceiling]
    if query.after is not None:
        afters.append(query.after)
    if query.before is not None:
        befores.append(query.before)
    if query.since is not None:
        afters.append(next(rest) - 1)
    if query.until is not None:
        befores.append(next(rest))
    after, around = max(afters), query.around if query.around_at is None else next(rest)
    if around is not None:
        # Near the first message the page has the first ones, and near the last the last.
        limit = _limit(query)
        befores.append(max(around + limit - limit // 2, after + 1 + limit))
    return after, min(befores)


def _limit(query: History) -> int:
    return max(0, min(query.limit, MAX_MESSAGES))


def _begins_with_first(query: History) -> bool:
    """Whether a page has the first of its messages, if they are too many; else the last."""
    is_above = query.after is not None or query.since is not None
    is_around = query.around is not None or query.around_at is not None
    return is_above and not (is_around or query.latest)


def _cut(
    room: Room, query: History, messages: tuple[Said, ...], *, more: bool = False
) -> HistoryPage:
    """As many of the messages as a page has. `more` is whether there are more than these."""
    limit = _limit(query)
    left = max(0, len(messages) - limit)
    shown = messages[:limit] if _begins_with_first(query) else messages[left:]
    return HistoryPage(room.name, room.all_quoting(shown), bool(shown) and (more or left > 0))
