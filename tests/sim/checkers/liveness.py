"""When the faults are over, all comes right in bounded time: everybody is back, everything that
was said has its receipt, and everybody in the room hears everybody's last words.
"""

from __future__ import annotations

from tests.sim.people import COMMONS
from tests.sim.world import Checker, World


class Liveness(Checker):
    def finished(self, world: World) -> None:
        present = [person for person in world.people if not person.retired]
        for person in present:
            name, protocol = person.name, person.protocol
            if not person.open or COMMONS not in protocol.rooms:
                world.violated(self, f"{name} did not come back")
            if protocol.unacknowledged:
                waiting = [text[:20] for text in map(str, protocol.unacknowledged.values())][:3]
                world.violated(self, f"{name} has no receipt for {waiting}")
            diary = person.diary
            seen = {shown.text for shown in diary.shown} if diary else set()
            for text, author in world.last_words.items():
                if text not in seen:
                    world.violated(self, f"{name} did not hear {author.name}'s last words")
        if not world.is_quiet():
            world.violated(self, "not everybody has seen everything")
