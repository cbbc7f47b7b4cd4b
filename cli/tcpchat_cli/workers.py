"""Several workers behind one port: they are started, looked after, and ended.

Each worker is a node of its own, in a process of its own, which listens on the same port
(SO_REUSEPORT): the kernel chooses for each connection who gets it. That is how more than one core
is used. A socket that the supervisor was given (activation.py) all of them accept from: the kernel
wakes them all, and the first takes who has come.

    GONE ──(start)→ STARTING ──(it reports)→ SERVING ──(it is to end)→ ENDING
      ↑                │                        │                         │
      └────────────────┴──────(it has ended)────┴─────────────────────────┘

Rule 1: The first worker has to serve before any other is started, and all of them once before any
        is started again. So what cannot be is said once, and ends the program.

Rule 2: After that a worker that ends is started again, until the program is to end.

Rule 3: A worker never outlives the supervisor: it reads from a pipe that only the supervisor has
        the other end of.

Rule 4: It is the supervisor that reads the settings again, and looks whether they can be used. Each
        worker is told them by that pipe, whatever it is doing, and so is one that is started later.
"""

from __future__ import annotations

import contextlib
import math
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from typing import Any, Final, NamedTuple, NoReturn

import msgspec

from tcpchat_cli import console
from tcpchat_cli.announcing import announce, by_nodes, why_not
from tcpchat_cli.arguments import die, show_address
from tcpchat_cli.notify import SERVICE
from tcpchat_cli.reloading import Own, changes, refuse, shown
from tcpchat_cli.settings import PROGRAM, Settings, SettingsError, host_and_port

# A worker that has ended is started again at once. One that ends again has to wait: at first, and
# at most. Who has run for so long has not ended because of its start.
FIRST_PAUSE_S: Final = 1.0
MAX_PAUSE_S: Final = 30.0
RAN_WELL_S: Final = 60.0

# How long a worker may take to end: people have five seconds to take what was sent to them, and the
# log has as many to take in what they have said. Then it is killed.
END_S: Final = 15

# The modules that are programs: a worker's, and that which sees what is wrong with settings.
_WORKER: Final = "tcpchat_cli.worker"
_CHECK: Final = "tcpchat_cli.preparing"

_SIGNALS: Final = (
    signal.SIGINT,
    signal.SIGTERM,
    signal.SIGHUP,
    signal.SIGUSR1,
    signal.SIGCHLD,
)


class Task(msgspec.Struct, frozen=True):
    """What a worker is to do. `is_again`: there was one in its place before. `listener`: the
    descriptor to accept from, which it inherits; None to listen by itself.
    """

    number: int
    settings: Settings
    is_again: bool
    listener: int | None = None


class Report(msgspec.Struct, frozen=True):
    """A worker serves: as which node, where it keeps what is said, and where its metrics are."""

    node: int
    log: str
    folder: str | None
    metrics: str


def supervise(settings: Settings, source: Own, listener: socket.socket | None = None) -> NoReturn:
    """Have workers serve until Ctrl-C or SIGTERM; exit 0 then, otherwise 1, after one sentence.

    They accept from `listener`, if there is one.
    """
    try:
        held = listener or reserve(settings.host, settings.port)
    except (OSError, UnicodeError) as error:
        die(PROGRAM, why_not(settings.host, settings.port, error))
    with held, _signals(is_hangup_ignored=source.is_ignored) as wake:
        host, port = socket.getnameinfo(
            held.getsockname(), socket.NI_NUMERICHOST | socket.NI_NUMERICSERV
        )
        place = Place(host, int(port), None if listener is None else listener.fileno())
        status = Supervisor(settings, place, source).run(wake)
    raise SystemExit(status)


def reserve(host: str, port: int) -> socket.socket:
    """A socket that holds a port for the workers, and does not listen. Raises OSError when others
    listen there, even those who would share it: they are not ours.
    """
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    family, _, _, _, address = found[0]
    if address[1]:
        _bound(family, address, is_shared=False).close()
    return _bound(family, address, is_shared=True)


def _bound(family: int, address: Any, *, is_shared: bool) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if is_shared:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:  # as those who will listen: `::` is no IPv4 address
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind(address)
    except BaseException:
        sock.close()
        raise
    return sock


class Place(NamedTuple):
    """Where the workers listen: `listener` is the descriptor that they accept from, if they do not
    listen by themselves.
    """

    host: str
    port: int
    listener: int | None = None


def tasks(settings: Settings, place: Place) -> list[Task]:
    """What each worker is to do at first: the same, but for its number, its folder, and the port
    of its metrics.
    """
    told = []
    for number in range(1, settings.workers + 1):
        own = msgspec.structs.replace(
            settings,
            host=place.host,
            port=place.port,
            workers=1,
            node=settings.node and settings.node + number - 1,
            data=settings.data and str(Path(settings.data).absolute() / str(number)),
            metrics=_metrics_of(settings.metrics, number),
        )
        told.append(Task(number, own, is_again=False, listener=place.listener))
    return told


def _metrics_of(address: str, number: int) -> str:
    """Where the metrics of a worker are: each has the port behind the one before."""
    host, port = host_and_port(address) or ("", 0)
    return show_address(host, port + number - 1) if port else address


class Backoff:
    """How long to wait before a worker that has ended is started again."""

    def __init__(self) -> None:
        self._pause_s = 0.0

    def pause_s(self, ran_s: float) -> float:
        """The pause after one that has run for so long."""
        pause_s = 0.0 if ran_s >= RAN_WELL_S else self._pause_s
        self._pause_s = min(MAX_PAUSE_S, 2 * pause_s or FIRST_PAUSE_S)
        return pause_s


class _Phase(Enum):
    GONE = "gone"
    STARTING = "starting"
    SERVING = "serving"
    ENDING = "ending"


class _Worker:
    """A worker's place, and the process that is in it now."""

    def __init__(self, task: Task) -> None:
        self.number = task.number
        self.phase = _Phase.GONE
        self.backoff = Backoff()
        self.report: Report | None = None  # of the last that has served
        self.due_at = math.inf  # GONE: when to start it; ENDING: when to kill it
        self.begun_at = 0.0
        self._task = task
        self._process: subprocess.Popen[bytes] | None = None
        self._heard = b""

    @property
    def pid(self) -> int:
        """Of its process; 0 when it has none."""
        return self._process.pid if self._process else 0

    @property
    def pipe(self) -> int | None:
        """What it writes to, until it has reported."""
        if self.phase is not _Phase.STARTING or self._process is None:
            return None
        assert self._process.stdout is not None  # noqa: S101 # it is a pipe
        return self._process.stdout.fileno()

    def start(self, now: float) -> None:
        """Start its process. Raises OSError when the system has none left."""
        self.begun_at = now
        self._process = subprocess.Popen(  # noqa: S603 # it is our own
            [sys.executable, "-P", "-m", _WORKER, str(self.number)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=sys.stderr,
            start_new_session=True,  # Ctrl-C is for the supervisor
            pass_fds=() if self._task.listener is None else (self._task.listener,),
        )
        self.phase, self.due_at = _Phase.STARTING, math.inf
        self._heard = b""
        self._tell(self._task)
        self._task = msgspec.structs.replace(self._task, is_again=True)

    def has_reported(self) -> bool:
        """Read what it has written; whether it serves from now on."""
        if (pipe := self.pipe) is None:
            return False
        if not select.select([pipe], [], [], 0)[0] or not (more := os.read(pipe, 65_536)):
            return False
        self._heard += more
        if not self._heard.endswith(b"\n"):
            return False
        self.report = msgspec.json.decode(self._heard, type=Report)
        self.phase = _Phase.SERVING
        return True

    def ended(self) -> int | None:
        """Its exit status, once, when it has ended."""
        process = self._process
        if process is None or (status := process.poll()) is None:
            return None
        for pipe in (process.stdin, process.stdout):
            assert pipe is not None  # noqa: S101 # both are pipes
            with contextlib.suppress(BrokenPipeError):  # what it has not read
                pipe.close()
        self._process = None
        return status

    def end(self, now: float) -> None:
        """Have it end, and not take too long."""
        if self._process is not None and self.phase is not _Phase.ENDING:
            self._process.send_signal(signal.SIGTERM)
            self.phase, self.due_at = _Phase.ENDING, now + END_S

    def hurry(self) -> None:
        """Have it wait for nobody any more."""
        if self._process is not None:
            self._process.send_signal(signal.SIGINT)

    def kill(self) -> None:
        """End it however it is."""
        if self._process is not None:
            self._process.kill()
            self.due_at = math.inf

    def configure(self, settings: Settings) -> None:
        """Have it go on with other settings; and whoever takes its place."""
        self._task = msgspec.structs.replace(self._task, settings=settings)
        if self._process is not None:
            self._tell(settings)

    def _tell(self, what: Task | Settings) -> None:
        assert self._process is not None  # noqa: S101 # whoever calls has looked
        assert self._process.stdin is not None  # noqa: S101 # it is a pipe
        with contextlib.suppress(BrokenPipeError):  # it has ended, which is seen soon
            self._process.stdin.write(msgspec.json.encode(what) + b"\n")
            self._process.stdin.flush()


class Supervisor:
    """Starts workers, and looks after them. `settings` are those of all; `source` has others."""

    def __init__(self, settings: Settings, place: Place, source: Own) -> None:
        self._settings = settings
        self._place = place
        self._source = source
        self._workers = [_Worker(task) for task in tasks(settings, place)]
        self._has_begun = False  # all have served
        self._is_stopping = False
        self._is_rolling = False
        self._to_roll: deque[_Worker] = deque()  # which are to be ended, and started again
        self._status = 0

    def run(self, wake: socket.socket) -> int:
        """Serve until a signal says otherwise, or it cannot be; returns the exit status.

        The numbers of signals come out of `wake`.
        """
        self._workers[0].due_at = -math.inf
        while not self._is_stopping or any(each.pid for each in self._workers):
            SERVICE.beat()
            SERVICE.status(self._shown())
            now = time.monotonic()
            for each in self._workers:
                self._look_after(each, now, wake)
            self._roll(now)
            self._wait(wake)
        return self._status

    def _wait(self, wake: socket.socket) -> None:
        """Wait until there is something to do, and do what signals say."""
        if self._is_stopping and not any(each.pid for each in self._workers):
            return
        due_at = min(each.due_at for each in self._workers)
        pause_s = min(max(0.0, due_at - time.monotonic()), SERVICE.pause_s)
        pipes = [each.pipe for each in self._workers if each.pipe is not None]
        patience_s = None if pause_s == math.inf else pause_s
        ready, _, _ = select.select([wake.fileno(), *pipes], [], [], patience_s)
        if wake.fileno() in ready:
            self._hear(wake)

    def _look_after(self, each: _Worker, now: float, wake: socket.socket) -> None:
        if each.has_reported():
            self._serves(each, now)
        if (status := each.ended()) is not None:
            self._hear(wake)  # who ends all tells the supervisor first, and it may not know yet
            self._ended(each, status, now)
        if each.due_at > now:
            return
        match each.phase:
            case _Phase.GONE:
                self._start(each, now)
            case _Phase.ENDING:
                told = f"worker {each.number} does not end, and is killed"
                console.note("worker-ended", worker=each.number, text=told)
                each.kill()
            case _:
                pass

    # ── Starting ─────────────────────────────────────────────────────────────────────────────

    def _start(self, each: _Worker, now: float) -> None:
        try:
            each.start(now)
        except OSError as error:
            self._died(each, f"cannot be started: {error.strerror or error}", now)

    def _serves(self, each: _Worker, now: float) -> None:
        """A worker listens: so may the others, and when all do, people are told."""
        assert each.report is not None  # noqa: S101 # it is why it serves
        console.note("serving", worker=each.number, node=each.report.node, pid=each.pid)
        if self._has_begun:
            return
        for other in self._workers:
            if not other.pid:
                other.due_at = now
        reports = [other.report for other in self._workers if other.report is not None]
        if len(reports) == len(self._workers):
            self._has_begun = True
            folders = [Path(report.folder) for report in reports if report.folder is not None]
            announce(
                self._place.host,
                self._place.port,
                self._settings,
                kept=by_nodes(each.report.log, [report.node for report in reports], folders),
                workers=len(reports),
                metrics=[report.metrics for report in reports if report.metrics],
            )
            SERVICE.ready(self._shown())
        else:
            SERVICE.step(self._shown())

    def _shown(self) -> str:
        """What the service manager shows."""
        serving = sum(each.phase is _Phase.SERVING for each in self._workers)
        return f"{serving} of {len(self._workers)} workers serve"

    # ── Ending ───────────────────────────────────────────────────────────────────────────────

    def _ended(self, each: _Worker, status: int, now: float) -> None:
        was, each.phase, each.due_at = each.phase, _Phase.GONE, math.inf
        if self._is_stopping:
            return
        if was is _Phase.ENDING:
            each.due_at = now
        elif status > 0 and not self._has_begun:  # it has said why
            self._status = status
            self._stop(now)
        else:
            self._died(each, f"has ended {_shown_status(status)}", now)

    def _died(self, each: _Worker, how: str, now: float) -> None:
        """A worker is not there, and should be."""
        if not self._has_begun:
            console.note("worker-ended", worker=each.number, text=f"worker {each.number} {how}")
            self._status = 1
            self._stop(now)
            return
        pause_s = each.backoff.pause_s(now - each.begun_at)
        when = f"in {pause_s:g} s" if pause_s else "at once"
        told = f"worker {each.number} {how}; it is started again {when}"
        console.note("worker-ended", worker=each.number, text=told)
        each.due_at = now + pause_s

    def _stop(self, now: float) -> None:
        SERVICE.stopping()
        self._is_stopping = True
        for each in self._workers:
            if each.pid:
                each.end(now)
            else:
                each.due_at = math.inf

    # ── Signals ──────────────────────────────────────────────────────────────────────────────

    def _hear(self, wake: socket.socket) -> None:
        """Do what the signals say that have come: first those that ask for the end. Of others that
        came several times while something took long, once is enough.
        """
        with contextlib.suppress(BlockingIOError):  # none have
            heard = [signal.Signals(number) for number in wake.recv(4_096)]
            asking = [number for number in heard if number in (signal.SIGINT, signal.SIGTERM)]
            others = dict.fromkeys(number for number in heard if number not in asking)
            for number in (*asking, *others):
                self._obey(number)

    def _obey(self, number: signal.Signals) -> None:
        now = time.monotonic()
        match number:
            case signal.SIGINT | signal.SIGTERM if self._is_stopping:
                for each in self._workers:
                    each.hurry()
            case signal.SIGINT | signal.SIGTERM:
                console.note("stopping", workers=len(self._workers))
                self._stop(now)
            case signal.SIGHUP if self._is_stopping:
                pass
            case signal.SIGHUP if self._source.is_over():
                self._obey(signal.SIGTERM)
            case signal.SIGHUP:
                with SERVICE.reloading():
                    self._reload()
            case signal.SIGUSR1:
                self._is_rolling = True
                self._to_roll = deque(self._workers)
            case _:
                pass  # a worker has ended, which is seen anyway

    def _reload(self) -> None:
        """Have all go on with what the settings are now; when anything is wrong, none."""
        try:
            changed = changes(self._settings, self._source.read())
            _check(changed.settings)
        except SettingsError as error:
            refuse(error)
            return
        self._settings = changed.settings
        console.set_level(changed.settings.log_level)
        console.note("reloading", changed=shown(changed.made) or "nothing")
        changed.tell()
        for each, task in zip(self._workers, tasks(self._settings, self._place), strict=True):
            each.configure(task.settings)

    def _roll(self, now: float) -> None:
        """Go on with starting all again, one after the other, when all are there."""
        if not self._is_rolling or any(each.phase is not _Phase.SERVING for each in self._workers):
            return
        if self._to_roll:
            each = self._to_roll.popleft()
            console.note("restarting", worker=each.number)
            each.end(now)
        else:
            self._is_rolling = False
            console.note("restarted", workers=len(self._workers))


def _check(settings: Settings) -> None:
    """See whether workers can go on with these. Raises SettingsError.

    Another process looks: what it takes to look is much more than the supervisor needs.
    """
    done = subprocess.run(  # noqa: S603 # it is our own
        [sys.executable, "-P", "-m", _CHECK],
        input=msgspec.json.encode(settings),
        capture_output=True,
        check=False,
        start_new_session=True,  # Ctrl-C is for the supervisor
    )
    if done.returncode:
        raise SettingsError(f"they cannot be looked at ({_shown_status(done.returncode)})")
    if problem := done.stdout.decode().strip():
        raise SettingsError(problem)


@contextlib.contextmanager
def _signals(*, is_hangup_ignored: bool) -> Iterator[socket.socket]:
    """A socket that has the numbers of the signals that come."""
    wake, woken = socket.socketpair()
    with wake, woken:
        wake.setblocking(False)
        woken.setblocking(False)
        signal.set_wakeup_fd(woken.fileno(), warn_on_full_buffer=False)
        for number in _SIGNALS:
            if number != signal.SIGHUP or not is_hangup_ignored:
                signal.signal(number, lambda *_: None)
        yield wake


def _shown_status(status: int) -> str:
    if status >= 0:
        return f"with status {status}"
    with contextlib.suppress(ValueError):
        return f"by {signal.Signals(-status).name}"
    return f"by signal {-status}"
