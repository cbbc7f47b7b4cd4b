"""One simulation: a server, or several that share a log, the people, a network, and the weather.

Three phases. In the first, *safety*, there are faults, and nothing may go wrong that is promised
not to. Then all *heals*: no more faults, and everybody comes back. In the last, *liveness*, what
was promised has to happen: everybody says a last word, everybody hears every one, and who has not
come back is gone.

The same seed gives the same simulation, to the last byte: `World.trace` is a hash over all that
was read and committed, and when.
"""

from __future__ import annotations

import hashlib
import random
import traceback
from collections import ChainMap, Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

from tcpchat_core import ChatState, Entry
from tcpchat_core.notices import Resumed
from tcpchat_net.logs.durable import DurableLog
from tcpchat_net.logs.memory import MemoryLog
from tcpchat_net.logs.stream import Row
from tcpchat_net.logs.stream.log import Ending
from tests.sim.branches import Branch
from tests.sim.browsers import BrokenPage, Loader, Offence, Visit
from tests.sim.clock import Clock
from tests.sim.cluster import Cluster
from tests.sim.config import Config
from tests.sim.disk import Disk, Kept
from tests.sim.irc import IrcPerson
from tests.sim.logs import UnreliableLog
from tests.sim.model import Character, Model
from tests.sim.network import Link, Way
from tests.sim.owner import ACCOUNTS, LOOKALIKES, Owner
from tests.sim.parts import Parts
from tests.sim.peers import Diary, Frame, Parting, Peer, Question, Shown, Wire
from tests.sim.people import (
    COMMONS,
    HealthyPerson,
    Hostile,
    MarkedPerson,
    Paster,
    Person,
    PlainPerson,
    SlowReader,
)
from tests.sim.server import EPOCH, Server, TappedLog, Transport

# What a healthy connection's kernels hold: nothing that is sent in a simulation fills it.
ROOMY = 1 << 24

# How long healing may take at most, apart from what has to be sent at the allowed rate.
HEALED_WITHIN = 60_000
HEARD_WITHIN = 20_000


@dataclass(frozen=True)
class Violation:
    """A promise that was broken: which, and how."""

    checker: str
    text: str


class Checker:
    """One promise. `sampled` is asked now and then, `finished` when all is over.

    Both report what is wrong by `World.violated`.
    """

    def committed(self, world: World, entries: Sequence[Entry]) -> None:
        """Entries were delivered for the first time, and the model knows them."""

    def started(self, world: World, found: Sequence[Entry]) -> None:
        """A node starts, and has found these entries on its disk."""

    def delivered(
        self, world: World, branch: Branch, server: Server | None, entries: Sequence[Entry]
    ) -> None:
        """A node has committed entries, or has read them before it serves: of a shared log."""

    def begun(self, world: World, branch: Branch, node: int, boot: int) -> None:
        """A node begins to serve, with a log that it shares."""

    def ended(self, world: World, server: Server | None, ending: Ending, sentence: str) -> None:
        """A node cannot go on with a log that it shares, and begins anew."""

    def opened(self, world: World, before: Branch) -> None:
        """Another engine takes batches in from now on; all that it has is told anew. `before` is
        what the log was: the same, if nothing is lost.
        """

    def taken_in(self, world: World, branch: Branch, row: Row) -> None:
        """The engine has taken a batch in, or has one."""

    def lapsed(self, world: World, who: tuple[int, int], silent_ms: int, there_ms: int) -> None:
        """A node has said that a boot of another one is over, which has been silent for so long;
        the engine has been there for so long.
        """

    def sampled(self, world: World) -> None:
        """Some time has passed."""

    def finished(self, world: World) -> None:
        """The simulation is over."""


class World:
    """Make one of a configuration, and `run` it."""

    def __init__(
        self, config: Config, checkers: Sequence[Checker], parts: Parts | None = None
    ) -> None:
        self.config = config
        self.checkers = checkers
        self.parts = parts = parts or Parts()
        self.clock = Clock()
        self.draw = random.Random(config.seed)
        self.branch = Branch(config.state_limits)  # the log
        self.lost: list[Branch] = []  # what it was, before something was lost
        self._snapshot = b""
        self._far_log: UnreliableLog | None = None
        self.disk = Disk(config, self.clock) if config.kept else None
        self.kept: Kept | None = None  # what the boot of now has on it
        self.servers: list[Server] = []  # all boots of the node
        self.downs: list[tuple[int, int]] = []  # from when until when the node was not there
        self._down_from: int | None = None
        self.faulty = True
        self.faults: Counter[str] = Counter()
        self.violations: list[Violation] = []
        self._trace = hashlib.sha256()
        self.cluster = Cluster(self, config.sharing) if config.sharing else None
        if self.cluster is None:
            self.server = self._serve(self._fresh(), boot=1)
        self.diaries: list[Diary] = []
        self.all_wires: list[Wire] = []
        self.frames: list[Frame] = []
        self.questions: list[Question] = []
        self.broken_frames = 0
        self.partings: list[Parting] = []
        self.wrong_bytes: list[str] = []  # that browsers were sent
        self.visits: list[Visit] = []
        self.offences: list[Offence] = []
        # When a boot of a node had certainly seen a browser from an address.
        self.came: dict[tuple[Server, str], int] = {}
        self.spoken: dict[str, int] = {}  # when something was said, by its text
        self.last_words: dict[str, Person] = {}
        self.links: list[Link] = []
        names = iter(["ada", "bob", "cleo", "dana", "eve", "finn", "gus", "hal", "ivy", "jo"])
        come_by = random.Random(f"dialects of {config.seed}")

        def has_page() -> bool:
            return come_by.random() < config.browsers

        self.healthy = [
            HealthyPerson(self, next(names), has_page=has_page()) for _ in range(config.healthy)
        ]
        self.sick = [
            (SlowReader if self.draw.random() < 0.2 else Person)(
                self, next(names), has_page=has_page()
            )
            for _ in range(config.people)
        ]
        self.people: list[Person] = [*self.healthy, *self.sick]
        self.plain = [PlainPerson(self, f"nc{n}") for n in range(config.plain)]
        self.marked = [MarkedPerson(self, f"mark{n}") for n in range(config.marked)]
        self.irc = [IrcPerson(self, f"irc{n}") for n in range(config.irc)]
        self.pasters = [Paster(self, f"paster{n}") for n in range(config.pasters)]
        self.hostile = [Hostile(self, f"evil{n}") for n in range(config.hostile)]
        self.passing = self._browsers_that_pass()
        self.invitations: dict[str, str] = {}  # codes that are known, by room
        self.used_codes: list[str] = []  # for devices
        self.owner = self._give_accounts() if config.accounts else None
        self.peers: list[Peer] = [
            *self.people,
            *self.plain,
            *self.marked,
            *self.irc,
            *self.pasters,
            *self.hostile,
            *self.passing,
        ]

    def _browsers_that_pass(self) -> list[Peer]:
        """Those with which nobody comes to talk."""
        addresses = [person.name for person in self.people if person.has_page]
        return [
            *(Loader(self, f"tab{n}", addresses) for n in range(self.config.loaders)),
            *(BrokenPage(self, f"broken{n}") for n in range(self.config.broken_pages)),
        ]

    def _give_accounts(self) -> Owner:
        """Some of those whom faults befall have an account together, each on a device of it."""
        own = iter(self.sick)
        for account, devices in zip(ACCOUNTS[: self.config.accounts], (2, 3), strict=False):
            for person in islice(own, devices):
                person.own(account)
        # Nobody else may have such a nick, but as long as it is nobody's.
        for person, nick in zip(own, self.draw.sample(LOOKALIKES, 2), strict=False):
            person.nick_wanted = nick
        # Somebody who is put out may come again from there, in another dialect.
        for sick, other in zip(self.sick, (*self.plain, *self.marked), strict=False):
            other.address = sick.address
        return Owner(self)

    @property
    def entries(self) -> list[Entry]:
        """All that were delivered, each once, in the order of the log."""
        return self.branch.entries

    @property
    def model(self) -> Model:
        """What is true by the log."""
        return self.branch.model

    def branch_of(self, server: Server | None) -> Branch:
        """The log as the boot of a node was given it."""
        return (server and server.branch) or self.branch

    def told_in(self, diary: Diary, branch: Branch) -> Iterator[tuple[Shown, int]]:
        """What a session was shown, and up to which entry who told it had the log of a branch: what
        nobody was given of that does not count.
        """
        upto: dict[Branch, int] = {}
        for shown in diary.shown:
            teller = self.branch_of(shown.server)
            if teller not in upto:
                upto[teller] = min(teller.common(branch), len(branch.entries))
            yield shown, upto[teller]

    def told_by(self, diary: Diary) -> Iterator[tuple[Shown, Branch, int | None]]:
        """What a session was shown, and by which branch. Where that is another one than before:
        up to which entry they are the same.
        """
        branch: Branch | None = None
        for shown in diary.shown:
            teller, fork = self.branch_of(shown.server), None
            # Before it is resumed it is told nothing of a log.
            if branch is None:
                branch = teller
            elif isinstance(shown.notice, Resumed):
                if is_told_again(teller, shown):
                    fork = 0
                elif teller is not branch:
                    fork = teller.common(branch)
                branch = teller
            yield shown, branch, fork

    def who(self, diary: Diary, branch: Branch) -> Character | None:
        """Whose diary it is, by a branch."""
        who = branch.model.characters.get(diary.person)
        return who if who is not None and who.session == diary.session else None

    @property
    def trace(self) -> str:
        """A name for all that happened."""
        return self._trace.hexdigest()

    def note(self, who: str, what: object) -> None:
        """Something happened that a replay has to repeat."""
        self._trace.update(f"{self.clock.now} {who} {what}\n".encode())

    def violated(self, checker: Checker, text: str) -> None:
        """A promise was broken."""
        self.violations.append(Violation(name_of(checker), f"at {self.clock.now} ms: {text}"))

    def wires(self, branch: Branch | None = None) -> dict[int, Wire]:
        """What came over the connections of people with clients, by connection: to nodes that have
        come to a branch, or to the log.
        """
        branch = branch or self.branch
        return {
            wire.conn: wire
            for wire in self.all_wires
            if wire.conn and self.branch_of(wire.server) is branch
        }

    def dial(self, peer: Peer) -> Link:
        """A peer connects. The link gets its number when the server accepts it."""
        config = self.config
        healed = peer.roomy or not self.faulty
        way = Way(
            ROOMY if healed else config.capacity,
            config.latency,
            config.jitter,
            ROOMY if peer.roomy else config.piece,
        )
        link = Link(self.clock, self.draw, way, way)
        self.links.append(link)
        self.clock.after(config.latency, lambda: self._accept(link, peer.address))
        return link

    def has_come(self, peer: Peer) -> None:
        """A browser was answered as one."""
        if peer.server is not None:
            self.came.setdefault((peer.server, peer.address), self.clock.now)

    def _accept(self, link: Link, peer: str) -> None:
        if self.cluster is not None:
            self.cluster.dial(link, peer)
        else:
            self.server.accept(link, peer)

    # ── The phases ───────────────────────────────────────────────────────────────────────────

    def run(self) -> None:
        """All of it. What was found is in `violations`."""
        try:
            self._run_checked()
        finally:
            if self.kept is not None:
                self.kept.die()
            if self.disk is not None:
                self.disk.remove()
            if self.cluster is not None:
                self.cluster.die()

    def _run_checked(self) -> None:
        self.clock.after(self._until_fault(), self._fault)
        self.clock.after(0, self._sample)
        if self.config.restart_at:
            self._plan_restart()
        if self.cluster is not None:
            self.cluster.begin_weather()
        for death in self.config.deaths:
            self.clock.at(death, self._die_somehow)
        try:
            self._run()
        except Exception:  # whatever it is, it is what this is here to find
            last = traceback.format_exc().strip()
            self.violations.append(Violation("no_exception", f"at {self.clock.now} ms: {last}"))
            return
        for checker in self.checkers:
            checker.finished(self)

    def _run(self) -> None:
        config, clock = self.config, self.clock
        clock.run(config.safety)
        self._heal()
        pasted = sum(len(paster.lines) for paster in self.pasters)
        queue = max(60, pasted) * 2_000 // (config.limits.flood_rate or 1_000)
        self.run_until(self._is_healed, HEALED_WITHIN + queue)
        for person in self.people:
            if not person.retired:
                text = person.say(COMMONS, f"{person.name}.last-words")
                self.last_words[text] = person
        self.run_until(self.is_quiet, HEARD_WITHIN)
        # Who is away, or was cut off unnoticed, is noticed and expires.
        limits = config.limits
        clock.run(clock.now + limits.drop_after_ms + limits.grace_ms + 2 * config.log_time + 3_000)

    def run_until(self, condition: Callable[[], bool], within: int) -> None:
        """Let time pass until something is so, or for too long."""
        limit = self.clock.now + within
        while not condition() and self.clock.now < limit:
            self.clock.run(min(limit, self.clock.now + 250))

    def _is_healed(self) -> bool:
        is_calm = self.cluster is None or self._down_from is None
        return (
            is_calm
            and self.is_quiet()
            and (self.owner is None or self.owner.lets_everybody_speak())
            and all(
                person.retired
                or (
                    person.open
                    and not person.leaving
                    and COMMONS in person.protocol.rooms
                    # Who has not read the news of a reset yet is not really connected.
                    and person.end is not None
                    and not person.end.is_reset
                )
                for person in self.people
            )
        )

    def is_quiet(self) -> bool:
        """Whether everybody has all receipts, and has seen all that was said."""
        return all(
            person.retired or (not person.protocol.unacknowledged and self._has_seen_all(person))
            for person in self.people
        ) and all(line in self.model.messages for paster in self.pasters for line in paster.lines)

    def _has_seen_all(self, person: Person) -> bool:
        who = self.model.speaking.get(person.conn)
        if who is None:
            return False
        views = {view.name: view.seq for view in person.protocol.rooms.values()}
        for stay in who.rooms.values():
            if (seen := views.get(stay.life.name)) is None:
                return False
            messages = stay.life.messages
            # The last of a stay that goes on is the last there is.
            if messages and messages[-1].seq > seen and stay.covers(messages[-1].place):
                return False
        return True

    def _heal(self) -> None:
        self.faulty = False
        if self.cluster is not None:
            self.cluster.heal()
        for link in self.links:
            if link.to_server.is_cut or link.to_client.is_cut:
                link.server.reset()
                link.client.reset()
            for pipe in (link.to_server, link.to_client):
                pipe.unstall()
                pipe.widen(ROOMY)  # as lines are that are made from now on
        for peer in (*self.people, *self.plain, *self.marked, *self.irc):
            peer.read_bytes, peer.read_delay = Peer.read_bytes, 0
            peer.wake()
        for enemy in (*self.hostile, *self.passing):
            enemy.retired = True
            if enemy.link is not None:  # its lines would be taken in, at the allowed rate, for long
                enemy.link.server.reset()
        for person in self.sick:
            person.away_until = 0
            person.dial()

    def _sample(self) -> None:
        if self.cluster is not None:
            self._see_whether_calm(self.cluster)
        for checker in self.checkers:
            checker.sampled(self)
        self.clock.after(500, self._sample)

    # ── The server and its log ───────────────────────────────────────────────────────────────

    @property
    def here(self) -> Sequence[Server]:
        """The nodes that serve, or end."""
        if self.cluster is None:
            return (self.server,)
        return [member.server for member in self.cluster.members if member.server is not None]

    @property
    def level(self) -> Sequence[Server]:
        """The nodes that have committed all that was delivered."""
        end = len(self.entries)
        return [
            server
            for server in self.here
            if not server.is_deaf
            and (self.cluster is None or server.state.seq == end)
            and self.branch_of(server) is self.branch
        ]

    @property
    def transports(self) -> Mapping[int, Transport]:
        """All connections that nodes have, by their numbers."""
        return ChainMap(*(server.transports for server in self.here))

    def taken_at(self, place: int) -> int:
        """When an entry was taken in, whenever it was delivered."""
        return self.branch.taken.get(place, self.time_of(place))

    def time_of(self, place: int) -> int:
        """When an entry came to be in the log."""
        if self.cluster is None:
            return self.entries[place - 1].at - EPOCH
        return self.branch.times[place - 1]  # the engine's clock may be set

    def _serve(self, state: ChatState, boot: int) -> Server:
        """Start a node on what its log has left."""
        config, clock = self.config, self.clock
        log: MemoryLog | UnreliableLog | DurableLog
        if self.disk is not None:
            self.kept = Kept(self.disk, self.parts, self._fresh, self._now, self._disk_failed)
            state, log = self.kept.state, self.kept.log
        elif config.log_delay:
            log = self._far_log = UnreliableLog(
                self.draw,
                clock.after,
                self._now,
                delay=config.log_delay,
                late=config.log_late,
                again=config.log_again,
                entries=self.entries,
            )
        else:
            log = MemoryLog(self._now, seq=len(self.entries))
        tapped = TappedLog(log, self.parts, self.delivered)
        server = Server(
            clock,
            self.draw,
            config,
            self.parts,
            state=state,
            log=tapped,
            boot=boot,
            archive=self.kept.keeper if self.kept else None,
        )
        self.servers.append(server)
        if self.kept is not None:
            self.kept.is_stuck = server.node.log_is_stuck
            self.kept.upkeep.begin()
        return server

    def _fresh(self) -> ChatState:
        """The state of before the first entry."""
        return self.parts.state(epoch=self.parts.epoch(), limits=self.config.state_limits)

    def _disk_failed(self) -> None:
        """The log is over, and so is its node."""
        self._die()

    def _now(self) -> int:
        return EPOCH + self.clock.now

    @property
    def log_now(self) -> int:
        """What the log would put beside an entry now."""
        return self._now() if self.cluster is None else self.cluster.exchange.engine.clock()

    def delivered(
        self, entries: Sequence[Entry], server: Server | None = None, branch: Branch | None = None
    ) -> None:
        """The log has delivered something: perhaps again, perhaps before its time. Of a log that is
        shared, perhaps what it was before something was lost.
        """
        branch = branch or self.branch
        place = len(branch.entries)
        for entry in entries:
            if entry.seq > len(branch.entries):
                branch.early[entry.seq] = entry
            while early := branch.early.pop(len(branch.entries) + 1, None):
                self.note("log", early)
                branch.take(early, self.clock.now)
        if branch is self.branch and (fresh := branch.entries[place:]):
            for checker in self.checkers:
                checker.committed(self, fresh)
        if self.cluster is not None:
            for checker in self.checkers:
                checker.delivered(self, branch, server, entries)

    def lose(self, place: int) -> None:
        """The log goes on behind an entry, with other things than it had there."""
        self.note("log", f"forks behind {place}")
        self.lost.append(self.branch)
        self.branch = self.branch.forked(place)

    def _plan_restart(self) -> None:
        config, clock = self.config, self.clock
        if config.is_told:
            clock.at(config.restart_at - 200, self._say_goodbye)
        clock.at(self.draw.randint(0, config.restart_at), self._take_snapshot)
        if self.disk is None or not config.disk_fails or config.is_told:
            clock.at(config.restart_at, self._die)
        else:
            clock.at(config.restart_at, self._break_disk)

    def _break_disk(self) -> None:
        """The next write fails. Should there be none, the node dies all the same."""
        assert self.disk is not None
        self.disk.fails = True
        self.clock.after(1_000, self._disk_failed)

    def _die_somehow(self) -> None:
        assert self.disk is not None
        if self.config.dies_at_step:
            self.disk.die_after(self.disk.draw.randint(0, 25), self._die)
            self.clock.after(1_500, self._die_of(self.server))
        else:
            self._die()

    def _die_of(self, server: Server) -> Callable[[], None]:
        """The death of one boot, should it not have died meanwhile."""
        return lambda: self._die() if self.server is server else None

    def _take_snapshot(self) -> None:
        self._snapshot = self.server.state.snapshot()

    def _say_goodbye(self) -> None:
        if self.server.is_dead:
            return
        self._down_from = self.clock.now
        self.server.is_deaf = True
        self.server.node.stop("the server is restarted", retry=self.config.restart_for)

    def _die(self) -> None:
        """The node is gone, with all that it had not logged, unless it is already."""
        if self.server.is_dead:
            return
        if self._down_from is None:
            self._down_from = self.clock.now
        self.server.die()
        if self.kept is not None:
            self.kept.die()
        self.clock.after(self.config.restart_for, self._restart)
        for link in self.links:
            if not link.server.is_closed:
                link.server.close()
                link.cut()
                self.clock.after(self.config.latency, link.client.reset)

    def _restart(self) -> None:
        """The node comes back, with what its log has taken in."""
        if self.disk is not None:
            self.disk.fails = False
            self._read_disk(self.disk)
            if self.config.harms:
                self.disk.harm_archive()
            self._is_back(self._fresh())
            return
        state = self.parts.state.restore(self._snapshot)
        if self._far_log is not None:
            self._far_log.close()
            self.delivered(self._far_log.undelivered)
        for entry in self.entries:
            state.handle(entry)
        self._is_back(state)

    def _is_back(self, state: ChatState) -> None:
        self.server = self._serve(state, boot=self.server.boot + 1)
        assert self._down_from is not None
        self.downs.append((self._down_from, self.clock.now))
        self._down_from = None

    def _read_disk(self, disk: Disk) -> None:
        """What is on the disk is what counts, also where nobody was told of it any more."""
        found = disk.entries()
        for checker in self.checkers:
            checker.started(self, found)
        self.delivered([entry for entry in found if entry.seq > len(self.entries)])

    @property
    def down_until(self) -> int:
        """When the node came back for the last time, or all was well again."""
        if self.cluster is not None and self._down_from is not None:
            return self.clock.now
        return self.downs[-1][1] if self.downs else -1

    def is_disturbed(self, at: int, until: int | None = None) -> bool:
        """Whether the node was down at a time, or just before: then nobody is connected. Of several
        nodes: whether anything was wrong with one of them, or with their engine, from then on.
        """
        if until is None:
            until = at
        downs = self.downs
        if self._down_from is not None:
            downs = [*downs, (self._down_from, self.clock.now)]
        return any(start <= until and at <= end + 2 * self.config.latency for start, end in downs)

    def disturb(self) -> None:
        """Something is wrong from now on, until all is calm."""
        if self._down_from is None:
            self._down_from = self.clock.now

    def _see_whether_calm(self, cluster: Cluster) -> None:
        if not cluster.is_calm:
            self.disturb()
        elif self._down_from is not None:
            self.downs.append((self._down_from, self.clock.now))
            self._down_from = None

    # ── The weather ──────────────────────────────────────────────────────────────────────────

    def _until_fault(self) -> int:
        return 1 + int(self.draw.expovariate(1 / self.config.fault_every))

    def _fault(self) -> None:
        if not self.faulty:
            return
        self.clock.after(self._until_fault(), self._fault)
        victims = [peer for peer in self.peers if peer.end is not None and not peer.steady]
        if not victims:
            return
        victim = self.draw.choice(victims)
        kinds = list(FAULTS)
        kind = self.draw.choices(kinds, [FAULTS[kind] for kind in kinds])[0]
        self.faults[kind] += 1
        self.note(victim.name, kind)
        self._befall(victim, kind)

    def _befall(self, victim: Peer, kind: str) -> None:
        link, draw = victim.link, self.draw
        assert link is not None
        match kind:
            case "cut":
                link.cut()
                self._news(link, certain=False)
            case "cut to server":
                link.to_server.cut()
                self._news(link, certain=False)
            case "cut to client":
                link.to_client.cut()
                self._news(link, certain=False)
            case "reset":
                link.cut()
                self._news(link, certain=True)
            case "stall":
                duration = draw.randint(100, 15_000)
                for pipe in draw.choice(
                    (
                        [link.to_server],
                        [link.to_client],
                        [link.to_server, link.to_client],
                    )
                ):
                    pipe.stall(duration)
            case "half-close":
                link.client.outgoing.finish()
            case "sleep":
                victim.sleep(draw.randint(500, 20_000))
            case "vanish" if isinstance(victim, Person):
                link.cut()
                self._news(link, certain=False)
                victim.retired = draw.random() < 0.1
                victim.vanish(draw.randint(1_000, 60_000))
            case "redial" if isinstance(victim, Person):
                # The client thinks that the connection is dead; the server has no such news.
                link.to_server.cut()
                victim.hang_up()
            case _:
                pass

    def _news(self, link: Link, *, certain: bool) -> None:
        for end in (link.client, link.server):
            if certain or self.draw.random() < self.config.learns:
                self.clock.after(self.draw.randint(0, self.config.knows_by), end.reset)
            elif end is link.server:
                # People with nc answer no pings: TCP's keep-alive tells of them, much later.
                self.clock.after(60_000, end.reset)


# What can happen to a connection, and how often in proportion.
FAULTS = {
    "cut": 5,
    "cut to server": 2,
    "cut to client": 2,
    "reset": 4,
    "stall": 4,
    "half-close": 1,
    "sleep": 3,
    "vanish": 2,
    "redial": 3,
}


def is_told_again(branch: Branch, shown: Shown) -> bool:
    """Whether what was seen is of an epoch that the log does not know any more: what that was up to
    here nobody can know, so all is told again that there is.
    """
    place, _ = branch.model.resumed.get(shown.conn, (0, 0))
    return bool(place) and branch.model.ends_since(shown.epoch, place) is None


def name_of(checker: Checker) -> str:
    """A checker goes by the name of its file."""
    return type(checker).__module__.rpartition(".")[2]
