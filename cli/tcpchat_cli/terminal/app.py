"""The command line of tcpchat-client, and its course from connecting to the exit status."""

from __future__ import annotations

import argparse
import asyncio
import gc
import logging
import os
import ssl
import sys
from collections.abc import Sequence
from contextlib import suppress
from functools import partial

from tcpchat_cli.arguments import DEFAULT_PORT, Parser, Print, discard_stdout, print_text
from tcpchat_cli.terminal import first_start, opening, reference, scripts
from tcpchat_cli.terminal.address import Address, BadAddress, parse_servers, show_servers
from tcpchat_cli.terminal.configuration import Configuration, load
from tcpchat_cli.terminal.connection import Connection, ConnectionFailed, PasswordNeeded, Refused
from tcpchat_cli.terminal.display import Display
from tcpchat_cli.terminal.jsonlines import JsonLines
from tcpchat_cli.terminal.linear import Linear
from tcpchat_cli.terminal.lines import Lines
from tcpchat_cli.terminal.output import complain
from tcpchat_cli.terminal.panes import Panes
from tcpchat_cli.terminal.render import Renderer
from tcpchat_cli.terminal.screen import Screen
from tcpchat_cli.terminal.scripts import TOOLS
from tcpchat_cli.terminal.settings import (
    ENVIRONMENT,
    BadSettings,
    Settings,
    config_path,
    last_servers,
    remember_servers,
)
from tcpchat_cli.terminal.surface import Leave, Surface
from tcpchat_core import TcpchatError, events


def run(argv: Sequence[str]) -> int:
    """Talk, as the command line says. Returns the exit status."""
    arguments = _parser().parse_args(argv)
    # What asyncio remarks about sockets that die is not for the screen; we tell it ourselves.
    logging.getLogger("asyncio").addHandler(logging.NullHandler())
    is_first = first_start.is_first(argv, os.environ)
    try:
        configuration = load(opening.given(arguments), os.environ, server=arguments.server or "")
        if arguments.check_config:
            return _check(arguments, configuration)
        configuration.complain()
        if arguments.profiles:
            print_text("tcpchat-client", "".join(f"{each}\n" for each in configuration.profiles))
            return 0
        tls = opening.tls_context(arguments, configuration.settings)
        # What is loaded stays: to look through all of it for garbage, again and again, takes longer
        # than a key may wait.
        gc.freeze()
        return asyncio.run(
            _talk(configuration, tls, _claim(arguments), json=arguments.json, is_first=is_first)
        )
    except ConnectionFailed as error:
        near = configuration.near_profile(arguments.server or "")
        hint = f"; did you mean the profile {near}?" if near else ""
        complain(f"{error}{hint}")
        return 1
    except (BadAddress, BadSettings, TcpchatError) as error:
        complain(str(error))
        return 1
    except BrokenPipeError:
        discard_stdout()
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="tcpchat-client",
        description="Join a chat. On a terminal it asks for what you do not give; in a pipe it "
        "says each line of stdin to the room and ends when all of them are received. For scripts "
        f"there are tools: tcpchat-client {'|'.join(TOOLS)} --help.",
        epilog=f"Also read: {', '.join(ENVIRONMENT.values())} and TCPCHAT_PASSWORD from the "
        f"environment, and {config_path()}.",
    )
    parser.add_argument(
        "server",
        nargs="?",
        type=opening.servers_argument,
        metavar="HOST[:PORT]|PROFILE",
        help=f"the server (port {DEFAULT_PORT} unless given; an IPv6 address in brackets), or "
        "several of one cluster with commas between: the first that answers is used, and when "
        "it is lost the next; or the name of a profile in client.toml",
    )
    _add_flags(parser)
    return parser


def _add_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--profiles", action="store_true", help="list the profiles of client.toml, and exit"
    )
    parser.add_argument(
        "--check-config",
        action="store_true",
        help="print all settings and what gives them, say what is wrong, and exit",
    )
    opening.add_nick(parser)
    parser.add_argument("--room", metavar="ROOM[,ROOM]", help="the rooms to join")
    parser.add_argument(
        "--claim",
        metavar="CODE",
        help="make this computer a device of an account, by a code that you were given; it comes "
        "as who owns the account from then on",
    )
    parser.add_argument(
        "--device", metavar="NAME", help="with --claim, what to call it (as the computer is called)"
    )
    parser.add_argument(
        "--full-screen",
        action=argparse.BooleanOptionalAction,
        help="take all of the screen: the rooms at the left, the people at the right",
    )
    parser.add_argument(
        "--plain-ui",
        action=argparse.BooleanOptionalAction,
        help="write line after line and move nothing, for screen readers",
    )
    opening.add_tls(parser)
    parser.add_argument(
        "--json",
        action="store_true",
        help="print what is told as JSON Lines, as docs/protocol.md describes them, and take lines "
        "that begin with { as requests",
    )
    parser.add_argument(
        "--print-completion",
        action=Print,
        choices=("bash", "zsh", "fish"),
        metavar="SHELL",
        text=_completion,
        help="print what has bash, zsh or fish complete this command line, and exit",
    )
    parser.add_argument(
        "--print-man",
        action=Print,
        text=lambda _: reference.manual_page(parser),
        help="print the page of the manual, and exit",
    )
    parser.add_argument(
        "--version",
        action=Print,
        text=lambda _: reference.version(),
        help="show the version, and what a report of a bug should have, and exit",
    )


def _completion(shell: str) -> str:
    from tcpchat_cli.shells import completion  # noqa: PLC0415 # who talks needs none of it

    # To a shell, a tool is what stands first: nobody can complete the name of a server there.
    parser = Parser(prog="tcpchat-client")
    _add_flags(parser)
    tools = parser.add_subparsers(metavar="TOOL")
    for name, tool in TOOLS.items():
        scripts.describe(name, tools.add_parser(name, help=tool.summary))
    return completion(parser, shell)


def _check(arguments: argparse.Namespace, configuration: Configuration) -> int:
    from tcpchat_cli.terminal.check import check  # noqa: PLC0415 # who talks needs none of it

    try:
        opening.tls_context(arguments, configuration.settings)
    except BadSettings as error:
        return check("tcpchat-client", configuration, [str(error)])
    return check("tcpchat-client", configuration, [])


def _claim(arguments: argparse.Namespace) -> events.Claim | None:
    """What this computer is to be, if that was said. Raises BadSettings."""
    if arguments.claim is None:
        if arguments.device is not None:
            raise BadSettings("--device means nothing without --claim")
        return None
    return events.Claim(arguments.claim, arguments.device or "")


async def _talk(
    configuration: Configuration,
    tls: ssl.SSLContext | None,
    claim: events.Claim | None,
    *,
    json: bool,
    is_first: bool,
) -> int:
    """Choose how to talk, and talk."""
    coloured = not os.environ.get("NO_COLOR")
    if not json and sys.stdin is not None and sys.stdin.isatty():
        talk = _talk_on_screen(configuration, tls, claim, coloured=coloured, is_first=is_first)
        with suppress(opening.Stopped):  # who closes the terminal has left
            await opening.until_stopped(talk)
        return 0
    servers = opening.addresses(configuration.settings) or (Address(),)
    connection = opening.connection_to(servers, tls, claim)
    on_terminal = sys.stdout is not None and sys.stdout.isatty()
    lines = JsonLines(connection) if json else Lines(connection, coloured=coloured and on_terminal)
    talk = _talk_in_lines(configuration.settings, connection, claim, lines)
    try:
        await opening.until_stopped(talk)
    except opening.Stopped as by:
        lines.stopped(str(by))
    except asyncio.CancelledError:
        lines.stopped("interrupted")
        raise
    return 1 if lines.failed else 0


async def _talk_in_lines(
    settings: Settings, connection: Connection, claim: events.Claim | None, lines: Lines | JsonLines
) -> None:
    await connection.open()
    await _make_claim(connection, claim)
    await opening.converse(connection, lines, settings.nick, settings.rooms)


async def _talk_on_screen(
    configuration: Configuration,
    tls: ssl.SSLContext | None,
    claim: events.Claim | None,
    *,
    coloured: bool,
    is_first: bool,
) -> None:
    settings = configuration.settings
    display = _display(configuration, coloured=coloured)
    if is_first:
        display.show([Renderer().system(first_start.QUESTIONS)])
    try:
        servers, connection = await _reach(display, opening.addresses(settings), tls, claim)
        await _make_claim(connection, claim)
    except Leave:
        return
    remember_servers(servers)
    came_in = partial(first_start.offer_to_keep, configuration, connection, servers, display)
    screen = Screen(connection, display, configuration, came_in if is_first else None)
    await opening.converse(connection, screen, settings.nick, settings.rooms)


async def _make_claim(connection: Connection, claim: events.Claim | None) -> None:
    """Come to an account at first, if that is wanted. Raises ConnectionFailed or RemoteError."""
    if claim is None:
        return
    try:
        await connection.claim(claim.code, claim.name)
    except BaseException:
        connection.quit()
        await connection.close()
        raise


async def _reach(
    display: Surface,
    given: tuple[Address, ...],
    tls: ssl.SSLContext | None,
    claim: events.Claim | None,
) -> tuple[tuple[Address, ...], Connection]:
    """Connect to the servers that were given; or else to those that a person names, who is asked
    again where there is no connection to be had. Raises as Connection.open does, and Leave.
    """
    while True:
        servers = given or await _choose_servers(display)
        connection = opening.connection_to(servers, tls, claim)
        try:
            await _open(display, connection)
        except Refused:
            raise
        except ConnectionFailed as error:
            if given:
                raise
            display.show([Renderer().error(str(error))])
        else:
            return servers, connection


async def _open(display: Surface, connection: Connection) -> None:
    """Open the connection; the password is asked for as long as it takes."""
    while True:
        try:
            return await connection.open()
        except PasswordNeeded as error:
            display.show([Renderer().error(str(error))])
            connection.protocol.password = await display.question("Password: ", secret=True)


async def _choose_servers(display: Surface) -> tuple[Address, ...]:
    """The servers that a person names."""
    usual = last_servers()
    while True:
        answer = (await display.question(f"Server [{show_servers(usual)}]: ")).strip()
        try:
            return parse_servers(answer) if answer else usual
        except BadAddress as error:
            display.show([Renderer().error(str(error))])


def _display(configuration: Configuration, *, coloured: bool) -> Surface:
    """What the person at the terminal wants to see the chat on, and the terminal can do."""
    settings = configuration.settings
    if settings.plain_ui or not _moves_its_cursor():
        if not configuration.origin("timestamps"):
            settings.timestamps = False  # a time before each line is long to listen to
        return Linear(settings)
    return (Panes if settings.full_screen else Display)(settings, coloured=coloured)


def _moves_its_cursor() -> bool:
    """Whether there is a terminal that can do so."""
    is_there = sys.stdout is not None and sys.stdout.isatty()
    return is_there and os.environ.get("TERM") not in {"dumb", "unknown"}
