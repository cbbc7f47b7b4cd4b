"""What the page costs in a browser: a real chromium, on loopback, with a server of its own.

Rule 1: The browser's own clocks and counters are read, and nothing is timed from here: a page load
        from the start of the navigation, a key from when the browser had it, what is shown from
        when it was painted.

Rule 2: The page is looked at as people do: a field to type a nick into, rows with text in them. How
        it is built may change.

Rule 3: All figures are of one machine that does everything: the server, the browsers and those who
        talk share its cores.
"""

from __future__ import annotations

import random
import selectors
import shutil
import socket
import statistics
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

import msgspec

from benchmarks.processes import Failed
from benchmarks.report import Row, Spread, TableReport, spread
from benchmarks.systems import SYSTEMS

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, CDPSession, Page

# How often a page is loaded, and how much of it is allowed.
LOADS: Final = 20
LOAD_TARGETS: Final = {"KB": 60.0, "interactive, ms": 100.0}

# So many messages are typed by one, with such a pause after each, and shown by another.
MESSAGES: Final = 200
PAUSE_S: Final = (0.03, 0.10)
SHOWN_TARGETS: Final = {"p50, ms": 30.0}

# What is said in a room while somebody types in it: so many messages by so many people, so many a
# second (some hundred times what people say), a key each so often.
TOLD, TALKERS, TOLD_PER_S, KEY_S = 10_000, 10, 200, 0.05
PARTS = 5  # of them, to see whether it costs more when much is there

# As long as this nothing that one does is felt as waiting (RAIL: a task of 50 ms leaves a key that
# comes in it another 50).
LONGEST_TASK_MS: Final = 50.0

# What has to come is waited for so long, however busy the machine is.
PATIENCE_S: Final = 120.0

# What is played into each page before its own scripts run.
_WATCH: Final = """
window.bench = { shown: {}, keys: [], last: -1 };

/* The task after the next frame: what is in the document now has been painted by then. */
const painted = (then) => requestAnimationFrame(() => {
  const { port1, port2 } = new MessageChannel();
  port1.onmessage = () => { port1.close(); then(performance.timeOrigin + performance.now()); };
  port2.postMessage(0);
});

new MutationObserver((records) => {
  if (bench.interactive === undefined) {
    const nick = document.querySelector("#nick");
    if (nick?.checkVisibility() && !nick.disabled) {
      bench.interactive = null;
      painted((at) => { bench.interactive = at - performance.timeOrigin; });
    }
  }
  const numbers = [];
  for (const { addedNodes } of records) for (const node of addedNodes) {
    const found = node.nodeType === 1 && node.textContent.match(/message ([0-9]+)/);
    if (found) numbers.push(Number(found[1]));
  }
  if (numbers.length === 0) return;
  bench.last = Math.max(bench.last, ...numbers);
  if (bench.isTimed) painted((at) => numbers.forEach((number) => { bench.shown[number] ??= at; }));
}).observe(document, { attributes: true, childList: true, subtree: true });

addEventListener("keydown", (event) => {
  const at = performance.timeOrigin + event.timeStamp;
  if (event.key === "Enter") bench.entered = at;
  if (bench.isTimed) painted((shown) => bench.keys.push(shown - at));
}, true);
"""

# One try of something, by the column that it stands in.
_Figures = dict[str, float]


def unavailable() -> str | None:
    """A sentence when there is no browser to be had."""
    if find_spec("playwright") is None:
        return "browser is left out: playwright is not installed (pip install -e '.[bench]')"
    if shutil.which("chromium") is None:
        return "browser is left out: chromium is not installed (Debian: apt-get install chromium)"
    return None


def measure_browser(rounds: int, *, is_quick: bool) -> Iterator[TableReport]:
    """Measure it all; in small, to see that it works, when it has to be quick."""
    with _chromium() as browser:
        yield _loads(browser, 2 if is_quick else LOADS)
        yield _talk(browser, 1 if is_quick else rounds, 5 if is_quick else MESSAGES)
        yield _crowded(browser, 1 if is_quick else rounds, 400 if is_quick else TOLD)


@contextmanager
def _chromium() -> Iterator[Browser]:
    from playwright.sync_api import Error, sync_playwright  # noqa: PLC0415 # not always there

    chromium = shutil.which("chromium")
    arguments = ["--no-sandbox", "--disable-dev-shm-usage"]
    try:
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=chromium, args=arguments)
            yield browser
            browser.close()
    except Error as error:
        raise Failed(f"the browser: {str(error).strip().partition(chr(10))[0]}") from error


@contextmanager
def _serving() -> Iterator[str]:
    """The address of a server of its own."""
    with (
        tempfile.TemporaryDirectory(prefix="tcpchat-benchmarks-") as directory,
        SYSTEMS["tcpchat-browsers"].serving(Path(directory), 2 * TALKERS) as server,
    ):
        yield f"127.0.0.1:{server.port}"


@contextmanager
def _person(browser: Browser) -> Iterator[BrowserContext]:
    """A browser that has never been here."""
    context = browser.new_context(viewport={"width": 1200, "height": 800})
    context.set_default_timeout(PATIENCE_S * 1_000)
    context.add_init_script(_WATCH)
    try:
        yield context
    finally:
        context.close()


def _comes_in(context: BrowserContext, address: str, nick: str) -> Page:
    page = context.new_page()
    page.goto(f"http://{address}/")
    page.fill("#nick", nick)
    page.fill("#room", "lobby")
    page.press("#room", "Enter")
    page.wait_for_selector("#text")
    return page


def _percentile(values: Sequence[float], percent: int) -> float:
    return statistics.quantiles(values, n=100, method="inclusive")[percent - 1]


def _over(tries: Sequence[_Figures]) -> dict[str, Spread]:
    return {column: spread([one[column] for one in tries]) for column in tries[0]}


# ── A page load ──────────────────────────────────────────────────────────────────────────────────


def _loads(browser: Browser, loads: int) -> TableReport:
    first: list[_Figures] = []
    again: list[_Figures] = []
    least: list[_Figures] = []
    with _serving() as address, _least_page() as least_address:
        for _ in range(loads):
            with _person(browser) as context:
                first.append(_load(context, address))
                again.append(_load(context, address))
            with _person(browser) as context:
                least.append(_load(context, least_address))
    return TableReport(
        "a page load",
        "bytes are all that comes, by HTTP and on the WebSocket; interactive is when the field for"
        " a nick has been painted, counted from the start of the navigation",
        [
            Row("the first", _over(first), LOAD_TARGETS),
            Row("another, with the files of the first", _over(again), LOAD_TARGETS),
            Row("the yardstick: a field and nothing else", _over(least)),
        ],
    )


@contextmanager
def _least_page() -> Iterator[str]:
    """The address of a page that has a field, and neither a script nor a style."""
    page = b"<!doctype html><title>least</title><input id=nick autofocus>"
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nConnection: close\r\nContent-Length: %d"

    def serve() -> None:
        while True:
            try:
                sock, _ = listener.accept()
            except OSError:
                return
            with sock:
                if sock.recv(16_384):
                    sock.sendall(head % len(page) + b"\r\n\r\n" + page)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        serving = threading.Thread(target=serve)
        serving.start()
        try:
            yield f"127.0.0.1:{listener.getsockname()[1]}"
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            serving.join()


def _load(context: BrowserContext, address: str) -> _Figures:
    page = context.new_page()
    network = context.new_cdp_session(page)
    sizes: list[float] = []
    network.on("Network.loadingFinished", lambda told: sizes.append(told["encodedDataLength"]))
    network.on(
        "Network.webSocketHandshakeResponseReceived",
        lambda told: sizes.append(len(told["response"]["headersText"])),
    )
    frames: list[int] = []
    network.on(
        "Network.webSocketFrameReceived",
        lambda told: frames.append(len(told["response"]["payloadData"].encode())),
    )
    network.send("Network.enable")
    page.goto(f"http://{address}/")
    _wait_until(page, "Number.isFinite(bench.interactive)")
    interactive = page.evaluate("bench.interactive")
    page.locator("#nick").press_sequentially("ada")
    if page.input_value("#nick") != "ada":
        raise Failed("what is typed on the page when it is there to be typed into is lost")
    page.close()
    received = [size for size in sizes if size > 0]
    return {
        "KB": (sum(received) + sum(frames)) / 1_000,
        "requests": len(received),
        "interactive, ms": interactive,
    }


# ── From Enter to what another browser shows ─────────────────────────────────────────────────────


def _talk(browser: Browser, rounds: int, messages: int) -> TableReport:
    tries = []
    for _ in range(rounds):
        with _serving() as address, _person(browser) as one, _person(browser) as other:
            tries.append(
                _said(_comes_in(one, address, "ada"), _comes_in(other, address, "bob"), messages)
            )
    return TableReport(
        "from Enter to shown",
        "ada presses Enter, and bob's browser has painted what she said",
        [Row(f"{messages} messages", _over(tries), SHOWN_TARGETS)],
    )


def _said(writer: Page, reader: Page, messages: int) -> _Figures:
    reader.evaluate("bench.isTimed = true")
    entered = {}
    writer.focus("#text")
    for number in range(messages):
        writer.keyboard.type(f"message {number}")
        writer.keyboard.press("Enter")
        entered[number] = writer.evaluate("bench.entered")
        time.sleep(random.uniform(*PAUSE_S))  # so that it falls anywhere between two frames
    _wait_until(reader, f"Object.keys(bench.shown).length === {messages}")
    shown = reader.evaluate("bench.shown")
    took = [shown[str(number)] - at for number, at in entered.items()]
    return {
        "p50, ms": _percentile(took, 50),
        "p90, ms": _percentile(took, 90),
        "p99, ms": _percentile(took, 99),
        "least, ms": min(took),
    }


def _wait_until(page: Page, condition: str) -> None:
    """Ask now and then: playwright's own way asks in every frame, which the page would pay for."""
    limit = time.monotonic() + PATIENCE_S
    while not page.evaluate(condition):
        if time.monotonic() > limit:
            raise Failed(f"it took the page too long until {condition}")
        time.sleep(0.02)


# ── A room in which much is said ─────────────────────────────────────────────────────────────────


# How lines begin that tell of one's coming in, and of each message.
_TOLD_OF: Final = tuple(b'\n{"type":"%s"' % kind for kind in (b"entered", b"said", b"sent"))


class _Talkers:
    """People who speak JSON Lines in a room, and read all that they are told."""

    def __init__(self, address: str, count: int) -> None:
        host, _, port = address.partition(":")
        self._socks = [socket.create_connection((host, int(port))) for _ in range(count)]
        # The end of the last line, and what was read behind it.
        self._tails = dict.fromkeys(self._socks, b"\n")
        # Of how many messages each was told, one's own too: from 0 on once it is in.
        self._heard = dict.fromkeys(self._socks, -1)
        self._readable = selectors.DefaultSelector()
        self._said = 0
        for number, sock in enumerate(self._socks):
            self._readable.register(sock, selectors.EVENT_READ)
            self._ask(sock, type="hello")
            self._ask(sock, type="nick", nick=f"talker{number}")
            self._ask(sock, type="join", room="lobby")
            self._hears(sock, 0)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self._readable.close()
        for sock in self._socks:
            sock.close()

    def _ask(self, sock: socket.socket, **request: object) -> None:
        sock.sendall(msgspec.json.encode(request) + b"\n")

    def say(
        self, messages: int, per_s: float, said: threading.Event, shown: threading.Event
    ) -> None:
        """Say so many messages in turns, at a pace; 0 is as fast as it goes.

        The last one comes behind all others. When all is `said` they read on until it is `shown`.
        """
        start = time.monotonic()
        for count in range(messages):
            while (left := start + count / per_s - time.monotonic() if per_s else 0) > 0:
                self._read(left)
            text = f"message {self._said}: is it the kettle, or is it https://example.org/tea?"
            sock = self._socks[self._said % len(self._socks)]
            if count == messages - 1:
                self._hears(sock, self._said)
            self._ask(sock, type="say", room="lobby", text=text, id=f"{self._said}")
            self._said += 1
            self._read(0)
        said.set()
        while not shown.is_set():
            self._read(KEY_S)

    def _hears(self, sock: socket.socket, messages: int) -> None:
        limit = time.monotonic() + PATIENCE_S
        while self._heard[sock] < messages:
            if time.monotonic() > limit:
                raise Failed(f"who talks was told of {self._heard[sock]} messages of {messages}")
            self._read(KEY_S)

    def _read(self, timeout_s: float) -> None:
        for key, _ in self._readable.select(timeout_s):
            sock = key.fileobj
            assert isinstance(sock, socket.socket)
            lines, end, tail = (self._tails[sock] + sock.recv(262_144)).rpartition(b"\n")
            self._heard[sock] += sum(lines.count(told) for told in _TOLD_OF)
            self._tails[sock] = end + tail


# The category of the trace that has the tasks in it.
_TASKS: Final = "disabled-by-default-devtools.timeline"

# The browser's counters that a message moves, and the columns that they stand in. They are seconds
# of CPU, so that it does not matter who else wants some.
_COUNTERS: Final = {
    "script, µs": ("ScriptDuration",),
    "layout, µs": ("LayoutDuration", "RecalcStyleDuration"),
    "all, µs": ("TaskDuration",),
}


def _crowded(browser: Browser, rounds: int, messages: int) -> TableReport:
    part = messages // PARTS
    rows: dict[str, list[_Figures]] = {}
    for _ in range(rounds):
        with ExitStack() as stack:
            address = stack.enter_context(_serving())
            page = _comes_in(stack.enter_context(_person(browser)), address, "ada")
            talkers = stack.enter_context(_Talkers(address, TALKERS))
            for number in range(PARTS):
                name = f"message {number * part + 1:,} to {(number + 1) * part:,}"
                found = _told(browser, page, talkers, part, TOLD_PER_S)
                rows.setdefault(name, []).append(found)
            name = f"{messages:,} more, as fast as it goes"
            rows.setdefault(name, []).append(_told(browser, page, talkers, messages, 0))
    return TableReport(
        "a room in which much is said",
        f"{TALKERS} people say {TOLD_PER_S} messages a second in a room, and one types in it, in a"
        " browser; main thread's µs for a message, longest task of it, from a key to what it shows",
        [
            Row(name, _over(tries), {} if "more" in name else {"task, ms": LONGEST_TASK_MS})
            for name, tries in rows.items()
        ],
    )


def _told(browser: Browser, page: Page, talkers: _Talkers, messages: int, per_s: float) -> _Figures:
    """What so many messages cost while one types."""
    counters = page.context.new_cdp_session(page)
    counters.send("Performance.enable", {"timeDomain": "threadTicks"})
    page.fill("#text", "")
    page.focus("#text")
    last = page.evaluate("bench.last") + messages
    page.evaluate("bench.keys = []; bench.isTimed = true")
    before = _counted(counters)
    browser.start_tracing(page=page, categories=[_TASKS])
    said, shown = threading.Event(), threading.Event()
    talking = threading.Thread(target=talkers.say, args=(messages, per_s, said, shown))
    talking.start()
    keys = 0
    try:
        while (talking.is_alive() and not said.wait(KEY_S)) or keys < 2:
            page.keyboard.press("a")
            keys += 1
        _wait_until(page, f"bench.last >= {last} && bench.keys.length >= {keys}")
    finally:
        shown.set()
        talking.join()
    after = _counted(counters)
    longest = _longest_task(browser.stop_tracing())
    took = page.evaluate("bench.keys")
    figures = {
        column: 1e6 * sum(after[each] - before[each] for each in counted) / messages
        for column, counted in _COUNTERS.items()
    }
    return {
        **figures,
        "task, ms": longest,
        "key p50, ms": _percentile(took, 50),
        "key p99, ms": _percentile(took, 99),
        "elements": after["Nodes"],
        "MB": after["JSHeapUsedSize"] / 1e6,
    }


def _longest_task(trace: bytes) -> float:
    """Of the page's main thread, in milliseconds of CPU."""
    happened = msgspec.json.decode(trace)["traceEvents"]
    threads = {
        (event["pid"], event["tid"])
        for event in happened
        if event["name"] == "thread_name" and event["args"]["name"] == "CrRendererMain"
    }
    took_us: list[float] = [
        event.get("tdur", 0)
        for event in happened
        if event["name"] == "RunTask" and (event["pid"], event["tid"]) in threads
    ]
    return max(took_us) / 1_000


def _counted(counters: CDPSession) -> dict[str, float]:
    told = counters.send("Performance.getMetrics")["metrics"]
    return {metric["name"]: metric["value"] for metric in told}
