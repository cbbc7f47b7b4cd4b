"""The PROXY protocol: on whose behalf a proxy connects. A header before everything else.

Source: https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt, versions 1 and 2. Pure: bytes
in, a header out.

Rule 1: Whatever the bytes, and however they are split, `parse` gives a header, asks for more, or
        raises ProxyProtocolError; and it asks for no more than `MAX_HEADER_BYTES`.

Rule 2: A header is for who is trusted to send one. Anybody else could claim any address.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from typing import Final, NamedTuple, TypeAlias

Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network

_SIGNATURE: Final = b"\r\n\r\n\x00\r\nQUIT\n"
_TEXT_SIGNATURE: Final = b"PROXY "

# The longest line of version 1, with its end (section 2.1).
_MAX_TEXT_BYTES: Final = 107

# What comes before the addresses in version 2.
_FIXED_BYTES: Final = 16

# Addresses take 36 bytes, or 216 for those of Unix sockets, the rest are extensions; a client's
# certificate is the largest of those. Nobody needs more.
MAX_HEADER_BYTES: Final = 4_096

# How long the two addresses are for each kind of connection; ports follow.
_INET: Final = 0x1
_INET6: Final = 0x2
_ADDRESS_BYTES: Final = {_INET: 4, _INET6: 16}


class ProxyProtocolError(Exception):
    """These bytes are no header; the text says why."""


class Header(NamedTuple):
    """What a header says: the client's address and port, and how many bytes the header has.

    `source` is None when the proxy speaks for itself (to see whether the server is there), or for
    somebody who has no address.
    """

    source: tuple[str, int] | None
    size: int


def parse(data: bytes) -> Header | None:
    """The header that a connection begins with; None when more has to come.

    Bytes behind it are no part of it. Raises ProxyProtocolError.
    """
    if data.startswith(_SIGNATURE):
        return _parse_binary(data)
    if data.startswith(_TEXT_SIGNATURE):
        return _parse_text(data)
    if _SIGNATURE.startswith(data) or _TEXT_SIGNATURE.startswith(data):
        return None
    raise ProxyProtocolError("a connection from a proxy did not begin with a header")


def _parse_binary(data: bytes) -> Header | None:
    if len(data) < _FIXED_BYTES:
        return None
    version, command = data[12] >> 4, data[12] & 0xF
    if version != 2:
        raise ProxyProtocolError(f"version {version} is not known")
    if command > 1:
        raise ProxyProtocolError(f"command {command} is not known")
    family = data[13] >> 4
    length = int.from_bytes(data[14:16])
    size = _FIXED_BYTES + length
    if size > MAX_HEADER_BYTES:
        raise ProxyProtocolError(f"a header of {size:,} bytes is too long")
    if len(data) < size:
        return None
    width = _ADDRESS_BYTES.get(family)
    if command == 0 or width is None:
        return Header(None, size)
    if length < 2 * width + 4:
        raise ProxyProtocolError(f"{length} bytes are too few for two addresses and ports")
    body = data[_FIXED_BYTES:size]
    host = str(ipaddress.ip_address(body[:width]))
    return Header((host, int.from_bytes(body[2 * width : 2 * width + 2])), size)


def _parse_text(data: bytes) -> Header | None:
    end = data.find(b"\r\n", 0, _MAX_TEXT_BYTES)
    if end < 0:
        if len(data) >= _MAX_TEXT_BYTES:
            raise ProxyProtocolError("the first line is too long")
        return None
    size = end + 2
    match data[:end].split(b" "):
        case [_, b"UNKNOWN", *_]:
            return Header(None, size)
        case [_, b"TCP4" | b"TCP6" as kind, source, destination, source_port, destination_port]:
            version = 4 if kind == b"TCP4" else 6
            _address(destination, version)
            _port(destination_port)
            return Header((_address(source, version), _port(source_port)), size)
        case _:
            raise ProxyProtocolError("the first line is not one of the PROXY protocol")


def _address(text: bytes, version: int) -> str:
    try:
        address = ipaddress.ip_address(text.decode("ascii"))
    except ValueError as error:
        raise ProxyProtocolError("an address is none") from error
    if address.version != version or "%" in str(address):
        raise ProxyProtocolError("an address is of another kind than was said")
    return str(address)


def _port(text: bytes) -> int:
    if not (text.isdigit() and len(text) <= 5 and int(text) <= 65_535):
        raise ProxyProtocolError("a port is none")
    return int(text)


# ── Who is trusted ───────────────────────────────────────────────────────────────────────────────


class TrustedProxies:
    """The networks whose connections have to begin with a header, and nobody else's."""

    def __init__(self, networks: Sequence[Network] = ()) -> None:
        self._networks = tuple(networks)

    def __contains__(self, host: str) -> bool:
        if not self._networks:
            return False
        address = ipaddress.ip_address(host)
        if isinstance(address, ipaddress.IPv6Address):
            address = address.ipv4_mapped or address
        return any(address in network for network in self._networks)
