"""What can be asked without changing anything, and what it costs to answer."""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence
from typing import Final, assert_never

from tcpchat_core import events, notices
from tcpchat_core.archive import Matches, Moment, Place
from tcpchat_core.commands import help_lines
from tcpchat_core.events import MAX_MESSAGES, MAX_PEOPLE, Query
from tcpchat_core.notices import Notice, Rejected, Said
from tcpchat_core.server.connection import Found, Wanted
from tcpchat_core.server.pages import page, with_moment, with_page
from tcpchat_core.server.rate import ITEMS_A_LINE, LOOK_LINES
from tcpchat_core.state import ChatState, Person, Room
from tcpchat_core.state.refusals import ACCOUNTS_ONLY, not_in_room
from tcpchat_core.state.rights import mode_fields

# The list of rooms is for reading; 500 are some ten screens and 200 KB at the very most.
MAX_ROOMS_LISTED: Final = 500

NO_ARCHIVE: Final = Rejected(
    "unavailable", "this server keeps no archive that could be searched", "search"
)


def answer(
    state: ChatState, conn: int, query: Query, *, has_archive: bool, most_people: int
) -> Found | Wanted:
    """Look up what a connection asks for; `most_people` is as in `notices.RoomList`."""
    match query:
        case events.Search():
            return _search(state, conn, query) if has_archive else Found(NO_ARCHIVE)
        case events.Rooms() if not may_look(state, conn):
            return Found(Rejected("no-right", ACCOUNTS_ONLY, "rooms"))
        case events.Rooms():
            listed = room_list(state, MAX_ROOMS_LISTED, state.person(conn), most_people)
            return Found(listed, (len(listed.rooms) + listed.more) // ITEMS_A_LINE)
        case events.Whois():
            return Found(_person(state, conn, query))
        case events.Devices():
            return Found(_devices(state.person(conn)))
        case events.Audit(limit):
            person = state.person(conn)
            if person is None or not person.is_admin:
                text = "only who looks after this server may do that"
                return Found(Rejected("no-right", text, "audit"))
            acts = tuple(state.acts()[-max(1, min(limit, MAX_MESSAGES)) :])
            return Found(notices.ActList(acts), len(acts) // ITEMS_A_LINE)
        case events.Ping(id):
            return Found(notices.Ponged(id))
        case events.Help(command):
            lines = help_lines(command)
            return Found(lines if isinstance(lines, Rejected) else notices.HelpText(lines))
        case events.Who() | events.Topic() | events.History() | events.Read():
            return _about_room(state, conn, query, has_archive=has_archive)
        case _:
            assert_never(query)


def with_found(
    state: ChatState, conn: int, wanted: Wanted, messages: Sequence[Said] | None
) -> Found | Wanted:
    """The answer to what the archive was asked for, with what it has found; or what it has to be
    asked next.

    Who asked may have been put out of a room since, and is shown nothing of it any more.
    """
    query, inquiry = wanted.query, wanted.inquiry
    person = state.person(conn)
    rooms = person.rooms if person else {}
    if messages is None:
        text = "what was said earlier cannot be read now; try again later"
        return Found(Rejected("unavailable", text, str(query.__struct_config__.tag)))
    if isinstance(inquiry, Matches):
        return Found(_results(rooms, inquiry, messages))
    room = rooms.get(inquiry.place.key)
    if room is None or room.floor != inquiry.place.born:
        return Found(not_in_room("history", wanted.room))
    assert isinstance(query, events.History), "only a search is for matches, and for nothing else"
    if isinstance(inquiry, Moment):
        return with_moment(room, query, wanted, inquiry, messages)
    return with_page(room, query, wanted, messages)


def _results(
    rooms: Mapping[str, Room], sought: Matches, messages: Sequence[Said]
) -> notices.SearchResults:
    # By name: a message does not have the key of its room, and a life of it has one name.
    asked = {place.key: place.born for place in sought.places}
    still = {room.name: room for key, room in rooms.items() if asked.get(key) == room.floor}
    shown, more = messages[: sought.limit], len(messages) > sought.limit
    found = tuple([still[each.room].quoting(each) for each in shown if each.room in still])
    return notices.SearchResults(found, more)


def may_look(state: ChatState, conn: int) -> bool:
    """Whether somebody may see which rooms there are."""
    person = state.person(conn)
    return bool(state.limits.guests) or (person is not None and person.account is not None)


def told_name(state: ChatState, name: str, *, is_guest: bool) -> str:
    """A real name, as it is told: none of a guest where only accounts talk."""
    return "" if is_guest and not state.limits.guests else name


def _person(state: ChatState, conn: int, query: events.Whois) -> Notice:
    """Who somebody is, as far as the one who asks may know: nothing of rooms that only one of them
    is in.
    """
    if not may_look(state, conn):
        return Rejected("no-right", ACCOUNTS_ONLY, "whois")
    person, asks = state.named(query.nick_key), state.person(conn)
    if person is None:
        return Rejected("no-such-nick", f"there is nobody called {query.nick}", "whois")
    mine = asks.rooms if asks is not None else {}
    return notices.PersonInfo(
        person.nick,
        person.account.nick if person.account is not None else "",
        person.is_admin,
        tuple([room.name for key, room in person.rooms.items() if key in mine]),
        all(each.away for each in person.everywhere),
        person.away_text,
        told_name(state, person.name, is_guest=person.account is None),
        person.user,
    )


def _devices(person: Person | None) -> Notice:
    account = person.account if person else None
    if person is None or account is None:
        return Rejected("no-right", "only who has an account has devices", "devices")
    here = {each.device for each in account.present}
    rows = [
        notices.DeviceInfo(each.number, each.at, each.name, token in here, token == person.device)
        for token, each in account.devices.items()
    ]
    return notices.DeviceList(account.nick, tuple(rows))


def _search(state: ChatState, conn: int, query: events.Search) -> Found | Wanted:
    person = state.person(conn)
    rooms = person.rooms if person else {}
    if query.key:
        if query.key not in rooms:
            return Found(not_in_room("search", query.room))
        rooms = {query.key: rooms[query.key]}
    places = tuple([Place(key, room.floor) for key, room in rooms.items()])
    limit = max(1, min(query.limit, MAX_MESSAGES))
    # What is punctuation alone is no word.
    words = tuple([word for word in query.words.split() if any(map(str.isalnum, word))])
    sought = Matches(places, words, query.nick_key, query.since, limit, state.seq)
    return Wanted(sought, LOOK_LINES, query, "")


def _about_room(
    state: ChatState,
    conn: int,
    query: events.Who | events.Topic | events.History | events.Read,
    *,
    has_archive: bool,
) -> Found | Wanted:
    person = state.person(conn)
    room = person.rooms.get(query.key) if person else None
    if person is None or room is None:
        return Found(not_in_room(str(query.__struct_config__.tag), query.room))
    match query:
        case events.Who():
            told = _members(state, room, query)
            return Found(told, len(told.nicks) // ITEMS_A_LINE)
        case events.Topic():
            return Found(
                notices.TopicSet(room.name, room.topic, room.topic_nick, room.seq, room.topic_at)
            )
        case events.Read():
            return Found(notices.ReadUpTo(room.name, *person.mark(room)))
        case events.History():
            return page(room, query, has_archive=has_archive)
        case _:
            assert_never(query)


def _members(state: ChatState, room: Room, query: events.Who) -> notices.Members:
    """Who is in a room, or a page of them."""
    shown, more, moderators = [*room.members.values()], False, room.moderator_nicks()
    if query.after or query.limit is not None:
        wanted = MAX_PEOPLE if query.limit is None else max(1, min(query.limit, MAX_PEOPLE))
        found = room.members_after(query.nick_key, wanted + 1)
        shown, more = found[:wanted], len(found) > wanted
        there = frozenset([each.nick for each in shown])
        moderators = tuple([nick for nick in moderators if nick in there])
    called = shown if query.names else ()
    names = {
        each.nick: told_name(state, each.name, is_guest=each.account is None) for each in called
    }
    return notices.Members(
        room.name,
        tuple([each.nick for each in shown]),
        moderators,
        state.owners(room),
        *mode_fields(room),
        tuple([each.nick for each in shown if each.away_text]),
        more,
        tuple([each.nick for each in shown if each.account is not None]),
        {nick: name for nick, name in names.items() if name},
        {each.nick: each.user for each in called if each.user},
    )


def room_list(
    state: ChatState, limit: int, person: Person | None = None, most_people: int = 0
) -> notices.RoomList:
    """The rooms there are, fullest first, then by name; at most `limit` of them. Of those that are
    private or unlisted only the ones that the person who asks is in.
    """
    mine = person.rooms if person else {}
    rooms = [
        room
        for room in state.rooms()
        if room.rules is None or not room.rules.are_hiding or room.key in mine
    ]
    shown = heapq.nsmallest(limit, rooms, key=lambda room: (-len(room.members), room.key))
    infos = tuple(notices.RoomInfo(room.name, len(room.members), room.topic) for room in shown)
    return notices.RoomList(infos, len(rooms) - len(infos), state.people, most_people)
