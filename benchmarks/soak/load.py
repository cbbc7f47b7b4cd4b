"""The load of a soak: who does what, decided by a generator of random numbers with a seed.

Rule 1: One decision is one act of one person. How many there are a second is the pace; which come
        one after the other is the seed's. What comes of them is the server's and the clock's.

Rule 2: What is made is bounded: people, rooms, accounts, and what is under way.
"""

from __future__ import annotations

import math
import random
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import gevent
import gevent.lock
import gevent.subprocess

from benchmarks.soak.checker import PATIENCE_S, Checker
from benchmarks.soak.people import PAUSE_S, IrcUser, Owed, Page, Person, Program, Typist

# Rooms that everybody knows, and how many go into one of each kind.
HALL: Final = "hall"
MIDDLE: Final = tuple(f"room{number}" for number in range(5))
SMALL: Final = tuple(f"corner{number}" for number in range(8))
PARTIES: Final = 6
ACCOUNTS: Final = 4

# How often each act is chosen, against the others.
ACTS: Final = {
    "talk": 600,
    "tell": 60,
    "join": 40,
    "leave": 30,
    "rename": 15,
    "look back": 20,
    "search": 10,
    "signal": 10,
    "topic": 6,
    "cut": 20,
    "cut silently": 8,
    "stay away": 3,
    "quit": 6,
    "mistake": 12,
    "flood": 2,
    "stall": 2,
    "party": 6,
    "moderate": 14,
    "account": 1,
}
FLOOD_LINES: Final = 50
STALL_S: Final = 30.0

_WORDS: Final = ("tea", "milk", "rain", "sun", "door", "window", "book", "song", "river", "hill")
_CODE: Final = re.compile(r"\b[0-9a-f]{5}(?:-[0-9a-f]{5}){3}\b")


class Load:
    """The people of one server, and what they do."""

    def __init__(
        self,
        *,
        name: str,
        seed: int,
        people: int,
        data: Path,
        port: Callable[[], int],
        now: Callable[[], float],
        violated: Callable[[str], None],
        grace_s: float,
        keep_s: float,
    ) -> None:
        self.name, self.data, self.grace_s = name, data, grace_s
        self.counts: Counter[str] = Counter()
        self.owed: dict[int, Owed] = {}
        # Who has it may have the folder without a server: a restart, or nobody.
        self.folder = gevent.lock.BoundedSemaphore()
        self._port, self._now, self._violated = port, now, violated
        self._random = random.Random(f"{seed} {name}")
        # What does not decide anything has chance of its own, so that decisions stay the seed's.
        self._pauses = random.Random(f"{seed} {name} pauses")
        self.numbers = self._names = 0
        self._accounts: list[str] = []
        self._parties: dict[str, list[Person]] = {}
        self.checker = Checker(self.violated, keep_s=keep_s)
        self.witness = Program(self, 0)
        self.people = [self._person(number, people) for number in range(1, people + 1)]
        self.witness.rooms = [HALL, *MIDDLE, *SMALL]

    # ── What people have around them ─────────────────────────────────────────────────────────

    @property
    def port(self) -> int:
        """Where the server is now."""
        return self._port()

    def now(self) -> float:
        """Seconds since the beginning."""
        return self._now()

    def pause(self) -> float:
        """Seconds until somebody connects again."""
        return self._pauses.uniform(*PAUSE_S)

    def name_for(self, number: int) -> str:
        """A nickname that nobody has had."""
        self._names += 1
        return f"p{number}x{self._names}"

    def number(self) -> int:
        """A number that no text has had."""
        self.numbers += 1
        return self.numbers

    def count(self, what: str) -> None:
        """Count what happened."""
        self.counts[what] += 1

    def violated(self, sentence: str) -> None:
        """Tell whose server it is."""
        self._violated(f"{self.name}: {sentence}")

    # ── Who is there ─────────────────────────────────────────────────────────────────────────

    def _person(self, number: int, people: int) -> Person:
        share = number / people
        kind: type[Person] = Program
        if share > 0.85:
            kind = IrcUser
        elif share > 0.65:
            kind = Typist
        elif share > 0.52:
            kind = Page
        person = kind(self, number)
        person.rooms = [HALL, MIDDLE[number % len(MIDDLE)], SMALL[number % len(SMALL)]]
        return person

    def start(self) -> None:
        """Everybody comes; first who makes the rooms, and moderates them."""
        self.witness.start()
        gevent.sleep(1.0)
        for person in self.people:
            person.start()
            gevent.sleep(0.02)

    def stop(self) -> None:
        """Everybody goes."""
        for person in (self.witness, *self.people):
            person.stop()

    @property
    def here(self) -> int:
        """How many are connected."""
        return sum(person.is_in for person in self.people)

    @property
    def is_settled(self) -> bool:
        """Whether everybody who is there has been told all that others were."""
        return not any(
            stream.heard or self.checker.lacking(stream)
            for person in self._held_to()
            for stream in person.streams.values()
        ) and not any(person.held for person in self._held_to() if isinstance(person, Program))

    def look(self, *, patience_s: float = PATIENCE_S) -> None:
        """Hold everybody who is there to what others were told, and the server to its receipts."""
        now_s, witnessed = self.now(), self._witnessed()
        for person in self._held_to():
            for room, stream in person.streams.items():
                witnessed_s = witnessed.get(room, math.inf)
                self.checker.look(stream, now_s, patience_s=patience_s, witnessed_s=witnessed_s)
            if isinstance(person, Program):
                self._look_at_held(person, now_s - patience_s)
        self._look_at_owed(now_s - patience_s)
        self.checker.forget(now_s)

    def _held_to(self) -> Iterator[Person]:
        """Who is there, and reads."""
        now_s = self.now()
        everybody = (self.witness, *self.people)
        return (person for person in everybody if person.is_in and now_s > person.free_s)

    def _witnessed(self) -> dict[str, float]:
        """Rooms in which somebody is told places, and since when."""
        since: dict[str, float] = {}
        for person in self._held_to():
            if isinstance(person, Program):
                for room, stream in person.streams.items():
                    begun_s = max(stream.since_s, person.since_s)
                    since[room] = min(begun_s, since.get(room, math.inf))
        return since

    def _look_at_held(self, person: Program, until_s: float) -> None:
        """Whatever somebody has said has its receipt."""
        for own, (since_s, _) in list(person.held.items()):
            if max(since_s, person.since_s) <= until_s:
                self.violated(f"receipt: {person.nick} has none of #{own}")
                del person.held[own]

    def _look_at_owed(self, until_s: float) -> None:
        """Who is told something alone has been told it, if it is still the same session."""
        here = set(self._held_to())
        for number, owed in list(self.owed.items()):
            if owed.to.token != owed.token:
                del self.owed[number]
            elif (
                owed.receipt_s is not None
                and owed.to in here
                and max(owed.receipt_s, owed.to.since_s) <= until_s
            ):
                self.violated(f"lost: {owed.to.nick} was not told #{number}, which has a receipt")
                del self.owed[number]

    # ── What is done ─────────────────────────────────────────────────────────────────────────

    def decide(self) -> None:
        """One act of one person."""
        (act,) = self._random.choices(list(ACTS), list(ACTS.values()))
        person = self._random.choice(self.people)
        choice = self._random.randrange(1_000_000)
        if not person.is_in or person.is_deaf:
            return
        self.counts[act] += 1
        getattr(self, f"_{act.replace(' ', '_')}")(person, choice)

    def _words(self, choice: int) -> str:
        count = 2 + choice % 12
        return " ".join(_WORDS[(choice // (place + 1)) % len(_WORDS)] for place in range(count))

    def _room(self, person: Person, choice: int) -> str:
        """One that somebody is in; not so often the one in which all are."""
        rooms = sorted(person.streams, key=lambda room: room == HALL)
        if not rooms:
            return ""
        return HALL if choice % 5 == 0 and HALL in rooms else rooms[choice % len(rooms)]

    def _talk(self, person: Person, choice: int) -> None:
        if room := self._room(person, choice):
            person.say(room, self._words(choice), tagged=choice % 7 == 0)

    def _tell(self, person: Person, choice: int) -> None:
        other = self.people[choice % len(self.people)]
        if isinstance(person, Program) and isinstance(other, Program) and other is not person:
            person.tell(other, self._words(choice))

    def _join(self, person: Person, choice: int) -> None:
        rooms = [HALL, *MIDDLE, *SMALL]
        room = person.rooms[choice % 3] if choice % 2 else rooms[choice % len(rooms)]
        if room not in person.streams and len(person.streams) < 8:
            person.join(room)

    def _leave(self, person: Person, choice: int) -> None:
        if len(person.streams) > 1 and (room := self._room(person, choice)) not in ("", HALL):
            person.leave(room)

    def _rename(self, person: Person, _choice: int) -> None:
        person.rename()

    def _look_back(self, person: Person, choice: int) -> None:
        if isinstance(person, Program) and (room := self._room(person, choice)):
            person.ask(type="history", room=room, limit=20 + choice % 100)

    def _search(self, person: Person, choice: int) -> None:
        if isinstance(person, Program) and person.streams:
            person.ask(type="search", words=_WORDS[choice % len(_WORDS)], limit=20)

    def _signal(self, person: Person, choice: int) -> None:
        if isinstance(person, Program) and (room := self._room(person, choice)):
            person.ask(type="signal", room=room, tags={"typing": "active"})

    def _topic(self, person: Person, choice: int) -> None:
        if isinstance(person, Program) and (room := self._room(person, choice)):
            person.ask(type="topic", room=room, topic=self._words(choice))

    def _cut(self, person: Person, choice: int) -> None:
        person.cut(choice % 30, silently=False)

    def _cut_silently(self, person: Person, choice: int) -> None:
        person.cut(choice % 30, silently=True)

    def _stay_away(self, person: Person, choice: int) -> None:
        person.cut(self.grace_s + 10 + choice % 30, silently=False)

    def _quit(self, person: Person, choice: int) -> None:
        if isinstance(person, Program):
            person.quit(choice % 10)
        else:
            person.cut(choice % 10, silently=False)

    def _mistake(self, person: Person, choice: int) -> None:
        person.mistake(choice)

    def _flood(self, person: Person, choice: int) -> None:
        if room := self._room(person, choice):
            for number in range(FLOOD_LINES):
                person.say(room, self._words(choice + number))

    def _stall(self, _person: Person, choice: int) -> None:
        slow = [one for one in self.people if one.is_slow and one.is_in and not one.is_deaf]
        if slow:
            slow[choice % len(slow)].stall(STALL_S)

    def _party(self, person: Person, choice: int) -> None:
        """A room that is made, talked in, and left by all, so that it is no more."""
        room = f"party{choice % PARTIES}"
        guests = self._parties.pop(room, None)
        if guests is not None:
            for guest in guests:
                if room in guest.streams:
                    guest.leave(room)
            return
        # Somebody who is told places is there, so that the others can be held to them.
        programs = [one for one in self.people if isinstance(one, Program) and one.is_in]
        if programs:
            guests = [programs[choice % len(programs)], person]
            guests += [self.people[(choice // place) % len(self.people)] for place in (7, 13, 29)]
            self._parties[room] = list(dict.fromkeys(guests))
            for guest in self._parties[room]:
                if guest.is_in:
                    guest.join(room)

    def _moderate(self, person: Person, choice: int) -> None:
        """Who made the rooms puts somebody out, has them silent for some seconds, and the like."""
        room = self._room(person, choice)
        if not isinstance(person, Program) or room not in self.witness.streams:
            return
        ask, nick = self.witness.ask, person.nick
        match choice % 6:
            case 0:
                ask(type="kick", room=room, nick=nick, reason=self._words(choice))
            case 1:
                ask(type="restrict", room=room, nick=nick, what="mute", ms=5_000)
            case 2 if room != HALL:
                ask(type="restrict", room=room, nick=nick, what="ban", ms=10_000)
            case 3:
                ask(type="role", room=room, nick=nick, role="moderator")
                ask(type="role", room=room, nick=nick, role="member")
            case 4:
                ask(type="mode", room=room, slow_ms=1_000)
                ask(type="mode", room=room, slow_ms=0)
            case _:
                if (last := self.witness.streams[room].last) is not None:
                    ask(type="redact", room=room, seq=last)

    def _account(self, person: Person, choice: int) -> None:
        """Somebody gets an account; the oldest one is ended, when there are enough."""
        if not isinstance(person, Program) or person.account or choice % 2:
            return
        self._names += 1
        account = f"account{self._names}"
        gevent.spawn(self._give_account, person, account)

    def _give_account(self, person: Program, account: str) -> None:
        with self.folder:
            self._exchange_account(person, account)

    def _exchange_account(self, person: Program, account: str) -> None:
        code = _CODE.search(self._admin("invite", account))
        if code is None:
            return  # the server is on its way up
        self._accounts.append(account)
        person.ask(type="claim", code=code[0], name="soak")
        if len(self._accounts) > ACCOUNTS:
            oldest = self._accounts.pop(0)
            for one in self.people:
                if isinstance(one, Program) and one.account == oldest:
                    one.forget_session()
            self._admin("withdraw", oldest, "--yes")

    def _admin(self, *words: str) -> str:
        server = str(Path(sys.executable).with_name("tcpchat-server"))
        command = [server, "admin", "--data", str(self.data), *words]
        child = gevent.subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        told, _ = child.communicate()
        return str(told)
