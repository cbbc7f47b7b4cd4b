"""`python -m benchmarks.member PLAN`: the log of one node of several, and no server above it.

It proposes at a pace, or as fast as what it has proposed comes back, and reads what all propose.
Each text carries the time of its proposal, so that each entry's way is known at each reader.
"""

from __future__ import annotations

import gc
import os
import sys
import time
from collections import Counter
from collections.abc import Sequence

import gevent
import gevent.socket
import gevent.ssl
import msgspec

from tcpchat_core import Entry, Propose, events
from tcpchat_core.events import connection_number
from tcpchat_net.greenlets import GreenletHost
from tcpchat_net.logs.stream.address import parse_url
from tcpchat_net.logs.stream.begin import begin
from tcpchat_net.logs.stream.commands import Commands
from tcpchat_net.logs.stream.log import Ending, StreamLog
from tcpchat_net.resp import RespWire

# How often something is proposed at most: all that is due, as in the turns of a server's loop.
TICK_S = 0.002
# Without a pace: how many entries a member has under way, and how many are proposed at once.
UNDER_WAY = 2_000
AT_ONCE = 100
# What everybody says: the time in ns, and something behind it.
TEXT_CHARS = 64
TIME_CHARS = 19
FILL = "." * (TEXT_CHARS - TIME_CHARS)
# How long what was proposed last may take.
DRAIN_S = 10.0


class Plan(msgspec.Struct, frozen=True):
    """What a member is to do: at `start_ns` of the monotonic clock it begins to propose, `rate`
    entries a second (0: as fast as it goes), and what it does in the window is counted.
    """

    url: str
    rate: float
    warmup_s: float
    window_s: float


class Found(msgspec.Struct, frozen=True):
    """What a member has seen in its window. `latencies_us` are from a proposal to its delivery
    here, as value and count; `calls` are the deliveries.
    """

    seq: int
    entries: int
    batches: int
    calls: int
    cpu_ns: int
    latencies_us: list[tuple[int, int]]


class Member:
    """One node's log."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        address = parse_url(plan.url)
        engines = [
            Commands(RespWire(address, gevent.socket, gevent.ssl), address.name) for _ in range(2)
        ]
        holder = f"{os.getpid()}:{id(self)}"
        begun = begin(
            engines[0],
            node=0,
            holder=holder,
            fresh_epoch="benchmark",
            known_epoch="",
            archive=None,
            sleep=lambda ms: gevent.sleep(ms / 1_000),
            complain=_complain,
        )
        self.log = StreamLog(
            begun.member,
            begun.ring,
            begun.epoch,
            holder=holder,
            writer=engines[0],
            reader=engines[1],
            writing=GreenletHost(),
            reading=GreenletHost(),
            lapse=lambda _node, _boot: [],
            status=lambda _asked: b"",
            ended=_ended,
            complain=_complain,
        )
        self._conn = connection_number(*begun.member, 1)
        self._number = 0
        self._calls = self._entries = 0
        self._took: Counter[int] = Counter()  # by ns
        self._is_talking = False

    def run(self, start_ns: int) -> Found:
        """Do it all."""
        plan = self._plan
        self.log.open(self._told)
        begins = start_ns / 1e9
        gevent.sleep(max(0, begins - time.monotonic()))
        talking = gevent.spawn(self._talk, begins)
        gevent.sleep(begins + plan.warmup_s - time.monotonic())
        self._calls = self._entries = 0
        self._took.clear()
        cpu_ns, batches = time.process_time_ns(), len(self.log.ring)
        gevent.sleep(begins + plan.warmup_s + plan.window_s - time.monotonic())
        found = Found(
            self.log.seq,
            self._entries,
            len(self.log.ring) - batches,
            self._calls,
            time.process_time_ns() - cpu_ns,
            [(took // 1_000, count) for took, count in self._took.items()],
        )
        self._is_talking = False
        talking.join()
        deadline = time.monotonic() + DRAIN_S
        while self.log.waiting:
            if time.monotonic() > deadline:
                sys.exit("benchmarks: what a member had proposed did not come back")
            gevent.sleep(0.01)
        return found

    def _talk(self, begins: float) -> None:
        self._is_talking = True
        rate, said = self._plan.rate, 0
        if not rate:
            self._fill()
            return
        while self._is_talking:
            now = time.monotonic()
            if due := int((now - begins) * rate) - said:
                self._say(due)
                said += due
            gevent.sleep(max(TICK_S, begins + (said + 1) / rate - now))

    def _fill(self) -> None:
        while self._is_talking and self.log.waiting <= UNDER_WAY - AT_ONCE:
            self._say(AT_ONCE)

    def _say(self, count: int) -> None:
        say = (events.Say("hall", f"{time.monotonic_ns():0{TIME_CHARS}}{FILL}", key="hall"),)
        conn, number = self._conn, self._number
        self._number += count
        self.log.propose([Propose(conn, number + each, say) for each in range(1, count + 1)])

    def _told(self, entries: Sequence[Entry]) -> None:
        now = time.monotonic_ns()
        self._calls += 1
        self._entries += len(entries)
        texts = Counter([entry.event.text for entry in entries])  # type: ignore[union-attr] # all are a Say
        for text, count in texts.items():
            self._took[now - int(text[:TIME_CHARS])] += count
        if not self._plan.rate:
            self._fill()


def _complain(sentence: str) -> None:
    sys.stderr.write(f"{sentence}\n")


def _ended(ending: Ending, sentence: str) -> None:
    sys.exit(f"benchmarks: a member's log has ended: {ending.value} ({sentence})")


def main() -> None:
    """Say that it is ready, read when to start, and tell what was found."""
    plan = msgspec.json.decode(sys.argv[1], type=Plan)
    print("ready", flush=True)
    start_ns = int(sys.stdin.readline())
    gc.freeze()  # as a server does
    gc.set_threshold(50_000, 20, 50)
    print(msgspec.json.encode(Member(plan).run(start_ns)).decode(), flush=True)


if __name__ == "__main__":
    main()
