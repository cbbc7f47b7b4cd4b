"""Several nodes that share a log, the engine that it is in, and what befalls them.

What runs is what ships: `begin`, `StreamLog`, its upkeep, and the node; put together here as
`tcpchat_cli.sharing` does it.
"""

from __future__ import annotations

import random
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Sequence
from functools import partial
from operator import attrgetter
from typing import TYPE_CHECKING, Final

import msgspec

from tcpchat_core import Entry, Propose, events, lapses
from tcpchat_net.logs.records import decode_batch, entries_of
from tcpchat_net.logs.replayer import InProcess
from tcpchat_net.logs.stream import EVERYBODY, LEASE_MS, EngineDownError, EngineError
from tcpchat_net.logs.stream.begin import Begun, begin
from tcpchat_net.logs.stream.commands import Commands
from tcpchat_net.logs.stream.log import Ending, StreamLog
from tcpchat_net.logs.stream.status import Reporter
from tcpchat_net.logs.stream.upkeep import StreamUpkeep
from tcpchat_net.node import Stuck
from tests.sim import inside
from tests.sim.config import Fault, Sharing
from tests.sim.network import Link
from tests.sim.process import Process, Worker
from tests.sim.server import EPOCH, Server, TappedLog
from tests.sim.wires import CALL_MS, Exchange, SimWire

if TYPE_CHECKING:
    from tests.sim.world import World

# As `tcpchat_cli.serving` has it: when people may come again, how long they have to take what they
# were sent, how long a leave may take, and when a start is tried again.
_RETRY_MS: Final = 100
_SPREAD_MS: Final = 2_000
_STOP_MS: Final = 1_500
_FINISH_MS: Final = 5_000
_AGAIN_MS: Final = 1_000

# For how long what went wrong once may be noticed: a call that gets no answer, the wait before the
# next try, and what was held up meanwhile.
_STIRRED_MS: Final = CALL_MS + 3_000


class Member:
    """One of the nodes, over all its processes and boots."""

    def __init__(self, world: World, cluster: Cluster, place: int) -> None:
        self._world, self._cluster = world, cluster
        self._place = place
        self._starts = 0
        self._has_begun = False
        self._cut_until = 0
        self._wires: list[SimWire] = []
        self._links: list[Link] = []
        self.server: Server | None = None  # that serves
        self.log: StreamLog | None = None
        self._upkeep: StreamUpkeep | None = None
        self._workers: list[Worker] = []
        self.start()

    # ── Starting ─────────────────────────────────────────────────────────────────────────────

    def start(self) -> None:
        """Start a process."""
        self._starts += 1
        self.process = Process(self._world.clock)
        self.process.spawn(self._begin)

    def _begin(self) -> None:
        """Come to a node that serves, whatever it takes."""
        sharing = self._cluster.sharing
        holder = f"{self._place}:folder" if sharing.has_folders else f"{self._place}:{self._starts}"
        while True:
            engine = self._engine()
            try:
                begun = begin(
                    engine,
                    node=self._place + 1 if sharing.is_numbered else 0,
                    holder=holder,
                    fresh_epoch="simulated",
                    known_epoch="simulated" if self._has_begun and sharing.has_folders else "",
                    archive=None,
                    sleep=self.process.sleep,
                    complain=lambda _why: None,
                )
                break
            except EngineError as error:
                if not (isinstance(error, EngineDownError) or "is there already" in str(error)):
                    raise
                self.process.sleep(_AGAIN_MS)
        engine.close()
        self._has_begun = True
        self._serve(begun, holder)

    def _engine(self) -> Commands:
        wire = SimWire(self.process, self._cluster.exchange, lambda: self.is_cut)
        self._wires.append(wire)
        return Commands(wire, "simulated")

    def _serve(self, begun: Begun, holder: str) -> None:
        world, process, sharing = self._world, self.process, self._cluster.sharing
        config, parts = world.config, world.parts
        for row in inside.rows(begun.ring):
            world.delivered(entries_of(decode_batch(row.record), row.last - row.size + 1, row.at))
        reporter = Reporter(begun.state, begun.ring, lambda: 0, ())
        self._workers = [Worker(process), Worker(process), Worker(process, hurry=sharing.hurry)]
        writing, reading, aside = self._workers
        state, (number, boot) = begun.state, begun.member
        self._cluster.is_begun_again(number, boot)
        self.log = log = parts.stream(
            begun.member,
            begun.ring,
            begun.epoch,
            holder=holder,
            writer=self._engine(),
            reader=self._engine(),
            writing=writing,
            reading=reading,
            lapse=self._lapse,
            status=reporter.status,
            mark=reporter.mark,
            ended=self._ended,
            complain=lambda _why: None,
        )
        self._upkeep = parts.stream_upkeep(
            self._engine(),
            log,
            None,
            aside=aside,
            replay=InProcess,
            every=sharing.snapshot_every,
            complain=lambda _why: None,
        )
        self.server = server = Server(
            process,
            world.draw,
            config,
            parts,
            state=state,
            log=TappedLog(log, parts, self._delivered),
            number=number,
            boot=boot,
            configuration=events.Configure(msgspec.structs.asdict(config.state_limits)),
        )
        world.servers.append(server)
        reporter.people = lambda: server.node.connections
        log.stuck = lambda why: server.node.log_is_stuck(why is not None, Stuck.AWAY)
        self._upkeep.begin()

    def _lapse(self, node: int, boot: int) -> Sequence[Propose]:
        assert self.server is not None, "a node that serves says who is over"
        rest = Propose(0, 0, (events.Lapse(node, boot, EVERYBODY),))
        return [*lapses(self.server.state, node, boot + 1), rest]

    def _delivered(self, entries: Sequence[Entry]) -> None:
        self._world.delivered(entries, self.server)

    # ── People ───────────────────────────────────────────────────────────────────────────────

    def accept(self, link: Link, peer: str) -> None:
        """Somebody connects."""
        if self.server is None or self.server.is_deaf:
            link.client.reset()
        else:
            self._links.append(link)
            self._cluster.links[self.server.number, self.server.boot].append(link)
            self.process.do(partial(self.server.accept, link, peer))

    def _hang_up(self) -> None:
        """Its kernel closes what its process leaves open."""
        for link in self._links:
            if not link.server.is_closed:
                link.server.close()
                link.cut()
                self._world.clock.after(self._world.config.latency, link.client.reset)
        self._links.clear()

    # ── Ending ───────────────────────────────────────────────────────────────────────────────

    def _ended(self, ending: Ending, sentence: str) -> None:
        """The log cannot be gone on with."""
        self._cluster.happened(f"node {ending.name.lower()}")
        for checker in self._world.checkers:
            checker.ended(self._world, ending, sentence)
        server = self.server
        self.process.after(0, lambda: self._begin_anew(server))

    def _begin_anew(self, server: Server | None) -> None:
        if server is None or server.is_deaf or server is not self.server:
            return
        self._stop_serving("this node begins anew")

        def again() -> None:
            self._close()
            self.process.spawn(self._begin)

        self.process.after(_STOP_MS, again)

    def _stop_serving(self, reason: str) -> None:
        assert self.server is not None, "it serves"
        self.server.is_deaf = True
        self.server.node.stop(reason, retry=_RETRY_MS, spread=_SPREAD_MS)

    def _close(self) -> None:
        """Let go of everything."""
        if self.server is not None:
            assert self._upkeep is not None, "what serves has its log looked after"
            assert self.log is not None, "what serves has a log"
            self._upkeep.stop()
            self.server.node.drop_all()
            self.log.close()
            for worker in self._workers:
                worker.finish()
            self.server.die()
            self.server = None
        self._hang_up()

    # ── What befalls it ──────────────────────────────────────────────────────────────────────

    @property
    def is_cut(self) -> bool:
        """Whether the engine cannot be reached from it."""
        return self._world.clock.now < self._cut_until

    @property
    def is_well(self) -> bool:
        """Whether it serves, and nothing is wrong."""
        return (
            self.server is not None
            and not self.server.is_deaf
            and not self.process.is_stopped
            and not self.is_cut
            and self.log is not None
            and inside.is_up(self.log)
        )

    def kill(self, ms: int) -> None:
        """Have it gone from one moment to the next, and come back after so long."""
        if self.process.is_dead:
            return
        self.process.die()
        if self.server is not None:
            self.server.die()
            assert self._upkeep is not None, "what serves has its log looked after"
            self._upkeep.stop()
            self.server = None
        self._wires.clear()
        self._hang_up()
        self._world.clock.after(ms, self.start)

    def stop(self, ms: int) -> None:
        """Have it do nothing for so long."""
        process = self.process
        if not process.is_dead and not process.is_stopped:
            process.stop()
            self._world.clock.after(ms, process.go_on)
            self._cluster.stir(ms)

    def cut(self, ms: int) -> None:
        """Have the engine out of its reach for so long."""
        self._cut_until = self._world.clock.now + ms
        for wire in self._wires:
            wire.cut()

    def leave(self, ms: int) -> None:
        """End it as its operator does, and start it after so long."""
        process, server, log = self.process, self.server, self.log
        if process.is_dead or (server is not None and server.is_deaf):
            return
        if server is None or log is None:
            self.kill(ms)
            return
        deadline = self._world.clock.now + _STOP_MS + _FINISH_MS

        def wait() -> None:
            if log.waiting and not inside.is_over(log) and process.now < deadline:
                process.after(50, wait)
            elif inside.is_over(log):
                self._end(ms)
            else:
                end = partial(self._end, ms)
                log.leave(self._lapse(server.number, server.boot), end)
                process.at(max(process.now + 100, deadline), end)

        process.do(partial(self._stop_serving, "this node is shutting down"))
        process.after(_STOP_MS, wait)

    def _end(self, ms: int) -> None:
        if self.server is not None:
            self._close()
            # Not in the middle of what it is doing: what waits in it is ended with it.
            process = self.process
            self._world.clock.after(0, lambda: self.kill(ms) if self.process is process else None)

    def die(self) -> None:
        """The simulation is over."""
        self.process.die()
        if self._upkeep is not None:
            self._upkeep.stop()


class Cluster:
    """The nodes and their engine."""

    def __init__(self, world: World, sharing: Sharing) -> None:
        self._world, self.sharing = world, sharing
        self.draw = random.Random(f"cluster in {world.config.seed}")
        self._offset_ms = 0
        self.engine = world.parts.engine(self._time)
        self.exchange = Exchange(
            world.clock,
            self.draw,
            self.engine,
            most_ms=sharing.engine_ms,
            every=sharing.call_fault_every,
        )
        self.exchange.happened = self.happened
        self.exchange.done = self._look_at_engine
        self._untils: dict[tuple[int, int], int] = {}  # until when leases are, by boot
        self._renewed: dict[tuple[int, int], int] = {}  # … and when they were renewed
        self._there_since = 0  # the engine
        self._seen = 0  # of the log
        self._is_new = True
        self.keeper: Member | None = None  # that has all that a new engine has lost
        self._stirred_until = 0
        self._turns: dict[str, int] = {}
        # What was accepted, by node and boot.
        self.links: defaultdict[tuple[int, int], list[Link]] = defaultdict(list)
        self.members = [Member(world, self, place) for place in range(sharing.nodes)]

    def _time(self) -> int:
        return EPOCH + self._world.clock.now + self._offset_ms

    def dial(self, link: Link, peer: str) -> None:
        """Somebody connects: each time to the next node."""
        turn = self._turns.get(peer, sum(map(ord, peer)))
        self._turns[peer] = turn + 1
        self.members[turn % len(self.members)].accept(link, peer)

    def die(self) -> None:
        """The simulation is over."""
        for member in self.members:
            member.die()

    def is_begun_again(self, number: int, boot: int) -> None:
        """A node begins. A new engine that does not know of a boot any more, of which nothing was
        ever in the log, has given it again.
        """
        for link in self.links.pop((number, boot), ()):
            link.conn = 0
        for checker in self._world.checkers:
            checker.begun(self._world, number, boot)

    # ── Whether all is well ──────────────────────────────────────────────────────────────────

    def stir(self, ms: int = 0) -> None:
        """Something is wrong, for so long, and is noticed for longer."""
        self._stirred_until = max(self._stirred_until, self._world.clock.now + ms + _STIRRED_MS)
        self._world.disturb()

    @property
    def is_open(self) -> bool:
        """Whether the engine is there, and takes batches in."""
        meta = self.engine.data.meta
        is_there = not (self.exchange.is_down or self.exchange.is_paused)
        return is_there and meta is not None and meta.engine == self.engine.run_id

    @property
    def is_calm(self) -> bool:
        """Whether all nodes serve, and nobody waits for the end of a lease."""
        if self._world.clock.now < self._stirred_until or not self.is_open:
            return False
        there = {member.log.member for member in self.members if member.log and member.is_well}
        leases = {
            (node, held.boot)
            for node, held in self.engine.data.lease.items()
            if held.until is not None
        }
        return len(there) == len(self.members) and leases == there

    def _look_at_engine(self) -> None:
        """See what it has taken in, who renews its lease, and who is said to be over."""
        world, now, data = self._world, self._world.clock.now, self.engine.data
        if not self.is_open or data.meta is None:
            self._there_since, self._seen, self._is_new = now, 0, True
            return
        if self._is_new:
            self._is_new = False
            for checker in world.checkers:
                checker.opened(world)
        for node, held in data.lease.items():
            who = node, held.boot or 0
            if held.until is not None and held.until != self._untils.get(who):
                self._untils[who], self._renewed[who] = held.until, now
        for row in data.log[bisect_right(data.log, self._seen, key=attrgetter("last")) :]:
            over = row.origin.lapsed
            for checker in world.checkers:
                checker.taken_in(world, row)
                if self._seen and over is not None and over != row.origin[:2]:
                    silent_ms, there_ms = now - self._renewed[over], now - self._there_since
                    checker.lapsed(world, over, silent_ms, there_ms)
        self._seen = data.meta.seq

    # ── The weather ──────────────────────────────────────────────────────────────────────────

    def begin_weather(self) -> None:
        """Have happen what is planned."""
        for fault in self.sharing.faults:
            self._world.clock.at(fault.at, partial(self._befall, fault))

    def heal(self) -> None:
        """No more faults; those that there are end in their time."""
        self.exchange.is_faulty = False

    def happened(self, kind: str) -> None:
        """Something has happened that a replay has to repeat."""
        self._world.faults[kind] += 1
        self._world.note("cluster", kind)
        self.stir()

    def _befall(self, fault: Fault) -> None:
        if not self._world.faulty:
            return
        if self.keeper is not None or not self.is_open:  # one thing after the other
            self._world.clock.after(250, partial(self._befall, fault))
            return
        clock, exchange, ms = self._world.clock, self.exchange, fault.ms
        member = self.members[fault.node]
        self.happened(fault.kind)
        self.stir(max(0, ms))
        match fault.kind:
            case "node killed":
                member.kill(ms)
            case "node stopped":
                member.stop(ms)
            case "node leaves":
                member.leave(ms)
            case "node cut off":
                member.cut(ms)
            case "engine paused":
                exchange.pause()
                clock.after(ms, partial(self._go_on, ms))
            case "engine killed":
                exchange.kill()
                clock.after(ms, self._restart)
            case "replica promoted":
                if self.draw.random() < 0.4:  # somebody has just come, which the replica may lack
                    member.kill(0)
                    clock.after(self.draw.randint(100, 1_500), partial(self._lose, ms))
                else:
                    self._lose(ms)
            case "clock set":
                self._offset_ms += ms
                if 0 < ms <= LEASE_MS / 2:  # which cannot be told from time that passes
                    self._renewed = {who: at - ms for who, at in self._renewed.items()}
                    self._there_since -= ms
            case _:
                raise AssertionError(f"nobody knows how {fault.kind} comes")

    def _go_on(self, paused_ms: int) -> None:
        if paused_ms > LEASE_MS / 2:
            self._there_since = self._world.clock.now
        self.exchange.go_on()
        self.stir()

    def _restart(self) -> None:
        self.engine.restart()
        self.exchange.start()
        self.stir()

    # ── A promotion ──────────────────────────────────────────────────────────────────────────

    def _lose(self, ms: int) -> None:
        """The engine is gone; in so long a replica is promoted."""
        if not self.is_open:
            return
        self.exchange.kill()
        self._befall_others()
        self._world.clock.after(ms, self._promote)
        self.stir(ms)

    def _befall_others(self) -> None:
        """With the engine go some of the nodes, or their way to it."""
        for member in self.members:
            match self.draw.choice(("", "", "", "killed", "cut", "stopped")):
                case "killed":
                    member.kill(self.draw.randint(0, 9_000))
                case "cut":
                    member.cut(self.draw.randint(100, 9_000))
                case "stopped":
                    member.stop(self.draw.randint(100, 9_000))
                case _:
                    pass

    def _promote(self) -> None:
        """Have a replica promoted that is behind by no more than what some node still has."""
        for lost in range(self.draw.randint(0, self.sharing.lost), -1, -1):
            meta = self.engine.before(lost).meta
            if meta is None:
                continue
            keepers = [
                each for each in self.members if self._has_all_behind(each, meta.seq, meta.chain)
            ]
            if keepers or not lost:
                self._world.note("cluster", f"lost {lost}")
                self.engine.promote(lost)
                break
        if keepers:
            self.keeper = self.draw.choice(keepers)
            self.exchange.is_faulty = False
            self._protect()
        self.exchange.start()
        self.stir()

    def _has_all_behind(self, member: Member, seq: int, chain: str) -> bool:
        """Whether a node can come to a new engine, and put back all that anybody was told."""
        server, log = member.server, member.log
        if server is None or log is None or server.is_deaf or inside.is_over(log):
            return False
        if member.process.is_stopped or member.is_cut:
            return False
        has_all = log.seq >= len(self._world.entries)
        return has_all and log.ring.behind(seq, chain, 1) is not None

    def _protect(self) -> None:
        """Nothing more happens until the new engine takes batches in."""
        if self.is_open:
            self.keeper = None
            self.exchange.is_faulty = self._world.faulty
        else:
            self._world.clock.after(100, self._protect)
