"""ChatState, rule by rule. What holds for every history of events is in the stateful tests."""

from __future__ import annotations

import pytest

from tcpchat_core import Broadcast, ChatState, Entry, Event, Send, StateLimits, events, notices
from tcpchat_core.events import connection_number
from tcpchat_core.notices import Notice, Rejected
from tcpchat_core.server.queries import room_list
from tests.core.harness import START_MS, STEP_MS, Talk, deliver, entry, join, nick, restored, say


def at(talk: Talk) -> int:
    """The time of the last entry."""
    return START_MS + STEP_MS * talk.state.seq


def reasons(told: dict[int, list[Notice]]) -> dict[int, list[str]]:
    """Who was refused, and why."""
    return {
        conn: [notice.reason for notice in heard if isinstance(notice, Rejected)]
        for conn, heard in told.items()
    }


# ── Coming and going ─────────────────────────────────────────────────────────────────────────


def test_a_new_person_is_welcomed_as_a_guest() -> None:
    talk = Talk(ChatState(epoch="7"))
    assert talk.do(5, events.Connect()) == {5: [notices.Welcome("guest-1", "7")]}
    assert talk.state.people == 1


def test_guest_numbers_are_reused_lowest_first() -> None:
    talk = Talk()
    for conn in (1, 2, 3, 4):
        talk.do(conn, events.Connect())
    talk.do(3, events.Disconnect(""))
    talk.do(2, nick("bob"))
    talk.do(1, events.Quit())
    for conn, guest in ((5, "guest-1"), (6, "guest-2"), (7, "guest-3"), (8, "guest-5")):
        assert talk.do(conn, events.Connect()) == {conn: [notices.Welcome(guest, "0")]}


def test_connecting_twice_changes_nothing() -> None:
    talk = Talk()
    talk.people("ada")
    before = talk.state.snapshot()
    assert talk.do(1, events.Connect()) == {}
    assert ChatState.restore(before).person(1) is not None
    person = talk.state.person(1)
    assert person is not None
    assert person.nick == "ada"


@pytest.mark.parametrize(
    "event",
    [
        nick("ada"),
        join("lobby"),
        say("lobby", "hi"),
        events.Tell("ada", "hi", key="ada"),
        events.Topic("lobby", "tea", "lobby"),
        events.Out("lobby", "lobby"),
        events.Quit(),
        events.Disconnect("connection lost"),
    ],
)
def test_an_event_of_somebody_who_is_not_there_does_nothing(event: Event) -> None:
    talk = Talk()
    talk.people("bob")
    assert talk.do(9, event) == {}
    assert talk.state.people == 1
    assert not list(talk.state.rooms())


def test_an_entry_that_was_seen_already_does_nothing() -> None:
    state = ChatState()
    assert state.handle(entry(5, 1, events.Connect()))
    digest = state.digest()
    for seq in (5, 4, 1):
        assert state.handle(entry(seq, 2, events.Connect())) == []
    assert state.digest() == digest


def test_quitting_is_answered_and_closes_the_connection() -> None:
    talk = Talk()
    talk.people("ada", "bob")
    for conn in (1, 2):
        talk.do(conn, join("lobby"))
    assert talk.do(1, events.Quit("tea time")) == {
        1: [notices.Closing("bye")],
        2: [notices.Gone("ada", "tea time")],
    }
    assert talk.closed == [1]


def test_a_lost_connection_is_told_to_each_neighbour_once_and_frees_the_nick() -> None:
    talk = Talk()
    talk.people("ada", "bob", "cleo")
    for room in ("lobby", "tea"):
        for conn in (1, 2):
            talk.do(conn, join(room))
    talk.do(3, join("den"))
    assert talk.do(1, events.Disconnect("timed out")) == {2: [notices.Gone("ada", "timed out")]}
    assert talk.do(3, nick("ada")) == {3: [notices.Renamed("cleo", "ada", own=True)]}


# ── Nicks ────────────────────────────────────────────────────────────────────────────────────


def test_a_renamed_member_is_announced_once_to_people_who_share_two_rooms() -> None:
    talk = Talk()
    talk.people("ada", "bob", "cleo", "dora")
    for conn, rooms in ((1, ("lobby", "tea")), (2, ("lobby", "tea")), (3, ("tea",))):
        for room in rooms:
            talk.do(conn, join(room))
    talk.do(4, join("den"))
    assert talk.do(1, nick("countess")) == {
        1: [notices.Renamed("ada", "countess", own=True)],
        2: [notices.Renamed("ada", "countess")],
        3: [notices.Renamed("ada", "countess")],
    }


@pytest.mark.parametrize("taken", ["ada", "ADA", "аdа", "ａｄａ"])
def test_a_nick_that_looks_like_one_in_use_is_refused(taken: str) -> None:
    talk = Talk()
    talk.people("ada", "bob")
    assert reasons(talk.do(2, nick(taken))) == {2: ["nick-in-use"]}


def test_a_nick_may_change_its_case_and_be_told() -> None:
    talk = Talk()
    talk.people("ada", "bob")
    for conn in (1, 2):
        talk.do(conn, join("lobby"))
    assert talk.do(1, nick("Ada")) == {
        1: [notices.Renamed("ada", "Ada", own=True)],
        2: [notices.Renamed("ada", "Ada")],
    }


def test_taking_ones_own_nick_again_is_told_to_nobody_else() -> None:
    talk = Talk()
    talk.people("ada", "bob")
    for conn in (1, 2):
        talk.do(conn, join("lobby"))
    assert talk.do(1, nick("ada")) == {1: [notices.Renamed("ada", "ada", own=True)]}


def test_a_guests_nick_can_only_be_given() -> None:
    talk = Talk()
    talk.people("ada")
    assert reasons(talk.do(1, events.Nick("guest-7", "guest-7"))) == {1: ["reserved-name"]}
    assert talk.do(1, events.Disconnect("")) == {}


# ── Rooms ────────────────────────────────────────────────────────────────────────────────────


def test_who_joins_is_shown_the_room_and_the_others_are_told() -> None:
    talk = Talk()
    talk.people("ada", "bob")
    talk.do(1, join("Lobby"))
    talk.do(1, events.Topic("Lobby", "tea at four", "lobby"))
    topic_at = at(talk)
    talk.do(1, say("Lobby", "hello"))
    first = talk.began["lobby"] + 1
    hello = notices.Said("Lobby", "ada", "hello", first, at(talk))
    assert talk.do(2, join("lobby")) == {
        1: [notices.Joined("Lobby", "bob", first, at(talk))],
        2: [
            notices.Entered(
                "Lobby",
                ("ada", "bob"),
                2,
                first,
                at(talk),
                "tea at four",
                (hello,),
                topic_nick="ada",
                topic_at=topic_at,
            ),
        ],
    }


def test_joining_again_only_shows_the_room_without_its_history() -> None:
    talk = Talk()
    talk.people("ada", "bob")
    for conn in (1, 2):
        talk.do(conn, join("lobby"))
    talk.do(1, say("lobby", "hello"))
    last = talk.began["lobby"] + 1
    assert talk.do(2, join("LOBBY")) == {
        2: [notices.Entered("lobby", ("ada", "bob"), 2, last, at(talk), again=True)]
    }


def test_a_room_vanishes_with_its_last_member_and_goes_on_above_its_numbers() -> None:
    talk = Talk()
    talk.people("ada")
    talk.do(1, join("lobby"))
    talk.do(1, say("lobby", "hello"))
    last = talk.began["lobby"] + 1
    assert talk.do(1, events.Out("lobby", "lobby")) == {1: [notices.Left("lobby", "ada", own=True)]}
    assert talk.state.room("lobby") is None
    entered = talk.do(1, join("LOBBY"))
    assert talk.began["lobby"] == talk.state.seq > last
    assert entered == {1: [notices.Entered("LOBBY", ("ada",), 1, talk.began["lobby"], at(talk))]}


def test_why_somebody_leaves_is_told_to_all_who_were_there() -> None:
    talk = Talk()
    talk.people("ada", "bob", "cleo")
    for conn in (1, 2):
        talk.do(conn, join("lobby"))
    assert talk.do(1, events.Out("lobby", "lobby", "tea time")) == {
        1: [notices.Left("lobby", "ada", own=True, reason="tea time")],
        2: [notices.Left("lobby", "ada", reason="tea time")],
    }


def test_a_departure_removes_the_rooms_that_it_empties_and_no_others() -> None:
    talk = Talk()
    talk.people("ada", "bob")
    talk.do(1, join("lobby"))
    talk.do(1, join("tea"))
    talk.do(2, join("tea"))
    talk.do(1, events.Quit())
    assert [room.name for room in talk.state.rooms()] == ["tea"]


def test_too_many_rooms_is_refused_until_one_is_left() -> None:
    talk = Talk(ChatState(limits=StateLimits(rooms_per_person=2)))
    talk.people("ada")
    talk.do(1, join("lobby"))
    talk.do(1, join("tea"))
    assert reasons(talk.do(1, join("den"))) == {1: ["too-many-rooms"]}
    assert reasons(talk.do(1, join("tea"))) == {1: []}
    talk.do(1, events.Out("tea", "tea"))
    assert reasons(talk.do(1, join("den"))) == {1: []}


def test_when_the_rooms_are_full_only_those_there_are_can_be_joined() -> None:
    talk = Talk(ChatState(limits=StateLimits(rooms=1)))
    talk.people("ada", "bob")
    talk.do(1, join("lobby"))
    assert reasons(talk.do(2, join("tea"))) == {2: ["rooms-full"]}
    assert reasons(talk.do(2, join("lobby"))) == {1: [], 2: []}


@pytest.mark.parametrize(
    ("event", "request_tag"),
    [
        (say("tea", "hi", "7"), "say"),
        (events.Topic("tea", "x", "tea"), "topic"),
        (events.Out("tea", "tea"), "out"),
    ],
)
def test_only_members_may_talk_set_the_topic_and_leave(event: Event, request_tag: str) -> None:
    talk = Talk()
    talk.people("ada", "bob")
    talk.do(2, join("tea"))
    text = "you are not in tea; /join tea first"
    id = event.id if isinstance(event, events.Say) else None
    assert talk.do(1, event) == {1: [Rejected("not-in-room", text, request_tag, id)]}


def test_the_audience_is_the_same_object_for_the_life_of_a_room_and_changes_by_one() -> None:
    talk = Talk()
    talk.people("ada", "bob")
    talk.do(1, join("lobby"))
    room = talk.state.room("lobby")
    assert room is not None
    audience = room.audience
    assert repr(audience) == "Audience((1,))"
    talk.do(2, join("lobby"))
    talk.do(1, nick("countess"))
    assert repr(audience) == "Audience((1, 2))"
    talk.do(1, events.Out("lobby", "lobby"))
    assert repr(audience) == "Audience((2,))"
    assert room.audience is audience


# ── What is said ─────────────────────────────────────────────────────────────────────────────


def test_a_message_goes_to_every_other_member_and_its_author_gets_the_receipt() -> None:
    talk = Talk()
    talk.people("ada", "bob", "cleo")
    for conn in (1, 2):
        talk.do(conn, join("lobby"))
    talk.do(3, join("tea"))
    assert talk.do(1, events.Say("LOBBY", "waves", "a1", emote=True, key="lobby")) == {
        1: [notices.Sent(at(talk), "a1", "lobby", None, talk.began["lobby"] + 1)],
        2: [notices.Said("lobby", "ada", "waves", talk.began["lobby"] + 1, at(talk), emote=True)],
    }


def test_what_no_program_answers_is_said_told_kept_and_taken_back_as_that() -> None:
    talk = Talk()
    talk.people("ada", "bob", "cleo")
    for conn in (1, 2):
        talk.do(conn, events.Join("lobby", "lobby", roles=True))
    seq = talk.began["lobby"] + 1
    talk.do(1, events.Say("lobby", "it rains", key="lobby", notice=True))
    said = notices.Said("lobby", "ada", "it rains", seq, at(talk), notice=True)
    told = talk.do(1, events.Tell("cleo", "psst", key="cleo", notice=True))
    assert told[3] == [notices.Told("ada", "psst", 1, at(talk), notice=True, entry=talk.state.seq)]
    talk.state = restored(talk.state.snapshot())
    (entered,) = talk.do(3, join("lobby"))[3]
    assert isinstance(entered, notices.Entered)
    assert entered.history == (said,)
    talk.do(1, events.Redact("lobby", seq, key="lobby"))
    room = talk.state.room("lobby")
    assert room is not None
    (left,) = room.history
    assert left == notices.Said("lobby", "ada", "", seq, said.at, emote=True, redacted=True)


def test_a_message_and_its_receipt_are_one_broadcast() -> None:
    talk = Talk()
    talk.people("ada")
    talk.do(1, join("lobby"))
    (action,) = talk.state.handle(entry(99, 1, say("lobby", "hello")))
    assert isinstance(action, Broadcast)
    assert action.author == 1


def test_each_room_counts_its_own_messages() -> None:
    talk = Talk()
    talk.people("ada")
    seqs = []
    for room in ("lobby", "tea"):
        talk.do(1, join(room))
    for room in ("lobby", "tea", "lobby"):
        (sent,) = talk.do(1, say(room, "x"))[1]
        assert isinstance(sent, notices.Sent)
        assert sent.seq is not None
        seqs.append((sent.room, sent.seq - talk.began[room]))
    assert seqs == [("lobby", 1), ("tea", 1), ("lobby", 2)]


def test_a_direct_message_reaches_one_person_and_its_author_gets_the_receipt() -> None:
    talk = Talk()
    talk.people("ada", "Bob", "cleo")
    assert talk.do(1, events.Tell("bob", "psst", "t1", "bob")) == {
        2: [notices.Told("ada", "psst", 1, at(talk), entry=talk.state.seq)],
        1: [notices.Sent(at(talk), "t1", None, "Bob", entry=talk.state.seq)],
    }


def told_while_away() -> tuple[Talk, notices.Sent]:
    """bob, whose connection was lost, is told something by ada, who has the receipt."""
    talk = Talk()
    for conn, called in ((1, "ada"), (2, "bob")):
        talk.do(conn, events.Connect(called))
        talk.do(conn, nick(called))
    talk.do(2, events.Disconnect("lost"))
    (sent,) = talk.do(1, events.Tell("bob", "psst", "t1", "bob"))[1]
    assert isinstance(sent, notices.Sent)
    return talk, sent


def test_a_direct_message_keeps_its_name_over_a_snapshot_for_all_who_have_it() -> None:
    talk, sent = told_while_away()
    assert sent.entry == talk.state.seq
    talk.state = restored(talk.state.snapshot())
    _, told = talk.do(3, events.Resume("bob", "fresh"))[3]
    assert isinstance(told, notices.Told)
    assert told.entry == sent.entry
    assert talk.do(1, events.Tell("bob", "psst", "t1", "bob")) == {1: [sent]}
    other = talk.do(1, events.Tell("bob", "psst", "t2", "bob"))[1][0]
    assert isinstance(other, notices.Sent)
    assert other.entry > sent.entry


def test_a_direct_message_of_an_older_snapshot_has_no_name() -> None:
    talk, sent = told_while_away()
    snapshot, named = talk.state.snapshot(), b',"entry":%d' % sent.entry
    assert snapshot.count(named) == 2
    talk.state = restored(snapshot.replace(named, b""))
    _, told = talk.do(3, events.Resume("bob", "fresh"))[3]
    assert isinstance(told, notices.Told)
    assert (told.text, told.entry) == ("psst", 0)


def test_a_direct_message_to_oneself_comes_before_its_receipt() -> None:
    talk = Talk()
    talk.people("ada")
    assert talk.do(1, events.Tell("ada", "note", None, "ada")) == {
        1: [
            notices.Told("ada", "note", 1, at(talk), entry=talk.state.seq),
            notices.Sent(at(talk), nick="ada", entry=talk.state.seq),
        ]
    }


def test_a_direct_message_to_nobody_is_refused() -> None:
    talk = Talk()
    talk.people("ada")
    assert talk.do(1, events.Tell("zoe", "psst", "t1", "zoe")) == {
        1: [Rejected("no-such-nick", "there is nobody called zoe", "tell", "t1")]
    }


def test_a_topic_is_told_to_all_and_an_empty_one_clears_it() -> None:
    talk = Talk()
    talk.people("ada", "bob")
    for conn in (1, 2):
        talk.do(conn, join("lobby"))
    told = talk.do(1, events.Topic("lobby", "tea at four", "lobby"))
    news = notices.TopicSet("lobby", "tea at four", "ada", talk.began["lobby"], at(talk))
    assert told == {1: [news], 2: [news]}
    told = talk.do(2, events.Topic("lobby", "", "lobby"))
    news = notices.TopicSet("lobby", "", "bob", talk.began["lobby"], at(talk))
    assert told == {1: [news], 2: [news]}


# ── History ──────────────────────────────────────────────────────────────────────────────────


def history(talk: Talk) -> list[str]:
    room = talk.state.room("lobby")
    assert room is not None
    return [said.text for said in room.history]


def test_history_is_bounded_by_the_number_of_messages() -> None:
    talk = Talk(ChatState(limits=StateLimits(history_messages=3)))
    talk.people("ada")
    talk.do(1, join("lobby"))
    for text in "abcd":
        talk.do(1, say("lobby", text))
    assert history(talk) == ["b", "c", "d"]


def test_history_is_bounded_by_its_characters() -> None:
    talk = Talk(ChatState(limits=StateLimits(history_chars=6)))
    talk.people("ada")
    talk.do(1, join("lobby"))
    kept = []
    for text in ("aaa", "bbb", "c", "dddddd", "eeeeeee"):
        talk.do(1, say("lobby", text))
        kept.append(history(talk))
    assert kept == [["aaa"], ["aaa", "bbb"], ["bbb", "c"], ["dddddd"], []]


def test_by_default_two_hundred_messages_are_kept_and_twenty_given_on_entering() -> None:
    talk = Talk()
    talk.people("ada", "bob")
    talk.do(1, join("lobby"))
    for number in range(1, 206):
        talk.do(1, say("lobby", str(number)))
    assert history(talk) == [str(number) for number in range(6, 206)]
    (entered,) = talk.do(2, join("lobby"))[2]
    assert isinstance(entered, notices.Entered)
    numbers = [said.seq - talk.began["lobby"] for said in entered.history]
    assert numbers == list(range(186, 206))


@pytest.mark.parametrize(
    ("before", "limit", "seqs"),
    [
        (None, 2, [5, 6]),
        (None, 99, [3, 4, 5, 6]),
        (None, 0, []),
        (None, -1, []),
        (5, 1, [4]),
        (5, 99, [3, 4]),
        (3, 99, []),
        (1, 99, []),
        (-(2**70), 99, []),
        (7, 2, [5, 6]),
        (2**70, 2**70, [3, 4, 5, 6]),
    ],
)
def test_pages_of_history(before: int | None, limit: int, seqs: list[int]) -> None:
    talk = Talk(ChatState(limits=StateLimits(history_messages=4)))
    talk.people("ada")
    talk.do(1, join("lobby"))
    for text in "abcdef":
        talk.do(1, say("lobby", text))
    room = talk.state.room("lobby")
    assert room is not None
    before = None if before is None else talk.began["lobby"] + before
    assert [said.seq - talk.began["lobby"] for said in room.messages(before, limit)] == seqs


# ── Lists, and the state as a value ──────────────────────────────────────────────────────────


def test_rooms_are_listed_fullest_first_then_by_name_and_the_rest_is_counted() -> None:
    talk = Talk()
    talk.people("ada", "bob")
    for room in ("tea", "den", "lobby"):
        talk.do(1, join(room))
    talk.do(2, join("tea"))
    talk.do(2, events.Topic("tea", "at four", "tea"))
    assert room_list(talk.state, 2) == notices.RoomList(
        (notices.RoomInfo("tea", 2, "at four"), notices.RoomInfo("den", 1)), more=1, people=2
    )
    assert room_list(talk.state, 3).more == 0


def test_a_restored_state_goes_on_as_if_nothing_had_been() -> None:
    talk = Talk(ChatState(epoch="e", limits=StateLimits(history_chars=10, rooms=3)))
    talk.people("ada", "bob", "cleo")
    talk.do(3, events.Quit())
    for conn in (1, 2):
        talk.do(conn, join("lobby"))
    talk.do(1, events.Topic("lobby", "tea", "lobby"))
    talk.do(1, say("lobby", "12345"))
    other = Talk(restored(talk.state.snapshot()))
    assert other.state.limits == talk.state.limits
    for conn, event in (
        (2, say("lobby", "123456")),
        (4, events.Connect()),
        (4, join("lobby")),
        (1, nick("countess")),
        (2, events.Out("lobby", "lobby")),
    ):
        assert other.do(conn, event) == talk.do(conn, event)
    assert other.state.digest() == talk.state.digest()


def test_a_digest_names_one_state() -> None:
    talk, other = Talk(), Talk()
    talk.people("ada")
    other.people("ada")
    assert talk.state.digest() == other.state.digest()
    other.do(1, join("lobby"))
    assert talk.state.digest() != other.state.digest()
    assert len(talk.state.digest()) == 64


def test_a_snapshot_that_refers_to_nobody_is_refused() -> None:
    talk = Talk()
    talk.people("ada")
    talk.do(1, join("lobby"))
    snapshot = talk.state.snapshot()
    broken = snapshot.replace(b'"lobby","lobby",[1]', b'"lobby","lobby",[2]')
    assert broken != snapshot
    with pytest.raises(ValueError, match="refers to 2, which it does not hold"):
        ChatState.restore(broken)


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b'{"epoch": 1}', b"\xff"])
def test_what_is_no_snapshot_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        ChatState.restore(data)


def test_the_time_of_an_entry_is_the_time_of_what_came_of_it() -> None:
    state = ChatState()
    state.handle(Entry(1, 5, 1, events.Connect()))
    state.handle(Entry(2, 6, 1, join("lobby")))
    (told,) = state.handle(Entry(3, 77, 1, say("lobby", "x")))
    assert isinstance(told, Broadcast)
    assert isinstance(told.payload, notices.Said)
    assert told.payload.at == 77
    (answer,) = state.handle(Entry(4, 78, 1, say("tea", "x")))
    assert isinstance(answer, Send)


# ── Sessions ─────────────────────────────────────────────────────────────────────────────────


def with_session(limits: StateLimits | None = None) -> Talk:
    """Ada on connection 1, with session "s", and Bob on 2 are in the lobby."""
    talk = Talk(ChatState(limits=limits))
    for conn, session, typed in ((1, "s", "ada"), (2, "", "bob")):
        talk.do(conn, events.Connect(session))
        talk.do(conn, nick(typed))
        talk.do(conn, join("lobby"))
    return talk


def resumed(talk: Talk, conn: int, *, seen: int | None = None, told: int = 0) -> list[Notice]:
    """What the session "s" is told when it goes on, having seen so many messages of the lobby."""
    numbers = {} if seen is None else {"lobby": talk.began["lobby"] + seen}
    heard = talk.do(conn, events.Resume("s", "fresh", numbers, told))[conn]
    assert isinstance(heard[0], notices.Resumed), heard
    return heard[1:]


def texts(heard: list[Notice]) -> list[str]:
    """The texts of messages, or where a gap ends."""
    return [
        f"gap before {notice.oldest}"
        if isinstance(notice, notices.Gap)
        else str(getattr(notice, "text", notice))
        for notice in heard
    ]


def test_a_lost_session_stays_silently_in_its_rooms() -> None:
    talk = with_session()
    assert talk.do(1, events.Disconnect("connection lost")) == {}
    assert talk.state.people == 1
    room = talk.state.room("lobby")
    assert room is not None
    assert (room.nicks(), list(room.audience.conns)) == (("ada", "bob"), [2])
    assert reasons(talk.do(2, nick("ada"))) == {2: ["nick-in-use"]}


def test_a_resumed_session_is_told_its_rooms_and_goes_on_on_the_new_connection() -> None:
    talk = with_session()
    talk.do(1, events.Topic("lobby", "tea", "lobby"))
    topic_at = at(talk)
    talk.do(1, events.Disconnect("connection lost"))
    last = talk.began["lobby"]
    members = ("ada", "bob")
    lobby = notices.RoomState("lobby", members, 2, last, "tea", topic_nick="ada", topic_at=topic_at)
    assert talk.do(3, events.Resume("s", "fresh", {"lobby": last})) == {
        3: [notices.Resumed("ada", (lobby,), "0")]
    }
    assert sorted(talk.do(2, say("lobby", "hi"))) == [2, 3]
    assert talk.do(1, say("lobby", "I am nobody now")) == {}


def test_a_resumed_session_is_sent_exactly_what_it_has_not_seen() -> None:
    for seen in range(4):
        talk = with_session()
        talk.do(1, events.Disconnect("connection lost"))
        for text in "abc":
            talk.do(2, say("lobby", text))
        assert texts(resumed(talk, 3, seen=seen)) == list("abc")[seen:]


def test_what_the_history_has_dropped_is_told_as_a_gap_before_the_rest() -> None:
    talk = with_session(StateLimits(history_messages=2))
    talk.do(1, events.Disconnect("connection lost"))
    for text in "abcd":
        talk.do(2, say("lobby", text))
    third = talk.began["lobby"] + 3
    heard = resumed(talk, 3, seen=1)
    assert heard[0] == notices.Gap("lobby", third)
    assert texts(heard[1:]) == ["c", "d"]
    assert texts(resumed(talk, 4, seen=2)) == ["c", "d"]


def test_when_nothing_is_kept_there_is_only_the_gap() -> None:
    talk = with_session(StateLimits(history_messages=0))
    talk.do(1, events.Disconnect("connection lost"))
    talk.do(2, say("lobby", "a"))
    assert resumed(talk, 3, seen=0) == [notices.Gap("lobby", talk.began["lobby"] + 2)]


@pytest.mark.parametrize("seen", [None, -7, -(2**70)])
def test_who_names_no_number_is_sent_everything_since_it_joined(seen: int | None) -> None:
    talk = with_session()
    talk.do(2, say("lobby", "before"))
    talk.do(1, events.Out("lobby", "lobby"))
    talk.do(2, say("lobby", "while it was out"))
    talk.do(1, join("lobby"))
    talk.do(1, events.Disconnect("connection lost"))
    talk.do(2, say("lobby", "after"))
    assert texts(resumed(talk, 3, seen=seen)) == ["after"]


def test_what_was_seen_of_an_earlier_life_of_a_room_is_not_taken_for_the_new_one() -> None:
    talk = with_session(StateLimits(history_messages=1))
    talk.do(1, say("lobby", "old"))
    seen = {"lobby": talk.began["lobby"] + 1}
    for conn in (2, 1):
        talk.do(conn, events.Out("lobby", "lobby"))
    talk.do(1, join("lobby"))
    talk.do(1, say("lobby", "lost"))
    talk.do(1, say("lobby", "new"))
    talk.do(1, events.Disconnect("connection lost"))
    _, gap, said = talk.do(3, events.Resume("s", "fresh", seen))[3]
    assert gap == notices.Gap("lobby", talk.began["lobby"] + 2)
    assert texts([said]) == ["new"]


def test_who_claims_to_have_seen_more_than_there_is_misses_nothing() -> None:
    talk = with_session()
    talk.do(2, say("lobby", "a"))
    assert resumed(talk, 3, seen=2**70, told=2**70) == []


def test_a_room_that_is_named_but_not_joined_tells_nothing() -> None:
    talk = with_session()
    talk.do(2, join("den"))
    talk.do(2, say("den", "secret"))
    talk.do(1, events.Disconnect("connection lost"))
    heard = talk.do(3, events.Resume("s", "fresh", {"den": 0, "nowhere": 0}))[3]
    assert [type(notice) for notice in heard] == [notices.Resumed]


def test_its_own_messages_come_with_their_ids_in_a_replay() -> None:
    talk = with_session()
    talk.do(1, say("lobby", "mine", "m1"))
    talk.do(1, say("lobby", "no id"))
    talk.do(1, events.Disconnect("connection lost"))
    talk.do(2, say("lobby", "theirs", "m1"))
    ids = [getattr(notice, "id", None) for notice in resumed(talk, 3, seen=0)]
    assert ids == ["m1", None, None]


def test_taking_a_session_over_closes_the_older_connection() -> None:
    talk = with_session()
    told = talk.do(3, events.Resume("s", "fresh", {"lobby": talk.began["lobby"]}))
    assert told[1] == [notices.Closing("this session was resumed on another connection")]
    assert talk.closed == [1]
    assert [type(notice) for notice in told[3]] == [notices.Resumed]
    assert talk.do(1, events.Disconnect("connection lost")) == {}
    assert talk.state.people == 2


def test_a_session_that_there_is_not_is_a_new_one() -> None:
    talk = with_session()
    assert talk.do(3, events.Resume("other", "fresh")) == {3: [notices.Welcome("guest-1", "0")]}
    talk.do(3, events.Disconnect("connection lost"))
    assert talk.state.away("fresh") is not None
    assert talk.state.away("other") is None


def test_a_session_that_somebody_holds_is_not_opened_again() -> None:
    talk = with_session()
    talk.do(3, events.Connect("s"))
    talk.do(3, events.Disconnect("connection lost"))
    assert talk.state.away("s") is None
    assert [type(notice) for notice in resumed(talk, 4, seen=0)] == []


@pytest.mark.parametrize(
    "event", [events.Connect("x"), events.Resume("s", "x"), events.Expire("s", "")]
)
def test_somebody_who_is_there_cannot_connect_resume_or_expire(event: Event) -> None:
    talk = with_session()
    assert talk.do(2, event) == talk.do(1, event) == {}
    assert talk.state.people == 2


def test_a_session_that_expires_is_gone_for_its_neighbours() -> None:
    talk = with_session()
    talk.do(1, events.Disconnect("connection lost"))
    assert talk.do(1, events.Expire("s", "connection lost")) == {
        2: [notices.Gone("ada", "connection lost")]
    }
    assert talk.state.away("s") is None
    assert talk.do(2, nick("ada"))[2] == [notices.Renamed("bob", "ada", own=True)]
    assert talk.do(1, events.Expire("s", "connection lost")) == {}


def test_the_grace_of_an_earlier_connection_does_not_end_a_session() -> None:
    talk = with_session()
    talk.do(1, events.Disconnect("connection lost"))
    resumed(talk, 3, seen=0)
    assert talk.do(1, events.Expire("s", "connection lost")) == {}
    talk.do(3, events.Disconnect("connection lost"))
    assert talk.do(1, events.Expire("s", "connection lost")) == {}
    assert talk.state.away("s") is not None
    assert talk.do(3, events.Expire("s", "x")) == {2: [notices.Gone("ada", "x")]}


def test_quitting_ends_a_session_at_once() -> None:
    talk = with_session()
    assert talk.do(1, events.Quit("bye"))[2] == [notices.Gone("ada", "bye")]
    assert talk.do(3, events.Resume("s", "fresh")) == {3: [notices.Welcome("guest-1", "0")]}


def test_beyond_the_limit_the_session_that_is_away_longest_ends() -> None:
    talk = Talk(ChatState(limits=StateLimits(away=2)))
    for conn in (1, 2, 3, 4):
        talk.do(conn, events.Connect(f"s{conn}"))
        talk.do(conn, join("lobby"))
    talk.do(2, events.Disconnect("lost"))
    talk.do(1, events.Disconnect("lost"))
    assert talk.do(3, events.Disconnect("lost")) == {4: [notices.Gone("guest-2", "lost")]}
    assert [talk.state.away(f"s{conn}") is not None for conn in (1, 2, 3)] == [True, False, True]


def test_the_same_id_again_gives_the_same_receipt_and_says_nothing() -> None:
    talk = with_session()
    first = talk.do(1, say("lobby", "hello", "m1"))[1]
    assert talk.do(1, say("lobby", "hello", "m1")) == {1: first}
    told = talk.do(1, events.Tell("bob", "psst", "m2", "bob"))
    assert talk.do(1, events.Tell("bob", "psst", "m2", "bob")) == {1: told[1]}
    talk.do(1, events.Disconnect("connection lost"))
    resumed(talk, 3, seen=1)
    talk.do(3, events.Out("lobby", "lobby"))
    assert talk.do(3, say("lobby", "hello", "m1")) == {3: first}
    assert history(talk) == ["hello"]


def test_ids_are_each_persons_own() -> None:
    talk = with_session()
    talk.do(1, say("lobby", "hers", "m1"))
    talk.do(2, say("lobby", "his", "m1"))
    assert history(talk) == ["hers", "his"]


def test_what_was_refused_can_be_said_again_with_its_id() -> None:
    talk = with_session()
    assert reasons(talk.do(1, events.Tell("cleo", "psst", "m1", "cleo"))) == {1: ["no-such-nick"]}
    assert reasons(talk.do(1, say("den", "hi", "m2"))) == {1: ["not-in-room"]}
    talk.do(2, nick("cleo"))
    talk.do(1, join("den"))
    assert isinstance(talk.do(1, events.Tell("cleo", "psst", "m1", "cleo"))[1][0], notices.Sent)
    assert isinstance(talk.do(1, say("den", "hi", "m2"))[1][0], notices.Sent)


def test_twice_as_many_ids_are_remembered_as_may_be_unacknowledged() -> None:
    talk = with_session(StateLimits(receipts=2))
    for id in "abcde":
        talk.do(1, say("lobby", id, id))
    for id in "bcdea":
        talk.do(1, say("lobby", id, id))
    assert history(talk) == ["a", "b", "c", "d", "e", "a"]


def test_direct_messages_to_a_session_that_is_away_wait_for_it() -> None:
    talk = with_session()
    talk.do(2, events.Tell("ada", "one", None, "ada"))
    talk.do(1, events.Disconnect("connection lost"))
    assert list(talk.do(2, events.Tell("ada", "two", "t2", "ada"))) == [2]
    assert texts(resumed(talk, 3, seen=0, told=0)) == ["one", "two"]
    assert texts(resumed(talk, 4, seen=0, told=1)) == ["two"]


def test_direct_messages_that_were_seen_are_kept_no_longer() -> None:
    talk = with_session()
    for text in ("one", "two"):
        talk.do(2, events.Tell("ada", text, None, "ada"))
    assert resumed(talk, 3, seen=0, told=2) == []
    assert resumed(talk, 4, seen=0, told=0) == [notices.Gap("", 3)]


def test_the_inbox_is_bounded_in_characters_as_a_history_is() -> None:
    talk = with_session(StateLimits(inbox_chars=5))
    talk.do(1, events.Disconnect("connection lost"))
    for text in ("abc", "de", "f"):
        talk.do(2, events.Tell("ada", text, None, "ada"))
    assert texts(resumed(talk, 3, seen=0, told=1)) == ["de", "f"]


def test_who_is_away_too_long_for_the_bound_is_gone_for_its_own_reason() -> None:
    talk = Talk(ChatState(limits=StateLimits(away=1)))
    for conn in (1, 2, 3):
        talk.do(conn, events.Connect(f"session-{conn}"))
        talk.do(conn, join("lobby"))
    talk.do(1, events.Disconnect("read too slowly"))
    assert talk.do(2, events.Disconnect("ping timeout")) == {
        3: [notices.Gone("guest-1", "read too slowly")]
    }


def test_what_is_proposed_twice_by_a_connection_counts_once() -> None:
    talk = Talk()
    talk.people("ada", "bob")
    for conn in (1, 2):
        talk.do(conn, join("lobby"))
    hello = say("lobby", "hello")
    assert deliver(talk.state.handle(entry(100, 1, hello, 7)))[0].keys() == {1, 2}
    assert talk.state.handle(entry(101, 1, hello, 7)) == []
    assert deliver(talk.state.handle(entry(102, 1, hello, 8)))[0].keys() == {1, 2}


def test_a_lapse_takes_away_the_connections_of_a_boot_and_no_others() -> None:
    talk = Talk()
    conns = [connection_number(node, boot, 1) for node, boot in ((3, 1), (3, 2), (4, 1))]
    for conn in conns:
        talk.do(conn, events.Connect(f"session-{conn}" if conn == conns[1] else ""))
        talk.do(conn, join("lobby"))
    early = connection_number(3, 2, 2)
    talk.do(early, events.Connect())
    told = talk.do(0, events.Lapse(3, 2, 1))
    assert told == {conns[2]: [notices.Gone("guest-1", "the server restarted")]}
    assert talk.state.away(f"session-{conns[1]}") is not None
    assert talk.state.person(early) is not None


def test_beyond_the_bound_of_the_inbox_the_oldest_are_a_gap() -> None:
    talk = with_session(StateLimits(inbox=2))
    talk.do(1, events.Disconnect("connection lost"))
    for text in "abcd":
        talk.do(2, events.Tell("ada", text, None, "ada"))
    heard = resumed(talk, 3, seen=0, told=1)
    assert heard[0] == notices.Gap("", 3)
    assert texts(heard[1:]) == ["c", "d"]


def test_direct_messages_are_kept_only_for_who_can_resume() -> None:
    talk = with_session()
    talk.do(1, events.Tell("bob", "psst", None, "bob"))
    bob = talk.state.person(2)
    assert bob is not None
    assert (bob.told, bob.inbox) == (1, None)


def test_sessions_are_part_of_a_snapshot() -> None:
    talk = with_session(StateLimits(receipts=3, inbox=2, away=2))
    talk.do(1, say("lobby", "mine", "m1"))
    talk.do(1, events.Disconnect("connection lost"))
    talk.do(2, events.Tell("ada", "psst", "m1", "ada"))
    talk.do(3, events.Connect("s3"))
    talk.do(3, events.Disconnect("lost"))
    other = Talk(restored(talk.state.snapshot()))
    rest: tuple[tuple[int, Event], ...] = (
        (4, events.Connect("s4")),
        (2, events.Tell("ada", "psst", "m1", "ada")),
        (4, events.Disconnect("lost")),
        (5, events.Resume("s", "s5")),
        (6, events.Resume("s3", "s6")),
        (6, say("lobby", "mine", "m1")),
    )
    for conn, event in rest:
        assert other.do(conn, event) == talk.do(conn, event)
    assert other.state.digest() == talk.state.digest()


def test_a_snapshot_with_an_unknown_session_away_is_refused() -> None:
    talk = with_session()
    talk.do(1, events.Disconnect("lost"))
    broken = talk.state.snapshot().replace(b'"away":["s"]', b'"away":["x"]')
    with pytest.raises(ValueError, match="refers to 'x'"):
        ChatState.restore(broken)
