"""Going where an address goes: by the program of the platform, or by the one that is set.

It gets the address as an argument, never by a shell, and nothing of our terminal.
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from tcpchat_cli.terminal.failures import reason

# Where the address goes in the command that is set.
PLACE: Final = "{}"


class CannotOpen(Exception):
    """Nothing is opened. The text is one sentence for people."""


def command_for(
    address: str,
    wanted: Sequence[str],
    environment: Mapping[str, str],
    platform: str = sys.platform,
) -> list[str]:
    """What to run: `wanted`, or what the platform has where that is empty. Raises CannotOpen."""
    if wanted:
        if not any(PLACE in argument for argument in wanted[1:]):
            raise CannotOpen(f'the setting open has no "{PLACE}" behind the program')
        return [wanted[0], *(each.replace(PLACE, address) for each in wanted[1:])]
    if platform == "darwin":
        if "SSH_CONNECTION" in environment:
            raise CannotOpen("there is no display here")
        return ["open", address]
    if not (environment.get("DISPLAY") or environment.get("WAYLAND_DISPLAY")):
        raise CannotOpen("there is no display here")
    if shutil.which("xdg-open", path=environment.get("PATH")) is None:
        raise CannotOpen("there is no xdg-open here (the setting open names another program)")
    return ["xdg-open", address]


def start(command: Sequence[str], failed: Callable[[str], None]) -> None:
    """Run it, and do not wait for it; `failed` is called with a sentence when it fails at its end.

    Raises CannotOpen when it cannot be run.
    """
    try:
        # Its own session: what we are sent by our terminal, such as Ctrl-C, is not for it.
        process = subprocess.Popen(  # noqa: S603 # no shell, and the address begins with http
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
    except (OSError, ValueError) as error:
        why = reason(error) if isinstance(error, OSError) else str(error)
        raise CannotOpen(f"cannot run {command[0]}: {why}") from None
    loop = asyncio.get_running_loop()

    def wait() -> None:
        if status := process.wait():
            told = f"{command[0]} ended with status {status}"
            with contextlib.suppress(RuntimeError):  # we have ended before it
                loop.call_soon_threadsafe(failed, told)

    # A browser may run for longer than we do, and nobody waits for it then.
    threading.Thread(target=wait, daemon=True).start()
