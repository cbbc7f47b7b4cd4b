"""A connection to an engine: sockets, TLS and logging in. What is said on it is `Commands`' matter.

With `gevent.socket` and `gevent.ssl` it holds up the greenlet that calls it, and with Python's own
modules the thread.
"""

from __future__ import annotations

import contextlib
import ssl as system_ssl
from collections import deque
from collections.abc import Callable
from types import ModuleType
from typing import Any, Final

import hiredis

from tcpchat_net.logs.stream import (
    EngineDownError,
    EngineError,
    EngineRefusedError,
    LeftBehindError,
)
from tcpchat_net.logs.stream.address import EngineAddress, Place
from tcpchat_net.logs.stream.commands import Argument, ReplyError

# How long a connection may take to be made, and an engine to answer. A disk that is slow makes it
# slow; but a node that hears nothing for longer is as good as dead.
CONNECT_S: Final = 2.0
CALL_S: Final = 2.5

# How much is read at a time: hiredis moves what is left of it after each reply.
READ_BYTES: Final = 65_536

# How much of what was told is kept while nobody asks for it. What is older is in the log.
_MAX_TOLD: Final = 1_000

# The login was refused: no use in trying again without another password.
_LOGIN: Final = ("WRONGPASS", "NOAUTH", "NOPERM")


class _SilenceError(Exception):
    """Nothing was told."""


class RespWire:
    """A `Wire` to the engine of an address that is a primary.

    `sockets` and `ssl` are the modules to connect with.
    """

    def __init__(self, address: EngineAddress, sockets: ModuleType, ssl: ModuleType) -> None:
        self._address = address
        self._sockets, self._ssl = sockets, ssl
        self._place = address.places[0]
        self._term = 0  # the highest that was seen
        self._sock: Any = None  # one of either module
        self._reader = hiredis.Reader()
        self._told: deque[bytes] = deque(maxlen=_MAX_TOLD)

    @property
    def address(self) -> str:
        """Where the engine is, for people."""
        return str(self._place)

    def open(self, term: Callable[[], int] = lambda: 0) -> None:
        """Connect, or connect anew, and log in: to the primary, if there are several places.

        An engine that was replaced may come back and think that it still is the primary. `term`
        tells, of the one that is connected, how often its log was taken over: the highest counts.
        """
        places = self._address.places
        if len(places) == 1:
            self._open_one(places[0])
            return
        found: list[tuple[int, Place]] = []
        failure: EngineError | None = None
        for place in places:
            try:
                self._open_one(place)
                if self.call("ROLE")[0] == b"master":
                    found.append((term(), place))
            except EngineError as error:
                failure = error
            except ReplyError as error:
                failure = EngineRefusedError(f"the engine at {place} refuses: {error}")
        if not found:
            self.close()
            if isinstance(failure, EngineRefusedError):
                raise failure
            why = f": {failure}" if failure is not None else ""
            raise EngineDownError(f"none of {', '.join(map(str, places))} is a primary{why}")
        highest, best = max(found, key=lambda each: each[0])  # the first of those
        if highest < self._term:
            self.close()
            raise LeftBehindError(highest, self._term, f" at {best}")
        self._term = highest
        if best != self._place or self._sock is None:
            self.close()
            self._open_one(best)

    def close(self) -> None:
        """Let go of it."""
        if self._sock is not None:
            sock, self._sock = self._sock, None
            sock.close()

    def call(self, *command: Argument, wait_ms: int = 0) -> Any:
        """The reply to a command, which the engine may take `wait_ms` for."""
        reply = self._exchange(CALL_S + wait_ms / 1_000, command)
        if isinstance(reply, hiredis.ReplyError):
            raise ReplyError(str(reply))
        return reply

    def listen(self, channel: str) -> None:
        """Have what is published there told from now on, until it is opened anew."""
        self.call("HELLO", 3)
        self.call("SUBSCRIBE", channel)

    def heard(self, wait_ms: int) -> list[bytes]:
        """What was told, oldest first, when something was or `wait_ms` are over. Of very much, the
        newest.
        """
        if not self._told:
            with contextlib.suppress(_SilenceError):
                self._exchange(wait_ms / 1_000)
        told = list(self._told)
        self._told.clear()
        return told

    def _exchange(self, wait_s: float, command: tuple[Argument, ...] = ()) -> Any:
        """The reply to a command, or without one, what comes next."""
        sock = self._sock
        if sock is None:
            raise EngineDownError(f"there is no connection to the engine at {self.address}")
        try:
            sock.settimeout(wait_s)
            if command:
                sock.sendall(hiredis.pack_command(command))  # type: ignore[arg-type] # its stubs know one argument only
            while True:
                while (reply := self._reader.gets()) is False:
                    if self._told and not command:
                        return None
                    data = sock.recv(READ_BYTES)
                    if not data:
                        raise EngineDownError(f"the engine at {self.address} has hung up")
                    self._reader.feed(data)
                if not isinstance(reply, hiredis.PushNotification):
                    return reply
                if reply[0] == b"message":
                    self._told.append(reply[2])
                elif reply[0] == b"subscribe":
                    return reply
        except hiredis.ProtocolError as error:
            self.close()
            raise EngineDownError(
                f"the engine at {self.address} speaks no RESP: {error}"
            ) from error
        except TimeoutError as error:
            if not command:
                raise _SilenceError from error
            self.close()
            raise _lost(self._place, error, wait_s) from error
        except OSError as error:
            self.close()
            raise _lost(self._place, error, CALL_S) from error

    # ── Connecting ───────────────────────────────────────────────────────────────────────────

    def _open_one(self, place: Place) -> None:
        self.close()
        self._place, address = place, self._address
        try:
            self._sock = self._connected(place)
            if address.is_encrypted:
                self._sock = self._encrypted(self._sock, place)
        except system_ssl.SSLCertVerificationError as error:
            self.close()
            raise EngineRefusedError(
                f"the certificate of the engine at {place} is not to be trusted:"
                f" {error.verify_message}; name who has signed it with ca=FILE"
            ) from error
        except OSError as error:
            self.close()
            raise _lost(place, error, CONNECT_S) from error
        self._reader = hiredis.Reader()
        self._told.clear()
        try:
            if address.password:
                user = (address.user,) if address.user else ()
                self.call("AUTH", *user, address.password)
            if address.database:
                self.call("SELECT", address.database)
            self.call("PING")
        except ReplyError as error:
            self.close()
            raise _explained(place, str(error)) from error

    def _connected(self, place: Place) -> Any:
        sockets = self._sockets
        if place.path:
            sock = sockets.socket(sockets.AF_UNIX, sockets.SOCK_STREAM)
            sock.settimeout(CONNECT_S)
            try:
                sock.connect(place.path)
            except OSError:
                sock.close()
                raise
            return sock
        sock = sockets.create_connection((place.host, place.port), CONNECT_S)
        sock.setsockopt(sockets.IPPROTO_TCP, sockets.TCP_NODELAY, 1)
        return sock

    def _encrypted(self, sock: Any, place: Place) -> Any:
        ca = self._address.ca
        # Of the module that was given: a default context is always one of Python's own, and that
        # holds up gevent's hub.
        context = self._ssl.SSLContext(self._ssl.PROTOCOL_TLS_CLIENT)
        try:
            if ca:
                context.load_verify_locations(ca)
            else:
                context.load_default_certs()
        except OSError as error:
            sock.close()
            raise EngineRefusedError(
                f"{ca}: cannot read the certificates: {error.strerror or error}"
            ) from error
        try:
            return context.wrap_socket(sock, server_hostname=place.host)
        except BaseException:
            with contextlib.suppress(OSError):
                sock.close()
            raise


def _explained(place: Place, words: str) -> EngineDownError | EngineRefusedError:
    code = words.partition(" ")[0]
    if code in _LOGIN or "invalid password" in words or "without any password" in words:
        return EngineRefusedError(
            f"the engine at {place} refuses the login: {words}; the password is taken from"
            " TCPCHAT_LOG_PASSWORD, or from --log-password-file"
        )
    if code == "LOADING":
        return EngineDownError(f"the engine at {place} is not ready: {words}")
    return EngineRefusedError(f"the engine at {place} refuses: {words}")


def _lost(place: Place, error: OSError, patience_s: float) -> EngineDownError:
    if isinstance(error, TimeoutError):
        waited_ms = round(patience_s * 1_000)
        return EngineDownError(f"the engine at {place} does not answer", waited_ms=waited_ms)
    if isinstance(error, system_ssl.SSLError):
        return EngineDownError(f"the engine at {place} does not speak TLS")
    why = (error.strerror or str(error)).lower()
    return EngineDownError(f"cannot reach the engine at {place}: {why}")
