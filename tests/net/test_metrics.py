"""The metrics: each moves when the thing happens, and none says who did it.

Whoever asks does so from another thread than the server's, as in a server that is installed.
"""

from __future__ import annotations

import datetime as dt
import re
import ssl
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from ipaddress import ip_network
from pathlib import Path
from typing import Any, Final, get_args

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics
from prometheus_client.openmetrics.parser import (
    text_string_to_metric_families as parse_openmetrics,
)

from tcpchat_core import VERSION, ChatState, Entry, Propose, ServerLimits, ServerProtocol
from tcpchat_core.archive import Archived
from tcpchat_core.dialects.http import Site
from tcpchat_core.dialects.websocket import WebSocket
from tcpchat_core.notices import Reason, Said
from tcpchat_core.server import DIALECTS
from tcpchat_net import ChatServer, monotonic_ms
from tcpchat_net.counters import BATCH_BOUNDS, LOG_BOUNDS_NS, Histogram, Lag
from tcpchat_net.health import Health, Phase, Served
from tcpchat_net.logs import Log, OnEntries
from tcpchat_net.logs.archive import ARCHIVE_NAME, ArchiveError, ArchiveKeeper, ArchiveStore
from tcpchat_net.logs.snapshots import write_bytes
from tcpchat_net.logs.store import LOG_NAME
from tcpchat_net.metrics import METRICS, ServerCollector
from tcpchat_net.node import SWEEP_MS
from tcpchat_net.tls import certificate_expiry, expires_at, server_context
from tcpchat_net.watchdog import HELD_MS, Watchdog
from tests.net.certificates import Authority
from tests.net.disk import Host as Disk
from tests.net.hosting import Host, far_away
from tests.net.serving import Peer, serving
from tests.net.watching import numbers

NOW: Final = 1_000


class Watched:
    """A server, and what is told of it."""

    def __init__(
        self,
        server: ChatServer | Host,
        *,
        log: Log | None = None,
        archive: ArchiveKeeper | None = None,
        folder: Path | None = None,
        certificate_expires_at: Callable[[], int | None] = lambda: None,
        watchdog: Watchdog | None = None,
    ) -> None:
        if isinstance(server, ChatServer):
            clock, refused = monotonic_ms, server.refused
        else:
            clock, refused = lambda: server.clock.now, Counter()
        self.health = Health(clock)
        self.health.phase = Phase.SERVING
        self.health.served = Served(
            node=server.node,
            log=log,
            archive=archive,
            folder=folder,
            refused=refused,
            certificate_expires_at=certificate_expires_at,
            failure=lambda: None,
            watchdog=watchdog,
        )
        self.registry = CollectorRegistry()
        self.registry.register(ServerCollector(self.health, python="3.99", gevent="99.1"))

    @property
    def text(self) -> str:
        return generate_latest(self.registry).decode()

    def read(self) -> Mapping[str, float]:
        """All numbers, each under its name without `tcpchat_`."""
        return {name.removeprefix("tcpchat_"): n for name, n in numbers(self.text).items()}

    def __getitem__(self, name: str) -> float:
        return self.read()[name]

    def until(self, name: str, value: float) -> None:
        """Look until a number is that; what does not come is where the test's time ends."""
        while self[name] != value:
            pass


@contextmanager
def watched(**options: Any) -> Iterator[tuple[ChatServer, Watched]]:
    with serving(**options) as server:
        yield server, Watched(server)


@contextmanager
def people(server: ChatServer, *nicks: str) -> Iterator[list[Peer]]:
    """People with nc in the lobby, who have read all that they were sent."""
    with ExitStack() as stack:
        peers: list[Peer] = []
        for nick in nicks:
            peer = stack.enter_context(Peer(server.address))
            peer.send(f"/nick {nick}")
            peer.until("You are now")
            peer.send("/join lobby")
            peer.until("You joined lobby")
            for other in peers:
                other.until(f"{nick} joined lobby")
            peers.append(peer)
        yield peers


# ── What there is ────────────────────────────────────────────────────────────────────────────────


def test_before_there_is_a_server_it_is_told_which_one_starts_and_that_it_is_not_ready() -> None:
    registry = CollectorRegistry()
    registry.register(ServerCollector(Health(lambda: NOW), python="3.99", gevent="99.1"))
    told = {**numbers(generate_latest(registry).decode())}
    assert told.pop("tcpchat_start_time_seconds") > 1_700_000_000
    assert told == {f"tcpchat_build_info{{99.1}}{{3.99}}{{{VERSION}}}": 1, "tcpchat_ready": 0}


def test_names_and_kinds_are_those_of_the_table_and_as_prometheus_wants_them() -> None:
    with watched() as (_, metrics):
        told = {
            (family.name + ("_total" if family.type == "counter" else ""), family.type)
            for family in metrics.registry.collect()
        }
    assert told <= {(each.name, each.kind) for each in METRICS}
    for each in METRICS:
        assert re.fullmatch(r"tcpchat(_[a-z]+)+", each.name)
        assert each.name.endswith("_total") == (each.kind == "counter"), each.name
        assert not re.search("_(ms|ns|milliseconds|kb|mb|count)(_|$)", each.name)
        assert each.help.endswith(".")
        assert f"{each.name}_total" not in {other.name for other in METRICS}
        if each.label and each.name != "tcpchat_build_info":
            assert each.values, "a label has values that are known"


def test_what_is_told_is_read_by_the_parser_of_openmetrics_too() -> None:
    with watched() as (_, metrics):
        # Neither of the two has types.
        text = generate_openmetrics(metrics.registry).decode()  # type: ignore[no-untyped-call]
        families = [*parse_openmetrics(text)]  # type: ignore[no-untyped-call]
    assert "tcpchat_rooms" in {family.name for family in families}


def test_every_value_of_a_label_is_there_before_it_is_seen() -> None:
    told = Watched(Host()).read()
    for each in METRICS:
        if each.values:
            name = each.name.removeprefix("tcpchat_")
            assert {f"{name}{{{value}}}" for value in each.values} <= told.keys()
    assert {f"rejected_total{{{reason}}}" for reason in get_args(Reason)} <= told.keys()


def test_nothing_that_people_say_or_are_called_or_come_from_is_told() -> None:
    with watched() as (server, metrics), people(server, "zaphod", "trillian") as (one, two):
        one.send("/join heartofgold")
        one.until("You joined heartofgold")
        one.send("/topic improbable")
        one.send("/nick trillian\n/msg trillian whispered\n/frobnicate\nuttered aloud")
        two.until("whispered")
        two.send('{"type":"say","room":"krikkit","text":"wicket"}\n/kick nobody')
        two.until("!")
        text = metrics.text.lower()
    for word in (
        *("zaphod", "trillian", "heartofgold", "lobby", "improbable", "whispered", "uttered"),
        *("krikkit", "wicket", "nobody", "guest-", "127.0.0.1", "frobnicate"),
    ):
        assert word not in text


def test_a_word_that_no_label_has_is_other() -> None:
    host = Host()
    host.protocol.counts.reject("word-of-tomorrow")
    told = Watched(host).read()
    assert told["rejected_total{other}"] == 1
    assert "rejected_total{word-of-tomorrow}" not in told


# ── Connections ──────────────────────────────────────────────────────────────────────────────────


def test_connections_are_told_by_what_is_spoken_on_them() -> None:
    with watched(site=SITE, protocol=with_page()) as (server, metrics), ExitStack() as stack:
        peers = [stack.enter_context(Peer(server.address)) for _ in range(5)]
        for peer, first in zip(
            peers,
            (
                "/who",
                '{"type":"hello"}',
                "NICK ada\r\nUSER ada 0 * :Ada\r",
                SOCKET,
                "",
            ),
            strict=True,
        ):
            if first:
                peer.send(first)
                assert peer.line()
        told = metrics.read()
        assert [
            told[f"connections{{{dialect}}}"]
            for dialect in ("plain", "json", "irc", "web", "unknown", "other")
        ] == [1, 1, 1, 1, 1, 0]
        assert told["accepted_connections_total"] == 5


SITE: Final = Site({})
SOCKET: Final = (
    "GET /ws HTTP/1.1\r\nHost: localhost\r\nOrigin: http://localhost\r\nUpgrade: websocket\r\n"
    "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: "
    "dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: tcpchat.jsonl\r\n\r"
)


def with_page() -> ServerProtocol:
    return ServerProtocol(ChatState(), dialects=(WebSocket(SITE), *DIALECTS))


def test_bytes_are_those_that_peers_have_sent_and_taken() -> None:
    host = Host()
    metrics = Watched(host)
    ada, bob = host.person("ada", "lobby"), host.person("bob", "lobby")
    slow = host.person("eve", "lobby")
    before = metrics.read()
    host.allow(slow, 3)
    host.type(ada, "hello", "again")
    host.type(bob, "/who")
    told = metrics.read()
    assert told["received_bytes_total"] - before["received_bytes_total"] == 17
    taken = sum(len(wire.taken) for wire in (ada, bob, slow))
    assert told["sent_bytes_total"] - before["sent_bytes_total"] == taken
    owed = len("[lobby] ada: hello\n[lobby] ada: again\n") - 3
    assert told["backlog_bytes"] == owed
    host.allow(slow, None)
    host.wait(0)
    told = metrics.read()
    assert told["backlog_bytes"] == 0
    assert told["sent_bytes_total"] - before["sent_bytes_total"] == taken + owed


def test_bytes_are_counted_once_for_whomever_they_are_and_not_for_who_is_lost() -> None:
    host = Host()
    metrics = Watched(host)
    wires = [host.person(nick, "lobby", "tea") for nick in ("ada", "bob", "eve", "finn")]
    before = metrics["sent_bytes_total"]
    wires[3].error = OSError
    wires[2].room_for = 7
    host.type(wires[0], "one", "/join tea", "two", "/msg bob psst", "/quit")
    host.wait(0)
    assert metrics["sent_bytes_total"] - before == sum(len(each.taken) for each in wires)


def test_who_is_not_let_in_counts_by_why(tmp_path: Path) -> None:
    files = Authority().issue(tmp_path)
    with (
        watched(max_clients=1) as (server, metrics),
        Peer(server.address),
        Peer(server.address) as bob,
    ):
        bob.until("server-full")
        assert metrics["refused_connections_total{server-full}"] == 1
    with (
        watched(proxies=[ip_network("127.0.0.1")], max_per_ip=1) as (server, metrics),
        Peer(server.address) as ada,
        Peer(server.address) as bob,
        Peer(server.address) as eve,
    ):
        ada.send("PROXY TCP4 192.0.2.1 192.0.2.9 1 7667\r")
        ada.until("Welcome")
        bob.send("PROXY TCP4 192.0.2.1 192.0.2.9 2 7667\r")
        bob.until("too-many-connections")
        eve.send("hello")
        metrics.until("refused_connections_total{proxies}", 1)
        assert metrics["refused_connections_total{too-many-connections}"] == 1
    tls = server_context(str(files.cert), str(files.key))
    with watched(tls=tls) as (server, metrics), Peer(server.address) as ada:
        ada.send("hello")
        ada.until("tls-required")
        assert metrics["refused_connections_total{tls-required}"] == 1


def test_who_says_too_much_at_once_is_throttled_and_paused_meanwhile() -> None:
    host = Host(ServerProtocol(ChatState(), limits=ServerLimits(flood_burst=2, flood_rate=1)))
    metrics = Watched(host)
    ada = host.connect()
    host.type(ada, "/join lobby", "one", "two", "three")
    assert metrics["throttled_total"] == 1
    assert metrics["paused_connections{throttled}"] == 1
    host.wait(10_000)
    assert metrics["throttled_total"] == 1
    assert metrics["paused_connections{throttled}"] == 0


def test_who_does_not_take_its_answers_is_paused_for_them_and_given_up_in_the_end() -> None:
    host = Host(stall_timeout_ms=5_000)
    metrics = Watched(host)
    ada = host.person("ada", "lobby")
    host.allow(ada, 0)
    host.type(ada, "/who")
    assert metrics["paused_connections{answers}"] == 1
    host.sweep(after_ms=6_000)
    assert metrics["overruns_total"] == 1
    assert metrics["connections{plain}"] == 0


def test_who_has_sent_its_last_word_is_paused_until_the_log_has_it() -> None:
    host = Host(log=far_away(1))
    metrics = Watched(host)
    ada = host.person("ada")
    host.wait(10_000)
    host.give(ada, b"")
    host.run()
    assert metrics["paused_connections{ended}"] == 1  # the log has not heard of it yet
    host.wait(10_000)
    assert metrics["paused_connections{ended}"] == 0


def test_who_says_something_while_the_disk_is_full_is_paused_for_the_log() -> None:
    host = Host()
    metrics = Watched(host)
    ada = host.person("ada", "lobby")
    host.node.log_is_stuck(True)
    assert metrics["disk_full"] == 1
    host.type(ada, "hello")
    assert metrics["paused_connections{log}"] == 1
    host.node.log_is_stuck(False)
    assert (metrics["disk_full"], metrics["paused_connections{log}"]) == (0, 0)


# ── The chat ─────────────────────────────────────────────────────────────────────────────────────


def test_messages_deliveries_refusals_and_people_are_counted() -> None:
    with watched() as (server, metrics), people(server, "ada", "bob", "eve") as (ada, bob, eve):
        ada.send("hello\nagain\n/msg bob psst\n/msg nobody psst\n/away tea\n/rooms")
        for peer in (bob, eve):
            peer.until("again")
        bob.until("psst")
        ada.until("* lobby (3)")
        told = metrics.read()
        assert (told["messages_total"], told["deliveries_total"]) == (3, 5)
        assert told["rejected_total{no-such-nick}"] == 1
        assert (told["people"], told["people_away"], told["rooms"]) == (3, 0, 1)
        entries = 3 * 3 + 2 + 2 + 1  # come, nick, join; two lines, two messages, one is away
        assert told["entries_total"] == told["batch_entries_sum"] == entries


def test_a_session_that_is_lost_is_away_and_one_that_is_resumed_counts() -> None:
    with watched() as (server, metrics), ExitStack() as stack:
        first = stack.enter_context(Peer(server.address))
        first.send('{"type":"hello"}')
        [token] = re.findall('"token":"([^"]+)"', first.line())
        first.close()
        metrics.until("people_away", 1)
        second = stack.enter_context(Peer(server.address))
        second.send(f'{{"type":"hello","token":"{token}"}}')
        assert '"resumed"' in second.line()
        told = metrics.read()
        assert (told["people_away"], told["resumes_total"], told["gaps_total"]) == (0, 1, 0)


# ── The log ──────────────────────────────────────────────────────────────────────────────────────


def test_how_long_the_log_takes_is_from_the_proposal_to_what_comes_of_it() -> None:
    host: Host | None = None

    def stopwatch() -> int:
        return 0 if host is None else host.clock.now * 1_000_000

    host = Host(log=far_away(1), stopwatch=stopwatch)
    metrics = Watched(host)
    ada = host.person("ada")
    host.wait(10_000)
    batches, took_s = metrics["log_seconds_count"], metrics["log_seconds_sum"]
    host.type(ada, "/join lobby")
    assert metrics["log_seconds_count"] == batches  # it is on its way
    began, entries = host.clock.now, metrics["entries_total"]
    while metrics["entries_total"] == entries:
        host.wait(1)
    assert metrics["log_seconds_count"] == batches + 1
    took = metrics["log_seconds_sum"] - took_s
    assert took == pytest.approx((host.clock.now - began) / 1_000)


class OneByOne:
    """A log that delivers the oldest batch when the test says so."""

    def __init__(self) -> None:
        self.batches: deque[list[Propose]] = deque()
        self.seq = 0

    @property
    def waiting(self) -> int:
        return sum(len(propose.events) for batch in self.batches for propose in batch)

    def open(self, on_entries: OnEntries) -> None:
        self.on_entries = on_entries

    def propose(self, batch: Sequence[Propose]) -> None:
        self.batches.append([*batch])

    def deliver(self) -> None:
        entries: list[Entry] = []
        for propose in self.batches.popleft():
            entries += propose.entries(self.seq + 1 + len(entries), 1_000)
        self.seq += len(entries)
        self.on_entries(entries)


def test_of_several_batches_on_their_way_each_is_measured_when_it_is_delivered() -> None:
    log, now_ns = OneByOne(), 0
    host = Host(log=lambda _host: log, stopwatch=lambda: now_ns)
    metrics = Watched(host)
    host.person("ada")
    host.person("bob")
    assert len(log.batches) == 2
    for second in (1, 2):
        now_ns = second * 1_000_000_000
        log.deliver()
        assert metrics["log_seconds_count"] == second
    assert metrics["log_seconds_sum"] == 1 + 2


def test_a_histogram_counts_each_value_in_all_buckets_that_it_fits_into() -> None:
    histogram = Histogram(BATCH_BOUNDS)
    for value in (1, 2, 3, 1_024, 5_000):
        histogram.observe(value)
    counts, total = histogram.read()
    assert counts == (1, 2, *[3] * (len(BATCH_BOUNDS) - 3), 4, 5)
    assert total == 6_030


def test_buckets_of_the_log_are_from_half_a_millisecond_to_five_seconds() -> None:
    told = Watched(Host()).read()
    buckets = [name for name in told if name.startswith("log_seconds_bucket")]
    assert (buckets[0], buckets[-2]) == ("log_seconds_bucket{0.0005}", "log_seconds_bucket{5.0}")
    assert len(buckets) == len(LOG_BOUNDS_NS) + 1


# ── The folder ───────────────────────────────────────────────────────────────────────────────────


def test_the_sizes_of_files_are_those_of_all_that_sqlite_has(tmp_path: Path) -> None:
    metrics = Watched(Host(), folder=tmp_path)
    assert not {"log_bytes", "archive_bytes", "snapshot_timestamp_seconds"} & metrics.read().keys()
    for name, size in ((LOG_NAME, 5), (f"{LOG_NAME}-wal", 7), (ARCHIVE_NAME, 1)):
        (tmp_path / name).write_bytes(bytes(size))
    newest = write_bytes(tmp_path, 7, b"a snapshot")
    write_bytes(tmp_path, 3, b"an older one")
    told = metrics.read()
    assert (told["log_bytes"], told["archive_bytes"]) == (12, 1)
    assert told["snapshot_timestamp_seconds"] == pytest.approx(newest.stat().st_mtime)


def test_without_a_folder_nothing_is_told_of_one() -> None:
    assert not {"log_bytes", "archive_bytes", "archive_lag_entries"} & Watched(Host()).read().keys()


def test_the_lag_of_the_archive_is_what_it_was_told_of_and_does_not_have(tmp_path: Path) -> None:
    disk, store = Disk(), ArchiveStore(tmp_path)
    store.open()
    archive = ArchiveKeeper(store, disk, lambda _why: None)
    metrics = Watched(Host(), archive=archive, folder=tmp_path)
    assert (metrics["archive_lag_entries"], metrics["archive_behind"]) == (0, 0)
    for id in (1, 2, 3):
        archive.keep(archived(id))
    disk.pass_time()
    assert metrics["archive_lag_entries"] == 3
    archive.keep(archived(4))
    disk.work()
    assert metrics["archive_lag_entries"] == 1
    archive.flush()
    disk.work()
    assert metrics["archive_lag_entries"] == 0
    archive.fall_behind(ArchiveError("the disk is full"))
    archive.keep(archived(5))
    assert (metrics["archive_lag_entries"], metrics["archive_behind"]) == (1, 1)
    archive.catching_up()
    archive.keep(archived(6))
    archive.caught_up()
    assert (metrics["archive_lag_entries"], metrics["archive_behind"]) == (1, 0)
    store.close()


def archived(id: int) -> Archived:
    return Archived(id, "lobby", "ada", Said("lobby", "ada", "hello", id, 1_000))


# ── The loop ─────────────────────────────────────────────────────────────────────────────────────


def test_the_lag_of_the_loop_is_how_late_it_was_or_is() -> None:
    lag = Lag(SWEEP_MS)
    assert (lag.last_ms(NOW), lag.greatest_ms(NOW)) == (0, 0)
    for now in (1_000, 1_500, 2_300, 2_800):
        lag.turned(now)
    assert (lag.last_ms(2_900), lag.greatest_ms(2_900)) == (0, 300)
    assert (lag.last_ms(4_000), lag.greatest_ms(4_000)) == (700, 700)  # it is late now


def test_the_greatest_lag_is_that_of_a_minute() -> None:
    lag, now = Lag(SWEEP_MS), 0
    lag.turned(now)
    for late in (400, *[0] * 119):
        now += SWEEP_MS + late
        lag.turned(now)
    assert lag.greatest_ms(now) == 400
    lag.turned(now + SWEEP_MS)
    assert lag.greatest_ms(now + SWEEP_MS) == 0


def test_the_lag_is_told_in_seconds() -> None:
    host = Host()
    metrics = Watched(host)
    host.sweep(after_ms=SWEEP_MS + 250)
    host.sweep(after_ms=SWEEP_MS)
    assert (metrics["loop_lag_seconds"], metrics["loop_lag_max_seconds"]) == (0, 0.25)


def test_turns_that_were_held_are_counted_by_the_watchdog() -> None:
    now_ms = NOW
    watchdog = Watchdog(clock=lambda: now_ms * 1_000_000, processor=lambda: now_ms * 1_000_000)
    metrics = Watched(Host(), watchdog=watchdog)
    watchdog.turn_begins()
    now_ms += HELD_MS + 50
    watchdog.turn_ends()
    watchdog.look()
    assert metrics["held_turns_total"] == 1
    assert metrics["held_seconds_total"] == pytest.approx(0.3)
    assert "held_turns_total" not in Watched(Host()).read()


# ── TLS ──────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("year", [2020, 2049, 2060], ids=["over", "UTCTime", "GeneralizedTime"])
def test_until_when_a_certificate_holds_is_what_openssl_says(year: int, tmp_path: Path) -> None:
    ends = dt.datetime(year, 2, 3, 4, 5, 6, tzinfo=dt.UTC)
    begins = dt.datetime(2019, 1, 1, tzinfo=dt.UTC)
    files = Authority().issue(tmp_path, not_before=begins, not_after=ends)
    context = server_context(str(files.cert), str(files.key))
    assert expires_at(context) == ends.timestamp()


def test_a_context_without_a_certificate_says_nothing() -> None:
    assert expires_at(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)) is None


def test_the_end_of_the_certificate_in_use_is_told_also_after_a_renewal(tmp_path: Path) -> None:
    authority = Authority()
    first, second = (dt.datetime(year, 1, 1, tzinfo=dt.UTC) for year in (2051, 2052))
    contexts = []
    for number, ends in enumerate((first, second)):
        files = authority.issue(tmp_path / str(number), not_after=ends)
        contexts.append(server_context(str(files.cert), str(files.key)))
    with serving(tls=contexts[0]) as server:
        metrics = Watched(server, certificate_expires_at=certificate_expiry(lambda: server.tls))
        assert metrics["tls_expiry_timestamp_seconds"] == first.timestamp()
        server.tls = contexts[1]
        assert metrics["tls_expiry_timestamp_seconds"] == second.timestamp()
        server.tls = None
        assert "tls_expiry_timestamp_seconds" not in metrics.read()
