"""ChatServer: sockets and a clock around `ServerProtocol`, on gevent's event loop.

There is no greenlet per connection. A connection is a non-blocking socket and a read watcher
whose callback runs in the hub: read once, hand the bytes to the core, carry out the effects. It
never waits, so it cannot delay others, and a silent connection costs little more than its socket.
No rule of chat and no parsing is here.

Only who is not a connection yet, or will not be one, has a greenlet for a few seconds: for the
handshake of TLS, or to be told why it is not let in (admission.py).

Rule 1: One read per connection and turn of the loop, so that a busy one does not starve others.
Rule 2: Everything is sent through the fan-out, which writes once per connection and turn.
Rule 3: A connection ends in one way only, `_forget`, whatever ended it.
Rule 4: When something runs out (places, descriptors, memory), those who are here are served on,
        and the log says so in one line, not in one for each time.
"""

from __future__ import annotations

import contextlib
import errno
import secrets
import socket
import ssl
import sys
import time
from collections.abc import Callable
from typing import Any, Final, TypeAlias

import gevent
from gevent.event import Event as GeventEvent
from gevent.pool import Group
from gevent.socket import wait_read

from tcpchat_core import Broadcast, Effect, Entry, Propose, Send, ServerProtocol, events
from tcpchat_core.state import Person
from tcpchat_net.admission import (
    MAX_CLIENTS,
    MAX_PER_IP,
    OUT_OF_RESOURCES,
    TLS_REQUIRED,
    Admission,
    Refusal,
    SpareDescriptor,
    dismiss,
    origin,
    turn_away,
)
from tcpchat_net.fanout import MAX_BACKLOG_BYTES, STALL_TIMEOUT_MS, Fanout
from tcpchat_net.tls import HANDSHAKE_BYTE, TlsStream, shake_hands

# How much is read of one connection in a turn: some hundred lines, a few milliseconds of work. A
# record of TLS is as long at most.
READ_BYTES: Final = 16_384

# The kernel queues this many connections that are not accepted yet. The usual 128 overflow when
# a whole workshop reconnects at once.
LISTEN_BACKLOG: Final = 4_096

# How many are accepted before others are served again: some ten milliseconds of work. Those who
# come in one turn are told to their rooms in one write, so a storm is over sooner with more.
ACCEPTS_PER_TURN: Final = 512

# How many of the kernel's probes a peer may leave unanswered: a lost packet or two is no end.
KEEPALIVE_PROBES: Final = 3

# Linux takes no longer times for them (tcp(7)).
MAX_KEEPALIVE_SECONDS: Final = 32_767

# How long a peer has to take what was sent, and to close its side, after we closed ours.
LINGER_MS: Final = 2_000

# How often slow and lingering connections are looked at.
SWEEP_MS: Final = 500

# How long to leave the listener alone when there are no descriptors or memory for a connection.
ACCEPT_PAUSE_S: Final = 0.2

# The secret by which a lost session is resumed has 128 bits: nobody guesses it.
TOKEN_BYTES: Final = 16

# How many at a time are told at length why they are not let in. Each has a descriptor of those
# that are reserved; the rest are told in passing.
MAX_TURNED_AWAY: Final = 32

# How often the same complaint is made. What runs out, runs out for thousands at once.
COMPLAIN_EVERY_MS: Final = 10_000

_OUT_OF_RESOURCES = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)

_TALK = (events.Say, events.Tell)

# Called with each committed entry that is not a message, whose it is (None for nobody's), and the
# nick that it had before ("" for a new one). For logs; what people say is never seen here.
Observer: TypeAlias = Callable[[Entry, Person | None, str], None]


def monotonic_ms() -> int:
    """The clock of `now`: milliseconds, never backwards."""
    return time.monotonic_ns() // 1_000_000


class ChatServer:
    """Serves one `ServerProtocol` on one listening socket.

    `start()` binds and returns; `serve_forever()` returns after `stop()`. Both run in the greenlet
    that calls them, all else in callbacks of its hub.

    `observe` is called with what people do (not with what they say), for a log. `complain` is
    called with one sentence when something outside is wrong, such as no descriptors left.

    With `tls`, everybody has to speak it. The attribute of that name may be given another context
    at any time: new connections use it.
    """

    def __init__(
        self,
        protocol: ServerProtocol,
        host: str = "127.0.0.1",
        port: int = 0,
        *,
        observe: Observer | None = None,
        complain: Callable[[str], None] | None = None,
        max_clients: int = MAX_CLIENTS,
        max_per_ip: int = MAX_PER_IP,
        max_backlog_bytes: int = MAX_BACKLOG_BYTES,
        stall_timeout_ms: int = STALL_TIMEOUT_MS,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.protocol = protocol
        self.tls = tls
        self._host, self._port = host, port
        self._observe = observe
        self._complain = complain or (lambda _sentence: None)
        self._complained_at: dict[str, int] = {}
        self._admission = Admission(max_clients, max_per_ip)
        self._handshakes = Group()
        self._turned_away = Group()
        self._connections: dict[int, _Connection] = {}
        self._paused: dict[int, _Connection] = {}
        self._lingering: dict[int, tuple[int, _Connection]] = {}
        self._last_conn = 0
        self._entries = 0
        self._last_at = 0
        self._listener: socket.socket | None = None
        self._stopped = GeventEvent()
        self._drained = GeventEvent()
        self._loop = gevent.get_hub().loop
        self._fanout = Fanout(
            self._flush_soon,
            max_backlog_bytes=max_backlog_bytes,
            stall_timeout_ms=stall_timeout_ms,
        )
        self._timer = self._loop.timer(0)
        self._timer_at: int | None = None
        self._sweep = self._loop.timer(SWEEP_MS / 1000, SWEEP_MS / 1000)
        self._accept_watcher: Any = None
        self._accept_pause = self._loop.timer(0)
        self._spare = SpareDescriptor()

    # ── Life ─────────────────────────────────────────────────────────────────────────────────

    @property
    def address(self) -> tuple[str, int]:
        """The host and port that are really listened on."""
        assert self._listener is not None, "not started"
        host, port = self._listener.getsockname()[:2]
        return host, port

    @property
    def connections(self) -> int:
        """How many connections there are."""
        return len(self._connections)

    def start(self) -> None:
        """Bind and begin to accept. Raises OSError when the address cannot be had."""
        found = socket.getaddrinfo(
            self._host, self._port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        family, _, _, _, address = found[0]
        self._listener = socket.create_server(address, family=family, backlog=LISTEN_BACKLOG)
        self._listener.setblocking(False)
        # A listener's connections inherit its options. What is sent was collected for a whole turn:
        # there is nothing to wait for.
        self._listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._keep_alive(self._listener)
        self._accept_watcher = self._loop.io(self._listener.fileno(), 1)
        self._accept_watcher.start(self._guarded, self._acceptable)
        self._sweep.start(self._guarded, self._sweep_connections)

    def serve_forever(self) -> None:
        """Wait until `stop` is done."""
        self._stopped.wait()

    def stop(
        self, reason: str = "the server is shutting down", *, timeout: float = 5, retry: int = 2_000
    ) -> None:
        """Tell everybody, deliver what was sent for at most `timeout` seconds, and close.

        `retry` is what clients are told: after so many milliseconds they may come again. A second
        call ends the waiting of the first.
        """
        if self._listener is None:
            self._drained.set()
            return
        self._accept_watcher.stop()
        self._accept_watcher.close()
        self._accept_pause.close()
        self._listener.close()
        self._listener = None
        self._handshakes.kill()
        self._drained.clear()
        self._run(self.protocol.stop(reason, retry=retry))
        if self._connections:
            self._drained.wait(timeout)
        for connection in tuple(self._connections.values()):
            self._forget(connection)
        self._turned_away.kill()
        self._sweep.close()
        self._timer.close()
        self._spare.close()
        self._stopped.set()

    # ── Coming in ────────────────────────────────────────────────────────────────────────────

    def _acceptable(self) -> None:
        listener = self._listener
        for _ in range(ACCEPTS_PER_TURN):
            if listener is None:
                return
            try:
                sock, address = listener.accept()
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno in _OUT_OF_RESOURCES and not self._accept_to_dismiss(error):
                    self._pause_accepting()
                    return
                continue  # that one is told, or was gone before it was accepted
            sock.setblocking(False)
            if refusal := self._admission.enter(address[0]):
                self._turn_away(sock, address[0], refusal, self.tls)
            elif self.tls is None:
                self._begin(sock, address[0])
            else:
                self._handshakes.spawn(self._guarded, self._shake_hands, sock, address[0], self.tls)

    def _begin(self, sock: socket.socket | TlsStream, host: str) -> None:
        """From here on it is a connection like all others."""
        self._last_conn += 1
        connection = _Connection(self, self._last_conn, sock, host)
        self._connections[connection.conn] = connection
        self._fanout.add(connection.conn, connection)
        self._run(
            self.protocol.connection_made(
                connection.conn,
                now=monotonic_ms(),
                token=secrets.token_urlsafe(TOKEN_BYTES),
                peer=origin(host) or host,
            )
        )

    def _shake_hands(self, sock: socket.socket, host: str, context: ssl.SSLContext) -> None:
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
            self._begin(stream, host)
            return
        self._admission.leave(host)
        if sock.fileno() >= 0:  # it does not even try to speak TLS: a person with nc, perhaps
            self._turn_away(sock, host, TLS_REQUIRED, None)

    def _turn_away(
        self, sock: socket.socket, host: str, refusal: Refusal, context: ssl.SSLContext | None
    ) -> None:
        self._complain_seldom(f"turned away {host}: {refusal.text}", about=refusal.reason)
        if len(self._turned_away) < MAX_TURNED_AWAY:
            self._turned_away.spawn(self._guarded, turn_away, sock, refusal, context)
        else:
            dismiss(sock, refusal.line(b"") if context is None else b"")

    def _accept_to_dismiss(self, error: OSError) -> bool:
        """Nothing is left to serve anybody else with: tell one who waits. Whether that worked."""
        reason = str(error.strerror).lower()
        self._complain_seldom(f"cannot let anybody in now: {reason}", about=reason)
        assert self._listener is not None
        sock = self._spare.accept(self._listener)
        if sock is not None:
            dismiss(sock, OUT_OF_RESOURCES.line(b"") if self.tls is None else b"")
        self._spare.restore()
        return sock is not None

    def _pause_accepting(self) -> None:
        self._accept_watcher.stop()
        self._accept_pause = self._loop.timer(ACCEPT_PAUSE_S)  # one that fired does not start again
        self._accept_pause.start(self._accept_watcher.start, self._guarded, self._acceptable)

    def _keep_alive(self, listener: socket.socket) -> None:
        """Let the kernel find out who is gone without a word; who reads with nc answers no ping."""
        limits = self.protocol.limits
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
            listener.setsockopt(
                socket.IPPROTO_TCP, option, min(max(1, value), MAX_KEEPALIVE_SECONDS)
            )

    # ── Callbacks of the loop ────────────────────────────────────────────────────────────────

    def _guarded(self, callback: Callable[..., None], *arguments: object) -> None:
        """Call what is not for one connection of those here; it may run out of memory."""
        try:
            callback(*arguments)
        except MemoryError:
            self._complain_seldom("out of memory", about="memory")

    def _out_of_memory(self, connection: _Connection) -> None:
        self._complain_seldom("out of memory: a connection is dropped", about="memory")
        self._lost(connection)

    def _complain_seldom(self, sentence: str, *, about: str) -> None:
        now = monotonic_ms()
        if now - self._complained_at.get(about, -COMPLAIN_EVERY_MS) >= COMPLAIN_EVERY_MS:
            self._complained_at[about] = now
            self._complain(sentence)

    def _received(self, connection: _Connection, data: bytes) -> None:
        conn, now = connection.conn, monotonic_ms()
        try:
            if data:
                self._run(self.protocol.receive_data(conn, data, now=now))
            else:
                connection.reader.stop()
                self._run(self.protocol.receive_eof(conn, now=now))
        except MemoryError:
            self._out_of_memory(connection)
            return
        if self.protocol.is_paused(conn):
            connection.reader.stop()
            self._paused[conn] = connection

    def _linger(self, connection: _Connection) -> None:
        """All is written and our side is closed: read on until the peer closes its own.

        Closing a socket that has unread input resets it, and the peer may lose our last words.
        """
        self._lingering[connection.conn] = (monotonic_ms() + LINGER_MS, connection)

    def _lost(self, connection: _Connection, reason: str = "connection lost") -> None:
        self._forget(connection)
        self._run(self.protocol.connection_lost(connection.conn, now=monotonic_ms(), reason=reason))

    def _handle_timer(self) -> None:
        self._timer_at = None
        self._run(self.protocol.handle_timer(monotonic_ms()))

    def _flush_soon(self) -> None:
        # Callbacks run when all that was read in this turn is dealt with, and before the loop
        # sleeps. (A prepare watcher may run before them, and the data would wait.)
        self._loop.run_callback(self._guarded, self._flush)

    def _flush(self) -> None:
        self._fanout.flush(monotonic_ms())

    def _sweep_connections(self) -> None:
        now = monotonic_ms()
        self._fanout.check_stalls(now)
        for until, connection in tuple(self._lingering.values()):
            if now >= until:
                self._forget(connection)

    # ── Effects ──────────────────────────────────────────────────────────────────────────────

    def _run(self, effects: list[Effect]) -> None:
        """Carry out effects, and those of the entries that they propose, in order."""
        fanout, protocol, observe = self._fanout, self.protocol, self._observe
        # The clock of the wall may be set back; the log's may not.
        self._last_at = at = max(self._last_at, time.time_ns() // 1_000_000)
        if len(effects) > 1:
            effects = self._commit_pasted(effects)
        for effect in effects:  # grows while it is walked through
            if isinstance(effect, Broadcast):
                fanout.broadcast(
                    effect.audience, effect.payload, effect.author, effect.receipt or b""
                )
            elif isinstance(effect, Propose):
                # On one node the log is this: the order of the proposals is the order of the log.
                self._entries += 1
                entry = Entry(self._entries, at, effect.conn, effect.event)
                if observe is None or isinstance(entry.event, _TALK):
                    effects += protocol.commit(entry)
                else:
                    effects += self._observed_commit(entry, observe)
            elif isinstance(effect, Send):
                fanout.send(effect.conn, effect.payload)
            else:
                fanout.close(effect.conn)
        if self._paused:
            self._resume_reading()
        if protocol.get_timer() != self._timer_at:
            self._arm_timer()

    def _commit_pasted(self, effects: list[Effect]) -> list[Effect]:
        """When all that is asked for is to commit messages, commit them in one call."""
        entries: list[Entry] = []
        for seq, effect in enumerate(effects, self._entries + 1):
            if not (isinstance(effect, Propose) and isinstance(effect.event, events.Say)):
                return effects
            entries.append(Entry(seq, self._last_at, effect.conn, effect.event))
        self._entries += len(entries)
        return self.protocol.commit_all(entries)

    def _observed_commit(self, entry: Entry, observe: Observer) -> list[Effect]:
        state, event = self.protocol.state, entry.event
        away = state.away(event.session) if isinstance(event, events.Expire) else None
        person = state.person(entry.conn) or away
        nick = person.nick if person else ""
        is_refused = isinstance(event, events.Out) and not (person and event.key in person.rooms)
        effects = self.protocol.commit(entry)
        if is_refused:  # which cannot be seen afterwards, as it can for the others
            return effects
        observe(entry, person or state.person(entry.conn), nick)
        return effects

    def _resume_reading(self) -> None:
        for conn, connection in tuple(self._paused.items()):
            if not self.protocol.is_paused(conn):
                del self._paused[conn]
                connection.resume_reading()

    def _arm_timer(self) -> None:
        at = self._timer_at = self.protocol.get_timer()
        self._timer.stop()
        if at is not None:
            self._timer = self._loop.timer(max(0, at - monotonic_ms()) / 1000)
            self._timer.start(self._guarded, self._handle_timer)

    def _forget(self, connection: _Connection) -> None:
        """The one end of every connection: of its socket, its outbox and its place here."""
        if self._connections.pop(connection.conn, None) is None:
            return
        self._paused.pop(connection.conn, None)
        self._lingering.pop(connection.conn, None)
        self._fanout.remove(connection.conn)
        self._admission.leave(connection.host)
        connection.close()
        if not self._connections:
            self._drained.set()


class _Connection:
    """One socket and its watchers; the fan-out's `Transport`."""

    __slots__ = ("conn", "host", "lingers", "reader", "server", "sock", "write", "writer")

    def __init__(
        self, server: ChatServer, conn: int, sock: socket.socket | TlsStream, host: str
    ) -> None:
        self.server = server
        self.conn = conn
        self.sock = sock
        self.host = host
        self.lingers = False  # what is read is thrown away
        self.write = sock.send
        loop = server._loop
        self.reader = loop.io(sock.fileno(), 1)
        self.reader.start(self._readable)
        self.writer: Any = None

    def _readable(self) -> None:
        try:
            data = self.sock.recv(READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            self.server._lost(self)
            return
        except MemoryError:
            self.server._out_of_memory(self)
            return
        if not self.lingers:
            self.server._received(self, data)
        elif not data:
            self.server._forget(self)

    def resume_reading(self) -> None:
        self.reader.start(self._readable)

    def _writable(self) -> None:
        try:
            self.server._fanout.writable(self.conn, monotonic_ms())
        except MemoryError:
            self.server._out_of_memory(self)

    def want_writable(self, wanted: bool) -> None:
        if wanted:
            self.writer = self.server._loop.io(self.sock.fileno(), 2)
            self.writer.start(self._writable)
        elif self.writer is not None:
            self.writer.stop()
            self.writer.close()
            self.writer = None

    def failed(self) -> None:
        self.server._lost(self)

    def overrun(self) -> None:
        closing = self.server.protocol.closing(self.conn, "you read too slowly", retry=0)
        self.server._fanout.last_words(self.conn, closing)
        self.server._lost(self, "read too slowly")

    def finished(self) -> None:
        try:
            self.sock.shutdown(socket.SHUT_WR)
        except OSError:
            self.server._forget(self)
            return
        self.lingers = True
        self.server._linger(self)
        self.reader.start(self._readable)

    def close(self) -> None:
        self.reader.stop()
        self.reader.close()
        self.want_writable(False)
        self.sock.close()
