"""ServerProtocol: where wire and state meet. Bytes in, effects out; sans I/O.

Call order, for an adapter (docs/embedding.md shows two whole ones):

1. `connection_made(conn, now=…)` once per connection; `conn` is a number never used before.
2. `receive_data(conn, data, now=…)` with what was read; `receive_eof(conn, now=…)` when the peer
   will send no more; `connection_lost(conn, now=…)` when the connection is gone, and nothing after
   that.
3. For each `Propose` among the effects: put the events into the log, and give the entries to
   `commit(entries, now=…)`. Entries are committed in the order of the log, on every node.
4. `handle_timer(now)` when `get_timer()` says so; ask again after every call.

Every call returns the effects to carry out, in order. Calls are cheap and never raise, whatever a
peer sent. `now` is milliseconds of any clock that does not run backwards; it is used for timers
only.

Rules:

Rule 1: What depends on the connection (framing, UTF-8, sizes, the syntax and folding of names) is
        decided when proposing; what depends on rooms and people, by `ChatState` at commit.

Rule 2: Answers keep the order of their questions. A query, or a refusal that needs no entry,
        waits until what the same connection proposed before it is committed.

Rule 3: A notice is encoded once per flavour in use, however many people get it.

Rule 4: An entry counts once, however often a log delivers it.

This file is the public calls. What they pass through, in the order of a message: `intake` and
`propose`, then (through the log) `commit` here, the state, and `deliver`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Final, TypeAlias

import msgspec

from tcpchat_core import events, notices
from tcpchat_core.archive import Archived
from tcpchat_core.dialects import CLOSED_THE_PAGE, Dialect, choose, choose_late
from tcpchat_core.dialects.irc.reader import IrcLines
from tcpchat_core.dialects.jsonl import JsonLines
from tcpchat_core.dialects.plain import PlainText
from tcpchat_core.effects import Action, Broadcast, Close, Effect, Propose, Send
from tcpchat_core.errors import LocalError
from tcpchat_core.events import Entry, Event, Say, Tell
from tcpchat_core.framing import MAX_LINE_BYTES
from tcpchat_core.names import MAX_NICK_CHARS, MAX_REAL_NAME_CHARS, MAX_ROOM_CHARS
from tcpchat_core.notices import Rejected, Said
from tcpchat_core.sanitize import sanitize
from tcpchat_core.server.access import Access
from tcpchat_core.server.answers import Answers
from tcpchat_core.server.archiving import what_was_said
from tcpchat_core.server.connection import Connection, Phase, Step
from tcpchat_core.server.counts import Counts
from tcpchat_core.server.deliver import Delivery
from tcpchat_core.server.former import Former
from tcpchat_core.server.greeting import GREET_AFTER_MS, Greetings
from tcpchat_core.server.intake import Intake
from tcpchat_core.server.liveness import Liveness
from tcpchat_core.server.passwords import Passwords
from tcpchat_core.server.propose import MAX_TEXT_BYTES, MAX_TEXT_CHARS, MAX_TOPIC_CHARS
from tcpchat_core.server.rate import ITEMS_A_LINE, Rate, ServerLimits
from tcpchat_core.server.timers import Due, Grace, Graces, Timers
from tcpchat_core.server.watching import Watches
from tcpchat_core.state import ChatState, StateLimits
from tcpchat_core.state.rooms import configured
from tcpchat_core.version import VERSION

# A browser says so when it leaves a page, whether that is closed or only loaded anew; in the latter
# case it is back as soon as a few files are there.
PAGE_GRACE_MS: Final = 5_000

# How many people one entry may take away after a restart: a few milliseconds of work.
LAPSE_AT_ONCE: Final = 500

# The fallback, for those whom nobody else recognises, is the last.
DIALECTS: Final[tuple[Dialect, ...]] = (JsonLines(), IrcLines(), PlainText())

# What a code that is none is refused with.
_WRONG: Final = ("wrong-code", "unknown-device", "private")

# Events that mean something to a node, beside what is told of them.
_NOTED: Final = frozenset(
    {
        events.Join,
        events.Claim,
        events.Login,
        events.LoggedIn,
        events.Restrictions,
        events.Resume,
        events.Expire,
        events.Lapse,
        events.Connect,
    }
)

# Looked up once: it is asked for with every message.
_OPEN: Final = Phase.OPEN

# Called with each committed entry that is not a message, and what came of it: for logs.
Observer: TypeAlias = Callable[[Entry, list[Action]], None]


class ServerProtocol:
    """One node's server, around one replica of the state. See the module for the call order.

    `server` is the name that `welcome` gives; `motd` are lines for everybody who connects; who
    does not know `password` (when it is not "") gets no further. `dialects` are those that peers
    may speak, the fallback last. `observe` is told what people do (not what they say), as it was
    told to them.
    """

    def __init__(
        self,
        state: ChatState,
        *,
        limits: ServerLimits | None = None,
        server: str = "tcpchat",
        motd: Iterable[str] = (),
        password: str = "",
        dialects: Sequence[Dialect] = DIALECTS,
        observe: Observer | None = None,
        archive: Callable[[Archived], None] | None = None,
        configuration: events.Configure | None = None,
        nobodys_password: str = "",
    ) -> None:
        self.state = state
        self.limits = limits = limits or ServerLimits()
        self._server = server
        self._motd = _shown(motd)
        self._dialects = dialects
        self._observe = observe
        self._archive = archive
        self._configuration = configuration
        bounds = state.limits if configuration is None else configured(state.limits, configuration)
        self._told_limits = _told_limits(bounds, limits)
        self._connections: dict[int, Connection] = {}
        self._timers = Timers(self._connections)
        self._graces = Graces(self._is_away)
        self._greetings = Greetings()
        self._delivery = Delivery(state, self._connections, self._forget, self._welcome)
        self._rate = rate = Rate(limits)
        self._nick_changes = state.nick_changes()
        self._watches = watches = Watches(state, self._connections)
        has_archive = archive is not None
        self._former = former = Former(state)
        self._answers = Answers(
            state, self._delivery, rate, watches, former, has_archive=has_archive
        )
        self._access = access = Access(password)
        self._passwords = Passwords(state, nobodys_password)
        self._intake = Intake(
            limits=limits,
            rate=rate,
            access=access,
            answers=self._answers,
            delivery=self._delivery,
            timers=self._timers,
            forget=self._forget,
            rooms_per_person=bounds.rooms_per_person,
            passwords=self._passwords,
        )
        self._liveness = Liveness(
            limits, access, self._intake, self._delivery, self._timers, state=state
        )

    @property
    def counts(self) -> Counts:
        """What was done since the beginning."""
        return self._delivery.counts

    def dialects(self) -> Counter[str]:
        """How many connections speak which dialect, by its name; "" before that is known. Another
        thread may ask.
        """
        # The list is taken in one step, in which no other thread runs.
        return Counter([each.dialect for each in list(self._connections.values())])

    # ── What happens to connections ──────────────────────────────────────────────────────────

    def connection_made(
        self,
        conn: int,
        *,
        now: int,
        token: str = "",
        peer: str = "",
        origin: str = "",
        is_safe: bool = True,
    ) -> list[Effect]:
        """A peer connected. It is greeted when it has said, or not said, which dialect it speaks.

        `token` is a new secret of 128 random bits or more for the session that this connection
        may open; without one it cannot open any. `peer` is its address, "" when that tells
        nothing; wrong passwords are counted by it. `origin` stands for the address in the log: a
        word that tells nobody what the address is, the same for the same one, and "" as for `peer`.
        Who was banned, and comes again from there as somebody else, is known by it. `is_safe` is
        whether nobody can read along on the way: where somebody can, no password is taken. Raises
        LocalError when `conn` is in use.
        """
        if conn in self._connections:
            raise LocalError(f"connection {conn} was made twice")
        flavour = self._dialects[-1].flavour
        self._connections[conn] = Connection(
            conn,
            token,
            peer,
            now,
            flavour,
            origin=origin,
            is_admitted=self._access.is_open,
            is_safe=is_safe,
        )
        self._timers.set(now + GREET_AFTER_MS, conn, Due.CHECK)
        return []

    def receive_data(self, conn: int, data: bytes, *, now: int) -> list[Effect]:
        """Bytes came. `data` may be split anywhere."""
        connection = self._connections.get(conn)
        if connection is None or not data or not connection.is_listened_to:
            return []
        connection.heard_at = now
        connection.is_pinged = False
        connection.unpaid_bytes += len(data)
        effects: list[Effect] = []
        reader = connection.reader
        if reader is None or connection.is_unheard:
            connection.first += data
            self._recognise(connection, now, effects)
        else:
            reader.receive_data(data)
            self._intake.proceed(connection, now, effects)
        return effects

    def receive_eof(self, conn: int, *, now: int) -> list[Effect]:
        """The peer will send no more (it may still read). Its lines still count, then it goes."""
        connection = self._connections.get(conn)
        if connection is None or not connection.is_listened_to:
            return []
        effects: list[Effect] = []
        if connection.first:
            self._recognise(connection, now, effects, is_last=True)
        reader = connection.reader
        if reader is None:
            self._intake.hang_up(connection, "", now, effects)
        else:
            reader.receive_eof()
            self._intake.proceed(connection, now, effects)
        return effects

    def connection_lost(
        self,
        conn: int,
        *,
        now: int,  # noqa: ARG002 # every call has it
        reason: str = "connection lost",
    ) -> list[Effect]:
        """The connection is gone, or nothing can be sent on it any more."""
        effects: list[Effect] = []
        connection = self._connections.get(conn)
        if connection is not None:
            self._intake.lose(connection, sanitize(reason), effects)
        return effects

    def owes(self, conn: int, owes: bool, *, now: int) -> None:
        """The adapter reads nothing from a connection, or does again: it does not take a `Stream`,
        or the log can take in nothing more. Its silence meanwhile is not its own.
        """
        connection = self._connections.get(conn)
        if connection is not None:
            connection.is_owed, connection.is_pinged = owes, False
            connection.heard_at = now

    def throttled(self, conn: int, *, now: int) -> int | None:
        """Whether a connection is paused because what it asked for came too fast: then its
        `used_lines`, otherwise None.
        """
        connection = self._connections.get(conn)
        if connection is None or not (connection.is_paused and self._rate.is_limited):
            return None
        return self.used_lines(conn) if self._rate.next_at(connection) > now else None

    def used_lines(self, conn: int) -> int:
        """How many lines of its rate a connection has used up: of two times at which it was
        throttled, and never without a pause between, the difference is what it cost.
        """
        connection = self._connections.get(conn)
        return 0 if connection is None else self._rate.used_lines(connection)

    def _recognise(
        self,
        connection: Connection,
        now: int,
        effects: list[Effect],
        *,
        silent: bool = False,
        is_last: bool = False,
    ) -> None:
        """Find out by its first bytes, or its silence, which dialect a peer speaks; begin then.

        One that was silent has begun with the fallback, and its first line may yet tell another.
        `is_last` when nothing more comes.
        """
        find = choose if connection.reader is None else choose_late
        dialect = find(self._dialects, connection.first, silent=silent or is_last)
        if dialect is None:
            return
        reader = connection.reader
        if reader is None or dialect is not self._dialects[-1]:
            reader = dialect.reader()
        if reader.opens_ahead:
            self._greetings.opens_ahead(connection.peer)
        connection.dialect = dialect.name
        connection.is_unheard = silent
        self._intake.begin(connection, reader, now, effects)

    # ── Time ─────────────────────────────────────────────────────────────────────────────────

    def get_timer(self) -> int | None:
        """When to call `handle_timer`, on the clock of `now`; None when nothing is due."""
        due, over = self._timers.next_at(), self._graces.next_at()
        if due is None or over is None:
            return due if over is None else over
        return min(due, over)

    def handle_timer(self, now: int) -> list[Effect]:
        """Do what is due."""
        effects: list[Effect] = []
        for conn, due in self._timers.take_due(now):
            connection = self._connections[conn]
            if due is Due.LINES:
                connection.is_timed = False
                self._intake.proceed(connection, now, effects)
            elif connection.phase is Phase.UNKNOWN:
                if (due_at := self._greetings.due_at(connection)) > now:
                    self._timers.set(due_at, conn, Due.CHECK)
                    continue
                self._recognise(connection, now, effects, silent=True)
                self._liveness.check(connection, now, effects)
            else:
                self._liveness.check(connection, now, effects)
        for session, grace in self._graces.take_due(now):
            # Should it be resumed before this is committed, the state will know.
            effects.append(Propose(grace.conn, 0, (events.Expire(session, grace.reason),)))
        return effects

    # ── The log's side ───────────────────────────────────────────────────────────────────────

    def commit(self, entries: Iterable[Entry], *, now: int) -> list[Effect]:
        """Apply the log's next entries."""
        effects: list[Effect] = []
        state = self.state
        handle, add, find = state.handle, self._delivery.add, self._connections.get
        archive = self._archive
        # Whose entry the last one was, while nothing can have changed for it.
        conn: int | None = None
        connection: Connection | None = None
        for entry in entries:
            event = entry.event
            if isinstance(event, Say):  # by far the most frequent, and nothing else comes of it
                actions = handle(entry)
                add(actions, entry, effects)
                if archive is not None and (said := what_was_said(state, entry, actions)):
                    archive(said)
            elif entry.seq > state.seq:
                actions = handle(entry)
                add(actions, entry, effects)
                if self._nick_changes:
                    self._delivery.flush(effects)
                    self._watches.tell(self._nick_changes, effects)
                    self._former.note(self._nick_changes, entry.at)
                    self._nick_changes.clear()
                self._note(entry, actions, now)
                if archive is not None and (said := what_was_said(state, entry, actions)):
                    archive(said)
                conn = None
            else:
                continue  # the log has delivered it before
            if entry.conn is not conn:
                conn = entry.conn
                connection = find(conn)
            if connection is not None and entry.number > connection.committed:
                connection.committed = entry.number
                if connection.hows:
                    connection.hows.pop(entry.number, None)
                if connection.answers or connection.is_paused or connection.phase is not _OPEN:
                    self._delivery.flush(effects)
                    self._follow_up(connection, event, now, effects)
                    conn = None
        self._delivery.flush(effects)
        return effects

    def found(
        self, conn: int, ticket: int, messages: Sequence[Said] | None, *, now: int
    ) -> list[Effect]:
        """The archive has looked (`Look`): messages, newest first; None when it could not."""
        effects: list[Effect] = []
        connection = self._connections.get(conn)
        if connection is not None:
            self._answers.found(connection, ticket, messages, now, effects)
            if connection.is_paused and connection.is_settled:
                self._intake.proceed(connection, now, effects)
        return effects

    def derived(self, conn: int, ticket: int, made: str | None, *, now: int) -> list[Effect]:
        """What came of a password (`Derive`): the hash that was made or that it was checked
        against; "" when it is another's, None when there was no time for it.
        """
        self._passwords.derived(ticket, made, now)
        effects: list[Effect] = []
        connection = self._connections.get(conn)
        if connection is not None:
            self._intake.derived(connection, ticket, made, now, effects)
        return effects

    def _note(self, entry: Entry, actions: list[Action], now: int) -> None:
        """What an entry means to this node, beside what is told of it."""
        if self._observe is not None and not isinstance(entry.event, Tell):
            self._observe(entry, actions)
        event = entry.event
        if type(event) not in _NOTED:
            return
        self._answers.most_people()
        connection = self._connections.get(entry.conn)  # None where it is another node's
        if isinstance(event, events.Login | events.LoggedIn):
            self._note_session(entry.conn, connection)
        match event:
            case events.Join() | events.Claim() | events.Login() if (
                connection is not None and connection.guesses
            ):
                self._passwords.committed(connection, entry.number, _was_right(actions), now)
            case events.Restrictions() if connection is not None:
                self._rate.charge_lines(connection, _length(actions) // ITEMS_A_LINE, now)
            case events.Resume(session):
                self._graces.end(session)
            case events.Expire(session) if self.state.away(session) is None:
                self._graces.end(session)  # another node, where it was not over yet here
            case events.Lapse():
                self._begin_missing_graces(now)

    def recover(self, *, now: int) -> list[Effect]:
        """Begin: arm the graces of all who are away, on this clock, and have the log know what the
        owner has set, unless it does.
        """
        self._begin_missing_graces(now)
        wanted = self._configuration
        if wanted is None or wanted == self.state.configuration:
            return []
        return [Propose(0, 0, (wanted,))]

    def configure(
        self,
        *,
        now: int,
        limits: ServerLimits | None = None,
        motd: Iterable[str] | None = None,
        password: str | None = None,
        dialects: Sequence[Dialect] | None = None,
        observe: Observer | None = None,
        configuration: events.Configure | None = None,
    ) -> list[Effect]:
        """Go on with other settings; what is None stays as it is. Each is as in the constructor.

        Limits hold for those who are connected, too: how fast they may talk, when they are asked
        whether they are there, and how long their sessions wait when they are lost from now on. A
        password is asked of who has not said anything yet; dialects and lines of the day are for
        who comes. What the log has to know is proposed, and holds when it is committed.
        """
        effects: list[Effect] = []
        if motd is not None:
            self._motd = _shown(motd)
        if dialects is not None:
            self._dialects = dialects
        if observe is not None:
            self._observe = observe
        if password is not None:
            self._configure_password(password)
        # What it wanted last may still be on its way, so the state does not say what differs.
        if configuration is not None and configuration != self._configuration:
            effects.append(Propose(0, 0, (configuration,)))
            self._configuration = configuration
        self._configure_limits(limits or self.limits, now, effects)
        return effects

    def _configure_password(self, password: str) -> None:
        self._access.configure(password)
        for connection in self._connections.values():
            if connection.phase is Phase.UNKNOWN:
                connection.is_admitted = self._access.is_open

    def _configure_limits(self, limits: ServerLimits, now: int, effects: list[Effect]) -> None:
        bounds, wanted = self.state.limits, self._configuration
        if wanted is not None:
            bounds = configured(bounds, wanted)
        self._told_limits = _told_limits(bounds, limits)
        self._intake.configure(limits, bounds.rooms_per_person)
        if limits == self.limits:
            return
        self.limits = limits
        self._rate.configure(limits)
        self._liveness.configure(limits)
        # When each is to be looked at again, the bounds have said.
        self._timers.clear()
        for connection in tuple(self._connections.values()):
            if connection.phase is Phase.UNKNOWN:
                self._timers.set(self._greetings.due_at(connection), connection.conn, Due.CHECK)
                continue
            self._rate.forgive(connection, now)
            if connection.is_timed:
                connection.is_timed = False
                self._intake.proceed(connection, now, effects)
            self._liveness.check(connection, now, effects)

    def closing(self, conn: int, reason: str, *, retry: int | None = None) -> bytes:
        """The last words for one connection, in its dialect, when the adapter has to end it.

        b"" for one that was told already, or that may be a browser's which was opened ahead.
        """
        connection = self._connections.get(conn)
        if connection is None:
            return b""
        if connection.phase is Phase.UNKNOWN and self._greetings.may_be_ahead(connection):
            return b""  # it would be read as the page
        return connection.flavour.encode(notices.Closing(sanitize(reason), retry))

    def announce(self, text: str) -> list[Effect]:
        """Tell everybody who is connected to this node something. It is in no order of the log."""
        notice = notices.Announced(sanitize(text))
        return [
            Send(conn, connection.flavour.encode(notice))
            for conn, connection in self._connections.items()
            # Not before its welcome: until then it may not even know its dialect.
            if connection.can_be_told and connection.committed
        ]

    def stop(self, reason: str, *, retry: int | None = None, spread: int = 0) -> list[Effect]:
        """The node goes down: tell everybody, and close. Call nothing for these afterwards.

        `retry` is the time in milliseconds after which clients may come again; with `spread` each
        of them at another time, the last of them so much later.
        """
        effects: list[Effect] = []
        count = max(1, len(self._connections))
        for place, (conn, connection) in enumerate(self._connections.items()):
            if connection.phase is not Phase.LOST:
                when = None if retry is None else retry + spread * place // count
                if last_words := self.closing(conn, reason, retry=when):
                    effects.append(Send(conn, last_words))
                effects.append(Close(conn))
        self._connections.clear()
        self._timers.clear()
        self._graces.clear()
        return effects

    def _follow_up(
        self, connection: Connection, event: Event, now: int, effects: list[Effect]
    ) -> None:
        """What had to wait for the connection's own entry."""
        self._answers.give_waiting(connection, now, effects)
        if isinstance(event, events.Disconnect):
            if connection.phase is Phase.ENDING:
                effects.append(Close(connection.conn))
            self._forget(connection)
            for session in connection.sessions:
                self._begin_grace(session, connection.conn, event.reason, now)
        elif connection.is_paused and connection.is_settled:
            self._intake.proceed(connection, now, effects)

    # ── Sessions ─────────────────────────────────────────────────────────────────────────────

    def _note_session(self, conn: int, connection: Connection | None) -> None:
        """Who has logged in may go on in a session that was away, or have begun one."""
        person = self.state.person(conn)
        if person is None or not person.session:
            return
        self._graces.end(person.session)
        if connection is not None and not connection.sessions:
            connection.sessions = (person.session,)

    def _begin_grace(self, session: str, conn: int, reason: str, now: int) -> None:
        """A connection is gone; its session can be resumed for a while."""
        if self._is_away(session, conn):
            length = self.limits.grace_ms
            if reason == CLOSED_THE_PAGE:
                length = min(length, PAGE_GRACE_MS)
            grace = Grace(now + length, conn, reason or "connection lost")
            self._graces.begin(session, grace, length)

    def _begin_missing_graces(self, now: int) -> None:
        for person in self.state.all_away():
            if person.session not in self._graces:
                self._begin_grace(person.session, person.conn, person.lost, now)

    def _is_away(self, session: str, conn: int) -> bool:
        """Whether a session waits to be resumed since this connection was lost."""
        person = self.state.away(session)
        return person is not None and person.conn == conn

    # ── Parts ────────────────────────────────────────────────────────────────────────────────

    def _forget(self, connection: Connection) -> None:
        """The end of every connection here."""
        connection.move(Step.FORGOTTEN)
        self._passwords.forget(connection)
        self._watches.forget(connection.conn)
        del self._connections[connection.conn]
        self._timers.forget()

    def _welcome(self, connection: Connection, welcome: notices.Welcome) -> notices.Welcome:
        """The state says who you are; the node adds what it is, and how many there are to who may
        look at that.
        """
        may_look = bool(welcome.account or self.state.limits.guests)
        counted = (self.state.people, self._answers.most_people()) if may_look else (0, 0)
        return msgspec.structs.replace(
            welcome,
            server=self._server,
            version=VERSION,
            token=connection.token if connection.sessions else "",
            motd=self._motd,
            limits=self._told_limits,
            people=counted[0],
            most_people=counted[1],
        )


def lapses(state: ChatState, node: int, boot: int) -> list[Propose]:
    """What a node proposes when it starts its `boot`-th time: all of its earlier boots are over.

    Each takes away at most `LAPSE_AT_ONCE` people, so that none of them holds the others up.
    """
    first, end = (events.connection_number(node, each, 0) for each in (0, boot))
    conns = sorted(person.conn for person in state.connected() if first <= person.conn < end)
    # The last of each group bounds it.
    bounds = [*conns[LAPSE_AT_ONCE - 1 :: LAPSE_AT_ONCE], *conns[-1:]]
    return [
        Propose(0, 0, (events.Lapse(node, *events.boot_and_count(conn)),))
        for conn in dict.fromkeys(bounds)
    ]


def _shown(motd: Iterable[str]) -> tuple[str, ...]:
    """Lines that obey nobody's terminal."""
    return tuple(sanitize(line) for line in motd)


def _told_limits(bounds: StateLimits, limits: ServerLimits) -> notices.Limits:
    return notices.Limits(
        line_bytes=MAX_LINE_BYTES,
        text_chars=MAX_TEXT_CHARS,
        text_bytes=MAX_TEXT_BYTES,
        nick_chars=MAX_NICK_CHARS,
        room_chars=MAX_ROOM_CHARS,
        topic_chars=MAX_TOPIC_CHARS,
        rooms_per_person=bounds.rooms_per_person,
        unacknowledged=bounds.receipts,
        grace_ms=limits.grace_ms,
        flood_burst=limits.flood_burst,
        flood_rate=limits.flood_rate,
        name_chars=MAX_REAL_NAME_CHARS,
    )


def _was_right(actions: Sequence[Action]) -> bool | None:
    """Whether a code was right, by what came of it; None when that was not looked at."""
    told = [each.payload for each in actions if isinstance(each, Send | Broadcast)]
    if any(isinstance(each, Rejected) and each.reason in _WRONG for each in told):
        return False
    return any(isinstance(each, notices.Joined | notices.Claimed) for each in told) or None


def _length(actions: Sequence[Action]) -> int:
    """How much is listed."""
    told = [each.payload for each in actions if isinstance(each, Send)]
    lists = [each.restrictions for each in told if isinstance(each, notices.RestrictionList)]
    return sum(map(len, lists))
