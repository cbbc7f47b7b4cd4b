"""Nodes that share a log have one: each is given the same entries, in the same places, and comes to
the same state there; what anybody was given stays in the log, whatever becomes of the engine.

In the engine, the numbers have no holes and the batches are one chain; those of a boot of a node
are numbered 1, 2, 3 …, and there is none after its end.
"""

from __future__ import annotations

from collections.abc import Sequence

from tcpchat_core import Entry
from tcpchat_core.events import connection_number
from tcpchat_net.logs.records import decode_batch, entries_of
from tcpchat_net.logs.stream import NO_CHAIN, Origin, Row
from tests.sim.server import Server
from tests.sim.world import Checker, World


class OneLog(Checker):
    def __init__(self) -> None:
        self._digests: dict[int, str] = {}  # of a state, by the entry that it has come to
        self._looked_at: set[tuple[int, int, int]] = set()
        self._end = 0, NO_CHAIN  # of the engine's log
        self._numbers: dict[tuple[int, int], int] = {}  # of the last batch of each boot
        self._over: set[tuple[int, int]] = set()

    def begun(self, world: World, node: int, boot: int) -> None:
        first, end = (connection_number(node, each, 0) for each in (boot, boot + 1))
        if any(first <= entry.conn < end for entry in world.entries):
            world.violated(self, f"boot {boot} of node {node} begins a second time")

    def delivered(self, world: World, server: Server | None, entries: Sequence[Entry]) -> None:
        for entry in entries:
            if entry.seq > len(world.entries):
                world.violated(self, f"{entry} came after {len(world.entries)}")
            elif world.entries[entry.seq - 1] != entry:
                world.violated(self, f"{entry} is {world.entries[entry.seq - 1]} elsewhere")
        sharing = world.config.sharing
        if server is not None and sharing is not None and sharing.is_seen_at_every_step:
            self._look_at(world, server)

    def sampled(self, world: World) -> None:
        if world.cluster is None:
            return
        for server in world.here:
            self._look_at(world, server)

    def finished(self, world: World) -> None:
        if world.cluster is None:
            return
        self.sampled(world)
        end = len(world.entries)
        reached = {server.number: server.state.seq for server in world.here if not server.is_deaf}
        if list(reached.values()) != [end] * len(world.cluster.members):
            world.violated(self, f"nodes have come to {reached}, and the log to {end}")
        if self._end[0] != end:
            world.violated(self, f"the engine's log ends with {self._end[0]}, and not with {end}")

    def _look_at(self, world: World, server: Server) -> None:
        """Compare a node's state with those of others that were here."""
        place = server.number, server.boot, server.state.seq
        if place in self._looked_at:
            return
        self._looked_at.add(place)
        digest = server.state.digest()
        if self._digests.setdefault(server.state.seq, digest) != digest:
            world.violated(self, f"node {server.number} has another state at {server.state.seq}")

    def opened(self, _world: World) -> None:
        self._end = 0, NO_CHAIN  # it may have lost what nobody had read
        self._numbers.clear()
        self._over.clear()

    def taken_in(self, world: World, row: Row) -> None:
        seq, chain = self._end
        if seq and not row.follows(seq, chain):
            world.violated(self, f"{row.last} does not follow {seq} in the engine")
        self._end = row.last, row.chain
        self._look_at_origin(world, row.origin)
        first = row.last - row.size + 1
        entries = entries_of(decode_batch(row.record), first, row.at)
        known = world.entries[first - 1 : row.last]
        if entries[: len(known)] != known:
            world.violated(self, f"the engine has {entries}, and told was {known}")

    def _look_at_origin(self, world: World, origin: Origin) -> None:
        node, boot, number, over = origin
        of = node, boot
        if of in self._over or any(each > boot for who, each in self._numbers if who == node):
            world.violated(self, f"boot {boot} of node {node} is over, and proposes {number}")
        if over is not None:
            self._over.add(over)
        elif self._numbers.setdefault(of, number - 1) != number - 1:
            world.violated(self, f"{number} of {of} comes after {self._numbers[of]}")
        if number:
            self._numbers[of] = number
