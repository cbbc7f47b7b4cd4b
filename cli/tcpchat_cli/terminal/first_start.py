"""The first start on a terminal, without any file and without any argument: what one has answered
is offered to be kept, in a client.toml that explains every key.

Nothing is written before the last question is answered, and never a secret: tokens have files of
their own, a password has none.
"""

from __future__ import annotations

import os
import textwrap
from collections.abc import Mapping, Sequence
from typing import Final

import tomlkit

from tcpchat_cli.terminal import settings
from tcpchat_cli.terminal.address import Address
from tcpchat_cli.terminal.client_toml import write_new
from tcpchat_cli.terminal.configuration import PROFILES, Configuration
from tcpchat_cli.terminal.connection import Connection
from tcpchat_cli.terminal.render import Renderer
from tcpchat_cli.terminal.settings import CHANGEABLE, ENVIRONMENT, BadSettings, config_path
from tcpchat_cli.terminal.surface import Surface
from tcpchat_core.names import GUEST_PREFIX

_COLUMNS: Final = 88

# Above the first question, below an answer to the last that is none, and once one is in.
QUESTIONS: Final = "three questions, and you are in; Enter takes what stands in brackets"
UNCLEAR: Final = "that is neither y nor n, and nobody was told it"
HOW_TO: Final = "type to say something here; /help shows what else there is; Ctrl-D leaves"

_HEAD: Final = """\
What holds for tcpchat-client, in TOML. What begins with # is a comment: take that away from a key
to set it. /set NAME VALUE does so, too, and leaves all else here as it is.
"""

_END: Final = f"""\
`tcpchat-client work` starts with what stands below [{PROFILES}.work], and otherwise as above:

[{PROFILES}.work]
servers = ["chat.example.org", "chat2.example.org:7667"]
rooms = ["team"]
tls = true

Keys that do something else than they do without it; /help lists what there is:

[keys]
next-view = ["Ctrl-N", "Alt-Right"]
"""


def is_first(argv: Sequence[str], environment: Mapping[str, str]) -> bool:
    """Whether nothing was said yet: no file, no argument, and nothing in the environment."""
    given = any(environment.get(variable) for variable in ENVIRONMENT.values())
    return not argv and not given and not os.path.lexists(config_path())


async def offer_to_keep(
    configuration: Configuration,
    connection: Connection,
    servers: tuple[Address, ...],
    display: Surface,
) -> tuple[str, ...]:
    """Ask whether to keep what was answered; if so, make the file. What to tell then."""
    if not await _is_wanted(display, f"Keep this for the next time, in {configuration.path}?"):
        return (HOW_TO,)
    return (_keep(configuration, connection, servers), HOW_TO)


async def _is_wanted(display: Surface, question: str) -> bool:
    """A person's yes or no; Enter is yes.

    Who thinks to be in already types what is for the room: that waits in the prompt to be said.
    """
    while True:
        answer = await display.question(f"{question} [Y/n]: ")
        word = answer.strip().lower()
        if word in {"", "y", "yes"}:
            return True
        if word in {"n", "no"}:
            return False
        display.show([Renderer().error(UNCLEAR)])
        display.text = answer


def _keep(
    configuration: Configuration, connection: Connection, servers: tuple[Address, ...]
) -> str:
    """What to tell of the file."""
    path = configuration.path
    nick = connection.protocol.nick
    is_own = not connection.account and not nick.startswith(GUEST_PREFIX)
    answers: dict[str, object] = {
        "servers": tuple(map(str, servers)),
        "nick": nick if is_own else "",
        "rooms": (connection.current,) if connection.current else (),
    }
    try:
        if not write_new(path, file_text(answers)):
            return f"there is a file {path} by now: it stays as it is"
    except BadSettings as error:
        return str(error)
    configuration.adopt(answers)
    return f"kept in {path}; /set changes it"


def file_text(answers: Mapping[str, object]) -> str:
    """A client.toml with these settings, and with a comment for each that there is."""
    parts = [_comment(_HEAD)]
    for name in CHANGEABLE:
        value = answers.get(name) or settings.default(name)
        line = tomlkit.dumps({name: value})
        is_set = value != settings.default(name)
        told = f"{settings.description(name)}."
        parts.append(_comment(textwrap.fill(told, _COLUMNS)) + (line if is_set else f"# {line}"))
    return "\n".join([*parts, _comment(_END)])


def _comment(text: str) -> str:
    return "".join(f"# {line}".rstrip() + "\n" for line in text.splitlines())
