"""The PROXY protocol: what its headers say, and whose address counts."""

from __future__ import annotations

import contextlib
import ipaddress
import socket
import ssl
import struct
from collections.abc import Callable
from contextlib import ExitStack
from ipaddress import ip_address, ip_network
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tcpchat_core import ChatState, Effect, ServerLimits, ServerProtocol
from tcpchat_net.happenings import Happening, Refused
from tcpchat_net.proxy_protocol import (
    MAX_HEADER_BYTES,
    Header,
    ProxyProtocolError,
    TrustedProxies,
    parse,
)
from tcpchat_net.tls import server_context
from tests.net.certificates import Authority
from tests.net.serving import NO_FLOOD_CONTROL, Peer, serving

SIGNATURE = bytes.fromhex("0D0A0D0A000D0A515549540A")
LOCALHOST = (ip_network("127.0.0.1"),)


def binary(
    source: str, port: int = 40_000, *, command: int = 1, kind: int = 1, extensions: bytes = b""
) -> bytes:
    """A header of version 2, for TCP unless another kind is given."""
    address = ip_address(source)
    family = 1 if address.version == 4 else 2
    body = address.packed + address.packed + struct.pack("!HH", port, 7_667) + extensions
    head = bytes([0x20 | command, family << 4 | kind])
    return SIGNATURE + head + len(body).to_bytes(2) + body


def text(source: str, port: int = 40_000) -> bytes:
    """A header of version 1."""
    kind = "TCP4" if ip_address(source).version == 4 else "TCP6"
    return f"PROXY {kind} {source} {source} {port} 7667\r\n".encode()


# ── What a header says ───────────────────────────────────────────────────────────────────────────

ADDRESSES = st.ip_addresses().filter(lambda address: "%" not in str(address)).map(str)
PORTS = st.integers(0, 65_535)
HEADERS = st.builds(binary, ADDRESSES, PORTS, extensions=st.binary(max_size=300)) | st.builds(
    text, ADDRESSES, PORTS
)


@given(ADDRESSES, PORTS, st.sampled_from([binary, text]), st.binary())
def test_a_header_gives_the_address_and_port_of_the_client(
    source: str, port: int, made: Callable[[str, int], bytes], rest: bytes
) -> None:
    header = made(source, port)
    assert parse(header + rest) == Header((str(ip_address(source)), port), len(header))


@given(HEADERS)
def test_every_beginning_of_a_header_asks_for_more(header: bytes) -> None:
    for size in range(len(header)):
        assert parse(header[:size]) is None


@pytest.mark.parametrize(
    "header",
    [
        pytest.param(SIGNATURE + b"\x20\x00\x00\x00", id="2, for itself"),
        pytest.param(binary("192.0.2.7", command=0), id="2, for itself with addresses"),
        pytest.param(SIGNATURE + b"\x21\x31\x00\xd8" + b"x" * 216, id="2, a Unix socket"),
        pytest.param(SIGNATURE + b"\x21\x00\x00\x03abc", id="2, unspecified"),
        pytest.param(b"PROXY UNKNOWN\r\n", id="1, unknown"),
        pytest.param(b"PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n", id="1, unknown with addresses"),
    ],
)
def test_a_header_may_name_nobody(header: bytes) -> None:
    assert parse(header + b"/join lobby\n") == Header(None, len(header))


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"/join lobby\n", id="no header"),
        pytest.param(b'{"type":"hello"}\n', id="no header, jsonl"),
        pytest.param(b"PROXY TCP4 192.0.2.7 192.0.2.1 1\r\n", id="a port is missing"),
        pytest.param(b"PROXY TCP4 192.0.2.7 192.0.2.1 1 2 3\r\n", id="one too many"),
        pytest.param(b"PROXY TCP4  192.0.2.7 192.0.2.1 1 2\r\n", id="two blanks"),
        pytest.param(b"PROXY TCP5 192.0.2.7 192.0.2.1 1 2\r\n", id="unknown kind"),
        pytest.param(b"PROXY TCP4 ::1 ::1 1 2\r\n", id="an address of the other kind"),
        pytest.param(b"PROXY TCP6 fe80::1%eth0 ::1 1 2\r\n", id="an address with a zone"),
        pytest.param(b"PROXY TCP4 192.0.2.256 192.0.2.1 1 2\r\n", id="no address"),
        pytest.param(b"PROXY TCP4 \xff\xff 192.0.2.1 1 2\r\n", id="no text"),
        pytest.param(b"PROXY TCP4 192.0.2.7 192.0.2.1 65536 2\r\n", id="no port"),
        pytest.param(b"PROXY TCP4 192.0.2.7 192.0.2.1 -1 2\r\n", id="a port below none"),
        pytest.param(b"PROXY TCP4 192.0.2.7 192.0.2.1 1 2\n" + b"x" * 107, id="no end of line"),
        pytest.param(b"PROXY UNKNOWN " + b"x" * 200, id="a line too long"),
        pytest.param(SIGNATURE + b"\x11\x11\x00\x0c" + b"x" * 12, id="another version"),
        pytest.param(SIGNATURE + b"\x22\x11\x00\x0c" + b"x" * 12, id="another command"),
        pytest.param(SIGNATURE + b"\x21\x11\x00\x0b" + b"x" * 11, id="too short for IPv4"),
        pytest.param(SIGNATURE + b"\x21\x21\x00\x23" + b"x" * 35, id="too short for IPv6"),
        pytest.param(SIGNATURE + b"\x21\x11\xff\xff", id="too long"),
    ],
)
def test_what_is_no_header_is_an_error(data: bytes) -> None:
    with pytest.raises(ProxyProtocolError):
        parse(data)


@st.composite
def mutilated(draw: st.DrawFn) -> bytes:
    """A header in which some bytes are others, or missing."""
    data = bytearray(draw(HEADERS))
    for _ in range(draw(st.integers(1, 4))):
        place = draw(st.integers(0, len(data) - 1))
        data[place : place + draw(st.integers(0, 2))] = draw(st.binary(max_size=2))
        data = data or bytearray(b"P")
    return bytes(data)


@given(
    st.binary()
    | mutilated()
    | st.binary().map(SIGNATURE.__add__)
    | st.binary().map(b"PROXY ".__add__)
)
def test_whatever_comes_is_a_header_or_an_error_and_never_without_end(data: bytes) -> None:
    """However much follows: it is decided within the longest header there may be."""
    try:
        header = parse(data + bytes(MAX_HEADER_BYTES))
    except ProxyProtocolError:
        return
    assert header is not None
    assert header.size <= MAX_HEADER_BYTES
    if header.source is not None:
        ipaddress.ip_address(header.source[0])
        assert 0 <= header.source[1] <= 65_535


@given(st.binary() | mutilated(), st.data())
def test_what_is_decided_about_a_beginning_stays_so_with_more(
    data: bytes, drawn: st.DataObject
) -> None:
    size = drawn.draw(st.integers(0, len(data)))
    try:
        early = parse(data[:size])
    except ProxyProtocolError:
        with pytest.raises(ProxyProtocolError):
            parse(data)
        return
    if early is not None:
        assert parse(data) == early


@pytest.mark.parametrize(
    ("host", "is_trusted"),
    [
        ("127.0.0.1", True),
        ("127.0.0.2", False),
        ("10.255.0.1", True),
        ("::ffff:10.0.0.1", True),
        ("fd00::1", True),
        ("fe80::1%eth0", False),
        ("2001:db8::1", False),
    ],
)
def test_only_the_networks_that_are_named_are_trusted(host: str, is_trusted: bool) -> None:
    named = ("127.0.0.1", "10.0.0.0/8", "fd00::/8")
    assert (host in TrustedProxies([ip_network(network) for network in named])) == is_trusted
    assert host not in TrustedProxies()


# ── Whose address counts ─────────────────────────────────────────────────────────────────────────


def through_proxy(address: tuple[str, int], header: bytes, rest: bytes = b"") -> Peer:
    """A connection that begins with a header."""
    peer = Peer(address)
    peer.sock.sendall(header + rest)
    return peer


def test_people_behind_a_proxy_have_limits_of_their_own() -> None:
    headers = [binary("192.0.2.7"), text("192.0.2.8"), binary("2001:db8::7")]
    with serving(max_per_ip=1, proxies=LOCALHOST) as server, ExitStack() as stack:
        for header in headers:
            peer = stack.enter_context(through_proxy(server.address, header, b"/rooms\n"))
            assert peer.line().startswith("* Welcome")
        again = stack.enter_context(through_proxy(server.address, headers[0], b"/rooms\n"))
        assert again.line().startswith("! too-many-connections")


class PeersSeen(ServerProtocol):
    """Keeps by what wrong passwords are counted, for each connection."""

    def __init__(self) -> None:
        super().__init__(ChatState(), limits=NO_FLOOD_CONTROL, password="open sesame")
        self.peers: list[str] = []

    def connection_made(
        self,
        conn: int,
        *,
        now: int,
        token: str = "",
        peer: str = "",
        origin: str = "",
        is_safe: bool = True,
    ) -> list[Effect]:
        self.peers.append(peer)
        return super().connection_made(
            conn, now=now, token=token, peer=peer, origin=origin, is_safe=is_safe
        )


def test_wrong_passwords_are_counted_by_the_address_that_the_header_gives() -> None:
    protocol = PeersSeen()
    with serving(protocol, proxies=LOCALHOST) as server:
        for source in ("192.0.2.7", "192.0.2.8", "2001:db8::7"):
            with through_proxy(server.address, binary(source), b"open sesame\n") as peer:
                assert peer.until("Welcome")
    assert protocol.peers == ["192.0.2.7", "192.0.2.8", "2001:db8::/64"]


def test_a_header_may_come_in_pieces_and_with_what_follows() -> None:
    data = binary("192.0.2.7", extensions=b"\x04\x00\x03abc") + b"/join lobby\n/who\n"
    with serving(proxies=LOCALHOST) as server, Peer(server.address) as peer:
        peer.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for place in range(len(data)):
            peer.sock.sendall(data[place : place + 1])
        assert peer.until("in lobby:") == "* 1 in lobby: guest-1. Moderators: guest-1"


def test_a_proxy_may_look_whether_the_server_is_there() -> None:
    told: list[Happening] = []
    with serving(proxies=LOCALHOST, report=told.append) as server:
        with Peer(server.address):
            pass  # it connects, and that is all
        with through_proxy(server.address, SIGNATURE + b"\x20\x00\x00\x00", b"/rooms\n") as proxy:
            assert proxy.line().startswith("* Welcome")
    assert told == []


def test_a_connection_from_a_proxy_without_a_header_is_closed_with_one_complaint() -> None:
    told: list[Happening] = []
    with serving(proxies=LOCALHOST, report=told.append) as server:
        for _ in range(3):
            # It is closed with input that nobody read: that may look like a reset.
            with (
                through_proxy(server.address, b"/join lobby\n") as peer,
                contextlib.suppress(ConnectionResetError),
            ):
                assert peer.rest() == ""
        assert server.connections == 0
    text = "a connection from a proxy did not begin with a header"
    assert told == [Refused("127.0.0.1", "proxies", text, 0)]


def test_a_header_that_does_not_end_is_waited_for_only_so_long() -> None:
    protocol = ServerProtocol(ChatState(), limits=ServerLimits(handshake_ms=300))
    with (
        serving(protocol, proxies=LOCALHOST) as server,
        through_proxy(server.address, binary("192.0.2.7")[:-1]) as peer,
    ):
        assert peer.rest() == ""


def test_a_header_of_somebody_who_is_not_trusted_is_not_believed() -> None:
    with (
        serving(proxies=(ip_network("10.0.0.0/8"),)) as server,
        through_proxy(server.address, text("192.0.2.7")) as peer,
    ):
        assert peer.line().startswith("* Welcome")  # as somebody who typed a line


def test_tls_begins_behind_the_header(tmp_path: Path) -> None:
    authority = Authority()
    files = authority.issue(tmp_path)
    tls = server_context(str(files.cert), str(files.key))
    with serving(tls=tls, proxies=LOCALHOST, max_per_ip=1) as server:
        for source in ("192.0.2.7", "192.0.2.8"):
            peer = through_proxy(server.address, binary(source))
            with authority.client().wrap_socket(peer.sock, server_hostname="localhost") as sock:
                assert isinstance(sock, ssl.SSLSocket)
                assert sock.recv(65_536).startswith(b"* Welcome")
