"""One person cannot hurt another: who has a good line and talks as people do notices nothing of
those who flood, stall, or mean harm.

A healthy person keeps its one connection (but when the server itself goes down), hears what is said
as soon as the log and the network allow, and gets its receipts as soon.
"""

from __future__ import annotations

from tcpchat_core.notices import Said, Sent
from tests.sim.peers import Diary, Shown
from tests.sim.server import EPOCH
from tests.sim.world import Checker, World

# After a restart, what was said meanwhile goes out at the allowed rate, before what is new. So does
# what waited for a node that was held up, of which there may be more.
CAUGHT_UP_WITHIN = 10_000


class Healthy(Checker):
    def finished(self, world: World) -> None:
        for person in world.healthy:
            lost = [at for at in person.lost_at if not world.is_disturbed(at)]
            if lost:
                world.violated(self, f"{person.name} lost its connection at {lost}")
        conns = {person.name: 0 for person in world.healthy}
        for diary in world.diaries:
            if diary.owner in conns:
                conns[diary.owner] = self._check(world, diary, conns[diary.owner])

    def _check(self, world: World, diary: Diary, conn: int) -> int:
        """`conn` is the owner's last connection before; returns the last in this diary."""
        config = world.config
        way = config.latency + config.jitter
        one_way = way + config.log_late + 10  # who writes and reads at once needs none of it
        both_ways = 2 * way + config.log_time + 10
        rate = config.limits.flood_rate
        waiting = 1_000 * config.state_limits.receipts // rate if rate else 0
        since = 0  # when it began to be told things on this connection
        for shown in diary.shown:
            if shown.conn != conn:
                since = shown.at + CAUGHT_UP_WITHIN if conn else 0
                conn = shown.conn
            match shown.notice:
                case Said(at=at) if (
                    shown.at - (said_at := self._said_at(world, shown, at)) > one_way
                    and said_at >= since
                    and not (world.cluster and world.is_disturbed(said_at, shown.at))
                ):
                    late = shown.at - said_at
                    text = f"{diary.owner} heard {shown.text[:20]!r} after {late} ms"
                    world.violated(self, text)
                case Sent() if (
                    shown.at - world.spoken[shown.text] > both_ways
                    and world.spoken[shown.text] >= since
                    and not self._waited(world, world.spoken[shown.text], shown.at, waiting)
                ):
                    late = shown.at - world.spoken[shown.text]
                    text = f"{diary.owner} had its receipt for {shown.text[:20]!r}"
                    world.violated(self, f"{text} after {late} ms")
                case _:
                    pass
        return conn

    def _waited(self, world: World, spoken: int, at: int, waiting: int) -> bool:
        """Whether something was wrong, or so near that lines which waited for it were before it."""
        if world.cluster is None:
            return world.is_disturbed(spoken)
        return world.is_disturbed(spoken - CAUGHT_UP_WITHIN - waiting, at)

    def _said_at(self, world: World, shown: Shown, at: int) -> int:
        """When it came to be in the log: by the log's clock, unless that may be set."""
        branch = world.branch_of(shown.server)
        message = branch.model.messages.get(shown.text)
        if world.cluster is None or message is None:
            return at - EPOCH
        return branch.times[message.place - 1]
