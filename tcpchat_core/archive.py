"""What a server asks its archive: all that was said, of which the state holds the last only.

The core decides what somebody may see; an archive finds it. The answers are messages, the newest
`limit + 1` of those that match, newest first: one more than are shown tells that there are more. Of
a page that begins with the `first` they are the oldest, oldest first; of a `Moment` there is one.
"""

from __future__ import annotations

from typing import TypeAlias

import msgspec

from tcpchat_core.notices import Said


class Place(msgspec.Struct, frozen=True):
    """A room in its present life: messages up to the number `born` are of an earlier one.

    `born` is also the number of the log's entry that made the room.
    """

    key: str
    born: int


class Page(msgspec.Struct, frozen=True):
    """The messages of a room whose numbers are below `before`, and above `after`: the last of
    them, or the `first`.
    """

    place: Place
    before: int
    limit: int
    after: int = 0
    first: bool = False


class Moment(msgspec.Struct, frozen=True):
    """The first message of a room from the time `at` on (ms since the epoch), of those whose
    numbers are below `before`; nothing when all of them are earlier.

    What is said later has a higher number, and no earlier time.
    """

    place: Place
    at: int
    before: int


class Matches(msgspec.Struct, frozen=True):
    """The messages in `places` that have all of `words`, by the author with the key `author` (""
    for anybody), from the time `since` on (ms since the epoch).

    Only those of the log's entries up to the number `upto`: what an asker who leaves does not hear
    any more may be in the archive before it looks.
    """

    places: tuple[Place, ...]
    words: tuple[str, ...]
    author: str
    since: int
    limit: int
    upto: int


Inquiry: TypeAlias = Page | Moment | Matches


class Archived(msgspec.Struct, frozen=True, gc=False):
    """One message for the archive: the number of its entry, and the keys of room and author.

    One that is `redacted` says that the message with its number, of the same room, was taken back:
    of that the text is to be forgotten. The entry is that of the taking back, there is no author.
    """

    id: int
    key: str
    author: str
    said: Said
