"""Reconnect: when to connect again after a connection was lost, and when to give up.

Rule 1: The first attempt comes at once. The pause before each further one is twice as long, up to
        `MAX_PAUSE_MS`, and is spread by half to both sides, so that a whole room does not come
        back as one.

Rule 2: A session that lasted less than `STEADY_MS` does not make the pauses short again: a server
        that takes us in and drops us is not helped by who comes back at once.

Rule 3: A `closing` with `retry` is waited for at least so long, and up to half as long again. One
        without it is final: it would not help to come back.

Rule 4: Who could not come back within `give_up_after_ms` gives up.

Time is a parameter: `now` is milliseconds of a clock that does not run backwards. So is chance.
"""

from __future__ import annotations

from typing import Final

from tcpchat_core.notices import Closing

# A restart or a change of network takes less than a second, so the first pauses are short. While
# a server is away for long, 10,000 clients at the longest pause make 1,000 attempts a second.
FIRST_PAUSE_MS: Final = 100
MAX_PAUSE_MS: Final = 10_000

# As long as the longest pause: who is dropped again and again tries no more often than who is
# refused.
STEADY_MS: Final = MAX_PAUSE_MS


# A server may not make us sleep for ever, nor hand us a number that no clock can count to.
LONGEST_RETRY_MS: Final = 24 * 60 * 60 * 1_000


class Reconnect:
    """When one client connects again.

    Call `session_opened` with each welcome or resumed; `connection_lost` when the connection ends,
    and when an attempt to replace it fails. Above 0, `give_up_after_ms` is for how long it is
    tried (math.inf: for ever); otherwise it is not.
    """

    def __init__(self, give_up_after_ms: float) -> None:
        self._give_up_after_ms = give_up_after_ms
        self._pause_ms = 0
        self._opened_at: float | None = None  # None while there is no session
        self._give_up_at = 0.0

    @property
    def in_progress(self) -> bool:
        """Whether there is no session now."""
        return self._opened_at is None

    def session_opened(self, *, now: float) -> None:
        """The server has answered hello. To be connected is not enough: it may be a proxy."""
        self._opened_at = now

    def connection_lost(
        self, closing: Closing | None, *, now: float, spread: float
    ) -> float | None:
        """For how many milliseconds to wait before the next attempt; None to give up.

        `closing` is what the server said at the end, if it did; `spread` a random number from 0
        to 1. Where there never was a session, there is nothing to come back to: None.
        """
        if self._opened_at is not None:
            self._give_up_at = now + self._give_up_after_ms
            if now - self._opened_at >= STEADY_MS:
                self._pause_ms = 0
            self._opened_at = None
        retry_ms = 0
        if closing is not None:
            if closing.retry is None:
                return None
            retry_ms = min(max(0, closing.retry), LONGEST_RETRY_MS)
        wait_ms = max(self._pause_ms * (0.5 + spread), retry_ms * (1 + spread / 2))
        if now + wait_ms >= self._give_up_at:
            return None
        self._pause_ms = min(max(FIRST_PAUSE_MS, 2 * self._pause_ms), MAX_PAUSE_MS)
        return wait_ms
