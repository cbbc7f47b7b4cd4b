"""Who has asked for another flavour is told things in it: in every room, answers and messages.

The peer is told when its server begins to use another mark; nothing that comes later has an older
one. An answer names its reader, by the nick that the reader has by all it was told so far. And
all that comes are whole frames, but for the last of who was given up because it read too slowly.
"""

from __future__ import annotations

from tests.sim.world import Checker, World


class Flavours(Checker):
    def finished(self, world: World) -> None:
        overruns = sum(server.node.counters.overruns for server in world.servers)
        if world.broken_frames > overruns:
            world.violated(
                self, f"{world.broken_frames} frames were broken, by {overruns} overruns"
            )
        last: dict[int, int] = {}
        for frame in world.frames:
            before = max(last.get(frame.conn, 0), frame.marked)
            if frame.mark < before:
                text = f"connection {frame.conn} was marked {frame.mark} after {before}"
                world.violated(self, text)
            last[frame.conn] = max(before, frame.mark)
            if frame.nick not in ("*", frame.known):
                text = f"connection {frame.conn} is {frame.known!r} and was told for {frame.nick!r}"
                world.violated(self, text)
