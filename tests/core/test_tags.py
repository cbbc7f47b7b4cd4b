"""Tags of messages: what programs say to each other beside what people read, in all dialects."""

from __future__ import annotations

import re
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from tcpchat_core import ChatState, Request, StateLimits, events, notices
from tcpchat_core.client.protocol import ClientProtocol
from tcpchat_core.dialects.irc.encode import TIME_AND_MSGID, Irc
from tcpchat_core.dialects.irc.parse import parse
from tcpchat_core.dialects.jsonl import JSON, decode_request
from tcpchat_core.notices import Said, Told
from tcpchat_core.sanitize import sanitize
from tests.core.harness import Talk, joins, name, nick, restored, say
from tests.core.irc_server import ADA, BOB, IAN, PIA, UMA, IrcServer, room_of_all
from tests.core.strategies import NASTY_TEXT

NAMES = st.from_regex("([A-Za-z0-9.-]{1,9}/)?[A-Za-z0-9-]{1,9}", fullmatch=True)
VALUES = NASTY_TEXT | st.text(st.sampled_from("\\;: \\snr@+=a"), max_size=9)
TAGS = st.dictionaries(NAMES, VALUES, max_size=6)


def by_irc(memory: IrcServer, conn: int = IAN) -> list[tuple[str, dict[str, str]]]:
    """What a client was told: each command, and the tags that are of other clients."""
    told = []
    for line in memory.lines(conn):
        message = parse(line)
        assert message is not None
        tags, command, _ = message
        told.append((command, _of_clients(tags)))
    return told


def _of_clients(tags: Mapping[str, str]) -> dict[str, str]:
    return {name[1:]: value for name, value in tags.items() if name.startswith("+")}


def written(tags: dict[str, str]) -> str:
    """Tags as a client writes them, with all escapes there are."""
    escapes = {"\\": "\\\\", ";": "\\:", " ": "\\s", "\r": "\\r", "\n": "\\n"}
    values = [(name, "".join(escapes.get(each, each) for each in tags[name])) for name in tags]
    return ";".join(f"+{name}={value}" for name, value in values)


def safe(tags: dict[str, str]) -> dict[str, str] | None:
    return {name: sanitize(value) for name, value in tags.items()} or None


# ── What was put in comes out ────────────────────────────────────────────────────────────────


@given(
    tags=TAGS, emote=st.booleans(), notice=st.booleans(), text=st.sampled_from(["hi", "é " * 900])
)
def test_the_tags_of_a_message_are_the_same_for_all_who_take_them(
    tags: dict[str, str], emote: bool, notice: bool, text: str
) -> None:
    memory = room_of_all()
    memory.ask(ADA, events.Say("hall", text, None, emote, notice=notice, tags=tags))
    [said] = memory.told(BOB)
    assert isinstance(said, Said)
    assert said.tags == safe(tags)
    (_, first), *rest = by_irc(memory)
    assert first == (safe(tags) or {})
    assert not any(of_clients for _, of_clients in rest)  # the other lines of a long text
    assert not any(of_clients for _, of_clients in by_irc(memory, UMA))
    assert "+" not in memory.read(PIA).decode()


@given(tags=TAGS, is_room=st.booleans(), notice=st.booleans())
def test_what_an_irc_client_writes_in_front_of_a_message_is_told_to_all(
    tags: dict[str, str], is_room: bool, notice: bool
) -> None:
    memory = room_of_all()
    command, target = "NOTICE" if notice else "PRIVMSG", "#hall" if is_room else "bob"
    front = f"@a=b;{written(tags)};+a_b=c;label=7 " if tags else ""
    memory.say(IAN, f"{front}{command} {target} :hi")
    [told] = memory.told(BOB)
    assert isinstance(told, Said | Told)
    assert told.tags == safe(tags)
    assert told.notice == notice


@pytest.mark.parametrize("target", ["#hall", "uma", "ian"])
def test_who_wants_it_hears_its_own_tags_with_its_message(target: str) -> None:
    memory = room_of_all()
    memory.say(IAN, "CAP REQ :echo-message")
    [*_, echo] = memory.say(IAN, f"@+draft/reply=7 PRIVMSG {target} hi")
    assert re.fullmatch(r"@msgid=[^;]+;time=[^;]+;\+draft/reply=7 :ian!.*", echo)


def test_a_direct_message_has_one_id_for_who_says_it_and_for_who_is_told_it() -> None:
    memory = room_of_all()
    memory.say(UMA, "CAP REQ :message-tags")
    memory.say(IAN, "CAP REQ :echo-message")
    heard = [*memory.say(IAN, "PRIVMSG uma :psst"), *memory.lines(UMA)]
    ids = [message[0]["msgid"] for line in heard if (message := parse(line)) is not None]
    assert ids == [f"0.{len(memory.log)}"] * 2
    [refused] = memory.say(IAN, f"CHATHISTORY BEFORE #hall msgid={ids[0]} 9")
    assert "INVALID_PARAMS" in refused  # it is none of a room


def test_the_tags_of_a_message_are_in_what_was_said_before() -> None:
    memory = room_of_all()
    tags = {"draft/reply": "7", "typing": ""}
    memory.ask(ADA, events.Say("hall", "hi", tags=tags))
    memory.say(IAN, "PART #hall")
    [*_, before] = memory.say(IAN, "JOIN #hall")
    assert ";+draft/reply=7;+typing :ada!" in before
    memory.told(BOB)
    memory.ask(BOB, events.History("hall"))
    [page] = memory.told(BOB)
    assert isinstance(page, notices.HistoryPage)
    assert page.messages[-1].tags == tags


# ── What cannot be ───────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("tags", "reason"),
    [
        ({"a b": ""}, "bad-usage"),
        ({"+a": ""}, "bad-usage"),
        ({"": "a"}, "bad-usage"),
        ({"a/": "a"}, "bad-usage"),
        ({"é": "a"}, "bad-usage"),
        ({f"{number}": "" for number in range(17)}, "too-long"),
        ({"a": "a" * 4_091}, "too-long"),
        ({"a": ";" * 2_046}, "too-long"),
        ({"a": "é" * 2_046}, "too-long"),
    ],
)
@pytest.mark.parametrize("is_room", [True, False])
def test_tags_that_cannot_be_are_refused_with_their_message(
    tags: dict[str, str], reason: str, is_room: bool
) -> None:
    memory = room_of_all()
    said: Request = events.Say("hall", "hi", "7", tags=tags)
    memory.ask(ADA, said if is_room else events.Tell("bob", "hi", "7", tags=tags))
    [refused] = memory.told(ADA)
    assert isinstance(refused, notices.Rejected)
    assert (refused.reason, refused.id) == (reason, "7")
    assert memory.told(BOB) == []


@pytest.mark.parametrize(
    "tags",
    [{"a": "a" * 4_090}, {"a": ";" * 2_045}, {f"{number}": "" for number in range(16)}],
)
def test_as_many_tags_as_there_may_be_are_told_whole(tags: dict[str, str]) -> None:
    memory = room_of_all()
    memory.ask(ADA, events.Say("hall", "hi", tags=tags))
    assert by_irc(memory) == [("PRIVMSG", tags)]


def test_all_that_a_client_may_write_in_front_of_a_line_is_told() -> None:
    memory = room_of_all()
    value = "a" * 4_081
    memory.say(IAN, f"@foo=bar;+baz={value} PRIVMSG #hall hi")
    [said] = memory.told(BOB)
    assert isinstance(said, Said)
    assert said.tags == {"baz": value}
    [refused] = memory.say(IAN, f"@foo=bar;+baz={value}a PRIVMSG #hall hi")
    assert " 417 " in refused


@given(tags=st.dictionaries(NASTY_TEXT | NAMES, NASTY_TEXT | st.just("a" * 3_000), max_size=5))
def test_no_tag_is_written_that_would_not_be_read_again(tags: dict[str, str]) -> None:
    flavour = Irc(TIME_AND_MSGID)
    line = flavour.encode(Said("hall", "ada", "hi", 7, 1_000, tags=tags)).decode()
    message = parse(line.removesuffix("\r\n"))
    assert message is not None
    tags_of_line, _, params = message
    assert params == ["#hall", "hi"]
    told = _of_clients(tags_of_line)
    assert told.items() <= (safe(tags) or {}).items()
    assert len(line.encode()) <= 4_094 + 512 + len("@msgid=.7.hall;time=1970-01-01T00:00:01.000Z; ")


# ── Signals ──────────────────────────────────────────────────────────────────────────────────

TYPING = {"typing": "active"}
EVE = 6


def signal(memory: IrcServer, by: int, tags: dict[str, str], room: str, nick: str = "") -> None:
    """ada tells it in JSON, or ian by IRC."""
    if by == ADA:
        memory.ask(ADA, events.Signal(tags, room, nick))
    else:
        front = f"@{written(tags)} " if tags else ""
        memory.send(by, f"{front}TAGMSG {nick or f'#{room}'}\r\n".encode())


@given(tags=TAGS, by=st.sampled_from([ADA, IAN]), echo=st.booleans())
def test_a_signal_to_a_room_is_told_to_all_who_take_tags_and_not_kept(
    tags: dict[str, str], by: int, echo: bool
) -> None:
    memory = room_of_all()
    if echo:
        memory.say(IAN, "CAP REQ :echo-message")
    signal(memory, by, tags, "hall")
    told = [notices.Signalled("hall", "ada" if by == ADA else "ian", safe(tags) or {}, 0)]
    shown = [("TAGMSG", safe(tags))]
    for conn in (ADA, BOB):
        heard = [structs.replace(each, at=0, entry=0) for each in memory.told(conn)]
        assert heard == (told if tags else [])
    assert by_irc(memory) == (shown if tags and (by == ADA or echo) else [])
    assert memory.read(UMA) == memory.read(PIA) == b""
    room = memory.protocol.state.room("hall")
    assert room is not None
    assert (room.seq - room.born, len(room.history)) == (0, 0)


@given(tags=TAGS.filter(bool), by=st.sampled_from([ADA, IAN]))
def test_a_signal_to_somebody_alone_is_told_to_no_other(tags: dict[str, str], by: int) -> None:
    memory = room_of_all()
    memory.register(EVE, "eve", "message-tags")
    memory.read(EVE)
    author = "ada" if by == ADA else "ian"
    for other, to in (("bob", BOB), ("eve", EVE), ("uma", UMA)):
        signal(memory, by, tags, "", other)
        told, shown = memory.told(BOB), by_irc(memory, EVE)
        assert [structs.replace(each, at=0, entry=0) for each in told] == (
            [notices.Signalled("", author, safe(tags) or {}, 0)] if to == BOB else []
        )
        assert shown == ([("TAGMSG", safe(tags))] if to == EVE else [])
        own = memory.told(ADA)
        assert [each.to for each in own if isinstance(each, notices.Signalled)] == (
            [other] if by == ADA else []
        )
        assert memory.read(IAN) == memory.read(UMA) == memory.read(PIA) == b""


def test_who_wants_it_hears_its_own_signals_and_they_have_one_id() -> None:
    memory = room_of_all()
    memory.say(IAN, "CAP REQ :echo-message batch labeled-response")
    memory.say(UMA, "CAP REQ :message-tags")
    place = len(memory.log) + 1
    front = f"msgid=0.{place};time=2023-11-14T22:13:20.000Z;+a=b :ian!~u@tcpchat TAGMSG"
    [echo] = memory.say(IAN, "@label=7;+a=b TAGMSG #hall")
    [told] = memory.lines(UMA)
    assert _timeless(echo) == f"@label=7;{_timeless(front)} #hall"
    assert _timeless(told) == f"@{_timeless(front)} #hall"
    own, echo = sorted(memory.say(IAN, "@label=8;+a=b TAGMSG ian"), key=len)
    assert echo == f"@label=8;{own[1:]}"
    assert memory.say(IAN, "@label=9 TAGMSG #hall") == ["@label=9 :tcpchat ACK"]
    assert memory.say(IAN, "@+a=b TAGMSG #hall,#hall,#hall,uma,uma")[-1].split()[1] == "407"
    assert len(memory.lines(UMA)) == 4


def _timeless(line: str) -> str:
    return re.sub(r"time=[^;]+;", "", line)


def test_a_signal_is_told_on_all_devices_that_are_there() -> None:
    talk = Talk()
    talk.do(9, events.Grant("ada", "ada", "code", device="one"))
    talk.do(1, events.Connect("session 1", "", "one"))
    talk.do(2, events.Connect("session 2", "", "one"))
    talk.do(3, events.Connect("session 3", "", "one"))
    talk.do(3, events.Disconnect("lost"))
    talk.do(4, events.Connect())
    told = talk.do(1, events.Signal(TYPING, nick="guest-1", nick_key="guest-1"))
    assert {conn: [each.to for each in heard] for conn, heard in told.items()} == {  # type: ignore[union-attr] # they are signals
        1: ["guest-1"],
        2: ["guest-1"],
        4: [""],
    }
    told = talk.do(4, events.Signal(TYPING, nick="ada", nick_key="ada"))
    assert {*told} == {1, 2, 4}
    told = talk.do(1, events.Signal(TYPING, nick="ada", nick_key="ada"))
    assert {conn: len(heard) for conn, heard in told.items()} == {1: 2, 2: 1}


@pytest.mark.parametrize(
    ("rule", "reason"),
    [
        (events.RoomMode("hall", moderated=True, key="hall"), "muted"),
        (events.Restrict("hall", "bob", "mute", key="hall", nick_key="bob"), "muted"),
        (events.Kick("hall", "bob", key="hall", nick_key="bob"), "not-in-room"),
        (events.Configure({"guests": 0}), "no-right"),
    ],
)
def test_who_may_not_speak_may_not_signal(rule: events.Event, reason: str) -> None:
    talk = Talk()
    talk.people("ada", "bob")
    for conn in (1, 2):
        talk.do(conn, joins("hall"))
    talk.do(9 if isinstance(rule, events.Configure) else 1, rule)
    told = talk.do(2, events.Signal(TYPING, "hall", key="hall"))
    assert told.keys() == {2}
    [refused] = told[2]
    assert isinstance(refused, notices.Rejected)
    assert (refused.reason, refused.request) == (reason, "signal")


@pytest.mark.parametrize(("nick_key", "reason"), [("nobody", "no-such-nick"), ("ada", "muted")])
def test_nobody_is_signalled_who_is_not_there_or_by_who_may_say_nothing(
    nick_key: str, reason: str
) -> None:
    talk = Talk()
    talk.people("ada", "bob")
    talk.do(9, events.Grant("zoe", "zoe", device="one", admin=True))
    talk.do(3, events.Connect(device="one"))
    if reason == "muted":
        talk.do(3, events.Restrict("", "bob", "mute", nick_key="bob", server=True))
    told = talk.do(2, events.Signal(TYPING, nick=nick_key, nick_key=nick_key))
    [refused] = told.pop(2)
    assert isinstance(refused, notices.Rejected)
    assert (refused.reason, told) == (reason, {})


def test_in_a_slow_room_a_signal_waits_as_a_line_does_and_takes_no_turn() -> None:
    memory = room_of_all()
    memory.ask(ADA, events.RoomMode("hall", slow_ms=3_600_000))
    for conn in (BOB, IAN):
        memory.read(conn)
    for _ in range(2):
        memory.ask(BOB, events.Signal(TYPING, "hall"))
        assert by_irc(memory) == [("TAGMSG", TYPING)]
    memory.ask(BOB, events.Say("hall", "hi"))
    assert [command for command, _ in by_irc(memory)] == ["PRIVMSG"]
    memory.told(BOB)
    memory.ask(BOB, events.Signal(TYPING, "hall"))
    [refused] = memory.told(BOB)
    assert isinstance(refused, notices.Rejected)
    assert refused.reason == "slow"
    memory.say(IAN, "PRIVMSG #hall hi")
    memory.told(BOB)
    assert memory.say(IAN, "@+typing=active TAGMSG #hall") == []  # of which it is not told
    assert memory.told(BOB) == []


@pytest.mark.parametrize(
    ("line", "numeric"),
    [
        ("@+a=b TAGMSG #den", "404"),
        ("@+a=b TAGMSG nobody", "401"),
        ("@+a=b TAGMSG", "461"),
        (f"@{';'.join(f'+{number}' for number in range(17))} TAGMSG #hall", "417"),
    ],
)
def test_a_signal_that_goes_nowhere_is_refused_by_its_number(line: str, numeric: str) -> None:
    [refused] = room_of_all().say(IAN, line)
    assert refused.split()[1] == numeric


def test_who_has_lost_its_connection_is_told_no_signal_when_it_comes_back() -> None:
    talk = Talk()
    talk.people("ada")
    talk.do(2, events.Connect("session"))
    for conn in (1, 2):
        talk.do(conn, joins("hall"))
    talk.do(2, events.Disconnect("lost"))
    before = talk.state.snapshot()
    assert talk.do(1, events.Signal(TYPING, "hall", key="hall")).keys() == {1}
    assert talk.do(1, events.Signal(TYPING, nick="guest-2", nick_key="guest-2")).keys() == {1}
    # All that is otherwise is how far the log is.
    assert len(talk.state.snapshot()) == len(before)
    [resumed, *more] = talk.do(3, events.Resume("session", "fresh"))[3]
    assert (type(resumed), more) == (notices.Resumed, [])


# ── What is kept ─────────────────────────────────────────────────────────────────────────────


def test_what_is_kept_of_a_room_counts_the_tags_too() -> None:
    talk = Talk(ChatState(limits=StateLimits(history_chars=40, inbox_chars=40)))
    talk.do(1, events.Connect("session"))
    talk.do(1, joins("hall"))
    for _ in range(5):
        talk.do(1, events.Say("hall", "12345", key=name("hall").key, tags={"abc": "12"}))
    room = talk.state.room("hall")
    assert room is not None
    assert (len(room.history), room.history_chars) == (4, 40)
    again = restored(talk.state.snapshot()).room("hall")
    assert again is not None
    assert (again.history, again.history_chars) == (room.history, 40)
    talk.do(1, events.Redact("hall", room.seq, key="hall"))
    assert (room.history_chars, room.history[-1].tags) == (30, None)
    for _ in range(5):
        talk.do(1, say("hall", "1234567890"))
    assert room.history_chars == 40


def test_who_comes_back_is_told_what_it_was_told_alone_with_its_tags() -> None:
    talk = Talk()
    talk.do(1, events.Connect("session"))
    talk.do(1, nick("ada"))
    talk.do(2, events.Connect())
    talk.do(1, events.Disconnect("lost"))
    talk.do(2, events.Tell("ada", "psst", key="ada", tags={"draft/reply": "7"}))
    talk.state = restored(talk.state.snapshot())
    told = talk.do(3, events.Resume("session", "fresh"))[3]
    assert [notice.tags for notice in told if isinstance(notice, Told)] == [{"draft/reply": "7"}]


# ── Clients ──────────────────────────────────────────────────────────────────────────────────


@given(tags=st.dictionaries(NASTY_TEXT, NASTY_TEXT, max_size=4))
def test_a_client_is_given_no_tag_that_a_terminal_would_obey(tags: dict[str, str]) -> None:
    client = ClientProtocol()
    client.hello()
    said = Told("bob", "hi", 1, 1_000, tags=tags)
    welcome = b'{"type":"welcome","nick":"ada","epoch":"e"}\n'
    [_, told] = client.receive_data(welcome + JSON.encode(said)).notices
    assert isinstance(told, Told)
    assert told.tags == {sanitize(name): sanitize(value) for name, value in tags.items()}


def test_a_tag_that_utf8_cannot_hold_is_sent_as_it_can() -> None:
    client = ClientProtocol()
    client.hello()
    client.receive_data(b'{"type":"welcome","nick":"ada","epoch":"e"}\n')
    sent = client.request(events.Say("hall", "hi", tags={"\ud800a": "b\udfff"}))
    assert decode_request(sent.strip()) == events.Say("hall", "hi", "1", tags={"�a": "b�"})
