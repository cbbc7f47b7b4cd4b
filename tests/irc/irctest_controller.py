"""How irctest, the test suite of the field, starts a tcpchat-server.

The suite is progval/irctest, which is not in this repository and need not be installed for anything
else here. `python -m tests.irc FOLDER` runs it from a clone, with this, and tells what came of it.
"""

from __future__ import annotations

import secrets
import socket
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import msgspec
from irctest.basecontrollers import BaseServerController
from irctest.runner import NotImplementedByController
from irctest.specifications import Capabilities, OptionalBehaviors
from tcpchat_cli.accounts import ADMIN, Request
from tcpchat_cli.control import ask

from tcpchat_core.server.access import code_hash

# It stands beside the interpreter that it was installed for, which is the one that runs the suite.
_SERVER: Final = str(Path(sys.executable).with_name("tcpchat-server"))

# All of the suite's clients come from one address, as often and as fast as they like.
_FLAGS: Final = ("--allow-plaintext", "--flood-rate", "0", "--max-per-ip", "10000")

_TIMEOUT_S: Final = 30


class TcpchatController(BaseServerController):  # type: ignore[misc] # Any, as irctest is not installed
    """One server for each test."""

    software_name = "tcpchat"
    supported_sasl_mechanisms: Final = frozenset({"PLAIN"})
    supports_sts = False
    port_open = False
    # Those that are asked for and are not given fail a test instead of skipping it.
    capabilities = frozenset(
        {
            Capabilities.AWAY_NOTIFY,
            Capabilities.BATCH,
            Capabilities.ECHO_MESSAGE,
            Capabilities.EXTENDED_JOIN,
            Capabilities.LABELED_RESPONSE,
            Capabilities.MESSAGE_TAGS,
            Capabilities.MULTI_PREFIX,
            Capabilities.SERVER_TIME,
        }
    )
    optional_behaviors = frozenset(
        {
            OptionalBehaviors.CAP_REQ_MINUS,
            OptionalBehaviors.ELIST_M,
            OptionalBehaviors.ELIST_N,
            OptionalBehaviors.ELIST_U,
            OptionalBehaviors.MULTI_JOIN,
            OptionalBehaviors.MULTI_KICK,
            OptionalBehaviors.MULTI_NAMES_COMMAND,
            OptionalBehaviors.MULTI_PRIVMSG,
            OptionalBehaviors.SASL_AFTER_REGISTRATION,
        }
    )
    isupport: Final = {
        "CASEMAPPING": "ascii",
        "ELIST": "MNU",
        "PREFIX": "(qo)~@",
        "UTF8ONLY": None,
        "WHOX": None,
    }

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
            (websocket_hostname, "a port for browsers alone"),
        ):
            if wanted:
                raise NotImplementedByController(name)
        self.hostname, self.port = hostname, port
        self._folder = TemporaryDirectory()
        # Accounts are kept in a folder. Without any, what is said need not be kept either: what a
        # test wants to find again it has said to a server that still runs.
        self._has_accounts = run_services
        self._data = Path(self._folder.name) / "data"
        flags = [*_FLAGS, *(("--data", str(self._data)) if run_services else ("--in-memory",))]
        if password is not None:
            file = Path(self._folder.name) / "password"
            file.write_text(password + "\n")
            flags += ["--password-file", str(file)]
        self.proc = self.execute(
            [_SERVER, "--host", hostname, "--port", str(port), *flags], stdout=subprocess.PIPE
        )

    def registerUser(  # noqa: N802 # the suite calls it so
        self, _case: object, username: str, password: str | None = None
    ) -> None:
        """Make an account: by a code, of which its owner makes a password."""
        if not self._has_accounts:
            raise NotImplementedByController("accounts where the test has asked for no services")
        self.wait_for_port()
        # As `tcpchat-server admin invite` does it. A program takes so long to start that a client
        # of the test, which has said nothing yet, would be taken for a person.
        code = secrets.token_hex(10)
        asked = msgspec.json.encode(Request("invite", username, code_hash(code))).decode()
        refusal, _ = ask(self._data, ADMIN, asked)
        assert not refusal, refusal
        with socket.create_connection((self.hostname, self.port), timeout=_TIMEOUT_S) as owner:
            owner.sendall(f"/claim {code}\n/password {password}\n/quit\n".encode())
            lines = owner.makefile(encoding="utf-8").read()
        refusal = "".join(line for line in lines.splitlines() if line.startswith("!"))
        assert not refusal, f"{username} has no password: {refusal}"

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

    def wait_for_services(self) -> None:
        """There are none: accounts are the server's."""


def get_irctest_controller_class() -> type[TcpchatController]:
    """What irctest asks a module for that it is given as `--controller`."""
    return TcpchatController
