"""ServerProtocol, through bytes, against the naive model and against itself."""

from __future__ import annotations

from collections import deque

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tcpchat_core import (
    ChatState,
    Event,
    Name,
    Notice,
    Propose,
    Request,
    ServerLimits,
    ServerProtocol,
    StateLimits,
    events,
    notices,
)
from tcpchat_core.dialects.jsonl import decode_notice, encode_request
from tcpchat_core.dialects.plain import PLAIN
from tests.core.harness import HELLO, MemoryServer, join, session, split_at
from tests.core.model import Model, OneOrder, comparable
from tests.core.state_machine import IDS, NICKS, ROOMS, TEXTS

CUTS = st.lists(st.integers(0, 60), max_size=2)

GRACE_MS = 60_000
# Nobody is too fast, or silent for too long.
LIMITS = ServerLimits(flood_rate=0, ping_after_ms=10**9, drop_after_ms=10**9, grace_ms=GRACE_MS)


def written(request: Request, *, plain: bool) -> bytes:
    """The line that asks for it, in either dialect. A plain line is about the current room."""
    if not plain:
        return encode_request(request)
    match request:
        case events.Join(room):
            line = f"/join {room}"
        case events.Say(_, text, emote=emote):
            line = f"/me {text}" if emote else text
        case events.Tell(to, text):
            line = f"/msg {to} {text}"
        case events.Nick(to):
            line = f"/nick {to}"
        case events.Topic(_, topic):
            line = f"/topic {topic}" if topic else "/topic"
        case events.Out(room, reason=reason):
            line = f"/out {room} {reason}".rstrip()
        case events.Quit(reason):
            line = f"/quit {reason}"
        case events.Who(room):
            line = f"/who {room}"
        case events.Away(text):
            line = f"/away {text}".rstrip()
        case events.SetName(name):
            line = f"/name {name}".rstrip()
        case events.Whois(of):
            line = f"/whois {of}"
        case events.History(_, _, limit):
            line = f"/history {limit}"
        case events.Rooms():
            line = "/rooms"
        case _:
            raise AssertionError(f"{request} cannot be typed")
    return f"{line}\r\n".encode()


def read_plain(data: bytes) -> bytes:
    """Plain output as the model can predict it: a refusal without its text."""
    lines = data.splitlines(keepends=True)
    return b"".join(
        line.partition(b":")[0] + b"\n" if line.startswith(b"!") else line for line in lines
    )


class ProtocolMachine(RuleBasedStateMachine):
    """Odd connections speak JSON Lines, in sessions; even ones type. Each rule is one line, cut
    anywhere.
    """

    def __init__(self) -> None:
        super().__init__()
        self.server = MemoryServer(ServerProtocol(ChatState(), limits=LIMITS))
        self.model = Model(StateLimits())
        self.order = OneOrder()
        self.log_seen = 0
        self.last_conn = 0
        self.current: dict[int, events.Join] = {}
        self.tokens: list[str] = []  # of every session that was ever opened
        self.lost_at: dict[str, int] = {}  # when the connection of each session was lost last
        # What each connection must have been told since its output was read last.
        self.expected: dict[int, list[Notice]] = {}

    def plain(self, conn: int) -> bool:
        return conn % 2 == 0

    def anybody(self, lot: int) -> int:
        there = sorted(self.model.names)
        return there[lot % len(there)]

    def logged(self, *committed: tuple[int, Event]) -> None:
        """The log must have exactly these new entries; the model hears of them."""
        fresh = self.server.log[self.log_seen :]
        self.log_seen += len(fresh)
        assert [(entry.conn, entry.event) for entry in fresh] == list(committed)
        for new in fresh:
            for conn, told in self.model.apply(new).items():
                self.expected.setdefault(conn, []).extend(told)

    def asks(self, conn: int, request: Request, cuts: list[int]) -> None:
        """A line is sent; it must become the entry or the answer that is documented."""
        for piece in split_at(written(request, plain=self.plain(conn)), cuts):
            self.server.send(conn, piece)
        match request:
            case (
                events.Topic(topic=None)
                | events.Rooms()
                | events.Who()
                | events.Whois()
                | events.History()
            ):
                self.answered(conn, self.model.answer(conn, request))
            case events.Join(room, key):
                self.logged((conn, events.Join(room, key, roles=True)))
            case _:
                self.logged((conn, request))  # type: ignore[arg-type] # the rest are events
        self.everybody_heard()

    def answered(self, conn: int, notice: Notice) -> None:
        self.expected.setdefault(conn, []).append(notice)

    def everybody_heard(self) -> None:
        """What was written to everybody is what the model says, byte for byte or by notice."""
        assert len(self.server.log) == self.log_seen, "an entry that nobody asked for"
        for conn, output in self.server.output.items():
            data, expected = bytes(output), self.expected.pop(conn, [])
            output.clear()
            if self.plain(conn):
                assert read_plain(data) == read_plain(b"".join(map(PLAIN.encode, expected)))
            else:
                heard = [decode_notice(line) for line in data.splitlines()]
                assert [comparable(notice) for notice in heard] == expected
                for notice in heard:
                    self.order.told(conn, notice)
                if heard and isinstance(heard[0], notices.Resumed):
                    self.order.caught_up(conn, heard[0])

    @initialize()
    def two_of_each_kind_are_in_the_lobby(self) -> None:
        for _ in range(4):
            self.connect()
        for conn in (1, 2, 3, 4):
            self.join(conn - 1, join("lobby"), [])

    @precondition(lambda self: len(self.model.names) < 6)
    @rule()
    def connect(self) -> None:
        self.last_conn += 1
        conn, token = self.last_conn, f"token-{self.last_conn}"
        self.server.connect(conn, token=token)
        if self.plain(conn):
            self.server.send(conn, b"\r\n")
            self.logged((conn, events.Connect()))
        else:
            self.server.send(conn, HELLO)
            self.logged((conn, events.Connect(session(token))))
            self.tokens.append(token)
        self.everybody_heard()

    @precondition(lambda self: len(self.model.names) < 6)
    @rule(lot=st.integers(0, 9), behind=st.integers(0, 5), told_behind=st.integers(0, 2), cuts=CUTS)
    def resume(self, lot: int, behind: int, told_behind: int, cuts: list[int]) -> None:
        """A new connection asks for a session, which may live, be away, or be over."""
        self.last_conn += 1 + self.last_conn % 2
        conn, fresh = self.last_conn, f"token-{self.last_conn}"
        token = self.tokens[-1 - lot % len(self.tokens)]
        person = self.model.of_session(session(token))
        rooms = {key: self.model.rooms[key] for key in person.rooms} if person else {}
        older = person.conn if person and not person.away else None
        seen = {key: room.seq - behind for key, room in rooms.items()}
        told = max(0, len(person.told) - told_behind) if person else 0
        self.order.resumes(
            conn,
            {room.name: max(seen[key], person.rooms[key]) for key, room in rooms.items() if person},
        )
        self.server.connect(conn, token=fresh)
        by_name = {room.name: seen[key] for key, room in rooms.items()}
        for piece in split_at(encode_request(events.Hello(token, by_name, told)), cuts):
            self.server.send(conn, piece)
        self.logged((conn, events.Resume(session(token), session(fresh), seen, told)))
        self.everybody_heard()
        if person is None:
            self.tokens.append(fresh)
        if older is not None:
            self.ends(older, closed=True)

    @rule(seconds=st.sampled_from([20, 40, 60]))
    def time_passes(self, seconds: int) -> None:
        """Who was away for the grace is gone; whoever came back in time is not."""
        self.server.wait(seconds * 1_000)
        over = [
            person
            for person in self.model.away
            if self.lost_at[person.session] + GRACE_MS <= self.server.now
        ]
        expire = [events.Expire(person.session, "connection lost") for person in over]
        self.logged(*((person.conn, gone) for person, gone in zip(over, expire, strict=True)))
        self.everybody_heard()

    @precondition(lambda self: self.model.names)
    @rule(lot=st.integers(0, 5), room=ROOMS, cuts=CUTS)
    def join(self, lot: int, room: events.Join, cuts: list[int]) -> None:
        conn = self.anybody(lot)
        self.current[conn] = room
        self.asks(conn, room, cuts)

    def room_of(self, conn: int, room: events.Join) -> events.Join | None:
        """Which room a line is about: typed, it is the current one."""
        return self.current.get(conn) if self.plain(conn) else room

    @precondition(lambda self: self.model.names)
    @rule(lot=st.integers(0, 5), room=ROOMS, text=TEXTS, id=IDS, emote=st.booleans(), cuts=CUTS)
    def say(
        self,
        *,
        lot: int,
        room: events.Join,
        text: str,
        id: str | None,
        emote: bool,
        cuts: list[int],
    ) -> None:
        conn = self.anybody(lot)
        if about := self.room_of(conn, room):
            id = None if self.plain(conn) else id
            self.asks(conn, events.Say(about.room, text, id, emote, about.key), cuts)
        else:
            self.server.send(conn, f"{text}\n".encode())
            self.answered(conn, notices.Rejected("no-current-room", "", "say"))
            self.everybody_heard()

    @precondition(lambda self: self.model.names)
    @rule(lot=st.integers(0, 5), nick=NICKS, text=TEXTS, id=IDS, cuts=CUTS)
    def tell(self, lot: int, nick: events.Nick, text: str, id: str | None, cuts: list[int]) -> None:
        conn = self.anybody(lot)
        id = None if self.plain(conn) else id
        self.asks(conn, events.Tell(nick.nick, text, id, nick.key), cuts)

    @precondition(lambda self: self.model.names)
    @rule(lot=st.integers(0, 5), nick=NICKS, cuts=CUTS)
    def nick(self, lot: int, nick: events.Nick, cuts: list[int]) -> None:
        self.asks(self.anybody(lot), nick, cuts)

    @precondition(lambda self: self.model.names)
    @rule(
        lot=st.integers(0, 5), room=ROOMS, topic=st.sampled_from([None, "tea at four"]), cuts=CUTS
    )
    def topic(self, lot: int, room: events.Join, topic: str | None, cuts: list[int]) -> None:
        conn = self.anybody(lot)
        if about := self.room_of(conn, room):
            self.asks(conn, events.Topic(about.room, topic, about.key), cuts)

    @precondition(lambda self: self.model.names)
    @rule(lot=st.integers(0, 5), text=st.sampled_from(["", "tea time"]), cuts=CUTS)
    def away(self, lot: int, text: str, cuts: list[int]) -> None:
        self.asks(self.anybody(lot), events.Away(text), cuts)

    @precondition(lambda self: self.model.names)
    @rule(lot=st.integers(0, 5), name=st.sampled_from(["", "Ada Lovelace"]), cuts=CUTS)
    def set_name(self, lot: int, name: str, cuts: list[int]) -> None:
        self.asks(self.anybody(lot), events.SetName(name), cuts)

    @precondition(lambda self: self.model.names)
    @rule(lot=st.integers(0, 5), room=ROOMS, reason=st.sampled_from(["", "tea time"]), cuts=CUTS)
    def out(self, lot: int, room: events.Join, reason: str, cuts: list[int]) -> None:
        conn = self.anybody(lot)
        if conn in self.current and self.current[conn].key == room.key:
            del self.current[conn]
        self.asks(conn, events.Out(room.room, room.key, reason), cuts)

    @precondition(lambda self: self.current)
    @rule(lot=st.integers(0, 5), text=TEXTS)
    def out_of_the_current_room_and_on_talking(self, lot: int, text: str) -> None:
        conn = sorted(self.current)[lot % len(self.current)]
        room = self.current.pop(conn)
        self.server.send(conn, written(events.Out(""), plain=self.plain(conn)))
        self.logged((conn, events.Out(room.room, room.key)))
        self.server.send(conn, written(events.Say("", text), plain=self.plain(conn)))
        self.answered(conn, notices.Rejected("no-current-room", "", "say"))
        self.everybody_heard()

    @precondition(lambda self: self.model.names)
    @rule(lot=st.integers(0, 5), room=ROOMS, cuts=CUTS)
    def ask_who_and_which_rooms(self, lot: int, room: events.Join, cuts: list[int]) -> None:
        conn = self.anybody(lot)
        self.asks(conn, events.Rooms(), cuts)
        self.asks(conn, events.Who(room.room, room.key), cuts)

    @precondition(lambda self: self.model.names)
    @rule(lot=st.integers(0, 5), other=st.integers(0, 5), cuts=CUTS)
    def ask_who_somebody_is(self, lot: int, other: int, cuts: list[int]) -> None:
        called = [*(person.name for person in self.model.people), Name("nobody", "nobody")]
        self.asks(self.anybody(lot), events.Whois(*called[other % len(called)]), cuts)

    @precondition(lambda self: self.model.names)
    @rule(
        lot=st.integers(0, 5),
        room=ROOMS,
        before=st.none() | st.integers(-1, 9),
        limit=st.integers(1, 5),
        cuts=CUTS,
    )
    def history(
        self, lot: int, room: events.Join, before: int | None, limit: int, cuts: list[int]
    ) -> None:
        conn = self.anybody(lot)
        if about := self.room_of(conn, room):
            before = None if self.plain(conn) else before
            self.asks(conn, events.History(about.room, before, limit, about.key), cuts)

    @precondition(lambda self: self.model.names)
    @rule(lot=st.integers(0, 5), line=st.sampled_from([b"\xff\xfa\xff\xf0\xc3(\n", b"/fnord\n"]))
    def a_bad_line_does_no_harm(self, lot: int, line: bytes) -> None:
        conn = self.anybody(lot)
        self.server.send(conn, line)
        unknown = self.plain(conn) and b"fnord" in line
        reason: notices.Reason = "unknown-command" if unknown else "bad-line"
        self.answered(conn, notices.Rejected(reason, ""))
        self.everybody_heard()

    @precondition(lambda self: self.model.names)
    @rule(lot=st.integers(0, 5), cuts=CUTS)
    def quit(self, lot: int, cuts: list[int]) -> None:
        conn = self.anybody(lot)
        self.asks(conn, events.Quit("bye"), cuts)
        self.ends(conn, closed=True)

    @precondition(lambda self: self.model.names)
    @rule(lot=st.integers(0, 5), eof=st.booleans())
    def lost(self, lot: int, eof: bool) -> None:
        conn = self.anybody(lot)
        person = self.model.connected(conn)
        assert person is not None
        self.lost_at[person.session] = self.server.now
        if eof:
            self.server.eof(conn)
        else:
            self.server.lose(conn)
        self.logged((conn, events.Disconnect("" if eof else "connection lost")))
        self.everybody_heard()
        self.ends(conn, closed=eof)

    def ends(self, conn: int, *, closed: bool) -> None:
        self.order.gone(conn)
        self.current.pop(conn, None)
        assert (conn in self.server.closed) == closed
        self.server.send(conn, b"this is thrown away\n")
        assert self.server.output.pop(conn) == b""

    @invariant()
    def the_log_replayed_is_the_state(self) -> None:
        replica = ChatState()
        for committed in self.server.log:
            replica.handle(committed)
        assert replica.digest() == self.server.protocol.state.digest()


class DelayedLogMachine(RuleBasedStateMachine):
    """A log that commits later, against one that commits at once.

    `late` takes lines in at any time and commits at any other. `prompt` is given each line at
    the moment when `late` commits what that line asked for (a line that asks for no entry: when
    everything before it is committed). Both must then have written the same bytes to everybody:
    no answer overtakes, and nothing depends on how long the log takes.
    """

    def __init__(self) -> None:
        super().__init__()
        self.late = MemoryServer(delayed=True)
        self.prompt = MemoryServer()
        # Lines that `late` has taken in and not yet committed: (line, whether it proposed).
        self.waiting: dict[int, deque[tuple[bytes, bool]]] = {}

    @initialize()
    def people_are_there(self) -> None:
        for conn in (1, 2, 3, 4):
            self.waiting[conn] = deque()
            self.late.connect(conn)
            self.prompt.connect(conn)
            self.line(conn, b"\n" if conn % 2 == 0 else HELLO)

    def line(self, conn: int, line: bytes) -> None:
        outstanding = any(proposed.conn == conn for proposed in self.late.proposed)
        effects = self.late.send(conn, line)
        proposes = any(isinstance(effect, Propose) for effect in effects)
        if proposes or outstanding:
            self.waiting[conn].append((line, proposes))
        else:
            self.prompt.send(conn, line)

    @rule(conn=st.integers(1, 4), room=ROOMS)
    def join(self, conn: int, room: events.Join) -> None:
        self.line(conn, written(room, plain=conn % 2 == 0))

    @rule(conn=st.integers(1, 4), room=st.sampled_from(["lobby", "tea"]), text=TEXTS)
    def say(self, conn: int, room: str, text: str) -> None:
        self.line(conn, written(events.Say(room, text, "1"), plain=conn % 2 == 0))

    @rule(conn=st.integers(1, 4), nick=NICKS)
    def nick(self, conn: int, nick: events.Nick) -> None:
        self.line(conn, written(nick, plain=conn % 2 == 0))

    @rule(conn=st.integers(1, 4), query=st.sampled_from([events.Rooms(), events.Who("lobby")]))
    def query(self, conn: int, query: Request) -> None:
        self.line(conn, written(query, plain=conn % 2 == 0))

    @rule(conn=st.integers(1, 4), line=st.sampled_from([b"\xc3(\n", b"/nick a:b\n", b"/help\n"]))
    def something_refused(self, conn: int, line: bytes) -> None:
        self.line(conn, line)

    @rule(conn=st.integers(1, 4), room=ROOMS)
    def out(self, conn: int, room: events.Join) -> None:
        self.line(conn, written(events.Out(room.room), plain=conn % 2 == 0))

    @rule(conn=st.integers(3, 4))
    def quit(self, conn: int) -> None:
        self.line(conn, written(events.Quit("bye"), plain=conn % 2 == 0))

    @precondition(lambda self: self.late.proposed)
    @rule(count=st.integers(1, 5))
    def commit(self, count: int) -> None:
        for _ in range(min(count, len(self.late.proposed))):
            committed = self.late.commit_next()
            waiting = self.waiting[committed.conn]
            line, proposes = waiting.popleft()
            assert proposes, f"{line!r} has been overtaken"
            self.prompt.send(committed.conn, line)
            while waiting and not waiting[0][1]:
                self.prompt.send(committed.conn, waiting.popleft()[0])
            assert self.prompt.log[-1] == committed

    @invariant()
    def both_have_written_the_same(self) -> None:
        assert self.late.output == self.prompt.output
        assert self.late.closed == self.prompt.closed

    def teardown(self) -> None:
        self.commit(len(self.late.proposed))
        self.both_have_written_the_same()
        assert not any(self.waiting.values())
        assert self.late.protocol.state.digest() == self.prompt.protocol.state.digest()
