"""ClientProtocol: what it asks, and what it knows of what it was told."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tcpchat_core import (
    ChatState,
    ClientProtocol,
    LineTooLongError,
    LocalError,
    Notice,
    RemoteError,
    Request,
    ServerProtocol,
    StateLimits,
    TooLateError,
    events,
    notices,
)
from tcpchat_core.client.protocol import MAX_NOTICE_BYTES
from tcpchat_core.dialects.jsonl import JSON, decode_request, encode_request
from tcpchat_core.framing import MAX_LINE_BYTES
from tests.core.harness import NO_FLOOD_LIMIT, MemoryServer


def told(client: ClientProtocol, *heard: Notice) -> bytes:
    """Let a client hear notices; what it sends back."""
    received = client.receive_data(b"".join(map(JSON.encode, heard)))
    assert received.notices == list(heard)
    return received.reply


def welcome(token: str = "secret", *, unacknowledged: int = 3) -> notices.Welcome:
    """A welcome to a session, of which so many messages may be unacknowledged."""
    limits = notices.Limits(0, 0, 0, 0, 0, 0, 0, unacknowledged)
    return notices.Welcome("ada", "0", token=token, limits=limits)


def asks(data: bytes) -> list[Request]:
    """The requests in what a client sends."""
    return [
        request
        for line in data.splitlines()
        if isinstance(request := decode_request(line), Request)
    ]


def in_lobby(*members: str) -> ClientProtocol:
    """A client called ada that is in the lobby with these people."""
    client = ClientProtocol()
    told(
        client,
        welcome(),
        notices.Entered("lobby", members, len(members), 4, 0, "tea"),
    )
    return client


def test_what_it_asks_is_what_a_server_understands() -> None:
    client = ClientProtocol(password="sesame")
    hello = client.hello()
    told(client, welcome(unacknowledged=99))
    asked = [
        (hello, events.Hello(password="sesame")),
        (client.say("lobby", "hi"), events.Say("lobby", "hi", "1")),
        (client.say("lobby", "waves", emote=True), events.Say("lobby", "waves", "2", emote=True)),
        (client.tell("bob", "psst"), events.Tell("bob", "psst", "3")),
        (client.say("tea", "rain", notice=True), events.Say("tea", "rain", "4", notice=True)),
        (client.tell("bob", "psst", notice=True), events.Tell("bob", "psst", "5", notice=True)),
        (client.request(events.Say("tea", "x", "mine")), events.Say("tea", "x", "mine")),
        (client.request(events.Join("tea")), events.Join("tea")),
    ]
    for data, request in asked:
        assert asks(data) == [request]


def test_what_was_said_is_unacknowledged_until_its_receipt_or_refusal() -> None:
    client = in_lobby("ada")
    client.say("lobby", "one")
    client.say("lobby", "two")
    client.tell("bob", "three")
    assert list(client.unacknowledged) == ["1", "2", "3"]
    told(client, notices.Sent(0, "1", "lobby", None, 5))
    told(client, notices.Rejected("no-such-nick", "nobody", "tell", "3"))
    assert client.unacknowledged == {"2": events.Say("lobby", "two", "2")}
    told(client, notices.Sent(0), notices.Rejected("bad-line", ""))
    assert list(client.unacknowledged) == ["2"]


def test_it_knows_its_nick_and_the_servers_welcome() -> None:
    client = ClientProtocol()
    assert (client.nick, client.welcome) == ("", None)
    heard = notices.Welcome("guest-1", "0", "tcpchat", "1")
    told(client, heard)
    assert (client.nick, client.welcome) == ("guest-1", heard)
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


def test_it_knows_who_moderates_its_rooms() -> None:
    client = in_lobby("ada", "bob", "cleo")
    told(
        client,
        notices.RoleSet("lobby", "bob", "moderator", "eve"),
        notices.RoleSet("lobby", "cleo", "moderator", "bob"),
        notices.Renamed("cleo", "queen"),
        notices.RoleSet("lobby", "ada", "owner", "bob"),
        notices.RoleSet("tea", "ada", "moderator", "bob"),
    )
    lobby = client.rooms["lobby"]
    assert list(lobby.moderators) == ["bob", "queen", "ada"]
    told(client, notices.RoleSet("lobby", "bob", "owner", "eve"))
    assert list(lobby.moderators) == ["bob", "queen", "ada"]
    told(client, notices.RoleSet("lobby", "queen", "member", "ada"), notices.Gone("bob"))
    assert list(lobby.moderators) == ["ada"]
    told(client, notices.Entered("den", ("eve", "ada"), 2, 1, 0, moderators=("eve",)))
    assert list(client.rooms["den"].moderators) == ["eve"]


def test_it_knows_the_topic_and_the_last_number_of_its_rooms() -> None:
    client = in_lobby("ada", "bob")
    client.say("lobby", "hello")
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
    client.say("tea", "hi")
    told(
        client,
        notices.Sent(0, "1", "tea", None, 6),
        notices.Joined("tea", "bob", 5, 0),
        notices.Left("tea", "bob"),
        notices.Left("tea", "ada", own=True),
        notices.TopicSet("tea", "x", "bob", 6, 0),
        notices.Gap("tea", 4),
        notices.Ponged(),
    )
    elsewhere = JSON.encode(notices.Said("tea", "bob", "hi", 5, 0))
    assert client.receive_data(elsewhere).notices == []
    assert list(client.rooms) == ["lobby"]
    assert client.rooms["lobby"].seq == 4


def test_a_ping_is_answered_with_its_id() -> None:
    reply = told(ClientProtocol(), notices.Pinged("7"), notices.Pinged())
    assert reply == b'{"type":"pong","id":"7"}\n{"type":"pong"}\n'


@pytest.mark.parametrize(
    ("heard", "safe"),
    [
        (notices.Told("ada", "\x1b[2Jhi", 1, 0), notices.Told("ada", "[2Jhi", 1, 0)),
        (
            notices.Welcome("ada", "0", motd=("ok", "a\nb")),
            notices.Welcome("ada", "0", motd=("ok", "a b")),
        ),
        (
            notices.Members("den", ("ada",), names={"a\x9bda": "A\x1b"}, users={"ada": "a"}),
            notices.Members("den", ("ada",), names={"ada": "A"}, users={"ada": "a"}),
        ),
        (
            notices.RoomList((notices.RoomInfo("\x9b", 1), notices.RoomInfo("den", 1))),
            notices.RoomList((notices.RoomInfo("", 1), notices.RoomInfo("den", 1))),
        ),
    ],
)
def test_what_a_server_sends_is_sanitised_wherever_it_stands(heard: Notice, safe: Notice) -> None:
    assert ClientProtocol().receive_data(JSON.encode(heard)).notices == [safe]


def test_two_clients_talk_through_a_server() -> None:
    server = MemoryServer()
    clients = {conn: ClientProtocol() for conn in (1, 2)}
    for conn, client in clients.items():
        server.connect(conn)
        server.send(conn, client.hello() + client.request(events.Join("lobby")))
    heard = {
        conn: client.receive_data(server.read(conn)).notices for conn, client in clients.items()
    }
    server.send(1, clients[1].say("lobby", "hello"))
    for conn, client in clients.items():
        heard[conn] += client.receive_data(server.read(conn)).notices
    assert [type(notice) for notice in heard[1]] == [
        notices.Welcome,
        notices.Entered,
        notices.Joined,
        notices.Sent,
    ]
    assert [type(notice) for notice in heard[2]] == [
        notices.Welcome,
        notices.Entered,
        notices.Said,
    ]
    for client in clients.values():
        assert list(client.rooms["lobby"].members) == ["guest-1", "guest-2"]
        assert not client.unacknowledged
    assert clients[1].rooms["lobby"].seq == clients[2].rooms["lobby"].seq


# ── What cannot be sent ──────────────────────────────────────────────────────────────────────


def limited(line_bytes: int) -> notices.Welcome:
    """The welcome of a server that reads so many bytes of a line."""
    limits = notices.Limits(line_bytes, 0, 0, 0, 0, 0, 0, 64)
    return notices.Welcome("ada", "0", token="secret", limits=limits)


def test_a_line_that_is_too_long_is_refused_and_what_follows_is_said() -> None:
    server = MemoryServer()
    client = ClientProtocol()
    server.connect(1)
    server.send(1, client.hello() + client.request(events.Join("lobby")))
    client.receive_data(server.read(1))
    with pytest.raises(LineTooLongError, match=r"a line has at most 32,768 bytes"):
        client.say("lobby", "x" * 40_000)
    assert client.unacknowledged == {}
    for number in range(70):
        server.send(1, client.say("lobby", f"line {number}"))
        received = client.receive_data(server.read(1))
        assert [type(notice) for notice in received.notices] == [notices.Sent]
    assert client.unacknowledged == {}


@pytest.mark.parametrize("ask", [ClientProtocol.request, ClientProtocol.ask])
def test_a_line_has_as_many_bytes_as_the_server_reads(
    ask: Callable[[ClientProtocol, Request], bytes],
) -> None:
    client = ClientProtocol()
    told(client, limited(300))
    for request in (events.Say("lobby", "", "1"), events.Topic("lobby", "")):
        room = 301 - len(encode_request(request))
        fits = msgspec.structs.replace(request, room="lobby" + "x" * room)
        longer = msgspec.structs.replace(request, room="lobby" + "x" * (room + 1))
        assert len(ask(client, fits)) == 301  # with its end
        with pytest.raises(LineTooLongError) as refused:
            ask(client, longer)
        assert refused.value.max_bytes == 300


def test_before_the_welcome_a_line_has_as_many_bytes_as_servers_usually_read() -> None:
    client = ClientProtocol()
    client.hello()
    with pytest.raises(LineTooLongError) as refused:
        client.tell("bob", "é" * MAX_LINE_BYTES)
    assert refused.value.max_bytes == MAX_LINE_BYTES
    assert client.unacknowledged == {}


def test_what_was_said_before_the_welcome_and_is_too_long_for_the_server_is_abandoned() -> None:
    client = ClientProtocol()
    client.hello()
    client.say("lobby", "x" * 400)
    client.say("lobby", "short")
    assert asks(told(client, limited(300))) == [events.Say("lobby", "short", "2")]
    assert client.abandoned == [events.Say("lobby", "x" * 400, "1")]
    assert list(client.unacknowledged) == ["2"]


def test_hello_is_not_too_long_either_and_no_gap_is_told_of_what_was_seen() -> None:
    client = ClientProtocol()
    told(client, limited(MAX_LINE_BYTES))
    rooms = [f"{number:04}{'x' * 28}" for number in range(1_000)]
    told(client, *(notices.Entered(room, ("ada",), 1, 9, 0) for room in rooms))
    [hello] = asks(client.hello())
    assert isinstance(hello, events.Hello)
    assert hello.token == "secret"
    assert hello.seen == dict.fromkeys(rooms[:500], 9)
    states = tuple(notices.RoomState(room, ("ada",), 1, 9) for room in rooms)
    told(client, notices.Resumed("ada", states, "0"))
    said = JSON.encode(notices.Said(rooms[-1], "bob", "seen", 9, 0))
    gap = JSON.encode(notices.Gap(rooms[-1], 9))
    assert client.receive_data(gap + said).notices == []


@pytest.mark.parametrize(
    ("typed", "sent"),
    [
        ("caf\udce9", "caf\ufffd"),
        ("\ud83d", "\ufffd"),
        ("\ude00\ud83d!", "\ufffd\ufffd!"),
        ("\ud83d\ude00", "\U0001f600"),
    ],
)
def test_what_utf8_cannot_hold_is_replaced_before_it_is_kept(typed: str, sent: str) -> None:
    client = ClientProtocol(password=typed)
    assert asks(client.hello()) == [events.Hello(password=sent)]
    told(client, welcome())
    assert asks(client.say(typed, typed)) == [events.Say(sent, sent, "1")]
    assert asks(client.tell("bob", typed)) == [events.Tell("bob", sent, "2")]
    assert asks(client.request(events.Nick(typed))) == [events.Nick(sent)]
    assert asks(client.ask(events.Topic("a", typed))) == [events.Topic("a", sent)]
    assert client.unacknowledged["1"].text == sent
    assert asks(client.hello()) == [events.Hello("secret", password=sent, epoch="0")]
    assert len(asks(told(client, notices.Resumed("ada", (), "0")))) == 2


@pytest.mark.parametrize("id", ["x" * 65, "\x1b", "\udcff"])
def test_an_id_that_no_server_takes_is_refused(id: str) -> None:
    client = in_lobby("ada")
    for request in (events.Say("lobby", "hi", id), events.Ping(id)):
        with pytest.raises(LocalError, match="an id has at most 64 characters"):
            client.request(request)
    assert client.unacknowledged == {}


@given(text=st.text(st.characters(), max_size=9), times=st.integers(0, 40_000))
def test_whatever_is_said_is_sent_or_refused(text: str, times: int) -> None:
    client = in_lobby("ada")
    with contextlib.suppress(LineTooLongError):
        assert len(asks(client.say("lobby", text + "x" * times))) == 1
    client.hello()
    assert len(asks(told(client, notices.Resumed("ada", (), "0")))) == len(client.unacknowledged)


# ── A server that is newer ───────────────────────────────────────────────────────────────────


def test_a_notice_of_an_unknown_type_is_skipped_under_any_split() -> None:
    client = ClientProtocol()
    data = (
        b'{"type":"fireworks","colour":[1,{"type":"gone"}]}\n'
        b'{"type":"welcome","nick":"ada","epoch":"0","token":"secret"}\n'
        b'{"colour":"red","type":"fireworks"}\n'
        b'{"type":"fireworks","id":7}\n'
        b'{"type":"pong","id":"1"}\n'
    )
    heard = [
        notice
        for place in range(len(data))
        for notice in client.receive_data(data[place : place + 1]).notices
    ]
    assert heard == [notices.Welcome("ada", "0", token="secret"), notices.Ponged("1")]


def test_unknown_fields_are_skipped() -> None:
    data = b'{"type":"gone","nick":"bob","mood":{"type":1},"reason":"tea","n":2}\n'
    assert in_lobby("bob").receive_data(data).notices == [notices.Gone("bob", "tea")]


def test_a_message_that_is_refused_for_an_unknown_reason_is_refused() -> None:
    client = in_lobby("ada")
    client.say("lobby", "hi")
    data = b'{"type":"rejected","reason":"muted","text":"not today","request":"say","id":"1"}\n'
    [rejected] = client.receive_data(data).notices
    assert isinstance(rejected, notices.Rejected)
    assert (rejected.reason, rejected.text) == ("muted", "not today")
    assert client.unacknowledged == {}


@pytest.mark.parametrize("line", [b'{"type":"pong","id":7}', b'{"type":7}', b'{"type":""}', b"{}"])
def test_a_notice_of_a_known_type_that_is_broken_or_of_no_type_is_an_error(line: bytes) -> None:
    with pytest.raises(RemoteError, match="does not speak tcpchat's protocol"):
        in_lobby("ada").receive_data(line + b"\n")


def test_a_line_that_never_ends_is_an_error_before_it_fills_the_memory() -> None:
    client = in_lobby("ada")
    with pytest.raises(RemoteError, match="a line of more than"):
        client.receive_data(b"x" * (MAX_NOTICE_BYTES + 2))


def test_who_greets_with_an_unknown_type_is_no_plain_greeting() -> None:
    client = ClientProtocol()
    client.hello()
    client.receive_data(b'{"type":"fireworks"}\n')
    with pytest.raises(RemoteError) as raised:
        client.receive_data(b"* Welcome to tcpchat. You are guest-1.\n")
    assert not isinstance(raised.value, TooLateError)


# ── Rooms that are too large to be listed ────────────────────────────────────────────────────


def test_who_is_gone_from_a_room_whose_list_is_not_complete_is_counted() -> None:
    client = ClientProtocol()
    hall = notices.Entered("hall", ("ada", "bob"), 700, 0, 0)
    told(client, welcome(), hall, notices.Entered("lobby", ("ada", "cleo"), 2, 0, 0))
    told(client, notices.Gone("zoe"), notices.Gone("bob"), notices.Gone("cleo"))
    assert {name: room.count for name, room in client.rooms.items()} == {"hall": 698, "lobby": 1}
    # Where it may have been any of several rooms, none is changed.
    told(client, notices.Entered("den", ("ada",), 600, 0, 0), notices.Gone("yan"))
    assert {name: room.count for name, room in client.rooms.items()} == {
        "hall": 698,
        "lobby": 1,
        "den": 600,
    }


# ── Reconnecting ─────────────────────────────────────────────────────────────────────────────


def lobby(seq: int) -> notices.RoomState:
    """The lobby as a resumed session is told of it."""
    return notices.RoomState("lobby", ("ada", "bob"), 2, seq, "coffee")


def test_what_is_said_before_the_welcome_is_sent_after_it() -> None:
    client = ClientProtocol()
    assert client.say("lobby", "early") == b""
    assert asks(client.hello()) == [events.Hello()]
    assert client.say("lobby", "bird") == b""
    reply = told(client, welcome())
    assert asks(reply) == [events.Say("lobby", "early", "1"), events.Say("lobby", "bird", "2")]


def test_no_more_is_unacknowledged_at_a_time_than_the_server_remembers() -> None:
    client = in_lobby("ada")
    sent = [asks(client.say("lobby", text)) for text in "abcde"]
    assert [len(requests) for requests in sent] == [1, 1, 1, 0, 0]
    assert asks(told(client, notices.Sent(0, "1", "lobby", None, 5))) == [
        events.Say("lobby", "d", "4")
    ]
    assert asks(told(client, notices.Rejected("too-long", "", "say", "2"))) == [
        events.Say("lobby", "e", "5")
    ]


def test_a_server_that_tells_no_limits_is_sent_one_message_at_a_time() -> None:
    client = ClientProtocol()
    told(client, notices.Welcome("ada", "0"))
    client.say("lobby", "one")
    assert client.say("lobby", "two") == b""


def test_what_is_said_after_the_connection_was_lost_is_sent_over_the_next() -> None:
    client = in_lobby("ada", "bob")
    client.connection_lost()
    assert client.say("lobby", "hi") + client.ask(events.Who("lobby")) == b""
    client.hello()
    assert asks(told(client, notices.Resumed("ada", (lobby(5),), "0"))) == [
        events.Say("lobby", "hi", "1")
    ]


def test_what_is_asked_keeps_its_place_among_what_is_said() -> None:
    client = in_lobby("ada", "bob")
    for text in "abc":
        client.say("lobby", text)
    assert client.say("lobby", "d") + client.ask(events.Out("lobby")) == b""
    reply = told(client, notices.Sent(0, "1", "lobby", None, 5))
    assert asks(reply) == [events.Say("lobby", "d", "4"), events.Out("lobby")]
    client.hello([("1", events.Who("a")), ("2", events.Who("b")), ("4", events.Out("lobby"))])
    reply = told(client, notices.Resumed("ada", (lobby(5),), "0"))
    assert asks(reply) == [
        events.Who("a"),
        events.Say("lobby", "b", "2"),
        events.Who("b"),
        events.Say("lobby", "c", "3"),
        events.Say("lobby", "d", "4"),
        events.Out("lobby"),
    ]


def test_on_a_new_connection_it_asks_for_its_session_and_says_what_it_has_seen() -> None:
    client = in_lobby("ada", "bob")
    told(client, notices.Said("lobby", "bob", "hi", 5, 0), notices.Told("bob", "psst", 7, 0))
    assert asks(client.hello()) == [events.Hello("secret", {"lobby": 5}, 7, epoch="0")]


def test_half_a_line_of_the_lost_connection_is_forgotten() -> None:
    client = in_lobby("ada", "bob")
    client.receive_data(b'{"type":"said","room":"lob')
    client.hello()
    told(client, notices.Resumed("ada", (lobby(4),), "0"))


def test_what_has_no_receipt_is_sent_again_after_a_reconnect_in_order() -> None:
    client = in_lobby("ada", "bob")
    for text in "abcd":
        client.say("lobby", text)
    told(client, notices.Sent(0, "1", "lobby", None, 5))
    client.hello()
    assert client.say("lobby", "e") == b""
    reply = told(client, notices.Resumed("ada", (lobby(5),), "0"))
    assert asks(reply) == [
        events.Say("lobby", text, id) for text, id in zip("bcd", "234", strict=True)
    ]
    assert asks(told(client, notices.Sent(0, "2", "lobby", None, 6))) == [
        events.Say("lobby", "e", "5")
    ]


def test_what_was_refused_and_is_taken_in_later_makes_nothing_be_said_twice() -> None:
    server = MemoryServer(
        ServerProtocol(ChatState(limits=StateLimits(receipts=3)), limits=NO_FLOOD_LIMIT)
    )
    ada = ClientProtocol()

    def connects(conn: int) -> None:
        server.connect(conn, token=f"token-{conn}")
        server.send(conn, ada.hello())

    def hears(conn: int, last: str) -> None:
        """Read what came, up to the notice that has this in it; what comes later is lost."""
        head, found, tail = server.read(conn).partition(last.encode())
        assert found
        server.send(conn, ada.receive_data(head + found + tail[: tail.index(b"\n") + 1]).reply)

    server.connect(2)
    server.ask(2, events.Hello(), events.Nick("bob"))
    connects(1)
    hears(1, "welcome")
    # There is no cleo yet, so only the second is taken in; then both answers are lost.
    server.send(1, ada.tell("cleo", "first") + ada.tell("bob", "second"))
    server.lose(1)
    server.connect(3)
    server.ask(3, events.Hello(), events.Nick("cleo"))
    # The first is taken in behind the second, whose receipt is lost again.
    connects(4)
    hears(4, "resumed")
    hears(4, '"id":"1"')
    server.send(4, ada.tell("bob", "third") + ada.tell("bob", "fourth"))
    server.lose(4)
    connects(5)
    hears(5, "resumed")
    hears(5, '"id":"4"')
    assert not ada.unacknowledged
    heard = [notice.text for notice in server.told(2) if isinstance(notice, notices.Told)]
    assert heard == ["second", "third", "fourth"]


def test_its_own_message_in_a_replay_is_its_receipt() -> None:
    client = in_lobby("ada", "bob")
    client.say("lobby", "a")
    client.say("lobby", "b")
    client.hello()
    resumed = notices.Resumed("ada", (lobby(5),), "0")
    reply = told(client, resumed, notices.Said("lobby", "ada", "a", 5, 0, id="1"))
    assert asks(reply) == [events.Say("lobby", "b", "2")]
    late = JSON.encode(notices.Sent(0, "1", "lobby", None, 5))
    assert client.receive_data(late).notices == []
    assert list(client.unacknowledged) == ["2"]


def test_what_was_seen_is_not_shown_again() -> None:
    client = in_lobby("ada", "bob")
    heard: list[Notice] = [
        notices.Said("lobby", "bob", "hi", 5, 0),
        notices.Told("bob", "psst", 1, 0),
    ]
    told(client, *heard)
    client.hello()
    told(client, notices.Resumed("ada", (lobby(6),), "0"))
    again = client.receive_data(b"".join(map(JSON.encode, heard)))
    assert again.notices == []
    told(client, notices.Said("lobby", "bob", "new", 6, 0), notices.Told("bob", "new", 2, 0))


def test_a_gap_is_told_and_what_follows_it_is_shown() -> None:
    client = in_lobby("ada", "bob")
    client.hello()
    told(
        client,
        notices.Resumed("ada", (lobby(10),), "0"),
        notices.Gap("", 3),
        notices.Told("bob", "psst", 3, 0),
        notices.Gap("lobby", 9),
        notices.Said("lobby", "bob", "nine", 9, 0),
    )
    assert client.rooms["lobby"].seq == 9


def test_a_resumed_session_has_the_rooms_that_the_server_tells() -> None:
    client = in_lobby("ada", "bob")
    told(client, notices.Entered("tea", ("ada",), 1, 0, 0))
    client.hello()
    den = notices.RoomState("den", ("ada",), 1, 3)
    told(client, notices.Resumed("countess", (lobby(6), den), "0"))
    assert client.nick == "countess"
    assert {name: view.seq for name, view in client.rooms.items()} == {"lobby": 4, "den": 0}
    assert (client.rooms["lobby"].topic, client.rooms["lobby"].count) == ("coffee", 2)
    told(client, notices.Said("den", "bob", "the first", 3, 0))


def test_when_a_session_is_over_what_was_unacknowledged_is_abandoned() -> None:
    client = in_lobby("ada", "bob")
    told(client, notices.Told("bob", "psst", 9, 0))
    client.say("lobby", "may be lost")
    client.hello()
    client.tell("bob", "typed meanwhile")
    assert told(client, welcome("another")) == b""
    assert [message.text for message in client.abandoned] == ["may be lost", "typed meanwhile"]
    assert (client.rooms, client.unacknowledged) == ({}, {})
    told(client, notices.Told("bob", "psst", 1, 0))
    assert asks(client.say("tea", "on we go")) == [events.Say("tea", "on we go", "3")]
    assert asks(client.hello()) == [events.Hello("another", {}, 1, epoch="0")]


def test_a_session_that_cannot_be_resumed_is_not_asked_for() -> None:
    client = ClientProtocol()
    told(client, welcome(""), notices.Entered("lobby", ("ada",), 1, 4, 0))
    assert asks(client.hello()) == [events.Hello()]


def test_a_server_cannot_make_it_remember_rooms_and_people_without_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("tcpchat_core.client.protocol.MAX_ROOMS", 2)
    monkeypatch.setattr("tcpchat_core.client.protocol.MAX_MEMBERS", 2)
    client = in_lobby("ada")
    told(client, notices.Joined("lobby", "bob", 4, 0), notices.Joined("lobby", "cleo", 4, 0))
    assert (list(client.rooms["lobby"].members), client.rooms["lobby"].count) == (["ada", "bob"], 3)
    told(client, *(notices.RoleSet("lobby", f"m{n}", "moderator", "ada") for n in range(3)))
    assert [*client.rooms["lobby"].moderators] == ["m0", "m1"]
    told(client, notices.Entered("tea", (), 1, 0, 0))
    with pytest.raises(RemoteError, match="into more than 2 rooms"):
        told(client, notices.Entered("den", (), 1, 0, 0))


@pytest.mark.parametrize(
    "greeting",
    [
        b"* Welcome to tcpchat. You are guest-1.\n",
        b"! password-needed: this server has a password: say it first\n",
        # It went down before it had heard anything.
        b"* Closing: the server is restarted\n",
    ],
)
def test_a_server_that_took_it_for_a_person_says_so_by_an_error_of_its_own(
    greeting: bytes,
) -> None:
    client = ClientProtocol()
    client.hello()
    with pytest.raises(TooLateError, match="came so late that the server spoke first"):
        client.receive_data(greeting)
    client.hello()
    told(client, welcome())
    with pytest.raises(RemoteError, match="does not speak tcpchat") as raised:
        client.receive_data(greeting)
    assert not isinstance(raised.value, TooLateError)
