"""What a soak came to: tables and a plot, of the samples that it has written down."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Final

import msgspec
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Picture

from benchmarks.plots import save
from benchmarks.report import Report, Row, Spread, TableReport, spread
from benchmarks.soak.samples import Begun, Ended, Line, Sample, Started, Violated, read
from benchmarks.soak.verdict import HALF_OF_ONE, Growth, grouped, growth, warmed

# A run has to take so long before anything is said of growth: three times as long as what is said
# is kept, behind the quarter that does not count.
JUDGED_S: Final = 2_400.0
# A figure for each minute of a long run is what a plot can show.
DOTS: Final = 120

_MIB: Final = 2**20

# What is told of a sample, None where it has none.
_Figure = Callable[[Sample], float | None]


def _delay(sample: Sample) -> float | None:
    return sample.told.p50 if sample.told else None


def _delay_of_disk(sample: Sample) -> float | None:
    """How often as long as an echo after a write to the disk it takes to be told something."""
    return sample.told.p50 / sample.disk.p50 if sample.told and sample.disk else None


def _rss(sample: Sample) -> float:
    return sample.rss / _MIB


def _files(sample: Sample) -> float:
    return sum(sample.files.values()) / _MIB


# What is judged, and by how much of its median it may grow, None for what is counted in ones.
FIGURES: Final[dict[str, tuple[_Figure, float | None]]] = {
    "memory of its own, MiB": (lambda one: one.anonymous / _MIB, 0.05),
    "descriptors, but for connections": (lambda one: one.descriptors - one.connections, None),
    "threads": (lambda one: one.threads, None),
    "files, MiB": (_files, 0.10),
    "a message is told, p50, ms": (_delay, 0.25),
    "a message is told, p50, ÷ an echo after a write to the disk": (_delay_of_disk, 0.25),
}
# One figure in two ways, which has grown when both have: a machine with other things to do makes
# the delay longer, and one that has done them makes that shorter to which it is compared.
DELAY_FIGURES: Final = frozenset(name for name in FIGURES if name.startswith("a message is told"))
# What is told beside them, and not judged.
BESIDE: Final[dict[str, _Figure]] = {
    "RSS, MiB": _rss,
    "a message is told, p99, ms": lambda one: one.told.p99 if one.told else None,
    "an echo over loopback, p50, ms": lambda one: one.echo.p50 if one.echo else None,
    "an echo after a write to the disk, p50, ms": lambda one: one.disk.p50 if one.disk else None,
    "connections": lambda one: one.connections,
}


@dataclass
class Run:
    """The lines of a soak, by what they are."""

    begun: Begun
    started: list[Started] = field(default_factory=list)
    samples: list[Sample] = field(default_factory=list)
    violated: list[Violated] = field(default_factory=list)
    ended: Ended | None = None

    def of(self, server: str) -> list[Sample]:
        """The samples of one server."""
        return [one for one in self.samples if one.server == server]


def load(path: Path) -> Run:
    """Read the samples of a run, also of one that was killed or still goes on.

    Raises OSError, and ValueError with a sentence when that is no such file.
    """
    try:
        lines = read(path)
    except msgspec.MsgspecError as error:
        raise ValueError(f"{path} has no samples of a soak: {error}") from error
    if not lines or not isinstance(lines[0], Begun):
        raise ValueError(f"{path} has no samples of a soak: it does not begin as they do")
    run = Run(lines[0])
    for line in lines[1:]:
        _sort(run, line)
    return run


def _sort(run: Run, line: Line) -> None:
    match line:
        case Started():
            run.started.append(line)
        case Sample():
            run.samples.append(line)
        case Violated():
            run.violated.append(line)
        case Ended():
            run.ended = line
        case Begun():
            raise ValueError("a soak begins once")


def summarize(run: Run) -> Report:
    """All of it in tables."""
    begun = run.begun
    tables = [_lived(run), _restarted(run), _done(run)]
    return Report(
        begun.at, begun.command, 1, begun.machine, [], [], [one for one in tables if one.rows]
    )


def verdict(run: Run) -> str:
    """In a sentence: what was violated, and whether the server that lived on was flat."""
    told = [f"VIOLATED after {one.at_s:,.0f} s: {one.what}" for one in run.violated]
    told = told or ["nothing was violated"]
    if not _is_judged(run):
        told.append("that was too short to tell whether anything grows")
    elif names := grown(run):
        told.append(f"GREW: {'; '.join(names)}")
    else:
        told.append("the server that lived on was flat")
    if run.ended is None:
        told.append("the run has not come to its end")
    return "; ".join(told)


def grown(run: Run) -> list[str]:
    """The figures that were not flat, of a run that was long enough to tell."""
    if not _is_judged(run):
        return []
    names = [
        name
        for name, (_, limit) in FIGURES.items()
        if (found := _growth(run, name)) and not found.is_flat(limit)
    ]
    return (
        names
        if DELAY_FIGURES.issubset(names)
        else [name for name in names if name not in DELAY_FIGURES]
    )


def _is_judged(run: Run) -> bool:
    return bool(run.samples) and run.samples[-1].at_s >= JUDGED_S


def points(samples: Sequence[Sample], figure: _Figure) -> list[tuple[float, float]]:
    """Time in s and value, of the samples that have one."""
    found = [(one.at_s, figure(one)) for one in samples]
    return [(at_s, value) for at_s, value in found if value is not None]


def _growth(run: Run, name: str) -> Growth | None:
    return growth(warmed(points(run.of("lived"), FIGURES[name][0])))


def _lived(run: Run) -> TableReport:
    rows = []
    missed = grown(run)
    for name, (_, limit) in FIGURES.items():
        if found := _growth(run, name):
            # Of a figure in two ways, the one that grew alone has missed nothing.
            is_judged = _is_judged(run) and (found.is_flat(limit) or name in missed)
            targets = {"growth": HALF_OF_ONE} if limit is None else {"growth, %": 100 * limit}
            rows.append(Row(name, _cells(found), targets if is_judged else {}))
    for name, figure in BESIDE.items():
        if found := growth(warmed(points(run.of("lived"), figure))):
            rows.append(Row(name, _cells(found)))
    return TableReport(
        "soak: the server that lives on",
        "medians over all but the first quarter of the time, and of the first and the last tenth of"
        " that; growth is the Theil-Sen slope times the time",
        rows,
    )


def _cells(found: Growth) -> dict[str, Spread]:
    figures = {
        "median": found.median,
        "first tenth": found.first,
        "last tenth": found.last,
        "growth": found.grew,
        "growth, %": 100 * found.share,
    }
    return {name: spread([figure]) for name, figure in figures.items()}


def _restarted(run: Run) -> TableReport:
    """Of the last half of each start: at its beginning a server fills up."""
    starts: dict[int, list[Sample]] = {}
    for one in run.of("restarted"):
        starts.setdefault(one.start, []).append(one)
    rows = []
    for name, figure in {**{name: of for name, (of, _) in FIGURES.items()}, **BESIDE}.items():
        found = [points(samples[len(samples) // 2 :], figure) for samples in starts.values()]
        medians = [statistics.median(value for _, value in one) for one in found if one]
        if medians:
            rows.append(Row(name, {"median of the starts (least–most)": spread(medians)}))
    return TableReport(
        "soak: the server that is restarted",
        f"{len(starts)} starts, of each the median over its last half",
        rows,
    )


def _done(run: Run) -> TableReport:
    """What the people did, of both servers."""
    counts: dict[str, dict[str, float]] = {}
    for server in dict.fromkeys(one.server for one in run.samples):
        samples = run.of(server)
        counts[server] = dict(run.ended.counts[server] if run.ended else samples[-1].counts)
        counts[server]["deliveries, each checked"] = samples[-1].counts["delivered"]
        if run.ended:
            counts[server]["deliveries, each checked"] = run.ended.delivered[server]
        counts[server].pop("delivered", None)
        starts = [one for one in run.started if one.server == server]
        counts[server]["starts"] = len(starts)
        counts[server]["of these after SIGKILL"] = sum(one.after == "SIGKILL" for one in starts)
        counts[server]["CPU, % of a core"] = 100 * _share_of_core(samples)
    names = sorted({name for one in counts.values() for name in one})
    return TableReport(
        "soak: what was done",
        "how often, by the people of each server, and by who ran it",
        [
            Row(
                name,
                {server: spread([one[name]]) for server, one in counts.items() if name in one},
            )
            for name in names
        ],
    )


def _share_of_core(samples: Sequence[Sample]) -> float:
    """How much of one a server used, over all of its starts."""
    used = took = 0.0
    for one, other in pairwise(samples):
        if one.start == other.start:
            used += other.cpu_s - one.cpu_s
            took += other.at_s - one.at_s
    return used / took if took else 0.0


# ── The plot ─────────────────────────────────────────────────────────────────────────────────────

COLORS: Final = {"lived": "tab:blue", "restarted": "tab:orange"}
_RESTARTS: Final = {"SIGTERM": "dotted", "SIGKILL": "dashed"}
_BOTH, _LIVED = ("lived", "restarted"), ("lived",)


def _file(name: str) -> _Figure:
    return lambda one: one.files[name] / _MIB


# What is drawn in each panel: of which servers, what, and how it looks.
_PANELS: Final[dict[str, dict[str, tuple[tuple[str, ...], _Figure, dict[str, str]]]]] = {
    "memory, MiB": {
        "RSS": (_BOTH, _rss, {}),
        "its own": (_BOTH, FIGURES["memory of its own, MiB"][0], {"linestyle": ":"}),
    },
    "descriptors": {
        "all": (_BOTH, lambda one: one.descriptors, {}),
        "but for connections": (
            _BOTH,
            FIGURES["descriptors, but for connections"][0],
            {"linestyle": ":"},
        ),
    },
    "files, MiB": {
        "all": (_BOTH, _files, {}),
        "log.db": (_LIVED, _file("log.db"), {"linestyle": "--"}),
        "archive.db": (_LIVED, _file("archive.db"), {"linestyle": "-."}),
        "WAL": (_LIVED, _file("WAL"), {"linestyle": ":"}),
    },
    "delay, ms (log)": {
        "told, p50": (_BOTH, _delay, {}),
        "told, p99": (_LIVED, BESIDE["a message is told, p99, ms"], {"linestyle": ":"}),
        "echo, p50": (_LIVED, BESIDE["an echo over loopback, p50, ms"], {"color": "gray"}),
        "echo after a write, p50": (
            _LIVED,
            BESIDE["an echo after a write to the disk, p50, ms"],
            {"color": "black"},
        ),
    },
    "told ÷ echo after a write": {"p50": (_BOTH, _delay_of_disk, {})},
}


def draw(run: Run, path: Path) -> str:
    """Write the plot; returns the name of its file."""
    picture = Picture(figsize=(10, 12), layout="tight")
    panels = picture.subplots(len(_PANELS), 1, sharex=True)
    for axes, (label, lines) in zip(panels, _PANELS.items(), strict=True):
        for name, (servers, figure, look) in lines.items():
            for server in servers:
                own = {"color": COLORS[server], **look}
                _line(axes, f"{server}: {name}", run.of(server), figure, own)
        for one in run.started:
            if one.after:
                style = _RESTARTS[one.after]
                axes.axvline(one.at_s / 60, color="lightgray", linestyle=style, linewidth=0.8)
        axes.set_ylabel(label)
        axes.grid(alpha=0.3)
        if label.endswith("(log)"):
            axes.set_yscale("log")
        else:
            axes.set_ylim(bottom=0)
        axes.legend(fontsize="x-small", loc="upper left", bbox_to_anchor=(1, 1))
    panels[-1].set_xlabel("minutes; a line for each restart: dotted SIGTERM, dashed SIGKILL")
    return save(picture, path)


def _line(
    axes: Axes, label: str, samples: Sequence[Sample], figure: _Figure, look: dict[str, str]
) -> None:
    found = grouped(points(samples, figure), DOTS)
    at, values = [at_s / 60 for at_s, _ in found], [value for _, value in found]
    axes.plot(at, values, label=label, linewidth=1.2, **look)  # type: ignore[arg-type] # colour and style are texts
