"""The container image: it is built here, and run as docs/operating.md says."""

from __future__ import annotations

import json
import os
import socket
import stat
import subprocess
import tarfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tcpchat_core import notices
from tcpchat_net import ChatClient
from tests.cli.terminal import LIMIT_SECONDS
from tests.net.certificates import Authority
from tests.packaging.containers import IMAGE, Container, Podman, lacking, new_name, shared_podman

# Who comes first makes the base and builds the image, which takes a minute on idle cores.
pytestmark = pytest.mark.timeout(1_200)

# What those say who publish the port on their own machine only.
PLAINTEXT = "--env=TCPCHAT_ALLOW_PLAINTEXT=true"

# A room that nobody is in is there for those who come later.
LOBBY = "--env=TCPCHAT_ROOMS=lobby"

Run = Callable[..., Container]


@pytest.fixture(scope="session")
def podman(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Podman]:
    if why := lacking():
        if os.environ.get("CI"):
            pytest.fail(f"{why}, and in CI there has to be one")
        pytest.skip(why)
    folder = tmp_path_factory.getbasetemp()
    # Processes of pytest-xdist have folders of their own beside each other.
    shared = folder.parent if "PYTEST_XDIST_WORKER" in os.environ else folder
    with shared_podman(shared) as podman:
        yield podman


@pytest.fixture
def run(podman: Podman) -> Iterator[Run]:
    """Start a container, of which nothing is left after the test."""
    with ExitStack() as stack:

        def start(*options: str, flags: tuple[str, ...] = ()) -> Container:
            return stack.enter_context(Container(podman, *options, flags=flags))

        yield start


@pytest.fixture
def volume(podman: Podman) -> Iterator[str]:
    """An option that gives a container a folder that outlives it."""
    name = new_name()
    yield f"--volume={name}:/data"
    podman("volume", "rm", "--force", name)


def client(address: str, nick: str) -> ChatClient:
    host, _, port = address.rpartition(":")
    return ChatClient(host, int(port), nick=nick, timeout=LIMIT_SECONDS)


def said_in(room: str, chat: ChatClient) -> list[str]:
    told = chat.history(room).messages
    return [each.text for each in told if isinstance(each, notices.Said)]


def test_people_talk_through_the_published_port_of_a_container_that_may_do_nothing(
    run: Run,
) -> None:
    container = run(PLAINTEXT)
    address = container.read_address()
    with client(address, "ada") as ada, client(address, "bob") as bob:
        ada.join("lobby")
        bob.join("lobby")
        bob.say("lobby", "hello")
        while not isinstance(told := ada.next_notice(LIMIT_SECONDS), notices.Said):
            pass
        assert (told.nick, told.text) == ("bob", "hello")

    status = container.exec("cat", "/proc/1/status")
    assert "\nUid:\t7667\t7667\t7667\t7667\n" in status
    assert "\nCapEff:\t0000000000000000\n" in status


def test_the_machine_has_none_of_the_interfaces_of_its_network(podman: Podman, run: Run) -> None:
    container = run(PLAINTEXT)
    container.read_address()
    bridges = ["ip", "-json", "link", "show", "type", "bridge"]
    theirs, ours = (
        {each["address"] for each in json.loads(subprocess.check_output(command))}
        for command in (podman.inside(*bridges), bridges)
    )
    assert theirs
    assert not theirs & ours


def test_what_was_said_is_there_in_the_next_container(run: Run, volume: str) -> None:
    first = run(volume, PLAINTEXT, LOBBY)
    with client(first.read_address(), "ada") as ada:
        ada.join("lobby")
        ada.say("lobby", "kept over a restart")
    assert first.stop() == 0

    second = run(volume, PLAINTEXT, LOBBY)
    with client(second.read_address(), "bob") as bob:
        bob.join("lobby")
        assert "kept over a restart" in said_in("lobby", bob)


def test_sigterm_ends_it_at_once_though_it_is_the_first_process(run: Run) -> None:
    container = run(PLAINTEXT)
    container.read_address()
    container.signal("TERM")
    assert container.wait() == 0
    assert "event=stopping" in container.log_so_far()


def test_it_is_healthy_while_it_serves(run: Run) -> None:
    container = run(PLAINTEXT)
    container.read_address()
    container.wait_until_healthy()

    container.signal("STOP")
    assert not container.is_healthy()


def test_it_does_not_serve_what_others_could_read_along_without_being_told_to(run: Run) -> None:
    container = run()
    assert container.wait() == 1
    assert "give --tls-cert and --tls-key, or --allow-plaintext" in container.log_so_far()


def test_a_certificate_is_mounted_and_renewed_by_sighup(run: Run, tmp_path: Path) -> None:
    authority = Authority()
    files = authority.issue(tmp_path / "tls")
    files.key.chmod(0o644)  # the user 7667 reads it
    tmp_path.chmod(0o755)
    container = run(
        f"--volume={files.cert.parent}:/tls:ro",
        "--env=TCPCHAT_TLS_CERT=/tls/cert.pem",
        "--env=TCPCHAT_TLS_KEY=/tls/key.pem",
    )
    address = container.read_address()
    first = certificate(address, authority)
    container.wait_until_healthy()

    files.write(authority.leaf())
    container.signal("HUP")
    while certificate(address, authority) == first:
        pass


def certificate(address: str, authority: Authority) -> bytes | None:
    """What a server shows to who connects."""
    host, _, port = address.rpartition(":")
    with (
        socket.create_connection((host, int(port)), timeout=LIMIT_SECONDS) as sock,
        authority.client().wrap_socket(sock, server_hostname="localhost") as tls,
    ):
        return tls.getpeercert(binary_form=True)


def test_its_folder_is_backed_up_from_inside_and_restored(
    podman: Podman, run: Run, volume: str, tmp_path: Path
) -> None:
    container = run(volume, PLAINTEXT, LOBBY)
    with client(container.read_address(), "ada") as ada:
        ada.join("lobby")
        ada.say("lobby", "kept in a backup")
    container.exec("tcpchat-server", "backup", "/data", "/data/backup.tar")
    backup = tmp_path / "backup.tar"
    podman("cp", f"{container.name}:/data/backup.tar", str(backup))
    assert stat.S_IMODE(backup.stat().st_mode) == 0o600
    assert container.stop() == 0

    folder = tmp_path / "restored"
    folder.mkdir(mode=0o700)
    with tarfile.open(backup) as tar:
        tar.extractall(folder, filter="data")
    for each in (folder, *folder.iterdir()):
        os.chown(each, 7667, 7667)
    tmp_path.chmod(0o755)
    other = run(f"--volume={folder}:/data", PLAINTEXT, LOBBY)
    with client(other.read_address(), "bob") as bob:
        bob.join("lobby")
        assert "kept in a backup" in said_in("lobby", bob)


def test_its_owner_makes_an_account_from_inside(run: Run) -> None:
    container = run(PLAINTEXT)
    container.read_address()
    told = container.exec("tcpchat-server", "admin", "--data", "/data", "invite", "ada")
    assert "ada" in told


def test_it_says_of_itself_what_it_is(podman: Podman) -> None:
    [image] = json.loads(podman("image", "inspect", IMAGE))
    config = image["Config"]
    assert config["User"] == "7667:7667"
    assert config["StopSignal"] == "SIGTERM"
    assert config["Volumes"] == {"/data": {}}
    assert set(config["ExposedPorts"]) == {"7667/tcp", "9667/tcp"}
    assert config["Labels"]["org.opencontainers.image.version"] == "0.0.test"
    assert config["Labels"]["org.opencontainers.image.licenses"] == "MIT"


def test_it_can_be_a_node_of_several_and_tells_its_metrics(podman: Podman) -> None:
    podman("run", "--rm", "--entrypoint=python3", IMAGE, "-c", "import hiredis, prometheus_client")
