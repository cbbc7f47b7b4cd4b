"""The installed tcpchat-server, as whoever runs it meets it."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryFile

import pytest
from tcpchat_cli.announcing import announce, page_address
from tcpchat_cli.settings import Settings

from tcpchat_core import VERSION
from tests.cli.serving import (
    FIRST_WORDS,
    ServerProcess,
    Talker,
    environment,
    listening,
    port_of,
    run_server,
)
from tests.cli.terminal import LIMIT_SECONDS, SERVER, Terminal


def test_the_first_lines_say_where_it_listens_and_how_to_join() -> None:
    with listening() as (server, address):
        host, _, port = address.rpartition(":")
        assert host == "127.0.0.1"
        assert [server.read_line() for _ in range(5)] == [
            f"join:  tcpchat-client {address}",
            f"  or:  nc {host} {port}",
            f"  or:  open http://{address}/ in a browser",
            f"kept:  {server.data_home}/tcpchat-server",
            "stop:  Ctrl-C",
        ]


def test_the_first_lines_say_when_nothing_is_kept() -> None:
    with listening("--in-memory", "--no-web") as (server, _address):
        assert [server.read_line() for _ in range(4)][2:] == ["kept:  nothing", "stop:  Ctrl-C"]
        assert not server.data_home.exists()


@pytest.mark.parametrize(
    ("host", "settings", "ways"),
    [
        ("0.0.0.0", Settings(), ["tcpchat-client 127.0.0.1:7000", "nc 127.0.0.1 7000"]),
        (
            "::",
            Settings(tls_cert="cert.pem"),
            [
                "tcpchat-client --tls [::1]:7000",
                "openssl s_client -quiet -connect [::1]:7000",
            ],
        ),
    ],
)
def test_who_listens_on_all_addresses_is_joined_by_one_of_them(
    host: str, settings: Settings, ways: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    announce(host, 7000, settings, kept="nothing")
    told = capsys.readouterr().out.splitlines()
    assert [line.split(":", 1)[1].strip() for line in told[1:3]] == ways


@pytest.mark.parametrize(
    ("host", "settings", "address"),
    [
        ("127.0.0.1", Settings(), "http://127.0.0.1:7667/"),
        ("0.0.0.0", Settings(web_host=("chat.example",)), "http://127.0.0.1:7667/"),
        ("::", Settings(), "http://[::1]:7667/"),
        ("0.0.0.0", Settings(tls_cert="cert.pem"), "https://127.0.0.1:7667/"),
        (
            "0.0.0.0",
            Settings(tls_cert="cert.pem", web_host=("chat.example", "chat")),
            "https://chat.example:7667/",
        ),
    ],
)
def test_the_page_is_where_a_browser_on_this_machine_finds_it(
    host: str, settings: Settings, address: str
) -> None:
    assert page_address(host, 7667, settings) == address


@pytest.mark.parametrize(("flags", "is_there"), [((), True), (("--no-web",), False)])
def test_a_browser_is_answered_unless_that_is_not_wanted(
    flags: tuple[str, ...], is_there: bool
) -> None:
    with (
        listening("--in-memory", "--web-host", "chat.example", *flags) as (_server, address),
        Talker(address, "GET / HTTP/1.1\r\nHost: chat.example\r\n\r\n") as browser,
    ):
        first, *_ = browser.read_to_end()
        assert first.startswith("HTTP/1.1 200 OK") == is_there


# ── What is wrong is said in one sentence ────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("arguments", "status", "sentence"),
    [
        (["--bogus"], 2, r"unrecognized arguments: --bogus .*"),
        (["--port", "70000"], 2, r"argument --port: .*70000.*"),
        (["--port", "-1"], 2, r"argument --port: .*"),
        (["--port", "chat"], 2, r"argument --port: .*chat.*"),
        (["--log-level", "loud"], 2, r"argument --log-level: .*loud.*"),
        (["--host", "nowhere.invalid"], 1, r"cannot listen on nowhere.invalid:.*no such host"),
        (["--host", "192.0.2.1", "--allow-plaintext"], 1, r"cannot listen .* does not have .*"),
        (["--motd", "/nowhere/motd"], 1, r"--motd /nowhere/motd: .*No such file or directory"),
        (["--motd", "/"], 1, r"--motd /: .*Is a directory"),
    ],
)
def test_what_cannot_be_is_said_in_one_sentence(
    arguments: list[str], status: int, sentence: str
) -> None:
    code, output, log = run_server(["--port", "0", *arguments])
    assert (code, output) == (status, "")
    assert re.fullmatch(rf"tcpchat-server: {sentence}\n", log), log


def test_a_port_in_use_is_said_in_one_sentence() -> None:
    with socket.create_server(("127.0.0.1", 0)) as holder:
        port = holder.getsockname()[1]
        code, output, log = run_server(["--port", str(port)])
    assert (code, output) == (1, "")
    assert log == (
        f"tcpchat-server: cannot listen on 127.0.0.1:{port}:"
        " the port is in use; choose another with --port\n"
    )


@pytest.mark.parametrize(
    ("content", "sentence"),
    [(b"caf\xe9\n", "the file is not UTF-8 text"), (b"x" * 16_385, "has more than 16,384 bytes")],
)
def test_a_bad_message_of_the_day_is_said_in_one_sentence(
    tmp_path: Path, content: bytes, sentence: str
) -> None:
    motd = tmp_path / "motd"
    motd.write_bytes(content)
    code, output, log = run_server(["--port", "0", "--motd", str(motd)])
    assert (code, output) == (1, "")
    assert log.startswith(f"tcpchat-server: --motd {motd}: ")
    assert log.endswith(f"{sentence}\n")
    assert log.count("\n") == 1


def test_everybody_who_connects_is_shown_the_message_of_the_day(tmp_path: Path) -> None:
    motd = tmp_path / "motd"
    motd.write_text("Café is at four.\nBring a \x1b[31mcup.\n")
    with listening("--motd", str(motd)) as (_server, address), Talker(address, "/rooms\n") as ada:
        lines = ada.read_until("* There are no rooms yet.")
    assert lines[1:3] == ["* Café is at four.", "* Bring a [31mcup."]


# ── The log ──────────────────────────────────────────────────────────────────────────────────

_SECRET = "xyzzy"


def _chat(address: str) -> None:
    """Somebody comes, is called ada, says a secret in every way there is, and goes."""
    with Talker(address, "/nick ada\n/join lobby\n") as ada:
        ada.send(f"{_SECRET}\n/me {_SECRET}\n/msg ada {_SECRET}\n/topic {_SECRET}\n/{_SECRET}\n")
        ada.send(f"/nick {'x' * 50}{_SECRET}\n/out tea\n/out\n/quit {_SECRET}\n")
        ada.read_until("* Closing: bye")


def test_the_log_tells_of_comings_and_goings_as_pairs_and_not_what_people_say() -> None:
    with listening() as (server, address):
        _chat(address)
        server.process.terminate()
        status, output, log = server.wait()
    assert status == 0
    assert _SECRET not in log + output
    for line in log.splitlines():
        assert re.fullmatch(r'(\w+=("([^"\\]|\\.)*"|[^\s"]+)( |$))+', line), line
        assert line.startswith("time=")
    rest = re.sub(r"time=\S+ level=info ", "", log).splitlines()
    data = server.data_home / "tcpchat-server"
    assert rest[:6] == [
        f"event=started version={VERSION} address={address} data={data} node=0",
        "event=connected conn=1.1 nick=guest-1",
        "event=renamed conn=1.1 nick=guest-1 to=ada",
        "event=joined conn=1.1 nick=ada room=lobby",
        "event=left conn=1.1 nick=ada room=lobby",
        "event=gone conn=1.1 nick=ada reason=quit",
    ]
    assert [line.split()[0] for line in rest[6:]] == ["event=stopping", "event=stopped"]


def test_the_log_tells_who_did_what_to_whom() -> None:
    with (
        listening() as (server, address),
        Talker(address, "/nick ada\n/join tea\n") as ada,
        Talker(address, "") as bob,
    ):
        ada.read_until("* You joined tea")
        bob.send("/nick bob\n/join tea\n")
        ada.read_until("* bob joined tea")
        ada.send(f"/mute bob 1m {_SECRET}\n/unmute bob\n/kick bob\n")
        bob.read_until("* You were put out of tea by ada")
        bob.send("/join tea\n")
        ada.read_until("* bob joined tea")
        ada.send(f"/ban bob 1h {_SECRET}\n")
        bob.read_until(f"* You were banned from tea for 1 h, by ada ({_SECRET})")
        server.process.terminate()
        status, output, log = server.wait()
    assert status == 0
    assert _SECRET not in log + output
    assert re.findall("event=(.*) by=ada", log) == [
        "restricted conn=1.2 nick=bob room=tea what=mute",
        "lifted conn=1.2 nick=bob room=tea what=mute",
        "expelled conn=1.2 nick=bob room=tea",
        "restricted conn=1.2 nick=bob room=tea what=ban",
    ]
    assert "event=left" not in log


def test_the_log_tells_how_one_talks_in_a_room_and_not_the_secret_of_it() -> None:
    with listening() as (server, address):
        typed = f"/nick ada\n/join tea\n/slow 10s\n/secret {_SECRET}\n/private off\n/slow off\n"
        with Talker(address, f"{typed}/quit\n") as ada:
            ada.read_until("* Closing: bye")
        log = server.log_so_far()
    assert _SECRET not in log
    assert re.findall("event=mode conn=1.1 nick=ada room=tea mode=(.*)", log) == [
        '"slow (one line in 10 s)"',
        '"private, slow (one line in 10 s)"',
        '"slow (one line in 10 s)"',
        "open",
    ]


def test_the_log_tells_of_sessions_that_are_lost_and_resumed() -> None:
    with listening() as (server, address):
        with Talker(address, '{"type":"hello"}\n') as ada:
            [welcome] = ada.read_until('{"type":"welcome"')
        server.wait_until(lambda: "event=lost" in server.log_so_far())
        hello = {"type": "hello", "token": json.loads(welcome)["token"]}
        with Talker(address, json.dumps(hello) + "\n") as ada:
            ada.read_until('{"type":"resumed"')
            ada.send('{"type":"join","room":"lobby"}\n{"type":"quit"}\n')
            ada.read_until('{"type":"closing"')
        log = server.log_so_far()
    assert [line.partition("event=")[2] for line in log.splitlines()][1:] == [
        "connected conn=1.1 nick=guest-1",
        'lost conn=1.1 nick=guest-1 reason="connection closed"',
        "resumed conn=1.2 nick=guest-1",
        "joined conn=1.2 nick=guest-1 room=lobby",
        "gone conn=1.2 nick=guest-1 reason=quit",
    ]


@pytest.mark.parametrize(("env", "is_coloured"), [({}, True), ({"NO_COLOR": "1"}, False)])
def test_on_a_terminal_the_log_is_coloured_unless_that_is_not_wanted(
    env: dict[str, str], is_coloured: bool
) -> None:
    with Terminal([SERVER, "--port", "0"], env=env) as terminal:
        terminal.wait_for("stop:  Ctrl-C")
        _chat(terminal.rows[0].removeprefix(FIRST_WORDS))
        terminal.wait_for("gone")
        assert (b"\x1b[" in terminal.output) == is_coloured
        assert _SECRET not in terminal.text
        if is_coloured:
            assert terminal.style("lobby").fg != terminal.style("ada").fg
        terminal.type("\x03")
        assert terminal.wait_for_exit() == 0


# ── How it ends ──────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_well_and_everybody_is_told(number: signal.Signals) -> None:
    with listening() as (server, address), Talker(address, "/join lobby\n") as ada:
        ada.read_until("* You joined lobby")
        server.process.send_signal(number)
        assert ada.read_to_end() == ["* Closing: the server is shutting down"]
        ada.__exit__()
        status, _output, log = server.wait()
        assert status == 0
        assert "Traceback" not in log


def test_a_second_ctrl_c_ends_the_waiting_for_those_who_do_not_close() -> None:
    with listening() as (server, address), Talker(address, "/join lobby\n") as ada:
        ada.read_until("* You joined lobby")
        server.process.send_signal(signal.SIGINT)
        ada.read_until("* Closing")  # it waits now for this side to close
        server.process.send_signal(signal.SIGINT)
        status, _output, log = server.wait()
        assert status == 0
        assert "Traceback" not in log


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("loaded", ["gevent", "msgspec"])
def test_a_signal_while_it_starts_ends_it_well(loaded: str, number: signal.Signals) -> None:
    with ServerProcess("--port", "0") as server:
        server.wait_until(lambda: server.has_loaded(loaded))
        server.process.send_signal(number)
        status, _output, log = server.wait()
    assert status == 0
    assert "Traceback" not in log


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_it_waits_for_a_file_ends_it_at_once(
    number: signal.Signals, tmp_path: Path
) -> None:
    motd = tmp_path / "motd"
    os.mkfifo(motd)
    opened: list[int] = []

    def open_it() -> bool:
        with suppress(OSError):  # nobody reads it yet
            opened.append(os.open(motd, os.O_WRONLY | os.O_NONBLOCK))
        return bool(opened)

    with ServerProcess("--port", "0", "--motd", str(motd)) as server:
        server.wait_until(open_it)
        server.process.send_signal(number)  # it reads, and nothing will ever come
        assert server.wait() == (0, "", "")
    os.close(*opened)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_that_comes_just_before_a_wait_ends_it_too(number: signal.Signals) -> None:
    # The wait is not interrupted, as when the signal came before it; nothing is ever to be read.
    program = (
        "import os, signal, sys; from tcpchat_cli.stopping import end_at_once; end_at_once();"
        "signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM});"
        "print('waits', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as waiting:
        assert waiting.stdout is not None
        assert waiting.stdout.readline() == b"waits\n"
        waiting.send_signal(number)
        assert waiting.wait(LIMIT_SECONDS) == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_it_reads_a_long_log_ends_it_at_once(number: signal.Signals) -> None:
    program = (
        "import itertools\n"
        "from tcpchat_cli import keeping, server\n"
        "def recover(*_, **__):\n"
        "    print('reading', flush=True)\n"
        "    for _ in itertools.count():\n"
        "        pass\n"
        "keeping.recover = recover\n"
        "server.main()\n"
    )
    with (
        TemporaryFile() as log,
        subprocess.Popen(
            [sys.executable, "-c", program, "--port", "0"],
            stdout=subprocess.PIPE,
            stderr=log,
            env=environment(),
        ) as process,
    ):
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"reading\n"
            process.send_signal(number)
            assert process.wait(5) == 0
            assert process.stdout.read() == b""
        finally:
            process.kill()
        log.seek(0)
        assert log.read() == b""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_as_soon_as_it_listens_ends_it_well(number: signal.Signals) -> None:
    with listening() as (server, _address):
        server.process.send_signal(number)
        status, _output, log = server.wait()
    assert status == 0
    assert "Traceback" not in log


# ── Where its output goes ────────────────────────────────────────────────────────────────────


def test_a_reader_that_takes_only_the_first_line_does_not_end_it() -> None:
    with listening() as (server, address):
        assert server.process.stdout is not None
        server.process.stdout.close()
        _chat(address)
        server.process.terminate()
        assert server.process.wait(timeout=5) == 0


@pytest.mark.parametrize("redirection", [">&-", "2>&-", ">&- 2>&-", "2>/dev/full"])
def test_it_serves_also_when_nobody_reads_what_it_writes(redirection: str) -> None:
    script = f"exec {SERVER} --port 0 {redirection}"
    process = subprocess.Popen(["sh", "-c", script], env=environment())
    try:
        while process.poll() is None and not (port := port_of(process.pid)):
            os.sched_yield()
        _chat(f"127.0.0.1:{port}")
        process.terminate()
        assert process.wait(timeout=5) == 0
    finally:
        process.kill()
        process.wait()
