"""irssi and WeeChat as people have them, in one room with somebody at nc and with a program."""

from __future__ import annotations

import pytest

from tests.irc.chat import Chat
from tests.irc.clients import IRSSI, WEECHAT, Kind, has_to_be_here

# 2,000 characters, in words that tell whether one is missing, there twice or torn.
LONG_TEXT = " ".join(f"word-{number:03}" for number in range(223))[:2_000]


@pytest.fixture(params=[IRSSI, WEECHAT], ids=lambda kind: kind.program)
def kind(request: pytest.FixtureRequest) -> Kind:
    kind: Kind = request.param
    has_to_be_here(kind)
    return kind


def test_all_kinds_of_clients_talk_to_each_other(kind: Kind, chat: Chat) -> None:
    bob, bot = chat.nc("bob", "lobby"), chat.program("bot", "lobby")
    ada = chat.client(kind, "ada")
    ada.joins("lobby", "ada")
    ada.sees("members", room="lobby", count="3")
    bob.read_until("* ada joined lobby")
    bot.told(type="joined", nick="ada")

    ada.enter("hello all")
    bob.read_until("[lobby] ada: hello all")
    bot.told(type="said", nick="ada", text="hello all")
    bob.send("hello ada\n/me waves\n")
    ada.sees("said", nick="bob", text="hello ada")
    ada.sees("emoted", nick="bob", text="waves")
    bot.ask(type="say", room="lobby", text="beep: ☕ čaj", id="1")
    ada.sees("said", nick="bot", text="beep: ☕ čaj")
    ada.enter("/me waves, too")
    bob.read_until("[lobby] * ada waves, too")
    bot.told(type="said", nick="ada", text="waves, too", emote=True)
    # What one has said oneself stands there once.
    assert ada.lines("ada") == ["hello all"]


def test_a_topic_is_set_and_seen_by_all(kind: Kind, chat: Chat) -> None:
    bob = chat.nc("bob", "lobby")
    ada = chat.client(kind, "ada")
    ada.joins("lobby", "ada")
    bob.send("/topic tea at four\n")
    ada.sees("topic", nick="bob", room="lobby", text="tea at four")
    ada.enter("/topic tea at five")
    bob.read_until("* The topic of lobby, set by ada: tea at five")
    ada.sees("topic", nick="ada", room="lobby", text="tea at five")


def test_a_nick_changes_unless_it_is_in_use(kind: Kind, chat: Chat) -> None:
    bob = chat.nc("bob", "lobby")
    ada = chat.client(kind, "ada")
    ada.joins("lobby", "ada")
    ada.enter("/nick bob")
    ada.sees("in_use", nick="bob")
    ada.enter("/nick zoe")
    ada.sees("named", nick="zoe")
    bob.read_until("* ada is now zoe")
    bob.send("/nick rob\n")
    ada.sees("renamed", old="bob", nick="rob")
    ada.enter("it is me")
    bob.read_until("[lobby] zoe: it is me")


def test_who_comes_with_a_nick_that_is_in_use_comes_in_with_another_one(
    kind: Kind, chat: Chat
) -> None:
    bob = chat.nc("ada", "lobby")
    ada = chat.client(kind, "ada")
    ada.joins("lobby", "ada_")
    bob.read_until("* ada_ joined lobby")


def test_a_nick_that_nobody_can_have_is_changed_to_one_that_can_be(kind: Kind, chat: Chat) -> None:
    bob = chat.nc("bob", "lobby")
    pia = chat.client(kind, "pia|away")
    pia.joins("lobby", "pia_away")
    bob.read_until("* pia_away joined lobby")
    pia.enter("still here")
    bob.read_until("[lobby] pia_away: still here")


def test_a_room_and_people_have_names_in_any_script(kind: Kind, chat: Chat) -> None:
    bob = chat.nc("žofie", "čajovna")
    ada = chat.client(kind, "ada")
    ada.joins("čajovna", "ada")
    bob.read_until("* ada joined čajovna")
    bob.send("dobrý den\n")
    ada.sees("said", nick="žofie", text="dobrý den")
    ada.enter("dobrý den")
    bob.read_until("[čajovna] ada: dobrý den")


def test_two_thousand_characters_come_whole_both_ways(kind: Kind, chat: Chat) -> None:
    bob = chat.nc("bob", "lobby")
    ada = chat.client(kind, "ada")
    ada.joins("lobby", "ada")
    bob.send(f"{LONG_TEXT}\nand more\n")
    ada.sees("said", nick="bob", text="and more")
    assert " ".join(ada.lines("bob")).split() == [*LONG_TEXT.split(), "and", "more"]
    ada.enter(LONG_TEXT)
    ada.enter("that was it")
    lines = [
        line.removeprefix("[lobby] ada: ")
        for line in bob.read_until("[lobby] ada: that was it")[:-1]
        if line.startswith("[lobby] ada: ")
    ]
    assert " ".join(lines).split() == LONG_TEXT.split()


def test_people_tell_each_other_things_that_nobody_else_sees(kind: Kind, chat: Chat) -> None:
    bob, eve = chat.nc("bob", "lobby"), chat.nc("eve", "lobby")
    ada = chat.client(kind, "ada")
    ada.joins("lobby", "ada")
    ada.enter("/msg bob psst")
    bob.read_until("[ada → you] psst")
    bob.send("/msg ada hush\n")
    ada.turns_to("bob", "bob")
    ada.sees("told", nick="bob", text="hush")
    bob.send("did you hear?\n")
    heard = eve.read_until("[lobby] bob: did you hear?")
    assert not [line for line in heard if "psst" in line or "hush" in line]


def test_who_is_kicked_sees_why_and_may_come_again(kind: Kind, chat: Chat) -> None:
    bob = chat.nc("bob", "lobby")
    ada = chat.client(kind, "ada")
    ada.joins("lobby", "ada")
    bob.read_until("* ada joined lobby")
    bob.send("/kick ada mind your words\n")
    ada.terminal.wait_for(r"kicked .*mind your words")
    ada.enter("/join #lobby")
    bob.read_until("* ada joined lobby")


def test_who_makes_a_room_with_an_irc_client_can_put_others_out(kind: Kind, chat: Chat) -> None:
    ada = chat.client(kind, "ada")
    ada.joins("lobby", "ada")
    bob = chat.nc("bob", "lobby")
    ada.sees("joined", nick="bob", room="lobby")
    ada.enter("/kick bob mind your words")
    bob.read_until("* You were put out of lobby by ada (mind your words)")
    ada.sees("kicked", nick="bob", room="lobby", by="ada", why="mind your words")


def test_who_is_banned_comes_in_no_more_until_that_is_over(kind: Kind, chat: Chat) -> None:
    bob = chat.nc("bob", "lobby")
    ada = chat.client(kind, "ada")
    ada.joins("lobby", "ada")
    bob.read_until("* ada joined lobby")
    bob.send("/ban ada 1h mind your words\n")
    ada.terminal.wait_for(r"kicked .*mind your words")
    ada.enter("/join #lobby")
    ada.sees("banned", room="lobby")
    bob.send("/unban ada\n")
    bob.read_until("* ada is not banned from lobby any more")
    ada.enter("/join #lobby")
    bob.read_until("* ada joined lobby")


def test_who_makes_a_room_with_an_irc_client_bans_by_a_mode(kind: Kind, chat: Chat) -> None:
    ada = chat.client(kind, "ada")
    ada.joins("lobby", "ada")
    bob = chat.nc("bob", "lobby")
    ada.sees("joined", nick="bob", room="lobby")
    ada.enter("/mode #lobby +b bob")
    bob.read_until("* You were banned from lobby for 1 h, by ada")
    bob.send("/join lobby\n")
    bob.read_until("! banned: ")


def test_who_is_away_is_told_to_be(kind: Kind, chat: Chat) -> None:
    bob = chat.nc("bob", "lobby")
    ada = chat.client(kind, "ada")
    ada.joins("lobby", "ada")
    ada.enter("/away at tea")
    bob.read_until("* ada is away (at tea)")
    ada.enter("/away")
    bob.read_until("* ada is back")
    bob.send("/away at lunch\n")
    bob.read_until("* You are away (at lunch)")
    ada.enter("/msg bob are you there?")
    bob.read_until("[ada → you] are you there?")
    ada.turns_to("irc.server.here", "1")
    ada.sees("away", nick="bob", text="at lunch")


def test_what_was_said_before_one_came_is_there_once(kind: Kind, chat: Chat) -> None:
    bob, bot = chat.nc("bob", "lobby"), chat.program("bot", "lobby")
    bob.send("is anybody there?\n/me waits\n")
    bot.told(type="said", nick="bob", text="waits")
    ada = chat.client(kind, "ada")
    ada.joins("lobby", "ada")
    bot.ask(type="say", room="lobby", text="ada is", id="1")
    ada.sees("said", nick="bot", text="ada is")
    ada.sees("emoted", nick="bob", text="waits")
    assert ada.lines("bob") == ["is anybody there?"]
    # So it is when one comes again.
    ada.enter("/part")
    bob.read_until("* ada left lobby")
    ada.enter("/clear")
    ada.enter("/join #lobby")
    bob.read_until("* ada joined lobby")
    ada.sees("said", nick="bot", text="ada is")


def test_rooms_are_listed_with_how_many_are_there_and_what_about(kind: Kind, chat: Chat) -> None:
    bob = chat.nc("bob", "lobby")
    bob.send("/topic tea at four\n/join attic\n")
    bob.read_until("* You joined attic")
    ada = chat.client(kind, "ada")
    ada.joins("lobby", "ada")
    ada.enter("/list -yes" if kind is IRSSI else "/list")
    ada.turns_to("irc.server.here", "1")
    ada.sees("listed", room="lobby", count="2", text="tea at four")


def test_who_leaves_is_gone_and_is_told_who_leaves(kind: Kind, chat: Chat) -> None:
    bob, eve = chat.nc("bob", "lobby"), chat.nc("eve", "lobby")
    ada = chat.client(kind, "ada")
    ada.joins("lobby", "ada")
    eve.send("/out\n")
    ada.sees("left", nick="eve", room="lobby")
    eve.send("/join lobby\n")
    ada.sees("joined", nick="eve", room="lobby")
    eve.send("/quit tea\n")
    ada.sees("quit", nick="eve", why="tea")
    ada.enter("/quit bye")
    bob.read_until("* ada quit (bye)")
    assert ada.terminal.wait_for_exit() == 0


def test_irssi_and_weechat_show_each_other_what_they_show_others(chat: Chat) -> None:
    for each in (IRSSI, WEECHAT):
        has_to_be_here(each)
    ada, bob = chat.client(IRSSI, "ada"), chat.client(WEECHAT, "bob")
    ada.joins("lobby", "ada")
    bob.joins("lobby", "bob")
    for one, other, nick in ((ada, bob, "ada"), (bob, ada, "bob")):
        one.enter(f"{nick} says hello")
        other.sees("said", nick=nick, text=f"{nick} says hello")
        one.enter("/me waves")
        other.sees("emoted", nick=nick, text="waves")
        one.enter(f"/topic by {nick}")
        other.sees("topic", nick=nick, room="lobby", text=f"by {nick}")
    ada.enter("/quit bye")
    bob.sees("quit", nick="ada", why="bye")
