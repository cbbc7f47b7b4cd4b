"""tcpchat-server admin: the owner's door, on the machine itself."""

from __future__ import annotations

import argparse
import os
import secrets
import sys
from pathlib import Path
from typing import Final

import msgspec

from tcpchat_cli import control
from tcpchat_cli.accounts import ADMIN, Refused, Request
from tcpchat_cli.arguments import Parser, die
from tcpchat_cli.keeping import data_folder
from tcpchat_cli.opened import OpenFolder
from tcpchat_cli.settings import PROGRAM
from tcpchat_core import StateLimits
from tcpchat_core.durations import shown_duration
from tcpchat_core.server.access import code_hash, session_of
from tcpchat_net.logs.store import LOG_NAME, StoreError

_EPILOG: Final = """\
A code is for one device, once: in a terminal `tcpchat-client HOST:PORT --claim CODE`, anywhere else
`/claim CODE`. Who has a log in common with other nodes asks one of them, by its folder, while it
runs. A server with --in-memory has no accounts.
"""

_DATA: Final = "the folder that the server keeps"

# What is to be known when a folder is used that no server has at that moment.
_NO_SERVER: Final = (
    "no server runs on {}, so this is of the folder itself; a server with another folder or with"
    " --in-memory knows nothing of it"
)


def run(given: argparse.Namespace) -> None:
    """Do what a command line says."""
    folder = data_folder(given.data)
    secret, hashed = _secret(given.what)
    request = Request(
        given.what,
        getattr(given, "nick", ""),
        hashed,
        {"on": True, "off": False}.get(getattr(given, "admin", "")),
        getattr(given, "yes", False),
    )
    try:
        told = _ask(folder, request)
    except Refused as error:
        die(PROGRAM, str(error))
    match given.what:
        case "invite":
            lasts = shown_duration(StateLimits().claim_ms)
            print(f"{secret}\n")
            print(f"Give this code to {told}: it makes one device {told}'s, once, for {lasts}.")
            print(f"  in a terminal    tcpchat-client HOST:PORT --claim {secret}")
            print(f"  in a browser     http://HOST:PORT/#claim={secret}")
            print(f"  anywhere else    /claim {secret}")
            print("HOST:PORT is where they reach the server. Where it has TLS: --tls, and https.")
        case "token":
            print(secret)
        case "admin":
            does = "looks" if request.admin else "does not look"
            print(f"{told} {does} after this server{'' if request.admin else ' any more'}")
        case "withdraw":
            print(f"{told} is no account any more")
        case _:
            print(told)


def describe(parser: Parser) -> None:
    """Make the command line of a parser."""
    parser.description = "Make accounts and end them, also while the server runs."
    parser.epilog = _EPILOG
    # Before the command or after it, as people type.
    parser.add_argument("--data", metavar="DIR", default="", help=_DATA)
    tools = parser.add_subparsers(dest="what", required=True, metavar="COMMAND")
    invite = tools.add_parser("invite", help="make an account, or a code for one that there is")
    token = tools.add_parser("token", help="make a token, by which a program comes: a bot")
    admin = tools.add_parser("admin", help="let an account look after the server, or no more")
    withdraw = tools.add_parser("withdraw", help="end an account, and free its nickname")
    tools.add_parser("accounts", help="list the accounts")
    tools.add_parser(
        "audit", help="list what those did who look after rooms and the server, or you"
    )
    for tool in tools.choices.values():
        tool.add_argument("--data", metavar="DIR", default=argparse.SUPPRESS, help=_DATA)
    for each in (invite, token, admin, withdraw):
        each.add_argument("nick", metavar="NICK", help="the nickname that it owns")
    for each in (invite, token):
        each.add_argument(
            "--admin",
            dest="admin",
            action="store_const",
            const="on",
            default="",
            help="have it look after the server, too",
        )
    admin.add_argument("admin", choices=("on", "off"), help="whether it does")
    withdraw.add_argument("--yes", action="store_true", help="also when rooms are its alone")


def _secret(what: str) -> tuple[str, str]:
    """What is made of a request that makes something secret, and its hash."""
    if what == "invite":
        word = secrets.token_hex(10)
        code = "-".join((word[:5], word[5:10], word[10:15], word[15:]))
        return code, code_hash(code)
    if what == "token":
        token = secrets.token_hex(32)
        return token, session_of(token)
    return "", ""


def _ask(folder: Path, request: Request) -> str:
    """Have it done by the server of a folder, or here when none runs, which is said on stderr.

    Raises Refused.
    """
    try:
        refusal, told = control.ask(folder, ADMIN, msgspec.json.encode(request).decode())
    except PermissionError as error:
        raise Refused(_another_users(folder)) from error
    except OSError:
        return _do(folder, request)
    if refusal:
        raise Refused(refusal)
    return told


def _do(folder: Path, request: Request) -> str:
    """Do it in a folder that no server has. Raises Refused."""
    try:
        there_is_a_log = (folder / LOG_NAME).is_file()
        if there_is_a_log and not os.access(folder / LOG_NAME, os.R_OK | os.W_OK):
            raise Refused(_another_users(folder))
    except PermissionError as error:
        raise Refused(_another_users(folder)) from error
    if not there_is_a_log:
        raise Refused(
            f"no server keeps {folder}: start one, or give its folder with --data (a server with"
            " --in-memory has no accounts)"
        )
    try:
        with OpenFolder(folder) as opened:
            asked = request.decide(opened.state)
            if asked.event is not None:
                opened.propose(asked.event)
    except Refused as error:
        raise Refused(f"{error} ({_NO_SERVER.format(folder)})") from error
    except StoreError as error:
        raise Refused(str(error)) from error
    print(f"{PROGRAM}: {_NO_SERVER.format(folder)}", file=sys.stderr)
    return asked.told


def _another_users(folder: Path) -> str:
    return f"{folder} is another user's: run this as the one who runs the server"
