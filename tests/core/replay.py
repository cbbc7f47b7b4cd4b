"""Replays a log and prints what came of it: a digest of the actions, and the state's own.

Run as a program, so that each replay has an interpreter and a hash seed of its own.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterable

import msgspec

from tcpchat_core import (
    Action,
    Broadcast,
    ChatState,
    Close,
    Enter,
    Entry,
    Leave,
    Send,
    Stream,
)
from tcpchat_core.server.queries import room_list
from tests.core.harness import LIMITS, random_log


def written(actions: Iterable[Action]) -> bytes:
    """Actions as bytes: everything in them, in their order."""
    rows: list[object] = []
    for action in actions:
        match action:
            case Broadcast(_, payload, author, receipt):
                rows.append(["broadcast", sorted(action.conns()), payload, author, receipt])
            case Send(conn, payload):
                rows.append(["send", conn, payload])
            case Stream(conn, pieces):
                rows.append(["stream", conn, list(pieces)])
            case Enter(audience, conn):
                audience.add(conn)
                rows.append(["enter", conn])
            case Leave(audience, conn):
                audience.discard(conn)
                rows.append(["leave", conn])
            case Close(conn):
                rows.append(["close", conn])
    return msgspec.json.encode(rows) + b"\n"


def replay(log: Iterable[Entry], state: ChatState) -> bytes:
    """Everything that came of a log, as bytes."""
    return b"".join(written(state.handle(entry)) for entry in log)


def main() -> None:
    """Replay the log of the seed and length that are the program's arguments."""
    seed, length = map(int, sys.argv[1:])
    state = ChatState(limits=LIMITS)
    actions = replay(random_log(seed, length), state)
    actions += msgspec.json.encode(room_list(state, 99))
    assert actions.count(b'"type":"rejected"') > 10, "a log without quarrels"
    assert actions.count(b'"type":"resumed"') > 10, "a log without sessions"
    assert actions.count(b'"by":') > 10, "a log without moderators"
    print(hashlib.sha256(actions).hexdigest(), state.digest())


if __name__ == "__main__":
    main()
