"""The address that tcpchat-client is given. What is refused: test_client_failures."""

from __future__ import annotations

import pytest
from tcpchat_cli.terminal.address import (
    Address,
    BadAddress,
    parse_address,
    parse_servers,
    show_servers,
)


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
    assert parse_servers(text) == (address,)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a,b", "a:7667,b:7667"),
        (" a:1 , b:2,\tc ", "a:1,b:2,c:7667"),
        ("[::1]:1,127.0.0.1,[::2]", "[::1]:1,127.0.0.1:7667,[::2]:7667"),
        ("b,a,b", "b:7667,a:7667,b:7667"),
    ],
)
def test_several_servers_keep_their_order(text: str, shown: str) -> None:
    servers = parse_servers(text)
    assert show_servers(servers) == shown
    assert parse_servers(shown) == servers


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("a,", "'a,' has a comma without an address; write HOST:PORT,HOST:PORT"),
        (",a", "',a' has a comma without an address; write HOST:PORT,HOST:PORT"),
        ("a, ,b", "'a, ,b' has a comma without an address; write HOST:PORT,HOST:PORT"),
        (",", "',' has a comma without an address; write HOST:PORT,HOST:PORT"),
        ("  ", "'' is no address; write HOST or HOST:PORT"),
        ("a,:1", "':1' is no address; write HOST or HOST:PORT"),
        ("a:1,b:x", "'x' is no port; a port is a number from 1 to 65535"),
        ("a\x1b[2J", r"'a\x1b[2J' is no address: it has a character that cannot be shown"),
        ("b,\udcff:1", r"'\udcff:1' is no address: it has a character that cannot be shown"),
        ("a,::1", "'::1' is no address; put an IPv6 address in brackets: [::1]"),
    ],
)
def test_a_wrong_place_in_a_list_is_told_in_one_sentence(text: str, sentence: str) -> None:
    with pytest.raises(BadAddress) as refused:
        parse_servers(text)
    assert str(refused.value) == sentence
