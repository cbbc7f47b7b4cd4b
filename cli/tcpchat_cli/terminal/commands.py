"""What is typed: the commands that every client of tcpchat has, and those of this one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from tcpchat_cli.terminal.keys import keys_text
from tcpchat_core import COMMANDS, Request, events, parse_line
from tcpchat_core.commands import unknown_command
from tcpchat_core.notices import Rejected


class LocalCommand(NamedTuple):
    """A command that the client carries out by itself."""

    name: str
    arguments: str
    summary: str
    example: str

    @property
    def usage(self) -> str:
        """How it is written, for example `/ignore NICK`."""
        return f"/{self.name} {self.arguments}".rstrip()


class Local(NamedTuple):
    """Do this here: a command's name, and what stands after it."""

    name: str
    rest: str


LOCAL_COMMANDS: tuple[LocalCommand, ...] = (
    LocalCommand("older", "", "show what was said before", "/older"),
    LocalCommand("view", "[VIEW]", "go to a view; or which there are, and what is new", "/view 2"),
    LocalCommand("query", "NICK", "go to what you say with somebody", "/query ada"),
    LocalCommand("r", "[TEXT]", "answer who wrote to you last, or go there", "/r coming"),
    LocalCommand("close", "", "end such a view, or that of a room you were put out of", "/close"),
    LocalCommand(
        "goto", "N|gap", "show what was said around that one of a list, or is missing", "/goto 2"
    ),
    LocalCommand("newer", "", "there, show what was said after", "/newer"),
    LocalCommand("links", "", "list the addresses that were said here", "/links"),
    LocalCommand("open", "[N]", "open the newest address, or that one of /links", "/open 2"),
    LocalCommand("ignore", "[NICK]", "show nothing of somebody; who is ignored", "/ignore troll"),
    LocalCommand("unignore", "NICK", "show somebody again", "/unignore troll"),
    LocalCommand("mentions", "", "list what has called you", "/mentions"),
    LocalCommand("clear", "", "clear the view; /older brings it back", "/clear"),
    LocalCommand(
        "set", "[NAME [VALUE]]", "show or change a setting; it is kept", "/set theme light"
    ),
    LocalCommand("unset", "NAME", "put a setting back to its default", "/unset theme"),
    LocalCommand("log", "", "show which file this is logged to; /set log on logs", "/log"),
)

_LOCAL = {command.name: command for command in LOCAL_COMMANDS}
_SHARED = {name: command for command in COMMANDS for name in command.names}

# What stands after these lets whoever knows it come in.
_OF_SECRETS = {"claim", "login", "password", "secret"}

# Those of the line that is being typed, then those of the table, as they are without settings.
TYPING_KEYS = (
    "Tab completes commands, nicks and rooms; Up finds what you typed before",
    "Ctrl-D leaves",
)
KEYS = (*TYPING_KEYS, *keys_text())


def command_names() -> tuple[str, ...]:
    """All that can stand after a slash, without the other names of the same."""
    return (*(command.names[0] for command in COMMANDS), *_LOCAL)


def arguments_of(name: str) -> str:
    """What can stand after a command, as its usage writes it; "" where there is no such command."""
    command = _SHARED.get(name) or _LOCAL.get(name)
    return command.arguments if command else ""


def without_secrets(line: str) -> str:
    """A typed line as it may be typed again: without a code, a token or a word that lets in."""
    if not line.startswith("/"):
        return line
    word, _, rest = line[1:].partition(" ")
    command = _SHARED.get(word.lower())
    name = command.names[0] if command else word.lower()
    if name in _OF_SECRETS:
        return f"/{word}"
    return " ".join((f"/{word}", *rest.split()[:1])) if name == "join" else line


def parse_typed(line: str) -> Request | Local | Rejected | None:
    """What a typed line asks for, of the server or of the client; None for an empty one."""
    if not line.startswith("/") or line.startswith("//"):
        return parse_line(line)
    word, _, rest = line[1:].partition(" ")
    name = word.lower()
    if name in _LOCAL:
        return Local(name, rest.strip())
    if name not in _SHARED:
        return unknown(word)
    request = parse_line(line)
    return Local("help", request.command) if isinstance(request, events.Help) else request


def explained(name: str) -> tuple[str, ...]:
    """The lines that explain a command, with an example; none where there is no such command."""
    if name in _LOCAL:
        local = _LOCAL[name]
        return (f"{local.usage}: {local.summary}", f"for example: {local.example}")
    if name in _SHARED:
        shared = _SHARED[name]
        also = ", ".join(f"/{other}" for other in shared.names[1:])
        return (
            f"{shared.usage}: {shared.summary}",
            f"for example: {shared.example}",
            *((f"the same: {also}",) if also else ()),
        )
    return ()


def usages(names: Iterable[str]) -> Iterator[tuple[str, str]]:
    """How each of these commands is written, and what it does."""
    for name in names:
        command = _LOCAL.get(name) or _SHARED[name]
        yield command.usage, command.summary


def unknown(word: str) -> Rejected:
    """What is said of a command that there is not: the one that is meant."""
    return unknown_command(word, (*_SHARED, *_LOCAL))
