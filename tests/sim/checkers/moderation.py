"""Who does what only some may do has the right to it, and all are told of it; so are all who come
into a room, come to an account, or are refused something.

All that a connection is told of this is exactly what the naive model of the log says, in its order,
up to some place; and up to the end, where it is there still when all is over.
"""

from __future__ import annotations

from tests.sim.model import as_told
from tests.sim.world import Checker, World


class Moderation(Checker):
    def finished(self, world: World) -> None:
        there = {person.conn: person for person in world.people if person.open}
        for branch in (world.branch, *world.lost):
            for conn, wire in world.wires(branch).items():
                told = [kept for notice in wire.notices if (kept := as_told(notice)) is not None]
                expected = branch.model.told.get(conn, [])
                for place, notice in enumerate(told):
                    wanted = expected[place] if place < len(expected) else None
                    if notice != wanted:
                        text = f"connection {conn} was told {notice}; by the log it is {wanted}"
                        world.violated(self, text)
                        break
                else:
                    is_there = conn in there and branch is world.branch
                    if is_there and len(told) < len(expected):
                        missing = expected[len(told)]
                        text = f"{there[conn].name}, on {conn}, was not told {missing}"
                        world.violated(self, text)
