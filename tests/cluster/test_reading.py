"""Batches are heard as they are put into a shared log, and what was not heard is read."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable, Iterator
from typing import TypeAlias

import pytest

from tcpchat_net.logs.stream import NO_CHAIN, EngineRefusedError, Joined, Origin, Row, Taken
from tcpchat_net.logs.stream.address import parse_url
from tcpchat_net.logs.stream.commands import Commands
from tcpchat_net.resp import RespWire
from tests.cluster.engines import Engine

SOON_MS = 5_000
MANY = 1_500  # more than a wire keeps


class ForgetfulWire(RespWire):
    """It forgets the first thing that it is told each time."""

    def heard(self, wait_ms: int) -> list[bytes]:
        return super().heard(wait_ms)[1:]


Connect: TypeAlias = Callable[..., Commands]


class Writer:
    """A node that proposes batches of two events."""

    def __init__(self, commands: Commands) -> None:
        self.commands = commands
        self.commands.create("epoch")
        self.joined: Joined = self.commands.join(0, "writer")
        self.number = 0

    def write(self, count: int) -> None:
        for _ in range(count):
            self.number += 1
            origin = Origin(self.joined.node, self.joined.boot, self.number)
            record = b"record \r\n %d" % self.number
            assert self.commands.propose(origin, 2, record) is Taken.IN


@pytest.fixture
def connected(engine: Engine) -> Iterator[Connect]:
    """What connects to the engine, over a wire of some kind."""
    made: list[Commands] = []

    def connect(kind: type[RespWire] = RespWire) -> Commands:
        commands = Commands(kind(parse_url(engine.url("team")), socket, ssl), "team")
        commands.connect()
        made.append(commands)
        return commands

    yield connect
    for commands in made:
        commands.close()


def read(reader: Commands, upto: int) -> list[Row]:
    """What a reader is told until it has the entry `upto`, and that one thing follows the other."""
    rows: list[Row] = []
    seq, chain = 0, NO_CHAIN
    while seq < upto:
        for row in reader.read(seq, SOON_MS):
            assert row.follows(seq, chain)
            seq, chain = row.last, row.chain
            rows.append(row)
    return rows


@pytest.mark.parametrize("kind", [RespWire, ForgetfulWire])
def test_all_is_read_in_order_and_once_whether_it_is_heard_or_not(
    connected: Connect, kind: type[RespWire]
) -> None:
    writer, reader = Writer(connected()), connected(kind)
    writer.write(3)  # before it listens
    rows = read(reader, 6)
    assert reader.read(6, 1) == []
    for _ in range(5):
        writer.write(3)
        rows = [*rows, *read_on(reader, rows[-1], 2 * writer.number)]
    assert [row.record for row in rows] == [b"record \r\n %d" % n for n in range(1, 19)]
    assert [row.last for row in rows] == list(range(2, 38, 2))


def read_on(reader: Commands, last: Row, upto: int) -> list[Row]:
    rows = [last]
    while rows[-1].last < upto:
        for row in reader.read(rows[-1].last, SOON_MS):
            assert row.follows(rows[-1].last, rows[-1].chain)
            rows.append(row)
    return rows[1:]


def test_what_is_heard_is_what_is_read(connected: Connect) -> None:
    writer, hears, reads = Writer(connected()), connected(), connected()
    assert hears.read(0, 1) == []
    writer.write(4)
    assert read(hears, 8) == reads.read(0, 0)


def test_nothing_is_heard_in_silence(connected: Connect) -> None:
    Writer(connected())
    assert connected().read(0, 1) == []


def test_who_has_not_listened_for_long_reads_what_was_told_meanwhile(
    engine: Engine, connected: Connect
) -> None:
    engine.call("CONFIG", "SET", "appendfsync", "no")
    writer, reader = Writer(connected()), connected()
    assert reader.read(0, 1) == []  # it listens from now on
    writer.write(MANY)
    assert len(read(reader, 2 * MANY)) == MANY


def test_who_connects_anew_hears_again(connected: Connect) -> None:
    writer, reader = Writer(connected()), connected()
    writer.write(1)
    rows = read(reader, 2)
    reader.connect()
    assert reader.read(2, 1) == []
    writer.write(1)
    assert [row.last for row in read_on(reader, rows[-1], 4)] == [4]


def test_who_may_not_publish_proposes_once_all_the_same_and_who_may_not_listen_is_told(
    engine: Engine,
) -> None:
    engine.call("ACL", "SETUSER", "chat", "on", ">sesame", "~*", "resetchannels", "+@all")
    address = parse_url(engine.url("team"))._replace(user="chat", password="sesame")
    commands = Commands(RespWire(address, socket, ssl), "team")
    commands.connect()
    writer = Writer(commands)
    for _ in range(2):  # as after a reply that was lost
        writer.number = 0
        writer.write(1)
    assert [row.last for row in commands.read(0, 0)] == [2]
    with pytest.raises(EngineRefusedError, match="channel"):
        commands.read(0, SOON_MS)
    commands.close()
