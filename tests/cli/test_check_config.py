"""--check-config: what holds, as a file that says the same; and all that is wrong."""

from __future__ import annotations

import datetime as dt
import subprocess
import tomllib
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tcpchat_cli.checking import as_file, find_problems
from tcpchat_cli.keeping import SharingError
from tcpchat_cli.settings import (
    TABLE,
    Address,
    Configuration,
    Duration,
    Number,
    Setting,
    Settings,
    Several,
    Switch,
    Text,
    Whole,
    key_of,
    read_configuration,
    show_value,
)
from tcpchat_cli.sharing import engine_address

from tests.cli.serving import environment, listening
from tests.cli.terminal import LIMIT_SECONDS, SERVER
from tests.net.certificates import Authority


def run(*arguments: str, **env: str) -> tuple[int, str, list[str]]:
    """The exit status, what holds, and what is wrong."""
    done = subprocess.run(
        [SERVER, "--check-config", *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=LIMIT_SECONDS,
        env={**environment(), **env},
    )
    told = done.stderr.splitlines()
    assert all(line.startswith("tcpchat-server: ") for line in told), told
    return done.returncode, done.stdout, [line.removeprefix("tcpchat-server: ") for line in told]


# ── What holds ───────────────────────────────────────────────────────────────────────────────────


def possible(setting: Setting) -> st.SearchStrategy[Any]:
    """Any value that a setting may have."""
    match setting:
        case Text(choices=choices) if choices:
            return st.sampled_from(choices)
        case Text():
            return st.text(st.characters(exclude_characters="\0", codec="utf-8"))
        case Whole(low=low, high=high):
            return st.integers(low, high)
        case Number(low=low, high=high):
            return st.floats(low, high) | st.integers(int(low) + 1, int(high))
        case Switch():
            return st.booleans()
        case Duration():
            return st.sampled_from(["forever", "90d", "12h", "1s"])
        case Address():
            return st.sampled_from(["", "9100", "[::1]:9100"])
        case Several():
            words = st.sampled_from(["lobby", "10.0.0.0/8", "::1", "chat.example", "häuser"])
            return st.lists(words.filter(setting.is_one)).map(tuple)


any_settings = st.fixed_dictionaries({name: possible(TABLE[name]) for name in TABLE}).map(
    lambda values: Settings(**values)
)


@given(settings=any_settings, origin=st.text(st.characters(codec="utf-8")))
def test_what_is_printed_gives_the_same_settings_again(
    tmp_path_factory: pytest.TempPathFactory, settings: Settings, origin: str
) -> None:
    origins = dict.fromkeys(TABLE, origin.replace("\0", ""))
    text = as_file(Configuration(settings, origins, [], []))
    assert [*tomllib.loads(text)] == [key_of(name) for name in TABLE]
    file = tmp_path_factory.getbasetemp() / "printed.toml"
    file.write_bytes(text.encode())
    again = read_configuration(["--config", str(file)], {}).settings
    for name in TABLE:
        if "***" not in show_value(getattr(settings, name)):  # in the place of a password
            assert getattr(again, name) == getattr(settings, name)


def test_each_setting_has_what_gives_it_of_a_file_with_the_line(tmp_path: Path) -> None:
    file = tmp_path / "chat.toml"
    file.write_text('motd = """\nport = 1\n"""\n\n "max_clients" = 500\nport = 2 # port = 3\n')
    flags = ["--config", str(file), "--no-guests", "--rooms", "a,b"]
    read = read_configuration(flags, {"TCPCHAT_GRACE": "7"})
    lines = {line.partition(" = ")[0]: line for line in as_file(read).splitlines()}
    assert lines["port"].split("#")[1] == f" {file}:6"
    assert lines["motd"].split("#")[1] == f" {file}:1"
    assert lines["max-clients"].split("#")[1] == f" {file}:5"
    assert lines["guests"].split() == ["guests", "=", "false", "#", "--no-guests"]
    assert lines["rooms"].split("#") == [lines["rooms"].split("#")[0], " --rooms"]
    assert lines["grace"].split() == ["grace", "=", "7", "#", "TCPCHAT_GRACE"]
    assert lines["history"].split() == ["history", "=", "200", "#", "default"]
    assert len({line.index("#") for line in lines.values()}) == 1


def test_what_can_be_used_is_printed_and_nothing_is_made(tmp_path: Path) -> None:
    data = tmp_path / "data"
    status, text, told = run("--data", str(data), "--motd", "/dev/null", TCPCHAT_PROT="1")
    assert (status, told) == (
        0,
        ["the environment has TCPCHAT_PROT, which is no setting; is TCPCHAT_PORT meant?"],
    )
    assert not data.exists()
    saved = tmp_path / "saved.toml"
    saved.write_text(text)
    status, again, told = run("--config", str(saved))
    assert (status, told) == (0, [])
    assert tomllib.loads(again) == tomllib.loads(text)
    assert "# default" not in again


def test_a_server_that_runs_with_the_same_settings_is_nothing_wrong(tmp_path: Path) -> None:
    data = str(tmp_path / "data")
    with listening("--data", data) as (_, address):
        assert run("--data", data, "--port", address.rpartition(":")[2])[0] == 0


# ── What is wrong ────────────────────────────────────────────────────────────────────────────────


def test_all_that_is_wrong_is_said_and_the_settings_are_not(tmp_path: Path) -> None:
    file, taken = tmp_path / "chat.toml", tmp_path / "taken"
    taken.touch()
    file.write_text("colour = 1\nhistory = -1\nping-after = 200")
    status, text, told = run(
        *("--config", str(file), "--motd", "/no/motd", "--password-file", "/dev/null"),
        *("--host", "192.0.2.1", "--allow-plaintext", "--data", str(taken / "data")),
        TCPCHAT_PORT="x",
    )
    assert (status, text) == (1, "")
    assert told == [
        f"{file}: there is no setting 'colour'",
        f"{file}: history = -1 is not a whole number from 0 to 10000 (messages)",
        "TCPCHAT_PORT = 'x' is not a whole number from 0 to 65535 (a port number)",
        (
            "drop-after (150 s) has to be longer than ping-after (200 s),"
            " so that there is time to answer"
        ),
        "--motd /no/motd: cannot read the file: No such file or directory",
        "--password-file /dev/null: the first line of the file is empty",
        "cannot listen on 192.0.2.1:7667: this machine does not have that address",
        f"--data {taken}/data: {taken} is no folder",
    ]


def test_of_a_file_that_cannot_be_read_nothing_follows() -> None:
    sentence = "--config /no/where: cannot read the file: No such file or directory"
    assert run("--config", "/no/where", "--host", "0.0.0.0") == (1, "", [sentence])


def test_a_host_that_is_none_is_said() -> None:
    host = "no-such-host.invalid"
    told = [*find_problems(Settings(host=host, in_memory=True))]
    assert told == [f"cannot listen on {host}:7667: there is no such host"]
    told = [*find_problems(Settings(metrics=f"{host}:1", in_memory=True))]
    assert told == [f"cannot listen on {host}:1: there is no such host"]


def test_a_certificate_has_to_be_that_of_the_key_and_not_over(tmp_path: Path) -> None:
    authority = Authority()
    one, two = (authority.issue(tmp_path / name) for name in ("one", "two"))
    over = authority.issue(
        tmp_path / "over",
        not_before=dt.datetime(2001, 1, 1, tzinfo=dt.UTC),
        not_after=dt.datetime(2002, 1, 1, tzinfo=dt.UTC),
    )

    def problems(cert: Path, key: Path) -> list[str]:
        settings = Settings(tls_cert=str(cert), tls_key=str(key), in_memory=True)
        return [*find_problems(settings)]

    assert problems(*one) == []
    assert problems(one.cert, two.key) == [f"the key in {two.key} does not belong to {one.cert}"]
    assert problems(*over) == [
        f"the certificate in {over.cert} is over since 2002-01-01 00:00:00 UTC"
    ]


WITH_A_PASSWORD: Final = (
    "valkey://me:sesame@a",
    "http://me:sesame@a",
    "valkey://:sesame@a/x@y",
    "valkey://:sesame/more@a",
    "valkey://:sesame#more@a",
    "valkey://me?:sesame@a",
    "valkey:me:sesame@a",
    "me:sesame@a:6379",
    "valkey://me:more\nsesame@a",
    "valkey://a/0?password=sesame",
)


@pytest.mark.parametrize("url", WITH_A_PASSWORD)
def test_a_password_in_a_url_is_shown_nowhere(url: str) -> None:
    status, text, told = run("--log", url, "--in-memory")
    assert status == 1
    assert len(told) == 1
    assert "sesame" not in text + told[0]
    assert "***" in text


@pytest.mark.parametrize("url", WITH_A_PASSWORD)
def test_a_start_does_not_show_it_either(url: str) -> None:
    with pytest.raises(SharingError) as refused:
        engine_address(Settings(log=url))
    assert "sesame" not in str(refused.value)


def test_a_url_that_is_no_text_is_refused_without_its_password() -> None:
    bad = "valkey://me:sesame\udcff@a"
    (problem,) = read_configuration([], {"TCPCHAT_LOG": bad}).problems
    assert problem == "TCPCHAT_LOG = 'valkey://me:***@a' is not a text"


def test_what_is_no_login_is_shown_as_it_is() -> None:
    for value in ("/srv/a:b@c", "valkeys://me@[::1]:6379/0", "[::1]:9100"):
        assert show_value(value) == f'"{value}"'
