"""What simulations have found, each as a short script of its own."""

from __future__ import annotations

from tcpchat_core import ChatState, Effect, Pause, Propose, Resume, ServerLimits, ServerProtocol
from tcpchat_net.logs.memory import MemoryLog
from tcpchat_net.node import Node


class Peer:
    """A transport that takes all, and its node's loop."""

    def __init__(self) -> None:
        self.taken = b""

    def write(self, data: bytes | memoryview, /) -> int:
        self.taken += bytes(data)
        return len(data)

    def want_writable(self, wanted: bool) -> None: ...
    def want_readable(self, wanted: bool) -> None: ...
    def finish_writing(self) -> None: ...
    def close(self) -> None: ...
    def wake(self) -> None: ...
    def set_timer(self, at: int | None, /) -> None: ...


def test_what_is_said_first_in_a_turn_has_its_receipt_in_that_turn() -> None:
    peer = Peer()
    node = Node(ServerProtocol(ChatState()), MemoryLog(lambda: 0), peer, lambda: 0)
    node.open()
    conn = node.connect(peer, token="", peer="")
    for line in (
        b'{"type":"join","room":"a"}\n',
        b'{"type":"say","room":"a","text":"x","id":"1"}\n',
    ):
        peer.taken = b""
        node.received(conn, line)
        node.end_turn()
    assert b'"type":"sent"' in peer.taken
    assert b'"id":"1"' in peer.taken


def test_who_waits_with_the_beginning_of_a_long_line_is_read_from_again() -> None:
    server = ServerProtocol(ChatState(), limits=ServerLimits(flood_burst=1, flood_rate=20))
    seq = 0

    def commit(effects: list[Effect], now: int) -> list[Effect]:
        nonlocal seq
        for effect in tuple(effects):
            if isinstance(effect, Propose):
                entries = effect.entries(seq + 1, 0)
                seq += len(entries)
                effects = effects + commit(server.commit(entries, now=now), now)
        return effects

    server.connection_made(1, now=0)
    commit(server.receive_data(1, b'{"type":"hello"}\n', now=0), 0)
    begun = b'{"type":"join","room":"a"}\n{"type":"say","room":"a","text":"' + b"x" * 3_000
    effects = commit(server.receive_data(1, begun, now=0), 0)
    while (at := server.get_timer()) is not None and at < 1_000:
        effects += commit(server.handle_timer(at), at)
    reading = [effect for effect in effects if isinstance(effect, Pause | Resume)]
    assert reading == [Pause(1), Resume(1)]
