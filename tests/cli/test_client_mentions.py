"""The list of what has called one."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from tcpchat_cli.terminal.mentions import MAX_MENTIONS, Mentions, Message
from tcpchat_cli.terminal.numbering import MessageId, Numbering
from tcpchat_cli.terminal.places import Place
from tcpchat_cli.terminal.render import MAX_TEXT_CHARS, Renderer

from tcpchat_core.notices import Entered, Said, Told

NOON = 1_800_000_000_000


def said(seq: int, text: str = "ada?", room: str = "lobby") -> Said:
    return Said(room, "bob", text, seq, NOON + seq)


def everything(_message: Message) -> bool:
    return True


def shown(mentions: Mentions) -> list[str]:
    return [line.text.partition(" [")[2] for line in mentions.lines(Renderer())[1:]]


def test_what_calls_is_listed_with_its_number_and_its_place() -> None:
    mentions = Mentions(Numbering())
    mentions.note(said(1, "tea, ada?"), everything)
    mentions.note(said(2, "no"), lambda message: "ada" in message.text)
    mentions.note(Told("eve", "psst", 9, NOON + 3), everything)
    head, first, second = mentions.lines(Renderer())
    assert "2 messages called you, newest last; /goto N goes there" in head.text
    assert first.text.startswith("1 20")
    assert first.text.endswith(" [lobby] bob: tea, ada?")
    assert second.text.startswith("2 20")
    assert second.text.endswith(" [eve → you] psst")
    assert mentions.places() == [Place("room", "lobby", 1), Place("direct", "eve")]


def test_what_was_said_while_one_was_gone_takes_its_place_by_its_time() -> None:
    mentions = Mentions(Numbering())
    assert mentions.note(said(5), everything) == [said(5)]
    entered = Entered(
        "dev", ("ada",), 1, 9, NOON + 9, history=(said(2, room="dev"), said(9, room="dev"))
    )
    assert mentions.note(entered, everything) == list(entered.history)
    assert mentions.places() == [
        Place("room", "dev", 2),
        Place("room", "lobby", 5),
        Place("room", "dev", 9),
    ]
    assert mentions.note(entered, everything) == [], "told again, it is not new"
    assert mentions.note(said(5), everything) == []


def test_one_who_says_it_on_another_device_is_not_called() -> None:
    mentions = Mentions(Numbering())
    assert mentions.note(Told("ada", "psst", 1, NOON, to="eve"), everything) == []
    (line,) = mentions.lines(Renderer())
    assert line.text.endswith("-- nobody has called you yet")


def test_what_was_taken_back_has_not_called() -> None:
    mentions = Mentions(Numbering())
    for seq in (1, 2):
        mentions.note(said(seq, f"ada {seq}"), everything)
    mentions.take_back(MessageId("lobby", 1))
    mentions.take_back(MessageId("dev", 2))
    assert shown(mentions) == ["lobby] bob: ada 2"]


@given(st.lists(st.integers(-(2**70), 2**70), max_size=30), st.text(max_size=10))
@settings(max_examples=20)  # each of more than two hundred messages
def test_it_is_in_order_and_bounded_whatever_a_server_says(times: list[int], text: str) -> None:
    mentions = Mentions(Numbering())
    for seq, at in enumerate([*times, *range(MAX_MENTIONS)]):
        mentions.note(Said(text, text, text * 500, seq, at), everything)
    lines = mentions.lines(Renderer())[1:]
    assert len(lines) == len(mentions.places()) == MAX_MENTIONS
    assert all(len(line.body[0][1]) <= MAX_TEXT_CHARS + 1 for line in lines)
    kept = sorted([*times, *range(MAX_MENTIONS)])[-MAX_MENTIONS:]
    at = dict(enumerate([*times, *range(MAX_MENTIONS)]))
    assert [at[place.seq] for place in mentions.places()] == kept
