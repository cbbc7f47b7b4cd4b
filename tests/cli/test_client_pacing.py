"""When the full screen is drawn, on a loop whose clock the test has."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor

from tcpchat_cli.terminal.pacing import DRAW_SECONDS, Pacing


class Clock(asyncio.SelectorEventLoop):
    """A loop on which time goes on when it is told to."""

    now = 1_000.0

    def time(self) -> float:
        return self.now


def drawings(*steps: str) -> list[int]:
    """How often it was drawn after each of the steps: "told", "key", or "later"."""
    loop = Clock()
    drawn = 0
    counts = []

    def draw() -> None:
        nonlocal drawn
        drawn += 1
        pacing.drawn()

    pacing = Pacing(draw)

    async def run() -> None:
        for step in steps:
            match step:
                case "told":
                    pacing.soon()
                case "key":
                    draw()
                case "later":
                    loop.now += DRAW_SECONDS
            await asyncio.sleep(0)
            await asyncio.sleep(0)  # what is due comes one turn later
            counts.append(drawn)
        pacing.stop()

    try:  # in a thread: that of the tests may have Playwright's loop running
        with ThreadPoolExecutor(1) as pool:
            pool.submit(loop.run_until_complete, run()).result()
    finally:
        loop.close()
    return counts


def test_what_is_told_first_is_drawn_at_once_and_what_follows_together_later() -> None:
    assert drawings("told", "told", "told", "later", "later") == [1, 1, 1, 2, 2]


def test_a_key_draws_at_once_and_all_that_was_told_before_it() -> None:
    assert drawings("told", "told", "key", "later", "later") == [1, 1, 2, 2, 2]
    assert drawings("told", "told", "key", "told", "later") == [1, 1, 2, 2, 3]


def test_a_screen_that_is_left_is_drawn_no_more() -> None:
    loop = Clock()
    drawn: list[str] = []

    async def run() -> None:
        pacing = Pacing(lambda: drawn.append("drawn"))
        pacing.soon()
        pacing.stop()
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    try:
        with ThreadPoolExecutor(1) as pool:
            pool.submit(loop.run_until_complete, run()).result()
    finally:
        loop.close()
    assert drawn == []
