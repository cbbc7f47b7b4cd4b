"""tcpchat-server: the console script."""

from __future__ import annotations

import signal
import sys


def main() -> None:
    """Run the server until Ctrl-C or SIGTERM, or do what the first word says."""
    # Until the server has its own way to end, Ctrl-C just ends the program, also while the
    # imports below take their time.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    if sys.argv[1:] and not sys.argv[1].startswith("-"):
        from tcpchat_cli.tools import run as run_tool  # noqa: PLC0415 # see above

        run_tool(sys.argv[1:])
        return
    from tcpchat_cli.serving import run  # noqa: PLC0415 # see above

    run()
