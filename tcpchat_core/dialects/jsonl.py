"""JSON Lines: one JSON object per line, `type` first. For programs and for tcpchat-client.

The wire format is msgspec's encoding of the types in `events.py` and `notices.py`; there is no
parser of our own. Unknown fields are ignored, so that either side can be the newer one.
"""

from __future__ import annotations

import msgspec

from tcpchat_core.events import Request
from tcpchat_core.notices import Notice, Rejected
from tcpchat_core.sanitize import is_safe, sanitize

_request_decoder = msgspec.json.Decoder(Request)
_notice_decoder = msgspec.json.Decoder(Notice)
_encode = msgspec.json.Encoder().encode


class _Head(msgspec.Struct):
    """What there is of a request whose fields are wrong, to say which one it was."""

    type: str = ""
    id: str | None = None


_head_decoder = msgspec.json.Decoder(_Head)

# An id is echoed to its sender; this bounds what one can make us remember and repeat.
MAX_ID_CHARS = 64


class JsonLines:
    """The server's side of the dialect."""

    name = "jsonl"

    def decode(self, line: bytes) -> Request | Rejected | None:
        """What one line asks for; a blank line asks for nothing."""
        try:
            request: Request = _request_decoder.decode(line)
        except msgspec.ValidationError as error:
            return _bad_request(line, error)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            if not line.strip():
                return None
            return Rejected("bad-line", "a line must be one JSON object in UTF-8")
        if not _is_good_id(getattr(request, "id", None)):
            return Rejected(
                "bad-request",
                f"id has at most {MAX_ID_CHARS} characters, and no control characters",
                str(request.__struct_config__.tag),
            )
        return request

    def encode(self, notice: Notice) -> bytes:
        """One line, with its end."""
        return _encode(notice) + b"\n"


def encode_request(request: Request) -> bytes:
    """The client's side: one request as one line, with its end."""
    return _encode(request) + b"\n"


def decode_notice(line: bytes) -> Notice:
    """The client's side: the notice in one line.

    Raises ValueError (msgspec.DecodeError, UnicodeDecodeError) or RecursionError when it is none.
    """
    notice: Notice = _notice_decoder.decode(line)
    return notice


def _bad_request(line: bytes, error: msgspec.ValidationError) -> Rejected:
    """JSON it is, but no request: say which field is wrong, and which request it was."""
    type_, id_ = "", None
    try:
        head = _head_decoder.decode(line)
    except (ValueError, RecursionError):
        pass
    else:
        type_, id_ = head.type, head.id
    if not _is_good_id(id_):
        id_ = None
    return Rejected("bad-request", sanitize(str(error))[:200], sanitize(type_)[:24], id_)


def _is_good_id(id: str | None) -> bool:
    """Whether an id can be echoed as it is: a changed one would be no use to its sender."""
    return id is None or (len(id) <= MAX_ID_CHARS and is_safe(id))
