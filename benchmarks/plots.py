"""Pictures of a report, as SVG."""

from __future__ import annotations

from pathlib import Path

from hdrh.histogram import HdrHistogram
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Picture

from benchmarks.report import Report, WorkloadReport
from benchmarks.workloads import Figure

# The axis of a latency plot counts nines: 0 is the best delivery, 3 is one in a thousand.
NINES = [0, 50, 90, 99, 99.9, 99.99]
COLORS = {
    "tcpchat": "tab:blue",
    "tcpchat-before": "tab:olive",
    "tcpchat-kept": "tab:pink",
    "tcpchat-shared": "darkmagenta",
    "tcpchat-jsonl": "tab:cyan",
    "tcpchat-jsonl-before": "yellowgreen",
    "tcpchat-browsers": "crimson",
    "tcpchat-mixed": "goldenrod",
    "tcpchat-irc": "teal",
    "tcpchat-irc-tags": "seagreen",
    "tcpchat-irc-mixed": "sienna",
    "tcpchat-tls": "tab:purple",
    "tcpchat-stalled": "navy",
    "c-loop": "black",
    "redis": "tab:red",
    "redis-kept": "salmon",
    "inspircd": "tab:orange",
    "ngircd": "tab:brown",
    "nats": "tab:green",
    "threads": "tab:gray",
}


def draw(report: Report, directory: Path) -> list[str]:
    """Write what plots the report has figures for; returns the names of the files."""
    delivering = [
        workload
        for workload in report.workloads
        if workload.figure == Figure.DELIVERY.value and any(one.cost for one in workload.systems)
    ]
    growing = [one for one in delivering if one.name.startswith("growth-")]
    filling = [one for one in delivering if one.name.startswith("full-")]
    keeping = [one for one in delivering if one.name.startswith("kept-")]
    families = (*growing, *filling, *keeping)
    single = [one for one in delivering if one not in families]
    drawn = []
    compared = [one for one in single if one.subject == "tcpchat"]
    if compared:
        drawn.append(_costs(compared, directory / "cost.svg"))
    drawn += [_latency(one, directory / f"latency-{one.name}.svg") for one in single]
    if growing:
        drawn.append(_growth(growing, directory / "growth.svg"))
    if filling:
        drawn.append(_by_rate(filling, "each to 49 others", directory / "full.svg"))
    if keeping:
        drawn.append(_by_rate(keeping, "each to one other", directory / "kept.svg"))
    return drawn


def _axes(width: float = 7) -> tuple[Picture, Axes]:
    picture = Picture(figsize=(width, 4.5), layout="tight")
    return picture, picture.add_subplot()


def save(picture: Picture, path: Path) -> str:
    """Write a picture; returns the name of its file."""
    # Neither the date nor chance: the same figures give the same file.
    with rc_context({"svg.hashsalt": path.name}):
        picture.savefig(path, metadata={"Date": None})
    return path.name


def _costs(workloads: list[WorkloadReport], path: Path) -> str:
    """Server CPU per delivery; the bar is the median of the rounds, the line their range."""
    systems = list(dict.fromkeys(one.system for each in workloads for one in each.systems))
    picture, axes = _axes(2 + 1.8 * len(workloads))
    width = 0.85 / len(systems)
    for index, system in enumerate(systems):
        for at, workload in enumerate(workloads):
            cost = next((one.cost for one in workload.systems if one.system == system), None)
            if cost is None:
                continue
            axes.bar(
                at + (index - (len(systems) - 1) / 2) * width,
                cost.median,
                width,
                color=COLORS[system],
                label=system if at == 0 else None,
                yerr=[[cost.median - cost.low], [cost.high - cost.median]],
                ecolor="gray",
            )
    axes.set_yscale("log")
    axes.set_xticks(range(len(workloads)), [one.name for one in workloads])
    axes.set_ylabel("server CPU per delivery, µs (log)")
    axes.grid(axis="y", alpha=0.3)
    axes.legend(ncols=2, fontsize="small")
    return save(picture, path)


def _latency(workload: WorkloadReport, path: Path) -> str:
    """Latency by percentile, as HDR histograms are drawn: each tick is ten times rarer."""
    picture, axes = _axes()
    percentiles = [*range(90), *(90 + 0.5 * n for n in range(18)), 99, 99.5, 99.9, 99.95, 99.99]
    for one in workload.systems:
        if not one.latency_us:
            continue
        histogram = HdrHistogram.decode(one.latency_hdr)
        values = [histogram.get_value_at_percentile(at) / 1_000 for at in percentiles]
        rarity = [1 / (1 - at / 100) for at in percentiles]
        axes.plot(rarity, values, color=COLORS[one.system], label=one.system)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xticks([1 / (1 - at / 100) for at in NINES], [f"{at:g} %" for at in NINES])
    axes.minorticks_off()
    axes.set_xlabel("share of deliveries that are at least as fast")
    axes.set_ylabel("latency, ms (log)")
    axes.set_title(workload.name)
    axes.grid(alpha=0.3)
    axes.legend(fontsize="small")
    return save(picture, path)


def _growth(workloads: list[WorkloadReport], path: Path) -> str:
    """Cost per delivery against the size of the room, a line for each number of talkers."""
    picture, axes = _axes()
    lines: dict[tuple[str, int], list[tuple[int, float]]] = {}
    for workload in workloads:
        members, talkers = map(int, workload.name.removeprefix("growth-").split("x"))
        for one in workload.systems:
            if one.cost is not None:
                lines.setdefault((one.system, talkers), []).append((members, one.cost.median))
    styles = {1: ":", 10: "--", 100: "-"}
    for (system, talkers), points in lines.items():
        axes.plot(
            *zip(*sorted(points), strict=True),
            styles[talkers],
            marker="o",
            color=COLORS[system],
            label=f"{system}, {talkers} talking",
        )
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlabel("members of the room")
    axes.set_ylabel("server CPU per delivery, µs (log)")
    axes.grid(alpha=0.3)
    axes.legend(fontsize="small")
    return save(picture, path)


def _by_rate(workloads: list[WorkloadReport], to: str, path: Path) -> str:
    """Latency against messages a second."""
    picture, axes = _axes()
    rates = [int(workload.name.rpartition("-")[2]) for workload in workloads]
    for system in dict.fromkeys(one.system for each in workloads for one in each.systems):
        for percentile, style in (("50", "-"), ("99", "--")):
            values = [
                one.latency_us.get(percentile, float("nan")) / 1_000
                for workload in workloads
                for one in workload.systems
                if one.system == system
            ]
            label = f"{system}, {percentile} %"
            axes.plot(rates, values, style, marker="o", color=COLORS[system], label=label)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlabel(f"messages a second, {to}")
    axes.set_ylabel("latency, ms (log)")
    axes.grid(alpha=0.3)
    axes.legend(fontsize="small")
    return save(picture, path)
