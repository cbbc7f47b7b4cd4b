"""--metrics, of the installed server: where it answers, when, and what of what goes wrong."""

from __future__ import annotations

import datetime as dt
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryFile

import pytest

from tests.cli.serving import ServerProcess, Talker, environment, listening, run_server
from tests.cli.terminal import LIMIT_SECONDS
from tests.cluster.ports import HOST, Port
from tests.net.certificates import Authority
from tests.net.crashing import Disk
from tests.net.watching import get, numbers


@contextmanager
def watched(*arguments: str, metrics: str = "0") -> Iterator[tuple[ServerProcess, str, str]]:
    """A server, where it listens, and where its metrics are."""
    with listening("--metrics", metrics, *arguments) as (server, address):
        yield server, address, metrics_line(server)


def metrics_line(server: ServerProcess) -> str:
    """The URL that a server says its metrics are at."""
    lines: list[str] = []
    while not lines or not lines[-1].startswith("stop:"):
        lines.append(server.read_line())
    assert lines[-3].startswith("kept:  ")
    assert lines[-2].startswith("metrics: http://")
    return lines[-2].removeprefix("metrics: ")


def ready(url: str) -> tuple[int, str]:
    return get(url, "/readyz")[:2]


def until(server: ServerProcess, url: str, name: str, value: float) -> None:
    """Look until a number is that."""
    server.wait_until(lambda: numbers(get(url).text)[name] == value)


# ── Where it answers ─────────────────────────────────────────────────────────────────────────────


def test_a_version_that_is_no_number_is_answered_in_the_usual_form_and_not_told_in_the_log() -> (
    None
):
    with watched() as (server, _address, url):
        host, _, port = url.removeprefix("http://").partition("/")[0].rpartition(":")
        for kind in ("application/openmetrics-text", "text/plain"):
            for version in ("x", "1e9", ""):
                with socket.create_connection((host, int(port)), timeout=LIMIT_SECONDS) as sock:
                    accept = f"Accept: {kind};version={version}"
                    sock.sendall(f"GET /metrics HTTP/1.1\r\n{accept}\r\n\r\n".encode())
                    assert sock.makefile("rb").read().startswith(b"HTTP/1.1 200 OK\r\n")
        assert "has failed" not in server.log_so_far()


def test_without_the_flag_there_is_nothing() -> None:
    with listening() as (server, _address):
        lines = [server.read_line() for _ in range(5)]
    assert lines[-1] == "stop:  Ctrl-C"
    assert not any("metrics" in line for line in lines)


def test_the_output_and_the_log_say_where_it_answers() -> None:
    with watched() as (server, _, url):
        where = url.removeprefix("http://").removesuffix("/metrics")
        assert where.startswith("127.0.0.1:")
        assert f"level=info event=metrics address={where}\n" in server.log_so_far()
        page = get(url)
        assert page.status == 200
        assert page.content_type.startswith("text/plain; version=")
        assert get(url, "/healthz")[:2] == (200, "ok\n")
        assert ready(url) == (200, "ready\n")


@pytest.mark.parametrize("address", ["{port}", ":{port}", "127.0.0.1:{port}", "localhost:{port}"])
def test_an_address_may_be_a_port_alone(address: str) -> None:
    with Port() as port:
        given = address.format(port=port.number)
        with watched(metrics=given) as (server, _, url):
            assert url == f"http://127.0.0.1:{port.number}/metrics"
            assert get(url, "/healthz").status == 200
            assert "level=warning" not in server.log_so_far()


def test_an_address_of_ipv6_stands_in_brackets() -> None:
    with watched(metrics="[::1]:0") as (_, _, url):
        assert url.startswith("http://[::1]:")
        assert get(url, "/healthz").status == 200


def test_an_address_that_others_reach_is_served_and_the_log_says_so() -> None:
    with watched(metrics="0.0.0.0:0") as (server, _, url):
        port = url.removeprefix("http://0.0.0.0:").removesuffix("/metrics")
        assert get((HOST, int(port)), "/healthz").status == 200
        told = f'about=metrics text="whoever reaches 0.0.0.0:{port} can read the metrics: '
        assert told in server.log_so_far()


@pytest.mark.parametrize(
    "address",
    [
        "nowhere",
        "127.0.0.1",
        "127.0.0.1:",
        "127.0.0.1:http",
        "::1:9100",
        "[127.0.0.1]:9100",
        "[::1]",
        "9100/metrics",
        "http://127.0.0.1:9100",
        "127.0.0.1:65536",
        "-1",
        "٩١٠٠",
        "a b:9",
    ],
)
def test_what_is_no_address_is_one_sentence_and_status_2(address: str) -> None:
    status, output, log = run_server([f"--metrics={address}"])
    assert (status, output) == (2, "")
    assert log == (
        f"tcpchat-server: argument --metrics: {address!r} is not HOST:PORT, such as 127.0.0.1:9100"
        " or [::1]:9100, or PORT alone (try tcpchat-server --help)\n"
    )


def test_a_port_in_use_is_one_sentence_before_the_log_is_read(tmp_path: Path) -> None:
    with socket.create_server((HOST, 0)) as other:
        port = other.getsockname()[1]
        data = tmp_path / "data"
        arguments = ["--port", "0", "--metrics", str(port), "--data", str(data)]
        status, output, log = run_server(arguments)
        assert (status, output) == (1, "")
        assert log == (
            f"tcpchat-server: cannot listen on 127.0.0.1:{port}: the port is in use; choose another"
            " with --metrics\n"
        )
        assert not data.exists()


@pytest.mark.parametrize(
    ("host", "why"),
    [
        ("192.0.2.1", "this machine does not have that address"),
        ("no-such-host.invalid", "there is no such host"),
    ],
)
def test_an_address_that_cannot_be_had_is_one_sentence(host: str, why: str) -> None:
    status, output, log = run_server(["--port", "0", "--metrics", f"{host}:9100"])
    assert (status, output) == (1, "")
    assert log == f"tcpchat-server: cannot listen on {host}:9100: {why}\n"


def test_workers_beyond_the_last_port_are_one_sentence() -> None:
    arguments = ["--workers", "3", "--log", "valkey://127.0.0.1:1", "--metrics", "65534"]
    assert run_server(arguments) == (
        1,
        "",
        "tcpchat-server: metrics of 3 workers from port 65534 on are beyond port 65535\n",
    )


# A server where that is not installed.
WITHOUT_PACKAGE = (
    "import sys; sys.modules['prometheus_client'] = None;"
    "import tcpchat_cli.server as server; server.main()"
)


def test_without_its_package_it_is_refused_with_how_to_get_it() -> None:
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_PACKAGE, "--port", "0", "--metrics", "0"],
        capture_output=True,
        text=True,
        env=environment(),
        timeout=LIMIT_SECONDS,
        check=False,
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        "tcpchat-server: to serve metrics takes one more package: pip install 'tcpchat[metrics]'\n"
    )


def test_without_its_package_all_else_is_as_ever() -> None:
    with (
        TemporaryFile() as log,
        subprocess.Popen(
            [sys.executable, "-c", WITHOUT_PACKAGE, "--port", "0"],
            stdout=subprocess.PIPE,
            stderr=log,
            env=environment(),
        ) as process,
    ):
        try:
            assert process.stdout is not None
            assert process.stdout.readline().startswith(b"tcpchat-server: listening on ")
        finally:
            process.kill()


# ── While something is not as it should be ───────────────────────────────────────────────────────


def test_while_the_log_is_read_it_is_alive_and_not_ready() -> None:
    held_up = (
        "import sys\n"
        "from tcpchat_cli import keeping, server\n"
        "recover = keeping.recover\n"
        "def wait(*arguments, **options):\n"
        "    sys.stdin.readline()\n"
        "    return recover(*arguments, **options)\n"
        "keeping.recover = wait\n"
        "server.main()\n"
    )
    with (
        Port() as port,
        TemporaryFile() as log,
        subprocess.Popen(
            [sys.executable, "-c", held_up, "--port", "0", "--metrics", str(port.number)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            env=environment(),
        ) as process,
    ):
        assert process.stdin is not None
        assert process.stdout is not None
        where = (HOST, port.number)
        try:
            while process.poll() is None:
                try:
                    assert get(where, "/readyz")[:2] == (503, "the log is being read\n")
                    break
                except ConnectionRefusedError:  # it has not come so far
                    os.sched_yield()
            assert get(where, "/healthz")[:2] == (200, "ok\n")
            told = numbers(get(where, "/metrics").text)
            assert told["tcpchat_ready"] == 0
            assert "tcpchat_rooms" not in told
            process.stdin.write(b"\n")
            process.stdin.flush()
            assert process.stdout.readline().startswith(b"tcpchat-server: listening on ")
            assert get(where, "/readyz")[:2] == (200, "ready\n")
        finally:
            process.kill()


def test_while_it_stops_it_is_alive_and_not_ready() -> None:
    with watched() as (server, address, url), Talker(address, "/join lobby\n") as ada:
        ada.read_until("* You joined lobby")
        server.process.send_signal(signal.SIGTERM)
        ada.read_until("* Closing")  # it waits now for this side to close
        assert ready(url) == (503, "the server is stopping\n")
        assert get(url, "/healthz").status == 200
        server.process.send_signal(signal.SIGTERM)
        status, _, log = server.wait()
        assert status == 0
        assert "Traceback" not in log


def test_while_the_disk_is_full_it_is_alive_and_not_ready(tmp_path: Path) -> None:
    disk = Disk(tmp_path)
    with ServerProcess(
        *("--port", "0", "--metrics", "0", "--data", str(disk.folder)), env=disk.environment
    ) as server:
        address = server.read_address()
        url = metrics_line(server)
        with Talker(address, "/join lobby\n") as ada:
            ada.read_until("* You joined lobby")
            disk.say("full")
            ada.send("hello\n")
            ada.read_until("* the server's disk is full")
            assert ready(url) == (503, "the disk is full\n")
            assert get(url, "/healthz").status == 200
            ada.send("more\n")
            until(server, url, "tcpchat_paused_connections{log}", 1)
            assert numbers(get(url).text)["tcpchat_disk_full"] == 1
            disk.say("full", is_so=False)
            ada.read_until("* there is room again")
            assert ready(url) == (200, "ready\n")
            until(server, url, "tcpchat_messages_total", 2)


# ── What it tells ────────────────────────────────────────────────────────────────────────────────


def test_what_is_kept_is_told_and_the_process_too() -> None:
    with (
        watched() as (server, address, url),
        Talker(address, "/join lobby\nhello\n/rooms\n") as ada,
    ):
        ada.read_until("* lobby (1)")
        until(server, url, "tcpchat_archive_lag_entries", 0)
        told = numbers(get(url).text)
        assert told["tcpchat_log_bytes"] > 0
        assert told["tcpchat_archive_bytes"] > 0
        assert told["tcpchat_snapshot_timestamp_seconds"] > 1_700_000_000
        assert told["tcpchat_log_seconds_count"] > 0
        assert told["tcpchat_log_reachable"] == 1
        assert told["tcpchat_messages_total"] == 1
        assert told["process_resident_memory_bytes"] > 0
        assert told["process_open_fds"] > 0
        assert "tcpchat_tls_expiry_timestamp_seconds" not in told


def test_without_a_folder_nothing_is_told_of_one() -> None:
    with watched("--in-memory") as (_, _, url):
        told = numbers(get(url).text)
        assert "tcpchat_log_bytes" not in told
        assert told["tcpchat_log_reachable"] == 1


def test_the_end_of_a_certificate_is_told_also_when_it_was_renewed(tmp_path: Path) -> None:
    authority = Authority()
    first, second = (dt.datetime(year, 1, 1, tzinfo=dt.UTC) for year in (2051, 2052))
    files = authority.issue(tmp_path, not_after=first)
    with watched("--tls-cert", str(files.cert), "--tls-key", str(files.key)) as (server, _, url):
        name = "tcpchat_tls_expiry_timestamp_seconds"
        assert numbers(get(url).text)[name] == first.timestamp()
        files.write(authority.leaf(not_after=second))
        server.process.send_signal(signal.SIGHUP)
        until(server, url, name, second.timestamp())
