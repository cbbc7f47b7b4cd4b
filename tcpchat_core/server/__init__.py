"""The server's side of the core: `ServerProtocol`, and what it consists of."""

from tcpchat_core.server.protocol import DIALECTS, Observer, ServerProtocol, lapses
from tcpchat_core.server.rate import ServerLimits

__all__ = ["DIALECTS", "Observer", "ServerLimits", "ServerProtocol", "lapses"]
