"""One measurement: the load generator's plan, and what it found."""

from __future__ import annotations

import struct
import subprocess
import tempfile
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import msgspec

from benchmarks.processes import Failed, Process
from benchmarks.workloads import Workload

# No bytes for this long, and the joins are taken to be told to everybody.
QUIET_S = 0.1
# Above this share of one core, the load generator may have been the limit and not the server.
GENERATOR_LIMIT = 0.9

# As much text has each message: what the load generator knows it by.
PAYLOAD_BYTES = 64

# With which a browser masks what it sends. For what is said the generator puts others in its place.
_KEY = b"\x37\xfa\x21\x3d"

# What is told while a measurement runs: the phase, and how much of it is done (0 … 1).
OnProgress = Callable[[str, float], None]


@dataclass(frozen=True)
class Dialect:
    """How the clients of a system speak.

    `login(nick, room)` are the steps into a room: what to send, and what to wait for.
    `frame(room)` is what stands before and after the text of a message; "########" in the latter
    is replaced by the message's number. `echo`: authors get their own messages too. `tls`: all of
    it is encrypted. `stalled` members of each room (none of them a talker) stop reading when the
    talk begins. `gone` is what stands before and after the number of somebody (u123) who is told of
    as gone; empty where nobody is told. `frames`: what is said is to be put into the frames of a
    WebSocket; in what `login` sends they are. `others` are how the next members of a room speak,
    where not all speak alike: they take turns.
    """

    login: Callable[[str, str], list[tuple[bytes, bytes]]]
    frame: Callable[[str], tuple[bytes, bytes]]
    echo: bool = False
    tls: bool = False
    stalled: int = 0
    gone: tuple[bytes, bytes] = (b"", b"")
    frames: bool = False
    others: tuple[Dialect, ...] = ()

    def of(self, member: int) -> Dialect:
        """How a member of a room speaks."""
        return (self, *self.others)[member % (1 + len(self.others))]


def text_frame_head(size: int) -> bytes:
    """What stands before so many bytes in a frame that a browser sends (RFC 6455, section 5.2)."""
    if size < 126:
        return struct.pack("!BB", 0x81, 0x80 | size) + _KEY
    return struct.pack("!BBH", 0x81, 0x80 | 126, size) + _KEY


def text_frame(data: bytes) -> bytes:
    """A message as a browser sends it."""
    masked = bytes([byte ^ _KEY[place % 4] for place, byte in enumerate(data)])
    return text_frame_head(len(data)) + masked


class Found(msgspec.Struct, frozen=True):
    """What the load generator counted.

    In the window: `window_ns`, `server_cpu_ns`, `generator_cpu_ns`, messages `sent`,
    `deliveries`, `bytes` received, and `latencies_us` as pairs of value and count. Over all:
    `delivered`, and what must be 0: deliveries that were `lost`, `duplicated`, `out_of_order`
    (of one sender) or `stray` (from elsewhere), receivers `disagreeing` with the first of their
    room on the order of all messages, clients `disconnected`. `closed` are those of the stalled
    clients that the server closed, `login_…` is the way in, `left` are those who went and
    `leave_cpu_ns` what that cost. That somebody went counts as a delivery to each who stays.
    """

    login_ns: int
    login_cpu_ns: int
    left: int
    leave_cpu_ns: int
    window_ns: int
    server_cpu_ns: int
    generator_cpu_ns: int
    sent: int
    deliveries: int
    bytes: int
    delivered: int
    lost: int
    duplicated: int
    out_of_order: int
    stray: int
    disagreeing: int
    disconnected: int
    closed: int
    latencies_us: list[tuple[int, int]]

    def faults(self) -> dict[str, int]:
        """What must be 0 and is not."""
        counts = {
            "lost": self.lost,
            "duplicated": self.duplicated,
            "out of order": self.out_of_order,
            "stray": self.stray,
            "receivers that disagree on the order": self.disagreeing,
            "disconnected": self.disconnected,
        }
        return {name: count for name, count in counts.items() if count}

    def generator_share(self) -> float:
        """How much of one core the load generator used in the window."""
        return self.generator_cpu_ns / self.window_ns

    def server_share(self) -> float:
        """How much of one core the server used in the window."""
        return self.server_cpu_ns / self.window_ns


class Measurement(msgspec.Struct, frozen=True):
    """One run of one workload against one system.

    `resident_before` is the server's memory without clients, `resident` with all of them, at the
    end of the window, `peak` the most it ever was. `stalled` is how many clients read nothing.
    `system_share` is how much of the server's CPU the kernel used, for its sake.
    """

    found: Found
    resident_before: int
    resident: int
    peak: int
    stalled: int
    system_share: float


class _Told(msgspec.Struct):
    """One line of progress, or the sentence that ends it."""

    phase: str = ""
    done: float = 0
    error: str = ""


def measure(
    loadgen: Path,
    server: Process,
    dialect: Dialect,
    workload: Workload,
    on_progress: OnProgress,
    *,
    at_once: int,
) -> Measurement:
    """Drive `workload` at a server, with `at_once` clients logging in at the same time.

    Raises Failed when not everybody could be brought in.
    """
    resident_before = resident = peak = server.memory("VmRSS")
    user, system = begin = server.cpu_s()
    with tempfile.NamedTemporaryFile(prefix="tcpchat-plan-") as plan:
        plan.write(_plan(server, dialect, workload, at_once))
        plan.flush()
        generator = subprocess.Popen([str(loadgen), plan.name], stdout=subprocess.PIPE)
        limit_s = (
            workload.login_limit_s
            + workload.warmup_s
            + workload.window_s
            + 3 * workload.drain_s
            + 1
            # For `least` messages, for all to leave, and for one to come back.
            + 3 * workload.login_limit_s
        )
        watchdog = threading.Timer(limit_s, generator.kill)
        watchdog.start()
        assert generator.stdout is not None
        found = None
        try:
            for line in generator.stdout:
                if line.startswith(b'{"login_ns"'):
                    found = msgspec.json.decode(line, type=Found)
                    break
                told = msgspec.json.decode(line, type=_Told)
                if told.error:
                    raise Failed(told.error)
                if told.phase == "begin":
                    begin = server.cpu_s()
                elif told.phase == "end":
                    user, system = server.cpu_s()
                    resident, peak = server.memory("VmRSS"), server.memory("VmHWM")
                else:
                    on_progress(told.phase, told.done)
        finally:
            watchdog.cancel()
            generator.kill()
            generator.wait()
            generator.stdout.close()
    if found is None:
        raise Failed("the load generator ended without a result")
    in_user, in_system = user - begin[0], system - begin[1]
    system_share = in_system / max(in_user + in_system, 0.01)
    stalled = dialect.stalled * workload.rooms
    return Measurement(found, resident_before, resident, peak, stalled, system_share)


def _plan(server: Process, dialect: Dialect, workload: Workload, at_once: int) -> bytes:
    """The plan in the form that loadgen.c reads."""
    parts = [
        f"port {server.port}\npid {server.pid}\ntls {dialect.tls:d}\n"
        f"in_flight {workload.in_flight}\nrate {workload.rate}\necho {dialect.echo:d}\n"
        f"at_once {at_once}\nlogin_ms {workload.login_limit_s * 1000:.0f}\n"
        f"quiet_ms {QUIET_S * 1000:.0f}\nwarmup_ms {workload.warmup_s * 1000:.0f}\n"
        f"window_ms {workload.window_s * 1000:.0f}\ndrain_ms {workload.drain_s * 1000:.0f}\n"
        f"least {workload.least}\n".encode(),
        *(
            b"%b %d\n%b" % (name, len(text), text)
            for name, text in zip((b"gone_before", b"gone_after"), dialect.gone, strict=True)
        ),
        f"rooms {workload.rooms}\nclients {workload.people}\n".encode(),
    ]
    for number in range(workload.people):
        # Rooms fill evenly, as they do when people come by chance.
        room, member = number % workload.rooms, number // workload.rooms
        own = dialect.of(member)
        steps = own.login(f"u{number}", f"r{room}")
        before, after = own.frame(f"r{room}")
        size = len(before) + PAYLOAD_BYTES + len(after)
        frame_head = text_frame_head(size) if own.frames else b""
        before = frame_head + before
        talks = member < workload.talkers
        stalls = workload.talkers <= member < workload.talkers + dialect.stalled
        leaves = workload.stay is not None and member >= workload.stay
        head = (room, talks, stalls, leaves, len(steps), len(before), len(after), len(frame_head))
        parts.append(b"%d %d %d %d %d %d %d %d\n" % head)
        parts += [before, after]
        for send, expect in steps:
            parts += [b"%d %d\n" % (len(send), len(expect)), send, expect]
    return b"".join(parts)
