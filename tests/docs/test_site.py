"""The site is made of the pages as they are: all of them are in it, and what they link to, too."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from types import ModuleType
from urllib.parse import unquote, urlsplit

import pytest
from bs4 import BeautifulSoup, Tag

import tcpchat_core
import tcpchat_net
from tests.docs.pages import PAGES, ROOT
from tests.docs.site import built


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return built(tmp_path_factory)


@cache
def _read(page: Path) -> BeautifulSoup:
    return BeautifulSoup(page.read_text(encoding="utf-8"), "html.parser")


def _menu(site: Path) -> list[str]:
    links = _read(site / "README.html").select(".sidebar-tree a.reference")
    return [str(link["href"]) for link in links]


def test_every_page_is_in_the_menu(site: Path) -> None:
    pages = {page.relative_to(ROOT).with_suffix(".html").as_posix() for page in PAGES}
    reference = {f"docs/site/{name}.html" for name in ("core", "events", "net")}
    assert sorted(_menu(site)) == sorted(pages - {"README.html"} | reference)


# ── Links ────────────────────────────────────────────────────────────────────────────────────


def _links(page: BeautifulSoup) -> list[str]:
    return [
        str(tag[name]) for name in ("href", "src", "action") for tag in page.select(f"[{name}]")
    ]


def test_every_link_leads_to_a_place_in_the_site(site: Path) -> None:
    pages = {path: _read(path) for path in sorted(site.rglob("*.html"))}
    anchors = {path: {tag["id"] for tag in page.select("[id]")} for path, page in pages.items()}
    broken = []
    for path, page in pages.items():
        for link in _links(page):
            parts = urlsplit(link)
            target = path.parent / unquote(parts.path) if parts.path else path
            target = target.resolve()
            is_there = target.is_file() and target.is_relative_to(site.resolve())
            if parts.scheme or parts.netloc:  # elsewhere: nobody asks whether it is there
                continue
            anchor = unquote(parts.fragment)
            if not is_there or (anchor and anchor not in anchors.get(target, ())):
                broken.append(f"{path.relative_to(site)}: {link}")
    assert not broken, "\n".join(broken)


def test_nothing_is_taken_from_elsewhere(site: Path) -> None:
    for path in site.rglob("*.html"):
        page = _read(path)
        taken = page.select("link, script, img, iframe")
        named = [str(tag.get("href") or tag.get("src") or "") for tag in taken]
        assert not [link for link in named if urlsplit(link).netloc], path


# ── The reference ────────────────────────────────────────────────────────────────────────────


def _explained(page: Path) -> dict[str, str]:
    """What a page of the reference says of each name."""
    found: dict[str, str] = {}
    document = _read(page)
    for term in document.select("dt.sig[id]"):
        said = term.find_next_sibling("dd")
        assert isinstance(said, Tag)
        paragraph = said.find("p", recursive=False)
        found[str(term["id"])] = paragraph.get_text() if paragraph else ""
    for module in document.select("section[id^=module-]"):
        paragraph = module.find("p", recursive=False)
        found[str(module["id"]).removeprefix("module-")] = paragraph.get_text() if paragraph else ""
    return found


@pytest.mark.parametrize(("package", "page"), [(tcpchat_core, "core"), (tcpchat_net, "net")])
def test_every_name_that_is_exported_is_explained(
    site: Path, package: ModuleType, page: str
) -> None:
    explained = _explained(site / "docs/site" / f"{page}.html")
    explained |= _explained(site / "docs/site/events.html")
    missing = [
        name for name in package.__all__ if not explained.get(f"{package.__name__}.{name}", "")
    ]
    assert not missing, f"docs/site/{page}.rst: explain {', '.join(missing)}"


def test_the_reference_has_no_private_name(site: Path) -> None:
    for page in ("core", "events", "net"):
        names = _explained(site / "docs/site" / f"{page}.html")
        assert names
        assert not [name for name in names if "._" in name]


def test_a_name_in_a_docstring_is_a_link(site: Path) -> None:
    said = _read(site / "docs/site/core.html").select("dl.class:has(#tcpchat_core\\.Look) dd a")
    assert "core.html#tcpchat_core.ServerProtocol.found" in {
        f"core.html{link['href']}" for link in said
    }
