"""Colours: what tells nicks, rooms and the program's own voice apart.

A theme is a table: what each kind of text looks like, in the words that a file of a theme has too.
`dark`, `light` and `none` stand here; any other is `themes/NAME.toml` beside client.toml.

Rule 1: What can be read on paper can be read here: a colour has a contrast of at least 4.5 to what
        is behind it (WCAG 2.2, AA). Tests hold the themes that stand here to that, on black, on
        white and on what is nearly so; of a file one sentence says where it has less.

Rule 2: The colours that stand here are among the 256 that terminals have, so none is shown as
        something else by one that has no more.
"""

from __future__ import annotations

import difflib
import re
import zlib
from collections.abc import Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from tcpchat_cli.terminal.client_toml import read_tables
from tcpchat_cli.terminal.settings import BadSettings, config_path
from tcpchat_core.names import nick_key

if TYPE_CHECKING:
    from prompt_toolkit.styles import Style

# How many colours there are for nicks. The page has as many, in the same order of hues.
NICKS: Final = 12

# What of a theme can be set, and what it is.
CLASSES: Final = MappingProxyType(
    {
        "time": "the time of a line",
        "room": "the name of a room",
        "system": "what the program itself says",
        "error": "what went wrong",
        "told": "who writes to you alone",
        "mention": "a text with your nick in it",
        "match": "in a text, what was looked for",
        "marker": "the line above what is new",
        "unsent": "what you have said, before it has arrived",
        "quote": "what a message answers, above it",
        "prompt": "what stands before what you type",
        "bar": "the bar below, with what is behind it",
        "bar-current": "in the bar, the room that you look at",
        "bar-mention": "in the bar, a room where you were called",
        "bar-trouble": "in the bar, a connection that is lost",
    }
)

# The least contrast of text that WCAG's level AA allows.
MIN_CONTRAST: Final = 4.5

# The terminal's own colours: how they look is the terminal's affair.
_NAMED: Final = ("red", "green", "yellow", "blue", "magenta", "cyan")
_ATTRIBUTES: Final = ("bold", "italic", "underline", "reverse")
_COLOUR: Final = re.compile(r"#[0-9a-fA-F]{6}")

# What is wrong, where a style is.
_EXPECTED: Final = (
    f"#rrggbb or {', '.join(_NAMED)}, then 'on' and a colour for what is behind,"
    f" and {', '.join(_ATTRIBUTES)}"
)

# How many characters of a name are looked at: no allowed nick has more.
_MAX_NICK_CHARS: Final = 64

# A theme's name is that of a file: it leads to no other folder.
_NAME: Final = re.compile(r"\w[\w-]{0,63}")


class Theme(NamedTuple):
    """What each of `CLASSES` looks like ("" is plain), the nicks' colours, and what is behind."""

    background: str
    nicks: tuple[str, ...]
    styles: Mapping[str, str]

    @property
    def style(self) -> Style:
        """The theme, as prompt_toolkit has it."""
        # Scripts read settings, too, and have no need of what takes long to load.
        from prompt_toolkit.styles import Style  # noqa: PLC0415 # as above

        nicks = self.nicks or ("",)
        # The bar is one of the program's own words too: no reverse video.
        bar = f"noreverse {_in_toolkit(self.styles['bar'])}"
        return Style.from_dict(
            {
                **{f"nick.{n}": f"bold {_in_toolkit(nicks[n % len(nicks)])}" for n in range(NICKS)},
                **{name.replace("-", "."): _in_toolkit(self.styles[name]) for name in CLASSES},
                "bottom-toolbar": bar,
            }
        )


def _theme(background: str, nicks: tuple[str, ...], **styles: str) -> Theme:
    plain = dict.fromkeys(CLASSES, "") | {
        "mention": "bold",
        "match": "reverse",
        "prompt": "bold",
        "bar-current": "bold underline",
        "bar-mention": "bold",
        "bar-trouble": "bold",
    }
    return Theme(background, nicks, MappingProxyType(plain | styles))


# The colours of nicks: neighbours are far apart in hue, and each has the same hue in both lists.
BUILT_IN: Final[Mapping[str, Theme]] = MappingProxyType(
    {
        "dark": _theme(
            "#121212",
            (
                "#ff5f5f",
                "#00afd7",
                "#afaf00",
                "#d75fff",
                "#00af00",
                "#ff87af",
                "#5f87ff",
                "#d78700",
                "#00af87",
                "#ff5fd7",
                "#87d700",
                "#af87ff",
            ),
            time="#949494",
            room="#00afaf",
            system="#949494",
            error="#ff5f5f",
            told="#d787ff",
            marker="#00afaf",
            unsent="#949494",
            quote="#949494",
            bar="#bcbcbc on #262626",
            **{"bar-mention": "#ff5f5f bold", "bar-trouble": "#ff5f5f bold"},
        ),
        "light": _theme(
            "#ffffff",
            (
                "#d70000",
                "#005f87",
                "#5f5f00",
                "#af00d7",
                "#008700",
                "#d7005f",
                "#005fff",
                "#af5f00",
                "#00875f",
                "#af0087",
                "#005f00",
                "#5f00ff",
            ),
            time="#6c6c6c",
            room="#005f87",
            system="#6c6c6c",
            error="#af0000",
            told="#8700af",
            marker="#005f87",
            unsent="#6c6c6c",
            quote="#6c6c6c",
            bar="#444444 on #dadada",
            **{"bar-mention": "#af0000 bold", "bar-trouble": "#af0000 bold"},
        ),
        # Without colours; what is bold stays bold.
        "none": _theme("#000000", ()),
    }
)


def nick_style(nick: str) -> str:
    """The style class of a nick: the same for a person everywhere, whoever looks.

    Python's own hash() differs from run to run; CRC-32 of the folded nick does not.
    """
    key = nick_key(nick) or nick[:_MAX_NICK_CHARS]
    return f"class:nick.{zlib.crc32(key.encode(errors='replace')) % NICKS}"


# ── Themes in files ──────────────────────────────────────────────────────────────────────────


def theme_names() -> tuple[str, ...]:
    """The themes that there are: those that stand here, then those in files."""
    try:
        found = sorted(path.stem for path in _folder().glob("*.toml"))
    except OSError:
        found = []
    return (*BUILT_IN, *(name for name in found if name not in BUILT_IN and _NAME.fullmatch(name)))


def load_theme(name: str) -> Theme:
    """The theme of that name. Raises BadSettings."""
    if name in BUILT_IN:
        return BUILT_IN[name]
    path = _folder() / f"{name}.toml"
    # A name that is too long, or has what no name may have, is none.
    if not _NAME.fullmatch(name) or not path.is_file():
        raise BadSettings(f"there is no theme {name!r}; there are {', '.join(theme_names())}")
    try:
        return _read(read_tables(path))
    except BadSettings as error:
        told = str(error)
        raise BadSettings(told if told.startswith(str(path)) else f"{path}: {told}") from None


def _folder() -> Path:
    return config_path().parent / "themes"


def _read(table: Mapping[str, Any]) -> Theme:
    """A theme by its table. Raises BadSettings."""
    base = table.get("base", "dark")
    if not isinstance(base, str) or base not in BUILT_IN:
        raise BadSettings(f"base can be {' or '.join(BUILT_IN)}")
    background, nicks, styles = BUILT_IN[base]
    styles = {**styles}
    for key, value in table.items():
        match key:
            case "base":
                pass
            case "background":
                if not isinstance(value, str) or not _COLOUR.fullmatch(value):
                    raise BadSettings("background can be a colour, such as #002b36")
                background = value
            case "nicks":
                if not isinstance(value, list) or not 1 <= len(value) <= NICKS:
                    raise BadSettings(f"nicks can be a list of 1 to {NICKS} colours")
                nicks = tuple(_checked("nicks", each) for each in value)
            case _ if key in CLASSES:
                styles[key] = _checked(key, value)
            case _:
                known = ("base", "background", "nicks", *CLASSES)
                near = difflib.get_close_matches(key, known, n=1)
                hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(known)}"
                raise BadSettings(f"there is no key {key!r}; {hint}")
    return Theme(background, nicks, styles)


def _checked(key: str, value: object) -> str:
    words = value.split() if isinstance(value, str) else ["?"]
    for word in words:
        if not (_COLOUR.fullmatch(word) or word in {*_NAMED, *_ATTRIBUTES, "on"}):
            raise BadSettings(f"{key} cannot be {value!r}: take {_EXPECTED}")
    text = " ".join(words)
    front, back = _colours(text)
    is_right = not {*_ATTRIBUTES, "on"} & {*back} and words[-1:] != ["on"]
    if len(front) > 1 or len(back) > 1 or not is_right:
        raise BadSettings(f"{key} cannot be {value!r}: take {_EXPECTED}")
    return text


def _colours(style: str) -> tuple[list[str], list[str]]:
    """The colours of the text, and those behind it."""
    words = style.split()
    back = [word for on, word in pairwise(words) if on == "on"]
    front = [word for on, word in pairwise(["", *words]) if on != "on"]
    return [word for word in front if word not in {*_ATTRIBUTES, "on"}], back


def _in_toolkit(style: str) -> str:
    """A style in prompt_toolkit's words."""
    named = {name: f"ansi{name}" for name in _NAMED}
    words = [named.get(word, word) for word in style.split()]
    return " ".join(words).replace("on ", "bg:")


# ── Contrast ─────────────────────────────────────────────────────────────────────────────────


def contrast(colour: str, other: str) -> float:
    """How far apart in lightness two colours are, from 1 to 21 (WCAG 2.2)."""
    darker, lighter = sorted((_luminance(colour), _luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


def _luminance(colour: str) -> float:
    channels = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (
        value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4
        for value in channels
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def low_contrasts(theme: Theme, background: str = "") -> Iterator[tuple[str, float]]:
    """What is hard to read, and its contrast. Of the terminal's own colours nobody knows."""
    behind_bar = (_colours(theme.styles["bar"])[1] or [theme.background])[0]
    shown = [(f"nicks {n}", colour) for n, colour in enumerate(theme.nicks, start=1)]
    for name, style in (*theme.styles.items(), *shown):
        front, back = _colours(style)
        behind = back[0] if back else background or theme.background
        if name.startswith("bar") and not back:
            behind = behind_bar
        if front and _COLOUR.fullmatch(front[0]) and _COLOUR.fullmatch(behind):
            found = contrast(front[0], behind)
            if found < MIN_CONTRAST:
                yield name, found


def warning(name: str) -> str:
    """The sentence that a theme is hard to read; "" for one that is not. Raises BadSettings."""
    low = list(low_contrasts(load_theme(name)))
    if not low:
        return ""
    worst, found = min(low, key=lambda each: each[1])
    others = f", and {len(low) - 1} more are too low" if len(low) > 1 else ""
    return (
        f"the theme {name} is hard to read: {worst} has a contrast of {found:.1f} to what is behind"
        f" it, where {MIN_CONTRAST} is the least{others}"
    )
