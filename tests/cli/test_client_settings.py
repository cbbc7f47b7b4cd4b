"""What a person sets for tcpchat-client, and where."""

from __future__ import annotations

import errno
import os
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from platformdirs import user_state_path
from tcpchat_cli.terminal.address import Address
from tcpchat_cli.terminal.configuration import Configuration, load, words_of
from tcpchat_cli.terminal.settings import (
    CHANGEABLE,
    FIELDS,
    BadSettings,
    Settings,
    config_path,
    last_servers,
    parse,
    remember_servers,
    show,
)

from tests.cli.conftest import Server
from tests.cli.terminal import CLIENT, LIMIT_SECONDS, Terminal


def write(text: str) -> Path:
    path = config_path()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def held(configuration: Configuration, *names: str) -> list[tuple[object, str]]:
    """What these settings are, and what gives them."""
    return [(getattr(configuration.settings, name), configuration.origin(name)) for name in names]


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [CLIENT, *arguments],
        input="",
        capture_output=True,
        text=True,
        timeout=LIMIT_SECONDS,
        check=False,
    )


PROFILES = """
nick = "general"
theme = "light"
fold = false

[profiles.work]
servers = ["a:7667", "b"]
nick = "ada"
rooms = ["lobby", "dev"]
fold = true
tls = true

[profiles.home]
server = "h"
"""


def test_the_command_line_comes_before_the_environment_and_that_before_the_file() -> None:
    write('server = "file"\nnick = "file"\nroom = "file"\ntheme = "light"\n')
    environment = {"TCPCHAT_SERVER": "environment", "TCPCHAT_NICK": "environment"}
    assert held(
        load({}, environment, server="flag"), "servers", "nick", "rooms", "theme", "fold"
    ) == [
        (("flag",), "the command line"),
        ("environment", "TCPCHAT_NICK"),
        (("file",), "client.toml"),
        ("light", "client.toml"),
        (True, ""),
    ]


def test_a_profile_comes_before_the_environment_and_what_it_does_not_say_is_as_for_all() -> None:
    write(PROFILES)
    environment = {"TCPCHAT_SERVER": "environment", "TCPCHAT_NICK": "environment"}
    configuration = load({"nick": "flag"}, environment, server="work")
    assert configuration.profile == "work"
    assert held(configuration, "servers", "nick", "rooms", "theme", "fold", "tls") == [
        (("a:7667", "b"), "the profile work"),
        ("flag", "the command line"),
        (("lobby", "dev"), "the profile work"),
        ("light", "client.toml"),
        (True, "the profile work"),
        (True, "the profile work"),
    ]


@pytest.mark.parametrize("server", ["work:7667", "WORK", "work,home", "worker"])
def test_what_is_not_the_name_of_a_profile_is_an_address(server: str) -> None:
    write(PROFILES)
    configuration = load({}, {}, server=server)
    assert configuration.profile == ""
    assert configuration.settings.servers == tuple(server.split(","))


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("colour = true\n", "there is no key 'colour'; there are servers, nick, rooms, tls,"),
        ("timestamp = true\n", "there is no key 'timestamp'; did you mean timestamps?"),
        ('theme = "blue"\n', "there is no theme 'blue'; there are dark, light, none"),
        ("fold = 1\n", "fold can be true or false"),
        ("away = -1\n", "away can be a whole number from 0 to 31536000"),
        ("rooms = [1]\n", "rooms can be a list, such as one, two"),
        ('servers = ["a:0"]\n', "'0' is no port"),
        ('room = "a"\nrooms = ["b"]\n', "rooms stands there twice, once by its other name"),
        ("profiles = 1\n", "profiles has to hold tables, such as [profiles.work]"),
        ("[profiles]\nwork = 1\n", "profiles.work has to be a table"),
        ('[profiles."a:1"]\n', "'a:1' is no name for a profile: take letters, digits and hyphens"),
        ("nick = \n", "is not TOML: "),
    ],
)
def test_a_wrong_file_is_told_in_one_sentence(text: str, complaint: str) -> None:
    path = write(text)
    refused = run()
    assert refused.returncode == 1
    assert refused.stderr.startswith(f"tcpchat-client: {path}")
    assert complaint in refused.stderr
    assert refused.stderr.count("\n") == 1


def test_a_wrong_profile_is_told_by_its_name() -> None:
    path = write("[profiles.work]\nfold = 3\n")
    refused = run("work")
    assert refused.stderr == (
        f"tcpchat-client: {path}: [profiles.work]: fold can be true or false\n"
    )


def test_profiles_are_listed_and_offered_for_what_is_nearly_one() -> None:
    assert run("--profiles").stdout == ""
    write(PROFILES)
    assert run("--profiles").stdout == "work\nhome\n"
    assert "; did you mean the profile work?\n" in run("wrok").stderr


def test_what_was_written_for_older_versions_is_read_as_before() -> None:
    write(
        'server = "a:1, b"\nnick = "ada"\nroom = "dev"\ntheme = "none"\ntimestamps = false\n'
        'bell = false\nfold = false\nkeys = "vi"\naway = 7\n'
    )
    configuration = load({}, {})
    assert configuration.problems == ()
    assert configuration.settings == Settings(
        servers=("a:1", "b"),
        nick="ada",
        rooms=("dev",),
        theme="none",
        timestamps=False,
        notify="off",
        fold=False,
        editing="vi",
        away=7,
    )


# ── --check-config ───────────────────────────────────────────────────────────────────────────


def test_what_is_checked_is_printed_with_what_gives_it_and_can_be_saved() -> None:
    write(PROFILES)
    checked = run("work", "--nick", "eve", "--check-config")
    assert (checked.returncode, checked.stderr) == (0, "")
    lines = [" ".join(line.split()) for line in checked.stdout.splitlines()]
    assert 'servers = ["a:7667", "b"] # the profile work' in lines
    assert 'nick = "eve" # the command line' in lines
    assert 'theme = "light" # client.toml' in lines
    assert "away = 300 # default" in lines
    held_then = load({"nick": "eve"}, {}, server="work").settings
    write(checked.stdout)
    assert load({}, {}).settings == held_then


def test_all_that_is_wrong_is_told_at_once() -> None:
    path = write("fold = 3\ncolour = 1\n[profiles.work]\nnick = []\ntls = true\nca = '/no'\n")
    checked = run("work", "--check-config")
    assert (checked.returncode, checked.stdout) == (1, "")
    assert checked.stderr.splitlines() == [
        f"tcpchat-client: {path}: fold can be true or false",
        f"tcpchat-client: {path}: there is no key 'colour'; there are {', '.join(FIELDS)}",
        f"tcpchat-client: {path}: [profiles.work]: nick can be a text",
        "tcpchat-client: cannot use the certificates in /no: no such file or directory",
    ]


# ── /set and /unset ──────────────────────────────────────────────────────────────────────────


TYPED = st.text(st.characters(codec="utf-8", exclude_characters="\n\r"), min_size=1, max_size=20)


@given(st.data())
def test_what_is_set_is_shown_and_is_there_at_the_next_start(data: st.DataObject) -> None:
    """Whatever can be typed for any setting: it is refused, or it is so again and again."""
    write("# mine\nnick = 'x' # too\n")
    configuration = load({}, {})
    name = data.draw(st.sampled_from(CHANGEABLE))
    typed = data.draw(TYPED | st.integers().map(str) | st.sampled_from((*words_of(name), "a, b")))
    before = config_path().read_text()
    try:
        configuration.set(name, typed)
    except BadSettings:
        assert config_path().read_text() == before
        assert getattr(configuration.settings, name) == getattr(load({}, {}).settings, name)
        return
    assert load({}, {}).settings == configuration.settings
    assert load({}, {}).problems == ()
    again = Settings()
    setattr(again, name, parse(name, show(getattr(configuration.settings, name))))
    assert getattr(again, name) == getattr(configuration.settings, name)
    configuration.unset(name)
    assert getattr(configuration.settings, name) == getattr(Settings(), name)
    assert load({}, {}).settings == configuration.settings


def test_settings_change_to_what_is_typed_and_to_nothing_else() -> None:
    configuration = load({}, {})
    for name, value in (("fold", "off"), ("away", "60"), ("keys", "vi")):
        configuration.set(name, value)
    assert held(configuration, "fold", "away", "editing") == [
        (False, "client.toml"),
        (60, "client.toml"),
        ("vi", "client.toml"),
    ]
    for name, value in (("fold", "loud"), ("away", "soon"), ("away", "٣"), ("editing", "ed")):
        with pytest.raises(BadSettings, match=f"^{name} can be "):
            configuration.set(name, value)
    with pytest.raises(BadSettings, match="there is no setting fol; did you mean fold"):
        configuration.set("fol", "on")


def test_a_setting_keeps_the_name_that_it_has_in_the_file() -> None:
    path = write('room = "lobby" # mine\nkeys = "vi"\n')
    configuration = load({}, {})
    configuration.set("rooms", "lobby, dev")
    configuration.set("editing", "emacs")
    assert path.read_text() == 'room = ["lobby", "dev"] # mine\nkeys = "emacs"\n'
    configuration.unset("room")
    assert path.read_text() == 'keys = "emacs"\n'


def test_in_a_profile_what_it_has_and_where_one_comes_in_is_kept_there_and_the_rest_for_all() -> (
    None
):
    path = write('theme = "light"\n[profiles.work]\nfold = true # here\n')
    configuration = load({}, {}, server="work")
    assert configuration.set("fold", "off") == "fold is off in the profile work"
    assert configuration.set("nick", "ada") == (
        "nick is ada in the profile work from the next start on"
    )
    assert configuration.set("theme", "dark") == "theme is dark"
    assert path.read_text() == (
        'theme = "dark"\n[profiles.work]\nfold = false # here\nnick = "ada"\n'
    )
    assert configuration.unset("fold") == "fold is on"
    assert configuration.unset("theme") == "theme is dark"
    assert path.read_text() == '[profiles.work]\nnick = "ada"\n'


def test_what_wins_over_what_was_set_is_told() -> None:
    write("")
    configuration = load({"tls": True}, {"TCPCHAT_NICK": "bob"})
    assert configuration.shown("nick") == "nick is bob (from TCPCHAT_NICK)"
    assert configuration.set("nick", "ada") == (
        "nick is ada from the next start on; but TCPCHAT_NICK gives it as well, and wins"
    )
    assert configuration.set("tls", "off").endswith(
        "; but the command line gives it as well, and wins"
    )
    assert held(configuration, "nick", "tls") == [
        ("bob", "TCPCHAT_NICK"),
        (True, "the command line"),
    ]


def test_what_cannot_be_kept_holds_as_long_as_the_program_runs() -> None:
    path = write("fold = true\n")
    path.chmod(0o444)
    configuration = load({}, {})
    with pytest.raises(
        BadSettings, match=r"^fold is off as long as this runs: cannot write .* read-only"
    ):
        configuration.set("fold", "off")
    assert configuration.shown("fold") == "fold is off (from this run)"
    with pytest.raises(BadSettings, match=r"^cannot write .* read-only"):
        configuration.set("nick", "ada")  # which would hold from the next start on
    assert configuration.shown("nick") == "nick is not set"
    path.chmod(0o644)
    assert configuration.set("fold", "off") == "fold is off"
    assert configuration.shown("fold") == "fold is off (from client.toml)"


def test_what_is_set_on_a_terminal_is_there_the_next_time(server: Server) -> None:
    path = write('# mine\ntheme = "light" # for the day\n')
    argv = [CLIENT, server.address, "--nick", "ada", "--room", "lobby,dev"]
    with Terminal(argv, rows=40) as ada:
        ada.wait_for("^lobby>")
        ada.enter("/set timestamps off")
        ada.wait_for("^-- timestamps is off$")
        ada.enter("/set")
        ada.wait_for(r"^-- theme is light \(from client.toml\)$")
        ada.wait_for(r"^-- nick is ada \(from the command line\)$")
        ada.wait_for("^-- fold is on$")
        ada.enter("/unset theme")
        ada.wait_for("^-- theme is dark$")
        ada.enter("/unset them")
        ada.wait_for("^!! there is no setting them; did you mean theme")
    assert path.read_text() == "# mine\ntimestamps = false\n"
    with Terminal(argv) as ada:
        ada.wait_for("^lobby>")
        ada.wait_for("^ 1:lobby 2:dev ")
        assert ada.shows("^-- you are now ada")


def test_alone_the_client_asks_for_the_server_and_offers_the_last_one(server: Server) -> None:
    with Terminal([CLIENT, server.address, "--nick", "ada", "--room", "lobby"]) as first:
        first.wait_for("^lobby>")
    with Terminal([CLIENT]) as second:
        second.wait_for(rf"^Server \[{server.address}\]:")
        second.enter("no:port")
        second.wait_for("!! 'port' is no port")
        second.wait_until(lambda: second.prompt.startswith("Server ["))
        second.enter("")
        second.wait_for(r"^Nickname \[guest-\d\]:")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="Windows has no named pipes in folders")
def test_a_pipe_in_the_place_of_the_last_server_holds_up_nobody() -> None:
    path = user_state_path("tcpchat", appauthor=False) / "last-server"
    path.parent.mkdir(parents=True, exist_ok=True)
    os.mkfifo(path)
    assert last_servers() == (Address(),)
    remember_servers((Address("example.org"),))
    assert last_servers() == (Address("example.org"),)


def test_on_a_full_disk_the_last_server_stays_the_one_that_was_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    kept, new = (Address("kept.example.org"),), (Address("new.example.org"),)
    remember_servers(kept)

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    remember_servers(new)
    assert last_servers() == kept
    monkeypatch.undo()
    remember_servers(new)
    assert last_servers() == new
