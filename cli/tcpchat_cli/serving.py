"""What tcpchat-server does: read its arguments, serve, and end well."""

from __future__ import annotations

import errno
import socket
import sys
from pathlib import Path

import gevent
from gevent.event import Event

from tcpchat_cli import console
from tcpchat_cli.arguments import (
    DEFAULT_HOST,
    DEFAULT_PORT,
    Parser,
    die,
    port_number,
    show_address,
)
from tcpchat_core import VERSION, ChatState, ServerProtocol
from tcpchat_net import ChatServer

PROGRAM = "tcpchat-server"

# How long everybody has to take what was sent before the server ends.
STOP_TIMEOUT_S = 5

# A message of the day is for reading; everybody who connects is sent it.
MAX_MOTD_BYTES = 16_384


def run() -> None:
    """Serve until Ctrl-C or SIGTERM; exit 0 then, and otherwise with one sentence on stderr."""
    options = _parser().parse_args()
    console.set_up(options.log_level)
    motd = _read_motd(options.motd) if options.motd else ()
    state = ChatState()
    server = ChatServer(
        ServerProtocol(state, motd=motd),
        options.host,
        options.port,
        observe=console.Observer(state),
        complain=console.complain,
    )
    try:
        server.start()
    except OSError as error:
        die(PROGRAM, _why_not(options.host, options.port, error))
    _announce(*server.address)

    asked = Event()

    def ask_to_stop() -> None:
        if asked.is_set():
            server.stop()  # asked twice: wait no longer
        asked.set()

    gevent.signal_handler(2, ask_to_stop)
    gevent.signal_handler(15, ask_to_stop)
    asked.wait()
    console.note("stopping", connections=server.connections)
    server.stop(timeout=STOP_TIMEOUT_S)


def _parser() -> Parser:
    parser = Parser(
        prog=PROGRAM, description="Group chat over TCP, for people who live in a terminal."
    )
    parser.add_argument("--host", default=DEFAULT_HOST, help="address to listen on (%(default)s)")
    parser.add_argument(
        "--port",
        type=port_number,
        default=DEFAULT_PORT,
        help="port; 0 takes a free one (%(default)s)",
    )
    parser.add_argument("--motd", metavar="FILE", help="text that everybody who connects is shown")
    parser.add_argument(
        "--log-level",
        choices=console.LEVELS,
        default="info",
        help="how much is logged (%(default)s)",
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {VERSION}")
    return parser


def _read_motd(name: str) -> list[str]:
    try:
        with Path(name).open("rb") as file:
            data = file.read(MAX_MOTD_BYTES + 1)
        if len(data) > MAX_MOTD_BYTES:
            die(PROGRAM, f"--motd {name}: the file has more than {MAX_MOTD_BYTES:,} bytes")
        return data.decode().splitlines()
    except UnicodeDecodeError:
        die(PROGRAM, f"--motd {name}: the file is not UTF-8 text")
    except OSError as error:
        die(PROGRAM, f"--motd {name}: cannot read the file: {error.strerror}")


def _why_not(host: str, port: int, error: OSError) -> str:
    where = show_address(host, port)
    if isinstance(error, socket.gaierror | UnicodeError):
        return f"cannot listen on {where}: there is no such host"
    match error.errno:
        case errno.EADDRINUSE:
            return f"cannot listen on {where}: the port is in use; choose another with --port"
        case errno.EACCES:
            return f"cannot listen on {where}: ports below 1024 need more rights; choose another"
        case errno.EADDRNOTAVAIL:
            return f"cannot listen on {where}: this machine does not have that address"
        case _:
            return f"cannot listen on {where}: {error.strerror or error}"


def _announce(host: str, port: int) -> None:
    shown = show_address(host, port)
    client = "tcpchat-client" if port == DEFAULT_PORT else f"tcpchat-client {shown}"
    print(f"{PROGRAM}: listening on {shown}")
    print(f"join:  {client}")
    print(f"  or:  nc {host} {port}")
    print("stop:  Ctrl-C", flush=True)
    # Whoever started us may have read what it needs and closed the pipe.
    sys.stdout.flush()
