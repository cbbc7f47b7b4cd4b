"""Every setting of tcpchat-server: one table, from which its flags, its variables and the keys of
its configuration file are made.

A setting is given by a flag (`--max-clients 500`), by a variable of the environment
(`TCPCHAT_MAX_CLIENTS=500`), or by a key of the TOML file that `--config` names
(`max-clients = 500`; an underscore will do too). A flag wins over the environment, the environment
over the file, the file over the default.

To add a setting, add a line to `Settings`. One that `reloads` holds from the next SIGHUP on; any
other has to wait for a restart.
"""

from __future__ import annotations

import argparse
import difflib
import os
import re
import stat
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from ipaddress import IPv6Address, ip_network
from pathlib import Path
from types import MappingProxyType, ModuleType
from typing import Annotated, Any, Final, NamedTuple, get_args, get_type_hints

import msgspec

from tcpchat_cli.arguments import DEFAULT_HOST, DEFAULT_PORT, Parser, Print
from tcpchat_core import Name, room_name

PROGRAM: Final = "tcpchat-server"

# A configuration file with every setting and a page about each has less. What never ends, as
# /dev/zero, would take all the memory.
MAX_FILE_BYTES: Final = 1_048_576


class Text(NamedTuple):
    """A setting that is a text: one of `choices`, if there are any."""

    help: str
    metavar: str
    choices: tuple[str, ...] = ()
    reloads: bool = False

    @property
    def expected(self) -> str:
        """What to give, for people."""
        return f"one of {', '.join(self.choices)}" if self.choices else "a text"

    def parse(self, given: str) -> str:
        """The value of a flag."""
        return given

    def allows(self, value: object) -> bool:
        """Whether it may have this value."""
        if not isinstance(value, str) or "\0" in value or not _is_unicode(value):
            return False
        return not self.choices or value in self.choices


def _is_unicode(value: str) -> bool:
    """Whether it is no bytes that are not UTF-8, which a command line can have."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


class Whole(NamedTuple):
    """A setting that is a whole number; `unit` is what it counts."""

    help: str
    unit: str
    low: int
    high: int
    metavar: str = "N"
    reloads: bool = False

    @property
    def expected(self) -> str:
        """What to give, for people."""
        return f"a whole number from {self.low} to {self.high} ({self.unit})"

    def parse(self, given: str) -> int | None:
        """The value of a flag; None when it is no number."""
        # int() takes blanks, underscores and other scripts' digits too.
        return int(given) if given.isascii() and given.isdecimal() and len(given) < 20 else None

    def allows(self, value: object) -> bool:
        """Whether it may have this value."""
        return type(value) is int and self.low <= value <= self.high  # True is an int


class Number(NamedTuple):
    """A setting that is a number, whole or not; `unit` is what it measures."""

    help: str
    unit: str
    low: float
    high: float
    metavar: str = "SECONDS"
    reloads: bool = False

    @property
    def expected(self) -> str:
        """What to give, for people."""
        return f"a number from {self.low:g} to {self.high:g} ({self.unit})"

    def parse(self, given: str) -> float | None:
        """The value of a flag; None when it is no number."""
        try:
            return float(given)
        except ValueError:
            return None

    def allows(self, value: object) -> bool:
        """Whether it may have this value; not a number is not."""
        return type(value) in (int, float) and self.low <= value <= self.high  # type: ignore[operator] # it is one of the two


class Switch(NamedTuple):
    """A setting that is on or off."""

    help: str
    metavar: str = ""
    expected: str = "true or false"
    reloads: bool = False

    def parse(self, given: str) -> bool | None:
        """The value of a variable; None when it is neither."""
        return _WORDS.get(given.lower())

    def allows(self, value: object) -> bool:
        """Whether it may have this value."""
        return isinstance(value, bool)


_WORDS: Final = MappingProxyType(
    {"true": True, "1": True, "yes": True, "on": True}
    | {"false": False, "0": False, "no": False, "off": False}
)

_UNITS: Final = MappingProxyType({"d": 86_400_000, "h": 3_600_000, "m": 60_000, "s": 1_000})

# The longest: a hundred years.
_MAX_DAYS: Final = 36_500


class Duration(NamedTuple):
    """A setting that is a length of time, or `forever`."""

    help: str
    metavar: str = "TIME"
    expected: str = "forever, or a time such as 90d, 12h, 30m or 60s"
    reloads: bool = False

    def parse(self, given: str) -> str:
        """The value of a flag."""
        return given

    def allows(self, value: object) -> bool:
        """Whether it may have this value."""
        return isinstance(value, str) and (value == "forever" or duration_ms(value) is not None)


def duration_ms(value: str) -> int | None:
    """How many milliseconds a duration has; None for `forever`, and for what is none."""
    number, unit = value[:-1], _UNITS.get(value[-1:])
    if unit is None or not (number.isascii() and number.isdecimal()) or len(number) > 12:
        return None
    ms = int(number) * unit
    return ms if 0 < ms <= _MAX_DAYS * _UNITS["d"] else None


class Address(NamedTuple):
    """A setting that is an address to listen on, or a port alone; "" for none."""

    help: str
    metavar: str = "ADDR"
    expected: str = "HOST:PORT, such as 127.0.0.1:9100 or [::1]:9100, or PORT alone"
    reloads: bool = False

    def parse(self, given: str) -> str:
        """The value of a flag."""
        return given

    def allows(self, value: object) -> bool:
        """Whether it may have this value."""
        return isinstance(value, str) and (not value or host_and_port(value) is not None)


def host_and_port(value: str) -> tuple[str, int] | None:
    """What an address says: without a host it is this machine's own; None for what is no address.

    The port may be 0.
    """
    host, _, port = value.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
        is_host = _is_ipv6(host)
    else:
        is_host = not host or _is_host(host)
    if not (is_host and port.isascii() and port.isdecimal() and len(port) <= 5):
        return None
    number = int(port)
    return (host or DEFAULT_HOST, number) if number <= MAX_PORT else None


def _is_ipv6(host: str) -> bool:
    try:
        return bool(IPv6Address(host))
    except ValueError:
        return False


class Several(NamedTuple):
    """A setting that is a list, with commas in a flag; `is_one` tells what may stand in it."""

    help: str
    metavar: str
    expected: str
    is_one: Callable[[object], bool]
    reloads: bool = False

    def parse(self, given: str) -> tuple[str, ...]:
        """The value of a flag."""
        return tuple(part.strip() for part in given.split(",")) if given else ()

    def allows(self, value: object) -> bool:
        """Whether it may have this value."""
        return isinstance(value, list | tuple) and all(map(self.is_one, value))


def _is_room(value: object) -> bool:
    return isinstance(value, str) and isinstance(room_name(value), Name)


def _is_network(value: object) -> bool:
    try:
        return isinstance(value, str) and bool(ip_network(value))
    except ValueError:
        return False


_LABEL: Final = "[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_HOST: Final = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")


def _is_host(value: object) -> bool:
    return isinstance(value, str) and _HOST.fullmatch(value) is not None


MAX_PORT: Final = 65_535

# Nodes have numbers of so many.
MAX_NODE: Final = 9_999

_DAY: Final = 86_400
_GIB: Final = 1_073_741_824


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """The table. The reasons for the defaults of limits are in docs/operating.md."""

    host: Annotated[str, Text("address to listen on", "HOST")] = DEFAULT_HOST
    port: Annotated[int, Whole("port; 0 takes a free one", "a port number", 0, 65_535, "PORT")] = (
        DEFAULT_PORT
    )
    motd: Annotated[
        str, Text("text that everybody who connects is shown", "FILE", reloads=True)
    ] = ""
    data: Annotated[str, Text("folder where what is said is kept", "DIR")] = ""
    in_memory: Annotated[
        bool, Switch("keep nothing, whatever data says: all is over when the server ends")
    ] = False
    durability: Annotated[
        str,
        Text(
            "disk: a receipt means it is on the disk; os: a power cut may lose some seconds",
            "WHERE",
            ("disk", "os"),
        ),
    ] = "disk"
    keep: Annotated[str, Duration("how long what is said is kept", reloads=True)] = "forever"
    log: Annotated[
        str, Text("share the log of other nodes, such as valkey://HOST:6379/0?name=team", "URL")
    ] = ""
    log_password_file: Annotated[
        str, Text("its first line is the password for that; or TCPCHAT_LOG_PASSWORD", "FILE")
    ] = ""
    node: Annotated[
        int, Whole("this node's number; 0 takes one that is free", "a node's number", 0, MAX_NODE)
    ] = 0
    workers: Annotated[
        int, Whole("processes that serve the port, with a shared log", "processes", 1, 255)
    ] = 1
    allow_unsafe_engine: Annotated[
        bool, Switch("share a log that may lose what it has acknowledged")
    ] = False
    metrics: Annotated[
        str, Address("serve metrics and health by HTTP there, such as 9100 or 0.0.0.0:9100")
    ] = ""
    rooms: Annotated[
        tuple[str, ...],
        Several(
            "rooms that always exist, also while nobody is in them",
            "ROOMS",
            "a list of rooms, such as lobby and help",
            _is_room,
            reloads=True,
        ),
    ] = ()
    log_level: Annotated[
        str,
        Text("how much is logged", "LEVEL", ("debug", "info", "warning", "error"), reloads=True),
    ] = "info"
    log_format: Annotated[
        str,
        Text(
            "how it is written; auto: console on a terminal, otherwise keyvalue",
            "FORMAT",
            ("auto", "console", "keyvalue", "json"),
        ),
    ] = "auto"

    # Whether everybody speaks TLS is as it was at the start.
    tls_cert: Annotated[
        str, Text("certificate chain in PEM: everybody speaks TLS", "FILE", reloads=True)
    ] = ""
    tls_key: Annotated[str, Text("the certificate's key in PEM", "FILE", reloads=True)] = ""
    allow_plaintext: Annotated[bool, Switch("serve without TLS where others could read along")] = (
        False
    )
    password_file: Annotated[
        str, Text("its first line is the password that everybody has to give", "FILE", reloads=True)
    ] = ""

    guests: Annotated[bool, Switch("let people talk who have no account", reloads=True)] = True

    web: Annotated[
        bool,
        Switch(
            "serve a page to browsers, on the same port, and let it take part in the chat",
            reloads=True,
        ),
    ] = True
    web_host: Annotated[
        tuple[str, ...],
        Several(
            "names by which browsers call the server, beside localhost and its addresses",
            "NAMES",
            "a list of names such as chat.example, without a scheme and a port",
            _is_host,
            reloads=True,
        ),
    ] = ()
    proxy_protocol: Annotated[
        tuple[str, ...],
        Several(
            "proxies whose connections begin with a header of the PROXY protocol",
            "NETWORKS",
            "a list of addresses or networks, such as 127.0.0.1 and 10.0.0.0/8",
            _is_network,
            reloads=True,
        ),
    ] = ()

    max_clients: Annotated[
        int, Whole("connections in all", "connections", 1, 1_000_000, reloads=True)
    ] = 10_000
    max_per_ip: Annotated[
        int, Whole("connections from one address", "connections", 1, 1_000_000, reloads=True)
    ] = 64
    flood_burst: Annotated[
        int, Whole("lines that one connection may send at once", "lines", 1, 100_000, reloads=True)
    ] = 20
    flood_rate: Annotated[
        int,
        Whole(
            "lines a second after that; 0: any number", "lines a second", 0, 100_000, reloads=True
        ),
    ] = 5
    max_backlog: Annotated[
        int,
        Whole("what may wait for one slow reader", "bytes", 65_536, _GIB, "BYTES", reloads=True),
    ] = 1_048_576
    stall_timeout: Annotated[
        float, Number("how long a slow reader may take nothing", "seconds", 0.1, _DAY, reloads=True)
    ] = 10
    ping_after: Annotated[
        float,
        Number(
            "a connection silent for so long is asked whether it is there",
            "seconds",
            0.1,
            _DAY,
            reloads=True,
        ),
    ] = 90
    drop_after: Annotated[
        float,
        Number("one that is silent for so long is closed", "seconds", 0.1, _DAY, reloads=True),
    ] = 150
    grace: Annotated[
        float,
        Number(
            "a lost connection may be resumed for so long; 0: never",
            "seconds",
            0,
            _DAY,
            reloads=True,
        ),
    ] = 60
    rooms_per_person: Annotated[
        int, Whole("rooms that one person may be in", "rooms", 1, 1_000, reloads=True)
    ] = 50
    max_rooms: Annotated[int, Whole("rooms in all", "rooms", 1, 1_000_000, reloads=True)] = 10_000
    history: Annotated[
        int, Whole("messages that a room remembers", "messages", 0, 10_000, reloads=True)
    ] = 200


Setting = Text | Whole | Number | Duration | Address | Several | Switch


def _table() -> Mapping[str, Setting]:
    hints = get_type_hints(Settings, include_extras=True)
    return MappingProxyType({name: get_args(hint)[1] for name, hint in hints.items()})


TABLE: Final = _table()
_DEFAULTS: Final = Settings()


class SettingsError(Exception):
    """The configuration cannot be used; the text says why, in one sentence."""


class Configuration(NamedTuple):
    """What is set, and by what.

    `origins` has for each setting what gives it: a flag, a variable, or the name of a file; none
    for a default. `problems` are sentences about what cannot be used, in the place of which there
    are defaults, and `refused` has their names; `oddities` are about what seems to be a mistake,
    and means nothing.
    """

    settings: Settings
    origins: Mapping[str, str]
    problems: Sequence[str]
    oddities: Sequence[str]
    refused: frozenset[str] = frozenset()
    is_to_check: bool = False  # and not to serve


def read_settings(
    argv: Sequence[str] | None = None, environment: Mapping[str, str] = os.environ
) -> Settings:
    """The settings that the command line, the environment and the configuration file give.

    A wrong command line ends the program with 2. Raises SettingsError for all else.
    """
    return usable(read_configuration(argv, environment)).settings


def usable(configuration: Configuration) -> Configuration:
    """The same, when it can be used. Raises SettingsError, with the first problem."""
    if configuration.problems:
        raise SettingsError(configuration.problems[0])
    return configuration


def read_configuration(
    argv: Sequence[str] | None = None,
    environment: Mapping[str, str] = os.environ,
    *,
    is_again: bool = False,
) -> Configuration:
    """What the command line, the environment and the configuration file give.

    A wrong command line ends the program with 2. When they were read before (`is_again`), a file
    has to be one that can be read twice.
    """
    flags = vars(server_parser().parse_args(argv))
    is_to_check = flags.pop("check_config", False)
    read = _Read(is_again=is_again)
    if file := flags.pop("config", ""):
        read.file(file, "--config")
    elif file := environment.get(CONFIG_VARIABLE, ""):
        read.file(file, CONFIG_VARIABLE)
    read.variables(environment)
    read.flags(flags)
    settings = Settings(**read.values)
    read.problems += [
        sentence for names, sentence in _disagreements(settings) if not read.refused & {*names}
    ]
    oddities = list(_unknown_variables(environment))
    return Configuration(
        settings, read.origins, read.problems, oddities, frozenset(read.refused), is_to_check
    )


def _disagreements(settings: Settings) -> Iterator[tuple[tuple[str, ...], str]]:
    """What does not go together: the names of settings, and a sentence."""
    if bool(settings.tls_cert) != bool(settings.tls_key):
        given, lacking = ("tls-cert", "tls-key") if settings.tls_cert else ("tls-key", "tls-cert")
        yield ("tls_cert", "tls_key"), f"{given} is given, so {lacking} has to be given too"
    address = host_and_port(settings.metrics)
    if address and address[1] and address[1] + settings.workers - 1 > MAX_PORT:
        beyond = f"from port {address[1]} on are beyond port {MAX_PORT}"
        yield ("metrics", "workers"), f"metrics of {settings.workers} workers {beyond}"
    for name in ("node", "log_password_file", "allow_unsafe_engine"):
        if getattr(settings, name) and not settings.log:
            yield (name, "log"), f"{key_of(name)} is given, so log has to be given too"
    if settings.workers > 1 and not settings.log:
        needed = "start Valkey, and give --log valkey://127.0.0.1:6379/0"
        yield ("workers", "log"), f"workers need a log that they share: {needed}"
    if settings.node and settings.node + settings.workers - 1 > MAX_NODE:
        beyond = f"from node {settings.node} on are beyond node {MAX_NODE}"
        yield ("workers", "node"), f"{settings.workers} workers {beyond}"
    if settings.log and settings.keep != "forever":
        yield ("log", "keep"), "with --log, what is said is kept forever: leave --keep out"
    if settings.ping_after >= settings.drop_after:
        longer = f"longer than ping-after ({settings.ping_after:g} s)"
        so_that = "so that there is time to answer"
        yield (
            ("ping_after", "drop_after"),
            f"drop-after ({settings.drop_after:g} s) has to be {longer}, {so_that}",
        )


def server_parser() -> Parser:
    """The server's command line, without those of its tools."""
    parser = Parser(
        prog=PROGRAM,
        description="Group chat over TCP, for people who live in a terminal.",
        epilog="tcpchat-server replay, backup, export and compact look after what is kept, admin"
        " after accounts, and cluster after several nodes (each has a --help of its own).",
        # What is not given is not there: the file or the default has a say then.
        argument_default=argparse.SUPPRESS,
        allow_abbrev=False,
    )
    parser.add_argument("--config", metavar="FILE", help="read settings from a TOML file")
    parser.add_argument(
        "--check-config",
        action="store_true",
        help="print all settings and what gives them, say what is wrong, and exit",
    )
    for name, setting in TABLE.items():
        flag, default = f"--{key_of(name)}", getattr(_DEFAULTS, name)
        if isinstance(setting, Switch):
            parser.add_argument(flag, action=argparse.BooleanOptionalAction, help=setting.help)
        else:
            parser.add_argument(
                flag,
                metavar=setting.metavar,
                type=argument(setting),
                choices=(setting.choices or None) if isinstance(setting, Text) else None,
                help=setting.help if default in ("", ()) else f"{setting.help} ({default})",
            )
    _add_printing(parser)
    return parser


def _add_printing(parser: Parser) -> None:
    def reference() -> ModuleType:
        from tcpchat_cli import reference  # noqa: PLC0415 # it loads the tools, and gevent

        return reference

    parser.add_argument(
        "--print-completion",
        action=Print,
        choices=("bash", "zsh", "fish"),
        metavar="SHELL",
        text=lambda shell: reference().shell_completion(shell),
        help="print what has bash, zsh or fish complete this command line, and exit",
    )
    parser.add_argument(
        "--print-man",
        action=Print,
        choices=("1", "5"),
        metavar="SECTION",
        text=lambda section: reference().manual_page(section),
        help="print the page of the manual of this program (1) or of its file (5), and exit",
    )
    parser.add_argument(
        "--version",
        action=Print,
        text=lambda _: reference().version(),
        help="show the version, and what a report of a bug should have, and exit",
    )


def argument(setting: Setting) -> Any:
    """What argparse calls a type: of a flag that is set so."""

    def parse(given: str) -> object:
        value = setting.parse(given)
        if not setting.allows(value):
            shown = without_password(given)
            raise argparse.ArgumentTypeError(f"{shown!r} is not {setting.expected}")
        return value

    return parse


# ── Names ────────────────────────────────────────────────────────────────────────────────────────

_PREFIX: Final = "TCPCHAT_"

# Names the configuration file.
CONFIG_VARIABLE: Final = f"{_PREFIX}CONFIG"

# Variables that are no settings of the server: the password of a log; what tcpchat-client reads
# (both may run in one environment); and the build that a benchmark is to compare with.
OTHER_VARIABLES: Final = frozenset(
    f"{_PREFIX}{name}" for name in ("LOG_PASSWORD", "SERVER", "NICK", "ROOM", "PASSWORD", "BEFORE")
)


def key_of(name: str) -> str:
    """A setting as one writes it in the file, and behind the dashes of its flag."""
    return name.replace("_", "-")


def variable_of(name: str) -> str:
    """The variable that gives a setting."""
    return f"{_PREFIX}{name.upper()}"


def _unknown_variables(environment: Mapping[str, str]) -> Iterator[str]:
    """What is called as if it were a setting, and means nothing: a mistake in the name, perhaps."""
    known = {*map(variable_of, TABLE), CONFIG_VARIABLE, *OTHER_VARIABLES}
    words = sorted(name.removeprefix(_PREFIX) for name in known)
    for name in environment:
        if name.startswith(_PREFIX) and name not in known:
            near = difflib.get_close_matches(name.removeprefix(_PREFIX), words, n=1)
            meant = f"; is {_PREFIX}{near[0]} meant?" if near else ""
            yield f"the environment has {name}, which is no setting{meant}"


# ── Values, for people ───────────────────────────────────────────────────────────────────────────

# In a URL the login, up to its end, has a password behind its first colon, also in what was meant
# to be one; or it stands behind the question mark.
_PASSWORD: Final = re.compile(
    r"(\A[^/\s:]*:(?!//)|//[^:/]*:).*(?=@)|([?&]pass[^=&#]*=)[^&#]*", re.DOTALL
)


def without_password(text: str) -> str:
    """A URL, or a sentence with one, without the password that it should not have."""
    return _PASSWORD.sub(r"\1\2***", text)


def show_value(value: object) -> str:
    """A value as one writes it in the file; a password in a URL is not shown."""
    match value:
        case bool():
            return "true" if value else "false"
        case str():
            text = without_password(value).replace("\\", "\\\\").replace('"', '\\"')
            return f'"{"".join(map(_escaped, text))}"'
        case tuple():
            return f"[{', '.join(map(show_value, value))}]"
        case _:
            return repr(value).removesuffix(".0")


def _escaped(char: str) -> str:
    if char.isprintable():
        return char
    return f"\\u{ord(char):04x}" if ord(char) < 0x1_0000 else f"\\U{ord(char):08x}"


# ── What gives a value ───────────────────────────────────────────────────────────────────────────

# A longer number is not shown: the longest Python refuses to write out.
_MAX_SHOWN_BITS: Final = 256


class _Read:
    """What is read, one after the other: what comes later wins."""

    def __init__(self, *, is_again: bool) -> None:
        self._is_again = is_again
        self.values: dict[str, Any] = {}
        self.origins: dict[str, str] = {}
        self.problems: list[str] = []
        self.refused: set[str] = set()  # of what cannot be used, the names

    def flags(self, flags: Mapping[str, Any]) -> None:
        """Values that are known to be possible."""
        for name, value in flags.items():
            flag = f"--{key_of(name)}" if value is not False else f"--no-{key_of(name)}"
            self._take(name, value, flag)

    def variables(self, environment: Mapping[str, str]) -> None:
        """Values as they stand in the environment; one that is empty is not given."""
        for name, setting in TABLE.items():
            variable = variable_of(name)
            if given := environment.get(variable, ""):
                value = setting.parse(given)
                if setting.allows(value):
                    self._take(name, value, variable)
                else:
                    shown = without_password(given)
                    self._refuse(name, f"{variable} = {shown!r} is not {setting.expected}")

    def file(self, name: str, by: str) -> None:
        """Values of the configuration file, which is named `by` a flag or a variable."""
        try:
            if self._is_again:
                check_lasting(name, by)
            table = _load(name, by)
        except SettingsError as error:
            self.problems.append(str(error))
            self.refused.update(TABLE)  # nobody knows what it was to say
            return
        keys: set[str] = set()
        for key, given in table.items():
            field = key.replace("-", "_")
            setting = TABLE.get(field)
            # A port alone is a number in TOML.
            is_port = isinstance(setting, Address) and type(given) is int
            value = str(given) if is_port else given
            if setting is None:
                self._refuse("", f"{name}: there is no setting {key!r}{_nearest(field)}")
            elif field in keys:
                self._refuse(field, f"{name}: {key_of(key)!r} is given twice")
            elif not setting.allows(value):
                self._refuse(field, f"{name}: {key} = {_shown(value)} is not {setting.expected}")
            else:
                self._take(field, tuple(value) if isinstance(value, list) else value, name)
            keys.add(field)

    def _take(self, name: str, value: object, origin: str) -> None:
        self.values[name], self.origins[name] = value, origin

    def _refuse(self, name: str, sentence: str) -> None:
        self.refused.add(name)
        self.problems.append(sentence)


def check_lasting(name: str, by: str) -> None:
    """See whether a file can be read twice, as far as it is there. Raises SettingsError.

    What a shell makes of `<(…)` is a pipe: it is empty the second time, as if nothing were set, and
    a pipe that has a name would keep everybody waiting for who writes to it.
    """
    try:
        mode = os.stat(name).st_mode
    except OSError:
        return  # to read it will say why not
    is_file = stat.S_ISREG(mode) or stat.S_ISDIR(mode) or os.path.realpath(name) == os.devnull
    if not is_file:
        raise SettingsError(f"{by} {name}: what is no file on a disk is read at a start only")


def _load(name: str, by: str) -> dict[str, Any]:
    """What stands in the configuration file. Raises SettingsError."""
    try:
        with Path(name).open("rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
        if len(data) > MAX_FILE_BYTES:
            raise SettingsError(f"{by} {name}: the file has more than {MAX_FILE_BYTES:,} bytes")
        return tomllib.loads(data.decode())
    except OSError as error:
        raise SettingsError(f"{by} {name}: cannot read the file: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise SettingsError(f"{by} {name}: the file is not UTF-8 text") from error
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"{by} {name}: not TOML: {error}") from error
    except (ValueError, RecursionError) as error:  # tomllib lets out what Python says of these
        sentence = f"{by} {name}: a number is too long, or brackets are too deep"
        raise SettingsError(sentence) from error


def _nearest(field: str) -> str:
    near = difflib.get_close_matches(field, TABLE, n=1)
    return f"; is {key_of(near[0])!r} meant?" if near else ""


def _shown(value: object) -> str:
    """A value of a TOML file as it may have been written there."""
    match value:
        case bool():
            return str(value).lower()
        case str():
            return f'"{without_password(value)}"'
        case dict():
            return "{…}"
        case list():
            return "[…]"
        case int() if value.bit_length() > _MAX_SHOWN_BITS:
            return "…"
        case _:
            return str(value)
