"""What the two console scripts' command lines have in common."""

from __future__ import annotations

import argparse
import sys
from typing import NoReturn

DEFAULT_HOST = "127.0.0.1"
DEFAULT_PORT = 7667


class Parser(argparse.ArgumentParser):
    """An ArgumentParser whose complaint is one sentence."""

    def error(self, message: str) -> NoReturn:
        """Say what was wrong and where to look, and exit with 2."""
        self.exit(2, f"{self.prog}: {message} (try {self.prog} --help)\n")


def die(program: str, sentence: str) -> NoReturn:
    """Say what was wrong, and exit with 1."""
    print(f"{program}: {sentence}", file=sys.stderr)
    raise SystemExit(1)


def show_address(host: str, port: int) -> str:
    """HOST:PORT, with brackets around an IPv6 address."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
