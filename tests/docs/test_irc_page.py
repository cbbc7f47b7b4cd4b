"""docs/irc.md: its commands, its modes and its capabilities are those that there are."""

from __future__ import annotations

import re

from tcpchat_core import notices
from tcpchat_core.dialects.irc.capabilities import OFFERED
from tcpchat_core.dialects.irc.commands import COMMANDS
from tcpchat_core.dialects.irc.numerics import MAX_ROOMS, isupport
from tests.core.irc import told
from tests.docs.chat_room import play
from tests.docs.pages import code_blocks, read, sections, table

PAGE = sections(read("docs/irc.md"), 2)

# As a client of a server without limits is told them.
TOKENS = [
    token for line in told(isupport("ada", notices.Welcome("ada", "0"))) for token in line.params
]


def test_the_conversation_is_what_happens() -> None:
    [conversation] = code_blocks(PAGE["A conversation"], "text")
    play(conversation.replace("\\x01", "\x01"))


def test_the_table_of_commands_is_the_dialects_own() -> None:
    named = re.findall(r"`([A-Z]+)[^`]*`", " ".join(row[0] for row in table(PAGE["Commands"])))
    assert len(named) == len(set(named)) + 1  # MODE has two forms
    assert set(named) == {"AUTHENTICATE", "CAP", *COMMANDS}


def test_no_command_is_said_not_to_be_there_that_is() -> None:
    missing = " ".join(row[0] for row in table(PAGE["What is not here"]))
    assert not set(re.findall(r"\b[A-Z]{3,}\b", missing)) & COMMANDS.keys()
    assert not set(re.findall(r"`([a-z/-]+)`", missing)) & set(OFFERED)


def test_the_table_of_capabilities_is_the_dialects_own() -> None:
    assert [row[0] for row in table(PAGE["Capabilities"])] == [f"`{name}`" for name in OFFERED]


def test_the_modes_of_the_page_are_those_that_clients_are_told() -> None:
    [modes] = [token for token in TOKENS if token.startswith("CHANMODES=")]
    [ranks] = [token for token in TOKENS if token.startswith("PREFIX=")]
    letters = set(modes.partition("=")[2]) - {","} | set("qo")
    assert ranks == "PREFIX=(qo)~@"
    shown = re.findall(r"`\+(\w)", " ".join(row[0] for row in table(PAGE["Modes"])))
    assert set(shown) == letters


def test_the_bounds_of_the_page_are_those_of_the_dialect() -> None:
    assert f"at most {MAX_ROOMS};" in PAGE["Commands"]


def test_the_numbers_of_the_suite_add_up() -> None:
    tables = PAGE["Held by the field's test suite"].split("\n\n")
    of_files = [table(each) for each in tables if each.startswith("| file")]
    assert len(of_files) == 2
    for *files, whole in of_files:
        for place in range(1, 4):
            numbers = [[*map(int, row[place].split(", "))] for row in files if row[place] != "–"]
            assert ", ".join(f"{sum(each)}" for each in zip(*numbers, strict=True)) == whole[place]
