"""Telnet's option negotiation (RFC 854), which some people's program mixes into what they type."""

from __future__ import annotations

from typing import Final

IAC: Final = b"\xff"
_SB, _SE, _WILL, _DONT = 250, 240, 251, 254

# A window size or terminal type has some tens of bytes.
MAX_TELNET_BYTES: Final = 256


def strip_telnet(data: bytes, pending: bytes) -> tuple[bytes, bytes]:
    """Take the negotiation out of what was read.

    `pending` is the start of a negotiation that the last read ended in. Returns the text, and
    the new pending bytes (never more than `MAX_TELNET_BYTES`: a longer subnegotiation is text).
    """
    if pending:
        data = pending + data
    text = bytearray()
    at = 0
    while (start := data.find(IAC, at)) >= 0:
        text += data[at:start]
        end = _negotiation_end(data, start)
        if end is None:
            return bytes(text), data[start:]
        at = end
    return bytes(text + data[at:]), b""


def _negotiation_end(data: bytes, start: int) -> int | None:
    """Where the negotiation that begins at `start` ends; None when it has not ended yet."""
    if start + 1 >= len(data):
        return None
    command = data[start + 1]
    if _WILL <= command <= _DONT:
        return start + 3 if start + 3 <= len(data) else None
    if command != _SB:
        return start + 2
    end = data.find(IAC + bytes([_SE]), start + 2, start + MAX_TELNET_BYTES)
    if end >= 0:
        return end + 2
    return start + 2 if len(data) - start >= MAX_TELNET_BYTES else None
