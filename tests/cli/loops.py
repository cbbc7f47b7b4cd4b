"""Event loops for tests."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

Result = TypeVar("Result")


def in_loop(talk: Coroutine[Any, Any, Result]) -> Result:
    """Run it to its end, in a thread: that of the tests may have Playwright's loop running."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, talk).result()
