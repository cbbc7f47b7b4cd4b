"""An IRC client whose connections are cut, and which signs in again: nothing lost that is not told.

It cannot say what it has seen, but by its answers to pings. The server keeps so little that gaps
are told, and is started anew now and then.
"""

from __future__ import annotations

import base64

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from tcpchat_core import ChatState, Event, ServerLimits, ServerProtocol, StateLimits, events
from tcpchat_core.dialects.irc.parse import parse
from tcpchat_core.events import connection_number
from tcpchat_core.server.protocol import lapses
from tests.core.harness import MemoryServer, entry, joins, nick, session

LIMITS = StateLimits(history_messages=6, entered_history=2, inbox=3)
GRACE_MS = 200_000
PATIENT_MS = 10**9
TOKEN = "0123456789abcdef" * 4
PROOF = base64.b64encode(f"\0ada@desk\0{TOKEN}".encode()).decode()

# Somebody on another node, who is never cut off.
BOB = connection_number(2, 0, 1)

ROOMS = st.sampled_from(["lobby", "tea"])
BYTES = st.sampled_from([1, 40, 150, 600, 10_000])
WANTED = "sasl message-tags server-time echo-message"


class Irssi:
    """A client: what it is shown, over all of its connections, and the one that it has now."""

    def __init__(self, more: str) -> None:
        self.wanted = f"{WANTED} {more}"
        self.conn: int | None = None
        self.up = b""
        self.partial = b""
        self.is_welcome = False
        self.asked: set[str] = set()  # rooms that it asks to come into, on this connection
        self.shown: dict[str, int] = {}  # the last number, by room; "" for what it is told alone
        self.now: dict[str, int] = {}  # the same, of this connection
        self.known: dict[str, int] = {}  # what it had acknowledged when this one began
        self.gaps: set[str] = set()

    def begin(self, conn: int) -> None:
        """Connect, and say all that there is to say at once."""
        self.conn, self.partial, self.is_welcome = conn, b"", False
        self.asked, self.now, self.gaps = set(), {}, set()
        lines = (
            f"CAP REQ :{self.wanted}",
            "AUTHENTICATE PLAIN",
            f"AUTHENTICATE {PROOF}",
            "NICK ada",
            "USER ada 0 * :ada",
            "CAP END",
        )
        self.up = "".join(f"{each}\r\n" for each in lines).encode()

    def say(self, line: str) -> None:
        """Send one line, if it is connected."""
        if self.conn is not None:
            self.up += f"{line}\r\n".encode()

    def hears(self, data: bytes) -> None:
        *lines, self.partial = (self.partial + data).split(b"\r\n")
        for each in lines:
            self.is_told(each.decode())

    def is_told(self, line: str) -> None:
        message = parse(line)
        assert message is not None
        who = line.split(" ")[1 if line.startswith("@") else 0].partition("!")[0]
        tags, command, params = message
        if command == "001":
            self.is_welcome = True
        elif command == "PING":
            self.say(f"PONG :{params[0]}")
        elif command == "JOIN" and who == ":ada":
            room = params[0][1:]
            assert self.is_welcome
            if room in self.asked:  # it comes anew, and was not there
                self.shown.pop(room, None)
                self.known.pop(room, None)
        elif command == "NOTE":
            assert params[:2] == ["*", "GAP"]
            self.gaps.add(params[2][1:] if len(params) > 3 else "")
        elif command == "NOTICE" and "lost" in params[1]:
            self.gaps.add(params[0][1:] if params[0].startswith("#") else "")
        elif command == "PRIVMSG":
            assert self.is_welcome
            if params[0].startswith("#"):
                _, seq, room = tags["msgid"].split(".")
                assert params[0] == f"#{room}"
                self.is_shown(room, int(seq))
            else:
                self.is_shown("", int(params[1]))

    def is_shown(self, room: str, seq: int) -> None:
        """It must see no hole that it is not told of, and nothing again that it had said it has."""
        if room in self.now:
            assert seq == self.now[room] + 1, (room, seq, self.now)
        elif room in self.shown:
            assert seq > self.known.get(room, 0), (room, seq, self.known)
            assert seq <= self.shown[room] + 1 or room in self.gaps, (room, seq, self.shown)
        self.now[room] = seq
        self.shown[room] = max(seq, self.shown.get(room, 0))


class IrcSessionMachine(RuleBasedStateMachine):
    """One client that is cut off, and bob who talks, while the log is slow."""

    def __init__(self) -> None:
        super().__init__()
        self.boot = 0
        self.count = 0
        self.server = self.started(ChatState(limits=LIMITS))
        self.dead: list[int] = []  # connections that are cut, which the server has yet to notice

    def started(self, state: ChatState) -> MemoryServer:
        limits = ServerLimits(
            flood_rate=0,
            ping_after_ms=PATIENT_MS,
            drop_after_ms=2 * PATIENT_MS,
            grace_ms=GRACE_MS,
        )
        return MemoryServer(ServerProtocol(state, limits=limits), delayed=True)

    def happens(self, conn: int, event: Event) -> None:
        """Something that is no doing of the client's goes into the log."""
        log = self.server.log
        log.append(entry(len(log) + 1, conn, event))
        self.server.carry_out(self.server.protocol.commit([log[-1]], now=self.server.now))

    @initialize(more=st.sampled_from(["", "batch", "standard-replies", "batch standard-replies"]))
    def ada_and_bob_are_in_the_lobby(self, more: str) -> None:
        self.client = Irssi(more)
        self.happens(0, events.Grant("ada", "ada", device=session(TOKEN)))
        self.happens(BOB, events.Connect())
        for event in (nick("bob"), joins("lobby"), joins("tea")):
            self.happens(BOB, event)
        self.everything_arrives()

    @rule(room=ROOMS, count=st.integers(1, 9))
    def bob_talks(self, room: str, count: int) -> None:
        for _ in range(count):
            self.happens(BOB, events.Say(room, "text", key=room))

    @rule(count=st.integers(1, 4))
    def bob_tells_ada_something(self, count: int) -> None:
        for _ in range(count):
            person = self.server.protocol.state.named("ada")
            if person is not None:
                self.happens(BOB, events.Tell("ada", f"{person.told + 1}", key="ada"))

    @rule(room=ROOMS)
    def ada_talks(self, room: str) -> None:
        self.client.say(f"PRIVMSG #{room} :text")

    @rule(text=st.sampled_from(["PONG", "PONG tcpchat", "PONG 30000"]))
    def ada_says_pong_out_of_the_blue(self, text: str) -> None:
        self.client.say(text)

    @rule(count=BYTES)
    def some_bytes_go_up(self, count: int) -> None:
        client = self.client
        data, client.up = client.up[:count], client.up[count:]
        if client.conn is not None and data:
            self.server.send(client.conn, data)

    @rule(count=BYTES)
    def some_bytes_come_down(self, count: int) -> None:
        conn = self.client.conn
        if conn is not None:
            data = bytes(self.server.output[conn][:count])
            del self.server.output[conn][:count]
            self.client.hears(data)

    @rule(count=st.integers(1, 8))
    def the_log_commits(self, count: int) -> None:
        for _ in range(min(count, len(self.server.proposed))):
            last = self.server.commit_next()
            if isinstance(last.event, events.Login) and last.conn == self.client.conn:
                self.client_is_known_to_have(last.conn, last.seq)

    def client_is_known_to_have(self, conn: int, until: int) -> None:
        """What the server knows when the session goes on that the client has."""
        log = self.server.log[:until]
        said = [each.event for each in log if isinstance(each.event, events.Seen)]
        last = said[-1] if said else events.Seen()
        self.client.known = {**last.rooms, "": last.told}
        person = self.server.protocol.state.named("ada")
        assert person is not None
        if person.seat == conn:  # it is another session
            self.client.known = {}
            self.client.shown = {}

    @rule(milliseconds=st.sampled_from([1_000, 31_000, 61_000]))
    def time_passes(self, milliseconds: int) -> None:
        self.server.wait(milliseconds)

    @rule(is_noticed=st.booleans())
    def the_connection_is_cut(self, *, is_noticed: bool) -> None:
        """What is on its way, up and down, is lost. The server may notice now, later or never."""
        client = self.client
        if client.conn is not None:
            self.dead.append(client.conn)
            client.conn, client.up = None, b""
            if is_noticed:
                self.the_server_notices()

    @rule()
    def the_server_notices(self) -> None:
        if self.dead:
            self.server.lose(self.dead.pop())

    @rule(room=ROOMS, count=st.integers(1, 3), is_read=st.booleans())
    def bob_talks_while_a_ping_is_on_its_way(self, room: str, count: int, *, is_read: bool) -> None:
        """What is said behind the ping is not seen, nor is anything if the ping itself is not."""
        self.bob_talks(room, count)
        self.time_passes(61_000)
        if is_read:
            self.some_bytes_come_down(10**6)
        else:
            self.ada_says_pong_out_of_the_blue("PONG tcpchat")
        self.bob_talks(room, count)
        self.some_bytes_go_up(10**6)
        self.the_log_commits(len(self.server.proposed))
        self.the_connection_is_cut(is_noticed=True)
        self.ada_connects()

    @rule()
    def ada_connects(self) -> None:
        if self.client.conn is None:
            self.count += 1
            conn = connection_number(1, self.boot, self.count)
            self.server.connect(conn)
            self.client.begin(conn)

    @rule(is_from_snapshot=st.booleans())
    def the_node_is_killed_and_starts_again(self, *, is_from_snapshot: bool) -> None:
        """What is not in the log is lost, and so are the connections."""
        server = self.server
        if is_from_snapshot:
            state = ChatState.restore(server.protocol.state.snapshot())
        else:
            state = ChatState(limits=LIMITS)
            for each in server.log:
                state.handle(each)
        self.boot += 1
        self.client.conn, self.client.up = None, b""
        self.dead.clear()
        self.server = self.started(state)
        self.server.log, self.server.now = server.log, server.now
        self.server.carry_out(lapses(state, 1, self.boot))
        self.the_log_commits(len(self.server.proposed))
        self.server.carry_out(self.server.protocol.recover(now=server.now))

    @rule()
    def everything_arrives(self) -> None:
        """The network is well for a while. Who is not in a room comes into it."""
        client = self.client
        for _ in range(12):
            if client.conn in self.server.closed and client.conn is not None:
                client.conn = None
            self.ada_connects()
            self.some_bytes_go_up(10**6)
            self.the_log_commits(len(self.server.proposed))
            self.some_bytes_come_down(10**6)
            assert client.conn is not None
            person = self.server.protocol.state.person(client.conn)
            if client.is_welcome and person is not None:
                for name in sorted({"lobby", "tea"} - set(person.rooms) - client.asked):
                    client.asked.add(name)
                    client.say(f"JOIN #{name}")
        assert client.conn is not None
        person = self.server.protocol.state.person(client.conn)
        assert person is not None
        assert person.account is not None
        for key, room in person.rooms.items():
            if room.seq > person.since[key]:
                assert client.shown.get(key) == room.seq, (key, client.shown, room.seq)
            client.shown.setdefault(key, room.seq)
        assert client.shown.setdefault("", 0) == person.told

    def teardown(self) -> None:
        self.everything_arrives()
