"""How long something lasts, as people type it and read it; in the code it is milliseconds."""

from __future__ import annotations

import re
from typing import Final

_UNITS: Final = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}

# Nobody means more than that; and a number of any length need not be read.
_TYPED: Final = re.compile(r"([0-9]{1,6})([smhd])", re.IGNORECASE)

# From twice a unit on it is counted in it, so that rounding up says not much too much.
_SHOWN: Final = ((86_400_000, "d"), (3_600_000, "h"), (60_000, "min"), (1_000, "s"))


def parse_duration(text: str) -> int | None:
    """The milliseconds of `90s`, `10m`, `2h` or `1d`; None for what is no such, or is nothing."""
    found = _TYPED.fullmatch(text)
    if found is None:
        return None
    return int(found[1]) * _UNITS[found[2].lower()] or None


def shown_duration(ms: int) -> str:
    """So many milliseconds, rounded up, for people: `10 min`."""
    for unit, name in _SHOWN:
        if ms > 2 * unit or (ms >= unit and ms % unit == 0):
            return f"{-(-ms // unit)} {name}"
    return f"{max(1, -(-ms // 1_000))} s"
