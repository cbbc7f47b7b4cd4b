"""README.md says what is true, and the links of all pages lead somewhere."""

from __future__ import annotations

import contextlib
import io
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tcpchat_core import COMMANDS
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


def test_the_pictures_can_be_drawn_again_and_show_the_same_conversation(tmp_path: Path) -> None:
    pictures = ROOT / "docs" / "images"
    command = [sys.executable, str(pictures / "render.py"), str(tmp_path)]
    subprocess.run(command, check=True, timeout=240)
    for name in ("chat.svg", "rooms.svg", "restart.svg", "views.svg", "full.svg", "finding.svg"):
        drawn, shown = (_words(folder / name) for folder in (tmp_path, pictures))
        assert drawn == shown
    assert "(docs/images/chat.svg)" in README
    assert "(docs/images/restart.svg)" in README
    for name in ("rooms.svg", "views.svg", "full.svg", "finding.svg"):
        assert f"(images/{name})" in read("docs/client.md")


def _words(picture: Path) -> list[str]:
    """What a picture says, without the day, the time, the lag and the port."""
    texts = re.findall(r">([^<>]+)</text>", picture.read_text(encoding="utf-8"))
    varying = r"\d{4}-\d\d-\d\d|\w+day, \d+ \w+ \d{4}|\d\d:\d\d|\d+ ms|:\d{5}"
    return re.sub(varying, "", "".join(texts)).split()


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
