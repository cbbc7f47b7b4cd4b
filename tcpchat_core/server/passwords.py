"""Passwords of accounts, and codes: when one may be tried, and what has to be done with it.

A password is made a hash of outside, in a way that takes its time (`Derive`); meanwhile its
connection waits. Neither the state nor the log ever sees one.

Rule 1: Whether there is such an account cannot be told from the time that an answer takes, nor from
        the answer.

Rule 2: After a wrong one, no other is taken for a while: from the same address, as for the password
        of a server; and for the same account, wherever it comes from, but never for long, so that
        nobody can keep an owner out.

        A wrong code or secret counts as a wrong password does, for its address.

Rule 3: To try many at once is of no use. Whether one is right is known later; until then no other
        is taken, where one was wrong before, and elsewhere only so many.

Rule 4: No password is taken where others could read along.
"""

from __future__ import annotations

from collections import Counter
from itertools import count
from typing import Final, NamedTuple

from tcpchat_core import events
from tcpchat_core.durations import shown_duration
from tcpchat_core.effects import Derive
from tcpchat_core.events import Event
from tcpchat_core.notices import Claimed, Rejected
from tcpchat_core.server.access import (
    MAX_PASSWORD_DELAY_MS,
    MAX_PASSWORD_PEERS,
    PASSWORD_DELAY_MS,
    Failures,
)
from tcpchat_core.server.connection import Connection, Deriving
from tcpchat_core.state import ChatState
from tcpchat_core.state.accounts import password_proof
from tcpchat_core.state.refusals import UNKNOWN_DEVICE, WRONG_PASSWORD

# How long an account waits after a wrong password, at most: 17,000 tries a day, from everywhere.
MAX_ACCOUNT_DELAY_MS: Final = 5_000

# How many may be tried at once from one address: a class that comes in. It is a good third of the
# passwords that `tcpchat_net` lets wait.
MAX_AT_ONCE: Final = 48

# How many for one account: a few devices, a few lines of a script.
MAX_ACCOUNT_AT_ONCE: Final = 8


class _Tries:
    """What is tried of whom, and how often it was wrong: one rule for addresses and for accounts.
    Times are milliseconds of the server's `now`.
    """

    def __init__(self, longest_ms: int, at_once: int) -> None:
        self._failures = Failures(PASSWORD_DELAY_MS, longest_ms, MAX_PASSWORD_PEERS)
        self._at_once = at_once
        self._pending: Counter[str] = Counter()

    def why_not(self, who: str, now: int) -> str:
        """Why nothing may be tried now; "" when something may be."""
        if (wait_ms := self._failures.next_at(who) - now) > 0:
            return f"the last one was wrong; try again in {shown_duration(wait_ms)}"
        most = 1 if self._failures.has_failed(who) else self._at_once
        return "" if self._pending[who] < most else "others are being tried; try again"

    def begin(self, who: str) -> None:
        """Something is tried."""
        self._pending[who] += 1

    def end(self, who: str, what: str, is_right: bool | None, now: int) -> None:
        """It was right or wrong, or (None) nothing was found out."""
        self._pending[who] -= 1
        if not self._pending[who]:
            del self._pending[who]
        if is_right:
            self._failures.forget(who, what)
        elif is_right is not None:
            self._failures.add(who, what, now)


class _Try(NamedTuple):
    """A password on its way: from which address, and for which account, "" when one is set."""

    peer: str
    key: str


class Passwords:
    """Passwords on their way. `nobodys` is the hash of one that nobody has, "" where passwords are
    not served. Times are milliseconds of the server's `now`.
    """

    def __init__(self, state: ChatState, nobodys: str) -> None:
        self._state = state
        self._nobodys = nobodys
        self._tickets = count(1)
        self._pending: dict[int, _Try] = {}  # by ticket
        self._by_peer = _Tries(MAX_PASSWORD_DELAY_MS, MAX_AT_ONCE)
        self._by_account = _Tries(MAX_ACCOUNT_DELAY_MS, MAX_ACCOUNT_AT_ONCE)

    # ── Passwords ────────────────────────────────────────────────────────────────────────────

    def begin(
        self,
        connection: Connection,
        event: events.Login | events.Password,
        request: object,
        now: int,
        *,
        only_proves: bool = False,
    ) -> Derive | Rejected:
        """What to do with a password that was said, or why nothing is."""
        tag = _tag(event)
        if not self._nobodys:
            return Rejected("unavailable", "this server has no passwords", tag)
        if not connection.is_safe:
            text = "others could read it on the way: say a password only where there is TLS"
            return Rejected("unavailable", text, tag)
        key = against = ""
        session = None
        why_not = self._by_peer.why_not(connection.peer, now)
        if isinstance(event, events.Login):
            key, session = event.account, event.session
            why_not = why_not or self._by_account.why_not(key, now)
            account = self._state.account(key)
            against = (account.password if account else "") or self._nobodys
        if why_not:
            return Rejected("too-fast", why_not, tag)
        ticket = next(self._tickets)
        self._pending[ticket] = _Try(connection.peer, key)
        self._by_peer.begin(connection.peer)
        if key:
            self._by_account.begin(key)
        connection.deriving = Deriving(ticket, key, against, request, session, only_proves)
        return Derive(connection.conn, ticket, event.password, against)

    def derived(self, ticket: int, made: str | None, now: int) -> None:
        """Something was made of a password, or nothing; it counts also where nobody waits."""
        tried = self._pending.pop(ticket, None)
        if tried is None:
            return
        peer, key = tried
        if not key:
            self._by_peer.end(peer, "", None, now)
            return
        is_right = None if made is None else self._is_right(made)
        self._by_peer.end(peer, f"password {key}", is_right, now)
        self._by_account.end(key, "", is_right, now)

    def end(self, connection: Connection, made: str | None) -> Event | Rejected:
        """What comes of it."""
        deriving = connection.deriving
        assert deriving is not None, "something was to be made of a password"
        connection.deriving = None
        key, against = deriving.key, deriving.against
        if made is None:
            text = "too many passwords are said at once; try again"
            return Rejected("unavailable", text, "login" if key else "password")
        if not key:
            return events.Password(made)
        if self._is_right(made):
            return events.LoggedIn(key, password_proof(against), deriving.session)
        return Rejected("wrong-password", WRONG_PASSWORD, "login")

    def proven(self, event: events.LoggedIn | events.Login) -> Claimed | Rejected:
        """What tells whether a log-in would be right now."""
        device = event.device if isinstance(event, events.Login) else ""
        account = self._state.whose(event)
        if account is None and device:
            return Rejected("unknown-device", UNKNOWN_DEVICE, "login")
        if account is None:
            return Rejected("wrong-password", WRONG_PASSWORD, "login")
        number = account.devices[device].number if device else 0
        return Claimed(account.nick, number, account.is_admin)

    def _is_right(self, made: str) -> bool:
        return made not in ("", self._nobodys)

    # ── Codes ────────────────────────────────────────────────────────────────────────────────

    def may_not_try(self, connection: Connection, event: Event, now: int) -> Rejected | None:
        """Why the code of an event may not be tried now; None when it may."""
        why_not = self._by_peer.why_not(connection.peer, now)
        return Rejected("too-fast", why_not, _tag(event)) if why_not else None

    def prove(self, connection: Connection, event: events.Login, now: int) -> Claimed | Rejected:
        """Whether the token of a device is one; it counts as one that was tried."""
        if refused := self.may_not_try(connection, event, now):
            return refused
        found = self.proven(event)
        self._by_peer.begin(connection.peer)
        self._by_peer.end(connection.peer, _guess(event), isinstance(found, Claimed), now)
        return found

    def proposed(self, connection: Connection, event: Event) -> None:
        """The last event of a connection was proposed."""
        if what := _guess(event):
            connection.guesses[connection.proposed] = what
            self._by_peer.begin(connection.peer)

    def committed(
        self, connection: Connection, number: int, is_right: bool | None, now: int
    ) -> None:
        """What came of an event: if its code was right or wrong."""
        if what := connection.guesses.pop(number, ""):
            self._by_peer.end(connection.peer, what, is_right, now)

    def forget(self, connection: Connection) -> None:
        """Nothing of a connection is tried any more: it is over."""
        for what in connection.guesses.values():
            self._by_peer.end(connection.peer, what, None, 0)


def _guess(event: Event) -> str:
    """At what a code is tried by an event; "" when it has none."""
    match event:
        case events.Join(key=key, code=code) if code:
            return f"join {key}"
        case events.Claim():
            return "claim"
        case events.Login(device=device) if device:
            return "login"
        case _:
            return ""


def _tag(event: Event) -> str:
    return str(event.__struct_config__.tag)
