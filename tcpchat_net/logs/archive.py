"""The archive: everything that was said in rooms, to page through and to search.

It is a projection of the log, in a file of its own: taken away, it is built again as far as the log
reaches. It is behind the log by moments and may never hold it up. Direct messages are not in it.

Rule 1: A message is known by the log's number of its entry. What comes again changes nothing.

Rule 2: Who asks says for which rooms, and since which number in each: a room that vanished and came
        back is another room, with other people in it, and shows them nothing of its earlier life.

Rule 3: A log that nodes share may lose its end, and give the numbers to other things. Its archive
        has points, by which it can be seen up to where it is of the log that there is.

All of it waits for the disk: call it from a thread of its own.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Final, NamedTuple, assert_never

import msgspec

from tcpchat_core.archive import Archived, Inquiry, Matches, Moment, Page
from tcpchat_core.notices import Said, kept_chars, quoted
from tcpchat_net.logs import Host, OnFound
from tcpchat_net.logs.store import UNREADABLE, aside, sync_folder

ARCHIVE_NAME: Final = "archive.db"

# As with the log: an older one is read, and has this number then. In 1, `emote` was 0 or 1, and to
# who read it so a notice would be an emote. In 2, no message answered another: who knows only that
# would forget one, and leave behind what it answered for the next that is given its number.
FORMAT: Final = 3
APPLICATION_ID: Final = 0x74637061  # "tcpa"

# How many messages may wait for the disk, and how many characters they may have: some tens of
# megabytes.
MAX_WAITING: Final = 50_000
MAX_WAITING_CHARS: Final = 16 * 1024 * 1024

# How often what waits is stored, and how much of it at a time. To index a message costs as much as
# to deliver it to some people: with many at once it is half of that, and when thousands are said in
# a second, those who talk go first.
STORE_EVERY_MS: Final = 250
STORED_AT_A_TIME: Final = 1_000

_TABLES: Final = f"""
    BEGIN;
    PRAGMA application_id = {APPLICATION_ID};
    PRAGMA user_version = {FORMAT};
    CREATE TABLE message (
        id INTEGER PRIMARY KEY,
        key TEXT NOT NULL,
        seq INTEGER NOT NULL,
        at INTEGER NOT NULL,
        room TEXT NOT NULL,
        nick TEXT NOT NULL,
        author TEXT NOT NULL,
        text TEXT NOT NULL,
        emote INTEGER NOT NULL
    ) STRICT;
    CREATE UNIQUE INDEX by_room ON message (key, seq);
    CREATE VIRTUAL TABLE words USING fts5 (
        names, text, content = '', columnsize = 0,
        tokenize = 'unicode61 remove_diacritics 2'
    );
    CREATE TABLE name (number INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE) STRICT;
    CREATE TABLE reached (one INTEGER PRIMARY KEY CHECK (one = 1), seq INTEGER NOT NULL) STRICT;
    INSERT INTO reached VALUES (1, 0);
    COMMIT;
"""

# An archive of an earlier version has none of these.
_POINTS: Final = """
    CREATE TABLE IF NOT EXISTS point (
        seq INTEGER PRIMARY KEY,
        chain TEXT NOT NULL,
        epoch TEXT NOT NULL
    ) STRICT
"""

# What few messages have: tags, as JSON, and the number of the message that they answer. An archive
# of an earlier version has no such tables either.
_OF_FEW: Final = {
    "tags": """
        CREATE {temporary} TABLE IF NOT EXISTS tags (
            id INTEGER PRIMARY KEY,
            tags TEXT NOT NULL
        ) STRICT
    """,
    "answer": """
        CREATE {temporary} TABLE IF NOT EXISTS answer (
            id INTEGER PRIMARY KEY,
            re INTEGER NOT NULL
        ) STRICT
    """,
}

# Of so many entries one point is kept, the last; and none behind which are so many: a shared log
# does not reach back as far.
_ENTRIES_A_POINT: Final = 1_000
_ENTRIES_WITH_POINTS: Final = 400_000

# What is in the index, too.
_INDEXED: Final = "id, key, author, text"

# What the column `emote` is made of: it was there first.
_EMOTE: Final = 1
_NOTICE: Final = 2
_BY_ACCOUNT: Final = 4

# What a message answers is shown as it is in the archive now.
_COLUMNS: Final = (
    "message.room, message.nick, message.text, message.seq, message.at, message.emote, tags.tags,"
    " answer.re, answered.nick, answered.text"
)
_WITH_MORE: Final = (
    "LEFT JOIN tags ON tags.id = message.id LEFT JOIN answer ON answer.id = message.id"
    " LEFT JOIN message AS answered ON answered.key = message.key AND answered.seq = answer.re"
)


# Errors of SQLite that say nothing of what is in the file. (With any other, it is not as it was
# written: what is added is new, for instance, so it fits into the tables.)
_NOT_THE_FILE: Final = frozenset(
    {
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_NOMEM,
        sqlite3.SQLITE_PERM,
        sqlite3.SQLITE_INTERRUPT,
        sqlite3.SQLITE_TOOBIG,
    }
)

# How many messages are looked at or forgotten in one step: some ten milliseconds.
_MESSAGES_AT_A_TIME: Final = 1_000

# How many pages of the index are merged in one step.
_PAGES_AT_A_TIME: Final = 500


class Point(NamedTuple):
    """An entry of a log that several nodes share: the chain of the log there, and the epoch."""

    seq: int
    chain: str
    epoch: str


class ArchiveError(Exception):
    """The archive cannot be used. Says why, in one sentence."""


class DamagedError(ArchiveError):
    """The file holds no archive, or no longer."""


class ArchiveStore:
    """The archive in a folder. Call `open` first and `close` last."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / ARCHIVE_NAME
        self._db: sqlite3.Connection | None = None
        self.is_new = False  # it was made by this program, and was not filled yet

    def open(self) -> None:
        """Open the file, or make it. Raises ArchiveError."""
        was_there = self.path.exists()
        try:
            self._open()
        except ArchiveError:
            self.close()
            if not was_there:
                for ending in ("", "-wal", "-shm"):
                    self.path.with_name(self.path.name + ending).unlink(missing_ok=True)
            raise

    def _open(self) -> None:
        with self._explained():
            self._db = db = sqlite3.connect(
                self.path, isolation_level=None, check_same_thread=False
            )
            is_new = not db.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]
            if not is_new:
                self._check_format(db)
            db.execute("PRAGMA journal_mode = WAL")
            # It can be built again, so the system may write when it likes.
            db.execute("PRAGMA synchronous = NORMAL")
            # What is past its time is gone from the file, and not only from the tables.
            db.execute("PRAGMA secure_delete = ON")
            if is_new:
                db.executescript(_TABLES)
                self._sync_folder()
                self.is_new = True
            db.execute(_POINTS)
            for table in _OF_FEW.values():
                db.execute(table.format(temporary=""))
            if db.execute("PRAGMA user_version").fetchone()[0] < FORMAT:
                db.execute(f"PRAGMA user_version = {FORMAT}")

    def open_to_read(self) -> None:
        """Open the file only to read what it has, also while a server writes to it.

        Raises ArchiveError.
        """
        if not self.path.exists():
            raise ArchiveError(
                f"there is no archive in {self.path.parent}; give the folder that the server keeps"
            )
        with self._explained():
            self._db = sqlite3.connect(f"{self.path.as_uri()}?mode=ro", uri=True)
            self._check_format(self._db)
            # Which is seen in the place of that in the file, and so is made only if there is none.
            for name, table in _OF_FEW.items():
                count = "SELECT count(*) FROM sqlite_schema WHERE name = ?"
                if not self._db.execute(count, (name,)).fetchone()[0]:
                    self._db.execute(table.format(temporary="TEMPORARY"))

    def close(self) -> None:
        """Let go of the file."""
        if self._db is not None:
            self._db.close()
            self._db = None

    def put_aside(self) -> Path:
        """Give a file that is damaged another name, so that a new one can be made; which name."""
        self.close()
        damaged = aside(self.path, "damaged")
        for ending in ("-wal", "-shm"):
            with contextlib.suppress(FileNotFoundError):
                self.path.with_name(self.path.name + ending).replace(f"{damaged}{ending}")
        return self.path.rename(damaged)

    def check(self) -> None:
        """Look whether all of the file can be read: some seconds for a million messages.

        Raises DamagedError.
        """
        with self._explained():
            found = self._connection.execute("PRAGMA quick_check(1)").fetchone()[0]
            query = "INSERT INTO words (words, rank) VALUES ('integrity-check', 0)"
            self._connection.execute(query)
        if found != "ok":
            raise self._damaged(found)

    def renew(self) -> Path | None:
        """Put the file aside, if there is one, and make a new one; which name it has now."""
        damaged = self.put_aside() if self.path.exists() else None
        self.open()
        return damaged

    def copy_aside(self) -> Path:
        """Write a copy of the file beside it; which name it has."""
        unfinished = self.path.with_name(f"{self.path.name}.tmp")
        unfinished.unlink(missing_ok=True)
        self.back_up(unfinished)
        return unfinished.rename(aside(self.path, "copy"))

    def _sync_folder(self) -> None:
        try:
            sync_folder(self.path.parent)
        except OSError as error:
            raise ArchiveError(f"cannot write to {self.path.parent}: {error.strerror}") from error

    def _check_format(self, db: sqlite3.Connection) -> None:
        if db.execute("PRAGMA application_id").fetchone()[0] != APPLICATION_ID:
            raise DamagedError(f"{self.path} is not an archive of tcpchat")
        found = db.execute("PRAGMA user_version").fetchone()[0]
        if found > FORMAT:
            raise ArchiveError(
                f"{self.path} was written by a newer tcpchat (its format is {found}, this one"
                f" reads up to {FORMAT}); update tcpchat, or give another folder with --data"
            )

    def reached(self) -> int:
        """The number of the last entry of the log that was looked at."""
        with self._explained():
            (seq,) = self._connection.execute("SELECT seq FROM reached").fetchone()
            return int(seq)

    def add(self, messages: Sequence[Archived], reached: int, point: Point | None = None) -> None:
        """Take in what was said, up to the entry `reached`, which is that of the `point`."""
        with self._explained(), self._transaction() as db:
            known = self.reached()
            self._add(db, [kept for kept in messages if kept.id > known])
            db.execute("UPDATE reached SET seq = max(seq, ?)", (reached,))
            if point is not None:
                self._add_point(db, point)

    def _add_point(self, db: sqlite3.Connection, point: Point) -> None:
        first = point.seq - point.seq % _ENTRIES_A_POINT
        db.execute("DELETE FROM point WHERE seq >= ?", (first,))
        db.execute("DELETE FROM point WHERE seq < ?", (point.seq - _ENTRIES_WITH_POINTS,))
        db.execute("INSERT INTO point VALUES (?, ?, ?)", point)

    def points(self) -> list[Point]:
        """Of which log this is, the newest point first."""
        with self._explained():
            rows = self._connection.execute("SELECT * FROM point ORDER BY seq DESC")
            return [Point(*row) for row in rows]

    def _add(self, db: sqlite3.Connection, messages: Sequence[Archived]) -> None:
        gone = [(kept.key, kept.said.seq) for kept in messages if kept.said.redacted]
        rows = [
            (
                kept.id,
                kept.key,
                kept.said.seq,
                kept.said.at,
                kept.said.room,
                kept.said.nick,
                kept.author,
                kept.said.text,
                kept.said.emote * _EMOTE
                | kept.said.notice * _NOTICE
                | kept.said.by_account * _BY_ACCOUNT,
            )
            for kept in messages
            if not kept.said.redacted
        ]
        db.executemany("INSERT INTO message VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", rows)
        names = {key for row in rows for key in ("r" + row[1], "a" + row[6])}
        db.executemany("INSERT OR IGNORE INTO name (key) VALUES (?)", [(key,) for key in names])
        numbers = {key: self._number(key) for key in names}
        db.executemany(
            "INSERT INTO words (rowid, names, text) VALUES (?, ?, ?)",
            [(row[0], f"{numbers['r' + row[1]]} {numbers['a' + row[6]]}", row[7]) for row in rows],
        )
        tagged = [
            (kept.id, msgspec.json.encode(kept.said.tags).decode())
            for kept in messages
            if kept.said.tags is not None
        ]
        db.executemany("INSERT INTO tags VALUES (?, ?)", tagged)
        answers = [(kept.id, kept.said.re) for kept in messages if kept.said.re is not None]
        db.executemany("INSERT INTO answer VALUES (?, ?)", answers)
        for each in gone:
            self._redact(db, *each)

    def _redact(self, db: sqlite3.Connection, key: str, seq: int) -> None:
        """Forget what a message said, but not that there was one: no text is empty otherwise."""
        where = "WHERE key = ? AND seq = ?"
        for id, _, author, text in db.execute(
            f"SELECT {_INDEXED} FROM message {where}", (key, seq)
        ):
            names = f"{self._number('r' + key)} {self._number('a' + author)}"
            add = "INSERT INTO words (words, rowid, names, text) VALUES ('delete', ?, ?, ?)"
            db.execute(add, (id, names, text))
            db.execute("INSERT INTO words (rowid, names, text) VALUES (?, ?, '')", (id, names))
            redact = "UPDATE message SET text = '', emote = ? WHERE id = ?"
            db.execute(redact, (_EMOTE, id))
            for table in _OF_FEW:
                db.execute(f"DELETE FROM {table} WHERE id = ?", (id,))

    def find(self, inquiry: Inquiry) -> list[Said]:
        """The messages that match: one more than were asked for, if there are so many."""
        with self._explained():
            match inquiry:
                case Page():
                    return self._page(inquiry)
                case Moment():
                    return self._moment(inquiry)
                case Matches():
                    return self._matches(inquiry, inquiry.limit + 1)
                case _:
                    assert_never(inquiry)

    def _page(self, page: Page) -> list[Said]:
        order = "ASC" if page.first else "DESC"
        rows = self._connection.execute(
            f"SELECT {_COLUMNS} FROM message {_WITH_MORE}"
            " WHERE message.key = ? AND message.seq > ? AND message.seq < ?"
            f" ORDER BY message.seq {order} LIMIT ?",
            (page.place.key, max(page.place.born, page.after), page.before, page.limit + 1),
        )
        return [_said(row, page.place.born) for row in rows]

    def _moment(self, moment: Moment) -> list[Said]:
        """By halves, as a later message has a higher number: so there is no index of times."""
        low, high = moment.place.born, moment.before
        first: list[Said] = []
        while low + 1 < high:
            middle = (low + high) // 2
            # The first one from the middle on; those before it are in the lower half.
            found = self._page(Page(moment.place, high, 0, after=middle - 1, first=True))
            if found and found[0].at < moment.at:
                low = found[0].seq
            else:
                first, high = found or first, middle
        return first

    def _matches(self, sought: Matches, count: int) -> list[Said]:
        born = {place.key: place.born for place in sought.places}
        numbers = [number for key in born if (number := self._number("r" + key))]
        if not numbers:
            return []
        rooms = " OR ".join(map(str, numbers))
        parts = [f"names : ({rooms})", *(f"text : {_phrase(word)}" for word in sought.words)]
        if sought.author:
            parts.append(f"names : {self._number('a' + sought.author)}")
        rows = self._connection.execute(
            f"SELECT {_COLUMNS}, message.key FROM words"
            f" JOIN message ON message.id = words.rowid {_WITH_MORE} WHERE words MATCH ?"
            " AND words.rowid > ? AND words.rowid <= ? AND message.at >= ?"
            " ORDER BY words.rowid DESC",
            (" AND ".join(parts), min(born.values()), sought.upto, sought.since),
        )
        matching = (_said(row[:-1], born[row[-1]]) for row in rows if row[3] > born[row[-1]])
        return list(islice(matching, count))

    def _number(self, key: str) -> int:
        row = self._connection.execute("SELECT number FROM name WHERE key = ?", (key,)).fetchone()
        return 0 if row is None else int(row[0])

    def everything(self, key: str, after: int = 0) -> list[Said]:
        """The next messages of a room whose numbers are above `after`, of all its lives."""
        with self._explained():
            rows = self._connection.execute(
                f"SELECT {_COLUMNS} FROM message {_WITH_MORE}"
                " WHERE message.key = ? AND message.seq > ? ORDER BY message.seq LIMIT ?",
                (key, after, _MESSAGES_AT_A_TIME),
            )
            return [_said(row, 0) for row in rows]

    def count(self, key: str) -> int:
        """How many messages of a room there are."""
        with self._explained():
            rows = self._connection.execute("SELECT count(*) FROM message WHERE key = ?", (key,))
            return int(rows.fetchone()[0])

    # ── What is past its time ────────────────────────────────────────────────────────────────

    def trim(self, before: int) -> bool:
        """Forget some messages of before a time (ms since the epoch); whether there were any."""
        # Later entries have later times, so it is enough to look at the first ones.
        return self._forget(
            f"SELECT {_INDEXED} FROM (SELECT * FROM message ORDER BY id LIMIT ?) WHERE at < ?",
            (_MESSAGES_AT_A_TIME, before),
        )

    def forget_beyond(self, last: int) -> None:
        """Forget all beyond an entry of the log: their numbers will be given to other things."""
        beyond = f"SELECT {_INDEXED} FROM message WHERE id > ? LIMIT ?"
        while self._forget(beyond, (last, _MESSAGES_AT_A_TIME)):
            pass
        with self._explained(), self._transaction() as db:
            db.execute("UPDATE reached SET seq = ?", (last,))
            db.execute("DELETE FROM point WHERE seq > ?", (last,))

    def merge(self) -> bool:
        """Do a part of what makes the index one piece; whether anything was left to do.

        Words of what was forgotten stand in the index until it is: a deletion is a mark in it.
        """
        with self._explained(), self._transaction() as db:
            before = db.total_changes
            db.execute("INSERT INTO words (words, rank) VALUES ('merge', ?)", (_PAGES_AT_A_TIME,))
            # Less than two is what SQLite says when there was nothing: fts5.html, 6.8.
            return db.total_changes - before >= 2

    def begin_merge(self) -> None:
        """Have the next calls of `merge` make the index one piece."""
        with self._explained(), self._transaction() as db:
            db.execute("INSERT INTO words (words, rank) VALUES ('usermerge', 2)")
            db.execute("INSERT INTO words (words, rank) VALUES ('merge', ?)", (-_PAGES_AT_A_TIME,))

    def checkpoint(self) -> None:
        """Have all that is written in the one file, and nothing beside it."""
        with self._explained():
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    def vacuum(self) -> None:
        """Write all of the file anew, as small as it can be: some seconds for a million messages.

        SQLite moves rows from page to page, and does not overwrite where they were; so this is
        what it takes to have nothing of what was forgotten in the file.
        """
        with self._explained():
            self._connection.execute("VACUUM")
        self.checkpoint()

    def back_up(self, target: Path) -> None:
        """Write a copy of the file as it is now."""
        with self._explained(), contextlib.closing(sqlite3.connect(target)) as copy:
            self._connection.backup(copy)

    def _forget(self, query: str, arguments: tuple[int, int]) -> bool:
        """Forget the messages that a query gives; whether it gave any."""
        with self._explained(), self._transaction() as db:
            rows = db.execute(query, arguments).fetchall()
            # The index holds no texts, so it has to be told what was in it.
            db.executemany(
                "INSERT INTO words (words, rowid, names, text) VALUES ('delete', ?, ?, ?)",
                [
                    (id, f"{self._number('r' + key)} {self._number('a' + author)}", text)
                    for id, key, author, text in rows
                ],
            )
            for table in ("message", *_OF_FEW):
                db.executemany(f"DELETE FROM {table} WHERE id = ?", [row[:1] for row in rows])
        return bool(rows)

    # ── Inside ───────────────────────────────────────────────────────────────────────────────

    @property
    def _connection(self) -> sqlite3.Connection:
        if self._db is None:
            raise ArchiveError(f"{self.path} is not open")
        return self._db

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        db = self._connection
        db.execute("BEGIN IMMEDIATE")
        try:
            yield db
            db.execute("COMMIT")
        except BaseException:
            with contextlib.suppress(sqlite3.Error):  # SQLite may have done so itself
                db.execute("ROLLBACK")
            raise

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
            is_ours = code != sqlite3.SQLITE_READONLY or os.access(self.path, os.W_OK)
            if code == sqlite3.SQLITE_FULL:
                why = f"there is no room left on the disk for {self.path}; make room"
                raise ArchiveError(why) from error
            if code in _NOT_THE_FILE or not is_ours or isinstance(error, sqlite3.ProgrammingError):
                raise ArchiveError(f"cannot use {self.path}: {error}") from error
            raise self._damaged(getattr(error, "sqlite_errorname", "unreadable")) from error
        except UNREADABLE as error:
            raise self._damaged("unreadable") from error

    def _damaged(self, why: str) -> DamagedError:
        # SQLite's own words may have what people said in them.
        return DamagedError(f"{self.path} is damaged ({why.split(maxsplit=1)[0]})")


def _said(row: tuple[Any, ...], born: int) -> Said:
    """The message of a row; what it answers is shown if that has a number above `born`."""
    room, nick, text, seq, at, how, written, re, whose, answered = row
    is_emote, is_notice = bool(how & _EMOTE), bool(how & _NOTICE)
    by_account = bool(how & _BY_ACCOUNT)
    tags = None if written is None else msgspec.json.decode(written, type=dict[str, str])
    # (Of one that was taken back the text is empty, and of one that is not here there is none.)
    quote = quoted(whose, answered) if answered and re > born else None
    more = (is_emote, None, not text, is_notice, tags, by_account, re, quote)
    return Said(room, nick, text, seq, at, *more)


def _phrase(text: str) -> str:
    """A text as the index is asked for it: nothing in it is an operator."""
    return '"' + text.replace('"', '""') + '"'


class ArchiveKeeper:
    """An archive, for a node. What is to be kept collects, and is stored now and then.

    When it cannot keep up, or cannot write, or was behind the log at the start, it `is_behind`:
    what is to be kept is left to the log, nothing can be found, and somebody has to fill it from
    the log (`catching_up`, `caught_up`). `failed` is called with the reason each time it falls
    behind. `place` may be set: it tells, of a log that several nodes share, up to where `keep` was
    told of it.
    """

    def __init__(
        self,
        store: ArchiveStore,
        host: Host,
        failed: Callable[[str], None],
        *,
        is_behind: bool = False,
    ) -> None:
        self.store = store
        self.host = host
        self.place: Callable[[], Point | None] = lambda: None
        self.is_behind = is_behind
        self.is_damaged = False  # … and cannot be filled before there is a new one
        self._failed = failed
        self._waiting: list[Archived] = []
        self._waiting_chars = 0
        self._is_busy = False
        self._is_collecting = not is_behind
        # How many messages it does not have yet, of those that it was told of.
        self.lag = 0

    def keep(self, archived: Archived) -> None:
        """Keep a message, soon."""
        self.lag += 1
        if not self._is_collecting:
            return
        self._waiting.append(archived)
        self._waiting_chars += kept_chars(archived.said)
        if len(self._waiting) > MAX_WAITING or self._waiting_chars > MAX_WAITING_CHARS:
            self._fall_behind("it cannot keep up with what is said")
        else:
            self._store_soon()

    def flush(self) -> None:
        """Store all that waits, without waiting for it."""
        if not self.is_behind:
            taken = self._taken()
            self.host.run(
                lambda: self._add(*taken), lambda error: self._flushed(len(taken[0]), error)
            )

    def _flushed(self, count: int, error: BaseException | None) -> None:
        if error is None and not self.is_behind:
            self.lag -= count
        if isinstance(error, ArchiveError):
            self.fall_behind(error)
        elif error is not None:
            raise error

    def look(self, inquiry: Inquiry, found: OnFound) -> None:
        """Find messages, then call `found`."""
        if self.is_behind:
            self.host.after(0, lambda: found(None))
            return
        messages: list[Said] = []
        taken = self._taken()

        def find() -> None:
            self._add(*taken)
            messages.extend(self.store.find(inquiry))

        def done(error: BaseException | None) -> None:
            try:
                self._flushed(len(taken[0]), error)
            finally:
                found(messages if error is None else None)

        self.host.run(find, done)

    # ── Falling behind, and catching up ──────────────────────────────────────────────────────

    def catching_up(self) -> None:
        """From here on collect: all that the log has now is being put into the store."""
        self._drop_waiting()
        self._is_collecting = True

    def caught_up(self) -> None:
        """It is in the store. What was collected meanwhile comes behind it."""
        if self._is_collecting:
            self.is_behind, self.lag = False, len(self._waiting)
            self._store_soon()

    def fall_behind(self, error: ArchiveError) -> None:
        """The store could not be written to, or read."""
        self.is_damaged |= isinstance(error, DamagedError)
        self._fall_behind(str(error))

    def _fall_behind(self, why: str) -> None:
        self._drop_waiting()
        self._is_collecting = False
        if not self.is_behind:
            self.is_behind = True
            self._failed(f"the archive is behind, and is filled from the log: {why}")

    def _drop_waiting(self) -> None:
        self._waiting.clear()
        self._waiting_chars = 0

    # ── Writing ──────────────────────────────────────────────────────────────────────────────

    def _store_soon(self) -> None:
        if self._waiting and not (self._is_busy or self.is_behind):
            self._is_busy = True
            self.host.after(STORE_EVERY_MS, self._store)

    def _store(self) -> None:
        if self.is_behind:  # what it collects comes behind what it is being filled with
            self._is_busy = False
            return
        taken = self._taken(STORED_AT_A_TIME)
        self.host.run(lambda: self._add(*taken), lambda error: self._stored(len(taken[0]), error))

    def _taken(self, most: int | None = None) -> tuple[list[Archived], Point | None]:
        """Take what waits, the oldest of it; where the log is, if that is all of it. Not in the
        thread, for more is coming meanwhile.
        """
        taken = self._waiting[:most]
        del self._waiting[:most]
        self._waiting_chars -= sum([kept_chars(archived.said) for archived in taken])
        return taken, None if self._waiting else self.place()

    def _add(self, taken: Sequence[Archived], point: Point | None) -> None:
        """In the thread of the archive."""
        if taken:
            self.store.add(taken, taken[-1].id if point is None else point.seq, point)

    def _stored(self, count: int, error: BaseException | None) -> None:
        self._is_busy = False
        self._flushed(count, error)
        self._store_soon()
