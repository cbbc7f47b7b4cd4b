"""What a peer may ask, checked as far as it depends on nothing but the request and its connection:
the proposing half of a server's decisions. Rooms and people are the state's.

A text is sanitised, then measured; a name is folded, and its key travels in the event. What is
too long is refused, never cut.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final, NamedTuple, TypeAlias, assert_never

import msgspec

from tcpchat_core import events
from tcpchat_core.events import MAX_WATCHED, Event, Query, Request, Say
from tcpchat_core.names import (
    MAX_NICK_CHARS,
    MAX_REAL_NAME_CHARS,
    MAX_USER_CHARS,
    NO_USER_LETTER,
    Name,
    is_tag_name,
    nick_key,
    nick_name,
    room_name,
)
from tcpchat_core.notices import Reason, Rejected
from tcpchat_core.sanitize import sanitize
from tcpchat_core.server.access import code_hash, session_of

# A page of text. UTF-8 has at most four bytes to the character, so this bounds the bytes too.
MAX_TEXT_CHARS = 2_000
MAX_TEXT_BYTES = 4 * MAX_TEXT_CHARS
# One line of a wide terminal, with room to spare.
MAX_TOPIC_CHARS = 300
MAX_REASON_CHARS = 200
MAX_DEVICE_CHARS = 40
# A word for one of somebody's clients.
MAX_SESSION_CHARS = 40
# What is shorter is found by trying, and what is longer costs time to make a hash of.
MIN_PASSWORD_CHARS = 8
MAX_PASSWORD_CHARS = 200
# A token that a device has made for itself is as hard to guess as one that is made here.
_TOKEN: Final = re.compile("[0-9a-f]{64}")
# Clients have two or three. In all they have as many bytes as IRCv3 lets a client write in front of
# a line, so that whatever stands there can be said.
MAX_TAGS = 16
MAX_TAG_BYTES = 4_094
# Some words. More would be a text, and each costs a look into the index.
MAX_SEARCH_CHARS = 200


_OfModerators: TypeAlias = (
    events.Kick
    | events.Restrict
    | events.Lift
    | events.Role
    | events.RoomMode
    | events.Invite
    | events.Redact
    | events.Restrictions
)


# Of these, what can be for the whole server.
_ALSO_OF_SERVER: Final = (events.Kick, events.Restrict, events.Lift, events.Restrictions)


class _Refused(Exception):
    """How the parts of `checked` say that a request cannot be. Does not leave this file."""

    def __init__(self, rejected: Rejected) -> None:
        self.rejected = rejected


class Lookup(NamedTuple):
    """A query, to be answered in its turn."""

    query: Query | events.Watch | events.Whowas


class Called(NamedTuple):
    """The real name and the user name of somebody who comes, made safe; "" for none."""

    name: str = ""
    user: str = ""


def called(opening: events.Open | events.Hello) -> Called | Rejected:
    """How somebody who comes is called beside its nick; `Rejected` when it cannot be."""
    try:
        return _called(opening.name, opening.user)
    except _Refused as refused:
        return msgspec.structs.replace(refused.rejected, request="hello")


def checked(request: Request, current: Name | None) -> Event | Lookup | Rejected | None:
    """What to propose or to look up, with its texts made safe and its names folded.

    `current` is the room that a request without a room is about. `Rejected` when the request
    cannot be, whatever the state; None when there is nothing to do.
    """
    try:
        if isinstance(request, Say):  # by far the most frequent
            text = _text(request.text, MAX_TEXT_CHARS, "a message")
            name = _room(current, request.room) if request.room or current is None else current
            if request.back and (request.back < 0 or request.re is not None):
                raise _refused("bad-usage", "what you answer is either re, or back from 1 on")
            return Say(
                name.text,
                text,
                request.id,
                request.emote,
                name.key,
                request.notice,
                None if request.tags is None else _tags(request.tags),
                request.re,
                request.back,
            )
        return _checked(request, current)
    except _Refused as refused:
        tag, id = request.__struct_config__.tag, getattr(request, "id", None)
        return msgspec.structs.replace(refused.rejected, request=str(tag), id=id)


def _checked(request: Request, current: Name | None) -> Event | Lookup | None:
    assert not isinstance(request, Say), "dealt with above"
    match request:
        case events.Tell(nick, text, id, notice=notice, tags=tags):
            text = _text(text, MAX_TEXT_CHARS, "a message")
            return events.Tell(_shown(nick), text, id, _nick_key(nick), notice, _tags(tags or {}))
        case events.Signal(tags, room, nick):
            safe = _tags(tags)
            if safe is None:
                return None
            if nick:
                return events.Signal(safe, nick=_shown(nick), nick_key=_nick_key(nick))
            name = _room(current, room)
            return events.Signal(safe, name.text, key=name.key)
        case events.Nick(nick):
            new = nick_name(nick)
            if isinstance(new, Rejected):
                raise _Refused(new)
            return events.Nick(*new)
        case events.Away(text):
            return events.Away(_text(text, MAX_REASON_CHARS, "a reason") if text else "")
        case events.SetName():
            return events.SetName(*_called(request.name, request.user))
        case events.Join(room, code=code):
            name = _room(current, room)
            return events.Join(*name, roles=True, code=code_hash(code) if code else "")
        case events.Out(room, reason=reason):
            return events.Out(*_room(current, room), _reason(reason))
        case events.Topic(room, topic):
            name = _room(current, room)
            if topic:
                topic = _text(topic, MAX_TOPIC_CHARS, "a topic")
            event = events.Topic(name.text, topic, name.key)
            return Lookup(event) if topic is None else event
        case events.Quit(reason):
            return events.Quit(_reason(reason))
        case (
            events.Kick()
            | events.Restrict()
            | events.Lift()
            | events.Role()
            | events.RoomMode()
            | events.Invite()
            | events.Redact()
            | events.Restrictions()
        ):
            return _of_moderators(request, current)
        case events.Claim():
            return _claim(request)
        case events.Login(device, account, password, session):
            if session is not None and len(session) > MAX_SESSION_CHARS:
                raise _refused("too-long", f"a session has at most {MAX_SESSION_CHARS} characters")
            if not account:
                return events.Login(session_of(device), session=session)
            key = _nick_key(account)
            return events.Login(account=key, password=_password(password), session=session)
        case events.Password(password):
            return events.Password(_password(password) if password else "")
        case events.Offer():
            return events.Offer()
        case events.Revoke(number):
            return events.Revoke(number)
        case (
            events.Who()
            | events.Whois()
            | events.Whowas()
            | events.Watch()
            | events.History()
            | events.Search()
        ):
            return Lookup(_question(request, current))
        case events.Read(room, seq, at=at):
            name = _room(current, room)
            read = events.Read(name.text, seq, name.key, at, marks=True)
            return Lookup(read) if seq is None and at is None else read
        case events.Rooms() | events.Devices() | events.Audit() | events.Ping() | events.Help():
            return Lookup(request)
        case events.Pong():
            return None  # hearing of it was all
        case events.Hello():
            raise _refused("bad-request", "hello can only be the first request")
        case _:
            assert_never(request)


_Question: TypeAlias = (
    events.Who | events.Whois | events.Whowas | events.Watch | events.History | events.Search
)


def _question(request: _Question, current: Name | None) -> _Question:
    """What is asked about people, or about what was said."""
    match request:
        case events.Who(room, after=after, limit=limit):
            name, key = _room(current, room), _nick_key(after) if after else ""
            return events.Who(*name, _shown(after), limit, key, request.names)
        case events.Whois(nick):
            return events.Whois(_shown(nick), _nick_key(nick))
        case events.Whowas(nick, limit):
            return events.Whowas(_shown(nick), max(0, limit), nick_key(nick))
        case events.Watch(nicks, what):
            if len(nicks) > MAX_WATCHED:
                raise _refused("too-many", f"ask about {MAX_WATCHED} nicknames at most")
            return events.Watch(tuple(map(_shown, nicks)), what)
        case events.History(room):
            name = _room(current, room)
            return msgspec.structs.replace(request, room=name.text, key=name.key)
        case events.Search(words, room, nick, since, limit):
            words = sanitize(words).strip()
            if not any(map(str.isalnum, words)):
                raise _refused("bad-usage", "search for a word, of letters or digits")
            if len(words) > MAX_SEARCH_CHARS:
                raise _refused("too-long", f"search for at most {MAX_SEARCH_CHARS} characters")
            name = _room(None, room) if room else Name("", "")
            author = _nick_key(nick) if nick else ""
            return events.Search(words, name.text, _shown(nick), since, limit, name.key, author)
        case _:
            assert_never(request)


def _claim(claim: events.Claim) -> events.Claim:
    """Becoming a device of an account."""
    if not claim.code:
        raise _refused("bad-usage", "say the code that you were given")
    if claim.device and not _TOKEN.fullmatch(claim.device):
        raise _refused("bad-usage", "a token has 64 hexadecimal digits")
    name = sanitize(claim.name).strip()
    if name:
        name = _text(name, MAX_DEVICE_CHARS, "a device's name")
    return events.Claim(
        code_hash(claim.code), name, session_of(claim.device) if claim.device else ""
    )


def _of_moderators(request: _OfModerators, current: Name | None) -> Event:
    """What only moderators may do."""
    server = isinstance(request, _ALSO_OF_SERVER) and request.server
    name = Name("", "") if server else _room(current, request.room)
    match request:
        case events.Kick(_, nick, reason):
            key = _nick_key(nick)
            return events.Kick(name.text, _shown(nick), _reason(reason), name.key, key, server)
        case events.Restrict(_, nick, what, ms, reason):
            key = _nick_key(nick)
            if ms < 0:
                raise _refused("bad-usage", "nothing lasts less than no time")
            reason = _reason(reason)
            return events.Restrict(name.text, _shown(nick), what, ms, reason, name.key, key, server)
        case events.Lift(_, nick, what):
            key = _nick_key(nick)
            return events.Lift(name.text, _shown(nick), what, name.key, key, server)
        case events.Role(_, nick, role):
            key = _nick_key(nick)
            return events.Role(name.text, _shown(nick), role, name.key, key)
        case events.RoomMode(_, slow_ms, moderated, private, _, kept, secret, locked, unlisted):
            given = {slow_ms, moderated, private, kept, secret, locked, unlisted}
            if given == {None} or (slow_ms or 0) < 0:
                fields = "slow_ms, moderated, private, kept, secret, topic_locked or unlisted"
                raise _refused("bad-usage", f"say what is to be set: {fields}")
            hashed = code_hash(secret) if secret else secret
            talking = (slow_ms, moderated, private)
            return events.RoomMode(name.text, *talking, name.key, kept, hashed, locked, unlisted)
        case events.Invite(_, nick):
            key = _nick_key(nick) if nick else ""
            return events.Invite(name.text, _shown(nick), "", name.key, key)
        case events.Redact(_, seq, nick):
            key = _nick_key(nick) if nick else ""
            return events.Redact(name.text, max(0, seq), _shown(nick), name.key, key)
        case events.Restrictions():
            return events.Restrictions(*name, server)
        case _:
            assert_never(request)


def _text(text: str, max_chars: int, what: str) -> str:
    """A person's text as others may see it. Raises _Refused when it is empty or too long."""
    text = sanitize(text).rstrip()
    if not text:
        raise _refused("empty-text", f"{what} has at least one character that can be seen")
    if len(text) > max_chars:
        raise _refused(
            "too-long", f"{what} has at most {max_chars:,} characters; this one has {len(text):,}"
        )
    return text


def _tags(tags: dict[str, str]) -> dict[str, str] | None:
    """The tags of a message as others may see them; None for none. Raises _Refused when they cannot
    be, or are too many.
    """
    if len(tags) > MAX_TAGS:
        raise _refused("too-long", f"a message has at most {MAX_TAGS} tags")
    if not all(map(is_tag_name, tags)):
        raise _refused("bad-usage", "the name of a tag is letters, digits, - and ., as draft/reply")
    safe = {name: sanitize(value) for name, value in tags.items()}
    if sum([_tag_bytes(*tag) for tag in safe.items()]) > MAX_TAG_BYTES:
        raise _refused("too-long", f"the tags of a message have at most {MAX_TAG_BYTES:,} bytes")
    return safe or None


def _tag_bytes(name: str, value: str) -> int:
    """How many bytes a tag takes at most, in any dialect: three more than it has itself, and one
    for each character that ends a tag where it is not escaped.
    """
    return len(name) + len(value.encode()) + 3 + sum(map(value.count, "; \\"))


def _room(current: Name | None, room: str) -> Name:
    """The room that was named, or the current one. Raises _Refused when there is none."""
    if not room:
        if current is None:
            raise _refused("no-current-room", "you talk in no room yet; /join ROOM first")
        return current
    name = room_name(room)
    if isinstance(name, Rejected):
        raise _Refused(name)
    return name


def _called(name: str, user: str) -> Called:
    """Names that people may have beside their nicks. Raises _Refused for what is none."""
    if len(user) > MAX_USER_CHARS or NO_USER_LETTER.search(user):
        raise _refused("bad-name", f"a user name has at most {MAX_USER_CHARS} of a-z, 0-9, . _ -")
    return Called(_text(name, MAX_REAL_NAME_CHARS, "a real name") if name else "", user)


def _nick_key(nick: str) -> str:
    """The key of a nick. Raises _Refused when nobody can have it."""
    key = nick_key(nick)
    if not key:
        raise _refused("no-such-nick", f"there is nobody called {_shown(nick)}")
    return key


def _password(password: str) -> str:
    """A password as it is kept and compared: the same, however a keyboard has composed its letters
    (as RFC 8265 has it). Raises _Refused when it cannot be one.
    """
    if len(password) > MAX_PASSWORD_CHARS:
        raise _refused("too-long", f"a password has at most {MAX_PASSWORD_CHARS} characters")
    if len(password) < MIN_PASSWORD_CHARS:
        raise _refused("bad-usage", f"a password has at least {MIN_PASSWORD_CHARS} characters")
    return unicodedata.normalize("NFC", password)


def _reason(reason: str) -> str:
    """Why somebody does something, which need not be said. Raises _Refused when it is too long."""
    return _text(reason, MAX_REASON_CHARS, "a reason") if reason else ""


def _shown(nick: str) -> str:
    """A nick that somebody typed, as an error can repeat it."""
    return sanitize(nick[:MAX_NICK_CHARS])


def _refused(reason: Reason, text: str) -> _Refused:
    return _Refused(Rejected(reason, text))
