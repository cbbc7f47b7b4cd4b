"""A ChatServer on real sockets."""

from __future__ import annotations

import contextlib
import gc
import itertools
import os
import socket as blocking
import time
from collections.abc import Callable
from typing import Any

import gevent
import pytest
from gevent.server import StreamServer
from greenlet import greenlet

from tcpchat_core import Audience, Request, events
from tcpchat_core.dialects.jsonl import decode_notice, encode_request
from tcpchat_core.server.greeting import GREET_AFTER_MS
from tcpchat_net import Fanout
from tcpchat_net.connection import Connection
from tests.net.order import Streams, check_one_order, check_plain, check_program
from tests.net.peers import (
    LIMIT_SECONDS,
    Peer,
    RecordingClient,
    Serving,
    in_turn_until,
    serving,
    talk,
)

ROOMS = [f"room{number}" for number in range(10)]


def _rooms_of(number: int) -> list[str]:
    """Three rooms, which each two of which some others are in."""
    return [ROOMS[(number + step) % len(ROOMS)] for step in (0, 3, 7)]


# ── Two hundred people ───────────────────────────────────────────────────────────────────────


def _program(server: Serving, number: int) -> RecordingClient:
    """One that waits for the answer to everything it asks for."""
    with server.program(f"bot{number}") as client:
        first, *others = _rooms_of(number)
        for room in (first, *others):
            client.join(room)
            client.say(room, f"bot{number} is here")
        client.set_nick(f"BOT{number}")
        client.out(first)
        for room in others:
            client.say(room, f"bot{number} still is", emote=True)
        client.close("done")
    return client


def _person(server: Serving, number: int) -> Peer:
    """One that types without waiting, in as many pieces as there are rooms."""
    with server.peer(f"/nick ada{number}\n".encode()) as peer:
        for room in _rooms_of(number):
            peer.send(f"/join {room}\nada{number} is here\n/me waves\n")
            peer.read_until(f"* You joined {room} ")
        peer.send(f"/nick ADA{number}\n/out\n/join {ROOMS[0]}\nada{number} still is\n/quit done\n")
        peer.read_to_end()
    return peer


def _crowd(server: Serving, size: int) -> tuple[dict[str, Peer], dict[str, RecordingClient]]:
    """So many come, talk, rename, leave and go at once, every other one a program."""
    people = {f"ada{n}": gevent.spawn(_person, server, n) for n in range(0, size, 2)}
    programs = {f"bot{n}": gevent.spawn(_program, server, n) for n in range(1, size, 2)}
    tasks: list[gevent.Greenlet[..., Any]] = [*people.values(), *programs.values()]
    try:
        with gevent.Timeout(3 * LIMIT_SECONDS):
            gevent.joinall(tasks, raise_error=True)
    finally:
        gevent.killall(tasks)  # those that were still at it when one failed
    return (
        {nick: task.get() for nick, task in people.items()},
        {nick: task.get() for nick, task in programs.items()},
    )


def _check_crowd(server: Serving, size: int) -> None:
    people, programs = _crowd(server, size)
    streams = Streams(server.recorded.log)
    for nick, peer in people.items():
        check_plain(streams, nick, peer)
    for nick, client in programs.items():
        check_program(streams, nick, client.heard)
    check_one_order(programs.values())
    assert server.people == 0
    in_turn_until(lambda: server.connections == 0)


def test_two_hundred_people_at_once_are_told_exactly_what_they_should_be_in_one_order() -> None:
    with serving() as server:
        _check_crowd(server, 200)


def _empty_every_third(broadcast: Callable[..., None]) -> Callable[..., None]:
    count = 0

    def lossy(
        fanout: Fanout, audience: Audience, data: bytes, author: int, own: bytes, *also: object
    ) -> None:
        nonlocal count
        count += 1
        broadcast(fanout, audience, data if count % 3 else b"", author, own, *also)

    return lossy


def _is_refuted(size: int) -> None:
    with serving() as server, pytest.raises(AssertionError):
        _check_crowd(server, size)


# Of those who are cut off in the middle of what they do, nobody closes the sockets.
@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")
def test_the_check_of_a_crowd_sees_a_lost_message(monkeypatch: pytest.MonkeyPatch) -> None:
    with serving() as server:
        _check_crowd(server, 20)
    monkeypatch.setattr(Fanout, "broadcast", _empty_every_third(Fanout.broadcast))
    _is_refuted(20)
    gc.collect()  # while the warning is not one


def test_what_is_said_to_interleaved_rooms_keeps_its_order() -> None:
    rooms = ("tea", "coffee", "milk")
    requests: list[Request] = [events.Hello(), events.Nick("cy"), *map(events.Join, rooms)]
    requests += [
        events.Say(rooms[number % 3], f"cup {number}", str(number)) for number in range(300)
    ]
    with serving() as server:
        ada, bob = server.person("ada", "tea", "coffee"), server.person("bob", "coffee", "milk")
        cy = server.peer(b"".join(map(encode_request, requests)))
        ada.read_until("[coffee] cy: cup 298")
        bob.read_until("[milk] cy: cup 299")
        cy.end_writing()
        cy.read_to_end()
        streams = Streams(server.recorded.log[:-1])  # before it went
        check_plain(streams, "ada", ada)
        check_plain(streams, "bob", bob)
        check_program(streams, "cy", [decode_notice(line.encode()) for line in cy.lines])


# ── How connections begin ────────────────────────────────────────────────────────────────────


def test_who_says_nothing_is_greeted_as_a_person() -> None:
    with serving() as server, server.peer() as silent:
        assert silent.read_line().startswith("* Welcome to tcpchat. You are guest-1.")


def test_who_has_spoken_while_the_server_was_busy_is_not_taken_for_silent() -> None:
    with serving() as server:
        for count in itertools.count(1):
            program = server.peer()
            in_turn_until(lambda: server.connections == count)  # noqa: B023 # it is called at once
            if server.people < count:  # else it was greeted already: this machine has slept
                break
        program.send(b'{"type":"hello"}\n')
        time.sleep(GREET_AFTER_MS / 1_000)  # the loop stands still for as long as one may be silent
        assert program.read_line().startswith('{"type":"welcome"')


def test_a_brace_begins_the_dialect_of_programs() -> None:
    with serving() as server, server.peer(b"{") as program:
        program.send(b'"type":"hello"}\n')
        assert program.read_line().startswith('{"type":"welcome"')


def test_anything_else_begins_the_dialect_of_people() -> None:
    with serving() as server, server.peer(b"\r\n {") as person:
        assert person.read_line().startswith("* Welcome")


# ── How connections end ──────────────────────────────────────────────────────────────────────


def test_a_half_closed_connection_is_answered_to_the_last_line_and_closed() -> None:
    with serving() as server:
        bob = server.person("bob", "lobby")
        with server.peer(b"/nick ada\n/join lobby\n/who\nhello\n") as ada:
            ada.end_writing()
            assert ada.read_to_end()[1:] == [
                "* You are now ada",
                "* You joined lobby (2 here: bob, ada).",
                "* 2 in lobby: bob, ada. Moderators: bob",
            ]
        heard = bob.read_until("* ada quit")
        assert heard == ["* ada joined lobby", "[lobby] ada: hello", "* ada quit"]


def test_a_last_line_without_an_end_is_refused() -> None:
    with serving() as server, server.peer(b"/nick ada\n/nick eve") as ada:
        ada.end_writing()
        assert ada.read_to_end()[1:] == [
            "* You are now ada",
            "! bad-line: the last line had no end, so it was not taken in",
        ]


def test_of_a_connection_that_is_reset_in_a_line_only_whole_lines_count() -> None:
    with serving() as server:
        ada, bob = server.person("ada", "lobby"), server.person("bob", "lobby")
        ada.send("whole\nhal")
        bob.read_until("[lobby] ada: whole")
        ada.reset()
        assert bob.read_line() == "* ada quit (connection lost)"
        assert talk(bob) == ["[lobby] ada: whole"]
        assert server.connections == 1


def test_five_hundred_who_come_and_go_leave_nothing_behind() -> None:
    def count_objects(*kinds: type) -> int:
        gc.collect()
        return sum(isinstance(thing, kinds) for thing in gc.get_objects())

    with serving() as server:
        bob = server.person("bob", "lobby")
        kinds = (Audience, Connection, type(gevent.get_hub().loop.io(0, 1)))
        objects = count_objects(*kinds)  # and lets go of what tests before have left
        descriptors = len(os.listdir("/proc/self/fd"))
        for number in range(500):
            peer = server.peer(b"" if number % 3 else b"/join lobby\nhello\n")
            if number % 2:
                peer.sock.close()
            else:
                peer.reset()
        in_turn_until(lambda: server.connections == server.people == 1)
        assert len(os.listdir("/proc/self/fd")) <= descriptors
        assert count_objects(*kinds) <= objects
        bob.send("/who\n")
        assert bob.read_until("* 1 in ")[-1] == "* 1 in lobby: bob. Moderators: bob"
        bob.sock.close()
        in_turn_until(lambda: server.connections == server.people == 0)
        assert count_objects(Connection) == 0


# ── Stopping ─────────────────────────────────────────────────────────────────────────────────


def _read_and_close(peer: Peer) -> None:
    peer.read_to_end()
    peer.sock.close()


def test_a_server_that_stops_delivers_what_was_said_and_tells_everybody() -> None:
    with serving() as server:
        server.person("early", "lobby").sock.close()
        in_turn_until(lambda: server.connections == 0)
        people = {nick: server.person(nick, "lobby", "tea") for nick in ("ada", "bob")}
        program = server.program("cy")
        program.join("tea")
        people["ada"].send("hello\n" * 5_000)
        people["bob"].read_until("[tea] ada: hello")
        readers = [gevent.spawn(_read_and_close, peer) for peer in people.values()]
        server.stop(LIMIT_SECONDS, reason="tea time")
        gevent.joinall(readers, raise_error=True)
        streams = Streams(server.recorded.log)
        for nick, peer in people.items():
            check_plain(streams, nick, peer, b"* Closing: tea time\n")
        closing = program.heard.pop()
        check_program(streams, "cy", program.heard)
        assert closing.__struct_config__.tag == "closing"
        assert server.connections == 0


def test_a_server_stops_also_when_somebody_reads_nothing() -> None:
    with serving() as server:
        deaf, ada = (
            server.person("deaf", "lobby", receive_buffer=4_096),
            server.person("ada", "lobby"),
        )
        while not server.node.backlog_bytes:
            ada.send(("x" * 1_900 + "\n") * 100 + "/rooms\n")
            ada.read_until("* lobby (2)")
        reader = gevent.spawn(_read_and_close, ada)
        with gevent.Timeout(LIMIT_SECONDS):
            server.stop(timeout=0.2)
        reader.get()
        assert ada.lines[-1] == "* Closing: the server is shutting down"
        assert server.connections == 0
        deaf.read_to_end()
        assert Streams(server.recorded.log).plain("deaf").startswith(deaf.received)


def test_serve_forever_starts_and_returns_when_a_stop_is_over() -> None:
    server = Serving()
    task = gevent.spawn(server.serve_forever)
    in_turn_until(lambda: server.started)
    with server.person("ada", "lobby") as ada:
        stopping = gevent.spawn(server.stop, LIMIT_SECONDS)
        assert ada.read_until("* Closing: ")
        assert not task.ready()  # it waits for this side to close
    stopping.get(timeout=LIMIT_SECONDS)
    task.get(timeout=LIMIT_SECONDS)
    assert not server.started
    assert server.closed
    server.stop()  # there is nothing left to do


def test_a_second_stop_ends_the_waiting_of_the_first() -> None:
    with serving() as server, server.person("ada", "lobby") as ada:
        stopping = gevent.spawn(server.stop, LIMIT_SECONDS)
        ada.read_until("* Closing: ")
        server.stop()
        stopping.get(timeout=LIMIT_SECONDS)
        assert server.connections == 0


def test_a_server_that_was_never_started_can_be_stopped() -> None:
    server = Serving()
    server.stop()
    assert server.closed


# ── It is a StreamServer ─────────────────────────────────────────────────────────────────────


class Gatekeeper(Serving):
    """Looks at who is accepted and let in, and closes every other one."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.accepted: list[tuple[str, int]] = []
        self.let_in: list[tuple[str, int]] = []
        self.closed_sockets = 0

    def do_read(self) -> Any:
        accepted = super().do_read()
        if accepted is not None:
            self.accepted.append(accepted[1])
        return accepted

    def do_handle(self, *args: Any) -> None:
        if len(self.accepted) % 2:
            super().do_handle(*args)
        else:
            args[0].close()

    def handle(self, sock: Any, address: Any) -> None:
        self.let_in.append(address)
        super().handle(sock, address)

    def do_close(self, sock: Any, *address: Any) -> None:
        self.closed_sockets += 1
        super().do_close(sock, *address)


def test_a_subclass_decides_who_comes_in_as_with_any_server_of_gevents() -> None:
    with Gatekeeper(max_clients=2) as server, server.peers:
        assert isinstance(server, StreamServer)
        server.start()
        assert (server.server_host, server.server_port) == server.address
        # One that is not let in says nothing: what is not read would reset its connection.
        ada, nobody, bob = (server.peer(said) for said in (b"/rooms\n", b"", b"/rooms\n"))
        assert nobody.read_to_end() == []
        for peer in (ada, bob):
            assert peer.read_line().startswith("* Welcome")
        assert server.accepted == [peer.sock.getsockname() for peer in (ada, nobody, bob)]
        assert server.let_in == [peer.sock.getsockname() for peer in (ada, bob)]
        for peer in (ada, bob):
            peer.sock.close()
        in_turn_until(lambda: server.closed_sockets == 2)
        assert server.connections == 0
    assert not server.started


def test_a_listener_that_was_given_is_served_by_one_server_after_the_other() -> None:
    with blocking.create_server(("127.0.0.1", 0)) as listener:
        with serving(listener=listener, port=1) as first:
            assert first.address == listener.getsockname()
            ada = first.person("ada", "lobby")
            first.stop(timeout=0)
            assert ada.read_to_end()[-1] == "* Closing: the server is shutting down"
        # Nobody serves it, and whoever connects waits.
        with (
            Peer(listener.getsockname(), b"/join tea\n") as bob,
            serving(listener=listener) as second,
        ):
            bob.read_until("* You joined tea ")
            assert second.connections == 1


def test_a_silent_connection_has_one_watcher_and_no_greenlet() -> None:
    def count(*kinds: type) -> int:
        gc.collect()
        return sum(isinstance(thing, kinds) for thing in gc.get_objects())

    io = type(gevent.get_hub().loop.io(0, 1))
    with serving() as server, contextlib.ExitStack() as stack:
        before, greenlets = count(io), count(greenlet)
        for _ in range(50):  # not sockets of gevent's, which have watchers themselves
            stack.enter_context(blocking.create_connection(server.address))
        in_turn_until(lambda: server.people == 50)
        assert server.connections == 50
        # Of the tests before something may be let go of only now.
        assert count(io) <= before + 50
        assert count(greenlet) <= greenlets


# ── One cannot hurt another ──────────────────────────────────────────────────────────────────


def test_who_reads_nothing_is_cut_and_all_others_get_everything() -> None:
    bound = 200_000
    with serving(max_backlog_bytes=bound) as server:
        deaf = server.person("deaf", "lobby", receive_buffer=4_096)
        ada, bob = server.person("ada", "lobby"), server.person("bob", "lobby")
        for _ in range(100):
            ada.send(("x" * 1_900 + "\n") * 50 + "/rooms\n")
            ada.read_until("* lobby (")
            assert server.node.backlog_bytes <= bound
            if ada.lines[-1] == "* lobby (2)":
                break
        ada.send("bye\n")
        bob.read_until("[lobby] ada: bye")
        assert "* deaf quit (read too slowly)" in bob.lines
        streams = Streams(server.recorded.log)
        check_plain(streams, "bob", bob)
        deaf.read_to_end()
        last_words = b"* Closing: you read too slowly\n"  # when there was room for them
        assert streams.plain("deaf").startswith(deaf.received.removesuffix(last_words))
        assert server.people == server.connections == 2


def test_one_who_floods_does_not_keep_others_waiting() -> None:
    with serving() as server:
        ada, flooder = server.person("ada", "lobby"), server.person("eve", "flood")
        before = len(server.recorded.log)
        flood = gevent.spawn(flooder.send, ("x" * 1_900 + "\n") * 10_000)
        for _ in range(10):
            ada.send("/who\n")
            ada.read_until("* 1 in lobby")
        assert len(server.recorded.log) > before  # it was under way
        assert not flood.ready()  # and still is
        flood.kill()


def test_a_wall_of_text_in_one_write_is_said_line_by_line() -> None:
    with serving() as server:
        ada, bob = server.person("ada", "lobby"), server.person("bob", "lobby")
        wall = [f"{number} bottles of beer on the wall" for number in range(3_000)]
        ada.send("\n".join([*wall, ""]))
        bob.read_until(f"[lobby] ada: {wall[-1]}")
        assert talk(bob) == [f"[lobby] ada: {line}" for line in wall]
