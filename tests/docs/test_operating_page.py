"""docs/operating.md lists the flags that the server has, with their defaults, its commands for what
it keeps, and the formats of its files.
"""

from __future__ import annotations

import logging
import re
import subprocess
import sys
from pathlib import Path
from typing import get_args

from tcpchat_cli.settings import TABLE, key_of
from tcpchat_cli.tools import TOOLS
from tcpchat_cli.vocabulary import EVENTS, FIELDS

from tcpchat_core.notices import Reason
from tcpchat_net.logs import archive, store
from tcpchat_net.metrics import METRICS
from tests.docs.pages import read, sections, table

REASONS = get_args(Reason)

PAGE = sections(read("docs/operating.md"), 2)

FLAGS = {row[0].strip("`").split()[0].strip("`"): row for row in table(PAGE["Flags"])}

# What stands at a flag that SIGHUP reads again.
RELOADS = "↻"


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


def test_the_page_says_which_flags_are_read_again() -> None:
    marked = {flag for flag, row in FLAGS.items() if row[0].endswith(RELOADS)}
    assert marked == {f"--{key_of(name)}" for name, setting in TABLE.items() if setting.reloads}


def test_the_commands_of_the_page_are_the_servers() -> None:
    rows = table(sections(PAGE["What is kept"], 3)["Looking after it"])
    named = [
        re.findall(r"^`tcpchat-server (\w+) (?:DIR|--data DIR|status)\b", row[0]) for row in rows
    ]
    assert sorted(name for names in named for name in names) == sorted(TOOLS)
    assert len(rows) == len(TOOLS)


def test_the_metrics_of_the_page_are_the_servers() -> None:
    listed = [
        (row[0].strip("`"), row[1], re.findall(r"`([^`]+)`", row[2]))
        for row in table(sections(PAGE["Metrics and health"], 3)["What is measured"])
        if row[0].startswith("`tcpchat_")
    ]
    # The reasons of refusals are words of the protocol, and stand in its page.
    told = [
        (
            each.name,
            each.kind,
            [*re.findall(r"\w+", each.label), *(v for v in each.values if v not in REASONS)],
        )
        for each in METRICS
    ]
    for row in told:  # one at a time, so that it is said which is wrong
        assert row in listed, f"docs/operating.md, Metrics and health: {row}"
    assert [name for name, _, _ in listed] == [name for name, _, _ in told]


def test_the_formats_of_the_page_are_the_codes() -> None:
    named = re.findall(r"\bformat (\d+) of\s+`([^`]+)`", PAGE["Updating"])
    assert sorted((name, int(number)) for number, name in named) == sorted(
        [(archive.ARCHIVE_NAME, archive.FORMAT), (store.LOG_NAME, store.FORMAT)]
    ), "docs/operating.md, Updating: say which formats this version writes"


def test_the_events_of_the_page_are_those_of_the_log() -> None:
    text = sections(PAGE["The log"], 3)["The events"]
    events, _, rest = text.partition("\n\n| field")
    assert [tuple(row) for row in table(events)] == [
        (
            f"`{name}`",
            logging.getLevelName(kind.level).lower(),
            ", ".join(f"`{field}`" for field in kind.fields),
            kind.meaning,
        )
        for name, kind in EVENTS.items()
    ], "docs/operating.md, The events: say what cli/tcpchat_cli/vocabulary.py does"
    fields = table(f"| field{rest}")
    assert [tuple(row) for row in fields] == [
        (f"`{name}`", meaning) for name, meaning in FIELDS.items()
    ], "docs/operating.md, The events: say what cli/tcpchat_cli/vocabulary.py does"
