"""What the benchmark's tests share: the load generator, and a server that can be unfair."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.processes import compile_c
from tests.benchmarks.unfair import UnfairServer

LOADGEN = Path(__file__).parents[2] / "benchmarks" / "loadgen.c"


@pytest.fixture(scope="session")
def loadgen(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compile_c(LOADGEN, tmp_path_factory.mktemp("loadgen"))


@pytest.fixture
def unfair_server() -> Iterator[UnfairServer]:
    with UnfairServer() as server:
        yield server
