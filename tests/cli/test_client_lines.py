"""tcpchat-client in a pipe: plain lines in and out, and an exit status to rely on."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from tests.cli.conftest import Server, running_server
from tests.cli.terminal import CLIENT, LIMIT_SECONDS, Terminal


def run(server: Server, typed: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The client with that on its stdin, to its end."""
    return subprocess.run(
        [CLIENT, server.address, *arguments],
        input=typed,
        capture_output=True,
        text=True,
        timeout=LIMIT_SECONDS,
        check=False,
    )


def read_until_it_has_joined(client: subprocess.Popen[str]) -> None:
    """Read what a client prints, up to that."""
    assert client.stdout is not None
    line = ""
    while "You joined lobby" not in line:
        line = client.stdout.readline()
        assert line, "it ended before"


def test_a_script_says_its_lines_waits_for_the_receipts_and_ends(server: Server) -> None:
    listener = subprocess.Popen(
        [CLIENT, server.address, "--nick", "ear", "--room", "lobby"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    read_until_it_has_joined(listener)
    said = run(server, "hello\nwithout an end", "--nick", "bot", "--room", "lobby")
    assert (said.returncode, said.stderr) == (0, "")
    heard = listener.communicate("/quit\n", timeout=LIMIT_SECONDS)[0].splitlines()
    assert heard == [
        "* bot joined lobby",
        "[lobby] bot: hello",
        "[lobby] bot: without an end",
        "* bot quit",
    ]
    assert listener.returncode == 0


def test_a_file_goes_through_in_order(tmp_path: Path) -> None:
    lines = [f"line {number}" for number in range(200)]
    script = tmp_path / "script"
    script.write_text("\n".join([*lines, "/history 200"]) + "\n")
    # More than a server takes at once, so the pace is the server's; without its limit of lines a
    # second, or the test would take most of a minute.
    with running_server("--flood-rate", "0") as server, script.open() as stdin:
        said = subprocess.run(
            [CLIENT, server.address, "--nick", "bot", "--room", "lobby"],
            stdin=stdin,
            capture_output=True,
            text=True,
            timeout=LIMIT_SECONDS,
            check=True,
        )
    history = [line for line in said.stdout.splitlines() if line.startswith("[lobby]")]
    assert history == [f"[lobby] bot: {line}" for line in lines]


def test_commands_work_and_rooms_may_be_joined_by_a_line(server: Server) -> None:
    told = run(server, "/join dev\n/topic tea\nsaid\n/rooms\n/who\n", "--nick", "bot")
    assert (told.returncode, told.stderr) == (0, "")
    assert told.stdout.splitlines() == [
        "* You are now bot",
        "* You joined dev (1 here: bot).",
        "* The topic of dev, set by bot: tea",
        "* dev (1): tea",
        "* 1 in dev: bot. Moderators: bot",
    ]


def test_a_refused_nickname_or_room_is_one_sentence_and_exit_1(server: Server) -> None:
    for arguments, sentence in (
        (("--nick", "two words"), "a nickname cannot contain spaces"),
        (("--nick", "bot", "--room", "a b"), "a room name cannot contain spaces"),
        (("--nick", "x" * 40_000), "a line has at most 32,768 bytes"),
    ):
        refused = run(server, "hello\n", *arguments)
        assert (refused.returncode, refused.stderr) == (1, f"tcpchat-client: {sentence}\n")


def test_a_refused_line_is_told_and_the_others_are_said(server: Server) -> None:
    long = "x" * 40_000
    told = run(
        server, f"before\n/bogus\n{long}\nafter\n/history\n", "--nick", "bot", "--room", "lobby"
    )
    assert told.returncode == 1
    assert told.stderr.splitlines() == [
        "tcpchat-client: there is no command /bogus; /help lists the commands",
        "tcpchat-client: a line has at most 32,768 bytes",
    ]
    assert [line for line in told.stdout.splitlines() if line.startswith("[")] == [
        "[lobby] bot: before",
        "[lobby] bot: after",
    ]


def test_a_reader_that_goes_away_ends_the_client_without_a_word(server: Server) -> None:
    command = f"yes /who | {CLIENT} {server.address} --nick bot --room lobby | head -n 1"
    done = subprocess.run(
        ["sh", "-c", command], capture_output=True, text=True, timeout=LIMIT_SECONDS, check=False
    )
    assert done.stdout.splitlines() == ["* You are now bot"]
    assert "Traceback" not in done.stderr


def test_closed_streams_are_no_reason_for_a_traceback(server: Server) -> None:
    for number, redirection in enumerate(("<&-", ">&-", "2>&-", "</dev/null")):
        command = f"{CLIENT} {server.address} --nick bot{number} --room lobby {redirection}"
        done = subprocess.run(
            ["sh", "-c", command],
            input="hello\n",
            capture_output=True,
            text=True,
            timeout=LIMIT_SECONDS,
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, ""), redirection


def test_a_terminal_that_cannot_move_its_cursor_gets_lines_and_questions(server: Server) -> None:
    with Terminal([CLIENT, server.address], env={"TERM": "dumb"}) as dumb:
        dumb.wait_for(r"^Nickname \[guest-1\]:")
        dumb.enter("two words")
        dumb.wait_for("^! a nickname cannot contain spaces$")
        dumb.enter("ada")
        dumb.wait_for(r"Room \[lobby\]:")
        dumb.enter("")
        dumb.wait_for(r"^\* you are in lobby with nobody else$")
        dumb.enter("/bogus")
        dumb.wait_for("^! there is no command /bogus")
        dumb.enter("/quit")
        assert dumb.wait_for_exit() == 0
        assert b"\x1b" not in dumb.output


def test_on_a_terminal_the_lines_are_coloured_unless_no_color_says_otherwise(
    server: Server,
) -> None:
    command = f"{CLIENT} {server.address} --room lobby </dev/null"
    with Terminal(["sh", "-c", command]) as coloured:
        assert coloured.wait_for_exit() == 0
        assert b"\x1b[2m* You joined lobby" in coloured.output
    with Terminal(["sh", "-c", command], env={"NO_COLOR": "1"}) as plain:
        assert plain.wait_for_exit() == 0
        assert b"\x1b" not in plain.output


def test_json_prints_every_notice_as_it_came(server: Server) -> None:
    told = run(server, "hello\n/nick two words\n", "--nick", "bot", "--room", "lobby", "--json")
    notices = [json.loads(line) for line in told.stdout.splitlines()]
    assert told.returncode == 1  # a name with a blank was refused
    kinds = [notice["type"] for notice in notices if notice["type"] not in {"pong", "rejected"}]
    assert kinds == ["welcome", "renamed", "entered", "sent", "closing"]
    assert [notice["reason"] for notice in notices if "request" in notice] == ["bad-usage"]
    assert told.stderr.startswith("tcpchat-client: usage: /nick NAME")


def test_a_server_that_goes_away_ends_a_script(server: Server) -> None:
    client = subprocess.Popen(
        [CLIENT, server.address, "--nick", "bot", "--room", "lobby"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    read_until_it_has_joined(client)
    server.stop()
    assert client.communicate(timeout=LIMIT_SECONDS)[1] == (
        "tcpchat-client: the server closed the connection: the server is shutting down\n"
    )
    assert client.returncode == 1


def test_a_password_comes_from_the_environment(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    secret = tmp_path / "password"
    secret.write_text("open sesame\n")
    with running_server("--password-file", str(secret)) as server:
        without = run(server, "hello\n", "--room", "lobby")
        assert (without.returncode, without.stderr) == (
            1,
            "tcpchat-client: this server has a password: say it first\n",
        )
        monkeypatch.setenv("TCPCHAT_PASSWORD", "open sesame")
        assert run(server, "hello\n", "--room", "lobby").returncode == 0
