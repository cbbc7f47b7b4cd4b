"""Rooms that belong to accounts: what is kept of them, whose they are, and how far one has read."""

from __future__ import annotations

import pytest

from tcpchat_core import StateLimits, events, notices
from tcpchat_core.notices import Entered, ModeSet, ReadUpTo, RoleSet
from tests.core.harness import joins, name, nick, say, session
from tests.core.test_accounts import Owned, claim, grant, refusals

OUT = events.Out("lobby", "lobby")


def keep(kept: bool = True) -> events.RoomMode:
    return events.RoomMode("lobby", key="lobby", kept=kept)


def role(typed: str, role: events.RoomRole) -> events.Role:
    return events.Role("lobby", typed, role, "lobby", name(typed).key)


class Kept(Owned):
    """As `Owned`; and ada keeps the lobby. eve has an account, and is here on 4, in no room."""

    def __init__(self, limits: StateLimits | None = None) -> None:
        super().__init__(limits)
        self.do(0, grant("eve"))
        self.do(4, events.Connect(session("eve")))
        self.do(4, claim("eve"))
        self.do(1, keep())

    def empty(self) -> None:
        for conn in (1, 3):
            self.do(conn, OUT)


def test_a_room_that_is_kept_stays_when_nobody_is_in_it_with_all_that_it_has() -> None:
    talk = Kept()
    for event in (
        say("lobby", "kept"),
        events.Topic("lobby", "tea", "lobby"),
        role("bob", "moderator"),
        events.Restrict("lobby", "bob", "mute", 60_000, "", "lobby", "bob"),
        events.RoomMode("lobby", private=True, key="lobby"),
        events.Invite("lobby", "eve", "", "lobby", "eve"),
    ):
        talk.do(1, event)
    talk.empty()
    talk.same_again()
    assert talk.members() == ()
    entered = talk.do(4, joins("lobby"))[4][0]
    assert isinstance(entered, Entered)
    assert [said.text for said in entered.history] == ["kept"]
    assert (entered.topic, entered.private, entered.kept) == ("tea", True, True)
    assert entered.moderators == ()  # bob has no account, and has left


def test_all_are_told_that_a_room_is_kept_and_that_it_is_no_more() -> None:
    talk = Owned()
    told = ModeSet("lobby", "ada", kept=True, changed=("kept",))
    assert talk.do(1, keep()) == {1: [told], 2: [told], 3: [told]}
    assert talk.do(2, keep())[3] == [ModeSet("lobby", "ada", kept=True)]
    assert talk.do(2, keep(False))[3] == [ModeSet("lobby", "ada", changed=("kept",))]
    for conn in (1, 3):
        talk.do(conn, OUT)
    assert talk.state.room("lobby") is None


def test_only_an_account_keeps_a_room() -> None:
    talk = Kept()
    assert refusals(talk.do(3, keep())[3]) == ["no-right"]
    talk.do(1, role("bob", "moderator"))
    assert refusals(talk.do(3, keep())[3]) == ["no-right"]
    assert refusals(talk.do(3, keep(False))[3]) == ["no-right"]


def test_an_account_keeps_so_many_rooms() -> None:
    talk = Kept(StateLimits(kept=1))
    talk.do(1, joins("tea"))
    assert refusals(talk.do(1, events.RoomMode("tea", key="tea", kept=True))[1]) == ["too-many"]


def test_who_owns_or_moderates_by_an_account_does_so_still_when_it_comes_again() -> None:
    talk = Kept()
    talk.do(4, joins("lobby"))
    talk.do(1, role("eve", "moderator"))
    for conn in (1, 4):
        talk.do(conn, OUT)
    entered = talk.do(4, joins("lobby"))[4][0]
    assert isinstance(entered, Entered)
    assert entered.moderators == ("eve",)
    talk.do(4, events.RoomMode("lobby", private=True, key="lobby"))
    assert refusals(talk.do(1, joins("lobby"))[1]) == []  # it is hers


def test_roles_are_given_to_accounts_that_are_elsewhere() -> None:
    talk = Kept()
    told = RoleSet("lobby", "eve", "owner", "ada")
    assert talk.do(1, role("eve", "owner"))[3] == [told]
    room = talk.state.room("lobby")
    assert room is not None
    assert talk.state.owners(room) == ("ada", "eve")
    assert refusals(talk.do(1, role("nobody", "moderator"))[1]) == ["no-such-nick"]
    talk.do(4, events.Quit())
    assert talk.do(1, role("eve", "member"))[3] == [RoleSet("lobby", "eve", "member", "ada")]
    assert talk.state.owners(room) == ("ada",)
    talk.do(1, keep(False))
    assert talk.state.owners(room) == ()
    assert refusals(talk.do(1, role("eve", "moderator"))[1]) == ["no-such-nick"]


def test_only_an_owner_says_who_owns_a_room() -> None:
    talk = Kept()
    talk.do(4, joins("lobby"))
    talk.do(1, role("eve", "moderator"))
    for event in (role("eve", "owner"), role("ada", "member"), keep(False)):
        assert refusals(talk.do(4, event)[4]) == ["no-right"]
    assert refusals(talk.do(1, role("bob", "owner"))[1]) == ["no-right"]  # a guest
    assert refusals(talk.do(1, role("ada", "moderator"))[1]) == ["bad-request"]
    talk.do(1, role("eve", "owner"))
    assert refusals(talk.do(4, role("ada", "member"))[4]) == []
    assert refusals(talk.do(1, keep(False))[1]) == ["no-right"]


def test_a_room_that_is_nobodys_has_no_owner_before_it_is_kept() -> None:
    assert refusals(Owned().do(1, role("ada", "owner"))[1]) == ["bad-request"]


def test_the_last_owner_is_told_how_to_leave_a_room_to_others() -> None:
    talk = Kept()
    refused = talk.do(1, role("ada", "member"))[1][0]
    assert isinstance(refused, notices.Rejected)
    assert refused.text.endswith("/own another first, or /keep off")


def test_when_an_account_ends_its_rooms_are_kept_by_nobody() -> None:
    talk = Kept()
    talk.do(1, events.RoomMode("lobby", moderated=True, key="lobby"))
    talk.do(0, events.Withdraw("ada"))
    room = talk.state.room("lobby")
    assert room is not None
    assert (talk.state.owners(room), room.moderators, room.rules) == ((), (), None)
    talk.do(3, OUT)
    assert talk.state.room("lobby") is None


def test_when_an_account_ends_an_empty_room_of_its_own_ends_too() -> None:
    talk = Kept()
    talk.do(1, role("eve", "owner"))
    talk.empty()
    talk.do(0, events.Withdraw("ada"))
    assert talk.state.room("lobby") is not None
    talk.do(0, events.Withdraw("eve"))
    assert talk.state.room("lobby") is None


def test_a_secret_lets_in_who_says_it() -> None:
    talk = Owned()
    talk.do(1, events.RoomMode("lobby", secret="hash", key="lobby"))
    talk.same_again()
    talk.do(4, events.Connect())
    for code in ("", "other"):
        assert refusals(talk.do(4, events.Join("lobby", "lobby", code=code))[4]) == ["private"]
    assert refusals(talk.do(4, events.Join("lobby", "lobby", code="hash"))[4]) == []
    talk.do(4, OUT)
    talk.do(1, events.RoomMode("lobby", secret="", key="lobby"))
    for code in ("", "hash"):
        assert refusals(talk.do(4, events.Join("lobby", "lobby", code=code))[4]) == ["private"]


def test_to_close_a_room_anew_takes_its_secret_back() -> None:
    talk = Owned()
    talk.do(1, events.RoomMode("lobby", secret="hash", key="lobby"))
    talk.do(1, events.RoomMode("lobby", private=True, key="lobby"))
    talk.do(4, events.Connect())
    assert refusals(talk.do(4, events.Join("lobby", "lobby", code="hash"))[4]) == ["private"]


# ── How far one has read ─────────────────────────────────────────────────────────────────────


def read(seq: int) -> events.Read:
    return events.Read("lobby", seq, "lobby")


def test_ones_other_devices_are_told_how_far_one_has_read_and_who_comes_is_too() -> None:
    talk = Owned()
    for text in ("one", "two"):
        talk.do(3, say("lobby", text))
    room = talk.state.room("lobby")
    assert room is not None
    assert talk.do(1, read(room.seq - 1)) == {2: [ReadUpTo("lobby", room.seq - 1)]}
    assert talk.do(2, read(room.seq)) == {1: [ReadUpTo("lobby", room.seq)]}
    for seq in (room.seq - 1, room.seq, room.seq + 1):
        assert talk.do(1, read(seq)) == {}
    talk.same_again()
    entered = talk.do(1, joins("lobby"))[1][0]
    assert isinstance(entered, Entered)
    assert entered.read == room.seq
    talk.do(1, events.Disconnect("lost"))
    resumed = talk.do(5, events.Resume(session("phone"), "new"))[5][0]
    assert isinstance(resumed, notices.Resumed)
    assert resumed.rooms[0].read == room.seq


def test_a_guest_has_nobody_to_tell_how_far_it_has_read() -> None:
    talk = Owned()
    talk.do(1, say("lobby", "one"))
    assert talk.do(3, read(10**6)) == {}
    assert refusals(talk.do(3, events.Read("tea", 1, "tea"))[3]) == ["not-in-room"]


def test_what_was_read_of_a_room_that_is_made_anew_counts_no_more() -> None:
    talk = Owned()
    talk.do(3, say("lobby", "one"))
    room = talk.state.room("lobby")
    assert room is not None
    talk.do(1, read(room.seq))
    for conn in (1, 3):
        talk.do(conn, OUT)
    entered = talk.do(1, joins("lobby"))[1][0]
    assert isinstance(entered, Entered)
    assert entered.read == 0


def test_of_so_many_rooms_it_is_known_how_far_one_has_read() -> None:
    talk = Owned(StateLimits(rooms_per_person=1))
    talk.do(1, OUT)
    talk.do(3, OUT)
    for typed in ("one", "two", "three"):
        talk.do(3, joins(typed))
        talk.do(1, joins(typed))
        said = talk.do(3, say(typed, "tea"))[1][0]
        assert isinstance(said, notices.Said)
        talk.do(1, events.Read(typed, said.seq, typed))
        talk.do(1, events.Out(typed, typed))
        talk.do(3, events.Out(typed, typed))
    account = talk.state.account("ada")
    assert account is not None
    assert [*account.reads] == ["two", "three"]


@pytest.mark.parametrize("guests", [0, 1])
def test_people_without_an_account_talk_unless_only_accounts_may(guests: int) -> None:
    talk = Owned(StateLimits(guests=guests))
    talk.do(4, events.Connect())
    wanted = [] if guests else ["no-right"]
    for event in (
        nick("cy"),
        events.Tell("bob", "psst", None, "bob"),
        joins("tea"),
    ):
        refused = refusals(talk.do(4, event)[4])
        assert refused == wanted or (isinstance(event, events.Tell) and not guests)
    talk.do(0, grant("zoe"))
    talk.do(4, claim("zoe"))
    assert refusals(talk.do(4, joins("tea"))[4]) == []


# ── Who is who, and how much ─────────────────────────────────────────────────────────────────


def test_a_guest_who_turns_out_to_moderate_a_kept_room_already_does_so_once() -> None:
    talk = Kept()
    talk.do(1, role("eve", "moderator"))
    talk.do(4, events.Quit())
    talk.do(5, events.Connect())
    talk.do(5, joins("lobby"))
    talk.do(1, role("guest-1", "moderator"))
    talk.do(5, events.Login("eve"))
    room = talk.state.room("lobby")
    account = talk.state.account("eve")
    assert room is not None
    assert account is not None
    assert room.moderators.count(account.id) == 1
    assert room.moderator_nicks() == ("ada", "eve")


def test_who_keeps_a_room_moderates_it_where_it_did_before_and_not_beyond_the_bound() -> None:
    talk = Owned(StateLimits(moderators=2))
    talk.do(1, role("bob", "moderator"))
    talk.do(1, keep())
    room = talk.state.room("lobby")
    assert room is not None
    assert room.moderator_nicks() == ("ada", "bob")
    talk.do(1, keep(False))
    talk.do(0, grant("zoe", admin=True))
    talk.do(4, events.Connect())
    talk.do(4, claim("zoe"))
    talk.do(4, joins("lobby"))
    assert refusals(talk.do(4, keep())[4]) == ["too-many"]


def test_nobody_is_given_more_rooms_than_one_may_keep() -> None:
    talk = Kept(StateLimits(kept=1))
    talk.do(4, joins("tea"))
    talk.do(4, events.RoomMode("tea", key="tea", kept=True))
    assert refusals(talk.do(1, role("eve", "owner"))[1]) == ["too-many"]
    talk.do(4, events.RoomMode("tea", key="tea", kept=False))
    assert refusals(talk.do(1, role("eve", "owner"))[1]) == []
    assert refusals(talk.do(1, role("eve", "owner"))[1]) == []  # it is one already


def test_all_are_told_when_the_account_ends_that_kept_a_room() -> None:
    talk = Kept()
    assert talk.do(0, events.Withdraw("ada"))[3][-1] == ModeSet("lobby", "", changed=("kept",))


def test_what_was_decided_about_an_account_that_ended_is_not_of_the_next_of_its_nick() -> None:
    talk = Kept()
    talk.do(1, events.Restrict("lobby", "eve", "ban", 60_000, "", "lobby", "eve"))
    talk.do(0, events.Withdraw("eve"))
    talk.do(0, grant("eve", "new"))
    talk.do(5, events.Connect())
    talk.do(5, claim("other", "new"))
    assert refusals(talk.do(5, joins("lobby"))[5]) == []


def test_before_anything_was_said_there_is_nothing_to_have_read() -> None:
    talk = Owned()
    room = talk.state.room("lobby")
    assert room is not None
    assert talk.do(1, read(room.seq)) == {}


def test_a_guest_who_turns_out_to_be_banned_leaves_the_room() -> None:
    talk = Kept()
    talk.do(1, events.Restrict("lobby", "eve", "ban", 60_000, "", "lobby", "eve"))
    talk.do(4, events.Quit())
    talk.do(5, events.Connect())
    talk.do(5, joins("lobby"))
    assert notices.Left("lobby", "guest-1", own=True) in talk.do(5, events.Login("eve"))[5]
    assert talk.members() == ("ada", "bob")


def test_a_longer_mute_is_not_ended_by_a_shorter_one_of_a_guest_that_comes_to_be_it() -> None:
    talk = Kept()
    talk.do(4, joins("lobby"))
    for typed, ms in (("eve", 60_000), ("guest-1", 20)):
        if typed != "eve":
            talk.do(4, events.Quit())
            talk.do(5, events.Connect())
            talk.do(5, joins("lobby"))
        talk.do(1, events.Restrict("lobby", typed, "mute", ms, "", "lobby", typed))
    told = talk.do(5, events.Login("eve"))[5]
    assert [each.own for each in told if isinstance(each, notices.Restricted)] == [True]
    for _ in range(3):
        assert refusals(talk.do(5, say("lobby", "psst"))[5]) == ["muted"]


def test_where_only_accounts_talk_guests_who_are_in_say_nothing_any_more() -> None:
    talk = Owned()
    talk.do(0, events.Configure({"guests": 0}))
    for event in (say("lobby", "psst"), events.Topic("lobby", "psst", "lobby")):
        assert refusals(talk.do(3, event)[3]) == ["no-right"]
        assert refusals(talk.do(1, event)[1]) == []
    assert talk.do(3, events.Quit("psst"))[1] == [notices.Gone("bob", "")]
