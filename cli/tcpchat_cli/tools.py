"""tcpchat-server's commands for what it keeps (replay, backup, export, compact), and for a log that
several nodes share: cluster; and for accounts: admin.

Each is a line of the table `TOOLS`, from which its completion and its page of the manual are made.
"""

from __future__ import annotations

import argparse
import datetime as dt
import os
import sys
import tarfile
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Final, NamedTuple

import msgspec

from tcpchat_cli import console, control
from tcpchat_cli.arguments import Parser, die
from tcpchat_cli.keeping import LACKS_PACKAGES, existing
from tcpchat_cli.opened import OpenFolder
from tcpchat_cli.progress import Report, progress
from tcpchat_cli.settings import PROGRAM, Duration, argument
from tcpchat_core import ChatState, Name, room_name
from tcpchat_core.dialects.plain import said_text
from tcpchat_net.logs import snapshots
from tcpchat_net.logs.archive import ArchiveError, ArchiveStore
from tcpchat_net.logs.replayer import ReplayError, entries_behind
from tcpchat_net.logs.store import MAX_SEQ, Store, StoreError

# What can go wrong with a folder; each says so in a sentence.
_ERRORS: Final = (StoreError, ArchiveError, ReplayError)


def run(argv: Sequence[str]) -> None:
    """Do what a command line says, whose first word is the name of a tool."""
    name, *arguments = argv
    if name not in TOOLS:
        Parser(prog=PROGRAM).error(f"there is no {name!r}; there are {', '.join(TOOLS)}")
    tool = TOOLS[name]
    parser = Parser(prog=f"{PROGRAM} {name}")
    tool.describe(parser)
    given = parser.parse_args(arguments)
    console.set_up_for_tool()
    try:
        tool.run(given)
    except _ERRORS as error:
        die(PROGRAM, str(error))
    except BrokenPipeError:  # whoever reads has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(1) from None
    except OSError as error:
        die(PROGRAM, f"{error.filename or 'the disk'}: {error.strerror or error}")


# ── replay ───────────────────────────────────────────────────────────────────────────────────────


def _describe_replay(parser: Parser) -> None:
    parser.description = "Run the log of a folder again, and tell what it comes to."
    parser.epilog = "The exit status is 1 when that is not what was recorded on the way."
    _add_folder(parser)
    until = parser.add_mutually_exclusive_group()
    until.add_argument("--until", metavar="SEQ", type=_seq, help="stop after this entry")
    until.add_argument(
        "--at", metavar="TIME", type=_time, help="stop at this time, such as 2026-01-31T12:00"
    )


def _replay(given: argparse.Namespace) -> None:
    store = Store(existing(PROGRAM, given.folder))
    store.open()
    try:
        recorded = {seq: snapshots.digest_of(path) for seq, path in snapshots.listed(store.folder)}
        ended, _, digest = (store.meta("ended") or "").partition(" ")
        if digest:
            recorded[int(ended)] = digest
        with progress("replaying") as report:
            state, at, wrong = _replayed(store, recorded, given, report)
        _show(state, at, [seq for seq in recorded if seq <= state.seq], wrong)
    finally:
        store.close()
    if wrong:
        die(
            PROGRAM,
            f"the log does not come to what was recorded after the entry {wrong[0]}:"
            " one of them was changed, or tcpchat was",
        )


def _replayed(
    store: Store, recorded: dict[int, str], given: argparse.Namespace, report: Report
) -> tuple[ChatState, int, list[int]]:
    """The state at the end, its time, and after which entries it was not what was recorded."""
    until, until_at = given.until or MAX_SEQ, given.at or MAX_SEQ
    first = store.first()
    listed = [found for found in snapshots.listed(store.folder) if found[0] >= first - 1]
    base = snapshots.read(listed[0][1]) if listed else None
    state = base or ChatState(epoch=store.meta("epoch") or "0")
    if until < state.seq:
        raise StoreError(f"the log in {store.folder} begins with the entry {state.seq + 1}")
    last, at, wrong = store.last()[0], 0, []
    for batch in store.read_all(state.seq):
        if batch.at > until_at or batch.first > until:
            break
        try:
            entries = entries_behind(state, batch)
        except ValueError as error:
            raise StoreError(f"the log in {store.folder} cannot be read: {error}") from error
        for entry in entries:
            if entry.seq > until:
                break
            state.handle(entry)
            if entry.seq in recorded and state.digest() != recorded[entry.seq]:
                wrong.append(entry.seq)
        at = batch.at
        report(state.seq, last)
    return state, at, wrong


def _show(state: ChatState, at: int, checked: Sequence[int], wrong: Sequence[int]) -> None:
    away = sum(1 for _ in state.all_away())
    print(f"entry    {state.seq}, {_shown_time(at)}" if at else f"entry    {state.seq}")
    print(f"digest   {state.digest()}")
    print(f"recorded {len(checked)} digests, {len(wrong)} of them another")
    print(f"people   {state.people} connected, {away} away")
    for room in state.rooms():
        topic = f", topic: {room.topic}" if room.topic else ""
        print(f"room     {room.name}: {len(room.members)} people{topic}")


# ── backup ───────────────────────────────────────────────────────────────────────────────────────


def _describe_backup(parser: Parser) -> None:
    parser.description = "Write a copy of a folder into a tar file, also while a server uses it."
    parser.epilog = "To restore it: make an empty folder and tar -xf FILE -C FOLDER."
    _add_folder(parser)
    parser.add_argument("file", metavar="FILE", help="the file to write")


def _backup(given: argparse.Namespace) -> None:
    folder, file = existing(PROGRAM, given.folder), Path(given.file).absolute()
    if file.exists():
        die(PROGRAM, f"{given.file} is there already; give the name of a new file")
    with tempfile.TemporaryDirectory(prefix=f".{file.name}-", dir=file.parent) as made:
        copy = Path(made) / "data"
        copy.mkdir(mode=0o700)
        try:
            refusal, _ = control.ask(folder, "backup", str(copy))
        except OSError:  # nobody serves it
            with OpenFolder(folder) as opened:
                opened.back_up(copy)
            refusal = ""
        if refusal:
            die(PROGRAM, refusal)
        unfinished = Path(made) / file.name
        unfinished.touch(mode=0o600)  # direct messages are in it
        with tarfile.open(unfinished, "w") as tar:
            for path in sorted(copy.iterdir()):
                tar.add(path, path.name)
        try:
            os.link(unfinished, file)
        except FileExistsError:  # somebody else made one meanwhile
            die(PROGRAM, f"{given.file} is there already; give the name of a new file")
    print(f"{given.file}: {file.stat().st_size:,} bytes")


# ── export ───────────────────────────────────────────────────────────────────────────────────────


def _describe_export(parser: Parser) -> None:
    parser.description = "Print all that was said in a room, also while a server runs."
    _add_folder(parser)
    parser.add_argument("--room", required=True, metavar="ROOM", help="the room")
    parser.add_argument(
        "--format", choices=("text", "jsonl"), default="text", help="a line a message (text)"
    )


def _export(given: argparse.Namespace) -> None:
    room = room_name(given.room)
    if not isinstance(room, Name):
        die(PROGRAM, f"--room {given.room}: {room.text}")
    archive = ArchiveStore(Path(given.folder).absolute())
    archive.open_to_read()
    try:
        count = archive.count(room.key)
        if not count:
            die(PROGRAM, f"nothing is kept in {given.folder} that was said in {given.room}")
        with progress("exporting") as report:
            done = after = 0
            while messages := archive.everything(room.key, after):
                for said in messages:
                    if given.format == "jsonl":
                        line = msgspec.json.encode(said).decode()
                    else:
                        line = f"{_shown_time(said.at)} {said_text(said)}"
                    print(line)
                after = messages[-1].seq
                done += len(messages)
                report(done, count)
        sys.stdout.flush()
    finally:
        archive.close()


# ── compact ──────────────────────────────────────────────────────────────────────────────────────


def _describe_compact(parser: Parser) -> None:
    parser.description = (
        "Make a folder as small as it can be: what was said stays, how the log came to it is"
        " forgotten. No server may use it meanwhile."
    )
    _add_folder(parser)
    keep = Duration("forget what was said longer ago than this")
    parser.add_argument(
        "--keep", metavar=keep.metavar, type=argument(keep), help=keep.help, default="forever"
    )


def _compact(given: argparse.Namespace) -> None:
    folder = existing(PROGRAM, given.folder)
    before = _size(folder)
    with progress("compacting") as report, OpenFolder(folder, given.keep, report) as opened:
        opened.compact()
    print(f"{given.folder}: {before:,} bytes before, {_size(folder):,} now")


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.iterdir() if path.is_file())


# ── cluster ──────────────────────────────────────────────────────────────────────────────────────


def _describe_cluster(parser: Parser) -> None:
    parser.description = "Look after nodes that share a log."
    tools = parser.add_subparsers(dest="what", required=True, metavar="status|accept")
    status = tools.add_parser(
        "status",
        help="tell how they are",
        description="Tell how the nodes are that share a log, and whether they are of one mind.",
        epilog="The exit status is 1 when they are not, and when the engine takes nothing in or"
        " cannot be reached.",
    )
    status.add_argument("--json", action="store_true", help="one JSON object, for programs")
    accept = tools.add_parser(
        "accept",
        help="go on with an engine that was left behind",
        description="Have the nodes go on with the engine that is at the log's address, although"
        " another one has taken the log over from it. What only that one had is lost.",
    )
    accept.add_argument(
        "--term", required=True, type=_term, help="the other one's, as the nodes say it"
    )
    for tool in (status, accept):
        tool.add_argument("--log", required=True, metavar="URL", help="the log, as it is shared")
        tool.add_argument(
            "--log-password-file",
            default="",
            metavar="FILE",
            help="its first line is the password for that; or TCPCHAT_LOG_PASSWORD",
        )


def _term(given: str) -> int:
    is_one = given.isascii() and given.isdecimal() and len(given) < 16  # as Lua can count
    if not is_one or not int(given):
        raise argparse.ArgumentTypeError(f"{given!r} is no term")
    return int(given)


def _cluster(given: argparse.Namespace) -> None:
    try:
        from tcpchat_cli.cluster import run as run_it  # noqa: PLC0415 # not all have what it needs
    except ImportError as error:
        if error.name != "hiredis":
            raise
        die(PROGRAM, LACKS_PACKAGES)
    run_it(given)


# ── admin ────────────────────────────────────────────────────────────────────────────────────────


def _describe_admin(parser: Parser) -> None:
    from tcpchat_cli.admin import describe  # noqa: PLC0415 # the others need none of it

    describe(parser)


def _admin(given: argparse.Namespace) -> None:
    from tcpchat_cli.admin import run as run_it  # noqa: PLC0415 # the others need none of it

    run_it(given)


# ── What they have in common ─────────────────────────────────────────────────────────────────────


def _add_folder(parser: Parser) -> None:
    parser.add_argument("folder", metavar="DIR", help="the folder that the server keeps")


def _seq(given: str) -> int:
    if given.isascii() and given.isdecimal() and len(given) < 19 and int(given):
        return int(given)
    raise argparse.ArgumentTypeError(f"{given!r} is not the number of an entry, such as 1000")


def _time(given: str) -> int:
    """A time as people write it, in UTC unless it says otherwise, as ms since the epoch."""
    try:
        time = dt.datetime.fromisoformat(given)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{given!r} is not a time such as 2026-01-31 or 2026-01-31T12:00"
        ) from None
    return round((time if time.tzinfo else time.replace(tzinfo=dt.UTC)).timestamp() * 1_000)


def _shown_time(at: int) -> str:
    return f"{dt.datetime.fromtimestamp(at / 1_000, dt.UTC):%Y-%m-%d %H:%M:%S}"


class Tool(NamedTuple):
    """One tool: what it does in a few words, what makes its command line, and what does it."""

    summary: str
    describe: Callable[[Parser], None]
    run: Callable[[argparse.Namespace], None]


TOOLS: Final = MappingProxyType(
    {
        "replay": Tool("run the log of a folder again", _describe_replay, _replay),
        "backup": Tool("write a copy of a folder", _describe_backup, _backup),
        "export": Tool("print what was said in a room", _describe_export, _export),
        "compact": Tool("make a folder small", _describe_compact, _compact),
        "cluster": Tool("look after several nodes", _describe_cluster, _cluster),
        "admin": Tool("make accounts and end them", _describe_admin, _admin),
    }
)
