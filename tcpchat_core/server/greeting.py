"""When a silent peer is taken for a person, who waits for a greeting.

A program that speaks first is known by what it says. But a browser opens connections ahead of what
it will ask, and takes what it reads there for the answer: a greeting would break the page that
somebody is about to open. So where a browser has come from before, a greeting waits until that is
no longer likely. A person there is greeted late, or with the first line.
"""

from __future__ import annotations

from typing import Final

from tcpchat_core.server.connection import Connection

# A person hardly notices; a program has sent its first words by then.
GREET_AFTER_MS: Final = 500

# Longer than it takes to type the rest of an address, and Enter, once the browser has guessed it.
GREET_LATE_MS: Final = 10_000

# Addresses that are remembered; beyond it the oldest is forgotten.
MAX_AHEAD_PEERS: Final = 4_096


class Greetings:
    """Knows from where connections are opened ahead."""

    def __init__(self) -> None:
        self._ahead: dict[str, None] = {}

    def opens_ahead(self, peer: str) -> None:
        """From this address somebody has come whose program may open connections ahead."""
        self._ahead.pop(peer, None)
        self._ahead[peer] = None
        if len(self._ahead) > MAX_AHEAD_PEERS:
            del self._ahead[next(iter(self._ahead))]

    def due_at(self, connection: Connection) -> int:
        """When a peer that has said nothing is greeted."""
        is_late = self.may_be_ahead(connection)
        return connection.made_at + (GREET_LATE_MS if is_late else GREET_AFTER_MS)

    def may_be_ahead(self, connection: Connection) -> bool:
        """Whether a peer of which nothing is known yet may be a browser that has nothing to say."""
        return connection.peer in self._ahead and not connection.first
