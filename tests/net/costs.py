"""What a call costs, by counting: how many of Python's instructions it runs, whoever's they are.

A count is the same on every machine and each time, so one can say "as much in a room of ten as in
a room of a thousand" and mean it. What is done in C counts as one; loops of it over many members
are not seen, and there is nothing in the product that could hide in one but a copy.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any


def instructions(call: Callable[[], object]) -> int:
    """How many instructions of Python run in a call."""
    count = 0

    def trace(frame: FrameType, event: str, _argument: Any) -> Any:
        nonlocal count
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        count += event == "opcode"
        return trace

    before = sys.gettrace()
    gc.disable()  # whose callbacks (hypothesis has one) would count
    sys.settrace(trace)
    try:
        call()
    finally:
        sys.settrace(before)
        gc.enable()
    return count
