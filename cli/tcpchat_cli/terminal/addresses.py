"""`/links` and `/open`: the addresses of a view, the newest first, and going to one of them.

`/open N` counts as the list that was shown last; where none was, as it would be shown now.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Final, NamedTuple

from tcpchat_cli.terminal.browser import CannotOpen, command_for, start
from tcpchat_cli.terminal.links import find_links
from tcpchat_cli.terminal.numbering import MessageId
from tcpchat_cli.terminal.render import Line, Renderer
from tcpchat_cli.terminal.view import View

# As many as have room on most screens.
MAX_LISTED: Final = 20


# The style of an address that we tell of.
_OURS: Final = "class:address"


class Address(NamedTuple):
    """Where it goes, as it was written, and the line in which it was."""

    target: str
    text: str
    line: Line


class Addresses:
    """What was listed last, and in which view."""

    def __init__(self) -> None:
        self._listed: tuple[View | None, list[Address]] = (None, [])

    def show(self, view: View, renderer: Renderer) -> list[Line]:
        """The list, numbered from 1."""
        found = [*islice(_newest(view.lines), MAX_LISTED)]
        self._listed = (view, found)
        if not found:
            return [renderer.system("there is no address here (http:// or https://)")]
        width = len(str(len(found)))
        head = renderer.system("addresses, newest first; /open N opens one")
        return [head, *(_row(each, f"{at:>{width}}") for at, each in enumerate(found, start=1))]

    def take_back(self, place: MessageId) -> None:
        """What was in a message cannot be opened any more; the others have the same numbers."""
        view, listed = self._listed
        self._listed = (
            view,
            [each._replace(target="") if each.line.place == place else each for each in listed],
        )

    def open(
        self,
        view: View,
        typed: str,
        wanted: Sequence[str],
        renderer: Renderer,
        failed: Callable[[Line], None],
    ) -> Line:
        """Open the address of that number, or the newest; the line that tells it.

        `failed` is called with one when the program has ended, and could not.
        """
        listed_in, listed = self._listed
        if not typed or listed_in is not view:
            listed = [*islice(_newest(view.lines), MAX_LISTED)]
        if not listed:
            return renderer.error("there is no address here (http:// or https://)")
        number = int(typed) if typed.isascii() and typed.isdecimal() and len(typed) < 10 else 0
        if typed and not 1 <= number <= len(listed):
            return renderer.error(
                f"/open takes a number from 1 to {len(listed)}; /links shows them"
            )
        target, _, line = listed[number - 1 if typed else 0]
        if not target:
            return renderer.error("what had that address was taken back")
        try:
            command = command_for(target, wanted, os.environ)
            start(command, lambda why: failed(_told(renderer.error(f"{why}: {target}"), line)))
        except CannotOpen as error:
            return _told(renderer.error(f"{error}; the address is {target}"), line)
        return _told(renderer.system(f"opening {target}"), line)


def _newest(lines: Iterable[Line]) -> Iterator[Address]:
    """The addresses in lines, the newest first, each once."""
    seen: set[str] = set()
    for line in reversed([*lines]):
        text = "".join(text for _, text in line.body)
        if "://" not in text or _is_told_again(line):
            continue
        for link in reversed([*find_links(text)]):
            if link.target not in seen:
                seen.add(link.target)
                shown = text[link.start : link.end] if link.is_plain else link.target
                yield Address(link.target, shown, line)


def _is_told_again(line: Line) -> bool:
    """Whether a line is of a list, or tells what became of an address: nothing that was said."""
    styles = [style for style, _ in (*line.head[:1], *line.body[:1])]
    return "class:marker" in styles or _OURS in styles


def _told(line: Line, found_in: Line) -> Line:
    """A line that tells an address, which is taken back with the message that has it."""
    return line._replace(body=[(_OURS, text) for _, text in line.body], place=found_in.place)


def _row(address: Address, number: str) -> Line:
    """One of the list: its number, who has said it when, and the address alone."""
    line = address.line
    return Line([("class:marker", f"{number} "), *line.head], [(_OURS, address.text)], line.place)
