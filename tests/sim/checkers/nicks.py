"""No nick is in two hands, nor one that looks like it: at no time, on no node, in no list.

Who has the nick of an account is on one of its devices, while any of them is here.
"""

from __future__ import annotations

from collections.abc import Iterable

from tcpchat_core.notices import Entered, Members, Resumed
from tests.sim.server import Server
from tests.sim.world import Checker, World

# What looks alike here, whatever the product knows of that.
_ALIKE = str.maketrans("оаЕе", "oaee")


def looks(nick: str) -> str:
    """The same for all nicks that look the same."""
    return nick.lower().translate(_ALIKE)


class Nicks(Checker):
    def sampled(self, world: World) -> None:
        for server in world.here:
            if not server.is_deaf:
                self._check_state(world, server)

    def _check_state(self, world: World, server: Server) -> None:
        state = server.state
        owners = {looks(each.nick): each for each in state.accounts() if each.present}
        held: dict[str, int] = {}
        for person in (*state.connected(), *state.all_away()):
            key = looks(person.nick)
            if held.setdefault(key, person.id) != person.id:
                world.violated(self, f"{person.nick} is in two hands on node {server.number}")
            owner = owners.get(key)
            if owner is not None and person.account is not owner:
                world.violated(self, f"{person.nick} is somebody else's on node {server.number}")

    def finished(self, world: World) -> None:
        for wire in world.all_wires:
            for notice in wire.notices:
                match notice:
                    case Entered(_, nicks) | Members(_, nicks):
                        self._check_list(world, wire.conn, nicks)
                    case Resumed(_, rooms):
                        for room in rooms:
                            self._check_list(world, wire.conn, room.members)
                    case _:
                        pass

    def _check_list(self, world: World, conn: int, nicks: Iterable[str]) -> None:
        looked = [*map(looks, nicks)]
        if len(set(looked)) < len(looked):
            world.violated(self, f"connection {conn} was told of {looked}, of whom two look alike")
