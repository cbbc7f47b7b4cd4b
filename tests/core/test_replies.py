"""Answers to messages: what is told of what they answer, to whom, and what of it is kept."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from tcpchat_core import ChatState, ServerProtocol, StateLimits, events, notices
from tcpchat_core.archive import Archived
from tcpchat_core.commands import parse_line
from tcpchat_core.dialects.irc.encode import Irc
from tcpchat_core.dialects.irc.parse import parse
from tcpchat_core.dialects.jsonl import encode_request
from tcpchat_core.dialects.plain import PLAIN, said_text
from tcpchat_core.notices import MAX_QUOTE_CHARS, Quote, Said, quoted
from tests.core import irc_server
from tests.core.harness import NO_FLOOD_LIMIT, Talk, joins, name, nick
from tests.core.irc_server import ADA, BOB, IAN, PIA, UMA, IrcServer, read_all
from tests.core.strategies import NASTY_TEXT

EVE = 6

SECRET = "my password is hunter2"


def room_of_all(*, keeps: int = 200) -> IrcServer:
    """The room of everybody, and an archive."""
    state = ChatState(limits=StateLimits(history_messages=keeps))
    kept: list[Archived] = []
    protocol = ServerProtocol(state, limits=NO_FLOOD_LIMIT, archive=kept.append)
    return irc_server.room_of_all(protocol)


def says(memory: IrcServer, conn: int, text: str, **how: object) -> int:
    """Somebody says something to the hall; returns its number there."""
    memory.ask(conn, structs.replace(events.Say("hall", text), **how))
    *_, receipt = memory.told(conn)
    assert isinstance(receipt, notices.Sent), receipt
    assert receipt.seq is not None
    return receipt.seq


def heard(memory: IrcServer, conn: int = BOB) -> Said:
    """The last that somebody was told, which is that something was said."""
    *_, said = memory.told(conn)
    assert isinstance(said, Said)
    return said


# ── In each dialect ──────────────────────────────────────────────────────────────────────────


def test_an_answer_shows_what_it_answers_in_each_dialect_as_that_can() -> None:
    memory = room_of_all()
    question = says(memory, BOB, "tea at four?")
    read_all(memory)
    says(memory, ADA, "yes", re=question)
    said = heard(memory)
    assert (said.re, said.quote) == (question, Quote("bob", "tea at four?"))
    assert memory.read(PIA).decode() == '[hall] ada (to bob "tea at four?"): yes\n'
    [with_tags] = memory.lines(IAN)
    assert f";+draft/reply=0.{question}.hall :ada!" in with_tags
    assert with_tags.endswith(" :yes")
    [without] = memory.lines(UMA)
    assert without.endswith(' :\x0314(to bob "tea at four?")\x0f yes')


@pytest.mark.parametrize(
    ("how", "line"),
    [
        ({}, 'ada (to bob "so"): yes'),
        ({"emote": True}, 'ada (to bob "so") yes'),
        ({"notice": True}, '-ada (to bob "so")- yes'),
        ({"emote": True, "notice": True}, 'ada (to bob "so") yes'),
    ],
)
def test_an_answer_in_the_plain_dialect_is_in_its_form(how: dict[str, bool], line: str) -> None:
    memory = room_of_all()
    question = says(memory, BOB, "so")
    memory.read(PIA)
    says(memory, ADA, "yes", re=question, **how)
    assert memory.read(PIA).decode() == f"[hall] {line}\n"
    assert said_text(heard(memory)) == line


TEXTS = NASTY_TEXT | st.sampled_from(
    ['(to bob "no"): yes', "): yes", '"): "', 'x"): no', "* ada", "- ", ": ", '(to bob "a") b']
)


@given(text=TEXTS, answered=TEXTS, how=st.sampled_from(["say", "emote", "notice"]))
def test_what_a_line_of_plain_text_answers_can_be_read_and_not_forged(
    text: str, answered: str, how: str
) -> None:
    """Whatever people say, a line says whose words are whose."""
    memory = room_of_all()
    is_emote, is_notice = how == "emote", how == "notice"
    memory.ask(BOB, events.Say("hall", answered))
    memory.ask(ADA, events.Say("hall", text, emote=is_emote, notice=is_notice))
    for each in [told for told in memory.told(BOB) if isinstance(told, Said)]:  # no answers
        assert _read(PLAIN.encode(each).decode()) == (each.nick, None, each.text)
    memory.ask(ADA, events.Say("hall", text, emote=is_emote, notice=is_notice, back=1))
    for each in [told for told in memory.told(BOB) if isinstance(told, Said)]:
        assert each.quote is not None
        quote = each.quote.text.replace('"', "'")
        assert _read(PLAIN.encode(each).decode()) == (each.nick, quote, each.text)


# All forms of lines in which something is said, a name being what no name holds left out.
_NICK = r"(?P<nick>[^ :()*-][^ :()]*)"
_ANSWERED = r'\(to [^ :()]+ "(?P<quote>[^"]*)"\)'
_FORMS = (
    rf"\[hall\] {_NICK}: (?P<text>.*)",
    rf"\[hall\] \* {_NICK} (?P<text>.*)",
    rf"\[hall\] -{_NICK}- (?P<text>.*)",
    rf"\[hall\] {_NICK} {_ANSWERED}:? (?P<text>.*)",
    rf"\[hall\] -{_NICK} {_ANSWERED}- (?P<text>.*)",
)


def _read(line: str) -> tuple[str | None, str | None, str | None]:
    """Who has said what to what, by a line of the plain dialect; it has one form of all."""
    found = [match for form in _FORMS if (match := re.fullmatch(form, line.rstrip("\n")))]
    [match] = found
    parts = match.groupdict()
    return parts["nick"], parts.get("quote"), parts["text"]


@given(NASTY_TEXT)
def test_no_text_has_the_colour_that_what_is_answered_has_in_irc(text: str) -> None:
    memory = room_of_all()
    memory.ask(ADA, events.Say("hall", text))
    assert not any("\x0314" in line for line in memory.lines(UMA))


def test_a_long_answer_in_irc_shows_what_it_answers_once() -> None:
    memory = room_of_all()
    question = says(memory, BOB, "tea at four?")
    read_all(memory)
    says(memory, ADA, "yes " * 300, re=question)
    first, *rest = memory.lines(UMA)
    assert "(to bob" in first
    assert rest
    assert not any("(to bob" in line for line in rest)
    assert all(len(line.encode()) <= 510 + len("@time=2026-01-01T00:00:00.000Z ") for line in rest)


LETTERS = st.sampled_from(["a", "ж", "한", "\U0001f600"])


@given(
    quote=st.builds("".join, st.lists(LETTERS, min_size=1, max_size=80)),
    words=st.lists(st.builds("".join, st.lists(LETTERS, min_size=1, max_size=200)), min_size=1),
    name=st.sampled_from(["a", "ж" * 24, "한" * 24]),
    emote=st.booleans(),
)
def test_whatever_is_answered_an_answer_begins_in_its_line_and_fits(
    quote: str, words: list[str], name: str, emote: bool
) -> None:
    text = " ".join(words)
    quoted_in = Quote(name, quote)
    said = Said(name, name, text, 9, 1_000, emote, re=7, quote=quoted_in)
    first, *rest = Irc().encode(said).decode().removesuffix("\r\n").split("\r\n")
    assert all(len(line.encode()) <= 510 for line in (first, *rest))
    beginning = first.partition("\x0f ")[2].removesuffix("\x01")
    assert beginning
    assert text.startswith(beginning)
    assert "\x03" not in "".join(rest)


# ── Which message it is ──────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("number", [0, -1, 2, 2**53, -(2**53)])
def test_what_is_no_message_of_the_room_cannot_be_answered(number: int) -> None:
    memory = room_of_all()
    base = says(memory, BOB, "so") - 1
    re_ = base + number if abs(number) < 3 else number
    memory.ask(ADA, events.Say("hall", "yes", "1", re=re_ if number else base))
    *_, refused = memory.told(ADA)
    assert isinstance(refused, notices.Rejected)
    assert (refused.reason, refused.request, refused.id) == ("no-such-message", "say", "1")
    assert says(memory, ADA, "then not") == base + 2  # it took no number


@pytest.mark.parametrize("written", ['"7"', "7.5", "[7]", "9007199254740993", "true"])
def test_a_number_that_is_none_is_a_bad_request(written: str) -> None:
    memory = room_of_all()
    memory.send(ADA, f'{{"type":"say","room":"hall","text":"yes","re":{written}}}\n'.encode())
    [refused] = memory.told(ADA)
    assert isinstance(refused, notices.Rejected)
    assert (refused.reason, refused.request) == ("bad-request", "say")


@pytest.mark.parametrize("how", [{"re": 1, "back": 1}, {"back": -1}])
def test_who_says_twice_or_wrongly_what_it_answers_is_told_so(how: dict[str, int]) -> None:
    memory = room_of_all()
    says(memory, BOB, "so")
    memory.ask(ADA, structs.replace(events.Say("hall", "yes"), **how))
    *_, refused = memory.told(ADA)
    assert isinstance(refused, notices.Rejected)
    assert (refused.reason, refused.request) == ("bad-usage", "say")


def test_to_answer_the_last_is_to_answer_the_last_of_somebody_else() -> None:
    memory = room_of_all()
    for conn, text in ((BOB, "one"), (BOB, "two"), (ADA, "mine"), (BOB, "gone"), (ADA, "also")):
        says(memory, conn, text)
    memory.ask(BOB, events.Redact("hall"))
    for line, answered in (("/reply yes", "two"), ("/reply 2 yes", "one"), ("/re 1 x", "two")):
        request = parse_line(line)
        assert isinstance(request, events.Say)
        memory.ask(ADA, request)
        quote = heard(memory).quote
        assert quote == Quote("bob", answered)
    memory.ask(ADA, events.Say("hall", "yes", back=3))
    *_, refused = memory.told(ADA)
    assert isinstance(refused, notices.Rejected)
    assert refused.reason == "no-such-message"


def test_a_message_that_is_not_held_any_more_is_answered_without_what_it_says() -> None:
    memory = room_of_all(keeps=3)
    question = says(memory, BOB, "tea at four?")
    for count in range(3):
        says(memory, BOB, f"{count}")
    read_all(memory)
    says(memory, ADA, "yes", re=question)
    said = heard(memory)
    assert (said.re, said.quote) == (question, None)
    assert memory.read(PIA).decode() == "[hall] ada (to an earlier message): yes\n"
    assert memory.lines(UMA)[-1].endswith(" :\x0314(to an earlier message)\x0f yes")


SHORT = MAX_QUOTE_CHARS


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("tea?", "tea?"),
        ("x" * SHORT, "x" * SHORT),
        ("x" * (SHORT + 1), "x" * (SHORT - 1) + "…"),
        ("four " * SHORT, ("four " * 11).rstrip() + "…"),
        ("a " + "x" * SHORT, "a " + "x" * (SHORT - 3) + "…"),  # a blank that is too far in front
    ],
)
def test_what_is_shown_is_cut_at_a_blank_if_one_is_near(text: str, shown: str) -> None:
    assert quoted("bob", text) == Quote("bob", shown)


@given(text=st.text(st.sampled_from("a bé…\u200d"), min_size=SHORT - 5, max_size=150))
def test_what_is_shown_is_a_beginning_that_is_short(text: str) -> None:
    shown = quoted("bob", text).text
    assert len(shown) <= SHORT
    assert shown == text or text.startswith(shown.removesuffix("…"))
    assert shown == text or len(shown) > SHORT // 2


# ── What was taken back ──────────────────────────────────────────────────────────────────────


def test_what_was_taken_back_is_in_nothing_that_is_told_or_kept() -> None:
    """The answer stays, and says nothing of it: in a history, and to who comes or comes back."""
    memory = room_of_all()
    question = says(memory, BOB, SECRET)
    says(memory, ADA, "are you sure?", re=question)
    assert SECRET in memory.protocol.state.snapshot().decode()
    memory.ask(BOB, events.Redact("hall"))
    read_all(memory)
    says(memory, ADA, "thanks", re=question)
    assert heard(memory).quote is None
    memory.ask(BOB, events.History("hall"))
    [page] = memory.told(BOB)
    assert isinstance(page, notices.HistoryPage)
    assert [(each.re, each.quote) for each in page.messages[-2:]] == [(question, None)] * 2
    memory.connect(EVE)
    memory.send(EVE, b"/join hall\n")
    assert SECRET not in memory.read(EVE).decode()
    memory.say(IAN, "PART #hall")
    assert SECRET not in "".join(memory.say(IAN, "JOIN #hall", "CHATHISTORY LATEST #hall * 50"))
    assert SECRET not in memory.protocol.state.snapshot().decode()


def test_what_is_answered_is_shown_to_who_was_away_as_it_is_then() -> None:
    talk = Talk()
    for conn, called in ((1, "ada"), (2, "bob")):
        talk.do(conn, events.Connect(session=called))
        talk.do(conn, nick(called))
        talk.do(conn, joins("hall"))
    hall = name("hall")
    talk.do(1, events.Say(hall.text, "one", key=hall.key))
    [receipt] = talk.do(1, events.Say(hall.text, SECRET, key=hall.key))[1]
    assert isinstance(receipt, notices.Sent)
    last = receipt.seq or 0
    talk.do(2, events.Disconnect("lost"))
    for number in (last - 1, last):
        talk.do(1, events.Say(hall.text, "so", key=hall.key, re=number))
    talk.do(1, events.Redact(hall.text, last, key=hall.key))
    told = talk.do(3, events.Resume("bob", "new", {hall.key: last}))[3]
    answers = [each for each in told if isinstance(each, Said)]
    assert [each.quote for each in answers] == [Quote("ada", "one"), None]


def test_what_was_said_while_a_room_was_private_is_not_shown_by_answers_to_it() -> None:
    memory = room_of_all()
    memory.ask(ADA, events.RoomMode("hall", private=True))
    question = says(memory, BOB, SECRET)
    memory.ask(ADA, events.RoomMode("hall", private=False))
    read_all(memory)
    says(memory, ADA, "yes", re=question)
    said = heard(memory)
    assert (said.re, said.quote) == (question, None)


def test_what_an_archive_shows_gives_way_to_what_the_room_knows() -> None:
    """Between the question and the answer of an archive, something may be taken back."""
    memory = room_of_all(keeps=3)
    question = says(memory, BOB, SECRET)
    says(memory, ADA, "sure?", re=question)
    memory.ask(BOB, events.Search("sure"))
    memory.ask(ADA, events.Redact("hall", question))
    read_all(memory)
    found = Said("hall", "ada", "sure?", question + 1, 5, re=question, quote=Quote("bob", SECRET))
    memory.find(found)
    [results] = memory.told(BOB)
    assert isinstance(results, notices.SearchResults)
    assert [(each.re, each.quote) for each in results.messages] == [(question, None)]


# ── By IRC ───────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("tag", ["draft/reply", "reply"])
@pytest.mark.parametrize("command", ["PRIVMSG", "NOTICE"])
def test_an_irc_client_answers_by_a_tag(tag: str, command: str) -> None:
    memory = room_of_all()
    question = says(memory, BOB, "tea at four?")
    read_all(memory)
    memory.say(IAN, f"@+{tag}=0.{question}.hall {command} #hall :yes")
    said = heard(memory)
    assert (said.re, said.quote) == (question, Quote("bob", "tea at four?"))
    assert said.tags == {tag: f"0.{question}.hall"}  # as those know it who know only that


def test_who_answers_by_irc_hears_of_it_by_the_one_tag() -> None:
    memory = room_of_all()
    question = says(memory, BOB, "tea at four?")
    read_all(memory)
    memory.say(IAN, "CAP REQ :echo-message")
    [echo] = memory.say(IAN, f"@+reply=0.{question}.hall;+a=b PRIVMSG #hall :yes")
    message = parse(echo)
    assert message is not None
    tags = {key: value for key, value in message[0].items() if key.startswith("+")}
    assert tags == {"+draft/reply": f"0.{question}.hall", "+a": "b"}


@pytest.mark.parametrize(
    "id", ["", "7", "0.1.tea", "1.{}.hall", "0.99.hall", "0.-1.hall", "0.0.hall"]
)
def test_a_tag_that_names_no_message_of_the_room_is_a_tag(id: str) -> None:
    memory = room_of_all()
    question = says(memory, BOB, "tea at four?")
    read_all(memory)
    id = id.format(question)
    memory.say(IAN, f"@+draft/reply={id} PRIVMSG #hall :yes")
    said = heard(memory)
    assert (said.text, said.re, said.tags) == ("yes", None, {"draft/reply": id})


def test_to_one_person_a_tag_is_a_tag() -> None:
    memory = room_of_all()
    question = says(memory, BOB, "tea at four?")
    read_all(memory)
    memory.say(IAN, f"@+draft/reply=0.{question}.hall PRIVMSG bob :yes")
    [told] = memory.told(BOB)
    assert isinstance(told, notices.Told)
    assert told.tags == {"draft/reply": f"0.{question}.hall"}


# ── In pages and searches ────────────────────────────────────────────────────────────────────


def test_a_page_shows_what_is_answered_of_what_is_held() -> None:
    memory = room_of_all(keeps=3)
    first = says(memory, BOB, "one")
    says(memory, ADA, "re one", re=first)
    second = says(memory, BOB, "two")
    says(memory, ADA, "re two", re=second)
    read_all(memory)
    memory.ask(BOB, events.History("hall", limit=4))
    memory.find(Said("hall", "bob", "one", first, 5))
    [page] = memory.told(BOB)
    assert isinstance(page, notices.HistoryPage)
    quotes = [(each.text, each.re, each.quote) for each in page.messages]
    assert quotes == [
        ("one", None, None),
        ("re one", first, None),
        ("two", None, None),
        ("re two", second, Quote("bob", "two")),
    ]


def test_an_answer_is_one_line_of_json() -> None:
    line = encode_request(events.Say("hall", "yes", re=12))
    assert line == b'{"type":"say","room":"hall","text":"yes","re":12}\n'
