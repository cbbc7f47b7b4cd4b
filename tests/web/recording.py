# ruff: noqa: E501 # lines and tables of what is typed, as they stand
"""What Python's client does in many sessions, written down for a client in another language.

A session is a list of calls of `Requests`, each with what came of it and the state after it. Chance
is seeded: the recording depends on the code alone.
"""

from __future__ import annotations

import json
import math
import random
from collections.abc import Callable
from typing import Any, Final

import msgspec
from tcpchat_cli.terminal.commands import LOCAL_COMMANDS, without_secrets
from tcpchat_cli.terminal.completion import ChatCompleter
from tcpchat_cli.terminal.render import Renderer
from tcpchat_cli.terminal.theme import nick_style

from tcpchat_core import ClientProtocol, TcpchatError, events, nick_name, notices, parse_line
from tcpchat_core.client import PendingRequest, Reconnect, Requests, RoomView
from tcpchat_core.commands import COMMANDS, help_lines
from tcpchat_core.dialects.jsonl import JSON, encode_request
from tcpchat_core.dialects.plain import PLAIN
from tcpchat_core.events import Request
from tcpchat_core.names import Name, nick_key
from tcpchat_core.notices import Notice, Rejected
from tcpchat_core.sanitize import replace_surrogates, sanitize
from tests.core.harness import MemoryServer

# What the page does by itself, as the terminal's client does; that has more such commands.
LOCAL: Final = [each for each in LOCAL_COMMANDS if each.name in {"ignore", "unignore"}]

SESSIONS: Final = 250
STEPS: Final = 40

# Names that are legal and that trip programs in JavaScript, beside ordinary ones.
ROOMS: Final = ("lobby", "__proto__", "constructor", "toString", "tee-küche", "잡담")
NICKS: Final = ("ada", "__proto__", "hasOwnProperty", "bob", "иван", "guest-7")
TEXTS: Final = (
    "hello",
    "tea? 🫖",
    "e\udce9",
    "\ud83d",
    "\ude00\ud83d!",
    "\ud83d\ude00",
    "a\x00b\x1b[2J\x9b\u202e\u2028c\t",
    "안녕하세요 مرحبا",
    '"\\/\b\f\n\r',
    "x" * 300,
    "é" * 200,
)
# Lines of servers that are newer, broken, or none.
ODD_LINES: Final = (
    '{"type":"fireworks","colour":[1,{"type":"gone"}]}',
    '{"type":"fireworks","id":7}',
    '{"type":"__proto__","nick":"x"}',
    '{"type":"toString"}',
    '{"type":"gone","nick":"bob","__proto__":{"reason":1},"reason":"tea","n":2}',
    '{"type":"rejected","reason":"muted","text":"not today","request":"say","id":"1"}',
    '{"reason":"x","type":"gone","nick":"ada"}',
    '{"type":"gone","nick":"\\u001b[2J\\u202ehi"}',
    '{"type":"said","room":"lobby","nick":"ada","text":"x","seq":"5","at":0}',
    '{"type":"pong","id":7}',
    '{"type":"sent","at":1,"id":null}',
    '{"type":7}',
    '{"type":""}',
    "{}",
    "[]",
    "null",
    "hello",
    "",
    '{"type":"gone"}',
    '{"type":"gone","nick":null}',
    '{"type":"gap","room":"lobby","oldest":true}',
    '{"type":"rooms","rooms":[{"room":"a","members":2,"new":1}]}',
    '{"type":"rooms","rooms":[{"room":"a"}]}',
    '{"type":"rooms","rooms":{"room":"a"}}',
    '{"type":"entered","room":"lobby","members":["a",1],"count":1,"seq":1,"at":0}',
    '{"type":"history","room":"a","messages":[{"type":"told","room":"a","nick":"b","text":"","seq":1,"at":1}]}',
    '{"type":"history","room":"a","messages":[{"room":"a","nick":"b","text":"","seq":1,"at":1}]}',
    '{"type":"welcome","nick":"ada","epoch":"0","limits":{"line_bytes":1}}',
    "* Welcome to tcpchat. You are guest-1.",
    "! password-needed: this server has a password: say it first",
    "HTTP/1.1 400 Bad Request",
)


class Recorder:
    """One session: the calls are made, and written down."""

    def __init__(self, password: str = "", device: str = "") -> None:
        self.password, self.device = password, device
        self.requests = Requests(ClientProtocol(password=password, device=device))
        self.asked: list[PendingRequest | None] = []
        self.steps: list[dict[str, Any]] = []

    @property
    def protocol(self) -> ClientProtocol:
        return self.requests.protocol

    def hello(self) -> bytes:
        return self._sent("hello", None, self.requests.hello)

    def connection_lost(self) -> None:
        self.requests.connection_lost()
        self._write("connection_lost", None, {})

    def ask(self, request: Request) -> bytes:
        def ask() -> bytes:
            self.asked.append(None)
            self.asked[-1], data = self.requests.ask(request)
            return data

        return self._sent("ask", _request_argument(request), ask)

    def cancel(self, number: int) -> None:
        pending = self.asked[number]
        if pending is not None:
            self.requests.cancel(pending)
            self._write("cancel", number, {})

    def receive(self, line: str) -> bytes:
        """Raises nothing: after an error the session is over."""
        try:
            heard, reply = self.requests.receive_data(line.encode() + b"\n")
        except TcpchatError as error:
            self._write("receive", line, {"error": type(error).__name__})
            return b""
        told = [[_notice(each.notice), self._number(each.answers)] for each in heard]
        self._write("receive", line, {"told": told, "lines": _lines(reply)})
        return reply

    def hear(self, *told: Notice) -> None:
        for notice in told:
            self.receive(JSON.encode(notice).decode().rstrip("\n"))

    def reload(self) -> None:
        """What a page's reload keeps of a session: its numbers, and what has no receipt; and what
        the browser keeps: by which token it comes.
        """
        old, new = self.protocol, ClientProtocol(device=self.protocol.device)
        new.nick, new.welcome, new.epoch = old.nick, old.welcome, old.epoch
        new._told, new._last_id = old._told, old._last_id
        new._lost = set(old._lost)
        for room, view in old.rooms.items():
            new.rooms[room] = RoomView(notices.RoomState(room, (), 0, 0), view.seq)
        new.unacknowledged = dict(old.unacknowledged)
        for id in new.unacknowledged:
            new._last_place += 1
            new._places[id] = new._last_place
        self.requests = Requests(new)
        self.asked = [None] * len(self.asked)
        self._write("reloaded", None, {})

    def _number(self, pending: PendingRequest | None) -> int:
        return -1 if pending is None else self.asked.index(pending) if pending in self.asked else -1

    def _sent(self, call: str, argument: Any, act: Callable[[], bytes]) -> bytes:
        try:
            data = act()
        except TcpchatError as error:
            self._write(call, argument, {"error": type(error).__name__})
            return b""
        self._write(call, argument, {"lines": _lines(data)})
        return data

    def _write(self, call: str, argument: Any, result: dict[str, Any]) -> None:
        protocol = self.protocol
        state = {
            "nick": protocol.nick,
            "epoch": protocol.epoch,
            "rooms": [
                [
                    name,
                    view.name,
                    view.topic,
                    view.seq,
                    view.count,
                    [*view.members],
                    [*view.moderators],
                ]
                for name, view in protocol.rooms.items()
            ],
            "unacknowledged": [*protocol.unacknowledged],
            "abandoned": [said.id for said in protocol.abandoned],
            "device": protocol.device,
        }
        self.steps.append({"call": call, "argument": argument, "result": result, "state": state})

    def session(self) -> dict[str, Any]:
        return {"password": self.password, "device": self.device, "steps": self.steps}


def _lines(data: bytes) -> list[Any]:
    return [json.loads(line) for line in data.splitlines()]


def _request_argument(request: Request) -> dict[str, Any]:
    return {"type": request.__struct_config__.tag} | {
        field: value
        for field in request.__struct_fields__
        if field not in {"key", "nick_key", "roles", "marks", "code_hash"}
        and (value := getattr(request, field)) is not None
    }


def _notice(notice: Notice) -> dict[str, Any]:
    """All fields of a notice, also those that have their default."""
    fields: dict[str, Any] = {"type": notice.__struct_config__.tag}
    return fields | {field: _value(getattr(notice, field)) for field in notice.__struct_fields__}


def _value(value: Any) -> Any:
    match value:
        case notices.Said():
            return _notice(value)
        case msgspec.Struct():
            return {field: _value(getattr(value, field)) for field in value.__struct_fields__}
        case tuple():
            return [_value(each) for each in value]
        case _:
            return value


# ── Sessions made of lots ────────────────────────────────────────────────────────────────────


TAGS = ({"draft/reply": "e1.7.lobby"}, {"a\x9b": "x\x9by", "b": ""})


class Lots:
    """Requests and notices, drawn."""

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        self.seq = dict.fromkeys(ROOMS, 5)

    def room(self) -> str:
        return self.chance.choice(ROOMS[: self.chance.choice((2, len(ROOMS)))])

    def nick(self) -> str:
        return self.chance.choice(NICKS)

    def text(self) -> str:
        return self.chance.choice(TEXTS)

    def id(self) -> str | None:
        return self.chance.choice((None, None, None, "mine", "x" * 64, "x" * 65, "\x1b", "é" * 64))

    def request(self) -> Request:
        draw = self.chance.choice
        kinds: tuple[Callable[[], Request], ...] = (
            lambda: events.Say(self.room(), self.text(), emote=draw((False, True))),
            lambda: events.Say(self.room(), self.text(), notice=draw((False, True))),
            lambda: events.Say(self.room(), self.text(), self.id()),
            lambda: events.Tell(self.nick(), self.text()),
            lambda: events.Tell(self.nick(), self.text(), notice=draw((False, True))),
            lambda: events.Say(self.room(), self.text(), tags=draw((*TAGS, {"a": "\udce9"}))),
            lambda: events.Signal({"typing": "active"}, self.room()),
            lambda: events.Nick(self.nick()),
            lambda: events.Join(self.room()),
            lambda: events.Out(self.room(), reason=draw(("", "tea time"))),
            lambda: events.Topic(self.room(), draw((None, "", "tea"))),
            events.Rooms,
            lambda: events.Who(self.room()),
            lambda: events.Whois(self.nick()),
            lambda: events.Watch((self.nick(),), draw(("start", "stop", "look"))),
            lambda: events.Away(draw(("", "tea time"))),
            lambda: events.SetName(draw(("", "Ada Lovelace"))),
            lambda: events.History(self.room(), draw((None, 3)), draw((20, 50))),
            lambda: events.Search("tea", draw(("", self.room())), "", draw((0, 7))),
            lambda: events.Kick(self.room(), self.nick(), server=draw((True, False))),
            lambda: events.Restrict(
                self.room(), self.nick(), draw(("ban", "mute")), server=draw((True, False))
            ),
            lambda: events.Lift(self.room(), self.nick(), draw(("ban", "mute"))),
            lambda: events.Role(self.room(), self.nick(), draw(("moderator", "member", "owner"))),
            lambda: events.RoomMode(
                self.room(), private=draw((True, False)), secret=draw(("", "x", None))
            ),
            lambda: events.Claim("c0de", draw(("", "phone")), draw(("", "t0ken"))),
            lambda: events.Login(draw(("", "t0ken")), draw(("", "ada")), draw(("", "sesame"))),
            lambda: events.Password(draw(("", "sésame"))),
            events.Offer,
            events.Devices,
            lambda: events.Revoke(draw((1, 2))),
            lambda: events.Audit(draw((20, 50))),
            lambda: events.Invite(self.room(), draw(("", self.nick()))),
            lambda: events.Redact(self.room(), draw((0, 3))),
            lambda: events.Restrictions(self.room()),
            lambda: events.Ping(draw((None, "7", "\x1b"))),
            lambda: events.Help("msg"),
        )
        weights = (8, 4, 3, *(1,) * (len(kinds) - 3))
        return self.chance.choices(kinds, weights)[0]()

    def number(self, room: str) -> int:
        """A message's number: mostly the next one, sometimes an old one or one far ahead."""
        self.seq[room] += self.chance.choice((1, 1, 1, 1, 0, 0, 3, -2))
        return self.seq[room]

    def said(self, ids: list[str]) -> notices.Said:
        room = self.room()
        id = self.chance.choice([None, None, None, *ids])
        tags = self.chance.choice((None, None, *TAGS))
        return notices.Said(room, self.nick(), "hi", self.number(room), 0, id=id, tags=tags)

    def notice(self, protocol: ClientProtocol) -> Notice:
        draw, ids = self.chance.choice, [*protocol.unacknowledged, "77"]
        room, nick = self.room(), self.nick()
        by = draw((self.nick(), protocol.nick))
        kinds: tuple[Callable[[], Notice], ...] = (
            lambda: self.said(ids),
            lambda: notices.Sent(0, draw([None, *ids]), room, seq=self.number(room)),
            lambda: notices.Sent(0, draw(ids), None, nick, entry=draw((0, 7))),
            lambda: notices.Told(nick, "psst", draw((1, 2, 3, 9)), 0, draw(("", "ada"))),
            lambda: notices.Gap(draw(("", room)), self.number(room)),
            lambda: notices.Entered(
                room,
                ("ada", nick),
                draw((2, 700)),
                self.number(room),
                0,
                "t",
                moderators=draw(((), ("ada",), (nick, "ada"))),
            ),
            lambda: notices.Joined(room, nick, 1, 0),
            lambda: notices.Signalled(draw(("", room)), nick, {"typing": "x\x9by"}, 0),
            lambda: notices.Left(room, nick, own=draw((False, False, True))),
            lambda: notices.Left(room, nick, by=by, at=1, until=draw((0, 2))),
            lambda: notices.Restricted(room, nick, draw(("ban", "mute")), 2, by, 1),
            lambda: notices.Lifted(room, nick, draw(("ban", "mute")), by),
            lambda: notices.RoleSet(room, nick, draw(("moderator", "member", "owner")), by),
            lambda: notices.ModeSet(room, by, 5_000, kept=draw((True, False))),
            lambda: notices.Expelled(nick, by, 1, "", draw((0, 2))),
            lambda: notices.Claimed(nick, 1, token=draw(("", "t0ken", "an\x9bother"))),
            lambda: notices.PasswordSet(nick, is_set=draw((True, False))),
            lambda: notices.Offered(nick, 2, 1, "c0de"),
            lambda: notices.DeviceList(nick, (notices.DeviceInfo(1, 2, "a\x9bb", own=True),)),
            lambda: notices.Revoked(draw((1, 2))),
            lambda: notices.ActList((notices.Act(1, by, "kick", room, nick, 2, "x\x9by"),)),
            lambda: notices.ReadUpTo(room, self.seq[room]),
            lambda: notices.Redacted(room, 3, by, 1),
            lambda: notices.Invited(room, by, 2, 1, nick),
            lambda: notices.RestrictionList(
                room, (notices.RestrictionInfo(nick, "ban", 2, by, "x\x9by"),), 1
            ),
            lambda: notices.Gone(nick),
            lambda: notices.Renamed(nick, self.nick(), own=draw((False, False, True))),
            lambda: notices.TopicSet(room, "coffee", draw((nick, protocol.nick)), 1, 0),
            lambda: notices.Rejected(
                draw(("not-in-room", "too-long")), "no", draw(("out", "say", "who", "history"))
            ),
            lambda: notices.Rejected("too-long", "no", "say", draw(ids)),
            lambda: notices.Pinged(draw((None, "7"))),
            lambda: notices.Ponged(draw((None, "7"))),
            lambda: notices.RoomList((notices.RoomInfo(room, 2, "x\x9by"),)),
            lambda: notices.Members(room, (nick,), names=draw(({}, {nick: "x\x9by"}))),
            lambda: notices.PersonInfo(nick, draw(("", nick)), rooms=(room, "x\x9by")),
            lambda: notices.AwaySet(nick, draw(("", "x\x9by")), own=draw((False, True))),
            lambda: notices.Presence((nick,), (), draw((False, True))),
            lambda: notices.NameSet(nick, draw(("", "x\x9by")), own=draw((False, True))),
            lambda: notices.HistoryPage(room, (self.said([]),), draw((False, True))),
            lambda: notices.SearchResults(()),
            lambda: notices.HelpText(("a\nb",)),
            lambda: notices.Announced("the disk is full"),
            lambda: notices.Diverged("e2"),
            lambda: notices.Closing("bye", draw((None, 2_000))),
        )
        weights = (6, 6, 2, 3, 2, 3, 2, 2, 2, 2, *(1,) * (len(kinds) - 10))
        return self.chance.choices(kinds, weights)[0]()

    def greeting(self, protocol: ClientProtocol) -> Notice:
        draw = self.chance.choice
        if protocol.welcome and protocol.welcome.token and draw((True, True, True, False)):
            states = tuple(
                notices.RoomState(
                    room,
                    ("ada", "bob"),
                    draw((2, 600)),
                    self.seq[room] + 2,
                    "",
                    draw((None, 4)),
                    moderators=draw(((), ("bob",))),
                )
                for room in [*protocol.rooms, self.room()][:: draw((1, 1, 2))]
            )
            nick, epoch = draw(("ada", protocol.nick)), draw(("e1", "e2"))
            return notices.Resumed(nick, states, epoch, draw((None, 0, 2)))
        window, line_bytes = draw((1, 2, 3, 64)), draw((0, 150, 300, 32_768))
        limits = notices.Limits(line_bytes, 0, 0, 0, 0, 0, 0, window)
        return notices.Welcome(
            draw(("ada", "guest-1")),
            "e1",
            token=draw(("secret", "secret", "")),
            limits=draw((limits, limits, None)),
        )


def _drawn_session(seed: int) -> dict[str, Any]:
    chance = random.Random(seed)
    lots = Lots(chance)
    recorder = Recorder(
        chance.choice(("", "", "sesame", "s\udce9same")), chance.choice(("", "", "t0ken"))
    )
    if chance.random() < 0.8:
        recorder.hello()
    if chance.random() < 0.8:
        recorder.hear(lots.greeting(recorder.protocol))
    for _ in range(STEPS):
        turn = chance.random()
        if turn < 0.35:
            recorder.ask(lots.request())
        elif turn < 0.86:
            recorder.hear(lots.notice(recorder.protocol))
        elif turn < 0.89:
            if recorder.asked:
                recorder.cancel(chance.randrange(len(recorder.asked)))
        elif turn < 0.91:
            recorder.receive(chance.choice(ODD_LINES[:8]))
        else:
            if chance.random() < 0.5:
                recorder.connection_lost()
                for _ in range(chance.randrange(4)):
                    recorder.ask(lots.request())
            elif chance.random() < 0.4:
                recorder.reload()
            recorder.hello()
            recorder.hear(lots.greeting(recorder.protocol))
    return recorder.session()


# ── Sessions with a server, and written ones ─────────────────────────────────────────────────


def _served_session(seed: int) -> dict[str, Any]:
    """A client whose connection to a real server is cut now and then, in the middle of lines."""
    chance = random.Random(seed)
    lots = Lots(chance)
    server = MemoryServer()
    server.connect(1)
    server.send(1, encode_request(events.Hello()) + encode_request(events.Join("lobby")))
    recorder = Recorder()
    conn = 2
    server.connect(conn, token=f"{seed}-{conn}")
    server.send(conn, recorder.hello())
    server.send(conn, recorder.ask(events.Nick("ada")))
    for _ in range(STEPS):
        turn = chance.random()
        if turn < 0.4:
            server.send(conn, recorder.ask(lots.request()))
        elif turn < 0.7:
            server.send(1, encode_request(events.Say("lobby", chance.choice(("tea?", "milk?")))))
        lines = server.read(conn).decode().splitlines()
        keep = len(lines) if turn < 0.9 else chance.randrange(len(lines) + 1)
        for line in lines[:keep]:
            server.send(conn, recorder.receive(line))
        if turn >= 0.9:
            recorder.connection_lost()
            server.lose(conn)
            conn += 1
            server.connect(conn, token=f"{seed}-{conn}")
            server.send(conn, recorder.hello())
    return recorder.session()


def _odd_sessions() -> list[dict[str, Any]]:
    """Each odd line before the welcome and after it; and what is easily forgotten."""
    sessions = []
    for line in ODD_LINES:
        for is_welcomed in (False, True):
            recorder = Recorder()
            recorder.hello()
            if is_welcomed:
                recorder.hear(notices.Welcome("ada", "0", token="secret"))
            recorder.receive(line)
            sessions.append(recorder.session())
    hall = Recorder()
    hall.hello()
    hall.hear(
        notices.Welcome(
            "ada", "0", token="secret", limits=notices.Limits(900, 0, 0, 0, 0, 0, 0, 9)
        ),
        notices.Entered("hall", ("ada", "bob"), 700, 0, 0),
        notices.Entered("lobby", ("ada", "cleo"), 2, 0, 0),
        notices.Gone("zoe"),
        notices.Gone("bob"),
        notices.Gone("cleo"),
        notices.Entered("den", ("ada",), 600, 0, 0),
        notices.Gone("yan"),
        *(notices.Entered(f"{number:02}{'x' * 28}", ("ada",), 1, 9, 0) for number in range(40)),
    )
    hall.hello()  # with half of the rooms, so that the line is not too long
    sessions.append(hall.session())
    out = Recorder()
    out.hello()
    out.hear(notices.Welcome("ada", "0", token="secret"), notices.Entered("den", ("ada",), 1, 0, 0))
    out.ask(events.Out("den"))
    out.hello()
    out.hear(
        notices.Resumed("ada", (), "0"),
        notices.Rejected("not-in-room", "you are not in den", "out"),
    )
    sessions.append(out.session())
    den = Recorder()
    den.hello()
    den.hear(
        notices.Welcome("ada", "0", token="secret"),
        notices.Entered("den", ("bob", "eve", "ada"), 3, 0, 0, moderators=("bob",)),
        notices.RoleSet("den", "eve", "owner", "bob"),
        notices.RoleSet("den", "bob", "member", "eve"),
        notices.RoleSet("den", "ada", "wizard", "eve"),
        notices.RoleSet("elsewhere", "ada", "moderator", "eve"),
        notices.Renamed("eve", "zoe"),
        notices.Left("den", "zoe"),
    )
    sessions.append(den.session())
    kick = Recorder()
    kick.hello()
    kick.hear(notices.Welcome("ada", "0", token="secret"))
    kick.ask(events.Kick("", "bob", server=True))
    kick.ask(events.Away("tea time"))
    kick.ask(events.SetName("Ada Lovelace"))
    kick.hear(
        notices.Left("den", "eve", by="ada", at=1),  # on another device
        notices.Expelled("bob", "ada", 1),
        notices.AwaySet("bob", "tea time"),
        notices.AwaySet("ada", own=True),  # on another device, too
        notices.AwaySet("ada", "tea time", own=True),
        notices.NameSet("bob", "Bob"),
        notices.NameSet("ada", own=True),  # on another device, too
        notices.NameSet("ada", "Ada Lovelace", own=True),
        notices.Members("hall", ("__proto__",), names={"__proto__": "x\x9by"}, users={"a\nb": "c"}),
    )
    sessions.append(kick.session())
    return [*sessions, *(_lost_session(is_told=is_told) for is_told in (True, False))]


def _lost_session(*, is_told: bool) -> dict[str, Any]:
    """What had been seen is lost; the connection breaks after that was told, or before."""
    recorder = Recorder()

    def resume(common: int | None) -> None:
        recorder.hello()
        recorder.hear(
            notices.Resumed("ada", (notices.RoomState("den", (), 1, 7, "", common),), "1", common)
        )

    recorder.hello()
    recorder.hear(
        notices.Welcome("ada", "0", token="secret"),
        notices.Entered("den", ("ada",), 1, 5, 0),
        notices.Told("bob", "psst", 5, 0),
    )
    resume(common=2)
    if is_told:
        recorder.hear(notices.Gap("den", 3), notices.Gap("", 3))
    resume(common=None)
    return recorder.session()


def _reconnects() -> list[dict[str, Any]]:
    recorded = []
    for seed in range(60):
        chance = random.Random(seed)
        patience = chance.choice((math.inf, 60_000, 5_000, 0))
        reconnect, now = Reconnect(patience), 0.0
        steps: list[dict[str, Any]] = []
        for _ in range(25):
            now += chance.choice((0, 10, 500, 9_999, 10_000, 20_000))
            if chance.random() < 0.3:
                reconnect.session_opened(now=now)
                steps.append({"opened": True, "now": now})
                continue
            retry = chance.choice((None, -5, 0, 10, 2_000, 10**12))
            closing = notices.Closing("x", retry) if chance.random() < 0.3 else None
            spread = chance.choice((0, 0.25, 0.5, 1))
            wait = reconnect.connection_lost(closing, now=now, spread=spread)
            said = closing and {"reason": "x", "retry": closing.retry}
            steps.append({"closing": said, "now": now, "spread": spread, "wait": wait})
        shown = None if patience == math.inf else patience
        recorded.append({"give_up_after_ms": shown, "steps": steps})
    return recorded


# ── Texts ────────────────────────────────────────────────────────────────────────────────────

_TYPED: Final = (
    "", "  ", "hello", " /x", "//help", "/", "/join lobby", "/JOIN #lobby", "/join", "/join a b",
    "/nick ada ", "/out", "/out den", "/part a  b c ", "/away", "/away  x y", "/name", "/name  x y", "/quit tea time", "/exit", "/rooms", "/list x",
    "/who", "/names den", "/msg ada psst  psst", "/msg ada", "/msg  ada", "/tell ada  x ", "/me waves",
    "/me", "/topic", "/topic tea at four", "/history", "/history 50", "/history 0", "/history x",
    "/history 1_0", "/history 1234567", "/search tea", "/search", "/search tea from ada since 2026-01-31",
    "/find in in lobby", "/search tea IN lobby in den", "/search tea since 2026-02-30", "/search in",
    "/search x since 20260131", "/help", "/help msg", "/help a b", "/jion lobby", "/mgs", "/zzz", "/qut", "/q", "/hi", "/op a", "/QUERY a", "/quer", "/win", "/bogus", "/buf",
    "/hlep", "/__proto__", "/constructor", "/toString x", "/?", "/serach tea", "/romos", "/nicks", "/topci",
    "/" + "x" * 40, "/\x1b[2J", "/me\twaves", "/msg\tada x",
    "/kick bob", "/kick", "/kick bob  be  quiet", "/mute bob", "/mute bob 10m", "/mute bob 90S  be quiet",
    "/ban bob 1d spam", "/ban bob 10 times", "/ban bob 0m", "/ban  bob", "/ban bob 1234567s", "/unmute bob",
    "/unban bob x", "/bans", "/mutes", "/bans x", "/mod bob", "/unmod bob", "/mod", "/mute bob ٣m",
    "/join den code", "/join a b c", "/slow 5s", "/slow off", "/slow OFF", "/slow", "/slow 5", "/moderated on",
    "/moderated Off", "/moderated", "/unlisted on", "/topiclock on", "/topiclock", "/private on", "/private x", "/invite", "/invite bob", "/invite a b",
    "/redact", "/redact bob", "/redact a b",
    "/kick bob --server", "/kick --server bob  be  quiet", "/kick --server", "/kick bob --servers", "/kick bob --server x",
    "/kick  --server", "/kick bob --server  be  quiet", "/kick bob a --server b --server c", "/mute bob 10m --server spam", "/mute bob 10m --server", "/mute --server bob spam", "/ban bob 1d spam --server", "/ban --server --server",
    "/unban bob --server", "/unmute --server bob", "/unban --server", "/unban a b --server", "/bans --server", "/mutes --server",
    "/bans --server x", "/bans x --server", "/bans --Server", "/own bob", "/own", "/keep", "/keep on", "/keep OFF", "/keep x",
    "/secret teapot", "/secret OFF", "/secret", "/secret a b", "/claim", "/claim a1b2c", "/claim a1b2c  my phone ", "/login",
    "/login t0ken", "/login ada correct horse", "/login  ada", "/password", "/password off", "/password OFF ",
    "/password correct  horse", "/device", "/device x", "/devices", "/devices x", "/revoke", "/revoke 2", "/revoke x",
    "/revoke 0", "/audit", "/audit 50", "/audit x", "/audt", "/cliam x",
)  # fmt: skip


_AT: Final = 1_767_225_600_000

# What the page tells in the words of the plain dialect.
_TOLD: Final[tuple[Notice, ...]] = (
    *(
        notices.Restricted(room, "bob", what, _AT + 90_000, "ada", _AT, reason, own=own)
        for room in ("lobby", "")
        for what in ("ban", "mute", "other")
        for reason, own in (("", False), ("spam", True))
    ),
    *(
        notices.Lifted(room, "bob", what, "ada", own=own)
        for room in ("lobby", "")
        for what, own in (("ban", False), ("mute", True))
    ),
    *(
        notices.RoleSet("lobby", "bob", role, "ada")
        for role in ("owner", "moderator", "member", "x")
    ),
    notices.ModeSet("lobby", ""),
    notices.ModeSet("lobby", "ada", 5_000, moderated=True, private=True, kept=True),
    notices.ModeSet("lobby", "ada", kept=True),
    notices.ModeSet("lobby", "ada", topic_locked=True),
    notices.ModeSet("lobby", "ada", private=True, unlisted=True, kept=True),
    notices.Expelled("bob", "ada", _AT),
    notices.Expelled("bob", "ada", _AT, "spam", _AT + 86_400_000),
    notices.Invited("lobby", "ada", _AT + 3_600_000, _AT, "bob"),
    notices.Invited("lobby", "ada", _AT + 3_600_001, _AT, code="c0de"),
    notices.Left("lobby", "bob", by="ada", at=_AT),
    notices.Left("lobby", "bob", own=True, by="ada", reason="spam", at=_AT, until=_AT + 7_200_000),
    notices.Claimed("ada", 2),
    notices.Claimed("ada", 1, admin=True),
    notices.AccountSet("ada", "ada"),
    notices.PasswordSet("ada"),
    notices.PasswordSet("ada", is_set=False),
    notices.Offered("ada", _AT + 600_000, _AT, "c0de"),
    notices.Revoked(2),
    notices.Members("lobby", ("ada", "bob")),
    notices.Members("lobby", ("ada", "bob"), ("ada",), ("eve", "ada")),
    notices.Members(
        "lobby", ("ada", "bob"), (), (), 5_000, moderated=True, private=True, kept=True
    ),
    notices.AwaySet("ada", "tea time"),
    notices.AwaySet("ada"),
    notices.AwaySet("ada", "tea time", own=True),
    notices.AwaySet("ada", own=True),
    notices.NameSet("ada", "Ada Lovelace"),
    notices.NameSet("ada"),
    notices.NameSet("ada", "Ada Lovelace", own=True),
    notices.NameSet("ada", own=True),
    notices.PersonInfo("ada", away="tea time"),
    notices.PersonInfo("ada", away="tea time", name="Ada Lovelace", user="ada"),
    notices.Members("lobby", ("ada", "bob"), away=("bob",)),
    notices.PersonInfo("ada"),
    notices.PersonInfo("ada", "ada", admin=True, rooms=("lobby", "den"), lost=True),
    notices.RestrictionList("lobby", (), _AT),
    notices.RestrictionList("", (), _AT),
    *(
        notices.RestrictionList(
            room,
            (
                notices.RestrictionInfo("bob", "ban", _AT + 60_000, "ada", "spam"),
                notices.RestrictionInfo("eve", "mute", _AT + 60_001, "ada"),
            ),
            _AT,
        )
        for room in ("lobby", "")
    ),
    notices.ActList(()),
    notices.ActList(
        (
            notices.Act(_AT, "", "invite", nick="bob"),
            notices.Act(_AT, "ada", "ban", "lobby", "bob", _AT + 86_400_000, "spam"),
            notices.Act(_AT, "ada", "mode", "lobby"),
        )
    ),
    notices.DeviceList(
        "ada",
        (
            notices.DeviceInfo(1, _AT),
            notices.DeviceInfo(2, _AT, "phone", here=True),
            notices.DeviceInfo(3, _AT, here=True, own=True),
        ),
    ),
)


def _told(notice: Notice) -> list[str]:
    lines = [line.removeprefix("* ") for line in PLAIN.encode(notice).decode().splitlines()]
    return [line[0].lower() + line[1:] for line in lines]


def _texts() -> dict[str, Any]:
    def typed(line: str) -> dict[str, Any] | None:
        asked = parse_line(line)
        if asked is None:
            return None
        fields = _notice(asked) if isinstance(asked, Rejected) else _request_argument(asked)
        return {
            key: value
            for key, value in fields.items()
            if value not in ("", None)
            and not (key in ("emote", "notice", "latest") and value is False)
            and not (asked.__struct_config__.tag == "history" and key == "limit" and value == 20)
            and not (asked.__struct_config__.tag == "search" and key == "limit")
            and not (asked.__struct_config__.tag == "redact" and key == "seq")
            and not (key == "back" and value == 0)
            and not (line == "/audit" and key == "limit")
            and not (key == "server" and value is False)
        }

    chance = random.Random(7)
    letters = [*range(0x21, 0x250), *range(0x370, 0x600), *range(0x5D0, 0x5EB)]
    letters += [*range(0x620, 0x700), *range(0x4E00, 0x4E80), *range(0xAC00, 0xAC40)]
    drawn = [
        "".join(chr(chance.choice(letters)) for _ in range(chance.randrange(1, 5)))
        for _ in range(3_000)
    ]
    nicks = [
        each.text
        for text in (*NICKS, "Ada", "Иван", "ÆON", "æon", *drawn)
        if isinstance(each := nick_name(text), Name)
    ]
    commands = [name for command in COMMANDS for name in command.names]
    return {
        "local": [
            {"names": [each.name], "usage": each.usage, "summary": each.summary, "example": each.example}
            for each in LOCAL
        ],
        "sanitized": [[text, sanitize(text), replace_surrogates(text)] for text in (
            *(text for text in TEXTS if text != "\ud83d\ude00"), *("a" + chr(code) + "b" for code in
                      (*range(0xA1), *range(0x2000, 0x2070), *range(0xFEF0, 0xFF10), 0xFFF9, 0xFFFD,
                       0xD800, 0xDFFF, 0xE0001, 0x1F600, 0xAD, 0x61C, 0x180E)))],
        "typed": [[line, typed(line)] for line in _TYPED],
        "help": [
            [word, [*told] if isinstance(told := help_lines(word), tuple)
             else {"type": "rejected", "reason": told.reason, "text": told.text, "request": ""}]
            for word in (*commands, "/msg", "nix", "joni")
        ],
        "nicks": [[nick, nick_key(nick), int(nick_style(nick).rpartition(".")[2])] for nick in nicks],
        "completed": _completed(),
        "recalled": [[line, without_secrets(line)] for line in
                     ("/claim a1b2c-3d4e5 phone", "/LOGIN 5f0c", "/login ada correct horse", "/login",
                      "/password correct horse", "/secret teapot", "/join den a1b2c", "/room  den a1b2c",
                      "/join", "/msg bob /claim it", "//claim it", "claim it", "/constructor a b", "/")],
        "told": [[_notice(each), _told(each)] for each in _TOLD],
        "mentions": [
            [text, me, _renderer(me).mentions_me(text)]
            for me in ("ada", "a.b", "x-y", "иван", "c+", "")
            for text in ("ada", "Ada: tea?", "adam", "_ada", "ада", "axb", "a.b!", "x-y", "xx-y", "hi Иван,",
                         "иванов", "c++", "c+ rocks", "(ada)", "ada's", "ad")
        ],
    }  # fmt: skip


def _renderer(me: str) -> Renderer:
    renderer = Renderer()
    renderer.me = me
    return renderer


def _completed() -> list[list[Any]]:
    from prompt_toolkit.completion import CompleteEvent
    from prompt_toolkit.document import Document

    nicks, rooms = ["ada", "Adam", "bob", "__proto__"], ["lobby", "lounge", "__proto__"]
    ignored = ["troll", "Trinny"]
    completer = ChatCompleter(lambda: nicks, lambda: rooms, lambda: ignored)
    shared = {*(command.names[0] for command in COMMANDS), *(each.name for each in LOCAL)}
    found = []
    for before in ("", "a", "A", "hi a", "hi ", "/msg ", "/msg b", "/msg ada ", "/join lo", "/join ",
                   "/who l", "/search tea in ", "/search tea in l", "/find x from a", "/nick a",
                   "_", "zzz", "hello ad", "/j", "/", "/h", "/ignore ", "/ignore b", "/unignore tr", "/unignore a", "/help m", "/me b", "/join a b", "/ban b", "/unmod ",
                   "/own b", "/kick -", "/kick --server b", "/kick bob -", "/kick bob spam for b",
                   "/unban bob ", "/unban bob --server ", "/mute bob 10m --s", "/ban --server bob -",
                   "/mod bob -", "/bans ", "/mutes --", "/bans --server ", "/keep ", "/keep of",
                   "/keep on ", "/slow o", "/slow  o", "/topic a", "/msg  b", "/names lo", "/leave lo",
                   "/claim b", "/login a", "/SECRET ", "/devices a", "/nonsense a", "/constructor a",
                   "/search tea constructor a", "/search tea valueOf "):  # fmt: skip
        whole = [
            before[: len(before) + each.start_position] + each.text
            for each in completer.get_completions(Document(before), CompleteEvent())
        ]
        # The terminal's client has commands that the page has not.
        if before.startswith("/") and " " not in before:
            whole = [text for text in whole if text.strip(" /") in shared]
        if before.startswith("/help"):
            whole = [text for text in whole if text.split()[-1] in shared]
        found.append([before, nicks, rooms, ignored, whole])
    return found


def recording() -> dict[str, Any]:
    """All of it."""
    sessions = [_drawn_session(seed) for seed in range(SESSIONS)]
    sessions += [_served_session(seed) for seed in range(SESSIONS // 5)]
    sessions += _odd_sessions()
    return {"sessions": sessions, "reconnects": _reconnects(), "texts": _texts()}
