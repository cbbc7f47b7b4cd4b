"""Who comes by a browser is in the chat as anybody, and who only gets a page is nobody.

What a browser is sent is HTTP, and frames by the letter of RFC 6455. A page that closes is answered
with its own code; only of one that said that it goes away (1001) the others are told that it
`closed the page`, and of none that was back in time. What breaks a rule ends the connection with
the code that says which, and nothing behind it counts.

A file is got without anybody being in the chat for it. Where a browser has come from before, a
connection that says nothing is not taken for a person within ten seconds.
"""

from __future__ import annotations

from tcpchat_core import events
from tcpchat_core.notices import Entered, Gone, Joined, Left, Renamed
from tests.sim.browsers import Visit
from tests.sim.peers import Diary
from tests.sim.world import Checker, World

CLOSED = "closed the page"

# When a silent peer is greeted, where no browser has come from, and where one has.
GREETED_AFTER = 500
GREETED_LATE = 10_000

# How long a pong may be under way, when all is well.
ANSWERED_WITHIN = 3_000


class Pages(Checker):
    def finished(self, world: World) -> None:
        for text in world.wrong_bytes:
            world.violated(self, text)
        self._check_partings(world)
        for visit in world.visits:
            self._check_visit(world, visit)
        self._check_offences(world)
        for diary in world.diaries:
            self._check_told(world, diary)
        for person in world.people:
            socket = person.socket
            if not person.open or person.pinged_at > world.clock.now - ANSWERED_WITHIN:
                continue
            if socket is not None and socket.unanswered:
                world.violated(
                    self, f"{person.name} has no pong for {len(socket.unanswered)} pings"
                )

    def _check_partings(self, world: World) -> None:
        reasons: dict[int, str] = {}
        for branch in (*world.lost, world.branch):
            for entry in branch.entries:
                if isinstance(entry.event, events.Disconnect):
                    reasons[entry.conn] = entry.event.reason
        gone = set()
        for parting in world.partings:
            conn, code = parting.link.conn, parting.code
            if code == 1001:
                gone.add(parting.conn)
            if parting.has_answer and not parting.was_told:
                if parting.answer != code:
                    text = f"{parting.owner} closed with {code} and was answered {parting.answer}"
                    world.violated(self, text)
                if (why := reasons.get(conn)) is not None and (why == CLOSED) != (code == 1001):
                    text = f"{parting.owner} closed with {code}, of which the log says {why!r}"
                    world.violated(self, text)
            elif parting.is_over and parting.is_steady and not world.is_disturbed(parting.at):
                world.violated(self, f"{parting.owner} closed with {code} and had no answer")
        for conn, why in reasons.items():
            if why == CLOSED and conn not in gone:
                world.violated(self, f"the log says that {conn} {why}, and it has not")

    def _check_visit(self, world: World, visit: Visit) -> None:
        link, data = visit.link, bytes(visit.data)
        wrong = f"{visit.owner}, from {visit.address} ({visit.how}),"
        server = link.accepted_by
        came = None if server is None else world.came.get((server, visit.address))
        is_known = came is not None and came <= link.accepted_at + GREETED_AFTER
        early = link.accepted_at + GREETED_LATE
        if visit.was_greeted:
            if is_known and visit.began_at < min(early, visit.spoke_at):
                world.violated(self, f"{wrong} was greeted")
        elif data and not data.startswith(b"HTTP/1.1 "[: len(data)]):
            world.violated(self, f"{wrong} got {data[:40]!r}")
        elif visit.over_at is not None and visit.status:
            # A node that stops or is held up answers nobody. 503 tells why there is no other
            # answer: what takes too long, or a server that is stopped.
            is_excused = not data and world.is_disturbed(visit.spoke_at, visit.over_at)
            if not is_excused and data[9:12] not in (b"%d" % visit.status, b"503"):
                world.violated(self, f"{wrong} got {data[:12]!r}, and not {visit.status}")
        for branch in (*world.lost, world.branch):
            for entry in branch.entries:
                at = branch.times[entry.seq - 1]
                # An engine that is lost may have known an older one by the same number.
                if link.conn and entry.conn == link.conn and at >= link.accepted_at:
                    was_silent = at < min(early, visit.spoke_at)
                    if data.startswith(b"HTTP/1.1 ") or (is_known and was_silent):
                        world.violated(self, f"{wrong} was somebody: {entry.event}")

    def _check_offences(self, world: World) -> None:
        said = {
            entry.event.text
            for branch in (*world.lost, world.branch)
            for entry in branch.entries
            if isinstance(entry.event, events.Say)
        }
        for offence in world.offences:
            wrong = f"{offence.owner} ({offence.how})"
            if offence.never in said:
                world.violated(self, f"what {wrong} said behind it counts")
            if offence.got not in (None, offence.code) and not offence.was_told:
                world.violated(self, f"{wrong} was closed with {offence.got}, not {offence.code}")

    def _check_told(self, world: World, diary: Diary) -> None:
        """Nobody is told of somebody's going that was back in time, nor of coming back."""
        there: set[tuple[str, str]] = set()
        conn = 0
        for shown in diary.shown:
            if shown.conn != conn:
                conn = shown.conn
                there.clear()
            match shown.notice:
                case Gone(nick, reason):
                    model = world.branch_of(shown.server).model
                    whys = [
                        who.reason
                        for who in model.characters.values()
                        if who.gone and who.nick == nick
                    ]
                    if not whys or (reason == CLOSED and reason not in whys):
                        text = f"{diary.owner} was told that {nick} is gone ({reason})"
                        world.violated(self, text)
                    there = {(room, other) for room, other in there if other != nick}
                case Joined(room, nick):
                    if (room, nick) in there:
                        world.violated(
                            self, f"{diary.owner} was told twice that {nick} is in {room}"
                        )
                    there.add((room, nick))
                case Entered(room) | Left(room, own=True):
                    there = {(other, nick) for other, nick in there if other != room}
                case Left(room, nick):
                    there.discard((room, nick))
                case Renamed(old):
                    there = {(room, other) for room, other in there if other != old}
                case _:
                    pass
