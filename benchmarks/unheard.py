"""What a node pays for people who are elsewhere: CPU for what they say, memory for who they are.

The replies of an engine are written down first, as bytes; then they go the whole way: through the
log of a node, into a node without a connection. Each part of the way is measured by itself, too.
There is no socket, and no engine. `python -m benchmarks.unheard PEOPLE` tells the bytes of so many.
"""

from __future__ import annotations

import gc
import os
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import hiredis

from benchmarks.processes import Process
from tcpchat_core import ChatState, Entry, Propose, ServerProtocol, events
from tcpchat_core.events import connection_number
from tcpchat_net.logs.records import decode_batch, encode_batch, entries_of
from tcpchat_net.logs.stream import (
    NO_CHAIN,
    Beat,
    Greeting,
    Head,
    Origin,
    Row,
    Taken,
    chained,
)
from tcpchat_net.logs.stream.commands import Argument, Commands
from tcpchat_net.logs.stream.log import Ending, Member, StreamLog
from tcpchat_net.logs.stream.ring import Ring
from tcpchat_net.node import Node
from tcpchat_net.resp import READ_BYTES

# Who talks, on another node: so many people in rooms of ten, each saying 64 characters in its turn.
PEOPLE = 1_000
MEMBERS = 10
TEXT = "x" * 64

TIMES = 5

START_MS = 1_700_000_000_000
EPOCH = "benchmark"


class Recorded(NamedTuple):
    """What an engine would tell who waits, piece by piece, and how many entries that are."""

    replies: list[bytes]
    entries: int


def record(messages: int, batch: int) -> Recorded:
    """A log of so many messages, `batch` of them in each of its rows; all come in before."""
    proposals: list[Propose] = []
    conns = [connection_number(2, 1, count) for count in range(1, PEOPLE + 1)]
    rooms = [f"room{count // MEMBERS}" for count in range(PEOPLE)]
    for conn, room in zip(conns, rooms, strict=True):
        proposals.append(Propose(conn, 1, (events.Connect(), events.Join(room, room))))
    for count in range(messages):
        who, turn = count % PEOPLE, count // PEOPLE
        say = events.Say(rooms[who], TEXT, key=rooms[who])
        proposals.append(Propose(conns[who], 3 + turn, (say,)))
    rows: list[Row] = []
    seq, chain = 0, NO_CHAIN
    for first in range(0, len(proposals), batch):
        proposed = proposals[first : first + batch]
        size = sum(len(propose.events) for propose in proposed)
        origin, data = Origin(2, 1, len(rows) + 1), encode_batch(proposed)
        seq += size
        at = START_MS + seq
        chain = chained(chain, seq, at, origin, data)
        rows.append(Row(seq, size, at, origin, chain, data))
    told = b"".join(map(_published, rows))
    pieces = [told[at : at + READ_BYTES] for at in range(0, len(told), READ_BYTES)]
    return Recorded(pieces, seq)


def _published(row: Row) -> bytes:
    """How an engine tells of a batch."""
    head = f"{row.last} {row.size} {row.at} {row.origin} {row.chain} ".encode()
    parts = (b"message", b"log", head + row.record)
    return b">3\r\n" + b"".join(b"$%d\r\n%b\r\n" % (len(part), part) for part in parts)


class _Wire:
    """Tells what was recorded."""

    address = "nowhere"

    def __init__(self, replies: Iterable[bytes]) -> None:
        self._replies = deque(replies)
        self._reader = hiredis.Reader()

    def open(self, term: Callable[[], int]) -> None:  # a wire has it
        pass

    def close(self) -> None:
        pass

    def call(self, *_command: Argument, wait_ms: int = 0) -> Any:  # noqa: ARG002 # no waiting here
        """Nothing is in the log that is not told."""
        return []

    def listen(self, channel: str) -> None:
        pass

    def heard(self, wait_ms: int) -> list[bytes]:  # noqa: ARG002 # no waiting here
        """The next of it."""
        told: list[bytes] = []
        while self._replies and not told:
            self._reader.feed(self._replies.popleft())
            while (reply := self._reader.gets()) is not False:
                told.append(reply[2])
        return told


class _Engine(Commands):
    """An engine of which nothing but the log matters."""

    def connect(self) -> Greeting:
        """It is there, and takes batches in."""
        return Greeting("run", True, "0", Head(1, EPOCH, 1 << 50, 0, "", "run", 1, 0, 0))

    def beat(self, node: int, boot: int, status: bytes) -> Beat:  # noqa: ARG002 # all is well
        """It is heard."""
        return Beat(Taken.IN)


class _Host:
    """Does all work at once, one thing after the other, until the log has come to its end."""

    def __init__(self) -> None:
        self._jobs: deque[Callable[[], None]] = deque()

    def run(
        self, function: Callable[[], None], done: Callable[[BaseException | None], None]
    ) -> None:
        """Soon."""
        self._jobs.append(function)
        self._jobs.append(lambda: done(None))

    def after(self, ms: int, callback: Callable[[], None]) -> None:
        """Soon, unless it is a matter of time."""
        if not ms:
            self._jobs.append(callback)

    def work(self, is_over: Callable[[], bool]) -> None:
        """Do what there is."""
        while not is_over():
            self._jobs.popleft()()


class _Loop:
    """No turn ends and no timer comes where nobody is connected."""

    def wake(self) -> None:
        pass

    def set_timer(self, at: int | None, /) -> None:
        pass


def _whole(recorded: Recorded) -> None:
    host, state = _Host(), ChatState(epoch=EPOCH)
    log = StreamLog(
        Member(1, 1),
        Ring(0, NO_CHAIN),
        EPOCH,
        holder="benchmark",
        writer=_Engine(_Wire(()), "benchmark"),
        reader=_Engine(_Wire(recorded.replies), "benchmark"),
        writing=host,
        reading=host,
        lapse=lambda _node, _boot: [],
        status=lambda _asked: b"",
        ended=_ended,
        complain=print,
    )
    node = Node(ServerProtocol(state), log, _Loop(), lambda: 0)
    node.open()
    host.work(lambda: log.seq == recorded.entries)
    assert node.counters.entries == state.seq == recorded.entries


def _ended(ending: Ending, sentence: str) -> None:
    raise AssertionError(f"{ending.value}: {sentence}")


# ── Part by part ─────────────────────────────────────────────────────────────────────────────────


def _parts(recorded: Recorded) -> dict[str, Callable[[], None]]:
    """The parts of the way, to be timed. None keeps what comes of it, and no node does."""
    rows: list[Row] = []
    engine = _Engine(_Wire(recorded.replies), "benchmark")
    while read := engine.read(rows[-1].last if rows else 0, 1):
        rows += read
    batches = [_decoded(row) for row in rows]

    def reply() -> None:
        wire = _Wire(recorded.replies)
        while wire.heard(1):
            pass

    def reply_and_rows() -> None:
        engine, last = _Engine(_Wire(recorded.replies), "benchmark"), 0
        while read := engine.read(last, 1):
            last = read[-1].last

    def chain() -> None:
        seq, chain = 0, NO_CHAIN
        for row in rows:
            assert row.follows(seq, chain)
            seq, chain = row.last, row.chain

    def decode() -> None:
        for row in rows:
            _decoded(row)

    def handle() -> None:
        state = ChatState(epoch=EPOCH)
        for batch in batches:
            for entry in batch:
                state.handle(entry)

    parts = (reply, reply_and_rows, chain, decode, handle)
    return {part.__name__: part for part in parts}


def _decoded(row: Row) -> list[Entry]:
    return entries_of(decode_batch(row.record), row.last - row.size + 1, row.at)


def measure(messages: int, batch: int) -> dict[str, float]:
    """CPU µs an entry: of each part, and of the `whole`; `deliver` is what is in no other part.

    The least of several times: what is always the same takes longer only for what others do.
    """
    recorded = record(messages, batch)
    timed = {**_parts(recorded), "whole": lambda: _whole(recorded)}
    usual = gc.get_threshold()
    gc.collect()
    gc.freeze()  # as a server does
    gc.set_threshold(50_000, 20, 50)
    found = {part: min(_took(call) for _ in range(TIMES)) for part, call in timed.items()}
    gc.set_threshold(*usual)
    gc.unfreeze()
    whole, reply = found.pop("whole"), found["reply"]
    found["rows"] = found.pop("reply_and_rows") - reply
    found |= {"deliver": whole - sum(found.values()), "whole": whole}
    return {part: 1e6 * took / recorded.entries for part, took in found.items()}


def _took(call: Callable[[], None]) -> float:
    begin = time.process_time()
    call()
    return time.process_time() - begin


def memory(people: int) -> int:
    """Bytes that a state takes in which so many people with sessions and nicks are in rooms of ten,
    and nothing was said. For a process that does nothing else.
    """
    here = Process(os.getpid(), 0)
    state, seq = ChatState(), 0
    before = here.memory("VmRSS")
    for count in range(people):
        conn, room, nick = connection_number(2, 1, count), f"room{count // MEMBERS}", f"nick{count}"
        come = (events.Connect(f"{count:064x}"), events.Nick(nick, nick), events.Join(room, room))
        for entry in Propose(conn, 1, come).entries(seq + 1, START_MS):
            state.handle(entry)
            seq = entry.seq
    assert state.people == people
    return here.memory("VmRSS") - before


if __name__ == "__main__":
    print(memory(int(sys.argv[1])))
