"""`python -m benchmarks`: measure tcpchat, alone or beside other servers."""

from __future__ import annotations

import argparse
import shlex
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from benchmarks import browser
from benchmarks.accounts import measure_accounts
from benchmarks.client import measure_client
from benchmarks.cluster import measure_cluster
from benchmarks.core import measure_core
from benchmarks.load import Measurement, measure
from benchmarks.plots import draw
from benchmarks.processes import Failed, compile_c
from benchmarks.report import (
    Report,
    WorkloadReport,
    machine,
    markdown,
    now,
    show_core,
    show_table,
    show_workload,
    summarize,
)
from benchmarks.soak.command import main as soak
from benchmarks.systems import SYSTEMS, System
from benchmarks.workloads import FAMILIES, WORKLOADS, Workload, quick

RESULTS = Path("results")
CORE_COMMITS = 20_000
# What is run when nothing is named: as fast as it goes, and at a pace that people talk at.
DEFAULT_WORKLOADS = ["hall", "paced"]
# What is measured otherwise than by workloads.
TABLES = {
    "accounts": measure_accounts,
    "browser": browser.measure_browser,
    "client": measure_client,
    "cluster": measure_cluster,
}


def main() -> None:
    """Run what the command line asks for; exit 1 when tcpchat itself was at fault."""
    if sys.argv[1:2] == ["soak"]:
        soak(sys.argv[2:])
        return
    arguments = _arguments()
    console = Console()
    # As Ctrl-C does: through the `with`s that end the servers.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        report = _run(arguments, console)
    except Failed as failed:
        sys.exit(f"benchmarks: {failed}")
    except KeyboardInterrupt:
        sys.exit("benchmarks: interrupted")
    directory = RESULTS / time.strftime("%Y%m%d-%H%M%S")
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / "report.json"
    path.write_bytes(msgspec.json.format(msgspec.json.encode(report)))
    path.with_suffix(".md").write_text(markdown(report))
    drawn = draw(report, directory)
    console.print(f"{path} holds all figures; beside it: {', '.join(['report.md', *drawn])}")
    if _ours_at_fault(report):
        sys.exit(1)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Measure tcpchat over loopback, checking every delivery at its receiver.",
        epilog=f"workloads: {', '.join(_workload_names())}; "
        f"systems: {', '.join(SYSTEMS)}. Without arguments: {' and '.join(DEFAULT_WORKLOADS)}, "
        "tcpchat alone. `soak` has a command line of its own: python -m benchmarks soak --help.",
    )
    parser.add_argument(
        "workloads",
        nargs="*",
        metavar="workload",
        type=_one_of("workload", [*_workload_names(), "all"]),
        help="what to measure; `all` for everything",
    )
    parser.add_argument(
        "--against",
        nargs="+",
        default=[],
        metavar="SYSTEM",
        type=_one_of("system", [*SYSTEMS, "all"]),
        help="other systems to measure side by side; `all` for every one that is installed",
    )
    parser.add_argument(
        "--quick",
        action="store_true",
        help="a few dozen clients and one short round: to see that it works, not to quote",
    )
    parser.add_argument(
        "--rounds", type=int, default=3, help="how often each system is measured (default: 3)"
    )
    arguments = parser.parse_args()
    if arguments.rounds < 1:
        parser.error("--rounds must be at least 1")
    if "all" in arguments.workloads:
        arguments.workloads = _workload_names()
    arguments.workloads = arguments.workloads or DEFAULT_WORKLOADS
    if "all" in arguments.against:
        arguments.against = [
            name for name in SYSTEMS if name == "tcpchat" or not name.startswith("tcpchat-")
        ]
    if arguments.quick:
        arguments.rounds = 1
    return arguments


def _one_of(what: str, names: list[str]) -> Callable[[str], str]:
    """An argument that must be one of `names`."""

    def checked(name: str) -> str:
        if name not in names:
            raise argparse.ArgumentTypeError(
                f"there is no {what} called {name}; there are {', '.join(names)}"
            )
        return name

    return checked


def _workload_names() -> list[str]:
    return [*WORKLOADS, *FAMILIES, *TABLES, "core"]


def _run(arguments: argparse.Namespace, console: Console) -> Report:
    workloads: list[Workload] = []
    for name in arguments.workloads:
        if name in FAMILIES:
            workloads += FAMILIES[name]()
        elif name in WORKLOADS:
            workloads.append(WORKLOADS[name])
    if arguments.quick:
        workloads = [quick(workload) for workload in workloads]

    if "browser" in arguments.workloads and (sentence := browser.unavailable()):
        if len(arguments.workloads) == 1:
            raise Failed(sentence)
        console.print(sentence)
        arguments.workloads.remove("browser")

    wanted = {"tcpchat", *arguments.against}
    systems = []
    for system in SYSTEMS.values():
        if system.name not in wanted | {workload.subject for workload in workloads}:
            continue
        if sentence := system.unavailable():
            if system.name == "tcpchat":
                raise Failed(sentence)
            console.print(sentence)
            workloads = [one for one in workloads if one.subject != system.name]
        else:
            systems.append(system)
    versions = {system.name: system.version() for system in systems}

    reports = []
    with tempfile.TemporaryDirectory(prefix="tcpchat-benchmarks-") as directory:
        tls = any(system.dialect.tls for system in systems)
        flags = ("-DWITH_TLS", "-lssl", "-lcrypto") if tls else ()
        loadgen = compile_c(Path(__file__).with_name("loadgen.c"), Path(directory), *flags)
        for workload in workloads:
            names = workload.systems or wanted
            taking_part = [system for system in systems if system.name in names]
            report = _run_workload(loadgen, workload, taking_part, arguments.rounds, console)
            show_workload(console, report)
            reports.append(report)
    core = []
    if "core" in arguments.workloads:
        core = measure_core(max(arguments.rounds, 3), CORE_COMMITS)
        show_core(console, core)
    tables = []
    for name, measured in TABLES.items():
        if name in arguments.workloads:
            for table in measured(arguments.rounds, is_quick=arguments.quick):
                show_table(console, table)
                tables.append(table)
    command = shlex.join(["python", "-m", "benchmarks", *sys.argv[1:]])
    return Report(now(), command, arguments.rounds, machine(versions), reports, core, tables)


def _run_workload(
    loadgen: Path, workload: Workload, systems: list[System], rounds: int, console: Console
) -> WorkloadReport:
    """All rounds of one workload; within a round the systems take turns."""
    rounds = min(rounds, workload.most_rounds)
    measured: dict[str, list[Measurement | None]] = {system.name: [] for system in systems}
    trouble: dict[str, list[str]] = {system.name: [] for system in systems}
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[phase]}"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, transient=True) as progress:
        total = len(systems) * rounds
        task = progress.add_task(workload.name, total=total, phase="")
        for number in range(total):
            round_, system = number // len(systems), systems[number % len(systems)]
            name = system.name
            description = f"{workload.name}, round {round_ + 1} of {rounds}: {name}"
            progress.update(task, completed=number, description=description, phase="starting")
            if trouble[name]:  # it failed before, which takes long, and would again
                measured[name].append(None)
                continue
            try:
                measured[name].append(
                    _run_once(loadgen, workload, system, _Bar(progress, task, number))
                )
            except Failed as failed:
                measured[name].append(None)
                trouble[name].append(str(failed))
    return summarize(workload, measured, trouble)


class _Bar:
    """Tells the progress of one measurement to the bar of its workload."""

    def __init__(self, progress: Progress, task: TaskID, number: int) -> None:
        self._progress, self._task, self._number = progress, task, number

    def __call__(self, phase: str, done: float) -> None:
        share = {"joined": 0.3, "warming up": 0.3, "measuring": 0.5, "leaving": 0.7}.get(phase, 0.0)
        completed = self._number + share + done * (0.3 if phase == "joining" else 0.2)
        self._progress.update(self._task, completed=completed, phase=phase)


def _run_once(loadgen: Path, workload: Workload, system: System, bar: _Bar) -> Measurement:
    with (
        tempfile.TemporaryDirectory(prefix="tcpchat-benchmarks-") as directory,
        system.serving(Path(directory), workload.people) as server,
    ):
        return measure(loadgen, server, system.dialect, workload, bar, at_once=system.at_once)


def _ours_at_fault(report: Report) -> bool:
    """Whether tcpchat itself failed; what others lose is their affair, and is in the report."""
    return any(
        one.faults or one.trouble
        for workload in report.workloads
        for one in workload.systems
        if one.system.startswith("tcpchat")
    )


if __name__ == "__main__":
    main()
