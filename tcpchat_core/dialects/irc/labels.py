"""What is answered to a line with a label (IRCv3 labeled-response): the whole of it, in one form.

Rules:

1. One line is that line with the label, several are a batch with it, none is an ACK with it. What
   is a batch already has the label itself.
2. Commands know nothing of labels: what a line asks for is wrapped here. What the server says by
   itself has its label at once, a question carries it in its `How`. An event has what is told of it
   between two `Then`s: what comes of it is told by then, in whatever form, or is nothing.
3. What somebody else did has no label, though it comes in between, nor what one is told as anybody
   else is: a message to oneself is an echo with the label, and the message.
4. A line that asks for several things is answered by a batch that is open as long as these take.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from tcpchat_core import notices
from tcpchat_core.dialects import Asked, Item, Reply, Then, Wait
from tcpchat_core.dialects.irc.asked import How
from tcpchat_core.dialects.irc.sasl import AUTHENTICATE
from tcpchat_core.dialects.irc.wire import (
    SERVER,
    closed,
    escaped,
    is_batch,
    line,
    opened,
    tagged,
    within,
)
from tcpchat_core.notices import Notice

# By the specification. What is longer, or not to be seen, is no label.
MAX_LABEL_BYTES: Final = 64


def label_of(tags: Mapping[str, str]) -> str:
    """The label of a line, as a tag of its answer; "" when there is none."""
    label = tags.get("label", "")
    if not label.isprintable() or len(label.encode()) > MAX_LABEL_BYTES:
        return ""
    return escaped(label)


def answer(label: str, batch: str, data: bytes) -> bytes:
    """All that is told of a line with a label."""
    count = data.count(b"\n")
    if not count:
        data, count = line(SERVER, "ACK"), 1
    if count == 1:
        return tagged(f"label={label}", data)
    if is_batch(data):
        first, rest = data.split(b"\n", 1)
        return tagged(f"label={label}", first + b"\n") + rest
    return _opening(label, batch) + within(batch, data) + closed(batch)


def _opening(label: str, batch: str) -> bytes:
    return tagged(f"label={label}", opened(batch, "labeled-response"))


class _Answer:
    """What is told of one line by and by: the lines of one thing together, when it is done; those
    of several as they come.
    """

    __slots__ = ("_batch", "_held", "_is_open", "_is_streamed", "_label")

    def __init__(self, label: str, batch: str, *, is_streamed: bool) -> None:
        self._label, self._batch, self._is_streamed = label, batch, is_streamed
        self._is_open = False
        self._held: list[bytes] = []

    def open(self) -> bytes:
        """What is said before the first of several, once."""
        is_open, self._is_open = self._is_open, True
        return b"" if is_open else _opening(self._label, self._batch)

    def add(self, data: bytes) -> bytes:
        """What is said now of a part of it."""
        if not self._is_streamed:
            self._held.append(data)
        elif data:
            return self.open() + within(self._batch, data)
        return b""

    def end(self, data: bytes) -> bytes:
        """What is said when the connection ends by it."""
        if self._is_open:
            return self.add(data) + self.close()
        return answer(self._label, self._batch, b"".join([*self._held, data]))

    def close(self) -> bytes:
        """What is said when it is all."""
        if self._is_open:
            return closed(self._batch)
        return answer(self._label, self._batch, b"".join(self._held))


class Labels:
    """One client's: call `items` with what a line with a label asks for, and `told` with all that
    the client alone is told.
    """

    __slots__ = ("_batches", "_current")

    def __init__(self) -> None:
        self._batches = 0
        self._current: _Answer | None = None  # of what is being answered

    def items(self, label: str, items: Sequence[Item]) -> list[Item]:
        """What a line asks for, so that it is answered with its label."""
        self._batches += 1
        batch = f"{self._batches}"
        waits = [each for each in items if isinstance(each, Wait)]  # behind all others, if any
        asked = [each for each in items if not isinstance(each, Wait)]
        replies = [each.data for each in asked if isinstance(each, Reply)]
        if len(replies) == len(asked):
            return [Reply(answer(label, batch, b"".join(replies))), *waits]
        if questions := _questions(asked, label, batch):
            return [*questions, *waits]
        found = _Answer(label, batch, is_streamed=len(asked) > 1)
        in_batch = [_in_batch(each, batch) for each in asked]
        opens = in_batch != asked  # there is what cannot open it by itself

        def begin() -> bytes:
            self._current = found
            return found.open() if opens else b""

        def end() -> bytes:
            self._current = None
            return found.close()

        return [Then(begin), *in_batch, Then(end), *waits]

    def told(self, notice: Notice, request: object, written: bytes) -> bytes:
        """What is said to the client when it is told something, the answer to a request, or None;
        without labels that is `written`.
        """
        # A question may be answered late, when others are.
        if isinstance(request, How) and request is not AUTHENTICATE:
            if request.gathering is not None and not written:
                return b""  # it is answered with another
            if request.label:
                return answer(request.label, request.batch, written)
            return within(request.batch, written) if request.batch else written
        current = self._current
        if current is None or request is None or _is_for_one(notice):
            return written
        if isinstance(notice, notices.Closing):
            return current.end(written)
        return current.add(written)


def _is_for_one(notice: Notice) -> bool:
    """Whether it is told to whom it is for, as it would be of anybody else."""
    match notice:
        case notices.Told() | notices.Signalled("", to=""):
            return True
        case _:
            return False


def _questions(items: Sequence[Item], label: str, batch: str) -> list[Item]:
    """Questions that are answered by one notice or as one, with their label; none of all else."""
    found = [each for item in items if (each := _question(item, label, batch)) is not None]
    if len(found) == len(items) and (len(items) == 1 or all(map(_is_gathered, items))):
        return found
    return []


def _is_gathered(item: Item) -> bool:
    return isinstance(item, Asked) and isinstance(item.how, How) and item.how.gathering is not None


def _question(item: Item, label: str, batch: str) -> Item | None:
    """A question that is answered by one notice, with its label; None for all else."""
    match item:
        case Asked(request, How() as how) if how is not AUTHENTICATE:
            return Asked(request, how._replace(label=label, batch=batch))
        case _:
            return None


def _in_batch(item: Item, batch: str) -> Item:
    """One of several things that a line asks for; the same, where what comes of it is told when
    what it asks for is done.
    """
    if isinstance(item, Reply):
        return Reply(within(batch, item.data))
    return _question(item, "", batch) or item
