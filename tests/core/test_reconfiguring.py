"""ServerProtocol.configure: what holds afterwards, for who is there and for who comes."""

from __future__ import annotations

from tcpchat_core import (
    Action,
    ChatState,
    Entry,
    Propose,
    Send,
    ServerLimits,
    ServerProtocol,
    events,
    notices,
)
from tcpchat_core.dialects.plain import PlainText
from tcpchat_core.server.greeting import GREET_AFTER_MS
from tests.core.harness import HELLO, NO_FLOOD_LIMIT, MemoryServer, join

LOBBY = ("Lobby", "lobby")


def a_server(limits: ServerLimits = NO_FLOOD_LIMIT, password: str = "") -> MemoryServer:
    return MemoryServer(ServerProtocol(ChatState(), limits=limits, password=password))


def configure(
    server: MemoryServer,
    *,
    limits: ServerLimits | None = None,
    motd: list[str] | None = None,
    password: str | None = None,
    configuration: events.Configure | None = None,
) -> None:
    """Go on with other settings, now."""
    server.carry_out(
        server.protocol.configure(
            now=server.now,
            limits=limits,
            motd=motd,
            password=password,
            configuration=configuration,
        )
    )


def welcome(server: MemoryServer, conn: int, password: str = "") -> notices.Welcome:
    """What a program is told that comes now."""
    server.connect(conn, token=f"t{conn}")
    server.ask(conn, events.Hello(password=password))
    (told,) = server.told(conn)
    assert isinstance(told, notices.Welcome)
    return told


# ── For who comes ────────────────────────────────────────────────────────────────────────────────


def test_who_comes_is_told_other_lines_of_the_day_and_other_limits() -> None:
    server = a_server()
    before = welcome(server, 1)
    configure(
        server,
        motd=["tea\x1b[2J", "at four"],
        limits=ServerLimits(flood_burst=7, flood_rate=3, grace_ms=9_000),
        configuration=events.Configure({"rooms_per_person": 2}, ()),
    )
    after = welcome(server, 2)
    assert (before.motd, after.motd) == ((), ("tea[2J", "at four"))
    assert after.limits is not None
    assert (after.limits.flood_burst, after.limits.flood_rate) == (7, 3)
    assert (after.limits.grace_ms, after.limits.rooms_per_person) == (9_000, 2)
    assert server.told(1) == []


def test_what_is_not_given_stays_as_it_is() -> None:
    protocol = ServerProtocol(ChatState(), limits=NO_FLOOD_LIMIT, motd=["tea"], password="sesame")
    server = MemoryServer(protocol)
    before = welcome(server, 1, password="sesame")
    assert protocol.configure(now=server.now) == []
    after = welcome(server, 2, password="sesame")
    assert (before.motd, before.limits) == (after.motd, after.limits)
    assert protocol.limits == NO_FLOOD_LIMIT


def test_other_dialects_are_for_who_comes() -> None:
    server = a_server()
    welcome(server, 1)
    server.carry_out(server.protocol.configure(now=server.now, dialects=[PlainText()]))
    server.connect(2)
    server.send(2, HELLO)
    assert b"* Welcome" in server.read(2)
    server.ask(1, events.Ping())
    assert server.told(1) == [notices.Ponged()]


def test_another_observer_is_told_what_happens_from_then_on() -> None:
    server = a_server()
    seen: list[events.Event] = []

    def observe(entry: Entry, _actions: list[Action]) -> None:
        seen.append(entry.event)

    welcome(server, 1)
    server.carry_out(server.protocol.configure(now=server.now, observe=observe))
    server.ask(1, join("lobby"))
    assert [type(event) for event in seen] == [events.Join]


# ── The password ─────────────────────────────────────────────────────────────────────────────────


def test_another_password_is_asked_of_who_has_not_said_anything_yet() -> None:
    server = a_server()
    welcome(server, 1)
    server.connect(2)
    configure(server, password="sesame")
    server.ask(2, events.Hello())
    (told,) = server.told(2)
    assert isinstance(told, notices.Rejected)
    assert told.reason == "password-needed"
    server.ask(2, events.Hello(password="sesame"))
    assert isinstance(server.told(2)[0], notices.Welcome)
    server.ask(1, events.Ping())
    assert server.told(1) == [notices.Ponged()]


def test_the_old_password_is_wrong_for_who_was_asked_before() -> None:
    server = a_server(password="sesame")
    server.connect(1)
    server.wait(GREET_AFTER_MS)
    configure(server, password="mellon")
    server.send(1, b"sesame\n")
    assert b"wrong-password" in server.read(1)
    server.send(1, b"mellon\n")
    server.wait_until_heard(1)
    assert b"* Welcome" in server.read(1)


def test_who_was_asked_for_a_password_that_is_no_more_may_give_any_and_it_is_said_to_nobody() -> (
    None
):
    server = a_server(password="sesame")
    server.connect(1)
    server.wait(GREET_AFTER_MS)
    server.connect(2)
    server.ask(2, events.Hello())
    configure(server, password="")
    server.read(1)
    server.send(1, b"mellon\n")
    assert [b"* Welcome" in line for line in server.read(1).splitlines()] == [True]
    server.told(2)
    server.ask(2, events.Hello())
    assert isinstance(server.told(2)[0], notices.Welcome)
    assert [type(each.event) for each in server.log] == [events.Connect, events.Connect]


# ── For who is there ─────────────────────────────────────────────────────────────────────────────


def test_who_is_connected_may_talk_as_fast_as_those_who_come() -> None:
    server = a_server()
    server.connect(1)
    server.send(1, b"/join lobby\n" * 50)
    assert 1 not in server.paused
    configure(server, limits=ServerLimits(flood_burst=2, flood_rate=1))
    server.send(1, b"/join lobby\n" * 3)
    assert 1 in server.paused


def test_who_waits_because_of_its_rate_goes_on_at_the_new_one() -> None:
    server = a_server(ServerLimits(flood_burst=1, flood_rate=1))
    server.connect(1)
    server.wait(GREET_AFTER_MS)
    server.send(1, b"/nick ada\n/nick bob\n/nick cid\n")
    assert 1 in server.paused
    configure(server, limits=ServerLimits(flood_rate=0))
    assert 1 not in server.paused
    assert [type(each.event) for each in server.log[1:]] == [events.Nick] * 3


def test_who_owes_much_owes_no_more_than_the_new_limits_let_it_say_at_once() -> None:
    server = a_server(ServerLimits(flood_burst=100, flood_rate=1))
    server.connect(1)
    server.wait(60_000)
    server.send(1, b"/nick ada\n" * 100 + b"/nick bob\n")
    assert 1 in server.paused
    configure(server, limits=ServerLimits(flood_burst=1, flood_rate=10))
    began = server.now
    server.wait_until_heard(1)
    assert server.now - began == 100


def test_who_is_silent_is_asked_and_closed_by_the_new_times_and_once_each() -> None:
    server = a_server(ServerLimits(ping_after_ms=90_000, drop_after_ms=150_000))
    for conn in (1, 2):
        server.connect(conn)
        server.ask(conn, events.Hello())
        server.told(conn)
    server.lose(2)
    server.wait(2_000)
    limits = ServerLimits(ping_after_ms=5_000, drop_after_ms=8_000)
    for _ in range(3):
        configure(server, limits=ServerLimits())
        configure(server, limits=limits)
    server.wait(2_999)
    assert server.told(1) == []
    server.wait(1)
    assert server.told(1) == [notices.Pinged()]
    server.wait(3_000)
    assert server.closed == [1]
    assert server.protocol.get_timer() is None


def test_who_has_just_connected_is_greeted_when_it_would_have_been() -> None:
    server = a_server()
    server.connect(1)
    server.now += 100
    configure(server, limits=ServerLimits())
    server.wait(GREET_AFTER_MS - 101)
    assert server.read(1) == b""
    server.wait(1)
    assert b"* Welcome" in server.read(1)


def test_a_session_that_is_lost_from_then_on_waits_for_so_long() -> None:
    server = a_server(ServerLimits(flood_rate=0, grace_ms=60_000))
    for conn in (1, 2):
        welcome(server, conn)
    server.lose(1)
    configure(server, limits=ServerLimits(flood_rate=0, grace_ms=10_000))
    server.lose(2)
    server.wait(10_000)
    ended = [each.conn for each in server.log if isinstance(each.event, events.Expire)]
    assert ended == [2]
    server.wait(50_000)
    ended = [each.conn for each in server.log if isinstance(each.event, events.Expire)]
    assert ended == [2, 1]


def test_without_a_grace_nobody_who_comes_opens_a_session() -> None:
    server = a_server()
    assert welcome(server, 1).token == "t1"
    configure(server, limits=ServerLimits(flood_rate=0, grace_ms=0))
    assert welcome(server, 2).token == ""


# ── What the log has to know ─────────────────────────────────────────────────────────────────────


def test_what_the_owner_has_set_is_proposed_when_it_differs_from_what_was_wanted_last() -> None:
    one, two = events.Configure({}, (LOBBY,)), events.Configure({}, ())
    protocol = ServerProtocol(ChatState(), configuration=one)
    assert protocol.configure(now=0, configuration=one) == []
    assert protocol.configure(now=0, configuration=two) == [Propose(0, 0, (two,))]
    # The log may be slow: what was wanted last is on its way, and this has to come behind it.
    assert protocol.configure(now=0, configuration=one) == [Propose(0, 0, (one,))]


def test_who_is_in_more_rooms_than_one_may_be_in_by_now_stays_and_joins_no_more() -> None:
    server = a_server()
    welcome(server, 1)
    server.ask(1, join("a"), join("b"))
    configure(server, configuration=events.Configure({"rooms_per_person": 1}, ()))
    server.told(1)
    server.ask(1, join("c"))
    (told,) = server.told(1)
    assert isinstance(told, notices.Rejected)
    assert {room.name for room in server.protocol.state.rooms()} == {"a", "b"}


def test_nobody_who_is_there_is_told_anything() -> None:
    server = a_server()
    welcome(server, 1)
    effects = server.protocol.configure(
        now=0, limits=ServerLimits(), motd=["tea"], password="sesame", dialects=[PlainText()]
    )
    assert not [effect for effect in effects if isinstance(effect, Send)]
