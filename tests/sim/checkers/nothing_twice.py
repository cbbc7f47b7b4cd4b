"""Nothing is shown twice: no message, no direct message and no receipt, across reconnects too.

(The history that comes with entering a room is shown as such, and does not count.)
"""

from __future__ import annotations

from tcpchat_core.notices import Left, Said, Sent, Told
from tests.sim.world import Checker, World


class NothingTwice(Checker):
    def finished(self, world: World) -> None:
        for diary in world.diaries:
            seen: dict[str, int] = {}  # and the place of its entry
            rooms: dict[str, str | None] = {}
            left: set[str | None] = set()
            for shown, branch, fork in world.told_by(diary):
                if fork is not None:  # what is lost, and had no receipt yet, is said again
                    seen = {
                        text: place
                        for text, place in seen.items()
                        if place <= fork and rooms.get(text) not in left
                    }
                    left.clear()
                if isinstance(shown.notice, Left) and shown.notice.own:
                    left.add(shown.notice.room)  # should this be lost, all is told again
                if isinstance(shown.notice, Said | Told):
                    key = shown.text
                elif isinstance(shown.notice, Sent) and shown.notice.id is not None:
                    # One's own message is shown by its receipt, or as said in a replay. A direct
                    # message to oneself comes as both.
                    key = shown.text if shown.notice.room else f"receipt of {shown.text}"
                else:
                    continue
                if key in seen:
                    world.violated(self, f"{diary.owner} was shown {key[:30]!r} twice")
                said = branch.model.messages.get(shown.text) or branch.model.directs.get(shown.text)
                seen[key] = said.place if said else 0
                rooms[key] = shown.notice.room if isinstance(shown.notice, Said | Sent) else None
        for text in world.model.said_again:
            if text in world.spoken:
                world.violated(self, f"{text[:30]!r} is in the log twice")
