"""How many columns of the terminal a text takes.

Terminals disagree about a few classes of characters, so this one is asked about them: it is shown
a sample of each, and tells where its cursor stands then.

Rule 1: A text takes as many columns as its characters do one by one. A terminal that draws several
        as one picture, as a family of emoji, gives them fewer and never more.

Rule 2: As long as the terminal has not answered, a character takes as many columns as on those
        terminals that give it most, so that no row is too wide; but for characters of ambiguous
        width, half of Europe's letters among them, which nearly all terminals show narrow.

Rule 3: An answer may come at any time, or never. Nobody waits for it.

Rule 4: Where each cell has to be counted, the parts of a sequence are shown apart, which is the
        same everywhere, and without the colours of skins.
"""

from __future__ import annotations

import re
from collections import deque
from typing import Final, NamedTuple
from unicodedata import east_asian_width

from wcwidth import wcswidth, wcwidth

_APART: Final = "\u200b"  # of no width, and nothing is one picture with it
# Either asks for one look of the character before it.
_AS_TEXT: Final = "\ufe0e"
_AS_EMOJI: Final = "\ufe0f"
_LETTERS: Final = "\U0001f1e6-\U0001f1ff"  # of flags, which two of them are
_TONES: Final = "\U0001f3fb-\U0001f3ff"
_PICTURES: Final = f"\u2600-\u27bf\U0001f000-\U0001faff{_AS_EMOJI}"

# What may make one picture of what stands beside it.
_JOINING: Final = re.compile(
    rf"(?<=[{_PICTURES}])\u200d|(?<=[{_LETTERS}])(?=[{_LETTERS}])|(?<=[{_PICTURES}])[{_TONES}]"
    rf"|[{_AS_TEXT}{_AS_EMOJI}]"
)


class Doubt(NamedTuple):
    """A class of characters about which terminals disagree, and a text to ask about them.

    `others` are the columns of the sample that are not in doubt; `several` is how many characters
    of the class are in it, which take `least` to `most` columns each, and `usual` if nobody knows.
    """

    sample: str
    others: int
    several: int
    least: int
    usual: int
    most: int

    def columns(self, cursor: int) -> int | None:
        """How many a character takes where the sample put the cursor; None if that cannot be."""
        each, rest = divmod(cursor - self.others, self.several)
        return each if not rest and self.least <= each <= self.most else None


DOUBTS: Final = {
    "as emoji": Doubt("\u2764\ufe0f", 1, 1, 0, 1, 1),
    "letter of a flag": Doubt("\U0001f1f0", 0, 1, 1, 2, 2),
    "ambiguous": Doubt("\u00a7", 0, 1, 1, 1, 2),
    "part of a syllable": Doubt("\u1112\u1161\u11ab", 2, 2, 0, 0, 2),
}


def _doubt(char: str) -> str:
    """The class of a character; "" for one that terminals agree about."""
    if char == _AS_EMOJI:
        return "as emoji"
    if "\U0001f1e6" <= char <= "\U0001f1ff":
        return "letter of a flag"
    if "\u1160" <= char <= "\u11ff" or "\ud7b0" <= char <= "\ud7ff":
        return "part of a syllable"
    if east_asian_width(char) == "A" and wcwidth(char) == 1:
        return "ambiguous"
    return ""


class Widths:
    """The columns of each character on one terminal: `widths[char]`.

    Write `questions` where the terminal's row is free, and give every answer to `answered`.
    """

    def __init__(self) -> None:
        self._known: dict[str, int] = {}  # by character, and forgotten when there is an answer
        self._columns = {name: doubt.usual for name, doubt in DOUBTS.items()}
        self._asked: deque[str] = deque()

    def __call__(self, char: str) -> int:
        """How many columns a character takes."""
        known = self._known.get(char)
        if known is None:
            name = _doubt(char)
            known = self._columns[name] if name else max(0, wcwidth(char))
            self._known[char] = known
        return known

    def questions(self) -> str:
        """What is to be written: at the beginning of an empty row, which is empty again then."""
        self._asked = deque(DOUBTS)
        asked = "".join(f"\r{doubt.sample}\x1b[6n" for doubt in DOUBTS.values())
        return f"{asked}\r\x1b[K"

    def answered(self, report: str) -> bool:
        """Take a report of the cursor, ESC [ ROW ; COLUMN R; whether anything is known anew."""
        if not self._asked:
            return False
        name = self._asked.popleft()
        columns = DOUBTS[name].columns(int(report[2:-1].partition(";")[2]) - 1)
        if columns is None or columns == self._columns[name]:
            return False
        self._columns[name] = columns
        self._known.clear()
        return True


# A process has one terminal.
char_width: Final = Widths()


def text_width(text: str) -> int:
    """How many columns a text takes at most."""
    return len(text) if text.isascii() else sum(map(char_width, text))


def shortened(text: str, columns: int) -> str:
    """As much of a text as so many columns have room for, with … where something is left out."""
    if text_width(text) <= columns:
        return text
    while text and text_width(text) >= columns:
        text = text[:-1]
    return f"{text}…"


# ── Apart ────────────────────────────────────────────────────────────────────────────────────


def apart(text: str) -> str:
    """The text with the parts of its sequences shown apart."""
    return text if text.isascii() else "".join(parts_of(text))


def parts_of(text: str) -> list[str]:
    """What each character of the text is to be shown as, to be apart."""
    parts = [*text]
    for found in _JOINING.finditer(text):
        at = found.start()
        if not found[0]:
            parts[at] = _APART + parts[at]
        elif found[0] != _AS_EMOJI or not at or not _is_wider(text[at - 1]):
            parts[at] = ""
    return parts


def _is_wider(char: str) -> bool:
    """Whether a character is wider as an emoji."""
    return wcwidth(char) == 1 and bool(wcswidth(char + _AS_EMOJI) == 2)
