"""The files that containers are made by: each is what it should be, and agrees with the program."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from compose_spec import PyCompose
from tcpchat_cli.arguments import DEFAULT_PORT
from tcpchat_cli.settings import TABLE, host_and_port, variable_of

from tests.docs.pages import ROOT, code_blocks, read
from tests.packaging.containers import CONTAINERFILE

FOLDER = CONTAINERFILE.parent
COMPOSE = sorted(path.name for path in FOLDER.glob("compose*.yaml"))

VARIABLES = {variable_of(name) for name in TABLE}


def compose(name: str) -> dict[str, Any]:
    """A compose file, with the default of each variable in its place."""
    text = (FOLDER / name).read_text(encoding="utf-8")
    loaded: dict[str, Any] = yaml.safe_load(re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", text))
    return loaded


def servers(name: str) -> dict[str, Any]:
    """The services of a compose file that are of our image."""
    services = compose(name)["services"]
    return {name: each for name, each in services.items() if "build" in each}


def image_variables() -> dict[str, str]:
    """What the image sets."""
    return dict(re.findall(r"\b(TCPCHAT_\w+)=(\S+)", CONTAINERFILE.read_text(encoding="utf-8")))


def test_hadolint_has_nothing_to_say_of_the_containerfile() -> None:
    hadolint = Path(sys.executable).with_name("hadolint")
    done = subprocess.run(
        [hadolint, "--no-color", CONTAINERFILE], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize("name", COMPOSE)
def test_a_compose_file_is_one_by_its_specification(name: str) -> None:
    PyCompose.from_yaml(yaml.safe_dump(compose(name))).validate()


def test_every_variable_of_the_files_and_the_pages_is_a_setting() -> None:
    named = set(image_variables())
    for name in COMPOSE:
        for server in servers(name).values():
            named |= set(server["environment"])
    for page in ("docs/operating.md", "docs/cluster.md"):
        for block in code_blocks(read(page), "sh"):
            named |= set(re.findall(r"-e (TCPCHAT_\w+)=", block))
    assert named <= VARIABLES


def test_the_image_exposes_the_ports_that_it_listens_on() -> None:
    [exposed] = re.findall(r"^EXPOSE (.+)$", CONTAINERFILE.read_text("utf-8"), flags=re.MULTILINE)
    metrics = host_and_port(image_variables()["TCPCHAT_METRICS"])
    assert metrics is not None
    assert exposed.split() == [str(DEFAULT_PORT), str(metrics[1])]


@pytest.mark.parametrize("name", COMPOSE)
def test_a_compose_file_publishes_the_port_for_people_on_this_machine_only(name: str) -> None:
    for server in servers(name).values():
        [(address, _, inside)] = [port.split(":") for port in server["ports"]]
        assert (address, inside) == ("127.0.0.1", str(DEFAULT_PORT))


@pytest.mark.parametrize("name", COMPOSE)
def test_a_server_of_a_compose_file_has_a_volume_of_its_own_and_no_more_rights_than_it_needs(
    name: str,
) -> None:
    folders = [volume for server in servers(name).values() for volume in server["volumes"]]
    assert len(set(folders)) == len(folders) == len(servers(name))
    for server in servers(name).values():
        assert server["volumes"][0].endswith(":" + image_variables()["TCPCHAT_DATA"])
        assert server["read_only"] is True
        assert server["cap_drop"] == ["ALL"]
        assert server["security_opt"] == ["no-new-privileges:true"]


@pytest.mark.parametrize("name", COMPOSE)
def test_a_compose_file_builds_the_image_from_the_top_of_the_repository(name: str) -> None:
    for server in servers(name).values():
        context = (FOLDER / server["build"]["context"]).resolve()
        assert context == ROOT
        assert context / server["build"]["dockerfile"] == CONTAINERFILE


def test_the_engine_of_the_nodes_loses_nothing_that_it_has_acknowledged() -> None:
    script = compose("compose.cluster.yaml")["services"]["engine"]["command"][-1]
    for setting in ("appendonly yes", "appendfsync always", "maxmemory-policy noeviction"):
        assert re.search(rf"^{setting}$", script, flags=re.MULTILINE), setting
