"""Every session ends where the model says: it is there, away, or gone; its nick is held exactly
as long; and it expires when its grace is over, not before and not long after: in five seconds where
a page was closed.

The model follows the log. That the log itself is right is held against the clock and the network:
nobody is there for long without a connection, no connection is open without its person (its session
is on another one now), and nobody is away for longer than the grace.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from tcpchat_core import ChatState, Entry, events
from tcpchat_core.server.connection import Phase
from tcpchat_core.state import Person
from tests.sim import inside
from tests.sim.model import Character
from tests.sim.server import Server
from tests.sim.world import Checker, World

# Timers and the sweep are exact here; this is for what is proposed and not committed yet.
SLACK = 1_000

# Who has closed its page is away for so long at most.
PAGE_GRACE_MS = 5_000


class Sessions(Checker):
    def __init__(self) -> None:
        self._reported: set[str] = set()
        self._alone: dict[int, int] = {}  # since when a person has no connection
        self._nobody: dict[int, int] = {}  # … or a connection no person

    def committed(self, world: World, entries: Sequence[Entry]) -> None:
        model = world.model
        for entry in entries:
            if isinstance(entry.event, events.Expire):
                self._check_expired(world, entry, entry.event.session)
        for server in world.level:
            for conn in dict.fromkeys(entry.conn for entry in entries):
                person, who = server.state.person(conn), model.speaking.get(conn)
                if (person and person.nick) != (who and who.nick):
                    self._report(world, f"connection {conn} is {person and person.nick}", who)

    def _check_expired(self, world: World, entry: Entry, session: str) -> None:
        for ghost in world.model.characters.values():
            if ghost.session == session and ghost.gone == "expired" and ghost.gone_at == entry.at:
                away_ms = world.taken_at(entry.seq) - world.taken_at(ghost.away_place)
                if away_ms < _grace_ms(world, ghost) - world.config.log_time:
                    text = f"{ghost.nick} expired after {away_ms} ms"
                    self._report(world, text, ghost)

    def sampled(self, world: World) -> None:
        servers = [server for server in world.here if not server.is_deaf]
        if servers:
            self._check_time(world)
        for server in servers:
            self._check_connections(world, server)
        for server in world.level:
            self._check_against_log(world, server.state)

    def _check_time(self, world: World) -> None:
        model, now, config = world.model, world.clock.now, world.config
        slack = SLACK + 2 * config.log_time
        for who in model.away.values():
            # Graces begin anew.
            since = max(world.time_of(who.away_place), world.down_until)
            if now - since > _grace_ms(world, who) + slack:
                self._report(world, f"{who.nick} is away since {since}", who)
        there = world.transports
        for conn, who in model.speaking.items():
            if conn in there:
                self._alone.pop(conn, None)
            elif now - max(self._alone.setdefault(conn, now), world.down_until) > slack:
                self._report(world, f"{who.nick} has no connection since {self._alone[conn]}", who)

    def _check_connections(self, world: World, server: Server) -> None:
        model, now = world.model, world.clock.now
        slack = SLACK + 2 * world.config.log_time
        for connection in inside.connections(server.protocol):
            conn = connection.conn
            if connection.phase is not Phase.OPEN or conn in model.speaking:
                self._nobody.pop(conn, None)
            elif now - max(self._nobody.setdefault(conn, now), world.down_until) > slack:
                self._report(world, f"connection {conn} is open, and nobody is on it")

    def _check_against_log(self, world: World, state: ChatState) -> None:
        model = world.model
        there, found = _views(model.speaking.values()), _views(state.connected())
        if there != found:
            self._report(world, f"there are {found}; by the log there are {there}")
        away, found = _views(model.away.values()), _views(state.all_away())
        if away != found:
            self._report(world, f"away are {found}; by the log {away}")
        if model.nicks.keys() != set(inside.nicks(state)):
            nicks = sorted(inside.nicks(state))
            self._report(world, f"held are {nicks}; by the log {sorted(model.nicks)}")
        if model.sessions.keys() != set(inside.sessions(state)):
            self._report(world, "other sessions are known than by the log")

    def finished(self, world: World) -> None:
        connected = {person.conn for person in world.people if person.end is not None}
        wires = world.wires()
        for conn, who in world.model.speaking.items():
            if conn in wires and conn not in connected:
                self._report(world, f"{who.nick} is still there, on connection {conn}", who)
        # Who meant harm may have left lines that are still being taken in at the allowed rate.
        away = [who.nick for who in world.model.away.values() if who.id in wires]
        if away:
            self._report(world, f"still away: {away}")

    def _report(self, world: World, text: str, who: Character | None = None) -> None:
        """Once for each person: what is wrong stays so for long."""
        key = str(who.id) if who else text[:12]
        if key not in self._reported:
            self._reported.add(key)
            world.violated(self, text)


def _grace_ms(world: World, who: Character) -> int:
    """How long somebody is away that does not come back."""
    grace_ms = world.config.limits.grace_ms
    return min(grace_ms, PAGE_GRACE_MS) if who.lost == "closed the page" else grace_ms


def _views(people: Iterable[Character | Person]) -> dict[int, tuple[str, str, set[str]]]:
    return {who.conn: (who.nick, who.session, set(who.rooms)) for who in people}
