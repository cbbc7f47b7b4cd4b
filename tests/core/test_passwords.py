"""Passwords: what is done with one, when one may be tried, and who comes by it."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count

import msgspec
import pytest

from tcpchat_core import ChatState, Notice, Propose, ServerProtocol, events
from tcpchat_core.dialects import Dialect
from tcpchat_core.dialects.jsonl import encode_request
from tcpchat_core.durations import shown_duration
from tcpchat_core.notices import Claimed, Closing, PasswordSet, Rejected, Said
from tcpchat_core.server import DIALECTS
from tcpchat_core.server.access import MAX_PASSWORD_DELAY_MS, code_hash
from tcpchat_core.server.passwords import MAX_ACCOUNT_AT_ONCE, MAX_ACCOUNT_DELAY_MS, MAX_AT_ONCE
from tcpchat_core.server.propose import MAX_PASSWORD_CHARS
from tests.core.harness import NO_FLOOD_LIMIT, START_MS, MemoryServer
from tests.core.test_accounts import grant, refusals
from tests.core.third_dialect import Netstrings, netstring

NOBODYS = "hash of what nobody has"
SECRET = "correct horse"


class Owner(MemoryServer):
    """ada is here on 1, by a device, and has a password."""

    def __init__(self, dialects: Sequence[Dialect] = DIALECTS) -> None:
        protocol = ServerProtocol(
            ChatState(), limits=NO_FLOOD_LIMIT, nobodys_password=NOBODYS, dialects=dialects
        )
        super().__init__(protocol)
        self.happens(grant("ada", code_hash("code")))
        self.join(1)
        self.ask(1, events.Claim("code"))
        self.ask(1, events.Password(SECRET))
        self.derive()
        self.told(1)

    def happens(self, event: events.Event) -> None:
        """Something of the owner of the server goes into the log."""
        self.carry_out(self._commit(Propose(0, 0, (event,))))

    def join(self, conn: int, peer: str = "", *, is_safe: bool = True) -> None:
        self.connect(conn, token=f"token {conn}", peer=peer, is_safe=is_safe)
        self.ask(conn, events.Hello())
        self.told(conn)

    def login(self, conn: int, password: str = SECRET, account: str = "ada") -> list[Notice]:
        self.ask(conn, events.Login(account=account, password=password))
        if self.derives:
            self.derive()
        return self.told(conn)


def test_who_says_the_password_of_an_account_is_it() -> None:
    server = Owner()
    server.join(2)
    told = server.login(2)
    assert Claimed("ada", 0) in told
    person = server.protocol.state.person(2)
    assert person is not None
    assert person.nick == "ada"


def test_a_password_is_nowhere_but_on_its_way() -> None:
    server = Owner()
    server.join(2)
    server.login(2)
    data = b"".join(msgspec.json.encode(entry) for entry in server.log)
    assert SECRET.encode() not in data.replace(f"hash of {SECRET}".encode(), b"")
    assert b"hash of" in server.protocol.state.snapshot()


@pytest.mark.parametrize(("account", "password"), [("ada", "wrong horse"), ("bob", SECRET)])
def test_a_wrong_password_and_no_account_are_answered_alike(account: str, password: str) -> None:
    server = Owner()
    server.join(2)
    server.ask(2, events.Login(account=account, password=password))
    assert server.derives[0].against != ""
    server.derive()
    [refused] = server.told(2)
    assert refused == Rejected(
        "wrong-password", "there is no such account, or that is not its password", "login"
    )


def test_an_account_without_a_password_is_not_come_to_by_one() -> None:
    server = Owner()
    server.ask(1, events.Password(""))
    assert server.told(1) == [PasswordSet("ada", is_set=False)]
    server.join(2)
    assert server.login(2) == [
        Rejected("wrong-password", "there is no such account, or that is not its password", "login")
    ]
    server.join(3, "another")
    server.wait(MAX_ACCOUNT_DELAY_MS)
    server.ask(3, events.Login(account="ada", password=SECRET))
    server.derive(NOBODYS)  # as if somebody had found it
    assert refusals(server.told(3)) == ["wrong-password"]


def test_what_follows_a_password_waits_for_it() -> None:
    server = Owner()
    server.connect(2, token="token 2")
    server.send(2, f"/login ada {SECRET}\n/join lobby\n/msg bob psst\n".encode())
    server.send(2, b"hello\n")
    assert 2 in server.paused
    assert server.protocol.state.room("lobby") is None
    server.derive()
    room = server.protocol.state.room("lobby")
    assert room is not None
    assert room.nicks() == ("ada",)
    assert 2 not in server.paused
    lines = server.lines(2)
    assert "! no-such-nick: there is nobody called bob" in lines
    assert room.history[-1].text == "hello"


def test_who_comes_by_a_password_is_told_of_no_device() -> None:
    server = Owner()
    server.connect(2, token="token 2")
    server.send(2, f"/login ada {SECRET}\n".encode())
    server.derive()
    assert server.lines(2)[-1] == "* You are ada"


def test_two_passwords_in_one_paste_are_taken_one_after_the_other() -> None:
    server = Owner()
    server.connect(2, token="token 2")
    server.send(2, f"/login ada wrong horse\n/login ada {SECRET}\n/join lobby\n".encode())
    assert len(server.derives) == 1
    server.derive()
    assert server.derives == []  # it is too early
    lines = server.lines(2)
    assert [line.partition(":")[0] for line in lines if line.startswith("!")] == [
        "! wrong-password",
        "! too-fast",
    ]


def test_after_a_wrong_password_none_is_taken_for_a_while_from_there_or_for_that_account() -> None:
    server = Owner()
    server.happens(grant("bob", ""))
    for conn, peer in ((2, "school"), (3, "home"), (4, "school")):
        server.join(conn, peer)
    assert refusals(server.login(2, "wrong horse")) == ["wrong-password"]
    assert refusals(server.login(3)) == ["too-fast"]  # the same account
    assert refusals(server.login(4, account="bob")) == ["too-fast"]  # the same place
    server.wait(1_000)
    assert refusals(server.login(3)) == []
    assert refusals(server.login(2, "wrong horse")) == ["wrong-password"]
    server.wait(1_000)
    assert refusals(server.login(2)) == ["too-fast"]  # twice as long


def test_an_owner_is_never_kept_out_for_long() -> None:
    server = Owner()
    for conn in range(2, 12):
        server.join(conn, f"place {conn}")
        assert refusals(server.login(conn, "wrong horse")) == ["wrong-password"]
        server.wait(MAX_ACCOUNT_DELAY_MS)
    server.join(20, "home")
    assert refusals(server.login(20)) == []
    assert MAX_ACCOUNT_DELAY_MS < MAX_PASSWORD_DELAY_MS


def test_a_password_is_not_taken_where_others_read_along() -> None:
    server = Owner()
    server.join(2, is_safe=False)
    [refused] = server.login(2)
    assert isinstance(refused, Rejected)
    assert (refused.reason, server.derives) == ("unavailable", [])
    assert "TLS" in refused.text


def test_a_server_without_passwords_says_so() -> None:
    server = MemoryServer()
    server.connect(1)
    server.ask(1, events.Login(account="ada", password=SECRET))
    assert refusals(server.told(1)) == ["unavailable"]


def test_when_too_many_are_said_at_once_one_is_told_to_try_again() -> None:
    server = Owner()
    server.join(2)
    server.ask(2, events.Login(account="ada", password=SECRET))
    server.derive(busy=True)
    assert refusals(server.told(2)) == ["unavailable"]
    assert refusals(server.login(2)) == []


def test_a_password_that_was_changed_meanwhile_is_the_wrong_one() -> None:
    server = Owner()
    server.join(2)
    server.ask(2, events.Login(account="ada", password=SECRET))
    server.ask(1, events.Password("another horse"))
    server.derives.reverse()
    server.derive()
    server.derive()
    assert refusals(server.told(2)) == ["wrong-password"]


def test_who_came_by_the_old_password_is_gone_when_there_is_another() -> None:
    server = Owner()
    for conn in (2, 3):
        server.join(conn)
        server.login(conn)
    server.ask(2, events.Password("another horse"))
    server.derive()
    assert server.told(2) == [PasswordSet("ada")]
    assert server.told(3)[-1] == Closing("the password was changed")
    assert server.closed == [3]
    assert server.protocol.state.person(1) is not None  # by its device


def test_when_an_account_ends_who_came_by_its_password_is_gone() -> None:
    server = Owner()
    server.join(2)
    server.login(2)
    server.happens(events.Withdraw("ada"))
    assert server.told(2)[-1] == Closing("this account was closed")
    assert server.protocol.state.people == 0


def test_a_guest_has_no_password_and_who_is_somebody_does_not_log_in() -> None:
    server = Owner()
    server.join(2)
    server.ask(2, events.Password(SECRET))
    server.derive()
    assert refusals(server.told(2)) == ["no-right"]
    assert refusals(server.login(1)) == ["bad-request"]


def test_an_account_that_is_banned_does_not_come_by_its_password() -> None:
    server = Owner()
    server.happens(grant("zoe", code_hash("zoe"), admin=True))
    server.join(9)
    server.ask(9, events.Claim("zoe"), events.Restrict("", "ada", "ban", server=True))
    server.join(2)
    assert refusals(server.login(2)) == ["banned"]


@pytest.mark.parametrize(
    ("password", "reason"), [("short", "bad-usage"), ("x" * (MAX_PASSWORD_CHARS + 1), "too-long")]
)
def test_what_cannot_be_a_password_is_refused(password: str, reason: str) -> None:
    server = Owner()
    server.ask(1, events.Password(password))
    assert refusals(server.told(1)) == [reason]
    assert server.derives == []


def test_a_password_or_a_secret_is_the_same_however_a_keyboard_has_composed_it() -> None:
    composed, apart = "k\u00e4sekuchen", "ka\u0308sekuchen"
    server = Owner()
    server.ask(1, events.Password(composed))
    server.derive()
    server.ask(1, events.Join("den"), events.RoomMode("den", secret=apart.upper()))
    server.join(2)
    assert refusals(server.login(2, apart)) == []
    server.join(3)
    server.ask(3, events.Join("den", code=composed))
    assert refusals(server.told(3)) == []


def test_what_comes_of_a_password_for_who_has_gone_is_nothing() -> None:
    server = Owner()
    for conn, end in ((2, server.lose), (3, server.eof)):
        server.join(conn)
        server.ask(conn, events.Login(account="ada", password=SECRET))
        end(conn)
        count = len(server.log)
        server.derive()
        if end == server.lose:
            assert len(server.log) == count
    assert server.carry_out(server.protocol.derived(1, 10_000, "", now=server.now)) == []


def test_a_password_of_who_has_gone_is_nobodys_also_while_the_log_is_slow() -> None:
    server = Owner()
    server.join(2)
    server.ask(2, events.Login(account="ada", password=SECRET))
    server.delayed = True
    server.lose(2)
    server.derive()
    server.commit_all()
    ada = server.protocol.state.account("ada")
    assert ada is not None
    assert len(ada.present) == 1


def test_the_wait_is_told() -> None:
    server = Owner()
    server.join(2)
    server.login(2, "wrong horse")
    [refused] = server.login(2)
    assert isinstance(refused, Rejected)
    assert shown_duration(1_000) in refused.text


@pytest.mark.parametrize(
    "wrong", [events.Claim("no code"), events.Login("no token"), events.Join("den", code="no word")]
)
def test_after_a_wrong_code_no_other_is_taken_for_a_while_from_there(
    wrong: events.Claim | events.Login | events.Join,
) -> None:
    server = Owner()
    server.ask(1, events.Join("den"), events.RoomMode("den", secret="teapot"))
    for conn, peer in ((2, "school"), (3, "school"), (4, "home")):
        server.join(conn, peer)
    server.ask(2, wrong)
    assert refusals(server.told(2)) != []
    for conn, refused in ((2, ["too-fast"]), (3, ["too-fast"]), (4, [])):
        server.ask(conn, events.Join("den", code="teapot"))
        assert refusals(server.told(conn)) == refused
    server.ask(3, events.Join("lobby"))  # without one, nobody waits
    assert refusals(server.told(3)) == []
    server.wait(1_000)
    server.ask(2, wrong)
    server.wait(1_000)
    server.ask(3, events.Join("den", code="teapot"))
    assert refusals(server.told(3)) == ["too-fast"]  # twice as long
    server.wait(1_000)
    for _ in range(2):
        server.ask(3, events.Out("den"), events.Join("den", code="teapot"))
        assert refusals(server.told(3))[1:] == []


# ── Guessing ─────────────────────────────────────────────────────────────────────────────────


def tried(server: MemoryServer, what: type[events.Event]) -> int:
    """How many of something got as far as into the log."""
    return sum(isinstance(entry.event, what) for entry in server.log)


def test_of_codes_that_are_said_at_once_only_so_many_are_tried() -> None:
    server = Owner()
    server.join(2, "school")
    before = tried(server, events.Claim)
    server.send(2, b"".join(encode_request(events.Claim(f"{n}")) for n in range(100)))
    assert tried(server, events.Claim) - before == MAX_AT_ONCE
    reasons = refusals(server.told(2))
    assert (reasons.count("wrong-code"), reasons.count("too-fast")) == (
        MAX_AT_ONCE,
        100 - MAX_AT_ONCE,
    )
    server.wait(MAX_PASSWORD_DELAY_MS - 1)
    server.ask(2, events.Claim("one more"))
    assert refusals(server.told(2)) == ["too-fast"]
    server.wait(1)  # and after one that was wrong it is one by one, from all connections
    server.join(3, "school")
    server.delayed = True
    for conn in (2, 3):
        server.send(conn, b"".join(encode_request(events.Claim(f"{n}")) for n in range(100)))
    server.commit_all()
    told = [*refusals(server.told(2)), *refusals(server.told(3))]
    assert (told.count("wrong-code"), told.count("too-fast")) == (1, 199)


def test_a_code_is_tried_by_the_request_that_has_it_and_not_by_one_before() -> None:
    server = Owner()
    server.join(2, "school")
    server.delayed = True
    server.send(2, encode_request(events.Join("open")) + encode_request(events.Claim("none")))
    server.commit_all()
    assert refusals(server.told(2)) == ["wrong-code"]
    server.ask(2, events.Claim("another"))
    assert refusals(server.told(2)) == ["too-fast"]


def test_a_flood_of_log_ins_is_little_work_and_others_talk_on() -> None:
    server = Owner()
    guest, place, many = 2, "school", range(10, 110)
    server.join(guest)
    for conn in many:  # from one address; then for one account, from everywhere
        server.join(conn, place)
        server.ask(conn, events.Login(account=f"nobody-{conn}", password=SECRET))
    assert len(server.derives) == MAX_AT_ONCE
    for conn in many:
        server.join(1_000 + conn, f"place {conn}")
        server.ask(1_000 + conn, events.Login(account="ada", password=f"{SECRET} {conn}"))
    assert len(server.derives) == MAX_AT_ONCE + MAX_ACCOUNT_AT_ONCE
    for conn in (1, guest):
        server.ask(conn, events.Join("lobby"))
    server.ask(guest, events.Say("lobby", "and we talk on"))
    assert any(isinstance(each, Said) for each in server.told(1))
    while server.derives:
        server.derive()
    wrong = sum("wrong-password" in refusals(server.told(conn)) for conn in many)
    assert wrong == MAX_AT_ONCE
    server.wait(MAX_PASSWORD_DELAY_MS)
    for conn in many:  # and from now on it is one by one
        server.ask(conn, events.Login(account="ada", password=SECRET))
    assert len(server.derives) == 1


def test_who_sets_passwords_without_end_leaves_time_for_those_of_others() -> None:
    server = Owner()
    for conn in range(100, 150):
        server.join(conn, "school")
        server.ask(conn, events.Password(SECRET))
    assert len(server.derives) == MAX_AT_ONCE
    assert refusals(server.told(149)) == ["too-fast"]
    server.derive()
    server.ask(149, events.Password(SECRET))
    assert len(server.derives) == MAX_AT_ONCE


@pytest.mark.parametrize(
    "right",
    [
        (events.Login(account="eve", password=SECRET),),
        (events.Join("den"), events.Join("den", code="whatever")),
        (events.Join("open", code="whatever"),),
    ],
)
def test_to_know_something_of_ones_own_makes_no_guess_at_what_is_anothers_sooner(
    right: tuple[events.Login | events.Join, ...],
) -> None:
    server = Owner()
    server.happens(grant("eve", code_hash("eve")))
    server.join(5)
    server.ask(5, events.Claim("eve"), events.Password(SECRET))
    server.derive()
    for round_, wait_ms in enumerate((1_000, 2_000, 4_000, 8_000)):
        guesser, own = 10 * round_ + 10, 10 * round_ + 11
        for conn in (guesser, own):
            server.join(conn, "school")
        assert refusals(server.login(guesser, "wrong horse")) == ["wrong-password"]
        server.wait(wait_ms - 1)
        assert refusals(server.login(guesser, "wrong horse")) == ["too-fast"]
        server.wait(1)
        for request in right:
            server.ask(own, request)
            if server.derives:
                server.derive()
        assert refusals(server.told(own)) == []


def test_a_wrong_password_counts_also_when_who_said_it_has_gone() -> None:
    server = Owner()
    server.join(2, "school")
    server.ask(2, events.Login(account="ada", password="wrong horse"))
    server.lose(2)
    server.derive()
    server.join(3, "school")
    assert refusals(server.login(3)) == ["too-fast"]


def test_what_nobody_has_looked_at_counts_as_neither() -> None:
    server = Owner()
    server.happens(grant("zoe", code_hash("zoe"), admin=True))
    server.join(9)
    server.ask(9, events.Claim("zoe"))
    for conn in (2, 3, 4):
        server.join(conn, "school")
    server.delayed = True
    server.ask(9, events.Kick("", "guest-1", server=True))
    server.ask(2, *(events.Claim(f"{n}") for n in range(MAX_AT_ONCE)))  # who is gone by then
    server.ask(3, events.Claim("too many"))
    server.commit_all()
    assert refusals(server.told(3)) == ["too-fast"]
    server.ask(3, *(events.Claim("code") for _ in range(MAX_AT_ONCE)))
    server.commit_all()
    assert refusals(server.told(3)) == ["wrong-code"] * MAX_AT_ONCE


def test_of_two_who_say_one_code_on_two_nodes_one_has_it_on_both() -> None:
    nodes = [
        MemoryServer(ServerProtocol(ChatState(), limits=NO_FLOOD_LIMIT), delayed=True)
        for _ in range(2)
    ]
    log = count(1)

    def commit(*proposed: Propose) -> None:
        for each in proposed:  # one event in each
            taken = each.entries(next(log), START_MS)
            for node in nodes:
                node.carry_out(node.protocol.commit(taken, now=0))

    commit(Propose(0, 0, (grant("eve", code_hash("eve")),)))
    for node, server in enumerate(nodes):
        server.connect(2 + node, token=f"token {node}")
        server.ask(2 + node, events.Hello(), events.Claim("eve"))
    commit(*[each for server in nodes for each in server.proposed])
    assert [refusals(server.told(2 + node)) for node, server in enumerate(nodes)] == [
        [],
        ["wrong-code"],
    ]
    assert len({server.protocol.state.digest() for server in nodes}) == 1
    for server in nodes:
        eve = server.protocol.state.account("eve")
        assert eve is not None
        assert [person.conn for person in eve.present] == [2]


def test_of_two_who_say_one_code_in_one_turn_one_has_it() -> None:
    server = Owner()
    server.happens(grant("eve", code_hash("eve")))
    server.delayed = True
    for conn in (2, 3):
        server.connect(conn, token=f"token {conn}")
        server.ask(conn, events.Hello(), events.Claim("eve"))
    server.commit_all()
    assert refusals(server.told(2)) == []
    assert refusals(server.told(3)) == ["wrong-code"]
    eve = server.protocol.state.account("eve")
    assert eve is not None
    assert (len(eve.devices), len(eve.present)) == (1, 1)


@pytest.mark.parametrize(
    ("line", "made", "told"),
    [
        ("/login ada correct horse", "right", '{"type":"claimed"'),
        ("/login ada correct horse", "wrong", '{"type":"rejected","reason":"wrong-password"'),
        ("/login ada correct horse", "busy", '{"type":"rejected","reason":"unavailable"'),
        ("/login ada short", "", '{"type":"rejected","reason":"bad-usage"'),
        ("/password another horse", "right", '{"type":"rejected","reason":"no-right"'),
        ("/claim nonsense", "", '{"type":"rejected","reason":"wrong-code"'),
    ],
)
def test_a_password_or_a_code_is_answered_with_how_it_was_said(
    line: str, made: str, told: str
) -> None:
    server = Owner((Netstrings(), *DIALECTS))
    server.connect(2, token="token 2")
    server.send(2, netstring(b".open "))
    server.read(2)
    server.send(2, netstring(b".how WORD " + line.encode()))
    if made:
        server.derive("" if made == "wrong" else None, busy=made == "busy")
    assert f" WORD {told}".encode() in server.read(2)


def test_a_code_that_may_not_be_tried_yet_is_refused_with_how_it_was_said() -> None:
    server = Owner((Netstrings(), *DIALECTS))
    server.connect(2, token="token 2", peer="somewhere")
    server.send(2, netstring(b"/claim wrong"))
    server.send(2, netstring(b".how WORD /claim right"))
    server.send(2, netstring(b".how JOIN /join tea code"))
    told = server.read(2).decode()
    assert 'WORD {"type":"rejected","reason":"too-fast"' in told
    assert 'JOIN {"type":"rejected","reason":"too-fast"' in told
