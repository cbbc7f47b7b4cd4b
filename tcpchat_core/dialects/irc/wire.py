"""One line of IRC, as a server writes it: `[@tags] :source COMMAND words :text` and CRLF.

Rules:

1. A line has at most 512 bytes, its end included and its tags not (RFC 1459, IRCv3 message-tags).
2. A word is never empty, holds no blank and does not begin with a colon. Names are so already, by
   `names.py`; what is not is made so. So nobody can forge a word, or the beginning of the text.
3. Nothing in a text ends a line: what `sanitize` takes out is not in any.
4. A text that somebody said and that is too long goes into several lines, cut at blanks; another is
   cut short, and ends in `…`. No cut is inside a character, or between characters that are seen as
   one.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from functools import lru_cache
from typing import Final

from tcpchat_core.dialects.plain import utc_second
from tcpchat_core.names import MAX_ROOM_CHARS, Name, is_tag_name, room_name
from tcpchat_core.sanitize import sanitize

# What the server calls itself, and all hosts: where people come from is nobody's business.
SERVER: Final = "tcpchat"

# Whose user name stands in front of what somebody does. It is everybody's, so that the line depends
# on nothing but the nick; who is asked about has another, if it has said one.
NOBODYS_USER: Final = "~u"

MAX_LINE_BYTES: Final = 512
_END_BYTES: Final = 2

# A room with its #, in UTF-8. Whatever else stands as a word is shorter, or was typed by who is
# answered.
_MAX_WORD_BYTES: Final = 4 * MAX_ROOM_CHARS + len("#")

# Names are few and come again with every message, and seconds with many.
_CACHE_NAMES: Final = 4_096
_CACHE_SECONDS: Final = 512

_CUT_SHORT: Final = "…"

_JOINER: Final = "\u200d"
_VIRAMA: Final = 9  # the combining class of what joins two consonants into one sign
_MARKS: Final = ("Mn", "Mc", "Me")


# ── Words ────────────────────────────────────────────────────────────────────────────────────


def word(text: str) -> str:
    """A text that can stand before others in a line; the same, if it is a name."""
    return _word(text[:_MAX_WORD_BYTES])  # what is kept is not as long as somebody likes


@lru_cache(maxsize=_CACHE_NAMES)
def _word(text: str) -> str:
    made = sanitize(text).replace(" ", "_").lstrip(":")
    return made.encode()[:_MAX_WORD_BYTES].decode(errors="ignore") or "*"


@lru_cache(maxsize=_CACHE_NAMES)
def person(nick: str) -> str:
    """Whose doing a line tells, as its source names them. "" is the server."""
    return f"{word(nick)}!{NOBODYS_USER}@{SERVER}" if nick else SERVER


def channel(room: str) -> str:
    """A room, as IRC names it."""
    return word(f"#{room.removeprefix('#')}")


@lru_cache(maxsize=_CACHE_NAMES)
def opening(nick: str, command: str, target: str) -> tuple[str, int]:
    """How a line begins that says something to a target, and how many bytes of text fit into it."""
    head = f":{person(nick)} {command} {word(target)} :"
    return head, MAX_LINE_BYTES - _END_BYTES - len(head.encode())


@lru_cache(maxsize=_CACHE_NAMES)
def said_opening(nick: str, room: str) -> tuple[str, int]:
    """The same, of what is said to a room."""
    return opening(nick, "PRIVMSG", channel(room))


# ── Lines ────────────────────────────────────────────────────────────────────────────────────


def line(
    source: str,
    command: str,
    *words: str,
    text: str | None = None,
    tags: str = "",
    row: str = "",
) -> bytes:
    """One line; a text that does not fit is cut short. `source` is of `person`, or ""; `row` are
    more words that are so already.
    """
    head = _head(source, command, words)
    if row:
        head = f"{head} {row}"
    if text is None:
        return f"{tags}{head}\r\n".encode()
    size = MAX_LINE_BYTES - _END_BYTES - len(head.encode()) - len(" :")
    return f"{tags}{head} :{shortened(sanitize(text), size)}\r\n".encode()


# How a part of a text is shown in grey (https://modern.ircdocs.horse/formatting).
_GREY: Final = "\x0314"
_PLAIN: Final = "\x0f"


def said_lines(
    nick: str,
    command: str,
    target: str,
    text: str,
    *,
    tags: str = "",
    id: str = "",
    client: str = "",
    emote: bool = False,
    when: str = "",
    answered: str = "",
) -> bytes:
    """The lines that say a text to a target, as many as it needs; `id` is a tag of the first, and
    so is what is of its `client_tags`.

    An emote is a CTCP ACTION in each, and `when` it was stands in front of each. What is `answered`
    stands in front of the text, in grey: as nobody's own text can.
    """
    head, size = opening(nick, command, target)
    before, after = (f"\x01ACTION {when}", "\x01") if emote else (when, "")
    size -= len(before) + len(after)
    if answered:
        answered = f"{_GREY}({shortened(sanitize(answered), size // 2)}){_PLAIN} "
        size -= len(answered.encode())  # in all lines, so that there is some text in the first
    parts = pieces(sanitize(text), size)
    parts[0] = f"{answered}{parts[0]}"
    lines = [f"{tags}{head}{before}{part}{after}\r\n" for part in parts]
    lines[0] = f"{joined_tags(id, tags, client)}{lines[0].removeprefix(tags)}"
    return "".join(lines).encode()


def listed(
    source: str, command: str, *words: str, entries: list[str], between: str = " "
) -> list[bytes]:
    """Lines that list words as their text, as many in each as fit; none when there are none."""
    head = _head(source, command, words)
    size = MAX_LINE_BYTES - _END_BYTES - len(head.encode()) - len(" :")
    lines: list[bytes] = []
    row: list[str] = []
    used = 0
    for entry in entries:
        takes = len(entry.encode()) + 1
        if row and used + takes > size + 1:  # the last has no blank behind it
            lines.append(f"{head} :{between.join(row)}\r\n".encode())
            row, used = [], 0
        row.append(entry)
        used += takes
    if row:
        lines.append(f"{head} :{between.join(row)}\r\n".encode())
    return lines


def _head(source: str, command: str, words: Iterable[str]) -> str:
    return " ".join([*([f":{source}"] if source else []), command, *map(word, words)])


# ── Tags ─────────────────────────────────────────────────────────────────────────────────────


@lru_cache(maxsize=_CACHE_SECONDS)
def _second(second: int) -> str:
    return f"{utc_second(second * 1_000):%Y-%m-%dT%H:%M:%S}"


def timestamp(at: int) -> str:
    """A time, as IRCv3 server-time writes it."""
    second, ms = divmod(at, 1_000)
    return f"{_second(second)}.{ms:03}Z"


@lru_cache(maxsize=_CACHE_SECONDS)  # what came in one turn has one time
def time_tag(at: int) -> str:
    """When something was, as a line's only tag (IRCv3 server-time)."""
    return f"@time={timestamp(at)} "


@lru_cache(maxsize=_CACHE_NAMES)
def tag_value(text: str) -> str:
    """A text as it can stand in a tag."""
    return word(text).replace("\\", "\\\\").replace(";", "\\:")


@lru_cache(maxsize=_CACHE_NAMES)
def account_tag(account: str) -> str:
    """Whose account it was, as a line's first tag (IRCv3 account-tag), without its end."""
    return f"@account={tag_value(account)}"


# How what would end a tag's value is written in one; what ends a line is in no text.
_ESCAPED: Final = str.maketrans({"\\": r"\\", ";": r"\:", " ": r"\s"})


def escaped(text: str) -> str:
    """A text as the value of a tag, which is read again as it was."""
    return sanitize(text).translate(_ESCAPED)


# What clients have put in front of a message may be so long, beside what the server has.
MAX_CLIENT_TAG_BYTES: Final = 4_094


def client_tags(tags: dict[str, str] | None) -> str:
    """The tags of a message, as they stand among those of its line; what cannot is left out."""
    written = ""
    for name, value in (tags or {}).items():
        tag = f"+{name}={escaped(value)}" if value else f"+{name}"
        more = f"{written};{tag}" if written else tag
        if is_tag_name(name) and len(more.encode()) <= MAX_CLIENT_TAG_BYTES:
            written = more
    return written


def joined_tags(id: str, tags: str, client: str = "") -> str:
    """A message's id in front of the other tags of its line, and its `client_tags` behind them."""
    joined = ";".join(filter(None, (f"msgid={id}" if id else "", tags[1:-1], client)))
    return f"@{joined} " if joined else ""


def tagged(tag: str, data: bytes) -> bytes:
    """Lines, each with one tag more."""
    before = f"@{tag}".encode()
    return b"".join(
        [
            before + (b";" + each[1:] if each.startswith(b"@") else b" " + each)
            for each in data.splitlines(keepends=True)
        ]
    )


@lru_cache(maxsize=_CACHE_NAMES)  # rooms are few, and come again with every message
def id_parts(epoch: str, room: str) -> tuple[str, str]:
    """What stands before a message's number in its id, and what behind it: `<epoch>.`, and a dot
    with the key of the room.
    """
    name = room_name(room)
    key = name.key if isinstance(name, Name) else room
    return f"{tag_value(epoch)}.", f".{tag_value(key)}"


# A number that any room may have.
_NUMBER: Final = re.compile(r"[0-9]{1,15}")


def message_number(id: str, epoch: str, room: str) -> int | None:
    """The number of the message of a room that an id names; None where it names none of it."""
    before, after = id_parts(epoch, room)
    number = id.removeprefix(before).removesuffix(after)
    is_id = f"{before}{number}{after}" == id and _NUMBER.fullmatch(number)
    return int(number) if is_id else None


# ── Batches ──────────────────────────────────────────────────────────────────────────────────


def opened(batch: str, kind: str, *words: str) -> bytes:
    """How lines begin that belong together (IRCv3 batch); each is `within` the batch."""
    return line(SERVER, "BATCH", f"+{batch}", kind, *words)


def closed(batch: str) -> bytes:
    """How they end."""
    return line(SERVER, "BATCH", f"-{batch}")


def within(batch: str, data: bytes) -> bytes:
    """The lines between; those of a batch among them stay lines of that one."""
    return b"".join(
        [
            each if each.startswith(b"@batch=") else tagged(f"batch={batch}", each)
            for each in data.splitlines(keepends=True)
        ]
    )


def is_batch(data: bytes) -> bool:
    """Whether an answer begins as a batch, and so is one."""
    return data.startswith(_BATCH)


_BATCH: Final = f":{SERVER} BATCH +".encode()


# ── Long texts ───────────────────────────────────────────────────────────────────────────────


def pieces(text: str, size: int) -> list[str]:
    """A text in pieces of at most `size` bytes: cut at blanks, which are left out there, or where
    there are none between characters that are seen as such. At least one piece.
    """
    found: list[str] = []
    while (fits := _fitting(text, size)) < len(text):
        cut = _blank(text, fits) or _between(text, fits)
        if piece := text[:cut].rstrip(" "):
            found.append(piece)
        text = _without_blanks(text[cut:])
    return [*found, text] if text or not found else found


def shortened(text: str, size: int) -> str:
    """A text of at most `size` bytes, which ends in `…` if it was longer."""
    if _fitting(text, size) >= len(text):
        return text
    return pieces(text, size - len(_CUT_SHORT.encode()))[0] + _CUT_SHORT


def _fitting(text: str, size: int) -> int:
    """How many characters of a text are in so many bytes; one at least."""
    start = text[:size]  # no character has less than a byte
    if not start.isascii():
        start = start.encode()[:size].decode(errors="ignore")
    return max(len(start), 1)


# The longest sequences that people use have a dozen characters; a longer one costs no more.
_LOOKED_AT: Final = 32


def _blank(text: str, end: int) -> int:
    """The last place up to `end` where a text can be cut at a blank; 0 when there is none."""
    cut = text.rfind(" ", 1, end + 1)
    for _ in range(_LOOKED_AT):
        if cut <= 0 or not _is_joined(text, cut + 1):
            return max(cut, 0)
        cut = text.rfind(" ", 1, cut)
    return 0


def _between(text: str, end: int) -> int:
    """The last place up to `end` between two characters as people see them, after the first.

    A sequence that is longer than any of people's is cut all the same.
    """
    for cut in range(end, max(end - _LOOKED_AT, 0), -1):
        if not _is_joined(text, cut):
            return cut
    return end


def _without_blanks(text: str) -> str:
    """A text without the blanks at its start; but one that bears a mark belongs to it."""
    stripped = text.lstrip(" ")
    blanks = len(text) - len(stripped)
    return text[blanks - 1 :] if blanks and _is_joined(text, blanks) else stripped


def _is_joined(text: str, at: int) -> bool:
    """Whether the characters before and after a place are seen as one, by a simple rule.

    Marks, joiners, variation selectors, the colours of emoji, jamo of Hangul, and pairs of regional
    indicators (flags); what a full one would add is rare (Unicode's UAX 29 has tables for it).
    """
    if at >= len(text):
        return False
    before, after = text[at - 1], text[at]
    if after.isascii():
        return False
    if (
        before == _JOINER
        or after in {_JOINER, "\u200c"}
        or unicodedata.combining(before) == _VIRAMA
    ):
        return True
    if "\U0001f1e6" <= after <= "\U0001f1ff":
        rest = text[:at].rstrip("".join(map(chr, range(0x1F1E6, 0x1F200))))
        return (at - len(rest)) % 2 == 1
    return (
        unicodedata.category(after) in _MARKS
        or "\U0001f3fb" <= after <= "\U0001f3ff"  # colours of skin
        or "\U000e0020" <= after <= "\U000e007f"  # tags, of the flags of regions
        or "\u1160" <= after <= "\u11ff"  # vowels and finals of Hangul
        or after in {"\u0e33", "\u0eb3"}  # the vowel am of Thai and Lao, which is no mark
    )
