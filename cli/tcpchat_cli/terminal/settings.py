"""What a person sets: on the command line, in the environment, in client.toml, in this order.

The file lies where the platform keeps a user's configuration, on Linux in
`~/.config/tcpchat/client.toml`. It is typed, and a key that we do not know is refused by its
name: a typing mistake is not to be found out by wondering.
"""

from __future__ import annotations

import contextlib
import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta
from platformdirs import user_config_path, user_state_path

from tcpchat_cli.terminal.address import Address, BadAddress, parse_servers, show_servers

# The keys that the environment may give as well.
ENVIRONMENT: Final = {
    "server": "TCPCHAT_SERVER",
    "nick": "TCPCHAT_NICK",
    "room": "TCPCHAT_ROOM",
}

# A hundred servers: a host name has at most 253 characters, and a port five.
_MAX_SERVERS_CHARS: Final = 100 * 260


class BadSettings(Exception):
    """The settings make no sense. The text is one sentence for people."""


class Settings(msgspec.Struct, kw_only=True):
    """Every key of client.toml, with what holds without it. "" is asked for, or left open."""

    server: Annotated[str, Meta(description="the servers, as on the command line")] = ""
    nick: Annotated[str, Meta(description="your nickname, as a guest")] = ""
    room: Annotated[str, Meta(description="the room to join")] = ""
    theme: Annotated[
        Literal["dark", "light", "none"],
        Meta(description="colours for a dark background, for a light one, or none at all"),
    ] = "dark"
    timestamps: Annotated[bool, Meta(description="whether each line begins with its time")] = True
    bell: Annotated[
        bool,
        Meta(description="whether the bell rings when your nick is said, or you are written to"),
    ] = True
    fold: Annotated[
        bool,
        Meta(description="whether those who come and go in crowds are told in one line"),
    ] = True
    keys: Annotated[
        Literal["emacs", "vi"], Meta(description="how the line that is being typed is edited")
    ] = "emacs"
    away: Annotated[
        int, Meta(description="after how many seconds without a key what is new is marked; 0 never")
    ] = 300
    links: Annotated[
        Literal["auto", "on", "off"],
        Meta(
            description="whether addresses are links of the terminal; auto is where it is known to"
            " have some"
        ),
    ] = "auto"


def config_path() -> Path:
    """Where client.toml lies."""
    return user_config_path("tcpchat", appauthor=False) / "client.toml"


def load_settings(given: Mapping[str, str], environment: Mapping[str, str]) -> Settings:
    """The settings; `given` is what the command line says ("" for nothing). Raises BadSettings."""
    settings = _from_file(config_path())
    for key, name in ENVIRONMENT.items():
        if value := given[key] or environment.get(name, ""):
            setattr(settings, key, value)
    return settings


def _from_file(path: Path) -> Settings:
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return Settings()
    except OSError as error:
        raise BadSettings(f"cannot read {path}: {os.strerror(error.errno or 0).lower()}") from None
    except UnicodeDecodeError:
        raise BadSettings(f"{path} is not UTF-8 text") from None
    except tomllib.TOMLDecodeError as error:
        raise BadSettings(f"{path} is not TOML: {error}") from None
    known = Settings.__struct_fields__
    for key in table:
        if key not in known:
            raise BadSettings(f"{path}: there is no key {key!r}; there are {', '.join(known)}")
    try:
        return msgspec.convert(table, Settings)
    except msgspec.ValidationError as error:
        raise BadSettings(f"{path}: {error}") from None


# ── The servers that were used last ──────────────────────────────────────────────────────────


def _last_server_path() -> Path:
    return user_state_path("tcpchat", appauthor=False) / "last-server"


def last_servers() -> tuple[Address, ...]:
    """What was named the last time, to be offered again; the default when nothing was."""
    try:
        with _last_server_path().open(encoding="utf-8") as file:
            return parse_servers(file.read(_MAX_SERVERS_CHARS))
    except (OSError, UnicodeDecodeError, BadAddress):
        return (Address(),)


def remember_servers(servers: tuple[Address, ...]) -> None:
    """Offer these servers the next time. Where nothing can be kept, nothing is kept."""
    path = _last_server_path()
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{show_servers(servers)}\n", encoding="utf-8")


# ── What /set can change ─────────────────────────────────────────────────────────────────────

# The settings that a conversation reads while it goes on, and what each may be.
CHANGEABLE: Final = {
    "theme": ("dark", "light", "none"),
    "timestamps": ("on", "off"),
    "bell": ("on", "off"),
    "fold": ("on", "off"),
    "keys": ("emacs", "vi"),
    "away": ("SECONDS",),
    "links": ("auto", "on", "off"),
}


def change(settings: Settings, name: str, value: str) -> None:
    """Set one of them to what was typed. Raises BadSettings."""
    _check_name(name)
    is_switch = CHANGEABLE[name] == ("on", "off")
    typed = {"on": "true", "off": "false"}.get(value, value) if is_switch else value
    try:
        table = msgspec.convert({name: typed}, Settings, strict=False)
    except msgspec.ValidationError:
        raise BadSettings(f"{name} can be {' or '.join(CHANGEABLE[name])}") from None
    setattr(settings, name, getattr(table, name))


def shown(settings: Settings, name: str) -> str:
    """A setting as one would type it. Raises BadSettings."""
    _check_name(name)
    value = getattr(settings, name)
    return (
        {True: "on", False: "off"}.get(value, str(value)) if isinstance(value, bool) else str(value)
    )


def _check_name(name: str) -> None:
    if name not in CHANGEABLE:
        raise BadSettings(f"there is no setting {name}; there are {', '.join(CHANGEABLE)}")
