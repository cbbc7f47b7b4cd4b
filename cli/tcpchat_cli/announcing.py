"""What tcpchat-server says at its start: where it listens, or why it cannot."""

from __future__ import annotations

import errno
import os
import socket
import sys
from collections.abc import Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Final

from tcpchat_cli.arguments import DEFAULT_PORT, show_address
from tcpchat_cli.settings import PROGRAM, Settings

# Of every address that a machine has, one by which it reaches itself.
_HERE: Final = MappingProxyType({"0.0.0.0": "127.0.0.1", "::": "::1"})  # noqa: S104 # to open it


def announce(
    host: str,
    port: int,
    settings: Settings,
    *,
    kept: str,
    workers: int = 1,
    metrics: Sequence[str] = (),
) -> None:
    """Say on stdout that it serves, how to join, where what is said is kept, and where metrics
    are.
    """
    tls = bool(settings.tls_cert)
    here = _HERE.get(host, host)
    shown = show_address(here, port)
    client = ["tcpchat-client", *(["--tls"] if tls else [])]
    if port != DEFAULT_PORT:
        client.append(shown)
    plain = f"openssl s_client -quiet -connect {shown}" if tls else f"nc {here} {port}"
    lines = [
        f"{PROGRAM}: listening on {show_address(host, port)}",
        f"join:  {' '.join(client)}",
        f"  or:  {plain}",
        *(
            [f"  or:  open {page_address(host, port, settings)} in a browser"]
            if settings.web
            else []
        ),
        f"kept:  {kept}",
        *([f"metrics: {' '.join(metrics)}"] if metrics else []),
        *([f"runs:  {workers} workers"] if workers > 1 else []),
        "stop:  Ctrl-C",
    ]
    try:
        # All at once: who has read the first of them may read no further.
        print("".join(f"{line}\n" for line in lines), end="", flush=True)
    except OSError:
        # Whoever started us has read what it needs and closed the pipe. What could not be written
        # must not be tried again at the end.
        sys.stdout = Path(os.devnull).open("w")  # noqa: SIM115 # for the rest of the program


def page_address(host: str, port: int, settings: Settings) -> str:
    """Where a browser finds the page: by the name in the certificate, or on this machine."""
    if not settings.tls_cert:
        return f"http://{show_address(_HERE.get(host, host), port)}/"
    name = settings.web_host[0] if settings.web_host else _HERE.get(host, host)
    return f"https://{show_address(name, port)}/"


def by_nodes(log: str, nodes: Sequence[int], folders: Sequence[Path]) -> str:
    """Where several nodes keep what is said: in a log that they share, and in a folder each."""
    told = f"{log}, by nodes {', '.join(map(str, sorted(nodes)))}"
    if not folders:
        return told
    names = ",".join(sorted((folder.name for folder in folders), key=lambda n: (len(n), n)))
    return f"{told}, and in {folders[0].parent}/{{{names}}}"


def why_not(host: str, port: int, error: Exception, *, flag: str = "--port") -> str:
    """Why an address cannot be listened on, which `flag` has named."""
    where = show_address(host, port)
    if isinstance(error, socket.gaierror | UnicodeError):
        return f"cannot listen on {where}: there is no such host"
    match getattr(error, "errno", None):
        case errno.EADDRINUSE:
            return f"cannot listen on {where}: the port is in use; choose another with {flag}"
        case errno.EACCES:
            return f"cannot listen on {where}: ports below 1024 need more rights; choose another"
        case errno.EADDRNOTAVAIL:
            return f"cannot listen on {where}: this machine does not have that address"
        case _:
            return f"cannot listen on {where}: {getattr(error, 'strerror', None) or error}"
