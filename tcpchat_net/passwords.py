"""Hashes of passwords, made in two threads beside the loop: nobody else waits for them.

Argon2id with the parameters that OWASP's cheat sheet on password storage gives: 19 MiB, two passes,
one lane. It takes some 20 ms, and lets go of the interpreter meanwhile.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import Final

import gevent
from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from gevent.threadpool import ThreadPool

# What the making of one hash takes, and how many are made at a time.
MEMORY_KIB: Final = 19 * 1_024
THREADS: Final = 2

_HASHER: Final = PasswordHasher(time_cost=2, memory_cost=MEMORY_KIB, parallelism=1)

# So many may wait: some two seconds of work.
MAX_WAITING: Final = 128


def nobodys_password() -> str:
    """The hash of a password that nobody has: of random bytes that nobody keeps."""
    return _HASHER.hash(secrets.token_bytes(32))


class Argon2:
    """Makes hashes, and compares."""

    def __init__(self) -> None:
        self._threads = ThreadPool(THREADS)
        self._waiting = 0

    def derive(self, password: str, against: str, done: Callable[[str | None], None]) -> None:
        """As in `node.Passwords`."""
        if self._waiting >= MAX_WAITING:
            gevent.get_hub().loop.run_callback(done, None)
            return
        self._waiting += 1
        gevent.spawn(self._derive, password, against, done)

    def _derive(self, password: str, against: str, done: Callable[[str | None], None]) -> None:
        try:
            made = self._threads.apply(_work, (password, against))
        finally:
            self._waiting -= 1
        done(made)


def _work(password: str, against: str) -> str:
    if not against:
        return _HASHER.hash(password)
    try:
        _HASHER.verify(against, password)
    except (VerificationError, InvalidHashError):
        return ""
    return against
