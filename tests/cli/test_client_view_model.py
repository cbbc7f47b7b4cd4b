"""The views of tcpchat-client against a naive model: which there are, what is new, the bounds."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from tcpchat_cli.terminal.numbering import MessageId
from tcpchat_cli.terminal.render import Line
from tcpchat_cli.terminal.view import MAX_LINES, View
from tcpchat_cli.terminal.views import MAX_DIRECT, MAX_LINES_IN_ALL, MAX_ROOMS, Views

from tcpchat_core.names import nick_key

ROOMS = st.sampled_from(["lobby", "dev", "den", "tea"])
NICKS = st.sampled_from(["ada", "Ada", "bob", "eve", "\u0430da", "다람쥐"])

NOWHERE = MessageId("", 0)


def said(text: str, place: MessageId | None = None) -> Line:
    return Line([("", "ada: ")], [("", text)], place)


class Told:
    """What the model knows of a view: all its lines, and how many are unread and below the mark."""

    def __init__(self, kind: str, name: str) -> None:
        self.kind, self.name = kind, name
        self.lines: list[str] = []
        self.unread = self.mentions = 0
        self.new: list[str] | None = None

    def key(self) -> tuple[str, str]:
        return self.kind, nick_key(self.name) if self.kind == "direct" else self.name


class ViewsAsTheyShouldBe(RuleBasedStateMachine):
    """Rooms and people come, go, are renamed and looked at, in any order."""

    @initialize()
    def begin(self) -> None:
        self.views = Views()
        self.model: list[Told] = []
        self.current: Told | None = None
        self.before: Told | None = None
        self.number = 0

    # ── What the model does ──────────────────────────────────────────────────────────────────

    def find(self, kind: str, name: str) -> Told | None:
        key = Told(kind, name).key()
        return next((each for each in self.model if each.key() == key), None)

    def opened(self, kind: str, name: str) -> Told:
        if (found := self.find(kind, name)) is None:
            found = Told(kind, name)
            self.model.append(found)
        return found

    def looked_at(self, told: Told | None) -> None:
        if told is not self.current:
            if self.current is not None:
                self.current.new = None
            self.before, self.current = self.current, told
        if told is not None:
            told.unread = told.mentions = 0

    def view_of(self, told: Told) -> View:
        view = self.views.room(told.name) if told.kind == "room" else self.views.direct(told.name)
        assert view is not None
        return view

    # ── What happens ─────────────────────────────────────────────────────────────────────────

    @rule(room=ROOMS)
    def come_into_a_room(self, room: str) -> None:
        self.opened("room", room)
        self.views.open_room(room)

    @rule(nick=NICKS, mention=st.booleans())
    def be_told(self, nick: str, mention: bool) -> None:
        self.hear(self.views.open_direct(nick), self.opened("direct", nick), mention)

    @rule(room=ROOMS, mention=st.booleans())
    def something_is_said(self, room: str, mention: bool) -> None:
        view, told = self.views.room(room), self.find("room", room)
        assert (view is None) == (told is None)
        if view is not None and told is not None:
            self.hear(view, told, mention)

    def hear(self, view: View, told: Told, mention: bool) -> None:
        self.number += 1
        text = f"line {self.number}"
        told.lines.append(text)
        if told is not self.current:
            told.unread += 1
            told.mentions += mention
            view.unread.add(mention=mention, seq=self.number)
            told.new = told.new or []
        if told.new is not None:
            told.new.append(text)
        self.views.add(view, [said(text, MessageId("room", self.number))], news=True)

    @rule(room=ROOMS)
    def somebody_comes_or_goes(self, room: str) -> None:
        view, told = self.views.room(room), self.find("room", room)
        if view is None or told is None:
            return
        told.lines.append("came")
        if told.new is not None:
            told.new.append("came")
        self.views.add(view, [said("came")], news=False)

    @rule(old=NICKS, new=NICKS)
    def somebody_is_renamed(self, old: str, new: str) -> None:
        told, former = self.find("direct", old), self.find("direct", new)
        self.views.rename(old, new)
        if told is None:
            return
        told.name = new
        if former is not None and former is not told:
            told.lines = former.lines + told.lines
            if told is not self.current:
                told.unread += former.unread
                told.mentions += former.mentions
            self.model.remove(former)
            self.closed(former)

    @rule(data=st.data())
    def look_at_one(self, data: st.DataObject) -> None:
        if self.model:
            told = data.draw(st.sampled_from(self.model))
            self.views.go_to(self.view_of(told))
            self.looked_at(told)

    @rule(by=st.sampled_from([1, -1]))
    def look_at_the_next(self, by: int) -> None:
        view = self.views.step(by)
        if not self.model:
            assert view is self.views.current
            return
        if self.current is None:
            told = self.model[0 if by > 0 else -1]
        else:
            told = self.model[(self.model.index(self.current) + by) % len(self.model)]
        assert view is self.view_of(told)
        self.views.go_to(view)
        self.looked_at(told)

    @rule(data=st.data())
    def close_one(self, data: st.DataObject) -> None:
        if self.model:
            told = data.draw(st.sampled_from(self.model))
            self.views.close(self.view_of(told))
            self.model.remove(told)
            self.closed(told)

    def closed(self, told: Told) -> None:
        if told is self.before:
            self.before = None
        if told is self.current:
            there = self.before if self.before is not None else next(reversed(self.model), None)
            self.looked_at(there)
            self.before = None

    @rule(data=st.data())
    def take_something_back(self, data: st.DataObject) -> None:
        number = data.draw(st.integers(1, max(1, self.number)))
        self.views.take_back(MessageId("room", number))
        for told in self.model:
            told.lines = ["(taken back)" if t == f"line {number}" else t for t in told.lines]
            if told.new is not None:
                told.new = ["(taken back)" if t == f"line {number}" else t for t in told.new]

    # ── What must hold ───────────────────────────────────────────────────────────────────────

    @invariant()
    def the_views_are_those_of_the_model(self) -> None:
        assert [(each.kind, each.name) for each in self.views] == [
            (each.kind, each.name) for each in self.model
        ]
        for number, (view, told) in enumerate(zip(self.views, self.model, strict=True), start=1):
            assert self.views.numbered(number) is view
            assert (view is self.views.current) == (told is self.current)
            assert (view.unread.messages, view.unread.mentions) == (told.unread, told.mentions)
            texts = [line.body[0][1] for line in view.lines]
            assert texts == told.lines
            assert texts[len(texts) - (view.mark or 0) :] == (told.new or [])

    @invariant()
    def the_next_unread_one_is_where_one_was_called(self) -> None:
        unread = [each for each in self.model if each.unread and each is not self.current]
        called = [each for each in unread if each.mentions]
        found = self.views.next_unread()
        assert (found is None) == (not unread)
        if found is not None:
            assert found in [self.view_of(each) for each in called or unread]


TestViewsAsTheyShouldBe = ViewsAsTheyShouldBe.TestCase
TestViewsAsTheyShouldBe.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


@pytest.mark.parametrize("rooms", [1, 10, 40, 400])
def test_a_hundred_thousand_lines_leave_as_many_as_are_allowed(rooms: int) -> None:
    views = Views()
    opened = [views.open_room(f"room-{number}") for number in range(rooms)]
    for number in range(100_000):
        room = number % rooms
        views.add(opened[room], [said("x", MessageId(f"room-{room}", number))], news=True)
    kept = [len(view.lines) for view in views]
    assert max(kept) <= MAX_LINES
    assert sum(kept) == min(MAX_LINES, MAX_LINES_IN_ALL // rooms) * rooms
    for view in views:
        assert view.mark == len(view.lines)
        places = [line.place for line in view.lines]
        assert view.oldest == (places[0] or NOWHERE).seq - rooms + 1
        # Only what is kept can be taken back.
        assert view.take_back(places[0] or NOWHERE)
        assert not view.take_back(MessageId(view.name, 0))


def test_a_server_that_names_ever_more_rooms_and_nicks_is_not_followed_for_ever() -> None:
    views = Views()
    mine = views.open_direct("ada")
    mine.is_mine = True
    for number in range(2 * MAX_DIRECT):
        views.add(views.open_direct(f"nick-{number}"), [said("psst")] * 1_000, news=True)
    for number in range(MAX_ROOMS + 200):
        views.add(views.open_room(f"room-{number}"), [said("x")] * 50, news=True)
    kinds = [view.kind for view in views]
    assert (kinds.count("direct"), kinds.count("room")) == (MAX_DIRECT, MAX_ROOMS)
    assert sum(len(view.lines) for view in views) <= 2 * MAX_LINES_IN_ALL
    # What one has said something in stays; of the others those that said something last.
    assert views.direct("ada") is mine
    assert views.direct(f"nick-{2 * MAX_DIRECT - 1}") is not None
    assert views.direct("nick-0") is None


def test_pages_of_before_stand_above_all_else_and_only_the_newest_where_there_is_no_room() -> None:
    views = Views()
    view = views.open_room("lobby")
    views.add(view, [said(f"new {number}") for number in range(MAX_LINES)])
    for page in range(3):
        view.add_older([said(f"page {page}, {number}") for number in range(MAX_LINES // 2)])
    assert len(view.lines) == 2 * MAX_LINES
    assert view.lines[0].body == [("", "page 1, 0")]
    assert view.lines[MAX_LINES].body == [("", "new 0")]
    views.add(view, [said("newer")])
    assert len(view.lines) == MAX_LINES
    assert view.lines[-1].body == [("", "newer")]


@pytest.mark.parametrize(
    ("typed", "found"),
    [
        ("1", "lobby"),
        ("4", "dave"),
        ("0", None),
        ("5", None),
        ("9" * 5_000, None),
        ("lobby", "lobby"),
        ("LOB", "lobby"),
        ("@d", "dave"),
        ("d", None),
        ("dev", "dev"),
        ("@", "dave"),
        ("nowhere", None),
        ("²", None),
    ],
)
def test_a_view_is_called_by_its_number_its_name_or_as_that_begins(
    typed: str, found: str | None
) -> None:
    views = Views()
    for room in ("lobby", "dev", "device"):
        views.open_room(room)
    views.open_direct("dave")
    view = views.named(typed)
    assert (view and view.name) == found
