"""How one line of IRC is written: nobody forges one, none is too long, no cut tears a character."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from wcwidth import iter_graphemes

from tcpchat_core.dialects.irc.wire import (
    SERVER,
    channel,
    joined_tags,
    line,
    listed,
    person,
    pieces,
    said_lines,
    shortened,
    tag_value,
    time_tag,
    word,
)
from tcpchat_core.sanitize import sanitize
from tests.core.irc import NICKS, ROOMS, Line, lines_of, told
from tests.core.strategies import NASTY, NASTY_TEXT

# What is seen as one character, though it is several.
SEQUENCES = (
    "e\u0301",
    "🇩🇪",
    "👩🏽\u200d🚀",
    "❤\ufe0f",
    "क्ष",
    "각",
    "ก\u0e33",
    "🏴\U000e0067\U000e007f",
    "a",
    "日",
)
WRITTEN = st.lists(st.sampled_from((*SEQUENCES, " ", "word", "  ")), max_size=200).map("".join)

# As a text that is passed on: of any characters that are left by then.
TEXTS = st.text(
    st.characters(exclude_categories=["Cs"]) | st.sampled_from(NASTY), max_size=700
).map(sanitize)


@pytest.mark.parametrize(
    ("text", "size", "cut"),
    [
        ("", 5, [""]),
        ("hello", 5, ["hello"]),
        ("hello world", 5, ["hello", "world"]),
        ("hello world", 6, ["hello", "world"]),
        ("hello  world", 7, ["hello", "world"]),
        ("helloworld", 5, ["hello", "world"]),
        ("a helloworld", 5, ["a", "hello", "world"]),
        ("  hi", 3, ["hi"]),
        ("hello ", 5, ["hello"]),
        (" " * 9, 5, [""]),
        ("héllo", 2, ["h", "é", "ll", "o"]),
        ("日本語", 7, ["日本", "語"]),
        ("ae\u0301", 3, ["a", "e\u0301"]),
        ("🇩🇪🇫🇷🇪🇸", 12, ["🇩🇪", "🇫🇷", "🇪🇸"]),
        ("🇩🇪🇫🇷", 16, ["🇩🇪🇫🇷"]),
        ("a👩🏽\u200d🚀", 12, ["a", "👩🏽\u200d", "🚀"]),
        ("日本", 1, ["日", "本"]),
        ("ab \u0301c", 4, ["ab", " \u0301c"]),
        ("ab  \u0301c", 4, ["ab", " \u0301c"]),
        ("a b \u0301c", 5, ["a", "b \u0301c"]),
    ],
)
def test_a_text_is_cut_at_blanks_or_between_characters(
    text: str, size: int, cut: list[str]
) -> None:
    assert pieces(text, size) == cut


def _without_blanks_at_cuts(text: str, parts: list[str]) -> str:
    """What is left of a text when its parts, and the blanks between them, are taken away."""
    for part in parts:
        at = text.find(part)
        assert text[:at].strip(" ") == ""
        text = text[at + len(part) :]
    return text.strip(" ")


@given(text=WRITTEN | TEXTS, size=st.integers(40, 120))
def test_the_pieces_of_a_text_are_all_of_it_but_blanks_at_the_cuts(text: str, size: int) -> None:
    parts = pieces(text, size)
    assert not _without_blanks_at_cuts(text, parts)
    assert all(0 < len(part.encode()) <= size for part in parts) or parts == [""]


@given(text=WRITTEN, size=st.integers(40, 120))
@example("🇩🇪" * 30, 41)
@example("ก\u0e33" * 30, 40)
@example("👩🏽\u200d🚀" * 30, 50)
def test_no_cut_is_inside_what_is_seen_as_one_character(text: str, size: int) -> None:
    seen = {character for character in iter_graphemes(text) if character != " "}
    for part in pieces(text, size):
        assert {character for character in iter_graphemes(part) if character != " "} <= seen


@given(text=WRITTEN | TEXTS, size=st.integers(40, 120))
def test_two_pieces_in_a_row_would_not_have_fitted_into_one_line(text: str, size: int) -> None:
    graphemes = max([len(each.encode()) for each in iter_graphemes(text)], default=0)
    for one, other in itertools.pairwise(pieces(text, size)):
        first = other.partition(" ")[0]
        assert len(one.encode()) + 1 + max(len(first.encode()), graphemes) > size - graphemes


def test_a_sequence_that_is_longer_than_a_line_is_cut_all_the_same() -> None:
    assert pieces("e" + "\u0301" * 9, 7) == ["e\u0301\u0301\u0301", "\u0301" * 3, "\u0301" * 3]


@pytest.mark.parametrize(
    ("text", "size", "short"),
    [("tea at four", 11, "tea at four"), ("tea at four", 10, "tea at…"), ("ééé", 5, "é…")],
)
def test_what_is_not_said_by_a_person_is_cut_short(text: str, size: int, short: str) -> None:
    assert shortened(text, size) == short


@pytest.mark.parametrize(
    ("text", "made"),
    [
        ("ada", "ada"),
        ("", "*"),
        (":", "*"),
        (":a b", "a_b"),
        ("a\r\nQUIT", "a__QUIT"),
        ("a\0b", "ab"),
        ("x" * 999, "x" * 129),
        ("日" * 50, "日" * 43),
    ],
)
def test_what_is_no_word_is_made_one(text: str, made: str) -> None:
    assert word(text) == made


def test_the_source_of_a_line_is_a_person_or_the_server() -> None:
    assert person("ada") == "ada!~u@tcpchat"
    assert person("") == SERVER == "tcpchat"


def test_a_room_is_called_with_its_sign_once() -> None:
    assert channel("lobby") == channel("#lobby") == "#lobby"


@given(text=NASTY_TEXT, nick=NICKS, room=ROOMS)
def test_a_line_that_is_read_again_says_what_was_written(text: str, nick: str, room: str) -> None:
    data = line(person(nick), "TOPIC", channel(room), text=text)
    assert told(data) == [Line({}, person(nick), "TOPIC", (f"#{room}", sanitize(text)))]


@given(words=st.lists(NASTY_TEXT, max_size=4))
def test_nobody_forges_a_word(words: list[str]) -> None:
    [read] = told(line(SERVER, "401", *words))
    assert read == Line({}, SERVER, "401", tuple(map(word, words)))


@given(text=WRITTEN | TEXTS, nick=NICKS, room=ROOMS, emote=st.booleans())
def test_what_is_said_is_read_again_in_order_and_whole(
    text: str, nick: str, room: str, emote: bool
) -> None:
    read = told(said_lines(nick, "PRIVMSG", channel(room), text, emote=emote))
    assert all(each.source == person(nick) and each.params[0] == f"#{room}" for each in read)
    parts = [each.params[1] for each in read]
    if emote:
        assert all(part.startswith("\x01ACTION ") and part.endswith("\x01") for part in parts)
        parts = [part[len("\x01ACTION ") : -1] for part in parts]
    assert not _without_blanks_at_cuts(text, parts)


def test_each_line_of_a_message_has_its_time_and_the_first_its_id() -> None:
    read = told(said_lines("ada", "PRIVMSG", "#lobby", "word " * 200, tags=time_tag(1), id="e.7.k"))
    times = [each.tags.pop("time") for each in read]
    assert times == ["1970-01-01T00:00:00.001Z"] * len(read)
    assert [each.tags for each in read] == [{"msgid": "e.7.k"}, *[{}] * (len(read) - 1)]
    assert len(read) == 3


@pytest.mark.parametrize(
    ("at", "shown"),
    [
        (0, "1970-01-01T00:00:00.000Z"),
        (1_700_000_000_123, "2023-11-14T22:13:20.123Z"),
        (-1, "1970-01-01T00:00:00.999Z"),
        (2**53, "9999-12-31T23:59:59.992Z"),
    ],
)
def test_a_time_is_told_to_the_millisecond(at: int, shown: str) -> None:
    assert time_tag(at) == f"@time={shown} "


def test_tags_are_joined() -> None:
    assert joined_tags("", "") == ""
    assert joined_tags("", "@time=1 ") == "@time=1 "
    assert joined_tags("a", "") == "@msgid=a "
    assert joined_tags("a", "@time=1 ") == "@msgid=a;time=1 "


def test_what_ends_a_tag_is_escaped_in_it() -> None:
    assert tag_value("a;b\\c d") == "a\\:b\\\\c_d"


@given(entries=st.lists(NICKS, max_size=60))
def test_a_list_is_told_in_as_few_lines_as_it_needs(entries: list[str]) -> None:
    data = listed(SERVER, "353", "ada", "=", "#lobby", entries=entries)
    read = told(b"".join(data))
    assert [nick for each in read for nick in each.params[3].split()] == entries
    for one, other in itertools.pairwise(lines_of(b"".join(data))):
        first = other.split(b":", 2)[2].split(b" ")[0]
        assert len(one) + 1 + len(first) > 510


@pytest.mark.parametrize("sequence", [" \u0301", "\u0301", "\u200d"])
def test_a_sequence_without_an_end_is_cut_all_the_same(sequence: str) -> None:
    text = "x" + sequence * 600
    found = pieces(text, 101)
    assert all(len(piece.encode()) <= 101 for piece in found)
    assert "".join(found).replace(" ", "") == text.replace(" ", "")
