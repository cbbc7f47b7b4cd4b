"""How an IRC client comes to be somebody: from its first line to its welcome.

Rules:

1. The client says NICK, USER and, where it negotiates capabilities, CAP END, in any order; then it
   is in the chat, as any guest, and takes its nick there. Only when that is decided it is welcome:
   all that it is told meanwhile comes behind its welcome.
2. A nick that is somebody else's is 433, and another is awaited. One that cannot be is made so that
   it can, or the guest's is kept: clients take the name in their welcome for theirs, and some give
   up for ever after a 432.
3. PASS is the server's password, where it has one. Else it is `ACCOUNT:PASSWORD`, or the token of a
   device. Who is refused for it is sent away.
4. AUTHENTICATE is answered before all is said: whether the secret is right. Who is refused for it
   may try again, or go on as a guest. Who is not is signed in when all is said, and has the nick
   and the rooms of its account: so nothing of those comes before the welcome. What USER says of it
   is said to the chat then, too.

What is heard in which stage is the table `_HEARD`.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum, auto
from typing import Final, TypeAlias

from tcpchat_core import notices
from tcpchat_core.dialects import Asked, Hangup, Item, LogIn, Prove, Reply, Wait
from tcpchat_core.dialects.irc.capabilities import Capabilities
from tcpchat_core.dialects.irc.commands import Client, without_formatting
from tcpchat_core.dialects.irc.numerics import Code, numeric, refusal, welcome
from tcpchat_core.dialects.irc.sasl import AUTHENTICATE, Exchange, is_token, login
from tcpchat_core.dialects.irc.wire import SERVER, line
from tcpchat_core.events import Login, Nick, Open
from tcpchat_core.names import (
    MAX_NICK_CHARS,
    MAX_REAL_NAME_CHARS,
    MAX_USER_CHARS,
    NO_USER_LETTER,
    Name,
    nick_name,
)
from tcpchat_core.notices import Claimed, Notice, Rejected, Welcome, password_is_needed
from tcpchat_core.sanitize import sanitize

# Why a nick is awaited that is not somebody's.
_TAKEN: Final = ("nick-in-use", "nick-owned")


class Stage(Enum):
    """Where a client stands."""

    INTRODUCING = auto()  # it says who it is, and what it can take
    ASKED = auto()  # the chat was asked for its nick, or to let it in: nothing is read
    CHOOSING = auto()  # its nick was somebody's; it has to say another
    SIGNING_IN = auto()  # the chat was asked for its account: nothing is read
    REFUSED = auto()  # it is not let in
    REGISTERED = auto()


# Looked up once: it is asked for with every line.
_UNANSWERED: Final = (Stage.ASKED, Stage.SIGNING_IN)


class Registration:
    """One client's. Call `hear` with what it says and `told` with what it is told, until `stage` is
    REGISTERED.
    """

    __slots__ = (
        "_awaited",
        "_back_to",
        "_called",
        "_client",
        "_exchange",
        "_has_opened",
        "_has_user",
        "_held",
        "_is_called",
        "_is_in",
        "_is_proven",
        "_name",
        "_nick",
        "_password",
        "_user",
        "capabilities",
        "needs_password",
        "stage",
        "why_refused",
    )

    def __init__(self, client: Client) -> None:
        self.stage = Stage.INTRODUCING
        self.capabilities = Capabilities()
        self.needs_password = False
        self._client = client
        self._exchange = Exchange()
        self._back_to = self.stage  # when it has signed in, or not
        self._has_opened = False  # the chat was asked to let it in
        self._is_in = False  # in the chat: its welcome has come
        self._is_proven = False  # whose account it is: it is signed in when all is said
        self._called = ""  # what it is called there
        self.why_refused = "you were not let in"
        self._nick = ""  # as it was typed last
        self._has_user = False
        self._name = self._user = ""  # its real name and its user name, as they can be
        self._is_called = False  # the chat was told them
        self._password = ""
        # Which request decides: "nick", "login", "setname" or, where it is in as it is, "".
        self._awaited = ""
        self._held: list[bytes] = []  # what it is told behind its welcome

    @property
    def is_asked(self) -> bool:
        """Whether nothing is read before the chat has answered; no answer is the end."""
        return self.stage in _UNANSWERED

    # ── What the client says ─────────────────────────────────────────────────────────────────

    def hear(self, command: str, params: list[str]) -> list[Item]:
        """What comes of a line of a client that is not registered."""
        heard = _HEARD.get(command)
        if heard is None or self.stage not in heard[2]:
            return [self._client.reply(Code.NOTREGISTERED, text="say NICK and USER first")]
        hear, least, _ = heard
        if len(params) < least:
            text = f"{command} needs more parameters"
            return [self._client.reply(Code.NEEDMOREPARAMS, command, text=text)]
        return hear(self, params)

    def hear_pass(self, params: list[str]) -> list[Item]:
        """What is secret is looked at when all is said. Not every client puts a colon before one
        that has blanks.
        """
        self._password = " ".join(params)
        return []

    def hear_nick(self, params: list[str]) -> list[Item]:
        """The first nick, or another where that was taken."""
        if not params or not params[0]:
            return [self._client.reply(Code.NONICKNAMEGIVEN, text="say which nickname")]
        self._nick = params[0]
        return self._go_on()

    def hear_user(self, params: list[str]) -> list[Item]:
        """Its user name, and its real name, which some set to nothing."""
        if not params[3]:
            text = "USER needs a real name, as its last word"
            return [self._client.reply(Code.NEEDMOREPARAMS, "USER", text=text)]
        self._has_user = True
        self._user, self._name = possible_user(params[0]), possible_name(params[3])
        return self._go_on()

    def hear_cap(self, params: list[str]) -> list[Item]:
        """What the client can take."""
        answer = self.capabilities.hear(self._client.nick, params)
        self._client.takes_batches = self.capabilities.options.batch
        return [Reply(answer)] if answer else self._go_on()

    def hear_authenticate(self, params: list[str]) -> list[Item]:
        """Sign in, before it is welcome or after."""
        nick = self._client.nick
        if self._client.account:
            text = f"you are {self._client.account} already"
            return [Reply(numeric(Code.SASLALREADY, nick, text=text))]
        if self.needs_password and not self._password and not self._is_in:
            return [Reply(numeric(Code.SASLFAIL, nick, text=password_is_needed().text))]
        items = self._exchange.hear(nick, params[0])
        asked = items[0] if items else None
        if not isinstance(asked, Asked):
            return items
        if self.stage is Stage.REGISTERED:
            return [asked, Wait()]
        assert isinstance(asked.request, Login), "an exchange ends with a log-in"
        self._back_to, self.stage, self._awaited = self.stage, Stage.SIGNING_IN, ""
        return [*self._open(), asked._replace(request=Prove(asked.request)), Wait()]

    def hear_quit(self, _params: list[str]) -> list[Item]:
        """It does not come in."""
        return [Hangup("bye")]

    def hear_ping(self, params: list[str]) -> list[Item]:
        """Some ask before they are in."""
        return [Reply(line(SERVER, "PONG", SERVER, text=params[0]))]

    def hear_pong(self, _params: list[str]) -> list[Item]:
        """To hear of it was all."""
        return []

    def _go_on(self) -> list[Item]:
        """Ask the chat when all is said that has to be."""
        if not self._is_ready or self.stage is Stage.REGISTERED:
            return []
        is_first = self.stage is Stage.INTRODUCING
        items: list[Item] = []
        if self._exchange.is_begun:
            items.append(self._exchange.abort(self._client.nick))
        opening = self._open()
        is_named = bool(self._is_in and opening and (self._name or self._user))
        self._awaited = "setname" if is_named else ""
        items += opening
        if self._is_proven:  # an account has its own nick
            self._awaited = "login"
            items.append(LogIn())
        elif is_first and not self.needs_password and (asked := _login(self._password)):
            self._awaited = "login"
            items.append(asked)
        elif nick := possible_nick(self._nick):
            self._awaited = "nick"
            items.append(Nick(nick))
        self.stage = Stage.ASKED
        if not self._awaited and self._is_in:  # as a person, before it spoke IRC, or as another
            return [*items, Reply(self._register(self._called))]
        return [*items, Wait()]

    def due(self) -> list[Item]:
        """What there is to ask the chat for by what it has answered: who was to choose another nick
        needs none.
        """
        is_due = self._is_proven and self.stage is Stage.CHOOSING
        return self._go_on() if is_due else []

    @property
    def _is_ready(self) -> bool:
        return bool(self._nick) and self._has_user and not self.capabilities.is_negotiating

    def _open(self) -> list[Item]:
        """Ask to be let in, and say how it is called: by the same, or where it had to be in before
        that was known by another.
        """
        if self._has_opened and self._is_called == self._has_user:
            return []
        if not self._is_in:
            self._client.name = self._name
        self._has_opened, self._is_called = True, self._has_user
        password = self._password.encode() if self.needs_password else b""
        return [Open(password, is_only_try=True, name=self._name, user=self._user)]

    # ── What the client is told ──────────────────────────────────────────────────────────────

    def told(self, nick: str, notice: Notice, written: bytes) -> bytes:
        """What is sent of what the client is told, whose nick in the chat this is. `written` is how
        one who is registered reads it.
        """
        self._called = nick
        if isinstance(notice, Welcome):
            self._is_in = True
            is_all = self.stage is Stage.ASKED and not self._awaited
            return self._register(nick) if is_all else b""
        if not self.is_asked:
            return written
        match notice:
            case notices.NameSet(own=True) | Rejected(request="setname"):
                return self._named(nick, notice, written)
            case Claimed() | Rejected() if self.stage is Stage.SIGNING_IN and self._is_in:
                return self._signed_in(notice, written)
            case Rejected(request="nick", reason=reason) if self._awaited == "nick":
                return self._keep_or_choose(nick, reason, notice)
            case Rejected():
                self.stage = Stage.REFUSED
                self.why_refused = notice.text
                return refusal("", notice, None)
            case notices.Renamed(own=True) if self._awaited == "nick":
                return self._register(notice.new)
            case notices.Renamed(own=True):
                return b""  # it is not called anything yet
            case notices.Closing():
                return written
            case Claimed():
                self._held += [] if self._is_proven else [written]
                return self._register(nick)
            case _:
                self._held.append(written)
                return b""

    def _named(self, nick: str, notice: notices.NameSet | Rejected, written: bytes) -> bytes:
        """Of its real name; that which it has said itself is no news."""
        is_other = False
        if isinstance(notice, notices.NameSet):
            self._called = nick = notice.nick  # its own lines name nobody yet
            is_other = notice.name != self._name  # its account is called otherwise
        if is_other or isinstance(notice, Rejected):
            self._held.append(written)
        return b"" if is_other or self._awaited != "setname" else self._register(nick)

    def _signed_in(self, notice: Claimed | Rejected, written: bytes) -> bytes:
        self.stage = self._back_to
        if isinstance(notice, Rejected):  # it is not called what the chat calls it
            return refusal("", notice, AUTHENTICATE)
        self._is_proven = True
        return written

    def _keep_or_choose(self, nick: str, reason: str, notice: Rejected) -> bytes:
        if reason not in _TAKEN:
            return self._register(nick)
        self.stage = Stage.CHOOSING
        return numeric(Code.NICKNAMEINUSE, "", self._nick, text=notice.text)

    def _register(self, nick: str) -> bytes:
        self.stage = Stage.REGISTERED
        self._client.nick = nick
        self._nick = self._password = ""
        held, self._held = self._held, []
        return b"".join([welcome(nick, self._client.welcome), *held])


def possible_user(typed: str) -> str:
    """What there is of letters that a user name can have in what was typed; it may be nothing."""
    return NO_USER_LETTER.sub("", typed)[:MAX_USER_CHARS]


def possible_name(typed: str) -> str:
    """What was typed as somebody's real name, as much as can be of it; it may be nothing."""
    return sanitize(without_formatting(typed)).strip()[:MAX_REAL_NAME_CHARS].rstrip()


def possible_nick(typed: str) -> str:
    """The nick that comes closest to what was typed; "" when there is none that a guest can have.

    What cannot stand in a nick becomes an underscore.
    """
    if isinstance(nick_name(typed), Name):
        return typed
    first = _or_underscore("", typed[:1])
    rest = [_or_underscore(first, each) for each in typed[1:MAX_NICK_CHARS]]
    made = "".join([first, *rest])
    return made if isinstance(nick_name(made), Name) and made.strip("_") else ""


def _or_underscore(before: str, char: str) -> str:
    return char if isinstance(nick_name(before + char), Name) else "_"


def _login(password: str) -> Login | None:
    """What a PASS asks for that is not the server's password; None for what can be no secret of
    ours, as clients may be set up to say one everywhere.
    """
    account, is_pair, secret = password.partition(":")
    if is_pair:
        return login(account, secret)
    return login("", password) if is_token(password) else None


_Heard: TypeAlias = tuple[Callable[[Registration, list[str]], list[Item]], int, tuple[Stage, ...]]

_UNREGISTERED: Final = (Stage.INTRODUCING, Stage.CHOOSING)

# What is made of a command, how many words it takes, and in which stages it is heard. These are all
# that who is not registered can say.
_HEARD: Final[dict[str, _Heard]] = {
    "AUTHENTICATE": (Registration.hear_authenticate, 1, (*_UNREGISTERED, Stage.REGISTERED)),
    "CAP": (Registration.hear_cap, 1, (*_UNREGISTERED, Stage.REGISTERED)),
    "PASS": (Registration.hear_pass, 1, (Stage.INTRODUCING,)),
    "NICK": (Registration.hear_nick, 0, _UNREGISTERED),
    "USER": (Registration.hear_user, 4, (Stage.INTRODUCING,)),
    "PING": (Registration.hear_ping, 1, _UNREGISTERED),
    "PONG": (Registration.hear_pong, 0, _UNREGISTERED),
    "QUIT": (Registration.hear_quit, 0, _UNREGISTERED),
}
