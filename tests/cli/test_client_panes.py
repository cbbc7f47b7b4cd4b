"""tcpchat-client in full screen: what stands in its panes, on a real terminal."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prompt_toolkit.layout.screen import Char
from tcpchat_cli.terminal.presence import People
from tcpchat_cli.terminal.render import Fragments
from tcpchat_cli.terminal.sides import people_rows, topic_row, view_rows
from tcpchat_cli.terminal.view import View

from tests.cli.cable import Plug, cable_to
from tests.cli.conftest import Server, running_server
from tests.cli.terminal import CLIENT, Terminal


@pytest.fixture
def server() -> Iterator[Server]:
    """Without a limit of lines a second, and who goes is gone at once."""
    with running_server("--flood-rate", "0", "--grace", "0") as started:
        yield started


def join(server: Server | Plug, nick: str, columns: int = 120, *options: str) -> Terminal:
    """A client in the lobby that takes all of the screen."""
    argv = [CLIENT, server.address, "--nick", nick, "--room", "lobby", "--full-screen", *options]
    opened = Terminal(argv, columns=columns)
    opened.wait_until(lambda: opened.prompt.startswith("lobby>"), f"the prompt of {nick}")
    return opened


def middle(terminal: Terminal) -> list[str]:
    """The rows between the topic and the prompt, without the panes beside them."""
    rows = terminal.rows[1 : terminal.screen.cursor.y]
    return [row.split("│")[1].rstrip() if "│" in row else row for row in rows]


def has_left(terminal: Terminal) -> int:
    """The exit status, after a look at what the terminal was left like."""
    status = terminal.wait_for_exit()
    assert b"Traceback" not in terminal.output
    assert terminal.output.count(b"\x1b[?1049h") == terminal.output.count(b"\x1b[?1049l") > 0
    assert terminal.output.rindex(b"\x1b[?1049l") > terminal.output.rindex(b"\x1b[?1049h")
    assert not terminal.screen.cursor.hidden
    assert terminal.echoes
    return status


def test_views_are_at_the_left_and_people_at_the_right(server: Server) -> None:
    with join(server, "ada") as ada, join(server, "bob") as bob:
        ada.wait_for(r"^1 lobby +│.*│@ada")
        ada.wait_for(r"│ bob$")
        bob.enter("/join dev")
        bob.wait_for("you are in dev")  # the prompt names it before that
        ada.enter("for bob")
        bob.wait_for(r"^1 lobby !1 +│")
        bob.wait_for(r"^2 dev +│")
        bob.wait_for(r"│@bob$")
        bob.type("\x1b1")
        bob.wait_until(lambda: bob.prompt.startswith("lobby>"))
        bob.wait_for(r"│── new since you were here: 1 message, 1 for you ──")
        bob.wait_for(r"^1 lobby +│")


def test_the_topic_stands_above_and_who_is_away_is_dimmed(server: Server) -> None:
    with join(server, "ada") as ada, join(server, "bob") as bob:
        ada.enter("/topic tea at four")
        bob.wait_until(lambda: bob.rows[0] == "lobby  tea at four")
        bob.wait_for("│@ada")
        ada.enter("/away lunch")
        bob.wait_for("ada is away")
        y = next(y for y, row in enumerate(bob.rows) if "│@ada" in row)
        x = bob.rows[y].index("│@ada") + 2
        bob.wait_until(lambda: bob.screen.buffer[y][x].fg == bob.style("-- ada is away").fg)


@pytest.mark.parametrize(("columns", "lines"), [(40, 0), (80, 1), (200, 2)])
def test_panes_are_shown_where_there_is_room(server: Server, columns: int, lines: int) -> None:
    with join(server, "ada", columns) as ada:
        ada.enter("hello")
        ada.wait_for("ada: hello")
        row = next(row for row in ada.rows[1:] if row.strip("│ "))
        assert all(each.count("│") == lines for each in ada.rows[1 : ada.screen.cursor.y]), row


def test_a_resized_window_is_drawn_anew(server: Server) -> None:
    with join(server, "ada", 200) as ada:
        ada.enter("some words " * 12)
        ada.wait_for("│.*(some words ?){12}")
        ada.resize(40, 12)
        ada.wait_until(lambda: sum(row.count("words") for row in ada.rows) == 12)
        ada.wait_until(lambda: ada.prompt == "lobby>")
        assert not ada.shows("│@ada")
        ada.resize(200, 24)
        ada.wait_for("│.*(some words ?){12} *│")


def test_panes_are_hidden_and_shown_by_a_key(server: Server) -> None:
    with join(server, "ada") as ada:
        ada.wait_for(r"^1 lobby +│.*│@ada")
        ada.type("\x1b[18~")  # F7
        ada.wait_until(lambda: not ada.shows("^1 lobby") and ada.shows("│@ada"))
        ada.type("\x1b[19~")  # F8
        ada.wait_until(lambda: not ada.shows("│@ada"))
        ada.type("\x1b[18~\x1b[19~")
        ada.wait_for(r"^1 lobby +│.*│@ada")


def test_one_pages_up_to_what_the_server_has_and_down_again(server: Server) -> None:
    with join(server, "bob") as bob:
        for number in range(100):
            bob.enter(f"line {number}.")
        bob.wait_for(r"bob: line 99\.")
        with join(server, "ada") as ada:
            ada.wait_for(r"│.*bob: line 99\.")
            for _ in range(100):
                if ada.shows(r"bob: line 0\."):
                    break
                top = ada.rows[1]
                ada.type("\x1b[5~")
                ada.wait_until(lambda top=top: ada.rows[1] != top)  # type: ignore[misc] # mypy infers no type for a default
            ada.wait_for("bob: line 0\\.")
            ada.wait_until(lambda: "Ctrl-End" in ada.rows[0])
            ada.type("\x1b[5~\x1b[5~")
            ada.wait_for("^lobby  .*lobby begins here")
            ada.wait_until(lambda: ada.prompt == "lobby>", "all that is drawn")
            # What comes does not move what one looks at.
            before = middle(ada)
            bob.enter("meanwhile")
            bob.wait_for("bob: meanwhile")
            ada.enter("/set bell off")  # answered behind it
            ada.type("typed")
            ada.wait_until(lambda: ada.prompt == "lobby> typed")
            assert middle(ada) == before
            ada.type("\x1b[1;5F")  # Ctrl-End
            ada.wait_for("bob: meanwhile")


def test_clear_leaves_an_empty_view_and_pageup_brings_it_back(server: Server) -> None:
    with join(server, "ada") as ada:
        ada.enter("hello")
        ada.wait_for("ada: hello")
        ada.type("\x0c")
        ada.wait_until(lambda: not any(row.strip() for row in middle(ada)))
        ada.type("\x1b[5~")
        ada.wait_for("ada: hello")


def test_what_is_taken_back_is_not_shown_any_more(server: Server) -> None:
    with join(server, "ada") as ada, join(server, "bob") as bob:
        ada.wait_for("bob joined")
        bob.enter("nonsense")
        ada.wait_for("bob: nonsense")
        ada.enter("/redact bob")
        ada.wait_for(r"bob: \(taken back\)")
        assert not ada.shows("nonsense")


def test_many_lines_do_not_tear_what_is_being_typed(server: Server) -> None:
    with join(server, "ada") as ada:
        ada.type("half a thou")
        ada.wait_until(lambda: ada.prompt == "lobby> half a thou")
        script = "".join(f"line {number}\\n" for number in range(1000))
        command = f"printf '{script}' | {CLIENT} {server.address} --nick bot --room lobby"
        with Terminal(["sh", "-c", command]) as bot:
            ada.type("ght")
            ada.wait_for("bot: line 999 ")
            assert bot.wait_for_exit() == 0
        ada.wait_until(lambda: ada.prompt == "lobby> half a thought")


def test_tab_completes_and_history_is_found(server: Server) -> None:
    with join(server, "ada") as ada, join(server, "bob") as bob:
        ada.wait_for("bob joined")
        ada.type("bo\t")
        ada.wait_until(lambda: ada.prompt == "lobby> bob:")
        ada.type("hello\r")
        bob.wait_for("ada: bob: hello")
        ada.type("\x1b[A")
        ada.wait_until(lambda: ada.prompt == "lobby> bob: hello")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_signal_leaves_the_usual_screen(server: Server, number: signal.Signals) -> None:
    with join(server, "ada") as ada:
        ada.child.kill(number)
        assert has_left(ada) == 0


@pytest.mark.parametrize("keys", ["/quit\r", "\x03", "\x04"], ids=["quit", "Ctrl-C", "Ctrl-D"])
def test_whoever_leaves_gets_the_usual_screen_back(server: Server, keys: str) -> None:
    with join(server, "ada") as ada:
        ada.type(keys)
        assert has_left(ada) == 0


def test_what_ends_the_program_is_told_on_the_usual_screen(server: Server, tmp_path: Path) -> None:
    secret = tmp_path / "password"
    secret.write_text("open sesame\n")
    with cable_to(server.address) as plug, join(plug, "ada") as ada:
        server.process.kill()
        ada.wait_for("!! the connection to .* was lost")
        with running_server("--password-file", str(secret)) as other:
            plug.lead_to(other.address)
            assert has_left(ada) == 1
    told = b"tcpchat-client: this server has a password"
    assert ada.output.rindex(told) > ada.output.rindex(b"\x1b[?1049l")


def test_whoever_does_not_wait_for_a_lost_connection_leaves(server: Server) -> None:
    with join(server, "ada") as ada:
        server.process.kill()
        ada.wait_for("reconnecting$")
        ada.type("\x03")
        assert has_left(ada) == 0


def test_suspended_it_gives_the_usual_screen_and_draws_itself_when_it_comes_back(
    server: Server,
) -> None:
    client = f"{CLIENT} {server.address} --nick ada --room lobby --full-screen"
    with Terminal(["bash", "--norc", "-i"], columns=120, env={"PS1": "$ "}) as shell:
        shell.wait_for(r"^\$")
        shell.enter(client)
        shell.wait_for("^lobby>")
        shell.enter("hello")
        shell.wait_for("ada: hello")
        shell.type("\x1a")
        shell.wait_for("Stopped")
        assert shell.output.rindex(b"\x1b[?1049l") > shell.output.rindex(b"\x1b[?1049h")
        shell.screen.reset()
        shell.enter("fg")
        shell.wait_for("^lobby>")
        shell.wait_for("│.*ada: hello")
        shell.enter("/quit")
        shell.wait_for(r"^\$")
        shell.enter("exit")
        assert has_left(shell) == 0


def test_questions_are_asked_before_and_a_password_is_not_shown(tmp_path: Path) -> None:
    secret = tmp_path / "password"
    secret.write_text("open sesame\n")
    with (
        running_server("--password-file", str(secret)) as server,
        Terminal([CLIENT, server.address, "--full-screen"]) as ada,
    ):
        ada.wait_for("^Password:")
        ada.enter("open sesame")
        ada.wait_for(r"^Nickname \[guest-1\]:")
        assert "open" not in ada.text
        ada.enter("ada")
        ada.wait_for(r"^Room \[lobby\]:")
        ada.enter("")
        ada.wait_for(r"^1 lobby +│")


# ── Panes ────────────────────────────────────────────────────────────────────────────────────

CHARS = st.characters(codec="utf-8") | st.sampled_from("한👩\u200d❤\ufe0f\u0301\x1b ")
NAMES = st.text(CHARS, max_size=70)


def width(row: Fragments) -> int:
    return sum(Char(char).width for _, text in row for char in text)


@given(
    st.lists(NAMES, unique=True, max_size=12),
    st.integers(0, 100_000),
    st.integers(1, 30),
    st.integers(1, 8),
    st.data(),
)
def test_no_row_at_the_sides_is_wider_than_its_pane(
    names: list[str], more: int, columns: int, rows: int, data: st.DataObject
) -> None:
    some = st.sets(st.sampled_from(names)) if names else st.just(set())
    people = People(names, len(names) + more, data.draw(some), data.draw(some))
    views = [View(name, "room") for name in names] or [View("", "home")]
    for view in views:
        view.topic = data.draw(NAMES)
        view.unread.messages = data.draw(st.integers(0, 10**9))
    current = data.draw(st.sampled_from(views))
    beside = view_rows(views, current, columns, rows)
    listed = people_rows(people, columns, rows)
    assert len(beside) <= rows
    assert len(listed) <= rows
    for row in (*beside, *listed, topic_row(current, data.draw(NAMES), columns)):
        assert width(row) <= columns


@given(st.integers(1, 60), st.integers(1, 20), st.data())
def test_the_current_view_is_always_among_those_shown(
    count: int, rows: int, data: st.DataObject
) -> None:
    views = [View(f"r{number}", "room") for number in range(count)]
    current = data.draw(st.sampled_from(views))
    shown = ["".join(text for _, text in row) for row in view_rows(views, current, 18, rows)]
    assert len(shown) == min(count, rows)
    assert any(row.split()[-1] == current.name for row in shown)


def test_moderators_come_first_and_who_has_no_room_is_counted() -> None:
    people = People(("zoe", "ada", "Bob", "eve"), 9, {"zoe"}, {"eve"})
    rows = ["".join(text for _, text in row) for row in people_rows(people, 18, 3)]
    assert rows == ["@zoe", " ada", "and 7 more"]
