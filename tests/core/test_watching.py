"""Who watches a nick is told when it comes to be somebody's, or nobody's; and nothing more."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tcpchat_core import ChatState, Propose, ServerProtocol, StateLimits, events
from tcpchat_core.events import MAX_WATCHED
from tcpchat_core.names import nick_key
from tcpchat_core.notices import Presence
from tests.core.harness import HELLO, NO_FLOOD_LIMIT, MemoryServer
from tests.core.irc_server import IrcServer
from tests.core.test_accounts import refusals, served
from tests.core.test_whois import people


def presence(server: MemoryServer, conn: int, *asked: events.Watch) -> list[Presence]:
    """What somebody is told of who is here, when it asks."""
    server.ask(conn, *asked)
    return [each for each in server.told(conn) if isinstance(each, Presence)]


# ── All of it ────────────────────────────────────────────────────────────────────────────────

WHO = st.integers(3, 6)
NICKS = st.sampled_from(("bob", "BOB", "eve", "ada", "дана", "guest-1", "no one"))
WHAT = st.sampled_from(("start", "start", "stop", "look"))

STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("watch"), WHO, st.lists(NICKS, max_size=3).map(tuple), WHAT),
        st.tuples(st.just("watch"), WHO, st.lists(NICKS, max_size=3).map(tuple), WHAT),
        st.tuples(st.just("nick"), WHO, NICKS),
        st.tuples(st.just("nick"), WHO, NICKS),
        st.tuples(st.just("claim"), WHO),
        st.tuples(st.just("quit"), WHO),
        st.tuples(st.just("lose"), WHO),
        st.tuples(st.just("resume"), WHO),
        st.tuples(st.just("wait")),
        st.tuples(st.just("withdraw")),
    ),
    max_size=40,
)


@given(STEPS)
def test_who_watches_knows_at_any_time_who_is_here(steps: list[tuple]) -> None:  # type: ignore[type-arg] # of a strategy
    """Against a list that each watcher keeps by itself, from nothing but what it is told."""
    server = people("bob", "eve", "fay", "hal")
    conns = {who: who for who in range(3, 7)}
    believed: dict[int, dict[str, bool]] = {conn: {} for conn in conns.values()}
    fresh = 7
    for step in steps:
        answered: dict[int, tuple[str, tuple[str, ...]]] = {}
        match step:
            case ("watch", who, nicks, what):
                server.ask(conns[who], events.Watch(nicks, what))
                answered[conns[who]] = (what, nicks)
            case ("nick", who, nick):
                server.ask(conns[who], events.Nick(nick))
            case ("claim", who):
                server.ask(conns[who], events.Claim("adacode"))
            case ("quit", who):
                server.ask(conns[who], events.Quit())
            case ("lose", who):
                server.lose(conns[who])
            case ("resume", who):
                server.connect(fresh, token=f"t{fresh}")
                believed[fresh] = {}
                server.ask(fresh, events.Hello(f"t{conns[who]}"))
                conns[who], fresh = fresh, fresh + 1
            case ("withdraw",):
                server.carry_out([Propose(0, 0, (events.Withdraw("ada"),))])
            case _:
                server.wait(60_001)
        named = server.protocol.state.named
        for conn, known in believed.items():
            told = [each for each in server.told(conn) if isinstance(each, Presence)]
            if not any(conn == each for each in conns.values()):
                continue  # what it is told is nobody's any more
            for each in told:
                is_answer = not each.changed
                for nicks, is_here in ((each.here, True), (each.gone, False)):
                    for nick in nicks:
                        if not is_answer:
                            assert known[nick_key(nick)] is not is_here, "told what is not new"
                            known[nick_key(nick)] = is_here
                        elif answered[conn][0] == "start" and nick_key(nick):
                            known[nick_key(nick)] = is_here
            match answered.get(conn):
                case ("stop", nicks) if told:
                    for key in [nick_key(nick) for nick in nicks] if nicks else [*known]:
                        known.pop(key, None)
                case ("look" | "start", nicks) if told and nicks:
                    [answer] = told
                    called = {nick_key(nick) or nick for nick in nicks}
                    assert called == {nick_key(n) or n for n in (*answer.here, *answer.gone)}
                    assert all(named(nick_key(nick)) for nick in answer.here)
                    assert not any(named(nick_key(nick)) for nick in answer.gone)
            if server.protocol.state.person(conn) is not None:
                assert known == {key: named(key) is not None for key in known}


# ── One by one ───────────────────────────────────────────────────────────────────────────────


def test_one_is_told_who_is_here_as_they_write_themselves_and_who_is_not() -> None:
    server = people("Bob", "eve")
    asked = events.Watch(("bob", "BOB", "zed", "a b"))
    assert presence(server, 4, asked) == [Presence(("Bob",), ("zed", "a b"))]
    assert presence(server, 4, events.Watch()) == [Presence(("Bob",), ("zed",))]


def test_to_look_is_to_be_told_nothing_later() -> None:
    server = people("bob", "eve")
    assert presence(server, 4, events.Watch(("bob",), "look")) == [Presence(("bob",))]
    server.ask(3, events.Quit())
    assert presence(server, 4) == []


def test_who_watches_no_more_is_told_no_more() -> None:
    server = people("bob", "eve", "fay")
    presence(server, 4, events.Watch(("bob", "fay")))
    assert presence(server, 4, events.Watch(("BOB", "zed"), "stop")) == [Presence()]
    server.ask(3, events.Nick("zed"))
    server.ask(5, events.Quit())
    assert presence(server, 4) == [Presence((), ("fay",), changed=True)]
    presence(server, 4, events.Watch(what="stop"))
    assert presence(server, 4, events.Watch()) == [Presence()]


def test_a_nick_that_is_written_otherwise_is_no_news_and_one_that_another_takes_is() -> None:
    server = people("bob", "eve")
    presence(server, 4, events.Watch(("bob", "fay")))
    server.ask(3, events.Nick("BOB"))
    assert presence(server, 4) == []
    server.ask(3, events.Nick("fay"))
    gone, here = presence(server, 4)
    assert (gone, here) == (
        Presence((), ("BOB",), changed=True),
        Presence(("fay",), changed=True),
    )


def test_an_account_takes_its_nick_from_a_guest_unseen_and_goes_with_its_last_device() -> None:
    server = served("ada")
    server.send(1, b"/nick bob\n")
    presence(server, 2, events.Watch(("ada",)))
    for conn in (3, 4):
        server.connect(conn, token=f"t{conn}")
    server.ask(3, events.Hello(), events.Claim("adacode", device="a" * 64))
    assert presence(server, 2) == [Presence(("ada",), changed=True)]
    server.ask(4, events.Hello(device="a" * 64))
    server.ask(3, events.Quit())
    assert presence(server, 2) == []
    server.ask(4, events.Quit())
    assert presence(server, 2) == [Presence((), ("ada",), changed=True)]


def test_who_has_lost_its_connection_is_here_until_it_is_known_not_to_come_back() -> None:
    server = people("bob", "eve")
    presence(server, 4, events.Watch(("bob",)))
    server.lose(3)
    assert presence(server, 4, events.Watch()) == [Presence(("bob",))]
    server.wait(60_001)
    assert presence(server, 4) == [Presence((), ("bob",), changed=True)]


def test_so_many_are_watched_and_no_more_and_what_is_refused_is_not_done() -> None:
    server = people("bob", "eve")
    nicks = tuple(f"n{each}" for each in range(MAX_WATCHED))
    presence(server, 4, events.Watch(nicks[1:]))
    for asked in (("bob", "zed"), (*nicks, "bob")):
        server.ask(4, events.Watch(asked))
        assert refusals(server.told(4)) == ["too-many"]
    server.ask(3, events.Quit())
    assert presence(server, 4) == []
    assert presence(server, 4, events.Watch(nicks[:2])) == [Presence((), nicks[:2])]


def test_who_may_not_look_at_who_is_here_is_told_nothing_from_then_on() -> None:
    server = people("bob", "eve")
    presence(server, 4, events.Watch(("bob",)))
    server.carry_out([Propose(0, 0, (events.Configure({"guests": 0}),))])
    server.ask(3, events.Quit())
    assert presence(server, 4) == []
    server.ask(4, events.Watch(("bob",)))
    assert refusals(server.told(4)) == ["no-right"]


def test_who_is_on_its_way_out_is_told_nothing() -> None:
    server = people("bob", "eve")
    presence(server, 4, events.Watch(("bob",)))
    server.delayed = True
    server.ask(3, events.Quit())
    server.lose(4)
    server.commit_all()
    assert server.read(4) == b""


def test_what_is_watched_is_no_entry_of_the_log_and_is_forgotten_with_the_connection() -> None:
    server = people("bob", "eve")
    entries = len(server.log)
    presence(server, 4, events.Watch(("bob",)))
    assert len(server.log) == entries
    server.lose(4)
    server.connect(5, token="t5")
    server.ask(5, events.Hello("t4"))
    assert presence(server, 5, events.Watch()) == [Presence()]


def test_an_answer_to_who_watches_knows_of_what_was_asked_before_it() -> None:
    server = people("bob", "eve")
    server.told(4)
    server.delayed = True
    server.ask(4, events.Nick("fay"), events.Watch(("fay",)))
    assert server.told(4) == []
    server.commit_all()
    assert Presence(("fay",)) in server.told(4)


# ── IRC ──────────────────────────────────────────────────────────────────────────────────────


def both() -> IrcServer:
    server = IrcServer()
    server.register(1, "ada")
    server.register(2, "bob")
    return server


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        (["MONITOR + bob,zed"], ["730 ada :bob", "731 ada :zed"]),
        (["MONITOR + a|b"], ["731 ada :a|b"]),
        (["MONITOR S"], ["730 ada :bob", "731 ada :eve"]),
        (["MONITOR L"], ["732 ada :bob,eve", "733 ada :End of MONITOR list"]),
        (["monitor l"], ["732 ada :bob,eve", "733 ada :End of MONITOR list"]),
        (["MONITOR C", "MONITOR L"], ["733 ada :End of MONITOR list"]),
        (["MONITOR - BOB", "MONITOR L"], ["732 ada :eve", "733 ada :End of MONITOR list"]),
        (["MONITOR +"], ["461 ada MONITOR :say + or - and nicknames, or C, L or S"]),
        (["MONITOR - ,"], ["461 ada MONITOR :say + or - and nicknames, or C, L or S"]),
        (["MONITOR x bob"], ["461 ada MONITOR :say + or - and nicknames, or C, L or S"]),
        (["ISON bob :zed Ada"], ["303 ada :bob ada"]),
    ],
)
def test_monitor_and_ison_are_answered_by_their_numerics(lines: list[str], told: list[str]) -> None:
    server = both()
    server.say(1, "MONITOR + bob,eve")
    assert server.say(1, *lines) == [f":tcpchat {each}" for each in told]


def test_who_is_watched_is_told_to_all_who_watch_in_the_same_bytes() -> None:
    server = both()
    server.register(3, "fay")
    for conn in (1, 3):
        server.say(conn, "MONITOR + bob,eve")
    server.say(2, "NICK eve")
    for conn in (1, 3):
        assert server.lines(conn) == [":tcpchat 731 * :bob", ":tcpchat 730 * :eve"]
    server.say(1, "MONITOR C")
    server.say(2, "NICK bob")
    assert server.lines(1) == []
    assert server.lines(3) == [":tcpchat 731 * :eve", ":tcpchat 730 * :bob"]


def test_a_list_that_is_full_says_how_long_it_may_be() -> None:
    server = both()
    for each in range(4):
        server.say(1, f"MONITOR + {','.join(f'n{each}-{n}' for n in range(25))}")
    [full] = server.say(1, "MONITOR + bob,zed")
    assert full == ":tcpchat 734 ada 100 bob,zed :one can watch 100 nicknames at a time"
    rows = server.say(1, "MONITOR L")
    listed = [nick for row in rows[:-1] for nick in row.rpartition(":")[2].split(",")]
    assert len(listed) == MAX_WATCHED
    assert all(len(row) <= 510 for row in rows)


def test_a_guest_where_only_accounts_talk_learns_nothing_by_ison_or_monitor() -> None:
    state = ChatState(limits=StateLimits(guests=0))
    server = IrcServer(ServerProtocol(state, limits=NO_FLOOD_LIMIT))
    server.connect(2)
    server.send(2, HELLO)
    server.register(1, "ada")
    assert server.say(1, "ISON guest-1") == [":tcpchat 303 guest-2 :"]
    [refused] = server.say(1, "MONITOR + guest-1")
    assert refused.startswith(":tcpchat 481 guest-2 ")
