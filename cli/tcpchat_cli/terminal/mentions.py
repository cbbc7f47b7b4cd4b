"""What has called one: a list, the newest last, to be looked through and gone to.

What was said while one was gone counts, as far as the server tells it on coming in or coming back.
A message is listed once, however often it is told.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Callable, Iterator
from typing import Final, TypeAlias

import msgspec

from tcpchat_cli.terminal.places import Place
from tcpchat_cli.terminal.render import MAX_TEXT_CHARS, Line, Renderer
from tcpchat_cli.terminal.view import message_count
from tcpchat_core.notices import Entered, Notice, Said, Told

# More than anybody goes back to; a page on a large screen shows a third of it.
MAX_MENTIONS: Final = 200

Message: TypeAlias = Said | Told


class Mentions:
    """The messages that have called one last."""

    def __init__(self) -> None:
        self._messages: list[Message] = []  # by their time

    def note(self, notice: Notice, calls: Callable[[Message], bool]) -> list[Message]:
        """Remember what of a notice is told and `calls` one; return it, as far as it is new."""
        new = [each for each in _messages(notice) if self._is_new(each) and calls(each)]
        for message in new:
            text = message.text[:MAX_TEXT_CHARS]
            insort(self._messages, msgspec.structs.replace(message, text=text), key=_at)
        del self._messages[:-MAX_MENTIONS]
        return new

    def take_back(self, place: tuple[str, int]) -> None:
        """What was taken back has not called anybody."""
        self._messages = [
            each
            for each in self._messages
            if not (isinstance(each, Said) and (each.room, each.seq) == place)
        ]

    def places(self) -> list[Place]:
        """Where they are, in the order of the lines."""
        return [
            Place("room", each.room, each.seq)
            if isinstance(each, Said)
            else Place("direct", each.nick)
            for each in self._messages
        ]

    def lines(self, renderer: Renderer) -> list[Line]:
        """The list, numbered from 1."""
        if not self._messages:
            return [renderer.system("nobody has called you yet")]
        called = f"{message_count(len(self._messages))} called you"
        head = renderer.system(f"{called}, newest last; /goto N goes there")
        return [head, *renderer.numbered(self._messages)]

    def _is_new(self, message: Message) -> bool:
        identity = _identity(message)
        return all(identity != _identity(each) for each in self._messages)


def _messages(notice: Notice) -> Iterator[Message]:
    match notice:
        case Said() | Told(to=""):
            yield notice
        case Entered(history=history):
            yield from history


def _at(message: Message) -> int:
    return message.at


def _identity(message: Message) -> tuple[str, int, int]:
    """A number is given again when a server begins anew; hardly at the same millisecond."""
    where = message.room if isinstance(message, Said) else f"@{message.nick}"
    return where, message.seq, message.at
