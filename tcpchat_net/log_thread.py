"""Threads and programs for a log, in a program that runs on gevent."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable
from functools import partial
from queue import SimpleQueue
from typing import TypeAlias

import gevent
import msgspec

from tcpchat_net.logs import replayer
from tcpchat_net.logs.archive import DamagedError

# What is to be called, and then what to tell of it.
_Job: TypeAlias = tuple[Callable[[], None], Callable[[BaseException | None], None]]


class LogThread:
    """The `Host` of a log: one thread of its own, so that the disk holds nobody else up.

    (It is not one of gevent's pools: to hand a batch over and hear of its end costs less than half
    of what it costs there, and that is on the way of every message.)
    """

    def __init__(self) -> None:
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self._done: deque[Callable[[], None]] = deque()
        self._told = gevent.get_hub().loop.async_()
        self._told.start(self._tell)
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def run(
        self, function: Callable[[], None], done: Callable[[BaseException | None], None]
    ) -> None:
        """Call `function` in the thread, one after the other; then call `done` in the loop."""
        self._jobs.put((function, done))

    def after(self, ms: int, callback: Callable[[], None]) -> None:
        """Call back after so many milliseconds."""
        gevent.spawn_later(ms / 1_000, callback)

    def finish(self) -> None:
        """Wait until all that was to be done is done. Nothing is told of it any more."""
        self._jobs.put(None)
        self._thread.join()
        self._told.close()

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            function, done = job
            raised: Exception | None = None
            try:
                function()
            except Exception as error:  # whose it is is for `done` to know
                raised = error
            self._done.append(partial(done, raised))
            self._told.send()

    def _tell(self) -> None:
        while self._done:
            self._done.popleft()()


class Child:
    """A replay in a program of its own. All of these wait: call them from a thread."""

    def __init__(self, task: replayer.Task) -> None:
        command = [
            sys.executable,
            "-P",
            "-m",
            replayer.__name__,
            msgspec.json.encode(task).decode(),
        ]
        self._process = subprocess.Popen(  # noqa: S603 # it is our own
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )

    def write(self, data: bytes) -> None:
        """Hand over the next batches."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(data)
        except BrokenPipeError:
            self.finish()

    def finish(self) -> None:
        """Wait until it is done. Raises ReplayError, and DamagedError."""
        _, told = self._process.communicate()
        if self._process.returncode:
            why = told.decode(errors="replace").strip().rpartition("\n")[2]
            if self._process.returncode == replayer.DAMAGED:
                raise DamagedError(why)
            raise replayer.ReplayError(why or f"it ended with {self._process.returncode}")

    def kill(self) -> None:
        """Let go of it, whether it is done or not."""
        process = self._process
        if process.poll() is None:
            process.kill()
            process.wait()
        for pipe in (process.stdin, process.stderr):
            if pipe is not None:
                with contextlib.suppress(OSError):  # what it does not take any more
                    pipe.close()
