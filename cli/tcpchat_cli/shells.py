"""Completion of a command line in shells.

`shtab` makes it from the parser itself. What argparse does not know is what a value is the name of:
here FILE and DIR say so wherever they stand for one.
"""

from __future__ import annotations

import argparse
from copy import copy
from typing import Final

import shtab

SHELLS: Final = ("bash", "zsh", "fish")

_NAMES: Final = {"FILE": shtab.FILE, "DIR": shtab.DIRECTORY}

# What nobody can complete. Without the empty list, zsh would say what has to stand there instead of
# completing a flag that may stand there, too.
_ANYTHING: Final = {"zsh": "()"}


def completion(parser: argparse.ArgumentParser, shell: str) -> str:
    """The script that has a shell complete what the parser takes."""
    _name_files(parser)
    _tell_apart(parser)
    return shtab.complete(parser, shell)


def _name_files(parser: argparse.ArgumentParser) -> None:
    for action in parser._actions:  # noqa: SLF001 # argparse tells them to nobody otherwise
        if isinstance(action.metavar, str) and action.metavar in _NAMES:
            action.complete = _NAMES[action.metavar]  # type: ignore[attr-defined] # it is shtab's
        elif not action.option_strings and not action.choices:
            action.complete = _ANYTHING  # type: ignore[attr-defined] # as above
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001 # as above
            for each in action.choices.values():
                _name_files(each)


def _tell_apart(parser: argparse.ArgumentParser) -> None:
    """A flag with an opposite is two to a shell: the opposite does not do what the flag does."""
    actions: list[argparse.Action] = []
    for action in parser._actions:  # noqa: SLF001 # as above
        actions.append(action)
        if isinstance(action, argparse.BooleanOptionalAction):
            flag, opposite = action.option_strings
            action.option_strings = [flag]
            actions.append(negative := copy(action))
            negative.option_strings = [opposite]
            negative.help = f"the opposite of {flag}"
    parser._actions[:] = actions  # noqa: SLF001 # as above
