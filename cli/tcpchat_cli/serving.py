"""What tcpchat-server does: serve, as its settings say, and end well."""

from __future__ import annotations

import gc
import logging
import math
import secrets
import signal
import socket
import ssl
from collections.abc import Callable, Sequence
from ipaddress import ip_network
from typing import Final, NamedTuple, TypeAlias

import gevent
import msgspec
from gevent.event import Event

from tcpchat_cli import console
from tcpchat_cli.announcing import announce, why_not
from tcpchat_cli.arguments import die, show_address
from tcpchat_cli.files import FileError, read_password, read_text
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
from tcpchat_cli.settings import PROGRAM, Settings
from tcpchat_cli.stopping import call_when_asked, end_at_once
from tcpchat_cli.telling import tell
from tcpchat_core import (
    VERSION,
    ChatState,
    Dialect,
    Name,
    ServerLimits,
    ServerProtocol,
    StateLimits,
    events,
    room_name,
)
from tcpchat_core.dialects.http import Site
from tcpchat_core.dialects.websocket import WebSocket
from tcpchat_core.server import DIALECTS
from tcpchat_net import ChatServer, Watchdog, monotonic_ms
from tcpchat_net.admission import affordable_clients, origin
from tcpchat_net.health import Health, Phase, Served
from tcpchat_net.logs.store import StoreError
from tcpchat_net.passwords import nobodys_password
from tcpchat_net.tls import TlsError, certificate_expiry, server_context
from tcpchat_net.web import PAGE, load_site

# How long everybody has to take what was sent before the server ends.
STOP_TIMEOUT_S = 5

# A message of the day is for reading; everybody who connects is sent it.
MAX_MOTD_BYTES = 16_384

# A node that shares its log sends its people to the others when it leaves, and when it begins anew:
# from so soon on, and one after the other within a while.
_RETRY_MS: Final = 100
_SPREAD_MS: Final = 2_000

# How long before a node that begins anew looks for its log again.
_AGAIN_S: Final = 1.0


# Called when a worker serves for the first time, with what it keeps and where its metrics are.
Told: TypeAlias = Callable[[Keeping | None, str], None]


class Watched(NamedTuple):
    """What others are told of how the server is, and where; "" for nowhere."""

    health: Health
    metrics: str = ""


def run(
    settings: Settings,
    *,
    told: Told | None = None,
    is_again: bool = False,
    listener: socket.socket | None = None,
) -> None:
    """Serve until Ctrl-C or SIGTERM; exit 0 then, and otherwise with one sentence on stderr.

    With `told` it is a worker: others listen on the same port, and it is not for it to say so. One
    that is started again (`is_again`) waits for a log that cannot be reached. Where a `listener` is
    given, that is served, and the settings have its address.
    """
    watched = _watched(settings)
    gevent.spawn(_beat)
    ended = Event()
    try:
        begin = _begun_anew if is_again else _server
        server, kept = begin(settings, ended.set, is_worker=told is not None, listener=listener)
    except SharingError as error:
        die(PROGRAM, str(error))
    _calm_garbage_collection()
    begins_first = True
    while _serve(server, kept, settings, ended, told, watched=watched, begins_first=begins_first):
        begins_first = False
        settings = msgspec.structs.replace(settings, port=server.address[1])
        ended = Event()
        server, kept = _begun_anew(
            settings, ended.set, is_worker=told is not None, listener=listener
        )


def _serve(
    server: ChatServer,
    kept: Keeping | None,
    settings: Settings,
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
        # systemd, and mean no hurry.
        if is_asked and (told is None or number == signal.SIGINT):
            gevent.spawn(server.stop)
        is_asked = True
        ended.set()

    call_when_asked(ask_to_stop)
    try:
        server.start()
    except OSError as error:
        die(PROGRAM, why_not(settings.host, settings.port, error))
    if kept is not None:
        kept.serve(server)
    signal.signal(signal.SIGHUP, lambda *_: gevent.spawn(_reload, server, settings))
    health.served, health.phase = _served(server, kept), Phase.SERVING
    _tell(server, settings, kept, told, metrics=watched.metrics, begins_first=begins_first)
    SERVICE.ready(_shown(server, kept))
    showing = gevent.spawn(_show, server, kept)
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
    settings: Settings,
    failed: Callable[[], None],
    *,
    is_worker: bool,
    listener: socket.socket | None,
) -> tuple[ChatServer, Keeping | None]:
    """Begin with what is in the log now, as soon as it can be reached."""
    told = ""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # the certificate is read anew in any case
    while True:
        try:
            return _server(settings, failed, is_worker=is_worker, listener=listener)
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
    settings: Settings,
    failed: Callable[[], None],
    *,
    is_worker: bool,
    listener: socket.socket | None,
) -> tuple[ChatServer, Keeping | None]:
    """The server that the settings describe, and what it keeps; for one that cannot be, the end of
    the program. `failed` is called when what is said cannot be kept any more. Raises SharingError.
    """
    motd: Sequence[str] = ()
    password = ""
    try:
        if settings.motd:
            motd = read_text("--motd", settings.motd, MAX_MOTD_BYTES).splitlines()
        if settings.password_file:
            password = read_password("--password-file", settings.password_file)
        tls = _load_certificate(settings)
    except (FileError, TlsError) as error:
        die(PROGRAM, str(error))
    if tls is None and not settings.allow_plaintext and _is_reachable(settings.host):
        die(
            PROGRAM,
            f"what is said on {show_address(settings.host, settings.port)} could be read by others"
            " on the way: give --tls-cert and --tls-key, or --allow-plaintext if that is meant",
        )
    max_clients = affordable_clients(settings.max_clients)
    if max_clients < settings.max_clients:
        console.complain(
            f"only {max_clients} clients are let in, not {settings.max_clients}:"
            " the system allows this process no more descriptors (ulimit -n)",
            about="descriptors",
        )
    wanted = StateLimits(
        rooms_per_person=settings.rooms_per_person,
        rooms=settings.max_rooms,
        history_messages=settings.history,
        guests=int(settings.guests),
    )
    standing = [name for room in settings.rooms if isinstance(name := room_name(room), Name)]
    configuration = events.Configure(msgspec.structs.asdict(wanted), tuple(sorted(standing)))
    limits = ServerLimits(
        flood_burst=settings.flood_burst,
        flood_rate=settings.flood_rate,
        ping_after_ms=_ms(settings.ping_after),
        drop_after_ms=_ms(settings.drop_after),
        grace_ms=_ms(settings.grace),
    )
    kept: Keeping | None = None
    if settings.log:
        kept = _shared(settings, failed)
    elif not settings.in_memory:
        kept = _kept(settings, wanted, failed)
    if kept is None:
        state, number, boot = ChatState(epoch=secrets.token_hex(8), limits=wanted), 0, 1
    else:
        state, number, boot = kept.state, kept.number, kept.boot
    archive = None if kept is None else kept.archive
    site = _site(settings)
    dialects: Sequence[Dialect] = DIALECTS if site is None else (WebSocket(site), *DIALECTS)
    observe = console.Journal(number).observe if console.is_told(logging.INFO) else None
    server = ChatServer(
        ServerProtocol(
            state,
            limits=limits,
            motd=motd,
            password=password,
            dialects=dialects,
            observe=observe,
            configuration=configuration,
            nobodys_password=nobodys_password(),
            archive=None if archive is None else archive.keep,
        ),
        settings.host,
        settings.port,
        complain=console.complain,
        watchdog=Watchdog(tell),
        max_clients=max_clients,
        max_per_ip=settings.max_per_ip,
        max_backlog_bytes=settings.max_backlog,
        stall_timeout_ms=_ms(settings.stall_timeout),
        tls=tls,
        log=None if kept is None else kept.log,
        archive=archive,
        number=number,
        boot=boot,
        site=site,
        secret=b"" if kept is None else kept.secret,
        proxies=[ip_network(network) for network in settings.proxy_protocol],
        reuse_port=is_worker,
        listener=listener,
    )
    return server, kept


def _site(settings: Settings) -> Site | None:
    """What browsers get; None when they get nothing."""
    if not settings.web:
        return None
    try:
        return load_site(settings.web_host, is_encrypted=bool(settings.tls_cert))
    except OSError as error:
        die(PROGRAM, f"cannot read the page in {PAGE}: {error.strerror}; --no-web serves none")


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


def _ms(seconds: float) -> int:
    return round(seconds * 1_000)


def _load_certificate(settings: Settings) -> ssl.SSLContext | None:
    """What TLS needs; None without it. Raises TlsError."""
    if not settings.tls_cert:
        return None
    return server_context(settings.tls_cert, settings.tls_key)


def _reload(server: ChatServer, settings: Settings) -> None:
    """SIGHUP."""
    with SERVICE.reloading():
        _reload_certificate(server, settings)


def _reload_certificate(server: ChatServer, settings: Settings) -> None:
    """Take the certificate from its files again. One that cannot be used is not taken."""
    try:
        tls = _load_certificate(settings)
    except TlsError as error:
        console.complain(f"the old certificate stays in use: {error}", about="certificate")
        return
    if tls is None:
        text = "SIGHUP renews the certificate, and there is none: nothing was done"
        console.complain(text, about="certificate")
        return
    server.tls = tls
    console.note("certificate-renewed")


def _is_reachable(host: str) -> bool:
    """Whether an address may be reached from elsewhere; one that cannot be found is not."""
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError):
        return False  # to listen on it will fail, and say why
    return any(origin(str(address[0])) is not None for *_, address in found)


def _calm_garbage_collection() -> None:
    """Look for cycles seldom, and not in what is here for good.

    The hot path makes many short-lived containers and no cycles; with the usual threshold they
    would have all connections looked through again and again.
    """
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)
