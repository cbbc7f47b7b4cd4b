"""Searches, pages of what was said before, and the places in the past that one goes to.

Rule 1: Answers keep the order of their questions. So what a page or a search was asked for is known
        by its place among those that have no answer yet.

Rule 2: A place in the past is a view of its own, beside that of its room. What is said meanwhile
        goes to the room's, as it does while one looks at another room; and what lies between the
        two is told when one goes back.

Rule 3: Who is ignored is shown nowhere. Pages go on from all that was answered, also from what is
        not shown of it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from datetime import date
from itertools import islice
from typing import Final, NamedTuple, TypeAlias, TypeVar

import msgspec

from tcpchat_cli.terminal.find import marked, word_spans
from tcpchat_cli.terminal.hints import Hints
from tcpchat_cli.terminal.ignored import Ignored
from tcpchat_cli.terminal.numbering import MessageId
from tcpchat_cli.terminal.places import NoPlace, Place, Places
from tcpchat_cli.terminal.render import Line, Renderer, marker
from tcpchat_cli.terminal.view import View, message_count
from tcpchat_cli.terminal.views import Views
from tcpchat_core import events, notices

# How many messages are shown around one: so many have room on a screen, and the one in their midst.
AROUND: Final = 11

# How many a page has that is asked for by a key.
PAGE: Final = 20

# What the server has lost: also where its numbers are those of other messages by now.
_NOT_KEPT: Final = "that message is not kept any more"
_NOTHING_KEPT: Final = "what was said there is not kept any more; /close goes back"

# A line that is neither before nor after any: each page in the past tells its days.
_NO_DAY: Final = date.min

_T = TypeVar("_T")

OnPage: TypeAlias = Callable[[notices.HistoryPage], None]


class Desk(NamedTuple):
    """What the screen does for it."""

    send: Callable[[events.Request], object]  # tells `Finding.sent` when it goes out
    put: Callable[[View, list[Line]], None]  # at the end of a view, and shown there
    show_older: Callable[[View, list[Line]], None]  # at its head
    look_at: Callable[[View], None]  # show it, also when it is the current one
    refuse: Callable[[str], None]


class Finding:
    """What is asked for of what was said, and where one is in it."""

    def __init__(
        self,
        views: Views,
        renderer: Renderer,
        places: Places,
        *,
        ignored: Ignored,
        hints: Hints,
        desk: Desk,
    ) -> None:
        self._views = views
        self._renderer = renderer
        self._numbering = renderer.numbering
        self._places = places
        self._ignored = ignored
        self._hints = hints
        self._desk = desk
        self._pages: deque[OnPage | None] = deque()  # None: it is shown as /history is
        self._searches: deque[str] = deque()  # their words
        self._found: tuple[frozenset[Place], str] = (frozenset(), "")  # what is marked there
        self._turning: View | None = None  # of which a page is on its way

    # ── Questions and answers ────────────────────────────────────────────────────────────────

    def sent(self, request: events.Request) -> None:
        """A request has gone out."""
        match request:
            case events.History():
                self._pages.append(None)
            case events.Search(words):
                self._searches.append(words)

    def answered(self, notice: notices.SearchResults | notices.HistoryPage) -> list[Line]:
        """The lines of an answer, for the current view."""
        if isinstance(notice, notices.SearchResults):
            return self._results(notice, _first(self._searches) or "")
        then = _first(self._pages)
        if then is not None:
            then(notice)
            return []
        if (view := self._views.room(notice.room)) is not None:
            _note_oldest(view, notice)
        return self._page(notice, self._renderer.lines)

    def refused(self, rejected: notices.Rejected) -> None:
        """A question has no other answer."""
        if rejected.request == "search":
            _first(self._searches)
        else:
            _first(self._pages)
            self._turning = None

    def _ask(self, query: events.History, then: OnPage) -> None:
        before = len(self._pages)
        self._desk.send(query)
        if len(self._pages) > before:
            self._pages[-1] = then

    def _results(self, results: notices.SearchResults, words: str) -> list[Line]:
        messages = self._ignored.shown(results.messages)
        results = msgspec.structs.replace(results, messages=messages)
        id_of = self._numbering.id_of
        places = [Place("room", *id_of(said.room, said.seq)) for said in results.messages]
        if places:
            self._places.listed(places)
            self._found = (frozenset(places), words)
        return [_with_words(line, words) for line in self._renderer.lines(results)]

    # ── Page by page ─────────────────────────────────────────────────────────────────────────

    def turn_back(self) -> None:
        """Ask for the page before the oldest message of the current view."""
        view = self._views.current
        if view.kind == "direct":
            self._desk.refuse(
                f"what you say with {view.name} is not kept: nothing older can be shown"
            )
        elif view.kind == "past" and view.oldest is None:
            self._desk.refuse(_NOTHING_KEPT)
        elif view.kind != "home" and self._turning is not view:
            self._turning = view
            self._ask(
                events.History(view.name, before=view.oldest, limit=PAGE),
                lambda page: self._turned_back(view, page),
            )

    def _turned_back(self, view: View, page: notices.HistoryPage) -> None:
        self._turning = None
        _note_oldest(view, page)
        self._desk.show_older(view, self._page(page, self._renderer.older))

    def turn_on(self) -> None:
        """Ask for the page after the newest message of a place in the past."""
        view = self._views.current
        if view.kind == "past" and view.newest is None:
            self._desk.refuse(_NOTHING_KEPT)
        elif view.kind == "past" and self._turning is not view:
            self._turning = view
            self._ask(
                events.History(view.name, after=view.newest, limit=PAGE),
                lambda page: self._turned_on(view, page),
            )

    def _turned_on(self, view: View, page: notices.HistoryPage) -> None:
        self._turning = None
        if view.name != page.room:  # one has gone to another place meanwhile
            return
        if not page.messages:
            if view is self._views.current:
                self.leave()
            return
        view.newest = page.messages[-1].seq
        count = len(self._ignored.shown(page.messages))
        above = marker(f"{count} said after that in {page.room}")
        below = marker(
            f"{self._hints.way('newer', '/newer')} shows what was said after that"
            if page.more
            else "that was all that was said up to now"
        )
        self._desk.put(view, [above, *self._said(page), below])

    # ── Places in the past ───────────────────────────────────────────────────────────────────

    def go_to(self, typed: str) -> None:
        """Go to the place of that number in the list that was shown last, or to what is missing."""
        try:
            place = self._missing() if typed.lower() == "gap" else self._places.find(typed)
        except NoPlace as error:
            self._desk.refuse(str(error))
            return
        if place.kind == "room" and not self._numbering.is_current(place.message):
            self._desk.refuse(_NOT_KEPT)
        elif place.kind == "room":
            self._ask(
                events.History(place.name, around=place.seq, limit=AROUND),
                lambda page: self._arrived(place, page),
            )
        elif (view := self._views.direct(place.name)) is not None:
            self._desk.look_at(view)
        else:
            self._desk.refuse(f"what you said with {place.name} is not here any more")

    def _missing(self) -> Place:
        """The last message that is missing in the room that one looks at. Raises NoPlace."""
        view = self._views.room(self._views.current.name)
        if view is None or view.gap is None:
            raise NoPlace("nothing is missing here")
        return Place("room", *self._numbering.id_of(view.name, view.gap))

    def _arrived(self, place: Place, page: notices.HistoryPage) -> None:
        is_there = any(said.seq == place.seq for said in page.messages)
        if not (is_there and self._numbering.is_current(place.message)):
            self._desk.refuse(_NOT_KEPT)
            return
        places, words = self._found
        lines = [] if page.more else [marker(f"{page.room} begins here")]
        self._renderer.day = _NO_DAY
        for said in self._ignored.shown(page.messages):
            made = self._renderer.lines(said)
            if said.seq == place.seq:
                made = _pointed_at(made, place.message, words if place in places else "")
            lines += made
        lines.append(marker(_ways(self._hints)))
        view = self._views.open_past(page.room)
        view.oldest, view.newest = page.messages[0].seq, page.messages[-1].seq
        self._desk.look_at(view)
        self._desk.put(view, lines)

    def leaves_for(self, view: View) -> None:
        """One goes to a view: if from a place in the past to its room, tell what lies between."""
        past = self._views.current
        if past.kind != "past" or past.newest is None or view is not self._views.room(past.name):
            return
        between = (view.oldest or 0) - (past.newest or 0) - 1
        told = marker(f"{message_count(between)} between this and what follows")
        if between > 0 and told not in islice(reversed(past.lines), 1):
            self._desk.put(past, [told])

    def leave(self) -> None:
        """Back from a place in the past to its room."""
        past = self._views.current
        if past.kind != "past":
            return
        room = self._views.room(past.name)
        if room is None:
            self._desk.refuse(f"you are not in {past.name} any more: /close ends this view")
            return
        self._desk.look_at(room)
        self._views.close(past)

    def _said(self, page: notices.HistoryPage) -> list[Line]:
        self._renderer.day = _NO_DAY
        messages = self._ignored.shown(page.messages)
        return [line for said in messages for line in self._renderer.lines(said)]

    def _page(
        self, page: notices.HistoryPage, made: Callable[[notices.HistoryPage], list[Line]]
    ) -> list[Line]:
        """What is shown of a page."""
        messages = self._ignored.shown(page.messages)
        if page.messages and not messages:
            older = f"; {self._hints.way('older', '/older')} goes on" if page.more else ""
            return [marker(f"only people whom you ignore said something there{older}")]
        return made(msgspec.structs.replace(page, messages=messages))


def _ways(hints: Hints) -> str:
    """What one can do in the past."""
    keys = [each for action in ("older", "newer") for each in hints.keys(action)[:1]]
    by_key = f" ({', '.join(keys)})" if keys else ""
    back = " (Esc)" if hints.has_keys else ""
    return f"/older, /newer{by_key} go on; /close{back} goes back"


def _note_oldest(view: View, page: notices.HistoryPage) -> None:
    if page.messages and view.name == page.room:
        first = page.messages[0].seq
        view.oldest = min(first, view.oldest or first)


def _pointed_at(lines: list[Line], message: MessageId, words: str) -> list[Line]:
    """The lines of the message that one has gone to; what it answers is another message."""
    days = [line for line in lines if line.place is None]
    its = [
        _with_words(line, words) if line.place == message else line
        for line in lines
        if line.place is not None
    ]
    return [*days, marker("here it is"), *its]


def _with_words(line: Line, words: str) -> Line:
    if line.place is None:
        return line
    return marked(line, word_spans("".join(text for _, text in line.body), words))


def _first(waiting: deque[_T]) -> _T | None:
    return waiting.popleft() if waiting else None
