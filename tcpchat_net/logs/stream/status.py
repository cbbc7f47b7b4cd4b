"""What a node tells the others, and who looks after the cluster, of itself."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from tcpchat_core import VERSION, ChatState
from tcpchat_net.logs.stream.ring import Ring


class NodeStatus(msgspec.Struct, frozen=True):
    """One node, as of its last beat.

    `seq` is the last entry that it has committed. `digests` are those of its state, by the entry:
    where all nodes take them, and where it was when it was asked last; `asked` is that question.
    """

    seq: int = 0
    people: int = 0
    batches: int = 0  # in its ring
    ring_bytes: int = 0
    version: str = ""
    asked: str = ""
    digests: dict[int, str] = {}
    warnings: tuple[str, ...] = ()


class Reporter:
    """Makes the status of a node. `people` is how many are connected to it."""

    def __init__(
        self, state: ChatState, ring: Ring, people: Callable[[], int], warnings: tuple[str, ...]
    ) -> None:
        self._state, self._ring, self.people = state, ring, people
        self._warnings = warnings
        self._asked = ""
        self._marked: tuple[int, str] | None = None
        self._when_asked: tuple[int, str] | None = None

    def mark(self) -> None:
        """Take the digest of the state here, as all nodes do."""
        self._marked = (self._state.seq, self._state.digest())

    def status(self, asked: str) -> bytes:
        """The status, as it is kept in the engine. `asked` is the last question."""
        if asked != self._asked:
            self._asked = asked
            self._when_asked = (self._state.seq, self._state.digest()) if asked else None
        return msgspec.json.encode(
            NodeStatus(
                self._state.seq,
                self.people(),
                len(self._ring),
                self._ring.bytes,
                VERSION,
                self._asked,
                dict(each for each in (self._marked, self._when_asked) if each),
                self._warnings,
            )
        )


def read_status(data: bytes) -> NodeStatus:
    """A status as it is kept in the engine; what cannot be read is as good as none."""
    try:
        return msgspec.json.decode(data, type=NodeStatus)
    except msgspec.MsgspecError:
        return NodeStatus()
