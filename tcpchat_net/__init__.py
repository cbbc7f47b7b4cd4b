"""The gevent runtime around the core: a server, a fan-out, a small client.

Imports gevent's own modules explicitly and patches nothing. No rule of chat is here, and no
parsing.
"""

from tcpchat_net.client import ChatClient, ConnectionClosed, RequestRejected
from tcpchat_net.fanout import Fanout, Transport
from tcpchat_net.logs import Log
from tcpchat_net.logs.memory import MemoryLog
from tcpchat_net.node import Node
from tcpchat_net.server import ChatServer, monotonic_ms
from tcpchat_net.watchdog import Watchdog

__all__ = [
    "ChatClient",
    "ChatServer",
    "ConnectionClosed",
    "Fanout",
    "Log",
    "MemoryLog",
    "Node",
    "RequestRejected",
    "Transport",
    "Watchdog",
    "monotonic_ms",
]
