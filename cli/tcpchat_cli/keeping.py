"""What tcpchat-server keeps in a folder: opened, gone on with, and closed well."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, NamedTuple, Protocol

import gevent
import platformdirs

from tcpchat_cli import console
from tcpchat_cli.accounts import ADMIN, AdminDesk
from tcpchat_cli.arguments import die
from tcpchat_cli.control import Answered, ControlServer, Task
from tcpchat_cli.progress import progress
from tcpchat_cli.settings import Settings, duration_ms
from tcpchat_cli.telling import tell
from tcpchat_core import ChatState, StateLimits
from tcpchat_net import ChatServer
from tcpchat_net.log_thread import Child, LogThread
from tcpchat_net.logs import Host, Log
from tcpchat_net.logs.archive import ArchiveError, ArchiveKeeper, ArchiveStore
from tcpchat_net.logs.durable import DurableLog
from tcpchat_net.logs.recovery import recover
from tcpchat_net.logs.store import LOG_NAME, Store, StoreError
from tcpchat_net.logs.upkeep import Upkeep
from tcpchat_net.server import SECRET_BYTES, monotonic_ms

# A start has the next number, and after the last one of 16 bits the first again: by then nobody is
# left of the one that had it.
MAX_BOOT: Final = 65_535

# The file in the folder with the secret behind the names that stand for addresses in the log.
ORIGINS_NAME: Final = "origins.key"

# How long what was proposed may take to be written when the server ends. With a disk that is full
# it may never be.
_FINISH_MS: Final = 5_000

# What is said where the packages are missing that only some need.
LACKS_PACKAGES: Final = "to share a log takes more packages: pip install 'tcpchat[cluster]'"
LACKS_METRICS: Final = "to serve metrics takes one more package: pip install 'tcpchat[metrics]'"


def data_folder(given: str) -> Path:
    """Where what is said is kept: in a folder that was named, or ("") in the usual one."""
    if given:
        return Path(given).absolute()
    return Path(platformdirs.user_data_dir("tcpchat-server", appauthor=False))


class SharingError(Exception):
    """A log that cannot be shared. The text is one sentence for people.

    `may_pass`: it may be otherwise in a while.
    """

    def __init__(self, sentence: str, *, may_pass: bool = False) -> None:
        super().__init__(sentence)
        self.may_pass = may_pass


class Keeping(Protocol):
    """What a server has to keep what is said, whether it has it for itself or shares it.

    Call `serve` when it has begun, and `close` at last.
    """

    state: ChatState
    number: int  # the node's
    boot: int
    secret: bytes  # behind the names that stand for addresses in the log
    failure: str | None  # why the server cannot go on
    begins_anew: bool  # … and it can, when it begins once more
    is_shared: bool  # … with other nodes

    @property
    def log(self) -> Log:
        """Where what people do is put in its order."""

    @property
    def archive(self) -> ArchiveKeeper | None:
        """What was said."""

    @property
    def own_folder(self) -> Path | None:
        """The folder that nobody else uses, if there is one."""

    @property
    def where(self) -> str:
        """Where it is kept, for people."""

    def serve(self, server: ChatServer) -> None:
        """The server has begun."""

    def keep(self, how_long: str) -> None:
        """Keep what is said for another time from now on."""

    def close(self) -> None:
        """Write what is to be written, and let go of everything."""


class Folder(NamedTuple):
    """A folder that is open, and what its log comes to."""

    store: Store
    archive: ArchiveStore
    state: ChatState
    is_behind: bool
    boot: int
    secret: bytes

    def close(self) -> None:
        """Let go of it."""
        self.archive.close()
        self.store.close()


def open_folder(folder: Path, *, is_synced: bool, limits: StateLimits | None = None) -> Folder:
    """Open a folder, or make it, and come to the state that its log has. Raises StoreError.

    `limits` are those of a new log. From here on, what this program makes is for its user alone.
    """
    os.umask(0o077)
    os.environ["SQLITE_TMPDIR"] = str(folder)  # what is written anew is not written elsewhere
    store, archive = Store(folder, is_synced=is_synced), ArchiveStore(folder)
    try:
        store.open()
        epoch = store.meta("epoch")
        if epoch is None:  # it names the log: numbers of another one mean nothing in it
            epoch = secrets.token_hex(8)
            store.set_meta("epoch", epoch)
        with progress("reading the log") as report:
            recovered = recover(
                store,
                lambda: ChatState(epoch=epoch, limits=limits),
                archive,
                complain=console.complaining("log"),
                progress=report,
            )
        boot = int(store.meta("boot") or 0) % MAX_BOOT + 1
        store.set_meta("boot", str(boot))
        secret = _secret(folder / ORIGINS_NAME)
    except (StoreError, ArchiveError, OSError) as error:
        archive.close()
        store.close()
        if isinstance(error, OSError):
            raise StoreError(f"{error.filename or folder}: {error.strerror}") from error
        raise StoreError(str(error)) from error
    return Folder(store, archive, *recovered, boot, secret)


def _secret(path: Path) -> bytes:
    """The secret of a folder, made when there is none: a file of its own, so that a copy of the log
    is without it. Raises StoreError and OSError.
    """
    if not path.exists():
        made = path.with_suffix(".new")  # a start may end at any time
        made.write_text(f"{secrets.token_hex(SECRET_BYTES)}\n", encoding="ascii")
        made.replace(path)
    try:
        secret = bytes.fromhex(path.read_text(encoding="ascii"))
    except ValueError:
        secret = b""
    if len(secret) != SECRET_BYTES:
        raise StoreError(f"{path} cannot be read: take it away, and a new one is made")
    return secret


class Kept:
    """What a server has to keep what is said. Call `serve` when it has begun, and `close` at last.

    `failed` is called when the log cannot go on: the server has to end then.
    """

    def __init__(self, folder: Folder, settings: Settings, failed: Callable[[], None]) -> None:
        self.folder = folder
        self.state, self.number, self.boot = folder.state, 0, folder.boot
        self.secret = folder.secret
        self.failure: str | None = None
        self.begins_anew = False
        self.is_shared = False
        self._ended = failed
        self._threads = [LogThread() for _ in range(3)]
        disk, archive, aside = self._threads
        self.log = DurableLog(folder.store, disk, failed=self._failed)
        self.archive = ArchiveKeeper(
            folder.archive, archive, console.complaining("archive"), is_behind=folder.is_behind
        )
        self._upkeep = Upkeep(
            folder.store,
            self.log,
            self.archive,
            host=disk,
            aside=aside,
            replay=Child,
            keep_ms=duration_ms(settings.keep),
            complain=console.complaining("upkeep"),
            failed=self._failed,
            report=tell,
        )
        self._control: ControlServer | None = None

    @property
    def own_folder(self) -> Path:
        """The folder."""
        return self.folder.store.folder

    @property
    def where(self) -> str:
        """The same, for people."""
        return str(self.own_folder)

    def serve(self, server: ChatServer) -> None:
        """The server has begun."""
        self.log.full = lambda is_full: _tell_full(server, is_full)
        self._upkeep.begin()
        tasks = {"backup": self._back_up, ADMIN: AdminDesk(server.node).serve}
        self._control = listen(self.folder.store.folder, tasks)

    def keep(self, how_long: str) -> None:
        """Keep what is said for another time from now on."""
        self._upkeep.keep(duration_ms(how_long))

    def close(self) -> None:
        """Write what is to be written, note what the log has come to, and let go of the folder."""
        if self._control is not None:
            self._control.close()
        self._upkeep.stop()
        deadline = monotonic_ms() + _FINISH_MS
        while self.log.waiting and self.failure is None and monotonic_ms() < deadline:
            gevent.sleep(0.01)
        self.archive.flush()
        for thread in self._threads:
            thread.finish()
        if self.failure is None:
            ended = f"{self.state.seq} {self.state.digest()}"
            try:
                self.folder.store.set_meta("ended", ended)
            except StoreError as error:
                console.complain(str(error), about="log")
        self.folder.close()

    def _failed(self, error: StoreError) -> None:
        if self.failure is None:
            self.failure = f"{error}; look after the disk, then start again"
            self._ended()

    def _back_up(self, target: str, answered: Answered) -> None:
        self._upkeep.back_up(Path(target), lambda error: answered(str(error or ""), ""))


def listen(folder: Path, tasks: Mapping[str, Task]) -> ControlServer:
    """Do what programs ask for that may open a folder; without that, the server goes on."""
    control = ControlServer(folder, tasks)
    try:
        control.start()
    except OSError as error:
        text = f"backup and admin cannot reach this server: {error.strerror or error}"
        console.complain(text, about="control")
    return control


def _tell_full(server: ChatServer, is_full: bool) -> None:
    console.note("disk-full" if is_full else "disk-has-room")
    server.node.log_is_stuck(is_full)


class Here(Host):
    """The `Host` of a program that has nothing else to do."""

    def run(
        self, function: Callable[[], None], done: Callable[[BaseException | None], None]
    ) -> None:
        """Call `function`, then `done`."""
        try:
            function()
        except StoreError as error:
            done(error)
        else:
            done(None)

    def after(self, _ms: int, _callback: Callable[[], None], /) -> None:
        """Nothing waits here: what a full disk does not take is an error."""
        raise StoreError("there is no room left on the disk")


def existing(program: str, folder: str) -> Path:
    """A folder that a log is in; otherwise the end of the program, with a sentence."""
    path = Path(folder).absolute()
    if not (path / LOG_NAME).is_file():
        die(program, f"there is no log in {folder}; give the folder that the server keeps")
    return path
