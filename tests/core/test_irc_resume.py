"""An IRC client that signs in, is cut off, and goes on where it was when it comes again."""

from __future__ import annotations

import pytest
from hypothesis import settings

from tcpchat_core import ChatState, ServerLimits, ServerProtocol, events, notices
from tcpchat_core.server.liveness import ACKNOWLEDGED_WITHIN_MS
from tests.core.harness import session
from tests.core.irc_server import numerics
from tests.core.irc_session_machine import IrcSessionMachine
from tests.core.test_irc_sasl import PASSWORD, TOKEN, WELCOME, Accounts, encoded

TestWhatAClientIsShownOverAllOfItsConnections = IrcSessionMachine.TestCase
TestWhatAClientIsShownOverAllOfItsConnections.settings = settings(max_examples=60)

JOIN = ["JOIN", "353", "366"]
EVE = 10
TAGS = "message-tags server-time"


class Signed(Accounts):
    """Clients that sign in to ada's account, while eve is in the hall by JSON."""

    def __init__(self, limits: ServerLimits | None = None) -> None:
        super().__init__(
            limits=limits or ServerLimits(flood_rate=0, ping_after_ms=10**9, drop_after_ms=10**10)
        )

    def comes(
        self,
        conn: int,
        *capabilities: str,
        who: str = "ada",
        secret: str = TOKEN,
        origin: str = "",
    ) -> list[str]:
        """A client comes and signs in. Returns what it is told from its welcome on."""
        self.output[conn] = bytearray()
        self.carry_out(self.protocol.connection_made(conn, now=self.now, origin=origin))
        asked = " ".join(["sasl", *capabilities])
        told = self.say(
            conn,
            f"CAP REQ :{asked}",
            "AUTHENTICATE PLAIN",
            f"AUTHENTICATE {encoded(f'{chr(0)}{who}{chr(0)}{secret}')}",
            "NICK x",
            "USER x 0 * :x",
            "CAP END",
        )
        if self.derives:
            self.derive()
        told += self.lines(conn)
        return told[numerics(told).index("001") :] if "001" in numerics(told) else told

    def missed(
        self, conn: int, *capabilities: str, who: str = "ada", secret: str = TOKEN
    ) -> list[str]:
        """The same, without the welcome."""
        told = self.comes(conn, *capabilities, who=who, secret=secret)
        assert numerics(told)[: len(WELCOME)] == WELCOME
        return told[len(WELCOME) :]

    def eve_says(self, *texts: str) -> None:
        """Eve says something in the hall."""
        self.ask(EVE, *[events.Say("hall", text) for text in texts])

    def pings(self, conn: int) -> list[str]:
        """Time passes until a client is asked what it has seen. Returns what it is asked."""
        self.lines(conn)
        self.wait(2 * ACKNOWLEDGED_WITHIN_MS)
        return self.lines(conn)

    def has_seen(self, conn: int) -> None:
        """A client says that it has seen all that it was told."""
        [ping] = self.pings(conn)
        self.say(conn, ping.replace("PING", "PONG"))


def texts(lines: list[str]) -> list[str]:
    """What is said in some lines."""
    return [line.rpartition(" :")[2] for line in lines if " PRIVMSG " in line]


# ── What it is sent ──────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("secret", [TOKEN, PASSWORD])
@pytest.mark.parametrize("who", ["ada", "ada@desk"])
def test_a_client_that_comes_again_is_in_its_rooms_and_sent_what_it_missed(
    secret: str, who: str
) -> None:
    memory = Signed()
    memory.comes(1, who=who, secret=secret)
    memory.say(1, "JOIN #hall")
    memory.eve_says("one")
    memory.told(EVE)
    memory.lose(1)
    memory.eve_says("two")
    memory.ask(EVE, events.Tell("ada", "psst"))
    memory.ask(EVE, events.Topic("hall", "tea"))
    told = memory.missed(2, who=who, secret=secret)
    assert numerics(told) == ["JOIN", "332", "333", "353", "366", *["PRIVMSG"] * 3]
    assert told[0] == ":ada!~u@tcpchat JOIN #hall"
    assert told[5:] == [
        ":eve!~u@tcpchat PRIVMSG ada :[1970-01-01 00:16] psst",
        ":eve!~u@tcpchat PRIVMSG #hall :[1970-01-01 00:16] one",
        ":eve!~u@tcpchat PRIVMSG #hall :[1970-01-01 00:16] two",
    ]
    memory.eve_says("three")
    assert texts(memory.lines(2)) == ["three"]
    kinds = {type(each) for each in memory.told(EVE)}
    assert kinds == {notices.Sent, notices.TopicSet}, "nobody else is told of the cut"


def test_what_was_seen_when_a_ping_was_answered_is_not_sent_again() -> None:
    memory = Signed()
    memory.comes(1)
    memory.say(1, "JOIN #hall")
    memory.ask(EVE, events.Tell("ada", "psst"))
    memory.eve_says("one")
    memory.has_seen(1)
    memory.eve_says("two")
    memory.lose(1)
    assert texts(memory.missed(2)) == ["[1970-01-01 00:16] two"]


@pytest.mark.parametrize("pong", ["PONG", "PONG tcpchat", "PONG :60001"])
def test_a_pong_that_answers_no_ping_acknowledges_nothing(pong: str) -> None:
    memory = Signed()
    memory.comes(1, TAGS)
    memory.say(1, "JOIN #hall", pong)
    memory.eve_says("one")
    assert len(memory.pings(1)) == 1
    memory.say(1, pong)
    memory.lose(1)
    assert texts(memory.missed(2, TAGS)) == ["one"]


def test_a_client_that_talks_is_asked_too_but_only_where_there_is_something_new() -> None:
    memory = Signed()
    memory.comes(1)
    memory.say(1, "JOIN #hall")
    assert memory.pings(1) == []
    memory.eve_says("one")
    memory.say(1, "PRIVMSG #hall :two")
    before = len(memory.log)
    [ping] = memory.pings(1)
    memory.say(1, f"PONG tcpchat {ping.removeprefix('PING ')}")
    assert [type(each.event) for each in memory.log[before:]] == [events.Seen]
    assert memory.pings(1) == []
    memory.eve_says("three")
    assert len(memory.pings(1)) == 1
    assert memory.pings(1) == [], "it is asked once, and has not answered"


def test_a_client_that_answers_nothing_is_gone_as_ever() -> None:
    memory = Signed(ServerLimits(flood_rate=0, ping_after_ms=90_000, drop_after_ms=150_000))
    memory.comes(1)
    memory.say(1, "JOIN #hall")
    memory.eve_says("one")
    told: list[str] = []
    for _ in range(30):
        memory.wait(10_000)
        told += memory.lines(1)
    assert [line for line in told if line.startswith(("PING :t", "ERROR"))] == [
        "PING :tcpchat",
        "ERROR :ping timeout",
    ]


def test_what_was_missed_is_a_batch_for_each_room_and_has_the_ids_that_it_would_have_had() -> None:
    memory = Signed()
    memory.comes(1, TAGS, "batch")
    memory.say(1, "JOIN #hall,#tea")
    memory.ask(EVE, events.Join("tea"))
    memory.lines(1)
    memory.eve_says("one", "two")
    memory.ask(EVE, events.Say("tea", "three"))
    live = [line for line in memory.lines(1) if "PRIVMSG" in line]
    memory.lose(1)
    told = memory.missed(2, TAGS, "batch")
    missed = told[2 * len(JOIN) :]
    assert missed[0] == ":tcpchat BATCH +missed chathistory #hall"
    assert missed[3:5] == [
        ":tcpchat BATCH -missed",
        ":tcpchat BATCH +missed chathistory #tea",
    ]
    assert missed[6] == ":tcpchat BATCH -missed"
    inside = [line for line in missed if "PRIVMSG" in line]
    assert [line.replace("@batch=missed;", "@") for line in inside] == live


def test_who_asks_for_what_was_said_by_itself_is_sent_only_what_was_said_to_it_alone() -> None:
    memory = Signed()
    wanted = (TAGS, "batch", "draft/chathistory", "standard-replies")
    memory.comes(1, *wanted)
    memory.say(1, "JOIN #hall")
    memory.lose(1)
    memory.eve_says(*map(str, range(300)))
    memory.ask(EVE, *[events.Tell("ada", f"psst {each}") for each in range(101)])
    told = memory.missed(2, *wanted)
    assert numerics(told) == [*JOIN, "NOTE", *["PRIVMSG"] * 100]
    assert told[3] == ":tcpchat NOTE * GAP :some of what was said to you alone is lost"
    assert texts(told) == [f"psst {each}" for each in range(1, 101)]


@pytest.mark.parametrize("capability", ["standard-replies", "batch"])
def test_a_gap_is_told(capability: str) -> None:
    memory = Signed()
    memory.comes(1, TAGS, capability)
    memory.say(1, "JOIN #hall")
    memory.lose(1)
    memory.eve_says(*map(str, range(300)))
    told = memory.missed(2, TAGS, capability)
    text = ":some of what was said here is lost"
    gap = f"NOTE * GAP #hall {text}" if capability != "batch" else f"NOTICE #hall {text}"
    assert told[3] == f":tcpchat {gap}"
    assert texts(told) == [str(each) for each in range(100, 300)]


def test_a_client_that_was_away_is_so_when_it_comes_again() -> None:
    memory = Signed()
    memory.comes(1)
    memory.say(1, "JOIN #hall", "AWAY :tea")
    memory.lose(1)
    assert numerics(memory.missed(2)) == [*JOIN, "306"]


def test_a_client_is_told_again_how_far_it_has_read_and_that_a_room_is_unlisted() -> None:
    memory = Signed()
    memory.comes(1, "draft/read-marker")
    mark = "MARKREAD #den timestamp=1970-01-01T00:00:01.000Z"
    memory.say(1, "JOIN #den", "MODE #den +s", mark)
    memory.lose(1)
    told = memory.missed(2, "draft/read-marker")
    assert numerics(told) == ["JOIN", "MARKREAD", "353", "366"]
    assert told[1:3] == [f":tcpchat {mark}", ":tcpchat 353 ada @ #den :@ada"]


def test_a_client_that_was_put_out_of_a_room_meanwhile_is_told_so_until_it_has_seen_that() -> None:
    memory = Signed()
    memory.comes(1)
    memory.say(1, "JOIN #hall")
    memory.lose(1)
    memory.ask(EVE, events.Kick("hall", "ada", "enough"))
    for conn in (2, 3):
        [told] = memory.missed(conn)
        assert told == ":tcpchat NOTICE ada :You were put out of hall by eve (enough)"
        memory.lose(conn)
    memory.missed(4)
    memory.has_seen(4)
    memory.lose(4)
    assert memory.missed(5) == []
    memory.say(5, "JOIN #hall")
    memory.eve_says("one")
    memory.ask(EVE, events.Kick("hall", "ada", "again"))
    memory.has_seen(5)
    memory.lose(5)
    assert memory.missed(6) == []


# ── Which session it is ──────────────────────────────────────────────────────────────────────


def test_who_quits_is_gone_at_once_and_begins_anew() -> None:
    memory = Signed()
    memory.comes(1)
    memory.say(1, "JOIN #hall")
    memory.told(EVE)
    memory.say(1, "QUIT :bye")
    assert memory.told(EVE) == [notices.Gone("ada", "bye")]
    assert memory.missed(2) == []


def test_who_does_not_come_again_in_time_is_gone_and_begins_anew() -> None:
    memory = Signed()
    memory.comes(1)
    memory.say(1, "JOIN #hall")
    memory.told(EVE)
    memory.lose(1)
    memory.wait(memory.protocol.limits.grace_ms)
    assert memory.told(EVE) == [notices.Gone("ada", "connection lost")]
    assert memory.missed(2) == []
    memory.lose(2)
    memory.wait(memory.protocol.limits.grace_ms - 1)
    memory.missed(3)
    memory.wait(1)
    assert memory.account_of(3) == "ada", "the grace was of the connection before"


def test_a_client_takes_over_from_an_older_connection_that_may_be_dead() -> None:
    memory = Signed()
    memory.comes(1)
    memory.say(1, "JOIN #hall")
    memory.eve_says("one")
    memory.lines(1)
    told = memory.missed(2)
    assert numerics(told) == [*JOIN, "PRIVMSG"]
    assert memory.lines(1) == ["ERROR :this session was resumed on another connection"]
    assert memory.closed == [9, 1]


def test_each_word_and_each_secret_has_a_session_of_its_own() -> None:
    memory = Signed()
    clients = [("ada", TOKEN), ("ada@desk", TOKEN), ("ada", PASSWORD), ("ada@desk", PASSWORD)]
    for conn, (who, secret) in enumerate(clients, 1):
        memory.comes(conn, TAGS, who=who, secret=secret)
    memory.say(1, "JOIN #hall")
    for conn in range(1, 5):
        memory.lose(conn)
        memory.eve_says(f"without {conn}")
    for conn, (who, secret) in enumerate(clients, 1):
        told = memory.missed(10 + conn, TAGS, who=who, secret=secret)
        assert texts(told) == [f"without {each}" for each in range(1, 5)]
    assert memory.closed == [9]


def test_a_session_cannot_be_had_by_a_token() -> None:
    memory = Signed()
    memory.comes(1)
    memory.say(1, "JOIN #hall")
    person = memory.protocol.state.person(1)
    assert person is not None
    memory.connect(2, token="fresh")
    memory.ask(2, events.Hello(token=person.session))
    assert [type(each) for each in memory.told(2)] == [notices.Welcome]
    assert memory.account_of(1) == "ada"


def test_a_word_that_is_too_long_is_refused() -> None:
    memory = Signed()
    memory.begin(1)
    [refused] = memory.sign_in(1, "", f"ada@{'x' * 41}", TOKEN)
    assert refused == ":tcpchat 904 * :a session has at most 40 characters"


def test_where_nothing_is_kept_for_who_is_cut_off_it_is_gone() -> None:
    memory = Signed(ServerLimits(flood_rate=0, grace_ms=0))
    memory.comes(1)
    memory.say(1, "JOIN #hall")
    memory.told(EVE)
    memory.lose(1)
    assert memory.told(EVE) == [notices.Gone("ada", "connection lost")]


def test_who_is_banned_from_the_server_does_not_come_again() -> None:
    memory = Signed()
    memory.happens(events.Grant("root", "root", admin=True, device=session("f" * 64)))
    memory.connect(8)
    memory.ask(8, events.Hello(device="f" * 64))
    memory.comes(1)
    memory.ask(8, events.Restrict("", "ada", "ban", server=True))
    told = memory.comes(2)
    assert numerics(told)[-2:] == ["465", "ERROR"]
    assert 2 in memory.closed


def test_a_password_that_is_another_when_all_is_said_is_refused() -> None:
    memory = Signed()
    memory.begin(1)
    memory.say(1, "AUTHENTICATE PLAIN", f"AUTHENTICATE {encoded(f'{chr(0)}ada{chr(0)}{PASSWORD}')}")
    memory.happens(events.Withdraw("ada"))
    memory.derive()
    assert numerics(memory.lines(1)) == ["904"]


def test_a_token_is_not_tried_too_soon_after_a_wrong_one() -> None:
    memory = Signed()
    memory.begin(1, peer="there")
    assert numerics(memory.sign_in(1, "", "ada", "f" * 64)) == ["904"]
    [told] = memory.sign_in(1, "", "ada", TOKEN)
    assert told == ":tcpchat 904 * :the last one was wrong; try again in 1 s"
    memory.wait(1_000)
    assert numerics(memory.sign_in(1, "", "ada", TOKEN)) == ["900", "903"]


def test_a_guest_that_signs_in_makes_place_for_the_session_that_goes_on() -> None:
    memory = Signed()
    memory.comes(1)
    memory.say(1, "JOIN #tea")
    memory.lose(1)
    memory.begin(2, "NICK pia", "USER pia 0 * :pia")
    memory.say(2, "CAP END", "JOIN #hall")
    memory.told(EVE)
    memory.ask(EVE, events.Restrict("hall", "pia", "mute"))
    memory.lines(2)
    told = memory.sign_in(2, "", "ada", TOKEN)
    assert told[0] == ":pia!~u@tcpchat PART #hall"
    assert numerics(told) == ["PART", "NICK", "900", "903", *JOIN]
    assert notices.Left("hall", "pia") in memory.told(EVE)
    assert memory.protocol.state.named("pia") is None
    assert memory.say(2, "JOIN #hall")[-1].startswith(":tcpchat NOTICE ada :You are muted in hall")


# ── Other nodes, other epochs, other dialects ────────────────────────────────────────────────


def test_a_session_goes_on_behind_a_snapshot_with_what_was_seen() -> None:
    memory = Signed()
    memory.comes(1, TAGS)
    memory.say(1, "JOIN #hall")
    memory.eve_says("one")
    memory.has_seen(1)
    memory.eve_says("two")
    state = ChatState.restore(memory.protocol.state.snapshot())
    assert state.digest() == memory.protocol.state.digest()
    memory.protocol = ServerProtocol(state, limits=memory.protocol.limits)
    assert texts(memory.missed(2, TAGS)) == ["two"]


def test_ids_are_of_the_epoch_that_it_is_also_for_who_was_connected() -> None:
    memory = Signed()
    for conn in (1, 2):
        memory.comes(conn, TAGS, who=f"ada@{conn}")
    memory.register(3, "guest", "message-tags")
    memory.say(1, "JOIN #hall")
    memory.say(3, "JOIN #hall")
    memory.happens(events.Diverge("another"))
    memory.eve_says("one")
    for conn in (1, 2, 3):
        [said] = [line for line in memory.lines(conn) if "PRIVMSG" in line][-1:]
        assert "msgid=another." in said
    memory.lose(1)
    assert ["msgid=another." in line for line in memory.missed(4, TAGS, who="ada@1")[3:]] == [True]


def test_numbers_of_an_earlier_epoch_are_not_taken_for_those_of_this_one() -> None:
    memory = Signed()
    memory.comes(1, TAGS)
    memory.say(1, "JOIN #hall")
    memory.eve_says("one")
    [ping] = memory.pings(1)
    memory.happens(events.Diverge("another"))
    memory.say(1, ping.replace("PING", "PONG"))
    assert isinstance(memory.log[-1].event, events.Seen)
    memory.lose(1)
    assert texts(memory.missed(2, TAGS)) == ["one"]
    memory.has_seen(2)
    memory.lose(2)
    assert texts(memory.missed(3, TAGS)) == []


def test_a_program_may_do_the_same_in_json() -> None:
    memory = Signed()
    for conn in (1, 2):
        memory.connect(conn)
        memory.ask(conn, events.Login(TOKEN, session="desk"))
        if conn == 1:
            memory.ask(conn, events.Join("hall"))
            memory.eve_says("one")
            memory.wait(2 * ACKNOWLEDGED_WITHIN_MS)
            [*_, ping] = memory.told(conn)
            assert isinstance(ping, notices.Pinged)
            memory.ask(conn, events.Pong(ping.id))
            memory.eve_says("two")
            memory.lose(conn)
    _, _, claimed, resumed, said = memory.told(2)
    assert isinstance(claimed, notices.Claimed)
    assert isinstance(resumed, notices.Resumed)
    assert isinstance(said, notices.Said)
    assert said.text == "two"
    state = memory.protocol.state
    assert state.unacknowledged(2)
    assert [state.unacknowledged(conn) for conn in (1, EVE)] == [None, None]


def test_who_has_a_session_by_its_token_has_no_other() -> None:
    memory = Signed()
    memory.connect(1, token="token")
    memory.ask(1, events.Hello(), events.Login(TOKEN, session="desk"))
    person = memory.protocol.state.person(1)
    assert person is not None
    assert person.session == session("token")
    assert person.acknowledged is None
