"""What is lost for good is told: an engine is lost with the nodes that had read what its replica
lacks.
"""

from __future__ import annotations

import socket
import ssl
from pathlib import Path

import gevent

from tcpchat_core import notices
from tcpchat_net.logs.stream.address import parse_url
from tcpchat_net.logs.stream.begin import begin
from tcpchat_net.logs.stream.commands import Commands
from tcpchat_net.resp import RespWire
from tests.cluster.cable import Cable
from tests.cluster.engines import Engine
from tests.cluster.nodes import ROOM, NodeProcess, Person, until
from tests.cluster.ports import HOST


def of(person: Person, kind: type[notices.Said | notices.Gap]) -> list[str | int]:
    """What somebody was told in the room: the texts, or where the gaps were."""
    return [
        told.text if isinstance(told, notices.Said) else told.oldest
        for told in person.told
        if isinstance(told, kind) and told.room == ROOM
    ]


def test_who_has_seen_what_is_lost_is_told_of_a_gap_and_the_talk_goes_on(tmp_path: Path) -> None:
    with Engine() as primary, Cable(primary.port) as link, Engine() as replica:
        replica.call("REPLICAOF", HOST, link.port)
        until(lambda: replica.info("replication")["master_link_status"] == "up")
        url = f"valkey://{replica.address},{primary.address}/0?name=team"
        with (
            NodeProcess(url, tmp_path / "one") as one,
            NodeProcess(url, tmp_path / "two") as two,
        ):
            one.start()
            ada, bob = (Person(nick, [one.place, two.place], ROOM) for nick in ("ada", "bob"))
            try:
                ada.say("everywhere")
                until(lambda: of(bob, notices.Said) == ["everywhere"])
                until(lambda: replica.info("replication")["master_repl_offset"] == offset(primary))
                link.stall()
                ada.say("lost")
                until(lambda: of(bob, notices.Said) == ["everywhere", "lost"])
                one.kill()
                primary.kill()
                replica.promote()
                two.start()
                ada.say("instead")
                until(lambda: of(bob, notices.Said) == ["everywhere", "lost", "instead"])
                lost, instead = (ada.receipts[text].seq for text in ("lost", "instead"))
                # Its number was given to another message, and nobody took that for the old one.
                assert lost == instead
                assert of(ada, notices.Gap) == of(bob, notices.Gap) == [lost]
                bob.say("and on")
                until(lambda: of(ada, notices.Said)[-1:] == ["and on"])
                # The archive is given what was said a moment later.
                kept = ["everywhere", "instead", "and on"]
                until(lambda: [each["text"] for each in two.exported(ROOM)] == kept)
            finally:
                for person in (ada, bob):
                    gevent.spawn(person.chat._reader.kill).join()
                    person.close()


def test_two_engines_that_take_over_the_same_log_go_on_under_different_names() -> None:
    """Or what was seen at one of them would be taken for what the other has."""

    def taken_over(engine: Engine) -> str:
        node = Commands(RespWire(parse_url(engine.url("team")), socket, ssl), "team")
        begun = begin(
            node,
            node=0,
            holder="test",
            fresh_epoch="epoch",
            known_epoch="",
            archive=None,
            sleep=lambda _ms: None,
            complain=lambda _sentence: None,
        )
        node.close()
        return begun.state.epoch

    with Engine() as old, Engine() as new:
        upkeep = Commands(RespWire(parse_url(old.url("team")), socket, ssl), "team")
        upkeep.connect()
        upkeep.create("epoch")
        upkeep.close()
        new.follow(old)
        new.promote()
        old.restart()  # and is a primary still
        assert taken_over(new) != taken_over(old)


def offset(engine: Engine) -> str:
    """How far its replicas would have to be."""
    return engine.info("replication")["master_repl_offset"]
