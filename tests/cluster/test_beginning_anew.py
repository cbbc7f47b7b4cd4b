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
from tcpchat_net.logs.stream.begin import begin
from tcpchat_net.logs.stream.commands import Commands
from tcpchat_net.resp import RespWire
from tests.cluster.cable import Cable
from tests.cluster.engines import Engine
from tests.cluster.nodes import ROOM, NodeProcess, Talk, Team, until
from tests.cluster.ports import HOST
from tests.cluster.test_engine_faults import seq


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


def test_what_was_lost_with_an_engine_is_in_no_archive_any_more(tmp_path: Path) -> None:
    def texts(node: NodeProcess) -> list[object]:
        return [each["text"] for each in node.exported(ROOM)]

    with Engine() as primary, Cable(primary.port) as link, Engine() as replica:
        replica.call("REPLICAOF", HOST, link.port)
        until(lambda: replica.info("replication")["master_link_status"] == "up")
        url = f"valkey://{primary.address},{replica.address}/0?name=team"
        with Team(tmp_path, url, 2, "--rooms", ROOM) as team:
            one, two = team.nodes
            with one.peer("ada", ROOM) as ada, two.peer("bob", ROOM) as bob:
                ada.send("kept\n")
                bob.read_until("[lobby] ada: kept")
                until(lambda: seq(replica) == seq(primary))
                link.stall()
                ada.send("lost 1\nlost 2\n")
                bob.read_until("[lobby] ada: lost 2")
                for node in (one, two):
                    until(lambda node=node: texts(node) == ["kept", "lost 1", "lost 2"])  # type: ignore[misc] # mypy infers no type for a default
                one.pause()
                two.kill()
                primary.kill()
                replica.promote()
                two.start()  # nobody who is there can put it back
                begins = one.begins
                with two.peer("cy", ROOM) as cy:
                    cy.send("".join(f"new {number}\n" for number in range(9)) + "/history\n")
                    cy.read_until("[lobby] cy: new 8")
                one.resume()
                one.until_begun_anew(begins)
            team.stop()
            wanted = ["kept", *(f"new {number}" for number in range(9))]
            assert texts(one) == wanted
            assert texts(two) == wanted


def test_a_log_that_is_trimmed_during_a_start_is_read_from_the_newer_snapshot(
    engine: Engine,
) -> None:
    def commands() -> Commands:
        return Commands(RespWire(parse_url(engine.url("team")), socket, ssl), "team")

    upkeep, other = commands(), commands()
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
    begun = begin(
        late := Slow(RespWire(parse_url(engine.url("team")), socket, ssl), "team"),
        node=0,
        holder="late",
        fresh_epoch="",
        known_epoch="epoch",
        archive=None,
        sleep=lambda _ms: None,
        complain=lambda _sentence: None,
    )
    assert begun.state.seq == 4
    for each in (late, other, upkeep):
        each.close()
