"""What somebody is told, as an IRC client reads it.

Rules:

1. What all of a room are told is written once for each flavour, and depends on nothing but the
   notice and the flavour. What one client is told alone names its nick, and heeds its `Options`.
2. What IRC has a form for is told in it. All else is a NOTICE, in the words of the plain dialect.
3. A message is a PRIVMSG of its author. Of the history, too: with its time as a tag if the client
   takes tags, else with its time in front of the text, so that no bot answers what is long past.
4. What a message answers is told by a tag, as far as the client takes those; else it stands in
   front of the text, in grey: nobody's own text has a colour, so no text can forge it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, assert_never

import msgspec

from tcpchat_core import events, notices
from tcpchat_core.dialects import Flavour
from tcpchat_core.dialects.irc import answers, chathistory
from tcpchat_core.dialects.irc.answers import Options, Ranks
from tcpchat_core.dialects.irc.asked import Gathering, How
from tcpchat_core.dialects.irc.numerics import (
    Code,
    isupport,
    lusers,
    motd,
    note,
    numeric,
    refusal,
    welcome,
)
from tcpchat_core.dialects.irc.wire import (
    SERVER,
    account_tag,
    channel,
    client_tags,
    id_parts,
    joined_tags,
    line,
    person,
    said_lines,
    said_opening,
    time_tag,
)
from tcpchat_core.dialects.plain import (
    TAKEN_BACK,
    Moderation,
    answered_text,
    moderation_text,
    put_out_text,
    told_lines,
    utc_time,
)
from tcpchat_core.names import REPLY_TAGS
from tcpchat_core.notices import Notice, Said

__all__ = [
    "NO_TAGS",
    "TIME",
    "TIME_AND_MSGID",
    "Irc",
    "Options",
    "encode_answer",
    "isupport",
    "lusers",
    "motd",
    "numeric",
    "refusal",
    "welcome",
]

# Which tags a client takes.
NO_TAGS: Final = 0
TIME: Final = 1
TIME_AND_MSGID: Final = 2


class Irc(Flavour, frozen=True):
    """Lines of IRC. `epoch` is what ids of messages begin with, and is of use only with them."""

    tags: int = NO_TAGS
    extended_join: bool = False
    epoch: str = ""
    away_notify: bool = False
    account_notify: bool = False
    account_tag: bool = False
    setname: bool = False

    acknowledges = False

    def encode(self, notice: Notice) -> bytes:
        """What everybody is told."""
        if isinstance(notice, Said):  # by far the most frequent
            return self.encode_said((notice,))
        return encode_answer(self, _NOBODYS_OPTIONS, "", notice, None)

    def encode_said(self, said: Sequence[Said]) -> bytes:
        """All of them. Nearly always each is one line that needs no care, and how it begins is the
        same for all that one person says in one turn.
        """
        lines: list[bytes] = []
        nick = room = id_start = opening = ""
        by_account = False
        at = size = -1
        for each in said:
            if (
                each.at != at
                or each.nick != nick
                or each.room != room
                or each.by_account is not by_account
            ):
                nick, room, at, by_account = each.nick, each.room, each.at, each.by_account
                id_start, opening, size = self._opening(nick, room, at, by_account=by_account)
            text = each.text
            most = len(text) if text.isascii() else 4 * len(text)  # of UTF-8
            if (
                most > size
                or each.emote
                or each.notice
                or each.tags is not None
                or each.re is not None
                or not text.isprintable()
            ):
                lines.append(encode_answer(self, _NOBODYS_OPTIONS, "", each, None))
            elif id_start:
                lines.append(f"{id_start}{each.seq}{opening}{text}\r\n".encode())
            else:
                lines.append(f"{opening}{text}\r\n".encode())
        return b"".join(lines)

    def _opening(self, nick: str, room: str, at: int, *, by_account: bool) -> tuple[str, str, int]:
        """How the line of a message begins: what stands before its number, which is "" where no id
        is told, and behind that; and how many bytes of text fit into the line.
        """
        head, size = said_opening(nick, room)
        tags = _line_tags(self, at, nick if by_account else "")
        if self.tags < TIME_AND_MSGID:
            return "", f"{tags}{head}", size
        before, after = id_parts(self.epoch, room)
        return f"@msgid={before}", f"{after};{tags[1:]}{head}", size

    def encode_for(self, nick: str, notice: Notice, request: object) -> bytes:
        """What somebody is told who has asked for no more than the flavour says."""
        return encode_answer(self, _NOBODYS_OPTIONS, nick, notice, request)


_NOBODYS_OPTIONS: Final = Options()

# As which somebody is told who has no account.
_NO_ACCOUNT: Final = "*"


def encode_answer(
    flavour: Irc, options: Options, nick: str, notice: Notice, request: object
) -> bytes:
    """What one client is told, as a rule the answer to `request`, which may be a `How`.

    `nick` is the client's own, "" when it is not known.
    """
    match notice:
        case Said():
            return _said(flavour, notice)
        case notices.Told():
            return _told(flavour, nick, notice)
        case notices.Signalled():
            return _signalled(flavour, options, nick, notice, request)
        case notices.Sent():
            return _sent(flavour, options, nick, notice, request)
        case notices.Entered():
            return _entered(flavour, options, nick, notice)
        case notices.Welcome():
            return welcome(notice.nick, notice)
        case notices.HistoryPage() | notices.Members() | notices.Rejected() if (
            isinstance(request, How) and request.gathering is not None
        ):
            is_all = request.gathering.add(notice)
            return _gathered(flavour, options, nick, request, request.gathering) if is_all else b""
        case notices.ReadUpTo() | notices.Rejected() if (
            isinstance(request, How) and request.command == "MARKREAD"
        ):
            # Of a room that one is not in nothing is known.
            at = notice.at if isinstance(notice, notices.ReadUpTo) else 0
            return answers.read_marker(request.target, at)
        case notices.ReadUpTo(room, _, at) if options.read_marker:
            return answers.read_marker(channel(room), at)
        case notices.Rejected():
            standard = options.standard_replies
            return refusal(nick, notice, request, standard_replies=standard)
        case notices.HistoryPage(_, messages) if messages:
            return b"".join([said_before(flavour, each) for each in messages])
        case (
            notices.Members()
            | notices.RoomList()
            | notices.RestrictionList()
            | notices.TopicSet()
            | notices.PersonInfo()
            | notices.FormerPeople()
            | notices.Presence()
            | notices.HelpText()
        ):
            return _answer(flavour, options, nick, notice, request)
        case (
            notices.Restricted()
            | notices.Lifted()
            | notices.RoleSet()
            | notices.ModeSet()
            | notices.Redacted()
            | notices.Expelled()
            | notices.Invited()
        ):
            return _moderation(nick, notice)
        case notices.Pinged() | notices.Ponged() | notices.Closing():
            return _of_connection(notice)
        case notices.Joined() | notices.Left() | notices.Gone() | notices.Renamed():
            return _came_or_went(flavour, notice)
        case notices.AwaySet():
            return _away(flavour, nick, notice)
        case notices.AccountSet(of, account):
            told = line(person(of), "ACCOUNT", account)
            return told if flavour.account_notify else b""
        case notices.NameSet(of, name):
            return line(person(of), "SETNAME", text=name or of) if flavour.setname else b""
        case notices.Claimed(account) if isinstance(request, How):  # which is an AUTHENTICATE
            return _signed_in(account)
        case notices.Announced(text):
            return said_lines("", "NOTICE", nick, text)
        case (
            notices.HistoryPage()
            | notices.SearchResults()
            | notices.ActList()
            | notices.DeviceList()
            | notices.Claimed()
            | notices.PasswordSet()
            | notices.Offered()
            | notices.Revoked()
        ):
            return _in_words(nick, told_lines(notice))
        case notices.Resumed():
            return _resumed(flavour, options, nick, notice)
        case notices.Gap():
            return _gap(options, nick, notice)
        # What ids of messages begin with, and what one's other devices have read.
        case notices.Diverged() | notices.ReadUpTo():
            return b""
        case _:
            assert_never(notice)


# ── What is said ─────────────────────────────────────────────────────────────────────────────


def _command(*, is_notice: bool) -> str:
    """How something is said. What is a NOTICE no program answers."""
    return "NOTICE" if is_notice else "PRIVMSG"


def _said(flavour: Irc, said: Said, when: str = "") -> bytes:
    """A message; `when` stands in front of its text, in each line."""
    command = _command(is_notice=said.notice and not said.emote)
    tags = _line_tags(flavour, said.at, said.nick if said.by_account else "")
    id, client = _id(flavour, said), _client_tags(flavour, _with_answered(flavour, said))
    text = TAKEN_BACK if said.redacted else said.text
    is_shown = said.re is not None and flavour.tags < TIME_AND_MSGID
    return said_lines(
        said.nick,
        command,
        f"#{said.room}",
        text,
        tags=tags,
        id=id,
        client=client,
        emote=said.emote,
        when=when,
        answered=answered_text(said) if is_shown else "",
    )


def _with_answered(flavour: Irc, said: Said) -> dict[str, str] | None:
    """The tags of a message; that by which it is said what it answers is made here, for everybody
    alike, however its author has said it.
    """
    if said.re is None:
        return said.tags
    before, after = id_parts(flavour.epoch, said.room)
    return {REPLY_TAGS[0]: f"{before}{said.re}{after}", **_without(REPLY_TAGS, said.tags)}


def _without(names: Sequence[str], tags: dict[str, str] | None) -> dict[str, str]:
    return {name: value for name, value in (tags or {}).items() if name not in names}


def said_before(flavour: Irc, said: Said) -> bytes:
    """A message of earlier."""
    return _said(flavour, said, "" if flavour.tags else f"[{utc_time(said.at)}] ")


def _gathered(
    flavour: Irc,
    options: Options,
    nick: str,
    how: How,
    gathering: Gathering,
) -> bytes:
    """What several questions are answered together, now that all of it is known."""
    if how.command == "CHATHISTORY":
        return _history(flavour, options, how, gathering)
    return answers.rooms(nick, options, gathering.rooms, how)


def _history(flavour: Irc, options: Options, how: How, gathering: Gathering) -> bytes:
    """What CHATHISTORY is answered."""
    if refused := chathistory.refusal(how, gathering):
        return refused
    if gathering.span is not None:
        return chathistory.targets(gathering, gathering.span, is_batch=options.batch)
    messages = [each for page in gathering.pages for each in page.messages]
    said = b"".join([said_before(flavour, each) for each in messages])
    return chathistory.messages(channel(gathering.pages[0].room), said, is_batch=options.batch)


def _line_tags(flavour: Irc, at: int, account: str) -> str:
    """What each line of something that was done is tagged with: by whose account, and when."""
    time = time_tag(at) if flavour.tags else ""
    if not (account and flavour.account_tag):
        return time
    return f"{account_tag(account)};{time[1:]}" if time else f"{account_tag(account)} "


def _id(flavour: Irc, said: Said) -> str:
    """What names a message, and is the same for everybody: `<epoch>.<seq>.<key of the room>`."""
    if flavour.tags < TIME_AND_MSGID:
        return ""
    before, after = id_parts(flavour.epoch, said.room)
    return f"{before}{said.seq}{after}"


def _entry_id(flavour: Irc, entry: int) -> str:
    """What names that which is of no room, and is the same for all who are told it:
    `<epoch>.<number of the entry>`. No id of a message of a room ends there.
    """
    if flavour.tags < TIME_AND_MSGID or not entry:
        return ""
    before, _ = id_parts(flavour.epoch, "")
    return f"{before}{entry}"


def _client_tags(flavour: Irc, tags: dict[str, str] | None) -> str:
    return client_tags(tags) if flavour.tags == TIME_AND_MSGID else ""


def _told(flavour: Irc, nick: str, told: notices.Told, when: str = "") -> bytes:
    author, target = (nick, told.to) if told.to else (told.nick, nick)
    command = _command(is_notice=told.notice)
    tags = _line_tags(flavour, told.at, author if told.by_account else "")
    id, client = _entry_id(flavour, told.entry), _client_tags(flavour, told.tags)
    return said_lines(
        author, command, target, told.text, tags=tags, id=id, client=client, when=when
    )


def told_before(flavour: Irc, nick: str, told: notices.Told) -> bytes:
    """What was said to one alone, earlier."""
    return _told(flavour, nick, told, "" if flavour.tags else f"[{utc_time(told.at)}] ")


def _signalled(
    flavour: Irc, options: Options, nick: str, signalled: notices.Signalled, request: object
) -> bytes:
    """Told to clients alone that take tags; to the one that has sent it, if it wants an echo."""
    room, by, tags, at, to, entry = msgspec.structs.astuple(signalled)
    is_own = to and isinstance(request, events.Signal)
    if flavour.tags < TIME_AND_MSGID or (is_own and not options.echo_message):
        return b""
    front = joined_tags(_entry_id(flavour, entry), time_tag(at), client_tags(tags))
    return line(person(by), "TAGMSG", channel(room) if room else to or nick, tags=front)


def _sent(flavour: Irc, options: Options, nick: str, sent: notices.Sent, request: object) -> bytes:
    """What one has said to somebody alone, if one wants to hear it oneself; and that that person is
    away, unless it was a NOTICE, which is not answered.
    """
    if not isinstance(request, events.Tell):
        return b""
    other, said = sent.nick or request.nick, b""
    if options.echo_message:
        command = _command(is_notice=request.notice)
        tags = _line_tags(flavour, sent.at, options.account)
        id, client = _entry_id(flavour, sent.entry), _client_tags(flavour, request.tags)
        said = said_lines(nick, command, other, request.text, tags=tags, id=id, client=client)
    if not sent.away or request.notice:
        return said
    return said + numeric(Code.AWAY, nick, other, text=sent.away)


# ── Coming and going ─────────────────────────────────────────────────────────────────────────


def _join(flavour: Irc, nick: str, room: str, at: int, *, account: str, name: str) -> bytes:
    tags = _line_tags(flavour, at, account) if at else ""  # it is not now, where it is again
    if flavour.extended_join:
        words = (channel(room), account or _NO_ACCOUNT)
        return line(person(nick), "JOIN", *words, text=name or nick, tags=tags)
    return line(person(nick), "JOIN", channel(room), tags=tags)


def _entered(flavour: Irc, options: Options, nick: str, entered: notices.Entered) -> bytes:
    if entered.again:
        return b""  # IRC knows no room that is the current one
    room, account, name = channel(entered.room), options.account, options.name
    lines = [_join(flavour, nick, entered.room, entered.at, account=account, name=name)]
    if entered.topic:
        by, at = entered.topic_nick, entered.topic_at
        lines.append(answers.topic(nick, room, entered.topic, by, at))
    if options.read_marker:
        lines.append(answers.read_marker(room, entered.read_at))
    if options.implicit_names:
        ranks = Ranks((), frozenset(entered.moderators), options.multi_prefix)
        is_secret = answers.is_secret(entered)
        lines += answers.names(nick, options, room, entered.members, ranks, is_secret=is_secret)
        lines.append(answers.end_of_names(nick, room))
        if (more := entered.count - len(entered.members)) > 0:
            text = f"… and {more} more; NAMES lists them all"
            lines.append(line(SERVER, "NOTICE", room, text=text))
    if entered.history and not options.chathistory:  # else the client asks for what it lacks
        said = b"".join([said_before(flavour, each) for each in entered.history])
        lines.append(chathistory.messages(room, said, is_batch=options.batch))
    return b"".join(lines)


def _resumed(flavour: Irc, options: Options, nick: str, resumed: notices.Resumed) -> bytes:
    """A session goes on: the rooms that it is in, as if it came into them now. What it has missed
    follows.
    """
    lines = [
        _entered(
            flavour,
            options,
            nick,
            notices.Entered(
                state.room,
                state.members,
                state.count,
                state.seq,
                at=0,
                topic=state.topic,
                moderators=state.moderators,
                private=state.private,
                unlisted=state.unlisted,
                topic_nick=state.topic_nick,
                topic_at=state.topic_at,
                read_at=state.read_at,
            ),
        )
        for state in resumed.rooms
    ]
    if resumed.away:
        lines.append(_away(flavour, nick, notices.AwaySet(nick, resumed.away, own=True)))
    return b"".join(lines)


def _gap(options: Options, nick: str, gap: notices.Gap) -> bytes:
    """That something was missed which cannot be shown. Who asks for what was said in a room finds
    out by itself.
    """
    if gap.room and options.chathistory:
        return b""
    target = channel(gap.room) if gap.room else nick
    text = f"some of what was said {'here' if gap.room else 'to you alone'} is lost"
    if options.standard_replies:
        return note("*", "GAP", *([target] if gap.room else []), text=text)
    return line(SERVER, "NOTICE", target, text=text)


def put_out_before(nick: str, left: notices.Left) -> bytes:
    """Of a room in which a client does not know that it is, that it was put out of it."""
    return _in_words(nick, told_lines(left))


_CameOrWent = notices.Joined | notices.Left | notices.Gone | notices.Renamed


def _came_or_went(flavour: Irc, notice: _CameOrWent) -> bytes:
    match notice:
        case notices.Joined(room, nick, _, at, account, name):
            return _join(flavour, nick, room, at, account=account, name=name)
        case notices.Renamed(old, new):  # nothing is told of who asked for the nick it has
            return line(person(old), "NICK", new) if old != new else b""
        case notices.Gone(nick, reason):
            return line(person(nick), "QUIT", text=reason)
        case notices.Left(room, nick, by="", reason=reason):
            return line(person(nick), "PART", channel(room), text=reason or None)
        case notices.Left(room, nick, by=by, reason=reason, until=until):
            name = channel(room)
            if not until:
                return line(person(by), "KICK", name, nick, text=reason or by)
            return line(person(by), "MODE", name, "+b", answers.mask(nick)) + line(
                person(by), "KICK", name, nick, text=put_out_text(notice)
            )
        case _:
            assert_never(notice)


def _away(flavour: Irc, nick: str, away: notices.AwaySet) -> bytes:
    if away.own and away.text:
        return numeric(Code.NOWAWAY, nick, text="You are away")
    if away.own:
        return numeric(Code.UNAWAY, nick, text="You are back")
    if not flavour.away_notify:
        return b""
    return line(person(away.nick), "AWAY", text=away.text or None)


def _signed_in(account: str) -> bytes:
    """As an account, which gives one its nick: now, or with the welcome."""
    nick = account
    text = f"You are signed in as {account}"
    return numeric(Code.LOGGEDIN, nick, person(nick), account, text=text) + numeric(
        Code.SASLSUCCESS, nick, text="That was right"
    )


# ── Answers ──────────────────────────────────────────────────────────────────────────────────


_Answer = (
    notices.Members
    | notices.RoomList
    | notices.RestrictionList
    | notices.TopicSet
    | notices.PersonInfo
    | notices.FormerPeople
    | notices.Presence
    | notices.HelpText
)

# What was asked by no command of IRC is answered as its usual one.
_USUAL: Final = How("")


def _answer(flavour: Irc, options: Options, nick: str, notice: _Answer, request: object) -> bytes:
    how = request if isinstance(request, How) else None
    match notice:
        case notices.Members():
            return answers.members(nick, options, notice, how or _USUAL)
        case notices.RoomList() if how is not None and how.command == "LUSERS":
            return lusers(nick, notice)
        case notices.RoomList():
            return answers.room_list(nick, notice, how or _USUAL)
        case notices.RestrictionList():
            rows, words, end = answers.ban_list(nick, notice)
            return b"".join([*rows, _in_words(nick, words), end])
        case notices.PersonInfo():
            return answers.person_info(nick, notice, how or _USUAL)
        case notices.FormerPeople():
            return answers.former_people(nick, notice, how or _USUAL)
        case notices.Presence():
            return answers.presence(nick, notice, how or _USUAL)
        case notices.HelpText():
            return answers.help_lines(nick, notice, how or _USUAL)
        case notices.TopicSet(room, topic, by, at=at) if how is not None:
            return answers.topic(nick, channel(room), topic, by, at)
        case notices.TopicSet(room, topic, by, at=at):
            tags = time_tag(at) if flavour.tags else ""
            return line(person(by), "TOPIC", channel(room), text=topic, tags=tags)
        case _:
            assert_never(notice)


def _of_connection(notice: notices.Pinged | notices.Ponged | notices.Closing) -> bytes:
    match notice:
        case notices.Pinged(id):
            return line("", "PING", text=id or SERVER)
        case notices.Ponged(id):
            return line(SERVER, "PONG", SERVER, text=id or "")
        case notices.Closing(reason):
            return line("", "ERROR", text=reason)
        case _:
            assert_never(notice)


def _in_words(target: str, lines: list[str]) -> bytes:
    """What the server says to a room, or to one person, in the words of the plain dialect.

    Somebody's words are among them. So what does not fit is cut short: where the next line begins,
    they would be the server's.
    """
    said = [each.removeprefix("* ") for each in lines]
    return b"".join([line(SERVER, "NOTICE", target, text=each) for each in said])


# ── Moderation ───────────────────────────────────────────────────────────────────────────────


def _moderation(nick: str, notice: Moderation) -> bytes:
    """What somebody did who looks after a room: as a mode if there is one, and in words."""
    words = [moderation_text(notice)]
    match notice:
        case notices.Restricted(room, own=own) | notices.Lifted(room, own=own) if own or not room:
            return _in_words(nick, words)
        case notices.Restricted(room, of, "ban", _, by):
            return _mode(by, room, "+b", answers.mask(of)) + _in_words(f"#{room}", words)
        case notices.Lifted(room, of, "ban", by):
            return _mode(by, room, "-b", answers.mask(of))
        case notices.RoleSet(room, of, role, by):
            return _mode(by, room, _ROLE_MODES.get(role, "-o"), of)
        case notices.ModeSet(room, by):
            letters = answers.changed_modes(notice)
            told = _mode(by, room, letters) if letters else b""
            return told + (_in_words(f"#{room}", words) if _says_more(notice) else b"")
        case notices.Invited(room, by, nick=of) if of and of != nick:
            return numeric(Code.INVITING, nick, of, channel(room))
        case notices.Invited(room, by, nick=of) if of:
            return line(person(by), "INVITE", of, channel(room))
        case notices.Expelled() | notices.Invited():
            return _in_words(nick, words)
        case notices.Redacted() | notices.Restricted() | notices.Lifted():
            return _in_words(f"#{notice.room}", words)
        case _:
            assert_never(notice)


_ROLE_MODES: Final = {"owner": "+q", "moderator": "+o"}


def _mode(by: str, room: str, *words: str) -> bytes:
    return line(person(by), "MODE", channel(room), *words)


def _says_more(mode: notices.ModeSet) -> bool:
    """Whether modes are not all that there is to tell: how slow a room is, that it is kept, or why
    something is so that nobody has set.
    """
    return "kept" in mode.changed or ("slow_ms" in mode.changed and mode.slow_ms > 0) or not mode.by
