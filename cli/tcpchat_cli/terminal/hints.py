"""What a hint names: the key by which something is done, or the command.

Rule: A hint names what works here: the keys that are set, and none where the display has none.
"""

from __future__ import annotations

from tcpchat_cli.terminal.key_settings import keys_with
from tcpchat_cli.terminal.settings import Settings


class Hints:
    """Hints for a display; `has_keys` is whether keys do anything there."""

    def __init__(self, settings: Settings, *, has_keys: bool) -> None:
        self._settings = settings
        self.has_keys = has_keys

    def keys(self, action: str) -> tuple[str, ...]:
        """The keys that an action has here, of the names of `keys.ACTIONS`."""
        return keys_with(self._settings.keys)[action] if self.has_keys else ()

    def way(self, action: str, command: str) -> str:
        """How one does it: by its first key, or by a command that does the same."""
        return next(iter(self.keys(action)), command)

    def to_view(self, number: int) -> str:
        """How one goes to the view of that number."""
        command = f"/view {number}"
        keys = self.keys("view")
        return f"{keys[number - 1]} or {command}" if number <= len(keys) else command
