"""Passwords of accounts, and codes: when one may be tried, and what has to be done with it.

A password is made a hash of outside, in a way that takes its time (`Derive`); meanwhile its
connection waits. Neither the state nor the log ever sees one.

Rule 1: Whether there is such an account cannot be told from the time that an answer takes, nor from
        the answer.

Rule 2: After a wrong one, no other is taken for a while: from the same address, as for the password
        of a server; and for the same account, wherever it comes from, but never for long, so that
        nobody can keep an owner out.

        A wrong code or secret counts as a wrong password does, for its address.

Rule 3: No password is taken where others could read along.
"""

from __future__ import annotations

from itertools import count
from typing import Final

from tcpchat_core import events
from tcpchat_core.durations import shown_duration
from tcpchat_core.effects import Derive
from tcpchat_core.notices import Rejected
from tcpchat_core.server.access import (
    MAX_PASSWORD_DELAY_MS,
    MAX_PASSWORD_PEERS,
    PASSWORD_DELAY_MS,
    Failures,
)
from tcpchat_core.server.connection import Connection, Deriving
from tcpchat_core.state import ChatState
from tcpchat_core.state.accounts import password_proof
from tcpchat_core.state.refusals import WRONG_PASSWORD

# How long an account waits after a wrong password, at most: 17,000 tries a day, from everywhere.
MAX_ACCOUNT_DELAY_MS: Final = 5_000


class Passwords:
    """Passwords on their way. `nobodys` is the hash of one that nobody has, "" where passwords are
    not served. Times are milliseconds of the server's `now`.
    """

    def __init__(self, state: ChatState, nobodys: str) -> None:
        self._state = state
        self._nobodys = nobodys
        self._tickets = count(1)
        self._by_peer = Failures(PASSWORD_DELAY_MS, MAX_PASSWORD_DELAY_MS, MAX_PASSWORD_PEERS)
        self._by_account = Failures(PASSWORD_DELAY_MS, MAX_ACCOUNT_DELAY_MS, MAX_PASSWORD_PEERS)

    def begin(
        self, connection: Connection, event: events.Login | events.Password, now: int
    ) -> Derive | Rejected:
        """What to do with a password that was said, or why nothing is."""
        request = str(event.__struct_config__.tag)
        if not self._nobodys:
            return Rejected("unavailable", "this server has no passwords", request)
        if not connection.is_safe:
            text = "others could read it on the way: say a password only where there is TLS"
            return Rejected("unavailable", text, request)
        key = against = ""
        if isinstance(event, events.Login):
            key = event.account
            tries_at = max(self._by_peer.next_at(connection.peer), self._by_account.next_at(key))
            if tries_at > now:
                return _too_fast(tries_at - now, request)
            account = self._state.account(key)
            against = (account.password if account else "") or self._nobodys
        ticket = next(self._tickets)
        connection.deriving = Deriving(ticket, key, against)
        return Derive(connection.conn, ticket, event.password, against)

    def may_try(self, connection: Connection, request: str, now: int) -> Rejected | None:
        """Why a code may not be tried now; None when it may."""
        wait_ms = self._by_peer.next_at(connection.peer) - now
        return _too_fast(wait_ms, request) if wait_ms > 0 else None

    def tried(self, connection: Connection, *, is_right: bool, now: int) -> None:
        """A code was tried."""
        if is_right:
            self._by_peer.forget(connection.peer)
        else:
            self._by_peer.add(connection.peer, now)

    def end(
        self, connection: Connection, made: str | None, now: int
    ) -> events.LoggedIn | events.Password | Rejected:
        """What comes of it."""
        deriving = connection.deriving
        assert deriving is not None, "something was to be made of a password"
        connection.deriving = None
        _, key, against = deriving
        request = "login" if key else "password"
        if made is None:
            text = "too many passwords are said at once; try again"
            return Rejected("unavailable", text, request)
        if not key:
            return events.Password(made)
        if made and made != self._nobodys:
            self._by_peer.forget(connection.peer)
            self._by_account.forget(key)
            return events.LoggedIn(key, password_proof(against))
        self._by_peer.add(connection.peer, now)
        self._by_account.add(key, now)
        return Rejected("wrong-password", WRONG_PASSWORD, "login")


def _too_fast(wait_ms: int, request: str) -> Rejected:
    text = f"the last one was wrong; try again in {shown_duration(wait_ms)}"
    return Rejected("too-fast", text, request)
