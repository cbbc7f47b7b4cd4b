"""What tests with gevent share: an error in a callback of the loop is an error of the test."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import gevent
import pytest


@pytest.fixture(autouse=True)
def no_errors_in_the_loop(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The hub prints what a callback raises and goes on; here the test fails."""
    errors: list[BaseException] = []
    hub = gevent.get_hub()
    handle = hub.handle_error

    def record(context: Any, kind: Any, value: Any, trace: Any) -> None:
        if isinstance(value, AssertionError) or not isinstance(context, gevent.Greenlet):
            errors.append(value)
        handle(context, kind, value, trace)

    monkeypatch.setattr(hub, "handle_error", record)
    yield
    assert not errors
