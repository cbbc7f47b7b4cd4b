"""Addresses in what was said: which there are, where each goes, and which terminals make links.

Rule 1: Only http and https. An address with a user before its host, with anything between its host
        and its path, or with an end that was left out (…) is none: it says less than where it goes.

Rule 2: What one sees is where one goes. A terminal is given a link (OSC 8) over the whole of the
        address and nothing else, and only where the host is written as it is looked up: not over
        letters of other scripts, which can look like those of another host.

Rule 3: What goes to a terminal or to a program is printable ASCII, percent-encoded.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple
from urllib.parse import quote

_BEGINNING: Final = re.compile(r"(?<!\w)https?://", re.IGNORECASE)
# What may stand behind an address without being of it, and what closes what was opened before it.
_PUNCTUATION: Final = frozenset(".,;:!?'*。，、；：！？」』】》”’")
_CLOSING: Final = {")": "(", "]": "[", "}": "{", "）": "（"}

_OTHER: Final = "".join(sorted(char for char in (*_PUNCTUATION, *_CLOSING) if not char.isascii()))
_AUTHORITY: Final = re.compile(rf"[^\s/?#\\<>\"…{_OTHER}]*")
_LABEL: Final = rf"(?:[a-z0-9_-]|[^\x00-\x7f{_OTHER}])+"
_HOST: Final = re.compile(
    rf"(?P<host>\[[0-9a-f:.]+\]|{_LABEL}(?:\.{_LABEL})*)(?P<port>:[0-9]{{1,5}}(?!\w))?",
    re.IGNORECASE,
)
_REST: Final = re.compile(r"[^\s<>\"…]*")
# A last label that begins in ASCII and goes on in another script: a word that was set right behind
# the address, as particles are in Korean.
_WORD_BEHIND: Final = re.compile(r"(?:.*\.)?[a-z0-9-]+(?=[^\x00-\x7f.]+$)", re.IGNORECASE)

# How people, and we ourselves, write that an end was left out.
_LEFT_OUT: Final = ("…", "...")

# What stands in an address as it is. Whatever else there is, is percent-encoded.
_KEPT: Final = "%/?#:@!$&'()*+,;=~[]"

# Longer ones are refused by terminals: VTE and iTerm2 take so many bytes.
MAX_LINK_BYTES: Final = 2_083


class Link(NamedTuple):
    """An address in a text, from `start` to before `end`; it goes to `target`, in ASCII."""

    start: int
    end: int
    target: str
    is_plain: bool  # whether the text shows where it goes


def find_links(text: str) -> Iterator[Link]:
    """The addresses in a text, in their order."""
    place = 0
    while beginning := _BEGINNING.search(text, place):
        link = _link(text, beginning.start(), beginning.end())
        place = beginning.end() if link is None else link.end
        if link is not None:
            yield link


def _link(text: str, start: int, after_scheme: int) -> Link | None:
    """The address that begins there, if it is one."""
    authority = _whole(_AUTHORITY, text, after_scheme)
    found = _HOST.match(authority)
    if found is None or "@" in authority:
        return None
    host, port = found["host"], found["port"] or ""
    end_of_authority = after_scheme + len(authority)
    behind = authority[found.end() :]
    rest = ""
    if text.startswith(("/", "?", "#", "\\"), end_of_authority):
        if behind or text[end_of_authority] == "\\":  # which browsers take for a slash
            return None
        rest = _trimmed(_whole(_REST, text, end_of_authority))
    elif behind[:1] == ":" and behind[1:2].isalnum():  # no port
        return None
    elif not port and (word := _WORD_BEHIND.match(host)):
        host = word[0]
    end = after_scheme + len(host) + len(port) + len(rest)
    if text.startswith(_LEFT_OUT, end) or rest.endswith(_LEFT_OUT):
        return None
    looked_up = _looked_up(host)
    if looked_up is None:
        return None
    target = f"{text[start:after_scheme]}{looked_up}{port}{quote(rest, safe=_KEPT)}"
    return Link(start, end, target, is_plain=host.isascii())


def _whole(pattern: re.Pattern[str], text: str, start: int) -> str:
    found = pattern.match(text, start)
    return found[0] if found else ""


def _looked_up(host: str) -> str | None:
    """The host as it is looked up; None for what is no name."""
    if host.isascii():
        return host
    import idna  # noqa: PLC0415 # its tables are large, and few addresses need them

    try:
        return idna.encode(host, uts46=True).decode()
    except UnicodeError:  # of which idna's are
        return None


def _trimmed(rest: str) -> str:
    """Without what stands behind an address in a sentence."""
    unopened = {close: rest.count(close) - rest.count(open) for close, open in _CLOSING.items()}
    end = len(rest)
    while end > 0:
        last = rest[end - 1]
        if unopened.get(last, 0) > 0:
            unopened[last] -= 1
        elif last not in _PUNCTUATION or rest.endswith(_LEFT_OUT, 0, end):
            break
        end -= 1
    return rest[:end]


# ── In a terminal ────────────────────────────────────────────────────────────────────────────

# What ends a link in a terminal.
LINK_END: Final = "\x1b]8;;\x1b\\"


def link_start(link: Link, *, in_parts: bool) -> str:
    """What begins it, as https://gist.github.com/egmont-hob/2f1f7d4c1d57a6ce6ea1 describes.

    `in_parts` when it stands on several rows, so that the terminal knows them for one.
    """
    parameters = f"id={zlib.crc32(link.target.encode()):x}" if in_parts else ""
    return f"\x1b]8;{parameters};{link.target}\x1b\\"


def terminal_links(text: str) -> list[Link]:
    """The addresses in a text that a terminal may be given as links."""
    if "://" not in text:
        return []
    return [
        link for link in find_links(text) if link.is_plain and len(link.target) <= MAX_LINK_BYTES
    ]


# The first versions that show links, or at least nothing else. VTE's and Konsole's are numbers.
_PROGRAMS: Final = frozenset(
    {"iTerm.app", "WezTerm", "ghostty", "vscode", "mintty", "rio", "Tabby"}
)
_TERMS: Final = ("xterm-kitty", "xterm-ghostty", "foot", "alacritty", "contour", "wezterm", "rio")
_VERSIONS: Final = {"VTE_VERSION": 5_200, "KONSOLE_VERSION": 201_200}
_TMUX: Final = (3, 4)


def has_links(environment: Mapping[str, str]) -> bool:
    """Whether the terminal is known to show links, and so to print nothing for them.

    What another terminal was started from says nothing of it: within tmux and screen only they
    count.
    """
    term, program = environment.get("TERM", ""), environment.get("TERM_PROGRAM", "")
    if term.startswith(("tmux", "screen")):
        return program == "tmux" and _version(environment.get("TERM_PROGRAM_VERSION", "")) >= _TMUX
    if term in {"", "dumb", "unknown", "linux"}:
        return False
    return (
        term.startswith(_TERMS)
        or program in _PROGRAMS
        or "WT_SESSION" in environment
        or any(_number(environment.get(name, "")) >= first for name, first in _VERSIONS.items())
    )


def _version(text: str) -> tuple[int, ...]:
    """For example (3, 4) of "3.4a"."""
    return tuple(int(part) for part in re.findall(r"\d{1,9}", text)[:2])


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 10 else 0
