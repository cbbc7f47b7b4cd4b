"""What was said in the rooms that one is in but does not look at."""

from __future__ import annotations


class Unread:
    """How much was said in a room since one last looked at it."""

    def __init__(self) -> None:
        self.messages = 0
        self.mentions = 0

    def __bool__(self) -> bool:
        return self.messages > 0

    def add(self, *, mention: bool) -> None:
        """One more."""
        self.messages += 1
        self.mentions += mention

    def summary(self) -> str:
        """For example "3 messages, 1 for you"."""
        messages = "1 message" if self.messages == 1 else f"{self.messages} messages"
        return f"{messages}, {self.mentions} for you" if self.mentions else messages
