"""tcpchat-client on a real terminal, against a real server: what the screen shows."""

from __future__ import annotations

import signal

import pytest

from tests.cli.cable import Plug, cable_to
from tests.cli.conftest import Server, running_server
from tests.cli.terminal import CLIENT, Terminal


def join(there: Server | Plug, nick: str, columns: int = 80) -> Terminal:
    """A client that has come into the lobby, with its prompt on the screen."""
    argv = [CLIENT, there.address, "--nick", nick, "--room", "lobby"]
    opened = Terminal(argv, columns=columns)
    opened.wait_until(lambda: opened.prompt.startswith("lobby>"), f"the prompt of {nick}")
    return opened


def test_two_people_talk_and_see_each_other(server: Server) -> None:
    with join(server, "ada") as ada, join(server, "bob") as bob:
        ada.wait_for(r"-- bob joined lobby$")
        ada.enter("hello bob")
        bob.wait_for(r"^\d\d:\d\d ada: hello bob$")
        ada.wait_for(r"^\d\d:\d\d ada: hello bob$")
        bob.enter("/me waves")
        ada.wait_for(r"^\d\d:\d\d \* bob waves$")
        bob.enter("/query ada")
        bob.wait_for("^@ada>")
        bob.enter("psst")
        bob.wait_for(r"\[you → ada\] psst$")
        ada.wait_for("1:lobby 2:@bob!1")
        assert not ada.shows("psst")
        ada.type("\x1b2")
        ada.wait_for(r"\[bob → you\] psst$")


def test_a_line_that_arrives_does_not_tear_what_is_being_typed(server: Server) -> None:
    with join(server, "ada") as ada, join(server, "bob") as bob:
        ada.wait_for("bob joined")
        for number in range(1, 6):
            ada.type(f"word{number} ")
            ada.wait_until(lambda n=number: ada.prompt.endswith(f"word{n}"))  # type: ignore[misc] # mypy infers no type for a default
            bob.enter(f"line {number}")
            ada.wait_for(f"bob: line {number}$")
            typed = " ".join(f"word{n}" for n in range(1, number + 1))
            ada.wait_until(lambda typed=typed: ada.prompt == f"lobby> {typed}")  # type: ignore[misc] # the same
        ada.type("\r")
        bob.wait_for("ada: word1 word2 word3 word4 word5$")
        ada.wait_for("ada: word1 word2 word3 word4 word5$")
        assert [row for row in ada.rows if "word" in row] == [
            row for row in ada.rows if row.endswith("ada: word1 word2 word3 word4 word5")
        ]


def test_bytes_that_are_no_utf8_can_be_typed_and_are_shown_as_replaced(server: Server) -> None:
    argv = [CLIENT, server.address, "--room", "lobby"]
    with join(server, "bob") as bob, Terminal(argv) as ada:
        ada.wait_for(r"^Nickname \[guest-1\]:$")
        ada.child.send(b"caf\xe9\r")
        ada.wait_for("a nickname can contain only")
        ada.wait_until(lambda: ada.prompt == "Nickname [guest-1]:")
        ada.enter("ada")
        ada.wait_for("^lobby>")
        for typed in (b"caf\xe9", b"/msg bob \xe9\xff!", b"/ignore \xe9", b"/set \xe9", b"/\xe9"):
            ada.child.send(typed + b"\r")
        bob.wait_for("ada: caf\ufffd$")
        bob.wait_for("1:lobby 2:@ada!1")
        bob.type("\x1b2")
        bob.wait_for(r"\[ada → you\] \ufffd\ufffd!$")
        bob.type("\x1b1")
        ada.wait_for("there is no setting \ufffd; /set lists them$")
        ada.wait_for("there is no command /\ufffd")
        ada.enter("still here")
        bob.wait_for("ada: still here$")
        assert b"Traceback" not in ada.output
        ada.enter("/quit")
        assert ada.wait_for_exit() == 0


def test_what_is_not_given_is_asked_for_with_the_rooms_there_are(server: Server) -> None:
    with join(server, "ada") as ada, Terminal([CLIENT, server.address]) as bob:
        ada.enter("/topic tea at four")
        ada.wait_for("topic of lobby: tea at four")
        bob.wait_for(r"^Nickname \[guest-1\]:")
        bob.enter("bob")
        bob.wait_for(r"lobby +1 person +tea at four$")
        bob.wait_for(r"^Room \[lobby\]:")
        bob.enter("garden")
        bob.wait_for(r"^garden>")
        bob.enter("/who")
        bob.wait_for(r"1 in garden: bob$")


def test_an_answer_left_empty_takes_what_is_offered(server: Server) -> None:
    with Terminal([CLIENT, server.address]) as guest:
        guest.wait_for(r"^Nickname \[guest-1\]:")
        guest.enter("")
        guest.wait_for("there are no rooms yet")
        guest.wait_for(r"^Room \[lobby\]:")
        guest.enter("")
        guest.wait_for(r"^lobby>")


def test_a_nickname_that_is_taken_or_not_allowed_is_asked_for_again(server: Server) -> None:
    with join(server, "ada"), Terminal([CLIENT, server.address, "--nick", "ada"]) as other:
        other.wait_for("the nickname ada is taken")
        other.wait_for(r"^Nickname \[guest-1\]:$")
        other.enter("two words")
        other.wait_for("cannot contain spaces")
        other.wait_until(lambda: other.prompt == "Nickname [guest-1]:")
        other.enter("bob")
        other.wait_for("you are now bob")
        other.wait_for(r"^Room \[lobby\]:$")
        other.enter("a room!")
        other.wait_for("!! a room name")
        other.wait_until(lambda: other.prompt == "Room [lobby]:")
        other.enter("lobby")
        other.wait_for(r"^lobby>")


def test_a_nickname_changes_and_a_second_room_is_a_view_of_its_own(server: Server) -> None:
    with join(server, "ada") as ada, join(server, "bob") as bob:
        bob.enter("/nick countess")
        ada.wait_for("-- bob is now countess$")
        bob.wait_for("-- you are now countess$")
        bob.enter("/join dev")
        bob.enter("to dev")  # typed ahead: the room is current from the moment one joins
        bob.wait_for(r"countess: to dev$")
        bob.wait_for("^dev>")
        ada.enter("still here?")
        bob.wait_for(r"1:lobby\+1 2:dev ")
        assert not bob.shows("still here")
        bob.enter("/out")
        bob.wait_for("you left dev$")
        bob.wait_for(r"ada: still here\?$")
        bob.wait_until(lambda: bob.prompt == "lobby>")
        bob.enter("yes")
        ada.wait_for("countess: yes$")


def test_the_other_one_killed_is_told_as_gone() -> None:
    with (
        running_server("--grace", "0") as server,
        join(server, "ada") as ada,
        join(server, "bob") as bob,
    ):
        ada.wait_for("bob joined")
        bob.child.kill(signal.SIGKILL)
        ada.wait_for("-- bob is gone")


def test_a_mistyped_command_is_not_said_and_the_right_one_is_suggested(server: Server) -> None:
    with join(server, "ada") as ada, join(server, "bob") as bob:
        ada.enter("/jion dev")
        ada.wait_for("!! there is no command /jion; did you mean /join")
        ada.enter("said")
        bob.wait_for("ada: said$")
        assert not bob.shows("jion")


def test_rooms_nicks_and_the_programs_own_voice_have_colours_of_their_own(server: Server) -> None:
    with join(server, "ada") as ada, join(server, "bob") as bob:
        ada.wait_for("bob joined")
        ada.enter("hello there")
        bob.wait_until(lambda: bob.shows("ada: hello there") and bob.shows("^lobby>"))
        colours = {
            "room": bob.style("lobby>").fg,
            "nick": bob.style("ada: hello").fg,
            "text": bob.style("hello there").fg,
            "system": bob.style("-- you are in lobby").fg,
        }
        assert len(set(colours.values())) == 4, colours
        ada.wait_for("ada: hello there")
        assert ada.style("ada: hello").fg == bob.style("ada: hello").fg


def test_no_color_leaves_the_screen_without_colours(server: Server) -> None:
    argv = [CLIENT, server.address, "--nick", "ada", "--room", "lobby"]
    with Terminal(argv, env={"NO_COLOR": "1"}) as ada:
        ada.wait_for("^lobby>")
        ada.enter("hello")
        ada.wait_for("ada: hello$")
        cells = [cell for row in ada.screen.buffer.values() for cell in row.values()]
        assert {(cell.fg, cell.bg) for cell in cells} == {("default", "default")}


def test_a_long_text_is_wrapped_under_its_own_beginning(server: Server) -> None:
    with join(server, "ada") as ada, join(server, "bob", columns=40) as bob:
        ada.enter("some words " * 6)
        bob.wait_for("ada: some words")
        bob.wait_until(lambda: sum(row.count("words") for row in bob.rows) == 6, "all of it")
        first = next(row for row in bob.rows if "ada: some" in row)
        indent = first.index("some")
        at = bob.rows.index(first)
        assert bob.rows[at + 1].startswith(" " * indent + "words some")


def leaves_with(terminal: Terminal) -> int:
    """The exit status, after a look at what the terminal was left like."""
    status = terminal.wait_for_exit()
    assert b"Traceback" not in terminal.output
    assert not terminal.screen.cursor.hidden
    assert terminal.echoes
    return status


@pytest.mark.parametrize(
    ("keys", "told"),
    [
        pytest.param("/quit tea time\r", r"bob is gone \(tea time\)$", id="quit"),
        pytest.param("\x03", "bob is gone$", id="Ctrl-C"),
        pytest.param("\x04", "bob is gone$", id="Ctrl-D"),
    ],
)
def test_quit_ctrl_c_and_ctrl_d_leave_in_good_order(server: Server, keys: str, told: str) -> None:
    with join(server, "ada") as ada, join(server, "bob") as bob:
        ada.wait_for("bob joined")
        bob.type(keys)
        assert leaves_with(bob) == 0
        ada.wait_for(told)


@pytest.mark.parametrize("key", ["\x03", "\x04"], ids=["Ctrl-C", "Ctrl-D"])
def test_ctrl_c_and_ctrl_d_leave_also_while_a_question_is_asked(server: Server, key: str) -> None:
    with Terminal([CLIENT, server.address]) as client:
        client.wait_for("^Nickname")
        client.type(key)
        assert leaves_with(client) == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_signal_ends_the_client_and_gives_the_terminal_back(
    server: Server, number: signal.Signals
) -> None:
    with join(server, "ada") as ada, join(server, "bob") as bob:
        ada.wait_for("bob joined")
        bob.child.kill(number)
        assert leaves_with(bob) == 0
        ada.wait_for("bob is gone")


def test_a_server_that_dies_and_returns_is_found_again(server: Server) -> None:
    # The new one has another port, since that of the old one may be anybody's by then.
    with cable_to(server.address) as plug, join(plug, "ada") as ada:
        server.process.kill()
        ada.wait_for("!! the connection to .* was lost; reconnecting, and what you$")
        ada.wait_for("reconnecting$")  # the bar
        ada.enter("typed meanwhile")
        with running_server() as returned:
            plug.lead_to(returned.address)
            ada.wait_for("you are in lobby with nobody else$")
            ada.wait_for("connected$")
            with join(returned, "bob") as bob:
                bob.enter("welcome back")
                ada.wait_for("bob: welcome back$")
                ada.enter("thanks")
                bob.wait_for("ada: thanks$")
