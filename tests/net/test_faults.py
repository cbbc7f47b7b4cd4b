"""A server as a process, and peers that misbehave: it serves on, within bounds, and says nothing."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import socket as blocking
import ssl
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

import gevent
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import tcpchat_net.client
from tcpchat_core import Notice, notices
from tcpchat_net import ChatClient, ConnectionClosed
from tests.cli.serving import ServerProcess, listening
from tests.core.strategies import JSON_LINES, PLAIN_LINES, mutated
from tests.fuzz.corpus import OPENINGS
from tests.net.certificates import Authority
from tests.net.order import check_one_order
from tests.net.peers import LIMIT_SECONDS, Peer, RecordingClient, in_turn_until, talk

# What no honest peer comes near, and what makes a log worth reading.
QUIETLY: Final = ("--flood-rate", "0", "--log-level", "warning")

# A server that gives up slow readers soon. The bound is the least that can be set.
IMPATIENT: Final = ("--max-backlog", "65536", "--stall-timeout", "1")

# A long message, and how many of them are more than the kernel keeps for a reader that is slow:
# its buffers for one connection grow to some 10 MB.
LONG: Final = "x" * 1_900
MANY: Final = 10_000

# What a server may grow by, whatever its peers do: a fraction of what is said to it here.
MAX_GROWTH_BYTES: Final = 8 * 1024 * 1024


class Server:
    """A tcpchat-server process, seen from outside."""

    def __init__(self, process: ServerProcess, address: str) -> None:
        host, _, port = address.rpartition(":")
        self.address = (host, int(port))
        self._process = process
        self._pid = process.process.pid
        self.open_files_at_start = self.open_files
        self._peak_at_start = self._peak_bytes

    @property
    def open_files(self) -> int:
        """How many descriptors it has."""
        return len(os.listdir(f"/proc/{self._pid}/fd"))

    @property
    def connections(self) -> int:
        """How many of them have come since the start."""
        return self.open_files - self.open_files_at_start

    @property
    def _peak_bytes(self) -> int:
        """The most that it ever had in memory."""
        status = Path(f"/proc/{self._pid}/status").read_text()
        return 1_024 * int(status.partition("VmHWM:")[2].split()[0])

    def terminate(self) -> None:
        """Ask it to stop."""
        self._process.process.terminate()

    def check(self) -> None:
        """It has kept within its bounds, still serves, ends well, and had nothing to say."""
        assert self._peak_bytes - self._peak_at_start < MAX_GROWTH_BYTES
        with Peer(self.address, b"/join afterwards\n") as peer:
            peer.read_until("* You joined afterwards (1 here")
        self.terminate()
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


def program(stack: ExitStack, server: Server, nick: str) -> RecordingClient:
    """A program in the lobby, that reconnects."""
    client = stack.enter_context(RecordingClient(server.address, nick))
    client._reconnect_s = LIMIT_SECONDS
    client.join("lobby")
    return client


def lines(first: int, count: int) -> list[str]:
    return [f"{number:06} {LONG}" for number in range(first, first + count)]


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


@pytest.mark.parametrize("history", [200, MANY])
def test_a_reader_that_stops_is_closed_and_comes_back_and_nobody_else_notices(
    monkeypatch: pytest.MonkeyPatch, history: int
) -> None:
    monkeypatch.setattr(tcpchat_net.client, "MAX_WAITING_NOTICES", 10)
    with serving(*IMPATIENT, "--history", str(history)) as server, ExitStack() as stack:
        stalled = program(stack, server, "stalled")
        talker = person(stack, server, "talker")
        listener = person(stack, server, "listener")
        spoken = lines(0, MANY)
        talking = gevent.spawn(talker.send, "".join(f"{line}\n" for line in spoken))
        heard = listener.read_until(f"[lobby] talker: {spoken[-1]}")
        assert heard == [f"[lobby] talker: {line}" for line in spoken]
        talking.get(timeout=LIMIT_SECONDS)
        in_turn_until(lambda: server.connections == 2)

        # Now it looks again at what it is told.
        while stalled.rooms["lobby"].seq == 0 or not ended_with(stalled.heard, spoken[-1]):
            stalled.next_notice(timeout=LIMIT_SECONDS)
        check_nothing_is_missing(stalled.heard, spoken)
        assert any(isinstance(notice, notices.Resumed) for notice in stalled.heard)
        has_gap = any(isinstance(notice, notices.Gap) for notice in stalled.heard)
        assert has_gap == (history < MANY)
        assert stalled.say("lobby", "I am back").seq
        assert listener.read_line() == "[lobby] stalled: I am back"
        stack.close()
        server.check()


def ended_with(told: Sequence[Notice], text: str) -> bool:
    return isinstance(told[-1], notices.Said) and told[-1].text == text


# A client that prints what it is told, a line each, until somebody says "the end".
READER: Final = """
import sys
from tcpchat_core.dialects.jsonl import JsonLines
from tcpchat_net import ChatClient

with ChatClient(sys.argv[1], int(sys.argv[2]), nick="sleeper") as chat:
    chat.join("lobby")
    print(flush=True)
    for notice in chat:
        sys.stdout.buffer.write(JsonLines().encode(notice))
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
        talking = gevent.spawn(talker.send, "".join(f"{line}\n" for line in spoken))
        listener.read_until(f"[lobby] talker: {spoken[-1]}")
        talking.get(timeout=LIMIT_SECONDS)
        in_turn_until(lambda: server.connections == 2)
        sleeper.send_signal(signal.SIGCONT)
        talker.send("the end\n")
        told = [decoded(line) for line in sleeper.stdout]
        assert sleeper.wait(LIMIT_SECONDS) == 0
        check_nothing_is_missing(told, [*spoken, "the end"])
        assert not any(line.startswith("* sleeper") for line in listener.lines[3:])
        stack.close()
        server.check()
