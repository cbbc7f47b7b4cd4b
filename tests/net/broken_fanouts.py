"""Fan-outs with one fault each, built around the real one: by overriding its public methods, or by
standing between it and its transports. The check of `naive` has to see every one.
"""

# ruff: noqa: ARG002 # a fault is often that an argument is not looked at

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator
from typing import Final, NamedTuple

from tcpchat_core import Audience
from tcpchat_net import Fanout, Transport
from tests.net.naive import (
    Allow,
    Block,
    CheckStalls,
    EndTurn,
    Enter,
    Leave,
    SayTo,
    SendTo,
    Step,
    StreamTo,
)


class Fault(NamedTuple):
    """What is broken, and where chance meets it seldom, the steps that show it."""

    make: type[Fanout]
    shown_by: tuple[Step, ...] = ()

    @property
    def name(self) -> str:
        """What is wrong, as a sentence."""
        return self.make.__name__


class _Between:
    """A transport that passes everything on; its subclasses do not."""

    def __init__(self, inner: Transport) -> None:
        self.inner = inner

    def write(self, data: bytes | memoryview, /) -> int:
        return self.inner.write(data)

    def want_writable(self, wanted: bool) -> None:
        self.inner.want_writable(wanted)

    def owes(self, owes: bool, /) -> None:
        self.inner.owes(owes)

    def failed(self) -> None:
        self.inner.failed()

    def overrun(self) -> None:
        self.inner.overrun()

    def finished(self) -> None:
        self.inner.finished()


# ── Rule 1: byte for byte ────────────────────────────────────────────────────────────────────


class WhoComesIsSentNothingUntilTheNextTurn(Fanout):
    def __init__(self, wake: Callable[[], None], **options: int) -> None:
        super().__init__(wake, **options)
        self.newcomers: list[tuple[Audience, int]] = []

    def enter(self, audience: Audience, conn: int) -> None:
        self.newcomers.append((audience, conn))

    def flush(self, now: int) -> None:
        super().flush(now)
        newcomers, self.newcomers = self.newcomers, []
        for audience, conn in newcomers:
            super().enter(audience, conn)


class WhoComesIsSentWhatWasSaidBeforeInTheTurn(Fanout):
    def __init__(self, wake: Callable[[], None], **options: int) -> None:
        super().__init__(wake, **options)
        self.said: dict[int, bytes] = {}

    def enter(self, audience: Audience, conn: int) -> None:
        if said := self.said.get(id(audience)):
            self.send(conn, said)
        super().enter(audience, conn)

    def broadcast(
        self,
        audience: Audience,
        data: bytes,
        author: int,
        receipt: bytes,
        also: tuple[Audience, ...] = (),
    ) -> None:
        self.said[id(audience)] = self.said.get(id(audience), b"") + data
        super().broadcast(audience, data, author, receipt, also)

    def flush(self, now: int) -> None:
        self.said.clear()
        super().flush(now)


class WhoHasLeftIsStillSentTo(Fanout):
    def leave(self, audience: Audience, conn: int) -> None:
        pass


class WhatOneIsSentComesBehindWhatRoomsAre(Fanout):
    def __init__(self, wake: Callable[[], None], **options: int) -> None:
        super().__init__(wake, **options)
        self.sent: list[tuple[int, bytes]] = []

    def send(self, conn: int, data: bytes) -> None:
        self.sent.append((conn, data))
        super().send(conn, b"")  # it is woken

    def flush(self, now: int) -> None:
        sent, self.sent = self.sent, []
        for conn, data in sent:
            super().send(conn, data)
        super().flush(now)


class WhatOneIsSentOvertakesWhatWaits(Fanout):
    def __init__(self, wake: Callable[[], None], **options: int) -> None:
        super().__init__(wake, **options)
        self.transports: dict[int, Transport] = {}

    def add(self, conn: int, transport: Transport) -> None:
        self.transports[conn] = transport
        super().add(conn, transport)

    def remove(self, conn: int) -> None:
        self.transports.pop(conn, None)
        super().remove(conn)

    def send(self, conn: int, data: bytes) -> None:
        if conn in self.transports:
            with contextlib.suppress(OSError, MemoryError):
                data = data[self.transports[conn].write(data) :]
            super().send(conn, data)


class WhoIsInTwoRoomsIsToldTwice(Fanout):
    def broadcast(
        self,
        audience: Audience,
        data: bytes,
        author: int,
        receipt: bytes,
        also: tuple[Audience, ...] = (),
    ) -> None:
        for each in (audience, *also):
            super().broadcast(each, data, author, receipt)


class OnlyTheFirstOfSeveralRoomsIsTold(Fanout):
    def broadcast(
        self,
        audience: Audience,
        data: bytes,
        author: int,
        receipt: bytes,
        also: tuple[Audience, ...] = (),
    ) -> None:
        super().broadcast(audience, data, author, receipt)


class WhoComesAfterAllWereToldIsNotTold(Fanout):
    """Who is in any of several rooms is found out once in a turn, for the first who tells them."""

    def __init__(self, wake: Callable[[], None], **options: int) -> None:
        super().__init__(wake, **options)
        self.everybody: dict[tuple[Audience, ...], Audience] = {}
        self.members: dict[int, set[int]] = {}

    def enter(self, audience: Audience, conn: int) -> None:
        self.members.setdefault(id(audience), set()).add(conn)
        super().enter(audience, conn)

    def leave(self, audience: Audience, conn: int) -> None:
        self.members.setdefault(id(audience), set()).discard(conn)
        super().leave(audience, conn)

    def broadcast(
        self,
        audience: Audience,
        data: bytes,
        author: int,
        receipt: bytes,
        also: tuple[Audience, ...] = (),
    ) -> None:
        if not also:
            super().broadcast(audience, data, author, receipt)
            return
        rooms = (audience, *also)
        if rooms not in self.everybody:
            everybody = self.everybody[rooms] = Audience()
            members = set[int]().union(*(self.members.get(id(room), ()) for room in rooms))
            for conn in sorted(members):
                super().enter(everybody, conn)
        super().broadcast(self.everybody[rooms], data, author, receipt)

    def flush(self, now: int) -> None:
        super().flush(now)
        for everybody in self.everybody.values():
            for members in self.members.values():
                for conn in members:
                    super().leave(everybody, conn)
        self.everybody.clear()


class WhatIsRemovedIsWrittenTo(Fanout):
    def remove(self, conn: int) -> None:
        pass


class NobodyIsWoken(Fanout):
    def __init__(self, wake: Callable[[], None], **options: int) -> None:
        super().__init__(lambda: None, **options)


# ── Rule 2: receipts ─────────────────────────────────────────────────────────────────────────


class AnAuthorGetsItsOwnMessage(Fanout):
    def broadcast(
        self,
        audience: Audience,
        data: bytes,
        author: int,
        receipt: bytes,
        also: tuple[Audience, ...] = (),
    ) -> None:
        super().broadcast(audience, data, -1, receipt, also)


class AnAuthorGetsNoReceipt(Fanout):
    def broadcast(
        self,
        audience: Audience,
        data: bytes,
        author: int,
        receipt: bytes,
        also: tuple[Audience, ...] = (),
    ) -> None:
        super().broadcast(audience, data, author, b"", also)


class AReceiptComesWhetherOneIsThereOrNot(Fanout):
    def broadcast(
        self,
        audience: Audience,
        data: bytes,
        author: int,
        receipt: bytes,
        also: tuple[Audience, ...] = (),
    ) -> None:
        super().broadcast(audience, data, author, b"", also)
        self.send(author, receipt)


class AReceiptStandsBehindTheNextMessage(Fanout):
    def __init__(self, wake: Callable[[], None], **options: int) -> None:
        super().__init__(wake, **options)
        self.receipt: tuple[Audience, int, bytes] | None = None

    def broadcast(
        self,
        audience: Audience,
        data: bytes,
        author: int,
        receipt: bytes,
        also: tuple[Audience, ...] = (),
    ) -> None:
        super().broadcast(audience, data, author, b"", also)
        self.late()
        self.receipt = (audience, author, receipt)

    def late(self) -> None:
        late, self.receipt = self.receipt, None
        if late is not None:
            audience, author, receipt = late
            super().broadcast(audience, b"", author, receipt)

    def flush(self, now: int) -> None:
        self.late()
        super().flush(now)


# ── Rule 3: together in one group at most ────────────────────────────────────────────────────


class EachRoomIsWrittenByItself(Fanout):
    """What every fan-out is at first: one list for each room, written in the order of rooms."""

    def __init__(self, wake: Callable[[], None], **options: int) -> None:
        super().__init__(wake, **options)
        self.said: dict[Audience, list[tuple[bytes, int, bytes]]] = {}

    def broadcast(
        self,
        audience: Audience,
        data: bytes,
        author: int,
        receipt: bytes,
        also: tuple[Audience, ...] = (),
    ) -> None:
        if also:
            super().broadcast(audience, data, author, receipt, also)
            return
        if not self.said:
            super().send(author, b"")
        self.said.setdefault(audience, []).append((data, author, receipt))

    def leave(self, audience: Audience, conn: int) -> None:
        self.say(audience)
        super().leave(audience, conn)

    def enter(self, audience: Audience, conn: int) -> None:
        self.say(audience)
        super().enter(audience, conn)

    def say(self, audience: Audience) -> None:
        for told in self.said.pop(audience, ()):
            super().broadcast(audience, *told)

    def flush(self, now: int) -> None:
        for audience in tuple(self.said):
            self.say(audience)
        super().flush(now)


# ── Rule 5: nothing waits, and what is not taken stays ───────────────────────────────────────


class WhatTheKernelDoesNotTakeIsLost(Fanout):
    def add(self, conn: int, transport: Transport) -> None:
        class Lossy(_Between):
            def write(self, data: bytes | memoryview, /) -> int:
                with contextlib.suppress(BlockingIOError):
                    super().write(data)
                return len(data)

        super().add(conn, Lossy(transport))


class AByteIsWrittenTwiceAfterAPartialWrite(Fanout):
    def add(self, conn: int, transport: Transport) -> None:
        class OneOff(_Between):
            def write(self, data: bytes | memoryview, /) -> int:
                count = super().write(data)
                return count if count == len(data) else max(0, count - 1)

        super().add(conn, OneOff(transport))


class NobodyWaitsForASlowPeer(Fanout):
    def add(self, conn: int, transport: Transport) -> None:
        class Deaf(_Between):
            def want_writable(self, wanted: bool) -> None:
                pass

        super().add(conn, Deaf(transport))


class WhatFailedIsNotToldOf(Fanout):
    def add(self, conn: int, transport: Transport) -> None:
        class Silent(_Between):
            def failed(self) -> None:
                pass

        super().add(conn, Silent(transport))


# ── Rule 6: bounds, streams and ends ─────────────────────────────────────────────────────────


class ThereIsNoBoundOfBytes(Fanout):
    def __init__(
        self, wake: Callable[[], None], *, max_backlog_bytes: int, stall_timeout_ms: int
    ) -> None:
        super().__init__(wake, stall_timeout_ms=stall_timeout_ms)


class ThereIsNoBoundOfTime(Fanout):
    def check_stalls(self, now: int) -> None:
        pass


class TimeRunsWhileThereIsProgress(Fanout):
    def writable(self, conn: int, now: int) -> None:
        super().writable(conn, 0)


class WhatWaitsIsCountedAsIfNothingWereWritten(Fanout):
    @property
    def backlog_bytes(self) -> int:
        return 2 * super().backlog_bytes


class AStreamIsMadeAtOnce(Fanout):
    def stream(self, conn: int, pieces: Iterable[bytes]) -> None:
        super().stream(conn, list(pieces))


class AStreamIsAPieceAhead(Fanout):
    def stream(self, conn: int, pieces: Iterable[bytes]) -> None:
        def ahead() -> Iterator[bytes]:
            before: bytes | None = None
            for piece in pieces:
                if before is not None:
                    yield before
                before = piece
            yield before or b""

        super().stream(conn, ahead())


class AStreamCountsForTheBound(Fanout):
    def stream(self, conn: int, pieces: Iterable[bytes]) -> None:
        self.send(conn, b"".join(pieces))


class WhatIsSentAfterAStreamOvertakesIt(Fanout):
    def __init__(self, wake: Callable[[], None], **options: int) -> None:
        super().__init__(wake, **options)
        self.streams: list[tuple[int, Iterable[bytes]]] = []

    def stream(self, conn: int, pieces: Iterable[bytes]) -> None:
        self.streams.append((conn, pieces))
        super().send(conn, b"")

    def flush(self, now: int) -> None:
        streams, self.streams = self.streams, []
        for conn, pieces in streams:
            super().stream(conn, pieces)
        super().flush(now)


class AStreamIsNotSpokenOf(Fanout):
    def add(self, conn: int, transport: Transport) -> None:
        class Silent(_Between):
            def owes(self, owes: bool, /) -> None:
                pass

        super().add(conn, Silent(transport))


class ABacklogIsSpokenOfAsAStream(Fanout):
    def add(self, conn: int, transport: Transport) -> None:
        class Overdone(_Between):
            def want_writable(self, wanted: bool) -> None:
                super().want_writable(wanted)
                self.inner.owes(wanted)

            def owes(self, owes: bool, /) -> None:
                pass

        super().add(conn, Overdone(transport))


class AConnectionIsClosedWithBytesLeft(Fanout):
    def __init__(self, wake: Callable[[], None], **options: int) -> None:
        super().__init__(wake, **options)
        self.transports: dict[int, Transport] = {}

    def add(self, conn: int, transport: Transport) -> None:
        self.transports[conn] = transport
        super().add(conn, transport)

    def close(self, conn: int) -> None:
        self.transports[conn].finished()


class AConnectionIsNeverClosed(Fanout):
    def close(self, conn: int) -> None:
        pass


class AnEndIsToldTwice(Fanout):
    def add(self, conn: int, transport: Transport) -> None:
        class Twice(_Between):
            def finished(self) -> None:
                super().finished()
                super().finished()

        super().add(conn, Twice(transport))


class LastWordsBeginInsideALine(Fanout):
    def __init__(self, wake: Callable[[], None], **options: int) -> None:
        super().__init__(wake, **options)
        self.transports: dict[int, Transport] = {}

    def add(self, conn: int, transport: Transport) -> None:
        self.transports[conn] = transport
        super().add(conn, transport)

    def last_words(self, conn: int, data: bytes) -> None:
        with contextlib.suppress(OSError, MemoryError):
            self.transports[conn].write(data)


FAULTS: Final = (
    Fault(WhoComesIsSentNothingUntilTheNextTurn),
    Fault(WhoComesIsSentWhatWasSaidBeforeInTheTurn),
    Fault(WhoHasLeftIsStillSentTo),
    Fault(WhatOneIsSentComesBehindWhatRoomsAre),
    Fault(WhatOneIsSentOvertakesWhatWaits),
    Fault(WhoIsInTwoRoomsIsToldTwice),
    Fault(OnlyTheFirstOfSeveralRoomsIsTold),
    Fault(
        WhoComesAfterAllWereToldIsNotTold,
        (
            Leave(0, 1, is_told=False),
            Leave(1, 1, is_told=False),
            SayTo((0, 1), author=0, letters=1, receipt_letters=None),
            Enter(0, 1, is_told=False),
            SayTo((0, 1), author=0, letters=1, receipt_letters=None),
        ),
    ),
    Fault(WhatIsRemovedIsWrittenTo),
    Fault(NobodyIsWoken),
    Fault(AnAuthorGetsItsOwnMessage),
    Fault(AnAuthorGetsNoReceipt),
    Fault(AReceiptComesWhetherOneIsThereOrNot),
    Fault(AReceiptStandsBehindTheNextMessage),
    Fault(EachRoomIsWrittenByItself),
    Fault(WhatTheKernelDoesNotTakeIsLost),
    Fault(AByteIsWrittenTwiceAfterAPartialWrite),
    Fault(NobodyWaitsForASlowPeer),
    Fault(WhatFailedIsNotToldOf),
    Fault(ThereIsNoBoundOfBytes),
    Fault(ThereIsNoBoundOfTime),
    Fault(
        TimeRunsWhileThereIsProgress,
        (
            EndTurn(take_words=True, took_ms=60),
            Block(0),
            SendTo(0, (5,)),
            EndTurn(take_words=True, took_ms=60),
            Allow(0, 3),
            EndTurn(take_words=True, took_ms=60),
            CheckStalls(take_words=True),
        ),
    ),
    Fault(WhatWaitsIsCountedAsIfNothingWereWritten),
    Fault(AStreamIsMadeAtOnce),
    Fault(AStreamIsAPieceAhead),
    Fault(AStreamCountsForTheBound),
    Fault(WhatIsSentAfterAStreamOvertakesIt),
    Fault(AStreamIsNotSpokenOf, (Block(0), StreamTo(0, (3,)), EndTurn(True, 0))),
    Fault(ABacklogIsSpokenOfAsAStream),
    Fault(AConnectionIsClosedWithBytesLeft),
    Fault(AConnectionIsNeverClosed),
    Fault(AnEndIsToldTwice),
    Fault(
        LastWordsBeginInsideALine,
        (
            Block(0),
            Allow(0, 3),
            SendTo(0, (5,)),
            EndTurn(take_words=True, took_ms=100),
            CheckStalls(take_words=True),
        ),
    ),
)
