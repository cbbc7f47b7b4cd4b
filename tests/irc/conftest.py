"""What the tests with programs of IRC share."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.irc.chat import Chat


@pytest.fixture
def chat(tmp_path: Path) -> Iterator[Chat]:
    with ExitStack() as stack:
        yield Chat(tmp_path, stack)
