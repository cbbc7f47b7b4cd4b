"""What every way to talk begins and ends with: flags that say where and how to connect, the
connection that is made by them, and a conversation on it. Nothing here needs a terminal.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import signal
import ssl
from collections.abc import Coroutine, Sequence
from types import FrameType
from typing import Final, Protocol, TypeVar

from tcpchat_cli.terminal.address import (
    Address,
    BadAddress,
    parse_address,
    parse_servers,
)
from tcpchat_cli.terminal.connection import (
    GOODBYE_SECONDS,
    Connection,
    ConnectionFailed,
    Listener,
)
from tcpchat_cli.terminal.device import Device
from tcpchat_cli.terminal.failures import reason
from tcpchat_cli.terminal.output import end_waiting
from tcpchat_cli.terminal.settings import BadSettings, Settings, parse
from tcpchat_cli.terminal.stdin import Input
from tcpchat_core import events

# For how long a tool for scripts tries to replace a lost connection: enough for a server that is
# started again, and for most changes of the network. A session waits for a minute.
RETRY_SECONDS: Final = 30

_Result = TypeVar("_Result")


class Front(Listener, Protocol):
    """Who talks over a connection."""

    async def talk(self, nick: str, rooms: Sequence[str]) -> None:
        """Come in and talk, until there is nothing more to say."""

    async def finish(self, reading: asyncio.Task[None]) -> None:
        """Wait for the server's goodbye, at most for a moment. Raises ConnectionFailed."""


def add_nick(parser: argparse.ArgumentParser) -> None:
    """The flag that says who comes."""
    parser.add_argument("--nick", metavar="NAME", help="your nickname, as a guest")


def add_tls(parser: argparse.ArgumentParser) -> None:
    """The flags of which `tls_context` is made."""
    parser.add_argument(
        "--tls",
        action=argparse.BooleanOptionalAction,
        help="encrypt; the server has to do so too",
    )
    parser.add_argument("--ca", metavar="FILE", help="trust the certificates in this PEM file")
    parser.add_argument(
        "--insecure", action="store_true", help="with --tls, trust whoever answers (for tests only)"
    )


def servers_argument(text: str) -> str:
    """Addresses for argparse, as they were written."""
    try:
        parse_servers(text)
    except BadAddress as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return text


# The flags that are called as the settings are.
_FLAGS: Final = ("nick", "tls", "ca", "full_screen", "plain_ui")


def given(arguments: argparse.Namespace) -> dict[str, object]:
    """The settings that the command line gives, but for the server. Raises BadSettings."""
    values = {name: getattr(arguments, name, None) for name in _FLAGS}
    values["rooms"] = parse("rooms", getattr(arguments, "room", None) or "")
    return {name: value for name, value in values.items() if value or value is False}


def room_given(word: str) -> str:
    """The room that the command line of a tool names. Raises BadSettings for a server there.

    tcpchat-client itself takes the server first, so that is easily forgotten. No room has a colon
    in its name.
    """
    if ":" in word:
        with contextlib.suppress(BadAddress):
            parse_address(word)
            raise BadSettings(f"{word} is no room; the server is given by --server {word}")
    return word


def addresses(settings: Settings) -> tuple[Address, ...]:
    """The servers that were given, if any were."""
    return parse_servers(",".join(settings.servers)) if settings.servers else ()


def tls_context(arguments: argparse.Namespace, settings: Settings) -> ssl.SSLContext | None:
    """How to encrypt, if at all. Raises BadSettings."""
    if not settings.tls:
        if arguments.ca or arguments.insecure:
            raise BadSettings("--ca and --insecure mean nothing without --tls")
        return None
    try:
        context = ssl.create_default_context(cafile=os.path.expanduser(settings.ca) or None)
    except OSError as error:  # ssl.SSLError among them
        raise BadSettings(
            f"cannot use the certificates in {settings.ca}: {reason(error)}"
        ) from None
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if arguments.insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def connection_to(
    servers: tuple[Address, ...], tls: ssl.SSLContext | None, claim: events.Claim | None = None
) -> Connection:
    """A connection, to be opened, by what this computer is to these servers. Raises BadSettings."""
    is_tls = tls is not None
    device = Device(servers, is_tls=is_tls) if claim else Device.kept_for(servers, is_tls=is_tls)
    password = os.environ.get("TCPCHAT_PASSWORD", "")
    return Connection(servers, password=password, tls=tls, device=device)


async def converse(connection: Connection, front: Front, nick: str, rooms: Sequence[str]) -> None:
    """Read and talk at once, until either ends. Raises ConnectionFailed or RemoteError."""
    reading = asyncio.create_task(connection.run(front))
    talking = asyncio.create_task(front.talk(nick, rooms))
    try:
        await asyncio.wait({reading, talking}, return_when=asyncio.FIRST_COMPLETED)
        if talking.done():
            talking.result()
            connection.quit()
            await front.finish(reading)
        if reading.done():
            reading.result()
    finally:
        connection.quit()
        for task in (reading, talking):
            task.cancel()
        await asyncio.gather(reading, talking, return_exceptions=True)
        await connection.close()


async def come_as(connection: Connection, nick: str, *, needs_it: bool) -> bool:
    """Take a nick, if one is given and one is a guest. False when it is needed and refused.

    What client.toml or the environment give is often in use by the same person, who is there: then
    one stays the guest that the server has made of one.
    """
    if not nick or connection.account:
        return True
    return await connection.ask(events.Nick(nick)) is not None or not needs_it


def undone(
    connection: Connection, lines: Input, *, is_printed: bool = True, requests: int = 0
) -> str:
    """What is not done of a conversation in lines that is ended, "" for nothing; whether all that
    was told is printed, and how many requests have no answer.
    """
    if not lines.has_started:
        return "nothing was said"
    said = len(connection.protocol.unacknowledged)
    parts = (
        (said, f"{counted(said, 'message')} without a receipt may have been said or not"),
        (requests, f"{counted(requests, 'request')} without an answer"),
        (lines.left, f"{counted(lines.left, 'line')} not done"),
        (not is_printed, "not all that was told was printed"),
    )
    return "; ".join(text for is_so, text in parts if is_so)


async def hear_goodbye(connection: Connection, reading: asyncio.Task[None]) -> None:
    """Give the server a moment to say goodbye, and to give the receipts it owes.

    Raises ConnectionFailed when it does not.
    """
    await asyncio.wait({reading}, timeout=GOODBYE_SECONDS)
    if count := len(connection.protocol.unacknowledged):
        raise ConnectionFailed(f"the server gave no receipt for {counted(count, 'line')}")


class Stopped(Exception):
    """A signal told us to end, and everything is closed. The text says so, for people."""


async def until_stopped(work: Coroutine[object, object, _Result]) -> _Result:
    """Do it until SIGTERM or SIGHUP comes: then it is cancelled, and Stopped raised.

    Ctrl-C cancels whatever runs: that is asyncio's.
    """
    task = asyncio.ensure_future(work)
    came: list[str] = []

    def heard(number: int, _frame: object) -> None:  # wherever the program just is
        came.append(signal.Signals(number).name)
        end_waiting()

    loop = asyncio.get_running_loop()
    for name in ("SIGTERM", "SIGHUP"):
        # Windows has neither the second signal nor handlers in the loop.
        with contextlib.suppress(AttributeError, NotImplementedError):
            loop.add_signal_handler(getattr(signal, name), task.cancel)
            signal.signal(getattr(signal, name), heard)  # the loop hears of it all the same
    _hear_interrupts()
    try:
        return await task
    except asyncio.CancelledError:
        if came:
            raise Stopped(f"ended by {came[0]}") from None
        raise


def _hear_interrupts() -> None:
    """Have Ctrl-C end a wait for who reads our output, besides what asyncio does."""
    cancel = signal.getsignal(signal.SIGINT)
    if not callable(cancel):  # nobody is interrupted who was started to ignore that
        return

    def heard(number: int, frame: FrameType | None) -> None:
        end_waiting()
        cancel(number, frame)

    signal.signal(signal.SIGINT, heard)


def counted(count: int, thing: str) -> str:
    """How many, in words for people."""
    return f"1 {thing}" if count == 1 else f"{count:,} {thing}s"
