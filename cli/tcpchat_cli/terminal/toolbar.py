"""The bar below the prompt: views with what is unread, people, lag, and the connection's state."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from tcpchat_cli.terminal.render import Fragments
from tcpchat_cli.terminal.view import View
from tcpchat_cli.terminal.widths import text_width


class Status(NamedTuple):
    """What the bar shows. `lag_ms` is None until it was measured."""

    views: tuple[View, ...]
    current: View
    people: int
    lag_ms: int | None
    state: str
    trouble: bool  # whether the state is other than it should be


def toolbar(status: Status, columns: int) -> Fragments:
    """The bar for so many columns. What matters least goes first when there is no room."""
    state = ("class:bar.trouble" if status.trouble else "", status.state)
    people = [("", f"{status.people} here")] if status.people else []
    lag = ("", f"{status.lag_ms} ms") if status.lag_ms is not None else None
    views = [*_views(status)]
    choices = (
        [[*people, lag, state], [*people, state], [state]] if lag else [[*people, state], [state]]
    )
    for right in choices:
        pieces = [piece for part in right for piece in (("", " │ "), part)]
        if _width(views) + _width(pieces) + 2 <= columns:
            break
    else:
        views = _shortened(views, columns - _width(pieces) - 2)
    return [("", " "), *views, *pieces, ("", " ")]


def _views(status: Status) -> Iterator[tuple[str, str]]:
    """Each view with its number, for example `2:dev+3`, and `!` before the count when called."""
    for number, view in enumerate(status.views, start=1):
        unread = view.unread
        count = ""
        if unread:
            count = f"!{unread.messages}" if unread.mentions else f"+{unread.messages}"
        style = "class:bar.current" if view is status.current else ""
        if unread.mentions:
            style = "class:bar.mention"
        yield (style, f"{number}:{view.title}{count}")
        if number < len(status.views):
            yield ("", " ")


def _shortened(views: Fragments, columns: int) -> Fragments:
    """As much of the views as there is place for, beginning with the current one."""
    current = next((at for at, (style, _) in enumerate(views) if style == "class:bar.current"), 0)
    kept: Fragments = []
    left = columns - 1  # for the …
    for style, text in views[current:]:
        if text_width(text) > left:
            cut = text
            while text_width(cut) > left:
                cut = cut[:-1]
            return [*kept, (style, cut), ("", "…")]
        kept.append((style, text))
        left -= text_width(text)
    return [*kept, ("", "…")]


def _width(pieces: Fragments) -> int:
    return sum(text_width(text) for _, text in pieces)
