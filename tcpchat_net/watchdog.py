"""Watchdog: says when a turn of the event loop takes too long, and what holds it.

All connections share one loop: while one turn of it reads a slow disk or runs a slow regular
expression, nobody is served. The loop cannot say so itself, so a thread looks at it, and at its
stack while it is held. The stack is files, lines and functions, and no values: those are what
people say.

Rule 1: A turn begins when the loop wakes and ends before it sleeps. Waiting for events is no turn.

Rule 2: What the loop does for it costs less than half a microsecond a turn (0.4 µs, measured): two
        watchers, which write down a time.

Rule 3: When the thread itself comes late and the process has used no processor meanwhile, then the
        process was suspended, and nothing of the loop's held it. That time is nobody's. (When it
        has used the processor, something kept the interpreter to itself, and that is a held turn.)

Rule 4: A turn is told once, and while turns are held again and again, one in ten seconds.
"""

from __future__ import annotations

import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from types import FrameType
from typing import Any, Final

from tcpchat_net.happenings import Held, Released, Report, Seldom, Suspended, nothing

# A quarter of a second is when people notice that a letter they typed does not appear.
HELD_MS: Final = 250

# How often the thread looks. A turn that is held is seen with its stack before it counts as that.
LOOK_EVERY_MS: Final = 100

# How much of a stack is told, from the inside: the rest is the way into it, which is always alike.
MAX_FRAMES: Final = 16

# How many suspensions are remembered, of which a turn may have seen several.
_MAX_SUSPENSIONS: Final = 16

_MS: Final = 1_000_000  # in nanoseconds, which all times in this file are

# Priorities of libev: the first of what follows a sleep, and the last of what comes before one.
_FIRST: Final = 2
_LAST: Final = -2


class Watchdog:
    """Watches one loop, from `start` to `stop`, which its own thread calls.

    `report` is called in the watchdog's thread. The counters only grow; `held_ms` and `longest_ms`
    are of turns that were held, when they are over.
    """

    def __init__(
        self,
        report: Report = nothing,
        *,
        clock: Callable[[], int] = time.monotonic_ns,
        processor: Callable[[], int] = time.process_time_ns,
    ) -> None:
        self.held_turns = 0
        self.held_ms = 0  # in all
        self.longest_ms = 0
        self._report = report
        self._clock, self._processor = clock, processor
        self._began = 0  # when the turn did that is on; 0 while the loop sleeps
        self._over: deque[tuple[int, int]] = deque()  # turns that were long: from when to when
        self._watchers: tuple[Any, ...] = ()
        self._watched = threading.get_ident()  # the thread that is
        self._thread: threading.Thread | None = None
        self._stopping = threading.Event()
        # What the thread knows.
        self._looked_at, self._used = clock(), processor()
        self._seen = 0  # when the turn began …
        self._stack = ""  # … of which this was the stack
        self._decided = 0  # the turn of which was decided whether it is told …
        self._is_told = False  # … and that it is
        self._held, self._suspended = Seldom(), Seldom()
        self._suspensions: deque[tuple[int, int, int]] = deque(maxlen=_MAX_SUSPENSIONS)

    # ── The loop's side ──────────────────────────────────────────────────────────────────────

    def start(self, loop: Any) -> None:
        """Watch gevent's loop of this thread, from here on: this is in a turn of it, or before."""
        self._watched = threading.get_ident()
        self._stopping.clear()
        self._looked_at, self._used = self._clock(), self._processor()
        woken = loop.check(ref=False, priority=_FIRST)
        sleeping = loop.prepare(ref=False, priority=_LAST)
        woken.start(self.turn_begins)
        sleeping.start(self.turn_ends)
        self._watchers = woken, sleeping
        self._began = self._clock()
        self._thread = threading.Thread(target=self._watch, name="watchdog", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Watch it no more."""
        for watcher in self._watchers:
            watcher.close()
        self._watchers = ()
        self._began = 0
        self._stopping.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def turn_begins(self) -> None:
        """The loop has woken."""
        self._began = self._clock()

    def turn_ends(self) -> None:
        """The loop goes to sleep, if there is nothing more to do."""
        began = self._began
        if began:
            self._began = 0
            now = self._clock()
            if now - began >= HELD_MS * _MS:
                self._over.append((began, now))

    # ── The thread's side ────────────────────────────────────────────────────────────────────

    def _watch(self) -> None:
        while not self._stopping.wait(LOOK_EVERY_MS / 1_000):
            self.look()

    def look(self) -> None:
        """See how the loop is. The thread calls it, every `LOOK_EVERY_MS`."""
        now, used = self._clock(), self._processor()
        late = now - self._looked_at - LOOK_EVERY_MS * _MS
        if late >= HELD_MS * _MS and used - self._used < late // 2:
            self._suspensions.append((self._looked_at, now, late))
            if (left_out := self._suspended.may_tell(now // _MS)) is not None:
                self._report(Suspended(late // _MS, left_out))
        self._looked_at, self._used = now, used
        while self._over:
            self._count(*self._over.popleft())
        began = self._began
        ms = self._took_ms(began, now) if began else 0
        if ms < LOOK_EVERY_MS:
            return
        stack = shown_stack(sys._current_frames().get(self._watched))  # noqa: SLF001 # it is documented
        if began != self._began:
            return  # it is over, and this is the stack of something else
        self._seen, self._stack = began, stack
        if ms >= HELD_MS:
            self._tell(began, ms, now)

    def _count(self, began: int, ended: int) -> None:
        """A long turn is over."""
        ms = self._took_ms(began, ended)
        if ms < HELD_MS:
            return
        self.held_turns += 1
        self.held_ms += ms
        self.longest_ms = max(self.longest_ms, ms)
        if self._seen != began:
            self._stack = ""
        self._tell(began, ms, ended)
        if self._is_told:
            self._report(Released(ms))

    def _tell(self, began: int, ms: int, now: int) -> None:
        """Say that a turn is held, unless that was said, or another one just before."""
        if began == self._decided:
            return
        left_out = self._held.may_tell(now // _MS)
        self._decided, self._is_told = began, left_out is not None
        if left_out is not None:
            self._report(Held(ms, self._stack, left_out))

    def _took_ms(self, began: int, ended: int) -> int:
        """How long a turn took, without what it was suspended."""
        lost = 0
        for since, until, late in self._suspensions:
            lost += max(0, min(late, min(until, ended) - max(since, began)))
        return (ended - began - lost) // _MS


def shown_stack(frame: FrameType | None) -> str:
    """Where a stack is, from the inside out: files, lines and functions."""
    shown: list[str] = []
    while frame is not None and len(shown) < MAX_FRAMES:
        code = frame.f_code
        shown.append(f"{_shown_file(code.co_filename)}:{frame.f_lineno} {code.co_name}")
        frame = frame.f_back
    return " < ".join(shown)


def _shown_file(name: str) -> str:
    """A file as it is imported: without the folder that its package is in."""
    folders = [folder for folder in sys.path if folder and name.startswith(f"{folder}/")]
    return name[len(max(folders, key=len)) + 1 :] if folders else name
