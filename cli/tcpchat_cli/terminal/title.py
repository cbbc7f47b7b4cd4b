"""The title of the terminal's window: where one is, and how much is unread."""

from __future__ import annotations

from typing import Final

from tcpchat_cli.terminal.notify import field

# Rooms have 32 characters at most; more than one sees of a title is of no use.
MAX_NAME_BYTES: Final = 96


def title(name: str, unread: int, mentions: int) -> str:
    """For example "tcpchat: lobby (3, 1 for you)"."""
    count = f"{unread}, {mentions} for you" if mentions else f"{unread}"
    place = f": {field(name, MAX_NAME_BYTES)}" if name else ""
    return f"tcpchat{place}{f' ({count})' if unread else ''}"
