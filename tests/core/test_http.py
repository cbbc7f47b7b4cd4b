"""What a browser gets: files for whoever calls the server by a name of its own; and a WebSocket."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tcpchat_core.dialects.http import MAX_HEAD_BYTES, Answer, Exchange, Site
from tests.core.browser import (
    ACCEPT,
    PAGE,
    SCRIPT,
    SITE,
    get,
    head_only,
    header,
    sentence,
    status,
    upgrade,
)
from tests.core.harness import split_at
from tests.core.strategies import CUTS


def answered(*pieces: bytes, site: Site = SITE) -> Answer | None:
    """What comes of a request in these pieces; no piece after the answer is looked at."""
    exchange = Exchange(site)
    for piece in pieces:
        if (answer := exchange.receive_data(piece)) is not None:
            return answer
    return None


def answer_to(request: bytes, site: Site = SITE) -> bytes:
    """The bytes that answer a request."""
    answer = answered(request, site=site)
    assert answer is not None
    return answer.data


_NAMES = st.sampled_from(["Host", "host", "Origin", "Upgrade", "If-None-Match", "X y", "", "A"])
_VALUES = st.sampled_from(["localhost", "*", '"e1"', "\x00", "\r", "é", " a ", "gzip;q=0", ":"])
_REQUESTS = st.one_of(
    st.builds(
        get,
        st.sampled_from(["/", "/page.js", "/ws", "/a b", "x", ""]),
        st.dictionaries(_NAMES, _VALUES),
    ),
    st.just(upgrade()),
    st.just(head_only(get("/page.js"))),
    st.binary().map(b"GET / HTTP/1.1\r\n".__add__),
    st.builds(
        lambda a, b: get("/")[:a] + b + get("/")[a:], st.integers(0, 50), st.binary(max_size=3)
    ),
)


@given(request=_REQUESTS, cuts=CUTS)
@example(request=get("/") + b"more\n\n", cuts=[3])
@example(request=get("/", {"A": "x" * (MAX_HEAD_BYTES - 60)}), cuts=[16_000])
def test_any_split_of_any_request_gives_the_same_answer(request: bytes, cuts: list[int]) -> None:
    whole = answered(request)
    assert answered(*(request[place : place + 1] for place in range(len(request)))) == whole
    assert answered(*split_at(request, cuts)) == whole


# ── Files ────────────────────────────────────────────────────────────────────────────────────────


def test_the_page_comes_with_a_policy_that_lets_it_do_nothing_but_chat() -> None:
    data = answer_to(get("/"))
    assert status(data) == 200
    assert data.endswith(b"\r\n\r\n" + PAGE.data)
    assert header(data, "Content-Type") == "text/html; charset=utf-8"
    assert header(data, "Content-Security-Policy") == (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self';"
        " img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none';"
        " require-trusted-types-for 'script'"
    )
    assert header(data, "X-Content-Type-Options") == "nosniff"
    assert header(data, "Cross-Origin-Resource-Policy") == "same-origin"
    assert header(data, "Referrer-Policy") == "no-referrer"
    assert header(data, "Connection") == "close"
    assert header(data, "Cache-Control") == "no-cache"


def test_what_is_asked_for_may_have_a_query() -> None:
    assert answer_to(get("/?room=lobby")) == answer_to(get("/"))


@pytest.mark.parametrize("path", ["/nothing", "/page.js/", "//", "/../page.js", "/%2e", "/Page.js"])
def test_what_is_not_there_is_not_found(path: str) -> None:
    data = answer_to(get(path))
    assert status(data) == 404
    assert sentence(data) == "there is nothing here; the page is at /"
    assert header(data, "X-Content-Type-Options") == "nosniff"


@pytest.mark.parametrize(
    ("accepted", "gzipped"),
    [
        (None, False),
        ("gzip", True),
        ("gzip, deflate, br, zstd", True),
        ("br;q=1.0, GZIP;q=0.8", True),
        ("x-gzip", True),
        ("gzip;q=0", False),
        ("gzip; q=0.000, br", False),
        ("br, deflate", False),
        ("", False),
    ],
)
def test_a_file_is_compressed_for_who_takes_that(accepted: str | None, gzipped: bool) -> None:
    data = answer_to(get("/page.js", {"Accept-Encoding": accepted}))
    assert data.endswith(SCRIPT.gzipped if gzipped else SCRIPT.data)
    assert header(data, "Content-Encoding") == ("gzip" if gzipped else None)
    assert header(data, "Vary") == "Accept-Encoding"


def test_a_file_that_compressing_does_not_make_shorter_is_sent_as_it_is() -> None:
    data = answer_to(get("/", {"Accept-Encoding": "gzip"}))
    assert data.endswith(PAGE.data)
    assert header(data, "Vary") is None


@pytest.mark.parametrize(
    ("known", "code"),
    [
        ('"e2"', 304),
        ('W/"e2"', 304),
        ('"e1", "e2"', 304),
        ("*", 304),
        ('"e1"', 200),
        ('"e2.gzip"', 200),
        ("e2", 200),
    ],
)
def test_who_has_a_file_is_not_sent_it_again(known: str, code: int) -> None:
    data = answer_to(get("/page.js", {"If-None-Match": known}))
    assert status(data) == code
    assert header(data, "ETag") == '"e2"'
    assert data.endswith(b"\r\n\r\n") == (code == 304)


def test_a_list_may_stand_in_several_lines() -> None:
    known = {"If-None-Match": '"e0"', "if-none-match": '"e1"', "IF-NONE-MATCH": '"e2"'}
    assert status(answer_to(get("/page.js", {**known}))) == 304


def test_the_two_forms_of_a_file_have_names_of_their_own() -> None:
    headers: dict[str, str | None] = {"Accept-Encoding": "gzip"}
    assert header(answer_to(get("/page.js", headers)), "ETag") == '"e2.gzip"'
    headers["If-None-Match"] = '"e2.gzip"'
    assert status(answer_to(get("/page.js", headers))) == 304


@pytest.mark.parametrize(
    "request_",
    [
        get("/"),
        get("/page.js", {"Accept-Encoding": "gzip"}),
        get("/page.js", {"If-None-Match": '"e2"'}),
        get("/healthz", {"Host": "backend-7"}),
        get("/nothing"),
        get("/", {"Host": "evil.example"}),
        get("/a b"),
        get("/", {"A": "x" * MAX_HEAD_BYTES}),
    ],
)
def test_who_asks_only_for_the_head_is_given_it_as_it_would_be_and_nothing_else(
    request_: bytes,
) -> None:
    whole, end, _ = answer_to(request_).partition(b"\r\n\r\n")
    assert answer_to(head_only(request_)) == whole + end


def test_a_websocket_is_had_by_get_only() -> None:
    answer = answered(head_only(upgrade()) + b"frames")
    assert answer is not None
    assert not answer.upgrades
    assert answer.data.startswith(b"HTTP/1.1 426 ")
    assert answer.data.endswith(b"\r\n\r\n")


# ── Who calls the server by which name ───────────────────────────────────────────────────────────


@pytest.mark.parametrize("path", ["/", "/page.js", "/nothing", "/ws"])
@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "chat.example.evil.example",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "0x7f.1",
        "2130706433",
        "chat",
        "[::1",
    ],
)
def test_whoever_calls_the_server_by_another_name_gets_nothing(host: str, path: str) -> None:
    headers = {"Host": f"{host}:7667", "Origin": f"http://{host}:7667"}
    data = answer_to(upgrade(path, **headers))
    assert status(data) == (400 if host == "[::1" else 403)


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "LocalHost:7667",
        "127.0.0.1:7667",
        "[::1]:7667",
        "192.168.1.5",
        "[2001:db8::5]:80",
        "chat.example",
        "CHAT.example:443",
    ],
)
def test_the_names_of_a_server_are_those_it_was_given_and_its_addresses(host: str) -> None:
    assert status(answer_to(get("/", {"Host": host}))) == 200
    assert status(answer_to(upgrade(Host=host, Origin=f"http://{host}"))) == 101


def test_who_runs_the_server_is_told_how_to_give_it_a_name() -> None:
    data = answer_to(get("/", {"Host": "tea.example"}))
    assert sentence(data) == (
        "this server does not know that it is tea.example: give it --web-host tea.example"
    )


def test_a_load_balancer_may_call_the_server_as_it_likes() -> None:
    data = answer_to(get("/healthz", {"Host": "backend-7"}))
    assert status(data) == 200
    assert sentence(data) == "ok"


# ── A WebSocket ──────────────────────────────────────────────────────────────────────────────────


def test_a_page_of_the_server_gets_its_websocket() -> None:
    answer = answered(upgrade() + b"frames")
    assert answer is not None
    assert answer.upgrades
    assert answer.rest == b"frames"
    assert status(answer.data) == 101
    assert header(answer.data, "Upgrade") == "websocket"
    assert header(answer.data, "Connection") == "Upgrade"
    assert header(answer.data, "Sec-WebSocket-Accept") == ACCEPT
    assert header(answer.data, "Sec-WebSocket-Protocol") == "tcpchat.jsonl"
    assert header(answer.data, "Sec-WebSocket-Extensions") is None


@pytest.mark.parametrize(
    ("changed", "code", "why"),
    [
        ({"Origin": None}, 403, "only a page of this server may talk to it"),
        ({"Origin": "null"}, 403, "only a page of this server may talk to it"),
        ({"Origin": "http://evil.example"}, 403, "only a page of this server may talk to it"),
        ({"Origin": "http://localhost"}, 403, "only a page of this server may talk to it"),
        ({"Origin": "http://localhost:7668"}, 403, "only a page of this server may talk to it"),
        ({"Origin": "http://127.0.0.1:7667"}, 403, "only a page of this server may talk to it"),
        ({"Origin": "ftp://localhost:7667"}, 403, "only a page of this server may talk to it"),
        ({"Origin": "http://localhost:7667/"}, 403, "only a page of this server may talk to it"),
        ({"Sec_WebSocket_Protocol": None}, 400, "what is spoken here is tcpchat.jsonl"),
        ({"Sec_WebSocket_Protocol": "chat"}, 400, "what is spoken here is tcpchat.jsonl"),
        ({"Sec_WebSocket_Version": None}, 426, "a WebSocket here is of version 13"),
        ({"Sec_WebSocket_Version": "8"}, 426, "a WebSocket here is of version 13"),
        ({"Sec_WebSocket_Key": None}, 400, "Sec-WebSocket-Key is 16 bytes in base64"),
        ({"Sec_WebSocket_Key": "c2hvcnQ="}, 400, "Sec-WebSocket-Key is 16 bytes in base64"),
        ({"Upgrade": None}, 426, "here is a WebSocket; the page is at /"),
        ({"Upgrade": "h2c"}, 426, "here is a WebSocket; the page is at /"),
        ({"Connection": None}, 426, "here is a WebSocket; the page is at /"),
        ({"Connection": "close"}, 426, "here is a WebSocket; the page is at /"),
        ({"Content_Length": "5"}, 400, "a request has no body here"),
        ({"Transfer_Encoding": "chunked"}, 400, "a request has no body here"),
    ],
)
def test_who_may_not_have_a_websocket_is_told_why_in_a_sentence(
    changed: dict[str, str | None], code: int, why: str
) -> None:
    answer = answered(upgrade(**changed))
    assert answer is not None
    assert not answer.upgrades
    assert (status(answer.data), sentence(answer.data)) == (code, why)


def test_the_name_is_looked_at_before_the_page_that_asks() -> None:
    data = answer_to(upgrade(Host="evil.example", Origin="http://other.example"))
    assert "evil.example" in sentence(data)


@pytest.mark.parametrize(
    "changed",
    [
        {"Upgrade": "WebSocket"},
        {"Connection": "upgrade"},
        {"Sec_WebSocket_Protocol": "other, tcpchat.jsonl"},
        {"Sec_WebSocket_Extensions": None},
        {"Origin": "HTTP://LOCALHOST:7667"},
    ],
)
def test_a_websocket_may_be_asked_for_in_other_words(changed: dict[str, str | None]) -> None:
    assert status(answer_to(upgrade(**changed))) == 101


@pytest.mark.parametrize(
    ("schemes", "origin", "code"),
    [
        (("https",), "https://localhost:7667", 101),
        (("https",), "http://localhost:7667", 403),
        (("http", "https"), "https://localhost:7667", 101),
        (("http", "https"), "http://localhost:7667", 101),
    ],
)
def test_where_everybody_speaks_tls_a_page_has_come_by_it(
    schemes: tuple[str, ...], origin: str, code: int
) -> None:
    assert status(answer_to(upgrade(Origin=origin), Site({}, schemes=schemes))) == code


# ── What is no request ───────────────────────────────────────────────────────────────────────────

_HOST = b"Host: localhost\r\n"


@pytest.mark.parametrize(
    "request_",
    [
        b"GET / HTTP/1.1\n" + _HOST + b"\r\n",
        b"GET / HTTP/1.1\r\n" + b"Host: localhost\n\r\n",
        b"GET / HTTP/1.1\r\n" + _HOST + b"\n",
        b"GET / HTTP/1.1\r\n" + b"Host: localhost\rOrigin: x\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"Host: local\x00host\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + _HOST + b"A: x\ry\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + _HOST + b"A: x\x00\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + _HOST + b" folded: x\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + _HOST + b"A : x\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + _HOST + b"A\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + _HOST + b": x\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + _HOST * 2 + b"\r\n",
        b"GET / HTTP/1.1\r\nHost: \r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost:7667:1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: <script>\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost/x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a@localhost\r\n\r\n",
        b"GET  / HTTP/1.1\r\n" + _HOST + b"\r\n",
        b"GET / x HTTP/1.1\r\n" + _HOST + b"\r\n",
        b"GET http://localhost/ HTTP/1.1\r\n" + _HOST + b"\r\n",
        b"GET * HTTP/1.1\r\n" + _HOST + b"\r\n",
        b"GET /\x7f HTTP/1.1\r\n" + _HOST + b"\r\n",
        b"GET /\xe9 HTTP/1.1\r\n" + _HOST + b"\r\n",
        b"\r\n",
    ],
)
def test_what_is_no_request_is_refused_and_not_repaired(request_: bytes) -> None:
    data = answer_to(request_)
    assert status(data) == 400
    assert b"script" not in sentence(data).encode()


@pytest.mark.parametrize(
    "request_",
    [
        b"GET / HTTP/1.0\r\n" + _HOST + b"\r\n",
        b"GET / HTTP/1.0\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ],
)
def test_another_version_of_http_is_not_spoken(request_: bytes) -> None:
    data = answer_to(request_)
    assert (status(data), sentence(data)) == (505, "what is spoken here is HTTP/1.1")


def test_a_request_has_a_bound_however_it_grows() -> None:
    bomb = b"GET / HTTP/1.1\r\n" + b"A: x\r\n" * 10_000
    assert status(answer_to(bomb)) == 431
    one = b"GET / HTTP/1.1\r\nA: " + b"x" * MAX_HEAD_BYTES
    assert status(answer_to(one)) == 431
    assert status(answer_to(one[:MAX_HEAD_BYTES])) == 431
    assert answered(one[: MAX_HEAD_BYTES - 1]) is None


@pytest.mark.parametrize(("more", "code"), [(0, 200), (1, 431)])
def test_a_request_of_just_so_many_bytes_is_answered(more: int, code: int) -> None:
    empty = len(get("/", {"A": ""}))
    request = get("/", {"A": "x" * (MAX_HEAD_BYTES - empty + more)})
    assert status(answer_to(request)) == code
