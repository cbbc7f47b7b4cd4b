"""Finding what was said, and going there: what the screen shows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.cli.cable import cable_to
from tests.cli.clients import bar
from tests.cli.conftest import Server, running_server
from tests.cli.serving import Talker
from tests.cli.terminal import CLIENT, Terminal

ALT_R = "\x1br"
CTRL_C = "\x03"
CTRL_R = "\x12"
CTRL_S = "\x13"
ENTER = "\r"
ESC = "\x1b"
PAGE_DOWN = "\x1b[6~"
PAGE_UP = "\x1b[5~"


@pytest.fixture
def server() -> Iterator[Server]:
    """Without a limit of lines a second, so that much can be said at once.

    Somebody is in the lobby: an empty room is forgotten.
    """
    with (
        running_server("--flood-rate", "0", "--grace", "0") as started,
        Talker(started.address, "/nick zoe\n/join lobby\n") as zoe,
    ):
        zoe.read_until("* You joined lobby")
        yield started


@contextmanager
def joined(
    server: Server, nick: str, columns: int = 80, rows: int = 24, room: str = "lobby"
) -> Iterator[Terminal]:
    """A client that has come into a room."""
    argv = [CLIENT, server.address, "--nick", nick, "--room", room]
    with Terminal(argv, columns=columns, rows=rows) as terminal:
        terminal.wait_until(lambda: terminal.prompt.startswith(f"{room}>"), f"the prompt of {nick}")
        yield terminal


def say(server: Server, texts: Sequence[str], room: str = "lobby", nick: str = "eve") -> None:
    """Have somebody say all this, who is gone then."""
    with Talker(server.address, f"/nick {nick}\n/join {room}\n") as talker:
        talker.send("".join(f"{text}\n" for text in texts))
        talker.send("/quit\n")
        talker.read_to_end()


def numbers(rows: Sequence[str]) -> list[int]:
    """Which of `line 0`, `line 1`, … stand in the rows, in their order."""
    return [int(row.rsplit(" ", 1)[1]) for row in rows if "eve: line " in row]


def test_what_is_found_is_numbered_and_marked_and_one_can_go_there(server: Server) -> None:
    texts = [f"line {number}" for number in range(100)]
    texts[40] = "Teatime is no word of it, but tea is, and TEA"
    say(server, texts)
    with joined(server, "ada") as ada:
        ada.enter("/search tea")
        ada.wait_for("-- 1 found, newest first; /goto N shows what is around$")
        ada.wait_for(r"^1 \d{4}-\d\d-\d\d \d\d:\d\d \[lobby\] eve: Teatime is no")
        assert ada.style("tea is").reverse
        assert not ada.style("Teatime").reverse
        ada.enter("/goto 1")
        ada.wait_for("^── lobby before ──$")
        ada.wait_for("^── here it is ──$")
        ada.wait_until(lambda: ada.prompt == "lobby before>", "the prompt")
        ada.wait_for(r"^── /older, /newer \(PageUp, PageDown\) go on; /close \(Esc\) goes back ──$")
        top = ada.rows.index("── lobby before ──")
        here = ada.rows.index("── here it is ──")
        assert "eve: Teatime is no word of it, but tea is, and TEA" in ada.rows[here + 1]
        marked = ada.rows[here + 1].index("tea is")
        assert ada.screen.buffer[here + 1][marked].reverse
        assert numbers(ada.rows[top:]) == [35, 36, 37, 38, 39, 41, 42, 43, 44, 45]


@pytest.mark.parametrize("elsewhere", ["/join dev", "/query bob"])
def test_a_search_is_for_all_rooms_wherever_one_looks(server: Server, elsewhere: str) -> None:
    with joined(server, "ada") as ada:
        ada.enter("a needle")
        ada.wait_for("ada: a needle$")
        ada.enter(elsewhere)
        ada.wait_until(lambda: ada.prompt in {"dev>", "@bob>"}, "another view")
        ada.enter("/search needle")
        ada.wait_for(r"^1 .* \[lobby\] ada: a needle$")


def test_from_a_place_one_pages_on_and_back_and_what_lies_between_is_told(server: Server) -> None:
    texts = [f"line {number}" for number in range(100)]
    texts[20] = "needle"
    say(server, texts)
    with joined(server, "ada", rows=60) as ada:
        ada.enter("/search needle")
        ada.wait_for("1 found")
        ada.enter("/goto 1")
        ada.wait_for("^── here it is ──$")
        say(server, ["meanwhile"], nick="bob")
        ada.wait_until(lambda: "1:lobby+1" in ada.text, "what is said meanwhile is unread")
        assert not ada.shows("bob: meanwhile")
        ada.type(PAGE_UP)
        ada.wait_for("^── lobby begins here ──$")
        ada.wait_until(lambda: numbers(ada.rows)[-15:] == [*range(15)], "the page before")
        ada.type(PAGE_DOWN)
        ada.wait_for("^── 20 said after that in lobby ──$")
        ada.wait_for("^── PageDown shows what was said after that ──$")
        ada.wait_until(lambda: numbers(ada.rows)[-20:] == [*range(26, 46)], "the page after")
        ada.type(ESC)
        # Of the 101 that were said, the last 20 came on joining, but one of them since.
        ada.wait_for("^── 34 messages between this and what follows ──$")
        ada.wait_for("^── lobby ──$")
        ada.wait_for("^── new since you were here: 1 message ──$")
        ada.wait_for("bob: meanwhile$")
        ada.wait_until(lambda: ada.prompt == "lobby>", "the prompt")
        ada.wait_until(lambda: bar(ada) and "before" not in bar(ada), "a bar without the past")
        ada.enter("/goto 1")
        ada.wait_until(lambda: ada.prompt == "lobby before>", "the prompt")
        ada.type("\x1b1")  # Alt-1: as any other way to the room
        ada.wait_for("^── 54 messages between this and what follows ──$")
        ada.wait_until(lambda: ada.prompt == "lobby>", "the prompt")


def test_ones_next_message_and_the_last_page_lead_back_to_now(server: Server) -> None:
    say(server, ["needle", *(f"line {number}" for number in range(30))])
    with joined(server, "ada", rows=60) as ada, joined(server, "bob") as bob:
        ada.enter("/search needle")
        ada.wait_for("1 found")
        ada.enter("/goto 1")
        ada.wait_for("^── lobby begins here ──$")
        ada.enter("hello again")
        ada.wait_for("^── lobby ──$")
        ada.wait_for("ada: hello again$")
        bob.wait_for("ada: hello again$")
        ada.wait_until(lambda: ada.prompt == "lobby>", "the prompt")
        ada.enter("/goto 1")
        ada.wait_until(lambda: ada.prompt == "lobby before>", "the prompt")
        ada.type(PAGE_DOWN)
        ada.wait_for("^── PageDown shows what was said after that ──$")
        ada.type(PAGE_DOWN)
        ada.wait_for("^── that was all that was said up to now ──$")
        ada.type(PAGE_DOWN)
        ada.wait_until(lambda: ada.prompt == "lobby>", "the prompt")
        assert not ada.shows("between this")


def test_what_cannot_be_gone_to_is_told(server: Server) -> None:
    with joined(server, "ada") as ada, joined(server, "bob") as bob:
        bob.wait_for("ada")
        ada.enter("/goto 1")
        ada.wait_for("!! no list is shown yet")
        ada.enter("needle")
        ada.wait_for("ada: needle$")
        ada.enter("/search needle")
        ada.wait_for("1 found")
        ada.enter("/goto 2")
        ada.wait_for("!! /goto takes a number of the last list, from 1 to 1$")
        ada.enter("/search nothing of that")
        ada.wait_for("nothing was found")
        ada.enter("/search ?!")
        ada.wait_for("!! search for a word, of letters or digits$")
        # The answers to these are in order, whatever became of those before.
        ada.enter("/search needle")
        ada.wait_until(lambda: ada.text.count("1 found") == 2, "the second answer")
        ada.enter("/out")
        ada.wait_until(lambda: ada.prompt != "lobby>", "to be out")
        ada.enter("/goto 1")
        ada.wait_for("!! .*lobby")


def test_what_was_said_on_the_screen_is_found_while_one_types(server: Server) -> None:
    say(server, ["Café au lait", "something else", "한국어로 말해요", "last"])
    with joined(server, "ada", columns=40) as ada:
        ada.type("half typed")
        ada.wait_until(lambda: ada.prompt == "lobby> half typed")
        ada.type(CTRL_R + "cafe")
        ada.wait_until(lambda: ada.prompt == "find: cafe")
        y = ada.screen.cursor.y
        assert "eve: Café au lait" in ada.rows[y - 2]
        assert "eve: something else" in ada.rows[y - 1]
        assert ada.screen.buffer[y - 2][11].reverse
        ada.type("\x15\x1b[200~caf\ré\x1b[201~")  # Ctrl-U, and a paste
        ada.wait_until(lambda: ada.prompt == "find: caf é")
        ada.type("\x15한")
        ada.wait_until(lambda: "한국어로" in ada.rows[ada.screen.cursor.y - 2], "the Korean line")
        ada.type("x")
        ada.wait_for("^── nothing here has that ──$")
        ada.type("\x15eve: ")
        ada.wait_until(lambda: "eve: last" in ada.rows[ada.screen.cursor.y - 2], "the newest")
        for text in ("한국어로", "something else", "Café"):
            ada.type(CTRL_R)
            ada.wait_until(
                lambda text=text: text in ada.rows[ada.screen.cursor.y - 2],  # type: ignore[misc] # mypy infers no type for a default
                text,
            )
        ada.type(CTRL_R)
        ada.wait_for("^── nothing older has that ──$")
        ada.type(CTRL_S)
        ada.wait_until(lambda: "something else" in ada.rows[ada.screen.cursor.y - 2], "newer")
        ada.type(ENTER)
        ada.wait_until(lambda: ada.prompt == "lobby> half typed", "what was half typed")
        ada.wait_for("^── found ──$")
        ada.wait_for("^── that was what was found ──$")
        start = ada.rows.index("── found ──")
        assert [row for row in ada.rows[start:] if "Café" in row or "last" in row]
        ada.type(CTRL_R + "café")
        ada.wait_until(lambda: ada.prompt == "find: café")
        ada.type(ESC)
        ada.wait_until(lambda: ada.prompt == "lobby> half typed", "what was half typed")
        ada.type("\r")
        ada.wait_for("ada: half typed$")


def test_what_one_has_typed_is_found_by_alt_r_and_by_up(server: Server) -> None:
    with joined(server, "ada") as ada:
        for text in ("first", "second"):
            ada.enter(text)
            ada.wait_for(f"ada: {text}$")
        ada.type(ALT_R + "fir")
        ada.wait_for("fir.*first$")
        ada.type("\x07")
        ada.wait_until(lambda: ada.prompt == "lobby>")
        ada.type("\x1b[A")
        ada.wait_until(lambda: ada.prompt == "lobby> second")


def test_another_view_ends_a_look_and_the_draft_stays_where_it_was(server: Server) -> None:
    with joined(server, "ada") as ada:
        ada.enter("/join dev")
        ada.wait_for("you are in dev")  # the prompt names it before that
        ada.type("for dev")
        ada.wait_until(lambda: ada.prompt == "dev> for dev")
        ada.type(CTRL_R + "ada")
        ada.wait_until(lambda: ada.prompt == "find: ada")
        ada.type("\x1b1")
        ada.wait_until(lambda: ada.prompt == "lobby>", "lobby")
        ada.type("\x1b2")
        ada.wait_until(lambda: ada.prompt == "dev> for dev", "what was half typed")


def test_pages_of_before_have_no_message_twice_and_tell_the_beginning(server: Server) -> None:
    say(server, [f"line {number}" for number in range(70)])
    with joined(server, "ada") as ada:
        ada.wait_for("eve: line 69$")
        for first in (30, 10):
            ada.type(PAGE_UP)
            ada.wait_for("^── 20 said before in lobby ──$")
            ada.wait_for("^── PageUp shows what was said before that ──$")
            ada.wait_until(lambda first=first: f"eve: line {first + 19}" in ada.text, "the page")  # type: ignore[misc] # mypy infers no type for a default
        ada.type(PAGE_UP)
        ada.wait_for("^── that was all from before in lobby ──$")
        found = numbers(ada.scrollback)
        assert sorted(found) == [*range(70)]
        ada.type(PAGE_UP)
        ada.wait_for("lobby begins here: nothing was said before$")
        ada.enter("/query bob")
        ada.wait_for("^@bob>")
        ada.type(PAGE_UP)
        ada.wait_for("!! what you say with bob is not kept: nothing older can be shown$")


def test_who_has_lost_the_session_is_not_shown_again_what_was_said_before() -> None:
    texts = [f"line {number}" for number in range(30)]
    with (
        running_server("--flood-rate", "0", "--grace", "0") as server,
        Talker(server.address, "/nick eve\n/join lobby\n") as eve,
        cable_to(server.address) as plug,
    ):
        eve.read_until("* You joined lobby")
        argv = [CLIENT, plug.address, "--nick", "ada", "--room", "lobby"]
        with Terminal(argv, rows=50) as ada:
            ada.wait_for("^lobby>")
            eve.send("".join(f"{text}\n" for text in texts))
            ada.wait_for("eve: line 29$")
            plug.pull()
            ada.wait_for("reconnecting$")
            eve.send("line 30\n")
            plug.put_back()
            ada.wait_for("eve: line 30$")
            ada.wait_for("connected$")
            ada.type(PAGE_UP)
            ada.wait_for("-- lobby begins here: nothing was said before$")
            assert numbers(ada.rows) == [*range(31)]


def test_what_has_called_one_is_gone_to_by_its_number_and_an_answer_is_not_taken_for_it(
    server: Server,
) -> None:
    with joined(server, "ada", rows=40) as ada, joined(server, "bob") as bob:
        bob.enter("needle for ada?")
        ada.wait_for("bob: needle for ada")
        ada.enter("/reply a needle for you")
        ada.wait_for("ada: a needle for you$")
        ada.enter("/search needle")
        ada.wait_for("2 found")
        ada.enter("/mentions")
        ada.wait_for("^1 .*bob: needle for ada")
        ada.enter("/goto 2")
        ada.wait_for("!! /goto takes a number of the last list, from 1 to 1$")
        ada.enter("/goto 1")
        ada.wait_for("── /older, /newer")
        top = ada.rows.index("── lobby before ──")
        shown = ada.rows[top:]
        assert shown.count("── here it is ──") == 1
        assert "bob: needle for ada" in shown[shown.index("── here it is ──") + 1]


def test_addresses_are_listed_and_opened_by_the_program_that_is_set(
    server: Server, tmp_path: Path, own_home: Path
) -> None:
    opened = tmp_path / "opened"
    program = tmp_path / "opener"
    program.write_text(f'#!/bin/sh\necho "$#" "$@" >> {opened}\n')
    program.chmod(0o755)
    settings = own_home / ".config" / "tcpchat" / "client.toml"
    settings.parent.mkdir(parents=True)
    settings.write_text(f'open = ["{program}", "--", "{{}}"]\n')
    say(
        server,
        ["https://example.org/a;b?c=$(id)", "and https://\u0430pple.com, https://last.example"],
    )
    with joined(server, "ada", columns=60) as ada:
        ada.enter("/open")
        ada.wait_for("-- opening https://last.example$")
        ada.enter("/links")
        ada.wait_for(r"^1 \d\d:\d\d eve: https://last.example$")
        ada.wait_for(r"^2 \d\d:\d\d eve: https://xn--pple-43d.com$")
        ada.wait_for(r"^3 \d\d:\d\d eve: https://example.org/a;b\?c=\$\(id\)$")
        say(server, ["https://newer.example"])
        ada.wait_for("eve: https://newer.example$")
        ada.enter("/open 3")
        ada.wait_for(r"-- opening https://example.org/a;b\?c=\$\(id\)$")
        ada.enter("/open 4")
        ada.wait_for("!! /open takes a number from 1 to 3; /links shows")
        ada.enter("/open")
        ada.wait_for("-- opening https://newer.example$")
        ada.wait_until(lambda: opened.read_text().count("\n") == 3, "all of them")
        assert opened.read_text().splitlines() == [
            "2 -- https://last.example",
            "2 -- https://example.org/a;b?c=$(id)",
            "2 -- https://newer.example",
        ]


def test_where_nothing_can_be_opened_the_address_is_told(server: Server) -> None:
    argv = [CLIENT, server.address, "--nick", "ada", "--room", "lobby"]
    with Terminal(argv, env={"DISPLAY": "", "WAYLAND_DISPLAY": ""}) as ada:
        ada.wait_for("^lobby>")
        ada.enter("/open")
        ada.wait_for(r"!! there is no address here \(http:// or https://\)$")
        ada.enter("see https://example.org/길")
        ada.wait_for("ada: see https://example.org/길$")
        ada.enter("/open")
        ada.wait_for("!! there is no display here; the address is")
        ada.wait_for("https://example.org/%EA%B8%B8$")


def test_in_full_screen_what_is_found_is_gone_to_where_it_stands(server: Server) -> None:
    texts = [f"line {number}" for number in range(60)]
    texts[10] = "needle"
    say(server, texts)
    argv = [CLIENT, server.address, "--nick", "ada", "--room", "lobby", "--full-screen"]
    with Terminal(argv) as ada:
        ada.wait_for("lobby> *")
        ada.wait_for("eve: line 59")
        ada.enter("/search needle")
        ada.wait_for("1 found")
        ada.enter("/goto 1")
        ada.wait_for("── here it is ──")
        ada.type(PAGE_DOWN)
        ada.wait_for("── PageDown shows what was said after that ──")
        ada.type(ESC)
        ada.wait_until(lambda: ada.shows("line 59") and ada.shows("^.*lobby>"), "the room")
        for _ in range(3):
            ada.enter("something")
        ada.type(CTRL_R + "line 41")
        ada.wait_for("find: line 41")
        ada.type(ENTER)
        ada.wait_for("found: .*line 41")


def test_who_is_ignored_is_left_out_of_pages_and_of_what_is_found(server: Server) -> None:
    say(server, [f"line {number}" for number in range(5)])
    say(server, [f"needle of a troll {number}" for number in range(25)], nick="troll")
    say(server, ["needle of hers", *(f"line {number}" for number in range(10, 29))])
    with joined(server, "ada", rows=60) as ada:
        ada.enter("/ignore troll")
        ada.wait_for("troll is ignored")
        ada.enter("/search needle")
        ada.wait_for("-- 1 found, newest first")
        ada.wait_for("1 .* eve: needle of hers$")
        ada.enter("/goto 1")
        ada.wait_for("^── here it is ──$")
        ada.wait_for("eve: line 14$")
        ada.enter("/close")
        ada.wait_until(lambda: ada.prompt == "lobby>", "the prompt")
        ada.type(PAGE_UP)
        ada.wait_for("^── only people whom you ignore said something there; PageUp goes on ──$")
        ada.type(PAGE_UP)
        ada.wait_for("^── lobby begins here ──$")
        ada.wait_until(lambda: numbers(ada.rows)[-5:] == [*range(5)], "the page before")
        ada.enter("/history 45")
        ada.wait_for("-- the last 20 said in lobby:$")
        ada.enter("/out")
        ada.wait_until(lambda: ada.prompt == ">", "the prompt of who is nowhere")
        ada.enter("/join lobby")
        ada.wait_until(lambda: ada.prompt == "lobby>", "the prompt")
        assert "troll: " not in "\n".join(ada.scrollback)
        ada.enter("/unignore troll")
        ada.enter("/search needle")
        ada.wait_for("troll: needle of a troll 24$")


@pytest.mark.parametrize("options", [(), ("--full-screen",)])
def test_what_was_taken_back_is_neither_found_nor_opened_any_more(
    server: Server, options: tuple[str, ...]
) -> None:
    argv = [CLIENT, server.address, "--nick", "ada", "--room", "lobby", *options]
    with (
        Talker(server.address, "/nick eve\n/join lobby\n") as eve,
        Terminal(argv, env={"DISPLAY": "", "WAYLAND_DISPLAY": ""}) as ada,
    ):
        ada.wait_for("lobby> *")
        eve.send("my key is at https://secret.example\n")
        ada.wait_for("eve: my key is")
        ada.enter("/links")
        ada.wait_for(r"1 \d\d:\d\d eve: https://secret.example")
        ada.enter("/open 1")
        ada.wait_for("!! there is no display here; the address is")
        ada.type(CTRL_R + "my key")
        ada.wait_for("find: my key")
        ada.type(ENTER)
        ada.wait_for("found")
        ada.type(CTRL_R + "key")
        ada.wait_for("find: key")
        ada.wait_until(lambda: sum("my key" in row for row in ada.rows) > 1, "what is found")
        eve.send("/redact\n")
        ada.wait_for("── nothing here has that ──")
        assert not ada.shows("my key|secret")
        ada.type(ESC)
        ada.wait_for("lobby> *$")
        ada.enter("/open 1")
        ada.wait_for("!! what had that address was taken back")
        ada.enter("/links")
        ada.wait_for("-- there is no address here")
        assert not ada.shows("my key|secret")
        assert ada.style("(taken back)").strikethrough


@pytest.mark.parametrize("options", [(), ("--full-screen",)])
def test_what_was_taken_back_while_the_session_was_lost_goes_as_soon_as_that_is_known(
    options: tuple[str, ...],
) -> None:
    with (
        running_server("--flood-rate", "0", "--grace", "0") as server,
        Talker(server.address, "/nick eve\n/join lobby\n") as eve,
        cable_to(server.address) as plug,
    ):
        eve.read_until("* You joined lobby")
        argv = [CLIENT, plug.address, "--nick", "ada", "--room", "lobby", *options]
        with Terminal(argv) as ada:
            ada.wait_for("lobby> *")
            eve.send("ada: my secret\n")
            ada.wait_for("eve: ada: my secret")
            plug.pull()
            ada.wait_for("reconnecting")
            eve.send("/redact\nnothing\n")
            plug.put_back()
            ada.wait_for("eve: nothing")
            assert not ada.shows("secret")
            assert ada.style("(taken back)").strikethrough
            ada.enter("/mentions")
            ada.wait_for("nobody has called you yet")
            ada.enter("/reply yes")
            ada.wait_for("> eve: nothing")
            ada.enter("/reply 2 yes")
            ada.wait_for("there is no such message here that could be answered")
