"""The chat core: a pure, deterministic state machine, and the protocols around it.

`ChatState` is every rule of chat. `ServerProtocol` puts dialects and connections around it for a
server, `ClientProtocol` is the other end. None of them touches a socket, a clock, chance or a
file; docs/embedding.md shows how to give them a transport.
"""

from tcpchat_core import events, notices
from tcpchat_core.client import ClientProtocol, Received, RoomView
from tcpchat_core.commands import COMMANDS, Command, parse_line
from tcpchat_core.dialects import Dialect, Flavour, Reader
from tcpchat_core.effects import (
    Action,
    Audience,
    Broadcast,
    Close,
    Derive,
    Effect,
    Enter,
    Leave,
    Look,
    Pause,
    Propose,
    Resume,
    Send,
    Stream,
)
from tcpchat_core.errors import (
    LineTooLongError,
    LocalError,
    RemoteError,
    TcpchatError,
    TooLateError,
    TooManyRequestsError,
)
from tcpchat_core.events import Entry, Event, Query, Request
from tcpchat_core.names import Name, nick_name, room_name
from tcpchat_core.notices import Notice, Reason, Rejected
from tcpchat_core.sanitize import sanitize
from tcpchat_core.server import Observer, ServerLimits, ServerProtocol, lapses
from tcpchat_core.state import ChatState, StateLimits
from tcpchat_core.version import VERSION

__all__ = [
    "COMMANDS",
    "VERSION",
    "Action",
    "Audience",
    "Broadcast",
    "ChatState",
    "ClientProtocol",
    "Close",
    "Command",
    "Derive",
    "Dialect",
    "Effect",
    "Enter",
    "Entry",
    "Event",
    "Flavour",
    "Leave",
    "LineTooLongError",
    "LocalError",
    "Look",
    "Name",
    "Notice",
    "Observer",
    "Pause",
    "Propose",
    "Query",
    "Reader",
    "Reason",
    "Received",
    "Rejected",
    "RemoteError",
    "Request",
    "Resume",
    "RoomView",
    "Send",
    "ServerLimits",
    "ServerProtocol",
    "StateLimits",
    "Stream",
    "TcpchatError",
    "TooLateError",
    "TooManyRequestsError",
    "events",
    "lapses",
    "nick_name",
    "notices",
    "parse_line",
    "room_name",
    "sanitize",
]
