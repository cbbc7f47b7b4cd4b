"""Every buffer has a bound, whatever peers do: of the fan-out, of connections, of the state."""

from __future__ import annotations

from collections import Counter

from tcpchat_core.framing import MAX_LINE_BYTES
from tcpchat_core.server import MAX_OUTSTANDING
from tests.sim.world import Checker, World


class Bounds(Checker):
    def sampled(self, world: World) -> None:
        config, server = world.config, world.server
        state, protocol, fanout = server.state, server.protocol, server.fanout
        limits = config.state_limits

        def bound(what: str, is_: int, most: int) -> None:
            if is_ > most:
                world.violated(self, f"{what} is {is_}, and may be {most}")

        bound("outboxes", len(fanout._outboxes), len(server.connections))
        for conn, outbox in fanout._outboxes.items():
            bound(f"backlog of {conn}", outbox.backlog_bytes, config.max_backlog_bytes)
            backlog = sum(len(piece) for piece in outbox.backlog) - outbox.offset
            if outbox.backlog and backlog != outbox.backlog_bytes:
                world.violated(self, f"backlog of {conn} is miscounted")
        for conn, connection in protocol._connections.items():
            bound(f"partial line of {conn}", connection.buffer.partial_bytes, MAX_LINE_BYTES + 1)
            waiting = sum(len(line) for line in connection.lines if isinstance(line, bytes))
            bound(f"lines of {conn}", waiting, config.read_bytes + MAX_LINE_BYTES)
            bound(f"answers of {conn}", len(connection.answers), MAX_OUTSTANDING)
            outstanding = connection.proposed - connection.committed
            bound(f"proposals of {conn}", outstanding, MAX_OUTSTANDING + 2)
        timers = Counter(timer[1] for timer in protocol._timers)
        bound("timers of one connection", max(timers.values(), default=0), 2)
        # A connection that was lost is kept until its last proposal is committed.
        bound(
            "connections",
            len(protocol._connections),
            len(server.connections) + len(server.proposed),
        )
        everybody = [*state._people.values(), *state._away.values()]
        bound("people", len(state._people), len(protocol._connections))
        bound("away", len(state._away), limits.away)
        bound("sessions", len(state._sessions), len(everybody))
        bound("nicks", len(state._nicks), len(everybody))
        bound("graces", len(protocol._graces), len(state._away) + len(protocol._connections) + 1)
        for person in everybody:
            bound(f"receipts of {person.nick}", len(person.receipts or ()), 2 * limits.receipts)
            bound(f"inbox of {person.nick}", len(person.inbox or ()), limits.inbox)
            bound(f"rooms of {person.nick}", len(person.rooms), limits.rooms_per_person)
        bound("rooms", len(state._rooms), limits.rooms)
        for room in state.rooms():
            bound(f"history of {room.name}", len(room.history), limits.history_messages)
            chars = sum(len(said.text) for said in room.history)
            bound(f"text of {room.name}", chars, limits.history_chars)
