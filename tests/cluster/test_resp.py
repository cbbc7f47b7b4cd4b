"""The connection to an engine: TLS, logging in, several engines, and nobody held up by it."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from shutil import which

import gevent
import gevent.socket
import gevent.ssl
import pytest

from tcpchat_net.logs.stream import EngineDownError, EngineRefusedError, Origin
from tcpchat_net.logs.stream.address import EngineAddress, Place, parse_url
from tcpchat_net.logs.stream.commands import Commands
from tcpchat_net.resp import RespWire
from tests.cluster.cable import Cable
from tests.cluster.engines import Engine
from tests.cluster.ports import HOST, Port
from tests.net.certificates import Authority

REDIS = which("redis-server")  # Valkey's wheel has no TLS in it

# Python's own modules, and gevent's.
MODULES = pytest.mark.parametrize("modules", [(socket, ssl), (gevent.socket, gevent.ssl)])


@contextmanager
def commands(address: EngineAddress, modules: tuple[object, object]) -> Iterator[Commands]:
    """A connection to an engine that is let go of."""
    made = Commands(RespWire(address, *modules), "team")  # type: ignore[arg-type] # they are modules
    try:
        yield made
    finally:
        made.close()


@contextmanager
def encrypted(tmp_path: Path) -> Iterator[EngineAddress]:
    """An engine that speaks TLS, and has a password."""
    assert REDIS is not None
    authority = Authority()
    files = authority.issue(tmp_path, HOST)
    ca = tmp_path / "ca.pem"
    ca.write_bytes(authority.certificate())
    with (
        Port() as port,
        Engine(
            program=REDIS,
            requirepass="sesame",
            tls_port=port.number,
            tls_cert_file=str(files.cert),
            tls_key_file=str(files.key),
            tls_ca_cert_file=str(ca),
            tls_auth_clients="no",
        ),
    ):
        address = parse_url(f"rediss://{HOST}:{port.number}?ca={ca}")
        yield address._replace(password="sesame")


@pytest.mark.skipif(REDIS is None, reason="takes an engine with TLS in it; .ci/run installs one")
@MODULES
def test_tls_with_a_certificate_of_ones_own(tmp_path: Path, modules: tuple[object, object]) -> None:
    with encrypted(tmp_path) as address:
        with commands(address, modules) as engine:
            assert engine.connect().is_primary
        for wrong, why in (
            (address._replace(ca=""), "is not to be trusted"),
            (address._replace(ca=str(tmp_path / "none")), "cannot read the certificates"),
            (address._replace(password="mellon"), "refuses the login"),
            (address._replace(password=""), "refuses the login"),
        ):
            with commands(wrong, modules) as engine, pytest.raises(EngineRefusedError, match=why):
                engine.connect()
        plain = address._replace(is_encrypted=False, ca="")
        with commands(plain, modules) as engine, pytest.raises(EngineDownError):
            engine.connect()


@pytest.mark.skipif(REDIS is None, reason="takes an engine with TLS in it; .ci/run installs one")
def test_a_read_that_waits_holds_nobody_up_with_tls(tmp_path: Path) -> None:
    with encrypted(tmp_path) as address:
        check_that_others_go_on(address)


def test_a_read_that_waits_holds_nobody_up(engine: Engine) -> None:
    check_that_others_go_on(parse_url(engine.url("team")))


def check_that_others_go_on(address: EngineAddress) -> None:
    """While one greenlet waits for the engine, another one gives it what it waits for."""
    gevents = (gevent.socket, gevent.ssl)
    with commands(address, gevents) as reader, commands(address, gevents) as writer:
        reader.connect()
        writer.connect()
        writer.create("epoch")
        joined = writer.join(0, "me")
        waiting = gevent.spawn(reader.read, 0, 60_000)
        gevent.sleep(0)
        writer.propose(Origin(joined.node, joined.boot, 1), 1, b"record")
        [row] = waiting.get(timeout=30)
        assert row.record == b"record"


@MODULES
def test_of_several_engines_the_primary_is_taken(modules: tuple[object, object]) -> None:
    with Engine() as primary, Engine(replicaof=primary) as replica, Port() as nobody:
        replica.catch_up()
        ports = (nobody.number, replica.port, primary.port)
        address = EngineAddress(tuple(Place(HOST, port) for port in ports))
        with commands(address, modules) as engine:
            greeting = engine.connect()
            assert (greeting.is_primary, engine.address) == (True, primary.address)
        without = address._replace(places=address.places[:2])
        with (
            commands(without, modules) as engine,
            pytest.raises(EngineDownError, match=r"none of .* is a primary"),
        ):
            engine.connect()
        with commands(address._replace(places=address.places[1:2]), modules) as engine:
            assert not engine.connect().is_primary


@MODULES
def test_a_socket_of_the_file_system(tmp_path: Path, modules: tuple[object, object]) -> None:
    path = tmp_path / "valkey.sock"
    with Engine(unixsocket=str(path)), commands(parse_url(f"unix://{path}"), modules) as engine:
        assert engine.connect().is_primary
    with (
        commands(parse_url(f"unix://{path}"), modules) as engine,
        pytest.raises(EngineDownError, match="cannot reach the engine at"),
    ):
        engine.connect()


@MODULES
def test_what_comes_back_garbled_is_a_lost_connection(
    engine: Engine, cable: Cable, modules: tuple[object, object]
) -> None:
    with commands(parse_url(engine.url("team", cable.port)), modules) as far:
        far.connect()
        cable.garble()
        with pytest.raises(EngineDownError):
            far.connect()
        assert far.connect().is_primary
