"""Which message a number means: the same number can be given again to another one.

The numbers of all rooms begin anew where a server comes back without what it had (it says so by
another epoch), and those of one room go on from an earlier one where its end was lost. What was
shown before stays on the screen, and must not be taken for what has its number now.
"""

from __future__ import annotations

from typing import NamedTuple

from tcpchat_core import notices
from tcpchat_core.notices import Notice


class MessageId(NamedTuple):
    """A message of a room: its number, and how often that number had been lost before it."""

    room: str
    seq: int
    life: int = 0


class Numbering:
    """What the numbers of one session's rooms mean. Tell it of each notice before all else."""

    def __init__(self) -> None:
        self._epoch = ""
        self._lives = 0  # how often numbers were lost
        self._begun = 0  # … when all of them were, the last time
        # By room: from above which number they were lost since, and how often any were by then;
        # both rise. It is longer only where a server loses messages, and comes back.
        self._cuts: dict[str, list[tuple[int, int]]] = {}
        # When the connection was lost: the last number seen in each room.
        self._seen: dict[str, int] = {}

    def id_of(self, room: str, seq: int) -> MessageId:
        """The message that has the number now."""
        lives = (life for above, life in reversed(self._cuts.get(room, ())) if seq > above)
        return MessageId(room, seq, next(lives, self._begun))

    def is_current(self, id: MessageId) -> bool:
        """Whether its number still means this message."""
        return self.id_of(id.room, id.seq) == id

    def last_seen(self, room: str) -> int | None:
        """The last number seen in a room before the session was lost; None where it counts anew."""
        return self._seen.get(room)

    def connection_lost(self, epoch: str, seen: dict[str, int]) -> None:
        """These were the last numbers seen in the rooms, and they are of that epoch."""
        self._epoch, self._seen = epoch, seen

    def follow(self, notice: Notice) -> None:
        """Take a notice in."""
        match notice:
            case notices.Welcome(epoch=epoch) if self._epoch and epoch != self._epoch:
                self._lives += 1
                self._begun = self._lives
                self._cuts, self._seen = {}, {}
            case notices.Resumed(rooms=rooms):
                for state in rooms:
                    self._cut(state.room, state.common)
                self._seen = {}
            case notices.Entered(room, seq=seq, again=False):
                self._cut(room, seq)

    def came_in(self, room: str) -> None:
        """One is back in a room: what is told from now on is told in order."""
        self._seen.pop(room, None)

    def _cut(self, room: str, above: int | None) -> None:
        """What was seen of a room above this number, the server has lost."""
        if above is not None and self._seen.get(room, 0) > above:
            self._lives += 1
            kept = [cut for cut in self._cuts.get(room, ()) if cut[0] < above]
            self._cuts[room] = [*kept, (above, self._lives)]
