"""Which messages were taken back, by all that a server tells: their texts are to go everywhere.

Who was away when it happened is told by what the server still shows of such a message.
"""

from __future__ import annotations

from collections.abc import Iterator

from tcpchat_core import notices
from tcpchat_core.notices import Notice


def taken_back_by(notice: Notice) -> Iterator[tuple[str, int]]:
    """The rooms and the numbers of messages that have no text any more, as this notice tells."""
    match notice:
        case notices.Redacted(room, seq):
            yield room, seq
        case (
            notices.Entered(history=messages)
            | notices.HistoryPage(messages=messages)
            | notices.SearchResults(messages=messages)
        ):
            yield from ((said.room, said.seq) for said in messages if said.redacted)
        case _:
            pass
