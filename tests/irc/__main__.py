"""Run irctest from a clone, and tell what came of it, a file at a time.

git clone https://github.com/progval/irctest ../irctest
python -m tests.irc ../irctest              # the files that this server is held to
python -m tests.irc ../irctest chathistory  # another one
python -m tests.irc ../irctest --controller irctest.controllers.ngircd  # another server

What the suite needs is installed with `.[test]`. Each test starts a server, and all of them take
some minutes. The suite expects a server to be called My.Little.Server; this one always calls itself
tcpchat, so what is run is a copy in which that is so.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from argparse import ArgumentParser, Namespace, RawDescriptionHelpFormatter
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final, NamedTuple
from xml.etree import ElementTree as ET

_REPOSITORY: Final = Path(__file__).parents[2]
_CONTROLLER: Final = "tests.irc.irctest_controller"

# What an IRC server of today is expected to do, whatever else it does. The others are about what
# one server has and another has not.
FILES: Final = (
    *("away", "away_notify", "buffering", "cap", "connection_registration", "echo_message", "help"),
    *("isupport", "join", "labeled_responses", "list", "lusers", "message_tags", "messages"),
    *("names", "part", "pingpong", "quit", "regressions", "setname", "time", "topic", "utf8"),
    *("who", "whois", "whowas"),
)

# Services are programs beside a server; "strict" is what no server of today does.
_MARKS: Final = "not services and not implementation-specific and not deprecated and not strict"

_VERDICTS: Final = ("passed", "failed", "skipped")

# What the suite calls every server, and what this one calls itself.
_ITS_NAME: Final = "My.Little.Server"
_OUR_NAME: Final = "tcpchat"

# A test that waits for what never comes waits for ever. The slowest takes some seconds.
_TIMEOUT_S: Final = 60


class Outcome(NamedTuple):
    """What came of one test."""

    file: str
    test: str
    verdict: str  # one of _VERDICTS
    why: str  # the first line of the reason


def outcomes(report: Path) -> Iterator[Outcome]:
    """What stands in a report of pytest, as JUnit's XML."""
    for case in ET.parse(report).iter("testcase"):
        # irctest.server_tests.chmodes.ban.BanModeTestCase
        *folders, group = case.attrib["classname"].split(".")
        verdict, why = "passed", ""
        for part in case:
            if part.tag in {"failure", "error", "skipped"}:
                verdict = "skipped" if part.tag == "skipped" else "failed"
                why = part.attrib.get("message", "").partition("\n")[0]
        yield Outcome(".".join(folders[2:]), f"{group}.{case.attrib['name']}", verdict, why)


def table(found: list[Outcome]) -> str:
    """The numbers of each file and of all, as Markdown."""
    rows = ["| file | passed | failed | skipped |", "| --- | ---: | ---: | ---: |"]
    for name in (*sorted({one.file for one in found}), "in all"):
        count = Counter(one.verdict for one in found if name in (one.file, "in all"))
        rows.append(" | ".join([f"| {name}", *(str(count[each]) for each in _VERDICTS)]) + " |")
    return "\n".join(rows)


def renamed(suite: Path, folder: Path) -> Path:
    """A copy of the suite that calls the server by its name."""
    copy = folder / "irctest"
    shutil.copytree(suite, copy, ignore=shutil.ignore_patterns(".git"))
    for file in copy.glob("irctest/server_tests/**/*.py"):
        file.write_text(file.read_text().replace(_ITS_NAME, _OUR_NAME))
    return copy


def run(arguments: Namespace, suite: Path, report: Path) -> None:
    """Run the suite, which shows how far it is."""
    command = [
        *(
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "--tb=short" if arguments.verbose else "--no-summary",
        ),
        *("-p", "no:randomly", "-p", "no:cacheprovider", f"--timeout={_TIMEOUT_S}"),
        *("--controller", arguments.controller, f"--junit-xml={report}", "-m", _MARKS),
        *(f"irctest/server_tests/{name}.py" for name in arguments.files),
    ]
    if arguments.only:
        command += ["-k", arguments.only]
    path = os.pathsep.join((str(_REPOSITORY), str(suite.resolve())))
    # It notes in a file of the folder for temporary files which ports are taken, for one run alone.
    env = {"PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1", "TMPDIR": str(report.parent)}
    subprocess.run(
        command,
        cwd=suite,
        env=os.environ | env,
        stdin=subprocess.DEVNULL,
        check=False,  # the report says what failed
    )


def main() -> int:
    """Run what is asked for; 1 if anything failed."""
    parser = ArgumentParser(
        prog="python -m tests.irc",
        description=__doc__,
        formatter_class=RawDescriptionHelpFormatter,
    )
    parser.add_argument("folder", type=Path, help="a clone of progval/irctest")
    parser.add_argument("files", nargs="*", default=FILES, metavar="FILE", help="away, join, …")
    parser.add_argument("--controller", default=_CONTROLLER, help="a module that starts a server")
    parser.add_argument("--only", metavar="WORDS", help="only tests with that in their names")
    parser.add_argument("--verbose", action="store_true", help="show what was sent, what came")
    arguments = parser.parse_args()
    with TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        suite = arguments.folder
        if arguments.controller == _CONTROLLER:
            suite = renamed(suite, Path(folder))
        run(arguments, suite, report)
        if not report.exists():
            return 1
        found = list(outcomes(report))
    for verdict in ("skipped", "failed"):
        for one in found:
            if one.verdict == verdict:
                print(f"{verdict}: {one.file}: {one.test}: {one.why}")
    print(table(found))
    return int(any(one.verdict == "failed" for one in found))


if __name__ == "__main__":
    sys.exit(main())
