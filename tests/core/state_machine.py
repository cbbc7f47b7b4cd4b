"""ChatState against the naive model: many people, few nicks and rooms, so that they collide."""

from __future__ import annotations

from typing import ClassVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tcpchat_core import ChatState, Event, Name, StateLimits, events, notices
from tcpchat_core.state import Person
from tests.core.harness import START_MS, STEP_MS, deliver, entry, joins, nick, restored
from tests.core.model import Model, ModelPerson, ModelRoom, OneOrder, comparable, devices, is_admin

PLACES = st.integers(1, 6)
NICKS = st.sampled_from([nick(typed) for typed in ("ada", "Ada", "аda", "bob", "cleo", "дана")])
ROOMS = st.sampled_from([joins(typed) for typed in ("lobby", "Lobby", "tea", "den", "кухня")])
TEXTS = st.sampled_from(["a", "tea?", "hello all", "ça va ☕"])
ORIGINS = {1: "home", 2: "home", 3: "home", 4: "school", 5: "school", 6: ""}
# Entries are 10 ms apart: some of these end while others still hold.
SPANS = st.sampled_from([0, 1, 30, 100, 400, 10**12])
CODES = st.sampled_from(["", "hash 1", "hash 2", "hash 3"])
RESTRAINTS = st.sampled_from(["ban", "mute"])
ACCOUNTS = st.sampled_from([nick(typed) for typed in ("ada", "bob", "bob", "zoe")])
# Each names a code and a token; so few that they are tried again when they are used, or nobody's.
CLAIMS = st.sampled_from(["claim 1", "claim 2", "claim 3"])
SHORT_SPANS = st.sampled_from([1, 30, 100, 400])
DEVICES = st.sampled_from(["phone", "laptop", "tablet", "bot"])
LOTS = st.integers(0, 7)
# Nothing; a number of the room, counted from the last one; or what others have said, from the end.
_NUMBERS = [("re", back) for back in (-1, 0, 1, 3, 9)]
ANSWERS = st.sampled_from([("", 0), *_NUMBERS, ("back", 1), ("back", 3), ("back", -1)])
TAGS = st.none() | st.sampled_from([{"draft/reply": "1"}, {"a": "", "b": "tea " * 20}])
IDS = st.none() | st.sampled_from(["1", "2", "3", "4"])


class StateMachine(RuleBasedStateMachine):
    """Every rule is one entry of the log; the model says what each person must be told of it.

    There are six places; who leaves one makes room for the next connection, with a number of its
    own. Odd places open sessions that can be resumed. Places 1 to 3 are behind one address, and so
    are 4 and 5; place 6 tells nothing of its own.
    """

    limits: ClassVar[StateLimits] = StateLimits()

    def __init__(self) -> None:
        super().__init__()
        self.state = ChatState(limits=self.limits)
        self.model = Model(self.limits)
        self.order = OneOrder()
        self.places = {place: place for place in range(1, 7)}
        self.last_conn = 6
        self.sessions: list[tuple[int, str]] = []  # every one ever opened, with its connection

    def happens(self, conn: int, event: Event) -> None:
        """One entry, in the state and in the model."""
        committed = entry(self.state.seq + 1, conn, event)
        closed_before = len(self.model.closed)
        expected = self.model.apply(committed)
        told, closed = deliver(self.state.handle(committed))
        assert closed == self.model.closed[closed_before:]
        for place, sits in self.places.items():
            if sits in closed:
                self.sits_down(place)
        assert {
            conn: [comparable(notice) for notice in heard] for conn, heard in told.items()
        } == expected
        for listener, heard in told.items():
            for notice in heard:
                self.order.told(listener, notice)
            if isinstance(heard[0], notices.Resumed):
                self.order.caught_up(listener, heard[0])
        if conn not in self.model.names:
            self.order.gone(conn)

    def sits_down(self, place: int) -> int:
        """A new connection, whether or not the one before it at this place is known to be dead."""
        self.last_conn += 1
        self.places[place] = self.last_conn
        return self.last_conn

    @initialize(has_admin=st.booleans(), is_kept=st.booleans())
    def three_people_share_two_rooms(self, has_admin: bool, is_kept: bool) -> None:
        for place in (1, 2, 3):
            self.connect(place, joins("lobby"))
            self.join(place, joins("tea"))
        if has_admin:
            self.connect(5, joins("tea"))
            self.grant(nick("zoe"), "claim 1", admin=True)
            self.claim(5, "claim 1", "bot")
        if is_kept:
            self.keep_a_room(1, nick("ada"), "claim 2", "phone", joins("lobby"))

    @rule(place=PLACES, room=ROOMS)
    def connect(self, place: int, room: events.Join) -> None:
        conn = self.places[place]
        session = f"session-{conn}" if place % 2 else ""
        real = "Ada Lovelace" if place % 3 else ""
        self.happens(conn, events.Connect(session, ORIGINS[place], "", real, f"u{place % 2}"))
        if session and (conn, session) not in self.sessions:
            self.sessions.append((conn, session))
        self.happens(conn, room)

    @rule(place=PLACES, room=ROOMS)
    def join(self, place: int, room: events.Join) -> None:
        self.happens(self.places[place], room)

    @rule(
        place=PLACES,
        room=ROOMS,
        text=TEXTS,
        id=IDS,
        emote=st.booleans(),
        notice=st.booleans(),
        tags=TAGS,
        answers=ANSWERS,
    )
    def say(
        self,
        place: int,
        room: events.Join,
        text: str,
        id: str | None,
        *,
        emote: bool = False,
        notice: bool = False,
        tags: dict[str, str] | None = None,
        answers: tuple[str, int] = ("", 0),
    ) -> None:
        how, number = answers
        known = self.model.rooms.get(room.key)
        re = known.seq - number if known and how == "re" else None
        back = number if how == "back" else 0
        said = events.Say(room.room, text, id, emote, room.key, notice, tags, re, back)
        self.happens(self.places[place], said)

    @rule(place=PLACES, room=ROOMS, count=st.integers(2, 6))
    def talk(self, place: int, room: events.Join, count: int) -> None:
        for _ in range(count):
            self.say(place, room, "a", None)

    @rule(place=PLACES, nick=NICKS, text=TEXTS, id=IDS, notice=st.booleans(), tags=TAGS)
    def tell(
        self,
        place: int,
        nick: events.Nick,
        text: str,
        id: str | None,
        *,
        notice: bool = False,
        tags: dict[str, str] | None = None,
    ) -> None:
        self.happens(self.places[place], events.Tell(nick.nick, text, id, nick.key, notice, tags))

    @rule(place=PLACES, room=ROOMS)
    def signal(self, place: int, room: events.Join) -> None:
        tags = {"typing": "active"}
        self.happens(self.places[place], events.Signal(tags, room.room, key=room.key))

    @rule(place=PLACES, nick=NICKS)
    def signal_to_one(self, place: int, nick: events.Nick) -> None:
        event = events.Signal({"draft/react": "☕"}, nick=nick.nick, nick_key=nick.key)
        self.happens(self.places[place], event)

    @rule(place=PLACES, number=st.integers(1, 4), id=IDS)
    def tell_a_guest(self, place: int, number: int, id: str | None) -> None:
        guest = f"guest-{number}"
        self.happens(self.places[place], events.Tell(guest, "psst", id, guest))

    @rule(place=PLACES, nick=NICKS)
    def nick(self, place: int, nick: events.Nick) -> None:
        self.happens(self.places[place], nick)

    @rule(place=PLACES, room=ROOMS, topic=st.sampled_from([None, "", "tea at four"]))
    def topic(self, place: int, room: events.Join, topic: str | None) -> None:
        self.happens(self.places[place], events.Topic(room.room, topic, room.key))

    @rule(place=PLACES, text=st.sampled_from(["", "tea time", "gone"]))
    def away(self, place: int, text: str) -> None:
        self.happens(self.places[place], events.Away(text))

    @rule(place=PLACES, name=st.sampled_from(["", "Ada", "Ida"]), user=st.sampled_from(["", "a"]))
    def set_name(self, place: int, name: str, user: str) -> None:
        self.happens(self.places[place], events.SetName(name, user))

    @rule(place=PLACES, room=ROOMS, reason=st.sampled_from(["", "tea time"]))
    def out(self, place: int, room: events.Join, reason: str) -> None:
        self.happens(self.places[place], events.Out(room.room, room.key, reason))

    @rule(place=PLACES, how=st.sampled_from([events.Quit("bye"), events.Disconnect("lost")]))
    def depart(self, place: int, how: events.Quit | events.Disconnect) -> None:
        self.happens(self.places[place], how)
        self.sits_down(place)

    @rule(
        place=PLACES,
        lot=st.integers(0, 9),
        behind=st.none() | st.integers(-1, 7),
        told_behind=st.integers(-1, 4),
    )
    def resume(self, place: int, lot: int, behind: int | None, told_behind: int) -> None:
        """A new connection takes a session over, which may live, be away, or be over.

        It has seen everything but the last few messages of each room; or it names no room, having
        joined and lost the connection before it was told.
        """
        conn = self.sits_down(place)
        _, session = self.sessions[-1 - lot % len(self.sessions)]
        person = self.model.of_session(session)
        rooms = {key: self.model.rooms[key] for key in person.rooms} if person else {}
        told = len(person.told) - told_behind if person else 0
        seen = {} if behind is None else {key: room.seq - behind for key, room in rooms.items()}
        if person and seen:  # it may not know where it was put out
            seen |= dict.fromkeys(person.put_out, 1)
        self.order.resumes(
            conn,
            {
                room.name: min(room.seq, max(seen.get(key, 0), person.rooms[key]))
                for key, room in rooms.items()
                if person
            },
        )
        fresh = f"session-{conn}"
        self.happens(conn, events.Resume(session, fresh, seen, told, "", ORIGINS[place], "", "Eve"))
        if person is None:
            self.sessions.append((conn, fresh))

    # ── Accounts ─────────────────────────────────────────────────────────────────────────────

    def happens_to_nobody(self, event: Event) -> None:
        """What the owner of the server does is on no connection."""
        self.happens(0, event)

    @rule(account=ACCOUNTS, code=st.just("") | CLAIMS, admin=st.sampled_from([None, True, False]))
    def grant(self, account: events.Nick, code: str, admin: bool | None) -> None:
        self.happens_to_nobody(events.Grant(account.nick, account.key, code, admin))

    @rule(account=ACCOUNTS, sure=st.sampled_from([False, False, False, True]))
    def withdraw(self, account: events.Nick, sure: bool) -> None:
        if sure:
            self.happens_to_nobody(events.Withdraw(account.key))

    @rule(place=PLACES, code=CLAIMS, device=DEVICES)
    def claim(self, place: int, code: str, device: str) -> None:
        self.happens(self.places[place], events.Claim(code, "", device))

    @rule(place=PLACES, account=ACCOUNTS, code=CLAIMS, device=DEVICES)
    def be_given_an_account(self, place: int, account: events.Nick, code: str, device: str) -> None:
        self.grant(account, code, None)
        self.claim(place, code, device)

    @rule(place=PLACES, device=DEVICES)
    def login(self, place: int, device: str) -> None:
        self.happens(self.places[place], events.Login(device))

    @rule(place=PLACES, code=CLAIMS, other=PLACES, device=DEVICES)
    def offer(self, place: int, code: str, other: int, device: str) -> None:
        self.happens(self.places[place], events.Offer(code))
        self.claim(other, code, device)

    @rule(place=PLACES, number=st.integers(1, 3))
    def revoke(self, place: int, number: int) -> None:
        self.happens(self.places[place], events.Revoke(number))

    @rule(place=PLACES, room=ROOMS, text=TEXTS)
    def only_accounts_talk_for_a_while(self, place: int, room: events.Join, text: str) -> None:
        self.happens_to_nobody(events.Configure({"guests": 0}))
        self.join(place, room)
        self.nick(place, nick("cleo"))
        self.tell(place, nick("ada"), text, None)
        for key in ("lobby", "tea"):
            self.say(place, joins(key), text, None)
            self.topic(place, joins(key), text)
        if len(text) % 2:
            self.depart(place, events.Quit(text))
        self.happens_to_nobody(events.Configure({"guests": 1}))

    @rule(place=PLACES, device=DEVICES)
    def come_by_a_device(self, place: int, device: str) -> None:
        conn = self.sits_down(place)
        self.happens(conn, events.Connect(f"session-{conn}", ORIGINS[place], device, "Zoe", "z"))
        self.sessions.append((conn, f"session-{conn}"))

    # ── Moderation: by whoever moderates some room, as a rule ───────────────────────────────────

    def moderator(self, place: int, room: events.Join) -> tuple[int, events.Join]:
        """Of these people, whoever moderates a room, and the room; else the one at this place."""
        for key, there in self.model.rooms.items():
            for person in [each for who in there.moderators for each in devices(who)]:
                if not person.away and (place + len(key)) % 3:
                    return person.conn, events.Join(there.name, key)
        return self.places[place], room

    def somebody(self, lot: int) -> Name:
        """The name of one of these people, or of nobody."""
        names = [person.name for person in self.model.people]
        names += [each.name for each in self.model.accounts.values() if not each.present]
        return names[lot] if lot < len(names) else Name("nobody", "nobody")

    @rule(place=PLACES, room=ROOMS, lot=LOTS, reason=st.sampled_from(["", "spam"]))
    def kick(self, place: int, room: events.Join, lot: int, reason: str) -> None:
        conn, there = self.moderator(place, room)
        nick, nick_key = self.somebody(lot)
        self.happens(conn, events.Kick(there.room, nick, reason, there.key, nick_key))

    @rule(place=PLACES, room=ROOMS, lot=LOTS, what=RESTRAINTS, ms=SPANS)
    def restrict(
        self, place: int, room: events.Join, lot: int, what: events.Restraint, ms: int
    ) -> None:
        conn, there = self.moderator(place, room)
        nick, nick_key = self.somebody(lot)
        event = events.Restrict(there.room, nick, what, ms, "", there.key, nick_key)
        self.happens(conn, event)

    @rule(place=PLACES, room=ROOMS, lot=LOTS, text=TEXTS)
    def mute_and_try_to_speak(self, place: int, room: events.Join, lot: int, text: str) -> None:
        conn, there = self.moderator(place, room)
        nick, nick_key = self.somebody(lot)
        self.happens(conn, events.Restrict(there.room, nick, "mute", 100, "", there.key, nick_key))
        for person in tuple(self.model.people):
            if person.name.key == nick_key and not person.away:
                self.happens(person.conn, events.Say(there.room, text, None, False, there.key))
                self.happens(person.conn, events.Topic(there.room, text, there.key))

    def come_from_where_somebody_is(self, person: ModelPerson | None, room: events.Join) -> None:
        """A guest comes who cannot be told from another, and tries to come in and to speak."""
        alike = [place for place, origin in ORIGINS.items() if person and origin == person.origin]
        place = (alike or [6])[-1]
        self.sits_down(place)
        self.connect(place, room)
        self.say(place, room, "a", None)

    @rule(place=PLACES, room=ROOMS, lot=LOTS, what=RESTRAINTS)
    def restrict_and_somebody_comes_from_there(
        self, place: int, room: events.Join, lot: int, what: events.Restraint
    ) -> None:
        conn, there = self.moderator(place, room)
        nick, nick_key = self.somebody(lot)
        restricted = self.model.holder(nick_key)
        event = events.Restrict(there.room, nick, what, 400, "", there.key, nick_key)
        self.happens(conn, event)
        self.come_from_where_somebody_is(restricted, there)

    @rule(place=PLACES, room=ROOMS, lot=LOTS, what=RESTRAINTS)
    def lift(self, place: int, room: events.Join, lot: int, what: events.Restraint) -> None:
        conn, there = self.moderator(place, room)
        nick, nick_key = self.somebody(lot)
        self.happens(conn, events.Lift(there.room, nick, what, there.key, nick_key))

    @rule(
        place=PLACES,
        room=ROOMS,
        lot=LOTS,
        role=st.sampled_from(["moderator", "member", "owner"]),
    )
    def role(self, place: int, room: events.Join, lot: int, role: events.RoomRole) -> None:
        conn, there = self.moderator(place, room)
        nick, nick_key = self.somebody(lot)
        self.happens(conn, events.Role(there.room, nick, role, there.key, nick_key))

    @rule(
        place=PLACES,
        room=ROOMS,
        talking=st.tuples(
            st.sampled_from([None, None, 0, 30, 10**9]),
            st.sampled_from([None, True, False]),
            st.sampled_from([(None, None), (True, None), (False, True), (None, False)]),
        ),
        private=st.sampled_from([None, True, True, False]),
        beyond=st.sampled_from(
            [(None, None)] * 2 + [(None, True), (None, False), ("hash 1", None)]
        ),
    )
    def mode(
        self,
        place: int,
        room: events.Join,
        talking: tuple[int | None, bool | None, tuple[bool | None, bool | None]],
        private: bool | None,
        beyond: tuple[str | None, bool | None],
    ) -> None:
        conn, there = self.moderator(place, room)
        (slow_ms, moderated, others), (secret, kept) = talking, beyond
        event = events.RoomMode(
            there.room, slow_ms, moderated, private, there.key, kept, secret, *others
        )
        self.happens(conn, event)

    @rule(place=PLACES, room=ROOMS, other=PLACES, secret=CODES, code=CODES)
    def ask_for_a_secret(
        self, place: int, room: events.Join, other: int, secret: str, code: str
    ) -> None:
        conn, there = self.moderator(place, room)
        self.happens(conn, events.RoomMode(there.room, key=there.key, secret=secret))
        self.join_by_a_code(other, there, code)
        self.join_by_a_code(other, there, secret)

    # ── Rooms that are kept ──────────────────────────────────────────────────────────────────

    @rule(place=PLACES, account=ACCOUNTS, code=CLAIMS, device=DEVICES, room=ROOMS)
    def keep_a_room(
        self, place: int, account: events.Nick, code: str, device: str, room: events.Join
    ) -> None:
        self.be_given_an_account(place, account, code, device)
        self.join(place, room)
        conn = self.places[place]
        self.happens(conn, events.RoomMode(room.room, key=room.key, kept=True))

    def kept_room(self, lot: int) -> ModelRoom | None:
        """One of the rooms that are kept."""
        kept = [room for room in self.model.rooms.values() if room.owners]
        return kept[lot % len(kept)] if kept else None

    @precondition(lambda self: self.kept_room(0))
    @rule(lot=LOTS, place=PLACES)
    def all_leave_a_kept_room(self, lot: int, place: int) -> None:
        room = self.kept_room(lot)
        assert room is not None
        key = joins(room.name).key
        for who in tuple(room.members):
            for person in [each for each in devices(who) if not each.away][:1]:
                self.happens(person.conn, events.Out(room.name, key))
        if lot % 2:
            self.join(place, joins(room.name))

    @precondition(lambda self: self.kept_room(0))
    @rule(place=PLACES, lot=LOTS, whom=LOTS, role=st.sampled_from(["owner", "owner", "member"]))
    def an_owner_gives_a_role(self, place: int, lot: int, whom: int, role: events.RoomRole) -> None:
        """… to an account, itself among them; or the one at this place tries to."""
        room, accounts = self.kept_room(lot), [*self.model.accounts.values()]
        assert room is not None
        key, conn = joins(room.name).key, self.places[place]
        for person in [each for who in room.owners for each in devices(who)]:
            if not person.away and key in person.rooms and place % 3:
                conn = person.conn
        nick, nick_key = accounts[whom % len(accounts)].name
        self.happens(conn, events.Role(room.name, nick, role, key, nick_key))

    @rule(
        place=PLACES,
        room=ROOMS,
        back=st.integers(-1, 3),
        steps=st.none() | st.integers(-9, 1),
        marks=st.booleans(),
    )
    def read(
        self, place: int, room: events.Join, back: int, steps: int | None, marks: bool
    ) -> None:
        """… by somebody who has an account, if there is one in some room."""
        conn, key = self.places[place], room.key
        for account in self.model.accounts.values():
            for person in account.present:
                if person.rooms and not person.away and place % 3:
                    conn, key = person.conn, [*person.rooms][back % len(person.rooms)]
        known = self.model.rooms.get(key)
        seq = known.seq - back if known else 1
        # It is asked as it was before there were times, or up to one, or up to both.
        at = None if steps is None else START_MS + STEP_MS * (self.state.seq + steps)
        number = seq if at is None or back < 2 else None
        name, has_marks = known.name if known else key, marks or at is not None
        self.happens(conn, events.Read(name, number, key, at, has_marks))

    # ── The whole server: by an admin, as a rule ─────────────────────────────────────────────

    def admin(self, place: int) -> int:
        """Of these people, one who looks after the server; else the one at this place."""
        admins = [each for each in self.model.people if is_admin(each.who) and not each.away]
        return admins[0].conn if admins and place % 3 else self.places[place]

    @rule(place=PLACES, lot=LOTS, reason=st.sampled_from(["", "spam"]))
    def kick_from_the_server(self, place: int, lot: int, reason: str) -> None:
        nick, nick_key = self.somebody(lot)
        event = events.Kick("", nick, reason, "", nick_key, server=True)
        self.happens(self.admin(place), event)

    @rule(place=PLACES, lot=LOTS, what=RESTRAINTS, ms=SPANS)
    def restrict_on_the_server(self, place: int, lot: int, what: events.Restraint, ms: int) -> None:
        nick, nick_key = self.somebody(lot)
        event = events.Restrict("", nick, what, ms, "spam", "", nick_key, server=True)
        self.happens(self.admin(place), event)

    @rule(place=PLACES, lot=LOTS, ms=SHORT_SPANS, device=DEVICES, code=CLAIMS)
    def ban_and_try_to_come(self, place: int, lot: int, ms: int, device: str, code: str) -> None:
        nick, nick_key = self.somebody(lot)
        banned = self.model.holder(nick_key)
        event = events.Restrict("", nick, "ban", ms, "", "", nick_key, server=True)
        self.happens(self.admin(place), event)
        other = 1 + place % 6
        if nick_key in self.model.accounts:
            self.be_given_an_account(other, events.Nick(nick, nick_key), code, device)
        for each in self.model.accounts.values():
            if each.name.key == nick_key and each.devices:
                self.login(other, next(iter(each.devices)))
                self.come_by_a_device(other, next(iter(each.devices)))
        self.come_from_where_somebody_is(banned, joins("lobby"))
        if banned is not None and banned.session:
            opened = [session for _, session in self.sessions]
            if banned.session in opened:
                self.resume(other, opened[::-1].index(banned.session), 0, 0)

    @rule(place=PLACES, lot=LOTS, text=TEXTS)
    def mute_on_the_server_and_try_to_speak(self, place: int, lot: int, text: str) -> None:
        nick, nick_key = self.somebody(lot)
        event = events.Restrict("", nick, "mute", 100, "", "", nick_key, server=True)
        self.happens(self.admin(place), event)
        for person in tuple(self.model.people):
            if person.name.key == nick_key and not person.away:
                self.happens(person.conn, events.Tell(nick, text, None, nick_key))
                self.happens(person.conn, events.Say("lobby", text, None, False, "lobby"))

    @rule(place=PLACES, lot=LOTS, what=RESTRAINTS)
    def lift_on_the_server(self, place: int, lot: int, what: events.Restraint) -> None:
        nick, nick_key = self.somebody(lot)
        for row in self.model.server.restrictions:
            if row.what == what and lot % 2:  # else it would hardly ever be called so still
                nick, nick_key = row.name
        event = events.Lift("", nick, what, "", nick_key, server=True)
        self.happens(self.admin(place), event)

    @rule(place=PLACES)
    def ask_for_the_restrictions_of_the_server(self, place: int) -> None:
        self.happens(self.admin(place), events.Restrictions("", server=True))

    @rule(place=PLACES, room=ROOMS, lot=LOTS, how=st.sampled_from(["kick", "slow", "moderated"]))
    def an_admin_looks_after_a_room(
        self, place: int, room: events.Join, lot: int, how: str
    ) -> None:
        conn = self.admin(place)
        nick, nick_key = self.somebody(lot)
        self.happens(conn, room)
        if how == "kick":
            self.happens(conn, events.Kick(room.room, nick, "", room.key, nick_key))
        elif how == "slow":
            self.happens(conn, events.RoomMode(room.room, slow_ms=50, key=room.key))
        else:
            self.happens(conn, events.RoomMode(room.room, moderated=True, key=room.key))
        for _ in range(2):
            self.happens(conn, events.Say(room.room, "a", None, False, room.key))

    @rule(place=PLACES, room=ROOMS, lot=LOTS, code=CODES)
    def invite(self, place: int, room: events.Join, lot: int, code: str) -> None:
        conn, there = self.moderator(place, room)
        nick, nick_key = ("", "") if code else self.somebody(lot)
        self.happens(conn, events.Invite(there.room, nick, code, there.key, nick_key))

    @rule(place=PLACES, room=ROOMS, code=CODES)
    def join_by_a_code(self, place: int, room: events.Join, code: str) -> None:
        self.happens(self.places[place], events.Join(room.room, room.key, roles=True, code=code))

    @rule(place=PLACES, room=ROOMS, lot=LOTS, how=st.sampled_from(["own", "nick"]))
    def redact(self, place: int, room: events.Join, lot: int, how: str) -> None:
        conn, there = self.moderator(place, room) if lot % 2 else (self.places[place], room)
        nick, nick_key = self.somebody(lot) if how == "nick" else ("", "")
        self.happens(conn, events.Redact(there.room, 0, nick, there.key, nick_key))

    @rule(place=PLACES, room=ROOMS, back=st.integers(-1, 7))
    def redact_a_number(self, place: int, room: events.Join, back: int) -> None:
        conn, there = self.moderator(place, room) if back % 2 else (self.places[place], room)
        known = self.model.rooms.get(there.key)
        seq = max(1, known.seq - back) if known else 1
        self.happens(conn, events.Redact(there.room, seq, "", there.key))

    @rule(place=PLACES, room=ROOMS)
    def ask_for_the_restrictions(self, place: int, room: events.Join) -> None:
        conn, there = self.moderator(place, room)
        self.happens(conn, events.Restrictions(there.room, there.key))

    @rule(lot=st.integers(0, 9))
    def the_grace_ends(self, lot: int) -> None:
        """… of any connection that had a session, be it resumed since or not."""
        conn, session = self.sessions[-1 - lot % len(self.sessions)]
        self.happens(conn, events.Expire(session, "connection lost"))

    @precondition(lambda self: self.model.away)
    @rule(lot=st.integers(0, 5))
    def the_grace_of_somebody_away_ends(self, lot: int) -> None:
        person = self.model.away[lot % len(self.model.away)]
        self.happens(person.conn, events.Expire(person.session, "connection lost"))

    @precondition(lambda self: self.model.names)
    @rule(author=st.integers(0, 5), lot=st.integers(0, 5), count=st.integers(1, 4))
    def somebody_is_written_to(self, author: int, lot: int, count: int) -> None:
        """… who is there or away, and as a rule has a session."""
        there = sorted(self.model.names)
        keeping = [person for person in self.model.people if person.session]
        people = keeping or [*self.model.people]
        to = people[lot % len(people)].name
        for _ in range(count):
            conn = there[author % len(there)]
            self.happens(conn, events.Tell(to.text, "tea?", None, to.key))

    @precondition(lambda self: self.model.away)
    @rule(place=PLACES, lot=st.integers(0, 5), behind=st.integers(0, 3))
    def somebody_away_comes_back(self, place: int, lot: int, behind: int) -> None:
        session = self.model.away[lot % len(self.model.away)].session
        opened = [each for _, each in self.sessions]
        self.resume(place, opened[::-1].index(session), behind, 0)

    @rule(place=PLACES, other=PLACES, nick=NICKS)
    def a_nick_is_left_to_another(self, place: int, other: int, nick: events.Nick) -> None:
        self.nick(place, nick)
        self.depart(place, events.Quit("bye"))
        self.nick(other, nick)

    @rule(place=PLACES, room=ROOMS)
    def an_old_entry_comes_again(self, place: int, room: events.Join) -> None:
        assert self.state.handle(entry(self.state.seq, self.places[place], room)) == []

    @rule()
    def go_on_from_a_snapshot(self) -> None:
        self.state = restored(self.state.snapshot())

    def real(self, person: ModelPerson) -> Person:
        """The state's person for one of the model's."""
        real = self.state.away(person.session) if person.away else self.state.person(person.conn)
        assert real is not None
        return real

    @invariant()
    def rooms_and_members_are_the_models(self) -> None:
        rooms = {room.key: room.nicks() for room in self.state.rooms()}
        assert rooms == {key: room.nicks for key, room in self.model.rooms.items()}
        kept = [key for key, room in self.model.rooms.items() if room.owners]
        assert all(rooms[key] or key in kept for key in rooms), "a room without members"
        for person in self.model.people:
            real = self.real(person)
            assert list(real.rooms) == list(person.rooms)
            assert all(self.state.room(key) is room for key, room in real.rooms.items())

    @invariant()
    def an_audience_is_the_connected_members(self) -> None:
        for key, room in self.model.rooms.items():
            real = self.state.room(key)
            assert real is not None
            there = [each.conn for each in room.devices if not each.away]
            assert sorted(real.audience.conns) == sorted(there)

    @invariant()
    def what_is_remembered_for_a_session_is_the_bounded_tail(self) -> None:
        assert len(self.model.away) <= self.limits.away
        for person in self.model.people:
            real = self.real(person)
            assert list(real.inbox or ()) == self.model.inbox(person)
            receipts = person.receipts[-2 * self.limits.receipts :]
            assert list((real.receipts or {}).values()) == receipts

    @invariant()
    def nicks_and_connections_are_one_to_one(self) -> None:
        assert self.state.people == len(self.model.names)
        held = [(real.nick, real.key) for real in map(self.real, self.model.people)]
        assert held == [person.name for person in self.model.people]
        assert len({key for _, key in held}) == len({each.who for each in self.model.people})

    @invariant()
    def accounts_and_devices_are_the_models(self) -> None:
        assert {
            real.key: {token: each.number for token, each in real.devices.items()}
            for real in self.state.accounts()
        } == {key: each.devices for key, each in self.model.accounts.items()}
        for key, account in self.model.accounts.items():
            real = self.state.account(key)
            assert real is not None
            assert (real.nick, real.is_admin) == (account.name.text, account.is_admin)
            assert real.present == [self.real(each) for each in account.present]
            assert all(each.nick == account.name.text for each in real.present)
            assert all([*each.rooms] == [*real.present[0].rooms] for each in real.present)

    @invariant()
    def owners_and_moderators_are_the_models(self) -> None:
        for key, room in self.model.rooms.items():
            real = self.state.room(key)
            assert real is not None
            assert self.state.owners(real) == tuple(who.name.text for who in room.owners)
            assert real.moderator_nicks() == room.moderating
            assert len(real.moderators) == len(room.moderators) <= self.limits.moderators
        for account in self.model.accounts.values():
            kept = [room for room in self.model.rooms.values() if account in room.owners]
            assert len(kept) <= self.limits.kept

    @invariant()
    def acts_are_the_models(self) -> None:
        assert [*self.state.acts()] == self.model.remembered_acts

    @invariant()
    def how_far_one_has_read_is_the_models(self) -> None:
        for key, account in self.model.accounts.items():
            real = self.state.account(key)
            assert real is not None
            assert [*real.reads.items()] == [
                (room, tuple(mark)) for room, (_, *mark) in account.reads.items()
            ]
        for guest in self.model.people:
            person = self.state.person(guest.conn) or self.state.away(guest.session)
            assert person is not None
            assert [*(person.reads or {}).items()] == [
                (room, tuple(mark)) for room, (_, *mark) in guest.reads.items()
            ]

    @invariant()
    def what_is_restricted_on_the_server_is_the_models(self) -> None:
        at, rules = START_MS + STEP_MS * self.state.seq, self.state._tables.rules
        for what, real in (("ban", rules and rules.bans), ("mute", rules and rules.mutes)):
            expected = self.model.server.in_force(what, at)
            assert [
                (each.nick, each.origin, each.until, each.by)
                for each in (real.all() if real else ())
                if at < each.until
            ] == [(each.name.text, each.origin, each.until, each.by) for each in expected]

    @invariant()
    def nobody_else_has_a_nick_that_is_owned(self) -> None:
        for person in self.model.people:
            account = self.state.account(self.real(person).key)
            # A guest that had it before it was somebody's has it until its owner comes.
            assert account is None or not account.present or self.real(person).account is account

    @invariant()
    def history_is_the_bounded_tail_without_holes(self) -> None:
        for key, room in self.model.rooms.items():
            real = self.state.room(key)
            assert real is not None
            assert list(real.history) == self.model.kept(key)
            assert real.seq == room.seq
            numbers = [said.seq for said in room.said]
            assert numbers == list(range(room.base + 1, real.seq + 1))
            assert len(real.history) <= self.limits.history_messages
            assert real.history_chars == sum(map(notices.kept_chars, real.history))
            assert real.history_chars <= self.limits.history_chars

    @invariant()
    def a_room_shows_those_who_come_what_it_may(self) -> None:
        for key in self.model.rooms:
            real = self.state.room(key)
            assert real is not None
            assert list(real.messages(None, 10**6)) == self.model.quoting(key)

    @invariant()
    def a_snapshot_is_exact(self) -> None:
        assert ChatState.restore(self.state.snapshot()).digest() == self.state.digest()


class SmallStateMachine(StateMachine):
    """The same with limits so small that every one of them is met."""

    limits = StateLimits(
        rooms_per_person=2,
        rooms=3,
        history_messages=3,
        history_chars=20,
        entered_history=2,
        entered_members=2,
        receipts=2,
        inbox=2,
        inbox_chars=9,
        away=2,
        moderators=2,
        restrictions=2,
        ban_ms=50,
        mute_ms=70,
        restriction_ms=500,
        invitations=2,
        invitation_ms=300,
        slow_ms=60,
        accounts=2,
        devices=2,
        claims=2,
        claim_ms=80,
        kept=1,
        server_restrictions=2,
        audit=5,
    )
