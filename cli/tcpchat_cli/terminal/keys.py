"""The keys of this client: what each does, as a table.

A key is written as people write it: `Alt-1`, `Ctrl-N`, `PageUp`, `F5`. The keys with which the
line is edited that is being typed are prompt_toolkit's (emacs or vi), and are not here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Final, NamedTuple

from prompt_toolkit.application import get_app
from prompt_toolkit.filters import Condition, FilterOrBool
from prompt_toolkit.key_binding import KeyBindings


class Action(NamedTuple):
    """What a key can do: `name` is for settings, `keys` are those it has when nothing is set.

    Where the order of the keys means something, the summary says so.
    """

    name: str
    keys: tuple[str, ...]
    summary: str

    @property
    def shown_keys(self) -> str:
        """Its keys in a sentence, for example `Alt-1 … Alt-9`."""
        if len(self.keys) > MAX_SHOWN_KEYS:
            return f"{self.keys[0]} … {self.keys[-1]}"
        return " or ".join(self.keys)


# Of an action with more keys only the first and the last are written out.
MAX_SHOWN_KEYS: Final = 3

ACTIONS: Final = (
    Action("view", tuple(f"Alt-{number}" for number in range(1, 10)), "go to the 1st … 9th view"),
    Action("next-view", ("Ctrl-N",), "go to the next view"),
    Action("previous-view", ("Ctrl-P",), "go to the view before"),
    Action(
        "next-unread", ("Alt-A",), "go to where something is unread, first where you were called"
    ),
    Action("older", ("PageUp",), "show what was said before, page by page"),
    Action("newer", ("PageDown",), "go down again, in full screen and after /goto"),
    Action("oldest", ("Ctrl-Home",), "in full screen, go to the top"),
    Action("newest", ("Ctrl-End",), "in full screen, go to the end"),
    Action("hide-views", ("F7",), "in full screen, hide the views, or show them again"),
    Action("hide-people", ("F8",), "in full screen, hide the people, or show them again"),
    Action(
        "look",
        ("Ctrl-R",),
        "find what was said on the screen, as you type; again goes on, Enter and Esc end",
    ),
    Action("look-newer", ("Ctrl-S",), "there, go back to the newer one"),
    Action("find-typed", ("Alt-R",), "find what you typed before"),
    Action("redraw", ("Ctrl-L",), "clear the screen; the view keeps its lines"),
)

NO_FILTERS: Final[Mapping[str, FilterOrBool]] = MappingProxyType({})

DEFAULT_KEYS: Final = {action.name: action.keys for action in ACTIONS}

# What prompt_toolkit calls the keys that have names.
_NAMED: Final = {
    "pageup": "pageup",
    "pagedown": "pagedown",
    "home": "home",
    "end": "end",
    "insert": "insert",
    "delete": "delete",
    "up": "up",
    "down": "down",
    "left": "left",
    "right": "right",
    **{f"f{number}": f"f{number}" for number in range(1, 25)},
}


class BadKey(Exception):
    """There is no such key. The text is one sentence for people."""


def key_sequence(key: str) -> tuple[str, ...]:
    """A key as prompt_toolkit is told it: Alt-A is Escape and then a. Raises BadKey."""
    *held, last = key.lower().replace("--", "-minus").split("-")
    last = last.replace("minus", "-")
    match held:
        case [] if last in _NAMED:
            return (_NAMED[last],)
        case ["ctrl"] if len(last) == 1 and ("a" <= last <= "z"):
            return (f"c-{last}",)
        case ["ctrl"] if last in _NAMED and not last.startswith("f"):
            return (f"c-{_NAMED[last]}",)
        case ["alt"] if last in _NAMED:
            return ("escape", _NAMED[last])
        case ["alt"] if len(last) == 1 and last.isascii() and last.isprintable():
            return ("escape", last)
    raise BadKey(f"there is no key {key!r}; keys are written as Alt-A, Ctrl-N, PageUp or F5")


def key_bindings(
    keys: Mapping[str, tuple[str, ...]],
    actions: Mapping[str, Callable[[int], None]],
    when: Mapping[str, FilterOrBool] = NO_FILTERS,
) -> KeyBindings:
    """Bindings of the actions to their keys; each is told which of its keys it was, from 1.

    Where `when` has a filter for an action, its keys are what they are without it at other times.

    Raises BadKey, and KeyError for an action that is not carried out.
    """
    bindings = KeyBindings()
    for name, its in keys.items():
        act = actions[name]
        for number, key in enumerate(its, start=1):
            bindings.add(*key_sequence(key), filter=when.get(name, True))(
                lambda _, act=act, number=number: act(number)
            )
    return bindings


# How long to wait for what a terminal sends behind the first byte of a key, in seconds: it comes
# with it. Esc is that byte alone.
KEY_SECONDS: Final = 0.1


def bind_escape(bindings: KeyBindings, act: Callable[[], None], *, when: FilterOrBool) -> None:
    """Esc does this, at once: a key that is pressed next is itself, and not the one with Alt.

    What came together is a key with Alt, which Esc is the beginning of, and stays that.
    """
    is_alone = Condition(lambda: not get_app().key_processor.input_queue)
    bindings.add("escape", filter=when, eager=is_alone)(lambda _: act())


def keys_text(keys: Mapping[str, tuple[str, ...]] = DEFAULT_KEYS) -> Iterator[str]:
    """A line for each action that has keys."""
    for action in ACTIONS:
        if keys[action.name]:
            yield f"{action._replace(keys=keys[action.name]).shown_keys}: {action.summary}"
