"""Who was called what before: the last ones whose nick somebody else may have since.

Rule 1: Each node remembers what it has seen since it was started, by the log, and no more than
        `MAX_FORMER`: the oldest are forgotten first.

Rule 2: Of whom it was no more is told than while it was here, and not what it is called now.

Rule 3: Nobody was a guest-N: that tells nothing of who it was.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Final

from tcpchat_core import events, notices
from tcpchat_core.names import GUEST_PREFIX
from tcpchat_core.notices import FormerPerson, Rejected
from tcpchat_core.server.queries import may_look, told_name
from tcpchat_core.server.rate import ITEMS_A_LINE
from tcpchat_core.state import ChatState, NickChange
from tcpchat_core.state.refusals import ACCOUNTS_ONLY

# As many as are looked at for the price of one line.
MAX_FORMER: Final = ITEMS_A_LINE


class Former:
    """What one node remembers. Call `note` with what became of nicks by an entry."""

    def __init__(self, state: ChatState) -> None:
        self._state = state
        # With the keys of their nicks, oldest first.
        self._people: deque[tuple[str, FormerPerson]] = deque(maxlen=MAX_FORMER)

    def note(self, changes: Sequence[NickChange], at: int) -> None:
        """Remember who is called otherwise from now on, or is gone."""
        taken = {(each.key, each.id) for each in changes if each.is_taken}
        for key, nick, id, account, name, user, is_taken in changes:
            # Who has the same nick still has only written it in another way.
            is_kept = is_taken or (key, id) in taken
            if not is_kept and not key.startswith(GUEST_PREFIX):
                told = told_name(self._state, name, is_guest=not account)
                self._people.append((key, FormerPerson(nick, at, account, told, user)))

    def answer(self, conn: int, query: events.Whowas) -> notices.Notice:
        """Who was called so, the last one first."""
        if not may_look(self._state, conn):
            return Rejected("no-right", ACCOUNTS_ONLY, "whowas")
        people = [each for key, each in reversed(self._people) if key == query.nick_key]
        return notices.FormerPeople(query.nick, tuple(people[: query.limit or None]))
