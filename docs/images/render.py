"""Draws the pictures of the client: `python docs/images/render.py [FOLDER]`.

Nothing is drawn by hand. The installed scripts run in pseudo-terminals, people talk, and what
stands on one person's screen, colours and all, is written as SVG into the folder, or beside this
file.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from html import escape
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from tests.cli.conftest import running_server  # noqa: E402 # from the clone, as the path says
from tests.cli.terminal import CLIENT, Terminal  # noqa: E402 # the same

# A cell of the picture, in pixels, for a font of so many.
CELL_WIDTH: Final = 8.4
ROW_HEIGHT: Final = 18
FONT_SIZE: Final = 14
MARGIN: Final = 14
FONTS: Final = (
    "ui-monospace, 'DejaVu Sans Mono', Menlo, Consolas, 'Noto Sans Mono CJK KR', monospace"
)

DARK: Final = ("#e4e4e4", "#121212")
LIGHT: Final = ("#1c1c1c", "#ffffff")

QUIET: Final = ("--log-level", "warning")


def svg(terminal: Terminal, text: str, ground: str) -> str:
    """The screen as a picture; `text` and `ground` are the terminal's own two colours."""
    screen = terminal.screen
    last = max(number for number, row in enumerate(terminal.rows) if row)
    width = screen.columns * CELL_WIDTH + 2 * MARGIN
    height = (last + 1) * ROW_HEIGHT + 2 * MARGIN
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height}">',
        f'<g font-family="{FONTS}" font-size="{FONT_SIZE}">',
        f'<rect width="100%" height="100%" rx="8" fill="{ground}"/>',
    ]
    for y in range(last + 1):
        row, top = screen.buffer[y], MARGIN + y * ROW_HEIGHT
        x = 0
        while x < screen.columns:
            style = row[x]._replace(data="")
            end = x + 1
            while end < screen.columns and row[end]._replace(data="") == style:
                end += 1
            cells = [row[at] for at in range(x, end)]
            parts += _run(cells, MARGIN + x * CELL_WIDTH, top, (text, ground))
            x = end
    cursor = MARGIN + screen.cursor.x * CELL_WIDTH
    parts.append(
        f'<rect x="{cursor:.1f}" y="{MARGIN + screen.cursor.y * ROW_HEIGHT}" '
        f'width="{CELL_WIDTH}" height="{ROW_HEIGHT}" fill="{text}" opacity="0.6"/>'
    )
    return "\n".join([*parts, "</g>", "</svg>", ""])


def _run(cells: list[Any], left: float, top: int, colours: tuple[str, str]) -> list[str]:
    """Neighbouring cells of one style; `colours` are the terminal's own."""
    cell, (text, ground) = cells[0], colours
    width = len(cells) * CELL_WIDTH
    colour, behind = _colour(cell.fg, text), _colour(cell.bg, ground)
    if cell.reverse:
        colour, behind = behind, colour
    parts = []
    if behind != ground:
        parts.append(
            f'<rect x="{left:.1f}" y="{top}" width="{width:.1f}" height="{ROW_HEIGHT}" '
            f'fill="{behind}"/>'
        )
    words = "".join(each.data for each in cells)
    if words.strip():
        weight = ' font-weight="bold"' if cell.bold else ""
        under = ' text-decoration="underline"' if cell.underscore else ""
        parts.append(
            f'<text x="{left:.1f}" y="{top + FONT_SIZE}" fill="{colour}"{weight}{under} '
            f'textLength="{width:.1f}" xml:space="preserve">{escape(words)}</text>'
        )
    return parts


# The sixteen that every terminal has its own of, as pyte calls them, nearly in xterm's
# shades: blue is lighter, to be seen on black.
NAMED: Final = {
    "black": "000000", "red": "cd0000", "green": "00cd00", "brown": "cdcd00", "blue": "2a4bd0",
    "magenta": "cd00cd", "cyan": "00cdcd", "white": "e5e5e5", "brightblack": "7f7f7f",
    "brightred": "ff5555", "brightgreen": "55ff55", "brightbrown": "ffff55",
    "brightblue": "7c9cff", "brightmagenta": "ff55ff", "brightcyan": "55ffff",
    "brightwhite": "ffffff",
}  # fmt: skip


def _colour(name: str, default: str) -> str:
    """A colour as SVG has it; of the 256 colours pyte gives hexadecimal digits."""
    return default if name == "default" else f"#{NAMED.get(name, name)}"


def _join(
    stack: ExitStack, address: str, nick: str, *options: str, columns: int = 76, rows: int = 24
) -> Terminal:
    argv = [CLIENT, address, "--nick", nick, "--room", "lobby", *options]
    terminal = stack.enter_context(Terminal(argv, columns=columns, rows=rows))
    terminal.wait_for("^lobby>")
    return terminal


def _go(terminal: Terminal, room: str) -> None:
    """Join another room, and be there: the prompt has its name from the moment one asks."""
    terminal.enter(f"/join {room}")
    terminal.wait_for(f"you are in {room}")


def _drawn(terminal: Terminal, colours: tuple[str, str]) -> str:
    """The screen, once the bar below has all that it shows."""
    terminal.wait_for(r"\d ms │ connected")
    return svg(terminal, *colours)


def chat(address: str) -> str:
    """A conversation in one room."""
    with ExitStack() as stack:
        ada = _join(stack, address, "ada")
        ada.enter("/topic tea at four")
        ada.wait_for("topic of lobby: tea at four")
        grace = _join(stack, address, "grace")
        min_su = _join(stack, address, "민수")
        ada.wait_for("민수 joined")
        grace.enter("good morning! is there cake?")
        ada.wait_for("is there cake")
        ada.enter("there is 🍰 I left the recipe at https://example.org/recipes/lemon-cake")
        ada.wait_for("ada: there is")
        min_su.enter("안녕하세요, ada: save me a slice please")
        ada.wait_for("save me a slice")
        grace.enter("/me puts the kettle on and looks for the good cups, the ones with the roses")
        ada.wait_for("the roses")
        grace.enter("/msg ada they are behind the tea pot, aren't they?")
        ada.wait_for("@grace!1")
        min_su.enter("/nick 김민수")
        ada.wait_for("김민수")
        ada.type("on my way")
        ada.wait_until(lambda: ada.prompt.endswith("on my way"))
        return _drawn(ada, DARK)


def rooms(address: str) -> str:
    """Several rooms, on a light background, with what is unread in the bar."""
    with ExitStack() as stack:
        ada = _join(stack, address, "ada")
        ada.enter("/set theme light")
        ada.wait_for("theme is light")
        ada.enter("/clear")
        ada.wait_until(lambda: not ada.shows("theme is light"))
        _go(ada, "release")
        linus = _join(stack, address, "linus")
        grace = _join(stack, address, "grace")
        _go(grace, "release")
        ada.wait_for("grace joined release")
        grace.enter("1.4 is tagged, the wheels are building")
        ada.wait_for("wheels are building")
        ada.enter("wonderful, I will write the notes")
        ada.wait_for("ada: wonderful")
        linus.enter("who took the big meeting room?")
        ada.wait_for(r"1:lobby\+1")
        linus.enter("ada, was that you?")
        ada.wait_for("1:lobby!2")
        ada.type("\x1b1")
        ada.wait_for("^lobby>")
        ada.enter("it is free again in five minutes")
        ada.wait_for("ada: it is free")
        grace.enter("wheels are up on the index")
        ada.wait_for(r"2:release\+1")
        ada.enter("/rooms")
        ada.wait_for("release +2 people")
        return _drawn(ada, LIGHT)


def views(address: str) -> str:
    """Going to a room where something is new, and where one was called."""
    with ExitStack() as stack:
        ada = _join(stack, address, "ada")
        bob = _join(stack, address, "bob")
        grace = _join(stack, address, "grace")
        ada.wait_for("grace joined")
        bob.enter("the review of the parser is at ten")
        grace.wait_for("at ten")
        grace.enter("I have read half of it")
        ada.wait_for("half of it")
        _go(ada, "release")
        _go(grace, "release")
        ada.wait_for("grace joined release")
        bob.enter("shall we take the small room?")
        ada.wait_for(r"1:lobby\+1")
        grace.enter("the wheels are up on the index")
        ada.wait_for("on the index")
        bob.enter("it has a screen now")
        ada.wait_for(r"1:lobby\+2")
        grace.type("\x1b1")
        grace.wait_for("^lobby>")
        grace.wait_for("a screen now")  # what is answered is counted from the last that she has
        grace.enter("/reply 2 the small one is fine")
        ada.wait_for(r"1:lobby\+3")
        bob.enter("ada, do you bring your notes?")
        ada.wait_for("1:lobby!4")
        bob.enter("/msg ada the key is at the desk")
        ada.wait_for("@bob!1")
        ada.type("\x1b1")
        ada.wait_for("^lobby>")
        ada.wait_for("your notes")
        grace.type("\x1b2")
        grace.wait_for("^release>")
        grace.enter("and the notes are published")
        ada.wait_for(r"2:release\+1")
        ada.type("/reply yes, all")
        ada.wait_until(lambda: ada.prompt.endswith("/reply yes, all"))
        return _drawn(ada, DARK)


def full(address: str) -> str:
    """All of the screen: views at the left, people at the right."""
    with ExitStack() as stack:
        ada = _join(stack, address, "ada", "--full-screen", columns=110, rows=22)
        ada.enter("/topic the parser: review at ten")
        ada.wait_for("topic of lobby")
        others = [_join(stack, address, nick) for nick in ("bob", "grace", "민수")]
        ada.wait_for("민수 joined")
        bob, grace, min_su = others
        grace.enter("/away until three")
        grace.wait_for("you are away")
        _go(ada, "release")
        bob.enter("good morning! I have read all of it")
        ada.wait_for(r"lobby.*\+1")
        ada.type("\x1b1")
        ada.wait_for("all of it")
        _go(bob, "release")
        bob.enter("1.4 is tagged")
        ada.wait_for(r"release.*\+1")
        ada.enter("and does it hold?")
        min_su.wait_for("does it hold")
        min_su.enter("/reply it does, see https://example.org/reviews/41")
        ada.wait_for("reviews/41")
        min_su.enter("네, ada: 좋은 것 같아요 👍")
        ada.wait_for("것 같아요")
        grace.enter("/msg ada back at three")
        ada.wait_for("@grace.*!1")
        ada.type("thank you, I will")
        ada.wait_until(lambda: ada.prompt.endswith("thank you, I will"))
        return _drawn(ada, DARK)


def finding(address: str) -> str:
    """A search, and the place of one of the messages that it has found."""
    with ExitStack() as stack:
        ada = _join(stack, address, "ada")
        ada.enter("/set theme light")
        ada.wait_for("theme is light")
        bob = _join(stack, address, "bob")
        grace = _join(stack, address, "grace")
        ada.wait_for("grace joined")
        for who, text in (
            (bob, "the backup ran for two hours tonight"),
            (grace, "it should take ten minutes"),
            (bob, "the disk of the archive is nearly full"),
            (grace, "I will order another one"),
            (bob, "thanks"),
            (grace, "the new disk has come, and the backup is quick again"),
            (bob, "eleven minutes. lovely"),
        ):
            who.enter(text)
            ada.wait_for(text)
        ada.enter("/clear")
        ada.wait_until(lambda: not ada.shows("lovely"))
        ada.enter("/search backup")
        ada.wait_for("two hours")
        ada.enter("/goto 2")
        ada.wait_for("nearly full")
        return _drawn(ada, LIGHT)


def restart(address: str, kill: Callable[[], None], start: Callable[[], None]) -> str:
    """A conversation through a kill -9 of the server."""
    with ExitStack() as stack:
        ada = _join(stack, address, "ada")
        grace = _join(stack, address, "grace")
        ada.wait_for("grace joined")
        ada.enter("shall we meet at four?")
        grace.wait_for("at four")
        grace.enter("four is fine. I bring the cake")
        ada.wait_for("the cake")
        kill()
        for terminal in (ada, grace):
            terminal.wait_for("reconnecting$")
        ada.enter("the lemon one, please")
        ada.wait_for("^… the lemon one")
        start()
        for terminal in (ada, grace):
            terminal.wait_for("the connection is back")
            terminal.wait_for("ada: the lemon one")
        grace.enter("lemon it is")
        ada.wait_for("lemon it is")
        ada.enter("/search cake")
        ada.wait_for("found, newest first")
        return _drawn(ada, DARK)


@contextmanager
def _new_home() -> Iterator[Path]:
    """A home without settings: neither anybody's own, nor those of another picture."""
    with tempfile.TemporaryDirectory() as home:
        os.environ["HOME"] = home
        os.environ["XDG_DATA_HOME"] = str(Path(home) / "data")
        yield Path(home)


def main() -> None:
    """Write the pictures."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent
    for draw in (chat, rooms, views, full, finding):
        with _new_home(), running_server(*QUIET, "--flood-rate", "0") as server:
            picture = draw(server.address)
        (folder / f"{draw.__name__}.svg").write_text(picture, encoding="utf-8")
    with ExitStack() as stack:
        home = stack.enter_context(_new_home())
        arguments = ("--data", str(home / "kept"), *QUIET)
        server = stack.enter_context(running_server(*arguments))

        def kill() -> None:
            server.process.kill()
            server.process.wait()

        def start() -> None:
            port = server.address.rpartition(":")[2]
            stack.enter_context(running_server("--port", port, *arguments))

        picture = restart(server.address, kill, start)
    (folder / "restart.svg").write_text(picture, encoding="utf-8")


if __name__ == "__main__":
    main()
