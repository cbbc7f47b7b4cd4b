"""What holds, and what gives it: the command line, a profile, the environment, client.toml.

Each of these wins over those behind it. A profile is a table of client.toml that the command line
names: `tcpchat-client work` takes `[profiles.work]`, so it wins over the environment as well.

What is set while one talks holds at once and is kept in client.toml: in the profile, if it has that
key already or the setting says where one comes in; otherwise for all.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, TypeAlias

from tcpchat_cli.terminal import settings
from tcpchat_cli.terminal.address import BadAddress, parse_servers
from tcpchat_cli.terminal.client_toml import Table, change_file, read_tables
from tcpchat_cli.terminal.highlights import check_words
from tcpchat_cli.terminal.hooks import HAPPENINGS, parse_hook
from tcpchat_cli.terminal.logs import check_folder
from tcpchat_cli.terminal.settings import (
    CHANGEABLE,
    ENVIRONMENT,
    FIELDS,
    OTHER_NAMES,
    BadSettings,
    Settings,
    config_path,
)
from tcpchat_cli.terminal.theme import load_theme, theme_names, warning

# The table of client.toml that holds the profiles.
PROFILES: Final = "profiles"

# What makes an address of a name: HOST:PORT is never taken for a profile.
_NOT_IN_PROFILES: Final = frozenset(":,[] \t")

# What gives a setting, for people. (A variable of the environment has its own name.)
_FILE: Final = "client.toml"
_COMMAND_LINE: Final = "the command line"
_THIS_RUN: Final = "this run"  # it could not be kept

# By what gives them: the settings that are given so. The last one wins.
Sources: TypeAlias = dict[str, dict[str, Any]]


class Configuration:
    """What holds in this run; `problems` are sentences that say what was wrong and is left out."""

    def __init__(
        self,
        path: Path,
        sources: Sources | None = None,
        *,
        profile: str = "",
        profiles: Sequence[str] = (),
        problems: Sequence[str] = (),
    ) -> None:
        self.path = path
        self.profile = profile
        self.profiles = tuple(profiles)
        self.problems = tuple(problems)
        self.settings = Settings()
        self._sources: Sources = {_FILE: {}, **(sources or {}), _THIS_RUN: {}}
        for name in FIELDS:
            self._take(name)

    def complain(self) -> None:
        """Raise BadSettings for the first problem, if there is any."""
        for problem in self.problems:
            raise BadSettings(problem)

    def near_profile(self, name: str) -> str:
        """The profile that may be meant by a name that is none; "" for none."""
        near = difflib.get_close_matches(name, self.profiles, n=1)
        return near[0] if near and name != self.profile else ""

    def warnings(self) -> list[str]:
        """What is unwise of what holds, each in a sentence."""
        told = [tell(getattr(self.settings, name)) for name, tell in WARNINGS.items()]
        return list(filter(None, told))

    def adopt(self, values: Mapping[str, Any]) -> None:
        """The file has been made, with these in it."""
        self._sources[_FILE] |= {name: value for name, value in values.items() if value}
        for name in values:
            self._take(name)

    def origin(self, name: str) -> str:
        """What gives a setting, for people; "" where nothing does."""
        return next((each for each in reversed(self._sources) if name in self._sources[each]), "")

    def _take(self, name: str) -> None:
        """Have a setting be what the sources say."""
        values = self._sources.get(self.origin(name), {})
        setattr(self.settings, name, values.get(name, settings.default(name)))

    # ── /set and /unset ──────────────────────────────────────────────────────────────────────

    def listed(self) -> list[str]:
        """All settings, each with what gives it where that is not the default."""
        return [self.shown(name) for name in CHANGEABLE]

    def shown(self, name: str) -> str:
        """What a setting is, in a sentence. Raises BadSettings."""
        name = settings.find(name)
        value = settings.show(getattr(self.settings, name)) or "not set"
        origin = self.origin(name)
        return f"{name} is {value} (from {origin})" if origin else f"{name} is {value}"

    def set(self, name: str, typed: str) -> str:
        """Set what was typed, and keep it; the sentence that tells it. Raises BadSettings.

        Where it cannot be kept, that is told as well, and it holds for this run.
        """
        name = settings.find(name)
        value = settings.parse(name, typed)
        check(name, value)
        try:
            source = self._change_file(name, value)
        except BadSettings as error:
            if settings.is_at_start(name):  # this run has started
                raise
            self._sources[_THIS_RUN][name] = value
            self._take(name)
            shown = settings.show(value)
            raise BadSettings(f"{name} is {shown} as long as this runs: {error}") from None
        self._sources[_THIS_RUN].pop(name, None)
        self._sources[source][name] = value
        self._take(name)
        kept = "" if source == _FILE else f" in {source}"
        later = " from the next start on" if settings.is_at_start(name) else ""
        warned = WARNINGS[name](value) if name in WARNINGS else ""
        above = self._above(name, source)
        return f"{name} is {settings.show(value)}{kept}{later}{above}{warned and f'; {warned}'}"

    def unset(self, name: str) -> str:
        """Take a setting out of the file; the sentence that tells it. Raises BadSettings."""
        name = settings.find(name)
        source = self._change_file(name, None)
        for given in (_THIS_RUN, source):
            self._sources[given].pop(name, None)
        self._take(name)
        later = " from the next start on" if settings.is_at_start(name) else ""
        return f"{self.shown(name)}{later}"

    def _change_file(self, name: str, value: object) -> str:
        """Give a setting a value in the file, None for none; the source that it stands in then."""
        source = _FILE

        def edit(tables: Table) -> None:
            nonlocal source
            table, source = tables, _FILE
            profile = tables.get(PROFILES, {}).get(self.profile, {}) if self.profile else {}
            is_profiles = value is not None and settings.is_at_start(name)
            if _key(profile, name) in profile or (self.profile and is_profiles):
                table, source = profile, _source(self.profile)
            key = _key(table, name)
            if value is None:
                table.pop(key, None)
            else:
                table[key] = list(value) if isinstance(value, tuple) else value

        change_file(self.path, edit, name)
        return source

    def _above(self, name: str, source: str) -> str:
        """That something wins over what was kept, if anything does."""
        origin = self.origin(name)
        return "" if origin == source else f"; but {origin} gives it as well, and wins"


def _source(profile: str) -> str:
    return f"the profile {profile}"


def _key(table: Mapping[str, Any], name: str) -> str:
    """What the table calls a setting."""
    others = (other for other, meant in OTHER_NAMES.items() if meant == name and other in table)
    return next((key for key in others if settings.find_key(key, table[key]) == name), name)


# ── Loading ──────────────────────────────────────────────────────────────────────────────────


def load(
    given: Mapping[str, object], environment: Mapping[str, str], *, server: str = ""
) -> Configuration:
    """What holds, by the command line and the environment.

    `server` is what stands in the command line as such: the name of a profile, or addresses.
    What is wrong is in `problems`, and does not hold.
    """
    problems: list[str] = []
    path = config_path()
    try:
        tables = read_tables(path)
    except BadSettings as error:
        tables = {}
        problems.append(str(error))
    profiles, wrong = _profiles(path, tables.pop(PROFILES, {}))
    problems += wrong
    sources: Sources = {_FILE: _values(str(path), tables, problems)}
    for name, variable in ENVIRONMENT.items():
        if typed := environment.get(variable):
            sources[variable] = _typed(name, typed, variable, problems)
    profile = ""
    if server in profiles:
        profile = server
        where = f"{path}: [{PROFILES}.{profile}]"
        sources[_source(profile)] = _values(where, profiles[profile], problems)
    sources[_COMMAND_LINE] = {**given}
    if server and not profile:
        sources[_COMMAND_LINE] |= _typed("servers", server, _COMMAND_LINE, problems)
    return Configuration(
        path, sources, profile=profile, profiles=tuple(profiles), problems=problems
    )


def _profiles(path: Path, tables: object) -> tuple[dict[str, dict[str, Any]], list[str]]:
    """The profiles that can be used, and what is wrong with the others."""
    if not isinstance(tables, dict):
        return {}, [f"{path}: {PROFILES} has to hold tables, such as [{PROFILES}.work]"]
    profiles: dict[str, dict[str, Any]] = {}
    problems = []
    for name, table in tables.items():
        if not isinstance(table, dict):
            problems.append(f"{path}: {PROFILES}.{name} has to be a table")
        elif not name or name.startswith("-") or not _NOT_IN_PROFILES.isdisjoint(name):
            problems.append(
                f"{path}: {name!r} is no name for a profile: take letters, digits and hyphens"
            )
        else:
            profiles[name] = table
    return profiles, problems


def _values(where: str, table: Mapping[str, Any], problems: list[str]) -> dict[str, Any]:
    """The settings that a table gives; what is wrong is told, and left out."""
    values: dict[str, Any] = {}
    for key, value in table.items():
        try:
            name = _new_name(key, value, values)
            values[name] = settings.from_file(name, value)
            check(name, values[name])
        except BadSettings as error:
            problems.append(f"{where}: {error}")
    return values


def _new_name(key: str, value: object, values: Mapping[str, Any]) -> str:
    name = settings.find_key(key, value)
    if name in values:
        raise BadSettings(f"{name} stands there twice, once by its other name: take one of them")
    return name


def _typed(name: str, typed: str, where: str, problems: list[str]) -> dict[str, Any]:
    try:
        value = settings.parse(name, typed)
        check(name, value)
    except BadSettings as error:
        problems.append(f"{where}: {error}")
        return {}
    return {name: value}


# ── What has to be looked up to be checked ───────────────────────────────────────────────────


def _check_servers(value: Any) -> None:
    try:
        if value:
            parse_servers(",".join(value))
    except BadAddress as error:
        raise BadSettings(f"servers: {error}") from None


def _check_keys(value: Any) -> None:
    if value:
        # Scripts read settings, too, and have no need of what takes long to load.
        from tcpchat_cli.terminal.key_settings import keys_with  # noqa: PLC0415 # as above

        keys_with(value)


def check(name: str, value: object) -> None:
    """Look a value up, where that is needed. Raises BadSettings."""
    if name in CHECKS:
        CHECKS[name](value)


def words_of(name: str) -> tuple[str, ...]:
    """What a setting can be completed to; nothing where there is no such setting."""
    try:
        found = settings.find(name)
        return _WORDS[found]() if found in _WORDS else settings.words(found)
    except BadSettings:
        return ()


# Each raises BadSettings.
CHECKS: Final[Mapping[str, Callable[[Any], object]]] = MappingProxyType(
    {
        "servers": _check_servers,
        "theme": load_theme,
        "log_folder": check_folder,
        "keys": _check_keys,
        "highlight": check_words,
        **{name: partial(parse_hook, name) for name in HAPPENINGS},
    }
)

# Each gives a sentence that says what is unwise about what is right; "" for nothing.
WARNINGS: Final[Mapping[str, Callable[[Any], str]]] = MappingProxyType({"theme": warning})

# Each gives the words that a setting can be completed to.
_WORDS: Final[Mapping[str, Callable[[], tuple[str, ...]]]] = MappingProxyType(
    {"theme": theme_names}
)
