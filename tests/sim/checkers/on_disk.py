"""Acknowledged means on the disk: what anybody was told is in the log that the next start reads, in
its place; and the archive has all that was said in rooms, and nothing else.

What is past its time, and only that, is in none of the files.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from tcpchat_core import Entry, events
from tests.sim.disk import Disk
from tests.sim.world import Checker, World


class OnDisk(Checker):
    def started(self, world: World, found: Sequence[Entry]) -> None:
        assert world.disk is not None
        first = found[0].seq if found else 1
        if [entry.seq for entry in found] != list(range(first, first + len(found))):
            world.violated(self, "the numbers of the log on the disk have holes")
        snapshots = world.disk.snapshots()
        if not any(first - 1 <= seq < first + len(found) for seq in snapshots):
            world.violated(self, f"the log begins with {first}, and is behind none of {snapshots}")
        told = len(world.entries)
        if list(found)[: max(0, told - first + 1)] != world.entries[first - 1 :]:
            world.violated(self, f"of {told} entries that were delivered some are not on the disk")
        kept_since = world.model.kept_since()
        if first > 1 and world.entries[first - 2].at >= kept_since:
            world.violated(self, f"the log has lost entry {first - 1}, which is not past its time")

    def finished(self, world: World) -> None:
        if world.kept is not None and world.disk is not None:
            self._check_archive(world, world.disk.lost, world.kept.archived)
            self._check_files(world, world.disk)
        if world.cluster is not None and world.cluster.sharing.has_archives:
            for member in world.cluster.members:
                self._check_archive(world, member.lacks, member.archived)

    def _check_archive(
        self, world: World, lost: int, archive: Callable[[str], list[tuple[str, int, int]] | None]
    ) -> None:
        kept_since = world.model.kept_since()
        branches = (world.branch, *world.lost)
        for key in {m.life.key for branch in branches for m in branch.model.messages.values()}:
            messages = [m for m in world.model.messages.values() if m.life.key == key]
            said = {(m.text, m.seq, m.at) for m in messages}
            needed = {
                (m.text, m.seq, m.at) for m in messages if m.place > lost and m.at >= kept_since
            }
            archived = archive(key)
            if archived is None:
                return
            if not needed <= set(archived) <= said or len(set(archived)) < len(archived):
                strange = sorted(set(archived) - said)[:3], sorted(needed - set(archived))[:3]
                world.violated(self, f"the archive has something else of {key}: {strange}")

    def _check_files(self, world: World, disk: Disk) -> None:
        """What a round began to forget is gone when the next one begins."""
        rounds = [entry for entry in world.entries if isinstance(entry.event, events.Forget)]
        if len(rounds) < 2:
            return
        before = world.model.kept_since(rounds[-2].seq)
        # Who was not sent a receipt says it again, and then it is there again.
        said = {
            entry.event.text: entry.at
            for entry in world.entries
            if isinstance(entry.event, events.Say | events.Tell)
        }
        files = disk.files()
        for text, at in said.items():
            pattern = re.escape(text.rstrip("…").encode()) + rb"(?![0-9])"
            if at < before and re.search(pattern, files):
                world.violated(self, f"{text[:20]} is past its time, and in a file")
