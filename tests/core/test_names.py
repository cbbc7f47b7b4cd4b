"""What a nick and a room may be called, and when two names are the same."""

from __future__ import annotations

import string

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from precis_i18n import get_profile

from tcpchat_core import Name, Rejected, nick_name, room_name
from tcpchat_core.names import MAX_NICK_CHARS, MAX_ROOM_CHARS, RESERVED_NICKS, nick_key, text_key

ANY_TEXT = st.text(max_size=40) | st.text(
    st.sampled_from("aA1-_.+#:/@[] Нlаα\u0301\u200d\u202eﬁＡא٣ÅÅ\ud800\x1b"), max_size=30
)
LETTERS = st.text(st.characters(codec="utf-8", categories=["L", "M", "N"]), min_size=1, max_size=8)
TYPED_NICK = LETTERS | st.sampled_from(["Ada", "ＡＤＡ", "аlice", "민수", "Å", "l·l", "a-b.c+d"])

ALLOWED = [
    # as typed, as shown, its key
    ("ada", "ada", "ada"),
    ("Ada", "Ada", "ada"),
    ("ADA_9", "ADA_9", "ada_9"),
    ("_", "_", "_"),
    ("9lives", "9lives", "9lives"),
    ("a-b.c+d", "a-b.c+d", "a-b.c+d"),
    ("ＡＤＡ", "ada", "ada"),  # fullwidth
    ("аlice", "аlice", "alice"),  # a Cyrillic а
    ("αlice", "αlice", "alice"),  # a Greek α
    ("ΑLICE", "αlice", "alice"),  # a Greek capital Α
    ("Дана", "дана", None),  # case-mapped, since it is not ASCII
    ("Zoë", "zoë", "zoë"),
    ("Zoe\u0308", "zoë", "zoë"),  # the same, composed
    ("Å", "å", "å"),  # the Ångström sign
    ("שרה", "שרה", None),
    ("李雷", "李雷", None),
    ("l", "l", "l"),
    ("1", "1", "1"),
    ("modern", "modern", "modern"),
    ("modem", "modem", "modem"),
    ("x" * MAX_NICK_CHARS, "x" * MAX_NICK_CHARS, "x" * MAX_NICK_CHARS),
]


@pytest.mark.parametrize(("typed", "shown", "key"), ALLOWED)
def test_names_that_are_allowed(typed: str, shown: str, key: str | None) -> None:
    for name in (nick_name(typed), room_name(typed)):
        assert isinstance(name, Name)
        assert name.text == shown
        assert key in (None, name.key)
    assert nick_key(typed) in (key, nick_key(shown))


REFUSED = [
    # as typed, the reason, words of the sentence
    ("", "bad-name", "at least one character"),
    ("a b", "bad-name", "cannot contain spaces"),
    (" ada", "bad-name", "cannot contain spaces"),
    ("a\u3000b", "bad-name", "only letters, digits"),  # an ideographic space
    ("a\tb", "bad-name", "only letters, digits"),
    ("a\u200bb", "bad-name", "only letters, digits"),  # a zero width space
    ("a\u200db", "bad-name", "only letters, digits"),  # a joiner where none belongs
    ("a\u202eb", "bad-name", "only letters, digits"),  # a bidi override
    ("aא", "bad-name", "right-to-left"),
    ("😀", "bad-name", "only letters, digits"),
    ("a\x1bb", "bad-name", "only letters, digits"),
    ("a\ud800", "bad-name", "only letters, digits"),  # a lone surrogate
    ("\u0301a", "bad-name", "begins with a letter"),  # a combining mark first
    ("-a", "bad-name", "begins with a letter"),
    (".a", "bad-name", "begins with a letter"),
    ("a:b", "bad-name", "cannot contain :"),
    ("a/b", "bad-name", "cannot contain /"),
    ("a@b", "bad-name", "cannot contain @"),
    ("a#b", "bad-name", "cannot contain #"),
    ("[a]", "bad-name", "cannot contain ["),
    ("*", "bad-name", "cannot contain *"),
    ("！", "bad-name", "cannot contain !"),  # fullwidth, mapped first
    ("x" * 33, "bad-name", "has at most"),
    ("x" * 1000, "bad-name", "has at most"),
]


@pytest.mark.parametrize(("typed", "reason", "sentence"), REFUSED)
def test_names_that_are_refused_say_why(typed: str, reason: str, sentence: str) -> None:
    for what, refused in (("nickname", nick_name(typed)), ("room name", room_name(typed))):
        assert isinstance(refused, Rejected)
        assert refused.reason == reason
        assert refused.text.startswith(f"a {what}")
        assert sentence in refused.text
    assert nick_key(typed) == ""


@pytest.mark.parametrize(
    "typed",
    [*RESERVED_NICKS, "Server", "sуstem", "TCPCHAT", "guest-1", "GUEST-7", "guest-ada", "gueѕt-1"],
)
def test_names_that_could_pass_for_the_servers_own_are_reserved_as_nicks(typed: str) -> None:
    refused = nick_name(typed)
    assert isinstance(refused, Rejected)
    assert refused.reason == "reserved-name"
    assert isinstance(room_name(typed), Name)


def test_a_guest_can_be_looked_up_though_nobody_can_take_the_name() -> None:
    assert nick_key("Guest-1") == "guest-1"


def test_a_nick_has_at_most_24_characters_and_a_room_32() -> None:
    assert (MAX_NICK_CHARS, MAX_ROOM_CHARS) == (24, 32)
    assert isinstance(nick_name("x" * 25), Rejected)
    assert isinstance(room_name("x" * 32), Name)


def test_one_leading_number_sign_of_a_room_is_dropped() -> None:
    assert room_name("#lobby") == room_name("lobby") == Name("lobby", "lobby")
    assert isinstance(room_name("##lobby"), Rejected)
    assert isinstance(nick_name("#ada"), Rejected)


@pytest.mark.parametrize(
    ("one", "other"), [("ada", "bob"), ("l", "1"), ("O", "0"), ("modern", "modem"), ("zoe", "zoë")]
)
def test_names_that_people_tell_apart_have_different_keys(one: str, other: str) -> None:
    assert nick_key(one) != nick_key(other)


@given(text=st.text(string.ascii_letters + string.digits + "-_.+", max_size=26))
def test_an_ascii_name_is_the_same_in_any_case(text: str) -> None:
    assert nick_key(text) == nick_key(text.upper()) == nick_key(text.lower())
    assert nick_key(nick_key(text)) == nick_key(text)


@given(st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9_.+-]{,31}", fullmatch=True))
def test_an_ascii_name_is_mapped_as_precis_does_it(text: str) -> None:
    name = room_name(text)
    mapped = get_profile("UsernameCaseMapped").enforce(text)
    assert name == Name(text, mapped)


@given(ANY_TEXT)
def test_any_text_is_a_name_or_is_told_why_not(text: str) -> None:
    for made, max_chars in ((nick_name(text), MAX_NICK_CHARS), (room_name(text), MAX_ROOM_CHARS)):
        match made:
            case Name(shown, key):
                assert key
                assert 1 <= len(shown) <= max_chars
                assert shown.isprintable()
                assert not set(shown) & set("[]:/@# *!")
                assert room_name(shown) == made, "what is shown can be typed"
            case Rejected(reason, sentence):
                assert reason in ("bad-name", "reserved-name")
                assert sentence.isprintable()


@given(
    TYPED_NICK,
    st.sampled_from(["", "see ", "안녕 ", "Ünïcode, "]),
    st.sampled_from(["", ", hi", " — да"]),
)
def test_a_nick_in_a_text_is_found_by_its_key(typed: str, before: str, after: str) -> None:
    assume(nick_key(typed))
    assert nick_key(typed) in text_key(f"{before}{typed}{after}")


@pytest.mark.parametrize("sign", ["—", "×", "∑", "⎮", "─"])
def test_a_sign_in_a_text_is_not_the_letter_that_it_looks_like(sign: str) -> None:
    assert text_key(f"tea{sign}Time") == f"tea{sign}time"
