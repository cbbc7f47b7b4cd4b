"""What stands beside and above the view in full screen: the views, the people, the topic.

Each function gives rows for a pane of so many columns and rows, none wider. Of what has no room,
the last row says how much it is.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Final

from tcpchat_cli.terminal.presence import People
from tcpchat_cli.terminal.render import Fragments, bounded, shown_name
from tcpchat_cli.terminal.scroll import cut
from tcpchat_cli.terminal.theme import nick_style
from tcpchat_cli.terminal.view import View

# Of more people than these, those who came first are listed, in their order.
MAX_SORTED: Final = 1_000


def view_rows(views: Sequence[View], current: View, columns: int, rows: int) -> list[Fragments]:
    """The views with their numbers and what is unread, so that the current one is among them."""
    at = next((number for number, view in enumerate(views) if view is current), 0)
    first = max(0, min(at - rows // 2, len(views) - rows))
    shown = islice(enumerate(views, start=1), first, first + rows)
    return [_view_row(number, view, columns, is_current=view is current) for number, view in shown]


def _view_row(number: int, view: View, columns: int, *, is_current: bool) -> Fragments:
    unread = view.unread
    style = "class:bar.current" if is_current else ""
    count = ""
    if unread:
        count = f" {'!' if unread.mentions else '+'}{unread.messages}"
        style = "class:bar.mention" if unread.mentions else "class:mention"
    name = cut([(style, f"{number} {view.title}")], max(1, columns - len(count)))
    return cut([*name, (style, count)], columns)


def people_rows(people: People, columns: int, rows: int) -> list[Fragments]:
    """Who is in a view: moderators first and marked, who is away dimmed."""
    ordered = [*_ordered(people, rows)]
    shown = ordered if people.total <= min(len(ordered), rows) else ordered[: max(0, rows - 1)]
    listed = [cut(_person(nick, people), columns) for nick in shown]
    if (more := people.total - len(shown)) > 0:
        listed.append(cut([("class:system", f"and {more} more")], columns))
    return listed[:rows]


def _ordered(people: People, rows: int) -> Iterator[str]:
    """As many as there may be room for, and one more."""
    some = [*islice(people.nicks, MAX_SORTED)]
    if len(people.nicks) <= MAX_SORTED:
        some.sort(key=lambda nick: (nick not in people.moderators, nick.casefold()))
    yield from islice(some, rows + 1)


def _person(nick: str, people: People) -> Fragments:
    mark = "@" if nick in people.moderators else " "
    style = "class:system" if nick in people.away else nick_style(nick)
    return [("class:room", mark), (style, shown_name(nick))]


def topic_row(view: View, told: str, columns: int) -> Fragments:
    """What the view is called, and its topic; or what is told instead."""
    if told:
        return cut([("class:bar.current", view.title), ("", f"  {told}")], columns)
    topic = f"  {bounded(view.topic)}" if view.topic else ""
    return cut([("class:bar.current", view.title), ("", topic)], columns)
