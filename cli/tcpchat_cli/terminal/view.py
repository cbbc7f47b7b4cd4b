"""One room, or one conversation with somebody: what was shown of it, and what is new in it.

Rule 1: A view has its lines in the order of the conversation; the oldest go when they are too many.

Rule 2: What came while one looked elsewhere begins at the mark. It stays where it is for as long
        as one looks, and is gone when one leaves.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Sequence
from datetime import date
from typing import Final, Literal, TypeAlias

from tcpchat_cli.terminal.numbering import MessageId, Numbering
from tcpchat_cli.terminal.render import Line, marker, shown_name, taken_back

# A day of a busy room, of which one scrolls back some hundreds. A line takes about a kilobyte.
MAX_LINES: Final = 4_000

# `home` is where everything is told before there is a view to tell it in; `past` is a place in what
# was said in a room before.
Kind: TypeAlias = Literal["room", "direct", "past", "home"]


def message_count(count: int) -> str:
    """So many messages, in words."""
    return "1 message" if count == 1 else f"{count} messages"


class Unread:
    """How much was said since one last looked."""

    def __init__(self) -> None:
        self.messages = 0
        self.mentions = 0
        self.last = 0  # the number of the last of them

    def __bool__(self) -> bool:
        return self.messages > 0

    def add(self, *, mention: bool, seq: int = 0) -> None:
        """One more, with its number in its room."""
        self.messages += 1
        self.mentions += mention
        self.last = seq

    def summary(self) -> str:
        """For example "3 messages, 1 for you"."""
        messages = message_count(self.messages)
        return f"{messages}, {self.mentions} for you" if self.mentions else messages


class View:
    """What is shown of a room, or of what one says with somebody."""

    def __init__(self, name: str, kind: Kind, numbering: Numbering | None = None) -> None:
        self._numbering = numbering or Numbering()
        self.name = name  # of the room, as the server writes it; or the other's nick
        self.kind: Kind = kind
        self.topic = ""
        self.lines: deque[Line] = deque()  # oldest first
        self.unread = Unread()
        self.missed = Unread()  # what was unread when one came to look
        self.mark: int | None = None  # how many of the last lines stand below the mark, if any
        self._oldest: MessageId | None = None  # of the room that was shown
        self._newest: MessageId | None = None  # … for a place in the past
        self._gap: MessageId | None = None
        self._read: MessageId | None = None  # the last message of the room that was looked at
        self.draft = ""  # what is half typed
        self.is_mine = False  # whether one has said something there, or has opened it
        self.day: date | None = None  # of the last line
        self.touched = 0  # rises with every line, over all views
        self._max_lines = MAX_LINES
        self._places: Counter[MessageId] = Counter()  # of the messages among the lines

    @property
    def title(self) -> str:
        """What it is called among the others: `dev`, `@bob`, or `dev before`."""
        name = shown_name(self.name)
        return {"direct": f"@{name}", "past": f"{name} before"}.get(self.kind, name)

    @property
    def mark_line(self) -> Line | None:
        """The mark, which stands before the last `mark` lines; None where that is nowhere."""
        if not self.mark:
            return None
        missed = f": {self.missed.summary()}" if self.missed else ""
        return marker(f"new since you were here{missed}")

    def add(self, lines: Sequence[Line], *, looking: bool, news: bool = True) -> None:
        """Lines at the end. What is no `news` begins nothing new, and can only follow it."""
        self.lines += lines
        self._places.update(line.place for line in lines if line.place)
        if looking:
            self._note_read(lines)
        if self.mark is not None or (news and not looking):
            self.mark = (self.mark or 0) + len(lines)
        self._trim(self._max_lines)

    def mark_before(self, place: MessageId) -> None:
        """Put the mark before a message, unless there is one, or the message is not there."""
        if self.mark is None and place in self._places:
            lines = [*self.lines]
            at = next((at for at, line in enumerate(lines) if line.place == place), len(lines))
            self.mark = len(lines) - at

    def put_mark(self) -> Line:
        """What comes next is new, although one seems to look; returns what is shown there."""
        self.mark = 0
        self.missed = Unread()
        return marker("new since you were here")

    def add_older(self, lines: Sequence[Line]) -> None:
        """Lines of before, in order: before all others.

        They may be as many as all others; then the newest of them are kept, until more comes.
        """
        room = 2 * self._max_lines - len(self.lines)
        kept = lines[len(lines) - room :] if 0 < room < len(lines) else lines if room > 0 else ()
        self.lines.extendleft(reversed(kept))
        self._places.update(line.place for line in kept if line.place)

    def take_back(self, place: MessageId) -> bool:
        """Take the text away of a message; return whether a line had it."""
        if place not in self._places:
            return False
        for at, line in enumerate(self.lines):
            if line.place == place:
                self.lines[at] = taken_back(line)
        del self._places[place]  # there is no more to take away
        return True

    def bound(self, max_lines: int) -> None:
        """Keep so many lines from now on."""
        self._max_lines = max_lines
        if len(self.lines) > 2 * max_lines:
            self._trim(max_lines)

    def look(self) -> None:
        """One comes to look at it: nothing is unread."""
        self.missed, self.unread = self.unread, Unread()
        self._note_read(self.lines)

    def leave(self) -> None:
        """One goes elsewhere."""
        self.mark = None
        self.missed = Unread()

    def was_read(self) -> None:
        """It was read on another device."""
        self.unread = Unread()
        self.mark = None

    def clear(self) -> None:
        """Forget all lines."""
        self.lines.clear()
        self._places.clear()
        self.mark = None

    def put_before(self, lines: Iterable[Line]) -> None:
        """Lines that came before this view was there."""
        self.add_older([*lines])

    # ── Numbers of messages ──────────────────────────────────────────────────────────────────

    @property
    def oldest(self) -> int | None:
        """Number of the oldest message of the room that was shown; None where it has none now."""
        return self._number(self._oldest)

    @oldest.setter
    def oldest(self, seq: int) -> None:
        self._oldest = self._numbering.id_of(self.name, seq)

    @property
    def newest(self) -> int | None:
        """The same of the newest, for a place in the past."""
        return self._number(self._newest)

    @newest.setter
    def newest(self, seq: int) -> None:
        self._newest = self._numbering.id_of(self.name, seq)

    @property
    def gap(self) -> int | None:
        """Number of the last message that is missing between others; None where none is."""
        return self._number(self._gap)

    @gap.setter
    def gap(self, seq: int) -> None:
        self._gap = self._numbering.id_of(self.name, seq)

    @property
    def read(self) -> int:
        """Number of the last message of the room that was looked at; 0 where it has none now."""
        return self._number(self._read) or 0

    def _number(self, id: MessageId | None) -> int | None:
        return id.seq if id is not None and self._numbering.is_current(id) else None

    def _note_read(self, lines: Iterable[Line]) -> None:
        places = [line.place for line in lines if line.place]
        last = max((place.seq for place in places if self._is_here(place)), default=0)
        if last > self.read:
            self._read = self._numbering.id_of(self.name, last)

    def _is_here(self, place: MessageId) -> bool:
        """Whether it is a message of this room that still has its number."""
        return place.room == self.name and self._numbering.is_current(place)

    def _trim(self, most: int) -> None:
        while len(self.lines) > most:
            place = self.lines.popleft().place
            if place is None:
                continue
            if self._places[place] > 1:
                self._places[place] -= 1
            else:
                self._places.pop(place, None)
            if self.kind == "room" and self._is_here(place):
                self.oldest = max(self.oldest or 0, place.seq + 1)
        if self.mark is not None:
            self.mark = min(self.mark, len(self.lines))
