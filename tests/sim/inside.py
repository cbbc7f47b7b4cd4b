"""The one place where the simulator looks behind public names.

That every table and buffer has a bound cannot be seen from outside; so what holds something for
long is listed here, and the checkers ask no further.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from tcpchat_core import ChatState, Reader, ServerProtocol
from tcpchat_core.dialects import Reply
from tcpchat_core.dialects.frames import FrameBuffer, Text
from tcpchat_core.dialects.http import Exchange
from tcpchat_core.dialects.lines import LineReader
from tcpchat_core.dialects.websocket import WebSocketReader
from tcpchat_core.server.connection import Connection
from tcpchat_net.logs.stream import Row
from tcpchat_net.logs.stream.log import StreamLog
from tcpchat_net.logs.stream.ring import Ring
from tcpchat_net.node import Node
from tests.core.third_dialect import NetstringReader


class Backlog(NamedTuple):
    """What waits for one connection: how many bytes are counted, and how many there are."""

    conn: int
    counted: int
    held: int


def backlogs(node: Node) -> Iterator[Backlog]:
    """Of all connections that can be sent to."""
    for conn, outbox in node._fanout._outboxes.items():
        pieces = [piece for piece in outbox.backlog if isinstance(piece, bytes)]
        held = sum(map(len, pieces)) - outbox.offset if outbox.backlog else 0
        yield Backlog(conn, outbox.backlog_bytes, held)


def connections(protocol: ServerProtocol) -> Iterable[Connection]:
    """All that a server knows of."""
    return protocol._connections.values()


def held_bytes(reader: Reader | None) -> tuple[int, int]:
    """What a reader holds: of what has no end yet, and of what waits to be looked at."""
    match reader:
        case LineReader():
            lines = sum(len(line) for line in reader._lines if isinstance(line, bytes))
            return reader._buffer.partial_bytes, lines
        case NetstringReader():
            return 0, reader.held_bytes
        case WebSocketReader():
            received = [each for each in reader._received if isinstance(each, Text | Reply)]
            return _partial_bytes(reader._source), sum(len(each.data) for each in received)
        case _:
            return 0, 0


def _partial_bytes(source: Exchange | FrameBuffer | None) -> int:
    match source:
        case Exchange():
            return len(source._data)
        case FrameBuffer():
            return source.held_bytes
        case _:
            return 0


def timers(protocol: ServerProtocol) -> Iterator[int]:
    """The connections that timers are for."""
    return (conn for _, conn, _ in protocol._timers._heap)


def graces(protocol: ServerProtocol) -> int:
    """How many sessions' graces run."""
    return sum(map(len, protocol._graces._by_length.values()))


def nicks(state: ChatState) -> Iterable[str]:
    """The keys of all nicks that are held."""
    return state._tables.nicks


def sessions(state: ChatState) -> Iterable[str]:
    """All sessions that can be resumed."""
    return state._tables.sessions


def rows(ring: Ring) -> Iterable[Row]:
    """The batches that a node keeps, to put them back."""
    return ring._rows


def is_up(log: StreamLog) -> bool:
    """Whether a node's log has an engine that takes batches in."""
    return log.is_up


def is_over(log: StreamLog) -> bool:
    """Whether a node's log cannot be gone on with, or is not to be."""
    return log._is_over
