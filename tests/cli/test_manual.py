"""The pages of the manual: man and mandoc find nothing wrong in them, and all is in them that there
is.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from tcpchat_cli import manual
from tcpchat_cli.settings import TABLE
from tcpchat_cli.terminal.commands import LOCAL_COMMANDS
from tcpchat_cli.terminal.exits import MEANINGS
from tcpchat_cli.terminal.scripts import TOOLS as SCRIPT_TOOLS
from tcpchat_cli.terminal.settings import Settings
from tcpchat_cli.tools import TOOLS

from tcpchat_core import COMMANDS
from tests.cli.conftest import has_to_be_here
from tests.cli.terminal import CLIENT, LIMIT_SECONDS, SERVER
from tests.cli.test_shells import printed

PAGES = {
    "tcpchat-server.1": (SERVER, "--print-man", "1"),
    "tcpchat-server.toml.5": (SERVER, "--print-man", "5"),
    "tcpchat-client.1": (CLIENT, "--print-man"),
}


@pytest.fixture(params=PAGES)
def page(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A page as it is installed."""
    path = tmp_path / str(request.param)
    path.write_text(printed(*PAGES[path.name]))
    return path


def shown(page: Path) -> str:
    """A page as one reads it."""
    done = subprocess.run(
        ["mandoc", "-T", "utf8", "-O", "width=300", page],
        capture_output=True,
        text=True,
        timeout=LIMIT_SECONDS,
        check=True,
    )
    return re.sub(".\b", "", done.stdout)  # without what makes it bold


def test_mandoc_finds_nothing_wrong_in_a_page(page: Path) -> None:
    has_to_be_here(shutil.which("mandoc"), "mandoc")
    done = subprocess.run(
        ["mandoc", "-T", "lint", page],
        capture_output=True,
        text=True,
        timeout=LIMIT_SECONDS,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_man_finds_nothing_wrong_in_a_page(page: Path) -> None:
    has_to_be_here(shutil.which("man"), "man")
    done = subprocess.run(
        ["man", "--warnings", "-E", "UTF-8", "-l", page],
        capture_output=True,
        text=True,
        timeout=LIMIT_SECONDS,
        check=True,
        env={"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", "MANWIDTH": "80"},
    )
    assert done.stderr == ""
    assert done.stdout.startswith(page.stem.upper())


def test_no_flag_of_a_page_is_written_with_hyphens_that_nobody_can_copy(page: Path) -> None:
    _, *lines = page.read_text().splitlines()  # the first has a date
    assert [line for line in lines if re.search(r"(?<!\\)-", line)] == []


def test_a_page_has_all_that_there_is(page: Path) -> None:
    has_to_be_here(shutil.which("mandoc"), "mandoc")
    text = shown(page)
    settings = [name.replace("_", "-") for name in TABLE]
    wanted = {
        "tcpchat-server.1": [
            *(f"       --{name}" for name in settings),
            *(f"   tcpchat-server {name}\n" for name in TOOLS),
            "   tcpchat-server cluster accept\n",
            "   tcpchat-server admin invite\n",
        ],
        "tcpchat-server.toml.5": [f"       {name} = " for name in settings],
        "tcpchat-client.1": [
            *(f"       {each.usage}" for each in COMMANDS),
            *(f"       {each.usage}" for each in LOCAL_COMMANDS),
            *(f"       {name} = " for name in Settings.__struct_fields__),
            "       --nick NAME",
            *(f"   tcpchat-client {name}\n" for name in SCRIPT_TOOLS),
            *(f"       {status}  " for status in MEANINGS),
        ],
    }[page.name]
    assert [each for each in wanted if each not in text] == []


def test_the_page_of_the_file_says_what_a_reload_does_not_change() -> None:
    text = printed(*PAGES["tcpchat-server.toml.5"])
    keys = [" ".join(each.split()) for each in text.split(".TP\n")]
    fixed = [each for each in keys if "A change takes a restart." in each]
    assert len(fixed) == sum(not setting.reloads for setting in TABLE.values())
    assert fixed[0].startswith(r"\fBhost = HOST\fR")


def test_what_roff_would_read_as_something_else_is_shown_as_it_is(tmp_path: Path) -> None:
    has_to_be_here(shutil.which("mandoc"), "mandoc")
    odd = ".TP 'a' \\fB `b` ~c ^d --e … \\"
    path = tmp_path / "odd.1"
    path.write_text(manual.page("odd", 1, "x", manual.section("A", manual.paragraph(odd))) + "\n")
    assert odd in shown(path)
