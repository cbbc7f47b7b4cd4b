"""An engine that speaks RESP (Valkey, Redis): what it is asked as commands, and its replies read.

How a command gets there and its reply back is not known here: it is a `Wire`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from hashlib import sha1
from typing import Any, Final, Protocol, TypeAlias

from tcpchat_net.logs.stream import (
    FORMAT,
    ROWS_AT_A_TIME,
    Beat,
    EngineDownError,
    EngineError,
    EngineRefusedError,
    Greeting,
    Head,
    Joined,
    Lease,
    NewerFormatError,
    NoLogError,
    Origin,
    Repaired,
    Row,
    Seat,
    Snapshot,
    Taken,
    scripts,
)

# What has to be the engine's from the first version on that all of this works with.
OLDEST: Final = (7, 0)

# A snapshot is kept in pieces: an engine stands still while it takes in one value.
CHUNK_BYTES: Final = 1 << 20

# What an engine that is not ready says; later it may be.
_NOT_READY: Final = ("LOADING", "READONLY", "MASTERDOWN", "BUSY", "UNBLOCKED", "CLUSTERDOWN")

# What one that cannot write says; later it may.
_CANNOT_WRITE: Final = ("MISCONF", "OOM", "NOREPLICAS")

_HEAD_FIELDS: Final = (
    "format",
    "epoch",
    "seq",
    "at",
    "chain",
    "engine",
    "term",
    "base",
    "snap",
)

Argument: TypeAlias = str | bytes | int


class ReplyError(Exception):
    """What an engine replied when it did not do something, in its own words."""


class Wire(Protocol):
    """A connection that a command goes out on, and its reply comes back. All of these wait."""

    @property
    def address(self) -> str:
        """Where the engine is, for people."""

    def open(self, term: Callable[[], int]) -> None:
        """Connect, or connect anew, and log in. Raises EngineDownError, EngineRefusedError.

        Where there are several engines it is the one that has the highest `term`, which is asked
        when it is connected.
        """

    def close(self) -> None:
        """Let go of it."""

    def call(self, *command: Argument, wait_ms: int = 0) -> Any:  # RESP's types
        """The reply to a command, which the engine may take `wait_ms` for.

        Raises ReplyError for one that says no, and EngineDownError when none came.
        """

    def listen(self, channel: str) -> None:
        """Have what is published there told from now on, until it is opened anew.

        Raises as `call`.
        """

    def heard(self, wait_ms: int) -> list[bytes]:
        """What was told, oldest first, when something was or `wait_ms` are over. Of very much, the
        newest.
        """


class Commands:
    """The engine at the other end of a wire, and the log in it that is called `name`."""

    def __init__(self, wire: Wire, name: str) -> None:
        self.name = name
        self._wire = wire
        self._run_id = ""
        self._listens = False
        self._is_level = False  # all that it has not heard has been read
        tag = f"{{tcpchat:{name}}}"
        self._keys = [f"{tag}:meta", f"{tag}:log", f"{tag}:lease", f"{tag}:ask"]
        self._meta, self._log, self._lease, self._ask = self._keys
        self._snapshot = f"{tag}:snap"

    # ── The connection ───────────────────────────────────────────────────────────────────────

    @property
    def address(self) -> str:
        """Where the engine is, for people."""
        return self._wire.address

    def connect(self) -> Greeting:
        """Connect, or connect anew. Raises EngineRefusedError for an engine that is too old."""
        self._listens = self._is_level = False
        self._wire.open(self._term)
        is_primary, history = self._part()
        info = self.info("server")
        # Alone, one would not do: a replica has the history of its primary.
        self._run_id = f"{history}.{info.get('run_id', '')}"
        version = info.get("valkey_version") or info.get("redis_version", "0")
        if _numbers(info.get("redis_version", "0"))[:2] < OLDEST:
            raise EngineRefusedError(
                f"the engine at {self.address} is version {version}, which is too old: take"
                f" Valkey, or Redis {OLDEST[0]}.{OLDEST[1]} or newer"
            )
        head = self.head()
        if self._part() != (is_primary, history):
            raise EngineDownError(f"the engine at {self.address} is just given another part")
        return Greeting(self._run_id, is_primary, version, head)

    def _part(self) -> tuple[bool, str]:
        """Whether the engine is a primary, and the history that it has."""
        info = self.info("replication")
        return info.get("role") == "master", info.get("master_replid", "")

    def _term(self) -> int:
        return int(self._wire.call("HGET", self._meta, "term") or 0)

    def info(self, section: str) -> dict[str, str]:
        """What the engine tells of itself."""
        told = self._call("INFO", section)
        if not isinstance(told, bytes):
            raise EngineRefusedError(f"what is at {self.address} is no engine: it told {told!r}")
        lines = told.decode(errors="replace").splitlines()
        return dict(line.split(":", 1) for line in lines if ":" in line)

    def setting(self, name: str) -> str | None:
        """What the engine's setting is; None when it does not tell."""
        try:
            reply = self._wire.call("CONFIG", "GET", name)
        except ReplyError:
            return None
        return str(reply[1].decode()) if len(reply) == 2 else None

    def close(self) -> None:
        """Let go of the connection."""
        self._wire.close()

    # ── The log ──────────────────────────────────────────────────────────────────────────────

    def head(self) -> Head | None:
        """What the engine knows of the log; None when there is none."""
        found = self._call("HMGET", self._meta, *_HEAD_FIELDS)
        if found[0] is None:
            return None
        if int(found[0]) > FORMAT:
            raise self._newer(int(found[0]))
        texts = [(each or b"").decode() for each in found]
        format_, epoch, seq, at, chain, engine, term, base, snapshot = texts
        return Head(
            int(format_),
            epoch,
            int(seq),
            int(at),
            chain,
            engine,
            int(term),
            int(base),
            int(snapshot.split(" ")[0] or 0),
        )

    def create(self, epoch: str) -> Head:
        """Make the log, unless there is one; returns what there is."""
        self._run(scripts.CREATE, epoch)
        head = self.head()
        if head is None:
            raise NoLogError(f"the engine at {self.address} has lost the log {self.name}")
        return head

    def secret(self, fresh: bytes) -> bytes:
        """What all nodes of the log know and nobody else: `fresh`, unless there is one already."""
        self._call("HSETNX", self._meta, "secret", fresh.hex())
        return bytes.fromhex(self._call("HGET", self._meta, "secret").decode())

    def join(self, node: int, holder: str) -> Joined:
        """Take a lease for a node, or (0) for the first number that nobody has."""
        match self._done(self._run(scripts.JOIN, node, holder)):
            case "in", number, boot, seq:
                return Joined(int(number), int(boot), int(seq))
            case "held", held_by, left:
                return Joined(node, 0, 0, str(held_by.decode()), int(left))
            case reply:
                raise self._unexpected(reply)

    def beat(self, node: int, boot: int, status: bytes) -> Beat:
        """Renew a node's lease."""
        match self._decided(self._run(scripts.BEAT, node, boot, status)):
            case "in", seq, clock, may_lapse, asked, fields:
                leases = tuple(_leases(fields, int(clock)))
                return Beat(Taken.IN, int(seq), asked.decode(), may_lapse == b"1", leases)
            case (outcome,):
                return Beat(Taken(outcome))
            case reply:
                raise self._unexpected(reply)

    def propose(self, origin: Origin, count: int, record: bytes) -> Taken:
        """Have a batch of so many events taken in."""
        node, boot, number, _ = origin
        reply = self._run(scripts.PROPOSE, node, boot, number, count, record)
        return Taken(self._decided(reply)[0])

    def lapse(self, origin: Origin, count: int, record: bytes) -> bool:
        """End the boot `origin.lapsed`, and put this into the log."""
        node, boot, _, lapsed = origin
        assert lapsed is not None, "somebody is lapsed"
        reply = self._run(scripts.LAPSE, node, boot, *lapsed, count, record)
        return bool(self._done(reply)[0] == "in")

    def read(self, after: int, block_ms: int) -> list[Row]:
        """The next batches behind an entry, waiting for some for so long.

        An engine that is asked for each batch answers when it has flushed the one after it, which
        is on its way already when there are several nodes. So each batch is published as it is put
        in, and who waits hears of it; the log is read where something was not heard.
        """
        if not block_ms:
            return self.range(after)
        if not self._listens:
            try:
                self._wire.listen(self._log)
            except ReplyError as error:
                raise self._explained(error) from error
            self._listens = True
        if not self._is_level:
            if rows := self.range(after):
                return rows
            self._is_level = True
        try:
            rows = [row for row in map(_told, self._wire.heard(block_ms)) if row.last > after]
        except ValueError:  # anybody may publish there; only what is in the log counts
            rows = []
        if rows and rows[0].last - rows[0].size == after:
            return rows
        self._is_level = False
        return []

    def range(self, after: int, upto: int | None = None) -> list[Row]:
        """Some of the next batches behind an entry and up to another one, without waiting."""
        end = "+" if upto is None else f"{upto}-0"
        reply = self._call("XRANGE", self._log, f"({after}-0", end, "COUNT", ROWS_AT_A_TIME)
        return self._rows(reply)

    def chain(self, seq: int) -> str | None:
        """The chain of the log at an entry, if a batch that is kept ends there."""
        rows = self.range(seq - 1, seq)
        return rows[0].chain if rows else None

    # ── A new engine ─────────────────────────────────────────────────────────────────────────

    def repair(self, seq: int, chain: str, rows: Sequence[Row]) -> Repaired:
        """Put back what a new engine has lost, if its log ends with `seq` and `chain`."""
        told: list[Argument] = [seq, chain]
        for row in rows:
            told += [row.last, row.at, row.size, str(row.origin), row.chain, row.record]
        match self._decided(self._run(scripts.REPAIR, *told)):
            case outcome, now, end:
                return Repaired(int(now), end.decode(), outcome == "closed")
            case reply:
                raise self._unexpected(reply)

    def claim(self, seat: Seat, term: int, diverged: bytes, others: Sequence[Seat] = ()) -> bool:
        """Tell a new engine that this node has put back what it could."""
        seats = [word for each in (seat, *others) for word in each]
        reply = self._run(scripts.CLAIM, term, diverged, *seats)
        return bool(self._decided(reply)[0] == "in")

    # ── Snapshots ────────────────────────────────────────────────────────────────────────────

    def publish(self, snapshot: Snapshot) -> bool:
        """Keep a snapshot. The log begins behind the one before it from now on, which is kept, too.

        False when there is one that is as new.
        """
        data = snapshot.data
        chunks = [data[at : at + CHUNK_BYTES] for at in range(0, len(data), CHUNK_BYTES)]
        for number, chunk in enumerate(chunks):
            self._call("SET", self._chunk(snapshot.seq, number), chunk)
        seq, chain, digest, _ = snapshot
        outcome, told = self._done(self._run(scripts.PUBLISH, seq, len(chunks), chain, digest))
        is_kept = bool(outcome == "in")
        useless = f"{seq} {len(chunks)}"
        if is_kept:
            useless = told.decode()  # the one before the one before
        elif int(told.decode()) == seq:
            return False  # the very same
        if useless:
            old, count, *_ = useless.split(" ")
            for number in range(int(count)):
                self._call("UNLINK", self._chunk(int(old), number))
        return is_kept

    def snapshot(self, *, base: bool = False) -> Snapshot | None:
        """The newest snapshot, or the one behind which the log begins. None when there is none."""
        field = "old" if base else "snap"
        while described := self._call("HGET", self._meta, field):
            seq, count, chain, digest = described.decode().split(" ")
            chunks = [self._call("GET", self._chunk(int(seq), n)) for n in range(int(count))]
            if all(chunk is not None for chunk in chunks):
                return Snapshot(int(seq), chain, digest, b"".join(chunks))
            if described == self._call("HGET", self._meta, field):  # nobody is just replacing it
                raise EngineRefusedError(
                    f"the engine at {self.address} has lost a part of the snapshot of {seq}"
                )
        return None

    def _chunk(self, seq: int, number: int) -> str:
        return f"{self._snapshot}:{seq}:{number}"

    # ── For who looks after the cluster ──────────────────────────────────────────────────────

    def ask(self, word: str) -> None:
        """Have all nodes tell their digests; `word` is a new one each time."""
        self._call("SET", self._ask, word, "PX", 60_000)

    def accept(self, term: int) -> tuple[bool, int]:
        """Have the nodes take the log over to this engine, although they have seen one of that
        term, which is lost for good. They put back what they have read, and say that the log may
        have lost its end.

        Whether that is so now, and the term that its log had. One as high was not left behind.
        """
        outcome, had = self._decided(self._run(scripts.ACCEPT, term))
        return outcome == "in", int(had)

    def leases(self) -> tuple[Lease, ...]:
        """The leases of all nodes, as of now: also when no node is left for which the clock goes
        on.
        """
        clock, wall = self._call("HMGET", self._meta, "clock", "wall")
        fields = self._call("HGETALL", self._lease)
        seconds, micros = self._call("TIME")
        now = int(seconds) * 1_000 + int(micros) // 1_000
        return tuple(_leases(fields, int(clock or 0) + max(0, now - int(wall or now))))

    def batches(self) -> int:
        """How many batches of the log are kept."""
        return int(self._call("XLEN", self._log))

    # ── Inside ───────────────────────────────────────────────────────────────────────────────

    def _rows(self, entries: Sequence[Sequence[Any]]) -> list[Row]:
        """Batches as an engine tells them. Something else may have been put among them."""
        try:
            return [_row(entry) for entry in entries]
        except ValueError as error:
            raise self._unreadable(error) from error

    def _run(self, script: str, *arguments: Argument) -> Any:  # RESP's types
        """The reply of a script."""
        command = ("EVALSHA", _sha1(script), len(self._keys), *self._keys, self._run_id, *arguments)
        try:
            return self._wire.call(*command)
        except ReplyError as error:
            if not str(error).startswith("NOSCRIPT"):
                raise self._explained(error) from error
        return self._call("EVAL", script, *command[2:])

    def _call(self, *command: Argument, wait_ms: int = 0) -> Any:  # RESP's types
        try:
            return self._wire.call(*command, wait_ms=wait_ms)
        except ReplyError as error:
            raise self._explained(error) from error

    def _done(self, reply: Sequence[bytes]) -> tuple[Any, ...]:
        """As `_decided`, for what is done only by an engine that takes batches in."""
        decided = self._decided(reply)
        if decided[0] == Taken.NEW_ENGINE.value:
            raise EngineDownError(f"the engine at {self.address} does not take anything in yet")
        return decided

    def _decided(self, reply: Sequence[bytes]) -> tuple[Any, ...]:
        """What a script has decided, its first word as a text. Raises NoLogError and the like."""
        decided: tuple[Any, ...] = (reply[0].decode(), *reply[1:])
        match decided:
            case ("none", *_):
                raise NoLogError(f"the engine at {self.address} has no log {self.name} any more")
            case "newer", format_:
                raise self._newer(int(format_))
            case ("another-run", *_):
                raise EngineDownError(
                    f"the engine at {self.address} has followed another one, and was promoted"
                )
        return decided

    def _newer(self, format_: int) -> NewerFormatError:
        return NewerFormatError(
            f"the log {self.name} at {self.address} was written by a newer tcpchat (its format is"
            f" {format_}, this one reads up to {FORMAT}); update tcpchat"
        )

    def _explained(self, error: ReplyError) -> EngineError:
        words = str(error)
        code = words.partition(" ")[0]
        if code in _NOT_READY:
            return EngineDownError(f"the engine at {self.address} is not ready: {words}")
        if code in _CANNOT_WRITE:
            return EngineDownError(f"the engine at {self.address} refuses: {words}")
        if code in ("WRONGTYPE", "TAKEN") or "WRONGTYPE" in words:
            return EngineRefusedError(
                f"the engine at {self.address} holds something else where the log {self.name} would"
                " be; take another name, or another database"
            )
        if "than the target stream" in words:  # there is a batch that the script knows nothing of
            return self._unreadable(words)
        return EngineRefusedError(f"the engine at {self.address} refuses: {words}")

    def _unreadable(self, why: object) -> NewerFormatError:
        return NewerFormatError(
            f"the log {self.name} at {self.address} holds something that this tcpchat cannot read:"
            f" {why}; it may be of a newer tcpchat: update"
        )

    def _unexpected(self, reply: object) -> EngineRefusedError:
        return EngineRefusedError(f"the engine at {self.address} answered {reply!r}")


# What an engine calls the scripts, by their texts.
_NAMES: Final[dict[str, str]] = {}


def _sha1(script: str) -> str:
    """The name that an engine has for a script."""
    name = _NAMES.get(script)
    if name is None:
        name = _NAMES[script] = sha1(script.encode(), usedforsecurity=False).hexdigest()
    return name


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(map(int, re.findall(r"\d+", version)))


def _row(entry: Sequence[Any]) -> Row:
    id, (_, chain, _, at, _, count, _, origin, _, record) = entry
    return Row(
        int(id.partition(b"-")[0]),
        int(count),
        int(at),
        Origin.parse(origin.decode()),
        chain.decode(),
        record,
    )


def _told(data: bytes) -> Row:
    """A batch as it is published."""
    last, size, at, origin, chain, record = data.split(b" ", 5)
    return Row(int(last), int(size), int(at), Origin.parse(origin.decode()), chain.decode(), record)


def _leases(fields: Sequence[bytes], clock: int) -> Iterator[Lease]:
    """The leases in the fields of the hash, each name before its value."""
    by_node: dict[int, dict[str, bytes]] = {}
    for name, value in zip(fields[::2], fields[1::2], strict=True):
        number, _, field = name.decode().partition(":")
        by_node.setdefault(int(number), {})[field] = value
    for node in sorted(by_node):
        yield from _lease(node, by_node[node], clock)


def _lease(node: int, fields: Mapping[str, bytes], clock: int) -> Iterator[Lease]:
    if until := fields.get("until"):
        yield Lease(
            node,
            int(fields["boot"]),
            int(until) - clock,
            int(fields.get("number", b"0")),
            fields.get("holder", b"").decode(errors="replace"),
            fields.get("status", b""),
        )
