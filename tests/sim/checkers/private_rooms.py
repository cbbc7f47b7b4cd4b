"""What is said in a private room is for those who are in it, and who was put out hears no more.

What was said while a room was private is shown to nobody, in no dialect and no answer, but who was
there, or was let in before it was opened again. And from when somebody is told that it is in a room
no more, nothing of that room comes over its connection until it is told that it is in it again.
"""

from __future__ import annotations

from tcpchat_core.notices import (
    Entered,
    Gap,
    HistoryPage,
    Joined,
    Left,
    Lifted,
    Members,
    ModeSet,
    Notice,
    ReadUpTo,
    Restricted,
    Resumed,
    RoleSet,
    Said,
    SearchResults,
    TopicSet,
)
from tests.sim.model import Message, Model
from tests.sim.peers import Wire
from tests.sim.world import Checker, World


class PrivateRooms(Checker):
    def finished(self, world: World) -> None:
        for diary in world.diaries:
            for shown in diary.shown:
                model = world.branch_of(shown.server).model
                for said in _messages(shown.notice):
                    message = model.messages.get(said.text)
                    if message is not None and not _is_for(model, diary.person, message):
                        text = f"{diary.owner} was shown {said.text[:20]!r} of {said.room}"
                        world.violated(self, f"{text}, which was private")
        for wire in world.all_wires:
            self._check_wire(world, wire)

    def _check_wire(self, world: World, wire: Wire) -> None:
        outside: set[str] = set()
        for notice in wire.notices:
            match notice:
                case Left(room, own=True):
                    outside.add(room)
                case Entered(room):
                    outside.discard(room)
                case Resumed(rooms=rooms):
                    outside -= {state.room for state in rooms}
                case _ if outside and _room_of(notice) in outside:
                    world.violated(
                        self, f"connection {wire.conn} is outside, and was sent {notice}"
                    )
                case _:
                    pass


def _room_of(notice: Notice) -> str:
    match notice:
        case (
            Said(room)
            | Joined(room)
            | Left(room)
            | TopicSet(room)
            | Gap(room)
            | HistoryPage(room)
            | Members(room)
            | Restricted(room)
            | Lifted(room)
            | RoleSet(room)
            | ModeSet(room)
            | ReadUpTo(room)
        ):
            return room
        case _:
            return ""


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
