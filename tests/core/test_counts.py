"""What a server counts for whoever watches it: it moves when the thing happens, and then only."""

from __future__ import annotations

from collections import Counter

from tcpchat_core import ChatState, Propose, ServerProtocol, StateLimits, events
from tcpchat_core.server.counts import Counts
from tests.core.harness import HELLO, NO_FLOOD_LIMIT, MemoryServer


def counted(counts: Counts) -> dict[str, object]:
    return {name: getattr(counts, name) for name in Counts.__slots__}


NOTHING = counted(Counts())


class Lobby(MemoryServer):
    """Ada and Bob, programs, and Eve, with nc, in a room."""

    def __init__(self, protocol: ServerProtocol | None = None) -> None:
        super().__init__(protocol)
        for conn in (1, 2):
            self.connect(conn, token=f"t{conn}")
            self.send(conn, HELLO)
            self.ask(conn, events.Nick(("ada", "bob")[conn - 1]), events.Join("lobby"))
        self.connect(3)
        self.send(3, b"/nick eve\n/join lobby\n")

    @property
    def counts(self) -> Counts:
        return self.protocol.counts


def test_coming_and_going_is_no_message() -> None:
    lobby = Lobby()
    lobby.lose(3)
    assert counted(lobby.counts) == NOTHING


def test_a_message_is_delivered_to_all_but_its_author() -> None:
    lobby = Lobby()
    lobby.ask(1, events.Say("lobby", "hello"))
    assert (lobby.counts.messages, lobby.counts.deliveries) == (1, 2)


def test_messages_in_a_row_count_one_by_one() -> None:
    lobby = Lobby()
    lobby.send(3, b"one\ntwo\nthree\n")
    assert (lobby.counts.messages, lobby.counts.deliveries) == (3, 6)


def test_a_message_of_another_nodes_person_is_delivered_here_and_counts_there() -> None:
    lobby = Lobby()
    elsewhere = 1 << 48
    said: tuple[events.Event, ...] = (
        events.Connect(),
        events.Join("lobby", "lobby"),
        events.Say("lobby", "hello", key="lobby"),
    )
    for event in said:
        lobby.carry_out([Propose(elsewhere, 0, (event,))])
    assert (lobby.counts.messages, lobby.counts.deliveries) == (0, 3)


def test_a_direct_message_is_delivered_once() -> None:
    lobby = Lobby()
    lobby.ask(1, events.Tell("bob", "psst", "1"))
    assert (lobby.counts.messages, lobby.counts.deliveries) == (1, 1)


def test_what_is_said_again_with_its_id_counts_once() -> None:
    lobby = Lobby()
    for _ in range(2):
        lobby.ask(1, events.Tell("bob", "psst", "1"), events.Say("lobby", "hello", "2"))
    assert (lobby.counts.messages, lobby.counts.deliveries) == (2, 3)


def test_refusals_count_by_their_reason_wherever_they_are_decided() -> None:
    lobby = Lobby()
    lobby.ask(1, events.Tell("nobody", "psst"), events.Say("tea", "hello"))
    lobby.send(1, b"{\n")
    lobby.send(3, b"/frobnicate\n/nick ada\n")
    assert lobby.counts.rejected == {
        "no-such-nick": 1,
        "not-in-room": 1,
        "bad-line": 1,
        "unknown-command": 1,
        "nick-in-use": 1,
    }
    assert lobby.counts.messages == 0


def test_a_session_that_goes_on_counts_and_so_does_a_gap_that_it_is_told() -> None:
    state = ChatState(limits=StateLimits(history_messages=1))
    lobby = Lobby(ServerProtocol(state, limits=NO_FLOOD_LIMIT))
    room = state.room("lobby")
    assert room is not None
    seen = {"lobby": room.seq}
    lobby.lose(2)
    lobby.ask(1, events.Say("lobby", "one"))
    lobby.connect(4, token="t4")
    lobby.ask(4, events.Hello(token="t2", seen=seen))
    assert (lobby.counts.resumes, lobby.counts.gaps) == (1, 0)
    lobby.lose(4)
    for text in ("two", "three", "four"):
        lobby.ask(1, events.Say("lobby", text))
    lobby.connect(5, token="t5")
    lobby.ask(5, events.Hello(token="t2", seen=seen))
    assert (lobby.counts.resumes, lobby.counts.gaps) == (2, 1)


def test_a_state_tells_how_many_people_are_here_and_away_and_how_many_rooms_there_are() -> None:
    lobby = Lobby()
    lobby.ask(1, events.Join("tea"))
    assert lobby.protocol.state.counted == (3, 0, 2)
    lobby.lose(2)
    lobby.lose(3)
    assert lobby.protocol.state.counted == (1, 1, 2)


def test_connections_are_told_apart_by_their_dialects() -> None:
    lobby = Lobby()
    lobby.connect(4)
    assert lobby.protocol.dialects() == Counter({"jsonl": 2, "plain": 1, "": 1})
    lobby.send(4, b"NICK finn\r\nUSER finn 0 * :Finn\r\n")
    assert lobby.protocol.dialects() == Counter({"jsonl": 2, "plain": 1, "irc": 1})


def test_who_was_silent_and_then_speaks_another_dialect_counts_as_that() -> None:
    server = MemoryServer()
    server.connect(1)
    server.wait_until_nothing_is_due()
    assert server.protocol.dialects() == Counter({"plain": 1})
    server.send(1, b"NICK finn\r\nUSER finn 0 * :Finn\r\n")
    assert server.protocol.dialects() == Counter({"irc": 1})
