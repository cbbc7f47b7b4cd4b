"""Colours can be read, wherever they come from, and a file of them is checked."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tcpchat_cli.terminal.configuration import load, words_of
from tcpchat_cli.terminal.settings import BadSettings, config_path
from tcpchat_cli.terminal.theme import (
    BUILT_IN,
    CLASSES,
    NICKS,
    contrast,
    load_theme,
    low_contrasts,
    theme_names,
    warning,
)

from tests.cli.conftest import Server
from tests.cli.terminal import CLIENT, Terminal

# The cube and the greys that terminals with 256 colours have beside their own sixteen.
LEVELS = (0, 95, 135, 175, 215, 255)
IN_256 = {f"#{r:02x}{g:02x}{b:02x}" for r in LEVELS for g in LEVELS for b in LEVELS} | {
    f"#{grey:02x}{grey:02x}{grey:02x}" for grey in range(8, 248, 10)
}


def write(name: str, text: str) -> Path:
    path = config_path().parent / "themes" / f"{name}.toml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_contrast_is_that_of_wcag() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.005)
    assert contrast("#ff0000", "#ffffff") == contrast("#ffffff", "#ff0000")
    assert contrast("#ff0000", "#ffffff") == pytest.approx(4.0, abs=0.005)


@pytest.mark.parametrize(
    ("name", "background"),
    [("dark", "#000000"), ("dark", "#121212"), ("dark", "#262626"), ("light", "#ffffff")],
)
def test_the_themes_of_the_program_can_be_read(name: str, background: str) -> None:
    theme = BUILT_IN[name]
    assert list(low_contrasts(theme, background)) == []
    assert len(set(theme.nicks)) == NICKS
    words = " ".join((*theme.nicks, *theme.styles.values())).split()
    colours = {word for word in words if word.startswith("#")}
    assert len(colours) > NICKS
    assert colours <= IN_256, "a colour that a terminal with 256 shows as another"


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("tiem = 'red'", "there is no key 'tiem'; did you mean time?"),
        ("time = 'purpel'", "time cannot be 'purpel': take #rrggbb or red, green, yellow,"),
        ("time = '#fff'", "time cannot be '#fff': take"),
        ("time = 'red blue'", "time cannot be 'red blue': take"),
        ("time = 'red on'", "time cannot be 'red on': take"),
        ("time = 'on red on blue'", "time cannot be 'on red on blue': take"),
        ("time = 3", "time cannot be 3: take"),
        ("base = 'mine'", "base can be dark or light or none"),
        ("base = []", "base can be dark or light or none"),
        ("background = 'dark'", "background can be a colour, such as #002b36"),
        ("nicks = []", "nicks can be a list of 1 to 12 colours"),
        ("nicks = ['red', 3]", "nicks cannot be 3: take"),
        ("nicks", "is not TOML: "),
    ],
)
def test_a_wrong_file_of_a_theme_is_told_in_one_sentence(text: str, complaint: str) -> None:
    path = write("mine", text)
    config_path().write_text('theme = "mine"\n')
    [problem] = load({}, {}).problems
    assert problem.startswith(f"{config_path()}: {path}")
    assert complaint in problem
    assert "\n" not in problem


def test_a_theme_with_low_contrast_is_warned_of_in_one_sentence() -> None:
    write("dim", "time = '#303030'\nroom = '#444444'\nerror = 'red'\nnicks = ['#222222']\n")
    assert warning("dim") == (
        "the theme dim is hard to read: nicks 1 has a contrast of 1.2 to what is behind it,"
        " where 4.5 is the least, and 2 more are too low"
    )
    write("paper", "background = '#ffffff'\nbase = 'none'\ntime = '#777777'\n")
    assert "time has a contrast of 4.5" in warning("paper")
    write("fine", "base = 'none'\nbackground = '#ffffff'\nbar = '#000000 on #ffffff'\n")
    assert warning("fine") == ""
    assert [warning(name) for name in BUILT_IN] == ["", "", ""]


STYLES = st.lists(
    st.sampled_from(("#12aBef", "red", "cyan", "on", "bold", "italic", "underline", "reverse")),
    max_size=4,
).map(" ".join)


@given(st.dictionaries(st.sampled_from((*CLASSES, "nicks")), STYLES))
def test_whatever_is_taken_can_be_shown(given_styles: dict[str, str]) -> None:
    nicks = given_styles.pop("nicks", "red")
    lines = [f"{key} = '{value}'" for key, value in given_styles.items()]
    write("any", "\n".join([*lines, f"nicks = ['{nicks}']"]))
    try:
        theme = load_theme("any")
    except BadSettings:
        return
    assert theme.style.get_attrs_for_style_str("class:nick.11").bold
    for name in CLASSES:
        theme.style.get_attrs_for_style_str(f"class:{name.replace('-', '.')}")


@given(st.text(max_size=70) | st.sampled_from(("../client", "a/b", "", ".", "..", "/etc/passwd")))
def test_no_name_leads_out_of_the_folder_of_themes(name: str) -> None:
    if name not in BUILT_IN:
        with pytest.raises(BadSettings, match=r"^there is no theme "):
            load_theme(name)


def test_themes_are_completed_and_changed_on_a_terminal(server: Server) -> None:
    write("sea", "error = '#5fffff'\ntime = '#303030'\n")
    write("not a name", "")
    assert words_of("theme") == theme_names() == ("dark", "light", "none", "sea")
    with Terminal([CLIENT, server.address, "--nick", "ada", "--room", "lobby"]) as ada:
        ada.wait_for("^lobby>")
        ada.enter("/nowhere")
        ada.wait_for("!! there is no command /nowhere")
        assert ada.style("!! there").fg == "ff5f5f"
        ada.type("/set theme se\t")
        ada.wait_for("^lobby> /set theme sea$")
        ada.type("\r")
        ada.wait_for("theme is sea; the theme sea is hard to read: time has a contrast of$")
        ada.enter("/elsewhere")
        ada.wait_for("!! there is no command /elsewhere")
        assert ada.style("!! there is no command /elsewhere").fg == "5fffff"
    assert 'theme = "sea"' in config_path().read_text()
