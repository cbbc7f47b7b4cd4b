"""The archive's file against a naive list of all that was said."""

from __future__ import annotations

import contextlib
import re
import sqlite3
import unicodedata
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tcpchat_core import events
from tcpchat_core.archive import Archived, Matches, Moment, Page, Place
from tcpchat_core.notices import MAX_QUOTE_CHARS, Quote, Said
from tcpchat_net.logs.archive import (
    ARCHIVE_NAME,
    FORMAT,
    ArchiveError,
    ArchiveStore,
    DamagedError,
    Point,
)
from tests.core.history import QUERIES, STEPS, Past, cut_out

ROOMS = ("lobby", "tea", "кухня")
PEOPLE = ("ada", "bob", "zoë")
WORDS = ("tea", "Tea", "four", "café", "cafe", "don't", "a-b", "OR", "NOT", '"', "*", "чай")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[ArchiveStore]:
    opened = ArchiveStore(tmp_path)
    opened.open()
    yield opened
    opened.close()


def archived(id: int, room: str, nick: str, text: str) -> Archived:
    """Something that was said; its number in the room is that of its entry."""
    return Archived(id, room, nick, Said(room, nick, text, id, 1_000 * id))


def said(messages: list[tuple[int, int, list[int]]]) -> list[Archived]:
    return [
        archived(
            id,
            ROOMS[room],
            PEOPLE[person],
            " ".join(WORDS[word] for word in words) or "x",
        )
        for id, (room, person, words) in enumerate(messages, 1)
    ]


def words_of(text: str) -> list[str]:
    """As the index has them: runs of letters and digits, without case and accents."""
    bare = unicodedata.normalize("NFKD", text.casefold())
    bare = "".join(char for char in bare if not unicodedata.combining(char))
    return re.findall(r"[^\W_]+", bare)


def contains(text: str, word: str) -> bool:
    """Whether a text has the word; one with punctuation in it is several words in a row."""
    has, wanted = words_of(text), words_of(word)
    return any(has[at : at + len(wanted)] == wanted for at in range(len(has) - len(wanted) + 1))


MESSAGES = st.lists(
    st.tuples(
        st.integers(0, len(ROOMS) - 1),
        st.integers(0, len(PEOPLE) - 1),
        st.lists(st.integers(0, len(WORDS) - 1), min_size=1, max_size=4),
    ),
    max_size=30,
)


SEARCHES = st.builds(
    Matches,
    st.builds(
        lambda rooms, born: tuple(Place(room, born) for room in sorted(rooms)),
        st.sets(st.sampled_from(ROOMS), min_size=1),
        st.integers(0, 20),
    ),
    st.lists(st.sampled_from([word for word in WORDS if words_of(word)]), min_size=1).map(tuple),
    st.sampled_from(["", *PEOPLE]),
    st.integers(0, 20_000),
    st.integers(1, 5),
    st.integers(0, 40),
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(messages=MESSAGES, sought=SEARCHES, trimmed=st.integers(0, 15_000))
def test_a_search_finds_what_a_look_at_everything_finds(
    messages: list[tuple[int, int, list[int]]],
    sought: Matches,
    trimmed: int,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    born = {place.key: place.born for place in sought.places}
    everything = said(messages)
    store = ArchiveStore(tmp_path_factory.mktemp("archive"))
    store.open()
    store.add(everything, len(everything))
    while store.trim(trimmed):
        pass
    store.begin_merge()
    while store.merge():
        pass
    expected = [
        kept.said
        for kept in reversed(everything)
        if kept.key in born
        and kept.said.seq > born[kept.key]
        and kept.said.at >= max(sought.since, trimmed)
        and kept.id <= sought.upto
        and sought.author in ("", kept.author)
        and all(contains(kept.said.text, word) for word in sought.words)
    ]
    assert store.find(sought) == expected[: sought.limit + 1]
    for place in sought.places:
        page = store.find(Page(place, 15, sought.limit))
        before = [
            kept.said
            for kept in reversed(everything)
            if kept.key == place.key and place.born < kept.said.seq < 15 and kept.said.at >= trimmed
        ]
        assert page == before[: sought.limit + 1]
    store.close()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    messages=MESSAGES,
    place=st.builds(Place, st.sampled_from(ROOMS), st.integers(0, 9)),
    after=st.integers(0, 30),
    before=st.integers(0, 40),
    at=st.integers(0, 32_000),
    trimmed=st.integers(0, 15_000),
)
def test_an_archive_finds_the_first_messages_above_a_number_and_from_a_time_on(
    *,
    messages: list[tuple[int, int, list[int]]],
    place: Place,
    after: int,
    before: int,
    at: int,
    trimmed: int,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    everything = said(messages)
    store = ArchiveStore(tmp_path_factory.mktemp("archive"))
    store.open()
    store.add(everything, len(everything))
    while store.trim(trimmed):
        pass
    there = [
        kept.said
        for kept in everything
        if kept.key == place.key and place.born < kept.said.seq < before and kept.said.at >= trimmed
    ]
    above = [each for each in there if each.seq > after]
    assert store.find(Page(place, before, 2, after, first=True)) == above[:3]
    assert store.find(Page(place, before, 2, after)) == above[::-1][:3]
    assert store.find(Moment(place, at, before)) == [each for each in there if each.at >= at][:1]
    store.close()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS, remembers=st.integers(1, 6), query=QUERIES)
def test_a_page_is_cut_out_of_all_that_was_said_whoever_remembers_it(
    steps: list[int],
    remembers: int,
    query: events.History,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    server = Past(steps, remembers=remembers, archive=True)
    store = ArchiveStore(tmp_path_factory.mktemp("archive"))
    store.open()
    store.add(server.kept, server.kept[-1].id)
    query = server.placed(query)
    assert server.page(query, store.find) == cut_out(server.said, query)
    store.close()


def test_what_comes_again_is_there_once(store: ArchiveStore) -> None:
    store.add([archived(1, "lobby", "ada", "tea"), archived(2, "lobby", "ada", "four")], 2)
    store.add([archived(2, "lobby", "ada", "four"), archived(3, "lobby", "ada", "milk")], 3)
    assert [each.text for each in store.everything("lobby")] == ["tea", "four", "milk"]
    assert store.reached() == 3


def test_who_only_reads_is_told_when_there_is_nothing(tmp_path: Path) -> None:
    with pytest.raises(ArchiveError, match="there is no archive"):
        ArchiveStore(tmp_path).open_to_read()


def test_a_file_that_is_no_archive_is_damaged(tmp_path: Path) -> None:
    (tmp_path / ARCHIVE_NAME).write_bytes(b"nothing of ours" * 400)
    with pytest.raises(DamagedError):
        ArchiveStore(tmp_path).open()


def test_an_archive_of_a_newer_tcpchat_is_refused_and_not_put_aside(tmp_path: Path) -> None:
    store = ArchiveStore(tmp_path)
    store.open()
    store._connection.execute("PRAGMA user_version = 9")
    store.close()
    with pytest.raises(ArchiveError, match="newer tcpchat") as refused:
        ArchiveStore(tmp_path).open()
    assert not isinstance(refused.value, DamagedError)


def test_an_archive_of_an_older_format_is_marked_as_what_an_older_tcpchat_does_not_read(
    tmp_path: Path,
) -> None:
    store = ArchiveStore(tmp_path)
    store.open()
    store._connection.execute("PRAGMA user_version = 1")
    store.close()
    store.open_to_read()  # which changes nothing
    assert store._connection.execute("PRAGMA user_version").fetchone() == (1,)
    store.close()
    store.open()
    assert store._connection.execute("PRAGMA user_version").fetchone() == (FORMAT,)
    store.close()


def test_of_each_thousand_entries_an_archive_keeps_the_last_point(store: ArchiveStore) -> None:
    places = (5, 999, 1_000, 1_700, 2_500, 2_501)
    points = [Point(seq, f"chain at {seq}", "epoch") for seq in places]
    for point in points:
        store.add([], point.seq, point)
    assert [point.seq for point in store.points()] == [2_501, 1_700, 999]
    store.add([], 401_000, Point(401_000, "chain", "epoch"))
    assert [point.seq for point in store.points()] == [401_000, 2_501, 1_700]
    store.forget_beyond(2_000)
    assert (store.reached(), store.points()) == (2_000, [points[3]])


def test_an_archive_of_a_version_without_points_is_gone_on_with(tmp_path: Path) -> None:
    older = ArchiveStore(tmp_path)
    older.open()
    older.add([archived(1, "lobby", "ada", "tea")], 1)
    older.close()
    with contextlib.closing(sqlite3.connect(older.path)) as db:
        db.execute("DROP TABLE point")
    newer = ArchiveStore(tmp_path)
    newer.open()
    assert (newer.reached(), newer.points()) == (1, [])
    newer.add([archived(2, "lobby", "ada", "four")], 2, Point(2, "chain", "epoch"))
    assert [each.text for each in newer.everything("lobby")] == ["tea", "four"]
    newer.close()


@pytest.mark.parametrize("by_account", [False, True])
@pytest.mark.parametrize(("emote", "notice"), [(False, True), (True, False), (True, True)])
def test_how_something_was_said_is_kept_until_it_is_taken_back(
    emote: bool, notice: bool, by_account: bool, tmp_path: Path
) -> None:
    store = ArchiveStore(tmp_path)
    store.open()
    said = Said("lobby", "ada", "tea", 1, 1_000, emote, notice=notice, by_account=by_account)
    store.add([Archived(1, "lobby", "ada", said)], 1)
    assert store.find(Page(Place("lobby", 0), 9, 9)) == [said]
    gone = Said("lobby", "ada", "", 1, 1_000, emote=True, redacted=True)
    store.add([Archived(2, "lobby", "", gone)], 2)
    assert store.find(Page(Place("lobby", 0), 9, 9)) == [gone]
    store.close()


def test_what_was_taken_back_keeps_its_place_and_is_found_no_more(tmp_path: Path) -> None:
    store = ArchiveStore(tmp_path)
    store.open()
    gone = Archived(4, "lobby", "", Said("lobby", "ada", "", 2, 9, emote=True, redacted=True))
    store.add([archived(1, "lobby", "ada", "tea"), archived(2, "lobby", "ada", "secrettea")], 2)
    store.add([archived(3, "den", "ada", "secrettea"), gone, gone], 4)
    places = (Place("lobby", 0), Place("den", 0))
    found = store.find(Matches(places, ("secrettea",), "", 0, 9, 9))
    assert [(each.room, each.seq) for each in found] == [("den", 3)]
    left, tea = store.find(Page(Place("lobby", 0), 9, 9))
    assert left == Said("lobby", "ada", "", 2, 2_000, emote=True, redacted=True)
    assert tea.text == "tea"
    # What is past its time is forgotten as ever, and the index is whole.
    while store.trim(2_500):
        pass
    store.begin_merge()
    while store.merge():
        pass
    assert [each.seq for each in store.find(Matches(places, ("secrettea",), "ada", 0, 9, 9))] == [3]
    assert store.find(Page(Place("lobby", 0), 9, 9)) == []
    store.vacuum()
    store.close()
    assert (tmp_path / "archive.db").read_bytes().count(b"secrettea") == 2, (
        "in a row, and the index"
    )


TAGGED = Said("lobby", "ada", "tea", 1, 1_000, tags={"draft/reply": "7", "typing": ""})


@pytest.mark.parametrize("is_forgotten", [True, False])
def test_the_tags_of_a_message_are_kept_until_it_is_taken_back_or_forgotten(
    is_forgotten: bool, tmp_path: Path
) -> None:
    store = ArchiveStore(tmp_path)
    store.open()
    plain = Said("lobby", "ada", "milk", 2, 2_000)
    store.add([Archived(1, "lobby", "ada", TAGGED), Archived(2, "lobby", "ada", plain)], 2)
    everything = store.everything("lobby")
    assert everything == [TAGGED, plain]
    place = Place("lobby", 0)
    assert store.find(Page(place, 9, 9)) == everything[::-1]
    assert store.find(Matches((place,), ("tea",), "", 0, 9, 9)) == [TAGGED]
    gone = Said("lobby", "ada", "", 1, 1_000, emote=True, redacted=True)
    if is_forgotten:
        store.forget_beyond(0)
        store.add([Archived(1, "lobby", "ada", plain)], 1)
    else:
        store.add([Archived(3, "lobby", "", gone)], 3)
    assert not any(each.tags for each in store.everything("lobby"))
    store.close()


def test_an_archive_of_a_version_without_tags_is_read_and_gone_on_with(tmp_path: Path) -> None:
    older = ArchiveStore(tmp_path)
    older.open()
    older.add([archived(1, "lobby", "ada", "tea")], 1)
    older.close()
    with contextlib.closing(sqlite3.connect(older.path)) as db:
        db.execute("DROP TABLE tags")
    reader = ArchiveStore(tmp_path)
    reader.open_to_read()
    assert [each.text for each in reader.everything("lobby")] == ["tea"]
    reader.close()
    newer = ArchiveStore(tmp_path)
    newer.open()
    newer.add([Archived(2, "lobby", "ada", msgspec.structs.replace(TAGGED, seq=2))], 2)
    reader.open_to_read()
    for store in (newer, reader):
        assert [each.tags for each in store.everything("lobby")] == [None, TAGGED.tags]
        store.close()


# ── What is answered ─────────────────────────────────────────────────────────────────────────


def answer(id: int, re: int, room: str = "lobby") -> Archived:
    """Somebody answers a message of a room by its number."""
    return Archived(id, room, "bob", Said(room, "bob", "yes", id, 1_000 * id, re=re))


def quotes(store: ArchiveStore, born: int = 0) -> list[tuple[int | None, Quote | None]]:
    """What the answers of the lobby answer, as a page, a search and all of it have it, alike."""
    place = Place("lobby", born)
    page = store.find(Page(place, 100, 100))
    found = store.find(Matches((place,), ("yes",), "", 0, 100, 100))
    assert found == [each for each in page if each.re is not None]
    if not born:
        assert store.everything("lobby") == page[::-1]
    return [(each.re, each.quote) for each in found]


def test_an_answer_is_kept_with_a_number_and_shows_what_the_archive_has_then(
    store: ArchiveStore,
) -> None:
    store.add([archived(1, "lobby", "ada", "tea? " * 30), answer(2, 1), answer(3, 9)], 3)
    shown = ("tea? " * 11).rstrip() + "…"
    assert len(shown) <= MAX_QUOTE_CHARS
    assert quotes(store) == [(9, None), (1, Quote("ada", shown))]
    assert quotes(store, born=1) == [(9, None), (1, None)], "it is of an earlier life of the room"
    gone = Said("lobby", "ada", "", 1, 9, emote=True, redacted=True)
    store.add([Archived(4, "lobby", "", gone)], 4)
    assert quotes(store) == [(9, None), (1, None)]


def test_what_an_answer_answers_is_of_its_own_room(store: ArchiveStore) -> None:
    store.add([archived(1, "den", "ada", "secret"), answer(2, 1)], 2)
    assert quotes(store) == [(1, None)]


@pytest.mark.parametrize("how", ["taken back", "trimmed", "lost"])
def test_of_an_answer_that_is_gone_nothing_is_left_for_what_comes_by_its_number(
    how: str, store: ArchiveStore
) -> None:
    store.add([archived(1, "lobby", "ada", "tea?"), answer(2, 1)], 2)
    match how:
        case "taken back":
            gone = Said("lobby", "bob", "", 2, 9, emote=True, redacted=True)
            store.add([Archived(3, "lobby", "", gone)], 3)
        case "trimmed":
            assert store.trim(9_000)
        case _:
            store.forget_beyond(1)
            store.add([archived(2, "lobby", "bob", "no")], 2)
    assert not any(each.re or each.quote for each in store.everything("lobby"))
    assert quotes(store) == []


def test_an_archive_of_a_version_without_answers_is_read_and_gone_on_with(tmp_path: Path) -> None:
    older = ArchiveStore(tmp_path)
    older.open()
    older.add([archived(1, "lobby", "ada", "tea?")], 1)
    older.close()
    with contextlib.closing(sqlite3.connect(older.path)) as db:
        db.execute("DROP TABLE answer")
        db.execute("PRAGMA user_version = 2")
    reader = ArchiveStore(tmp_path)
    reader.open_to_read()
    assert [each.text for each in reader.everything("lobby")] == ["tea?"]
    reader.close()
    newer = ArchiveStore(tmp_path)
    newer.open()
    newer.add([answer(2, 1)], 2)
    assert quotes(newer) == [(1, Quote("ada", "tea?"))]
    newer.close()
