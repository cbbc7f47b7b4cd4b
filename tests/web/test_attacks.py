"""Attacks with a real browser: other pages, names, texts, addresses, and servers that are evil."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Final
from urllib.parse import quote

import pytest
from playwright.sync_api import Browser, Page, WebSocketRoute, expect

from tests.cli.serving import Talker
from tests.web.conftest import LIMIT_S, People, Program, Site, agree

Serve = Callable[..., Site]


def say(page: Page, text: str) -> None:
    page.fill("#text", text)
    page.press("#text", "Enter")


def shows(page: Page, text: str) -> None:
    expect(page.locator("#log .row.said .text").get_by_text(text, exact=True)).to_be_visible()


# ── Pages of others ──────────────────────────────────────────────────────────────────────────────


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        data = b"<!doctype html><title>evil</title><body></body>"
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_what: object) -> None:
        """Nobody reads it."""


@pytest.fixture(scope="module")
def elsewhere() -> Iterator[int]:
    """The port of somebody else's web server."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join(LIMIT_S)


@pytest.fixture
def victim(browser: Browser) -> Iterator[Callable[[str], Page]]:
    """A browser of somebody who opens a page of somebody else's."""
    with ExitStack() as stack:

        def opens(url: str) -> Page:
            context = browser.new_context()
            stack.callback(context.close)
            context.set_default_timeout(LIMIT_S * 1_000)
            page = context.new_page()
            page.goto(url)
            return page

        yield opens


# Each way a page has of reaching a server, and what comes of it. What is sent has lines in it, so
# that it would be said by somebody who came in.
_WAYS: Final = """
([target, spam]) => {
  const ws = target.replace("http", "ws");
  const made = (tag, fields) => Object.assign(document.createElement(tag), fields);
  const loaded = element => new Promise(resolve => {
    element.onload = () => resolve("loaded");
    element.onerror = () => resolve("refused");
    document.body.append(element);
  });
  const socket = protocols => new Promise(resolve => {
    const socket = new WebSocket(ws + "ws", protocols);
    socket.onopen = () => resolve("open");
    socket.onerror = () => resolve("refused");
  });
  const got = (path, options) =>
    fetch(target + path, options).then(async answer => answer.text(), () => "refused");
  const posted = enctype => new Promise(resolve => {
    const frame = made("iframe", {name: `frame-${enctype}`});
    document.body.append(frame);
    const form = made("form", {action: target, method: "post", enctype, target: frame.name});
    form.append(made("textarea", {name: "a", value: spam}));
    document.body.append(form);
    frame.onload = () => {
      let shown;
      try { shown = frame.contentDocument.body.textContent; } catch { shown = "refused"; }
      resolve(shown === "" ? "refused" : shown);
    };
    form.submit();
  });
  const events = () => new Promise(resolve => {
    const source = new EventSource(target);
    source.onopen = () => resolve("open");
    source.onerror = () => { source.close(); resolve("refused"); };
  });
  const framed = () => new Promise(resolve => {
    const frame = made("iframe", {src: target});
    frame.onload = () => {
      try { resolve(frame.contentDocument === null ? "refused" : "read"); }
      catch { resolve("refused"); }
    };
    document.body.append(frame);
  });
  const upgrade = {Connection: "Upgrade", Upgrade: "websocket"};
  const all = {
    "WebSocket": () => socket("tcpchat.jsonl"),
    "WebSocket without a subprotocol": () => socket([]),
    "fetch": () => got(""),
    "fetch of the socket": () => got("ws", {headers: upgrade}),
    "fetch, without cors": () => got("", {mode: "no-cors"}),
    "fetch of the health": () => got("healthz"),
    "post, without cors": () => got("", {method: "POST", mode: "no-cors", body: spam}),
    "post with cors": () => got("", {method: "POST", body: spam}),
    "put": () => got("", {method: "PUT", body: spam}),
    "form": () => posted("application/x-www-form-urlencoded"),
    "form of text": () => posted("text/plain"),
    "form of parts": () => posted("multipart/form-data"),
    "beacon": async () => (navigator.sendBeacon(target, spam), "refused"),
    "image": () => loaded(made("img", {src: target})),
    "script": () => loaded(made("script", {src: target + "tables.js"})),
    "module": () => loaded(made("script", {src: target + "tables.js", type: "module"})),
    "stylesheet": () => loaded(made("link", {href: target + "page.css", rel: "stylesheet"})),
    "frame": framed,
    "object": () => loaded(made("object", {data: target})),
    "events": events,
  };
  return Promise.all(Object.entries(all).map(async ([name, way]) => [name, await way()]))
    .then(Object.fromEntries);
}
"""

SPAM: Final = "\n/nick evil\n/join lobby\nspam\n" + '{"type":"hello"}\n' * 3


def written(folder: Path) -> int:
    """How many bytes a server has written of what people did."""
    return sum(path.stat().st_size for path in folder.rglob("log.db*"))


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_a_page_of_somebody_else_reaches_nobody(
    serve: Serve, elsewhere: int, victim: Callable[[str], Page], tmp_path: Path, host: str
) -> None:
    site = serve("--data", str(tmp_path / "data"), "--durability", "os")
    port = site.address.rpartition(":")[2]
    with Program(site.address, "ada", "lobby") as ada, Talker(site.address, "/join lobby\n") as nat:
        nat.read_until("* You joined")
        ada.wait(type="joined")
        ada.say("lobby", "before")
        before = ada.wait(type="sent")["seq"]
        log = written(tmp_path)
        page = victim(f"http://evil.example:{elsewhere}/")
        came = page.evaluate(_WAYS, [f"http://{host}:{port}/", SPAM])
        # Of what it may not read it is told nothing, not even that it is there.
        assert {way: result for way, result in came.items() if result != "refused"} == {}
        urls = {frame.url for frame in page.frames[1:]}
        assert urls <= {"chrome-error://chromewebdata/", "about:blank", ""}
        assert ada.heard(type="gone") == ada.heard(type="renamed", own=False) == []
        assert written(tmp_path) == log, "somebody has come in, if only for a moment"
        ada.say("lobby", "afterwards")
        said = nat.read_until("[lobby] ada: afterwards")
        assert said[-2:] == ["[lobby] ada: before", "[lobby] ada: afterwards"]
        assert ada.wait(type="sent", id="afterwards-0")["seq"] == before + 1
        assert len(ada.heard(type="joined")) == 1


@pytest.mark.parametrize("name", ["evil.example", "localhost.evil.example", "127.0.0.1.example"])
def test_a_name_that_was_made_to_lead_here_is_refused(
    serve: Serve, victim: Callable[[str], Page], name: str
) -> None:
    site = serve("--in-memory", "--web-host", "chat.example")
    port = site.address.rpartition(":")[2]
    page = victim(f"http://{name}:{port}/")
    expect(page.locator("body")).to_have_text(
        f"this server does not know that it is {name}: give it --web-host {name}\n"
    )
    assert page.evaluate("document.scripts.length") == 0
    # It is of one origin with the server, as far as the browser knows.
    came = page.evaluate(
        """async () => {
            const status = async (path, options) => (await fetch(path, options)).status;
            const socket = new Promise(resolve => {
                const socket = new WebSocket(`ws://${location.host}/ws`, "tcpchat.jsonl");
                socket.onopen = () => resolve("open");
                socket.onerror = () => resolve("refused");
            });
            return [await status("/"), await status("/page.js"), await status("/ws"),
                await status("/", {method: "POST", body: "\\n/join lobby\\n"}), await socket];
        }"""
    )
    assert came == [403, 403, 403, 405, "refused"]
    with Program(site.address, "bob") as bob:
        bob.wait(type="renamed", old="guest-1")


def test_a_name_that_the_server_was_given_is_its_own(serve: Serve, people: People) -> None:
    site = serve("--in-memory", "--web-host", "evil.example")
    port = site.address.rpartition(":")[2]
    pia = people.comes(site._replace(url=f"http://evil.example:{port}/"), "pia")
    say(pia, "not evil at all")
    shows(pia, "not evil at all")


# ── What others say, and are called ──────────────────────────────────────────────────────────────

HOSTILE: Final = [
    "<script>window.hit = 1</script>",
    "<img src=x onerror=window.hit=1>",
    "<svg/onload=window.hit=1>",
    "javascript:window.hit=1",
    "data:text/html,<script>window.hit=1</script>",
    "https://a.example/\"onmouseover='window.hit=1'//<b>",
    "http://a.example@evil.example/ https://[::1]:7667/ http://%00/ https://a.example:99999999/",
    "\u202eevil.example//:sptth \u2066hidden\u2069 \u200f\u200e",
    "\x1b[2J\x1b]0;title\x07\x00\x08\x7f\x9b31m",
    "w" * 2_000,
    "Z\u0351\u036b" * 600,
    "{{7*7}} ${7*7} %s %n <!--",
    "&lt;script&gt;&#60;b&#62;",
    "\ufdfd" * 1_000,
    "👩‍👩‍👧‍👦" * 200,
    "a\u2028b\u2029c",
]

_WATCH: Final = """
    window.hit = 0;
    window.violations = [];
    document.addEventListener("securitypolicyviolation", ({violatedDirective, blockedURI}) =>
        window.violations.push(`${violatedDirective} ${blockedURI}`));
"""


def unharmed(page: Page) -> None:
    """Nothing of what was said or sent was more than text. (What is complained of: see People.)"""
    assert page.evaluate("window.hit") == 0
    assert page.evaluate("window.violations") == []
    assert (
        page.locator("script, img, svg, iframe, object, embed, base, [onerror], [onload]").count()
        == 2  # those that load the page
    )
    links = [link.get_attribute("href") or "" for link in page.locator("#app a").all()]
    assert all(re.match(r"https?://", link) for link in links), links


def test_what_is_hostile_is_text_wherever_it_stands(serve: Serve, people: People) -> None:
    site = serve("--in-memory")
    with Program(site.address, "ada", "lobby") as ada:
        ada.ask(type="topic", room="lobby", topic=HOSTILE[0])  # before pia comes
        for number, text in enumerate(HOSTILE):
            ada.ask(type="say", room="lobby", text=text, id=f"said-{number}")
        ada.wait(type="sent", id=f"said-{len(HOSTILE) - 1}")
        pia = people.comes(site, "pia", script=_WATCH)
        expect(pia.locator("#topic")).to_have_text(HOSTILE[0])
        for number, text in enumerate(HOSTILE):
            ada.ask(type="topic", room="lobby", topic=text[:200])
            ada.ask(type="say", room="lobby", text=text, emote=True, id=f"emote-{number}")
            ada.ask(type="tell", nick="pia", text=text, id=f"told-{number}")
            with Program(site.address, f"bob{number}", "lobby") as bob:
                bob.ask(type="quit", reason=text[:200])
                bob.wait(type="closing")
            # Of names the server takes few; whatever it takes is shown as it is.
            ada.ask(type="join", room=text[:32])
            ada.ask(type="nick", nick=text[:24])
        ada.say("lobby", "the last one")
        shows(pia, "the last one")
        for number in range(pia.locator("#rooms button.room, #directs button.direct").count()):
            pia.locator("#rooms button.room, #directs button.direct").nth(number).click()
            unharmed(pia)
        assert pia.evaluate("document.scrollingElement.scrollWidth") <= 1_200
        for text in HOSTILE:
            pia.fill("#text", text)
            pia.press("#text", "Tab")
            pia.locator("#text").focus()
            for command in ("/join", "/nick", "/topic", "/msg ada", "/search", "/help", "/who", ""):
                pia.fill("#text", f"{command} {text}")
                pia.press("#text", "Enter")
                for dialog in pia.locator("dialog[open]").all():
                    dialog.locator("form.close button").click()
        unharmed(pia)


# What a program that keeps things by name may take for something of its own.
_NAMES: Final = ["__proto__", "constructor", "toString", "hasOwnProperty", "valueOf", "then"]


def test_names_that_programs_know_are_names_everywhere(serve: Serve, people: People) -> None:
    site = serve("--in-memory")
    with ExitStack() as stack:
        pia = people.comes(site, "pia", "__proto__", script=_WATCH)
        for name in _NAMES:
            one = stack.enter_context(Program(site.address, name, *_NAMES))
            one.ask(type="topic", room=name, topic=name)
            one.ask(type="tell", nick="pia", text=name, id="__proto__")
            one.say("__proto__", name)
            shows(pia, name)
        expect(pia.locator("#directs button.direct")).to_have_count(len(_NAMES))
        expect(pia.locator("#members li")).to_have_count(len(_NAMES) + 1)
        for name in _NAMES[1:]:
            say(pia, f"/join {name}")
            expect(pia.locator("#title")).to_have_text(name)
            expect(pia.locator("#topic")).to_have_text(name)
            say(pia, f"/msg {name} hello {name}")
            shows(pia, f"hello {name}")
        pia.reload()
        expect(pia.locator("#rooms button.room")).to_have_count(len(_NAMES))
        say(pia, "/nick valueOf-2")
        expect(pia.locator("#me")).to_have_text("valueOf-2")
        unharmed(pia)
        assert pia.evaluate("Object.keys(Object.prototype)") == []


@pytest.mark.parametrize(
    "typed",
    ["\ud83d", "\udc9b\ud83d", "a\udfffb", "\ud83d/me waves", "/nick \ud83d", "/topic \udc9b"],
)
def test_half_characters_that_are_typed_break_nothing(
    serve: Serve, people: People, typed: str
) -> None:
    site = serve("--in-memory")
    pia = people.comes(site, "pia", script=_WATCH)
    pia.evaluate(
        "text => { document.getElementById('text').value = JSON.parse(text); }", json.dumps(typed)
    )
    pia.press("#text", "Enter")
    say(pia, "and on")
    shows(pia, "and on")
    expect(pia.locator("#pending .row")).to_have_count(0)
    unharmed(pia)


# ── Addresses, and what a browser keeps ──────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "fragment",
    [
        "%00",
        "%",
        "%ff%fe",
        "%ED%A0%80",
        quote(HOSTILE[1]),
        HOSTILE[1],
        "javascript:window.hit=1",
        "x" * 10_000,
        quote("\u202e" * 100),
        "#" * 100,
        "__proto__",
        "a%0Ab%0D/nick%20evil",
    ],
)
def test_any_address_opens_the_page(serve: Serve, people: People, fragment: str) -> None:
    site = serve("--in-memory")
    pia = people.opens(f"{site.url}#{fragment}", script=_WATCH)
    pia.wait_for_selector("#entrance:not([hidden])")
    pia.fill("#nick", "pia")
    pia.press("#room", "Enter")  # whatever stands there is asked for, and perhaps refused
    expect(pia.locator("#app:not([hidden]), #enter-error:not(:empty)")).to_be_visible()
    if pia.locator("#app").is_hidden():
        pia.fill("#room", "lobby")
        pia.press("#room", "Enter")
    pia.wait_for_selector("#app:not([hidden])")
    pia.evaluate("fragment => { location.hash = fragment; }", fragment)
    say(pia, "here I am")
    shows(pia, "here I am")
    unharmed(pia)


@pytest.mark.parametrize("code", ["x" * 5_000, "%00%ff", quote(HOSTILE[1]), HOSTILE[1]])
def test_any_code_in_an_address_is_refused_in_a_sentence(
    serve: Serve, people: People, code: str
) -> None:
    site = serve("--in-memory")
    pia = people.opens(f"{site.url}#claim={code}", script=_WATCH)
    agree(pia)
    expect(pia.locator("#enter-error")).not_to_be_empty()
    expect(pia).to_have_url(site.url)
    pia.fill("#nick", "pia")
    pia.press("#room", "Enter")
    pia.wait_for_selector("#app:not([hidden])")
    pia.evaluate("code => { location.hash = `#claim=${code}`; }", code)
    agree(pia)
    say(pia, "here I am")
    shows(pia, "here I am")
    unharmed(pia)


_GARBAGE: Final = [
    "",
    "{",
    "5",
    '"text"',
    "[null, 5, {}]",
    "[[5, 5], [null]]",
    '{"tab": "t"}',
    '{"tab": "t", "protocol": 7}',
    '{"tab": "t", "protocol": {"rooms": 5}}',
    '{"tab": "t", "protocol": {"nick": "a", "rooms": [["a", "b"]], "unacknowledged": [5]}}',
    """{"tab": "t", "protocol": {"nick": {}, "welcome": {"token": 5, "limits": 7}, "rooms": [],
    "unacknowledged": [], "lost": [], "epoch": [], "told": "x", "lastId": "y"},
    "drafts": [["#a", 5]], "current": {"a": 1}}""",
    '{"__proto__": {"tab": "t"}, "tab": "t", "protocol": {"__proto__": null}}',
    "[" * 5_000 + "]" * 5_000,
    json.dumps("x" * 1_000_000),
]


@pytest.mark.parametrize("number", range(len(_GARBAGE)))
def test_whatever_a_browser_has_kept_the_page_opens(
    serve: Serve, people: People, number: int
) -> None:
    site = serve("--in-memory")
    keep = f"""
        {_WATCH}
        if (location.protocol === "http:" && !sessionStorage.getItem("once")) {{
            sessionStorage.setItem("once", "1");
            const garbage = {json.dumps(_GARBAGE[number])};
            for (const name of ["session", "directs", "typed", "ignored"])
                sessionStorage.setItem(`tcpchat.${{name}}`, garbage);
            for (const name of ["nick", "room", "rooms", "notify"])
                localStorage.setItem(`tcpchat.${{name}}`, garbage);
        }}
    """
    pia = people.comes(site, "pia", script=keep)
    say(pia, "here I am")
    shows(pia, "here I am")
    pia.press("#text", "ArrowUp")
    pia.fill("#text", "")
    pia.reload()
    shows(pia, "here I am")
    unharmed(pia)


# ── A server that is evil, or broken ─────────────────────────────────────────────────────────────

WELCOME: Final[dict[str, object]] = {"type": "welcome", "nick": "pia", "epoch": "e1", "token": "t"}
ENTERED: Final[dict[str, object]] = {
    "type": "entered",
    "room": "lobby",
    "members": ["pia", "ada"],
    "count": 2,
    "seq": 0,
    "at": 0,
}
SAID: Final[dict[str, object]] = {
    "type": "said",
    "room": "lobby",
    "nick": "ada",
    "text": "x",
    "seq": 1,
    "at": 0,
}


class FakeServer:
    """What a page meets in the place of the server: all that it is asked is answered as it should
    be, until something else is told.
    """

    def __init__(self, people: People) -> None:
        self._people = people
        self._route: WebSocketRoute | None = None

    def comes(self, site: Site) -> Page:
        """Somebody who is in the lobby, as far as the page knows."""
        page = self._people.opens(site.url, script=_WATCH, socket=self._meet)
        page.wait_for_selector("#entrance:not([hidden])")
        page.fill("#room", "lobby")
        page.press("#room", "Enter")
        page.wait_for_selector("#app:not([hidden])")
        return page

    def tell(self, *told: str | bytes | dict[str, object]) -> None:
        assert self._route is not None
        for each in told:
            self._route.send(json.dumps(each) if isinstance(each, dict) else each)

    def _meet(self, route: WebSocketRoute) -> None:
        self._route = route
        route.on_message(self._answer)

    def _answer(self, text: str | bytes) -> None:
        asked = json.loads(text)
        match asked["type"]:
            case "hello":
                self.tell(WELCOME)
            case "join":
                self.tell({**ENTERED, "room": asked["room"]})
            case "rooms":
                self.tell({"type": "rooms", "rooms": []})
            case "ping":
                self.tell({"type": "pong", "id": asked["id"]})
            case "say":
                self.tell(
                    {"type": "sent", "id": asked["id"], "room": "lobby", "seq": None, "at": 0}
                )
            case "search" | "history":
                text = "there is none"
                self.tell(
                    {"type": "rejected", "request": asked["type"], "reason": "none", "text": text}
                )


def goes_on(page: Page) -> None:
    """The page still does what it is for."""
    say(page, "still here")
    shows(page, "still here")
    unharmed(page)


def is_over(page: Page) -> None:
    """The page has said in one sentence that it has left."""
    expect(page.locator("#status")).to_have_text(
        re.compile(r"The conversation is over: the server .{1,200}\. Come back")
    )
    assert page.locator("#status button").is_enabled()
    unharmed(page)


@pytest.mark.parametrize(
    "told",
    [
        "",
        "nonsense",
        "<script>window.hit=1</script>",
        "null",
        "5",
        "[]",
        "{}",
        '{"type": 5}',
        '{"type": ""}',
        '{"type": "said"}',
        '{"type": "welcome", "nick": {}}',
        '{"type": "welcome", "nick": "a", "epoch": "e", "motd": "text"}',
        '{"type": "welcome", "nick": "a", "epoch": "e", "limits": 5}',
        '{"type": "entered", "room": "a", "members": {}, "count": 1, "seq": 1, "at": 1}',
        '{"type": "entered", "room": "a", "members": [5], "count": 1, "seq": 1, "at": 1}',
        '{"type": "said", "room": "lobby", "nick": "a", "text": "x", "seq": 1.5, "at": 1}',
        '{"type": "said", "room": "lobby", "nick": "a", "text": "x", "seq": "1", "at": 1}',
        '{"type": "closing", "reason": ["x"]}',
        '{"type": "said", "room": "lobby", "nick": "a", "text": '
        + "[" * 10_000
        + "]" * 10_000
        + "}",
        "[" * 10_000_000,
        "x" * 10_000_000,
        '{"type": "announced", "text": "' + "x" * 17_000_000 + '"}',
        json.dumps(SAID) + "\n" + "x",
        b"\x00\xff binary",
    ],
    ids=lambda told: str(told[:50]),
)
def test_a_server_that_speaks_something_else_is_left_in_one_sentence(
    serve: Serve, people: People, told: str | bytes
) -> None:
    server = FakeServer(people)
    page = server.comes(serve("--in-memory"))
    server.tell(told)
    is_over(page)


_NUMBERS: Final = [-1, 0, -(2**53), 2**53, 10**300, -(10**300)]
_TEXTS: Final = ["", "__proto__", "lobby", "pia", "x" * 100_000, *HOSTILE[:2], "\u202e\x1b[2J"]


def _extreme() -> Iterator[dict[str, object]]:
    """Notices that are some by their form, and have in them what no server would send."""
    for number in _NUMBERS:
        yield {**SAID, "seq": number, "at": number}
        yield {"type": "told", "nick": "ada", "text": "x", "seq": number, "at": number}
        yield {**ENTERED, "room": f"r{number}"[:30], "count": number, "seq": number, "at": number}
        yield {"type": "joined", "room": "lobby", "nick": "bob", "seq": number, "at": number}
        yield {"type": "gap", "room": "lobby", "oldest": number}
        yield {"type": "gap", "room": "", "oldest": number}
        yield {"type": "sent", "id": "1", "room": "lobby", "seq": number, "at": number}
        yield {"type": "rooms", "rooms": [{"room": "a", "members": number}], "more": number}
    for text in _TEXTS:
        yield {**SAID, "room": text, "nick": text, "text": text, "seq": 2, "id": text}
        yield {"type": "told", "nick": text, "text": text, "seq": 1, "at": 0}
        yield {**ENTERED, "room": text, "members": [text] * 3, "topic": text, "history": [SAID]}
        yield {"type": "topic", "room": "lobby", "topic": text, "nick": text, "seq": 1, "at": 0}
        yield {"type": "renamed", "old": text, "new": text}
        yield {"type": "left", "room": text, "nick": text}
        yield {"type": "gone", "nick": text, "reason": text}
        yield {"type": "who", "room": text, "nicks": [text]}
        yield {"type": "rejected", "request": text, "reason": text, "text": text, "id": text}
        yield {"type": "announced", "text": text}
        yield {"type": "help", "lines": [text]}
        yield {"type": "pong", "id": text}
        yield {"type": "ping", "id": text}
        yield {"type": "diverged", "epoch": text}
        yield {"type": text or "unknown", "anything": [text]}
        yield {"type": "history", "room": text, "messages": [SAID] * 3, "more": True}
        yield {"type": "found", "messages": [SAID], "more": True}
        yield {"type": "rooms", "rooms": [{"room": text, "members": 1, "topic": text}], "more": 0}
    yield {**ENTERED, "room": "crowd", "members": [f"nick-{n}" for n in range(20_000)]}
    yield {**ENTERED, "room": "past", "history": [{**SAID, "seq": -n} for n in range(2_000)]}
    yield {"type": "who", "room": "lobby", "nicks": [f"nick-{n}" for n in range(20_000)]}


def test_whatever_a_server_tells_in_the_right_form_the_page_goes_on(
    serve: Serve, people: People
) -> None:
    server = FakeServer(people)
    page = server.comes(serve("--in-memory"))
    server.tell(*_extreme())
    goes_on(page)
    rooms = page.locator("#rooms button.room, #directs button.direct")
    for number in range(rooms.count()):
        rooms.nth(number).click()
        unharmed(page)
    page.reload()
    page.wait_for_selector("#app:not([hidden]), #entrance:not([hidden])")


@pytest.mark.parametrize(
    "limits",
    [
        {"line_bytes": -1, "text_chars": -1, "unacknowledged": -1, "grace_ms": -1},
        {"line_bytes": 10**300, "text_chars": 10**300, "unacknowledged": 10**300},
        {"line_bytes": 1, "text_chars": 1, "unacknowledged": 0},
    ],
)
def test_limits_that_make_no_sense_stop_nothing_but_what_they_limit(
    serve: Serve, people: People, limits: dict[str, int]
) -> None:
    server = FakeServer(people)
    page = server.comes(serve("--in-memory"))
    names = ("line_bytes", "text_chars", "text_bytes", "nick_chars", "room_chars", "topic_chars")
    more = ("rooms_per_person", "unacknowledged", "grace_ms", "flood_burst")
    server.tell({**WELCOME, "limits": {name: limits.get(name, 5) for name in (*names, *more)}})
    say(page, "hello")
    page.fill("#text", "")
    expect(page.locator("#text")).to_have_value("")
    unharmed(page)


@pytest.mark.parametrize("retry", [-(10**300), -1, 0, 10**300, None])
def test_a_server_that_says_when_to_come_back_cannot_make_a_page_hammer(
    serve: Serve, people: People, retry: int | None
) -> None:
    server = FakeServer(people)
    page = server.comes(serve("--in-memory"))
    page.evaluate("""() => {
        const Real = window.WebSocket;
        window.opened = 0;
        window.WebSocket = class extends Real {
            constructor(...all) { super(...all); window.opened += 1; }
        };
    }""")
    server.tell({"type": "closing", "reason": "tea", "retry": retry})
    assert server._route is not None
    server._route.close()
    if retry is None:
        expect(page.locator("#status")).to_contain_text("The conversation is over: tea.")
    elif retry > 0:
        expect(page.locator("#status")).to_contain_text("The connection is lost (tea)")
    else:
        goes_on(page)
    assert page.evaluate("window.opened") <= 2
    unharmed(page)
