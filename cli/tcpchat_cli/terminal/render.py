"""What a person sees: notices as styled lines.

Every line begins with the time, and what stands after it cannot be forged: a message has its
nick and a colon, an action begins with `*`, what no program answers has its nick between two `-`,
what is answered stands above the answer, in a line without a time of its own that begins with `>`,
the program's own voice begins with `--`, and a long text is wrapped under its first line (see
layout.py). A name is one word, whatever it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import date, datetime
from typing import Final, NamedTuple, TypeAlias, assert_never
from unicodedata import combining

import msgspec

from tcpchat_cli.terminal.highlights import Highlights
from tcpchat_cli.terminal.numbering import MessageId, Numbering
from tcpchat_cli.terminal.theme import nick_style
from tcpchat_cli.terminal.widths import text_width
from tcpchat_core import events, notices
from tcpchat_core.dialects.plain import (
    NOBODYS_DOING,
    OPEN,
    act_text,
    away_text,
    device_text,
    former_texts,
    mode_text,
    name_text,
    person_text,
    presence_texts,
    restrained,
    where,
)
from tcpchat_core.durations import shown_duration
from tcpchat_core.notices import MAX_QUOTE_CHARS, Notice, Quote, Said
from tcpchat_core.sanitize import sanitize

# What prompt_toolkit prints: pieces of text, each after its style.
Fragments: TypeAlias = list[tuple[str, str]]

# A server may say more than a person can read. Honest texts have at most 2,000 characters, honest
# names 32, and the longest honest answer is the list of 500 rooms.
MAX_TEXT_CHARS: Final = 4_000
MAX_NAME_CHARS: Final = 64
MAX_LINES: Final = 600
MAX_NICKS: Final = 50

# Stacked on one character, marks are drawn over the lines above. The script that needs most of them
# on one has half as many (https://www.unicode.org/reports/tr39/#Optional_Detection has four).
MAX_MARKS: Final = 8

# In place of a time.
_NO_TIME: Final = " " * len("00:00 ")

# How much of what is answered is shown, whatever a server says.
MAX_QUOTE: Final = MAX_NAME_CHARS + MAX_QUOTE_CHARS

_TAKEN_BACK: Final = [("class:system strike", "(taken back)")]


class Line(NamedTuple):
    """One line: its head (time, room, nick), and the text that is wrapped beside it.

    `place` is the message that was said; None for other lines. `when` is the local
    time of what it tells; None for now. `echo` is whether one has typed it oneself, right here.
    """

    head: Fragments
    body: Fragments
    place: MessageId | None = None
    when: datetime | None = None
    echo: bool = False

    @property
    def text(self) -> str:
        """The line without its styles."""
        return "".join(text for _, text in (*self.head, *self.body))


class Renderer:
    """Makes lines of notices.

    `me` is the own nick, `timestamps` whether lines begin with their time, `day` that of the line
    before the next, `highlights` what calls me besides my nick, `numbering` what numbers mean, and
    `way` how one does what an action does, by a key or by the command that is given; "" where there
    is no way.
    """

    def __init__(self, today: date | None = None) -> None:
        self.me = ""
        self.timestamps = True
        self.highlights = Highlights()
        self.numbering = Numbering()
        self.way: Callable[[str, str], str] = lambda _action, _command: ""
        self.day = today or datetime.now().date()

    def lines(self, notice: Notice) -> list[Line]:
        """The lines that tell the notice; none for what a person need not see."""
        return [self._timed(line) for line in self._lines(notice)]

    def own(
        self, request: events.Say | events.Tell, sent: notices.Sent, quote: Quote | None = None
    ) -> list[Line]:
        """One's own message, once its receipt has come; `quote` is what it answers, if known."""
        match request:
            case events.Say(room, text, emote=emote, notice=notice, re=re):
                seq = sent.seq or 0
                said = Said(sent.room or room, self.me, text, seq, sent.at, emote, notice=notice)
                lines = [*self._said(msgspec.structs.replace(said, re=re, quote=quote))]
            case events.Tell(nick, text, notice=notice):
                lines = [*self._told_to(sent.nick or nick, text, sent.at, notice)]
        lines[-1] = lines[-1]._replace(echo=True)
        if sent.away:
            is_away = ("", f" is {away_text(sent.away)}")
            lines.append(system([_nick(sent.nick or ""), is_away], sent.at))
        return [self._timed(line) for line in lines]

    def older(self, page: notices.HistoryPage) -> list[Line]:
        """What was said before what was shown, with a mark above and below."""
        room = shown_name(page.room)
        if not page.messages:
            return [self.system(f"{room} begins here: nothing was said before")]
        above = f"{len(page.messages)} said before in {room}"
        below = f"{self.way('older', '/older')} shows what was said before that"
        lines = [marker(above if page.more else f"{room} begins here")]
        for said in page.messages[-MAX_LINES:]:
            lines += [self._timed(line) for line in self._said(said)]
        lines += [self._timed(line) for line in self._new_day(None)]
        return [*lines, marker(below if page.more else f"that was all from before in {room}")]

    def numbered(self, messages: Sequence[Said | notices.Told]) -> list[Line]:
        """A list of messages of any rooms and people, with numbers from 1 to go to them by."""
        width = len(str(len(messages)))
        return [
            self._listed(message, f"{number:>{width}}")
            for number, message in enumerate(messages, start=1)
        ]

    def _listed(self, message: Said | notices.Told, number: str) -> Line:
        """A message in a list: its number, its day and time, where it was said, and by whom."""
        head: Fragments = [
            ("class:marker", f"{number} "),
            ("class:time", f"{_local_time(message.at)} "),
        ]
        called = self.mentions_me(message.text)
        body = [("class:mention" if called else "", bounded(message.text))]
        if isinstance(message, notices.Told):
            who = _between_dashes(shown_name(message.nick), message.notice)
            return Line([*head, ("class:told", f"[{who} → you] ")], body)
        room = ("class:room", f"[{shown_name(message.room)}] ")
        place = self.numbering.id_of(message.room, message.seq)
        return Line([*head, room, *_who(message)], body, place)

    def system(self, text: str) -> Line:
        """A line in the program's own voice."""
        return self._timed(system([("", text)]))

    def error(self, text: str) -> Line:
        """A line that tells what went wrong."""
        return self._timed(
            Line([_time(None), ("class:error", "!! ")], [("class:error", bounded(text))])
        )

    def mentions_me(self, text: str) -> bool:
        """Whether a text calls me, by my nick or by a highlight."""
        return self.highlights.call(self.me, text)

    def _timed(self, line: Line) -> Line:
        if self.timestamps or not line.head or line.head[0][0] != "class:time":
            return line
        return line._replace(head=line.head[1:])

    # ── Notices ──────────────────────────────────────────────────────────────────────────────

    def _lines(self, notice: Notice) -> Iterator[Line]:
        match notice:
            case Said():
                yield from self._said(notice)
            case notices.Told():
                yield from self._told(notice)
            case notices.Joined(room, nick, at=at):
                yield system([_nick(nick), ("", f" joined {shown_name(room)}")], at)
            case notices.Left(room, nick, own, by="", reason=reason):
                who = ("", "you") if own else _nick(nick)
                yield system([who, ("", f" left {shown_name(room)}"), *_why(reason)])
            case notices.Gone(nick, reason):
                yield system([_nick(nick), ("", f" is gone ({reason})" if reason else " is gone")])
            case notices.Renamed(old, new, own):
                who = ("", "you are") if own else _nick(old)
                yield system([who, ("", " now " if own else " is now "), _nick(new)])
            case notices.AwaySet() | notices.NameSet():
                yield _of_itself(notice)
            case notices.Entered():
                yield from self._entered(notice)
            case notices.TopicSet():
                yield _topic(notice)
            case notices.Rejected(text=text):
                yield self.error(text)
            case notices.Welcome(nick, server=server, motd=motd):
                name = shown_name(server) or "tcpchat"
                yield system([("", f"welcome to {name}; you are "), _nick(nick)])
                yield from _texts(motd)
            case notices.RoomList():
                yield from _room_list(notice)
            case notices.Members():
                yield from _members(notice)
            case notices.PersonInfo() | notices.FormerPeople() | notices.Presence():
                yield from _people(notice)
            case notices.HistoryPage():
                yield from self._history(notice)
            case notices.SearchResults():
                yield from self._found(notice)
            case notices.HelpText(lines):
                yield from _texts(lines)
            case notices.Announced() | notices.Resumed() | notices.Gap() | notices.Closing():
                yield _of_server(notice)
            case (
                notices.AccountSet()
                | notices.Claimed()
                | notices.PasswordSet()
                | notices.Offered()
                | notices.Revoked()
                | notices.DeviceList()
            ):
                yield from _account(notice)
            case (
                notices.Left()
                | notices.Restricted()
                | notices.Lifted()
                | notices.Expelled()
                | notices.RoleSet()
                | notices.ModeSet()
                | notices.Redacted()
                | notices.Invited()
                | notices.RestrictionList()
                | notices.ActList()
            ):
                yield from _moderation(notice)
            # A receipt is told in its message's place; the rest is between the programs.
            case (
                notices.Sent()
                | notices.Pinged()
                | notices.Ponged()
                | notices.Diverged()
                | notices.ReadUpTo()
                | notices.Signalled()
            ):
                pass
            case _:
                assert_never(notice)

    def _said(self, said: Said) -> Iterator[Line]:
        yield from self._new_day(said.at)
        who = _who(said)
        called = said.nick != self.me and self.mentions_me(said.text)
        body = [("class:mention" if called else "", bounded(said.text))]
        if said.redacted:
            body = _TAKEN_BACK
        if said.re is not None:
            yield _answered(said.quote, self.numbering.id_of(said.room, said.re))
        place = self.numbering.id_of(said.room, said.seq)
        yield Line([_time(said.at), *who], body, place, _when(said.at))

    def _told(self, told: notices.Told) -> Iterator[Line]:
        if told.to:  # by oneself, on another device
            yield from self._told_to(told.to, told.text, told.at, told.notice)
            return
        yield from self._new_day(told.at)
        who = _between_dashes(shown_name(told.nick), told.notice)
        head = [_time(told.at), ("class:told", f"[{who} → you] ")]
        yield Line(head, [("class:mention", bounded(told.text))], when=_when(told.at))

    def _told_to(self, nick: str, text: str, at: int, notice: bool) -> Iterator[Line]:
        """What one has said to one person."""
        yield from self._new_day(at)
        head = [
            _time(at),
            ("class:told", f"[{_between_dashes('you', notice)} → {shown_name(nick)}] "),
        ]
        yield Line(head, _plain(text), when=_when(at))

    def _entered(self, entered: notices.Entered) -> Iterator[Line]:
        for said in entered.history[-MAX_LINES:]:
            yield from self._said(said)
        others = tuple(nick for nick in entered.members if nick != self.me)
        who = nick_list(others, entered.count - 1) if others else [("", "nobody else")]
        verb = "talk in" if entered.again else "are in"
        room = shown_name(entered.room)
        yield from self._new_day(entered.at)
        yield system([("", f"you {verb} {room} with "), *who], entered.at)
        if (mode := mode_text(entered)) != OPEN:
            yield system([("", f"{room} is {mode}")], entered.at)
        if entered.topic:
            yield system([("", f"topic of {room}: {entered.topic}")], entered.at)

    def _history(self, page: notices.HistoryPage) -> Iterator[Line]:
        room, messages = page.room, page.messages
        if not messages:
            yield system([("", f"nothing was said in {shown_name(room)} yet")])
            return
        yield system([("", f"the last {len(messages)} said in {shown_name(room)}:")])
        for said in messages[-MAX_LINES:]:
            yield from self._said(said)
        yield from self._new_day(None)
        way = self.way("older", "/older")
        more = f"; {way} shows what was said before" if page.more and way else ""
        yield system([("", f"that was the history{more}")])

    def _found(self, found: notices.SearchResults) -> Iterator[Line]:
        if not found.messages:
            yield system([("", "nothing was found")])
            return
        yield system(
            [("", f"{len(found.messages)} found, newest first; /goto N shows what is around")]
        )
        yield from self.numbered(found.messages[:MAX_LINES])
        if found.more:
            yield system([("", "… and older ones")])

    def _new_day(self, at: int | None) -> Iterator[Line]:
        """A line of its own when the day changes."""
        when = _when(at)
        if when is not None and when.date() != self.day:
            self.day = when.date()
            yield marker(f"{when:%A}, {when.day} {when:%B} {when.year}")


def _answered(quote: Quote | None, place: MessageId) -> Line:
    """What a message answers. It has the place of that one: with it, it is taken back."""
    text = "an earlier message" if quote is None else f"{shown_name(quote.nick)}: {quote.text}"
    if len(text) > MAX_QUOTE:
        text = f"{text[:MAX_QUOTE]}…"
    text = bounded(text)
    return Line([("class:time", _NO_TIME), ("class:quote", "> ")], [("class:quote", text)], place)


def system(text: Fragments, at: int | None = None) -> Line:
    """A line in the program's own voice."""
    return Line(
        [_time(at), ("class:system", "-- ")],
        [(style or "class:system", bounded(piece)) for style, piece in text],
        when=_when(at),
    )


def taken_back(line: Line) -> Line:
    """The line of a message without its text."""
    return line._replace(body=_TAKEN_BACK)


def _people(
    notice: notices.PersonInfo | notices.FormerPeople | notices.Presence,
) -> Iterator[Line]:
    """Who somebody is, who was called so, or who is here."""
    if isinstance(notice, notices.PersonInfo):
        return iter([system([_nick(notice.nick), ("", f" {person_text(notice)}")])])
    if isinstance(notice, notices.FormerPeople):
        return _texts(tuple(former_texts(notice, _local_time)))
    return _texts(tuple(presence_texts(notice.here, notice.gone)))


def _texts(texts: tuple[str, ...]) -> Iterator[Line]:
    return (system([("", text)]) for text in texts[:MAX_LINES])


def marker(text: str) -> Line:
    """A line that parts what is above from what is below."""
    return Line([], [("class:marker", f"── {bounded(text)} ──")])


def heading(title: str, topic: str, columns: int) -> Line:
    """The line that begins a view: its name, and its topic where there is room for it."""
    with_topic = f"{title}: {topic}"
    is_short = topic and text_width(f"── {with_topic} ──") <= columns
    return marker(with_topic if is_short else title)


def nick_list(nicks: tuple[str, ...], count: int, limit: int = MAX_NICKS) -> Fragments:
    """Nicks with commas between; `count` is how many there are in all."""
    shown = nicks[:limit]
    listed = [piece for nick in shown for piece in (("", ", "), _nick(nick))][1:]
    more = count - len(shown)
    return [*listed, ("", f" and {more} more")] if more > 0 else listed


def _of_server(
    notice: notices.Announced | notices.Resumed | notices.Gap | notices.Closing,
) -> Line:
    """What the server says of itself, and of the connection."""
    match notice:
        case notices.Announced(text):
            return system([("class:error", text)])
        case notices.Resumed():
            return system([("", "the connection is back")])
        case notices.Gap(room):
            place = f"in {shown_name(room)}" if room else "to you alone"
            missing = "missing here; /goto gap shows what there still is" if room else "lost"
            return marker(f"some of what was said {place} is {missing}")
        case notices.Closing(reason):
            return system([("", f"the server closes the connection: {reason}")])


def _topic(topic: notices.TopicSet) -> Line:
    room = shown_name(topic.room)
    who = [("", " (set by "), _nick(topic.nick), ("", ")")] if topic.nick else []
    if not topic.topic:
        return system([("", f"{room} has no topic")], topic.at)
    return system([("", f"topic of {room}: {topic.topic}"), *who], topic.at)


def _of_itself(notice: notices.AwaySet | notices.NameSet) -> Line:
    """What somebody has said of itself."""
    match notice:
        case notices.AwaySet(nick, text, own):
            mine, its, said = "you are ", " is ", away_text(text)
        case notices.NameSet(nick, name, own):
            mine, its, said = "you tell ", " tells ", name_text(name)
    return system([("", f"{mine}{said}")] if own else [_nick(nick), ("", f"{its}{said}")])


def _members(members: notices.Members) -> Iterator[Line]:
    room, many = shown_name(members.room), len(members.nicks)
    yield system([("", f"{many} in {room}: "), *nick_list(members.nicks, many)])
    if owners := members.owners:
        yield system([("", f"{room} belongs to "), *nick_list(owners, len(owners))])
    if moderators := members.moderators:
        some = nick_list(moderators, len(moderators))
        yield system([("", f"{room} is moderated by "), *some])
    if away := members.away:
        yield system([("", "away: "), *nick_list(away, len(away))])
    if (mode := mode_text(members)) != OPEN:
        yield system([("", f"{room} is {mode}")])


_Moderation: TypeAlias = (
    notices.Left
    | notices.Restricted
    | notices.Lifted
    | notices.Expelled
    | notices.RoleSet
    | notices.ModeSet
    | notices.Redacted
    | notices.Invited
    | notices.RestrictionList
    | notices.ActList
)


def _moderation(notice: _Moderation) -> Iterator[Line]:
    """What a moderator has done, or has asked."""
    match notice:
        case notices.Left():
            yield _put_out(notice)
        case notices.Restricted(room, nick, what, until, by, at, reason, own):
            who = ("", "you are") if own else _nick(nick)
            kept = f"{' ' if own else ' is '}{restrained(what, shown_name(room))} for"
            lasts = f"{kept} {shown_duration(until - at)}, by "
            yield system([who, ("", lasts), _nick(by), *_why(reason)], at)
        case notices.Lifted(room, nick, what, by, own):
            who = ("", "you are") if own else _nick(nick)
            kept = restrained(what, shown_name(room))
            ended = f"{' ' if own else ' is '}not {kept} any more, says "
            yield system([who, ("", ended), _nick(by)])
        case notices.Expelled(nick, _, at, reason, until):
            lasts = f" for {shown_duration(until - at)}" if until else ""
            how = "is banned from" if until else "was put out of"
            yield system([_nick(nick), ("", f" {how} this server{lasts}"), *_why(reason)], at)
        case notices.RoleSet(room, nick, role, by):
            does = {"owner": "owns", "moderator": "moderates"}.get(role)
            what = f"{does} {shown_name(room)} now" if does else _moderates_no_more(room)
            yield system([_nick(nick), ("", f" {what}, says "), _nick(by)])
        case notices.ModeSet(room, by):
            says = [("", " now, says "), _nick(by)] if by else [("", f" now{NOBODYS_DOING}")]
            yield system([("", f"{shown_name(room)} is {mode_text(notice)}"), *says])
        case notices.Redacted(room, _, by, at, nick):
            whose = [("", " that "), _nick(nick), ("", " had said")] if nick not in ("", by) else []
            yield system(
                [_nick(by), ("", " took back something"), *whose, ("", f" in {shown_name(room)}")],
                at,
            )
        case notices.Invited(room, by, until, at, nick, code):
            lasts = shown_duration(until - at)
            if code:
                way = f"/join {shown_name(room)} {shown_name(code)}"
                yield system([("", f"{way} lets people in for {lasts}")], at)
            else:
                may = f" may /join {shown_name(room)} for {lasts}, says "
                yield system([_nick(nick), ("", may), _nick(by)], at)
        case notices.RestrictionList():
            yield from _restrictions(notice)
        case notices.ActList(acts):
            for act in acts[-MAX_LINES:]:
                yield system([("", act_text(act, _local_time))])
            if not acts:
                yield system([("", "nothing was done yet")])
        case _:
            assert_never(notice)


def _moderates_no_more(room: str) -> str:
    return f"does not moderate {shown_name(room)} any more"


def _account(
    notice: notices.Claimed
    | notices.PasswordSet
    | notices.Offered
    | notices.Revoked
    | notices.DeviceList
    | notices.AccountSet,
) -> Iterator[Line]:
    """What is told about accounts and one's own devices; of a token nothing is shown."""
    match notice:
        case notices.AccountSet(nick):
            yield system([_nick(nick), ("", " has an account")])
        case notices.Claimed(account, number, admin):
            here = f"this is device {number} of " if number else "you are here as "
            who = [("", here), _nick(account)]
            yield system([*who, ("", ", who looks after this server" if admin else "")])
        case notices.PasswordSet(account, is_set):
            yield system([_nick(account), ("", f" has {'a new' if is_set else 'no'} password now")])
        case notices.Offered(account, until, at, code):
            claim = f"/claim {shown_name(code)} on another device makes it one of "
            yield system([("", claim), _nick(account), ("", f", for {shown_duration(until - at)}")])
        case notices.Revoked(number):
            yield system([("", f"device {number} is none of yours any more")])
        case notices.DeviceList(account, devices):
            yield system([("", "the devices of "), _nick(account), ("", ":")])
            for device in devices[:MAX_LINES]:
                yield system([("", device_text(device, _local_time))])


def _local_time(at: int) -> str:
    when = _when(at)
    return f"{when:%Y-%m-%d %H:%M}" if when else "---- --:--"


def _put_out(left: notices.Left) -> Line:
    """How a moderator's putting somebody out is told."""
    who = ("", "you were") if left.own else _nick(left.nick)
    how = "banned from" if left.until else "put out of"
    lasts = f" for {shown_duration(left.until - left.at)}," if left.until else ""
    done = f"{' ' if left.own else ' was '}{how} {shown_name(left.room)}{lasts} by "
    return system([who, ("", done), _nick(left.by), *_why(left.reason)], left.at)


def _why(reason: str) -> Fragments:
    return [("", f" ({reason})")] if reason else []


def _restrictions(listed: notices.RestrictionList) -> Iterator[Line]:
    room = shown_name(listed.room)
    if not listed.restrictions:
        there = "in it" if room else "on it"
        yield system([("", f"nobody is banned from {where(room)}, or muted {there}")])
        return
    for row in listed.restrictions[:MAX_LINES]:
        left = shown_duration(row.until - listed.at)
        lasts = f" is {restrained(row.what, room)} for another {left}"
        yield system([_nick(row.nick), ("", f"{lasts}, by "), _nick(row.by), *_why(row.reason)])


def _room_list(rooms: notices.RoomList) -> Iterator[Line]:
    if not rooms.rooms:
        yield system([("", "there are no rooms yet; join one to make it")])
        return
    shown = rooms.rooms[:MAX_LINES]
    width = max(text_width(shown_name(info.room)) for info in shown)
    for info in shown:
        people = "1 person" if info.members == 1 else f"{info.members} people"
        room = shown_name(info.room)
        room += " " * (width - text_width(room))
        about = f"  {people:<10}  {info.topic}".rstrip()
        yield system([("class:room", room), ("", about)])
    if more := rooms.more + len(rooms.rooms) - len(shown):
        yield system([("", f"… and {more} more")])


def _time(at: int | None) -> tuple[str, str]:
    when = _when(at)
    return ("class:time", f"{when:%H:%M} " if when else "--:-- ")


def _when(at: int | None) -> datetime | None:
    """Local time of `at` (milliseconds since the epoch; None is now); None when there is none."""
    try:
        return datetime.now() if at is None else datetime.fromtimestamp(at / 1000)
    except (OverflowError, ValueError, OSError):  # a server may say any number
        return None


def _nick(nick: str) -> tuple[str, str]:
    return (nick_style(nick), shown_name(nick) or "?")


def shown_name(name: str) -> str:
    """A name as it is shown; an empty one is left to who cannot show it."""
    return "_".join(bounded(name[:MAX_NAME_CHARS]).split())


def _who(said: Said) -> Fragments:
    """Who said it, and how, before the text."""
    nick = _nick(said.nick)
    if said.emote:
        return [("", "* "), nick, ("", " ")]
    return [("", "-"), nick, ("", "- ")] if said.notice else [nick, ("", ": ")]


def _between_dashes(who: str, notice: bool) -> str:
    return f"-{who}-" if notice else who


def _plain(text: str) -> Fragments:
    return [("", bounded(text))]


def bounded(text: str) -> str:
    """So much of a text as anybody reads, without what a terminal obeys."""
    if len(text) > MAX_TEXT_CHARS:
        text = text[:MAX_TEXT_CHARS] + "…"
    text = sanitize(text)
    return text if text.isascii() else _few_marks(text)


def _few_marks(text: str) -> str:
    """The text with at most MAX_MARKS marks on one character."""
    kept, marks = [], 0
    for char in text:
        marks = marks + 1 if combining(char) else 0
        if marks <= MAX_MARKS:
            kept.append(char)
    return "".join(kept)
