"""A node that cannot go on where it was begins anew, and has what is in the log."""

from __future__ import annotations

import socket
import ssl
from hashlib import sha256
from pathlib import Path

from tcpchat_core import ChatState, Propose, events
from tcpchat_net.logs.records import encode_batch
from tcpchat_net.logs.replayer import replay_batch
from tcpchat_net.logs.store import Batch
from tcpchat_net.logs.stream import NO_CHAIN, Origin, Row, Snapshot, Taken
from tcpchat_net.logs.stream.address import parse_url
from tcpchat_net.logs.stream.begin import Begun, begin
from tcpchat_net.logs.stream.commands import Commands
from tcpchat_net.resp import RespWire
from tests.cluster.cable import Cable
from tests.cluster.engines import Engine
from tests.cluster.nodes import Talk, Team


def publish(engine: Commands) -> None:
    """Give the engine a snapshot of the end of its log, as the upkeep of a node does."""
    greeting = engine.connect()
    assert greeting.head is not None
    last = engine.snapshot()
    state = ChatState.restore(last.data) if last else ChatState(epoch=greeting.head.epoch)
    chain = last.chain if last else NO_CHAIN
    while rows := engine.range(state.seq, greeting.head.seq):
        for row in rows:
            batch = Batch(state.seq + 1, row.last, row.at, row.record)
            assert not [*replay_batch(state, batch, known=row.last)]
            chain = row.chain
    data = state.snapshot()
    assert engine.publish(Snapshot(state.seq, chain, sha256(data).hexdigest(), data))


def test_a_node_that_fell_behind_what_the_log_reaches_back_to_begins_anew(
    engine: Engine, cable: Cable, tmp_path: Path
) -> None:
    upkeep = Commands(RespWire(parse_url(engine.url("team")), socket, ssl), "team")
    urls = [engine.url("team", cable.port), engine.url("team")]
    with Team(tmp_path, urls) as team, Talk(team) as talk:
        one = team.nodes[0]
        talk.begin()
        begins = one.begins
        cable.cut()
        for _ in range(2):
            talk.go_on(but_on=one)
            publish(upkeep)
        talk.go_on(but_on=one)
        cable.mend()
        one.until_begun_anew(begins)
        talk.go_on()
        talk.finish()
        upkeep.close()
        team.stop()
        assert "it fell behind, and the log does not reach back to where it was" in one.log_text()
        # Its archive was never given what was trimmed meanwhile, and it says so.
        assert "is not in this node's archive: it was away for too long" in one.log_text()
        talk.check_archives(but=one)


def commands(engine: Engine, kind: type[Commands] = Commands) -> Commands:
    return kind(RespWire(parse_url(engine.url("team")), socket, ssl), "team")


def begun_by(late: Commands) -> Begun:
    """A node that begins with the log that there is."""
    return begin(
        late,
        node=0,
        holder="late",
        fresh_epoch="",
        known_epoch="epoch",
        archive=None,
        sleep=lambda _ms: None,
        complain=lambda _sentence: None,
    )


def test_a_log_that_is_trimmed_during_a_start_is_read_from_the_newer_snapshot(
    engine: Engine,
) -> None:
    upkeep, other = commands(engine), commands(engine)
    other.connect()
    other.create("epoch")
    node, boot, *_ = other.join(0, "other")
    numbers = iter(range(1, 9))

    def grow() -> None:
        """One more entry, and a snapshot of it."""
        said = encode_batch([Propose(0, 0, (events.Diverge("later"),))])
        assert other.propose(Origin(node, boot, next(numbers)), 1, said) is Taken.IN
        publish(upkeep)

    class Slow(Commands):
        """While this one reads for the first time, the log goes on."""

        def read(self, after: int, block_ms: int) -> list[Row]:
            while next(grows):
                grow()
            return super().read(after, block_ms)

    grows = iter([1, 1, 1, 0, 0, 0, 0, 0, 0])
    grow()
    begun = begun_by(late := commands(engine, Slow))
    assert begun.state.seq == 4
    for each in (late, other, upkeep):
        each.close()


def test_a_node_begins_also_when_there_is_more_in_the_log_each_time_that_it_looks(
    engine: Engine,
) -> None:
    """As where an engine is far away, and others say something every few milliseconds."""

    other = commands(engine)
    other.connect()
    other.create("epoch")
    node, boot, *_ = other.join(0, "other")
    numbers = iter(range(1, 100))

    class Late(Commands):
        """Before this one reads, the log goes on."""

        def read(self, after: int, block_ms: int) -> list[Row]:
            said = encode_batch([Propose(0, 0, (events.Diverge("later"),))])
            assert other.propose(Origin(node, boot, next(numbers)), 1, said) is Taken.IN
            return super().read(after, block_ms)

    begun = begun_by(late := commands(engine, Late))
    assert begun.state.seq == begun.ring.seq == next(numbers) - 1
    for each in (late, other):
        each.close()
