"""Requests: which answer is whose, and what is asked again over another connection."""

from __future__ import annotations

import pytest

from tcpchat_core import (
    ClientProtocol,
    LineTooLongError,
    LocalError,
    Notice,
    Request,
    TooManyRequestsError,
    events,
    notices,
)
from tcpchat_core.client import Heard, PendingRequest, Requests
from tcpchat_core.dialects.jsonl import JSON, decode_request
from tcpchat_core.notices import Rejected
from tests.core.harness import MemoryServer

WELCOME = notices.Welcome("ada", "0", token="secret")
LOBBY = notices.Entered("lobby", ("ada",), 1, 4, 0)
RESUMED = notices.Resumed("ada", (notices.RoomState("lobby", ("ada",), 1, 4),), "0")


def told(requests: Requests, *heard: Notice) -> tuple[list[Heard], list[Request]]:
    """Let it hear notices: what it makes of them, and what it asks then."""
    made, data = requests.receive_data(b"".join(map(JSON.encode, heard)))
    return made, asks(data)


def asks(data: bytes) -> list[Request]:
    """The requests in what is to be sent."""
    asked = [decode_request(line) for line in data.splitlines()]
    return [request for request in asked if request and not isinstance(request, Rejected)]


def ask(requests: Requests, request: Request) -> PendingRequest:
    """Ask what goes out at once."""
    pending, data = requests.ask(request)
    assert asks(data) == [pending.request]
    return pending


def in_lobby() -> Requests:
    """Those of a client called ada that is in the lobby."""
    requests = Requests(ClientProtocol())
    requests.hello()
    told(requests, WELCOME, LOBBY)
    return requests


def reconnected(requests: Requests, *notices: Notice) -> tuple[list[Heard], list[Request]]:
    """Lose the connection and hear that over the next one."""
    requests.connection_lost()
    requests.hello()
    return told(requests, *notices)


# ── Answers ──────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("request_", "answer"),
    [
        (events.Nick("eve"), notices.Renamed("ada", "eve", own=True)),
        (events.Join("den"), notices.Entered("den", ("ada",), 1, 0, 0)),
        (events.Out("lobby"), notices.Left("lobby", "ada", own=True)),
        (events.Topic("lobby", "tea"), notices.TopicSet("lobby", "tea", "ada", 4, 0)),
        (events.Topic("lobby"), notices.TopicSet("lobby", "tea", "bob", 4, 0)),
        (events.Kick("lobby", "bob"), notices.Left("lobby", "bob", by="ada", at=1)),
        (
            events.Restrict("lobby", "bob", "ban"),
            notices.Left("lobby", "bob", by="ada", at=1, until=2),
        ),
        (
            events.Restrict("lobby", "bob", "ban"),
            notices.Restricted("lobby", "bob", "ban", 2, "ada", 1),
        ),
        (
            events.Restrict("lobby", "bob", "mute"),
            notices.Restricted("lobby", "bob", "mute", 2, "ada", 1),
        ),
        (events.Lift("lobby", "bob", "mute"), notices.Lifted("lobby", "bob", "mute", "ada")),
        (events.Kick("", "bob", server=True), notices.Expelled("bob", "ada", 1)),
        (events.Restrict("", "bob", "ban", server=True), notices.Expelled("bob", "ada", 1, "", 2)),
        (
            events.Restrict("", "bob", "ban", server=True),
            notices.Restricted("", "bob", "ban", 2, "ada", 1),
        ),
        (events.Lift("", "bob", "ban", server=True), notices.Lifted("", "bob", "ban", "ada")),
        (
            events.Role("lobby", "bob", "moderator"),
            notices.RoleSet("lobby", "bob", "moderator", "ada"),
        ),
        (events.RoomMode("lobby", private=True), notices.ModeSet("lobby", "ada", private=True)),
        (events.Redact("lobby"), notices.Redacted("lobby", 5, "ada", 1, "ada")),
        (events.Invite("lobby", "bob"), notices.Invited("lobby", "ada", 2, 1, "bob")),
        (events.Restrictions("lobby"), notices.RestrictionList("lobby", (), 1)),
        (events.Audit(), notices.ActList(())),
        (events.Claim("code"), notices.Claimed("ada", 1, token="made there")),
        (
            events.Restrict("", "bob", "mute", server=True),
            notices.Restricted("", "bob", "mute", 2, "ada", 1),
        ),
        (events.Quit(), notices.Closing("bye")),
        (events.Rooms(), notices.RoomList(())),
        (events.Who("lobby"), notices.Members("lobby", ("ada",))),
        (events.Whois("bob"), notices.PersonInfo("bob")),
        (events.Whowas("bob"), notices.FormerPeople("bob")),
        (events.Watch(("bob",)), notices.Presence(("bob",))),
        (events.Away("tea time"), notices.AwaySet("ada", "tea time", own=True)),
        (events.Away(), notices.AwaySet("ada", own=True)),
        (events.SetName("Ada"), notices.NameSet("ada", "Ada", own=True)),
        (events.SetName(), notices.NameSet("ada", own=True)),
        (events.Whois("bob"), Rejected("no-such-nick", "", "whois")),
        (events.History("lobby"), notices.HistoryPage("lobby", ())),
        (events.Ping("7"), notices.Ponged("7")),
        (events.Ping(), notices.Ponged()),
        (events.Help(), notices.HelpText(())),
        (events.Say("lobby", "hi"), notices.Sent(0, "1", "lobby", None, 5)),
        (events.Say("lobby", "hi"), notices.Said("lobby", "ada", "hi", 5, 0, id="1")),
        (events.Say("lobby", "hi", "mine"), notices.Sent(0, "mine", "lobby", None, 5)),
        (events.Tell("bob", "hi"), notices.Sent(0, "1", None, "bob")),
        (events.Say("lobby", "hi"), Rejected("too-long", "", "say", "1")),
        (events.Join("den"), Rejected("rooms-full", "", "join")),
        (events.Ping("7"), Rejected("bad-request", "", "ping", "7")),
        (events.Out("den"), Rejected("not-in-room", "", "out")),
    ],
)
def test_an_answer_belongs_to_its_request_once(request_: Request, answer: Notice) -> None:
    requests = in_lobby()
    pending = ask(requests, request_)
    assert told(requests, answer) == ([Heard(answer, pending)], [])
    again, _ = told(requests, answer)
    assert all(heard.answers is None for heard in again)


@pytest.mark.parametrize(
    "other",
    [
        notices.Renamed("bob", "eve"),
        notices.Left("lobby", "bob"),
        notices.TopicSet("lobby", "tea", "bob", 4, 0),
        notices.Left("lobby", "ada", own=True, by="bob", at=1),
        notices.Left("lobby", "bob", by="eve", at=1),
        notices.Left("lobby", "bob", by="ada", at=1, until=2),
        notices.Restricted("lobby", "bob", "mute", 2, "eve", 1),
        notices.Restricted("lobby", "bob", "ban", 2, "ada", 1),
        notices.Restricted("", "bob", "mute", 2, "ada", 1),
        notices.Expelled("bob", "ada", 1),
        notices.Lifted("lobby", "bob", "mute", "eve"),
        notices.Lifted("", "bob", "mute", "ada"),
        notices.ModeSet("lobby", "bob", private=True),
        notices.Invited("lobby", "bob", 2, 1, "ada"),
        notices.Redacted("lobby", 5, "bob", 1, "bob"),
        notices.RoleSet("lobby", "bob", "moderator", "eve"),
        notices.RoleSet("lobby", "bob", "member", "ada"),
        notices.Ponged("8"),
        notices.Joined("lobby", "bob", 4, 0),
        notices.Said("lobby", "bob", "hi", 5, 0),
        Rejected("no-such-nick", "", "tell"),
        Rejected("bad-line", ""),
        notices.Members("lobby", ("ada",)),
    ],
)
def test_what_others_do_is_nobodys_answer(other: Notice) -> None:
    requests = in_lobby()
    for request in (
        events.Nick("eve"),
        events.Out("lobby"),
        events.Topic("lobby", "tea"),
        events.Kick("lobby", "bob"),
        events.Restrict("lobby", "bob", "mute"),
        events.Lift("lobby", "bob", "mute"),
        events.Role("lobby", "bob", "moderator"),
        events.RoomMode("lobby", private=True),
        events.Invite("lobby", "bob"),
        events.Redact("lobby"),
        events.Ping("7"),
        events.Say("lobby", "hi"),
    ):
        ask(requests, request)
    assert told(requests, other) == ([Heard(other)], [])


@pytest.mark.parametrize(
    ("request_", "other", "answer"),
    [
        (
            events.Join("#Den"),
            notices.Entered("lobby", ("ada",), 1, 0, 0),
            notices.Entered("den", ("ada",), 1, 0, 0),
        ),
        (
            events.Out("LOBBY"),
            notices.Left("den", "ada", own=True),
            notices.Left("lobby", "ada", own=True),
        ),
        (
            events.Kick("lobby", "bob"),
            notices.Left("den", "bob", by="ada", at=1),
            notices.Left("lobby", "bob", by="ada", at=1),
        ),
        (
            events.Topic("lobby", "tea"),
            notices.TopicSet("den", "tea", "ada", 4, 0),
            notices.TopicSet("lobby", "tea", "ada", 4, 0),
        ),
        (
            events.RoomMode("lobby", private=True),
            notices.ModeSet("den", "ada", private=True),
            notices.ModeSet("lobby", "ada", private=True),
        ),
        (
            events.Who("a room of a newer server"),
            notices.Members("lobby", ("ada",)),
            notices.Members("a room of a newer server", ("ada",)),
        ),
        (
            events.Watch(("bob",)),
            notices.Presence(("eve",), changed=True),
            notices.Presence(("bob",)),
        ),
        (
            events.Nick("Ada"),  # while its account comes, or somebody comes whose nick it has
            notices.Renamed("ada", "guest-2", own=True),
            notices.Renamed("guest-2", "Ada", own=True),
        ),
    ],
)
def test_what_another_device_of_ones_own_does_elsewhere_is_no_answer(
    request_: Request, other: Notice, answer: Notice
) -> None:
    requests = in_lobby()
    pending = ask(requests, request_)
    assert told(requests, other, answer)[0] == [Heard(other), Heard(answer, pending)]


def test_what_is_asked_of_the_current_room_is_answered_by_whichever_that_is() -> None:
    requests = in_lobby()
    pending = ask(requests, events.Out(""))
    left = notices.Left("lobby", "ada", own=True)
    assert told(requests, left)[0] == [Heard(left, pending)]


@pytest.mark.parametrize("request_", [events.Read("lobby", 4), events.Pong("7"), events.Hello()])
def test_what_has_no_answer_is_not_waited_for(request_: Request) -> None:
    requests = in_lobby()
    with pytest.raises(LocalError, match=r"^nothing answers (read|pong|hello)$"):
        requests.ask(request_)
    assert reconnected(requests, RESUMED)[1] == []


def test_answers_come_in_the_order_of_their_questions() -> None:
    requests = in_lobby()
    first, second, who = (
        ask(requests, request)
        for request in (events.Join("a b"), events.Join("den"), events.Who("lobby"))
    )
    heard, _ = told(
        requests,
        notices.Members("lobby", ()),
        Rejected("bad-name", "", "join"),
        notices.Entered("den", (), 1, 0, 0),
    )
    assert [each.answers for each in heard] == [who, first, second]


def test_a_topic_that_one_sets_is_ones_own_under_the_nick_of_that_moment() -> None:
    requests = in_lobby()
    before = ask(requests, events.Topic("lobby", "tea"))
    nick = ask(requests, events.Nick("eve"))
    after = ask(requests, events.Topic("lobby", "coffee"))
    heard, _ = told(
        requests,
        notices.TopicSet("lobby", "tea", "ada", 4, 0),
        notices.Renamed("ada", "eve", own=True),
        notices.TopicSet("lobby", "gin", "ada", 4, 0),
        notices.TopicSet("lobby", "coffee", "eve", 4, 0),
    )
    assert [each.answers for each in heard] == [before, nick, None, after]


@pytest.mark.parametrize(
    ("request_", "answer"),
    [
        (events.Who("lobby"), notices.Members("lobby", ())),
        (events.Say("lobby", "hi"), notices.Sent(0, "1", "lobby", None, 5)),
    ],
)
def test_what_nobody_waits_for_any_more_is_nobodys_answer(
    request_: Request, answer: Notice
) -> None:
    requests = in_lobby()
    pending = ask(requests, request_)
    for _ in range(2):
        requests.cancel(pending)
    assert told(requests, answer) == ([Heard(answer)], [])


def test_too_many_requests_and_too_long_ones_are_refused_and_not_asked() -> None:
    requests = in_lobby()
    with pytest.raises(LineTooLongError):
        requests.ask(events.Who("x" * 40_000))
    for number in range(1_000):
        assert not requests.is_full
        ask(requests, events.Who(str(number)))
    assert requests.is_full
    with pytest.raises(TooManyRequestsError):
        requests.ask(events.Rooms())
    ask(requests, events.Say("lobby", "what is said has a bound of its own"))
    told(requests, notices.Members("0", ()))
    ask(requests, events.Rooms())


@pytest.mark.parametrize(
    "request_", [events.Claim("code", "", "made here"), events.Login("made here")]
)
def test_by_which_token_one_comes_is_known_where_it_was_made_or_given(request_: Request) -> None:
    requests = in_lobby()
    pending = ask(requests, request_)
    heard, _ = told(requests, notices.Claimed("ada", 1))
    assert heard == [Heard(notices.Claimed("ada", 1, token="made here"), pending)]
    assert requests.protocol.device == "made here"


# ── Connections ──────────────────────────────────────────────────────────────────────────────


def test_what_is_asked_before_the_welcome_is_asked_after_it() -> None:
    requests = Requests(ClientProtocol())
    early, data = requests.ask(events.Join("lobby"))
    assert data == b""
    assert asks(requests.hello()) == [events.Hello()]
    late, data = requests.ask(events.Who("lobby"))
    assert data == b""
    _, asked = told(requests, WELCOME)
    assert asked == [early.request, late.request]
    heard, _ = told(requests, LOBBY, notices.Members("lobby", ()))
    assert [each.answers for each in heard] == [early, late]


def test_what_waits_is_asked_again_in_its_place_and_answered() -> None:
    requests = in_lobby()
    said = ask(requests, events.Say("lobby", "hi"))
    pending = [ask(requests, request) for request in (events.Who("lobby"), events.Out("lobby"))]
    done = ask(requests, events.Rooms())
    told(requests, notices.RoomList(()))
    requests.cancel(ask(requests, events.Help()))
    requests.connection_lost()
    offline, data = requests.ask(events.Join("den"))
    assert data == b""
    _, asked = reconnected(requests, RESUMED)
    assert asked == [said.request, *(each.request for each in pending), offline.request]
    heard, asked = told(
        requests,
        notices.Sent(0, "1", "lobby", None, 5),
        notices.Members("lobby", ()),
        notices.Left("lobby", "ada", own=True),
        notices.Entered("den", (), 1, 0, 0),
        notices.RoomList(()),
    )
    assert [each.answers for each in heard] == [said, *pending, offline, None]
    assert done not in [each.answers for each in heard]
    assert reconnected(requests, RESUMED)[1] == []


def test_what_utf8_cannot_hold_is_asked_again_as_it_was_asked() -> None:
    requests = in_lobby()
    pending, data = requests.ask(events.Topic("lobby", "caf\udce9"))
    asked = [events.Topic("lobby", "caf\ufffd")]
    assert asks(data) == asked
    assert reconnected(requests, RESUMED)[1] == asked
    topic = notices.TopicSet("lobby", "caf\ufffd", "ada", 4, 0)
    assert told(requests, topic)[0] == [Heard(topic, pending)]


def test_what_waits_is_asked_again_over_each_connection_until_it_is_answered() -> None:
    requests = in_lobby()
    pending = ask(requests, events.Who("lobby"))
    requests.hello()  # a connection that is lost before the answer
    for _ in range(3):
        assert reconnected(requests, RESUMED)[1] == [pending.request]


def test_to_be_out_already_is_no_refusal_of_an_out_that_is_asked_again() -> None:
    requests = in_lobby()
    pending = ask(requests, events.Out("lobby"))
    refusal = Rejected("not-in-room", "you are not in lobby", "out")
    heard, _ = reconnected(requests, notices.Resumed("ada", (), "0"), refusal)
    assert heard[-1] == Heard(notices.Left("lobby", "ada", own=True), pending)


@pytest.mark.parametrize("reason", ["not-in-room", "bad-name"])
def test_an_out_that_is_asked_for_the_first_time_can_be_refused(reason: notices.Reason) -> None:
    requests = in_lobby()
    requests.connection_lost()
    pending, _ = requests.ask(events.Out("den"))
    refusal = Rejected(reason, "", "out")
    heard, _ = reconnected(requests, RESUMED, refusal)
    assert heard[-1] == Heard(refusal, pending)


def test_another_refusal_of_an_out_that_is_asked_again_is_one() -> None:
    requests = in_lobby()
    pending = ask(requests, events.Out("lobby"))
    refusal = Rejected("bad-request", "", "out")
    assert reconnected(requests, RESUMED, refusal)[0][-1] == Heard(refusal, pending)


# ── Sessions that are over ───────────────────────────────────────────────────────────────────


def test_where_the_session_is_over_it_goes_back_to_where_it_was_and_asks_what_waits() -> None:
    requests = in_lobby()
    told(requests, notices.Entered("den", ("ada",), 1, 4, 0))
    topic = ask(requests, events.Topic("den", "tea"))
    lost = ask(requests, events.Say("den", "lost"))
    new = notices.Welcome("guest-7", "1", token="other")
    _, asked = reconnected(requests, new)
    assert asked == [
        events.Nick("ada"),
        events.Join("lobby"),
        events.Join("den"),
        topic.request,
    ]
    assert requests.protocol.abandoned == [lost.request]
    heard, _ = told(
        requests,
        notices.Renamed("guest-7", "ada", own=True),
        LOBBY,
        notices.Entered("den", ("ada",), 1, 4, 0),
        notices.TopicSet("den", "tea", "ada", 4, 0),
    )
    assert heard[-1].answers is topic
    assert all(each.answers is not None for each in heard)
    assert reconnected(requests, RESUMED)[1] == []


def test_on_the_way_back_it_may_lose_the_connection_and_the_session_again() -> None:
    requests = in_lobby()
    back = [events.Nick("ada"), events.Join("lobby")]
    assert reconnected(requests, notices.Welcome("guest-7", "1", token="b"))[1] == back
    assert reconnected(requests, notices.Resumed("guest-7", (), "1"))[1] == back
    assert reconnected(requests, notices.Welcome("guest-8", "2", token="c"))[1] == back


def test_what_is_no_name_that_can_be_chosen_is_not_asked_for() -> None:
    requests = Requests(ClientProtocol())
    requests.hello()
    room = "x" * 40_000
    told(requests, notices.Welcome("guest-1", "0", token="a"), notices.Entered(room, (), 1, 0, 0))
    assert reconnected(requests, notices.Welcome("guest-7", "1", token="b"))[1] == []


def test_who_comes_back_to_be_an_account_does_not_ask_for_a_nick_before() -> None:
    requests = in_lobby()
    claim = ask(requests, events.Claim("code", "", "made here"))
    told(requests, notices.Renamed("ada", "zoe", own=True))  # the connection is lost behind that
    _, asked = reconnected(requests, notices.Welcome("guest-1", "1", token="other"))
    assert asked == [events.Join("lobby"), claim.request]


def test_who_comes_back_to_an_account_has_its_nick() -> None:
    requests = in_lobby()
    _, asked = reconnected(requests, notices.Welcome("ada", "1", token="other", account="ada"))
    assert asked == [events.Join("lobby")]


def test_how_far_one_has_read_is_of_the_current_room_or_of_another() -> None:
    server = MemoryServer()
    server.connect(1)
    server.ask(1, events.Hello(), events.Join("Tea"), events.Read("", 1), events.Read("Lobby", 2))
    said = [each.event for each in server.log if isinstance(each.event, events.Read)]
    assert said == [
        events.Read("Tea", 1, "tea", marks=True),
        events.Read("Lobby", 2, "lobby", marks=True),
    ]
