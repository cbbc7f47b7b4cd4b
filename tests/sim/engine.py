"""A model of the engine: what its scripts mean, in plain Python.

It answers the commands that `tcpchat_net.logs.stream.commands` sends, word for word as the real one
does (`tests/cluster/test_scripts.py` holds the two against each other). Each command happens at one
moment; what becomes of it on the way is not known here (see `wires`).

The model remembers what it was before each of the last writes, so that a replica can be promoted
that was behind by some of them: it has a beginning of the same history.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from copy import copy
from dataclasses import dataclass, field, fields
from hashlib import sha1
from typing import Final, TypeAlias

from tcpchat_net.logs.stream import FORMAT, LEASE_MS, NO_CHAIN, Origin, Row, chained, scripts
from tcpchat_net.logs.stream.commands import Argument, ReplyError

# RESP's types, of those that are used.
Reply: TypeAlias = "bytes | int | Sequence[Reply] | None"

# By how many writes a replica is behind at most.
REMEMBERED: Final = 200

# A boot is 16 bits of a connection's number.
_BOOTS: Final = 65_535


@dataclass
class Meta:
    """The log as a whole: the fields of the hash `meta`; None are those that are not there."""

    format: int
    epoch: str
    engine: str
    wall: int
    seq: int = 0
    at: int = 0
    chain: str = NO_CHAIN
    term: int = 1
    base: int = 0
    snap: str | None = None
    old: str | None = None
    clock: int = 0
    quiet: int = 0
    new: str | None = None
    since: int | None = None
    seen: int | None = None
    lost: int | None = None


@dataclass
class Held:
    """What the hash `lease` says of a node. Without `until` it is not there."""

    boot: int | None = None
    until: int | None = None
    number: int | None = None
    holder: bytes | None = None
    status: bytes | None = None
    claim: str | None = None  # of which engine: it has put back what it could


@dataclass
class Data:
    """All that an engine keeps."""

    meta: Meta | None = None
    log: list[Row] = field(default_factory=list)
    lease: dict[int, Held] = field(default_factory=dict)
    strings: dict[str, bytes] = field(default_factory=dict)

    def copied(self) -> Data:
        """The same, as it will stay."""
        lease = {node: copy(held) for node, held in self.lease.items()}
        return Data(copy(self.meta), self.log.copy(), lease, self.strings.copy())


class ModelEngine:
    """An engine that runs. `clock` is its time in ms since the epoch, which may be set. `number` is
    one that no other one has.
    """

    def __init__(self, clock: Callable[[], int], number: int = 0) -> None:
        self.clock = clock
        self._number = number
        self.data = Data()
        self.is_primary = True  # else what it has is that of another one
        self._runs = self._histories = 0
        self._past: deque[Data] = deque([Data()], maxlen=REMEMBERED + 1)
        self.restart()

    # ── What becomes of it ───────────────────────────────────────────────────────────────────

    def restart(self) -> None:
        """Start anew, with all that there was."""
        self._runs += 1
        self._begin_history()
        self._scripts: set[str] = set()  # that it knows by their names

    def _begin_history(self) -> None:
        """What it takes in from here on is in no other one, and so has a name of its own."""
        self._histories += 1
        # Its beginning is one of its own, too.
        history = f"{self._histories:06x}{self._number:02x}".ljust(40, "0")
        self.run_id = f"{history}.{self._runs:06x}{self._number:02x}"

    def before(self, lost: int) -> Data:
        """What a replica has that is behind by so many writes."""
        return self._past[max(0, len(self._past) - 1 - lost)]

    def promote(self, lost: int) -> None:
        """From here on it is another one: a replica that was behind by so many writes."""
        self.take_over(self, lost)
        self.restart()

    def take_over(self, primary: ModelEngine, lost: int) -> None:
        """Be a primary, with what another one had so many writes ago. Connections stay."""
        self._begin_history()
        self.data = primary.before(lost).copied()
        self._past = deque([self.data.copied()], maxlen=REMEMBERED + 1)
        self.is_primary = True

    def follow(self, primary: ModelEngine) -> None:
        """Be a replica of another one: have what that has, from one moment to the next."""
        self.data = primary.data
        self.is_primary = False

    # ── Commands ─────────────────────────────────────────────────────────────────────────────

    def call(self, *command: Argument) -> Reply:
        """The reply to a command, which does not wait. Raises ReplyError."""
        data = self.data
        match command:
            case ("PING",):
                return b"PONG"
            case ("INFO", _):
                history, run = self.run_id.split(".")
                ids = f"master_replid:{history}\r\nrun_id:{run}"
                return f"{ids}\r\nrole:{self._role}\r\nredis_version:7.2.4\r\n".encode()
            case ("ROLE",):
                return [self._role.encode()]
            case ("HMGET", _, *names):
                return [self._meta(str(name)) for name in names]
            case ("HGET", _, name):
                return self._meta(str(name))
            case ("HGETALL", _):
                return self._leases()
            case ("GET", key):
                return data.strings.get(str(key))
            case (("SET" | "UNLINK" | "EVALSHA" | "EVAL"), *_) if not self.is_primary:
                raise ReplyError("READONLY You can't write against a read only replica.")
            case ("SET", key, value, *_):
                data.strings[str(key)] = _bytes(value)
                return self._written(b"OK")
            case ("UNLINK", key):
                return self._written(int(data.strings.pop(str(key), None) is not None))
            case ("XREAD", "COUNT", count, *_, "STREAMS", key, after):
                found = self._range(_seq(after) + 1, None, int(count))
                return [[_bytes(key), found]] if found else None
            case ("XRANGE", _, after, upto, "COUNT", count):
                last = None if upto == "+" else _seq(upto)
                return self._range(_seq(after) + 1, last, int(count))
            case ("EVALSHA", name, *_) if name not in self._scripts:
                raise ReplyError("NOSCRIPT No matching script.")
            case ("EVALSHA" | "EVAL", script, 4, _, _, _, ask, *arguments):
                name = str(script)
                if command[0] == "EVAL":
                    name = sha1(name.encode(), usedforsecurity=False).hexdigest()
                    self._scripts.add(name)
                self._ask = str(ask)
                return self._run(name, arguments)
            case _:
                raise AssertionError(f"the model knows nothing of {command[0]!r}")

    @property
    def _role(self) -> str:
        return "master" if self.is_primary else "slave"

    def _run(self, name: str, arguments: Sequence[Argument]) -> Reply:
        script = _SCRIPTS[name]
        run_id, *rest = arguments
        try:
            return _encoded(getattr(self, script)(str(run_id), *rest))
        finally:  # what was done before an error stays done
            self._written(None)

    def _written(self, reply: Reply) -> Reply:
        self._past.append(self.data.copied())
        return reply

    def _meta(self, name: str) -> bytes | None:
        value = None if self.data.meta is None else getattr(self.data.meta, name)
        return None if value is None else _bytes(value)

    def _leases(self) -> list[Reply]:
        return [
            _bytes(each)
            for node, held in self.data.lease.items()
            for field_ in fields(Held)
            if (value := getattr(held, field_.name)) is not None
            for each in (f"{node}:{field_.name}", value)
        ]

    def _range(self, first: int, last: int | None, count: int) -> list[Reply]:
        log = self.data.log
        start = bisect_left(log, first, key=_last)
        end = len(log) if last is None else bisect_right(log, last, key=_last)
        return [_entry(row) for row in log[start : min(end, start + count)]]

    # ── What scripts share ───────────────────────────────────────────────────────────────────

    @property
    def _log(self) -> Meta:
        meta = self.data.meta
        assert meta is not None, "there is a log"
        return meta

    def _held(self, node: int) -> Held:
        return self.data.lease.setdefault(node, Held())

    def tick(self) -> int:
        """The clock of the leases, which stands still while the engine does."""
        meta, wall = self._log, self.clock()
        passed = wall - meta.wall
        if passed > LEASE_MS / 2:
            meta.quiet = meta.clock + LEASE_MS
            passed = 0
        meta.clock += max(0, passed)
        meta.wall = wall
        return meta.clock

    def refusal(self, run_id: str) -> list[Argument] | None:
        """Why nothing can be done with the log."""
        meta = self.data.meta
        if meta is None:
            return ["none"]
        if meta.format > FORMAT:
            return ["newer", meta.format]
        if run_id != self.run_id:
            return ["another-run"]
        return None if meta.engine == run_id else ["new-engine"]

    def is_over(self, node: int, boot: int) -> bool:
        """Whether this boot of a node may do anything."""
        held = self.data.lease.get(node)
        return held is None or held.boot != boot or held.until is None

    def put(self, row: Row) -> None:
        """Write a batch down."""
        log, meta = self.data.log, self._log
        if log and row.last <= log[-1].last:
            raise ReplyError("ERR The ID specified in XADD is equal or smaller than the last one")
        log.append(row)
        meta.seq, meta.at, meta.chain = row.last, row.at, row.chain

    def append(self, count: int, origin: Origin, record: bytes) -> None:
        """Take a batch in."""
        meta = self._log
        last, at = meta.seq + count, max(meta.at, self.clock())
        chain = chained(meta.chain, last, at, origin, record)
        self.put(Row(last, count, at, origin, chain, record))

    # ── The scripts ──────────────────────────────────────────────────────────────────────────

    def create(self, run_id: str, epoch: str) -> Sequence[Argument | None] | str:
        if self.data.meta is None:
            self.data.meta = Meta(FORMAT, str(epoch), run_id, self.clock())
        return "ok"

    def join(self, run_id: str, wanted: Argument, holder: Argument) -> Sequence[Argument | None]:
        if no := self.refusal(run_id):
            return no
        clock, node, who = self.tick(), int(wanted), _bytes(holder)
        if node == 0:
            had = [number for number, held in self.data.lease.items() if held.holder == who]
            node = min(had, default=0)
        if node == 0:
            node = 1
            while (left := self._until(node)) is not None and left >= clock:
                node += 1
        held = self._held(node)
        if held.until is not None and held.until >= clock and held.holder != who:
            return ["held", held.holder or b"", held.until - clock]
        self._log.format = max(self._log.format, FORMAT)
        held.boot = (held.boot or 0) % _BOOTS + 1
        held.until, held.number, held.holder, held.status = clock + LEASE_MS, 0, who, b""
        return ["in", node, held.boot, self._log.seq]

    def _until(self, node: int) -> int | None:
        held = self.data.lease.get(node)
        return held.until if held else None

    def beat(
        self, run_id: str, node: Argument, boot: Argument, status: Argument
    ) -> Sequence[Argument | list[Reply] | None]:
        if no := self.refusal(run_id):
            return no
        clock = self.tick()
        if self.is_over(int(node), int(boot)):
            return ["fenced"]
        held = self._held(int(node))
        held.until, held.status = clock + LEASE_MS, _bytes(status)
        may = "1" if clock >= self._log.quiet else "0"
        asked = self.data.strings.get(self._ask, b"")
        return ["in", self._log.seq, clock, may, asked, self._leases()]

    def propose(self, run_id: str, *words: Argument) -> Sequence[Argument | None]:
        node, boot, number, count, record = words
        if no := self.refusal(run_id):
            return no
        if self.is_over(int(node), int(boot)):
            return ["fenced"]
        held = self._held(int(node))
        last = held.number or 0
        if int(number) <= last:
            return ["in"]
        if int(number) != last + 1:
            return ["gap"]
        self.append(int(count), Origin(int(node), int(boot), int(number)), _bytes(record))
        held.number = int(number)
        return ["in"]

    def lapse(self, run_id: str, *words: Argument) -> Sequence[Argument | None]:
        node, boot, over_node, over_boot, count, record = words
        if no := self.refusal(run_id):
            return no
        clock = self.tick()
        own, over = (int(node), int(boot)), (int(over_node), int(over_boot))
        if self.is_over(*own):
            return ["fenced"]
        if self.is_over(*over):
            return ["over"]
        if own != over and (no := self.not_to_be_lapsed(own[0], over[0], clock)):
            return no
        self.append(int(count), Origin(*own, 0, over), _bytes(record))
        self._held(over[0]).until = None
        return ["in"]

    def not_to_be_lapsed(self, node: int, over: int, clock: int) -> list[Argument] | None:
        """Why a node may not say that another one is over."""
        if (self._until(node) or 0) < clock:
            return ["over"]
        if (self._until(over) or 0) >= clock or clock < self._log.quiet:
            return ["alive"]
        return None

    def repair(
        self, run_id: str, seq: Argument, chain: Argument, *rows: Argument
    ) -> Sequence[Argument | None]:
        no = self.refusal(run_id) or ["closed"]
        meta = self.data.meta
        if no[0] != "new-engine" or meta is None:
            return [*no, meta.seq, meta.chain] if meta and len(no) == 1 else no
        if self.has_moved(int(seq), str(chain)):
            return ["moved", meta.seq, meta.chain]
        for row in rows_of(rows):
            whole = chained(meta.chain, row.last, row.at, row.origin, row.record)
            if row.last - row.size != meta.seq or whole != row.chain:
                raise ReplyError("CHAIN what is put back does not follow")
            self.put_back(row)
        return ["moved", meta.seq, meta.chain]

    def has_moved(self, seq: int, chain: str) -> bool:
        """Whether the log does not end like that."""
        return (self._log.seq, self._log.chain) != (seq, chain)

    def put_back(self, row: Row) -> None:
        """Write down a batch that this engine has lost."""
        self.put(row)
        node, boot, number, over = row.origin
        if over is not None:
            held = self.know(*over, b"")
            if held.boot == over[1]:
                held.until = None
        elif number:
            held = self.know(node, boot, b"")
            if held.boot == boot:
                held.number = number

    def know(self, node: int, boot: int, holder: bytes) -> Held:
        """A boot was given, which this engine may have lost."""
        held = self._held(node)
        if (held.boot or 0) < boot:
            held.boot, held.number, held.holder, held.status = boot, 0, holder, b""
            held.until = self._log.clock + LEASE_MS
            self._log.lost = 1
        return held

    def claim(self, run_id: str, *words: Argument) -> Sequence[Argument | None]:
        term, diverged, *seats = words
        no = self.refusal(run_id)
        if no is None:
            return ["in"]
        if no[0] != "new-engine":
            return no
        meta, wall = self._log, self.clock()
        if meta.new != run_id or meta.since is None:
            meta.new, meta.since, meta.seen = run_id, wall, wall
        self.look(wall)
        meta.term = max(meta.term, int(term))
        starts, own = not int(seats[0]), _bytes(seats[2])
        for at in range(0, 0 if starts else len(seats), 3):
            self.know(int(seats[at]), int(seats[at + 1]), _bytes(seats[at + 2]))
        held = self.data.lease.get(int(seats[0]))
        if held is not None and held.boot == int(seats[1]) and held.holder in (b"", own):
            held.holder, held.claim = own, run_id
        waits = starts or self.waits(run_id)
        if waits and wall - meta.since < LEASE_MS:
            return ["wait"]
        self.append(1, Origin(0, 0, 0), _bytes(diverged))
        meta.engine, meta.term, meta.wall = run_id, meta.term + 1, wall
        meta.quiet = meta.clock + LEASE_MS
        meta.new = meta.since = meta.seen = meta.lost = None
        return ["in"]

    def look(self, wall: int) -> None:
        """Nodes are waited for: time does not count that nobody has looked at, or that was set."""
        meta = self._log
        assert meta.since is not None, "it is new"
        assert meta.seen is not None, "it is new"
        step = wall - meta.seen
        if not 0 <= step <= LEASE_MS / 2:
            meta.since += step
        meta.seen = wall

    def waits(self, run_id: str) -> bool:
        """Whether there is a node that has not put back yet what it could."""
        has_lost = self._log.lost is not None
        return has_lost or any(held.claim != run_id for held in self._there())

    def _there(self) -> list[Held]:
        clock = self._log.clock
        leases = self.data.lease.values()
        return [held for held in leases if held.until is not None and held.until >= clock]

    def publish(self, run_id: str, *words: Argument) -> Sequence[Argument | None]:
        seq, chunks, chain, digest = words
        if no := self.refusal(run_id):
            return no
        meta = self._log
        known, older = meta.snap, meta.old
        last = int((known or "0").split(" ")[0])
        if int(seq) <= last:
            return ["old", last]
        meta.base, meta.old = last, known or ""
        meta.snap = f"{seq!s} {chunks!s} {chain!s} {digest!s}"
        self.data.log = [row for row in self.data.log if row.last > last]
        return ["in", older or ""]


# The scripts by the names that an engine gives them: which of the methods each is.
_SCRIPTS: Final = {
    sha1(script.encode(), usedforsecurity=False).hexdigest(): name
    for script, name in (
        (scripts.CREATE, "create"),
        (scripts.JOIN, "join"),
        (scripts.BEAT, "beat"),
        (scripts.PROPOSE, "propose"),
        (scripts.LAPSE, "lapse"),
        (scripts.REPAIR, "repair"),
        (scripts.CLAIM, "claim"),
        (scripts.PUBLISH, "publish"),
    )
}


def rows_of(words: Sequence[Argument]) -> Iterator[Row]:
    """The batches in the arguments of a repair."""
    for at in range(0, len(words), 6):
        last, time, count, origin, chain, record = words[at : at + 6]
        parsed = Origin.parse(str(origin))
        yield Row(int(last), int(count), int(time), parsed, str(chain), _bytes(record))


def _last(row: Row) -> int:
    return row.last


def _seq(id: Argument) -> int:
    """The entry that a stream's id is for: `7-0`, or `(7-0` for what is behind it."""
    return int(str(id).lstrip("(").partition("-")[0])


def _entry(row: Row) -> Reply:
    pairs = ("c", row.chain), ("a", row.at), ("k", row.size), ("o", str(row.origin))
    told = [_bytes(each) for pair in pairs for each in pair]
    return [b"%d-0" % row.last, [*told, b"r", row.record]]


def _bytes(value: Argument) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode()


def _encoded(reply: str | Sequence[Argument | list[Reply] | None]) -> Reply:
    """A reply as it comes: all numbers are texts."""
    if isinstance(reply, str):
        return reply.encode()
    return [each if each is None or isinstance(each, list) else _bytes(each) for each in reply]
