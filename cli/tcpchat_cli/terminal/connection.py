"""The connection to the server: asyncio streams around `ClientProtocol`.

Call order: `open`, then `run` in a task of its own for as long as the conversation lives, and
meanwhile `send` and `ask`; at the end `quit`, wait for `run` to return, and `close`.

Rule 1: A connection that is lost is replaced, and the session resumed, as long as the listener's
        patience lasts. The first attempt comes at once; the pause before each further one doubles
        and is spread by half to both sides, so that a whole room does not come back as one.

Rule 2: What is asked for meanwhile is kept and sent later; what was asked and not answered is
        asked again. What was said is `ClientProtocol`'s to keep.

Rule 3: A server that says goodbye and not when to come again means it: we do not come again.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import random
import re
import socket
import ssl
from typing import Final, Literal, Protocol, TypeAlias

import msgspec

from tcpchat_cli.terminal.address import Address
from tcpchat_core import (
    ClientProtocol,
    Name,
    Notice,
    Request,
    TooLateError,
    events,
    nick_name,
    notices,
    room_name,
)
from tcpchat_core.dialects.jsonl import encode_request
from tcpchat_core.framing import MAX_LINE_BYTES
from tcpchat_core.notices import Rejected

# A server that is there answers at once; a packet filter that swallows packets never does.
OPEN_SECONDS: Final = 10

# How long to wait for the server's goodbye, and then for the socket to close.
GOODBYE_SECONDS: Final = 2

# Some six hundred lines: enough to print in one go, little enough to stay quick on the keys.
READ_BYTES: Final = 65_536

# How often the way to the server and back is measured; and how long no answer at all, not even
# to that, means that the network is gone without a word.
PING_SECONDS: Final = 20
SILENT_SECONDS: Final = 45

# The pauses between attempts to connect again: the first, and the longest.
FIRST_PAUSE_SECONDS: Final = 0.5
LONGEST_PAUSE_SECONDS: Final = 30.0

# How much of what is asked for without a connection is kept.
MAX_KEPT_REQUESTS: Final = 1_000

State: TypeAlias = Literal["connected", "reconnecting", "catching up"]


class ConnectionFailed(Exception):
    """The connection could not be made, or was lost. The text is one sentence for people.

    `retry` is after how many milliseconds the server wants to be asked again, if it said so.
    """

    def __init__(self, text: str, retry: int | None = None) -> None:
        super().__init__(text)
        self.retry = retry


class PasswordNeeded(ConnectionFailed):
    """The server lets nobody in without its password, or not with this one."""


class Listener(Protocol):
    """Who is told what comes."""

    @property
    def patience(self) -> float:
        """For how many seconds to try to replace a lost connection; below 0 not at all."""

    def told(self, batch: list[Notice]) -> None:
        """The notices of one read, in order; the next read waits for it."""

    def lost(self, sentence: str) -> None:
        """The connection is lost, and is being replaced."""


class Connection:
    """One person's connection, and the room that this person talks in."""

    def __init__(
        self, address: Address, *, password: str = "", tls: ssl.SSLContext | None = None
    ) -> None:
        self.address = address
        self.protocol = ClientProtocol(password=password)
        self.state: State = "connected"
        self.lag_ms: int | None = None  # to the server and back, when it was measured last
        # The room that text without a room goes to: as it was typed until the server names it.
        self.current = ""
        self._before = ""  # the current room before the join that is under way
        self._tls = tls
        self._reader: asyncio.StreamReader
        self._writer: asyncio.StreamWriter
        self._ids = itertools.count(1)
        self._questions: list[_Question] = []
        self._kept: list[Request] = []  # asked for without a connection
        self._listener: Listener | None = None
        self._news = asyncio.Event()  # something was told
        self._first: list[Notice] = []  # what came with the welcome
        self._ping = ("", 0.0)  # the id of the last one, and when it was sent
        self._quitting = False
        self._closing: notices.Closing | None = None

    # ── From open to close ───────────────────────────────────────────────────────────────────

    async def open(self) -> None:
        """Connect, say hello and wait for the answer. Raises ConnectionFailed or RemoteError."""
        host, port = self.address
        self._closing = None
        try:
            async with asyncio.timeout(OPEN_SECONDS):
                self._reader, self._writer = await asyncio.open_connection(
                    host, port, ssl=self._tls
                )
                self._writer.write(self.protocol.hello())
                self._first = await self._answer_to_hello()
        except TimeoutError:
            raise ConnectionFailed(
                f"{self.address} did not answer within {OPEN_SECONDS} seconds"
            ) from None
        except socket.gaierror as error:
            raise ConnectionFailed(f"cannot find {host}: {_why(error)}") from None
        except (OSError, UnicodeError, ValueError) as error:
            raise ConnectionFailed(f"cannot connect to {self.address}: {_why(error)}") from None

    async def run(self, listener: Listener) -> None:
        """Read until the end. Returns after `quit`; else raises ConnectionFailed or RemoteError."""
        self._listener = listener
        pinging = asyncio.create_task(self._ping_for_ever())
        try:
            while True:
                batch, self._first = self._first, []
                try:
                    while True:
                        listener.told(batch)
                        async with asyncio.timeout(SILENT_SECONDS):
                            batch = await self._receive()
                except TimeoutError:
                    silent = f"{self.address} says nothing any more"
                    await self._replace(ConnectionFailed(silent))
                except (ConnectionFailed, TooLateError) as lost:
                    if self._quitting:
                        return
                    await self._replace(lost)
        finally:
            pinging.cancel()

    async def close(self) -> None:
        """Close the socket, whatever state it is in."""
        self._writer.close()
        # The peer may have reset the connection, or be silent in the middle of TLS's goodbye.
        with contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(GOODBYE_SECONDS):
                await self._writer.wait_closed()

    async def _receive(self) -> list[Notice]:
        """What one read gives. Raises ConnectionFailed when there is nothing more to come."""
        lost = f"the connection to {self.address} was lost"
        try:
            data = await self._reader.read(READ_BYTES)
        except OSError as error:
            raise ConnectionFailed(f"{lost}: {_why(error)}") from None
        if not data:
            if self._closing is not None:
                lost = f"the server closed the connection: {self._closing.reason}"
                raise ConnectionFailed(lost, self._closing.retry)
            raise ConnectionFailed(lost)
        batch, reply = self.protocol.receive_data(data)
        if reply:
            self._writer.write(reply)
        for notice in batch:
            self._take(notice)
        self._news.set()
        return batch

    async def _answer_to_hello(self) -> list[Notice]:
        """What the server says at first, up to the welcome or the session resumed."""
        told: list[Notice] = []
        while not any(isinstance(each, notices.Welcome | notices.Resumed) for each in told):
            told += await self._receive()
            for notice in told:
                match notice:
                    case Rejected("password-needed" | "wrong-password", text):
                        self._writer.close()
                        raise PasswordNeeded(text)
        return told

    # ── Lost and found ───────────────────────────────────────────────────────────────────────

    async def _replace(self, lost: ConnectionFailed | TooLateError) -> None:
        """Connect again and take up the session. Raises what was lost when that cannot be."""
        listener = self._listener
        final = self._closing is not None and self._closing.retry is None
        if listener is None or listener.patience < 0 or final:
            raise lost
        self.state, self.lag_ms = "reconnecting", None
        listener.lost(str(lost))
        nick, rooms = self.protocol.nick, list(self.protocol.rooms)
        loop = asyncio.get_running_loop()
        give_up_at = loop.time() + listener.patience
        pause = 0.0
        last: ConnectionFailed | TooLateError = lost
        while True:
            self._writer.close()
            retry = last.retry if isinstance(last, ConnectionFailed) else None
            wait = max(pause * random.uniform(0.5, 1.5), (retry or 0) / 1000)  # noqa: S311 # spreads load, guards nothing
            if loop.time() + wait > give_up_at:
                raise lost
            await asyncio.sleep(wait)
            pause = min(max(FIRST_PAUSE_SECONDS, pause * 2), LONGEST_PAUSE_SECONDS)
            try:
                await self.open()
                break
            except PasswordNeeded:
                raise
            except (ConnectionFailed, TooLateError) as error:
                last = error
        self.state = "catching up"
        if any(isinstance(each, notices.Welcome) for each in self._first):
            self._begin_again(nick, rooms)
        kept, self._kept = self._kept, []
        for request in (*(question.request for question in self._questions), *kept):
            self._write(request)
        self.ping()  # answered after all that was missed

    def _begin_again(self, nick: str, rooms: list[str]) -> None:
        """The session is gone: go where we were, as whom we were."""
        if isinstance(nick_name(nick), Name):  # else it is the server's to give
            self._write(events.Nick(nick))
        for room in rooms:
            self._write(events.Join(room))

    # ── Asking ───────────────────────────────────────────────────────────────────────────────

    def send(self, request: Request) -> Request | None:
        """Send a request, for the current room when it names none; return it as it was sent.

        What is said carries an id then, so that its receipt can be told. What is longer than the
        server reads is not sent, but refused here: the server could not even say what it was.
        """
        if self.current and getattr(request, "room", None) == "":
            request = msgspec.structs.replace(request, room=self.current)
        if isinstance(request, events.Say | events.Tell):
            request = msgspec.structs.replace(request, id=str(next(self._ids)))
        limits = self.protocol.welcome and self.protocol.welcome.limits
        max_bytes = limits.line_bytes if limits else MAX_LINE_BYTES
        if len(encode_request(request)) > max_bytes:
            self._refuse("too-long", f"a line has at most {max_bytes:,} bytes")
            return None
        match request:
            case events.Join(room):
                self._before, self.current = self.current, room
            case events.Quit():
                self._quitting = True
        if self.state == "reconnecting" and not isinstance(request, events.Say | events.Tell):
            if len(self._kept) >= MAX_KEPT_REQUESTS:
                self._refuse("too-long", "too much is waiting until the connection is back")
                return None
            self._kept.append(request)
        else:
            self._write(request)
        return request

    async def ask(self, request: Request, answer: type[Notice]) -> Notice | None:
        """Send a request and wait for its answer: a notice of that type; None when refused."""
        future: asyncio.Future[Notice | None] = asyncio.get_running_loop().create_future()
        question = _Question(request, answer, future)
        if not self.send(request):
            return None
        self._questions.append(question)
        try:
            return await future
        finally:
            self._questions.remove(question)

    def ping(self) -> None:
        """Measure the lag; it is known when the answer comes."""
        self._ping = (f"ping-{next(self._ids)}", asyncio.get_running_loop().time())
        self._write(events.Ping(self._ping[0]))

    async def flush(self) -> None:
        """Wait until what is sent next goes out at once, behind all that was sent before."""
        limits = self.protocol.welcome and self.protocol.welcome.limits
        await self._fewer_than(limits.unacknowledged if limits else 1)
        with contextlib.suppress(OSError):  # `run` tells of it
            await self._writer.drain()

    async def settle(self) -> None:
        """Wait until all that was said has its receipt."""
        await self._fewer_than(1)

    async def _fewer_than(self, count: int) -> None:
        while len(self.protocol.unacknowledged) >= count:
            self._news.clear()
            await self._news.wait()

    def quit(self, reason: str = "") -> None:
        """Say goodbye, once; `run` returns when the server has heard it."""
        if not self._quitting:
            self.send(events.Quit(reason))

    def _write(self, request: Request) -> None:
        data = self.protocol.request(request)
        if data and self.state != "reconnecting":
            self._writer.write(data)

    def _refuse(self, reason: notices.Reason, text: str) -> None:
        if self._listener is not None:
            self._listener.told([Rejected(reason, text)])

    async def _ping_for_ever(self) -> None:
        while True:
            if self.state != "reconnecting":
                self.ping()
            await asyncio.sleep(PING_SECONDS)

    # ── Being told ───────────────────────────────────────────────────────────────────────────

    def _take(self, notice: Notice) -> None:
        match notice:
            case notices.Entered(room) if not self.current or _is_same(room, self.current):
                self.current = room  # as the server writes it
            case notices.Left(room, own=True) if room == self.current:
                self.current = next(reversed(self.protocol.rooms), "")
            case Rejected(request="join") if self.current not in self.protocol.rooms:
                self.current = self._before
            case notices.Ponged(id) if id == self._ping[0]:
                seconds = asyncio.get_running_loop().time() - self._ping[1]
                self.lag_ms = round(seconds * 1000)
                self.state = "connected"
            case notices.Closing():
                self._closing = notice
        for question in self._questions:
            if question.is_answered_by(notice) and not question.future.done():
                question.future.set_result(None if isinstance(notice, Rejected) else notice)
                break


def _is_same(room: str, typed: str) -> bool:
    """Whether the server's name of a room is what was typed, however it was written."""
    return room_name(room)[1] == room_name(typed)[1]


class _Question:
    """A request that somebody waits to be answered."""

    def __init__(
        self, request: Request, answer: type[Notice], future: asyncio.Future[Notice | None]
    ) -> None:
        self.request = request
        self.answer = answer
        self.future = future

    def is_answered_by(self, notice: Notice) -> bool:
        """Whether this notice is the answer, or the refusal. Others' renames have `own` unset."""
        if isinstance(notice, Rejected):
            return notice.request == self.request.__struct_config__.tag
        return isinstance(notice, self.answer) and getattr(notice, "own", True)


def _why(error: Exception) -> str:
    """What went wrong, in the operating system's words."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not to be trusted: {error.verify_message}"
    if isinstance(error, ssl.SSLError):
        return "it does not speak TLS"
    if isinstance(error, OSError) and not isinstance(error, socket.gaierror):
        # asyncio puts the numbers of all addresses tried into one text, and errno only for one.
        numbers = [error.errno] if error.errno else map(int, _ERRNO.findall(str(error)))
        for number in numbers:
            return os.strerror(number).lower()
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return str(text).lower()


_ERRNO = re.compile(r"\[Errno (\d+)\]")
