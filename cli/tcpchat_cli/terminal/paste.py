"""A wall of text that was pasted: asked about once, then said line by line at the server's pace."""

from __future__ import annotations

import msgspec

from tcpchat_core import events


class Paste:
    """The lines, and how far we are. The next line goes when the one before has its receipt."""

    def __init__(self, to: events.Say | events.Tell, lines: list[str]) -> None:
        self._to = to
        self.lines = lines
        self.sent = 0
        self.agreed = False
        self.waits_for: str | None = None  # the id of the line without a receipt

    @classmethod
    def of(cls, to: events.Say | events.Tell, text: str) -> Paste | None:
        """The paste, to where `to` goes; None when the text is one line and can be edited."""
        lines = [
            line
            for line in text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
            if line.strip()
        ]
        return cls(to, lines) if len(lines) > 1 else None

    def next_line(self) -> events.Say | events.Tell | None:
        """What to say now; None when all is said."""
        if self.sent == len(self.lines):
            return None
        self.sent += 1
        return msgspec.structs.replace(self._to, text=self.lines[self.sent - 1])

    @property
    def progress(self) -> str:
        """What stands above the prompt meanwhile."""
        if not self.agreed:
            to = self._to.room if isinstance(self._to, events.Say) else self._to.nick
            return f"say these {len(self.lines)} lines to {to}? y/n"
        return f"sending {self.sent}/{len(self.lines)} (Ctrl-C stops)"
