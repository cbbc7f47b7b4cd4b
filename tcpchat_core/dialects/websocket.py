"""The browser's dialect: HTTP until a page asks for a WebSocket, then JSON Lines, a line a frame.

A connection that only gets a file never becomes more than that: it is answered and ended before it
has said anything that is chat, so nobody hears of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, TypeAlias

from tcpchat_core.dialects import (
    CLOSED_THE_PAGE,
    MAX_FIRST_BYTES,
    AsFlavour,
    Flavour,
    Hangup,
    Item,
    Reply,
)
from tcpchat_core.dialects.frames import (
    CloseCode,
    End,
    FrameBuffer,
    FrameEvent,
    Ping,
    Text,
    close_frame,
    pong_frame,
    text_frame,
)
from tcpchat_core.dialects.http import Exchange, Site, begins_request, refused
from tcpchat_core.dialects.jsonl import JSON, decode_request
from tcpchat_core.notices import Closing, Notice


class BeforeUpgrade(Flavour, frozen=True):
    """HTTP: the only thing to be told is why there is no answer."""

    def encode(self, notice: Notice) -> bytes:
        """A response that is the last."""
        return refused(503, notice.reason) if isinstance(notice, Closing) else b""


class JsonFrames(Flavour, frozen=True):
    """One frame for each notice, the same for everybody.

    In it is a whole line. Its end is nothing to JSON; by it the fan-out sees where it may stop.
    """

    def encode(self, notice: Notice) -> bytes:
        """One frame; behind the last notice of all the one that says so to a browser."""
        frame = text_frame(JSON.encode(notice))
        if isinstance(notice, Closing):
            return frame + close_frame(
                CloseCode.NORMAL if notice.retry is None else CloseCode.GOING_AWAY
            )
        return frame


BEFORE_UPGRADE: Final = BeforeUpgrade()
JSON_FRAMES: Final = JsonFrames()

# What has come and was not looked at.
_Received: TypeAlias = FrameEvent | Reply | Hangup


class WebSocketReader(AsFlavour):
    """The server's side of one connection."""

    answers_pings = True
    opens_ahead = True
    opens_within_ms: int | None = None

    __slots__ = ("_received", "_source", "flavour")

    def __init__(self, site: Site) -> None:
        self.flavour: Flavour = BEFORE_UPGRADE
        # Where bytes go; None when no more count.
        self._source: Exchange | FrameBuffer | None = Exchange(site)
        # A tuple when there is none: thousands of readers have none, and share it.
        self._received: Sequence[_Received] = ()

    def begin(self, *, password_needed: bool) -> list[Item]:  # noqa: ARG002 # whoever speaks first does not ask
        """A browser speaks first."""
        return []

    def admitted(self) -> None:
        """Nothing changes: what a page sends says what it is."""

    def receive_data(self, data: bytes) -> None:
        """Take in what was read."""
        source = self._source
        if isinstance(source, Exchange):
            answer = source.receive_data(data)
            if answer is None:
                return
            self._received = [Reply(answer.data)]
            if not answer.upgrades:
                self.receive_eof()
                return
            self.flavour = JSON_FRAMES
            self._source = source = FrameBuffer()
            data = answer.rest
        if source is not None and (events := source.receive_data(data)):
            self._received = [*self._received, *events] if self._received else events
            if isinstance(events[-1], End):
                self._source = None

    def receive_eof(self) -> None:
        """The peer will send no more, or nothing that counts."""
        if self._source is not None:
            self._source = None
            self._received = [*self._received, Hangup("")]

    @property
    def waiting(self) -> bool:
        """Whether there is something to look at."""
        return bool(self._received)

    def requests(self, limit: int) -> list[Item]:
        """What the next messages ask for. Those that ask for nothing do not count."""
        items: list[Item] = []
        while self._received and len(items) < limit:
            some = limit - len(items)
            received, self._received = self._received[:some], self._received[some:] or ()
            items += [item for each in received if (item := _item(each)) is not None]
        return items


def _item(received: _Received) -> Item | None:
    """What there is to do about what has come; None when that is nothing."""
    match received:
        case Text(data):
            return decode_request(data)
        case Ping(data):
            return Reply(pong_frame(data))
        case End(frame, code):
            # Behind a close frame nothing may be sent (RFC 6455, section 5.5.1).
            gone = CLOSED_THE_PAGE if code == CloseCode.GOING_AWAY else ""
            return Hangup("", gone, frame)
        case _:
            return received


class WebSocket:
    """The dialect, as a server is given it. What browsers get is in `site`."""

    name = "websocket"
    flavour: Flavour = BEFORE_UPGRADE
    comes_late = False  # behind a greeting, no answer of ours would be one of HTTP

    def __init__(self, site: Site) -> None:
        self._site = site

    def recognises(self, first: bytes) -> bool | None:
        """A browser begins with the line of a request."""
        return begins_request(first[:MAX_FIRST_BYTES])

    def reader(self) -> WebSocketReader:
        """A reader for one more connection."""
        return WebSocketReader(self._site)
