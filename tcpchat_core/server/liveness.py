"""Whether a peer is still there, and whether one that has come says in time who it is."""

from __future__ import annotations

from typing import Final

from tcpchat_core import notices
from tcpchat_core.effects import Effect
from tcpchat_core.server.access import Access
from tcpchat_core.server.connection import Connection, Phase
from tcpchat_core.server.deliver import Delivery
from tcpchat_core.server.intake import Intake
from tcpchat_core.server.rate import ServerLimits
from tcpchat_core.server.timers import Due, Timers

# Who has to wait before the next password may be tried is given so long to hear that it was right.
_AFTER_PASSWORD_MS: Final = 1_000


class Liveness:
    """Looks after connections when their time has come."""

    def __init__(
        self,
        limits: ServerLimits,
        access: Access,
        intake: Intake,
        delivery: Delivery,
        timers: Timers,
    ) -> None:
        self._limits = limits
        self._access = access
        self._intake = intake
        self._delivery = delivery
        self._timers = timers

    def check(self, connection: Connection, now: int, effects: list[Effect]) -> None:
        """See whether a connection is silent for too long, and when to see again."""
        match connection.phase:
            case Phase.OPENING:
                again_at = self._check_opening(connection, now, effects)
            case Phase.OPEN:
                again_at = self._check_open(connection, now, effects)
            case _:
                return
        if again_at is not None:
            self._timers.set(again_at, connection.conn, Due.CHECK)

    def _check_opening(self, connection: Connection, now: int, effects: list[Effect]) -> int | None:
        """The time runs from the connection, whatever comes meanwhile."""
        reader = connection.reader
        assert reader is not None, "a dialect gives a reader"
        within_ms = reader.opens_within_ms
        if within_ms is None:
            within_ms = self._limits.handshake_ms
        end_at = connection.made_at + within_ms
        if reader.waiting:  # a password, perhaps, that may not be tried yet: that is our doing
            end_at = max(end_at, self._access.next_try_at(connection) + _AFTER_PASSWORD_MS)
        if now < end_at:
            return end_at
        what = "request" if connection.is_admitted else "password"
        self._intake.hang_up(connection, f"there was no {what} in time", now, effects)
        return None

    def _check_open(self, connection: Connection, now: int, effects: list[Effect]) -> int | None:
        reader = connection.reader
        assert reader is not None, "a dialect gives a reader"
        if not reader.answers_pings:
            return None  # a person may be silent as long as it likes
        if connection.is_paused or connection.is_owed:
            connection.heard_at = now  # nothing can be heard of one that is not read from
        elif connection.is_pinged:  # hearing of it would have cleared this
            self._intake.hang_up(connection, "ping timeout", now, effects, retry=0)
            return None
        ping_at = connection.heard_at + self._limits.ping_after_ms
        if now < ping_at:
            return ping_at
        connection.is_pinged = True
        self._delivery.tell(connection, notices.Pinged(), None, effects)
        return connection.heard_at + self._limits.drop_after_ms
