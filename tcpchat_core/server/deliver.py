"""From actions to effects: who is here, in which flavour, and the bytes that tell it.

Theory. A room's members are told the same, but not all in the same way, and not all of them are
connected to this node. So the people of this node in a room stand in *lanes*, one for each flavour
in use; joining and leaving changes one lane by one. A notice is encoded once for each lane.

What one author says in a row is told in one broadcast: the bytes are joined, and all that is paid
for each message is its encoding.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Final, TypeAlias

import msgspec

from tcpchat_core import effects as asked
from tcpchat_core import events, notices
from tcpchat_core.dialects import Encoder, Flavour, Reader
from tcpchat_core.effects import Action, Audience, Broadcast, Close, Effect, Send, Stream
from tcpchat_core.events import Entry, Request
from tcpchat_core.notices import Notice, Said
from tcpchat_core.server.connection import Connection, Phase
from tcpchat_core.server.counts import Counts
from tcpchat_core.state import ChatState, Person
from tcpchat_core.state.refusals import not_in_room

# How much of a replay is made at a time: some hundreds of lines. Enough to fill a socket, little
# enough that nobody else waits for it.
_PIECE_BYTES: Final = 65_536

# Answers that may be long, and so are made when the peer takes them. (By type: that something is
# no instance of a Struct costs more to find out than to encode it.)
_LONG: Final = frozenset(
    {notices.HistoryPage, notices.Members, notices.RoomList, notices.RestrictionList}
)

# What is counted when one person is told it.
_COUNTED: Final = frozenset({notices.Rejected, notices.Told, notices.Sent, notices.Resumed})

# What is told of a room to who is in it: to who is put out meanwhile not any more.
_OF_ROOM: Final = (notices.HistoryPage, notices.Members, notices.RestrictionList)


class Lane(Audience):
    """Those of a room who are here and have the same flavour."""

    __slots__ = ("count",)

    def __init__(self) -> None:
        super().__init__()
        self.count = 0  # how many there are, once all effects so far are carried out


# What is kept with each audience of the state.
_Lanes: TypeAlias = dict[Flavour, Lane]


class Delivery:
    """Tells the connections of one node what the state wants them to be told.

    Call `add` with actions, in order, then `flush`: messages are held back until something else
    follows.
    """

    def __init__(
        self,
        state: ChatState,
        connections: dict[int, Connection],
        forget: Callable[[Connection], None],
        welcome: Callable[[Connection, notices.Welcome], notices.Welcome],
    ) -> None:
        self.counts = Counts()
        self._state = state
        self._connections = connections
        self._forget = forget
        self._welcome = welcome
        # What is held back: messages of one author to one audience; None while there are none.
        self._row: list[Broadcast[Notice]] = []
        self._said: list[Said] = []  # their payloads
        self._audience: Audience | None = None
        self._author = 0

    # ── Actions ──────────────────────────────────────────────────────────────────────────────

    def add(self, actions: Iterable[Action], entry: Entry, effects: list[Effect]) -> None:
        """Carry out what came of an entry."""
        for action in actions:
            if isinstance(action, Broadcast):
                if not (action.audience.derived or action.also):
                    continue  # none of them is here
                said = action.payload
                if isinstance(said, Said) and not action.also:
                    if action.audience is not self._audience or action.author != self._author:
                        self.flush(effects)
                        self._audience, self._author = action.audience, action.author
                    self._row.append(action)
                    self._said.append(said)
                else:
                    self.flush(effects)
                    self._tell_all(action, effects)
                continue
            self.flush(effects)
            if isinstance(action, Send):
                connection = self._connections.get(action.conn)
                if connection is not None:
                    if entry.conn != action.conn:
                        self.tell(connection, action.payload, None, effects)
                        continue
                    how = connection.hows.get(entry.number)
                    self.tell(connection, action.payload, entry.event, effects, how)
            else:
                self._carry_out(action, effects)

    def _carry_out(
        self,
        action: Stream[Notice] | asked.Enter | asked.Leave | Close,
        effects: list[Effect],
    ) -> None:
        connection = self._connections.get(_conn_of(action))
        if connection is None:
            return
        match action:
            case asked.Enter(audience):
                connection.rooms = (*connection.rooms, audience)
                _enter(audience, connection, effects)
            case asked.Leave(audience):
                connection.rooms = tuple(
                    [each for each in connection.rooms if each is not audience]
                )
                _leave(audience, connection, effects)
            case Stream(_, pieces):
                if connection.can_be_told:
                    replay = tuple(pieces)
                    self.counts.gaps += sum([type(each) is notices.Gap for each in replay])
                    effects.append(Stream(connection.conn, self._encoded(connection, replay)))
            case _:
                if connection.phase is not Phase.LOST:
                    effects.append(action)
                self._forget(connection)

    def flush(self, effects: list[Effect]) -> None:
        """Tell what was held back."""
        audience = self._audience
        if audience is None:
            return
        row, said = self._row, self._said
        self._row, self._said, self._audience = [], [], None
        lanes: _Lanes = audience.derived  # there are some, or it would not have been held back
        author = self._author
        own = self._connections.get(author)
        own_flavour: Flavour | None = None
        reader: Reader | None = None  # the author's, where it is told that it was taken in
        if own is not None and own.reader is not None and own.reader.acknowledges:
            reader, own_flavour = own.reader, own.flavour
        here = 0
        for flavour, lane in lanes.items():
            here += lane.count
            receipts = b""
            if reader is not None and (flavour is own_flavour or flavour == own_flavour):
                receipts = b"".join([_receipt(reader, action) for action in row])
            effects.append(Broadcast(lane, flavour.encode_said(said), author, receipts))
        if own is not None:
            self.counts.messages += len(row)
            here -= 1
        self.counts.deliveries += here * len(row)

    def _tell_all(self, action: Broadcast[Notice], effects: list[Effect]) -> None:
        """Tell everybody in any of several audiences, once."""
        by_flavour: dict[Flavour, list[Lane]] = {}
        for audience in (action.audience, *action.also):
            lanes: _Lanes = audience.derived or {}
            for flavour, lane in lanes.items():
                by_flavour.setdefault(flavour, []).append(lane)
        own = self._connections.get(action.author)
        for flavour, (first, *more) in by_flavour.items():
            receipt = b""
            if own is not None and own.flavour == flavour:
                receipt = _receipt(_reader(own), action)
            payload = flavour.encode(action.payload)
            if payload or receipt:
                effects.append(Broadcast(first, payload, action.author, receipt, tuple(more)))

    # ── One connection ───────────────────────────────────────────────────────────────────────

    def tell(
        self,
        connection: Connection,
        notice: Notice,
        request: object,
        effects: list[Effect],
        how: object = None,
    ) -> None:
        """Tell one connection something, as a rule the answer to its request, and to `how` that was
        asked where the dialect has said so.
        """
        if not connection.can_be_told:
            return
        if type(notice) in _COUNTED:
            self._count(notice)
        if isinstance(notice, notices.Welcome):
            notice = self._welcome(connection, notice)
        elif connection.secrets:
            notice = _with_secret(connection, request, notice)
        if how is not None:
            request = how
        if type(notice) in _LONG:
            effects.append(Stream(connection.conn, self._encoded(connection, [notice], request)))
            return
        reader = _reader(connection)
        if payload := reader.encode_for(self._nick(connection), notice, request):
            effects.append(Send(connection.conn, payload))
        if reader.flavour is not connection.flavour:  # it may have learnt something by that
            self.refresh_flavour(connection, effects)

    def _count(self, notice: Notice) -> None:
        counts = self.counts
        match notice:
            case notices.Rejected(reason):
                counts.reject(reason)
            case notices.Told():
                counts.deliveries += 1
            case notices.Resumed():
                counts.resumes += 1
            case notices.Sent(entry=entry) if entry == self._state.seq:
                counts.messages += 1  # direct; the receipt of an earlier one may come again
            case _:
                pass

    def welcome_again(self, connection: Connection, effects: list[Effect]) -> None:
        """Tell who is in the chat already, and turns out to speak another dialect, that it is."""
        person = self._state.person(connection.conn)
        if person is not None:
            account = person.account.nick if person.account is not None else ""
            welcome = notices.Welcome(person.nick, self._state.epoch, account=account)
            self.tell(connection, welcome, None, effects)

    def refresh_flavour(self, connection: Connection, effects: list[Effect]) -> None:
        """A connection's reader may have changed its flavour: then it changes its lanes."""
        reader = connection.reader
        if reader is None or reader.flavour == connection.flavour:
            return
        for audience in connection.rooms:
            _leave(audience, connection, effects)
        connection.flavour = reader.flavour
        for audience in connection.rooms:
            _enter(audience, connection, effects)

    def _encoded(
        self, connection: Connection, told: Iterable[Notice], request: Request | object = None
    ) -> Iterator[bytes]:
        """The bytes of many notices for one person, in pieces, made when they are wanted.

        Who has been put out of a room by then is told nothing of it any more.
        """
        encode, nick = _reader(connection).encoder(), self._nick(connection)
        # The same person, also when it speaks on another connection by then.
        person = self._state.person(connection.conn)
        return _pieces(encode, nick, told, request, person)

    def _nick(self, connection: Connection) -> str:
        person = self._state.person(connection.conn)
        return person.nick if person is not None else ""


def _reader(connection: Connection) -> Reader:
    reader = connection.reader
    assert reader is not None, "it can be told something in a dialect"
    return reader


def _pieces(
    encode: Encoder,
    nick: str,
    told: Iterable[Notice],
    request: Request | object,
    person: Person | None,
) -> Iterator[bytes]:
    piece: list[bytes] = []
    size = 0
    for notice in told:
        if person is None or person.put_out is None or not _is_of(notice, person.put_out):
            data = encode(nick, notice, request)
        elif isinstance(notice, _OF_ROOM):
            refused = not_in_room(str(notice.__struct_config__.tag), notice.room)
            data = encode(nick, refused, request)
        else:
            continue
        piece.append(data)
        size += len(data)
        if size >= _PIECE_BYTES:
            yield b"".join(piece)
            piece, size = [], 0
    if size:
        yield b"".join(piece)


def _is_of(notice: Notice, rooms: dict[str, notices.Left]) -> bool:
    """Whether a notice is of one of the rooms that somebody was put out of."""
    match notice:
        case (
            Said(room)
            | notices.HistoryPage(room)
            | notices.Members(room)
            | notices.RestrictionList(room)
            | notices.Gap(room)
        ):
            return any(left.room == room for left in rooms.values())
        case _:
            return False


def _with_secret(connection: Connection, request: object, notice: Notice) -> Notice:
    """The state says that a code or a token holds, if it does; which it is knows who made it."""
    match request:
        case events.Invite(code_hash=made) | events.Offer(code=made) | events.Claim(device=made):
            hashed = made
        case _:
            return notice
    match notice:
        case notices.Invited() | notices.Offered():
            return msgspec.structs.replace(notice, code=connection.secrets.pop(hashed, ""))
        case notices.Claimed():
            return msgspec.structs.replace(notice, token=connection.secrets.pop(hashed, ""))
        case notices.Rejected():
            connection.secrets.pop(hashed, None)
            return notice
        case _:
            return notice


def _conn_of(action: Stream[Notice] | asked.Enter | asked.Leave | Close) -> int:
    return action.conn


def _enter(audience: Audience, connection: Connection, effects: list[Effect]) -> None:
    lanes: _Lanes | None = audience.derived
    if lanes is None:
        lanes = audience.derived = {}
    lane = lanes.get(connection.flavour)
    if lane is None:
        lane = lanes[connection.flavour] = Lane()
    lane.count += 1
    effects.append(asked.Enter(lane, connection.conn))


def _leave(audience: Audience, connection: Connection, effects: list[Effect]) -> None:
    lanes: _Lanes = audience.derived
    lane = lanes[connection.flavour]
    lane.count -= 1
    if not lane.count:
        del lanes[connection.flavour]  # nothing is encoded for nobody
    effects.append(asked.Leave(lane, connection.conn))


def _receipt(reader: Reader, action: Broadcast[Notice]) -> bytes:
    """What a broadcast tells its author."""
    receipt = action.receipt
    return reader.encode_receipt(receipt, action.payload) if receipt is not None else b""
