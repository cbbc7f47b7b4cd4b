"""The dialects: how requests and notices are written on a wire.

A dialect is two things:

* A `Reader`, one for each connection: bytes go in, requests come out. All that a dialect knows of
  *how one talks* is in it: framing, greeting, how a password is asked for, whether a silent peer
  can be asked if it is there. No input makes it raise.
* A set of `Flavour`s: small hashable values, each of which says how a notice is written. What one
  returns depends on nothing but its arguments, so that one encoding serves everybody who has it.
  A reader says which one its peer has now.

A server is given its dialects in order: the first that recognises what a peer says is taken. The
last one is the fallback, for peers that are silent or that nobody recognises.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar, Final, NamedTuple, Protocol, TypeAlias

import msgspec

from tcpchat_core.events import Login, Open, Request
from tcpchat_core.notices import Notice, Rejected, Said

# A dialect that does not know its peer by so many bytes never will. A browser is known by the end
# of its first line, in which stands what somebody has clicked on.
MAX_FIRST_BYTES = 2_048


class Flavour(msgspec.Struct, frozen=True):
    """How notices are written. Each function returns whole lines; b"" when there is none.

    `acknowledges` is whether an author is told that its message was taken in: where it is not,
    no receipt of a message is encoded.
    """

    acknowledges: ClassVar[bool] = True

    def encode(self, notice: Notice) -> bytes:
        """What everybody is told."""
        raise NotImplementedError  # each flavour has its own; a Struct cannot be an ABC

    def encode_said(self, said: Sequence[Said]) -> bytes:
        """What everybody is told of messages that come one after another: the same as of each."""
        return b"".join([self.encode(each) for each in said])

    def encode_for(self, nick: str, notice: Notice, request: object) -> bytes:  # noqa: ARG002 # for those that name them
        """What one person is told, whose nick this is: as a rule the answer to `request`.

        `request` is the request or event that is answered, None for what is no answer.
        """
        return self.encode(notice)

    def encode_receipt(self, receipt: Notice, notice: Notice) -> bytes:  # noqa: ARG002 # for those that repeat it
        """What an author is told in the place of the `notice` that all others are."""
        return self.encode(receipt)


class Reply(NamedTuple):
    """Bytes to send back, in their turn: an answer that the dialect gives alone."""

    data: bytes


class Hangup(NamedTuple):
    """The connection is to be ended; `reason` is told, unless it is empty.

    `gone` is what the others are told in its place, when the peer itself has ended it; `last_words`
    are what the dialect sends when nothing will come behind it any more.
    """

    reason: str
    gone: str = ""
    last_words: bytes = b""


class Prove(NamedTuple):
    """A log-in of which is only told whether the secret is right: by `Claimed`, as if it were done.
    It is done by `LogIn`, when the peer can be told all that comes of it.
    """

    login: Login


class LogIn(NamedTuple):
    """What was proven last is done."""


class Asked(NamedTuple):
    """A request, or the refusal of what would have been one, and how it was asked.

    `how` is the dialect's own, and what `encode_for` is given as `request` when it is answered.
    """

    request: Request | Rejected | Prove
    how: object


class Wait(NamedTuple):
    """What comes next is not looked at before all that was asked so far is answered, since the
    answers say how it is to be read. A reader gives nothing behind it in one go.
    """


class Then(NamedTuple):
    """What the dialect has to say when all that was asked so far is answered, in the order of
    answers: `say` returns it then, and may take note that it is so. It costs nothing, and a reader
    gives it together with what it is about.
    """

    say: Callable[[], bytes]


class Repeats(NamedTuple):
    """What it is behind repeats so many bytes of a line that says the same to several: they are
    paid for as if they had been read again. It costs nothing else.
    """

    size: int


# What the others are told of a page that was closed; or loaded anew, and then it is soon back.
CLOSED_THE_PAGE: Final = "closed the page"

# What comes of what a peer sent.
Item: TypeAlias = (
    Request | Open | Prove | LogIn | Rejected | Reply | Hangup | Asked | Wait | Then | Repeats
)


# Writes what one person is told: its nick, the notice, and what it answers.
Encoder: TypeAlias = Callable[[str, Notice, object], bytes]


class Reader(Protocol):
    """One connection's side of a dialect that is stateful: bytes in, requests out.

    Call order: `begin`, then `receive_data` with what was read, `requests` for as long as there is
    something `waiting`, and `receive_eof` when no more comes. `admitted` when the peer may talk.

    What its peer alone is told passes through it, in the order of telling: it may know by that
    where the peer stands, and write it in another way than the flavour does.
    """

    @property
    def flavour(self) -> Flavour:
        """In which the peer is told things now."""

    @property
    def answers_pings(self) -> bool:
        """Whether `Pinged` makes the peer answer; who reads with nc cannot."""

    @property
    def opens_ahead(self) -> bool:
        """Whether the peer's program opens connections before it has anything to say, and must not
        be told anything on them.
        """

    @property
    def opens_within_ms(self) -> int | None:
        """How long it may take from the connection to the first request, in milliseconds; None for
        what the server allows programs.
        """

    @property
    def acknowledges(self) -> bool:
        """Whether the peer is told that its message was taken in."""

    def encode_for(self, nick: str, notice: Notice, request: object) -> bytes:
        """What the peer alone is told, as in `Flavour`; `request` may be the `how` of `Asked`."""

    def encoder(self) -> Encoder:
        """`encode_for` as it is now, for what is long, and written when the peer takes it: behind
        it is said what was told later, perhaps in another way.
        """

    def encode_receipt(self, receipt: Notice, notice: Notice) -> bytes:
        """What the peer is told in the place of the `notice` that all others are, as an author."""

    def begin(self, *, password_needed: bool) -> list[Item]:
        """The peer is known: what comes of that alone."""

    def admitted(self) -> None:
        """The peer has said the password, or none is needed."""

    def receive_data(self, data: bytes) -> None:
        """Take in what was read."""

    def receive_eof(self) -> None:
        """The peer will send no more: after what is waiting, hang up."""

    @property
    def waiting(self) -> bool:
        """Whether there is something to look at."""

    def requests(self, limit: int) -> list[Item]:
        """What the peer asks for, oldest first; at most `limit`, `Then` and `Repeats` not counted,
        and the rest stays waiting.
        """


class AsFlavour:
    """A part of the `Reader`s whose peers are told everything as their flavour says."""

    flavour: Flavour

    __slots__ = ()

    @property
    def acknowledges(self) -> bool:
        """Whether the peer is told that its message was taken in."""
        return self.flavour.acknowledges

    def encode_for(self, nick: str, notice: Notice, request: object) -> bytes:
        """What the peer alone is told: nothing but the flavour says how."""
        return self.flavour.encode_for(nick, notice, request)

    def encoder(self) -> Encoder:
        """The same, for what is written later."""
        return self.flavour.encode_for

    def encode_receipt(self, receipt: Notice, notice: Notice) -> bytes:
        """What the peer is told as an author."""
        return self.flavour.encode_receipt(receipt, notice)


class Dialect(Protocol):
    """What a server needs to know of a dialect."""

    @property
    def name(self) -> str:
        """What it is called."""

    @property
    def flavour(self) -> Flavour:
        """In which a peer is told things that has not said anything yet."""

    @property
    def comes_late(self) -> bool:
        """Whether a peer that speaks it may be silent at first for so long that it is taken for a
        person: then its first line still tells.
        """

    def recognises(self, first: bytes) -> bool | None:
        """Whether a peer that begins so speaks it; None when more has to be seen to tell."""

    def reader(self) -> Reader:
        """A reader for one more connection."""


def choose(dialects: Sequence[Dialect], first: bytes, *, silent: bool = False) -> Dialect | None:
    """The dialect of a peer that has said `first`; None when more has to be seen to tell.

    A peer that is `silent` for too long, or long enough, gets the fallback.
    """
    for dialect in dialects[:-1]:
        recognised = dialect.recognises(first)
        if recognised:
            return dialect
        if recognised is None and not silent and len(first) < MAX_FIRST_BYTES:
            return None
    return dialects[-1]


def choose_late(
    dialects: Sequence[Dialect], first: bytes, *, silent: bool = False
) -> Dialect | None:
    """The same for a peer that got the fallback because it was silent, and speaks now."""
    late = [dialect for dialect in dialects[:-1] if dialect.comes_late]
    return choose((*late, dialects[-1]), first, silent=silent)
