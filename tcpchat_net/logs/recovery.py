"""What a node begins with: the state that its log comes to.

The last snapshot, then every entry behind it. Nothing is told of them to anybody: who was connected
then is not any more, and the first thing that the node proposes is that they are gone (`Lapse`).
"""

from __future__ import annotations

import gc
from collections.abc import Callable
from typing import Final, NamedTuple

from tcpchat_core import ChatState
from tcpchat_core.archive import Archived
from tcpchat_net.logs import snapshots
from tcpchat_net.logs.archive import ArchiveStore
from tcpchat_net.logs.replayer import SAID_AT_A_TIME, replay_batch
from tcpchat_net.logs.store import Batch, Store, StoreError

# An archive that lacks more entries than this is filled while the server serves: it would take
# a second or more.
MAX_LACKING: Final = 20_000


class Recovered(NamedTuple):
    """A state, and whether the archive still lacks something that was said."""

    state: ChatState
    is_behind: bool


def recover(
    store: Store,
    fresh: Callable[[], ChatState],
    archive: ArchiveStore,
    *,
    progress: Callable[[int, int], None] = lambda _reached, _last: None,
) -> Recovered:
    """The state that the log in a store comes to; an archive that lacks little is brought up to it.

    `fresh` makes the state of before the first entry. `progress` is told, now and then, which entry
    has been reached and which is the last. Raises StoreError, and ArchiveError.
    """
    # No cycles are made here, and to look for them in a state that grows would take a third of it.
    gc.disable()
    try:
        return _recovered(store, fresh, archive, progress)
    finally:
        gc.enable()


def _recovered(
    store: Store,
    fresh: Callable[[], ChatState],
    archive: ArchiveStore,
    progress: Callable[[int, int], None],
) -> Recovered:
    last, _ = store.last()
    state = _start(store, last) or fresh()
    known = archive.reached()
    is_behind = known < state.seq or last - known > MAX_LACKING
    said: list[Archived] = []
    for batch in store.read_all(state.seq):
        said += _replayed(store, state, batch, last if is_behind else known)
        if len(said) >= SAID_AT_A_TIME:
            archive.add(said, state.seq)
            said.clear()
        progress(state.seq, last)
    if not is_behind:
        archive.add(said, state.seq)
    return Recovered(state, is_behind)


def _start(store: Store, last: int) -> ChatState | None:
    """The state of the last snapshot; None when all begins with the log."""
    listed = snapshots.listed(store.folder)
    if listed and listed[-1][0] > last:
        raise StoreError(
            f"the log in {store.folder} ends with the entry {last}, and there is a snapshot of"
            f" {listed[-1][0]}: they are of different times; put a backup in the folder's place,"
            " or take the newer snapshots away"
        )
    snapshot = snapshots.newest(store.folder)
    return None if snapshot is None else snapshot.state


def _replayed(store: Store, state: ChatState, batch: Batch, known: int) -> list[Archived]:
    try:
        return list(replay_batch(state, batch, known))
    except ValueError as error:
        raise StoreError(
            f"the log in {store.folder} cannot be read: {error}; put a backup in the folder's"
            " place, or give another with --data"
        ) from error
