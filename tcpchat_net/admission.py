"""Who may come in: how many connections there may be, in all and from one address.

Rule 1: A connection counts from its acceptance to its end, so one that is still shaking hands
        counts as any other. One that a trusted proxy passes on counts from when it is known whose
        it is.

Rule 2: This machine's own connections have no limit for one address: behind a reverse proxy, a
        tunnel or a test they are all the same one.

Rule 3: Whoever is refused is told why, in one line of the dialect that it speaks. A browser gets
        the page all the same, which can tell it: a file takes nobody's place.
"""

from __future__ import annotations

import contextlib
import hmac
import ipaddress
import os
import resource
import socket
import ssl
from collections import Counter
from functools import lru_cache
from typing import Final, NamedTuple

import gevent
from gevent.socket import wait_read, wait_write

from tcpchat_core import notices
from tcpchat_core.dialects.http import Exchange, Site, begins_request, refused
from tcpchat_core.dialects.jsonl import JSON
from tcpchat_core.dialects.websocket import JSON_FRAMES
from tcpchat_net.tls import TlsStream, shake_hands

MAX_CLIENTS: Final = 10_000

# A workshop or an office comes from one address; a hundred of one's own are no accident.
MAX_PER_IP: Final = 64

# What the server needs beside its clients: the loop, the listener, the log, files that are read
# now and then, and those who are being refused.
RESERVED_DESCRIPTORS: Final = 64

# A client that reconnects by itself is asked to leave a full server alone for so long.
_RETRY_MS: Final = 10_000


class Rejection(NamedTuple):
    """Why somebody is refused: a word for programs, a sentence for people.

    `retry_ms` is after how long to come again; None when that is no use.
    """

    reason: str
    text: str
    retry_ms: int | None = _RETRY_MS

    @property
    def closing(self) -> notices.Closing:
        """What a program is told."""
        return notices.Closing(self.text, self.retry_ms)

    def line(self, first: bytes) -> bytes:
        """The one line to send, in the dialect that begins so (b"" for silence)."""
        if first[:1] == b"{":
            return JSON.encode(self.closing)
        if begins_request(first):
            return refused(503, self.text)
        return f"! {self.reason}: {self.text}\n".encode()


TLS_REQUIRED: Final = Rejection(
    "tls-required",
    "this server speaks TLS only; come with tcpchat-client --tls, or by https",
    None,
)

OUT_OF_RESOURCES: Final = Rejection(
    "server-full", "the server can serve nobody else now; try again later"
)


class Admission:
    """Counts connections, and refuses those past a limit.

    `enter` takes the origin of one who comes, and returns why not, or None: it counts then, until
    `leave` is called with the same origin.
    """

    def __init__(self, max_clients: int = MAX_CLIENTS, max_per_ip: int = MAX_PER_IP) -> None:
        self.configure(max_clients, max_per_ip)
        self._count = 0
        self._by_origin: Counter[str] = Counter()

    def configure(self, max_clients: int, max_per_ip: int) -> None:
        """Other limits hold for who comes; nobody who is here goes."""
        self._max_clients = max_clients
        self._max_per_ip = max_per_ip

    def enter(self, origin: str | None) -> Rejection | None:
        """Count a connection, unless there are too many."""
        if self._count >= self._max_clients:
            return Rejection("server-full", "the server is full; try again later")
        if origin is not None:
            if self._by_origin[origin] >= self._max_per_ip:
                limit = f"the limit for connections from one address is {self._max_per_ip:,}"
                return Rejection("too-many-connections", f"{limit}; close another first")
            self._by_origin[origin] += 1
        self._count += 1
        return None

    def leave(self, origin: str | None) -> None:
        """A connection that had entered has ended."""
        self._count -= 1
        if origin is not None:
            self._by_origin[origin] -= 1
            if not self._by_origin[origin]:
                del self._by_origin[origin]


class Origins:
    """Names for the places that connections come from, which tell nothing of them.

    It is such names that stand in the log (`Connect.origin`). Who has the log and not the `secret`
    cannot tell which addresses they are of; with another secret all names are others.
    """

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    def name(self, origin: str | None) -> str:
        """The name of a place, 128 bits in hexadecimal; "" for this machine's own."""
        if origin is None:
            return ""
        return hmac.digest(self._secret, origin.encode(), "sha256")[:16].hex()


@lru_cache(maxsize=4_096)  # asked twice for each connection, and many come from one address
def origin(host: str) -> str | None:
    """What connections from one place have in common; None for this machine's own.

    That is the address in IPv4, and its first 64 bits in IPv6, of which even a home has all the
    rest to itself.
    """
    address = ipaddress.ip_address(host)
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is None:
            network = ipaddress.ip_network((int(address), 64), strict=False)
            return None if address.is_loopback else str(network)
        address = address.ipv4_mapped
    return None if address.is_loopback else str(address)


# How long whoever is refused has, to speak first and so show its dialect, and in all.
_SPEAK_FIRST_S: Final = 0.5
_LINGER_S: Final = 5

# How much of what it says is thrown away at a time.
_READ_BYTES: Final = 65_536


def refuse(
    sock: socket.socket, rejection: Rejection, context: ssl.SSLContext | None, site: Site | None
) -> None:
    """Tell why, wait until it was heard, and close. Waits: call it in a greenlet, one of few.

    With a context, the peer is expected to speak TLS. With a site, a browser gets its files. `sock`
    does not block.
    """
    stream: socket.socket | TlsStream = sock
    try:
        with contextlib.suppress(OSError), gevent.Timeout(_LINGER_S, TimeoutError()):
            if context is not None:
                stream = shake_hands(sock, context)
            first = b""
            with contextlib.suppress(gevent.Timeout), gevent.Timeout(_SPEAK_FIRST_S):
                first = _recv(stream)
            if site is not None and begins_request(first):
                _send(stream, _answer(stream, first, rejection, site))
            else:
                stream.send(rejection.line(first))
            stream.shutdown(socket.SHUT_WR)
            while _recv(stream):  # to close before all is read would reset the connection
                pass
    finally:
        stream.close()


def _answer(
    stream: socket.socket | TlsStream, first: bytes, rejection: Rejection, site: Site
) -> bytes:
    """The answer to a browser: a file, or a WebSocket on which its page is told why. Waits."""
    exchange, data = Exchange(site), first
    while data:
        if (answer := exchange.receive_data(data)) is not None:
            last_words = JSON_FRAMES.encode(rejection.closing) if answer.upgrades else b""
            return answer.data + last_words
        data = _recv(stream)
    return b""


def _send(stream: socket.socket | TlsStream, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        wait_write(stream.fileno())
        with contextlib.suppress(BlockingIOError):
            rest = rest[stream.send(rest) :]


def _recv(stream: socket.socket | TlsStream) -> bytes:
    while True:
        wait_read(stream.fileno())
        with contextlib.suppress(BlockingIOError):
            return stream.recv(_READ_BYTES)


def refuse_at_once(sock: socket.socket, last_words: bytes) -> None:
    """Tell why without waiting, and close. A peer that is talking may not get to read it."""
    with contextlib.suppress(OSError):
        sock.setblocking(False)
        sock.send(last_words)
        sock.shutdown(socket.SHUT_WR)
        sock.recv(_READ_BYTES)
    sock.close()


class SpareDescriptor:
    """A descriptor kept for the time when there are no others left.

    Without one, a connection that waits to be accepted could not even be refused. `restore` makes
    it, at first and after each use.
    """

    def __init__(self) -> None:
        self._fd: int | None = None

    def accept(self, listener: socket.socket) -> socket.socket | None:
        """Accept in its place, or None when that does not help."""
        self.close()
        try:
            return listener.accept()[0]
        except OSError:
            return None

    def restore(self) -> None:
        """Have one, if it can be had."""
        with contextlib.suppress(OSError):
            self._fd = os.open(os.devnull, os.O_RDONLY)

    def close(self) -> None:
        """Give it up."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None


def affordable_clients(wanted: int) -> int:
    """How many of the wanted clients this process can have descriptors for.

    Raises the process's soft limit on descriptors as far as that needs, at most to the hard one.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = wanted + RESERVED_DESCRIPTORS
    if _is_enough(soft, needed):
        return wanted
    soft = needed if _is_enough(hard, needed) else hard
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return max(1, soft - RESERVED_DESCRIPTORS)


def _is_enough(limit: int, needed: int) -> bool:
    return limit == resource.RLIM_INFINITY or limit >= needed
