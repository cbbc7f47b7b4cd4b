"""Browsers beside programs and people with nc: each is told what a program would be in its place.

There are two servers. To the first come browsers, in frames that are cut into fragments and bytes
anywhere; to the second programs in their places, in whole lines. All others are the same.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import ClassVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tcpchat_core import ChatState, Request, ServerLimits, ServerProtocol, events
from tcpchat_core.dialects.jsonl import encode_request
from tcpchat_core.dialects.websocket import WebSocket
from tcpchat_core.server import DIALECTS
from tests.core.browser import CLOSE, SITE, ClientSocket
from tests.core.harness import MemoryServer, split_at
from tests.core.protocol_machine import written
from tests.core.state_machine import IDS, NICKS, ROOMS, TEXTS

GRACE_MS = 60_000
PATIENT = 10**9
LIMITS = ServerLimits(
    flood_rate=0,
    ping_after_ms=PATIENT,
    drop_after_ms=PATIENT,
    handshake_ms=PATIENT,
    grace_ms=GRACE_MS,
)

LOTS = st.integers(0, 9)
BYTES = st.sampled_from([1, 2, 5, 30, 10_000])
SEEN = st.dictionaries(st.sampled_from(["lobby", "tea", "кухня"]), st.integers(0, 9))

# Lines that ask for nothing, or wrongly.
ODD_LINES = st.sampled_from([b"", b" ", b"nonsense", b"{}", b'{"type":"say","id":"7"}', b"[" * 900])


@dataclass
class Peer:
    """Somebody, on both servers. What is on its way stands in `up`, with the places in it where the
    lines end that are to go to the second server.
    """

    conn: int
    socket: ClientSocket | None = None  # of a browser
    is_plain: bool = False
    up: bytes = b""
    sent: int = 0
    lines: list[tuple[int, bytes]] = field(default_factory=list)
    told: bytes = b""  # by the first server, as lines

    def sends(self, data: bytes, line: bytes) -> None:
        """Have bytes go to the first server; when the message is whole, a line to the second."""
        end = len(data) if self.socket is None else message_end(data)
        self.lines.append((self.sent + len(self.up) + end, line))
        self.up += data


def message_end(frames: bytes) -> int:
    """The place in a browser's frames where its message is whole: a ping may come behind it."""
    at = end = 0
    while at < len(frames):
        size, start = frames[at + 1] & 0x7F, at + 2
        if size >= 126:
            start += 2 if size == 126 else 8
            size = int.from_bytes(frames[at + 2 : start], "big")
        opcode, at = frames[at] & 0xF, start + 4 + size
        if opcode < CLOSE:
            end = at
    return end


class WebSocketMachine(RuleBasedStateMachine):
    """Each rule is one step of one peer. The log commits at once, so that what is said in a row is
    told in a row.
    """

    is_delayed: ClassVar[bool] = False

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = (
            MemoryServer(
                ServerProtocol(ChatState(), limits=LIMITS, dialects=(WebSocket(SITE), *DIALECTS)),
                delayed=self.is_delayed,
            )
            for _ in range(2)
        )
        self.peers: list[Peer] = []
        self.last_conn = 0

    def peer(self, lot: int) -> Peer:
        return self.peers[lot % len(self.peers)]

    @initialize()
    def one_of_each_kind_is_in_the_lobby(self) -> None:
        for seed, is_plain in ((1, False), (2, False), (None, False), (None, True)):
            self.comes(seed, is_plain, events.Hello())
            self.asks(self.peers[-1], events.Join("lobby"))
        self.everything_arrives()

    def comes(self, seed: int | None, is_plain: bool, hello: events.Hello) -> None:
        """Somebody connects: a browser if there is a seed for what it draws."""
        self.last_conn += 1
        socket = None
        if seed is not None:
            socket = ClientSocket(random.Random(seed), fragments=0.5)
        peer = Peer(self.last_conn, socket, is_plain)
        for server in (self.first, self.second):
            server.connect(peer.conn, token=f"token-{peer.conn}")
        if socket is not None:
            for piece in split_at(socket.open(), [7 * (seed or 0)]):
                self.first.send(peer.conn, piece)
            socket.receive_data(self.first.read(peer.conn))
        self.peers.append(peer)
        if is_plain:
            self.asks(peer, events.Who("lobby"))
        else:
            self.asks(peer, hello)
        self.goes_up(peer, len(peer.up))  # who says nothing for long is greeted

    def asks(self, peer: Peer, request: Request) -> None:
        if peer.is_plain:
            line = written(request, plain=True)
            peer.sends(line, line)
        else:
            self.says(peer, encode_request(request))

    def says(self, peer: Peer, line: bytes) -> None:
        peer.sends(line if peer.socket is None else peer.socket.message(line), line)

    def goes_up(self, peer: Peer, count: int) -> None:
        data, peer.up = peer.up[:count], peer.up[count:]
        peer.sent += len(data)
        lines = b"".join(line for end, line in peer.lines if end <= peer.sent)
        if peer.socket is None:
            lines = data
        peer.lines = [each for each in peer.lines if each[0] > peer.sent]
        self.first.send(peer.conn, data)
        self.second.send(peer.conn, lines)

    @precondition(lambda self: len(self.peers) < 7)
    @rule(seed=st.none() | st.integers(0, 99), is_plain=st.booleans())
    def somebody_comes(self, seed: int | None, is_plain: bool) -> None:
        self.comes(seed, is_plain and seed is None, events.Hello())

    @precondition(lambda self: len(self.peers) < 7)
    @rule(seed=st.none() | st.integers(0, 99), lot=LOTS, seen=SEEN, told=st.integers(0, 3))
    def somebody_comes_back(
        self, seed: int | None, lot: int, seen: dict[str, int], told: int
    ) -> None:
        token = f"token-{max(1, self.last_conn - lot)}"
        self.comes(seed, False, events.Hello(token, seen, told))

    @precondition(lambda self: self.peers)
    @rule(lot=LOTS, room=ROOMS, text=TEXTS, id=IDS, emote=st.booleans())
    def say(self, lot: int, room: events.Join, text: str, id: str | None, emote: bool) -> None:
        self.asks(self.peer(lot), events.Say(room.room, text, id, emote))

    @precondition(lambda self: self.peers)
    @rule(
        lot=LOTS,
        room=ROOMS,
        nick=NICKS,
        kind=st.integers(0, 8),
        text=TEXTS,
    )
    def ask(self, lot: int, room: events.Join, nick: events.Nick, kind: int, text: str) -> None:
        requests: tuple[Request, ...] = (
            events.Join(room.room),
            events.Out(room.room),
            events.Nick(nick.nick),
            events.Topic(room.room, text),
            events.Topic(room.room, None),
            events.Tell(nick.nick, text),
            events.Who(room.room),
            events.History(room.room, limit=5),
            events.Rooms(),
        )
        self.asks(self.peer(lot), requests[kind])

    @precondition(lambda self: self.peers)
    @rule(lot=LOTS, line=ODD_LINES)
    def say_something_odd(self, lot: int, line: bytes) -> None:
        peer = self.peer(lot)
        self.says(peer, b"/nix\n" if peer.is_plain else line + b"\n")

    @precondition(lambda self: self.peers)
    @rule(lot=LOTS)
    def quit(self, lot: int) -> None:
        self.asks(self.peer(lot), events.Quit("bye"))

    @precondition(lambda self: self.peers)
    @rule(lot=LOTS)
    def a_browser_asks_for_a_pong(self, lot: int) -> None:
        peer = self.peer(lot)
        if peer.socket is not None:
            peer.sends(peer.socket.ping(), b"")

    @precondition(lambda self: self.peers)
    @rule(lot=LOTS, count=BYTES)
    def some_bytes_arrive(self, lot: int, count: int) -> None:
        self.goes_up(self.peer(lot), count)

    @rule(count=st.integers(1, 8))
    def the_log_commits(self, count: int) -> None:
        for server in (self.first, self.second):
            for _ in range(min(count, len(server.proposed))):
                server.commit_next()

    @precondition(lambda self: self.peers)
    @rule(lot=LOTS, is_lost=st.booleans())
    def somebody_goes(self, lot: int, is_lost: bool) -> None:
        """A connection is lost, or closed on purpose behind what was said."""
        peer = self.peer(lot)
        if is_lost:
            for server in (self.first, self.second):
                server.lose(peer.conn)
            self.peers.remove(peer)
            return
        self.goes_up(peer, len(peer.up))
        if peer.socket is None:
            self.first.eof(peer.conn)
        else:
            self.first.send(peer.conn, peer.socket.close(1000))
        self.second.eof(peer.conn)

    @rule()
    def a_grace_passes(self) -> None:
        for server in (self.first, self.second):
            server.wait(GRACE_MS)

    @rule()
    def everything_arrives(self) -> None:
        for peer in self.peers:
            self.goes_up(peer, len(peer.up))
        while self.first.proposed:
            self.the_log_commits(1)

    @invariant()
    def both_servers_have_the_same_log(self) -> None:
        assert self.first.log == self.second.log
        assert self.first.proposed == self.second.proposed
        assert self.first.closed == self.second.closed

    @invariant()
    def everybody_is_told_the_same_on_both(self) -> None:
        for peer in [*self.peers]:
            data, expected = self.first.read(peer.conn), self.second.read(peer.conn)
            if peer.socket is not None:
                data = peer.socket.receive_data(data).lines
            assert data == expected
            if peer.conn in self.first.closed:
                assert peer.socket is None or peer.socket.has_ended
                self.peers.remove(peer)

    def teardown(self) -> None:
        """In the end every ping has its pong."""
        self.everything_arrives()
        self.everybody_is_told_the_same_on_both()
        for peer in self.peers:
            assert peer.socket is None or not peer.socket.unanswered


class DelayedWebSocketMachine(WebSocketMachine):
    """The same with a log that commits later, event by event."""

    is_delayed = True
