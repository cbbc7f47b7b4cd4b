"""What tcpchat-client prints of itself: its version, its completion in shells, and its page of the
manual.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import Final

import msgspec

from tcpchat_cli import manual
from tcpchat_cli.about import about, packages
from tcpchat_cli.terminal import settings
from tcpchat_cli.terminal.commands import KEYS, LOCAL_COMMANDS
from tcpchat_cli.terminal.exits import MEANINGS
from tcpchat_cli.terminal.scripts import TOOLS, tool_parser
from tcpchat_cli.terminal.settings import ENVIRONMENT, FIELDS
from tcpchat_core import COMMANDS

PROGRAM: Final = "tcpchat-client"


def version() -> str:
    """The version, and what a report of a bug should have."""
    return about(PROGRAM, lambda: packages("prompt_toolkit", "msgspec"))


def manual_page(parser: argparse.ArgumentParser) -> str:
    """The page of the program."""
    return manual.page(
        PROGRAM,
        1,
        "join a chat from a terminal, or from a script",
        manual.synopsis(
            f"{PROGRAM} [OPTION]... [HOST[:PORT][,HOST[:PORT]]...]",
            *(f"{PROGRAM} {name} ..." for name in TOOLS),
        ),
        manual.section("DESCRIPTION", manual.paragraph(parser.description or "")),
        manual.section("OPTIONS", manual.options(parser)),
        manual.section("TOOLS", *(manual.tool(tool_parser(name)) for name in TOOLS)),
        manual.section(
            "COMMANDS",
            manual.paragraph(
                "What is typed is said to the room; //text says a text that begins with a slash."
                " People with nc or telnet have the same commands, but for those of this program."
            ),
            manual.items((each.usage, _told(each.summary, *each.names[1:])) for each in COMMANDS),
            manual.subsection(
                "Of this program",
                manual.items((each.usage, _told(each.summary)) for each in LOCAL_COMMANDS),
            ),
        ),
        manual.section("KEYS", *(manual.paragraph(f"{each}.") for each in KEYS)),
        manual.section(
            "ENVIRONMENT",
            manual.items(
                [(name, f"As {key} in client.toml.") for key, name in ENVIRONMENT.items()]
                + [("TCPCHAT_PASSWORD", "The password of a server that is not for everybody.")]
                + [("NO_COLOR", "No colours, if it is set to anything.")]
            ),
        ),
        manual.section(
            "FILES",
            manual.paragraph(
                "The file client.toml is read from where the system keeps a user's configuration:"
                " on Linux it is ~/.config/tcpchat/client.toml. It has these keys, each with what"
                " holds without it; the command line wins over the environment, and that over the"
                " file."
            ),
            manual.items(_keys()),
        ),
        manual.section(
            "EXIT STATUS",
            manual.items((str(status), text.replace("`", "")) for status, text in MEANINGS.items()),
        ),
        manual.section("SEE ALSO", manual.paragraph("tcpchat-server(1)")),
    )


def _told(summary: str, *others: str) -> str:
    also = f" The same: {', '.join(f'/{name}' for name in others)}." if others else ""
    return f"{manual.sentence(summary)}{also}"


def _keys() -> Iterator[manual.Item]:
    for name in FIELDS:
        default = settings.default(name)
        choices = () if isinstance(default, bool) else settings.words(name)
        allowed = f" One of {', '.join(choices)}." if choices else ""
        told = f"{manual.sentence(settings.description(name))}{allowed}"
        yield f"{name} = {msgspec.json.encode(default).decode()}", told
