"""What the archive is asked, and in which place among a connection's answers its own is told."""

from __future__ import annotations

import pytest

from tcpchat_core import (
    ChatState,
    Entry,
    Propose,
    ServerLimits,
    ServerProtocol,
    StateLimits,
    Stream,
    events,
    notices,
)
from tcpchat_core.archive import Archived, Matches, Page, Place
from tcpchat_core.dialects.jsonl import decode_notice, encode_request
from tcpchat_core.notices import Notice, Rejected, Said
from tcpchat_core.state.refusals import not_in_room
from tests.core.harness import HELLO, NO_FLOOD_LIMIT, MemoryServer, entry, join, say


class Archiving(MemoryServer):
    """A server with an archive, which remembers so many messages itself."""

    def __init__(self, *, remembers: int = 3, limits: ServerLimits = NO_FLOOD_LIMIT) -> None:
        self.kept: list[Archived] = []
        state = ChatState(limits=StateLimits(history_messages=remembers))
        super().__init__(ServerProtocol(state, limits=limits, archive=self.kept.append))

    def program(self, conn: int, *rooms: str) -> None:
        """A program comes, and joins some rooms."""
        self.connect(conn)
        self.send(conn, HELLO)
        self.ask(conn, *map(join, rooms))
        self.read(conn)

    def everything(self, room: str) -> list[Said]:
        """All that was said in a room, newest first."""
        return [kept.said for kept in reversed(self.kept) if kept.key == room]


def texts(notice: Notice) -> list[str]:
    assert isinstance(notice, notices.HistoryPage | notices.SearchResults)
    return [said.text for said in notice.messages]


def talking(*said: str, limits: ServerLimits = NO_FLOOD_LIMIT) -> Archiving:
    """Program 1 has said this in the lobby."""
    server = Archiving(limits=limits)
    server.program(1, "lobby")
    server.ask(1, *(say("lobby", text) for text in said))
    server.read(1)
    return server


def test_what_is_said_in_rooms_is_archived_by_its_entry_and_nothing_else_is() -> None:
    server = talking("one")
    server.ask(
        1,
        events.Nick("ada"),
        events.Say("lobby", "two", emote=True),
        events.Tell("ada", "psst"),
        events.Topic("lobby", "tea"),
        say("elsewhere", "refused"),
        say("lobby", "again", id="7"),
        say("lobby", "again", id="7"),
    )
    assert [(kept.key, kept.author, kept.said.text) for kept in server.kept] == [
        ("lobby", "guest-1", "one"),
        ("lobby", "ada", "two"),
        ("lobby", "ada", "again"),
    ]
    for kept in server.kept:
        said = server.log[kept.id - 1].event
        assert isinstance(said, events.Say)
        assert said.text == kept.said.text


def test_a_page_that_the_state_remembers_is_answered_at_once() -> None:
    server = talking("a", "b", "c", "d")
    server.ask(1, events.History("lobby", limit=2))
    (page,) = server.told(1)
    assert texts(page) == ["c", "d"]
    assert isinstance(page, notices.HistoryPage)
    assert page.more
    assert server.looks == []


def test_the_rest_of_a_page_is_looked_up_and_told_with_what_is_remembered() -> None:
    server = talking(*"abcdefg")
    born = server.log[1].seq
    server.ask(1, events.History("lobby", limit=5), events.Ping())
    assert server.told(1) == []
    (look,) = server.looks
    assert look.inquiry == Page(Place("lobby", born), born + 5, 2, after=born)
    server.find(*server.everything("lobby")[3:6])
    page, pong = server.told(1)
    assert texts(page) == ["c", "d", "e", "f", "g"]
    assert isinstance(page, notices.HistoryPage)
    assert page.more
    assert pong == notices.Ponged()


def test_a_rooms_first_message_is_the_end_of_its_pages() -> None:
    server = talking(*"abcd")
    born = server.log[1].seq
    server.ask(1, events.History("lobby", before=born + 3, limit=5))
    server.find(*server.everything("lobby")[3:])
    (page,) = server.told(1)
    assert isinstance(page, notices.HistoryPage)
    assert texts(page) == ["a", "b"]
    assert not page.more
    server.ask(1, events.History("lobby", before=born + 1))
    assert server.told(1) == [notices.HistoryPage("lobby", ())]
    assert server.looks == []


@pytest.mark.parametrize("before", [0, -1])
def test_before_the_first_number_of_all_there_is_nothing(before: int) -> None:
    server = talking(*"abcd")
    server.ask(1, events.History("lobby", before=before))
    assert server.told(1) == [notices.HistoryPage("lobby", ())]
    assert server.looks == []


def test_a_page_of_no_messages_has_no_more() -> None:
    server = talking(*"abcd")
    server.ask(1, events.History("lobby", limit=0))
    assert server.told(1) == [notices.HistoryPage("lobby", ())]


def test_without_an_archive_a_page_is_what_the_state_remembers() -> None:
    server = MemoryServer(ServerProtocol(ChatState(limits=StateLimits(history_messages=2))))
    server.connect(1)
    server.send(1, HELLO)
    server.ask(1, join("lobby"), *(say("lobby", text) for text in "abc"))
    server.read(1)
    server.ask(1, events.History("lobby"), events.Search("tea"))
    page, refused = server.told(1)
    assert texts(page) == ["b", "c"]
    assert isinstance(page, notices.HistoryPage)
    assert not page.more
    server.ask(1, events.History("lobby", limit=1))
    (page,) = server.told(1)
    assert isinstance(page, notices.HistoryPage)
    assert (texts(page), page.more) == (["c"], True)
    assert isinstance(refused, Rejected)
    assert (refused.reason, refused.request) == ("unavailable", "search")


def test_a_search_is_for_the_rooms_one_is_in_and_of_their_present_life() -> None:
    server = Archiving()
    server.program(1, "lobby", "tea")
    server.program(2, "secret")
    server.ask(1, events.Search("Two  words", nick="ADA", since=5, limit=7))
    (look,) = server.looks
    people = {room.key: room.born for room in server.protocol.state.rooms()}
    places = (Place("lobby", people["lobby"]), Place("tea", people["tea"]))
    upto = server.protocol.state.seq
    assert look.inquiry == Matches(places, ("Two", "words"), "ada", 5, 7, upto)
    server.find(Said("lobby", "ada", "words, two", 9, 9))
    assert server.told(1) == [
        notices.SearchResults((Said("lobby", "ada", "words, two", 9, 9),), more=False)
    ]
    server.ask(1, events.Search("a", room="Tea"), events.Search("a", room="secret"))
    (look,) = server.looks
    assert isinstance(look.inquiry, Matches)
    assert look.inquiry.places == (Place("tea", people["tea"]),)
    server.find()
    found, refused = server.told(1)
    assert found == notices.SearchResults(())
    assert isinstance(refused, Rejected)
    assert refused.reason == "not-in-room"


def test_a_search_is_of_what_was_said_before_its_turn_and_not_of_what_came_in_with_it() -> None:
    server = Archiving()
    server.program(1, "lobby")
    server.program(2, "lobby")
    server.delayed = True
    server.ask(1, say("lobby", "tea"), events.Search("tea"), events.Out("lobby"))
    server.ask(2, say("lobby", "tea for those who are here"))
    batch: list[Entry] = []
    for propose in server.proposed:
        batch += propose.entries(server.protocol.state.seq + 1 + len(batch), 0)
    server.carry_out(server.protocol.commit(batch, now=0))
    (look,) = server.looks
    assert isinstance(look.inquiry, Matches)
    assert look.inquiry.upto == batch[0].seq


@pytest.mark.parametrize(
    ("search", "reason"),
    [
        (events.Search("!?"), "bad-usage"),
        (events.Search(""), "bad-usage"),
        (events.Search("x" * 201), "too-long"),
        (events.Search("x", room="a:b"), "bad-name"),
        (events.Search("x", nick="  "), "no-such-nick"),
    ],
)
def test_a_search_that_cannot_be_is_refused_with_a_sentence(
    search: events.Search, reason: str
) -> None:
    server = talking()
    server.ask(1, search)
    (refused,) = server.told(1)
    assert isinstance(refused, Rejected)
    assert (refused.reason, refused.request) == (reason, "search")
    assert server.looks == []


def test_punctuation_by_itself_is_nothing_to_search_for() -> None:
    server = talking("tea")
    server.ask(1, events.Search("tea ++ c++"))
    (look,) = server.looks
    assert isinstance(look.inquiry, Matches)
    assert look.inquiry.words == ("tea", "c++")


def test_while_the_archive_looks_nothing_more_of_that_connection_is_looked_at() -> None:
    server = talking()
    server.program(2, "lobby")
    server.read(1)
    server.ask(1, events.Search("tea"), say("lobby", "after it"))
    assert 1 in server.paused
    assert [notice for notice in server.told(2) if isinstance(notice, Said)] == []
    server.ask(2, say("lobby", "meanwhile"))
    (said,) = server.told(1)
    assert isinstance(said, Said)
    server.find()
    found, _receipt = server.told(1)
    assert found == notices.SearchResults(())
    assert 1 not in server.paused
    assert "after it" in [kept.said.text for kept in server.kept]


def test_what_the_archive_cannot_answer_is_refused_and_the_next_is_answered() -> None:
    server = talking()
    server.ask(1, events.Search("tea"), events.Ping())
    server.find(failed=True)
    refused, pong = server.told(1)
    assert isinstance(refused, Rejected)
    assert refused.reason == "unavailable"
    assert pong == notices.Ponged()


def test_an_answer_for_somebody_who_is_gone_or_did_not_ask_is_for_nobody() -> None:
    server = talking()
    server.ask(1, events.Search("tea"))
    (look,) = server.looks
    assert server.protocol.found(1, look.ticket + 1, (), now=0) == []
    server.lose(1)
    assert server.protocol.found(1, look.ticket, (), now=0) == []
    assert server.told(1) == []


def test_a_look_into_the_archive_costs_what_two_lines_cost() -> None:
    server = talking(limits=ServerLimits(flood_burst=4, flood_rate=1))
    server.wait(60_000)
    server.ask(1, events.Search("tea"))
    server.find()
    server.told(1)
    server.ask(1, events.Ping("1"), events.Ping("2"))
    assert server.told(1) == [notices.Ponged("1")]


def test_what_somebody_says_who_is_gone_is_not_archived() -> None:
    server = talking()
    ghost = entry(server.protocol.state.seq + 1, 99, events.Say("lobby", "boo", key="lobby"))
    server.carry_out(server.protocol.commit([ghost], now=0))
    assert server.kept == []


def test_behind_a_look_the_answers_of_one_commit_wait_for_it() -> None:
    server = talking()
    server.delayed = True
    server.ask(1, say("lobby", "first", id="1"), events.Search("tea"), events.Ping())
    server.commit_next()
    assert [type(notice) for notice in server.told(1)] == [notices.Sent]
    server.find()
    assert server.told(1) == [notices.SearchResults(()), notices.Ponged()]


def test_an_announcement_is_told_to_all_who_can_be_told() -> None:
    server = talking()
    server.connect(2)  # it has not spoken yet, so nobody knows its dialect
    server.delayed = True
    server.connect(3)
    server.send(3, HELLO)  # it is not welcomed yet
    server.carry_out(server.protocol.announce("the disk\x1b is full"))
    assert server.told(1) == [notices.Announced("the disk is full")]
    assert server.output[2] == server.output[3] == b""


def test_the_archive_is_told_what_was_taken_back_and_a_page_that_waits_shows_it_so() -> None:
    server = talking(*"abcd")
    born = server.log[1].seq
    server.ask(1, events.History("lobby"))
    server.program(2, "lobby")
    server.connect(3)
    server.protocol.state.room("lobby")
    (look,) = server.looks
    assert isinstance(look.inquiry, Page)
    server.ask(2, events.Redact("lobby", born + 4))
    assert len(server.kept) == 4, "she may not"
    role = events.Role("lobby", "guest-2", "moderator", "lobby", "guest-2")
    server.carry_out(server.protocol.commit([entry(len(server.log) + 1, 1, role)], now=0))
    seq = len(server.log) + 2
    taken = events.Redact("lobby", born + 4, "", "lobby")
    server.carry_out(server.protocol.commit([entry(seq, 2, taken)], now=0))
    gone = server.kept[-1]
    assert (gone.id, gone.key, gone.said.seq, gone.said.redacted) == (seq, "lobby", born + 4, True)
    assert gone.said.text == ""
    server.read(1)
    server.find(server.everything("lobby")[-1])
    (page,) = server.told(1)
    assert texts(page) == ["a", "b", "c", ""]


# ── Who is put out between the question and the answer ───────────────────────────────────────


def put_out_while_looking(query: events.History | events.Search) -> tuple[Archiving, list[Said]]:
    """ada (1) has a private room, in which bob (2) asks for something; he is put out meanwhile."""
    server = Archiving()
    server.program(1, "den")
    server.ask(1, *(say("den", text) for text in "abcdef"))
    server.program(2, "den", "lobby")
    server.ask(2, say("lobby", "tea"))
    server.ask(1, events.Nick("ada"), events.RoomMode("den", private=True))
    server.ask(2, events.Nick("bob"), query)
    server.ask(1, events.Kick("den", "bob"))
    server.read(2)
    return server, [*server.everything("den"), *server.everything("lobby")]


def test_who_is_put_out_is_not_shown_a_page_that_was_asked_for_before() -> None:
    server, found = put_out_while_looking(events.History("den", limit=6))
    server.find(*found[3:6])
    assert server.told(2) == [
        Rejected("not-in-room", "you are not in den; /join den first", "history")
    ]


def test_who_is_put_out_is_shown_what_was_found_in_the_rooms_that_it_is_in_still() -> None:
    server, found = put_out_while_looking(events.Search("e"))
    server.find(*found)
    (results,) = server.told(2)
    assert texts(results) == ["tea"]


def test_who_left_is_nobody_when_the_archive_has_looked() -> None:
    server, found = put_out_while_looking(events.Search("e"))
    server.protocol.state.handle(entry(10**6, 2, events.Quit()))
    server.find(*found)
    (results,) = server.told(2)
    assert texts(results) == []


def test_what_was_said_in_a_private_room_is_no_page_of_the_open_one() -> None:
    server = Archiving()
    server.program(1, "den")
    server.ask(1, events.RoomMode("den", private=True), *(say("den", text) for text in "abcdef"))
    server.ask(1, events.RoomMode("den", private=False), *(say("den", text) for text in "ghijk"))
    server.program(2, "den")
    server.ask(2, events.History("den", limit=20))
    (look,) = server.looks
    assert isinstance(look.inquiry, Page)
    server.find(
        *[said for said in server.everything("den")[3:] if said.seq > look.inquiry.place.born]
    )
    (page,) = server.told(2)
    assert isinstance(page, notices.HistoryPage)
    assert texts(page) == ["g", "h", "i", "j", "k"]
    assert not page.more


def test_a_long_answer_that_is_not_taken_yet_is_not_given_to_who_is_put_out() -> None:
    server = Archiving(remembers=50)
    server.program(1, "den")
    server.ask(1, *(say("den", f"{text} {'x' * 1_900}") for text in "abc"))
    server.program(2, "den")
    effects = server.protocol.receive_data(2, encode_request(events.History("den")), now=0)
    (stream,) = effects
    assert isinstance(stream, Stream)
    server.ask(1, events.Kick("den", "guest-2"))
    server.read(2)
    (line,) = b"".join(stream.pieces).splitlines()
    assert decode_notice(line) == Rejected(
        "not-in-room", "you are not in den; /join den first", "history"
    )


def test_who_is_put_out_is_not_shown_any_more_who_is_restricted_there() -> None:
    server = MemoryServer(ServerProtocol(ChatState(), limits=NO_FLOOD_LIMIT))
    for conn in (1, 2):
        server.connect(conn, token=f"t{conn}")
        server.send(conn, HELLO)
        server.ask(conn, join("den"))
    server.ask(1, events.Role("den", "guest-2", "moderator"))
    server.ask(1, events.Restrict("den", "guest-1", "mute", 60_000, "spam"))
    asked = server.protocol.receive_data(2, encode_request(events.Restrictions("den")), now=0)
    (propose,) = asked
    assert isinstance(propose, Propose)
    entries = [
        entry(each.seq, 2, each.event, each.number)
        for each in propose.entries(len(server.log) + 1, 0)
    ]
    server.log += entries
    (stream,) = server.protocol.commit(entries, now=0)
    assert isinstance(stream, Stream)
    server.ask(1, events.Role("den", "guest-2", "member"), events.Kick("den", "guest-2"))
    assert [decode_notice(line) for piece in stream.pieces for line in piece.splitlines()] == [
        not_in_room("restrictions", "den")
    ]


def test_a_replay_that_is_not_taken_yet_ends_for_who_is_put_out() -> None:
    limits = StateLimits(history_messages=200, history_chars=10**6)
    protocol = ServerProtocol(ChatState(limits=limits), limits=NO_FLOOD_LIMIT)
    server = MemoryServer(protocol)
    for conn in (1, 2):
        server.connect(conn, token=f"t{conn}")
        server.send(conn, HELLO)
        server.ask(conn, join("den"))
    server.lose(2)
    server.ask(1, *(say("den", "x" * 1_000) for _ in range(150)))
    server.connect(3, token="t3")
    resume = encode_request(events.Hello("t2"))
    (propose,) = server.protocol.receive_data(3, resume, now=0)
    assert isinstance(propose, Propose)
    entries = [
        entry(each.seq, 3, each.event, each.number)
        for each in propose.entries(len(server.log) + 1, 0)
    ]
    server.log += entries
    effects = server.protocol.commit(entries, now=0)
    (stream,) = [effect for effect in effects if isinstance(effect, Stream)]
    pieces = iter(stream.pieces)
    assert next(pieces).count(b'"said"') > 50
    server.carry_out([effect for effect in effects if not isinstance(effect, Stream)])
    server.ask(1, events.Kick("den", "guest-2"))
    assert b"".join(pieces) == b""
