"""TLS on real sockets: everything as without it, and nobody waits for somebody's handshake."""

from __future__ import annotations

import datetime as dt
import json
import signal
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from tcpchat_core import ChatState, ServerLimits, ServerProtocol
from tcpchat_core.dialects.http import refused
from tcpchat_net import ChatServer
from tcpchat_net.tls import TlsError, server_context
from tests.net.certificates import Authority, Files
from tests.net.serving import LIMIT_S, Peer, serving

SERVER = str(Path(sys.executable).with_name("tcpchat-server"))
VERSIONS = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]

# The first half of a ClientHello: a record of 512 bytes is announced, and 3 come.
HALF_A_HANDSHAKE = b"\x16\x03\x01\x02\x00\x01\x00\x01"


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority()


@pytest.fixture(scope="module")
def files(authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> Files:
    return authority.issue(tmp_path_factory.mktemp("certificates"))


@contextmanager
def serving_tls(files: Files, **options: Any) -> Iterator[ChatServer]:
    with serving(tls=server_context(str(files.cert), str(files.key)), **options) as server:
        yield server


def waiting_for_handshakes(ms: int) -> ServerProtocol:
    """A server that waits so long for a handshake."""
    return ServerProtocol(ChatState(), limits=ServerLimits(handshake_ms=ms))


def joined(peer: Peer) -> Peer:
    """The peer, once it is in the lobby."""
    peer.send("/join lobby")
    peer.until("You joined lobby")
    return peer


# ── As without it ────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("version", VERSIONS, ids=lambda version: version.name)
def test_people_of_both_dialects_talk_over_tls(
    authority: Authority, files: Files, version: ssl.TLSVersion
) -> None:
    client = authority.client(version)
    with serving_tls(files) as server, Peer(server.address, client) as person:
        assert person.line().startswith("* Welcome to tcpchat. You are guest-1.")
        joined(person)
        # Only now: who is silent for as long as the person above is greeted as a person.
        with Peer(server.address, client) as program:
            program.send('{"type":"hello"}')
            assert json.loads(program.line())["type"] == "welcome"
            program.send('{"type":"join","room":"lobby"}')
            assert json.loads(program.line())["type"] == "entered"
            program.send('{"type":"say","room":"lobby","text":"hello","id":"1"}')
            assert json.loads(program.line())["type"] == "sent"
            assert person.until("hello") == "[lobby] guest-2: hello"
            person.send("good day")
            assert json.loads(program.line())["text"] == "good day"
            person.send("/quit")
            # `suppress_ragged_eofs` is off: this end was said in TLS, and is no cut.
            assert person.rest() == "* Closing: bye\n"


@pytest.mark.parametrize("version", VERSIONS, ids=lambda version: version.name)
def test_much_goes_through_tls_in_both_directions_whole_and_in_order(
    authority: Authority, files: Files, version: ssl.TLSVersion
) -> None:
    client = authority.client(version)
    lines = [f"{number:04} {'é' * 900}" for number in range(400)]  # 720 KB
    with (
        serving_tls(files, max_backlog_bytes=1 << 24) as server,
        Peer(server.address, client) as talker,
        Peer(server.address, client) as listener,
    ):
        joined(talker)
        joined(listener)
        talker.send("\n".join(lines))
        for line in lines:
            assert listener.line() == f"[lobby] guest-1: {line}"


def test_a_reader_over_tls_that_takes_nothing_is_closed_and_nobody_waits_for_it(
    authority: Authority, files: Files
) -> None:
    client = authority.client()
    with (
        serving_tls(files, max_backlog_bytes=262_144) as server,
        Peer(server.address, client, receive_buffer=4_096) as slow,
        Peer(server.address, client) as talker,
    ):
        joined(slow)
        joined(talker)
        talker.send("\n".join(["x" * 1_500] * 8_000))  # more than the kernel keeps
        assert talker.until("guest-1") == "* guest-1 quit (read too slowly)"


def test_a_full_server_says_so_over_tls(authority: Authority, files: Files) -> None:
    client = authority.client()
    with (
        serving_tls(files, max_clients=1) as server,
        Peer(server.address, client) as inside,
        Peer(server.address, client) as outside,
    ):
        assert inside.line().startswith("* Welcome")
        assert outside.rest() == "! server-full: the server is full; try again later\n"


def test_a_connection_that_is_cut_off_without_goodbye_is_gone(
    authority: Authority, files: Files
) -> None:
    client = authority.client()
    with serving_tls(files) as server, Peer(server.address, client) as stays:
        joined(stays)
        with Peer(server.address, client) as goes:
            joined(goes)
            stays.until("joined lobby")
            plain = socket.socket(fileno=goes.sock.detach())
            plain.close()
        assert "guest-2" in stays.line()


# ── What is refused ──────────────────────────────────────────────────────────────────────────────


def test_older_versions_of_tls_are_not_spoken(files: Files) -> None:
    context = server_context(str(files.cert), str(files.key))
    assert context.minimum_version == ssl.TLSVersion.TLSv1_2


def test_a_client_that_verifies_refuses_a_certificate_for_another_host(
    authority: Authority, files: Files
) -> None:
    with serving_tls(files) as server:
        with pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):
            Peer(server.address, authority.client(), hostname="chat.example.org")
        with Peer(server.address, authority.client()) as other:
            assert other.line().startswith("* Welcome")


def test_a_client_that_verifies_refuses_an_expired_certificate(
    authority: Authority, tmp_path: Path
) -> None:
    yesterday = dt.datetime.now(tz=dt.UTC) - dt.timedelta(days=1)
    expired = authority.issue(
        tmp_path, not_before=yesterday - dt.timedelta(days=30), not_after=yesterday
    )
    with (
        serving_tls(expired) as server,
        pytest.raises(ssl.SSLCertVerificationError, match="expired"),
    ):
        Peer(server.address, authority.client())


@pytest.mark.parametrize(
    ("first", "answer"),
    [
        pytest.param(
            b"hello\n",
            "! tls-required: this server speaks TLS only; come with tcpchat-client --tls,"
            " or by https\n",
            id="plain",
        ),
        pytest.param(
            b'{"type":"hello"}\n',
            '{"type":"closing","reason":"this server speaks TLS only;'
            ' come with tcpchat-client --tls, or by https"}\n',
            id="jsonl",
        ),
        pytest.param(
            b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
            refused(
                503, "this server speaks TLS only; come with tcpchat-client --tls, or by https"
            ).decode(),
            id="browser",
        ),
    ],
)
def test_who_does_not_speak_tls_is_told_that_it_is_needed(
    files: Files, first: bytes, answer: str
) -> None:
    with serving_tls(files) as server, Peer(server.address) as peer:
        peer.sock.sendall(first)
        assert peer.rest() == answer


def test_garbage_in_the_place_of_a_handshake_ends_that_connection_only(
    authority: Authority, files: Files
) -> None:
    with serving_tls(files) as server, Peer(server.address, authority.client()) as inside:
        joined(inside)
        for garbage in (b"\x16" * 1_000, b"\x16\x03\x01\x00\x05hello", HALF_A_HANDSHAKE):
            # The server may be done with it at any moment: the socket says so in several ways.
            with Peer(server.address) as peer, suppress(OSError):
                peer.sock.sendall(garbage)
                peer.sock.shutdown(socket.SHUT_WR)
                while peer.sock.recv(65_536):
                    pass  # TLS's own alert
        inside.send("/who")
        assert inside.line() == "* 1 in lobby: guest-1. Moderators: guest-1"


# ── Handshakes that do not end ───────────────────────────────────────────────────────────────────


def begun_handshakes(stack: ExitStack, server: ChatServer) -> tuple[list[Peer], list[Peer]]:
    """Peers that say nothing, and peers that stop in the middle of what they say."""
    silent = [stack.enter_context(Peer(server.address)) for _ in range(20)]
    halves = [stack.enter_context(Peer(server.address)) for _ in range(20)]
    for peer in halves:
        peer.sock.sendall(HALF_A_HANDSHAKE)
    return silent, halves


def test_handshakes_that_do_not_end_delay_nobody(authority: Authority, files: Files) -> None:
    patient = waiting_for_handshakes(3_600_000)  # longer than this takes
    with serving_tls(files, protocol=patient) as server, ExitStack() as stack:
        begun_handshakes(stack, server)
        inside = joined(stack.enter_context(Peer(server.address, authority.client())))
        inside.send("/who")
        assert inside.line() == "* 1 in lobby: guest-1. Moderators: guest-1"


def test_handshakes_that_do_not_end_are_ended_after_a_time(files: Files) -> None:
    with (
        serving_tls(files, protocol=waiting_for_handshakes(200)) as server,
        ExitStack() as stack,
    ):
        silent, halves = begun_handshakes(stack, server)
        for peer in silent:
            assert peer.rest().startswith("! tls-required: ")
        for peer in halves:
            assert peer.rest() == ""


def test_a_handshake_that_does_not_end_holds_a_place_only_until_then(
    authority: Authority, files: Files
) -> None:
    client = authority.client()
    with (
        serving_tls(files, max_clients=1, protocol=waiting_for_handshakes(500)) as server,
        Peer(server.address) as half,
    ):
        half.sock.sendall(HALF_A_HANDSHAKE)
        assert half.rest() == ""
        while not comes_in(server, client):
            pass  # on a busy machine its own handshake may take too long


def comes_in(server: ChatServer, client: ssl.SSLContext) -> bool:
    with suppress(OSError), Peer(server.address, client) as peer:
        return peer.line().startswith("* Welcome")
    return False


# ── The certificate's files ──────────────────────────────────────────────────────────────────────


@contextmanager
def installed_server(*arguments: str) -> Iterator[tuple[subprocess.Popen[str], tuple[str, int]]]:
    """The installed tcpchat-server, and where it listens."""
    command = [SERVER, "--port", "0", *arguments]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            host, _, port = process.stdout.readline().split()[-1].rpartition(":")
            process.stdout.readline()
            yield process, (host, int(port))
        finally:
            process.kill()


def logged(process: subprocess.Popen[str], part: str) -> str:
    """The next line of its log that has `part` in it."""
    assert process.stderr is not None
    for line in process.stderr:
        if part in line:
            return line
    raise AssertionError(f"the log ended before a line with {part!r}")


def serial(address: tuple[str, int], client: ssl.SSLContext) -> int:
    """The number of the certificate that the server shows now."""
    with Peer(address, client) as peer:
        assert isinstance(peer.sock, ssl.SSLSocket)
        certificate = peer.sock.getpeercert()
        assert certificate is not None
        return int(str(certificate["serialNumber"]), 16)


def test_sighup_renews_the_certificate_and_a_broken_one_is_not_taken(
    authority: Authority, tmp_path: Path
) -> None:
    client = authority.client()
    files = authority.issue(tmp_path)
    arguments = ("--tls-cert", str(files.cert), "--tls-key", str(files.key))
    with installed_server(*arguments) as (process, address), Peer(address, client) as stays:
        joined(stays)
        first = serial(address, client)

        files.write(authority.leaf())
        assert serial(address, client) == first
        process.send_signal(signal.SIGHUP)
        assert "event=certificate-renewed" in logged(process, "certificate")
        second = serial(address, client)
        assert second != first

        files.cert.write_text("this is no certificate\n")
        process.send_signal(signal.SIGHUP)
        assert "the old settings stay in use: " in logged(process, "certificate")
        assert serial(address, client) == second

        stays.send("/who")
        assert stays.until("in lobby") == "* 1 in lobby: guest-1. Moderators: guest-1"
        process.terminate()
        assert process.wait(LIMIT_S) == 0


def test_sighup_when_nothing_has_changed_is_logged_and_changes_nothing() -> None:
    with installed_server() as (process, address), Peer(address) as stays:
        joined(stays)
        process.send_signal(signal.SIGHUP)
        assert "event=reloaded changed=nothing" in logged(process, "reloaded")
        stays.send("/who")
        assert stays.line() == "* 1 in lobby: guest-1. Moderators: guest-1"


def test_the_first_lines_say_how_to_join_over_tls(files: Files) -> None:
    arguments = ("--tls-cert", str(files.cert), "--tls-key", str(files.key))
    command = [SERVER, "--port", "0", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        where = process.stdout.readline().split()[-1]
        assert process.stdout.readline() == f"join:  tcpchat-client --tls {where}\n"
        assert process.stdout.readline() == f"  or:  openssl s_client -quiet -connect {where}\n"
        process.terminate()


def encrypted(key: bytes) -> bytes:
    """The same key, under a password."""
    command = ["openssl", "pkey", "-aes256", "-passout", "pass:secret"]
    return subprocess.run(command, input=key, capture_output=True, check=True).stdout


@pytest.mark.parametrize("what", ["missing", "directory", "mismatch", "no PEM", "encrypted"])
def test_a_certificate_that_cannot_be_used_is_one_sentence(
    authority: Authority, tmp_path: Path, what: str
) -> None:
    cert, key = files = authority.issue(tmp_path)
    match what:
        case "missing":
            key.unlink()
            expected = f"cannot read {key}: No such file or directory"
        case "directory":
            cert.unlink()
            cert.mkdir()
            expected = f"cannot read {cert}: Is a directory"
        case "mismatch":
            key.write_bytes(authority.leaf().private_key_pem.bytes())
            expected = f"the key in {key} does not belong to {cert}"
        case "no PEM":
            cert.write_text("this is no certificate\n")
            expected = f"{cert} and {key} are not a certificate and its key in PEM"
        case _:
            key.write_bytes(encrypted(key.read_bytes()))
            expected = f"the key in {key} is encrypted; the server needs it without a password"
    with pytest.raises(TlsError) as raised:
        server_context(str(files.cert), str(files.key))
    assert str(raised.value) == expected

    command = [SERVER, "--port", "0", "--tls-cert", str(cert), "--tls-key", str(key)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=LIMIT_S)
    assert (done.returncode, done.stdout, done.stderr) == (1, "", f"tcpchat-server: {expected}\n")
