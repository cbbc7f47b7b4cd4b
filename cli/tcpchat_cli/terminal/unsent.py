"""One's own messages without a receipt: they stand in grey above the prompt of their view."""

from __future__ import annotations

from typing import Final, TypeAlias

from tcpchat_cli.terminal.render import Fragments
from tcpchat_cli.terminal.view import View
from tcpchat_cli.terminal.views import Views
from tcpchat_cli.terminal.widths import shortened
from tcpchat_core import events, notices

# How many are shown.
MAX_SHOWN: Final = 5

Message: TypeAlias = events.Say | events.Tell


class Unsent:
    """What was said and may not have reached the server yet, by its id, oldest first."""

    def __init__(self, views: Views) -> None:
        self._views = views
        self._messages: dict[str, Message] = {}

    def add(self, message: Message) -> None:
        """It was sent, with an id."""
        self._messages[message.id or ""] = message

    def get(self, id: str | None) -> Message | None:
        """The message of that id, as long as it has no receipt."""
        return self._messages.get(id or "")

    def pop(self, id: str | None) -> Message | None:
        """The same; it has its receipt now, or will get none."""
        return self._messages.pop(id or "", None)

    def view_of(self, message: Message, sent: notices.Sent) -> View:
        """Where a message is told that has its receipt; a first one opens a conversation."""
        match message:
            case events.Say(room):
                return self._views.room(sent.room or room) or self._views.current
            case events.Tell(nick):
                return self._views.open_direct(sent.nick or nick)

    def shown(self, columns: int) -> Fragments:
        """The last ones of the current view, or of none that there is, each in a row."""
        here = [message for message in self._messages.values() if self._is_here(message)]
        shown = here[-MAX_SHOWN:]
        rows: Fragments = []
        if hidden := len(here) - len(shown):
            rows.append(("class:unsent", f"… and {hidden} more\n"))
        width = columns - len("… ")
        return rows + [
            ("class:unsent", f"… {shortened(message.text, width)}\n") for message in shown
        ]

    def _is_here(self, message: Message) -> bool:
        match message:
            case events.Say(room):
                view = self._views.room(room)
            case events.Tell(nick):
                view = self._views.direct(nick)
        return view in (None, self._views.current)
