"""tcpchat-server cluster: for who looks after several nodes.

`status` tells how the engine, the log and the nodes that share it are. Nothing is changed by it but
the word by which all nodes are asked for their digests. `accept` has the nodes go on with an engine
that another one, which is lost for good, had left behind.
"""

from __future__ import annotations

import argparse
import secrets
import socket
import ssl
import sys
import time
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

import msgspec

from tcpchat_cli.arguments import die
from tcpchat_cli.keeping import SharingError
from tcpchat_cli.settings import PROGRAM, Settings
from tcpchat_cli.sharing import engine_address
from tcpchat_net.logs.stream import (
    EngineError,
    EngineRefusedError,
    Greeting,
    Head,
    Lease,
    NoLogError,
)
from tcpchat_net.logs.stream.commands import Commands
from tcpchat_net.logs.stream.safety import dangers
from tcpchat_net.logs.stream.status import NodeStatus, read_status
from tcpchat_net.resp import RespWire

# How long the nodes have to answer: each hears the question with one beat, and answers with the
# next, so that two seconds are enough.
ANSWER_S: Final = 3.0

_LOOK_S: Final = 0.05

# How much of a digest, a run id or an epoch is shown to people.
_SHORT: Final = 12

_MIB: Final = 1 << 20


class Replica(msgspec.Struct, frozen=True):
    """An engine that follows, and how much of what its primary has it has not acknowledged."""

    address: str
    state: str
    lag_bytes: int


class EngineShown(msgspec.Struct, frozen=True):
    """The engine. `follows` is its primary, and whether that can be reached, for a replica.

    `max_memory_bytes` is 0 when there is no such limit. `warnings` are its settings by which it may
    lose what it has acknowledged.
    """

    address: str
    kind: str
    version: str
    run_id: str
    role: str
    follows: str | None
    takes_in: bool
    memory_bytes: int
    max_memory_bytes: int
    replicas: list[Replica]
    warnings: tuple[str, ...]


class LogShown(msgspec.Struct, frozen=True):
    """The log: its last entry is `seq`, and the first that is kept is `first`.

    `snapshot` is the entry of the newest snapshot, 0 without one; `behind` is how many came since.
    """

    name: str
    epoch: str
    format: int
    term: int
    seq: int
    first: int
    batches: int
    snapshot: int
    behind: int


class NodeShown(msgspec.Struct, frozen=True):
    """A node, as it was with its last beat. `lease_ms` is below 0 when its lease is over.

    `seq` is the last entry that it has committed, `lag` how many came since; `digest` that of its
    state after the entry `digest_seq`, None when it did not answer.
    """

    node: int
    boot: int
    holder: str
    lease_ms: int
    seq: int
    lag: int
    people: int
    ring_batches: int
    ring_bytes: int
    version: str
    digest: str | None
    digest_seq: int | None
    warnings: tuple[str, ...]

    @property
    def is_over(self) -> bool:
        """Whether its lease is over: it is dead, or cut off."""
        return self.lease_ms < 0


class ClusterStatus(msgspec.Struct, frozen=True):
    """All of it; `problems` are sentences, none when all is well."""

    engine: EngineShown
    log: LogShown
    nodes: list[NodeShown]
    problems: list[str]


def run(given: argparse.Namespace) -> None:
    """Do what a command line says."""
    try:
        address = engine_address(Settings(log=given.log, log_password_file=given.log_password_file))
        commands = Commands(RespWire(address, socket, ssl), address.name)
        (_accept if given.what == "accept" else _tell_status)(commands, given)
    except (SharingError, EngineError) as error:
        die(PROGRAM, str(error))


# ── accept ───────────────────────────────────────────────────────────────────────────────────────


def _accept(commands: Commands, given: argparse.Namespace) -> None:
    greeting = commands.connect()
    try:
        if greeting.head is None:
            raise NoLogError(f"the engine at {commands.address} has no log {commands.name}")
        if not greeting.is_primary:
            raise EngineRefusedError(
                f"the engine at {commands.address} is a replica, which takes nothing in"
            )
        is_done, had = commands.accept(given.term)
    finally:
        commands.close()
    if not is_done:
        raise EngineRefusedError(
            f"the engine at {commands.address} was not left behind: its log has term {had} already"
        )
    print(f"the engine at {commands.address} takes over the log {commands.name} when a node comes")


# ── status ───────────────────────────────────────────────────────────────────────────────────────


def _tell_status(commands: Commands, given: argparse.Namespace) -> None:
    status = read_cluster(commands)
    if given.json:
        print(msgspec.json.encode(status).decode())
    else:
        _show(status)
    sys.stdout.flush()
    for problem in status.problems:
        print(f"{PROGRAM}: {problem}", file=sys.stderr)
    if status.problems:
        raise SystemExit(1)


def read_cluster(commands: Commands) -> ClusterStatus:
    """Look at everything, and ask the nodes for their digests. Raises EngineError."""
    greeting = commands.connect()
    try:
        if greeting.head is None:
            raise NoLogError(f"the engine at {commands.address} has no log {commands.name}")
        takes_in = greeting.is_primary and greeting.head.engine == greeting.run_id
        leases = _answered(commands) if takes_in else commands.leases()
        head = commands.head() or greeting.head  # now, so that no node is ahead of it
        engine = _engine(commands, greeting, takes_in=takes_in)
        statuses = [(lease, read_status(lease.status)) for lease in leases]
        return ClusterStatus(
            engine,
            _log(commands, head),
            [_node(lease, status, head) for lease, status in statuses],
            [*_refusal(engine), *_differences({each.node: told for each, told in statuses})],
        )
    finally:
        commands.close()


def _answered(commands: Commands) -> Sequence[Lease]:
    """The leases, when all nodes have told their digests that are there; or after a while."""
    word = secrets.token_hex(8)
    commands.ask(word)
    deadline = time.monotonic() + ANSWER_S
    while True:
        leases = commands.leases()
        if all(
            lease.left_ms < 0 or read_status(lease.status).asked == word for lease in leases
        ) or (time.monotonic() > deadline):
            return leases
        time.sleep(_LOOK_S)


def _engine(commands: Commands, greeting: Greeting, *, takes_in: bool) -> EngineShown:
    server, memory = commands.info("server"), commands.info("memory")
    replication = commands.info("replication")
    follows = None
    if not greeting.is_primary:
        primary = f"{replication.get('master_host')}:{replication.get('master_port')}"
        follows = f"{primary}, which is {replication.get('master_link_status')}"
    return EngineShown(
        commands.address,
        "Valkey" if "valkey_version" in server else "Redis",
        greeting.version,
        greeting.run_id,
        "primary" if greeting.is_primary else "replica",
        follows,
        takes_in,
        int(memory.get("used_memory", 0)),
        int(memory.get("maxmemory", 0)),
        list(_replicas(replication)),
        dangers(commands),
    )


def _replicas(replication: dict[str, str]) -> Iterator[Replica]:
    """As INFO has them: `slave0:ip=127.0.0.1,port=6380,state=online,offset=42,lag=0`."""
    sent = int(replication.get("master_repl_offset", 0))
    for number in range(int(replication.get("connected_slaves", 0))):
        told = replication.get(f"slave{number}", "")
        fields = dict(pair.split("=", 1) for pair in told.split(",") if "=" in pair)
        where = f"{fields.get('ip', '?')}:{fields.get('port', '?')}"
        lag = max(0, sent - int(fields.get("offset", 0)))
        yield Replica(where, fields.get("state", "?"), lag)


def _log(commands: Commands, head: Head) -> LogShown:
    return LogShown(
        commands.name,
        head.epoch,
        head.format,
        head.term,
        head.seq,
        head.base + 1,
        commands.batches(),
        head.snapshot,
        head.seq - head.snapshot,
    )


def _node(lease: Lease, status: NodeStatus, head: Head) -> NodeShown:
    newest = max(status.digests, default=None)
    return NodeShown(
        lease.node,
        lease.boot,
        lease.holder,
        lease.left_ms,
        status.seq,
        max(0, head.seq - status.seq),
        status.people,
        status.batches,
        status.ring_bytes,
        status.version,
        None if newest is None else status.digests[newest],
        newest,
        status.warnings,
    )


def _refusal(engine: EngineShown) -> Iterator[str]:
    if engine.follows is not None:
        yield f"the engine at {engine.address} is a replica, which takes nothing in"
    elif not engine.takes_in:
        yield (
            f"the engine at {engine.address} has been started anew, and takes nothing in before a"
            " node has come to it"
        )


def _differences(statuses: dict[int, NodeStatus]) -> Iterator[str]:
    """Nodes that have come to another state than the others after the same entry."""
    found: dict[int, dict[str, list[int]]] = {}
    for node, status in statuses.items():
        for seq, digest in status.digests.items():
            found.setdefault(seq, {}).setdefault(digest, []).append(node)
    for seq, by_digest in sorted(found.items()):
        if len(by_digest) > 1:
            one, *others = (" and ".join(map(str, nodes)) for nodes in by_digest.values())
            rest = " or ".join(f"node {each}" for each in others)
            yield f"after entry {seq:,} the state of node {one} is not that of {rest}"


# ── Showing it ───────────────────────────────────────────────────────────────────────────────────


class _Column(NamedTuple):
    """A column of a table; numbers stand at its right end."""

    title: str
    is_number: bool = True


_COLUMNS: Final = (
    _Column("node"),
    _Column("boot"),
    _Column("lease"),
    _Column("entry"),
    _Column("lag"),
    _Column("people"),
    _Column("ring"),
    _Column("version", is_number=False),
    _Column("digest", is_number=False),
    _Column("holder", is_number=False),
)


def _show(status: ClusterStatus) -> None:
    engine, log = status.engine, status.log
    role = engine.role if engine.follows is None else f"replica of {engine.follows}"
    does = "takes batches in" if engine.takes_in else "takes nothing in"
    limit = f"of {_mib(engine.max_memory_bytes)}" if engine.max_memory_bytes else "without a limit"
    print(
        f"engine    {engine.address}, {engine.kind} {engine.version}, {role},"
        f" run {engine.run_id[:_SHORT]}, {does}"
    )
    print(f"memory    {_mib(engine.memory_bytes)} {limit}")
    for replica in engine.replicas:
        print(f"replica   {replica.address}, {replica.state}, {replica.lag_bytes:,} bytes behind")
    print(f"log       {log.name}, epoch {log.epoch}, format {log.format}, term {log.term}")
    print(f"entries   {log.seq:,}, kept from {log.first:,} on, in {log.batches:,} batches")
    if log.snapshot:
        print(f"snapshot  of entry {log.snapshot:,}, {log.behind:,} entries ago")
    else:
        print("snapshot  none yet")
    print()
    if status.nodes:
        _show_table([_cells(node) for node in status.nodes])
    else:
        print("no nodes")
    for warning in engine.warnings:
        print(f"warning   the engine could lose what it has acknowledged: {warning}")
    for node in status.nodes:
        for warning in node.warnings:
            print(f"warning   node {node.node} was started although {warning}")


def _cells(node: NodeShown) -> tuple[str, ...]:
    return (
        str(node.node),
        str(node.boot),
        "over" if node.is_over else f"{node.lease_ms / 1_000:.1f} s",
        f"{node.seq:,}",
        f"{node.lag:,}",
        f"{node.people:,}",
        f"{node.ring_batches:,}, {_mib(node.ring_bytes)}",
        node.version or "-",
        "-" if node.digest is None else f"{node.digest[:_SHORT]} at {node.digest_seq:,}",
        node.holder,
    )


def _show_table(rows: Sequence[Sequence[str]]) -> None:
    if sys.stdout.isatty():
        from rich.console import Console  # noqa: PLC0415 # it takes long to import
        from rich.table import Table  # noqa: PLC0415

        table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
        for column in _COLUMNS:
            table.add_column(column.title, justify="right" if column.is_number else "left")
        for row in rows:
            table.add_row(*row)
        Console(highlight=False, markup=False).print(table)
        return
    whole = [[column.title for column in _COLUMNS], *rows]
    widths = [max(map(len, cells)) for cells in zip(*whole, strict=True)]
    for cells in whole:
        aligned = (
            cell.rjust(width) if column.is_number else cell.ljust(width)
            for column, cell, width in zip(_COLUMNS, cells, widths, strict=True)
        )
        print("  ".join(aligned).rstrip())


def _mib(count: int) -> str:
    return f"{count / _MIB:,.1f} MiB"
