"""Colours: what tells nicks, rooms and the program's own voice apart."""

from __future__ import annotations

import zlib
from typing import Final

from prompt_toolkit.styles import Style

from tcpchat_core.names import nick_key

# Colours of the 256 that every terminal has, whose contrast (WCAG 2.2) is at least 3.7 both on
# black and on white. Neighbours in the list are far apart in hue.
NICK_COLOURS: Final = (
    "#d70000",
    "#0087af",
    "#878700",
    "#af00ff",
    "#008700",
    "#d7005f",
    "#005fff",
    "#af5f00",
    "#00875f",
    "#d700af",
    "#5f8700",
    "#875fff",
)

# How many characters of a name are looked at: no allowed nick has more.
_MAX_NICK_CHARS: Final = 64


def _style(*, dim: str, room: str, told: str, error: str, bar: str) -> Style:
    return Style.from_dict(
        {
            **{f"nick.{number}": f"bold {colour}" for number, colour in enumerate(NICK_COLOURS)},
            "time": dim,
            "room": room,
            "system": dim,
            "error": error,
            "told": told,
            "mention": "bold",
            "marker": room,
            "unsent": dim,
            "prompt": "bold",
            # The bar is one of the program's own words too: no reverse video.
            "bottom-toolbar": f"noreverse {bar}",
            "bar.current": "bold underline",
            "bar.mention": f"bold {error}",
            "bar.trouble": f"bold {error}",
        }
    )


THEMES: Final = {
    "dark": _style(
        dim="#949494", room="#00afaf", told="#d787ff", error="#ff5f5f", bar="#bcbcbc bg:#262626"
    ),
    "light": _style(
        dim="#6c6c6c", room="#005f87", told="#8700af", error="#af0000", bar="#444444 bg:#dadada"
    ),
    # Without colours; what is bold stays bold.
    "none": _style(dim="", room="", told="", error="", bar=""),
}


def nick_style(nick: str) -> str:
    """The style class of a nick: the same for a person everywhere, whoever looks.

    Python's own hash() differs from run to run; CRC-32 of the folded nick does not.
    """
    key = nick_key(nick) or nick[:_MAX_NICK_CHARS]
    return f"class:nick.{zlib.crc32(key.encode()) % len(NICK_COLOURS)}"
