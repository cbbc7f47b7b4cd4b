"""A third dialect, to see that a server needs to know of none: netstrings.

A frame is `<bytes>:<payload>,` (https://cr.yp.to/proto/netstrings.txt). What a peer sends are typed
lines, and more: `.open PASSWORD`, `.mark N`, `.how WORD LINE`, `.count`, `.wait`. What it is told
begins with its mark, then names the reader of an answer (`*` stands for everybody), then comes the
notice as JSON. So the flavour changes when a peer asks for another mark, in mid-connection.

What answers a line that was asked with a word has that word in the place of the reader's name; and
the reader counts what its peer alone was told.
"""

from __future__ import annotations

from collections import deque

from tcpchat_core.dialects import Asked, Encoder, Flavour, Hangup, Item, Reply, Wait
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

    def encode_for(self, nick: str, notice: Notice, request: object) -> bytes:
        """An answer names its reader, or how it was asked for."""
        told = JSON.encode(notice).rstrip(b"\n")
        if isinstance(request, str):
            nick = request
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
        self.told = 0

    @property
    def acknowledges(self) -> bool:
        """A peer is sent receipts."""
        return self.flavour.acknowledges

    def encode_for(self, nick: str, notice: Notice, request: object) -> bytes:
        """The flavour says how."""
        self.told += 1
        return self.flavour.encode_for(nick, notice, request)

    def encoder(self) -> Encoder:
        """The same, for what is written later."""
        self.told += 1
        return self.flavour.encode_for

    def encode_receipt(self, receipt: Notice, notice: Notice) -> bytes:
        """The flavour says how."""
        self.told += 1
        return self.flavour.encode_receipt(receipt, notice)

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
            if isinstance(item, Wait):
                break
        return items

    def _item(self, frame: bytes | Hangup) -> Item | None:
        if isinstance(frame, Hangup):
            return frame
        if frame.startswith(b".open "):
            return Open(frame.removeprefix(b".open "))
        if frame.startswith(b".mark ") and (digits := frame.removeprefix(b".mark ")).isdigit():
            self.flavour = Marked(int(digits[:9]))
            return Reply(netstring(b"%d marked" % self.flavour.mark))
        if frame == b".count":
            return Reply(netstring(b"%d told" % self.told))
        if frame == b".wait":
            return Wait()
        if frame.startswith(b".how "):
            word, _, line = frame.removeprefix(b".how ").partition(b" ")
            asked = decode_line(line)
            return None if asked is None else Asked(asked, word.decode(errors="replace"))
        return decode_line(frame)


class Netstrings:
    """The dialect, as a server is given it."""

    name = "netstrings"
    flavour = Marked()
    comes_late = False

    def recognises(self, first: bytes) -> bool | None:
        """A program speaks first, and begins with a length."""
        return first[:1].isdigit() if first else None

    def reader(self) -> NetstringReader:
        """A reader for one more connection."""
        return NetstringReader()
