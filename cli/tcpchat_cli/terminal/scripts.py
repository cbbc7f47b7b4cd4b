"""The tools for scripts and pipes: their command lines, and their course to the exit status.

The first word of tcpchat-client's command line chooses the tool, as it does for tcpchat-server. A
server that is called like a tool is written with its port (`send:7667`).

What goes wrong is one sentence on stderr, and one of the numbers of `exits`. A tool that is told to
end by a signal says how far it came. What SIGTERM and SIGHUP come to, it decides for itself; the
status of Ctrl-C is always the same.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
from collections.abc import Callable, Sequence
from types import MappingProxyType
from typing import Final, NamedTuple, Protocol

from tcpchat_cli.arguments import DEFAULT_PORT, Parser, discard_stdout
from tcpchat_cli.terminal import exits, opening, send, tail
from tcpchat_cli.terminal.address import Address, BadAddress
from tcpchat_cli.terminal.configuration import load
from tcpchat_cli.terminal.connection import Connection, ConnectionFailed
from tcpchat_cli.terminal.failures import reason
from tcpchat_cli.terminal.output import complain
from tcpchat_cli.terminal.settings import BadSettings
from tcpchat_core import TcpchatError

PROGRAM: Final = "tcpchat-client"


class Front(opening.Front, Protocol):
    """A tool at work."""

    def stopped(self, sentence: str) -> None:
        """A signal has ended it: say so where it matters, and how far it came."""

    def ended(self, sentence: str) -> None:
        """It was ended before its time: say so, and what that means."""

    @property
    def status(self) -> int:
        """The exit status."""


class Tool(NamedTuple):
    """One tool: what it does in a few words, what makes its command line, and what does it."""

    summary: str
    describe: Callable[[argparse.ArgumentParser], None]
    front: Callable[[Connection, argparse.Namespace], Front]


TOOLS: Final = MappingProxyType(
    {
        "send": Tool("say lines, and wait for their receipts", send.describe, send.Send),
        "tail": Tool("print what was said in a room, and what is said", tail.describe, tail.Tail),
    }
)


def tool_parser(name: str) -> Parser:
    """The command line of a tool."""
    parser = Parser(prog=f"{PROGRAM} {name}")
    describe(name, parser)
    return parser


def describe(name: str, parser: argparse.ArgumentParser) -> None:
    """Give a parser all that a tool takes."""
    TOOLS[name].describe(parser)
    parser.add_argument(
        "--server",
        type=opening.servers_argument,
        metavar="HOST[:PORT]|PROFILE",
        help=f"the server (port {DEFAULT_PORT} unless given), or several of one cluster with commas"
        " between, or a profile of client.toml; as TCPCHAT_SERVER or that file has it without",
    )
    opening.add_nick(parser)
    parser.add_argument(
        "--retry",
        type=_seconds,
        metavar="SECONDS",
        help="for how long to try to replace a connection that is lost:"
        f" {opening.RETRY_SECONDS} unless given, with --follow without an end; 0 not at all"
        " (the first one is tried once)",
    )
    parser.add_argument("--json", action="store_true", help="print what is told as JSON Lines")
    opening.add_tls(parser)


def _seconds(text: str) -> int:
    if text.isascii() and text.isdecimal() and len(text) <= 9:
        return int(text)
    raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds, such as 60")


def run(argv: Sequence[str]) -> int:
    """Do what a command line says, whose first word is the name of a tool. Returns the status."""
    name, *words = argv
    parser = tool_parser(name)
    arguments, unknown = parser.parse_known_intermixed_args(words)
    if unknown:
        is_word_too_many = not arguments.server and not unknown[0].startswith("-")
        hint = "; the server is given by --server" if is_word_too_many else ""
        parser.error(f"unrecognized arguments: {' '.join(unknown)}{hint}")
    # What asyncio remarks about sockets that die is not for the reader; we tell it ourselves.
    logging.getLogger("asyncio").addHandler(logging.NullHandler())
    try:
        configuration = load(opening.given(arguments), os.environ, server=arguments.server or "")
        configuration.complain()
        settings = configuration.settings
        servers = opening.addresses(settings) or (Address(),)
        connection = opening.connection_to(servers, opening.tls_context(arguments, settings))
        front = TOOLS[name].front(connection, arguments)
    except (BadAddress, BadSettings) as error:
        complain(str(error))
        return exits.USAGE
    try:
        hint = "" if settings.servers else "; no server was given: --server HOST[:PORT] does so"
        return asyncio.run(_work(connection, front, settings.nick, hint))
    except BrokenPipeError:
        discard_stdout()
        return exits.DONE
    except OSError as error:
        complain(f"cannot write to stdout: {reason(error)}")
        return exits.FAILED


async def _work(connection: Connection, front: Front, nick: str, hint: str) -> int:
    """Returns the exit status. `hint` is for who meets nobody where the connection goes."""
    try:
        return await opening.until_stopped(_open_and_talk(connection, front, nick, hint))
    except opening.Stopped as by:
        front.stopped(str(by))
        return front.status
    except asyncio.CancelledError:
        front.stopped("interrupted")
        raise


async def _open_and_talk(connection: Connection, front: Front, nick: str, hint: str) -> int:
    try:
        await connection.open()
    except (ConnectionFailed, TcpchatError) as error:
        complain(f"{error}{hint}")
        return exits.UNREACHABLE
    try:
        await opening.converse(connection, front, nick, ())
    except (ConnectionFailed, TcpchatError) as error:
        front.ended(str(error))
    return front.status
