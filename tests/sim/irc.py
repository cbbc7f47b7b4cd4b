"""People with IRC clients: at most once, over one connection, and nothing of it is lost."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from tcpchat_core import Notice, notices
from tests.core.irc import Line, parsed
from tests.sim.peers import Diary, Peer, Shown

if TYPE_CHECKING:
    from tests.sim.world import World

# The room that everybody is in.
COMMONS: Final = "commons"

# What each of them takes: so it is shown its own messages in their place, and can tell history.
ALWAYS: Final = ("batch", "echo-message")

# What it takes on and off while it is there.
SOMETIMES: Final = ("away-notify", "extended-join", "message-tags", "multi-prefix", "server-time")


# What a message answers, in front of its text, where no tags are taken.
_ANSWERED: Final = re.compile(r"\x0314\(to [^)]*\)\x0f ")


class IrcPerson(Peer):
    """Somebody with an IRC client."""

    def __init__(self, world: World, name: str) -> None:
        super().__init__(world, name)
        self.diary: Diary | None = None
        self.nick = ""
        self.said = 0
        self._partial = b""
        self._pieces: notices.Said | notices.Told | None = None  # of a text that may go on
        self._takes: set[str] = set()
        self.clock.after(self.draw.randint(0, 1_000), self.dial)
        self.clock.after(2_000, self._act)

    def ask(self, *lines: str) -> None:
        """Send some lines."""
        self.write("".join(f"{line}\r\n" for line in lines).encode())

    def connected(self) -> None:
        self._partial, self._pieces = b"", None
        self.diary, self.nick = None, ""
        self._takes = set(self.draw.sample(SOMETIMES, self.draw.randint(0, 3)))
        password = self.world.config.password
        self.ask(
            f"CAP REQ :{' '.join([*ALWAYS, *sorted(self._takes)])}",
            *([f"PASS {password}"] if password else []),
            f"NICK {self.name}",
            f"USER {self.name} 0 * :{self.name}",
            "CAP END",
            f"JOIN #{COMMONS}",
        )

    def disconnected(self) -> None:
        self._pieces = None  # there may be more of it
        self.clock.after(self.draw.randint(100, 3_000), self.dial)

    def received(self, data: bytes) -> None:
        *lines, self._partial = (self._partial + data).split(b"\r\n")
        for line in lines:
            # Who is slow to say that it speaks IRC is greeted as somebody with nc.
            self._hear(parsed(line.rpartition(b"\n")[2]))

    def _hear(self, line: Line) -> None:
        nick, params = line.source.partition("!")[0], line.params
        if self.diary is None:
            self.diary = Diary(self.name, self.conn, "", hears_all=True)
            self.world.diaries.append(self.diary)
        says = line.command in {"PRIVMSG", "NOTICE"} and "!" in line.source
        if says and "batch" not in line.tags:  # and not what was said before it came
            self._message(nick, *params)
            return
        if line.command == "ERROR":
            self._pieces = None  # it is over, and there may have been more of it
        self._show()
        match line.command, params:
            case "PING", _:
                self.ask(f"PONG :{params[-1]}")
            case "001", _:
                self.nick = params[0]
            case "433", _ if not self.nick:
                self.ask(f"NICK {self.name}-{self.draw.randint(2, 99)}")
            case "NICK", (new,) if nick == self.nick:
                self.nick = new
            case "PART", (room, *_) if nick == self.nick:
                self._note(notices.Left(room[1:], nick, own=True))
            case "KICK", (room, whom, *_) if whom == self.nick:
                self._note(notices.Left(room[1:], whom, own=True, by=nick))
            case _:
                pass

    def _message(self, nick: str, to: str, text: str) -> None:
        """A message, or what did not fit into the line before."""
        if answers := _ANSWERED.match(text):
            text = text[answers.end() :]
        if self._pieces is not None and not text.strip("…"):
            whole = self._pieces.text + text
        else:
            self._show()
            whole = text
        if to.startswith("#"):
            self._pieces = notices.Said(to[1:], nick, whole, 0, 0)
        elif to == self.nick and nick != self.nick:
            self._pieces = notices.Told(nick, whole, 0, 0)

    def _show(self) -> None:
        """What was said before is there as a whole."""
        if self._pieces is not None:
            said, self._pieces = self._pieces, None
            self._note(said, said.text)

    def _note(self, notice: Notice, text: str = "") -> None:
        assert self.diary is not None, "it has heard something"
        self.diary.shown.append(Shown(self.clock.now, self.conn, notice, text, self.server))

    def _act(self) -> None:
        if not self.world.faulty:
            return
        draw = self.draw
        self.clock.after(draw.randint(100, 1_500), self._act)
        if not self.nick:
            return
        self.said += 1
        text = f"{self.name}.{self.said}"
        match draw.randrange(12):
            case 0:
                name = draw.choice(SOMETIMES)
                off = "-" if name in self._takes else ""
                self._takes ^= {name}
                self.ask(f"CAP REQ :{off}{name}")
            case 1:
                other = draw.choice(self.world.people).protocol.nick or "nobody"
                self.ask(f"{draw.choice(('PRIVMSG', 'NOTICE'))} {other} :{text}")
            case 2:
                self.ask(draw.choice((f"NAMES #{COMMONS}", f"WHO #{COMMONS}", "LIST", "WHOIS ada")))
            case 3:
                self.ask(draw.choice(("AWAY :at tea", "AWAY", f"NICK {self.name}2")))
            case 4:
                self.ask(draw.choice((f"PART #{COMMONS} :tea", "JOIN #room1", "PART #room1")))
            case 5:
                self.ask(f"JOIN #{COMMONS}")
            case 6 if draw.random() < 0.3:
                self.ask("QUIT :bye")
            case 7:
                self.ask(f"NOTICE #{COMMONS} :{text}")
            case _:
                self.ask(f"PRIVMSG #{COMMONS} :{text}")
