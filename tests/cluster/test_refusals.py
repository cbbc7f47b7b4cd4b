"""What a node cannot share is refused at its start: with one sentence, and 1; 2 for a wrong command
line.
"""

from __future__ import annotations

import re
import socket
import socketserver
import ssl
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import msgspec
import pytest
from tcpchat_cli.keeping import SharingError
from tcpchat_cli.settings import Settings, SettingsError, read_settings
from tcpchat_cli.sharing import engine_address

from tcpchat_net.logs.stream import FORMAT, EngineDownError, EngineError, Origin, Taken
from tcpchat_net.logs.stream.address import parse_url
from tcpchat_net.logs.stream.commands import Commands
from tcpchat_net.logs.stream.safety import dangers
from tcpchat_net.resp import RespWire
from tests.cli.serving import ServerProcess
from tests.cluster.engines import Engine
from tests.cluster.nodes import NodeProcess, Team
from tests.cluster.ports import HOST, Port

META: Final = "{tcpchat:team}:meta"


def refused(*arguments: object, env: Mapping[str, str] | None = None) -> str:
    """The sentence of a server that is not to start."""
    given = [str(each) for each in arguments]
    with ServerProcess("--port", "0", *given, env=env) as server:
        status, output, log = server.wait()
    assert (status, output) == (1, ""), log
    assert log.startswith("tcpchat-server: ")
    assert log.endswith("\n")
    assert log.count("\n") == 1, log
    return log.removeprefix("tcpchat-server: ").removesuffix("\n")


def commands(url: str) -> Commands:
    """A connection as a node has one."""
    return Commands(RespWire(parse_url(url), socket, ssl), "team")


# ── Where the engine should be ───────────────────────────────────────────────────────────────────


@contextmanager
def answering(*answers: bytes) -> Iterator[int]:
    """Something that listens and says one of these to each thing it is told; its port."""

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            for answer in answers:
                if not self.request.recv(65_536):
                    return
                self.request.sendall(answer)

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True

    with Server((HOST, 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join()


_INFO = b"redis_version:6.2.14\r\nrun_id:abc\r\nrole:master\r\n"


@pytest.mark.parametrize(
    ("answers", "says"),
    [
        ([b"HTTP/1.1 400 Bad Request\r\n\r\n"], "speaks no RESP"),
        ([b"\x15\x03\x03\x00\x02\x02\x46"], "speaks no RESP"),
        ([b""], "has hung up"),
        ([b"+OK\r\n"] * 9, "version 0, which is too old"),
        ([b":1\r\n"] * 9, "is no engine"),
        ([b"*-1\r\n"] * 9, "is no engine"),
        ([b"-ERR no\r\n"] * 9, "refuses: ERR no"),
        ([b"-LOADING wait\r\n"] * 9, "is not ready"),
        (
            [b"+PONG\r\n", *[b"$%d\r\n%b\r\n" % (len(_INFO), _INFO)] * 9],
            "version 6.2.14, which is too old: take Valkey, or Redis 7.0 or newer",
        ),
    ],
)
def test_what_is_no_engine_is_refused(answers: list[bytes], says: str) -> None:
    with answering(*answers) as port:
        engine = commands(f"valkey://{HOST}:{port}/0")
        with pytest.raises(EngineError, match=says) as refusal:
            engine.connect()
        engine.close()
        assert str(port) in str(refusal.value)


def test_a_server_of_another_kind_is_one_sentence() -> None:
    with answering(b"HTTP/1.1 400 Bad Request\r\n\r\n") as port:
        says = refused("--log", f"valkey://{HOST}:{port}/0?name=team")
        assert says.startswith(f"the engine at {HOST}:{port} speaks no RESP: ")


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("http://127.0.0.1/", "'http://127.0.0.1/' is no URL such as valkey://"),
        ("127.0.0.1:6379", "is no URL such as valkey://"),
        ("valkey://127.0.0.1/0?name=a/b", "'a/b' is no name of a log"),
        ("valkey://127.0.0.1/0?name=", "'' is no name of a log"),
        ("valkey://127.0.0.1/0?nam=team", "there is no 'nam'"),
        ("valkey://127.0.0.1/x?name=team", "'x' is no database"),
        ("valkey://127.0.0.1:99999/0", "'127.0.0.1:99999' is no HOST:PORT"),
        ("valkey://a..b/0", "'a..b' is no HOST:PORT"),
        ("valkey://127.0.0.1/0?ca=/file", "ca is for TLS"),
        ("unix://host/socket", "names no socket"),
        ("unix:///nowhere%00", "it has characters that none has"),
        ("valkey://127.0.0.1/0?name=\udcff", "it has characters that none has"),
    ],
)
def test_a_url_that_names_no_engine_is_refused(url: str, says: str) -> None:
    with pytest.raises(SharingError, match=re.escape(says)) as refusal:
        engine_address(Settings(log=url))
    assert str(refusal.value).startswith("--log: ")


def test_a_password_in_a_url_is_refused_and_not_shown() -> None:
    says = refused("--log", "valkey://:secret@127.0.0.1/0?name=team")
    assert "TCPCHAT_LOG_PASSWORD, or in a file with --log-password-file" in says
    assert "secret" not in says


def test_an_engine_that_cannot_be_reached_is_named() -> None:
    with Port() as port:
        says = refused("--log", f"valkey://{HOST}:{port.number}/0")
        assert says == f"cannot reach the engine at {HOST}:{port.number}: connection refused"


def test_a_password_that_cannot_be_read_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "password"
    settings = Settings(log="valkey://127.0.0.1/0", log_password_file=str(file))
    with pytest.raises(SharingError, match="cannot read the file: No such file"):
        engine_address(settings)
    file.write_bytes(b"\xff\n")
    with pytest.raises(SharingError, match="the file is not UTF-8 text"):
        engine_address(settings)
    file.write_text("\nsecond")
    with pytest.raises(SharingError, match="the first line of the file is empty"):
        engine_address(settings)
    monkeypatch.setenv("TCPCHAT_LOG_PASSWORD", "\udcff")
    with pytest.raises(SharingError, match="TCPCHAT_LOG_PASSWORD has characters that no"):
        engine_address(Settings(log="valkey://127.0.0.1/0"))


def test_a_password_is_asked_for_and_taken(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text("open sesame\n")
    with Engine(requirepass="open sesame") as engine:
        url = f"valkey://{engine.address}/0"
        hint = "TCPCHAT_LOG_PASSWORD, or from --log-password-file"
        assert hint in refused("--log", url)
        assert hint in refused("--log", url, env={"TCPCHAT_LOG_PASSWORD": "wrong"})
        with (
            NodeProcess(url, tmp_path / "1", "--log-password-file", str(file)) as one,
            NodeProcess(url, tmp_path / "2") as two,
        ):
            two.environment["TCPCHAT_LOG_PASSWORD"] = "open sesame"
            one.spawn()
            two.spawn()
            for node in (one, two):
                node.until_listening()


# ── What is in the engine ────────────────────────────────────────────────────────────────────────


def test_another_kind_of_thing_under_the_name_is_refused(engine: Engine) -> None:
    for key in ("log", "lease"):
        engine.call("SET", f"{{tcpchat:team}}:{key}", "x")
        taken = commands(engine.url("team"))
        taken.connect()
        with pytest.raises(EngineError, match="holds something else where the log team would be"):
            taken.create("0")
        taken.close()
        engine.call("FLUSHALL")
    engine.call("SET", META, "x")
    says = refused("--log", engine.url("team"))
    assert says == (
        f"the engine at {engine.address} holds something else where the log team would be; take"
        " another name, or another database"
    )


def test_a_log_of_a_newer_version_is_refused_by_name(engine: Engine, tmp_path: Path) -> None:
    url = engine.url("team")
    with Team(tmp_path, url, 1) as team:
        engine.call("HSET", META, "format", 99)
        assert "was written by a newer tcpchat" in refused("--log", url)
        assert team.nodes[0].until_ended() == 1
        log = team.nodes[0].log_text()
    assert "Traceback" not in log
    assert f"its format is 99, this one reads up to {FORMAT}" in log.splitlines()[-1]


def test_a_log_of_an_older_version_has_the_format_of_the_first_node_that_joins_it(
    engine: Engine, tmp_path: Path
) -> None:
    url = engine.url("team")
    taken = commands(url)
    taken.connect()
    taken.create("0")
    engine.call("HSET", META, "format", 1)
    head = taken.head()
    assert head is not None, "it is read"
    assert head.format == 1, "and nothing is changed by who only looks"
    taken.close()
    with Team(tmp_path, url, 1):
        assert engine.call("HGET", META, "format") == f"{FORMAT}".encode()


def test_an_engine_that_may_lose_what_it_has_is_refused_unless_that_is_meant(
    engine: Engine, tmp_path: Path
) -> None:
    unsafe = {"appendonly": "no", "appendfsync": "everysec", "maxmemory-policy": "allkeys-lru"}
    asked = commands(engine.url("team"))
    asked.connect()
    assert dangers(asked) == ()
    for setting, value in unsafe.items():
        engine.call("CONFIG", "SET", setting, value)
        assert f"{setting} is {value}" in dangers(asked)
    asked.close()
    found = [f"{setting} is {value}" for setting, value in unsafe.items()]
    assert f"could lose what it has acknowledged: {', '.join(found)}; it needs" in refused(
        "--log", engine.url("team")
    )
    with NodeProcess(engine.url("team"), tmp_path, "--allow-unsafe-engine") as node:
        node.start()
        for each in found:
            node.until_logged(f"the engine could lose what it has acknowledged: {each}")


def test_a_replica_is_refused(engine: Engine) -> None:
    with Engine(replicaof=engine) as replica:
        replica.catch_up()
        says = refused("--log", replica.url("team"))
        assert "replica" in says


# ── Folders and numbers ──────────────────────────────────────────────────────────────────────────


def test_a_folder_that_is_not_this_nodes_is_refused(engine: Engine, tmp_path: Path) -> None:
    url = engine.url("team")
    own, single, file = tmp_path / "own", tmp_path / "single", tmp_path / "file"
    with NodeProcess(url, own) as node:
        node.start()
        assert "another node uses" in refused("--log", url, "--data", own)
        node.stop()
    says = refused("--log", engine.url("other"), "--data", own)
    assert says.startswith(f"{own} is of the log team, not of other")
    single.mkdir()
    (single / "log.db").touch()
    file.touch()
    assert "a log of its own" in refused("--log", url, "--data", single)
    assert str(file) in refused("--log", url, "--data", file)
    assert str(own) in refused("--data", own)


def test_a_number_is_had_by_one_node_and_given_back_to_its_folder(
    engine: Engine, tmp_path: Path
) -> None:
    url = engine.url("team")
    with NodeProcess(url, tmp_path / "one", "--node", "7") as node:
        node.start()
        says = refused("--log", url, "--node", 7, "--data", tmp_path / "two")
        assert says.startswith("node 7 is there already: ")
        assert str(tmp_path / "one") in says
        node.kill()
        node.start()
        node.stop()


def test_machines_of_the_same_name_do_not_take_each_others_numbers(
    engine: Engine, tmp_path: Path
) -> None:
    path, url = tmp_path / "one", engine.url("team")
    with NodeProcess(url, path) as one, NodeProcess(url, path) as two:
        one.start()
        with one.peer("ada", "lobby") as ada:
            path.rename(tmp_path / "elsewhere")  # so that two has another folder of the same name
            two.start()
            with two.peer("bob", "lobby") as bob:
                ada.send("both are there\n")
                bob.read_until("[lobby] ada: both are there")


@pytest.mark.parametrize(
    "arguments", [["--node", "1"], ["--log-password-file", "x"], ["--allow-unsafe-engine"]]
)
def test_what_is_for_a_shared_log_needs_one(arguments: list[str]) -> None:
    with pytest.raises(SettingsError, match="so log has to be given too"):
        read_settings(arguments)


def test_what_is_no_number_of_a_node_is_a_wrong_command_line(engine: Engine) -> None:
    with ServerProcess("--log", engine.url("team"), "--node", "x") as server:
        status, _, log = server.wait()
    assert status == 2
    assert "Traceback" not in log


def test_an_engine_without_room_is_one_to_wait_for(engine: Engine) -> None:
    """Or a node that begins anew meanwhile would end."""
    node = commands(engine.url("team"))
    node.connect()
    node.create("epoch")
    engine.call("CONFIG", "SET", "maxmemory", "1")
    with pytest.raises(EngineDownError, match="refuses: OOM"):
        node.join(0, "test")
    node.close()


# ── Later ────────────────────────────────────────────────────────────────────────────────────────


def test_an_engine_that_has_lost_its_log_ends_its_nodes(engine: Engine, tmp_path: Path) -> None:
    url = engine.url("team")
    with Team(tmp_path, url) as team:
        with team.nodes[0].peer("ada", "lobby") as ada:
            engine.call("FLUSHALL")
            ada.read_until("* Closing:")
        for node in team.nodes:
            assert node.until_ended() == 1
            log = node.log_text()
            assert "Traceback" not in log
            assert log.splitlines()[-1].startswith("tcpchat-server: ")
            assert "the engine has lost the log" in log.splitlines()[-1]
        says = refused("--log", url, "--data", team.nodes[0].folder)
        assert "the engine has no such log" in says
        assert not engine.call("EXISTS", META)


@pytest.mark.parametrize("kind", ["event", "entry"])
def test_what_a_newer_version_has_put_into_the_log_is_refused_and_not_skipped(
    kind: str, engine: Engine, tmp_path: Path
) -> None:
    url = engine.url("team")
    with Team(tmp_path, url) as team:
        if kind == "event":
            record = msgspec.msgpack.encode([[0, 0, [{"type": "teleport"}]]])
            newer = commands(url)
            newer.connect()
            _, boot, *_ = newer.join(3, "newer")
            assert newer.propose(Origin(3, boot, 1), 1, record) is Taken.IN
            newer.close()
        else:
            engine.call("XADD", "{tcpchat:team}:log", "9-0", "new", "thing")
        for node in team.nodes:
            assert node.until_ended() == 1
            log = node.log_text()
            assert "Traceback" not in log
            assert "it may be of a newer tcpchat: update" in log.splitlines()[-1]
    for folder in (team.nodes[0].folder, tmp_path / "new"):
        says = refused("--log", url, "--data", folder)
        assert "it may be of a newer tcpchat: update" in says
