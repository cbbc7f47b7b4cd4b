"""Tables on the terminal, and the JSON file."""

from __future__ import annotations

import platform
import statistics
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec
from hdrh.histogram import HdrHistogram
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from benchmarks.load import GENERATOR_LIMIT, Found, Measurement
from benchmarks.workloads import Figure, Workload

# An hour in microseconds: no latency of a run is longer.
MAX_LATENCY_US = 3_600_000_000
PERCENTILES = (50.0, 90.0, 99.0, 99.9, 100.0)


class Spread(msgspec.Struct, frozen=True):
    """One figure over the rounds."""

    median: float
    low: float
    high: float


class SystemReport(msgspec.Struct, frozen=True):
    """What one system did in one workload, over all rounds.

    `cost` is the workload's figure in its unit, the less the better. `ratios` compare it to other
    systems, round by round, and `p99_ratios` the latency of the slowest hundredth. `peak` is the
    most memory the server had, `closed` how many of the `stalled` clients it closed.
    `latency_hdr` is the merged histogram in HDR's own encoding. `trouble` are the sentences of
    rounds that failed; `faults` what was lost, duplicated, ….
    """

    system: str
    cost: Spread | None
    ratios: dict[str, Spread]
    p99_ratios: dict[str, Spread]
    deliveries_per_s: float
    people_per_cpu_s: float
    server_share: float
    system_share: float
    generator_share: float
    bytes_per_delivery: float
    resident: int
    resident_per_person: float
    peak: int
    stalled: int
    closed: int
    latency_us: dict[str, float]
    latency_hdr: str
    delivered: int
    faults: dict[str, int]
    trouble: list[str]


class WorkloadReport(msgspec.Struct, frozen=True):
    """One workload: all systems, side by side."""

    name: str
    about: str
    figure: str
    unit: str
    subject: str
    targets: dict[str, float]
    p99_targets: dict[str, float]
    systems: list[SystemReport]
    bound: float | None = None


class CoreReport(msgspec.Struct, frozen=True):
    """The core alone: commits of a `Say` per second, by the size of the room."""

    members: int
    commits_per_s: Spread


class Row(msgspec.Struct, frozen=True):
    """One row of a table of figures. `targets` are what some of them should not exceed."""

    what: str
    figures: dict[str, Spread]
    targets: dict[str, float] = {}


class TableReport(msgspec.Struct, frozen=True):
    """Figures that are no workload's: a table of its own."""

    name: str
    about: str
    rows: list[Row]


class Machine(msgspec.Struct, frozen=True):
    """Where a report was made."""

    processor: str
    cores: int
    memory_gib: float
    kernel: str
    system: str
    python: str
    versions: dict[str, str]


class Report(msgspec.Struct, frozen=True):
    """Everything one run found."""

    at: str
    command: str
    rounds: int
    machine: Machine
    workloads: list[WorkloadReport]
    core: list[CoreReport]
    tables: list[TableReport] = []


UNITS = {
    Figure.DELIVERY: "µs",
    Figure.ADMISSION: "µs",
    Figure.DEPARTURE: "µs",
    Figure.MEMORY: "KiB",
}


def cost(workload: Workload, measurement: Measurement) -> float:
    """The workload's figure, the less the better: µs per delivery or person, KiB per person."""
    found = measurement.found
    match workload.figure:
        case Figure.DELIVERY:
            return found.server_cpu_ns / 1_000 / max(found.deliveries, 1)
        case Figure.ADMISSION:
            return found.login_cpu_ns / 1_000 / workload.people
        case Figure.DEPARTURE:
            return found.leave_cpu_ns / 1_000 / workload.leavers
        case Figure.MEMORY:
            return (measurement.resident - measurement.resident_before) / 1024 / workload.people


def summarize(
    workload: Workload,
    rounds: dict[str, list[Measurement | None]],
    trouble: dict[str, list[str]],
) -> WorkloadReport:
    """Put the rounds of all systems together; None stands for a round that failed."""
    costs = {
        name: [None if one is None else cost(workload, one) for one in measured]
        for name, measured in rounds.items()
    }
    p99s = {
        name: [
            None if one is None else float(_latency(one).get_value_at_percentile(99))
            for one in measured
        ]
        for name, measured in rounds.items()
    }
    return WorkloadReport(
        workload.name,
        workload.about,
        workload.figure.value,
        UNITS[workload.figure],
        workload.subject,
        workload.targets,
        workload.p99_targets,
        [
            _system_report(
                workload,
                name,
                [one for one in measured if one is not None],
                ratios=_ratios(costs, name),
                p99_ratios=_ratios(p99s, name),
                trouble=trouble[name],
            )
            for name, measured in rounds.items()
        ],
        workload.bound,
    )


def _system_report(
    workload: Workload,
    name: str,
    measured: Sequence[Measurement],
    *,
    ratios: dict[str, Spread],
    p99_ratios: dict[str, Spread],
    trouble: list[str],
) -> SystemReport:
    latency = HdrHistogram(1, MAX_LATENCY_US, 3)
    faults: dict[str, int] = {}
    for one in measured:
        latency.add(_latency(one))
        for fault, count in one.found.faults().items():
            faults[fault] = faults.get(fault, 0) + count
    own_costs = [cost(workload, one) for one in measured]
    found = [one.found for one in measured]
    return SystemReport(
        system=name,
        cost=spread(own_costs) if own_costs else None,
        ratios=ratios,
        p99_ratios=p99_ratios,
        deliveries_per_s=_median([one.deliveries * 1e9 / one.window_ns for one in found]),
        people_per_cpu_s=_median([_people_per_cpu_s(workload, one) for one in found]),
        server_share=_median([one.server_share() for one in found]),
        system_share=_median([one.system_share for one in measured]),
        generator_share=_median([one.generator_share() for one in found]),
        bytes_per_delivery=_median([one.bytes / max(one.deliveries, 1) for one in found]),
        resident=round(_median([one.resident for one in measured])),
        resident_per_person=_median(
            [(one.resident - one.resident_before) / workload.people for one in measured]
        ),
        peak=max((one.peak for one in measured), default=0),
        stalled=sum(one.stalled for one in measured),
        closed=sum(one.found.closed for one in measured),
        latency_us={
            f"{percentile:g}": float(latency.get_value_at_percentile(percentile))
            for percentile in PERCENTILES
            if latency.get_total_count()
        },
        latency_hdr=latency.encode().decode(),
        delivered=sum(one.delivered for one in found),
        faults=faults,
        trouble=trouble,
    )


def _people_per_cpu_s(workload: Workload, found: Found) -> float:
    """Of those who come, or of those who leave where these are what is measured."""
    if workload.figure is Figure.DEPARTURE:
        return workload.leavers * 1e9 / max(found.leave_cpu_ns, 1)
    return workload.people * 1e9 / max(found.login_cpu_ns, 1)


def _latency(measurement: Measurement) -> HdrHistogram:
    histogram = HdrHistogram(1, MAX_LATENCY_US, 3)
    for value, count in measurement.found.latencies_us:
        histogram.record_value(max(value, 1), count)
    return histogram


def _ratios(figures: dict[str, list[float | None]], name: str) -> dict[str, Spread]:
    """One system's figure against every other's, round by round."""
    ratios = {}
    for other, theirs in figures.items():
        pairs = zip(figures[name], theirs, strict=True)
        ratio = [own / its for own, its in pairs if own is not None and its]
        if other != name and ratio:
            ratios[other] = spread(ratio)
    return ratios


def _median(values: Sequence[float]) -> float:
    return statistics.median(values) if values else 0.0


def spread(values: Sequence[float]) -> Spread:
    """A figure of several rounds, of which there is one at least."""
    return Spread(statistics.median(values), min(values), max(values))


def machine(versions: dict[str, str]) -> Machine:
    """Describe this machine."""
    cpuinfo = Path("/proc/cpuinfo").read_text().splitlines()
    models = [line.partition(":")[2].strip() for line in cpuinfo if line.startswith("model name")]
    meminfo = Path("/proc/meminfo").read_text().split()
    return Machine(
        processor=models[0] if models else platform.machine(),
        cores=len(models),
        memory_gib=round(int(meminfo[1]) / 2**20, 1),
        kernel=platform.release(),
        system=platform.freedesktop_os_release().get("PRETTY_NAME", platform.system()),
        python=platform.python_version(),
        versions=versions,
    )


def now() -> str:
    """The time as it stands in a report."""
    return time.strftime("%Y-%m-%d %H:%M:%S %Z")


# ── On the terminal ──────────────────────────────────────────────────────────────────────────


def _columns(report: WorkloadReport) -> list[str]:
    """The heads of a workload's table."""
    own = (
        ["per s", "p50 ms", "p99 ms", "p99.9"]
        if report.figure == Figure.DELIVERY.value
        else ["people/CPU s", "memory, MiB"]
    )
    return [report.unit, "±", *own, "server", "load", "faults"]


def _cells(report: WorkloadReport, one: SystemReport) -> list[str]:
    """One system's row: what it costs, how much it did, and who was busy."""
    if one.cost is None:
        return ["–"] * len(_columns(report))
    if report.figure == Figure.DELIVERY.value:
        latencies = [one.latency_us.get(at, 0) / 1_000 for at in ("50", "99", "99.9")]
        own = [compact(one.deliveries_per_s), *map(figure, latencies)]
    else:
        own = [f"{one.people_per_cpu_s:,.0f}", f"{one.resident / 2**20:,.0f}"]
    spread = (one.cost.high - one.cost.low) / 2 / max(one.cost.median, 1e-9)
    return [
        figure(one.cost.median),
        f"{spread:.0%}",
        *own,
        f"{one.server_share:.0%}",
        f"{one.generator_share:.0%}",
        f"{sum(one.faults.values()):,}",
    ]


def show_workload(console: Console, report: WorkloadReport) -> None:
    """One table, and below it what is wrong and which targets are met."""
    console.print(f"[bold]{report.name}[/]: {report.figure}, {report.unit}")
    console.print(report.about)
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    table.add_column("system", no_wrap=True)
    for column in _columns(report):
        table.add_column(column, justify="right", no_wrap=True)
    for one in report.systems:
        table.add_row(one.system, *_cells(report, one))
    console.print(table)
    for sentence in remarks(report):
        console.print(f"  {sentence}")
    console.print()


def figure(number: float) -> str:
    """A measured number for people: three digits, or all of a large one's."""
    return f"{number:,.0f}" if number >= 100 else f"{number:.3g}"


def compact(number: float) -> str:
    """A large number for people: three digits and a unit."""
    for unit, size in (("M", 1e6), ("k", 1e3)):
        if number >= size:
            return f"{number / size:.3g} {unit}"
    return f"{number:.3g}"


def remarks(report: WorkloadReport) -> list[str]:
    """What a reader of the table must know: faults, limits of the generator, targets."""
    sentences = []
    clean = [one for one in report.systems if one.delivered and not one.faults]
    if clean:
        names = ", ".join(one.system for one in clean)
        count = sum(one.delivered for one in clean)
        sentences.append(
            f"lost, duplicated, out-of-order: 0 of {count:,} deliveries, each checked at its"
            f" receiver ({names})"
        )
    for one in report.systems:
        sentences += [f"{one.system}: {sentence}" for sentence in one.trouble]
        if one.faults:
            found = ", ".join(f"{count:,} {fault}" for fault, count in one.faults.items())
            sentences.append(f"{one.system}: of {one.delivered:,} deliveries: {found}")
        if one.generator_share > GENERATOR_LIMIT > one.server_share:
            sentences.append(
                f"{one.system}: the load generator was the limit, not the server: its throughput"
                " and latency are the generator's, its cost per delivery is its own"
            )
    for one in report.systems:
        if one.system != report.subject:
            continue
        if one.stalled:
            sentences.append(
                f"{one.system}: {one.closed} of {one.stalled} clients that read nothing were"
                f" closed; the server had at most {one.peak / 2**20:.0f} MiB of memory"
            )
        if report.bound is not None and one.cost is not None:
            met = "met" if one.cost.median <= report.bound else "MISSED"
            sentences.append(
                f"{one.system}: {figure(one.cost.median)} {report.unit},"
                f" should be ≤ {report.bound:g}: {met}"
            )
        for other, most in report.p99_targets.items():
            if ratio := one.p99_ratios.get(other):
                met = "met" if ratio.median <= most else "MISSED"
                sentences.append(
                    f"{one.system} against {other}: p99 latency × {ratio.median:.2f},"
                    f" should be ≤ {most:g}: {met}"
                )
        for other, most in report.targets.items():
            if ratio := one.ratios.get(other):
                met = "met" if ratio.median <= most else "MISSED"
                sentences.append(
                    f"{one.system} against {other}: × {ratio.median:.2f},"
                    f" should be ≤ {most:g}: {met}"
                )
    return sentences


def show_core(console: Console, report: list[CoreReport]) -> None:
    """The core's own table."""
    console.print("[bold]core[/]: ServerProtocol.commit of a Say, no I/O")
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    table.add_column("members of the room", justify="right")
    table.add_column("commits per CPU second", justify="right")
    for one in report:
        table.add_row(f"{one.members:,}", f"{one.commits_per_s.median:,.0f}")
    console.print(table)
    console.print()


def _cell(row: Row, column: str) -> str:
    """A figure, and between what it was if that is not the same."""
    found = row.figures.get(column)
    if found is None:
        return "–"
    text, low, high = (figure(number) for number in (found.median, found.low, found.high))
    return text if low == high else f"{text} ({low}–{high})"


def _table_columns(report: TableReport) -> list[str]:
    return list(dict.fromkeys(column for row in report.rows for column in row.figures))


def show_table(console: Console, report: TableReport) -> None:
    """One table of figures, and which targets are met."""
    console.print(f"[bold]{report.name}[/]: {report.about}")
    columns = _table_columns(report)
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    table.add_column("")
    for column in columns:
        table.add_column(column, justify="right")
    for row in report.rows:
        table.add_row(row.what, *(_cell(row, column) for column in columns))
    console.print(table)
    for sentence in table_remarks(report):
        console.print(f"  {sentence}")
    console.print()


def table_remarks(report: TableReport) -> list[str]:
    """Which targets are met."""
    return [
        f"{row.what}: {column} {figure(row.figures[column].median)}, should be ≤ {most:g}:"
        f" {'met' if row.figures[column].median <= most else 'MISSED'}"
        for row in report.rows
        for column, most in row.targets.items()
    ]


# ── As Markdown ──────────────────────────────────────────────────────────────────────────────


def markdown(report: Report) -> str:
    """The whole report as a page."""
    machine = report.machine
    lines = [
        f"`{report.command}`, {report.at}, {report.rounds} rounds.",
        "",
        f"{machine.processor}, {machine.cores} cores, {machine.memory_gib:g} GiB.",
        f"Linux {machine.kernel}, {machine.system}, Python {machine.python}.",
        *(f"{name}: {version}." for name, version in machine.versions.items() if version),
    ]
    for workload in report.workloads:
        columns = _columns(workload)
        lines += [
            *("", f"### {workload.name}: {workload.figure}", ""),
            *(f"{workload.about}.", ""),
            f"| system | {' | '.join(columns)} |",
            f"| --- |{' ---: |' * len(columns)}",
            *(
                f"| {one.system} | {' | '.join(_cells(workload, one))} |"
                for one in workload.systems
            ),
            "",
            *(f"- {sentence}" for sentence in remarks(workload)),
        ]
    if report.core:
        lines += [
            *("", "### core: `ServerProtocol.commit` of a `Say`, no I/O", ""),
            *("| members of the room | commits per CPU second |", "| ---: | ---: |"),
            *(f"| {one.members:,} | {one.commits_per_s.median:,.0f} |" for one in report.core),
        ]
    for table in report.tables:
        columns = _table_columns(table)
        lines += [
            *("", f"### {table.name}", "", f"{table.about}.", ""),
            f"| | {' | '.join(columns)} |",
            f"| --- |{' ---: |' * len(columns)}",
            *(
                f"| {row.what} | {' | '.join(_cell(row, column) for column in columns)} |"
                for row in table.rows
            ),
            "",
            *(f"- {sentence}" for sentence in table_remarks(table)),
        ]
    return "\n".join(lines) + "\n"
