"""The views of tcpchat-client on a real terminal: one at a time, and nothing of the others lost."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.cli.clients import bar, people, waits_for_bar
from tests.cli.conftest import Server, running_server
from tests.cli.serving import Talker
from tests.cli.terminal import Terminal

ALT = "\x1b"


@pytest.fixture
def server() -> Iterator[Server]:
    """Without a limit of lines a second; who goes is gone at once."""
    with running_server("--flood-rate", "0", "--grace", "0") as started:
        yield started


def below(terminal: Terminal, row: str) -> list[str]:
    """The rows of the screen below the last one that is like this."""
    return terminal.rows[len(terminal.rows) - terminal.rows[::-1].index(row) :]


def test_what_is_half_typed_stays_in_its_view(server: Server) -> None:
    with people(server, "ada", "bob") as (ada, bob):
        ada.enter("/join dev")
        ada.wait_for("you are in dev with")
        ada.type("for dev")
        ada.wait_until(lambda: ada.prompt == "dev> for dev")
        ada.type(f"{ALT}1")
        ada.wait_until(lambda: ada.prompt == "lobby>")
        ada.enter("/query bob")
        ada.wait_until(lambda: ada.prompt == "@bob>")
        ada.type("for bob")
        ada.wait_until(lambda: ada.prompt == "@bob> for bob")
        ada.type("\x0e")  # Ctrl-N: round, to the first one
        ada.wait_until(lambda: ada.prompt == "lobby>")
        ada.type("\x0e")
        ada.wait_until(lambda: ada.prompt == "dev> for dev")
        ada.type("\x10\x10")
        ada.wait_until(lambda: ada.prompt == "@bob> for bob")
        ada.type("\r")
        ada.wait_for(r"\[you → bob\] for bob$")
        waits_for_bar(bob, "1:lobby 2:@ada!1")
        ada.type("\x10\x15\x1b[A")  # nothing but what was entered is offered again
        ada.wait_until(lambda: ada.prompt == "dev> for bob")


def test_only_the_current_view_is_printed_and_the_others_begin_at_a_mark(server: Server) -> None:
    with people(server, "ada", "bob", rows=12) as (ada, bob):
        ada.enter("before")
        ada.wait_for("ada: before$")
        ada.enter("/join dev")
        ada.wait_for("you are in dev with")
        bob.type("".join(f"line {number}\r" for number in range(30)))
        waits_for_bar(ada, "1:lobby+30 2:dev")
        assert not any("line" in row for row in ada.scrollback)
        ada.enter("/view lob")
        ada.wait_for("bob: line 29$")
        shown = [row.partition(" bob: ")[2] or row for row in ada.scrollback if row]
        at = shown.index("── new since you were here: 30 messages ──")
        assert shown[at - 1] == "── lobby ──"  # all that is new, and no more than fits of the rest
        assert shown[at + 1 : at + 31] == [f"line {number}" for number in range(30)]
        ada.enter("/view dev")
        ada.wait_for("^── dev ──$")
        ada.enter("/view 1")
        ada.wait_until(lambda: ada.prompt == "lobby>")
        ada.wait_for("line 29$")
        assert not ada.shows("new since")
        ada.enter("/view nowhere")
        ada.wait_for("!! there is no view nowhere; /view lists those there are$")
        ada.enter("/view")
        ada.wait_for("-- 2 dev$")


def test_who_writes_to_one_alone_has_a_view_and_is_answered_by_r(server: Server) -> None:
    with people(server, "ada", "bob", "eve") as (ada, bob, eve):
        ada.enter("/r too early")
        ada.wait_for("!! nobody has written to you alone yet$")
        ada.enter("/join dev")
        ada.wait_for("you are in dev with")
        eve.enter("not for you")
        waits_for_bar(ada, "1:lobby+1 2:dev")
        bob.enter("/msg ada psst")
        waits_for_bar(ada, "1:lobby+1 2:dev 3:@bob!1")
        ada.wait_for("-- bob writes to you: Alt-3 or /view 3$")
        bob.enter("/msg ada once more")
        waits_for_bar(ada, "1:lobby+1 2:dev 3:@bob!2")
        assert ada.text.count("writes to you") == 1
        bob.wait_until(lambda: bob.prompt == "lobby>", "where bob was: /msg leads nowhere")
        ada.enter("/r yes?")
        bob.wait_until(lambda: "2:@ada!1" in bar(bob), "the answer")
        ada.wait_until(lambda: ada.prompt == "dev>")
        ada.type(f"{ALT}a")  # first where one was called
        ada.wait_until(lambda: ada.prompt == "@bob>")
        ada.wait_for(r"\[bob → you\] psst$")
        ada.wait_for(r"\[you → bob\] yes\?$")
        ada.type(f"{ALT}a")
        ada.wait_until(lambda: ada.prompt == "lobby>")
        ada.wait_for("eve: not for you$")
        waits_for_bar(ada, "1:lobby 2:dev 3:@bob")
        ada.type(f"{ALT}a")  # nothing is unread: one stays
        ada.enter("/r")
        ada.wait_until(lambda: ada.prompt == "@bob>")
        ada.enter("/topic tea")
        ada.wait_for("!! that is for a room; here you talk to bob$")
        ada.enter("/part")
        ada.wait_for("!! that is for a room; here you talk to bob, and /close ends that$")
        ada.enter("/me waves")
        ada.wait_for("!! what you do can be told to a room only; say it in words$")
        ada.enter("/close")
        ada.wait_until(lambda: ada.prompt == "lobby>")
        waits_for_bar(ada, "1:lobby 2:dev")
        ada.enter("/close")
        ada.wait_for("!! you are in lobby: /out leaves it$")
        bob.enter("/msg ada again")  # where one has been meanwhile
        told = "-- bob writes to you: Alt-3 or /view 3"
        ada.wait_until(
            lambda: any(row.endswith(told) for row in below(ada, "── lobby ──")), "told again"
        )
        ada.enter("/query not a nick")
        ada.wait_for("!! a nickname cannot contain spaces$")


def test_who_is_renamed_takes_the_conversation_along(server: Server) -> None:
    with people(server, "ada", "bob") as (ada, bob):
        bob.enter("/msg ada psst")
        waits_for_bar(ada, "1:lobby 2:@bob!1")
        bob.enter("/nick countess")
        waits_for_bar(ada, "1:lobby 2:@countess!1")
        ada.type(f"{ALT}2")
        ada.wait_for("^@countess>")
        ada.wait_for("bob is now countess$")
        ada.enter("still you?")
        bob.wait_until(lambda: "2:@ada!1" in bar(bob), "the answer")
        bob.enter("/quit")
        ada.wait_for("countess is gone")  # told in the conversation, too
        ada.type(f"{ALT}1")
        ada.wait_for("^lobby>")
        ada.wait_for("countess is gone")


def test_comings_and_goings_are_told_in_the_rooms_that_they_are_of(server: Server) -> None:
    with (
        people(server, "ada") as (ada,),
        Talker(server.address, "/nick bob\n/join dev\n") as bob,
        Talker(server.address, "/nick eve\n/join lobby\n") as eve,
    ):
        bob.read_until("* You joined")
        eve.read_until("* You joined")
        ada.enter("/join dev")
        ada.wait_for("you are in dev with")
        bob.send("/quit\n")
        ada.wait_for("-- bob is gone")
        eve.send("/nick mallory\n/quit\n")
        eve.read_until("* Closing")
        ada.type(f"{ALT}1")
        ada.wait_for("-- mallory is gone")
        assert ada.shows("eve is now mallory$")
        assert not ada.shows("── new since")  # that somebody came or went is no news
        assert not any("bob" in row for row in below(ada, "── lobby ──"))
        ada.enter("/view dev")
        ada.wait_until(lambda: ada.prompt == "dev>")
        assert not any("mallory" in row for row in below(ada, "── dev ──"))


def test_who_comes_back_into_a_room_finds_where_it_stopped(server: Server) -> None:
    with people(server, "ada", "bob") as (ada, bob):
        ada.enter("/join dev")
        ada.wait_for("you are in dev with")
        ada.type(f"{ALT}1")
        ada.wait_for("^lobby>")
        bob.enter("one")
        ada.wait_for("bob: one$")
        ada.enter("/out")
        ada.wait_for("you left lobby$")
        ada.wait_until(lambda: ada.prompt == "dev>")
        waits_for_bar(ada, "1:dev")
        bob.enter("two, ada")
        bob.wait_for("bob: two, ada$")
        ada.type("half a li")
        ada.type("\x15")
        ada.enter("/join lobby")
        ada.wait_for("bob: two, ada$")
        rows = ada.rows
        at = rows.index("── new since you were here: 1 message, 1 for you ──")
        assert rows[at - 1].endswith("bob: one")
        assert rows[at + 1].endswith("bob: two, ada")


def test_a_room_that_one_was_put_out_of_can_be_read_until_it_is_closed(server: Server) -> None:
    with people(server, "ada", "bob") as (ada, bob):
        bob.enter("/join dev")
        bob.wait_for("you are in dev with")
        bob.type(f"{ALT}1")
        bob.wait_for("^lobby>")
        bob.enter("last words")
        ada.wait_for("bob: last words$")
        ada.enter("/kick bob spam")
        bob.wait_for(r"you were put out of lobby by ada \(spam\)$")
        bob.enter("may I?")
        bob.wait_for("!! you are not in lobby")
        bob.wait_until(lambda: bob.prompt == "lobby>")
        waits_for_bar(bob, "1:lobby 2:dev")
        bob.enter("/close")
        bob.wait_until(lambda: bob.prompt == "dev>")
        waits_for_bar(bob, "1:dev")


def test_what_is_taken_back_is_struck_out_in_views_that_are_not_shown(server: Server) -> None:
    with people(server, "ada", "bob") as (ada, bob):
        bob.enter("a slip")
        ada.wait_for("bob: a slip$")
        ada.enter("/join dev")
        ada.wait_for("you are in dev with")
        ada.enter("/clear")
        ada.wait_until(lambda: ada.rows[0].startswith("dev>"), "a clear screen")
        bob.enter("/redact")
        bob.wait_for("bob took back something in lobby$")
        bob.enter("now")
        waits_for_bar(ada, "1:lobby+1 2:dev")
        ada.type(f"{ALT}1")
        ada.wait_for(r"bob: \(taken back\)$")
        assert ada.style("(taken back)").strikethrough
        assert not any("a slip" in row for row in ada.rows)


def test_a_cleared_view_is_empty_and_pageup_brings_it_back(server: Server) -> None:
    with people(server, "ada") as (ada,):
        ada.enter("to be cleared")
        ada.wait_for("ada: to be cleared$")
        ada.enter("/join dev")
        ada.wait_for("you are in dev with")
        ada.type(f"{ALT}1")
        ada.wait_for("^lobby>")
        ada.enter("/clear")
        ada.wait_until(lambda: ada.rows[0].startswith("lobby>"), "a clear screen")
        ada.type(f"{ALT}2{ALT}1")
        ada.wait_until(lambda: ada.prompt == "lobby>" and ada.shows("── lobby ──"))
        assert not ada.shows("to be cleared")
        ada.type("\x1b[5~")  # PageUp
        ada.wait_for("ada: to be cleared$")
        ada.enter("/query bob")
        ada.wait_for("^@bob>")
        ada.type("\x1b[5~")
        ada.wait_for("!! what you say with bob is not kept: nothing older can be shown$")


def test_a_wall_of_text_goes_to_the_person_one_looks_at(server: Server) -> None:
    with people(server, "ada", "bob") as (ada, bob):
        ada.enter("/query bob")
        ada.wait_for("^@bob>")
        ada.type("\x1b[200~one\rtwo\x1b[201~")
        ada.wait_for(r"^say these 2 lines to bob\? y/n$")
        ada.type("y")
        ada.wait_for(r"\[you → bob\] two$")
        bob.wait_until(lambda: "2:@ada!2" in bar(bob), "both lines")
        assert not bob.shows("one|two")
