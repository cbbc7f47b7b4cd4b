"""tcpchat-server: the console script."""

from __future__ import annotations

import signal


def main() -> None:
    """Run the server until Ctrl-C or SIGTERM."""
    # Until the server has its own way to end, Ctrl-C just ends the program, also while the
    # imports below take their time.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    from tcpchat_cli.serving import run  # noqa: PLC0415 # see above

    run()
