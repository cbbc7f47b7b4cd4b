"""`tcpchat-client send`: say lines to a room or to somebody, and wait until they are kept.

Rule 1: A line is said as it is: nothing in it is a command. Blank lines are passed over.

Rule 2: Every line has its number as its id, so that receipts and refusals tell which line they are
        about. A line without a receipt is never taken for said.

Rule 3: At most a window of lines is without a receipt, and a few hundred are read ahead: the pace
        is the server's, and memory has a bound whatever comes in.

Rule 4: Where a session is over, nobody knows whether what was open in it was said. It is not said
        again, nor what comes after it: the order would be another.
"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Sequence
from typing import Protocol

from tcpchat_cli.terminal import exits
from tcpchat_cli.terminal.connection import GOODBYE_SECONDS, Connection
from tcpchat_cli.terminal.opening import RETRY_SECONDS, come_as, counted, room_given
from tcpchat_cli.terminal.output import complain, write
from tcpchat_cli.terminal.overdue import ANSWER_SECONDS
from tcpchat_cli.terminal.settings import BadSettings
from tcpchat_cli.terminal.stdin import Input
from tcpchat_core import Notice, events, notices
from tcpchat_core.dialects.jsonl import JSON


def describe(parser: argparse.ArgumentParser) -> None:
    """What only this tool takes."""
    parser.description = (
        "Say a text to a room, or each line of stdin, and end when the server has kept all of it."
        " It comes as a guest, or as the account of this computer, and leaves again."
    )
    parser.epilog = "Nothing in a line is a command. Nothing is printed when all went well."
    parser.add_argument(
        "to", metavar="ROOM|@NICK", help="the room to say it to, or after an @ the one person"
    )
    parser.add_argument(
        "text",
        nargs="*",
        metavar="TEXT",
        help="what to say, each line of it by itself; without it, or with -, the lines of stdin",
    )
    parser.add_argument(
        "--notice", action="store_true", help="say it as bots do, so that no bot answers it"
    )


class _Source(Protocol):
    """Where the lines come from."""

    async def line(self) -> str | None: ...
    def start(self) -> None: ...
    @property
    def left(self) -> int: ...


class _Given:
    """The lines of a text."""

    def __init__(self, text: str) -> None:
        self._lines = text.splitlines()[::-1]

    def start(self) -> None:
        """There is nothing to be read."""

    async def line(self) -> str | None:
        return self._lines.pop() if self._lines else None

    @property
    def left(self) -> int:
        return len(self._lines)


class Send:
    """The lines of one call on their way. Raises BadSettings when there is nothing to say."""

    def __init__(self, connection: Connection, arguments: argparse.Namespace) -> None:
        self._connection = connection
        self._json: bool = arguments.json
        self._is_notice: bool = arguments.notice
        to: str = arguments.to
        is_person = to.startswith("@")
        self._room, self._nick = ("", to[1:]) if is_person else (room_given(to), "")
        self._needs_nick = bool(arguments.nick)
        text = " ".join(arguments.text)
        is_given = bool(arguments.text) and text != "-"
        if is_given and not text.strip():
            raise BadSettings("there is nothing to say: the text is empty")
        self._source: _Source = _Given(text) if is_given else Input()
        self.patience: float = RETRY_SECONDS if arguments.retry is None else arguments.retry
        self.answers_within: float = ANSWER_SECONDS
        self._taken = self._sent = 0  # the numbers of the last line that was taken, and sent
        self._received = 0  # how many have their receipt
        self._is_in = False
        self._has_all = False  # whether there are no more lines to be taken
        self._refused = self._lost = False

    # ── Talking ──────────────────────────────────────────────────────────────────────────────

    async def talk(self, nick: str, rooms: Sequence[str]) -> None:  # noqa: ARG002 # see describe
        """Come in, say all the lines, and wait for their receipts."""
        connection = self._connection
        if not await come_as(connection, nick, needs_it=self._needs_nick):
            return
        if self._room and not await connection.ask(events.Join(self._room)):
            return
        self._is_in = True
        self._source.start()
        while (line := await self._source.line()) is not None:
            self._taken += 1
            if line.strip():
                await connection.flush()
                if connection.protocol.abandoned:
                    break
                connection.send(self._request(line, str(self._taken)))
            self._sent = self._taken
        else:
            self._has_all = True
        await connection.settle()
        if connection.protocol.abandoned:
            self.ended("the session is over")

    def _request(self, line: str, id: str) -> events.Say | events.Tell:
        if self._nick:
            return events.Tell(self._nick, line, id, notice=self._is_notice)
        return events.Say(self._room, line, id, notice=self._is_notice)

    async def finish(self, reading: asyncio.Task[None]) -> None:
        """All has its receipt: give the server a moment to say goodbye."""
        await asyncio.wait({reading}, timeout=GOODBYE_SECONDS)

    # ── Being told ───────────────────────────────────────────────────────────────────────────

    def told(self, batch: list[Notice]) -> None:
        """Receipts and refusals; what others do is not asked for."""
        for notice in batch:
            match notice:
                case notices.Sent():
                    self._receipt(notice)
                case notices.Said(room, seq=seq, at=at, id=str(id)):  # … as a session that goes on
                    self._receipt(notices.Sent(at, id, room, seq=seq))
                case notices.Rejected(text=text, request="nick") if not self._needs_nick:
                    complain(f"{text}; what is said comes from {self._connection.protocol.nick}")
                case notices.Rejected(text=text, id=id):
                    self._refused = True
                    complain(f"line {id}: {text}" if id is not None else text)
                    self._print(notice)
                case notices.Resumed():
                    complain("the connection is back")
                case _:
                    pass

    def _receipt(self, sent: notices.Sent) -> None:
        self._received += 1
        self._print(sent)

    def _print(self, notice: Notice) -> None:
        if self._json:
            try:
                write(JSON.encode(notice))
            except BrokenPipeError:  # the lines are said all the same
                self._json = False

    def lost(self, sentence: str) -> None:
        """The connection is being replaced."""
        complain(f"{sentence}; reconnecting")

    # ── The end ──────────────────────────────────────────────────────────────────────────────

    def stopped(self, sentence: str) -> None:
        """Told to end: say how far we came. All went well where all that was read is received."""
        is_all_sent = self._is_in and self._taken == self._sent and not self._source.left
        self._lost = self._lost or not is_all_sent or bool(self._open_ids())
        complain(f"{sentence}; {self._what_is_known()}")

    def ended(self, sentence: str) -> None:
        """The connection or the session is gone for good: say how far we came."""
        self._lost = True
        complain(f"{sentence}; {self._what_is_known()}")

    @property
    def status(self) -> int:
        """The exit status."""
        if self._lost:
            return exits.LOST
        return exits.FAILED if self._refused else exits.DONE

    def _open_ids(self) -> list[str | None]:
        """The numbers of the lines that were sent and have no receipt."""
        protocol = self._connection.protocol
        return [*(said.id for said in protocol.abandoned), *protocol.unacknowledged]

    def _what_is_known(self) -> str:
        """What is known of the lines when not all were said."""
        ids = self._open_ids()
        if not ids and not self._sent:
            return "nothing was said"
        known = [_received(self._received)]
        if ids:
            known.append(
                f"{counted(len(ids), 'line')} without a receipt, from line {ids[0]} on, may have"
                " been said or not"
            )
        if not self._has_all:
            known.append(f"what comes after line {ids[-1] if ids else self._sent} was not said")
        return "; ".join(known)


def _received(count: int) -> str:
    match count:
        case 0:
            return "no line has a receipt"
        case 1:
            return "1 line has its receipt"
        case _:
            return f"{count:,} lines have their receipts"
