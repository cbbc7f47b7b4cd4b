"""Takes the picture of one conversation in three programs: `python docs/images/irc.py [FOLDER]`.

Nothing is drawn by hand. The installed server runs, and in one room are ada with WeeChat, bob with
tcpchat-client and grace with the page in a real browser (`chromium`). What each has before itself
is put side by side, and written as PNG into the folder, or beside this file.
"""

from __future__ import annotations

import base64
import os
import shutil
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from page import is_said, say  # noqa: E402 # from beside this file
from playwright.sync_api import Page, expect, sync_playwright  # noqa: E402 # with the path set
from render import DARK, svg  # noqa: E402 # from beside this file

from tests.cli.serving import listening  # noqa: E402 # from the clone, as the path says
from tests.cli.terminal import CLIENT, Terminal  # noqa: E402 # the same
from tests.web.conftest import People, Site  # noqa: E402 # the same

# Both terminals are so large, in cells; the page is as high as both.
CELLS: Final = {"columns": 76, "rows": 16}
PAGE: Final = {"width": 560, "height": 630}

# The three, with their names.
TOGETHER: Final = """<!doctype html><meta charset="utf-8"><style>
body {{ margin: 0; padding: 12px 12px 0; width: max-content; display: flex; gap: 16px }}
body {{ font: 14px sans-serif; color: #333 }}
figure {{ margin: 0 0 12px }} figcaption {{ padding: 2px 4px 6px }} svg, img {{ display: block }}
img {{ border: 1px solid #bbb; border-radius: 8px }}
</style><div><figure><figcaption>WeeChat</figcaption>{weechat}</figure>
<figure><figcaption>tcpchat-client</figcaption>{client}</figure></div>
<figure><figcaption>a browser</figcaption><img src="data:image/png;base64,{page}"></figure>"""


def _weechat(stack: ExitStack, home: str, address: str) -> Terminal:
    """ada's, with all of its own settings; she has looked at what the server told her."""
    server = address.replace(":", "/")
    commands = (
        "/set irc.look.server_buffer independent",
        f"/server add tcpchat {server} -notls -nicks=ada",
        "/connect tcpchat",
    )
    argv = [
        *("weechat-curses", "--dir", f"{home}/weechat", "--plugins", "irc,alias"),
        *("--run-command", ";".join(commands)),
    ]
    # Its lines are drawn in characters, and not by another set of them.
    env = {"NCURSES_NO_UTF8_ACS": "1"}
    weechat = stack.enter_context(Terminal(argv, **CELLS, env=env))
    weechat.wait_for("no message of the day|are supported by")
    weechat.enter("/join #lobby")
    weechat.wait_for(r"Channel #lobby: \d nicks?")
    weechat.enter("/buffer clear")
    return weechat


def converse(address: str, page: Page, home: str) -> dict[str, str]:
    """What is said while the picture is not yet taken; how the three look after it."""
    with ExitStack() as stack:
        argv = [CLIENT, address, "--nick", "bob", "--room", "lobby"]
        bob = stack.enter_context(Terminal(argv, **CELLS))
        bob.wait_for("^lobby>")
        bob.enter("/topic tea at four")
        bob.wait_for("topic of lobby: tea at four")
        expect(page.locator("#title")).to_have_text("lobby")
        ada = _weechat(stack, home, address)
        bob.wait_for("ada joined")
        bob.enter("good morning! is there cake?")
        ada.wait_for("is there cake")
        ada.enter("there is one in the kitchen, with lemon")
        is_said(page, "with lemon")
        say(page, "/me puts the kettle on")
        ada.wait_for("kettle on")
        ada.enter("/me looks for the good cups")
        bob.wait_for("good cups")
        bob.enter("grace: čaj nebo kávu? ☕")
        is_said(page, "nebo kávu")
        say(page, "čaj, prosím")
        ada.wait_for("prosím")
        ada.enter("/topic tea at four, cake at five")
        bob.wait_for("topic of lobby: tea at four, cake")
        expect(page.locator("#topic")).to_contain_text("cake at five")
        ada.wait_for("^tea at four, cake at five")
        bob.wait_for("connected$")
        page.mouse.move(0, 0)
        page.evaluate("new Promise(done => setTimeout(done, 300))")  # ms: all has faded
        taken = base64.b64encode(page.screenshot()).decode()
        return {"weechat": svg(ada, *DARK), "client": svg(bob, *DARK), "page": taken}


def main() -> None:
    """Write the picture."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent
    with ExitStack() as stack:
        home = stack.enter_context(tempfile.TemporaryDirectory())
        os.environ["HOME"] = os.environ["XDG_DATA_HOME"] = home  # nobody's own settings
        playwright = stack.enter_context(sync_playwright())
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"),
            args=["--no-sandbox", "--disable-dev-shm-usage"],
        )
        server, address = stack.enter_context(listening("--flood-rate", "0"))
        site = Site(server, address, f"http://{address}/")
        page = People(browser).comes(site, "grace", viewport=PAGE, color_scheme="light")
        looks = converse(address, page, home)
        page.context.close()
        whole = browser.new_page(viewport={"width": 1300, "height": 760})
        whole.set_content(TOGETHER.format(**looks))
        whole.locator("body").screenshot(path=folder / "irc.png")
        browser.close()


if __name__ == "__main__":
    main()
