"""What tcpchat-server tells the service manager that has started it: sd_notify(3).

A message is one datagram of `NAME=value` lines, to the socket that NOTIFY_SOCKET names.

    READY ──(SIGHUP)→ RELOADING ──→ READY ──(SIGTERM)→ STOPPING

Rule 1: One process speaks for the service. What the manager has put into its environment is taken
        out of it, so that no child speaks, too.

Rule 2: The watchdog hears from the loop that serves, and from no thread beside it: a loop that
        hangs is to be noticed.

Rule 3: Nobody waits for a manager that does not listen. A message that it does not take within a
        second is lost, and the log says so once. After that the next ones have to be taken at once,
        until one is: the loop that serves would wait otherwise.
"""

from __future__ import annotations

import math
import os
import socket
import time
from collections.abc import Callable, Iterator, MutableMapping
from contextlib import contextmanager
from typing import Final

from tcpchat_cli import console

# How often the manager is told what is new, where its watchdog does not want more.
_TELL_EVERY_S: Final = 5.0

# What changes faster is told so seldom.
_STATUS_EVERY_S: Final = 2.0
_PROGRESS_EVERY_S: Final = 1.0

# How much time is asked for with each step of a start; the next step asks anew. Of a log that is
# read, a step takes far less than a second; the snapshot before it some seconds.
_STEP_USEC: Final = 60_000_000

_SEND_TIMEOUT_S: Final = 1.0

# What is longer is no number of the manager's, which has 64 bits.
_MAX_DIGITS: Final = 21


class Notifier:
    """Speaks to the service manager, if there is one; all of it does nothing otherwise.

    Call `connect` first. Then `beat` and `status` every `pause_s` seconds, from the loop.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._name = ""  # of the socket; "" when nobody listens
        self._watchdog_s = math.inf
        self._is_ready = False
        self._has_complained = False
        self._patience_s = _SEND_TIMEOUT_S
        self._status = ""
        self._status_at = self._progress_at = -math.inf  # when it was told last

    def connect(self, environ: MutableMapping[str, str]) -> None:
        """Take what the manager has put into the environment."""
        self._name = environ.pop("NOTIFY_SOCKET", "")
        usec = environ.pop("WATCHDOG_USEC", "")
        pid = environ.pop("WATCHDOG_PID", "") or str(os.getpid())
        is_ours = bool(self._name) and pid == str(os.getpid())
        if is_ours and usec.isdecimal() and len(usec) < _MAX_DIGITS and int(usec):
            self._watchdog_s = int(usec) / 1_000_000

    @property
    def is_watched(self) -> bool:
        """Whether the manager has a watchdog for this process."""
        return self._watchdog_s < math.inf

    @property
    def pause_s(self) -> float:
        """How long may pass between two calls of `beat`; infinity when nobody listens."""
        return min(_TELL_EVERY_S, self._watchdog_s / 2) if self._name else math.inf

    def beat(self) -> None:
        """The loop that calls this turns."""
        if self.is_watched:
            self._send("WATCHDOG=1")

    def ready(self, status: str) -> None:
        """It serves."""
        self._is_ready = True
        self._status, self._status_at = status, self._clock()
        self._send("READY=1", f"STATUS={status}")

    @contextmanager
    def reloading(self) -> Iterator[None]:
        """Its settings are read again."""
        self._send("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1_000}")
        try:
            yield
        finally:
            self._send("READY=1")

    def stopping(self) -> None:
        """It was asked to end, or has to."""
        self._send("STOPPING=1", "STATUS=stopping")

    def status(self, status: str) -> None:
        """What it does, in a few words; told when it is something else than before."""
        now = self._clock()
        if status != self._status and now - self._status_at >= _STATUS_EVERY_S:
            self._status, self._status_at = status, now
            self._send(f"STATUS={status}")

    def progress(self, doing: str, done: int, of: int) -> None:
        """How far it is with something that nobody is served before. A start may take the longer;
        a loop that has no time to turn does not hang.
        """
        now = self._clock()
        if now - self._progress_at < _PROGRESS_EVERY_S:
            return
        self._progress_at = now
        self.step(f"{doing}: {100 * done // max(of, 1)} %")

    def step(self, status: str) -> None:
        """It is nearer to serving, and goes on."""
        self._status, self._status_at = status, self._clock()
        if self._is_ready:  # it has served before, so there is no start that could time out
            self._send(f"STATUS={status}")
            self.beat()
        else:
            self._send(f"STATUS={status}", f"EXTEND_TIMEOUT_USEC={_STEP_USEC}")

    def _send(self, *lines: str) -> None:
        if not self._name:
            return
        # In Linux's abstract namespace a name begins with a zero, for which @ stands.
        address = f"\0{self._name[1:]}" if self._name.startswith("@") else self._name
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
                sock.settimeout(self._patience_s)
                sock.sendto("\n".join(lines).encode(), address)
                self._patience_s = _SEND_TIMEOUT_S
        except OSError as error:
            self._patience_s = 0.0
            if not self._has_complained:
                self._has_complained = True
                console.complain(
                    f"the service manager cannot be told anything at NOTIFY_SOCKET={self._name}:"
                    f" {error.strerror or error}",
                    about="service-manager",
                )


# The process's own.
SERVICE: Final = Notifier()
