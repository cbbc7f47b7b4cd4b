"""The words that call one: one's nick, and those that one has set.

Rule 1: A word is found as names are compared: `Deploy`, `ｄｅｐｌｏｙ` and a deploy with a
        Cyrillic о are one. Between its words a phrase has any blanks.

Rule 2: It is found where a whole word stands. Where a script has no blanks between words (Chinese,
        Japanese, Thai …) it is found anywhere; where the script changes, a word ends.

Rule 3: In Korean, particles are written onto the word: 배포는 and 배포에서도 call who waits for
        배포, 배포판 does not.
"""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_right
from collections.abc import Sequence
from typing import Final

from tcpchat_cli.terminal.settings import BadSettings
from tcpchat_core.names import text_key

# With so many, a text of the greatest length is looked through in some milliseconds.
MAX_WORDS: Final = 50
MAX_WORD_CHARS: Final = 64

# Longer texts are not looked through to their ends: no honest one is longer.
MAX_LOOKED_AT: Final = 4_000

# The scripts that matter, by the first of their characters and the first behind them.
_SCRIPTS: Final = (
    (0x0E00, 0x0F00, "unspaced"),  # Thai, Lao
    (0x1000, 0x10A0, "unspaced"),  # Myanmar
    (0x1100, 0x1200, "hangul"),  # Jamo, of which a folded syllable may consist
    (0x1780, 0x1800, "unspaced"),  # Khmer
    (0x3005, 0x3100, "unspaced"),  # Hiragana, Katakana, and the marks that repeat a character
    (0x3130, 0x3190, "hangul"),
    (0x31F0, 0x3200, "unspaced"),  # Katakana, the smaller ones
    (0x3400, 0xA000, "unspaced"),  # Han
    (0xAC00, 0xD7B0, "hangul"),
    (0xF900, 0xFB00, "unspaced"),  # Han for compatibility
    (0x20000, 0x40000, "unspaced"),  # Han, the rarer ones
)
_STARTS: Final = [start for start, _, _ in _SCRIPTS]

# What is written onto a Korean noun or name: titles, cases, and what stands after those. It is a
# closed class; up to three stand in a row, as in 님에게도.
_PARTICLES: Final = (
    "은 는 이 가 을 를 의 에 에서 에게 에게서 께 께서 한테 한테서 더러 보고 로 으로 로서"
    " 으로서 로써 으로써 와 과 랑 이랑 하고 아 야 여 이여 도 만 까지 마저 조차 부터 밖에 뿐"
    " 마다 보다 처럼 만큼 대로 나 이나 든지 이든지 라도 이라도 요 이요 란 이란 라고 이라고"
    " 입니다 이다 님 씨 군 양 들"
)
_ONTO: Final = re.compile(
    f"(?:{'|'.join(text_key(each) for each in _PARTICLES.split())}){{1,3}}"
    "(?![\u1100-\u11ff\u3130-\u318f\uac00-\ud7af])"  # … to the end of what is Hangul
)


def check_words(words: Sequence[str]) -> None:
    """Raise BadSettings where these cannot all be looked for in whatever is said."""
    if len(words) > MAX_WORDS:
        raise BadSettings(f"highlight can hold {MAX_WORDS} words and phrases at most")
    for word in words:
        if not 0 < len(_key(word)) <= MAX_WORD_CHARS:
            raise BadSettings(f"a highlight has from 1 to {MAX_WORD_CHARS} characters")


class Highlights:
    """Words and phrases that call one."""

    def __init__(self, words: Sequence[str] = ()) -> None:
        self._keys = tuple(filter(None, map(_key, words)))

    def call(self, nick: str, text: str) -> bool:
        """Whether a text calls who has this nick ("" for none), by it or by one of the words."""
        looked_at = _key(text[:MAX_LOOKED_AT])
        own = _key(nick)
        keys = (own, *self._keys) if own else self._keys
        return any(_stands_in(looked_at, key) for key in keys)


def _key(text: str) -> str:
    return " ".join(text_key(text).split())


def _stands_in(text: str, word: str) -> bool:
    """Whether a word stands in a text as a whole word; both are folded."""
    at = text.find(word)
    while at >= 0:
        end = at + len(word)
        if _is_boundary(text, at) and (_is_boundary(text, end) or _ONTO.match(text, end)):
            return True
        at = text.find(word, at + 1)
    return False


def _is_boundary(text: str, at: int) -> bool:
    """Whether a word can begin or end before the character at `at`."""
    if at in {0, len(text)}:
        return True
    before, after = text[at - 1], text[at]
    if not (_is_of_word(before) and _is_of_word(after)):
        return True
    if unicodedata.category(after)[0] == "M":
        return False  # a mark belongs to the letter before it, in every script
    scripts = {_script(before), _script(after)}
    return len(scripts) > 1 or "unspaced" in scripts


def _is_of_word(char: str) -> bool:
    return char.isalnum() or char == "_" or unicodedata.category(char)[0] == "M"


def _script(char: str) -> str:
    """The script of a character, as far as it matters here; "" for all others."""
    code = ord(char)
    row = bisect_right(_STARTS, code) - 1
    if row < 0:
        return ""
    _, end, script = _SCRIPTS[row]
    return script if code < end else ""
