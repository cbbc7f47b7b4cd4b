"""A server in memory that plays the conversations of the documentation.

A conversation is a code block of lines `ada> what ada sends` and `ada< what ada is shown`. A line
`ada!` cuts ada's connection. Whoever has none connects with the next line that they send. In a
shown line `…` stands for anything.
"""

from __future__ import annotations

import hashlib
import re

from tcpchat_core import (
    Broadcast,
    ChatState,
    Close,
    Derive,
    Effect,
    Enter,
    Leave,
    Pause,
    Propose,
    Resume,
    Send,
    ServerProtocol,
    StateLimits,
    Stream,
    events,
)
from tcpchat_core.server.access import code_hash

AT = 1_767_225_600_000  # 2026-01-01, so that the pages can show times

# Few, so that a page can show a gap.
HISTORY = 3

PASSWORD = "open sesame"

# The accounts of the pages: their codes, and whether they look after the server.
ACCOUNTS = {
    "zoe": ("a1b2c-3d4e5-f6071-82930", False),
    "ivy": ("0a1b2-c3d4e-5f607-18293", True),
}

NOBODYS_PASSWORD = "made of a password that nobody has"


class ChatRoom:
    """People by name; each is shown what the server sends to their connection."""

    def __init__(self, password: str = "") -> None:
        state = ChatState(epoch="e1", limits=StateLimits(history_messages=HISTORY))
        self._server = ServerProtocol(state, password=password, nobodys_password=NOBODYS_PASSWORD)
        self._seq = 0
        self._last_conn = 0
        self._now = 0
        self._conns: dict[str, int] = {}
        self._paused: set[int] = set()
        self._shown: dict[int, bytes] = {}

    def send(self, name: str, line: str) -> dict[str, list[str]]:
        """Send a line as somebody; return who is shown what."""
        if name not in self._conns:
            self._last_conn += 1
            self._conns[name] = self._last_conn
            # A secret that the pages can show.
            token = hashlib.sha256(str(self._last_conn).encode()).hexdigest()[:32]
            self._carry_out(
                self._server.connection_made(self._last_conn, now=self._now, token=token)
            )
        conn = self._conns[name]
        self._carry_out(self._server.receive_data(conn, f"{line}\n".encode(), now=self._now))
        while conn in self._paused:
            due = self._server.get_timer()
            assert due is not None
            self._now = due
            self._carry_out(self._server.handle_timer(due))
        return self._told()

    def cut(self, name: str) -> dict[str, list[str]]:
        """Cut somebody's connection; return who is shown what."""
        self._carry_out(self._server.connection_lost(self._conns.pop(name), now=self._now))
        return self._told()

    def make_account(self, nick: str) -> None:
        """Do what the owner of the server does for one of the accounts of the pages."""
        code, admin = ACCOUNTS[nick]
        grant = events.Grant(nick, nick, code_hash(code), admin or None)
        self._carry_out([Propose(0, 0, (grant,))])

    def _told(self) -> dict[str, list[str]]:
        return {
            name: self._shown.pop(conn).decode().splitlines()
            for name, conn in self._conns.items()
            if conn in self._shown
        }

    def _carry_out(self, effects: list[Effect]) -> None:
        for effect in effects:  # it grows: what a commit brings about comes last
            match effect:
                case Propose():
                    entries = effect.entries(self._seq + 1, AT)
                    self._seq += len(entries)
                    effects += self._server.commit(entries, now=self._now)
                case Send(conn, data):
                    self._show(conn, data)
                case Stream(conn, pieces):
                    self._show(conn, b"".join(pieces))
                case Broadcast(_, data, author, receipt):
                    for conn in effect.conns():
                        self._show(conn, (receipt or b"") if conn == author else data)
                case Enter(audience, conn):
                    audience.add(conn)
                case Leave(audience, conn):
                    audience.discard(conn)
                case Derive(conn, ticket, said, against):
                    made = f"made of {said}"
                    if against:
                        made = against if against == made else ""
                    effects += self._server.derived(conn, ticket, made, now=self._now)
                case Pause(conn):
                    self._paused.add(conn)
                case Resume(conn):
                    self._paused.discard(conn)
                case Close():
                    pass

    def _show(self, conn: int, data: bytes) -> None:
        if data:
            self._shown[conn] = self._shown.get(conn, b"") + data


def room_of_the_pages(password: str = "") -> ChatRoom:
    """ada and bob are in lobby, eve is in no room; all three with the plain dialect. zoe and ivy
    have accounts.
    """
    room = ChatRoom(password)
    for name in ("ada", "bob", "eve"):
        if password:
            room.send(name, password)
        room.send(name, f"/nick {name}")
    for name in ("ada", "bob"):
        room.send(name, "/join lobby")
    for nick in ACCOUNTS:
        room.make_account(nick)
    return room


def play(conversation: str, password: str = "") -> None:
    """Hold a conversation, and check that the server shows what the page shows."""
    room = room_of_the_pages(password)
    steps = re.split(r"^(?=\w+(?:> |!$))", conversation, flags=re.MULTILINE)
    assert not steps[0], f"a conversation begins with a line `name> …`, not with {steps[0]!r}"
    for step in steps[1:]:
        first, *rest = step.splitlines()
        name, sends, line = first.partition("> ")
        expected: dict[str, list[str]] = {}
        for shown in rest:
            who, _, text = shown.partition("< ")
            expected.setdefault(who, []).append(text)
        actual = room.send(name, line) if sends else room.cut(name.removesuffix("!"))
        assert _matches(expected, actual), (
            f"after `{first}` the page shows {expected}, the server {actual}"
        )


def _matches(expected: dict[str, list[str]], actual: dict[str, list[str]]) -> bool:
    return expected.keys() == actual.keys() and all(
        re.fullmatch("\n".join(map(_pattern, expected[who])), "\n".join(actual[who]))
        for who in expected
    )


def _pattern(line: str) -> str:
    return ".*".join(map(re.escape, line.split("…")))
