"""What a node begins with: the state that its log comes to.

The last snapshot, then every entry behind it. Nothing is told of them to anybody: who was connected
then is not any more, and the first thing that the node proposes is that they are gone (`Lapse`).

Rule: Nothing that was said is removed before all of the log has been read, and what is damaged only
      gets another name. What cannot be gone on with is refused as it is.
"""

from __future__ import annotations

import gc
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple

from tcpchat_core import ChatState
from tcpchat_core.archive import Archived
from tcpchat_net.logs import snapshots
from tcpchat_net.logs.archive import ArchiveStore, DamagedError
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
    complain: Callable[[str], None],
    progress: Callable[[int, int], None] = lambda _reached, _last: None,
) -> Recovered:
    """The state that the log in a store comes to, in a folder that can be gone on with.

    The store is open; the archive is opened, and one that lacks little is brought up to the log.
    `fresh` makes the state of before the
    first entry. `complain` is told what was not as it should be. `progress` is told, now and then,
    which entry has been reached and which is the last. Raises StoreError, and ArchiveError.
    """
    # No cycles are made here, and to look for them in a state that grows would take a third of it.
    gc.disable()
    try:
        return _recovered(store, fresh, archive, complain, progress)
    finally:
        gc.enable()


def _recovered(
    store: Store,
    fresh: Callable[[], ChatState],
    archive: ArchiveStore,
    complain: Callable[[str], None],
    progress: Callable[[int, int], None],
) -> Recovered:
    unless_damaged(archive, archive.open, complain)
    unless_damaged(archive, archive.reached, complain)
    last, _ = store.last()
    known = archive.reached()
    _check_ends(store, last, archive, known)
    state, damaged = _start(store)
    state = state or fresh()
    is_behind = known < state.seq or last - known > MAX_LACKING
    said: list[Archived] = []
    for batch in store.read_all(state.seq):
        said += _replayed(store, state, batch, last if is_behind else known)
        if len(said) >= SAID_AT_A_TIME:
            is_behind = not unless_damaged(
                archive, partial(archive.add, tuple(said), state.seq), complain
            )
            said.clear()
        progress(state.seq, last)
    if not is_behind:
        is_behind = not unless_damaged(archive, partial(archive.add, said, state.seq), complain)
    if known > last:
        is_behind |= not unless_damaged(
            archive, partial(cut_archive, archive, last, complain), complain
        )
    for path in damaged:
        complain(f"{path} is damaged; it is now {snapshots.put_aside(path).name}")
    _keep_base(store.folder, fresh)
    return Recovered(state, is_behind)


def unless_damaged(
    archive: ArchiveStore, act: Callable[[], object], complain: Callable[[str], None]
) -> bool:
    """Do something with the archive. False: it is damaged, and was put aside for a new one."""
    try:
        act()
    except DamagedError as error:
        aside = archive.put_aside()
        complain(f"{error}; it is now {aside.name}, and a new one is filled from the log")
        archive.open()
        return False
    return True


def cut_archive(archive: ArchiveStore, last: int, complain: Callable[[str], None]) -> None:
    """Forget what is beyond the log: a power cut takes the end of one that was not synced."""
    copy = archive.copy_aside()
    complain(
        f"the log has lost what came after its entry {last}: the archive had more, and has"
        f" forgotten it; a copy of it as it was is {copy.name}"
    )
    archive.forget_beyond(last)


def _check_ends(store: Store, last: int, archive: ArchiveStore, known: int) -> None:
    """Refuse a log that is older than what stands beside it."""
    listed = snapshots.listed(store.folder)
    if listed and listed[-1][0] > last:
        raise StoreError(
            f"the log in {store.folder} ends with the entry {last}, and there is a snapshot of"
            f" {listed[-1][0]}: they are of different times; put a backup in the folder's place,"
            " or take the newer snapshots away"
        )
    if known and not last:
        raise StoreError(
            f"the log in {store.folder} is empty, and {archive.path.name} has what was said up to"
            f" the entry {known}; put a backup in the folder's place, or give another with --data"
        )


def _start(store: Store) -> tuple[ChatState | None, list[Path]]:
    """The state of the last snapshot that is whole, and the damaged ones that were found.

    None when all begins with the log.
    """
    damaged: list[Path] = []
    for _, path in reversed(snapshots.listed(store.folder)):
        state = snapshots.read(path)
        if state is not None:
            return state, damaged
        damaged.append(path)
    return None, damaged


def _replayed(store: Store, state: ChatState, batch: Batch, known: int) -> list[Archived]:
    try:
        return list(replay_batch(state, batch, known))
    except ValueError as error:
        raise StoreError(
            f"the log in {store.folder} cannot be read: {error}; put a backup in the folder's"
            " place, or give another with --data"
        ) from error


def _keep_base(folder: Path, fresh: Callable[[], ChatState]) -> None:
    """The log begins behind a snapshot: one that was read from its first entry on, behind that."""
    if not snapshots.listed(folder):
        try:
            snapshots.write(folder, fresh())
        except OSError as error:
            raise StoreError(f"cannot write to {folder}: {error.strerror}") from error
