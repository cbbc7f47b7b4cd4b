"""What a console script tells of itself for a report of a bug: its version, and what it runs on."""

from __future__ import annotations

import platform
import subprocess
from collections.abc import Callable, Iterable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from tcpchat_core import VERSION

# One line: what, and which.
Fact = tuple[str, str]

_ROOT = Path(__file__).parents[2]


def about(program: str, facts: Callable[[], Iterable[Fact]]) -> str:
    """The version, in a line of its own; then what it runs on, and what else there is."""
    told = [*_commit(), ("python", _python()), *facts()]
    return "\n".join([f"{program} {VERSION}", *(f"{what:<14} {which}" for what, which in told)])


def packages(*names: str) -> list[Fact]:
    """The versions of those of these distributions that are installed."""
    found = []
    for name in names:
        try:
            found.append((name, version(name)))
        except PackageNotFoundError:
            continue
    return found


def _python() -> str:
    return f"{platform.python_implementation()} {platform.python_version()}, {platform.platform()}"


def _commit() -> list[Fact]:
    """What is checked out, when it runs from a clone; a release is named by its version."""
    if not (_ROOT / ".git").exists():
        return []
    try:
        done = subprocess.run(  # noqa: S603 # nothing in it is from outside
            ["git", "-C", _ROOT, "describe", "--always", "--dirty"],  # noqa: S607 # the user's own
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return []
    return [("commit", done.stdout.strip())]
