"""The suite as people start it, in its quick form: everything arrives, once and in order."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from benchmarks.browser import unavailable
from benchmarks.core import measure_core
from benchmarks.report import Report
from benchmarks.systems import BEFORE

ROOT = Path(__file__).parents[2]


def run_suite(
    directory: Path, *arguments: str, path: str = "/usr/bin:/bin", before: str = ""
) -> subprocess.CompletedProcess[str]:
    # Run elsewhere, so that the results land there; the package is found by its path.
    return subprocess.run(
        [sys.executable, "-m", "benchmarks", *arguments],
        cwd=directory,
        env={"PYTHONPATH": str(ROOT), "PATH": path, **({BEFORE: before} if before else {})},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


def report_in(directory: Path) -> Report:
    (path,) = directory.glob("results/*/report.json")
    return msgspec.json.decode(path.read_bytes(), type=Report)


def test_the_quick_form_finds_everything_delivered_once_and_in_order(tmp_path: Path) -> None:
    names = ["hall", "paced", "idle"]
    done = run_suite(tmp_path, "--quick", *names, "--against", "c-loop")
    assert done.returncode == 0, done.stdout + done.stderr
    report = report_in(tmp_path)
    assert [one.name for one in report.workloads] == names
    for workload in report.workloads:
        assert [one.system for one in workload.systems] == ["tcpchat", "c-loop"]
        for one in workload.systems:
            assert (one.faults, one.trouble) == ({}, [])
            assert bool(one.delivered) == (workload.name != "idle")


def test_the_quick_form_checks_json_lines_and_stalled_readers_too_and_draws(tmp_path: Path) -> None:
    done = run_suite(tmp_path, "--quick", "jsonl-hall", "stalled")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "lost, duplicated, out-of-order: 0" in " ".join(done.stdout.split())
    report = report_in(tmp_path)
    assert [[one.system for one in each.systems] for each in report.workloads] == [
        ["tcpchat", "tcpchat-jsonl"],
        ["tcpchat", "tcpchat-stalled"],
    ]
    assert all(
        one.delivered and not one.faults for each in report.workloads for one in each.systems
    )
    assert report.workloads[1].systems[1].stalled == 10
    assert {path.name for path in tmp_path.glob("results/*/*.svg")} == {
        "latency-jsonl-hall.svg",
        "latency-stalled.svg",
    }


def test_the_quick_form_lets_browsers_in_alone_and_among_others(tmp_path: Path) -> None:
    others = ["tcpchat-jsonl", "tcpchat-browsers", "tcpchat-mixed"]
    done = run_suite(tmp_path, "--quick", "browser-hall", "browser-idle", "--against", *others)
    assert done.returncode == 0, done.stdout + done.stderr
    report = report_in(tmp_path)
    for workload in report.workloads:
        is_idle = workload.name == "browser-idle"
        expected = ["tcpchat", *others[: 2 if is_idle else 3]]
        assert [one.system for one in workload.systems] == expected
        for one in workload.systems:
            assert (one.faults, one.trouble) == ({}, [])
            assert bool(one.delivered) != is_idle


def test_the_quick_form_lets_irc_clients_in_alone_and_among_others(tmp_path: Path) -> None:
    ours = {
        "irc-hall": ["tcpchat-irc"],
        "irc-hall-tags": ["tcpchat-irc-tags"],
        "irc-hall-mixed": ["tcpchat-irc-mixed"],
        "irc-join-storm": ["tcpchat-irc", "tcpchat-irc-tags"],
    }
    done = run_suite(tmp_path, "--quick", *ours)
    assert done.returncode == 0, done.stdout + done.stderr
    report = report_in(tmp_path)
    assert [workload.name for workload in report.workloads] == [*ours]
    for workload in report.workloads:
        systems = [one.system for one in workload.systems]
        assert systems == ["tcpchat", *ours[workload.name]]
        for one in workload.systems:
            assert (one.faults, one.trouble) == ({}, [])
            assert bool(one.delivered) == (workload.name != "irc-join-storm")


def test_another_build_is_measured_beside_this_one(tmp_path: Path) -> None:
    server = str(Path(sys.executable).with_name("tcpchat-server"))
    names = ["paced", "rush"]
    done = run_suite(tmp_path, "--quick", *names, "--against", "tcpchat-before", before=server)
    assert done.returncode == 0, done.stdout + done.stderr
    report = report_in(tmp_path)
    assert [one.name for one in report.workloads] == names
    for workload in report.workloads:
        assert [one.system for one in workload.systems] == ["tcpchat", "tcpchat-before"]
        assert all(not (one.faults or one.trouble) for one in workload.systems)


def test_in_a_room_that_empties_each_who_stays_hears_of_each_who_leaves(tmp_path: Path) -> None:
    others = ["tcpchat-jsonl", "tcpchat-browsers", "tcpchat-irc"]
    done = run_suite(tmp_path, "--quick", "exodus", "--against", *others)
    assert done.returncode == 0, done.stdout + done.stderr
    report = report_in(tmp_path)
    assert [one.name for one in report.workloads] == ["exodus-500", "exodus-2000", "exodus-5000"]
    for workload in report.workloads:
        told = {one.system: one.delivered for one in workload.systems}
        assert told == dict.fromkeys(("tcpchat", *others), 35 * 5)
        for one in workload.systems:
            assert (one.faults, one.trouble) == ({}, [])
            assert one.cost is not None
            assert one.cost.median > 0


def test_the_core_is_measured_in_rooms_of_three_sizes() -> None:
    report = measure_core(rounds=2, commits=100)
    assert [one.members for one in report] == [10, 1_000, 10_000]
    for one in report:
        assert 0 < one.commits_per_s.low <= one.commits_per_s.median <= one.commits_per_s.high


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("hal",), "there is no workload called hal; there are hall, rooms"),
        (("--against", "nobody"), "there is no system called nobody; there are tcpchat, "),
        (("--rounds", "0"), "--rounds must be at least 1"),
    ],
)
def test_what_there_is_not_is_told_in_a_sentence(
    tmp_path: Path, arguments: tuple[str, ...], sentence: str
) -> None:
    done = run_suite(tmp_path, *arguments)
    assert done.returncode == 2
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr


def test_without_a_compiler_the_suite_says_what_to_install(tmp_path: Path) -> None:
    done = run_suite(tmp_path, "--quick", "hall", path=str(tmp_path))
    assert done.returncode == 1
    assert done.stderr.startswith("benchmarks: loadgen.c is compiled at run time: install a C")
    assert "Traceback" not in done.stderr


def test_what_a_folder_costs_is_measured(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.kept", "--quick"],
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin", "COLUMNS": "120"},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    for part in ("recovery", "stall", "until the server listens", "a page of history", "log.db"):
        assert part in done.stdout


def test_a_server_that_keeps_what_is_said_is_measured_beside_one_that_does_not(
    tmp_path: Path,
) -> None:
    others = ["tcpchat-kept", "tcpchat-shared"]
    done = run_suite(tmp_path, "--quick", "pairs", "--against", *others)
    assert done.returncode == 0, done.stdout + done.stderr
    (workload,) = report_in(tmp_path).workloads
    assert [one.system for one in workload.systems] == ["tcpchat", *others]
    assert all(one.delivered and not (one.faults or one.trouble) for one in workload.systems)


def test_the_client_is_measured_in_a_pseudo_terminal(tmp_path: Path) -> None:
    done = run_suite(tmp_path, "--quick", "client")
    assert done.returncode == 0, done.stdout + done.stderr
    tables = {table.name: table.rows for table in report_in(tmp_path).tables}
    assert list(tables) == [
        "from a key to its echo",
        "bytes to the terminal",
        "a room in which much was said",
    ]
    for rows in tables.values():
        for row in rows:
            assert set(row.targets) <= set(row.figures)
    for row in tables["bytes to the terminal"]:  # which are no matter of time
        assert all(row.figures[name].median <= most for name, most in row.targets.items())


def test_a_page_is_measured_in_a_real_browser(tmp_path: Path) -> None:
    if sentence := unavailable():
        if os.environ.get("CI"):
            pytest.fail(sentence)
        pytest.skip(sentence)
    done = run_suite(tmp_path, "--quick", "browser")
    assert done.returncode == 0, done.stdout + done.stderr
    tables = {table.name: table.rows for table in report_in(tmp_path).tables}
    assert list(tables) == ["a page load", "from Enter to shown", "a room in which much is said"]
    for rows in tables.values():
        for row in rows:
            assert set(row.targets) <= set(row.figures)
            assert all(figure.low > 0 for figure in row.figures.values())


def test_without_a_browser_the_suite_says_what_to_install(tmp_path: Path) -> None:
    done = run_suite(tmp_path, "--quick", "browser", path=str(tmp_path))
    assert done.returncode == 1
    assert done.stderr == (
        "benchmarks: browser is left out: chromium is not installed"
        " (Debian: apt-get install chromium)\n"
    )


def test_several_nodes_on_one_log_are_measured(tmp_path: Path) -> None:
    done = run_suite(tmp_path, "--quick", "cluster")
    assert done.returncode == 0, done.stdout + done.stderr
    tables = {table.name: table.rows for table in report_in(tmp_path).tables}
    assert list(tables) == [
        "the log alone",
        "what nobody hears",
        "a replica",
        "from node to node",
        "what dies",
    ]
    for rows in tables.values():
        for row in rows:
            assert row.figures
            assert set(row.targets) <= set(row.figures)
    (log,) = tables["the log alone"]
    assert log.figures["entries/s"].median > 0
    assert log.figures["p50, ms"].median > 0


def test_what_accounts_and_restrictions_cost_others_is_measured(tmp_path: Path) -> None:
    done = run_suite(tmp_path, "--quick", "accounts")
    assert done.returncode == 0, done.stdout + done.stderr
    log_ins, lists = report_in(tmp_path).tables
    assert [row.what for row in log_ins.rows] == ["nobody logs in", "4 log in"]
    assert all(row.figures["p99, ms"].median > 0 for row in log_ins.rows)
    assert [row.what for row in lists.rows] == ["1 ban", "100 bans"]
    assert all(row.figures["µs"].median > 0 for row in lists.rows)
