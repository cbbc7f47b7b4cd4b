"""SIGHUP: settings are read again, and hold for who is there and for who comes."""

from __future__ import annotations

import os
import pty
import re
import signal
import socket
import ssl
import subprocess
from pathlib import Path
from typing import Any, Self

import pytest
from tcpchat_cli import preparing
from tcpchat_cli.reloading import changes
from tcpchat_cli.settings import TABLE, Settings

from tcpchat_core import events, notices
from tcpchat_core.dialects.jsonl import decode_notice, encode_request
from tcpchat_net.tls import server_context
from tests.cli.serving import ServerProcess, Talker, environment
from tests.cli.terminal import LIMIT_SECONDS, SERVER, Terminal
from tests.net.certificates import Authority


class Reloading(ServerProcess):
    """A server with a configuration file, which is written anew while it runs."""

    def __init__(self, folder: Path, text: str, *arguments: str, **env: str) -> None:
        self._file = folder / "chat.toml"
        self._file.write_text(text)
        flags = ("--config", str(self._file), "--port", "0", "--in-memory")
        super().__init__(*flags, *arguments, env=env)
        self.address = self.read_address()

    def reload(self, text: str, told: str = "event=reloaded changed=") -> str:
        """The file says something else, and the server reads it. Returns the line that tells so."""
        self._file.write_text(text)
        return self.hang_up(told)

    def hang_up(self, told: str = "event=reloaded changed=") -> str:
        """Have the settings read again. Returns the line with a text, which is logged then."""
        before = len(self.log_so_far())
        self.process.send_signal(signal.SIGHUP)
        line = re.compile(rf".*{re.escape(told)}.*\n")
        self.wait_until(lambda: bool(line.search(self.log_so_far(), before)))
        found = line.search(self.log_so_far(), before)
        assert found is not None, self.log_so_far()
        return found[0]


def quoted(path: Path) -> str:
    """A path as it stands in a line of the log, where a value is quoted once more."""
    return f'\\"{path}\\"'


class Program:
    """Somebody who speaks JSON Lines."""

    def __init__(self, address: str, context: ssl.SSLContext | None = None) -> None:
        host, _, port = address.rpartition(":")
        sock = socket.create_connection((host, int(port)), timeout=LIMIT_SECONDS)
        self.sock = sock if context is None else context.wrap_socket(sock, server_hostname=host)
        self._file = self.sock.makefile("rb")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self._file.close()
        self.sock.close()

    def ask(self, *requests: Any) -> None:
        self.sock.sendall(b"".join(map(encode_request, requests)))

    def next(self, kind: type[Any]) -> Any:
        """The next notice of a kind."""
        for line in self._file:
            if isinstance(notice := decode_notice(line), kind):
                return notice
        raise AssertionError("the connection has ended")

    def welcome(self, password: str = "") -> notices.Welcome:
        self.ask(events.Hello(password=password))
        told = self.next(notices.Welcome)
        assert isinstance(told, notices.Welcome)
        return told


def content(path: Path) -> bytes:
    """What is in a file, which may be gone by now."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return b""


def refusal(address: str, first: str = "{}\n") -> str:
    """What one who is refused is told."""
    with Talker(address, first) as talker:
        return "\n".join(talker.read_to_end())


# ── What holds at once ───────────────────────────────────────────────────────────────────────────


def test_the_lines_of_the_day_are_read_anew_by_the_same_name_too(tmp_path: Path) -> None:
    motd = tmp_path / "motd"
    motd.write_text("Tea is at four.\n")
    text = f'motd = "{motd}"\n'
    with Reloading(tmp_path, text) as server, Program(server.address) as program:
        assert program.welcome().motd == ("Tea is at four.",)
        motd.write_text("Tea is at five.\n")
        assert 'changed="motd read anew"' in server.hang_up()
        with Program(server.address) as other:
            assert other.welcome().motd == ("Tea is at five.",)
        program.ask(events.Ping())
        program.next(notices.Ponged)
        server.hang_up("event=reloaded changed=nothing")


def test_the_limits_hold_for_who_is_there_and_for_who_comes(tmp_path: Path) -> None:
    with Reloading(tmp_path, "flood-rate = 0") as server, Program(server.address) as program:
        limits = program.welcome().limits
        assert limits is not None
        assert limits.flood_rate == 0
        told = server.reload(
            "flood-rate = 1\nflood-burst = 3\nping-after = 0.1\ndrop-after = 7.5\ngrace = 0"
        )
        assert "flood-burst 20 → 3, flood-rate 0 → 1, ping-after 90 → 0.1, " in told
        program.next(notices.Pinged)  # who was there is asked by the new times
        with Program(server.address) as other:
            welcome = other.welcome()
            assert welcome.token == ""
            assert welcome.limits is not None
            assert (welcome.limits.flood_burst, welcome.limits.flood_rate) == (3, 1)


def test_places_are_as_many_as_the_file_says_now_and_nobody_who_is_there_goes(
    tmp_path: Path,
) -> None:
    with Reloading(tmp_path, "") as server, Program(server.address) as program:
        program.welcome()
        server.reload("max-clients = 1")
        assert "the server is full" in refusal(server.address)
        program.ask(events.Ping())
        program.next(notices.Ponged)
        assert "max-clients 1 → 2" in server.reload("max-clients = 2")
        with Program(server.address) as other:
            other.welcome()


def test_what_is_in_the_state_is_changed_by_the_log(tmp_path: Path) -> None:
    with Reloading(tmp_path, 'rooms = ["lobby"]') as server, Program(server.address) as program:
        program.welcome()
        program.ask(events.Join("tea"), events.Join("cake"))
        for _ in range(2):
            program.next(notices.Entered)
        told = server.reload('rooms = ["lobby", "help"]\nrooms-per-person = 1')
        assert 'rooms [\\"lobby\\"] → [\\"lobby\\", \\"help\\"]' in told
        assert "rooms-per-person 50 → 1" in told
        program.ask(events.Join("more"))
        assert program.next(notices.Rejected).reason == "too-many-rooms"
        server.reload("guests = false")
        program.ask(events.Say("tea", "hello"))
        assert "only who has an account talks here" in program.next(notices.Rejected).text
        server.reload("")
        program.ask(events.Rooms())
        listed = program.next(notices.RoomList)
        assert {room.room for room in listed.rooms} == {"tea", "cake"}


def test_the_password_is_the_files_of_now_and_never_shown(tmp_path: Path) -> None:
    password = tmp_path / "password"
    password.write_text("sesame\n")
    text = f'password-file = "{password}"'
    with Reloading(tmp_path, text) as server, Program(server.address) as program:
        program.welcome("sesame")
        password.write_text("mellon\n")
        assert 'changed="password-file read anew"' in server.hang_up()
        with Program(server.address) as other:
            other.ask(events.Hello(password="sesame"))
            assert other.next(notices.Rejected).reason == "wrong-password"
        with Program(server.address) as other:
            other.ask(events.Hello(password="mellon"))
            other.next(notices.Welcome)
        program.ask(events.Ping())
        program.next(notices.Ponged)
        log = server.log_so_far()
        assert "sesame" not in log
        assert "mellon" not in log


def test_the_level_of_the_log_can_be_raised_and_who_was_there_is_known(tmp_path: Path) -> None:
    with Reloading(tmp_path, 'log-level = "warning"') as server:
        with Program(server.address) as program:
            program.ask(events.Hello(), events.Nick("ada"))
            program.next(notices.Renamed)
            server.reload('log-level = "info"')
        server.wait_until(lambda: "event=lost" in server.log_so_far())
        assert re.search(r"event=lost conn=\S+ nick=ada", server.log_so_far())


def test_the_certificate_may_be_another_file_and_tls_waits_for_a_restart(tmp_path: Path) -> None:
    authority = Authority()
    files = [authority.issue(tmp_path / name, "127.0.0.1") for name in ("one", "two")]
    text = ['tls-cert = "{}"\ntls-key = "{}"\n'.format(*each) for each in files]

    def serial(address: str) -> str:
        with Program(address, authority.client()) as program:
            assert isinstance(program.sock, ssl.SSLSocket)
            certificate = program.sock.getpeercert()
            assert certificate is not None
            return str(certificate["serialNumber"])

    with Reloading(tmp_path, text[0]) as server:
        first = serial(server.address)
        assert f"tls-cert {quoted(files[0].cert)} → {quoted(files[1].cert)}" in server.reload(
            text[1]
        )
        second = serial(server.address)
        assert second != first
        server.reload("", "a restart is needed for tls-cert ")
        assert serial(server.address) == second


def test_the_page_may_be_switched_off_and_on(tmp_path: Path) -> None:
    request = "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    with Reloading(tmp_path, "") as server:
        assert "200 OK" in refusal(server.address, request)
        server.reload("web = false")
        with Talker(server.address, request) as talker:
            assert not talker.read_until("*")[0].startswith("HTTP")
        server.reload("web = true")
        assert "200 OK" in refusal(server.address, request)


def test_what_was_said_is_forgotten_as_soon_as_the_file_says_so(tmp_path: Path) -> None:
    data = tmp_path / "data"

    def has(text: bytes) -> bool:
        return any(text in content(each) for each in data.glob("*.db*"))

    with (
        Reloading(tmp_path, "", "--no-in-memory", "--data", str(data)) as server,
        Program(server.address) as program,
    ):
        program.welcome()
        program.ask(events.Join("lobby"), events.Say("lobby", "xyzzy"))
        program.next(notices.Sent)
        assert has(b"xyzzy")
        server.reload('keep = "1s"')
        server.wait_until(lambda: not has(b"xyzzy"))
        assert server.process.poll() is None


# ── What wins, and what cannot be ────────────────────────────────────────────────────────────────


def test_a_flag_and_a_variable_still_win_over_the_file(tmp_path: Path) -> None:
    with Reloading(
        tmp_path, "", "--flood-burst", "7", TCPCHAT_FLOOD_RATE="3", TCPCHAT_GRACE="9"
    ) as server:
        text = "flood-burst = 1\nflood-rate = 1\ngrace = 1"
        server.reload(text, "event=reloaded changed=nothing")
        with Program(server.address) as program:
            limits = program.welcome().limits
            assert limits is not None
            assert (limits.flood_burst, limits.flood_rate, limits.grace_ms) == (7, 3, 9_000)


def test_a_file_that_is_wrong_changes_nothing_at_all(tmp_path: Path) -> None:
    with Reloading(tmp_path, "grace = 9") as server:
        for text, sentence in (
            ("grace = 7\nflood-rate = 'fast'", 'flood-rate = \\"fast\\" is not a whole number'),
            ("grace = 7\nmotd = '/no/where'", "--motd /no/where: cannot read the file"),
            ("grace = 7\nlog = 'valkey://a'\nkeep = '1d'", "leave --keep out"),
            ("grace = 7\nnonsense", "not TOML"),
        ):
            assert sentence in server.reload(text, "the old settings stay in use: ")
        assert "event=reloaded" not in server.log_so_far()
        with Program(server.address) as program:
            limits = program.welcome().limits
            assert limits is not None
            assert limits.grace_ms == 9_000


def test_a_file_that_is_a_pipe_is_read_once_and_nothing_is_lifted_by_its_end(
    tmp_path: Path,
) -> None:
    (tmp_path / "password").write_text("sesame\n")
    read, write = os.pipe()
    os.write(write, f'password-file = "{tmp_path / "password"}"\n'.encode())
    os.close(write)
    file = f"/proc/{os.getpid()}/fd/{read}"  # as a shell's <(…)
    flags = ("--config", file, "--port", "0", "--in-memory")
    with ServerProcess(*flags) as server:
        address = server.read_address()
        os.close(read)
        server.process.send_signal(signal.SIGHUP)
        server.wait_until(lambda: "the old settings stay in use" in server.log_so_far())
        with Program(address) as program:
            program.ask(events.Hello())
            assert program.next(notices.Rejected).reason == "password-needed"


@pytest.mark.parametrize("key", ["motd", "password-file", "tls-cert"])
def test_a_pipe_without_a_writer_keeps_nobody_waiting(tmp_path: Path, key: str) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    wrong = f'{key} = "{pipe}"\n' + (f'tls-key = "{pipe}"\n' if key == "tls-cert" else "")
    with Reloading(tmp_path, "") as server:
        told = server.reload(wrong, "the old settings stay in use: ")
        assert f"--{key} {pipe}: what is no file on a disk is read at a start only" in told
        (tmp_path / "chat.toml").unlink()
        (tmp_path / "chat.toml").symlink_to(pipe)
        assert "read at a start only" in server.hang_up("the old settings stay in use: --config")
        with Program(server.address) as program:
            program.welcome()


def test_nothing_is_no_pipe(tmp_path: Path) -> None:
    with Reloading(tmp_path, "") as server:
        assert 'motd \\"\\" → \\"/dev/null\\"' in server.reload('motd = "/dev/null"')


def test_a_certificate_that_is_gone_while_it_is_read_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = Authority().issue(tmp_path / "one", "127.0.0.1")

    def replaced(certificate: str, key: str) -> ssl.SSLContext:
        context = server_context(certificate, key)
        files.cert.unlink()
        return context

    monkeypatch.setattr(preparing, "server_context", replaced)
    settings = Settings(tls_cert=str(files.cert), tls_key=str(files.key))
    assert preparing.prepare(settings)[1] == []
    _, problems = preparing.prepare(settings)
    assert problems == [f"cannot read {files.cert}: No such file or directory"]


def test_a_hangup_before_anybody_is_served_is_a_reload_as_soon_as_somebody_is(
    tmp_path: Path,
) -> None:
    pipe = tmp_path / "password"
    os.mkfifo(pipe)
    flags = ("--port", "0", "--in-memory", "--password-file", str(pipe))
    with ServerProcess(*flags) as server:
        with pipe.open("w") as file:  # it has opened the other end, and reads
            server.process.send_signal(signal.SIGHUP)
            file.write("sesame\n")
        server.read_address()
        server.wait_until(lambda: "the old settings stay in use" in server.log_so_far())
        assert server.process.poll() is None


def test_a_server_that_stops_reads_nothing_again(tmp_path: Path) -> None:
    with Reloading(tmp_path, "") as server:
        with Program(server.address) as program:
            program.welcome()
            server.process.terminate()
            program.next(notices.Closing)  # and it waits for this one to close its side
            server.process.send_signal(signal.SIGHUP)
        status, _, log = server.wait()
    assert status == 0
    assert "event=stopping" in log
    assert "reloaded" not in log


def test_what_needs_a_restart_is_told_each_time_and_the_rest_holds(tmp_path: Path) -> None:
    with Reloading(tmp_path, "") as server:
        for grace in (7, 8):
            text = f'host = "127.0.0.9"\nworkers = 2\nlog = "valkey://me:sesame@a"\ngrace = {grace}'
            told = server.reload(text, "a restart is needed for ")
            assert (
                'host \\"127.0.0.1\\" → \\"127.0.0.9\\",'
                ' log \\"\\" → \\"valkey://me:***@a\\", workers 1 → 2'
            ) in told
            assert f"→ {grace}" in server.log_so_far()


def test_for_how_long_another_log_is_kept_waits_for_that_log() -> None:
    shared, own = Settings(log="valkey://a"), Settings(keep="90d", grace=7)
    changed = changes(shared, own)
    assert (changed.settings.log, changed.settings.keep) == ("valkey://a", "forever")
    assert [*changed.made] == ["grace"]
    assert [*changed.waits] == ["keep", "log"]


@pytest.mark.parametrize("name", TABLE)
def test_every_setting_holds_at_once_or_is_named_as_waiting_for_a_restart(name: str) -> None:
    old = Settings()
    changed = changes(old, Settings(**{name: another(getattr(old, name))}))
    assert [*changed.made, *changed.waits] == [name.replace("_", "-")]
    holds = changed.settings != old
    assert holds == bool(changed.made)
    assert holds == (TABLE[name].reloads and name != "tls_cert")  # TLS is not switched on


def another(value: object) -> Any:
    """Another value of the same type."""
    match value:
        case bool():
            return not value
        case str():
            return f"{value}x"
        case tuple():
            return (*value, "x")
        case _:
            return 7


# ── The terminal ─────────────────────────────────────────────────────────────────────────────────

AT_A_TERMINAL = (SERVER, "--port", "0", "--in-memory")


def test_a_server_whose_terminal_is_closed_ends_well() -> None:
    ours, its = pty.openpty()
    with subprocess.Popen(  # whose session has that terminal, as a shell's has
        ["setsid", "--ctty", *AT_A_TERMINAL], stdin=its, stdout=its, stderr=its, env=environment()
    ) as process:
        os.close(its)
        told = b""
        while b"stop:  Ctrl-C" not in told:
            told += os.read(ours, 4_096)
        os.close(ours)
        assert process.wait(LIMIT_SECONDS) == 0


def test_a_server_at_a_terminal_reads_its_settings_again_while_that_is_there() -> None:
    with Terminal(AT_A_TERMINAL, env=environment()) as terminal:
        terminal.wait_for("stop:  Ctrl-C")
        terminal.child.kill(signal.SIGHUP)
        terminal.wait_for("reloaded changed=nothing")
        terminal.type("\x03")
        assert terminal.wait_for_exit() == 0


def test_a_server_that_nohup_started_goes_on_without_its_terminal(tmp_path: Path) -> None:
    ours, its = pty.openpty()
    log = tmp_path / "log"
    with (
        log.open("w") as file,
        subprocess.Popen(
            ["setsid", "--ctty", "nohup", *AT_A_TERMINAL],
            stdin=its,
            stdout=subprocess.PIPE,
            stderr=file,
            env=environment(),
            text=True,
        ) as process,
    ):
        try:
            assert process.stdout is not None
            address = process.stdout.readline().split()[-1]
            os.close(its)
            os.close(ours)
            process.send_signal(signal.SIGHUP)
            with Talker(address, "/join lobby\n") as talker:
                talker.read_until("* You joined lobby")
            process.terminate()
            process.stdout.read()
            assert process.wait(LIMIT_SECONDS) == 0
        finally:
            process.kill()
    assert "event=stopping" in log.read_text()
    assert "reloaded" not in log.read_text()
