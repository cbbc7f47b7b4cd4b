"""ChatClient: a small blocking-style client, for bots, tests and measurements.

    with ChatClient("127.0.0.1", 7667, nick="bot") as chat:
        chat.join("lobby")
        chat.say("lobby", "hello")
        for notice in chat:
            ...

Each request waits (its greenlet waits) until the server has answered, and returns the answer.
What else the server tells is kept in order, and iterating gives it.
"""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from types import TracebackType
from typing import Final, Self, TypeVar

import gevent
from gevent import socket
from gevent.event import AsyncResult, Event

from tcpchat_core import ClientProtocol, Notice, RemoteError, Request, TcpchatError, events, notices
from tcpchat_core.client import RoomView

# How much is read at once.
_READ_BYTES: Final = 65_536

# How many notices are kept for a program that does not look at them. Past it nothing is read
# until it does (or waits for an answer), and the server sees a slow reader.
MAX_WAITING_NOTICES: Final = 10_000

_Answer = TypeVar("_Answer", bound=Notice)


class RequestRejected(TcpchatError):
    """The server did not do what was asked. `reason` is one of the protocol's words."""

    def __init__(self, rejected: notices.Rejected) -> None:
        super().__init__(f"{rejected.reason}: {rejected.text}")
        self.reason = rejected.reason
        self.text = rejected.text


class ConnectionClosed(TcpchatError):
    """The connection ended; the text says how."""


class ChatClient:
    """A connection to a tcpchat server.

    Every request raises `TimeoutError` after `timeout` seconds, `ConnectionClosed` when the
    connection ends, `RequestRejected` when the server refuses, and `RemoteError` when the server
    does not speak the protocol. The constructor raises OSError when there is no server.
    """

    def __init__(
        self, host: str, port: int, *, nick: str | None = None, timeout: float = 10
    ) -> None:
        self._timeout = timeout
        self._protocol = ClientProtocol()
        self._waiting: deque[tuple[Callable[[Notice], bool], AsyncResult[Notice]]] = deque()
        self._told: deque[Notice] = deque()
        self._changed = Event()  # something was told, looked at or asked for, or all ended
        self._ended: TcpchatError | None = None
        self._sock = socket.create_connection((host, port), timeout=timeout)
        self._sock.settimeout(None)
        self._reader = gevent.spawn(self._read)
        try:
            self._ask(self._protocol.hello(), notices.Welcome)
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
                self._sock.sendall(self._protocol.request(events.Quit(reason)))
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
        self._changed.set()  # there is room for one more
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

        result: AsyncResult[Notice] = AsyncResult()
        waiting = (settles, result)
        self._waiting.append(waiting)
        self._changed.set()
        try:
            with gevent.Timeout(self._timeout, TimeoutError("the server did not answer in time")):
                try:
                    self._sock.sendall(data)
                except OSError as error:
                    raise ConnectionClosed("the connection was lost") from error
                notice = result.get()
        finally:
            with contextlib.suppress(ValueError):
                self._waiting.remove(waiting)
        if isinstance(notice, notices.Rejected):
            raise RequestRejected(notice)
        assert isinstance(notice, answer)
        return notice

    def _read(self) -> None:
        """The reader's greenlet: take in what comes until the connection ends."""
        try:
            while True:
                while (
                    self._ended is None
                    and len(self._told) >= MAX_WAITING_NOTICES
                    and not self._waiting
                ):
                    self._changed.clear()
                    self._changed.wait()
                data = self._sock.recv(_READ_BYTES)
                if not data:
                    break
                told, reply = self._protocol.receive_data(data)
                for notice in told:
                    self._deliver(notice)
                if reply:
                    self._sock.sendall(reply)
        except OSError:
            pass  # a reset is an end like any other
        except RemoteError as error:
            self._end(error)
        self._end(ConnectionClosed("the server closed the connection"))

    def _deliver(self, notice: Notice) -> None:
        for waiting in self._waiting:
            settles, result = waiting
            if settles(notice):
                self._waiting.remove(waiting)
                result.set(notice)
                return
        self._told.append(notice)
        self._changed.set()

    def _end(self, error: TcpchatError) -> None:
        if self._ended is None:
            self._ended = error
            self._changed.set()
            for _settles, result in self._waiting:
                result.set_exception(error)
