"""A person's chat on a terminal: what is told, what is typed, and what stands between.

Rule 1: What is told is put at the end of the view that it belongs to (`_view_of`), and shown if
        that is the current one. What belongs to none is put into the current one.

Rule 2: What is typed goes where one looks when Enter is pressed: to the room, or to the person.

One's own messages stand in grey above the prompt until their receipts come, and then take their
place among the others.
"""

from __future__ import annotations

import asyncio
import math
import os
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Sequence
from datetime import datetime
from itertools import islice

import msgspec
from prompt_toolkit.filters import Condition, emacs_mode, is_searching, vi_navigation_mode
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.key_binding.bindings.search import start_reverse_incremental_search
from prompt_toolkit.keys import Keys

from tcpchat_cli.terminal import presence
from tcpchat_cli.terminal.addresses import Addresses
from tcpchat_cli.terminal.called import Called
from tcpchat_cli.terminal.commands import Local, help_text, parse_typed, without_secrets
from tcpchat_cli.terminal.completion import ChatCompleter
from tcpchat_cli.terminal.configuration import Configuration
from tcpchat_cli.terminal.connection import GOODBYE_SECONDS, Connection
from tcpchat_cli.terminal.entrance import enter
from tcpchat_cli.terminal.finding import Desk, Finding
from tcpchat_cli.terminal.logs import Logs
from tcpchat_cli.terminal.looking import Looking
from tcpchat_cli.terminal.paste import Paste
from tcpchat_cli.terminal.places import Places
from tcpchat_cli.terminal.presence import People
from tcpchat_cli.terminal.reading import Reading
from tcpchat_cli.terminal.render import Fragments, Line, Renderer, taken_back
from tcpchat_cli.terminal.replies import Heard
from tcpchat_cli.terminal.settings import BadSettings
from tcpchat_cli.terminal.surface import Leave, Prompt, Surface
from tcpchat_cli.terminal.title import title_of
from tcpchat_cli.terminal.toolbar import Status, toolbar
from tcpchat_cli.terminal.view import Unread, View
from tcpchat_cli.terminal.views import Views
from tcpchat_core import Notice, RoomView, events, notices
from tcpchat_core.names import nick_key, nick_name

# How many of one's own messages without a receipt are shown above the prompt.
MAX_UNSENT_SHOWN = 5

# For how long comings and goings are collected, to be told in one line when they are many; and
# for how long after they were many, while more of them may come.
FOLD_SECONDS = 0.3
FOLD_LONGER_SECONDS = 3.0

# How many of those who spoke last are offered first by Tab, and how many names in all.
MAX_SPEAKERS = 50
MAX_OFFERED = 1_000


class Screen:
    """One person's chat on a terminal."""

    # A person who has enough of waiting for a lost connection leaves.
    patience = math.inf

    def __init__(
        self,
        connection: Connection,
        display: Surface,
        configuration: Configuration,
        came_in: Callable[[], Awaitable[str]] | None = None,
    ) -> None:
        self._connection = connection
        self._display = display
        self._configuration = configuration
        self._came_in = came_in  # asks something else, once one is in; gives what to tell of that
        self._settings = configuration.settings
        self._renderer = Renderer()
        self._unsent: dict[str, events.Say | events.Tell] = {}
        self._views = Views()
        self._logs = Logs(connection.home, self._settings, self._refuse)
        self._pending: list[Line] = []  # of the current view, not shown yet
        self._joining = False  # what is typed goes to the room that is asked for
        self._heard = Heard()
        self._reading = Reading()
        self._read_later: asyncio.TimerHandle | None = None
        self._speakers: deque[str] = deque(maxlen=MAX_SPEAKERS)  # the last one first
        self._listed: tuple[str, ...] = ()  # the rooms that the server listed last
        self._ignored: dict[str, str] = {}  # nicks by their keys
        self._whereabouts = presence.Whereabouts()
        self._changes: dict[View, list[Notice]] = {}  # comings and goings, to be told together
        self._fold_seconds = FOLD_SECONDS
        self._folding: asyncio.TimerHandle | None = None
        # When the connection was lost: the epoch, and the last number seen in each room.
        self._seen: tuple[str, dict[str, int]] = ("", {})
        self._looking = Looking(display)
        self._addresses = Addresses()
        self._finding = Finding(
            self._views,
            self._renderer,
            Places(),
            Desk(self._send, self._put_past, self._put_older, self._look_again, self._refuse),
        )
        self._paste: Paste | None = None
        self._key_at = 0.0  # when a key was pressed last, on the loop's clock
        self._away: Unread | None = None  # what came since the person seems to be away
        self._is_marked = False  # where that begins in the current view
        self._places = Places()
        self._called = Called(
            self._settings,
            os.environ,
            ignores=self._ignores,
            send=display.call,
            tell=self._refuse,
        )
        self._apply_settings()

    async def talk(self, nick: str, rooms: Sequence[str]) -> None:
        """Come in and stay until the person goes."""
        self._key_at = asyncio.get_running_loop().time()
        self._tell(*self._configuration.warnings())
        try:
            ask = self._display.question
            if await enter(self._connection, ask, self._tell, nick, rooms):
                if self._came_in and (told := await self._came_in()):
                    self._tell(told)
                await self._display.prompt(
                    Prompt(
                        message=self._message,
                        toolbar=self._toolbar,
                        entered=self._entered,
                        key_pressed=self._key_pressed,
                        focused=self._focused,
                        key_bindings=self._key_bindings(),
                        completer=ChatCompleter(self._nicks, self._rooms, self._ignored.values),
                        kept=without_secrets,
                        views=self._views,
                        people=self._people,
                    )
                )
        except Leave:
            pass
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
            self._note_read(notice)
            rooms = self._whereabouts.follow(notice)
            if isinstance(notice, notices.Redacted):
                self._take_back((notice.room, notice.seq))
            if presence.is_change(notice):
                self._collect(notice, rooms)
            elif not self._is_ignored(notice):
                self._tell_of(notice)
        self._tell_abandoned()
        self._called.settled()
        self._flush()
        self._tell_read()

    def _tell_of(self, notice: Notice) -> None:
        """Put what is told into its view."""
        view = self._view_of(notice)
        self._heard.note(notice, self._renderer.me)
        self._note(notice, view)
        self._called.told(
            notice,
            self._renderer.me,
            is_here=view is self._views.current,
            looks=self._looks,
            now=asyncio.get_running_loop().time(),
        )
        lines = self._rendered(view, lambda: self._lines(notice))
        match notice:
            case notices.Said(nick=nick) if nick != self._renderer.me:
                self._put(view, lines, news=True)
            case notices.Told(to=""):
                self._put(view, lines, news=True)
            case _:
                self._put(view, lines)

    def _view_of(self, notice: Notice) -> View:
        """The view that a notice is told in; opened by who comes into a room or says something."""
        views = self._views
        match notice:
            case notices.Entered(room):
                return views.open_room(room)
            case notices.Left(room, own=True, by=""):
                if (left := views.room(room)) is not None:
                    self._close(left)
                return views.current
            case notices.Told(nick, to=""):
                return views.open_direct(nick)
            case notices.Told(to=nick):
                return views.open_direct(nick)
            case notices.Sent(id=str(id)) if id in self._unsent:
                view = self._place_of(self._unsent[id], notice)
                view.is_mine = True
                return view
            case (
                notices.Said(room)
                | notices.TopicSet(room)
                | notices.Left(room)
                | notices.Restricted(room)
                | notices.Lifted(room)
                | notices.RoleSet(room)
                | notices.ModeSet(room)
                | notices.Redacted(room)
                | notices.Gap(room)
            ):
                return views.room(room) or views.current
            case _:
                return views.current

    def _place_of(self, said: events.Say | events.Tell, sent: notices.Sent) -> View:
        match said:
            case events.Say(room):
                return self._views.room(sent.room or room) or self._views.current
            case events.Tell(nick):
                return self._views.open_direct(sent.nick or nick)

    def _rendered(self, view: View, made: Callable[[], list[Line]]) -> list[Line]:
        """Lines for a view: each has the days of its own."""
        self._renderer.day = view.day or datetime.now().date()
        lines = made()
        if lines:
            view.day = self._renderer.day
        return lines

    def _put(self, view: View, lines: list[Line], *, news: bool = False) -> None:
        """Put lines at the end of a view, behind the comings and goings before them."""
        if not lines:
            return
        self._tell_changes(view)
        self._add(view, lines, news=news)

    def _add(self, view: View, lines: list[Line], *, news: bool = False) -> None:
        self._views.add(view, lines, news=news)
        self._logs.add(view, lines)
        if view is self._views.current:
            self._pending += lines

    def _flush(self) -> None:
        """Show what is new in the current view."""
        lines, self._pending = self._pending, []
        self._display.show(lines)
        self._logs.write()
        self._show_title()

    def _take_back(self, place: tuple[str, int]) -> None:
        """Take the text away of a message: in all views, on the screen, and where it waits."""
        self._views.take_back(place)
        self._display.take_back(place)
        self._pending = [
            taken_back(line) if line.place == place else line for line in self._pending
        ]

    def lost(self, sentence: str) -> None:
        """Say once that the connection is being replaced; the bar goes on telling it."""
        protocol = self._connection.protocol
        if protocol.welcome:
            seen = {room: view.seq for room, view in protocol.rooms.items()}
            self._seen = (protocol.welcome.epoch, seen)
        text = f"{sentence}; reconnecting, and what you type is kept"
        self._put(self._views.current, [self._renderer.error(text)])
        self._flush()

    def _tell_abandoned(self) -> None:
        """What was said in a session that is over, and has no receipt."""
        abandoned = self._connection.protocol.abandoned
        for said in abandoned:
            self._unsent.pop(said.id or "", None)
            text = f"this may not have been said: {said.text}"
            self._put(self._views.current, [self._renderer.error(text)])
        abandoned.clear()

    def _lines(self, notice: Notice) -> list[Line]:
        match notice:
            case notices.Sent(id=str(id)) if id in self._unsent:
                said = self._unsent.pop(id)
                quote = self._heard.quote(said) if isinstance(said, events.Say) else None
                return self._renderer.own(said, notice, quote)
            case notices.Said(id=str(id)) if id in self._unsent:
                del self._unsent[id]  # it was said, and its receipt was lost with the connection
                return self._renderer.lines(notice)
            case notices.Welcome() | notices.Resumed() if where := self._connection.where:
                connected = self._renderer.system(f"connected to {where}")
                return [connected, *self._renderer.lines(notice)]
            case notices.Entered():
                return self._entered_again(notice)
            case notices.HistoryPage() | notices.SearchResults():
                return self._finding.answered(notice)
            case notices.Rejected(request="read"):
                return []  # we have left the room meanwhile
            case notices.Closing():
                return []  # what ends the conversation is told at its end
            case _:
                return self._renderer.lines(notice)

    def _entered_again(self, entered: notices.Entered) -> list[Line]:
        """Back in a room after the session was lost: show only what is new, and what is missing."""
        epoch, seen = self._seen
        welcome = self._connection.protocol.welcome
        last = seen.pop(entered.room, None)
        if last is None or welcome is None or welcome.epoch != epoch:
            self._logs.begin(entered.room, entered.seq)
            return self._renderer.lines(entered)
        new = tuple(said for said in entered.history if said.seq > last)
        lines = self._renderer.lines(msgspec.structs.replace(entered, history=new))
        if new and new[0].seq > last + 1:
            return [*self._renderer.lines(notices.Gap(entered.room, new[0].seq)), *lines]
        return lines

    def _note(self, notice: Notice, view: View) -> None:
        """Remember what a notice means for us."""
        match notice:
            case notices.Said(room, nick, text, seq) if nick != self._renderer.me:
                for_me = self._renderer.mentions_me(text)
                self._spoke(nick)
                if not self._reading.is_read(room, seq):
                    self._count(view, for_me=for_me, seq=seq)
            case notices.Told(nick, to=""):
                self._spoke(nick)
                self._count(view, for_me=True)
            case notices.Sent(id=str(id)) | notices.Said(id=str(id)):
                if self._paste and self._paste.waits_for == id:
                    self._continue(self._paste)
            case notices.Rejected(id=str(id)):
                self._unsent.pop(id, None)
                if self._paste and self._paste.waits_for == id:
                    self._paste = None
            case notices.Rejected(request="history" | "search"):
                self._finding.refused(notice)
            case notices.Rejected(request="join"):
                self._joining = False
            case notices.Entered(room, seq=seq, topic=topic, history=history, again=again):
                view.topic = topic
                view.was_read()
                if not again:
                    view.oldest = history[0].seq if history else seq + 1
                if room == self._connection.current:
                    self._came_into(view)
            case notices.TopicSet(room, topic) if view.name == room:
                view.topic = topic
            case notices.Left(own=True) if view is not self._views.current:
                self._put(self._views.current, self._renderer.lines(notice))
            case notices.RoomList(rooms):
                self._listed = tuple(info.room for info in rooms[:MAX_OFFERED])

    def _count(self, view: View, *, for_me: bool, seq: int = 0) -> None:
        """Something was said by somebody else."""
        if view is not self._views.current:
            view.unread.add(mention=for_me, seq=seq)
        self._while_away(view, for_me=for_me)

    def _spoke(self, nick: str) -> None:
        if nick in self._speakers:
            self._speakers.remove(nick)
        self._speakers.appendleft(nick)

    def _is_ignored(self, notice: Notice) -> bool:
        match notice:
            case notices.Said(nick=nick) | notices.Told(nick=nick):
                return self._ignores(nick)
            case _:
                return False

    def _ignores(self, nick: str) -> bool:
        return bool(self._ignored) and _key(nick) in self._ignored

    # ── How far one has read ─────────────────────────────────────────────────────────────────

    def _note_read(self, notice: Notice) -> None:
        """What was read on another device is not new here."""
        match notice:
            case notices.Welcome():
                self._reading = Reading()
            case notices.Entered(room, read=seq) | notices.ReadUpTo(room, seq):
                self._was_read(room, seq)
            case notices.Resumed(rooms=rooms):
                for state in rooms:
                    self._was_read(state.room, state.read)

    def _was_read(self, room: str, seq: int) -> None:
        self._reading.note(room, seq)
        view = self._views.room(room)
        if view is not None and view.unread and view.unread.last <= seq:
            view.was_read()

    def _tell_read(self) -> None:
        """Tell one's other devices how far the room was read that one looks at: now, or soon."""
        if self._read_later is not None:
            self._read_later.cancel()
            self._read_later = None
        connection, loop = self._connection, asyncio.get_running_loop()
        room = self._room
        if not connection.account or room is None or self._is_away:
            return
        if connection.state == "reconnecting":
            return  # it is told when the connection is back
        wait = self._reading.wait(room.name, room.seq, loop.time())
        if wait:
            self._read_later = loop.call_later(wait, self._tell_read)
        elif wait is not None:
            self._reading.told(room.name, room.seq, loop.time())
            connection.read(room.name, room.seq)

    # ── Being away ───────────────────────────────────────────────────────────────────────────

    def _while_away(self, view: View, *, for_me: bool) -> None:
        """Something was said: mark what is new for who is away."""
        if self._away is None and self._is_away:
            self._away = Unread()
            self._is_marked = False
        if self._away is not None:
            self._away.add(mention=for_me)
            if view is self._views.current and not self._is_marked:
                self._is_marked = True
                self._pending.append(view.put_mark())

    @property
    def _idle(self) -> float:
        """For how many seconds no key was pressed."""
        return asyncio.get_running_loop().time() - self._key_at

    @property
    def _is_away(self) -> bool:
        """Whether no key was pressed for a while."""
        return 0 < self._settings.away <= self._idle

    @property
    def _looks(self) -> bool:
        """Whether the person looks at the terminal."""
        return self._called.attention.looks(self._idle, self._settings.away)

    def _focused(self, is_focused: bool) -> None:
        """The window has got the focus, or has lost it."""
        self._called.attention.is_focused = is_focused
        self._show_title()

    def _show_title(self) -> None:
        """Say in the window's title what is new."""
        if self._looks:
            self._called.seen()
        text = title_of(self._views, self._called.missed) if self._settings.title else ""
        self._display.show_title(text)

    def _key_pressed(self) -> None:
        self._key_at = asyncio.get_running_loop().time()
        self._show_title()
        self._tell_read()
        if self._away is not None:
            missed, self._away = self._away, None
            self._tell(f"while you were away: {missed.summary()}")

    # ── Comings and goings ───────────────────────────────────────────────────────────────────

    def _collect(self, change: Notice, rooms: list[str]) -> None:
        """Somebody came or went in these rooms: tell it there, and in what one says with it."""
        views = [view for room in rooms if (view := self._views.room(room))]
        match change:
            case notices.Renamed(old, new):
                self._views.rename(old, new)
                views += self._direct(new)
            case notices.Gone(nick) | notices.AwaySet(nick) | notices.NameSet(nick):
                views += self._direct(nick)
        for view in views:
            changes = self._changes.setdefault(view, [])
            changes.append(change)
            if not self._settings.fold or len(changes) >= MAX_OFFERED:
                self._tell_changes(view)
        if self._changes and self._folding is None:
            loop = asyncio.get_running_loop()
            self._folding = loop.call_later(self._fold_seconds, self._fold)

    def _direct(self, nick: str) -> list[View]:
        view = self._views.direct(nick)
        return [view] if view else []

    def _fold(self) -> None:
        self._folding = None
        many = any(len(changes) > presence.MAX_SINGLY for changes in self._changes.values())
        self._fold_seconds = FOLD_LONGER_SECONDS if many else FOLD_SECONDS
        for view in [*self._changes]:
            self._tell_changes(view)
        self._flush()

    def _tell_changes(self, view: View) -> None:
        """Put what was collected for a view into it."""
        if changes := self._changes.pop(view, []):
            self._add(view, self._rendered(view, lambda: presence.told(changes, self._renderer)))

    # ── What was said before ─────────────────────────────────────────────────────────────────

    def _page_up(self) -> None:
        if not self._display.scroll("page up"):
            self._finding.turn_back()

    def _page_down(self) -> None:
        if not self._display.scroll("page down"):
            self._finding.turn_on()

    def _put_and_show(self, view: View, lines: list[Line]) -> None:
        self._put(view, lines)
        self._flush()

    def _put_past(self, view: View, lines: list[Line]) -> None:
        """What was said before is no news, and nothing for the log."""
        self._views.add(view, lines, news=False)
        if view is self._views.current:
            self._pending += lines
            self._flush()

    def _put_older(self, view: View, lines: list[Line]) -> None:
        """A page of what was said before stands at the head of its view."""
        view.add_older([line for line in lines if line.place])
        if view is self._views.current:
            self._flush()
            self._display.show_older(lines)

    def _look_through(self) -> None:
        self._looking.start_or_go_on(self._views.current.lines)

    def _open_address(self, typed: str) -> None:
        view = self._views.current
        told = self._addresses.open(
            view,
            typed,
            self._settings.open,
            self._renderer,
            lambda line: self._put_and_show(self._views.current, [line]),
        )
        self._put_and_show(view, [told])

    # ── What is typed ────────────────────────────────────────────────────────────────────────

    def _entered(self, line: str) -> None:
        match parse_typed(line):
            case None:
                pass
            case notices.Rejected() as rejected:
                self.told([rejected])
            case Local(name, rest):
                self._do(name, rest)
            case events.Quit(reason):
                self._connection.quit(reason)
                self._display.leave()
            case events.Join(room) if room in self._connection.protocol.rooms:
                self._look_at(self._views.open_room(room))
            case events.Say(room="") as say:
                self._finding.leave()
                self._say(say)
            case request if self._needs_room(request):
                self._refuse(f"that is for a room; here you talk to {self._views.current.name}")
            case request:
                self._joining = self._joining or isinstance(request, events.Join)
                self._send(request)

    def _say(self, say: events.Say) -> None:
        """Say it where one looks."""
        match self._to(say.text):
            case events.Say(room):
                said = self._heard.answering(msgspec.structs.replace(say, room=room))
                if said is None:
                    self._refuse("there is no such message here that could be answered")
                else:
                    self._send(said)
            case events.Tell() if say.back:
                self._refuse("only what is said in rooms can be answered; here, just say it")
            case events.Tell() if say.emote:
                self._refuse("what you do can be told to a room only; say it in words")
            case tell:
                self._send(msgspec.structs.replace(tell, notice=say.notice))

    def _to(self, text: str) -> events.Say | events.Tell:
        """The text, said where one looks: or in the room that one is about to come into."""
        view = self._views.current
        if view.kind == "direct" and not self._joining:
            return events.Tell(view.name, text)
        return events.Say(self._connection.current if self._joining else view.name, text)

    def _needs_room(self, request: events.Request) -> bool:
        """Whether it is for the current room, and there is none."""
        is_open = getattr(request, "room", None) == "" and not getattr(request, "server", False)
        return is_open and self._views.current.kind == "direct" and not self._joining

    def _refuse(self, text: str) -> None:
        self._put(self._views.current, [self._renderer.error(text)])
        self._flush()

    def _send(self, request: events.Request) -> str | None:
        """Send it; return the id of what was said."""
        match self._connection.send(request):
            case events.History() | events.Search() as asked:
                self._finding.sent(asked)
                return None
            case events.Say(id=str(id)) | events.Tell(id=str(id)) as said:
                self._unsent[id] = said
                self._display.refresh()
                return id
            case _:
                return None

    def _do(self, name: str, rest: str) -> None:
        """Carry out one of the client's own commands."""
        match name:
            case "help":
                told = help_text(rest)
                if isinstance(told, notices.Rejected):
                    self.told([told])
                else:
                    self._tell(*told)
            case "ignore" if rest:
                self._ignored[_key(rest)] = rest
                self._tell(f"{rest} is ignored until you /unignore {rest}")
            case "ignore":
                nicks = ", ".join(self._ignored.values()) or "nobody"
                self._tell(f"you ignore {nicks}")
            case "unignore":
                found = self._ignored.pop(_key(rest), None)
                self._tell(f"{rest} is shown again" if found else f"{rest} was not ignored")
            case "older":
                self._finding.turn_back()
            case "newer":
                self._finding.turn_on()
            case "goto":
                self._finding.go_to(rest)
            case "links":
                self._put_and_show(
                    view := self._views.current, self._addresses.show(view, self._renderer)
                )
            case "open":
                self._open_address(rest)
            case "clear":
                self._display.clear()
            case "mentions":
                self._places.listed(self._called.mentions.places())
                self._put(self._views.current, self._called.mentions.lines(self._renderer))
                self._flush()
            case "query":
                self._query(rest)
            case "view":
                self._view(rest)
            case "close":
                self._close_current()
            case "set":
                self._set(*rest.split(maxsplit=1))
            case "unset":
                self._changed(lambda: self._configuration.unset(rest))
            case "log":
                self._tell(self._logs.where(self._views.current))

    def _set(self, name: str = "", value: str = "") -> None:
        if not name:
            self._tell(*self._configuration.listed())
        elif value:
            self._changed(lambda: self._configuration.set(name, value))
        else:
            self._changed(lambda: self._configuration.shown(name))

    def _changed(self, change: Callable[[], str]) -> None:
        """Change a setting, and tell what came of that."""
        text = ""
        try:
            text = change()
        except BadSettings as error:  # it may hold all the same, and only not be kept
            self._refuse(str(error))
        self._apply_settings()
        self._display.apply_settings()
        if text:
            self._tell(text)

    def _apply_settings(self) -> None:
        """From now on as the settings say."""
        self._called.apply_settings()
        self._renderer.highlights = self._called.highlights
        self._renderer.timestamps = self._settings.timestamps

    def _tell(self, *texts: str) -> None:
        self._put(self._views.current, [self._renderer.system(text) for text in texts])
        self._flush()

    # ── Views ────────────────────────────────────────────────────────────────────────────────

    @property
    def _room(self) -> RoomView | None:
        """What is known of the room that one looks at; None for none that one is in."""
        view = self._views.current
        return self._connection.protocol.rooms.get(view.name) if view.kind == "room" else None

    def _look_at(self, view: View) -> None:
        """Make a view the current one; what is half typed stays in the one before."""
        before = self._views.current
        if view is before:
            return
        self._looking.stop()
        before.draft = self._display.text
        self._show(view)
        self._display.text, view.draft = view.draft, ""
        self._tell_read()

    def _look_again(self, view: View) -> None:
        """Make a view the current one; or show it once more, with what has become of it."""
        if view is self._views.current:
            self._flush()
            self._display.switch(view)
        else:
            self._look_at(view)

    def _show(self, view: View) -> None:
        self._flush()
        self._views.go_to(view)
        if view.kind in ("room", "past"):
            self._connection.current = view.name
        self._called.seen()
        self._display.switch(view)
        self._show_title()

    def _came_into(self, view: View) -> None:
        """The server has let us into the current room: what is half typed is for it."""
        is_first = self._views.current.kind == "home"
        if (self._joining or is_first) and view is not self._views.current:
            self._show(view)
        self._joining = False

    def _close(self, view: View) -> None:
        """Forget a view; what is half typed stays."""
        if view is not self._views.current:
            self._views.close(view)
            return
        self._flush()
        now = self._views.close(view)
        if now.kind == "room":
            self._connection.current = now.name
        self._display.switch(now)
        self._show_title()
        self._display.text, now.draft = self._display.text or now.draft, ""

    def _close_current(self) -> None:
        view = self._views.current
        if view.kind == "home":
            self._refuse("there is nothing to close")
        elif view.kind == "past" and self._views.room(view.name) is not None:
            self._finding.leave()
        elif self._room is not None:
            self._refuse(f"you are in {view.name}: /out leaves it")
        else:
            self._close(view)

    def _query(self, nick: str) -> None:
        """Go to what one says with somebody."""
        match nick_name(nick):
            case notices.Rejected() as rejected:
                self._refuse(rejected.text)
            case _:
                view = self._views.open_direct(nick)
                view.is_mine = True
                self._look_at(view)

    def _view(self, meant: str) -> None:
        """Go to the view that is meant; or tell of all."""
        if not meant:
            self._tell(
                *(
                    f"{number} {view.title}" + (f": {view.unread.summary()}" if view.unread else "")
                    for number, view in enumerate(self._views, start=1)
                )
            )
        elif (view := self._views.find(meant)) is not None:
            self._look_at(view)
        else:
            self._refuse(f"there is no view {meant[:40]}; /view lists those there are")

    def _look_at_number(self, number: int) -> None:
        if (view := self._views.numbered(number)) is not None:
            self._look_at(view)

    def _key_bindings(self) -> KeyBindings:
        bindings = KeyBindings()
        asked = Condition(lambda: self._paste is not None and not self._paste.agreed)
        sending = Condition(lambda: self._paste is not None and self._paste.agreed)
        for number in range(1, 10):
            bindings.add("escape", str(number))(lambda _, n=number: self._look_at_number(n))
        bindings.add("c-n")(lambda _: self._look_at(self._views.step(1)))
        bindings.add("c-p")(lambda _: self._look_at(self._views.step(-1)))
        bindings.add("c-l")(lambda _: self._display.clear())
        bindings.add("pageup")(lambda _: self._page_up())
        bindings.add("pagedown")(lambda _: self._page_down())
        bindings.add("c-home")(lambda _: self._display.scroll("top"))
        bindings.add("c-end")(lambda _: self._display.scroll("end"))
        bindings.add("f7")(lambda _: self._display.toggle("views"))
        bindings.add("f8")(lambda _: self._display.toggle("people"))
        self._add_look(bindings)
        bindings.add(Keys.BracketedPaste)(self._pasted)
        # While the question is open, keys answer it and do nothing else.
        bindings.add(Keys.Any, filter=asked)(lambda _: None)
        for key in ("n", "N", "c-c"):
            bindings.add(key, filter=asked)(lambda _: self._stop_paste())
        for key in ("y", "Y", "enter"):
            bindings.add(key, filter=asked)(lambda _: self._start_paste())
        bindings.add("c-c", filter=sending)(lambda _: self._stop_paste())
        return bindings

    def _add_look(self, bindings: KeyBindings) -> None:
        """The keys of the look through what was said, and of places in the past."""
        looking = Condition(lambda: self._looking.is_on)
        may_look = Condition(lambda: self._paste is None) & ~is_searching & ~vi_navigation_mode
        past = Condition(lambda: self._views.current.kind == "past") & ~looking & ~is_searching
        bindings.add("escape", filter=past & emacs_mode)(lambda _: self._finding.leave())
        bindings.add("c-r", filter=may_look)(lambda _: self._look_through())
        bindings.add("escape", "r", filter=~is_searching)(start_reverse_incremental_search)
        bindings.add("up", filter=looking)(lambda _: self._look_through())
        for key in ("c-s", "down"):
            bindings.add(key, filter=looking)(lambda _: self._looking.go_back())
        bindings.add("enter", filter=looking)(lambda _: self._looking.stop(show=True))
        for key in ("escape", "c-g", "c-c"):
            bindings.add(key, filter=looking)(lambda _: self._looking.stop())
        bindings.add("tab", filter=looking)(lambda _: None)

    # ── A wall of text ───────────────────────────────────────────────────────────────────────

    def _pasted(self, event: KeyPressEvent) -> None:
        paste = Paste.of(self._to(""), event.data)
        if paste is None or self._paste is not None:
            event.current_buffer.insert_text(" ".join(event.data.splitlines()))
        else:
            self._paste = paste

    def _start_paste(self) -> None:
        if self._paste is not None:
            self._paste.agreed = True
            self._continue(self._paste)

    def _continue(self, paste: Paste) -> None:
        line = paste.next_line()
        if line is None:
            self._paste = None
        else:
            paste.waits_for = self._send(line)

    def _stop_paste(self) -> None:
        if self._paste is not None:
            sent, count = self._paste.sent, len(self._paste.lines)
            self._paste = None
            self._tell(f"stopped; {sent} of {count} lines were sent")

    # ── The prompt, and what stands around it ────────────────────────────────────────────────

    def _message(self) -> Fragments:
        """The prompt: what has no receipt yet, then where it goes."""
        if self._looking.is_on:
            return self._looking.message()
        above: Fragments = []
        here = [said for said in self._unsent.values() if self._is_here(said)]
        unsent = here[-MAX_UNSENT_SHOWN:]
        if hidden := len(here) - len(unsent):
            above.append(("class:unsent", f"… and {hidden} more\n"))
        width = self._display.columns - len("… ")
        above += [("class:unsent", f"… {said.text[:width]}\n") for said in unsent]
        if self._paste is not None:
            above.append(("class:prompt", f"{self._paste.progress}\n"))
        title = self._connection.current if self._joining else self._views.current.title
        return [*above, ("class:room", title[:40]), ("class:prompt", "> ")]

    def _is_here(self, said: events.Say | events.Tell) -> bool:
        """Whether it belongs to the current view, or to none that there is."""
        match said:
            case events.Say(room):
                view = self._views.room(room)
            case events.Tell(nick):
                view = self._views.direct(nick)
        return view in (None, self._views.current)

    def _toolbar(self) -> Fragments:
        connection, room = self._connection, self._room
        status = Status(
            views=tuple(self._views),
            current=self._views.current,
            people=room.count if room else 0,
            lag_ms=connection.lag_ms,
            state=connection.state,
            trouble=connection.state != "connected",
        )
        return toolbar(status, self._display.columns)

    def _people(self) -> People:
        """Who is in the current view."""
        away = self._whereabouts.away
        if self._views.current.kind == "direct":
            return People((self._views.current.name, self._renderer.me), 2, away=away)
        if (room := self._room) is None:
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


def _key(nick: str) -> str:
    return nick_key(nick) or nick
