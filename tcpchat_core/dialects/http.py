"""HTTP/1.1, as much of it as a browser needs to get a page and to ask for a WebSocket.

An `Exchange` is one request and its answer: bytes go in, and once the request is there an `Answer`
comes out. What there is to get is a `Site`, a value.

Rule 1: A connection has one request, and one answer ends it, unless that is the upgrade to a
        WebSocket. A request has no body, so nothing can be hidden behind one.

Rule 2: A line ends with CR LF. What is no request by RFC 9112 is refused; nothing is repaired. Who
        asks for something else than a page is refused in HTTP, too, and is never in the chat.

Rule 3: `Host` is looked at before anything is given away. A page of somebody else's whose name was
        made to lead here (DNS rebinding) has an `Origin` that fits its `Host`, and only `Host`
        tells that it is not one of ours. An IP address cannot be made to lead elsewhere, so it is
        one of ours whichever it is.

Rule 4: A WebSocket's `Origin` is that of a page of ours. It cannot be left out: browsers never do,
        and programs do not need HTTP.
"""

from __future__ import annotations

import base64
import hashlib
import ipaddress
import re
from collections.abc import Mapping
from typing import Final, NamedTuple

import msgspec

# A request of a browser has one to three KiB, with the cookies of other servers on the same host
# (cookies know no ports) perhaps ten.
MAX_HEAD_BYTES: Final = 16_384

# Where a WebSocket is asked for, and what is spoken on it.
SOCKET_PATH: Final = "/ws"
SUBPROTOCOL: Final = "tcpchat.jsonl"

# Whether the server is there, for load balancers, which call it by any name.
HEALTH_PATH: Final = "/healthz"

_STATUS: Final = {
    101: "Switching Protocols",
    200: "OK",
    304: "Not Modified",
    400: "Bad Request",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    426: "Upgrade Required",
    431: "Request Header Fields Too Large",
    503: "Service Unavailable",
    505: "HTTP Version Not Supported",
}

# What a page of ours may do is to load its own scripts and styles, and to talk to this server.
_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:;"
    " base-uri 'none'; form-action 'none'; frame-ancestors 'none';"
    " require-trusted-types-for 'script'"
)
_SECURITY: Final = (
    f"Content-Security-Policy: {_POLICY}",
    "Cross-Origin-Resource-Policy: same-origin",  # nothing of it is for a page of somebody else's
    "X-Content-Type-Options: nosniff",
    "Referrer-Policy: no-referrer",
)


# ── What there is to get ─────────────────────────────────────────────────────────────────────────


class File(msgspec.Struct, frozen=True):
    """One file of a page. `gzipped` is b"" where that would not be shorter.

    `etag` names the content, without quotes.
    """

    content_type: str
    etag: str
    data: bytes
    gzipped: bytes = b""


class Site(msgspec.Struct, frozen=True):
    """What browsers can get here: files by path (`/` is one), to a page under one of the names.

    `hosts` are the names, in lower case and without a port, that the server has beside `localhost`
    and any IP address. `schemes` are those that a page of ours may have come by: only `https` where
    everybody speaks TLS; both where somebody else may speak it for the server.
    """

    files: Mapping[str, File]
    hosts: frozenset[str] = frozenset()
    schemes: tuple[str, ...] = ("http", "https")

    def is_called(self, name: str) -> bool:
        """Whether this is a name of this server, or an address: `[::1]` stands in brackets."""
        return name == "localhost" or name in self.hosts or _is_address(name)


def _is_address(name: str) -> bool:
    try:
        if name.startswith("["):
            return bool(ipaddress.IPv6Address(name[1:-1]))
        return bool(ipaddress.IPv4Address(name))
    except ValueError:
        return False


# ── A request ────────────────────────────────────────────────────────────────────────────────────


# HEAD asks what GET would bring, without its body: load balancers and `curl -I` do. The others are
# known so that who sends them is answered in HTTP, and is not taken for a person.
_METHODS: Final = (b"GET", b"HEAD")
_OTHERS: Final = (b"POST", b"PUT", b"PATCH", b"DELETE", b"OPTIONS", b"CONNECT", b"TRACE", b"PRI")
_BEGINNINGS: Final = tuple(method + b" " for method in (*_METHODS, *_OTHERS))
_VERSION: Final = b"HTTP/1.1"
_ENDINGS: Final = (b" HTTP/1.1", b" HTTP/1.0", b" HTTP/2.0")


def begins_request(first: bytes) -> bool | None:
    """Whether a peer that begins so asks for something; None when more has to be seen to tell.

    A person, too, may type `GET`, but not with that at the end.
    """
    line, end, _ = first.partition(b"\n")
    if end:
        return line.startswith(_BEGINNINGS) and line.removesuffix(b"\r").endswith(_ENDINGS)
    if line.startswith(_BEGINNINGS) or any(each.startswith(line) for each in _BEGINNINGS):
        return None
    return False


class Request(NamedTuple):
    """A request that is one by its form. The names of headers are in lower case."""

    method: bytes
    path: str
    headers: Mapping[str, list[str]]

    def only(self, name: str) -> str | None:
        """The value of a header that is there once; None for none and for several."""
        values = self.headers.get(name, ())
        return values[0] if len(values) == 1 else None

    def tokens(self, name: str) -> list[str]:
        """The members of a header that is a list, in all the lines that it has."""
        members = ",".join(self.headers.get(name, ())).split(",")
        return [member.strip(" \t") for member in members]


class Answer(NamedTuple):
    """What a request is answered with, and whether a WebSocket begins behind that.

    `rest` is what the peer has sent behind a request to upgrade.
    """

    data: bytes
    upgrades: bool = False
    rest: bytes = b""


_CLOSE: Final = ("Connection: close",)
_ALLOW: Final = ("Allow: GET, HEAD", *_CLOSE)


class _BadRequestError(Exception):
    """What came is no request; the sentence says why."""

    def __init__(self, sentence: str, status: int = 400, headers: tuple[str, ...] = _CLOSE) -> None:
        super().__init__(sentence)
        self.response = refused(status, sentence, headers)


_TOKEN: Final = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_TARGET: Final = re.compile(rb"/[!-~]*")
_CONTROL: Final = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")

# A name or an address, perhaps with a port.
_HOST: Final = re.compile(r"([0-9a-z._-]+|\[[0-9a-f:.]+\])(?::[0-9]{1,5})?")


class Exchange:
    """One request, and its answer when all of it is there."""

    __slots__ = ("_data", "_lines", "_site", "_start")

    def __init__(self, site: Site) -> None:
        self._site = site
        self._data = bytearray()
        self._lines: list[bytes] = []  # that are complete
        self._start = 0  # of the line that is not

    def receive_data(self, data: bytes) -> Answer | None:
        """Take in what was read; the answer, once it is known. Nothing may come after that."""
        self._data += data
        answer = self._answer()
        if answer is not None and self._data.startswith(b"HEAD "):
            head, end, _ = answer.data.partition(b"\r\n\r\n")
            return Answer(head + end)
        return answer

    def _answer(self) -> Answer | None:
        while (end := self._data.find(b"\n", self._start, MAX_HEAD_BYTES)) >= 0:
            line = bytes(self._data[self._start : end])
            self._start = end + 1
            if not line.endswith(b"\r"):
                return Answer(refused(400, "a line of a request ends with CR LF"))
            if line == b"\r":
                return self._answer_to_all()
            self._lines.append(line[:-1])
        if len(self._data) >= MAX_HEAD_BYTES:
            return Answer(refused(431, f"a request has at most {MAX_HEAD_BYTES:,} bytes"))
        return None

    def _answer_to_all(self) -> Answer:
        try:
            request = _parse(self._lines)
        except _BadRequestError as error:
            return Answer(error.response)
        answer = _answer(request, self._site)
        return answer._replace(rest=bytes(self._data[self._start :])) if answer.upgrades else answer


def _parse(lines: list[bytes]) -> Request:
    """The request in these lines. Raises _BadRequestError."""
    words = lines[0].split(b" ") if lines else []
    if len(words) != 3:
        raise _BadRequestError("a request begins with GET, a path and HTTP/1.1")
    method, target, version = words
    if version != _VERSION:
        raise _BadRequestError("what is spoken here is HTTP/1.1", 505)
    if method not in _METHODS:
        raise _BadRequestError("this is a chat; its page is had by GET", 405, _ALLOW)
    if not _TARGET.fullmatch(target):
        raise _BadRequestError("a path begins with / and has no blanks in it")
    headers: dict[str, list[str]] = {}
    for line in lines[1:]:
        name, colon, value = line.partition(b":")
        if not (colon and _TOKEN.fullmatch(name)) or _CONTROL.search(value):
            raise _BadRequestError("a header is a name, a colon and a value")
        values = headers.setdefault(name.decode().lower(), [])
        values.append(value.decode("latin-1").strip(" \t"))
    return Request(method, target.decode().partition("?")[0], headers)


# ── Its answer ───────────────────────────────────────────────────────────────────────────────────


def _answer(request: Request, site: Site) -> Answer:
    host = (request.only("host") or "").lower()
    called = _HOST.fullmatch(host)
    if called is None:
        return Answer(refused(400, "a request has one Host"))
    if request.headers.keys() & {"content-length", "transfer-encoding"}:
        return Answer(refused(400, "a request has no body here"))
    if request.path == HEALTH_PATH:
        return Answer(response(200, b"ok\n"))
    name = called[1]
    if not site.is_called(name):
        return Answer(
            refused(403, f"this server does not know that it is {name}: give it --web-host {name}")
        )
    if request.path == SOCKET_PATH:
        return _handshake(request, host, site)
    file = site.files.get(request.path)
    if file is None:
        return Answer(refused(404, "there is nothing here; the page is at /"))
    return Answer(_file(request, file))


_UPGRADE: Final = (
    "Upgrade: websocket",
    "Sec-WebSocket-Version: 13",
    "Connection: Upgrade, close",
)


def _handshake(request: Request, host: str, site: Site) -> Answer:
    """The answer to who asks for a WebSocket (RFC 6455, section 4.2)."""
    upgrades = [protocol.lower() for protocol in request.tokens("upgrade")]
    options = [option.lower() for option in request.tokens("connection")]
    if request.method != b"GET" or "websocket" not in upgrades or "upgrade" not in options:
        return Answer(refused(426, "here is a WebSocket; the page is at /", _UPGRADE))
    origin = (request.only("origin") or "").lower()
    if origin not in [f"{scheme}://{host}" for scheme in site.schemes]:
        return Answer(refused(403, "only a page of this server may talk to it"))
    if SUBPROTOCOL not in request.tokens("sec-websocket-protocol"):
        return Answer(refused(400, f"what is spoken here is {SUBPROTOCOL}"))
    if request.only("sec-websocket-version") != "13":
        return Answer(refused(426, "a WebSocket here is of version 13", _UPGRADE))
    key = request.only("sec-websocket-key")
    if key is None or not re.fullmatch(r"[A-Za-z0-9+/]{22}==", key):
        return Answer(refused(400, "Sec-WebSocket-Key is 16 bytes in base64"))
    accepted = (
        "Upgrade: websocket",
        "Connection: Upgrade",
        f"Sec-WebSocket-Accept: {_accept(key)}",
        f"Sec-WebSocket-Protocol: {SUBPROTOCOL}",
    )
    return Answer(_head(101, accepted), upgrades=True)


def _accept(key: str) -> str:
    """Shows that the server has understood (RFC 6455, section 1.3); no secret."""
    proof = hashlib.sha1(
        f"{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11".encode(), usedforsecurity=False
    )
    return base64.b64encode(proof.digest()).decode()


def _file(request: Request, file: File) -> bytes:
    data, etag = file.data, f'"{file.etag}"'
    about = [f"Content-Type: {file.content_type}"]
    if file.gzipped:
        about.append("Vary: Accept-Encoding")
        if _takes_gzip(request):
            data, etag = file.gzipped, f'"{file.etag}.gzip"'
            about.append("Content-Encoding: gzip")
    # It is asked for each time, and as a rule it has not changed: a new server has its new page.
    about += [f"ETag: {etag}", "Cache-Control: no-cache"]
    known = [known.removeprefix("W/") for known in request.tokens("if-none-match")]
    if etag in known or "*" in known:
        return _head(304, (*about, *_CLOSE, *_SECURITY))
    return response(200, data, tuple(about))


def _takes_gzip(request: Request) -> bool:
    """Whether a peer says so: by its name, and not as a thing of no worth."""
    for coding in request.tokens("accept-encoding"):
        name, *parameters = [part.strip(" \t").lower() for part in coding.split(";")]
        if name in ("gzip", "x-gzip"):
            return not any(re.fullmatch(r"q=0(\.0*)?", parameter) for parameter in parameters)
    return False


# ── Bytes ────────────────────────────────────────────────────────────────────────────────────────

_TEXT: Final = ("Content-Type: text/plain; charset=utf-8", "Cache-Control: no-store")


def response(status: int, body: bytes, headers: tuple[str, ...] = _TEXT) -> bytes:
    """A whole response, behind which the connection is closed."""
    size = f"Content-Length: {len(body)}"
    return _head(status, (*headers, size, *_CLOSE, *_SECURITY)) + body


def refused(status: int, sentence: str, headers: tuple[str, ...] = _CLOSE) -> bytes:
    """A response that says in one sentence why not."""
    body = f"{sentence}\n".encode()
    size = f"Content-Length: {len(body)}"
    return _head(status, (*_TEXT, size, *headers, *_SECURITY)) + body


def _head(status: int, headers: tuple[str, ...]) -> bytes:
    lines = (f"HTTP/1.1 {status} {_STATUS[status]}", *headers, "", "")
    return "\r\n".join(lines).encode()
