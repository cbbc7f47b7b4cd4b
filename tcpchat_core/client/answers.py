"""Requests: what a client asked and has no answer to yet, over one connection after another.

Call order: as that of `ClientProtocol`, whose place it takes. `hello()` on every new connection,
`ask` for what is asked, `receive_data` for what was read; `connection_lost` when it is. What they
return is to be sent. No method waits, so all that is asked goes out in the order of asking.

Rule 1: Answers come in the order of their questions, so the oldest request that a notice can
        answer is the one that it answers. A refusal names the type of its request, or its id.
        What another device of the same account does in another room is no answer.

Rule 2: What waits for an answer when the connection is lost is asked again over the next one,
        once the session is open, in its place among what was said. It may have been done already;
        so to be out of a room, as one wanted to be, is then the answer to `out`, not a refusal. A
        `claim` that is asked again needs the token that it has made: without one, its code is used
        up, and nobody has what it gave.

Rule 3: When the session is over, we go where we were, as whom we were, and ask then.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import msgspec

from tcpchat_core import events, notices
from tcpchat_core.client.protocol import ClientProtocol
from tcpchat_core.errors import LocalError, TooManyRequestsError
from tcpchat_core.events import Request, Say, Tell
from tcpchat_core.names import Name, is_same_nick, is_same_room, nick_name, room_name
from tcpchat_core.notices import Notice

# More than people type while they have no connection, and than a server answers in three minutes.
MAX_PENDING: Final = 1_000

# What answers what. `hello` is answered by the session, `pong` and `read` by nothing that is waited
# for, and for what answers a `signal` nobody waits; where several notices can be the answer, it is
# the most frequent one.
_ANSWERS: Final[dict[type[Request], type[Notice]]] = {
    events.Nick: notices.Renamed,
    events.Away: notices.AwaySet,
    events.SetName: notices.NameSet,
    events.Join: notices.Entered,
    events.Out: notices.Left,
    events.Topic: notices.TopicSet,
    events.Kick: notices.Left,
    events.Restrict: notices.Restricted,
    events.Lift: notices.Lifted,
    events.Role: notices.RoleSet,
    events.RoomMode: notices.ModeSet,
    events.Invite: notices.Invited,
    events.Redact: notices.Redacted,
    events.Restrictions: notices.RestrictionList,
    events.Claim: notices.Claimed,
    events.Login: notices.Claimed,
    events.Password: notices.PasswordSet,
    events.Offer: notices.Offered,
    events.Revoke: notices.Revoked,
    events.Devices: notices.DeviceList,
    events.Audit: notices.ActList,
    events.Quit: notices.Closing,
    events.Rooms: notices.RoomList,
    events.Who: notices.Members,
    events.Whois: notices.PersonInfo,
    events.Whowas: notices.FormerPeople,
    events.Watch: notices.Presence,
    events.History: notices.HistoryPage,
    events.Search: notices.SearchResults,
    events.Ping: notices.Ponged,
    events.Help: notices.HelpText,
}
_MAY_ANSWER: Final = {*_ANSWERS.values(), notices.Expelled, notices.Rejected}


class PendingRequest:
    """A request that waits for its answer. What is said has an id here, in any case."""

    __slots__ = ("after", "again", "request", "sent")

    def __init__(self, request: Request, after: str | None, *, sent: bool) -> None:
        self.request = request
        self.after = after  # the id of the message that was said before it
        self.sent = sent  # over this connection
        self.again = False  # and over an earlier one, so that it may have been done


class Heard(NamedTuple):
    """A notice, and the request that it answers, if it is one of ours."""

    notice: Notice
    answers: PendingRequest | None = None


class Requests:
    """A session, and the requests in it that wait for their answers."""

    def __init__(self, protocol: ClientProtocol) -> None:
        self.protocol = protocol
        self._pending: list[PendingRequest] = []  # oldest first; what was said is in `_said`
        self._said: dict[str, PendingRequest] = {}  # by id
        self._open = False
        self._nick = ""  # as of the notice that is looked at
        self._rooms: list[str] = []  # where we were when the connection was lost

    @property
    def is_full(self) -> bool:
        """Whether `ask` would refuse what is not said."""
        return len(self._pending) >= MAX_PENDING

    def hello(self) -> bytes:
        """The first bytes of a connection."""
        self.connection_lost()
        return self.protocol.hello((pending.after, pending.request) for pending in self._pending)

    def connection_lost(self) -> None:
        """The connection is gone. What is asked from now on waits for the next."""
        self._open = False
        self._nick, self._rooms = self.protocol.nick, list(self.protocol.rooms)
        self.protocol.connection_lost()

    def ask(self, request: Request) -> tuple[PendingRequest, bytes]:
        """Ask for something that has an answer, of which `receive_data` will tell.

        Raises LineTooLongError, TooManyRequestsError, and LocalError for a bad id, and for what
        has no answer: that is for `protocol.request`.
        """
        said = self.protocol.unacknowledged
        if isinstance(request, Say | Tell):
            data = self.protocol.ask(request)
            id = request.id if request.id is not None else next(reversed(said))
            pending = self._said[id] = PendingRequest(said[id], None, sent=self._open)
            return pending, data
        if type(request) not in _ANSWERS:
            raise LocalError(f"nothing answers {request.__struct_config__.tag}")
        if self.is_full:
            raise TooManyRequestsError("too many requests wait for their answers")
        data = self.protocol.ask(request)
        pending = PendingRequest(request, next(reversed(said), None), sent=self._open)
        self._pending.append(pending)
        return pending, data

    def cancel(self, pending: PendingRequest) -> None:
        """Nobody waits for the answer any more. What was said is still sent until its receipt."""
        if pending in self._pending:
            self._pending.remove(pending)
        if isinstance(pending.request, Say | Tell) and pending.request.id is not None:
            self._said.pop(pending.request.id, None)

    def receive_data(self, data: bytes) -> tuple[list[Heard], bytes]:
        """Bytes came, split anywhere: the notices in order, and bytes to send.

        Raises RemoteError when they are not the protocol.
        """
        told, reply = self.protocol.receive_data(data)
        heard: list[Heard] = []
        for notice in told:
            if isinstance(notice, notices.Welcome):
                reply = self._go_back() + reply
            heard.append(self._answered(notice))
            match notice:
                case notices.Welcome(nick) | notices.Resumed(nick):
                    self._opened(nick)
                case notices.Renamed(new=new, own=True):
                    self._nick = new
                case _:
                    pass
        return heard, reply

    # ── Answers ──────────────────────────────────────────────────────────────────────────────

    def _answered(self, notice: Notice) -> Heard:
        """The notice, with the request that it answers, which waits no longer."""
        match notice:
            case notices.Sent(id=str(id)) | notices.Said(id=str(id)):
                return Heard(notice, self._said.pop(id, None))
            case notices.Rejected(id=str(id)) if id in self._said:
                return Heard(notice, self._said.pop(id))
        if type(notice) in _MAY_ANSWER:
            for place, pending in enumerate(self._pending):
                if self._is_answer(notice, pending.request):
                    del self._pending[place]
                    return Heard(self._outcome(notice, pending), pending)
        return Heard(notice)

    def _is_answer(self, notice: Notice, request: Request) -> bool:
        if isinstance(notice, notices.Rejected):
            return notice.request == request.__struct_config__.tag
        asked, told = getattr(request, "room", ""), getattr(notice, "room", "")
        if asked and told and not is_same_room(asked, told):
            return False
        match notice:
            case notices.Left(by=by, until=until) if by:
                # It answers who has put somebody out, and not who was.
                return by == self._nick and _puts_out(request, until, server=False)
            case notices.Expelled(by=by, until=until):
                return by == self._nick and _puts_out(request, until, server=True)
            case notices.Renamed(new=new, own=True):
                return isinstance(request, events.Nick) and is_same_nick(request.nick, new)
            case notices.AwaySet(text=text, own=own):
                # Another device may have said something else.
                return own and isinstance(request, events.Away) and bool(request.text) == bool(text)
            case notices.NameSet(name=name, own=own):
                is_same = isinstance(request, events.SetName) and bool(request.name) == bool(name)
                return own and is_same
            case notices.Left(own=True):
                return isinstance(request, events.Out)
            case notices.Renamed() | notices.Left() | notices.Presence(changed=True):
                return False
            case notices.Restricted(room, what=what, by=by):
                return isinstance(request, events.Restrict) and (
                    request.what,
                    self._nick,
                    request.server,
                ) == (what, by, not room)
            case notices.Lifted(room, what=what, by=by):
                return isinstance(request, events.Lift) and (
                    request.what,
                    self._nick,
                    request.server,
                ) == (what, by, not room)
            case notices.ModeSet(by=by) | notices.Invited(by=by) | notices.Redacted(by=by):
                return by == self._nick and type(notice) is _ANSWERS.get(type(request))
            case notices.RoleSet(role=role, by=by):
                return isinstance(request, events.Role) and (request.role, self._nick) == (role, by)
            case notices.TopicSet(nick=nick):
                return isinstance(request, events.Topic) and (
                    request.topic is None or nick == self._nick
                )
            case notices.Ponged(id):
                return isinstance(request, events.Ping) and request.id == id
            case _:
                return type(notice) is _ANSWERS.get(type(request))

    def _outcome(self, notice: Notice, pending: PendingRequest) -> Notice:
        match notice, pending.request:
            case notices.Rejected("not-in-room"), events.Out(room) if pending.again:
                return notices.Left(room, self._nick, own=True)
            case (
                notices.Claimed(token="") as claimed,
                events.Claim(device=str(token)) | events.Login(device=str(token)),
            ) if token:
                self.protocol.device = token
                return msgspec.structs.replace(claimed, token=token)
            case _:
                return notice

    # ── Connections and sessions ─────────────────────────────────────────────────────────────

    def _opened(self, nick: str) -> None:
        self._nick, self._open = nick, True
        for pending in (*self._pending, *self._said.values()):
            pending.again, pending.sent = pending.sent, True

    def _go_back(self) -> bytes:
        """After a welcome: ask for the nick and the rooms that we had in an earlier session."""
        self._said = {
            id: pending for id, pending in self._said.items() if id in self.protocol.unacknowledged
        }
        # What is no name that can be chosen is the server's to give; and so is an account's, also
        # of one that is about to be claimed.
        welcome = self.protocol.welcome
        is_guest = welcome is not None and not welcome.account
        asks = [pending.request for pending in self._pending]
        if any(isinstance(request, events.Claim | events.Login) for request in asks):
            is_guest = False
        nicks = [self._nick] if is_guest and isinstance(nick_name(self._nick), Name) else []
        rooms = [room for room in self._rooms if isinstance(room_name(room), Name)]
        asked: list[Request] = [*map(events.Nick, nicks), *map(events.Join, rooms)]
        self._pending[:0] = [PendingRequest(request, None, sent=False) for request in asked]
        return b"".join(map(self.protocol.request, asked))


def _puts_out(request: Request, until: int, *, server: bool) -> bool:
    """Whether a request puts somebody out of a room or of the server, banned until then, or not."""
    match request:
        case events.Kick():
            return request.server == server and not until
        case events.Restrict(what="ban"):
            return request.server == server and until > 0
        case _:
            return False
