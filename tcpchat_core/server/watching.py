"""Who watches whom on this node, and is told when a nick comes to be somebody's, or nobody's.

Rule 1: Who watches whom knows its node alone, and it ends with the connection. Who comes, goes and
        is renamed knows every node, by the log.

Rule 2: A nick is here as long as it is somebody's: also while its connection is lost, and it may
        come back. No more is told than who wants that nick learns by asking for it.

Rule 3: Of one entry a watcher is told once of each nick, and only if that has changed by it.

Rule 4: Who may not look at who is here is not told.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from tcpchat_core import events, notices
from tcpchat_core.dialects import Flavour
from tcpchat_core.effects import Effect, Send
from tcpchat_core.events import MAX_WATCHED
from tcpchat_core.names import nick_key
from tcpchat_core.notices import Presence, Rejected
from tcpchat_core.server.connection import Connection
from tcpchat_core.server.queries import may_look
from tcpchat_core.state import ChatState, NickChange
from tcpchat_core.state.refusals import ACCOUNTS_ONLY

_FULL: Final = Rejected("too-many", f"one can watch {MAX_WATCHED} nicknames at a time", "watch")


class Watches:
    """Those of one node. Call `tell` with what became of nicks by an entry, and `forget` with each
    connection that is over.
    """

    def __init__(self, state: ChatState, connections: dict[int, Connection]) -> None:
        self._state = state
        self._connections = connections
        self._watchers: dict[str, dict[int, None]] = {}  # by key of a nick
        self._watched: dict[int, dict[str, str]] = {}  # by connection: keys, and as they were typed

    def answer(self, conn: int, query: events.Watch) -> notices.Notice:
        """Watch, or watch no more, and tell who is here."""
        if not may_look(self._state, conn):
            return Rejected("no-right", ACCOUNTS_ONLY, "watch")
        # Each once; what nobody can be called has no key, and is not watched.
        asked = {nick_key(nick) or nick: nick for nick in query.nicks}
        if query.what == "look":
            return self._presence(asked)
        watched = self._watched.get(conn, {})
        if query.what == "stop":
            for key in [*(asked or watched)]:
                self._stop(conn, key)
            return Presence()
        fresh = {key: nick for key, nick in asked.items() if nick_key(nick) and key not in watched}
        if len(watched) + len(fresh) > MAX_WATCHED:
            return _FULL
        for key, nick in fresh.items():
            self._watched.setdefault(conn, {})[key] = nick
            self._watchers.setdefault(key, {})[conn] = None
        return self._presence(asked or watched)

    def _presence(self, nicks: dict[str, str]) -> Presence:
        found = {key: self._state.named(key) for key in nicks}
        here = tuple([person.nick for person in found.values() if person is not None])
        gone = tuple([nick for key, nick in nicks.items() if found[key] is None])
        return Presence(here, gone)

    def _stop(self, conn: int, key: str) -> None:
        watched = self._watched.get(conn, {})
        if watched.pop(key, None) is None:
            return
        del self._watchers[key][conn]
        if not self._watchers[key]:
            del self._watchers[key]
        if not watched:
            del self._watched[conn]

    def forget(self, conn: int) -> None:
        """A connection is over."""
        for key in [*self._watched.get(conn, ())]:
            self._stop(conn, key)

    def tell(self, changes: Iterable[NickChange], effects: list[Effect]) -> None:
        """Tell those who watch what became of nicks by one entry."""
        first: dict[str, NickChange] = {}
        last: dict[str, NickChange] = {}
        for change in changes:
            if change.key in self._watchers:
                first.setdefault(change.key, change)
                last[change.key] = change
        for key, change in last.items():
            if change.is_taken is first[key].is_taken:
                self._tell(key, change, effects)

    def _tell(self, key: str, change: NickChange, effects: list[Effect]) -> None:
        nicks = (change.nick,)
        told = Presence(nicks, changed=True) if change.is_taken else Presence((), nicks, True)
        written: dict[Flavour, bytes] = {}
        for conn in self._watchers[key]:
            connection = self._connections[conn]
            if not connection.can_be_told or not may_look(self._state, conn):
                continue
            flavour = connection.flavour
            if flavour not in written:
                written[flavour] = flavour.encode(told)
            effects.append(Send(conn, written[flavour]))
