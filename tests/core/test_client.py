"""ClientProtocol: what it asks, and what it knows of what it was told."""

from __future__ import annotations

import pytest

from tcpchat_core import ClientProtocol, Notice, events, notices
from tcpchat_core.dialects.jsonl import JsonLines
from tests.core.harness import MemoryServer

JSONL = JsonLines()


def told(client: ClientProtocol, *heard: Notice) -> bytes:
    """Let a client hear notices; what it sends back."""
    received = client.receive_data(b"".join(map(JSONL.encode, heard)))
    assert received.notices == list(heard)
    return received.reply


def in_lobby(*members: str) -> ClientProtocol:
    """A client called ada that is in the lobby with these people."""
    client = ClientProtocol()
    told(
        client,
        notices.Welcome("ada", "0"),
        notices.Entered("lobby", members, len(members), 4, 0, "tea"),
    )
    return client


def test_what_it_asks_is_what_a_server_understands() -> None:
    client = ClientProtocol()
    asked = [
        (client.hello(), events.Hello()),
        (client.say("lobby", "hi"), events.Say("lobby", "hi", "1")),
        (client.say("lobby", "waves", emote=True), events.Say("lobby", "waves", "2", emote=True)),
        (client.tell("bob", "psst"), events.Tell("bob", "psst", "3")),
        (client.request(events.Say("tea", "x", "mine")), events.Say("tea", "x", "mine")),
        (client.request(events.Join("tea")), events.Join("tea")),
    ]
    for data, request in asked:
        assert JSONL.decode(data) == request


def test_what_was_said_is_unacknowledged_until_its_receipt_or_refusal() -> None:
    client = in_lobby("ada")
    client.say("lobby", "one")
    client.say("lobby", "two")
    client.tell("bob", "three")
    assert list(client.unacknowledged) == ["1", "2", "3"]
    told(client, notices.Sent(0, "1", "lobby", None, 5))
    told(client, notices.Rejected("no-such-nick", "nobody", "tell", "3"))
    assert client.unacknowledged == {"2": events.Say("lobby", "two", "2")}
    told(
        client, notices.Sent(0, "9", None, "bob"), notices.Sent(0), notices.Rejected("bad-line", "")
    )
    assert list(client.unacknowledged) == ["2"]


def test_it_knows_its_nick_and_the_servers_welcome() -> None:
    client = ClientProtocol()
    assert (client.nick, client.welcome) == ("", None)
    welcome = notices.Welcome("guest-1", "0", "tcpchat", "1")
    told(client, welcome)
    assert (client.nick, client.welcome) == ("guest-1", welcome)
    told(client, notices.Renamed("guest-1", "ada", own=True))
    assert client.nick == "ada"


def test_it_knows_who_is_in_its_rooms() -> None:
    client = in_lobby("ada", "bob", "cleo")
    lobby = client.rooms["lobby"]
    assert (lobby.name, lobby.topic, lobby.seq, lobby.count) == ("lobby", "tea", 4, 3)
    told(
        client,
        notices.Joined("lobby", "dora", 4, 0),
        notices.Left("lobby", "bob"),
        notices.Renamed("cleo", "queen"),
        notices.Renamed("ada", "countess", own=True),
        notices.Gone("nobody"),
    )
    assert list(lobby.members) == ["countess", "queen", "dora"]
    assert lobby.count == 3
    told(client, notices.Entered("tea", ("countess",), 1, 0, 0))
    told(client, notices.Gone("queen"), notices.Renamed("dora", "dora2"), notices.Gone("dora2"))
    assert list(client.rooms["tea"].members) == ["countess"]
    told(client, notices.Joined("lobby", "dora", 4, 0))
    assert list(lobby.members) == ["countess", "dora"]
    assert lobby.count == 2


def test_it_knows_the_topic_and_the_last_number_of_its_rooms() -> None:
    client = in_lobby("ada", "bob")
    told(
        client,
        notices.Said("lobby", "bob", "hi", 5, 0),
        notices.Sent(0, "1", "lobby", None, 6),
        notices.TopicSet("lobby", "coffee", "bob", 6, 0),
    )
    assert (client.rooms["lobby"].seq, client.rooms["lobby"].topic) == (6, "coffee")


def test_a_room_that_it_left_is_forgotten() -> None:
    client = in_lobby("ada", "bob")
    told(client, notices.Left("lobby", "ada", own=True))
    assert client.rooms == {}


def test_what_concerns_a_room_that_it_is_not_in_changes_nothing() -> None:
    client = in_lobby("ada")
    told(
        client,
        notices.Said("tea", "bob", "hi", 5, 0),
        notices.Sent(0, "1", "tea", None, 6),
        notices.Joined("tea", "bob", 5, 0),
        notices.Left("tea", "bob"),
        notices.Left("tea", "ada", own=True),
        notices.TopicSet("tea", "x", "bob", 6, 0),
        notices.Ponged(),
    )
    assert list(client.rooms) == ["lobby"]
    assert client.rooms["lobby"].seq == 4


def test_a_ping_is_answered_with_its_id() -> None:
    reply = told(ClientProtocol(), notices.Pinged("7"), notices.Pinged())
    assert reply == b'{"type":"pong","id":"7"}\n{"type":"pong"}\n'


@pytest.mark.parametrize(
    ("heard", "safe"),
    [
        (notices.Told("ada", "\x1b[2Jhi", 0), notices.Told("ada", "[2Jhi", 0)),
        (
            notices.Welcome("ada", "0", motd=("ok", "a\nb")),
            notices.Welcome("ada", "0", motd=("ok", "a b")),
        ),
        (
            notices.RoomList((notices.RoomInfo("\x9b", 1), notices.RoomInfo("den", 1))),
            notices.RoomList((notices.RoomInfo("", 1), notices.RoomInfo("den", 1))),
        ),
    ],
)
def test_what_a_server_sends_is_sanitised_wherever_it_stands(heard: Notice, safe: Notice) -> None:
    assert ClientProtocol().receive_data(JSONL.encode(heard)).notices == [safe]


def test_two_clients_talk_through_a_server() -> None:
    server = MemoryServer()
    clients = {conn: ClientProtocol() for conn in (1, 2)}
    for conn, client in clients.items():
        server.connect(conn)
        server.send(conn, client.hello() + client.request(events.Join("lobby")))
    server.send(1, clients[1].say("lobby", "hello"))
    heard = {conn: client.receive_data(server.read(conn)) for conn, client in clients.items()}
    assert [type(notice) for notice in heard[1].notices] == [
        notices.Welcome,
        notices.Entered,
        notices.Joined,
        notices.Sent,
    ]
    assert [type(notice) for notice in heard[2].notices] == [
        notices.Welcome,
        notices.Entered,
        notices.Said,
    ]
    for client in clients.values():
        assert list(client.rooms["lobby"].members) == ["guest-1", "guest-2"]
        assert client.rooms["lobby"].seq == 1
        assert not client.unacknowledged
