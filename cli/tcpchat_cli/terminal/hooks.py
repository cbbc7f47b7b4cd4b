"""Programs of the person's own that are run when something is said.

Rule 1: No shell. A hook is a list of arguments, or a text that is split into such a list once,
        before anything is put into it. A placeholder never becomes two arguments.

Rule 2: What others write is no option: an argument that begins with `-` only by what was put into
        it has a blank before that. As it was said it is in the environment, and on stdin in JSON.

Rule 3: A hook cannot hold up the chat, nor fill the computer: few run at once, the others are left
        out and counted; one that takes too long is killed with all that it started. What it writes
        is seen by nobody.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import shlex
import signal
import sys
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Final, Literal, TypeAlias, get_args

import msgspec

from tcpchat_cli.terminal.failures import reason
from tcpchat_cli.terminal.render import MAX_NAME_CHARS, MAX_TEXT_CHARS
from tcpchat_cli.terminal.settings import BadSettings
from tcpchat_core.notices import Said, Told
from tcpchat_core.sanitize import sanitize

# A notification, a sound and a line in a file take far less.
LIMIT_SECONDS: Final = 10.0

# Few enough for the smallest computer when everybody talks at once.
MAX_RUNNING: Final = 4

Happening: TypeAlias = Literal["on_mention", "on_direct", "on_message"]
HAPPENINGS: Final[tuple[Happening, ...]] = get_args(Happening)

PLACEHOLDERS: Final = ("nick", "room", "text", "time")
_PLACEHOLDER: Final = re.compile(r"\{([a-z_]+)\}")

# How a hook is written in client.toml.
Written: TypeAlias = str | tuple[str, ...]


def parse_hook(name: str, written: Written) -> tuple[str, ...]:
    """Its arguments, the program first; none where there is no hook. Raises BadSettings."""
    try:
        arguments = tuple(shlex.split(written)) if isinstance(written, str) else written
    except ValueError as error:
        raise BadSettings(f"{name} cannot be split into arguments: {error}".lower()) from None
    if any("\0" in each for each in arguments):
        raise BadSettings(f"{name} has a character in it that no argument can have (NUL)")
    if arguments and (not arguments[0] or _PLACEHOLDER.search(arguments[0])):
        raise BadSettings(f"{name} begins with the program to run, which nobody else may choose")
    for found in _PLACEHOLDER.findall(" ".join(arguments)):
        if found not in PLACEHOLDERS:
            there = " ".join(f"{{{each}}}" for each in PLACEHOLDERS)
            raise BadSettings(f"{name}: there is no {{{found}}}; there are {there}")
    return arguments


def arguments(hook: tuple[str, ...], message: Said | Told) -> list[str]:
    """What a program is called with: as many arguments as its hook has, whatever was said."""
    values = _values(message)
    return [_filled(each, values) for each in hook]


class Hooks:
    """The hooks of one client. `tell` shows a sentence to the person.

    Call `set_to` first, `run` in the loop whenever something is said, and `close` at the end.
    """

    def __init__(
        self, tell: Callable[[str], None], *, limit_seconds: float = LIMIT_SECONDS
    ) -> None:
        self._tell = tell
        self._limit_seconds = limit_seconds
        self._hooks: dict[str, tuple[str, ...]] = {}
        self._running: set[asyncio.Task[None]] = set()
        self._processes: set[asyncio.subprocess.Process] = set()
        self._is_closed = False
        self._left_out = 0
        self._complained: set[str] = set()  # the hooks of which it was told that they fail

    def set_to(self, written: Mapping[Happening, Written]) -> None:
        """These are the hooks from now on. Raises BadSettings, and then nothing has changed."""
        self._hooks = {name: parse_hook(name, each) for name, each in written.items()}
        self._complained.clear()

    def run(self, happening: Happening, message: Said | Told) -> None:
        """Run the hook for it, if there is one."""
        hook = self._hooks.get(happening)
        if not hook or self._is_closed:
            return
        if len(self._running) >= MAX_RUNNING:
            self._left_out += 1
            return
        task = asyncio.create_task(self._run(happening, hook, message))
        self._running.add(task)
        task.add_done_callback(self._ended)

    async def settle(self) -> None:
        """Wait until none is running."""
        while self._running:
            await asyncio.wait(self._running)

    async def close(self) -> None:
        """Kill those that are still running, and run no more."""
        self._is_closed = True
        for process in self._processes:
            _kill(process)
        await self.settle()

    async def _run(self, happening: Happening, hook: tuple[str, ...], message: Said | Told) -> None:
        try:
            process = await asyncio.create_subprocess_exec(
                *arguments(hook, message),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.DEVNULL,
                env=_environment(happening, _values(message)),
                start_new_session=True,  # so that it can be killed with all that it started
            )
        except OSError as error:
            self._complain(happening, f"cannot run {hook[0]}: {reason(error)}")
            return
        self._processes.add(process)
        if self._is_closed:  # while it was being started
            _kill(process)
        try:
            async with asyncio.timeout(self._limit_seconds):
                await process.communicate(msgspec.json.encode(message) + b"\n")
        except TimeoutError:
            limit = f"{self._limit_seconds:g} seconds"
            self._complain(happening, f"{hook[0]} took more than {limit}, and was killed")
        finally:
            self._processes.discard(process)
            if process.returncode is None:
                _kill(process)
                await process.wait()

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        if self._left_out and not self._running:
            count, self._left_out = self._left_out, 0
            many = "1 hook was" if count == 1 else f"{count} hooks were"
            self._tell(f"{many} not run, since {MAX_RUNNING} were running already")

    def _complain(self, happening: Happening, sentence: str) -> None:
        """Tell of a hook that fails, once."""
        if happening not in self._complained:
            self._complained.add(happening)
            self._tell(f"{happening}: {sentence}")


def _values(message: Said | Told) -> dict[str, str]:
    """What stands for the placeholders."""
    return {
        "nick": sanitize(message.nick[:MAX_NAME_CHARS]),
        "room": sanitize(message.room[:MAX_NAME_CHARS]) if isinstance(message, Said) else "",
        "text": sanitize(message.text[:MAX_TEXT_CHARS]),
        "time": _time(message.at),
    }


def _time(at: int) -> str:
    try:
        return datetime.fromtimestamp(at / 1000).astimezone().isoformat(timespec="seconds")
    except (OverflowError, ValueError, OSError):  # a server may say any number
        return ""


def _filled(argument: str, values: Mapping[str, str]) -> str:
    filled = _PLACEHOLDER.sub(lambda found: values[found[1]], argument)
    is_option = filled.startswith("-") and not argument.startswith("-")
    return f" {filled}" if is_option else filled


def _environment(happening: Happening, values: Mapping[str, str]) -> dict[str, str]:
    """Our own, without what lets in; and what was said."""
    return {
        **{name: value for name, value in os.environ.items() if name != "TCPCHAT_PASSWORD"},
        "TCPCHAT_HOOK": happening,
        **{f"TCPCHAT_HOOK_{name.upper()}": value for name, value in values.items()},
    }


def _kill(process: asyncio.subprocess.Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        if sys.platform == "win32":
            process.kill()
        else:
            os.killpg(process.pid, signal.SIGKILL)
