"""The first start of tcpchat-client on a terminal: three questions, and a file if one wants it."""

from __future__ import annotations

import subprocess
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tcpchat_cli.terminal.configuration import load
from tcpchat_cli.terminal.first_start import file_text
from tcpchat_cli.terminal.settings import CHANGEABLE, Settings, config_path, description

from tests.cli.conftest import Server
from tests.cli.terminal import CLIENT, LIMIT_SECONDS, Terminal

QUESTION = r"^Keep this for the next time, in "


def answer(terminal: Terminal, server: str, nick: str, room: str) -> None:
    """Answer the three questions."""
    terminal.wait_for("-- three questions, and you are in; Enter takes what stands in brackets$")
    for prompt, text in (("Server [", server), ("Nickname [", nick), ("Room [", room)):
        terminal.wait_until(lambda prompt=prompt: terminal.prompt.startswith(prompt), prompt)  # type: ignore[misc] # mypy infers no type for a default
        terminal.enter(text)


def settings_in(home: Path) -> list[Path]:
    return [path for path in home.rglob("*") if path.is_file() and path.suffix == ".toml"]


def test_what_was_answered_is_kept_and_asked_for_no_more(server: Server) -> None:
    with Terminal([CLIENT], columns=200) as first:
        answer(first, server.address, "ada", "dev")
        first.wait_for(QUESTION)
        first.enter("")
        first.wait_for(f"^..:.. -- kept in {config_path()}; /set changes it$")
        first.wait_until(lambda: first.prompt == "dev>", "the prompt")
        assert first.shows("-- type to say something here; /help shows what else there is")
        first.enter("/set nick")
        first.wait_for(r"-- nick is ada \(from client.toml\)$")
    text = config_path().read_text()
    assert tomllib.loads(text) == {"servers": [server.address], "nick": "ada", "rooms": ["dev"]}
    with Terminal([CLIENT]) as second:
        second.wait_until(lambda: second.prompt == "dev>", "the prompt")
        assert second.shows("you are now ada$")
        second.enter("/set fold off")
        second.wait_for("fold is off$")
    lines = config_path().read_text().splitlines()
    assert lines[lines.index("# fold = true") + 1] == "fold = false"
    lines.remove("fold = false")
    assert lines == text.splitlines()


@pytest.mark.parametrize("keys", ["n\r", "no\r", "\x03", "\x04"])
def test_who_does_not_want_a_file_gets_none(own_home: Path, server: Server, keys: str) -> None:
    with Terminal([CLIENT], columns=200) as first:
        answer(first, server.address, "ada", "dev")
        first.wait_for(QUESTION)
        first.type(keys)
        if keys in {"\x03", "\x04"}:
            assert first.wait_for_exit() == 0
        else:
            first.wait_until(lambda: first.prompt == "dev>", "the prompt")
    assert settings_in(own_home) == []


def test_what_is_no_answer_is_for_the_room_and_waits_in_the_prompt(
    own_home: Path, server: Server
) -> None:
    with Terminal([CLIENT], columns=200) as first:
        answer(first, server.address, "ada", "dev")
        first.wait_for(QUESTION)
        first.enter("hello, is anybody here?")
        first.wait_for("!! that is neither y nor n, and nobody was told it$")
        first.enter("n")
        first.wait_until(lambda: first.prompt == "dev> hello, is anybody here?", "what was typed")
        first.enter("")
        first.wait_for("ada: hello, is anybody here[?]$")
    assert settings_in(own_home) == []


def test_who_mistypes_a_server_is_asked_again(server: Server) -> None:
    with Terminal([CLIENT], columns=200) as first:
        first.wait_for("^Server ")
        first.enter("127.0.0.1:1")
        first.wait_for("!! cannot connect to 127.0.0.1:1: ")
        answer(first, server.address, "ada", "dev")
        first.wait_for(QUESTION)


@pytest.mark.parametrize("questions", [0, 1, 2])
def test_who_leaves_at_a_question_leaves_no_file(
    own_home: Path, server: Server, questions: int
) -> None:
    prompts = ("Server [", "Nickname [", "Room [")
    with Terminal([CLIENT]) as first:
        for prompt, text in zip(prompts[:questions], (server.address, "ada"), strict=False):
            first.wait_until(lambda prompt=prompt: first.prompt.startswith(prompt), prompt)  # type: ignore[misc] # the same
            first.enter(text)
        first.wait_until(lambda: first.prompt.startswith(prompts[questions]))
        first.type("\x03")
        assert first.wait_for_exit() == 0
    assert settings_in(own_home) == []


def test_a_guest_who_is_not_named_is_none_in_the_file(server: Server) -> None:
    with Terminal([CLIENT], columns=200) as first:
        answer(first, server.address, "", "")
        first.wait_for(QUESTION)
        first.enter("y")
        first.wait_for("-- kept in ")
    assert tomllib.loads(config_path().read_text()) == {
        "servers": [server.address],
        "rooms": ["lobby"],
    }


def test_nothing_is_asked_and_made_where_arguments_are_given(
    own_home: Path, server: Server
) -> None:
    with Terminal([CLIENT, server.address]) as first:
        for prompt, text in (("Nickname [", "ada"), ("Room [", "dev")):
            first.wait_until(lambda prompt=prompt: first.prompt.startswith(prompt), prompt)  # type: ignore[misc] # the same
            first.enter(text)
        first.wait_until(lambda: first.prompt == "dev>", "the prompt")
        assert not first.shows(QUESTION)
    assert settings_in(own_home) == []


def test_nothing_is_asked_and_made_in_a_pipe(
    own_home: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TCPCHAT_SERVER", server.address)
    done = subprocess.run(
        [CLIENT], input="/join dev\nhello\n", text=True, timeout=LIMIT_SECONDS, check=True,
        capture_output=True,
    )  # fmt: skip
    assert "?" not in done.stdout
    assert settings_in(own_home) == []


NAMES = st.text(st.characters(codec="utf-8"), max_size=10)


@given(st.lists(NAMES, max_size=2).map(tuple), NAMES)
def test_the_file_says_what_was_answered_and_explains_every_key(
    rooms: tuple[str, ...], nick: str
) -> None:
    text = file_text({"rooms": rooms, "nick": nick})
    config_path().parent.mkdir(parents=True, exist_ok=True)
    config_path().write_bytes(text.encode())
    configuration = load({}, {})
    assert configuration.problems == ()
    assert configuration.settings == Settings(rooms=rooms, nick=nick)
    words = " ".join(text.replace("\n# ", " ").split())
    assert [name for name in CHANGEABLE if description(name) not in words] == []
    uncommented = "".join(
        line.removeprefix("# ") + "\n"
        for line in text.split("\n")
        if " = " in line or line.startswith("# [")
    )
    tomllib.loads(uncommented)
