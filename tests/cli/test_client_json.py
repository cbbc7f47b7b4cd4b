"""tcpchat-client --json: requests in, notices out, and each line of stdin answered."""

from __future__ import annotations

import json
import subprocess
from typing import Any

import pytest

from tests.cli.conftest import Server
from tests.cli.terminal import CLIENT, LIMIT_SECONDS


def talk(
    server: Server, *lines: object, env: dict[str, str] | None = None
) -> tuple[int, list[dict[str, Any]], list[str]]:
    """The exit status, the notices but for what everybody is told at first, and the complaints.

    What is no text among the lines is written as JSON.
    """
    typed = "".join(f"{each if isinstance(each, str) else json.dumps(each)}\n" for each in lines)
    command = ["env", *(f"{name}={value}" for name, value in (env or {}).items()), CLIENT]
    done = subprocess.run(
        [*command, server.address, "--nick", "bot", "--room", "lobby", "--json"],
        input=typed.encode(),
        capture_output=True,
        timeout=LIMIT_SECONDS,
        check=False,
    )
    told = [json.loads(line) for line in done.stdout.decode("utf-8").split("\n")[:-1]]
    kinds = [each["type"] for each in told]
    assert kinds[0] == "welcome"
    assert kinds[-1] == "closing"
    first = kinds.index("entered") + 1
    return done.returncode, told[first:-1], done.stderr.decode().splitlines()


def test_an_answer_has_the_id_of_its_request_whatever_its_type(server: Server) -> None:
    status, told, complaints = talk(
        server,
        {"type": "who", "room": "lobby", "id": "a"},
        {"type": "say", "room": "", "text": "x", "id": "b"},
        {"type": "who", "room": "lobby"},
        {"type": "ping", "id": "c"},
        {"type": "who", "room": "lobby", "id": "a"},
        {"type": "history", "room": "lobby", "id": 'quoted "d" ä'},
        {"type": "join", "room": "dev", "id": "e"},
        {"type": "out", "room": "dev", "id": "f"},
    )
    assert (status, complaints) == (0, [])
    assert [(each["type"], each.get("id")) for each in told] == [
        ("who", "a"), ("sent", "b"), ("who", None), ("pong", "c"), ("who", "a"),
        ("history", 'quoted "d" ä'), ("entered", "e"), ("left", "f"),
    ]  # fmt: skip


def test_what_is_wrong_is_rejected_with_its_id_and_the_rest_is_done(server: Server) -> None:
    status, told, complaints = talk(
        server,
        {"type": "brew", "id": "1"},
        {"type": "say", "room": "lobby", "id": "2"},
        '{"type":',
        "{}",
        {"type": "say", "room": "lobby", "text": "x", "id": "y" * 65},
        {"type": "say", "room": "lobby", "text": "x", "id": "line-3"},
        {"type": "say", "room": "lobby", "text": "z" * 33_000, "id": "3"},
        {"type": "say", "room": "lobby", "text": "z" * 3_000, "id": "4"},
        {"type": "hello", "id": "5"},
        {"type": "kick", "room": "lobby", "nick": "nobody", "id": "6"},
        {"type": "topic", "room": "other", "id": "7"},
        {"type": "nick", "nick": "a b", "id": "8"},
        "/bogus",
        {"type": "say", "room": "lobby", "text": "still said", "id": "9"},
        {"type": "signal", "room": "lobby", "tags": {"typing": "active"}},
    )
    assert status == 1
    rejected = [each for each in told if each["type"] == "rejected"]
    assert len(told) == len(rejected) + 2
    assert len(complaints) == len(rejected) == 13
    assert {each.get("id") for each in rejected} == {
        "1", "2", None, "y" * 65, "line-3", "line-7", "4", "5", "6", "7", "8",
    }  # fmt: skip
    assert {each["type"]: each.get("id") for each in told[-2:]} == {"sent": "9", "signalled": None}


def test_what_has_the_id_of_another_message_is_not_said(server: Server) -> None:
    say = {"type": "say", "room": "lobby", "text": "x", "id": "1"}
    status, told, _ = talk(server, say, {**say, "text": "y"}, {"type": "history", "room": "lobby"})
    [history] = [each for each in told if each["type"] == "history"]
    # Where the first has its receipt already, the server gives it once more.
    kinds = sorted(each["type"] for each in told if each is not history)
    assert kinds == (["rejected", "sent"] if status else ["sent", "sent"])
    assert [each["text"] for each in history["messages"]] == ["x"]


def test_lines_for_people_are_taken_as_well(server: Server) -> None:
    status, told, _ = talk(server, "hello", "", "/who", "//slash", {"type": "quit"}, "unheard")
    assert status == 0
    assert [(each["type"], each.get("id")) for each in told] == [
        ("sent", "line-1"), ("who", None), ("sent", "line-4"),
    ]  # fmt: skip


@pytest.mark.parametrize("locale", ["C", "C.UTF-8"])
def test_it_is_utf_8_whatever_the_locale_is(server: Server, locale: str) -> None:
    env = {"LC_ALL": locale, "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    topic = {"type": "topic", "room": "lobby", "topic": "茶 \N{SNOWMAN}"}
    _, told, _ = talk(server, topic, env=env)
    assert [each["topic"] for each in told] == ["茶 \N{SNOWMAN}"]
