"""People at IRC clients and one at a program, in the same rooms, against a model of dictionaries.

Rules:

1. What people are shown is put into one form, whatever they speak: all who are in a room are to be
   shown the same, in the same order, each thing once.
2. The model is the room as its members would tell it: who is in, who moderates, what was said.
3. What clients take on and off in the midst of it changes how they are told, and never what.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from tcpchat_core import StateLimits, events, notices
from tests.core.harness import HELLO, split_at
from tests.core.irc import Line, told
from tests.core.irc_server import IrcServer

# What somebody is shown: what happened, and to whom. Words of it may be left open by the form.
Shown = tuple[str, ...]

CAPABILITIES: Final = (
    "batch",
    "echo-message",
    "extended-join",
    "message-tags",
    "multi-prefix",
    "no-implicit-names",
    "server-time",
    "userhost-in-names",
)
ROOMS: Final = ("hall", "tea", "čajovna")
NICKS: Final = ("ada", "bob", "eve", "ian", "žofie")

LOTS: Final = st.integers(0, 20)
CUTS: Final = st.lists(st.integers(0, 80), max_size=3)
IN: Final = st.sampled_from((*ROOMS, "hall", "hall"))

# How a line begins that was said before, for who is told no times.
_WHEN: Final = re.compile(r"\[\d{4}-\d\d-\d\d \d\d:\d\d\] ")
_HISTORY: Final = StateLimits().entered_history


@dataclass(eq=False)
class Person:
    """Somebody who is connected; without capabilities at a program that speaks JSON."""

    conn: int
    nick: str
    capabilities: set[str] | None = None
    real_name: str = ""  # as a client has said it; a program says none

    @property
    def speaks_irc(self) -> bool:
        return self.capabilities is not None

    def takes(self, capability: str) -> bool:
        return self.capabilities is not None and capability in self.capabilities

    @property
    def is_told_times(self) -> bool:
        return self.takes("server-time") or self.takes("message-tags")


@dataclass
class Room:
    """Who is in, in the order of coming, and what was said since the first came."""

    members: list[Person] = field(default_factory=list)
    moderators: list[Person] = field(default_factory=list)
    said: list[tuple[str, str]] = field(default_factory=list)
    topic: str = ""
    is_moderated: bool = False

    def names(self) -> str:
        """As NAMES has them."""
        marks = {id(person): "@" for person in self.moderators}
        return " ".join(f"{marks.get(id(each), '')}{each.nick}" for each in self.members)

    def hears(self, person: Person) -> bool:
        """Whether what somebody says is said."""
        return person in self.members and (not self.is_moderated or person in self.moderators)


class IrcMachine(RuleBasedStateMachine):
    """Three IRC clients and a program. Each rule is a line, cut anywhere."""

    def __init__(self) -> None:
        super().__init__()
        self.server = IrcServer()
        self.people: list[Person] = []
        self.rooms: dict[str, Room] = {}
        self.expected: dict[int, list[Shown]] = {}
        self.conns = 0
        self.said = 0
        self.ids: dict[str, str] = {}  # of what was said, by its text

    # ── What is done, and what is told ───────────────────────────────────────────────────────

    def expect(self, whom: list[Person], *shown: str) -> None:
        for person in whom:
            self.expected.setdefault(person.conn, []).append(shown)

    def somebody(self, lot: int) -> Person:
        return self.people[lot % len(self.people)]

    def somebody_for(self, room: Room, lot: int) -> Person:
        """Somebody who may moderate it, as a rule."""
        return [*3 * room.moderators, *self.people][lot % (3 * len(room.moderators) + 4)]

    def others(self, person: Person) -> list[Person]:
        """Everybody else who shares a room with somebody."""
        rooms = [room for room in self.rooms.values() if person in room.members]
        shared = [each for each in self.people if any(each in room.members for room in rooms)]
        return [each for each in shared if each is not person]

    def asks(self, person: Person, line: str, request: events.Request, cuts: list[int]) -> None:
        """One line, and everybody is told what is expected, and nothing else."""
        if person.speaks_irc:
            for piece in split_at(f"{line}\r\n".encode(), cuts):
                self.server.send(person.conn, piece)
        else:
            self.server.ask(person.conn, request)
        for each in self.people:
            self.hears(each)
        assert not self.expected, "somebody who is gone was to be told something"

    def hears(self, person: Person) -> None:
        expected = [
            form
            for each in self.expected.pop(person.conn, [])
            for form in self.as_shown(person, each)
        ]
        if person.speaks_irc:
            lines = told(self.server.read(person.conn))
            heard = [self.shown_to_a_client(person, line) for line in lines]
        else:
            came = self.server.told(person.conn)
            heard = [each for notice in came for each in self.shown_to_a_program(notice)]
        found = [shown for shown in heard if shown]
        assert found == expected, (found, expected)

    def as_shown(self, person: Person, shown: Shown) -> list[Shown]:
        """What depends on how somebody is told it: who is there already, and what was said."""
        match shown:
            case ("who is there", *rest):
                return [] if person.takes("no-implicit-names") else [("names", *rest)]
            case ("before", *rest) if person.is_told_times and not person.takes("batch"):
                return [("said", *rest)]  # that it is old is known by its time
            case _:
                return [shown]

    # ── One form for all ─────────────────────────────────────────────────────────────────────

    def shown_to_a_client(self, person: Person, line: Line) -> Shown:
        """What one line of IRC shows; nothing for what only frames it."""
        nick, params = line.source.partition("!")[0], line.params
        match line.command:
            case "JOIN":
                real = next(each.real_name for each in self.people if each.nick == nick)
                assert params[1:] == (("*", real or nick) if person.takes("extended-join") else ())
                return ("joins", nick, params[0])
            case "PART":
                return ("leaves", nick, params[0], *params[1:])
            case "KICK":
                return ("is put out", params[1], params[0], nick)
            case "QUIT":
                return ("quits", nick)
            case "NICK":
                return ("is called", nick, params[0])
            case "TOPIC":
                return ("topic", *params)
            case "332":
                return ("topic", *params[1:])
            case "MODE":
                return ("mode", *params)
            case "353":
                assert ("!" in params[3]) == person.takes("userhost-in-names")
                names = [each.partition("!")[0] for each in params[3].split(" ")]
                return ("names", params[2], " ".join(names))
            case "PRIVMSG":
                return self.message(person, line, nick)
            case "333" | "366" | "BATCH" | "CAP":
                return ()
            case "NOTICE":
                assert line.source == "tcpchat"
                return ()
            case _:
                assert line.command.startswith("4"), line
                return ("no",)

    def message(self, person: Person, line: Line, nick: str) -> Shown:
        to, text = line.params
        emote = re.fullmatch("\x01ACTION (.*)\x01", text)
        words = emote[1] if emote else text
        text = _WHEN.sub("", words, count=1)
        is_before = text != words or "batch" in line.tags
        assert ("time" in line.tags) == person.is_told_times
        assert text == words or not person.is_told_times
        if not to.startswith("#"):
            return ("told", nick, to, text)
        assert ("msgid" in line.tags) == person.takes("message-tags")
        if id := line.tags.get("msgid"):
            assert self.ids.setdefault(text, id) == id
        return ("before" if is_before else "said", nick, to, f"* {text}" if emote else text)

    def shown_to_a_program(self, notice: notices.Notice) -> list[Shown]:
        """What one notice shows."""
        match notice:
            case notices.Entered(room, members, topic=topic, history=history, moderators=marked):
                [me] = [each.nick for each in self.people if not each.speaks_irc]
                names = " ".join(f"{'@' if each in marked else ''}{each}" for each in members)
                return [
                    ("joins", me, f"#{room}"),
                    *([("topic", f"#{room}", topic)] if topic else []),
                    ("names", f"#{room}", names),
                    *[("before", *self._said(each)) for each in history],
                ]
            case notices.Joined(room, nick):
                return [("joins", nick, f"#{room}")]
            case notices.Left(room, nick, by="", reason=reason):
                return [("leaves", nick, f"#{room}", *([reason] if reason else []))]
            case notices.Left(room, nick, by=by):
                return [("is put out", nick, f"#{room}", by)]
            case notices.Gone(nick):
                return [("quits", nick)]
            case notices.Renamed(old, new):
                return [("is called", old, new)]
            case notices.TopicSet(room, topic):
                return [("topic", f"#{room}", topic)]
            case notices.RoleSet(room, nick, role):
                return [("mode", f"#{room}", "+o" if role == "moderator" else "-o", nick)]
            case notices.ModeSet(room, moderated=is_moderated):
                return [("mode", f"#{room}", "+m" if is_moderated else "-m")]
            case notices.Said():
                return [("said", *self._said(notice))]
            case notices.Told(nick, text):
                return [("told", nick, self.program.nick, text)]
            case notices.Members(room, members, moderators=marked):
                names = " ".join(f"{'@' if each in marked else ''}{each}" for each in members)
                return [("names", f"#{room}", names)]
            case notices.Rejected():
                return [("no",)]
            case notices.Sent():
                return []
            case _:
                raise AssertionError(notice)

    def _said(self, said: notices.Said) -> Shown:
        return (said.nick, f"#{said.room}", f"* {said.text}" if said.emote else said.text)

    @property
    def program(self) -> Person:
        return self.people[-1]

    # ── What people do ───────────────────────────────────────────────────────────────────────

    @initialize(rest=st.integers(0, 255))
    def people_are_in_the_hall(self, rest: int) -> None:
        for place in range(3):
            chosen = {each for at, each in enumerate(CAPABILITIES) if (rest + 85 * place) >> at & 1}
            self.conns += 1
            self.server.register(self.conns, NICKS[place], *sorted(chosen))
            self.people.append(Person(self.conns, NICKS[place], chosen, NICKS[place]))
        self.conns += 1
        self.server.connect(self.conns)
        self.server.send(self.conns, HELLO)
        self.server.ask(self.conns, events.Nick(NICKS[3]))
        self.server.read(self.conns)
        self.people.append(Person(self.conns, NICKS[3]))
        for lot in range(4):
            self.join(lot, "hall", [])

    @rule(lot=LOTS, name=IN, cuts=CUTS)
    def join(self, lot: int, name: str, cuts: list[int]) -> None:
        person = self.somebody(lot)
        room = self.rooms.setdefault(name, Room())
        if person in room.members:
            if not person.speaks_irc:
                return  # a program is told again what it has asked for again
        else:
            room.moderators += [] if room.members else [person]
            room.members.append(person)
            self.expect(room.members, "joins", person.nick, f"#{name}")
            if room.topic:
                self.expect([person], "topic", f"#{name}", room.topic)
            self.expect([person], "who is there", f"#{name}", room.names())
            for nick, text in room.said[-_HISTORY:]:
                self.expect([person], "before", nick, f"#{name}", text)
        self.asks(person, f"JOIN #{name}", events.Join(name), cuts)

    @rule(lot=LOTS, name=IN, why=st.sampled_from(["", "tea is ready"]), cuts=CUTS)
    def part(self, lot: int, name: str, why: str, cuts: list[int]) -> None:
        person, room = self.somebody(lot), self.rooms.get(name, Room())
        if person in room.members:
            said = [why] if why and room.hears(person) else []
            self.expect(room.members, "leaves", person.nick, f"#{name}", *said)
            self.leaves(person, [name])
        else:
            self.expect([person], "no")
        self.asks(person, f"PART #{name} :{why}", events.Out(name, reason=why), cuts)

    @rule(lot=LOTS, name=IN, cuts=CUTS)
    def leave_and_come_again(self, lot: int, name: str, cuts: list[int]) -> None:
        if self.somebody(lot) in self.rooms.get(name, Room()).members:
            self.part(lot, name, "", cuts)
        self.join(lot, name, cuts)

    def leaves(self, person: Person, names: list[str]) -> None:
        """Somebody is out of rooms."""
        for name in names:
            room = self.rooms[name]
            room.members.remove(person)
            if person in room.moderators:
                room.moderators.remove(person)
            if not room.members:
                del self.rooms[name]
            else:
                self.anybody_may_speak(name)

    def anybody_may_speak(self, name: str) -> None:
        """Where nobody moderates any more."""
        room = self.rooms[name]
        if room.is_moderated and not room.moderators:
            room.is_moderated = False
            self.expect(room.members, "mode", f"#{name}", "-m")

    @rule(lot=LOTS, name=IN, emote=st.booleans(), cuts=CUTS)
    def say(self, *, lot: int, name: str, emote: bool, cuts: list[int]) -> None:
        person, room = self.somebody(lot), self.rooms.get(name, Room())
        self.said += 1
        text = f"čaj {self.said}{' [2026-01-01 00:00]' * (self.said % 3 == 2)}"
        shown = f"* {text}" if emote else text
        if room.hears(person):
            room.said.append((person.nick, shown))
            hearers = [each for each in room.members if each is not person]
            if person.takes("echo-message"):
                hearers.append(person)
            self.expect(hearers, "said", person.nick, f"#{name}", shown)
        else:
            self.expect([person], "no")
        line = f"PRIVMSG #{name} :\x01ACTION {text}\x01" if emote else f"PRIVMSG #{name} :{text}"
        self.asks(person, line, events.Say(name, text, emote=emote), cuts)

    @rule(lot=LOTS, other=LOTS, cuts=CUTS)
    def tell(self, lot: int, other: int, cuts: list[int]) -> None:
        person, to = self.somebody(lot), self.somebody(other)
        self.said += 1
        if person.takes("echo-message"):
            self.expect([person], "told", person.nick, to.nick, f"psst {self.said}")
        self.expect([to], "told", person.nick, to.nick, f"psst {self.said}")
        line = f"PRIVMSG {to.nick} :psst {self.said}"
        self.asks(person, line, events.Tell(to.nick, f"psst {self.said}"), cuts)

    @rule(lot=LOTS, nick=st.sampled_from(NICKS), cuts=CUTS)
    def nick(self, lot: int, nick: str, cuts: list[int]) -> None:
        person = self.somebody(lot)
        if any(each.nick == nick for each in self.people if each is not person):
            self.expect([person], "no")
        elif person.nick == nick:
            if not person.speaks_irc:
                return  # a program is told what it is called
        else:
            self.expect([person, *self.others(person)], "is called", person.nick, nick)
            person.nick = nick
        self.asks(person, f"NICK {nick}", events.Nick(nick), cuts)

    @rule(lot=LOTS, name=IN, topic=st.sampled_from(["tea at four", "no tea", ""]), cuts=CUTS)
    def topic(self, lot: int, name: str, topic: str, cuts: list[int]) -> None:
        person, room = self.somebody(lot), self.rooms.get(name, Room())
        if room.hears(person):
            room.topic = topic
            self.expect(room.members, "topic", f"#{name}", topic)
        else:
            self.expect([person], "no")
        self.asks(person, f"TOPIC #{name} :{topic}", events.Topic(name, topic), cuts)

    @rule(lot=LOTS, other=LOTS, name=IN, cuts=CUTS)
    def kick(self, lot: int, other: int, name: str, cuts: list[int]) -> None:
        room, whom = self.rooms.get(name, Room()), self.somebody(other)
        person = self.somebody_for(room, lot)
        may = person in room.moderators and whom not in room.moderators
        if may and whom in room.members:
            self.expect(room.members, "is put out", whom.nick, f"#{name}", person.nick)
            self.leaves(whom, [name])
        else:
            self.expect([person], "no")
        self.asks(person, f"KICK #{name} {whom.nick} :", events.Kick(name, whom.nick), cuts)

    @rule(lot=LOTS, other=LOTS, name=IN, gives=st.booleans(), cuts=CUTS)
    def role(self, *, lot: int, other: int, name: str, gives: bool, cuts: list[int]) -> None:
        room, whom = self.rooms.get(name, Room()), self.somebody(other)
        person = self.somebody_for(room, lot)
        if whom not in room.members or (whom in room.moderators) == gives:
            return
        if person in room.moderators:
            mode = "+o" if gives else "-o"
            self.expect(room.members, "mode", f"#{name}", mode, whom.nick)
            if gives:
                room.moderators.append(whom)
            else:
                room.moderators.remove(whom)
                self.anybody_may_speak(name)
        else:
            self.expect([person], "no")
        role: events.RoomRole = "moderator" if gives else "member"
        line = f"MODE #{name} {'+o' if gives else '-o'} {whom.nick}"
        self.asks(person, line, events.Role(name, whom.nick, role), cuts)

    @rule(lot=LOTS, name=IN, on=st.booleans(), cuts=CUTS)
    def moderated(self, *, lot: int, name: str, on: bool, cuts: list[int]) -> None:
        room = self.rooms.get(name, Room())
        person = self.somebody_for(room, lot)
        if person in room.moderators and room.is_moderated == on:
            return
        if person in room.moderators:
            room.is_moderated = on
            self.expect(room.members, "mode", f"#{name}", "+m" if on else "-m")
        else:
            self.expect([person], "no")
        line = f"MODE #{name} {'+m' if on else '-m'}"
        self.asks(person, line, events.RoomMode(name, moderated=on), cuts)

    @rule(lot=st.integers(0, 2), capability=st.sampled_from(CAPABILITIES), cuts=CUTS)
    def other_capabilities(self, lot: int, capability: str, cuts: list[int]) -> None:
        person = self.people[lot]
        assert person.capabilities is not None
        off = "-" if capability in person.capabilities else ""
        person.capabilities ^= {capability}
        self.asks(person, f"CAP REQ :{off}{capability}", events.Ping(), cuts)

    @rule(lot=LOTS, name=IN, cuts=CUTS)
    def names(self, lot: int, name: str, cuts: list[int]) -> None:
        person, room = self.somebody(lot), self.rooms.get(name, Room())
        if person in room.members:
            self.expect([person], "names", f"#{name}", room.names())
        elif not person.speaks_irc:
            self.expect([person], "no")
        self.asks(person, f"NAMES #{name}", events.Who(name), cuts)

    @rule(
        lot=st.integers(0, 2),
        eof=st.booleans(),
        capabilities=st.sets(st.sampled_from(CAPABILITIES)),
    )
    def somebody_goes_and_another_comes(
        self, *, lot: int, eof: bool, capabilities: set[str]
    ) -> None:
        person = self.people[lot]
        self.expect(self.others(person), "quits", person.nick)
        self.leaves(person, [name for name, room in self.rooms.items() if person in room.members])
        if eof:
            self.server.lose(person.conn)
        else:
            assert self.server.say(person.conn, "QUIT :bye") == ["ERROR :bye"]
        self.conns += 1
        self.people[lot] = Person(self.conns, person.nick, capabilities, person.nick)
        for each in self.people:
            if each.conn in self.server.output:
                self.hears(each)
        self.server.register(self.conns, person.nick, *sorted(capabilities))
