"""Masks, as clients write them: `*` stands for any characters, `?` for one, in whatever case."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from tcpchat_core.names import MAX_ROOM_CHARS

_ANY: Final = "*"
_ONE: Final = "?"

# No name is longer, with its #; three of them may be one in another case.
_MOST_SIGNS: Final = 3 * (MAX_ROOM_CHARS + 1)


def is_mask(text: str) -> bool:
    """Whether a word may mean several names."""
    return _ANY in text or _ONE in text


def matches(mask: str, name: str) -> bool:
    """Whether a name is one of those that a mask means. No mask takes longer than the product of
    both lengths.
    """
    pattern = _pattern(mask)
    return pattern is not None and pattern.match(name.casefold()) is not None


# More than a line has, which asks for the same ones with each of many names.
@lru_cache(maxsize=128)
def _pattern(mask: str) -> re.Pattern[str] | None:
    """How to look at a name; None where a mask has more signs than any name.

    What a `*` stands for is as short as it can be, and no other length of it is tried: what
    follows up to the next `*` is then as far in front as it can be. Only the last one is as long as
    it has to be.
    """
    if len(mask) - mask.count(_ANY) > _MOST_SIGNS:
        return None
    first, *others = [
        "".join(["." if char == _ONE else re.escape(char) for char in part])
        for part in re.split(r"\*+", mask.casefold())
    ]
    between = "".join([f"(?>.*?{part})" for part in others[:-1]])
    last = f".*{others[-1]}" if others else ""
    return re.compile(rf"{first}{between}{last}\Z", re.DOTALL)
