"""docs/client.md, Scripts: the examples run as they stand there, and the table is the program's."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tcpchat_cli.terminal.exits import MEANINGS
from tcpchat_cli.terminal.scripts import TOOLS, tool_parser

from tests.cli.serving import ServerProcess
from tests.docs.pages import code_blocks, read, sections, table

SECTION = sections(read("docs/client.md"), 2)["Scripts"]

LIMIT_SECONDS = 90


def test_the_table_of_exit_statuses_is_the_programs() -> None:
    assert table(SECTION) == [[str(status), text] for status, text in MEANINGS.items()]


def test_every_flag_of_the_tools_is_on_the_page() -> None:
    flags = {
        flag
        for name in TOOLS
        for word in tool_parser(name).format_help().replace(",", " ").split()
        if (flag := word.strip("[]")).startswith("--") and flag not in {"--help", "--no-tls"}
    }
    assert [flag for flag in sorted(flags) if f"`{flag}" not in SECTION] == []


def test_the_examples_do_what_they_say(tmp_path: Path) -> None:
    send, tell, count, ask = code_blocks(SECTION, "sh")
    scripts = Path(sys.executable).parent
    with ServerProcess("--port", "0", "--rooms", "ops", "--log-level", "warning") as server:
        address = server.read_address()
        env = {
            "PATH": f"{scripts}:{os.environ['PATH']}",
            "HOME": str(tmp_path),
            "TCPCHAT_SERVER": address,
            "TCPCHAT_NICK": "bot",
        }

        def run(example: str) -> subprocess.CompletedProcess[str]:
            return subprocess.run(
                ["sh", "-c", example], env=env, capture_output=True, text=True, check=False,
                timeout=LIMIT_SECONDS, stdin=subprocess.DEVNULL,
            )  # fmt: skip

        assert (done := run(send)).returncode == 0, done.stderr
        refused = run(tell)
        assert (refused.returncode, refused.stdout, refused.stderr) == (
            1, "", "tcpchat-client: line 1: there is nobody called ada\n",
        )  # fmt: skip
        counted = run(count)
        assert (counted.returncode, counted.stdout, counted.stderr) == (0, "1 bot\n", "")
        asked = run(ask)
        assert asked.stdout.startswith("[{'type': 'who', 'room': 'ops', 'nicks': ['bot'], ")
        assert (asked.returncode, asked.stderr) == (0, "")
