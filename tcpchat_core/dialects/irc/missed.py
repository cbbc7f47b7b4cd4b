"""What a session has missed that goes on, as an IRC client is sent it.

It comes behind the welcome and the JOINs, room by room, each as one batch where the client takes
that. Who asks for it by CHATHISTORY is sent nothing of rooms: only what was said to it alone, which
nobody can ask for.
"""

from __future__ import annotations

from collections.abc import Mapping

from tcpchat_core.dialects.irc.encode import Irc, Options, said_before, told_before
from tcpchat_core.dialects.irc.wire import channel, closed, opened, tagged
from tcpchat_core.notices import Said, Told

# What a batch of it is called. There is one at a time.
_BATCH = "missed"


class Missed:
    """What one session has missed. `last` has, by room, the number of the last message of it. Call
    `encode` with each message, in order.
    """

    def __init__(self, flavour: Irc, options: Options, last: Mapping[str, int]) -> None:
        self._flavour, self._options, self._last = flavour, options, last
        self._room = ""  # of which the batch is

    def encode(self, nick: str, notice: Said | Told) -> bytes:
        """The lines of a message."""
        if isinstance(notice, Told):
            return told_before(self._flavour, nick, notice)
        if self._options.chathistory:
            return b""
        written = said_before(self._flavour, notice)
        return self._in_batch(notice, written) if self._options.batch else written

    def _in_batch(self, said: Said, written: bytes) -> bytes:
        parts = [tagged(f"batch={_BATCH}", written)]
        if said.room != self._room:
            parts.insert(0, opened(_BATCH, "chathistory", channel(said.room)))
            self._room = said.room
        if said.seq >= self._last.get(said.room, 0):
            parts.append(closed(_BATCH))
            self._room = ""
        return b"".join(parts)
