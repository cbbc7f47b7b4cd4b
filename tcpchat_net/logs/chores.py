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
