"""docs/bots.md: the bot runs as it stands there, against a real server."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import tcpchat_net
from tcpchat_core import notices
from tcpchat_net import ChatClient
from tests.docs.pages import code_blocks, read

PAGE = read("docs/bots.md")
[BOT] = code_blocks(PAGE, "python")

LIMIT_SECONDS = 90.0

SERVER = Path(sys.executable).with_name("tcpchat-server")


@pytest.fixture
def port() -> Iterator[int]:
    with subprocess.Popen([SERVER, "--port", "0"], stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        try:
            yield int(server.stdout.readline().rpartition(":")[2])
        finally:
            server.terminate()
            server.communicate(timeout=LIMIT_SECONDS)


def test_the_bot_has_about_twenty_lines() -> None:
    assert len([line for line in BOT.splitlines() if line.strip()]) <= 20


def test_the_bot_answers_in_the_room_and_alone_and_goes_when_it_is_told(
    port: int, tmp_path: Path
) -> None:
    program = tmp_path / "clock.py"
    program.write_text(BOT, encoding="utf-8")
    bot = subprocess.Popen(
        [sys.executable, program, "127.0.0.1", str(port), "lobby"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with bot, ChatClient("127.0.0.1", port, nick="ada", timeout=LIMIT_SECONDS) as ada:
        assert bot.stdout is not None
        assert bot.stdout.readline() == "clock is in lobby\n"
        ada.join("lobby")

        ada.say("lobby", "what is the time?")
        ada.say("lobby", "!time")
        answer = ada.next_notice(LIMIT_SECONDS)
        assert isinstance(answer, notices.Said)
        assert answer.nick == "clock"
        assert re.fullmatch(r"ada, it is \d\d:\d\d", answer.text)

        ada.tell("clock", "!time")
        told = ada.next_notice(LIMIT_SECONDS)
        assert isinstance(told, notices.Told)
        assert re.fullmatch(r"it is \d\d:\d\d", told.text)

        ada.tell("clock", "!quit")
        assert ada.next_notice(LIMIT_SECONDS) == notices.Gone("clock")
        _, complaints = bot.communicate(timeout=LIMIT_SECONDS)
        assert (bot.returncode, complaints) == (0, "")


def test_every_call_of_the_client_is_on_the_page() -> None:
    public = [name for name in vars(ChatClient) if not name.startswith("_")]
    missing = [name for name in public if not re.search(rf"`[^`]*\b{name}\b[^`]*`", PAGE)]
    assert not missing, f"docs/bots.md: add {', '.join(missing)}"


def test_every_exception_of_the_runtime_is_on_the_page() -> None:
    for name in tcpchat_net.__all__:
        value = getattr(tcpchat_net, name)
        if isinstance(value, type) and issubclass(value, Exception):
            assert f"| `{name}` |" in PAGE
