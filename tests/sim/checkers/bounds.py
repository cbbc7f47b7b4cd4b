"""Every buffer has a bound, whatever peers do: of the fan-out, of connections, of the state."""

from __future__ import annotations

from collections import Counter

from tcpchat_core.framing import MAX_LINE_BYTES
from tcpchat_core.server.connection import Phase
from tcpchat_core.server.rate import MAX_OUTSTANDING
from tests.sim import inside
from tests.sim.server import Server
from tests.sim.world import Checker, World

# A piece of what a peer is owed: it is made when there is place for it, whatever its size.
PIECE = 65_536 + MAX_LINE_BYTES

# What is held of a line that is not all there: as much as it may have, and its end; or a message
# and the head of a frame of it.
PARTIAL = MAX_LINE_BYTES + 14


class Bounds(Checker):
    def sampled(self, world: World) -> None:
        for server in world.here:
            if not server.is_deaf:
                self._check_fanout(world, server)
                self._check_protocol(world, server)
                self._check_state(world, server)

    def _bound(self, world: World, what: str, is_: int, most: int) -> None:
        if is_ > most:
            world.violated(self, f"{what} is {is_}, and may be {most}")

    def _check_fanout(self, world: World, server: Server) -> None:
        most = world.config.max_backlog_bytes + PIECE
        count = 0
        for conn, counted, held in inside.backlogs(server.node):
            count += 1
            if counted > most:
                self._bound(world, f"backlog of {conn}", counted, most)
            if counted != held:
                world.violated(self, f"backlog of {conn} is miscounted: {counted} for {held}")
        self._bound(world, "outboxes", count, len(server.transports))

    def _check_protocol(self, world: World, server: Server) -> None:
        protocol, there = server.protocol, server.transports
        lines_most = world.config.read_bytes + MAX_LINE_BYTES
        connections = inside.connections(protocol)
        for connection in connections:
            conn = connection.conn
            partial, lines = inside.held_bytes(connection.reader)
            if partial > PARTIAL:
                self._bound(world, f"partial line of {conn}", partial, PARTIAL)
            if lines > lines_most:
                self._bound(world, f"lines of {conn}", lines, lines_most)
            if len(connection.answers) > MAX_OUTSTANDING + 1:
                count = len(connection.answers)
                self._bound(world, f"answers of {conn}", count, MAX_OUTSTANDING + 1)
            outstanding = connection.proposed - connection.committed
            if not 0 <= outstanding <= MAX_OUTSTANDING + 2:
                text = f"{conn} has proposed {connection.proposed}"
                world.violated(self, f"{text}, and {connection.committed} came back")
            # One that was lost is kept until its last proposal is committed.
            if conn not in there and (connection.phase is not Phase.LOST or not outstanding):
                world.violated(self, f"connection {conn} is gone, and is kept")
        timers = Counter(inside.timers(protocol))
        self._bound(world, "timers of one connection", max(timers.values(), default=0), 2)
        self._bound(world, "timers", timers.total(), max(130, 4 * len(timers.keys() & there)))

    def _check_state(self, world: World, server: Server) -> None:
        state, limits = server.state, world.config.state_limits
        connected, away = list(state.connected()), list(state.all_away())
        everybody = len(connected) + len(away)
        self._bound(world, "away", len(away), limits.away)
        self._bound(world, "sessions", sum(1 for _ in inside.sessions(state)), everybody)
        self._bound(world, "nicks", sum(1 for _ in inside.nicks(state)), everybody)
        self._bound(world, "graces", inside.graces(server.protocol), everybody + 1)
        for person in (*connected, *away):
            receipts, inbox = person.receipts or (), person.inbox or ()
            if len(receipts) > 2 * limits.receipts:
                self._bound(world, f"receipts of {person.nick}", len(receipts), 2 * limits.receipts)
            if len(inbox) > limits.inbox:
                self._bound(world, f"inbox of {person.nick}", len(inbox), limits.inbox)
            chars = sum(len(told.text) for told in inbox)
            self._bound(world, f"letters of {person.nick}", chars, limits.inbox_chars)
            rooms = len(person.rooms)
            self._bound(world, f"rooms of {person.nick}", rooms, limits.rooms_per_person)
        rooms = 0
        for room in state.rooms():
            rooms += 1
            count = len(room.history)
            self._bound(world, f"history of {room.name}", count, limits.history_messages)
            chars = sum([len(said.text) for said in room.history])
            self._bound(world, f"text of {room.name}", chars, limits.history_chars)
        self._bound(world, "rooms", rooms, limits.rooms)
