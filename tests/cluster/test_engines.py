"""The engine and the cable that the tests of a cluster stand on do what they say."""

from __future__ import annotations

import select
import shutil
import socket
import time
from pathlib import Path

import hiredis
import pytest

from tests.cluster.cable import Cable
from tests.cluster.engines import Engine, Wire
from tests.cluster.nodes import until
from tests.cluster.ports import HOST, Port
from tests.net.crashing import Disk

REDIS = shutil.which("redis-server")

# More than the sockets of a connection hold.
MUCH = b"m" * 16_777_216


def has_news(wire: Wire) -> bool:
    """Whether something has come that was not read."""
    return bool(select.select([wire.sock], [], [], 0)[0])


# ── Ports ────────────────────────────────────────────────────────────────────────────────────────


def test_a_port_that_is_held_is_given_to_nobody_else() -> None:
    with Port() as port:
        with socket.socket() as other, pytest.raises(OSError, match="in use"):
            other.bind((HOST, port.number))
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection((HOST, port.number))


# ── The engine ───────────────────────────────────────────────────────────────────────────────────


def test_an_engine_keeps_what_it_has_acknowledged_when_it_is_killed(engine: Engine) -> None:
    ids = [engine.call("XADD", "log", "*", "n", number) for number in range(20)]
    address = engine.address
    engine.kill()
    with pytest.raises(ConnectionRefusedError):
        engine.call("PING")
    engine.start()
    assert engine.address == address
    assert [entry[0] for entry in engine.call("XRANGE", "log", "-", "+")] == ids


def test_an_engine_keeps_everything_when_it_is_restarted(engine: Engine) -> None:
    before = engine.info("server")["run_id"]
    engine.call("SET", "topic", "tea")
    engine.restart()
    assert engine.call("GET", "topic") == b"tea"
    assert engine.info("server")["run_id"] != before


def test_an_engine_that_is_paused_answers_when_it_is_resumed(engine: Engine) -> None:
    with engine.connect() as wire:
        engine.pause()
        wire.send("PING")
        assert not has_news(wire)
        engine.resume()
        assert wire.read() == b"PONG"


def test_an_engine_that_is_paused_can_be_killed(engine: Engine) -> None:
    engine.call("SET", "topic", "tea")
    engine.pause()
    engine.kill()
    engine.start()
    assert engine.call("GET", "topic") == b"tea"


def test_an_engine_takes_the_settings_that_it_is_given() -> None:
    with Engine(appendfsync="everysec", maxmemory="64mb") as engine:
        assert engine.call("CONFIG", "GET", "appendfsync") == [b"appendfsync", b"everysec"]
        assert engine.call("CONFIG", "GET", "maxmemory") == [b"maxmemory", b"67108864"]


def test_an_engine_with_a_password_is_called_with_it() -> None:
    with Engine(requirepass="pass/word") as engine:
        assert engine.call("PING") == b"PONG"
        assert engine.url("a team") == f"valkey://:pass%2Fword@{engine.address}/0?name=a%20team"
        with Wire(engine.port) as wire, pytest.raises(hiredis.ReplyError, match="NOAUTH"):
            wire.call("PING")


def test_an_engine_refuses_what_it_does_not_know(engine: Engine) -> None:
    with pytest.raises(hiredis.ReplyError, match="unknown command"):
        engine.call("TALK")


def test_an_engine_that_cannot_start_says_why() -> None:
    with pytest.raises(AssertionError, match="Bad directive"), Engine(colour="blue"):
        pass


def test_engines_beside_each_other_have_ports_and_folders_of_their_own() -> None:
    with Engine() as one, Engine() as other:
        one.call("SET", "topic", "tea")
        assert one.port != other.port
        assert other.call("GET", "topic") is None


@pytest.mark.skipif(REDIS is None, reason="takes another engine; .ci/run installs one")
def test_an_engine_may_be_another_program() -> None:
    assert REDIS is not None
    with Engine(program=REDIS) as engine:
        engine.call("SET", "topic", "tea")
        engine.kill()
        engine.start()
        assert engine.call("GET", "topic") == b"tea"
        assert engine.info("server")["executable"] == REDIS


# ── Primary and replica ──────────────────────────────────────────────────────────────────────────


def test_a_replica_has_what_its_primary_has_and_goes_on_alone_when_promoted(
    engine: Engine,
) -> None:
    engine.call("SET", "topic", "tea")
    with Engine() as replica:
        replica.follow(engine)
        assert replica.call("GET", "topic") == b"tea"
        with pytest.raises(hiredis.ReplyError, match="READONLY"):
            replica.call("SET", "topic", "coffee")
        engine.call("SET", "topic", "cake")
        replica.catch_up()
        engine.kill()
        replica.promote()
        assert replica.call("GET", "topic") == b"cake"
        replica.call("SET", "topic", "coffee")
        replica.restart()
        assert replica.call("GET", "topic") == b"coffee"


def test_an_engine_is_a_replica_from_its_start_also_with_a_password() -> None:
    with (
        Engine(requirepass="secret") as primary,
        Engine(replicaof=primary, requirepass="own") as replica,
    ):
        primary.call("SET", "topic", "tea")
        replica.catch_up()
        replica.kill()
        primary.call("SET", "topic", "cake")
        replica.start()
        replica.catch_up()
        assert replica.call("GET", "topic") == b"cake"


# ── The disk ─────────────────────────────────────────────────────────────────────────────────────


def test_an_engine_that_syncs_always_ends_when_its_disk_is_full(tmp_path: Path) -> None:
    disk = Disk(tmp_path)
    with Engine(disk=disk) as engine:
        engine.call("SET", "topic", "tea")
        disk.say("full")
        with pytest.raises((EOFError, ConnectionResetError)):
            engine.call("SET", "topic", "coffee")
        assert engine.until_ended() == 1
        assert "No space left on device" in engine.log_text()
        disk.say("full", is_so=False)
        engine.start()
        assert engine.call("GET", "topic") == b"tea"


def test_an_engine_that_syncs_each_second_refuses_to_write_while_its_disk_is_full(
    tmp_path: Path,
) -> None:
    disk = Disk(tmp_path)

    def is_refused() -> bool:
        try:
            engine.call("SET", "topic", "coffee")
        except hiredis.ReplyError as error:
            return str(error).startswith("MISCONF")
        return False

    with Engine(disk=disk, appendfsync="everysec") as engine:
        disk.say("full")
        until(is_refused)
        disk.say("full", is_so=False)
        until(lambda: not is_refused())


def test_an_engine_that_syncs_always_has_what_it_has_acknowledged_after_a_power_cut(
    tmp_path: Path,
) -> None:
    disk = Disk(tmp_path)
    with Engine(disk=disk) as engine:
        for number in range(3):
            engine.call("RPUSH", "log", number)
            engine.kill()
            disk.cut_power()
            engine.start()
        assert engine.call("LRANGE", "log", 0, -1) == [b"0", b"1", b"2"]


def test_an_engine_that_leaves_syncing_to_the_system_has_not(tmp_path: Path) -> None:
    disk = Disk(tmp_path)
    with Engine(disk=disk) as engine:
        engine.call("RPUSH", "log", "synced")
        engine.call("CONFIG", "SET", "appendfsync", "no")
        engine.call("RPUSH", "log", "written")
        engine.kill()
        disk.cut_power()
        engine.start()
        assert engine.call("LRANGE", "log", 0, -1) == [b"synced"]


# ── The cable ────────────────────────────────────────────────────────────────────────────────────


def test_a_cable_passes_on_what_comes_however_much_it_is(engine: Engine, cable: Cable) -> None:
    with Wire(cable.port) as wire:
        assert wire.call("SET", "much", MUCH) == b"OK"
        assert wire.call("GET", "much") == MUCH
    assert engine.call("STRLEN", "much") == len(MUCH)
    assert cable.accepted == 1


def test_a_cable_tells_an_end_that_the_other_is_gone(engine: Engine, cable: Cable) -> None:
    with Wire(cable.port) as wire:
        wire.call("PING")
        engine.kill()
        with pytest.raises((EOFError, ConnectionResetError)):
            wire.call("PING")


def test_a_cable_that_is_cut_resets_and_refuses_until_it_is_mended(cable: Cable) -> None:
    with Wire(cable.port) as wire:
        wire.call("PING")
        cable.cut()
        with pytest.raises(ConnectionResetError):
            wire.read()
    with pytest.raises(ConnectionRefusedError):
        Wire(cable.port)
    cable.mend()
    with Wire(cable.port) as wire:
        assert wire.call("PING") == b"PONG"


def test_a_cable_that_is_stalled_holds_what_comes_until_it_flows(
    engine: Engine, cable: Cable
) -> None:
    with Wire(cable.port) as before:
        before.call("PING")
        cable.stall()
        before.send("INCR", "count")
        with Wire(cable.port) as new:
            new.send("INCR", "count")
            until(lambda: cable.accepted == 2)
            assert engine.call("GET", "count") is None
            assert not has_news(before)
            assert not has_news(new)
            cable.flow()
            assert {before.read(), new.read()} == {1, 2}


def test_a_cable_with_a_delay_passes_on_later_and_in_order(cable: Cable) -> None:
    with Wire(cable.port) as wire:
        cable.delay(50)
        began = time.monotonic()
        for number in range(5):
            wire.send("ECHO", number)
        assert [wire.read() for _ in range(5)] == [b"0", b"1", b"2", b"3", b"4"]
        assert time.monotonic() - began >= 0.1  # there and back
        cable.delay(0)
        assert wire.call("PING") == b"PONG"


def test_a_cable_garbles_what_comes_next_from_the_engine_once(cable: Cable) -> None:
    with Wire(cable.port) as wire:
        wire.call("PING")
        cable.garble()
        with pytest.raises(hiredis.ProtocolError):
            wire.call("PING")
    assert cable.garbled == 1
    with Wire(cable.port) as wire:
        assert wire.call("PING") == b"PONG"


def test_a_cable_loses_a_reply_to_what_the_engine_has_done(cable: Cable) -> None:
    with Wire(cable.port) as bystander, Wire(cable.port) as wire:
        wire.call("INCR", "count")
        cable.drop_replies(to=b"INCR")
        assert bystander.call("PING") == b"PONG"
        assert wire.call("PING") == b"PONG"
        with pytest.raises(ConnectionResetError):
            wire.call("INCR", "count")
        assert bystander.call("GET", "count") == b"2"
    assert cable.dropped == 1
    with Wire(cable.port) as wire:
        assert wire.call("INCR", "count") == 3


def test_a_cable_loses_the_reply_to_a_request_that_comes_in_pieces(cable: Cable) -> None:
    request = hiredis.pack_command(("INCR", "count"))  # type: ignore[arg-type]
    cable.drop_replies(to=b"INCR")
    with Wire(cable.port) as wire:
        wire.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in request:
            wire.sock.sendall(bytes([byte]))
        with pytest.raises(ConnectionResetError):
            wire.read()


def test_a_cable_leads_to_another_engine_from_the_next_connection_on(cable: Cable) -> None:
    with Engine() as other, Wire(cable.port) as before:
        before.call("SET", "topic", "tea")
        cable.target_port = other.port
        with Wire(cable.port) as after:
            assert after.call("GET", "topic") is None
        assert before.call("GET", "topic") == b"tea"


def test_a_cable_to_an_engine_that_is_gone_resets_who_connects(
    engine: Engine, cable: Cable
) -> None:
    engine.kill()
    with pytest.raises((ConnectionResetError, BrokenPipeError)), Wire(cable.port) as wire:
        wire.call("PING")
