"""What USER and SETNAME say of an IRC client, and where others see it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tcpchat_core import events
from tcpchat_core.dialects.irc.registration import possible_name, possible_user
from tcpchat_core.server.propose import checked
from tests.core.harness import session
from tests.core.irc_server import IrcServer, numerics
from tests.core.test_irc_sasl import TOKEN, Accounts

IAN = "USER ian 0 * :Ian Curtis"


def talking() -> IrcServer:
    """Ian, by IRC, and bob, who has said nothing of himself, in #hall."""
    memory = IrcServer()
    memory.connect(1)
    memory.say(1, "NICK ian", IAN, "JOIN #hall")
    memory.connect(2)
    memory.send(2, b"/nick bob\n/join hall\n")
    memory.lines(1)
    return memory


@pytest.mark.parametrize(
    ("line", "told"),
    [
        (
            "WHO #hall",
            [
                ":tcpchat 352 ian #hall ~ian tcpchat * ian H@ :0 Ian Curtis",
                ":tcpchat 352 ian #hall ~u tcpchat * bob H :0 bob",
                ":tcpchat 315 ian #hall :End of WHO",
            ],
        ),
        (
            "WHO #hall %ur",
            [
                ":tcpchat 354 ian ~ian :Ian Curtis",
                ":tcpchat 354 ian ~u :bob",
                ":tcpchat 315 ian #hall :End of WHO",
            ],
        ),
        (
            "WHO ian %unr",
            [
                ":tcpchat 354 ian ~ian ian :Ian Curtis",
                ":tcpchat 315 ian ian :End of WHO",
            ],
        ),
        (
            "WHOIS ian",
            [
                ":tcpchat 311 ian ian ~ian tcpchat * :Ian Curtis",
                ":tcpchat 319 ian ian :#hall",
                ":tcpchat 312 ian ian tcpchat :all of its servers are one",
                ":tcpchat 318 ian ian :End of WHOIS",
            ],
        ),
        ("USERHOST ian", [":tcpchat 302 ian :ian=+~ian@tcpchat"]),
        ("PRIVMSG ian :hi", [":ian!~u@tcpchat PRIVMSG ian :hi"]),
    ],
)
def test_who_asks_is_shown_what_a_client_has_said_of_itself(line: str, told: list[str]) -> None:
    assert talking().say(1, line) == told


def test_names_are_asked_for_only_where_they_are_shown() -> None:
    memory = talking()
    assert memory.say(1, "WHO #hall %n")[0] == ":tcpchat 354 ian ian"


# ── When a client comes ──────────────────────────────────────────────────────────────────────


def test_to_come_with_a_name_is_no_entry_more() -> None:
    memory = IrcServer()
    memory.connect(1)
    memory.say(1, "NICK ian", IAN)
    came, *rest = [entry.event for entry in memory.log]
    assert came == events.Connect(name="Ian Curtis", user="ian")
    assert rest == [events.Nick("ian", "ian")]


def test_who_has_no_real_name_is_told_that_something_is_missing() -> None:
    memory = IrcServer()
    memory.connect(1)
    told = memory.say(1, "NICK ian", "USER ian 0 * :")
    assert told == [":tcpchat 461 * USER :USER needs a real name, as its last word"]
    assert numerics(memory.say(1, IAN))[0] == "001"


@given(
    user=st.text(st.characters(codec="utf-8", exclude_characters="\r\n\0 :"), min_size=1),
    name=st.text(st.characters(codec="utf-8", exclude_characters="\r\n\0"), min_size=1),
)
def test_nobody_is_sent_away_for_a_name_that_cannot_be(user: str, name: str) -> None:
    called = events.SetName(possible_name(name), possible_user(user))
    assert checked(called, None) == called
    memory = IrcServer()
    memory.connect(1)
    assert "001" in numerics(memory.say(1, "NICK ian", f"USER {user} 0 * :{name}"))
    person = memory.protocol.state.person(1)
    assert person is not None
    assert (person.name, person.user) == (called.name, called.user)


@pytest.mark.parametrize("is_delayed", [False, True])
def test_a_client_that_was_greeted_as_a_person_has_a_name_too(*, is_delayed: bool) -> None:
    memory = IrcServer(delayed=is_delayed)
    memory.connect(1)
    memory.wait(1_000)
    memory.lines(1)
    told = memory.say(1, "CAP REQ setname", "CAP END", "NICK ian", IAN)
    memory.commit_all()
    told += memory.lines(1)
    assert numerics(told)[:2] == ["CAP", "001"]
    assert not any(" SETNAME " in line and " 001 " in line for line in told)
    person = memory.protocol.state.person(1)
    assert person is not None
    assert (person.nick, person.name, person.user) == ("ian", "Ian Curtis", "ian")


def test_who_signs_in_before_it_says_its_name_has_it_when_it_is_welcomed() -> None:
    memory = Accounts()
    memory.connect(1)
    memory.say(1, "CAP REQ :sasl setname extended-join")
    memory.sign_in(1, "", "ada", TOKEN)
    before = len(memory.log)
    told = memory.say(1, "NICK ada", IAN, "CAP END")
    assert [entry.event for entry in memory.log[before:]] == [
        events.SetName("Ian Curtis", "ian"),
        events.Login(session(TOKEN), session=""),
    ]
    assert numerics(told)[0] == "001"
    assert "SETNAME" not in numerics(told)
    assert memory.say(1, "JOIN #hall")[0] == ":ada!~u@tcpchat JOIN #hall ada :Ian Curtis"


def test_who_says_its_name_when_its_account_is_in_rooms_is_welcomed_as_who_it_is() -> None:
    memory = Accounts()
    memory.register(1, "cleo", "setname")
    memory.sign_in(1, "", "ada", TOKEN)
    memory.say(1, "JOIN #hall")
    memory.connect(2)
    memory.say(2, "CAP REQ :sasl setname")
    memory.sign_in(2, "", "ada@pad", TOKEN)
    told = memory.say(2, "NICK x", IAN, "CAP END")
    assert told[0] == ":tcpchat 001 ada :Welcome to tcpchat, ada"
    assert ":ada!~u@tcpchat SETNAME :cleo" in told
    assert memory.lines(1) == []


def test_a_client_reads_its_own_real_name_where_it_joins() -> None:
    memory = IrcServer()
    memory.connect(1)
    memory.say(1, "CAP REQ extended-join", "CAP END", "NICK ian", IAN)
    assert memory.say(1, "JOIN #hall")[0] == ":ian!~u@tcpchat JOIN #hall * :Ian Curtis"


def test_who_goes_on_as_a_guest_after_a_wrong_secret_has_its_name() -> None:
    memory = Accounts()
    memory.connect(1)
    memory.say(1, "CAP REQ :sasl setname")
    memory.sign_in(1, "", "ada", "0" * 64)
    told = memory.say(1, "NICK ian", IAN, "CAP END")
    assert numerics(told)[0] == "001"
    assert "SETNAME" not in numerics(told)
    person = memory.protocol.state.person(1)
    assert person is not None
    assert (person.nick, person.name) == ("ian", "Ian Curtis")


def test_who_is_in_already_and_can_be_called_nothing_that_it_says_is_welcomed_as_it_is() -> None:
    memory = Accounts()
    memory.connect(1)
    memory.say(1, "CAP REQ sasl")
    memory.sign_in(1, "", "ada", "0" * 64)
    told = memory.say(1, "NICK |||", "USER | 0 * :\x02", "CAP END")
    assert told[0].startswith(":tcpchat 001 guest-1 :")


def test_who_signs_in_to_an_account_that_is_here_is_told_what_that_is_called() -> None:
    memory = Accounts()
    memory.register(1, "cleo", "setname")
    memory.sign_in(1, "", "ada", TOKEN)
    memory.say(1, "JOIN #hall")
    memory.connect(2)
    memory.say(2, "CAP REQ :sasl setname extended-join", "NICK ian", IAN)
    memory.sign_in(2, "", "ada@pad", TOKEN)
    told = memory.say(2, "CAP END")
    assert numerics(told)[0] == "001"
    assert ":ada!~u@tcpchat SETNAME :cleo" in told
    assert memory.say(2, "JOIN #tea")[0] == ":ada!~u@tcpchat JOIN #tea ada :cleo"


def test_who_may_have_no_name_is_welcomed_all_the_same_and_told_why() -> None:
    memory = Accounts()
    memory.happens(events.Grant("zoe", "zoe", admin=True, device=session("z" * 64)))
    for conn in (1, 2):
        memory.carry_out(memory.protocol.connection_made(conn, now=0, origin="home"))
        memory.output[conn] = bytearray()
    memory.say(2, "NICK bob", "USER bob 0 * :Bob")
    memory.connect(11)
    memory.ask(11, events.Hello(device="z" * 64), events.Restrict("", "bob", "mute", server=True))
    memory.say(1, "CAP REQ :sasl setname")
    memory.sign_in(1, "", "ada", TOKEN)
    told = memory.say(1, "NICK ada", IAN, "CAP END")
    assert numerics(told)[0] == "001"
    (refused,) = [line for line in told if "FAIL" in line]
    assert refused.startswith(":tcpchat FAIL SETNAME CANNOT_CHANGE_REALNAME :you are muted")


# ── Another name ─────────────────────────────────────────────────────────────────────────────


def test_who_takes_it_is_told_of_another_name_and_others_are_told_nothing() -> None:
    memory = IrcServer()
    for conn, nick, capabilities in (
        (1, "ian", ("setname",)),
        (2, "bob", ("setname",)),
        (3, "eve", ()),
    ):
        memory.register(conn, nick, *capabilities)
        memory.say(conn, "JOIN #hall")
    for conn in (1, 2, 3):
        memory.lines(conn)
    told = [":ian!~u@tcpchat SETNAME :Ian C."]
    assert memory.say(1, "SETNAME :\x02Ian\x02 C.") == told
    assert memory.lines(2) == told
    assert memory.lines(3) == []
    assert memory.say(3, "SETNAME Eve") == []
    assert memory.lines(1) == memory.lines(2) == [":eve!~u@tcpchat SETNAME :Eve"]


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("SETNAME", "a real name has at least one character"),
        ("SETNAME :", "a real name has at least one character"),
        ("SETNAME :\x1b", "a real name has at least one character that can be seen"),
        (f"SETNAME :{'x' * 101}", "a real name has at most 100 characters; this one has 101"),
    ],
)
def test_a_name_that_cannot_be_is_refused_by_a_word(line: str, why: str) -> None:
    assert talking().say(1, line) == [f":tcpchat FAIL SETNAME INVALID_REALNAME :{why}"]


def test_the_label_of_a_line_is_on_its_answer() -> None:
    memory = IrcServer()
    memory.register(1, "ian", "setname", "batch", "labeled-response")
    memory.register(2, "bob", "batch", "labeled-response")
    assert memory.say(1, "@label=x SETNAME Ian") == ["@label=x :ian!~u@tcpchat SETNAME :Ian"]
    assert memory.say(2, "@label=x SETNAME Bob") == ["@label=x :tcpchat ACK"]
