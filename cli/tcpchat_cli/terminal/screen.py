"""A person's chat on a terminal: what is told, and the prompt with what stands around it.

Rule 1: What is told is put at the end of the view that it belongs to (`routing.view_of`), and shown
        if that is the current one. What belongs to none is put into the current one.

Rule 2: What is typed goes where one looks when Enter is pressed: to the room, or to the person
        (`typed.Typed`).

One's own messages stand in grey above the prompt until their receipts come, and then take their
place among the others.
"""

from __future__ import annotations

import asyncio
import math
import os
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Sequence
from itertools import islice

import msgspec
from prompt_toolkit.filters import (
    Condition,
    control_is_searchable,
    emacs_mode,
    is_searching,
    vi_navigation_mode,
)
from prompt_toolkit.key_binding import KeyBindings
from prompt_toolkit.keys import Keys
from prompt_toolkit.search import SearchDirection, start_search

from tcpchat_cli.terminal import presence
from tcpchat_cli.terminal.away import Away
from tcpchat_cli.terminal.board import Board, Follows
from tcpchat_cli.terminal.called import Called
from tcpchat_cli.terminal.commands import without_secrets
from tcpchat_cli.terminal.completion import ChatCompleter
from tcpchat_cli.terminal.configuration import Configuration
from tcpchat_cli.terminal.connection import GOODBYE_SECONDS, Connection
from tcpchat_cli.terminal.entrance import enter
from tcpchat_cli.terminal.ignored import Ignored
from tcpchat_cli.terminal.key_settings import keys_with
from tcpchat_cli.terminal.keys import bind_escape, key_bindings
from tcpchat_cli.terminal.looking import Looking
from tcpchat_cli.terminal.numbering import MessageId
from tcpchat_cli.terminal.paste import Pasting
from tcpchat_cli.terminal.presence import People
from tcpchat_cli.terminal.reading import Reader
from tcpchat_cli.terminal.redactions import taken_back_by
from tcpchat_cli.terminal.render import Fragments, Line
from tcpchat_cli.terminal.routing import view_of, views_of_change
from tcpchat_cli.terminal.surface import Leave, Prompt, Surface, Way
from tcpchat_cli.terminal.title import title_of
from tcpchat_cli.terminal.toolbar import Status, toolbar
from tcpchat_cli.terminal.typed import Typed
from tcpchat_cli.terminal.view import View
from tcpchat_cli.terminal.widths import shortened
from tcpchat_core import Notice, events, notices

# How many of those who spoke last are offered first by Tab, and how many names in all.
MAX_SPEAKERS = 50
MAX_OFFERED = 1_000


class Screen:
    """One person's chat on a terminal."""

    # A person who has enough of waiting for a lost connection leaves.
    patience = math.inf
    answers_within = math.inf  # a person sees what has no receipt yet, and decides

    def __init__(
        self,
        connection: Connection,
        display: Surface,
        configuration: Configuration,
        came_in: Callable[[], Awaitable[Sequence[str]]] | None = None,
    ) -> None:
        self._connection = connection
        self._display = display
        self._configuration = configuration
        self._came_in = came_in  # asks something else, once one is in; gives what to tell of that
        self._settings = configuration.settings
        self._reader = Reader(connection, lambda: None if self._is_away else self._board.room)
        self._looking = Looking(display)
        self._board = Board(
            connection,
            display,
            self._settings,
            Follows(self._show_title, self._leaves_for, self._looks_elsewhere),
        )
        self._renderer = self._board.renderer
        ignored = Ignored()
        self._called = Called(
            self._settings,
            os.environ,
            ignores=ignored.has,
            numbering=self._board.numbering,
            send=display.call,
            tell=self._board.refuse,
        )
        self._typed = Typed(connection, self._board, configuration, self._called, ignored)
        self._typed.apply_settings()
        self._pasting = Pasting(self._typed.to, self._typed.send, self._board.tell)
        self._away = Away(self._settings)
        self._whereabouts = presence.Whereabouts()
        self._speakers: deque[str] = deque(maxlen=MAX_SPEAKERS)  # the last one first
        self._listed: tuple[str, ...] = ()  # the rooms that the server listed last

    async def talk(self, nick: str, rooms: Sequence[str]) -> None:
        """Come in and stay until the person goes."""
        self._away.key_pressed(_now())
        self._board.tell(*self._configuration.warnings())
        try:
            ask = self._display.question
            if await enter(self._connection, ask, self._board.tell, nick, rooms):
                if self._came_in:
                    self._board.tell(*await self._came_in())
                await self._display.prompt(
                    Prompt(
                        message=self._message,
                        toolbar=self._toolbar,
                        entered=self._typed.entered,
                        key_pressed=self._key_pressed,
                        focused=self._focused,
                        key_bindings=self._key_bindings(),
                        completer=self._completer(),
                        kept=without_secrets,
                        views=self._board.views,
                        people=self._people,
                    )
                )
        except Leave:
            self._reader.tell(at_once=True)
            self._connection.quit(self._typed.goodbye)
        finally:
            await self._called.close()

    async def finish(self, reading: asyncio.Task[None]) -> None:
        """Give the server a moment to say goodbye."""
        await asyncio.wait({reading}, timeout=GOODBYE_SECONDS)

    # ── What is told ─────────────────────────────────────────────────────────────────────────

    def told(self, batch: list[Notice]) -> None:
        """Show what the server told."""
        self._renderer.me = self._connection.protocol.nick
        for notice in batch:
            self._board.numbering.follow(notice)
            for room, seq in self._reader.follow(notice):
                self._was_read(room, seq)
            rooms = self._whereabouts.follow(notice)
            for place in taken_back_by(notice):
                self._take_back(self._board.numbering.id_of(*place))
            if presence.is_change(notice):
                views = views_of_change(notice, rooms, self._board.views)
                self._board.collect(notice, views)
            elif not self._typed.ignored.hides(notice):
                self._tell_of(self._typed.ignored.without(notice))
        self._tell_abandoned()
        self._called.settled()
        self._board.flush()
        self._reader.tell()

    def _tell_of(self, notice: Notice) -> None:
        """Put what is told into its view."""
        if isinstance(notice, notices.Left) and notice.own:
            self._left(notice)
        was_there: set[View] = set()
        read = 0  # up to where, before it is looked at: a view that opens is read
        if isinstance(notice, notices.Entered):
            was_there = set(self._board.views)
            read = self._reader.read_up_to(notice.room)
        view = view_of(notice, self._board.views, self._typed.unsent)
        read = max(read, view.read)
        self._typed.answerable.note(notice, self._renderer.me)
        is_news = self._note(notice, view)
        self._called.told(
            notice,
            self._renderer.me,
            is_here=view is self._board.current,
            looks=self._looks,
            now=_now(),
        )
        lines = self._board.rendered(view, lambda: self._lines(notice))
        self._board.put(view, lines, news=is_news)
        if isinstance(notice, notices.Entered):
            self._mark_new(view, notice, read, was_there=view in was_there)

    def _take_back(self, place: MessageId) -> None:
        """The text of a message is nowhere any more."""
        self._looking.take_back(place)
        self._typed.addresses.take_back(place)
        self._board.take_back(place)

    def lost(self, sentence: str) -> None:
        """Say once that the connection is being replaced; the bar goes on telling it."""
        protocol = self._connection.protocol
        seen = {room: view.seq for room, view in protocol.rooms.items()}
        self._board.numbering.connection_lost(protocol.epoch, seen)
        text = f"{sentence}; reconnecting, and what you type is kept"
        self._board.refuse(text)

    def _tell_abandoned(self) -> None:
        """What was said in a session that is over, and has no receipt."""
        abandoned = self._connection.protocol.abandoned
        for said in abandoned:
            self._typed.unsent.pop(said.id)
            text = f"this may not have been said: {said.text}"
            self._board.refuse(text)
        abandoned.clear()

    def _lines(self, notice: Notice) -> list[Line]:
        match notice:
            case notices.Sent(id=id) if message := self._typed.unsent.pop(id):
                answerable = self._typed.answerable
                quote = answerable.quote(message) if isinstance(message, events.Say) else None
                return self._renderer.own(message, notice, quote)
            case notices.Said(id=str(id)):
                self._typed.unsent.pop(id)  # its receipt was lost with the connection
                return self._renderer.lines(notice)
            case notices.Welcome() | notices.Resumed() if where := self._connection.where:
                connected = self._renderer.system(f"connected to {where}")
                return [connected, *self._renderer.lines(notice)]
            case notices.Entered():
                return self._entered_again(notice)
            case notices.Gap():
                return self._gap(notice)
            case notices.HistoryPage() | notices.SearchResults():
                return self._typed.finding.answered(notice)
            case notices.Rejected(request="read"):
                return []  # we have left the room meanwhile
            case notices.Closing():
                return []  # what ends the conversation is told at its end
            case _:
                return self._renderer.lines(notice)

    def _entered_again(self, entered: notices.Entered) -> list[Line]:
        """Back in a room after the session was lost: show only what is new, and what is missing."""
        last = self._board.numbering.last_seen(entered.room)
        self._board.numbering.came_in(entered.room)
        if last is None:
            self._board.logs.begin(entered.room, entered.seq)
            return self._renderer.lines(self._shown(entered, entered.history))
        new = tuple(said for said in entered.history if said.seq > last)
        lines = self._renderer.lines(self._shown(entered, new))
        if new and new[0].seq > last + 1:
            return [*self._gap(notices.Gap(entered.room, new[0].seq)), *lines]
        return lines

    def _gap(self, gap: notices.Gap) -> list[Line]:
        """What is missing can be gone to, as far as the server still has it."""
        if (view := self._board.views.room(gap.room)) is not None:
            view.gap = gap.oldest - 1
        return self._renderer.lines(gap)

    def _shown(
        self, entered: notices.Entered, history: tuple[notices.Said, ...]
    ) -> notices.Entered:
        shown = self._typed.ignored.shown(history)
        return msgspec.structs.replace(entered, history=shown)

    def _note(self, notice: Notice, view: View) -> bool:
        """Remember what a notice means for us. Returns whether it is new to who looks elsewhere."""
        match notice:
            case notices.Said(room, nick, text, seq) if nick != self._renderer.me:
                self._spoke(nick)
                if not self._reader.is_read(room, seq):
                    self._count(view, for_me=self._renderer.mentions_me(text), seq=seq)
                    return True
            case notices.Told(nick, to=""):
                self._spoke(nick)
                self._typed.wrote = view
                self._tell_who_writes(view)
                self._count(view, for_me=True)
                return True
            case notices.Sent(id=id) | notices.Said(id=id):
                self._pasting.was_sent(id)
            case notices.Rejected(id=str(id)):
                self._typed.unsent.pop(id)
                self._pasting.was_rejected(id)
            case notices.Rejected(request="history" | "search"):
                self._typed.finding.refused(notice)
            case notices.Rejected(request="join"):
                self._board.is_joining = False
            case notices.Entered(room, seq=seq, topic=topic, history=history, again=again):
                view.topic = topic
                if not again and self._board.numbering.last_seen(room) is None:
                    view.oldest = history[0].seq if history else seq + 1
                if room == self._connection.current:
                    self._board.came_into(view)
            case notices.TopicSet(room, topic) if view.name == room:
                view.topic = topic
            case notices.RoomList(rooms):
                self._listed = tuple(info.room for info in rooms[:MAX_OFFERED])
        return False

    def _count(self, view: View, *, for_me: bool, seq: int = 0) -> None:
        """Somebody else has said something: count it, and mark where who is away stopped."""
        is_current = view is self._board.current
        if not is_current:
            view.unread.add(mention=for_me, seq=seq)
        if self._away.said(_now(), for_me=for_me, here=is_current):
            self._board.put_mark(view)

    def _tell_who_writes(self, view: View) -> None:
        """Tell where one looks that somebody writes to one alone: once, until one looks there."""
        if view is not self._board.current and not view.unread:
            way = self._typed.hints.to_view(self._board.views.number(view))
            told = self._renderer.system(f"{view.name} writes to you: {way}")
            self._board.put(self._board.current, [told])

    def _spoke(self, nick: str) -> None:
        if nick in self._speakers:
            self._speakers.remove(nick)
        self._speakers.appendleft(nick)

    # ── Where one stopped ────────────────────────────────────────────────────────────────────

    @property
    def _is_away(self) -> bool:
        return self._away.is_away(_now())

    @property
    def _looks(self) -> bool:
        """Whether the person looks at the terminal."""
        return self._called.attention.looks(self._away.idle(_now()), self._settings.away)

    def _leaves_for(self, view: View) -> None:
        """Another view is about to become the current one."""
        self._looking.stop()
        self._typed.finding.leaves_for(view)

    def _looks_elsewhere(self) -> None:
        """Another view has become the current one."""
        self._called.seen()
        self._show_title()
        self._reader.tell()

    def _focused(self, is_focused: bool) -> None:
        """The window has got the focus, or has lost it."""
        self._called.attention.is_focused = is_focused
        self._show_title()

    def _show_title(self) -> None:
        """Say in the window's title what is new."""
        if self._looks:
            self._called.seen()
        text = title_of(self._board.views, self._called.missed) if self._settings.title else ""
        self._display.show_title(text)

    def _key_pressed(self) -> None:
        missed = self._away.key_pressed(_now())
        self._show_title()
        self._reader.tell()
        if missed:
            self._board.tell(missed)

    def _was_read(self, room: str, seq: int) -> None:
        """What was read on another device is not new here."""
        view = self._board.views.room(room)
        if view is not None and view.unread and view.unread.last <= seq:
            view.was_read()

    def _mark_new(
        self, view: View, entered: notices.Entered, read: int, *, was_there: bool
    ) -> None:
        """Back in a room, which was read here up to a number: what was said since is new."""
        is_current = view is self._board.current
        history = self._typed.ignored.shown(entered.history)
        new = [each for each in history if each.seq > read and not self._is_mine(each)]
        if not (read and new) or (is_current and was_there):
            return
        unread = view.missed if is_current else view.unread
        for said in new:
            unread.add(mention=self._renderer.mentions_me(said.text), seq=said.seq)
        place = self._board.numbering.id_of(entered.room, new[0].seq)
        self._board.put_mark_before(view, place)

    def _is_mine(self, said: notices.Said) -> bool:
        return said.nick == self._renderer.me

    def _left(self, left: notices.Left) -> None:
        """We have left a room, and its view is gone; but who was put out can still read it."""
        view = self._board.views.room(left.room)
        if view is None:
            return
        self._reader.left(view.name, view.read)
        if not left.by:
            self._board.close(view)
        elif view is not self._board.current:
            self._board.put(self._board.current, self._renderer.lines(left))

    # ── The prompt, and what stands around it ────────────────────────────────────────────────

    def _key_bindings(self) -> KeyBindings:
        board, views = self._board, self._board.views
        looking = Condition(lambda: self._looking.is_on)
        pasting = Condition(lambda: self._pasting.is_on)
        bindings = key_bindings(
            keys_with(self._settings.keys),
            {
                "view": lambda number: board.look_at(views.numbered(number)),
                "next-view": lambda _: board.look_at(views.step(1)),
                "previous-view": lambda _: board.look_at(views.step(-1)),
                "next-unread": lambda _: board.look_at(views.next_unread()),
                "older": lambda _: self._typed.page_up(),
                "newer": lambda _: self._typed.page_down(),
                "oldest": lambda _: self._scroll("top"),
                "newest": lambda _: self._scroll("end"),
                "hide-views": lambda _: self._display.toggle("views"),
                "hide-people": lambda _: self._display.toggle("people"),
                "look": lambda _: self._look_through(),
                "look-newer": lambda _: self._looking.go_back(),
                "find-typed": lambda _: start_search(direction=SearchDirection.BACKWARD),
                "redraw": lambda _: self._display.clear(),
            },
            {
                "look": ~pasting & ~is_searching & ~vi_navigation_mode,
                "look-newer": looking,
                "find-typed": control_is_searchable & ~is_searching,
            },
        )
        self._pasting.bind(bindings)
        self._add_look(bindings, looking)
        return bindings

    def _add_look(self, bindings: KeyBindings, looking: Condition) -> None:
        """What other keys do while one looks through what was said, or is at a place in the past.

        They are those of any list, and mean something else at other times, so they cannot be set.
        """
        finding = self._typed.finding
        past = Condition(lambda: self._board.current.kind == "past") & ~looking & ~is_searching
        bind_escape(bindings, finding.leave, when=past & emacs_mode)
        # Who presses Esc and then types a command does not mean Alt-/, which would complete.
        bindings.add("escape", "/", filter=emacs_mode & ~is_searching & ~looking)(
            lambda event: event.current_buffer.insert_text("/")
        )
        bind_escape(bindings, self._looking.stop, when=looking)
        bindings.add("up", filter=looking)(lambda _: self._look_through())
        bindings.add("down", filter=looking)(lambda _: self._looking.go_back())
        bindings.add("enter", filter=looking)(lambda _: self._looking.stop(show=True))
        for key in ("c-g", "c-c"):
            bindings.add(key, filter=looking)(lambda _: self._looking.stop())
        bindings.add("tab", filter=looking)(lambda _: None)
        bindings.add(Keys.BracketedPaste, filter=looking)(
            lambda event: event.current_buffer.insert_text(" ".join(event.data.split()))
        )

    def _look_through(self) -> None:
        self._looking.start_or_go_on(self._board.current.lines)

    def _scroll(self, way: Way) -> None:
        self._display.scroll(way)

    def _message(self) -> Fragments:
        """The prompt: what has no receipt yet, then where it goes."""
        if self._looking.is_on:
            return self._looking.message()
        above = self._typed.unsent.shown(self._display.columns)
        if progress := self._pasting.progress(self._display.columns):
            above.append(("class:prompt", f"{progress}\n"))
        is_joining = self._board.is_joining
        title = self._connection.current if is_joining else self._board.current.title
        title = shortened(title, self._display.columns // 3)  # the rest is for what is typed
        return [*above, ("class:room", title), ("class:prompt", "> ")]

    def _toolbar(self) -> Fragments:
        connection, room = self._connection, self._board.room
        status = Status(
            views=tuple(self._board.views),
            current=self._board.current,
            people=room.count if room else 0,
            lag_ms=connection.lag_ms,
            state=connection.state,
            trouble=connection.state != "connected",
        )
        return toolbar(status, self._display.columns)

    def _people(self) -> People:
        """Who is in the current view."""
        away, view, room = self._whereabouts.away, self._board.current, self._board.room
        if view.kind == "direct":
            return People((view.name, self._renderer.me), 2, away=away)
        if room is None:
            return People()
        return People(room.members, room.count, room.moderators, away)

    def _nicks(self) -> Iterator[str]:
        """Who can be meant: those who spoke last, then all in the view."""
        people = islice(self._people().nicks, MAX_OFFERED)
        yield from dict.fromkeys(
            nick for nick in (*self._speakers, *people) if nick != self._renderer.me
        )

    def _rooms(self) -> Iterator[str]:
        mine = islice(self._connection.protocol.rooms, MAX_OFFERED)
        yield from dict.fromkeys((*mine, *self._listed))

    def _completer(self) -> ChatCompleter:
        return ChatCompleter(
            self._nicks,
            self._rooms,
            lambda: self._typed.ignored,
            lambda: (view.title for view in self._board.views),
        )


def _now() -> float:
    """Seconds, on the loop's clock."""
    return asyncio.get_running_loop().time()
