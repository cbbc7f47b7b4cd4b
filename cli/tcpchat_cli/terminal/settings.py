"""Every setting of tcpchat-client: one table, from which client.toml, `/set`, completion and the
page of the manual are made.

To add a setting, add a field to `Settings`: its type says what it can be and how `/set` takes and
shows it (`on` and `off`, a number, one of several words, a text, a list with commas), its Meta what
it is for. A table (a dict) is written in the file alone. What has to be looked up to be checked, as
a theme, has a row in `configuration.CHECKS` as well.
"""

from __future__ import annotations

import contextlib
import difflib
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta
from msgspec import inspect as types
from platformdirs import user_config_path, user_state_path

from tcpchat_cli.terminal.address import Address, BadAddress, parse_servers, show_servers
from tcpchat_cli.terminal.kept_files import at_once, write_whole

# The settings that the environment may give as well.
ENVIRONMENT: Final = MappingProxyType(
    {"servers": "TCPCHAT_SERVER", "nick": "TCPCHAT_NICK", "rooms": "TCPCHAT_ROOM"}
)

# What settings were called before, or can be called as well. (`keys` is a table of its own, too.)
OTHER_NAMES: Final = MappingProxyType(
    {"server": "servers", "room": "rooms", "keys": "editing", "bell": "notify"}
)

# What else a setting can be written as: the bell was on or off.
_OTHER_VALUES: Final[Mapping[str, Mapping[object, str]]] = MappingProxyType(
    {"notify": {True: "bell", "on": "bell", False: "off"}}
)

# A hundred servers: a host name has at most 253 characters, and a port five.
_MAX_SERVERS_CHARS: Final = 100 * 260

# Of a setting that says where one comes in, and as whom: a change holds from the next start.
_AT_START: Final = {"at_start": True}


class BadSettings(Exception):
    """The settings make no sense, or cannot be kept. The text is one sentence for people."""


class Settings(msgspec.Struct, kw_only=True):
    """Every key of client.toml, with what holds without it. Empty is asked for, or left open."""

    servers: Annotated[
        tuple[str, ...],
        Meta(
            description="the server, or several of one cluster: the first that answers is used",
            extra=_AT_START,
        ),
    ] = ()
    nick: Annotated[str, Meta(description="your nickname, as a guest", extra=_AT_START)] = ""
    rooms: Annotated[
        tuple[str, ...],
        Meta(description="the rooms to join; the first is the one you look at", extra=_AT_START),
    ] = ()
    tls: Annotated[
        bool,
        Meta(description="whether to encrypt; the server has to do so too", extra=_AT_START),
    ] = False
    ca: Annotated[
        str, Meta(description="a PEM file of certificates that are trusted", extra=_AT_START)
    ] = ""
    theme: Annotated[
        str,
        Meta(
            description="the colours: dark or light, as the background is; none; or a file's name"
            " in the folder themes"
        ),
    ] = "dark"
    timestamps: Annotated[bool, Meta(description="whether each line begins with its time")] = True
    highlight: Annotated[
        tuple[str, ...],
        Meta(description="words and phrases that call you, as your nick always does"),
    ] = ()
    notify: Annotated[
        Literal["auto", "off", "bell", "osc9", "osc777", "osc99"],
        Meta(
            description="how you are told that you are called while you look elsewhere: by the"
            " bell, or by a notification of the desktop that your terminal makes of a sequence"
        ),
    ] = "auto"
    notify_text: Annotated[
        bool, Meta(description="whether a notification has the text of the message in it")
    ] = False
    title: Annotated[
        bool,
        Meta(description="whether the title of the window says where you are, and what is new"),
    ] = True
    on_mention: Annotated[
        str | tuple[str, ...],
        Meta(description="a program that is run when you are called in a room"),
    ] = ()
    on_direct: Annotated[
        str | tuple[str, ...],
        Meta(description="a program that is run when somebody writes to you alone"),
    ] = ()
    on_message: Annotated[
        str | tuple[str, ...],
        Meta(description="a program that is run when somebody says something in a room"),
    ] = ()
    fold: Annotated[
        bool,
        Meta(description="whether those who come and go in crowds are told in one line"),
    ] = True
    full_screen: Annotated[
        bool,
        Meta(
            description="whether all of the screen is taken, with panes at the sides",
            extra=_AT_START,
        ),
    ] = False
    plain_ui: Annotated[
        bool,
        Meta(
            description="whether lines are only added, each once and whole, as screen readers"
            " need it",
            extra=_AT_START,
        ),
    ] = False
    editing: Annotated[
        Literal["emacs", "vi"], Meta(description="how the line that is being typed is edited")
    ] = "emacs"
    away: Annotated[
        int,
        Meta(
            description="after how many seconds without a key what is new is marked; 0 never",
            ge=0,
            le=31_536_000,  # a year
        ),
    ] = 300
    keys: Annotated[
        dict[str, str | tuple[str, ...]],
        Meta(description="what keys do: a table of actions, each with its key or a list of keys"),
    ] = msgspec.field(default_factory=dict)
    log: Annotated[
        bool, Meta(description="whether what is shown goes to files as well, one for each view")
    ] = False
    log_folder: Annotated[
        str, Meta(description="the folder of these files; the system's own for logs without it")
    ] = ""
    links: Annotated[
        Literal["auto", "on", "off"],
        Meta(
            description="whether addresses are links of the terminal; auto is where it is known to"
            " have some"
        ),
    ] = "auto"
    open: Annotated[
        tuple[str, ...],
        Meta(
            description="the program that /open runs, with its arguments, {} for the address, such"
            ' as ["firefox", "{}"]; the platform\'s if there is none'
        ),
    ] = ()
    ask_widths: Annotated[
        bool,
        Meta(
            description="whether the terminal is asked at the start how wide it shows what"
            " terminals disagree about"
        ),
    ] = True


FIELDS: Final = MappingProxyType({each.name: each for each in msgspec.structs.fields(Settings)})


def config_path() -> Path:
    """Where client.toml lies."""
    return user_config_path("tcpchat", appauthor=False) / "client.toml"


# ── What a setting is ────────────────────────────────────────────────────────────────────────


def _kind(name: str) -> types.Type:
    kind = _KINDS[name]
    return kind.type if isinstance(kind, types.Metadata) else kind


def _struct() -> types.StructType:
    struct = types.type_info(Settings)
    assert isinstance(struct, types.StructType)  # noqa: S101 # it is one: mypy cannot know
    return struct


_KINDS: Final = MappingProxyType({field.name: field.type for field in _struct().fields})

# Those that a line can change; a table has too much in it.
CHANGEABLE: Final = tuple(name for name in FIELDS if not isinstance(_kind(name), types.DictType))


def description(name: str) -> str:
    """What a setting is for."""
    kind = _KINDS[name]
    schema = kind.extra_json_schema if isinstance(kind, types.Metadata) else None
    return str((schema or {})["description"])


def is_at_start(name: str) -> bool:
    """Whether a change holds from the next start on, and not at once."""
    kind = _KINDS[name]
    extra = kind.extra if isinstance(kind, types.Metadata) else None
    return bool(extra and extra.get("at_start"))


def words(name: str) -> tuple[str, ...]:
    """The words that a setting can be, where there are a few."""
    match _kind(name):
        case types.BoolType():
            return ("on", "off")
        case types.LiteralType(values=values):
            return tuple(map(str, values))
        case _:
            return ()


def default(name: str) -> object:
    """What holds where nothing else is said."""
    return getattr(Settings(), name)


def find(name: str) -> str:
    """The setting that a person means by a name. Raises BadSettings."""
    meant = OTHER_NAMES.get(name, name)
    if meant in CHANGEABLE:
        return meant
    if meant in FIELDS:
        raise BadSettings(f"{name} is a table: write it in {config_path()}")
    raise BadSettings(f"there is no setting {name}; {_hint(name, CHANGEABLE, '/set lists them')}")


def find_key(key: str, value: object) -> str:
    """The setting that a key of the file is. Raises BadSettings."""
    name = OTHER_NAMES.get(key, key) if key not in FIELDS or isinstance(value, str) else key
    if name not in FIELDS:
        hint = _hint(key, tuple(FIELDS), f"there are {', '.join(FIELDS)}")
        raise BadSettings(f"there is no key {key!r}; {hint}")
    return name


def _hint(name: str, names: tuple[str, ...], otherwise: str) -> str:
    """The one of the names that may be meant by a name that is none."""
    near = difflib.get_close_matches(name.lower()[:24], names, n=1)
    return f"did you mean {near[0]}?" if near else otherwise


# ── What it is set to ────────────────────────────────────────────────────────────────────────

_SWITCH: Final = MappingProxyType({"on": True, "true": True, "off": False, "false": False})


def parse(name: str, typed: str) -> object:
    """The value that somebody typed. Raises BadSettings."""
    value: object = typed
    match _kind(name):
        case types.BoolType():
            value = _SWITCH.get(typed.lower())
        case types.IntType() if typed.isascii() and typed.isdecimal() and len(typed) < 20:
            value = int(typed)
        case _:
            pass
    return _of_type(name, value, expected(name))


def from_file(name: str, value: object) -> object:
    """The value that a key of the file has. Raises BadSettings."""
    is_switch = isinstance(_kind(name), types.BoolType)
    return _of_type(name, value, "true or false" if is_switch else expected(name))


def _of_type(name: str, value: object, can_be: str) -> object:
    """A value, of the type that its setting has. Raises BadSettings."""
    if name in _OTHER_VALUES and isinstance(value, bool | str):
        value = _OTHER_VALUES[name].get(value, value)
    if isinstance(_kind(name), types.VarTupleType) and isinstance(value, str):
        value = tuple(filter(None, map(str.strip, value.split(","))))
    try:
        return getattr(msgspec.convert({name: value}, Settings), name)
    except msgspec.ValidationError:
        raise BadSettings(f"{name} can be {can_be}") from None


def expected(name: str) -> str:
    """What a setting can be, for people."""
    match _kind(name):
        case types.IntType(ge=low, le=high):
            return f"a whole number from {low} to {high}"
        case types.VarTupleType():
            return "a list, such as one, two"
        case types.DictType():
            return "a table"
        case _:
            return " or ".join(words(name)) or "a text"


def show(value: object) -> str:
    """A value as one would type it."""
    match value:
        case bool():
            return "on" if value else "off"
        case tuple():
            return ", ".join(map(str, value))
        case dict():
            return ", ".join(f"{key} = {show(each)}" for key, each in value.items())
        case _:
            return str(value)


# ── The servers that were used last ──────────────────────────────────────────────────────────


def _last_server_path() -> Path:
    return user_state_path("tcpchat", appauthor=False) / "last-server"


def last_servers() -> tuple[Address, ...]:
    """What was named the last time, to be offered again; the default when nothing was."""
    try:
        with open(_last_server_path(), encoding="utf-8", opener=at_once) as file:
            return parse_servers(file.read(_MAX_SERVERS_CHARS))
    except (OSError, UnicodeDecodeError, BadAddress):
        return (Address(),)


def remember_servers(servers: tuple[Address, ...]) -> None:
    """Offer these servers the next time. Where nothing can be kept, nothing is kept."""
    with contextlib.suppress(OSError):
        write_whole(_last_server_path(), f"{show_servers(servers)}\n")
