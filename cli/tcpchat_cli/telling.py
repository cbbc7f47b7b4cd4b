"""What happens to the server itself, in the words of the log."""

from __future__ import annotations

from tcpchat_cli.console import note
from tcpchat_net.happenings import Happening, Held, Released, Suspended


def tell(happening: Happening) -> None:
    """Log what has happened."""
    match happening:
        case Held(ms, stack, left_out):
            note("held", ms=ms, stack=stack, left_out=left_out or "")
        case Released(ms):
            note("released", ms=ms)
        case Suspended(ms, left_out):
            note("suspended", ms=ms, left_out=left_out or "")
