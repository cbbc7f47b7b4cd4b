"""The views, and the display that shows the current one: what is put into a view is shown there.

Rule 1: Lines wait in `pending` until `flush`, so that what comes together is shown together; what
        changes which view is the current one shows first what waits.

Rule 2: What is half typed belongs to the view in which it was typed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import NamedTuple

from tcpchat_cli.terminal import presence
from tcpchat_cli.terminal.connection import Connection
from tcpchat_cli.terminal.folding import Folding
from tcpchat_cli.terminal.logs import Logs
from tcpchat_cli.terminal.numbering import MessageId, Numbering
from tcpchat_cli.terminal.render import Line, Renderer, taken_back
from tcpchat_cli.terminal.settings import Settings
from tcpchat_cli.terminal.surface import Surface
from tcpchat_cli.terminal.view import View
from tcpchat_cli.terminal.views import Views
from tcpchat_core import Notice, RoomView


class Follows(NamedTuple):
    """What is called when something has become of what is shown."""

    shown: Callable[[], None]  # lines were, or another view
    leaves: Callable[[View], None]  # one goes from the current view to this one now
    looks: Callable[[], None]  # one has gone there


class Board:
    """All that is shown."""

    def __init__(
        self, connection: Connection, display: Surface, settings: Settings, follows: Follows
    ) -> None:
        self.numbering = Numbering()
        self.views = Views(self.numbering)
        self.display = display
        self.renderer = Renderer()
        self.renderer.numbering = self.numbering
        self.logs = Logs(connection.home, settings, self.refuse)
        self.is_joining = False  # the connection's current room is one that is only asked for
        self._connection = connection
        self._follows = follows
        self._pending: list[Line] = []  # of the current view, not shown yet
        self._folding = Folding(settings, self._tell_changes)

    @property
    def current(self) -> View:
        """The view that is looked at."""
        return self.views.current

    @property
    def room(self) -> RoomView | None:
        """What is known of the room that one looks at; None for none that one is in."""
        rooms = self._connection.protocol.rooms
        return rooms.get(self.current.name) if self.current.kind == "room" else None

    # ── Telling ──────────────────────────────────────────────────────────────────────────────

    def tell(self, *texts: str) -> None:
        """Say something in the program's own voice, where one looks."""
        self.put(self.current, [self.renderer.system(text) for text in texts])
        self.flush()

    def refuse(self, text: str) -> None:
        """Say what went wrong, where one looks."""
        self.put(self.current, [self.renderer.error(text)])
        self.flush()

    def rendered(self, view: View, made: Callable[[], list[Line]]) -> list[Line]:
        """Lines for a view: each view has the days of its own."""
        self.renderer.day = view.day or datetime.now().date()
        lines = made()
        if lines:
            view.day = self.renderer.day
        return lines

    def put(self, view: View, lines: Sequence[Line], *, news: bool = False) -> None:
        """Put lines at the end of a view, behind the comings and goings before them."""
        if lines:
            self._put_changes(view)
            self._add(view, lines, news=news)

    def put_mark(self, view: View) -> None:
        """What is put next into the current view is new, although one seems to look."""
        self._pending.append(view.put_mark())

    def put_mark_before(self, view: View, place: MessageId) -> None:
        """What was put last into a view is new from this message on."""
        view.mark_before(place)
        if view is self.current and view.mark and (line := view.mark_line) is not None:
            self._pending.insert(max(0, len(self._pending) - view.mark), line)

    def put_and_show(self, view: View, lines: Sequence[Line]) -> None:
        """The same, at once."""
        self.put(view, lines)
        self.flush()

    def put_past(self, view: View, lines: Sequence[Line]) -> None:
        """What was said before is no news, and nothing for the log."""
        self.views.add(view, lines, news=False)
        if view is self.current:
            self._pending += lines
            self.flush()

    def put_older(self, view: View, lines: Sequence[Line]) -> None:
        """A page of what was said before stands at the head of its view."""
        view.add_older([line for line in lines if line.place])
        if view is self.current:
            self.flush()
            self.display.show_older(lines)

    def collect(self, change: Notice, views: Sequence[View]) -> None:
        """Somebody came or went; it is told in these views in a moment."""
        self._folding.collect(change, views)

    def take_back(self, place: MessageId) -> None:
        """Take the text away of a message: in all views, on the screen, and where it waits."""
        self.views.take_back(place)
        self.display.take_back(place)
        self._pending = [
            taken_back(line) if line.place == place else line for line in self._pending
        ]

    def flush(self) -> None:
        """Show what is new in the current view."""
        lines, self._pending = self._pending, []
        self.display.show(lines)
        self.logs.write()
        self._follows.shown()

    def _add(self, view: View, lines: Sequence[Line], *, news: bool = False) -> None:
        self.views.add(view, lines, news=news)
        self.logs.add(view, lines)
        if view is self.current:
            self._pending += lines

    def _put_changes(self, view: View) -> None:
        if changes := self._folding.take(view):
            self._add(view, self.rendered(view, lambda: presence.told(changes, self.renderer)))

    def _tell_changes(self, view: View) -> None:
        self._put_changes(view)
        self.flush()

    # ── Looking ──────────────────────────────────────────────────────────────────────────────

    def look_at(self, view: View | None) -> None:
        """Make a view the current one, whatever room was asked for meanwhile; None is no view."""
        if view is None:
            return
        self.is_joining = False
        if view is self.current:
            self._be_in(view)
            self.display.refresh()
            return
        self._follows.leaves(view)
        self.current.draft = self.display.text
        self._show(view)
        self.display.text, view.draft = view.draft, ""
        self._follows.looks()

    def look_again(self, view: View) -> None:
        """Look at a view; the current one is shown once more, with what has become of it."""
        if view is self.current:
            self.flush()
            self.display.switch(view)
        else:
            self.look_at(view)

    def came_into(self, view: View) -> None:
        """We are in the connection's current room: what is half typed is for it."""
        if (self.is_joining or self.current.kind == "home") and view is not self.current:
            self._show(view)
            self._follows.looks()
        self.is_joining = False

    def close(self, view: View) -> None:
        """Forget a view; what is half typed stays."""
        if view is not self.current:
            self.views.close(view)
            return
        self.flush()
        now = self.views.close(view)
        self._be_in(now)
        self.display.switch(now)
        self.display.text, now.draft = self.display.text or now.draft, ""
        self._follows.looks()

    def clear(self) -> None:
        """Forget the lines of the current view; the server still has what was said in a room."""
        view, room = self.current, self.room
        view.clear()
        if room is not None:
            view.oldest = room.seq + 1
        self.display.clear()

    def _show(self, view: View) -> None:
        self.flush()
        self.views.go_to(view)
        self._be_in(view)
        self.display.switch(view)

    def _be_in(self, view: View) -> None:
        """What names no room is for this one."""
        if view.kind in {"room", "past"}:
            self._connection.current = view.name
