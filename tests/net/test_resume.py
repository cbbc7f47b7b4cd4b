"""Sessions over a cable that is pulled out: no hole, no duplicate, and nobody else notices."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Collection, Iterator
from typing import Any, Final

import gevent
import pytest
from gevent import socket

from tcpchat_core import Request, ServerLimits, events, notices
from tcpchat_core.dialects.jsonl import decode_notice, encode_request
from tcpchat_net import ChatClient, ConnectionClosed, RequestRejected
from tcpchat_net.tls import server_context
from tests.net.certificates import Authority, Files
from tests.net.order import check_one_order
from tests.net.peers import (
    LIMIT_SECONDS,
    Peer,
    RecordedProtocol,
    RecordingClient,
    Serving,
    in_turn_until,
    serving,
)
from tests.net.proxy import BOTH, CLIENT, DOWN, SERVER, UP, Cable

# How many messages each of two people says.
MESSAGES: Final = 8

# Somewhere in the middle of the conversation.
THIRD: Final = encode_request(events.Say("lobby", "ada 3", "4"))

# Where a conversation is cut: the direction, what comes over it then, and how much of that arrives.
CUTS = [
    pytest.param((UP, THIRD, 0), id="before a message"),
    pytest.param((UP, THIRD, 20), id="in a message"),
    pytest.param((UP, THIRD, len(THIRD) - 1), id="before the end of a message"),
    pytest.param((UP, THIRD, len(THIRD)), id="after a message"),
    pytest.param((DOWN, b'{"type":"sent"', 0), id="before a receipt"),
    pytest.param((DOWN, b'{"type":"sent"', 20), id="in a receipt"),
    pytest.param((DOWN, b'{"type":"said"', 0), id="before another's message"),
    pytest.param((DOWN, b'{"type":"said"', 20), id="in another's message"),
]

# The same for what follows when the client is back.
CUTS_ON_RETURN = [
    pytest.param((UP, b'{"type":"hello"', 0), id="before the hello"),
    pytest.param((UP, b'{"type":"hello"', 20), id="in the hello"),
    pytest.param((DOWN, b'{"type":"resumed"', 0), id="before the answer"),
    pytest.param((DOWN, b'{"type":"resumed"', 20), id="in the answer"),
    pytest.param((DOWN, b'{"type":"said"', 0), id="before the replay"),
    pytest.param((DOWN, b'"text":"bob 3"', 0), id="in the replay"),
    pytest.param((DOWN, b'"text":"bob 7"', 20), id="at the end of the replay"),
]

# Who notices the cut at once. The other end does later, when the server has.
NOTICED = [
    pytest.param(BOTH, id="noticed by both"),
    pytest.param((CLIENT,), id="noticed by the client"),
    pytest.param((SERVER,), id="noticed by the server"),
]


@pytest.fixture
def server() -> Iterator[Serving]:
    with serving() as running:
        yield running


@pytest.fixture
def cable(server: Serving) -> Iterator[Cable]:
    with Cable(server.address) as plugged:
        yield plugged


def roaming(
    server: Serving, cable: Cable, nick: str, *rooms: str, reconnect: float = LIMIT_SECONDS
) -> RecordingClient:
    """Somebody who comes over the cable, and comes back."""
    client = RecordingClient(cable.address, nick, reconnect=reconnect)
    server.peers.enter_context(client)
    for room in rooms:
        client.join(room)
    return client


def inside(server: Serving, nick: str, *, reconnect: float = 0) -> RecordingClient:
    """Somebody in the lobby whose cable is sound."""
    client = server.program(nick, reconnect=reconnect)
    client.join("lobby")
    return client


def say_all(client: ChatClient) -> None:
    for number in range(MESSAGES):
        client.say("lobby", f"{client.nick} {number}")


def in_the_background(*tasks: Callable[[], object]) -> list[gevent.Greenlet[Any, Any]]:
    return [gevent.spawn(task) for task in tasks]


def wait_for(tasks: list[gevent.Greenlet[Any, Any]]) -> None:
    gevent.joinall(tasks, timeout=LIMIT_SECONDS, raise_error=True)
    assert all(task.ready() for task in tasks)


def let_everybody_notice(server: Serving, cable: Cable) -> None:
    """When the server has noticed a cut that it alone was to notice, the client is told too."""
    in_turn_until(lambda: not cable.plans)
    in_turn_until(lambda: any(isinstance(e.event, events.Disconnect) for e in server.recorded.log))
    cable.cut()


def count(server: Serving, kind: type[object]) -> int:
    """How many events of a kind are in the log."""
    return sum(isinstance(entry.event, kind) for entry in server.recorded.log)


def check_conversation(*clients: RecordingClient) -> None:
    """Everybody sees all that was said, own messages by their receipts: once, in one order."""
    in_turn_until(lambda: len({client.rooms["lobby"].seq for client in clients}) == 1)
    check_one_order(clients)
    everybody = {f"{client.nick} {number}" for client in clients for number in range(MESSAGES)}
    for client in clients:
        seen, own = [], []
        for notice in client.heard:
            if isinstance(notice, notices.Said):
                seen.append(notice.text)
            elif isinstance(notice, notices.Sent):
                own.append(notice.id)
        # An own message whose receipt was lost is seen in its place.
        assert len(seen) + len(own) == len(everybody)
        assert len(set(seen)) == len(seen)
        assert len(set(own)) == len(own)
        assert everybody - set(seen) <= {f"{client.nick} {number}" for number in range(MESSAGES)}


def check_onlooker(bob: RecordingClient, eve: Peer) -> None:
    """Somebody with nc saw the conversation of two, and nothing else."""
    bob.say("lobby", "the end")
    told = eve.read_until("[lobby] bob: the end")
    said = [f"[lobby] {nick}: {nick} {n}" for nick in ("ada", "bob") for n in range(MESSAGES)]
    assert sorted(told) == sorted([*said, "[lobby] bob: the end"])


# ── The cable is pulled ──────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("ends", NOTICED)
@pytest.mark.parametrize("cut", CUTS)
def test_a_conversation_goes_on_over_a_cut_as_if_there_had_been_none(
    server: Serving, cable: Cable, cut: tuple[str, bytes, int], ends: Collection[str]
) -> None:
    eve = server.person("eve", "lobby")
    ada, bob = roaming(server, cable, "ada", "lobby"), inside(server, "bob")
    eve.read_until("* bob joined")
    cable.cut_at(*cut, ends=ends)
    tasks = in_the_background(lambda: say_all(ada), lambda: say_all(bob))
    if ends == (SERVER,):
        let_everybody_notice(server, cable)
    wait_for(tasks)
    in_turn_until(lambda: ada.rooms["lobby"].seq == bob.rooms["lobby"].seq)
    assert not cable.plans
    assert count(server, events.Resume) == 1
    check_conversation(ada, bob)
    check_onlooker(bob, eve)


@pytest.mark.parametrize("ends", NOTICED)
@pytest.mark.parametrize("cut", CUTS_ON_RETURN)
def test_a_cable_that_is_pulled_again_on_the_way_back_makes_no_hole_either(
    server: Serving, cable: Cable, cut: tuple[str, bytes, int], ends: Collection[str]
) -> None:
    eve = server.person("eve", "lobby")
    ada, bob = roaming(server, cable, "ada", "lobby"), inside(server, "bob")
    eve.read_until("* bob joined")
    cable.pull_out()
    cable.cut()
    say_all(bob)
    cable.cut_at(*cut, ends=ends)
    cable.plug_in()
    if ends == (SERVER,):
        in_turn_until(lambda: not cable.plans)
        in_turn_until(lambda: server.connections == 2)  # those whose cable is sound
        cable.cut()
    say_all(ada)
    assert not cable.plans
    check_conversation(ada, bob)
    check_onlooker(bob, eve)


def test_a_cable_that_is_pulled_and_plugged_in_again_delays_and_loses_nothing(
    server: Serving, cable: Cable
) -> None:
    ada, bob = roaming(server, cable, "ada", "lobby"), inside(server, "bob")
    cable.pull_out()
    tasks = in_the_background(lambda: say_all(ada))
    say_all(bob)
    cable.plug_in()
    wait_for(tasks)
    check_conversation(ada, bob)
    assert count(server, events.Resume) == 0


@pytest.mark.parametrize(
    ("ask", "mark"),
    [
        pytest.param(lambda ada: ada.set_nick("countess"), b'{"type":"renamed"', id="nick"),
        pytest.param(lambda ada: ada.join("attic"), b'{"type":"entered"', id="join"),
        pytest.param(lambda ada: ada.set_topic("lobby", "tea"), b'{"type":"topic"', id="topic"),
        pytest.param(lambda ada: ada.tell("bob", "psst"), b'{"type":"sent"', id="tell"),
        pytest.param(lambda ada: ada.list_rooms(), b'{"type":"rooms"', id="rooms"),
        pytest.param(lambda ada: ada.who("lobby"), b'{"type":"who"', id="who"),
        pytest.param(lambda ada: ada.history("lobby"), b'{"type":"history"', id="history"),
        pytest.param(lambda ada: ada.ping(), b'{"type":"pong"', id="ping"),
    ],
)
@pytest.mark.parametrize("keep", [0, 10])
def test_a_request_whose_answer_was_lost_is_answered_over_the_next_connection(
    server: Serving, cable: Cable, ask: Callable[[ChatClient], object], mark: bytes, keep: int
) -> None:
    bob, ada = inside(server, "bob"), roaming(server, cable, "ada", "lobby")
    cable.cut_at(DOWN, mark, keep=keep)
    assert ask(ada)
    assert not cable.plans
    ada.say("lobby", "the end")
    bob.ping()
    assert sum(isinstance(notice, notices.Told) for notice in bob.heard) <= 1
    assert sum(isinstance(told, notices.Renamed) and not told.own for told in bob.heard) <= 1
    assert not any(isinstance(notice, notices.Gone) for notice in bob.heard)
    check_one_order([ada, bob])


def test_direct_messages_are_kept_for_one_whose_cable_was_pulled(
    server: Serving, cable: Cable
) -> None:
    ada, bob = roaming(server, cable, "ada"), server.program("bob")
    cable.pull_out()
    cable.cut()
    for number in range(MESSAGES):
        bob.tell("ada", str(number))
    cable.plug_in()
    told = [ada.next_notice(timeout=LIMIT_SECONDS) for _ in range(MESSAGES + 1)]
    assert isinstance(told[0], notices.Resumed)
    assert [told.text for told in told if isinstance(told, notices.Told)] == [
        str(number) for number in range(MESSAGES)
    ]


def test_what_the_room_has_forgotten_meanwhile_is_told_as_a_gap(
    server: Serving, cable: Cable
) -> None:
    ada, bob = roaming(server, cable, "ada", "lobby"), inside(server, "bob")
    first = bob.say("lobby", "before").seq
    assert first is not None
    in_turn_until(lambda: ada.rooms["lobby"].seq == first)
    cable.pull_out()
    cable.cut()
    kept = server.protocol.state.limits.history_messages
    for number in range(kept + 10):
        bob.say("lobby", str(number))
    cable.plug_in()
    in_turn_until(lambda: ada.rooms["lobby"].seq == bob.rooms["lobby"].seq)
    gaps = [notice for notice in ada.heard if isinstance(notice, notices.Gap)]
    assert gaps == [notices.Gap("lobby", first + 11)]
    said = [notice for notice in ada.heard if isinstance(notice, notices.Said)]
    assert [notice.seq for notice in said] == [first, *range(first + 11, first + 11 + kept)]


# ── Much to tell ─────────────────────────────────────────────────────────────────────────────────

ROOMS: Final = [f"room{number}" for number in range(20)]

# What a slow connection has room for, and the least that may be set for a slow reader: what is
# told below is many times as much.
RECEIVE_BUFFER: Final = 16_384
MAX_BACKLOG: Final = 65_536


def fill(server: Serving, rooms: Collection[str]) -> list[str]:
    """Say as much to each room as it remembers, and a bit; what it remembers."""
    limits = server.protocol.state.limits
    texts = [f"{number:0300}" for number in range(limits.history_messages)]
    assert 300 * len(texts) < limits.history_chars
    talker = server.peer(b'{"type":"hello"}\n')
    for room in rooms:
        requests: list[Request] = [events.Join(room)]
        requests += [events.Say(room, text) for text in ("forgotten", *texts)]
        talker.send(b"".join(map(encode_request, requests)))
        talker.read_until('{"type":"entered"')
        for _ in requests[1:]:
            talker.read_until('{"type":"sent"')
    return texts


def test_twenty_full_rooms_are_resumed_over_a_slow_connection_and_nothing_is_missing() -> None:
    with serving(max_backlog_bytes=MAX_BACKLOG) as server:
        ada = server.peer(encode_request(events.Hello()))
        welcome = decode_notice(ada.read_line().encode())
        assert isinstance(welcome, notices.Welcome)
        seen: dict[str, int] = {}
        for room in ROOMS:
            ada.send(encode_request(events.Join(room)))
            entered = decode_notice(ada.read_line().encode())
            assert isinstance(entered, notices.Entered)
            seen[room] = entered.seq
        ada.reset()
        in_turn_until(lambda: server.connections == 0)
        texts = fill(server, ROOMS)

        hello = encode_request(events.Hello(welcome.token, seen))
        back = server.peer(hello, receive_buffer=RECEIVE_BUFFER)
        told: dict[str, list[notices.Said]] = {room: [] for room in ROOMS}
        gaps: dict[str, int] = {}
        while sum(map(len, told.values())) < len(ROOMS) * len(texts):
            match decode_notice(back.read_line().encode()):
                case notices.Said(room) as said:
                    told[room].append(said)
                case notices.Gap(room, oldest):
                    gaps[room] = oldest
                case _:
                    pass
        for room, replay in told.items():
            first = seen[room] + 2  # the one between is forgotten
            assert [said.seq for said in replay] == [*range(first, first + len(texts))]
            assert [said.text for said in replay] == texts
            assert gaps[room] == first
        back.send(encode_request(events.Say(ROOMS[0], "I am back", "1")))
        assert back.read_line().startswith('{"type":"sent"')
        assert server.node.counters.overruns == 0


def test_twenty_answers_at_once_arrive_whole_over_a_slow_connection() -> None:
    with serving(max_backlog_bytes=MAX_BACKLOG) as server:
        ada = server.person("ada", "room0", receive_buffer=RECEIVE_BUFFER)
        texts = fill(server, ["room0"])
        ada.read_until(f"[room0] guest-1: {texts[-1]}")
        ada.send(f"/history {len(texts)}\n" * 20 + "/who\n")
        for _ in range(20):
            answer = ada.read_until("* That was the history.")
            assert answer[1:-1] == [f"[room0] guest-1: {text}" for text in texts]
        assert ada.read_line() == "* 2 in room0: ada, guest-1. Moderators: ada"
        assert server.node.counters.overruns == 0


# ── Ends of sessions ─────────────────────────────────────────────────────────────────────────────


def test_who_stays_away_longer_than_the_grace_is_told_of_once_and_the_nick_is_free() -> None:
    limits = ServerLimits(flood_burst=0, flood_rate=0, grace_ms=200)
    with serving(RecordedProtocol(limits=limits)) as server, Cable(server.address) as cable:
        eve = server.person("eve", "lobby")
        ada, bob = roaming(server, cable, "ada", "lobby"), inside(server, "bob")
        cable.pull_out()
        cable.cut()
        assert eve.read_until("* ada quit")[-1] == "* ada quit (connection lost)"
        assert bob.set_nick("ada").own
        cable.plug_in()
        with pytest.raises(ConnectionClosed, match="does not know this session any more"):
            ada.say("lobby", "I am back")
        bob.say("lobby", "the end")
        told = [line for line in eve.read_until("[lobby] ada: the end") if "joined" not in line]
        assert told == ["* bob is now ada", "[lobby] ada: the end"]
        # Only those whose cable is sound: the session that ada was given instead is no use to it.
        in_turn_until(lambda: server.people == 2)


def test_a_session_that_is_taken_over_closes_the_older_connection_and_nobody_fights(
    server: Serving, cable: Cable
) -> None:
    bob = inside(server, "bob")
    first = inside(server, "ada", reconnect=LIMIT_SECONDS)
    second = roaming(server, cable, "eve")
    first.say("lobby", "here I am")
    # A copy of the program, with the token that the first keeps.
    copied, own = first._requests.protocol, second._requests.protocol
    own.welcome, own._last_id, own.rooms = copied.welcome, copied._last_id, dict(copied.rooms)
    cable.cut()
    second.say("lobby", "and now here")
    with pytest.raises(ConnectionClosed) as closed:
        first.ping()
    assert closed.value.reason == "this session was resumed on another connection"
    assert second.nick == "ada"
    bob.ping()
    assert [notice.text for notice in bob.heard if isinstance(notice, notices.Said)] == [
        "here I am",
        "and now here",
    ]
    assert count(server, events.Resume) == 1


def test_a_server_that_was_restarted_does_not_know_the_session_and_the_client_says_so(
    server: Serving, cable: Cable
) -> None:
    ada = roaming(server, cable, "ada", "lobby")
    restarted = RecordedProtocol(epoch="another")
    with serving(restarted) as new:
        cable.server = new.address
        tasks = in_the_background(lambda: list(ada))
        cable.cut()
        wait_for(tasks)
        for ask in (ada.ping, lambda: ada.say("lobby", "hello"), ada.next_notice):
            with pytest.raises(
                ConnectionClosed, match=r"^the server does not know this session any more$"
            ):
                ask()
        in_turn_until(lambda: count(new, events.Quit) == 1)
        assert new.people == 0


def test_a_client_waits_for_a_server_that_is_away_and_finds_it_again(
    server: Serving, cable: Cable
) -> None:
    ada, bob = roaming(server, cable, "ada", "lobby"), inside(server, "bob")
    with socket.socket() as nobody:  # connecting to it is refused; the cable still accepts
        nobody.bind(("127.0.0.1", 0))
        cable.server = nobody.getsockname()
        cable.cut()
        in_turn_until(lambda: server.connections == 1)
        say_all(bob)
    cable.server = server.address
    say_all(ada)
    check_conversation(ada, bob)


def test_a_client_that_cannot_come_back_in_time_gives_up(server: Serving, cable: Cable) -> None:
    ada = roaming(server, cable, "ada", reconnect=0.2)
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        cable.server = nobody.getsockname()
        cable.cut()
        with pytest.raises(ConnectionClosed, match=r"^the connection was lost$"):
            ada.next_notice(timeout=LIMIT_SECONDS)


# ── Several servers ──────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def nobody() -> Iterator[tuple[str, int]]:
    """An address where nobody listens, nor will."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        host, port = unused.getsockname()
        yield host, port


def test_a_session_goes_on_at_the_next_server_in_turn(
    server: Serving, cable: Cable, nobody: tuple[str, int]
) -> None:
    bob = inside(server, "bob")
    # Two ways to one server: what two nodes of a cluster are to a client.
    with Cable(server.address) as other:
        ada = server.peers.enter_context(
            ChatClient(
                *cable.address,
                others=[nobody, other.address],
                nick="ada",
                timeout=LIMIT_SECONDS,
                reconnect=LIMIT_SECONDS,
            )
        )
        ada.join("lobby")
        for way in (cable, other, cable):
            ada.say("lobby", "before")
            way.pull_out()
            way.cut()
            ada.say("lobby", "after")
            assert isinstance(ada.next_notice(timeout=LIMIT_SECONDS), notices.Resumed)
            way.plug_in()
    bob.ping()
    said = [notice.text for notice in bob.heard if isinstance(notice, notices.Said)]
    assert said == ["before", "after"] * 3
    assert not any(isinstance(notice, notices.Gone) for notice in bob.heard)


def test_at_the_start_the_first_server_that_can_be_reached_is_used(
    server: Serving, nobody: tuple[str, int]
) -> None:
    others = [nobody, server.address]
    with ChatClient(*nobody, others=others, nick="ada", timeout=LIMIT_SECONDS) as ada:
        assert ada.nick == "ada"
    with pytest.raises(OSError, match="refused"):
        ChatClient(*nobody, others=[nobody])


# ── Refusals ─────────────────────────────────────────────────────────────────────────────────────


def test_a_server_that_is_full_says_so_in_the_exception() -> None:
    with serving(max_clients=1) as server, server.program("ada"):
        with pytest.raises(ConnectionClosed) as closed:
            ChatClient(*server.address)
        assert closed.value.reason == "the server is full; try again later"
        assert str(closed.value) == f"the server closed the connection: {closed.value.reason}"


def test_a_server_that_stops_says_so_in_the_exception(server: Serving) -> None:
    ada = server.program("ada")
    server.stop(reason="the server moves house")
    with pytest.raises(ConnectionClosed) as closed:
        ada.ping()
    assert closed.value.reason == "the server moves house"


@pytest.mark.parametrize(
    ("given", "reason"), [("", "password-needed"), ("sesam", "wrong-password")]
)
def test_a_password_that_is_not_the_servers_is_refused(given: str, reason: str) -> None:
    with serving(RecordedProtocol(password="open sesame")) as server:
        with pytest.raises(RequestRejected) as rejected:
            ChatClient(*server.address, password=given)
        assert rejected.value.reason == reason


# ── TLS ──────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority()


@pytest.fixture(scope="module")
def files(authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> Files:
    return authority.issue(tmp_path_factory.mktemp("certificates"))


@pytest.fixture
def tls_server(files: Files) -> Iterator[Serving]:
    with serving(tls=server_context(str(files.cert), str(files.key))) as running:
        yield running


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_client_talks_over_tls_and_comes_back_over_tls(
    tls_server: Serving, authority: Authority, version: ssl.TLSVersion
) -> None:
    context = authority.client(version)
    with Cable(tls_server.address) as cable:
        chats = [
            tls_server.peers.enter_context(
                ChatClient(
                    *cable.address,
                    nick=nick,
                    tls=context,
                    server_hostname="localhost",
                    timeout=LIMIT_SECONDS,
                )
            )
            for nick in ("ada", "bob")
        ]
        ada, bob = chats
        for chat in chats:
            chat.join("lobby")
        texts = [f"{number} {'é' * 1_500}" for number in range(200)]  # many records
        tasks = in_the_background(lambda: [ada.say("lobby", text) for text in texts])
        said: list[str] = []
        while len(said) < len(texts):
            notice = bob.next_notice(timeout=LIMIT_SECONDS)
            if isinstance(notice, notices.Said):
                said.append(notice.text)
                if len(said) == len(texts) // 2:
                    cable.cut()
        wait_for(tasks)
        assert said == texts
        assert count(tls_server, events.Resume) == 2
        bob.close("tea time")
        in_turn_until(lambda: count(tls_server, events.Quit) == 1)


def test_a_certificate_of_another_host_is_refused(
    tls_server: Serving, authority: Authority
) -> None:
    with pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):
        ChatClient(*tls_server.address, tls=authority.client(), server_hostname="elsewhere.test")


def test_the_certificate_has_to_be_for_the_host_that_is_connected_to(
    tls_server: Serving, authority: Authority
) -> None:
    with pytest.raises(ssl.SSLCertVerificationError, match="IP address mismatch"):
        ChatClient(*tls_server.address, tls=authority.client())


def test_each_server_has_to_have_a_certificate_for_its_own_host(
    tls_server: Serving, authority: Authority, nobody: tuple[str, int]
) -> None:
    host, port = tls_server.address
    with ChatClient(*nobody, others=[("localhost", port)], tls=authority.client()) as chat:
        assert chat.ping()
    with pytest.raises(ssl.SSLCertVerificationError, match="IP address mismatch"):
        ChatClient(host, port, others=[("localhost", port)], tls=authority.client())


def test_a_certificate_of_an_unknown_authority_is_refused(tls_server: Serving) -> None:
    with pytest.raises(ssl.SSLCertVerificationError, match=r"self-signed|unable to get"):
        ChatClient(
            *tls_server.address,
            tls=ssl.create_default_context(),
            server_hostname="localhost",
        )


def test_a_server_that_does_not_speak_tls_is_refused(server: Serving, authority: Authority) -> None:
    with pytest.raises(OSError, match=r"SSL|reset|EOF"):
        ChatClient(*server.address, tls=authority.client(), server_hostname="localhost")


def test_a_handshake_that_is_not_answered_ends_in_time(authority: Authority) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        with pytest.raises(TimeoutError):
            ChatClient(*silent.getsockname(), tls=authority.client(), timeout=0.1)
