"""Real shells complete both command lines, by what the programs print for that: bash and zsh in a
pseudo-terminal, fish by its own `complete -C`.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Final

import pytest
from tcpchat_cli.settings import TABLE, server_parser
from tcpchat_cli.tools import TOOLS

from tests.cli.conftest import has_to_be_here
from tests.cli.terminal import CLIENT, LIMIT_SECONDS, SERVER, Terminal

# What is typed before Tab, and what stands there then.
CASES: Final = {
    "tcpchat-server --log-le": "tcpchat-server --log-level",
    "tcpchat-server --log-level deb": "tcpchat-server --log-level debug",
    "tcpchat-server --no-gue": "tcpchat-server --no-guests",
    "tcpchat-server --data fol": "tcpchat-server --data folder/",
    "tcpchat-server --tls-cert oth": "tcpchat-server --tls-cert other.pem",
    "tcpchat-server --print-completion fi": "tcpchat-server --print-completion fish",
    "tcpchat-server repl": "tcpchat-server replay",
    "tcpchat-server replay --unt": "tcpchat-server replay --until",
    "tcpchat-server backup fol": "tcpchat-server backup folder/",
    "tcpchat-server export folder --format js": "tcpchat-server export folder --format jsonl",
    "tcpchat-server cluster acc": "tcpchat-server cluster accept",
    "tcpchat-server cluster accept --te": "tcpchat-server cluster accept --term",
    "tcpchat-server admin inv": "tcpchat-server admin invite",
    "tcpchat-server admin invite --adm": "tcpchat-server admin invite --admin",
    "tcpchat-client --ins": "tcpchat-client --insecure",
    "tcpchat-client --ca oth": "tcpchat-client --ca other.pem",
    "tcpchat-client sen": "tcpchat-client send",
    "tcpchat-client send --noti": "tcpchat-client send --notice",
    "tcpchat-client tail --foll": "tcpchat-client tail --follow",
    "tcpchat-client tail --ca oth": "tcpchat-client tail --ca other.pem",
}

PROGRAMS: Final = (SERVER, CLIENT)

BASH_COMPLETION: Final = Path("/usr/share/bash-completion/bash_completion")


def printed(program: str, *arguments: str) -> str:
    done = subprocess.run(
        [program, *arguments], capture_output=True, text=True, timeout=LIMIT_SECONDS, check=True
    )
    assert done.stderr == ""
    return done.stdout


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A user's folder, with what there is to complete."""
    (tmp_path / "folder").mkdir()
    (tmp_path / "other.pem").touch()
    return tmp_path


@pytest.fixture
def shell(home: Path) -> Iterator[Callable[..., Terminal]]:
    """Starts a shell in that folder, which shows `$ ` when it waits."""
    started: list[Terminal] = []

    def start(*argv: str) -> Terminal:
        env = {"HOME": str(home), "ZDOTDIR": str(home), "XDG_DATA_HOME": str(home / "data")}
        terminal = Terminal(["env", "-C", str(home), *argv], columns=120, rows=60, env=env)
        started.append(terminal)
        terminal.wait_until(lambda: terminal.prompt.startswith("$"), "the prompt")
        return terminal

    yield start
    for terminal in started:
        terminal.close()


def completes(terminal: Terminal) -> None:
    for typed, completed in CASES.items():
        terminal.type(f"{typed}\t")
        terminal.wait_until(partial(_shows, terminal, f"$ {completed}"), completed)
        terminal.type("\x15")  # Ctrl-U: the line is empty again
        terminal.wait_until(partial(_shows, terminal, "$"), "an empty line")


def _shows(terminal: Terminal, row: str) -> bool:
    return terminal.prompt == row


def test_bash_completes_what_is_sourced(home: Path, shell: Callable[..., Terminal]) -> None:
    has_to_be_here(shutil.which("bash"), "bash")
    scripts = [printed(program, "--print-completion", "bash") for program in PROGRAMS]
    (home / "rc").write_text("\n".join([*scripts, "PS1='$ '"]))
    completes(shell("bash", "--noprofile", "--rcfile", str(home / "rc")))


def test_bash_completes_what_bash_completion_finds(
    home: Path, shell: Callable[..., Terminal]
) -> None:
    has_to_be_here(BASH_COMPLETION.exists(), "bash-completion")
    found = home / "data" / "bash-completion" / "completions"
    found.mkdir(parents=True)
    for program in PROGRAMS:
        script = printed(program, "--print-completion", "bash")
        (found / Path(program).name).write_text(script)
    (home / "rc").write_text(f". {BASH_COMPLETION}\nPS1='$ '")
    completes(shell("bash", "--noprofile", "--rcfile", str(home / "rc")))


def test_zsh_completes_what_it_finds(home: Path, shell: Callable[..., Terminal]) -> None:
    has_to_be_here(shutil.which("zsh"), "zsh")
    (home / "functions").mkdir()
    for program in PROGRAMS:
        script = printed(program, "--print-completion", "zsh")
        (home / "functions" / f"_{Path(program).name}").write_text(script)
    (home / ".zshrc").write_text(
        f"fpath=({home}/functions $fpath)\nautoload -U compinit\ncompinit -u -D\nPS1='$ '\n"
    )
    completes(shell("zsh", "-d", "-i"))


def test_fish_completes_what_it_finds(home: Path) -> None:
    has_to_be_here(shutil.which("fish"), "fish")
    for program in PROGRAMS:
        script = printed(program, "--print-completion", "fish")
        (home / f"{Path(program).name}.fish").write_text(script)
    sourced = "; ".join(f"source {home}/{Path(program).name}.fish" for program in PROGRAMS)
    asked = "; ".join(f"echo '==='; complete -C '{typed}'" for typed in CASES)
    done = subprocess.run(
        ["fish", "--no-config", "-c", f"{sourced}; {asked}"],
        capture_output=True,
        text=True,
        timeout=LIMIT_SECONDS,
        check=True,
        cwd=home,
        env=os.environ | {"HOME": str(home)},
    )
    _, *answers = done.stdout.split("===\n")
    offered = [{line.partition("\t")[0] for line in each.splitlines()} for each in answers]
    assert offered == [{completed.split()[-1]} for completed in CASES.values()]


def test_every_setting_and_every_tool_is_in_what_is_printed() -> None:
    script = printed(SERVER, "--print-completion", "bash")
    for name in TABLE:
        assert f"--{name.replace('_', '-')}" in script
    for name in TOOLS:
        assert f"_shtab_tcpchat_server_{name}_option_strings=" in script


@pytest.mark.parametrize("program", ["zsh", "fish"])
def test_the_opposite_of_a_flag_is_not_told_as_the_flag_is(program: str) -> None:
    script = printed(SERVER, "--print-completion", program)
    assert script.count("let people talk who have no account") == 1
    assert script.count("the opposite of --guests") == 1


def test_a_shell_that_there_is_no_completion_for_is_refused_in_a_sentence(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit) as ended:
        server_parser().parse_args(["--print-completion", "csh"])
    assert ended.value.code == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.startswith("tcpchat-server: argument --print-completion: invalid choice: 'csh'")
    assert told.err.count("\n") == 1


def test_whoever_has_seen_enough_of_it_sees_no_traceback() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [SERVER, "--print-completion", "bash"],
        stdout=writing,
        stderr=subprocess.PIPE,
        timeout=LIMIT_SECONDS,
        check=False,
    )
    os.close(writing)
    assert (done.returncode, done.stderr) == (1, b"")


@pytest.mark.parametrize("flag", ["--print-completion=bash", "--version", "--check-config"])
def test_what_cannot_be_written_is_one_sentence(flag: str) -> None:
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [SERVER, flag],
            stdout=full,
            stderr=subprocess.PIPE,
            timeout=LIMIT_SECONDS,
            check=False,
        )
    sentence = b"tcpchat-server: cannot write to stdout: No space left on device\n"
    assert (done.returncode, done.stderr) == (1, sentence)
