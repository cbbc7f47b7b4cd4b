"""The dialects: how requests and notices are written on a wire.

A dialect is two pure functions. `decode` takes one line and returns what it asks for, or the
`Rejected` that tells what was wrong with it, or None when there is nothing to do; no input makes
it raise. `encode` takes one notice and returns the bytes, ready to send; b"" when the dialect
does not tell such a thing. What it returns depends on nothing but the notice, so that one
encoding serves everybody.
"""

from __future__ import annotations

from typing import Protocol

from tcpchat_core.events import Request
from tcpchat_core.notices import Notice, Rejected


class Dialect(Protocol):
    """What every dialect gives."""

    name: str

    def decode(self, line: bytes) -> Request | Rejected | None:
        """What one line, without its end, asks for."""

    def encode(self, notice: Notice) -> bytes:
        """The whole lines that tell the notice."""
