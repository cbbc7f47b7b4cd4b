"""One person cannot hurt another: who has a good line and talks as people do notices nothing of
those who flood, stall, or mean harm.

A healthy person keeps its one connection, hears what is said as soon as the log and the network
allow, and gets its receipts as soon.
"""

from __future__ import annotations

from tcpchat_core.notices import Said, Sent
from tests.sim.server import EPOCH
from tests.sim.world import Checker, World


class Healthy(Checker):
    def finished(self, world: World) -> None:
        config = world.config
        way = config.latency + config.jitter
        one_way = way + 10  # who writes and reads at once needs none of it
        both_ways = 2 * way + config.log_delay + 10
        for person in world.healthy:
            if person.connections != 1:
                text = f"{person.name} had {person.connections} connections"
                world.violated(self, text)
        names = {person.name for person in world.healthy}
        for diary in world.diaries:
            if diary.owner not in names:
                continue
            for shown in diary.shown:
                match shown.notice:
                    case Said(at=at) if shown.at - (at - EPOCH) > one_way:
                        late = shown.at - (at - EPOCH)
                        text = f"{diary.owner} heard {shown.text[:20]!r} after {late} ms"
                        world.violated(self, text)
                    case Sent() if shown.at - world.spoken[shown.text] > both_ways:
                        late = shown.at - world.spoken[shown.text]
                        text = f"{diary.owner} had its receipt for {shown.text[:20]!r}"
                        world.violated(self, f"{text} after {late} ms")
                    case _:
                        pass
