"""A log that several nodes share: a stream in Valkey, or in Redis, which is called the engine here.

Every node proposes batches by one script, and reads all batches in the one order that the engine
gives them. Nodes know each other only by what stands in the engine: a *lease* says that a node is
there, and has to be renewed; a node whose lease is over is *lapsed* by another one, which puts into
the log that its people are away, and from then on nothing of that boot is taken in.

Rule 1: The numbers of the log have no holes, and all batches are one hash chain: a node that reads
        on from where it was sees at once when that is not the log it has read before.

Rule 2: A batch of a boot of a node is taken in once, and in the order of its numbers.

Rule 3: Nobody commits what it has not read from the log.

Rule 4: An engine that has been started anew, or is another one (a replica that was promoted), takes
        in nothing before the nodes have put back what they had read and it has lost.

Modules: this one says what an engine is asked and what it answers; `scripts` has the scripts that
run in it, `commands` is an engine that speaks RESP, `ring` what a node keeps to put back, `log` is
the `Log` of a node, and `node` puts all of a node's together.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from enum import Enum
from typing import Final, NamedTuple, Protocol

from tcpchat_core import Propose, events
from tcpchat_net.logs.records import encode_batch

# What stands in the engine, as these modules write and read it. A number for all of it: the keys,
# the scripts, the records. A log of an older one is read; the first node that joins it gives it
# this number, and nodes that know only the older one end then, by name. In 1, the events of records
# grew until the first release that shares a log; in 2, nothing that was said answered something.
FORMAT: Final = 3

# The chain of a log that is empty.
NO_CHAIN: Final = "0" * 40

# For how long a node that says nothing is taken for alive, on the engine's clock; and how often it
# says something. A node is missed six seconds after its death at the latest.
LEASE_MS: Final = 5_000
BEAT_MS: Final = 900

# How many batches are read at a time: reading many more would hold everything else up.
ROWS_AT_A_TIME: Final = 500

# A lapse of everybody: connections are counted with 32 bits.
EVERYBODY: Final = (1 << 32) - 1


class EngineError(Exception):
    """Something that an engine was asked for did not work. The text is one sentence for people."""


class EngineDownError(EngineError):
    """The engine cannot be reached, or is not ready: what was asked for may have been done.

    `waited_ms` is for how long it was waited for.
    """

    def __init__(self, sentence: str, *, waited_ms: int = 0) -> None:
        super().__init__(sentence)
        self.waited_ms = waited_ms


class LeftBehindError(EngineDownError):
    """The engine has a log that another one has taken over from it: its `term`, and the `known` one
    of the other.
    """

    def __init__(self, term: int, known: int, where: str = "") -> None:
        super().__init__(
            f"the engine{where} was left behind: its log has term {term}, and another one has taken"
            f" the log over with term {known}; have it follow that one, or if that is lost for"
            f" good: tcpchat-server cluster accept --term {known} --log URL"
        )


class EngineRefusedError(EngineError):
    """The engine says that it does not do this, so it was not done."""


class NoLogError(EngineError):
    """The engine has no such log."""


class NewerFormatError(EngineError):
    """The log is written in a format that only a newer version can read."""


class Origin(NamedTuple):
    """Whose a batch is: the `number`-th of a boot of a node; the number 0 is not counted.

    `lapsed` is the node and the boot that are over from here on, if it is that.
    """

    node: int
    boot: int
    number: int
    lapsed: tuple[int, int] | None = None

    def __str__(self) -> str:
        node, boot, number, lapsed = self
        text = f"{node}:{boot}:{number}"
        return f"{text}:{lapsed[0]}:{lapsed[1]}" if lapsed else text

    @classmethod
    def parse(cls, text: str) -> Origin:
        """What `str` gives. Raises ValueError."""
        node, boot, number, *lapsed = map(int, text.split(":"))
        if len(lapsed) not in (0, 2):
            raise ValueError(f"{text!r} is the origin of no batch")
        return cls(node, boot, number, (lapsed[0], lapsed[1]) if lapsed else None)


class Row(NamedTuple):
    """One batch of the log: `size` entries, the last of them with the number `last`.

    `at` is in ms since the epoch; `chain` is that of all batches up to this one.
    """

    last: int
    size: int
    at: int
    origin: Origin
    chain: str
    record: bytes

    def follows(self, seq: int, chain: str) -> bool:
        """Whether it is what comes behind the entry `seq` of a log with that chain."""
        return self.last - self.size == seq and self.chain == chained(
            chain, self.last, self.at, self.origin, self.record
        )


def chained(chain: str, last: int, at: int, origin: Origin, record: bytes) -> str:
    """The chain of a log with one batch more: the SHA-1 of all of it, in hexadecimal.

    It guards against accidents, and not against people who may write to the engine.
    """
    head = f"{chain} {last} {at} {origin} ".encode()
    return hashlib.sha1(head + record, usedforsecurity=False).hexdigest()


class Head(NamedTuple):
    """What an engine knows of a log.

    `epoch` names the log, also when people's numbers are of a later one (`Diverge`). `seq` and `at`
    are those of its last entry. It begins behind the entry `base`. `engine` is the
    engine that takes batches in, by its run id, and `term` counts these. `snapshot` is the entry
    that the newest snapshot is of, 0 without one.
    """

    format: int
    epoch: str
    seq: int
    at: int
    chain: str
    engine: str
    term: int
    base: int
    snapshot: int


def divergence(head: Head, run_id: str) -> bytes:
    """The record of the entry that says that a log has lost its end.

    The engine is a part of the name: of two that take over the same log, each has a term as high.
    """
    event = events.Diverge(f"{head.epoch}.{head.term + 1}.{run_id[:8]}")
    return encode_batch([Propose(0, 0, (event,))])


class Greeting(NamedTuple):
    """What an engine is: its run id, its role, its version, and the log, if there is one.

    The run id is another one after each start of the engine, and after each time that it begins
    another history: it does when it is promoted, and when the first replica comes to it.
    """

    run_id: str
    is_primary: bool
    version: str
    head: Head | None


class Taken(Enum):
    """What became of a proposal."""

    IN = "in"  # it is in the log, perhaps since an earlier try
    FENCED = "fenced"  # this boot of the node is over
    GAP = "gap"  # there is one before it that the engine does not know
    NEW_ENGINE = "new-engine"  # it is not this engine that takes batches in


class Lease(NamedTuple):
    """A node that is there: until so many ms from now. `number` is that of its last batch.

    `status` is what it has told of itself.
    """

    node: int
    boot: int
    left_ms: int
    number: int
    holder: str
    status: bytes


class Seat(NamedTuple):
    """A boot of a node, and who has it."""

    node: int
    boot: int
    holder: str


# Who starts has none yet.
NO_SEAT: Final = Seat(0, 0, "")


class Beat(NamedTuple):
    """What a node hears when it renews its lease.

    `seq` is the last of the log; `asked` is a word that changes when somebody wants all nodes to
    tell their digests.
    """

    taken: Taken
    seq: int = 0
    asked: str = ""
    may_lapse: bool = False
    leases: tuple[Lease, ...] = ()


class Joined(NamedTuple):
    """A node has a lease from here on; `seq` is the last of the log before anything of it.

    `boot` is 0 when somebody else has it: `holder`, for `left_ms` if it is not renewed.
    """

    node: int
    boot: int
    seq: int
    holder: str = ""
    left_ms: int = 0


class Repaired(NamedTuple):
    """What became of a repair: the log ends with `seq` and `chain` now.

    `is_closed`: the engine takes batches in again, so nothing can be put back.
    """

    seq: int
    chain: str
    is_closed: bool = False


class Snapshot(NamedTuple):
    """A state as bytes: of the entry `seq`, with the chain of the log there, and its digest."""

    seq: int
    chain: str
    digest: str
    data: bytes


class Engine(Protocol):
    """One connection to an engine, and what a node asks of it. All of these wait, and raise
    EngineError.
    """

    def connect(self) -> Greeting:
        """Connect, or connect anew."""

    def close(self) -> None:
        """Let go of the connection."""

    def create(self, epoch: str) -> Head:
        """Make the log, unless there is one; returns what there is."""

    def join(self, node: int, holder: str) -> Joined:
        """Take a lease for a node, or (0) for the first number that nobody has."""

    def beat(self, node: int, boot: int, status: bytes) -> Beat:
        """Renew a node's lease."""

    def propose(self, origin: Origin, count: int, record: bytes) -> Taken:
        """Have a batch of so many events taken in."""

    def lapse(self, origin: Origin, count: int, record: bytes) -> bool:
        """End the boot `origin.lapsed`, and put this into the log. False: it is over already, or
        has time left (unless a node ends itself).
        """

    def read(self, after: int, block_ms: int) -> list[Row]:
        """The next batches behind an entry, waiting for some for so long."""

    def chain(self, seq: int) -> str | None:
        """The chain of the log at an entry, if a batch that is kept ends there."""

    def repair(self, seq: int, chain: str, rows: Sequence[Row]) -> Repaired:
        """Put back what a new engine has lost, if its log ends with `seq` and `chain`."""

    def claim(self, seat: Seat, term: int, diverged: bytes, others: Sequence[Seat] = ()) -> bool:
        """Tell a new engine that this node has put back what it could; or (NO_SEAT) that it starts,
        and has nothing. `term` is the highest that it knows of: the engine has the next. `others`
        were there when this node heard of them last.

        Whether the engine takes batches in now: when all who are there have told, or after a
        lease's time. It waits so long when nobody has told, or when it had lost the lease of one
        that it is told of now: those of others may be lost, too. The log goes on with the entry
        `diverged`: nobody can know that nothing is lost.
        """

    def publish(self, snapshot: Snapshot) -> bool:
        """Keep a snapshot. The log begins behind the one before it from now on, which is kept, too.

        False when there is one that is as new.
        """

    def snapshot(self, *, base: bool = False) -> Snapshot | None:
        """The newest snapshot, or the one behind which the log begins. None when there is none."""
