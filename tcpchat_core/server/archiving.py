"""What goes to an archive of what an entry has brought about."""

from __future__ import annotations

from collections.abc import Iterable

from tcpchat_core.archive import Archived
from tcpchat_core.effects import Action, Broadcast
from tcpchat_core.events import Entry, Say
from tcpchat_core.notices import Said
from tcpchat_core.state import ChatState


def what_was_said(state: ChatState, entry: Entry, actions: Iterable[Action]) -> Archived | None:
    """What an archive keeps of an entry that `state` has handled just now, with these actions."""
    event, person = entry.event, state.person(entry.conn)
    if isinstance(event, Say) and person is not None:
        for action in actions:
            if isinstance(action, Broadcast) and isinstance(said := action.payload, Said):
                return Archived(entry.seq, event.key, person.key, said)
    return None
