"""tcpchat-client over TLS: it trusts whom it is told to trust, and nobody else."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme
from tcpchat_cli.terminal import exits

from tests.cli.conftest import Server, running_server
from tests.cli.terminal import CLIENT, LIMIT_SECONDS
from tests.cli.test_admin import code_for


@pytest.fixture
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def server(authority: trustme.CA, tmp_path: Path) -> Iterator[Server]:
    """A server with a certificate for 127.0.0.1."""
    issued = authority.issue_cert("127.0.0.1")
    certificate, key = tmp_path / "server.pem", tmp_path / "server.key"
    certificate.write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
    key.write_bytes(issued.private_key_pem.bytes())
    tls = ("--tls-cert", str(certificate), "--tls-key", str(key))
    with running_server(*tls, "--data", str(tmp_path / "data")) as started:
        yield started


def run(server: Server, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [CLIENT, server.address, "--nick", "bot", "--room", "lobby", *arguments],
        input="hello\n",
        capture_output=True,
        text=True,
        timeout=LIMIT_SECONDS,
        check=False,
    )


def test_a_certificate_is_verified(server: Server, authority: trustme.CA, tmp_path: Path) -> None:
    trusted = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(trusted))
    assert run(server, "--tls", "--ca", str(trusted)).returncode == 0
    assert run(server, "--tls", "--insecure").returncode == 0
    unknown = run(server, "--tls")
    assert unknown.returncode == 1
    assert "its certificate is not to be trusted: " in unknown.stderr
    assert unknown.stderr.count("\n") == 1


def test_a_tool_for_scripts_trusts_no_other(
    server: Server, authority: trustme.CA, tmp_path: Path
) -> None:
    trusted = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(trusted))
    command = [CLIENT, "send", "lobby", "hello", "--server", server.address, "--tls"]
    for more, status in (["--ca", str(trusted)], exits.DONE), ([], exits.UNREACHABLE):
        done = subprocess.run([*command, *more], timeout=LIMIT_SECONDS, check=False)
        assert done.returncode == status


def test_a_token_that_was_claimed_over_tls_is_not_sent_without(
    server: Server, authority: trustme.CA, tmp_path: Path
) -> None:
    trusted = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(trusted))
    tls = ("--tls", "--ca", str(trusted))
    code = code_for(tmp_path / "data", "ada")
    assert run(server, "--claim", code, *tls).returncode == 0
    again = run(server, *tls)
    assert again.returncode == 0
    assert "(1 here: ada)" in again.stdout
    forgotten = run(server)
    assert forgotten.returncode == 1
    assert "was given over TLS" in forgotten.stderr
    assert forgotten.stderr.count("\n") == 1


def test_the_certificate_has_to_be_for_the_host_that_is_dialled(
    server: Server, authority: trustme.CA, tmp_path: Path
) -> None:
    trusted = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(trusted))
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))  # and does not listen
        down = f"localhost:{unused.getsockname()[1]}"
        used = Server(server.process, f"{down},{server.address}")
        assert run(used, "--tls", "--ca", str(trusted)).returncode == 0
    elsewhere = f"localhost:{server.address.rpartition(':')[2]}"
    both = Server(server.process, f"{elsewhere},{server.address}")
    told = run(both, "--tls", "--ca", str(trusted))
    assert told.returncode == 1
    assert told.stderr.startswith(
        f"tcpchat-client: cannot connect to {elsewhere}: its certificate is not to be trusted: "
    )
    assert told.stderr.count("\n") == 1


def test_tls_flags_that_make_no_sense_are_told(server: Server, tmp_path: Path) -> None:
    for arguments, sentence in (
        (["--insecure"], "--ca and --insecure mean nothing without --tls"),
        (["--tls", "--ca", str(tmp_path / "none")], "no such file or directory"),
    ):
        told = run(server, *arguments)
        assert told.returncode == 1
        assert sentence in told.stderr
        assert told.stderr.count("\n") == 1


def test_a_server_without_tls_is_told() -> None:
    with running_server() as plain:
        told = run(plain, "--tls")
    assert told.returncode == 1
    assert told.stderr.startswith("tcpchat-client: cannot connect to ")
    assert told.stderr.count("\n") == 1
