"""A server as a process, and peers that misbehave: it serves on, and keeps within its bounds."""

from __future__ import annotations

import os
import resource
import signal
import socket as blocking
import ssl
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Final

import gevent
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import tcpchat_net.client
from tcpchat_core import Notice, notices
from tcpchat_core.dialects.jsonl import decode_notice
from tcpchat_net import ChatClient, ConnectionClosed
from tcpchat_net.passwords import MEMORY_KIB, THREADS
from tests.cli.serving import ServerProcess, listening
from tests.core.strategies import JSON_LINES, PLAIN_LINES, mutated
from tests.fuzz.corpus import OPENINGS
from tests.net.certificates import Authority
from tests.net.order import check_one_order
from tests.net.peers import LIMIT_SECONDS, Peer, RecordingClient, in_turn_until, talk

# What no honest peer comes near, and what makes a log worth reading.
# (And in memory: on its way to the disk there may be more than what is measured here.)
QUIETLY: Final = ("--flood-rate", "0", "--log-level", "warning", "--in-memory")

# A server that gives up slow readers soon. The bound is the least that can be set.
IMPATIENT: Final = ("--max-backlog", "65536", "--stall-timeout", "1")

# A long message, and how many of them are more than the kernel keeps for a reader that is slow:
# its buffers for one connection grow to some 10 MB.
LONG: Final = "x" * 1_900
MANY: Final = 6_000

# How many of them are less than the bound of IMPATIENT.
AT_ONCE: Final = 30

# What a server may grow by, whatever its peers do: a fraction of what is said to it here. Some of
# them may say what can be a password; and then by what hashes take.
MAX_GROWTH_BYTES: Final = 4 * 1024 * 1024
HASHES_BYTES: Final = THREADS * MEMORY_KIB * 1024


class Server:
    """A tcpchat-server process, seen from outside."""

    def __init__(self, process: ServerProcess, address: str) -> None:
        host, _, port = address.rpartition(":")
        self.address = (host, int(port))
        self._process = process
        self._pid = process.process.pid
        self._sockets_at_start = self._sockets
        self._peak_at_start = self._peak_bytes

    @property
    def _sockets(self) -> int:
        """How many it has. (Of files it may open one more, late on a busy machine.)"""
        count = 0
        for descriptor in Path(f"/proc/{self._pid}/fd").iterdir():
            with suppress(FileNotFoundError):  # closed meanwhile
                count += str(descriptor.readlink()).startswith("socket:")
        return count

    @property
    def connections(self) -> int:
        """How many of them have come since the start."""
        return self._sockets - self._sockets_at_start

    @property
    def _peak_bytes(self) -> int:
        """The most that it ever had in memory."""
        status = Path(f"/proc/{self._pid}/status").read_text()
        return 1_024 * int(status.partition("VmHWM:")[2].split()[0])

    def terminate(self) -> None:
        """Ask it to stop."""
        self._process.process.terminate()

    def check(self, tls: ssl.SSLContext | None = None, *, has_hashed: bool = False) -> None:
        """It has kept within its bounds, still serves, ends well, and had nothing to say."""
        most = MAX_GROWTH_BYTES + (HASHES_BYTES if has_hashed else 0)
        assert self._peak_bytes - self._peak_at_start < most
        with ChatClient(
            *self.address, tls=tls, server_hostname="localhost", timeout=LIMIT_SECONDS
        ) as chat:
            assert chat.join("afterwards").members == (chat.nick,)
        self.terminate()
        self.check_ended()

    def check_ended(self) -> None:
        """It has ended well, and had nothing to say."""
        status, _, log = self._process.wait()
        assert (status, log) == (0, "")


@contextmanager
def serving(*arguments: str) -> Iterator[Server]:
    with listening(*QUIETLY, *arguments) as (process, address):
        yield Server(process, address)


@pytest.fixture(autouse=True)
def enough_descriptors() -> Iterator[None]:
    """A thousand connections need more than the usual soft limit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, 4_096)), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def person(stack: ExitStack, server: Server, nick: str) -> Peer:
    """Somebody with nc in the lobby."""
    peer = stack.enter_context(Peer(server.address, f"/nick {nick}\n/join lobby\n".encode()))
    peer.read_until("* You joined lobby")
    return peer


def opened(stack: ExitStack, server: Server, opening: bytes) -> Peer:
    """Somebody who has said that, and is taken for what it is: on a busy machine a program may say
    hello so late that it is taken for a person.
    """
    while True:
        peer = stack.enter_context(Peer(server.address, opening))
        if not opening.startswith(b"{") or peer.read_line().startswith("{"):
            return peer
        peer.sock.close()


def program(stack: ExitStack, server: Server, nick: str) -> RecordingClient:
    """A program in the lobby, that reconnects."""
    client = stack.enter_context(RecordingClient(server.address, nick, reconnect=LIMIT_SECONDS))
    client.join("lobby")
    return client


def lines(first: int, count: int) -> list[str]:
    return [f"{number:06} {LONG}" for number in range(first, first + count)]


def speak(talker: Peer, listener: Peer, spoken: Sequence[str]) -> list[str]:
    """Say all of it; what the listener heard of it.

    No more is said at once than any backlog holds: the listener may be slow, and is to be kept.
    """
    heard: list[str] = []
    for start in range(0, len(spoken), AT_ONCE):
        said = spoken[start : start + AT_ONCE]
        talker.send("".join(f"{line}\n" for line in said))
        heard += listener.read_until(f"[lobby] talker: {said[-1]}")
    return heard


def check_nothing_is_missing(told: Sequence[Notice], spoken: Sequence[str]) -> None:
    """All that was spoken was told once and in order, but for what gaps say."""
    said = [notice for notice in told if isinstance(notice, notices.Said | notices.Gap)]
    assert isinstance(said[0], notices.Said)
    start = said[0].seq
    due = 0
    for notice in said:
        if isinstance(notice, notices.Gap):
            assert notice.oldest - start > due
            due = notice.oldest - start
        else:
            assert (notice.seq - start, notice.text) == (due, spoken[due])
            due += 1
    assert due == len(spoken)


# ── Readers that stop ────────────────────────────────────────────────────────────────────────────


def test_a_reader_that_stops_is_closed_and_comes_back_and_nobody_else_notices(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tcpchat_net.client, "MAX_WAITING_NOTICES", 10)
    with serving(*IMPATIENT) as server, ExitStack() as stack:
        stalled = program(stack, server, "stalled")
        talker = person(stack, server, "talker")
        listener = person(stack, server, "listener")
        spoken = lines(0, MANY)
        heard = speak(talker, listener, spoken)
        assert heard == [f"[lobby] talker: {line}" for line in spoken]
        in_turn_until(lambda: server.connections == 2)

        # Now it looks again at what it is told.
        while getattr(stalled.heard[-1], "text", "") != spoken[-1]:
            stalled.next_notice(timeout=LIMIT_SECONDS)
        check_nothing_is_missing(stalled.heard, spoken)
        assert any(isinstance(notice, notices.Resumed) for notice in stalled.heard)
        assert stalled.say("lobby", "I am back").seq
        assert listener.read_line() == "[lobby] stalled: I am back"
        stack.close()
        server.check()


# A client that prints what it is told, a line each, until somebody says "the end".
READER: Final = """
import sys
from tcpchat_core.dialects.jsonl import JSON
from tcpchat_net import ChatClient

with ChatClient(sys.argv[1], int(sys.argv[2]), nick="sleeper") as chat:
    chat.join("lobby")
    print(flush=True)
    for notice in chat:
        sys.stdout.buffer.write(JSON.encode(notice))
        if getattr(notice, "text", "") == "the end":
            break
"""


def test_a_client_that_is_stopped_and_continued_is_told_all_that_it_has_missed_or_a_gap() -> None:
    with serving(*IMPATIENT) as server, ExitStack() as stack:
        host, port = server.address
        sleeper = stack.enter_context(
            subprocess.Popen(
                [sys.executable, "-c", READER, host, str(port)], stdout=subprocess.PIPE
            )
        )
        stack.callback(sleeper.kill)
        assert sleeper.stdout is not None
        assert sleeper.stdout.readline() == b"\n"  # it is in the lobby
        talker = person(stack, server, "talker")
        listener = person(stack, server, "listener")
        sleeper.send_signal(signal.SIGSTOP)
        spoken = lines(0, MANY)
        speak(talker, listener, spoken)
        in_turn_until(lambda: server.connections == 2)
        sleeper.send_signal(signal.SIGCONT)
        talker.send("the end\n")
        told = [decode_notice(line) for line in sleeper.stdout]
        assert sleeper.wait(LIMIT_SECONDS) == 0
        check_nothing_is_missing(told, [*spoken, "the end"])
        assert not any(line.startswith("* sleeper") for line in listener.lines[3:])
        stack.close()
        server.check()


# ── Crowds and crashes ───────────────────────────────────────────────────────────────────────────


def test_a_thousand_that_send_a_byte_at_a_time_are_served_and_disturb_nobody() -> None:
    # A hello has to be there in a few seconds, so that is not what they take their time for.
    openings = [b"\n", b'{"type":"hello"}\n']
    requests = [b"/rooms\n", b'{"type":"ping","id":"x"}\n']
    answers = ["* lobby (2)", '{"type":"pong","id":"x"}']
    with serving() as server, ExitStack() as stack:
        ada, bob = (program(stack, server, nick) for nick in ("ada", "bob"))
        crowd = [opened(stack, server, openings[place % 2]) for place in range(1_000)]
        in_turn_until(lambda: server.connections == 1_002)
        for turn in range(max(map(len, requests))):
            for place, peer in enumerate(crowd):
                peer.sock.send(requests[place % 2][turn : turn + 1])
            ada.say("lobby", f"{turn}")
            bob.say("lobby", f"{turn}")
        for place, peer in enumerate(crowd):
            assert peer.read_until(answers[place % 2])
            peer.sock.close()
        in_turn_until(lambda: server.connections == 2)
        ada.ping()
        check_one_order([ada, bob])
        stack.close()
        server.check()


def test_connections_that_are_reset_in_the_middle_of_a_line_disturb_nobody() -> None:
    with serving() as server, ExitStack() as stack:
        bob = person(stack, server, "bob")
        for number in range(100):
            crashing = person(stack, server, f"crash-{number}")
            crashing.send("a whole line\nhalf a line")
            bob.read_until(f"[lobby] crash-{number}: a whole line")
            crashing.reset()
            assert bob.read_line() == f"* crash-{number} quit (connection lost)"
        half = b'{"type":"hello"}\n{"type":"join","room":"lobby"}\n{"type":"say","room":"lob'
        for _ in range(100):
            with Peer(server.address, half) as crashing:
                crashing.read_until('{"type":"entered"')
                crashing.reset()
        in_turn_until(lambda: server.connections == 1)
        bob.send("/rooms\n")
        told = bob.read_until("* lobby (101)")[:-1]  # who may come back is still there
        assert all(line.endswith(" joined lobby") for line in told)
        stack.close()
        server.check()


def test_a_server_that_is_stopped_under_load_keeps_what_it_has_acknowledged() -> None:
    with serving("--grace", "0") as server, ExitStack() as stack:
        chats = [stack.enter_context(RecordingClient(server.address, f"p{n}")) for n in range(20)]
        for chat in chats:
            chat.join("lobby")
        onlooker = person(stack, server, "onlooker")
        ends: list[ConnectionClosed] = []

        def say_on(chat: ChatClient) -> None:
            number = 0
            try:
                while number := number + 1:
                    chat.say("lobby", f"{chat.nick} {number}")
            except ConnectionClosed as closed:
                ends.append(closed)

        talkers = [gevent.spawn(say_on, chat) for chat in chats for _ in range(5)]
        while onlooker.received.count(b"\n") < 1_000:
            onlooker.read_more()
        server.terminate()
        onlooker.read_to_end()
        gevent.joinall(talkers, timeout=LIMIT_SECONDS, raise_error=True)
        assert [end.reason for end in ends] == ["the server is shutting down"] * len(talkers)
        assert onlooker.lines[-1] == "* Closing: the server is shutting down"
        check_one_order(chats)
        places = [
            {notice.seq for notice in chat.heard if isinstance(notice, notices.Said | notices.Sent)}
            for chat in chats
        ]
        assert all(seen == places[0] for seen in places)
        assert len(places[0]) == len(talk(onlooker)) >= 500
        server.check_ended()


# ── Any bytes ────────────────────────────────────────────────────────────────────────────────────

# What one peer sends, in how many pieces, and whether it says that this is all.
CONVERSATIONS = st.tuples(
    st.sampled_from(OPENINGS) | mutated(PLAIN_LINES) | mutated(JSON_LINES) | st.binary(),
    st.integers(1, 5),
    st.booleans(),
)


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority()


def send_all(sock: blocking.socket, data: bytes, pieces: int, *, ends: bool) -> None:
    """Send bytes; when that is all, wait for the server to have answered. It may cut us short."""
    size = len(data) // pieces + 1
    try:
        for start in range(0, len(data), size):
            sock.sendall(data[start : start + size])
        if ends:
            sock.shutdown(blocking.SHUT_WR)
            while sock.recv(65_536):
                pass
    except TimeoutError:
        raise
    except OSError:
        pass  # it has closed the connection, as it may


@contextmanager
def connected(server: Server) -> Iterator[blocking.socket]:
    with blocking.create_connection(server.address, timeout=LIMIT_SECONDS) as sock:
        sock.setsockopt(blocking.IPPROTO_TCP, blocking.TCP_NODELAY, 1)
        yield sock


def try_all(examples: int, attempt: Callable[[bytes, int, bool], None]) -> None:
    """The corpus whole and in pieces, then what hypothesis thinks of."""
    for opening in OPENINGS:
        for pieces in (1, 7):
            attempt(opening, pieces, True)

    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture],
    )
    @given(CONVERSATIONS)
    def try_some(conversation: tuple[bytes, int, bool]) -> None:
        attempt(*conversation)

    try_some()


def test_whatever_bytes_come_the_server_serves_on_and_its_log_is_silent() -> None:
    with serving() as server:

        def attempt(data: bytes, pieces: int, ends: bool) -> None:
            with connected(server) as sock:
                send_all(sock, data, pieces, ends=ends)

        try_all(150, attempt)
        server.check(has_hashed=True)


def test_whatever_bytes_come_to_a_port_of_tls_the_server_serves_on_and_its_log_is_silent(
    authority: Authority, tmp_path: Path
) -> None:
    files = authority.issue(tmp_path / "certificate")
    context = authority.client()
    with serving("--tls-cert", str(files.cert), "--tls-key", str(files.key)) as server:

        def attempt(data: bytes, pieces: int, ends: bool) -> None:
            with connected(server) as sock:  # without TLS, and with its first byte
                send_all(sock, b"\x16" + data, pieces, ends=False)
            with (
                connected(server) as sock,
                context.wrap_socket(sock, server_hostname="localhost") as tls,
            ):
                send_all(tls, data, pieces, ends=False)
                # Then nonsense where a record of TLS is due.
                with blocking.socket(fileno=os.dup(tls.fileno())) as plain:
                    plain.settimeout(LIMIT_SECONDS)
                    send_all(plain, data, 1, ends=ends)

        try_all(60, attempt)
        server.check(context, has_hashed=True)
