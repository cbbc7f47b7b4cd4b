"""Names, many of them. A server keeps what it has made of those that it saw lately, up to a bound
that a year fills and two hours do not; so a soak fills it before it begins to measure.
"""

from __future__ import annotations

from typing import Final

import gevent
import gevent.pool
import gevent.socket

# More than anything remembers: 16,384 (names.py).
NAMES: Final = 17_000

# So many lines one may say at once by default, and each name takes two.
_AT_ONCE: Final = 9
_TOGETHER: Final = 20
_LIMIT_S: Final = 60.0


def parade(port: int, names: int = NAMES) -> None:
    """Have so many names be taken, each by who says something to somebody with IRC."""
    with gevent.socket.create_connection(("127.0.0.1", port), timeout=_LIMIT_S) as listener:
        listener.sendall(b"NICK listener\r\nUSER l 0 * :l\r\nJOIN #parade\r\n")
        reading = gevent.spawn(_read_to_end, listener)
        pool = gevent.pool.Pool(_TOGETHER)
        for first in range(0, names, _AT_ONCE):
            pool.spawn(_walk, port, range(first, min(first + _AT_ONCE, names)))
        pool.join()
        reading.kill()


def _walk(port: int, numbers: range) -> None:
    lines = [f"/nick passer{number}\nhello\n" for number in numbers]
    with gevent.socket.create_connection(("127.0.0.1", port), timeout=_LIMIT_S) as sock:
        sock.sendall(f"/join parade\n{''.join(lines)}/quit\n".encode())
        _read_to_end(sock)


def _read_to_end(sock: gevent.socket.socket) -> None:
    while sock.recv(65_536):
        pass
