"""The URL of an engine: what it means, and what is wrong with one that means nothing."""

from __future__ import annotations

import contextlib
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tcpchat_net.logs.stream.address import EngineAddress, Place, parse_url


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("valkey://chat.example", EngineAddress((Place("chat.example", 6379),))),
        ("redis://h:7000/3?name=team", EngineAddress((Place("h", 7000),), "team", 3)),
        ("VALKEY://h/?db=4", EngineAddress((Place("h", 6379),), database=4)),
        (
            "valkey://a:1,b,[::1]:3/0",
            EngineAddress((Place("a", 1), Place("b", 6379), Place("::1", 3))),
        ),
        ("valkey://ada@h", EngineAddress((Place("h", 6379),), user="ada")),
        (
            "rediss://h?ca=/etc/ca.pem",
            EngineAddress((Place("h", 6379),), is_encrypted=True, ca="/etc/ca.pem"),
        ),
        ("valkeys://h", EngineAddress((Place("h", 6379),), is_encrypted=True)),
        (
            "unix:///run/my%20valkey.sock?db=2&name=team",
            EngineAddress((Place("", 0, "/run/my valkey.sock"),), "team", 2),
        ),
        ("unix://ada@/run/v.sock", EngineAddress((Place("", 0, "/run/v.sock"),), user="ada")),
    ],
)
def test_a_url_says_where_the_engine_is_and_which_log_is_meant(
    url: str, address: EngineAddress
) -> None:
    assert parse_url(url) == address


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("", "'' is no URL such as valkey://HOST:6379/0?name=team"),
        ("localhost:6379", "is no URL such as"),
        ("http://h", "or with valkey, redis, valkeys, rediss, unix"),
        ("valkey://[::1", "is no URL such as"),
        ("valkey://", "is no URL such as"),
        ("valkey://h:x", "'h:x' is no HOST:PORT"),
        ("valkey://h:0", "'h:0' is no HOST:PORT"),
        ("valkey://h:65536", "'h:65536' is no HOST:PORT"),
        ("valkey://a,,b", "'' is no HOST:PORT"),
        ("valkey://h/x", "'x' is no database"),
        ("valkey://h/²", "'²' is no database"),
        ("valkey://h?name=", "'' is no name of a log"),
        ("valkey://h?name=a b", "'a b' is no name of a log"),
        ("valkey://h?nmae=a", "there is no 'nmae'; there are name, ca, db"),
        ("valkey://h?ca=x", "ca is for TLS; write valkeys:// or rediss://"),
        ("unix://h/run/x", "names no socket; write unix:///path"),
    ],
)
def test_what_is_no_url_is_told_with_what_is_wrong(url: str, sentence: str) -> None:
    with pytest.raises(ValueError, match=re.escape(sentence)):
        parse_url(url)


def test_a_password_in_a_url_is_refused_and_not_repeated() -> None:
    with pytest.raises(ValueError, match="TCPCHAT_LOG_PASSWORD") as raised:
        parse_url("valkey://ada:sesame@h")
    assert "sesame" not in str(raised.value)


@given(st.text(max_size=40) | st.text(max_size=30).map(lambda rest: f"valkey://{rest}"))
def test_any_text_is_a_url_or_is_told_why_not(text: str) -> None:
    with contextlib.suppress(ValueError):
        assert str(parse_url(text))
