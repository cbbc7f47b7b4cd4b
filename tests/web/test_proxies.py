"""The proxies of docs/web.md, with the very configuration that stands there, before a real server.

What is put into it is where this test has its ports and certificates, and nothing else.
"""

from __future__ import annotations

import shutil
import socket
import ssl
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from http.client import HTTPException, HTTPResponse, HTTPSConnection
from pathlib import Path
from typing import Any, Final, NamedTuple

import pytest
from playwright.sync_api import expect
from websockets.exceptions import ConnectionClosed, InvalidMessage, InvalidStatus
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Origin, Subprotocol

from tcpchat_core import Request, events, notices
from tcpchat_core.dialects.jsonl import decode_notice, encode_request
from tcpchat_net.proxy_protocol import Header, parse
from tests.cluster.ports import Port
from tests.docs.pages import code_blocks, read, sections
from tests.net.certificates import Authority, Files
from tests.web.conftest import LIMIT_S, People, Site, not_here

Serve = Callable[..., Site]

NAME: Final = "chat.example"
_WAYS: Final = sections(sections(read("docs/web.md"), 3)["Behind a reverse proxy"], 4)


def put(config: str, **changes: str) -> str:
    """A configuration in which each of these patterns stands, and now something else."""
    for pattern, other in changes.items():
        assert pattern in config, f"{pattern} is not in docs/web.md any more"
        config = config.replace(pattern, other)
    return config


class Way(NamedTuple):
    """How to start a proxy: which program, what it is told, and with which arguments.

    `needs` is a file without which it does not do.
    """

    program: str
    config: Callable[[int, int, Files], str]
    arguments: tuple[str, ...]
    needs: str = ""


# Debian's packages have it as a file of its own.
_STREAM_MODULE: Final = "/usr/lib/nginx/modules/ngx_stream_module.so"


def _nginx(block: str, listen: str, server: str, kind: str) -> Callable[[int, int, Files], str]:
    def config(port: int, back: int, files: Files) -> str:
        shown = put(
            block,
            **{
                f"listen {listen} ssl": f"listen 127.0.0.1:{port} ssl",
                f"127.0.0.1:{server}": f"127.0.0.1:{back}",
                "/etc/ssl/chat.pem": str(files.cert),
                "/etc/ssl/chat.key": str(files.key),
            },
        )
        if kind == "http":
            folders = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
            own = "".join(f"{folder}_temp_path temp_{folder};\n" for folder in folders)
            shown = f"http {{ access_log off;\n{own}{shown}}}\n"
        else:
            shown = f"load_module {_STREAM_MODULE};\n{shown}"
        # One process that stays in the foreground, with all it writes in its folder.
        return f"daemon off; master_process off; pid nginx.pid;\n{shown}\nevents {{}}\n"

    return config


def _haproxy(port: int, back: int, files: Files) -> str:
    [shown] = code_blocks(_WAYS["Connections"], "haproxy")
    both = files.cert.with_name("both.pem")
    both.write_bytes(files.cert.read_bytes() + files.key.read_bytes())
    return put(
        shown,
        **{
            "bind :7667": f"bind 127.0.0.1:{port}",
            "127.0.0.1:7668": f"127.0.0.1:{back}",
            "/etc/ssl/chat-and-key.pem": str(both),
        },
    )


def _caddy(port: int, back: int, files: Files) -> str:
    [shown] = code_blocks(_WAYS["Requests"], "caddy")
    own = "{\n admin off\n auto_https disable_redirects\n}\n"
    return own + put(
        shown,
        **{
            "chat.example {": f"chat.example:{port} {{\n tls {files.cert} {files.key}",
            "127.0.0.1:7667": f"127.0.0.1:{back}",
        },
    )


_NGINX = ("-p", "{folder}", "-e", "error.log", "-c", "{config}")
[_STREAM] = code_blocks(_WAYS["Connections"], "nginx")
[_HTTP] = code_blocks(_WAYS["Requests"], "nginx")

CONNECTIONS: Final = {
    "nginx stream": Way("nginx", _nginx(_STREAM, "7667", "7668", "stream"), _NGINX, _STREAM_MODULE),
    "haproxy": Way("haproxy", _haproxy, ("-db", "-f", "{config}")),
}
REQUESTS: Final = {
    "nginx http": Way("nginx", _nginx(_HTTP, "443", "7667", "http"), _NGINX),
    "caddy": Way("caddy", _caddy, ("run", "--adapter", "caddyfile", "--config", "{config}")),
}


class Proxy(NamedTuple):
    """A proxy that runs, and the page behind it."""

    port: int
    authority: Authority

    @property
    def url(self) -> str:
        return f"https://{NAME}:{self.port}/"

    def dial(self, *, source: str = "127.0.0.1", first: bytes = b"") -> ssl.SSLSocket:
        """A connection over TLS; what is `first` comes before that."""
        sock = socket.create_connection(
            ("127.0.0.1", self.port), timeout=LIMIT_S, source_address=(source, 0)
        )
        sock.sendall(first)
        return self.authority.client().wrap_socket(sock, server_hostname=NAME)

    @contextmanager
    def page(self, *, first: bytes = b"", origin: str = "") -> Iterator[ClientConnection]:
        """A page's WebSocket."""
        self.visit(first)
        with (
            self.dial(first=first) as sock,
            connect(
                f"ws://{NAME}:{self.port}/ws",  # it is TLS already
                sock=sock,
                origin=Origin(origin or self.url.rstrip("/")),
                subprotocols=[Subprotocol("tcpchat.jsonl")],
                open_timeout=LIMIT_S,
            ) as page,
        ):
            yield page

    def visit(self, first: bytes = b"") -> None:
        """Get something from where a page will come, so that it need not be quick.

        On a busy machine half a second may pass before it says anything. Who is silent for so long
        is greeted as people with nc are, unless a browser has come from its address before.
        """
        for _ in range(100):
            with suppress(HTTPException):  # it was the greeting
                self.asked("GET", "/healthz", first=first)
                return
        raise AssertionError("whoever asks for a page is greeted as a person")

    def asked(self, method: str, path: str, *, first: bytes = b"") -> HTTPResponse:
        """The response to a request."""
        connection = HTTPSConnection(NAME, self.port, timeout=LIMIT_S)
        connection.sock = self.dial(first=first)
        try:
            connection.request(method, path)
            response = connection.getresponse()
            response.read()
            return response
        finally:
            connection.close()


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority()


@pytest.fixture
def proxied(authority: Authority, tmp_path: Path) -> Iterator[Callable[..., Proxy]]:
    """Start a proxy before a port; in its configuration something may stand otherwise."""
    with ExitStack() as stack:

        def start(way: Way, back: int, **changes: str) -> Proxy:
            program = shutil.which(way.program)
            if program is None or not Path(way.needs).exists():
                not_here(
                    f"there is no {way.program} that could be in front of the server"
                    " (apt-get install nginx libnginx-mod-stream haproxy caddy)"
                )
            port = stack.enter_context(Port())
            files = authority.issue(tmp_path / "certificates", NAME)
            folder = tmp_path / "proxy"
            folder.mkdir()
            config = folder / "config"
            config.write_text(put(way.config(port.number, back, files), **changes))
            arguments = [each.format(folder=folder, config=config) for each in way.arguments]
            log = stack.enter_context((folder / "log").open("w+"))
            home = {"HOME": str(folder), "XDG_DATA_HOME": str(folder)}
            process = subprocess.Popen(
                [program, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=folder,
                env={"PATH": "/usr/bin:/bin:/usr/sbin:/sbin", **home},
            )
            stack.callback(process.wait)
            stack.callback(process.kill)
            while True:
                try:
                    socket.create_connection(("127.0.0.1", port.number)).close()
                except ConnectionRefusedError:
                    assert process.poll() is None, (folder / "log").read_text()
                else:
                    return Proxy(port.number, authority)

        yield start


def back_of(site: Site) -> int:
    """The port of a server that is behind."""
    return int(site.address.rpartition(":")[2])


def ask(page: ClientConnection, request: Request) -> None:
    page.send(encode_request(request).decode())


def told(page: ClientConnection, kind: type[notices.Notice]) -> Any:
    """The next notice of a kind."""
    while True:
        data = page.recv(timeout=LIMIT_S)
        assert isinstance(data, str)
        if isinstance(notice := decode_notice(data.encode()), kind):
            return notice


def named(ways: dict[str, Way]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("way", ways.values(), ids=ways.keys())


def before(way: Way, serve: Serve, *flags: str) -> Site:
    """The server that belongs to a proxy of this way."""
    told = ("--proxy-protocol", "127.0.0.1") if way in CONNECTIONS.values() else ()
    return serve("--in-memory", "--web-host", NAME, *told, *flags)


# ── Whichever it is ──────────────────────────────────────────────────────────────────────────────


@named(CONNECTIONS | REQUESTS)
def test_a_browser_is_in_the_chat_through_a_proxy(
    serve: Serve, people: People, proxied: Callable[..., Proxy], way: Way
) -> None:
    site = before(way, serve)
    proxy = proxied(way, back_of(site))
    proxy.visit()
    pia = people.comes(site._replace(url=proxy.url), "pia", ignore_https_errors=True)
    with proxy.page() as leo:
        ask(leo, events.Hello())
        ask(leo, events.Join("lobby"))
        told(leo, notices.Entered)
        ask(leo, events.Say("lobby", "hello through a proxy", "1"))
        expect(pia.locator("#log .row.said .text")).to_have_text("hello through a proxy")
        pia.fill("#text", "and hello to you")
        pia.press("#text", "Enter")
        expect(pia.locator("#pending .row")).to_have_count(0)
        told(leo, notices.Said)
        assert pia.evaluate("[isSecureContext, location.protocol]") == [True, "https:"]
        pia.reload()
        expect(pia.locator("#log .row.said .text")).to_have_count(2)
        expect(pia.locator("#people-title")).to_have_text("2 here")


@named(CONNECTIONS | REQUESTS)
def test_a_proxy_neither_lets_in_who_is_not_let_in_nor_breaks_what_it_asks(
    serve: Serve, proxied: Callable[..., Proxy], way: Way
) -> None:
    proxy = proxied(way, back_of(before(way, serve)))
    for origin in ("https://evil.example", "null", f"https://{NAME}"):
        with pytest.raises(InvalidStatus) as refused, proxy.page(origin=origin):
            pass
        assert refused.value.response.status_code == 403
    page = proxy.asked("GET", "/")
    assert page.status == 200
    assert "frame-ancestors 'none'" in (page.getheader("Content-Security-Policy") or "")
    head = proxy.asked("HEAD", "/")
    assert (head.status, head.getheader("ETag")) == (200, page.getheader("ETag"))
    assert proxy.asked("GET", "/healthz").status == 200
    assert proxy.asked("GET", "/nothing").status == 404


# ── Connections that are passed on ───────────────────────────────────────────────────────────────


@named(CONNECTIONS)
def test_a_program_and_a_person_come_by_the_port_of_the_page(
    serve: Serve, proxied: Callable[..., Proxy], way: Way
) -> None:
    proxy = proxied(way, back_of(before(way, serve)))
    with proxy.dial() as person, proxy.page() as page:
        person.sendall(b"/join lobby\n")
        with person.makefile("r", encoding="utf-8", newline="\n") as lines:
            assert any(line.startswith("* You joined lobby") for line in lines)
            ask(page, events.Hello())
            ask(page, events.Join("lobby"))
            ask(page, events.Say("lobby", "hello", "1"))
            assert any(line.endswith("hello\n") for line in lines)


@named(CONNECTIONS)
def test_a_proxy_says_whose_a_connection_is(proxied: Callable[..., Proxy], way: Way) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(LIMIT_S)
        proxy = proxied(way, listener.getsockname()[1])
        with proxy.dial(source="127.0.0.5") as person:
            header: Header | None = None
            while header is None or header.source is None or header.source[0] != "127.0.0.5":
                passed, _ = listener.accept()  # first there is the one that looked whether it runs
                with passed:
                    passed.settimeout(LIMIT_S)
                    data, header = b"", None
                    while header is None and (more := passed.recv(1_024)):
                        data += more
                        header = parse(data)
            assert header.source == person.getsockname()


# Who passes on connections to this proxy says in its turn whose they are: so there are people of
# several addresses on one machine.
_OUTER: Final = {
    "nginx stream": {" ssl;": " ssl proxy_protocol; set_real_ip_from 127.0.0.1;"},
    "haproxy": {" ssl crt": " accept-proxy ssl crt"},
}


@pytest.mark.parametrize("name", CONNECTIONS)
def test_behind_a_proxy_that_passes_on_connections_each_address_has_a_limit_of_its_own(
    serve: Serve, proxied: Callable[..., Proxy], name: str
) -> None:
    way = CONNECTIONS[name]
    site = before(way, serve, "--max-per-ip", "1")
    proxy = proxied(way, back_of(site), **_OUTER[name])

    def of(address: str) -> bytes:
        return f"PROXY TCP4 {address} 192.0.2.1 4000 443\r\n".encode()

    def page(address: str) -> ClientConnection:
        # Who has not said soon enough what it is is told in plain text, of the limit, too.
        while True:
            with suppress(InvalidMessage):
                return pages.enter_context(proxy.page(first=of(address)))

    def come(address: str) -> None:
        # The visit before may not be known to be over yet; then it is over the limit.
        while True:
            one = page(address)
            with suppress(ConnectionClosed):
                ask(one, events.Hello())
                if isinstance(
                    decode_notice(bytes(one.recv(LIMIT_S, decode=False))), notices.Welcome
                ):
                    return

    with ExitStack() as pages:
        come("192.0.2.7")
        closing = told(page("192.0.2.7"), notices.Closing)
        limit = "the limit for connections from one address is 1"
        assert closing.reason == f"{limit}; close another first"
        come("192.0.2.8")
