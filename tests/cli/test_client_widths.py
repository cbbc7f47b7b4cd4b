"""The terminal is asked how wide it shows what terminals disagree about; nobody waits for it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import tcpchat_cli.terminal.cells  # noqa: F401 # which has prompt_toolkit count as we do
from hypothesis import given
from hypothesis import strategies as st
from prompt_toolkit.utils import get_cwidth
from tcpchat_cli.terminal.widths import DOUBTS, Widths, apart, char_width, text_width

from tests.cli.conftest import Server
from tests.cli.terminal import CLIENT, LIMIT_SECONDS, Terminal

ASKED = b"\x1b[6n"


def join(server: Server, columns: int = 80) -> Terminal:
    """A client in the lobby, whose terminal has been asked and has not answered."""
    argv = [CLIENT, server.address, "--nick", "ada", "--room", "lobby"]
    opened = Terminal(argv, columns=columns)
    opened.wait_until(lambda: opened.output.count(ASKED) == len(DOUBTS), "the questions")
    opened.wait_until(lambda: opened.prompt.startswith("lobby>"), "the prompt")
    return opened


def report(columns: int) -> str:
    """What a terminal answers whose cursor stands behind so many columns."""
    return f"\x1b[7;{columns + 1}R"


def ask() -> Widths:
    """Widths, with the questions asked."""
    widths = Widths()
    widths.questions()
    return widths


def test_what_a_terminal_answers_is_how_wide_its_characters_are() -> None:
    widths = ask()
    assert [widths(char) for char in ("\ufe0f", "\U0001f1f0", "§", "\u1161")] == [1, 2, 1, 0]
    for columns in (1, 1, 2, 6):
        widths.answered(report(columns))
    assert [widths(char) for char in ("\ufe0f", "\U0001f1f0", "§", "\u1161")] == [0, 1, 2, 2]
    assert [widths(char) for char in ("a", "中", "ä", "\u0301")] == [1, 2, 1, 0]


@given(st.lists(st.integers(0, 10**9), max_size=8))
def test_whatever_a_terminal_answers_widths_are_possible_ones(columns: list[int]) -> None:
    widths = ask()
    for each in columns:
        widths.answered(report(each))
    for doubt in DOUBTS.values():
        assert all(0 <= widths(char) <= 2 for char in doubt.sample)


def test_what_nobody_asked_for_is_no_answer() -> None:
    assert not Widths().answered(report(2))


@given(st.text())
def test_prompt_toolkit_counts_as_we_do(text: str) -> None:
    if text.isprintable():
        assert sum(map(get_cwidth, text)) == text_width(text) == sum(map(char_width, text))


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("hello", "hello"),
        ("\U0001f469\u200d\U0001f467", "\U0001f469\U0001f467"),
        ("\U0001f1f0\U0001f1f7", "\U0001f1f0\u200b\U0001f1f7"),
        ("\U0001f44d\U0001f3fd!", "\U0001f44d!"),
        ("\u2764\ufe0f", "\u2764\ufe0f"),
        ("a\ufe0f", "a"),
        ("\u0915\u094d\u200d\u0937", "\u0915\u094d\u200d\u0937"),  # a joiner between letters
    ],
)
def test_parts_of_one_picture_are_shown_apart(text: str, shown: str) -> None:
    assert apart(text) == shown


def test_answers_at_once_late_and_never_leave_the_prompt_as_it_was(server: Server) -> None:
    with join(server) as ada:
        ada.type("typed")
        ada.wait_until(lambda: ada.prompt == "lobby> typed")
        answers = [1, 2, 2, 4]
        ada.type(report(answers[0]) + "x")
        ada.wait_until(lambda: ada.prompt == "lobby> typedx")
        ada.type("".join(map(report, answers[1:])) + "y")  # several at once, with a key
        ada.wait_until(lambda: ada.prompt == "lobby> typedxy")
        ada.type(report(99_999) + "z\r")  # that nobody asked for
        ada.wait_for("^.{6}ada: typedxyz$")
        assert not ada.shows(r"\[|;\d+R|§")


def test_a_terminal_with_wide_letters_has_its_rows_wrapped_by_what_it_answered(
    server: Server,
) -> None:
    with join(server, columns=41) as ada:
        for columns in (2, 2, 2, 2):
            ada.type(report(columns))
        ada.enter("§" * 20 + "x")
        fit = (40 - len("00:00 ada: ")) // 2
        ada.wait_for(rf"^\d\d:\d\d ada: §{{{fit}}}$")


def test_where_it_is_not_wanted_or_nothing_could_be_seen_nothing_is_asked(
    server: Server, own_home: Path
) -> None:
    argv = [CLIENT, server.address, "--nick", "ada", "--room", "lobby"]
    with Terminal(argv, env={"PYTHONIOENCODING": "iso8859-1"}) as ada:
        ada.wait_for("^lobby>")
        ada.enter("hello")
        ada.wait_for("ada: hello$")
        assert ASKED not in ada.output
    settings = own_home / ".config/tcpchat/client.toml"
    settings.parent.mkdir(parents=True, exist_ok=True)
    settings.write_text("ask_widths = false\n")
    with Terminal(argv) as ada:
        ada.wait_for("^lobby>")
        ada.enter("hello")
        ada.wait_for("ada: hello$")
        assert ASKED not in ada.output


@pytest.mark.parametrize("typed", ["\U0001f44d\U0001f3fd", "한국", "e\u0301"])
def test_the_cursor_stands_behind_what_is_typed(server: Server, typed: str) -> None:
    with join(server) as ada:
        for columns in (1, 2, 1, 2):  # what pyte would say
            ada.type(report(columns))
        ada.type(f"{typed}ab\x1b[D#")  # a step back, and a letter there
        ada.wait_until(lambda: ada.prompt.endswith("a#b"))
        ada.type("\r")
        ada.wait_for(r"a#b$")


def test_in_tmux_the_answers_come_from_a_terminal_and_the_prompt_is_empty(
    server: Server, tmp_path: Path
) -> None:
    tmux = shutil.which("tmux")
    assert tmux, "the tests need tmux (Debian: apt-get install tmux)"
    call = [tmux, "-S", str(tmp_path / "tmux"), "-f", "/dev/null"]
    env = {**os.environ, "LC_ALL": "C.UTF-8"}

    def run(*arguments: str) -> str:
        done = subprocess.run(
            [*call, *arguments],
            check=True,
            capture_output=True,
            text=True,
            env=env,
            timeout=LIMIT_SECONDS,
        )
        return done.stdout

    argv = [CLIENT, server.address, "--nick", "ada", "--room", "lobby"]
    with Terminal(
        [*call, "new-session", "-s", "chat", *argv], env={"TERM": "xterm-256color"}
    ) as out:
        out.wait_for("^lobby>")
        run("send-keys", "-t", "chat", "-l", "caf\u00e9 \u2764\ufe0f ok")
        run("send-keys", "-t", "chat", "Enter")
        out.wait_for("ada: caf\u00e9")
        shown = run("capture-pane", "-p", "-t", "chat")
        assert "R" not in re.sub(r"ada:.*", "", shown)
        assert "ok" in shown
        run("kill-server")
