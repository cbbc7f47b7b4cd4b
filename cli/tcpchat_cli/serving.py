"""What tcpchat-server does: serve, as its settings say, and end well."""

from __future__ import annotations

import gc
import logging
import math
import os
import secrets
import signal
import socket
from collections.abc import Callable
from typing import Final, NamedTuple, TypeAlias

import gevent
from gevent.event import Event

from tcpchat_cli import console
from tcpchat_cli.announcing import announce, why_not
from tcpchat_cli.arguments import die, show_address
from tcpchat_cli.keeping import (
    LACKS_METRICS,
    LACKS_PACKAGES,
    Keeping,
    Kept,
    SharingError,
    data_folder,
    open_folder,
)
from tcpchat_cli.notify import SERVICE
from tcpchat_cli.preparing import Prepared, milliseconds, prepared
from tcpchat_cli.reloading import Source, changes, refuse, shown
from tcpchat_cli.settings import PROGRAM, Settings, SettingsError
from tcpchat_cli.stopping import call_when_asked, end_at_once
from tcpchat_cli.telling import tell, telling
from tcpchat_core import VERSION, ChatState, ServerProtocol, StateLimits
from tcpchat_net import ChatServer, Watchdog, monotonic_ms
from tcpchat_net.admission import affordable_clients
from tcpchat_net.health import Health, Phase, Served
from tcpchat_net.logs.store import StoreError
from tcpchat_net.passwords import nobodys_password
from tcpchat_net.tls import certificate_expiry

# How long everybody has to take what was sent before the server ends.
STOP_TIMEOUT_S = 5

# A node that shares its log sends its people to the others when it leaves, and when it begins anew:
# from so soon on, and one after the other within a while.
_RETRY_MS: Final = 100
_SPREAD_MS: Final = 2_000

# How soon lines of the log are written after who reads it goes on to do so.
_WRITE_LOG_EVERY_S: Final = 1.0

# How long before a node that begins anew looks for its log again.
_AGAIN_S: Final = 1.0


# Called when a worker serves for the first time, with what it keeps and where its metrics are.
Told: TypeAlias = Callable[[Keeping | None, str], None]


class Watched(NamedTuple):
    """What others are told of how the server is, and where; "" for nowhere."""

    health: Health
    metrics: str = ""


class _InUse:
    """The settings that hold now, what they have come to, and where others come from."""

    def __init__(self, settings: Settings, source: Source) -> None:
        self.source = source
        self.is_owed_reload = False  # it was asked for while nobody was served
        self.put_off()
        self.take(settings, prepared(settings))

    def take(self, settings: Settings, made: Prepared) -> None:
        """These hold from now on."""
        self.settings, self.made = settings, made

    def put_off(self) -> None:
        """When the settings are to be read again, do that as soon as somebody is served."""
        self.source.call(self._owe_reload, lambda: os._exit(0))

    def _owe_reload(self) -> None:
        self.is_owed_reload = True


class _Listening(NamedTuple):
    """Where it listens: a port, which others may listen on, too; or a socket that it was given."""

    port: int
    is_shared: bool
    given: socket.socket | None


def run(
    settings: Settings,
    source: Source,
    *,
    told: Told | None = None,
    is_again: bool = False,
    listener: socket.socket | None = None,
) -> None:
    """Serve until Ctrl-C or SIGTERM; exit 0 then, and otherwise with one sentence on stderr.

    `source` is where other settings come from, while it serves. With `told` it is a worker: others
    listen on the same port, and it is not for it to say so. One that is started again (`is_again`)
    waits for a log that cannot be reached. Where a `listener` is given, that is served, and the
    settings have its address.
    """
    watched = _watched(settings)
    gevent.spawn(_beat)
    gevent.spawn(_write_log)
    ended = Event()
    try:
        in_use = _InUse(settings, source)
        begin = _begun_anew if is_again else _server
        listening = _Listening(settings.port, told is not None, listener)
        server, kept = begin(in_use, listening, ended.set)
    except (SettingsError, SharingError) as error:
        die(PROGRAM, str(error))
    _calm_garbage_collection()
    begins_first = True
    while _serve(server, kept, in_use, ended, told, watched=watched, begins_first=begins_first):
        begins_first = False
        listening = listening._replace(port=server.address[1])
        ended = Event()
        server, kept = _begun_anew(in_use, listening, ended.set)


def _serve(
    server: ChatServer,
    kept: Keeping | None,
    in_use: _InUse,
    ended: Event,
    told: Told | None,
    *,
    watched: Watched,
    begins_first: bool,
) -> bool:
    """Serve until `ended`; whether to begin anew."""
    health, is_asked = watched.health, False

    def ask_to_stop(number: signal.Signals) -> None:
        nonlocal is_asked
        # Asked twice: wait no longer. But a worker may be sent SIGTERM by its supervisor and by
        # systemd, and mean no hurry; and a terminal that goes says so more than once.
        if is_asked and number != signal.SIGHUP and (told is None or number == signal.SIGINT):
            gevent.spawn(server.stop)
        is_asked = True
        ended.set()

    call_when_asked(ask_to_stop)
    try:
        server.start()
    except OSError as error:
        die(PROGRAM, why_not(in_use.settings.host, in_use.settings.port, error))
    if kept is not None:
        kept.serve(server)

    def reload() -> None:
        if not ended.is_set():
            gevent.spawn(_reload, server, kept, in_use)
        elif not is_asked:  # whoever begins anew does it then
            in_use.is_owed_reload = True

    in_use.source.call(reload, lambda: ask_to_stop(signal.SIGHUP))
    health.served, health.phase = _served(server, kept), Phase.SERVING
    metrics = watched.metrics
    _tell(server, in_use.settings, kept, told, metrics=metrics, begins_first=begins_first)
    SERVICE.ready(_shown(server, kept))
    showing = gevent.spawn(_show, server, kept)
    if in_use.is_owed_reload:
        in_use.is_owed_reload = False
        reload()
    ended.wait()
    showing.kill()
    if kept is not None and kept.begins_anew and not is_asked:
        health.phase = Phase.BEGINNING_ANEW
        SERVICE.step("beginning anew")
    else:
        health.phase = Phase.STOPPING
        SERVICE.stopping()
    console.note("stopping", connections=server.connections)
    _stop(server, kept)
    if kept is None:
        console.note("stopped")
        return False
    kept.close()
    if kept.failure is not None:
        die(PROGRAM, kept.failure)
    console.note("stopped")
    end_at_once()
    return kept.begins_anew and not is_asked


def _tell(
    server: ChatServer,
    settings: Settings,
    kept: Keeping | None,
    told: Told | None,
    *,
    metrics: str,
    begins_first: bool,
) -> None:
    """Tell that it serves: at first whoever has started it, later the log alone. Nobody may read
    the first lines to their end; and a pipe that is full would hold everything up.
    """
    if not begins_first:
        console.note("began-anew", node=0 if kept is None else kept.number)
        return
    host, port = server.address[:2]
    where = "nothing" if kept is None else kept.where
    if told is not None:
        told(kept, metrics)
    else:
        announce(host, port, settings, kept=where, metrics=[metrics] if metrics else [])
    console.note(
        "started",
        version=VERSION,
        address=show_address(host, port),
        data=where,
        node=0 if kept is None else kept.number,
    )


def _stop(server: ChatServer, kept: Keeping | None) -> None:
    if kept is not None and kept.failure is not None:
        server.stop(timeout=STOP_TIMEOUT_S, reason="what is said cannot be kept any more")
    elif kept is not None and kept.is_shared:
        reason = "this node begins anew" if kept.begins_anew else "this node is shutting down"
        server.stop(timeout=STOP_TIMEOUT_S, reason=reason, retry=_RETRY_MS, spread=_SPREAD_MS)
    else:
        server.stop(timeout=STOP_TIMEOUT_S)


def _watched(settings: Settings) -> Watched:
    """Let others see how the server is, from now on."""
    if not settings.metrics:
        return Watched(Health(monotonic_ms))
    try:
        from tcpchat_cli.health import begin  # noqa: PLC0415 # not all have what it needs
    except ImportError as error:
        if (error.name or "").partition(".")[0] != "prometheus_client":
            raise
        die(PROGRAM, LACKS_METRICS)
    return Watched(*begin(settings.metrics))


def _served(server: ChatServer, kept: Keeping | None) -> Served:
    """What there is to see of a server that has begun."""
    return Served(
        node=server.node,
        log=None if kept is None else kept.log,
        archive=None if kept is None else kept.archive,
        folder=None if kept is None else kept.own_folder,
        refused=server.refused,
        certificate_expires_at=certificate_expiry(lambda: server.tls),
        failure=lambda: None if kept is None else kept.failure,
        watchdog=server.watchdog,
    )


def _begun_anew(
    in_use: _InUse, listening: _Listening, failed: Callable[[], None]
) -> tuple[ChatServer, Keeping | None]:
    """Begin with what is in the log now, as soon as it can be reached."""
    told = ""
    in_use.put_off()
    while True:
        try:
            return _server(in_use, listening, failed)
        except SharingError as error:
            if not error.may_pass:
                die(PROGRAM, str(error))
            if str(error) != told:
                told = str(error)
                console.complain(told, about="engine")
                SERVICE.step(told)
        gevent.sleep(_AGAIN_S)


# ── What the service manager is told ─────────────────────────────────────────────────────────────


def _beat() -> None:
    """The greenlet by which its watchdog sees that the loop turns, also while nobody is served."""
    while SERVICE.pause_s < math.inf:
        SERVICE.beat()
        gevent.sleep(SERVICE.pause_s)


def _write_log() -> None:
    """The greenlet by which lines are written that nobody took when they were logged."""
    while True:
        console.write_waiting()
        gevent.sleep(_WRITE_LOG_EVERY_S)


def _show(server: ChatServer, kept: Keeping | None) -> None:
    """The greenlet by which it shows how many are here."""
    while SERVICE.pause_s < math.inf:
        SERVICE.status(_shown(server, kept))
        gevent.sleep(SERVICE.pause_s)


def _shown(server: ChatServer, kept: Keeping | None) -> str:
    state = server.protocol.state
    people, rooms = state.people, sum(1 for _ in state.rooms())
    told = f"{people} {'person' if people == 1 else 'people'} in {rooms} room{'s'[: rooms != 1]}"
    if kept is None or not kept.is_shared:
        return f"serving {told}"
    return f"node {kept.number} with {server.connections} connections; on all nodes {told}"


# ── From settings to a server ────────────────────────────────────────────────────────────────────


def _server(
    in_use: _InUse, listening: _Listening, failed: Callable[[], None]
) -> tuple[ChatServer, Keeping | None]:
    """The server that the settings describe, and what it keeps; for one that cannot be, the end of
    the program. `failed` is called when what is said cannot be kept any more. Raises SharingError.
    """
    settings, made = in_use.settings, in_use.made
    max_clients = _affordable_clients(settings)
    kept: Keeping | None = None
    if settings.log:
        kept = _shared(settings, failed)
    elif not settings.in_memory:
        kept = _kept(settings, made.bounds, failed)
    if kept is None:
        state, number, boot = ChatState(epoch=secrets.token_hex(8), limits=made.bounds), 0, 1
    else:
        state, number, boot = kept.state, kept.number, kept.boot
    archive = None if kept is None else kept.archive
    observe = console.Journal(number).observe if console.is_told(logging.INFO) else None
    server = ChatServer(
        ServerProtocol(
            state,
            limits=made.limits,
            motd=made.motd,
            password=made.password,
            dialects=made.dialects,
            observe=observe,
            configuration=made.configuration,
            nobodys_password=nobodys_password(),
            archive=None if archive is None else archive.keep,
        ),
        settings.host,
        listening.port,
        report=telling(state),
        watchdog=Watchdog(tell),
        max_clients=max_clients,
        max_per_ip=settings.max_per_ip,
        max_backlog_bytes=settings.max_backlog,
        stall_timeout_ms=milliseconds(settings.stall_timeout),
        tls=made.tls,
        log=None if kept is None else kept.log,
        archive=archive,
        number=number,
        boot=boot,
        site=made.site,
        secret=b"" if kept is None else kept.secret,
        proxies=made.proxies,
        reuse_port=listening.is_shared,
        listener=listening.given,
    )
    return server, kept


def _affordable_clients(settings: Settings) -> int:
    """How many are let in: fewer than wanted, where the system says so, and that is told."""
    max_clients = affordable_clients(settings.max_clients)
    if max_clients < settings.max_clients:
        console.complain(
            f"only {max_clients} clients are let in, not {settings.max_clients}:"
            " the system allows this process no more descriptors (ulimit -n)",
            about="descriptors",
        )
    return max_clients


def _shared(settings: Settings, failed: Callable[[], None]) -> Keeping:
    """Share a log. Raises SharingError."""
    try:
        from tcpchat_cli.sharing import Shared  # noqa: PLC0415 # not all have what it needs
    except ImportError as error:
        if error.name != "hiredis":
            raise
        die(PROGRAM, LACKS_PACKAGES)
    return Shared(settings, failed)


def _kept(settings: Settings, limits: StateLimits, failed: Callable[[], None]) -> Kept:
    """Go on where the server before this one has ended."""
    is_synced = settings.durability == "disk"
    if not is_synced:
        text = "durability is os: a power cut may lose what was said in the last seconds"
        console.complain(text, about="durability")
    try:
        folder = open_folder(data_folder(settings.data), is_synced=is_synced, limits=limits)
    except StoreError as error:
        die(PROGRAM, str(error))
    return Kept(folder, settings, failed)


# ── Other settings ───────────────────────────────────────────────────────────────────────────────


def _reload(server: ChatServer, kept: Keeping | None, in_use: _InUse) -> None:
    """Take on what the settings are now, as far as that can be while people are here; or, when
    anything is wrong, nothing of it.
    """
    with SERVICE.reloading():
        try:
            changed = changes(in_use.settings, in_use.source.read())
            made = prepared(changed.settings)
        except SettingsError as error:
            refuse(error)
            return
        told = {**_changed_files(in_use.made, made), **changed.made}
        is_renewed = made.certificate != in_use.made.certificate
        _configure(server, kept, in_use.settings, changed.settings, made)
        in_use.take(changed.settings, made)
        console.note("reloaded", changed=shown(told) or "nothing")
        if is_renewed:
            console.note("certificate-renewed")
        changed.tell()


def _changed_files(was: Prepared, made: Prepared) -> dict[str, str]:
    """Which files say something else than before."""
    contents = {
        "motd": (was.motd, made.motd),
        "password-file": (was.password, made.password),
        "tls-cert": (was.certificate, made.certificate),
    }
    return {key: "read anew" for key, (old, new) in contents.items() if old != new}


def _configure(
    server: ChatServer, kept: Keeping | None, old: Settings, settings: Settings, made: Prepared
) -> None:
    """Have the settings hold, for those who are here and for those who come."""
    was_told = console.is_told(logging.INFO)
    console.set_level(settings.log_level)
    observe = None
    if console.is_told(logging.INFO) and not was_told:
        state = server.protocol.state
        nicks = {person.conn: person.nick for person in state.connected()}
        observe = console.Journal(0 if kept is None else kept.number, nicks).observe
    server.node.configure(
        max_backlog_bytes=settings.max_backlog,
        stall_timeout_ms=milliseconds(settings.stall_timeout),
        limits=made.limits,
        motd=made.motd,
        password=made.password,
        dialects=made.dialects,
        observe=observe,
        configuration=made.configuration,
    )
    server.configure(
        max_clients=_affordable_clients(settings),
        max_per_ip=settings.max_per_ip,
        tls=made.tls,
        site=made.site,
        proxies=made.proxies,
    )
    if kept is not None and settings.keep != old.keep:
        kept.keep(settings.keep)


def _calm_garbage_collection() -> None:
    """Look for cycles seldom, and not in what is here for good.

    The hot path makes many short-lived containers and no cycles; with the usual threshold they
    would have all connections looked through again and again.
    """
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)
