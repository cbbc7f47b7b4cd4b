"""Where a server is: HOST, HOST:PORT, or an IPv6 address in brackets; and a list of these."""

from __future__ import annotations

from typing import NamedTuple

from tcpchat_cli.arguments import DEFAULT_HOST, DEFAULT_PORT, show_address


class BadAddress(ValueError):
    """What was given is no address. The text is one sentence for people."""


class Address(NamedTuple):
    """A host (a name, or an IP address without brackets) and a TCP port."""

    host: str = DEFAULT_HOST
    port: int = DEFAULT_PORT

    def __str__(self) -> str:
        return show_address(self.host, self.port)


def parse_servers(text: str) -> tuple[Address, ...]:
    """The addresses in `text`, in their order; at least one. Raises BadAddress."""
    parts = [part.strip() for part in text.split(",")]
    if len(parts) > 1 and "" in parts:
        raise BadAddress(f"{text!r} has a comma without an address; write HOST:PORT,HOST:PORT")
    return tuple(map(parse_address, parts))


def show_servers(servers: tuple[Address, ...]) -> str:
    """The addresses as `parse_servers` reads them."""
    return ",".join(map(str, servers))


def parse_address(text: str) -> Address:
    """The address that `text` gives. Raises BadAddress."""
    if not text.isprintable():  # no name has such characters, and a terminal would obey them
        raise BadAddress(f"{text!r} is no address: it has a character that cannot be shown")
    if text.startswith("["):
        host, bracket, rest = text[1:].partition("]")
        if not bracket or (rest and not rest.startswith(":")):
            raise BadAddress(f"{text!r} is no address; write [HOST]:PORT around an IPv6 address")
        port = rest[1:]
    else:
        host, colon, port = text.partition(":")
        if ":" in port:
            raise BadAddress(f"{text!r} is no address; put an IPv6 address in brackets: [{text}]")
        rest = colon + port
    if not host:
        raise BadAddress(f"{text!r} is no address; write HOST or HOST:PORT")
    if not rest:
        return Address(host)
    # int() would take "7_667", " 7" and digits of other scripts.
    if not (port.isascii() and port.isdecimal() and len(port) <= 5 and 0 < int(port) < 65_536):
        raise BadAddress(f"{port!r} is no port; a port is a number from 1 to 65535")
    return Address(host, int(port))
