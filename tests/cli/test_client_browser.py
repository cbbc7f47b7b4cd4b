"""Which program goes where an address goes, and how it is run."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path

import pytest
from tcpchat_cli.terminal.browser import CannotOpen, command_for, start

from tests.cli.loops import in_loop

ADDRESS = "https://example.org/a?b=c&d=$(e);f"


def on_path(folder: Path, name: str) -> str:
    program = folder / name
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    return str(folder)


def test_the_program_that_is_set_gets_the_address_in_its_place() -> None:
    wanted = ["firefox", "--new-tab", "{}", "--title={}"]
    command = command_for(ADDRESS, wanted, {})
    assert command == ["firefox", "--new-tab", ADDRESS, f"--title={ADDRESS}"]


def test_where_there_is_a_display_the_platform_opens_it(tmp_path: Path) -> None:
    environment = {"DISPLAY": ":0", "PATH": on_path(tmp_path, "xdg-open")}
    assert command_for(ADDRESS, [], environment, "linux") == ["xdg-open", ADDRESS]
    assert command_for(ADDRESS, [], {}, "darwin") == ["open", ADDRESS]


@pytest.mark.parametrize(
    ("platform", "wanted", "environment", "why"),
    [
        ("linux", [], {"PATH": "/nowhere"}, "there is no display here"),
        (
            "linux",
            [],
            {"WAYLAND_DISPLAY": "wayland-0", "PATH": "/nowhere"},
            "there is no xdg-open here",
        ),
        ("darwin", [], {"SSH_CONNECTION": "1 2 3 4"}, "there is no display here"),
        (
            "linux",
            ["firefox"],
            {"DISPLAY": ":0"},
            'the setting open has no "{}" behind the program',
        ),
        ("linux", ["{}"], {"DISPLAY": ":0"}, 'the setting open has no "{}" behind the program'),
    ],
)
def test_what_cannot_be_opened_is_said_in_one_sentence(
    platform: str, wanted: list[str], environment: Mapping[str, str], why: str
) -> None:
    with pytest.raises(CannotOpen, match=why):
        command_for(ADDRESS, wanted, environment, platform)


def test_a_program_that_fails_is_told_and_nobody_waits_for_one_that_runs(tmp_path: Path) -> None:
    seen = tmp_path / "seen"

    async def run() -> str:
        told: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        start(["sh", "-c", f'echo "$1" > {seen}; exit 3', "sh", ADDRESS], told.set_result)
        return await told

    assert in_loop(run()) == "sh ended with status 3"
    assert seen.read_text() == f"{ADDRESS}\n"

    async def run_none() -> None:
        start([str(tmp_path / "none"), ADDRESS], pytest.fail)

    with pytest.raises(CannotOpen, match=r"cannot run .*none: no such file"):
        in_loop(run_none())
