"""What a person sets for tcpchat-client, and where."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from tcpchat_cli.terminal.settings import (
    ENVIRONMENT,
    BadSettings,
    Settings,
    change,
    config_path,
    load_settings,
    shown,
)

from tests.cli.conftest import Server
from tests.cli.terminal import CLIENT, LIMIT_SECONDS, Terminal

NOTHING = dict.fromkeys(ENVIRONMENT, "")


def write(text: str) -> Path:
    path = config_path()
    path.parent.mkdir(parents=True)
    path.write_text(text)
    return path


def test_the_command_line_comes_before_the_environment_and_that_before_the_file() -> None:
    write('server = "file"\nnick = "file"\nroom = "file"\ntheme = "light"\n')
    environment = {"TCPCHAT_SERVER": "environment", "TCPCHAT_NICK": "environment"}
    settings = load_settings({**NOTHING, "server": "flag"}, environment)
    assert (settings.server, settings.nick, settings.room) == ("flag", "environment", "file")
    assert settings.theme == "light"


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("colour = true\n", "there is no key 'colour'; there are server, nick, room, theme,"),
        ('theme = "blue"\n', "Invalid enum value 'blue' - at `$.theme`"),
        ("bell = 1\n", "Expected `bool`, got `int` - at `$.bell`"),
        ("nick = \n", "is not TOML: "),
    ],
)
def test_a_wrong_file_is_told_in_one_sentence(text: str, complaint: str) -> None:
    path = write(text)
    refused = subprocess.run(
        [CLIENT], input="", capture_output=True, text=True, timeout=LIMIT_SECONDS, check=False
    )
    assert refused.returncode == 1
    assert refused.stderr.startswith(f"tcpchat-client: {path}")
    assert complaint in refused.stderr
    assert refused.stderr.count("\n") == 1


def test_settings_change_to_what_is_typed_and_to_nothing_else() -> None:
    settings = Settings()
    change(settings, "bell", "off")
    change(settings, "away", "60")
    change(settings, "keys", "vi")
    assert [shown(settings, name) for name in ("bell", "away", "keys")] == ["off", "60", "vi"]
    for name, value in (("bell", "loud"), ("away", "soon"), ("keys", "ed"), ("nick", "ada")):
        with pytest.raises(BadSettings):
            change(settings, name, value)


def test_alone_the_client_asks_for_the_server_and_offers_the_last_one(server: Server) -> None:
    with Terminal([CLIENT, server.address, "--nick", "ada", "--room", "lobby"]) as first:
        first.wait_for("^lobby>")
    with Terminal([CLIENT]) as second:
        second.wait_for(rf"^Server \[{server.address}\]:")
        second.enter("no:port")
        second.wait_for("!! 'port' is no port")
        second.wait_until(lambda: second.prompt.startswith("Server ["))
        second.enter("")
        second.wait_for(r"^Nickname \[guest-\d\]:")
