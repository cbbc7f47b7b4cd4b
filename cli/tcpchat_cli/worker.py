"""One of several workers: a server that a supervisor has started (workers.py).

It reads on stdin what it is to do, and writes on stdout when it serves. Its stdin ends when the
supervisor does, whatever ended that, and then the worker ends, too. Its log goes where the
supervisor's goes.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import threading
import time

import msgspec

from tcpchat_cli import console
from tcpchat_cli.stopping import end_at_once
from tcpchat_cli.workers import END_S, Report, Task

_STDIN, _STDOUT = 0, 1


def main() -> None:
    """Serve as stdin says."""
    end_at_once()
    line = b""
    while not line.endswith(b"\n"):
        if not (more := os.read(_STDIN, 65_536)):
            return  # the supervisor is gone already
        line += more
    task = msgspec.json.decode(line, type=Task)
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)  # it is for the supervisor; systemd tells all
    # A thread sees the end of the supervisor also while the server is busy.
    threading.Thread(target=_end_with_supervisor, daemon=True).start()
    settings = task.settings
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
    run(settings, told=told, is_again=task.is_again, listener=listener)


def _end_with_supervisor() -> None:
    while os.read(_STDIN, 1):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(END_S)
    os._exit(1)


if __name__ == "__main__":
    main()
