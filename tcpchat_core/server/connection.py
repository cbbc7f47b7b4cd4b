"""What a server knows of one connection that is not chat, and the life of a connection.

A connection goes through phases, and each step is legal in some of them only: `MOVES` is the whole
of it. Whether the peer may be listened to, or told something, depends on nothing but the phase.
"""

from __future__ import annotations

from enum import Enum, auto
from typing import Final, NamedTuple, TypeAlias

from tcpchat_core.archive import Inquiry
from tcpchat_core.dialects import Flavour, Item, Reader, Reply, Then
from tcpchat_core.effects import Audience
from tcpchat_core.events import Event, History, Query, Search, Seen, Watch, Whowas
from tcpchat_core.names import Name
from tcpchat_core.notices import Claimed, Closing, Notice, Rejected, Said


class Phase(Enum):
    """Where a connection stands."""

    UNKNOWN = auto()  # nothing has told yet which dialect the peer speaks
    OPENING = auto()  # it has not said who it is, or not the password
    OPEN = auto()  # its first event is proposed
    ENDING = auto()  # its last event is proposed; until that is committed it can be told things
    LOST = auto()  # the same, but nothing can be sent any more
    ENDED = auto()


class Step(Enum):
    """What happens to a connection."""

    RECOGNISED = auto()  # its dialect is known
    OPENED = auto()  # its first event was proposed
    LEFT = auto()  # its last event was proposed
    VANISHED = auto()  # the transport is gone
    FORGOTTEN = auto()  # nothing will be told to it or heard of it again


MOVES: Final = {
    (Phase.UNKNOWN, Step.RECOGNISED): Phase.OPENING,
    (Phase.OPENING, Step.OPENED): Phase.OPEN,
    (Phase.OPEN, Step.LEFT): Phase.ENDING,
    (Phase.OPEN, Step.VANISHED): Phase.LOST,
    (Phase.ENDING, Step.VANISHED): Phase.LOST,
    # What is not in the chat yet can be forgotten at once, and so can what is out of it.
    (Phase.UNKNOWN, Step.FORGOTTEN): Phase.ENDED,
    (Phase.OPENING, Step.FORGOTTEN): Phase.ENDED,
    (Phase.OPEN, Step.FORGOTTEN): Phase.ENDED,
    (Phase.ENDING, Step.FORGOTTEN): Phase.ENDED,
    (Phase.LOST, Step.FORGOTTEN): Phase.ENDED,
}

# In these what the peer sends still counts, and in these it can be told things.
_LISTENING: Final = (Phase.UNKNOWN, Phase.OPENING, Phase.OPEN)
_SPEAKING: Final = (Phase.OPENING, Phase.OPEN, Phase.ENDING)

# What waits its turn: something to look up, or something already known.
Answer: TypeAlias = Query | Watch | Whowas | Rejected | Closing | Claimed | Reply | Then


class Waiting(NamedTuple):
    """An answer that has to wait until the connection's event with a number is committed.

    `how` is what it answers, where that is not the query itself: a request that is refused, or what
    a dialect has said of it (`Asked`).
    """

    number: int
    answer: Answer
    how: object = None


class Looking(NamedTuple):
    """What the archive was asked for a connection, and what the answer is told to answer."""

    ticket: int
    wanted: Wanted
    request: object


class Found(NamedTuple):
    """An answer, and how many lines of the asker's rate it has cost beyond its own."""

    notice: Notice
    cost: int = 0


class Wanted(NamedTuple):
    """What the archive has to be asked for an answer.

    It costs so many lines of the asker's rate. `shown` are the messages that come behind it, which
    are known already; `numbers` those that the times of the query stand for, as far as is known.
    """

    inquiry: Inquiry
    cost: int
    query: History | Search
    room: str
    shown: tuple[Said, ...] = ()
    numbers: tuple[int, ...] = ()


class Deriving(NamedTuple):
    """What has to be done with a password before a connection goes on: a log-in as the account
    with `key`, checked against a hash; or (`key` is "") the making of one. `request` is what the
    answer is told to answer. `session` is as in `Login`; what `only_proves` is done later.
    """

    ticket: int
    key: str
    against: str
    request: object
    session: str | None = None
    only_proves: bool = False


class Connection:
    """One connection. Times are in milliseconds of the server's `now`."""

    __slots__ = (
        "answers",
        "asked",
        "asked_at",
        "can_be_told",
        "committed",
        "conn",
        "current",
        "deriving",
        "device",
        "dialect",
        "failures",
        "first",
        "flavour",
        "guesses",
        "heard_at",
        "hows",
        "is_admitted",
        "is_held",
        "is_listened_to",
        "is_owed",
        "is_paused",
        "is_pinged",
        "is_safe",
        "is_timed",
        "is_unheard",
        "looking",
        "made_at",
        "origin",
        "peer",
        "phase",
        "proposed",
        "proven",
        "reader",
        "rooms",
        "secrets",
        "sessions",
        "token",
        "unpaid_bytes",
        "unread",
        "words_us",
    )

    def __init__(
        self,
        conn: int,
        token: str,
        peer: str,
        now: int,
        flavour: Flavour,
        *,
        origin: str,
        is_admitted: bool,
        is_safe: bool,
    ) -> None:
        self.conn = conn
        self.token = token
        self.peer = peer
        self.origin = origin
        self.made_at = self.heard_at = now
        self.phase = Phase.UNKNOWN
        self.is_listened_to = True  # what the peer sends still counts
        self.can_be_told = False  # something can be sent to it, in a dialect that it knows
        self.first = b""  # what it said before its dialect was known for sure
        self.is_unheard = False  # has its dialect for its silence: its first line may tell another
        self.reader: Reader | None = None  # from OPENING on
        self.dialect = ""  # what that one's is called
        self.flavour = flavour  # in which it is told things
        self.is_safe = is_safe  # nobody reads along, so that a password can be said
        self.is_admitted = is_admitted  # knows the password, if there is one
        self.device = ""  # the hash of the token by which it comes to an account
        self.failures = 0  # passwords that were wrong
        self.sessions: tuple[str, ...] = ()  # which it may be holding
        self.is_pinged = False  # since it was last heard of
        # What it has seen when it answers the ping with this id, and since when it is asked.
        self.asked: tuple[str, Seen] | None = None
        self.asked_at = now
        self.is_paused = False  # nothing is read from it, because what it has said has to wait
        self.is_owed = False  # nothing is read from it, because it does not take its answers
        self.is_timed = False  # a timer will have its next line looked at
        self.is_held = False  # what it asked so far has to be answered before more is read
        self.words_us = 0  # when what it said so far was due at the allowed rate, in microseconds
        self.unpaid_bytes = 0  # that were read, and that no line has paid for yet
        self.proposed = 0  # the numbers of its last event that was proposed, …
        self.committed = 0  # … and of the last that came back
        self.answers: list[Waiting] = []
        self.looking: Looking | None = None  # the answer that the archive has to be asked for
        self.deriving: Deriving | None = None  # the password that something has to be made of
        self.proven: Event | None = None  # how it may log in
        self.guesses: dict[int, str] = {}  # by number of an event: at what it tries a code
        self.unread: tuple[Item, ...] = ()  # what was read with it and comes after it
        self.hows: dict[int, object] = {}  # by number of an event: how it was asked, if it matters
        self.current: Name | None = None  # the room that text goes to
        self.rooms: tuple[Audience, ...] = ()  # that it is in here
        self.secrets: dict[str, str] = {}  # that were made for it, by hash, until it is told

    def move(self, step: Step) -> None:
        """Take a step of its life. An illegal one is a mistake in this package (KeyError)."""
        self.phase = phase = MOVES[self.phase, step]
        self.is_listened_to = phase in _LISTENING
        self.can_be_told = phase in _SPEAKING

    @property
    def is_settled(self) -> bool:
        """Whether all that it proposed is committed and answered: the next answer need not wait."""
        return self.proposed == self.committed and self.looking is None
