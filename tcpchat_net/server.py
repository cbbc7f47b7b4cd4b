"""ChatServer: a `gevent.server.StreamServer` whose connections are a node's.

Accepting, its pauses after an error and the end of it are gevent's: `do_read` accepts one,
`do_handle` decides whether it comes in, `handle` makes it a connection of the node, `do_close`
closes its socket at the end. Nothing of it waits, so all of it runs in the hub, and there is no
greenlet for each connection: what a connection costs is in connection.py. No rule of chat and no
parsing is here.

Only who is not a connection yet, or will not be one, has a greenlet for a few seconds: to say on
whose behalf it comes (proxy_protocol.py), for the handshake of TLS, or to be refused
(admission.py).

Rule 1: When something runs out (places, descriptors, memory), those who are here are served on,
        and the log says so in one line, not in one for each time.

Rule 2: The kernel keeps little for a peer that does not read. What waits, waits in the fan-out,
        where it is shared and has a bound.
"""

from __future__ import annotations

import contextlib
import errno
import secrets
import socket
import ssl
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from ipaddress import ip_address
from typing import Any, Final

import gevent
from gevent.event import Event
from gevent.pool import Group
from gevent.server import StreamServer
from gevent.socket import wait_read

from tcpchat_core import ServerLimits, ServerProtocol
from tcpchat_core.dialects.http import Site
from tcpchat_net.admission import (
    MAX_CLIENTS,
    MAX_PER_IP,
    OUT_OF_RESOURCES,
    TLS_REQUIRED,
    Admission,
    Origins,
    Rejection,
    SpareDescriptor,
    origin,
    refuse,
    refuse_at_once,
)
from tcpchat_net.connection import Connection
from tcpchat_net.fanout import MAX_BACKLOG_BYTES, STALL_TIMEOUT_MS
from tcpchat_net.happenings import TELL_EVERY_MS, Exhausted, Refused, Report, Seldom, nothing
from tcpchat_net.logs import Archive, Log
from tcpchat_net.logs.memory import MemoryLog
from tcpchat_net.node import SWEEP_MS, Node
from tcpchat_net.passwords import Argon2
from tcpchat_net.proxy_protocol import (
    MAX_HEADER_BYTES,
    Header,
    Network,
    ProxyProtocolError,
    TrustedProxies,
    parse,
)
from tcpchat_net.tls import HANDSHAKE_BYTE, TlsStream, shake_hands
from tcpchat_net.watchdog import Watchdog

# How many of the kernel's probes a peer may leave unanswered: a lost packet or two is no end.
KEEPALIVE_PROBES: Final = 3

# Linux takes no longer times for them (tcp(7)).
MAX_KEEPALIVE_SECONDS: Final = 32_767

# How much the kernel takes in of what it cannot send yet. Without it, a peer that reads nothing is
# given up to `tcp_wmem` (4 MB), times ten thousand peers, before the fan-out hears of it and its
# bounds begin to count. The loop is back within a few milliseconds, so that this is enough to keep
# a gigabit line busy. It is not SO_SNDBUF: that would also bound what is on its way to somebody far
# off, and switch off the kernel's own tuning.
MAX_UNSENT_BYTES: Final = 131_072

# The secret by which a lost session is resumed has 128 bits: nobody guesses it.
TOKEN_BYTES: Final = 16

# The secret behind the names that stand for addresses in the log has 256.
SECRET_BYTES: Final = 32

# How many at a time are told at length why they are refused. Each has a descriptor of those that
# are reserved; the rest are told in passing.
MAX_REFUSALS: Final = 32

_OUT_OF_RESOURCES = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)


def monotonic_ms() -> int:
    """The clock of `now`: milliseconds, never backwards."""
    return time.monotonic_ns() // 1_000_000


class AcceptLater(gevent.GreenletExit):
    """Raised by `do_read`: leave the listener alone for a while. gevent prints nothing of it."""


class ChatServer(StreamServer):
    """Serves one `ServerProtocol` on one listening socket.

    `start()` binds and returns; `serve_forever()` returns after `stop()`. Both run in the greenlet
    that calls them, all else in callbacks of its hub.

    `report` is called with what happens that a log should have, such as that no descriptors are
    left (happenings.py). `log` is where what people do is put in its order (none that lasts, by
    default), `number` and `boot` are the node's in it. With `reuse_port` others may listen on the
    same port.

    A `listener` is a TCP socket that listens already; it is served, and `host` and `port` are not
    bound. It stays open and listens after `stop()`: who connects then waits for whoever serves it
    next. Others may serve it at the same time.

    With `tls`, everybody has to speak it. The attribute of that name may be given another context
    at any time: new connections use it.

    `site` is what browsers get, also those that are refused; give it to the dialect, too.

    Connections from `proxies` have to begin with a header of the PROXY protocol, which says whose
    they are; the address in it is the one that counts.

    `secret` makes the names that stand for addresses in the log; without it they are others after
    each start, and who is banned by where it comes from is not any more.

    A `watchdog` watches the loop while it serves.

    A subclass may override `do_read` and `do_handle` to see who is accepted, by the address that
    connects, or `handle` to see who is let in, by its own. Who is not to come in is closed instead
    of given to `do_handle`.
    """

    # Where it listens, as `getsockname` gives it; before `start`, where it is to.
    address: tuple[Any, ...]

    # The kernel queues this many connections that are not accepted yet. The usual 128 overflow
    # when a whole workshop reconnects at once.
    backlog = 4_096

    # How many are accepted before others are served again: some ten milliseconds of work. Those
    # who come in one turn are told to their rooms in one write, so a storm is over sooner with
    # more.
    max_accept = 512

    # How long everybody has to take what was sent before the server stops.
    stop_timeout = 5

    def __init__(
        self,
        protocol: ServerProtocol,
        host: str = "127.0.0.1",
        port: int = 0,
        *,
        log: Log | None = None,
        archive: Archive | None = None,
        number: int = 0,
        boot: int = 0,
        report: Report = nothing,
        max_clients: int = MAX_CLIENTS,
        max_per_ip: int = MAX_PER_IP,
        max_backlog_bytes: int = MAX_BACKLOG_BYTES,
        stall_timeout_ms: int = STALL_TIMEOUT_MS,
        tls: ssl.SSLContext | None = None,
        site: Site | None = None,
        proxies: Sequence[Network] = (),
        watchdog: Watchdog | None = None,
        secret: bytes = b"",
        reuse_port: bool = False,
        listener: socket.socket | None = None,
    ) -> None:
        self.protocol = protocol
        self.tls = tls
        self.watchdog = watchdog
        self._listener = listener
        address = (host, port) if listener is None else listener.getsockname()[:2]
        super().__init__(address, spawn=None)
        self._turns = _Turns(self)
        self.node = Node(
            protocol,
            log or MemoryLog(),
            self._turns,
            monotonic_ms,
            archive=archive,
            passwords=Argon2(),
            number=number,
            boot=boot,
            max_backlog_bytes=max_backlog_bytes,
            stall_timeout_ms=stall_timeout_ms,
            report=report,
        )
        self._reuse_port = reuse_port
        self._origins = Origins(secret or secrets.token_bytes(SECRET_BYTES))
        self._report = report
        self._seldom: dict[str, Seldom] = {}
        self.refused: Counter[str] = Counter()  # connections that were not let in, by why
        self._admission = Admission(max_clients, max_per_ip)
        self._site = site
        self._proxies = TrustedProxies(proxies)
        self._handshakes = Group()
        self._refusals = Group()
        self._spare = SpareDescriptor()
        self._is_serving = False
        self._drained = Event()
        self._stopped = Event()

    @property
    def connections(self) -> int:
        """How many connections there are."""
        return self.node.connections

    def configure(
        self,
        *,
        max_clients: int,
        max_per_ip: int,
        tls: ssl.SSLContext | None,
        site: Site | None,
        proxies: Sequence[Network],
    ) -> None:
        """Go on with other settings, for those who come. For those who are here, see
        `Node.configure`; call that first, since the kernel's probes come from the limits there.
        """
        self._admission.configure(max_clients, max_per_ip)
        self.tls = tls
        self._site = site
        self._proxies = TrustedProxies(proxies)
        if not self.closed:
            _set_options(self.socket, self.protocol.limits)

    # ── Starting and stopping ────────────────────────────────────────────────────────────────

    def start(self) -> None:
        """Bind, unless it was given a listener, and begin to accept. Raises OSError when the
        address cannot be had.
        """
        self.init_socket()
        self._spare.restore()
        self._turns.start()
        self.node.open()
        super().start()
        if self.watchdog is not None:
            self.watchdog.start(self.loop)
        self._is_serving = True

    def init_socket(self) -> None:
        """Bind, if that is not done yet."""
        if self.closed and self._listener is not None:
            self.socket = self._duplicate(self._listener)
            self.family, self.address = self.socket.family, self.socket.getsockname()
        elif self.closed:
            host, port = self.address[:2]
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
            self.family, _, _, _, self.address = found[0]
            if self._reuse_port:
                self.socket = self._shared_listener()
                self.address = self.socket.getsockname()
        super().init_socket()
        _set_options(self.socket, self.protocol.limits)

    @classmethod
    def get_listener(
        cls, address: Any, backlog: int | None = None, family: int | None = None
    ) -> Any:
        """The listening socket. One of Python's own, for gevent's are for greenlets."""
        listener = socket.create_server(
            address, family=family or socket.AF_INET, backlog=backlog or cls.backlog
        )
        listener.setblocking(False)
        return listener

    def _shared_listener(self) -> socket.socket:
        """A listener on a port that other processes listen on, too."""
        listener = socket.create_server(
            self.address, family=self.family, backlog=self.backlog, reuse_port=True
        )
        listener.setblocking(False)
        return listener

    def _duplicate(self, given: socket.socket) -> socket.socket:
        """The listener that was given, by a descriptor of our own: that is closed at the end."""
        listener = given.dup()
        listener.listen(self.backlog)
        listener.setblocking(False)
        return listener

    def serve_forever(self, stop_timeout: float | None = None) -> None:
        """Start, if that is not done yet, and wait until `stop` is done."""
        if not self.started:
            self.start()
        try:
            self._stopped.wait()
        finally:
            gevent.spawn(self.stop, stop_timeout).join()

    def stop(
        self,
        timeout: float | None = None,
        *,
        reason: str = "the server is shutting down",
        retry: int = 2_000,
        spread: int = 0,
    ) -> None:
        """Tell everybody, deliver what was sent for at most `timeout` seconds, and close.

        `retry` is what clients are told: after so many milliseconds they may come again; with
        `spread` one after the other, the last of them so much later. A second call ends the
        waiting of the first.
        """
        if not self._is_serving:
            self.close()
            self._drained.set()
            return
        self._is_serving = False
        self.close()
        self._handshakes.kill()
        self._drained.clear()
        self.node.stop(reason, retry=retry, spread=spread)
        if self.connections:
            self._drained.wait(self.stop_timeout if timeout is None else timeout)
        self.node.drop_all()
        self._refusals.kill()
        self._turns.close()
        if self.watchdog is not None:
            self.watchdog.stop()
        self._spare.close()
        self._stopped.set()

    # ── Coming in ────────────────────────────────────────────────────────────────────────────

    def do_read(self) -> Any:
        """Accept one connection: its socket and its address; None when there is none.

        The socket is one of Python's own: gevent's have two watchers, whether they are used or not.
        """
        try:
            sock, address = self.socket.accept()
        except BlockingIOError:
            return None
        except OSError as error:
            if self.is_fatal_error(error):
                raise
            if error.errno in _OUT_OF_RESOURCES and not self._refuse_one(error):
                raise AcceptLater from error
            return None  # that one was refused, or gone before it was accepted
        except MemoryError as error:
            self._tell_exhausted("memory", "out of memory")
            raise AcceptLater from error
        sock.setblocking(False)
        return sock, address

    def do_handle(self, *args: Any) -> None:
        """Let in who was accepted, or refuse it. Takes what `do_read` gave."""
        sock, address = args
        if address[0] in self._proxies:
            self._handshakes.spawn(self._guarded, self._identify, sock, address)
        else:
            self._admit(sock, address)

    def _admit(self, sock: socket.socket, address: Any) -> None:
        rejection = self._admission.enter(origin(address[0]))
        if rejection is not None:
            self._guarded(self._refuse, sock, address[0], rejection, self.tls, self._site)
        elif self.tls is None:
            self._guarded(self._begin, sock, address)
        else:
            self._handshakes.spawn(self._guarded, self._shake_hands, sock, address, self.tls)

    def handle(self, sock: Any, address: Any) -> None:
        """It is let in: from here on it is a connection of the node, until `do_close`."""
        where = origin(address[0])
        connection = Connection(self, sock, where)
        token = secrets.token_urlsafe(TOKEN_BYTES)
        connection.conn = self.node.connect(
            connection,
            token=token,
            peer=where or "",
            origin=self._origins.name(where),
            is_safe=isinstance(sock, TlsStream) or _is_from_here(sock, address[0]),
        )

    def do_close(self, sock: Any, *_address: Any) -> None:
        """The end of one that was let in. The address is not known any more."""
        sock.close()

    def ended(self, connection: Connection) -> None:
        """A connection of the node has ended."""
        self._admission.leave(connection.origin)
        self.do_close(connection.sock)
        if not self.connections:
            self._drained.set()

    def _begin(self, sock: socket.socket | TlsStream, address: Any) -> None:
        try:
            self.handle(sock, address)
        except MemoryError:
            self._admission.leave(origin(address[0]))
            self.do_close(sock, address)
            raise

    def _identify(self, sock: socket.socket, address: Any) -> None:
        """The greenlet of one that a proxy passes on, until it is known whose it is."""
        header = None
        try:
            with (
                contextlib.suppress(OSError, MemoryError),
                gevent.Timeout(self.protocol.limits.handshake_ms / 1000, TimeoutError()),
            ):
                header = _read_header(sock)
        except ProxyProtocolError as error:
            self.refused["proxies"] += 1
            self._tell_refused(address[0], "proxies", str(error))
        except BaseException:  # the server stops
            sock.close()
            raise
        if header is None:
            sock.close()
        else:
            self._admit(sock, header.source or address)

    def _shake_hands(self, sock: socket.socket, address: Any, context: ssl.SSLContext) -> None:
        """The greenlet of one who is to speak TLS, until it does."""
        stream = None
        try:
            with (
                contextlib.suppress(OSError, MemoryError),
                gevent.Timeout(self.protocol.limits.handshake_ms / 1000, TimeoutError()),
            ):
                wait_read(sock.fileno())
                first = sock.recv(1, socket.MSG_PEEK)
                if first == HANDSHAKE_BYTE:
                    stream = shake_hands(sock, context)
                elif not first:
                    sock.close()
        except BaseException:  # the server stops
            sock.close()
            raise
        if stream is not None:
            self._begin(stream, address)
            return
        self._admission.leave(origin(address[0]))
        if sock.fileno() >= 0:  # it does not even try to speak TLS: a person with nc, perhaps
            self._refuse(sock, address[0], TLS_REQUIRED, None, None)

    # ── Refusing ─────────────────────────────────────────────────────────────────────────────

    def _refuse(
        self,
        sock: socket.socket,
        host: str,
        rejection: Rejection,
        context: ssl.SSLContext | None,
        site: Site | None,
    ) -> None:
        self.refused[rejection.reason] += 1
        self._tell_refused(host, rejection.reason, rejection.text)
        if len(self._refusals) < MAX_REFUSALS:
            self._refusals.spawn(self._guarded, refuse, sock, rejection, context, site)
        else:
            refuse_at_once(sock, rejection.line(b"") if context is None else b"")

    def _refuse_one(self, error: OSError) -> bool:
        """Nothing is left to serve anybody else with: tell one who waits. Whether that worked."""
        reason = str(error.strerror).lower()
        self._tell_exhausted("descriptors", f"cannot let anybody in now: {reason}")
        sock = self._spare.accept(self.socket)
        if sock is not None:
            self.refused["descriptors"] += 1
            refuse_at_once(sock, OUT_OF_RESOURCES.line(b"") if self.tls is None else b"")
        self._spare.restore()
        return sock is not None

    # ── Running out of memory ────────────────────────────────────────────────────────────────

    def _guarded(self, callback: Callable[..., None], *arguments: object) -> None:
        """Call what is not for one connection of those here; it may run out of memory."""
        try:
            callback(*arguments)
        except MemoryError:
            self._tell_exhausted("memory", "out of memory")

    def out_of_memory(self, connection: Connection) -> None:
        """There is no memory for what a connection wants: it is dropped, the others are not."""
        self._tell_exhausted("memory", "out of memory: a connection is dropped")
        self.node.lost(connection.conn)

    # ── Telling of it ────────────────────────────────────────────────────────────────────────

    def _tell_refused(self, host: str, reason: str, text: str) -> None:
        if (left_out := self._may_tell(reason)) is not None:
            self._report(Refused(_as_written(host), reason, text, left_out))

    def _tell_exhausted(self, what: str, text: str) -> None:
        if (left_out := self._may_tell(what)) is not None:
            self._report(Exhausted(what, text, left_out))

    def _may_tell(self, about: str) -> int | None:
        seldom = self._seldom.get(about) or self._seldom.setdefault(about, Seldom(TELL_EVERY_MS))
        return seldom.may_tell(monotonic_ms())


class _Turns:
    """The node's `Loop`, on gevent's: its turns and its timers."""

    def __init__(self, server: ChatServer) -> None:
        self._server = server
        self._sweep: Any = None
        self._timer: Any = None

    def start(self) -> None:
        """Begin to sweep."""
        self._sweep = self._server.loop.timer(SWEEP_MS / 1000, SWEEP_MS / 1000)
        self._sweep.start(self._server._guarded, self._server.node.sweep)

    def close(self) -> None:
        """Call the node no more."""
        self.set_timer(None)
        self._sweep.close()

    def wake(self) -> None:
        """Call `Node.end_turn` when all that was read in this turn is dealt with.

        That is when callbacks run, before the loop sleeps. (A prepare watcher may run before them,
        and what they send would wait.)
        """
        self._server.loop.run_callback(self._server._guarded, self._server.node.end_turn)

    def set_timer(self, at: int | None, /) -> None:
        """Call `Node.handle_timer` at this time, and not at an earlier one; None for never."""
        if self._timer is not None:
            self._timer.close()
            self._timer = None
        if at is not None:  # one that fired does not start again: each time it is a new one
            # What has come by then is read first: who has spoken was not silent, however long the
            # last turn took.
            self._timer = self._server.loop.timer(max(0, at - monotonic_ms()) / 1000, priority=-1)
            self._timer.start(self._server._guarded, self._server.node.handle_timer)


def _read_header(sock: socket.socket) -> Header | None:
    """What a proxy says before anything else; None when it hangs up. Waits.

    What follows is left in the socket: it may be TLS, and then it is not for us to read. Raises
    OSError and ProxyProtocolError.
    """
    data = b""
    while True:
        wait_read(sock.fileno())
        more = sock.recv(MAX_HEADER_BYTES, socket.MSG_PEEK)
        if not more:
            return None
        header = parse(data + more)
        # As long as it is not complete, all that came is a part of it.
        data += sock.recv(len(more) if header is None else header.size - len(data))
        if header is not None:
            return header


def _is_from_here(sock: socket.socket, host: str) -> bool:
    """Whether a connection is from this machine, so that nobody reads along: that of a proxy, too,
    whosever it passes on.
    """
    try:
        return _is_loopback(host) or _is_loopback(sock.getpeername()[0])
    except (OSError, ValueError):
        return False


def _is_loopback(host: str) -> bool:
    return ip_address(_as_written(host).partition("%")[0]).is_loopback


def _as_written(host: str) -> str:
    """An IPv4 address as such, also when it came to a socket that is for IPv6, too."""
    return str(getattr(ip_address(host), "ipv4_mapped", None) or host)


def _set_options(listener: socket.socket, limits: ServerLimits) -> None:
    """What a listener is set, its connections inherit."""
    # What is sent was collected for a whole turn: there is nothing to wait for.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    # Let the kernel find out who is gone without a word, whether it was sent something or not.
    # Who reads with nc answers no ping.
    silent_s = limits.ping_after_ms // 1_000
    interval_s = (limits.drop_after_ms - limits.ping_after_ms) // 1_000 // KEEPALIVE_PROBES
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    if sys.platform == "darwin":
        idle = socket.TCP_KEEPALIVE
    else:
        idle = socket.TCP_KEEPIDLE
    for option, value in (
        (idle, silent_s),
        (socket.TCP_KEEPINTVL, interval_s),
        (socket.TCP_KEEPCNT, KEEPALIVE_PROBES),
    ):
        listener.setsockopt(socket.IPPROTO_TCP, option, min(max(1, value), MAX_KEEPALIVE_SECONDS))
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, MAX_UNSENT_BYTES)
    if sys.platform == "linux":
        # Probes are for silence. What was sent and is not acknowledged would be sent again for a
        # quarter of an hour.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, limits.drop_after_ms)
