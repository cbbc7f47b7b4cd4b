"""What was said in a room, as a list; what somebody sees of it is cut out of that.

The room had a life before this one, and was private at first: nobody who asks may see of either.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, TypeAlias

import msgspec
from hypothesis import strategies as st

from tcpchat_core import (
    ChatState,
    Entry,
    ServerLimits,
    ServerProtocol,
    StateLimits,
    events,
    notices,
)
from tcpchat_core.archive import Archived, Inquiry, Moment, Page
from tcpchat_core.notices import Said
from tests.core.harness import HELLO, NO_FLOOD_LIMIT, START_MS, MemoryServer, join

# Later than all that is done beside what is said.
SAID_FROM_MS: Final = START_MS + 10**9

Find: TypeAlias = Callable[[Inquiry], Sequence[Said]]

_PLACES: Final = ("before", "after", "around", "since", "until", "around_at")
_TIMES: Final = ("since", "until", "around_at")

# Numbers count from the room's first message that may be seen, times from when it was said.
QUERIES: Final = st.builds(
    lambda query, places: msgspec.structs.replace(query, **places),
    st.builds(events.History, st.just("lobby"), limit=st.integers(-1, 7), latest=st.booleans()),
    st.dictionaries(st.sampled_from(_PLACES), st.integers(-1, 13), min_size=1, max_size=3),
)

# How many milliseconds after the one before each message is said.
STEPS: Final = st.lists(st.integers(0, 2), min_size=4, max_size=12)


class Past(MemoryServer):
    """A server on which 2 asks what was said in the lobby, where 1 talks. The state remembers so
    many messages; the others are to be found by `find`, if there is an archive.
    """

    def __init__(
        self,
        steps: Sequence[int],
        *,
        remembers: int,
        archive: bool,
        limits: ServerLimits = NO_FLOOD_LIMIT,
    ) -> None:
        self.kept: list[Archived] = []
        state = ChatState(limits=StateLimits(history_messages=remembers))
        keep = self.kept.append if archive else None
        super().__init__(ServerProtocol(state, limits=limits, archive=keep))
        self.at = SAID_FROM_MS
        for conn in (1, 2):
            self.connect(conn)
            self.send(conn, HELLO)
        self.ask(1, join("lobby"))
        self.talk([1, 1])
        self.ask(1, events.Out("lobby"), join("lobby"), events.RoomMode("lobby", private=True))
        self.talk([1, 1])
        self.ask(1, events.RoomMode("lobby", private=False))
        room = self.protocol.state.room("lobby")
        assert room is not None
        self.floor, self.first_at = room.floor, self.at + 1
        self.said = self.talk(steps)
        self.ask(2, join("lobby"))
        self.read(2)

    def talk(self, steps: Sequence[int]) -> list[Said]:
        """1 says something, so many milliseconds after what it has said before."""
        room = self.protocol.state.room("lobby")
        assert room is not None
        said = []
        for step in steps:
            self.at += step
            say = events.Say("lobby", f"{len(self.log)}", key="lobby")
            self.log.append(Entry(len(self.log) + 1, self.at, 1, say))
            self.carry_out(self.protocol.commit([self.log[-1]], now=0))
            said.append(Said(room.name, "guest-1", say.text, room.seq, self.at))
        return said

    def placed(self, query: events.History) -> events.History:
        """A query of QUERIES with the numbers and times of this room."""
        places = {name: getattr(query, name) for name in _PLACES}
        return msgspec.structs.replace(
            query,
            **{
                name: at + (self.first_at if name in _TIMES else self.floor + 1)
                for name, at in places.items()
                if at is not None
            },
        )

    def page(self, query: events.History, find: Find | None = None) -> notices.HistoryPage:
        """The page that 2 is told, with what the archive finds for it."""
        self.ask(2, query)
        while self.looks:
            assert find is not None
            self.find(*find(self.looks[0].inquiry))
        (page,) = self.told(2)
        assert isinstance(page, notices.HistoryPage)
        return page

    def found(self, inquiry: Inquiry) -> list[Said]:
        """What an archive finds that looks at everything."""
        assert isinstance(inquiry, Page | Moment)
        rows = [
            kept.said
            for kept in self.kept
            if kept.key == inquiry.place.key and inquiry.place.born < kept.said.seq < inquiry.before
        ]
        if isinstance(inquiry, Moment):
            return [said for said in rows if said.at >= inquiry.at][:1]
        rows = [said for said in rows if said.seq > inquiry.after]
        return (rows if inquiry.first else rows[::-1])[: inquiry.limit + 1]


def cut_out(said: Sequence[Said], query: events.History) -> notices.HistoryPage:
    """The page of these messages that was asked for."""
    before, after, since, until = query.before, query.after, query.since, query.until
    kept = [
        each
        for each in said
        if (before is None or each.seq < before)
        and (after is None or each.seq > after)
        and (since is None or each.at >= since)
        and (until is None or each.at < until)
    ]
    limit = max(0, query.limit)
    start, end = max(0, len(kept) - limit), len(kept)
    has_more = start > 0
    if query.around is not None or query.around_at is not None:
        if query.around_at is None:
            earlier = [each for each in kept if each.seq < (query.around or 0)]
        else:
            earlier = [each for each in kept if each.at < query.around_at]
        end = min(len(kept), max(limit, len(earlier) + limit - limit // 2))
        start = max(0, end - limit)
        has_more = start > 0
    elif (after is not None or since is not None) and not query.latest:
        start, end = 0, min(limit, len(kept))
        has_more = end < len(kept)
    shown = tuple(kept[start:end])
    return notices.HistoryPage("lobby", shown, bool(shown) and has_more)
