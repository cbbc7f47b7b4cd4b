"""The token by which this computer comes to somebody's account, kept for the next time.

Whoever has a token comes as its owner. So each is in a file that its owner alone can read, from the
moment when it is made; and it is neither shown, nor in any error. There is one file for each
server, by the address that one types, in the folder `devices` beside client.toml.

A token that was given over TLS, which its file says, is never sent without: who forgets `--tls` is
told so. One that was given in clear may be: others on the way could read it then already.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final
from urllib.parse import quote

from tcpchat_cli.terminal.address import Address
from tcpchat_cli.terminal.failures import reason
from tcpchat_cli.terminal.kept_files import at_once, write_whole
from tcpchat_cli.terminal.settings import BadSettings, config_path

# What stands behind a token that was given over TLS.
_FOR_TLS: Final = "tls"

# More than any server gives.
_MAX_TOKEN_CHARS: Final = 1_024


class Device:
    """What this computer is to the servers of one cluster; with none of them nothing is kept.

    `token` is "" for a guest; `is_tls` is whether it goes over TLS.
    """

    def __init__(
        self, servers: Sequence[Address] = (), token: str = "", *, is_tls: bool = False
    ) -> None:
        self._paths = [_path(server) for server in servers]
        self.token = token
        self._is_tls = is_tls

    @classmethod
    def kept_for(cls, servers: Sequence[Address], *, is_tls: bool = False) -> Device:
        """The one that was kept. Raises BadSettings for a file that cannot be used."""
        for path in map(_path, servers):
            token, is_for_tls = _read(path)
            if is_for_tls and not is_tls:
                raise BadSettings(
                    f"the token in {path} was given over TLS, and others could read it on the way"
                    " without: give --tls (or take the file away, to come as a guest)"
                )
            if token:
                return cls(servers, token, is_tls=is_tls)
        return cls(servers, is_tls=is_tls)

    def check(self) -> None:
        """Whether a token could be kept, before a code is used up for one. Raises BadSettings."""
        for path in self._paths:
            try:
                if path.is_dir():
                    raise IsADirectoryError(errno.EISDIR, "", str(path))
                path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                with tempfile.NamedTemporaryFile(prefix=".new-", dir=path.parent):
                    pass
            except OSError as error:
                raise BadSettings(
                    f"a token could not be kept, so the code is not used: {_cannot(path, error)}"
                ) from None

    def keep(self, token: str) -> None:
        """Come by this token from now on. Raises BadSettings when it cannot be kept."""
        self.token = token
        if not _is_token(token):
            raise BadSettings("what this server gave as a token cannot be kept")
        for path in self._paths:
            try:
                write_whole(path, f"{token} {_FOR_TLS}\n" if self._is_tls else f"{token}\n")
            except OSError as error:
                raise BadSettings(
                    f"this device will be unknown the next time: {_cannot(path, error)}"
                ) from None

    def forget(self) -> None:
        """Be a guest from now on. What another program has kept meanwhile stays."""
        for path in self._paths:
            with contextlib.suppress(OSError, BadSettings):
                if _read(path)[0] == self.token:
                    path.unlink()
        self.token = ""


def computer_name() -> str:
    """What this computer is called, without its domain; "" when it has no name."""
    try:
        return socket.gethostname().partition(".")[0]
    except (OSError, UnicodeError):
        return ""


def _path(server: Address) -> Path:
    name = quote(str(server).lower(), safe="[]")
    return config_path().parent / "devices" / name


def _is_token(text: str) -> bool:
    return text.isascii() and text.isalnum() and len(text) <= _MAX_TOKEN_CHARS


def _read(path: Path) -> tuple[str, bool]:
    """The token in a file, "" when there is no file; and whether it is for TLS only.

    Raises BadSettings.
    """
    try:
        with open(path, "rb", opener=at_once) as file:
            status = os.fstat(file.fileno())
            data = file.read(_MAX_TOKEN_CHARS + len(_FOR_TLS) + len(os.linesep) + 2) or b""
    except (FileNotFoundError, NotADirectoryError):
        return "", False
    except OSError as error:
        raise BadSettings(f"cannot read {path}: {reason(error)}") from None
    if os.name == "posix" and (status.st_mode & 0o077 or status.st_uid != os.geteuid()):
        raise BadSettings(
            f"{path} is not for you alone: whoever could read it can come as you;"
            " take it away, /revoke this device and claim it anew (or chmod 600 the file)"
        )
    token, blank, mark = data.decode("ascii", "replace").strip().partition(" ")
    if not _is_token(token) or mark != (_FOR_TLS if blank else ""):
        raise BadSettings(f"{path} holds no token: take it away, and claim this device anew")
    return token, bool(mark)


def _cannot(path: Path, error: OSError) -> str:
    return f"cannot write {path}: {reason(error)}"
