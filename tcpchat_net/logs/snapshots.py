"""Snapshots in a folder: each a state, by the number of its last entry, with its digest.

A snapshot is written beside the others, and has its name only when the disk has all of it: one that
can be seen is whole. Should the disk have damaged it all the same, its digest tells; then the one
before it is taken, and the damaged one is put aside.
"""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path
from typing import Final

from tcpchat_core import ChatState
from tcpchat_net.logs.store import MAX_SEQ, aside, sync_folder

_NAME: Final = re.compile(r"snapshot-([0-9]{20})\.bin")

# So many bytes of SHA-256 come before the state.
_DIGEST_BYTES: Final = 32


def write(folder: Path, state: ChatState) -> Path:
    """Keep a state. Raises OSError."""
    return write_bytes(folder, state.seq, state.snapshot())


def write_bytes(folder: Path, seq: int, data: bytes) -> Path:
    """Keep a state that is bytes already. Raises OSError."""
    path = path_of(folder, seq)
    unfinished = path.with_suffix(".tmp")
    with unfinished.open("wb") as file:
        file.write(hashlib.sha256(data).digest() + data)
        file.flush()
        os.fsync(file.fileno())
    unfinished.rename(path)
    sync_folder(folder)
    return path


def path_of(folder: Path, seq: int) -> Path:
    """Where the snapshot of an entry is."""
    return folder / f"snapshot-{seq:020}.bin"


def read(path: Path) -> ChatState | None:
    """The state of a snapshot; None for a file that is none, or no longer."""
    with path.open("rb") as file:
        digest, data = file.read(_DIGEST_BYTES), file.read()
    if hashlib.sha256(data).digest() != digest:
        return None
    try:
        return ChatState.restore(data)
    except ValueError:
        return None


def read_bytes(path: Path) -> bytes:
    """The state of a snapshot as bytes. Raises OSError."""
    with path.open("rb") as file:
        file.seek(_DIGEST_BYTES)
        return file.read()


def digest_of(path: Path) -> str:
    """The digest of a snapshot, as it was recorded."""
    with path.open("rb") as file:
        return file.read(_DIGEST_BYTES).hex()


def newest_whole(folder: Path, upto: int = MAX_SEQ) -> int | None:
    """The number of the last snapshot that is whole, and at most `upto`, without reading it in."""
    for seq, path in reversed(listed(folder)):
        if seq <= upto and _is_whole(path):
            return seq
    return None


def oldest_whole(folder: Path) -> int | None:
    """The number of the first snapshot that is whole, without reading it in."""
    return next((seq for seq, path in listed(folder) if _is_whole(path)), None)


def _is_whole(path: Path) -> bool:
    with path.open("rb") as file:
        digest = file.read(_DIGEST_BYTES)
        return hashlib.file_digest(file, "sha256").digest() == digest


def put_aside(path: Path) -> Path:
    """Give a file that is damaged another name, which no snapshot has; which name."""
    return path.rename(aside(path, "damaged"))


def listed(folder: Path) -> list[tuple[int, Path]]:
    """The snapshots of a folder, oldest first, by the number of their last entry."""
    return sorted(
        (int(found[1]), path)
        for path in folder.iterdir()
        if (found := _NAME.fullmatch(path.name)) is not None
    )


def keep_only(folder: Path, *seqs: int) -> None:
    """Remove all snapshots but these."""
    for seq, path in listed(folder):
        if seq not in seqs:
            path.unlink(missing_ok=True)


def remove_useless(folder: Path, first: int) -> None:
    """Remove what an interruption has left: what was not written to its end, and the snapshots
    that a log whose first entry is `first` does not go on from.
    """
    for path in folder.glob("snapshot-*.tmp"):
        path.unlink(missing_ok=True)
    for seq, path in listed(folder):
        if seq < first - 1:
            path.unlink(missing_ok=True)
