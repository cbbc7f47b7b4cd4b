"""A gap is told only over what is really lost: messages that are, and no more than must be.

So at the resume that told it, the history began at the number that the gap names, and there was
a message before it that the session had a right to. Or the session has seen messages that the log
has lost: then what is in their place is told, if the history has it.
"""

from __future__ import annotations

from tcpchat_core.notices import Gap
from tests.sim.model import Model, Stay
from tests.sim.peers import Wire
from tests.sim.world import Checker, World


class Gaps(Checker):
    def finished(self, world: World) -> None:
        for branch in (world.branch, *world.lost):
            for conn, wire in world.wires(branch).items():
                for notice in wire.notices:
                    if isinstance(notice, Gap) and notice.room:
                        self._check(world, branch.model, wire, notice, conn)

    def _check(self, world: World, model: Model, wire: Wire, gap: Gap, conn: int) -> None:
        resumed = model.resumed.get(conn)
        if resumed is None:
            world.violated(self, f"{gap} on connection {conn}, which resumed nothing")
            return
        place, person = resumed
        stay = next(
            (
                stay
                for stay in model.characters[person].stays
                if stay.life.name == gap.room and stay.covers(place)
            ),
            None,
        )
        if stay is None:
            world.violated(self, f"{gap} on connection {conn}, which is not there")
            return
        kept_from = self._kept_from(world, model, stay, place)
        common = model.common_in(stay.life, wire.epoch, place)
        if common is not None and wire.seen.get(gap.room, 0) > common:
            # What it has seen of it is lost: the gap is where that stood, if all behind is kept.
            start = max(common, stay.since)
            if gap.oldest != max(kept_from, start + 1):
                world.violated(self, f"{gap} on connection {conn}, and behind {start} it is lost")
        elif kept_from != gap.oldest:
            world.violated(self, f"{gap} on connection {conn}, but more, or less, is kept")
        elif not any(m.seq < gap.oldest and stay.covers(m.place) for m in stay.life.messages):
            world.violated(self, f"{gap} on connection {conn}, which has missed nothing")

    def _kept_from(self, world: World, model: Model, stay: Stay, place: int) -> int:
        since = model.kept_since(place)
        return stay.life.kept_from(place, world.config.state_limits, since)
