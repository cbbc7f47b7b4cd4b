"""How it is told what came of irctest: `python -m tests.irc`."""

from __future__ import annotations

from pathlib import Path

from tests.irc.__main__ import Outcome, outcomes, renamed, table

REPORT = """
<testsuites><testsuite>
<testcase classname="irctest.server_tests.join.JoinTestCase" name="testJoin"/>
<testcase classname="irctest.server_tests.join.JoinTestCase" name="testJoinTwice">
<failure message="AssertionError: no 366&#10;more of it">where</failure></testcase>
<testcase classname="irctest.server_tests.join.JoinTestCase" name="testStart">
<error message="it did not start">where</error></testcase>
<testcase classname="irctest.server_tests.chmodes.ban.BanTestCase" name="testBan[b]">
<skipped message="not supported">where</skipped></testcase>
</testsuite></testsuites>
"""

FOUND = [
    Outcome("join", "JoinTestCase.testJoin", "passed", ""),
    Outcome("join", "JoinTestCase.testJoinTwice", "failed", "AssertionError: no 366"),
    Outcome("join", "JoinTestCase.testStart", "failed", "it did not start"),
    Outcome("chmodes.ban", "BanTestCase.testBan[b]", "skipped", "not supported"),
]


def test_each_test_has_one_verdict_and_the_first_line_of_why(tmp_path: Path) -> None:
    report = tmp_path / "report.xml"
    report.write_text(REPORT)
    assert list(outcomes(report)) == FOUND


def test_the_table_counts_each_file_and_all() -> None:
    assert table(FOUND).splitlines() == [
        "| file | passed | failed | skipped |",
        "| --- | ---: | ---: | ---: |",
        "| chmodes.ban | 0 | 0 | 1 |",
        "| join | 1 | 2 | 0 |",
        "| in all | 1 | 2 | 1 |",
    ]


def test_the_copy_of_the_suite_calls_the_server_by_its_name_and_the_clone_is_as_it_was(
    tmp_path: Path,
) -> None:
    there = tmp_path / "clone" / "irctest" / "server_tests" / "chmodes"
    there.mkdir(parents=True)
    (there / "key.py").write_text('SERVER = "My.Little.Server"')
    copy = renamed(tmp_path / "clone", tmp_path)
    assert (copy / "irctest/server_tests/chmodes/key.py").read_text() == 'SERVER = "tcpchat"'
    assert "My.Little.Server" in (there / "key.py").read_text()
