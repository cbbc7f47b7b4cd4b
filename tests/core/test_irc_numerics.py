"""The welcome of an IRC client, and the numbers of refusals."""

from __future__ import annotations

from typing import get_args

import pytest
from hypothesis import given

from tcpchat_core import events, notices
from tcpchat_core.dialects.irc.asked import How
from tcpchat_core.dialects.irc.encode import Irc
from tcpchat_core.dialects.irc.numerics import REFUSALS, isupport, motd, numeric, refusal, welcome
from tcpchat_core.events import Request
from tcpchat_core.notices import Limits, Reason, Rejected, Welcome
from tests.core import strategies
from tests.core.irc import lines_of, told
from tests.core.strategies import NASTY_TEXT, WORDS

LIMITS = Limits(16_384, 2_000, 8_000, 24, 32, 300, 50, 128)
WELCOME = Welcome(
    "ada", "1f", "the chat", "0.1.0", motd=("Be kind.",), limits=LIMITS, people=7, most_people=9
)


@pytest.mark.parametrize(
    ("params", "line"),
    [
        (("lobby",), b":tcpchat 401 ada lobby"),
        (("lobby", "no such thing"), b":tcpchat 401 ada lobby :no such thing"),
        (("lobby", ":x"), b":tcpchat 401 ada lobby ::x"),
        (("",), b":tcpchat 401 ada :"),
        ((), b":tcpchat 401 ada"),
    ],
)
def test_the_last_parameter_of_a_numeric_may_be_a_text(
    params: tuple[str, ...], line: bytes
) -> None:
    assert numeric("401", "ada", *params) == line + b"\r\n"


def test_who_has_no_nick_yet_is_called_a_star() -> None:
    assert numeric("451", "", text="Register first") == b":tcpchat 451 * :Register first\r\n"


# ── The welcome ──────────────────────────────────────────────────────────────────────────────


def test_who_comes_is_told_the_usual_numerics_in_their_order() -> None:
    read = told(welcome("ada", WELCOME))
    assert [each.command for each in read] == [
        "001", "002", "003", "004", "005", "005", "251", "255", "265", "266", "375", "372", "376",
    ]  # fmt: skip # a row of numbers
    assert {each.params[0] for each in read} == {"ada"}
    assert read[0].params[1] == "Welcome to the chat, ada"
    assert read[3].params[1:3] == ("tcpchat", "0.1.0")
    assert read[6].params[1] == "There are 0 users and 7 invisible on 1 servers"
    assert read[7].params[1] == "I have 7 clients and 1 servers"
    assert read[9].params[1:3] == ("7", "9")
    assert read[11].params[1] == "- Be kind."


def test_the_welcome_is_told_to_the_nick_that_is_in_it() -> None:
    assert Irc().encode_for("", WELCOME, None) == welcome("ada", WELCOME)


def test_a_server_without_a_message_of_the_day_says_so() -> None:
    assert [each.command for each in told(motd("ada", ()))] == ["422"]


def _tokens(told_to: Welcome) -> dict[str, str]:
    lines = told(isupport("ada", told_to))
    assert all(len(each.params) <= 15 for each in lines)
    tokens = [token for each in lines for token in each.params[1:-1]]
    return {name: value for name, _, value in (token.partition("=") for token in tokens)}


def test_what_is_supported_is_as_the_servers_limits_are() -> None:
    tokens = _tokens(WELCOME)
    shown = {name: tokens[name] for name in ("NICKLEN", "CHANNELLEN", "TOPICLEN", "CHANLIMIT")}
    assert shown == {
        "NICKLEN": f"{LIMITS.nick_chars}",
        "CHANNELLEN": f"{LIMITS.room_chars + 1}",
        "TOPICLEN": f"{LIMITS.topic_chars}",
        "CHANLIMIT": f"#:{LIMITS.rooms_per_person}",
    }
    assert tokens["NETWORK"] == "the\\x20chat"
    assert tokens["TARGMAX"] == "JOIN:50,KICK:4,NAMES:4,NOTICE:4,PART:50,PRIVMSG:4,TAGMSG:4"
    assert tokens["CASEMAPPING"] == "ascii"
    assert tokens["PREFIX"] == "(qo)~@"


def test_a_server_that_names_no_limits_claims_none() -> None:
    assert not {"NICKLEN", "CHANLIMIT"} & _tokens(Welcome("ada", "1f")).keys()
    assert _tokens(Welcome("ada", "1f"))["NETWORK"] == "tcpchat"


# ── Refusals ─────────────────────────────────────────────────────────────────────────────────


def test_each_reason_has_a_number() -> None:
    assert tuple(REFUSALS) == get_args(Reason)


SAY, TELL = events.Say("lobby", "hi"), events.Tell("bob", "psst")
JOIN, OUT, NICK = events.Join("#lobby"), events.Out("lobby"), events.Nick("bob")
KICK = events.Kick("lobby", "bob")


@pytest.mark.parametrize(
    ("reason", "request_", "told_"),
    [
        ("bad-line", None, "417 ada"),
        ("bad-request", SAY, "400 ada PRIVMSG"),
        ("password-needed", None, "464 ada"),
        ("wrong-password", None, "464 ada"),
        ("unknown-command", How("BLUB"), "421 ada BLUB"),
        ("unknown-command", How("HELP", "blub"), "524 ada blub"),
        ("bad-usage", How("KICK"), "461 ada KICK"),
        ("bad-name", NICK, "432 ada bob"),
        ("bad-name", JOIN, "403 ada #lobby"),
        ("reserved-name", NICK, "432 ada bob"),
        ("nick-in-use", NICK, "433 ada bob"),
        ("nick-owned", NICK, "433 ada bob"),
        ("no-such-nick", TELL, "401 ada bob"),
        ("no-such-nick", KICK, "441 ada bob #lobby"),
        ("no-current-room", None, "403 ada *"),
        ("not-in-room", SAY, "404 ada #lobby"),
        ("not-in-room", OUT, "442 ada #lobby"),
        ("not-in-room", How("MODE", "#Lobby"), "442 ada #Lobby"),
        ("not-in-room", How("NAMES", "#Lobby"), "366 ada #Lobby"),
        ("not-in-room", How("WHO", "#Lobby"), "315 ada #Lobby"),
        ("bad-name", How("WHO", "*"), "315 ada *"),
        ("too-many-rooms", JOIN, "405 ada #lobby"),
        ("rooms-full", JOIN, "437 ada #lobby"),
        ("empty-text", SAY, "412 ada"),
        ("too-long", SAY, "417 ada"),
        ("unavailable", JOIN, "263 ada JOIN"),
        ("no-right", KICK, "482 ada #lobby"),
        ("no-right", How("LIST"), "481 ada"),
        ("banned", JOIN, "474 ada #lobby"),
        ("banned", None, "465 ada"),
        ("muted", SAY, "404 ada #lobby"),
        ("muted", TELL, "404 ada bob"),
        ("slow", SAY, "404 ada #lobby"),
        ("private", JOIN, "473 ada #lobby"),
        ("no-such-message", events.Redact("lobby"), "400 ada REDACT"),
        ("already-there", events.Invite("lobby", "bob"), "443 ada bob #lobby"),
        ("too-many", events.Invite("lobby", "bob"), "400 ada INVITE"),
        ("no-such-nick", events.Role("lobby", "bob", "member"), "441 ada bob #lobby"),
        ("wrong-code", events.Claim("x"), "464 ada"),
        ("unknown-device", events.Login("x"), "464 ada"),
        ("too-fast", events.Login("x"), "263 ada PASS"),
        ("newer-than-this", OUT, "400 ada PART"),
    ],
)
def test_a_refusal_has_the_number_that_clients_know(
    reason: str, request_: Request | How | None, told_: str
) -> None:
    tag = "" if isinstance(request_, How) else _tag(request_)
    [line] = lines_of(refusal("ada", Rejected(reason, "for a reason", tag), request_))
    head, _, text = line.decode().partition(" :")
    assert head == f":tcpchat {told_}"
    assert text == "for a reason" or text.startswith("End of ")


def _tag(request: Request | None) -> str:
    return "" if request is None else str(request.__struct_config__.tag)


def test_who_asks_for_somebody_who_is_not_there_is_told_the_end_of_the_answer() -> None:
    rejected = Rejected("no-such-nick", "there is nobody called eve", "whois")
    assert lines_of(refusal("ada", rejected, How("WHOIS", "eve"))) == [
        b":tcpchat 401 ada eve :there is nobody called eve",
        b":tcpchat 318 ada eve :End of WHOIS",
    ]


@pytest.mark.parametrize(
    "request_", [events.Say("lobby", "beep", notice=True), events.Tell("bob", "beep", notice=True)]
)
def test_a_notice_is_never_answered(request_: Request) -> None:
    assert refusal("ada", Rejected("not-in-room", "no", "say"), request_) == b""


@given(
    rejected=strategies.structs(Rejected, NASTY_TEXT | WORDS),
    request=strategies.requests(NASTY_TEXT | WORDS),
)
def test_any_refusal_is_told_in_lines_that_nobody_can_forge(
    rejected: notices.Rejected, request: Request
) -> None:
    for read in told(refusal("ada", rejected, request)):
        assert (read.source, read.params[0]) == ("tcpchat", "ada")
        assert read.command.isdigit()
    for read in told(refusal("ada", rejected, request, standard_replies=True)):
        assert read.source == "tcpchat"
        assert read.command == "FAIL" or (read.command.isdigit() and read.params[0] == "ada")


BAN = events.Restrict("hall", "eve", "ban")


@pytest.mark.parametrize(
    ("reason", "request_", "line"),
    [
        (
            "too-many",
            events.Restrict("hall", "eve", "ban"),
            "FAIL MODE TOO_MANY eve #hall :for a reason",
        ),
        ("bad-request", How("HELP"), "FAIL HELP BAD_REQUEST :for a reason"),
        ("unavailable", How("LIST"), "FAIL LIST UNAVAILABLE :for a reason"),
        ("too-fast", None, "FAIL JOIN TOO_FAST :for a reason"),
        ("of-tomorrow", None, "FAIL JOIN OF_TOMORROW :for a reason"),
        # What has a number keeps it.
        ("private", events.Join("hall"), "473 ada #hall :for a reason"),
        ("no-right", How("LIST"), "481 ada :for a reason"),
    ],
)
def test_what_no_number_says_is_told_by_a_word_to_who_can_take_it(
    reason: str, request_: object, line: str
) -> None:
    tag = "restrict" if isinstance(request_, events.Restrict) else "join"
    rejected = Rejected(reason, "for a reason", tag)
    written = refusal("ada", rejected, request_, standard_replies=True)
    assert lines_of(written) == [f":tcpchat {line}".encode()]


def test_a_word_for_what_no_command_has_asked_for_names_none() -> None:
    written = refusal("ada", Rejected("bad-request", "no"), None, standard_replies=True)
    assert lines_of(written) == [b":tcpchat FAIL * BAD_REQUEST :no"]
