"""What the two console scripts' command lines have in common."""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

DEFAULT_HOST = "127.0.0.1"
DEFAULT_PORT = 7667


class Parser(argparse.ArgumentParser):
    """An ArgumentParser whose complaint is one sentence."""

    def error(self, message: str) -> NoReturn:
        """Say what was wrong and where to look, and exit with 2."""
        self.exit(2, f"{self.prog}: {message} (try {self.prog} --help)\n")


class Print(argparse.Action):
    """A flag that has something printed and ends the program, as --help does.

    `text` gives it, and is told the flag's value; without `choices` there is none.
    """

    def __init__(
        self,
        option_strings: Sequence[str],
        *,
        text: Callable[[str], str],
        choices: Sequence[str] | None = None,
        metavar: str | None = None,
        help: str | None = None,
        **_others: object,  # it has no dest and no default, whatever argparse makes of its name
    ) -> None:
        super().__init__(
            option_strings,
            argparse.SUPPRESS,
            nargs=None if choices else 0,
            default=argparse.SUPPRESS,
            choices=choices,
            metavar=metavar,
            help=help,
        )
        self._text = text

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,  # noqa: ARG002 # argparse gives it
        values: Any,
        option_string: str | None = None,  # noqa: ARG002
    ) -> NoReturn:
        """Print it, and exit with 0."""
        print_text(parser.prog, self._text(values or "") + "\n")
        parser.exit()


def print_text(program: str, text: str) -> None:
    """Write a text to stdout, all of it and in UTF-8; exit with 1 when it cannot be written."""
    try:
        sys.stdout.flush()
        sys.stdout.buffer.write(text.encode())
        sys.stdout.flush()
    except OSError as error:
        discard_stdout()
        if isinstance(error, BrokenPipeError):  # whoever reads has seen enough
            raise SystemExit(1) from None
        die(program, f"cannot write to stdout: {error.strerror}")


def discard_stdout() -> None:
    """Nobody takes what we write any more. Python would complain once more when it flushes."""
    with contextlib.suppress(OSError, AttributeError):  # there is none
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def die(program: str, sentence: str) -> NoReturn:
    """Say what was wrong, and exit with 1."""
    print(f"{program}: {sentence}", file=sys.stderr)
    raise SystemExit(1)


def show_address(host: str, port: int) -> str:
    """HOST:PORT, with brackets around an IPv6 address."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
