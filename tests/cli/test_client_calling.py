"""Being called, as a real terminal has it: what is sent to it, and what is left on it."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from tcpchat_cli.terminal.settings import config_path

from tests.cli.cable import cable_to
from tests.cli.conftest import Server, has_to_be_here, running_server
from tests.cli.serving import Talker
from tests.cli.terminal import CLIENT, LIMIT_SECONDS, Terminal

# What a terminal sends when its window gets the focus, and when it loses it …
IN, OUT = "\x1b[I", "\x1b[O"

# … what it is sent so that it does, and does not any more …
REPORT, REPORT_NO_MORE = b"\x1b[?1004h", b"\x1b[?1004l"

# … and so that its title is kept, and is its own again.
KEEP_TITLE, TITLE_BACK = b"\x1b[22;2t", b"\x1b]2;\a\x1b[23;2t"


@pytest.fixture
def server() -> Iterator[Server]:
    """Without a limit of lines a second; who goes is gone at once."""
    with running_server("--flood-rate", "0", "--grace", "0") as started:
        yield started


def configure(text: str) -> None:
    """Write client.toml."""
    path = config_path()
    path.parent.mkdir(parents=True)
    path.write_text(text)


@contextmanager
def ada_and(
    server: Server, nick: str, env: Mapping[str, str] | None = None
) -> Iterator[tuple[Terminal, Talker]]:
    """Ada in the lobby with the client, and another one with nc."""
    with ExitStack() as stack:
        argv = [CLIENT, server.address, "--nick", "ada", "--room", "lobby"]
        ada = stack.enter_context(Terminal(argv, env=env, columns=160))
        ada.wait_for("^lobby>")
        other = stack.enter_context(Talker(server.address, f"/nick {nick}\n/join lobby\n"))
        ada.wait_for(f"{nick} joined")
        yield ada, other


def looks_away(terminal: Terminal) -> None:
    """The window loses the focus, and the client knows: it has seen what is typed behind that."""
    terminal.type(f"{OUT}.")
    terminal.wait_until(lambda: terminal.prompt == "lobby> .", "a key behind the report")
    terminal.type("\x15")  # Ctrl-U


def rung(terminal: Terminal) -> int:
    """How often the bell rang: a BEL that ends no sequence."""
    return re.sub(rb"\x1b\][^\a\x1b]*\a", b"", terminal.output).count(b"\a")


def test_a_mention_is_bold_and_rings_unless_one_looks_or_it_is_off(server: Server) -> None:
    with ada_and(server, "bob") as (ada, bob):
        bob.send("talking of adam\nAda: you look\n")
        ada.wait_for("you look$")
        assert not ada.style("talking of adam").bold
        assert ada.style("Ada: you").bold
        assert rung(ada) == 0
        looks_away(ada)
        bob.send("ada?\n")
        ada.wait_until(lambda: rung(ada) == 1, "the bell")
        bob.send("ada? ada!\n")
        ada.wait_for("ada!$")
        assert rung(ada) == 1, "not again so soon"
        ada.enter("/set bell off")
        ada.wait_for("notify is off$")
        bob.send("/msg ada psst\n")
        ada.wait_for("@bob!1")
        assert rung(ada) == 1


def test_a_highlight_calls_once_it_is_set(server: Server) -> None:
    with ada_and(server, "bob") as (ada, bob):
        bob.send("deploy one\n")
        ada.wait_for("deploy one$")
        ada.enter("/set highlight deploy, on call")
        ada.wait_for("highlight is deploy, on call$")
        bob.send("Deploy two\nwho is ON  CALL?\ndeploys\n")
        ada.wait_for("deploys$")
        bold = [ada.style(text).bold for text in ("deploy one", "Deploy two", "who is", "deploys")]
        assert bold == [False, True, True, False]
        ada.enter(f"/set highlight {'x' * 65}")
        ada.wait_for("!! a highlight has from 1 to 64 characters$")


@pytest.mark.parametrize(
    ("settings", "env", "sent"),
    [
        ('notify = "osc9"', {}, b"\x1b]9;tcpchat: bob in lobby\a"),
        ('notify = "osc777"', {}, b"\x1b]777;notify;tcpchat;bob in lobby\a"),
        ("", {"TERM_PROGRAM": "iTerm.app"}, b"\x1b]9;tcpchat: bob in lobby\a"),
        (
            "notify_text = true",
            {"TERM": "xterm-kitty"},
            b"\x1b]99;;tcpchat: bob in lobby: ada, tea?\a",
        ),
        (
            'notify = "osc9"',
            {"TMUX": "/run/tmux/default,1,0"},
            b"\x1bPtmux;\x1b\x1b]9;tcpchat: bob in lobby\a\x1b\\",
        ),
        ('notify = "osc9"', {"STY": "1.pts-0"}, b"\x1bP\x1b]9;tcpchat: bob in lobby\a\x1b\\"),
    ],
)  # fmt: skip
def test_a_notification_is_what_the_terminal_understands(
    server: Server, settings: str, env: dict[str, str], sent: bytes
) -> None:
    configure(settings)
    with ada_and(server, "bob", env) as (ada, bob):
        looks_away(ada)
        bob.send("ada, tea?\n")
        ada.wait_until(lambda: sent in ada.output, f"{sent!r}")
        assert rung(ada) == 0


def test_the_focus_is_never_typed_and_not_asked_for_any_more_at_the_end(server: Server) -> None:
    with ada_and(server, "bob") as (ada, bob):
        assert ada.output.count(REPORT) == 1
        ada.type(f"ha{OUT}l{IN}{OUT}f")
        ada.wait_until(lambda: ada.prompt == "lobby> half")
        bob.send("tea\n")
        ada.wait_until(lambda: ada.screen.title == "tcpchat: lobby (1)")
        ada.type("\x15")
        ada.enter("/quit")
        assert ada.wait_for_exit() == 0
        assert ada.output.index(REPORT) < ada.output.index(REPORT_NO_MORE)
        assert ada.output.count(REPORT_NO_MORE) == 1


def test_the_title_says_what_is_new_and_is_given_back(server: Server) -> None:
    with ada_and(server, "bob") as (ada, bob):
        assert ada.output.count(KEEP_TITLE) == 1
        ada.wait_until(lambda: ada.screen.title == "tcpchat: lobby")
        looks_away(ada)
        bob.send("tea\nada?\n/msg ada psst\n")
        ada.wait_until(lambda: ada.screen.title == "tcpchat: lobby (3, 2 for you)")
        ada.type(IN)
        ada.wait_until(lambda: ada.screen.title == "tcpchat: lobby (1, 1 for you)", "@bob's alone")
        ada.type("\x1b2")
        ada.wait_until(lambda: ada.screen.title == "tcpchat: @bob")
        ada.enter("/set title off")
        ada.wait_until(lambda: ada.screen.title == "")
        assert ada.output.count(TITLE_BACK) == 1
        ada.enter("/set title on")
        ada.wait_until(lambda: ada.screen.title == "tcpchat: @bob")
        ada.child.kill(signal.SIGTERM)
        assert ada.wait_for_exit() == 0
        assert ada.output.count(TITLE_BACK) == 2
        assert ada.output.count(REPORT_NO_MORE) == 1


def test_who_is_suspended_leaves_the_terminal_as_it_was(server: Server) -> None:
    client = f"{CLIENT} {server.address} --nick ada --room lobby"
    with Terminal(["sh", "-ic", f"{client}; echo suspended; read line; fg"]) as ada:
        ada.wait_for("^lobby>")
        ada.wait_until(lambda: ada.screen.title == "tcpchat: lobby")
        ada.type("\x1a")
        ada.wait_for("^suspended")
        assert ada.output.count(REPORT_NO_MORE) == ada.output.count(TITLE_BACK) == 1
        ada.enter("")
        ada.wait_until(lambda: ada.screen.title == "tcpchat: lobby")
        assert ada.output.count(REPORT) == 2
        ada.enter("/quit")
        ada.wait_until(lambda: ada.output.count(REPORT_NO_MORE) == 2)


def test_what_has_called_one_is_listed_also_from_before_one_came(server: Server) -> None:
    with Talker(server.address, "/nick bob\n/join lobby\n") as early:
        early.send("ada, are you there?\n/me waits for ADA\ntea\n/who\n")
        early.read_until("* 1 in lobby")
        with ada_and(server, "eve") as (ada, eve):
            eve.send("/msg ada psst\n")
            ada.wait_for("@eve!1")
            ada.enter("/mentions")
            ada.wait_for(r"-- 3 messages called you, newest last; /goto N goes there$")
            ada.wait_for(r"^1 \d{4}-\d\d-\d\d \d\d:\d\d \[lobby\] bob: ada, are you there\?$")
            ada.wait_for(r"^2 .* \[lobby\] \* bob waits for ADA$")
            ada.wait_for(r"^3 .* \[eve → you\] psst$")
            ada.enter("/goto 2")
            ada.wait_for("here it is")
            ada.enter("/goto 3")
            ada.wait_until(lambda: ada.prompt == "@eve>")


# Says how it was called, to whoever opens the pipe.
HOOK = """
import os, sys
print("not for the screen", flush=True)
with open(sys.argv[1], "w") as pipe:
    print([sys.argv[2:], os.environ["TCPCHAT_HOOK"], sys.stdin.read()], file=pipe)
"""


def test_a_program_is_run_for_what_is_said_and_not_for_what_was(
    server: Server, tmp_path: Path
) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    argv = json.dumps([sys.executable, "-c", HOOK, str(pipe), "{nick}", "{room}", "{text}"])
    configure(f"on_mention = {argv}\non_direct = '{tmp_path}/nothing \"{{text}}\"'\n")
    hostile = '$(touch x); "'
    with Talker(server.address, "/nick eve\n/join lobby\n") as eve:
        eve.send("ada, before\n/who\n")
        eve.read_until("* 1 in lobby")
        with ada_and(server, "bob") as (ada, bob):
            ada.wait_for("ada, before$")
            bob.send(f"ada {hostile}\n/msg ada psst\n")
            told = pipe.read_text()
            ada.wait_for(r"!! on_direct: cannot run .*/nothing: no such file or directory")
            assert not ada.shows("not for the screen")
    assert told.startswith(
        f"[['bob', 'lobby', 'ada {hostile}'], 'on_mention', '{{\"type\":\"said\""
    )
    assert not [each for each in (*tmp_path.iterdir(), *Path().iterdir()) if each.name == "x"]


def test_what_was_missed_while_the_connection_was_lost_is_listed_and_runs_nothing(
    tmp_path: Path,
) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    configure(f"on_mention = {json.dumps([sys.executable, '-c', HOOK, str(pipe), '{text}'])}\n")
    with (
        running_server() as server,
        cable_to(server.address) as plug,
        Terminal([CLIENT, plug.address, "--nick", "ada", "--room", "lobby"]) as ada,
        Talker(server.address, "/nick bob\n/join lobby\n") as bob,
    ):
        ada.wait_for("in lobby with bob|bob joined")
        plug.pull()
        ada.wait_for("reconnecting")
        bob.send("ada, missed\n/who\n")
        bob.read_until("* 2 in lobby")
        plug.put_back()
        ada.wait_for("ada, missed$")
        bob.send("ada, now\n")
        told = pipe.read_text()
        assert "ada, now" in told
        assert "missed" not in told
        ada.enter("/mentions")
        ada.wait_for(r"^1 .* bob: ada, missed$")
        ada.wait_for(r"^2 .* bob: ada, now$")


def test_a_wrong_hook_is_told_of_before_one_comes_in() -> None:
    configure('on_mention = ["notify-send", "{user}"]\n')
    refused = subprocess.run(
        [CLIENT], input="", capture_output=True, text=True, timeout=LIMIT_SECONDS, check=False
    )
    assert refused.returncode == 1
    assert refused.stderr == (
        f"tcpchat-client: {config_path()}: on_mention: there is no {{user}}; there are {{nick}}"
        " {room} {text} {time}\n"
    )


def test_tmux_passes_a_notification_on_where_it_may(server: Server, tmp_path: Path) -> None:
    has_to_be_here(tmux := shutil.which("tmux"), "tmux")
    rules = tmp_path / "tmux.conf"
    rules.write_text(
        "set -g allow-passthrough on\nset -g focus-events on\nset -g status off\n"
        "set -g set-titles on\nset -g set-titles-string '#T'\nset -g destroy-unattached on\n"
        "set -g update-environment ''\n"
    )
    configure('notify = "osc777"\n')
    inside = [CLIENT, server.address, "--nick", "ada", "--room", "lobby"]
    argv = [str(tmux), "-S", str(tmp_path / "socket"), "-f", str(rules), "new-session", *inside]
    with Terminal(argv) as ada, Talker(server.address, "/nick bob\n/join lobby\n") as bob:
        ada.wait_for("^lobby>")
        ada.wait_until(lambda: ada.screen.title == "tcpchat: lobby", "the title, by way of tmux")
        looks_away(ada)
        bob.send("tea\n")
        ada.wait_until(lambda: ada.screen.title == "tcpchat: lobby (1)", "that nobody looks")
        bob.send("ada?\n")
        sent = b"\x1b]777;notify;tcpchat;bob in lobby\a"
        ada.wait_until(lambda: sent in ada.output, "the notification, unwrapped")
        assert b"tmux;" not in ada.output
        ada.enter("/quit")
        assert ada.wait_for_exit() == 0
