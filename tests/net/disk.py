"""Where a log has its work with the disk done, for tests: it is done when they say so."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from tcpchat_net.logs.archive import ArchiveError
from tcpchat_net.logs.replayer import ReplayError
from tcpchat_net.logs.store import StoreError


class Host:
    """Writes when it is asked to, and not before."""

    def __init__(self) -> None:
        self.jobs: deque[tuple[Callable[[], None], Callable[[BaseException | None], None]]] = (
            deque()
        )
        self.timers: list[tuple[int, Callable[[], None]]] = []

    def run(
        self, function: Callable[[], None], done: Callable[[BaseException | None], None]
    ) -> None:
        """Later."""
        self.jobs.append((function, done))

    def after(self, ms: int, callback: Callable[[], None]) -> None:
        """Later."""
        self.timers.append((ms, callback))

    def work(self) -> bool:
        """Do one thing, if there is one to do."""
        if not self.jobs:
            return False
        function, done = self.jobs.popleft()
        try:
            function()
        except (StoreError, ArchiveError, ReplayError, OSError) as error:
            done(error)
        else:
            done(None)
        return True

    def pass_time(self) -> None:
        """Call back who waits for a later time."""
        timers, self.timers = self.timers, []
        for _, callback in timers:
            callback()
