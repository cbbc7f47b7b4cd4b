"""How an IRC client signs in by SASL: before it is welcome, and after."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tcpchat_core import ChatState, ServerLimits, ServerProtocol, events
from tcpchat_core.dialects.irc.sasl import PIECE_BYTES
from tests.core.harness import NO_FLOOD_LIMIT, entry, session
from tests.core.irc_server import IrcServer, numerics

WELCOME = ["001", "002", "003", "004", "005", "005", "251", "255", "265", "266", "422"]
TOKEN = "0123456789abcdef" * 4
PASSWORD = "right password"

SIGNED_IN = [
    ":tcpchat 900 ada ada!~u@tcpchat ada :You are signed in as ada",
    ":tcpchat 903 ada :That was right",
]
WRONG = ":tcpchat 904 * :that is not the password of such an account"


class Accounts(IrcServer):
    """ada has an account with a device and a password, and is not here; eve is, by JSON."""

    def __init__(self, *, password: str = "", limits: ServerLimits = NO_FLOOD_LIMIT) -> None:
        protocol = ServerProtocol(
            ChatState(), limits=limits, nobodys_password="nobody's", password=password
        )
        super().__init__(protocol)
        self.happens(events.Grant("ada", "ada", device=session(TOKEN)))
        self.connect(9)
        hello = events.Hello(device=TOKEN, password=password)
        self.ask(9, hello, events.Password(PASSWORD))
        self.derive()
        self.ask(9, events.Quit())
        self.connect(10)
        self.ask(10, events.Hello(password=password), events.Nick("eve"), events.Join("hall"))

    def happens(self, event: events.Event) -> None:
        """Something of the owner of the server goes into the log."""
        self.log.append(entry(len(self.log) + 1, 0, event))
        self.carry_out(self.protocol.commit([self.log[-1]], now=0))

    def begin(self, conn: int, *lines: str, peer: str = "", is_safe: bool = True) -> None:
        """A client connects, says some lines, and has asked for SASL."""
        self.connect(conn, peer=peer, is_safe=is_safe)
        self.say(conn, "CAP LS 302", *lines)
        assert self.say(conn, "CAP REQ sasl")[-1].endswith("ACK :sasl")

    def sign_in(self, conn: int, *parts: str) -> list[str]:
        """A client signs in by these parts. Returns what it is told."""
        told = self.say(conn, "AUTHENTICATE PLAIN", *pieces("\0".join(parts)))
        if self.derives:
            self.derive()
        assert told[0] == "AUTHENTICATE +"
        return told[1:] + self.lines(conn)

    def account_of(self, conn: int) -> str:
        """As whom a connection is here; "" for a guest."""
        person = self.protocol.state.person(conn)
        return person.account.nick if person is not None and person.account is not None else ""


def encoded(text: str) -> str:
    """A text in Base64."""
    return base64.b64encode(text.encode()).decode()


def pieces(text: str) -> list[str]:
    """The lines that say it."""
    whole = encoded(text)
    cut = [whole[at : at + PIECE_BYTES] for at in range(0, len(whole), PIECE_BYTES)]
    if not cut or len(cut[-1]) == PIECE_BYTES:
        cut.append("+")
    return [f"AUTHENTICATE {each}" for each in cut]


# ── Before the welcome ───────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("secret", [TOKEN, PASSWORD])
@pytest.mark.parametrize("wanted", ["", "ada"])
@pytest.mark.parametrize("lines", [["NICK x", "USER x 0 * :x"], []])
def test_a_client_signs_in_before_it_is_welcome_and_has_the_nick_of_its_account(
    secret: str, wanted: str, lines: list[str]
) -> None:
    memory = Accounts()
    memory.begin(1, *lines)
    assert memory.sign_in(1, wanted, "ada", secret) == SIGNED_IN
    rest = [] if lines else ["NICK x", "USER x 0 * :x"]
    told = memory.say(1, "CAP END", *rest)
    assert told[0] == ":tcpchat 001 ada :Welcome to tcpchat, ada"
    assert numerics(told) == WELCOME
    assert memory.account_of(1) == "ada"
    assert memory.say(1, "JOIN #hall")[0] == ":ada!~u@tcpchat JOIN #hall"


@pytest.mark.parametrize("secret", [TOKEN, PASSWORD])
def test_what_is_said_behind_it_at_once_waits_for_the_answer(secret: str) -> None:
    memory = Accounts()
    memory.delayed = True
    memory.begin(1)
    lines = ("AUTHENTICATE PLAIN", *pieces(f"\0ada\0{secret}"), "CAP END", "NICK x")
    assert memory.say(1, *lines, "USER x 0 * :x", "JOIN #hall", "PING x") == ["AUTHENTICATE +"]
    memory.commit_all()
    if memory.derives:
        memory.derive()
    memory.commit_all()
    told = memory.lines(1)
    assert told[:2] == SIGNED_IN
    assert numerics(told[2:]) == [*WELCOME, "JOIN", "353", "366", "PONG"]


def test_where_the_account_is_here_already_it_comes_into_its_rooms_behind_the_welcome() -> None:
    memory = Accounts()
    memory.connect(8)
    memory.ask(8, events.Hello(device=TOKEN), events.Join("hall"))
    memory.begin(1, "NICK x", "USER x 0 * :x")
    assert memory.sign_in(1, "", "ada", PASSWORD) == SIGNED_IN
    assert numerics(memory.say(1, "CAP END")) == [*WELCOME, "JOIN", "353", "366"]
    assert memory.say(1, "JOIN 0") == [":ada!~u@tcpchat PART #hall"]


def test_a_room_that_is_left_before_the_welcome_is_not_come_into() -> None:
    memory = Accounts()
    memory.connect(8)
    memory.ask(8, events.Hello(device=TOKEN), events.Join("hall"))
    memory.begin(1, "NICK x", "USER x 0 * :x")
    assert memory.sign_in(1, "", "ada", TOKEN) == SIGNED_IN
    memory.ask(8, events.Out("hall"))
    assert memory.lines(1) == []
    assert numerics(memory.say(1, "CAP END")) == WELCOME


@pytest.mark.parametrize("secret", [TOKEN, PASSWORD])
def test_nothing_of_its_rooms_is_told_before_the_welcome(secret: str) -> None:
    memory = Accounts()
    memory.connect(8)
    memory.ask(8, events.Hello(device=TOKEN), events.Join("hall"))
    memory.begin(1, "NICK x", "USER x 0 * :x")
    assert memory.sign_in(1, "", "ada", secret) == SIGNED_IN
    memory.ask(10, events.Say("hall", "before"))
    memory.ask(8, events.Topic("hall", "tea"))
    assert memory.lines(1) == []
    told = memory.say(1, "CAP END")
    assert numerics(told) == [*WELCOME, "JOIN", "332", "333", "353", "366", "PRIVMSG"]
    assert told[-1].endswith(" before")


@pytest.mark.parametrize("secret", [TOKEN, PASSWORD])
def test_who_may_not_come_any_more_when_all_is_said_is_sent_away(secret: str) -> None:
    memory = Accounts()
    memory.begin(1, "NICK x", "USER x 0 * :x")
    assert memory.sign_in(1, "", "ada", secret) == SIGNED_IN
    memory.happens(events.Withdraw("ada"))
    assert numerics(memory.say(1, "CAP END")) == ["464", "ERROR"]
    assert memory.closed[-1] == 1


def test_who_has_signed_in_is_not_asked_for_its_nick_or_its_other_secret() -> None:
    memory = Accounts()
    memory.begin(1, "PASS :ada:wrong password", "NICK eve", "USER x 0 * :x")  # which is eve's
    assert memory.sign_in(1, "", "ada", TOKEN) == SIGNED_IN
    assert numerics(memory.say(1, "CAP END")) == WELCOME


def test_who_was_to_choose_another_nick_may_sign_in_instead() -> None:
    memory = Accounts()
    assert numerics(memory.register(1, "eve")) == ["433"]
    assert numerics(memory.sign_in(1, "", "ada", "wrong password")) == ["904"]
    assert memory.say(1, "NICK Eve") == [":tcpchat 433 * Eve :the nickname eve is taken"]
    memory.wait(1_000)
    told = memory.sign_in(1, "", "ada", PASSWORD)
    assert told[:2] == SIGNED_IN
    assert numerics(told[2:]) == WELCOME


@pytest.mark.parametrize("secret", ["wrong password", "f" * 64, "short", "x" * 300, ""])
def test_who_is_refused_goes_on_as_a_guest_or_tries_again(secret: str) -> None:
    memory = Accounts()
    memory.begin(1, "NICK bob", "USER x 0 * :x")
    told = memory.sign_in(1, "", "ada", secret)
    assert told[0].startswith(":tcpchat 904 * :")
    assert len(told) == 1
    again = memory.sign_in(1, "", "ada", PASSWORD)
    assert again == SIGNED_IN or "try again in" in again[0]
    memory.begin(2, "NICK bob", "USER x 0 * :x")
    memory.sign_in(2, "", "ada", secret)
    assert memory.say(2, "CAP END")[0] == ":tcpchat 001 bob :Welcome to tcpchat, bob"
    assert memory.account_of(2) == ""


def test_who_has_been_wrong_waits_for_a_while_and_is_told_so() -> None:
    memory = Accounts()
    memory.begin(1, peer="there")
    assert memory.sign_in(1, "", "ada", "wrong password")[0].startswith(":tcpchat 904 * :")
    [told] = memory.sign_in(1, "", "ada", PASSWORD)
    assert told == ":tcpchat 904 * :the last one was wrong; try again in 1 s"
    memory.wait(1_000)
    assert memory.sign_in(1, "", "ada", PASSWORD) == SIGNED_IN


def test_a_password_is_not_taken_where_others_could_read_it() -> None:
    memory = Accounts()
    memory.begin(1, is_safe=False)
    [told] = memory.sign_in(1, "", "ada", PASSWORD)
    assert told.startswith(":tcpchat 904 * :others could read it")
    assert memory.sign_in(1, "", "ada", TOKEN) == SIGNED_IN


def test_the_token_of_a_device_says_by_itself_whose_it_is() -> None:
    memory = Accounts()
    memory.begin(1)
    assert memory.sign_in(1, "", "eve", TOKEN) == SIGNED_IN


def test_nothing_secret_is_in_the_log() -> None:
    memory = Accounts()
    before = len(memory.log)
    for conn, secret in enumerate((TOKEN, PASSWORD, "wrong password"), 1):
        memory.begin(conn)
        memory.sign_in(conn, "", "ada", secret)
        assert secret not in repr(memory.log[before:])


# ── The server's own ──────────────────────────────────────────────────────────────────────────


def test_the_password_of_the_server_has_to_be_said_before() -> None:
    memory = Accounts(password="sesame")
    memory.begin(1)
    [told] = memory.say(1, "AUTHENTICATE PLAIN")
    assert told == ":tcpchat 904 * :this server has a password: say it first"
    memory.say(1, "PASS sesame")
    assert memory.sign_in(1, "", "ada", PASSWORD) == SIGNED_IN
    assert numerics(memory.say(1, "CAP END", "NICK x", "USER x 0 * :x")) == WELCOME


def test_who_says_a_wrong_password_of_the_server_is_sent_away_all_the_same() -> None:
    memory = Accounts(password="sesame")
    memory.begin(1, "PASS open")
    told = memory.sign_in(1, "", "ada", PASSWORD)
    memory.wait_until_heard(1)
    assert numerics(told + memory.lines(1)) == ["464", "ERROR"]
    assert memory.closed[-1] == 1
    assert memory.protocol.state.person(1) is None


def test_who_is_banned_from_the_server_does_not_come_in_by_signing_in() -> None:
    memory = Accounts()
    memory.happens(events.Grant("ada", "ada", admin=True))
    memory.connect(8)
    memory.ask(8, events.Hello(device=TOKEN))
    for conn in (1, 2):
        memory.output[conn] = bytearray()
        memory.carry_out(memory.protocol.connection_made(conn, now=0, origin="there"))
    memory.say(1, "NICK bob", "USER bob 0 * :bob")
    memory.ask(8, events.Restrict("", "bob", "ban", server=True))
    assert numerics(memory.sign_in(2, "", "bob", PASSWORD)) == ["465", "ERROR"]
    assert 2 in memory.closed


def test_who_is_put_out_while_its_password_is_looked_at_is_told_so() -> None:
    memory = Accounts()
    memory.happens(events.Grant("ada", "ada", admin=True))
    memory.connect(8)
    memory.ask(8, events.Hello(device=TOKEN))
    memory.begin(1)
    memory.say(1, "AUTHENTICATE PLAIN", *pieces(f"\0ada\0{PASSWORD}"))
    [nick] = [person.nick for person in memory.protocol.state.connected() if person.conn == 1]
    memory.ask(8, events.Kick("", nick, server=True))
    assert numerics(memory.lines(1)) == ["ERROR"]


# ── After the welcome ────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("secret", [TOKEN, PASSWORD])
def test_a_guest_signs_in_when_it_is_here_already(secret: str) -> None:
    memory = Accounts()
    memory.register(1, "bob", "sasl")
    memory.say(1, "JOIN #hall")
    assert memory.sign_in(1, "", "ada", secret) == [":bob!~u@tcpchat NICK ada", *SIGNED_IN]
    assert memory.say(1, "NICK Ada", "PING x") == [
        ":ada!~u@tcpchat NICK Ada",
        ":tcpchat PONG tcpchat :x",
    ]


def test_a_guest_that_is_refused_stays_one() -> None:
    memory = Accounts()
    memory.register(1, "bob", "sasl")
    [told] = memory.sign_in(1, "", "ada", "wrong password")
    assert told.startswith(":tcpchat 904 bob :")
    assert memory.say(1, "JOIN #hall")[0] == ":bob!~u@tcpchat JOIN #hall"


@pytest.mark.parametrize("begins", [["PASS :" + TOKEN], []])
def test_who_is_somebody_already_is_told_so(begins: list[str]) -> None:
    memory = Accounts()
    memory.connect(1)
    memory.say(1, *begins, "NICK bob", "USER x 0 * :x")
    if not begins:
        memory.sign_in(1, "", "ada", TOKEN)
    assert memory.say(1, "AUTHENTICATE PLAIN") == [":tcpchat 907 ada :you are ada already"]


def test_who_was_somebody_as_a_person_before_it_spoke_irc_is_so_still() -> None:
    memory = Accounts()
    memory.connect(1)
    memory.wait(500)
    memory.read(1)
    assert numerics(memory.say(1, "AUTHENTICATE PLAIN")) == ["AUTHENTICATE"]
    assert memory.say(1, *pieces(f"\0ada\0{TOKEN}")) == SIGNED_IN


def test_whose_account_it_is_that_comes_in_is_told_to_who_has_asked_for_it() -> None:
    memory = Accounts()
    memory.register(1, "bob", "extended-join")
    memory.say(1, "JOIN #hall")
    memory.register(2, "cleo", "extended-join")
    memory.sign_in(2, "", "ada", TOKEN)
    joined = ":ada!~u@tcpchat JOIN #hall ada :cleo"
    assert memory.say(2, "JOIN #hall")[0] == joined
    memory.register(3, "dora")
    memory.say(3, "JOIN #hall")
    assert memory.lines(1) == [joined, ":dora!~u@tcpchat JOIN #hall * :dora"]


# ── The exchange ─────────────────────────────────────────────────────────────────────────────

MALFORMED = ":tcpchat 904 * :say an account and its secret, in Base64"


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        (["AUTHENTICATE"], [":tcpchat 461 * AUTHENTICATE :AUTHENTICATE needs more parameters"]),
        (["AUTHENTICATE plain"], ["AUTHENTICATE +"]),
        (
            ["AUTHENTICATE EXTERNAL"],
            [
                ":tcpchat 908 * PLAIN :is how one can sign in",
                ":tcpchat 904 * :there is no such mechanism",
            ],
        ),
        (["AUTHENTICATE *"], [":tcpchat 906 * :signing in was given up"]),
        (
            ["AUTHENTICATE PLAIN", "AUTHENTICATE *", "AUTHENTICATE PLAIN"],
            ["AUTHENTICATE +", ":tcpchat 906 * :signing in was given up", "AUTHENTICATE +"],
        ),
        (
            ["AUTHENTICATE PLAIN", f"AUTHENTICATE {'x' * 401}"],
            ["AUTHENTICATE +", ":tcpchat 905 * :that is too long"],
        ),
        (
            ["AUTHENTICATE PLAIN", *[f"AUTHENTICATE {'x' * 400}"] * 9],
            ["AUTHENTICATE +", ":tcpchat 905 * :that is too long"],
        ),
        (["AUTHENTICATE PLAIN", "AUTHENTICATE !"], ["AUTHENTICATE +", MALFORMED]),
        (["AUTHENTICATE PLAIN", "AUTHENTICATE é"], ["AUTHENTICATE +", MALFORMED]),
        (["AUTHENTICATE PLAIN", "AUTHENTICATE /w=="], ["AUTHENTICATE +", MALFORMED]),
        (["AUTHENTICATE PLAIN", "AUTHENTICATE +"], ["AUTHENTICATE +", MALFORMED]),
        (
            ["AUTHENTICATE PLAIN", *pieces("bob\0ada\0" + TOKEN)],
            ["AUTHENTICATE +", MALFORMED],  # nobody is another
        ),
        (["AUTHENTICATE PLAIN", *pieces("ada\0secret")], ["AUTHENTICATE +", MALFORMED]),
    ],
)
def test_an_exchange_goes_by_its_rules(lines: list[str], told: list[str]) -> None:
    memory = Accounts()
    memory.connect(1)
    assert memory.say(1, "CAP LS 302", *lines)[1:] == told


def test_who_comes_in_before_it_has_signed_in_has_given_that_up() -> None:
    memory = Accounts()
    memory.begin(1, "NICK bob", "USER x 0 * :x")
    told = memory.say(1, "AUTHENTICATE PLAIN", "CAP END")
    assert told[:2] == ["AUTHENTICATE +", ":tcpchat 906 * :signing in was given up"]
    assert numerics(told[2:]) == WELCOME


@pytest.mark.parametrize("size", [200, 224, 300])
def test_what_is_long_is_said_in_pieces(size: int) -> None:
    memory = Accounts()
    memory.begin(1)
    # The last piece may be whole, and then one with nothing in it ends it.
    account = "é" * size
    assert memory.sign_in(1, account, account, TOKEN) == SIGNED_IN


@given(lines=st.lists(st.sampled_from(["PLAIN", "+", "*", "x" * 400, "é"]) | st.text(max_size=9)))
def test_whatever_is_said_in_an_exchange_the_client_can_go_on(lines: list[str]) -> None:
    memory = Accounts()
    memory.begin(1, "NICK bob", "USER x 0 * :x")
    for line in lines:
        memory.send(1, f"AUTHENTICATE {line}\r\n".encode(errors="replace"))
    memory.read(1)
    memory.send(1, b"CAP END\r\n")
    assert memory.closed[1:] == []
    assert memory.protocol.state.person(1) is not None


def test_who_signs_in_is_told_to_its_rooms_with_its_account_by_those_who_want_that() -> None:
    memory = Accounts()
    memory.register(1, "fay", "account-notify")
    memory.register(2, "gus")
    memory.register(3, "hal")
    memory.register(4, "ivy", "account-notify")
    for conn in (1, 2, 3):
        memory.say(conn, "JOIN #hall", "JOIN #tea")
    for conn in (1, 2, 4):
        memory.read(conn)
    memory.sign_in(3, "ada", "ada", TOKEN)
    renamed = ":hal!~u@tcpchat NICK ada"
    assert memory.lines(1) == [renamed, ":ada!~u@tcpchat ACCOUNT ada"]
    assert memory.lines(2) == [renamed]
    assert memory.lines(4) == []


def test_who_has_an_account_is_told_by_an_extended_who() -> None:
    memory = Accounts()
    memory.connect(1)
    memory.ask(1, events.Hello(device=TOKEN), events.Nick("Ada"), events.Join("hall"))
    memory.register(2, "bob")
    memory.say(2, "JOIN #hall")
    assert memory.say(2, "WHO #hall %na") == [
        ":tcpchat 354 bob eve 0",
        ":tcpchat 354 bob Ada Ada",
        ":tcpchat 354 bob bob 0",
        ":tcpchat 315 bob #hall :End of WHO",
    ]
