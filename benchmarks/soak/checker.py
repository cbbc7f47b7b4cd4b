"""What a soak checks: whatever was acknowledged, everybody who stayed was told once, in one order.

Rule 1: Every text begins with a number that no other text of the run has. A room's own numbers
        (`seq`) come from the server and are not trusted: the number of a text at a place of a room
        is the same for all who are told of it, and no text has two places.

Rule 2: Who is told places is held to them one by one: after 7 comes 8. Who is told texts only, as
        people with nc are, is held to the places that others were told for the same texts; between
        two of them there is nothing that others know but what they said themselves. A text at a
        place that nobody knows was told to nobody else, unless all who are there are told texts
        only.

Rule 3: What somebody has not been told `PATIENCE_S` after others were, is lost.

It has no clock and no socket: times are told, in seconds.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

# What one was told, all others have to be told within this, however busy the machine is.
PATIENCE_S: Final = 60.0

# For how long a text is remembered: longer than anybody is away, and what is forgotten by then is
# not looked for any more.
REMEMBERED_S: Final = 1_200.0

# So many messages of a room a server remembers by default; a few fewer, since the two ways to count
# differ in what is under way.
HISTORY: Final = 195

_NUMBER: Final = re.compile(r"^#(\d+) ")


def text(number: int, words: str) -> str:
    """A text by which it is known again."""
    return f"#{number} {words}"


def number_of(text: str) -> int | None:
    """Which text it is; None for one that nobody of the run has said."""
    found = _NUMBER.match(text)
    return int(found[1]) if found else None


@dataclass(slots=True)
class Message:
    """A text: who says it, where and since when; and its place, once anybody was told it."""

    author: int
    room: str
    said_s: float
    seq: int = 0


@dataclass
class Stream:
    """What one member is told of one room. `last` is the place up to which nothing is missing, None
    before the first; `heard` are texts whose places are not known yet.
    """

    room: str
    member: int
    since_s: float
    last: int | None = None
    heard: deque[tuple[int, float]] = field(default_factory=deque)


class Checker:
    """All that is said on one server, and what its people are told of it."""

    def __init__(self, violated: Callable[[str], None], *, keep_s: float) -> None:
        self._violated = violated
        self._keep_s = keep_s
        self._messages: dict[int, Message] = {}
        # By room: which text is at which place, and since when anybody knows.
        self._places: dict[str, dict[int, tuple[int, float]]] = {}
        self._newest: dict[str, int] = {}
        self.delivered = 0

    def say(self, number: int, author: int, room: str, now_s: float) -> None:
        """Somebody says a text."""
        self._messages[number] = Message(author, room, now_s)

    def place(self, number: int, room: str, seq: int, now_s: float) -> None:
        """Somebody was told that a text is at a place of a room."""
        message = self._messages.get(number)
        if message is None:
            return  # older than what is remembered
        if message.room != room:
            self._violated(f"stray: #{number} was said in {message.room} and told in {room}")
        if message.seq and message.seq != seq:
            self._violated(f"doubled: #{number} is at {message.seq} of {room} and at {seq}")
        message.seq = seq
        places = self._places.setdefault(room, {})
        other, _ = places.setdefault(seq, (number, now_s))
        if other != number:
            self._violated(f"disagreement: at {seq} of {room} are #{other} and #{number}")
        self._newest[room] = max(seq, self._newest.get(room, 0))

    def told(self, stream: Stream, number: int | None, seq: int, now_s: float) -> None:
        """A member was told what is at a place; no number for what was taken back."""
        self.delivered += 1
        if number is not None:
            self.place(number, stream.room, seq, now_s)
        if stream.last is not None and seq != stream.last + 1:
            what = "lost" if seq > stream.last else "doubled or out of order"
            self._violated(
                f"{what}: member {stream.member} of {stream.room} was told {seq}"
                f" after {stream.last}"
            )
        stream.last = seq

    def heard(self, stream: Stream, number: int, now_s: float) -> None:
        """A member was told a text, and not its place."""
        self.delivered += 1
        stream.heard.append((number, now_s))

    def missed(self, stream: Stream, oldest: int, now_s: float) -> None:
        """A member was told that what was said before a place is not to be had any more."""
        newest = self._newest.get(stream.room, 0)
        if stream.last is not None:
            for seq in range(stream.last + 1, oldest):
                number, known_s = self._places.get(stream.room, {}).get(seq, (0, 0.0))
                if now_s - known_s < 0.9 * self._keep_s and newest - seq < HISTORY:
                    self._violated(
                        f"gap: #{number} at {seq} of {stream.room} is not to be had after"
                        f" {now_s - known_s:.0f} s, {newest - seq} messages later"
                    )
        stream.last = oldest - 1

    def look(
        self,
        stream: Stream,
        now_s: float,
        *,
        patience_s: float = PATIENCE_S,
        witnessed_s: float = 0.0,
    ) -> None:
        """Hold a member who is there to what others were told. `witnessed_s` is since when there is
        somebody in the room who is told places, infinity for nobody.
        """
        places = self._places.get(stream.room, {})
        while stream.heard:
            number, heard_s = stream.heard[0]
            message = self._messages.get(number)
            if message is not None:
                first = message.seq if stream.last is None else stream.last + 1
                between = range(first, message.seq + 1)
                is_known = message.seq and all(seq in places for seq in between)
                if not is_known and now_s - heard_s <= patience_s:
                    return  # nobody was told these places so far
                if message.seq:
                    self._follows(stream, message, places)
                elif witnessed_s <= heard_s:
                    self._violated(f"stray: member {stream.member} alone was told #{number}")
                else:
                    stream.last = None  # what is between the last and the next nobody can tell
            stream.heard.popleft()
        seq = self.lacking(stream)
        if seq is not None and max(places[seq][1], stream.since_s) <= now_s - patience_s:
            self._violated(
                f"lost: member {stream.member} of {stream.room} was told nothing after"
                f" {stream.last}, and others were told {seq}"
            )
            stream.last = seq

    def _follows(
        self, stream: Stream, message: Message, places: dict[int, tuple[int, float]]
    ) -> None:
        """A text was the next that somebody was told who is not told places."""
        last, stream.last = stream.last, message.seq
        if last is None:
            return
        if message.seq <= last:
            self._violated(
                f"doubled or out of order: member {stream.member} of {stream.room} was told"
                f" {message.seq} after {last}"
            )
        for seq in range(last + 1, message.seq):
            if seq in places and not self._is_own(stream, seq, places):
                self._violated(
                    f"lost: member {stream.member} of {stream.room} was told {message.seq}"
                    f" after {last}"
                )

    def lacking(self, stream: Stream) -> int | None:
        """The first place that others were told and a member was not, who did not say it himself;
        None when there is none.
        """
        if stream.last is None:
            return None
        places, seq = self._places.get(stream.room, {}), stream.last + 1
        while seq in places and self._is_own(stream, seq, places):
            seq += 1
        return seq if seq in places else None

    def _is_own(self, stream: Stream, seq: int, places: dict[int, tuple[int, float]]) -> bool:
        """Whether somebody said that himself, and need not be told it."""
        number, _ = places.get(seq, (0, 0.0))
        message = self._messages.get(number)
        return message is not None and message.author == stream.member

    def forget(self, now_s: float) -> None:
        """Of what was long ago nothing is asked any more."""
        past_s = now_s - REMEMBERED_S
        old = [number for number, one in self._messages.items() if one.said_s < past_s]
        for number in old:
            del self._messages[number]
        for room, places in list(self._places.items()):
            for seq in [seq for seq, (_, known_s) in places.items() if known_s < past_s]:
                del places[seq]
            if not places:
                del self._places[room]
