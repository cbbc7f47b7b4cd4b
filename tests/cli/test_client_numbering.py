"""Which message a number means, also where a server has lost what it had."""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from tcpchat_cli.terminal.numbering import MessageId, Numbering

from tcpchat_core import notices

ROOMS = ("lobby", "dev")


class NumbersAreLost(RuleBasedStateMachine):
    """Whatever is lost, an id means the message it was made for, or none."""

    def __init__(self) -> None:
        super().__init__()
        self.numbering = Numbering()
        self.numbering.follow(notices.Welcome("ada", "0"))
        self.epoch = 0
        self.count = 0
        self.rooms: dict[str, list[int]] = {room: [] for room in ROOMS}  # what has each number
        self.ids: dict[MessageId, tuple[str, int]] = {}

    @rule(room=st.sampled_from(ROOMS))
    def something_is_said(self, room: str) -> None:
        self.count += 1
        self.rooms[room].append(self.count)
        id = self.numbering.id_of(room, len(self.rooms[room]))
        assert id not in self.ids
        self.ids[id] = (room, self.count)

    @rule(again=st.booleans())
    def the_server_begins_anew(self, again: bool) -> None:
        """With nothing; or, with its numbers, only the session is lost."""
        self.lose_connection()
        self.epoch += not again
        self.numbering.follow(notices.Welcome("ada", f"{self.epoch}"))
        for room, kept in self.rooms.items():
            if not again:
                kept.clear()
            entered = notices.Entered(room, ("ada",), 1, len(kept), 0)
            self.numbering.follow(entered)
            self.numbering.came_in(room)

    @rule(left=st.integers(0, 9), has_session=st.booleans())
    def the_end_is_lost(self, left: int, has_session: bool) -> None:
        self.lose_connection()
        states = []
        for room, kept in self.rooms.items():
            common = min(left, len(kept)) if has_session else None
            states.append(notices.RoomState(room, ("ada",), 1, len(kept), common=common))
            del kept[left:]
        if has_session:
            self.numbering.follow(notices.Resumed("ada", tuple(states), f"{self.epoch}"))
            return
        self.numbering.follow(notices.Welcome("ada", f"{self.epoch}"))
        for room, kept in self.rooms.items():
            self.numbering.follow(notices.Entered(room, ("ada",), 1, len(kept), 0))
            self.numbering.came_in(room)

    def lose_connection(self) -> None:
        seen = {room: len(kept) for room, kept in self.rooms.items()}
        self.numbering.connection_lost(f"{self.epoch}", seen)

    @invariant()
    def an_id_is_current_as_long_as_its_message_is_there(self) -> None:
        for id, (room, message) in self.ids.items():
            assert self.numbering.is_current(id) == (message in self.rooms[room])


TestNumbersAreLost = NumbersAreLost.TestCase


def test_in_a_room_to_which_one_comes_back_in_the_same_session_all_is_new() -> None:
    numbering = Numbering()
    numbering.follow(notices.Welcome("ada", "e1"))
    numbering.connection_lost("e1", {"lobby": 7})
    assert numbering.last_seen("lobby") == 7
    state = notices.RoomState("lobby", ("ada",), 1, 9)
    numbering.follow(notices.Resumed("ada", (state,), "e1"))
    assert numbering.last_seen("lobby") is None
