"""How an IRC client asked for something, where the answer has to say it again.

One question of the core has several spellings in IRC, and each is answered by numerics of its own:
NAMES, WHO and MODE all ask who is in a room. And an answer names its target as the client wrote
it, which may be none that the core would know.
"""

from __future__ import annotations

from typing import NamedTuple, assert_never

from tcpchat_core.notices import HistoryPage, Members, Rejected


class Span(NamedTuple):
    """What is wanted of answers: those between two times, at most so many, from the first time on;
    which may be the later one.
    """

    first: int
    second: int
    limit: int


class Gathering:
    """Several questions that one line asks, which are answered together, with the last."""

    __slots__ = ("_missing", "pages", "refused", "rooms", "span")

    def __init__(self, questions: int, span: Span | None = None) -> None:
        self._missing = questions
        self.span = span
        self.pages: list[HistoryPage] = []
        self.rooms: list[Members] = []
        self.refused: list[Rejected] = []

    def add(self, answer: HistoryPage | Members | Rejected) -> bool:
        """Take the answer to one of them. Returns whether it was the last."""
        match answer:
            case Rejected():
                self.refused.append(answer)
            case Members():
                self.rooms.append(answer)
            case HistoryPage():
                self.pages.append(answer)
            case _:
                assert_never(answer)
        self._missing -= 1
        return not self._missing


class How(NamedTuple):
    """The command, in upper case, and its target as the client wrote it.

    `fields` and `token` are those of an extended WHO (`WHO #hall %tcn,42`), in the order in which
    they were asked for. `label` and `batch` are those of `labels.py`, `subcommand` is of
    CHATHISTORY and MONITOR, `gathering` of `chathistory.py`.
    """

    command: str
    target: str = ""
    fields: str = ""
    token: str = ""
    label: str = ""
    batch: str = ""
    subcommand: str = ""
    gathering: Gathering | None = None
