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
from tcpchat_core.state import ChatState

# Who has to say what it has seen, and cannot when it comes again, is asked so often, if there is
# something new: so much of it may be told twice. It is an entry of the log each time.
ACKNOWLEDGED_WITHIN_MS: Final = 30_000

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
        *,
        state: ChatState,
    ) -> None:
        self.configure(limits)
        self._access = access
        self._intake = intake
        self._delivery = delivery
        self._timers = timers
        self._state = state

    def configure(self, limits: ServerLimits) -> None:
        """Other bounds hold from the next look on."""
        self._limits = limits
        self._ping_after_ms = max(1, limits.ping_after_ms)  # what is due again is due later

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
            # It may be open long before, and then be asked whether it is there.
            return min(end_at, now + self._ping_after_ms)
        what = "request" if connection.is_admitted else "password"
        self._intake.hang_up(connection, f"there was no {what} in time", now, effects)
        return None

    def _check_open(self, connection: Connection, now: int, effects: list[Effect]) -> int | None:
        reader = connection.reader
        assert reader is not None, "a dialect gives a reader"
        if not reader.answers_pings:
            return None  # a person may be silent as long as it likes
        ask_at = self._ask(connection, now, effects)
        if connection.is_paused or connection.is_owed:
            connection.heard_at = now  # nothing can be heard of one that is not read from
        drop_at = connection.heard_at + self._limits.drop_after_ms
        ping_at = connection.heard_at + self._ping_after_ms
        if connection.is_pinged and now >= drop_at:  # hearing of it would have cleared this
            self._intake.hang_up(connection, "ping timeout", now, effects, retry=0)
            return None
        if now >= ping_at and not connection.is_pinged:
            connection.is_pinged = True
            self._delivery.tell(connection, notices.Pinged(), None, effects)
        again_at = drop_at if connection.is_pinged else ping_at
        return again_at if ask_at is None else min(again_at, ask_at)

    def _ask(self, connection: Connection, now: int, effects: list[Effect]) -> int | None:
        """Ask who has to say so whether it has seen all that it was told, if there is something
        new. Returns when to ask again; None for who has not to.
        """
        person = self._state.person(connection.conn)
        if person is None or person.acknowledged is None:
            return None
        within_ms = min(ACKNOWLEDGED_WITHIN_MS, self._ping_after_ms)
        if now >= connection.asked_at + within_ms:
            connection.asked_at = now
            if connection.asked is None and (seen := self._state.unacknowledged(connection.conn)):
                connection.asked = (f"{now}", seen)
                self._delivery.tell(connection, notices.Pinged(f"{now}"), None, effects)
        return connection.asked_at + within_ms
