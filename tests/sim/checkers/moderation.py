"""Moderators do what people are told that they do, and nobody else does; and it holds.

What was told of a moderator was done by one who had the right, as the log says. Nobody came into a
room but by an entry that let it in. Who was refused had to be, each time. And what was said while a
room was private is shown to nobody but who was there, or was let in, before it was opened again.
"""

from __future__ import annotations

from collections import Counter

from tcpchat_core.notices import (
    Entered,
    HistoryPage,
    Invited,
    Left,
    Lifted,
    ModeSet,
    Notice,
    Rejected,
    Restricted,
    RoleSet,
    Said,
    SearchResults,
)
from tests.sim.model import Message, Model
from tests.sim.peers import Diary
from tests.sim.world import Checker, World

REASONS = ("banned", "muted", "private")


def act(notice: Notice) -> tuple[object, ...] | None:
    """What a notice says that a moderator has done, as the model has it."""
    match notice:
        case Left(room, nick, by=by, at=at, until=until) if by:
            return ("left", room, nick, by, at, until)
        case Restricted(room, nick, what, until, by):
            return ("restricted", room, nick, what, until, by)
        case Lifted(room, _, what, by):
            return ("lifted", room, what, by)
        case RoleSet(room, nick, role, by):
            return ("role", room, nick, role, by)
        case ModeSet(room, by, _, moderated, private):
            return ("mode", room, by, moderated, private)
        case Invited(room, by, _, at, nick):
            return ("invited", room, nick, by, at)
        case _:
            return None


class Moderation(Checker):
    def finished(self, world: World) -> None:
        for diary in world.diaries:
            refused: Counter[str] = Counter()
            for shown in diary.shown:
                model, notice = world.branch_of(shown.server).model, shown.notice
                done = act(notice)
                # The nick in one's own is that of now.
                if isinstance(notice, Restricted) and notice.own:
                    done = None
                if done is not None and done not in model.acts:
                    world.violated(self, f"{diary.owner} was told of {done}, which nobody could do")
                match notice:
                    case Entered(room, at=at, again=False):
                        self._entered(world, model, diary, room, at)
                    case Rejected(reason) if reason in REASONS:
                        refused[reason] += 1
                        if refused[reason] > model.refusals[diary.person, reason]:
                            world.violated(self, f"{diary.owner} was refused: {reason}")
                    case _:
                        pass
                for said in _messages(notice):
                    message = model.messages.get(said.text)
                    if message is not None and not _is_for(model, diary.person, message):
                        text = f"{diary.owner} was shown {said.text[:20]!r} of {said.room}"
                        world.violated(self, f"{text}, which was private")

    def _entered(self, world: World, model: Model, diary: Diary, room: str, at: int) -> None:
        person = model.characters.get(diary.person)
        stays = person.stays if person else ()
        if not any((stay.life.name, stay.at) == (room, at) for stay in stays):
            world.violated(self, f"{diary.owner} came into {room}, and no entry lets it in")


def _messages(notice: Notice) -> tuple[Said, ...]:
    match notice:
        case Said():
            return (notice,)
        case Entered(history=messages) | HistoryPage(_, messages) | SearchResults(messages):
            return messages
        case _:
            return ()


def _is_for(model: Model, person: int, message: Message) -> bool:
    """Whether somebody was there, or was let in, before what was private was so no more."""
    for closed in message.life.closed:
        end = closed[1] if len(closed) > 1 else None
        if closed[0] < message.place and (end is None or message.place < end):
            return any(
                (stay.end is None or stay.end > message.place) and (end is None or stay.start < end)
                for stay in model.stays_in(person, message.life)
            )
    return True
