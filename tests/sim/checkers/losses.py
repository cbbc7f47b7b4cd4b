"""What is lost is told. The log may lose its end when an engine is lost: only what no node has that
could put it back; and then it goes on with the name of another epoch, behind what it has kept.

A session that was told anything of what is lost is told so when it is resumed: of messages in
rooms, by what the room has in common with what it has seen, or by a gap; of direct messages, by a
gap. It has the name of the new epoch in the end, and has seen nothing that is not in the log.
"""

from __future__ import annotations

from tcpchat_core import events
from tcpchat_core.notices import Gap, Resumed, Said, Sent, Told
from tests.sim.branches import Branch
from tests.sim.peers import Diary
from tests.sim.world import Checker, World


class Losses(Checker):
    def opened(self, world: World, before: Branch) -> None:
        assert world.cluster is not None, "it has engines"
        place = before.common(world.branch)
        for member, seq in world.cluster.repairers.items():
            if seq > place:
                number = member.server and member.server.number
                text = f"the log is lost behind {place}, and node {number} has it up to {seq}"
                world.violated(self, text)
        if place < len(before.entries) and not world.cluster.sharing.is_lossy:
            world.violated(self, f"the log is lost behind {place}")

    def finished(self, world: World) -> None:
        later = [*world.lost[1:], world.branch] if world.lost else []
        for branch, after in zip(world.lost, later, strict=True):
            place = branch.common(after)
            if place >= len(branch.entries):
                continue  # nobody was told what is lost
            first = after.entries[place : place + 1]
            if first and not isinstance(first[0].event, events.Diverge):
                world.violated(self, f"the log is lost behind {place}, and does not say so")
        for diary in world.diaries:
            if diary.keeps:
                self._check(world, diary)
        for person in world.people:
            who = world.model.speaking.get(person.conn)
            if who is None or not person.open or person.retired:
                continue
            if who.session and person.protocol.epoch != world.model.epochs[-1][0]:
                world.violated(self, f"{person.name} is in the epoch {person.protocol.epoch}")
            for stay in who.rooms.values():
                view = person.protocol.rooms.get(stay.life.name)
                last = stay.life.base + len(stay.life.messages)
                if view is not None and view.seq > last:
                    text = f"{person.name} has seen {view.seq} of {last} in {stay.life.name}"
                    world.violated(self, text)

    def _check(self, world: World, diary: Diary) -> None:
        lost: dict[str, list[int]] = {}  # the numbers of what it was shown, by room
        seen: dict[tuple[str, int], int] = {}  # the places of what it was shown
        for shown, branch, fork in world.told_by(diary):
            if fork is not None:
                for (room, seq), place in [*seen.items()]:
                    if place > fork:
                        lost.setdefault(room, []).append(seq)
                        del seen[room, seq]
            match shown.notice:
                case Said(room, seq=seq) | Sent(room=str(room), seq=int(seq)):
                    message = branch.model.messages.get(shown.text)
                    seen[room, seq] = message.place if message else 0
                case Told(seq=seq):
                    direct = branch.model.directs.get(shown.text)
                    seen["", seq] = direct.place if direct else 0
                case Resumed(rooms=rooms):
                    common = {state.room: state.common for state in rooms}
                    for room in [*lost]:
                        known = common.get(room)
                        if room and (room not in common or _covers(known, lost[room])):
                            del lost[room]
                case Gap(room):
                    lost.pop(room, None)
                case _:
                    pass
        if lost and world.who(diary, world.branch) is not None:
            where = {room: numbers[:5] for room, numbers in lost.items()}
            text = f"{diary.owner} was not told that it has seen what is lost: {where}"
            world.violated(self, text)


def _covers(common: int | None, numbers: list[int]) -> bool:
    """Whether it is said that numbers are those of others."""
    return common is not None and common < min(numbers)
