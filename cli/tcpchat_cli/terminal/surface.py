"""What a conversation is shown on: the interface of the displays of this client.

`display.Display` prints above a prompt, and leaves the scrollback to the terminal; `panes.Panes`
takes all of the screen, and `linear.Linear` only adds lines. The screen (`screen.Screen`) knows no
more of them than what stands here.

Call order: `question` as often as it takes, then `prompt` once. Meanwhile the others, each from the
same thread: lines have been added to their view (`views.Views.add`) before a display is told.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple, Protocol, TypeAlias

from prompt_toolkit.completion import Completer
from prompt_toolkit.key_binding import KeyBindings

from tcpchat_cli.terminal.numbering import MessageId
from tcpchat_cli.terminal.presence import People
from tcpchat_cli.terminal.render import Fragments, Line
from tcpchat_cli.terminal.view import View
from tcpchat_cli.terminal.views import Views


class Leave(Exception):
    """The person wants to go."""


# How one can go through a view, where the display scrolls.
Way: TypeAlias = Literal["page up", "page down", "top", "end"]

# What stands beside the view, where there is room.
Pane: TypeAlias = Literal["views", "people"]


class Prompt(NamedTuple):
    """What a display asks while lines are typed; all of it is called again for every drawing."""

    message: Callable[[], Fragments]  # before what is typed; above it what has no receipt yet
    toolbar: Callable[[], Fragments]  # one row of `columns`
    entered: Callable[[str], None]  # a line was typed
    key_pressed: Callable[[], None]  # any key was
    focused: Callable[[bool], None]  # the window has got the focus, or has lost it
    key_bindings: KeyBindings
    completer: Completer
    kept: Callable[[str], str]  # what of a typed line is offered to be typed again
    views: Views  # with the current one
    people: Callable[[], People]  # who is in the current view, oneself among them


class Surface(Protocol):
    """A display. `show` and `switch` may be called before `prompt`, and while it is awaited."""

    @property
    def columns(self) -> int:
        """How wide a line may be."""

    @property
    def has_keys(self) -> bool:
        """Whether keys do anything but type."""

    @property
    def text(self) -> str:
        """What is being typed, and was not entered yet. Set before `prompt`, it begins with it."""

    @text.setter
    def text(self, text: str) -> None: ...

    def show(self, lines: Sequence[Line]) -> None:
        """These lines are new at the end of the current view. There may be none."""

    def show_older(self, lines: Sequence[Line]) -> None:
        """Of the current view, these are from before its first line, with marks around them.

        Those that are messages stand at the head of the view already, as far as there was room.
        """

    def reveal(self, line: Line, around: Sequence[Line]) -> None:
        """A line of the current view was found: show it, and what was said `around` it, with it."""

    def switch(self, view: View) -> None:
        """Another view is the current one: show what it is, its last lines, and its mark."""

    def take_back(self, place: MessageId) -> None:
        """The text of a message is not to be shown any more; the views have lost it already."""

    def refresh(self) -> None:
        """Something other than lines has changed: the prompt, the bar, who is there."""

    def clear(self) -> None:
        """Clear what is seen of the current view."""

    def scroll(self, way: Way) -> bool:
        """Go through the current view. False when nothing more can be shown that way."""

    def toggle(self, pane: Pane) -> None:
        """Hide a pane, or show it again, where the display has any."""

    def call(self, data: str) -> None:
        """Call the person, who does not look, by what `notify` has made."""

    def show_title(self, text: str) -> None:
        """Have the title of the window be this, or with "" its own."""

    async def question(self, text: str, *, secret: bool = False) -> str:
        """A person's answer to a question that is asked before `prompt`. Raises Leave."""

    async def prompt(self, prompt: Prompt) -> None:
        """Let a person type lines, until Leave is raised."""

    def leave(self) -> None:
        """End the prompt: Leave is raised where it was awaited."""

    def apply_settings(self) -> None:
        """Show and edit as the settings now say."""
