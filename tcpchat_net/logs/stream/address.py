"""Where an engine is, and which log in it is meant: the URL that a node is given."""

from __future__ import annotations

import re
from typing import Final, NamedTuple
from urllib.parse import parse_qsl, unquote, urlsplit

# Which schemes there are, and whether they mean TLS.
_SCHEMES: Final = {
    "valkey": False,
    "redis": False,
    "valkeys": True,
    "rediss": True,
    "unix": False,
}

DEFAULT_PORT: Final = 6379
DEFAULT_NAME: Final = "tcpchat"

_NAME: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")
_OPTIONS: Final = ("name", "ca", "db")

# A login with a colon, wherever it seems to be: one with a / or # in it makes no URL, and what is
# said of that would have a part of the password.
_PASSWORD: Final = re.compile(r":(?!//).*@", re.DOTALL)

# Options, in whose values an @ means nothing.
_OPTIONS_AT_END: Final = re.compile(rf"\?(?:{'|'.join(_OPTIONS)})=[^?#:]*\Z")

EXAMPLE: Final = "valkey://HOST:6379/0?name=team"


class Place(NamedTuple):
    """One engine: a host and a port, or the path of a socket."""

    host: str
    port: int
    path: str = ""

    def __str__(self) -> str:
        if self.path:
            return self.path
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class EngineAddress(NamedTuple):
    """Engines of which one takes batches in, and how to log in there.

    `ca` is a file with the certificates to trust, "" for those that the system trusts.
    """

    places: tuple[Place, ...]
    name: str = DEFAULT_NAME
    database: int = 0
    user: str = ""
    password: str = ""
    is_encrypted: bool = False
    ca: str = ""

    def __str__(self) -> str:
        return ",".join(map(str, self.places))


def parse_url(url: str) -> EngineAddress:
    """The address that a URL gives. Raises ValueError, with a sentence for people, in which there
    is no password.
    """
    if _PASSWORD.search(_OPTIONS_AT_END.sub("", url)):
        raise ValueError(
            "a password in a URL can be read by everybody on this machine: give it in the"
            " environment as TCPCHAT_LOG_PASSWORD, or in a file with --log-password-file"
        )
    if not url.isprintable() or "\0" in unquote(url):
        raise ValueError(f"{url!r} is no URL such as {EXAMPLE}: it has characters that none has")
    try:
        parts = urlsplit(url)
    except ValueError as error:
        raise ValueError(f"{url!r} is no URL such as {EXAMPLE}: {error}") from None
    scheme = parts.scheme.lower()
    if scheme not in _SCHEMES or not (parts.netloc or parts.path):
        raise ValueError(f"{url!r} is no URL such as {EXAMPLE}, or with {', '.join(_SCHEMES)}")
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    for option in options:
        if option not in _OPTIONS:
            shown = url.partition("?")[0]  # the value may be a password
            raise ValueError(f"{shown!r}: there is no {option!r}; there are {', '.join(_OPTIONS)}")
    login, _, hosts = parts.netloc.rpartition("@")
    name = options.get("name", DEFAULT_NAME)
    if not _NAME.fullmatch(name):
        raise ValueError(f"{name!r} is no name of a log: it has letters, digits, and . _ -")
    if scheme == "unix":
        if hosts or not parts.path.startswith("/"):
            raise ValueError(f"{url!r} names no socket; write unix:///path/to/valkey.sock")
        database, places = options.get("db", "0"), [Place("", 0, unquote(parts.path))]
    else:
        database = parts.path.strip("/") or options.get("db", "0")
        places = [_place(url, part) for part in hosts.split(",")]
    if not (database.isascii() and database.isdecimal() and len(database) < 6):
        raise ValueError(f"{url!r}: {database!r} is no database; that is a number, such as 0")
    encrypted = _SCHEMES[scheme]
    if options.get("ca") and not encrypted:
        raise ValueError(f"{url!r}: ca is for TLS; write valkeys:// or rediss://")
    return EngineAddress(
        tuple(places), name, int(database), unquote(login), "", encrypted, options.get("ca", "")
    )


def _place(url: str, part: str) -> Place:
    found = re.fullmatch(r"(\[[0-9A-Fa-f:.]+\]|[^\[\]:]+)(?::([0-9]{1,5}))?", part.strip())
    try:
        host, port = (found[1].strip("[]"), int(found[2] or DEFAULT_PORT)) if found else ("", 0)
        host.encode("idna")  # looking it up would do the same, and end otherwise
    except UnicodeError:
        port = 0
    if not 0 < port < 65_536:
        raise ValueError(f"{url!r}: {part!r} is no HOST:PORT (an IPv6 address has brackets)")
    return Place(host, port)
