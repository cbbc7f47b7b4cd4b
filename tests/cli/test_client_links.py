"""Addresses in what was said: which there are, where they go, and what a terminal is given."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tcpchat_cli.terminal.layout import ESCAPE, layout, row_count
from tcpchat_cli.terminal.links import find_links, has_links, terminal_links
from tcpchat_cli.terminal.render import Renderer
from tcpchat_cli.terminal.widths import text_width

from tcpchat_core.notices import Said
from tests.cli.conftest import Server
from tests.cli.terminal import CLIENT, Terminal

HIDDEN = re.compile(r"\x1b\]8;(?:id=[0-9a-f]+)?;([\x21-\x7e]*)\x1b\\")


@pytest.mark.parametrize(
    ("text", "addresses"),
    [
        ("see https://example.org.", ["https://example.org"]),
        ("HTTP://Example.ORG:8080/a?b=c#d, then", ["HTTP://Example.ORG:8080/a?b=c#d"]),
        ("(https://en.wikipedia.org/wiki/Ada_(name))", ["https://en.wikipedia.org/wiki/Ada_(name)"]),
        ("<http://[2001:db8::1]:80/>", ["http://[2001:db8::1]:80/"]),
        ("http://localhost:8000/x and http://10.0.0.1?", ["http://localhost:8000/x", "http://10.0.0.1"]),
        ("https://example.org에서 봐요", ["https://example.org"]),
        ("https://example.org。https://example.com！", ["https://example.org", "https://example.com"]),
        ("https://example.org/길", ["https://example.org/%EA%B8%B8"]),
        ("https://example.org/a|b", ["https://example.org/a%7Cb"]),
        ("https://한국.kr/", ["https://xn--3e0b707e.kr/"]),
        ("https://\u0430pple.com", ["https://xn--pple-43d.com"]),
        # What says less than where it goes is no address.
        ("https://good.example@evil.example/", []),
        ("https://good.example:x@evil.example/", []),
        ("https://good.example:80@evil.example/", []),
        ("https://good.example\\@evil.example/", []),
        ("https://good.example)/x", []),
        ("https://example.org/a…", []),
        ("https://example.org/a...", []),
        ("https://example.org…", []),
        # Other schemes, and what only looks like one.
        ("ftp://example.org file:///etc/passwd javascript://x mailto:a@example.org", []),
        ("xhttps://example.org https:/example.org https:// http://? www.example.org", []),
        ("https://-\u200b.\u3164/", []),
    ],
)  # fmt: skip
def test_addresses_end_where_people_end_them_and_only_whole_ones_are_some(
    text: str, addresses: list[str]
) -> None:
    assert [link.target for link in find_links(text)] == addresses


def test_a_host_of_other_letters_is_not_shown_as_where_it_goes() -> None:
    (plain,) = find_links("https://apple.com/ä")
    (other,) = find_links("https://\u0430pple.com/a")
    assert plain.is_plain
    assert not other.is_plain
    assert terminal_links("https://apple.com/ä https://\u0430pple.com/a") == [plain]
    assert not terminal_links("https://apple.com/" + "ä" * 350)  # longer than terminals take


PIECES = st.sampled_from(
    [
        *("https://", "http://", "example.org", "a.b", "/", "?", "#", "@", ":80", ":", "\\", "…"),
        *(
            "...",
            "(",
            ")",
            "[",
            "]",
            " ",
            "word",
            "안녕",
            "مرحبا",
            "xn--",
            "-",
            "'",
            '"',
            "<",
            "한국",
        ),
        *("\u0301", "\u200d", "👩‍👩‍👧", "%", "%20", "|", "。"),
    ]
)
TEXTS = st.lists(PIECES | st.characters(codec="utf-8", exclude_categories=["C", "Z"])).map("".join)


@given(TEXTS)
def test_a_link_is_printable_ascii_and_covers_its_address_alone(text: str) -> None:
    end = 0
    for link in find_links(text):
        assert end <= link.start < link.end
        end = link.end
        assert re.fullmatch(r"(?i)https?://[\x21-\x7e]+", link.target)
        shown = text[link.start : link.end]
        assert not re.search(r"\s", shown)
        assert [found.target for found in find_links(shown)] == [link.target]
        if shown.isascii() and "%" in link.target and "%" not in shown:
            continue  # a character that stands in no address
        assert not shown.isascii() or link.target == shown


@given(TEXTS, st.integers(20, 100))
def test_links_change_nothing_of_the_text_and_go_where_it_says(text: str, columns: int) -> None:
    lines = Renderer(date(1970, 1, 1)).lines(Said("lobby", "ada", text, 1, 0))
    plain, linked = layout(lines, columns), layout(lines, columns, links=True)
    shown = "".join(piece for style, piece in linked if style != ESCAPE)
    assert shown == "".join(piece for _, piece in plain)
    assert row_count(linked, columns) == row_count(plain, columns)
    assert all(text_width(row) <= columns or "://" in row for row in shown.splitlines())
    at: str | None = None
    covered: list[tuple[str, str]] = []
    for style, piece in linked:
        if style == ESCAPE:
            found = HIDDEN.fullmatch(piece)
            assert found is not None
            assert bool(found[1]) == (at is None), "they are not within each other"
            at = found[1] or None
            if at and not (covered and covered[-1][0] == at):
                covered.append((at, ""))
        elif at:
            assert "\n" not in piece, "a link ends at the end of its row"
            covered[-1] = (at, covered[-1][1] + piece)
    assert at is None
    # What stands under each is its address: all of it, if need be over several rows.
    for target, under in covered:
        whole = list(find_links(under))
        assert whole
        assert {link.target for link in whole} == {target}
        assert "".join(under[link.start : link.end] for link in whole) == under


def test_an_address_that_is_broken_over_rows_is_one_link_of_several_parts() -> None:
    url = "https://example.org/" + "x" * 60
    lines = Renderer(date(1970, 1, 1)).lines(Said("lobby", "ada", f"({url})", 1, 0))
    escapes = [piece for style, piece in layout(lines, 40, links=True) if style == ESCAPE]
    starts = [each for each in escapes if url in each]
    assert len(starts) > 1
    assert len(set(starts)) == 1
    assert "id=" in starts[0]


@pytest.mark.parametrize(
    ("environment", "known"),
    [
        ({"TERM": "xterm-kitty"}, True),
        ({"TERM": "xterm-256color", "TERM_PROGRAM": "iTerm.app"}, True),
        ({"TERM": "xterm-256color", "VTE_VERSION": "7600"}, True),
        ({"TERM": "xterm-256color", "VTE_VERSION": "4205"}, False),
        ({"TERM": "xterm-256color", "VTE_VERSION": "newest"}, False),
        ({"TERM": "tmux-256color", "TERM_PROGRAM": "tmux", "TERM_PROGRAM_VERSION": "3.4"}, True),
        ({"TERM": "screen", "TERM_PROGRAM": "tmux", "TERM_PROGRAM_VERSION": "3.3a"}, False),
        # What these were started from is known; they themselves are not.
        ({"TERM": "screen", "TERM_PROGRAM": "iTerm.app"}, False),
        ({"TERM": "linux", "VTE_VERSION": "7600"}, False),
        ({"TERM": "xterm-256color"}, False),
        ({"TERM": "dumb", "WT_SESSION": "1"}, False),
        ({}, False),
    ],
)
def test_only_terminals_that_are_known_to_have_links_are_given_some(
    environment: Mapping[str, str], known: bool
) -> None:
    assert has_links(environment) == known


def test_a_terminal_is_given_links_where_it_has_some_or_where_one_says_so(server: Server) -> None:
    link = b"\x1b]8;;https://example.org/%C3%A4\x1b\\"
    argv = [CLIENT, server.address, "--room", "lobby", "--nick"]
    kitty = {"TERM": "xterm-kitty"}
    with (
        Terminal([*argv, "ada"]) as ada,
        Terminal([*argv, "bob"], env=kitty) as bob,
        Terminal([*argv, "eve"], env={**kitty, "PYTHONIOENCODING": "latin-1"}) as eve,
    ):
        for each in (ada, bob, eve):
            each.wait_for("^lobby>")
        ada.enter("see https://example.org/ä there")
        for each in (ada, bob):
            each.wait_for("ada: see https://example.org/ä there$")
        assert link + "https://example.org/ä".encode() + b"\x1b]8;;\x1b\\" in unstyled(bob)
        assert b"\x1b]8" not in ada.output
        ada.enter("/set links on")
        ada.wait_for("links is on$")
        bob.enter("/set links off")
        bob.wait_for("links is off$")
        eve.wait_for("ada: see")
        eve.enter("and https://example.org/b again")
        for each in (ada, bob):
            each.wait_for("eve: and https://example.org/.* again$")
        assert b"\x1b]8;;https://example.org/b\x1b\\" in ada.output
        assert b"\x1b]8;;https://example.org/b" not in bob.output
        assert b"\x1b]8" not in eve.output


def test_there_are_no_links_in_full_screen_which_draws_parts_of_them(server: Server) -> None:
    argv = [CLIENT, server.address, "--room", "lobby", "--nick", "ada", "--full-screen"]
    with Terminal(argv, env={"TERM": "xterm-kitty"}) as ada:
        ada.wait_for("^lobby>")
        ada.enter("see https://example.org/a there")
        ada.wait_for("ada: see https://example.org/a there")
        assert b"\x1b]8" not in ada.output


def unstyled(terminal: Terminal) -> bytes:
    """All that a terminal was given, without colours."""
    return re.sub(rb"\x1b\[[0-9;]*m", b"", terminal.output)
