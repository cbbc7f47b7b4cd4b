"""What tcpchat-server prints of itself: its version, its completion in shells, and its pages of the
manual. All of it is made from what the program is made of, the table of settings and the tools.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from typing import Final

from gevent import core, get_hub  # type: ignore[attr-defined] # its types lack core

from tcpchat_cli import manual
from tcpchat_cli.about import Fact, about, packages
from tcpchat_cli.arguments import Parser
from tcpchat_cli.settings import (
    CONFIG_VARIABLE,
    PROGRAM,
    TABLE,
    Setting,
    Settings,
    key_of,
    server_parser,
    variable_of,
)
from tcpchat_cli.shells import completion
from tcpchat_cli.tools import TOOLS
from tcpchat_net.logs import archive, store, stream

# Optional packages: for a log that nodes share, and for metrics.
_EXTRAS: Final = ("hiredis", "prometheus-client")

_DEFAULTS: Final = Settings()

_FILE: Final = "tcpchat-server.toml"


def version() -> str:
    """The version, and what a report of a bug should have."""
    return about(PROGRAM, _facts)


def _facts() -> Iterator[Fact]:
    [(_, gevent)] = packages("gevent")
    yield "gevent", f"{gevent}, {core.get_version()}, {get_hub().loop.backend}"
    yield "sqlite", sqlite3.sqlite_version
    yield from packages("msgspec", *_EXTRAS)
    shared = stream.FORMAT
    yield "formats", f"log {store.FORMAT}, archive {archive.FORMAT}, shared log {shared}"


def shell_completion(shell: str) -> str:
    """What has a shell complete the server's command line, and those of its tools."""
    parser = server_parser()
    tools = parser.add_subparsers(metavar="TOOL")
    for name, tool in TOOLS.items():
        tool.describe(tools.add_parser(name, help=tool.summary))
    return completion(parser, shell)


def manual_page(section: str) -> str:
    """A page of the manual: of the program (1), or of its configuration file (5)."""
    return PAGES[section]()


def _program() -> str:
    parser = server_parser()
    tools = []
    for name, each in TOOLS.items():
        described = Parser(prog=f"{PROGRAM} {name}")
        each.describe(described)
        tools.append(manual.tool(described))
    return manual.page(
        PROGRAM,
        1,
        "a server for group chat over TCP",
        manual.synopsis(f"{PROGRAM} [OPTION]...", f"{PROGRAM} TOOL ...", f"{PROGRAM} TOOL --help"),
        manual.section(
            "DESCRIPTION",
            manual.paragraph(
                "Serves a chat on one port to people and programs alike: to tcpchat-client(1), nc,"
                " telnet, any IRC client, browsers, and programs that speak JSON Lines. It runs"
                " until SIGTERM or Ctrl-C. The first line on stdout says where it listens; what"
                " happens is logged to stderr, and never what people say."
            ),
            manual.paragraph(
                "What is said is kept in a folder. The tools look after it, after accounts, and"
                " after several nodes."
            ),
        ),
        manual.section(
            "OPTIONS",
            manual.paragraph(
                f"All but --config and those that print something are keys of {_FILE}(5), too; what"
                " stands on the command line wins."
            ),
            manual.options(parser),
        ),
        manual.section("TOOLS", *tools),
        manual.section(
            "ENVIRONMENT",
            manual.paragraph(
                "Each setting can be a variable, too, which wins over the file:"
                f" {variable_of('max_clients')} for --max-clients. A switch is true or false there."
            ),
            manual.items(
                [
                    (CONFIG_VARIABLE, "As --config."),
                    ("TCPCHAT_LOG_PASSWORD", "The password of a log that nodes share."),
                    ("NO_COLOR", "No colours on a terminal, if it is set to anything."),
                ]
            ),
        ),
        manual.exit_status("It could not serve, or not go on. One sentence on stderr says why."),
        manual.section("SEE ALSO", manual.paragraph(f"tcpchat-client(1), {_FILE}(5)")),
    )


def _file() -> str:
    keys = [_key(name, setting) for name, setting in TABLE.items()]
    return manual.page(
        _FILE,
        5,
        f"the configuration file of {PROGRAM}",
        manual.section(
            "DESCRIPTION",
            manual.paragraph(
                f"A file in TOML that {PROGRAM}(1) reads when --config names it. Each key is a flag"
                " of the program and a variable of its environment, too, which win over the file. A"
                " key that there is not, or a value of another kind, is refused by name. What is a"
                " list on the command line is a list here."
            ),
            manual.paragraph(
                "SIGHUP has it read again. What is different then holds at once, unless the key"
                " says below that it takes a restart."
            ),
        ),
        manual.section("KEYS", manual.items(keys)),
        manual.section(
            "EXAMPLE",
            ".EX",
            *(
                'host = "::"',
                'tls\\-cert = "/etc/tcpchat/cert.pem"',
                'tls\\-key = "/etc/tcpchat/key.pem"',
                'rooms = ["lobby", "help"]',
            ),
            ".EE",
        ),
        manual.section("SEE ALSO", manual.paragraph(f"{PROGRAM}(1)")),
    )


def _key(name: str, setting: Setting) -> manual.Item:
    default = getattr(_DEFAULTS, name)
    text = manual.sentence(setting.help)
    if setting.expected != "a text":
        text += f" It is {setting.expected}."
    if default not in ("", ()):
        text += f" Without it: {_toml(default)}."
    if not setting.reloads:
        text += " A change takes a restart."
    return f"{key_of(name)} = {setting.metavar or 'true|false'}", text


def _toml(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return f'"{value}"' if isinstance(value, str) else f"{value}"


PAGES: Final[dict[str, Callable[[], str]]] = {"1": _program, "5": _file}
