"""A log that nobody reads holds nobody up, and what is not in it is told."""

from __future__ import annotations

import logging
import os
import pty
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tcpchat_cli import unhurried
from tcpchat_cli.unhurried import UnhurriedHandler

from tests.cli.log_lines import events_in, unknown
from tests.cli.serving import FIRST_WORDS, Talker, environment
from tests.cli.terminal import LIMIT_SECONDS, SERVER

# More than any pipe holds, and any terminal.
MANY = 2_000


class Pipe:
    """A handler that writes into a pipe, and who reads the pipe when the test says so."""

    def __init__(self) -> None:
        self.left_out: list[int] = []
        self.reader, writer = os.pipe()
        os.set_blocking(self.reader, False)
        self._stream = open(writer, "w")  # noqa: SIM115 # it is open for as long as this
        self.handler = UnhurriedHandler(self._stream, self._told)
        self.handler.setFormatter(logging.Formatter("%(message)s"))

    def log(self, text: str) -> None:
        self.handler.handle(logging.makeLogRecord({"msg": text}))

    def _told(self, count: int) -> None:
        self.left_out.append(count)
        self.log(f"left out: {count}")

    def read(self) -> bytes:
        """All that is in the pipe."""
        taken = b""
        try:
            while more := os.read(self.reader, 65_536):
                taken += more
        except BlockingIOError:
            pass
        return taken

    def read_all(self) -> list[str]:
        """All lines that were ever written or wait."""
        taken = b""
        while more := self.read():
            taken += more
            self.handler.write_waiting()
        return taken.decode().splitlines()

    def close(self) -> None:
        self.handler.close()
        self._stream.close()
        os.close(self.reader)


@contextmanager
def pipe() -> Iterator[Pipe]:
    made = Pipe()
    try:
        yield made
    finally:
        made.close()


def test_what_somebody_reads_is_there_at_once() -> None:
    with pipe() as log:
        log.log("one")
        assert log.read() == b"one\n"


def test_what_cannot_be_written_is_written_later_in_its_order() -> None:
    with pipe() as log:
        told = [f"{number} {'x' * 200}" for number in range(MANY)]
        for text in told:
            log.log(text)
        assert log.read_all() == told
        assert not log.left_out


def test_what_is_longer_than_a_pipe_takes_at_once_is_whole() -> None:
    with pipe() as log:
        told = [letter * 100_000 for letter in "abc"]
        for text in told:
            log.log(text)
        assert log.read_all() == told


def test_past_the_bound_lines_are_left_out_and_counted_in_their_place(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(unhurried, "MAX_WAITING_BYTES", 10_000)
    with pipe() as log:
        for number in range(MANY):
            log.log(f"{number} {'x' * 200}")
        lines = log.read_all()
        log.log("again")
        lines += log.read_all()
    [left_out] = log.left_out
    assert lines[-2:] == [f"left out: {left_out}", "again"]
    assert [int(line.split()[0]) for line in lines[:-2]] == list(range(MANY - left_out))


@given(st.lists(st.one_of(st.integers(1, 20_000), st.just("read"), st.just("write")), max_size=60))
def test_however_it_is_read_each_line_is_there_or_counted(steps: list[int | str]) -> None:
    with pytest.MonkeyPatch.context() as patch, pipe() as log:
        patch.setattr(unhurried, "MAX_WAITING_BYTES", 30_000)
        taken, told = b"", 0
        for step in steps:
            match step:
                case "read":
                    taken += log.read()
                case "write":
                    log.handler.write_waiting()
                case size:
                    log.log(f"{told} ".ljust(int(size), "x"))
                    told += 1
        while more := log.read():
            taken += more
            log.handler.write_waiting()
    next_number = 0
    for line in taken.decode().splitlines():
        if line.startswith("left out: "):
            next_number += int(line.removeprefix("left out: "))
        else:
            assert int(line.split()[0].rstrip("x")) == next_number
            next_number += 1
    assert next_number == told


def test_who_closes_the_pipe_costs_nothing_but_the_lines() -> None:
    with pipe() as log:
        os.close(log.reader)
        for number in range(MANY):
            log.log(f"{number} {'x' * 200}")
        log.handler.flush()
        log.reader = os.open(os.devnull, os.O_RDONLY)


# ── The installed server ─────────────────────────────────────────────────────────────────────────


@contextmanager
def serving(stderr: int, *flags: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A server whose log goes there, and its address."""
    command = [SERVER, "--port", "0", "--in-memory", "--flood-rate", "0", *flags]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=stderr, text=True, env=environment()
    ) as server:
        try:
            assert server.stdout is not None
            yield server, server.stdout.readline().removeprefix(FIRST_WORDS).rstrip("\n")
        finally:
            server.kill()


def rename_often(address: str) -> None:
    """Have the server log more lines than anything holds that nobody reads."""
    with Talker(address, "/join lobby\n") as ada:
        for number in range(MANY):
            ada.send(f"/nick a{number}\n")
        ada.send("/who\n")
        ada.read_until("* 1 in lobby")


def a_pipe() -> tuple[int, int]:
    return os.pipe()


def a_terminal() -> tuple[int, int]:
    return pty.openpty()


@pytest.mark.parametrize("made", [a_pipe, a_terminal])
def test_a_server_whose_log_nobody_reads_goes_on_and_ends(
    made: Callable[[], tuple[int, int]],
) -> None:
    reader, writer = made()
    try:
        with serving(writer) as (server, address):
            rename_often(address)
            server.terminate()
            assert server.wait(LIMIT_SECONDS) == 0
    finally:
        os.close(reader)
        os.close(writer)


def read_events(reader: int, name: str) -> list[dict[str, Any]]:
    """What a log tells from here on until an event of this name."""
    taken = b""
    while f"event={name}" not in taken.decode(errors="replace"):
        more = os.read(reader, 65_536)
        assert more, taken[-500:]
        taken += more
    told = events_in(taken.decode())
    assert not unknown(told)
    return told


def test_who_reads_the_log_again_has_all_of_it_without_a_new_event() -> None:
    reader, writer = os.pipe()
    try:
        with serving(writer) as (_server, address):
            rename_often(address)
            told = read_events(reader, "gone")
        renamed = [each["to"] for each in told if each["event"] == "renamed"]
        assert renamed[-MANY:] == [f"a{number}" for number in range(MANY)]
    finally:
        os.close(reader)
        os.close(writer)
