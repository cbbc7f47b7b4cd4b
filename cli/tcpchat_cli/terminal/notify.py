"""How a person who does not look is told to: by the bell, or by a notification of the desktop.

Rule 1: A terminal that we do not know is rung, which every terminal can. One that we know is told
        by a sequence of its own (OSC 9, 777 or 99), which others would take for nothing, or worse.

Rule 2: A sequence holds no control character but its own, no `;` but its own, and so few bytes that
        even GNU screen passes it on. Of a message it has the text only where that is wanted.

Rule 3: Who is called a hundred times in a row is told once: not again for a while by the same room
        or person, and by all together hardly oftener than one can look up.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal, NamedTuple, TypeAlias

from tcpchat_core.sanitize import sanitize

Way: TypeAlias = Literal["off", "bell", "osc9", "osc777", "osc99"]

# By the same room or person, and by anybody.
VIEW_SECONDS: Final = 10.0
ANY_SECONDS: Final = 1.0

# A terminal that tells nothing of its focus: who has pressed a key so recently looks at it.
LOOKS_SECONDS: Final = 30.0

# GNU screen passes on strings of at most 256 bytes; names and what frames them have the rest.
MAX_TEXT_BYTES: Final = 180

# By the beginning of TERM, which goes through ssh …
_BY_TERM: Final[Mapping[str, Way]] = {
    "xterm-kitty": "osc99",
    "xterm-ghostty": "osc777",
    "foot": "osc777",
    "wezterm": "osc777",
}

# … and by what else a terminal says of itself. rxvt needs an extension for OSC 777, VTE a patch,
# and Windows Terminal takes OSC 9 for something else: they are rung.
_BY_VARIABLE: Final[Mapping[tuple[str, str], Way]] = {
    ("TERM_PROGRAM", "iTerm.app"): "osc9",
    ("LC_TERMINAL", "iTerm2"): "osc9",
    ("TERM_PROGRAM", "WezTerm"): "osc777",
    ("TERM_PROGRAM", "ghostty"): "osc777",
}

# What an OSC ends in. A string terminator (ESC \) would end screen's and tmux's wrapping, too.
_END: Final = "\a"


class Call(NamedTuple):
    """Somebody calls one: in a room, or with `room` "" by a direct message."""

    nick: str
    room: str
    text: str

    @property
    def place(self) -> str:
        """The room or the person, in one word that is the other's never."""
        return self.room or f"@{self.nick}"

    def summary(self, *, with_text: bool) -> str:
        """For example "ada in lobby", and behind that what was said."""
        said = f": {self.text}" if with_text else ""
        return f"{self.nick} {f'in {self.room}' if self.room else 'to you'}{said}"


def best_way(environment: Mapping[str, str]) -> Way:
    """What this terminal surely understands."""
    if _multiplexer(environment) or environment.get("TERM", "").startswith(("screen", "tmux")):
        return "bell"  # they pass on the bell, and sequences only where they were told to
    for start, way in _BY_TERM.items():
        if environment.get("TERM", "").startswith(start):
            return way
    for (name, value), way in _BY_VARIABLE.items():
        if environment.get(name) == value:
            return way
    return "bell"


def sequence(way: Way, text: str, environment: Mapping[str, str]) -> str:
    """What to send to the terminal so that it tells the text; "" for nothing."""
    told = field(text, MAX_TEXT_BYTES)
    match way:
        case "off":
            return ""
        case "bell":
            return "\a"
        case "osc9":  # it never begins with a digit: `9;4` is a bar of progress to some
            return _wrapped(f"\x1b]9;tcpchat: {told}{_END}", environment)
        case "osc777":
            return _wrapped(f"\x1b]777;notify;tcpchat;{told}{_END}", environment)
        case "osc99":
            return _wrapped(f"\x1b]99;;tcpchat: {told}{_END}", environment)


def field(text: str, max_bytes: int) -> str:
    """A text as it may stand in a sequence: no controls, no `;`, and so many bytes at most."""
    clean = sanitize(text[:max_bytes]).replace(";", ",")
    return clean.encode()[:max_bytes].decode(errors="ignore")


def _wrapped(inside: str, environment: Mapping[str, str]) -> str:
    """A sequence that the multiplexer, if there is one, passes on to the terminal around it."""
    match _multiplexer(environment):
        case "tmux":
            doubled = inside.replace("\x1b", "\x1b\x1b")
            return f"\x1bPtmux;{doubled}\x1b\\"
        case "screen":
            return f"\x1bP{inside}\x1b\\"
        case _:
            return inside


def _multiplexer(environment: Mapping[str, str]) -> Literal["", "tmux", "screen"]:
    if environment.get("TMUX") or environment.get("TERM", "").startswith("tmux"):
        return "tmux"
    return "screen" if environment.get("STY") else ""


class Attention:
    """Whether the person looks at the terminal. Times are seconds."""

    def __init__(self) -> None:
        # Whether the terminal has the focus; None as long as it tells nothing of that.
        self.is_focused: bool | None = None

    def looks(self, idle: float, away: float) -> bool:
        """`idle`: since a key was pressed; `away`: after that long one is away, 0 for never."""
        if self.is_focused is None:
            return idle < LOOKS_SECONDS
        return self.is_focused and not 0 < away <= idle


class Bell:
    """Tells of calls, but not too often. Times are seconds of any clock."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment
        self._rung_at: dict[str, float] = {}  # by place, for those that may not ring again yet

    def ring(self, call: Call, way: Way | Literal["auto"], *, with_text: bool, now: float) -> str:
        """What to send to the terminal; "" for nothing."""
        if way == "auto":
            way = best_way(self._environment)
        self._rung_at = {
            place: at for place, at in self._rung_at.items() if now - at < VIEW_SECONDS
        }
        is_soon = any(now - at < ANY_SECONDS for at in self._rung_at.values())
        if way == "off" or is_soon or call.place in self._rung_at:
            return ""
        self._rung_at[call.place] = now
        return sequence(way, call.summary(with_text=with_text), self._environment)
