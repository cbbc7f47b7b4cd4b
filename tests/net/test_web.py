"""Browsers on the server's port: the page, its WebSocket, and who is refused, over real sockets."""

from __future__ import annotations

import gzip
import socket
import ssl
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from http.client import HTTPConnection, HTTPResponse
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Origin, Subprotocol

from tcpchat_core import ChatState, ServerLimits, ServerProtocol, events, notices
from tcpchat_core.dialects.http import Site
from tcpchat_core.dialects.jsonl import decode_notice, encode_request
from tcpchat_core.dialects.websocket import JSON_FRAMES, WebSocket
from tcpchat_core.server import DIALECTS
from tcpchat_net import ChatServer
from tcpchat_net.fanout import Fanout
from tcpchat_net.tls import server_context
from tcpchat_net.web import load_site
from tests.core.browser import CLOSE, TEXT, ask, sentence, status, told_frames, upgrade
from tests.net.certificates import Authority, Files
from tests.net.serving import LIMIT_S, NO_FLOOD_CONTROL, Peer, serving

SCRIPT = "export const nothing = 0;\n" * 4_000


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page of a few files, and what lies beside them."""
    folder = tmp_path_factory.mktemp("page")
    (folder / "index.html").write_text("<!doctype html><title>tcpchat</title>")
    (folder / "page.js").write_text(SCRIPT)
    (folder / "page.css").write_text(":root { color-scheme: light dark }\n")
    (folder / "notes.txt").write_text("not for browsers")
    (folder / "parts").mkdir()
    return folder


@pytest.fixture(scope="module")
def site(folder: Path) -> Site:
    return load_site(is_encrypted=False, folder=folder)


@contextmanager
def serving_web(
    site: Site, *, limits: ServerLimits = NO_FLOOD_CONTROL, **options: Any
) -> Iterator[ChatServer]:
    """A server that browsers can come to."""
    protocol = ServerProtocol(ChatState(), limits=limits, dialects=(WebSocket(site), *DIALECTS))
    with serving(protocol, site=site, **options) as server:
        yield server


class Page:
    """What a page is to a server: a WebSocket, and requests on it."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket

    def ask(self, request: Any) -> None:
        self.socket.send(encode_request(request).decode().rstrip("\n"))

    def told(self) -> notices.Notice:
        """The next notice."""
        data = self.socket.recv(timeout=LIMIT_S)
        assert isinstance(data, str)
        return decode_notice(data.encode())

    def until(self, kind: type[notices.Notice]) -> Any:
        """The next notice of a kind."""
        while not isinstance(notice := self.told(), kind):
            pass
        return notice


@contextmanager
def page(
    address: tuple[Any, ...], *, scheme: str = "ws", host: str = "", **options: Any
) -> Iterator[Page]:
    """A page of the server's, with its WebSocket."""
    where = f"{host or address[0]}:{address[1]}"
    with connect(
        f"{scheme}://{where}/ws",
        origin=Origin(f"{scheme.replace('ws', 'http')}://{where}"),
        subprotocols=[Subprotocol("tcpchat.jsonl")],
        **options,
    ) as socket:
        yield Page(socket)


def got(address: tuple[Any, ...], path: str, **headers: str) -> tuple[HTTPResponse, bytes]:
    """A file, as a browser gets it."""
    connection = HTTPConnection(address[0], address[1], timeout=LIMIT_S)
    try:
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request("GET", path, headers=names)
        response = connection.getresponse()
        return response, response.read()
    finally:
        connection.close()


def everything(peer: Peer) -> bytes:
    """All bytes up to the end of the connection."""
    data = b""
    while more := peer.sock.recv(65_536):
        data += more
    return data


# ── Files ────────────────────────────────────────────────────────────────────────────────────────


def test_a_browser_gets_the_files_of_the_page_and_nothing_else(site: Site) -> None:
    with serving_web(site) as server:
        response, data = got(server.address, "/")
        assert (response.status, data) == (200, b"<!doctype html><title>tcpchat</title>")
        assert response.headers["Content-Type"] == "text/html; charset=utf-8"
        assert got(server.address, "/page.js")[1] == SCRIPT.encode()
        assert got(server.address, "/page.css")[0].headers["Content-Type"].startswith("text/css")
        assert got(server.address, "/healthz")[1] == b"ok\n"
        for path in ("/notes.txt", "/parts", "/index.html", "/../admission.py", "/page"):
            assert got(server.address, path)[0].status == 404


def test_a_file_is_sent_compressed_and_not_sent_again(site: Site) -> None:
    with serving_web(site) as server:
        response, data = got(server.address, "/page.js", Accept_Encoding="gzip, deflate, br")
        assert response.headers["Content-Encoding"] == "gzip"
        assert len(data) < 1_000
        assert gzip.decompress(data) == SCRIPT.encode()
        again, data = got(
            server.address,
            "/page.js",
            Accept_Encoding="gzip",
            If_None_Match=response.headers["ETag"],
        )
        assert (again.status, data) == (304, b"")


def test_another_content_has_another_name(tmp_path: Path, site: Site) -> None:
    (tmp_path / "index.html").write_text("something else")
    other = load_site(["Chat.Example"], is_encrypted=True, folder=tmp_path)
    assert other.files["/"].etag != site.files["/"].etag
    assert other.files["/"].gzipped == b""
    assert other.hosts == {"chat.example"}
    assert other.schemes == ("https",)


def test_a_large_file_reaches_a_slow_browser_whole(tmp_path: Path) -> None:
    (tmp_path / "index.html").write_bytes(bytes(range(256)) * 2_000)
    with (
        serving_web(load_site(is_encrypted=False, folder=tmp_path)) as server,
        Peer(server.address, receive_buffer=4_096) as peer,
    ):
        peer.sock.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert everything(peer).endswith(b"\r\n\r\n" + bytes(range(256)) * 2_000)


# ── In the chat ──────────────────────────────────────────────────────────────────────────────────


def test_a_browser_a_person_and_a_program_are_in_one_room(site: Site) -> None:
    with (
        serving_web(site) as server,
        page(server.address) as browser,
        Peer(server.address) as person,
        Peer(server.address) as program,
    ):
        assert browser.socket.subprotocol == "tcpchat.jsonl"
        assert not browser.socket.protocol.extensions
        browser.ask(events.Hello())
        assert browser.until(notices.Welcome).nick == "guest-1"
        browser.ask(events.Join("lobby"))
        browser.until(notices.Entered)
        person.send("/join lobby")
        person.until("You joined lobby")
        program.send('{"type":"join","room":"lobby"}')
        program.until("entered")
        browser.until(notices.Joined)
        browser.until(notices.Joined)
        browser.ask(events.Say("lobby", "hello ☕", "1"))
        assert browser.until(notices.Sent).id == "1"
        assert person.until("hello") == "[lobby] guest-1: hello ☕"
        assert "hello" in program.until("said")
        person.send("\n".join(f"line {number}" for number in range(100)))
        for number in range(100):
            assert browser.until(notices.Said).text == f"line {number}"
        browser.socket.ping(b"x").wait(LIMIT_S)
        browser.ask(events.Quit("tea"))
        assert browser.until(notices.Closing).reason == "bye"
        assert person.until("quit") == "* guest-1 quit (tea)"


def test_a_page_that_comes_back_is_given_what_it_has_missed(site: Site) -> None:
    with serving_web(site) as server, Peer(server.address) as person:
        with page(server.address) as browser:
            browser.ask(events.Hello())
            token = browser.until(notices.Welcome).token
            browser.ask(events.Join("lobby"))
            seen = browser.until(notices.Entered).seq
        person.send("/join lobby")
        for number in range(150):
            person.send(f"{number} {'x' * 300}")
        person.send("/who")
        assert "guest-1" in person.until("in lobby")
        with page(server.address) as browser:
            browser.ask(events.Hello(token, {"lobby": seen}))
            browser.until(notices.Resumed)
            for number in range(150):
                assert browser.until(notices.Said).text.startswith(f"{number} ")


def test_a_server_that_stops_says_so_and_closes(site: Site) -> None:
    with ExitStack() as stack:
        with serving_web(site) as server:
            browser = stack.enter_context(page(server.address))
            browser.ask(events.Hello())
            browser.until(notices.Welcome)
        assert browser.until(notices.Closing).reason == "the server is shutting down"
        with pytest.raises(ConnectionClosed) as closed:
            browser.told()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1001


class Choked:
    """A transport that takes so many bytes, and then nothing until it is given up."""

    def __init__(self, room: int) -> None:
        self.taken = b""
        self._room: int | None = room

    def write(self, data: bytes | memoryview) -> int:
        if self._room == 0:
            raise BlockingIOError
        taken = bytes(data[: self._room])
        if self._room is not None:
            self._room -= len(taken)
        self.taken += taken
        return len(taken)

    def want_writable(self, wanted: bool) -> None:
        pass

    def owes(self, owes: bool) -> None:
        pass

    def failed(self) -> None:
        raise AssertionError

    def finished(self) -> None:
        raise AssertionError

    def overrun(self) -> None:
        self._room = None


def test_a_browser_that_takes_nothing_is_told_goodbye_behind_a_whole_frame() -> None:
    said = [
        JSON_FRAMES.encode(notices.Said("lobby", "ada", text, number, 1))
        for number, text in enumerate(["one", "two" * 50, "three"])
    ]
    closing = JSON_FRAMES.encode(notices.Closing("you read too slowly", 0))
    for room in range(len(b"".join(said))):
        browser = Choked(room)
        fanout = Fanout(lambda: None, max_backlog_bytes=0)
        fanout.add(1, browser)
        for data in said:
            fanout.send(1, data)
        fanout.flush(0)
        fanout.last_words(1, closing)
        *whole, (opcode, last), close = told_frames(browser.taken)
        assert decode_notice(last) == notices.Closing("you read too slowly", 0)
        assert (opcode, close[0]) == (TEXT, CLOSE)
        assert [data for _, data in whole] == [
            data for _, data in told_frames(b"".join(said))[: len(whole)]
        ]


# ── Over TLS ─────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority()


@pytest.fixture(scope="module")
def files(authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> Files:
    return authority.issue(tmp_path_factory.mktemp("certificates"))


def test_a_browser_talks_over_tls_and_is_not_offered_http_2(
    folder: Path, authority: Authority, files: Files
) -> None:
    context = authority.client()
    context.set_alpn_protocols(["h2", "http/1.1"])
    secure = load_site(is_encrypted=True, folder=folder)
    tls = server_context(str(files.cert), str(files.key))
    with serving_web(secure, tls=tls) as server:
        with page(server.address, scheme="wss", host="localhost", ssl=context) as browser:
            sock = browser.socket.socket
            assert isinstance(sock, ssl.SSLSocket)
            assert sock.selected_alpn_protocol() == "http/1.1"
            browser.ask(events.Hello())
            browser.until(notices.Welcome)
        with (
            pytest.raises(InvalidStatus) as refused,
            connect(
                f"wss://localhost:{server.address[1]}/ws",
                origin=Origin("http://localhost"),
                ssl=context,
            ),
        ):
            pass
        assert refused.value.response.status_code == 403


# ── Who may not come in ──────────────────────────────────────────────────────────────────────────


def test_a_page_of_somebody_else_is_refused(site: Site) -> None:
    with serving_web(site) as server:
        port = server.address[1]
        for host, origin in (
            ("evil.example", "http://evil.example"),  # a name that was made to lead here
            (f"127.0.0.1:{port}", "http://evil.example"),
            (f"127.0.0.1:{port}", "null"),
            (f"127.0.0.1:{port}", None),
        ):
            with Peer(server.address) as peer:
                peer.sock.sendall(upgrade(Host=host, Origin=origin))
                assert status(everything(peer)) == 403


def test_a_full_server_gives_its_page_and_tells_it_why_it_cannot_come_in(site: Site) -> None:
    with serving_web(site, max_clients=1) as server, Peer(server.address) as inside:
        inside.send("/rooms")
        inside.until("no rooms")
        response, data = got(server.address, "/page.js")
        assert (response.status, data) == (200, SCRIPT.encode())
        with page(server.address) as browser:
            assert browser.told() == notices.Closing("the server is full; try again later", 10_000)
            with pytest.raises(ConnectionClosed) as closed:
                browser.told()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1001
        with Peer(server.address) as peer:
            peer.sock.sendall(b"GET / HTTP/1.1\r\n")
            peer.sock.shutdown(socket.SHUT_WR)
            assert everything(peer) == b""


def test_a_full_server_without_a_page_says_so_to_a_browser() -> None:
    with serving(max_clients=1) as server, Peer(server.address) as inside:
        inside.send("/rooms")
        inside.until("no rooms")
        response, data = got(server.address, "/")
        assert (response.status, data) == (503, b"the server is full; try again later\n")


def test_files_are_had_by_an_address_that_has_all_its_connections(site: Site) -> None:
    proxies = [ip_network("127.0.0.1")]
    with serving_web(site, max_per_ip=2, proxies=proxies) as server, ExitStack() as stack:

        def come(first: bytes) -> Peer:
            peer = stack.enter_context(Peer(server.address))
            peer.sock.sendall(b"PROXY TCP4 192.0.2.7 192.0.2.1 4000 7667\r\n" + first)
            return peer

        for _ in range(2):
            come(upgrade() + ask(events.Hello())).sock.recv(1)
        for _ in range(5):
            data = everything(come(b"GET /page.js HTTP/1.1\r\nHost: localhost\r\n\r\n"))
            assert status(data) == 200
        head, _, frames = everything(come(upgrade())).partition(b"\r\n\r\n")
        assert status(head + b"\r\n\r\n") == 101
        assert b"the limit for connections from one address is 2; close another first" in frames


def test_a_browser_that_asks_slowly_is_not_waited_for(site: Site) -> None:
    limits = ServerLimits(handshake_ms=600)
    with serving_web(site, limits=limits) as server, Peer(server.address) as peer:
        peer.sock.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nA: ")
        data = everything(peer)
        assert (status(data), sentence(data)) == (503, "there was no request in time")


def test_a_server_without_a_page_is_no_web_server() -> None:
    with serving() as server, Peer(server.address) as peer:
        peer.sock.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert peer.rest().endswith("* Closing: this is a chat, not a web server\n")


def test_a_folder_without_an_index_is_no_page(tmp_path: Path) -> None:
    (tmp_path / "page.js").write_text("export {};")
    with pytest.raises(FileNotFoundError):
        load_site(is_encrypted=False, folder=tmp_path)
