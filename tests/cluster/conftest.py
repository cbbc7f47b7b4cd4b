"""Fixtures for tests with a real engine."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.cluster.cable import Cable
from tests.cluster.engines import Engine


@pytest.fixture
def engine() -> Iterator[Engine]:
    """An engine that runs as an operator is told to run it."""
    with Engine() as started:
        yield started


@pytest.fixture
def cable(engine: Engine) -> Iterator[Cable]:
    """A cable to the engine."""
    with Cable(engine.port) as made:
        yield made
