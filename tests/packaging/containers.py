"""The image, built as its Containerfile says, and containers of it, with podman.

Rule 1: Everything is in a storage of its own, and in a network namespace of its own: what there is
        elsewhere on the machine is neither used nor changed. (A browser gives up what it was
        connecting to when an interface appears anywhere: ERR_NETWORK_CHANGED.) Those who test at
        the same time share both, and who is the last removes them.

Rule 2: No registry is asked. The base is made here, of Debian's packages; what else there is to
        install comes from where pip of these tests takes it.
"""

from __future__ import annotations

import fcntl
import os
import re
import resource
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import count
from pathlib import Path
from tempfile import TemporaryFile
from typing import Final, Self

from tests.cli.serving import FIRST_WORDS
from tests.cli.terminal import LIMIT_SECONDS
from tests.docs.pages import ROOT

CONTAINERFILE: Final = ROOT / "packaging/container/Containerfile"

# What a base has to have, as that of the Containerfile does: `apt` brings libstdc++, as in Debian's
# own images.
_PACKAGES: Final = "apt,passwd,python3,python3-venv"
_BASE: Final = "localhost/tcpchat-test-base"
IMAGE: Final = "localhost/tcpchat-test-server"

# All that can be taken from a container, and what the documentation says is not needed.
HARDENED: Final = (
    "--read-only",
    "--read-only-tmpfs=false",
    "--cap-drop=all",
    "--security-opt=no-new-privileges",
)

_NEEDED: Final = ("podman", "runc", "mmdebstrap", "iptables", "ip", "nsenter", "unshare")

# Leads from a socket that it was started with to an address in its network namespace.
_RELAY: Final = Path("/lib/systemd/systemd-socket-proxyd")

# Each test has names of its own, and so has each process that tests.
_numbers = count()


def lacking() -> str:
    """Why there can be no container here; "" when there can."""
    missing = [program for program in _NEEDED if shutil.which(program) is None]
    if missing:
        return f"there is no {' and no '.join(missing)} that an image could be built with"
    if not _RELAY.exists():
        return f"there is no {_RELAY} that could lead to a container"
    return "" if os.geteuid() == 0 else "only root can make the base of the image"


def new_name() -> str:
    """A name for a container or a volume that nobody else has."""
    return f"tcpchat-{os.getpid()}-{next(_numbers)}"


class Podman:
    """podman, with its storage and its network namespace in a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._network = folder / "network"
        self.env = {
            **os.environ,
            "CONTAINERS_CONF": str(folder / "containers.conf"),
            "CONTAINERS_STORAGE_CONF": str(folder / "storage.conf"),
        }

    def set_up(self) -> None:
        """Make the storage, the image in it, and the network."""
        # A machine may allow no more than it allows these tests. runc takes the cgroups as it
        # finds them, crun not those of both versions at once.
        files = min(16_384, resource.getrlimit(resource.RLIMIT_NOFILE)[1])
        Path(self.env["CONTAINERS_CONF"]).write_text(
            "[containers]\n"
            f'default_ulimits = ["nofile={files}:{files}", "nproc=4096:4096"]\n'
            "[engine]\n"
            'runtime = "runc"\n'
            'cgroup_manager = "cgroupfs"\n'
            'events_logger = "file"\n'
        )
        Path(self.env["CONTAINERS_STORAGE_CONF"]).write_text(
            "[storage]\n"
            'driver = "overlay"\n'
            f'graphroot = "{self._folder}/graph"\n'
            f'runroot = "{self._folder}/run"\n'
        )
        self._network.touch()
        subprocess.run(
            ["unshare", f"--net={self._network}", "ip", "link", "set", "lo", "up"], check=True
        )
        self._import_base()
        self._build()

    def remove(self) -> None:
        """Remove the storage and the network."""
        self.tried("system", "reset", "--force")
        subprocess.run(["umount", self._network], check=True)
        shutil.rmtree(self._folder)

    def inside(self, *command: str) -> list[str]:
        """A command line that runs another in the network of the containers."""
        return ["nsenter", f"--net={self._network}", *command]

    def tried(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Have podman do something, whatever comes of it."""
        return self._run(self.inside("podman", *arguments))

    def __call__(self, *arguments: str) -> str:
        """Have podman do something; what it wrote."""
        done = self.tried(*arguments)
        assert done.returncode == 0, f"podman {' '.join(arguments)}: {done.stderr}"
        return done.stdout

    @contextmanager
    def relay(self, address: str) -> Iterator[str]:
        """An address of this machine that leads to one in the network of the containers."""
        with socket.create_server(("127.0.0.1", 0)) as listener:
            near = "{}:{}".format(*listener.getsockname())
            # The sockets that it is given begin with the descriptor 3, and are for who has its pid.
            given = f'LISTEN_FDS=1 LISTEN_PID=$$ exec "$@" 3<&{listener.fileno()}'
            process = subprocess.Popen(
                ["bash", "-c", given, "relay", *self.inside(str(_RELAY), address)],
                pass_fds=[listener.fileno()],
                stdin=subprocess.DEVNULL,
            )
        try:
            yield near
        finally:
            process.kill()
            process.wait()

    def _run(self, command: list[str]) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command,
            env=self.env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )

    def _import_base(self) -> None:
        base = self._folder / "base.tar"
        made = subprocess.run(
            [
                "mmdebstrap",
                "--variant=essential",
                f"--include={_PACKAGES}",
                "--dpkgopt=force-unsafe-io",
                "bookworm",
                base,
            ],
            capture_output=True,
            text=True,
            check=False,
        )
        assert made.returncode == 0, made.stderr
        self("import", str(base), _BASE)
        base.unlink()

    def _build(self) -> None:
        config = self._folder / "pip.conf"
        settings = _pip_settings()
        config.write_text("[global]\n" + "".join(f"{k} = {v}\n" for k, v in settings.items()))
        mounts = {
            f"{config}:/etc/pip.conf:ro",
            *(f"{path}:{path}:ro" for path in _named_paths(" ".join(settings.values()))),
        }
        # In the network of the machine, from which pip comes to where it takes things.
        built = self._run(
            [
                *("podman", "build", "--format=docker", "--network=host"),
                *(f"--volume={mount}" for mount in sorted(mounts)),
                *(f"--build-arg=BASE={_BASE}", "--build-arg=VERSION=0.0.test"),
                *(f"--file={CONTAINERFILE}", f"--tag={IMAGE}", str(ROOT)),
            ]
        )
        assert built.returncode == 0, built.stderr


def _pip_settings() -> dict[str, str]:
    """How pip of these tests is set up, by configuration files and by the environment."""
    listed = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=True
    )
    lines = re.findall(r"^(\S+)\.([a-z-]+)='(.*)'$", listed.stdout, flags=re.MULTILINE)
    # What is in the environment wins.
    lines.sort(key=lambda line: line[0] == ":env:")
    return {key: value for _, key, value in lines}


def _named_paths(settings: str) -> Iterator[Path]:
    """What there is on this machine of what the settings name."""
    for scheme, name in re.findall(r"(?<!\S)(file://)?(/\S+)", settings):
        path = Path(name)
        if path.exists():
            # The files of an index may stand beside it.
            yield path.parent if scheme else path


@contextmanager
def shared_podman(folder: Path) -> Iterator[Podman]:
    """A podman that has the image; its storage is made by the first of those who share the folder,
    and removed by the last.
    """
    podman = Podman(folder / "containers")
    with _users(folder) as users:
        if not users:
            (folder / "containers").mkdir()
            podman.set_up()
        users.append(str(os.getpid()))
    yield podman
    with _users(folder) as users:
        users.remove(str(os.getpid()))
        if not users:
            podman.remove()


@contextmanager
def _users(folder: Path) -> Iterator[list[str]]:
    """Who uses the storage now: a list that is ours alone to change for as long as this takes."""
    with (folder / "containers.users").open("a+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        users = file.read().split()
        yield users
        file.truncate(0)
        file.write("\n".join(users))


class Container:
    """A container in the foreground, which is removed at the end of a test however it is.

    Its log goes to a file: a pipe that nobody reads would be full one day, and the server wait.
    """

    def __init__(self, podman: Podman, *options: str, flags: tuple[str, ...] = ()) -> None:
        self.name = new_name()
        self._podman = podman
        self._log = TemporaryFile("w+")  # noqa: SIM115 # it is open for as long as this
        self._relays = ExitStack()
        self._process = subprocess.Popen(
            podman.inside(
                *("podman", "run", "--rm", f"--name={self.name}", *HARDENED),
                *("--publish=127.0.0.1::7667", *options, IMAGE, *flags),
            ),
            env=podman.env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self._relays.close()
        self._podman.tried("rm", "--force", "--time=0", "--ignore", self.name)
        self._process.kill()
        self._process.communicate()
        self._log.close()

    def read_address(self) -> str:
        """Wait until it listens; what leads to where its port is published."""
        assert self._process.stdout is not None
        first = self._process.stdout.readline()
        assert first == f"{FIRST_WORDS}0.0.0.0:7667\n", (first, self.log_so_far())
        published = self._podman("port", self.name, "7667/tcp").strip()
        return self._relays.enter_context(self._podman.relay(published))

    def exec(self, *command: str) -> str:
        """Run a program in it; what it wrote."""
        return self._podman("exec", self.name, *command)

    def signal(self, name: str) -> None:
        """Send its first process a signal."""
        self._podman("kill", f"--signal={name}", self.name)

    def is_healthy(self) -> bool:
        """What its HEALTHCHECK says now."""
        return self._podman.tried("healthcheck", "run", self.name).returncode == 0

    def wait_until_healthy(self) -> None:
        """Ask until it is."""
        while not self.is_healthy():
            assert self._process.poll() is None, self.log_so_far()

    def stop(self) -> int:
        """End it as `podman stop` does, which kills after ten seconds; its status."""
        self._podman("stop", self.name)
        return self.wait()

    def wait(self) -> int:
        """Wait for its end; its status."""
        self._process.communicate(timeout=LIMIT_SECONDS)
        return self._process.returncode

    def log_so_far(self) -> str:
        """What it has logged by now. (Where it writes next is not changed, as reading would.)"""
        size = os.fstat(self._log.fileno()).st_size
        return os.pread(self._log.fileno(), size, 0).decode()

    def wait_for_log(self, words: str) -> None:
        """Look until that is in its log, or it has ended."""
        while words not in self.log_so_far():
            assert self._process.poll() is None, self.log_so_far()
            os.sched_yield()
