"""Finding what was said: what a search has found, marked, and a look through the lines of a view.

Rule 1: What matches a search is decided by the server. We mark words as docs/protocol.md says that
        it finds them: each as a whole, whatever its case and, in Latin letters, its accents.

Rule 2: What is looked for in the lines of a view is found anywhere in them, whatever its case, its
        accents and its points; as far as a Korean syllable is typed it is found, too.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import islice
from typing import Final, NamedTuple, TypeAlias

from tcpchat_cli.terminal.numbering import MessageId
from tcpchat_cli.terminal.render import Fragments, Line, taken_back

# From where to before where a text is marked.
Span: TypeAlias = tuple[int, int]

_MATCH: Final = "class:match"

# What the index of a server's archive leaves out of a word (SQLite's unicode61): the accents that
# Latin letters have.
_ACCENTS: Final = frozenset(
    "\u0300\u0301\u0302\u0303\u0304\u0306\u0307\u0308\u0309\u030a\u030b\u030c\u030f"
    "\u0311\u031b\u0323\u0324\u0325\u0326\u0327\u0328\u032d\u032e\u0330\u0331"
)

# How many different characters are remembered as they are compared: those of a few scripts.
_REMEMBERED: Final = 4_096


def marked(line: Line, spans: Sequence[Span]) -> Line:
    """The line with these places of its body marked; in order, and none within another."""
    if not spans:
        return line
    body: Fragments = []
    start = 0
    for style, text in line.body:
        place = 0
        for first, last in spans:
            begin, end = max(first - start, 0), min(last - start, len(text))
            if begin < end:
                body.append((style, text[place:begin]))
                body.append((f"{style} {_MATCH}".strip(), text[begin:end]))
                place = end
        body.append((style, text[place:]))
        start += len(text)
    return line._replace(body=body)


# ── What a server has found ──────────────────────────────────────────────────────────────────


class _Token(NamedTuple):
    start: int
    end: int
    key: str


def word_spans(text: str, words: str) -> list[Span]:
    """Where a text has the words of a search."""
    tokens = [*_tokens(text)]
    keys = [token.key for token in tokens]
    spans: list[Span] = []
    for word in words.split():
        phrase = [token.key for token in _tokens(word)]
        spans += [
            (tokens[at].start, tokens[at + len(phrase) - 1].end)
            for at in range(len(keys) - len(phrase) + 1)
            if phrase and keys[at : at + len(phrase)] == phrase
        ]
    return _merged(spans)


def _tokens(text: str) -> Iterator[_Token]:
    start, key = 0, ""
    for at, char in enumerate(text):
        folded = _word_key(char)
        if folded is None or (not folded and not key):
            if key:
                yield _Token(start, at, key)
            key = ""
            continue
        start = start if key else at
        key += folded
    if key:
        yield _Token(start, len(text), key)


@lru_cache(_REMEMBERED)
def _word_key(char: str) -> str | None:
    """How a character of a word is compared; "" for an accent, None for what is of no word."""
    if char in _ACCENTS:
        return ""
    category = unicodedata.category(char)
    if category[0] not in "LN" and category != "Co":
        return None
    base = unicodedata.normalize("NFD", char)[0]
    key = base if base.isascii() else char
    return next((each for each in (key.casefold(), key.lower()) if len(each) == 1), key)


def _merged(spans: Iterable[Span]) -> list[Span]:
    merged: list[Span] = []
    for first, last in sorted(spans):
        if merged and first <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(last, merged[-1][1]))
        else:
            merged.append((first, last))
    return merged


# ── A look through lines ─────────────────────────────────────────────────────────────────────


class Hit(NamedTuple):
    """A line that has what is looked for: which of the lines, and which hit from the newest."""

    at: int
    number: int  # from 1
    line: Line  # marked


class Look:
    """A look through lines, from the newest to the oldest, that follows what is typed.

    `typed` may be set as it grows; each time the newest is found again. `older` and `newer` go on.
    """

    def __init__(self, lines: Iterable[Line]) -> None:
        self.lines = [*lines]
        self._keys: dict[int, str] = {}
        self._typed = ""
        self._skipped = 0

    @property
    def typed(self) -> str:
        """What is looked for."""
        return self._typed

    @typed.setter
    def typed(self, typed: str) -> None:
        if typed != self._typed:
            self._typed, self._skipped = typed, 0

    def older(self) -> bool:
        """Go on to the next older line; False, and nothing changes, where there is none."""
        self._skipped += 1
        if self.hit() is None:
            self._skipped -= 1
            return False
        return True

    def newer(self) -> bool:
        """Go back to the next newer line; False where there is none."""
        if self._skipped == 0:
            return False
        self._skipped -= 1
        return True

    def hit(self) -> Hit | None:
        """The line that is found now."""
        sought = _typed_key(self._typed)
        if not sought:
            return None
        places = (at for at in reversed(range(len(self.lines))) if sought in self._key(at))
        at = next(islice(places, self._skipped, None), None)
        if at is None:
            return None
        line = self.lines[at]
        return Hit(at, self._skipped + 1, marked_where(line, self._typed))

    def take_back(self, place: MessageId) -> None:
        """The text of a message is not to be found any more."""
        for at, line in enumerate(self.lines):
            if line.place == place:
                self.lines[at] = taken_back(line)
                self._keys.pop(at, None)

    def around(self, hit: Hit, count: int) -> list[Line]:
        """The line with so many of its neighbours on each side."""
        before = self.lines[max(0, hit.at - count) : hit.at]
        return [*before, hit.line, *self.lines[hit.at + 1 : hit.at + 1 + count]]

    def _key(self, at: int) -> str:
        if (key := self._keys.get(at)) is None:
            key = self._keys[at] = _typed_key(self.lines[at].text)
        return key


def marked_where(line: Line, typed: str) -> Line:
    """The line with what is looked for marked, wherever it stands in its text."""
    head = sum(len(text) for _, text in line.head)
    spans = [(max(0, first - head), last - head) for first, last in typed_spans(line.text, typed)]
    return marked(line, [span for span in spans if span[1] > 0])


def typed_spans(text: str, typed: str) -> list[Span]:
    """Where a text has what is looked for."""
    sought = _typed_key(typed)
    if not sought:
        return []
    key, places = "", []
    for at, char in enumerate(text):
        folded = _typed_char(char)
        key += folded
        places += [at] * len(folded)
    spans: list[Span] = []
    found = key.find(sought)
    while found >= 0:
        last = places[found + len(sought) - 1] + 1
        while last < len(text) and not _typed_char(text[last]):
            last += 1  # its accents are of it
        spans.append((places[found], last))
        found = key.find(sought, found + len(sought))
    return _merged(spans)


def _typed_key(text: str) -> str:
    return text.lower() if text.isascii() else "".join(map(_typed_char, text))


@lru_cache(_REMEMBERED)
def _typed_char(char: str) -> str:
    """How a character is compared; "" for accents, and for the points of Hebrew and Arabic."""
    folded = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", char).casefold())
    return "".join(each for each in folded if not _is_point(each))


def _is_point(char: str) -> bool:
    # Other marks of a class of their own are letters to who reads them: vowels, voiced kana.
    # https://www.unicode.org/reports/tr44/#Canonical_Combining_Class_Values
    combining = unicodedata.combining(char)
    return 10 <= combining <= 36 or combining >= 200
