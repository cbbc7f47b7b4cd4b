"""Completion by Tab: commands, nicks, rooms and settings, each where it can stand."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document

from tcpchat_cli.terminal.commands import command_names
from tcpchat_cli.terminal.settings import CHANGEABLE

_OF_ROOMS = {"join", "room", "out", "leave", "part", "who", "names"}
_SEARCHES = {"search", "find"}
_OF_NICKS = {"msg", "tell", "ignore", "kick", "mute", "unmute", "ban", "unban", "mod", "unmod"}
_OF_NICKS |= {"invite", "redact"}


class ChatCompleter(Completer):
    """Completes the word before the cursor; the functions tell what there is at that moment."""

    def __init__(
        self,
        nicks: Callable[[], Iterable[str]],
        rooms: Callable[[], Iterable[str]],
        ignored: Callable[[], Iterable[str]],
    ) -> None:
        self._nicks = nicks
        self._rooms = rooms
        self._ignored = ignored

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
        command = earlier[0][1:].lower() if earlier and earlier[0].startswith("/") else ""
        first = len(earlier) == 1
        if command in _OF_ROOMS and first:
            yield from self._rooms()
        elif command in _OF_NICKS and first:
            yield from (f"{nick} " for nick in self._nicks())
        elif command in _SEARCHES and earlier[-1].lower() == "in":
            yield from (f"{room} " for room in self._rooms())
        elif command in _SEARCHES and earlier[-1].lower() == "from":
            yield from (f"{nick} " for nick in self._nicks())
        elif command == "unignore" and first:
            yield from self._ignored()
        elif command in {"help", "?"} and first:
            yield from sorted(command_names())
        elif command == "set":
            if first:
                yield from (f"{name} " for name in CHANGEABLE)
            elif len(earlier) == 2:
                yield from CHANGEABLE.get(earlier[1], ())
        elif word or earlier:
            end = ": " if not earlier else " "
            yield from (f"{nick}{end}" for nick in self._nicks())
