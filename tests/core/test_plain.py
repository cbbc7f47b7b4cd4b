"""How the plain dialect tells each notice."""

from __future__ import annotations

from typing import get_args

import pytest
from hypothesis import given

from tcpchat_core import Notice, events, notices
from tcpchat_core.dialects.plain import PLAIN, decode_line
from tcpchat_core.notices import Rejected, RoomInfo, Said
from tests.core import strategies
from tests.core.strategies import WORDS

HELLO = Said("lobby", "ada", "hello", 7, 0)
WAVES = Said("lobby", "ada", "waves", 8, 0, emote=True)
CROWD = tuple(f"p{number}" for number in range(1, 61))

TOLD: list[tuple[Notice, list[str]]] = [
    (
        notices.Welcome("guest-1", "0"),
        ["* Welcome to tcpchat. You are guest-1. /join ROOM to start, /help for more."],
    ),
    (
        notices.Welcome("guest-1", "0", motd=("Be kind.", "")),
        [
            "* Welcome to tcpchat. You are guest-1. /join ROOM to start, /help for more.",
            "* Be kind.",
            "* ",
        ],
    ),
    (notices.Joined("lobby", "ada", 7, 0), ["* ada joined lobby"]),
    (
        notices.Entered("lobby", ("ada", "bob", "guest-1"), 3, 0, 0, "tea at four"),
        ["* You joined lobby (3 here: ada, bob, guest-1). Topic: tea at four"],
    ),
    (
        notices.Entered("lobby", ("ada",), 1, 8, 0, history=(HELLO, WAVES)),
        [
            "* Said in lobby before you came:",
            "[lobby] ada: hello",
            "[lobby] * ada waves",
            "* You joined lobby (1 here: ada).",
        ],
    ),
    (
        notices.Entered("lobby", ("ada",), 1, 8, 0, again=True),
        ["* You talk in lobby (1 here: ada)."],
    ),
    (
        notices.Entered("lobby", CROWD, 999, 0, 0),
        [f"* You joined lobby (999 here: {', '.join(CROWD[:50])} and 949 more)."],
    ),
    (HELLO, ["[lobby] ada: hello"]),
    (WAVES, ["[lobby] * ada waves"]),
    (Said("lobby", "ada-", "it rains", 8, 0, notice=True), ["[lobby] -ada-- it rains"]),
    (
        Said("lobby", "ada", "waves", 8, 0, emote=True, notice=True),
        ["[lobby] * ada waves"],
    ),
    (notices.Sent(0, "1", "lobby", None, 7), []),
    (notices.Told("ada", "psst", 1, 0), ["[ada → you] psst"]),
    (notices.Told("ada", "psst", 1, 0, notice=True), ["[-ada- → you] psst"]),
    (notices.Told("ada", "psst", 1, 0, "bob", notice=True), ["[-you- → bob] psst"]),
    (
        notices.TopicSet("lobby", "tea at four", "ada", 7, 0),
        ["* The topic of lobby, set by ada: tea at four"],
    ),
    (notices.TopicSet("lobby", "", "ada", 7, 0), ["* ada cleared the topic of lobby"]),
    (notices.TopicSet("lobby", "", "", 0, 0), ["* lobby has no topic"]),
    (notices.Renamed("ada", "countess"), ["* ada is now countess"]),
    (notices.Renamed("ada", "countess", own=True), ["* You are now countess"]),
    (notices.Left("lobby", "bob"), ["* bob left lobby"]),
    (notices.Left("lobby", "bob", own=True), ["* You left lobby"]),
    (notices.Left("lobby", "bob", reason="tea time"), ["* bob left lobby (tea time)"]),
    (notices.Left("lobby", "bob", own=True, reason="tea"), ["* You left lobby (tea)"]),
    (
        notices.Left("lobby", "bob", by="ada", at=1_000),
        ["* bob was put out of lobby by ada"],
    ),
    (
        notices.Left("lobby", "bob", own=True, by="ada", reason="spam", at=1_000),
        ["* You were put out of lobby by ada (spam)"],
    ),
    (
        notices.Left("lobby", "bob", by="ada", reason="spam", at=1_000, until=3_601_000),
        ["* bob was banned from lobby for 1 h, by ada (spam)"],
    ),
    (
        notices.Restricted("lobby", "bob", "ban", 3_000, "ada", 1_000),
        ["* bob is banned from lobby for 2 s, by ada"],
    ),
    (
        notices.Restricted("lobby", "bob", "mute", 601_000, "ada", 1_000, "spam", own=True),
        ["* You are muted in lobby for 10 min, by ada (spam)"],
    ),
    (
        notices.Lifted("lobby", "bob", "ban", "ada"),
        ["* bob is not banned from lobby any more, says ada"],
    ),
    (
        notices.Lifted("lobby", "bob", "mute", "ada", own=True),
        ["* You are not muted in lobby any more, says ada"],
    ),
    (
        Said("lobby", "ada", "", 8, 0, emote=True, redacted=True),
        ["[lobby] * ada (taken back)"],
    ),
    (notices.Redacted("lobby", 8, "bob", 0, "bob"), ["* bob took back something in lobby"]),
    (notices.Redacted("lobby", 8, "ada", 0), ["* ada took back something in lobby"]),
    (
        notices.Redacted("lobby", 8, "ada", 0, "bob"),
        ["* ada took back something that bob had said in lobby"],
    ),
    (notices.ModeSet("lobby", "ada", private=True), ["* lobby is private now, says ada"]),
    (notices.ModeSet("lobby", ""), ["* lobby is open now: somebody who looked after it is gone"]),
    (
        notices.ModeSet("lobby", "ada", kept=True, changed=("kept",)),
        ["* lobby is kept now, says ada"],
    ),
    (
        notices.RoleSet("lobby", "bob", "owner", "ada"),
        ["* bob owns lobby now, says ada"],
    ),
    (
        notices.Restricted("", "bob", "mute", 61_000, "ada", 1_000, own=True),
        ["* You are muted on this server for 1 min, by ada"],
    ),
    (
        notices.Expelled("bob", "ada", 1_000, "spam"),
        ["* bob was put out of this server (spam)"],
    ),
    (
        notices.Expelled("bob", "ada", 1_000, "", 61_000),
        ["* bob is banned from this server for 1 min"],
    ),
    (notices.ReadUpTo("lobby", 7), []),
    (notices.Signalled("lobby", "bob", {"typing": "active"}, 1_000), []),
    (
        notices.Claimed("ada", 2, admin=True, token="5f0c"),
        [
            "* This is device 2 of ada, who looks after this server",
            "* Keep this for the next time: /login 5f0c",
        ],
    ),
    (notices.Claimed("ada", 2), ["* This is device 2 of ada"]),
    (
        notices.Offered("ada", 61_000, 1_000, "a1b2c"),
        ["* /claim a1b2c on another device makes it one of ada, for 1 min"],
    ),
    (notices.PasswordSet("ada"), ["* ada has a new password now"]),
    (notices.PasswordSet("ada", is_set=False), ["* ada has no password now"]),
    (notices.Revoked(2), ["* Device 2 is none of yours any more"]),
    (
        notices.DeviceList(
            "ada",
            (
                notices.DeviceInfo(1, 0, "phone", here=True),
                notices.DeviceInfo(2, 86_400_000, here=True, own=True),
                notices.DeviceInfo(3, 0),
            ),
        ),
        [
            "* Device 1 (phone) since 1970-01-01 here",
            "* Device 2 since 1970-01-02 this one",
            "* Device 3 since 1970-01-01",
        ],
    ),
    (notices.ActList(()), ["* Nothing was done yet"]),
    (
        notices.ActList(
            (
                notices.Act(0, "ada", "ban", "tea", "bob", 60_000, "spam"),
                notices.Act(60_000, "", "invite", nick="ada"),
            )
        ),
        [
            "* 1970-01-01 00:00 ada ban bob in tea until 1970-01-01 00:01 (spam)",
            "* 1970-01-01 00:01 the owner invite ada on this server",
        ],
    ),
    (
        notices.Members("lobby", ("ada",), ("ada",), ("ada", "eve")),
        ["* 1 in lobby: ada. Owners: ada, eve. Moderators: ada"],
    ),
    (
        notices.Invited("lobby", "ada", 3_601_000, 1_000, "bob"),
        ["* bob may /join lobby for 1 h, says ada"],
    ),
    (
        notices.Invited("lobby", "ada", 3_601_000, 1_000, code="ab-cd"),
        ["* /join lobby ab-cd lets people in for 1 h"],
    ),
    (notices.RoleSet("lobby", "bob", "moderator", "ada"), ["* bob moderates lobby now, says ada"]),
    (
        notices.RoleSet("lobby", "bob", "member", "ada"),
        ["* bob does not moderate lobby any more, says ada"],
    ),
    (
        notices.RestrictionList(
            "lobby",
            (
                notices.RestrictionInfo("eve", "ban", 172_801_000, "ada", "spam"),
                notices.RestrictionInfo("bob", "mute", 300_001, "ada"),
            ),
            1_000,
        ),
        [
            "* eve is banned from lobby for another 2 d, by ada (spam)",
            "* bob is muted in lobby for another 5 min, by ada",
        ],
    ),
    (
        notices.RestrictionList("lobby", (), 1_000),
        ["* Nobody is banned from lobby, or muted there"],
    ),
    (notices.Gone("bob"), ["* bob quit"]),
    (notices.Gone("bob", "connection lost"), ["* bob quit (connection lost)"]),
    (notices.RoomList(()), ["* There are no rooms yet. /join ROOM makes one."]),
    (
        notices.RoomList((RoomInfo("lobby", 2, "tea"), RoomInfo("den", 1)), 7),
        ["* lobby (2): tea", "* den (1)", "* … and 7 more"],
    ),
    (notices.Members("lobby", ("ada", "bob")), ["* 2 in lobby: ada, bob"]),
    (
        notices.Members("lobby", ("ada", "bob", "eve"), ("ada", "eve")),
        ["* 3 in lobby: ada, bob, eve. Moderators: ada, eve"],
    ),
    (
        notices.Members("lobby", ("ada",), ("ada",), slow_ms=5_000, private=True),
        ["* 1 in lobby: ada. Moderators: ada. It is private, slow (one line in 5 s)"],
    ),
    (notices.PersonInfo("bob"), ["* bob is a guest"]),
    (
        notices.FormerPeople(
            "bob",
            (notices.FormerPerson("bob", 0, "bob", "B. O."), notices.FormerPerson("Bob", 60_000)),
        ),
        [
            "* bob was an account until 1970-01-01 00:00. Real name: B. O.",
            "* Bob was a guest until 1970-01-01 00:01",
        ],
    ),
    (notices.FormerPeople("bob"), ["* Nobody is remembered who was called bob"]),
    (
        notices.Presence(("bob",), ("eve", "fay")),
        ["* bob is here", "* eve, fay are not here"],
    ),
    (notices.PersonInfo("bob", away="tea"), ["* bob is a guest. Away: tea"]),
    (notices.AwaySet("bob", "tea time"), ["* bob is away (tea time)"]),
    (notices.AwaySet("bob"), ["* bob is back"]),
    (notices.AccountSet("bob", "bob"), ["* bob has an account"]),
    (notices.AwaySet("bob", "tea time", own=True), ["* You are away (tea time)"]),
    (notices.AwaySet("bob", own=True), ["* You are back"]),
    (notices.NameSet("bob", "Bob Builder"), ["* bob tells a real name: Bob Builder"]),
    (notices.NameSet("bob"), ["* bob tells no real name"]),
    (notices.NameSet("bob", "Bob", own=True), ["* You tell a real name: Bob"]),
    (notices.NameSet("bob", own=True), ["* You tell no real name"]),
    (notices.PersonInfo("bob", name="Bob", user="b"), ["* bob is a guest. Real name: Bob"]),
    (notices.Sent(0, "1", None, "bob", away="tea time"), ["* bob is away (tea time)"]),
    (
        notices.Members("lobby", ("ada", "bob"), ("ada",), away=("bob",), kept=True),
        ["* 2 in lobby: ada, bob. Moderators: ada. Away: bob. It is kept"],
    ),
    (
        notices.PersonInfo("ada", "ada", admin=True, rooms=("lobby", "t"), lost=True),
        ["* ada has an account; looks after this server; is in lobby, t; has lost the connection"],
    ),
    (notices.HistoryPage("lobby", ()), ["* Nothing was said in lobby yet"]),
    (
        notices.HistoryPage("lobby", (HELLO, WAVES)),
        [
            "* The last 2 said in lobby:",
            "[lobby] ada: hello",
            "[lobby] * ada waves",
            "* That was the history.",
        ],
    ),
    (notices.SearchResults(()), ["* Nothing was found."]),
    (
        notices.SearchResults((HELLO, WAVES), more=True),
        [
            "* 1970-01-01 00:00 [lobby] ada: hello",
            "* 1970-01-01 00:00 [lobby] * ada waves",
            "* … and older ones",
        ],
    ),
    (notices.HelpText(("one", "two")), ["* one", "* two"]),
    (
        Rejected("nick-in-use", "the nickname ada is taken", "nick"),
        ["! nick-in-use: the nickname ada is taken"],
    ),
    (notices.Pinged("1"), []),
    (notices.Resumed("ada", (), "0"), []),
    (notices.Gap("lobby", 7), []),
    (notices.Diverged("another"), []),
    (notices.Ponged("1"), ["* pong"]),
    (notices.Announced("the disk is full"), ["* the disk is full"]),
    (notices.Closing("restart", 1000), ["* Closing: restart"]),
]


@pytest.mark.parametrize(("notice", "lines"), TOLD)
def test_the_lines_that_tell_a_notice(notice: Notice, lines: list[str]) -> None:
    assert PLAIN.encode(notice) == "".join(f"{line}\n" for line in lines).encode()


def test_every_notice_is_in_the_table_above() -> None:
    assert {type(notice) for notice, _ in TOLD} == set(get_args(Notice))


@given(notice=strategies.notices(WORDS))
def test_any_notice_is_told_in_lines_that_nobody_can_forge(notice: Notice) -> None:
    data = PLAIN.encode(notice)
    assert data == b"" or data.endswith(b"\n")
    for line in data.decode().splitlines():
        assert line.startswith(("* ", "! ", "["))


def test_a_line_that_is_not_utf8_is_refused() -> None:
    refused = decode_line(b"caf\xe9")
    assert isinstance(refused, Rejected)
    assert refused.reason == "bad-line"
    assert decode_line("café".encode()) == events.Say("", "café")
