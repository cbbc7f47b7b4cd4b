"""What one seed stands for: the server's bounds, the people, the network and its weather."""

from __future__ import annotations

import random
from dataclasses import dataclass, fields, replace

from tcpchat_core import ServerLimits, StateLimits
from tcpchat_net.logs.durable import RETRY_MS


@dataclass(frozen=True)
class Fault:
    """Something that happens to one of several nodes, or to the engine that they share."""

    at: int
    kind: str
    node: int  # which of them, if it is one of them
    ms: int  # for how long, if it is something that ends; for a clock, by how much it is set


@dataclass(frozen=True)
class Sharing:
    """What several nodes that share a log are, and what befalls them."""

    nodes: int
    has_folders: bool  # a node that comes back after a death is known to be the same
    is_numbered: bool  # nodes are told their numbers
    engine_ms: int  # how long a command is on its way to the engine at most, and its reply
    call_fault_every: int  # so many commands; 0 for never
    snapshot_every: int  # entries
    hurry: int  # how many times as fast the time passes between two rounds of the upkeep
    lost: int  # how many writes a replica is behind, at most
    is_lossy: bool  # whether it may lack what no node has, or none that is there
    has_replica: bool  # at a place of its own, where it is promoted
    has_archives: bool  # in the folders of the nodes
    is_seen_at_every_step: bool  # whether digests are compared then, and not only now and then
    faults: tuple[Fault, ...]

    @classmethod
    def drawn(cls, seed: int, safety: int, *, may_lose: bool) -> Sharing:
        """The sharing of a seed."""
        draw = random.Random(f"cluster of {seed}")
        nodes = draw.choice((1, 2, 2, 3, 3, 4, 5))
        kinds = draw.sample(list(CLUSTER_FAULTS), draw.randint(1, len(CLUSTER_FAULTS)))
        faults = []
        for _ in range(draw.choice((0, 2, 4, 6, 8))):
            kind = draw.choice(kinds)
            ms = draw.randint(*CLUSTER_FAULTS[kind])
            at = draw.randint(1_500, safety - 1_000)
            faults.append(Fault(at, kind, draw.randrange(nodes), ms))
        losses = random.Random(f"losses of {seed}")
        is_lossy = losses.random() < 0.4 and may_lose
        has_replica = is_lossy and losses.random() < 0.6
        for _ in range(losses.choice((1, 2, 4)) if is_lossy else 0):
            kind = losses.choice([*LOSSES] if has_replica else ["replica promoted"])
            at = losses.randint(1_500, safety - 1_000)
            faults.append(Fault(at, kind, 0, losses.randint(*LOSSES[kind])))
        has_folders = draw.random() < 0.6
        return cls(
            nodes=nodes,
            has_folders=has_folders,
            is_numbered=draw.random() < 0.4,
            engine_ms=draw.choice((0, 1, 5, 20)),
            call_fault_every=draw.choice((0, 0, 100, 400)),
            snapshot_every=draw.choice((15, 15, 60, 1_000_000)),
            hurry=draw.choice((5, 60, 60)),
            lost=draw.choice((2, 10, 40, 150)),
            is_lossy=is_lossy,
            has_replica=has_replica,
            has_archives=has_folders and losses.random() < 0.6,
            is_seen_at_every_step=draw.random() < 0.1,
            faults=tuple(sorted(faults, key=lambda fault: fault.at)),
        )


# What befalls nodes and their engine, and for how long.
CLUSTER_FAULTS = {
    "node killed": (0, 9_000),
    "node stopped": (300, 9_000),
    "node leaves": (0, 3_000),
    "node cut off": (300, 9_000),
    "engine paused": (200, 8_000),
    "engine killed": (100, 8_000),
    "replica promoted": (100, 4_000),
    "clock set": (-10_000, 10_000),
}

# … and by what something may be lost for good.
LOSSES = {
    "replica promoted": (100, 4_000),
    "engine forked": (500, 12_000),
}


@dataclass(frozen=True)
class Config:
    """Everything that is drawn before a simulation begins. Times are in milliseconds."""

    seed: int
    limits: ServerLimits
    state_limits: StateLimits
    max_backlog_bytes: int
    stall_timeout: int
    read_bytes: int  # how much the server reads of one connection in a turn
    password: str
    log_delay: int  # until a proposal is taken in, at most; 0 is a log that delivers at once
    log_late: int  # … and from then until it is delivered
    log_again: float  # how likely a delivery repeats what was delivered before
    kept: bool  # whether the log is one that is kept on a disk
    disk_ms: int  # how long the disk takes for a write, at most
    full_at: int  # when the disk is full; 0 for never
    full_for: int  # … and for how long
    disk_fails: bool  # whether the node ends because its disk fails
    restart_at: int  # when the node dies and comes back; 0 for never
    restart_for: int  # how long it takes
    is_told: bool  # whether it says goodbye before
    deaths: tuple[int, ...]  # when it dies besides, of those whose log is kept
    dies_at_step: bool  # … just before or just after something that the disk does
    keep_ms: int | None  # for how long what is said is kept; None for ever
    harms: bool  # whether something happens to the archive while nobody uses it
    people: int  # who speak JSON Lines, through faults
    healthy: int  # who never meet a fault
    plain: int
    marked: int  # who speak the third dialect
    hostile: int
    pasters: int  # who send much more than the allowed rate, politely
    rooms: int
    latency: int
    jitter: int
    capacity: int
    piece: int
    think: int  # between two actions of a person, on average
    long_texts: float  # the share of messages that fill a page
    fault_every: int  # on average
    knows_by: int  # how late an end learns of a cut, when it does
    learns: float  # how likely that is
    safety: int  # how long there are faults
    is_moderated: bool = False  # whether people moderate the rooms that they have made
    accounts: int = 0  # which several devices have each, of the people who meet faults
    sharing: Sharing | None = None  # with others; None for a node that has its log for itself
    browsers: float = 0.0  # how many of the people who speak JSON Lines do so from a page
    leave_every: int = 0  # so often a page is closed, or loaded anew, on average
    fragments: float = 0.0  # the share of messages that come in several frames
    loaders: int = 0  # browsers that get files, and connect ahead
    broken_pages: int = 0  # whose frames break rules
    irc: int = 0  # who come by IRC

    @property
    def log_time(self) -> int:
        """How long it takes at most from a proposal to its delivery."""
        return self.log_delay + self.log_late

    @classmethod
    def drawn(
        cls,
        seed: int,
        *,
        shared: bool = False,
        may_lose: bool = True,
        browsers: bool = True,
        irc: bool = True,
    ) -> Config:
        """The configuration of a seed. `may_lose`: engines may be lost with what only they had;
        `browsers`, `irc`: of some seeds people come by pages, and by IRC.
        """
        config = cls._alone(seed)
        if config.is_moderated:
            config = config._with_accounts()
        if browsers:
            config = config._browsing()
        if irc:
            people = random.Random(f"IRC of {seed}").choice((0, 0, 1, 2, 3))
            config = replace(config, irc=people)
        return config._shared(may_lose=may_lose) if shared else config

    def _with_accounts(self) -> Config:
        """The same weather, and in most of these seeds people who have accounts."""
        accounts = random.Random(f"accounts of {self.seed}").choice((0, 1, 2, 2))
        # Whoever may be muted everywhere has no right to see all its lines said.
        return replace(self, accounts=accounts, pasters=0 if accounts else self.pasters)

    def _browsing(self) -> Config:
        """The same weather, and of more than half of the seeds people who come by browsers."""
        draw = random.Random(f"browsers of {self.seed}")
        if draw.random() < 0.4:
            return self
        return replace(
            self,
            browsers=draw.choice((0.3, 0.6, 1.0)),
            leave_every=draw.choice((1_500, 4_000, 12_000)),
            fragments=draw.choice((0.0, 0.1, 0.5)),
            loaders=draw.randint(0, 2),
            broken_pages=draw.choice((0, 1, 2, 2)),
        )

    def _shared(self, *, may_lose: bool) -> Config:
        """The same people and the same weather, around nodes that share a log."""
        sharing = Sharing.drawn(self.seed, self.safety, may_lose=may_lose)
        # What a proposal waits for is the command before it, itself, and the end of a read.
        delay = 8 * sharing.engine_ms + 10
        return replace(
            self,
            log_delay=delay,
            log_late=delay,
            log_again=0.0,
            kept=False,
            disk_ms=0,
            full_at=0,
            full_for=0,
            keep_ms=None,
            restart_at=0,
            deaths=(),
            pasters=0 if sharing.faults or sharing.call_fault_every else self.pasters,
            sharing=sharing,
        )

    @classmethod
    def _alone(cls, seed: int) -> Config:
        draw = random.Random(f"configuration of {seed}")
        disk = random.Random(f"disk of {seed}")
        ping_after = draw.choice((3_000, 6_000, 15_000))
        rate = draw.choice((0, 5, 5, 20))
        log_delay = draw.choice((0, 0, 20, 300))
        safety = draw.choice((10_000, 20_000, 40_000))
        kept = not log_delay and disk.random() < 0.45
        disk_ms = disk.choice((0, 2, 30, 300)) if kept else 0
        full_at = disk.choice((0, 0, disk.randint(1_000, safety - 6_000))) if kept else 0
        full_for = disk.choice((200, 3_000)) if full_at else 0
        # From its place in the log to its delivery: what the disk is busy with, the write, and its
        # end; with a full disk also the waiting for room, and a try more.
        disk_time = 4 * disk_ms + (full_for + RETRY_MS + 4 * disk_ms if full_at else 0)
        # It is back before the faults are over.
        restart_at = draw.choice((0, 0, 0, draw.randint(3_000, safety - 3_000)))
        deaths = disk.choice((0, 1, 2, 4)) if kept else 0
        return cls(
            seed=seed,
            limits=ServerLimits(
                flood_burst=draw.choice((5, 20)),
                flood_rate=rate,
                ping_after_ms=ping_after,
                drop_after_ms=ping_after + draw.choice((2_000, 5_000)),
                handshake_ms=draw.choice((1_000, 5_000)),
                grace_ms=draw.choice((0, 3_000, 10_000, 10_000, 30_000, 30_000)),
            ),
            state_limits=StateLimits(
                rooms_per_person=draw.choice((2, 50)),
                rooms=draw.choice((3, 10_000)),
                history_messages=draw.choice((3, 20, 200)),
                history_chars=draw.choice((2_000, 65_536)),
                entered_history=draw.choice((2, 20)),
                receipts=draw.choice((2, 8, 64)),
                inbox=draw.choice((2, 100)),
                away=draw.choice((2, 10_000, 10_000)),
            ),
            max_backlog_bytes=draw.choice((4_096, 65_536, 1_048_576)),
            stall_timeout=draw.choice((2_000, 10_000)),
            read_bytes=draw.choice((64, 4_096, 65_536)),
            password=draw.choice(("", "", "", "", "sesame")),
            # It has to wait for the write before its own.
            log_delay=log_delay or disk_time,
            log_late=draw.choice((0, 20, 300)) if log_delay else disk_time,
            log_again=draw.choice((0.0, 0.1, 0.5)) if log_delay else 0.0,
            kept=kept,
            disk_ms=disk_ms,
            full_at=full_at,
            full_for=full_for,
            disk_fails=disk.random() < 0.3,
            restart_at=restart_at,
            restart_for=draw.choice((0, 500, 3_000)),
            is_told=draw.random() < 0.3,
            deaths=tuple(disk.randint(2_000, safety - 5_000) for _ in range(deaths)),
            dies_at_step=disk.random() < 0.6,
            # When there are no faults any more, everybody hears everything in less.
            keep_ms=disk.choice((None, None, 8_000, 21_000)) if kept else None,
            harms=disk.random() < 0.7,
            people=draw.randint(2, 7),
            healthy=draw.randint(1, 3),
            plain=draw.randint(0, 2),
            marked=draw.choice((0, 1, 2, 2)),
            hostile=draw.randint(0, 3),
            # A paste does not outlive its connection.
            pasters=0 if restart_at else draw.choice((0, 0, 1)) and int(not deaths),
            rooms=draw.randint(1, 3),
            latency=draw.choice((0, 5, 50)),
            jitter=draw.choice((0, 10, 100)),
            capacity=draw.choice((512, 4_096, 65_536)),
            piece=draw.choice((1, 7, 100, 1_500, 65_536, 65_536)),
            think=draw.choice((150, 400, 1_200)),
            long_texts=draw.choice((0, 0, 0.1, 0.5)),
            fault_every=draw.choice((100, 200, 500, 2_000)),
            knows_by=draw.choice((0, 500, 5_000)),
            learns=draw.choice((0.2, 0.6, 1.0)),
            safety=safety,
            is_moderated=random.Random(f"moderation of {seed}").random() < 0.4,
        )

    def __str__(self) -> str:
        return "\n".join(
            f"  {field.name} = {getattr(self, field.name)!r}" for field in fields(self)
        )
