"""ChatClient: a small blocking-style client, for bots, tests and measurements.

    with ChatClient("127.0.0.1", 7667, nick="bot") as chat:
        chat.join("lobby")
        chat.say("lobby", "hello")
        for notice in chat:
            ...

Each request waits (its greenlet waits) until the server has answered, and returns the answer.
What else the server tells is kept in order, and iterating gives it. A lost connection is replaced
and the session resumed; the program sees a `Resumed`, then what it has missed.
"""

from __future__ import annotations

import contextlib
import random
import ssl
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from types import TracebackType
from typing import Final, NamedTuple, Self, TypeVar

import gevent
from gevent import socket
from gevent.event import AsyncResult, Event
from gevent.lock import RLock, Semaphore

from tcpchat_core import (
    ClientProtocol,
    Notice,
    Request,
    TcpchatError,
    TooLateError,
    events,
    notices,
)
from tcpchat_core.client import RoomView

# How much is read at once.
_READ_BYTES: Final = 65_536

# How many notices are kept for a program that does not look at them. Past it nothing is read
# until it does (or waits for an answer), and the server sees a slow reader.
MAX_WAITING_NOTICES: Final = 10_000

# The first attempt to reconnect comes at once; the pause before each further one doubles up to
# this, and is spread by half to both sides so that a whole room does not come back as one.
MAX_RETRY_PAUSE_S: Final = 5.0

# After so many silent seconds the kernel asks the other end whether it is there.
KEEPALIVE_S: Final = 60

_Answer = TypeVar("_Answer", bound=Notice)
_Result = TypeVar("_Result")


class RequestRejected(TcpchatError):
    """The server did not do what was asked. `reason` is one of the protocol's words."""

    def __init__(self, rejected: notices.Rejected) -> None:
        super().__init__(f"{rejected.reason}: {rejected.text}")
        self.reason = rejected.reason
        self.text = rejected.text


class ConnectionClosed(TcpchatError):
    """The connection ended; the text says how.

    `reason` is why, in the server's words; "" when it did not say.
    """

    def __init__(self, text: str, reason: str = "") -> None:
        super().__init__(f"{text}: {reason}" if reason else text)
        self.reason = reason


class ChatClient:
    """A connection to a tcpchat server.

    Every request raises `TimeoutError` after `timeout` seconds, `ConnectionClosed` when the
    connection ends, `RequestRejected` when the server refuses, and `RemoteError` when the server
    does not speak the protocol. The constructor raises OSError when there is no server, and the
    `ssl.SSLError` among them when it cannot be trusted.

    `reconnect` is for how many seconds it tries to replace a lost connection; 0 for not at all.

    With `tls`, a context of the standard library, the connection is encrypted. The certificate
    has to be one for `server_hostname`, which is `host` if it is not given.
    """

    def __init__(
        self,
        host: str,
        port: int,
        *,
        nick: str | None = None,
        password: str = "",
        timeout: float = 10,
        reconnect: float = 60,
        tls: ssl.SSLContext | None = None,
        server_hostname: str | None = None,
    ) -> None:
        self._address = (host, port)
        self._tls = tls
        self._server_hostname = server_hostname or host
        self._timeout = timeout
        self._reconnect_s = reconnect
        self._protocol = ClientProtocol(password=password)
        self._writing = RLock()
        self._waiting: deque[_Waiting] = deque()
        self._told: deque[Notice] = deque()
        # Each is cleared only by those who wait for it, else one could clear the other's wake-up.
        self._changed = Event()  # something was told, or all ended
        self._wanted = Event()  # something was looked at or asked for, or all ended
        self._ended: TcpchatError | None = None
        # While there is no session: since when, the pause before the next attempt to have it
        # back, and why the server ended it. To be connected is not enough: what accepts may be
        # a proxy that has no server to speak to.
        self._lost_at: float | None = None
        self._pause_s = 0.0
        self._reason = ""
        self._sock = self._connect()
        self._reader = gevent.spawn(self._read)
        try:
            self._ask(self._protocol.hello(), notices.Welcome, word="hello")
            if nick is not None:
                self.set_nick(nick)
        except BaseException:
            self.close()
            raise

    # ── What is known ────────────────────────────────────────────────────────────────────────

    @property
    def nick(self) -> str:
        """The nick that this client has now."""
        return self._protocol.nick

    @property
    def rooms(self) -> Mapping[str, RoomView]:
        """The rooms that this client is in, by the server's names."""
        return self._protocol.rooms

    # ── Requests ─────────────────────────────────────────────────────────────────────────────

    def set_nick(self, nick: str) -> notices.Renamed:
        """Change nickname."""
        return self._request(events.Nick(nick), notices.Renamed, lambda told: told.own)

    def join(self, room: str) -> notices.Entered:
        """Enter a room."""
        return self._request(events.Join(room), notices.Entered)

    def out(self, room: str) -> notices.Left:
        """Leave a room."""
        return self._request(events.Out(room), notices.Left, lambda told: told.own)

    def say(self, room: str, text: str, *, emote: bool = False) -> notices.Sent:
        """Say a line to a room; returns its receipt."""
        return self._send_message(self._protocol.say(room, text, emote=emote))

    def tell(self, nick: str, text: str) -> notices.Sent:
        """Say a line to one person; returns its receipt."""
        return self._send_message(self._protocol.tell(nick, text))

    def set_topic(self, room: str, topic: str) -> notices.TopicSet:
        """Set a room's topic; "" clears it."""
        return self._request(
            events.Topic(room, topic), notices.TopicSet, lambda told: told.nick == self.nick
        )

    def list_rooms(self) -> notices.RoomList:
        """The rooms there are."""
        return self._request(events.Rooms(), notices.RoomList)

    def who(self, room: str) -> notices.Members:
        """Who is in a room that this client is in."""
        return self._request(events.Who(room), notices.Members)

    def history(
        self, room: str, *, before: int | None = None, limit: int = 20
    ) -> notices.HistoryPage:
        """What was said last in a room that this client is in."""
        return self._request(events.History(room, before, limit), notices.HistoryPage)

    def ping(self) -> notices.Ponged:
        """Wait until the server has dealt with all that was asked so far."""
        return self._request(events.Ping(), notices.Ponged)

    def close(self, reason: str = "") -> None:
        """Say goodbye and disconnect. What was told before can still be looked at."""
        if self._ended is None:
            self._end(ConnectionClosed("the connection was closed"))
            with contextlib.suppress(OSError, gevent.Timeout), gevent.Timeout(self._timeout):
                self._write(self._protocol.request(events.Quit(reason)))
                self._sock.shutdown(socket.SHUT_WR)
                self._reader.join()  # it reads what is still on its way
        self._reader.kill()
        self._sock.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        self.close()

    # ── Being told ───────────────────────────────────────────────────────────────────────────

    def __iter__(self) -> Iterator[Notice]:
        """What is told, as it comes, until the connection ends."""
        while True:
            try:
                yield self.next_notice()
            except ConnectionClosed:
                return

    def next_notice(self, timeout: float | None = None) -> Notice:
        """The next thing told, answers to own requests left out; waits for it.

        Raises TimeoutError when nothing comes for `timeout` seconds.
        """
        with gevent.Timeout(timeout, TimeoutError(f"nothing was told for {timeout} s")):
            while not self._told:
                if self._ended is not None:
                    raise self._ended
                self._changed.clear()
                self._changed.wait()
        self._wanted.set()  # there is room for one more
        return self._told.popleft()

    # ── The connection ───────────────────────────────────────────────────────────────────────

    def _request(
        self,
        request: Request,
        answer: type[_Answer],
        is_answer: Callable[[_Answer], bool] = lambda _answer: True,
    ) -> _Answer:
        word = request.__struct_config__.tag
        return self._ask(self._protocol.request(request), answer, is_answer, word)

    def _send_message(self, data: bytes) -> notices.Sent:
        id = next(reversed(self._protocol.unacknowledged))
        return self._ask(data, notices.Sent, lambda sent: sent.id == id, id=id)

    def _ask(
        self,
        data: bytes,
        answer: type[_Answer],
        is_answer: Callable[[_Answer], bool] = lambda _answer: True,
        word: object = None,
        id: str | None = None,
    ) -> _Answer:
        """Send a request; wait for what answers it, or for its rejection."""
        if self._ended is not None:
            raise self._ended

        def settles(notice: Notice) -> bool:
            if isinstance(notice, notices.Rejected):
                return notice.id == id if id is not None else notice.request == word
            return isinstance(notice, answer) and is_answer(notice)

        waiting = _Waiting(settles, AsyncResult(), data if id is None else b"")
        self._waiting.append(waiting)
        self._wanted.set()
        try:
            with gevent.Timeout(self._timeout, TimeoutError("the server did not answer in time")):
                # Without a connection it waits for the next one; see `_resume`.
                with contextlib.suppress(OSError):
                    self._write(data)
                notice = waiting.result.get()
        finally:
            with contextlib.suppress(ValueError):
                self._waiting.remove(waiting)
        if isinstance(notice, notices.Rejected):
            raise RequestRejected(notice)
        assert isinstance(notice, answer)
        return notice

    def _connect(self) -> socket.socket | _TlsSocket:
        with gevent.Timeout(self._timeout, TimeoutError("the server did not answer in time")):
            sock = socket.create_connection(self._address)
            # Who only listens would never find out that the other end is gone without a word.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, KEEPALIVE_S)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, KEEPALIVE_S // 3)
            if self._tls is None:
                return sock
            return _TlsSocket(sock, self._tls, self._server_hostname)

    def _write(self, data: bytes) -> None:
        with self._writing:
            self._sock.sendall(data)

    def _read(self) -> None:
        """The reader's greenlet: take in what comes, over one connection after another."""
        try:
            while True:
                closing = self._read_connection()
                if closing is not None:
                    self._reason = closing.reason
                    if closing.retry is None:
                        break
                if not self._resume(closing):
                    break
        except TcpchatError as error:
            self._end(error)
        how = "the server closed the connection" if self._reason else "the connection was lost"
        self._end(ConnectionClosed(how, self._reason))
        self._sock.close()

    def _read_connection(self) -> notices.Closing | None:
        """Take in what one connection gives; at its end return the server's last words."""
        closing = None
        while True:
            while (
                self._ended is None and len(self._told) >= MAX_WAITING_NOTICES and not self._waiting
            ):
                self._wanted.clear()
                self._wanted.wait()
            try:
                data = self._sock.recv(_READ_BYTES)
            except OSError:
                return closing  # a reset is an end like any other
            if not data:
                return closing
            try:
                told, reply = self._protocol.receive_data(data)
            except TooLateError:
                return closing
            for notice in told:
                if isinstance(notice, notices.Closing):
                    closing = notice
                self._deliver(notice)
            if reply:
                with contextlib.suppress(OSError):  # the next read tells
                    self._write(reply)

    def _resume(self, closing: notices.Closing | None) -> bool:
        """Replace the connection; return whether that could be done."""
        welcome = self._protocol.welcome
        if welcome is None or not welcome.token:
            return False
        if self._lost_at is None:
            self._lost_at, self._pause_s = time.monotonic(), 0.0
        if closing is not None:
            self._pause_s = max(self._pause_s, (closing.retry or 0) / 1_000)
        until = self._lost_at + self._reconnect_s
        while self._ended is None and time.monotonic() + self._pause_s < until:
            gevent.sleep(self._pause_s * random.uniform(0.5, 1.5))  # noqa: S311 # it spreads, it hides nothing
            self._pause_s = min(max(0.1, 2 * self._pause_s), MAX_RETRY_PAUSE_S)
            try:
                sock = self._connect()
                sock.sendall(self._protocol.hello())
            except OSError:
                continue
            self._sock.close()
            self._sock = sock
            return True
        return False

    def _ask_again(self) -> None:
        """Ask again for what may not have arrived. Messages are resent by the protocol.

        What had arrived is asked for twice then: the answer is that of the second time.
        """
        for waiting in self._waiting:
            if waiting.data:
                with contextlib.suppress(OSError):
                    self._write(waiting.data)

    def _deliver(self, notice: Notice) -> None:
        match notice:
            case notices.Resumed():
                self._lost_at, self._reason = None, ""
                self._ask_again()
            case notices.Welcome() if self._lost_at is not None:
                with contextlib.suppress(OSError):  # the new one is of no use
                    self._write(self._protocol.request(events.Quit()))
                raise ConnectionClosed("the server does not know this session any more")
            case notices.Said(room, seq=seq, at=at, id=str(id)):
                # Its receipt was lost with the connection; this tells the same.
                notice = notices.Sent(at, id, room, seq=seq)
            case _:
                pass
        for waiting in self._waiting:
            if waiting.settles(notice):
                self._waiting.remove(waiting)
                waiting.result.set(notice)
                return
        self._told.append(notice)
        self._changed.set()

    def _end(self, error: TcpchatError) -> None:
        if self._ended is None:
            self._ended = error
            self._changed.set()
            self._wanted.set()
            for waiting in self._waiting:
                waiting.result.set_exception(error)


class _Waiting(NamedTuple):
    """A request that waits for its answer."""

    settles: Callable[[Notice], bool]
    result: AsyncResult[Notice]
    data: bytes  # to ask again with, on another connection


class _TlsSocket:
    """What is used of a socket, over TLS.

    gevent's own TLS has to come of gevent's own context; a context of the standard library, as
    `ssl.create_default_context` makes it, would block the loop. So TLS is done in memory here,
    and it is a plain socket that waits.
    """

    def __init__(self, sock: socket.socket, context: ssl.SSLContext, server_hostname: str) -> None:
        """Shake hands. When that fails `sock` is closed, and OSError raised."""
        self._sock = sock
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._flushing = Semaphore()
        self._tls = context.wrap_bio(
            self._incoming, self._outgoing, server_hostname=server_hostname
        )
        try:
            self._read_for(self._tls.do_handshake)
            self._flush()
        except BaseException:  # also the time limit
            sock.close()
            raise

    def recv(self, size: int) -> bytes:
        """The next bytes, b"" at the end. An end that TLS does not tell of raises OSError."""
        try:
            return self._read_for(lambda: self._tls.read(size))
        except ssl.SSLZeroReturnError:
            return b""

    def sendall(self, data: bytes) -> None:
        """Send bytes; wait while the peer does not take them."""
        self._tls.write(data)
        self._flush()

    def shutdown(self, how: int) -> None:
        """Say that nothing more will be sent: in TLS, so that the peer knows nothing is cut off."""
        with contextlib.suppress(ssl.SSLWantReadError):  # nobody waits for the peer's own goodbye
            self._tls.unwrap()
        self._flush()
        self._sock.shutdown(how)

    def close(self) -> None:
        """Let go of the socket."""
        self._sock.close()

    def _read_for(self, step: Callable[[], _Result]) -> _Result:
        """Do a step of TLS, with as much of what comes as it wants."""
        while True:
            try:
                return step()
            except ssl.SSLWantReadError:
                if not self._flushing.locked():  # else it goes out with what is on its way
                    self._flush()
                if data := self._sock.recv(_READ_BYTES):
                    self._incoming.write(data)
                else:
                    self._incoming.write_eof()

    def _flush(self) -> None:
        with self._flushing:
            while data := self._outgoing.read():
                self._sock.sendall(data)
