"""What a soak writes down while it runs, one JSON object a line, so that a kill loses nothing."""

from __future__ import annotations

from pathlib import Path

import msgspec

from benchmarks.report import Machine


class Delays(msgspec.Struct, frozen=True):
    """In ms, of all tries in a window; `tries` is how many these were."""

    p50: float
    p99: float
    most: float
    tries: int


class Begun(msgspec.Struct, frozen=True, tag="begun"):
    """The first line: what was asked for, and where."""

    at: str
    command: str
    hours: float
    seed: int
    people: int
    every_s: float
    machine: Machine


class Started(msgspec.Struct, frozen=True, tag="started"):
    """A server was started; `after` is what ended it before: nothing, `SIGTERM` or `SIGKILL`."""

    at_s: float
    server: str
    start: int
    pid: int
    after: str = ""


class Sample(msgspec.Struct, frozen=True, tag="sample"):
    """One server at one time: `rss` and the sizes of its files in bytes; `anonymous` is the memory
    that is its own, whoever else has the same programs and libraries; `cpu_s` of this start;
    `connections` are those of its descriptors that lead to people, and `people` how many of them
    hold themselves connected. In the window before it, `told` is how long it took until
    somebody was told what another had said, `echo` how long a bare echo over loopback took, and
    `disk` one that had a page on the disk first. `counts` are from the beginning on.
    """

    at_s: float
    server: str
    start: int
    rss: int
    anonymous: int
    descriptors: int
    connections: int
    threads: int
    cpu_s: float
    files: dict[str, int]
    people: int
    told: Delays | None
    echo: Delays | None
    disk: Delays | None
    counts: dict[str, int]


class Violated(msgspec.Struct, frozen=True, tag="violated"):
    """Something happened that must not."""

    at_s: float
    what: str


class Ended(msgspec.Struct, frozen=True, tag="ended"):
    """The last line: how it ended, how many deliveries were checked, and what the people did."""

    at_s: float
    why: str
    delivered: dict[str, int]
    counts: dict[str, dict[str, int]]
    generator_cpu_s: float


Line = Begun | Started | Sample | Violated | Ended


class Writer:
    """Appends lines to a file."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("ab", buffering=0)

    def write(self, line: Line) -> None:
        """Have it in the file."""
        self._file.write(msgspec.json.encode(line) + b"\n")

    def close(self) -> None:
        """Nothing more comes."""
        self._file.close()


def read(path: Path) -> list[Line]:
    """All lines of a file; a last one that is torn is left out.

    Raises OSError, and msgspec.DecodeError for any other line that is none.
    """
    *lines, _torn = path.read_bytes().split(b"\n")
    return [msgspec.json.decode(line, type=Line) for line in lines]
