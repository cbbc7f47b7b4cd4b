"""The commands that a person types."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tcpchat_core import COMMANDS, Command, Request, events, parse_line
from tcpchat_core.commands import help_lines
from tcpchat_core.notices import Rejected

TYPED: list[tuple[str, Request | None]] = [
    ("hello", events.Say("", "hello")),
    (" hello ", events.Say("", " hello ")),
    ("", None),
    ("  \t", None),
    ("//join is a command", events.Say("", "/join is a command")),
    ("//", events.Say("", "/")),
    (" /join lobby", events.Say("", " /join lobby")),
    ("/join lobby", events.Join("lobby")),
    ("/JOIN  lobby ", events.Join("lobby")),
    ("/join den 12ab-34cd", events.Join("den", code="12ab-34cd")),
    ("/slow 5s", events.RoomMode("", slow_ms=5_000)),
    ("/slow OFF", events.RoomMode("", slow_ms=0)),
    ("/moderated on", events.RoomMode("", moderated=True)),
    ("/topiclock on", events.RoomMode("", topic_locked=True)),
    ("/unlisted off", events.RoomMode("", unlisted=False)),
    ("/private off", events.RoomMode("", private=False)),
    ("/redact", events.Redact("")),
    ("/redact bob", events.Redact("", nick="bob")),
    ("/invite", events.Invite("")),
    ("/invite bob", events.Invite("", "bob")),
    ("/room #lobby", events.Join("#lobby")),
    ("/nick ada", events.Nick("ada")),
    ("/nickname ada", events.Nick("ada")),
    ("/nicknames ada", events.Nick("ada")),
    ("/whois Ada ", events.Whois("Ada")),
    ("/away  tea time ", events.Away("tea time")),
    ("/away", events.Away()),
    ("/name  Ada Lovelace ", events.SetName("Ada Lovelace")),
    ("/name", events.SetName()),
    ("/out", events.Out("")),
    ("/leave tea", events.Out("tea")),
    ("/part tea", events.Out("tea")),
    ("/out tea  good night all ", events.Out("tea", reason="good night all")),
    ("/quit", events.Quit("")),
    ("/exit tea time", events.Quit("tea time")),
    ("/rooms", events.Rooms()),
    ("/list", events.Rooms()),
    ("/who", events.Who("")),
    ("/names tea", events.Who("tea")),
    ("/msg ada hello  there", events.Tell("ada", "hello  there")),
    ("/tell ada /quit", events.Tell("ada", "/quit")),
    ("/me waves slowly", events.Say("", "waves slowly", emote=True)),
    ("/reply yes", events.Say("", "yes", back=1)),
    ("/reply  yes, at  four", events.Say("", "yes, at  four", back=1)),
    ("/re 2  at four", events.Say("", "at four", back=2)),
    ("/reply 42", events.Say("", "42", back=1)),
    ("/reply 4pm", events.Say("", "4pm", back=1)),
    ("/reply 1 42", events.Say("", "42", back=1)),
    ("/reply -1 no", events.Say("", "-1 no", back=1)),
    ("/topic", events.Topic("", None)),
    ("/topic tea at four", events.Topic("", "tea at four")),
    ("/history", events.History("")),
    ("/history 7", events.History("", limit=7)),
    ("/search tea for two", events.Search("tea for two")),
    ("/find tea in Lobby from ada", events.Search("tea", "Lobby", "ada")),
    ("/search tea since 1970-01-02 in a", events.Search("tea", "a", since=86_400_000)),
    ("/search in from since", events.Search("in", nick="since")),
    ("/kick bob", events.Kick("", "bob")),
    ("/kick bob  this is  a library", events.Kick("", "bob", "this is  a library")),
    ("/mute bob", events.Restrict("", "bob", "mute")),
    ("/mute bob 10M", events.Restrict("", "bob", "mute", 600_000)),
    (
        "/mute bob 90s  let others speak",
        events.Restrict("", "bob", "mute", 90_000, "let others speak"),
    ),
    ("/ban bob 2h", events.Restrict("", "bob", "ban", 7_200_000)),
    ("/ban bob 1d spam 7", events.Restrict("", "bob", "ban", 86_400_000, "spam 7")),
    ("/ban bob 10 times", events.Restrict("", "bob", "ban", 0, "10 times")),
    ("/ban bob 0m", events.Restrict("", "bob", "ban", 0, "0m")),
    ("/unmute bob", events.Lift("", "bob", "mute")),
    ("/unban bob", events.Lift("", "bob", "ban")),
    ("/bans", events.Restrictions("")),
    ("/mutes", events.Restrictions("")),
    ("/mod bob", events.Role("", "bob", "moderator")),
    ("/unmod bob", events.Role("", "bob", "member")),
    ("/claim a1b2c", events.Claim("a1b2c")),
    ("/claim a1b2c old phone", events.Claim("a1b2c", "old phone")),
    ("/login 5f0c", events.Login("5f0c")),
    ("/login ada correct horse", events.Login("", "ada", "correct horse")),
    ("/password correct horse", events.Password("correct horse")),
    ("/password Off", events.Password("")),
    ("/device", events.Offer()),
    ("/devices", events.Devices()),
    ("/revoke 2", events.Revoke(2)),
    ("/own bob", events.Role("", "bob", "owner")),
    ("/keep", events.RoomMode("", kept=True)),
    ("/keep off", events.RoomMode("", kept=False)),
    ("/secret teapot", events.RoomMode("", secret="teapot")),
    ("/secret off", events.RoomMode("", secret="")),
    ("/audit", events.Audit()),
    ("/audit 50", events.Audit(50)),
    ("/kick --server bob", events.Kick("", "bob", server=True)),
    ("/ban bob 1m spam --server", events.Restrict("", "bob", "ban", 60_000, "spam", server=True)),
    ("/kick bob --server be  quiet", events.Kick("", "bob", "be  quiet", server=True)),
    ("/ban bob 1m --server spam", events.Restrict("", "bob", "ban", 60_000, "spam", server=True)),
    ("/kick --server --server", events.Kick("", "--server", server=True)),
    ("/mute bob --server", events.Restrict("", "bob", "mute", server=True)),
    ("/unban bob --server", events.Lift("", "bob", "ban", server=True)),
    ("/bans --server", events.Restrictions("", server=True)),
    ("/kick bob --servers", events.Kick("", "bob", "--servers")),
    ("/help", events.Help("")),
    ("/? msg", events.Help("msg")),
]


@pytest.mark.parametrize(("line", "request_"), TYPED)
def test_what_a_typed_line_asks_for(line: str, request_: Request | None) -> None:
    assert parse_line(line) == request_


def test_every_name_of_every_command_is_in_the_table_above() -> None:
    typed = {line.partition(" ")[0].lower() for line, _ in TYPED}
    assert {f"/{name}" for command in COMMANDS for name in command.names} <= typed


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.names[0])
def test_the_example_of_a_command_is_a_line_that_it_takes(command: Command) -> None:
    assert command.example.startswith(f"/{command.names[0]}")
    assert not isinstance(parse_line(command.example), Rejected)


@pytest.mark.parametrize(
    ("line", "command"),
    [
        ("/join", "join"),
        ("/join a b c", "join"),
        ("/redact bob eve", "redact"),
        ("/slow", "slow"),
        ("/slow 5", "slow"),
        ("/moderated", "moderated"),
        ("/private maybe", "private"),
        ("/keep maybe", "keep"),
        ("/secret two words", "secret"),
        ("/own", "own"),
        ("/password", "password"),
        ("/claim", "claim"),
        ("/login", "login"),
        ("/device 2", "device"),
        ("/devices 2", "devices"),
        ("/revoke phone", "revoke"),
        ("/audit all", "audit"),
        ("/kick --server", "kick"),
        ("/invite bob eve", "invite"),
        ("/reply", "reply"),
        ("/reply 0 no", "reply"),
        ("/reply 1000000 no", "reply"),
        ("/nick", "nick"),
        ("/nick ada lovelace", "nick"),
        ("/rooms now", "rooms"),
        ("/who a b", "who"),
        ("/whois", "whois"),
        ("/whois a b", "whois"),
        ("/msg", "msg"),
        ("/msg ada", "msg"),
        ("/tell ada   ", "msg"),
        ("/me", "me"),
        ("/kick", "kick"),
        ("/mute", "mute"),
        ("/ban ", "ban"),
        ("/unmute bob 10m", "unmute"),
        ("/unban", "unban"),
        ("/bans bob", "bans"),
        ("/mod bob eve", "mod"),
        ("/unmod", "unmod"),
        ("/history x", "history"),
        ("/history -1", "history"),
        ("/history 0", "history"),
        ("/history 1_0", "history"),
        ("/history ٣", "history"),
        ("/history 1234567", "history"),
        ("/search", "search"),
        ("/search tea in a in b", "search"),
        ("/search tea since tomorrow", "search"),
        ("/search tea since 2026-02-30 in lobby", "search"),
        ("/help a b", "help"),
    ],
)
def test_arguments_that_make_no_sense_are_answered_with_the_usage(line: str, command: str) -> None:
    (row,) = (row for row in COMMANDS if row.names[0] == command)
    text = f"usage: {row.usage}  (for example: {row.example})"
    assert parse_line(line) == Rejected("bad-usage", text, command)


@pytest.mark.parametrize(
    ("line", "hint"),
    [
        ("/jion lobby", "there is no command /jion; did you mean /join?"),
        ("/nik ada", "there is no command /nik; did you mean /nick?"),
        ("/HISTROY", "there is no command /HISTROY; did you mean /history?"),
        ("/quti", "there is no command /quti; did you mean /quit?"),
        ("/joinn", "there is no command /joinn; did you mean /join?"),
        ("/q", "there is no command /q; did you mean /quit?"),  # the first that it begins
        ("/hi", "there is no command /hi; did you mean /history?"),  # before /highlight of others
        ("/op ada", "there is no command /op; did you mean /mod?"),  # as it is called elsewhere
        ("/QUERY ada", "there is no command /QUERY; did you mean /msg?"),
        ("/quer ada", "there is no command /quer; did you mean /msg?"),  # what it begins there
        ("/win 2", "there is no command /win; /help lists the commands"),  # and not /own
        ("/bogus", "there is no command /bogus; /help lists the commands"),
        ("/zzz", "there is no command /zzz; /help lists the commands"),
        ("/", "there is no command /; /help lists the commands"),
        ("/ join", "there is no command /; /help lists the commands"),
        ("/\x1b[2J", "there is no command /[2J; /help lists the commands"),
        (f"/{'x' * 99}", f"there is no command /{'x' * 24}; /help lists the commands"),
    ],
)
def test_an_unknown_command_is_answered_with_the_one_that_is_meant(line: str, hint: str) -> None:
    assert parse_line(line) == Rejected("unknown-command", hint)


def test_help_has_a_line_for_each_command_and_for_text() -> None:
    lines = help_lines("")
    assert isinstance(lines, tuple)
    assert len(lines) == len(COMMANDS) + 2
    for command, line in zip(COMMANDS, lines, strict=False):
        assert line.startswith(f"{command.usage} ")
        assert line.endswith(f"  {command.summary}")
    assert [line.split()[0] for line in lines[-2:]] == ["text", "//text"]


@pytest.mark.parametrize("word", ["msg", "/msg", "TELL"])
def test_help_for_a_command_gives_usage_example_and_other_names(word: str) -> None:
    assert help_lines(word) == (
        "/msg NICK TEXT: say something to one person only",
        "for example: /msg ada psst",
        "the same: /tell",
    )


def test_help_for_a_command_of_one_name_lists_no_others() -> None:
    assert help_lines("me") == ("/me ACTION: say what you do", "for example: /me waves")


def test_help_for_what_there_is_not_names_the_nearest_command() -> None:
    assert help_lines("/jion") == Rejected(
        "unknown-command", "there is no command /jion; did you mean /join?"
    )


@given(line=st.text())
def test_any_line_is_a_request_or_a_refusal_and_only_text_is_said(line: str) -> None:
    parsed = parse_line(line)
    if line.startswith("/") and not line.startswith("//"):
        emote = isinstance(parsed, events.Say) and parsed.emote
        assert emote or not isinstance(parsed, events.Say)
        assert parsed is not None
    else:
        assert parsed is None or isinstance(parsed, events.Say)
