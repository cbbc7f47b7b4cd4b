"""The socket that a service manager listens on, and gives to tcpchat-server: sd_listen_fds(3).

Rule 1: It stays open, and listens, for as long as the manager has it. So who connects while nobody
        serves waits, and is served by the next server.

Rule 2: Where it listens is for whoever made it to say; the settings' host and port are not asked.

Rule 3: There is one. A socket for IPv6 takes IPv4 as well, unless that was switched off.
"""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import MutableMapping
from typing import Final

import msgspec

from tcpchat_cli import console
from tcpchat_cli.arguments import show_address
from tcpchat_cli.settings import Settings

# The descriptors are those from here on.
_FIRST: Final = 3

# LISTEN_PIDFDID is of systemd 258.
_VARIABLES: Final = ("LISTEN_FDS", "LISTEN_PID", "LISTEN_PIDFDID", "LISTEN_FDNAMES")


class ActivationError(Exception):
    """What was given cannot be listened on. The text is one sentence for people."""


def given_listener(environ: MutableMapping[str, str]) -> socket.socket | None:
    """The socket that this process was given, if it was. Raises ActivationError.

    What says so is taken out of the environment, so that no child believes it, too.
    """
    count, pid, *_ = [environ.pop(name, "") for name in _VARIABLES]
    if count in ("", "0") or pid != str(os.getpid()):
        return None
    if count != "1":
        raise ActivationError(
            f"LISTEN_FDS is {count}, and one socket is served: let the socket unit have one"
            " ListenStream=, such as [::]:7667 for IPv4 and IPv6"
        )
    try:
        listener = socket.socket(fileno=_FIRST)
    except OSError as error:
        what = "no socket" if error.errno == errno.ENOTSOCK else f"no use: {error.strerror}"
        raise ActivationError(f"descriptor {_FIRST}, which LISTEN_FDS gives, is {what}") from None
    listener.set_inheritable(False)
    _check(listener)
    return listener


def _check(listener: socket.socket) -> None:
    kind = (listener.family, listener.type)
    if kind not in {(socket.AF_INET, socket.SOCK_STREAM), (socket.AF_INET6, socket.SOCK_STREAM)}:
        raise ActivationError(
            f"the socket that LISTEN_FDS gives is none of TCP ({listener.family.name},"
            f" {listener.type.name}): let the socket unit have ListenStream= with a port"
        )
    if not listener.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
        raise ActivationError(
            "the socket that LISTEN_FDS gives does not listen: let the socket unit have Accept=no"
        )


def at_its_address(settings: Settings, listener: socket.socket) -> Settings:
    """The settings with the host and port where the socket listens; the log tells of others."""
    host, port = listener.getsockname()[:2]
    usual = Settings()
    if settings.host not in (usual.host, host) or settings.port not in (usual.port, port, 0):
        console.complain(
            f"{show_address(settings.host, settings.port)} is not listened on: the service manager"
            f" has given a socket, which is {show_address(host, port)}",
            about="address",
        )
    return msgspec.structs.replace(settings, host=host, port=port)
