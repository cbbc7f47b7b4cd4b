"""What is measured: how many people, in how many rooms, who talks and how fast."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import Enum

# Deliveries that all talkers of a closed loop together have under way, at most: with more, the
# time goes to filling socket buffers, and a message of 80 bytes times this is 8 MB of them.
MAX_UNDER_WAY = 100_000


class Figure(Enum):
    """What a workload is about: the first column of its table."""

    DELIVERY = "server CPU per delivery"
    ADMISSION = "server CPU per person who comes in"
    DEPARTURE = "server CPU per person who leaves"
    MEMORY = "resident memory per person"


@dataclass(frozen=True)
class Workload:
    """`members` people in each of `rooms` rooms; in each room, `talkers` of them talk.

    `in_flight` is how many messages each talker has under way (closed loop); `rate`, when it is
    not 0, is how many messages are due per second in all (open loop). `targets` are ratios that
    tcpchat should not exceed: its cost against another system's; `p99_targets` are the same for
    the latency of the slowest hundredth, and `bound` is what its own cost should not exceed, in the
    unit of the figure. The window is as long as it takes every talker to say
    `least` messages, and at least `window_s`. After the last message, deliveries are waited for
    `drain_s` before they count as lost. In the end all but `stay` members of each room leave,
    unless it is None. `most_rounds` bounds the rounds of what takes long to set up. Only `systems`
    take part, when they are given.
    """

    name: str
    about: str
    rooms: int
    members: int
    talkers: int
    in_flight: int = 20
    rate: int = 0
    figure: Figure = Figure.DELIVERY
    subject: str = "tcpchat"
    systems: tuple[str, ...] = ()
    targets: dict[str, float] = field(default_factory=dict)
    p99_targets: dict[str, float] = field(default_factory=dict)
    bound: float | None = None
    warmup_s: float = 0.5
    window_s: float = 2.0
    login_limit_s: float = 60.0
    drain_s: float = 5.0
    least: int = 0
    stay: int | None = None
    most_rounds: int = 100

    @property
    def people(self) -> int:
        """How many connect."""
        return self.rooms * self.members

    @property
    def leavers(self) -> int:
        """How many leave in the end."""
        return 0 if self.stay is None else self.rooms * (self.members - self.stay)


# The servers of the protocol that most clients know.
IRC_SERVERS = ("inspircd", "ngircd")

HALL = Workload(
    "hall",
    "500 members of one room, 10 talk, 20 messages in flight each",
    rooms=1,
    members=500,
    talkers=10,
    targets={"c-loop": 1.4, "redis": 0.5, "inspircd": 0.25, "ngircd": 0.25},
)

WORKLOADS = {
    workload.name: workload
    for workload in (
        HALL,
        Workload(
            "rooms",
            "2,000 people in 200 rooms of 10, one talks in each, 20 messages in flight",
            rooms=200,
            members=10,
            talkers=1,
            targets={"c-loop": 2.0, "redis": 1.0, "inspircd": 0.75},
        ),
        Workload(
            "pairs",
            "600 people in 300 rooms of 2, one talks in each, 20 messages in flight",
            rooms=300,
            members=2,
            talkers=1,
            targets={"c-loop": 2.0, "inspircd": 1.3},
        ),
        Workload(
            "paced",
            "500 members of one room, 60 messages a second in all, from 10 of them",
            rooms=1,
            members=500,
            talkers=10,
            rate=60,
            window_s=4.0,
            targets={"c-loop": 1.4, "redis": 1.1, "inspircd": 1.1},
            p99_targets={"c-loop": 1.5},
        ),
        Workload(
            "crowd",
            "9,000 people in 9 rooms of 1,000, one talks in each, 5 messages in flight",
            rooms=9,
            members=1000,
            talkers=1,
            in_flight=5,
            login_limit_s=120.0,
            targets={"c-loop": 1.4, "redis": 1.0},
        ),
        Workload(
            "join-storm",
            "5,000 people connect, take a nick and join one of 100 rooms, 2,000 at a time",
            rooms=100,
            members=50,
            talkers=0,
            figure=Figure.ADMISSION,
            warmup_s=0,
            window_s=0.1,
            targets={"inspircd": 1.0},
        ),
        Workload(
            "rush",
            "5,000 people connect, take a nick and join one room, 2,000 at a time",
            rooms=1,
            members=5_000,
            talkers=0,
            figure=Figure.ADMISSION,
            warmup_s=0,
            window_s=0.1,
            most_rounds=1,  # most others take long
            targets={"inspircd": 1.0},
        ),
        Workload(
            "idle",
            "10,000 people in 100 rooms, silent",
            rooms=100,
            members=100,
            talkers=0,
            figure=Figure.MEMORY,
            window_s=1.0,
            login_limit_s=180.0,
            most_rounds=1,  # memory hardly varies
            targets={"redis": 1.0, "inspircd": 1.0, "ngircd": 1.0},
        ),
        Workload(
            "jsonl-hall",
            "the hall, with everybody speaking JSON Lines",
            rooms=1,
            members=500,
            talkers=10,
            subject="tcpchat-jsonl",
            systems=("tcpchat", "tcpchat-jsonl"),
            targets={"tcpchat": 1.3},
        ),
        Workload(
            "browser-hall",
            "the hall, with everybody in a browser, or every other",
            rooms=1,
            members=500,
            talkers=10,
            subject="tcpchat-browsers",
            systems=("tcpchat", "tcpchat-jsonl", "tcpchat-browsers", "tcpchat-mixed"),
            targets={"tcpchat": 1.3},
        ),
        Workload(
            "browser-idle",
            "2,000 people in 20 rooms, silent, everybody in a browser",
            rooms=20,
            members=100,
            talkers=0,
            figure=Figure.MEMORY,
            window_s=1.0,
            subject="tcpchat-browsers",
            systems=("tcpchat", "tcpchat-jsonl", "tcpchat-browsers"),
            bound=8.0,
        ),
        Workload(
            "irc-hall",
            "the hall, with everybody speaking IRC without tags",
            rooms=1,
            members=500,
            talkers=10,
            subject="tcpchat-irc",
            systems=("tcpchat", "tcpchat-irc", *IRC_SERVERS),
            targets={"tcpchat": 1.2, "inspircd": 0.25},
        ),
        Workload(
            "irc-hall-tags",
            "the hall, with everybody speaking IRC with tags",
            rooms=1,
            members=500,
            talkers=10,
            subject="tcpchat-irc-tags",
            systems=("tcpchat", "tcpchat-irc-tags", *IRC_SERVERS),
            targets={"tcpchat": 1.2, "inspircd": 0.25},
        ),
        Workload(
            "irc-hall-mixed",
            "the hall, a quarter each speaking plainly, JSON, IRC with tags and without",
            rooms=1,
            members=500,
            talkers=10,
            subject="tcpchat-irc-mixed",
            systems=("tcpchat", "tcpchat-irc-mixed", *IRC_SERVERS),
            targets={"tcpchat": 1.6, "inspircd": 0.25},
        ),
        Workload(
            "irc-join-storm",
            "the join-storm, with everybody speaking IRC",
            rooms=100,
            members=50,
            talkers=0,
            figure=Figure.ADMISSION,
            subject="tcpchat-irc",
            systems=("tcpchat", "tcpchat-irc", "tcpchat-irc-tags", *IRC_SERVERS),
            warmup_s=0,
            window_s=0.1,
        ),
        Workload(
            "stalled",
            "the hall, with and without ten members who read nothing",
            rooms=1,
            members=500,
            talkers=10,
            subject="tcpchat-stalled",
            systems=("tcpchat", "tcpchat-stalled"),
            warmup_s=0.0,  # so that the window holds how they are closed
            window_s=5.0,
            targets={"tcpchat": 1.1},
            p99_targets={"tcpchat": 1.2},
        ),
        Workload(
            "tls-hall",
            "the hall, with everybody speaking TLS",
            rooms=1,
            members=500,
            talkers=10,
            subject="tcpchat-tls",
            systems=("tcpchat", "tcpchat-tls"),
        ),
        Workload(
            "tls-paced",
            "the paced workload, with everybody speaking TLS",
            rooms=1,
            members=500,
            talkers=10,
            rate=60,
            window_s=4.0,
            subject="tcpchat-tls",
            systems=("tcpchat", "tcpchat-tls"),
        ),
    )
}


def growth() -> list[Workload]:
    """One room of 10 … 10,000 people, of whom 1 … 100 talk."""
    return [
        Workload(
            f"growth-{members}x{talkers}",
            f"one room of {members:,}, {talkers} talk",
            rooms=1,
            members=members,
            talkers=talkers,
            in_flight=max(1, min(20, MAX_UNDER_WAY // (members * talkers))),
            systems=("tcpchat", "c-loop"),  # others take minutes to fill a room of 10,000
            window_s=1.0,
            login_limit_s=300.0,
            most_rounds=1 if members >= 10_000 else 3,
        )
        for members in (10, 100, 1_000, 10_000)
        for talkers in (1, 10, 100)
        if talkers <= members
    ]


def full() -> list[Workload]:
    """More and more messages a second, until this one process is full."""
    return [
        Workload(
            f"full-{rate}",
            f"2,000 people in 40 rooms of 50, one in ten talks, {rate:,} messages a second in all",
            rooms=40,
            members=50,
            talkers=5,
            rate=rate,
            systems=("tcpchat",),
        )
        for rate in (250, 1_000, 4_000, 16_000, 32_000, 64_000, 128_000)
    ]


def exodus() -> list[Workload]:
    """One room of 500 … 5,000 people empties: those who stay hear of each who leaves."""
    return [
        Workload(
            f"exodus-{members}",
            f"one room of {members:,}, whom all but 5 leave, 2,000 at a time",
            rooms=1,
            members=members,
            talkers=0,
            figure=Figure.DEPARTURE,
            warmup_s=0,
            window_s=0.1,
            stay=5,
            most_rounds=3 if members <= 2_000 else 1,  # as with `rush`
            targets={"inspircd": 1.0},
        )
        for members in (500, 2_000, 5_000)
    ]


def kept() -> list[Workload]:
    """More and more messages a second, each on the disk before anybody is told of it, or not."""
    return [
        Workload(
            f"kept-{rate}",
            f"400 people in pairs, {rate:,} messages a second in all",
            rooms=200,
            members=2,
            talkers=1,
            rate=rate,
            systems=("tcpchat", "tcpchat-kept", "redis-kept"),
        )
        for rate in (100, 1_000, 10_000, 30_000)
    ]


def shared() -> list[Workload]:
    """A node that shares its log beside one that has its own: the same people, on one node."""
    return [
        replace(
            WORKLOADS[name],
            name=f"shared-{name}",
            subject="tcpchat-shared",
            systems=("tcpchat-kept", "tcpchat-shared"),
            targets={"tcpchat-kept": 1.5},
            p99_targets={},
        )
        for name in ("hall", "rooms", "pairs", "paced")
    ]


# Workloads that are many, in one word.
FAMILIES = {
    "growth": growth,
    "full": full,
    "exodus": exodus,
    "kept": kept,
    "shared": shared,
}


def quick(workload: Workload) -> Workload:
    """The same in small: a few dozen clients and a fraction of a second, to see that it works."""
    rooms = min(workload.rooms, 4)
    return replace(
        workload,
        about=f"quick form, a few dozen clients, no figure to quote: {workload.about}",
        rooms=rooms,
        members=min(workload.members, 40 // rooms),
        talkers=min(workload.talkers, 5),
        targets={},
        p99_targets={},
        bound=None,
        warmup_s=0.1,
        window_s=0.4,
        # It is to work on a busy machine, too: it waits for what must come, and not for long else.
        least=5,
        login_limit_s=60.0,
        drain_s=20.0,
    )
