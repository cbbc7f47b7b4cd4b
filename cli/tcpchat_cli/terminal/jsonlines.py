"""Talking in JSON Lines, for programs: `tcpchat-client --json`.

Rule 1: A line of stdin that begins with `{` is a request, as docs/protocol.md has them; any other
        means what it means in the plain dialect. The client says `hello` by itself.

Rule 2: What is told goes to stdout: one notice a line, in its order, in UTF-8, and at once. Nothing
        else goes there. Sentences for people go to stderr.

Rule 3: Every line is answered. One that is no request, or that cannot be sent, is `rejected` here,
        as the server would, and makes the exit status 1; the others are done all the same.

Rule 4: The `id` of a request comes back in its answer, whatever its type. What is said without one
        has one by its line: `line-3`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

import msgspec

from tcpchat_cli.terminal.connection import Connection
from tcpchat_cli.terminal.entrance import enter
from tcpchat_cli.terminal.opening import hear_goodbye, undone
from tcpchat_cli.terminal.output import complain, write
from tcpchat_cli.terminal.overdue import ANSWER_SECONDS
from tcpchat_cli.terminal.stdin import Input
from tcpchat_core import Notice, Request, events, notices, parse_line
from tcpchat_core.dialects.jsonl import JSON, decode_request, is_good_id
from tcpchat_core.notices import Rejected

# What is said without an id has this before the number of its line.
OWN_IDS: Final = "line-"


class _Named(msgspec.Struct):
    """What a line calls itself."""

    id: str | None = None


class JsonLines:
    """One conversation in JSON Lines. `failed` tells whether anything was refused."""

    # A program ends with its connection, so that it can be started again.
    patience = -1.0
    answers_within: float = ANSWER_SECONDS

    def __init__(self, connection: Connection) -> None:
        self.failed = False
        self._connection = connection
        self._input = Input()
        self._is_printed = True
        self._asked: list[tuple[asyncio.Future[Notice], str | None]] = []

    # ── Asking ───────────────────────────────────────────────────────────────────────────────

    async def talk(self, nick: str, rooms: Sequence[str]) -> None:
        """Come in and do what stdin says, to its end."""
        self._input.start()
        if not await enter(self._connection, None, complain, nick, rooms):
            return
        number = 0
        while (line := await self._input.line()) is not None:
            number += 1
            is_json = line.lstrip().startswith("{")
            match decode_request(line.encode()) if is_json else parse_line(line):
                case None:
                    pass
                case Rejected() as rejected:
                    self.told([rejected])
                case events.Quit(reason):
                    await self._connection.settle()
                    self._connection.quit(reason)
                    return
                case request:
                    await self._connection.flush()
                    self._send(request, _id_of(line) if is_json else None, f"{OWN_IDS}{number}")
        await self._connection.settle()

    def _send(self, request: Request, id: str | None, own_id: str) -> None:
        """Send it, or tell why not; `own_id` is for what is said without an id."""
        kind = str(request.__struct_config__.tag)
        match request:
            case events.Say() | events.Tell():
                if why := self._why_not(request.id):
                    self.told([Rejected("bad-request", why, kind, request.id)])
                elif request.id is None:
                    self._connection.request(msgspec.structs.replace(request, id=own_id))
                else:
                    self._connection.request(request)
            case events.Hello():
                why = "hello is said by tcpchat-client, once, at the beginning"
                self.told([Rejected("bad-request", why, kind, id)])
            case events.Signal() | events.Read() | events.Pong():
                self._connection.tell(request)
            case _:
                if (answer := self._connection.request(request)) is not None:
                    self._asked.append((answer, id))

    def _why_not(self, id: str | None) -> str:
        """What is wrong with the id of a message; "" for nothing."""
        if id is not None and id.startswith(OWN_IDS):
            return f"ids that begin with {OWN_IDS} are given by tcpchat-client"
        if id in self._connection.protocol.unacknowledged:
            return "another message of this id has no receipt yet"
        return ""

    async def finish(self, reading: asyncio.Task[None]) -> None:
        """Wait for the server's goodbye. Raises ConnectionFailed when receipts are missing."""
        await hear_goodbye(self._connection, reading)

    def stopped(self, sentence: str) -> None:
        """A signal has ended it: say what is not done, and count it as failed."""
        asked = len(self._asked)
        if what := undone(
            self._connection, self._input, is_printed=self._is_printed, requests=asked
        ):
            self.failed = True
            complain(f"{sentence}; {what}")

    # ── Being told ───────────────────────────────────────────────────────────────────────────

    def told(self, batch: list[Notice]) -> None:
        """Print what was told."""
        # A notice is known by what it is, not by what is in it: two answers may say the same.
        ids = {id(answer.result()): name for answer, name in self._asked if answer.done()}
        self._asked = [each for each in self._asked if not each[0].done()]
        data = b""
        for notice in batch:
            if isinstance(notice, notices.Ponged) and id(notice) not in ids:
                continue  # it is the connection's own question that this answers
            if isinstance(notice, Rejected):
                self.failed = True
                complain(notice.text)
            data += _line(notice, ids.get(id(notice)))
        self._is_printed = False
        write(data)
        self._is_printed = True

    def lost(self, sentence: str) -> None:
        """The connection is not replaced."""


def _line(notice: Notice, name: str | None) -> bytes:
    """A notice as a line, with the id of the request that it answers."""
    line = JSON.encode(notice)
    if name is None or getattr(notice, "id", None) is not None:
        return line
    return line.removesuffix(b"}\n") + b',"id":' + msgspec.json.encode(name) + b"}\n"


def _id_of(line: str) -> str | None:
    """The id in a line, where it is one that can come back."""
    try:
        id = msgspec.json.decode(line, type=_Named).id
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None
    return id if is_good_id(id) else None
