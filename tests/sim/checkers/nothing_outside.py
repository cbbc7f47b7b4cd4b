"""Nobody outside a room is shown what is said there, and nobody is shown another's letters.

What is shown was said, as it is shown: in that room, by that nick. A member may be shown what was
said before it came (the history); nobody what was said after it left.
"""

from __future__ import annotations

from tcpchat_core.notices import Entered, HistoryPage, Said, Told
from tests.sim.model import Model
from tests.sim.peers import Diary
from tests.sim.world import Checker, World


class NothingOutside(Checker):
    def finished(self, world: World) -> None:
        for diary in world.diaries:
            for shown in diary.shown:
                model = world.branch_of(shown.server).model
                match shown.notice:
                    case Said():
                        self._check(world, model, diary, shown.notice)
                    case Entered(history=messages) | HistoryPage(messages=messages):
                        for said in messages:
                            self._check(world, model, diary, said)
                    case Told(text=text):
                        direct = model.directs.get(text)
                        if direct is None or diary.person not in direct.to:
                            world.violated(self, f"{diary.owner} was told {text[:20]!r}")
                    case _:
                        pass

    def _check(self, world: World, model: Model, diary: Diary, said: Said) -> None:
        message = model.messages.get(said.text)
        if message is None:
            world.violated(self, f"{diary.owner} was shown {said.text[:20]!r}, which nobody said")
        elif (message.life.name, message.nick) != (said.room, said.nick):
            world.violated(self, f"{said} was said by {message.nick} in {message.life.name}")
        elif not any(
            stay.end is None or message.place < stay.end
            for stay in model.stays_in(diary.person, message.life)
        ):
            text = f"{diary.owner} was shown {said.text[:20]!r} of {said.room}"
            world.violated(self, f"{text}, where it was not")
