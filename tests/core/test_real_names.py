"""Real names: who hears of one, whose is told to nobody, who is told when it asks, and how long one
lasts.
"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tcpchat_core import ChatState, Propose, ServerProtocol, StateLimits, events, notices
from tcpchat_core.dialects.jsonl import encode_request
from tcpchat_core.names import MAX_REAL_NAME_CHARS, MAX_USER_CHARS
from tcpchat_core.notices import NameSet, Notice, Rejected
from tcpchat_core.sanitize import sanitize
from tests.core.harness import MemoryServer, Talk, joins, nick, restored, say, session
from tests.core.strategies import NASTY_TEXT
from tests.core.test_accounts import Owned, claim, grant, refusals, served
from tests.core.test_moderation import Lobby, mode, restrict
from tests.core.test_server_wide import Looked
from tests.core.test_server_wide import restrict as restrict_everywhere

ADA = events.SetName("Ada Lovelace")
NONE = events.SetName()


def named(typed: str, name: str = "Ada Lovelace", *, own: bool = False) -> NameSet:
    return NameSet(typed, name, own)


def about_names(told: list[Notice]) -> list[Notice]:
    return [notice for notice in told if isinstance(notice, NameSet)]


def comes(token: str, name: str, *, device: str = "", origin: str = "") -> events.Connect:
    return events.Connect(session(token), origin, device, name, "u")


# ── Who hears of it ──────────────────────────────────────────────────────────────────────────


def test_those_who_share_a_room_hear_once_of_another_real_name() -> None:
    talk = Talk()
    talk.people("ada", "bob", "eve")
    for conn in (1, 2):
        talk.do(conn, joins("lobby"))
        talk.do(conn, joins("tea"))
    assert talk.do(1, ADA) == {1: [named("ada", own=True)], 2: [named("ada")]}
    assert talk.do(1, ADA) == {1: [named("ada", own=True)]}
    assert talk.do(1, NONE) == {1: [named("ada", "", own=True)], 2: [named("ada", "")]}
    assert talk.do(3, ADA) == {3: [named("eve", own=True)]}  # in no room


def test_a_room_is_told_the_real_name_of_who_comes_in() -> None:
    talk = Lobby()
    talk.do(3, events.Out("lobby", "lobby"))
    talk.do(3, ADA)
    joined = talk.do(3, joins("lobby"))[1][0]
    assert isinstance(joined, notices.Joined)
    assert joined.name == "Ada Lovelace"


# ── Whose words are not heard ────────────────────────────────────────────────────────────────


def test_a_room_in_which_somebody_may_say_nothing_does_not_hear_its_real_name() -> None:
    talk = Lobby()
    for conn in (2, 3):
        talk.do(conn, joins("tea"))
    talk.do(1, restrict("mute", "bob"))
    assert talk.do(2, ADA) == {2: [named("bob", own=True)], 3: [named("bob")]}
    talk.do(2, events.Out("lobby", "lobby"))
    joined = talk.do(2, joins("lobby"))[1][0]
    assert isinstance(joined, notices.Joined)
    assert joined.name == ""
    assert talk.do(2, NONE)[1] == [named("bob", "")]


def test_a_real_name_is_a_line_where_one_speaks_once_in_a_while() -> None:
    talk = Lobby()
    talk.do(1, mode(slow_ms=5_000))
    assert talk.do(2, ADA)[1] == [named("bob")]
    assert refusals(talk.do(2, say("lobby", "hi"))[2]) == ["slow"]
    assert talk.do(2, events.SetName("Bob")) == {2: [named("bob", "Bob", own=True)]}


def test_who_may_say_nothing_on_the_server_has_no_other_real_name() -> None:
    talk = Looked()
    talk.do(9, restrict_everywhere("mute", "bob"))
    assert refusals(talk.do(5, ADA)[5]) == ["muted"]
    assert talk.do(5, NONE) == {5: [named("bob", "", own=True)]}


def test_where_only_accounts_talk_nobody_is_told_the_real_name_of_a_guest() -> None:
    talk = Owned(StateLimits(guests=0))
    talk.do(3, comes("bob", "Bob"))
    told = talk.do(3, ADA)
    assert [type(each) for each in told.pop(3)] == [NameSet]
    assert told == {}
    assert talk.do(1, ADA)[2] == [named("ada", own=True)]


def test_where_only_accounts_talk_nobody_is_told_what_a_guest_has_come_as() -> None:
    server = MemoryServer(ServerProtocol(ChatState(limits=StateLimits(guests=0))))
    server.carry_out([Propose(0, 0, (events.Grant("ada", "ada", device=session("a" * 64)),))])
    for conn, hello in ((1, events.Hello(device="a" * 64)), (2, events.Hello(name="Psst"))):
        server.connect(conn, token=f"token {conn}")
        server.send(conn, encode_request(hello))
    server.told(1)
    server.ask(1, events.Whois("guest-1"))
    assert server.told(1) == [notices.PersonInfo("guest-1")]


def test_where_only_accounts_talk_by_now_no_question_tells_the_real_name_of_a_guest() -> None:
    server = MemoryServer(ServerProtocol(ChatState()))
    server.carry_out([Propose(0, 0, (events.Grant("ada", "ada", device=session("a" * 64)),))])
    for conn, hello in ((1, events.Hello(device="a" * 64, name="Ada")), (2, events.Hello())):
        server.connect(conn, token=f"token {conn}")
        server.send(conn, encode_request(hello))
        server.ask(conn, events.Join("den"))
    server.ask(2, events.Nick("bob"))
    server.carry_out([Propose(0, 0, (events.Configure({"guests": 0}),))])
    server.ask(2, events.SetName("Psst"))
    server.told(1)
    server.ask(1, events.Who("den", names=True))
    [members] = server.told(1)
    assert isinstance(members, notices.Members)
    assert (members.nicks, members.names) == (("ada", "bob"), {"ada": "Ada"})
    server.ask(2, events.Quit())
    server.told(1)
    server.ask(1, events.Whowas("bob"))
    [former] = server.told(1)
    assert isinstance(former, notices.FormerPeople)
    assert [each.name for each in former.people] == [""]


def test_a_guest_that_comes_muted_has_no_real_name_and_is_told_so() -> None:
    talk = Looked()
    talk.do(21, events.Connect(origin="there"))
    talk.do(21, nick("troll"))
    talk.do(9, restrict_everywhere("mute", "troll"))
    told = talk.do(22, comes("again", "Ada Lovelace", origin="there"))[22]
    assert about_names(told) == [NameSet("guest-1", "", own=True)]


def test_an_account_that_comes_muted_has_no_real_name() -> None:
    talk = Owned()
    talk.do(0, events.Grant("zoe", "zoe", admin=True, device="z"))
    talk.do(9, events.Connect(device="z"))
    talk.do(9, restrict_everywhere("mute", "ada"))
    for conn in (1, 2):
        talk.do(conn, events.Quit())
    told = talk.do(4, comes("back", "Ada Lovelace", device="phone"))[4]
    assert about_names(told) == [named("ada", "", own=True)]


# ── How long it lasts ────────────────────────────────────────────────────────────────────────


def test_it_lasts_over_a_snapshot_and_over_another_connection() -> None:
    talk = Talk()
    talk.do(1, comes("ada", "Ada Lovelace"))
    before = talk.state.snapshot()
    talk.state = restored(before)
    assert talk.state.snapshot() == before
    talk.do(1, events.Disconnect("lost"))
    again = events.Resume(session("ada"), session("new"), name="Countess")
    resumed = talk.do(5, again)[5][0]
    assert isinstance(resumed, notices.Resumed)
    assert resumed.name == "Ada Lovelace"
    person = talk.state.person(5)
    assert person is not None
    assert (person.name, person.user) == ("Ada Lovelace", "u")


def test_who_asks_for_a_session_that_is_over_has_the_name_that_it_says() -> None:
    talk = Talk()
    talk.do(1, events.Resume(session("old"), session("new"), name="Ada", user="ada"))
    person = talk.state.person(1)
    assert person is not None
    assert (person.name, person.user) == ("Ada", "ada")


def test_a_snapshot_of_nobody_with_a_name_is_as_it_was_before_one_could_have_one() -> None:
    talk = Lobby()
    talk.do(2, ADA)
    talk.do(2, NONE)
    snapshot = talk.state.snapshot()
    assert b'"name"' not in snapshot
    assert b'"user"' not in snapshot


def test_all_devices_of_an_account_are_one_person_with_one_name() -> None:
    talk = Owned()
    assert talk.do(1, events.SetName("Ada Lovelace", "ada")) == {
        1: [named("ada", own=True)],
        2: [named("ada", own=True)],
        3: [named("ada")],
    }
    talk.same_again()
    talk.do(2, events.Quit())
    assert about_names(talk.do(4, comes("4", "Other", device="laptop"))[4]) == [
        named("ada", own=True)
    ]
    person = talk.state.person(4)
    assert person is not None
    assert (person.name, person.user) == ("Ada Lovelace", "ada")
    assert about_names(talk.do(5, comes("5", "Ada Lovelace", device="phone"))[5]) == []


def test_a_guest_that_comes_to_an_account_is_called_as_that_is() -> None:
    talk = Owned()
    talk.do(1, ADA)
    talk.do(0, grant("ada"))
    talk.do(4, comes("eve", "Eve"))
    assert about_names(talk.do(4, claim("tablet"))[4]) == [named("ada", own=True)]
    for conn in (1, 2, 4):
        talk.do(conn, events.Quit())
    talk.do(0, grant("ada"))
    talk.do(5, comes("cleo", "Cleo"))
    assert about_names(talk.do(5, claim("watch"))[5]) == []  # nobody else of it is here
    person = talk.state.person(5)
    assert person is not None
    assert person.name == "Cleo"


# ── On the wire ──────────────────────────────────────────────────────────────────────────────


def test_it_is_typed_and_shown_and_asked_for() -> None:
    server = served()
    server.send(1, b"/join lobby\n")
    server.ask(2, events.Join("lobby"))
    server.read(1)
    server.ask(2, events.SetName("Ada Lovelace", "ada"))
    server.send(1, b"/whois guest-1\n/who\n/name \x1b[1m Guy\n/name\n")
    assert server.lines(1) == [
        "* guest-1 tells a real name: Ada Lovelace",
        "* guest-1 is a guest; is in lobby. Real name: Ada Lovelace",
        "* 2 in lobby: guy, guest-1. Moderators: guy",
        "* You tell a real name: [1m Guy",
        "* You tell no real name",
    ]
    server.told(2)
    server.ask(2, events.Who("lobby"), events.Who("lobby", names=True))
    plainly, asked = server.told(2)
    assert isinstance(plainly, notices.Members)
    assert isinstance(asked, notices.Members)
    assert (plainly.names, plainly.users) == ({}, {})
    assert (asked.names, asked.users) == ({"guest-1": "Ada Lovelace"}, {"guest-1": "ada"})


@pytest.mark.parametrize(
    ("name", "user", "reason"),
    [
        ("x" * (MAX_REAL_NAME_CHARS + 1), "", "too-long"),
        ("\x1b", "", "empty-text"),
        ("Ada", "x" * (MAX_USER_CHARS + 1), "bad-name"),
        ("Ada", "ada!", "bad-name"),
    ],
)
def test_a_name_that_cannot_be_is_refused_also_to_who_says_hello(
    name: str, user: str, reason: str
) -> None:
    server = served()
    server.ask(2, events.SetName(name, user))
    assert refusals(server.told(2)) == [reason]
    server.connect(3, token="three")
    server.send(3, encode_request(events.Hello(name=name, user=user)))
    (refused,) = server.told(3)
    assert isinstance(refused, Rejected)
    assert (refused.reason, refused.request) == (reason, "hello")
    server.send(3, encode_request(events.Hello(name="Ada")))
    assert isinstance(server.told(3)[0], notices.Welcome)


def test_who_says_hello_has_a_name_with_the_same_entry() -> None:
    server = served()
    server.connect(3, token="three")
    before = len(server.log)
    server.send(3, encode_request(events.Hello(name="Ada Lovelace", user="ada")))
    (entry,) = server.log[before:]
    assert isinstance(entry.event, events.Connect)
    assert (entry.event.name, entry.event.user) == ("Ada Lovelace", "ada")


@given(name=NASTY_TEXT, user=st.text(st.characters(codec="utf-8"), max_size=12))
def test_whatever_is_said_as_a_name_is_safe_to_show_or_refused(name: str, user: str) -> None:
    server = served()
    server.told(2)
    server.ask(2, events.SetName(name, user), events.Whois("guest-1"))
    person = server.told(2)[-1]
    assert isinstance(person, notices.PersonInfo)
    assert person.name in {sanitize(name).rstrip(), ""}
    assert person.user in {user, ""}
    assert sanitize(person.user) == person.user.replace(" ", "")
