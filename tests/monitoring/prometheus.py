"""A real Prometheus that scrapes what it is told to, and is asked by its HTTP API."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, Final, Self

import pytest

from tests.cli.serving import port_of
from tests.docs.pages import ROOT

FOLDER: Final = ROOT / "docs" / "monitoring"
ALERTS: Final = FOLDER / "alerts.yml"
DASHBOARD: Final = FOLDER / "dashboard.json"

# How often it asks, and over how much a rate is taken then: what Grafana makes of it.
SCRAPE_S: Final = 1
RATE: Final = f"{4 * SCRAPE_S}s"

LIMIT_S: Final = 90


def needed(program: str) -> str:
    """The path of a program of Debian's package `prometheus`; the test is skipped without it, but
    in CI it must be there.
    """
    if path := shutil.which(program):
        return path
    sentence = f"there is no {program}: apt-get install prometheus"
    if os.environ.get("CI"):
        pytest.fail(f"{sentence}, and in CI there has to be one")
    pytest.skip(sentence)


class Prometheus:
    """One that scrapes `targets`, knows the alerts, and keeps what it has in `folder`."""

    def __init__(self, folder: Path, targets: Sequence[str]) -> None:
        config = folder / "prometheus.yml"
        config.write_text(
            json.dumps(  # which is YAML, too
                {
                    "global": {
                        "scrape_interval": f"{SCRAPE_S}s",
                        "evaluation_interval": f"{SCRAPE_S}s",
                    },
                    "rule_files": [str(ALERTS)],
                    "scrape_configs": [
                        {"job_name": "tcpchat", "static_configs": [{"targets": list(targets)}]}
                    ],
                }
            )
        )
        self._log = TemporaryFile()  # noqa: SIM115 # it is open for as long as this
        self._process = subprocess.Popen(
            [
                needed("prometheus"),
                f"--config.file={config}",
                f"--storage.tsdb.path={folder / 'data'}",
                "--web.listen-address=127.0.0.1:0",
            ],
            stdout=self._log,
            stderr=self._log,
        )
        self._port = 0

    def __enter__(self) -> Self:
        self.until(self._is_ready)
        return self

    def __exit__(self, *_error: object) -> None:
        self._process.terminate()
        self._process.wait()
        self._log.close()

    def _is_ready(self) -> bool:
        """It listens before it has read what it keeps, and answers 503 until then."""
        self._port = port_of(self._process.pid) or 0
        if not self._port:
            return False
        try:
            urllib.request.urlopen(
                f"http://127.0.0.1:{self._port}/-/ready", timeout=LIMIT_S
            ).close()
        except urllib.error.HTTPError as error:
            error.close()
            return False
        return True

    def until(self, holds: Callable[[], bool]) -> None:
        """Look until it holds; what does not come fails."""
        deadline = time.monotonic() + LIMIT_S
        while not holds():
            assert self._process.poll() is None, self._said()
            assert time.monotonic() < deadline, self._said()
            os.sched_yield()

    def _said(self) -> str:
        return os.pread(self._log.fileno(), 100_000, 0).decode()

    def get(self, path: str, **parameters: str | float) -> Any:
        """What its API answers."""
        query = urllib.parse.urlencode(parameters)
        url = f"http://127.0.0.1:{self._port}/api/v1/{path}?{query}"
        with urllib.request.urlopen(url, timeout=LIMIT_S) as response:
            return json.load(response)["data"]

    def ask(self, expression: str) -> list[Any]:
        """The values of an expression now, as an API's `result`."""
        found: list[Any] = self.get("query", query=expression)["result"]
        return found


def panels() -> list[dict[str, Any]]:
    """The panels of the dashboard that draw something."""
    drawn = json.loads(DASHBOARD.read_text())["panels"]
    return [panel for panel in drawn if panel["type"] != "row"]


def expression(target: dict[str, Any], rate: str = RATE) -> str:
    """What a panel asks for, with its variables filled in as for all that there is."""
    filled: str = target["expr"]
    return filled.replace("$__rate_interval", rate).replace("$job", ".*").replace("$instance", ".*")
