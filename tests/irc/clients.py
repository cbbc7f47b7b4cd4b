"""IRC clients as people have them, each in a pseudo-terminal, and how they show what happens.

All that a client is told is shown in one window, so that a test can wait for it; what is typed is
not taken for a paste, as fast as it may come, and is sent at once, where a client would keep its
next lines back for some seconds. Nothing else is changed of what they are like.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple, Self

import pytest

from tests.cli.terminal import Terminal

# An IRC line is at most 512 bytes, and takes one row.
COLUMNS: Final = 600


class Kind(NamedTuple):
    """A client, and what a row of it looks like: regular expressions with names in braces."""

    program: str
    # From its home, the port, the nick, and the server's password, "" for none.
    command: Callable[[Path, str, str, str], list[str]]
    said: str
    emoted: str
    told: str
    joined: str
    left: str
    quit: str
    renamed: str
    named: str
    topic: str
    kicked: str
    in_use: str
    banned: str
    away: str
    listed: str
    members: str  # a number of them


def _irssi(home: Path, port: str, nick: str, password: str) -> list[str]:
    secret = f'password = "{password}";' if password else ""
    (home / "config").write_text(
        f"""
servers = ( {{ address = "127.0.0.1"; port = "{port}"; autoconnect = "yes"; {secret} }} );
settings = {{
  core = {{ real_name = "A Person"; user_name = "person"; nick = "{nick}"; }};
  "irc/core" = {{ cmd_queue_speed = "10msec"; cmds_max_at_once = "20"; }};
  "fe-text" = {{ paste_verify_line_count = "0"; }};
  "fe-common/core" = {{
    use_status_window = "no"; autocreate_windows = "no"; autocreate_query_level = "NONE";
  }};
}};
"""
    )
    return ["irssi", "--home", str(home)]


def _weechat(home: Path, port: str, nick: str, password: str) -> list[str]:
    secret = f"-password={password}" if password else ""
    at_once = "-anti_flood_prio_high=0 -anti_flood_prio_low=0"
    settings = (
        "/set weechat.look.paste_max_lines -1",
        "/set weechat.bar.nicklist.hidden on",
        "/set irc.msgbuffer.433 current",
        f"/server add here 127.0.0.1/{port} -notls -nicks={nick},{nick}_ {at_once} {secret}",
        "/connect here",
    )
    return [
        *("weechat-curses", "--dir", str(home), "--plugins", "irc,alias"),
        *("--run-command", ";".join(settings)),
    ]


_IRSSI: Final = r"^\d\d:\d\d (-!- )?"
_WEECHAT: Final = r"^\d\d:\d\d:\d\d +[^|]*"

IRSSI: Final = Kind(
    program="irssi",
    command=_irssi,
    said=r"^\d\d:\d\d <[ @]?{nick}> (?P<text>{text})$",
    emoted=_IRSSI + r" *\* {nick} {text}$",
    told=_IRSSI + r"\[{nick}\(.*\)\] {text}$",
    joined=_IRSSI + r"{nick} \[.*\] has joined #{room}$",
    left=_IRSSI + r"{nick} \[.*\] has left #{room} \[.*\]$",
    quit=_IRSSI + r"{nick} \[.*\] has quit \[{why}\]$",
    renamed=_IRSSI + r"{old} is now known as {nick}$",
    named=_IRSSI + r"You're now known as {nick}$",
    topic=_IRSSI + r"{nick} changed the topic of #{room} to: {text}$",
    kicked=_IRSSI + r"{nick} was kicked from #{room} by {by} \[{why}\]$",
    in_use=_IRSSI + r".*Nick {nick} is already in use",
    banned=_IRSSI + r"Cannot join to channel #{room} \(You are banned\)$",
    away=_IRSSI + r"{nick} is away: {text}$",
    listed=_IRSSI + r"#{room} {count} {text}$",
    members=_IRSSI + r"Irssi: #{room}: Total of {count} nicks",
)
WEECHAT: Final = Kind(
    program="weechat-curses",
    command=_weechat,
    said=r"^\d\d:\d\d:\d\d +@?{nick} \| (?P<text>{text})$",
    emoted=_WEECHAT + r"\* \| {nick} {text}$",
    told=r"^\d\d:\d\d:\d\d +{nick} \| {text}$",
    joined=_WEECHAT + r"--> \| {nick} (\[.*\] )?\(.*\) has joined #{room}$",
    left=_WEECHAT + r"<-- \| {nick} \(.*\) has left #{room}",
    quit=_WEECHAT + r"<-- \| {nick} \(.*\) has quit \({why}\)$",
    renamed=_WEECHAT + r"-- \| {old} is now known as {nick}$",
    named=_WEECHAT + r"-- \| You are now known as {nick}$",
    topic=_WEECHAT + r"-- \| {nick} has changed topic for #{room} (from .* )?to \"{text}\"$",
    kicked=_WEECHAT + r"<-- \| {by} has kicked {nick} \({why}\)$",
    in_use=_WEECHAT + r"-- \| {nick}: .* taken$",
    banned=_WEECHAT + r"-- \| #{room}: you are banned from {room} .*$",
    away=_WEECHAT + r"-- \| \[{nick}\] is away: {text}$",
    listed=_WEECHAT + r"-- \| #{room}\({count}\): {text}$",
    members=_WEECHAT + r"-- \| Channel #{room}: {count} nicks? ",
)


class Client:
    """One that runs, and a person before it."""

    def __init__(self, kind: Kind, home: Path, address: str, nick: str, password: str = "") -> None:
        home.mkdir()
        argv = kind.command(home, address.rpartition(":")[2], nick, password)
        self.kind = kind
        self.terminal = Terminal(argv, columns=COLUMNS, rows=50, env={"HOME": str(home)})
        self.enter = self.terminal.enter

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        if not self.terminal.child.closed:
            self.terminal.child.kill(signal.SIGTERM)  # irssi ends by nothing less
        self.terminal.close()

    def dies(self) -> None:
        """It is gone, and has said nothing."""
        self.terminal.child.kill(signal.SIGKILL)
        self.terminal.child.wait()

    def is_welcome(self) -> None:
        """Wait until the server has taken it in."""
        self.terminal.wait_for(r"are supported (by|on) this server")

    def joins(self, room: str, nick: str) -> None:
        """Join a room, and wait until all of it is there."""
        self.enter(f"/join #{room}")
        self.sees("joined", nick=nick, room=room)
        self.sees("members", room=room, count=r"\d+")

    def turns_to(self, name: str, shown: str) -> None:
        """In a client that has a window for each who tells something, and for the server, look at
        one, as soon as it is called so in the list of those where something is new.
        """
        if self.kind is WEECHAT:
            self.terminal.wait_for(rf"\[H: .*{shown}.*\]")
            self.enter(f"/buffer {name}")

    def sees(self, what: str, **names: str) -> None:
        """Wait until a row shows it. Only `count` and `text` may be patterns themselves."""
        pattern = self._pattern(what, names)
        self.terminal.wait_for(pattern)

    def lines(self, nick: str) -> list[str]:
        """What somebody has said, as the rows show it."""
        pattern = self._pattern("said", {"nick": nick, "text": ".*"})
        found = (re.search(pattern, row) for row in self.terminal.rows)
        return [match["text"] for match in found if match]

    def _pattern(self, what: str, names: dict[str, str]) -> str:
        pattern: str = getattr(self.kind, what)
        for name, value in names.items():
            pattern = pattern.replace(f"{{{name}}}", value)
        return pattern


def has_to_be_here(kind: Kind) -> None:
    """Skip the test where the client is not installed; in CI it must be."""
    if shutil.which(kind.program) is None:
        sentence = f"there is no {kind.program}"
        if os.environ.get("CI"):
            pytest.fail(f"{sentence}, and in CI there has to be one")
        pytest.skip(f"{sentence} that could join")
