"""Comings and goings are collected for a moment, so that many can be told in one line."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Final

from tcpchat_cli.terminal.presence import MAX_SINGLY
from tcpchat_cli.terminal.settings import Settings
from tcpchat_cli.terminal.view import View
from tcpchat_core import Notice

# For how long they are collected, to be told in one line when they are many; and for how long
# after they were many, while more of them may come.
FOLD_SECONDS: Final = 0.3
FOLD_LONGER_SECONDS: Final = 3.0

# So many of a view are told without waiting for more.
MAX_COLLECTED: Final = 1_000


class Folding:
    """What is collected for each view. `tell` is called for each of them when it is time."""

    def __init__(self, settings: Settings, tell: Callable[[View], None]) -> None:
        self._settings = settings
        self._tell = tell
        self._changes: dict[View, list[Notice]] = {}
        self._seconds = FOLD_SECONDS
        self._timer: asyncio.TimerHandle | None = None

    def collect(self, change: Notice, views: Iterable[View]) -> None:
        """Somebody came or went, and that is to be told in these views."""
        for view in views:
            changes = self._changes.setdefault(view, [])
            changes.append(change)
            if not self._settings.fold or len(changes) >= MAX_COLLECTED:
                self._tell(view)
        if self._changes and self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self._seconds, self._tell_all)

    def take(self, view: View) -> list[Notice]:
        """What was collected for a view, to be told now."""
        return self._changes.pop(view, [])

    def _tell_all(self) -> None:
        self._timer = None
        many = any(len(changes) > MAX_SINGLY for changes in self._changes.values())
        self._seconds = FOLD_LONGER_SECONDS if many else FOLD_SECONDS
        for view in [*self._changes]:
            self._tell(view)
