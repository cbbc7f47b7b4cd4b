"""What SIGHUP changes: which of the settings that are read again can hold at once.

Rule 1: What can be half done is not done: when anything is wrong, all stays as it was.

Rule 2: What holds at once is what the table of settings says of each. Beside that, whether
        everybody speaks TLS is as it was at the start, and so is how long what is said is kept,
        when another log is to be used.

Rule 3: What can be read once only is not read again: a pipe is empty then, as if all that it said
        were to hold no more.

Rule 4: Who was at a terminal that is gone is not asked to read anything: SIGHUP is the end then.
"""

from __future__ import annotations

import errno
import os
import signal
from collections.abc import Callable, Mapping
from typing import Final, NamedTuple, Protocol

import msgspec

from tcpchat_cli import console
from tcpchat_cli.settings import (
    TABLE,
    Settings,
    SettingsError,
    check_lasting,
    key_of,
    read_configuration,
    show_value,
    usable,
)

# Settings that name a file which is read anew.
_FILES: Final = ("motd", "password_file", "tls_cert", "tls_key")


class Source(Protocol):
    """Where the settings come from, and who says that they are to be read again."""

    def read(self) -> Settings:
        """What the settings are to be. Raises SettingsError."""

    def call(self, reload: Callable[[], None], stop: Callable[[], None]) -> None:
        """From now on call `reload` when the settings are to be read again, and `stop` when it is
        the end. Both are called wherever the program just is, so they may not wait.
        """


class Changes(NamedTuple):
    """What is to hold, and what that changes: names of settings, with the old and the new value.

    What `waits` is changed by a restart.
    """

    settings: Settings
    made: Mapping[str, str]
    waits: Mapping[str, str]

    def tell(self) -> None:
        """Log what waits for a restart."""
        if self.waits:
            names = shown(self.waits)
            console.complain(f"a restart is needed for {names}", about="settings")


def shown(changed: Mapping[str, str]) -> str:
    """What has changed, for people."""
    return ", ".join(f"{name} {change}" for name, change in changed.items())


def refuse(error: SettingsError) -> None:
    """Log why nothing has changed."""
    console.complain(f"the old settings stay in use: {error}", about="settings")


def changes(old: Settings, new: Settings) -> Changes:
    """What comes of the settings in use, and of those that were read."""
    waiting = {name for name, setting in TABLE.items() if not setting.reloads}
    if bool(old.tls_cert) != bool(new.tls_cert):
        waiting |= {"tls_cert", "tls_key"}
    if old.log != new.log:
        waiting.add("keep")
    held = {name: getattr(old, name) for name in waiting}
    differing = {
        name: f"{show_value(getattr(old, name))} → {show_value(getattr(new, name))}"
        for name in TABLE
        if getattr(old, name) != getattr(new, name)
    }
    return Changes(
        msgspec.structs.replace(new, **held),
        {key_of(name): told for name, told in differing.items() if name not in waiting},
        {key_of(name): told for name, told in differing.items() if name in waiting},
    )


class Own:
    """The program's own command line, environment and file, which SIGHUP has read again.

    Make it at the start, when the terminal is there. With nohup SIGHUP means nothing. `adapted` is
    what becomes of the settings that are read, if anything does.
    """

    def __init__(self, adapted: Callable[[Settings], Settings] | None = None) -> None:
        self._adapted = adapted
        self._terminal = Terminal()
        self.is_ignored = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN

    def read(self) -> Settings:
        """As `Source`."""
        read = usable(read_configuration(is_again=True)).settings
        for name in _FILES:
            if file := getattr(read, name):
                check_lasting(file, f"--{key_of(name)}")
        return read if self._adapted is None else self._adapted(read)

    def call(self, reload: Callable[[], None], stop: Callable[[], None]) -> None:
        """As `Source`."""
        if not self.is_ignored:
            signal.signal(signal.SIGHUP, lambda *_: stop() if self.is_over() else reload())

    def is_over(self) -> bool:
        """Whether SIGHUP is the end: its terminal has gone."""
        return self._terminal.is_gone()


# What a program has of a terminal, as a rule.
_STDIN, _STDERR = 0, 2

_CONTROLLING: Final = "/dev/tty"


class Terminal:
    """The terminal at which the program was started, if it was at one."""

    def __init__(self) -> None:
        self._descriptors = [each for each in (_STDIN, _STDERR) if os.isatty(each)]
        self._is_controlling = _is_controlled()

    def is_gone(self) -> bool:
        """Whether there was one, and there is none any more."""
        if not self._descriptors:
            return False
        if not all(map(os.isatty, self._descriptors)):  # the kernel says EIO
            return True
        return self._is_controlling and not _is_controlled()


def _is_controlled() -> bool:
    """Whether the program has a controlling terminal."""
    try:
        os.close(os.open(_CONTROLLING, os.O_RDONLY | os.O_NOCTTY | os.O_NONBLOCK))
    except OSError as error:
        return error.errno not in (errno.ENXIO, errno.EIO)
    return True
