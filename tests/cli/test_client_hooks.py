"""Programs that are run when something is said."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tcpchat_cli.terminal.hooks import MAX_RUNNING, PLACEHOLDERS, Hooks, arguments, parse_hook
from tcpchat_cli.terminal.settings import BadSettings

from tcpchat_core.notices import Said, Told
from tcpchat_core.sanitize import is_safe
from tests.cli.loops import in_loop

# A program that records how it was called: its arguments, its environment, and its stdin.
RECORDER = """
import json, os, sys
kept = {name: value for name, value in os.environ.items() if name.startswith("TCPCHAT_")}
record = json.dumps([sys.argv[2:], kept, sys.stdin.read()])
with open(sys.argv[1], "a") as file:
    file.write(record + "\\n")
print("seen by nobody", flush=True)
"""
HOSTILE = "$(touch x); \" ' `id` {nick} * | > y"


def recorder(file: Path, *arguments: str) -> tuple[str, ...]:
    return (sys.executable, "-c", RECORDER, str(file), *arguments)


def records(file: Path) -> list[Any]:
    return [json.loads(line) for line in file.read_text().splitlines()]


def said(text: str = "ada?", nick: str = "bob", at: int = 1_800_000_000_000) -> Said:
    return Said("lobby", nick, text, 7, at)


async def run_once(hooks: Hooks, message: Said | Told) -> None:
    hooks.run("on_mention", message)
    await hooks.settle()


def test_a_hook_gets_what_was_said_as_arguments_environment_and_json(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TCPCHAT_PASSWORD", "teapot")
    monkeypatch.setenv("TZ", "UTC")
    file, told = tmp_path / "record", list[str]()
    hooks = Hooks(told.append)
    hooks.set_to({"on_mention": recorder(file, "{nick}@{room}", "{text}", "--at={time}")})
    in_loop(run_once(hooks, said(HOSTILE)))
    ((argv, environment, stdin),) = records(file)
    assert argv[:2] == ["bob@lobby", HOSTILE]
    assert argv[2].startswith("--at=2027-01-15T")
    assert environment == {
        "TCPCHAT_HOOK": "on_mention",
        "TCPCHAT_HOOK_NICK": "bob",
        "TCPCHAT_HOOK_ROOM": "lobby",
        "TCPCHAT_HOOK_TEXT": HOSTILE,
        "TCPCHAT_HOOK_TIME": argv[2].removeprefix("--at="),
    }
    assert msgspec.json.decode(stdin, type=Said) == said(HOSTILE)
    assert stdin.endswith("}\n")
    assert [each.name for each in tmp_path.iterdir() if each.name in {"x", "y"}] == []
    assert not told
    assert "seen" not in "".join(capfd.readouterr())


def test_what_others_write_is_no_option_and_what_one_has_written_is(tmp_path: Path) -> None:
    file = tmp_path / "record"
    hooks = Hooks(pytest.fail)
    hooks.set_to({"on_mention": recorder(file, "{text}", "-n{text}", "{room}{text}", "x{text}")})
    in_loop(run_once(hooks, Told("bob", "--help", 1, 2**70)))
    ((argv, environment, _),) = records(file)
    assert argv == [" --help", "-n--help", " --help", "x--help"]
    assert environment["TCPCHAT_HOOK_TEXT"] == "--help"
    assert environment["TCPCHAT_HOOK_TIME"] == "", "no such time"


TEXTS = st.text(max_size=20) | st.text(
    st.sampled_from("{}nicktextroom \"'\\$`;\n\x00\x1b-\u2028\ud800"), max_size=20
)


@given(
    st.lists(st.sampled_from(["{text}", "{nick}", "a {room} b", "-x", "--", "{{text}}"])),
    st.builds(Said, TEXTS, TEXTS, TEXTS, st.integers(), st.integers()),
)
def test_a_placeholder_stays_one_argument_whatever_is_put_into_it(
    written: list[str], message: Said
) -> None:
    hook = parse_hook("on_mention", ("program", *written))
    assert hook == parse_hook(
        "on_mention", " ".join(["program", *(f"'{each}'" for each in written)])
    )
    program, *given_to_it = arguments(hook, message)
    assert program == "program"
    assert len(given_to_it) == len(written)
    for template, argument in zip(written, given_to_it, strict=True):
        assert argument.startswith("-") == template.startswith("-")
        assert is_safe(argument)
        if "{" not in template:
            assert argument == template


@pytest.mark.parametrize(
    ("written", "sentence"),
    [
        ('notify-send "{nick}', "on_mention cannot be split into arguments: no closing quotation"),
        (("notify-send", "{user}"), "on_mention: there is no {user}; there are {nick} {room} "),
        (("{nick}",), "on_mention begins with the program to run"),
        (("",), "on_mention begins with the program to run"),
        (("a", "b\0c"), "on_mention has a character in it that no argument can have"),
    ],
)
def test_a_hook_that_cannot_be_is_refused_in_a_sentence(
    written: str | tuple[str, ...], sentence: str
) -> None:
    with pytest.raises(BadSettings) as refused:
        parse_hook("on_mention", written)
    assert str(refused.value).startswith(sentence)


def test_no_hook_is_no_hook() -> None:
    assert parse_hook("on_mention", "") == parse_hook("on_mention", ()) == ()
    assert PLACEHOLDERS == ("nick", "room", "text", "time")


def test_a_program_that_is_not_there_is_told_of_once(tmp_path: Path) -> None:
    told: list[str] = []
    hooks = Hooks(told.append)
    missing = tmp_path / "nothing"
    hooks.set_to({"on_mention": (str(missing), "{text}")})

    async def three_times() -> None:
        for _ in range(3):
            await run_once(hooks, said())

    in_loop(three_times())
    assert told == [f"on_mention: cannot run {missing}: no such file or directory"]


def test_few_hooks_run_at_once_and_the_others_are_counted() -> None:
    told: list[str] = []
    hooks = Hooks(told.append)
    hooks.set_to({"on_mention": ("sleep", "100000")})

    async def flood() -> None:
        for _ in range(MAX_RUNNING + 5):
            hooks.run("on_mention", said())
        await hooks.close()
        hooks.run("on_mention", said())

    in_loop(flood())
    assert told == [f"5 hooks were not run, since {MAX_RUNNING} were running already"]


def test_a_hook_that_takes_too_long_is_killed_and_told_of_once() -> None:
    told: list[str] = []
    hooks = Hooks(told.append, limit_seconds=0)
    hooks.set_to({"on_mention": ("sleep", "100000")})

    async def twice() -> None:
        for _ in range(2):
            await run_once(hooks, said())

    in_loop(twice())
    assert told == ["on_mention: sleep took more than 0 seconds, and was killed"]


def test_what_runs_at_the_end_is_killed_with_all_that_it_started(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    hooks = Hooks(pytest.fail)
    hooks.set_to({"on_mention": ("sh", "-c", f"exec 3> {pipe}; sleep 100000 & sleep 100000")})

    async def leave() -> None:
        hooks.run("on_mention", said())
        held = await asyncio.to_thread(pipe.open)  # … until both have been started, or will not be
        await hooks.close()
        assert await asyncio.to_thread(held.read) == "", "nobody holds its other end any more"
        held.close()

    in_loop(leave())
