"""TLS on a socket that never blocks: the face of a plain socket, for the same watchers.

The loop watches the descriptor, and TLS has its own idea of what can be read and written. So:

Rule 1: After `recv` nothing waits inside of TLS, where it would not wake the watcher.

Rule 2: `send` writes as many records as the kernel takes, so that one call a turn is enough.

Rule 3: Reading that has to write, or writing that has to read, is the end of the connection. An
        honest peer does not bring it about (TLS 1.2's renegotiation is switched off, and nobody
        asks for new keys while reading nothing), and waiting for it would keep the loop busy.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Final

from gevent.socket import wait_read, wait_write

# The first byte of every TLS connection: a record that holds a part of the handshake (RFC 8446,
# section 5.1). No dialect begins with it.
HANDSHAKE_BYTE: Final = b"\x16"

# A certificate that is over is to be explained, too (X509_V_FLAG_NO_CHECK_TIME of OpenSSL, which
# the module ssl has no name for).
_NO_CHECK_TIME: Final = 0x200000

# What one record holds (RFC 8446, section 5.1). OpenSSL takes in one at a time.
MAX_RECORD_BYTES: Final = 16_384


class TlsError(Exception):
    """A certificate cannot be used; the text says why, in one sentence."""


def server_context(certificate: str, key: str) -> ssl.SSLContext:
    """A context of TLS 1.2 or newer, from PEM files. Raises TlsError."""
    for name in (certificate, key):
        try:
            # OpenSSL would not say which of the two files it cannot read.
            with Path(name).open("rb"):
                pass
        except OSError as error:
            raise TlsError(f"cannot read {name}: {error.strerror}") from error
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION
    # A browser that is not told would take HTTP/2 for possible. Who does not ask is not asked.
    context.set_alpn_protocols(["http/1.1"])

    def no_password() -> str:
        # Without this, OpenSSL would ask for it on the terminal, and a service would wait there.
        raise TlsError(f"the key in {key} is encrypted; the server needs it without a password")

    try:
        context.load_cert_chain(certificate, key, password=no_password)
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            raise TlsError(f"the key in {key} does not belong to {certificate}") from error
        raise TlsError(
            f"{certificate} and {key} are not a certificate and its key in PEM"
        ) from error
    return context


def expires_at(context: ssl.SSLContext) -> int | None:
    """Until when the certificate of a server's context holds, in seconds since the epoch; None when
    OpenSSL cannot tell.

    Whoever shakes hands with it is shown the certificate, so that is what is done here, in memory:
    once to have it, and once more with trust in it, as only what was verified is explained.
    """
    try:
        asking = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        asking.check_hostname = False
        asking.verify_mode = ssl.CERT_NONE
        shown = _shown(context, asking).getpeercert(binary_form=True)
        if shown is None:
            return None
        asking.verify_mode = ssl.CERT_REQUIRED
        asking.verify_flags = ssl.VerifyFlags(ssl.VERIFY_X509_PARTIAL_CHAIN | _NO_CHECK_TIME)
        asking.load_verify_locations(cadata=shown)
        explained = _shown(context, asking).getpeercert()
    except ssl.SSLError:
        return None
    return None if explained is None else int(ssl.cert_time_to_seconds(str(explained["notAfter"])))


def certificate_expiry(context: Callable[[], ssl.SSLContext | None]) -> Callable[[], int | None]:
    """Says until when the certificate that is in use then holds, as `expires_at`. It looks at each
    context once.
    """
    seen: tuple[ssl.SSLContext | None, int | None] = (None, None)

    def expiry() -> int | None:
        nonlocal seen
        in_use = context()
        if in_use is not seen[0]:
            seen = in_use, None if in_use is None else expires_at(in_use)
        return seen[1]

    return expiry


def _shown(context: ssl.SSLContext, asking: ssl.SSLContext) -> ssl.SSLObject:
    """A client that has shaken hands with a context. Raises SSLError."""
    there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = asking.wrap_bio(back, there)
    server = context.wrap_bio(there, back, server_side=True)
    for side in (client, server, client):  # the server's end of it is of no interest
        with contextlib.suppress(ssl.SSLWantReadError):
            side.do_handshake()
    return client


class TlsStream:
    """A connection after its handshake, with what the server uses of a non-blocking socket."""

    __slots__ = ("_tls",)

    def __init__(self, tls: ssl.SSLSocket) -> None:
        self._tls = tls

    def fileno(self) -> int:
        """The descriptor to watch."""
        return self._tls.fileno()

    def recv(self, size: int) -> bytes:
        """What has come, b"" at the end. Raises BlockingIOError when nothing has.

        OpenSSL gives one record at a time, and what a person types is a record a line: they are
        collected, or nothing could be coalesced. `size` may be exceeded by a part of a record.
        """
        try:
            data = self._tls.recv(size)
        except ssl.SSLWantReadError:
            raise BlockingIOError from None
        with contextlib.suppress(ssl.SSLWantReadError):
            while data and (len(data) < size or self._tls.pending()):
                more = self._tls.recv(MAX_RECORD_BYTES)
                if not more:  # the end; the socket's own end, behind it, will tell it again
                    break
                data += more
        return data

    def send(self, data: bytes | memoryview, /) -> int:
        """Write what can be written now. Raises BlockingIOError when nothing can.

        What was refused has to be offered again, and nothing shorter, as TLS may hold a record of
        it already. The fan-out does: its backlog only grows.
        """
        rest = memoryview(data)
        while rest:
            try:
                rest = rest[self._tls.send(rest) :]
            except ssl.SSLWantWriteError:
                if len(rest) == len(data):
                    raise BlockingIOError from None
                break
        return len(data) - len(rest)

    def shutdown(self, how: int) -> None:
        """Say that nothing more will be sent: in TLS, so that the peer knows nothing is cut off."""
        with contextlib.suppress(ssl.SSLError):  # nobody waits for the peer to say the same
            self._tls.unwrap()
        self._tls.shutdown(how)

    def close(self) -> None:
        """Let go of the socket."""
        self._tls.close()


def shake_hands(sock: socket.socket, context: ssl.SSLContext) -> TlsStream:
    """The server's side of the handshake. Waits: call it in a greenlet, under a time limit.

    `sock` does not block. It is closed when the handshake fails, which raises OSError.
    """
    with sock:  # empty as soon as it is wrapped
        tls = context.wrap_socket(sock, server_side=True, do_handshake_on_connect=False)
    try:
        while True:
            try:
                tls.do_handshake()
            except ssl.SSLWantReadError:
                wait_read(tls.fileno())
            except ssl.SSLWantWriteError:
                wait_write(tls.fileno())
            else:
                return TlsStream(tls)
    except BaseException:  # also the time limit
        tls.close()
        raise
