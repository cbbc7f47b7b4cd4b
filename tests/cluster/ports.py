"""A port that is held for as long as a test needs it, whether or not anybody listens there."""

from __future__ import annotations

import socket
from typing import Final, Self

HOST: Final = "127.0.0.1"


class Port:
    """A free port of the loopback that is held until it is closed.

    A socket that is bound and never listens holds it: Linux gives the port to nobody who asks for a
    free one, a program that sets SO_REUSEADDR may listen on it by its number, and who connects
    while none does is refused. So a server that is killed finds its port free when it is started
    again, whatever other tests do meanwhile.
    """

    def __init__(self) -> None:
        self._holder = bound(0)
        self.number: int = self._holder.getsockname()[1]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def close(self) -> None:
        """Anybody may have it now."""
        self._holder.close()


def bound(port: int) -> socket.socket:
    """A socket that may listen on a port; 0 is a free one."""
    sock = socket.socket()
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((HOST, port))
    except BaseException:
        sock.close()
        raise
    return sock
