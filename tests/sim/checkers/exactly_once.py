"""A session that was in a room sees every message of that time, or is told of the gap.

What was shown of one stay in a room has no hole but where a gap was told. Nothing is missing at
the end either when the session was shown that it left, or when it is connected and still there as
all is over; otherwise it may have left, or ended, before it was shown the rest. (That nothing is
shown twice is `nothing_twice`.) So it is in a log that was lost, up to the
last that was shown of it.
"""

from __future__ import annotations

from tcpchat_core.notices import Gap, Left, Said, Sent
from tests.sim.branches import Branch
from tests.sim.model import Character, Stay
from tests.sim.peers import Diary, Shown
from tests.sim.world import Checker, World


class ExactlyOnce(Checker):
    def finished(self, world: World) -> None:
        for branch in (world.branch, *world.lost):
            wires = world.wires(branch)
            for diary in world.diaries:
                person = world.who(diary, branch)
                if person is None:
                    continue
                for stay in person.stays:
                    if diary.keeps:
                        self._check(world, branch, diary, person, stay)
                    elif person.conn in wires or _is_told_all(world, branch, diary):
                        self._check_at_most(world, diary, stay)

    def _check(
        self, world: World, branch: Branch, diary: Diary, person: Character, stay: Stay
    ) -> None:
        expected = [m for m in stay.life.messages if stay.covers(m.place)]
        seen: set[str] = set()
        heard: set[str] = set()  # in its place: a receipt may come after the stay
        gaps: dict[int, int] = {}  # where what is kept began, of what came before an entry
        lefts = 0
        left_on = (stay.life.name, stay.ended_on)
        for shown, upto in world.told_in(diary, branch):
            match shown.notice:
                case Said() if _place(world, shown) <= upto:
                    seen.add(shown.text)
                    heard.add(shown.text)
                case Sent() if _place(world, shown) <= upto:
                    seen.add(shown.text)
                case Gap(room, oldest) if room == stay.life.name:
                    gaps[upto] = max(gaps.get(upto, 0), oldest)
                case Left(room, own=True) if (room, shown.conn) == left_on:
                    lefts += 1
                case _:
                    pass
        earlier = [
            other
            for other in person.stays
            if other.life.name == stay.life.name
            and other.start < stay.start
            # Who was put out while it was away is told so when it is back.
            and (other.ended_on == stay.ended_on or other.was_put_out)
        ]
        is_complete = branch is world.branch and (
            # Of several stays that ended on one connection, the first goodbye is the first's.
            # Who was put out has no claim to what it had not been shown yet.
            lefts > len(earlier) and not stay.was_put_out and stay.end != person.gone_place
            if stay.end is not None
            else person.away_since is None and not person.gone
        )
        # … nor to what is replayed and not taken yet, when it is put out.
        resumed = branch.model.resumed.get(stay.ended_on or 0, (0, 0))[0] if stay.was_put_out else 0
        missing = [
            m
            for m in expected
            if m.text not in seen
            and m.place > resumed
            and not any(m.seq < oldest and m.place <= upto for upto, oldest in gaps.items())
        ]
        if not is_complete:
            last = max((m.place for m in expected if m.text in heard), default=0)
            missing = [m for m in missing if m.place < last]
        if missing:
            texts = [m.text[:20] for m in missing[:5]]
            world.violated(
                self, f"{diary.owner} was not shown {len(missing)} in {stay.life.name}: {texts}"
            )

    def _check_at_most(self, world: World, diary: Diary, stay: Stay) -> None:
        """One connection only, so it was shown all up to some place."""
        seen = {shown.text for shown in diary.shown}
        expected = [m for m in stay.life.messages if stay.covers(m.place)]
        places = [m.place for m in expected if m.text in seen]
        missing = [m for m in expected if m.text not in seen and m.place < max(places, default=0)]
        if missing:
            texts = [m.text[:20] for m in missing[:5]]
            world.violated(self, f"{diary.owner} has a hole in {stay.life.name}: {texts}")


def _is_told_all(world: World, branch: Branch, diary: Diary) -> bool:
    """Whether all that came over its connection is known, and was of this branch."""
    return diary.hears_all and all(world.branch_of(shown.server) is branch for shown in diary.shown)


def _place(world: World, shown: Shown) -> int:
    """The place of a message in the log of who told it; 0 if it is not there."""
    message = world.branch_of(shown.server).model.messages.get(shown.text)
    return message.place if message else 0
