"""The order of answers: each in its turn, behind what its asker proposed before.

A query, or a refusal that needs no entry, waits until all that the same connection has proposed is
committed; then it is looked up, so that an answer knows of what was done before it was asked.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count

from tcpchat_core import events
from tcpchat_core.dialects import Reply, Then
from tcpchat_core.effects import Effect, Look, Send
from tcpchat_core.notices import Claimed, Closing, Rejected, Said
from tcpchat_core.server.connection import Answer, Connection, Found, Looking, Waiting, Wanted
from tcpchat_core.server.deliver import Delivery
from tcpchat_core.server.former import Former
from tcpchat_core.server.queries import answer as look_up
from tcpchat_core.server.queries import with_found
from tcpchat_core.server.rate import Rate
from tcpchat_core.server.watching import Watches
from tcpchat_core.state import ChatState


class Answers:
    """Gives answers in their turn."""

    def __init__(
        self,
        state: ChatState,
        delivery: Delivery,
        rate: Rate,
        watches: Watches,
        former: Former,
        *,
        has_archive: bool,
    ) -> None:
        self._state = state
        self._has_archive = has_archive
        self._most_people = state.people
        self._tickets = count(1)
        self._delivery = delivery
        self._rate = rate
        self._watches = watches
        self._former = former

    def most_people(self) -> int:
        """How many were connected at once, at most, when this was asked: it is, whenever somebody
        has come.
        """
        self._most_people = max(self._most_people, self._state.people)
        return self._most_people

    def give(
        self,
        connection: Connection,
        answer: Answer,
        now: int,
        effects: list[Effect],
        how: object = None,
    ) -> None:
        """Give an answer: now, or when what was proposed before is committed.

        `how` is what it answers, where it is none to a query, or to one that was asked in a way of
        its own.
        """
        waiting = Waiting(connection.proposed, answer, how)
        if connection.is_settled:
            self._tell(connection, waiting, now, effects)
        else:
            connection.answers.append(waiting)

    def give_waiting(self, connection: Connection, now: int, effects: list[Effect]) -> None:
        """Give those whose turn it is."""
        answers = connection.answers
        ready = 0
        for waiting in answers:
            if waiting.number > connection.committed or connection.looking is not None:
                break
            ready += 1
            self._tell(connection, waiting, now, effects)
        del answers[:ready]

    def _tell(
        self, connection: Connection, waiting: Waiting, now: int, effects: list[Effect]
    ) -> None:
        _, answer, how = waiting
        match answer:
            case Reply(data):
                if connection.can_be_told:  # pragma: no branch # else its end has come meanwhile
                    effects.append(Send(connection.conn, data))
            case Then(say):
                if (data := say()) and connection.can_be_told:
                    effects.append(Send(connection.conn, data))
            case Rejected() | Closing() | Claimed():
                self._delivery.tell(connection, answer, how, effects)
            case events.Watch() | events.Whowas():
                if isinstance(answer, events.Watch):
                    told = self._watches.answer(connection.conn, answer)
                else:
                    told = self._former.answer(connection.conn, answer)
                self._delivery.tell(connection, told, answer if how is None else how, effects)
            case query:
                found = look_up(
                    self._state,
                    connection.conn,
                    query,
                    has_archive=self._has_archive,
                    most_people=self.most_people(),
                )
                request = query if how is None else how
                self._tell_found(connection, found, request, now, effects)

    def _tell_found(
        self,
        connection: Connection,
        found: Found | Wanted,
        request: object,
        now: int,
        effects: list[Effect],
    ) -> None:
        """Tell what was found; or ask the archive, which tells later."""
        self._rate.charge_lines(connection, found.cost, now)
        if isinstance(found, Found):
            self._delivery.tell(connection, found.notice, request, effects)
        else:
            connection.looking = looking = Looking(next(self._tickets), found, request)
            effects.append(Look(connection.conn, looking.ticket, found.inquiry))

    def found(
        self,
        connection: Connection,
        ticket: int,
        messages: Sequence[Said] | None,
        now: int,
        effects: list[Effect],
    ) -> None:
        """Give the answer that the archive was asked for, and those behind it."""
        looking = connection.looking
        if looking is None or looking.ticket != ticket:
            return
        connection.looking = None
        answer = with_found(self._state, connection.conn, looking.wanted, messages)
        self._tell_found(connection, answer, looking.request, now, effects)
        self.give_waiting(connection, now, effects)
