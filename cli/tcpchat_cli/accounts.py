"""What the owner of a server does with accounts: `tcpchat-server admin`.

A request is decided by the state that there is (`Request.decide`) and becomes one entry of the
log. It is the same whether a server runs, which is asked over its control socket (`AdminDesk`), or
none does. A code or a token is made by whoever asks: the server is only told its hash.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from typing import Final, Literal, NamedTuple

import msgspec

from tcpchat_cli.control import Answered
from tcpchat_core import ChatState, Name, events, nick_name
from tcpchat_core.dialects.plain import act_text
from tcpchat_net.node import Node

# The name of what the control server is asked for.
ADMIN: Final = "admin"

_AUDIT_LINES: Final = 1_000


class Refused(Exception):
    """A request that cannot be. The text is one sentence for people."""


class Asked(NamedTuple):
    """What to put into the log (None: nothing), and what to tell when it has happened."""

    event: events.Event | None
    told: str


class Request(msgspec.Struct, frozen=True):
    """What the owner asks for.

    `secret` is the hash of the code or of the token that is to hold; `sure` that an account may end
    although rooms are its alone.
    """

    what: Literal["invite", "token", "admin", "withdraw", "accounts", "audit"]
    nick: str = ""
    secret: str = ""
    admin: bool | None = None
    sure: bool = False

    def decide(self, state: ChatState) -> Asked:
        """What to do. Raises Refused."""
        match self.what:
            case "accounts":
                return Asked(None, "\n".join(_rows(state)) or "there are no accounts yet")
            case "audit":
                acts = state.acts()[-_AUDIT_LINES:]
                return Asked(None, "\n".join(map(act_text, acts)) or "nothing was done yet")
            case "withdraw":
                return self._withdraw(state)
            case "invite" | "token" | "admin":
                return self._grant(state)

    def _name(self) -> Name:
        name = nick_name(self.nick)
        if not isinstance(name, Name):
            raise Refused(f"{self.nick} cannot be an account: {name.text}")
        return name

    def _grant(self, state: ChatState) -> Asked:
        name, limits = self._name(), state.limits
        account = state.account(name.key)
        if account is None and self.what == "admin" and not self.admin:
            raise Refused(f"there is no account {self.nick}")
        if account is None and sum(1 for _ in state.accounts()) >= limits.accounts:
            raise Refused(f"there are {limits.accounts:,} accounts already; withdraw one first")
        if self.what == "token" and account and len(account.devices) >= limits.devices:
            raise Refused(
                f"{account.nick} has {limits.devices} devices already; it has to /revoke one first"
            )
        nick = name.text if account is None else account.nick
        if self.what == "token":
            made = events.Grant(nick, name.key, "", self.admin, self.secret, "token")
            return Asked(made, nick)
        code = self.secret if self.what == "invite" else ""
        return Asked(events.Grant(nick, name.key, code, self.admin), nick)

    def _withdraw(self, state: ChatState) -> Asked:
        name = self._name()
        account = state.account(name.key)
        if account is None:
            raise Refused(f"there is no account {self.nick}")
        alone = [room.name for room in state.rooms() if room.owners == (account.id,)]
        if alone and not self.sure:
            raise Refused(
                f"{account.nick} alone owns {', '.join(alone)}, which would be kept no more;"
                " give --yes if that is meant"
            )
        return Asked(events.Withdraw(name.key), account.nick)


def _rows(state: ChatState) -> Iterator[str]:
    accounts = sorted(state.accounts(), key=lambda account: account.key)
    width = max((len(account.nick) for account in accounts), default=0)
    for account in accounts:
        devices = list(account.devices.values())
        count = "1 device" if len(devices) == 1 else f"{len(devices)} devices"
        words = (
            f"{account.nick:<{width}}",
            f"{count}, since {_day(devices[0].at)}" if devices else "no device yet",
            "admin" if account.is_admin else "",
            "here" if account.present else "",
        )
        yield "  ".join(filter(None, words))


def _day(at: int) -> str:
    return f"{dt.datetime.fromtimestamp(at / 1_000, dt.UTC):%Y-%m-%d}"


class AdminDesk:
    """Does what the owner asks of a server that runs."""

    def __init__(self, node: Node) -> None:
        self._node = node

    def serve(self, argument: str, answered: Answered) -> None:
        """Answer one request, in JSON."""
        try:
            asked = msgspec.json.decode(argument, type=Request).decide(self._node.protocol.state)
        except (msgspec.MsgspecError, Refused) as error:
            answered(str(error), "")
            return
        if asked.event is None:
            answered("", asked.told)
        else:
            self._node.propose(asked.event, lambda: answered("", asked.told))
