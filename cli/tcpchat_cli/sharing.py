"""What tcpchat-server has of a log that it shares with other nodes: opened, gone on with, and left.

A node has a folder for its archive, which nobody else may use: the name of the log and its epoch
stand there, so that the folder is never taken for another log's.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import socket
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

import gevent
import gevent.event
import gevent.socket
import gevent.ssl
import msgspec
import platformdirs

from tcpchat_cli import console
from tcpchat_cli.accounts import ADMIN, AdminDesk
from tcpchat_cli.control import ControlServer
from tcpchat_cli.files import FileError, read_password
from tcpchat_cli.keeping import SharingError, listen
from tcpchat_cli.progress import progress
from tcpchat_cli.settings import Settings
from tcpchat_cli.telling import tell
from tcpchat_net import ChatServer
from tcpchat_net.greenlets import GreenletHost
from tcpchat_net.log_thread import Child, LogThread
from tcpchat_net.logs.archive import ArchiveError, ArchiveKeeper, ArchiveStore
from tcpchat_net.logs.store import LOG_NAME
from tcpchat_net.logs.stream import EngineDownError, EngineError
from tcpchat_net.logs.stream.address import EngineAddress, parse_url
from tcpchat_net.logs.stream.begin import begin
from tcpchat_net.logs.stream.commands import Commands
from tcpchat_net.logs.stream.log import Ending
from tcpchat_net.logs.stream.node import Hosts, StreamNode
from tcpchat_net.logs.stream.safety import dangers
from tcpchat_net.resp import RespWire
from tcpchat_net.server import SECRET_BYTES, monotonic_ms

# In which file of a node's folder it stands whose it is, and which is locked while it is used.
_OWNER_NAME: Final = "node.json"

# How many nodes may have their folders in the usual place of one machine.
_MAX_FOLDERS: Final = 256

_PASSWORD_VARIABLE: Final = "TCPCHAT_LOG_PASSWORD"  # noqa: S105 # the name of one


class _Owner(msgspec.Struct):
    """Whose folder it is."""

    name: str
    epoch: str
    term: int = 0  # the highest of an engine that had the log
    key: str = ""  # no other folder has it, also where host and path are the same


class _Folder(NamedTuple):
    """A node's folder, locked as long as the descriptor is open."""

    path: Path
    descriptor: int
    owner: _Owner | None
    key: str

    def close(self) -> None:
        """Let others use it."""
        os.close(self.descriptor)

    def own(self, owner: _Owner) -> None:
        """Write down whose it is."""
        if self.owner != owner:
            data = msgspec.json.encode(owner) + b"\n"
            os.pwrite(self.descriptor, data, 0)
            os.ftruncate(self.descriptor, len(data))
            os.fsync(self.descriptor)


class Shared:
    """A node of several. As `keeping.Kept`: call `serve` when it has begun, and `close` at last.

    `ended` is called when it cannot go on: with a `failure`, or to begin anew. Raises SharingError.
    """

    def __init__(self, settings: Settings, ended: Callable[[], None]) -> None:
        self.failure: str | None = None
        self.begins_anew = False
        self.is_shared = True
        self._ended = ended
        self.address = engine_address(settings)
        folder = None if settings.in_memory else _folder(settings, self.address.name)
        self._folder = folder
        self._control: ControlServer | None = None
        try:
            self._begin(settings, folder)
        except (EngineError, ArchiveError, OSError) as error:
            if folder is not None:
                folder.close()
            raise SharingError(str(error), may_pass=isinstance(error, EngineDownError)) from error

    def _begin(self, settings: Settings, folder: _Folder | None) -> None:
        archive = None if folder is None else ArchiveStore(folder.path)
        here = self._engine()
        here.connect()
        warnings = dangers(here)
        if warnings and not settings.allow_unsafe_engine:
            raise SharingError(
                f"the engine at {here.address} could lose what it has acknowledged:"
                f" {', '.join(warnings)}; it needs appendonly yes, appendfsync always and"
                " maxmemory-policy noeviction; or take --allow-unsafe-engine"
            )
        for warning in warnings:
            text = f"the engine could lose what it has acknowledged: {warning}"
            console.complain(text, about="engine")
        owner = None if folder is None else folder.owner
        if owner is not None and owner.name != self.address.name:
            raise SharingError(
                f"{folder.path if folder else ''} is of the log {owner.name}, not of"
                f" {self.address.name}: give another folder with --data"
            )
        holder = _holder(folder)
        with progress("reading the log") as report:
            begun = begin(
                here,
                node=settings.node,
                holder=holder,
                fresh_epoch=secrets.token_hex(8),
                known_epoch="" if owner is None else owner.epoch,
                known_term=0 if owner is None else owner.term,
                archive=archive,
                sleep=lambda ms: gevent.sleep(ms / 1_000),
                complain=console.complaining("log"),
                progress=report,
            )
        if folder is not None:
            folder.own(_Owner(self.address.name, begun.epoch, begun.term, folder.key))
        self.state, self.number, self.boot = begun.state, *begun.member
        self.secret = here.secret(secrets.token_bytes(SECRET_BYTES))
        here.close()

        def taken_over(term: int) -> None:
            if folder is None:
                return
            try:
                folder.own(_Owner(self.address.name, begun.epoch, term, folder.key))
            except OSError as error:  # the log goes on without it, as without the archive
                text = f"{folder.path}: cannot write to the folder: {error.strerror}"
                console.complain(text, about="log")

        self._threads = [LogThread()]
        self.archive: ArchiveKeeper | None = None
        if archive is not None:
            self._threads.append(LogThread())
            self.archive = ArchiveKeeper(archive, self._threads[1], console.complaining("archive"))
        self._store = archive
        self._greenlets = writing, reading = GreenletHost(), GreenletHost()
        self._node = StreamNode(
            begun,
            Hosts(writing, reading, aside=self._threads[0]),
            holder=holder,
            writer=self._engine(),
            reader=self._engine(),
            looking=Commands(RespWire(self.address, socket, ssl), self.address.name),
            keeper=self.archive,
            replay=Child,
            warnings=warnings,
            clock=monotonic_ms,
            ended=self._cannot_go_on,
            taken_over=taken_over,
            complain=console.complaining("engine"),
            report=tell,
        )
        self.log = self._node.log

    @property
    def where(self) -> str:
        """Where what is said is kept, for people."""
        kept = f"{self.where_shared}, by node {self.number}"
        return kept if self.folder is None else f"{kept}, and in {self.folder}"

    @property
    def where_shared(self) -> str:
        """Which log it shares, for people."""
        return f"in {self.address.name} at {self.address}"

    @property
    def folder(self) -> Path | None:
        """Where its own archive is, if it has one."""
        return None if self._folder is None else self._folder.path

    @property
    def own_folder(self) -> Path | None:
        """The same, as `Keeping` calls it."""
        return self.folder

    def serve(self, server: ChatServer) -> None:
        """The server has begun."""
        self._node.serve(server.node)
        if self.folder is not None:
            self._control = listen(self.folder, {ADMIN: AdminDesk(server.node).serve})

    def keep(self, how_long: str) -> None:
        """A log that is shared is kept forever."""

    def close(self) -> None:
        """Leave the others, and let go of everything."""
        if self._control is not None:
            self._control.close()
        left = gevent.event.Event()
        self._node.leave(left.set)
        left.wait()
        self._node.close()
        for host in self._greenlets:
            host.finish()
        if self.archive is not None:
            self.archive.flush()
        for thread in self._threads:
            thread.finish()
        if self._store is not None:
            self._store.close()
        if self._folder is not None:
            self._folder.close()

    def _engine(self) -> Commands:
        wire = RespWire(self.address, gevent.socket, gevent.ssl)
        return Commands(wire, self.address.name)

    def _cannot_go_on(self, ending: Ending, sentence: str) -> None:
        if ending in (Ending.LOST, Ending.UNREADABLE):
            self.failure = f"{ending.value}: {sentence}"
        else:
            text = f"this node begins anew: {ending.value} ({sentence})"
            console.complain(text, about="engine")
            self.begins_anew = True
        self._ended()


def engine_address(settings: Settings) -> EngineAddress:
    """The engine that the settings name, with its password. Raises SharingError."""
    try:
        address = parse_url(settings.log)
    except ValueError as error:
        raise SharingError(f"--log: {error}") from None
    password = os.environ.get(_PASSWORD_VARIABLE, "")
    if not password.isprintable():  # so are bytes that are no UTF-8
        raise SharingError(f"{_PASSWORD_VARIABLE} has characters that no password has")
    if settings.log_password_file:
        try:
            password = read_password("--log-password-file", settings.log_password_file)
        except FileError as error:
            raise SharingError(str(error)) from None
    return address._replace(password=password)


def _folder(settings: Settings, name: str) -> _Folder:
    """The folder of this node, for nobody else. Raises SharingError."""
    os.umask(0o077)
    if settings.data:
        path = Path(settings.data).absolute()
        folder = _locked(path)
        if folder is None:
            raise SharingError(f"another node uses {path}: give another folder with --data")
        return folder
    usual = Path(platformdirs.user_data_dir("tcpchat-server", appauthor=False)) / "nodes" / name
    numbers = (settings.node,) if settings.node else range(1, _MAX_FOLDERS)
    for number in numbers:
        folder = _locked(usual / str(number))
        if folder is not None:
            return folder
    raise SharingError(f"other nodes use all folders in {usual}: give another one with --data")


def _locked(path: Path) -> _Folder | None:
    """A folder that is made and locked; None when somebody else has locked it."""
    try:
        path.mkdir(parents=True, exist_ok=True)
        if (path / LOG_NAME).exists():
            raise SharingError(
                f"{path} is the folder of a server with a log of its own: give another with --data"
            )
        descriptor = os.open(path / _OWNER_NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise SharingError(f"{path}: {error.strerror}") from None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        data = os.pread(descriptor, 65_536, 0)
        owner = msgspec.json.decode(data, type=_Owner) if data else None
        return _Folder(path, descriptor, owner, (owner and owner.key) or _new_key())
    except BlockingIOError:
        os.close(descriptor)
        return None
    except msgspec.MsgspecError:
        os.close(descriptor)
        raise SharingError(f"{path / _OWNER_NAME} cannot be read: take it away") from None


def _new_key() -> str:
    return secrets.token_hex(4)


# Of a process without a folder.
_KEY: Final = _new_key()


def _holder(folder: _Folder | None) -> str:
    """Who this is: whoever says the same may take over at once, and only one process can.

    Host and path are for people: machines may well have the same name.
    """
    where, key = (os.getpid(), _KEY) if folder is None else (folder.path, folder.key)
    return f"{socket.gethostname()}:{where} {key}"
