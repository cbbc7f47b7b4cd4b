"""What is measured beside what: how each server is started and how its clients speak.

Every peer gets a configuration of its own in a temporary directory, listens on loopback only, and
is made comfortable: flood control and DNS look-ups off, send queues large, no persistence, quiet
logs. tcpchat gets the same: no flood control, no bound on connections from one address, no pings,
no sessions that outlast a connection.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from benchmarks.engines import url, valkey
from benchmarks.load import Dialect, text_frame
from benchmarks.processes import Failed, Process, compile_c, descriptors_lacking, free_port, running

_HERE = Path(__file__).parent

# Names the tcpchat-server of another build, to be measured beside this one as `tcpchat-before`.
BEFORE = "TCPCHAT_BEFORE"
_OPENSSL_HEADER = Path("/usr/include/openssl/ssl.h")


@dataclass(frozen=True)
class Launch:
    """What a server's command line is made of. `log` is the URL of the log that it shares."""

    directory: Path
    port: int
    people: int
    log: str = ""


@dataclass(frozen=True)
class System:
    """One system of the comparison.

    `command` writes what configuration is needed and returns the command line. `program` must be
    on the path, or beside this Python; None when the suite brings it itself. `announces`: the
    server chooses its port and tells it, instead of being told. `at_once`: how many clients are
    on their way into their rooms at the same time. `max_people`: beyond it the system is not
    asked. `shares`: it has its log in an engine, which is started before it.
    """

    name: str
    about: str
    dialect: Dialect
    command: Callable[[Launch], list[str]]
    program: str | None = None
    package: str = ""
    announces: bool = False
    at_once: int = 2_000
    max_people: int = 20_000
    shares: bool = False

    def unavailable(self) -> str | None:
        """A sentence when the system is not installed."""
        if self.dialect.tls and not (_OPENSSL_HEADER.exists() and _installed("openssl")):
            return (
                f"{self.name} is left out: OpenSSL's headers or its program are not installed"
                " (Debian: apt-get install libssl-dev openssl)"
            )
        if self.program is None or _installed(self.program):
            return None
        what = "there is none" if self.program == os.sep else f"{self.program} is not installed"
        return f"{self.name} is left out: {what} ({self.package})"

    def version(self) -> str:
        """What the program says of its version."""
        path = self.program and _installed(self.program)
        if not path:
            return ""
        try:
            done = subprocess.run(
                [path, "--version"], capture_output=True, text=True, timeout=10, check=False
            )
        except subprocess.TimeoutExpired:
            return ""
        return (done.stdout or done.stderr).strip().partition("\n")[0]

    @contextmanager
    def serving(self, directory: Path, people: int) -> Iterator[Process]:
        """The server, ready for `people` clients, for the length of a `with`."""
        descriptors = descriptors_lacking(people)
        if people > self.max_people:
            raise Failed(f"{self.name} is not asked to serve more than {self.max_people:,} people")
        if descriptors is not None:
            raise Failed(descriptors)
        launch = Launch(directory, free_port(), people)
        with ExitStack() as stack:
            if self.shares:
                engine = stack.enter_context(valkey(directory / "engine"))
                launch = replace(launch, log=url(engine))
            port = None if self.announces else launch.port
            yield stack.enter_context(running(self.command(launch), directory, port))


def _installed(program: str) -> str | None:
    """Where a program is: beside this Python, on the path, or where Debian keeps daemons."""
    if os.sep in program:
        return shutil.which(program)
    beside = Path(sys.executable).with_name(program)
    if beside.exists():
        return str(beside)
    return shutil.which(program, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")


def _program(name: str) -> str:
    found = _installed(name)
    if found is None:
        raise Failed(f"{name} is not installed")
    return found


# ── How clients speak ────────────────────────────────────────────────────────────────────────

# As tcpchat's, but nobody is told of comings and goings.
BARE = Dialect(
    login=lambda nick, room: [(f"/nick {nick}\n/join {room}\n".encode(), b"* You joined ")],
    frame=lambda _room: (b"", b"\n"),
)

PLAIN = replace(BARE, gone=(b"* u", b" quit"))

PLAIN_OVER_TLS = replace(PLAIN, tls=True)
PLAIN_STALLED = replace(PLAIN, stalled=10)

JSON_LINES = Dialect(
    login=lambda nick, room: [
        (
            b'{"type":"hello"}\n'
            + f'{{"type":"nick","nick":"{nick}"}}\n'.encode()
            + f'{{"type":"join","room":"{room}"}}\n'.encode(),
            b'"type":"entered"',
        )
    ],
    frame=lambda room: (
        f'{{"type":"say","room":"{room}","text":"'.encode(),
        b'","id":"########"}\n',
    ),
    gone=(b'{"type":"gone","nick":"u', b'"'),
)

# A page asks for a WebSocket, and then says in frames what a program says in lines.
_UPGRADE = (
    b"GET /ws HTTP/1.1\r\nHost: localhost\r\nOrigin: http://localhost\r\n"
    b"User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko)"
    b" Chrome/140.0.0.0 Safari/537.36\r\n"
    b"Accept-Encoding: gzip, deflate, br, zstd\r\nAccept-Language: en-US,en;q=0.9\r\n"
    b"Cache-Control: no-cache\r\nPragma: no-cache\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    b"Sec-WebSocket-Protocol: tcpchat.jsonl\r\n"
    b"Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n\r\n"
)


def _browser_login(nick: str, room: str) -> list[tuple[bytes, bytes]]:
    ((said, entered),) = JSON_LINES.login(nick, room)
    frames = b"".join([text_frame(line) for line in said.splitlines()])
    return [(_UPGRADE, b"Sec-WebSocket-Protocol: tcpchat.jsonl\r\n\r\n"), (frames, entered)]


def _browser_frame(room: str) -> tuple[bytes, bytes]:
    before, after = JSON_LINES.frame(room)
    return before, after.removesuffix(b"\n")


BROWSERS = replace(JSON_LINES, login=_browser_login, frame=_browser_frame, frames=True)

# A browser, somebody with nc, a browser, … Departures are told in two ways, and none is counted.
MIXED = replace(BROWSERS, others=(PLAIN,), gone=(b"", b""))

# RFC 2812: 001 ends the registration, 366 the list of names that a JOIN is answered with. While a
# room empties, only who quits is named as where a line comes from.
IRC = Dialect(
    login=lambda nick, room: [
        (f"NICK {nick}\r\nUSER {nick} 0 * :{nick}\r\n".encode(), b" 001 "),
        (f"JOIN #{room}\r\n".encode(), b" 366 "),
    ],
    frame=lambda room: (f"PRIVMSG #{room} :".encode(), b"\r\n"),
    gone=(b":u", b"!"),
)


def _irc_login_with_tags(nick: str, room: str) -> list[tuple[bytes, bytes]]:
    (registration, welcomed), entry = IRC.login(nick, room)
    asked = b"CAP LS 302\r\nCAP REQ :server-time message-tags\r\n"
    return [(asked + registration + b"CAP END\r\n", welcomed), entry]


# As most clients of today: each message comes with its time and its id.
IRC_WITH_TAGS = replace(IRC, login=_irc_login_with_tags)

# A quarter each; departures are told in three ways, and none is counted.
FOUR_KINDS = replace(PLAIN, others=(JSON_LINES, IRC_WITH_TAGS, IRC), gone=(b"", b""))

# RESP3, in which a connection that has subscribed may also publish. It gets its own messages.
REDIS = Dialect(
    login=lambda _nick, room: [
        (f"HELLO 3\r\nSUBSCRIBE {room}\r\n".encode(), b"subscribe\r\n"),
    ],
    frame=lambda room: (
        f"*3\r\n$7\r\nPUBLISH\r\n${len(room)}\r\n{room}\r\n$64\r\n".encode(),
        b"\r\n",
    ),
    echo=True,
)

# A message goes into a stream and to who has subscribed, in one step: with `appendfsync always`
# nothing leaves Redis before the stream is on the disk.
_APPEND_AND_PUBLISH = (
    b"redis.call('XADD', 'log', '*', 'm', ARGV[1]) return redis.call('PUBLISH', KEYS[1], ARGV[1])"
)
_SHA = hashlib.sha1(_APPEND_AND_PUBLISH, usedforsecurity=False).hexdigest()

REDIS_KEPT = replace(
    REDIS,
    login=lambda _nick, room: [
        (
            b"*3\r\n$6\r\nSCRIPT\r\n$4\r\nLOAD\r\n$%d\r\n" % len(_APPEND_AND_PUBLISH)
            + _APPEND_AND_PUBLISH
            + b"\r\n",
            _SHA.encode(),
        ),
        (f"HELLO 3\r\nSUBSCRIBE {room}\r\n".encode(), b"subscribe\r\n"),
    ],
    frame=lambda room: (
        f"*5\r\n$7\r\nEVALSHA\r\n$40\r\n{_SHA}\r\n$1\r\n1\r\n"
        f"${len(room)}\r\n{room}\r\n$64\r\n".encode(),
        b"\r\n",
    ),
)

NATS = Dialect(
    login=lambda _nick, room: [
        (
            b'CONNECT {"verbose":false,"pedantic":false,"echo":false}\r\n'
            + f"SUB {room} 1\r\nPING\r\n".encode(),
            b"PONG\r\n",
        )
    ],
    frame=lambda room: (f"PUB {room} 64\r\n".encode(), b"\r\n"),
)


# ── How servers are started ──────────────────────────────────────────────────────────────────


@cache
def _tcpchat_flags(program: str) -> str:
    """What an installed server says of its flags."""
    command = [_program(program), "--help"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    return done.stdout


def _tcpchat(launch: Launch, program: str = "tcpchat-server") -> list[str]:
    command = [_program(program), "--port", "0"]
    wanted = {
        "--log-level": "warning",
        "--flood-rate": "0",
        "--max-clients": str(launch.people + 16),
        "--max-per-ip": str(launch.people + 16),
        "--ping-after": "3600",
        "--drop-after": "7200",
        "--grace": "0",  # who goes is gone, as everywhere else
    }
    flags = _tcpchat_flags(program)
    for flag, value in wanted.items():
        if flag in flags:
            command += [flag, value]
    if "--in-memory" in flags:
        command.append("--in-memory")
    return command


def _tcpchat_kept(launch: Launch) -> list[str]:
    """With a log on the disk on which temporary files are."""
    command = [part for part in _tcpchat(launch) if part != "--in-memory"]
    return [*command, "--data", str(launch.directory / "data")]


def tcpchat_shared(launch: Launch) -> list[str]:
    """A node of several, with its archive on the disk on which temporary files are."""
    return [*_tcpchat_kept(launch), "--log", launch.log]


def _tcpchat_before(launch: Launch) -> list[str]:
    return _tcpchat(launch, os.environ.get(BEFORE, ""))


def _tcpchat_tls(launch: Launch) -> list[str]:
    key, certificate = launch.directory / "key.pem", launch.directory / "certificate.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-nodes", "-days", "2", "-subj", "/CN=localhost"),
            *("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"),
            *("-keyout", str(key), "-out", str(certificate)),
        ],
        capture_output=True,
        timeout=30,
        check=True,
    )
    return [*_tcpchat(launch), "--tls-cert", str(certificate), "--tls-key", str(key)]


def _yardstick(launch: Launch) -> list[str]:
    return [str(compile_c(_HERE / "yardstick.c", launch.directory))]


def _threads(_launch: Launch) -> list[str]:
    return [sys.executable, str(_HERE / "thread_per_client.py")]


def _ngircd(launch: Launch) -> list[str]:
    config = launch.directory / "ngircd.conf"
    config.write_text(
        f"""\
[Global]
Name = irc.example.org
Info = benchmark
Listen = 127.0.0.1
Ports = {launch.port}
ServerUID = {os.getuid()}
ServerGID = {os.getgid()}
[Limits]
MaxConnections = 0
MaxConnectionsIP = 0
MaxJoins = 0
MaxPenaltyTime = 0
PingTimeout = 3600
[Options]
DNS = no
Ident = no
PAM = no
SyslogFacility = local7
"""
    )
    return [_program("ngircd"), "--nodaemon", "--config", str(config)]


def _inspircd(launch: Launch) -> list[str]:
    config = launch.directory / "inspircd.conf"
    config.write_text(
        f"""\
<server name="irc.example.org" description="benchmark" network="benchmark" id="97K">
<admin name="benchmark" nick="benchmark" email="benchmark@example.org">
<bind address="127.0.0.1" port="{launch.port}" type="clients">
<connect name="all" allow="*" timeout="60" pingfreq="1h" fakelag="no" threshold="1000000"
  commandrate="1000000000" recvq="1M" softsendq="100M" hardsendq="100M"
  localmax="100000" globalmax="100000" maxconnwarn="no" useident="no" resolvehostnames="no">
<performance somaxconn="4096" softlimit="20000" netbuffersize="65536">
<options defaultmodes="" hideserver="">
<pid file="{launch.directory}/inspircd.pid">
"""
    )
    command = [_program("inspircd"), "--nofork", "--nolog", "--config", str(config)]
    return [*command, "--runasroot"] if os.getuid() == 0 else command


def _redis(launch: Launch) -> list[str]:
    return [
        *(_program("redis-server"), "--bind", "127.0.0.1", "--port", str(launch.port)),
        *("--save", "", "--appendonly", "no", "--daemonize", "no"),
        *("--maxclients", str(launch.people + 100), "--tcp-backlog", "4096"),
        *("--client-output-buffer-limit", "pubsub 0 0 0", "--loglevel", "warning"),
    ]


def _redis_kept(launch: Launch) -> list[str]:
    command = _redis(launch)
    command[command.index("--appendonly") + 1] = "yes"
    return [*command, "--appendfsync", "always", "--dir", str(launch.directory)]


def _nats(launch: Launch) -> list[str]:
    config = launch.directory / "nats.conf"
    config.write_text(
        f"""\
host: 127.0.0.1
port: {launch.port}
max_connections: 100000
max_pending: 536870912
write_deadline: "60s"
ping_interval: "1h"
"""
    )
    return [_program("nats-server"), "--config", str(config)]


SYSTEMS = {
    system.name: system
    for system in (
        System(
            "tcpchat",
            "tcpchat-server, plain dialect",
            PLAIN,
            _tcpchat,
            "tcpchat-server",
            "pip install -e .",
            announces=True,
        ),
        System(
            "tcpchat-kept",
            "tcpchat-server, plain dialect; what is said is on the disk before anybody is told",
            PLAIN,
            _tcpchat_kept,
            "tcpchat-server",
            "pip install -e .",
            announces=True,
        ),
        System(
            "tcpchat-shared",
            "tcpchat-server, plain dialect; one node, what is said is on the engine's disk first",
            PLAIN,
            tcpchat_shared,
            "tcpchat-server",
            "pip install -e .",
            announces=True,
            shares=True,
        ),
        System(
            "tcpchat-jsonl",
            "tcpchat-server, JSON Lines dialect",
            JSON_LINES,
            _tcpchat,
            "tcpchat-server",
            "pip install -e .",
            announces=True,
        ),
        System(
            "tcpchat-browsers",
            "tcpchat-server, JSON in the frames of a WebSocket",
            BROWSERS,
            _tcpchat,
            "tcpchat-server",
            "pip install -e .",
            announces=True,
        ),
        System(
            "tcpchat-mixed",
            "tcpchat-server, every other client in a browser, the others in the plain dialect",
            MIXED,
            _tcpchat,
            "tcpchat-server",
            "pip install -e .",
            announces=True,
        ),
        System(
            "tcpchat-irc",
            "tcpchat-server, IRC without tags",
            IRC,
            _tcpchat,
            "tcpchat-server",
            "pip install -e .",
            announces=True,
        ),
        System(
            "tcpchat-irc-tags",
            "tcpchat-server, IRC with the time and the id of each message as tags",
            IRC_WITH_TAGS,
            _tcpchat,
            "tcpchat-server",
            "pip install -e .",
            announces=True,
        ),
        System(
            "tcpchat-irc-mixed",
            "tcpchat-server, a quarter each in the plain dialect, JSON, IRC with tags and without",
            FOUR_KINDS,
            _tcpchat,
            "tcpchat-server",
            "pip install -e .",
            announces=True,
        ),
        System(
            "tcpchat-tls",
            "tcpchat-server, plain dialect over TLS",
            PLAIN_OVER_TLS,
            _tcpchat_tls,
            "tcpchat-server",
            "pip install -e .",
            announces=True,
        ),
        System(
            "tcpchat-stalled",
            "tcpchat-server, plain dialect; ten members of each room read nothing, for 1 s at most",
            PLAIN_STALLED,
            lambda launch: [*_tcpchat(launch), "--stall-timeout", "1"],
            "tcpchat-server",
            "pip install -e .",
            announces=True,
        ),
        System(
            "tcpchat-before",
            "tcpchat-server of another build, plain dialect",
            PLAIN,
            _tcpchat_before,
            os.environ.get(BEFORE, os.sep),
            f"{BEFORE}=/path/to/its/tcpchat-server says which it is",
            announces=True,
        ),
        System(
            "tcpchat-jsonl-before",
            "tcpchat-server of another build, JSON Lines dialect",
            JSON_LINES,
            _tcpchat_before,
            os.environ.get(BEFORE, os.sep),
            f"{BEFORE}=/path/to/its/tcpchat-server says which it is",
            announces=True,
        ),
        System("c-loop", "the yardstick: a bare C loop", BARE, _yardstick, announces=True),
        System(
            "redis",
            "Redis pub/sub, RESP3; authors get their own messages too",
            REDIS,
            _redis,
            "redis-server",
            "Debian: apt-get install redis-server",
        ),
        System(
            "redis-kept",
            "Redis, `appendfsync always`: each message goes into a stream, and to who subscribed",
            REDIS_KEPT,
            _redis_kept,
            "redis-server",
            "Debian: apt-get install redis-server",
        ),
        System(
            "inspircd",
            "InspIRCd, IRC",
            IRC,
            _inspircd,
            "inspircd",
            "Debian: apt-get install inspircd",
        ),
        System(
            "ngircd",
            "ngIRCd, IRC",
            IRC,
            _ngircd,
            "ngircd",
            "Debian: apt-get install ngircd",
            at_once=8,  # its listen queue has 10 places, and more wait for seconds
        ),
        System(
            "nats",
            "NATS core",
            NATS,
            _nats,
            "nats-server",
            "Debian: apt-get install nats-server",
        ),
        System(
            "threads",
            "a thread per client and `sendall` to each, in Python",
            BARE,
            _threads,
            announces=True,
            max_people=2_000,  # as many threads
        ),
    )
}
