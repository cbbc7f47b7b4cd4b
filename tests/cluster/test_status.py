"""tcpchat-server cluster status: what it tells of an engine, a log and its nodes."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple

import pytest

from tcpchat_net.logs.stream import FORMAT
from tcpchat_net.logs.stream.status import NodeStatus
from tests.cli.serving import ServerProcess, Talker
from tests.cli.terminal import LIMIT_SECONDS, SERVER, Terminal
from tests.cluster.engines import Engine
from tests.cluster.ports import HOST, Port

# The keys of the log `team` (tcpchat_net/logs/stream/scripts.py).
META: Final = "{tcpchat:team}:meta"
LEASE: Final = "{tcpchat:team}:lease"


class Told(NamedTuple):
    """What the tool has printed, and its exit status."""

    status: int
    output: str
    errors: str

    @property
    def json(self) -> Any:
        return json.loads(self.output)

    @property
    def nodes(self) -> dict[int, Any]:
        return {node["node"]: node for node in self.json["nodes"]}


def ask(*arguments: str) -> Told:
    done = subprocess.run(
        [SERVER, "cluster", "status", *arguments],
        capture_output=True,
        text=True,
        timeout=LIMIT_SECONDS,
        check=False,
    )
    return Told(done.returncode, done.stdout, done.stderr)


def ask_until(engine: Engine, holds: Callable[[Told], bool]) -> Told:
    """The first that it tells, as JSON, of which this holds: nodes may be busy elsewhere."""
    deadline = time.monotonic() + LIMIT_SECONDS
    while not holds(told := ask("--log", engine.url("team"), "--json")):
        assert time.monotonic() < deadline, told
    return told


def are_level(told: Told, *nodes: int) -> bool:
    """Whether nodes have told their digests after the last entry."""
    seq = told.json["log"]["seq"]
    return [told.nodes[node]["digest_seq"] for node in nodes] == [seq] * len(nodes)


@contextmanager
def node(engine: Engine, number: int, *arguments: str) -> Iterator[str]:
    """A node that shares the log of an engine; its address."""
    shared = ("--log", engine.url("team"), "--node", str(number), "--in-memory")
    with ServerProcess("--port", "0", *shared, *arguments) as server:
        yield server.read_address()
        server.process.terminate()
        status, _, log = server.wait()
        assert status == 0, log


def come_and_go(engine: Engine) -> None:
    """A node was there, and has given its lease back."""
    with node(engine, 1):
        ask_until(engine, lambda told: are_level(told, 1))


def forge(engine: Engine, number: int, until: int, status: NodeStatus | None = None) -> None:
    """Put a lease into the engine of a node that is not there."""
    told = "" if status is None else json.dumps({"digests": status.digests, "seq": status.seq})
    fields = {"boot": "3", "until": str(until), "number": "0", "holder": "nobody", "status": told}
    words = [word for name, value in fields.items() for word in (f"{number}:{name}", value)]
    engine.call("HSET", LEASE, *words)


# ── All is well ──────────────────────────────────────────────────────────────────────────────────


def test_the_json_has_the_engine_the_log_and_each_node(engine: Engine) -> None:
    with (
        node(engine, 1) as first,
        node(engine, 2),
        Talker(first, "/nick ada\n/join lobby\n") as ada,
    ):
        ada.read_until("* You joined lobby")
        told = ask_until(engine, lambda told: are_level(told, 1, 2))
    assert (told.status, told.errors, told.json["problems"]) == (0, "", [])
    shown, log, nodes = told.json["engine"], told.json["log"], told.nodes
    assert (shown["address"], shown["role"], shown["takes_in"]) == (engine.address, "primary", True)
    assert (shown["kind"], shown["warnings"], shown["replicas"]) == ("Valkey", [], [])
    assert shown["memory_bytes"] > 0
    assert (log["name"], log["format"], log["term"], log["first"]) == ("team", FORMAT, 1, 1)
    assert log["snapshot"] == 0
    assert log["seq"] == log["behind"] >= log["batches"] > 0
    assert [nodes[number]["people"] for number in (1, 2)] == [1, 0]
    assert nodes[1]["digest"] == nodes[2]["digest"]
    for each in nodes.values():
        assert (each["boot"], each["seq"], each["lag"]) == (1, log["seq"], 0)
        assert 0 < each["lease_ms"] <= 5_000
        assert each["ring_batches"] == log["batches"]
        assert each["ring_bytes"] > 0
        assert each["warnings"] == []


def test_the_table_has_a_line_for_each_node(engine: Engine) -> None:
    with node(engine, 1), node(engine, 2):
        level = ask_until(engine, lambda told: are_level(told, 1, 2))
        told = ask("--log", engine.url("team"))
        run, digest = level.json["engine"]["run_id"][:12], level.nodes[1]["digest"][:12]
        lines = told.output.splitlines()
        assert (told.status, told.errors) == (0, "")
        assert re.fullmatch(
            rf"engine    {engine.address}, Valkey [0-9.]+, primary, run {run}, takes batches in",
            lines[0],
        )
        assert re.fullmatch(r"memory    [0-9.]+ MiB without a limit", lines[1])
        epoch = level.json["log"]["epoch"]
        assert lines[2] == f"log       team, epoch {epoch}, format {FORMAT}, term 1"
        assert re.fullmatch(r"entries   \d+, kept from 1 on, in \d+ batches", lines[3])
        assert lines[4:6] == ["snapshot  none yet", ""]
        assert lines[6].split() == [
            *("node", "boot", "lease", "entry", "lag", "people", "ring"),
            *("version", "digest", "holder"),
        ]
        holders = [level.nodes[number]["holder"] for number in (1, 2)]
        for number, line, holder in zip((1, 2), lines[7:], holders, strict=True):
            assert re.match(rf" +{number} +1 +[0-9.]+ s +\d+ +0 +0 +\d+, 0.0 MiB ", line)
            assert line.endswith(holder)
        # Somebody else may need the processor just now; then a node has no answer in this one.
        assert f"{digest} at {level.json['log']['seq']}" in told.output or " -  " in told.output


def test_on_a_terminal_it_is_the_same_table(engine: Engine) -> None:
    with node(engine, 1):
        argv = [SERVER, "cluster", "status", "--log", engine.url("team")]
        with Terminal(argv, columns=150) as terminal:
            terminal.wait_for(r"node +boot +lease +entry")
            assert terminal.wait_for_exit() == 0
            assert re.search(r"^ +1 +1 +[0-9.]+ s", terminal.text, re.MULTILINE)


def test_nothing_is_changed_but_the_word_that_is_asked(engine: Engine) -> None:
    come_and_go(engine)
    asked = b"{tcpchat:team}:ask"
    keys = set(engine.call("KEYS", "*")) - {asked}
    before = [engine.call("DUMP", key) for key in keys]
    told = ask("--log", engine.url("team"))
    assert told.status == 0
    assert told.output.endswith("\nno nodes\n")
    assert [engine.call("DUMP", key) for key in keys] == before
    assert set(engine.call("KEYS", "*")) - keys == {asked}


# ── What is not well ─────────────────────────────────────────────────────────────────────────────


def test_a_node_of_another_mind_is_told_and_exit_1(engine: Engine) -> None:
    with node(engine, 1):
        level = ask_until(engine, lambda told: are_level(told, 1))
        assert level.status == 0
        seq = level.json["log"]["seq"]
        far = 1 << 50
        forge(engine, 9, far, NodeStatus(seq, digests={seq: "f" * 64}))
        told = ask_until(engine, lambda told: are_level(told, 1))
        sentence = f"after entry {seq} the state of node 1 is not that of node 9"
        assert told.json["problems"] == [sentence]
        assert (told.status, told.errors) == (1, f"tcpchat-server: {sentence}\n")
        # After other entries they may have other states.
        forge(engine, 9, far, NodeStatus(seq - 1, digests={seq - 1: "f" * 64}))
        told = ask("--log", engine.url("team"), "--json")
        assert (told.status, told.nodes[9]["lag"]) == (0, 1)


def test_a_lease_that_is_over_and_a_node_that_does_not_answer_are_shown(engine: Engine) -> None:
    come_and_go(engine)
    forge(engine, 4, 0)
    told = ask("--log", engine.url("team"), "--json")
    assert told.status == 0
    assert told.nodes[4]["lease_ms"] < 0
    assert (told.nodes[4]["digest"], told.nodes[4]["version"]) == (None, "")
    assert told.nodes[4]["lag"] == told.json["log"]["seq"]
    line = ask("--log", engine.url("team")).output.splitlines()[-1]
    assert re.fullmatch(r" +4 +3 +over +0 +\d+ +0 +0, 0.0 MiB  - +- +nobody", line)


def test_a_lease_ends_also_when_nobody_is_there_to_see_it(engine: Engine) -> None:
    come_and_go(engine)
    clock, wall = map(int, engine.call("HMGET", META, "clock", "wall"))
    forge(engine, 4, clock + 5_000)
    engine.call("HSET", META, "wall", wall - 3_600_000)  # as if an hour had passed since
    told = ask("--log", engine.url("team"), "--json")
    assert told.nodes[4]["lease_ms"] < 0


def test_settings_that_may_lose_what_was_acknowledged_are_told() -> None:
    with Engine(appendfsync="everysec") as engine, node(engine, 1, "--allow-unsafe-engine"):
        told = ask_until(engine, lambda told: are_level(told, 1))
        assert told.status == 0
        assert told.json["engine"]["warnings"] == ["appendfsync is everysec"]
        assert told.nodes[1]["warnings"] == ["appendfsync is everysec"]
        lines = ask("--log", engine.url("team")).output.splitlines()
    assert lines[-2:] == [
        ("warning   the engine could lose what it has acknowledged: appendfsync is everysec"),
        "warning   node 1 was started although appendfsync is everysec",
    ]


def test_a_replica_is_told_as_such_on_both_ends(engine: Engine) -> None:
    with node(engine, 1), Engine(replicaof=engine) as replica:
        replica.catch_up()
        told = ask("--log", replica.url("team"), "--json")
        assert (told.status, told.json["engine"]["role"]) == (1, "replica")
        assert told.json["engine"]["follows"] == f"{engine.address}, which is up"
        assert told.errors == (
            f"tcpchat-server: the engine at {replica.address} is a replica, which takes nothing in"
            "\n"
        )
        assert list(told.nodes) == [1]
        [shown] = ask("--log", engine.url("team"), "--json").json["engine"]["replicas"]
        assert (shown["address"], shown["state"]) == (replica.address, "online")
        assert shown["lag_bytes"] >= 0
        output = ask("--log", engine.url("team")).output
        assert re.search(rf"\nreplica   {replica.address}, online, [\d,]+ bytes behind\n", output)


def test_an_engine_that_takes_nothing_in_yet_is_exit_1(engine: Engine) -> None:
    come_and_go(engine)
    engine.restart()
    told = ask("--log", engine.url("team"), "--json")
    assert (told.status, told.json["engine"]["takes_in"]) == (1, False)
    assert told.errors == (
        f"tcpchat-server: the engine at {engine.address} has been started anew, and takes nothing"
        " in before a node has come to it\n"
    )


# ── What cannot be looked at ─────────────────────────────────────────────────────────────────────


def refused(*arguments: str) -> str:
    """The one sentence with which it ends, status 1."""
    told = ask(*arguments)
    assert (told.status, told.output) == (1, "")
    assert told.errors.count("\n") == 1
    return told.errors.removeprefix("tcpchat-server: ").removesuffix("\n")


def test_an_engine_that_cannot_be_reached_is_one_sentence() -> None:
    with Port() as port:
        where = f"{HOST}:{port.number}"
        sentence = refused("--log", f"valkey://{where}", "--json")
    assert sentence == f"cannot reach the engine at {where}: connection refused"


def test_a_log_that_is_not_there_is_one_sentence(engine: Engine) -> None:
    sentence = f"the engine at {engine.address} has no log tea"
    assert refused("--log", engine.url("tea")) == sentence
    assert engine.call("KEYS", "*") == []


def test_the_password_is_taken_from_the_environment_or_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    right, wrong = tmp_path / "right", tmp_path / "wrong"
    right.write_text("open sesame\n")
    wrong.write_text("sesame, open\n")
    with Engine(requirepass="open sesame") as engine:
        log = ("--log", f"valkey://{engine.address}")
        nothing = f"the engine at {engine.address} has no log tcpchat"
        sentence = refused(*log, "--log-password-file", str(wrong))
        assert sentence.startswith(f"the engine at {engine.address} refuses the login: ")
        assert refused(*log, "--log-password-file", str(right)) == nothing
        monkeypatch.setenv("TCPCHAT_LOG_PASSWORD", "open sesame")
        assert refused(*log) == nothing


def test_where_packages_are_missing_it_says_which() -> None:
    without = "import sys; sys.modules['hiredis'] = None; import tcpchat_cli.server as s; s.main()"
    done = subprocess.run(
        [sys.executable, "-c", without, "cluster", "status", "--log", "valkey://a"],
        capture_output=True,
        text=True,
        timeout=LIMIT_SECONDS,
        check=False,
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        "tcpchat-server: to share a log takes more packages: pip install 'tcpchat[cluster]'\n"
    )
