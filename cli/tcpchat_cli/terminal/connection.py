"""The connection to the server: asyncio streams around the client core.

Call order: `open`, then `run` in a task of its own for as long as the conversation lives, and
meanwhile `send` and `ask`; at the end `quit`, wait for `run` to return, and `close`.

A connection that is lost is replaced, and the session resumed, as long as the listener's patience
lasts; what is asked for meanwhile waits. When to try, and what to ask again, is decided in
`tcpchat_core.client`. Where there are several servers, each attempt is made at the next of them.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import math
import os
import random
import re
import secrets
import socket
import ssl
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Final, Literal, Protocol, TypeAlias

import msgspec

from tcpchat_cli.terminal.address import Address
from tcpchat_cli.terminal.device import Device, computer_name
from tcpchat_cli.terminal.overdue import Overdue
from tcpchat_cli.terminal.settings import BadSettings
from tcpchat_core import (
    ClientProtocol,
    LocalError,
    Notice,
    Request,
    TooLateError,
    events,
    notices,
)
from tcpchat_core.client import Heard, PendingRequest, Reconnect, Requests
from tcpchat_core.names import is_same_room
from tcpchat_core.notices import Rejected

# A server that is there answers at once; a packet filter that swallows packets never does.
OPEN_SECONDS: Final = 10

# How often hello is said where it comes so late that the server takes us for a person with nc.
HELLOS: Final = 3

# How long to wait for the server's goodbye, and then for the socket to close.
GOODBYE_SECONDS: Final = 2

# Some six hundred lines: enough to print in one go, little enough to stay quick on the keys.
READ_BYTES: Final = 65_536

# How often the way to the server and back is measured; and how long no answer at all, not even
# to that, means that the network is gone without a word.
PING_SECONDS: Final = 20
SILENT_SECONDS: Final = 45

# What to know when a claim has no answer: a code is good once.
_MAY_BE_CLAIMED: Final = "if the code is refused from now on, it is used up: ask for another"

State: TypeAlias = Literal["connected", "reconnecting", "catching up"]


def is_for_here(request: Request) -> bool:
    """Whether it names no room and is for the current one. A search is for all of one's rooms."""
    return getattr(request, "room", None) == "" and not isinstance(request, events.Search)


class ConnectionFailed(Exception):
    """The connection could not be made, or was lost. The text is one sentence for people."""


class NoAnswer(ConnectionFailed):
    """The server is there, and does nothing of what it is asked: it is left."""


class Refused(ConnectionFailed):
    """The server is there and does not want us, or we do not trust it: no other is tried."""


class PasswordNeeded(Refused):
    """The server lets nobody in without its password, or not with this one."""


class Banned(Refused):
    """Whoever we are may not be on the server now; the text says until when."""


class Listener(Protocol):
    """Who is told what comes."""

    @property
    def patience(self) -> float:
        """For how many seconds to try to replace a lost connection; below 0 not at all."""

    @property
    def answers_within(self) -> float:
        """For how many seconds to wait for an answer from a server that is there; inf for ever."""

    def told(self, batch: list[Notice]) -> None:
        """The notices of one read, in order; the next read waits for it."""

    def lost(self, sentence: str) -> None:
        """The connection is lost, and is being replaced."""


class Connection:
    """One person's connection to one of the servers, and the room that this person talks in."""

    def __init__(
        self,
        servers: Sequence[Address],
        *,
        password: str = "",
        tls: ssl.SSLContext | None = None,
        device: Device | None = None,
    ) -> None:
        self.home = servers[0]  # what is kept of these servers is kept by this name
        self._servers = deque(servers)  # the first is the one that is dialled, or connected to
        self._device = device or Device()
        self.protocol = ClientProtocol(password=password, device=self._device.token)
        self.account = ""  # whose device this is; "" for a guest
        self._requests = Requests(self.protocol)
        self._reconnect = Reconnect(0)
        self.state: State = "connected"
        self.lag_ms: int | None = None  # to the server and back, when it was measured last
        # The room that text without a room goes to: as it was typed until the server names it.
        self.current = ""
        self._before = ""  # the current room before the join that is under way
        self._tls = tls
        self._reader: asyncio.StreamReader
        self._writer: asyncio.StreamWriter
        self._pings = itertools.count(1)
        self._waiting: dict[PendingRequest, asyncio.Future[Notice]] = {}
        self._asking = 0  # how many wait in `ask`
        self._overdue = Overdue(math.inf)
        self._silent_at = math.inf  # when the network is taken to be gone
        self._limit: asyncio.Timeout | None = None  # of the read of `run` that is waited for
        self._listener: Listener | None = None
        self._news = asyncio.Event()  # something was told
        self._first: list[Notice] = []  # what came with the welcome
        self._ping = ("", 0.0)  # the id of the last one, and when it was sent
        self._quitting = False
        self._closing: notices.Closing | None = None

    @property
    def address(self) -> Address:
        """Where it is connected to, or being connected to."""
        return self._servers[0]

    @property
    def where(self) -> str:
        """The same for people; "" where there is only one server, which need not be told."""
        return str(self.address) if len(self._servers) > 1 else ""

    # ── From open to close ───────────────────────────────────────────────────────────────────

    async def open(self) -> None:
        """Connect to the first server that answers. Raises ConnectionFailed or RemoteError.

        Called again, after PasswordNeeded, it begins with the server that asked for it.
        """
        failures: list[str] = []
        for _ in range(len(self._servers)):
            try:
                return await self._dial_in_time()
            except Refused:
                raise
            except ConnectionFailed as failed:
                failures.append(str(failed))
                self._servers.rotate(-1)
        raise ConnectionFailed("; ".join(failures))

    async def _dial_in_time(self) -> None:
        """Dial, and again when our hello came too late. Raises as `_dial` does."""
        for _ in range(HELLOS - 1):
            with contextlib.suppress(TooLateError):
                return await self._dial()
        return await self._dial()

    async def _dial(self) -> None:
        """Connect, say hello and wait for the answer. Raises ConnectionFailed or RemoteError."""
        host, port = self.address
        self._closing = None
        try:
            async with asyncio.timeout(OPEN_SECONDS):
                self._reader, self._writer = await asyncio.open_connection(
                    host, port, ssl=self._tls
                )
                try:
                    self._writer.write(self._requests.hello())
                    self._first = await self._answer_to_hello()
                except BaseException:  # also the time limit
                    self._writer.close()
                    raise
        except TimeoutError:
            raise ConnectionFailed(
                f"{self.address} did not answer within {OPEN_SECONDS} seconds"
            ) from None
        except socket.gaierror as error:
            raise ConnectionFailed(f"cannot find {host}: {_why(error)}") from None
        except ssl.SSLError as error:
            raise Refused(f"cannot connect to {self.address}: {_why(error)}") from None
        except (OSError, UnicodeError, ValueError) as error:
            raise ConnectionFailed(f"cannot connect to {self.address}: {_why(error)}") from None

    async def claim(self, code: str, name: str) -> None:
        """Make this a device of an account; before `run`. Raises ConnectionFailed or RemoteError.

        `name` is what its owner calls it, "" to take that of the computer. Where the connection is
        lost before the answer, it is asked for over the next one, for a while. Raises BadSettings,
        and asks nothing, when the token could not be kept.
        """
        self._device.check()
        pending, data = self._requests.ask(_made(events.Claim(code, name)))
        answer = self._waiting[pending] = asyncio.get_running_loop().create_future()
        self._reconnect = Reconnect(OPEN_SECONDS * 1_000)
        self._reconnect.session_opened(now=_now_ms())
        self._write(data)
        try:
            async with asyncio.timeout(OPEN_SECONDS):
                while not answer.done():
                    await self._receive_first()
        except TimeoutError:
            raise ConnectionFailed(
                f"{self.address} did not answer within {OPEN_SECONDS} seconds; {_MAY_BE_CLAIMED}"
            ) from None
        except Refused:
            raise
        except (ConnectionFailed, TooLateError) as failed:
            raise ConnectionFailed(f"{failed}; {_MAY_BE_CLAIMED}") from None
        finally:
            del self._waiting[pending]
        for notice in (answer.result(), *self._first):
            if isinstance(notice, Rejected) and notice.request == "claim":
                raise Refused(notice.text)

    async def _receive_first(self) -> None:
        """Add to what is told at first, over another connection when this one is lost."""
        try:
            self._first += await self._receive()
        except (ConnectionFailed, TooLateError) as lost:
            before = self._first
            await self._replace(lost)
            self._first = before + self._first

    async def run(self, listener: Listener) -> None:
        """Read until the end. Returns after `quit`; else raises ConnectionFailed or RemoteError."""
        self._listener = listener
        self._overdue = Overdue(listener.answers_within)
        self._reconnect = Reconnect(listener.patience * 1_000)
        self._reconnect.session_opened(now=_now_ms())
        pinging = asyncio.create_task(self._ping_for_ever())
        try:
            while True:
                batch, self._first = self._first, []
                try:
                    while True:
                        listener.told(batch)
                        batch = await self._receive_in_time()
                except NoAnswer:
                    raise
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

    async def _receive_in_time(self) -> list[Notice]:
        """The same, where there is not silence: raises TimeoutError then, and NoAnswer."""
        self._silent_at = _now() + SILENT_SECONDS
        try:
            async with asyncio.timeout(None) as self._limit:
                self._reckon()
                return await self._receive()
        except TimeoutError:
            if self._overdue.due >= self._silent_at:
                raise
            raise NoAnswer(
                f"{self.address} is there, but has answered no request for"
                f" {self._overdue.limit:g} seconds"
            ) from None
        finally:
            self._limit = None
            self._reckon()

    def _reckon(self, *, answered: bool = False) -> None:
        """What the server owes, or whether we listen to it, may have changed."""
        is_owed = bool(self._asking or self.protocol.unacknowledged)
        counts = is_owed and self._limit is not None
        self._overdue.update(counts=counts, answered=answered, now=_now())
        if self._limit is not None and not self._limit.expired():
            self._limit.reschedule(min(self._silent_at, self._overdue.due))

    async def _receive(self) -> list[Notice]:
        """What one read gives. Raises ConnectionFailed when there is nothing more to come."""
        lost = f"the connection to {self.address} was lost"
        try:
            data = await self._reader.read(READ_BYTES)
        except OSError as error:
            raise ConnectionFailed(f"{lost}: {_why(error)}") from None
        if not data:
            match self._closing:
                case None:
                    raise ConnectionFailed(lost)
                case notices.Closing(reason, retry):
                    kind = Refused if retry is None else ConnectionFailed
                    who = self.where or "the server"
                    raise kind(f"{who} closed the connection: {reason}")
        owed = len(self.protocol.unacknowledged)
        told, reply = self._requests.receive_data(data)
        answered = len(self.protocol.unacknowledged) < owed
        self._write(reply)
        batch = [each for heard in told for each in self._about_device(heard)]
        for notice, pending in batch:
            self._take(notice)
            future = self._waiting.get(pending) if pending else None
            if future is not None and not future.done():
                future.set_result(notice)
                answered = True
        self._reckon(answered=answered)
        self._news.set()
        return [heard.notice for heard in batch]

    async def _answer_to_hello(self) -> list[Notice]:
        """What the server says at first, up to the welcome or the session resumed."""
        told: list[Notice] = []
        while not any(isinstance(each, notices.Welcome | notices.Resumed) for each in told):
            told += await self._receive()
            for notice in told:
                match notice:
                    case Rejected("password-needed" | "wrong-password", text):
                        raise PasswordNeeded(text)
                    case Rejected("banned" | "muted", text, "hello"):
                        raise Banned(text)
        return told

    # ── Lost and found ───────────────────────────────────────────────────────────────────────

    async def _replace(self, lost: ConnectionFailed | TooLateError) -> None:
        """Connect to the next server and take up the session.

        Raises what was lost when that cannot be.
        """
        error = lost
        while True:
            self._requests.connection_lost()
            # What it did not take is nobody's any more, and nobody is to wait for it (see `flush`).
            self._writer.transport.abort()
            wait_ms = self._reconnect.connection_lost(
                self._closing,
                now=_now_ms(),
                spread=random.random(),  # noqa: S311 # spreads load, guards nothing
            )
            if wait_ms is None:
                raise error if self._closing else lost
            if self.state != "reconnecting":
                self.state, self.lag_ms = "reconnecting", None
                if self._listener is not None:
                    self._listener.lost(str(lost))
            await asyncio.sleep(wait_ms / 1_000)
            self._servers.rotate(-1)
            try:
                await self._dial()
                break
            except (PasswordNeeded, Banned):
                raise
            except (ConnectionFailed, TooLateError) as failed:
                error = failed
        self._reconnect.session_opened(now=_now_ms())
        self.state = "catching up"
        self.ping()  # answered after all that was missed

    # ── Asking ───────────────────────────────────────────────────────────────────────────────

    def send(self, request: Request) -> Request | None:
        """Send a request, for the current room when it names none; return it as it was sent.

        What is said carries an id then, so that its receipt can be told. None when it cannot be
        sent, for example because it is too long; the listener is told why.
        """
        pending = self._send(request)
        return pending.request if pending else None

    def _send(self, request: Request) -> PendingRequest | None:
        if self.current and is_for_here(request):
            request = msgspec.structs.replace(request, room=self.current)
        return self._request(request)

    def _request(self, request: Request) -> PendingRequest | None:
        try:
            if isinstance(request, events.Claim):
                self._device.check()
                request = _made(request)
            pending, data = self._requests.ask(request)
        except BadSettings as error:
            if self._listener is not None:
                self._listener.told([Rejected("unavailable", str(error), "claim")])
            return None
        except LocalError as error:
            self._refuse(request, error)
            return None
        match request:
            case events.Join(room):
                self._before, self.current = self.current, room
            case events.Quit():
                self._quitting = True
            case _:
                pass
        self._write(data)
        self._reckon()
        return pending

    def _refuse(self, request: Request, error: LocalError) -> None:
        """Tell why something was not sent."""
        if self._listener is not None:
            kind, id = str(request.__struct_config__.tag), getattr(request, "id", None)
            self._listener.told([Rejected("too-long", str(error), kind, id)])

    async def ask(self, request: Request) -> Notice | None:
        """Send a request and wait for its answer; None when it is refused."""
        pending = self._send(request)
        if pending is None:
            return None
        self._waiting[pending] = asyncio.get_running_loop().create_future()
        self._asking += 1
        self._reckon()
        try:
            answer = await self._waiting[pending]
        finally:
            self._asking -= 1
            self._reckon()
            del self._waiting[pending]
            self._requests.cancel(pending)
        return None if isinstance(answer, Rejected) else answer

    def request(self, request: Request) -> asyncio.Future[Notice] | None:
        """Send a request as it is; its answer is known when the listener is told of it.

        None when it cannot be sent; the listener is told why.
        """
        pending = self._request(request)
        if pending is None:
            return None
        answer = self._waiting[pending] = asyncio.get_running_loop().create_future()
        answer.add_done_callback(lambda _: self._waiting.pop(pending, None))
        return answer

    def tell(self, request: Request) -> None:
        """Send what has no answer that anybody could wait for. It is sent once, or not at all."""
        try:
            self._write(self.protocol.request(request))
        except LocalError as error:
            self._refuse(request, error)

    def ping(self) -> None:
        """Measure the lag; it is known when the answer comes."""
        self._ping = (f"ping-{next(self._pings)}", _now_ms())
        self._write(self.protocol.request(events.Ping(self._ping[0])))

    def read(self, room: str, seq: int) -> None:
        """Tell one's other devices how far a room was read. It has no answer."""
        self._write(self.protocol.request(events.Read(room, seq)))

    async def flush(self) -> None:
        """Wait until what is sent next goes out at once, behind all that was sent before."""
        limits = self.protocol.welcome and self.protocol.welcome.limits
        window = limits.unacknowledged if limits else 1
        await self._until(
            lambda: len(self.protocol.unacknowledged) < window and not self._requests.is_full
        )
        with contextlib.suppress(OSError):  # `run` tells of it
            await self._writer.drain()

    async def settle(self) -> None:
        """Wait until all that was said has its receipt."""
        await self._until(lambda: not self.protocol.unacknowledged)

    async def _until(self, condition: Callable[[], bool]) -> None:
        while not condition():
            self._news.clear()
            await self._news.wait()

    def quit(self, reason: str = "") -> None:
        """Say goodbye, once; `run` returns when the server has heard it."""
        if not self._quitting:
            self.send(events.Quit(reason))

    def _write(self, data: bytes) -> None:
        if data and not self._writer.is_closing():
            self._writer.write(data)

    async def _ping_for_ever(self) -> None:
        while True:
            if self.state != "reconnecting":
                self.ping()
            await asyncio.sleep(PING_SECONDS)

    # ── Being told ───────────────────────────────────────────────────────────────────────────

    def _about_device(self, heard: Heard) -> Iterator[Heard]:
        """Keep the token that is given to this device, which is shown to nobody; or forget it."""
        match heard.notice:
            case notices.Claimed(token=token) as claimed:
                yield Heard(msgspec.structs.replace(claimed, token=""), heard.answers)
                if token:
                    yield from self._kept(token)
            case Rejected("unknown-device", request="hello") as rejected:
                self._device.forget()
                self.protocol.device = ""
                text = (
                    f"{self.where or 'the server'} does not know this device any more: its token"
                    " is forgotten, and you are a guest; /claim it by a new code"
                )
                yield Heard(msgspec.structs.replace(rejected, text=text), heard.answers)
            case _:
                yield heard

    def _kept(self, token: str) -> Iterator[Heard]:
        try:
            self._device.keep(token)
        except BadSettings as error:
            yield Heard(Rejected("unavailable", str(error), "claim"))

    def _take(self, notice: Notice) -> None:
        match notice:
            case notices.Welcome(account=account) | notices.Claimed(account):
                self.account = account
            case notices.Entered(room) if not self.current or is_same_room(room, self.current):
                self.current = room  # as the server writes it
            case notices.Left(room, own=True) if room == self.current:
                self.current = next(reversed(self.protocol.rooms), "")
            case Rejected(request="join") if self.current not in self.protocol.rooms:
                self.current = self._before
            case notices.Ponged(id) if id == self._ping[0]:
                self.lag_ms = round(_now_ms() - self._ping[1])
                self.state = "connected"
            case notices.Closing():
                self._closing = notice
            case _:
                pass


def _made(claim: events.Claim) -> events.Claim:
    """The same for a device that has a token, and a name, if the computer has one.

    The token is made here, so that the claim can be asked again when its answer is lost.
    """
    name = claim.name or computer_name()
    return msgspec.structs.replace(claim, name=name, device=secrets.token_hex(32))


def _now() -> float:
    return asyncio.get_running_loop().time()


def _now_ms() -> float:
    return _now() * 1_000


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
