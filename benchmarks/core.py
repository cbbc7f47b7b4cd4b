"""The core alone: how many times a second `ServerProtocol.commit` takes a `Say`, without I/O."""

from __future__ import annotations

import statistics
import time

from benchmarks.report import CoreReport, Spread
from tcpchat_core import ChatState, Entry, Propose, ServerProtocol, events

ROOM_SIZES = (10, 1_000, 10_000)
PAYLOAD = "x" * 64
TALKER = 1


def measure_core(rounds: int, commits: int) -> list[CoreReport]:
    """Commit `commits` messages in a room of each size, `rounds` times, sizes interleaved."""
    rates: dict[int, list[float]] = {members: [] for members in ROOM_SIZES}
    rooms = {members: _Room(members) for members in ROOM_SIZES}
    for _ in range(rounds):
        for members, room in rooms.items():
            rates[members].append(commits / room.commit_s(commits))
    return [
        CoreReport(members, Spread(statistics.median(rate), min(rate), max(rate)))
        for members, rate in rates.items()
    ]


class _Room:
    """A server's core with one room full of people, the first of whom talks."""

    def __init__(self, members: int) -> None:
        self._protocol = ServerProtocol(ChatState())
        self._seq = 0
        for conn in range(1, members + 1):
            self._protocol.connection_made(conn, now=0)
            for effect in self._protocol.receive_data(conn, b"/join hall\n", now=0):
                if not isinstance(effect, Propose):
                    continue
                entries = effect.entries(self._seq + 1, 0)
                self._seq += len(entries)
                if conn == TALKER:
                    self._protocol.commit(entries, now=0)
                else:
                    # The talker comes in as anybody does. For those who only listen, the state is
                    # enough: to encode for 10,000 people who else is there takes a minute.
                    for entry in entries:
                        self._protocol.state.handle(entry)

    def commit_s(self, commits: int) -> float:
        """CPU seconds that so many commits take; the entries are made before."""
        say = events.Say("hall", PAYLOAD, key="hall")
        entries = [Entry(self._seq + number, 0, TALKER, say) for number in range(1, commits + 1)]
        self._seq += commits
        commit = self._protocol.commit
        begin = time.process_time()
        for entry in entries:
            commit((entry,), now=0)
        return time.process_time() - begin
