"""Who comes and who goes: told one by one, and in one line when it comes thick."""

from __future__ import annotations

from typing import Final, TypeAlias

from tcpchat_cli.terminal.render import Fragments, Line, Renderer, nick_list, system
from tcpchat_core.notices import AwaySet, Gone, Joined, Left, NameSet, Notice, Renamed

# Up to so many in a row are told one by one …
MAX_SINGLY: Final = 3

# … and so many names stand in the one line for all.
MAX_NAMES: Final = 3

Change: TypeAlias = Joined | Left | Gone | Renamed | AwaySet | NameSet


def is_change(notice: Notice) -> bool:
    """Whether a notice only tells that somebody else came, went, is away or has another name."""
    return isinstance(notice, Change) and not getattr(notice, "own", False)


def told(changes: list[Notice], renderer: Renderer) -> list[Line]:
    """The lines that tell what happened in a row."""
    if len(changes) <= MAX_SINGLY:
        return [line for change in changes for line in renderer.lines(change)]
    groups: dict[str, list[str]] = {}
    for change in changes:
        match change:
            case Joined(room, nick):
                groups.setdefault(f"joined {room}", []).append(nick)
            case Left(room, nick):
                groups.setdefault(f"left {room}", []).append(nick)
            case Gone(nick):
                groups.setdefault("gone", []).append(nick)
            case AwaySet(nick, why):
                groups.setdefault("away" if why else "back", []).append(nick)
            case Renamed(_, new):
                groups.setdefault("renamed", []).append(new)
            case NameSet(nick):
                groups.setdefault("with another real name", []).append(nick)
    text: Fragments = []
    for what, nicks in groups.items():
        names = nick_list(tuple(nicks), len(nicks), MAX_NAMES)
        text += [("", f"{', ' if text else ''}{len(nicks)} {what} ("), *names, ("", ")")]
    return [system(text)]
