"""packaging/systemd: systemd itself reads the units, and they fit the server that they start."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Final

import pytest
from tcpchat_cli.settings import TABLE, Settings
from tcpchat_cli.workers import END_S

from tcpchat_net.admission import RESERVED_DESCRIPTORS
from tests.cli.terminal import SERVER
from tests.docs.pages import read

UNITS: Final = Path(__file__).parents[2] / "packaging" / "systemd"
SERVICE: Final = (UNITS / "tcpchat.service").read_text()
SOCKET: Final = (UNITS / "tcpchat.socket").read_text()


def values(unit: str, name: str) -> list[str]:
    """What a unit assigns to a name, with the lines that go on joined."""
    return re.findall(rf"^{name}=(.*)$", unit.replace("\\\n", " "), flags=re.MULTILINE)


@pytest.fixture
def installed(tmp_path: Path) -> list[str]:
    """The units as on a machine where the server is what is tested here."""
    for name, unit in (("tcpchat.service", SERVICE), ("tcpchat.socket", SOCKET)):
        text = unit.replace("/opt/tcpchat/bin/tcpchat-server", f'"{SERVER}"')  # it may have blanks
        (tmp_path / name).write_text(text, encoding="utf-8")
    drop_ins = tmp_path / "tcpchat.service.d"
    drop_ins.mkdir()
    shutil.copy(UNITS / "tls.conf", drop_ins)
    return [str(tmp_path / "tcpchat.service"), str(tmp_path / "tcpchat.socket")]


def analyze(*arguments: str) -> tuple[int, str]:
    """What systemd-analyze finds: its status, and what it prints."""
    program = shutil.which("systemd-analyze")
    if program is None:
        if os.environ.get("CI"):
            pytest.fail("there is no systemd-analyze: .ci/run installs it")
        pytest.skip("there is no systemd-analyze")
    done = subprocess.run([program, *arguments], capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


# ── As systemd reads them ────────────────────────────────────────────────────────────────────


def test_systemd_knows_all_that_the_units_say(installed: list[str]) -> None:
    assert analyze("verify", "--man=no", *installed) == (0, "")


def test_the_service_may_do_little_by_systemds_own_account(installed: list[str]) -> None:
    # Of 100; what is left is mostly the network, which a chat has to have.
    status, told = analyze("security", "--offline=yes", "--threshold=15", installed[0])
    assert status == 0, told


# ── As the server means them ─────────────────────────────────────────────────────────────────


def test_the_server_has_the_flags_that_it_is_started_with() -> None:
    [start] = values(SERVICE, "ExecStart")
    flags = [word for word in start.split() if word.startswith("--")]
    assert flags
    for flag in flags:
        assert flag == "--config" or flag[2:].replace("-", "_") in TABLE


def test_what_a_start_would_refuse_a_reload_refuses_and_says_why(tmp_path: Path) -> None:
    [start], [check, _signal] = values(SERVICE, "ExecStart"), values(SERVICE, "ExecReload")
    command = check.removeprefix("sh -c '").removesuffix("'")
    assert command == f"{start} --check-config >/dev/null"

    settings = tmp_path / "server.toml"
    here = {
        "/opt/tcpchat/bin/tcpchat-server": SERVER,
        "/etc/tcpchat/server.toml": settings,
        "/var/lib/tcpchat": tmp_path / "data",
    }
    for path, ours in here.items():
        command = command.replace(path, shlex.quote(str(ours)))

    def reload() -> tuple[int, str, str]:
        done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=False)
        return done.returncode, done.stdout, done.stderr

    settings.write_text("max-clients = 500\n")
    assert reload() == (0, "", "")
    settings.write_text('max-clients = "many"\n')
    status, told, sentence = reload()
    assert (status, told) == (1, "")
    assert "max-clients" in sentence


def test_the_usual_number_of_people_has_descriptors() -> None:
    [limit] = values(SERVICE, "LimitNOFILE")
    assert int(limit) >= Settings().max_clients + RESERVED_DESCRIPTORS


def test_what_measures_the_process_sees_what_it_needs_of_proc() -> None:
    # Without /proc/stat prometheus_client has no `process_…` at all, and says nothing of it.
    assert "pid" not in values(SERVICE, "ProcSubset")


def test_systemd_waits_longer_for_the_end_than_the_server_does_for_its_workers() -> None:
    [timeout] = values(SERVICE, "TimeoutStopSec")
    assert int(timeout.removesuffix("s")) > END_S


def test_the_socket_is_where_the_server_would_listen_and_no_further() -> None:
    usual = Settings()
    assert values(SOCKET, "ListenStream") == [f"{usual.host}:{usual.port}"]


def test_the_page_installs_all_that_is_there_and_nothing_else() -> None:
    page = read("docs/operating.md")
    linked = re.findall(r"share/tcpchat/systemd/([\w.-]+)", page)
    copied = re.findall(r"^sudo install -D -m \d+ ([\w.-]+) ", page, flags=re.MULTILINE)
    assert {*linked, *copied} == {path.name for path in UNITS.iterdir()}


# ── The hook of certbot ──────────────────────────────────────────────────────────────────────


def run_hook(folder: Path, **environ: str) -> str:
    """Run it as certbot does, in a folder that stands for /etc; how it has called systemctl."""
    called, programs = folder / "called", folder / "bin"
    programs.mkdir()
    (programs / "systemctl").write_text(f'#!/bin/sh\necho "$@" >>{called}\n')
    (programs / "systemctl").chmod(0o755)
    group = subprocess.run(["id", "-gn"], capture_output=True, text=True, check=True).stdout
    hook = (UNITS / "certbot-hook").read_text()
    hook = hook.replace("/etc/", f"{folder}/").replace("tcpchat-tls", group.strip())
    path = f"{programs}:{os.environ['PATH']}"
    subprocess.run(["sh", "-c", hook], env={"PATH": path, **environ}, check=True)
    return called.read_text() if called.exists() else ""


@pytest.fixture
def live(tmp_path: Path) -> Path:
    """Where certbot has certificates."""
    folder = tmp_path / "letsencrypt" / "live" / "chat.example.org"
    folder.mkdir(parents=True)
    (folder / "fullchain.pem").write_text("certificate")
    (folder / "privkey.pem").write_text("key")
    return folder


@pytest.mark.parametrize("is_by_hand", [False, True])
def test_a_renewed_certificate_is_copied_for_the_group_and_read_again(
    tmp_path: Path, live: Path, is_by_hand: bool
) -> None:
    environ = {} if is_by_hand else {"RENEWED_LINEAGE": str(live)}
    assert run_hook(tmp_path, **environ) == "try-reload-or-restart tcpchat.service\n"
    copies = tmp_path / "tcpchat" / "tls"
    assert {path.name: path.read_text() for path in copies.iterdir()} == {
        "cert.pem": "certificate",
        "key.pem": "key",
    }
    assert [oct(path.stat().st_mode & 0o777) for path in copies.iterdir()] == ["0o640", "0o640"]
    assert copies.stat().st_mode & 0o777 == 0o750


def test_another_certificate_that_is_renewed_is_not_the_servers(tmp_path: Path, live: Path) -> None:
    assert run_hook(tmp_path, RENEWED_LINEAGE=str(live.with_name("other.example.org"))) == ""
    assert not (tmp_path / "tcpchat").exists()
