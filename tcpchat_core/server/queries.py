"""What can be asked without changing anything, and what it costs to answer."""

from __future__ import annotations

import heapq
from typing import Final, NamedTuple, assert_never

from tcpchat_core import events, notices
from tcpchat_core.commands import help_lines
from tcpchat_core.events import Query
from tcpchat_core.notices import Notice, Rejected
from tcpchat_core.state import ChatState
from tcpchat_core.state.rooms import not_in_room

# The list of rooms is for reading; 500 are some ten screens and 200 KB at the very most.
MAX_ROOMS_LISTED: Final = 500

# How many rooms, people or messages are looked at for the price of one line: so the list of ten
# thousand rooms, which takes some milliseconds, costs what may be said at once, and no more.
_ITEMS_A_LINE: Final = 500


class Found(NamedTuple):
    """An answer, and how many lines of the asker's rate it has cost beyond its own."""

    notice: Notice
    cost: int = 0


def answer(state: ChatState, conn: int, query: Query) -> Found:
    """Look up what a connection asks for."""
    match query:
        case events.Rooms():
            listed = room_list(state, MAX_ROOMS_LISTED)
            return Found(listed, (len(listed.rooms) + listed.more) // _ITEMS_A_LINE)
        case events.Ping(id):
            return Found(notices.Ponged(id))
        case events.Help(command):
            lines = help_lines(command)
            return Found(lines if isinstance(lines, Rejected) else notices.HelpText(lines))
        case events.Who() | events.Topic() | events.History():
            return _about_room(state, conn, query)
        case _:
            assert_never(query)


def _about_room(
    state: ChatState, conn: int, query: events.Who | events.Topic | events.History
) -> Found:
    person = state.person(conn)
    room = person.rooms.get(query.key) if person else None
    if room is None:
        return Found(not_in_room(str(query.__struct_config__.tag), query.room))
    match query:
        case events.Who():
            return Found(
                notices.Members(room.name, room.nicks()), len(room.members) // _ITEMS_A_LINE
            )
        case events.Topic():
            return Found(
                notices.TopicSet(room.name, room.topic, room.topic_nick, room.seq, room.topic_at)
            )
        case events.History(_, before, limit):
            messages = room.messages(before, limit)
            return Found(notices.HistoryPage(room.name, messages), len(messages) // _ITEMS_A_LINE)
        case _:
            assert_never(query)


def room_list(state: ChatState, limit: int) -> notices.RoomList:
    """The rooms there are, fullest first, then by name; at most `limit` of them."""
    rooms = list(state.rooms())
    shown = heapq.nsmallest(limit, rooms, key=lambda room: (-len(room.members), room.key))
    infos = tuple(notices.RoomInfo(room.name, len(room.members), room.topic) for room in shown)
    return notices.RoomList(infos, len(rooms) - len(infos))
