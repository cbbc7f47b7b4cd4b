"""Completion by Tab: commands, nicks, rooms and settings, each where it can stand."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document

from tcpchat_cli.terminal.commands import arguments_of, command_names
from tcpchat_cli.terminal.configuration import words_of
from tcpchat_cli.terminal.settings import CHANGEABLE
from tcpchat_cli.terminal.topics import help_words

_SEARCHES = {"search", "find"}

# A word that says that something is about the whole server, where its usage has it.
_SERVER = "--server"

# How a usage calls what is written in one's own words, in which nicks may stand.
_OWN_WORDS = {"TEXT", "ACTION", "REASON", "TIME"}


class ChatCompleter(Completer):
    """Completes the word before the cursor; the functions tell what there is at that moment."""

    def __init__(
        self,
        nicks: Callable[[], Iterable[str]],
        rooms: Callable[[], Iterable[str]],
        ignored: Callable[[], Iterable[str]],
        views: Callable[[], Iterable[str]] = tuple,
    ) -> None:
        self._nicks = nicks
        self._rooms = rooms
        self._ignored = ignored
        self._views = views

    def get_completions(
        self,
        document: Document,
        complete_event: CompleteEvent,  # noqa: ARG002 # prompt_toolkit gives it
    ) -> Iterator[Completion]:
        """What the word before the cursor can become."""
        before = document.text_before_cursor
        *earlier, word = before.split(" ")
        prefix = word.casefold()
        for candidate in self._candidates(earlier, word):
            if candidate.casefold().startswith(prefix) and prefix:
                yield Completion(candidate, -len(word), display=candidate.strip())
            elif not prefix and earlier:
                yield Completion(candidate, display=candidate.strip())

    def _candidates(self, earlier: list[str], word: str) -> Iterator[str]:
        if not earlier and word.startswith("/"):
            yield from (f"/{name} " for name in sorted(command_names()))
            return
        if not earlier or not earlier[0].startswith("/"):
            yield from (f"{nick}{' ' if earlier else ': '}" for nick in self._nicks())
            return
        command = earlier[0][1:].lower()
        if command in _SEARCHES:
            if earlier[-1].lower() == "in":
                yield from (f"{room} " for room in self._rooms())
            elif earlier[-1].lower() == "from":
                yield from (f"{nick} " for nick in self._nicks())
        elif command == "unignore":
            yield from self._ignored() if len(earlier) == 1 else ()
        elif command in {"help", "?"}:
            yield from sorted({*command_names(), *help_words()}) if len(earlier) == 1 else ()
        elif command == "set":
            if len(earlier) == 1:
                yield from (f"{name} " for name in CHANGEABLE)
            elif len(earlier) == 2:
                yield from words_of(earlier[1])
        elif command == "unset":
            yield from CHANGEABLE if len(earlier) == 1 else ()
        else:
            yield from self._arguments(arguments_of(command).split(), earlier[1:], word)

    def _arguments(self, usage: list[str], given: list[str], word: str) -> Iterator[str]:
        """What the next word can be, by how the usage calls it."""
        if f"[{_SERVER}]" in usage:
            usage = [each for each in usage if each != f"[{_SERVER}]"]
            is_given = _SERVER in given
            given = [each for each in given if each != _SERVER]
            if not is_given and (len(given) > 0 or not usage or word.startswith("-")):
                yield _SERVER
        if not usage:
            return
        called = usage[min(len(given), len(usage) - 1)].strip("[]")
        is_next = len(given) < len(usage)
        if called in _OWN_WORDS or (called == "NICK" and is_next):
            yield from (f"{nick} " for nick in self._nicks())
        elif called == "ROOM" and is_next:
            yield from self._rooms()
        elif called == "VIEW" and is_next:
            yield from self._views()
        elif is_next:
            # What is written small is to be typed so, as in on|off.
            yield from (each for each in called.split("|") if each.islower())
