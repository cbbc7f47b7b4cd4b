"""The bar below the prompt: views with what is unread, people, lag, and the connection's state."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from tcpchat_cli.terminal.render import Fragments
from tcpchat_cli.terminal.view import View
from tcpchat_cli.terminal.widths import shortened, text_width


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
        views = _shortened(status, columns - _width(pieces) - 2)
    return [("", " "), *views, *pieces, ("", " ")]


def _views(status: Status) -> Iterator[tuple[str, str]]:
    """Each view with its number, for example `2:dev+3`, and `!` before the count when called."""
    for number, view in enumerate(status.views, start=1):
        yield (_style(status, view), f"{number}:{view.title}{_count(view)}")
        if number < len(status.views):
            yield ("", " ")


def _style(status: Status, view: View) -> str:
    if view.unread.mentions:
        return "class:bar.mention"
    return "class:bar.current" if view is status.current else ""


def _count(view: View) -> str:
    unread = view.unread
    if not unread:
        return ""
    return f"!{unread.messages}" if unread.mentions else f"+{unread.messages}"


def _shortened(status: Status, columns: int) -> Fragments:
    """As much of the views as there is place for: the current one; then, by their numbers alone,
    those where one was called, and those where something is unread; then those behind.
    """
    numbered = [*enumerate(status.views, start=1)]
    others = [(number, view) for number, view in numbered if view is not status.current]
    start = next((number for number, view in numbered if view is status.current), 0)
    calling = [each for each in others if each[1].unread.mentions]
    unread = [each for each in others if each[1].unread and not each[1].unread.mentions]
    behind = [each for each in others if not each[1].unread and each[0] > start]
    pieces = [
        *((_style(status, view), f"{number}{_count(view)}") for number, view in calling + unread),
        *(("", f"{number}:{view.title}") for number, view in behind),
    ]
    left = columns - 1  # for the …
    if start:
        first = pieces[0] if calling else ("", "")
        text = f"{start}:{status.current.title}{_count(status.current)}"
        text = shortened(text, max(left - text_width(first[1]) - 1, 1))
        pieces.insert(0, (_style(status, status.current), text))
    kept: Fragments = []
    for style, text in pieces:
        blank = " " if kept else ""
        cut = text
        while cut and text_width(blank + cut) > left:
            cut = cut[:-1] if ":" in text else ""  # half a number is another one
        if cut:
            kept += [("", blank), (style, cut)] if blank else [(style, cut)]
            left -= text_width(blank + cut)
        if cut != text:
            break
    return kept if kept and kept[-1][1].endswith("…") else [*kept, ("", "…")]


def _width(pieces: Fragments) -> int:
    return sum(text_width(text) for _, text in pieces)
