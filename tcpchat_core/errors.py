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
    """The calling program asked for what the core cannot do. Nothing was changed by it."""


class LineTooLongError(LocalError):
    """A request was not sent, because its line is longer than the server reads.

    `max_bytes` is how many bytes a line may have, its end not counted.
    """

    def __init__(self, max_bytes: int) -> None:
        super().__init__(f"a line has at most {max_bytes:,} bytes")
        self.max_bytes = max_bytes


class TooManyRequestsError(LocalError):
    """A request was not sent, because too many wait for their answers already."""
