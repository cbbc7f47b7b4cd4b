"""Draws the dashboard of docs/monitoring: `python docs/images/metrics.py [FOLDER] [SECONDS]`.

No number is made up. The installed server runs, people of three kinds talk in it for some minutes,
and a real Prometheus scrapes it. Each panel of dashboard.json is drawn from what that answers to
its questions, with its title and its unit, and all of them as PNG into the folder, or beside this
file. (It is matplotlib that draws, and not Grafana, which is in no package.)
"""

from __future__ import annotations

import json
import os
import random
import socket
import sys
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

import matplotlib as mpl  # noqa: E402 # with the path set

mpl.use("Agg")
from matplotlib import pyplot as plt  # noqa: E402 # with what draws it chosen
from matplotlib.axes import Axes  # noqa: E402 # the same
from matplotlib.ticker import FuncFormatter  # noqa: E402 # the same

from tests.cli.serving import listening  # noqa: E402 # from the clone, as the path says
from tests.monitoring.prometheus import DASHBOARD, Prometheus, expression, panels  # noqa: E402

# How many people there are, how long they talk, and over how much a rate is taken.
PEOPLE: Final = 120
SECONDS: Final = 240
RATE: Final = "15s"

TEXT_SAID: Final = "so it is, all in all, as far as anybody can say " * 7

# What a panel is on the picture, in inches a column and a row of the grid.
COLUMN, ROW = 0.72, 0.32
DARK, PANEL, GRID, TEXT = "#111217", "#181b1f", "#2c3235", "#d0d1d6"
COLOURS: Final = ("#73bf69", "#f2cc0c", "#8ab8ff", "#ff780a", "#f2495c", "#b877d9", "#5794f2")


# ── People ───────────────────────────────────────────────────────────────────────────────────────


def _person(address: str, number: int, until: float) -> None:
    """Somebody who comes, talks now and then in one of eight rooms, and reads; a few paste pages, a
    few read nothing, and some go and come again.
    """
    lots = random.Random(number)  # noqa: S311 # nothing is a secret here
    host, _, port = address.rpartition(":")
    time.sleep(lots.random() * (until - time.monotonic()) / 4)
    while time.monotonic() < until:
        with suppress(OSError), socket.create_connection((host, int(port))) as sock:
            sock.settimeout(0.2)
            if _is_slow(number):
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
            sock.sendall(_hello(number))
            stays = time.monotonic() + lots.uniform(30, 400)
            while time.monotonic() < min(until, stays):
                _read(sock, number, lots.expovariate(0.7))
                lines = 30 if number % 17 == 0 and lots.random() < 0.2 else 1
                sock.sendall(_say(number, TEXT_SAID) * lines)
        time.sleep(2)


def _is_slow(number: int) -> bool:
    """Whether somebody reads nothing."""
    return number % 29 == 28


def _hello(number: int) -> bytes:
    room = f"room-{number % 8}"
    match number % 3:
        case 0:
            return f'{{"type":"hello"}}\n{{"type":"join","room":"{room}"}}\n'.encode()
        case 1:
            nick = f"p{number}"
            return f"NICK {nick}\r\nUSER {nick} 0 * :{nick}\r\nJOIN #{room}\r\n".encode()
        case _:
            return f"/nick p{number}\n/join {room}\n".encode()


def _say(number: int, text: str) -> bytes:
    room = f"room-{number % 8}"
    match number % 3:
        case 0:
            return f'{{"type":"say","room":"{room}","text":"{text}"}}\n'.encode()
        case 1:
            return f"PRIVMSG #{room} :{text}\r\n".encode()
        case _:
            return f"{text}\n".encode()


def _read(sock: socket.socket, number: int, seconds: float) -> None:
    until = time.monotonic() + seconds
    while (now := time.monotonic()) < until:
        if _is_slow(number):
            time.sleep(until - now)
        else:
            with suppress(TimeoutError):
                if not sock.recv(65_536):
                    raise OSError


# ── Drawing ──────────────────────────────────────────────────────────────────────────────────────


def _shown(unit: str, value: float) -> str:
    """A number as Grafana writes it, more or less."""
    suffix = {"s": " s", "Bps": "B/s", "bytes": "B", "mps": " msg/s", "cps": "/s", "d": " d"}
    suffix |= {"ops": "/s", "reqps": "/s", "percentunit": " %", "short": ""}
    if unit == "percentunit":
        value *= 100
    if unit == "s" and 0 < abs(value) < 1:
        return f"{value * 1_000:g} ms"
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size and unit not in ("s", "d"):
            return f"{value / size:g} {letter}{suffix[unit].strip()}"
    return f"{value:g}{suffix[unit]}"


def _legend(form: str, labels: dict[str, str]) -> str:
    for name, value in labels.items():
        form = form.replace(f"{{{{{name}}}}}", "chat:9100" if name == "instance" else value)
    return form


def _draw(axes: Axes, panel: dict[str, Any], answers: list[tuple[str, list[Any]]]) -> None:
    defaults = panel["fieldConfig"]["defaults"]
    axes.set_title(panel["title"], loc="left", color=TEXT, fontsize=9, fontweight="bold", pad=5)
    drawn = [(name, *zip(*values, strict=True)) for name, values in answers if values]
    series = [(name, list(at), [float(each) for each in said]) for name, at, said in drawn]
    if not series:
        axes.text(0.5, 0.5, "No data", transform=axes.transAxes, ha="center", color="#7b7f87")
    elif defaults["custom"]["stacking"]["mode"] == "normal":
        axes.stackplot(
            series[0][1],
            [said for _, _, said in series],
            labels=[name for name, _, _ in series],
            colors=COLOURS,
            alpha=0.55,
        )
    else:
        for (name, at, said), colour in zip(series, COLOURS * 3, strict=False):
            axes.plot(at, said, color=colour, linewidth=1, label=name)
            axes.fill_between(at, said, color=colour, alpha=0.1)
    is_more = any(each > 0 for _, _, said in series for each in said)
    _dress(axes, defaults["unit"], is_more=is_more)
    if not series:
        axes.set_xticks([])
        axes.set_yticks([])


def _dress(axes: Axes, unit: str, *, is_more: bool) -> None:
    """The axes of a panel; `is_more` is whether anything is more than nothing."""
    axes.set_facecolor(PANEL)
    axes.set_ylim(bottom=0, top=None if is_more else 1)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: _shown(unit, round(value, 6))))
    axes.xaxis.set_major_formatter(
        FuncFormatter(lambda at, _: time.strftime("%H:%M", time.gmtime(at)))
    )
    axes.locator_params(axis="y", nbins=4)
    axes.locator_params(axis="x", nbins=4)
    axes.tick_params(colors="#8e929b", labelsize=7, length=0)
    axes.grid(color=GRID, linewidth=0.5)
    for spine in axes.spines.values():
        spine.set_visible(False)
    if len(axes.get_legend_handles_labels()[1]) > 1:
        axes.legend(
            loc="upper center",
            bbox_to_anchor=(0.5, -0.13),
            ncols=3,
            fontsize=6.5,
            frameon=False,
            labelcolor=TEXT,
        )


def _picture(prometheus: Prometheus, begun: float, path: Path) -> None:
    everything = json.loads(DASHBOARD.read_text())["panels"]
    height = max(each["gridPos"]["y"] + each["gridPos"]["h"] for each in everything)
    figure = plt.figure(figsize=(24 * COLUMN, height * ROW), facecolor=DARK)

    def place(grid: dict[str, int]) -> tuple[float, float, float, float]:
        left, width = grid["x"] / 24, grid["w"] / 24
        top, tall = grid["y"] / height, grid["h"] / height
        return left, 1 - top - tall, width, tall

    for each in everything:
        left, bottom, width, tall = place(each["gridPos"])
        if each["type"] == "row":
            figure.text(left + 0.006, bottom + tall / 3, each["title"], color=TEXT, fontsize=11)
    now = time.time()
    for panel in panels():
        left, bottom, width, tall = place(panel["gridPos"])
        background = figure.add_axes((left + 0.003, bottom + 0.002, width - 0.006, tall - 0.004))
        background.set_facecolor(PANEL)
        background.set_xticks([])
        background.set_yticks([])
        axes = figure.add_axes((left + 0.038, bottom + tall * 0.24, width - 0.05, tall * 0.58))
        answers = [
            (_legend(target["legendFormat"], found["metric"]), found["values"])
            for target in panel["targets"]
            for found in prometheus.get(
                "query_range",
                query=expression(target, RATE),
                start=begun,
                end=now,
                step=2,
            )["result"]
        ]
        _draw(axes, panel, answers)
    figure.savefig(path, dpi=100, facecolor=DARK)


def main() -> None:
    """Have people talk, and draw what was measured."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent
    seconds = int(sys.argv[2]) if len(sys.argv) > 2 else SECONDS
    with tempfile.TemporaryDirectory() as work:
        os.environ["XDG_DATA_HOME"] = work
        flags = (
            "--data",
            f"{work}/kept",
            "--metrics",
            "0",
            "--max-backlog",
            "65536",
            "--max-clients",
            "115",
        )
        with listening(*flags) as (server, address):
            while not (line := server.read_line()).startswith("metrics:"):
                pass
            target = line.partition("http://")[2].partition("/")[0]
            with Prometheus(Path(work), [target]) as prometheus:
                begun = time.time()
                until = time.monotonic() + seconds
                people = [
                    threading.Thread(target=_person, args=(address, number, until))
                    for number in range(PEOPLE)
                ]
                for each in people:
                    each.start()
                for each in people:
                    each.join()
                _picture(prometheus, begun, folder / "metrics.png")


if __name__ == "__main__":
    main()
