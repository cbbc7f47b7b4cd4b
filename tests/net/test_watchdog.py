"""The watchdog says what holds the loop while it does, and nothing else."""

from __future__ import annotations

import os
import sys
import threading
from queue import SimpleQueue
from subprocess import PIPE, Popen
from tempfile import TemporaryFile

import gevent
import pytest

from tcpchat_net import Watchdog
from tcpchat_net.happenings import TELL_EVERY_MS, Happening, Held, Released, Suspended
from tcpchat_net.watchdog import HELD_MS, LOOK_EVERY_MS, MAX_FRAMES, shown_stack
from tests.cli.serving import environment
from tests.net.serving import LIMIT_S, Peer, serving

_MS = 1_000_000


class Loop:
    """A loop and the thread that looks at it, in a time of their own."""

    def __init__(self) -> None:
        self.told: list[Happening] = []
        self.now = self.used = _MS
        self.dog = Watchdog(self.told.append, clock=lambda: self.now, processor=lambda: self.used)
        self._next_look = self.now + LOOK_EVERY_MS * _MS

    def run(self, ms: int, *, looks: bool = True, uses: bool = True) -> None:
        """Time passes, and the thread looks when it is time to, unless it cannot."""
        until = self.now + ms * _MS
        while looks and self._next_look <= until:
            self._pass(self._next_look, uses=uses)
            self.look()
        self._pass(until, uses=uses)

    def look(self) -> None:
        self.dog.look()
        self._next_look = self.now + LOOK_EVERY_MS * _MS

    def suspend(self, ms: int) -> None:
        """The process is stopped, and goes on: the thread looks as soon as it runs."""
        self.run(ms, looks=False, uses=False)
        self.look()

    def turn(self, ms: int) -> None:
        """A turn of the loop, which is over before the thread looks again."""
        self.dog.turn_begins()
        self.run(ms)
        self.dog.turn_ends()

    def counters(self) -> tuple[int, int, int]:
        return self.dog.held_turns, self.dog.held_ms, self.dog.longest_ms

    def _pass(self, until: int, *, uses: bool) -> None:
        self.used += (until - self.now) * uses
        self.now = until


def kinds(told: list[Happening]) -> list[str]:
    return [type(each).__name__ for each in told]


# ── A loop that is held ──────────────────────────────────────────────────────────────────────────


def test_what_holds_the_loop_is_told_while_it_does_and_how_long_it_took_when_it_is_over() -> None:
    told: SimpleQueue[Happening] = SimpleQueue()
    release = threading.Event()

    def read_slowly(secret: str) -> None:
        assert secret
        release.wait(LIMIT_S)

    with serving(watchdog=Watchdog(told.put)) as server:
        assert server.watchdog is not None
        server.loop.run_callback_threadsafe(read_slowly, "xyzzy")
        held = told.get(timeout=LIMIT_S)
        assert not release.is_set()
        assert isinstance(held, Held)
        assert held.ms >= HELD_MS
        assert any(
            item.startswith("tests/net/test_watchdog.py:") and item.endswith(" read_slowly")
            for item in held.stack.split(" < ")
        )
        assert held.stack.startswith("threading.py:")
        assert "xyzzy" not in held.stack
        release.set()
        released = told.get(timeout=LIMIT_S)
        assert isinstance(released, Released)
        assert released.ms >= held.ms
        assert server.watchdog.held_turns == 1
        assert server.watchdog.held_ms == server.watchdog.longest_ms == released.ms
        with Peer(server.address) as ada:  # it serves as before
            ada.send("/nick ada")
            ada.until("You are now ada")
    assert told.empty()


def test_the_servers_log_says_what_holds_it() -> None:
    program = (
        "import os, gevent\n"
        "from tcpchat_cli import server, serving\n"
        "def hold():\n"
        "    print('holding', flush=True)\n"
        "    os.read(0, 1)\n"
        "announce = serving.announce\n"
        "def announce_and_hold(*arguments, **named):\n"
        "    announce(*arguments, **named)\n"
        "    gevent.spawn_later(0.001, hold)\n"
        "serving.announce = announce_and_hold\n"
        "server.main()\n"
    )
    command = [sys.executable, "-c", program, "--port", "0", "--in-memory"]
    with (
        TemporaryFile() as log,
        Popen(command, stdin=PIPE, stdout=PIPE, stderr=log, env=environment()) as process,
    ):
        assert process.stdin is not None
        assert process.stdout is not None
        while process.stdout.readline() != b"holding\n":
            pass

        def wait_for(words: bytes) -> bytes:
            while words not in (text := os.pread(log.fileno(), 65_536, 0)):
                assert process.poll() is None
                os.sched_yield()
            return text

        text = wait_for(b'hold"\n')
        assert b"event=released" not in text
        process.stdin.write(b"x")
        process.stdin.flush()
        wait_for(b"event=released ms=")
        process.terminate()
        while process.stdout.readline():
            pass
    assert b"level=warning event=held ms=" in text
    assert b'stack="<string>:5 hold"' in text


def test_the_turn_in_which_it_is_started_is_watched_too() -> None:
    told: SimpleQueue[Happening] = SimpleQueue()
    dog = Watchdog(told.put)
    dog.start(gevent.get_hub().loop)  # which does not turn
    held = told.get(timeout=LIMIT_S)
    dog.stop()
    assert isinstance(held, Held)


def test_a_server_without_a_watchdog_has_no_thread_for_one() -> None:
    with serving() as server:
        assert server.watchdog is None
        assert "watchdog" not in {each.name for each in threading.enumerate()}


def test_the_thread_ends_with_the_server() -> None:
    with serving(watchdog=Watchdog()):
        assert "watchdog" in {each.name for each in threading.enumerate()}
    assert "watchdog" not in {each.name for each in threading.enumerate()}


# ── What is one, and what is none ────────────────────────────────────────────────────────────────


def test_a_loop_that_waits_for_events_is_not_held() -> None:
    loop = Loop()
    loop.turn(5)
    loop.run(60_000)
    loop.turn(5)
    assert loop.told == []
    assert loop.counters() == (0, 0, 0)


def test_many_short_turns_one_after_the_other_are_none_that_is_held() -> None:
    loop = Loop()
    for _ in range(100):
        loop.turn(HELD_MS - 1)
    assert loop.told == []
    assert loop.counters() == (0, 0, 0)


def test_a_turn_is_told_once_however_long_it_takes_and_counted_when_it_is_over() -> None:
    loop = Loop()
    loop.dog.turn_begins()
    loop.run(60_000)
    assert kinds(loop.told) == ["Held"]
    assert loop.counters() == (0, 0, 0)
    loop.dog.turn_ends()
    loop.run(1_000)
    assert loop.told[1:] == [Released(60_000)]
    assert loop.counters() == (1, 60_000, 60_000)


@pytest.mark.parametrize("until_look_ms", range(1, LOOK_EVERY_MS, 7))
def test_a_turn_that_is_over_before_it_is_seen_as_held_is_told_with_its_stack(
    until_look_ms: int,
) -> None:
    loop = Loop()
    loop.run(until_look_ms)
    loop.turn(HELD_MS)
    loop.run(LOOK_EVERY_MS)
    assert loop.told[1:] == [Released(HELD_MS)]
    held = loop.told[0]
    assert isinstance(held, Held)
    assert "tests/net/test_watchdog.py" in held.stack


def test_turns_that_are_held_again_and_again_are_told_seldom_and_all_of_them_are_counted() -> None:
    loop = Loop()
    for _ in range(100):
        loop.turn(1_000)
        loop.run(100)
    held = [each for each in loop.told if isinstance(each, Held)]
    assert len(held) == 1 + 100 * 1_100 // (TELL_EVERY_MS + 1_100)
    assert len(held) == sum(isinstance(each, Released) for each in loop.told)
    assert sum(each.left_out for each in held) + len(held) > 90
    assert loop.counters() == (100, 100_000, 1_000)


# ── A process that does not run ──────────────────────────────────────────────────────────────────


def test_a_process_that_was_stopped_while_its_loop_slept_was_suspended() -> None:
    loop = Loop()
    loop.turn(5)
    loop.run(150)
    loop.suspend(60_000)
    assert loop.told == [Suspended(59_955, 0)]
    assert loop.counters() == (0, 0, 0)


def test_a_turn_in_which_the_process_was_stopped_is_not_held_by_that() -> None:
    loop = Loop()
    loop.dog.turn_begins()
    loop.run(20)
    loop.suspend(60_000)
    loop.run(20)
    loop.dog.turn_ends()
    loop.run(1_000)
    assert kinds(loop.told) == ["Suspended"]
    assert loop.counters() == (0, 0, 0)


def test_a_turn_that_ends_before_the_thread_knows_that_it_was_stopped_is_not_held() -> None:
    loop = Loop()
    loop.dog.turn_begins()
    loop.run(60_000, looks=False, uses=False)
    loop.dog.turn_ends()
    loop.look()
    assert kinds(loop.told) == ["Suspended"]
    assert loop.counters() == (0, 0, 0)


def test_what_keeps_the_interpreter_to_itself_holds_the_loop_and_is_no_suspension() -> None:
    loop = Loop()
    loop.dog.turn_begins()
    loop.run(3_000, looks=False)  # the thread does not run, and the process does
    loop.look()
    assert kinds(loop.told) == ["Held"]
    loop.dog.turn_ends()
    loop.run(100)
    assert loop.counters() == (1, 3_000, 3_000)


def test_a_process_that_is_stopped_again_and_again_is_told_seldom() -> None:
    loop = Loop()
    for _ in range(100):
        loop.suspend(1_000)
    told = [each for each in loop.told if isinstance(each, Suspended)]
    assert len(told) == 100 // (TELL_EVERY_MS // 1_000)
    assert {each.left_out for each in told[1:]} == {9}


# ── The stack ────────────────────────────────────────────────────────────────────────────────────


def test_a_stack_has_a_bound_and_no_values() -> None:
    def deep(secret: str, levels: int) -> str:
        return deep(secret, levels - 1) if levels else shown_stack(sys._getframe())

    items = deep("xyzzy", 100).split(" < ")
    assert len(items) == MAX_FRAMES
    assert all(item.endswith(" deep") for item in items)
    assert "xyzzy" not in "".join(items)
