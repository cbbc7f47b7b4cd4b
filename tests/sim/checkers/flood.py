"""Too fast is delayed, never discarded and never punished: a program that pastes far more than
the allowed rate keeps its connection, and every line of it is said, in order.
"""

from __future__ import annotations

from tests.sim.world import Checker, World


class Flood(Checker):
    def finished(self, world: World) -> None:
        for paster in world.pasters:
            messages = [world.model.messages.get(line) for line in paster.lines]
            places = [message.place for message in messages if message is not None]
            if len(places) < len(paster.lines):
                missing = len(paster.lines) - len(places)
                world.violated(self, f"{missing} lines of {paster.name} were not said")
            if places != sorted(places):
                world.violated(self, f"the lines of {paster.name} were said out of order")
            if paster.end is None:
                world.violated(self, f"{paster.name} was disconnected")
