"""One of several workers: a server that a supervisor has started (workers.py).

It reads on stdin what it is to do, and writes on stdout when it serves. Later lines of stdin are
other settings, to go on with. Its stdin ends when the supervisor does, whatever ended that, and
then the worker ends, too. Its log goes where the supervisor's goes.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

import msgspec

from tcpchat_cli import console
from tcpchat_cli.settings import Settings
from tcpchat_cli.stopping import end_at_once
from tcpchat_cli.workers import END_S, Report, Task

_STDIN, _STDOUT = 0, 1


def main() -> None:
    """Serve as stdin says."""
    end_at_once()
    for number in (signal.SIGHUP, signal.SIGUSR1):  # for the supervisor; systemd tells all
        signal.signal(number, signal.SIG_IGN)
    lines = _Lines()
    if (line := lines.next()) is None:
        return  # the supervisor is gone already
    task = msgspec.json.decode(line, type=Task)
    settings = task.settings
    source = _Told(settings, lines)
    console.set_up(settings.log_level, worker=task.number, format=settings.log_format)
    from tcpchat_cli.keeping import Keeping  # noqa: PLC0415 # these take their time
    from tcpchat_cli.serving import run  # noqa: PLC0415
    from tcpchat_cli.sharing import Shared  # noqa: PLC0415 # not all have what it needs

    def told(kept: Keeping | None, metrics: str) -> None:
        assert isinstance(kept, Shared), "workers share a log"  # noqa: S101
        folder = None if kept.folder is None else str(kept.folder)
        report = Report(kept.number, kept.where_shared, folder, metrics)
        with contextlib.suppress(OSError):  # the supervisor is gone
            os.write(_STDOUT, msgspec.json.encode(report) + b"\n")

    # The supervisor's own, by the same number, when it was given one.
    listener = None if task.listener is None else socket.socket(fileno=task.listener)
    run(settings, source, told=told, is_again=task.is_again, listener=listener)


class _Lines:
    """The lines of stdin."""

    def __init__(self) -> None:
        self._read = b""

    def next(self) -> bytes | None:
        """Wait for the next one; None when there will be none."""
        while b"\n" not in self._read:
            if not (more := os.read(_STDIN, 65_536)):
                return None
            self._read += more
        line, _, self._read = self._read.partition(b"\n")
        return line


class _Told:
    """A `Source`: what the supervisor has told last.

    A thread reads, and so sees the end of the supervisor also while the server is busy.
    """

    def __init__(self, settings: Settings, lines: _Lines) -> None:
        self._settings = settings
        self._lines = lines
        self._is_new = False
        self._watcher: Any = None  # gevent's, which has no types
        threading.Thread(target=self._listen, daemon=True).start()

    def read(self) -> Settings:
        """As `Source`."""
        self._is_new = False
        return self._settings

    def call(self, reload: Callable[[], None], stop: Callable[[], None]) -> None:  # noqa: ARG002 # the supervisor says SIGTERM
        """As `Source`."""
        import gevent  # noqa: PLC0415 # it takes its time, and nobody is served before that

        if self._watcher is not None:
            self._watcher.close()
        watcher = gevent.get_hub().loop.async_()
        watcher.start(reload)
        self._watcher = watcher
        if self._is_new:  # it was told before there was anybody to hear it
            watcher.send()

    def _listen(self) -> None:
        while (line := self._lines.next()) is not None:
            self._settings = msgspec.json.decode(line, type=Settings)
            self._is_new = True
            if (watcher := self._watcher) is not None:
                watcher.send()
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(END_S)
        os._exit(1)


if __name__ == "__main__":
    main()
