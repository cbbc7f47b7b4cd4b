"""What runs out, runs out for newcomers only: places, descriptors, memory, patience."""

from __future__ import annotations

import json
import resource
import socket
import subprocess
import sys
from contextlib import ExitStack
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest

from tcpchat_core import ChatState, Effect, ServerLimits, ServerProtocol
from tcpchat_net import ChatServer
from tcpchat_net import server as server_module
from tcpchat_net.admission import Admission, Origins, origin
from tcpchat_net.happenings import Exhausted, Happening, Refused
from tests.net.serving import LIMIT_S, NO_FLOOD_CONTROL, Peer, serving

HARD_LIMIT = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
SERVER = str(Path(sys.executable).with_name("tcpchat-server"))


def greeted(peer: Peer) -> Peer:
    """The peer, once the server has taken it in; what speaks first is not waited for."""
    peer.send("")
    assert peer.line().startswith("* Welcome")
    return peer


# ── Places ───────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("first", "answer"),
    [
        pytest.param("", "! server-full: the server is full; try again later\n", id="says nothing"),
        pytest.param(
            "/join lobby\n", "! server-full: the server is full; try again later\n", id="plain"
        ),
        pytest.param(
            '{"type":"hello"}\n',
            '{"type":"closing","reason":"the server is full; try again later","retry":10000}\n',
            id="jsonl",
        ),
    ],
)
def test_who_comes_to_a_full_server_is_told_so_in_its_own_dialect(first: str, answer: str) -> None:
    with serving(max_clients=1) as server, greeted(Peer(server.address)) as inside:
        with Peer(server.address) as outside:
            outside.sock.sendall(first.encode())
            assert outside.rest() == answer
        inside.send("/rooms")
        assert inside.line() == "* There are no rooms yet. /join ROOM makes one."


def test_a_place_that_becomes_free_is_given_to_the_next() -> None:
    with serving(max_clients=1) as server:
        for _ in range(5):
            while not comes_in(server.address):
                pass  # the server has yet to read that the last one closed


def comes_in(address: tuple[str, int]) -> bool:
    with Peer(address) as peer:
        peer.send('{"type":"hello"}')
        kind = json.loads(peer.line())["type"]
        assert kind in ("welcome", "closing")
        if kind == "welcome":
            peer.send('{"type":"quit"}')
            peer.rest()
        return bool(kind == "welcome")


def test_a_crowd_before_a_full_server_is_told_and_delays_nobody_inside(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(server_module, "TELL_EVERY_MS", 3_600_000)  # longer than this takes
    told: list[Happening] = []
    with (
        serving(max_clients=1, report=told.append) as server,
        greeted(Peer(server.address)) as inside,
        ExitStack() as stack,
    ):
        crowd = [stack.enter_context(Peer(server.address)) for _ in range(200)]
        inside.send("/join lobby")
        assert inside.line().startswith("* You joined lobby")
        for peer in crowd:
            assert peer.rest().startswith("! server-full: ")
    assert told == [Refused("127.0.0.1", "server-full", "the server is full; try again later", 0)]


def test_who_came_by_ipv4_to_a_socket_of_both_kinds_is_told_of_by_an_ipv4_address() -> None:
    told: list[Happening] = []
    listener = socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True)
    with listener, serving(max_clients=1, listener=listener, report=told.append) as server:
        address = ("127.0.0.1", server.address[1])
        with greeted(Peer(address)), Peer(address) as other:
            assert other.rest().startswith("! server-full: ")
    assert [each.host for each in told if isinstance(each, Refused)] == ["127.0.0.1"]


def test_one_address_has_only_so_many_connections() -> None:
    # Only loopback can be had for sure, and it is exempt: a proxy says whose they are.
    proxies = [ip_network("127.0.0.1")]
    with serving(max_per_ip=2, proxies=proxies) as server, ExitStack() as stack:

        def come(source: str) -> Peer:
            peer = stack.enter_context(Peer(server.address))
            peer.sock.sendall(f"PROXY TCP4 {source} 192.0.2.1 4000 7667\r\n".encode())
            return peer

        for _ in range(2):
            greeted(come("192.0.2.7"))
        limit = "the limit for connections from one address is 2; close another first"
        assert come("192.0.2.7").rest() == f"! too-many-connections: {limit}\n"
        greeted(come("192.0.2.8"))


def test_this_machines_own_connections_have_no_limit_for_one_address() -> None:
    with serving(max_per_ip=1) as server, ExitStack() as stack:
        for _ in range(5):
            greeted(stack.enter_context(Peer(server.address)))


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1", None),
        ("127.8.9.10", None),
        ("::1", None),
        ("::ffff:127.0.0.1", None),
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
    ],
)
def test_connections_count_by_ipv4_address_or_ipv6_network(host: str, expected: str | None) -> None:
    assert origin(host) == expected


def test_a_place_goes_by_a_name_that_only_the_secret_makes() -> None:
    origins = Origins(b"secret")
    names = [origins.name(each) for each in ("192.0.2.7", "192.0.2.8", "2001:db8::/64")]
    assert [len(bytes.fromhex(name)) for name in names] == [16, 16, 16]
    assert len({*names, Origins(b"another").name("192.0.2.7")}) == 4
    assert names[0] == Origins(b"secret").name("192.0.2.7")
    assert origins.name(None) == ""


def test_who_leaves_is_not_counted_any_more() -> None:
    admission = Admission(max_clients=3, max_per_ip=2)
    assert [admission.enter("192.0.2.7") for _ in range(2)] == [None, None]
    refused = admission.enter("192.0.2.7")
    assert refused is not None
    assert refused.reason == "too-many-connections"
    admission.leave("192.0.2.7")
    assert admission.enter("192.0.2.7") is None
    assert admission.enter("192.0.2.8") is None
    refused = admission.enter("192.0.2.9")
    assert refused is not None
    assert refused.reason == "server-full"
    admission.configure(max_clients=4, max_per_ip=1)  # nobody who is in goes
    assert admission.enter("192.0.2.9") is None
    refused = admission.enter("192.0.2.9")
    assert refused is not None
    assert refused.reason == "server-full"


# ── Descriptors ──────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("soft", "hard", "wanted", "clients", "soft_after"),
    [
        (200, 200, 100, 100, 200),  # enough
        (100, 200, 100, 100, 164),  # enough when it is raised
        (100, 200, 10_000, 136, 200),  # not enough
        (70, 70, 10_000, 6, 70),
        (40, 40, 10_000, 1, 40),  # at least somebody
    ],
)
def test_there_are_as_many_places_as_descriptors(
    soft: int, hard: int, wanted: int, clients: int, soft_after: int
) -> None:
    program = (
        "import resource\n"
        "from tcpchat_net.admission import affordable_clients\n"
        f"resource.setrlimit(resource.RLIMIT_NOFILE, ({soft}, {hard}))\n"
        f"print(affordable_clients({wanted}), *resource.getrlimit(resource.RLIMIT_NOFILE))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == [str(clients), str(soft_after), str(hard)]


def test_a_server_that_runs_out_of_descriptors_serves_on_and_accepts_again_later() -> None:
    process = subprocess.Popen(
        [SERVER, "--port", "0"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    with process, ExitStack() as stack:
        stack.callback(process.kill)
        host, _, port = process.stdout.readline().split()[-1].rpartition(":")
        address = (host, int(port))
        inside = greeted(stack.enter_context(Peer(address)))
        inside.send("/join lobby")
        inside.until("You joined lobby")

        used = len(list(Path(f"/proc/{process.pid}/fd").iterdir()))
        limits = resource.prlimit(process.pid, resource.RLIMIT_NOFILE, (used + 3, HARD_LIMIT))
        newcomers = [stack.enter_context(Peer(address)) for _ in range(10)]
        answers = [peer.line() for peer in newcomers]
        assert sum(line.startswith("* Welcome") for line in answers) == 3
        assert (
            answers.count("! server-full: the server can serve nobody else now; try again later")
            == 7
        )
        for peer in newcomers[:3]:
            peer.send("/join lobby")
            inside.until("joined lobby")
        inside.send("hello")
        assert newcomers[0].until("hello") == "[lobby] guest-1: hello"

        resource.prlimit(process.pid, resource.RLIMIT_NOFILE, limits)
        greeted(stack.enter_context(Peer(address)))
        process.terminate()
        _, log = process.communicate(timeout=LIMIT_S)
    assert process.returncode == 0
    assert "cannot let anybody in now: too many open files" in log
    assert "Traceback" not in log


def test_the_log_says_when_there_are_fewer_places_than_were_asked_for() -> None:
    program = (
        "import os, resource, sys\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (100, 100))\n"
        "os.execv(sys.argv[1], sys.argv[1:])\n"
    )
    command = [sys.executable, "-c", program, SERVER, "--port", "0", "--max-clients", "500"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline().startswith("tcpchat-server: listening on ")
    process.terminate()
    _, log = process.communicate(timeout=LIMIT_S)
    assert "only 36 clients are let in, not 500" in log


# ── Memory ───────────────────────────────────────────────────────────────────────────────────────


class OutOfMemory(ServerProtocol):
    """No memory for what one connection sends: this cannot be brought about on demand."""

    def receive_data(self, conn: int, data: bytes, *, now: int) -> list[Effect]:
        if b"too much" in data:
            raise MemoryError
        return super().receive_data(conn, data, now=now)


def test_a_connection_for_which_there_is_no_memory_is_dropped_and_the_others_are_not(
    capfd: pytest.CaptureFixture[str],
) -> None:
    told: list[Happening] = []
    protocol = OutOfMemory(ChatState(), limits=NO_FLOOD_CONTROL)
    with (
        serving(protocol, report=told.append) as server,
        greeted(Peer(server.address)) as inside,
    ):
        inside.send("/join lobby")
        inside.until("You joined lobby")
        for _ in range(2):
            with greeted(Peer(server.address)) as peer:
                peer.send("too much")
                assert peer.rest() == ""
        inside.send("/who")
        assert inside.line() == "* 1 in lobby: guest-1. Moderators: guest-1"
    assert told == [Exhausted("memory", "out of memory: a connection is dropped", 0)]
    assert capfd.readouterr().err == ""


# ── Slow readers ─────────────────────────────────────────────────────────────────────────────────

# More than the kernel keeps for a connection that is not read.
MUCH = "\n".join(["x" * 1_500] * 8_000)


@pytest.mark.parametrize(
    "bounds",
    [
        pytest.param({"max_backlog_bytes": 65_536, "stall_timeout_ms": 3_600_000}, id="bytes"),
        pytest.param({"max_backlog_bytes": 1 << 30, "stall_timeout_ms": 300}, id="time"),
    ],
)
def test_a_reader_past_a_bound_is_closed_and_the_others_hear_why(bounds: dict[str, Any]) -> None:
    with (
        serving(**bounds) as server,
        greeted(Peer(server.address, receive_buffer=4_096)) as slow,
        greeted(Peer(server.address)) as talker,
    ):
        for peer in (slow, talker):
            peer.send("/join lobby")
            peer.until("You joined lobby")
        talker.send(MUCH)
        assert talker.until("guest-1") == "* guest-1 quit (read too slowly)"
        assert slow.rest()  # what was on its way, and then the end


def test_a_reader_that_never_reads_is_given_up_before_the_kernel_holds_much_for_it() -> None:
    line, at_once = "x" * 1_500, 10
    with (
        serving(max_backlog_bytes=65_536, stall_timeout_ms=3_600_000) as server,
        greeted(Peer(server.address, receive_buffer=4_096)) as deaf,
        greeted(Peer(server.address)) as talker,
    ):
        for peer in (deaf, talker):
            peer.send("/join lobby")
            peer.until("You joined lobby")
        said_bytes, members = 0, "* 2 in lobby: guest-1, guest-2. Moderators: guest-1"
        while members == "* 2 in lobby: guest-1, guest-2. Moderators: guest-1":
            talker.send("\n".join([line] * at_once))
            talker.send("/who")
            members = talker.until(" in lobby: ")
            said_bytes += len(line) * at_once
        assert members == "* 1 in lobby: guest-2"
        assert said_bytes < 400_000  # with the kernel's own bounds it would be millions


def test_the_kernel_gives_up_who_does_not_acknowledge_when_a_silent_one_would_be() -> None:
    limits = ServerLimits(ping_after_ms=30_000, drop_after_ms=60_000)
    accepted: list[socket.socket] = []

    class Watched(ChatServer):
        def handle(self, sock: Any, address: Any) -> None:
            accepted.append(sock)
            super().handle(sock, address)

    protocol = ServerProtocol(ChatState(), limits=limits)
    with serving(protocol, kind=Watched) as server, greeted(Peer(server.address)):
        [sock] = accepted
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 60_000
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 30
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL) == 10
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_a_slow_reader_within_its_bounds_gets_everything() -> None:
    with (
        serving(max_backlog_bytes=1 << 30, stall_timeout_ms=3_600_000) as server,
        greeted(Peer(server.address, receive_buffer=4_096)) as slow,
        greeted(Peer(server.address)) as talker,
    ):
        for peer in (slow, talker):
            peer.send("/join lobby")
            peer.until("You joined lobby")
        talker.send(MUCH)
        talker.send("/who")
        assert talker.until("in lobby")  # by now all is said, and waits
        for said in MUCH.split("\n"):
            assert slow.until("[lobby]") == f"[lobby] guest-2: {said}"
