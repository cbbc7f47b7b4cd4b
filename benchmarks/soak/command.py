"""`python -m benchmarks soak`: its command line."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import Final, NoReturn

import msgspec
from rich.console import Console

from benchmarks.processes import Failed
from benchmarks.report import markdown
from benchmarks.soak import report
from benchmarks.soak.run import Plan, soak

RESULTS: Final = Path("results")
# A week, after which a machine is likely to be restarted anyhow.
MOST_HOURS: Final = 168.0


def main(words: list[str]) -> None:
    """Run a soak, or tell what one came to; exit 1 when something was violated or grew."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks soak",
        description="Have two servers live under a steady load, one of them restarted every ten"
        " minutes, and check every delivery. Ctrl-C ends it early, with what there is by then.",
    )
    parser.add_argument(
        "--hours", type=_hours, default=2.0, metavar="H", help="how long it takes (default: 2)"
    )
    parser.add_argument(
        "--seed", type=int, default=1, metavar="N", help="of what the people decide (default: 1)"
    )
    parser.add_argument(
        "--acts",
        type=_count,
        default=0,
        metavar="N",
        help="end it after so many acts of the people of each server, whatever time that takes",
    )
    parser.add_argument(
        "--restart-every",
        type=_count,
        default=600,
        metavar="SECONDS",
        help="how often one of the servers is restarted (default: 600)",
    )
    parser.add_argument(
        "--data",
        type=Path,
        metavar="DIR",
        help="a new folder for those of the servers and their logs, which is kept; without it they"
        " are in a temporary one",
    )
    parser.add_argument(
        "--report",
        type=Path,
        metavar="FILE",
        help="run nothing: make table and plot of the samples of a run, beside FILE",
    )
    arguments = parser.parse_args(words)
    if arguments.report is not None:
        _tell(arguments.report)
        return
    if arguments.data is not None and arguments.data.exists():
        parser.error(f"--data {arguments.data}: it is there already; name a new folder")
    directory = RESULTS / time.strftime("%Y%m%d-%H%M%S")
    directory.mkdir(parents=True, exist_ok=True)
    samples = directory / "soak.jsonl"
    print(f"{samples} gets the samples while it runs", flush=True)
    try:
        soak(_plan(arguments), samples, _say)
    except Failed as failed:
        _fail(str(failed))
    _tell(samples)


def _plan(arguments: argparse.Namespace) -> Plan:
    return Plan(
        arguments.hours,
        arguments.seed,
        acts=arguments.acts,
        restart_s=arguments.restart_every,
        data=arguments.data,
    )


def _count(word: str) -> int:
    if not word.isdecimal() or not int(word):
        raise argparse.ArgumentTypeError(f"{word}: a whole number from 1 on")
    return int(word)


def _hours(word: str) -> float:
    try:
        hours = float(word)
    except ValueError:
        hours = 0.0
    if not 0.0 < hours <= MOST_HOURS:
        raise argparse.ArgumentTypeError(
            f"{word}: it has to be more than 0, {MOST_HOURS:g} at most"
        )
    return hours


def _say(sentence: str) -> None:
    print(sentence, flush=True)


def _fail(sentence: str) -> NoReturn:
    sys.exit(f"benchmarks: {sentence}")


def _tell(samples: Path) -> None:
    """Make the tables and the plot of a run."""
    try:
        run = report.load(samples)
    except OSError as error:
        _fail(f"{samples} cannot be read: {error.strerror}")
    except ValueError as error:
        _fail(str(error))
    found = report.summarize(run)
    page = f"{markdown(found)}\n{report.verdict(run)}.\n"
    samples.with_name("report.json").write_bytes(msgspec.json.format(msgspec.json.encode(found)))
    samples.with_name("report.md").write_text(page)
    drawn = report.draw(run, samples.with_suffix(".svg"))
    Console().print(page, markup=False, highlight=False, soft_wrap=True)
    print(f"beside {samples}: report.json, report.md, {drawn}")
    if run.violated or report.grown(run):
        sys.exit(1)
