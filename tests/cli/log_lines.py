"""Reading the server's log in its formats, and whether its lines are of its vocabulary."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

from tcpchat_cli.vocabulary import EVENTS

# What stands in a line beside the event's own fields.
_OF_ALL: Final = ("time", "level", "worker", "event")

_PAIR: Final = re.compile(r'(\w+)=(?:"((?:[^"\\]|\\.)*)"|(\S+))(?: |$)')

# The lines of the loop's watchdog, in each of the formats.
_OF_THE_MACHINE: Final = re.compile(
    r'(?:\bevent=|"event": ?"|^\d\d:\d\d:\d\d (?:\w+ )?)(?:held|released|suspended)\b'
)


def pairs(line: str) -> dict[str, str]:
    """The fields of a line of `keyvalue`, as they stand there."""
    assert re.fullmatch(rf"({_PAIR.pattern})+", line), line
    return {key: quoted or plain for key, quoted, plain in _PAIR.findall(line)}


def events_in(log: str) -> list[dict[str, Any]]:
    """What the lines of a log say, of those that are in a format for programs."""
    told: list[dict[str, Any]] = []
    for line in log.splitlines():
        if line.startswith('{"time":'):
            told.append(json.loads(line))
        elif line.startswith("time="):
            told.append(pairs(line))
    return told


def unknown(told: Iterable[Mapping[str, object]]) -> list[str]:
    """What lines say that is not in the vocabulary."""
    wrong: list[str] = []
    for line in told:
        event = str(line["event"])
        kind = EVENTS.get(event)
        if kind is None:
            wrong.append(f"the event {event}")
        else:
            wrong += [f"{event}: {key}" for key in line if key not in (*_OF_ALL, *kind.fields)]
    return wrong


def without_the_machine(log: str) -> str:
    """The log without the lines that say that a turn of the loop took long: on a machine with other
    things to do, any may.
    """
    lines = log.splitlines(keepends=True)
    return "".join(line for line in lines if not _OF_THE_MACHINE.search(line))
