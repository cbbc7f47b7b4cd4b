"""How an IRC client is told each notice."""

from __future__ import annotations

from collections.abc import Sequence
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tcpchat_core import Notice, events, notices
from tcpchat_core.dialects.irc.asked import Gathering, How
from tcpchat_core.dialects.irc.encode import (
    NO_TAGS,
    TIME,
    TIME_AND_MSGID,
    Irc,
    Options,
    encode_answer,
)
from tcpchat_core.dialects.irc.wire import tag_value
from tcpchat_core.notices import Rejected, RestrictionInfo, RoomInfo, Said
from tests.core import strategies
from tests.core.irc import NICKS, ROOMS, Line, lines_of, told
from tests.core.strategies import NASTY_TEXT, WORDS

ADA, BOB = "ada!~u@tcpchat", "bob!~u@tcpchat"
AT = 1_700_000_000_123
TIMED = "@time=2023-11-14T22:13:20.123Z "

HELLO = Said("lobby", "bob", "hello", 7, AT)
WAVES = Said("lobby", "bob", "waves", 8, AT, emote=True)
TAKEN_BACK = Said("lobby", "bob", "", 9, AT, emote=True, redacted=True)

# What ada, who has asked for nothing, is told, without the ends of the lines.
TOLD: list[tuple[Notice, list[str]]] = [
    (HELLO, [f":{BOB} PRIVMSG #lobby :hello"]),
    (WAVES, [f":{BOB} PRIVMSG #lobby :\x01ACTION waves\x01"]),
    (TAKEN_BACK, [f":{BOB} PRIVMSG #lobby :\x01ACTION (taken back)\x01"]),
    (Said("lobby", "bob", "beep", 7, AT, notice=True), [f":{BOB} NOTICE #lobby :beep"]),
    (
        Said("lobby", "bob", "waves", 7, AT, emote=True, notice=True),
        [f":{BOB} PRIVMSG #lobby :\x01ACTION waves\x01"],
    ),
    (notices.Sent(AT, None, "lobby", None, 7), []),
    (notices.Told("bob", "beep", 1, AT, notice=True), [f":{BOB} NOTICE ada :beep"]),
    (
        notices.FormerPeople("bob", (notices.FormerPerson("Bob", AT, "bob", "B. O.", "bo"),)),
        [
            ":tcpchat 314 ada Bob ~bo tcpchat * :B. O.",
            ":tcpchat 312 ada Bob tcpchat :2023-11-14 22:13 UTC",
            ":tcpchat 330 ada Bob bob :was logged in as",
            ":tcpchat 369 ada bob :End of WHOWAS",
        ],
    ),
    (
        notices.Presence(("bob",), ("eve", "fay")),
        [":tcpchat 730 ada :bob", ":tcpchat 731 ada :eve,fay"],
    ),
    (
        notices.PersonInfo("bob"),
        [
            ":tcpchat 311 ada bob ~u tcpchat * :bob",
            ":tcpchat 312 ada bob tcpchat :all of its servers are one",
            ":tcpchat 318 ada bob :End of WHOIS",
        ],
    ),
    (
        notices.PersonInfo("bob", "bob", True, ("den", "hall"), lost=True),
        [
            ":tcpchat 311 ada bob ~u tcpchat * :bob",
            ":tcpchat 319 ada bob :#den #hall",
            ":tcpchat 312 ada bob tcpchat :all of its servers are one",
            ":tcpchat 313 ada bob :looks after this server",
            ":tcpchat 330 ada bob bob :is logged in as",
            ":tcpchat 301 ada bob :the connection is lost, and may come back",
            ":tcpchat 318 ada bob :End of WHOIS",
        ],
    ),
    (notices.Told("bob", "psst", 1, AT), [f":{BOB} PRIVMSG ada :psst"]),
    (notices.Signalled("lobby", "bob", {"typing": "active"}, AT), []),
    (notices.Told("ada", "psst", 1, AT, to="bob"), [f":{ADA} PRIVMSG bob :psst"]),
    (notices.Joined("lobby", "bob", 7, AT), [f":{BOB} JOIN #lobby"]),
    (notices.AwaySet("bob", "tea"), []),
    (notices.AccountSet("bob", "bob"), []),
    (notices.AwaySet("ada", "tea", own=True), [":tcpchat 306 ada :You are away"]),
    (notices.AwaySet("ada", own=True), [":tcpchat 305 ada :You are back"]),
    (notices.NameSet("bob", "Bob"), []),
    (notices.Renamed("ada", "ada", own=True), []),
    (notices.Renamed("bob", "rob"), [f":{BOB} NICK rob"]),
    (notices.Renamed("ada", "countess", own=True), [f":{ADA} NICK countess"]),
    (notices.Gone("bob"), [f":{BOB} QUIT :"]),
    (notices.Gone("bob", "bye"), [f":{BOB} QUIT :bye"]),
    (notices.Left("lobby", "bob"), [f":{BOB} PART #lobby"]),
    (notices.Left("lobby", "ada", own=True), [f":{ADA} PART #lobby"]),
    (notices.Left("lobby", "bob", reason="tea"), [f":{BOB} PART #lobby :tea"]),
    (notices.Left("lobby", "bob", by="ada", at=1_000), [f":{ADA} KICK #lobby bob :ada"]),
    (
        notices.Left("lobby", "bob", by="ada", reason="spam", at=1_000),
        [f":{ADA} KICK #lobby bob :spam"],
    ),
    (
        notices.Left("lobby", "bob", by="ada", reason="spam", at=1_000, until=3_601_000),
        [
            f":{ADA} MODE #lobby +b bob!*@*",
            f":{ADA} KICK #lobby bob :bob was banned from lobby for 1 h, by ada (spam)",
        ],
    ),
    (
        notices.Entered(
            "lobby",
            ("bob", "ada"),
            2,
            8,
            AT,
            "tea",
            moderators=("bob",),
            topic_nick="bob",
            topic_at=9_999,
        ),
        [
            f":{ADA} JOIN #lobby",
            ":tcpchat 332 ada #lobby :tea",
            ":tcpchat 333 ada #lobby bob 9",
            ":tcpchat 353 ada = #lobby :@bob ada",
            ":tcpchat 366 ada #lobby :End of NAMES",
        ],
    ),
    (
        notices.Entered("lobby", ("ada",), 9, 8, AT, history=(HELLO, WAVES, TAKEN_BACK)),
        [
            f":{ADA} JOIN #lobby",
            ":tcpchat 353 ada = #lobby :ada",
            ":tcpchat 366 ada #lobby :End of NAMES",
            ":tcpchat NOTICE #lobby :… and 8 more; NAMES lists them all",
            f":{BOB} PRIVMSG #lobby :[2023-11-14 22:13] hello",
            f":{BOB} PRIVMSG #lobby :\x01ACTION [2023-11-14 22:13] waves\x01",
            f":{BOB} PRIVMSG #lobby :\x01ACTION [2023-11-14 22:13] (taken back)\x01",
        ],
    ),
    (notices.Entered("lobby", ("ada",), 1, 8, AT, again=True), []),
    (notices.TopicSet("lobby", "tea", "bob", 7, AT), [f":{BOB} TOPIC #lobby :tea"]),
    (notices.TopicSet("lobby", "", "bob", 7, AT), [f":{BOB} TOPIC #lobby :"]),
    (
        notices.Restricted("lobby", "bob", "ban", 3_000, "ada", 1_000),
        [
            f":{ADA} MODE #lobby +b bob!*@*",
            ":tcpchat NOTICE #lobby :bob is banned from lobby for 2 s, by ada",
        ],
    ),
    (
        notices.Restricted("lobby", "bob", "mute", 3_000, "ada", 1_000),
        [":tcpchat NOTICE #lobby :bob is muted in lobby for 2 s, by ada"],
    ),
    (
        notices.Restricted("lobby", "ada", "ban", 3_000, "bob", 1_000, own=True),
        [":tcpchat NOTICE ada :You are banned from lobby for 2 s, by bob"],
    ),
    (
        notices.Restricted("", "bob", "mute", 3_000, "ada", 1_000),
        [":tcpchat NOTICE ada :bob is muted on this server for 2 s, by ada"],
    ),
    (notices.Lifted("lobby", "bob", "ban", "ada"), [f":{ADA} MODE #lobby -b bob!*@*"]),
    (
        notices.Lifted("lobby", "bob", "mute", "ada"),
        [":tcpchat NOTICE #lobby :bob is not muted in lobby any more, says ada"],
    ),
    (
        notices.Lifted("lobby", "ada", "ban", "bob", own=True),
        [":tcpchat NOTICE ada :You are not banned from lobby any more, says bob"],
    ),
    (notices.RoleSet("lobby", "bob", "owner", "ada"), [f":{ADA} MODE #lobby +q bob"]),
    (notices.RoleSet("lobby", "bob", "moderator", "ada"), [f":{ADA} MODE #lobby +o bob"]),
    (notices.RoleSet("lobby", "bob", "member", "ada"), [f":{ADA} MODE #lobby -o bob"]),
    (
        notices.ModeSet("lobby", "ada", 30_000, changed=("slow_ms", "moderated")),
        [
            f":{ADA} MODE #lobby +S-m",
            ":tcpchat NOTICE #lobby :lobby is slow (one line in 30 s) now, says ada",
        ],
    ),
    (
        notices.ModeSet("lobby", "", changed=("moderated",)),
        [
            ":tcpchat MODE #lobby -m",
            ":tcpchat NOTICE #lobby :lobby is open now: somebody who looked after it is gone",
        ],
    ),
    (
        notices.ModeSet("lobby", "ada", private=True, moderated=True, changed=("private",)),
        [f":{ADA} MODE #lobby +i"],
    ),
    (
        notices.ModeSet("lobby", "ada", private=True, changed=("slow_ms", "private")),
        [f":{ADA} MODE #lobby +i-S"],
    ),
    (notices.ModeSet("lobby", "ada", private=True), []),
    (
        notices.ModeSet("lobby", "ada", private=True, kept=True, changed=("kept",)),
        [":tcpchat NOTICE #lobby :lobby is private, kept now, says ada"],
    ),
    (
        notices.Expelled("bob", "ada", 1_000, "spam"),
        [":tcpchat NOTICE ada :bob was put out of this server (spam)"],
    ),
    (notices.Invited("lobby", "bob", 3_000, 1_000, "ada"), [f":{BOB} INVITE ada #lobby"]),
    (notices.Invited("lobby", "ada", 3_000, 1_000, "bob"), [":tcpchat 341 ada bob #lobby"]),
    (
        notices.Invited("lobby", "ada", 3_000, 1_000, code="a1b2c"),
        [":tcpchat NOTICE ada :/join lobby a1b2c lets people in for 2 s"],
    ),
    (
        notices.Redacted("lobby", 8, "ada", 0, "bob"),
        [":tcpchat NOTICE #lobby :ada took back something that bob had said in lobby"],
    ),
    (
        notices.Claimed("ada", 2),
        [":tcpchat NOTICE ada :This is device 2 of ada"],
    ),
    (notices.PasswordSet("ada"), [":tcpchat NOTICE ada :ada has a new password now"]),
    (
        notices.Offered("ada", 61_000, 1_000, "a1b2c"),
        [":tcpchat NOTICE ada :/claim a1b2c on another device makes it one of ada, for 1 min"],
    ),
    (
        notices.DeviceList("ada", (notices.DeviceInfo(1, 0, own=True),)),
        [":tcpchat NOTICE ada :Device 1 since 1970-01-01 this one"],
    ),
    (notices.Revoked(2), [":tcpchat NOTICE ada :Device 2 is none of yours any more"]),
    (notices.ActList(()), [":tcpchat NOTICE ada :Nothing was done yet"]),
    (notices.ReadUpTo("lobby", 7), []),
    (
        notices.HistoryPage("lobby", (HELLO,)),
        [f":{BOB} PRIVMSG #lobby :[2023-11-14 22:13] hello"],
    ),
    (notices.HistoryPage("lobby", ()), [":tcpchat NOTICE ada :Nothing was said in lobby yet"]),
    (
        notices.SearchResults((HELLO,), more=True),
        [
            ":tcpchat NOTICE ada :2023-11-14 22:13 [lobby] bob: hello",
            ":tcpchat NOTICE ada :… and older ones",
        ],
    ),
    (
        notices.HelpText(("One.", "Two.")),
        [
            ":tcpchat 704 ada * :One.",
            ":tcpchat 705 ada * :Two.",
            ":tcpchat 706 ada * :End of HELP",
        ],
    ),
    (
        notices.RoomList((RoomInfo("lobby", 2, "tea"), RoomInfo("den", 1))),
        [
            ":tcpchat 321 ada Channel :Users  Name",
            ":tcpchat 322 ada #lobby 2 :tea",
            ":tcpchat 322 ada #den 1 :",
            ":tcpchat 323 ada :End of LIST",
        ],
    ),
    (
        notices.RoomList((), 7),
        [":tcpchat 321 ada Channel :Users  Name", ":tcpchat 323 ada :7 more"],
    ),
    (
        notices.Members("lobby", ("bob", "ada"), ("ada", "bob"), ("ada",)),
        [":tcpchat 353 ada = #lobby :@bob ~ada", ":tcpchat 366 ada #lobby :End of NAMES"],
    ),
    (
        notices.RestrictionList(
            "lobby",
            (
                RestrictionInfo("bob", "ban", 3_000, "ada"),
                RestrictionInfo("eve", "mute", 3_000, "ada", "spam"),
            ),
            1_000,
        ),
        [
            ":tcpchat 367 ada #lobby bob!*@* ada",
            ":tcpchat NOTICE ada :eve is muted in lobby for another 2 s, by ada (spam)",
            ":tcpchat 368 ada #lobby :End of the list of bans",
        ],
    ),
    (
        notices.RestrictionList("lobby", (), 0),
        [":tcpchat 368 ada #lobby :End of the list of bans"],
    ),
    (notices.Rejected("empty-text", "say something"), [":tcpchat 412 ada :say something"]),
    (notices.Pinged(), ["PING :tcpchat"]),
    (notices.Pinged("1"), ["PING :1"]),
    (notices.Ponged(), [":tcpchat PONG tcpchat :"]),
    (notices.Ponged("a b"), [":tcpchat PONG tcpchat :a b"]),
    (notices.Announced("tea is ready"), [":tcpchat NOTICE ada :tea is ready"]),
    (notices.Closing("the server ends"), ["ERROR :the server ends"]),
    (notices.Resumed("ada", (), "1"), []),
    (notices.Gap("lobby", 7), [":tcpchat NOTICE #lobby :some of what was said here is lost"]),
    (notices.Gap("", 7), [":tcpchat NOTICE ada :some of what was said to you alone is lost"]),
    (notices.Diverged("2"), []),
]


def _lines(data: bytes) -> list[str]:
    return [each.decode() for each in lines_of(data)]


@pytest.mark.parametrize(("notice", "lines"), TOLD)
def test_the_lines_that_tell_a_notice(notice: Notice, lines: list[str]) -> None:
    assert _lines(Irc().encode_for("ada", notice, None)) == lines


def test_every_notice_is_in_the_table_above() -> None:
    # The welcome is long, and is in test_irc_numerics.py.
    assert {type(notice) for notice, _ in TOLD} | {notices.Welcome} == set(get_args(Notice))


def test_what_is_told_to_all_names_nobody_as_its_reader() -> None:
    assert _lines(Irc().encode(notices.Announced("tea is ready"))) == [
        ":tcpchat NOTICE * :tea is ready"
    ]


# ── Flavours ─────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("tags", "shown"),
    [
        (NO_TAGS, ""),
        (TIME, TIMED),
        (TIME_AND_MSGID, f"@msgid=1f.7.lobby;{TIMED[1:]}"),
    ],
)
@pytest.mark.parametrize("text", ["hello", "héllo"])
def test_a_message_has_the_tags_of_its_flavour(tags: int, shown: str, text: str) -> None:
    said = Said("Lobby", "bob", text, 7, AT)
    flavour = Irc(tags, epoch="1f")
    assert _lines(flavour.encode(said)) == [f"{shown}:{BOB} PRIVMSG #Lobby :{text}"]


@given(
    said=strategies.structs(Said, NASTY_TEXT | WORDS),
    tags=st.sampled_from((NO_TAGS, TIME, TIME_AND_MSGID)),
)
def test_a_message_of_an_account_says_so_in_each_line_to_who_wants_it_and_is_else_the_same(
    said: Said, tags: int
) -> None:
    tagged = told(Irc(tags, epoch="1f", account_tag=True).encode(said))
    bare = told(Irc(tags, epoch="1f").encode(said))
    account = {"account": tag_value(said.nick)} if said.by_account and said.nick else {}
    assert tagged == [line._replace(tags=account | line.tags) for line in bare]


@pytest.mark.parametrize("by_account", [True, False])
def test_what_is_said_by_an_account_to_somebody_alone_is_tagged_with_it(by_account: bool) -> None:
    flavour = Irc(account_tag=True)
    account = "@account=bob " if by_account else ""
    mine = notices.Told("bob", "psst", 1, AT, by_account=by_account)
    assert _lines(flavour.encode_for("ada", mine, None)) == [f"{account}:{BOB} PRIVMSG ada :psst"]
    joined = notices.Joined("lobby", "bob", 7, AT, "bob" if by_account else "")
    assert _lines(flavour.encode(joined)) == [f"{account}:{BOB} JOIN #lobby"]
    options = Options(echo_message=True, account="ada" if by_account else "")
    echo = encode_answer(flavour, options, "ada", notices.Sent(AT, None, None, "bob"), TELL)
    own = "@account=ada " if by_account else ""
    assert [line.partition(" PRIVMSG")[0] for line in _lines(echo)] == [f"{own}:ada!~u@tcpchat"]


def test_the_id_of_a_message_is_one_word_in_any_room() -> None:
    [read] = told(Irc(TIME_AND_MSGID, epoch="a;b").encode(Said("no name;", "bob", "hi", 7, AT)))
    assert read.tags["msgid"] == "a\\:b.7.no_name\\:"


@pytest.mark.parametrize(
    ("notice", "line"),
    [
        (notices.Told("bob", "psst", 1, AT), f":{BOB} PRIVMSG ada :psst"),
        (notices.Joined("lobby", "bob", 7, AT), f":{BOB} JOIN #lobby"),
        (notices.TopicSet("lobby", "tea", "bob", 7, AT), f":{BOB} TOPIC #lobby :tea"),
        (notices.HistoryPage("lobby", (HELLO,)), f":{BOB} PRIVMSG #lobby :hello"),
    ],
)
def test_what_has_a_time_is_tagged_with_it(notice: Notice, line: str) -> None:
    assert _lines(Irc(TIME).encode_for("ada", notice, None)) == [f"{TIMED}{line}"]


@pytest.mark.parametrize(("entry", "id"), [(9, "msgid=a\\:b.9;"), (0, "")])
def test_what_is_said_to_one_has_the_same_id_for_both_if_it_is_known(entry: int, id: str) -> None:
    flavour = Irc(TIME_AND_MSGID, epoch="a;b")
    line = f"@{id}{TIMED[1:]}:{ADA} PRIVMSG bob :psst"
    other = notices.Told("ada", "psst", 1, AT, entry=entry)
    assert _lines(encode_answer(flavour, Options(), "bob", other, None)) == [line]
    own = notices.Sent(AT, None, None, "bob", entry=entry)
    echo = Options(echo_message=True)
    request = events.Tell("bob", "psst", key="bob")
    assert _lines(encode_answer(flavour, echo, "ada", own, request)) == [line]


def test_an_extended_join_says_the_account_and_the_name() -> None:
    flavour = Irc(extended_join=True)
    assert _lines(flavour.encode(notices.Joined("lobby", "bob", 7, AT))) == [
        f":{BOB} JOIN #lobby * :bob"
    ]
    joined = notices.Joined("lobby", "bob", 7, AT, "bob", "Bob Builder")
    assert _lines(flavour.encode(joined)) == [f":{BOB} JOIN #lobby bob :Bob Builder"]


def test_who_wants_it_is_told_who_is_away() -> None:
    flavour = Irc(away_notify=True)
    assert _lines(flavour.encode(notices.AwaySet("bob", "tea"))) == [f":{BOB} AWAY :tea"]
    assert _lines(flavour.encode(notices.AwaySet("bob"))) == [f":{BOB} AWAY"]


def test_who_wants_it_is_told_real_names() -> None:
    flavour = Irc(setname=True)
    assert _lines(flavour.encode(notices.NameSet("bob", "Bob"))) == [f":{BOB} SETNAME :Bob"]
    assert _lines(flavour.encode(notices.NameSet("bob"))) == [f":{BOB} SETNAME :bob"]


def test_who_wants_it_is_told_whose_account_somebody_is() -> None:
    signed_in = notices.AccountSet("bob", "bob")
    assert _lines(Irc(account_notify=True).encode(signed_in)) == [f":{BOB} ACCOUNT bob"]


def test_flavours_that_are_the_same_share_a_lane() -> None:
    assert len({Irc(), Irc(), Irc(TIME), Irc(TIME, extended_join=True), Irc(TIME)}) == 3


def test_an_author_without_echo_is_told_nothing() -> None:
    assert not Irc().acknowledges


# ── One client ───────────────────────────────────────────────────────────────────────────────


PLAINLY = Options()


def _answer(notice: Notice, request: object, options: Options = PLAINLY) -> list[str]:
    return _lines(encode_answer(Irc(), options, "ada", notice, request))


MEMBERS = notices.Members("Lobby", ("bob", "ada"), ("bob",), ("bob",))


@pytest.mark.parametrize(
    ("options", "listed"),
    [
        (Options(), "~bob ada"),
        (Options(multi_prefix=True), "~@bob ada"),
        (Options(userhost_in_names=True), f"~{BOB} {ADA}"),
    ],
)
def test_names_are_shown_as_a_client_has_asked(options: Options, listed: str) -> None:
    assert _answer(MEMBERS, How("NAMES", "#lobby"), options) == [
        f":tcpchat 353 ada = #Lobby :{listed}",
        ":tcpchat 366 ada #Lobby :End of NAMES",
    ]


def test_names_that_nobody_wants_are_not_told_to_who_joins() -> None:
    entered = notices.Entered("lobby", ("ada",), 1, 8, AT, history=(HELLO,))
    lines = _answer(entered, None, Options(implicit_names=False))
    assert [line.split()[1] for line in lines] == ["JOIN", "PRIVMSG"]


def test_who_is_told_row_by_row() -> None:
    assert _answer(MEMBERS, How("WHO", "#LOBBY"), Options(multi_prefix=True)) == [
        ":tcpchat 352 ada #Lobby ~u tcpchat * bob H~@ :0 bob",
        ":tcpchat 352 ada #Lobby ~u tcpchat * ada H :0 ada",
        ":tcpchat 315 ada #LOBBY :End of WHO",
    ]


@pytest.mark.parametrize(
    ("fields", "row"),
    [
        ("n", "bob"),
        ("nct", "7 #Lobby bob"),
        ("tcuihsnfdlaor", "7 #Lobby ~u 0.0.0.0 tcpchat * bob H~ 0 0 0 n/a :bob"),
        ("rn", "bob :bob"),
    ],
)
def test_an_extended_who_tells_the_fields_in_their_order(fields: str, row: str) -> None:
    lines = _answer(MEMBERS, How("WHO", "#lobby", fields, "7"))
    assert lines[0] == f":tcpchat 354 ada {row}"
    assert lines[2:] == [":tcpchat 315 ada #lobby :End of WHO"]


def test_who_shows_who_is_away() -> None:
    members = notices.Members("den", ("ada", "bob"), ("bob",), away=("bob",))
    rows = _answer(members, How("WHO", "#den", "nf"))[:-1]
    assert rows == [":tcpchat 354 ada ada H", ":tcpchat 354 ada bob G@"]


@pytest.mark.parametrize(
    ("notice", "fields", "row"),
    [
        (notices.PersonInfo("bob"), "", "352 ada * ~u tcpchat * bob H :0 bob"),
        (notices.PersonInfo("bob", away="tea"), "", "352 ada * ~u tcpchat * bob G :0 bob"),
        (notices.PersonInfo("bob", admin=True), "nf", "354 ada bob H*"),
        (notices.PersonInfo("bob", "bob"), "na", "354 ada bob bob"),
        (notices.PersonInfo("bob"), "na", "354 ada bob 0"),
    ],
)
def test_who_is_answered_about_somebody(notice: notices.PersonInfo, fields: str, row: str) -> None:
    assert _answer(notice, How("WHO", "Bob", fields)) == [
        f":tcpchat {row}",
        ":tcpchat 315 ada Bob :End of WHO",
    ]


def test_who_is_asked_for_and_is_away_is_told_so() -> None:
    lines = _answer(notices.PersonInfo("bob", away="tea"), How("WHOIS", "Bob"))
    assert lines[2:] == [":tcpchat 301 ada bob :tea", ":tcpchat 318 ada Bob :End of WHOIS"]


def test_who_writes_to_somebody_who_is_away_is_told_so_unless_by_a_notice() -> None:
    sent = notices.Sent(AT, None, None, "bob", away="tea")
    assert _answer(sent, TELL) == [":tcpchat 301 ada bob :tea"]
    assert _answer(sent, events.Tell("bob", "beep", notice=True)) == []


def test_an_extended_who_without_a_token_has_0() -> None:
    assert _answer(MEMBERS, How("WHO", "#lobby", "t"))[0] == ":tcpchat 354 ada 0"


def test_the_modes_of_a_room_are_told() -> None:
    assert _answer(MEMBERS, How("MODE", "#lobby")) == [":tcpchat 324 ada #Lobby +n"]
    quiet = notices.Members(
        "den", ("ada",), (), (), 1, moderated=True, private=True, topic_locked=True, unlisted=True
    )
    assert _answer(quiet, How("MODE", "#den")) == [":tcpchat 324 ada #den +nimstS"]


@pytest.mark.parametrize(("private", "unlisted"), [(True, False), (False, True)])
def test_the_names_of_a_room_that_others_do_not_find_are_those_of_a_secret_one(
    private: bool, unlisted: bool
) -> None:
    members = notices.Members("den", ("ada",), private=private, unlisted=unlisted)
    assert _answer(members, How("NAMES", "#den"))[0] == ":tcpchat 353 ada @ #den :ada"
    entered = notices.Entered("den", ("ada",), 1, 8, AT, private=private, unlisted=unlisted)
    assert _answer(entered, None)[1] == ":tcpchat 353 ada @ #den :ada"


def test_list_tells_the_rooms_that_it_has_named() -> None:
    rooms = notices.RoomList((RoomInfo("Lobby", 2), RoomInfo("den", 1), RoomInfo("hall", 1)))
    lines = _answer(rooms, How("LIST", "#lobby,#hall"))
    assert [line.split()[3] for line in lines[1:-1]] == ["#Lobby", "#hall"]


INFOS = (RoomInfo("Lobby", 3), RoomInfo("den", 1), RoomInfo("hall", 2))


@pytest.mark.parametrize(
    ("conditions", "listed"),
    [
        ("", "#Lobby #den #hall"),
        ("#L*", "#Lobby"),
        ("*L*,#den", "#Lobby #den #hall"),
        ("l*", ""),
        ("!*l*", "#den"),
        ("!#DEN,!x", "#Lobby #hall"),
        (">1", "#Lobby #hall"),
        (">1,>2", "#Lobby"),
        ("<3", "#den #hall"),
        (">1,<3", "#hall"),
        (">1,!*h*", "#Lobby"),
        ("C<5,T>1", "#Lobby #den #hall"),
        ("den", "#den"),
    ],
)
def test_list_tells_the_rooms_of_which_all_is_true_that_it_asks_for(
    conditions: str, listed: str
) -> None:
    lines = _answer(notices.RoomList(INFOS), How("LIST", conditions))
    assert " ".join(line.split()[3] for line in lines[1:-1]) == listed


GATHERED = st.lists(
    st.builds(
        notices.Members,
        ROOMS,
        st.lists(NICKS, unique=True).map(tuple),
        private=st.booleans(),
    )
    | st.just(Rejected("not-in-room", "you are not there")),
    min_size=1,
)


def _together(answers: Sequence[Notice], how: How) -> list[Line]:
    how = how._replace(gathering=Gathering(len(answers)))
    *earlier, last = [encode_answer(Irc(), PLAINLY, "ada", each, how) for each in answers]
    assert not any(earlier)
    return told(last)


@given(GATHERED, NICKS)
def test_a_mask_shows_each_whom_it_means_in_whatever_rooms_once(
    answers: list[Notice], nick: str
) -> None:
    mask = f"*{nick[0]}*"
    *rows, end = _together(answers, How("WHO", mask))
    nicks = {nick for each in answers if isinstance(each, notices.Members) for nick in each.nicks}
    meant = [each for each in nicks if nick[0].casefold() in each.casefold()]
    assert sorted(row.params[5] for row in rows) == sorted(meant)
    assert (end.command, end.params[1]) == ("315", mask)


@given(GATHERED)
def test_the_names_of_several_rooms_have_one_end(answers: list[Notice]) -> None:
    *rows, end = _together(answers, How("NAMES", "#a,#b"))
    there = [
        (each.room, nick)
        for each in answers
        if isinstance(each, notices.Members)
        for nick in each.nicks
    ]
    assert [(row.params[2][1:], nick) for row in rows for nick in row.params[3].split()] == there
    assert (end.command, end.params[1]) == ("366", "#a,#b")


def test_the_question_for_a_topic_is_answered_by_numerics() -> None:
    topic = notices.TopicSet("lobby", "tea", "bob", 7, AT)
    assert _answer(topic, How("TOPIC", "#lobby")) == [
        ":tcpchat 332 ada #lobby :tea",
        ":tcpchat 333 ada #lobby bob 1700000000",
    ]
    assert _answer(notices.TopicSet("lobby", "", "", 0, 0), How("TOPIC", "#lobby")) == [
        ":tcpchat 331 ada #lobby :No topic is set"
    ]


def test_help_names_what_it_is_about() -> None:
    assert _answer(notices.HelpText(()), How("HELP", "join")) == [
        ":tcpchat 704 ada join :",
        ":tcpchat 706 ada join :End of HELP",
    ]


TELL = events.Tell("Bob", "psst", key="bob")


@pytest.mark.parametrize(
    ("options", "request_", "lines"),
    [
        (Options(echo_message=True), TELL, [f":{ADA} PRIVMSG bob :psst"]),
        (
            Options(echo_message=True),
            events.Tell("Bob", "beep", key="bob", notice=True),
            [f":{ADA} NOTICE bob :beep"],
        ),
        (Options(echo_message=True), None, []),
        (Options(), TELL, []),
    ],
)
def test_what_one_tells_somebody_is_echoed_to_who_wants_it(
    options: Options, request_: object, lines: list[str]
) -> None:
    sent = notices.Sent(AT, None, None, "bob")
    assert _answer(sent, request_, options) == lines


# ── Nobody forges a line ─────────────────────────────────────────────────────────────────────

EPOCHS = st.sampled_from(["", "1f", "a;b c"])
FLAVOURS = st.builds(Irc, st.integers(0, 2), st.booleans(), EPOCHS, st.booleans())
OPTIONS = st.builds(
    Options,
    *[st.booleans()] * (len(Options._fields) - 2),
    account=NICKS | st.just(""),
    name=NASTY_TEXT,
)
HOWS = st.builds(
    How,
    st.sampled_from(["NAMES", "WHO", "WHOIS", "MODE", "TOPIC", "LIST", "HELP", "MARKREAD"]),
    NASTY_TEXT | WORDS,
    st.text(st.sampled_from("tcuihsnfdlaor"), max_size=14),
    NASTY_TEXT,
)

SOURCES = ("", "tcpchat")
COMMANDS = {
    *("AWAY", "BATCH", "ERROR", "FAIL", "INVITE", "JOIN", "KICK", "MARKREAD", "MODE"),
    *("NICK", "NOTE", "NOTICE", "PART", "PING", "PONG", "PRIVMSG", "QUIT", "TAGMSG", "TOPIC"),
}


@given(
    notice=strategies.notices(NASTY_TEXT | WORDS),
    request=st.none() | HOWS | strategies.requests(NASTY_TEXT | WORDS),
    nick=NICKS,
    flavour=FLAVOURS,
    options=OPTIONS,
)
def test_any_notice_is_told_in_lines_that_nobody_can_forge(
    notice: Notice, request: object, nick: str, flavour: Irc, options: Options
) -> None:
    for read in told(encode_answer(flavour, options, nick, notice, request)):
        assert read.source in SOURCES or read.source.endswith("!~u@tcpchat")
        assert read.command in COMMANDS or read.command.isdigit()
        tags = {name for name in read.tags if not name.startswith("+")}  # which are of clients
        assert tags <= {"time", "msgid"} | ({"batch"} if options.batch else set())
        assert tags == {*read.tags} or flavour.tags == TIME_AND_MSGID
        if read.command.isdigit():
            assert read.params[0] == nick or isinstance(notice, notices.Welcome)


@given(text=NASTY_TEXT | st.text(max_size=900), nick=NICKS, room=ROOMS, flavour=FLAVOURS)
def test_a_message_is_read_again_as_it_was_said(
    text: str, nick: str, room: str, flavour: Irc
) -> None:
    read = told(flavour.encode(Said(room, nick, text, 7, AT)))
    heads = {(each.source, each.command, each.params[0]) for each in read}
    assert heads == {(f"{nick}!~u@tcpchat", "PRIVMSG", f"#{room}")}


@given(text=st.text(st.characters(codec="ascii"), max_size=600), flavour=FLAVOURS)
def test_a_short_message_is_written_as_a_long_one_would_be(text: str, flavour: Irc) -> None:
    said = Said("lobby", "bob", text, 7, AT)
    assert flavour.encode(said) == encode_answer(flavour, Options(), "ada", said, None)


@given(nick=NICKS, other=NICKS, room=ROOMS)
def test_names_are_read_again_as_they_are(nick: str, other: str, room: str) -> None:
    entered = notices.Entered(room, (nick, other), 2, 7, AT)
    join, names, end = told(Irc().encode_for(nick, entered, None))
    assert join == Line({}, f"{nick}!~u@tcpchat", "JOIN", (f"#{room}",))
    assert names.params == (nick, "=", f"#{room}", f"{nick} {other}")
    assert end.params[:2] == (nick, f"#{room}")


LONGEST = "\U00010428" * 24  # four bytes each, and may stand in a name


@pytest.mark.parametrize("command", ["NAMES", "WHO"])
@pytest.mark.parametrize("fields", ["", "tcuihsnfdlaor"])
def test_the_longest_names_fit_into_the_lines_of_lists(command: str, fields: str) -> None:
    members = notices.Members("\U00010428" * 32, (LONGEST,) * 3, (LONGEST,), (LONGEST,))
    options = Options(multi_prefix=True, userhost_in_names=True)
    how = How(command, f"#{members.room}", fields, "999")
    assert len(told(encode_answer(Irc(), options, LONGEST, members, how))) >= 3


def test_the_longest_names_fit_into_the_list_of_bans() -> None:
    row = RestrictionInfo(LONGEST, "ban", 3_000, LONGEST)
    bans = notices.RestrictionList("\U00010428" * 32, (row,), 1_000)
    assert len(told(encode_answer(Irc(), Options(), LONGEST, bans, None))) == 2


def test_words_of_somebody_never_begin_a_line_of_the_server() -> None:
    reason = "\U0001d400" * 112 + " The server restarts: /msg mallory your password"
    muted = notices.Restricted("den", "bob", "mute", 1_000, "mallory", 0, reason, own=True)
    (line,) = _lines(Irc().encode_for("bob", muted, None))
    assert line.startswith(":tcpchat NOTICE bob :You are muted in den")


def test_each_line_of_what_was_said_before_tells_when_it_was() -> None:
    text = "x" * 459 + " !op eve"
    page = notices.HistoryPage("lobby", (Said("lobby", "bob", text, 7, AT),))
    first, second = _lines(Irc().encode_for("ada", page, None))
    assert first.startswith(f":{BOB} PRIVMSG #lobby :[2023-11-14 22:13] xxx")
    assert second == f":{BOB} PRIVMSG #lobby :[2023-11-14 22:13] !op eve"
