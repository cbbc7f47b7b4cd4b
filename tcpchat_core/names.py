"""What a nick or a room may be called, and when two names are the same.

Rules:

1. A name is a PRECIS UsernameCaseMapped string (RFC 8265): letters and digits of any script; no
   spaces, controls, symbols, emoji or bidi tricks.
2. Of ASCII punctuation a name may hold only - _ . + so that no name can look like a part of a
   line (`[room]`, `nick:`, `* `), a command or a mention. It begins with a letter, a digit or _.
3. What is shown is the name as it was typed when it is ASCII, else its case-mapped form: capitals
   of one script look like letters of another (Н, the capital of Cyrillic н, like H).
4. Two names are the same when their keys are the same. The key is case-mapped, and a character
   outside ASCII that looks like an ASCII one counts as that one (Unicode TR 39, section 4). ASCII
   characters stand for themselves: in a terminal's font `l` is not `1`, and `modern` is not
   `modem`, as the full TR 39 skeleton would have it.

The key is computed when a request is proposed and travels in the event: replicas never fold, so
they agree also when their Unicode tables do not.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from importlib.resources import files
from typing import Final, NamedTuple

import msgspec
from precis_i18n import get_profile

from tcpchat_core.notices import Rejected

MAX_NICK_CHARS = 24
MAX_ROOM_CHARS = 32

# A real name is a text, and stands in lists of people.
MAX_REAL_NAME_CHARS = 100
# The letters that clients of IRC take for a user name, and as many as they show.
MAX_USER_CHARS = 10
NO_USER_LETTER = re.compile("[^A-Za-z0-9._-]")

# The server gives these to people who have not chosen a nick yet.
GUEST_PREFIX = "guest-"

# Names that could pass for the server's own voice.
RESERVED_NICKS = ("server", "system", "tcpchat")

# Longer than any allowed name can be before folding (a name can shrink when it is composed).
_MAX_TYPED_CHARS = 4 * MAX_ROOM_CHARS

# Names are few and come again with every message: what was folded last is kept.
_CACHE_NAMES = 16_384

_ASCII_PUNCTUATION = "-_.+"

_profile = get_profile("UsernameCaseMapped")

# What most people type. PRECIS allows all of it, and its case mapping is `str.lower`.
_ASCII_NAME = re.compile(rf"[A-Za-z0-9_][A-Za-z0-9{re.escape(_ASCII_PUNCTUATION)}]*")


# The name of a tag of a message, without the + that clients write before theirs (IRCv3
# message-tags): whose it is, if it is somebody's own, and what.
_TAG_NAME = re.compile("(?:[A-Za-z0-9.-]+/)?[A-Za-z0-9-]+")


# The tags by which programs say, by its id, which message theirs answers (IRCv3 client tags); the
# first is the one by which they are told.
REPLY_TAGS: Final = ("draft/reply", "reply")


class Name(NamedTuple):
    """A name as it is shown, and the key that says which names are the same."""

    text: str
    key: str


def _lookalikes() -> dict[int, str]:
    """Each character outside ASCII, to the character that stands for all that look like it.

    The library lists pairs that look alike; characters connected by such pairs form a class. A
    class that holds ASCII characters is named by the lowest of them (lower-cased, for keys are
    case-mapped), another by its lowest character.
    """
    # Only the table is read: importing the library's own reader would import urllib and sockets.
    table = files("confusable_homoglyphs").joinpath("confusables.json").read_bytes()
    alike = msgspec.json.decode(table, type=dict[str, list[dict[str, str]]])
    names: dict[int, str] = {}
    seen: set[str] = set()
    for start in sorted(alike):
        if len(start) != 1 or start in seen or start.isascii():
            continue
        kind, todo = [], [start]
        seen.add(start)
        while todo:
            char = todo.pop()
            kind.append(char)
            for other in sorted(pair["c"] for pair in alike.get(char, ())):
                # ASCII ends the walk: through it, classes such as those of l and | would meet.
                if other.isascii():
                    kind.append(other)
                elif len(other) == 1 and other not in seen:
                    seen.add(other)
                    todo.append(other)
        letters = [like for like in kind if like.isascii() and like.isalnum()]
        stands = min(letters or kind, key=lambda like: (len(like), like.lower())).lower()
        names.update({ord(like): stands for like in kind if not like.isascii()})
    return names


_LOOKALIKES = _lookalikes()

# In a text a sign such as × or — stays what it is: it parts words, and the letter that it looks
# like would join them.
_LOOKALIKES_IN_TEXTS = {
    code: like
    for code, like in _LOOKALIKES.items()
    if not like.isalnum() or chr(code).isalnum() or unicodedata.combining(chr(code))
}


def _fold(mapped: str, lookalikes: dict[int, str] = _LOOKALIKES) -> str:
    """The key of a name in its case-mapped form."""
    if mapped.isascii():
        return mapped
    decomposed = unicodedata.normalize("NFD", mapped)
    return unicodedata.normalize("NFC", decomposed.translate(lookalikes))


def text_key(text: str) -> str:
    """Any text, folded as names are: where a nick stands in the text, its key stands in this."""
    if text.isascii():
        return text.lower()
    wide = _profile.width_mapping_rule(text)
    mapped: str = _profile.normalization_rule(_profile.case_mapping_rule(wide))
    return _fold(mapped, _LOOKALIKES_IN_TEXTS)


@lru_cache(maxsize=_CACHE_NAMES)
def nick_name(text: str) -> Name | Rejected:
    """The nick that `text` asks for, or why it cannot be one."""
    name = _name("nickname", text, MAX_NICK_CHARS)
    if isinstance(name, Name) and (name.key in RESERVED_NICKS or name.key.startswith(GUEST_PREFIX)):
        return Rejected("reserved-name", f"the nickname {name.text} is reserved; choose another")
    return name


@lru_cache(maxsize=_CACHE_NAMES)
def nick_key(text: str) -> str:
    """The key by which to look a nick up; "" when nobody can have that nick."""
    name = _name("nickname", text, MAX_NICK_CHARS)
    return name.key if isinstance(name, Name) else ""


@lru_cache(maxsize=_CACHE_NAMES)
def room_name(text: str) -> Name | Rejected:
    """The room that `text` asks for (a leading # is dropped), or why it cannot be one."""
    return _name("room name", text.removeprefix("#"), MAX_ROOM_CHARS)


def is_same_room(one: str, other: str) -> bool:
    """Whether both call the same room, however they are written."""
    first, second = room_name(one), room_name(other)
    if isinstance(first, Name) and isinstance(second, Name):
        return first.key == second.key
    return one == other


def is_same_nick(one: str, other: str) -> bool:
    """Whether both call the same person, however they are written."""
    return one == other or nick_key(one) == nick_key(other) != ""


def is_tag_name(text: str) -> bool:
    """Whether a tag of a message can be called so."""
    return _TAG_NAME.fullmatch(text) is not None


def _name(what: str, text: str, max_chars: int) -> Name | Rejected:
    if len(text) <= max_chars and _ASCII_NAME.fullmatch(text):
        return Name(text, text.lower())
    if len(text) > _MAX_TYPED_CHARS:
        return Rejected("bad-name", f"a {what} has at most {max_chars} characters")
    try:
        mapped: str = _profile.enforce(text)
    except UnicodeEncodeError as error:
        return Rejected("bad-name", _why_not(what, error.reason))
    if len(mapped) > max_chars:
        return Rejected("bad-name", f"a {what} has at most {max_chars} characters")
    for char in mapped:
        if char.isascii() and not char.isalnum() and char not in _ASCII_PUNCTUATION:
            return Rejected("bad-name", f"a {what} cannot contain {char}")
    if not (mapped[0].isalnum() or mapped[0] == "_"):
        return Rejected("bad-name", f"a {what} begins with a letter, a digit or _")
    return Name(mapped, _fold(mapped))


def _why_not(what: str, precis_reason: str) -> str:
    """One sentence for what `precis_i18n` calls, for example, DISALLOWED/spaces."""
    match precis_reason.rpartition("/")[2]:
        case "empty":
            return f"a {what} has at least one character"
        case "spaces":
            return f"a {what} cannot contain spaces"
        case "bidi_rule":
            return f"a {what} cannot mix right-to-left and left-to-right letters"
        case _:
            return f"a {what} can contain only letters, digits and - _ . +"
