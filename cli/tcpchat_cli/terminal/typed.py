"""What is typed is done: said where one looks, asked of the server, or carried out here."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from tcpchat_cli.terminal.addresses import Addresses
from tcpchat_cli.terminal.board import Board
from tcpchat_cli.terminal.called import Called
from tcpchat_cli.terminal.commands import Local, parse_typed
from tcpchat_cli.terminal.configuration import Configuration
from tcpchat_cli.terminal.connection import Connection, is_for_here
from tcpchat_cli.terminal.finding import Desk, Finding
from tcpchat_cli.terminal.hints import Hints
from tcpchat_cli.terminal.ignored import Ignored
from tcpchat_cli.terminal.key_settings import keys_with
from tcpchat_cli.terminal.places import Places
from tcpchat_cli.terminal.replies import Answerable
from tcpchat_cli.terminal.settings import BadSettings
from tcpchat_cli.terminal.topics import help_text
from tcpchat_cli.terminal.unsent import Message, Unsent
from tcpchat_cli.terminal.view import View
from tcpchat_core import events, notices
from tcpchat_core.names import nick_name


class Typed:
    """The lines that a person types, one after the other."""

    def __init__(
        self,
        connection: Connection,
        board: Board,
        configuration: Configuration,
        called: Called,
        ignored: Ignored,
    ) -> None:
        self.ignored = ignored
        self.unsent = Unsent(board.views)
        self.answerable = Answerable()
        self.wrote: View | None = None  # what one says with who wrote to one alone last
        self.goodbye = ""  # why one leaves, if that was said
        self._places = Places()
        self.hints = Hints(configuration.settings, has_keys=board.display.has_keys)
        self.finding = Finding(
            board.views,
            board.renderer,
            self._places,
            ignored=ignored,
            hints=self.hints,
            desk=Desk(self.send, board.put_past, board.put_older, board.look_again, board.refuse),
        )
        self.addresses = Addresses()
        self._called = called
        self._connection = connection
        self._board = board
        self._configuration = configuration
        self._local: dict[str, Callable[[str], None]] = {
            "help": self._help,
            "ignore": lambda nick: board.tell(self.ignored.ignore(nick)),
            "unignore": lambda nick: board.tell(self.ignored.unignore(nick)),
            "older": lambda _: self.finding.turn_back(),
            "newer": lambda _: self.finding.turn_on(),
            "goto": self.finding.go_to,
            "links": lambda _: self._links(),
            "open": self._open,
            "mentions": lambda _: self._mentions(),
            "clear": lambda _: board.clear(),
            "view": self._view,
            "query": self._query,
            "r": self._answer,
            "close": lambda _: self._close(),
            "set": lambda rest: self._set(*rest.split(maxsplit=1)),
            "unset": lambda name: self._changed(lambda: self._configuration.unset(name)),
            "log": lambda _: board.tell(board.logs.where(board.current)),
        }

    def entered(self, line: str) -> None:
        """A line was typed."""
        match parse_typed(line):
            case None:
                pass
            case notices.Rejected(text=text):
                self._board.refuse(text)
            case Local(name, rest):
                self._local[name](rest)
            case events.Quit(reason):
                self.goodbye = reason
                self._board.display.leave()
            case events.Join(room) if room in self._connection.protocol.rooms:
                self._board.look_at(self._board.views.open_room(room))
            case events.Say(room="") as say:
                self.finding.leave()
                self._say(say)
            case request if self._needs_room(request):
                who = self._board.current.name
                way_out = ", and /close ends that" if isinstance(request, events.Out) else ""
                self._board.refuse(f"that is for a room; here you talk to {who}{way_out}")
            case events.Join(room) as join:
                self.send(join)
                self._board.is_joining = self._connection.current == room
            case request:
                self.send(request)

    def send(self, request: events.Request) -> str | None:
        """Send it; return the id of what was said."""
        match self._connection.send(request):
            case events.History() | events.Search() as asked:
                self.finding.sent(asked)
                return None
            case events.Say(id=str(id)) | events.Tell(id=str(id)) as said:
                self.unsent.add(said)
                self._board.display.refresh()
                return id
            case _:
                return None

    def to(self, text: str) -> Message:
        """The text, said where one looks: or in the room that one is about to come into."""
        view = self._board.current
        if self._board.is_joining:
            return events.Say(self._connection.current, text)
        if view.kind == "direct":
            return events.Tell(view.name, text)
        return events.Say(view.name, text)

    def _say(self, say: events.Say) -> None:
        """Say it where one looks."""
        match self.to(say.text):
            case events.Say(room):
                said = self.answerable.answering(msgspec.structs.replace(say, room=room))
                if said is None:
                    self._board.refuse("there is no such message here that could be answered")
                else:
                    self.send(said)
            case events.Tell() if say.back:
                self._board.refuse("only what is said in rooms can be answered; here, just say it")
            case events.Tell() if say.emote:
                self._board.refuse("what you do can be told to a room only; say it in words")
            case tell:
                self.send(msgspec.structs.replace(tell, notice=say.notice))

    def _needs_room(self, request: events.Request) -> bool:
        """Whether it is for the current room, and there is none."""
        is_open = is_for_here(request) and not getattr(request, "server", False)
        return is_open and self._board.current.kind == "direct" and not self._board.is_joining

    def page_up(self) -> None:
        """Go up in the view; at its top, ask for more."""
        if not self._board.display.scroll("page up"):
            self.finding.turn_back()

    def page_down(self) -> None:
        """Go down again; in the past, ask for more."""
        if not self._board.display.scroll("page down"):
            self.finding.turn_on()

    # ── The client's own commands ────────────────────────────────────────────────────────────

    def _help(self, word: str) -> None:
        keys = keys_with(self._configuration.settings.keys) if self.hints.has_keys else None
        match help_text(word, keys):
            case notices.Rejected(text=text):
                self._board.refuse(text)
            case lines:
                self._board.tell(*lines)

    def _view(self, text: str) -> None:
        """Go to the view that is called so, or tell which there are."""
        views = self._board.views
        if not text:
            self._board.tell(
                *(
                    f"{number} {view.title}" + (f": {view.unread.summary()}" if view.unread else "")
                    for number, view in enumerate(views, start=1)
                )
            )
        elif (view := views.named(text)) is not None:
            self._board.look_at(view)
        else:
            self._board.refuse(f"there is no view {text[:40]}; /view lists those there are")

    def _query(self, nick: str) -> None:
        """Go to what one says with somebody."""
        match nick_name(nick):
            case notices.Rejected() as rejected:
                self._board.refuse(rejected.text)
            case _:
                view = self._board.views.open_direct(nick)
                view.is_mine = True
                self._board.look_at(view)

    def _answer(self, text: str) -> None:
        """Write to who has written to one last; without a text, go there."""
        if self.wrote is None:
            self._board.refuse("nobody has written to you alone yet")
        elif text:
            self.send(events.Tell(self.wrote.name, text))
        else:
            self._board.look_at(self._board.views.open_direct(self.wrote.name))

    def _close(self) -> None:
        view = self._board.current
        if view.kind == "home":
            self._board.refuse("there is nothing to close")
        elif view.kind == "past" and self._board.views.room(view.name) is not None:
            self.finding.leave()
        elif self._board.room is not None:
            self._board.refuse(f"you are in {view.name}: /out leaves it")
        else:
            self._board.close(view)

    def _links(self) -> None:
        view = self._board.current
        self._board.put_and_show(view, self.addresses.show(view, self._board.renderer))

    def _open(self, typed: str) -> None:
        board, view = self._board, self._board.current
        told = self.addresses.open(
            view,
            typed,
            self._configuration.settings.open,
            board.renderer,
            lambda line: board.put_and_show(board.current, [line]),
        )
        board.put_and_show(view, [told])

    def _mentions(self) -> None:
        """List what has called one; the list's numbers are places to go to."""
        mentions = self._called.mentions
        self._places.listed(mentions.places())
        self._board.put_and_show(self._board.current, mentions.lines(self._board.renderer))

    def apply_settings(self) -> None:
        """From now on as the settings say."""
        self._called.apply_settings()
        renderer = self._board.renderer
        renderer.highlights = self._called.highlights
        renderer.way = self.hints.way
        renderer.timestamps = self._configuration.settings.timestamps

    def _set(self, name: str = "", value: str = "") -> None:
        if not name:
            self._board.tell(*self._configuration.listed())
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
            self._board.refuse(str(error))
        self.apply_settings()
        self._board.display.apply_settings()
        if text:
            self._board.tell(text)
