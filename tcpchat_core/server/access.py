"""Who may talk: one password for a whole server, how often it may be guessed, and the sessions."""

from __future__ import annotations

import hashlib
import hmac
import unicodedata
from typing import Final

from tcpchat_core.server.connection import Connection

# After a wrong password its address has to wait, with every connection: a second, then two, four,
# … at most half a minute. A person who mistypes hardly notices; a guesser has 2,900 tries a day.
PASSWORD_DELAY_MS: Final = 1_000
MAX_PASSWORD_DELAY_MS: Final = 30_000

# After that many wrong passwords a connection ends.
MAX_PASSWORD_FAILURES: Final = 3

# Addresses whose failures are remembered; beyond it the oldest is forgotten.
MAX_PASSWORD_PEERS: Final = 4_096

# Of each the last so many: more make no wait longer.
_FAILURES: Final = 6


class Failures:
    """Who has failed how often in a row, at what, and when each may try again: after the first time
    in `first_ms`, then twice as long each time, at most `longest_ms`. Of so many it is remembered.

    To be right takes back only what was wrong of the same: who guesses at what is another's gets no
    further by showing in between that it knows something of its own.
    """

    def __init__(self, first_ms: int, longest_ms: int, most: int) -> None:
        self._first_ms, self._longest_ms, self._most = first_ms, longest_ms, most
        self._failures: dict[str, tuple[tuple[str, ...], int]] = {}

    def next_at(self, who: str) -> int:
        """When somebody may try again; 0 when it need not wait."""
        return self._failures.get(who, ((), 0))[1]

    def has_failed(self, who: str) -> bool:
        """Whether it was wrong, and has not been right since."""
        return who in self._failures

    def add(self, who: str, what: str, now: int) -> None:
        """It was wrong."""
        earlier, _ = self._failures.pop(who, ((), 0))
        failed = (*earlier, what)[-_FAILURES:]
        delay = min(self._first_ms << (len(failed) - 1), self._longest_ms)
        self._failures[who] = (failed, now + delay)
        if len(self._failures) > self._most:
            del self._failures[next(iter(self._failures))]

    def forget(self, who: str, what: str) -> None:
        """It was right."""
        failed, next_at = self._failures.get(who, ((), 0))
        if others := tuple([each for each in failed if each != what]):
            self._failures[who] = (others, next_at)
        else:
            self._failures.pop(who, None)


class Access:
    """The server's password; "" lets everybody in. Times are milliseconds of the server's `now`."""

    def __init__(self, password: str) -> None:
        self.configure(password)
        self._failures = Failures(PASSWORD_DELAY_MS, MAX_PASSWORD_DELAY_MS, MAX_PASSWORD_PEERS)

    def configure(self, password: str) -> None:
        """Another password is the right one from now on."""
        self._password = password.encode()

    @property
    def is_open(self) -> bool:
        """Whether no password is needed."""
        return not self._password

    def next_try_at(self, connection: Connection) -> int:
        """When a connection may try the next one; 0 when it need not wait."""
        return self._failures.next_at(connection.peer)

    def admits(self, connection: Connection, password: bytes, now: int) -> bool:
        """Try a password, in a time that tells nothing of it. A wrong one is counted. Who was asked
        when there was one, and answers when there is none any more, may give any.
        """
        peer = connection.peer
        if self.is_open or hmac.compare_digest(password, self._password):
            self._failures.forget(peer, "")
            connection.is_admitted = True
            return True
        connection.failures += 1
        self._failures.add(peer, "", now)
        return False


def session_of(token: str) -> str:
    """What the state knows a session by: it never sees the token itself."""
    return hashlib.sha256(token.encode()).hexdigest()


def new_code(token: str, number: int) -> str:
    """A code by which whoever has it comes into a private room, or comes to an account: 80 bits,
    for a terminal.

    `token` is the secret of a connection, `number` one that it has not used for this.
    """
    word = hmac.digest(token.encode(), f"code {number}".encode(), "sha256").hex()
    return "-".join((word[:5], word[5:10], word[10:15], word[15:20]))


def device_token(token: str, number: int) -> str:
    """The token of a device: 256 bits, of which the connection's secret has 128. As `new_code`."""
    return hmac.digest(token.encode(), f"device {number}".encode(), "sha256").hex()


def code_hash(code: str) -> str:
    """What the state knows a code by: however it was typed, and never the code itself."""
    plain = unicodedata.normalize("NFC", code.lower().replace("-", ""))
    return hashlib.sha256(plain.encode("utf-8", "replace")).hexdigest()
