"""Who runs the server, on the machine itself: makes accounts and codes, and says who may talk.

What is asked of a node that dies is never done; it is asked again.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Final

from tcpchat_core import Name, events, nick_name
from tcpchat_core.events import Event
from tcpchat_core.server.access import code_hash

if TYPE_CHECKING:
    from tests.sim.world import World

# The accounts that there may be; whoever has the first looks after the server.
ACCOUNTS: Final = ("zoe", "yan")

# Names that look like those.
LOOKALIKES: Final = ("zоe", "ZOE", "yаn", "Yan")

# For how long only who has an account may talk, and how long all may.
_CLOSED_MS: Final = (500, 4_000)
_OPEN_MS: Final = (3_000, 15_000)


class Owner:
    """Does what `tcpchat-server admin` does, through the node's own door."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._draw = random.Random(f"what the owner of {world.config.seed} does")
        self._codes = 0
        world.clock.after(self._draw.randint(*_OPEN_MS), self._only_accounts)
        world.clock.after(self._draw.randint(*_OPEN_MS), self._ends_an_account)

    def invite(self, account: str, given: Callable[[str], None]) -> None:
        """Give somebody a code for an account, once it holds."""
        self._codes += 1
        code = f"code {self._codes} of {self._world.config.seed}"
        is_admin = account == ACCOUNTS[0] or None
        grant = events.Grant(*_name(account), code_hash(code), is_admin)
        self._propose(grant, lambda: given(code))

    def lets_everybody_speak(self) -> bool:
        """Whether nobody is kept from the server, or from speaking on it, any more; if only
        accounts may, that ends now.
        """
        decisions, now = self._world.model.decisions, self._world.log_now
        if not decisions.limits.guests:
            self._propose(events.Configure({"guests": 1}))
            return False
        return all(each.until <= now for each in decisions.server.restrictions)

    def _only_accounts(self) -> None:
        if self._world.faulty and self._draw.random() < 0.5:
            self._propose(events.Configure({"guests": 0}))
            self._world.clock.after(self._draw.randint(*_CLOSED_MS), self._all)

    def _all(self) -> None:
        self._propose(events.Configure({"guests": 1}))
        self._world.clock.after(self._draw.randint(*_OPEN_MS), self._only_accounts)

    def _ends_an_account(self) -> None:
        if self._world.faulty and self._draw.random() < 0.3:
            account = self._draw.choice(ACCOUNTS[: self._world.config.accounts])
            self._propose(events.Withdraw(_name(account).key))

    def _propose(self, event: Event, done: Callable[[], None] = lambda: None) -> None:
        servers = [server for server in self._world.here if not server.is_deaf]
        if servers:
            server = self._draw.choice(servers)
            server.clock.do(partial(server.node.propose, event, done))


def _name(account: str) -> Name:
    name = nick_name(account)
    assert isinstance(name, Name), "it may be called so"
    return name
