"""A program of its own in virtual time: it can be stopped and go on, and be killed.

What waits in it (a call to an engine, for one) is a greenlet, which others run beside.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any

from greenlet import GreenletExit, getcurrent, greenlet

from tests.sim.clock import Action, Clock


class Process(Clock):
    """The time as one program sees it: nothing happens in it while it is stopped, or is over."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.is_dead = self.is_stopped = False
        self._held: list[Action] = []  # what is due since it was stopped
        self._greenlets: dict[greenlet, None] = {}

    @property
    def now(self) -> int:  # type: ignore[override] # it is another clock's
        """Milliseconds since the simulation began."""
        return self._clock.now

    def at(self, when: int, action: Action) -> None:
        """Do something at a time, if it still runs then."""
        self._clock.at(when, partial(self.do, action))

    def do(self, action: Action) -> None:
        """Do something now, or when it goes on."""
        if self.is_dead:
            return
        if self.is_stopped:
            self._held.append(action)
        else:
            action()

    # ── What becomes of it ───────────────────────────────────────────────────────────────────

    def stop(self) -> None:
        """Do nothing (SIGSTOP)."""
        self.is_stopped = True

    def go_on(self) -> None:
        """Do what is due, and go on (SIGCONT)."""
        self.is_stopped = False
        held, self._held = self._held, []
        for action in held:
            self._clock.after(0, partial(self.do, action))

    def die(self) -> None:
        """Be gone, from one moment to the next (SIGKILL)."""
        self.is_dead = True
        self._held.clear()
        for waiting in tuple(self._greenlets):
            waiting.throw(GreenletExit)

    # ── What waits in it ─────────────────────────────────────────────────────────────────────

    def spawn(self, function: Callable[[], None]) -> None:
        """Run something that waits, from now on."""

        def run() -> None:
            try:
                function()
            finally:
                self._greenlets.pop(started, None)

        started = greenlet(run)
        self._greenlets[started] = None
        self.after(0, started.switch)

    def wait(self) -> Any:
        """Let others run until `resume` is called; returns what that is given."""
        here = getcurrent()
        assert here.parent is not None, "only what was spawned waits"
        return here.parent.switch()

    def resumer(self) -> Callable[[Any], None]:
        """For who is about to wait: have it go on, with a value. Later calls do nothing."""
        here, is_done = getcurrent(), False

        def resume(value: Any = None) -> None:
            nonlocal is_done
            if not is_done:
                is_done = True
                self.after(0, partial(here.switch, value))

        return resume

    def sleep(self, ms: int) -> None:
        """Wait for so long."""
        resume = self.resumer()
        self.after(ms, partial(resume, None))
        self.wait()


class Worker:
    """A `Host` in a process: it does one thing after the other, each of which may wait."""

    def __init__(self, process: Process, *, hurry: int = 1) -> None:
        self._process = process
        self._hurry = hurry  # how many times as fast its pauses pass
        self._jobs: deque[tuple[Callable[[], None], Callable[[BaseException | None], None]]]
        self._jobs = deque()
        self._is_busy = self._is_over = False

    def run(
        self, function: Callable[[], None], done: Callable[[BaseException | None], None]
    ) -> None:
        """Call `function`, when all before it is done; then call `done`."""
        self._jobs.append((function, done))
        self._go_on()

    def after(self, ms: int, callback: Callable[[], None]) -> None:
        """Call back after so many milliseconds."""
        self._process.after(ms // self._hurry, callback)

    def finish(self) -> None:
        """Do nothing more."""
        self._is_over = True

    def _go_on(self) -> None:
        if not self._is_busy and self._jobs:
            self._is_busy = True
            self._process.spawn(self._work)

    def _work(self) -> None:
        function, done = self._jobs.popleft()
        raised: Exception | None = None
        if not self._is_over:
            try:
                function()
            except Exception as error:  # whose it is is for `done` to know
                raised = error
        self._process.after(0, partial(self._ended, done, raised))

    def _ended(
        self, done: Callable[[BaseException | None], None], raised: Exception | None
    ) -> None:
        self._is_busy = False
        if not self._is_over:
            done(raised)
            self._go_on()
