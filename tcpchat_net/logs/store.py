"""The file that a log is kept in: SQLite, one row a batch.

A row holds a whole batch (see `records`): a row for each entry is no faster to write, and slower to
read. The rows stand in *segments*, each a table, and are forgotten a segment at a time. (When rows
are removed from a table, SQLite overwrites them; but it may have moved them from page to page
before, and does not overwrite where they were. Of a table that is removed, it overwrites all.)
Each row has a checksum: a disk may give back something else than it was given.

There is exactly one connection to the file (with two, SQLite 3.7 to 3.51.2 can lose what was
written while one of them starts the WAL anew), and it locks out all others: two servers on one
folder would each give the same numbers to other things.

Nothing here waits for anything but the disk, and all of it does: call it from a thread of its own.

Rule 1: `append` returns when the disk has the batch. Should the power fail then, it is there.

Rule 2: What could not be written because the disk is full is not there, and may be tried again.
        After any other failure nobody knows what the disk has: nothing is tried again, and the
        truth is what the next start finds.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

# The number of the format: of the tables, of the snapshots, and of what the records mean. A folder
# of an older one is read, and has this one's number from then on. 1 was one table of rows; 2 had
# events, and fields of them, that grew until the first release that keeps a log; in 3, nothing that
# was said answered something, and an answer that is refused would be said.
FORMAT: Final = 4

LOG_NAME: Final = "log.db"

# What there is in a folder only beside a log. To begin a new one would give the numbers of what was
# said to other things.
_BESIDE_A_LOG: Final = ("archive.db", "snapshot-*.bin")

# How a file says that it is one of ours: "tcpc".
APPLICATION_ID: Final = 0x74637063

# How long one who finds the file locked waits before it says so: a server that was stopped just now
# may be busy with its last write.
LOCK_TIMEOUT_S: Final = 2.0

# How many rows are read at a time: as a rule some ten kilobytes, and some milliseconds for which
# what is said has to wait.
ROWS_AT_A_TIME: Final = 200

# How much a segment may hold: to remove one takes some ten milliseconds.
ROWS_A_SEGMENT: Final = 10_000
BYTES_A_SEGMENT: Final = 4 * 1024 * 1024

# What reading raises when a file holds other things than were written to it.
UNREADABLE: Final = (TypeError, ValueError, KeyError, IndexError, OverflowError)

# No entry has a higher number: SQLite's integers end there.
MAX_SEQ: Final = 2**63 - 1

_TABLES: Final = f"""
    BEGIN;
    PRAGMA application_id = {APPLICATION_ID};
    PRAGMA user_version = {FORMAT};
    CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID, STRICT;
    COMMIT;
"""

_SEGMENT: Final = """
    CREATE TABLE segment_{} (
        last INTEGER PRIMARY KEY, first INTEGER NOT NULL, at INTEGER NOT NULL, record BLOB NOT NULL,
        checksum INTEGER NOT NULL
    ) STRICT
"""

_COLUMNS: Final = "first, last, at, record, checksum"


def aside(path: Path, why: str) -> Path:
    """A name for a file that is not to be used any more, which no other has: `FILE.why`."""
    names = (path.with_name(f"{path.name}.{why}{number}") for number in ("", *range(2, 1_000)))
    return next(name for name in names if not name.exists())


def sync_folder(folder: Path) -> None:
    """Have the disk know which names there are in a folder. Raises OSError."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class StoreError(Exception):
    """A folder cannot be used for a log, or no longer. Says in one sentence what to do."""


class FullError(StoreError):
    """There is no room for what was to be written, and nothing of it was."""


class Batch(NamedTuple):
    """One row: a record of the entries `first` to `last`, taken in at `at` (ms since the epoch)."""

    first: int
    last: int
    at: int
    record: bytes


class _Segment:
    """One table of rows. Of one that is empty, `last` is 0."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.table = f"segment_{number}"
        self.insert = f"INSERT INTO {self.table} ({_COLUMNS}) VALUES (?, ?, ?, ?, ?)"
        self.last = 0
        self.rows = self.size = 0  # are counted of the one that is written to

    @property
    def is_full(self) -> bool:
        """Whether another one is due."""
        return self.rows >= ROWS_A_SEGMENT or self.size >= BYTES_A_SEGMENT

    def add(self, batch: Batch) -> None:
        """Count a row."""
        self.rows, self.size, self.last = self.rows + 1, self.size + len(batch.record), batch.last


def _checksum(batch: Batch) -> int:
    return zlib.crc32(batch.record, zlib.crc32(f"{batch.first} {batch.last} {batch.at}".encode()))


def _row(batch: Batch) -> tuple[int, int, int, bytes, int]:
    return (*batch, _checksum(batch))


class Store:
    """The log of one node, in a folder. Call `open` first and `close` last.

    With `is_synced` false the system may keep what was written in its memory: a power cut loses
    the last half minute, a kill loses nothing.
    """

    def __init__(self, folder: Path, *, is_synced: bool = True) -> None:
        self.folder = folder
        self._path = folder / LOG_NAME
        self._is_synced = is_synced
        self._db: sqlite3.Connection | None = None
        self._segments: list[_Segment] = []  # the last is written to; the others are not empty

    # ── Opening ──────────────────────────────────────────────────────────────────────────────

    def open(self) -> None:
        """Open the file, or make it. Raises StoreError for one that cannot be used, as it is."""
        self._make_folder()
        if not self._path.exists() or not self._path.stat().st_size:
            # SQLite makes a file, and removes what stands beside an empty one.
            self._check_is_new(f"{LOG_NAME}-wal")
        with self._explained("open"):
            self._db = db = sqlite3.connect(
                self._path, timeout=LOCK_TIMEOUT_S, isolation_level=None, check_same_thread=False
            )
            db.execute("PRAGMA locking_mode = EXCLUSIVE")
            is_new = not db.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]
            if is_new:
                self._check_is_new()
                db.executescript(_TABLES)  # in the one file there is: all of it, or nothing
            else:
                self._check_format(db)
            db.execute("PRAGMA journal_mode = WAL")
            db.execute(f"PRAGMA synchronous = {'FULL' if self._is_synced else 'NORMAL'}")
            # What is past its time is gone from the file, and not only from the tables.
            db.execute("PRAGMA secure_delete = ON")
            db.execute("PRAGMA trusted_schema = OFF")
            # A write takes the lock for good: from here on nobody else can open it.
            self.set_meta("opened", "1")
            found = db.execute("PRAGMA user_version").fetchone()[0]
            if found == 1:
                self._convert_format_1(db)
            if found < FORMAT:  # an older tcpchat would not understand what is written from here on
                db.execute(f"PRAGMA user_version = {FORMAT}")
            self._find_segments(db)
        if is_new:
            try:
                sync_folder(self.folder)
            except OSError as error:
                raise StoreError(f"cannot write to {self.folder}: {error.strerror}") from error

    def close(self) -> None:
        """Let go of the file."""
        if self._db is not None:
            self._db.close()
            self._db = None

    def _make_folder(self) -> None:
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except FileExistsError:
            raise StoreError(f"{self.folder} is a file; give a folder with --data") from None
        except OSError as error:
            raise StoreError(
                f"cannot make the folder {self.folder}: {error.strerror};"
                " give another with --data, or --in-memory to keep nothing"
            ) from error
        if not os.access(self.folder, os.R_OK | os.W_OK | os.X_OK):
            raise StoreError(
                f"the folder {self.folder} cannot be written to by this user;"
                " give another with --data, or --in-memory to keep nothing"
            )

    def _check_is_new(self, *others: str) -> None:
        for name in (*_BESIDE_A_LOG, *others):
            for found in self.folder.glob(name):
                raise StoreError(
                    f"{self.folder} has {found.name}, and no log ({LOG_NAME}) that it belongs to;"
                    " put a backup in the folder's place, or give another with --data"
                )

    def _check_format(self, db: sqlite3.Connection) -> None:
        if db.execute("PRAGMA application_id").fetchone()[0] != APPLICATION_ID:
            raise StoreError(
                f"{self._path} is not a log of tcpchat; give another folder with --data"
            )
        found = db.execute("PRAGMA user_version").fetchone()[0]
        if found > FORMAT:
            raise StoreError(
                f"{self._path} was written by a newer tcpchat (its format is {found}, this one"
                f" reads up to {FORMAT}); update tcpchat, or give another folder with --data"
            )

    # ── What is kept beside the log ──────────────────────────────────────────────────────────

    def meta(self, key: str) -> str | None:
        """What is kept under a name."""
        with self._explained("read"):
            query = "SELECT value FROM meta WHERE key = ?"
            row = self._connection.execute(query, (key,)).fetchone()
            return None if row is None else str(row[0])

    def set_meta(self, key: str, value: str) -> None:
        """Keep something under a name."""
        with self._explained("write to"):
            self._connection.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (key, value))

    def all_meta(self) -> list[tuple[str, str]]:
        """All names, and what is kept under them."""
        with self._explained("read"):
            return self._connection.execute("SELECT key, value FROM meta").fetchall()

    # ── The log ──────────────────────────────────────────────────────────────────────────────

    def append(self, batch: Batch) -> None:
        """Write one batch behind the others. Raises FullError, or StoreError when all is over."""
        with self._explained("write to"):
            self._append(batch)

    def append_all(self, batches: Sequence[Batch]) -> None:
        """Write many batches at once, into a copy."""
        with self._explained("write to"):
            self._connection.execute("BEGIN")
            for batch in batches:
                self._append(batch)
            self._connection.execute("COMMIT")

    def _append(self, batch: Batch) -> None:
        segment = self._segments[-1]
        if segment.is_full:
            segment = self._begin_segment()
        self._connection.execute(segment.insert, _row(batch))
        segment.add(batch)

    def _begin_segment(self) -> _Segment:
        segment = _Segment(self._segments[-1].number + 1 if self._segments else 1)
        self._connection.execute(_SEGMENT.format(segment.number))
        self._segments.append(segment)
        return segment

    def _find_segments(self, db: sqlite3.Connection) -> None:
        rows = db.execute("SELECT name FROM sqlite_schema WHERE name GLOB 'segment_*'").fetchall()
        numbers = sorted(int(name.partition("_")[2]) for (name,) in rows)
        self._segments = []
        for number in numbers:
            segment = _Segment(number)
            query = f"SELECT ifnull(max(last), 0) FROM {segment.table}"
            (segment.last,) = db.execute(query).fetchone()
            self._segments.append(segment)
        if not self._segments:
            self._begin_segment()
        self._count(self._segments[-1])

    def _count(self, segment: _Segment) -> None:
        query = f"SELECT count(*), ifnull(sum(length(record)), 0) FROM {segment.table}"
        segment.rows, segment.size = self._connection.execute(query).fetchone()

    def _convert_format_1(self, db: sqlite3.Connection) -> None:
        """In format 1, all rows were in one table, and had no checksum."""
        db.execute("BEGIN")
        self._segments = []
        self._begin_segment()
        for row in db.execute("SELECT first, last, at, record FROM log ORDER BY last"):
            self._append(Batch(*row))
        db.execute("DROP TABLE log")
        db.execute("PRAGMA user_version = 2")
        db.execute("COMMIT")

    def first(self) -> int:
        """The number of the first entry; 1 when there is none."""
        with self._explained("read"):
            row = self._connection.execute(
                f"SELECT first FROM {self._segments[0].table} ORDER BY last LIMIT 1"
            ).fetchone()
            return 1 if row is None else int(row[0])

    def last(self) -> tuple[int, int]:
        """The number of the last entry and its time; 0 and 0 when there is none."""
        for segment in reversed(self._segments):
            if segment.last:
                return segment.last, self._last_at(segment)
        return 0, 0

    def _last_at(self, segment: _Segment) -> int:
        with self._explained("read"):
            query = f"SELECT at FROM {segment.table} WHERE last = ?"
            (at,) = self._connection.execute(query, (segment.last,)).fetchone()
            return int(at)

    def read(self, after: int, upto: int = MAX_SEQ) -> list[Batch]:
        """The next batches, of entries above `after` and up to `upto`, in order; [] at the end."""
        for segment in self._segments:
            if segment.last > after:
                with self._explained("read"):
                    rows = self._connection.execute(
                        f"SELECT {_COLUMNS} FROM {segment.table}"
                        " WHERE last > ? AND last <= ? ORDER BY last LIMIT ?",
                        (after, upto, ROWS_AT_A_TIME),
                    ).fetchall()
                    return [self._checked(Batch(*row[:4]), row[4]) for row in rows]
        return []

    def _checked(self, batch: Batch, checksum: int) -> Batch:
        if _checksum(batch) != checksum:
            raise self._damaged(f"the entries {batch.first} to {batch.last} are not as written")
        return batch

    def read_all(self, after: int) -> Iterator[Batch]:
        """All batches with entries beyond `after`."""
        while batches := self.read(after):
            yield from batches
            after = batches[-1].last

    def last_before(self, at: int) -> int:
        """The number of the last entry that was taken in before a time.

        When that is none of those here, it is the number before theirs.
        """
        found = self.first() - 1
        for segment in self._segments:
            if segment.last and self._last_at(segment) < at:
                found = segment.last
                continue
            # Later entries have later times: so it is in this one, or the one before.
            with self._explained("read"):
                query = f"SELECT max(last) FROM {segment.table} WHERE at < ?"
                (last,) = self._connection.execute(query, (at,)).fetchone()
            return found if last is None else int(last)
        return found

    def cut(self, upto: int) -> bool:
        """Forget some batches whose entries are not beyond `upto`; whether there were any.

        Their bytes are overwritten. The last batch of the log stays, whatever it is: the numbers
        go on from it.
        """
        first = self._segments[0]
        if first.last <= upto and any(segment.last for segment in self._segments[1:]):
            with self._explained("write to"):
                self._connection.execute(f"DROP TABLE {first.table}")
            del self._segments[0]
            return True
        upto = min(upto, first.last - 1)
        with self._explained("write to"):
            query = f"SELECT count(*) FROM {first.table} WHERE last <= ?"
            (count,) = self._connection.execute(query, (upto,)).fetchone()
            if count:
                self._rewrite(first, upto)
        return bool(count)

    def _rewrite(self, segment: _Segment, upto: int) -> None:
        """Have a segment hold only what is beyond an entry."""
        db = self._connection
        db.execute("BEGIN")
        try:
            db.execute(_SEGMENT.format(0))
            where = f"FROM {segment.table} WHERE last > ? ORDER BY last"
            db.execute(f"INSERT INTO segment_0 ({_COLUMNS}) SELECT {_COLUMNS} {where}", (upto,))
            db.execute(f"DROP TABLE {segment.table}")
            db.execute(f"ALTER TABLE segment_0 RENAME TO {segment.table}")
            db.execute("COMMIT")
        except BaseException:
            with contextlib.suppress(sqlite3.Error):  # SQLite may have done so itself
                db.execute("ROLLBACK")
            raise
        self._count(segment)

    def checkpoint(self) -> None:
        """Have all that is written in the one file, on the disk, and nothing beside it."""
        with self._explained("write to"):
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    def vacuum(self) -> None:
        """Make the file as small as it can be. It waits for all of it to be written."""
        with self._explained("write to"):
            self._connection.execute("VACUUM")
        self.checkpoint()

    # ── Errors ───────────────────────────────────────────────────────────────────────────────

    @property
    def _connection(self) -> sqlite3.Connection:
        assert self._db is not None, "the store is not open"
        return self._db

    @contextlib.contextmanager
    def _explained(self, what: str) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise self._explanation(what, error) from error
        except UNREADABLE as error:
            raise self._damaged("it holds what no log has") from error

    def _damaged(self, why: str) -> StoreError:
        return StoreError(
            f"{self._path} is damaged ({why}); put a backup in its place, or give another folder"
            " with --data"
        )

    def _explanation(self, what: str, error: sqlite3.Error) -> StoreError:
        code = getattr(error, "sqlite_errorcode", 0)
        match code & 0xFF:
            case sqlite3.SQLITE_FULL:
                return FullError(
                    f"there is no room left on the disk of {self.folder}; make room, or give"
                    " another folder with --data"
                )
            case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
                return StoreError(
                    f"another tcpchat-server uses the folder {self.folder}; stop it, or use"
                    " another folder (--data)"
                )
            case sqlite3.SQLITE_NOTADB | sqlite3.SQLITE_CORRUPT:
                return self._damaged(str(error))
            case _:
                return StoreError(f"cannot {what} {self._path}: {error}")
