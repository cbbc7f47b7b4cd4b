"""The exceptions of the core, for two different kinds of wrong.

Nothing that a peer of the *server* sends raises: it is answered with `Rejected`. A *client* has
nobody to answer, so a server that breaks the protocol raises `RemoteError`.
"""

from __future__ import annotations


class TcpchatError(Exception):
    """The base of all."""


class RemoteError(TcpchatError):
    """The other side broke the protocol. The text is one sentence for people."""


class TooLateError(RemoteError):
    """The first bytes of a client reached the server so late that it took it for a person with nc.

    That is a slow network, nobody's fault: connect again.
    """


class LocalError(TcpchatError):
    """The calling program used the core wrongly: a mistake in its code, not in its input."""
