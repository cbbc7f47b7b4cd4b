"""How a line of IRC is read: the field's own cases, and another parser as a second opinion."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from irctokens.line import tokenise

from tcpchat_core.dialects.irc.parse import parse

# Those of https://github.com/ircdocs/parser-tests (msg-split), which are in the public domain. Who
# a client says it is counts for nothing, so the source is not compared.
CASES: list[tuple[str, dict[str, str], str, list[str]]] = [
    ("foo bar baz asdf", {}, "foo", ["bar", "baz", "asdf"]),
    (":coolguy foo bar baz asdf", {}, "foo", ["bar", "baz", "asdf"]),
    ("foo bar baz :asdf quux", {}, "foo", ["bar", "baz", "asdf quux"]),
    ("foo bar baz :", {}, "foo", ["bar", "baz", ""]),
    ("foo bar baz ::asdf", {}, "foo", ["bar", "baz", ":asdf"]),
    (":coolguy foo bar baz :asdf quux", {}, "foo", ["bar", "baz", "asdf quux"]),
    (":coolguy foo bar baz :  asdf quux ", {}, "foo", ["bar", "baz", "  asdf quux "]),
    (":coolguy PRIVMSG bar :lol :) ", {}, "PRIVMSG", ["bar", "lol :) "]),
    (":coolguy foo bar baz :", {}, "foo", ["bar", "baz", ""]),
    (":coolguy foo bar baz :  ", {}, "foo", ["bar", "baz", "  "]),
    ("@a=b;c=32;k;rt=ql7 foo", {"a": "b", "c": "32", "k": "", "rt": "ql7"}, "foo", []),
    (
        "@a=b\\\\and\\nk;c=72\\s45;d=gh\\:764 foo",
        {"a": "b\\and\nk", "c": "72 45", "d": "gh;764"},
        "foo",
        [],
    ),
    ("@c;h=;a=b :quux ab cd", {"c": "", "h": "", "a": "b"}, "ab", ["cd"]),
    (":src JOIN #chan", {}, "JOIN", ["#chan"]),
    (":src JOIN :#chan", {}, "JOIN", ["#chan"]),
    (":src AWAY", {}, "AWAY", []),
    (":src AWAY ", {}, "AWAY", []),
    (":cool\tguy foo bar baz", {}, "foo", ["bar", "baz"]),
    (":coolguy!ag@net\x035w\x03ork.admin PRIVMSG foo :bar baz", {}, "PRIVMSG", ["foo", "bar baz"]),
    (
        ":coolguy!~ag@n\x02et\x0305w\x0fork.admin PRIVMSG foo :bar baz",
        {},
        "PRIVMSG",
        ["foo", "bar baz"],
    ),
    (
        "@tag1=value1;tag2;vendor1/tag3=value2;vendor2/tag4= :irc.example.com CMD a b :c d",
        {"tag1": "value1", "tag2": "", "vendor1/tag3": "value2", "vendor2/tag4": ""},
        "CMD",
        ["a", "b", "c d"],
    ),
    (
        ":irc.example.com COMMAND param1 param2 :param3 param3",
        {},
        "COMMAND",
        ["param1", "param2", "param3 param3"],
    ),
    (
        "@tag1=value1;tag2;vendor1/tag3=value2;vendor2/tag4 COMMAND param1 param2 :param3 param3",
        {"tag1": "value1", "tag2": "", "vendor1/tag3": "value2", "vendor2/tag4": ""},
        "COMMAND",
        ["param1", "param2", "param3 param3"],
    ),
    ("COMMAND", {}, "COMMAND", []),
    ("@foo=\\\\\\\\\\:\\\\s\\s\\r\\n COMMAND", {"foo": "\\\\;\\s \r\n"}, "COMMAND", []),
    (
        ":gravel.mozilla.org 432  #momo :Erroneous Nickname: Illegal characters",
        {},
        "432",
        ["#momo", "Erroneous Nickname: Illegal characters"],
    ),
    (":gravel.mozilla.org MODE #tckk +n ", {}, "MODE", ["#tckk", "+n"]),
    (":services.esper.net MODE #foo-bar +o foobar  ", {}, "MODE", ["#foo-bar", "+o", "foobar"]),
    ("@tag1=value\\\\ntest COMMAND", {"tag1": "value\\ntest"}, "COMMAND", []),
    ("@tag1=value\\1 COMMAND", {"tag1": "value1"}, "COMMAND", []),
    ("@tag1=value1\\ COMMAND", {"tag1": "value1"}, "COMMAND", []),
    (
        "@tag1=1;tag2=3;tag3=4;tag1=5 COMMAND",
        {"tag1": "5", "tag2": "3", "tag3": "4"},
        "COMMAND",
        [],
    ),
    (
        "@tag1=1;tag2=3;tag3=4;tag1=5;vendor/tag2=8 COMMAND",
        {"tag1": "5", "tag2": "3", "tag3": "4", "vendor/tag2": "8"},
        "COMMAND",
        [],
    ),
    (":SomeOp MODE #channel :+i", {}, "MODE", ["#channel", "+i"]),
    (
        ":SomeOp MODE #channel +oo SomeUser :AnotherUser",
        {},
        "MODE",
        ["#channel", "+oo", "SomeUser", "AnotherUser"],
    ),
]


@pytest.mark.parametrize(("text", "tags", "command", "params"), CASES)
def test_a_line_is_read_as_the_fields_own_cases_say(
    text: str, tags: dict[str, str], command: str, params: list[str]
) -> None:
    assert parse(text) == (tags, command.upper(), params)


@pytest.mark.parametrize(
    "text", ["", " ", ":", ":source", ":source ", "@tag=1", "@tag=1 ", "@", " :x"]
)
def test_a_line_without_a_command_says_nothing(text: str) -> None:
    assert parse(text) is None


@pytest.mark.parametrize(
    "text", ["  NICK ada", ":ada  NICK   ada  ", "@a  nick ada", "@=1;; NICK ada"]
)
def test_blanks_that_are_too_many_and_tags_without_a_name_are_nothing(text: str) -> None:
    message = parse(text)
    assert message is not None
    assert message[1:] == ("NICK", ["ada"])
    assert "" not in message[0]


CHARS = st.characters(exclude_characters="\0\r\n ", exclude_categories=["Cs"])
WORDS = st.text(CHARS, min_size=1).filter(lambda word: not word.startswith(":"))
LASTS = st.text(CHARS | st.just(" "))
BLANKS = st.integers(1, 3).map(" ".__mul__)
TAGS = st.lists(st.text(st.sampled_from("ab=\\:srn/é")), min_size=1).map(";".join)


@st.composite
def lines(draw: st.DrawFn) -> str:
    """A line that is in the grammar."""
    parts = [draw(st.text("abcAZ09é", min_size=1))]
    for word in draw(st.lists(WORDS)):
        parts += [draw(BLANKS), word]
    if draw(st.booleans()):
        parts += [draw(BLANKS), ":", draw(LASTS)]
    if draw(st.booleans()):
        parts = [":", draw(WORDS), draw(BLANKS), *parts]
    if draw(st.booleans()):
        parts = ["@", draw(TAGS), " ", *parts]
    return "".join(parts)


@given(text=lines())
def test_a_line_is_read_as_another_parser_does(text: str) -> None:
    other = tokenise(text)
    tags = {key: value for key, value in (other.tags or {}).items() if key}
    assert parse(text) == (tags, other.command, other.params)


@given(text=st.text() | st.text(st.sampled_from("@:; =\\a\n")))
def test_no_text_raises_and_a_command_is_a_word(text: str) -> None:
    message = parse(text)
    assert message is None or (message[1] and " " not in message[1])
