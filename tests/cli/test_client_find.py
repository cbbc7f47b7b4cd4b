"""Finding what was said: what of it is marked, and the look through what is on the screen."""

from __future__ import annotations

import string
import unicodedata
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tcpchat_cli.terminal.find import Look, marked, marked_where, typed_spans, word_spans
from tcpchat_cli.terminal.numbering import MessageId
from tcpchat_cli.terminal.render import Line

from tcpchat_core.archive import Archived, Matches, Place
from tcpchat_core.notices import Said
from tcpchat_net.logs.archive import ArchiveStore

# What people write, in some of the scripts; "ﬁ", ẞ and the like are compared in ways of their own.
LETTERS = string.ascii_letters + "éÉñÅßẞİσςΣйЙёяغدًاשלום한글中文がか\u0301\u0308"
TEXTS = st.text(LETTERS + " -'.,1２", max_size=12)


def said(text: str) -> Line:
    return Line([("class:time", "12:30 "), ("", "ada: ")], [("", text)], MessageId("lobby", 1))


def pieces(line: Line) -> list[str]:
    return [text for style, text in line.body if "class:match" in style]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[ArchiveStore]:
    opened = ArchiveStore(tmp_path)
    opened.open()
    yield opened
    opened.close()


def finds(store: ArchiveStore, text: str, word: str) -> bool:
    """Whether the archive of a server finds the text by the word."""
    last = store.reached()
    said = Said("lobby", "ada", text, last + 1, 0)
    store.add([Archived(last + 1, "lobby", "ada", said)], last + 1)
    words = Matches((Place("lobby", last),), (word,), "", 0, 1, last + 1)
    return bool(store.find(words))


@given(words=st.lists(TEXTS, min_size=1, max_size=4), sought=TEXTS)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_a_server_finds_is_marked_and_nothing_else(
    store: ArchiveStore, words: list[str], sought: str
) -> None:
    text = " ".join(words)
    for word in [*words, *sought.split()]:
        if not any(map(str.isalnum, word)) or len(word.split()) != 1:
            continue
        spans = word_spans(text, word)
        assert bool(spans) == finds(store, text, word)
        for first, last in spans:
            assert finds(store, text[first:last], word)


@pytest.mark.parametrize(
    ("text", "words", "found"),
    [
        ("Tea at four, teatime", "tea FOUR", ["Tea", "four"]),
        ("a tea-time, tea time and time-tea", "tea-time", ["tea-time", "tea time"]),
        ("Café, CAFE\u0301 und cafeteria", "cafe", ["Café", "CAFE\u0301"]),
        ("한국어와 한국어", "한국어", ["한국어"]),
        ("شاي في الرابعة", "الرابعة", ["الرابعة"]),
        ("Straße STRASSE", "straße", ["Straße"]),
        ("nothing of it", "tea", []),
        ("", "tea", []),
    ],
)
def test_the_words_of_a_search_are_marked_as_wholes(
    text: str, words: str, found: list[str]
) -> None:
    assert pieces(marked(said(text), word_spans(text, words))) == found


@pytest.mark.parametrize(
    ("text", "typed", "found"),
    [
        ("Teatime and tea", "tea", ["Tea", "tea"]),
        ("Café au lait", "cafe a", ["Café a"]),
        ("cafe\u0301", "é", ["e\u0301"]),
        ("한국어 한글", "하", ["한", "한"]),
        ("한국어", unicodedata.normalize("NFD", "국"), ["국"]),
        ("مَرْحَبًا", "مرحبا", ["مَرْحَبًا"]),
        ("ﬁne Ｆｉｎｅ", "fine", ["ﬁne", "Ｆｉｎｅ"]),
        ("が か", "が", ["が"]),
        ("Straße", "strasse", ["Straße"]),
        ("tea", "", []),
        ("tea", "\u0301", []),
    ],
)
def test_what_is_looked_for_is_found_anywhere(text: str, typed: str, found: list[str]) -> None:
    assert pieces(marked_where(said(text), typed)) == found


BODIES = st.lists(st.tuples(st.sampled_from(["", "class:mention"]), TEXTS), max_size=4)


@given(BODIES, TEXTS)
def test_marks_change_nothing_of_a_line(body: list[tuple[str, str]], sought: str) -> None:
    line = Line([("class:time", "12:30 ")], body, MessageId("lobby", 1))
    for made in (marked(line, word_spans(line.text[6:], sought)), marked_where(line, sought)):
        assert (made.head, made.text, made.place) == (line.head, line.text, line.place)
        styles = [style for style, text in line.body for _ in text]
        assert [
            style.replace("class:match", "").strip() for style, text in made.body for _ in text
        ] == styles


@given(st.text(max_size=30), st.text(max_size=5))
def test_a_span_is_what_is_looked_for_and_a_piece_of_a_text_is_found_in_it(
    text: str, typed: str
) -> None:
    end = 0
    for first, last in typed_spans(text, typed):
        assert end <= first < last <= len(text)
        assert typed_spans(text[first:last], typed) == [(0, last - first)]
        end = last
    if typed_spans(typed, typed):
        assert typed_spans(text + typed + text, typed)


def test_a_look_goes_from_the_newest_to_the_oldest_and_back() -> None:
    look = Look([said(text) for text in ("tea", "coffee", "Tea time", "milk")])
    assert look.hit() is None
    look.typed = "t"
    look.typed = "tea"
    hit = look.hit()
    assert hit is not None
    assert (hit.at, hit.number, pieces(hit.line)) == (2, 1, ["Tea"])
    assert [line.text[11:] for line in look.around(hit, 1)] == ["coffee", "Tea time", "milk"]
    assert look.older()
    hit = look.hit()
    assert hit is not None
    assert (hit.at, hit.number) == (0, 2)
    assert [line.text[11:] for line in look.around(hit, 2)] == ["tea", "coffee", "Tea time"]
    assert not look.older()
    assert look.hit() == hit
    assert look.newer()
    assert not look.newer()
    look.older()
    look.typed = "m"
    hit = look.hit()
    assert hit is not None
    assert hit.at == 3


def test_names_and_times_are_looked_through_as_well() -> None:
    look = Look([said("tea")])
    look.typed = "30 ADA: t"
    hit = look.hit()
    assert hit is not None
    assert pieces(hit.line) == ["t"]
