"""Settings: one table, two ways to give each, and one sentence for whatever is wrong."""

from __future__ import annotations

import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
from tcpchat_cli.settings import TABLE, Settings, SettingsError, Switch, read_settings

from tests.cli.terminal import LIMIT_SECONDS, SERVER
from tests.net.serving import Peer

FLAGS = {name: f"--{name.replace('_', '-')}" for name in TABLE}

# For each setting a value that is not its default, as it stands in a TOML file.
OTHER_VALUES: dict[str, Any] = {
    "host": '"::1"',
    "port": "7000",
    "motd": '"motd.txt"',
    "data": '"/srv/chat"',
    "in_memory": "true",
    "durability": '"os"',
    "keep": '"90d"',
    "log": '"valkey://127.0.0.1:6379/0?name=team"',
    "log_password_file": '"log.txt"',
    "node": "3",
    "workers": "4",
    "allow_unsafe_engine": "true",
    "rooms": '["lobby", "help"]',
    "log_level": '"debug"',
    "tls_cert": '"cert.pem"',
    "tls_key": '"key.pem"',
    "allow_plaintext": "true",
    "password_file": '"password.txt"',
    "guests": "false",
    "web": "false",
    "web_host": '["chat.example", "chat"]',
    "proxy_protocol": '["127.0.0.1", "10.0.0.0/8", "fd00::/8"]',
    "max_clients": "500",
    "max_per_ip": "7",
    "flood_burst": "40",
    "flood_rate": "0",
    "max_backlog": "65536",
    "stall_timeout": "2.5",
    "ping_after": "30",
    "drop_after": "1000",
    "grace": "0",
    "rooms_per_person": "3",
    "max_rooms": "100",
    "history": "0",
}
assert OTHER_VALUES.keys() == TABLE.keys()
VALUES: dict[str, Any] = {
    name: tuple(value) if isinstance(value, list) else value
    for name, value in tomllib.loads(
        "\n".join(f"{name} = {value}" for name, value in OTHER_VALUES.items())
    ).items()
}

# Settings that cannot be given without others.
PAIRED = ("tls_cert", "tls_key", "node", "log_password_file", "workers", "allow_unsafe_engine")


def as_argument(value: object) -> str:
    """The value as it is given to a flag."""
    return ",".join(value) if isinstance(value, tuple) else str(value)


def as_flag(name: str, value: object) -> list[str]:
    """The flag that gives the value."""
    if isinstance(TABLE[name], Switch):
        return [FLAGS[name] if value else FLAGS[name].replace("--", "--no-")]
    return [FLAGS[name], as_argument(value)]


def settings_of_file(directory: Path, text: str, *arguments: str) -> Settings:
    file = directory / "chat.toml"
    file.write_text(text)
    return read_settings(["--config", str(file), *arguments])


def refusal_of_file(directory: Path, text: str) -> str:
    """The one sentence about a file, without the name of its directory."""
    with pytest.raises(SettingsError) as raised:
        settings_of_file(directory, text)
    return str(raised.value).replace(f"{directory}/", "")


# ── Where a value comes from ─────────────────────────────────────────────────────────────────────


def test_the_defaults_are_the_documented_ones() -> None:
    assert read_settings([]) == Settings()


def test_every_setting_can_be_given_by_a_flag() -> None:
    arguments: list[str] = []
    for name, value in VALUES.items():
        arguments += as_flag(name, value)
    assert read_settings(arguments) == Settings(**VALUES)


@pytest.mark.parametrize("dash", ["-", "_"])
def test_every_setting_can_be_given_by_a_key_of_the_file(tmp_path: Path, dash: str) -> None:
    lines = [f"{name.replace('_', dash)} = {value}" for name, value in OTHER_VALUES.items()]
    assert settings_of_file(tmp_path, "\n".join(lines)) == Settings(**VALUES)


@pytest.mark.parametrize("name", [name for name in TABLE if name not in PAIRED])
def test_a_flag_wins_over_the_file_and_the_file_over_the_default(tmp_path: Path, name: str) -> None:
    default = getattr(Settings(), name)
    text = f"{name} = {OTHER_VALUES[name]}"
    assert getattr(settings_of_file(tmp_path, text), name) == VALUES[name] != default
    back = as_flag(name, default)
    assert getattr(settings_of_file(tmp_path, text, *back), name) == default


# ── What is wrong ────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("colour = 1", "chat.toml: there is no setting 'colour'"),
        (
            "max-cleints = 1",
            "chat.toml: there is no setting 'max-cleints'; is 'max-clients' meant?",
        ),
        ("[server]\nport = 1", "chat.toml: there is no setting 'server'"),
        ("config = 'x'", "chat.toml: there is no setting 'config'"),
        (
            "max-clients = 1\nmax_clients = 2",
            "chat.toml: 'max-clients' is given twice",
        ),
        (
            "port = '7667'",
            'chat.toml: port = "7667" is not a whole number from 0 to 65535 (a port number)',
        ),
        (
            "port = 65536",
            "chat.toml: port = 65536 is not a whole number from 0 to 65535 (a port number)",
        ),
        (
            "max-clients = true",
            "chat.toml: max-clients = true is not a whole number from 1 to 1000000 (connections)",
        ),
        (
            "max-clients = 1.0",
            "chat.toml: max-clients = 1.0 is not a whole number from 1 to 1000000 (connections)",
        ),
        ("grace = -1", "chat.toml: grace = -1 is not a number from 0 to 86400 (seconds)"),
        ("grace = nan", "chat.toml: grace = nan is not a number from 0 to 86400 (seconds)"),
        ("grace = false", "chat.toml: grace = false is not a number from 0 to 86400 (seconds)"),
        ("host = 1", "chat.toml: host = 1 is not a text"),
        ("host = ['a', 'b']", "chat.toml: host = […] is not a text"),
        ("host = {a = 1}", "chat.toml: host = {…} is not a text"),
        (
            "log-level = 'loud'",
            'chat.toml: log-level = "loud" is not one of debug, info, warning, error',
        ),
        (
            "proxy-protocol = ['10.0.0.1/8']",
            (
                "chat.toml: proxy-protocol = […] is not a list of addresses or networks,"
                " such as 127.0.0.1 and 10.0.0.0/8"
            ),
        ),
        (
            "proxy-protocol = [1]",
            (
                "chat.toml: proxy-protocol = […] is not a list of addresses or networks,"
                " such as 127.0.0.1 and 10.0.0.0/8"
            ),
        ),
        (
            "web-host = ['https://chat.example']",
            (
                "chat.toml: web-host = […] is not a list of names such as chat.example,"
                " without a scheme and a port"
            ),
        ),
        ("allow-plaintext = 'yes'", 'chat.toml: allow-plaintext = "yes" is not true or false'),
        ("tls-cert = 'a'", "tls-cert is given, so tls-key has to be given too"),
        ("tls-key = 'a'", "tls-key is given, so tls-cert has to be given too"),
        (
            "ping-after = 150",
            (
                "drop-after (150 s) has to be longer than ping-after (150 s),"
                " so that there is time to answer"
            ),
        ),
    ],
)
def test_a_file_that_cannot_be_used_is_one_sentence_that_names_the_key(
    tmp_path: Path, text: str, sentence: str
) -> None:
    assert refusal_of_file(tmp_path, text) == sentence


def test_a_file_that_is_no_toml_is_one_sentence_that_names_the_line(tmp_path: Path) -> None:
    sentence = refusal_of_file(tmp_path, "port = 1\nnonsense\n")
    assert sentence.startswith("--config chat.toml: not TOML: ")
    assert "line 2" in sentence
    (tmp_path / "latin.toml").write_bytes(b"motd = '\xe9'")
    with pytest.raises(SettingsError, match="the file is not UTF-8 text"):
        read_settings(["--config", str(tmp_path / "latin.toml")])


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (
            ["--port", "70000"],
            "argument --port: '70000' is not a whole number from 0 to 65535 (a port number)",
        ),
        (
            ["--max-clients", "many"],
            "argument --max-clients: 'many' is not a whole number from 1 to 1000000 (connections)",
        ),
        (
            ["--max-clients", "1_000"],
            "argument --max-clients: '1_000' is not a whole number from 1 to 1000000 (connections)",
        ),
        (["--grace", "inf"], "argument --grace: 'inf' is not a number from 0 to 86400 (seconds)"),
        (["--grace", "x"], "argument --grace: 'x' is not a number from 0 to 86400 (seconds)"),
        (
            ["--log-level", "loud"],
            "argument --log-level: 'loud' is not one of debug, info, warning, error",
        ),
        (
            ["--proxy-protocol", "127.0.0.1,proxy"],
            (
                "argument --proxy-protocol: '127.0.0.1,proxy' is not a list of addresses or"
                " networks, such as 127.0.0.1 and 10.0.0.0/8"
            ),
        ),
        *(
            (
                ["--web-host", host],
                (
                    f"argument --web-host: '{host}' is not a list of names such as chat.example,"
                    " without a scheme and a port"
                ),
            )
            for host in (
                "chat.example:7667",
                "http://chat.example/",
                "chat-",
                "a..b",
                "a b",
                "chat,",
            )
        ),
        (["--max-client", "1"], "unrecognized arguments: --max-client 1"),
    ],
)
def test_a_wrong_flag_is_one_sentence_and_status_2(
    capsys: pytest.CaptureFixture[str], arguments: list[str], sentence: str
) -> None:
    with pytest.raises(SystemExit) as ended:
        read_settings(arguments)
    assert ended.value.code == 2
    shown = f"tcpchat-server: {sentence} (try tcpchat-server --help)\n"
    assert capsys.readouterr().err == shown


# ── The installed server ─────────────────────────────────────────────────────────────────────────


def refused(*arguments: str) -> str:
    """The one sentence with which the server ends, status 1."""
    done = subprocess.run(
        [SERVER, "--port", "0", *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=LIMIT_SECONDS,
    )
    assert done.returncode == 1
    assert done.stdout == ""
    prefix, _, sentence = done.stderr.partition(": ")
    assert prefix == "tcpchat-server"
    assert sentence.count("\n") == 1
    return sentence.strip()


def listens(*arguments: str) -> str:
    """The first line of a server that is asked to stop then; it has to end well."""
    with subprocess.Popen(
        [SERVER, "--port", "0", *arguments], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        first = process.stdout.readline()
        process.stdout.read(1)
        process.terminate()
        process.stdout.read()
    return first


def test_a_file_that_is_not_there_is_one_sentence(tmp_path: Path) -> None:
    missing = str(tmp_path / "missing.toml")
    expected = f"--config {missing}: cannot read the file: No such file or directory"
    assert refused("--config", missing) == expected


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
def test_plaintext_beyond_this_machine_is_refused_with_both_ways_out(host: str) -> None:
    sentence = refused("--host", host)
    assert "could be read by others" in sentence
    assert "--tls-cert and --tls-key" in sentence
    assert "--allow-plaintext" in sentence


@pytest.mark.parametrize(
    "arguments",
    [
        ("--host", "127.0.0.2"),
        ("--host", "localhost"),
        ("--host", "0.0.0.0", "--allow-plaintext"),
    ],
)
def test_plaintext_is_served_on_this_machine_or_when_it_is_meant(
    arguments: tuple[str, ...],
) -> None:
    assert listens(*arguments).startswith("tcpchat-server: listening on ")


def test_the_server_reads_its_file(tmp_path: Path) -> None:
    file = tmp_path / "chat.toml"
    file.write_text('host = "127.0.0.3"\n')
    assert "listening on 127.0.0.3:" in listens("--config", str(file))


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (None, "cannot read the file: No such file or directory"),
        (b"\nsecond line\n", "the first line of the file is empty"),
        (b"\xff\n", "the file is not UTF-8 text"),
        (b"x" * 1_025, "the file has more than 1,024 bytes"),
    ],
)
def test_a_password_file_that_cannot_be_used_is_one_sentence(
    tmp_path: Path, content: bytes | None, sentence: str
) -> None:
    file = tmp_path / "password"
    if content is not None:
        file.write_bytes(content)
    assert refused("--password-file", str(file)) == f"--password-file {file}: {sentence}"


def test_the_password_is_the_first_line_of_its_file(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text("open sesame\nnot this\n")
    command = [SERVER, "--port", "0", "--password-file", str(file)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        host, _, port = process.stdout.readline().split()[-1].rpartition(":")
        with Peer((host, int(port))) as peer:
            peer.send("open sesame")
            assert peer.until("Welcome")
        process.terminate()
