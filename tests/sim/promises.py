"""All checkers, by name. One more, `no_exception`, is the simulation's own: nothing raises."""

from __future__ import annotations

from tests.sim.checkers.answers import Answers
from tests.sim.checkers.archive import Archive
from tests.sim.checkers.bounds import Bounds
from tests.sim.checkers.devices import Devices
from tests.sim.checkers.direct_messages import DirectMessages
from tests.sim.checkers.exactly_once import ExactlyOnce
from tests.sim.checkers.flavours import Flavours
from tests.sim.checkers.flood import Flood
from tests.sim.checkers.gaps import Gaps
from tests.sim.checkers.healthy import Healthy
from tests.sim.checkers.last_words import LastWords
from tests.sim.checkers.leases import Leases
from tests.sim.checkers.liveness import Liveness
from tests.sim.checkers.losses import Losses
from tests.sim.checkers.moderation import Moderation
from tests.sim.checkers.nicks import Nicks
from tests.sim.checkers.nothing_outside import NothingOutside
from tests.sim.checkers.nothing_twice import NothingTwice
from tests.sim.checkers.on_disk import OnDisk
from tests.sim.checkers.one_log import OneLog
from tests.sim.checkers.one_order import OneOrder
from tests.sim.checkers.pages import Pages
from tests.sim.checkers.private_rooms import PrivateRooms
from tests.sim.checkers.receipts import Receipts
from tests.sim.checkers.replay import Replay
from tests.sim.checkers.restrictions import Restrictions
from tests.sim.checkers.same_state import SameState
from tests.sim.checkers.sessions import Sessions
from tests.sim.config import Config
from tests.sim.parts import Parts
from tests.sim.world import Checker, World

CHECKERS: tuple[type[Checker], ...] = (
    OneOrder,
    ExactlyOnce,
    NothingTwice,
    NothingOutside,
    Moderation,
    PrivateRooms,
    Restrictions,
    Nicks,
    Devices,
    DirectMessages,
    Receipts,
    Answers,
    Replay,
    Gaps,
    Flood,
    Healthy,
    Bounds,
    Sessions,
    Liveness,
    Flavours,
    SameState,
    OnDisk,
    Archive,
    OneLog,
    Leases,
    Losses,
    LastWords,
    Pages,
)


def simulate(
    seed: int,
    parts: Parts | None = None,
    *,
    shared: bool = False,
    may_lose: bool = True,
    browsers: bool = True,
    irc: bool = True,
) -> World:
    """Run the simulation of a seed, with all checkers; look at its `violations`.

    With `shared` it is one of several nodes that share a log; and unless that `may_lose` nothing,
    one of some seeds has engines that are lost with what no node has read. In more than half of the
    seeds people come by `browsers`, if they may, and by `irc`.
    """
    config = Config.drawn(seed, shared=shared, may_lose=may_lose, browsers=browsers, irc=irc)
    world = World(config, [checker() for checker in CHECKERS], parts)
    world.run()
    return world
