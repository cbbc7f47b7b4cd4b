"""All members of a room see its messages in one order, with their own receipts in place.

The order is that of the log, so everybody is held against the log: what a session was shown of
one room, receipts included, goes up in it. A receipt may come late only for a message whose place
could not be shown: a gap was told over it, or its author had left the room. Where the log has lost
its end, it goes on behind what was not lost.
"""

from __future__ import annotations

from tcpchat_core.notices import Gap, Left, Said, Sent
from tests.sim.branches import Branch
from tests.sim.model import Message
from tests.sim.peers import Diary
from tests.sim.world import Checker, World


class OneOrder(Checker):
    def finished(self, world: World) -> None:
        for diary in world.diaries:
            self._check(world, diary)

    def _check(self, world: World, diary: Diary) -> None:
        told: dict[str, list[Message]] = {}  # by room, each behind the one before
        gaps: dict[str, int] = {}
        left: set[str] = set()
        for shown, branch, fork in world.told_by(diary):
            if fork is not None:  # what is told now stands in the place of what is lost
                told = {room: [m for m in told[room] if m.place <= fork] for room in told}
                for room in left:  # which is lost, and the client has let go of all it had seen
                    told.pop(room, None)
                left.clear()
            match shown.notice:
                case Left(room, own=True):
                    left.add(room)
                case Gap(room, oldest):
                    gaps[room] = oldest
                case Said(seq=seq) | Sent(room=str(), seq=int(seq)):
                    message = branch.model.messages.get(shown.text)
                    if message is None:
                        continue  # `receipts` and `nothing_outside` look at these
                    if diary.keeps and seq != message.seq:
                        text = f"{diary.owner} was shown {shown.text[:20]} as {seq}"
                        world.violated(self, f"{text}; the log has it as {message.seq}")
                    room = message.life.name
                    before = told.setdefault(room, [])
                    if not before or before[-1].place < message.place:
                        before.append(message)
                    elif not (isinstance(shown.notice, Sent) and self._late(branch, message, gaps)):
                        text = f"{diary.owner} was shown {shown.text[:20]!r} in {room}"
                        world.violated(self, f"{text} after {before[-1].text[:20]!r}")
                case _:
                    pass

    def _late(self, branch: Branch, message: Message, gaps: dict[str, int]) -> bool:
        if message.seq < gaps.get(message.life.name, 0):
            return True
        stays = branch.model.stays_in(message.author, message.life)
        return any(stay.covers(message.place) and stay.end is not None for stay in stays)
