"""Answers on the screen: which message /reply means, and what is shown of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs
from tcpchat_cli.terminal.numbering import MessageId
from tcpchat_cli.terminal.render import Renderer
from tcpchat_cli.terminal.replies import MAX_ANSWERABLE, Answerable

from tcpchat_core import events, notices
from tcpchat_core.notices import Notice, Quote, Said
from tests.cli.clients import people
from tests.cli.conftest import Server, running_server
from tests.cli.serving import Talker

ROOMS = ("lobby", "dev")


def said(seq: int, nick: str = "bob", room: str = "lobby", text: str = "") -> Said:
    return Said(room, nick, text or f"{seq}", seq, 1_000 * seq)


def entered(room: str, *history: Said, again: bool = False) -> notices.Entered:
    return notices.Entered(room, ("ada",), 1, 99, 99_000, history=history, again=again)


def reply(back: int, room: str = "lobby") -> events.Say:
    return events.Say(room, "yes", back=back)


def answerable_of(*told: Notice) -> Answerable:
    answerable = Answerable()
    for notice in told:
        answerable.note(notice, "ada")
    return answerable


# ── Which message it is ──────────────────────────────────────────────────────────────────────


@given(
    told=st.lists(
        st.tuples(st.sampled_from(["ada", "bob", "eve"]), st.sampled_from(ROOMS), st.booleans()),
        max_size=12,
    ),
    older=st.integers(0, 5),
    back=st.integers(1, 9),
    room=st.sampled_from(ROOMS),
)
def test_what_is_answered_is_counted_among_what_others_were_shown_to_say(
    told: Sequence[tuple[str, str, bool]], older: int, back: int, room: str
) -> None:
    """Whatever came in which order, and was taken back, and whoever else has said it."""
    numbered = [said(10 + at, nick, where) for at, (nick, where, _) in enumerate(told)]
    gone = [each for each, (_, _, is_gone) in zip(numbered, told, strict=True) if is_gone]
    before = tuple(said(1 + at, room=room) for at in range(older))
    answerable = answerable_of(
        *numbered,
        *(notices.Redacted(each.room, each.seq, "eve", 0) for each in gone),
        notices.HistoryPage(room, before),
    )
    others = [
        each.seq
        for each in (*before, *numbered)
        if each.room == room and each.nick != "ada" and each not in gone
    ]
    answer = answerable.answering(reply(back, room))
    if back > len(others):
        assert answer is None
    else:
        assert answer == events.Say(room, "yes", re=others[-back])
        quote = answerable.quote(answer)
        assert quote is not None
        assert quote.text == f"{others[-back]}"


def test_what_answers_nothing_is_said_as_it_is() -> None:
    say = events.Say("lobby", "yes")
    assert answerable_of().answering(say) is say
    assert answerable_of().quote(say) is None


def test_a_room_that_one_comes_into_anew_has_numbers_of_its_own() -> None:
    answerable = answerable_of(said(50), said(51, room="dev"), entered("lobby", said(3)))
    assert answerable.answering(reply(1)) == events.Say("lobby", "yes", re=3)
    assert answerable.answering(reply(2)) is None
    answerable.note(entered("lobby", again=True), "ada")
    assert answerable.answering(reply(1)) == events.Say("lobby", "yes", re=3)
    answerable.note(notices.Welcome("ada", "e2"), "ada")
    assert answerable.answering(reply(1)) is None


def test_numbers_that_a_server_has_lost_name_nothing() -> None:
    state = notices.RoomState("lobby", ("ada",), 1, 9, common=5)
    other = notices.RoomState("dev", ("ada",), 1, 9)
    told = (said(4), said(5), said(6), said(7, room="dev"))
    answerable = answerable_of(*told, notices.Resumed("ada", (state, other), "e2"))
    assert answerable.answering(reply(1)) == events.Say("lobby", "yes", re=5)
    assert answerable.answering(reply(1, "dev")) == events.Say("dev", "yes", re=7)


def test_however_much_a_server_says_only_so_much_is_remembered() -> None:
    answerable = answerable_of(
        *(said(seq, text="x" * 9_000) for seq in range(1, MAX_ANSWERABLE + 10))
    )
    assert answerable.answering(reply(MAX_ANSWERABLE)) == events.Say("lobby", "yes", re=10)
    assert answerable.answering(reply(MAX_ANSWERABLE + 1)) is None
    quote = answerable.quote(events.Say("lobby", "yes", re=10))
    assert quote is not None
    assert len(quote.text) <= notices.MAX_QUOTE_CHARS


# ── What is shown of it ──────────────────────────────────────────────────────────────────────


def shown(notice: Said) -> list[str]:
    renderer = Renderer()
    renderer.timestamps = False
    return [line.text for line in renderer.lines(notice)][-2:]


def test_what_is_answered_stands_above_the_answer_and_has_its_place() -> None:
    answer = structs.replace(said(7), re=4, quote=Quote("eve", "tea at four?"))
    above, below = Renderer().lines(answer)[-2:]
    assert above.text == "      > eve: tea at four?"
    assert (above.place, below.place) == (MessageId("lobby", 4), MessageId("lobby", 7))
    assert shown(structs.replace(said(7), re=4))[0].endswith("> an earlier message")


def test_a_quote_is_short_whatever_a_server_says() -> None:
    answer = structs.replace(said(7), re=4, quote=Quote("e" * 9_000, "x" * 9_000))
    assert len(shown(answer)[0]) < 150


@pytest.fixture
def server() -> Iterator[Server]:
    """Without a limit of lines a second; who goes is gone at once."""
    with running_server("--flood-rate", "0", "--grace", "0") as started:
        yield started


def test_an_answer_on_the_screen(server: Server) -> None:
    with people(server, "ada", "bob") as (ada, bob):
        bob.enter("tea at four?")
        bob.enter("or coffee?")
        ada.wait_for("bob: or coffee")
        ada.enter("/reply 2 at four")
        for each in (ada, bob):
            each.wait_for(r"^ {6}> bob: tea at four\?$")
            each.wait_for(r"^\d\d:\d\d ada: at four$")
        ada.enter("/reply 9 no")
        ada.wait_for("there is no such message here that could be answered")
        bob.enter("/redact")  # "or coffee?"
        ada.wait_for("bob took back something")
        bob.enter("/reply milk?")
        ada.wait_for(r"^ {6}> ada: at four$")
        bob.enter("/redact")
        bob.enter("/redact")  # "tea at four?"
        for each in (ada, bob):
            each.wait_for(r"^ {6}> \(taken back\)$")


def test_of_who_is_ignored_nothing_is_shown_above_an_answer(server: Server) -> None:
    with (
        people(server, "ada", "bob") as (ada, bob),
        Talker(server.address, "/nick eve\n/join lobby\n") as eve,
    ):
        ada.wait_for("eve joined")
        ada.enter("/ignore bob")
        ada.wait_for("bob is ignored")
        bob.enter("buy my book")
        eve.read_until("[lobby] bob: buy my book")
        eve.send("/reply no\n")
        bob.wait_for("> bob: buy my book")
        ada.wait_for("> an earlier message")
        ada.wait_for("eve: no")
        assert not any("book" in row for row in ada.rows)


def test_to_one_person_nothing_is_answered_by_its_place(server: Server) -> None:
    with people(server, "ada", "bob") as (ada, bob):
        bob.enter("/msg ada psst")
        ada.wait_for("2:@bob")
        ada.enter("/query bob")
        ada.enter("/reply what?")
        ada.wait_for("only what is said in rooms can be answered")
