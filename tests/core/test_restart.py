"""A node that starts again: what an earlier boot left behind is over, or waits to be resumed."""

from __future__ import annotations

from pathlib import Path

from tcpchat_core import ChatState, Propose, ServerLimits, ServerProtocol, events, lapses, notices
from tcpchat_core.events import boot_and_count, connection_number, node_of
from tcpchat_core.server.protocol import LAPSE_AT_ONCE
from tests.core.harness import HELLO, MemoryServer, entry, join, say, session
from tests.core.test_server import resume

LIMITS = ServerLimits(flood_rate=0, grace_ms=60_000)


def conn(count: int, *, node: int = 3, boot: int = 1) -> int:
    """The number of a connection."""
    return connection_number(node, boot, count)


def test_a_number_of_a_connection_says_where_and_when_it_was_made() -> None:
    assert connection_number(1, 2, 3) == (1 << 48) + (2 << 32) + 3
    assert boot_and_count(connection_number(65_535, 7, 2**32 - 1)) == (7, 2**32 - 1)
    assert node_of(connection_number(65_535, 7, 2**32 - 1)) == 65_535


def before_the_restart() -> ChatState:
    """Ada has a session, Bob has none, and Cleo is on another node; all are in the lobby."""
    state = ChatState()
    people = ((conn(1), "ada"), (conn(2), ""), (conn(1, node=4), ""))
    for who, token in people:
        for event in (events.Connect(session(token) if token else ""), join("lobby")):
            state.handle(entry(state.seq + 1, who, event))
    return state


def restarted(state: ChatState) -> MemoryServer:
    """The node's second boot, which has recovered."""
    server = MemoryServer(ServerProtocol(ChatState.restore(state.snapshot()), limits=LIMITS))
    server.log = [entry(seq + 1, 0, events.Quit()) for seq in range(state.seq)]
    server.carry_out(server.protocol.recover(now=server.now))
    server.carry_out(lapses(server.protocol.state, 3, 2))
    return server


def test_after_a_restart_who_had_a_session_is_away_and_others_are_gone() -> None:
    server = restarted(before_the_restart())
    room = server.protocol.state.room("lobby")
    assert room is not None
    assert room.nicks() == ("guest-1", "guest-3")
    assert server.protocol.state.person(conn(1, node=4)) is not None
    assert server.protocol.state.away(session("ada")) is not None


def test_a_session_of_an_earlier_boot_goes_on_and_has_missed_nothing() -> None:
    state = before_the_restart()
    server = restarted(state)
    late = conn(1, boot=2)
    heard = resume(server, late, "ada", "fresh")
    assert isinstance(heard[0], notices.Resumed)
    server.wait(LIMITS.grace_ms)
    assert not any(isinstance(each.event, events.Expire) for each in server.log)


def test_a_session_of_an_earlier_boot_expires_after_a_grace_from_the_restart_on() -> None:
    server = restarted(before_the_restart())
    server.wait(LIMITS.grace_ms - 1)
    assert server.protocol.state.away(session("ada")) is not None
    server.wait(1)
    assert server.protocol.state.away(session("ada")) is None
    assert server.log[-1].event == events.Expire(session("ada"), "the server restarted")


def test_who_has_expired_by_another_nodes_clock_does_not_expire_again() -> None:
    server = restarted(before_the_restart())
    server.carry_out([Propose(conn(1), 0, (events.Expire(session("ada"), "over"),))])
    end = len(server.log)
    server.wait(LIMITS.grace_ms)
    assert len(server.log) == end


def test_who_was_away_before_a_restart_has_a_grace_too() -> None:
    state = before_the_restart()
    state.handle(entry(state.seq + 1, conn(1), events.Disconnect("cable pulled")))
    server = restarted(state)
    server.wait(LIMITS.grace_ms)
    assert server.log[-1].event == events.Expire(session("ada"), "cable pulled")


def test_many_lapse_in_groups_and_nobody_is_left() -> None:
    state = ChatState()
    for count in range(1, 2 * LAPSE_AT_ONCE + 2):
        state.handle(entry(count, conn(count), events.Connect()))
    proposed = lapses(state, 3, 2)
    assert len(proposed) == 3
    for seq, propose in enumerate(proposed, state.seq + 1):
        before = state.people
        (committed,) = propose.entries(seq, 0)
        state.handle(committed)
        assert before - state.people <= LAPSE_AT_ONCE
    assert state.people == 0


def test_who_is_lost_again_before_its_session_is_resumed_is_told_nothing() -> None:
    server = restarted(before_the_restart())
    assert server.protocol.state.epoch == "0"
    server.protocol.state.handle(
        entry(server.protocol.state.seq + 1, conn(1, node=4), say("lobby", "missed"))
    )
    server.log.append(entry(len(server.log) + 1, conn(1, node=4), events.Quit()))
    late = conn(1, boot=2)
    server.delayed = True
    server.connect(late, token="fresh")
    server.ask(late, events.Hello("ada", {"lobby": 0}))
    server.lose(late)
    server.lose(late)
    assert [type(each.events[0]) for each in server.proposed] == [events.Resume, events.Disconnect]
    server.commit_next()
    server.commit_next()
    assert server.read(late) == b""
    assert server.closed == []


def test_the_first_boot_has_nothing_to_lapse() -> None:
    assert lapses(ChatState(), 3, 1) == []


def test_people_of_another_node_that_lapses_are_given_a_grace_here() -> None:
    server = MemoryServer(ServerProtocol(ChatState(), limits=LIMITS))
    server.connect(1)
    server.send(1, HELLO)
    server.ask(1, join("lobby"))
    server.read(1)
    elsewhere = conn(1, node=4)
    seq = len(server.log)
    for event in (events.Connect(session("eve")), join("lobby"), events.Lapse(4, 1, 1, "it died")):
        seq += 1
        who = 0 if isinstance(event, events.Lapse) else elsewhere
        server.log.append(entry(seq, who, event))
        server.carry_out(server.protocol.commit(server.log[-1:], now=server.now))
    assert [type(each) for each in server.told(1)] == [notices.Joined]
    server.wait(LIMITS.grace_ms)
    assert server.told(1)[-1] == notices.Gone("guest-2", "it died")


# A snapshot of a version without accounts and moderation. ada is in lobby and tea, bob in lobby.
BEFORE = Path(__file__).with_name("before_moderation.json").read_bytes().rstrip()


def test_a_snapshot_of_before_there_were_accounts_is_the_same_and_gone_on_with() -> None:
    state = ChatState.restore(BEFORE)
    assert state.snapshot() == BEFORE
    server = restarted(state)
    for number, (typed, token) in enumerate(
        (("ada", "fERD832aZt_OofsnzhuT5w"), ("bob", "Foj3H8oKClcXNIA56zVHqA"))
    ):
        late = conn(number, node=1, boot=2)
        server.connect(late, token=f"fresh {number}")
        server.ask(late, events.Hello(token))
        (resumed, *missed) = server.told(late)
        assert isinstance(resumed, notices.Resumed)
        assert resumed.nick == typed
        texts = [each.text for each in missed if isinstance(each, notices.Said | notices.Told)]
        told = ["psst", "good morning"] if typed == "ada" else []
        assert texts == [*told, "good morning, ada"]
    ada, bob = conn(0, node=1, boot=2), conn(1, node=1, boot=2)
    server.ask(ada, events.Say("lobby", "we talk on"))
    said = server.told(bob)[-1]
    assert isinstance(said, notices.Said)
    assert (said.text, said.seq) == ("we talk on", 4)
    # Nobody moderates what was made then; what is made now has all that there is now.
    server.ask(ada, events.Restrict("lobby", "bob", "mute"), events.Join("den"))
    server.ask(ada, events.RoomMode("den", private=True))
    *_, refused, entered, mode = server.told(ada)
    assert isinstance(refused, notices.Rejected)
    assert refused.reason == "no-right"
    assert isinstance(entered, notices.Entered)
    assert entered.moderators == ("ada",)
    assert isinstance(mode, notices.ModeSet)
    assert mode.private
