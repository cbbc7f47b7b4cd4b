"""A bot as people have it, Limnoria, in one room with somebody at nc and with a program."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

from tests.cli.terminal import SCRIPTS
from tests.irc.chat import Chat

# It keeps what it has to say back for a second after each line, and waits for ten before it comes
# again: nothing else is changed of what it is like.
SETTINGS = """\
supybot.nick: helper
supybot.networks: here
supybot.networks.here.servers: {address}
supybot.networks.here.channels: #lobby
supybot.networks.here.ssl: False
supybot.plugins: Channel Utilities
supybot.plugins.Channel: True
supybot.plugins.Utilities: True
supybot.reply.whenAddressedBy.chars: !
supybot.protocols.irc.throttleTime: 0
supybot.drivers.minReconnectWait: 0.1
supybot.drivers.maxReconnectWait: 0.1
supybot.directories.conf: {home}/conf
supybot.directories.data: {home}/data
supybot.directories.log: {home}/log
"""


@contextmanager
def limnoria(chat: Chat) -> Iterator[None]:
    """A bot that goes to the lobby, and answers `!echo` there."""
    home = chat.folder / "limnoria"
    home.mkdir()
    (home / "settings").write_text(SETTINGS.format(address=chat.address, home=home))
    program = str(SCRIPTS / "limnoria")
    with (
        (home / "written").open("w") as written,
        # A container's only user may be root, which it would refuse.
        subprocess.Popen(
            [program, "--allow-root", str(home / "settings")],
            stdin=subprocess.DEVNULL,
            stdout=written,
            stderr=subprocess.STDOUT,
            cwd=home,
        ) as bot,
    ):
        try:
            yield
        finally:
            bot.kill()


def test_a_bot_answers_people_who_say_its_commands_in_any_way(chat: Chat) -> None:
    bob, program = chat.nc("bob", "lobby"), chat.program("program", "lobby")
    with limnoria(chat):
        bob.read_until("* helper joined lobby")
        bob.send("!echo čaj at four\n")
        # It says which message it answers, by the tag +draft/reply.
        bob.read_until('[lobby] helper (to bob "!echo čaj at four"): čaj at four')
        said = program.told(type="said", nick="helper", text="čaj at four")
        assert said["quote"] == {"nick": "bob", "text": "!echo čaj at four"}
        program.ask(type="say", room="lobby", text="helper: echo and cake", id="1")
        program.told(type="said", nick="helper", text="and cake")
        bob.read_until('[lobby] helper (to program "helper: echo and cake"): and cake')
        program.ask(type="tell", nick="helper", text="echo psst", id="2")
        assert program.told(type="told", nick="helper")["text"] == "psst"


def test_a_bot_does_not_do_what_was_said_before_it_came(chat: Chat) -> None:
    bob = chat.nc("bob", "lobby")
    bob.send("!echo long ago\nhelper: echo long ago\n")
    with limnoria(chat):
        bob.read_until("* helper joined lobby")
        bob.send("!echo now\n")
        heard = bob.read_until("[lobby] helper (")
    assert heard[-1] == '[lobby] helper (to bob "!echo now"): now'


def test_a_bot_that_is_put_out_comes_again_unless_it_is_banned(chat: Chat) -> None:
    bob = chat.nc("bob", "lobby")
    with limnoria(chat):
        bob.read_until("* helper joined lobby")
        bob.send("/kick helper too loud\n")
        bob.read_until("* helper was put out of lobby by bob (too loud)")
        bob.read_until("* helper joined lobby")
        bob.send("/ban helper 1h too loud\n")
        bob.read_until("* helper was banned from lobby for 1 h")
        # It tries again, and is refused: it is there, and not in the room.
        bob.send("/msg helper echo are you there\n")
        heard = bob.read_until("[-helper- → you] are you there")
        assert "* helper joined lobby" not in heard
        bob.send("/unban helper\n/who\n")
        assert bob.read_until("* 1 in lobby:")[-1].startswith("* 1 in lobby: bob")


def test_a_bot_comes_again_when_the_server_does(chat: Chat) -> None:
    bob = chat.nc("bob", "lobby")
    with limnoria(chat):
        bob.read_until("* helper joined lobby")
        chat.begins_again()
        bob = chat.nc("bob", "lobby")
        bob.send("/who\n")
        heard = bob.read_until("* ")  # it may have been here first
        if "helper" not in heard[-1]:
            bob.read_until("* helper joined lobby")
        bob.send("!echo again\n")
        bob.read_until('[lobby] helper (to bob "!echo again"): again')
