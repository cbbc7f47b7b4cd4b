"""What can be answered by /reply: what others have said in rooms, as far as it was shown here.

The server would count what it has when the answer comes, and others may speak meanwhile. So it is
counted here, among what stands on the screen, and the server is told a number.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import msgspec

from tcpchat_cli.terminal.redactions import taken_back_by
from tcpchat_core import events, notices
from tcpchat_core.notices import Notice, Quote, Said, quoted

# Of all rooms together: more than anybody counts back. The oldest go first.
MAX_ANSWERABLE: Final = 4_000


class Answerable:
    """What others have said, by room and number. Tell it of each notice that is shown."""

    def __init__(self) -> None:
        self._said: dict[tuple[str, int], Quote] = {}  # in the order of being shown

    def note(self, notice: Notice, me: str) -> None:
        """Remember what a notice tells; `me` is one's own nick, whose words are no one else's."""
        self._forget(taken_back_by(notice))
        match notice:
            case Said():
                self._hear([notice], me)
            case notices.Entered(room, history=history, again=again):
                if not again:  # it may be another room of that name, which has numbers of its own
                    self._forget([place for place in self._said if place[0] == room])
                self._hear(history, me)
            case notices.HistoryPage(messages=messages):
                self._hear(messages, me)
            case notices.Welcome():
                self._said.clear()
            case notices.Resumed(rooms=rooms):
                common = {each.room: each.common for each in rooms if each.common is not None}
                places = [place for place in self._said if place[0] in common]
                self._forget([(room, seq) for room, seq in places if seq > common[room]])
            case _:
                pass

    def answering(self, say: events.Say) -> events.Say | None:
        """A message with the number of the one that it answers, where it counts back to one; None
        where so much was not shown.
        """
        if not say.back:
            return say
        numbers = sorted(seq for room, seq in self._said if room == say.room)
        if len(numbers) < say.back:
            return None
        return msgspec.structs.replace(say, re=numbers[-say.back], back=0)

    def quote(self, say: events.Say) -> Quote | None:
        """What the message says that is answered, as far as it is known here."""
        return None if say.re is None else self._said.get((say.room, say.re))

    def _hear(self, messages: Iterable[Said], me: str) -> None:
        for said in messages:
            if said.nick != me and not said.redacted:
                self._said[said.room, said.seq] = quoted(said.nick, said.text)
        while len(self._said) > MAX_ANSWERABLE:
            del self._said[next(iter(self._said))]

    def _forget(self, places: Iterable[tuple[str, int]]) -> None:
        for place in places:
            self._said.pop(place, None)
