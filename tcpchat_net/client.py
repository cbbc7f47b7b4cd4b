"""ChatClient: a small blocking-style client, for bots, tests and measurements.

    with ChatClient("127.0.0.1", 7667, nick="bot") as chat:
        chat.join("lobby")
        chat.say("lobby", "hello")
        for notice in chat:
            ...

Each request waits (its greenlet waits) until the server has answered, and returns the answer.
What else the server tells is kept in order, and iterating gives it. A lost connection is replaced
and the session resumed, on the next server where there are several; the program sees a `Resumed`,
then what it has missed.
"""

from __future__ import annotations

import contextlib
import random
import ssl
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import TracebackType
from typing import Final, Self, TypeVar

import gevent
from gevent import socket
from gevent.event import AsyncResult, Event
from gevent.lock import Semaphore

from tcpchat_core import (
    ClientProtocol,
    Notice,
    Request,
    RoomView,
    TcpchatError,
    TooLateError,
    events,
    notices,
)
from tcpchat_core.client import Heard, PendingRequest, Reconnect, Requests

# How much is read at once.
_READ_BYTES: Final = 65_536

# How many notices are kept for a program that does not look at them. Past it nothing is read
# until it does (or waits for an answer), and the server sees a slow reader.
MAX_WAITING_NOTICES: Final = 10_000

# A server that does not take so many bytes is given up. A thousand requests that wait for their
# answers, each of 32 KiB, are half of it, so they can only be answers to a flood of its pings.
MAX_OUTGOING_BYTES: Final = 64 << 20

# After so many silent seconds the kernel asks the other end whether it is there.
KEEPALIVE_S: Final = 60

# How often hello is said at first where it comes so late that the server takes us for a person. A
# machine that is busy for a second is not for three times in a row.
HELLOS: Final = 3

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
    connection ends, `RequestRejected` when the server refuses, `LineTooLongError` when it would not
    read so long a line (then nothing was sent), and `RemoteError` when the server does not speak
    the protocol. The constructor raises OSError when there is no server, and the
    `ssl.SSLError` among them when it cannot be trusted.

    `others` are more servers of the same cluster, each a host and a port. They are tried in their
    order after the first, at the start until one can be reached, and then whenever the connection
    is lost, in turn.

    `device` is the token of a device of an account, by which this comes as that account; what
    `nick` would be is its own then. A token that is nobody's is refused (`unknown-device`).

    `reconnect` is for how many seconds it tries to replace a lost connection; 0 for not at all.

    With `tls`, a context of the standard library, the connection is encrypted. The certificate
    has to be one for `server_hostname`; where that is not given, for the host that is connected to.
    """

    def __init__(
        self,
        host: str,
        port: int,
        *,
        others: Iterable[tuple[str, int]] = (),
        nick: str | None = None,
        password: str = "",
        device: str = "",
        timeout: float = 10,
        reconnect: float = 60,
        tls: ssl.SSLContext | None = None,
        server_hostname: str | None = None,
    ) -> None:
        self._servers = deque([(host, port), *others])  # the first is the one that is used
        self._tls = tls
        self._server_hostname = server_hostname
        self._timeout = timeout
        self._requests = Requests(ClientProtocol(password=password, device=device))
        self._reconnect = Reconnect(reconnect * 1_000)
        self._results: dict[PendingRequest, AsyncResult[Notice]] = {}
        self._greeted: AsyncResult[Notice] = AsyncResult()  # the answer to the first hello
        self._hellos_left = HELLOS - 1  # for as long as there is none
        self._told: deque[Notice] = deque()
        # Each is cleared only by those who wait for it, else one could clear the other's wake-up.
        self._changed = Event()  # something was told, or all ended
        self._wanted = Event()  # something was looked at or asked for, or all ended
        self._ended: TcpchatError | None = None
        self._reason = ""  # why the server ended the last session or attempt
        self._connection = self._connect_at_first()
        self._reader = gevent.spawn(self._read)
        try:
            self._greet(nick)
        except BaseException:
            self.close()
            raise

    def _greet(self, nick: str | None) -> None:
        self._connection.write(self._requests.hello())
        self._result(self._greeted)
        if isinstance(self._ended, RequestRejected):  # that was told right behind the welcome
            raise self._ended
        if nick is not None:
            self.set_nick(nick)

    # ── What is known ────────────────────────────────────────────────────────────────────────

    @property
    def nick(self) -> str:
        """The nick that this client has now."""
        return self._requests.protocol.nick

    @property
    def rooms(self) -> Mapping[str, RoomView]:
        """The rooms that this client is in, by the server's names."""
        return self._requests.protocol.rooms

    # ── Requests ─────────────────────────────────────────────────────────────────────────────

    def set_nick(self, nick: str) -> notices.Renamed:
        """Change nickname."""
        return self._ask(events.Nick(nick), notices.Renamed)

    def join(self, room: str) -> notices.Entered:
        """Enter a room."""
        return self._ask(events.Join(room), notices.Entered)

    def out(self, room: str, reason: str = "") -> notices.Left:
        """Leave a room."""
        return self._ask(events.Out(room, reason=reason), notices.Left)

    def say(
        self,
        room: str,
        text: str,
        *,
        emote: bool = False,
        notice: bool = False,
        tags: dict[str, str] | None = None,
        re: int | None = None,
    ) -> notices.Sent:
        """Say a line to a room; returns its receipt. A bot says a `notice`. `tags` are for other
        programs, by name. `re` is the number (`Said.seq`) of the message there that this answers.
        """
        said = events.Say(room, text, emote=emote, notice=notice, tags=tags, re=re)
        return self._ask(said, notices.Sent)

    def tell(
        self, nick: str, text: str, *, notice: bool = False, tags: dict[str, str] | None = None
    ) -> notices.Sent:
        """Say a line to one person; returns its receipt."""
        return self._ask(events.Tell(nick, text, notice=notice, tags=tags), notices.Sent)

    def set_topic(self, room: str, topic: str) -> notices.TopicSet:
        """Set a room's topic; "" clears it."""
        return self._ask(events.Topic(room, topic), notices.TopicSet)

    def list_rooms(self) -> notices.RoomList:
        """The rooms there are."""
        return self._ask(events.Rooms(), notices.RoomList)

    def who(self, room: str) -> notices.Members:
        """Who is in a room that this client is in."""
        return self._ask(events.Who(room), notices.Members)

    def set_away(self, text: str) -> notices.AwaySet:
        """Be away, and say why; "" to be back."""
        return self._ask(events.Away(text), notices.AwaySet)

    def set_name(self, name: str) -> notices.NameSet:
        """Have a real name, as `whois` tells it; "" for none."""
        return self._ask(events.SetName(name), notices.NameSet)

    def whois(self, nick: str) -> notices.PersonInfo:
        """Who somebody is, and in which of the rooms that this client is in."""
        return self._ask(events.Whois(nick), notices.PersonInfo)

    def history(
        self,
        room: str,
        *,
        before: int | None = None,
        limit: int = 20,
        after: int | None = None,
        latest: bool = False,
        around: int | None = None,
        since: int | None = None,
        until: int | None = None,
        around_at: int | None = None,
    ) -> notices.HistoryPage:
        """What was said last in a room that this client is in, or before a message.

        As long as the page says `more`, there is one before it: ask for what was said before the
        `seq` of its first message.

        What was said after a message begins with the first, and `more` says that there is a page
        behind it; with `latest` it ends with the last. Around a message, it is in the midst. The
        last three are times, in ms since the epoch: from one on, before one, around one.
        """
        query = events.History(
            room,
            before,
            limit,
            after=after,
            latest=latest,
            around=around,
            since=since,
            until=until,
            around_at=around_at,
        )
        return self._ask(query, notices.HistoryPage)

    def search(
        self, words: str, *, room: str = "", nick: str = "", since: int = 0, limit: int = 20
    ) -> notices.SearchResults:
        """What was said with all of these words in the rooms that this client is in, newest first.

        Of one room only, by one person only, from a time on (ms since the epoch).
        """
        return self._ask(events.Search(words, room, nick, since, limit), notices.SearchResults)

    def ping(self) -> notices.Ponged:
        """Wait until the server has dealt with all that was asked so far."""
        return self._ask(events.Ping(), notices.Ponged)

    def close(self, reason: str = "") -> None:
        """Say goodbye and disconnect. What was told before can still be looked at."""
        if self._ended is None:
            self._end(ConnectionClosed("the connection was closed"))
            if not self._reconnect.in_progress:
                self._connection.write(self._requests.protocol.request(events.Quit(reason)))
                self._connection.finish(self._timeout)
                self._reader.join(self._timeout)  # it reads what is still on its way
        self._reader.kill()
        self._connection.close()

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

    # ── Requests that wait ───────────────────────────────────────────────────────────────────

    def _ask(self, request: Request, answer: type[_Answer]) -> _Answer:
        """Send a request; wait for what answers it, or for its rejection."""
        if self._ended is not None:
            raise self._ended
        pending, data = self._requests.ask(request)
        result = self._results[pending] = AsyncResult()
        self._connection.write(data)
        self._wanted.set()
        try:
            notice = self._result(result)
        finally:
            del self._results[pending]
            self._requests.cancel(pending)
        assert isinstance(notice, answer)
        return notice

    def _result(self, result: AsyncResult[Notice]) -> Notice:
        with gevent.Timeout(self._timeout, TimeoutError("the server did not answer in time")):
            notice = result.get()
        assert notice is not None
        if isinstance(notice, notices.Rejected):
            raise RequestRejected(notice)
        return notice

    def _deliver(self, heard: Heard) -> None:
        """Give a notice to who waits for it, or to the program."""
        notice, pending = heard
        match notice:
            case notices.Welcome() | notices.Rejected(request="hello") if not self._greeted.ready():
                self._greeted.set(notice)
                self._reconnect.session_opened(now=_now_ms())
                return
            case notices.Rejected(request="hello"):
                raise RequestRejected(notice)
            case notices.Welcome():  # the new session is of no use
                self._connection.write(self._requests.protocol.request(events.Quit()))
                self._connection.finish(self._timeout)
                raise ConnectionClosed("the server does not know this session any more")
            case notices.Resumed():
                self._reconnect.session_opened(now=_now_ms())
                self._reason = ""
            case notices.Said(room, seq=seq, at=at, id=str(id)):
                # Its receipt was lost with the connection; this tells the same.
                notice = notices.Sent(at, id, room, seq=seq)
            case _:
                pass
        if pending in self._results:
            self._results[pending].set(notice)
        else:
            self._told.append(notice)
            self._changed.set()

    # ── The connection ───────────────────────────────────────────────────────────────────────

    def _connect_at_first(self) -> _Connection:
        """A connection to the first server that can be reached."""
        for _ in range(len(self._servers) - 1):
            try:
                return self._connect()
            except ssl.SSLError:  # it can be reached, and cannot be trusted
                raise
            except OSError:
                self._servers.rotate(-1)
        return self._connect()

    def _connect(self) -> _Connection:
        host, port = self._servers[0]
        with gevent.Timeout(self._timeout, TimeoutError("the server did not answer in time")):
            sock = socket.create_connection((host, port))
            # Who only listens would never find out that the other end is gone without a word.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, KEEPALIVE_S)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, KEEPALIVE_S // 3)
            if self._tls is None:
                return _Connection(sock)
            return _Connection(_TlsSocket(sock, self._tls, self._server_hostname or host))

    def _read(self) -> None:
        """The reader's greenlet: take in what comes, over one connection after another."""
        try:
            while self._replace_connection(self._read_connection()):
                pass
        except TcpchatError as error:
            self._end(error)
        how = "the server closed the connection" if self._reason else "the connection was lost"
        self._end(ConnectionClosed(how, self._reason))
        self._connection.close()

    def _read_connection(self) -> notices.Closing | None:
        """Take in what one connection gives; at its end return the server's last words."""
        closing = None
        while True:
            while (
                self._ended is None and len(self._told) >= MAX_WAITING_NOTICES and not self._results
            ):
                self._wanted.clear()
                self._wanted.wait()
            try:
                data = self._connection.read()
                heard, reply = self._requests.receive_data(data)
            except TooLateError:
                if not self._says_hello_again():
                    return closing
                continue
            except OSError:
                return closing  # a reset is an end like any other
            if not data:
                return closing
            for each in heard:
                if isinstance(each.notice, notices.Closing):
                    closing = each.notice
                self._deliver(each)
            self._connection.write(reply)

    def _says_hello_again(self) -> bool:
        """At first, when the server took us for a person: say it over another connection, if that
        can be had.
        """
        if self._greeted.ready() or not self._hellos_left:
            return False
        self._hellos_left -= 1
        try:
            connection = self._connect()
        except OSError:
            return False
        self._connection.close()
        self._connection = connection
        connection.write(self._requests.hello())
        return True

    def _replace_connection(self, closing: notices.Closing | None) -> bool:
        """Connect to the next server and ask for the session; return whether it could be done."""
        self._requests.connection_lost()
        if closing is not None:
            self._reason = closing.reason
        welcome = self._requests.protocol.welcome
        if welcome is None or not welcome.token:
            return False
        while self._ended is None:
            wait_ms = self._reconnect.connection_lost(closing, now=_now_ms(), spread=_chance())
            if wait_ms is None:
                return False
            gevent.sleep(wait_ms / 1_000)
            closing = None
            self._servers.rotate(-1)
            with contextlib.suppress(OSError):
                connection = self._connect()
                self._connection.close()
                self._connection = connection
                connection.write(self._requests.hello())
                return True
        return False

    def _end(self, error: TcpchatError) -> None:
        if self._ended is None:
            self._ended = error
            self._changed.set()
            self._wanted.set()
            for result in (self._greeted, *self._results.values()):
                if not result.ready():
                    result.set_exception(error)


def _now_ms() -> float:
    return time.monotonic() * 1_000


def _chance() -> float:
    return random.random()  # noqa: S311 # it spreads, it hides nothing


class _Connection:
    """One connection: what is written goes out in order, and nobody waits for it.

    So whoever asks for something can neither be overtaken nor, out of time, leave half a line
    behind. That the connection is lost, the reader is told.
    """

    def __init__(self, sock: socket.socket | _TlsSocket) -> None:
        self._sock = sock
        self._outgoing = bytearray()
        self._more = Event()  # there is something to write
        self._empty = Event()  # there is nothing
        self._writer = gevent.spawn(self._write_all)

    def write(self, data: bytes) -> None:
        """Send bytes when all those before have been sent."""
        if data and not self._writer.ready():
            self._outgoing += data
            self._empty.clear()
            self._more.set()
            if len(self._outgoing) > MAX_OUTGOING_BYTES:
                self.close()

    def read(self) -> bytes:
        """The next bytes, b"" at the end. Raises OSError."""
        return self._sock.recv(_READ_BYTES)

    def finish(self, timeout_s: float) -> None:
        """Say that nothing more will be sent, when all has been, or after so many seconds."""
        self._empty.wait(timeout_s)
        with contextlib.suppress(OSError):
            self._sock.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        """Let go of the socket, whatever is still to be sent."""
        self._writer.kill()
        self._sock.close()

    def _write_all(self) -> None:
        try:
            with contextlib.suppress(OSError):
                while True:
                    while self._outgoing:
                        data = bytes(self._outgoing)
                        self._outgoing.clear()
                        self._sock.sendall(data)
                    self._empty.set()
                    self._more.wait()
                    self._more.clear()
        finally:
            self._empty.set()


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
