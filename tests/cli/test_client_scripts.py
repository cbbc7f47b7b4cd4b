"""tcpchat-client send and tail: real pipes, a real server, and exit statuses to rely on."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import pytest
from tcpchat_cli.client import TOOLS as WORDS
from tcpchat_cli.terminal import exits
from tcpchat_cli.terminal.scripts import TOOLS

from tests.cli.cable import cable_to
from tests.cli.conftest import Server, running_server
from tests.cli.serving import ServerProcess
from tests.cli.terminal import CLIENT, LIMIT_SECONDS
from tests.cluster.ports import Port


def run(address: str, *arguments: str, typed: str | bytes = "") -> subprocess.CompletedProcess[str]:
    """A tool with that on its stdin, to its end."""
    done = subprocess.run(
        [CLIENT, *arguments, "--server", address],
        input=typed if isinstance(typed, bytes) else typed.encode(),
        capture_output=True,
        timeout=LIMIT_SECONDS,
        check=False,
    )
    text = done.stdout.decode(), done.stderr.decode()
    return subprocess.CompletedProcess(done.args, done.returncode, *text)


@contextmanager
def started(address: str, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """A tool that runs, with pipes on all sides."""
    with subprocess.Popen(
        [CLIENT, *arguments, "--server", address],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.fixture
def server() -> Iterator[Server]:
    """A server whose room keeps what was said when nobody is in it, and with no limit of lines."""
    with running_server("--rooms", "lobby", "--flood-rate", "0") as it:
        yield it


def serve(folder: Path, port: int) -> ServerProcess:
    return ServerProcess(
        "--port", str(port), "--data", str(folder), "--rooms", "lobby", "--flood-rate", "0",
        "--log-level", "warning",
    )  # fmt: skip


def texts(address: str, count: int = 100_000) -> list[str]:
    """What was said in the lobby, as tail tells it."""
    told = run(address, "tail", "lobby", "--json", "--lines", str(count))
    assert (told.returncode, told.stderr) == (0, "")
    return [json.loads(line)["text"] for line in told.stdout.splitlines()]


def next_line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line, "it ended before"
    return line.removesuffix("\n")


def rest(process: subprocess.Popen[str], typed: str = "") -> tuple[str, str]:
    """All that it prints from now on, and complains of, with that as the end of its stdin."""
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdin.write(typed)
    process.stdin.close()
    told = process.stdout.read(), process.stderr.read()
    process.wait(LIMIT_SECONDS)
    return told


def next_notice(process: subprocess.Popen[str]) -> dict[str, Any]:
    notice: dict[str, Any] = json.loads(next_line(process))
    return notice


# ── send ─────────────────────────────────────────────────────────────────────────────────────────


def test_what_is_sent_is_said_as_it_is_and_nothing_is_printed(server: Server) -> None:
    for arguments, typed in (
        (["send", "lobby", "two", "words"], "not read"),
        (["send", "lobby", "--nick", "bot", "one\n\ntwo"], ""),
        (["send", "#lobby"], "/quit\n\n//slashes\nwithout an end"),
        (["send", "lobby", "-"], b"\xff{\n"),
        (["send", "lobby"], ""),
    ):
        done = run(server.address, *arguments, typed=typed)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert texts(server.address) == [
        "two words", "one", "two", "/quit", "//slashes", "without an end", "\ufffd{",
    ]  # fmt: skip


def test_one_person_is_told(server: Server) -> None:
    ear = subprocess.Popen(
        [CLIENT, server.address, "--nick", "ear", "--json"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with ear:
        while next_notice(ear)["type"] != "renamed":
            pass
        assert run(server.address, "send", "@ear", "--notice", "psst").returncode == 0
        while (told := next_notice(ear))["type"] != "told":
            pass
        assert (told["text"], told["notice"]) == ("psst", True)
        ear.communicate("/quit\n", timeout=LIMIT_SECONDS)


def test_what_is_refused_is_told_by_its_line_and_the_others_are_said(server: Server) -> None:
    typed = f"a\n{'x' * 3_000}\n\n{'y' * 40_000}\nb\n"
    done = run(server.address, "send", "lobby", "--json", typed=typed)
    assert done.returncode == exits.FAILED
    assert set(done.stderr.splitlines()) == {  # the longest is not even sent, so it may be first
        "tcpchat-client: line 2: a message has at most 2,000 characters; this one has 3,000",
        "tcpchat-client: line 4: a line has at most 32,768 bytes",
    }
    told = [json.loads(line) for line in done.stdout.splitlines()]
    assert {(each["id"], each["type"]) for each in told} == {
        ("1", "sent"), ("2", "rejected"), ("4", "rejected"), ("5", "sent"),
    }  # fmt: skip
    assert texts(server.address) == ["a", "b"]


@pytest.mark.parametrize(
    ("arguments", "status", "sentence"),
    [
        (["send", "two words", "x"], exits.FAILED, "a room name cannot contain spaces"),
        (["send", "lobby", "x", "--nick", "a b"], exits.FAILED, "a nickname cannot contain spaces"),
        (["send", "@nobody", "x"], exits.FAILED, "line 1: there is nobody called nobody"),
        (["tail", "two words"], exits.FAILED, "a room name cannot contain spaces"),
        (["send", "lobby", " "], exits.USAGE, "there is nothing to say: the text is empty"),
        (["send", "lobby", "x", "--ca", "y"], exits.USAGE, "--ca and --insecure mean nothing"),
        (["send"], exits.USAGE, "the following arguments are required: ROOM|@NICK"),
        (["tail", "lobby", "--lines", "-1"], exits.USAGE, "'-1' is no number from 0 to 100,000"),
        (["tail", "lobby", "--since", "tea"], exits.USAGE, "'tea' is no time such as"),
        (["tail", "lobby", "--retry", "x"], exits.USAGE, "'x' is no number of seconds"),
        (["tail", "@ada"], exits.USAGE, "'@ada' is a person"),
        (["tail", "lobby", "--tls"], exits.UNREACHABLE, "it does not speak TLS"),
    ],
)
def test_what_is_wrong_is_one_sentence_and_a_status(
    server: Server, arguments: list[str], status: int, sentence: str
) -> None:
    done = run(server.address, *arguments)
    assert (done.returncode, done.stdout) == (status, "")
    assert sentence in done.stderr
    assert re.fullmatch("tcpchat-client[^\n]*\n", done.stderr)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["send", "chat.example.org:7667", "lobby", "x"], "chat.example.org:7667 is no room"),
        (["send", "[::1]", "lobby", "x"], "[::1] is no room"),
        (["send", "127.0.0.1:7667"], "127.0.0.1:7667 is no room"),
        (["tail", "127.0.0.1:7667"], "127.0.0.1:7667 is no room"),
        (["tail", "127.0.0.1:7667", "lobby"], "unrecognized arguments: lobby"),
        (["tail", "chat.example.org", "lobby"], "unrecognized arguments: lobby"),
    ],
)
def test_who_forgets_that_the_server_is_a_flag_is_told_so(
    arguments: list[str], sentence: str
) -> None:
    done = subprocess.run(
        [CLIENT, *arguments], capture_output=True, text=True, timeout=LIMIT_SECONDS, check=False
    )
    assert (done.returncode, done.stdout) == (exits.USAGE, "")
    assert sentence in done.stderr
    assert "the server is given by --server" in done.stderr
    assert re.fullmatch("tcpchat-client[^\n]*\n", done.stderr)


def test_who_is_sent_to_the_usual_server_and_meets_nobody_is_told_how_to_name_one() -> None:
    with Port() as port:
        program = (
            "import sys\n"
            "from tcpchat_cli.terminal.address import Address\n"
            f"Address.__new__.__defaults__ = ('127.0.0.1', {port.number})\n"
            "from tcpchat_cli.client import main\n"
            "sys.exit(main())"
        )
        done = subprocess.run(
            [sys.executable, "-c", program, "send", "chat.example.org", "lobby", "x"],
            capture_output=True,
            text=True,
            timeout=LIMIT_SECONDS,
            check=False,
        )
    assert (done.returncode, done.stdout) == (exits.UNREACHABLE, "")
    assert done.stderr == (
        f"tcpchat-client: cannot connect to 127.0.0.1:{port.number}: connection refused;"
        " no server was given: --server HOST[:PORT] does so\n"
    )


def test_where_nobody_listens_is_no_connection(own_home: Path) -> None:
    with Port() as port:
        for tool in TOOLS:
            done = run(f"127.0.0.1:{port.number}", tool, "lobby")
            assert (done.returncode, done.stdout) == (exits.UNREACHABLE, "")
            assert "connection refused" in done.stderr
    settings = own_home / ".config" / "tcpchat"
    settings.mkdir(parents=True)
    (settings / "client.toml").write_text("= 1")
    assert run("127.0.0.1:1", "tail", "lobby").returncode == exits.USAGE


def test_lines_are_said_once_each_through_a_kill_of_the_server(tmp_path: Path) -> None:
    lines = [f"line {number}" for number in range(1, 2_001)]
    with Port() as port, serve(tmp_path, port.number) as first:
        address = first.read_address()
        with started(address, "send", "lobby", "--json") as sender:
            assert sender.stdin is not None
            assert sender.stderr is not None
            sender.stdin.write("\n".join(lines[:1_000]) + "\n")
            sender.stdin.flush()
            for number in range(1, 301):
                assert next_notice(sender)["id"] == str(number)
            first.process.kill()
            first.process.wait()
            assert "reconnecting" in sender.stderr.readline()
            with serve(tmp_path, port.number) as second:
                second.read_address()
                told, complaints = rest(sender, "\n".join(lines[1_000:]))
                assert sender.returncode == exits.DONE
                assert complaints == "tcpchat-client: the connection is back\n"
                receipts = [json.loads(line) for line in told.splitlines()]
                assert [each["id"] for each in receipts] == [str(n) for n in range(301, 2_001)]
                assert texts(address) == lines


def test_without_a_retry_it_is_told_which_lines_may_not_have_been_said(tmp_path: Path) -> None:
    with Port() as port:
        with serve(tmp_path, port.number) as first:
            address = first.read_address()
            with started(address, "send", "lobby", "--json", "--retry", "0") as sender:
                assert sender.stdin is not None
                sender.stdin.write("".join(f"{number}\n" for number in range(1, 2_001)))
                sender.stdin.flush()
                for _ in range(300):
                    next_notice(sender)
                first.process.kill()
                told, complaint = rest(sender)
                assert sender.returncode == exits.LOST
        receipts = 300 + len(told.splitlines())
        found = re.fullmatch(
            r"tcpchat-client: the connection to \S+ was lost.*; (\d+) lines have their receipts;"
            r" (\d+) lines? without a receipt, from line (\d+) on, may have been said or not;"
            r" what comes after line (\d+) was not said\n",
            complaint,
        )
        assert found, complaint
        received, count, at, last = map(int, found.groups())
        assert received == receipts
        assert at == receipts + 1
        assert last == receipts + count
        with serve(tmp_path, port.number) as second:
            second.read_address()
            kept = texts(address)
        assert kept == [str(number) for number in range(1, len(kept) + 1)]
        assert receipts <= len(kept) <= last


def test_where_the_session_is_over_it_is_told_which_lines_may_not_have_been_said() -> None:
    count = 20_000
    with (
        running_server("--rooms", "lobby", "--flood-rate", "0", "--grace", "0") as server,
        cable_to(server.address) as plug,
        started(plug.address, "send", "lobby", "--json") as sender,
    ):
        assert sender.stdin is not None
        feeding = threading.Thread(target=feed, args=(sender.stdin, range(1, count + 1)))
        feeding.start()
        for _ in range(10):
            next_notice(sender)
        plug.pull()  # it waits for a reader of its receipts
        plug.put_back()
        assert sender.stdout is not None
        assert sender.stderr is not None
        receipts = 10 + len(sender.stdout.readlines())
        *_, complaint = sender.stderr.read().splitlines()
        assert sender.wait(LIMIT_SECONDS) == exits.LOST
        feeding.join()
        found = re.fullmatch(
            r"tcpchat-client: the session is over; (\d+) lines have their receipts;"
            r" \d+ lines? without a receipt, from line (\d+) on, may have been said or not;"
            r" what comes after line (\d+) was not said",
            complaint,
        )
        assert found, complaint
        assert int(found[1]) == receipts
        assert int(found[2]) == receipts + 1
        kept = texts(server.address)
        assert kept == [str(number) for number in range(1, len(kept) + 1)]
        assert receipts <= len(kept) <= int(found[3]) < count


def feed(stdin: IO[str], lines: Iterable[object]) -> None:
    """Write lines for as long as somebody reads them."""
    with contextlib.suppress(BrokenPipeError), stdin:
        stdin.writelines(f"{line}\n" for line in lines)


def test_what_comes_in_is_not_kept_in_memory() -> None:
    def peak_kib(address: str, count: int) -> int:
        with started(address, "send", "lobby", "--json") as sender:
            assert sender.stdin is not None
            lines = (f"{number} {'x' * 1_000}" for number in range(1, count + 1))
            feeding = threading.Thread(
                target=sender.stdin.writelines, args=(map("{}\n".format, lines),)
            )
            feeding.start()
            while next_notice(sender)["id"] != str(count - 100):  # Python keeps the end in a buffer
                pass
            status = Path(f"/proc/{sender.pid}/status").read_text()
            feeding.join()
            assert rest(sender)[1] == ""
            return int(status.partition("VmHWM:")[2].split()[0])

    # The server takes fewer lines a second than can be read.
    with running_server("--rooms", "lobby", "--flood-rate", "4000") as server:
        few = peak_kib(server.address, 200)
        assert peak_kib(server.address, 20_000) - few < 10_000  # and 20,000 KiB were said


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_when_all_that_was_read_is_received(
    server: Server, number: signal.Signals
) -> None:
    with started(server.address, "send", "lobby", "--json") as sender:
        assert sender.stdin is not None
        sender.stdin.write("said\n")
        sender.stdin.flush()
        assert next_notice(sender)["type"] == "sent"
        sender.send_signal(number)
        assert sender.wait(LIMIT_SECONDS) == exits.DONE
        assert sender.stderr is not None
        assert sender.stderr.read() == (
            f"tcpchat-client: ended by {number.name}; 1 line has its receipt;"
            " what comes after line 1 was not said\n"
        )
    assert texts(server.address) == ["said"]


def test_ctrl_c_says_how_far_it_came(server: Server) -> None:
    with started(server.address, "send", "lobby", "--json") as sender:
        assert sender.stdin is not None
        sender.stdin.write("said\n")
        sender.stdin.flush()
        next_notice(sender)
        sender.send_signal(signal.SIGINT)
        assert sender.wait(LIMIT_SECONDS) == exits.INTERRUPTED
        assert sender.stderr is not None
        complaint = sender.stderr.read()
    assert complaint == (
        "tcpchat-client: interrupted; 1 line has its receipt;"
        " what comes after line 1 was not said\n"
    )


# ── tail ─────────────────────────────────────────────────────────────────────────────────────────


def test_the_last_lines_are_printed_and_no_more(server: Server) -> None:
    lines = [f"line {number}" for number in range(1_200)]
    said = run(server.address, "send", "lobby", "--nick", "bot", typed="\n".join(lines))
    assert said.returncode == 0
    assert texts(server.address) == lines
    assert texts(server.address, 0) == []
    assert texts(server.address, 501) == lines[-501:]
    told = run(server.address, "tail", "lobby")
    assert told.stdout.splitlines() == [f"[lobby] bot: {line}" for line in lines[-10:]]
    told = run(server.address, "tail", "lobby", "--since", "1d")
    assert told.stdout.splitlines() == [f"[lobby] bot: {line}" for line in lines]
    told = run(server.address, "tail", "lobby", "--since", "2999-01-01")
    assert (told.returncode, told.stdout, told.stderr) == (0, "", "")


def test_what_is_said_is_printed_at_once_until_nobody_reads(server: Server) -> None:
    run(server.address, "send", "lobby", "before")
    with started(server.address, "tail", "lobby", "-f", "--json") as tail:
        assert next_notice(tail)["text"] == "before"
        for text in ("one", "two"):
            run(server.address, "send", "lobby", text)
            assert next_notice(tail)["text"] == text
        assert tail.stdout is not None
        tail.stdout.close()  # and nothing more is said
        assert tail.wait(LIMIT_SECONDS) == exits.DONE
        assert tail.stderr is not None
        assert tail.stderr.read() == ""


@pytest.mark.parametrize(
    ("number", "status"),
    [(signal.SIGTERM, exits.DONE), (signal.SIGHUP, exits.DONE), (signal.SIGINT, exits.INTERRUPTED)],
)
def test_a_signal_ends_it(server: Server, number: int, status: int) -> None:
    run(server.address, "send", "lobby", "before")
    with started(server.address, "tail", "lobby", "-f") as tail:
        next_line(tail)
        tail.send_signal(number)
        assert tail.communicate(timeout=LIMIT_SECONDS) == ("", "")
        assert tail.returncode == status


def test_it_goes_on_through_a_kill_of_the_server_without_a_hole_or_a_double(tmp_path: Path) -> None:
    with Port() as port, serve(tmp_path, port.number) as first:
        address = first.read_address()
        run(address, "send", "lobby", "before")
        with started(address, "tail", "lobby", "-f", "--json") as tail:
            assert next_notice(tail)["text"] == "before"
            first.process.kill()
            first.process.wait()
            with serve(tmp_path, port.number) as second:
                second.read_address()
                lines = [f"line {number}" for number in range(500)]
                assert run(address, "send", "lobby", typed="\n".join(lines)).returncode == 0
                assert [next_notice(tail)["text"] for _ in lines] == lines


def test_what_a_session_does_not_keep_comes_out_of_the_archive(server: Server) -> None:
    with cable_to(server.address) as plug:
        run(server.address, "send", "lobby", "before")
        with started(plug.address, "tail", "lobby", "-f", "--json") as tail:
            assert next_notice(tail)["text"] == "before"
            plug.pull()
            lines = [f"line {number}" for number in range(700)]  # a session keeps 200
            run(server.address, "send", "lobby", typed="\n".join(lines))
            plug.put_back()
            assert [next_notice(tail).get("text") for _ in lines] == lines


def test_what_is_not_kept_at_all_is_a_gap() -> None:
    with (
        running_server("--rooms", "lobby", "--flood-rate", "0", "--in-memory") as server,
        cable_to(server.address) as plug,
    ):
        run(server.address, "send", "lobby", "before")
        with (
            started(plug.address, "tail", "lobby", "-f", "--json") as tail,
            started(plug.address, "tail", "lobby", "-f") as plain,
        ):
            assert next_notice(tail)["text"] == "before"
            assert next_line(plain).endswith(": before")
            plug.pull()
            lines = [f"line {number}" for number in range(300)]  # a room keeps 200
            run(server.address, "send", "lobby", typed="\n".join(lines))
            plug.put_back()
            assert next_notice(tail)["type"] == "gap"
            assert next_line(plain) == "* Some of what was said in lobby is not to be had any more"
            assert [next_notice(tail)["text"] for _ in range(200)] == lines[100:]


def test_what_is_taken_back_is_told_to_who_follows(server: Server) -> None:
    run(server.address, "send", "lobby", "before")
    with started(server.address, "tail", "lobby", "-f", "--json") as tail:
        next_notice(tail)
        subprocess.run(
            [CLIENT, server.address, "--nick", "ada", "--room", "lobby"],
            input=b"oops\n/redact\n",
            timeout=LIMIT_SECONDS,
            check=True,
            stdout=subprocess.DEVNULL,
        )
        said, redacted = next_notice(tail), next_notice(tail)
    assert (said["text"], redacted["type"]) == ("oops", "redacted")
    assert redacted["seq"] == said["seq"]


def test_who_is_put_out_of_the_room_is_told_so_and_ends(server: Server) -> None:
    host = subprocess.Popen(
        [CLIENT, server.address, "--nick", "ada", "--room", "tea", "--json"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with host:
        while next_notice(host)["type"] != "entered":
            pass
        with started(server.address, "tail", "tea", "-f", "--nick", "ear") as tail:
            while next_notice(host)["type"] != "joined":
                pass
            host.communicate("/kick ear\n", timeout=LIMIT_SECONDS)
            assert rest(tail) == ("", "tcpchat-client: ada put you out of tea\n")
            assert tail.returncode == exits.FAILED


# ── What both have in common ─────────────────────────────────────────────────────────────────────


def test_the_words_that_choose_a_tool_are_the_tools() -> None:
    assert set(WORDS) == set(TOOLS)


def test_a_profile_is_a_server_too(server: Server, own_home: Path) -> None:
    settings = own_home / ".config" / "tcpchat"
    settings.mkdir(parents=True)
    profile = f'[profiles.work]\nservers = ["{server.address}"]\nnick = "ada"\n'
    (settings / "client.toml").write_text(profile)
    assert run("work", "send", "lobby", "hello").returncode == exits.DONE
    assert run("work", "tail", "lobby").stdout == "[lobby] ada: hello\n"


def test_whose_nick_is_in_use_comes_as_a_guest_unless_it_was_given_by_the_flag(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TCPCHAT_NICK", "ada")
    with started(server.address, "tail", "lobby", "-f") as mine:  # ada, who is there
        assert run(server.address, "send", "lobby", "--nick", "bob", "begin").returncode == 0
        assert next_line(mine) == "[lobby] bob: begin"
        sent = run(server.address, "send", "lobby", "--json", typed="a\nb\n")
        assert sent.returncode == exits.DONE
        told = re.fullmatch(
            "tcpchat-client: the nickname ada is taken; what is said comes from (guest.*)\n",
            sent.stderr,
        )
        assert told, sent.stderr
        assert [json.loads(line)["type"] for line in sent.stdout.splitlines()] == ["sent"] * 2
        assert next_line(mine) == f"[lobby] {told[1]}: a"
        read = run(server.address, "tail", "lobby", "--lines", "1")
        assert (read.returncode, read.stderr) == (exits.DONE, "")
        assert read.stdout == f"[lobby] {told[1]}: b\n"
        for tool in (["send", "lobby", "not said"], ["tail", "lobby"]):
            refused = run(server.address, *tool, "--nick", "ada")
            assert (refused.returncode, refused.stdout) == (exits.FAILED, "")
            assert re.fullmatch("tcpchat-client: the nickname ada is taken\n", refused.stderr)


def test_a_server_that_is_called_as_a_tool_is_reached_with_its_port() -> None:
    done = subprocess.run(
        [CLIENT, "send:1"], capture_output=True, text=True, timeout=LIMIT_SECONDS, check=False,
        stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert done.returncode == exits.FAILED
    assert "cannot find send" in done.stderr


@pytest.mark.parametrize("tool", TOOLS)
def test_a_tool_loads_nothing_that_only_a_terminal_needs(server: Server, tool: str) -> None:
    run(server.address, "send", "lobby", "said")
    program = "import sys; from tcpchat_cli.client import main; sys.exit(main())"
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-c", program, tool, "lobby", "--server",
         server.address],
        capture_output=True,
        text=True,
        timeout=LIMIT_SECONDS,
        check=True,
        stdin=subprocess.DEVNULL,
    )  # fmt: skip
    loaded = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "tcpchat_cli.terminal.connection" in loaded
    assert not {each for each in loaded if each.partition(".")[0] in {"prompt_toolkit", "shtab"}}


# ── Whoever reads what they print ────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize(
    ("arguments", "status", "complaint"),
    [
        (["tail", "lobby", "-f", "--server"], exits.DONE, ""),
        (["tail", "lobby", "--server"], exits.LOST, "not all was printed"),
        (["--room", "lobby", "--json"], exits.FAILED, "not all that was told was printed"),
        (["--room", "lobby"], exits.FAILED, "not all that was told was printed"),
    ],
)
def test_a_signal_is_heard_while_nobody_takes_what_is_printed(
    server: Server, arguments: list[str], status: int, complaint: str, number: signal.Signals
) -> None:
    lines = "\n".join(f"{number} {'x' * 1_900}" for number in range(10))
    assert run(server.address, "send", "lobby", typed=lines).returncode == exits.DONE
    reader, writer = os.pipe()
    fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4_096)  # a fifth of what there is to print
    with subprocess.Popen(
        [CLIENT, *arguments, server.address],
        stdin=subprocess.PIPE,
        stdout=writer,
        stderr=subprocess.PIPE,
        text=True,
    ) as client:
        os.close(writer)
        while b"xxx" not in os.read(reader, 4_096):
            pass
        client.send_signal(number)
        assert client.wait(LIMIT_SECONDS) == (
            exits.INTERRUPTED if number == signal.SIGINT else status
        )
        how = "interrupted" if number == signal.SIGINT else f"ended by {number.name}"
        told = f"tcpchat-client: {how}; {complaint}\n" if complaint else ""
        assert client.stderr is not None
        assert client.stderr.read() == told
    os.close(reader)
