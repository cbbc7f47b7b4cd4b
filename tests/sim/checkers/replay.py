"""What a connection is sent of a room goes on exactly where its hello said, without a step back.
(Where the session came into the room later than that, it goes on from there. Where it is put out
before it has taken what it had missed, it is sent no more of that.)

The client drops what it has seen, so this is checked on the wire: after `resumed`, and for as
long as the connection lasts, each number is one above the one before, or a gap says from where it
goes on. Joins and topics carry the number that the connection is at.
"""

from __future__ import annotations

from tcpchat_core.notices import (
    Entered,
    Gap,
    Joined,
    Left,
    Notice,
    Resumed,
    Said,
    Sent,
    Told,
    TopicSet,
)
from tests.sim.model import Model
from tests.sim.peers import Wire
from tests.sim.world import Checker, World


class Replay(Checker):
    def finished(self, world: World) -> None:
        for branch in (world.branch, *world.lost):
            for wire in world.wires(branch).values():
                self._check(world, branch.model, wire)

    def _check(self, world: World, model: Model, wire: Wire) -> None:
        at: dict[str, int | None] = {}  # None: the next number may be any
        told = 0
        lost: set[str] = set()  # rooms of which it has seen what is lost
        cut: set[str] = set()  # rooms of which the replay may have been cut

        def wrong(what: object) -> None:
            world.violated(self, f"connection {wire.conn}, at {at}, was sent {what}")

        for notice in wire.notices:
            if cut and (live := _live_in(model, wire, notice)) in cut:
                cut.discard(live)
                at[live] = None
            match notice:
                case Resumed() if wire.conn not in model.resumed:
                    wrong(notice)
                    return
                case Resumed(rooms=rooms):
                    where, person = model.resumed[wire.conn]
                    common = model.common_told(model.characters[person], wire.epoch, where)
                    told = wire.told if common is None else min(wire.told, common)
                    lost = {""} if told < wire.told else set()
                    at = {room.room: _start(model, wire, room.room, lost) for room in rooms}
                    cut = _put_out_of(model, wire)
                case Entered(room, seq=seq, again=again):
                    if again and at.get(room) not in (None, seq):
                        wrong(notice)
                    at[room] = seq
                case Gap("", oldest):
                    if oldest <= told + ("" not in lost):
                        wrong(notice)
                    told = oldest - 1
                case Gap(room, oldest):
                    place = at.get(room)
                    if place is not None and oldest <= place + (room not in lost):
                        wrong(notice)
                    at[room] = oldest - 1
                case Said(room, seq=seq) | Joined(room, seq=seq) | TopicSet(room, seq=seq):
                    if room not in at or at[room] not in (None, seq - isinstance(notice, Said)):
                        wrong(notice)
                    at[room] = seq
                case Sent(room=str(room), seq=int(seq)):
                    place = at.get(room)
                    if place is not None and seq > place + 1:
                        wrong(notice)
                    # A receipt that comes again has a place of long ago.
                    if room in at:
                        at[room] = max(seq, place or 0)
                case Left(room, own=True):
                    at.pop(room, None)
                case Told(seq=seq):
                    if seq != told + 1:
                        wrong(notice)
                    told = seq
                case _:
                    pass


def _put_out_of(model: Model, wire: Wire) -> set[str]:
    """The rooms that a session is put out of on the connection on which it is resumed."""
    place, person = model.resumed[wire.conn]
    return {
        stay.life.name
        for stay in model.characters[person].stays
        if stay.covers(place) and stay.was_put_out and stay.ended_on == wire.conn
    }


def _live_in(model: Model, wire: Wire, notice: Notice) -> str:
    """The room that a notice is of, if it is no part of what a resumed session had missed."""
    match notice:
        case Joined(room) | TopicSet(room):
            return room
        case Said(room, text=text) if (message := model.messages.get(text)) is not None:
            return room if message.place > model.resumed[wire.conn][0] else ""
        case _:
            return ""


def _start(model: Model, wire: Wire, room: str, lost: set[str]) -> int | None:
    """The number after which a resumed session is sent what was said in a room; one of which it has
    seen what is lost is added to those.
    """
    place, person = model.resumed[wire.conn]
    for stay in model.characters[person].stays:
        if stay.life.name == room and stay.covers(place):
            seen = wire.seen.get(room, 0)
            common = model.common_in(stay.life, wire.epoch, place)
            if common is not None and seen > common:
                lost.add(room)
                seen = common
            return max(seen, stay.since)
    return None
