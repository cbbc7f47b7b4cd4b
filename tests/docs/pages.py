"""Reading the pages of the documentation: their sections, their code blocks, their tables."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]

PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])


def read(page: str) -> str:
    """The text of a page, by its path from the root of the repository."""
    return (ROOT / page).read_text(encoding="utf-8")


def prose_and_code(text: str) -> list[tuple[str, str]]:
    """The text cut at its fences: (language, block) for code, ("", line) for a line of prose.

    The language of a fence that names none is "text".
    """
    pieces: list[tuple[str, str]] = []
    language, block = "", ""
    for line in text.splitlines(keepends=True):
        if line.startswith("```"):
            if language:
                pieces.append((language, block))
                language, block = "", ""
            else:
                language = line.removeprefix("```").strip() or "text"
        elif language:
            block += line
        else:
            pieces.append(("", line))
    return pieces


def code_blocks(text: str, language: str) -> list[str]:
    """The code blocks of a language, in the order of the page."""
    return [block for found, block in prose_and_code(text) if found == language]


def sections(text: str, level: int) -> dict[str, str]:
    """What stands under each heading of a level, by its title (without backticks).

    A section goes on to the next heading of the same or a higher level.
    """
    found: dict[str, str] = {}
    title = ""
    for language, piece in prose_and_code(text):
        if not language and (heading := re.match(r"(#{1,6}) (.+)", piece)):
            depth = len(heading[1])
            if depth <= level:
                title = heading[2].strip().replace("`", "") if depth == level else ""
                assert title not in found or not title, f"two sections are called {title}"
                if title:
                    found[title] = ""
                continue
        if title:
            found[title] += f"```{language}\n{piece}```\n" if language else piece
    return found


def table(text: str) -> list[list[str]]:
    """The cells of the rows of a text's first table, without its head; [] when it has none.

    A pipe inside a cell is written `\\|`.
    """
    lines = [piece.strip() for language, piece in prose_and_code(text) if not language]
    rows: list[list[str]] = []
    for line in lines:
        if line.startswith("|"):
            cells = re.split(r"(?<!\\)\|", line)[1:-1]
            rows.append([cell.strip().replace("\\|", "|") for cell in cells])
        elif rows:
            break
    return rows[2:]
