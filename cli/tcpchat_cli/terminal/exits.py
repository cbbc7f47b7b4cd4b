"""What an exit status of tcpchat-client means; docs/client.md and the manual have this table.

A conversation ends in 0 or 1 (and 2, 130); the tools for scripts tell apart why not all went well.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Final

DONE: Final = 0
FAILED: Final = 1
USAGE: Final = 2
UNREACHABLE: Final = 3
LOST: Final = 4
INTERRUPTED: Final = 130  # what shells report for Ctrl-C: 128 + SIGINT

MEANINGS: Final = MappingProxyType(
    {
        DONE: "All went well: what was to be said has its receipts, so it is kept.",
        FAILED: "Not all went well: something was refused. In a conversation also what 3 and 4 are"
        " for `send` and `tail`.",
        USAGE: "The command line was wrong; with `send` and `tail` also client.toml or the"
        " environment. Nothing was sent.",
        UNREACHABLE: "`send` and `tail`: there is no connection, or the server lets nobody in."
        " Nothing was said.",
        LOST: "`send` and `tail`: the connection was lost and could not be replaced, the server"
        " answered nothing more, or the program was ended before all was said or printed. What has"
        " no receipt may have been said or not.",
        INTERRUPTED: "Ctrl-C.",
    }
)
