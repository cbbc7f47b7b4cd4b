"""What the log has lost with an engine is in no archive any more, and all the rest is."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import gevent.socket
import gevent.ssl
import pytest

from tcpchat_core import Propose, events
from tcpchat_core.archive import Archived
from tcpchat_core.notices import Said
from tcpchat_net.greenlets import GreenletHost
from tcpchat_net.logs.archive import ArchiveKeeper, ArchiveStore, Point
from tcpchat_net.logs.records import encode_batch
from tcpchat_net.logs.replayer import InProcess
from tcpchat_net.logs.stream import NO_CHAIN, Origin, Taken
from tcpchat_net.logs.stream.address import parse_url
from tcpchat_net.logs.stream.begin import Begun, begin
from tcpchat_net.logs.stream.commands import Commands
from tcpchat_net.logs.stream.log import StreamLog
from tcpchat_net.logs.stream.upkeep import StreamUpkeep
from tcpchat_net.resp import RespWire
from tests.cluster.cable import Cable
from tests.cluster.engines import Engine
from tests.cluster.nodes import ROOM, NodeProcess, Team, until
from tests.cluster.ports import HOST
from tests.cluster.test_beginning_anew import publish
from tests.cluster.test_engine_faults import seq

OTHER = "0" * 39 + "1"  # a chain that no log here has


def texts(node: NodeProcess) -> list[object]:
    return [each["text"] for each in node.exported(ROOM)]


@contextmanager
def lost_end(folder: Path) -> Iterator[tuple[Team, NodeProcess, NodeProcess]]:
    """Two nodes with an archive each that have what is lost with their engine. The first one is
    held up, and the second was started anew with the next engine.
    """
    with Engine() as primary, Cable(primary.port) as link, Engine() as replica:
        replica.call("REPLICAOF", HOST, link.port)
        until(lambda: replica.info("replication")["master_link_status"] == "up")
        url = f"valkey://{primary.address},{replica.address}/0?name=team"
        with Team(folder, url, 2, "--rooms", ROOM) as team:
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
                yield team, one, two


def test_what_was_lost_with_an_engine_is_in_no_archive_any_more(tmp_path: Path) -> None:
    with lost_end(tmp_path) as (team, one, two):
        begins = one.begins
        with two.peer("cy", ROOM) as cy:
            cy.send("".join(f"new {number}\n" for number in range(9)) + "/history\n")
            cy.read_until("[lobby] cy: new 8")
        one.resume()
        one.until_begun_anew(begins)
        wanted = ["kept", *(f"new {number}" for number in range(9))]
        until(lambda: texts(one) == wanted)
        until(lambda: texts(two) == wanted)
        team.stop()
        assert texts(one) == texts(two) == wanted


def test_what_was_lost_is_in_no_archive_also_when_nothing_was_said_there_instead(
    tmp_path: Path,
) -> None:
    with lost_end(tmp_path) as (team, one, two):
        begins = one.begins
        with two.peer("cy", "tea") as cy:  # the numbers are given to what is no message
            cy.send("".join(f"/join room{number}\n/part\n" for number in range(9)))
            cy.send("/join tea\nnew\n/history\n")
            cy.read_until("[tea] cy: new")
        one.resume()
        one.until_begun_anew(begins)
        with one.peer("dan", ROOM) as dan:
            dan.send("/history\n/search lost\n")
            assert dan.read_until("* That was the history.")[-2:-1] == ["[lobby] ada: kept"]
            assert dan.read_line() == "* Nothing was found."
        team.stop()
        assert texts(one) == texts(two) == ["kept"]


def test_a_node_that_serves_writes_down_up_to_where_its_archive_is_of_the_log(
    engine: Engine, tmp_path: Path
) -> None:
    commands = Commands(RespWire(parse_url(engine.url("team")), socket, ssl), "team")
    with closing(commands), NodeProcess(engine.url("team"), tmp_path) as node:
        node.start()
        with node.peer("ada", ROOM) as ada:
            commands.connect()
            before = seq(engine)
            ada.send("tea\n")
            until(lambda: texts(node) == ["tea"])
            node.kill()
        archive = ArchiveStore(tmp_path)
        archive.open()
        with closing(archive):
            last, chain, epoch = archive.points()[0]
            assert last == archive.reached() > before
            assert (chain, epoch) == (commands.chain(last), commands.head().epoch)  # type: ignore[union-attr] # there is a log


# ── An archive beside a log, as a node finds it when it begins ───────────────────────────────────


@pytest.fixture
def log(engine: Engine) -> Iterator[Commands]:
    """A log with six entries, each a batch of its own."""
    commands = Commands(RespWire(parse_url(engine.url("team")), socket, ssl), "team")
    with closing(commands):
        commands.connect()
        commands.create("epoch")
        joined = commands.join(9, "other")
        for number in range(1, 7):
            grow(commands, joined.boot, number)
        yield commands


def grow(log: Commands, boot: int, number: int, event: events.Event | None = None) -> None:
    """One more entry."""
    record = encode_batch([Propose(0, 0, (event or events.Forget(number),))])
    assert log.propose(Origin(9, boot, number), 1, record) is Taken.IN


def filled(folder: Path, reached: int, *points: Point) -> ArchiveStore:
    """An archive with a message for each entry up to `reached`."""
    store = ArchiveStore(folder)
    store.open()
    for number in range(1, reached + 1):
        said = Said(ROOM, "ada", f"text {number}", number, number)
        store.add([Archived(number, ROOM, "ada", said)], number)
    with closing(store):
        # One at a time: in a store of their own they would take each other's place.
        for point in points:
            store._connection.execute("INSERT INTO point VALUES (?, ?, ?)", point)
    return ArchiveStore(folder)


def begun(log: Commands, archive: ArchiveStore) -> tuple[list[str], list[str]]:
    """What is in the archive when a node has begun, and what the node has complained of."""
    complaints: list[str] = []
    begun_node(log, archive, complaints)
    with closing(archive):
        return [said.text for said in archive.everything(ROOM)], complaints


def begun_node(log: Commands, archive: ArchiveStore | None, complaints: list[str]) -> Begun:
    return begin(
        log,
        node=1,
        holder="one",
        fresh_epoch="",
        known_epoch="epoch",
        archive=archive,
        sleep=lambda _ms: None,
        complain=complaints.append,
    )


def test_an_archive_that_is_filled_beside_its_node_is_of_the_log_up_to_where_that_ended(
    engine: Engine, log: Commands, tmp_path: Path
) -> None:
    def commands() -> Commands:
        return Commands(RespWire(parse_url(engine.url("team")), gevent.socket, gevent.ssl), "team")

    host, complaints = GreenletHost(), list[str]()
    node = begun_node(log, None, complaints)
    archive = ArchiveStore(tmp_path)
    archive.open()
    place = Point(0, NO_CHAIN, "epoch")
    keeper = ArchiveKeeper(archive, host, complaints.append, is_behind=True)
    keeper.place = lambda: place
    stream = StreamLog(
        node.member,
        node.ring,
        node.epoch,
        holder="one",
        writer=commands(),
        reader=commands(),
        writing=host,
        reading=host,
        lapse=lambda _node, _boot: [],
        status=lambda _asked: b"",
        ended=lambda _ending, sentence: complaints.append(sentence),
        complain=complaints.append,
    )
    upkeep = StreamUpkeep(
        commands(), stream, keeper, aside=host, replay=InProcess, complain=complaints.append
    )
    upkeep.begin()
    until(lambda: not keeper.is_behind, lambda: str(complaints))
    upkeep.stop()
    host.finish()
    with closing(archive):
        assert archive.points() == [Point(6, log.chain(6) or "", "epoch")]
    assert complaints == []


def point(log: Commands, seq: int, *, chain: str = "", epoch: str = "epoch") -> Point:
    return Point(seq, chain or log.chain(seq) or "", epoch)


def test_an_archive_that_is_of_the_log_stays_as_it_is(log: Commands, tmp_path: Path) -> None:
    kept, complaints = begun(log, filled(tmp_path, 4, point(log, 2), point(log, 4)))
    assert (len(kept), complaints) == (4, [])


def test_an_archive_is_cut_back_to_where_it_last_was_of_the_log(
    log: Commands, tmp_path: Path
) -> None:
    points = [point(log, 1), point(log, 2), *(point(log, n, chain=OTHER) for n in (3, 4, 5))]
    kept, complaints = begun(log, filled(tmp_path, 5, *points))
    assert kept == ["text 1", "text 2"]
    assert "the log has lost what came after its entry 2" in complaints[0]
    assert len([*tmp_path.glob("archive.db.copy*")]) == 1


def test_what_is_in_an_archive_behind_its_last_point_is_taken_from_the_log_again(
    log: Commands, tmp_path: Path
) -> None:
    kept, complaints = begun(log, filled(tmp_path, 4, point(log, 2)))
    assert (kept, complaints) == (["text 1", "text 2"], [])  # the log has no message


@pytest.mark.parametrize(("epoch", "known"), [("later", 8), ("epoch", 6), ("another", 0)])
def test_an_archive_of_before_the_beginning_of_the_log_is_cut_back_to_where_its_epoch_ended(
    epoch: str, known: int, log: Commands, tmp_path: Path
) -> None:
    grow(log, 1, 7, events.Diverge("later"))
    grow(log, 1, 8)
    archive = filled(tmp_path, 8, point(log, 8, epoch=epoch))
    for number in (9, 10):
        publish(log)
        grow(log, 1, number)
    kept, complaints = begun(log, archive)
    assert kept == [f"text {number}" for number in range(1, known + 1)]
    if epoch == "epoch":
        assert "the log has lost what came after its entry 6" in complaints[0]
    elif epoch == "another":
        assert "may have what the log has lost; it is now" in complaints[0]
    if epoch != "later":
        assert "is not in this node's archive: it was away for too long" in complaints[-1]
