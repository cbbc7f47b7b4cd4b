"""Who asks who somebody is: what is told, and to whom nothing is."""

from __future__ import annotations

from tcpchat_core import ChatState, Propose, ServerProtocol, StateLimits, events
from tcpchat_core.notices import PersonInfo
from tcpchat_core.server.access import code_hash
from tests.core.harness import HELLO, NO_FLOOD_LIMIT, MemoryServer, entry
from tests.core.test_accounts import grant, refusals, served


def people(*nicks: str, server: MemoryServer | None = None) -> MemoryServer:
    """A server with programs that have sessions, on 3, 4, …"""
    server = server or served("ada")
    for conn, nick in enumerate(nicks, 3):
        server.connect(conn, token=f"t{conn}")
        server.send(conn, HELLO)
        server.ask(conn, events.Nick(nick))
    return server


def whois(server: MemoryServer, conn: int, nick: str) -> PersonInfo:
    server.ask(conn, events.Whois(nick))
    told = server.told(conn)[-1]
    assert isinstance(told, PersonInfo)
    return told


def test_one_is_told_of_the_rooms_that_one_is_in_oneself_and_of_no_others() -> None:
    server = people("bob", "eve")
    for room in ("tea", "den", "lobby"):
        server.ask(3, events.Join(room))
    server.ask(3, events.RoomMode("den", private=True))
    server.ask(4, events.Join("LOBBY"))
    assert whois(server, 4, "BOB") == PersonInfo("bob", rooms=("lobby",))
    assert whois(server, 3, "bob") == PersonInfo("bob", rooms=("tea", "den", "lobby"))
    server.ask(3, events.Invite("den", "eve"))
    server.ask(4, events.Join("den"))
    assert whois(server, 4, "bob") == PersonInfo("bob", rooms=("den", "lobby"))
    server.ask(4, events.Out("den"))
    assert whois(server, 4, "bob") == PersonInfo("bob", rooms=("lobby",))


def test_nobody_else_hears_of_the_question_and_it_is_no_entry() -> None:
    server = people("bob", "eve")
    server.told(3)
    entries = len(server.log)
    whois(server, 4, "bob")
    assert server.told(3) == []
    assert len(server.log) == entries


def test_a_nick_that_nobody_has_is_nobody() -> None:
    server = people("bob")
    for nick in ("eve", "a:b", "", "ada"):  # of the last there is an account, which is not here
        server.ask(3, events.Whois(nick))
        assert refusals(server.told(3)) == ["no-such-nick"]


def test_an_account_is_told_and_all_of_its_devices_are_one() -> None:
    server = people("bob", "eve")
    server.carry_out([Propose(0, 0, (grant("ada", code_hash("second"), admin=True),))])
    server.ask(3, events.Claim("adacode"), events.Join("lobby"))
    server.ask(4, events.Claim("second"))
    assert whois(server, 4, "ada") == PersonInfo("ada", "ada", admin=True, rooms=("lobby",))
    server.lose(3)
    assert not whois(server, 4, "ada").lost


def test_a_connection_that_is_lost_is_told_until_it_is_back_or_gone() -> None:
    server = people("bob", "eve")
    server.lose(3)
    assert whois(server, 4, "bob") == PersonInfo("bob", lost=True)
    server.connect(5, token="t5")
    server.ask(5, events.Hello("t3"))
    assert not whois(server, 4, "bob").lost
    server.lose(5)
    server.wait(60_001)
    server.ask(4, events.Whois("bob"))
    assert refusals(server.told(4))[-1] == "no-such-nick"


def test_where_only_accounts_talk_a_guest_does_not_see_who_anybody_is() -> None:
    state = ChatState(limits=StateLimits(guests=0))
    server = MemoryServer(ServerProtocol(state, limits=NO_FLOOD_LIMIT))
    for conn in (1, 2):
        server.connect(conn, token=f"t{conn}")
        server.send(conn, HELLO)
    server.ask(1, events.Whois("guest-2"))
    assert refusals(server.told(1)) == ["no-right"]


def test_who_is_no_person_any_more_shares_no_room_with_anybody() -> None:
    """The state may have lost a person that the server still serves: after a restored snapshot."""
    server = people("bob", "eve")
    server.protocol.state.handle(entry(99, 3, events.Disconnect("elsewhere")))
    server.ask(3, events.Whois("eve"))
    assert server.told(3)[-1] == PersonInfo("eve")


def test_a_person_with_nc_types_it() -> None:
    server = people("bob")
    server.send(1, b"/whois bob\n/whois\n/whois nobody\n")
    assert server.lines(1) == [
        "* bob is a guest",
        "! bad-usage: usage: /whois NICK  (for example: /whois ada)",
        "! no-such-nick: there is nobody called nobody",
    ]
