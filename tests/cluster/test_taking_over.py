"""A new engine: what it has lost of the leases, it is told; and what it cannot know, it says."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import gevent
import gevent.socket
import gevent.ssl
import pytest

from tcpchat_core import Propose, events
from tcpchat_net.greenlets import GreenletHost
from tcpchat_net.logs.records import encode_batch
from tcpchat_net.logs.stream import NO_SEAT, EngineDownError, Origin, Seat, Taken
from tcpchat_net.logs.stream.address import parse_url
from tcpchat_net.logs.stream.begin import begin
from tcpchat_net.logs.stream.commands import Argument, Commands
from tcpchat_net.logs.stream.log import Ending, StreamLog
from tcpchat_net.resp import RespWire
from tests.cluster.cable import Cable
from tests.cluster.engines import Engine
from tests.cluster.nodes import until
from tests.cluster.ports import HOST

# What the log goes on with in a new engine.
DIVERGED = encode_batch([Propose(0, 0, (events.Diverge("later"),))])


@contextmanager
def connected(*engines: Engine) -> Iterator[list[Commands]]:
    """A connection to each of the engines, and the log in it."""
    with ExitStack() as closing:
        nodes = [
            Commands(RespWire(parse_url(each.url("team")), socket, ssl), "team") for each in engines
        ]
        for node in nodes:
            closing.callback(node.close)
            node.connect()
            node.create("epoch")
        yield nodes


@contextmanager
def followed() -> Iterator[tuple[Engine, Cable, Engine]]:
    """An engine, the cable to it from its replica, and that."""
    with Engine() as primary, Cable(primary.port) as link, Engine() as replica:
        replica.call("REPLICAOF", HOST, link.port)
        until(lambda: replica.info("replication")["master_link_status"] == "up")
        yield primary, link, replica


@contextmanager
def promoted() -> Iterator[tuple[Engine, Seat, Seat]]:
    """A replica that was promoted, and the leases of two nodes: of the second it knows nothing."""
    with followed() as (primary, link, replica):
        with connected(primary, primary) as (one, two):
            first = Seat(*one.join(1, "one")[:2], "one")
            until(lambda: replica.call("HLEN", "{tcpchat:team}:lease") > 0)
            link.stall()
            second = Seat(*two.join(2, "two")[:2], "two")
        primary.kill()
        replica.promote()
        yield replica, first, second


def test_a_lease_that_is_lost_is_put_back_by_its_node_and_its_boot_is_not_given_again() -> None:
    with promoted() as (replica, first, second), connected(replica, replica) as (one, two):
        assert not two.claim(second, 1, DIVERGED)
        until(lambda: one.claim(first, 1, DIVERGED))
        assert two.beat(second.node, second.boot, b"").taken is Taken.IN
        stranger = one.join(2, "another")
        assert (stranger.boot, stranger.holder) == (0, "two")
        assert one.join(2, "two").boot == second.boot + 1


def test_a_new_engine_waits_for_a_node_that_it_does_not_know_and_another_node_does() -> None:
    with promoted() as (replica, first, second), connected(replica) as (one,):
        assert not one.claim(first, 1, DIVERGED, [second])
        assert [lease.holder for lease in one.leases()] == ["one", "two"]
        until(lambda: one.claim(first, 1, DIVERGED))


def test_a_node_does_not_claim_for_another_one_that_was_given_the_same_boot(engine: Engine) -> None:
    with connected(engine) as (node,):
        joined = node.join(1, "one")
        engine.restart()
        node.connect()
        assert not node.claim(Seat(1, joined.boot, "another"), 1, DIVERGED)
        assert node.claim(Seat(1, joined.boot, "one"), 1, DIVERGED)


def test_a_connection_that_outlives_a_promotion_is_of_no_use_any_more(engine: Engine) -> None:
    with connected(engine) as (node,), Engine() as other:
        boot = node.join(1, "one").boot
        other.follow(engine)
        other.promote()
        engine.follow(other)
        engine.promote()
        with pytest.raises(EngineDownError, match="was promoted"):
            node.propose(Origin(1, boot, 1), 1, DIVERGED)
        with pytest.raises(EngineDownError, match="was promoted"):
            node.claim(NO_SEAT, 1, DIVERGED)


class Mixing(Commands):
    """What is proposed here comes to the log as something else."""

    def propose(self, origin: Origin, count: int, record: bytes) -> Taken:
        assert record != DIVERGED
        return super().propose(origin, count, DIVERGED)


@pytest.mark.parametrize(("writing_with", "already"), [(Mixing, 0), (Commands, 1)])
def test_a_node_ends_when_another_one_proposes_as_the_same_boot(
    writing_with: type[Commands], already: int, engine: Engine
) -> None:
    def commands(of: type[Commands] = Commands) -> Commands:
        return of(RespWire(parse_url(engine.url("team")), gevent.socket, gevent.ssl), "team")

    endings: list[Ending] = []
    delivered: list[object] = []
    here = commands()
    begun = begin(
        here,
        node=0,
        holder="one",
        fresh_epoch="epoch",
        known_epoch="",
        archive=None,
        sleep=lambda _ms: None,
        complain=lambda _sentence: None,
    )
    for number in range(already):
        assert here.propose(Origin(*begun.member, number + 1), 1, DIVERGED) is Taken.IN
    hosts = writing, reading = GreenletHost(), GreenletHost()
    log = StreamLog(
        begun.member,
        begun.ring,
        begun.epoch,
        holder="one",
        writer=commands(writing_with),
        reader=commands(),
        writing=writing,
        reading=reading,
        lapse=lambda _node, _boot: [],
        status=lambda _asked: b"",
        ended=lambda ending, _sentence: endings.append(ending),
        complain=lambda _sentence: None,
    )
    log.open(delivered.extend)
    log.propose([Propose(0, 0, (events.Diverge("own"),))])
    until(lambda: bool(endings))
    log.close()
    here.close()
    for host in hosts:
        host.finish()
    assert (endings, delivered) == ([Ending.FORKED], [])


def test_what_an_engine_has_is_not_taken_for_its_own_when_it_becomes_a_replica_meanwhile(
    engine: Engine,
) -> None:
    """It would have lost entries, it seems, and who has read them would begin anew."""
    with connected(engine), Engine() as other:

        class Meddling(RespWire):
            def call(self, *command: Argument, wait_ms: int = 0) -> Any:
                if command[0] == "HMGET":
                    engine.follow(other)
                return super().call(*command, wait_ms=wait_ms)

        node = Commands(Meddling(parse_url(engine.url("team")), socket, ssl), "team")
        with pytest.raises(EngineDownError, match="given another part"):
            node.connect()
        node.close()
