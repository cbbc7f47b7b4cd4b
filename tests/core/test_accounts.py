"""Accounts: who owns a nick, and one person on several devices."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import pytest

from tcpchat_core import (
    ChatState,
    ClientProtocol,
    Event,
    Notice,
    Propose,
    ServerProtocol,
    StateLimits,
    events,
    notices,
)
from tcpchat_core.client import Heard, Requests
from tcpchat_core.dialects.jsonl import JSON
from tcpchat_core.notices import (
    AccountSet,
    Entered,
    Joined,
    Left,
    Rejected,
    Renamed,
    Said,
    Sent,
    Told,
    Welcome,
)
from tcpchat_core.server.access import PASSWORD_DELAY_MS, code_hash
from tests.core.harness import (
    HELLO,
    NO_FLOOD_LIMIT,
    START_MS,
    STEP_MS,
    MemoryServer,
    Talk,
    join,
    joins,
    name,
    nick,
    restored,
    say,
    session,
)

# What a device has made for itself.
TOKEN = "0123456789abcdef" * 4


def grant(typed: str, code: str = "code", *, admin: bool | None = None) -> events.Grant:
    return events.Grant(typed, name(typed).key, code, admin)


def claim(device: str = "phone", code: str = "code") -> events.Claim:
    return events.Claim(code, "", device)


def tell(typed: str, text: str) -> events.Tell:
    return events.Tell(typed, text, None, name(typed).key)


def refusals(told: Sequence[Notice]) -> list[str]:
    return [notice.reason for notice in told if isinstance(notice, Rejected)]


class Owned(Talk):
    """ada has two devices and is here on both, on 1 and 2; bob is a guest, on 3. They are in the
    lobby, that ada has made.
    """

    def __init__(self, limits: StateLimits | None = None) -> None:
        super().__init__(ChatState(limits=limits))
        for conn, device in ((1, "phone"), (2, "laptop")):
            self.do(0, grant("ada"))
            self.do(conn, events.Connect(session(device)))
            self.do(conn, claim(device))
        self.do(3, events.Connect(session("bob")))
        self.do(3, nick("bob"))
        for conn in (1, 3):
            self.do(conn, joins("lobby"))

    def members(self) -> tuple[str, ...]:
        room = self.state.room("lobby")
        assert room is not None
        return room.nicks()

    def same_again(self) -> None:
        """What a snapshot is taken of is what comes of it."""
        assert restored(self.state.snapshot()).digest() == self.state.digest()


# ── Owning a nick ────────────────────────────────────────────────────────────────────────────


def test_a_code_makes_who_has_it_a_device_of_the_account_once() -> None:
    talk = Talk()
    talk.do(0, grant("Ada", admin=True))
    for conn in (1, 2):
        talk.do(conn, events.Connect())
    assert talk.do(1, claim())[1] == [
        Renamed("guest-1", "Ada", own=True),
        notices.Claimed("Ada", 1, admin=True),
    ]
    assert refusals(talk.do(2, claim("other"))[2]) == ["wrong-code"]
    assert refusals(talk.do(1, claim("other"))[1]) == ["bad-request"]


def test_the_nick_of_a_guest_is_no_accounts() -> None:
    talk = Talk()
    for typed in ("guest-1", "guest-x"):
        talk.do(0, events.Grant(typed, typed, "code"))
    assert [*talk.state.accounts()] == []
    talk.do(1, events.Connect())
    assert refusals(talk.do(1, claim())[1]) == ["wrong-code"]


def test_who_claims_or_logs_in_again_is_told_again_what_it_is() -> None:
    talk = Talk()
    talk.do(0, grant("ada"))
    talk.do(0, grant("bob", "bobs"))
    for conn in (1, 2, 3):
        talk.do(conn, events.Connect())
    told = talk.do(1, claim())[1][1:]
    assert told == [notices.Claimed("ada", 1)]
    # On the connection that took the lost one's place in the same session.
    assert talk.do(1, claim())[1] == talk.do(1, events.Login("phone"))[1] == told
    # In another session, when that one is over; or while it is not yet known to be.
    assert talk.do(2, claim())[2][-1] == told[0]
    assert refusals(talk.do(3, claim("phone", "bobs"))[3]) == []
    assert [each.conn for each in talk.state.connected() if each.nick == "ada"] == [1, 2, 3]
    assert refusals(talk.do(1, claim("other", "bobs"))[1]) == ["bad-request"]
    assert refusals(talk.do(1, events.Login("other"))[1]) == ["bad-request"]


def test_a_code_holds_for_a_while() -> None:
    talk = Talk(ChatState(limits=StateLimits(claim_ms=2 * STEP_MS)))
    talk.do(0, grant("ada"))
    talk.do(1, events.Connect())
    assert refusals(talk.do(1, claim())[1]) == ["wrong-code"]


def test_what_is_owned_cannot_be_taken_by_others_nor_what_looks_like_it() -> None:
    talk = Talk()
    talk.do(0, grant("ada"))
    talk.do(1, events.Connect())
    for typed in ("ada", "ADA", "аdа"):  # the last with Cyrillic letters
        assert refusals(talk.do(1, nick(typed))[1]) == ["nick-owned"]
    assert refusals(talk.do(1, nick("bob"))[1]) == []


def test_a_guest_that_has_the_nick_of_who_comes_gets_another_and_is_told_why() -> None:
    talk = Talk()
    talk.people("ada", "bob")
    for conn in (1, 2):
        talk.do(conn, joins("lobby"))
    talk.do(0, grant("ada"))
    talk.do(3, events.Connect())
    told = talk.do(3, claim())
    assert told[1] == [
        Renamed("ada", "guest-2", own=True),
        notices.Announced("ada is the nickname of somebody who is here now; you are guest-2"),
    ]
    assert told[2] == [Renamed("ada", "guest-2")]
    room = talk.state.room("lobby")
    assert room is not None
    assert room.moderator_nicks() == ("guest-2",)


def test_a_guest_that_has_the_nick_of_who_comes_is_told_when_it_is_back() -> None:
    talk = Talk()
    talk.do(1, events.Connect(session("guest")))
    talk.do(1, nick("ada"))
    talk.do(1, events.Disconnect("lost"))
    talk.do(0, grant("ada"))
    talk.do(2, events.Connect())
    talk.do(2, claim())
    told = talk.do(3, events.Resume(session("guest"), "fresh"))[3]
    assert isinstance(told[0], notices.Resumed)
    assert told[0].nick == "guest-2"


def test_who_claims_an_account_stays_where_it_is_and_goes_on_moderating() -> None:
    talk = Talk()
    talk.people("eve", "bob")
    for conn in (1, 2):
        talk.do(conn, joins("lobby"))
    talk.do(0, grant("ada"))
    assert talk.do(1, claim())[2] == [Renamed("eve", "ada"), AccountSet("ada", "ada")]
    room = talk.state.room("lobby")
    assert room is not None
    assert room.nicks() == ("ada", "bob")
    assert room.moderator_nicks() == ("ada",)
    assert [type(told) for told in talk.do(2, say("lobby", "hi"))[1]] == [Said]
    assert restored(talk.state.snapshot()).digest() == talk.state.digest()


def test_who_is_muted_is_muted_with_an_account_too() -> None:
    talk = Talk()
    talk.people("ada", "eve")
    for conn in (1, 2):
        talk.do(conn, joins("lobby"))
    talk.do(1, events.Restrict("lobby", "eve", "mute", 60_000, "", "lobby", "eve"))
    talk.do(0, grant("mallory"))
    talk.do(2, claim())
    assert refusals(talk.do(2, say("lobby", "hi"))[2]) == ["muted"]


def test_who_comes_by_a_device_is_who_owns_it() -> None:
    talk = Owned()
    for conn in (1, 2):
        talk.do(conn, events.Quit())
    assert talk.members() == ("bob",)
    (welcome,) = talk.do(4, events.Connect(device="phone"))[4]
    assert welcome == Welcome("ada", "0", account="ada")
    told = talk.do(5, events.Connect(device="nobody's"))[5]
    assert isinstance(told[0], Welcome)
    assert (told[0].nick, refusals(told)) == ("guest-1", ["unknown-device"])


def test_an_owner_has_no_other_nick_but_may_write_it_otherwise() -> None:
    talk = Owned()
    assert refusals(talk.do(1, nick("eve"))[1]) == ["nick-owned"]
    told = talk.do(1, nick("ADA"))
    own = Renamed("ada", "ADA", own=True)
    assert told == {1: [own], 2: [own], 3: [Renamed("ada", "ADA")]}
    talk.same_again()


# ── One person on several devices ────────────────────────────────────────────────────────────


def test_devices_are_one_member_of_the_same_rooms() -> None:
    talk = Owned()
    assert talk.members() == ("ada", "bob")
    told = talk.do(2, joins("den"))
    assert [type(notice) for notice in told[1]] == [Entered]
    assert told[1] == told[2]
    assert talk.do(3, joins("den"))[2] == [Joined("den", "bob", talk.began["den"], talk_at(talk))]
    told = talk.do(1, events.Out("den", "den"))
    assert told == {
        1: [Left("den", "ada", own=True)],
        2: [Left("den", "ada", own=True)],
        3: [Left("den", "ada")],
    }
    talk.same_again()


def talk_at(talk: Talk) -> int:
    return START_MS + STEP_MS * talk.state.seq


def test_in_a_room_that_was_joined_by_an_older_entry_a_device_has_said_nothing() -> None:
    talk = Owned()
    talk.do(1, join("tea"))
    talk.do(0, grant("ada"))
    talk.do(4, events.Connect())
    talk.do(4, claim("tv"))
    talk.do(4, say("tea", "hello"))
    assert refusals(talk.do(4, events.Redact("tea", 0, "", "tea"))[4]) == ["no-such-message"]


def test_a_device_that_comes_is_told_where_it_is_muted() -> None:
    talk = Owned()
    talk.do(1, events.Role("lobby", "bob", "moderator", "lobby", "bob"))
    talk.do(1, events.Role("lobby", "ada", "member", "lobby", "ada"))
    talk.do(3, events.Restrict("lobby", "ada", "mute", 60_000, "", "lobby", "ada"))
    talk.do(0, grant("ada"))
    talk.do(4, events.Connect())
    entered, muted = talk.do(4, claim("tv"))[4][-3:-1]
    assert isinstance(entered, Entered)
    assert isinstance(muted, notices.Restricted)
    assert (muted.room, muted.what, muted.own) == ("lobby", "mute", True)
    assert refusals(talk.do(4, say("lobby", "hi"))[4]) == ["muted"]


def test_what_one_device_says_the_others_hear() -> None:
    talk = Owned()
    told = talk.do(2, say("lobby", "hi"))
    assert [type(notice) for notice in told[2]] == [Sent]
    assert [notice.text for notice in told[1] if isinstance(notice, Said)] == ["hi"]
    assert told[1] == told[3]
    told = talk.do(1, tell("bob", "psst"))
    at, entry = talk_at(talk), talk.state.seq
    assert told[3] == [Told("ada", "psst", 1, at, entry=entry, by_account=True)]
    assert told[2] == [Told("ada", "psst", 1, at, "bob", entry=entry, by_account=True)]
    assert told[1] == [Sent(at, nick="bob", entry=entry)]
    told = talk.do(3, tell("ada", "yes"))
    at, entry = talk_at(talk), talk.state.seq
    assert told[1] == [Told("bob", "yes", 1, at, entry=entry)]
    assert told[2] == [Told("bob", "yes", 2, at, entry=entry)]
    talk.same_again()


def test_others_are_told_only_of_the_first_device_and_of_the_last() -> None:
    talk = Owned()
    told = talk.do(1, events.Quit())
    assert set(told) == {1}
    assert talk.members() == ("ada", "bob")
    there = Told("bob", "there?", 1, talk_at(talk) + STEP_MS, entry=talk.state.seq + 1)
    assert talk.do(3, tell("ada", "there?"))[2] == [there]
    talk.same_again()
    told = talk.do(4, events.Connect(session("again"), device="phone"))
    assert [type(notice) for notice in told[4]] == [Welcome, Entered]
    assert set(told) == {4}
    for conn in (2, 4):
        told = talk.do(conn, events.Quit("bye"))
    assert told[3] == [notices.Gone("ada", "bye")]
    assert talk.members() == ("bob",)
    talk.same_again()


def test_who_claims_a_device_of_somebody_who_is_here_leaves_its_rooms_for_those() -> None:
    talk = Owned()
    talk.do(4, events.Connect())
    talk.do(4, nick("eve"))
    for room in ("den", "lobby"):
        talk.do(4, joins(room))
    talk.do(0, grant("ada"))
    told = talk.do(4, claim("tablet"))
    assert told[3] == [Left("lobby", "eve")]
    assert [type(notice) for notice in told[4]] == [Left, Left, Renamed, Entered, notices.Claimed]
    assert talk.state.room("den") is None
    assert talk.members() == ("ada", "bob")
    assert [type(notice) for notice in talk.do(3, say("lobby", "hi"))[4]] == [Said]
    talk.same_again()


def test_a_device_that_is_lost_misses_nothing_and_its_person_stays() -> None:
    talk = Owned()
    assert talk.do(1, events.Disconnect("lost")) == {}
    talk.do(3, say("lobby", "one"))
    talk.do(2, tell("bob", "psst"))
    told = talk.do(5, events.Resume(session("phone"), session("new"), {"lobby": 0}))[5]
    assert [notice.text for notice in told if isinstance(notice, Said | Told)] == ["psst", "one"]
    talk.do(2, events.Disconnect("lost"))
    assert talk.do(2, events.Expire(session("laptop"), "lost")) == {}
    assert talk.members() == ("ada", "bob")
    talk.same_again()


def test_who_is_put_out_is_so_on_all_devices() -> None:
    talk = Owned()
    talk.do(1, events.Role("lobby", "bob", "moderator", "lobby", "bob"))
    talk.do(1, events.Role("lobby", "ada", "member", "lobby", "ada"))
    told = talk.do(3, events.Kick("lobby", "ada", "", "lobby", "ada"))
    at = talk_at(talk)
    own = Left("lobby", "ada", own=True, by="bob", at=at)
    assert told == {1: [own], 2: [own], 3: [Left("lobby", "ada", by="bob", at=at)]}
    assert talk.do(3, say("lobby", "hi")).keys() == {3}
    talk.do(3, events.Restrict("lobby", "ada", "ban", 60_000, "", "lobby", "ada"))
    for conn in (1, 2):
        assert refusals(talk.do(conn, joins("lobby"))[conn]) == ["banned"]
        talk.do(conn, events.Quit())
    talk.do(4, events.Connect(device="phone"))
    assert refusals(talk.do(4, joins("lobby"))[4]) == ["banned"]
    talk.same_again()


def test_a_device_that_is_revoked_is_gone_at_once() -> None:
    talk = Owned()
    told = talk.do(2, events.Revoke(1))
    assert told == {
        1: [notices.Closing("this device was revoked")],
        2: [notices.Revoked(1)],
    }
    assert talk.closed == [1]
    assert refusals(talk.do(4, events.Connect(device="phone"))[4]) == ["unknown-device"]
    assert refusals(talk.do(2, events.Revoke(1))[2]) == ["bad-usage"]
    told = talk.do(2, events.Revoke(2))
    assert told[2] == [notices.Revoked(2), notices.Closing("this device was revoked")]
    assert told[3] == [notices.Gone("ada", "this device was revoked")]
    talk.same_again()


def test_a_device_makes_a_code_for_another_and_a_guest_none() -> None:
    talk = Owned()
    told = talk.do(1, events.Offer("new code"))[1]
    at = talk_at(talk)
    assert told == [notices.Offered("ada", at + StateLimits().claim_ms, at)]
    for request in (events.Offer("x"), events.Revoke(1)):
        assert refusals(talk.do(3, request)[3]) == ["no-right"]
    assert isinstance(talk.do(3, claim("tv", "new code"))[3][-1], notices.Claimed)


def test_an_account_has_so_many_devices_and_there_are_so_many_accounts_and_codes() -> None:
    talk = Owned(StateLimits(devices=2, accounts=1, claims=1))
    talk.do(0, grant("ada"))
    assert refusals(talk.do(3, claim("third"))[3]) == ["too-many"]
    talk.do(0, grant("eve", "another"))
    assert refusals(talk.do(3, claim("tv", "another"))[3]) == ["wrong-code"]
    talk.do(1, events.Revoke(2))
    talk.do(0, grant("ada", "second"))
    assert refusals(talk.do(3, claim("tv"))[3]) == ["wrong-code"]
    assert refusals(talk.do(3, claim("tv", "second"))[3]) == []


def test_nobody_makes_the_codes_of_others_be_good_no_more() -> None:
    talk = Owned(StateLimits(devices=4, claims=5))
    talk.do(0, grant("eve", "eves"))
    for number in range(6):  # 2, 3, 4 and 5 are good now
        assert refusals(talk.do(1, events.Offer(f"code {number}"))[1]) == []
    talk.do(4, events.Connect())
    assert refusals(talk.do(4, claim("a", "code 1"))[4]) == ["wrong-code"]
    assert refusals(talk.do(4, claim("b", "eves"))[4]) == []
    talk.do(0, grant("cy", "cys"))
    assert refusals(talk.do(4, events.Offer("one too many"))[4]) == ["too-many"]
    talk.do(0, grant("zoe", "zoes"))  # the server's owner takes the place of the oldest
    for conn, code, refused in (
        (5, "code 2", ["wrong-code"]),
        (5, "code 3", []),
        (6, "cys", []),
        (7, "zoes", []),
    ):
        talk.do(conn, events.Connect())
        assert refusals(talk.do(conn, claim(f"of {code}", code))[conn]) == refused


def test_a_device_that_is_away_is_revoked_too() -> None:
    talk = Owned()
    talk.do(2, events.Disconnect("lost"))
    assert talk.do(1, events.Revoke(2)) == {1: [notices.Revoked(2)]}
    told = talk.do(5, events.Resume(session("laptop"), "fresh", device="laptop"))[5]
    assert refusals(told) == ["unknown-device"]
    assert isinstance(told[0], Welcome)
    assert told[0].nick == "guest-1"


def test_a_device_may_be_given_by_the_owner_of_the_server_once_and_where_there_is_place() -> None:
    talk = Owned(StateLimits(devices=3))
    for device in ("bot", "bot", "one more"):
        talk.do(0, events.Grant("ada", "ada", "", None, device, "a bot"))
    ada = talk.state.account("ada")
    assert ada is not None
    assert [each.number for each in ada.devices.values()] == [1, 2, 3]
    told = talk.do(5, events.Connect("", "", "bot"))[5]
    assert isinstance(told[0], Welcome)
    assert told[0].account == "ada"
    talk.do(0, events.Grant("eve", "eve", "", None, "bot"))  # it is ada's
    eve = talk.state.account("eve")
    assert eve is not None
    assert eve.devices == {}


def test_an_account_that_is_ended_leaves_nothing_behind() -> None:
    talk = Owned()
    talk.do(0, grant("ada", "left over"))
    told = talk.do(0, events.Withdraw("ada"))
    assert [type(notice) for notice in told[1]] == [notices.Closing]
    assert told[3] == [notices.Gone("ada", "this account was closed")]
    assert talk.closed == [1, 2]
    assert refusals(talk.do(3, claim("tv", "left over"))[3]) == ["wrong-code"]
    assert refusals(talk.do(3, nick("ada"))[3]) == []
    assert talk.do(0, events.Withdraw("nobody")) == {}
    assert talk.state.account("ada") is None
    assert [*talk.state.accounts()] == []
    talk.same_again()


@pytest.mark.parametrize("event", [grant("eve"), events.Withdraw("ada")])
def test_nobody_who_is_here_makes_accounts_or_ends_them(event: Event) -> None:
    talk = Owned()
    before = talk.state.snapshot()
    assert talk.do(3, event) == {}
    assert [account.nick for account in ChatState.restore(before).accounts()] == ["ada"]
    assert talk.state.account("ada") is not None
    assert talk.state.account("eve") is None


# ── On the wire ──────────────────────────────────────────────────────────────────────────────


def served(*accounts: str) -> MemoryServer:
    """A server with accounts, each with a code that is its name; somebody with nc on 1, a program
    on 2.
    """
    server = MemoryServer(ServerProtocol(ChatState(), limits=NO_FLOOD_LIMIT))
    granted = (events.Grant(each, name(each).key, code_hash(f"{each}-code")) for each in accounts)
    server.carry_out([Propose(0, 0, tuple(granted))])
    server.connect(1, token="t1")
    server.send(1, b"/nick guy\n")
    server.connect(2, token="t2")
    server.send(2, HELLO)
    for conn in (1, 2):
        server.read(conn)
    return server


def test_a_token_is_told_to_its_device_only_and_brings_it_back() -> None:
    server = served("ada")
    server.send(1, b"/claim ADACODE my phone\n")
    renamed, is_device, keep = server.lines(1)
    assert (renamed, is_device) == ("* You are now ada", "* This is device 1 of ada")
    token = keep.removeprefix("* Keep this for the next time: /login ")
    assert len(bytes.fromhex(token)) == 32
    for data in (msgspec.json.encode(server.log), server.protocol.state.snapshot()):
        assert token.encode() not in data
        assert b"adacode" not in data.lower().replace(b"-", b"")
    server.send(1, b"/login x\n/devices\n/quit\n")
    assert server.lines(1)[:2] == [
        "! bad-request: you are ada already; /quit first",
        "* Device 1 (my phone) since 1970-01-01 this one",
    ]
    server.ask(2, events.Login("wrong"), events.Devices())
    server.wait(PASSWORD_DELAY_MS)
    server.ask(2, events.Login(token))
    told = server.told(2)
    assert refusals(told) == ["unknown-device", "no-right"]
    assert told[2:] == [Renamed("guest-1", "ada", own=True), notices.Claimed("ada", 1)]
    server.connect(3, token="t3")
    server.ask(3, events.Hello(device=token))
    (welcome,) = server.told(3)
    assert isinstance(welcome, Welcome)
    assert (welcome.nick, welcome.account) == ("ada", "ada")


def test_a_code_for_another_device_is_told_to_who_asked_and_used_by_a_client() -> None:
    server = served("ada")
    server.send(1, b"/claim ada-code\n/device\n/claim \n/revoke one\n")
    *_, offered, no_code, no_number = server.lines(1)
    code = offered.removeprefix("* /claim ").split()[0]
    assert offered == f"* /claim {code} on another device makes it one of ada, for 7 d"
    assert no_code.startswith("! bad-usage: usage: /claim CODE")
    server.ask(2, events.Claim(code, "x" * 41))
    assert refusals(server.told(2)) == ["too-long"]
    assert no_number.startswith("! bad-usage: usage: /revoke NUMBER")
    server.ask(2, events.Claim(""), events.Claim("wrong"))
    server.wait(PASSWORD_DELAY_MS)
    server.ask(2, events.Claim(code))
    told = server.told(2)
    assert refusals(told) == ["bad-usage", "wrong-code"]
    claimed = told[-1]
    assert isinstance(claimed, notices.Claimed)
    client = ClientProtocol()
    client.receive_data(JSON.encode(Welcome("guest-1", "0")) + JSON.encode(claimed))
    assert client.device == claimed.token != ""
    client.connection_lost()
    assert claimed.token.encode() in client.hello()
    server.send(1, b"/revoke 2\n")
    assert server.lines(1) == ["* Device 2 is none of yours any more"]
    assert server.told(2) == [notices.Closing("this device was revoked")]
    assert server.closed == [2]


def test_a_server_that_makes_no_secrets_takes_those_that_a_device_makes() -> None:
    server = served("ada")
    server.connect(3)
    server.send(3, b"/claim ada-code\n")
    assert server.lines(3)[-1] == "! unavailable: this server cannot make codes"
    server.ask(2, events.Claim("ada-code", "", "short"), events.Claim("ada-code", "", TOKEN))
    refused, renamed, claimed = server.told(2)
    assert refusals([refused]) == ["bad-usage"]
    assert (renamed, claimed) == (
        Renamed("guest-1", "ada", own=True),
        notices.Claimed("ada", 1),  # which token it has, it knows
    )
    assert TOKEN.encode() not in msgspec.json.encode(server.log)


@pytest.mark.parametrize("away_ms", [0, 60_000])  # so the session goes on, or is over
def test_a_claim_whose_answer_was_lost_is_asked_again_and_answered(away_ms: int) -> None:
    server = served("ada")
    requests = Requests(ClientProtocol())

    def heard(conn: int, data: bytes) -> tuple[list[Heard], bytes]:
        server.send(conn, data)
        return requests.receive_data(server.read(conn))

    server.connect(3, token="t3")
    heard(3, requests.hello())
    pending, data = requests.ask(events.Claim("ada-code", "", TOKEN))
    server.send(3, data)
    server.lose(3)
    server.wait(away_ms)
    server.connect(4, token="t4")
    _, data = heard(4, requests.hello())
    told, _ = heard(4, data)
    assert Heard(notices.Claimed("ada", 1, token=TOKEN), pending) in told
    assert requests.protocol.device == TOKEN
    assert requests.protocol.nick == "ada"


def test_a_session_of_a_device_that_is_over_comes_back_as_who_it_was() -> None:
    server = served("ada")
    server.ask(2, events.Claim("ada-code"))
    (*_, claimed) = server.told(2)
    assert isinstance(claimed, notices.Claimed)
    server.lose(2)
    server.wait(60_000)
    server.connect(4, token="t4")
    server.ask(4, events.Hello("t2", device=claimed.token))
    (welcome,) = server.told(4)
    assert isinstance(welcome, Welcome)
    assert welcome.nick == "ada"


def test_what_was_said_on_another_device_is_told_as_such() -> None:
    server = served("ada")
    server.send(1, b"/claim ada-code\n/device\n/msg guest-1 psst\n")
    code = server.lines(1)[3].removeprefix("* /claim ").split()[0]
    server.connect(3, token="t3")
    server.send(3, f"/claim {code}\n".encode())
    server.read(3)
    server.send(1, b"/msg guest-1 hi\n")
    assert server.lines(3) == ["[you → guest-1] hi"]
