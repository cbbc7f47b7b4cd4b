"""Who asks what was said earlier is told the truth: all of it, and only of rooms they are in.

A page of a room's history has every message of the room's present life from its first to its last,
and goes as far back as there is anything. A search finds the newest messages that match, of the
present lives of the rooms that one is in; and all of those that one had seen. What is past its
time, or was lost with the archive's file, may be missing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from tcpchat_core import events
from tcpchat_core.notices import HistoryPage, Said, SearchResults
from tests.sim.model import Message, Stay
from tests.sim.peers import Question
from tests.sim.server import EPOCH
from tests.sim.world import Checker, World


class Archive(Checker):
    def finished(self, world: World) -> None:
        if world.disk is None:
            return
        for question in world.questions:
            answer, query = question.answer, question.query
            if isinstance(answer, HistoryPage) and isinstance(query, events.History):
                self._check_page(world, question, query, answer)
            elif isinstance(answer, SearchResults) and isinstance(query, events.Search):
                self._check_found(world, question, query, answer)

    def _check_page(
        self, world: World, question: Question, query: events.History, page: HistoryPage
    ) -> None:
        may_lack = _may_lack(world, question)
        stays = [stay for stay in _stays(world, question) if stay.life.name == page.room]
        before = query.before
        wrong = f"asked by {question.person}: {query} was answered with {_short(page.messages)}"
        if not page.messages:
            for stay in stays:
                there = [m for m in stay.life.messages if m.place <= question.place]
                if all(may_lack(m) for m in there if before is None or m.seq < before):
                    return
            world.violated(self, f"{wrong}, as if nothing was said")
            return
        told = [_message(world, said) for said in page.messages]
        first, last = told[0], told[-1]
        if first is None or last is None or None in told or first.life is not last.life:
            world.violated(self, f"{wrong}, which was not said like that")
            return
        life = first.life
        if not any(stay.life is life for stay in stays):
            world.violated(self, f"{wrong}, of a room where the asker is not")
        end = last.seq + 1 if before is None else before
        left = [m for m in life.messages if first.seq <= m.seq < end and m not in told]
        if not all(map(may_lack, left)) or last.seq >= end or not _go_up(told):
            world.violated(self, f"{wrong}, which has holes")
        earlier = [m for m in life.messages if m.seq < first.seq]
        is_end = len(told) < query.limit or not page.more
        if (is_end and not all(map(may_lack, earlier))) or (page.more and not earlier):
            world.violated(self, f"{wrong}, more: {page.more}, and {len(earlier)} came before")
        if before is None:
            shown = [m.seq for m in life.messages if m.text in question.shown and not may_lack(m)]
            if max(shown, default=0) > last.seq:
                world.violated(self, f"{wrong}, and later ones had been seen")

    def _check_found(
        self, world: World, question: Question, query: events.Search, found: SearchResults
    ) -> None:
        may_lack = _may_lack(world, question)
        stays = [
            stay
            for stay in _stays(world, question)
            if not query.room or stay.life.name == query.room
        ]
        wrong = f"asked by {question.person}: {query} found {_short(found.messages)}"
        told = [_message(world, said) for said in found.messages]
        for message in told:
            if message is None or not _matches(message.text, query.words):
                world.violated(self, f"{wrong}, which does not match")
                return
            if not any(
                stay.life is message.life and (stay.end is None or message.place < stay.end)
                for stay in stays
            ):
                world.violated(self, f"{wrong}, of a room where the asker was not")
        if not _go_up(told[::-1]) or len(told) > query.limit:
            world.violated(self, f"{wrong}, which are not the newest")
        oldest = told[-1].place if told and told[-1] and len(told) == query.limit else 0
        for stay in stays:
            is_there = stay.end is None or stay.end > question.answered
            if stay.start > question.place or not is_there:
                continue
            for message in stay.life.messages:
                if (
                    message.text in question.shown
                    and _matches(message.text, query.words)
                    and message.place > oldest
                    and message not in told
                    and not may_lack(message)
                ):
                    world.violated(self, f"{wrong}, and not {message.text[:20]}")


def _stays(world: World, question: Question) -> list[Stay]:
    """Where the asker may have been when the question was looked at."""
    person = world.model.characters[question.person]
    return [stay for stay in person.stays if stay.end is None or stay.end > question.place]


def _may_lack(world: World, question: Question) -> Callable[[Message], bool]:
    """Whether a message need not be told: the archive may lack it, or it is of a time when the room
    was private.
    """
    assert world.disk is not None
    lost, keep_ms = world.disk.lost, world.config.keep_ms
    since = 0 if keep_ms is None else EPOCH + question.at - keep_ms

    def may_lack(message: Message) -> bool:
        opened = message.life.opened_at(question.answered)
        return message.place <= max(lost, opened) or message.at < since

    return may_lack


def _message(world: World, said: Said) -> Message | None:
    message = world.model.messages.get(said.text)
    if message is None or (message.nick, message.seq, message.at) != (said.nick, said.seq, said.at):
        return None
    return message if message.life.name == said.room else None


def _go_up(messages: Sequence[Message | None]) -> bool:
    places = [message.place for message in messages if message]
    return places == sorted(set(places))


def _matches(text: str, words: str) -> bool:
    """Whether the words are in the text, one after the other, and whole."""
    return f" {' '.join(_words(words))} " in f" {' '.join(_words(text))} "


def _words(text: str) -> list[str]:
    return re.findall("[a-z0-9]+", text)


def _short(messages: Sequence[Said]) -> list[tuple[str, int]]:
    return [(said.text[:20], said.seq) for said in messages]
