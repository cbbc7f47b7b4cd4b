"""Settings: one table, three ways to give each, and one sentence for whatever is wrong."""

from __future__ import annotations

import json
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
from tcpchat_cli.settings import (
    MAX_FILE_BYTES,
    OTHER_VARIABLES,
    TABLE,
    Duration,
    Settings,
    SettingsError,
    Switch,
    read_configuration,
    read_settings,
)
from tcpchat_cli.terminal.settings import ENVIRONMENT

from benchmarks import systems
from tests.cli.serving import ServerProcess
from tests.cli.terminal import LIMIT_SECONDS, SERVER
from tests.net.serving import Peer

FLAGS = {name: f"--{name.replace('_', '-')}" for name in TABLE}

# For each setting a value that is not its default, as it stands in a TOML file.
OTHER_VALUES: dict[str, Any] = {
    "host": '"::1"',
    "port": "7000",
    "motd": '"motd.txt"',
    "metrics": '"[::1]:9100"',
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
    "log_format": '"json"',
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

# All of them do not go together: who shares a log keeps it forever.
del VALUES["keep"], OTHER_VALUES["keep"]

# Settings that cannot be given without others.
PAIRED = ("tls_cert", "tls_key", "node", "log_password_file", "workers", "allow_unsafe_engine")

# Those that can be given alone, with values that are not the defaults.
ALONE = {**{name: VALUES[name] for name in VALUES if name not in PAIRED}, "keep": "90d"}


def as_argument(value: object) -> str:
    """The value as it is given to a flag."""
    return ",".join(value) if isinstance(value, tuple) else str(value)


def as_flag(name: str, value: object) -> list[str]:
    """The flag that gives the value."""
    if isinstance(TABLE[name], Switch):
        return [FLAGS[name] if value else FLAGS[name].replace("--", "--no-")]
    return [FLAGS[name], as_argument(value)]


def as_toml(value: object) -> str:
    """The value as it may stand in a TOML file: these have neither quotes nor escapes."""
    return json.dumps(value)


def as_variables(values: dict[str, Any]) -> dict[str, str]:
    """The environment that gives the values."""
    return {f"TCPCHAT_{name.upper()}": as_argument(value) for name, value in values.items()}


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


def test_a_port_alone_may_be_a_number_in_the_file(tmp_path: Path) -> None:
    assert settings_of_file(tmp_path, "metrics = 9667").metrics == "9667"
    sentence = refusal_of_file(tmp_path, "metrics = 96670")
    assert sentence.startswith('chat.toml: metrics = "96670" is not HOST:PORT'), sentence


@pytest.mark.parametrize("name", ALONE)
def test_a_flag_wins_over_the_file_and_the_file_over_the_default(tmp_path: Path, name: str) -> None:
    default = getattr(Settings(), name)
    text = f"{name} = {as_toml(ALONE[name])}"
    assert getattr(settings_of_file(tmp_path, text), name) == ALONE[name] != default
    back = as_flag(name, default)
    assert getattr(settings_of_file(tmp_path, text, *back), name) == default


def test_every_setting_can_be_given_by_a_variable() -> None:
    assert read_settings([], as_variables(VALUES)) == Settings(**VALUES)
    assert read_settings([], {"TCPCHAT_KEEP": "90d"}) == Settings(keep="90d")


@pytest.mark.parametrize("name", ALONE)
def test_a_flag_wins_over_the_environment_and_that_over_the_file(tmp_path: Path, name: str) -> None:
    default = getattr(Settings(), name)
    file = tmp_path / "chat.toml"
    file.write_text(f"{name} = {as_toml(default)}")
    environment = {**as_variables({name: ALONE[name]}), "TCPCHAT_CONFIG": str(file)}
    assert getattr(read_settings([], environment), name) == ALONE[name]
    assert getattr(read_settings(as_flag(name, default), environment), name) == default


def test_a_variable_may_name_the_file_and_a_flag_another(tmp_path: Path) -> None:
    one, two = tmp_path / "one.toml", tmp_path / "two.toml"
    one.write_text("max-clients = 1")
    two.write_text("max-clients = 2")
    environment = {"TCPCHAT_CONFIG": str(one)}
    assert read_settings([], environment).max_clients == 1
    assert read_settings(["--config", str(two)], environment).max_clients == 2
    with pytest.raises(SettingsError, match=r"^TCPCHAT_CONFIG /no/where: cannot read the file: "):
        read_settings([], {"TCPCHAT_CONFIG": "/no/where"})


def test_a_variable_that_is_empty_is_not_given() -> None:
    empty = dict.fromkeys(as_variables(VALUES), "")
    assert read_settings([], {**empty, "TCPCHAT_CONFIG": ""}) == Settings()


@pytest.mark.parametrize(
    ("is_on", "words"),
    [(True, ("true", "1", "yes", "on", "TRUE")), (False, ("false", "0", "no", "off", "No"))],
)
def test_a_switch_in_the_environment_is_told_in_any_usual_word(
    is_on: bool, words: tuple[str, ...]
) -> None:
    for word in words:
        read = read_settings([], {"TCPCHAT_GUESTS": word, "TCPCHAT_ALLOW_PLAINTEXT": word})
        assert (read.guests, read.allow_plaintext) == (is_on, is_on)


@pytest.mark.parametrize(
    ("name", "given", "expected"),
    [
        ("TCPCHAT_GUESTS", "perhaps", "true or false"),
        ("TCPCHAT_PORT", "tcp://10.0.0.1:7667", "a whole number from 0 to 65535 (a port number)"),
        ("TCPCHAT_KEEP", "90", Duration("").expected),
        ("TCPCHAT_ROOMS", "lobby,,help", "a list of rooms, such as lobby and help"),
        ("TCPCHAT_MOTD", "\udcff", "a text"),
    ],
)
def test_a_wrong_value_in_the_environment_is_one_sentence_that_names_the_variable(
    name: str, given: str, expected: str
) -> None:
    with pytest.raises(SettingsError) as raised:
        read_settings([], {name: given})
    assert str(raised.value) == f"{name} = {given!r} is not {expected}"


def test_all_that_is_wrong_is_known_and_nothing_that_only_follows_from_it(tmp_path: Path) -> None:
    file = tmp_path / "chat.toml"
    file.write_text("colour = 1\nping-after = 151\ndrop-after = 'long'\nnode = 3")
    read = read_configuration(["--config", str(file)], {"TCPCHAT_PORT": "x"})
    assert [problem.replace(f"{tmp_path}/", "") for problem in read.problems] == [
        "chat.toml: there is no setting 'colour'",
        'chat.toml: drop-after = "long" is not a number from 0.1 to 86400 (seconds)',
        "TCPCHAT_PORT = 'x' is not a whole number from 0 to 65535 (a port number)",
        "node is given, so log has to be given too",
    ]
    read = read_configuration(["--config", "/no/where", "--tls-key", "key.pem"], {})
    assert read.problems == ["--config /no/where: cannot read the file: No such file or directory"]


def test_a_variable_that_is_no_setting_is_told_with_the_nearest_that_is_one() -> None:
    environment = {"TCPCHAT_MAX_CLEINTS": "1", "TCPCHAT_XYZ": "", "HOME": "/", "TCPCHAT": ""}
    assert read_configuration([], environment).oddities == [
        f"the environment has {told}"
        for told in (
            "TCPCHAT_MAX_CLEINTS, which is no setting; is TCPCHAT_MAX_CLIENTS meant?",
            "TCPCHAT_XYZ, which is no setting",
        )
    ]


def test_what_others_read_in_the_environment_is_none_of_the_servers_and_no_mistake() -> None:
    others = {*ENVIRONMENT.values(), "TCPCHAT_PASSWORD", "TCPCHAT_LOG_PASSWORD", systems.BEFORE}
    assert others == OTHER_VARIABLES
    assert others.isdisjoint(as_variables(dict.fromkeys(TABLE, "")))
    assert read_configuration([], dict.fromkeys(others, "x")).oddities == []


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


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("port = " + "[" * 5_000, "a number is too long, or brackets are too deep"),
        ("port = " + "9" * 5_000, "a number is too long, or brackets are too deep"),
        ("port = 0x" + "f" * 5_000, "port = … is not a whole number from 0 to 65535"),
        ("# " + "x" * 1_048_576, "the file has more than 1,048,576 bytes"),
    ],
    ids=["brackets", "digits", "hexadecimal", "bytes"],
)
def test_a_file_that_python_itself_cannot_read_is_one_sentence(
    tmp_path: Path, text: str, wrong: str
) -> None:
    sentence = refusal_of_file(tmp_path, text)
    assert "chat.toml: " in sentence
    assert wrong in sentence


def test_a_file_that_is_no_toml_is_one_sentence_that_names_the_line(tmp_path: Path) -> None:
    sentence = refusal_of_file(tmp_path, "port = 1\nnonsense\n")
    assert sentence.startswith("--config chat.toml: not TOML: ")
    assert "line 2" in sentence
    (tmp_path / "latin.toml").write_bytes(b"motd = '\xe9'")
    with pytest.raises(SettingsError, match="the file is not UTF-8 text"):
        read_settings(["--config", str(tmp_path / "latin.toml")])


def test_a_file_that_is_too_long_to_have_settings_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "chat.toml"
    path.write_text("port = 1\n" + "#" * (MAX_FILE_BYTES - 9))
    assert read_settings(["--config", str(path)]).port == 1
    with path.open("a") as file:
        file.write("#")
    with pytest.raises(SettingsError, match="the file has more than 1,048,576 bytes"):
        read_settings(["--config", str(path)])


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


def test_the_server_reads_its_environment_and_tells_of_what_means_nothing_there() -> None:
    environment = {"TCPCHAT_HOST": "127.0.0.3", "TCPCHAT_PORT": "0", "TCPCHAT_HSOT": "::1"}
    with ServerProcess(env=environment) as server:
        assert server.read_address().startswith("127.0.0.3:")
        assert "TCPCHAT_HSOT, which is no setting; is TCPCHAT_HOST meant?" in server.log_so_far()


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
