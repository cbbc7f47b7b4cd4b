"""The fan-out against the naive loop: steps for both, peers that read as they like, and checks.

`check_fanout` carries out steps with a `Fanout` and, beside it, with the plain loop that it is to
be the same as: one list of bytes per connection. It raises AssertionError as soon as a promise of
the fan-out is broken. The transports are fakes, since no socket takes seven bytes on demand; what
they do when a connection ends is what the server's do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final, NamedTuple, Protocol, TypeAlias

from hypothesis import strategies as st

from tcpchat_core import Audience, Broadcast
from tcpchat_net.fanout import Transport

CONNS: Final = range(5)
ROOMS: Final = range(3)

# Small enough for a few messages to pass them.
MAX_BACKLOG_BYTES: Final = 60
STALL_TIMEOUT_MS: Final = 100

LAST_WORDS: Final = b"! too slow\n"


class FanoutLike(Protocol):
    """What is checked: `Fanout`, or something that should fail the check."""

    def add(self, conn: int, transport: Transport) -> None: ...
    def remove(self, conn: int) -> None: ...
    def close(self, conn: int) -> None: ...
    def enter(self, audience: Audience, conn: int) -> None: ...
    def leave(self, audience: Audience, conn: int) -> None: ...
    def send(self, conn: int, data: bytes) -> None: ...
    def stream(self, conn: int, pieces: Iterable[bytes]) -> None: ...
    def broadcast(
        self,
        audience: Audience,
        data: bytes,
        author: int,
        receipt: bytes,
        also: tuple[Audience, ...] = (),
    ) -> None: ...
    def flush(self, now: int) -> None: ...
    def writable(self, conn: int, now: int) -> None: ...
    def check_stalls(self, now: int) -> None: ...
    def last_words(self, conn: int, data: bytes) -> None: ...
    @property
    def backlog_bytes(self) -> int: ...


class MakeFanout(Protocol):
    """How one is made."""

    def __call__(
        self, wake: Callable[[], None], *, max_backlog_bytes: int, stall_timeout_ms: int
    ) -> FanoutLike: ...


# ── Steps ────────────────────────────────────────────────────────────────────────────────────


class SendTo(NamedTuple):
    """Send one connection lines with so many letters each."""

    conn: int
    letters: tuple[int, ...]


class StreamTo(NamedTuple):
    """Stream pieces to one connection, each a line with so many letters, or (None) empty."""

    conn: int
    letters: tuple[int | None, ...]


class SayTo(NamedTuple):
    """Broadcast a line to rooms; the author, a member or not, gets a receipt, maybe empty.

    Who is in several of the rooms gets one.
    """

    rooms: tuple[int, ...]
    author: int
    letters: int
    receipt_letters: int | None


class Enter(NamedTuple):
    """Make a connection a member of a room; all are told, or (a session is resumed) nobody is."""

    room: int
    conn: int
    is_told: bool = True


class Leave(NamedTuple):
    """Make it one no more; all who were in it are told, or nobody is."""

    room: int
    conn: int
    is_told: bool = True


class CloseIt(NamedTuple):
    """Close a connection when all is written."""

    conn: int


class Lose(NamedTuple):
    """The peer is gone: forget the connection, and tell those who share a room with it.

    Or leave that for later, so that its rooms still count it among those they send to.
    """

    conn: int
    is_told: bool


class Break(NamedTuple):
    """From now on writing to the connection fails, in this way."""

    conn: int
    error: type[Exception] = ConnectionResetError


class Allow(NamedTuple):
    """The peer's buffer has room for so many more bytes, or for all there will ever be."""

    conn: int
    letters: int | None


class Block(NamedTuple):
    """The peer's buffer is full."""

    conn: int


class EndTurn(NamedTuple):
    """The loop ends its turn, if it was asked to, and some time goes by.

    Those who are given up meanwhile take their last words, or do not.
    """

    take_words: bool
    took_ms: int


class CheckStalls(NamedTuple):
    """Look for stalled connections. Those given up take their last words, or do not."""

    take_words: bool


Step: TypeAlias = (
    SendTo
    | StreamTo
    | SayTo
    | Enter
    | Leave
    | CloseIt
    | Lose
    | Break
    | Allow
    | Block
    | EndTurn
    | CheckStalls
)

_conns = st.sampled_from(CONNS)
_room = st.sampled_from(ROOMS)
_one_room = st.tuples(_room)
_some_rooms = st.lists(_room, min_size=2, unique=True).map(tuple)
_letters = st.integers(0, 30)
_pieces = st.lists(st.none() | _letters, max_size=12).map(tuple)

# Talking and the ends of turns come often, ends of connections seldom.
_step: st.SearchStrategy[Step] = st.one_of(
    *[st.builds(SayTo, _one_room, _conns, _letters, st.none() | _letters)] * 4,
    *[st.builds(SayTo, _some_rooms, _conns, _letters, st.none() | _letters)] * 2,
    *[st.builds(SendTo, _conns, st.tuples(_letters) | st.tuples(_letters, _letters))] * 2,
    *[st.builds(EndTurn, st.booleans(), st.sampled_from((0, 40, 100)))] * 3,
    *[st.builds(Allow, _conns, st.none() | st.integers(1, 40))] * 2,
    *[st.builds(Enter, _room, _conns, st.booleans())] * 2,
    *[st.builds(Leave, _room, _conns, st.booleans())] * 2,
    st.builds(StreamTo, _conns, _pieces),
    st.builds(Block, _conns),
    st.builds(CloseIt, _conns),
    st.builds(Lose, _conns, st.booleans()),
    st.builds(Break, _conns, st.sampled_from((ConnectionResetError, MemoryError))),
    st.builds(CheckStalls, st.booleans()),
)

# Which rooms each connection is in at the beginning, and what happens then.
memberships = st.tuples(*[st.frozensets(_conns, min_size=1) for _ in ROOMS])
# (Without a least size, lists are seldom long.)
steps = st.lists(_step, max_size=20) | st.lists(_step, min_size=20, max_size=60)


# ── The check ────────────────────────────────────────────────────────────────────────────────


class Peer:
    """The fan-out's transport, and beside it what the naive loop would have written."""

    def __init__(self, world: _World, conn: int) -> None:
        self.world = world
        self.conn = conn
        self.expected = bytearray()  # by the naive loop
        self.owed: list[range] = []  # where in it there are streams
        self.made = 0  # how many bytes of them were made
        self.open_streams = 0  # how many have not been asked for more than they have
        self.is_owed = False  # the fan-out says that there are such
        self.taken = bytearray()
        self.room_for: int | None = None  # None: for everything
        self.progress_at = 0
        self.wants = False  # to be told when it can be written to
        self.writes = 0  # in this turn
        self.has_streamed = False  # in this turn
        self.error: type[Exception] | None = None
        self.closing = self.ended = self.is_finished = False

    @property
    def pending(self) -> int:
        """How much the naive loop has written that is not taken."""
        return len(self.expected) - len(self.taken)

    @property
    def is_slow(self) -> bool:
        """Whether something is to be written when it takes more."""
        return bool(self.pending or self.open_streams)

    @property
    def owed_pending(self) -> int:
        """How much of that is of streams."""
        taken = len(self.taken)
        return sum(len(range(max(taken, owed.start), owed.stop)) for owed in self.owed)

    @property
    def bound_bytes(self) -> int:
        """How much of it the bound is for."""
        return self.pending - self.owed_pending

    @property
    def backlog_bytes(self) -> int:
        """How much of it is there, as bytes."""
        owed = sum(len(owed) for owed in self.owed)
        return self.bound_bytes + self.made - (owed - self.owed_pending)

    def stream(self, lines: list[bytes]) -> Iterator[bytes]:
        """Pieces of which each is made when all before it is taken."""
        start = len(self.expected)
        self.expected += b"".join(lines)
        self.owed.append(range(start, len(self.expected)))
        self.open_streams += 1
        self.has_streamed = True
        return self._made(lines, start)

    def _made(self, lines: list[bytes], start: int) -> Iterator[bytes]:
        for line in lines:
            assert not self.ended, "a piece was made for nobody"
            assert len(self.taken) == start, "a piece was made before its time"
            start += len(line)
            self.made += len(line)
            yield line
        assert len(self.taken) == start, "the stream went on before its last piece was taken"
        self.open_streams -= 1

    def write(self, data: bytes | memoryview, /) -> int:
        assert not self.ended, "something was written after the end"
        assert len(data), "nothing was written"
        self.writes += 1
        if self.error is not None:
            raise self.error
        count = len(data) if self.room_for is None else min(self.room_for, len(data))
        if not self.wants or count:
            self.progress_at = self.world.now
        if not count:
            raise BlockingIOError
        if self.room_for is not None:
            self.room_for -= count
        self.taken += data[:count]
        return count

    def want_writable(self, wanted: bool) -> None:
        assert not (self.ended and wanted), "an ended connection waits to be written to"
        assert wanted != self.wants, "it was told that already"
        self.wants = wanted

    def owes(self, owes: bool, /) -> None:
        assert not self.ended
        assert owes != self.is_owed, "it was told that already"
        self.is_owed = owes

    def failed(self) -> None:
        assert self.error is not None
        self.world.lose(self)

    def overrun(self) -> None:
        is_stalled = self.world.now - self.progress_at >= STALL_TIMEOUT_MS
        is_behind = self.bound_bytes > MAX_BACKLOG_BYTES
        assert is_behind or (self.is_slow and is_stalled), "given up early"
        self._check_prefix()
        before = bytes(self.taken)
        if self.world.take_words:
            self.room_for = None
        self.world.fanout.last_words(self.conn, LAST_WORDS)
        if self.world.take_words and self.error is None:
            assert self.taken.endswith(LAST_WORDS), "the last words were not said"
            del self.taken[-len(LAST_WORDS) :]
            assert self.taken.startswith(before)
            assert not self.taken or self.taken.endswith(b"\n"), "they are no line of their own"
            self._check_prefix()
        self.world.lose(self)

    def finished(self) -> None:
        assert self.closing
        assert not self.is_finished, "finished twice"
        assert not self.ended
        assert self.taken == self.expected, "finished before all was written"
        self.is_finished = True

    def end(self) -> None:
        """Never again is anything to reach this peer."""
        assert not self.ended, "ended twice"
        self.ended = True
        self.wants = False

    def check(self) -> None:
        """What holds between any two turns."""
        self._check_prefix()
        if not self.ended:
            assert self.bound_bytes <= MAX_BACKLOG_BYTES, "the backlog has no bound"
            assert self.wants == self.is_slow, "what waits will never be written"
            assert self.is_owed == bool(self.open_streams), "a stream is not spoken of"

    def _check_prefix(self) -> None:
        assert self.expected.startswith(self.taken), (bytes(self.expected), bytes(self.taken))


class _World:
    """One fan-out with its peers and rooms, and the loop that turns."""

    def __init__(self, make: MakeFanout, members: Sequence[Iterable[int]]) -> None:
        self.now = 0
        self.messages = 0
        self.is_awake = False
        self.take_words = True
        self.fanout = make(
            self._wake, max_backlog_bytes=MAX_BACKLOG_BYTES, stall_timeout_ms=STALL_TIMEOUT_MS
        )
        self.peers = [Peer(self, conn) for conn in CONNS]
        for peer in self.peers:
            self.fanout.add(peer.conn, peer)
        # The naive loop keeps the members in the audiences, as a simple adapter does.
        self.audiences = [Audience() for _ in ROOMS]
        for room, conns in enumerate(members):
            for conn in sorted(conns):
                self.enter(room, conn)

    def _wake(self) -> None:
        assert not self.is_awake, "woken twice"
        self.is_awake = True

    def line(self, letters: int) -> bytes:
        """A line that there was not before."""
        self.messages += 1
        return b"%d%s\n" % (self.messages, b"." * letters)

    # ── Both ways of sending ─────────────────────────────────────────────────────────────────

    def send(self, conn: int, data: bytes) -> None:
        peer = self.peers[conn]
        if not (peer.ended or peer.closing):
            peer.expected += data
            self.fanout.send(conn, data)

    def stream(self, conn: int, lines: list[bytes]) -> None:
        peer = self.peers[conn]
        if not (peer.ended or peer.closing):
            self.fanout.stream(conn, peer.stream(lines))

    def broadcast(self, rooms: Iterable[int], data: bytes, author: int, receipt: bytes) -> None:
        first, *more = [self.audiences[room] for room in rooms]
        told = Broadcast(first, data, author, receipt, tuple(more))
        for conn in told.conns():
            if not self.peers[conn].ended:
                self.peers[conn].expected += receipt if conn == author else data
        self.fanout.broadcast(first, data, author, receipt, told.also)

    # ── Comings and goings ───────────────────────────────────────────────────────────────────

    def enter(self, room: int, conn: int) -> None:
        audience = self.audiences[room]
        audience.add(conn)
        self.fanout.enter(audience, conn)

    def leave(self, room: int, conn: int) -> None:
        audience = self.audiences[room]
        audience.discard(conn)
        self.fanout.leave(audience, conn)
        if not audience.conns:  # an empty room vanishes; one of its name is another
            self.audiences[room] = Audience()

    def leave_all(self, peer: Peer) -> None:
        """As the state does it: those who share rooms are told once, the leaver is among them."""
        rooms = [room for room in ROOMS if peer.conn in self.audiences[room].conns]
        if not rooms:
            return
        self.broadcast(rooms, self.line(0), peer.conn, b"")
        for room in rooms:
            self.leave(room, peer.conn)

    def lose(self, peer: Peer, *, is_told: bool = True) -> None:
        """As the server does it."""
        peer.end()
        self.fanout.remove(peer.conn)
        if is_told:
            self.leave_all(peer)

    # ── The loop ─────────────────────────────────────────────────────────────────────────────

    def end_turn(self, *, take_words: bool = True) -> None:
        self.take_words = take_words
        while self.is_awake:
            self.is_awake = False
            slow = {peer.conn for peer in self.peers if peer.wants or peer.has_streamed}
            for peer in self.peers:
                peer.writes = 0
                peer.has_streamed = False
            self.fanout.flush(self.now)
            for peer in self.peers:
                words = 1 if peer.ended else 0
                if peer.conn not in slow:
                    assert peer.writes <= words + 1, "more than one write a turn"
            for peer in self.peers:
                while peer.wants and peer.room_for != 0:
                    self.fanout.writable(peer.conn, self.now)
        for peer in self.peers:
            peer.check()
        backlog = sum(peer.backlog_bytes for peer in self.peers if not peer.ended)
        assert self.fanout.backlog_bytes == backlog

    def allow(self, peer: Peer, count: int | None) -> None:
        """Room for more bytes: if the fan-out waits for it, it is told."""
        if peer.ended:
            return
        peer.room_for = None if count is None or peer.room_for is None else peer.room_for + count
        while peer.wants and peer.room_for != 0:
            self.fanout.writable(peer.conn, self.now)

    def check_stalls(self, *, take_words: bool) -> None:
        self.take_words = take_words
        self.fanout.check_stalls(self.now)
        for peer in self.peers:
            is_stalled = self.now - peer.progress_at >= STALL_TIMEOUT_MS
            assert peer.ended or not (peer.wants and is_stalled), "a stalled peer is kept"

    def step(self, step: Step) -> None:
        match step:
            case SendTo(conn, letters):
                self.send(conn, b"".join(map(self.line, letters)))
            case StreamTo(conn, pieces):
                self.stream(conn, [b"" if size is None else self.line(size) for size in pieces])
            case SayTo(rooms, author, letters, receipt_letters):
                receipt = b"" if receipt_letters is None else self.line(receipt_letters)
                self.broadcast(rooms, self.line(letters), author, receipt)
            case Enter(room, conn, is_told):
                if not (self.peers[conn].ended or self.peers[conn].closing):
                    if conn not in self.audiences[room].conns:
                        self.enter(room, conn)
                    if is_told:
                        self.broadcast([room], self.line(0), conn, self.line(9))
            case Leave(room, conn, is_told):
                if is_told:
                    self.broadcast([room], self.line(0), conn, self.line(1))
                if conn in self.audiences[room].conns:
                    self.leave(room, conn)
            case CloseIt(conn):
                peer = self.peers[conn]
                if not (peer.ended or peer.closing):
                    self.leave_all(peer)
                    peer.closing = True
                    self.fanout.close(conn)
            case Lose(conn, is_told):
                if not self.peers[conn].ended:
                    self.lose(self.peers[conn], is_told=is_told)
            case Break(conn, error):
                self.peers[conn].error = error
            case Allow(conn, count):
                self.allow(self.peers[conn], count)
            case Block(conn):
                self.peers[conn].room_for = 0
            case EndTurn(take_words, took_ms):
                self.end_turn(take_words=take_words)
                self.now += took_ms
            case CheckStalls(take_words):
                self.check_stalls(take_words=take_words)


def check_fanout(make: MakeFanout, members: Sequence[Iterable[int]], todo: Iterable[Step]) -> None:
    """Whatever the steps, every peer takes what the naive loop would have written, byte for byte.

    To the end when it lived, to a point when it was cut; and what waits is bounded, every end is
    told once, and nothing comes after it.
    """
    world = _World(make, members)
    for step in todo:
        world.step(step)
    world.end_turn()
    while any(peer.wants for peer in world.peers):  # now all read on
        for peer in world.peers:
            world.allow(peer, None)
        world.end_turn()
    for peer in world.peers:
        peer.check()
        assert peer.ended or peer.is_finished == peer.closing, "never finished"
        assert peer.ended or peer.taken == peer.expected
