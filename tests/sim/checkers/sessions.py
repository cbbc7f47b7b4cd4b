"""Every session ends where the model says: it is there, away, or gone; its nick is held exactly
as long; and it expires when its grace is over, not before and not long after.

The model follows the log. That the log itself is right is held against the clock and the network:
nobody is there for long without a connection, no connection is open without its person (its session
is on another one now), and nobody is away for longer than the grace.
"""

from __future__ import annotations

from tcpchat_core import Entry, events
from tests.sim.model import Character
from tests.sim.server import EPOCH
from tests.sim.world import Checker, World

# Timers and the sweep are exact here; this is for what is proposed and not committed yet.
SLACK = 1_000


class Sessions(Checker):
    def __init__(self) -> None:
        self._reported: set[str] = set()
        self._alone: dict[int, int] = {}  # since when a person has no connection
        self._nobody: dict[int, int] = {}  # … or a connection no person

    def committed(self, world: World, entry: Entry) -> None:
        state, model = world.server.state, world.model
        if isinstance(entry.event, events.Expire):
            ghost = next(
                (
                    who
                    for who in model.characters.values()
                    if who.session == entry.event.session and who.gone == "expired"
                ),
                None,
            )
            if ghost is not None and ghost.gone_at == entry.at:
                self._check_expired(world, ghost)
        person, who = state.person(entry.conn), model.speaking.get(entry.conn)
        if (person and person.nick) != (who and who.nick):
            self._report(world, f"connection {entry.conn} is {person and person.nick}", who)

    def _check_expired(self, world: World, ghost: Character) -> None:
        grace = world.config.limits.grace_ms
        away_since = ghost.away_since
        assert away_since is not None
        if ghost.gone_at - away_since < grace - world.config.log_delay:
            self._report(
                world, f"{ghost.nick} expired after {ghost.gone_at - away_since} ms", ghost
            )

    def sampled(self, world: World) -> None:
        state, model, now = world.server.state, world.model, world.clock.now
        slack = SLACK + 2 * world.config.log_delay
        for who in model.away.values():
            away_since = who.away_since
            assert away_since is not None
            if now - (away_since - EPOCH) > world.config.limits.grace_ms + slack:
                self._report(world, f"{who.nick} is away since {away_since - EPOCH}", who)
        for conn, who in model.speaking.items():
            if conn in world.server.connections:
                self._alone.pop(conn, None)
            elif now - self._alone.setdefault(conn, now) > slack:
                self._report(world, f"{who.nick} has no connection since {self._alone[conn]}", who)
        for conn, connection in world.server.protocol._connections.items():
            if not connection.greeted or connection.ending or conn in model.speaking:
                self._nobody.pop(conn, None)
            elif now - self._nobody.setdefault(conn, now) > slack:
                self._report(world, f"connection {conn} is open, and nobody is on it")
        there = {conn: _view(who) for conn, who in model.speaking.items()}
        found = {
            conn: (person.nick, sorted(person.rooms), person.session)
            for conn, person in state._people.items()
        }
        if there != found:
            self._report(world, f"there are {found}; by the log there are {there}")
        away = {who.session: _view(who) for who in model.away.values()}
        found_away = {
            session: (person.nick, sorted(person.rooms), person.session)
            for session, person in state._away.items()
        }
        if away != found_away:
            self._report(world, f"away are {found_away}; by the log {away}")
        nicks = sorted(model.nicks)
        if nicks != sorted(state._nicks):
            self._report(world, f"held are {sorted(state._nicks)}; by the log {nicks}")
        sessions = sorted(model.sessions)
        if sessions != sorted(state._sessions):
            self._report(world, "other sessions are known than by the log")

    def finished(self, world: World) -> None:
        connected = {person.conn for person in world.people if person.end is not None}
        for conn, who in world.model.speaking.items():
            if conn in world.wires and conn not in connected:
                self._report(world, f"{who.nick} is still there, on connection {conn}", who)
        # Who meant harm may have left lines that are still being taken in at the allowed rate.
        away = [who.nick for who in world.model.away.values() if who.id in world.wires]
        if away:
            self._report(world, f"still away: {away}")

    def _report(self, world: World, text: str, who: Character | None = None) -> None:
        """Once for each person: what is wrong stays so for long."""
        key = str(who.id) if who else text[:12]
        if key not in self._reported:
            self._reported.add(key)
            world.violated(self, text)


def _view(who: Character) -> tuple[str, list[str], str]:
    return who.nick, sorted(who.rooms), who.session
