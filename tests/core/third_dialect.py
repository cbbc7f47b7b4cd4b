"""A third dialect, to see that a server needs to know of none: netstrings.

A frame is `<bytes>:<payload>,` (https://cr.yp.to/proto/netstrings.txt). What a peer sends are typed
lines, and two more: `.open PASSWORD` and `.mark N`. What it is told begins with its mark, then
names the reader of an answer (`*` stands for everybody), then comes the notice as JSON. So the
flavour changes when a peer asks for another mark, in mid-connection.
"""

from __future__ import annotations

from collections import deque

from tcpchat_core.dialects import Flavour, Hangup, Item, Reply
from tcpchat_core.dialects.jsonl import JSON
from tcpchat_core.dialects.plain import decode_line
from tcpchat_core.events import Open
from tcpchat_core.framing import MAX_LINE_BYTES
from tcpchat_core.notices import Notice


def netstring(payload: bytes) -> bytes:
    """One frame."""
    return b"%d:%s," % (len(payload), payload)


def take_frames(data: bytearray, longest: int = MAX_LINE_BYTES) -> tuple[list[bytes], str]:
    """Take the whole frames out of `data`. Returns them, and what is wrong behind the last one."""
    most_digits = len(str(longest))
    frames: list[bytes] = []
    at, wrong = 0, ""
    while (colon := data.find(b":", at, at + most_digits + 1)) >= 0:
        digits = bytes(data[at:colon])
        if not digits.isdigit() or int(digits) > longest:
            wrong = "a frame begins with its length"
            break
        end = colon + 1 + int(digits)
        if end >= len(data):
            break
        if data[end : end + 1] != b",":
            wrong = "a frame ends with a comma"
            break
        frames.append(bytes(data[colon + 1 : end]))
        at = end + 1
    if colon < 0 and len(data) - at > most_digits:
        wrong = "a frame begins with its length"
    del data[:at]
    return frames, wrong


class Marked(Flavour, frozen=True):
    """Frames for a peer that has chosen a mark."""

    mark: int = 0

    def encode(self, notice: Notice) -> bytes:
        """What everybody is told is for nobody in particular."""
        return self.encode_for("*", notice, None)

    def encode_for(self, nick: str, notice: Notice, request: object) -> bytes:  # noqa: ARG002 # it is not repeated
        """An answer names its reader."""
        told = JSON.encode(notice).rstrip(b"\n")
        return netstring(b"%d %s %s" % (self.mark, nick.encode() or b"*", told))


class NetstringReader:
    """The server's side of one connection."""

    answers_pings = False
    opens_ahead = False
    opens_within_ms: int | None = None

    def __init__(self) -> None:
        self.flavour = Marked()
        self._data = bytearray()
        self._frames: deque[bytes | Hangup] = deque()

    def begin(self, *, password_needed: bool) -> list[Item]:
        """Who needs no password is in."""
        return [] if password_needed else [Open()]

    def admitted(self) -> None:
        """Nothing changes: what is sent says what it is."""

    def receive_data(self, data: bytes) -> None:
        """Take in what was read."""
        self._data += data
        frames, wrong = take_frames(self._data)
        self._frames += frames
        if wrong:
            self._frames.append(Hangup(wrong))
            self._data.clear()

    def receive_eof(self) -> None:
        """The peer will send no more."""
        self._frames.append(Hangup(""))

    @property
    def waiting(self) -> bool:
        """Whether there is a frame to look at."""
        return bool(self._frames)

    @property
    def held_bytes(self) -> int:
        """How much is held, with what is no whole frame yet."""
        frames = (len(frame) for frame in self._frames if isinstance(frame, bytes))
        return sum(frames) + len(self._data)

    def requests(self, limit: int) -> list[Item]:
        """What the next frames ask for."""
        items: list[Item] = []
        while self._frames and len(items) < limit:
            if (item := self._item(self._frames.popleft())) is not None:
                items.append(item)
        return items

    def _item(self, frame: bytes | Hangup) -> Item | None:
        if isinstance(frame, Hangup):
            return frame
        if frame.startswith(b".open "):
            return Open(frame.removeprefix(b".open "))
        if frame.startswith(b".mark ") and (digits := frame.removeprefix(b".mark ")).isdigit():
            self.flavour = Marked(int(digits[:9]))
            return Reply(netstring(b"%d marked" % self.flavour.mark))
        return decode_line(frame)


class Netstrings:
    """The dialect, as a server is given it."""

    name = "netstrings"
    flavour = Marked()

    def recognises(self, first: bytes) -> bool | None:
        """A program speaks first, and begins with a length."""
        return first[:1].isdigit() if first else None

    def reader(self) -> NetstringReader:
        """A reader for one more connection."""
        return NetstringReader()
