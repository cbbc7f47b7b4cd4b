"""docs/tutorial.md: a class, each in a terminal of their own, does what stands there, line by line.

A line is `NAME$ what is typed into the shell of NAME`, `NAME> what is typed into the program that
runs there`, or `NAME< what is shown`; `…` stands for anything. Everything is real: the shells, the
server, nc and irssi. Only the port is another one, and the laptop's address is this machine's.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from urllib.request import urlopen

import pytest

from tests.cli.terminal import LIMIT_SECONDS, SCRIPTS, Terminal
from tests.docs.pages import code_blocks, read, sections
from tests.irc.clients import IRSSI, has_to_be_here
from tests.web.conftest import not_here

TEXT = read("docs/tutorial.md")

# What is another each time, as `re.escape` writes it: days, times of day, what the page leaves out.
VARYING = (
    (re.compile(r"\d{4}\\-\d\d\\-\d\d\\ "), r"\d{4}-\d\d-\d\d "),
    (re.compile(r"\d\d:\d\d(?::\d\d)?"), r"\d\d:\d\d(:\d\d)?"),
    (re.compile(r"…"), r".*"),
)
CODE = re.compile(r"[0-9a-f]{5}(-[0-9a-f]{5}){3}")


class Classroom:
    """The terminals by whose they are, and what is called otherwise than on the page."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.terminals: dict[str, Terminal] = {}
        self._typed: Counter[str] = Counter()
        self._seen: Counter[tuple[str, str]] = Counter()
        self._called = {"192.168.1.20": "127.0.0.1"}

    def _actual(self, text: str) -> str:
        for on_page, here in self._called.items():
            text = text.replace(on_page, here)
        return text

    def _terminal(self, name: str) -> Terminal:
        """The terminal of somebody: a shell, in their home. Three are on zoe's laptop."""
        if name not in self.terminals:
            is_on_laptop = name in ("server", "desk", "zoe")
            home = self._folder / ("laptop" if is_on_laptop else name)
            home.mkdir(exist_ok=True)
            env = {"HOME": str(home), "PS1": f"{name}$ ", "ENV": ""}
            if is_on_laptop:  # where it was installed, as the page says
                (home / ".venv").mkdir(exist_ok=True)
                with suppress(FileExistsError):
                    (home / ".venv" / "bin").symlink_to(SCRIPTS)
            else:  # who has a program, has it at hand
                env["PATH"] = f"{SCRIPTS}:{os.environ['PATH']}"
            shell = ["env", "-u", "XDG_DATA_HOME", "-u", "XDG_CONFIG_HOME", "-C", str(home), "sh"]
            self.terminals[name] = Terminal(shell, columns=120, rows=60, env=env)
        return self.terminals[name]

    def _shell(self, name: str, command: str) -> None:
        terminal = self._terminal(name)
        # What was typed before is done: there is one prompt more than there were commands.
        typed = self._typed[name]
        terminal.wait_until(lambda: self._prompts(name) == typed + 1, f"{name}'s shell")
        self._typed[name] = typed + 1
        if command.startswith("tcpchat-server --"):
            terminal.enter(f"{self._actual(command)} --port 0")
            terminal.wait_for(r"^stop:")  # the last line: all of the first one is there
            [port] = re.findall(r"listening on \S+:(\d+)", terminal.text)
            self._called["7667"] = port
        else:
            terminal.enter(self._actual(command))

    def _prompts(self, name: str) -> int:
        return sum(row.startswith(f"{name}$") for row in self._terminal(name).scrollback)

    def _new_codes(self, terminal: Terminal) -> set[str]:
        shown = {row for row in terminal.scrollback if CODE.fullmatch(row)}
        return shown - set(self._called.values())

    def _see(self, name: str, line: str) -> None:
        terminal = self._terminal(name)
        if CODE.fullmatch(line):
            terminal.wait_until(lambda: self._new_codes(terminal), line)
            [self._called[line]] = self._new_codes(terminal)
            return
        pattern = re.escape(self._actual(line))
        for kind, anything in VARYING:
            pattern = anything.join(kind.split(pattern))
        # A row that stands on the page twice comes twice.
        times = self._seen[name, pattern] = self._seen[name, pattern] + 1
        terminal.wait_until(
            lambda: sum(bool(re.fullmatch(pattern, row)) for row in terminal.scrollback) >= times,
            f"{name}< {line}",
        )

    def opens(self, address: str) -> str:
        """What a browser gets at an address of the page."""
        with urlopen(self._actual(address).partition("#")[0], timeout=LIMIT_SECONDS) as answer:
            return str(answer.read(), "utf-8")

    def close(self) -> None:
        """End whatever still runs, then the shells, which would wait for it."""
        for terminal in self.terminals.values():
            running = os.tcgetpgrp(terminal.child.fileno())
            if running != terminal.child.pid:
                os.killpg(running, signal.SIGKILL)
            terminal.close()

    def play(self, line: str) -> None:
        """Do what a line of the page says, or wait for what it shows."""
        parts = re.fullmatch(r"(\w+)([$><]) (.*)", line)
        assert parts, f"docs/tutorial.md: whose is this? {line}"
        name, kind, text = parts.groups()
        if kind == "$":
            self._shell(name, text)
        elif kind == "<":
            self._see(name, text)
        elif text == "Ctrl-C":
            self._terminal(name).type("\x03")
        else:
            self._terminal(name).enter(self._actual(text))


@pytest.fixture
def classroom(tmp_path: Path) -> Iterator[Classroom]:
    has_to_be_here(IRSSI)
    if shutil.which("nc") is None:
        not_here("there is no nc with which bob could come")
    room = Classroom(tmp_path)
    yield room
    room.close()


def test_the_class_does_what_stands_there(classroom: Classroom) -> None:
    opened = 0
    for section in sections(TEXT, 2).values():
        for address in re.findall(r"`(http://[^`]+)`", section):
            assert "<title>tcpchat</title>" in classroom.opens(address)
            opened += 1
        for block in code_blocks(section, "text"):
            for line in block.splitlines():
                classroom.play(line)
    assert opened == 1
