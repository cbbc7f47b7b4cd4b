"""An engine that was left behind is all that there is: the one with the log is lost for good."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import NamedTuple

import pytest
from tcpchat_cli.tools import run

from tests.cli.serving import ServerProcess
from tests.cli.terminal import LIMIT_SECONDS, SERVER
from tests.cluster.cable import Cable
from tests.cluster.engines import Engine
from tests.cluster.nodes import ROOM, NodeProcess, Team, until
from tests.cluster.ports import HOST


class Told(NamedTuple):
    """What the tool has said, and its exit status."""

    status: int
    output: str
    errors: str


def accept(url: str, *arguments: str) -> Told:
    done = subprocess.run(
        [SERVER, "cluster", "accept", "--log", url, *arguments],
        capture_output=True,
        text=True,
        timeout=LIMIT_SECONDS,
        check=False,
    )
    return Told(done.returncode, done.stdout, done.stderr)


def advised(log: str) -> list[str]:
    """The last command that a node advises, but for the log's URL."""
    *_, found = re.finditer(r"lost for good: tcpchat-server cluster accept (.*?) --log URL", log)
    return found[1].split()


def until_all_have(team: Team, wanted: list[str]) -> None:
    """Wait until each node has these messages: one may come to the last of them after the other."""
    until(
        lambda: all([each["text"] for each in node.exported(ROOM)] == wanted for node in team.nodes)
    )


def lead(cable: Cable, engine: Engine) -> None:
    """Have the address lead to another engine."""
    cable.target_port = engine.port
    cable.cut()
    cable.mend()


@pytest.mark.parametrize("is_there", [True, False])
def test_nodes_go_on_with_an_engine_that_was_left_behind_when_that_is_accepted(
    is_there: bool, tmp_path: Path
) -> None:
    """`is_there`: a node that has read what only the lost engine had."""
    with Engine() as old, Engine() as new, Cable(old.port) as cable:
        new.follow(old)
        url = old.url("team", cable.port)
        kept_by_nodes = ["read by those who were there"]
        with Team(tmp_path, url, 2, "--rooms", ROOM) as team:
            one, two = team.nodes
            with one.peer("ada", ROOM) as ada, two.peer("bob", ROOM) as bob:
                ada.send("kept\n")
                bob.read_until("[lobby] ada: kept")
                new.catch_up()
                new.promote()
                lead(cable, new)
                ada.send("read by those who were there\n")
                bob.read_until("[lobby] ada: read by those who were there")
                until_all_have(team, ["kept", *kept_by_nodes])
            two.stop()
            if not is_there:
                one.stop()
            new.kill()
            lead(cable, old)
            refusal = refused(two)
            assert refusal.startswith("the engine was left behind: its log has term 1, and another")
            if is_there:
                one.until_logged("the engine was left behind: its log has term 1, and another")
                assert advised(one.log_text()) == advised(refusal)
            told = accept(url, *advised(refusal))
            assert told == (
                0,
                f"the engine at {HOST}:{cable.port} takes over the log team when a node comes\n",
                "",
            )
            team.start()
            with one.peer("cy", ROOM) as cy, two.peer("dan", ROOM) as dan:
                cy.send("more\n")
                dan.read_until("[lobby] cy: more")
            until_all_have(team, ["kept", *(kept_by_nodes if is_there else []), "more"])


def test_a_node_that_knows_several_engines_goes_on_when_that_is_accepted(tmp_path: Path) -> None:
    with Engine() as old, Engine() as new:
        new.follow(old)
        url = f"valkey://{old.address},{new.address}/0?name=team"
        with NodeProcess(url, tmp_path / "1") as node:
            node.start()
            with node.peer("ada", ROOM) as ada, node.peer("bob", ROOM) as bob:
                new.catch_up()
                old.kill()
                new.promote()
                ada.send("with the new one\n")
                bob.read_until("[lobby] ada: with the new one")
                old.start()
                new.kill()
                node.until_logged(f"the engine at {old.address} was left behind: its log has term")
                assert accept(url, *advised(node.log_text())).status == 0
                ada.send("with the old one\n")
                bob.read_until("[lobby] ada: with the old one")
            node.stop()


def test_an_engine_that_was_not_left_behind_is_not_accepted(engine: Engine, tmp_path: Path) -> None:
    url = engine.url("team")
    refusal = f"tcpchat-server: the engine at {engine.address} "
    assert accept(url, "--term", "2") == (1, "", f"{refusal}has no log team\n")
    with NodeProcess(url, tmp_path / "1") as node, Engine() as replica:
        node.start()
        told = accept(url, "--term", "1")
        assert told == (1, "", f"{refusal}was not left behind: its log has term 1 already\n")
        replica.follow(engine)
        assert (
            "is a replica, which takes nothing in"
            in accept(replica.url("team"), "--term", "2").errors
        )
        node.stop()
        assert "left behind" not in node.log_text()


@pytest.mark.parametrize("term", ["0", "-1", "two", "²", "1" * 16])
def test_what_is_no_term_is_a_wrong_command_line(
    term: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        run(["cluster", "accept", "--log", "valkey://a", f"--term={term}"])
    assert ended.value.code == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert f"argument --term: {term!r} is no term (try tcpchat-server cluster" in told.err


def refused(node: NodeProcess) -> str:
    """The sentence with which a node does not start."""
    arguments = ("--log", node.url, "--data", str(node.folder), "--rooms", ROOM)
    with ServerProcess("--port", "0", *arguments) as server:
        status, output, log = server.wait()
    assert (status, output) == (1, "")
    assert log.count("\n") == 1
    return log.removeprefix("tcpchat-server: ").removesuffix("\n")
