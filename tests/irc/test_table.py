"""How it is told what came of irctest: `python -m tests.irc`."""

from __future__ import annotations

from base64 import b64encode
from pathlib import Path

from tests.irc.__main__ import Outcome, adapted, outcomes, table

PASSWORDS = (b"sesame", b"open sesame")

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
    assert table({"tcpchat": FOUND}).splitlines() == [
        "| file | passed | failed | skipped |",
        "| --- | ---: | ---: | ---: |",
        "| chmodes.ban | 0 | 0 | 1 |",
        "| join | 1 | 2 | 0 |",
        "| in all | 1 | 2 | 1 |",
    ]


def test_several_servers_stand_side_by_side() -> None:
    assert table({"tcpchat": FOUND, "ngircd": FOUND[:1]}).splitlines() == [
        "| file | tcpchat: passed, failed, skipped | ngircd: passed, failed, skipped |",
        "| --- | ---: | ---: |",
        "| chmodes.ban | 0, 0, 1 | 0, 0, 0 |",
        "| join | 1, 2, 0 | 1, 0, 0 |",
        "| in all | 1, 2, 1 | 1, 0, 0 |",
    ]


def test_the_copy_of_the_suite_calls_the_server_by_its_name_and_the_clone_is_as_it_was(
    tmp_path: Path,
) -> None:
    there = tmp_path / "clone" / "irctest" / "server_tests" / "chmodes"
    there.mkdir(parents=True)
    said, said_by_us = (b64encode(b"\0ada\0" + each).decode() for each in PASSWORDS)
    (there / "key.py").write_text(f'("My.Little.Server", "sesame", "{said}", "AAAAAAAAA")')
    copy = adapted(tmp_path / "clone", tmp_path)
    text = (copy / "irctest/server_tests/chmodes/key.py").read_text()
    assert text == f'("tcpchat", "open sesame", "{said_by_us}", "AAAAAAAAA")'
    assert "My.Little.Server" in (there / "key.py").read_text()
