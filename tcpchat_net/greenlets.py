"""A `Host` on gevent whose work waits on sockets: a greenlet of its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import gevent
from gevent.queue import SimpleQueue

_Job: TypeAlias = tuple[Callable[[], None], Callable[[BaseException | None], None]]


class GreenletHost:
    """Does one thing after the other, in one greenlet."""

    def __init__(self) -> None:
        self._jobs: SimpleQueue[_Job] = SimpleQueue()
        self._greenlet = gevent.spawn(self._work)

    def run(
        self, function: Callable[[], None], done: Callable[[BaseException | None], None]
    ) -> None:
        """Call `function`, when all before it is done; then call `done`."""
        self._jobs.put((function, done))

    def after(self, ms: int, callback: Callable[[], None]) -> None:
        """Call back after so many milliseconds."""
        gevent.spawn_later(ms / 1_000, callback)

    def finish(self) -> None:
        """Do nothing more."""
        self._greenlet.kill()

    def _work(self) -> None:
        while True:
            function, done = self._jobs.get()
            raised: Exception | None = None
            try:
                function()
            except Exception as error:  # whose it is is for `done` to know
                raised = error
            try:
                done(raised)
            except Exception as error:
                # A defect. Without this greenlet all would seem to go on, and nothing would: end.
                gevent.get_hub().handle_system_error(type(error), error)
