"""The title of the terminal's window: where one is, and how much is unread."""

from __future__ import annotations

from typing import Final

from tcpchat_cli.terminal.notify import field
from tcpchat_cli.terminal.view import Unread
from tcpchat_cli.terminal.views import Views

# Rooms have 32 characters at most; more than one sees of a title is of no use.
MAX_NAME_BYTES: Final = 96


def title_of(views: Views, missed: Unread) -> str:
    """What is unread in all views, and what was `missed` of the one that is looked at."""
    unread = [missed, *(view.unread for view in views)]
    return title(
        views.current.title,
        sum(each.messages for each in unread),
        sum(each.mentions for each in unread),
    )


def title(name: str, unread: int, mentions: int) -> str:
    """For example "tcpchat: lobby (3, 1 for you)"."""
    count = f"{unread}, {mentions} for you" if mentions else f"{unread}"
    place = f": {field(name, MAX_NAME_BYTES)}" if name else ""
    return f"tcpchat{place}{f' ({count})' if unread else ''}"
