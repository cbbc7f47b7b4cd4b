"""Takes the pictures of the page: `python docs/images/page.py [FOLDER]`.

Nothing is drawn by hand. The installed server runs, people talk, and what one of them has before
herself in a real browser (`chromium`) is written as PNG into the folder, or beside this file: once
wide and light, once on a phone and dark.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from playwright.sync_api import Page, expect, sync_playwright  # noqa: E402 # with the path set

from tests.cli.serving import listening  # noqa: E402 # from the clone, as the path says
from tests.web.conftest import People, Program, Site  # noqa: E402 # the same

ME: Final = "grace"
ROOMS: Final = ("kitchen", "lobby", "release")


def say(page: Page, text: str) -> None:
    """Type something into the page, and send it."""
    page.fill("#text", text)
    page.press("#text", "Enter")


def is_said(page: Page, text: str) -> None:
    """Wait until the page shows it, and nothing of one's own is on its way any more."""
    expect(page.locator("#log .text").get_by_text(text)).to_be_visible()
    expect(page.locator("#pending .row")).to_have_count(0)


def _look_at(page: Page, name: str) -> None:
    page.evaluate(
        "name => [...document.querySelectorAll('#side li > .plain')]"
        ".find(each => each.querySelector('.name').textContent === name).click()",
        name,
    )
    expect(page.locator("#title")).to_have_text(name)


def converse(page: Page, people: dict[str, Program]) -> None:
    """What is said while the picture is not yet taken."""
    ada, linus, min_su, sara = people.values()
    for room in ROOMS:
        say(page, f"/join {room}")
        expect(page.locator("#title")).to_have_text(room)
    _look_at(page, "lobby")

    def hear(who: Program, text: str, *, emote: bool = False) -> None:
        who.ask(type="say", room="lobby", text=text, emote=emote, id=text[:24])
        is_said(page, text)

    hear(ada, "good morning! is there cake?")
    say(page, "there is 🍰 the recipe is at https://example.org/recipes/lemon-cake")
    is_said(page, "there is")
    hear(ada, "and the plan for today?")
    hear(linus, "1.4 goes out at noon, then we are free")
    hear(linus, "the notes need one more pair of eyes, they are longer than usual this time")
    hear(min_su, "안녕하세요! grace: 한 조각만 남겨 주세요 🙏")
    hear(sara, "صباح الخير، هل بقي شيء من الكعك؟")
    say(page, "/me cuts the cake into fair pieces and hides one for 민수")
    is_said(page, "cuts the cake")
    hear(ada, "puts the kettle on", emote=True)
    hear(linus, "grace: would you read the notes before noon?")
    say(page, "sure, give me ten minutes")
    is_said(page, "ten minutes")
    linus.ask(type="tell", nick=ME, text="thank you! the last part is the one I am unsure of")
    ada.say("release", "wheels are building", "grace: the tag is yours")
    min_su.say("kitchen", "we are out of oat milk")
    for count in ("2 unread, 1 for you", "1 unread"):
        expect(page.locator("#rooms .count").get_by_text(count, exact=True)).to_have_count(1)
    expect(page.locator("#directs .count")).to_have_text("1 unread, 1 for you")


def main() -> None:
    """Write the pictures."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent
    with ExitStack() as stack:
        home = stack.enter_context(tempfile.TemporaryDirectory())
        os.environ["XDG_DATA_HOME"] = home  # nobody's own rooms are to be in the picture
        playwright = stack.enter_context(sync_playwright())
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"),
            args=["--no-sandbox", "--disable-dev-shm-usage"],
        )
        # Wherever it is morning now; east of Greenwich is written with a minus. There are places
        # from 14 hours east of it to 12 hours west.
        hours = time.gmtime().tm_hour - 9
        morning = f"Etc/GMT{hours - 24 if hours > 12 else hours:+d}"
        looks = {
            "page.png": {
                "viewport": {"width": 1200, "height": 640},
                "color_scheme": "light",
                "timezone_id": morning,
            },
            "page-phone.png": {
                "viewport": {"width": 390, "height": 780},
                "color_scheme": "dark",
                "timezone_id": morning,
                "has_touch": True,
                "is_mobile": True,
            },
        }
        for name, look in looks.items():
            with ExitStack() as scene:
                rooms = ("--rooms", ",".join(ROOMS))
                server, address = scene.enter_context(listening("--flood-rate", "0", *rooms))
                people = {
                    nick: scene.enter_context(Program(address, nick, *ROOMS))
                    for nick in ("ada", "linus", "민수", "سارة")
                }
                topic = "tea at four · plan: https://example.org/plan"
                people["ada"].ask(type="topic", room="lobby", topic=topic)
                site = Site(server, address, f"http://{address}/")
                page = People(browser).comes(site, ME, **look)
                converse(page, people)
                page.mouse.move(0, 0)
                page.evaluate("new Promise(done => setTimeout(done, 300))")  # ms: all has faded
                page.screenshot(path=folder / name)
                page.context.close()
        browser.close()


if __name__ == "__main__":
    main()
