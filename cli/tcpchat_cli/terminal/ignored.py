"""Whom one does not want to read: nothing that they say is shown, until one says otherwise."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec

from tcpchat_core import Notice, notices
from tcpchat_core.names import nick_key


class Ignored:
    """Nicks, each as it was typed; a nick is the same however it is written."""

    def __init__(self) -> None:
        self._nicks: dict[str, str] = {}  # by their keys

    def __iter__(self) -> Iterator[str]:
        return iter(self._nicks.values())

    def ignore(self, nick: str) -> str:
        """Ignore somebody, or with "" nobody more; what is told of it."""
        if not nick:
            return f"you ignore {', '.join(self) or 'nobody'}"
        self._nicks[_key(nick)] = nick
        return f"{nick} is ignored until you /unignore {nick}"

    def unignore(self, nick: str) -> str:
        """Show somebody again; what is told of it."""
        found = self._nicks.pop(_key(nick), None)
        return f"{nick} is shown again" if found else f"{nick} was not ignored"

    def has(self, nick: str) -> bool:
        """Whether somebody is ignored."""
        return bool(self._nicks) and _key(nick) in self._nicks

    def shown(self, messages: Iterable[notices.Said]) -> tuple[notices.Said, ...]:
        """Messages of before, without those that are hidden, and without what is hidden in them."""
        shown = (self.without(said) for said in messages if not self.hides(said))
        return tuple(said for said in shown if isinstance(said, notices.Said))

    def without(self, notice: Notice) -> Notice:
        """A notice of somebody else, without what somebody has said who is ignored."""
        match notice:
            case notices.Said(quote=notices.Quote(nick)) if self.has(nick):
                return msgspec.structs.replace(notice, quote=None)
            case _:
                return notice

    def hides(self, notice: Notice) -> bool:
        """Whether it was said by somebody who is ignored."""
        match notice:
            case notices.Said(nick=nick) | notices.Told(nick=nick, to=""):
                return self.has(nick)
            case _:
                return False


def _key(nick: str) -> str:
    return nick_key(nick) or nick
