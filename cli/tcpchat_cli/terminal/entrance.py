"""Coming in: a nickname, then a room; asked for as long as it takes.

What was given on the command line is tried first. When the server refuses it, a person is asked
again; a script is not there to be asked, so it does not come in. A device of an account comes as
who owns it, whatever nickname was given, and into the rooms where its other devices are.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeAlias

from tcpchat_cli.terminal.connection import Connection
from tcpchat_core import events, notices
from tcpchat_core.names import is_same_nick

# Where people meet when nobody has made a room yet.
FIRST_ROOM = "lobby"

# Puts a question to a person; None when there will be no answer.
Ask: TypeAlias = Callable[[str], Awaitable[str | None]]


async def enter(
    connection: Connection,
    ask: Ask | None,
    say: Callable[[str], None],
    nick: str,
    rooms: Sequence[str],
) -> bool:
    """Get a nickname, and come into the rooms; the first is the current one. False when the
    server refused, and nobody could be asked.

    Where `ask` is None, what is not given stays open: one is a guest, and joins later with /join.
    `say` tells of what was given and is of no use.
    """
    if account := connection.account:  # whose nick it is, and no other
        if nick and not is_same_nick(nick, account):
            say(f"this is a device of {account}: the nickname {nick} is for guests, and not used")
    elif not await _choose_nick(connection, ask, nick):
        return False
    first, *others = rooms or [""]
    if not await _choose_room(connection, ask, first):
        return False
    current = connection.current
    for room in others:
        if not await connection.ask(events.Join(room)) and ask is None:
            return False
    connection.current = current
    return True


async def _choose_nick(connection: Connection, ask: Ask | None, nick: str) -> bool:
    if not nick and ask is None:
        return True
    while True:
        if not nick:
            answer = await ask(f"Nickname [{connection.protocol.nick}]: ") if ask else None
            if answer is None:
                return False
            nick = answer.strip()
            if not nick:
                return True  # one stays the guest that one is
        if await connection.ask(events.Nick(nick)):
            return True
        nick = ""


async def _choose_room(connection: Connection, ask: Ask | None, room: str) -> bool:
    if not room and ask is None:
        return True
    usual = FIRST_ROOM
    if not room:
        rooms = await connection.ask(events.Rooms())
        if connection.protocol.rooms:  # where another device of one's own is
            return True
        if isinstance(rooms, notices.RoomList) and rooms.rooms:
            usual = rooms.rooms[0].room
    while True:
        if not room:
            answer = await ask(f"Room [{usual}]: ") if ask else None
            if answer is None:
                return False
            room = answer.strip() or usual
        if await connection.ask(events.Join(room)):
            return True
        room = ""
