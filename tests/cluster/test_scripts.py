"""The scripts mean on a real engine what the simulator's model says that they mean.

Both are asked the same things at random, and reply the same; and what they then keep is the same,
to the last field. The real engine's time is not ours, so the model is told which time it was.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import suppress
from dataclasses import fields
from hashlib import sha256
from typing import Any, Final

import hiredis
import pytest

from tcpchat_core import Propose, events
from tcpchat_net.logs.records import encode_batch
from tcpchat_net.logs.stream import (
    LEASE_MS,
    NO_CHAIN,
    NO_SEAT,
    EngineError,
    NoLogError,
    Origin,
    Repaired,
    Row,
    Seat,
    Snapshot,
)
from tcpchat_net.logs.stream.commands import Argument, Commands, ReplyError
from tcpchat_net.logs.stream.ring import Ring
from tests.cluster.engines import Engine
from tests.cluster.ports import HOST
from tests.sim.engine import Held, Meta, ModelEngine

# So many calls, about: each is compared, and so is all that there is after it.
STEPS: Final = 900

# What has to have been replied at least once.
OUTCOMES: Final = {
    "alive",
    "another-run",
    "CHAIN",
    "closed",
    "fenced",
    "gap",
    "held",
    "in",
    "moved",
    "new-engine",
    "none",
    "old",
    "over",
    "wait",
}

_TAG: Final = "{tcpchat:both}:"


class Both:
    """A `Wire` to the two: what one replies, the other one does, too."""

    address = "both"

    def __init__(self, engine: Engine, draw: random.Random) -> None:
        self._engine, self._draw = engine, draw
        self.told: set[str] = set()  # what was replied, by its first word
        self._time = 0
        self.model = ModelEngine(lambda: self._time)

    def open(self, term: Callable[[], int]) -> None:  # noqa: ARG002 # there is one engine
        """The model is the same run."""
        info = self._engine.info("server") | self._engine.info("replication")
        self.model.run_id = f"{info['master_replid']}.{info['run_id']}"

    def close(self) -> None: ...

    def listen(self, channel: str) -> None: ...

    def heard(self, wait_ms: int) -> list[bytes]:  # noqa: ARG002 # a wire has it
        raise AssertionError("nobody waits for what is next here")

    def call(self, *command: Argument, wait_ms: int = 0) -> Any:
        """The reply of both."""
        assert not wait_ms, "nobody waits here"
        before = self.meta()
        real = self._of(self._engine.call, *command)
        if command[0] == "INFO":
            return real
        self._time = self._time_of(before, self.meta())
        model = self._of(self.model.call, *command)
        assert _comparable(real) == _comparable(model), command[:1]
        self.compare()
        if "EVAL" in str(command[0]) and isinstance(real, list):
            self.told.add(real[0].decode())
        if isinstance(real, ReplyError):
            self.told.add(str(real).split()[0])
            raise real
        return real

    def _of(self, call: Callable[..., Any], *command: Argument) -> Any:
        try:
            return call(*command)
        except (hiredis.ReplyError, ReplyError) as error:
            return ReplyError(str(error))

    def _time_of(self, before: dict[str, str], now: dict[str, str]) -> int:
        """When the real one did it: what it has written down says so, if it matters."""
        for name in ("wall", "at"):
            if now.get(name) not in (None, before.get(name)):
                return int(now[name])
        if "seen" in now:  # nothing else that happens while the engine is new looks at the clock
            return int(now["seen"])
        seconds, micros = map(int, self._engine.call("TIME"))
        return seconds * 1_000 + micros // 1_000

    def meta(self) -> dict[str, str]:
        """What the real one knows of the log."""
        return _pairs(self._engine.call("HGETALL", f"{_TAG}meta"))

    def compare(self) -> None:
        """Both keep the same."""
        meta = self.model.data.meta
        assert self.meta() == ({} if meta is None else _texts(meta))
        lease = _pairs(self._engine.call("HGETALL", f"{_TAG}lease"))
        assert lease == _pairs(self.model.call("HGETALL", ""))  # type: ignore[arg-type] # an array
        rows = ("XRANGE", f"{_TAG}log", "-", "+")
        kept = [int(id.partition(b"-")[0]) for id, _ in self._engine.call(*rows)]
        assert kept == [row.last for row in self.model.data.log]

    # ── What befalls both ────────────────────────────────────────────────────────────────────

    def restart(self) -> None:
        """End the real one, and start it again."""
        self._engine.restart()
        self.model.restart()
        self.open(lambda: 0)

    def promote(self) -> None:
        """Have the real one follow somebody for a moment, and be promoted."""
        self._engine.call("REPLICAOF", HOST, 1)
        self._engine.promote()
        self.open(lambda: 0)

    def move(self, field: str, by: int) -> None:
        """Have time pass, or have it be another one."""
        meta = self.model.data.meta
        if meta is not None and (value := getattr(meta, field)) is not None:
            setattr(meta, field, value + by)
            self._engine.call("HINCRBY", f"{_TAG}meta", field, by)

    def lose(self, count: int) -> None:
        """Have another engine take over, without the last batches and some of the leases."""
        data = self.model.data
        if data.meta is None or len(data.log) <= count:
            return
        log = f"{_TAG}log"
        kept = self._engine.call("XRANGE", log, "-", "+")[: len(data.log) - count]
        self._engine.call("DEL", log)  # the id of the last that was deleted would stay
        for id, words in kept:
            self._engine.call("XADD", log, id, *words)
        del data.log[len(kept) :]
        last = data.log[-1]
        for node in [node for node in data.lease if self._draw.random() < 0.3]:
            del data.lease[node]
            names = [f"{node}:{field.name}" for field in fields(Held)]
            self._engine.call("HDEL", f"{_TAG}lease", *names)
        told = {"seq": last.last, "at": last.at, "chain": last.chain, "engine": "another"}
        for name, value in told.items():
            self._engine.call("HSET", f"{_TAG}meta", name, str(value))
            setattr(data.meta, name, value)


def _pairs(words: list[bytes]) -> dict[str, str]:
    texts = [word.decode("latin-1") for word in words]
    return dict(zip(texts[::2], texts[1::2], strict=True))


def _texts(meta: Meta) -> dict[str, str]:
    values = {field.name: getattr(meta, field.name) for field in fields(meta)}
    return {name: str(value) for name, value in values.items() if value is not None}


def _comparable(reply: Any) -> Any:
    """Without the order in which an engine tells the fields of a hash."""
    match reply:
        case ReplyError():
            return str(reply).split()[0]
        case [b"in", seq, clock, may, asked, [*leases]]:
            return [seq, clock, may, asked, _pairs(leases)]
        case _:
            return reply


class Caller:
    """Asks both for whatever comes to mind."""

    def __init__(self, both: Both, draw: random.Random) -> None:
        self.both, self._draw = both, draw
        self.commands = Commands(both, "both")
        self.ring = Ring(0, NO_CHAIN)

    def step(self) -> None:
        draw = self._draw
        calls = {
            self.join: 14,
            self.beat: 6,
            self.propose: 30,
            self.lapse: 10,
            self.read: 25,
            self.repair: 8,
            self.claim: 10,
            self.publish: 4,
            self.look: 2,
            self.time: 10,
            self.take_over: 2,
        }
        call = draw.choices(list(calls), list(calls.values()))[0]
        with suppress(EngineError):  # both said the same
            call()

    def _member(self) -> tuple[int, int]:
        """A node in one of its boots, mostly one that is there."""
        held = self.both.model.data.lease
        node = self._draw.choice([*held, 1, 2, 3, 9])
        boot = held[node].boot if node in held else 1
        return node, (boot or 1) + self._draw.choice((0, 0, 0, 0, 0, 0, 0, -1, 1))

    def _record(self, *events_: events.Event) -> bytes:
        return encode_batch([Propose(0, 0, events_)])

    def join(self) -> None:
        self.commands.join(self._draw.choice((0, 0, 1, 2, 3)), self._draw.choice("abcd"))

    def beat(self) -> None:
        self.commands.beat(*self._member(), self._draw.randbytes(self._draw.choice((3, 200))))

    def propose(self) -> None:
        node, boot = self._member()
        held = self.both.model.data.lease.get(node)
        known = (held and held.number) or 0
        number = known + self._draw.choice((1, 1, 1, 1, 0, 2))
        record = self._draw.randbytes(self._draw.randint(1, 300))
        self.commands.propose(Origin(node, boot, number), self._draw.randint(1, 20), record)

    def lapse(self) -> None:
        leases = self.both.model.data.lease.items()
        there = [(node, held.boot or 1) for node, held in leases if held.until is not None]
        own = self._draw.choice((*there, self._member()))
        over = self._draw.choice((own, *there, *there, self._member()))
        record = self._record(events.Lapse(*over, 1))
        self.commands.lapse(Origin(*own, 0, over), 1, record)

    def read(self) -> None:
        for row in self.commands.read(self.ring.seq, 0):
            if row.follows(self.ring.seq, self.ring.chain):
                self.ring.add(row)
            else:
                self.ring = Ring(row.last, row.chain)
        head = self.commands.head()
        if head is not None and head.engine == self.both.model.run_id and head.seq < self.ring.seq:
            self.ring = Ring(head.seq, head.chain)  # what it has lost was not put back
        self.commands.range(self._draw.randint(0, 50), self._draw.randint(0, 500))

    def repair(self) -> None:
        head = self.commands.head()
        if head is None:
            return
        ends = Repaired(head.seq, head.chain)
        rows = self.ring.behind(ends.seq, ends.chain, 5) or []
        if self._draw.random() < 0.3:  # what does not follow
            rows = [Row(ends.seq + 1, 1, head.at, Origin(1, 1, 1), NO_CHAIN, b"another")]
        if self._draw.random() < 0.1:
            ends = ends._replace(seq=ends.seq - 1)
        self.commands.repair(ends.seq, ends.chain, rows)

    def claim(self) -> None:
        if self._draw.random() < 0.5:
            self.both.move("since", -LEASE_MS)
        seats = [Seat(*self._member(), self._draw.choice("abcd")) for _ in range(3)]
        own, *others = self._draw.choice((seats, seats, seats[:1], [NO_SEAT]))
        term = self._draw.choice((0, 0, 9))
        diverged = self._record(events.Diverge("another"))
        self.commands.claim(own, term, diverged, others)

    def publish(self) -> None:
        seq = self._draw.choice((self.ring.seq, self.ring.seq, 3))
        data = self._draw.randbytes(100)
        self.commands.publish(Snapshot(seq, self.ring.chain, sha256(data).hexdigest(), data))

    def look(self) -> None:
        self.commands.snapshot(base=self._draw.random() < 0.5)
        self.commands.ask(str(self._draw.random()))

    def time(self) -> None:
        """Time passes: with somebody who looks at the clock, or in a standstill."""
        field, by = self._draw.choice(
            (("clock", LEASE_MS + 1), ("clock", 1_000), ("wall", -LEASE_MS), ("since", -LEASE_MS))
        )
        self.both.move(field, by)

    def take_over(self) -> None:
        self.both.lose(self._draw.randint(0, 12))


@pytest.mark.parametrize("seed", range(2))
def test_the_scripts_mean_what_the_model_says(engine: Engine, seed: int) -> None:
    draw = random.Random(seed)
    both = Both(engine, draw)
    caller = Caller(both, draw)
    caller.commands.connect()
    with pytest.raises(NoLogError):
        caller.commands.beat(1, 1, b"")
    caller.commands.create("an epoch")
    caller.commands.create("another one")
    caller.commands.join(0, "somebody")
    for step in range(STEPS):
        caller.step()
        match step % 150:
            case 70:
                both.promote()
            case 75:
                caller.commands.connect()
            case 149:
                both.restart()
                caller.commands.connect()
    assert both.told >= OUTCOMES


def test_the_chain_of_a_batch_is_that_of_the_engine(engine: Engine) -> None:
    both = Both(engine, random.Random(0))
    commands = Commands(both, "both")
    commands.connect()
    commands.create("an epoch")
    joined = commands.join(0, "somebody")
    for number, record in enumerate((b"a", b"\0\xff\r\n", b"x" * 100_000), 1):
        commands.propose(Origin(joined.node, joined.boot, number), number, record)
    seq, chain = 0, "0" * 40
    rows: list[Row] = commands.read(0, 0)
    for row in rows:
        assert row.follows(seq, chain)
        seq, chain = row.last, row.chain
    assert (seq, len(rows)) == (6, 3)


# What a log goes on with in a new engine.
DIVERGED: Final = encode_batch([Propose(0, 0, (events.Diverge("another"),))])


def restarted(engine: Engine, *holders: str) -> tuple[Both, Commands, list[Seat]]:
    """An engine that was started anew, and the leases that nodes had."""
    both = Both(engine, random.Random(0))
    commands = Commands(both, "both")
    commands.connect()
    commands.create("an epoch")
    seats = [Seat(*commands.join(0, holder)[:2], holder) for holder in holders]
    both.restart()
    commands.connect()
    return both, commands, seats


def test_an_engine_has_the_next_term_of_all_who_came_to_it_whoever_opens_it(
    engine: Engine,
) -> None:
    """Or the one who knows a higher one would take it for an engine that was left behind."""
    _, commands, (one, two) = restarted(engine, "one", "two")
    assert not commands.claim(one, 7, DIVERGED)
    assert commands.claim(two, 1, DIVERGED)
    head = commands.head()
    assert head is not None
    assert head.term == 8


def test_a_log_that_is_taken_over_goes_on_in_another_epoch_though_all_came_that_are_known_of(
    engine: Engine,
) -> None:
    """One whose lease was lost with what it has read is not known of."""
    _, commands, (one,) = restarted(engine, "one")
    assert commands.claim(one, 1, DIVERGED)
    assert [row.record for row in commands.read(0, 0)] == [DIVERGED]


@pytest.mark.parametrize("by", [-LEASE_MS, 3 * LEASE_MS])
def test_a_clock_that_is_set_does_not_end_the_wait_for_those_who_are_to_come(
    engine: Engine, by: int
) -> None:
    both, commands, (one, _) = restarted(engine, "one", "two")
    assert not commands.claim(one, 1, DIVERGED)
    for field in ("since", "seen"):  # as if these had been written by the clock as it was
        both.move(field, -by)
    assert not commands.claim(one, 1, DIVERGED)
