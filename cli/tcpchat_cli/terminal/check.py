"""--check-config: what holds and what gives it, as a file to be saved; and all that is wrong."""

from __future__ import annotations

import sys

import tomlkit

from tcpchat_cli.arguments import print_text
from tcpchat_cli.terminal.configuration import Configuration
from tcpchat_cli.terminal.settings import FIELDS

# Where what gives a value stands, unless the value is longer.
_MAX_COLUMN = 48


def check(program: str, configuration: Configuration, problems: list[str]) -> int:
    """Print what holds, and on stderr what is wrong; return the exit status.

    `problems` are those that are not the configuration's own.
    """
    problems = [*configuration.problems, *problems]
    if not problems:
        print_text(program, as_file(configuration))
    warnings = configuration.warnings() if not configuration.problems else []
    for sentence in (*warnings, *problems):
        print(f"{program}: {sentence}", file=sys.stderr)
    return 1 if problems else 0


def as_file(configuration: Configuration) -> str:
    """The settings as a client.toml, with what gives each."""
    lines = {name: _line(name, getattr(configuration.settings, name)) for name in FIELDS}
    width = max(len(line) for line in lines.values() if len(line) <= _MAX_COLUMN)
    return "".join(
        f"{line:<{width}}  # {configuration.origin(name) or 'default'}\n"
        for name, line in lines.items()
    )


def _line(name: str, value: object) -> str:
    if isinstance(value, dict):
        table = tomlkit.inline_table()
        table.update(value)
        value = table
    return tomlkit.dumps({name: value}).rstrip()
