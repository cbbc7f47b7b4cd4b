"""What moderators may do in a room, and what becomes of those whom it is done to."""

from __future__ import annotations

import msgspec
import pytest

from tcpchat_core import (
    ChatState,
    Event,
    Notice,
    Request,
    ServerProtocol,
    StateLimits,
    events,
    notices,
)
from tcpchat_core.durations import parse_duration, shown_duration
from tcpchat_core.notices import Left, Rejected, Restricted
from tcpchat_core.server.access import PASSWORD_DELAY_MS
from tcpchat_core.server.queries import room_list
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

MINUTE = 60_000


def kick(target: str, reason: str = "") -> events.Kick:
    return events.Kick("lobby", target, reason, "lobby", name(target).key)


def restrict(
    what: events.Restraint, target: str, ms: int = MINUTE, reason: str = ""
) -> events.Restrict:
    return events.Restrict("lobby", target, what, ms, reason, "lobby", name(target).key)


def lift(what: events.Restraint, target: str) -> events.Lift:
    return events.Lift("lobby", target, what, "lobby", name(target).key)


def role(target: str, role: events.RoomRole = "moderator") -> events.Role:
    return events.Role("lobby", target, role, "lobby", name(target).key)


BANS = events.Restrictions("lobby", "lobby")


def refusals(told: list[Notice]) -> list[str]:
    return [notice.reason for notice in told if isinstance(notice, Rejected)]


class Lobby(Talk):
    """ada has made the lobby, bob and eve are in it; ada and eve come from one address."""

    def __init__(self, limits: StateLimits | None = None, *, sessions: bool = False) -> None:
        super().__init__(ChatState(limits=limits))
        for conn, typed in enumerate(("ada", "bob", "eve"), 1):
            word = session(typed) if sessions else ""
            self.do(conn, events.Connect(word, "school" if conn != 2 else "home"))
            self.do(conn, nick(typed))
            self.do(conn, joins("lobby"))

    @property
    def now(self) -> int:
        """The time of the next entry."""
        return START_MS + STEP_MS * (self.state.seq + 1)

    def wait(self, ms: int) -> None:
        """Let time pass, in entries that do nothing."""
        for _ in range(ms // STEP_MS):
            self.do(99, BANS)

    def new(self, conn: int, origin: str = "", word: str = "") -> list[Notice]:
        """Somebody comes, and joins the lobby; what it is told."""
        self.do(conn, events.Connect(word, origin))
        return self.do(conn, joins("lobby"))[conn]

    def members(self) -> tuple[str, ...]:
        room = self.state.room("lobby")
        assert room is not None
        return room.nicks()


# ── Roles ────────────────────────────────────────────────────────────────────────────────────


def test_who_makes_a_room_moderates_it_and_all_who_come_are_told() -> None:
    talk = Lobby()
    entered = talk.new(4)[0]
    assert isinstance(entered, notices.Entered)
    assert entered.moderators == ("ada",)


def test_who_joins_by_an_entry_of_before_there_were_moderators_is_none() -> None:
    talk = Talk()
    talk.people("ada")
    entered = talk.do(1, join("lobby"))[1][0]
    assert isinstance(entered, notices.Entered)
    assert entered.moderators == ()


def test_who_is_first_in_a_room_that_was_configured_is_no_moderator() -> None:
    talk = Talk()
    talk.do(0, events.Configure({}, (("lobby", "lobby"),)))
    talk.people("ada", "bob")
    for conn in (1, 2):
        talk.do(conn, joins("lobby"))
    assert refusals(talk.do(1, kick("bob"))[1]) == ["no-right"]


@pytest.mark.parametrize(
    "event",
    [
        kick("eve"),
        restrict("ban", "eve"),
        restrict("mute", "eve"),
        lift("ban", "eve"),
        role("bob"),
        BANS,
    ],
    ids=lambda event: type(event).__name__,
)
def test_only_a_moderator_may(event: Event) -> None:
    talk = Lobby()
    before = talk.state.digest()
    assert refusals(talk.do(2, event)[2]) == ["no-right"]
    talk.do(4, events.Connect())
    assert refusals(talk.do(4, event)[4]) == ["not-in-room"]
    talk.do(4, events.Quit())
    assert ChatState.restore(talk.state.snapshot()).digest() == talk.state.digest() != before
    assert talk.members() == ("ada", "bob", "eve")
    room = talk.state.room("lobby")
    assert room is not None
    assert room.rules is None


def test_a_moderator_makes_another_and_either_may_end_that() -> None:
    talk = Lobby()
    told = notices.RoleSet("lobby", "bob", "moderator", "ada")
    assert talk.do(1, role("bob")) == {1: [told], 2: [told], 3: [told]}
    assert talk.do(1, role("bob")) == {1: [told], 2: [told], 3: [told]}
    ended = notices.RoleSet("lobby", "ada", "member", "bob")
    assert talk.do(2, role("ada", "member"))[3] == [ended]
    assert refusals(talk.do(1, kick("eve"))[1]) == ["no-right"]
    assert talk.do(2, kick("eve"))[3] != []


def test_a_room_has_so_many_moderators_and_no_more() -> None:
    talk = Lobby(StateLimits(moderators=2))
    talk.do(1, role("bob"))
    assert refusals(talk.do(1, role("eve"))[1]) == ["too-many"]


def test_a_moderator_is_not_restricted_before_its_role_is_taken() -> None:
    talk = Lobby()
    talk.do(1, role("bob"))
    for event in (kick("bob"), restrict("mute", "bob"), restrict("ban", "bob"), kick("ada")):
        assert refusals(talk.do(1, event)[1]) == ["no-right"]
    talk.do(1, role("bob", "member"))
    assert talk.do(1, kick("bob"))[2] != []


def test_a_role_outlasts_a_lost_connection_and_ends_with_leaving() -> None:
    talk = Lobby(sessions=True)
    talk.do(1, events.Disconnect("lost"))
    resumed = talk.do(4, events.Resume(session("ada"), session("new")))[4][0]
    assert isinstance(resumed, notices.Resumed)
    assert resumed.rooms[0].moderators == ("ada",)
    assert talk.do(4, kick("bob"))[2] != []
    talk.do(4, events.Out("lobby", "lobby"))
    talk.do(4, joins("lobby"))
    assert refusals(talk.do(4, kick("eve"))[4]) == ["no-right"]


def test_when_the_last_moderator_leaves_nobody_follows_and_an_empty_room_is_made_anew() -> None:
    talk = Lobby()
    talk.do(1, restrict("ban", "bob"))
    talk.do(1, events.Quit())
    assert refusals(talk.do(3, kick("bob"))[3]) == ["no-right"]
    assert refusals(talk.do(2, joins("lobby"))[2]) == ["banned"]
    talk.do(3, events.Out("lobby", "lobby"))
    entered = talk.do(2, joins("lobby"))[2][0]
    assert isinstance(entered, notices.Entered)
    assert entered.moderators == ("bob",)


def test_of_a_room_that_always_exists_restrictions_end_when_it_is_empty() -> None:
    talk = Lobby()
    talk.do(0, events.Configure({}, (("lobby", "lobby"),)))
    talk.do(1, restrict("ban", "bob"))
    for conn in (1, 3):
        talk.do(conn, events.Out("lobby", "lobby"))
    assert refusals(talk.do(2, joins("lobby"))[2]) == []


# ── Kicks ────────────────────────────────────────────────────────────────────────────────────


def test_who_is_kicked_is_told_by_whom_and_why_and_hears_nothing_after() -> None:
    talk = Lobby()
    left = Left("lobby", "bob", by="ada", reason="spam", at=talk.now)
    own = Left("lobby", "bob", own=True, by="ada", reason="spam", at=talk.now)
    assert talk.do(1, kick("bob", "spam")) == {1: [left], 2: [own], 3: [left]}
    assert 2 not in talk.do(1, say("lobby", "gone"))
    assert refusals(talk.do(2, say("lobby", "but"))[2]) == ["not-in-room"]
    assert refusals(talk.do(2, joins("lobby"))[2]) == []


def test_who_is_not_there_cannot_be_kicked_or_muted_or_made_a_moderator() -> None:
    talk = Lobby()
    talk.do(4, events.Connect())
    for event in (kick("dana"), restrict("mute", "dana"), restrict("ban", "dana"), role("dana")):
        assert refusals(talk.do(1, event)[1]) == ["no-such-nick"]
    talk.do(4, nick("dana"))
    for event in (kick("dana"), restrict("mute", "dana"), role("dana")):
        assert refusals(talk.do(1, event)[1]) == ["no-such-nick"]


def test_a_session_that_was_kicked_while_away_is_told_so_and_sent_nothing_said_since() -> None:
    talk = Lobby(sessions=True)
    seen = talk.began["lobby"]
    talk.do(2, events.Disconnect("lost"))
    talk.do(1, say("lobby", "before"))
    left = Left("lobby", "bob", own=True, by="ada", reason="spam", at=talk.now)
    assert 2 not in talk.do(1, kick("bob", "spam"))
    talk.do(1, say("lobby", "after"))
    talk.state = restored(talk.state.snapshot())
    resume = events.Resume(session("bob"), session("new"), {"lobby": seen})
    resumed, *rest = talk.do(4, resume)[4]
    assert isinstance(resumed, notices.Resumed)
    assert resumed.rooms == ()
    assert rest == [left]
    # A client that has heard of it does not say any more that it is there.
    again = talk.do(5, events.Resume(session("bob"), session("new")))[5]
    assert [type(notice) for notice in again] == [notices.Resumed]
    # And who is in again was not put out.
    talk.do(5, joins("lobby"))
    again = talk.do(6, resume)[6]
    assert [type(notice) for notice in again] == [notices.Resumed]


def test_a_session_remembers_no_more_rooms_that_it_was_put_out_of_than_it_may_be_in() -> None:
    talk = Lobby(StateLimits(rooms_per_person=1), sessions=True)
    talk.do(1, kick("bob"))
    talk.do(4, events.Connect())
    talk.do(4, joins("tea"))
    talk.do(2, joins("tea"))
    talk.do(4, events.Kick("tea", "bob", "", "tea", "bob"))
    seen = {"lobby": 1, "tea": 1}
    _, *rest = talk.do(5, events.Resume(session("bob"), session("new"), seen))[5]
    assert [left.room for left in rest if isinstance(left, Left)] == ["tea"]


# ── Bans ─────────────────────────────────────────────────────────────────────────────────────


def test_who_is_banned_is_put_out_and_may_come_in_again_when_it_is_over() -> None:
    talk = Lobby()
    left = Left("lobby", "bob", by="ada", at=talk.now, until=talk.now + 100)
    assert talk.do(1, restrict("ban", "bob", 100))[3] == [left]
    refused = talk.do(2, joins("lobby"))[2]
    assert refused == [Rejected("banned", "you are banned from lobby for another 1 s", "join")]
    talk.wait(70)
    assert refusals(talk.do(2, joins("lobby"))[2]) == ["banned"]
    assert refusals(talk.do(2, joins("lobby"))[2]) == []
    room = talk.state.room("lobby")
    assert room is not None
    assert room.rules is None


def test_a_ban_holds_for_who_comes_again_as_somebody_else_from_the_same_place() -> None:
    talk = Lobby()
    talk.do(1, restrict("ban", "bob"))
    talk.do(2, events.Quit())
    assert refusals(talk.new(4, "home", session("new"))) == ["banned"]
    assert refusals(talk.new(5, "elsewhere")) == []
    assert refusals(talk.new(6)) == []


def test_a_ban_from_an_unknown_place_holds_for_nobody_else() -> None:
    talk = Lobby()
    talk.new(4)
    talk.do(4, nick("troll"))
    talk.do(1, restrict("ban", "troll"))
    assert refusals(talk.new(5)) == []


def test_a_ban_holds_for_an_away_session_that_comes_back_from_elsewhere() -> None:
    talk = Lobby(sessions=True)
    talk.do(2, events.Disconnect("lost"))
    talk.do(1, restrict("ban", "bob"))
    talk.do(4, events.Resume(session("bob"), session("new"), {}, 0, "", "elsewhere"))
    assert refusals(talk.do(4, joins("lobby"))[4]) == ["banned"]


def test_who_is_in_already_may_stay_when_somebody_behind_the_same_address_is_banned() -> None:
    talk = Lobby()
    talk.new(4, "school")
    talk.do(4, nick("troll"))
    talk.do(1, restrict("ban", "troll"))
    assert talk.members() == ("ada", "bob", "eve")
    talk.do(3, events.Out("lobby", "lobby"))
    assert refusals(talk.do(3, joins("lobby"))[3]) == ["banned"]


def test_somebody_who_is_elsewhere_can_be_banned_and_the_room_is_told() -> None:
    talk = Lobby()
    talk.do(4, events.Connect())
    talk.do(4, nick("troll"))
    told = Restricted("lobby", "troll", "ban", talk.now + MINUTE, "ada", talk.now, "spam")
    assert talk.do(1, restrict("ban", "troll", reason="spam")) == {1: [told], 2: [told], 3: [told]}
    assert refusals(talk.do(4, joins("lobby"))[4]) == ["banned"]


def test_another_nick_does_not_help() -> None:
    talk = Lobby()
    talk.do(1, restrict("mute", "bob"))
    talk.do(2, nick("robert"))
    assert refusals(talk.do(2, say("lobby", "hi"))[2]) == ["muted"]


def test_a_ban_is_lifted_by_the_nick_of_then_and_by_that_of_now() -> None:
    for typed in ("bob", "robert"):
        talk = Lobby()
        talk.do(1, restrict("ban", "bob"))
        talk.do(2, nick("robert"))
        lifted = notices.Lifted("lobby", "bob", "ban", "ada")
        assert talk.do(1, lift("ban", typed)) == {1: [lifted], 3: [lifted]}
        assert refusals(talk.do(2, joins("lobby"))[2]) == []
    assert refusals(talk.do(1, lift("ban", "bob"))[1]) == ["no-such-nick"]
    assert refusals(talk.do(1, lift("mute", "bob"))[1]) == ["no-such-nick"]


def test_when_one_of_two_bans_from_a_place_is_lifted_the_other_holds() -> None:
    talk = Lobby()
    talk.do(1, restrict("ban", "bob"))
    for conn, typed, ms in ((4, "troll", 100_000), (5, "gnome", 50_000), (6, "elf", 70_000)):
        talk.do(conn, events.Connect("", "cave"))
        talk.do(conn, nick(typed))
        talk.do(1, restrict("ban", typed, ms))
    talk.do(1, lift("ban", "troll"))
    talk.do(1, lift("ban", "gnome"))
    assert refusals(talk.new(7, "cave")) == ["banned"]
    talk.do(1, lift("ban", "elf"))
    assert refusals(talk.new(8, "cave")) == []


def test_a_ban_that_is_given_again_replaces_the_earlier_one() -> None:
    talk = Lobby()
    talk.do(1, restrict("ban", "bob", 100_000))
    talk.do(1, restrict("ban", "bob", 20))
    talk.wait(20)
    assert refusals(talk.new(4, "home")) == []


def test_a_restriction_is_as_long_as_usual_and_never_longer_than_it_may_be() -> None:
    talk = Lobby(StateLimits(ban_ms=3_000, mute_ms=2_000, restriction_ms=9_000))
    ends: list[int] = []
    for what, ms in (("mute", 0), ("ban", 0), ("ban", 10**15)):
        now = talk.now
        assert what in ("mute", "ban")
        (told,) = talk.do(1, restrict(what, "bob", ms))[3]  # type: ignore[arg-type] # as checked
        assert isinstance(told, Restricted | Left)
        ends.append(told.until - now)
    assert ends == [2_000, 3_000, 9_000]


def test_a_room_holds_so_many_bans_and_those_that_are_over_make_place() -> None:
    talk = Lobby(StateLimits(restrictions=1))
    talk.do(1, restrict("ban", "bob", 100))
    assert refusals(talk.do(1, restrict("ban", "eve"))[1]) == ["too-many"]
    assert talk.members() == ("ada", "eve")
    assert refusals(talk.do(1, restrict("ban", "bob", 50))[1]) == []
    talk.wait(50)
    assert refusals(talk.do(1, restrict("ban", "eve"))[1]) == []


def test_a_moderator_is_told_of_the_restrictions_that_are_in_force() -> None:
    talk = Lobby()
    talk.do(1, restrict("mute", "eve", 40, "noise"))
    talk.do(1, restrict("ban", "bob", 1_000))
    bob = notices.RestrictionInfo("bob", "ban", talk.now - STEP_MS + 1_000, "ada")
    eve = notices.RestrictionInfo("eve", "mute", talk.now - 2 * STEP_MS + 40, "ada", "noise")
    now = talk.now
    assert talk.do(1, BANS)[1] == [notices.RestrictionList("lobby", (bob, eve), now)]
    talk.wait(30)
    now = talk.now
    assert talk.do(1, BANS)[1] == [notices.RestrictionList("lobby", (bob,), now)]


def test_ten_thousand_bans_are_looked_up_as_one_is() -> None:
    """Each look-up is that of a dict, so nothing of the table is walked over."""
    talk = Lobby(StateLimits(restrictions=10_000))
    for conn in range(10, 10_009):
        talk.do(conn, events.Connect("", f"place {conn}"))
        guest = f"guest-{conn - 9}"
        talk.do(1, events.Restrict("lobby", guest, "ban", 10**9, "", "lobby", guest))
    room = talk.state.room("lobby")
    assert room is not None
    assert room.rules is not None
    assert len(room.rules.bans) == 9_999
    steps = _calls(lambda: talk.do(20_000, events.Connect("", "place 500")))
    steps += _calls(lambda: talk.do(20_000, joins("lobby")))
    assert steps < 200


def _calls(function: object) -> int:
    """How many lines of code are run by something."""
    import sys
    from types import FrameType

    lines = 0

    def trace(_frame: FrameType, event: str, _argument: object) -> object:
        nonlocal lines
        lines += event == "line"
        return trace

    assert callable(function)
    before = sys.gettrace()
    sys.settrace(trace)  # type: ignore[arg-type] # a function that returns itself has no type
    try:
        function()
    finally:
        sys.settrace(before)
    return lines


# ── Mutes ────────────────────────────────────────────────────────────────────────────────────


def test_who_is_muted_is_told_until_when_and_each_line_is_refused_until_then() -> None:
    talk = Lobby()
    told = Restricted("lobby", "bob", "mute", talk.now + 100, "ada", talk.now, "noise")
    own = Restricted("lobby", "bob", "mute", talk.now + 100, "ada", talk.now, "noise", own=True)
    assert talk.do(1, restrict("mute", "bob", 100, "noise")) == {1: [told], 2: [own], 3: [told]}
    text = "you are muted in lobby for another 1 s"
    assert talk.do(2, say("lobby", "hi", "7")) == {2: [Rejected("muted", text, "say", "7")]}
    refused = Rejected("muted", text, "topic")
    assert talk.do(2, events.Topic("lobby", "hi", "lobby")) == {2: [refused]}
    talk.wait(60)
    assert refusals(talk.do(2, say("lobby", "hi"))[2]) == ["muted"]
    assert refusals(talk.do(2, say("lobby", "hi"))[2]) == []


def test_a_mute_is_of_one_room_and_not_of_direct_messages() -> None:
    talk = Lobby()
    talk.do(1, restrict("mute", "bob"))
    talk.do(2, joins("tea"))
    assert refusals(talk.do(2, say("tea", "hi"))[2]) == []
    assert refusals(talk.do(2, events.Tell("ada", "hi", None, "ada"))[2]) == []


def test_a_receipt_comes_again_to_who_was_muted_since() -> None:
    talk = Lobby()
    receipt = talk.do(2, say("lobby", "hi", "7"))[2]
    talk.do(1, restrict("mute", "bob"))
    assert talk.do(2, say("lobby", "hi", "7"))[2] == receipt


def test_who_is_muted_has_no_last_words() -> None:
    talk = Lobby()
    talk.do(1, restrict("mute", "bob"))
    assert talk.do(2, events.Quit("so there"))[1] == [notices.Gone("bob")]
    assert talk.do(3, events.Quit("so there"))[1] == [notices.Gone("eve", "so there")]


def test_who_may_say_nothing_in_a_room_leaves_it_without_a_reason() -> None:
    talk = Lobby()
    out = events.Out("lobby", "lobby", "so there")
    talk.do(1, restrict("mute", "bob"))
    assert talk.do(2, out)[1] == [notices.Left("lobby", "bob")]
    own = notices.Left("lobby", "eve", own=True, reason="so there")
    assert talk.do(3, out) == {1: [notices.Left("lobby", "eve", reason="so there")], 3: [own]}
    talk.do(3, joins("lobby"))
    talk.do(0, events.Configure({"guests": 0}))
    assert talk.do(3, out)[1] == [notices.Left("lobby", "eve")]


def test_a_reason_to_leave_is_a_line_where_one_speaks_once_in_a_while() -> None:
    talk = Lobby()
    talk.do(1, mode(slow_ms=5_000))
    out = events.Out("lobby", "lobby", "so there")
    assert talk.do(2, out)[1] == [notices.Left("lobby", "bob", reason="so there")]
    talk.do(2, joins("lobby"))
    assert talk.do(2, out)[1] == [notices.Left("lobby", "bob")]
    talk.do(2, joins("lobby"))
    assert refusals(talk.do(2, say("lobby", "hi"))[2]) == ["slow"]


def test_a_mute_is_lifted_and_all_are_told_also_when_its_nick_is_another() -> None:
    talk = Lobby()
    talk.do(1, restrict("mute", "bob"))
    talk.do(2, nick("robert"))
    lifted = notices.Lifted("lobby", "robert", "mute", "ada")
    own = notices.Lifted("lobby", "robert", "mute", "ada", own=True)
    assert talk.do(1, lift("mute", "bob")) == {1: [lifted], 2: [own], 3: [lifted]}
    assert refusals(talk.do(2, say("lobby", "hi"))[2]) == []


def test_a_mute_holds_for_who_leaves_and_comes_again_and_for_who_comes_from_there() -> None:
    talk = Lobby()
    talk.do(1, restrict("mute", "bob", reason="noise"))
    until = talk.now - STEP_MS + MINUTE
    talk.do(2, events.Out("lobby", "lobby"))
    now = talk.now
    own = Restricted("lobby", "bob", "mute", until, "ada", now, "noise", own=True)
    assert talk.do(2, joins("lobby"))[2][1:] == [own]
    talk.do(2, events.Quit())
    _, told = talk.new(4, "home")
    assert isinstance(told, Restricted)
    assert (told.nick, told.until, told.own) == ("guest-1", until, True)
    assert refusals(talk.do(4, say("lobby", "hi"))[4]) == ["muted"]
    assert refusals(talk.do(3, say("lobby", "hi"))[3]) == []


def test_who_is_in_already_may_speak_when_somebody_behind_the_same_address_is_muted() -> None:
    talk = Lobby()
    talk.do(1, role("bob"))
    talk.do(1, role("ada", "member"))
    talk.do(2, restrict("mute", "eve"))
    assert refusals(talk.do(1, say("lobby", "hi"))[1]) == []


def test_where_no_more_can_be_muted_nobody_comes_in_from_where_somebody_is() -> None:
    talk = Lobby(StateLimits(restrictions=1))
    talk.do(1, restrict("mute", "bob"))
    assert refusals(talk.new(4, "home")) == ["muted"]
    assert refusals(talk.new(5, "elsewhere")) == []


def test_a_moderator_may_speak_whatever_was_before() -> None:
    talk = Lobby()
    talk.do(1, restrict("mute", "bob"))
    talk.do(1, role("bob"))
    assert refusals(talk.do(2, say("lobby", "hi"))[2]) == []


def test_a_session_that_was_muted_while_away_is_told_so() -> None:
    talk = Lobby(sessions=True)
    talk.do(2, events.Disconnect("lost"))
    talk.do(1, restrict("mute", "bob", reason="noise"))
    until = talk.now - STEP_MS + MINUTE
    now = talk.now
    resumed = talk.do(4, events.Resume(session("bob"), session("new")))[4]
    own = Restricted("lobby", "bob", "mute", until, "ada", now, "noise", own=True)
    assert resumed[1:] == [own]


# ── How one talks in a room ──────────────────────────────────────────────────────────────────


def mode(
    slow_ms: int | None = None,
    moderated: bool | None = None,
    private: bool | None = None,
    topic_locked: bool | None = None,
) -> events.RoomMode:
    return events.RoomMode("lobby", slow_ms, moderated, private, "lobby", topic_locked=topic_locked)


def invite(target: str = "", code: str = "") -> events.Invite:
    return events.Invite("lobby", target, code, "lobby", name(target).key if target else "")


def test_in_a_slow_room_one_waits_between_two_lines_and_a_moderator_does_not() -> None:
    talk = Lobby()
    told = notices.ModeSet("lobby", "ada", 40, changed=("slow_ms",))
    assert talk.do(1, mode(slow_ms=40)) == {1: [told], 2: [told], 3: [told]}
    assert refusals(talk.do(2, say("lobby", "a"))[2]) == []
    text = "in lobby one speaks once in 1 s; wait another 1 s"
    assert talk.do(2, say("lobby", "b", "7"))[2] == [Rejected("slow", text, "say", "7")]
    assert refusals(talk.do(3, say("lobby", "c"))[3]) == []
    for _ in range(2):
        assert refusals(talk.do(1, say("lobby", "d"))[1]) == []
    assert refusals(talk.do(2, say("lobby", "f"))[2]) == []
    assert talk.do(1, mode(slow_ms=0))[1] == [notices.ModeSet("lobby", "ada", changed=("slow_ms",))]
    assert refusals(talk.do(2, say("lobby", "g"))[2]) == []


@pytest.mark.parametrize(
    ("event", "changed"),
    [
        (mode(slow_ms=40, moderated=True), ("slow_ms",)),
        (mode(private=True), ("private",)),
        (mode(topic_locked=True), ("topic_locked",)),
        (mode(topic_locked=False), ()),
        (events.RoomMode("lobby", key="lobby", unlisted=True), ("unlisted",)),
        (events.RoomMode("lobby", key="lobby", secret="word"), ("private",)),
        (events.RoomMode("lobby", key="lobby", secret=""), ()),
        (mode(moderated=True), ()),
        (mode(moderated=False, private=False), ("moderated",)),
    ],
)
def test_a_room_is_told_what_is_not_as_before(
    event: events.RoomMode, changed: tuple[str, ...]
) -> None:
    talk = Lobby()
    talk.do(1, mode(moderated=True))
    [told] = talk.do(1, event)[2]
    assert isinstance(told, notices.ModeSet)
    assert told.changed == changed


def test_who_becomes_an_account_waits_in_a_slow_room_as_before() -> None:
    talk = Lobby()
    talk.do(0, events.Grant("zoe", "zoe", "code"))
    talk.do(1, mode(slow_ms=60_000))
    for conn in (3, 2):
        talk.do(conn, say("lobby", "a"))
    talk.do(3, events.Claim("code", "", "device"))
    assert refusals(talk.do(3, say("lobby", "b"))[3]) == ["slow"]


def test_a_slow_room_remembers_no_more_people_than_its_bound() -> None:
    talk = Lobby(StateLimits(restrictions=1, slow_ms=1_000))
    told = notices.ModeSet("lobby", "ada", 1_000, changed=("slow_ms",))
    assert talk.do(1, mode(slow_ms=10**9))[1] == [told]
    for conn in (2, 3, 2):  # who spoke before the last one is forgotten
        assert refusals(talk.do(conn, say("lobby", "a"))[conn]) == []
    assert refusals(talk.do(2, say("lobby", "b"))[2]) == ["slow"]


def test_in_a_moderated_room_only_moderators_speak() -> None:
    talk = Lobby()
    talk.do(1, mode(moderated=True))
    text = "only who moderates lobby speaks there now"
    assert talk.do(2, say("lobby", "hi"))[2] == [Rejected("muted", text, "say")]
    assert refusals(talk.do(1, say("lobby", "hi"))[1]) == []
    assert refusals(talk.do(2, events.Topic("lobby", "hi", "lobby"))[2]) == ["muted"]
    talk.do(1, mode(moderated=False))
    assert refusals(talk.do(2, say("lobby", "hi"))[2]) == []


@pytest.mark.parametrize(
    "leaves",
    [events.Out("lobby", "lobby"), events.Quit(), events.Disconnect("lost"), role("ada", "member")],
    ids=lambda event: type(event).__name__,
)
def test_when_nobody_moderates_any_more_everybody_may_speak(leaves: Event) -> None:
    talk = Lobby()
    talk.do(1, mode(moderated=True, slow_ms=5_000))
    told = notices.ModeSet("lobby", "", 5_000, changed=("moderated",))
    assert talk.do(1, leaves)[3][-1] == told
    assert refusals(talk.do(2, say("lobby", "hi"))[2]) == []


def test_where_the_topic_is_locked_only_moderators_set_it_and_all_others_still_speak() -> None:
    talk = Lobby()
    told = notices.ModeSet("lobby", "ada", topic_locked=True, changed=("topic_locked",))
    assert talk.do(1, mode(topic_locked=True)) == {1: [told], 2: [told], 3: [told]}
    tea = events.Topic("lobby", "tea", "lobby")
    text = "only who moderates lobby sets its topic"
    assert talk.do(2, tea) == {2: [Rejected("no-right", text, "topic")]}
    assert refusals(talk.do(2, say("lobby", "hi"))[2]) == []
    assert refusals(talk.do(1, tea)[1]) == []
    talk.do(1, mode(topic_locked=False))
    assert refusals(talk.do(2, tea)[2]) == []


def test_an_unlisted_room_is_listed_for_who_is_in_it_and_anybody_comes_in_by_its_name() -> None:
    talk = Lobby()
    talk.do(4, events.Connect())
    told = notices.ModeSet("lobby", "ada", unlisted=True, changed=("unlisted",))
    assert talk.do(1, events.RoomMode("lobby", key="lobby", unlisted=True))[2] == [told]
    state = ChatState.restore(talk.state.snapshot())
    for each in (state, talk.state):
        assert room_list(each, 9, each.person(1)).rooms == (notices.RoomInfo("lobby", 3),)
        assert room_list(each, 9, each.person(4)) == notices.RoomList((), people=4)
    entered = talk.do(4, joins("lobby"))[4][0]
    assert isinstance(entered, notices.Entered)
    assert entered.unlisted
    talk.do(1, events.RoomMode("lobby", key="lobby", unlisted=False))
    assert len(room_list(talk.state, 9).rooms) == 1


def test_who_is_refused_a_topic_may_say_the_next_line_of_a_slow_room() -> None:
    talk = Lobby()
    talk.do(1, mode(slow_ms=60_000, topic_locked=True))
    assert refusals(talk.do(2, events.Topic("lobby", "tea", "lobby"))[2]) == ["no-right"]
    assert refusals(talk.do(2, say("lobby", "hi"))[2]) == []


def test_a_topic_that_is_locked_is_so_in_a_state_that_is_restored_and_until_the_last_has_left() -> (
    None
):
    talk = Lobby()
    talk.do(1, mode(topic_locked=True, moderated=True))
    again = ChatState.restore(talk.state.snapshot())
    assert again.digest() == talk.state.digest()
    room = again.room("lobby")
    assert room is not None
    assert room.rules is not None
    assert room.rules.topic_locked
    told = notices.ModeSet("lobby", "", changed=("moderated", "topic_locked"))
    assert talk.do(1, events.Quit())[3][-1] == told
    assert refusals(talk.do(2, events.Topic("lobby", "tea", "lobby"))[2]) == []


def test_who_comes_and_who_resumes_is_told_how_one_talks_there() -> None:
    talk = Lobby(sessions=True)
    talk.do(1, mode(slow_ms=5_000, moderated=True))
    entered = talk.new(4)[0]
    assert isinstance(entered, notices.Entered)
    assert (entered.slow_ms, entered.moderated, entered.private) == (5_000, True, False)
    resumed = talk.do(5, events.Resume(session("bob"), session("new")))[5][0]
    assert isinstance(resumed, notices.Resumed)
    assert (resumed.rooms[0].slow_ms, resumed.rooms[0].moderated) == (5_000, True)


# ── Private rooms ────────────────────────────────────────────────────────────────────────────

NOT_INVITED = Rejected("private", "lobby is private; who moderates it can invite you", "join")


def test_into_a_private_room_one_comes_by_invitation_only() -> None:
    talk = Lobby()
    talk.do(1, mode(private=True))
    assert talk.new(4) == [NOT_INVITED]
    talk.do(4, nick("dana"))
    told = notices.Invited("lobby", "ada", talk.now + 7 * 86_400_000, talk.now, "dana")
    assert talk.do(1, invite("dana")) == {1: [told], 4: [told]}
    assert refusals(talk.do(4, joins("lobby"))[4]) == []
    # It holds for a while, also for who has left; but not for who was put out.
    talk.do(4, events.Out("lobby", "lobby"))
    assert refusals(talk.do(4, joins("lobby"))[4]) == []
    talk.do(1, kick("dana"))
    assert talk.do(4, joins("lobby"))[4] == [NOT_INVITED]


def test_who_leaves_a_private_room_without_an_invitation_is_out() -> None:
    talk = Lobby()
    talk.do(1, mode(private=True))
    talk.do(2, events.Out("lobby", "lobby"))
    assert talk.do(2, joins("lobby"))[2] == [NOT_INVITED]


def test_a_code_lets_in_whoever_has_it_until_its_time() -> None:
    talk = Lobby(StateLimits(invitation_ms=80))
    talk.do(1, mode(private=True))
    told = notices.Invited("lobby", "ada", talk.now + 80, talk.now)
    assert talk.do(1, invite(code="abc")) == {1: [told]}
    talk.do(4, events.Connect())
    right = events.Join("lobby", "lobby", roles=True, code="abc")
    assert talk.do(4, events.Join("lobby", "lobby", roles=True, code="abd"))[4] == [NOT_INVITED]
    assert refusals(talk.do(4, right)[4]) == []
    talk.do(4, events.Out("lobby", "lobby"))
    talk.wait(80)
    assert talk.do(4, right)[4] == [NOT_INVITED]


def test_an_invitation_ends_at_its_time() -> None:
    talk = Lobby(StateLimits(invitation_ms=40))
    talk.do(1, mode(private=True))
    talk.do(2, events.Out("lobby", "lobby"))
    talk.do(1, invite("bob"))
    assert refusals(talk.do(2, joins("lobby"))[2]) == []
    talk.do(2, events.Out("lobby", "lobby"))
    talk.wait(10)
    assert talk.do(2, joins("lobby"))[2] == [NOT_INVITED]


def test_a_room_holds_so_many_invitations_and_takes_them_back_when_it_is_closed_again() -> None:
    talk = Lobby(StateLimits(invitations=1))
    talk.do(1, mode(private=True))
    for conn in (2, 3):
        talk.do(conn, events.Out("lobby", "lobby"))
    for event in (invite("bob"), invite("bob"), invite(code="a"), invite(code="a")):
        assert refusals(talk.do(1, event)[1]) == []
    for event in (invite("eve"), invite(code="b")):
        assert refusals(talk.do(1, event)[1]) == ["too-many"]
    talk.do(1, mode(private=True))
    assert refusals(talk.do(1, invite(code="b"))[1]) == []
    talk.do(4, events.Connect())
    assert talk.do(4, events.Join("lobby", "lobby", code="a"))[4] == [NOT_INVITED]
    assert refusals(talk.do(1, invite("dana"))[1]) == ["no-such-nick"]


def test_who_is_in_a_room_is_not_told_of_an_invitation_which_holds_once_it_has_left() -> None:
    talk = Lobby()
    talk.do(1, mode(private=True))
    for present in ("ada", "bob"):
        refused = Rejected("already-there", f"{present} is in lobby already", "invite")
        assert talk.do(1, invite(present)) == {1: [refused]}
    for conn in (2, 3):
        talk.do(conn, events.Out("lobby", "lobby"))
    assert isinstance(talk.do(2, joins("lobby"))[2][0], notices.Entered)
    assert talk.do(3, joins("lobby"))[3] == [NOT_INVITED]


@pytest.mark.parametrize("event", [mode(private=True), invite("eve"), invite(code="a")], ids=str)
def test_only_a_moderator_closes_a_room_and_invites(event: Event) -> None:
    talk = Lobby()
    assert refusals(talk.do(2, event)[2]) == ["no-right"]
    talk.do(4, events.Connect())
    assert refusals(talk.do(4, event)[4]) == ["not-in-room"]


def test_a_ban_is_stronger_than_an_invitation() -> None:
    talk = Lobby()
    talk.do(1, mode(private=True))
    talk.do(1, restrict("ban", "bob"))
    talk.do(1, invite("bob"))
    assert refusals(talk.do(2, joins("lobby"))[2]) == ["banned"]


def test_what_was_said_while_a_room_was_private_is_not_for_who_comes_when_it_is_open() -> None:
    talk = Lobby(sessions=True)
    seen = talk.began["lobby"]
    talk.do(1, say("lobby", "public"))
    talk.do(1, mode(private=True))
    talk.do(2, events.Disconnect("lost"))
    talk.do(1, say("lobby", "secret"))
    talk.do(1, mode(private=False))
    talk.do(1, say("lobby", "open"))
    entered = talk.new(4)[0]
    assert isinstance(entered, notices.Entered)
    assert [said.text for said in entered.history] == ["open"]
    room = restored(talk.state.snapshot()).room("lobby")
    assert room is not None
    assert [said.text for said in room.messages(room.seq, 99)] == []
    assert [said.text for said in room.messages(None, 99)] == ["open"]
    # Who was in it is sent what it has missed.
    replay = talk.do(5, events.Resume(session("bob"), session("new"), {"lobby": seen}))[5]
    texts = [notice.text for notice in replay if isinstance(notice, notices.Said)]
    assert texts == ["public", "secret", "open"]


def test_a_private_room_that_always_exists_is_made_anew_when_it_is_empty() -> None:
    talk = Lobby()
    talk.do(0, events.Configure({}, (("lobby", "lobby"),)))
    talk.do(1, mode(private=True))
    talk.do(1, say("lobby", "secret"))
    for conn in (1, 2, 3):
        talk.do(conn, events.Out("lobby", "lobby"))
    entered = talk.new(4)[0]
    assert isinstance(entered, notices.Entered)
    assert (entered.history, entered.private) == ((), False)
    assert talk.state.configuration.rooms == (("lobby", "lobby"),)


# ── Taking back ──────────────────────────────────────────────────────────────────────────────


def redact(seq: int = 0, target: str = "") -> events.Redact:
    return events.Redact("lobby", seq, target, "lobby", name(target).key if target else "")


def history(talk: Talk) -> list[str]:
    room = talk.state.room("lobby")
    assert room is not None
    assert room.history_chars == sum(len(said.text) for said in room.history)
    return [said.text if not said.redacted else "-" for said in room.history]


def test_ones_own_last_message_is_taken_back_and_keeps_its_number() -> None:
    talk = Lobby()
    first = talk.began["lobby"] + 1
    for text in ("one", "two"):
        talk.do(2, say("lobby", text))
    talk.do(1, say("lobby", "three"))
    told = notices.Redacted("lobby", first + 1, "bob", talk.now, "bob")
    assert talk.do(2, redact()) == {1: [told], 2: [told], 3: [told]}
    assert history(talk) == ["one", "-", "three"]
    talk.do(2, redact())
    assert history(talk) == ["-", "-", "three"]
    assert refusals(talk.do(2, redact())[2]) == ["no-such-message"]
    entered = talk.new(4)[0]
    assert isinstance(entered, notices.Entered)
    assert [said.seq for said in entered.history] == [first, first + 1, first + 2]
    gone = notices.Said("lobby", "bob", "", first, entered.history[0].at, True, None, redacted=True)
    assert entered.history[0] == gone
    room = restored(talk.state.snapshot()).room("lobby")
    assert room is not None
    assert room.history[0] == gone


def test_a_replay_has_what_is_left_of_what_was_taken_back() -> None:
    talk = Lobby(sessions=True)
    first = talk.began["lobby"] + 1
    talk.do(2, say("lobby", "one", "7"))
    talk.do(3, events.Disconnect("lost"))
    talk.do(2, redact(first))
    replay = talk.do(4, events.Resume(session("eve"), session("new"), {"lobby": first - 1}))[4]
    (said,) = [notice for notice in replay if isinstance(notice, notices.Said)]
    assert (said.seq, said.text, said.redacted) == (first, "", True)


def test_a_moderator_takes_back_what_others_said_and_nobody_else_does() -> None:
    talk = Lobby()
    first = talk.began["lobby"] + 1
    talk.do(1, say("lobby", "one"))
    talk.do(2, say("lobby", "two"))
    for event in (redact(first), redact(target="ada"), redact(first + 9)):
        assert refusals(talk.do(2, event)[2]) == ["no-right"]
    told = notices.Redacted("lobby", first + 1, "ada", talk.now, "bob")
    assert talk.do(1, redact(target="bob"))[2] == [told]
    assert refusals(talk.do(1, redact(target="bob"))[1]) == ["no-such-message"]
    assert refusals(talk.do(1, redact(first + 9))[1]) == ["no-such-message"]
    talk.do(4, events.Connect())
    assert refusals(talk.do(4, redact())[4]) == ["not-in-room"]
    talk.do(2, events.Quit())
    talk.do(1, redact(first))
    assert history(talk) == ["-", "-"]


def test_what_somebody_else_said_under_ones_nick_is_not_ones_own() -> None:
    talk = Lobby()
    first = talk.began["lobby"] + 1
    talk.do(2, say("lobby", "mine"))
    talk.do(2, events.Quit())
    talk.do(3, nick("bob"))
    for event in (redact(first), redact(), redact(target="bob")):
        assert refusals(talk.do(3, event)[3]) in (["no-right"], ["no-such-message"])
    assert talk.new(4) != []
    talk.do(3, events.Quit())
    talk.do(4, nick("bob"))
    assert refusals(talk.do(4, redact(first))[4]) == ["no-right"]
    assert history(talk) == ["mine"]


def test_of_a_room_joined_by_an_older_entry_nothing_is_known_for_ones_own() -> None:
    talk = Talk()
    talk.people("ada")
    talk.do(1, join("lobby"))
    talk.do(1, say("lobby", "one"))
    assert refusals(talk.do(1, redact())[1]) == ["no-such-message"]
    talk.do(1, nick("eve"))
    assert history(talk) == ["one"]


def test_what_the_state_has_forgotten_a_moderator_takes_back_by_its_number() -> None:
    talk = Lobby(StateLimits(history_messages=1))
    first = talk.began["lobby"] + 1
    for text in ("one", "two"):
        talk.do(2, say("lobby", text))
    told = notices.Redacted("lobby", first, "ada", talk.now)
    assert talk.do(1, redact(first))[2] == [told]
    assert history(talk) == ["two"]


# ── On the wire ──────────────────────────────────────────────────────────────────────────────


def served() -> MemoryServer:
    """ada types and has made the lobby, bob is a program with a session; both come from home."""
    server = MemoryServer(ServerProtocol(ChatState(), limits=NO_FLOOD_LIMIT))
    for conn, first in ((1, b"/nick ada\n/join lobby\n"), (2, HELLO)):
        server.output[conn] = bytearray()
        made = server.protocol.connection_made(conn, now=0, token=f"t{conn}", origin="home")
        server.carry_out(made)
        server.send(conn, first)
    server.ask(2, nick("bob"), join("lobby"))
    for conn in (1, 2):
        server.read(conn)
    return server


def test_what_a_moderator_types_is_done_and_told_in_both_dialects() -> None:
    server = served()
    server.send(1, b"/mute bob 10m too loud\n")
    (muted,) = server.told(2)
    assert isinstance(muted, Restricted)
    assert (muted.until - muted.at, muted.reason, muted.own) == (600_000, "too loud", True)
    assert server.lines(1) == ["* bob is muted in lobby for 10 min, by ada (too loud)"]
    server.ask(2, events.Say("lobby", "hi", "1"))
    text = "you are muted in lobby for another 10 min"
    assert server.told(2) == [Rejected("muted", text, "say", "1")]
    server.send(1, b"/bans\n/unmute bob\n/mod bob\n/unmod bob\n/ban bob 1h\n/unban bob\n")
    assert server.lines(1) == [
        "* bob is muted in lobby for another 10 min, by ada (too loud)",
        "* bob is not muted in lobby any more, says ada",
        "* bob moderates lobby now, says ada",
        "* bob does not moderate lobby any more, says ada",
        "* bob was banned from lobby for 1 h, by ada",
        "* bob is not banned from lobby any more, says ada",
    ]
    server.ask(2, join("lobby"))
    server.send(1, b"/kick bob\n")
    assert server.lines(1)[-1] == "* bob was put out of lobby by ada"


def test_who_comes_again_in_the_other_dialect_is_known_by_where_it_comes_from() -> None:
    server = served()
    server.send(1, b"/ban bob\n")
    for conn, first in ((3, b"/join lobby\n"), (5, HELLO)):
        server.output[conn] = bytearray()
        server.carry_out(server.protocol.connection_made(conn, now=0, token="t", origin="home"))
        server.send(conn, first)
    assert server.lines(3)[-1] == "! banned: you are banned from lobby for another 60 min"
    server.ask(5, join("lobby"))
    assert refusals(server.told(5)) == ["banned"]
    # The session itself comes back from elsewhere.
    server.output[7] = bytearray()
    server.carry_out(server.protocol.connection_made(7, now=0, token="t7", origin="elsewhere"))
    server.ask(7, events.Hello("t2"), join("lobby"))
    assert refusals(server.told(7)) == ["banned"]


def test_a_code_is_told_to_who_asked_for_it_and_the_log_has_its_hash_only() -> None:
    server = served()
    server.send(1, b"/private on\n/kick bob\n/invite\n")
    *_, line = server.lines(1)
    _, _, code, *rest = line.removeprefix("* ").split()
    assert " ".join(rest) == "lets people in for 7 d"
    assert code.count("-") == 3
    made = server.log[-1].event
    assert isinstance(made, events.Invite)
    assert len(made.code_hash) == 64
    server.read(2)
    server.ask(2, join("lobby"), events.Join("lobby", code="wrong"))
    assert refusals(server.told(2)) == ["private", "private"]
    server.wait(PASSWORD_DELAY_MS)
    server.ask(2, events.Join("lobby", code=code.upper().replace("-", "")))
    assert [type(notice) for notice in server.told(2)] == [notices.Entered]
    assert code.encode() not in msgspec.json.encode(server.log)
    assert code.replace("-", "").encode() not in server.protocol.state.snapshot()
    server.send(1, b"/kick bob\n/invite bob\n/invite\n")
    *_, invited, another = server.lines(1)
    assert invited == "* bob may /join lobby for 7 d, says ada"
    assert code not in another


def test_what_is_taken_back_is_told_in_both_dialects_and_shown_as_such() -> None:
    server = served()
    server.send(1, b"hello\n/redact\n/redact bob\n/history\n")
    assert server.lines(1) == [
        "* ada took back something in lobby",
        "! no-such-message: there is no such message in lobby",
        "* The last 1 said in lobby:",
        "[lobby] * ada (taken back)",
        "* That was the history.",
    ]
    assert [type(notice) for notice in server.told(2)] == [notices.Said, notices.Redacted]
    server.ask(2, events.Redact("lobby", -5))
    assert refusals(server.told(2)) == ["no-such-message"]
    server.ask(2, events.Redact("lobby", 0, "a:b"))
    assert refusals(server.told(2)) == ["no-such-nick"]


def test_who_was_put_out_of_a_room_is_answered_about_all_else() -> None:
    server = served()
    server.send(1, b"/kick bob\n")
    server.read(2)
    server.ask(2, events.Rooms(), join("den"), events.Who("den"))
    kinds = [notices.RoomList, notices.Entered, notices.Members]
    assert [type(notice) for notice in server.told(2)] == kinds


def test_who_asks_who_is_in_a_room_is_told_how_one_talks_there() -> None:
    server = served()
    server.ask(2, events.Who("lobby"))
    server.send(1, b"/slow 5s\n/moderated on\n/private on\n")
    server.ask(2, events.Who("lobby"))
    first, *_, then = [each for each in server.told(2) if isinstance(each, notices.Members)]
    assert first == notices.Members("lobby", ("ada", "bob"), ("ada",))
    how = {"slow_ms": 5_000, "moderated": True, "private": True}
    assert then == msgspec.structs.replace(first, **how)


def test_a_server_without_secrets_makes_no_codes() -> None:
    server = MemoryServer()
    server.connect(1)
    server.send(1, b"/join lobby\n/invite\n")
    assert server.lines(1)[-1].startswith("! unavailable: ")


def test_who_may_not_invite_is_told_no_code() -> None:
    server = served()
    server.ask(2, events.Invite("lobby"))
    assert refusals(server.told(2)) == ["no-right"]
    made = server.log[-1].event
    assert isinstance(made, events.Invite)
    assert made.code_hash


def test_a_private_room_is_listed_to_those_who_are_in_it() -> None:
    server = served()
    server.send(1, b"/private on\n")
    server.connect(4)
    server.send(4, b"/rooms\n/who lobby\n")
    assert server.lines(4)[-2:] == [
        "* There are no rooms yet. /join ROOM makes one.",
        "! not-in-room: you are not in lobby; /join lobby first",
    ]
    server.read(1)
    server.send(1, b"/rooms\n/slow 5s\n/moderated on\n/private off\n/slow off\n/moderated off\n")
    assert server.lines(1) == [
        "* lobby (2)",
        "* lobby is private, slow (one line in 5 s) now, says ada",
        "* lobby is private, for moderators to speak in, slow (one line in 5 s) now, says ada",
        "* lobby is for moderators to speak in, slow (one line in 5 s) now, says ada",
        "* lobby is for moderators to speak in now, says ada",
        "* lobby is open now, says ada",
    ]


@pytest.mark.parametrize(
    ("request_", "reason"),
    [
        (events.RoomMode("lobby"), "bad-usage"),
        (events.RoomMode("lobby", -1), "bad-usage"),
        (events.Invite("lobby", "a:b"), "no-such-nick"),
        (events.Kick("lobby", "a:b"), "no-such-nick"),
        (events.Kick("lobby", "bob", "x" * 201), "too-long"),
        (events.Restrict("lobby", "bob", "mute", -1), "bad-usage"),
        (events.Restrict("a b", "bob", "mute"), "bad-name"),
        (events.Lift("lobby", "", "mute"), "no-such-nick"),
    ],
)
def test_what_makes_no_sense_is_refused_without_an_entry(request_: Request, reason: str) -> None:
    server = served()
    entries = len(server.log)
    server.ask(2, request_)
    assert refusals(server.told(2)) == [reason]
    assert len(server.log) == entries


def test_a_program_cannot_say_whether_it_makes_a_room_its_own() -> None:
    server = served()
    server.send(2, b'{"type":"join","room":"den","roles":false}\n')
    assert server.log[-1].event == events.Join("den", "den", roles=True)


# ── How long ─────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("typed", "ms"),
    [
        ("1s", 1_000),
        ("90s", 90_000),
        ("10m", 600_000),
        ("2H", 7_200_000),
        ("30d", 2_592_000_000),
        ("0s", None),
        ("10", None),
        ("m", None),
        ("1.5h", None),
        ("1000000s", None),
        ("٣s", None),
        ("", None),
    ],
)
def test_a_duration_is_a_number_and_a_unit(typed: str, ms: int | None) -> None:
    assert parse_duration(typed) == ms


@pytest.mark.parametrize(
    ("ms", "shown"),
    [
        (-5, "1 s"),
        (1, "1 s"),
        (1_001, "2 s"),
        (60_000, "1 min"),
        (90_000, "90 s"),
        (120_001, "3 min"),
        (3_600_000, "1 h"),
        (5_400_000, "90 min"),
        (86_400_000, "1 d"),
        (100_000_000, "28 h"),
        (2_592_000_000, "30 d"),
    ],
)
def test_a_duration_is_shown_in_a_unit_that_tells_enough(ms: int, shown: str) -> None:
    assert shown_duration(ms) == shown
