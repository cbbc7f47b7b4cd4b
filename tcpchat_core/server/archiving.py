"""What goes to an archive of what an entry has brought about."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from tcpchat_core.archive import Archived
from tcpchat_core.effects import Action, Broadcast
from tcpchat_core.events import Entry, Redact, Say
from tcpchat_core.notices import Redacted, Said
from tcpchat_core.state import ChatState

# The events of which something goes there.
_ARCHIVED: Final = (Say, Redact)


def what_was_said(state: ChatState, entry: Entry, actions: Iterable[Action]) -> Archived | None:
    """What an archive keeps of an entry that `state` has handled just now, with these actions; or
    what is left of what it has kept, when that was taken back.
    """
    event, person = entry.event, state.person(entry.conn)
    if isinstance(event, _ARCHIVED) and person is not None:
        for action in actions:
            match action:
                case Broadcast(_, Said() as said):
                    return Archived(entry.seq, event.key, person.key, said)
                case Broadcast(_, Redacted(room, seq, at=at, nick=nick)):
                    gone = Said(room, nick, "", seq, at, emote=True, redacted=True)
                    return Archived(entry.seq, event.key, "", gone)
                case _:
                    pass
    return None
