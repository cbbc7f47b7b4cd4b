"""A node that shares its log with others, put together: its log, what it tells of itself, and its
upkeep.

It knows neither sockets nor gevent: what waits for the engine, and where, is given to it. So the
server and the simulator run the same.

    begin → StreamNode → (a `Node` opens the log) → serve → (it ends, or is to) → leave → close
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from tcpchat_core import Propose, events, lapses
from tcpchat_net.happenings import Report, nothing
from tcpchat_net.logs import Host
from tcpchat_net.logs.archive import ArchiveKeeper, Point
from tcpchat_net.logs.replayer import Program, Task
from tcpchat_net.logs.stream import EVERYBODY
from tcpchat_net.logs.stream.begin import Begun
from tcpchat_net.logs.stream.commands import Commands
from tcpchat_net.logs.stream.log import Ending, StreamLog
from tcpchat_net.logs.stream.status import Reporter
from tcpchat_net.logs.stream.upkeep import SNAPSHOT_EVERY, StreamUpkeep
from tcpchat_net.node import Node, Stuck

# How long what was proposed may take to be taken in when the node leaves, and then the leaving;
# and how long the leaving may take in any case.
FINISH_MS: Final = 5_000
LEAVE_MS: Final = 100

# How often it is looked whether all of that is done.
_LOOK_MS: Final = 10


class Hosts(NamedTuple):
    """Who waits: for the engine, on the two connections of the log, and for the upkeep."""

    writing: Host
    reading: Host
    aside: Host


class StreamNode:
    """A node that has begun. Call `serve` when a `Node` has its log, then `leave`, and `close` at
    last.

    `holder` is who has its lease, as in `begin`. `writer` and `reader` are connections for the log,
    `looking` is one for the upkeep, used where `hosts.aside` does its work. `keeper` is its
    archive, if it has one. `replay` starts a replay beside it, and `every` is how many entries a
    start may have to replay. `warnings` are what may be lost with the engine. `clock` tells
    milliseconds.

    `ended` is called once, with why it cannot go on and a sentence; `taken_over` with each higher
    term that an engine has; `complain` with what was not as it should be,
    and `report` with what its upkeep has done.
    """

    def __init__(
        self,
        begun: Begun,
        hosts: Hosts,
        *,
        holder: str,
        writer: Commands,
        reader: Commands,
        looking: Commands,
        keeper: ArchiveKeeper | None,
        replay: Callable[[Task], Program],
        every: int = SNAPSHOT_EVERY,
        warnings: tuple[str, ...] = (),
        clock: Callable[[], int],
        ended: Callable[[Ending, str], None],
        taken_over: Callable[[int], None],
        complain: Callable[[str], None],
        report: Report = nothing,
        log: type[StreamLog] = StreamLog,
        upkeep: type[StreamUpkeep] = StreamUpkeep,
    ) -> None:
        self.state, self.member = begun.state, begun.member
        self.has_ended = False
        self._hosts, self._clock = hosts, clock
        self._ended, self._complain = ended, complain
        self._reporter = Reporter(begun.state, begun.ring, lambda: 0, warnings)
        self.log = log(
            begun.member,
            begun.ring,
            begun.epoch,
            holder=holder,
            writer=writer,
            reader=reader,
            writing=hosts.writing,
            reading=hosts.reading,
            lapse=self._lapse,
            status=self._reporter.status,
            mark=self._reporter.mark,
            ended=self._end,
            complain=complain,
            term=begun.term,
            taken_over=taken_over,
        )
        if keeper is not None:
            keeper.place = self._place
        self._upkeep = upkeep(
            looking,
            self.log,
            keeper,
            aside=hosts.aside,
            replay=replay,
            every=every,
            complain=complain,
            report=report,
        )

    def serve(self, node: Node) -> None:
        """A node is open that has this log."""

        def stuck(why: str | None) -> None:
            self._complain(why or "the log is there again")
            node.log_is_stuck(why is not None, Stuck.AWAY)

        self._reporter.people = lambda: node.connections
        self.log.stuck = stuck
        self._upkeep.begin()

    def leave(self, left: Callable[[], None]) -> None:
        """Have all that was proposed taken in, and then put into the log that this node is over;
        then, or when that takes too long, call `left`. (At once when it has ended.) Nobody may be
        served any more.
        """
        self._upkeep.stop()
        until = self._clock() + FINISH_MS
        is_over = False

        def over() -> None:
            nonlocal is_over
            if not is_over:
                is_over = True
                left()

        def look() -> None:
            if self.has_ended:
                over()
            elif self.log.waiting and self._clock() < until:
                self._hosts.writing.after(_LOOK_MS, look)
            else:
                self.log.leave(self._lapse(*self.member), over)
                self._hosts.writing.after(max(LEAVE_MS, until - self._clock()), over)

        look()

    def close(self) -> None:
        """Deliver nothing more."""
        self._upkeep.stop()
        self.log.close()

    def _place(self) -> Point | None:
        """Where the log is, when all that was read of it has been handled."""
        seq, chain = self.log.seq, self.log.ring.chain
        return Point(seq, chain, self.state.epoch) if self.state.seq == seq else None

    def _lapse(self, node: int, boot: int) -> Sequence[Propose]:
        """What has to be said when a boot of a node is over: also of those who are not known here
        yet.
        """
        rest = Propose(0, 0, (events.Lapse(node, boot, EVERYBODY),))
        return [*lapses(self.state, node, boot + 1), rest]

    def _end(self, ending: Ending, sentence: str) -> None:
        self.has_ended = True
        self._ended(ending, sentence)
