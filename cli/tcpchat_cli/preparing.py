"""What the settings of tcpchat-server come to: files are read, and limits are in the core's units.

It is the same for a start, for a reload and for --check-config: what one of them refuses, all
refuse, and with the same sentence.

As a program it says on stdout what is wrong with the settings on stdin. That is for who looks after
workers, which is to stay small (workers.py).
"""

from __future__ import annotations

import hashlib
import socket
import ssl
import sys
from collections.abc import Callable, Sequence
from ipaddress import ip_network
from pathlib import Path
from typing import Final, NamedTuple, TypeVar

import msgspec

from tcpchat_cli.arguments import show_address
from tcpchat_cli.files import FileError, read_password, read_text
from tcpchat_cli.settings import Settings, SettingsError
from tcpchat_core import Dialect, Name, ServerLimits, StateLimits, events, room_name
from tcpchat_core.dialects.http import Site
from tcpchat_core.dialects.websocket import WebSocket
from tcpchat_core.server import DIALECTS
from tcpchat_net.admission import origin
from tcpchat_net.proxy_protocol import Network
from tcpchat_net.tls import TlsError, server_context
from tcpchat_net.web import PAGE, load_site

# A message of the day is for reading; everybody who connects is sent it.
MAX_MOTD_BYTES: Final = 16_384

# A chain of certificates has some KiB.
_MAX_PEM_BYTES: Final = 1_048_576

_Value = TypeVar("_Value")


class Prepared(NamedTuple):
    """What a server is made of, or goes on with."""

    motd: tuple[str, ...]
    password: str
    tls: ssl.SSLContext | None
    certificate: str  # names what is in the files of the certificate; "" without
    site: Site | None  # None when browsers get nothing
    limits: ServerLimits
    bounds: StateLimits
    configuration: events.Configure
    proxies: tuple[Network, ...]

    @property
    def dialects(self) -> Sequence[Dialect]:
        """Those that peers may speak."""
        return DIALECTS if self.site is None else (WebSocket(self.site), *DIALECTS)


def prepared(settings: Settings) -> Prepared:
    """What the settings come to. Raises SettingsError, with the first that is wrong."""
    made, problems = prepare(settings)
    if problems:
        raise SettingsError(problems[0])
    return made


def prepare(settings: Settings) -> tuple[Prepared, list[str]]:
    """What the settings come to, and all that is wrong with them."""
    problems: list[str] = []

    def attempt(make: Callable[[Settings], _Value], otherwise: _Value) -> _Value:
        try:
            return make(settings)
        except (FileError, TlsError, SettingsError) as error:
            problems.append(str(error))
            return otherwise

    motd = attempt(_motd, tuple[str, ...]())
    password = attempt(_password, "")
    # First what names it: the files may be replaced, or gone, a moment later.
    certificate = attempt(_certificate, "")
    tls = attempt(_tls, None) if certificate else None
    if _could_be_read_by_others(settings):
        where = show_address(settings.host, settings.port)
        problems.append(
            f"what is said on {where} could be read by others on the way: give --tls-cert and"
            " --tls-key, or --allow-plaintext if that is meant"
        )
    bounds = StateLimits(
        rooms_per_person=settings.rooms_per_person,
        rooms=settings.max_rooms,
        history_messages=settings.history,
        guests=int(settings.guests),
    )
    standing = [name for room in settings.rooms if isinstance(name := room_name(room), Name)]
    limits = ServerLimits(
        flood_burst=settings.flood_burst,
        flood_rate=settings.flood_rate,
        ping_after_ms=milliseconds(settings.ping_after),
        drop_after_ms=milliseconds(settings.drop_after),
        grace_ms=milliseconds(settings.grace),
    )
    made = Prepared(
        motd=motd,
        password=password,
        tls=tls,
        certificate=certificate,
        site=attempt(_site, None),
        limits=limits,
        bounds=bounds,
        configuration=events.Configure(msgspec.structs.asdict(bounds), tuple(sorted(standing))),
        proxies=tuple([ip_network(network) for network in settings.proxy_protocol]),
    )
    return made, problems


def milliseconds(seconds: float) -> int:
    """A length of time as the core has it."""
    return round(seconds * 1_000)


def _motd(settings: Settings) -> tuple[str, ...]:
    if not settings.motd:
        return ()
    return tuple(read_text("--motd", settings.motd, MAX_MOTD_BYTES).splitlines())


def _password(settings: Settings) -> str:
    if not settings.password_file:
        return ""
    return read_password("--password-file", settings.password_file)


def _tls(settings: Settings) -> ssl.SSLContext | None:
    if not (settings.tls_cert and settings.tls_key):
        return None
    return server_context(settings.tls_cert, settings.tls_key)


def _certificate(settings: Settings) -> str:
    if not (settings.tls_cert and settings.tls_key):
        return ""
    digest = hashlib.sha256()
    for name in (settings.tls_cert, settings.tls_key):
        try:
            with Path(name).open("rb") as file:
                digest.update(file.read(_MAX_PEM_BYTES))
        except OSError as error:
            raise TlsError(f"cannot read {name}: {error.strerror}") from error
    return digest.hexdigest()


def _site(settings: Settings) -> Site | None:
    if not settings.web:
        return None
    try:
        return load_site(settings.web_host, is_encrypted=bool(settings.tls_cert))
    except OSError as error:
        sentence = f"cannot read the page in {PAGE}: {error.strerror}; --no-web serves none"
        raise SettingsError(sentence) from error


def _could_be_read_by_others(settings: Settings) -> bool:
    """Whether people would talk without TLS where an address can be reached from elsewhere; one
    that cannot be found is not.
    """
    if settings.tls_cert or settings.tls_key or settings.allow_plaintext:
        return False
    try:
        found = socket.getaddrinfo(
            settings.host, None, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
    except (OSError, UnicodeError):
        return False  # to listen on it will fail, and say why
    return any(origin(str(address[0])) is not None for *_, address in found)


def main() -> None:
    """Say what is wrong, if anything is."""
    settings = msgspec.json.decode(sys.stdin.buffer.read(), type=Settings)
    _, problems = prepare(settings)
    if problems:
        print(problems[0])


if __name__ == "__main__":
    main()
