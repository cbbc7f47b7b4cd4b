"""tcpchat-client: join a chat from a terminal, or from a script.

This module is only the way in. It imports next to nothing itself, so that Ctrl-C is answered
properly also while the rest is being loaded.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from tcpchat_cli.terminal.exits import INTERRUPTED

# The first word of a command line chooses one of these, which need nothing of what a terminal does.
TOOLS = ("send", "tail")


def main(argv: Sequence[str] | None = None) -> int:
    """The console script. Returns the exit status, one of `exits`."""
    try:
        argv = sys.argv[1:] if argv is None else argv
        # Loading takes some tenths of a second, and Ctrl-C must be heard meanwhile.
        if argv and argv[0] in TOOLS:
            from tcpchat_cli.terminal.scripts import run as run_tool  # noqa: PLC0415 # as above

            return run_tool(argv)
        from tcpchat_cli.terminal.app import run  # noqa: PLC0415 # as above

        return run(argv)
    except KeyboardInterrupt:
        return INTERRUPTED


if __name__ == "__main__":
    sys.exit(main())
