"""`closing` is the last that is told on a connection, and is told once."""

from __future__ import annotations

from tcpchat_core.notices import Closing
from tests.sim.world import Checker, World


class LastWords(Checker):
    def finished(self, world: World) -> None:
        for wire in world.all_wires:
            for place, notice in enumerate(wire.notices, 1):
                if isinstance(notice, Closing) and place < len(wire.notices):
                    behind = wire.notices[place]
                    world.violated(self, f"{behind} was told on {wire.conn} behind {notice}")
