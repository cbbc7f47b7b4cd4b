"""Who was called what before: what a node remembers of it, and what it tells of that."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tcpchat_core import ChatState, Propose, ServerProtocol, StateLimits, events
from tcpchat_core.names import nick_key
from tcpchat_core.notices import FormerPeople, FormerPerson
from tcpchat_core.server.access import code_hash
from tcpchat_core.server.former import MAX_FORMER
from tests.core.harness import HELLO, NO_FLOOD_LIMIT, START_MS, STEP_MS, MemoryServer
from tests.core.irc_server import IrcServer
from tests.core.test_accounts import refusals
from tests.core.test_whois import people


def whowas(server: MemoryServer, conn: int, nick: str, limit: int = 0) -> tuple[FormerPerson, ...]:
    server.told(conn)
    server.ask(conn, events.Whowas(nick, limit))
    [told] = server.told(conn)
    assert isinstance(told, FormerPeople)
    assert told.nick == nick
    return told.people


def now(server: MemoryServer) -> int:
    """The time of the last entry."""
    return START_MS + STEP_MS * len(server.log)


NICKS = st.sampled_from(("bob", "BOB", "eve", "zoë", "guest-1", "guest-3"))


@given(st.lists(st.tuples(st.integers(3, 6), st.none() | NICKS), max_size=30))
def test_who_was_called_so_is_all_who_have_given_up_the_nick(
    steps: list[tuple[int, str | None]],
) -> None:
    server = people("bob", "eve", "fay", "hal")
    server.connect(9)
    server.ask(9, events.Nick("asks"))
    called = dict(zip(range(3, 7), ("bob", "eve", "fay", "hal"), strict=True))
    gave_up: list[FormerPerson] = []
    for conn, nick in steps:
        before = called.get(conn)
        server.ask(conn, events.Quit() if nick is None else events.Nick(nick))
        person = server.protocol.state.person(conn)
        after = person.nick if person is not None else None
        if before is not None and after != before:
            if after is None or nick_key(after) != nick_key(before):
                gave_up.append(FormerPerson(before, now(server)))
            called.pop(conn)
            called.update({conn: after} if after is not None else {})
    for nick in ("bob", "eve", "fay", "hal", "zoë"):
        wanted = [each for each in reversed(gave_up) if nick_key(each.nick) == nick_key(nick)]
        assert whowas(server, 9, nick) == tuple(wanted)
        assert whowas(server, 9, nick.upper(), 2) == tuple(wanted[:2])
    assert whowas(server, 9, "guest-1") == whowas(server, 9, "guest-3") == ()


def test_an_account_is_remembered_as_one_when_its_last_device_goes() -> None:
    server = people("fay", "hal")
    server.ask(3, events.Claim("adacode", device="a" * 64))
    server.ask(4, events.Login("a" * 64), events.Quit())
    assert whowas(server, 2, "ada") == ()
    server.ask(3, events.Quit())
    assert whowas(server, 2, "ada") == (FormerPerson("ada", now(server), "ada"),)
    assert len(whowas(server, 2, "fay")) == len(whowas(server, 2, "hal")) == 1


def test_a_guest_whose_nick_an_account_takes_was_called_so_unless_it_becomes_that_account() -> None:
    server = people("bob", "eve", "fay")
    for nick in ("bob", "eve"):
        granted = events.Grant(nick, nick, code_hash(f"{nick}-code"))
        server.carry_out([Propose(0, 0, (granted,))])
    server.ask(3, events.Claim("bob-code"))
    server.ask(5, events.Claim("eve-code"))
    assert whowas(server, 2, "bob") == ()
    assert whowas(server, 2, "eve") == (FormerPerson("eve", now(server)),)


def test_nobody_is_told_what_cannot_be_a_nick_or_where_only_accounts_talk() -> None:
    server = people("bob")
    assert whowas(server, 3, "no one") == ()
    assert whowas(server, 3, "zed", -5) == ()
    state = ChatState(limits=StateLimits(guests=0))
    closed = MemoryServer(ServerProtocol(state, limits=NO_FLOOD_LIMIT))
    closed.connect(1)
    closed.send(1, HELLO)
    closed.ask(1, events.Whowas("bob"))
    assert refusals(closed.told(1)) == ["no-right"]


def test_so_many_are_remembered_and_the_oldest_are_forgotten() -> None:
    server = people("bob", "eve")
    for each in range(MAX_FORMER):
        server.ask(3, events.Nick(f"n{each}"))
    assert len(whowas(server, 4, "bob")) == 1
    server.ask(3, events.Nick("fay"))
    assert whowas(server, 4, "bob") == ()
    assert len(whowas(server, 4, "n0")) == 1


def test_whowas_is_answered_by_its_numerics() -> None:
    server = IrcServer()
    server.register(1, "ada")
    for conn in (2, 3):
        server.register(conn, "bob")
        server.say(conn, "QUIT")
    row = [
        ":tcpchat 314 ada bob ~bob tcpchat * :bob",
        ":tcpchat 312 ada bob tcpchat :1970-01-01 00:16 UTC",
    ]
    end = [":tcpchat 369 ada BOB :End of WHOWAS"]
    for count in ("", "0", "-1", "x", "99999", "2", "²"):
        assert server.say(1, f"WHOWAS BOB {count}") == [*row, *row, *end]
    assert server.say(1, "WHOWAS BOB 1") == [*row, *end]
    assert server.say(1, "WHOWAS zed") == [
        ":tcpchat 406 ada zed :nobody is remembered who was called so",
        ":tcpchat 369 ada zed :End of WHOWAS",
    ]
