"""From what peers send to what is proposed: how much of it may be looked at now, and what it asks.

Rule 1: What is too fast, by the price list in `rate`, is not lost: it waits, and nothing more is
        read meanwhile.

Rule 2: All that one read brings is proposed together.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import islice
from typing import Final, TypeAlias, TypeGuard

import msgspec

from tcpchat_core import effects as asked
from tcpchat_core import events, notices
from tcpchat_core.dialects import (
    Asked,
    Hangup,
    Item,
    LogIn,
    Prove,
    Reader,
    Repeats,
    Reply,
    Then,
    Wait,
)
from tcpchat_core.effects import Close, Effect, Propose
from tcpchat_core.events import Event, Request, Say
from tcpchat_core.names import Name, room_name
from tcpchat_core.notices import Claimed, Rejected, password_is_needed
from tcpchat_core.server.access import (
    MAX_PASSWORD_FAILURES,
    Access,
    code_hash,
    device_token,
    new_code,
    session_of,
)
from tcpchat_core.server.answers import Answers
from tcpchat_core.server.connection import Connection, Phase, Step
from tcpchat_core.server.deliver import Delivery
from tcpchat_core.server.passwords import Passwords
from tcpchat_core.server.propose import Called, Lookup, called, checked
from tcpchat_core.server.rate import BYTES_A_LINE, MAX_OUTSTANDING, Rate, ServerLimits
from tcpchat_core.server.timers import Due, Timers

# Longer than any epoch: what is beyond is that of no log.
MAX_EPOCH_CHARS: Final = 64

# What is to be made of a password costs so many lines beside its own: it is some work.
PASSWORD_LINES: Final = 4

# Requests in which something secret is said, or made for their answer.
_OF_SECRETS: Final = frozenset(
    {events.Claim, events.Login, events.Password, events.Invite, events.Offer}
)

# Looked up once: it is asked for with every message.
_OPEN: Final = Phase.OPEN
_UNKNOWN: Final = Phase.UNKNOWN

# What is no request: a dialect says it by itself, or it was refused already.
_NO_REQUESTS: Final = frozenset(
    {Rejected, Repeats, Reply, Then, Hangup, Wait, events.Open, Prove, LogIn}
)

# What one connection does in one go: proposed together at its end.
_Proposals: TypeAlias = list[Event]


class Intake:
    """Looks at what peers have sent, as far as it may go, and proposes what they ask for."""

    def __init__(
        self,
        *,
        limits: ServerLimits,
        rate: Rate,
        access: Access,
        answers: Answers,
        delivery: Delivery,
        timers: Timers,
        forget: Callable[[Connection], None],
        rooms_per_person: int,
        passwords: Passwords,
    ) -> None:
        self.configure(limits, rooms_per_person)
        self._rate = rate
        self._access = access
        self._answers = answers
        self._delivery = delivery
        self._timers = timers
        self._forget = forget
        self._passwords = passwords

    def configure(self, limits: ServerLimits, rooms_per_person: int) -> None:
        """Other bounds hold from now on."""
        self._limits = limits
        self._rooms_per_person = rooms_per_person

    def begin(
        self, connection: Connection, reader: Reader, now: int, effects: list[Effect]
    ) -> None:
        """The dialect is known now. A person is greeted, a program has spoken first.

        Or it is known at last: who was silent, and so began as a person, has its first line now.
        """
        items: Sequence[Item] = ()
        is_late = connection.phase is not _UNKNOWN
        if not is_late:
            connection.move(Step.RECOGNISED)
        if reader is not connection.reader:
            connection.reader = reader
            self._delivery.refresh_flavour(connection, effects)
            items = reader.begin(password_needed=not connection.is_admitted)
            if is_late:
                self._delivery.welcome_again(connection, effects)
        if connection.first and not connection.is_unheard:
            reader.receive_data(connection.first)
            connection.first = b""
        self.proceed(connection, now, effects, items)

    def proceed(
        self,
        connection: Connection,
        now: int,
        effects: list[Effect],
        items: Sequence[Item] = (),
    ) -> None:
        """Look at what is waiting, as far as it may go; propose what it asks for.

        `items` are what the dialect itself begins with: they come first, and cost nothing.
        """
        reader = connection.reader
        assert reader is not None, "something has told which dialect it is"
        proposals: _Proposals = []
        first = connection.proposed + 1
        in_debt = False
        if not items and connection.unread and connection.deriving is None:
            items, connection.unread = connection.unread, ()
        if items:
            self._look_at(connection, items, now, proposals, effects)
        while reader.waiting and connection.is_listened_to:
            count = self._spare(connection, now)
            if count <= 0:
                break
            items = reader.requests(count)
            if reader.flavour is not connection.flavour:
                self._delivery.refresh_flavour(connection, effects)
            self._look_at(connection, items, now, proposals, effects)
            in_debt = self._rate.charge(connection, _cost(items), now)
        if proposals:
            effects.append(Propose(connection.conn, first, tuple(proposals)))
        if (
            reader.waiting
            or in_debt
            or connection.is_paused
            or connection.deriving is not None
            or connection.unpaid_bytes >= BYTES_A_LINE
        ):
            self._update_reading(connection, now, effects)

    def _update_reading(self, connection: Connection, now: int, effects: list[Effect]) -> None:
        """Have nothing more read while something waits, or too much was asked for."""
        reader = connection.reader
        is_waiting = connection.deriving is not None or (reader is not None and reader.waiting)
        in_debt = not is_waiting and self._rate.charge(connection, 0, now)
        must_wait = connection.is_listened_to and (is_waiting or in_debt)
        if in_debt:  # also who waits already: nobody else comes back to it
            self._wait(connection, self._rate.next_at(connection))
        if must_wait != connection.is_paused:
            connection.is_paused = must_wait
            effects.append((asked.Pause if must_wait else asked.Resume)(connection.conn))

    def hang_up(
        self,
        connection: Connection,
        reason: str,
        now: int,
        effects: list[Effect],
        *,
        retry: int | None = None,
    ) -> None:
        """The server ends a connection, for a reason that it is told and others are."""
        proposals: _Proposals = []
        first = connection.proposed + 1
        self._hang_up(connection, Hangup(reason), now, proposals, effects, retry=retry)
        if proposals:
            effects.append(Propose(connection.conn, first, tuple(proposals)))

    def lose(self, connection: Connection, reason: str, effects: list[Effect]) -> None:
        """The transport is gone. What the chat does not know yet is forgotten."""
        connection.answers.clear()
        match connection.phase:
            case Phase.OPEN:
                proposals: _Proposals = []
                first = connection.proposed + 1
                self._propose(connection, events.Disconnect(reason), proposals)
                connection.move(Step.VANISHED)
                effects.append(Propose(connection.conn, first, tuple(proposals)))
            case Phase.ENDING:
                connection.move(Step.VANISHED)
            case Phase.UNKNOWN | Phase.OPENING:
                self._forget(connection)

    # ── How much may be looked at ────────────────────────────────────────────────────────────

    def _spare(self, connection: Connection, now: int) -> int:
        """How many requests may be looked at now; if none, somebody will come back to it."""
        if connection.looking is not None or connection.deriving is not None:
            return 0
        if connection.is_held:
            if not connection.is_settled:
                return 0
            connection.is_held = False
        if not connection.is_admitted and (until := self._access.next_try_at(connection)) > now:
            self._wait(connection, until)
            return 0
        spare = MAX_OUTSTANDING - connection.proposed + connection.committed
        if self._rate.is_limited:
            lines = self._rate.spare_lines(connection, now)
            if lines <= 0:
                self._wait(connection, self._rate.next_at(connection))
                return 0
            spare = min(spare, lines)
        if connection.answers:
            spare = min(spare, MAX_OUTSTANDING - len(connection.answers))
        # One by one, as long as each may change how the next is read. And when nothing may be
        # looked at, then until what was proposed is committed.
        return spare if connection.phase is _OPEN else min(spare, 1)

    def _wait(self, connection: Connection, until: int) -> None:
        """Have what is waiting looked at later."""
        if not connection.is_timed:
            connection.is_timed = True
            self._timers.set(until, connection.conn, Due.LINES)

    # ── What is asked for ────────────────────────────────────────────────────────────────────

    def _look_at(
        self,
        connection: Connection,
        items: Sequence[Item],
        now: int,
        proposals: _Proposals,
        effects: list[Effect],
    ) -> None:
        is_open = connection.phase is _OPEN
        before = connection.proposed - len(proposals)  # the number of its last event before these
        rest = iter(items)
        for item in rest:
            if is_open:
                if isinstance(item, Say):  # by far the most frequent
                    event = checked(item, connection.current)
                    if isinstance(event, Say):
                        proposals.append(event)
                        continue
                connection.proposed = before + len(proposals)
                self._request(connection, item, now, proposals, effects)
            else:
                self._first_request(connection, item, now, proposals, effects)
            if not connection.is_listened_to:
                return
            if connection.deriving is not None:  # it is another person, perhaps, that says the rest
                connection.unread = tuple(rest)
        connection.proposed = before + len(proposals)

    def _request(
        self,
        connection: Connection,
        item: Item,
        now: int,
        proposals: _Proposals,
        effects: list[Effect],
    ) -> None:
        how: object = None
        if isinstance(item, Asked):
            item, how = item
        if not _is_request(item):
            changed = self._not_asked(connection, item, now, proposals, effects, how=how)
            if changed is None:
                return
            item = changed
        event = self._checked(item, connection.current)
        request = item if how is None else how
        may_guess = False  # a code, or a token
        match event:
            case None:
                asked = connection.asked
                if asked is not None and item == events.Pong(asked[0]):
                    connection.asked = None
                    self._propose(connection, asked[1], proposals)
                return
            case Rejected():
                self._answers.give(connection, event, now, effects, request)
                return
            case Lookup(query):
                self._answers.give(connection, query, now, effects, how)
                return
            case events.Join(room, key, code=code):
                # Current from now on, also if the join will be refused: what was typed for
                # this room must not be said to another.
                connection.current = Name(room, key)
                may_guess = bool(code)
                if may_guess and self._is_too_soon(connection, event, request, now, effects):
                    return
            case events.Out(key=key) if connection.current and key == connection.current.key:
                connection.current = None
            case _ if type(event) in _OF_SECRETS:
                may_guess = True
                made = self._made(connection, event, request, now, effects)
                if made is None:
                    return
                event = made
        self._propose(connection, event, proposals)
        if how is not None:
            connection.hows[connection.proposed] = how
        if may_guess:
            self._passwords.proposed(connection, event)
        if isinstance(event, events.Quit):
            connection.move(Step.LEFT)

    def _checked(self, item: Request, current: Name | None) -> Event | Lookup | Rejected | None:
        """What to propose or to look up of a request, or why it cannot be; None for a pong."""
        event = checked(item, current)
        if type(event) is events.Login and not self._limits.grace_ms:
            return msgspec.structs.replace(event, session=None)
        return event

    def _made(
        self,
        connection: Connection,
        event: Event,
        request: object,
        now: int,
        effects: list[Effect],
    ) -> Event | None:
        """What is to be proposed of what is said, or made, in secret; None if nothing is, yet."""
        match event:
            case events.Login(account=account) if account:
                self._derive(connection, event, request, now, effects)
                return None
            case events.Password(password) if password:
                self._derive(connection, event, request, now, effects)
                return None
            case events.Claim() | events.Login() if self._is_too_soon(
                connection, event, request, now, effects
            ):
                return None
            case events.Invite(nick="") | events.Offer() | events.Claim(device=""):
                if not connection.token:
                    text = "this server cannot make codes"
                    refused = Rejected("unavailable", text, _tag(event))
                    self._answers.give(connection, refused, now, effects, request)
                    return None
                return _with_secret(connection, event)
        return event

    def _is_too_soon(
        self,
        connection: Connection,
        event: Event,
        request: object,
        now: int,
        effects: list[Effect],
    ) -> bool:
        """Whether a code may not be tried yet; if so, that is told."""
        refused = self._passwords.may_not_try(connection, event, now)
        if refused is None:
            return False
        self._answers.give(connection, refused, now, effects, request)
        return True

    def _not_asked(
        self,
        connection: Connection,
        item: Item,
        now: int,
        proposals: _Proposals,
        effects: list[Effect],
        *,
        how: object,
    ) -> events.SetName | None:
        """Deal with what asks the chat for nothing; but who is in already may say who it is."""
        match item:
            case Repeats(size):
                connection.unpaid_bytes += size
            case Rejected() | Reply() | Then():
                self._answers.give(connection, item, now, effects, how)
            case Hangup():
                self._hang_up(connection, item, now, proposals, effects)
            case Wait():
                connection.is_held = True
            case events.Open(name=name, user=user):
                return events.SetName(name, user) if name or user else None
            case Prove(login):
                self._prove(connection, login, how, now, effects)
            case _:
                assert connection.proven is not None, "a LogIn, which comes when it was proven"
                self._propose(connection, connection.proven, proposals)
                self._passwords.proposed(connection, connection.proven)
        return None

    def _prove(
        self,
        connection: Connection,
        login: events.Login,
        how: object,
        now: int,
        effects: list[Effect],
    ) -> None:
        """Tell whether a secret is right, and remember how to log in by it."""
        event = self._checked(login, None)
        if isinstance(event, Rejected):
            self._answers.give(connection, event, now, effects, how)
            return
        assert isinstance(event, events.Login), "what is checked is what is proposed"
        if event.account:
            self._derive(connection, event, how, now, effects, only_proves=True)
            return
        found = self._passwords.prove(connection, event, now)
        if isinstance(found, Claimed):
            connection.proven = event
        self._answers.give(connection, found, now, effects, how)

    def _derive(
        self,
        connection: Connection,
        event: events.Login | events.Password,
        request: object,
        now: int,
        effects: list[Effect],
        *,
        only_proves: bool = False,
    ) -> None:
        found = self._passwords.begin(connection, event, request, now, only_proves=only_proves)
        if isinstance(found, Rejected):
            self._answers.give(connection, found, now, effects, request)
        else:
            self._rate.charge_lines(connection, PASSWORD_LINES, now)
            effects.append(found)

    def derived(
        self,
        connection: Connection,
        ticket: int,
        made: str | None,
        now: int,
        effects: list[Effect],
    ) -> None:
        """Go on when something was made of a password."""
        deriving = connection.deriving
        if deriving is None or deriving.ticket != ticket:
            return
        found = self._passwords.end(connection, made)
        if not connection.is_listened_to:
            return
        if isinstance(found, Rejected):
            self._answers.give(connection, found, now, effects, deriving.request)
        elif deriving.only_proves and isinstance(found, events.LoggedIn):
            connection.proven = found
            told = self._passwords.proven(found)
            self._answers.give(connection, told, now, effects, deriving.request)
        else:
            first = connection.proposed + 1
            connection.proposed = first
            connection.hows[first] = deriving.request
            effects.append(Propose(connection.conn, first, (found,)))
        self.proceed(connection, now, effects)

    def _propose(self, connection: Connection, event: Event, proposals: _Proposals) -> None:
        connection.proposed += 1
        proposals.append(event)

    # ── Coming and going ─────────────────────────────────────────────────────────────────────

    def _first_request(
        self,
        connection: Connection,
        item: Item,
        now: int,
        proposals: _Proposals,
        effects: list[Effect],
    ) -> None:
        """Who is not in the chat yet says hello, or something else: then it is in without."""
        match item:
            case Reply() | Then():
                self._answers.give(connection, item, now, effects)
            case Hangup():
                self._hang_up(connection, item, now, proposals, effects)
            case events.Open(password, is_only_try):
                found = self._why_not_admitted(connection, password, now) or called(item)
                if isinstance(found, Called):
                    self._open(connection, _connect(connection, found), proposals)
                else:
                    self._refuse(connection, found, now, effects, is_last=is_only_try)
            case events.Hello(password=password):
                found = self._why_not_admitted(connection, password.encode(), now) or called(item)
                if isinstance(found, Called):
                    self._hello(connection, item, found, proposals)
                else:
                    self._refuse(connection, found, now, effects)
            case Rejected() if connection.is_admitted:
                self._answers.give(connection, item, now, effects)
            case _ if connection.is_admitted:
                self._open(connection, _connect(connection, Called()), proposals)
                self._request(connection, item, now, proposals, effects)
            case _:
                self._answers.give(connection, password_is_needed(), now, effects)

    def _open(self, connection: Connection, event: Event, proposals: _Proposals) -> None:
        connection.move(Step.OPENED)
        self._propose(connection, event, proposals)

    def _hello(
        self,
        connection: Connection,
        hello: events.Hello,
        called: Called,
        proposals: _Proposals,
    ) -> None:
        connection.device = session_of(hello.device) if hello.device else ""
        if not (connection.token and self._limits.grace_ms):
            self._open(connection, _connect(connection, called), proposals)
            return
        fresh = session_of(connection.token)
        if not hello.token:
            connection.sessions = (fresh,)
            self._open(connection, _connect(connection, called, fresh), proposals)
            return
        seen: dict[str, int] = {}
        for room, seq in islice(hello.seen.items(), self._rooms_per_person):
            name = room_name(room)
            if isinstance(name, Name):
                seen[name.key] = seq
        connection.sessions = (session_of(hello.token), fresh)
        epoch = hello.epoch[:MAX_EPOCH_CHARS]
        who = (connection.origin, connection.device, *called)
        resume = events.Resume(*connection.sessions, seen, hello.told, epoch, *who)
        self._open(connection, resume, proposals)

    def _why_not_admitted(
        self, connection: Connection, password: bytes, now: int
    ) -> Rejected | Hangup | None:
        """Why a peer may not talk, by what it has said; None when it may."""
        if connection.is_admitted:
            return None
        if not password and not self._access.is_open:
            return password_is_needed()
        if self._access.admits(connection, password, now):
            assert connection.reader is not None, "it has said something"
            connection.reader.admitted()
            return None
        if connection.failures >= MAX_PASSWORD_FAILURES:
            return Hangup("three passwords were wrong")
        return Rejected("wrong-password", "that is not this server's password", "hello")

    def _refuse(
        self,
        connection: Connection,
        refused: Rejected | Hangup,
        now: int,
        effects: list[Effect],
        *,
        is_last: bool = False,
    ) -> None:
        """Say why a peer may not talk; `is_last` ends it by that."""
        if isinstance(refused, Rejected):
            self._answers.give(connection, refused, now, effects)
            if not is_last:
                return
            refused = Hangup(refused.text)
        self._hang_up(connection, refused, now, [], effects)  # it is not open: nothing is proposed

    def _hang_up(
        self,
        connection: Connection,
        hangup: Hangup,
        now: int,
        proposals: _Proposals,
        effects: list[Effect],
        *,
        retry: int | None = None,
    ) -> None:
        """The last words wait until it is out of all rooms, so that they are the last."""
        reason, gone, last_words = hangup
        is_open = connection.phase is Phase.OPEN
        if is_open:
            self._propose(connection, events.Disconnect(reason or gone), proposals)
            connection.move(Step.LEFT)
        if reason:
            self._answers.give(connection, notices.Closing(reason, retry), now, effects)
        if last_words:
            self._answers.give(connection, Reply(last_words), now, effects)
        if not is_open:
            self._forget(connection)
            effects.append(Close(connection.conn))


def _is_request(item: Item) -> TypeGuard[Request]:
    """By type: that something is no instance of a Struct takes as long to find out as much else."""
    return type(item) not in _NO_REQUESTS


def _cost(items: Sequence[Item]) -> int:
    """How many lines it is that a peer has asked for."""
    types = list(map(type, items))
    return len(items) - types.count(Then) - types.count(Repeats)


def _with_secret(
    connection: Connection, event: events.Invite | events.Offer | events.Claim
) -> Event:
    """Make what only who asks is told; the log has its hash."""
    token, number = connection.token, connection.proposed
    made: Event
    match event:
        case events.Claim():
            secret = device_token(token, number)
            hashed = session_of(secret)
            made = msgspec.structs.replace(event, device=hashed)
        case events.Offer():
            secret = new_code(token, number)
            hashed = code_hash(secret)
            made = events.Offer(hashed)
        case _:
            secret = new_code(token, number)
            hashed = code_hash(secret)
            made = msgspec.structs.replace(event, code_hash=hashed)
    connection.secrets[hashed] = secret
    return made


def _tag(event: Event) -> str:
    return str(event.__struct_config__.tag)


def _connect(connection: Connection, called: Called, session: str = "") -> events.Connect:
    """What makes somebody new of a connection."""
    return events.Connect(session, connection.origin, connection.device, *called)
