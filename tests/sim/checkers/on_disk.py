"""Acknowledged means on the disk: what anybody was told is in the log that the next start reads, in
its place; and the archive has all that was said in rooms, and nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence

from tcpchat_core import Entry
from tests.sim.world import Checker, World


class OnDisk(Checker):
    def started(self, world: World, found: Sequence[Entry]) -> None:
        if [entry.seq for entry in found] != list(range(1, len(found) + 1)):
            world.violated(self, "the numbers of the log on the disk have holes")
        told = len(world.entries)
        if list(found[:told]) != world.entries:
            world.violated(self, f"of {told} entries that were delivered some are not on the disk")

    def finished(self, world: World) -> None:
        if world.kept is None or world.disk is None:
            return
        said: dict[str, list[tuple[str, int, int]]] = {}
        for message in world.model.messages.values():
            said.setdefault(message.life.key, []).append((message.text, message.seq, message.at))
        for key, messages in said.items():
            if sorted(world.kept.archived(key)) != sorted(messages):
                world.violated(self, f"the archive has something else of {key}")
