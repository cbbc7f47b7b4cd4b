"""--metrics of nodes that share a log: each answers for itself, whatever becomes of the engine."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import pytest
from tcpchat_cli.settings import Settings
from tcpchat_cli.workers import Place, tasks

from tests.cluster.engines import Engine
from tests.cluster.nodes import ROOM, NodeProcess, Team, until
from tests.cluster.ports import HOST
from tests.cluster.test_endings import LEASE, remember_a_later_engine
from tests.cluster.test_workers import serving
from tests.net.watching import get, numbers

UNREACHABLE = "the engine of the shared log cannot be reached\n"


def where(node: NodeProcess) -> tuple[str, int]:
    """Where a node says that its metrics are."""
    [port] = re.findall(rf"event=metrics address={HOST}:(\d+)\n", node.log_text())
    return HOST, int(port)


def ready(node: NodeProcess) -> tuple[int, str]:
    return get(where(node), "/readyz")[:2]


def read(node: NodeProcess) -> Mapping[str, float]:
    return numbers(get(where(node), "/metrics").text)


def test_each_node_counts_what_is_its_own_and_all_know_the_whole(
    engine: Engine, tmp_path: Path
) -> None:
    with Team(tmp_path, engine.url("team"), 2, "--metrics", "0") as team:
        one, two = team.nodes
        with one.peer("ada", ROOM) as ada, two.peer("bob", ROOM) as bob:
            ada.read_until("* bob joined lobby")
            ada.send("tea at four\n/msg bob psst\n")
            bob.read_until("[ada → you] psst")
            ada.send("/rooms\n")
            ada.read_until("* lobby (2)")
            told = [read(node) for node in (one, two)]
            assert [each["tcpchat_messages_total"] for each in told] == [2, 0]
            assert [each["tcpchat_deliveries_total"] for each in told] == [0, 2]
            assert [each["tcpchat_people"] for each in told] == [2, 2]
            assert [each["tcpchat_connections{plain}"] for each in told] == [1, 1]
            assert [each["tcpchat_log_reachable"] for each in told] == [1, 1]
            assert all(each["tcpchat_archive_bytes"] for each in told)
            assert all("tcpchat_log_bytes" not in each for each in told)  # the engine has it
            until(
                lambda: [read(each)["tcpchat_cluster_lag_entries"] for each in team.nodes] == [0, 0]
            )


def test_while_the_engine_is_away_nodes_are_alive_and_not_ready(
    engine: Engine, tmp_path: Path
) -> None:
    with NodeProcess(engine.url("team"), tmp_path / "1", "--metrics", "0") as node:
        node.start()
        until(lambda: ready(node) == (200, "ready\n"))
        engine.kill()
        until(lambda: ready(node) == (503, UNREACHABLE))
        assert get(where(node), "/healthz").status == 200
        assert read(node)["tcpchat_log_reachable"] == 0
        assert read(node)["tcpchat_disk_full"] == 0
        engine.start()
        until(lambda: ready(node) == (200, "ready\n"))
        assert read(node)["tcpchat_log_reachable"] == 1


def test_a_node_that_begins_anew_answers_meanwhile_and_at_the_same_place_afterwards(
    engine: Engine, tmp_path: Path
) -> None:
    with NodeProcess(engine.url("team"), tmp_path / "1", "--node", "1", "--metrics", "0") as node:
        node.start()
        until(lambda: ready(node) == (200, "ready\n"))
        begins, place = node.begins, where(node)
        engine.call("HDEL", LEASE, "1:until")  # as if another node had ended it
        node.until_begun_anew(begins)
        until(lambda: ready(node) == (200, "ready\n"))
        remember_a_later_engine(node.folder)
        engine.call("HDEL", LEASE, "1:until")
        node.until_logged("the engine was left behind")
        assert ready(node) == (503, "the node begins anew\n")
        assert get(place, "/healthz")[:2] == (200, "ok\n")
        assert read(node)["tcpchat_ready"] == 0
        assert where(node) == place  # which was told once


def test_each_worker_has_a_place_of_its_own_and_the_first_lines_name_all(engine: Engine) -> None:
    with serving(engine, "--metrics", "0") as (workers, _):
        lines = [workers.read_line() for _ in range(7)]
        assert lines[-3].startswith("metrics: ")
        assert lines[-2] == "runs:  2 workers"
        urls = lines[-3].split()[1:]
        assert len(set(urls)) == 2
        until(lambda: [get(url, "/readyz").status for url in urls] == [200, 200])
        assert sorted(
            re.findall(r"worker=(\d) event=metrics address=(\S+)\n", workers.log_so_far())
        ) == [("1", _address(urls[0])), ("2", _address(urls[1]))]


def _address(url: str) -> str:
    return url.removeprefix("http://").removesuffix("/metrics")


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("", ["", "", ""]),
        ("0", ["0", "0", "0"]),
        ("9100", ["127.0.0.1:9100", "127.0.0.1:9101", "127.0.0.1:9102"]),
        ("[::]:9100", ["[::]:9100", "[::]:9101", "[::]:9102"]),
        ("chat.example:9100", [f"chat.example:{port}" for port in (9100, 9101, 9102)]),
    ],
)
def test_workers_have_one_port_behind_the_other(given: str, told: list[str]) -> None:
    settings = Settings(workers=3, log="valkey://a", metrics=given)
    assert [each.settings.metrics for each in tasks(settings, Place("127.0.0.1", 7_000))] == told
