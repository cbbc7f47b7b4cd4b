"""What IRC clients can say once they are registered, to others and to the server."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tcpchat_core import ChatState, ServerLimits, ServerProtocol, StateLimits, events
from tcpchat_core.dialects.irc.commands import COMMANDS, without_formatting
from tcpchat_core.dialects.irc.numerics import MAX_MODES, MAX_ROOMS, MAX_TARGETS
from tcpchat_core.framing import MAX_LINE_BYTES
from tcpchat_core.version import VERSION
from tests.core.harness import HELLO, NO_FLOOD_LIMIT
from tests.core.irc import told as read_back
from tests.core.irc_server import IrcServer, numerics


def talking() -> IrcServer:
    """ada (1) and bob (2) speak IRC, eve (3) types, fay (4) writes JSON; ada moderates the hall."""
    memory = IrcServer()
    memory.register(1, "ada")
    memory.register(2, "bob")
    memory.connect(3)
    memory.send(3, b"/nick eve\n")
    memory.connect(4)
    memory.send(4, HELLO)
    memory.ask(4, events.Nick("fay"))
    memory.say(1, "JOIN #hall")
    memory.say(2, "JOIN #hall")
    memory.send(3, b"/join hall\n")
    memory.ask(4, events.Join("hall"))
    for conn in (1, 2, 3, 4):
        memory.read(conn)
    return memory


# ── Together ─────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("line", "irc", "plain", "types"),
    [
        (
            "PRIVMSG #hall :hello all",
            [":ada!~u@tcpchat PRIVMSG #hall :hello all"],
            ["[hall] ada: hello all"],
            ["said"],
        ),
        (
            "PRIVMSG #hall :\x01ACTION waves\x01",
            [":ada!~u@tcpchat PRIVMSG #hall :\x01ACTION waves\x01"],
            ["[hall] * ada waves"],
            ["said"],
        ),
        (
            "PRIVMSG #hall :\x0304,01red\x03 and \x02bold",
            [":ada!~u@tcpchat PRIVMSG #hall :red and bold"],
            ["[hall] ada: red and bold"],
            ["said"],
        ),
        ("NICK ida", [":ada!~u@tcpchat NICK ida"], ["* ada is now ida"], ["renamed"]),
        (
            "TOPIC #hall :tea at \x02four",
            [":ada!~u@tcpchat TOPIC #hall :tea at four"],
            ["* The topic of hall, set by ada: tea at four"],
            ["topic"],
        ),
        ("PART #hall", [":ada!~u@tcpchat PART #hall"], ["* ada left hall"], ["left"]),
        (
            "PART #hall :\x02tea",
            [":ada!~u@tcpchat PART #hall :tea"],
            ["* ada left hall (tea)"],
            ["left"],
        ),
        (
            "QUIT :good \x02night",
            [":ada!~u@tcpchat QUIT :good night"],
            ["* ada quit (good night)"],
            ["gone"],
        ),
        ("QUIT", [":ada!~u@tcpchat QUIT :"], ["* ada quit"], ["gone"]),
        (
            "KICK #hall eve :out \x02now",
            [":ada!~u@tcpchat KICK #hall eve :out now"],
            ["* You were put out of hall by ada (out now)"],
            ["left"],
        ),
        (
            "NOTICE #hall :beep",
            [":ada!~u@tcpchat NOTICE #hall :beep"],
            ["[hall] -ada- beep"],
            ["said"],
        ),
    ],
)
def test_each_sees_what_an_irc_client_does_as_its_own_kind_would_show_it(
    line: str, irc: list[str], plain: list[str], types: list[str]
) -> None:
    memory = talking()
    memory.say(1, line)
    assert memory.lines(2) == irc
    assert memory.lines(3)[: len(plain)] == plain
    assert [str(told.__struct_config__.tag) for told in memory.told(4)][: len(types)] == types


@pytest.mark.parametrize(
    ("conn", "said", "told"),
    [
        (3, b"hello\n", ":eve!~u@tcpchat PRIVMSG #hall :hello"),
        (3, b"/me waves\n", ":eve!~u@tcpchat PRIVMSG #hall :\x01ACTION waves\x01"),
        (3, b"/nick eva\n", ":eve!~u@tcpchat NICK eva"),
        (3, b"/msg ada hello\n", ":eve!~u@tcpchat PRIVMSG ada :hello"),
        (3, b"/topic tea\n", ":eve!~u@tcpchat TOPIC #hall :tea"),
        (3, b"/out\n", ":eve!~u@tcpchat PART #hall"),
        (3, b"/quit bye\n", ":eve!~u@tcpchat QUIT :bye"),
        (
            4,
            b'{"type":"say","room":"hall","text":"hello"}\n',
            ":fay!~u@tcpchat PRIVMSG #hall :hello",
        ),
    ],
)
def test_an_irc_client_sees_what_others_do(conn: int, said: bytes, told: str) -> None:
    memory = talking()
    memory.send(conn, said)
    assert memory.lines(1) == [told]


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("PRIVMSG bob :hello", [":ada!~u@tcpchat PRIVMSG bob :hello"]),
        ("PRIVMSG bob!~u@tcpchat :hello", [":ada!~u@tcpchat PRIVMSG bob :hello"]),
        (
            "PRIVMSG bob,#hall :hello",
            [":ada!~u@tcpchat PRIVMSG bob :hello", ":ada!~u@tcpchat PRIVMSG #hall :hello"],
        ),
        ("PRIVMSG bob :\x01ACTION waves\x01", [":ada!~u@tcpchat PRIVMSG bob :* ada waves"]),
        ("NOTICE bob :beep", [":ada!~u@tcpchat NOTICE bob :beep"]),
        # What is for programs alone reaches none.
        ("PRIVMSG bob :\x01VERSION\x01", []),
        ("PRIVMSG bob :\x01PING 1 2", []),
        ("NOTICE bob :\x01VERSION x\x01", []),
        ("@+draft/typing=active TAGMSG bob", []),
        ("@+reply=x PRIVMSG bob :hello", [":ada!~u@tcpchat PRIVMSG bob :hello"]),
    ],
)
def test_what_is_said_to_somebody_alone_reaches_them(line: str, told: list[str]) -> None:
    memory = talking()
    assert memory.say(1, line) == []
    assert memory.lines(2) == told


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("\x02bold\x02 \x1ditalic\x0f \x1funder\x16 \x1estruck\x11", "bold italic under struck"),
        ("\x034red\x03", "red"),
        ("\x0304,01red", "red"),
        ("\x03123", "3"),
        ("\x0304,x", ",x"),
        ("\x04ff0000red\x04", "red"),
        ("\x04FF0000,00ff00red", "red"),
        ("\x04ff", "ff"),
        ("3 < 4", "3 < 4"),
    ],
)
def test_how_a_text_looks_is_not_said(text: str, plain: str) -> None:
    assert without_formatting(text) == plain


def test_who_wants_it_hears_what_it_says_itself() -> None:
    memory = IrcServer()
    memory.register(1, "ada", "echo-message")
    memory.register(2, "bob")
    memory.say(1, "JOIN #hall")
    assert memory.say(1, "PRIVMSG #hall,bob :hello") == [
        ":ada!~u@tcpchat PRIVMSG #hall :hello",
        ":ada!~u@tcpchat PRIVMSG bob :hello",
    ]
    memory.say(1, "CAP REQ :-echo-message")
    assert memory.say(1, "PRIVMSG #hall,bob :hello") == []


def test_a_client_that_is_put_out_of_a_room_is_in_the_others_still() -> None:
    memory = talking()
    memory.say(2, "JOIN #tea")
    memory.say(1, "KICK #hall bob")
    memory.read(2)
    assert memory.say(2, "JOIN 0") == [":bob!~u@tcpchat PART #tea"]


# ── Answers ──────────────────────────────────────────────────────────────────────────────────


NAMES = ":tcpchat 353 ada = #hall :@ada bob eve fay"
END_OF_NAMES = ":tcpchat 366 ada #hall :End of NAMES"
NO_ROOM = ":tcpchat 403 ada hall :a room is called #name here"


@pytest.mark.parametrize(
    ("line", "told"),
    [
        # Rooms.
        ("JOIN #hall", []),
        ("JOIN hall", [NO_ROOM]),
        ("JOIN #a!", [":tcpchat 403 ada #a! :a room name cannot contain !"]),
        ("JOIN ,", []),
        ("JOIN 0", [":ada!~u@tcpchat PART #hall"]),
        ("PART hall", [NO_ROOM]),
        (
            "PART #hall,#tea",
            [
                ":ada!~u@tcpchat PART #hall",
                ":tcpchat 442 ada #tea :you are not in tea; /join tea first",
            ],
        ),
        ("TOPIC hall", [NO_ROOM]),
        ("TOPIC #hall", [":tcpchat 331 ada #hall :No topic is set"]),
        ("TOPIC #hall :", [":ada!~u@tcpchat TOPIC #hall :"]),
        ("TOPIC #tea", [":tcpchat 403 ada #tea :you are not in tea; /join tea first"]),
        ("NAMES", [":tcpchat 366 ada * :End of NAMES"]),
        ("NAMES hall", [":tcpchat 366 ada hall :End of NAMES"]),
        ("NAMES #hall", [NAMES, END_OF_NAMES]),
        ("NAMES #HALL,#tea,x", [NAMES, ":tcpchat 366 ada #HALL,#tea,x :End of NAMES"]),
        ("NAMES x,#a!", [":tcpchat 366 ada x,#a! :End of NAMES"]),
        ("WHO", [":tcpchat 315 ada * :End of WHO"]),
        (
            "WHO bob!*@*",
            [
                ":tcpchat 352 ada * ~bob tcpchat * bob H :0 bob",
                ":tcpchat 315 ada bob!*@* :End of WHO",
            ],
        ),
        ("WHO nobody", [":tcpchat 315 ada nobody :End of WHO"]),
        (
            "WHO *A*!*@*",
            [
                ":tcpchat 352 ada * ~ada tcpchat * ada H :0 ada",
                ":tcpchat 352 ada * ~u tcpchat * fay H :0 fay",
                ":tcpchat 315 ada *A*!*@* :End of WHO",
            ],
        ),
        (
            "WHO b?b %nat,7",
            [":tcpchat 354 ada 7 bob 0", ":tcpchat 315 ada b?b :End of WHO"],
        ),
        ("WHO z*", [":tcpchat 315 ada z* :End of WHO"]),
        ("WHO #h*", [":tcpchat 315 ada #h* :End of WHO"]),
        (
            "WHOIS tcpchat bob",
            [
                ":tcpchat 311 ada bob ~bob tcpchat * :bob",
                ":tcpchat 319 ada bob :#hall",
                ":tcpchat 312 ada bob tcpchat :all of its servers are one",
                ":tcpchat 318 ada bob :End of WHOIS",
            ],
        ),
        (
            "WHOIS nobody",
            [
                ":tcpchat 401 ada nobody :there is nobody called nobody",
                ":tcpchat 318 ada nobody :End of WHOIS",
            ],
        ),
        (
            "WHOWAS bob",
            [
                ":tcpchat 406 ada bob :nobody is remembered who was called so",
                ":tcpchat 369 ada bob :End of WHOWAS",
            ],
        ),
        (
            "HELP privmsg",
            [
                ":tcpchat 704 ada privmsg :/msg NICK TEXT: say something to one person only",
                ":tcpchat 705 ada privmsg :for example: /msg ada psst",
                ":tcpchat 705 ada privmsg :the same: /tell",
                ":tcpchat 706 ada privmsg :End of HELP",
            ],
        ),
        (
            "KICK #hall,#hall eve,fay :enough",
            [
                ":ada!~u@tcpchat KICK #hall eve :enough",
                ":ada!~u@tcpchat KICK #hall fay :enough",
            ],
        ),
        ("KICK #hall,hall eve,fay", [":ada!~u@tcpchat KICK #hall eve :ada", NO_ROOM]),
        ("AWAY :tea", [":tcpchat 306 ada :You are away"]),
        ("AWAY", [":tcpchat 305 ada :You are back"]),
        ("WHO #tea", [":tcpchat 315 ada #tea :End of WHO"]),
        ("MODE #hall +b", [":tcpchat 368 ada #hall :End of the list of bans"]),
        ("MODE #hall b", [":tcpchat 368 ada #hall :End of the list of bans"]),
        ("KICK hall bob", [NO_ROOM]),
        ("KICK #hall zed", [":tcpchat 441 ada zed #hall :there is nobody called zed in hall"]),
        ("INVITE bob hall", [NO_ROOM]),
        ("INVITE bob #hall", [":tcpchat 443 ada bob #hall :bob is in hall already"]),
        # What is said.
        ("PRIVMSG", [":tcpchat 411 ada :say to whom (PRIVMSG)"]),
        ("PRIVMSG :", [":tcpchat 411 ada :say to whom (PRIVMSG)"]),
        ("PRIVMSG bob", [":tcpchat 412 ada :there is nothing to say in it"]),
        ("PRIVMSG bob :", [":tcpchat 412 ada :there is nothing to say in it"]),
        ("PRIVMSG ,", [":tcpchat 412 ada :there is nothing to say in it"]),
        ("PRIVMSG , :hello", []),
        ("PRIVMSG zed :x", [":tcpchat 401 ada zed :there is nobody called zed"]),
        ("PRIVMSG #tea :x", [":tcpchat 404 ada #tea :you are not in tea; /join tea first"]),
        ("PRIVMSG # :x", [":tcpchat 403 ada # :a room name has at least one character"]),
        (
            "PRIVMSG tcpchat :\x01VERSION\x01",
            [f":tcpchat NOTICE ada :\x01VERSION tcpchat {VERSION}\x01"],
        ),
        ("PRIVMSG tcpchat :\x01FINGER\x01", []),
        ("NOTICE", []),
        ("NOTICE bob", []),
        ("NOTICE zed :x", []),
        ("NOTICE #tea :x", []),
        ("NOTICE tcpchat :\x01VERSION\x01", []),
        # Oneself.
        ("NICK", [":tcpchat 431 ada :say which nickname"]),
        ("NICK :", [":tcpchat 431 ada :say which nickname"]),
        ("NICK bob", [":tcpchat 433 ada bob :the nickname bob is taken"]),
        ("NICK a|b", [":tcpchat 432 ada a|b :a nickname cannot contain |"]),
        ("MODE ada", [":tcpchat 221 ada +i"]),
        ("MODE Ada +i", [":tcpchat 221 ada +i"]),
        ("MODE ada +o", [":tcpchat 501 ada :there is only the mode i"]),
        ("MODE bob", [":tcpchat 502 ada :the modes of others are theirs"]),
        (
            "USERHOST Bob ada",
            [":tcpchat 302 ada :bob=+~bob@tcpchat", ":tcpchat 302 ada :ada=+~ada@tcpchat"],
        ),
        ("USERHOST zed", [":tcpchat 302 ada :"]),
        ("NICK ada", []),
        ("NICK Ada", [":ada!~u@tcpchat NICK Ada"]),
        ("ISON :bob Ada", [":tcpchat 303 ada :bob ada"]),
        ("ISON zed", [":tcpchat 303 ada :"]),
        ("MONITOR + bob,zed", [":tcpchat 730 ada :bob", ":tcpchat 731 ada :zed"]),
        ("USER x 0 * :x", [":tcpchat 462 ada :you are registered"]),
        ("PASS x", [":tcpchat 462 ada :you are registered"]),
        ("QUIT", ["ERROR :bye"]),
        # The server.
        ("PING x", [":tcpchat PONG tcpchat :x"]),
        (":ada ping :x y", [":tcpchat PONG tcpchat :x y"]),
        ("PONG x", []),
        (
            "LUSERS",
            [
                ":tcpchat 251 ada :There are 0 users and 4 invisible on 1 servers",
                ":tcpchat 254 ada 1 :channels formed",
                ":tcpchat 255 ada :I have 4 clients and 1 servers",
                ":tcpchat 265 ada 4 4 :Local users: 4, at most 4 at once",
                ":tcpchat 266 ada 4 4 :All users: 4, at most 4 at once",
            ],
        ),
        ("MOTD", [":tcpchat 422 ada :There is no message of the day"]),
        ("TIME", [":tcpchat 391 ada tcpchat :take server-time: each message tells its own"]),
        ("HELP zed", [":tcpchat 524 ada zed :there is no command /zed; /help lists the commands"]),
        ("zed", [":tcpchat 421 ada ZED :there is no such command"]),
        ("", []),
        ("  ", []),
    ],
)
def test_a_command_is_answered_to_who_gave_it(line: str, told: list[str]) -> None:
    assert talking().say(1, line) == told


@pytest.mark.parametrize(
    ("line", "codes"),
    [
        ("JOIN #tea,#den", ["JOIN", "353", "366"] * 2),
        ("WHO #hall", ["352"] * 4 + ["315"]),
        ("WHO #hall o", ["352"] * 4 + ["315"]),
        ("WHO #hall %tna,42", ["354"] * 4 + ["315"]),
        ("LIST", ["321", "322", "323"]),
        ("LIST >3", ["321", "322", "323"]),
        ("LIST >4", ["321", "323"]),
        ("LIST <5,!*x*,#h*", ["321", "322", "323"]),
        ("LIST h*", ["321", "323"]),
        ("LIST #hall", ["321", "322", "323"]),
        ("LIST #tea", ["321", "323"]),
        ("MODE #hall", ["324"]),
        ("VERSION", ["351", "005", "005"]),
        ("INFO", ["371", "374"]),
        ("HELP join", ["704", "705", "705", "706"]),
        ("HELPOP join", ["704", "705", "705", "706"]),
        (f"TOPIC #hall :{'x' * 301}", ["417"]),
        (f"PRIVMSG #hall :{'x' * 2_001}", ["417"]),
        (f"QUIT :{'x' * 201}", ["417", "ERROR"]),
        (f"@{'x' * 4_095} PING x", ["417"]),
        (f"@{'x' * 4_094} PING x", ["PONG"]),
        (f"USERHOST {'bob ' * (MAX_TARGETS + 1)}", ["302"] * MAX_TARGETS),
        (f"JOIN {'#hall,' * (MAX_ROOMS + 1)}", ["407"]),
        (f"PRIVMSG {'zed,' * (MAX_TARGETS + 1)} :x", ["401"] * MAX_TARGETS + ["407"]),
        (f"NOTICE {'zed,' * (MAX_TARGETS + 1)} :x", []),
        (f"NAMES {'#hall,' * (MAX_TARGETS + 1)}", ["353"] * MAX_TARGETS + ["366"]),
        (f"KICK #hall {'zed,' * (MAX_TARGETS + 1)}", ["441"] * MAX_TARGETS + ["407"]),
        (f"MODE #hall +{'k' * (MAX_MODES + 1)}", ["472"] * MAX_MODES),
    ],
)
def test_a_command_is_answered_by_its_numerics(line: str, codes: list[str]) -> None:
    assert numerics(talking().say(1, line)) == codes


@pytest.mark.parametrize("command", [name for name, each in COMMANDS.items() if each.least])
@pytest.mark.parametrize("rest", ["", " :"])
def test_a_command_that_needs_more_says_so(command: str, rest: str) -> None:
    told = talking().say(1, f"{command}{rest}")
    assert told == [f":tcpchat 461 ada {command} :{command} needs more parameters"]


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_no_command_of_the_table_is_unknown(command: str) -> None:
    assert "421" not in numerics(talking().say(1, f"{command} #hall :bob"))


def test_the_message_of_the_day_can_be_asked_for() -> None:
    memory = IrcServer(ServerProtocol(ChatState(), motd=["moin"]))
    memory.register(1, "ada")
    assert numerics(memory.say(1, "MOTD")) == ["375", "372", "376"]


def test_all_rooms_are_those_that_one_is_in_by_then() -> None:
    memory = talking()
    memory.delayed = True
    memory.say(1, "JOIN #tea,#den", "PART #tea", "JOIN 0", "JOIN #tea")
    memory.commit_all()
    rooms = [line.split(" ")[1:] for line in memory.lines(1) if line.startswith(":ada!")]
    assert rooms == [
        ["JOIN", "#tea"],
        ["JOIN", "#den"],
        ["PART", "#tea"],
        ["PART", "#hall"],
        ["PART", "#den"],
        ["JOIN", "#tea"],
    ]


def test_a_mask_shows_nobody_with_whom_one_shares_no_room() -> None:
    memory = talking()
    memory.register(5, "gil")
    assert memory.say(5, "WHO *") == [":tcpchat 315 gil * :End of WHO"]
    memory.say(5, "JOIN #den")
    memory.say(1, "JOIN #den", "JOIN #tea")
    memory.read(5)
    own, other, end = memory.say(5, "WHO *")
    assert [line.split(" ")[7:9] for line in (own, other)] == [["gil", "H"], ["ada", "H"]]
    assert end == ":tcpchat 315 gil * :End of WHO"
    assert numerics(memory.say(1, "WHO *")) == ["352"] * 5 + ["315"]  # each once


def test_who_is_away_is_not_at_its_host() -> None:
    memory = talking()
    memory.say(2, "AWAY :at tea")
    assert memory.say(1, "USERHOST bob") == [":tcpchat 302 ada :bob=-~bob@tcpchat"]


def test_answers_name_the_nick_that_one_has_by_then() -> None:
    memory = talking()
    memory.delayed = True
    assert memory.say(1, "NICK ida", "MOTD", "WHO #hall %n") == []
    memory.commit_all()
    told = memory.lines(1)
    assert told[0] == ":ada!~u@tcpchat NICK ida"
    assert all(" ida " in line for line in told[1:])


# ── Modes ────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("modes", "asked"),
    [
        ("+i", [events.RoomMode("hall", private=True, key="hall")]),
        ("-s", [events.RoomMode("hall", unlisted=False, key="hall")]),
        (
            "+m-i",
            [
                events.RoomMode("hall", moderated=True, key="hall"),
                events.RoomMode("hall", private=False, key="hall"),
            ],
        ),
        ("+n-n", []),
        ("-t", [events.RoomMode("hall", topic_locked=False, key="hall")]),
        ("+o bob", [events.Role("hall", "bob", "moderator", "hall", "bob")]),
        (
            "-o+o bob eve",
            [
                events.Role("hall", "bob", "member", "hall", "bob"),
                events.Role("hall", "eve", "moderator", "hall", "eve"),
            ],
        ),
        ("+q bob", [events.Role("hall", "bob", "owner", "hall", "bob")]),
        ("-q bob", [events.Role("hall", "bob", "moderator", "hall", "bob")]),
        ("+b bob!*@*", [events.Restrict("hall", "bob", "ban", key="hall", nick_key="bob")]),
        ("-b bob", [events.Lift("hall", "bob", "ban", "hall", "bob")]),
        ("b", [events.Restrictions("hall", "hall")]),
        ("+o", []),
    ],
)
def test_modes_are_what_a_room_has_for_them(modes: str, asked: list[events.Event]) -> None:
    memory = talking()
    before = len(memory.log)
    memory.say(1, f"MODE #hall {modes}")
    assert [each.event for each in memory.log[before:]] == asked


def test_who_is_invited_is_told_so_and_so_is_who_did_it() -> None:
    memory = talking()
    memory.say(2, "PART #hall")
    memory.read(1)
    assert memory.say(1, "INVITE bob #hall") == [":tcpchat 341 ada bob #hall"]
    assert memory.lines(2) == [":ada!~u@tcpchat INVITE bob #hall"]


@pytest.mark.parametrize(
    "line",
    [
        "MODE #hall +m",
        "MODE #hall -t",
        "KICK #hall ada",
        "INVITE zed #hall",
        "MODE #hall +o bob",
    ],
)
def test_who_does_not_moderate_is_told_that_it_may_not(line: str) -> None:
    assert numerics(talking().say(2, line)) == ["482"]


def test_a_private_room_opens_to_its_key() -> None:
    memory = talking()
    memory.ask(4, events.Join("den"))
    memory.ask(4, events.RoomMode("den", private=True, secret="sesame"))
    assert numerics(memory.say(1, "JOIN #tea,#den nothing,open")) == ["JOIN", "353", "366", "473"]
    memory.wait(5_000)  # no other may be tried at once
    assert numerics(memory.say(1, "JOIN #den sesame")) == ["JOIN", "353", "366"]


# ── Lines ────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("end", [b"\n", b"\r", b"\r\n", b"\r\n\r\n", b"\n\r"])
def test_a_line_may_end_as_it_likes(end: bytes) -> None:
    memory = talking()
    for piece in (b"PING a" + end, b"PING b", end):
        memory.send(1, piece)
    assert memory.lines(1) == [":tcpchat PONG tcpchat :a", ":tcpchat PONG tcpchat :b"]


@pytest.mark.parametrize(
    ("line", "command"), [(b"PRIVMSG #hall :\xff", "PRIVMSG"), (b"\xff x", "*"), (b"@\xff", "*")]
)
def test_a_line_that_is_no_text_is_refused_in_the_standard_words(line: bytes, command: str) -> None:
    memory = talking()
    memory.send(1, line + b"\r\n")
    assert memory.lines(1) == [f":tcpchat FAIL {command} INVALID_UTF8 :a line must be UTF-8 text"]


def test_lines_that_are_too_long_are_refused_and_the_third_in_a_row_is_the_last() -> None:
    memory = talking()
    long = b"x" * (MAX_LINE_BYTES + 1) + b"\r\n"
    memory.send(1, long + b"PING x\r\n" + long + long)
    assert numerics(memory.lines(1)) == ["417", "PONG", "417", "417"]
    memory.send(1, long)
    assert numerics(memory.lines(1)) == ["417", "ERROR"]
    assert memory.closed == [1]


def test_a_silent_client_is_asked_whether_it_is_there() -> None:
    memory = IrcServer()
    memory.register(1, "ada")
    memory.wait(90_000)
    assert memory.lines(1) == ["PING :tcpchat"]
    memory.say(1, "PONG tcpchat")
    memory.wait(90_000)
    assert memory.lines(1) == ["PING :tcpchat"]
    memory.wait(60_000)
    assert memory.lines(1) == ["ERROR :ping timeout"]
    assert memory.closed == [1]


def test_who_is_away_is_told_to_who_has_asked_to_hear_of_it_and_to_nobody_else() -> None:
    memory = talking()
    memory.say(2, "CAP REQ away-notify")
    memory.register(5, "gil")
    memory.say(5, "JOIN #hall")
    memory.register(6, "hal")
    memory.say(6, "AWAY :at tea")
    for conn in (1, 2, 5):
        memory.read(conn)
    memory.say(6, "JOIN #hall")  # who comes in may be away already
    joined = ":hal!~u@tcpchat JOIN #hall"
    assert memory.lines(2) == [joined, ":hal!~u@tcpchat AWAY :at tea"]
    assert memory.say(6, "AWAY") == [":tcpchat 305 hal :You are back"]
    assert memory.lines(2) == [":hal!~u@tcpchat AWAY"]
    assert memory.say(2, "AWAY :me too") == [":tcpchat 306 bob :You are away"]
    assert memory.lines(1) == memory.lines(5) == [joined]


@pytest.mark.parametrize(
    ("caps", "told"),
    [((), ":tcpchat 400 ada MODE :"), (("standard-replies",), ":tcpchat FAIL MODE TOO_MANY eve #")],
)
def test_who_takes_standard_replies_is_told_by_a_word_what_has_no_number(
    caps: tuple[str, ...], told: str
) -> None:
    limits = StateLimits(restrictions=1)
    memory = IrcServer(ServerProtocol(ChatState(limits=limits), limits=NO_FLOOD_LIMIT))
    memory.register(1, "ada", *caps)
    memory.register(2, "bob")
    memory.register(3, "eve")
    memory.say(1, "JOIN #hall", "MODE #hall +b bob")
    [line] = memory.say(1, "MODE #hall +b eve")
    assert line.startswith(told)


def test_a_client_that_hangs_up_is_gone() -> None:
    memory = talking()
    memory.send(1, b"PRIVMSG #hall :bye\r\nPRIVMSG #hall :half a li")
    memory.eof(1)
    assert memory.closed == [1]
    assert memory.lines(2) == [":ada!~u@tcpchat PRIVMSG #hall :bye", ":ada!~u@tcpchat QUIT :"]


def test_what_is_too_fast_waits_and_is_not_lost() -> None:
    memory = IrcServer(ServerProtocol(ChatState(), limits=ServerLimits()))
    memory.register(1, "ada")
    memory.say(1, *[f"PING {number}" for number in range(60)])
    assert memory.paused == {1}
    memory.wait_until_heard(1)
    pongs = [line for data in [memory.lines(1)] for line in data if "PONG" in line]
    assert pongs[-1] == ":tcpchat PONG tcpchat :59"


WORDS = st.sampled_from([*COMMANDS, "CAP", "LS", "REQ", "END"]) | st.sampled_from(
    [
        "#hall",
        "#tea",
        "bob",
        "ada",
        "ida",
        ":",
        ":x",
        "+o-b",
        "0",
        "%tna,1",
        "\x01ACTION",
        "\x02",
        "é",
        ",",
        "@a=b",
        "-echo-message",
        "server-time",
    ]
)


@given(lines=st.lists(st.lists(WORDS | st.text(max_size=5), max_size=5).map(" ".join), max_size=12))
def test_whatever_clients_say_others_are_told_what_they_can_read(lines: list[str]) -> None:
    memory = talking()
    for line in lines:
        memory.send(1, line.encode(errors="replace") + b"\r\n")
    for conn in (1, 2):
        read_back(memory.read(conn))
    memory.lines(3)
    memory.told(4)


def test_a_message_to_a_program_takes_no_longer_to_read_than_others_do() -> None:
    memory = talking()
    text = "\x01" + "a" * 16_000 + "\x01b"
    assert numerics(memory.say(1, f"PRIVMSG #hall :{text}")) == ["417"]


def test_of_many_modes_at_once_the_first_are_looked_at_and_of_many_rooms_the_first_listed() -> None:
    memory = talking()
    assert numerics(memory.say(1, f"MODE #hall {'z' * 2_000}")) == ["472"] * 4
    rooms = ",".join([*(f"#r{number}" for number in range(60)), "#hall"])
    assert numerics(memory.say(1, f"LIST {rooms}")) == ["321", "323"]
    assert numerics(memory.say(1, "LIST #hall,#r1")) == ["321", "322", "323"]


def test_who_may_not_see_the_bans_is_given_the_end_of_the_list_alone() -> None:
    memory = talking()
    memory.say(1, "MODE #hall +b eve")
    memory.read(2)
    why = "only who moderates hall may do that"
    for line in ("MODE #hall b", "MODE #hall +b"):
        assert memory.say(2, line) == [f":tcpchat 368 bob #hall :End of the list of bans: {why}"]
    assert numerics(memory.say(2, "MODE #hall +b carl", "MODE #tea b")) == ["482", "442"]


def time_for(*lines: str) -> int:
    """How long it takes in ms until all of these lines are taken, and paid for."""
    limits = ServerLimits(flood_burst=20, flood_rate=5)
    memory = IrcServer(ServerProtocol(ChatState(), limits=limits))
    memory.register(1, "ada")
    rooms = [f"#r{number}" for number in range(MAX_TARGETS)]
    memory.say(1, f"JOIN {','.join(rooms)}")
    memory.wait(60_000)
    begin = memory.now
    for line in lines:
        memory.say(1, line)
        memory.wait_until_heard(1)
    return memory.now - begin


@pytest.mark.parametrize("command", ["PRIVMSG", "NOTICE"])
@pytest.mark.parametrize("text", ["x" * 2_000, "щ" * 1_900, "x" * 600, "x" * 20])
def test_who_says_something_to_several_pays_for_each(command: str, text: str) -> None:
    rooms = [f"#r{number}" for number in range(MAX_TARGETS)]
    alone = time_for(*[f"{command} {room} :{text}" for room in rooms * 15])
    together = time_for(*[f"{command} {','.join(rooms)} :{text}"] * 15)
    assert alone * 0.8 < together < alone * 1.3
