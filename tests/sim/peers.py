"""What all peers share: a connection that can be lost, bytes that wait, and a diary.

A peer writes down what it is shown: a `Diary` for each session it has had. What came over each of
its connections is a `Wire`; the client drops what it has seen, so the two are not the same.
"""

from __future__ import annotations

import contextlib
import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from tcpchat_core import Notice, events
from tests.sim.network import End, Link

if TYPE_CHECKING:
    from tests.sim.server import Server
    from tests.sim.world import World


class Shown(NamedTuple):
    """One thing that a person was shown, when, and over which connection.

    `text` is the message's own: also for a receipt, which does not repeat it. `server` is the boot
    of a node that has told it; `epoch` is what its connection began with.
    """

    at: int
    conn: int
    notice: Notice
    text: str
    server: Server | None
    epoch: str = ""


@dataclass
class Diary:
    """What one session was shown. `person` is the connection that it began on; `session` is what
    the log calls it, "" for one that cannot be resumed. With `hears_all` all that came over its one
    connection is here, its own messages as well.
    """

    owner: str
    person: int
    session: str
    shown: list[Shown] = field(default_factory=list)
    hears_all: bool = False

    @property
    def keeps(self) -> bool:
        """Whether it can be resumed."""
        return bool(self.session)


@dataclass
class Wire:
    """What came over one connection, after what the hello on it claimed to have seen."""

    link: Link | None
    seen: dict[str, int]
    told: int
    epoch: str
    notices: list[Notice] = field(default_factory=list)

    @property
    def conn(self) -> int:
        """The server's number for the connection; 0 before it is accepted."""
        return self.link.conn if self.link else 0

    @property
    def server(self) -> Server | None:
        """The boot of a node that has accepted it."""
        return self.link.accepted_by if self.link else None


@dataclass
class Question:
    """What somebody asked the archive, and what came of it. Places are those of the log."""

    query: events.History | events.Search
    person: int
    place: int  # of the last entry when it was asked
    shown: frozenset[str]  # all that was said and had been shown by then
    answer: Notice | None = None
    answered: int = 0  # the place of the last entry when the answer came
    at: int = 0  # when it came


@dataclass
class Parting:
    """A page that was left, and how: by a close frame with a code, or one without."""

    owner: str
    link: Link
    conn: int  # the server's number for it at that time; a new engine may give it again
    code: int | None
    is_steady: bool  # nothing befalls it
    at: int
    has_answer: bool = False
    answer: int | None = None  # the code of it
    was_told: bool = False  # the server was about to close, too
    is_over: bool = False  # the server has closed, without an answer


class Frame(NamedTuple):
    """One frame of the third dialect, and what its reader knew when it came.

    `mark` and `nick` are what it begins with; `marked` is the last mark that the server has said it
    uses, `known` the nick that the reader has by all it was told, this frame included.
    """

    conn: int
    mark: int
    nick: str
    marked: int
    known: str


class Peer:
    """Somebody who connects. Subclasses say what is sent, and what is made of what comes."""

    # How a peer reads: so many bytes at most, after so many milliseconds.
    read_bytes = 65_536
    read_delay = 0
    roomy = False  # the kernels on its way have large buffers
    steady = False  # no faults befall it

    def __init__(self, world: World, name: str) -> None:
        self.world = world
        self.clock = world.clock
        self.name = self.address = name
        self.draw = random.Random(f"{name} of {world.config.seed}")
        self.link: Link | None = None
        self.end: End | None = None
        self.dialled_at = 0
        self.asleep_until = 0
        self.retired = False  # it will not come again
        self.connections = 0
        self.lost_at: list[int] = []  # when its connections were lost
        self._unsent = bytearray()
        self._reads = False  # a read is planned

    @property
    def conn(self) -> int:
        """The server's number for the connection; 0 before it is accepted."""
        return self.link.conn if self.link else 0

    @property
    def server(self) -> Server | None:
        """The boot of a node that has accepted the connection."""
        return self.link.accepted_by if self.link else None

    # ── For subclasses ───────────────────────────────────────────────────────────────────────

    def connected(self) -> None:
        """The connection is made: say what comes first."""

    def received(self, data: bytes) -> None:
        """Bytes came."""

    def disconnected(self) -> None:
        """The connection is lost or over."""

    # ── Connections ──────────────────────────────────────────────────────────────────────────

    def dial(self) -> None:
        """Connect, unless connected."""
        if self.end is not None or self.retired:
            return
        self.link = self.world.dial(self)
        self.end = self.link.client
        self.connections += 1
        self.dialled_at = self.clock.now
        self._unsent.clear()
        self.end.incoming.readable = self._readable
        self.end.outgoing.writable = self._flush
        self.connected()

    def write(self, data: bytes) -> None:
        """Send bytes now, or when there is place for them."""
        if self.end is not None and data:
            self._unsent += data
            self._flush()

    def hang_up(self) -> None:
        """Be done with the connection: it is lost."""
        if self.end is not None:
            self.lost_at.append(self.clock.now)
            self.leave()

    def leave(self) -> None:
        """Be done with the connection, because one wants to."""
        if self.end is not None:
            self.end.close()
            self.end = None
            self.disconnected()

    def sleep(self, duration: int) -> None:
        """Read nothing for so long."""
        self.asleep_until = self.clock.now + duration

    def wake(self) -> None:
        """Read on, now."""
        self.asleep_until = 0
        self._reads = False
        self._readable()

    def _flush(self) -> None:
        if self.end is None or not self._unsent:
            return
        # A reset is dealt with by the next read.
        with contextlib.suppress(BlockingIOError, ConnectionResetError):
            del self._unsent[: self.end.send(bytes(self._unsent))]

    def _readable(self) -> None:
        if not self._reads and self.end is not None:
            self._reads = True
            delay = max(self.read_delay, self.asleep_until - self.clock.now)
            self.clock.after(max(0, delay), self._read)

    def _read(self) -> None:
        self._reads = False
        if self.end is None:
            return
        if self.clock.now < self.asleep_until:
            self._readable()
            return
        end = self.end
        try:
            data = end.recv(self.read_bytes)
        except BlockingIOError:
            return
        except ConnectionResetError:
            data = b""
        if not data:
            self.hang_up()
            return
        self.world.note(self.name, len(data))
        self.received(data)
        if self.end is end and end.has_more:
            self._readable()
