"""One conversation on a terminal: what is told, what is typed, and what stands between.

One's own messages stand in grey above the prompt until their receipts come, and then take their
place among the others.
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from itertools import islice

import msgspec
from prompt_toolkit.filters import Condition
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.keys import Keys

from tcpchat_cli.terminal import presence
from tcpchat_cli.terminal.commands import Local, help_text, parse_typed, without_secrets
from tcpchat_cli.terminal.completion import ChatCompleter
from tcpchat_cli.terminal.configuration import Configuration
from tcpchat_cli.terminal.connection import GOODBYE_SECONDS, Connection
from tcpchat_cli.terminal.display import Display, Leave
from tcpchat_cli.terminal.entrance import enter
from tcpchat_cli.terminal.paste import Paste
from tcpchat_cli.terminal.render import Fragments, Line, Renderer, marker, taken_back
from tcpchat_cli.terminal.rooms import Reading, Unread
from tcpchat_cli.terminal.settings import BadSettings
from tcpchat_cli.terminal.toolbar import Status, toolbar
from tcpchat_core import Notice, events, notices
from tcpchat_core.names import nick_key

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
    """One conversation on a terminal."""

    # A person who has enough of waiting for a lost connection leaves.
    patience = math.inf

    def __init__(
        self, connection: Connection, display: Display, configuration: Configuration
    ) -> None:
        self._connection = connection
        self._display = display
        self._configuration = configuration
        self._settings = configuration.settings
        self._renderer = Renderer()
        self._renderer.timestamps = self._settings.timestamps
        self._unsent: dict[str, events.Say | events.Tell] = {}
        self._unread: dict[str, Unread] = {}
        self._reading = Reading()
        self._read_later: asyncio.TimerHandle | None = None
        self._speakers: deque[str] = deque(maxlen=MAX_SPEAKERS)  # the last one first
        self._listed: tuple[str, ...] = ()  # the rooms that the server listed last
        self._ignored: dict[str, str] = {}  # nicks by their keys
        self._changes: list[Notice] = []  # comings and goings, to be told together
        self._fold_seconds = FOLD_SECONDS
        self._folding: asyncio.TimerHandle | None = None
        # When the connection was lost: the epoch, and the last number seen in each room.
        self._seen: tuple[str, dict[str, int]] = ("", {})
        self._oldest: dict[str, int] = {}  # by room, the number of the oldest message shown
        self._older = ""  # the room of which what was said before is asked for
        self._paste: Paste | None = None
        self._key_at = 0.0  # when a key was pressed last, on the loop's clock
        self._away: Unread | None = None  # what came since the person seems to be away

    async def talk(self, nick: str, rooms: Sequence[str]) -> None:
        """Come in and stay until the person goes."""
        self._key_at = asyncio.get_running_loop().time()
        self._tell(*self._configuration.warnings())
        try:
            ask = self._display.question
            if await enter(self._connection, ask, self._tell, nick, rooms):
                await self._display.prompt(
                    message=self._message,
                    toolbar=self._toolbar,
                    entered=self._entered,
                    key_pressed=self._key_pressed,
                    key_bindings=self._key_bindings(),
                    completer=ChatCompleter(self._nicks, self._rooms, self._ignored.values),
                    kept=without_secrets,
                )
        except Leave:
            pass

    async def finish(self, reading: asyncio.Task[None]) -> None:
        """Give the server a moment to say goodbye."""
        await asyncio.wait({reading}, timeout=GOODBYE_SECONDS)

    # ── What is told ─────────────────────────────────────────────────────────────────────────

    def told(self, batch: list[Notice]) -> None:
        """Show what the server told."""
        protocol = self._connection.protocol
        self._renderer.me = protocol.nick
        self._renderer.several_rooms = len(protocol.rooms) > 1
        lines: list[Line] = []
        for notice in batch:
            self._note_read(notice)
            if isinstance(notice, notices.Redacted):
                lines = self._taken_back((notice.room, notice.seq), lines)
            if presence.is_change(notice):
                self._collect(notice)
            elif not self._is_ignored(notice):
                shown = [*self._note(notice), *self._lines(notice)]
                if shown and self._changes:
                    lines += self._changes_told()
                lines += shown
        lines += self._abandoned()
        self._display.show(lines)
        self._tell_read()

    def _taken_back(self, place: tuple[str, int], lines: list[Line]) -> list[Line]:
        """Take the text away of a message: on the screen, and in the lines that are to be shown."""
        self._display.take_back(place)
        return [taken_back(line) if line.place == place else line for line in lines]

    def lost(self, sentence: str) -> None:
        """Say once that the connection is being replaced; the bar goes on telling it."""
        protocol = self._connection.protocol
        if protocol.welcome:
            seen = {room: view.seq for room, view in protocol.rooms.items()}
            self._seen = (protocol.welcome.epoch, seen)
        text = f"{sentence}; reconnecting, and what you type is kept"
        self._display.show([*self._changes_told(), self._renderer.error(text)])

    def _abandoned(self) -> list[Line]:
        """What was said in a session that is over, and has no receipt."""
        abandoned = self._connection.protocol.abandoned
        lines = [
            self._renderer.error(f"this may not have been said: {said.text}") for said in abandoned
        ]
        for said in abandoned:
            self._unsent.pop(said.id or "", None)
        abandoned.clear()
        return lines

    def _lines(self, notice: Notice) -> list[Line]:
        match notice:
            case notices.Sent(id=str(id)) if id in self._unsent:
                return self._renderer.own(self._unsent.pop(id), notice)
            case notices.Said(id=str(id)) if id in self._unsent:
                del self._unsent[id]  # it was said, and its receipt was lost with the connection
                return self._renderer.lines(notice)
            case notices.Welcome() | notices.Resumed() if where := self._connection.where:
                connected = self._renderer.system(f"connected to {where}")
                return [connected, *self._renderer.lines(notice)]
            case notices.Entered():
                return self._entered_again(notice)
            case notices.HistoryPage():
                return self._page(notice)
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
            return self._renderer.lines(entered)
        new = tuple(said for said in entered.history if said.seq > last)
        lines = self._renderer.lines(msgspec.structs.replace(entered, history=new))
        if new and new[0].seq > last + 1:
            return [*self._renderer.lines(notices.Gap(entered.room, new[0].seq)), *lines]
        return lines

    def _note(self, notice: Notice) -> Iterator[Line]:
        """Remember what a notice means for us; the lines that stand before it."""
        match notice:
            case notices.Said(room, nick, text, seq) if nick != self._renderer.me:
                for_me = self._renderer.mentions_me(text)
                self._spoke(nick)
                if room != self._connection.current and not self._reading.is_read(room, seq):
                    self._unread.setdefault(room, Unread()).add(mention=for_me, seq=seq)
                yield from self._while_away(for_me=for_me)
            case notices.Told(nick, to=""):
                self._spoke(nick)
                yield from self._while_away(for_me=True)
            case notices.Sent(id=str(id)) | notices.Said(id=str(id)):
                if self._paste and self._paste.waits_for == id:
                    self._continue(self._paste)
            case notices.Rejected(id=str(id)):
                self._unsent.pop(id, None)
                if self._paste and self._paste.waits_for == id:
                    self._paste = None
            case notices.Rejected(request="history"):
                self._older = ""
            case notices.Entered(room, seq=seq, history=history, again=False):
                self._unread.pop(room, None)
                self._oldest[room] = history[0].seq if history else seq + 1
            case notices.Left(room, own=True) | notices.Entered(room):
                self._unread.pop(room, None)
            case notices.RoomList(rooms):
                self._listed = tuple(info.room for info in rooms[:MAX_OFFERED])

    def _spoke(self, nick: str) -> None:
        if nick in self._speakers:
            self._speakers.remove(nick)
        self._speakers.appendleft(nick)

    def _is_ignored(self, notice: Notice) -> bool:
        match notice:
            case notices.Said(nick=nick) | notices.Told(nick=nick):
                return bool(self._ignored) and _key(nick) in self._ignored
            case _:
                return False

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
        if (unread := self._unread.get(room)) and unread.last <= seq:
            del self._unread[room]

    def _tell_read(self) -> None:
        """Tell one's other devices how far the room was read that one looks at: now, or soon."""
        if self._read_later is not None:
            self._read_later.cancel()
            self._read_later = None
        connection, loop = self._connection, asyncio.get_running_loop()
        room = connection.protocol.rooms.get(connection.current)
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

    def _while_away(self, *, for_me: bool) -> Iterator[Line]:
        """Something was said: ring when it is for us, and mark what is new for who is away."""
        if for_me and self._settings.bell:
            self._display.bell()
        if self._away is None and self._is_away:
            self._away = Unread()
            yield marker("new since you were here")
        if self._away is not None:
            self._away.add(mention=for_me)

    @property
    def _is_away(self) -> bool:
        """Whether no key was pressed for a while."""
        idle = asyncio.get_running_loop().time() - self._key_at
        return 0 < self._settings.away <= idle

    def _key_pressed(self) -> None:
        self._key_at = asyncio.get_running_loop().time()
        self._tell_read()
        if self._away is not None:
            missed, self._away = self._away, None
            self._tell(f"while you were away: {missed.summary()}")

    # ── Comings and goings ───────────────────────────────────────────────────────────────────

    def _collect(self, change: Notice) -> None:
        self._changes.append(change)
        if not self._settings.fold or len(self._changes) >= MAX_OFFERED:
            self._display.show(self._changes_told())
        elif self._folding is None:
            loop = asyncio.get_running_loop()
            self._folding = loop.call_later(self._fold_seconds, self._fold)

    def _fold(self) -> None:
        many = len(self._changes) > presence.MAX_SINGLY
        self._fold_seconds = FOLD_LONGER_SECONDS if many else FOLD_SECONDS
        self._display.show(self._changes_told())

    def _changes_told(self) -> list[Line]:
        """The lines for what was collected, which is told then."""
        if self._folding is not None:
            self._folding.cancel()
            self._folding = None
        changes, self._changes = self._changes, []
        return presence.told(changes, self._renderer)

    # ── What was said before ─────────────────────────────────────────────────────────────────

    def _show_older(self) -> None:
        """Ask for the page before the oldest message that was shown of the current room."""
        room = self._connection.current
        if room in self._connection.protocol.rooms and not self._older:
            self._older = room
            self._send(events.History(room, before=self._oldest.get(room)))

    def _page(self, page: notices.HistoryPage) -> list[Line]:
        """A page of what was said: the one that was asked for by PageUp, or any other."""
        room, messages = page.room, page.messages
        oldest = self._oldest.get(room)
        if messages:
            self._oldest[room] = min(messages[0].seq, oldest or messages[0].seq)
        if self._older != room:
            return self._renderer.lines(page)
        self._older = ""
        return self._renderer.older(page)

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
                self._look_at(room)
            case request:
                self._send(request)

    def _send(self, request: events.Request) -> str | None:
        """Send it; return the id of what was said."""
        match self._connection.send(request):
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
                self._show_older()
            case "clear":
                self._display.clear()
            case "set":
                self._set(*rest.split(maxsplit=1))
            case "unset":
                self._changed(lambda: self._configuration.unset(rest))
            case "log":
                self._log(rest)

    def _set(self, name: str = "", value: str = "") -> None:
        if not name:
            self._tell(*self._configuration.listed())
        elif value:
            self._changed(lambda: self._configuration.set(name, value))
        else:
            self._changed(lambda: self._configuration.shown(name))

    def _changed(self, change: Callable[[], str]) -> None:
        """Change a setting, and tell what came of that."""
        line, text = self._renderer.system, ""
        try:
            text = change()
        except BadSettings as error:
            line, text = self._renderer.error, str(error)
        self._renderer.timestamps = self._settings.timestamps
        self._display.apply_settings()
        self._display.show([line(text)])

    def _log(self, file: str) -> None:
        try:
            self._display.log_to("" if file == "off" else file)
        except (OSError, ValueError, RuntimeError) as error:  # ~ without a home: RuntimeError
            why = getattr(error, "strerror", None) or str(error)
            self._display.show([self._renderer.error(f"cannot write {file}: {why.lower()}")])
        else:
            off = file in {"", "off"}
            self._tell("nothing is logged" if off else f"what is shown goes to {file} as well")

    def _tell(self, *texts: str) -> None:
        self._display.show([self._renderer.system(text) for text in texts])

    # ── Rooms ────────────────────────────────────────────────────────────────────────────────

    def _look_at(self, room: str) -> None:
        """Make a room that we are in the current one, and say what was missed in it."""
        if room == self._connection.current:
            return
        self._connection.current = room
        missed = self._unread.pop(room, None)
        self._tell_read()
        self._tell(f"now in {room}" + (f": {missed.summary()} since you left it" if missed else ""))

    def _step(self, by: int) -> None:
        rooms = list(self._connection.protocol.rooms)
        if rooms:
            current = self._connection.current
            at = rooms.index(current) if current in rooms else 0
            self._look_at(rooms[(at + by) % len(rooms)])

    def _look_at_number(self, number: int) -> None:
        for room in islice(self._connection.protocol.rooms, number - 1, number):
            self._look_at(room)

    def _key_bindings(self) -> KeyBindings:
        bindings = KeyBindings()
        asked = Condition(lambda: self._paste is not None and not self._paste.agreed)
        sending = Condition(lambda: self._paste is not None and self._paste.agreed)
        for number in range(1, 10):
            bindings.add("escape", str(number))(lambda _, n=number: self._look_at_number(n))
        bindings.add("c-n")(lambda _: self._step(1))
        bindings.add("c-p")(lambda _: self._step(-1))
        bindings.add("c-l")(lambda _: self._display.clear())
        bindings.add("pageup")(lambda _: self._show_older())
        bindings.add(Keys.BracketedPaste)(self._pasted)
        # While the question is open, keys answer it and do nothing else.
        bindings.add(Keys.Any, filter=asked)(lambda _: None)
        for key in ("n", "N", "c-c"):
            bindings.add(key, filter=asked)(lambda _: self._stop_paste())
        for key in ("y", "Y", "enter"):
            bindings.add(key, filter=asked)(lambda _: self._start_paste())
        bindings.add("c-c", filter=sending)(lambda _: self._stop_paste())
        return bindings

    # ── A wall of text ───────────────────────────────────────────────────────────────────────

    def _pasted(self, event: KeyPressEvent) -> None:
        paste = Paste.of(self._connection.current, event.data)
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
            paste.waits_for = self._send(events.Say(paste.room, line))

    def _stop_paste(self) -> None:
        if self._paste is not None:
            sent, count = self._paste.sent, len(self._paste.lines)
            self._paste = None
            self._tell(f"stopped; {sent} of {count} lines were sent")

    # ── The prompt, and what stands around it ────────────────────────────────────────────────

    def _message(self) -> Fragments:
        """The prompt: what has no receipt yet, then the room."""
        above: Fragments = []
        unsent = list(self._unsent.values())[-MAX_UNSENT_SHOWN:]
        if hidden := len(self._unsent) - len(unsent):
            above.append(("class:unsent", f"… and {hidden} more\n"))
        width = self._display.columns - len("… ")
        above += [("class:unsent", f"… {said.text[:width]}\n") for said in unsent]
        if self._paste is not None:
            above.append(("class:prompt", f"{self._paste.progress}\n"))
        return [*above, ("class:room", self._connection.current[:40]), ("class:prompt", "> ")]

    def _toolbar(self) -> Fragments:
        connection = self._connection
        room = connection.protocol.rooms.get(connection.current)
        status = Status(
            rooms=tuple(connection.protocol.rooms),
            current=connection.current,
            unread=self._unread,
            people=room.count if room else 0,
            lag_ms=connection.lag_ms,
            state=connection.state,
            trouble=connection.state != "connected",
        )
        return toolbar(status, self._display.columns)

    def _nicks(self) -> Iterator[str]:
        """Who can be meant: those who spoke last, then all in the room."""
        room = self._connection.protocol.rooms.get(self._connection.current)
        members = islice(room.members, MAX_OFFERED) if room else ()
        yield from dict.fromkeys(
            nick for nick in (*self._speakers, *members) if nick != self._renderer.me
        )

    def _rooms(self) -> Iterator[str]:
        mine = islice(self._connection.protocol.rooms, MAX_OFFERED)
        yield from dict.fromkeys((*mine, *self._listed))


def _key(nick: str) -> str:
    return nick_key(nick) or nick
