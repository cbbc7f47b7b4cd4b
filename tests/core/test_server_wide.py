"""What those do who look after the whole server, and what becomes of those whom it is done to."""

from __future__ import annotations

import pytest

from tcpchat_core import (
    ChatState,
    Event,
    Propose,
    ServerProtocol,
    StateLimits,
    events,
    notices,
)
from tcpchat_core.notices import Act, Closing, Expelled, Gone, Lifted, Rejected, Restricted, Told
from tcpchat_core.server.access import code_hash
from tests.core.harness import (
    NO_FLOOD_LIMIT,
    START_MS,
    STEP_MS,
    MemoryServer,
    joins,
    name,
    nick,
    restored,
    say,
    session,
)
from tests.core.test_accounts import Owned, claim, grant, refusals, served

MINUTE = 60_000


def kick(typed: str, reason: str = "") -> events.Kick:
    return events.Kick("", typed, reason, "", name(typed).key, server=True)


def restrict(what: events.Restraint, typed: str, ms: int = MINUTE) -> events.Restrict:
    return events.Restrict("", typed, what, ms, "spam", "", name(typed).key, server=True)


def lift(what: events.Restraint, typed: str) -> events.Lift:
    return events.Lift("", typed, what, "", name(typed).key, server=True)


BANS = events.Restrictions("", server=True)


class Looked(Owned):
    """As `Owned`; bob comes from the school. zoe looks after the server, is here on 9 and in no
    room; eve has an account and is on 4, in the lobby.
    """

    def __init__(self, limits: StateLimits | None = None) -> None:
        super().__init__(limits)
        for conn, typed in ((9, "zoe"), (4, "eve")):
            self.do(0, grant(typed, admin=typed == "zoe"))
            self.do(conn, events.Connect(session(typed)))
            self.do(conn, claim(typed))
        self.do(4, joins("lobby"))
        self.do(3, events.Disconnect("lost"))
        self.do(5, events.Resume(session("bob"), "new", origin="school"))

    @property
    def now(self) -> int:
        """The time of the next entry."""
        return START_MS + STEP_MS * (self.state.seq + 1)

    def wait(self, ms: int) -> None:
        """Let time pass, in entries that do nothing."""
        for _ in range(ms // STEP_MS):
            self.do(99, BANS)


@pytest.mark.parametrize(
    "event",
    [kick("bob"), restrict("ban", "bob"), restrict("mute", "bob"), lift("ban", "bob"), BANS],
)
def test_only_an_admin_may_and_not_to_an_admin(event: Event) -> None:
    talk = Looked()
    for conn in (1, 5):
        assert refusals(talk.do(conn, event)[conn]) == ["no-right"]
    talk.do(0, grant("eve", "", admin=True))
    assert refusals(talk.do(9, kick("eve"))[9]) == ["no-right"]
    assert refusals(talk.do(9, restrict("ban", "eve"))[9]) == ["no-right"]
    talk.do(0, grant("zoe", "", admin=False))
    assert refusals(talk.do(9, event)[9]) == ["no-right"]


def test_who_is_kicked_is_gone_on_all_devices_and_may_come_again() -> None:
    talk = Looked()
    at = talk.now
    told = talk.do(9, kick("ada", "tea"))
    assert told[9] == [Expelled("ada", "zoe", at, "tea")]
    assert told[5] == [Gone("ada", "put out by zoe: tea")]
    for conn in (1, 2):
        assert told[conn][-1] == Closing("you were put out by zoe: tea")
        assert talk.state.person(conn) is None
    talk.same_again()
    assert refusals(talk.do(9, kick("ada"))[9]) == ["no-such-nick"]
    talk.do(6, events.Connect(session("again"), "", "phone"))
    assert talk.state.person(6) is not None


def test_who_looks_after_the_server_comes_from_wherever_somebody_is_banned() -> None:
    talk = Looked()
    talk.do(9, restrict("ban", "bob"))
    assert refusals(talk.do(20, events.Connect("", "school"))[20]) == ["banned"]
    told = talk.do(21, events.Connect("", "school", "zoe"))[21]
    assert isinstance(told[0], notices.Welcome)
    assert told[0].account == "zoe"


def test_who_is_banned_is_turned_away_on_every_way_until_the_end() -> None:
    talk = Looked()
    until = talk.now + MINUTE
    talk.do(5, events.Disconnect("lost"))  # away, which does not help
    assert talk.do(9, restrict("ban", "bob", MINUTE))[9][0].until == until + STEP_MS  # type: ignore[union-attr] # it is Expelled
    talk.same_again()
    ways: tuple[Event, ...] = (
        events.Resume(session("bob"), "fresh", origin="school"),
        events.Connect("other", "school"),
        events.Connect("", "school", "unknown"),
    )
    for conn, event in enumerate(ways, 20):
        told = talk.do(conn, event)[conn]
        assert refusals(told) == ["banned"]
        assert isinstance(told[-1], Closing)
        assert talk.state.person(conn) is None
        assert talk.closed[-1] == conn
        assert talk.do(conn, joins("lobby")) == {}
    talk.do(30, events.Connect("", "home"))
    assert talk.state.person(30) is not None
    talk.wait(MINUTE)
    talk.do(31, events.Connect("", "school"))
    assert talk.state.person(31) is not None


def test_who_is_put_out_by_a_ban_is_told_for_how_long() -> None:
    talk = Looked()
    told = talk.do(9, restrict("ban", "ada", 120 * MINUTE))
    for conn in (1, 2):
        assert told[conn][-1] == Closing("you were banned for 2 h by zoe: spam")
    assert told[5] == [Gone("ada", "banned for 2 h by zoe: spam")]


def test_an_account_that_is_banned_does_not_come_by_a_code_or_a_device() -> None:
    talk = Looked()
    assert talk.do(9, restrict("ban", "eve"))[4] != []
    talk.do(0, grant("eve"))
    assert refusals(talk.do(20, events.Connect("", "", "eve"))[20]) == ["banned"]
    talk.do(21, events.Connect())
    assert refusals(talk.do(21, claim("new"))[21]) == ["banned"]
    assert refusals(talk.do(21, events.Login("eve"))[21]) == ["banned"]
    talk.do(0, grant("eve", "", admin=True))  # the owner of the server has the last word
    assert refusals(talk.do(21, events.Login("eve"))[21]) == []


def test_what_restricted_who_is_made_an_admin_is_over_also_when_it_is_one_no_more() -> None:
    talk = Looked()
    for event in (
        events.Restrict("lobby", "eve", "ban", MINUTE, "", "lobby", "eve"),
        events.Restrict("lobby", "bob", "mute", MINUTE, "", "lobby", "bob"),
    ):
        talk.do(1, event)
    for what in ("mute", "ban"):
        talk.do(9, events.Restrict("", "eve", what, MINUTE, "", "", "eve", server=True))
    talk.do(0, grant("eve", "", admin=True))
    told = talk.do(20, events.Connect("", "", "eve"))[20]
    assert not any(isinstance(each, Restricted) for each in told)
    talk.do(20, joins("lobby"))
    talk.do(0, grant("eve", "", admin=False))
    talk.same_again()
    assert refusals(talk.do(20, say("lobby", "here"))[20]) == []
    talk.do(21, events.Connect("", "", "eve"))
    assert talk.state.person(21) is not None
    assert refusals(talk.do(5, say("lobby", "not I"))[5]) == ["muted"]
    talk.do(9, restrict("ban", "eve"))  # and it can be restricted as anybody can
    assert talk.state.person(20) is None


def test_an_account_that_is_not_here_is_banned_and_muted_too() -> None:
    talk = Looked()
    talk.do(4, events.Quit())
    talk.do(9, restrict("ban", "eve"))
    assert refusals(talk.do(20, events.Connect("", "", "eve"))[20]) == ["banned"]
    talk.do(9, lift("ban", "eve"))
    talk.do(9, restrict("mute", "eve"))
    talk.do(21, events.Connect("", "", "eve"))
    assert talk.state.person(21) is not None
    assert refusals(talk.do(9, restrict("ban", "nobody"))[9]) == ["no-such-nick"]


def test_guests_from_the_place_of_a_ban_are_turned_away_and_accounts_are_not() -> None:
    talk = Looked()
    talk.do(9, restrict("ban", "bob"))
    talk.do(20, events.Connect("", "school", "eve"))
    assert talk.state.person(20) is not None


def test_who_is_muted_says_nothing_to_anybody_and_is_told_until_when() -> None:
    talk = Looked()
    until = talk.now + MINUTE
    told = talk.do(9, restrict("mute", "bob"))
    assert told == {
        5: [Restricted("", "bob", "mute", until, "zoe", until - MINUTE, "spam", own=True)],
        9: [Restricted("", "bob", "mute", until, "zoe", until - MINUTE, "spam")],
    }
    talk.same_again()
    for event in (
        say("lobby", "psst"),
        events.Topic("lobby", "psst", "lobby"),
        events.Tell("eve", "psst", None, "eve"),
    ):
        told = talk.do(5, event)
        assert [*told] == [5]
        assert refusals(told[5]) == ["muted"]
    assert talk.do(5, events.Quit("psst"))[4] == [Gone("bob", "")]


def test_who_is_muted_is_told_so_again_when_it_comes_back_and_a_guest_of_its_place_too() -> None:
    talk = Looked()
    talk.do(9, restrict("mute", "bob"))
    talk.do(5, events.Disconnect("lost"))
    told = talk.do(20, events.Resume(session("bob"), "new", origin="school"))[20]
    assert [each for each in told if isinstance(each, Restricted)] != []
    told = talk.do(21, events.Connect("", "school"))[21]
    assert [each for each in told if isinstance(each, Restricted)] != []
    assert refusals(talk.do(21, events.Tell("eve", "psst", None, "eve"))[21]) == ["muted"]


def test_a_mute_ends_by_itself_or_is_lifted_and_all_of_it_is_over() -> None:
    talk = Looked()
    talk.do(9, restrict("mute", "bob"))
    lifted = Lifted("", "bob", "mute", "zoe", own=True)
    assert talk.do(9, lift("mute", "bob")) == {5: [lifted], 9: [Lifted("", "bob", "mute", "zoe")]}
    assert refusals(talk.do(9, lift("mute", "bob"))[9]) == ["no-such-nick"]
    talk.do(9, restrict("mute", "bob", 3 * STEP_MS))
    assert isinstance(talk.do(9, BANS)[9][0], notices.RestrictionList)
    talk.wait(3 * STEP_MS)
    told = talk.do(5, events.Tell("eve", "psst", None, "eve"))
    assert [type(each) for each in told[4]] == [Told]


def test_a_mute_goes_on_when_a_guest_becomes_an_account() -> None:
    talk = Looked()
    talk.do(9, restrict("mute", "bob"))
    talk.do(0, grant("cy"))
    talk.do(5, claim("cy"))
    assert refusals(talk.do(5, say("lobby", "psst"))[5]) == ["muted"]


def test_an_admin_is_told_what_is_in_force() -> None:
    talk = Looked()
    talk.do(9, restrict("mute", "bob"))
    talk.do(9, restrict("ban", "eve"))
    listed = talk.do(9, BANS)[9][0]
    assert isinstance(listed, notices.RestrictionList)
    assert [(row.nick, row.what, row.by) for row in listed.restrictions] == [
        ("eve", "ban", "zoe"),
        ("bob", "mute", "zoe"),
    ]


def test_of_the_server_so_many_are_restricted_and_no_more() -> None:
    talk = Looked(StateLimits(server_restrictions=1))
    talk.do(9, restrict("mute", "bob"))
    assert refusals(talk.do(9, restrict("mute", "eve"))[9]) == ["too-many"]
    # It could not be told from who is muted once it is here.
    assert refusals(talk.do(20, events.Connect("", "school"))[20]) == ["muted"]


# ── In rooms ─────────────────────────────────────────────────────────────────────────────────


def test_an_admin_moderates_each_room_that_it_is_in_and_is_kept_from_none() -> None:
    talk = Looked()
    about = ("", "lobby", "zoe")
    assert refusals(talk.do(1, events.Restrict("lobby", "zoe", "ban", 0, *about))[1]) == [
        "no-right"
    ]
    talk.do(1, events.RoomMode("lobby", private=True, moderated=True, slow_ms=9_000, key="lobby"))
    assert refusals(talk.do(9, joins("lobby"))[9]) == []
    for event in (
        events.Kick("lobby", "zoe", *about),
        events.Restrict("lobby", "zoe", "mute", 0, *about),
    ):
        assert refusals(talk.do(1, event)[1]) == ["no-right"]
    for _ in range(2):
        assert refusals(talk.do(9, say("lobby", "tea"))[9]) == []
    # It has not made the room, so a moderator is restricted when its role is taken.
    assert refusals(talk.do(9, events.Role("lobby", "ada", "member", "lobby", "ada"))[9]) == []
    assert refusals(talk.do(9, events.Kick("lobby", "ada", "", "lobby", "ada"))[9]) == []


# ── The audit ────────────────────────────────────────────────────────────────────────────────


def test_what_was_done_is_remembered_with_who_did_it_and_when() -> None:
    talk = Looked()
    first = len(talk.state.acts())
    at = talk.now
    for conn, event in (
        (1, events.RoomMode("lobby", 5_000, True, True, "lobby", secret="hash")),
        (1, events.Role("lobby", "eve", "moderator", "lobby", "eve")),
        (1, events.Restrict("lobby", "bob", "mute", 0, "spam", "lobby", "bob")),
        (1, events.Lift("lobby", "bob", "mute", "lobby", "bob")),
        (1, events.Kick("lobby", "bob", "spam", "lobby", "bob")),
        (1, events.Invite("lobby", "bob", "", "lobby", "bob")),
        (1, events.Redact("lobby", 0, "eve", "lobby", "eve")),
        (1, events.Redact("lobby", 0, "", "lobby")),
        (3, events.Kick("lobby", "eve", "", "lobby", "eve")),  # nobody, any more
        (9, restrict("mute", "bob")),
        (9, lift("mute", "bob")),
        (9, kick("bob")),
        (0, events.Withdraw("eve")),
    ):
        talk.do(conn, event)
    acts = talk.state.acts()[first:]
    assert [(act.by, act.what, act.room, act.nick, act.reason) for act in acts] == [
        ("ada", "slow", "lobby", "", "5 s"),
        ("ada", "moderated", "lobby", "", "on"),
        ("ada", "private", "lobby", "", "on"),
        ("ada", "secret", "lobby", "", "on"),
        ("ada", "mod", "lobby", "eve", ""),
        ("ada", "mute", "lobby", "bob", "spam"),
        ("ada", "unmute", "lobby", "bob", ""),
        ("ada", "kick", "lobby", "bob", "spam"),
        ("ada", "invite", "lobby", "bob", ""),
        ("ada", "redact", "lobby", "eve", ""),
        ("zoe", "mute", "", "bob", "spam"),
        ("zoe", "unmute", "", "bob", ""),
        ("zoe", "kick", "", "bob", ""),
        ("", "withdraw", "", "eve", ""),
    ]
    assert acts[0] == Act(at, "ada", "slow", "lobby", reason="5 s")
    talk.same_again()
    assert restored(talk.state.snapshot()).acts() == talk.state.acts()


def test_so_many_acts_are_remembered() -> None:
    talk = Looked(StateLimits(audit=2))
    for _ in range(3):
        talk.do(9, restrict("mute", "bob"))
    assert len(talk.state.acts()) == 2


def test_what_is_done_in_rooms_does_not_hide_what_was_done_to_the_server() -> None:
    talk = Looked(StateLimits(audit=5))
    talk.do(9, restrict("mute", "bob"))
    before = talk.state.acts()
    for ms in range(1, 50):
        talk.do(1, events.RoomMode("lobby", slow_ms=1_000 * ms, key="lobby"))
    acts = talk.state.acts()
    assert [act for act in acts if not act.room] == [*before]
    assert [act.reason for act in acts if act.room] == ["45 s", "46 s", "47 s", "48 s", "49 s"]


def test_a_state_without_any_of_it_has_the_snapshot_that_it_had() -> None:
    state = ChatState()
    for word in (b"restrictions", b"acts", b"accounts"):
        assert word not in state.snapshot()


def test_a_refusal_is_not_remembered_as_done() -> None:
    talk = Looked()
    before = talk.state.acts()
    told = talk.do(5, restrict("ban", "eve"))
    assert isinstance(told[5][0], Rejected)
    assert talk.state.acts() == before


def test_a_nick_that_somebody_else_has_is_not_looked_for_in_a_ban_of_a_guest_that_left() -> None:
    talk = Looked()
    talk.do(9, restrict("ban", "bob"))
    talk.do(20, events.Connect("", "home"))
    talk.do(20, nick("bob"))
    assert refusals(talk.do(20, joins("lobby"))[20]) == []
    assert refusals(talk.do(9, lift("ban", "bob"))[9]) == []
    talk.do(21, events.Connect("", "school"))
    assert talk.state.person(21) is not None


# ── Beyond that ──────────────────────────────────────────────────────────────────────────────


def test_who_is_banned_does_not_come_by_its_session_from_elsewhere() -> None:
    talk = Looked()
    talk.do(9, restrict("ban", "bob"))
    told = talk.do(20, events.Resume(session("bob"), "fresh", origin="home"))[20]
    assert refusals(told) == ["banned"]
    assert talk.closed[-1] == 20


def test_who_is_muted_is_so_also_as_an_account_that_is_here() -> None:
    talk = Looked()
    talk.do(9, restrict("mute", "bob"))
    told = talk.do(5, events.Login("phone"))
    for conn in (1, 2, 5):
        assert [each.own for each in told[conn] if isinstance(each, Restricted)] == [True]
        assert refusals(talk.do(conn, say("lobby", "psst"))[conn]) == ["muted"]


def test_an_admin_lets_people_speak_in_a_room_that_nobody_else_moderates() -> None:
    talk = Looked()
    talk.do(9, joins("lobby"))
    talk.do(9, events.Role("lobby", "ada", "member", "lobby", "ada"))
    talk.do(9, events.RoomMode("lobby", moderated=True, key="lobby"))
    assert refusals(talk.do(5, say("lobby", "psst"))[5]) == ["muted"]
    told = talk.do(0, grant("zoe", "", admin=False))
    assert told[5] == [notices.ModeSet("lobby", "", changed=("moderated",))]
    assert refusals(talk.do(5, say("lobby", "tea"))[5]) == []
    talk.do(0, grant("zoe", "", admin=True))
    talk.do(9, events.RoomMode("lobby", moderated=True, key="lobby"))
    told = talk.do(9, events.Out("lobby", "lobby"))
    assert told[5][-1] == notices.ModeSet("lobby", "", changed=("moderated",))


def test_to_take_back_what_was_never_said_is_no_act() -> None:
    talk = Looked()
    before = talk.state.acts()
    assert refusals(talk.do(1, events.Redact("lobby", 10**6, "", "lobby"))[1]) == [
        "no-such-message"
    ]
    assert talk.state.acts() == before


# ── On the wire ──────────────────────────────────────────────────────────────────────────────


def test_what_was_done_is_told_to_an_admin_who_asks() -> None:
    server = served()
    server.carry_out([Propose(0, 0, (grant("zoe", code_hash("zoe"), admin=True),))])
    server.ask(2, events.Audit())
    assert refusals(server.told(2)) == ["no-right"]
    server.ask(2, events.Claim("zoe"), events.Audit(), events.Audit(2), events.Audit(-5))
    *_, all_of_it, last_two, last = server.told(2)
    acts = server.protocol.state.acts()
    assert [act.what for act in acts] == ["admin", "invite"]
    for told, wanted in ((all_of_it, acts), (last_two, acts), (last, acts[-1:])):
        assert told == notices.ActList(tuple(wanted))


def test_where_only_accounts_talk_a_guest_does_not_see_which_rooms_there_are() -> None:
    state = ChatState(limits=StateLimits(guests=0))
    server = MemoryServer(ServerProtocol(state, limits=NO_FLOOD_LIMIT))
    server.carry_out([Propose(0, 0, (grant("zoe", code_hash("zoe")),))])
    server.connect(1, token="t1")
    server.ask(1, events.Hello(), events.Rooms())
    welcome, refused = server.told(1)
    assert isinstance(welcome, notices.Welcome)
    assert (welcome.people, welcome.most_people) == (0, 0)
    assert refusals([refused]) == ["no-right"]
    server.ask(1, events.Claim("zoe"), events.Join("lobby"), events.Rooms())
    listed = server.told(1)[-1]
    assert listed == notices.RoomList((notices.RoomInfo("lobby", 1, ""),), 0, 1, 1)
