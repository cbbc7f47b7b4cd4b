"""Talking in plain lines: for scripts and pipes.

Lines come in on stdin and mean what they mean in the plain dialect; what is told goes to stdout
in the plain dialect's words. A refusal goes to stderr, and makes the exit status 1 at the end.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence

from colorama import Fore, Style, just_fix_windows_console

from tcpchat_cli.terminal.connection import Connection
from tcpchat_cli.terminal.entrance import enter
from tcpchat_cli.terminal.opening import hear_goodbye, undone
from tcpchat_cli.terminal.output import complain, write
from tcpchat_cli.terminal.overdue import ANSWER_SECONDS
from tcpchat_cli.terminal.stdin import Input
from tcpchat_core import Notice, events, notices, parse_line
from tcpchat_core.dialects.plain import PLAIN


class Lines:
    """One conversation in lines. `failed` tells whether the server refused anything."""

    patience = -1.0  # a script ends when the connection is lost, so that it can be started again
    answers_within: float = ANSWER_SECONDS

    def __init__(self, connection: Connection, *, coloured: bool) -> None:
        self.failed = False
        self._connection = connection
        self._input = Input()
        self._is_printed = True
        self._coloured = coloured
        if coloured:
            just_fix_windows_console()
        for stream in (sys.stdout, sys.stderr):
            # Where the locale has no UTF-8, a ? is better than a traceback.
            if hasattr(stream, "reconfigure"):
                stream.reconfigure(errors="replace")

    def told(self, batch: list[Notice]) -> None:
        """Show what the server told."""
        text = ""
        for notice in batch:
            match notice:
                case notices.Rejected(text=why):
                    self.failed = True
                    complain(why)
                case notices.Ponged():
                    pass  # to the connection's own questions
                case notices.Welcome() | notices.Resumed() | notices.Closing():
                    pass  # greetings are for people, and the end tells itself
                case _:
                    text += self._text(notice)
        self._write(text + self._abandoned())

    def lost(self, sentence: str) -> None:
        """No connection is replaced here."""

    def _abandoned(self) -> str:
        """What was said in a session that is over, and has no receipt."""
        abandoned = self._connection.protocol.abandoned
        lines = [f"! This may not have been said: {said.text}\n" for said in abandoned]
        abandoned.clear()
        return "".join(map(self._for_people, lines))

    async def talk(self, nick: str, rooms: Sequence[str]) -> None:
        """Come in and send what stdin gives, to its end."""
        self._input.start()
        if not await enter(self._connection, None, complain, nick, rooms):
            return
        while (line := await self._input.line()) is not None:
            match parse_line(line):
                case None:
                    pass
                case notices.Rejected() as rejected:
                    self.told([rejected])
                case events.Quit(reason):
                    await self._connection.settle()
                    self._connection.quit(reason)
                    return
                case request:
                    await self._connection.flush()
                    self._connection.send(request)
        await self._connection.settle()

    async def finish(self, reading: asyncio.Task[None]) -> None:
        """Wait for the server's goodbye. Raises ConnectionFailed when receipts are missing."""
        await hear_goodbye(self._connection, reading)

    def stopped(self, sentence: str) -> None:
        """A signal has ended it: say what is not done, and count it as failed."""
        if what := undone(self._connection, self._input, is_printed=self._is_printed):
            self.failed = True
            complain(f"{sentence}; {what}")

    def _text(self, notice: Notice) -> str:
        return self._for_people(PLAIN.encode(notice).decode())

    def _for_people(self, text: str) -> str:
        if not self._coloured or not text:
            return text
        return "".join(_coloured(line) for line in text.splitlines(keepends=True))

    def _write(self, text: str) -> None:
        if sys.stdout is None:
            return
        self._is_printed = False
        if self._coloured:  # on a terminal, which may be one of Windows that knows no colours
            sys.stdout.write(text)
            sys.stdout.flush()
        else:
            write(text.encode(sys.stdout.encoding, "replace"))
        self._is_printed = True


def _coloured(line: str) -> str:
    """A plain line with its room, its nick, or all of a server's line in colour."""
    if line.startswith("! "):
        return f"{Fore.RED}{line[:-1]}{Style.RESET_ALL}\n"
    if line.startswith("* "):
        return f"{Style.DIM}{line[:-1]}{Style.RESET_ALL}\n"
    room, bracket, rest = line.partition("] ")
    nick, colon, text = rest.partition(": ")
    if not colon or rest.startswith("* "):
        return f"{Fore.CYAN}{room}{bracket}{Style.RESET_ALL}{rest}"
    return (
        f"{Fore.CYAN}{room}{bracket}{Style.RESET_ALL}"
        f"{Fore.GREEN}{nick}{Style.RESET_ALL}{colon}{text}"
    )
