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
from tests.sim.branches import Branch
from tests.sim.server import Server
from tests.sim.world import Checker, World


class OneLog(Checker):
    def __init__(self) -> None:
        # Of a state, by the entry that it has come to, and the chain of the log there.
        self._digests: dict[tuple[int, str], str] = {}
        self._places: dict[Server, tuple[Branch, int]] = {}  # where nodes have come to
        self._looked_at: set[tuple[Server, int]] = set()
        self._engines: dict[Branch, _Taken] = {}

    def begun(self, world: World, branch: Branch, node: int, boot: int) -> None:
        first, end = (connection_number(node, each, 0) for each in (boot, boot + 1))
        if any(first <= entry.conn < end for entry in branch.entries):
            world.violated(self, f"boot {boot} of node {node} begins a second time")

    def delivered(
        self, world: World, branch: Branch, server: Server | None, entries: Sequence[Entry]
    ) -> None:
        there = branch.entries
        for entry in entries:
            if entry.seq > len(there):
                world.violated(self, f"{entry} came after {len(there)}")
            elif there[entry.seq - 1] != entry:
                world.violated(self, f"{entry} is {there[entry.seq - 1]} elsewhere")
        if server is not None:
            before, seq = self._places.get(server, (branch, 0))
            if seq > before.common(branch):
                text = f"node {server.number} goes on in a log that has not what it has read"
                world.violated(self, text)
            self._places[server] = branch, server.state.seq
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
        there = [server for server in world.here if not server.is_deaf]
        reached = {server.number: server.state.seq for server in there}
        if list(reached.values()) != [end] * len(world.cluster.members):
            world.violated(self, f"nodes have come to {reached}, and the log to {end}")
        for server in there:
            if world.branch_of(server).common(world.branch) < end:
                world.violated(self, f"node {server.number} has come to the end of another log")
        ends_with = self._engines[world.branch].end[0]
        if ends_with != end:
            world.violated(self, f"the engine's log ends with {ends_with}, and not with {end}")

    def _look_at(self, world: World, server: Server) -> None:
        """Compare a node's state with those of others that were here."""
        place = server, server.state.seq
        if place in self._looked_at:
            return
        self._looked_at.add(place)
        chain = world.branch_of(server).chains.get(server.state.seq)
        if chain is None:
            return  # it stands in the midst of a batch
        digest = server.state.digest()
        if self._digests.setdefault((server.state.seq, chain), digest) != digest:
            world.violated(self, f"node {server.number} has another state at {server.state.seq}")

    def opened(self, world: World, before: Branch) -> None:  # noqa: ARG002 # what it was counts not
        self._engines[world.branch] = _Taken()  # it may have lost what nobody had read

    def taken_in(self, world: World, branch: Branch, row: Row) -> None:
        taken = self._engines[branch]
        if taken.end[0] and not row.follows(*taken.end):
            world.violated(self, f"{row.last} does not follow {taken.end[0]} in the engine")
        taken.end = row.last, row.chain
        if wrong := taken.look_at(row.origin):
            world.violated(self, wrong)
        first = row.last - row.size + 1
        entries = entries_of(decode_batch(row.record), first, row.at)
        known = branch.entries[first - 1 : row.last]
        if entries[: len(known)] != known:
            world.violated(self, f"the engine has {entries}, and told was {known}")


class _Taken:
    """What an engine has taken in."""

    def __init__(self) -> None:
        self.end = 0, NO_CHAIN
        self._numbers: dict[tuple[int, int], int] = {}  # of the last batch of each boot
        self._over: set[tuple[int, int]] = set()

    def look_at(self, origin: Origin) -> str:
        """What is wrong with a batch that comes from there."""
        node, boot, number, over = origin
        of, wrong = (node, boot), ""
        if of in self._over or any(each > boot for who, each in self._numbers if who == node):
            wrong = f"boot {boot} of node {node} is over, and proposes {number}"
        if over is not None:
            self._over.add(over)
        elif self._numbers.setdefault(of, number - 1) != number - 1:
            wrong = f"{number} of {of} comes after {self._numbers[of]}"
        if number:
            self._numbers[of] = number
        return wrong
