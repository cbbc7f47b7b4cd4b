"""Masks, as clients write them: `*` stands for any characters, `?` for one, in whatever case."""

from __future__ import annotations

from typing import Final

_ANY: Final = "*"
_ONE: Final = "?"


def is_mask(text: str) -> bool:
    """Whether a word may mean several names."""
    return _ANY in text or _ONE in text


def matches(mask: str, name: str) -> bool:
    """Whether a name is one of those that a mask means. No mask takes longer than the product of
    both lengths: what a `*` stands for is made longer only while no later one is reached.
    """
    mask, name = mask.casefold(), name.casefold()
    at = place = 0
    star, behind = -1, 0  # the last `*` of the mask, and what of the name may be behind it
    while place < len(name):
        if at < len(mask) and mask[at] == _ANY:
            star, behind, at = at, place, at + 1
        elif at < len(mask) and mask[at] in (_ONE, name[place]):
            at, place = at + 1, place + 1
        elif star >= 0:
            behind += 1
            at, place = star + 1, behind
        else:
            return False
    return not mask[at:].strip(_ANY)
