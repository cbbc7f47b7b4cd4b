"""Same log, same state: who reads the log from its beginning ends in the state that the node has,
whatever way its entries took, and so does who began with a snapshot.
"""

from __future__ import annotations

from tcpchat_core import ChatState
from tests.sim.world import Checker, World


class SameState(Checker):
    def finished(self, world: World) -> None:
        replica = ChatState(epoch="simulated", limits=world.config.state_limits)
        for entry in world.entries:
            replica.handle(entry)
        snapshot = replica.snapshot()
        for server in world.here:
            if snapshot != server.state.snapshot():
                world.violated(self, f"the same log gives another state on node {server.number}")
