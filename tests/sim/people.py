"""The peers: people with clients and with pages, people with nc, programs that paste, and those who
mean harm.
"""

from __future__ import annotations

import math
import random
from collections import deque
from functools import partial
from typing import TYPE_CHECKING

import msgspec

from tcpchat_core import ClientProtocol, Notice, TooLateError, events, notices
from tcpchat_core.client import MAX_NOTICE_BYTES
from tcpchat_core.dialects.jsonl import decode_notice, encode_request
from tcpchat_core.events import Request
from tcpchat_core.server.access import session_of
from tests.core.browser import ClientSocket, RefusedError, WrongBytesError
from tests.core.third_dialect import netstring, take_frames
from tests.sim.network import End
from tests.sim.owner import ACCOUNTS, LOOKALIKES
from tests.sim.peers import Diary, Frame, Parting, Peer, Question, Shown, Wire

if TYPE_CHECKING:
    from tests.sim.world import World

# The room that everybody is in.
COMMONS = "commons"

RESTRAINTS: tuple[events.Restraint, ...] = ("ban", "mute")
ROLES: tuple[events.RoomRole, ...] = ("moderator", "moderator", "member", "owner")

# The word that lets in whoever says it, where there is one.
SECRET = "teapot"

# For how long somebody is kept from the whole server: it has to be over soon after the faults are.
SERVER_MS = (300, 2_000, 6_000)

# How long it takes at most, as a rule, until a code is there or has come to something.
CODE_MS = 3_000

# A client that has heard nothing for so long asks, and some time later dials again.
ASK_AFTER = 4_000
DEAD_AFTER = 12_000
WELCOME_WITHIN = 6_000

# A browser waits for the answer to its close frame for so long.
CLOSED_WITHIN = 5_000

# How a page is left, and with which code; 0 is for no close frame at all.
PARTINGS: dict[str, int | None] = {
    "page reloaded": 1001,
    "page closed": 1001,
    "socket closed": 1000,
    "socket closed without a code": None,
    "page gone without a word": 0,
}

# What a person has said and has no receipt for, at most: the rest stays unsaid.
MAX_UNACKNOWLEDGED = 60


class Person(Peer):
    """A person with a client: `ClientProtocol`, and what tcpchat-client does around it; or what a
    page does, which is left now and then, and comes back with what it knows.
    """

    page = 1_200  # characters of a long text

    def __init__(self, world: World, name: str, *, has_page: bool = False) -> None:
        super().__init__(world, name)
        self.has_page = has_page
        self.socket: ClientSocket | None = None  # of a page
        self.pinged_at = 0  # when it last sent a ping
        self._parting: Parting | None = None  # the page is about to be left
        self._browses = random.Random(f"what the browser of {name} of {world.config.seed} does")
        self.protocol = self._new_protocol()
        self.wanted = [COMMONS]
        self.nick_wanted = name
        self.diary: Diary | None = None
        self.wire = Wire(None, {}, 0, "")
        self._tap = b""
        self.open = False  # welcome or resumed, on this connection
        self.away_until = 0
        self.leaving = False
        self.heard_at = 0
        self.failures = 0
        self.texts: dict[str, str] = {}  # by id
        self.said = 0
        # By room, while it is the same one: the numbers of the last messages that it was told of.
        self._heard: dict[str, deque[int]] = {}
        self._answers = random.Random(f"what {name} of {world.config.seed} answers")
        self._questions: deque[Question] = deque()  # on this connection, and not answered
        self._wonders = random.Random(f"what {name} of {world.config.seed} wonders")
        self.clock.after(self.draw.randint(0, 1_000), self.dial)
        self.clock.after(1_000, self._tick)
        self.clock.after(self._pause(), self._act)
        if world.config.kept and not self.steady:
            self.clock.after(1_000, self._wonder)
        if has_page:
            self.clock.after(self._until_parting(), self._part)
        self._rules = random.Random(f"how {name} of {world.config.seed} moderates")
        if world.config.is_moderated and not self.steady:
            self.clock.after(1_000, self._moderate)
        self.account = ""  # whose device this is to be
        self.code = ""  # for that
        self._asked_at = -CODE_MS  # for one
        self._owns = random.Random(f"what {name} of {world.config.seed} does with an account")

    def _new_protocol(self) -> ClientProtocol:
        return self.world.parts.client(password=self.world.config.password)

    def _pause(self) -> int:
        return 1 + int(self.draw.expovariate(1 / self.world.config.think))

    # ── The connection ───────────────────────────────────────────────────────────────────────

    def connected(self) -> None:
        self.open = False
        self.heard_at = self.clock.now
        self._tap = b""
        self._questions.clear()
        self._parting = None
        if self.has_page:
            # Pings count as lines do, and who talks as people do is to have no need to wait.
            fragments, pings = self.world.config.fragments, not self.steady
            self.socket = ClientSocket(self._browses, fragments=fragments, pings=pings)
            super().write(self.socket.open())
        else:
            self._say_hello()

    def _say_hello(self) -> None:
        hello = self.protocol.hello()
        claim = msgspec.json.decode(hello, type=events.Hello)
        self.wire = Wire(self.link, claim.seen, claim.told, claim.epoch)
        self.world.all_wires.append(self.wire)
        self.write(hello)

    def write(self, data: bytes) -> None:
        """Send lines, as they are or in frames. What a page cannot send yet it says again."""
        if self.socket is None:
            super().write(data)
            return
        pings = len(self.socket.unanswered)
        super().write(self.socket.send(data))
        if len(self.socket.unanswered) > pings:
            self.pinged_at = self.clock.now

    def hang_up(self) -> None:
        parting, end = self._parting, self.end
        if parting is None or end is None:
            super().hang_up()
            return
        incoming = end.incoming
        parting.is_over = incoming.ended and not incoming.received and not end.is_reset
        self.leave()

    def disconnected(self) -> None:
        self.open = False
        if self.leaving:
            self._begin_again()
        self.failures += 1
        wait = self.draw.randint(20, min(5_000, 100 << min(self.failures, 6)))
        self.clock.at(max(self.away_until, self.clock.now + wait), self.dial)

    def vanish(self, duration: int) -> None:
        """Lose power; come again after a while."""
        self.away_until = self.clock.now + duration
        self.hang_up()

    def _begin_again(self) -> None:
        """After saying goodbye: the next connection is that of somebody new, perhaps on a device
        that it has.
        """
        self.leaving = False
        device = self.protocol.device
        self.protocol = self._new_protocol()
        if device and self._owns.random() < 0.7:
            self.protocol.device = device
        self.diary = None
        self.texts = {}
        self.wanted = [COMMONS]

    def received(self, data: bytes) -> None:
        self.heard_at = self.clock.now
        if self.socket is None:
            self._hear(data)
            return
        lines = self._unframed(self.socket, data)
        if self._parting is not None:  # the page is not there any more
            self._parting.was_told |= b'{"type":"closing"' in lines
        elif lines:
            self._hear(lines)
        if self.socket.has_ended and self.end is not None:
            self._ended(self.socket)

    def _unframed(self, socket: ClientSocket, data: bytes) -> bytes:
        was_open = socket.is_open
        try:
            lines, reply = socket.receive_data(data)
        except RefusedError as refused:
            if str(refused).startswith("HTTP/1.1 4"):
                self.world.wrong_bytes.append(f"{self.name} was refused: {refused}")
            self.hang_up()
            return b""
        except WrongBytesError as wrong:
            self.world.wrong_bytes.append(f"{self.name} was sent what is wrong: {wrong}")
            self.hang_up()
            return b""
        if socket.is_open and not was_open:
            self.world.has_come(self)
            self._say_hello()
        super().write(reply)
        return lines

    def _ended(self, socket: ClientSocket) -> None:
        """The server's close frame has come: the browser lets go."""
        if self._parting is None:
            self.hang_up()
        else:
            self._parting.has_answer, self._parting.answer = True, socket.code
            self.leave()

    def _hear(self, data: bytes) -> None:
        try:
            told = self.protocol.receive_data(data)
        except TooLateError:  # the hello was under way for so long that it was not waited for
            self.hang_up()
            return
        *lines, self._tap = (self._tap + data).split(b"\n")
        self.wire.notices += [decode_notice(line) for line in lines]
        self.write(told.reply)
        for notice in told.notices:
            self._note(notice)

    def _note(self, notice: Notice) -> None:
        text = ""
        self._listen(notice)
        match notice:
            case notices.Welcome():
                session = session_of(notice.token) if notice.token else ""
                self.diary = Diary(self.name, self.conn, session)
                self.world.diaries.append(self.diary)
                self._opened()
            case notices.Resumed():
                self._opened()
            case notices.Said(text=text) | notices.Told(text=text):
                pass
            case (
                notices.HistoryPage()
                | notices.SearchResults()
                | notices.Rejected(request="history" | "search")
            ):
                question = self._questions.popleft()
                question.answer, question.at = notice, self.clock.now
                question.answered = len(self.world.entries)
            case notices.Sent(id=str(id)):
                text = self.texts.get(id, "")
            case notices.Rejected("nick-in-use" | "nick-owned"):
                self.nick_wanted = ""
            case notices.Rejected("unknown-device"):
                self.protocol.device = ""
            case notices.Claimed():
                self.nick_wanted = ""
            case notices.Offered(code=code):
                self._give(code)
            case notices.Invited(room, code=code) if code:
                self.world.invitations[room] = code
            case notices.DeviceList(devices=devices):
                others = [device.number for device in devices if not device.own]
                if others and self.open and self.world.faulty and self._owns.random() < 0.4:
                    self.ask(events.Revoke(self._owns.choice(others)))
            case notices.Rejected("too-many-rooms") if COMMONS not in self.protocol.rooms:
                self.wanted = [COMMONS]
                self.ask(events.Out(next(iter(self.protocol.rooms), COMMONS)))
            case notices.Rejected(request="join"):
                self.wanted = [COMMONS, *(room for room in self.protocol.rooms if room != COMMONS)]
            case _:
                pass
        if self.diary is not None:
            epoch = self.wire.epoch
            shown = Shown(self.clock.now, self.conn, notice, text, self.server, epoch)
            self.diary.shown.append(shown)

    def _listen(self, notice: Notice) -> None:
        """Know what can be answered: also after another room has come in the place of one."""
        match notice:
            case notices.Said(room, seq=seq) | notices.Sent(room=str(room), seq=int(seq)):
                self._heard.setdefault(room, deque(maxlen=6)).append(seq)
            case notices.Entered(room) | notices.Left(room, own=True):
                self._heard.pop(room, None)
            case notices.Welcome() | notices.Resumed():  # it may be that the log was cut
                self._heard.clear()
            case _:
                pass

    def _opened(self) -> None:
        self.open = True
        self.failures = 0
        if self.nick_wanted and self.protocol.nick != self.nick_wanted:
            self.ask(events.Nick(self.nick_wanted))
        self._join_wanted()

    def _join_wanted(self) -> None:
        for room in self.wanted:
            if room not in self.protocol.rooms:
                self.ask(events.Join(room))

    def _tick(self) -> None:
        """Once a second: is the server there, and am I where I want to be?"""
        now = self.clock.now
        if self.end is not None and now >= self.asleep_until and self._parting is None:
            silent = now - max(self.heard_at, self.asleep_until)
            patience = DEAD_AFTER if self.world.faulty else 5 * DEAD_AFTER
            if not self.open and now - self.dialled_at > WELCOME_WITHIN * (1 + self.failures):
                self.failures += 1
                self.hang_up()
            elif silent > patience:
                self.hang_up()
            elif self.open and silent > ASK_AFTER:
                self.ask(events.Ping())
            if self.open and self.draw.random() < 0.3:
                self._join_wanted()
        if not self.retired:
            self.clock.after(1_000, self._tick)

    # ── What becomes of a page ───────────────────────────────────────────────────────────────

    def _until_parting(self) -> int:
        return 500 + int(self._browses.expovariate(1 / self.world.config.leave_every))

    def _part(self) -> None:
        """Leave the page, and come back, or only see whether the server answers."""
        if self.retired or not self.world.faulty:
            return
        draw = self._browses
        self.clock.after(self._until_parting(), self._part)
        socket = self.socket
        if not self.open or self._parting or self.leaving or self.clock.now < self.asleep_until:
            return
        assert socket is not None, "it has a page"
        assert self.link is not None, "it is connected"
        if not self.steady and draw.random() < 0.3:
            super().write(socket.ping())
            self.pinged_at = self.clock.now
            return
        how = "page reloaded" if self.steady else draw.choices([*PARTINGS], (6, 3, 1, 1, 2))[0]
        code = PARTINGS[how]
        self.world.faults[how] += 1
        self.world.note(self.name, how)
        away_ms = draw.randint(20, 2_000) if "reloaded" in how else draw.randint(500, 15_000)
        self.away_until = self.clock.now + away_ms
        self.open = False
        if code == 0:
            self.leave()
            return
        self._parting = Parting(
            self.name, self.link, self.link.conn, code, self.steady, self.clock.now
        )
        self.world.partings.append(self._parting)
        super().write(socket.close(code))
        if draw.random() < 0.5:
            self.leave()
        else:
            self.clock.after(CLOSED_WITHIN, partial(self._give_up, self.end))

    def _give_up(self, end: End | None) -> None:
        """There was no answer in time."""
        if self.end is end and self._parting is not None:
            self.leave()

    # ── What a person does ───────────────────────────────────────────────────────────────────

    def ask(self, request: Request) -> None:
        """Ask for something, if there is a connection."""
        if not self.open:
            return
        self.write(self.protocol.request(request))
        if isinstance(request, events.History | events.Search) and self.diary is not None:
            shown = [
                shown.text for shown in self.diary.shown if isinstance(shown.notice, notices.Said)
            ]
            place = len(self.world.entries)
            question = Question(request, self.diary.person, place, frozenset(shown))
            self._questions.append(question)
            self.world.questions.append(question)

    def say(self, room: str, text: str = "") -> str:
        """Say something new to a room; returns what."""
        text = text or self._text()
        re = None
        if (heard := self._heard.get(room)) and self._answers.random() < 0.3:
            re = self._answers.choice(heard)
        self._keep(self.protocol.say(room, text, re=re), text)
        return text

    def _text(self) -> str:
        self.said += 1
        text = f"{self.name}.{self.said}"
        if self.draw.random() < self.world.config.long_texts:
            text = text.ljust(self.draw.randint(len(text), self.page), "…")
        return text

    def _keep(self, data: bytes, text: str) -> None:
        self.texts[next(reversed(self.protocol.unacknowledged))] = text
        self.world.spoken[text] = self.clock.now
        self.write(data)

    def _act(self) -> None:
        if self.retired or not self.world.faulty:
            return
        self.clock.after(self._pause(), self._act)
        rooms = list(self.protocol.rooms)
        if not rooms or len(self.protocol.unacknowledged) >= MAX_UNACKNOWLEDGED:
            return
        self.act(rooms)

    def _wonder(self) -> None:
        """Ask the archive something, now and then."""
        if self.retired or not self.world.faulty:
            return
        draw = self._wonders
        self.clock.after(draw.randint(100, 3_000), self._wonder)
        if not self.protocol.rooms:
            return
        view = draw.choice(list(self.protocol.rooms.values()))
        match draw.randrange(3):
            case 0:
                before = view.seq + 1 - draw.randint(0, 40)
                self.ask(events.History(view.name, before=before, limit=draw.randint(1, 8)))
            case 1:
                self.ask(events.History(view.name, limit=draw.randint(1, 8)))
            case _:
                words = draw.choice(self.world.people).name
                if draw.random() < 0.5:
                    words += f".{draw.randint(1, 9)}"
                room = draw.choice(("", view.name))
                self.ask(events.Search(words, room, limit=draw.randint(1, 6)))

    def _moderate(self) -> None:
        """Do what only moderators may, now and then; where one is one, and never where all are."""
        if self.retired or not self.world.faulty:
            return
        draw = self._rules
        self.clock.after(draw.randint(50, 1_000), self._moderate)
        views = [view for view in self.protocol.rooms.values() if view.name != COMMONS]
        is_admin = self.protocol.nick.lower() == ACCOUNTS[0]
        mine = [view for view in views if is_admin or self.protocol.nick in view.moderators]
        if not views or draw.random() < 0.1:
            room = f"room{draw.randint(1, self.world.config.rooms)}"
            if self.open and room not in self.wanted:
                self.wanted.append(room)
                self.ask(events.Join(room))
            return
        view = draw.choice(mine or views)
        room, what = view.name, draw.choice(RESTRAINTS)
        ms = draw.choice((500, 3_000, 20_000))
        nick = draw.choice([*view.members, *(each.protocol.nick for each in self.world.people)])
        if self.world.config.accounts and draw.random() < 0.2:
            nick = ACCOUNTS[-1]
        nick = nick or "nobody"
        others = [each for each in view.members if each != self.protocol.nick]
        if mine and others and draw.random() < 0.2:
            nick = draw.choice(others)
            kick = events.Kick(room, nick, "because")
            self.ask(draw.choice((kick, kick, events.Restrict(room, nick, what, ms))))
            return
        if is_admin and draw.random() < 0.2:
            self.ask(self._on_server(draw))
            return
        if self.world.config.accounts and draw.random() < 0.4:
            self.ask(self._with_accounts(room, nick))
            return
        asked: tuple[Request, ...] = (
            events.Kick(room, nick, "because"),
            events.Restrict(room, nick, what, ms),
            events.Restrict(room, nick, what, ms),
            events.Lift(room, nick, what),
            events.Role(room, nick, draw.choice(ROLES)),
            events.RoomMode(room, moderated=draw.random() < 0.3),
            events.RoomMode(room, private=draw.random() < 0.6),
            events.RoomMode(room, private=draw.random() < 0.4),
            events.Invite(room, nick),
            events.Restrictions(room),
        )
        self.ask(draw.choice(asked))

    def _with_accounts(self, room: str, nick: str) -> Request:
        """What there is to do besides where there are accounts: perhaps with no right to it."""
        draw, config = self._rules, self.world.config
        has_place = self._may_keep()
        asked: tuple[Request, ...] = (
            self._on_server(draw),
            # What is kept takes a place for good.
            events.RoomMode(room, kept=draw.random() < 0.7 and has_place),
            events.RoomMode(room, kept=draw.random() < 0.7 and has_place),
            events.RoomMode(room, secret=draw.choice((SECRET, SECRET, ""))),
            events.RoomMode(room, slow_ms=draw.choice((0, 0, 700))),
            events.Invite(room),
            events.Join(room, code=self.world.invitations.get(room, SECRET)),
            events.Join(f"room{draw.randint(1, config.rooms)}", code=SECRET),
            events.Role(room, draw.choice((nick, *ACCOUNTS)), "owner"),
            events.Nick(draw.choice(LOOKALIKES)),
            events.Audit(),
        )
        return draw.choice(asked)

    def _on_server(self, draw: random.Random) -> Request:
        """What only who looks after the server may do."""
        # Who has a good line is to be disturbed by nothing.
        nicks = [each.protocol.nick for each in self.world.sick]
        nicks += 2 * [each.name for each in (*self.world.plain, *self.world.marked)]
        chosen = [nick for nick in nicks if nick and not nick.startswith("guest-")]
        owned = ACCOUNTS[self.world.config.accounts - 1]
        nick = owned if draw.random() < 0.4 or not chosen else draw.choice(chosen)
        what = draw.choice(RESTRAINTS)
        restrict = events.Restrict("", nick, what, draw.choice(SERVER_MS), server=True)
        asked: tuple[Request, ...] = (
            events.Kick("", nick, "because", server=True),
            restrict,
            restrict,
            restrict,
            events.Lift("", nick, what, server=True),
            events.Restrictions("", server=True),
        )
        return draw.choice(asked)

    # ── An account ───────────────────────────────────────────────────────────────────────────

    def own(self, account: str) -> None:
        """Have an account from now on, on this device and others."""
        self.account = account
        self.clock.after(self._owns.randint(200, 2_000), self._own)

    def _own(self) -> None:
        """See to it that this is a device of the account, and do what one does with one."""
        if self.retired or not self.world.faulty:
            return
        draw = self._owns
        self.clock.after(draw.randint(100, 1_200), self._own)
        if not self.open:
            return
        if self.protocol.nick.lower() == self.account:
            self._with_devices()
        elif self.protocol.device:
            self.ask(events.Login(self.protocol.device))
        elif self.world.used_codes and draw.random() < 0.1:
            self.ask(events.Claim(self.world.used_codes[-1], self.name))
        elif self.code:
            code, self.code = self.code, ""
            self.ask(events.Claim(code, self.name))
            self.world.used_codes.append(code)
        elif self.clock.now >= self._asked_at + CODE_MS:
            self._asked_at = self.clock.now
            assert self.world.owner is not None, "there are accounts"
            self.world.owner.invite(self.account, self._take)

    def _may_keep(self) -> bool:
        """Whether there is a place for rooms that stay."""
        return self.world.config.state_limits.rooms > len(self.world.people)

    def _take(self, code: str) -> None:
        self.code = code

    def _give(self, code: str) -> None:
        """Have another device of the account come by a code."""
        others = [each for each in self.world.people if each.account == self.account]
        for each in others:
            if not each.protocol.device and not each.code:
                each.code = code
                return

    def _with_devices(self) -> None:
        draw = self._owns
        views = list(self.protocol.rooms.values())
        match draw.randrange(10):
            case 0:
                self.ask(events.Offer())
            case 1:
                self.ask(events.Devices())
            case 8 if draw.random() < 0.3:
                self.ask(events.Quit("see you on the other one"))
                self.leaving = True
            case 4 | 5 if views and self._may_keep():
                room = draw.choice(views)
                if room.name != COMMONS:
                    self.ask(events.RoomMode(room.name, kept=draw.random() < 0.8))
                    for nick in [*room.members][:3]:
                        self.ask(events.Role(room.name, nick, draw.choice(ROLES)))
            case 3:
                # Perhaps a code of nobody's, by who is somebody already.
                self.ask(events.Claim(self.code or "no such code", self.name))
            case _ if views:
                view = draw.choice(views)
                self.ask(events.Read(view.name, view.seq))
            case _:
                pass

    def act(self, rooms: list[str]) -> None:
        """Do one thing, for which there are these rooms."""
        room = self.draw.choice(rooms)
        match self.draw.choices(
            ("say", "burst", "tell", "join", "out", "nick", "topic", "query", "quit"),
            (60, 3, 10, 6, 4, 4, 2, 4, 1),
        )[0]:
            case "say":
                self.say(room)
            case "burst":
                for _ in range(self.draw.randint(5, 30)):
                    self.say(room)
            case "tell":
                nick = self.draw.choice(self.world.people).protocol.nick or "nobody"
                text = self._text()
                self._keep(self.protocol.tell(nick, text), text)
            case "join":
                room = f"room{self.draw.randint(1, self.world.config.rooms)}"
                if self.open and room not in self.wanted:
                    self.wanted.append(room)
                    self.ask(events.Join(room))
            case "out":
                if self.open and room != COMMONS:
                    self.wanted = [other for other in self.wanted if other != room]
                    self.ask(events.Out(room))
            case "nick":
                self.nick_wanted = self.draw.choice((self.name, "everybody", f"{self.name}2"))
                self.ask(events.Nick(self.nick_wanted))
            case "topic":
                self.ask(events.Topic(room, self.draw.choice(("", "tea", None))))
            case "query":
                self.ask(
                    self.draw.choice(
                        (events.Rooms(), events.Who(room), events.History(room, limit=5))
                    )
                )
            case "quit" if self.open:
                self.ask(events.Quit("bye"))
                self.leaving = True
            case _:
                pass


class SlowReader(Person):
    """A person on a line that carries little."""

    read_bytes = 120
    read_delay = 60


class HealthyPerson(Person):
    """A person whose line has no faults, who reads at once, and talks as people do."""

    roomy = True
    steady = True
    page = 300  # which costs no more than a line

    def _pause(self) -> int:
        rate = self.world.config.limits.flood_rate
        slowest = 2 * 1_000 // rate if rate else 0
        return slowest + super()._pause()

    def act(self, rooms: list[str]) -> None:
        window = self.world.config.state_limits.receipts
        room = self.draw.choice(rooms)
        if self.draw.random() < 0.1:
            room = f"room{self.draw.randint(1, self.world.config.rooms)}"
            if room not in self.wanted:
                self.wanted.append(room)
                self.ask(events.Join(room))
        elif len(self.protocol.unacknowledged) < window:
            self.say(room)


class PlainPerson(Peer):
    """A person with nc: lines in, lines out. At most once."""

    def __init__(self, world: World, name: str) -> None:
        super().__init__(world, name)
        self.diary: Diary | None = None
        self.said = 0
        self._partial = b""
        self._history = False
        self.clock.after(self.draw.randint(0, 1_000), self.dial)
        self.clock.after(2_000, self._act)

    def connected(self) -> None:
        self._partial = b""
        self._history = False
        self.diary = None
        password = self.world.config.password
        if password:
            self.write(f"{password}\r\n".encode())
        self.write(f"/nick {self.name}\r\n/join {COMMONS}\r\n".encode())

    def disconnected(self) -> None:
        self.clock.after(self.draw.randint(100, 3_000), self.dial)

    def received(self, data: bytes) -> None:
        *lines, self._partial = (self._partial + data).split(b"\n")
        for line in lines:
            self._note(line.decode())

    def _note(self, line: str) -> None:
        if self.diary is None:
            self.diary = Diary(self.name, self.conn, "")
            self.world.diaries.append(self.diary)
        if line.startswith("* Said in "):
            self._history = True
        elif line.startswith("* You "):
            self._history = False
        if not line.startswith("[") or self._history:
            return
        head, _, text = line.partition(": ")
        room, _, nick = head.removeprefix("[").partition("] ")
        nick = nick.partition(" (")[0]  # without what it answers
        if nick.startswith("-"):  # what no program answers
            nick, _, text = nick[1:].partition("- ")
        notice: Notice
        if text:
            notice = notices.Said(room, nick, text, 0, 0)
        else:
            text = line.partition("] ")[2]
            notice = notices.Told("", text, 0, 0)
        self.diary.shown.append(Shown(self.clock.now, self.conn, notice, text, self.server))

    def _act(self) -> None:
        if not self.world.faulty:
            return
        self.clock.after(self.draw.randint(200, 3_000), self._act)
        if self.draw.random() < 0.05:
            self.write(b"/quit tea\r\n")
        elif self.draw.random() < 0.1:
            other = self.draw.choice(self.world.people)
            self.said += 1
            self.write(f"/msg {other.protocol.nick or 'x'} {self.name}.{self.said}\r\n".encode())
        else:
            self.said += 1
            self.write(f"{self.name}.{self.said}\r\n".encode())


class MarkedPerson(Peer):
    """Speaks the third dialect, and now and then asks for another mark. At most once."""

    def __init__(self, world: World, name: str) -> None:
        super().__init__(world, name)
        self.diary: Diary | None = None
        self.nick = ""
        self.marked = 0  # the mark that the server has said it uses
        self.mark = 0  # the last that was asked for
        self.said = 0
        self._data = bytearray()
        self.clock.after(self.draw.randint(0, 1_000), self.dial)
        self.clock.after(2_000, self._act)

    def ask(self, line: str) -> None:
        """Send one line."""
        self.write(netstring(line.encode()))

    def connected(self) -> None:
        self._data.clear()
        self.diary = None
        self.nick = ""
        self.mark = self.marked = 0
        if password := self.world.config.password:
            self.ask(f".open {password}")
        self.ask(f"/nick {self.name}")
        self.ask(f"/join {COMMONS}")

    def disconnected(self) -> None:
        self.clock.after(self.draw.randint(100, 3_000), self.dial)

    def received(self, data: bytes) -> None:
        if self.diary is None:
            if data[:1] in b"*!":  # our first line was under way for so long that we are greeted
                self.hang_up()
                return
            self.diary = Diary(self.name, self.conn, "")
            self.world.diaries.append(self.diary)
        self._data += data
        frames, wrong = take_frames(self._data, MAX_NOTICE_BYTES)
        for frame in frames:
            mark, nick, *told = frame.split(b" ", 2)
            if told:
                self._note(self.diary, decode_notice(told[0]))
                seen = Frame(self.conn, int(mark), nick.decode(), self.marked, self.nick)
                self.world.frames.append(seen)
            else:
                self.marked = int(mark)
        if wrong:
            self.world.broken_frames += 1
            self.hang_up()

    def _note(self, diary: Diary, notice: Notice) -> None:
        text = ""
        match notice:
            case notices.Welcome(nick) | notices.Renamed(_, nick, own=True):
                self.nick = nick
            case notices.Said(text=text) | notices.Told(text=text):
                pass
            case notices.Sent():
                return  # has no id, so nobody knows for what it is
            case _:
                pass
        diary.shown.append(Shown(self.clock.now, self.conn, notice, text, self.server))

    def _act(self) -> None:
        if not self.world.faulty:
            return
        self.clock.after(self.draw.randint(100, 1_500), self._act)
        match self.draw.randrange(8):
            case 0 | 1:
                self.mark += 1
                self.ask(f".mark {self.mark}")
            case 2:
                self.ask(self.draw.choice(("/who", "/history", "/rooms", "/out", "/join room1")))
            case 3:
                self.ask(f"/nick {self.name}{self.draw.choice(('', '2'))}")
            case 4:
                self.ask(f"/join {COMMONS}")
            case _:
                self.said += 1
                self.ask(f"{self.name}.{self.said}")


class Paster(Peer):
    """A program that sends a long text at once, far above the rate, and reads what comes.

    It is sick only for others: it answers pings, and has a right to see its lines said.
    """

    roomy = True
    steady = True

    def __init__(self, world: World, name: str) -> None:
        super().__init__(world, name)
        limits = world.config.limits
        seconds = math.ceil(limits.drop_after_ms / 1_000) + 5
        self.lines = [
            f"{name}.{n}" for n in range(limits.flood_burst + limits.flood_rate * seconds)
        ]
        self._partial = b""
        self.clock.after(self.draw.randint(500, 2_000), self.dial)

    def connected(self) -> None:
        say = [encode_request(events.Say(COMMONS, line)) for line in self.lines]
        hello = events.Hello(password=self.world.config.password)
        self.write(b"".join([encode_request(hello), encode_request(events.Join(COMMONS)), *say]))

    def received(self, data: bytes) -> None:
        *lines, self._partial = (self._partial + data).split(b"\n")
        for line in lines:
            notice = decode_notice(line)
            if isinstance(notice, notices.Pinged):
                self.write(encode_request(events.Pong(notice.id)))


class Hostile(Peer):
    """Sends what no client would, and may never read an answer."""

    roomy = True

    def __init__(self, world: World, name: str) -> None:
        super().__init__(world, name)
        self.sent = 0
        if self.draw.random() < 0.5:
            self.asleep_until = 1 << 40
        self.clock.after(self.draw.randint(0, 2_000), self.dial)
        self.clock.after(2_000, self._act)

    def connected(self) -> None:
        if self.draw.random() < 0.6:
            password = self.draw.choice((self.world.config.password, "wrong"))
            hello = events.Hello(self.draw.choice(("", "guess")), {COMMONS: -5}, 1 << 62, password)
            join = encode_request(events.Join(COMMONS))
            self.write(encode_request(hello) + join)

    def disconnected(self) -> None:
        if self.world.faulty:
            self.clock.after(self.draw.randint(1, 2_000), self.dial)

    def _act(self) -> None:
        if not self.world.faulty:
            self.hang_up()
            return
        self.clock.after(self.draw.randint(20, 600), self._act)
        self.write(self._payload())
        if self.draw.random() < 0.02:
            self.hang_up()

    def _payload(self) -> bytes:
        draw = self.draw
        self.sent += 1
        say = encode_request(events.Say(COMMONS, f"{self.name}.{self.sent}"))
        match draw.randrange(8):
            case 0:
                return draw.randbytes(draw.randint(1, 300))
            case 1:
                return b"x" * draw.randint(1, 40_000)
            case 2:
                return say[: draw.randrange(len(say))]
            case 3:
                return b"\n" + b'{"type":"say","room":[],"text":7}\n' * draw.randint(1, 20)
            case 4:
                return b'\n{"type":"hello","token":"again"}\n{"type":"ping"}\n'
            case 5:
                return b"\n" + b"[" * draw.randint(1, 5_000) + b"\n"
            case 6:
                return b'\n{"type":"join","room":"\\u202e"}\n{"type":"nick","nick":"\\u001b"}\n'
            case _:
                return b"\n" + say
