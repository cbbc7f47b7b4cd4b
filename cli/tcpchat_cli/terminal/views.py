"""All views in their order, and the one that is looked at.

Rule 1: A view has its place for as long as it is there. Who is renamed takes the conversation
        along.

Rule 2: Whatever a server says, memory is bounded: all views together have so many lines, and there
        are so many conversations. What goes first is what one has never said anything in.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Final

from tcpchat_cli.terminal.numbering import MessageId, Numbering
from tcpchat_cli.terminal.render import Line
from tcpchat_cli.terminal.view import MAX_LINES, Kind, View
from tcpchat_core.names import nick_key

# Ten views may have all the lines that a view may have; when there are more, each has fewer.
MAX_LINES_IN_ALL: Final = 10 * MAX_LINES

# More than anybody talks to in a day. Each nick that writes opens one, and nicks cost nothing.
MAX_DIRECT: Final = 100

# Longer numbers are of no view, and are not even read.
MAX_DIGITS: Final = 9

# Those that one is in are as many at most (`tcpchat_core.client`); one was put out of the others.
MAX_ROOMS: Final = 4_096


class Views:
    """The rooms and conversations of one session; iterated in order, numbered from 1."""

    def __init__(self, numbering: Numbering | None = None) -> None:
        self._numbering = numbering or Numbering()
        self._all: dict[tuple[Kind, str], View] = {}
        self._home = View("", "home")
        self._before = self._home  # what was looked at before
        self._touches = 0
        self.current: View = self._home

    def __iter__(self) -> Iterator[View]:
        return iter(self._all.values())

    def __len__(self) -> int:
        return len(self._all)

    # ── Which there are ──────────────────────────────────────────────────────────────────────

    def room(self, name: str) -> View | None:
        """The view of a room, as the server writes its name."""
        return self._all.get(("room", name))

    def direct(self, nick: str) -> View | None:
        """The conversation with somebody, however the nick is written."""
        return self._all.get(("direct", _key(nick)))

    def numbered(self, number: int) -> View | None:
        """The view of that number, from 1."""
        return next(islice(self, number - 1, number), None) if number > 0 else None

    def number(self, view: View) -> int:
        """The number of a view that is there."""
        return [*self].index(view) + 1

    def named(self, text: str) -> View | None:
        """The view that somebody calls so: by number, by its title or name, or as these begin."""
        if text.isascii() and text.isdecimal() and len(text) <= MAX_DIGITS:
            return self.numbered(int(text))
        called = text.casefold()
        there = [view for view in self if called in _calls(view)]
        if not there:
            there = [view for view in self if any(c.startswith(called) for c in _calls(view))]
            there = there if len(there) == 1 else []
        return there[0] if there else None

    def open_room(self, name: str) -> View:
        """The view of a room, made if it was not there."""
        return self.room(name) or self._open("room", name, name, MAX_ROOMS)

    def open_direct(self, nick: str) -> View:
        """The conversation with somebody, made if it was not there."""
        return self.direct(nick) or self._open("direct", _key(nick), nick, MAX_DIRECT)

    def open_past(self, name: str) -> View:
        """The view of a place in the past of a room, empty; there is one at a time."""
        view = self._all.get(("past", "")) or self._open("past", "", name, 1)
        view.clear()
        view.name = name
        return view

    def close(self, view: View) -> View:
        """Forget a view. Returns the one that is looked at then; `go_to` was done."""
        self._all = {key: each for key, each in self._all.items() if each is not view}
        if view is self._before:
            self._before = self._home
        if view is self.current:
            there = self._before if self._before is not self._home else None
            self.go_to(there or next(reversed(self._all.values()), self._home))
            self._before = self._home
        self._share()
        return self.current

    def rename(self, old: str, new: str) -> None:
        """Somebody is called otherwise: the conversation is the same.

        Where there was one with somebody who had that nick before, its lines come first.
        """
        view = self.direct(old)
        if view is None:
            return
        former = self.direct(new)
        view.name = new
        if former is not None and former is not view:
            view.put_before(former.lines)
            view.draft = view.draft or former.draft
            if view is not self.current:
                view.unread.messages += former.unread.messages
                view.unread.mentions += former.unread.mentions
            self.close(former)
        self._all = {
            (("direct", _key(new)) if each is view else key): each
            for key, each in self._all.items()
        }

    # ── Looking ──────────────────────────────────────────────────────────────────────────────

    def go_to(self, view: View) -> None:
        """Look at a view; what was looked at is left."""
        if view is not self.current:
            self.current.leave()
            self._before, self.current = self.current, view
            view.look()

    def step(self, by: int) -> View:
        """The view so many places on, and round; without going there."""
        views: list[View] = [*self]
        if not views:
            return self.current
        nowhere = -1 if by > 0 else 0  # so that the first is next, and the last before
        at = views.index(self.current) if self.current in views else nowhere
        return views[(at + by) % len(views)]

    def next_unread(self) -> View | None:
        """Where something is unread: first where one was called, then in order from here."""
        views = [*self]
        at = views.index(self.current) if self.current in views else -1
        onwards = [view for view in (*views[at + 1 :], *views[: at + 1]) if view.unread]
        return next((view for view in onwards if view.unread.mentions), next(iter(onwards), None))

    def add(self, view: View, lines: Sequence[Line], *, news: bool = True) -> None:
        """Lines at the end of a view."""
        self._touches += 1
        view.touched = self._touches
        view.add(lines, looking=view is self.current, news=news)

    def take_back(self, place: MessageId) -> None:
        """Take the text away of a message, wherever it is shown."""
        for view in (self._home, *self):
            view.take_back(place)

    # ── Inside ───────────────────────────────────────────────────────────────────────────────

    def _open(self, kind: Kind, key: str, name: str, most: int) -> View:
        alike = [view for view in self if view.kind == kind and view is not self.current]
        if len(alike) >= most:
            self.close(
                min(alike, key=lambda view: (view.is_mine or bool(view.draft), view.touched))
            )
        view = View(name, kind, self._numbering)
        if not self._all:  # what was told before there was any view stands at its head
            view.put_before(self._home.lines)
            self._home.clear()
        self._all[kind, key] = view
        self._share()
        return view

    def _share(self) -> None:
        share = min(MAX_LINES, max(1, MAX_LINES_IN_ALL // max(1, len(self._all))))
        for view in self:
            view.bound(share)


def _calls(view: View) -> tuple[str, ...]:
    return (view.title.casefold(), view.name.casefold())


def _key(nick: str) -> str:
    return nick_key(nick) or nick
