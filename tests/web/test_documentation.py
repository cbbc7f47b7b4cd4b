"""The documentation as a site, opened from the disk in a real browser: nothing serves it, and it
asks for nothing. It can be searched, read on a phone and in the dark, and heard.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from tests.docs.site import built
from tests.web.conftest import NARROW, WIDE

# Words, pictures, wide tables, long code; a reference; what was found.
KINDS = (
    "README.html",
    "docs/operating.html",
    "docs/protocol.html",
    "docs/web.html",
    "docs/site/core.html",
    "docs/site/events.html",
    "search.html?q=backup",
)


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return built(tmp_path_factory)


@pytest.fixture
def reads(browser: Browser, site: Path) -> Iterator[Callable[..., Page]]:
    """Open a page of the site as a browser does from a disk."""
    asked: list[str] = []
    complaints: list[str] = []
    contexts = []

    def read(path: str, **options: Any) -> Page:
        context = browser.new_context(**{**WIDE, **options})
        contexts.append(context)
        page = context.new_page()
        page.on("request", lambda request: asked.append(request.url))
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(f"{site.as_uri()}/{path}")
        return page

    yield read
    for context in contexts:
        context.close()
    assert asked
    assert not [url for url in asked if not url.startswith(site.as_uri())]
    assert not complaints


def test_it_begins_with_the_readme(reads: Callable[..., Page]) -> None:
    expect(reads("index.html").locator("h1")).to_contain_text("tcpchat")


@pytest.mark.parametrize(
    ("words", "heading"),
    [
        ("restoring backup", "Restoring a backup"),
        ("slow reader bytes", "Bounds"),
        ("parse_line", "parse_line"),
    ],
)
def test_who_searches_comes_to_the_very_section(
    reads: Callable[..., Page], words: str, heading: str
) -> None:
    page = reads("docs/irc.html")
    page.fill(".sidebar-search", words)
    page.press(".sidebar-search", "Enter")
    found = page.locator("#search-results li", has_text=heading).first
    expect(found.locator("mark").first).to_be_visible()
    found.locator("a").click()
    place = page.locator("section:target > :is(h2, h3, h4), dt:target")
    expect(place).to_contain_text(heading)
    expect(place).to_be_in_viewport()


def test_what_nothing_is_said_of_is_not_found(reads: Callable[..., Page]) -> None:
    page = reads("search.html?q=backup+zebra")
    expect(page.locator("#search-status")).to_have_text("No section has all of these words.")
    expect(page.locator("#search-results li")).to_have_count(0)


def test_what_is_looked_for_is_text_and_nothing_else(reads: Callable[..., Page]) -> None:
    page = reads("search.html?q=%3Cimg+src%3Dx+onerror%3Dalert(1)%3E+(")
    expect(page.locator("#search-status")).to_have_text("No section has all of these words.")
    expect(page.locator("article img")).to_have_count(0)


# What can be moved sideways, but for code and tables.
SIDEWAYS = """() => [...document.querySelectorAll("html, body *:not(pre, .table-wrapper)")]
  .filter((each) => each.scrollWidth > each.clientWidth)
  .filter((each) => each === document.documentElement
                    || ["auto", "scroll"].includes(getComputedStyle(each).overflowX))
  .map((each) => each.outerHTML.slice(0, 200))"""


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_wider_than_a_phone(reads: Callable[..., Page], kind: str) -> None:
    assert reads(kind, **NARROW).evaluate(SIDEWAYS) == []


# axe needs a minute for the longest pages, which are made as these are.
@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("README.html", WIDE),
        ("README.html", NARROW),
        ("docs/site/net.html", NARROW),
        ("search.html?q=backup", WIDE),
    ],
    ids=["wide and light", "narrow and dark", "the reference", "what was found"],
)
def test_axe_finds_nothing_serious(
    reads: Callable[..., Page], kind: str, options: dict[str, Any]
) -> None:
    # What it would read beforehand are style sheets, which no script may read from a disk.
    found = Axe().run(reads(kind, **options), options={"preload": False})
    violations = found.response["violations"]
    serious = [each for each in violations if each["impact"] in ("serious", "critical")]
    assert serious == [], found.generate_report()
