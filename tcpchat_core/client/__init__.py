"""The client's side, sans I/O: one core for every client, whatever its event loop.

`ClientProtocol` is a session: bytes in, notices out. `Requests` puts around it the requests that
wait for their answers, and asks again over a new connection. `Reconnect` says when to make one.
"""

from tcpchat_core.client.answers import Heard, PendingRequest, Requests
from tcpchat_core.client.protocol import (
    MAX_MEMBERS,
    MAX_NOTICE_BYTES,
    MAX_ROOMS,
    ClientProtocol,
    Received,
    RoomView,
)
from tcpchat_core.client.reconnect import Reconnect

__all__ = [
    "MAX_MEMBERS",
    "MAX_NOTICE_BYTES",
    "MAX_ROOMS",
    "ClientProtocol",
    "Heard",
    "PendingRequest",
    "Received",
    "Reconnect",
    "Requests",
    "RoomView",
]
