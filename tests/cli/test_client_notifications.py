"""How one is told of a call: what is sent to the terminal, and when; and the window's title."""

from __future__ import annotations

import re
import unicodedata
from itertools import pairwise
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prompt_toolkit.application import Application
from prompt_toolkit.input import create_pipe_input
from prompt_toolkit.output import DummyOutput
from tcpchat_cli.terminal import focus
from tcpchat_cli.terminal.notify import (
    ANY_SECONDS,
    LOOKS_SECONDS,
    MAX_TEXT_BYTES,
    VIEW_SECONDS,
    Attention,
    Bell,
    Call,
    Way,
    best_way,
    sequence,
)
from tcpchat_cli.terminal.title import title
from tcpchat_cli.terminal.window import Window

WAYS: tuple[Way, ...] = get_args(Way)
ANYTHING = st.text(max_size=400) | st.text(
    st.sampled_from("\x1b\x07\x9c\x9d\x90\\;:]0\u202e\u2028\r\n\x00\ud800é한"), max_size=40
)
PLACES: dict[str, dict[str, str]] = {
    "bare": {},
    "tmux": {"TMUX": "/run/tmux/default,1,0"},
    "screen": {"STY": "1.pts-0"},
}


def inside(told: str, place: str) -> str:
    """What the terminal itself gets, once the multiplexer has passed it on."""
    if place == "tmux":
        found = re.fullmatch(r"\x1bPtmux;((?:\x1b\x1b|[^\x1b])*)\x1b\\", told)
    elif place == "screen":
        found = re.fullmatch(r"\x1bP((?:\x1b(?!\\)|[^\x1b])*)\x1b\\", told)
    else:
        return told
    assert found, told
    return found[1].replace("\x1b\x1b", "\x1b")


def controls(text: str) -> set[str]:
    return {char for char in text if unicodedata.category(char) in {"Cc", "Cs", "Zl", "Zp"}}


@given(
    st.builds(Call, ANYTHING, ANYTHING, ANYTHING),
    st.booleans(),
    st.sampled_from(WAYS),
    st.sampled_from([*PLACES]),
)
def test_whatever_a_server_says_a_notification_is_one_sequence_that_ends(
    call: Call, with_text: bool, way: Way, place: str
) -> None:
    told = sequence(way, call.summary(with_text=with_text), PLACES[place])
    if way in {"off", "bell"}:
        assert told == {"off": "", "bell": "\a"}[way]
        return
    begins = {"osc9": "9;tcpchat: ", "osc777": "777;notify;tcpchat;", "osc99": "99;;tcpchat: "}
    found = re.fullmatch(
        rf"\x1b\]{re.escape(begins[way])}([^;]*)\a", inside(told, place), re.DOTALL
    )
    assert found
    assert not controls(found[1])
    assert len(found[1].encode()) <= MAX_TEXT_BYTES
    assert len(told.encode()) <= 256, "GNU screen passes on no more"


@given(ANYTHING, st.integers(0, 2**40), st.integers(0, 2**40))
def test_whatever_a_room_is_called_the_title_is_one_sequence_that_ends(
    name: str, unread: int, mentions: int
) -> None:
    text = title(name, unread, mentions)
    assert not controls(text)
    assert len(text.encode()) < 200


@pytest.mark.parametrize(
    ("name", "unread", "mentions", "shown"),
    [
        ("lobby", 0, 0, "tcpchat: lobby"),
        ("lobby", 3, 0, "tcpchat: lobby (3)"),
        ("lobby", 3, 1, "tcpchat: lobby (3, 1 for you)"),
        ("", 0, 0, "tcpchat"),
    ],
)
def test_the_title_says_where_one_is_and_what_is_unread(
    name: str, unread: int, mentions: int, shown: str
) -> None:
    assert title(name, unread, mentions) == shown


class Recorder(DummyOutput):
    """An output that keeps what it is given."""

    def __init__(self) -> None:
        self.sent = ""

    def write_raw(self, data: str) -> None:
        self.sent += data

    def set_title(self, title: str) -> None:
        self.sent += f"<{title}>"


def test_the_title_is_the_windows_own_before_the_first_drawing_and_after_the_last() -> None:
    output = Recorder()
    window = Window(output)
    window.show_title("tcpchat")
    with create_pipe_input() as source:
        app = Application[None](input=source, output=output)
        with window.watched(app, lambda _: None):
            assert output.sent == ""
            app.after_render.fire()
            for text in ("tcpchat", "tcpchat: dev", "tcpchat: dev"):
                window.show_title(text)
        window.show_title("too late")
    assert output.sent == ("\x1b[?1004h\x1b[22;2t<tcpchat><tcpchat: dev>\x1b[?1004l<>\x1b[23;2t")


@pytest.mark.parametrize(
    ("environment", "way"),
    [
        ({}, "bell"),
        ({"TERM": "xterm-256color"}, "bell"),
        ({"TERM": "xterm-kitty"}, "osc99"),
        ({"TERM": "xterm-256color", "TERM_PROGRAM": "iTerm.app"}, "osc9"),
        ({"TERM": "xterm-256color", "LC_TERMINAL": "iTerm2"}, "osc9"),
        ({"TERM": "xterm-ghostty", "TERM_PROGRAM": "ghostty"}, "osc777"),
        ({"TERM": "foot-extra"}, "osc777"),
        ({"TERM": "xterm-256color", "TERM_PROGRAM": "WezTerm"}, "osc777"),
        ({"TERM": "rxvt-unicode-256color"}, "bell"),
        ({"TERM": "xterm-256color", "VTE_VERSION": "7600"}, "bell"),
        ({"TERM": "xterm-256color", "WT_SESSION": "1"}, "bell"),
        ({"TERM": "xterm-256color", "TERM_PROGRAM": "Apple_Terminal"}, "bell"),
        # Another terminal may be around it by now, and hardly any is let through to.
        ({"TERM": "tmux-256color", "TMUX": "x", "LC_TERMINAL": "iTerm2"}, "bell"),
        ({"TERM": "screen.xterm-kitty", "STY": "1.pts-0", "LC_TERMINAL": "iTerm2"}, "bell"),
        ({"TERM": "screen-256color", "LC_TERMINAL": "iTerm2"}, "bell"),  # one farther away
    ],
)
def test_a_terminal_is_told_by_what_it_surely_understands(
    environment: dict[str, str], way: Way
) -> None:
    assert best_way(environment) == way


LOBBY = Call("ada", "lobby", "tea?")


def test_nothing_of_the_text_is_told_unless_it_is_wanted() -> None:
    direct = Call("ada", "", "psst")
    for call, with_text, told in (
        (LOBBY, False, "ada in lobby"),
        (LOBBY, True, "ada in lobby: tea?"),
        (direct, False, "ada to you"),
        (direct, True, "ada to you: psst"),
    ):
        rung = Bell({}).ring(call, "osc9", with_text=with_text, now=0)
        assert rung == f"\x1b]9;tcpchat: {told}\a"


def test_one_place_rings_once_in_a_while_and_all_together_hardly_oftener() -> None:
    bell = Bell({"TERM": "xterm"})

    def rings(call: Call, now: float) -> bool:
        return bool(bell.ring(call, "auto", with_text=False, now=now))

    assert [rings(LOBBY, second / 8) for second in range(8)].count(True) == 1
    dev = Call("ada", "dev", "")
    assert rings(dev, ANY_SECONDS)
    assert not rings(Call("bob", "", ""), ANY_SECONDS * 1.5)
    assert rings(Call("bob", "", ""), ANY_SECONDS * 2)
    assert not rings(LOBBY, VIEW_SECONDS - 0.1)
    assert rings(LOBBY, VIEW_SECONDS + 2)


@given(st.lists(st.tuples(st.sampled_from("abc"), st.floats(0, 5)), max_size=60))
def test_a_flood_of_calls_is_a_few_rings(calls: list[tuple[str, float]]) -> None:
    bell, now, rung = Bell({}), 0.0, dict[str, list[float]]()
    for room, later in calls:
        now += later
        if bell.ring(Call("ada", room, ""), "bell", with_text=True, now=now):
            rung.setdefault(room, []).append(now)
    for times in rung.values():
        assert all(later - one >= VIEW_SECONDS for one, later in pairwise(times))
    everywhere = sorted(time for times in rung.values() for time in times)
    assert all(later - one >= ANY_SECONDS for one, later in pairwise(everywhere))


def test_what_is_off_rings_nowhere_and_does_not_count() -> None:
    bell = Bell({})
    assert bell.ring(LOBBY, "off", with_text=False, now=0) == ""
    assert bell.ring(LOBBY, "bell", with_text=False, now=0) == "\a"


@pytest.mark.parametrize(
    ("is_focused", "idle", "away", "looks"),
    [
        (True, 1, 300, True),
        (True, 299, 300, True),
        (True, 300, 300, False),  # the window is in front, and nobody before it
        (True, 10**9, 0, True),
        (False, 0, 300, False),
        (None, LOOKS_SECONDS - 1, 300, True),
        (None, LOOKS_SECONDS, 300, False),
    ],
)
def test_who_looks_is_who_has_the_focus_and_is_not_away(
    is_focused: bool | None, idle: float, away: float, looks: bool
) -> None:
    attention = Attention()
    attention.is_focused = is_focused
    assert attention.looks(idle, away) is looks


@given(
    st.lists(st.sampled_from(["\x1b[I", "\x1b[O", "a", "é", "\x1b[A", "\r"]), max_size=12),
    st.lists(st.integers(0, 40), max_size=6),
)
def test_reports_of_the_focus_are_never_keys_however_they_arrive(
    typed: list[str], cuts: list[int]
) -> None:
    whole = "".join(typed)
    ends = sorted({min(cut, len(whole)) for cut in cuts} | {len(whole)})
    reports: list[bool] = []
    keys: list[str] = []
    with create_pipe_input() as source:
        focus.take_reports(source, reports.append)
        for start, end in zip([0, *ends], ends, strict=False):
            if start < end:
                source.send_text(whole[start:end])
                keys += [key.data for key in source.read_keys()]
        keys += [key.data for key in source.flush_keys()]
    assert reports == [each == "\x1b[I" for each in typed if each in {"\x1b[I", "\x1b[O"}]
    assert "".join(keys) == "".join(each for each in typed if each not in {"\x1b[I", "\x1b[O"})
