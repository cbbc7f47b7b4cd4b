"""What the core's tests share: logs, deliveries, and an in-memory adapter without sockets."""

from __future__ import annotations

import hashlib
import random
from collections import deque
from collections.abc import Iterable, Sequence

from tcpchat_core import (
    Action,
    Broadcast,
    ChatState,
    Close,
    Derive,
    Effect,
    Enter,
    Entry,
    Event,
    Leave,
    Look,
    Name,
    Notice,
    Pause,
    Propose,
    Request,
    Resume,
    Send,
    ServerLimits,
    ServerProtocol,
    StateLimits,
    Stream,
    events,
    nick_name,
    room_name,
)
from tcpchat_core.dialects.jsonl import decode_notice, encode_request
from tcpchat_core.notices import Said

HELLO = b'{"type":"hello"}\n'

# As many lines as one likes: most tests are in a hurry.
NO_FLOOD_LIMIT = ServerLimits(flood_rate=0)

# So small that a random log meets all of them.
LIMITS = StateLimits(
    rooms_per_person=3,
    rooms=4,
    history_messages=20,
    history_chars=200,
    receipts=4,
    inbox=2,
    away=3,
    restrictions=3,
)

# Where the clock of all logs in the tests begins, and how far apart two entries are.
START_MS = 1_000_000
STEP_MS = 10


def entry(seq: int, conn: int, event: Event, number: int = 0) -> Entry:
    """The entry at one place of a log; its time follows from its place."""
    return Entry(seq, START_MS + STEP_MS * seq, conn, event, number)


def name(typed: str) -> Name:
    """A name that is known to be allowed, as a nick or as a room."""
    folded = room_name(typed)
    assert isinstance(folded, Name), folded
    return folded


def nick(typed: str) -> events.Nick:
    """The event of taking an allowed nick."""
    folded = nick_name(typed)
    assert isinstance(folded, Name), folded
    return events.Nick(*folded)


def join(typed: str) -> events.Join:
    """The event of joining a room with an allowed name."""
    return events.Join(*name(typed))


def joins(typed: str) -> events.Join:
    """The same as a server proposes it: whoever makes the room moderates it."""
    return events.Join(*name(typed), roles=True)


def say(room: str, text: str, id: str | None = None) -> events.Say:
    """The event of saying a line to a room."""
    return events.Say(room, text, id, key=name(room).key)


def deliver(actions: Iterable[Action]) -> tuple[dict[int, list[Notice]], list[int]]:
    """Carry out actions: what each connection is told, in order, and which are closed.

    Holds an adapter's part of the bargain, and checks the core's: nobody enters twice, or leaves
    where it is not.
    """
    told: dict[int, list[Notice]] = {}
    closed: list[int] = []
    for action in actions:
        match action:
            case Send(conn, notice):
                told.setdefault(conn, []).append(notice)
            case Stream(conn, pieces):
                told.setdefault(conn, []).extend(pieces)
            case Enter(audience, conn):
                assert conn not in audience.conns
                audience.add(conn)
            case Leave(audience, conn):
                assert conn in audience.conns
                audience.discard(conn)
            case Broadcast(_, notice, author, receipt):
                for conn in action.conns():
                    if conn != author:
                        told.setdefault(conn, []).append(notice)
                    elif receipt is not None:
                        told.setdefault(conn, []).append(receipt)
            case Close(conn):
                closed.append(conn)
    return told, closed


def restored(snapshot: bytes) -> ChatState:
    """The state of a snapshot, on a node where everybody is still connected."""
    state = ChatState.restore(snapshot)
    for person in state.connected():
        for room in person.rooms.values():
            room.audience.add(person.conn)
    return state


class Talk:
    """A state with a log of its own: each call of `do` is one entry, answered with what is told."""

    def __init__(self, state: ChatState | None = None) -> None:
        self.state = state or ChatState()
        self.closed: list[int] = []
        self.began: dict[str, int] = {}  # by key of a room: the number before its first message

    def do(self, conn: int, event: Event) -> dict[int, list[Notice]]:
        """Commit one event."""
        if isinstance(event, events.Join) and self.state.room(event.key) is None:
            self.began[event.key] = self.state.seq + 1
        told, closed = deliver(self.state.handle(entry(self.state.seq + 1, conn, event)))
        self.closed += closed
        return told

    def people(self, *nicks: str) -> None:
        """Connect people with these nicks, as connections 1, 2, …"""
        for conn, typed in enumerate(nicks, 1):
            self.do(conn, events.Connect())
            self.do(conn, nick(typed))


class MemoryServer:
    """An adapter without sockets: a deque of effects, and for each connection what it was sent.

    The log commits at once unless it is `delayed`: then what is proposed waits in `proposed`, event
    by event, until `commit_next` is called.
    """

    def __init__(self, protocol: ServerProtocol | None = None, *, delayed: bool = False) -> None:
        self.protocol = protocol or ServerProtocol(ChatState(), limits=NO_FLOOD_LIMIT)
        self.delayed = delayed
        self.proposed: deque[Propose] = deque()
        self.log: list[Entry] = []
        self.output: dict[int, bytearray] = {}
        self.closed: list[int] = []
        self.paused: set[int] = set()  # the connections that nothing is to be read from
        self.derives: list[Derive] = []  # what is to be made of passwords
        self.looks: list[Look] = []  # what the archive was asked
        self.now = 0

    def connect(self, conn: int, *, token: str = "", peer: str = "", is_safe: bool = True) -> None:
        """A peer connects; with a token it may open a session."""
        self.output[conn] = bytearray()
        made = self.protocol.connection_made(
            conn, now=self.now, token=token, peer=peer, is_safe=is_safe
        )
        self.carry_out(made)

    def send(self, conn: int, data: bytes) -> list[Effect]:
        """A peer sends bytes; returns the effects before they are carried out."""
        return self.carry_out(self.protocol.receive_data(conn, data, now=self.now))

    def ask(self, conn: int, *requests: Request) -> None:
        """A peer sends requests, in JSON Lines."""
        for request in requests:
            self.send(conn, encode_request(request))

    def find(self, *found: Said, failed: bool = False) -> None:
        """The archive has found this for the first who asked, or could not look."""
        look = self.looks.pop(0)
        messages = None if failed else found
        effects = self.protocol.found(look.conn, look.ticket, messages, now=self.now)
        self.carry_out(effects)

    def derive(self, made: str | None = None, *, busy: bool = False) -> None:
        """What was made of the first password that waits: by default as if its hash were itself."""
        effect = self.derives.pop(0)
        right = effect.against in ("", f"hash of {effect.password}")
        answer = f"hash of {effect.password}" if right else ""
        result = None if busy else answer if made is None else made
        self.carry_out(self.protocol.derived(effect.conn, effect.ticket, result, now=self.now))

    def eof(self, conn: int) -> None:
        """A peer will send no more."""
        self.carry_out(self.protocol.receive_eof(conn, now=self.now))

    def lose(self, conn: int, reason: str = "connection lost") -> None:
        """A connection is gone."""
        self.carry_out(self.protocol.connection_lost(conn, now=self.now, reason=reason))

    def wait(self, milliseconds: int) -> None:
        """Time passes."""
        self.now += milliseconds
        self.carry_out(self.protocol.handle_timer(self.now))

    def wait_until_nothing_is_due(self) -> None:
        """Time passes from timer to timer, until there is none."""
        while (due := self.protocol.get_timer()) is not None:
            self.wait(max(0, due - self.now))

    def wait_until_heard(self, conn: int) -> None:
        """Time passes from timer to timer, until a connection's lines were all looked at."""
        while conn in self.paused and conn not in self.closed:
            due = self.protocol.get_timer()
            assert due is not None, "it is paused for ever"
            self.wait(max(0, due - self.now))

    def stop(self, reason: str, *, retry: int | None = None) -> None:
        """The server stops."""
        self.carry_out(self.protocol.stop(reason, retry=retry))

    def carry_out(self, effects: Sequence[Effect]) -> list[Effect]:
        """Carry effects out, and whatever comes of them, in order."""
        todo = deque(effects)
        while todo:
            effect = todo.popleft()
            match effect:
                case Propose(conn, number, proposed) if self.delayed:
                    step = 1 if number else 0
                    self.proposed += [
                        Propose(conn, number + step * place, (event,))
                        for place, event in enumerate(proposed)
                    ]
                case Propose():
                    todo.extend(self._commit(effect))
                case Send(conn, payload):
                    self.output[conn] += payload
                case Stream(conn, pieces):
                    self.output[conn] += b"".join(pieces)
                case Enter(audience, conn):
                    audience.add(conn)
                case Leave(audience, conn):
                    audience.discard(conn)
                case Broadcast(_, payload, author, receipt):
                    for conn in effect.conns():
                        self.output[conn] += (receipt or b"") if conn == author else payload
                case Pause(conn):
                    self.paused.add(conn)
                case Resume(conn):
                    self.paused.remove(conn)
                case Derive():
                    self.derives.append(effect)
                case Look():
                    self.looks.append(effect)
                case Close(conn):
                    self.closed.append(conn)
        return list(effects)

    def commit_next(self) -> Entry:
        """The log takes in the oldest proposal."""
        self.carry_out(self._commit(self.proposed.popleft()))
        return self.log[-1]

    def commit_all(self) -> None:
        """The log takes in all proposals, and what comes of them."""
        while self.proposed:
            self.commit_next()

    def _commit(self, proposed: Propose) -> list[Effect]:
        entries = [
            entry(each.seq, each.conn, each.event, each.number)
            for each in proposed.entries(len(self.log) + 1, 0)
        ]
        self.log += entries
        return self.protocol.commit(entries, now=self.now)

    def read(self, conn: int) -> bytes:
        """Take what a connection was sent since the last time."""
        data = bytes(self.output[conn])
        self.output[conn].clear()
        return data

    def told(self, conn: int) -> list[Notice]:
        """Take what a JSON Lines connection was told since the last time."""
        return [decode_notice(line) for line in self.read(conn).splitlines()]

    def lines(self, conn: int) -> list[str]:
        """Take the lines that a plain connection was sent since the last time."""
        return self.read(conn).decode().splitlines()


def session(token: str) -> str:
    """What the state knows a token's session by."""
    return hashlib.sha256(token.encode()).hexdigest()


def split_at(data: bytes, cuts: Iterable[int]) -> list[bytes]:
    """`data` in pieces, cut at these places (taken modulo its length)."""
    places = sorted({cut % (len(data) + 1) for cut in cuts})
    ends = [*places, len(data)]
    return [data[start:end] for start, end in zip([0, *places], ends, strict=True)]


def random_log(seed: int, length: int) -> list[Entry]:
    """A long quarrel over few nicks and rooms, the same for the same seed."""
    draw = random.Random(seed)
    nicks = [nick(typed) for typed in ("ada", "Ada", "bob", "дана", "zoë", "cleo")]
    rooms = [joins(typed) for typed in ("lobby", "Lobby", "tea", "кухня", "den")]
    places = list(range(1, 9))  # eight people at a time; a connection connects once
    connected: set[int] = set()
    sessions = [""]
    state = ChatState(limits=LIMITS)  # so that those who moderate are those who may, as a rule
    log: list[Entry] = []
    for seq in range(1, length + 1):
        place, room = draw.randrange(8), draw.choice(rooms)
        conn = places[place]
        event: Event
        match draw.randrange(22):
            case 0 | 1 | 2 | 3 if conn in connected:
                event = events.Quit("bye") if seq % 5 == 0 else events.Disconnect("connection lost")
                places[place] = 8 + seq
            case 0:
                event = events.Connect()
            case 1:
                event = events.Connect(f"session-{seq}", f"origin-{place // 2}")
            case 2 | 3:
                seen = {room.key: draw.randrange(seq)}
                event = events.Resume(
                    draw.choice(sessions[-4:]), f"session-{seq}", seen, draw.randrange(3)
                )
            case 4 if seq % 3 == 0:
                event = events.Expire(draw.choice(sessions[-4:]), "connection lost")
                conn = draw.choice(places) - 8
            case 5 | 6 | 7:
                event = room
            case 8 | 9:
                event = draw.choice(nicks)
            case 10:
                event = events.Topic(room.room, draw.choice(["", "tea at four"]), room.key)
            case 11:
                event = events.Out(room.room, room.key)
            case 18 | 19 | 20 | 21:
                conn, event = _moderating(draw, state, conn, f"for {seq}")
            case 12:
                other = draw.choice(nicks)
                event = events.Tell(other.nick, "psst", f"t{seq}", other.key)
            case _:
                id = f"s{draw.randrange(seq // 2, seq + 1)}"
                event = events.Say(room.room, f"message {seq}", id, bool(seq % 2), room.key)
        if isinstance(event, events.Connect | events.Resume):
            connected.add(conn)
            sessions.append(f"session-{seq}")
        log.append(entry(seq, conn, event))
        state.handle(log[-1])
    return log


def _moderating(draw: random.Random, state: ChatState, conn: int, reason: str) -> tuple[int, Event]:
    """Something that only a moderator may do, by one of some room, if there is any."""
    rooms = [room for room in state.rooms() if room.moderators] or [*state.rooms()]
    if not rooms:
        return conn, events.Restrictions("lobby", "lobby")
    room = draw.choice(rooms)
    by = next((room.members[id].conn for id in room.moderators), conn)
    other = draw.choice([*room.members.values(), *state.connected()])
    about = (room.key, other.key)
    what: events.Restraint = draw.choice(("ban", "mute"))
    match draw.randrange(9):
        case 6:
            seq = draw.choice((0, room.seq, room.seq - 2))
            return draw.choice((by, conn)), events.Redact(room.name, max(0, seq), "", room.key)
        case 4:
            slow_ms, moderated = draw.choice(((0, None), (30, None), (None, True), (None, False)))
            private = draw.choice((None, None, True, False))
            return by, events.RoomMode(room.name, slow_ms, moderated, private, room.key)
        case 5:
            nick, nick_key = draw.choice((("", ""), (other.nick, other.key)))
            code = "" if nick else f"code {draw.randrange(3)}"
            return by, events.Invite(room.name, nick, code, room.key, nick_key)
        case 0:
            return by, events.Kick(room.name, other.nick, reason, *about)
        case 1:
            role: events.RoomRole = draw.choice(("moderator", "moderator", "member"))
            return by, events.Role(room.name, other.nick, role, *about)
        case 2:
            return by, events.Lift(room.name, other.nick, what, *about)
        case 3:
            return by, events.Restrictions(room.name, room.key)
        case _:
            ms = draw.choice((0, 50, 500, 5_000))
            return by, events.Restrict(room.name, other.nick, what, ms, reason, *about)
