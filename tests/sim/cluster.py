"""Several nodes that share a log, the engine that it is in, and what befalls them.

What runs is what ships: `begin`, the node, and the `StreamNode` that puts its log together.
"""

from __future__ import annotations

import random
import tempfile
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Sequence
from functools import partial
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from tcpchat_core import Entry, events
from tcpchat_net.logs.archive import ArchiveStore
from tcpchat_net.logs.records import decode_batch, entries_of
from tcpchat_net.logs.replayer import InProcess
from tcpchat_net.logs.stream import LEASE_MS, EngineDownError, EngineError, Row
from tcpchat_net.logs.stream.address import Place
from tcpchat_net.logs.stream.begin import Begun, begin
from tcpchat_net.logs.stream.commands import Commands
from tcpchat_net.logs.stream.log import Ending, StreamLog
from tcpchat_net.logs.stream.node import Hosts, StreamNode
from tests.sim import inside
from tests.sim.branches import Branch
from tests.sim.config import Fault, Sharing
from tests.sim.engine import ModelEngine
from tests.sim.network import Link
from tests.sim.process import Process, Worker
from tests.sim.server import EPOCH, Server, TappedLog
from tests.sim.wires import CALL_MS, Exchange, SimWire

if TYPE_CHECKING:
    from tests.sim.world import World

# As `tcpchat_cli.serving` has it: when people may come again, how long they have to take what they
# were sent, and when a start is tried again.
_RETRY_MS: Final = 100
_SPREAD_MS: Final = 2_000
_STOP_MS: Final = 1_500
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
        self._cut_until: dict[Exchange, int] = {}
        self._wires: list[SimWire] = []
        self._links: list[Link] = []
        self.server: Server | None = None  # that serves
        self.log: StreamLog | None = None
        self._shared: StreamNode | None = None
        self._term = 0  # the highest that it has seen
        self._store: ArchiveStore | None = None
        self.lacks = 0  # what was said up to this entry its archive may lack
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
        complaints: list[str] = []
        while True:
            engine = self._engine()
            self._store = store = self._cluster.archive_of(self._place)
            try:
                begun = begin(
                    engine,
                    node=self._place + 1 if sharing.is_numbered else 0,
                    holder=holder,
                    fresh_epoch="simulated",
                    known_epoch="simulated" if self._has_begun and sharing.has_folders else "",
                    known_term=self._term if sharing.has_folders else 0,
                    archive=store,
                    sleep=self.process.sleep,
                    complain=complaints.append,
                )
                break
            except EngineError as error:
                self._close_store()
                if not (isinstance(error, EngineDownError) or "is there already" in str(error)):
                    raise
                self.process.sleep(_AGAIN_MS)
        engine.close()
        self._has_begun, self._term = True, begun.term
        if any("is not in this node's archive" in each for each in complaints):
            # It was told so; what comes behind the snapshot that it began with is there.
            first = next(iter(inside.rows(begun.ring)), None)
            self.lacks = begun.ring.seq if first is None else first.last - first.size
        self._serve(begun, holder)

    def _engine(self) -> Commands:
        wire = SimWire(self.process, self._cluster.exchanges, self.is_cut_from)
        self._wires.append(wire)
        return Commands(wire, "simulated")

    def _serve(self, begun: Begun, holder: str) -> None:
        world, process, sharing = self._world, self.process, self._cluster.sharing
        config, parts = world.config, world.parts
        branch = self._cluster.branch_at(begun.ring.seq, begun.ring.chain)
        # What a snapshot has may never have been delivered to anybody.
        self._cluster.deliver(branch, begun.ring.seq)
        for row in inside.rows(begun.ring):
            entries = entries_of(decode_batch(row.record), row.last - row.size + 1, row.at)
            world.delivered(entries, None, branch)
        self._workers = [Worker(process) for _ in range(3)]
        writing, reading, library = self._workers
        self._workers.append(aside := Worker(process, hurry=sharing.hurry))
        keeper = None
        if self._store is not None:
            keeper = parts.keeper(self._store, library, lambda _why: None)
        state, (number, boot) = begun.state, begun.member
        self._cluster.is_begun_again(branch, number, boot)
        self._shared = shared = StreamNode(
            begun,
            Hosts(writing, reading, aside),
            holder=holder,
            writer=self._engine(),
            reader=self._engine(),
            looking=self._engine(),
            keeper=keeper,
            replay=InProcess,
            every=sharing.snapshot_every,
            clock=lambda: process.now,
            ended=self._ended,
            taken_over=self._taken_over,
            complain=lambda _why: None,
            log=parts.stream,
            upkeep=parts.stream_upkeep,
        )
        self.log = shared.log
        self.server = server = Server(
            process,
            world.draw,
            config,
            parts,
            state=state,
            log=TappedLog(shared.log, parts, self._delivered),
            number=number,
            boot=boot,
            archive=keeper,
            configuration=events.Configure(msgspec.structs.asdict(config.state_limits)),
        )
        server.branch = branch
        world.servers.append(server)
        shared.serve(server.node)

    def _taken_over(self, term: int) -> None:
        self._term = term

    def _delivered(self, entries: Sequence[Entry]) -> None:
        assert self.log is not None, "it delivers"
        assert self.server is not None, "it is delivered to"
        self.server.branch = self._cluster.branch_at(self.log.seq, self.log.ring.chain)
        # What it has put back was delivered of another branch, which had lost it.
        self._cluster.deliver(self.server.branch, entries[0].seq - 1)
        self._world.delivered(entries, self.server, self.server.branch)

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
            checker.ended(self._world, self.server, ending, sentence)
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
            assert self._shared is not None, "what serves has a log"
            self.server.node.drop_all()
            self._shared.close()
            for worker in self._workers:
                worker.finish()
            self._close_store()
            self.server.die()
            self.server = None
        self._hang_up()

    def _close_store(self) -> None:
        if self._store is not None:
            self._store.close()
            self._store = None

    def archived(self, key: str) -> list[tuple[str, int, int]] | None:
        """What its archive has of a room: text, seq, at. None without one."""
        if self._store is None:
            return None
        found: list[tuple[str, int, int]] = []
        after = 0
        while page := self._store.everything(key, after):
            found += [(said.text, said.seq, said.at) for said in page]
            after = page[-1].seq
        return found

    # ── What befalls it ──────────────────────────────────────────────────────────────────────

    @property
    def is_cut(self) -> bool:
        """Whether the engine cannot be reached from it."""
        return self.is_cut_from(self._cluster.exchange)

    def is_cut_from(self, exchange: Exchange) -> bool:
        """Whether one place of an engine cannot be reached from it."""
        return self._world.clock.now < self._cut_until.get(exchange, 0)

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

    def can_put_back(self, seq: int, chain: str) -> bool:
        """Whether it can come to an engine whose log ends like that, and put back what it has."""
        server, log = self.server, self.log
        if server is None or log is None or server.is_deaf or inside.is_over(log):
            return False
        if self.process.is_stopped or self.is_cut:
            return False
        return log.ring.behind(seq, chain, 1) is not None

    def kill(self, ms: int) -> None:
        """Have it gone from one moment to the next, and come back after so long."""
        self._cluster.repairers.pop(self, None)
        if self.process.is_dead:
            return
        self.process.die()
        self._close_store()
        if self.server is not None:
            self.server.die()
            assert self._shared is not None, "what serves has a log"
            self._shared.close()
            self.server = None
        self._wires.clear()
        self._hang_up()
        self._world.clock.after(ms, self.start)

    def stop(self, ms: int) -> None:
        """Have it do nothing for so long."""
        self._cluster.repairers.pop(self, None)
        process = self.process
        if not process.is_dead and not process.is_stopped:
            process.stop()
            self._world.clock.after(ms, process.go_on)
            self._cluster.stir(ms)

    def cut(self, ms: int) -> None:
        """Have the engine out of its reach for so long, wherever it is."""
        for exchange in self._cluster.exchanges:
            self.cut_from(exchange, ms)

    def cut_from(self, exchange: Exchange, ms: int) -> None:
        """Have one place of an engine out of its reach for so long."""
        self._cluster.repairers.pop(self, None)
        self._cut_until[exchange] = self._world.clock.now + ms
        for wire in self._wires:
            wire.cut(exchange)

    def leave(self, ms: int) -> None:
        """End it as its operator does, and start it after so long."""
        self._cluster.repairers.pop(self, None)
        process, server, shared = self.process, self.server, self._shared
        if process.is_dead or (server is not None and server.is_deaf):
            return
        if server is None or shared is None:
            self.kill(ms)
            return
        process.do(partial(self._stop_serving, "this node is shutting down"))
        process.after(_STOP_MS, partial(shared.leave, partial(self._end, ms)))

    def _end(self, ms: int) -> None:
        if self.server is not None:
            self._close()
            # Not in the middle of what it is doing: what waits in it is ended with it.
            process = self.process
            self._world.clock.after(0, lambda: self.kill(ms) if self.process is process else None)

    def die(self) -> None:
        """The simulation is over."""
        self.process.die()
        self._close_store()
        if self._shared is not None:
            self._shared.close()


class Watch:
    """Sees what an engine has taken in, who renews its lease, and who is said to be over."""

    def __init__(self, world: World, exchange: Exchange) -> None:
        self._world, self._exchange = world, exchange
        self._branch = world.branch
        self._untils: dict[tuple[int, int], int] = {}  # until when leases are, by boot
        self._renewed: dict[tuple[int, int], int] = {}  # … and when they were renewed
        self.there_since = 0  # the engine
        self._seen = 0  # of the log
        self._is_new = True

    def advance(self, ms: int) -> None:
        """The engine's clock was set forward, and nobody can tell that from time that passes."""
        self._renewed = {who: at - ms for who, at in self._renewed.items()}
        self.there_since -= ms

    def look(self) -> None:
        """The engine may have done something."""
        world, now, data = self._world, self._world.clock.now, self._exchange.engine.data
        if not self._exchange.is_open or data.meta is None:
            self.there_since, self._seen, self._is_new = now, 0, True
            return
        if self._is_new:
            self._is_new = False
            self._opened(data.log)
        for node, held in data.lease.items():
            who = node, held.boot or 0
            if held.until is not None and held.until != self._untils.get(who):
                self._untils[who], self._renewed[who] = held.until, now
        for row in data.log[bisect_right(data.log, self._seen, key=attrgetter("last")) :]:
            over = row.origin.lapsed
            self._branch.take_in(row, now)
            for checker in world.checkers:
                checker.taken_in(world, self._branch, row)
                if self._seen and over is not None and over != row.origin[:2]:
                    silent_ms, there_ms = now - self._renewed[over], now - self.there_since
                    checker.lapsed(world, over, silent_ms, there_ms)
        self._seen = data.meta.seq

    def _opened(self, rows: Sequence[Row]) -> None:
        """Another engine takes batches in: where its log is another one than before, that goes on
        with this one.
        """
        world, before = self._world, self._world.branch
        assert world.cluster is not None, "it has engines"
        has = before.chains
        same = [row.last for row in rows if has.get(row.last) == row.chain]
        if rows and not same:
            same = [last for last, chain in has.items() if rows[0].follows(last, chain)]
        place = max(same, default=0)
        old = world.cluster.exchanges[-self._exchange.place.port]
        if max(has) > place or (old is not self._exchange and old.is_open):
            world.lose(place)
        self._branch = world.branch
        for checker in world.checkers:
            checker.opened(world, before)
        world.cluster.repairers.clear()


class Cluster:
    """The nodes and their engine."""

    def __init__(self, world: World, sharing: Sharing) -> None:
        self._world, self.sharing = world, sharing
        self.draw = random.Random(f"cluster in {world.config.seed}")
        self._offset_ms = 0
        self.exchanges = [
            Exchange(
                world.clock,
                self.draw,
                world.parts.engine(self._time, number),
                Place("engine", number + 1),
                most_ms=sharing.engine_ms,
                every=sharing.call_fault_every,
            )
            for number in range(1 + sharing.has_replica)
        ]
        self._watches = [Watch(world, exchange) for exchange in self.exchanges]
        for exchange, watch in zip(self.exchanges, self._watches, strict=True):
            exchange.happened = self._call_failed
            exchange.done = watch.look
        self._primary = 0  # which of them is that of the log, or is to be
        if sharing.has_replica:
            self.exchanges[1].engine.follow(self.engine)
        self._has_forked = False  # the one before takes batches in, too
        # Who can come to a new engine and put back what that has lost, up to which entry.
        self.repairers: dict[Member, int] = {}
        self.keeper: Member | None = None  # that has all that a new engine has lost
        self._stirred_until = 0
        self._turns: dict[str, int] = {}
        self._folders: tempfile.TemporaryDirectory[str] | None = None
        if sharing.has_archives:
            self._folders = tempfile.TemporaryDirectory(prefix="tcpchat-sim-")
        # What was accepted, by node and boot.
        self.links: defaultdict[tuple[int, int], list[Link]] = defaultdict(list)
        self.members = [Member(world, self, place) for place in range(sharing.nodes)]

    @property
    def exchange(self) -> Exchange:
        """Where the engine is."""
        return self.exchanges[self._primary]

    @property
    def engine(self) -> ModelEngine:
        """That has the log."""
        return self.exchange.engine

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
        if self._folders is not None:
            self._folders.cleanup()

    def archive_of(self, place: int) -> ArchiveStore | None:
        """The archive in the folder of a node."""
        if self._folders is None:
            return None
        folder = Path(self._folders.name, str(place))
        folder.mkdir(exist_ok=True)
        return ArchiveStore(folder)

    def is_begun_again(self, branch: Branch, number: int, boot: int) -> None:
        """A node begins. A new engine that does not know of a boot any more, of which nothing was
        ever in the log, has given it again.
        """
        for link in self.links.pop((number, boot), ()):
            link.conn = 0
        for checker in self._world.checkers:
            checker.begun(self._world, branch, number, boot)

    def deliver(self, branch: Branch, upto: int) -> None:
        """Up to an entry, what a branch has is known to who goes on with it."""
        for row in [row for row in branch.rows if len(branch.entries) < row.last <= upto]:
            entries = entries_of(decode_batch(row.record), row.last - row.size + 1, row.at)
            self._world.delivered(entries, None, branch)

    def branch_at(self, seq: int, chain: str) -> Branch:
        """The log that ends like this somewhere: the newest, if it is a part of several."""
        for branch in (self._world.branch, *reversed(self._world.lost)):
            if branch.chains.get(seq) == chain:
                return branch
        return self._world.branch

    # ── Whether all is well ──────────────────────────────────────────────────────────────────

    def stir(self, ms: int = 0) -> None:
        """Something is wrong, for so long, and is noticed for longer."""
        self._stirred_until = max(self._stirred_until, self._world.clock.now + ms + _STIRRED_MS)
        self._world.disturb()

    @property
    def is_open(self) -> bool:
        """Whether the engine is there, and takes batches in."""
        return self.exchange.is_open

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

    # ── The weather ──────────────────────────────────────────────────────────────────────────

    def begin_weather(self) -> None:
        """Have happen what is planned."""
        for fault in self.sharing.faults:
            self._world.clock.at(fault.at, partial(self._befall, fault))

    def heal(self) -> None:
        """No more faults; those that there are end in their time."""
        for exchange in self.exchanges:
            exchange.is_faulty = False

    def _call_failed(self, kind: str) -> None:
        self.repairers.clear()
        self.happened(kind)

    def happened(self, kind: str) -> None:
        """Something has happened that a replay has to repeat."""
        self._world.faults[kind] += 1
        self._world.note("cluster", kind)
        self.stir()

    def _befall(self, fault: Fault) -> None:
        if not self._world.faulty:
            return
        is_busy = self.keeper is not None or self._has_forked
        if is_busy or not self.is_open:  # one thing after the other
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
                self._set_clock(ms)
            case "engine forked":
                self._fork(ms)
            case _:
                raise AssertionError(f"nobody knows how {fault.kind} comes")

    def _set_clock(self, ms: int) -> None:
        self._offset_ms += ms
        if 0 < ms <= LEASE_MS / 2:  # which cannot be told from time that passes
            for watch in self._watches:
                watch.advance(ms)

    def _go_on(self, paused_ms: int) -> None:
        if paused_ms > LEASE_MS / 2:
            self._watches[self._primary].there_since = self._world.clock.now
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
        """Have a replica promoted: where nothing is to be lost, one that is behind by no more than
        what some node still has.
        """
        lost = self.draw.randint(0, self.sharing.lost)
        if self.sharing.is_lossy:
            self._take_over(lost)
            self._expect_repair()
        else:
            self._promote_kept(lost)
        self.exchange.start()
        self.stir()

    def _promote_kept(self, most: int) -> None:
        keepers: list[Member] = []
        for lost in range(most, -1, -1):
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

    def _take_over(self, most: int) -> None:
        """Have a replica be the primary that is behind by so many writes, or as many as there are
        since the log was made. At a place of its own it has to know who took the log over last: one
        that does not is refused there, and who runs a cluster is told so.
        """
        old = self.exchange
        new = self.exchanges[1 - self._primary] if self.sharing.has_replica else old
        meta = old.engine.data.meta
        assert meta is not None, "it has the log"
        terms = {lost: old.engine.before(lost).meta for lost in range(most + 1)}
        least = 0 if new is old else meta.term
        lost = max(lost for lost, then in terms.items() if then is not None and then.term >= least)
        self._world.note("cluster", f"lost {lost}")
        if new is old or new.is_down:  # at the place of the old one
            self.engine.promote(lost)
            return
        new.engine.take_over(old.engine, lost)
        self._primary = 1 - self._primary
        if not self._has_forked:
            self._world.clock.after(self.draw.randint(500, 5_000), partial(self._follow, old))

    def _follow(self, old: Exchange) -> None:
        """An engine that was gone comes back, and is a replica of the one that there is."""
        old.engine.restart()
        old.engine.follow(self.engine)
        old.start()

    def _expect_repair(self) -> None:
        """See who has to be heard by the new engine."""
        meta, branch = self.engine.data.meta, self._world.branch
        assert meta is not None, "it has the log"
        self.repairers = {
            member: member.log.seq
            for member in self.members
            if member.can_put_back(meta.seq, meta.chain)
            and member.log is not None
            and self._world.branch_of(member.server) is branch
        }
        for member in self.members:
            server = member.server
            if server and server.state.seq > self._world.branch_of(server).common(branch):
                self.repairers.clear()  # it may put back first what was lost before
        if self.draw.random() < 0.3:
            ms = self.draw.randint(-10_000, 10_000)
            self._world.clock.after(self.draw.randint(100, 5_000), partial(self._set_new, ms))

    def _set_new(self, ms: int) -> None:
        """Set the clock of an engine that is new still."""
        if not self.is_open and self._world.faulty:
            self.happened("clock set while an engine is new")
            self._set_clock(ms)
            if 0 < ms <= LEASE_MS / 2:  # which cannot be told from time that passes
                self.repairers.clear()

    # ── A fork ───────────────────────────────────────────────────────────────────────────────

    def _fork(self, ms: int) -> None:
        """A replica is promoted, and for so long the old primary lives on for some nodes."""
        old, new = self.exchange, self.exchanges[1 - self._primary]
        if new is old or new.is_down:
            return
        self._has_forked = True
        self._take_over(self.draw.randint(0, self.sharing.lost))
        for member in self.members:
            match self.draw.choice(("stays", "goes", "goes", "sees both", "starts anew")):
                case "stays":
                    member.cut_from(new, ms)
                case "goes":
                    member.cut_from(old, ms)
                case "starts anew":
                    member.kill(self.draw.randint(0, 3_000))
                case _:
                    pass
        self._expect_repair()
        for member in [*self.repairers]:
            if not member.is_cut_from(old):
                del self.repairers[member]  # it may never come
        self._world.clock.after(ms, partial(self._join, old))
        self.stir(ms)

    def _join(self, old: Exchange) -> None:
        """The old primary is none any more."""
        self._has_forked = False
        if self.draw.random() < 0.5:  # it never stops
            old.engine.follow(self.engine)
        else:
            old.kill()
            self._world.clock.after(self.draw.randint(500, 5_000), partial(self._follow, old))
        self.stir()

    # ── What nodes have ──────────────────────────────────────────────────────────────────────

    def _has_all_behind(self, member: Member, seq: int, chain: str) -> bool:
        """Whether a node can put back all that anybody was told."""
        has_all = member.log is not None and member.log.seq >= len(self._world.entries)
        return has_all and member.can_put_back(seq, chain)

    def _protect(self) -> None:
        """Nothing more happens until the new engine takes batches in."""
        if self.is_open:
            self.keeper = None
            self.exchange.is_faulty = self._world.faulty
        else:
            self._world.clock.after(100, self._protect)
