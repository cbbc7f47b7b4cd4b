"""Whether a person looks at the terminal at all, and what came while it did not.

Times are seconds of any clock.
"""

from __future__ import annotations

from tcpchat_cli.terminal.settings import Settings
from tcpchat_cli.terminal.view import Unread


class Away:
    """Somebody who presses no key for `settings.away` seconds seems to be away; 0 is never."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._key_at = 0.0
        self._missed: Unread | None = None  # None as long as nothing came
        self._is_marked = False

    def idle(self, now: float) -> float:
        """For how many seconds no key was pressed."""
        return now - self._key_at

    def is_away(self, now: float) -> bool:
        """Whether no key was pressed for a while."""
        return 0 < self._settings.away <= self.idle(now)

    def said(self, now: float, *, for_me: bool, here: bool) -> bool:
        """Something was said. Returns whether it is the first, `here`, that is not looked at."""
        if self._missed is None and self.is_away(now):
            self._missed, self._is_marked = Unread(), False
        if self._missed is None:
            return False
        self._missed.add(mention=for_me)
        is_first = here and not self._is_marked
        self._is_marked = self._is_marked or here
        return is_first

    def key_pressed(self, now: float) -> str:
        """The person is there. Returns what is to be told of what was missed; "" for nothing."""
        self._key_at = now
        missed, self._missed = self._missed, None
        return f"while you were away: {missed.summary()}" if missed else ""
