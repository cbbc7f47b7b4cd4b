"""What Tab offers in tcpchat-client, and what of a typed line is offered to be typed again."""

from __future__ import annotations

import pytest
from prompt_toolkit.completion import CompleteEvent
from prompt_toolkit.document import Document
from tcpchat_cli.terminal.commands import command_names, without_secrets
from tcpchat_cli.terminal.completion import ChatCompleter

from tcpchat_core import COMMANDS

NICKS, ROOMS = ["bob", "bea"], ["lobby", "den"]


def offered(typed: str) -> list[str]:
    """What the last word can become."""
    completer = ChatCompleter(lambda: NICKS, lambda: ROOMS, lambda: ["troll"])
    found = completer.get_completions(Document(typed), CompleteEvent())
    return [each.text for each in found]


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ("/own b", ["bob ", "bea "]),
        ("/mod b", ["bob ", "bea "]),
        ("/kick b", ["bob ", "bea "]),
        ("/unmute be", ["bea "]),
        ("/redact b", ["bob ", "bea "]),
        ("/kick --server b", ["bob ", "bea "]),
        ("/kick -", ["--server"]),
        ("/kick bob -", ["--server"]),
        ("/kick bob spam for b", ["bob ", "bea "]),
        ("/unban bob ", ["--server"]),
        ("/unban bob --server ", []),
        ("/mute bob 10m --s", ["--server"]),
        ("/ban --server bob -", []),
        ("/mod bob -", []),
        ("/bans ", ["--server"]),
        ("/mutes --", ["--server"]),
        ("/bans --server ", []),
        ("/keep ", ["on", "off"]),
        ("/keep of", ["off"]),
        ("/moderated o", ["on", "off"]),
        ("/private ", ["on", "off"]),
        ("/private on ", []),
        ("/slow o", ["off"]),
        ("/join l", ["lobby"]),
        ("/join den b", []),
        ("/names d", ["den"]),
        ("/claim b", []),
        ("/login b", []),
        ("/secret b", []),
        ("/devices b", []),
        ("/unignore t", ["troll"]),
        ("/me waves to b", ["bob ", "bea "]),
        ("hello b", ["bob ", "bea "]),
        ("b", ["bob: ", "bea: "]),
        ("/search tea in l", ["lobby "]),
        ("/search tea from bo", ["bob "]),
        ("/nonsense b", []),
    ],
)
def test_tab_offers_what_can_stand_there(typed: str, words: list[str]) -> None:
    assert offered(typed) == words


def test_tab_offers_every_command() -> None:
    assert offered("/") == [f"/{name} " for name in sorted(command_names())]
    assert {f"/{command.names[0]} " for command in COMMANDS} <= {*offered("/")}


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        ("/claim a1b2c-3d4e5 phone", "/claim"),
        ("/LOGIN 5f0c", "/LOGIN"),
        ("/login ada correct horse", "/login"),
        ("/password correct horse", "/password"),
        ("/secret teapot", "/secret"),
        ("/join den a1b2c", "/join den"),
        ("/room  den a1b2c", "/room den"),
        ("/join", "/join"),
        ("/msg bob /claim it", "/msg bob /claim it"),
        ("//claim it", "//claim it"),
        ("claim it", "claim it"),
    ],
)
def test_what_lets_people_in_is_not_offered_again(typed: str, kept: str) -> None:
    assert without_secrets(typed) == kept
