"""How irctest, the test suite of the field, starts a tcpchat-server.

The suite is progval/irctest, which is not in this repository and need not be installed for anything
else here. `python -m tests.irc FOLDER` runs it from a clone, with this, and tells what came of it.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from irctest.basecontrollers import BaseServerController
from irctest.runner import NotImplementedByController
from irctest.specifications import Capabilities

# It stands beside the interpreter that it was installed for, which is the one that runs the suite.
_SERVER: Final = str(Path(sys.executable).with_name("tcpchat-server"))

# All of the suite's clients come from one address, as often and as fast as they like. What is said
# is not kept; what a test wants to find again it has said to a server that still runs.
_FLAGS: Final = ("--allow-plaintext", "--in-memory", "--flood-rate", "0", "--max-per-ip", "10000")


class TcpchatController(BaseServerController):  # type: ignore[misc] # Any, as irctest is not installed
    """One server for each test."""

    software_name = "tcpchat"
    supported_sasl_mechanisms: frozenset[str] = frozenset()
    supports_sts = False
    port_open = False
    # Those that are asked for and are not given fail a test instead of skipping it.
    capabilities = frozenset(
        {
            Capabilities.ECHO_MESSAGE,
            Capabilities.EXTENDED_JOIN,
            Capabilities.MESSAGE_TAGS,
            Capabilities.MULTI_PREFIX,
            Capabilities.SERVER_TIME,
        }
    )
    isupport: Final = {"CASEMAPPING": "ascii", "UTF8ONLY": None, "WHOX": None}

    def run(
        self,
        hostname: str,
        port: int,
        *,
        password: str | None,
        ssl: bool,
        run_services: bool,
        websocket_hostname: str | None,
        **_faked: object,  # the clock, where the suite could: one that need not be true
    ) -> None:
        """Start it. `wait_for_port` is called before a client comes."""
        for wanted, name in (
            (ssl, "a certificate"),
            (run_services, "services"),
            (websocket_hostname, "a port for browsers alone"),
        ):
            if wanted:
                raise NotImplementedByController(name)
        self.hostname, self.port = hostname, port
        self._folder = TemporaryDirectory()
        flags = list(_FLAGS)
        if password is not None:
            file = Path(self._folder.name) / "password"
            file.write_text(password + "\n")
            flags += ["--password-file", str(file)]
        self.proc = self.execute(
            [_SERVER, "--host", hostname, "--port", str(port), *flags], stdout=subprocess.PIPE
        )

    def wait_for_port(self) -> None:
        """Wait until it says that it listens."""
        if not self.port_open:
            self.port_open = b"listening on" in self.proc.stdout.readline()
            assert self.port_open, "the server did not start"

    def kill_proc(self) -> None:
        """End it at once: in good order it would first give its clients time to go."""
        self.proc.kill()
        self.proc.wait()
        self.proc = None

    def kill(self) -> None:
        """End it, and clear up."""
        if self.proc:
            self.proc.stdout.close()
        super().kill()
        self._folder.cleanup()


def get_irctest_controller_class() -> type[TcpchatController]:
    """What irctest asks a module for that it is given as `--controller`."""
    return TcpchatController
