"""ClientProtocols and a ServerProtocol over connections that are cut: nothing lost, nothing twice.

The server keeps so little that every bound is met: gaps are told, and the window of unacknowledged
messages is small.
"""

from __future__ import annotations

import msgspec
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tcpchat_core import (
    Broadcast,
    ChatState,
    ClientProtocol,
    Notice,
    ServerLimits,
    ServerProtocol,
    StateLimits,
    events,
    notices,
)
from tests.core.harness import MemoryServer

LIMITS = StateLimits(history_messages=6, entered_history=2, receipts=3, inbox=2)
GRACE_MS = 60_000

WHO = st.integers(0, 2)
ROOMS = st.sampled_from(["lobby", "tea"])
BYTES = st.sampled_from([1, 40, 150, 10_000])


class Terminal:
    """One person's client: what it is shown, what it said, and its connection if there is one."""

    def __init__(self) -> None:
        self.client = ClientProtocol()
        self.conn: int | None = None
        self.up = b""  # on its way to the server
        self.seen: dict[str, int] = {}  # the last number that was shown, by room
        self.told = 0  # … and of the direct messages
        self.shown: list[notices.Said] = []
        self.receipts: list[str] = []  # ids whose receipt, or own message, was shown
        self.refused: list[str] = []
        self.gaps = 0

    def hears(self, data: bytes) -> None:
        """Read what came. The person must see no hole, no repetition, and every gap."""
        received = self.client.receive_data(data)
        self.up += received.reply
        for notice in received.notices:
            self.is_shown(notice)

    def is_shown(self, notice: Notice) -> None:
        match notice:
            case notices.Said(room, seq=seq, id=id):
                assert seq == self.seen.get(room, seq - 1) + 1, (room, seq, self.seen)
                self.seen[room] = seq
                self.shown.append(msgspec.structs.replace(notice, id=None))
                if id is not None:
                    self.receipts.append(id)
            case notices.Sent(id=str(id), room=room, seq=seq):
                self.receipts.append(id)
                if room in self.seen and seq is not None and seq > self.seen[room]:
                    assert seq == self.seen[room] + 1, (room, seq, self.seen)
                    self.seen[room] = seq
            case notices.Told(seq=seq):
                assert seq == self.told + 1, (seq, self.told)
                self.told = seq
            case notices.Gap("", oldest):
                assert oldest - 1 > self.told
                self.told = oldest - 1
                self.gaps += 1
            case notices.Gap(room, oldest):
                assert oldest - 1 > self.seen.get(room, 0)
                self.seen[room] = oldest - 1
                self.gaps += 1
            case notices.Entered(room, seq=seq):
                assert seq >= self.seen.get(room, 0)
                self.seen[room] = seq
            case notices.Rejected(id=str(id)):
                self.refused.append(id)
            case notices.Welcome():
                self.seen.clear()
                self.told = 0
            case _:
                pass


class SessionMachine(RuleBasedStateMachine):
    """Three people who talk while the network takes their connections away at any byte."""

    def __init__(self) -> None:
        super().__init__()
        patient = 10**9
        limits = ServerLimits(
            flood_rate=0,
            ping_after_ms=patient,
            drop_after_ms=patient,
            handshake_ms=patient,
            grace_ms=GRACE_MS,
        )
        state = ChatState(limits=LIMITS)
        self.server = MemoryServer(ServerProtocol(state, limits=limits), delayed=True)
        self.terminals = [Terminal() for _ in range(3)]
        self.dead: list[int] = []  # connections that are cut, which the server has yet to notice
        self.last_conn = 0
        self.said = 0

    @initialize()
    def everybody_is_in_the_lobby(self) -> None:
        for who, terminal in enumerate(self.terminals):
            self.reconnect(who)
            terminal.up += terminal.client.request(events.Nick(f"p{who}"))
            self.join(who, "lobby")
        self.everything_arrives()

    def sends(self, terminal: Terminal, data: bytes) -> None:
        if terminal.conn is not None:
            terminal.up += data

    @rule(who=WHO, room=ROOMS)
    def join(self, who: int, room: str) -> None:
        self.sends(self.terminals[who], self.terminals[who].client.request(events.Join(room)))

    @rule(who=WHO, room=ROOMS, count=st.integers(1, 5))
    def say(self, who: int, room: str, count: int) -> None:
        terminal = self.terminals[who]
        for _ in range(count):
            self.said += 1
            self.sends(terminal, terminal.client.say(room, f"text {self.said}"))

    @rule(who=WHO, to=WHO)
    def tell(self, who: int, to: int) -> None:
        terminal = self.terminals[who]
        self.said += 1
        self.sends(terminal, terminal.client.tell(f"p{to}", f"text {self.said}"))

    @rule(who=WHO, count=BYTES)
    def some_bytes_go_up(self, who: int, count: int) -> None:
        terminal = self.terminals[who]
        data, terminal.up = terminal.up[:count], terminal.up[count:]
        if terminal.conn is not None:
            self.server.send(terminal.conn, data)

    @rule(who=WHO, count=BYTES)
    def some_bytes_come_down(self, who: int, count: int) -> None:
        terminal = self.terminals[who]
        if terminal.conn is not None:
            data = bytes(self.server.output[terminal.conn][:count])
            del self.server.output[terminal.conn][:count]
            terminal.hears(data)

    @rule(count=st.integers(1, 8))
    def the_log_commits(self, count: int) -> None:
        for _ in range(min(count, len(self.server.proposed))):
            self.server.commit_next()

    @rule(who=WHO, noticed=st.booleans())
    def a_connection_is_cut(self, who: int, noticed: bool) -> None:
        """What is on its way, up and down, is lost. The server may notice now, later or never."""
        terminal = self.terminals[who]
        if terminal.conn is not None:
            self.dead.append(terminal.conn)
            terminal.conn, terminal.up = None, b""
            if noticed:
                self.the_server_notices(-1)

    @precondition(lambda self: self.dead)
    @rule(lot=st.integers(0, 5))
    def the_server_notices(self, lot: int) -> None:
        self.server.lose(self.dead.pop(lot % len(self.dead)))

    @rule(who=WHO)
    def reconnect(self, who: int) -> None:
        terminal = self.terminals[who]
        if terminal.conn is None:
            self.last_conn += 1
            terminal.conn = self.last_conn
            self.server.connect(terminal.conn, token=f"token-{terminal.conn}")
            terminal.up = terminal.client.hello()
            self.some_bytes_go_up(who, 1)  # so that it is not greeted as a person

    @rule(who=WHO, room=ROOMS, count=st.integers(1, 9), come_down=BYTES)
    def the_others_talk_to_somebody_who_is_cut_off(
        self, who: int, room: str, count: int, come_down: int
    ) -> None:
        """… after so many bytes of it."""
        for other in range(3):
            self.say(other, room, count if other != who else 1)
            self.some_bytes_go_up(other, 10**6)
        self.the_log_commits(len(self.server.proposed))
        self.some_bytes_come_down(who, come_down)
        self.a_connection_is_cut(who, noticed=True)
        self.reconnect(who)

    @rule()
    def a_grace_passes(self) -> None:
        self.server.wait(GRACE_MS)

    @rule()
    def everything_arrives(self) -> None:
        """The network is well for a while; who was told to come again does so."""
        for _ in range(2 * self.said + 9):
            for who, terminal in enumerate(self.terminals):
                if terminal.conn in self.server.closed:
                    terminal.conn = None
                self.reconnect(who)
                self.some_bytes_go_up(who, len(terminal.up))
            self.the_log_commits(len(self.server.proposed))
            for who in range(3):
                self.some_bytes_come_down(who, 10**6)
            if not any(terminal.up for terminal in self.terminals):
                break
        for terminal in self.terminals:
            assert not terminal.client.unacknowledged

    @invariant()
    def no_receipt_is_shown_twice(self) -> None:
        for terminal in self.terminals:
            answered = terminal.receipts + terminal.refused
            assert len(set(answered)) == len(answered), answered

    def teardown(self) -> None:
        """In the end every message stands in the log's rooms once, and all have seen the same."""
        self.everything_arrives()
        replica = ChatState(limits=LIMITS)
        said: dict[tuple[str, int], notices.Said] = {}
        for committed in self.server.log:
            for action in replica.handle(committed):
                if isinstance(action, Broadcast) and isinstance(action.payload, notices.Said):
                    said[action.payload.room, action.payload.seq] = action.payload
        texts = [notice.text for notice in said.values()]
        assert len(set(texts)) == len(texts), "something was said twice"
        for terminal in self.terminals:
            assert all(said[notice.room, notice.seq] == notice for notice in terminal.shown)
            assert terminal.conn is not None
            person = replica.person(terminal.conn)
            assert person is not None
            assert {view.name for view in terminal.client.rooms.values()} == {
                room.name for room in person.rooms.values()
            }
            for key, room in person.rooms.items():
                told_of = room.seq > person.since[key]
                view = terminal.client.rooms[room.name]
                assert view.seq == room.seq or not told_of, "somebody is behind"
