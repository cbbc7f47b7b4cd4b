"""Acknowledged means kept: a receipt is given for what the log holds, with its room, its number
and its time, and for nothing else.
"""

from __future__ import annotations

from tcpchat_core.notices import Sent
from tests.sim.peers import Diary, Shown
from tests.sim.world import Checker, World


class Receipts(Checker):
    def finished(self, world: World) -> None:
        for diary in world.diaries:
            for shown in diary.shown:
                if isinstance(shown.notice, Sent):
                    self._check(world, diary, shown, shown.notice)

    def _check(self, world: World, diary: Diary, shown: Shown, sent: Sent) -> None:
        model = world.branch_of(shown.server).model
        if sent.room is None:
            direct = model.directs.get(shown.text)
            is_true = direct is not None and direct.author == diary.person
        else:
            message = model.messages.get(shown.text)
            is_true = message is not None and (
                message.author,
                message.life.name,
                message.seq,
                message.at,
            ) == (diary.person, sent.room, sent.seq, sent.at)
        if not is_true:
            world.violated(self, f"{diary.owner} got {sent} for {shown.text[:20]!r}")
