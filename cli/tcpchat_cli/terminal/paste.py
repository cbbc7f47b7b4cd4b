"""A wall of text that was pasted: asked about once, then said line by line at the server's pace."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
from prompt_toolkit.filters import Condition
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.keys import Keys

from tcpchat_cli.terminal.unsent import Message
from tcpchat_cli.terminal.widths import shortened
from tcpchat_core import events


class Paste:
    """The lines, and how far we are. The next line goes when the one before has its receipt."""

    def __init__(self, to: Message, lines: list[str]) -> None:
        self._to = to
        self.lines = lines
        self.sent = 0
        self.agreed = False
        self.waits_for: str | None = None  # the id of the line without a receipt

    @classmethod
    def of(cls, to: Message, text: str) -> Paste | None:
        """The paste, to where `to` goes; None when the text is one line and can be edited."""
        lines = [
            line
            for line in text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
            if line.strip()
        ]
        return cls(to, lines) if len(lines) > 1 else None

    def next_line(self) -> Message | None:
        """What to say now; None when all is said."""
        if self.sent == len(self.lines):
            return None
        self.sent += 1
        return msgspec.structs.replace(self._to, text=self.lines[self.sent - 1])

    def progress(self, columns: int) -> str:
        """What stands above the prompt meanwhile, in one row of so many columns."""
        if not self.agreed:
            to = self._to.room if isinstance(self._to, events.Say) else self._to.nick
            asked, keys = f"say these {len(self.lines)} lines to ", "? y/n"
            return asked + shortened(to, columns - len(asked + keys)) + keys
        return f"sending {self.sent}/{len(self.lines)} (Ctrl-C stops)"


class Pasting:
    """At most one paste at a time, and the keys by which a person decides about it.

    `to` is where a text goes that is pasted now, `send` says a line and returns its id, and `tell`
    shows a sentence.
    """

    def __init__(
        self,
        to: Callable[[str], Message],
        send: Callable[[Message], str | None],
        tell: Callable[[str], None],
    ) -> None:
        self._to = to
        self._send = send
        self._tell = tell
        self._paste: Paste | None = None

    @property
    def is_on(self) -> bool:
        """Whether something is being pasted."""
        return self._paste is not None

    def progress(self, columns: int) -> str:
        """What stands above the prompt; "" where nothing is being pasted."""
        return self._paste.progress(columns) if self._paste else ""

    def bind(self, bindings: KeyBindings) -> None:
        """While the question is open, keys answer it and do nothing else."""
        asked = Condition(lambda: self._paste is not None and not self._paste.agreed)
        sending = Condition(lambda: self._paste is not None and self._paste.agreed)
        bindings.add(Keys.BracketedPaste)(self._pasted)
        bindings.add(Keys.Any, filter=asked)(lambda _: None)
        for key in ("n", "N", "c-c"):
            bindings.add(key, filter=asked)(lambda _: self._stop())
        for key in ("y", "Y", "enter"):
            bindings.add(key, filter=asked)(lambda _: self._start())
        bindings.add("c-c", filter=sending)(lambda _: self._stop())

    def was_sent(self, id: str | None) -> None:
        """A message has its receipt: the next line may go."""
        if self._paste and self._paste.waits_for == id:
            self._go_on(self._paste)

    def was_rejected(self, id: str | None) -> None:
        """A message was refused: so would be the others."""
        if self._paste and self._paste.waits_for == id:
            self._paste = None

    def _pasted(self, event: KeyPressEvent) -> None:
        paste = Paste.of(self._to(""), event.data)
        if paste is None or self._paste is not None:
            event.current_buffer.insert_text(" ".join(event.data.splitlines()))
        else:
            self._paste = paste

    def _start(self) -> None:
        if self._paste is not None:
            self._paste.agreed = True
            self._go_on(self._paste)

    def _go_on(self, paste: Paste) -> None:
        line = paste.next_line()
        if line is None:
            self._paste = None
        else:
            paste.waits_for = self._send(line)

    def _stop(self) -> None:
        if self._paste is not None:
            sent, count = self._paste.sent, len(self._paste.lines)
            self._paste = None
            self._tell(f"stopped; {sent} of {count} lines were sent")
