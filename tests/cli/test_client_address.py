"""The address that tcpchat-client is given. What is refused: test_client_failures."""

from __future__ import annotations

import pytest
from tcpchat_cli.terminal.address import Address, parse_address


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("example.org", Address("example.org", 7667)),
        ("example.org:80", Address("example.org", 80)),
        ("127.0.0.1:65535", Address("127.0.0.1", 65535)),
        ("[::1]", Address("::1", 7667)),
        ("[::1]:80", Address("::1", 80)),
    ],
)
def test_host_port_and_ipv6_in_brackets(text: str, address: Address) -> None:
    assert parse_address(text) == address
    assert parse_address(str(address)) == address
