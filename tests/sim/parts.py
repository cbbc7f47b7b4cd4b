"""What a simulation is made of: what ships. Whoever wants to see a promise broken puts another
part in the place of one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tcpchat_core import ChatState, ClientProtocol, Dialect, ServerProtocol
from tcpchat_core.dialects.irc.reader import IrcLines
from tcpchat_core.dialects.jsonl import JsonLines
from tcpchat_core.dialects.plain import PlainText
from tcpchat_core.dialects.websocket import WebSocket
from tcpchat_net.logs import OnEntries
from tcpchat_net.logs.archive import ArchiveKeeper
from tcpchat_net.logs.durable import DurableLog
from tcpchat_net.logs.stream.log import StreamLog
from tcpchat_net.logs.stream.upkeep import StreamUpkeep
from tcpchat_net.logs.upkeep import Upkeep
from tcpchat_net.node import Node
from tests.core.browser import SITE
from tests.core.third_dialect import Netstrings
from tests.sim.engine import ModelEngine


def as_it_comes(on_entries: OnEntries) -> OnEntries:
    """Nothing is between a log and its node."""
    return on_entries


@dataclass(frozen=True)
class Parts:
    """The parts. `between` is what stands between a log and the node that reads it."""

    state: type[ChatState] = ChatState
    protocol: type[ServerProtocol] = ServerProtocol
    node: type[Node] = Node
    durable: type[DurableLog] = DurableLog
    keeper: type[ArchiveKeeper] = ArchiveKeeper
    upkeep: type[Upkeep] = Upkeep
    engine: type[ModelEngine] = ModelEngine
    stream: type[StreamLog] = StreamLog
    stream_upkeep: type[StreamUpkeep] = StreamUpkeep
    client: type[ClientProtocol] = ClientProtocol
    dialects: Sequence[Dialect] = (
        WebSocket(SITE),
        JsonLines(),
        IrcLines(),
        Netstrings(),
        PlainText(),
    )
    between: Callable[[OnEntries], OnEntries] = as_it_comes
    epoch: Callable[[], str] = lambda: "simulated"
