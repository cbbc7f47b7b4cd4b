"""What may never reach somebody else's terminal.

A terminal obeys some of the characters it shows: ESC and the C1 set start commands, the bidi
controls reorder what stands beside them, line separators forge new lines. None of them leaves
the core in any field (https://www.unicode.org/reports/tr36/, CVE-2021-42574).

Joiners (ZWJ, ZWNJ) and variation selectors stay: words in many scripts and most emoji need them.
"""

from __future__ import annotations

# What separates words or lines becomes one space, so that words do not run together …
_SPACES = "\t\n\v\f\r\x85\u2028\u2029"

# … and the rest goes: C0, DEL, C1; bidi embeddings, overrides and isolates; the byte order mark;
# interlinear annotation; the deprecated format controls; lone surrogates, which no encoder takes.
_REMOVED = (
    range(0x20),
    range(0x7F, 0xA0),
    range(0x202A, 0x202F),
    range(0x2066, 0x2070),
    range(0xD800, 0xE000),
    range(0xFEFF, 0xFF00),
    range(0xFFF9, 0xFFFC),
)

_TABLE: dict[int, str | None] = {
    **{code: None for codes in _REMOVED for code in codes},
    **{ord(space): " " for space in _SPACES},
}


def sanitize(text: str) -> str:
    """The text without anything a terminal would obey; the same object when it had nothing."""
    # str.isprintable is False for every character of the table (categories Cc, Cf, Cs, Zl, Zp),
    # and five times as fast as translate.
    return text if text.isprintable() else text.translate(_TABLE)


def replace_surrogates(text: str) -> str:
    """The text with U+FFFD for each lone surrogate, so that it can be encoded as UTF-8.

    They come of bytes that were no UTF-8, as Python decodes what is typed or given (PEP 383).
    """
    if text.isascii():
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def is_safe(text: str) -> bool:
    """Whether `sanitize` would leave the text as it is."""
    return text.isprintable() or not any(ord(char) in _TABLE for char in text)
