"""What has called one: a list, the newest last, to be looked through and gone to.

What was said while one was gone counts, as far as the server tells it on coming in or coming back.
A message is listed once, however often it is told.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Callable, Iterator
from typing import Final, TypeAlias

import msgspec

from tcpchat_cli.terminal.numbering import MessageId, Numbering
from tcpchat_cli.terminal.places import Place
from tcpchat_cli.terminal.render import MAX_TEXT_CHARS, Line, Renderer
from tcpchat_cli.terminal.view import message_count
from tcpchat_core.notices import Entered, Notice, Said, Told

# More than anybody goes back to; a page on a large screen shows a third of it.
MAX_MENTIONS: Final = 200

Message: TypeAlias = Said | Told


class Mentions:
    """The messages that have called one last; `numbering` says what their numbers mean."""

    def __init__(self, numbering: Numbering) -> None:
        self._numbering = numbering
        # Those of rooms with what they were known by when they came. By their time.
        self._messages: list[tuple[Message, MessageId | None]] = []

    def note(self, notice: Notice, calls: Callable[[Message], bool]) -> list[Message]:
        """Remember what of a notice is told and `calls` one; return it, as far as it is new."""
        new = [each for each in _messages(notice) if self._is_new(each) and calls(each)]
        for message in new:
            text = message.text[:MAX_TEXT_CHARS]
            kept = msgspec.structs.replace(message, text=text)
            insort(self._messages, (kept, self._id(kept)), key=_at)
        del self._messages[:-MAX_MENTIONS]
        return new

    def take_back(self, place: MessageId) -> None:
        """What was taken back has not called anybody."""
        self._messages = [each for each in self._messages if each[1] != place]

    def places(self) -> list[Place]:
        """Where they are, in the order of the lines."""
        return [
            Place("room", *id) if id is not None else Place("direct", each.nick)
            for each, id in self._messages
        ]

    def lines(self, renderer: Renderer) -> list[Line]:
        """The list, numbered from 1."""
        if not self._messages:
            return [renderer.system("nobody has called you yet")]
        called = f"{message_count(len(self._messages))} called you"
        head = renderer.system(f"{called}, newest last; /goto N goes there")
        made = renderer.numbered([message for message, _ in self._messages])
        ids = [id for _, id in self._messages]
        return [head, *(line._replace(place=id) for line, id in zip(made, ids, strict=True))]

    def _is_new(self, message: Message) -> bool:
        identity = _identity(message)
        return all(identity != _identity(each) for each, _ in self._messages)

    def _id(self, message: Message) -> MessageId | None:
        if isinstance(message, Told):
            return None
        return self._numbering.id_of(message.room, message.seq)


def _messages(notice: Notice) -> Iterator[Message]:
    match notice:
        case Said() | Told(to=""):
            yield notice
        case Entered(history=history):
            yield from history


def _at(kept: tuple[Message, MessageId | None]) -> int:
    return kept[0].at


def _identity(message: Message) -> tuple[str, int, int]:
    """A number is given again when a server begins anew; hardly at the same millisecond."""
    where = message.room if isinstance(message, Said) else f"@{message.nick}"
    return where, message.seq, message.at
