"""Certificates for tests, from an authority that exists only in them."""

from __future__ import annotations

import select
import ssl
import threading
from pathlib import Path
from typing import Any, NamedTuple

import trustme


class Files(NamedTuple):
    """Where a certificate and its key are."""

    cert: Path
    key: Path

    def write(self, issued: trustme.LeafCert) -> None:
        """Put another certificate into the same files."""
        chain = b"".join(blob.bytes() for blob in issued.cert_chain_pems)
        self.cert.write_bytes(chain)
        self.key.write_bytes(issued.private_key_pem.bytes())


class OneAtATime(ssl.SSLSocket):
    """What one thread may read while another writes, as the threads of websockets' client do.

    OpenSSL does not allow that: now and then, what is written while the server's tickets come is
    never sent. So nobody waits inside of it, and only one is there at a time.
    """

    _lock = threading.Lock()

    def recv(self, buflen: int = 1024, flags: int = 0) -> bytes:
        """As a socket's."""
        while True:
            with self._lock:
                timeout = self.gettimeout()
                self.settimeout(0)
                try:
                    return super().recv(buflen, flags)
                except ssl.SSLWantReadError:
                    descriptor = self.fileno()
                finally:
                    self.settimeout(timeout)
            if not select.select([descriptor], [], [], timeout)[0]:
                raise TimeoutError("nothing came in time")

    def send(self, data: Any, flags: int = 0) -> int:
        """As a socket's; `sendall` calls it."""
        with self._lock:
            return super().send(data, flags)


class Authority:
    """Issues certificates; a client that trusts it verifies them."""

    def __init__(self) -> None:
        self._ca = trustme.CA()

    def issue(self, directory: Path, host: str = "localhost", **options: Any) -> Files:
        """A certificate for a host, in two files."""
        directory.mkdir(exist_ok=True)
        files = Files(directory / "cert.pem", directory / "key.pem")
        files.write(self.leaf(host, **options))
        return files

    def leaf(self, host: str = "localhost", **options: Any) -> trustme.LeafCert:
        """A certificate for a host."""
        return self._ca.issue_cert(host, **options)

    def certificate(self) -> bytes:
        """Its own certificate, in PEM, for who trusts it."""
        return self._ca.cert_pem.bytes()

    def client(self, version: ssl.TLSVersion | None = None) -> ssl.SSLContext:
        """What a client uses that trusts this authority alone; one version of TLS, or any."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.sslsocket_class = OneAtATime
        self._ca.configure_trust(context)
        if version is not None:
            context.minimum_version = context.maximum_version = version
        return context
