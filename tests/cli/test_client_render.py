"""What tcpchat-client makes of what a server says, whatever it says."""

from __future__ import annotations

from datetime import date, datetime

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tcpchat_cli.terminal.layout import in_encoding, layout
from tcpchat_cli.terminal.reading import READ_SECONDS, Reading
from tcpchat_cli.terminal.render import Renderer
from tcpchat_cli.terminal.theme import NICKS, nick_style
from tcpchat_cli.terminal.toolbar import Status, toolbar
from tcpchat_cli.terminal.view import View
from tcpchat_cli.terminal.widths import text_width

from tcpchat_core import Notice, events, notices
from tcpchat_core.notices import Said


def test_a_url_stays_whole_and_what_follows_is_wrapped_under_the_text() -> None:
    url = "https://example.org/" + "x" * 60
    lines = Renderer(date(1970, 1, 1)).lines(Said("lobby", "ada", f"see {url} there", 1, 0))
    rows = "".join(piece for _, piece in layout(lines, 40)).splitlines()
    assert url in rows[1]
    assert rows[2] == " " * 11 + "there"


def test_a_new_day_has_a_line_of_its_own() -> None:
    renderer = Renderer(date(1970, 1, 1))
    day = 24 * 3600 * 1000
    texts = [
        line.text
        for at in (day // 2, day // 2 + 1, 3 * day + day // 2)
        for line in renderer.lines(Said("lobby", "ada", "hello", 1, at))
    ]
    assert len(texts) == 4
    assert texts[2] == "── Sunday, 4 January 1970 ──"


def test_a_gap_is_shown_as_one_and_the_way_to_what_is_missing_is_told() -> None:
    (line,) = Renderer().lines(notices.Gap("lobby", 7))
    assert line.text == (
        "── some of what was said in lobby is missing here; /goto gap shows what there still is ──"
    )
    (line,) = Renderer().lines(notices.Gap("", 7))  # what is told to one alone is kept nowhere
    assert line.text == "── some of what was said to you alone is lost ──"


def test_times_that_there_are_not_are_dashes() -> None:
    (line,) = Renderer().lines(Said("lobby", "ada", "hello", 1, 2**62))
    assert line.text == "--:-- ada: hello"


def test_who_is_called_by_nick_is_meant_and_nobody_else() -> None:
    renderer = Renderer()
    renderer.me = "ada"
    for text in ("ada", "hello Ada!", "ada: yes", "(ada)", "@ada"):
        assert renderer.mentions_me(text), text
    for text in ("adam", "canada", "hello", "ad a", "ada_2"):
        assert not renderer.mentions_me(text), text


def test_glyphs_that_an_encoding_lacks_are_replaced() -> None:
    (line,) = Renderer().lines(notices.Told("ada", "안녕…", 1, 2**62))
    assert in_encoding(line, "ascii").text == "--:-- [ada -> you] ??..."
    assert in_encoding(line, "utf-8") == line


def test_a_nick_has_the_same_colour_however_it_is_written() -> None:
    assert nick_style("Ada") == nick_style("ada") == nick_style("ADA")
    assert len({nick_style(f"nick{number}") for number in range(200)}) == NICKS


@given(st.integers(20, 120), st.lists(st.text("abc한", min_size=1, max_size=32), max_size=20))
def test_the_bar_is_never_wider_than_the_terminal(columns: int, rooms: list[str]) -> None:
    views = tuple(View(room, "room") for room in rooms)
    for view in views:
        view.unread.add(mention=view.name < "b")
    status = Status(views, views[0] if views else View("", "home"), 3, 12, "reconnecting", True)
    bar = "".join(text for _, text in toolbar(status, columns))
    assert text_width(bar) <= columns
    assert "reconnecting" in bar


def test_where_there_is_little_room_the_bar_begins_with_the_current_one() -> None:
    views = tuple(View(f"room-{number}", "room") for number in range(10))
    status = Status(views, views[7], 3, 12, "connected", trouble=False)
    bar = "".join(text for _, text in toolbar(status, 40))
    assert bar == " 8:room-7 9:room-8 10:room… │ connected "


def test_where_there_is_little_room_the_bar_still_tells_who_calls() -> None:
    views = tuple(View(f"a-room-with-a-long-name-{number}", "room") for number in range(10))
    for _ in range(3):
        views[2].unread.add(mention=False)
        views[8].unread.add(mention=True)
    status = Status(views, views[7], 3, 12, "connected", trouble=False)
    bar = "".join(text for _, text in toolbar(status, 50))
    assert bar == " 8:a-room-with-a-long-name-7 9!3 3+3… │ connected "
    bar = "".join(text for _, text in toolbar(status, 40))
    assert bar == " 8:a-room-with-a-long… 9!3… │ connected "


@pytest.mark.parametrize(
    ("notice", "text"),
    [
        (
            notices.Left("lobby", "bob", by="ada", reason="spam", at=0),
            "bob was put out of lobby by ada (spam)",
        ),
        (
            notices.Left("lobby", "bob", own=True, by="ada", at=0, until=3_600_000),
            "you were banned from lobby for 1 h, by ada",
        ),
        (
            notices.Restricted("lobby", "bob", "mute", 600_000, "ada", 0, "spam"),
            "bob is muted in lobby for 10 min, by ada (spam)",
        ),
        (
            notices.Restricted("lobby", "bob", "mute", 600_000, "ada", 0, own=True),
            "you are muted in lobby for 10 min, by ada",
        ),
        (
            notices.Lifted("lobby", "bob", "ban", "ada"),
            "bob is not banned from lobby any more, says ada",
        ),
        (notices.RoleSet("lobby", "bob", "moderator", "ada"), "bob moderates lobby now, says ada"),
        (
            notices.RoleSet("lobby", "bob", "member", "ada"),
            "bob does not moderate lobby any more, says ada",
        ),
        (notices.RestrictionList("lobby", (), 0), "nobody is banned from lobby, or muted in it"),
        (
            notices.RestrictionList(
                "lobby", (notices.RestrictionInfo("bob", "ban", 60_000, "ada"),), 0
            ),
            "bob is banned from lobby for another 1 min, by ada",
        ),
        (notices.ModeSet("lobby", "ada", 5_000), "lobby is slow (one line in 5 s) now, says ada"),
        (notices.ModeSet("lobby", ""), "lobby is open now: somebody who looked after it is gone"),
        (notices.Redacted("lobby", 7, "bob", 0, "bob"), "bob took back something in lobby"),
        (
            notices.Redacted("lobby", 7, "ada", 0, "bob"),
            "ada took back something that bob had said in lobby",
        ),
        (notices.Invited("den", "ada", 3_600_000, 0, "bob"), "bob may /join den for 1 h, says ada"),
        (
            notices.Invited("den", "ada", 3_600_000, 0, code="ab-cd"),
            "/join den ab-cd lets people in for 1 h",
        ),
        (notices.Members("lobby", ("ada", "bob"), ("ada",)), "lobby is moderated by ada"),
        (notices.Members("lobby", ("ada",), owners=("ada", "eve")), "lobby belongs to ada, eve"),
        (notices.Members("lobby", ("ada",), kept=True, private=True), "lobby is private, kept"),
        (notices.PersonInfo("bob", rooms=("lobby",)), "bob is a guest; is in lobby"),
        (notices.Members("lobby", ("ada", "bob"), away=("bob",)), "away: bob"),
        (notices.AwaySet("bob", "tea time"), "bob is away (tea time)"),
        (notices.AwaySet("bob"), "bob is back"),
        (notices.AccountSet("bob", "bob"), "bob has an account"),
        (notices.AwaySet("me", "tea time", own=True), "you are away (tea time)"),
        (notices.AwaySet("me", own=True), "you are back"),
        (notices.NameSet("bob", "Bob Builder"), "bob tells a real name: Bob Builder"),
        (notices.NameSet("bob"), "bob tells no real name"),
        (notices.NameSet("me", "Ada Lovelace", own=True), "you tell a real name: Ada Lovelace"),
        (notices.NameSet("me", own=True), "you tell no real name"),
        (notices.PersonInfo("bob", name="Bob Builder"), "bob is a guest. Real name: Bob Builder"),
        (
            notices.Restricted("", "bob", "mute", 600_000, "ada", 0, "spam"),
            "bob is muted on this server for 10 min, by ada (spam)",
        ),
        (
            notices.Lifted("", "bob", "ban", "ada"),
            "bob is not banned from this server any more, says ada",
        ),
        (notices.RoleSet("lobby", "bob", "owner", "ada"), "bob owns lobby now, says ada"),
        (notices.ModeSet("lobby", "ada", kept=True), "lobby is kept now, says ada"),
        (
            notices.Expelled("bob", "ada", 0, "spam"),
            "bob was put out of this server (spam)",
        ),
        (
            notices.Expelled("bob", "ada", 0, until=3_600_000),
            "bob is banned from this server for 1 h",
        ),
        (notices.RestrictionList("", (), 0), "nobody is banned from this server, or muted on it"),
        (
            notices.RestrictionList(
                "", (notices.RestrictionInfo("bob", "mute", 60_000, "ada"),), 0
            ),
            "bob is muted on this server for another 1 min, by ada",
        ),
        (notices.Left("lobby", "bob", reason="tea time"), "bob left lobby (tea time)"),
        (notices.Left("lobby", "me", own=True, reason="tea"), "you left lobby (tea)"),
        (notices.ActList(()), "nothing was done yet"),
        (notices.Claimed("ada", 2, token="secret"), "this is device 2 of ada"),
        (notices.Claimed("ada", 0), "you are here as ada"),
        (
            notices.Claimed("ada", 2, admin=True),
            "this is device 2 of ada, who looks after this server",
        ),
        (
            notices.Offered("ada", 600_000, 0, "ab-cd"),
            "/claim ab-cd on another device makes it one of ada, for 10 min",
        ),
        (notices.Revoked(2), "device 2 is none of yours any more"),
        (notices.PasswordSet("ada"), "ada has a new password now"),
        (notices.PasswordSet("ada", is_set=False), "ada has no password now"),
    ],
)
def test_what_moderators_do_is_told_in_one_line(notice: Notice, text: str) -> None:
    renderer = Renderer()
    renderer.timestamps = False
    assert renderer.lines(notice)[-1].text == f"-- {text}"


def test_who_comes_into_a_room_is_told_how_one_talks_there() -> None:
    entered = notices.Entered("lobby", ("ada",), 1, 0, 0)
    assert shown(entered) == ["-- you are in lobby with ada"]
    restricted = msgspec.structs.replace(entered, kept=True, private=True, slow_ms=5_000)
    assert shown(restricted)[1:] == ["-- lobby is private, kept, slow (one line in 5 s)"]
    moderated = msgspec.structs.replace(entered, moderated=True, topic_locked=True, topic="tea")
    assert shown(moderated)[1:] == [
        "-- lobby is for moderators to speak in, for moderators to set the topic of",
        "-- topic of lobby: tea",
    ]


@pytest.mark.parametrize(
    ("notice", "line"),
    [
        (Said("lobby", "bob", "it rains", 7, 0, notice=True), "-bob- it rains"),
        (Said("lobby", "bob", "waves", 7, 0, emote=True, notice=True), "* bob waves"),
        (notices.Told("bob", "it rains", 7, 0, notice=True), "[-bob- → you] it rains"),
        (notices.Told("me", "it rains", 7, 0, "bob", notice=True), "[-you- → bob] it rains"),
    ],
)
def test_what_no_program_answers_has_its_author_between_dashes(notice: Notice, line: str) -> None:
    assert shown(notice) == [line]


def test_a_receipt_tells_that_the_other_one_is_away() -> None:
    renderer = Renderer(date(1970, 1, 1))
    renderer.timestamps = False
    sent = notices.Sent(0, "1", None, "bob", away="tea time")
    lines = [line.text for line in renderer.own(events.Tell("bob", "psst"), sent)]
    assert lines == ["[you → bob] psst", "-- bob is away (tea time)"]


def test_what_was_taken_back_is_shown_as_that() -> None:
    renderer = Renderer()
    renderer.timestamps = False
    said = Said("lobby", "bob", "", 7, 0, emote=True, redacted=True)
    assert renderer.lines(said)[-1].text == "* bob (taken back)"


def shown(notice: Notice) -> list[str]:
    """The lines that tell the notice, without times."""
    renderer = Renderer(date(1970, 1, 1))
    renderer.timestamps = False
    return [line.text for line in renderer.lines(notice)]


def local(at: int) -> str:
    return f"{datetime.fromtimestamp(at / 1_000):%Y-%m-%d %H:%M}"


def test_devices_and_acts_are_lists_with_local_times() -> None:
    day = 86_400_000
    devices = (
        notices.DeviceInfo(1, day, "phone", here=True),
        notices.DeviceInfo(2, day, own=True),
        notices.DeviceInfo(3, 2**62),
    )
    since = local(day)[:10]
    assert shown(notices.DeviceList("ada", devices)) == [
        "-- the devices of ada:",
        f"-- 1 (phone) since {since} here",
        f"-- 2 since {since} this one",
        "-- 3 since ----",
    ]
    acts = (
        notices.Act(day, "", "admin", nick="ada"),
        notices.Act(day, "ada", "ban", "lobby", "bob", 2 * day, "spam"),
    )
    assert shown(notices.ActList(acts)) == [
        f"-- {local(day)} the owner admin ada on this server",
        f"-- {local(day)} ada ban bob in lobby until {local(2 * day)} (spam)",
    ]


def test_what_one_said_on_another_device_is_shown_as_ones_own() -> None:
    renderer = Renderer(date(1970, 1, 1))
    renderer.me = "ada"
    sent = notices.Sent(43_200_000, nick="bob")
    here = renderer.own(events.Tell("bob", "psst ada"), sent)
    there = renderer.lines(notices.Told("ada", "psst ada", 1, 43_200_000, "bob"))
    assert there == [line._replace(echo=False) for line in here]
    assert here[0].text.endswith("[you → bob] psst ada")


def test_how_far_one_has_read_is_told_once_in_a_while_and_only_when_it_is_news() -> None:
    reading = Reading()
    assert reading.wait("lobby", 0, 0.0) is None
    assert reading.wait("lobby", 3, 0.0) == 0
    reading.told("lobby", 3, 0.0)
    assert reading.wait("lobby", 3, 1.0) is None
    assert reading.wait("lobby", 4, 1.0) == READ_SECONDS - 1
    assert reading.wait("den", 4, 1.0) == 0
    reading.note("lobby", 4)  # another device was faster
    assert reading.wait("lobby", 4, 9.0) is None
    assert reading.wait("lobby", 5, 9.0) == 0
    assert reading.is_read("lobby", 4)
    assert not reading.is_read("lobby", 5)
