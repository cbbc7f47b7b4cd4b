"""A real browser, people in it, and somebody with a socket."""

from __future__ import annotations

import json
import os
import shutil
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any, Final, NamedTuple, NoReturn, Self

import pytest
from playwright.sync_api import (
    Browser,
    BrowserContext,
    Page,
    WebSocketRoute,
    expect,
    sync_playwright,
)

from tests.cli.cable import Plug, cable_to
from tests.cli.serving import ServerProcess, listening

# However busy the machine is; it is where a broken one ends.
LIMIT_S: Final = 60
expect.set_options(timeout=LIMIT_S * 1_000)

# Names that lead to this machine, as far as the browser knows.
_NAMES: Final = "MAP *.example 127.0.0.1"

WIDE: Final[dict[str, Any]] = {"viewport": {"width": 1200, "height": 800}, "color_scheme": "light"}
NARROW: Final[dict[str, Any]] = {"viewport": {"width": 390, "height": 780}, "color_scheme": "dark"}


class Site(NamedTuple):
    """A server that was started, and where its page is."""

    server: ServerProcess
    address: str
    url: str


class Program:
    """Somebody who speaks JSON Lines; a thread reads, so that the server never waits for us."""

    def __init__(self, address: str, nick: str, *rooms: str) -> None:
        host, _, port = address.rpartition(":")
        self._sock = socket.create_connection((host, int(port)), timeout=LIMIT_S)
        self._sock.settimeout(None)  # it is `wait` that does not wait for ever
        self._told: list[dict[str, Any]] = []
        self._more = threading.Condition()
        self.ask(type="hello")  # at once: who is silent is taken for a person
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self.ask(type="nick", nick=nick)
        for room in rooms:
            self.ask(type="join", room=room)
            self.wait(type="entered", room=room)

    def ask(self, **request: object) -> None:
        self._sock.sendall(json.dumps(request).encode() + b"\n")

    def say(self, room: str, *texts: str) -> None:
        for number, text in enumerate(texts):
            self.ask(type="say", room=room, text=text, id=f"{text[:20]}-{number}")

    def wait(self, **what: object) -> dict[str, Any]:
        """The first notice that has these fields."""
        with self._more:
            while True:
                for notice in self._told:
                    if all(notice.get(key) == value for key, value in what.items()):
                        return notice
                assert self._more.wait(LIMIT_S), f"nobody told {what}: {self._told[-5:]}"

    def heard(self, **what: object) -> list[dict[str, Any]]:
        """All notices until now that have these fields; what is on its way comes first."""
        self.ask(type="ping", id=(id := f"ping-{len(self._told)}"))
        self.wait(type="pong", id=id)
        with self._more:
            return [
                notice
                for notice in self._told
                if all(notice.get(key) == value for key, value in what.items())
            ]

    def close(self) -> None:
        self._sock.shutdown(socket.SHUT_RDWR)
        self._reader.join(LIMIT_S)
        self._sock.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def _read(self) -> None:
        with self._sock.makefile("r", encoding="utf-8", newline="\n") as lines:
            for line in lines:
                notice = json.loads(line)
                if notice["type"] == "ping":
                    self.ask(type="pong", id=notice.get("id"))
                with self._more:
                    self._told.append(notice)
                    self._more.notify_all()


def not_here(sentence: str) -> NoReturn:
    """A program that a test needs is missing: in CI it must not be."""
    if os.environ.get("CI"):
        pytest.fail(f"{sentence}, and in CI there has to be one")
    pytest.skip(sentence)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    chromium = shutil.which("chromium")
    if chromium is None:
        not_here("there is no chromium that could open the page")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=chromium,
            args=["--no-sandbox", "--disable-dev-shm-usage", f"--host-resolver-rules={_NAMES}"],
        )
        yield browser
        browser.close()


@pytest.fixture
def serve() -> Iterator[Callable[..., Site]]:
    """Start a server with these flags."""
    with ExitStack() as stack:

        def start(*flags: str) -> Site:
            server, address = stack.enter_context(listening("--flood-rate", "0", *flags))
            return Site(server, address, f"http://{address}/")

        yield start


@pytest.fixture
def cable() -> Iterator[Callable[[Site], tuple[Plug, Site]]]:
    """Put a cable that can be pulled out before a server's page."""
    with ExitStack() as stack:

        def lead(site: Site) -> tuple[Plug, Site]:
            near = site.url.removeprefix("http://").rstrip("/")
            plug = stack.enter_context(cable_to(near))
            return plug, site._replace(url=f"http://{plug.address}/")

        yield lead


def agree(page: Page) -> None:
    """Use the code that is in the address of a page."""
    page.locator("#claim-dialog").get_by_text("Use the code", exact=True).click()


class People:
    """Those who sit before a browser. What it complains about, or asks others for, is kept."""

    def __init__(self, browser: Browser) -> None:
        self._browser = browser
        self.contexts: list[BrowserContext] = []
        self.complaints: list[str] = []

    def opens(
        self,
        url: str,
        *,
        script: str = "",
        socket: Callable[[WebSocketRoute], None] | None = None,
        **options: Any,
    ) -> Page:
        """Somebody opens the page, in a browser in which a script has run first.

        With a `socket`, that is what its WebSocket leads to.
        """
        context = self._browser.new_context(**{**WIDE, **options})
        context.set_default_timeout(LIMIT_S * 1_000)
        context.add_init_script(script)
        if socket is not None:
            context.route_web_socket("**/ws", socket)
        self.contexts.append(context)
        is_led = socket is not None
        context.on("page", lambda page: self._watch(page, url, is_led=is_led))
        page = context.new_page()
        page.goto(url)
        return page

    def comes(self, site: Site, nick: str, room: str = "lobby", **options: Any) -> Page:
        """Somebody opens the page and comes in."""
        page = self.opens(site.url, **options)
        page.wait_for_selector("#entrance:not([hidden])")
        page.fill("#nick", nick)
        page.fill("#room", room)
        page.press("#room", "Enter")
        page.wait_for_selector("#app:not([hidden])")
        return page

    def _watch(self, page: Page, url: str, *, is_led: bool) -> None:
        # That a connection is lost is what these tests are about. One that is led elsewhere is open
        # for the page, which asks before it sends, until Playwright has told it of its end.
        expected = ["WebSocket connection", *(["WebSocket is already"] if is_led else [])]

        def console(message: Any) -> None:
            is_expected = any(each in message.text for each in expected)
            if message.type in {"error", "warning"} and not is_expected:
                self.complaints.append(f"{message.type}: {message.text}")

        def request(asked: Any) -> None:
            if not asked.url.startswith((url.partition("#")[0], "data:")):
                self.complaints.append(f"asked for {asked.url}")

        page.on("console", console)
        page.on("request", request)
        page.on("pageerror", lambda error: self.complaints.append(f"raised {error}"))
        page.on("dialog", lambda dialog: self.complaints.append(f"dialog {dialog.message}"))


@pytest.fixture
def people(browser: Browser) -> Iterator[People]:
    people = People(browser)
    yield people
    for context in people.contexts:
        context.close()
    assert people.complaints == []
