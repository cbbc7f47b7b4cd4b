"""What a full room costs the browser: `python -m tests.web.smoothness`.

10,000 messages come in while somebody types, then 5,000 are read back to the first. Told are the
browser's own figures (CDP, `Performance.getMetrics`), how long a frame took at most, and how many
elements there were at most. `tests/web/test_page.py` asserts what does not depend on the machine.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final

from playwright.sync_api import Page, expect, sync_playwright

from tests.cli.serving import listening
from tests.web.conftest import LIMIT_S, People, Program, Site

INCOMING: Final = 10_000
HISTORY: Final = 5_000

# While this runs, `window.seen` knows the longest frame and the most elements in a frame.
WATCH: Final = """() => {
    window.seen = {frameMs: 0, frames: 0, rows: 0, elements: 0};
    let before = performance.now();
    const look = now => {
        const {seen} = window;
        seen.frames += 1;
        seen.frameMs = Math.max(seen.frameMs, now - before);
        seen.rows = Math.max(seen.rows, document.querySelectorAll(".row").length);
        seen.elements = Math.max(seen.elements, document.querySelectorAll("*").length);
        before = now;
        window.watching = requestAnimationFrame(look);
    };
    window.watching = requestAnimationFrame(look);
}"""

# Scroll up, frame by frame, until this text stands there.
READ_BACK: Final = """async first => {
    const stands = () => [...document.querySelectorAll("#log .row.said .text")].some(
        each => each.textContent === first);
    while (!stands()) {
        document.getElementById("scroller").scrollTop = 0;
        await new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)));
    }
}"""


@contextmanager
def measured(page: Page, told: dict[str, float]) -> Iterator[None]:
    """Put into `told` what the browser did meanwhile; times are in milliseconds."""
    session = page.context.new_cdp_session(page)
    session.send("Performance.enable")
    before = _metrics(session)
    page.evaluate(WATCH)
    yield
    told |= page.evaluate("() => { cancelAnimationFrame(window.watching); return window.seen; }")
    after = _metrics(session)
    for name in ("ScriptDuration", "LayoutDuration", "RecalcStyleDuration", "TaskDuration"):
        told[name] = 1_000 * (after[name] - before[name])
    told["heapMiB"] = after["JSHeapUsedSize"] / 2**20
    session.detach()


def _metrics(session: Any) -> dict[str, float]:
    told = session.send("Performance.getMetrics")["metrics"]
    return {each["name"]: each["value"] for each in told}


def shows_last(page: Page, text: str) -> None:
    """Wait until this is the last that was said."""
    expect(page.locator("#log .row.said .text").last).to_have_text(text, timeout=LIMIT_S * 1_000)


def main() -> None:
    """Measure, and print what was measured."""
    with ExitStack() as stack:
        data = stack.enter_context(tempfile.TemporaryDirectory())
        flags = ("--flood-rate", "0", "--data", str(Path(data) / "data"), "--durability", "os")
        server, address = stack.enter_context(listening(*flags))
        site = Site(server, address, f"http://{address}/")
        playwright = stack.enter_context(sync_playwright())
        browser = playwright.chromium.launch(
            executable_path="/usr/bin/chromium", args=["--no-sandbox", "--disable-dev-shm-usage"]
        )
        people = People(browser)
        ada = stack.enter_context(Program(address, "ada", "lobby"))

        pia = people.comes(site, "pia")
        told: dict[str, float] = {}
        with measured(pia, told):
            ada.say("lobby", *(f"message {number}" for number in range(INCOMING)))
            pia.locator("#text").press_sequentially("typed while they came " * 4, delay=20)
            shows_last(pia, f"message {INCOMING - 1}")
        _print(f"{INCOMING} messages come in while one types", told)

        leo = people.comes(site, "leo")
        told = {}
        with measured(leo, told):
            leo.evaluate(READ_BACK, f"message {INCOMING - HISTORY}")
        _print(f"{HISTORY} messages are read back", told)
        browser.close()


def _print(what: str, told: dict[str, float]) -> None:
    print(f"{what}:")
    for name, value in told.items():
        print(f"  {name:20} {value:10,.1f}")


if __name__ == "__main__":
    main()
