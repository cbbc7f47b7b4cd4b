"""What one connection may do to the others: the bounds, and the one price list for all of it.

A line that asks for something costs a line of its connection's rate; bytes cost too, also those
that ask for nothing (blank lines, telnet's negotiation); what is said to several in one line
counts for each; and an answer that takes long to find costs what it takes. What is too fast is not
lost, it waits, and nothing more is read meanwhile.
"""

from __future__ import annotations

from typing import Final

import msgspec

from tcpchat_core.server.connection import Connection

# How many of a connection's events may be on their way through the log, and how many answers may
# wait for them, before its next lines have to wait. One node commits at once; with a log far away
# this is the depth of the pipeline.
MAX_OUTSTANDING: Final = 256

# How many bytes a line pays for: what an ordinary line has, several times over. What is more (or
# is no line at all) costs a line for each so many: 16 KiB of nothing take some two milliseconds.
BYTES_A_LINE: Final = 1_024

# How many rooms, people, messages or restrictions are looked at for the price of one line: so the
# list of ten thousand rooms, which takes some milliseconds, costs what may be said at once.
ITEMS_A_LINE: Final = 500

# What the archive is asked costs so many lines: it is read from a disk, and for one at a time.
LOOK_LINES: Final = 2


class ServerLimits(msgspec.Struct, frozen=True):
    """What one connection may do to the others: nothing, by these bounds.

    A connection may send `flood_burst` lines at once, then `flood_rate` a second; what comes
    faster is not lost, it waits. 0 lets every line through. Bytes and long answers count, too.

    A connection whose dialect can be asked, and that was silent for `ping_after_ms`, is asked
    whether it is there, and closed after `drop_after_ms`. (People who read with nc cannot answer:
    the adapter's TCP keep-alive finds out about them.) The first request of a program must be there
    within `handshake_ms`.

    A session whose connection is lost can be resumed for `grace_ms`; 0 turns sessions off.
    """

    flood_burst: int = 20
    flood_rate: int = 5
    ping_after_ms: int = 90_000
    drop_after_ms: int = 150_000
    handshake_ms: int = 5_000
    grace_ms: int = 60_000


class Rate:
    """How much each connection may still do, by the generic cell rate algorithm (ITU-T I.371):
    one number for each instead of a bucket.
    """

    def __init__(self, limits: ServerLimits) -> None:
        self.configure(limits)

    def configure(self, limits: ServerLimits) -> None:
        """Other bounds hold from now on."""
        self._line_us = 1_000_000 // limits.flood_rate if limits.flood_rate else 0
        self.is_limited = bool(self._line_us)
        self._burst_us = max(1, limits.flood_burst) * self._line_us

    def forgive(self, connection: Connection, now: int) -> None:
        """Owe no more than what may be sent at once takes: under other bounds, it was less dear."""
        connection.words_us = min(connection.words_us, now * 1_000 + self._burst_us)

    def spare_lines(self, connection: Connection, now: int) -> int:
        """How many more lines may be looked at now, where there is a limit."""
        now_us = now * 1_000
        return (now_us + self._burst_us - max(connection.words_us, now_us)) // self._line_us

    def charge(self, connection: Connection, lines: int, now: int) -> bool:
        """So many lines were looked at; return whether that was more than may be at once.

        A line pays for so many of the bytes that were read. What is left over when nothing is
        waiting any more has a price of its own.
        """
        unpaid = connection.unpaid_bytes - BYTES_A_LINE * lines
        if unpaid >= BYTES_A_LINE:
            more, unpaid = divmod(unpaid, BYTES_A_LINE)
            lines += more
        connection.unpaid_bytes = max(unpaid, 0)
        if not self.is_limited:
            return False
        self.charge_lines(connection, lines, now)
        return connection.words_us > now * 1_000 + self._burst_us

    def charge_lines(self, connection: Connection, lines: int, now: int) -> None:
        """So many were looked at, or an answer was as dear."""
        if lines and self.is_limited:
            words_us = max(connection.words_us, now * 1_000)
            connection.words_us = words_us + lines * self._line_us

    def next_at(self, connection: Connection) -> int:
        """When the next line may be looked at; a time in the past when it may be now."""
        early_us = connection.words_us + self._line_us - self._burst_us
        return -(-early_us // 1_000)

    def used_lines(self, connection: Connection) -> int:
        """How many lines of its rate a connection has used up, on a scale of its own: what counts
        is how many more they are at another time, as long as it has not been silent between.
        """
        return connection.words_us // self._line_us if self.is_limited else 0
