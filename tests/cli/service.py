"""A service manager, as far as a server can tell: the socket that NOTIFY_SOCKET names."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Self

from tests.cli.terminal import LIMIT_SECONDS

Message = dict[str, str]


class ServiceManager:
    """Hears what a service tells, in its order; nothing is lost while nobody looks.

    `watchdog_s` is how often it wants to hear of the loop; 0 for not at all.
    """

    def __init__(self, place: Path | str, *, watchdog_s: float = 0) -> None:
        name = str(place)
        self._sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._sock.bind(f"\0{name[1:]}" if name.startswith("@") else name)
        self._sock.settimeout(LIMIT_SECONDS)
        self.env = {"NOTIFY_SOCKET": name}
        if watchdog_s:
            self.env["WATCHDOG_USEC"] = str(round(watchdog_s * 1_000_000))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self._sock.close()

    def hear(self) -> Message:
        """The next message."""
        lines = self._sock.recv(65_536).decode().split("\n")
        return dict(line.split("=", 1) for line in lines)

    def hear_until(self, name: str, value: str = "1") -> list[Message]:
        """The next messages up to one that says so, with it."""
        heard = [self.hear()]
        while heard[-1].get(name) != value:
            heard.append(self.hear())
        return heard

    def hears_within(self, seconds: float) -> bool:
        """Whether something comes so soon."""
        self._sock.settimeout(seconds)
        try:
            self._sock.recv(65_536)
        except TimeoutError:
            return False
        finally:
            self._sock.settimeout(LIMIT_SECONDS)
        return True

    def forget(self) -> None:
        """What has come by now is not of interest."""
        self._sock.setblocking(False)
        try:
            while True:
                self._sock.recv(65_536)
        except BlockingIOError:
            self._sock.settimeout(LIMIT_SECONDS)
