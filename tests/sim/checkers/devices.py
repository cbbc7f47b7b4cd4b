"""Several devices of an account are one person: they have one nick and are in the same rooms, and
what is said there, and by whom of them, all of them are shown; so it is with letters.
"""

from __future__ import annotations

from itertools import combinations

from tcpchat_core.notices import Gap, Said, Sent, Told
from tests.sim.model import Character
from tests.sim.peers import Diary
from tests.sim.world import Checker, World


class Devices(Checker):
    def sampled(self, world: World) -> None:
        for server in world.here:
            if server.is_deaf:
                continue
            for account in server.state.accounts():
                looks = {(each.nick, tuple(each.rooms)) for each in account.present}
                if len(looks) > 1:
                    world.violated(self, f"{account.nick} is several on {server.number}: {looks}")

    def finished(self, world: World) -> None:
        diaries = {diary.person: diary for diary in world.diaries if diary.keeps}
        there = [
            Device(who, diaries[who.id])
            for who in world.model.speaking.values()
            if who.account is not None and who.id in diaries
        ]
        for one, other in combinations(there, 2):
            if one.who.account is other.who.account:
                self._check(world, one, other)

    def _check(self, world: World, one: Device, other: Device) -> None:
        came = max(one.who.account_place, other.who.account_place)
        for key, stay in one.who.rooms.items():
            if key not in other.who.rooms:
                continue  # `sampled` has seen it
            since = max(came, stay.start, other.who.rooms[key].start)
            name = stay.life.name
            oldest = max(one.gaps.get(name, 0), other.gaps.get(name, 0))
            for message in stay.life.messages:
                if message.place > since and message.seq >= oldest:
                    self._are_alike(world, message.text, one, other)
        if "" in one.gaps or "" in other.gaps:
            return
        for direct in (*one.who.told, *other.who.told):
            if direct.place > came:
                self._are_alike(world, direct.text, one, other)

    def _are_alike(self, world: World, text: str, one: Device, other: Device) -> None:
        if (text in one.shown) != (text in other.shown):
            has, lacks = (one, other) if text in one.shown else (other, one)
            wrong = f"{has.owner} was shown {text[:20]!r}, and {lacks.owner} was not"
            world.violated(self, f"{wrong}, on another device of the same account")


class Device:
    """Somebody who is here on one device at the end, and what it was shown there."""

    def __init__(self, who: Character, diary: Diary) -> None:
        self.who, self.owner = who, diary.owner
        self.shown: set[str] = set()
        self.gaps: dict[str, int] = {}  # by room, the last that was told
        for shown in diary.shown:
            match shown.notice:
                case Said() | Sent() | Told():
                    self.shown.add(shown.text)
                case Gap(room, oldest):
                    self.gaps[room] = max(self.gaps.get(room, 0), oldest)
                case _:
                    pass
