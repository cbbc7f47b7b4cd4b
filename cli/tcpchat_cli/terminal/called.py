"""What follows when something is said: is one called, told so, and which program is run.

Rule 1: What one ignores, and what one has said oneself, calls nobody.

Rule 2: Who looks at where it is said need not be told of it.

Rule 3: What was said before one came, or while the connection was lost, is listed among what has
        called one; it rings as any other, but programs are run for what is said now.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from tcpchat_cli.terminal.highlights import Highlights
from tcpchat_cli.terminal.hooks import HAPPENINGS, Hooks
from tcpchat_cli.terminal.mentions import Mentions, Message
from tcpchat_cli.terminal.notify import Attention, Bell, Call
from tcpchat_cli.terminal.numbering import Numbering
from tcpchat_cli.terminal.redactions import taken_back_by
from tcpchat_cli.terminal.settings import Settings
from tcpchat_cli.terminal.view import Unread
from tcpchat_core.names import is_same_nick
from tcpchat_core.notices import Notice, Resumed, Said, Told, Welcome


class Called:
    """What calls one person.

    `ignores` says whether a nick is ignored, `numbering` what numbers mean, `send` sends to the
    terminal, and `tell` shows a sentence.

    Call `told` with each notice that is not ignored, and `settled` when all that has come at once
    was told.
    """

    def __init__(
        self,
        settings: Settings,
        environment: Mapping[str, str],
        *,
        ignores: Callable[[str], bool],
        numbering: Numbering,
        send: Callable[[str], None],
        tell: Callable[[str], None],
    ) -> None:
        self._settings = settings
        self._ignores = ignores
        self._send = send
        self._bell = Bell(environment)
        self._hooks = Hooks(tell)
        self._again: dict[str, int] = {}  # by room: up to here it was said before we were back
        self._is_again = False  # what comes at once with the answer that we are back
        self.highlights = Highlights()
        self._numbering = numbering
        self.mentions = Mentions(numbering)
        self.attention = Attention()
        self.missed = Unread()  # of the current view, while the person looked elsewhere
        self.apply_settings()

    def apply_settings(self) -> None:
        """From now on as the settings say. Raises BadSettings."""
        settings = self._settings
        self._hooks.set_to({happening: getattr(settings, happening) for happening in HAPPENINGS})
        self.highlights = Highlights(settings.highlight)

    def calls(self, me: str, message: Message) -> bool:
        """Whether a message calls one, whose nick is `me`."""
        match message:
            case Told(to=to):
                return not to
            case Said(nick=nick, text=text, redacted=redacted):
                is_others = not (is_same_nick(nick, me) or self._ignores(nick))
                return is_others and not redacted and self.highlights.call(me, text)

    def told(self, notice: Notice, me: str, *, is_here: bool, looks: bool, now: float) -> None:
        """Follow what was told.

        `is_here`: whether it is of the current view; `looks`: whether the person looks at the
        terminal. `now` is in seconds of any clock.
        """
        match notice:
            case Welcome():
                self._again = {}  # its numbers say nothing about those before
            case Resumed(rooms=rooms):
                self._again = {state.room: state.seq for state in rooms}
                self._is_again = True
        for place in taken_back_by(notice):
            self.mentions.take_back(self._numbering.id_of(*place))
        new = self.mentions.note(notice, lambda message: self.calls(me, message))
        match notice:
            case Said(nick=nick) if not is_same_nick(nick, me):
                self._run_for_said(notice, is_mention=notice in new)
            case Told(to=""):
                self._run_for_told(notice)
            case _:
                return
        if is_here and not looks:
            self.missed.add(mention=notice in new)
        if notice in new and not (is_here and looks):
            self._ring(notice, now)

    def seen(self) -> None:
        """The person looks at the current view."""
        self.missed = Unread()

    def settled(self) -> None:
        """What has come at once was told."""
        self._is_again = False

    async def hooks_end(self) -> None:
        """Wait until no program is running."""
        await self._hooks.settle()

    async def close(self) -> None:
        """Run no programs any more, and kill those that are still running."""
        await self._hooks.close()

    def _run_for_said(self, said: Said, *, is_mention: bool) -> None:
        if said.seq <= self._again.get(said.room, said.seq - 1):
            return
        self._hooks.run("on_message", said)
        if is_mention:
            self._hooks.run("on_mention", said)

    def _run_for_told(self, told: Told) -> None:
        if not self._is_again:
            self._hooks.run("on_direct", told)

    def _ring(self, message: Message, now: float) -> None:
        room = message.room if isinstance(message, Said) else ""
        settings = self._settings
        told = self._bell.ring(
            Call(message.nick, room, message.text),
            settings.notify,
            with_text=settings.notify_text,
            now=now,
        )
        if told:
            self._send(told)
