"""`tcpchat-client tail`: print what was said in a room, and what is said from then on.

It joins the room, which its people are told: nobody reads what they are not in. What is printed is
decided by `feed`: each message once, in order; what the server does not have any more is told as a
gap, in its place.
"""

from __future__ import annotations

import argparse
import asyncio
import datetime as dt
import math
import time
from collections import deque
from collections.abc import Iterable, Sequence
from typing import Final, TypeAlias

from tcpchat_cli.terminal import exits
from tcpchat_cli.terminal.connection import GOODBYE_SECONDS, Connection
from tcpchat_cli.terminal.feed import Feed
from tcpchat_cli.terminal.opening import RETRY_SECONDS, come_as, room_given
from tcpchat_cli.terminal.output import complain, on_reader_gone, write
from tcpchat_cli.terminal.overdue import ANSWER_SECONDS
from tcpchat_core import Notice, events, notices
from tcpchat_core.dialects.jsonl import JSON
from tcpchat_core.dialects.plain import PLAIN
from tcpchat_core.durations import parse_duration
from tcpchat_core.events import MAX_MESSAGES
from tcpchat_core.names import is_same_room
from tcpchat_core.notices import Gap, Said

# As tail(1) has it; and as many as are kept in memory without a thought.
LINES: Final = 10
MAX_LINES: Final = 100_000


def describe(parser: argparse.ArgumentParser) -> None:
    """What only this tool takes."""
    parser.description = (
        "Print what was said in a room, one message a line, and with --follow what is said from"
        " then on. It joins the room as a guest (or as the account of this computer), which those"
        " who are in it see."
    )
    parser.add_argument("room", type=_room, metavar="ROOM", help="the room")
    begin = parser.add_mutually_exclusive_group()
    begin.add_argument(
        "-n",
        "--lines",
        type=_lines,
        default=LINES,
        metavar="N",
        help=f"begin with the last N messages ({LINES} unless given)",
    )
    begin.add_argument(
        "--since",
        type=_since,
        metavar="TIME",
        help="begin with what was said since then: 2026-01-31, 2026-01-31T12:00 (in UTC, unless it"
        " says otherwise), or 10m, 2h, 1d ago",
    )
    parser.add_argument(
        "-f", "--follow", action="store_true", help="go on with what is said, until a signal comes"
    )


def _room(text: str) -> str:
    if text.startswith("@"):
        raise argparse.ArgumentTypeError(f"{text!r} is a person; what is told to one is not kept")
    return text


def _lines(text: str) -> int:
    if text.isascii() and text.isdecimal() and len(text) <= 9 and int(text) <= MAX_LINES:
        return int(text)
    raise argparse.ArgumentTypeError(f"{text!r} is no number from 0 to {MAX_LINES:,}")


def _since(text: str) -> int:
    """A time, as ms since the epoch."""
    if ms := parse_duration(text):
        return max(0, round(time.time() * 1_000) - ms)
    try:
        when = dt.datetime.fromisoformat(text)
        if when.tzinfo is None:
            when = when.replace(tzinfo=dt.UTC)
        return max(0, round(when.timestamp() * 1_000))
    except (ValueError, OverflowError):
        raise argparse.ArgumentTypeError(
            f"{text!r} is no time such as 2026-01-31, 2026-01-31T12:00 or 2h"
        ) from None


class Tail:
    """One room as it is printed."""

    def __init__(self, connection: Connection, arguments: argparse.Namespace) -> None:
        self._connection = connection
        self._encode = JSON.encode if arguments.json else _line
        self._room = room_given(arguments.room)
        self._needs_nick = bool(arguments.nick)
        self._lines: int = arguments.lines
        self._since: int | None = arguments.since
        self._follow: bool = arguments.follow
        usual = math.inf if self._follow else float(RETRY_SECONDS)
        self.patience: float = usual if arguments.retry is None else arguments.retry
        self._feed = Feed()
        self._newest = 0  # the number of the last message when we came in
        self._at = 0  # when the last message was said that we know of, by the server's clock
        self._epoch = ""  # of the numbers
        self._news = asyncio.Event()
        self.answers_within: float = ANSWER_SECONDS
        self._is_in = self._is_unread = self._is_done = False
        self._talking: asyncio.Task[None] | None = None
        self.status = exits.DONE

    # ── Talking ──────────────────────────────────────────────────────────────────────────────

    async def talk(self, nick: str, rooms: Sequence[str]) -> None:  # noqa: ARG002 # see describe
        """Print all of it. Raises BrokenPipeError when nobody reads it any more."""
        self._talking = asyncio.current_task()
        on_reader_gone(self._reader_gone)
        try:
            await self._come_and_print(nick)
        except asyncio.CancelledError:
            if self._is_unread:
                raise BrokenPipeError from None
            raise
        self._is_done = True

    def _reader_gone(self) -> None:
        self._is_unread = True
        if self._talking is not None:
            self._talking.cancel()

    async def _come_and_print(self, nick: str) -> None:
        """Come in, and ask for all that is to be printed and does not come by itself."""
        connection = self._connection
        if not await come_as(connection, nick, needs_it=self._needs_nick):
            return
        if not await connection.ask(events.Join(self._room)):
            return
        while self._is_in:
            self._news.clear()
            if self._feed.last is None:
                await self._begin()
            elif (after := self._feed.wanted) is not None:
                await self._fill(after)
            elif self._follow:
                await self._news.wait()
            else:
                return

    async def _begin(self) -> None:
        """Print what was said before, and go on behind it."""
        if self._since is None:
            messages = await self._last_messages()
        else:  # the first page of it; it goes on as if the others were missing
            messages = await self._ask(events.History(self._room, since=self._since))
        since_then = self._since is not None and messages
        last = messages[-1].seq if messages else 0
        self._print(messages)
        self._feed.goes_to(self._newest)
        self._print(self._feed.begin(last if since_then else max(last, self._newest)))

    async def _last_messages(self) -> Sequence[Said]:
        """As many as are wanted, as far as there are so many."""
        collected: deque[Said] = deque()
        before: int | None = None
        while (limit := min(self._lines - len(collected), MAX_MESSAGES)) > 0:
            page = await self._ask(events.History(self._room, before, limit))
            collected.extendleft(reversed(page))
            if len(page) < limit:
                break
            before = page[0].seq
        return tuple(collected)

    async def _fill(self, after: int) -> None:
        """Ask for what is missing; an answer that is about other numbers by now is none."""
        epoch = self._epoch
        page = await self._ask(events.History(self._room, limit=MAX_MESSAGES, after=after))
        if self._is_in and (self._epoch, self._feed.wanted) == (epoch, after):
            self._print(self._feed.page(page))

    async def _ask(self, request: events.History) -> Sequence[Said]:
        """A page of history. When it is refused, there is nothing to go on with."""
        answer = await self._connection.ask(request)
        if isinstance(answer, notices.HistoryPage):
            return answer.messages
        self._is_in = False
        return ()

    async def finish(self, reading: asyncio.Task[None]) -> None:
        """Give the server a moment to say goodbye."""
        await asyncio.wait({reading}, timeout=GOODBYE_SECONDS)

    # ── Being told ───────────────────────────────────────────────────────────────────────────

    def told(self, batch: list[Notice]) -> None:
        """Print what was said in the room, and keep up with where we are in it."""
        for notice in batch:
            match notice:
                case Said(room) if self._is_ours(room):
                    self._print(self._feed.said(notice))
                case notices.Redacted(room) if self._is_ours(room):
                    self._print([notice])
                case Gap(room, oldest) if self._is_ours(room):
                    self._feed.goes_to(oldest - 1)
                case notices.Entered(room, seq=seq, at=at) if self._is_ours(room):
                    self._entered(room, seq, at)
                case notices.Resumed():
                    self._resumed()
                case notices.Left(room, own=True, by=by) if self._is_ours(room):
                    self._put_out(f"{by} put you out of {room}" if by else f"you left {room}")
                case notices.Rejected(text=text, request="join") if self._is_in:
                    self._put_out(text)
                case notices.Rejected(request="nick") if not self._needs_nick:
                    pass  # it says nothing, so it does not matter who it is
                case notices.Rejected(text=text):
                    self.status = exits.FAILED
                    complain(text)
                case _:
                    pass
        self._news.set()

    def _is_ours(self, room: str) -> bool:
        return is_same_room(room, self._room)

    def _entered(self, room: str, seq: int, at: int) -> None:
        """We are in: for the first time, or again because the session was over."""
        epoch = self._connection.protocol.epoch
        if not self._is_in:
            self._is_in, self._feed.room, self._at = True, room, at
        elif epoch == self._epoch:
            self._feed.goes_to(seq)
        else:
            self._feed.stop()
            self._since = self._at + 1
            self._print([Gap(room, 1)])
        self._epoch, self._newest = epoch, seq

    def _resumed(self) -> None:
        complain("the connection is back")
        protocol = self._connection.protocol
        self._epoch = protocol.epoch
        if view := protocol.rooms.get(self._feed.room):
            self._print(self._feed.lost(view.seq))

    def _put_out(self, sentence: str) -> None:
        self._is_in, self.status = False, exits.FAILED
        complain(sentence)

    def lost(self, sentence: str) -> None:
        """The connection is being replaced."""
        complain(f"{sentence}; reconnecting")

    def _print(self, told: Iterable[_Printed]) -> None:
        for notice in told:
            if isinstance(notice, Said):
                self._at = max(self._at, notice.at)
            write(self._encode(notice))

    # ── The end ──────────────────────────────────────────────────────────────────────────────

    def stopped(self, sentence: str) -> None:
        """Told to end, which is how one ends to follow; else something is missing."""
        if not self._follow and not self._is_done:
            self.ended(f"{sentence}; not all was printed")

    def ended(self, sentence: str) -> None:
        """It was ended before its time."""
        self.status = exits.LOST
        complain(sentence)


_Printed: TypeAlias = Said | Gap | notices.Redacted


def _line(notice: Notice) -> bytes:
    """As the plain dialect has it; it has no gaps."""
    if isinstance(notice, Gap):
        return f"* Some of what was said in {notice.room} is not to be had any more\n".encode()
    return PLAIN.encode(notice)
