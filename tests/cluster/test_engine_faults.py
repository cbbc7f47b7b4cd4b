"""An engine that is killed, hangs, or is replaced, and cables to it: nothing is lost or doubled."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cluster.cable import Cable
from tests.cluster.engines import Engine
from tests.cluster.nodes import NodeProcess, Talk, Team, until
from tests.cluster.ports import HOST
from tests.net.crashing import Disk

# What people are told who are there for long enough.
_WAITS = "* the server cannot reach its log: what you say waits until it can"
_GOES_ON = "* the server has reached its log: what was waiting is being said"

# So much of each who talks a replica lacks. (One receipt more may be for what it has.)
LACKING = 30


def seq(engine: Engine) -> int:
    """The number of the last entry that an engine has."""
    return int(engine.call("HGET", "{tcpchat:team}:meta", "seq"))


def test_an_engine_that_is_killed_again_and_again_loses_nothing(
    engine: Engine, tmp_path: Path
) -> None:
    with Team(tmp_path, engine.url("team")) as team, Talk(team) as talk:
        talk.begin()
        for _ in range(4):
            engine.kill()
            engine.start()
            talk.go_on()
        talk.finish()
        team.stop()
        talk.check_archives()


def test_an_engine_that_hangs_longer_than_a_lease_ends_nobody_and_people_are_told(
    engine: Engine, tmp_path: Path
) -> None:
    with Team(tmp_path, engine.url("team")) as team, Talk(team) as talk:
        one, two = team.nodes
        with one.peer("ada", "tea") as ada, two.peer("bob", "tea") as bob:
            ada.read_until("* bob joined tea")
            talk.begin()
            engine.pause()
            ada.send("on its way\n")
            for peer in (ada, bob):
                peer.read_until(_WAITS)
            engine.resume()
            for peer in (ada, bob):
                peer.read_until(_GOES_ON)
            bob.read_until("[tea] ada: on its way")
            talk.go_on()
            ada.send("/who\n")
            ada.read_until("* 2 in tea: ada, bob. Moderators: ada")
        talk.finish()
        team.stop()
        assert "begins anew" not in team.logs()
        assert "without a word" not in team.logs()
        talk.check_archives()


def test_an_engine_whose_disk_is_full_ends_and_all_goes_on_when_there_is_room(
    tmp_path: Path,
) -> None:
    disk = Disk(tmp_path)
    with (
        Engine(disk=disk) as engine,
        Team(tmp_path, engine.url("team")) as team,
        Talk(team) as talk,
    ):
        talk.begin()
        for _ in range(2):
            disk.say("full")
            assert engine.until_ended() == 1
            disk.say("full", is_so=False)
            engine.start()
            talk.go_on()
        talk.finish()
        team.stop()
        talk.check_archives()


def test_whatever_becomes_of_a_cable_nothing_is_lost_or_said_twice(
    engine: Engine, cable: Cable, tmp_path: Path
) -> None:
    urls = [engine.url("team", cable.port), engine.url("team")]
    with Team(tmp_path, urls) as team, Talk(team) as talk:
        one = team.nodes[0]
        talk.begin()
        for _ in range(2):
            cable.cut()
            talk.go_on(but_on=one)
            cable.mend()
            talk.go_on()
        cable.drop_replies(to=b"EVALSHA", times=4)
        until(lambda: cable.dropped == 4)
        talk.go_on()
        for times in (1, 2, 3):
            cable.garble()
            until(lambda times=times: cable.garbled == times)  # type: ignore[misc] # mypy infers no type for a default
            talk.go_on()
        cable.delay(50)
        talk.go_on()
        cable.delay(0)
        cable.stall()
        talk.go_on(but_on=one)
        one.until_logged("does not answer")  # not longer: its lease is over soon
        cable.flow()
        talk.go_on()
        talk.finish()
        team.stop()
        assert "begins anew" not in team.logs()
        talk.check_archives()


@pytest.mark.parametrize("comes_back", [False, True])
def test_a_replica_that_is_promoted_gets_back_what_it_lacks_and_takes_the_log_over(
    comes_back: bool, tmp_path: Path
) -> None:
    with Engine() as primary, Cable(primary.port) as link, Engine() as replica:
        replica.call("REPLICAOF", HOST, link.port)
        until(lambda: replica.info("replication")["master_link_status"] == "up")
        # The first that is a primary is taken, so there is one to pass over, and then one is down.
        urls = [
            f"valkey://{replica.address},{primary.address}/0?name=team",
            f"valkey://{primary.address},{replica.address}/0?name=team",
        ]
        with Team(tmp_path, urls) as team, Talk(team) as talk:
            talk.begin()
            link.stall()
            talk.go_on(LACKING + 1)
            before = seq(primary)
            primary.kill()
            assert seq(replica) + LACKING * len(talk.talkers) <= before
            replica.promote()
            talk.go_on()
            assert "begins anew" not in team.logs()
            if comes_back:
                primary.start()  # by its supervisor, and it knows nothing of what was done
                left = seq(primary)
                team.nodes[0].kill()
                team.nodes[0].start()
                talk.go_on()
                replica.kill()
                team.nodes[1].until_logged(f"the engine at {primary.address} was left behind")
                replica.start()
                talk.go_on()
                assert seq(primary) == left
            talk.finish()
            team.stop()
            talk.check_archives()


def test_an_engine_that_followed_its_own_replica_for_a_while_gets_back_what_it_has_lost_by_that(
    tmp_path: Path,
) -> None:
    with Engine() as primary, Cable(primary.port) as link, Engine() as replica:
        replica.call("REPLICAOF", HOST, link.port)
        until(lambda: replica.info("replication")["master_link_status"] == "up")
        with Team(tmp_path, primary.url("team")) as team, Talk(team) as talk:
            talk.begin()
            link.stall()
            talk.go_on(LACKING + 1)
            replica.promote()  # and nobody goes there, so the log's engine is the other one still
            before = seq(primary)
            primary.follow(replica)
            assert seq(primary) + LACKING * len(talk.talkers) <= before
            primary.promote()  # the process is the same, and so may be connections to it
            talk.go_on()
            talk.finish()
            team.stop()
            assert "begins anew" not in team.logs()
            talk.check_archives()


def test_the_first_replica_that_an_engine_gets_is_no_loss_to_anybody(
    engine: Engine, tmp_path: Path
) -> None:
    with Engine() as replica, Team(tmp_path, engine.url("team")) as team, Talk(team) as talk:
        talk.begin()
        term = int(engine.call("HGET", "{tcpchat:team}:meta", "term"))
        replica.call("REPLICAOF", HOST, engine.port)
        until(lambda: replica.info("replication")["master_link_status"] == "up")
        talk.go_on()
        talk.finish()
        assert int(engine.call("HGET", "{tcpchat:team}:meta", "term")) == term + 1
        team.stop()
        assert "begins anew" not in team.logs()
        talk.check_archives()


def test_a_node_whose_own_disk_fails_goes_on_with_a_new_engine(
    engine: Engine, tmp_path: Path
) -> None:
    disk = Disk(tmp_path)
    with NodeProcess(engine.url("team"), disk.folder) as node:
        node.environment |= disk.environment
        node.start()
        with node.peer("ada", "lobby") as ada, node.peer("bob", "lobby") as bob:
            disk.say("broken")
            engine.restart()
            ada.send("still here\n")
            bob.read_until("[lobby] ada: still here")
            node.until_logged("cannot write to the folder")
