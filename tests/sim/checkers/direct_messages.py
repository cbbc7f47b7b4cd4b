"""A direct message is shown to its person once, in order, or a gap is told; none is missing at
the end to a session that lives and is connected.
"""

from __future__ import annotations

from tcpchat_core.notices import Gap, Resumed, Told
from tests.sim.branches import Branch
from tests.sim.model import Character
from tests.sim.peers import Diary
from tests.sim.world import Checker, World, is_told_again


class DirectMessages(Checker):
    def finished(self, world: World) -> None:
        for branch in (world.branch, *world.lost):
            for diary in world.diaries:
                if person := world.who(diary, branch):
                    self._check(world, branch, diary, person)

    def _check(self, world: World, branch: Branch, diary: Diary, person: Character) -> None:
        seen = []
        gaps: dict[int, int] = {}  # where what is kept began, of what came before an entry
        for shown, upto in world.told_in(diary, branch):
            match shown.notice:
                case Told(text=text):
                    direct = world.branch_of(shown.server).model.directs.get(text)
                    if direct is None or direct.place <= upto:  # else it was told of another log
                        seen.append(text)
                case Resumed() if is_told_again(world.branch_of(shown.server), shown):
                    seen.clear()
                case Gap("", oldest):
                    gaps[upto] = oldest
                case _:
                    pass
        texts = [
            direct.text
            for direct in person.told
            if direct.text in seen
            or not any(direct.seq < to and direct.place <= upto for upto, to in gaps.items())
        ]
        is_over = branch is not world.branch
        if is_over or not diary.keeps or person.gone or person.away_since is not None:
            texts = texts[: len(seen)]
        if seen != texts:
            world.violated(self, f"{diary.owner} was told {seen}; to it were sent {texts}")
