"""The rules of a directory and shards are enough, and none of them can be left out."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.cluster.sharding import (
    Claim,
    Directory,
    Name,
    Named,
    Node,
    Proposal,
    Shard,
    World,
    disagreements,
    shared_nicks,
)

SEEDS = 100
STEPS = 400


class ShardThatTakesAnyName(Shard):
    """It takes over what it is told last."""

    def is_newer(self, name: Name, known: Name) -> bool:
        return name != known


class DirectoryThatObeys(Directory):
    """It gives whatever a node has claimed."""

    def is_granted(self, claim: Claim) -> bool:  # noqa: ARG002 # whatever it is
        return True


class WorldWithoutVersions(World):
    shard = ShardThatTakesAnyName


class EarlyWorld(World):
    """Its nodes give a nick that is free as far as they have read."""

    directory = DirectoryThatObeys

    def propose(self, node: int, stream: int, proposal: Proposal) -> None:
        if isinstance(proposal, Named) or self.nodes[node].directory.is_free(proposal.nick):
            super().propose(node, stream, proposal)


def worlds(kind: type[World] = World) -> Iterator[World]:
    for seed in range(SEEDS):
        world = kind(seed)
        world.run(STEPS)
        yield world


def test_nicks_stay_unique_and_renames_end_the_same_everywhere() -> None:
    renames = 0
    for seed, world in enumerate(worlds()):
        assert disagreements(world) == [], f"seed {seed}"
        renames += sum(name.version for name in world.nodes[0].directory.names.values())
    assert renames > SEEDS, "nothing was renamed"


def test_two_who_claim_a_nick_at_once_are_told_apart_by_the_directory_at_every_step() -> None:
    directory = Directory()
    for claim in (Claim(1, 1, "a"), Claim(2, 1, "a"), Claim(1, 2, "b"), Claim(2, 2, "a")):
        directory.handle(claim)
        directory.handle(claim)  # it may come twice
        assert not shared_nicks(directory.names)
    assert directory.names == {1: Name(2, "b"), 2: Name(1, "a")}


def test_a_shard_that_is_told_of_a_name_late_shows_one_nick_twice_until_then() -> None:
    shard = Shard()
    for person, name in ((1, Name(1, "a")), (2, Name(0, "guest-2"))):
        shard.handle(Named(person, name, joins=True))
    shard.handle(Named(2, Name(1, "a")))  # who has let go of it has, in the directory
    assert shared_nicks(shard.names) == {"a"}
    shard.handle(Named(1, Name(2, "b")))
    assert not shared_nicks(shard.names)


def test_a_node_tells_a_shard_only_what_it_lacks() -> None:
    node = Node(Directory())
    node.directory.handle(Claim(1, 1, "a"))
    node.shards[0] = Shard()
    assert list(node.lacking()) == []  # it is not there
    node.shards[0].handle(Named(1, Name(0, "guest-1"), joins=True))
    assert list(node.lacking()) == [(0, Named(1, Name(1, "a")))]
    node.shards[0].handle(Named(1, Name(1, "a")))
    assert list(node.lacking()) == []


def test_without_versions_renames_end_differently() -> None:
    shard = ShardThatTakesAnyName()
    shard.handle(Named(1, Name(2, "b"), joins=True))
    shard.handle(Named(1, Name(1, "a")))  # late, or for the second time
    assert shard.names[1].nick == "a"
    assert any(disagreements(world) for world in worlds(WorldWithoutVersions))


def test_a_nick_that_nodes_give_before_the_claim_has_landed_is_given_twice() -> None:
    assert any(world.given_twice for world in worlds(EarlyWorld))


@pytest.mark.parametrize("seed", range(3))
def test_a_seed_is_one_schedule(seed: int) -> None:
    first, second = World(seed), World(seed)
    for world in (first, second):
        world.run(STEPS)
    assert first.streams == second.streams
    assert all(first.streams)
