"""What calls one: the nick, and the words that one has set."""

from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tcpchat_cli.terminal.highlights import Highlights
from tcpchat_cli.terminal.render import Renderer

from tcpchat_core.notices import Said

WORDS = ("deploy", "on call", "배포", "デプロイ", "發布", "c++", "हिन्द")

CALLS = (
    "Deploy!",
    "re: DEPLOY",
    "ｄｅｐｌｏｙ",
    "deplоy",  # with a Cyrillic о
    "redeploy? no: deploy",
    "who is on call",
    "who is on   Call?",
    "배포",
    "배포는 내일",
    "배포에서도",
    "배포—내일",
    "deploy해줘",
    "내일deploy",
    "今日デプロイします",
    "今天發布新版",
    "c++, please",
    "हिन्द!",
)

DOES_NOT_CALL = (
    "deploys",
    "redeploy",
    "deploy_all",
    "deployé",
    "on-call",
    "upon call",
    "배포판",
    "재배포",
    "xc++",
    "हिन्दी",
    "",
)


@pytest.mark.parametrize("text", CALLS)
def test_a_highlight_is_found_as_a_whole_word(text: str) -> None:
    assert Highlights(WORDS).call("", text)


@pytest.mark.parametrize("text", DOES_NOT_CALL)
def test_a_part_of_a_word_is_no_highlight(text: str) -> None:
    assert not Highlights(WORDS).call("ada", text)


@pytest.mark.parametrize("text", ["민수야", "민수님께서는 오셨나요", "이건 민수한테도 줘"])
def test_a_korean_nick_calls_with_its_particles(text: str) -> None:
    assert Highlights().call("민수", text)
    assert not Highlights().call("민", text)


def test_a_highlight_is_marked_in_its_line_as_the_nick_is() -> None:
    renderer = Renderer()
    renderer.me, renderer.highlights = "ada", Highlights(["deploy"])
    for text, style in (
        ("Ada?", "class:mention"),
        ("DEPLOY now", "class:mention"),
        ("tea?", ""),
    ):
        (line,) = renderer.lines(Said("lobby", "bob", text, 1, 2**62))
        assert line.body == [(style, text)]
        (own,) = renderer.lines(Said("lobby", "ada", text, 1, 2**62))
        assert own.body == [("", text)]


@given(
    st.text(string.ascii_letters + "éÅд배포 ", min_size=1, max_size=12).filter(str.strip),
    st.sampled_from(" ,.!?()「」—×…«»/@#:\t"),
    st.text(max_size=20),
)
def test_any_word_calls_between_what_is_no_letter(word: str, sign: str, rest: str) -> None:
    assert Highlights([word]).call("", f"{rest}{sign}{word}{sign}{rest}")


@given(st.lists(st.text(max_size=10)), st.text(max_size=10), st.text())
def test_no_words_and_no_text_break_it(words: list[str], nick: str, text: str) -> None:
    assert isinstance(Highlights(words).call(nick, text), bool)
    assert not Highlights([" ", ""]).call("", text)
