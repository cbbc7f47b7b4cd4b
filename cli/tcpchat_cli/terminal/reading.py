"""How far each room was read, here or elsewhere."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from typing import Final

from tcpchat_cli.terminal.connection import Connection
from tcpchat_core import Notice, RoomView, notices

# How often it is told at most that more of a room was read.
READ_SECONDS: Final = 5

# Of so many rooms it is known how far they were read, also of those that one has left.
MAX_ROOMS: Final = 4_096


class Reading:
    """How far the rooms were read, here or on another device of one's own; and when that was told.

    Times are seconds of any clock. Numbers are those of one session.
    """

    def __init__(self) -> None:
        self._read: dict[str, int] = {}  # by room, as the server knows it
        self._told_at: dict[str, float] = {}

    def is_read(self, room: str, seq: int) -> bool:
        """Whether a message was read."""
        return seq <= self._read.get(room, 0)

    def read_up_to(self, room: str) -> int:
        """The number up to which a room was read; 0 where that is not known."""
        return self._read.get(room, 0)

    def note(self, room: str, seq: int) -> None:
        """A room was read up to this number: the server says so, or one has left it."""
        self._read[room] = seq
        if len(self._read) > MAX_ROOMS:
            forgotten = next(iter(self._read))
            del self._read[forgotten]
            self._told_at.pop(forgotten, None)

    def wait(self, room: str, seq: int, now: float) -> float | None:
        """In how many seconds to tell that a room was read up to a number; None for never."""
        if self.is_read(room, seq):
            return None
        return max(0.0, self._told_at.get(room, -math.inf) + READ_SECONDS - now)

    def told(self, room: str, seq: int, now: float) -> None:
        """It was told."""
        self._read[room], self._told_at[room] = seq, now


class Reader:
    """Tells the server how far a person has read, and knows what was read on other devices.

    `room` is the one that is looked at now; None for none, or when nobody looks.
    """

    def __init__(self, connection: Connection, room: Callable[[], RoomView | None]) -> None:
        self._connection = connection
        self._room = room
        self._reading = Reading()
        self._later: asyncio.TimerHandle | None = None

    def is_read(self, room: str, seq: int) -> bool:
        """Whether a message was read."""
        return self._reading.is_read(room, seq)

    def read_up_to(self, room: str) -> int:
        """The number up to which a room was read; 0 where that is not known."""
        return self._reading.read_up_to(room)

    def left(self, room: str, seq: int) -> None:
        """One has left a room, and has read it up to this number."""
        self._reading.note(room, max(seq, self.read_up_to(room)))

    def follow(self, notice: Notice) -> list[tuple[str, int]]:
        """Take a notice in. Returns rooms that were read elsewhere, each up to a number."""
        match notice:
            case notices.Welcome():
                self._reading = Reading()
                return []
            case notices.Entered(room, read=seq):
                read = [(room, max(seq, self.read_up_to(room)))]
            case notices.ReadUpTo(room, seq):
                read = [(room, seq)]
            case notices.Resumed(rooms=rooms):
                read = [(state.room, state.read) for state in rooms]
            case _:
                return []
        for room, seq in read:
            self._reading.note(room, seq)
        return read

    def tell(self, *, at_once: bool = False) -> None:
        """Tell one's other devices how far the room was read that one looks at: now, or soon."""
        if self._later is not None:
            self._later.cancel()
            self._later = None
        connection, room, loop = self._connection, self._room(), asyncio.get_running_loop()
        # Without a connection it is told when there is one again.
        if not connection.account or room is None or connection.state == "reconnecting":
            return
        wait = self._reading.wait(room.name, room.seq, loop.time())
        if wait and not at_once:
            self._later = loop.call_later(wait, self.tell)
        elif wait is not None:
            self._reading.told(room.name, room.seq, loop.time())
            connection.read(room.name, room.seq)
