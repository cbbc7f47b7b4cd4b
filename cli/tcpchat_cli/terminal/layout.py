"""Where lines stand on a terminal: in rows of its width, in its encoding, with its links.

Rule 1: A text is wrapped under its own beginning, and never to where a line begins: nobody's text
        looks like another line.

Rule 2: What is wrapped, counted in rows, or made a link is the same text, character by character.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final

from wcwidth import iter_graphemes

from tcpchat_cli.terminal.links import LINK_END, Link, link_start, terminal_links
from tcpchat_cli.terminal.render import Fragments, Line
from tcpchat_cli.terminal.widths import text_width

# prompt_toolkit's style of what is no text: it goes to the terminal as it is, and takes no column.
ESCAPE: Final = "[ZeroWidthEscape]"

_URL: Final = re.compile(r"[a-z][a-z0-9+.-]{0,20}://[!-~]*", re.IGNORECASE)
_WORDS: Final = re.compile(r"\s+|\S+")

# What we ourselves write with characters that not every terminal has.
_ASCII: Final = str.maketrans({"→": "->", "…": "...", "─": "-", "│": "|"})


def layout(lines: Iterable[Line], columns: int, *, links: bool = False) -> Fragments:
    """The lines as text for a terminal of so many columns, each with its end.

    A text is wrapped at its blanks under its own beginning, and never to where a line begins. A URL
    is never broken by us, so that the terminal still knows it for one. With `links`, the addresses
    are made links of the terminal; that changes nothing of the text.
    """
    fragments: Fragments = []
    for line in lines:
        head, body = ("".join(text for _, text in part) for part in (line.head, line.body))
        addresses = [_behind(head, link) for link in terminal_links(body)] if links else []
        indent = text_width(head)
        if not 0 < indent <= columns // 2:
            indent = columns // 8
        for number, row in enumerate(_wrapped(head + body, indent, columns)):
            if number:
                fragments.append(((line.body or line.head)[0][0], "\n" + " " * indent))
            fragments += _with_links([*line.head, *line.body], row, addresses)
        fragments.append(("", "\n"))
    return fragments


def _behind(head: str, link: Link) -> Link:
    """The link where it is in a text that begins with a head."""
    return link._replace(start=link.start + len(head), end=link.end + len(head))


def _with_links(line: Fragments, row: tuple[int, int], links: list[Link]) -> Fragments:
    """What stands of a text in one row, with the links that reach into it."""
    start, end = row
    fragments: Fragments = []
    for link in links:
        first, last = max(start, link.start), min(end, link.end)
        if first < last:
            in_parts = (first, last) != (link.start, link.end)
            fragments += _between(line, start, first)
            fragments.append((ESCAPE, link_start(link, in_parts=in_parts)))
            fragments += _between(line, first, last)
            fragments.append((ESCAPE, LINK_END))
            start = last
    return [*fragments, *_between(line, start, end)]


def _between(line: Fragments, start: int, end: int) -> Fragments:
    """What stands between two places of a text."""
    pieces: Fragments = []
    for style, text in line:
        if piece := text[max(0, start) : max(0, end)]:
            pieces.append((style, piece))
        start -= len(text)
        end -= len(text)
    return pieces


def row_count(fragments: Fragments, columns: int) -> int:
    """How many rows of a terminal, which has so many columns, laid-out lines take."""
    rows = "".join(text for style, text in fragments if style != ESCAPE).split("\n")[:-1]
    return sum(max(1, -(-text_width(row) // columns)) for row in rows)


def _wrapped(text: str, indent: int, columns: int) -> list[tuple[int, int]]:
    """Where the rows of a text begin and end, all but the first of them with an indent."""
    rows: list[tuple[int, int]] = []
    start = end = column = 0
    for found in _WORDS.finditer(text):
        word = found[0]
        width = text_width(word)
        if column + width <= columns:
            end = found.end()
            column += width
        elif word.isspace():
            column = columns + 1  # blanks at the end of a row are not carried over
        elif width <= columns - indent or _URL.fullmatch(word):
            rows.append((start, end))
            start, end = found.span()
            column = indent + width
        else:
            for piece in _pieces(word, columns - indent):
                width = text_width(piece)
                if column + width > columns:
                    rows.append((start, end))
                    start, column = max(end, found.start()), indent
                end = max(end, found.start()) + len(piece)
                column += width
    return [*rows, (start, end)]


def _pieces(word: str, columns: int) -> Iterator[str]:
    """What of a word is not broken: its characters as people see them, if they have the room."""
    for grapheme in iter_graphemes(word):
        yield from (grapheme,) if text_width(grapheme) <= columns else grapheme


def in_encoding(line: Line, encoding: str) -> Line:
    """The line with what the terminal's encoding does not have replaced."""
    head, body = (
        [(style, encodable(text, encoding)) for style, text in part]
        for part in (line.head, line.body)
    )
    return line._replace(head=head, body=body)


def encodable(text: str, encoding: str) -> str:
    """The text with what an encoding does not have replaced, by ? if there is nothing nearer."""
    if text.isascii():
        return text
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        return text.translate(_ASCII).encode(encoding, "replace").decode(encoding)
    return text
