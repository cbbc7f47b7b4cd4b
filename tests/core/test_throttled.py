"""Whether a connection waits because it was too fast is told, and what that was worth."""

from __future__ import annotations

from tcpchat_core import ChatState, ServerLimits, ServerProtocol
from tests.core.harness import NO_FLOOD_LIMIT, MemoryServer

SLOW = ServerLimits(flood_burst=2, flood_rate=1)


def server(limits: ServerLimits = SLOW, *, delayed: bool = False) -> MemoryServer:
    return MemoryServer(ServerProtocol(ChatState(), limits=limits), delayed=delayed)


def test_who_is_too_fast_is_throttled_until_all_of_it_was_looked_at() -> None:
    memory = server()
    memory.connect(1)
    memory.send(1, b"/join lobby\n")
    assert memory.protocol.throttled(1, now=memory.now) is None
    memory.send(1, b"one\ntwo\nthree\n")
    before = memory.protocol.throttled(1, now=memory.now)
    assert before is not None
    memory.wait_until_heard(1)
    assert memory.protocol.throttled(1, now=memory.now) is None
    assert memory.protocol.used_lines(1) - before == 2


def test_who_waits_for_the_log_is_not_throttled() -> None:
    memory = server(ServerLimits(flood_burst=1_000), delayed=True)
    memory.connect(1)
    memory.send(1, b"/join lobby\n" + b"hello\n" * 600)
    assert memory.paused == {1}
    assert memory.protocol.throttled(1, now=memory.now) is None


def test_where_there_is_no_limit_nobody_is_throttled() -> None:
    memory = server(NO_FLOOD_LIMIT, delayed=True)
    memory.connect(1)
    memory.send(1, b"/join lobby\n" + b"hello\n" * 600)
    assert memory.paused == {1}
    assert memory.protocol.throttled(1, now=memory.now) is None
    assert memory.protocol.used_lines(1) == 0


def test_of_a_connection_that_is_gone_nothing_is_told() -> None:
    memory = server()
    assert memory.protocol.throttled(1, now=memory.now) is None
    assert memory.protocol.used_lines(1) == 0
