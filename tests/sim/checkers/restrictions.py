"""A restriction holds from its entry to its end, for every dialect and on every node.

What somebody says who may not (is muted there or everywhere, has to wait, or has no account where
that is needed) is shown to nobody, and has no receipt. Nobody comes into a room but by an entry
that lets it in; and nobody is here on whom the server is closed.
"""

from __future__ import annotations

from collections.abc import Iterable

from tcpchat_core.notices import Entered, HistoryPage, Said, SearchResults, Sent, Told
from tests.sim.model import REASONS, Model
from tests.sim.peers import Diary, Shown
from tests.sim.world import Checker, World


class Restrictions(Checker):
    def sampled(self, world: World) -> None:
        decisions = world.model.decisions
        now = max((entry.at for entry in world.entries[-1:]), default=0)
        for server in world.level:
            for person in (*server.state.connected(), *server.state.all_away()):
                for ban in decisions.server.in_force("ban", now):
                    if person.account and ban.name.key == person.account.key:
                        account = decisions.accounts.get(person.account.key)
                        if ban.who is account and account is not None and not account.is_admin:
                            world.violated(self, f"{person.nick} is here, and banned")

    def finished(self, world: World) -> None:
        for diary in world.diaries:
            for shown in diary.shown:
                model = world.branch_of(shown.server).model
                for text in _heard(shown):
                    reason = model.refused.get(text)
                    is_said = text in model.messages or text in model.directs
                    if reason in REASONS and not is_said:
                        wrong = f"{diary.owner} was shown {text[:20]!r}"
                        world.violated(self, f"{wrong}, whose author may not say it: {reason}")
                if isinstance(shown.notice, Entered) and not shown.notice.again:
                    self._entered(world, model, diary, shown.notice)

    def _entered(self, world: World, model: Model, diary: Diary, entered: Entered) -> None:
        person = model.characters.get(diary.person)
        stays = person.stays if person else ()
        if not any((stay.life.name, stay.at) == (entered.room, entered.at) for stay in stays):
            text = f"{diary.owner} came into {entered.room}, and no entry lets it in"
            world.violated(self, text)


def _heard(shown: Shown) -> Iterable[str]:
    match shown.notice:
        case Said(text=text) | Told(text=text):
            return (text,)
        case Sent():
            return (shown.text,)
        case Entered(history=said) | HistoryPage(messages=said) | SearchResults(messages=said):
            return [each.text for each in said]
        case _:
            return ()
