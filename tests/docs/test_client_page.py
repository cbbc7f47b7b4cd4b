"""docs/client.md has all that the client has, as it is."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path

import pytest
from tcpchat_cli import terminal
from tcpchat_cli.terminal import key_settings, keys, settings, theme

from tests.docs.pages import code_blocks, read, sections, table

PAGE = read("docs/client.md")


def test_the_table_of_settings_is_that_of_the_client() -> None:
    rows = re.findall(r"^\| `(\w+)`(?:, or `(\w+)`)? \| `(.*?)` \| (.*?) \|$", PAGE, re.MULTILINE)
    other_names = {name: other for other, name in settings.OTHER_NAMES.items()}
    assert rows == [
        (
            name,
            other_names.get(name, ""),
            json.dumps(settings.default(name)),
            settings.description(name),
        )
        for name in settings.FIELDS
    ]


def test_the_table_of_themes_is_that_of_the_client() -> None:
    rows = re.findall(r"^\| `([\w-]+)` \| (.*?) \|$", sections(PAGE, 2)["Themes"], re.MULTILINE)
    assert rows == list(theme.CLASSES.items())


def test_the_theme_that_is_shown_can_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    [shown] = code_blocks(sections(PAGE, 2)["Themes"], "toml")
    path = settings.config_path().parent / "themes" / "mine.toml"
    path.parent.mkdir(parents=True)
    path.write_text(shown, encoding="utf-8")
    assert theme.load_theme("mine").nicks[0] == "#b58900"
    assert theme.warning("mine") == ""


def test_the_table_of_keys_is_that_of_the_client() -> None:
    rows = re.findall(
        r"^\| `([\w-]+)` \| (.*?) \| (.*?) \|$", sections(PAGE, 2)["Keys"], re.MULTILINE
    )
    assert rows == [(each.name, each.shown_keys, each.summary) for each in keys.ACTIONS]


def test_the_keys_that_are_shown_can_be_set() -> None:
    [shown] = code_blocks(sections(PAGE, 2)["Keys"], "toml")
    table = tomllib.loads(shown)["keys"]
    assert key_settings.keys_with(table).keys() > table.keys()


def test_the_first_minute_has_every_key() -> None:
    shown = {
        key
        for [cell, _] in table(sections(PAGE, 2)["The first minute"])
        for key in re.split(", | … ", cell)
    }
    for action in keys.ACTIONS:
        assert set(re.split(" or | … ", action.shown_keys)) <= shown


def test_the_map_of_the_client_names_every_module_and_no_other() -> None:
    [folder] = terminal.__path__
    modules = {path.stem for path in Path(folder).glob("[!_]*.py")}
    assert set(re.findall(r"`(\w+)`", terminal.__doc__ or "")) == modules
