"""Where one sees how a server is: `--metrics` has a port of its own, on which a thread answers.

It listens before there is anything to serve, so what is wrong with its address is said at once; and
it goes on while a node begins anew.
"""

from __future__ import annotations

import platform
import socket
from collections.abc import Callable
from functools import partial
from http import HTTPStatus
from importlib.metadata import version
from typing import Final

from prometheus_client import CollectorRegistry, GCCollector, ProcessCollector
from prometheus_client.exposition import choose_encoder

from tcpchat_cli import console
from tcpchat_cli.announcing import why_not
from tcpchat_cli.arguments import DEFAULT_HOST, die, show_address
from tcpchat_cli.settings import PROGRAM, host_and_port
from tcpchat_net import monotonic_ms
from tcpchat_net.admission import origin
from tcpchat_net.health import Health
from tcpchat_net.metrics import ServerCollector
from tcpchat_net.monitor import MAX_CONNECTIONS, Answer, Monitor

METRICS_PATH: Final = "/metrics"


def begin(address: str) -> tuple[Health, str]:
    """Listen on an address, and answer from now on: what is told of the server, and where.

    Ends the program with a sentence when the address cannot be had.
    """
    host, port = host_and_port(address) or (DEFAULT_HOST, 0)  # the settings have been checked
    try:
        listener = _listener(host, port)
    except (OSError, UnicodeError) as error:
        die(PROGRAM, why_not(host, port, error, flag="--metrics"))
    health = Health(monotonic_ms)
    monitor = Monitor(listener, pages(health), console.complain)
    monitor.start()
    where = show_address(*monitor.address)
    console.note("metrics", address=where)
    if origin(monitor.address[0]) is not None:
        console.complain(
            f"whoever reaches {where} can read the metrics: it asks for no password",
            about="metrics",
        )
    return health, f"http://{where}{METRICS_PATH}"


def _listener(host: str, port: int) -> socket.socket:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    family, _, _, _, address = found[0]
    return socket.create_server(address, family=family, backlog=MAX_CONNECTIONS)


def pages(health: Health) -> dict[str, Callable[[str], Answer]]:
    """What there is to see of a server, by paths."""
    registry = CollectorRegistry()
    registry.register(
        ServerCollector(health, python=platform.python_version(), gevent=version("gevent"))
    )
    ProcessCollector(registry=registry)
    GCCollector(registry=registry)
    return {
        METRICS_PATH: partial(_metrics, registry),
        "/healthz": lambda _accept: _verdict(health.why_not_alive(), "ok"),
        "/readyz": lambda _accept: _verdict(health.why_not_ready(), "ready"),
    }


def _metrics(registry: CollectorRegistry, accept: str) -> Answer:
    try:
        encode, content_type = choose_encoder(accept)
    except (TypeError, ValueError):  # from versions that are no numbers, which it compares as such
        encode, content_type = choose_encoder("")
    return Answer(HTTPStatus.OK, encode(registry), content_type)


def _verdict(reasons: list[str], well: str) -> Answer:
    """Nothing is wrong, or why something is: one reason a line."""
    status = HTTPStatus.SERVICE_UNAVAILABLE if reasons else HTTPStatus.OK
    return Answer(status, "".join(f"{line}\n" for line in reasons or [well]).encode())
