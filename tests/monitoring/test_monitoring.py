"""The dashboard and the alerts of docs/monitoring hold with what a server tells of itself."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

import pytest

from tcpchat_net.metrics import METRICS
from tests.cli.serving import Talker, listening
from tests.docs.pages import read
from tests.monitoring.prometheus import ALERTS, Prometheus, expression, needed, panels

UNIT_TESTS: Final = Path(__file__).with_name("alerts_test.yml")

# What there is only with TLS, or with a log that is shared.
NOT_HERE: Final = ("tcpchat_tls_expiry_timestamp_seconds", "tcpchat_cluster_lag_entries")

# Of whom there is one by Prometheus itself, or by its library.
OF_PROMETHEUS: Final = {
    "up",
    "process_cpu_seconds_total",
    "process_resident_memory_bytes",
    "process_open_fds",
    "process_max_fds",
}

TARGETS: Final = [target for panel in panels() for target in panel["targets"]]


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """A real one, of a real server in which people talk."""
    needed("prometheus")
    data = tmp_path_factory.mktemp("chat")
    flags = ("--data", str(data / "kept"), "--metrics", "0", "--flood-rate", "0")
    with ExitStack() as stack, pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_DATA_HOME", str(data))  # no test has one yet
        server, address = stack.enter_context(listening(*flags))
        while not (line := server.read_line()).startswith("metrics:"):
            pass
        target = line.partition("http://")[2].partition("/")[0]
        scraper = stack.enter_context(Prometheus(tmp_path_factory.mktemp("scraped"), [target]))
        ada = stack.enter_context(Talker(address, "/nick ada\n/join lobby\n"))
        bob = stack.enter_context(Talker(address, "/nick bob\n/join lobby\n"))
        bob.read_until("* You joined lobby")

        def has_all() -> bool:
            ada.send("hello\n")  # a rate is of what happens, so something does
            bob.read_until("[lobby] ada: hello")
            return all(scraper.ask(expression(each)) for each in TARGETS if not _lacks(each))

        scraper.until(has_all)
        yield scraper


def _lacks(target: dict[str, Any]) -> bool:
    return any(name in target["expr"] for name in NOT_HERE)


# ── The expressions ──────────────────────────────────────────────────────────────────────────────


def _names(text: str) -> set[str]:
    """The metrics that an expression asks for."""
    return {
        name.removesuffix("_bucket").removesuffix("_sum").removesuffix("_count")
        for name in re.findall(r"\b(?:tcpchat|process|python)_\w+|\bup\b", text)
    }


def _alerts() -> dict[str, str]:
    """The alerts by their names, as they stand in the file."""
    return {
        block.partition("\n")[0]: block for block in ALERTS.read_text().split("      - alert: ")[1:]
    }


def test_dashboard_and_alerts_ask_for_metrics_that_there_are() -> None:
    known = {each.name for each in METRICS} | OF_PROMETHEUS
    asked = {name for target in TARGETS for name in _names(target["expr"])}
    for block in _alerts().values():
        asked |= _names(block.partition("labels:")[0].partition("expr:")[2])
    assert len(asked) > 30
    assert asked <= known


def test_every_metric_of_the_server_is_on_the_dashboard_or_in_an_alert() -> None:
    shown = {name for target in TARGETS for name in _names(target["expr"])}
    shown |= _names(ALERTS.read_text())
    assert {each.name for each in METRICS} - shown == {"tcpchat_held_seconds_total"}


def test_a_real_prometheus_has_an_answer_to_each_question_of_the_dashboard(
    prometheus: Prometheus,
) -> None:
    for target in TARGETS:
        found = prometheus.ask(expression(target))
        assert bool(found) != _lacks(target), target["expr"]


def test_of_a_server_that_is_well_no_alert_is_told(prometheus: Prometheus) -> None:
    (group,) = prometheus.get("rules")["groups"]
    assert {rule["name"]: rule["state"] for rule in group["rules"]} == dict.fromkeys(
        _alerts(), "inactive"
    )
    assert {rule["health"] for rule in group["rules"]} == {"ok"}


# ── The alerts ───────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "arguments", [("check", "rules", ALERTS), ("test", "rules", UNIT_TESTS)], ids=["check", "test"]
)
def test_the_alerts_are_rules_and_tell_what_they_should(arguments: tuple[str | Path, ...]) -> None:
    command = [needed("promtool"), *arguments]
    told = subprocess.run(command, capture_output=True, text=True, check=False)
    assert told.returncode == 0, told.stdout + told.stderr


def test_each_alert_is_tested_once_when_it_is_silent_and_once_when_it_tells() -> None:
    text = UNIT_TESTS.read_text()
    named = re.findall(r"alertname: (\w+)\n        exp_alerts:(.*)\n", text)
    assert named == [(name, told) for name in _alerts() for told in (" []", "")]


def test_each_alert_says_what_it_is_how_bad_it_is_and_where_it_is_written_what_to_do() -> None:
    page = read("docs/operating.md")
    headings = {heading.lower() for heading in re.findall(r"^#+ (\w+)$", page, flags=re.MULTILINE)}
    for name, block in _alerts().items():
        assert re.search(r"severity: (critical|warning)\b", block), name
        assert re.search(r'summary: ".{20,}"\n', block), name
        assert f"runbook: docs/operating.md#{name.lower()}\n" in block
        assert name.lower() in headings, f"docs/operating.md says nothing of {name}"


# ── The dashboard ────────────────────────────────────────────────────────────────────────────────


def test_each_panel_has_a_title_that_no_other_has_a_unit_and_says_what_it_is() -> None:
    titles = [panel["title"] for panel in panels()]
    assert len(set(titles)) == len(titles)
    for panel in panels():
        assert panel["description"]
        assert panel["fieldConfig"]["defaults"]["unit"]
        assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}


def test_no_panel_lies_on_another() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in panels():
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        assert max(x for x, _ in cells) < 24
        taken |= cells
