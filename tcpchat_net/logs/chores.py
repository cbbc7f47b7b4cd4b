"""Chores: long work beside a server, done in small steps, none of which holds anybody up.

A chore is a generator. It yields a `Step` to have a function called in some thread, and is sent
what that returned; what it raised is raised in the chore. It yields a number to go on after so many
milliseconds. So a chore knows no event loop: a server runs it on gevent, the simulator in its own
time.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from typing import Any, NamedTuple, TypeAlias

from tcpchat_net.logs import Host


class Step(NamedTuple):
    """Call `function` where `host` does its work."""

    host: Host
    function: Callable[[], object]


# What is sent in is as the function of the step returns it.
Chore: TypeAlias = Generator[Step | int, Any, None]


def start(chore: Chore, host: Host, ended: Callable[[Exception | None], None]) -> None:
    """Begin a chore; `ended` is called at its end, with what ended it when that was an error.

    `host` tells the time for its pauses.
    """

    def advance(resume: Callable[[], Step | int]) -> None:
        try:
            step = resume()
        except StopIteration:
            ended(None)
            return
        except Exception as error:  # whose it is is for `ended` to know
            ended(error)
            return
        if isinstance(step, int):
            host.after(step, lambda: advance(lambda: chore.send(None)))
        else:
            _run(step, chore, advance)

    advance(lambda: next(chore))


def _raise(error: Exception) -> None:
    raise error


class Rounds:
    """A chore that is begun again and again, each time so long after its last end.

    Call `begin`, and at last `stop`. `chore` makes it anew. An error of `later` is complained of,
    and the next round tries again; with any other there is none, and `failed` is called with that.
    `is_due` says at the end of a round whether the next one is to follow at once.
    """

    def __init__(
        self,
        chore: Callable[[], Chore],
        host: Host,
        *,
        pause_ms: int,
        later: tuple[type[Exception], ...],
        complain: Callable[[str], None],
        failed: Callable[[Exception], None] = _raise,
        is_due: Callable[[], bool] = lambda: False,
    ) -> None:
        self._make, self._host = chore, host
        self._pause_ms = pause_ms
        self._later, self._complain, self._failed = later, complain, failed
        self._is_due = is_due
        self._chore: Chore | None = None
        self._begun = 0  # how many
        self._is_resting = False  # between two
        self._is_over = False

    def begin(self) -> None:
        """Begin a round."""
        if not self._is_over:
            self._is_resting = False
            self._begun += 1
            self._chore = self._make()
            start(self._chore, self._host, self._ended)

    def set_pause(self, pause_ms: int) -> None:
        """Rest so long from the next end on."""
        self._pause_ms = pause_ms

    def hurry(self) -> None:
        """Begin the next round now, if none is on."""
        if self._is_resting:
            self.begin()

    def stop(self) -> None:
        """Begin nothing more, and let go of what is half done."""
        self._is_over = True
        if self._chore is not None:
            self._chore.close()

    def _ended(self, error: Exception | None) -> None:
        if self._is_over:
            return
        if isinstance(error, self._later):
            self._complain(f"the upkeep of the log is tried again later: {error}")
        elif error is not None:
            self._is_over = True
            self._failed(error)
            return
        if self._is_due():
            self.begin()
            return
        self._is_resting = True
        begun = self._begun
        self._host.after(self._pause_ms, lambda: self._next(begun))

    def _next(self, begun: int) -> None:
        """Begin the next round, unless it was begun before its time."""
        if begun == self._begun:
            self.begin()


def finish(chore: Chore) -> None:
    """Do all of a chore here and now, for who has nothing else to do. Raises what it raises."""
    try:
        step = next(chore)
        while True:
            step = _done(step, chore)
    except StopIteration:
        pass


def _done(step: Step | int, chore: Chore) -> Step | int:
    """Do a step; returns the next one."""
    if isinstance(step, int):
        time.sleep(step / 1_000)
        return chore.send(None)
    try:
        result = step.function()
    except Exception as error:  # the chore knows whose it is
        return chore.throw(error)
    return chore.send(result)


def _run(step: Step, chore: Chore, advance: Callable[[Callable[[], Step | int]], None]) -> None:
    results: list[object] = []

    def done(error: BaseException | None) -> None:
        if error is None:
            advance(lambda: chore.send(results[0]))
        else:
            advance(lambda: chore.throw(error))

    step.host.run(lambda: results.append(step.function()), done)
