"""Nobody is ended who is there. A node says of another one that it is over only when that has been
silent for as long as a lease is, and the engine was there all the time for it to say something.

And no node finds that its log is another one, or is gone, unless it has read what is lost.
"""

from __future__ import annotations

from tcpchat_net.logs.stream import LEASE_MS
from tcpchat_net.logs.stream.log import Ending
from tests.sim.server import Server
from tests.sim.world import Checker, World


class Leases(Checker):
    def lapsed(self, world: World, who: tuple[int, int], silent_ms: int, there_ms: int) -> None:
        if min(silent_ms, there_ms) < LEASE_MS:
            text = f"{who} is ended, silent for {silent_ms} ms, the engine there for {there_ms} ms"
            world.violated(self, text)

    def ended(self, world: World, server: Server | None, ending: Ending, sentence: str) -> None:
        branch = world.branch_of(server)
        has_lost = server is not None and server.state.seq > branch.common(world.branch)
        sharing = world.config.sharing
        may_lose = sharing is not None and sharing.is_lossy
        if ending not in (Ending.FENCED, Ending.TRIMMED) and not (
            ending is Ending.FORKED and may_lose and has_lost
        ):
            world.violated(self, f"a node has ended: {ending.value} ({sentence})")
