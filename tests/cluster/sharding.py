"""A model of several logs: a directory, where nicks are claimed, and shards, where people talk.

No product code: what is shown is that the rules are enough. Proposals of a stream land in any
order, late, twice, or (when their node dies) never; nodes read each stream in its order, but the
streams in any order against one another, and some begin to read late.

Rule 1: Who has a nick is decided by the directory, when the claim has landed, and nowhere else.

Rule 2: A name that was given has a version, which counts the names of a person.

Rule 3: A shard takes over a name if it is newer than the one that it has.

Rule 4: A node that reads the directory and a shard tells the shard each name that it lacks.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import NamedTuple, TypeAlias

NODES, SHARDS, PEOPLE = 3, 3, 6
# Few, so that they are fought over.
NICKS = "abcd"
# How many of what lands does so once more, later.
TWICE = 0.2


class Name(NamedTuple):
    """What a person is called, and how many names it had before."""

    version: int
    nick: str


class Claim(NamedTuple):
    """A person wants a nick; `number` counts what it has wanted."""

    person: int
    number: int
    nick: str


class Named(NamedTuple):
    """A person has a name, as the directory says; `joins`: and comes in."""

    person: int
    name: Name
    joins: bool = False


Proposal: TypeAlias = Claim | Named


def first_name(person: int) -> Name:
    """Who has claimed nothing is a guest."""
    return Name(0, f"guest-{person}")


class Directory:
    """Who has which nick."""

    def __init__(self) -> None:
        self.names: dict[int, Name] = {}
        self._numbers: dict[int, int] = {}

    def name(self, person: int) -> Name:
        """What a person is called."""
        return self.names.get(person, first_name(person))

    def is_free(self, nick: str) -> bool:
        """Whether nobody has it."""
        return all(name.nick != nick for name in self.names.values())

    def is_granted(self, claim: Claim) -> bool:
        """Rule 1."""
        return self.is_free(claim.nick)

    def handle(self, claim: Claim) -> None:
        """Give the nick, if nobody has it."""
        if claim.number <= self._numbers.get(claim.person, 0):
            return
        self._numbers[claim.person] = claim.number
        if self.is_granted(claim):
            version = self.name(claim.person).version + 1
            self.names[claim.person] = Name(version, claim.nick)


class Shard:
    """Who is there, and what they are called there."""

    def __init__(self) -> None:
        self.members: set[int] = set()
        self.names: dict[int, Name] = {}

    def handle(self, named: Named) -> None:
        """Take a name over, if it is newer."""
        known = self.names.get(named.person)
        if known is None or self.is_newer(named.name, known):
            self.names[named.person] = named.name
        if named.joins:
            self.members.add(named.person)

    def is_newer(self, name: Name, known: Name) -> bool:
        """Rule 3."""
        return name.version > known.version


class Node:
    """What a node has read: the directory, and the shards that it has to do with."""

    def __init__(self, directory: Directory) -> None:
        self.directory = directory
        self.shards: dict[int, Shard] = {}
        self.read = [0] * (1 + SHARDS)  # of each stream; the directory is the last one
        self.told: set[tuple[int, Named]] = set()

    def lacking(self) -> Iterator[tuple[int, Named]]:
        """Names that shards lack, as far as this node knows (Rule 4)."""
        for number, shard in self.shards.items():
            for person in sorted(shard.members):
                name = self.directory.name(person)
                if shard.is_newer(name, shard.names[person]):
                    yield number, Named(person, name)


class World:
    """Streams, what is on its way to them, and nodes: a schedule for each seed."""

    directory: type[Directory] = Directory
    shard: type[Shard] = Shard

    def __init__(self, seed: int) -> None:
        self.draw = random.Random(seed)
        self.streams: list[list[Proposal]] = [[] for _ in range(1 + SHARDS)]
        self.under_way: list[list[tuple[int, Proposal]]] = [[] for _ in range(1 + SHARDS)]
        self.nodes = [Node(self.directory()) for _ in range(NODES)]
        self.numbers = dict.fromkeys(range(PEOPLE), 0)
        self.given_twice: set[str] = set()  # nicks, at any time, in any directory

    def run(self, steps: int) -> None:
        """Let things happen, then let all of it come to its end."""
        happenings = [self.claim, self.join, self.land, self.read, self.tell, self.subscribe]
        for _ in range(steps):
            self.draw.choice(happenings)()
            if self.draw.random() < 0.01:
                self.die()
        for node in self.nodes:
            for shard in range(SHARDS):
                node.shards.setdefault(shard, self.shard())
        while any(self.under_way) or self.has_unread() or self.has_untold():
            self.land()
            self.read()
            self.tell()

    # ── What happens ─────────────────────────────────────────────────────────────────────────

    def claim(self) -> None:
        """Somebody wants a nick."""
        person = self.draw.randrange(PEOPLE)
        self.numbers[person] += 1
        claim = Claim(person, self.numbers[person], self.draw.choice(NICKS))
        self.propose(self.draw.randrange(NODES), SHARDS, claim)

    def join(self) -> None:
        """Somebody goes into a shard, with the name that its node knows."""
        person, node = self.draw.randrange(PEOPLE), self.draw.randrange(NODES)
        name = self.nodes[node].directory.name(person)
        self.propose(node, self.draw.randrange(SHARDS), Named(person, name, joins=True))

    def propose(self, node: int, stream: int, proposal: Proposal) -> None:
        """A node sends something on its way."""
        self.under_way[stream].append((node, proposal))

    def land(self) -> None:
        """Something gets into its stream, perhaps not for the last time."""
        stream = self.draw.randrange(1 + SHARDS)
        if under_way := self.under_way[stream]:
            at = self.draw.randrange(len(under_way))
            self.streams[stream].append(under_way[at][1])
            if self.draw.random() >= TWICE:
                del under_way[at]

    def read(self) -> None:
        """A node reads on in a stream."""
        node, stream = self.draw.choice(self.nodes), self.draw.randrange(1 + SHARDS)
        if stream < SHARDS and stream not in node.shards:
            return
        unread = self.streams[stream][node.read[stream] :]
        for proposal in unread[: self.draw.randint(1, 5)]:
            node.read[stream] += 1
            match proposal:
                case Claim():
                    node.directory.handle(proposal)
                    self.given_twice |= shared_nicks(node.directory.names)
                case Named():
                    node.shards[stream].handle(proposal)

    def tell(self) -> None:
        """A node tells shards what they lack, once."""
        node = self.draw.randrange(NODES)
        for told in list(self.nodes[node].lacking()):
            if told not in self.nodes[node].told:
                self.nodes[node].told.add(told)
                self.propose(node, *told)

    def subscribe(self) -> None:
        """A node begins to read a shard, from its beginning."""
        self.draw.choice(self.nodes).shards.setdefault(self.draw.randrange(SHARDS), self.shard())

    def die(self) -> None:
        """A node forgets all, and half of what it had proposed is lost."""
        dead = self.draw.randrange(NODES)
        self.nodes[dead] = Node(self.directory())
        for stream, under_way in enumerate(self.under_way):
            self.under_way[stream] = [
                each for each in under_way if each[0] != dead or self.draw.random() < 0.5
            ]

    # ── The end ──────────────────────────────────────────────────────────────────────────────

    def has_unread(self) -> bool:
        """Whether some node has not read everything."""
        ends = [len(stream) for stream in self.streams]
        return any(node.read != ends for node in self.nodes)

    def has_untold(self) -> bool:
        """Whether some node has still to tell a shard something."""
        return any(told not in node.told for node in self.nodes for told in node.lacking())


def shared_nicks(names: dict[int, Name]) -> set[str]:
    """Nicks that several people have."""
    nicks = [name.nick for name in names.values()]
    return {nick for nick in nicks if nicks.count(nick) > 1}


def disagreements(world: World) -> list[str]:
    """What was not as it should be, or is not in the end."""
    directory = world.nodes[0].directory
    found = [f"{nick} was of several people" for nick in sorted(world.given_twice)]
    for number, node in enumerate(world.nodes):
        if node.directory.names != directory.names:
            found.append(f"node {number} has another directory")
        for stream, shard in node.shards.items():
            found += [
                f"node {number}, shard {stream}: {person} is {shard.names[person]}"
                for person in sorted(shard.members)
                if shard.names[person] != directory.name(person)
            ]
    return found
