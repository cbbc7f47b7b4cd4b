"""Being away, and why: who hears of it, who does not, and how long it lasts."""

from __future__ import annotations

from tcpchat_core import StateLimits, events, notices
from tcpchat_core.notices import AwaySet, Notice, Rejected
from tests.core.harness import START_MS, STEP_MS, Talk, joins, nick, restored, say, session
from tests.core.test_accounts import Owned, claim, grant, refusals, served
from tests.core.test_accounts import tell as telling
from tests.core.test_moderation import Lobby, mode, restrict
from tests.core.test_server_wide import Looked
from tests.core.test_server_wide import restrict as restrict_everywhere

TEA = events.Away("tea time")
BACK = events.Away()


def away(typed: str, text: str = "tea time", *, own: bool = False) -> AwaySet:
    return AwaySet(typed, text, own)


def about_away(told: list[Notice]) -> list[Notice]:
    return [notice for notice in told if isinstance(notice, AwaySet)]


# ── Who hears of it ──────────────────────────────────────────────────────────────────────────


def test_those_who_share_a_room_hear_once_that_somebody_is_away_and_is_back() -> None:
    talk = Talk()
    talk.people("ada", "bob", "eve")
    for conn in (1, 2):
        talk.do(conn, joins("lobby"))
        talk.do(conn, joins("tea"))
    assert talk.do(1, TEA) == {1: [away("ada", own=True)], 2: [away("ada")]}
    assert talk.do(1, BACK) == {1: [away("ada", "", own=True)], 2: [away("ada", "")]}


def test_to_say_the_same_again_is_answered_and_nobody_else_hears() -> None:
    talk = Lobby()
    assert talk.do(2, BACK) == {2: [away("bob", "", own=True)]}
    talk.do(2, TEA)
    assert talk.do(2, TEA) == {2: [away("bob", own=True)]}
    other = talk.do(2, events.Away("gone home"))
    assert other[1] == [away("bob", "gone home")]


def test_who_is_in_no_room_is_answered() -> None:
    talk = Talk()
    talk.people("ada")
    assert talk.do(1, TEA) == {1: [away("ada", own=True)]}


def test_a_room_hears_of_who_is_away_and_comes_in() -> None:
    talk = Lobby()
    talk.do(3, events.Out("lobby", "lobby"))
    talk.do(3, TEA)
    told = talk.do(3, joins("lobby"))
    assert [type(notice) for notice in told[1]] == [notices.Joined, AwaySet]
    assert told[1][1] == away("eve")
    assert about_away(told[3]) == []


def test_who_tells_somebody_who_is_away_is_told_why() -> None:
    talk = Lobby()
    talk.do(2, TEA)
    sent = talk.do(1, telling("bob", "psst"))[1][-1]
    seq = talk.state.seq
    at = START_MS + STEP_MS * seq
    assert sent == notices.Sent(at, nick="bob", away="tea time", entry=seq)
    talk.do(2, BACK)
    sent = talk.do(1, telling("bob", "psst"))[1][-1]
    assert isinstance(sent, notices.Sent)
    assert sent.away == ""


# ── Whose words are not heard ────────────────────────────────────────────────────────────────


def test_a_room_in_which_somebody_may_say_nothing_does_not_hear_why_it_is_away() -> None:
    talk = Lobby()
    for conn in (2, 3):
        talk.do(conn, joins("tea"))
    talk.do(1, restrict("mute", "bob"))
    told = talk.do(2, TEA)
    assert told == {2: [away("bob", own=True)], 3: [away("bob")]}
    assert talk.do(2, BACK)[1] == [away("bob", "")]
    talk.do(3, events.Out("tea", "tea"))
    talk.do(2, events.Out("tea", "tea"))
    assert talk.do(2, TEA) == {2: [away("bob", own=True)]}
    talk.do(2, events.Out("lobby", "lobby"))
    assert about_away(talk.do(2, joins("lobby"))[1]) == []


def test_why_somebody_is_away_is_a_line_where_one_speaks_once_in_a_while() -> None:
    talk = Lobby()
    talk.do(1, mode(slow_ms=5_000))
    assert talk.do(2, TEA)[1] == [away("bob")]
    assert refusals(talk.do(2, say("lobby", "hi"))[2]) == ["slow"]
    assert talk.do(2, events.Away("gone home")) == {2: [away("bob", "gone home", own=True)]}
    assert talk.do(2, BACK)[1] == [away("bob", "")]


def test_who_may_say_nothing_on_the_server_is_not_away() -> None:
    talk = Looked()
    talk.do(9, restrict_everywhere("mute", "bob"))
    assert refusals(talk.do(5, TEA)[5]) == ["muted"]
    assert talk.do(5, BACK) == {5: [away("bob", "", own=True)]}


def test_where_only_accounts_talk_a_guest_is_not_away() -> None:
    talk = Owned(StateLimits(guests=0))
    talk.do(3, events.Connect(session("bob")))
    (refused,) = talk.do(3, TEA)[3]
    assert isinstance(refused, Rejected)
    assert (refused.reason, refused.request) == ("no-right", "away")
    assert talk.do(1, TEA)[2] == [away("ada", own=True)]


# ── How long it lasts ────────────────────────────────────────────────────────────────────────


def test_it_lasts_over_a_snapshot_and_over_another_connection() -> None:
    talk = Lobby(sessions=True)
    talk.do(2, TEA)
    talk.state = restored(talk.state.snapshot())
    talk.do(2, events.Disconnect("lost"))
    talk.state = restored(talk.state.snapshot())
    resumed = talk.do(5, events.Resume(session("bob"), session("new")))[5][0]
    assert isinstance(resumed, notices.Resumed)
    assert resumed.away == "tea time"
    assert talk.do(5, nick("robert"))[1] == [notices.Renamed("bob", "robert")]
    assert talk.do(5, BACK)[1] == [away("robert", "")]


def test_a_snapshot_of_nobody_who_is_away_is_as_it_was_before_one_could_be() -> None:
    talk = Lobby()
    before = talk.state.snapshot()
    assert b"tea time" not in before
    talk.do(2, TEA)
    talk.do(2, BACK)
    assert b'"away":""' not in talk.state.snapshot()


def test_all_devices_of_an_account_are_away_and_each_that_comes_is_told() -> None:
    talk = Owned()
    assert talk.do(1, TEA) == {
        1: [away("ada", own=True)],
        2: [away("ada", own=True)],
        3: [away("ada")],
    }
    talk.same_again()
    talk.do(2, events.Quit())
    told = talk.do(4, events.Connect(device="laptop"))[4]
    assert about_away(told) == [away("ada", own=True)]
    assert talk.do(4, BACK)[1] == [away("ada", "", own=True)]
    for conn in (1, 4):
        talk.do(conn, TEA)
        talk.do(conn, events.Quit())
    assert about_away(talk.do(5, events.Connect(device="phone"))[5]) == []


def test_a_guest_that_comes_to_an_account_is_away_as_that_is() -> None:
    talk = Owned()
    talk.do(0, grant("ada"))
    talk.do(4, events.Connect(session("eve")))
    talk.do(4, TEA)
    assert about_away(talk.do(4, claim("tablet"))[4]) == [away("ada", "", own=True)]
    talk.do(1, TEA)
    talk.do(0, grant("ada"))
    talk.do(5, events.Connect(session("cleo")))
    talk.do(5, TEA)
    assert about_away(talk.do(5, claim("watch"))[5]) == []  # it is already


# ── On the wire ──────────────────────────────────────────────────────────────────────────────


def test_it_is_typed_and_shown_and_asked_for() -> None:
    server = served()
    server.send(1, b"/join lobby\n")
    server.ask(2, events.Join("lobby"))
    server.read(1)
    server.ask(2, events.Away("tea time"))
    server.send(1, b"/who\n/whois guest-1\n/msg guest-1 psst\n/away \x1b[1m gone\n/away\n")
    assert server.lines(1) == [
        "* guest-1 is away (tea time)",
        "* 2 in lobby: guy, guest-1. Moderators: guy. Away: guest-1",
        "* guest-1 is a guest; is in lobby. Away: tea time",
        "* guest-1 is away (tea time)",
        "* You are away ([1m gone)",
        "* You are back",
    ]
    server.told(2)
    server.ask(2, events.Away("x" * 201), events.Away("\x1b"))
    assert refusals(server.told(2)) == ["too-long", "empty-text"]
