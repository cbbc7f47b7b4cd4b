"""A gap is told only over what is really lost: messages that are, and no more than must be.

So at the resume that told it, the history began at the number that the gap names, and there was
a message before it that the session had a right to.
"""

from __future__ import annotations

from tcpchat_core.notices import Gap
from tests.sim.model import Stay
from tests.sim.world import Checker, World


class Gaps(Checker):
    def finished(self, world: World) -> None:
        for conn, wire in world.wires().items():
            for notice in wire.notices:
                if isinstance(notice, Gap) and notice.room:
                    self._check(world, conn, notice)

    def _check(self, world: World, conn: int, gap: Gap) -> None:
        resumed = world.model.resumed.get(conn)
        if resumed is None:
            world.violated(self, f"{gap} on connection {conn}, which resumed nothing")
            return
        place, person = resumed
        stay = next(
            (
                stay
                for stay in world.model.characters[person].stays
                if stay.life.name == gap.room and stay.covers(place)
            ),
            None,
        )
        if stay is None:
            world.violated(self, f"{gap} on connection {conn}, which is not there")
        elif self._kept_from(world, stay, place) != gap.oldest:
            world.violated(self, f"{gap} on connection {conn}, but more, or less, is kept")
        elif not any(m.seq < gap.oldest and stay.covers(m.place) for m in stay.life.messages):
            world.violated(self, f"{gap} on connection {conn}, which has missed nothing")

    def _kept_from(self, world: World, stay: Stay, place: int) -> int:
        since = world.model.kept_since(place)
        return stay.life.kept_from(place, world.config.state_limits, since)
