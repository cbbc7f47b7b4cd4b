"""ChatState: every rule of rooms, nicks and history. Never bytes, never a clock, never chance.

Rule 1: Entries go in, in the order of the log; actions come out. The same entries give the same
        actions and the same state, on any machine.

Rule 2: `handle` is total. What cannot be done is answered with `Rejected`; an event of somebody
        who is not there (any more) does nothing. Nothing raises.

Rule 3: A room exists while it has a member. Each nick key belongs to one person, each person has
        one nick. A person who has chosen none is guest-N, with the lowest N that is free.

Rule 4: A message gets the next number of its room and goes to every other member; its author gets
        the receipt in the same place of the order. One broadcast does both.

Rule 5: A person whose session can be resumed and whose connection is lost stays, silently, until
        the session is resumed or expires. A resumed session is sent exactly what it has not seen,
        in order, or is told of the gap; its place in its rooms and the connection they are sent to
        change in one step, so nothing falls between.

Rule 6: A message's id is remembered for a while; the same id again gives the same receipt again,
        and nothing is said. An entry, or a connection's event, that comes twice counts once.

Rule 7: Who makes a room moderates it, and may restrict what others do there; rights and
        restrictions are decided here, by the time of the entry, and are the same on every node.

Rule 8: An account owns a nick, and its devices are one person.

Rule 9: Everything that grows has a bound, and the bounds (`StateLimits`) are part of the state:
        replicas that disagreed about one would disagree about the rest.

All order is the order of insertion in dicts and lists. There are no sets, floats or hashes here
whose order or value could differ between two runs.

The tables that the rules work on are in `tables`, the rules themselves in `rooms`, `people` and
`sessions`, in `accounts` and `devices`, and in `rights`, `moderation` and `server_wide`. Which
rule an event is for says `HANDLERS`, at the end of this file.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

import msgspec

from tcpchat_core import events
from tcpchat_core.effects import Action
from tcpchat_core.events import Entry, Event
from tcpchat_core.notices import Act
from tcpchat_core.state import (
    accounts,
    devices,
    moderation,
    people,
    rooms,
    server_wide,
    sessions,
    snapshot,
)
from tcpchat_core.state.tables import Account, NickChange, Person, Room, StateLimits, Tables

__all__ = [
    "ARRIVALS",
    "HANDLERS",
    "Account",
    "ChatState",
    "NickChange",
    "Person",
    "Room",
    "StateLimits",
    "Tables",
]


class ChatState:
    """The state machine. Call `handle` with each entry of the log, in order.

    Reading (`room`, `person`, `rooms`, …) is allowed at any time and changes nothing.
    `epoch` names the log's lineage: numbers of one epoch say nothing about another's.
    """

    def __init__(self, *, epoch: str = "0", limits: StateLimits | None = None) -> None:
        self._tables = Tables(epoch, limits or StateLimits())

    # ── Reading ──────────────────────────────────────────────────────────────────────────────

    @property
    def epoch(self) -> str:
        """The name of the log's lineage."""
        return self._tables.epoch

    def common_with(self, epoch: str) -> int | None:
        """Up to which entry a log of an epoch is the one that this state is of, whatever came there
        later; None for an epoch that is not known, or not any more.
        """
        ends = self._tables.since(epoch)
        return None if ends is None else min((end.seq for end in ends), default=self.seq)

    @property
    def limits(self) -> StateLimits:
        """The bounds that `handle` reads."""
        return self._tables.limits

    @property
    def configuration(self) -> events.Configure:
        """What the owner has set."""
        standing = [(room.name, room.key) for room in self._tables.rooms.values() if room.standing]
        limits = msgspec.structs.asdict(self._tables.limits)
        return events.Configure(limits, tuple(sorted(standing)))

    @property
    def seq(self) -> int:
        """The number of the last entry."""
        return self._tables.seq

    @property
    def people(self) -> int:
        """How many people are connected."""
        return len(self._tables.people)

    def person(self, conn: int) -> Person | None:
        """Who speaks on a connection."""
        return self._tables.people.get(conn)

    def named(self, key: str) -> Person | None:
        """Who has a nick, by its key, here or away; of an account that is there several times, the
        device that came first.
        """
        return self._tables.nicks.get(key)

    def nick_changes(self) -> list[NickChange]:
        """From now on, and for whoever asks last: what becomes of nicks by entries, in order. Who
        has read it clears it.
        """
        changes: list[NickChange] = []
        self._tables.nick_changes = changes
        return changes

    def connected(self) -> Iterable[Person]:
        """All who are connected."""
        return self._tables.people.values()

    def away(self, session: str) -> Person | None:
        """Whose session waits to be resumed."""
        return self._tables.away.get(session)

    def all_away(self) -> Iterable[Person]:
        """All whose sessions wait to be resumed, in the order of going."""
        return self._tables.away.values()

    def unacknowledged(self, conn: int) -> events.Seen | None:
        """All that who speaks on a connection was told until now, where it has to say that it has
        seen it, and has not.
        """
        person = self._tables.people.get(conn)
        return None if person is None else person.unacknowledged(self._tables.epoch)

    def whose(self, event: events.Login | events.LoggedIn) -> Account | None:
        """Whose secret a log-in has; None when it is nobody's, or not any more."""
        return accounts.whose(self._tables, event)

    def account(self, key: str) -> Account | None:
        """Who owns a nick, by its key."""
        return self._tables.accounts.get(key)

    def accounts(self) -> Iterable[Account]:
        """All accounts, in the order of being made."""
        return self._tables.accounts.values()

    def acts(self) -> Sequence[Act]:
        """What was done by those who look after rooms and the server, oldest first."""
        return tuple(self._tables.acts)

    def owners(self, room: Room) -> tuple[str, ...]:
        """The nicks of the accounts that a room is kept for, in the order of becoming so."""
        return tuple([self._tables.owning[id].nick for id in room.owners])

    def room(self, key: str) -> Room | None:
        """The room with a key."""
        return self._tables.rooms.get(key)

    @property
    def counted(self) -> tuple[int, int, int]:
        """How many people are connected, how many sessions wait to be resumed, and how many rooms
        there are.
        """
        tables = self._tables
        return len(tables.people), len(tables.away), len(tables.rooms)

    def rooms(self) -> Iterable[Room]:
        """All rooms, in the order of their creation."""
        return self._tables.rooms.values()

    # ── The transition function ──────────────────────────────────────────────────────────────

    def handle(self, entry: Entry) -> list[Action]:
        """Apply one entry of the log; return what is to be done, in order. Never raises.

        An entry that the state has seen already (its `seq` is not above the last one's) does
        nothing, so a log may be replayed from before a snapshot. Nor does an event that its
        connection has had already (its `number` is not above the last one's).
        """
        tables = self._tables
        if entry.seq <= tables.seq:
            return []
        tables.seq = entry.seq
        person = tables.people.get(entry.conn)
        event = entry.event
        if person is None:
            if entry.number and entry.conn in tables.gone:
                return []
            arrival = ARRIVALS.get(type(event))
            return [] if arrival is None else arrival(tables, entry, event)
        number = entry.number
        if number:
            if number <= person.number:
                return []
            person.number = number
        return HANDLERS[type(event)](tables, person, event, entry.at)

    def forget(self, before: int) -> None:
        """Keep nothing that was said before a time (ms since the epoch), as `events.Forget` does.

        Not an entry, so it is for one state only: for the oldest snapshot behind a log that ends
        there. What is replayed on it comes to the same state as without, from the next such entry
        on.
        """
        self._tables.forget(before)

    # ── The whole state as a value ───────────────────────────────────────────────────────────

    def snapshot(self) -> bytes:
        """The state as bytes, for `restore`: the same state always gives the same bytes."""
        return snapshot.dump(self._tables)

    @classmethod
    def restore(cls, data: bytes) -> ChatState:
        """The state that a snapshot was taken of.

        Raises ValueError for bytes that are no snapshot.
        """
        state = cls()
        state._tables = snapshot.load(data)
        return state

    def digest(self) -> str:
        """A name for the state: 64 hexadecimal digits, the SHA-256 of its snapshot."""
        return hashlib.sha256(self.snapshot()).hexdigest()


# What each event of a person does.
HANDLERS: Final[dict[type[Event], Callable[[Tables, Person, Any, int], list[Action]]]] = {
    events.Say: rooms.say,
    events.Join: rooms.join,
    events.Tell: people.tell,
    events.Signal: people.signal,
    events.Nick: people.nick,
    events.Away: people.away,
    events.SetName: people.set_name,
    events.Topic: rooms.topic,
    events.Out: rooms.out,
    events.Read: rooms.read,
    events.Kick: lambda tables, person, event, at: (
        server_wide.kick if event.server else moderation.kick
    )(tables, person, event, at),
    events.Restrict: lambda tables, person, event, at: (
        server_wide.restrict if event.server else moderation.restrict
    )(tables, person, event, at),
    events.Lift: lambda tables, person, event, at: (
        server_wide.lift if event.server else moderation.lift
    )(tables, person, event, at),
    events.Role: moderation.role,
    events.RoomMode: moderation.mode,
    events.Invite: moderation.invite,
    events.Redact: moderation.redact,
    events.Restrictions: lambda tables, person, event, at: (
        server_wide.restrictions if event.server else moderation.restrictions
    )(tables, person, event, at),
    events.Claim: accounts.claim,
    events.Login: sessions.login,
    events.LoggedIn: sessions.login,
    events.Seen: sessions.seen,
    events.Password: devices.password,
    events.Offer: accounts.offer,
    events.Revoke: devices.revoke,
    events.Quit: people.quit_,
    events.Disconnect: sessions.disconnect,
    # Somebody who is here does not come, and what ends others is not for it.
    events.Connect: people.nothing,
    events.Resume: people.nothing,
    events.Expire: people.nothing,
    events.Lapse: people.nothing,
    events.Configure: people.nothing,
    events.Grant: people.nothing,
    events.Withdraw: people.nothing,
    events.Forget: people.nothing,
    events.Diverge: people.nothing,
}

# What each event does that is of nobody who is here. All others do nothing then.
ARRIVALS: Final[dict[type[Event], Callable[[Tables, Entry, Any], list[Action]]]] = {
    events.Connect: people.connect,
    events.Resume: sessions.resume,
    events.Expire: sessions.expire,
    events.Lapse: sessions.lapse,
    events.Configure: rooms.configure,
    events.Grant: accounts.grant,
    events.Withdraw: devices.withdraw,
    events.Forget: rooms.forget,
    events.Diverge: sessions.diverge,
}
