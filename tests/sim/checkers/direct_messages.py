"""A direct message is shown to its person once, in order, or a gap is told; none is missing at
the end to a session that lives and is connected.
"""

from __future__ import annotations

from tcpchat_core.notices import Gap, Told
from tests.sim.peers import Diary
from tests.sim.world import Checker, World


class DirectMessages(Checker):
    def finished(self, world: World) -> None:
        for diary in world.diaries:
            if diary.person in world.model.characters:
                self._check(world, diary)

    def _check(self, world: World, diary: Diary) -> None:
        person = world.model.characters[diary.person]
        seen, covered = [], 0
        for shown in diary.shown:
            match shown.notice:
                case Told(text=text):
                    seen.append(text)
                case Gap("", oldest):
                    covered = oldest
                case _:
                    pass
        expected = [
            direct for direct in person.told if direct.seq >= covered or direct.text in seen
        ]
        texts = [told.text for told in expected]
        if not diary.keeps or person.gone or person.away_since is not None:
            texts = texts[: len(seen)]
        if seen != texts:
            world.violated(self, f"{diary.owner} was told {seen}; to it were sent {texts}")
