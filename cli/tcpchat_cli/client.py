"""tcpchat-client: join a chat from a terminal, or from a script.

This module is only the way in. It imports next to nothing itself, so that Ctrl-C is answered
properly also while the rest is being loaded.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

# What a shell reports for a program that was ended by Ctrl-C (128 + SIGINT).
EXIT_INTERRUPTED = 130


def main(argv: Sequence[str] | None = None) -> int:
    """The console script. Returns the exit status: 0, or 1 after one sentence on stderr."""
    try:
        # Loading takes some tenths of a second, and Ctrl-C must be heard meanwhile.
        from tcpchat_cli.terminal.app import run  # noqa: PLC0415 # for the reason above

        return run(sys.argv[1:] if argv is None else argv)
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED


if __name__ == "__main__":
    sys.exit(main())
