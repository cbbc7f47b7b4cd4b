"""README.md says what is true, and the links of all pages lead somewhere."""

from __future__ import annotations

import contextlib
import io
import re
from datetime import datetime
from pathlib import Path

import pytest
from tcpchat_cli.terminal.render import Renderer

from tcpchat_core import COMMANDS, notices
from tests.docs.pages import PAGES, ROOT, code_blocks, prose_and_code, read, sections, table

README = read("README.md")

RUN = "python3 -m venv .venv && .venv/bin/pip install -q . && .venv/bin/tcpchat-server"
# .ci/run takes this one from the page.
TEST = "python3 -m venv .venv && .venv/bin/pip install -q -e '.[test]' && .venv/bin/pytest"


@pytest.mark.parametrize("line", [RUN, TEST], ids=["run", "test"])
def test_the_two_commands_stand_alone_in_their_blocks(line: str) -> None:
    assert f"{line}\n" in code_blocks(README, "sh")


def test_the_table_of_commands_is_the_programs_own() -> None:
    assert table(sections(README, 2)["Commands"]) == [
        [
            f"`{command.usage}`",
            ", ".join(f"`/{name}`" for name in command.names[1:]),
            command.summary,
        ]
        for command in COMMANDS
    ]


def test_the_six_lines_of_embedding_run() -> None:
    [program] = code_blocks(README, "python")
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(program, "README.md", "exec"), {})
    assert len([line for line in program.splitlines() if line]) == 6
    assert "Welcome to tcpchat" in printed.getvalue()
    assert "You joined lobby" in printed.getvalue()


def test_the_client_shows_what_the_page_shows() -> None:
    [screen] = code_blocks(README, "text")
    first, *lines, prompt = screen.splitlines()
    assert first == "$ tcpchat-client --nick ada --room lobby"
    assert prompt.startswith("lobby> ")
    at = 1_767_225_600_000
    client = Renderer(today=datetime.fromtimestamp(at / 1_000).date())
    client.me = "ada"
    told: tuple[notices.Notice, ...] = (
        notices.Entered("lobby", ("bob", "carol", "ada"), 3, 7, at, "tea at four"),
        notices.Said("lobby", "bob", "is there cake?", 8, at),
        notices.Said("lobby", "ada", "there is", 9, at),
        notices.Said("lobby", "bob", "waves", 10, at, emote=True),
        notices.Told("bob", "save me a slice", 1, at),
        notices.Renamed("carol", "countess"),
    )
    shown = [line.text for notice in told for line in client.lines(notice)]
    assert [line[5:] for line in lines] == [line[5:] for line in shown]  # without the time of day


# ── Links ────────────────────────────────────────────────────────────────────────────────────


def _prose(page: Path) -> list[str]:
    pieces = prose_and_code(page.read_text(encoding="utf-8"))
    return [piece for language, piece in pieces if not language]


def _anchors(page: Path) -> set[str]:
    """The names that GitHub gives to a page's headings."""
    anchors: set[str] = set()
    for line in _prose(page):
        if heading := re.match(r"#{1,6} (.+)", line):
            text = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading[1]).strip().lower()
            slug = re.sub(r"[^\w\- ]", "", text).replace(" ", "-")
            times = 0
            while (anchor := f"{slug}-{times}" if times else slug) in anchors:
                times += 1
            anchors.add(anchor)
    return anchors


@pytest.mark.parametrize("page", PAGES, ids=[str(page.relative_to(ROOT)) for page in PAGES])
def test_every_relative_link_leads_somewhere(page: Path) -> None:
    broken = []
    for link in re.findall(r"\]\(([^)\s]+)\)", "".join(_prose(page))):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        found = target.is_relative_to(ROOT.resolve()) and target.exists()
        if not found or (anchor and anchor not in _anchors(target)):
            broken.append(link)
    assert not broken, f"{page.relative_to(ROOT)}: these lead nowhere: {', '.join(broken)}"
