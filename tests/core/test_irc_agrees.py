"""What an IRC client is shown, read back, is what a JSON client in the same room was told.

People do anything in a room where both watch; afterwards both tell what has happened.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain
from typing import TypeAlias

from hypothesis import given
from hypothesis import strategies as st

from tcpchat_core import Request, events, notices
from tcpchat_core.dialects.irc.capabilities import OFFERED
from tcpchat_core.dialects.irc.parse import parse
from tcpchat_core.notices import Notice
from tests.core.harness import HELLO
from tests.core.irc import Line, told
from tests.core.irc_server import IrcServer
from tests.core.strategies import NASTY_TEXT

# What has happened, to whom, and with which text; a text without its blanks, for a long one is cut
# there.
Fact: TypeAlias = tuple[str, ...]

IRC, JSON = 1, 2
PEOPLE = (3, 4)

LONG = st.sampled_from(["word ", "日本", "👩🏽\u200d🚀 ", "e\u0301", "x"])
TEXTS = NASTY_TEXT | st.builds(lambda word, times: word * times, LONG, st.integers(100, 500))
TAGS = st.dictionaries(st.sampled_from(["typing", "draft/reply", "a.b/c"]), NASTY_TEXT, max_size=2)
WHO = st.sampled_from(["ada", "bob", "дана"])

ACTIONS: st.SearchStrategy[Request] = st.one_of(
    st.builds(
        events.Say, st.just("hall"), TEXTS, emote=st.booleans(), notice=st.booleans(), tags=TAGS
    ),
    st.builds(events.Signal, TAGS, st.just("hall")),
    st.builds(events.Topic, st.just("hall"), TEXTS),
    st.builds(events.Nick, WHO),
    st.builds(events.Join, st.just("hall")),
    st.builds(events.Out, st.just("hall"), reason=NASTY_TEXT),
    st.builds(events.Kick, st.just("hall"), WHO, NASTY_TEXT),
    st.builds(events.Restrict, st.just("hall"), WHO, st.sampled_from(["ban", "mute"])),
    st.builds(events.Lift, st.just("hall"), WHO, st.just("ban")),
    st.builds(events.Role, st.just("hall"), WHO, st.sampled_from(["member", "moderator", "owner"])),
    st.builds(events.Away, NASTY_TEXT),
    st.builds(events.SetName, NASTY_TEXT),
    st.builds(events.Quit, NASTY_TEXT),
)


def _bare(text: str) -> str:
    return "".join(text.split(" "))


def _of_json(notice: Notice) -> list[Fact]:
    match notice:
        case notices.Said(_, nick, text, emote=emote, notice=is_notice, tags=tags):
            kind = "emote" if emote else "notice" if is_notice else "says"
            return [(kind, nick, *chain(*(tags or {}).items()), _bare(text))]
        case notices.Signalled(_, nick, tags):
            return [("signals", nick, *chain(*tags.items()))]
        case notices.Joined(_, nick):
            return [("joined", nick)]
        case notices.Renamed(old, new):
            return [("renamed", old, new)]
        case notices.Gone(nick, reason):
            return [("gone", nick, _bare(reason))]
        case notices.Left(_, nick, by="", reason=reason):
            return [("left", nick, _bare(reason))]
        case notices.Left(_, nick, by=by, until=until):
            banned = [("mode", by, "+b", f"{nick}!*@*")] if until else []
            return [*banned, ("kicked", by, nick)]
        case notices.Restricted(_, nick, "ban", by=by):
            return [("mode", by, "+b", f"{nick}!*@*")]
        case notices.Lifted(_, nick, "ban", by):
            return [("mode", by, "-b", f"{nick}!*@*")]
        case notices.RoleSet(_, nick, role, by):
            return [("mode", by, {"owner": "+q", "moderator": "+o"}.get(role, "-o"), nick)]
        case notices.TopicSet(_, topic, nick):
            return [("topic", nick, _bare(topic))]
        case notices.AwaySet(nick, text):
            return [("away", nick, _bare(text))]
        case notices.AccountSet(nick, account):
            return [("account", nick, account)]
        case notices.NameSet(nick, name):
            return [("setname", nick, _bare(name or nick))]
        case _:
            return []


def _of_irc(read: Line) -> Fact | None:
    nick, _, host = read.source.partition("!")
    if not host:
        return None  # what the server says is in words, which are those of the plain dialect
    match read.command, read.params:
        case "PRIVMSG", (_, text) if text.startswith("\x01ACTION "):
            text = text.removeprefix("\x01ACTION ").removesuffix("\x01")
            return "emote", nick, *_of_clients(read), _bare(text)
        case "PRIVMSG" | "NOTICE", (_, text):
            kind = {"PRIVMSG": "says"}.get(read.command, "notice")
            return kind, nick, *_of_clients(read), _bare(text)
        case "TAGMSG", (_,):
            return "signals", nick, *_of_clients(read)
        case "JOIN", _:
            return "joined", nick
        case "NICK", (new,):
            return "renamed", nick, new
        case "QUIT" | "PART", params:
            reason = [*params, ""][0 if read.command == "QUIT" else 1] if params else ""
            return {"QUIT": "gone"}.get(read.command, "left"), nick, _bare(reason)
        case "KICK", (_, whom, _):
            return "kicked", nick, whom
        case "MODE", (_, mode, whom):
            return "mode", nick, mode, whom
        case "TOPIC", (_, topic):
            return "topic", nick, _bare(topic)
        case "ACCOUNT", (account,):
            return "account", nick, account
        case "AWAY", params:
            return "away", nick, _bare("".join(params))
        case "SETNAME", (name,):
            return "setname", nick, _bare(name)
        case _:
            return None


def _of_clients(read: Line) -> list[str]:
    """The tags that are of other clients: each name, and its value, unescaped."""
    found: list[str] = []
    for name, value in read.tags.items():
        if name.startswith("+"):
            message = parse(f"@{name}={value} PING")
            assert message is not None
            found += [name[1:], message[0][name]]
    return found


def _facts(lines: Iterable[Line]) -> list[Fact]:
    """What the lines tell; those of one message, of which the first has an id, are one."""
    facts: list[Fact] = []
    for read in lines:
        fact = _of_irc(read)
        if fact is None:
            continue
        is_said = read.command in {"PRIVMSG", "NOTICE"}
        if is_said and "msgid" not in read.tags:
            *start, text = facts[-1]
            assert (start[0], start[1]) == fact[:-1]  # and no tag of a client
            facts[-1] = (*start, text + fact[-1])
        else:
            facts.append(fact)
    return facts


def _is_told(fact: Fact, shown: Fact) -> bool:
    """Whether it is the same, but that what nobody has said in the room may be cut short."""
    if shown[-1].endswith("…") and fact[0] in {"topic", "left", "gone", "away"}:
        return fact[:-1] == shown[:-1] and fact[-1].startswith(shown[-1][:-1])
    return fact == shown


@given(did=st.lists(st.tuples(st.sampled_from(PEOPLE), ACTIONS), max_size=12))
def test_an_irc_client_is_shown_what_a_json_client_is_told(
    did: list[tuple[int, Request]],
) -> None:
    memory = IrcServer()
    memory.register(IRC, "ivy", *OFFERED)
    for conn in (JSON, *PEOPLE):
        memory.connect(conn)
        memory.send(conn, HELLO)
    for conn, nick in zip(PEOPLE, ("ada", "bob"), strict=True):
        memory.ask(conn, events.Nick(nick))
    # The first moderates the room.
    for conn in (PEOPLE[0], IRC, JSON, *PEOPLE[1:]):
        memory.send(conn, b"JOIN #hall\r\n" if conn == IRC else b'{"type":"join","room":"hall"}\n')
    memory.read(IRC)
    memory.read(JSON)
    for conn, request in did:
        if conn not in memory.closed:
            memory.ask(conn, request)
        facts = [fact for notice in memory.told(JSON) for fact in _of_json(notice)]
        shown = _facts(told(memory.read(IRC)))
        assert len(facts) == len(shown)
        for fact, line in zip(facts, shown, strict=True):
            assert _is_told(fact, line), (fact, line)
