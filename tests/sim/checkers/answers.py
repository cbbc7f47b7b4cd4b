"""What a message answers is what its author has answered, for everybody and on every node: one of
the same room, said before it; and what is shown of that is how it begins.

What was answered may be held no more when that is told: then nothing of it is shown.
"""

from __future__ import annotations

from tcpchat_core.events import Say
from tcpchat_core.notices import Entered, HistoryPage, Said, SearchResults, quoted
from tests.sim.branches import Branch
from tests.sim.peers import Diary, Shown
from tests.sim.world import Checker, World


class Answers(Checker):
    def finished(self, world: World) -> None:
        for diary in world.diaries:
            if not diary.keeps:
                continue  # whose program tells it in words
            for shown, branch, _ in world.told_by(diary):
                for said in _messages(shown):
                    self._check(world, diary, branch, said)

    def _check(self, world: World, diary: Diary, branch: Branch, said: Said) -> None:
        message = branch.model.messages.get(said.text)
        if message is None or said.redacted:
            return  # others look at these
        what = f"{diary.owner} was shown {said.text[:20]!r} as an answer to {said.re}"
        event = branch.entries[message.place - 1].event
        asked = event.re if isinstance(event, Say) else None
        if said.re != asked:
            world.violated(self, f"{what}, not to {asked}")
            return
        there = [each for each in message.life.messages if each.seq == said.re]
        if said.re is not None and not (there and said.re < message.seq):
            world.violated(self, f"{what}, which is none of before in {message.life.name}")
        elif said.quote is not None and said.quote != quoted(there[0].nick, there[0].text):
            world.violated(self, f"{what}, with {said.quote}, where that is {there[0].text[:20]!r}")


def _messages(shown: Shown) -> tuple[Said, ...]:
    match shown.notice:
        case Said() as said:
            return (said,)
        case Entered(history=messages) | HistoryPage(messages=messages):
            return messages
        case SearchResults(messages):
            return messages
        case _:
            return ()
