"""Monitor: the port on which others look how a server is, by HTTP.

It is a thread with a loop of its own, so it answers while the server's loop is held, and while
there is none yet. A connection is one request and its answer.

Rule 1: One thread serves everybody, and nothing of it waits: who sends slowly, or does not read,
        holds up nobody.

Rule 2: There are so many connections at most, each for so long at most. Who comes when all places
        are taken gets that of who was there longest.

Rule 3: Nothing that a peer does, and no page that fails, ends the thread.
"""

from __future__ import annotations

import contextlib
import math
import selectors
import socket
import threading
import time
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Final, NamedTuple, TypeAlias

# Two who scrape, and two who ask how it is, each of them twice. They have descriptors of those that
# are kept for everything else (`admission.RESERVED_DESCRIPTORS`).
MAX_CONNECTIONS: Final = 8

# From its coming to its going. Prometheus gives a server ten seconds to answer.
MAX_SECONDS: Final = 10.0

# A request of Prometheus has half a KiB.
MAX_REQUEST_BYTES: Final = 8_192

_READ_BYTES: Final = 4_096

# How long to leave the listener alone when there are no descriptors.
_PAUSE_S: Final = 0.1

_METHODS: Final = ("GET", "HEAD")


class Answer(NamedTuple):
    """What there is at a path."""

    status: HTTPStatus
    body: bytes
    content_type: str = "text/plain; charset=utf-8"

    def encode(self, *, is_head: bool = False) -> bytes:
        """The answer as it is sent."""
        head = [
            f"HTTP/1.1 {self.status.value} {self.status.phrase}",
            f"Content-Type: {self.content_type}",
            f"Content-Length: {len(self.body)}",
            "Cache-Control: no-store",
            "Connection: close",
        ]
        if self.status is HTTPStatus.METHOD_NOT_ALLOWED:
            head.append(f"Allow: {', '.join(_METHODS)}")
        return "\r\n".join([*head, "", ""]).encode() + (b"" if is_head else self.body)


# Makes what there is at a path, given the `Accept` of who asks.
Page: TypeAlias = Callable[[str], Answer]


def _sentence(status: HTTPStatus, text: str) -> Answer:
    return Answer(status, f"{text}\n".encode())


class Monitor:
    """Serves `pages`, by their paths, on a socket that listens, until `close`.

    `complain` is called in its thread, with one sentence when a page has failed. A connection lasts
    `max_seconds` at most.
    """

    def __init__(
        self,
        listener: socket.socket,
        pages: Mapping[str, Page],
        complain: Callable[[str], None],
        *,
        max_seconds: float = MAX_SECONDS,
    ) -> None:
        self.address: tuple[str, int] = listener.getsockname()[:2]
        self._listener = listener
        self._pages = pages
        self._complain = complain
        self._max_seconds = max_seconds
        self._wake, self._woken = socket.socketpair()
        self._peers: dict[socket.socket, _Peer] = {}  # oldest first
        self._selector = selectors.DefaultSelector()
        self._thread = threading.Thread(target=self._run, name="monitor", daemon=True)

    def start(self) -> None:
        """Begin to answer."""
        self._listener.setblocking(False)
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._selector.register(self._woken, selectors.EVENT_READ)
        self._thread.start()

    def close(self) -> None:
        """Answer nobody any more, and let go of everything."""
        self._wake.close()
        self._thread.join()

    # ── The thread ───────────────────────────────────────────────────────────────────────────

    def _run(self) -> None:
        with self._selector, self._listener, self._woken:
            is_closed = False
            while not is_closed:
                for key, _ in self._selector.select(self._patience_s()):
                    if key.fileobj is self._woken:
                        is_closed = True
                    elif key.fileobj is self._listener:
                        self._accept()
                    elif key.data.sock in self._peers:  # it may have made place for another
                        self._proceed(key.data)
                self._end_late()
            for peer in tuple(self._peers.values()):
                self._end(peer)

    def _patience_s(self) -> float | None:
        """How long it may be until somebody has been here for too long."""
        ends = min((peer.ends_at for peer in self._peers.values()), default=math.inf)
        return None if ends == math.inf else max(0.0, ends - time.monotonic())

    def _end_late(self) -> None:
        now = time.monotonic()
        for peer in [each for each in self._peers.values() if each.ends_at <= now]:
            self._end(peer)

    def _accept(self) -> None:
        try:
            sock, _ = self._listener.accept()
        except BlockingIOError:
            return
        except OSError:  # it is gone, or there are no descriptors
            time.sleep(_PAUSE_S)
            return
        if len(self._peers) >= MAX_CONNECTIONS:
            self._end(next(iter(self._peers.values())))
        sock.setblocking(False)
        self._peers[sock] = peer = _Peer(sock, time.monotonic() + self._max_seconds)
        self._selector.register(sock, selectors.EVENT_READ, peer)

    def _end(self, peer: _Peer) -> None:
        del self._peers[peer.sock]
        self._selector.unregister(peer.sock)
        peer.sock.close()

    def _proceed(self, peer: _Peer) -> None:
        """Do what can be done with one connection now."""
        try:
            if peer.unsent is None:
                self._read(peer)
            elif peer.unsent:
                self._write(peer)
            elif not peer.sock.recv(_READ_BYTES):
                self._end(peer)
        except BlockingIOError:
            pass
        except OSError:
            self._end(peer)

    def _read(self, peer: _Peer) -> None:
        data = peer.sock.recv(_READ_BYTES)
        if not data:
            self._end(peer)
            return
        peer.request += data
        if b"\r\n\r\n" in peer.request or b"\n\n" in peer.request:
            peer.unsent = memoryview(self._answered(peer.request))
        elif len(peer.request) > MAX_REQUEST_BYTES:
            status = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
            peer.unsent = memoryview(_sentence(status, "that is too long").encode())
        else:
            return
        self._selector.modify(peer.sock, selectors.EVENT_WRITE, peer)

    def _write(self, peer: _Peer) -> None:
        assert peer.unsent is not None, "it is answered"
        peer.unsent = peer.unsent[peer.sock.send(peer.unsent) :]
        if not peer.unsent:
            # To close before the peer does could take away what it has not read yet.
            peer.sock.shutdown(socket.SHUT_WR)
            self._selector.modify(peer.sock, selectors.EVENT_READ, peer)

    # ── What is answered ─────────────────────────────────────────────────────────────────────

    def _answered(self, request: bytes) -> bytes:
        first, *fields = request.decode("latin-1").replace("\r\n", "\n").split("\n")
        words = first.split(" ")
        if len(words) != 3 or not words[2].startswith("HTTP/1."):
            return _sentence(HTTPStatus.BAD_REQUEST, "that is no request of HTTP/1.1").encode()
        method, target, _ = words
        page = self._pages.get(target.partition("?")[0])
        if page is None:
            paths = ", ".join(self._pages)
            answer = _sentence(HTTPStatus.NOT_FOUND, f"there is {paths}, and nothing else")
        elif method not in _METHODS:
            answer = _sentence(HTTPStatus.METHOD_NOT_ALLOWED, "only GET and HEAD are answered")
        else:
            answer = self._made(page, _accepted(fields))
        return answer.encode(is_head=method == "HEAD")

    def _made(self, page: Page, accept: str) -> Answer:
        try:
            return page(accept)
        except Exception as error:  # whatever it is, the others are answered
            with contextlib.suppress(Exception):
                self._complain(f"a page of the metrics has failed: {error!r}")
            return _sentence(HTTPStatus.INTERNAL_SERVER_ERROR, "this has failed; the log says how")


class _Peer:
    """One connection."""

    __slots__ = ("ends_at", "request", "sock", "unsent")

    def __init__(self, sock: socket.socket, ends_at: float) -> None:
        self.sock = sock
        self.ends_at = ends_at
        self.request = b""
        self.unsent: memoryview | None = None  # of its answer; None before there is one


def _accepted(fields: list[str]) -> str:
    """What a request says that it accepts."""
    accepted = [
        value.strip()
        for name, _, value in (field.partition(":") for field in fields)
        if name.strip().lower() == "accept"
    ]
    return ",".join(accepted)
