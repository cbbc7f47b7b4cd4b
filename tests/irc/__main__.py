"""Run irctest from a clone, and tell what came of it, a file at a time.

git clone https://github.com/progval/irctest ../irctest
python -m tests.irc ../irctest              # the files that this server is held to
python -m tests.irc ../irctest chathistory chmodes  # another one, and a folder
python -m tests.irc ../irctest --accounts sasl      # with those that need accounts
python -m tests.irc ../irctest --controller irctest.controllers.ngircd  # another server

With `--controller` several times the servers stand side by side; `tcpchat` is this one.

What the suite needs is installed with `.[test]`. Each test starts a server, and all of them take
some minutes. The suite expects a server to be called My.Little.Server; this one always calls itself
tcpchat, and takes no password as short as the suite's, so what is run is a copy in which that is
so.
"""

from __future__ import annotations

import base64
import os
import re
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
_OURS: Final = "tcpchat"
_CONTROLLER: Final = "tests.irc.irctest_controller"

# What an IRC server of today is expected to do, whatever else it does. The others are about what
# one server has and another has not.
FILES: Final = (
    *("away", "away_notify", "buffering", "cap", "connection_registration", "echo_message", "help"),
    *("isupport", "join", "labeled_responses", "list", "lusers", "message_tags", "messages"),
    *("names", "part", "pingpong", "quit", "regressions", "setname", "time", "topic", "utf8"),
    *("who", "whois", "whowas"),
)

# "strict" is what no server of today does. Services are programs beside a server that know of
# accounts; who has these without such programs runs those tests as well.
_MARKS: Final = "not implementation-specific and not deprecated and not strict"
_WITHOUT_ACCOUNTS: Final = f"not services and {_MARKS}"

_VERDICTS: Final = ("passed", "failed", "skipped")

# What the suite calls every server; and its password, with one that is long enough.
_ITS_NAME: Final = "My.Little.Server"
_ITS_PASSWORD: Final = b"sesame"
_OUR_PASSWORD: Final = b"open sesame"
_BASE64: Final = re.compile("[A-Za-z0-9+/]{8,}={0,2}")

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


def table(found: dict[str, list[Outcome]]) -> str:
    """The numbers of each file and of all, as Markdown: of one server, or of several."""
    files = sorted({one.file for each in found.values() for one in each})
    if len(found) == 1:
        heads = list(_VERDICTS)
    else:
        heads = [f"{server}: {', '.join(_VERDICTS)}" for server in found]
    rows = [f"| file | {' | '.join(heads)} |", f"| --- |{' ---: |' * len(heads)}"]
    for name in (*files, "in all"):
        counts = [_counts(each, name) for each in found.values()]
        cells = counts[0] if len(found) == 1 else [", ".join(each) for each in counts]
        rows.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(rows)


def _counts(found: list[Outcome], name: str) -> list[str]:
    count = Counter(one.verdict for one in found if name in (one.file, "in all"))
    return [f"{count[each]}" for each in _VERDICTS]


def adapted(suite: Path, folder: Path) -> Path:
    """A copy of the suite that calls the server by its name, and its users' password otherwise."""
    copy = folder / "irctest"
    shutil.copytree(suite, copy, ignore=shutil.ignore_patterns(".git"))
    for file in copy.glob("irctest/server_tests/**/*.py"):
        text = file.read_text().replace(_ITS_NAME, _OURS)
        text = _BASE64.sub(_with_our_password, text)
        file.write_text(text.replace(f'"{_ITS_PASSWORD.decode()}', f'"{_OUR_PASSWORD.decode()}'))
    return copy


def _with_our_password(found: re.Match[str]) -> str:
    """What a client says by SASL."""
    try:
        said = base64.b64decode(found[0], validate=True)
    except ValueError:
        return found[0]
    if not said.endswith(b"\0" + _ITS_PASSWORD):
        return found[0]
    return base64.b64encode(said.removesuffix(_ITS_PASSWORD) + _OUR_PASSWORD).decode()


def run(arguments: Namespace, controller: str, folder: Path) -> list[Outcome]:
    """Run the suite against one server, which shows how far it is. Returns what came of it."""
    suite, report = arguments.folder, folder / "report.xml"
    if controller == _CONTROLLER:
        suite = adapted(suite, folder)
    paths = [suite / "irctest" / "server_tests" / name for name in arguments.files]
    command = [
        *(
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "--tb=short" if arguments.verbose else "--no-summary",
        ),
        *("-p", "no:randomly", "-p", "no:cacheprovider", f"--timeout={_TIMEOUT_S}"),
        *("--controller", controller, f"--junit-xml={report}"),
        *("-m", _MARKS if arguments.accounts else _WITHOUT_ACCOUNTS),
        *("-o", "python_files=*.py"),  # of folders, too
        *(f"{each if each.is_dir() else each.with_suffix('.py')}" for each in paths),
    ]
    if arguments.only:
        command += ["-k", arguments.only]
    path = os.pathsep.join((str(_REPOSITORY), str(suite.resolve())))
    # It notes in a file of the folder for temporary files which ports are taken, for one run alone.
    env = {"PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1", "TMPDIR": str(folder)}
    subprocess.run(
        command,
        cwd=suite,
        env=os.environ | env,
        stdin=subprocess.DEVNULL,
        check=False,  # the report says what failed
    )
    return list(outcomes(report)) if report.exists() else []


def main() -> int:
    """Run what is asked for; 1 if anything failed."""
    parser = ArgumentParser(
        prog="python -m tests.irc",
        description=__doc__,
        formatter_class=RawDescriptionHelpFormatter,
    )
    parser.add_argument("folder", type=Path, help="a clone of progval/irctest")
    parser.add_argument("files", nargs="*", metavar="FILE", help="away, join, chmodes, …")
    parser.add_argument(
        "--controller", action="append", help="a module that starts a server (tcpchat)"
    )
    parser.add_argument("--accounts", action="store_true", help="with tests that need accounts")
    parser.add_argument("--only", metavar="WORDS", help="only tests with that in their names")
    parser.add_argument("--verbose", action="store_true", help="show what was sent, what came")
    arguments = parser.parse_intermixed_args()
    arguments.folder, arguments.files = arguments.folder.resolve(), arguments.files or FILES
    found: dict[str, list[Outcome]] = {}
    for server in arguments.controller or [_OURS]:
        controller = _CONTROLLER if server == _OURS else server
        with TemporaryDirectory() as folder:
            found[server.rpartition(".")[2]] = each = run(arguments, controller, Path(folder))
        for verdict in ("skipped", "failed"):
            for one in each:
                if one.verdict == verdict:
                    print(f"{verdict}: {one.file}: {one.test}: {one.why}", flush=True)
    print(table(found))
    return int(
        any(not each or any(one.verdict == "failed" for one in each) for each in found.values())
    )


if __name__ == "__main__":
    sys.exit(main())
