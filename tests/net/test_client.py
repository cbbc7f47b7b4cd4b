"""ChatClient against a server, and against what is none."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import gevent
import pytest
from gevent import socket
from gevent.event import Event

import tcpchat_net.client
from tcpchat_core import LineTooLongError, RemoteError, events, notices
from tcpchat_core.dialects.jsonl import JSON, decode_request
from tcpchat_core.server.access import session_of
from tcpchat_net import ChatClient, ConnectionClosed, RequestRejected
from tests.net.peers import LIMIT_SECONDS, Serving, in_turn_until, serving

WELCOME = JSON.encode(notices.Welcome("guest-1", "0"))


@pytest.fixture
def server() -> Iterator[Serving]:
    with serving() as running:
        yield running


@pytest.fixture
def pretend() -> Iterator[Callable[[bytes], tuple[str, int]]]:
    """What starts a server that answers everybody the same, then only listens, or closes."""
    listeners: list[socket.socket] = []
    tasks: list[gevent.Greenlet[Any, Any]] = []

    def start(*answers: bytes, stays: bool = True) -> tuple[str, int]:
        listener = socket.socket()  # create_server would make one that blocks the loop
        listeners.append(listener)
        listener.bind(("127.0.0.1", 0))
        listener.listen()

        def serve() -> None:
            while True:
                with listener.accept()[0] as sock:
                    for answer in answers:
                        sock.recv(65_536)
                        sock.sendall(answer)
                    while stays and sock.recv(65_536):
                        pass

        tasks.append(gevent.spawn(serve))
        host, port = listener.getsockname()
        return host, port

    yield start
    gevent.killall(tasks)
    for listener in listeners:
        listener.close()


# ── Asking ───────────────────────────────────────────────────────────────────────────────────


def test_every_request_returns_its_answer(server: Serving) -> None:
    ada, bob = server.program("ada"), server.program("bob")
    assert (ada.nick, bob.nick) == ("ada", "bob")
    assert ada.join("lobby").members == ("ada",)
    assert bob.join("lobby").members == ("ada", "bob")
    receipt = ada.say("lobby", "hello")
    assert receipt.room == "lobby"
    assert receipt.seq is not None
    assert ada.say("lobby", "waves", emote=True).seq == receipt.seq + 1
    assert ada.say("lobby", "it rains", notice=True).seq == receipt.seq + 2
    bob.say("lobby", "hi", re=receipt.seq)
    [answer] = bob.history("lobby", limit=1).messages
    assert (answer.re, answer.quote) == (receipt.seq, notices.Quote("ada", "hello"))
    assert ada.tell("bob", "psst").nick == "bob"
    assert ada.tell("bob", "it rains", notice=True).nick == "bob"
    assert ada.set_topic("lobby", "tea").topic == "tea"
    assert ada.list_rooms().rooms == (notices.RoomInfo("lobby", 2, "tea"),)
    assert ada.who("lobby").nicks == ("ada", "bob")
    assert ada.whois("bob") == notices.PersonInfo("bob", rooms=("lobby",))
    assert bob.set_away("tea time") == notices.AwaySet("bob", "tea time", own=True)
    assert bob.set_name("Bob Builder") == notices.NameSet("bob", "Bob Builder", own=True)
    assert ada.whois("bob").name == "Bob Builder"
    assert ada.tell("bob", "psst").away == ada.whois("bob").away == "tea time"
    said = [(each.text, each.emote, each.notice) for each in ada.history("lobby").messages]
    assert said == [
        ("hello", False, False),
        ("waves", True, False),
        ("it rains", False, True),
        ("hi", False, False),
    ]
    assert ada.history("lobby", before=receipt.seq, limit=5).messages == ()
    assert ada.set_nick("countess").new == ada.nick == "countess"
    assert ada.out("lobby").own
    assert dict(ada.rooms) == {}
    bob.ping()
    tags = [bob.next_notice(timeout=0).__struct_config__.tag for _ in range(9)]
    assert tags == ["said", "said", "said", "told", "told", "topic", "told", "renamed", "left"]


def test_what_was_said_after_between_and_around_messages_and_times_can_be_asked_for(
    server: Serving,
) -> None:
    ada = server.program("ada")
    ada.join("lobby")
    first, *_, last = [ada.say("lobby", text).seq or 0 for text in "abcde"]
    at = ada.history("lobby").messages[-1].at

    def told(page: notices.HistoryPage) -> tuple[str, bool]:
        return "".join(said.text for said in page.messages), page.more

    assert told(ada.history("lobby", after=first, limit=2)) == ("bc", True)
    assert told(ada.history("lobby", after=first, limit=2, latest=True)) == ("de", True)
    assert told(ada.history("lobby", after=first, before=last)) == ("bcd", False)
    assert told(ada.history("lobby", around=last - 2, limit=3)) == ("bcd", True)
    assert told(ada.history("lobby", since=at + 1)) == ("", False)
    assert told(ada.history("lobby", until=at + 1)) == ("abcde", False)
    assert told(ada.history("lobby", around_at=at + 1, limit=2)) == ("de", True)


def test_what_is_refused_raises_with_the_reason(server: Serving) -> None:
    ada = server.program("ada")
    for ask, reason in (
        (lambda: ada.set_nick("a b"), "bad-name"),
        (lambda: ada.join("a b"), "bad-name"),
        (lambda: ada.out("lobby"), "not-in-room"),
        (lambda: ada.say("lobby", "hello"), "not-in-room"),
        (lambda: ada.tell("bob", "hello"), "no-such-nick"),
        (lambda: ada.set_topic("lobby", "tea"), "not-in-room"),
        (lambda: ada.who("lobby"), "not-in-room"),
        (lambda: ada.history("lobby"), "not-in-room"),
        (lambda: server.program("ada"), "nick-in-use"),
    ):
        with pytest.raises(RequestRejected) as refusal:
            ask()
        assert refusal.value.reason == reason
        assert str(refusal.value) == f"{reason}: {refusal.value.text}"
    assert ada.ping()


def test_requests_of_many_greenlets_each_get_their_own_answer(server: Serving) -> None:
    ada = server.program("ada")
    ada.join("lobby")
    tasks = [gevent.spawn(ada.say, "lobby", str(number)) for number in range(100)]
    gevent.joinall(tasks, timeout=LIMIT_SECONDS, raise_error=True)
    receipts = [task.get(block=False) for task in tasks]
    assert len({receipt.id for receipt in receipts}) == 100
    places = [receipt.seq or 0 for receipt in receipts]
    assert places == list(range(places[0], places[0] + 100))


def test_a_line_that_the_server_would_not_read_is_refused_and_the_client_goes_on(
    server: Serving,
) -> None:
    ada = server.program("ada")
    ada.join("lobby")
    for ask in (lambda: ada.say("lobby", "x" * 40_000), lambda: ada.who("x" * 40_000)):
        with pytest.raises(LineTooLongError, match="a line has at most 32,768 bytes"):
            ask()
    for number in range(70):
        ada.say("lobby", str(number))


def test_what_utf8_cannot_hold_is_said_with_a_replacement(server: Serving) -> None:
    ada, bob = server.program("ada"), server.program("bob")
    for chat in (ada, bob):
        chat.join("lobby")
    ada.say("lobby", "caf\udce9")
    told = bob.next_notice(timeout=LIMIT_SECONDS)
    assert isinstance(told, notices.Said)
    assert told.text == "caf\ufffd"


def test_notices_and_reasons_of_a_newer_server_disturb_nobody(pretend: Any) -> None:
    newer = b'{"type":"fireworks"}\n'
    refusal = b'{"type":"rejected","reason":"muted","text":"not today","request":"ping"}\n'
    address = pretend(newer + WELCOME, newer + refusal)
    with ChatClient(*address, timeout=LIMIT_SECONDS) as chat:
        with pytest.raises(RequestRejected) as refused:
            chat.ping()
        assert refused.value.reason == "muted"


def test_an_answer_that_does_not_come_raises_timeout_error(pretend: Any) -> None:
    address = pretend(WELCOME)
    with ChatClient(*address, timeout=LIMIT_SECONDS) as chat:
        chat._timeout = 0.1  # only now: the welcome has to come, however busy the machine is
        for ask in (chat.ping, lambda: chat.say("lobby", "hello")):
            with pytest.raises(TimeoutError, match="the server did not answer in time"):
                ask()


def test_a_server_that_never_welcomes_raises_timeout_error(pretend: Any) -> None:
    with pytest.raises(TimeoutError):
        ChatClient(*pretend(b""), timeout=0.1)


# ── Being told ───────────────────────────────────────────────────────────────────────────────


def test_what_is_told_is_iterated_in_order_to_the_end_of_the_connection(server: Serving) -> None:
    ada, bob = server.program("ada"), server.program("bob")
    for chat in (ada, bob):
        chat.join("lobby")
    for number in range(3):
        ada.say("lobby", str(number))
    ada.close("tea time")
    bob.tell("bob", "the end")
    server.stop()
    told = list(bob)
    assert [notice.text for notice in told if isinstance(notice, notices.Said)] == ["0", "1", "2"]
    assert [type(notice) for notice in told[3:]] == [notices.Gone, notices.Told, notices.Closing]


def test_waiting_for_what_does_not_come_raises_timeout_error(server: Serving) -> None:
    with pytest.raises(TimeoutError, match=r"nothing was told for 0\.01 s"):
        server.program("ada").next_notice(timeout=0.01)


def test_what_nobody_looks_at_is_bounded_and_nothing_is_lost(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bound, count = 50, 20_000
    monkeypatch.setattr(tcpchat_net.client, "MAX_WAITING_NOTICES", bound)
    with serving(max_backlog_bytes=1 << 24, stall_timeout_ms=3_600_000) as server:
        ada, bob = server.program("ada"), server.program("bob")
        bob.join("lobby")
        ada.join("lobby")
        person = server.person("cy", "lobby")
        person.send("".join(f"{number:0100}\n" for number in range(count)) + "/rooms\n")
        person.read_until("* lobby (3)")
        ada.ping()
        in_turn_until(lambda: len(bob._told) >= bound)
        # One read may hold a few hundred notices more than the bound.
        per_read = tcpchat_net.client._READ_BYTES // 100
        texts: list[int] = []
        while len(texts) < count:
            assert len(bob._told) <= bound + per_read
            notice = bob.next_notice(timeout=LIMIT_SECONDS)
            if isinstance(notice, notices.Said):
                texts.append(int(notice.text))
        assert texts == list(range(count))


# ── Over another connection ──────────────────────────────────────────────────────────────────


def test_more_may_be_asked_while_the_server_is_slow_to_take_what_is_asked_again() -> None:
    encode = JSON.encode
    # More than the kernel takes from a program whose peer does not read.
    count, padding = 600, "x" * 30_000
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()

        def connection(hello_answer: notices.Welcome | notices.Resumed) -> socket.socket:
            sock = listener.accept()[0]
            assert sock.recv(65_536).startswith(b'{"type":"hello"')
            sock.sendall(encode(hello_answer))
            return sock

        opening = gevent.spawn(ChatClient, *listener.getsockname(), timeout=LIMIT_SECONDS)
        first = connection(notices.Welcome("ada", "0", token="secret"))
        chat = opening.get(timeout=LIMIT_SECONDS)
        tasks = [gevent.spawn(chat.who, f"{number} {padding}") for number in range(count)]
        first.recv(65_536)
        first.close()
        second = connection(notices.Resumed("ada", (), "0"))
        assert isinstance(chat.next_notice(timeout=LIMIT_SECONDS), notices.Resumed)
        gevent.idle()
        tasks += [gevent.spawn(chat.who, f"{count + number} {padding}") for number in range(9)]
        gevent.idle()
        with second, second.makefile("rb") as lines:
            for _ in tasks:
                request = decode_request(lines.readline())
                assert isinstance(request, events.Who)
                second.sendall(encode(notices.Members(request.room, ())))
            gevent.joinall(tasks, timeout=LIMIT_SECONDS, raise_error=True)
        answers = [task.get(block=False).room.split()[0] for task in tasks]
        assert answers == [str(number) for number in range(len(tasks))]
        listener.close()
        chat.close()


def test_a_server_that_asks_and_does_not_take_the_answers_is_given_up(
    monkeypatch: pytest.MonkeyPatch, pretend: Any
) -> None:
    monkeypatch.setattr(tcpchat_net.client, "MAX_OUTGOING_BYTES", 1 << 20)
    # Together more than the kernel takes from a program whose peer does not read.
    pings = JSON.encode(notices.Pinged("x" * 1_000_000)) * 30
    with ChatClient(*pretend(WELCOME + pings), reconnect=0) as chat:
        assert {type(notice) for notice in chat} == {notices.Pinged}
        with pytest.raises(ConnectionClosed, match=r"^the connection was lost$"):
            chat.next_notice()


# ── Coming too late ──────────────────────────────────────────────────────────────────────────

GREETING = b"* Welcome to tcpchat. You are guest-1.\n"


@pytest.mark.parametrize("late", [1, 2])
def test_who_was_taken_for_a_person_says_hello_again(late: int) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        opening = gevent.spawn(ChatClient, *listener.getsockname(), timeout=LIMIT_SECONDS)
        for answer in [GREETING] * late:
            with listener.accept()[0] as sock:
                assert sock.recv(65_536).startswith(b'{"type":"hello"')
                sock.sendall(answer)
                assert not sock.recv(65_536)
        with listener.accept()[0] as sock:
            assert sock.recv(65_536).startswith(b'{"type":"hello"')
            sock.sendall(WELCOME)
            chat = opening.get(timeout=LIMIT_SECONDS)
            assert chat.nick == "guest-1"
        chat.close()


def test_who_is_always_taken_for_a_person_is_lost(pretend: Any) -> None:
    with pytest.raises(ConnectionClosed, match=r"^the connection was lost$"):
        ChatClient(*pretend(GREETING, stays=False), timeout=LIMIT_SECONDS)


# ── Ends ─────────────────────────────────────────────────────────────────────────────────────


def test_where_nobody_listens_connecting_raises_oserror() -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # and does not listen
        with pytest.raises(OSError, match="refused"):
            ChatClient(*nobody.getsockname())


def test_a_server_that_stops_ends_requests_and_waiting(server: Serving) -> None:
    chat = ChatClient(*server.address, nick="ada", timeout=LIMIT_SECONDS, reconnect=0)
    waiting = gevent.spawn(lambda: [type(notice) for notice in chat])
    server.stop()
    assert waiting.get(timeout=LIMIT_SECONDS) == [notices.Closing]
    for ask in (chat.ping, chat.next_notice, lambda: chat.say("lobby", "hello")):
        with pytest.raises(ConnectionClosed, match="the server closed the connection"):
            ask()
    chat.close()


def test_a_connection_that_ends_ends_the_requests_that_wait(pretend: Any) -> None:
    address = pretend(WELCOME, stays=False)
    with (
        ChatClient(*address, timeout=LIMIT_SECONDS, reconnect=0) as chat,
        pytest.raises(ConnectionClosed),
    ):
        chat.ping()


@pytest.mark.parametrize(
    "nonsense",
    [
        b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n",
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b"* Hello from another chat\n",
        b'{"type":"welcome"}\n',
        b"\xff\xfe\x00\n",
        b"[" * 100_000 + b"\n",
        b"\n",
    ],
)
def test_a_server_of_something_else_raises_remote_error(pretend: Any, nonsense: bytes) -> None:
    with pytest.raises(RemoteError):
        ChatClient(*pretend(nonsense), timeout=LIMIT_SECONDS)


def test_nonsense_after_the_welcome_ends_all_that_waits(pretend: Any) -> None:
    with ChatClient(*pretend(WELCOME, b"nonsense\n"), timeout=LIMIT_SECONDS) as chat:
        for ask in (chat.ping, chat.next_notice, lambda: chat.say("lobby", "hello")):
            with pytest.raises(RemoteError):
                ask()


def test_a_program_comes_by_the_token_of_its_device(server: Serving) -> None:
    done = Event()
    made = events.Grant("clock", "clock", device=session_of("a token"), name="token")
    server.node.propose(made, done.set)
    assert done.wait(LIMIT_SECONDS)
    with (
        ChatClient(*server.address, device="a token", timeout=LIMIT_SECONDS) as here,
        ChatClient(*server.address, device="a token", timeout=LIMIT_SECONDS) as there,
    ):
        assert (here.nick, there.nick) == ("clock", "clock")
        here.join("lobby")
        entered = there.next_notice(LIMIT_SECONDS)
        assert isinstance(entered, notices.Entered)
        assert entered.members == ("clock",)


def test_a_token_that_is_nobodys_is_refused(server: Serving) -> None:
    with pytest.raises(RequestRejected, match="unknown-device"):
        ChatClient(*server.address, device="no token", timeout=LIMIT_SECONDS)


def test_closing_says_goodbye_and_may_be_done_twice(server: Serving) -> None:
    bob = server.person("bob", "lobby")
    with server.program("ada") as ada:
        ada.join("lobby")
        ada.say("lobby", "hello")
        ada.close("tea time")
    ada.close()
    assert bob.read_until("* ada quit")[-1] == "* ada quit (tea time)"
    with pytest.raises(ConnectionClosed):
        ada.say("lobby", "still here?")
    in_turn_until(lambda: server.connections == 1)


def test_what_was_told_before_closing_can_still_be_looked_at(server: Serving) -> None:
    ada = server.program("ada")
    ada.tell("ada", "remember")
    ada.close()
    told, closing = list(ada)
    assert isinstance(told, notices.Told)
    assert isinstance(closing, notices.Closing)


def test_closing_ends_those_who_wait(server: Serving) -> None:
    ada = server.program("ada")
    started = Event()

    def wait() -> None:
        started.set()
        for _notice in ada:
            pass

    task = gevent.spawn(wait)
    started.wait(LIMIT_SECONDS)
    ada.close()
    task.get(timeout=LIMIT_SECONDS)
