"""Dialects: a server knows none of them by name, and a third one proves it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tcpchat_core import ChatState, Flavour, ServerLimits, ServerProtocol, events, notices
from tcpchat_core.dialects import MAX_FIRST_BYTES, choose
from tcpchat_core.dialects.irc.encode import TIME, TIME_AND_MSGID, Irc
from tcpchat_core.dialects.jsonl import Json, JsonLines
from tcpchat_core.dialects.lines import LineReader
from tcpchat_core.dialects.plain import Plain, PlainText
from tcpchat_core.dialects.websocket import JsonFrames
from tcpchat_core.effects import Stream
from tcpchat_core.notices import Said
from tcpchat_core.server import DIALECTS
from tests.core.harness import HELLO, MemoryServer, join, split_at
from tests.core.strategies import CUTS, NASTY_TEXT
from tests.core.third_dialect import Netstrings, netstring, take_frames


def server(*, password: str = "") -> MemoryServer:
    """A server that speaks a third dialect too."""
    limits = ServerLimits(flood_rate=0, ping_after_ms=1_000, drop_after_ms=2_000)
    dialects = (Netstrings(), *DIALECTS)
    return MemoryServer(
        ServerProtocol(ChatState(), limits=limits, dialects=dialects, password=password)
    )


def frames(memory: MemoryServer, conn: int) -> list[str]:
    """What a connection of the third dialect was told since the last time."""
    data = bytearray(memory.read(conn))
    told, wrong = take_frames(data)
    assert not data
    assert not wrong
    return [frame.decode() for frame in told]


def talking() -> MemoryServer:
    """Three people in the lobby, one of each dialect: 1 netstrings, 2 plain, 3 JSON."""
    memory = server()
    for conn in (1, 2, 3):
        memory.connect(conn)
    memory.send(1, netstring(b"/join lobby"))
    memory.send(2, b"/join lobby\n")
    memory.send(3, HELLO)
    memory.ask(3, join("lobby"))
    for conn in (1, 2, 3):
        memory.read(conn)
    return memory


def test_a_peer_of_each_dialect_is_told_in_its_own() -> None:
    memory = talking()
    memory.send(1, netstring(b"hello"))
    (receipt,) = frames(memory, 1)
    assert receipt.startswith('0 * {"type":"sent"')
    assert memory.lines(2) == ["[lobby] guest-1: hello"]
    (said,) = memory.told(3)
    assert isinstance(said, notices.Said)
    memory.send(2, b"hi\n")
    (frame,) = frames(memory, 1)
    assert frame.startswith('0 * {"type":"said"')


def test_an_answer_names_its_reader_where_the_dialect_does() -> None:
    memory = talking()
    memory.send(1, netstring(b"/nick ada") + netstring(b"/who"))
    renamed, who = frames(memory, 1)
    assert renamed.startswith('0 * {"type":"renamed"')
    assert who.startswith('0 ada {"type":"who","room":"lobby","nicks":["ada","guest-2","guest-3"]')


def test_a_flavour_that_changes_while_its_room_talks_changes_what_is_told_from_then_on() -> None:
    memory = talking()
    memory.send(2, b"before\n")
    memory.send(1, netstring(b".mark 7"))
    memory.send(2, b"after\n")
    assert [frame.partition(" {")[0] for frame in frames(memory, 1)] == ["0 *", "7 marked", "7 *"]


def test_a_reader_hears_all_that_its_peer_alone_is_told() -> None:
    memory = talking()
    memory.send(2, b"hello\n")
    memory.read(1)
    memory.send(1, netstring(b".count") + netstring(b"/who"))
    memory.send(1, netstring(b"/nick ada"))
    memory.send(1, netstring(b"hello"))
    memory.send(1, netstring(b".count"))
    first, *_, second = frames(memory, 1)
    assert (first, second) == ("2 told", "5 told")


@given(cuts=CUTS, marks=st.lists(st.integers(0, 3), max_size=5))
def test_whatever_the_flavours_in_a_room_everybody_is_told_everything_once(
    cuts: list[int], marks: list[int]
) -> None:
    memory = talking()
    asked = b"".join(netstring(b".mark %d" % mark) + netstring(b"%d" % mark) for mark in marks)
    for piece in split_at(asked, cuts):
        memory.send(1, piece)
        memory.send(3, b'{"type":"say","room":"lobby","text":"tick"}\n')
    said = [line.removeprefix("[lobby] guest-1: ") for line in memory.lines(2)]
    assert [line for line in said if line.isdigit()] == [str(mark) for mark in marks]
    ticks = [frame for frame in frames(memory, 1) if '"tick"' in frame]
    assert len(ticks) == len(said) - len(marks)


def test_what_is_long_is_written_as_it_was_told_though_the_peer_takes_it_later() -> None:
    memory = talking()
    (long,) = [
        effect
        for effect in memory.protocol.receive_data(1, netstring(b"/who"), now=0)
        if isinstance(effect, Stream)
    ]
    memory.send(1, netstring(b".mark 7"))
    assert b"".join(long.pieces).partition(b":")[2].startswith(b'0 guest-1 {"type":"who"')


def test_a_flavour_with_nobody_left_in_a_room_is_not_encoded_any_more() -> None:
    memory = talking()
    memory.send(1, netstring(b".mark 7"))
    memory.send(1, netstring(b"/out"))
    memory.read(1)
    effects = memory.send(2, b"hi\n")
    assert len(effects) == 1
    assert memory.read(1) == b""


def test_the_password_is_asked_for_and_said_as_the_dialect_does() -> None:
    memory = server(password="sesame")
    memory.connect(1)
    memory.send(1, netstring(b"hello"))
    (needed,) = frames(memory, 1)
    assert "password-needed" in needed
    memory.send(1, netstring(b".mark 3"))
    assert frames(memory, 1) == ["3 marked"]
    memory.send(1, netstring(b".open sesame") + netstring(b".open again"))
    (welcome,) = frames(memory, 1)
    assert welcome.startswith('3 guest-1 {"type":"welcome"')


def test_an_empty_password_is_none() -> None:
    memory = server(password="sesame")
    memory.connect(1)
    memory.send(1, netstring(b".open "))
    (needed,) = frames(memory, 1)
    assert "password-needed" in needed


def test_a_dialect_that_cannot_be_asked_may_be_silent_for_ever() -> None:
    memory = talking()
    memory.wait_until_nothing_is_due()
    assert memory.closed == [3]
    assert all('"type":"ping"' not in frame for frame in frames(memory, 1))


def test_what_is_no_frame_ends_the_connection_with_the_reason() -> None:
    memory = talking()
    memory.send(1, b"nonsense")
    assert memory.closed == [1]
    assert (
        frames(memory, 1)[-1] == '0 * {"type":"closing","reason":"a frame begins with its length"}'
    )


# ── How it was asked, and what is read when ──────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("line", "told"),
    [
        (b"/who", '"type":"who"'),
        (b"/history", '"type":"history"'),
        (b"/nick ada", '"type":"renamed"'),
        (b"/nick guest-7", '"type":"rejected","reason":"reserved-name"'),
        (b"/nick guest-2", '"type":"rejected","reason":"reserved-name"'),
        (b"/who nowhere", '"type":"rejected","reason":"not-in-room"'),
        (b"/out", '"type":"left"'),
        (b"/join lobby", '"type":"entered"'),
        (b"/join lobby WORD", '"type":"entered"'),
        (b"/tell nobody hello", '"type":"rejected","reason":"no-such-nick"'),
        (b"/nonsense", '"type":"rejected","reason":"unknown-command"'),
    ],
)
@pytest.mark.parametrize("delayed", [False, True])
def test_an_answer_is_told_how_it_was_asked_for(line: bytes, told: str, delayed: bool) -> None:
    memory = talking()
    memory.delayed = delayed
    memory.send(1, netstring(b"/who") + netstring(b".how WORD " + line) + netstring(b"/who"))
    memory.commit_all()
    _, answer, last = frames(memory, 1)
    assert told in answer
    if '"left"' not in told and '"renamed"' not in told:  # these are for everybody who hears of it
        assert answer.startswith("0 WORD {")
    assert not last.startswith("0 WORD {")


def test_what_nobody_asked_for_is_told_to_nobody_in_particular() -> None:
    memory = talking()
    memory.send(1, netstring(b".how WORD /nick ada"))
    memory.read(1)
    memory.send(2, b"/tell ada hello\n")
    (frame,) = frames(memory, 1)
    assert frame.startswith('0 ada {"type":"told"')


def test_what_comes_behind_a_wait_is_read_when_all_before_it_is_answered() -> None:
    memory = talking()
    memory.delayed = True
    memory.send(1, netstring(b"/nick ada") + netstring(b".wait") + netstring(b".count"))
    memory.send(1, netstring(b".mark 3"))
    assert frames(memory, 1) == []
    assert memory.paused == {1}
    memory.commit_all()
    told = [frame.partition(" {")[0] for frame in frames(memory, 1)]
    assert told == ["0 *", "3 told", "3 marked"]
    assert memory.paused == set()


def test_nothing_is_waited_for_where_all_is_answered() -> None:
    memory = talking()
    memory.delayed = True
    memory.send(1, netstring(b".wait") + netstring(b".count") + netstring(b"/nick ada"))
    assert frames(memory, 1) == ["2 told"]
    memory.commit_all()


def test_a_wait_lasts_until_the_archive_has_answered() -> None:
    memory = talking()
    memory.protocol = ServerProtocol(
        ChatState(), dialects=(Netstrings(), *DIALECTS), archive=lambda _: None
    )
    memory.connect(5)
    memory.send(5, netstring(b"/join tea") + netstring(b"/search hello"))
    memory.send(5, netstring(b".wait") + netstring(b".count"))
    assert "told" not in frames(memory, 5)[-1]
    memory.find()
    found, count = frames(memory, 5)
    assert '"type":"found"' in found
    assert count.endswith(" told")


# ── Which dialect it is ──────────────────────────────────────────────────────────────────────


class Shouting(Netstrings):
    """Recognised by its first word."""

    def recognises(self, first: bytes) -> bool | None:
        """The word may come in pieces."""
        if first.startswith(b"SHOUT"):
            return True
        return None if b"SHOUT".startswith(first) else False


@pytest.mark.parametrize(
    ("first", "silent", "found"),
    [
        (b"", False, None),
        (b"SH", False, None),
        (b"SHOUT", False, "netstrings"),
        (b"SHUT", False, "plain"),
        (b"{", False, "jsonl"),
        (b"SH", True, "plain"),
        (b"", True, "plain"),
    ],
)
def test_a_dialect_is_chosen_by_the_first_bytes_or_by_silence(
    first: bytes, silent: bool, found: str | None
) -> None:
    chosen = choose((Shouting(), JsonLines(), PlainText()), first, silent=silent)
    assert (chosen.name if chosen else None) == found


def test_anything_at_all_can_be_typed() -> None:
    assert PlainText().recognises(b"x")
    assert PlainText().recognises(b"") is None


def test_a_dialect_that_cannot_make_up_its_mind_is_not_waited_for() -> None:
    class Undecided(Netstrings):
        def recognises(self, first: bytes) -> bool | None:
            return None if first else False

    dialects = (Undecided(), PlainText())
    assert choose(dialects, b"x" * (MAX_FIRST_BYTES - 1)) is None
    chosen = choose(dialects, b"x" * MAX_FIRST_BYTES)
    assert chosen is not None
    assert chosen.name == "plain"


@pytest.mark.parametrize("how", ["more", "silence", "end"])
def test_first_bytes_that_tell_nothing_yet_are_kept_until_something_does(how: str) -> None:
    memory = MemoryServer(
        ServerProtocol(
            ChatState(),
            limits=ServerLimits(flood_rate=0),
            dialects=(Shouting(), *DIALECTS),
        )
    )
    memory.connect(1)
    memory.send(1, b"S")
    assert memory.read(1) == b""
    match how:
        case "more":
            memory.send(1, b"tart\n")
        case "silence":
            memory.wait(500)
            memory.send(1, b"tart\n")
        case _:
            memory.send(1, b"H\n")
            memory.eof(1)
    lines = memory.lines(1)
    assert lines[0].startswith("* Welcome")
    assert lines[1].startswith("! no-current-room")


def test_the_end_of_first_bytes_that_tell_nothing_is_an_end() -> None:
    memory = server()
    memory.protocol = ServerProtocol(ChatState(), dialects=(Shouting(), *DIALECTS))
    memory.connect(1)
    memory.send(1, b"SHOU")
    memory.eof(1)
    assert memory.closed == [1]
    assert memory.lines(1)[-1] == "! bad-line: the last line had no end, so it was not taken in"


# ── Who comes late ───────────────────────────────────────────────────────────────────────────


class Late(Shouting):
    """One that may be silent at first."""

    comes_late = True


def silent(*, password: str = "", delayed: bool = False) -> MemoryServer:
    """A server where somebody was greeted for its silence."""
    dialects = (Late(), Shouting(), *DIALECTS)
    protocol = ServerProtocol(ChatState(), dialects=dialects, password=password, motd=["moin"])
    memory = MemoryServer(protocol, delayed=delayed)
    memory.connect(1)
    memory.wait(500)
    return memory


@pytest.mark.parametrize("delayed", [False, True])
def test_a_peer_that_was_greeted_for_its_silence_may_yet_speak_another_dialect(
    delayed: bool,
) -> None:
    memory = silent(delayed=delayed)
    for piece in (b"SHO", b"UT"):
        memory.send(1, piece)
    memory.commit_all()
    data = memory.read(1)
    greeting, welcome = data[: data.rindex(b"0 guest-1")], data[data.rindex(b"0 guest-1") :]
    assert greeting.startswith(b"* Welcome") is not delayed
    assert b'"welcome","nick":"guest-1"' in welcome
    assert b'"motd":["moin"]' in welcome
    (person,) = memory.protocol.state.connected()
    assert person.nick == "guest-1"


def test_a_late_peer_is_asked_for_the_password_as_a_person_and_says_it_in_its_dialect() -> None:
    memory = silent(password="sesame")
    assert memory.lines(1)[0].startswith("! password-needed")
    memory.send(1, b"SHOUTING")
    assert b"0 * " in memory.read(1)
    assert memory.closed == [1]


@pytest.mark.parametrize("pieces", [[b"SHUT up\n"], [b"SH", b"", b"UT up\n"], [b"/who\n"]])
def test_a_first_line_that_tells_nothing_is_the_persons_who_was_greeted(
    pieces: list[bytes],
) -> None:
    memory = silent()
    assert memory.lines(1)[0].startswith("* Welcome")
    for piece in pieces:
        memory.send(1, piece)
    (refused,) = memory.lines(1)
    assert refused.startswith("! no-current-room")
    memory.send(1, b"SHOUT\n")
    assert memory.lines(1)[-1].startswith("! no-current-room")


def test_a_late_peer_that_goes_in_mid_word_has_not_said_it() -> None:
    memory = silent()
    memory.read(1)
    memory.send(1, b"SHOU")
    memory.eof(1)
    assert memory.lines(1) == ["! bad-line: the last line had no end, so it was not taken in"]
    assert memory.closed == [1]


def test_who_was_greeted_and_goes_without_a_word_is_gone() -> None:
    memory = silent()
    memory.eof(1)
    assert memory.closed == [1]


def test_a_dialect_that_does_not_come_late_is_not_recognised_behind_a_greeting() -> None:
    memory = silent()
    memory.read(1)
    memory.send(1, b'{"type":"ping"}\n')
    assert memory.lines(1)[0].startswith("! no-current-room")


@pytest.mark.parametrize("acknowledges", [True, False])
def test_an_author_is_sent_receipts_where_its_flavour_acknowledges(
    acknowledges: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Json, "acknowledges", acknowledges)
    memory = talking()
    memory.read(2)
    memory.read(3)
    memory.ask(3, events.Say("lobby", "hello"))
    assert [type(notice) for notice in memory.told(3)] == [notices.Sent] * acknowledges
    assert memory.lines(2)[-1].endswith(": hello")


def test_the_parts_that_a_dialect_has_to_give_have_no_default() -> None:
    for missing in (lambda: Flavour().encode(notices.Pinged()), lambda: LineReader().decode(b"")):
        with pytest.raises(NotImplementedError):
            missing()


def test_a_person_is_not_let_in_twice() -> None:
    memory = talking()
    memory.send(1, netstring(b".open x"))
    assert frames(memory, 1) == []
    assert not any(isinstance(entry.event, events.Connect) for entry in memory.log[6:])


SAID = st.builds(
    Said,
    st.sampled_from(["lobby", "den"]),
    st.sampled_from(["ada", "bob"]),
    NASTY_TEXT | st.text("x", max_size=600),
    seq=st.integers(1, 9),
    at=st.sampled_from([0, 1_700_000_000_123]),
    emote=st.booleans(),
    notice=st.booleans(),
)


@pytest.mark.parametrize(
    "flavour",
    [
        Json(),
        Plain(),
        JsonFrames(),
        Irc(),
        Irc(TIME),
        Irc(TIME_AND_MSGID, epoch="1f"),
        Irc(TIME_AND_MSGID),
    ],
)
@given(said=st.lists(SAID, max_size=5))
def test_messages_in_a_row_are_told_as_each_of_them_is(flavour: Flavour, said: list[Said]) -> None:
    assert flavour.encode_said(said) == b"".join([flavour.encode(each) for each in said])
