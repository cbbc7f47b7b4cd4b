"""Health: whether a server lives, and whether it is ready to serve, for whoever asks from another
thread.

*Alive* means that it is no use to start it again: its loop turns, or it reads its log. *Ready*
means that people should be sent to it now.

Rule 1: Nothing is asked of the loop, which may be held: what is read is what the loop has left.

Rule 2: Each reason is one sentence that has nothing of what people say in it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import Enum
from pathlib import Path
from typing import Final, NamedTuple

from tcpchat_net.logs import Log
from tcpchat_net.logs.archive import ArchiveKeeper
from tcpchat_net.logs.stream.log import StreamLog
from tcpchat_net.node import Node, Stuck
from tcpchat_net.watchdog import Watchdog

# How late the loop may be before it is called held. It has a timer twice a second, and no turn is
# meant to take more than some hundredths of one: what takes three seconds does not come back by
# itself as a rule. The other nodes of a log give one up after five.
HELD_AFTER_MS: Final = 3_000


class Phase(Enum):
    """What a server does, with why it is not ready then."""

    RECOVERING = "the log is being read"
    SERVING = ""
    BEGINNING_ANEW = "the node begins anew"
    STOPPING = "the server is stopping"


class Served(NamedTuple):
    """What is served: the parts of a server that others may look at.

    `refused` are connections that were not let in, by why; `folder` is where it keeps what it keeps
    on a disk, if anywhere. `certificate_expires_at` says until when its certificate holds, in
    seconds since the epoch, None without one; `failure` why it cannot go on, None while it can.
    `watchdog` is who watches its loop, if anybody.
    """

    node: Node
    log: Log | None
    archive: ArchiveKeeper | None
    folder: Path | None
    refused: Mapping[str, int]
    certificate_expires_at: Callable[[], int | None]
    failure: Callable[[], str | None]
    watchdog: Watchdog | None = None

    @property
    def reaches_its_log(self) -> bool:
        """Whether what is proposed gets into the log, as far as the way to it goes."""
        return not isinstance(self.log, StreamLog) or self.log.is_up


class Health:
    """What is known of a server. Whoever runs it sets `phase` and what is `served` as they change.
    `clock` is that of its node.
    """

    def __init__(self, clock: Callable[[], int]) -> None:
        self.clock = clock
        self.phase = Phase.RECOVERING
        self.served: Served | None = None

    def why_not_alive(self) -> list[str]:
        """Why it should be started again; nothing when it should not."""
        served = self.served
        if served is None:
            return []
        if failure := served.failure():
            return [f"the server has failed: {failure}"]
        held_ms = served.node.lag.overdue_ms(self.clock())
        if self.phase is Phase.SERVING and held_ms >= HELD_AFTER_MS:
            return [f"the loop has been held for {held_ms / 1_000:.1f} s"]
        return []

    def why_not_ready(self) -> list[str]:
        """Why nobody should be sent to it now; nothing when people should."""
        reasons = [self.phase.value] if self.phase.value else []
        served = self.served
        if served is None or self.phase is Phase.BEGINNING_ANEW:
            return reasons
        reasons += self.why_not_alive()
        if not served.reaches_its_log:
            reasons.append("the engine of the shared log cannot be reached")
        if served.node.stuck is Stuck.FULL:
            reasons.append("the disk is full")
        return reasons
