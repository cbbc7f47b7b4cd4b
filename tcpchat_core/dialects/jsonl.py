"""JSON Lines: one JSON object per line, `type` first. For programs and for tcpchat-client.

The wire format is msgspec's encoding of the types in `events.py` and `notices.py`; there is no
parser of our own. Unknown fields are ignored, so that either side can be the newer one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, get_args

import msgspec

from tcpchat_core.dialects import Flavour
from tcpchat_core.dialects.lines import LineReader
from tcpchat_core.events import Request
from tcpchat_core.notices import Notice, Rejected, Said
from tcpchat_core.sanitize import is_safe, sanitize

_request_decoder = msgspec.json.Decoder(Request)
_notice_decoder = msgspec.json.Decoder(Notice)
_encoder = msgspec.json.Encoder()
_encode = _encoder.encode


class _Head(msgspec.Struct):
    """What there is of a line whose fields are wrong, to say which one it was."""

    type: object = ""
    id: object = None


_head_decoder = msgspec.json.Decoder(_Head)

# An id is echoed to its sender; this bounds what one can make us remember and repeat.
MAX_ID_CHARS = 64


class Json(Flavour, frozen=True):
    """One line for each notice, the same for everybody."""

    def encode(self, notice: Notice) -> bytes:
        """One line, with its end."""
        return _encode(notice) + b"\n"

    def encode_said(self, said: Sequence[Said]) -> bytes:
        """All of them in one go."""
        return _encoder.encode_lines(said)


JSON: Final = Json()


class JsonLinesReader(LineReader):
    """The server's side of one connection."""

    flavour = JSON

    __slots__ = ()

    def decode(self, line: bytes) -> Request | Rejected | None:
        """What one line asks for; a blank line asks for nothing."""
        return decode_request(line)


class JsonLines:
    """The dialect, as a server is given it."""

    name = "jsonl"
    flavour = JSON
    comes_late = False

    def recognises(self, first: bytes) -> bool | None:
        """A program speaks first, and begins with an object."""
        return first[:1] == b"{" if first else None

    def reader(self) -> JsonLinesReader:
        """A reader for one more connection."""
        return JsonLinesReader()


def decode_request(line: bytes) -> Request | Rejected | None:
    """What one line asks for, or what is wrong with it; None for a blank line. Never raises."""
    try:
        request: Request = _request_decoder.decode(line)
    except msgspec.ValidationError as error:
        return _bad_request(line, error)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        if not line.strip():
            return None
        text = "a line must be one JSON object in UTF-8"
        return Rejected("bad-line", text, id=_echoed(_head(line)[1]))
    id = getattr(request, "id", None)
    if not is_good_id(id):
        return Rejected(
            "bad-request",
            f"id has at most {MAX_ID_CHARS} characters, and no control characters",
            str(request.__struct_config__.tag),
            _echoed(id),
        )
    return request


def encode_request(request: Request) -> bytes:
    """The client's side: one request as one line, with its end."""
    return _encode(request) + b"\n"


class UnknownTypeError(ValueError):
    """A notice of a type that this version does not know: the server is newer."""


def decode_notice(line: bytes) -> Notice:
    """The client's side: the notice in one line.

    Raises UnknownTypeError when it is one of a newer server, to be skipped; any other ValueError
    (msgspec.DecodeError, UnicodeDecodeError) or RecursionError when it is no notice.
    """
    try:
        notice: Notice = _notice_decoder.decode(line)
    except msgspec.ValidationError as error:
        if (type_ := _head(line)[0]) and type_ not in _NOTICE_TYPES:
            raise UnknownTypeError(type_) from error
        raise
    return notice


_NOTICE_TYPES = {notice.__struct_config__.tag for notice in get_args(Notice)}


def _bad_request(line: bytes, error: msgspec.ValidationError) -> Rejected:
    """JSON it is, but no request: say which field is wrong, and which request it was."""
    type_, id = _head(line)
    text, type_ = sanitize(str(error))[:200], sanitize(type_)[:24]
    return Rejected("bad-request", text, type_, _echoed(id))


def _head(line: bytes) -> tuple[str, str | None]:
    """Type and id of a line, each as far as it can be read; nothing else need be valid."""
    try:
        head = _head_decoder.decode(line)
    except (ValueError, RecursionError):
        return "", None
    return (
        head.type if isinstance(head.type, str) else "",
        head.id if isinstance(head.id, str) else None,
    )


def is_good_id(id: str | None) -> bool:
    """Whether a server takes the id."""
    return id is None or (len(id) <= MAX_ID_CHARS and is_safe(id))


def _echoed(id: str | None) -> str | None:
    """The id of a line that was refused, for its sender; a changed one would be no use to it."""
    return id if id is None or is_safe(id) else None
