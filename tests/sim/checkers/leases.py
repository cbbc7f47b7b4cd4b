"""Nobody is ended who is there. A node says of another one that it is over only when that has been
silent for as long as a lease is, and the engine was there all the time for it to say something.

And no node finds that its log is another one, or is gone, while a node is there that has all of it.
"""

from __future__ import annotations

from tcpchat_net.logs.stream import LEASE_MS
from tcpchat_net.logs.stream.log import Ending
from tests.sim.world import Checker, World


class Leases(Checker):
    def lapsed(self, world: World, who: tuple[int, int], silent_ms: int, there_ms: int) -> None:
        if min(silent_ms, there_ms) < LEASE_MS:
            text = f"{who} is ended, silent for {silent_ms} ms, the engine there for {there_ms} ms"
            world.violated(self, text)

    def ended(self, world: World, ending: Ending, sentence: str) -> None:
        if ending not in (Ending.FENCED, Ending.TRIMMED):
            world.violated(self, f"a node has ended: {ending.value} ({sentence})")
