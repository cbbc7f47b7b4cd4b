"""docs/operating.md lists the flags that the server has, with their defaults."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from tests.docs.pages import read, sections, table

FLAGS = {
    row[0].strip("`").split()[0]: row
    for row in table(sections(read("docs/operating.md"), 2)["Flags"])
}


def _help() -> str:
    server = Path(sys.executable).with_name("tcpchat-server")
    shown = subprocess.run([server, "--help"], capture_output=True, text=True, check=True)
    return shown.stdout


def test_the_flags_of_the_page_are_the_servers() -> None:
    existing = set(re.findall(r"^  (?:-\w, )?(--[\w-]+)", _help(), flags=re.MULTILINE))
    missing, extra = existing - FLAGS.keys(), FLAGS.keys() - existing
    assert not missing, f"docs/operating.md, Flags: add {', '.join(sorted(missing))}"
    assert not extra, f"docs/operating.md, Flags: there is no {', '.join(sorted(extra))}"


def test_the_defaults_of_the_page_are_the_servers() -> None:
    # The help of a flag runs to the next flag; its default stands in brackets at its end.
    for text in re.split(r"^  (?=-)", _help(), flags=re.MULTILINE)[1:]:
        [flag] = re.findall(r"--[\w-]+", text)[:1]
        if default := re.search(r"\((\S+)\)\s*$", text):
            assert FLAGS[flag][1] == f"`{default[1]}`", f"docs/operating.md, Flags: {flag}"
