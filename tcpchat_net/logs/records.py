"""A batch as bytes, and back: what one row of a log holds.

A record is MessagePack: a list of proposals, each `[conn, number, [event, …]]`, and an event is a
map with its `type`. Fields that a reader does not know are skipped, so later versions may add some;
what changes the meaning of what is there gets a new format number (`store.FORMAT`).
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from tcpchat_core import Entry, Propose

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(list[Propose])


def encode_batch(batch: Sequence[Propose]) -> bytes:
    """The record of a batch."""
    return _encoder.encode(batch)


def decode_batch(record: bytes) -> list[Propose]:
    """The batch of a record. Raises ValueError for what is none."""
    return _decoder.decode(record)


def entries_of(batch: Sequence[Propose], first: int, at: int) -> list[Entry]:
    """The entries of a batch that a log has taken in at `at`, numbered from `first` on."""
    entries: list[Entry] = []
    for propose in batch:
        entries += propose.entries(first + len(entries), at)
    return entries
