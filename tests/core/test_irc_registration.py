"""How an IRC client comes to be somebody."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tcpchat_core import ChatState, ServerProtocol, StateLimits, events
from tcpchat_core.dialects.irc.reader import IrcLines
from tcpchat_core.dialects.irc.registration import possible_nick
from tcpchat_core.names import Name, nick_name
from tests.core.harness import NO_FLOOD_LIMIT, entry, session, split_at
from tests.core.irc_server import IrcServer, numerics
from tests.core.strategies import CUTS

WELCOME = ["001", "002", "003", "004", "005", "005", "251", "255", "265", "266", "422"]
TOKEN = "0123456789abcdef" * 4


def server(**named: object) -> IrcServer:
    """A server with what is named."""
    protocol = ServerProtocol(ChatState(), **{"limits": NO_FLOOD_LIMIT, **named})  # type: ignore[arg-type] # named by the test
    return IrcServer(protocol)


def nick_of(memory: IrcServer, conn: int) -> str:
    """Who a connection is in the chat."""
    person = memory.protocol.state.person(conn)
    assert person is not None
    return person.nick


# ── Who speaks IRC ───────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("first", "is_irc"),
    [
        (b"", None),
        (b"N", None),
        (b"NICK", None),
        (b"CAP LS 302\r\n", True),
        (b"NICK ", True),
        (b"NICK\n", True),
        (b"NICK\r", True),
        (b"USER pia 0 * :Pia", True),
        (b"PASS sesame\r\n", True),
        (b"AUTHENTICATE ", True),
        (b"QUIT\r\n", True),
        (b"NICKEL\n", False),
        (b"NICHT wahr", False),
        (b"hello", False),
        (b"/nick ada\n", False),
        (b"\xff\xfb\x01NICK ada\n", False),
        # In small letters it is a person's.
        (b"nick", False),
        (b"nick ada\n", False),
        (b"Nick here\r", False),
        (b"nick is taken?\n", False),
        (b"user error\n", False),
        (b"cap off to you\n", False),
        (b"pass the salt\n", False),
        (b"quit\n", False),
        (b"authenticate me\n", False),
    ],
)
def test_irc_is_recognised_by_its_first_word(first: bytes, is_irc: bool | None) -> None:
    assert IrcLines().recognises(first) is is_irc


def test_a_client_may_be_slow_to_speak_and_is_greeted_as_a_person_before() -> None:
    memory = server()
    memory.connect(1)
    memory.wait(500)
    assert memory.lines(1)[0].startswith("* Welcome to tcpchat. You are guest-1.")
    assert numerics(memory.say(1, "NICK ada", "USER ada 0 * :Ada")) == WELCOME
    assert nick_of(memory, 1) == "ada"


def test_a_late_client_whose_nick_cannot_be_stays_the_guest_that_it_is() -> None:
    memory = server()
    memory.connect(1)
    memory.wait(500)
    memory.read(1)
    told = memory.say(1, "NICK ||", "USER ada 0 * :Ada")
    assert told[0] == ":tcpchat 001 guest-1 :Welcome to tcpchat, guest-1"
    assert memory.say(1, "JOIN #hall")[0] == ":guest-1!~u@tcpchat JOIN #hall"


# ── All that has to be said ──────────────────────────────────────────────────────────────────


IRSSI = ["CAP LS 302", "JOIN :", "CAP REQ :multi-prefix server-time", "CAP END"]
SOPEL = ["CAP LS 302", "CAP REQ multi-prefix", "CAP REQ server-time"]


@pytest.mark.parametrize(
    "lines",
    [
        ["NICK ada", "USER ada 0 * :Ada"],
        ["USER ada 0 * :Ada", "NICK ada"],
        ["NICK bob", "NICK ada", "USER ada 0 * :Ada"],
        ["USER ada 0 * :Ada", "USER ada 0 * :Ada", "NICK ada"],
        ["NICK ada", "PING x", "PONG y", "USER ada 0 * :Ada"],
        ["CAP LS 302", "NICK ada", "USER ada 0 * :Ada", "CAP END"],
        ["NICK ada", "CAP REQ multi-prefix", "USER ada 0 * :Ada", "CAP END"],
        ["NICK ada", "CAP LIST", "USER ada 0 * :Ada"],
        [*IRSSI, "NICK ada", "USER ada 0 * :Ada"],  # the end before the beginning
        [*SOPEL, "NICK ada", "USER ada 0 * :Ada", "CAP END"],
        ["PASS whatever", "NICK ada", "USER ada 0 * :Ada"],  # some say one everywhere
    ],
)
@pytest.mark.parametrize("delayed", [False, True])
def test_a_client_is_welcome_when_all_is_said(lines: list[str], delayed: bool) -> None:
    memory = IrcServer(delayed=delayed)
    memory.connect(1)
    assert "001" not in numerics(memory.say(1, *lines[:-1]))
    told = memory.say(1, lines[-1])
    memory.commit_all()
    assert numerics(told + memory.lines(1)) == WELCOME
    assert nick_of(memory, 1) == "ada"


def test_a_welcome_names_the_server_and_what_its_owner_says() -> None:
    told = server(motd=["moin"], server="hall").register(1, "ada")
    assert told[0] == ":tcpchat 001 ada :Welcome to hall, ada"
    assert numerics(told)[-3:] == ["375", "372", "376"]


def test_what_is_said_at_once_with_the_names_is_heard_behind_the_welcome() -> None:
    memory = IrcServer(delayed=True)
    memory.connect(1)
    lines = ("NICK ada", "USER ada 0 * :Ada", "JOIN #hall", "PRIVMSG #hall :hello", "PING x")
    assert memory.say(1, *lines) == []
    assert memory.paused == {1}
    memory.commit_all()
    told = memory.lines(1)
    assert numerics(told) == [*WELCOME, "JOIN", "353", "366", "PONG"]
    assert memory.paused == set()
    assert [entry.event.nick for entry in memory.log if isinstance(entry.event, events.Nick)] == [
        "ada"
    ]


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("JOIN #hall", ":tcpchat 451 * :say NICK and USER first"),
        ("PRIVMSG ada :hello", ":tcpchat 451 * :say NICK and USER first"),
        ("nonsense", ":tcpchat 451 * :say NICK and USER first"),
        ("NICK", ":tcpchat 431 * :say which nickname"),
        ("NICK :", ":tcpchat 431 * :say which nickname"),
        ("USER ada", ":tcpchat 461 * USER :USER needs more parameters"),
        ("PASS", ":tcpchat 461 * PASS :PASS needs more parameters"),
        ("CAP", ":tcpchat 461 * CAP :CAP needs more parameters"),
        ("CAP EAT", ":tcpchat 410 * EAT :there is LS, LIST, REQ and END"),
        ("PING", ":tcpchat 461 * PING :PING needs more parameters"),
        ("PING x", ":tcpchat PONG tcpchat :x"),
    ],
)
def test_who_is_not_registered_is_told_what_is_missing(line: str, told: str) -> None:
    memory = IrcServer()
    memory.connect(1)
    memory.say(1, "CAP LS")
    assert memory.say(1, line) == [told]
    assert memory.log == []


def test_who_quits_before_it_is_registered_was_never_there() -> None:
    memory = IrcServer()
    memory.connect(1)
    assert memory.say(1, "NICK ada", "QUIT :bye") == ["ERROR :bye"]
    assert memory.closed == [1]
    assert memory.log == []


def test_a_client_has_a_minute_to_say_who_it_is() -> None:
    memory = IrcServer()
    memory.connect(1)
    memory.say(1, "NICK ada")
    memory.wait(59_000)
    assert memory.closed == []
    memory.wait(1_000)
    assert memory.lines(1) == ["ERROR :there was no request in time"]
    assert memory.closed == [1]


# ── The nick ─────────────────────────────────────────────────────────────────────────────────


def test_a_nick_that_is_taken_is_told_and_another_is_awaited() -> None:
    memory = IrcServer()
    memory.register(1, "ada")
    assert memory.register(2, "Ada") == [":tcpchat 433 * Ada :the nickname ada is taken"]
    assert (
        memory.say(2, "JOIN #hall", "USER x 0 * :x", "PASS x")
        == [":tcpchat 451 * :say NICK and USER first"] * 3
    )
    assert memory.say(2, "NICK") == [":tcpchat 431 * :say which nickname"]
    assert memory.say(2, "PING x", "PONG x", "CAP LIST") == [
        ":tcpchat PONG tcpchat :x",
        ":tcpchat CAP * LIST :",
    ]
    assert memory.say(2, "NICK ADA") == [":tcpchat 433 * ADA :the nickname ada is taken"]
    assert numerics(memory.say(2, "NICK ada_")) == WELCOME
    assert nick_of(memory, 2) == "ada_"


def test_who_goes_instead_of_choosing_another_nick_is_gone() -> None:
    memory = IrcServer()
    memory.register(1, "ada")
    memory.register(2, "ada")
    assert memory.say(2, "QUIT :oh") == ["ERROR :bye"]
    assert memory.closed == [2]
    assert len([*memory.protocol.state.connected()]) == 1


def test_a_nick_that_is_somebodys_own_is_taken_too() -> None:
    memory = IrcServer()
    memory.carry_out(memory.protocol.commit([entry(1, 0, events.Grant("ada", "ada"))], now=0))
    memory.log.append(entry(1, 0, events.Grant("ada", "ada")))
    assert numerics(memory.register(1, "ada")) == ["433"]
    assert numerics(memory.say(1, "NICK bob")) == WELCOME


@pytest.mark.parametrize(
    ("typed", "nick"),
    [
        ("ada", "ada"),
        ("дана", "дана"),
        ("pia|away", "pia_away"),
        ("[bot]", "_bot_"),
        ("-ada", "_ada"),
        ("a b", "a_b"),
        ("x" * 40, "x" * 24),
        ("ש|", ""),  # an underscore cannot end what is written from the right
        ("|||", ""),
        ("server", ""),
        ("guest-7", ""),
        ("", ""),
    ],
)
def test_a_nick_that_cannot_be_is_made_so_that_it_can(typed: str, nick: str) -> None:
    assert possible_nick(typed) == nick


@given(typed=st.text())
def test_any_nick_is_made_one_that_a_guest_can_have_or_none(typed: str) -> None:
    made = possible_nick(typed)
    assert not made or isinstance(nick_name(made), Name)


@pytest.mark.parametrize(("typed", "nick"), [("pia|away", "pia_away"), ("|||", "guest-1")])
@pytest.mark.parametrize("delayed", [False, True])
def test_nobody_is_sent_away_for_a_nick_that_cannot_be(
    typed: str, nick: str, delayed: bool
) -> None:
    memory = IrcServer(delayed=delayed)
    told = memory.register(1, typed)
    memory.commit_all()
    told += memory.lines(1)
    assert told[0] == f":tcpchat 001 {nick} :Welcome to tcpchat, {nick}"
    assert numerics(told) == WELCOME


def test_a_guest_that_may_not_choose_keeps_its_nick() -> None:
    memory = server()
    memory.protocol = ServerProtocol(ChatState(limits=StateLimits(guests=0)), limits=NO_FLOOD_LIMIT)
    told = memory.register(1, "ada")
    assert told[0].startswith(":tcpchat 001 guest-1 ")
    assert not {"251", "255", "265", "266"} & {
        *numerics(told)
    }  # nor does it learn how many there are


def test_what_is_said_to_who_has_no_nick_yet_is_told_all_the_same() -> None:
    memory = IrcServer()
    memory.register(1, "ada")
    memory.register(2, "ada")
    guest = nick_of(memory, 2)
    memory.say(1, f"PRIVMSG {guest} :choose")
    assert memory.lines(2) == [f":ada!~u@tcpchat PRIVMSG {guest} :choose"]


# ── Secrets ──────────────────────────────────────────────────────────────────────────────────


def test_the_servers_password_is_said_by_pass() -> None:
    memory = server(password="sesame")
    memory.connect(1)
    told = memory.say(1, "PASS sesame", "NICK ada", "USER ada 0 * :Ada")
    assert numerics(told) == WELCOME


@pytest.mark.parametrize(
    ("lines", "why"),
    [
        (["PASS open"], "that is not this server's password"),
        ([], "this server has a password: say it first"),
    ],
)
def test_who_does_not_know_the_servers_password_is_sent_away_at_once(
    lines: list[str], why: str
) -> None:
    memory = server(password="sesame")
    memory.connect(1)
    told = memory.say(1, *lines, "NICK ada", "USER ada 0 * :Ada", "JOIN #hall")
    assert told == [f":tcpchat 464 * :{why}", f"ERROR :{why}"]
    assert memory.closed == [1]
    assert memory.log == []


def test_a_late_client_says_the_password_that_it_was_asked_for_as_a_person() -> None:
    memory = server(password="sesame")
    memory.connect(1)
    memory.wait(500)
    assert memory.lines(1)[0].startswith("! password-needed")
    told = memory.say(1, "PASS sesame", "NICK ada", "USER ada 0 * :Ada")
    assert numerics(told) == WELCOME


class Accounts(IrcServer):
    """ada has an account with a device and a password, and is in the hall by JSON, on 9."""

    def __init__(self, *, is_here: bool = True) -> None:
        protocol = ServerProtocol(
            ChatState(), limits=NO_FLOOD_LIMIT, nobodys_password="hash of nobody's"
        )
        super().__init__(protocol)
        self.happens(events.Grant("ada", "ada", device=session(TOKEN)))
        self.connect(9)
        self.ask(9, events.Hello(device=TOKEN), events.Join("hall"))
        self.ask(9, events.Password("right password"))
        self.derive()
        if not is_here:
            self.ask(9, events.Quit())
        self.read(9)

    def happens(self, event: events.Event) -> None:
        """Something of the owner of the server goes into the log."""
        self.log.append(entry(len(self.log) + 1, 0, event))
        self.carry_out(self.protocol.commit([self.log[-1]], now=0))

    def come(self, conn: int, secret: str) -> list[str]:
        """A client comes with a secret, and with another nick."""
        self.connect(conn)
        told = self.say(conn, f"PASS {secret}", "NICK somebody", "USER x 0 * :x", "PING x")
        if self.derives:
            self.derive()
        return told + self.lines(conn)


@pytest.mark.parametrize("secret", [TOKEN, "ada:right password"])
def test_a_client_comes_as_an_account_by_a_secret(secret: str) -> None:
    memory = Accounts(is_here=False)
    told = memory.come(1, f":{secret}")
    assert told[0] == ":tcpchat 001 ada :Welcome to tcpchat, ada"
    assert numerics(told) == [*WELCOME, "NOTICE", "PONG"]
    person = memory.protocol.state.person(1)
    assert person is not None
    assert person.account is not None


def test_a_password_has_blanks_where_a_client_puts_no_colon_before_it() -> None:
    memory = Accounts(is_here=False)
    assert memory.come(1, "ada:right password")[0] == ":tcpchat 001 ada :Welcome to tcpchat, ada"


@pytest.mark.parametrize("secret", [TOKEN, "ada:right password"])
def test_where_an_account_is_here_already_a_client_comes_into_its_rooms(secret: str) -> None:
    memory = Accounts()
    told = memory.come(1, f":{secret}")
    assert numerics(told) == [*WELCOME, "JOIN", "353", "366", "NOTICE", "PONG"]
    assert memory.say(1, "JOIN 0") == [":ada!~u@tcpchat PART #hall"]


@pytest.mark.parametrize(
    ("secret", "code"),
    [("f" * 64, "464"), ("ada:wrong password", "464"), ("ada:short", "464"), (":x", "464")],
)
def test_who_says_a_wrong_secret_is_told_why_and_sent_away(secret: str, code: str) -> None:
    memory = Accounts()
    told = memory.come(1, f":{secret}")
    assert numerics(told)[0] == code
    assert told[-1].startswith("ERROR :")
    assert memory.closed == [1]
    assert memory.protocol.state.person(1) is None


def test_who_is_banned_from_the_server_is_told_so() -> None:
    memory = Accounts()
    memory.happens(events.Grant("ada", "ada", admin=True))
    memory.connect(1)
    memory.send(1, b"NICK bob\r\nUSER bob 0 * :bob\r\n")
    memory.ask(9, events.Restrict("", "bob", "ban", server=True))
    assert memory.lines(1)[-1].startswith("ERROR :")


def test_who_is_put_out_while_its_password_is_looked_at_is_told_so() -> None:
    memory = Accounts()
    memory.happens(events.Grant("ada", "ada", admin=True))
    memory.connect(1)
    memory.say(1, "PASS :ada:right password", "NICK x", "USER x 0 * :x")
    memory.ask(9, events.Kick("", nick_of(memory, 1), server=True))
    assert numerics(memory.lines(1)) == ["ERROR"]
    assert memory.closed == [1]


def test_who_was_banned_comes_again_and_is_told_why_it_cannot() -> None:
    memory = Accounts()
    memory.happens(events.Grant("ada", "ada", admin=True))
    made = memory.protocol.connection_made(1, now=0, origin="there")
    memory.output[1] = bytearray()
    memory.carry_out(made)
    memory.say(1, "NICK bob", "USER bob 0 * :bob")
    memory.ask(9, events.Restrict("", "bob", "ban", server=True))
    memory.output[2] = bytearray()
    memory.carry_out(memory.protocol.connection_made(2, now=0, origin="there"))
    told = memory.say(2, "NICK bob", "USER bob 0 * :bob", "JOIN #hall")
    assert numerics(told) == ["465", "ERROR"]
    assert 2 in memory.closed


# ── Capabilities ─────────────────────────────────────────────────────────────────────────────


OFFER = (
    ":tcpchat CAP * LS :account-notify account-tag away-notify batch cap-notify draft/chathistory"
    " draft/read-marker echo-message extended-join labeled-response message-tags multi-prefix"
    " no-implicit-names sasl server-time setname standard-replies userhost-in-names"
)
OFFER_302 = OFFER.replace(" sasl ", " sasl=PLAIN ")


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        (["CAP LS"], [OFFER]),
        (["CAP ls 302"], [OFFER_302]),
        (["CAP LIST"], [":tcpchat CAP * LIST :"]),
        (["CAP LS 302", "CAP LIST"], [OFFER_302, ":tcpchat CAP * LIST :cap-notify"]),
        (["CAP LS 301", "CAP LIST"], [OFFER, ":tcpchat CAP * LIST :"]),
        (
            ["CAP REQ :server-time  multi-prefix ", "CAP LIST"],
            [
                ":tcpchat CAP * ACK :server-time  multi-prefix",
                ":tcpchat CAP * LIST :multi-prefix server-time",
            ],
        ),
        (
            ["CAP REQ :server-time multi-prefix", "CAP REQ :-server-time", "CAP LIST"],
            [
                ":tcpchat CAP * ACK :server-time multi-prefix",
                ":tcpchat CAP * ACK :-server-time",
                ":tcpchat CAP * LIST :multi-prefix",
            ],
        ),
        (
            ["CAP REQ :server-time tls", "CAP LIST"],
            [":tcpchat CAP * NAK :server-time tls", ":tcpchat CAP * LIST :"],
        ),
        (["CAP REQ"], [":tcpchat CAP * ACK :"]),
    ],
)
def test_capabilities_are_taken_on_all_at_once_or_not_at_all(
    lines: list[str], told: list[str]
) -> None:
    memory = IrcServer()
    memory.connect(1)
    assert memory.say(1, *lines) == told


def test_capabilities_are_taken_on_and_off_at_any_time() -> None:
    memory = IrcServer()
    memory.register(1, "ada")
    memory.register(2, "bob")
    memory.say(1, "JOIN #hall")
    memory.say(2, "JOIN #hall")
    memory.read(1)
    told = []
    for request in ("", "server-time", "message-tags", "-server-time", "-message-tags"):
        if request:
            assert memory.say(1, f"CAP REQ {request}") == [f":tcpchat CAP ada ACK :{request}"]
        memory.say(2, "PRIVMSG #hall :hello")
        told.append(memory.lines(1)[0].partition(":bob")[0])
    kinds = [[tag.partition("=")[0] for tag in tags[1:].split(";") if tag] for tags in told]
    assert kinds == [[], ["time"], ["msgid", "time"], ["msgid", "time"], []]
    assert memory.say(1, "CAP END", "CAP") == [":tcpchat 461 ada CAP :CAP needs more parameters"]


@pytest.mark.parametrize("delayed", [False, True])
def test_what_was_asked_before_a_capability_is_answered_as_it_was_then(delayed: bool) -> None:
    memory = IrcServer()
    memory.register(1, "ada", "echo-message")
    memory.delayed = delayed
    told = memory.say(1, "JOIN #hall", "CAP REQ server-time", "PRIVMSG #hall :hello", "CAP LIST")
    memory.commit_all()
    told += memory.lines(1)
    assert numerics(told) == ["JOIN", "353", "366", "CAP", "PRIVMSG", "CAP"]
    assert [line[0] for line in told] == [":", ":", ":", ":", "@", ":"]


def test_an_id_of_a_message_names_the_epoch_also_where_it_is_asked_for_before_the_welcome() -> None:
    memory = server()
    memory.protocol = ServerProtocol(ChatState(epoch="e"), limits=NO_FLOOD_LIMIT)
    memory.register(1, "ada", "message-tags", "echo-message")
    memory.say(1, "JOIN #hall")
    assert memory.say(1, "PRIVMSG #hall :hello")[0].startswith("@msgid=e.")


# ── Pieces ───────────────────────────────────────────────────────────────────────────────────


LINES = st.sampled_from(
    [
        b"CAP LS 302",
        b"CAP REQ :server-time echo-message",
        b"CAP END",
        b"NICK ada",
        b"NICK b|b",
        b"NICK |",
        b"NICK other",
        b"USER ada 0 * :Ada",
        b"PASS :x:y",
        b"PASS secret",
        b"JOIN #hall,#tea",
        b"JOIN #hall",
        b"CAP REQ :message-tags",
        b"CAP REQ :-echo-message",
        b"PRIVMSG #hall :hello",
        b"NOTICE ada :\xff",
        b"QUIT",
        b"",
    ]
)
ENDS = st.sampled_from([b"\r\n", b"\n", b"\r"])


@given(
    lines=st.lists(st.tuples(LINES | st.binary(max_size=20), ENDS), max_size=20),
    cuts=CUTS,
    late=st.booleans(),
)
def test_any_bytes_in_any_pieces_are_heard_the_same(
    lines: list[tuple[bytes, bytes]], cuts: list[int], late: bool
) -> None:
    data = b"NICK ada\r\n" + b"".join(line + end for line, end in lines)
    told = []
    for pieces in ([data], split_at(data, cuts)):
        memory = IrcServer()
        memory.register(2, "other")
        memory.connect(1)
        if late:
            memory.wait(500)
        for piece in pieces:
            memory.send(1, piece)
        memory.eof(1)
        told.append((memory.read(1), memory.closed, [each.event for each in memory.log]))
    assert told[0] == told[1]
