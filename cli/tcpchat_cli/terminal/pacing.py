"""When the full screen is drawn: what comes in crowds is drawn some times a second, and not twice.

Who types has the screen drawn by every key. What had come until then is drawn with it, so the next
drawing for its sake is as far off as after any other: a key hardly ever finds one under way.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

# What has come is drawn at most so often; more often nobody reads it.
DRAW_SECONDS: Final = 0.1


class Pacing:
    """Calls `draw` on the running loop, when something is to be drawn and it is time to."""

    def __init__(self, draw: Callable[[], None]) -> None:
        self._draw = draw
        self._drawn_at: float | None = None  # on the loop's clock
        self._due: asyncio.TimerHandle | None = None

    def soon(self) -> None:
        """Something is to be drawn: at once, or when it is time again."""
        if self._due is None:
            loop = asyncio.get_running_loop()
            at = loop.time() if self._drawn_at is None else self._drawn_at + DRAW_SECONDS
            self._due = loop.call_at(at, self._is_time)

    def drawn(self) -> None:
        """All that there is was drawn, whatever the reason was."""
        self.stop()
        self._drawn_at = asyncio.get_running_loop().time()

    def stop(self) -> None:
        """Nothing is to be drawn any more."""
        if self._due is not None:
            self._due.cancel()
            self._due = None

    def _is_time(self) -> None:
        self._due = None
        self._draw()
