"""Metrics: what can be told of a server in numbers, in the form of Prometheus.

`METRICS` is all of it: the names, what they mean, and the values that labels may have. A
`ServerCollector` reads what the server has counted when somebody asks, in another thread than the
server's.

Rule 1: The server does nothing for it but add (counters.py): all else is done when somebody asks,
        and nothing is asked of the loop, which may be held.

Rule 2: No label says who somebody is, where they are or what they say: its values are in `METRICS`.
        What has no place there is "other".

Rule 3: A value that there is not (an archive, without a folder) is not told as a zero; one that may
        come is told before it does.

Rule 4: No name is that of a counter without its `_total`: in OpenMetrics the two would be one.

Rule 5: Counters begin at 0 when the process starts, and when a node begins anew.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final, Literal, NamedTuple, TypeAlias, get_args

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from tcpchat_core import VERSION
from tcpchat_core.notices import Reason
from tcpchat_net.counters import BATCH_BOUNDS, LOG_BOUNDS_NS, Distribution
from tcpchat_net.health import Health, Served
from tcpchat_net.logs.archive import ARCHIVE_NAME
from tcpchat_net.logs.snapshots import listed
from tcpchat_net.logs.store import LOG_NAME
from tcpchat_net.logs.stream.log import StreamLog
from tcpchat_net.node import Held, Stuck

# What is told where a word is none of those that a label may have.
OTHER: Final = "other"


class Described(NamedTuple):
    """One metric: its name, its kind, what it means; and its label, if it has one, with the values
    that that may have.
    """

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    help: str
    label: str = ""
    values: tuple[str, ...] = ()


# What the dialects are called in a label, and why nothing is read from a connection.
_DIALECTS: Final = {
    "plain": "plain",
    "jsonl": "json",
    "irc": "irc",
    "websocket": "web",
    "": "unknown",
}
_HELD: Final = {
    Held.PAUSED: "throttled",
    Held.OWED: "answers",
    Held.LOG: "log",
    Held.ENDED: "ended",
}

METRICS: Final = (
    Described(
        "tcpchat_build_info",
        "gauge",
        "Always 1; the labels say which tcpchat, Python and gevent run.",
        "version, python, gevent",
    ),
    Described(
        "tcpchat_start_time_seconds", "gauge", "When the server started, since the Unix epoch."
    ),
    Described("tcpchat_ready", "gauge", "1 when people should be sent here: what /readyz says."),
    # ── Connections ──────────────────────────────────────────────────────────────────────────
    Described(
        "tcpchat_connections",
        "gauge",
        "Connections there are, by what is spoken on them.",
        "dialect",
        (*_DIALECTS.values(), OTHER),
    ),
    Described("tcpchat_accepted_connections_total", "counter", "Connections that were let in."),
    Described(
        "tcpchat_refused_connections_total",
        "counter",
        "Connections that were not let in, by why.",
        "reason",
        (
            "server-full",
            "too-many-connections",
            "tls-required",
            "proxies",
            "descriptors",
            OTHER,
        ),
    ),
    Described(
        "tcpchat_paused_connections",
        "gauge",
        "Connections from which nothing is read now, by why; one may count for several reasons.",
        "reason",
        tuple(_HELD.values()),
    ),
    Described(
        "tcpchat_throttled_total",
        "counter",
        "How often a connection had to wait because it said too much at once.",
    ),
    Described(
        "tcpchat_overruns_total",
        "counter",
        "Connections that were given up because they read too slowly.",
    ),
    Described("tcpchat_received_bytes_total", "counter", "Bytes that were read from connections."),
    Described("tcpchat_sent_bytes_total", "counter", "Bytes that connections have taken."),
    Described(
        "tcpchat_backlog_bytes",
        "gauge",
        "Bytes that wait for slow readers, counted as if nothing were shared.",
    ),
    # ── The chat ─────────────────────────────────────────────────────────────────────────────
    Described("tcpchat_people", "gauge", "People who are connected, to any node."),
    Described(
        "tcpchat_people_away",
        "gauge",
        "People who have lost their connection and may come back, to any node.",
    ),
    Described("tcpchat_rooms", "gauge", "Rooms that there are."),
    Described(
        "tcpchat_messages_total",
        "counter",
        "Messages of people of this node that were taken in, in rooms and direct.",
    ),
    Described(
        "tcpchat_deliveries_total",
        "counter",
        "Messages times the people of this node that each was for; authors do not count.",
    ),
    Described(
        "tcpchat_rejected_total",
        "counter",
        "Requests that were refused, by why.",
        "reason",
        (*get_args(Reason), OTHER),
    ),
    Described("tcpchat_resumes_total", "counter", "Sessions that went on here."),
    Described(
        "tcpchat_gaps_total",
        "counter",
        "Gaps that were told to who went on and had missed more than is kept.",
    ),
    # ── The log ──────────────────────────────────────────────────────────────────────────────
    Described(
        "tcpchat_log_seconds",
        "histogram",
        "How long the log took with a batch, from the proposal to its delivery.",
    ),
    Described(
        "tcpchat_batch_entries", "histogram", "How many entries the log has delivered at once."
    ),
    Described("tcpchat_entries_total", "counter", "Entries of the log that were delivered."),
    Described(
        "tcpchat_log_reachable", "gauge", "1 when the log can be reached: one of its own always is."
    ),
    Described("tcpchat_disk_full", "gauge", "1 when the disk is full, so that people wait."),
    Described(
        "tcpchat_cluster_lag_entries",
        "gauge",
        "Entries that the engine has told of and that are not delivered here yet.",
    ),
    Described("tcpchat_log_bytes", "gauge", "The size of the log's files."),
    Described("tcpchat_archive_bytes", "gauge", "The size of the archive's files."),
    Described(
        "tcpchat_archive_lag_entries",
        "gauge",
        "Messages that were said since the start and are not in the archive yet.",
    ),
    Described(
        "tcpchat_archive_behind",
        "gauge",
        "1 when the archive is being filled from the log, so that nothing is found in it.",
    ),
    Described(
        "tcpchat_snapshot_timestamp_seconds",
        "gauge",
        "When the newest snapshot was written, since the Unix epoch.",
    ),
    # ── The process ──────────────────────────────────────────────────────────────────────────
    Described(
        "tcpchat_loop_lag_seconds", "gauge", "How late the loop was the last time, or is now."
    ),
    Described(
        "tcpchat_loop_lag_max_seconds", "gauge", "How late the loop was at most within a minute."
    ),
    Described(
        "tcpchat_held_turns_total",
        "counter",
        "Turns of the loop that took so long that people notice: a quarter of a second.",
    ),
    Described("tcpchat_held_seconds_total", "counter", "How long these took in all."),
    Described(
        "tcpchat_tls_expiry_timestamp_seconds",
        "gauge",
        "Until when the certificate in use holds, since the Unix epoch.",
    ),
)

# One metric's value: a number, or one for each value of its label; or how many values there were by
# size, with their bounds and in which unit they are.
_Value: TypeAlias = "float | Mapping[str, float] | _Sizes"


class _Sizes(NamedTuple):
    distribution: Distribution
    bounds: tuple[int, ...]
    unit: float


class ServerCollector(Collector):
    """Reads the metrics of a server, by its health. `gevent` is the version of that."""

    def __init__(self, health: Health, *, python: str, gevent: str) -> None:
        self._health = health
        self._versions = (VERSION, python, gevent)
        self._started_at = time.time()

    def describe(self) -> list[Metric]:
        """The metrics without their values, by which a registry knows their names."""
        return [_family(described) for described in METRICS]

    def collect(self) -> Iterator[Metric]:
        """The metrics that there are now."""
        values = dict(self._values())
        for described in METRICS:
            if described.name == "tcpchat_build_info":
                family = _family(described)
                labels = dict(zip(described.label.split(", "), self._versions, strict=True))
                family.add_sample(described.name, labels, 1)
                yield family
            elif described.name in values:
                yield _filled(described, values.pop(described.name))
        assert not values, f"{', '.join(values)} should be in METRICS"

    def _values(self) -> Iterator[tuple[str, _Value]]:
        health = self._health
        yield "tcpchat_start_time_seconds", self._started_at
        yield "tcpchat_ready", not health.why_not_ready()
        served = health.served
        if served is None:
            return
        yield from _of_connections(served)
        yield from _of_chat(served)
        yield from _of_log(served)
        yield from _of_folder(served)
        lag, now = served.node.lag, health.clock()
        yield "tcpchat_loop_lag_seconds", lag.last_ms(now) / 1_000
        yield "tcpchat_loop_lag_max_seconds", lag.greatest_ms(now) / 1_000
        if (watchdog := served.watchdog) is not None:
            yield "tcpchat_held_turns_total", watchdog.held_turns
            yield "tcpchat_held_seconds_total", watchdog.held_ms / 1_000
        if (expires_at := served.certificate_expires_at()) is not None:
            yield "tcpchat_tls_expiry_timestamp_seconds", expires_at


def _of_connections(served: Served) -> Iterator[tuple[str, _Value]]:
    node = served.node
    counters = node.counters
    spoken = node.protocol.dialects()
    yield "tcpchat_connections", {_DIALECTS.get(name, OTHER): n for name, n in spoken.items()}
    yield "tcpchat_accepted_connections_total", counters.connections
    yield "tcpchat_refused_connections_total", dict(served.refused)
    yield "tcpchat_paused_connections", {_HELD[why]: count for why, count in node.held().items()}
    yield "tcpchat_throttled_total", counters.pauses
    yield "tcpchat_overruns_total", counters.overruns
    yield "tcpchat_received_bytes_total", counters.received_bytes
    yield "tcpchat_sent_bytes_total", node.sent_bytes
    yield "tcpchat_backlog_bytes", node.backlog_bytes


def _of_chat(served: Served) -> Iterator[tuple[str, _Value]]:
    protocol = served.node.protocol
    people, away, rooms = protocol.state.counted
    yield "tcpchat_people", people
    yield "tcpchat_people_away", away
    yield "tcpchat_rooms", rooms
    counts = protocol.counts
    yield "tcpchat_messages_total", counts.messages
    yield "tcpchat_deliveries_total", counts.deliveries
    yield "tcpchat_rejected_total", dict(counts.rejected)
    yield "tcpchat_resumes_total", counts.resumes
    yield "tcpchat_gaps_total", counts.gaps


def _of_log(served: Served) -> Iterator[tuple[str, _Value]]:
    node, log = served.node, served.log
    counters = node.counters
    yield "tcpchat_log_seconds", _Sizes(counters.log_ns.read(), LOG_BOUNDS_NS, 1e-9)
    yield "tcpchat_batch_entries", _Sizes(counters.batch_entries.read(), BATCH_BOUNDS, 1)
    yield "tcpchat_entries_total", counters.entries
    yield "tcpchat_log_reachable", served.reaches_its_log
    yield "tcpchat_disk_full", node.stuck is Stuck.FULL
    if isinstance(log, StreamLog):
        yield "tcpchat_cluster_lag_entries", log.lag


def _of_folder(served: Served) -> Iterator[tuple[str, _Value]]:
    folder, archive = served.folder, served.archive
    if folder is None:
        return
    if (size := _bytes_of(folder, LOG_NAME)) is not None:
        yield "tcpchat_log_bytes", size
    if (size := _bytes_of(folder, ARCHIVE_NAME)) is not None:
        yield "tcpchat_archive_bytes", size
    if archive is not None:
        yield "tcpchat_archive_lag_entries", archive.lag
        yield "tcpchat_archive_behind", archive.is_behind
    with contextlib.suppress(OSError):  # one that is there now may be removed meanwhile
        if snapshots := listed(folder):
            yield "tcpchat_snapshot_timestamp_seconds", snapshots[-1][1].stat().st_mtime


def _bytes_of(folder: Path, name: str) -> int | None:
    """How large a database is, with what SQLite has beside it; None when there is none."""
    sizes = []
    for each in (name, f"{name}-wal", f"{name}-shm"):
        with contextlib.suppress(OSError):
            sizes.append((folder / each).stat().st_size)
    return sum(sizes) if sizes else None


# ── From values to what Prometheus reads ─────────────────────────────────────────────────────────

_Family: TypeAlias = CounterMetricFamily | GaugeMetricFamily | HistogramMetricFamily


def _family(described: Described) -> _Family:
    name, kind, text, *_ = described
    match kind:
        case "counter":
            return CounterMetricFamily(name, text)
        case "gauge":
            return GaugeMetricFamily(name, text)
        case "histogram":
            return HistogramMetricFamily(name, text)


def _filled(described: Described, value: _Value) -> Metric:
    family = _family(described)
    match value:
        case _Sizes():
            assert isinstance(family, HistogramMetricFamily), "only these have sizes"
            _fill_histogram(family, value)
        case Mapping():
            for word, number in _by_label(described, value).items():
                family.add_sample(described.name, {described.label: word}, number)
        case _:
            family.add_sample(described.name, {}, value)
    return family


def _fill_histogram(family: HistogramMetricFamily, sizes: _Sizes) -> None:
    distribution, bounds, unit = sizes
    *counts, count = distribution.counts
    names = [str(round(float(bound * unit), 9)) for bound in bounds]
    buckets = [*zip(names, counts, strict=True)]
    family.add_metric([], [*buckets, ("+Inf", count)], distribution.total * unit)


def _by_label(described: Described, counted: Mapping[str, float]) -> dict[str, float]:
    """A number for each value that the label may have; what has none of them is "other"."""
    numbers = dict.fromkeys(described.values, 0.0)
    for word, number in counted.items():
        numbers[word if word in numbers else OTHER] += number
    return numbers
