"""A wall of text that was pasted: asked about once, then said line by line at the server's pace."""

from __future__ import annotations


class Paste:
    """The lines, and how far we are. The next line goes when the one before has its receipt."""

    def __init__(self, room: str, lines: list[str]) -> None:
        self.room = room
        self.lines = lines
        self.sent = 0
        self.agreed = False
        self.waits_for: str | None = None  # the id of the line without a receipt

    @classmethod
    def of(cls, room: str, text: str) -> Paste | None:
        """The paste, or None when the text is one line and can be edited like any other."""
        lines = [
            line
            for line in text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
            if line.strip()
        ]
        return cls(room, lines) if len(lines) > 1 else None

    def next_line(self) -> str | None:
        """The line to say now; None when all are said."""
        if self.sent == len(self.lines):
            return None
        self.sent += 1
        return self.lines[self.sent - 1]

    @property
    def progress(self) -> str:
        """What stands above the prompt meanwhile."""
        if not self.agreed:
            return f"say these {len(self.lines)} lines to {self.room}? y/n"
        return f"sending {self.sent}/{len(self.lines)} (Ctrl-C stops)"
