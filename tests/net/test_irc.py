"""IRC on real sockets: how real clients come in, and one room with all kinds of people in it."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import Final, TypeAlias

import gevent
import pytest
from gevent.event import AsyncResult

from tcpchat_core import ServerLimits, events
from tcpchat_core.notices import Gone, Joined, Renamed, Said, TopicSet
from tcpchat_core.server.access import session_of
from tests.net.peers import (
    Peer,
    RecordedProtocol,
    RecordingClient,
    Serving,
    in_turn_until,
    serving,
)

# What a client waits for, the beginning of a line; and what it sends then.
Steps: TypeAlias = Sequence[tuple[str, bytes]]

CAPABILITIES_ARE_TOLD: Final = ":tcpchat CAP * LS :"
THEY_ARE_GIVEN: Final = ":tcpchat CAP * ACK :"
ONE_IS_WELCOME: Final = ":tcpchat 001 ada :"
ALL_IS_TOLD: Final = ":tcpchat 422 ada :"

COMMON: Final = b"extended-join message-tags multi-prefix server-time"
ONE_BY_ONE: Final = (b"echo-message", b"userhost-in-names", *COMMON.split(), b"cap-notify")

# As irssi 1.4.3, WeeChat 3.8, Limnoria 2026 and Sopel 8 were recorded to come in with the
# capabilities that there are here, and as Halloy's source has it. They end in #lobby and #tea.
CLIENTS: Final[Mapping[str, Steps]] = {
    "irssi": [
        ("", b"CAP LS 302\r\nJOIN :\r\n"),
        (CAPABILITIES_ARE_TOLD, b"CAP REQ :multi-prefix extended-join server-time\r\n"),
        (THEY_ARE_GIVEN, b"CAP END\r\nNICK ada\r\nUSER ada ada 127.0.0.1 :Ada\r\n"),
        (ONE_IS_WELCOME, b"MODE ada +i\r\n"),
        (ALL_IS_TOLD, b"JOIN #lobby,#tea\r\n"),
        (":tcpchat 366 ada #tea ", b"MODE #lobby\r\nMODE #tea\r\nWHO #lobby\r\nWHO #tea\r\n"),
        (":tcpchat 315 ada #tea ", b"MODE #lobby b\r\nMODE #tea b\r\n"),
        (":tcpchat 368 ada #tea ", b""),
    ],
    "WeeChat": [
        ("", b"CAP LS 302\r\nNICK ada\r\nUSER ada 0 * :ada\r\n"),
        (CAPABILITIES_ARE_TOLD, b"CAP REQ :cap-notify %b userhost-in-names\r\n" % COMMON),
        (THEY_ARE_GIVEN, b"CAP END\r\n"),
        (ALL_IS_TOLD, b"JOIN #lobby,#tea\r\n"),
        (":tcpchat 366 ada #tea ", b"MODE #lobby\r\nMODE #tea\r\nWHO #lobby\r\nWHO #tea\r\n"),
        (":tcpchat 315 ada #tea ", b""),
    ],
    "Halloy": [
        ("", b"CAP LS 302\r\nNICK ada\r\nUSER ada 0 * ada\r\n"),
        (
            CAPABILITIES_ARE_TOLD,
            b"CAP REQ :userhost-in-names message-tags server-time echo-message multi-prefix\r\n",
        ),
        (THEY_ARE_GIVEN, b"CAP END\r\n"),
        (ALL_IS_TOLD, b"JOIN #lobby,#tea\r\n"),
        (":tcpchat 366 ada #tea ", b"MODE #lobby\r\nWHO #lobby tcnf,9\r\nWHO #tea %tcnf,9\r\n"),
        (":tcpchat 315 ada #tea ", b""),
    ],
    "Limnoria": [
        ("", b"CAP LS :302\r\nNICK :ada\r\nUSER limnoria 0 * :Ada\r\n"),
        (CAPABILITIES_ARE_TOLD, b"CAP REQ :%b userhost-in-names\r\n" % COMMON),
        (THEY_ARE_GIVEN, b"CAP :END\r\n"),
        (ALL_IS_TOLD, b"JOIN :#lobby,#tea\r\n"),
        (":tcpchat 366 ada #tea ", b"WHO #tea :%tuhnairf,1\r\nMODE :#tea\r\nMODE #tea :+b\r\n"),
        (":tcpchat 368 ada #tea ", b""),
    ],
    "Sopel": [
        ("", b"CAP LS 302\r\nNICK ada\r\nUSER sopel 0 * :Sopel: https://sopel.chat/\r\n"),
        (CAPABILITIES_ARE_TOLD, b"".join(b"CAP REQ :%b\r\n" % cap for cap in ONE_BY_ONE)),
        (f"{THEY_ARE_GIVEN}cap-notify", b"CAP END\r\n"),
        (ALL_IS_TOLD, b"JOIN #lobby\r\nJOIN #tea\r\n"),
        (":tcpchat 366 ada #tea ", b"MODE #tea\r\nWHO #tea %nuachrtf,999\r\n"),
        (":tcpchat 315 ada #tea ", b""),
    ],
    "no client, but a person at nc": [
        ("", b"NICK ada\nUSER ada 0 * ada\n"),
        (ALL_IS_TOLD, b"JOIN #lobby\nJOIN #tea\n"),
        (":tcpchat 366 ada #tea ", b""),
    ],
}


def come_in(peer: Peer, steps: Steps) -> None:
    """Do as a client does."""
    for awaited, data in steps:
        if awaited:
            peer.read_until(awaited)
        peer.send(data)


def registered(server: Serving, nick: str, *rooms: str, caps: str = "") -> Peer:
    """Somebody with an IRC client, who is in these rooms."""
    asked = f"CAP REQ :{caps}\r\nCAP END\r\n" if caps else ""
    peer = server.peer(f"{asked}NICK {nick}\r\nUSER {nick} 0 * :{nick}\r\n".encode())
    peer.read_until(f":tcpchat 001 {nick} ")
    for room in rooms:
        peer.send(f"JOIN #{room}\r\n")
        peer.read_until(f":tcpchat 366 {nick} #{room} ")
    return peer


def last(peer: Peer, part: str) -> str:
    """The next line that has `part` in it, without its end."""
    while part not in (line := peer.read_line()):
        pass
    return line.removesuffix("\r")


def talks_in_both_rooms(peer: Peer, bob: Peer) -> None:
    """What the peer says reaches somebody at nc, and what is said reaches it."""
    for room in ("lobby", "tea"):
        peer.send(f"PRIVMSG #{room} :hello {room}\r\n")
        bob.read_until(f"[{room}] ada: hello {room}")
    bob.send("hello ada\n")
    assert last(peer, "hello ada").endswith(":bob!~u@tcpchat PRIVMSG #tea :hello ada")


# ── Coming in ────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("steps", CLIENTS.values(), ids=CLIENTS)
def test_a_client_comes_in_as_it_is_used_to(steps: Steps) -> None:
    with serving() as server:
        bob, peer = server.person("bob", "lobby", "tea"), server.peer()
        come_in(peer, steps)
        talks_in_both_rooms(peer, bob)
        assert all(line.endswith("\r") for line in peer.lines)


@pytest.mark.parametrize("steps", CLIENTS.values(), ids=CLIENTS)
def test_a_client_that_waits_for_no_answer_comes_in_all_the_same(steps: Steps) -> None:
    with serving() as server:
        bob = server.person("bob", "lobby", "tea")
        peer = server.peer(b"".join(data for _, data in steps))
        peer.read_until(steps[-1][0])
        talks_in_both_rooms(peer, bob)


@pytest.mark.parametrize("steps", CLIENTS.values(), ids=CLIENTS)
def test_a_client_whose_bytes_come_one_at_a_time_comes_in_all_the_same(steps: Steps) -> None:
    with serving() as server:
        bob, peer = server.person("bob", "lobby", "tea"), server.peer()
        for number in b"".join(data for _, data in steps):
            peer.send(bytes([number]))
            gevent.idle()  # the server takes it
        peer.read_until(steps[-1][0])
        talks_in_both_rooms(peer, bob)


def test_a_first_line_may_be_cut_anywhere() -> None:
    first = b"CAP LS 302\r\nNICK ada\r\nUSER ada 0 * :Ada\r\nCAP END\r\n"
    with serving() as server:
        for cut in range(1, len(first)):
            with Peer(server.address, first[:cut]) as peer:
                gevent.idle()  # the server takes it
                peer.send(first[cut:])
                peer.read_until(ONE_IS_WELCOME)
                peer.send("QUIT\r\n")
                peer.read_to_end()


def test_who_was_greeted_as_a_person_may_still_turn_out_to_speak_irc() -> None:
    with serving() as server:
        bob, peer = server.person("bob", "lobby", "tea"), server.peer()
        peer.read_until("* Welcome to tcpchat. You are guest-")
        come_in(peer, CLIENTS["WeeChat"])
        talks_in_both_rooms(peer, bob)
        assert server.people == 2


def test_who_was_greeted_as_a_person_may_find_that_the_nick_is_in_use() -> None:
    with serving() as server:
        bob, peer = server.person("bob"), server.peer()
        peer.read_until("* Welcome to tcpchat. You are guest-")
        peer.send("NICK bob\r\nUSER ada 0 * :Ada\r\n")
        peer.read_until(":tcpchat 433 * bob :")
        peer.send("NICK ada\r\n")
        peer.read_until(ONE_IS_WELCOME)
        bob.send("/msg ada psst\n")
        peer.read_until(":bob!~u@tcpchat PRIVMSG ada :psst")


@pytest.mark.parametrize("typed", ["nick is taken?", "user friendly, this", "quit it now"])
def test_what_a_person_types_first_is_not_taken_for_irc(typed: str) -> None:
    with serving() as server:
        bob = server.person("bob", "lobby")
        server.peer(f"{typed}\n/join lobby\n{typed}\n".encode())
        bob.read_until(f"[lobby] guest-1: {typed}")


# ── All in one room ──────────────────────────────────────────────────────────────────────────────


def heard(program: RecordingClient, kind: type, **fields: object) -> None:
    """Wait until the program has been told that."""
    in_turn_until(
        lambda: any(
            isinstance(notice, kind)
            and all(getattr(notice, name) == value for name, value in fields.items())
            for notice in program.heard
        )
    )


def test_all_kinds_of_people_see_what_each_does_as_their_own_kind_shows_it() -> None:
    with serving() as server:
        bob, bot = server.person("bob", "lobby"), server.program("bot")
        bot.join("lobby")
        ada = registered(server, "ada", "lobby")
        bob.read_until("* ada joined lobby")
        heard(bot, Joined, room="lobby", nick="ada")

        ada.send("PRIVMSG #lobby :hello\r\nPRIVMSG #lobby :\x01ACTION waves\x01\r\n")
        bob.read_until("[lobby] ada: hello")
        bob.read_until("[lobby] * ada waves")
        heard(bot, Said, nick="ada", text="hello", emote=False)
        heard(bot, Said, nick="ada", text="waves", emote=True)

        bob.send("tea?\n/me smiles\n/topic tea\n")
        ada.read_until(":bob!~u@tcpchat PRIVMSG #lobby :tea?")
        ada.read_until(":bob!~u@tcpchat PRIVMSG #lobby :\x01ACTION smiles\x01")
        ada.read_until(":bob!~u@tcpchat TOPIC #lobby :tea")
        bot.say("lobby", "beep")
        ada.read_until(":bot!~u@tcpchat PRIVMSG #lobby :beep")

        ada.send("TOPIC #lobby :coffee\r\nNICK zoe\r\n")
        ada.read_until(":ada!~u@tcpchat NICK ")
        bob.read_until("* The topic of lobby, set by ada: coffee")
        bob.read_until("* ada is now zoe")
        heard(bot, TopicSet, topic="coffee")
        heard(bot, Renamed, old="ada", new="zoe")

        ada.send("QUIT :bye\r\n")
        ada.read_until("ERROR :")
        bob.read_until("* zoe quit (bye)")
        heard(bot, Gone, nick="zoe", reason="bye")


def test_a_connection_that_breaks_is_gone_for_the_others() -> None:
    with serving() as server:
        bob = server.person("bob", "lobby")
        ada, eve = registered(server, "ada", "lobby"), registered(server, "eve", "lobby")
        bob.read_until("* eve joined lobby")
        ada.reset()
        bob.read_until("* ada quit")
        eve.read_until(":ada!~u@tcpchat QUIT")


def test_what_many_say_at_once_is_told_to_all_in_one_order() -> None:
    nicks = [f"irc{number}" for number in range(12)]
    with serving() as server:
        bob = server.person("bob", "lobby")
        caps = ("", "server-time", "message-tags server-time")
        peers = [
            registered(server, nick, "lobby", caps=caps[number % 3])
            for number, nick in enumerate(nicks)
        ]
        for number in range(10):
            for nick, peer in zip(nicks, peers, strict=True):
                peer.send(f"PRIVMSG #lobby :{nick} {number}\r\n")
        bob.send("that was it\n")
        for peer in peers:
            peer.send("PING end\r\n")
        plain = _order_of_plain(bob, len(nicks) * 10)
        for nick, peer in zip(nicks, peers, strict=True):
            in_one_order = [text for text in plain if not text.startswith(f"{nick} ")]
            assert _order_of_irc(peer, len(in_one_order)) == in_one_order


def _order_of_plain(peer: Peer, count: int) -> list[str]:
    said: list[str] = []
    while len(said) < count:
        _, irc, text = peer.read_line().partition(": irc")
        said += [irc.removeprefix(": ") + text] if irc else []
    return said


def _order_of_irc(peer: Peer, count: int) -> list[str]:
    said: list[str] = []
    while len(said) < count:
        _, irc, text = peer.read_line().partition(" PRIVMSG #lobby :irc")
        said += ["irc" + text.removesuffix("\r")] if irc else []
    return said


# ── What is long, and what is no text ────────────────────────────────────────────────────────────


def test_a_long_text_comes_in_lines_that_an_irc_client_can_read_and_is_whole() -> None:
    text = " ".join(f"čaj-{number}" for number in range(250))[:2_000]
    with serving() as server:
        bob = server.person("bob", "lobby")
        ada = registered(server, "ada", "lobby")
        bob.send(f"{text}\nthat was it\n")
        lines: list[str] = []
        while not (line := last(ada, "PRIVMSG")).endswith(":that was it"):
            assert len(line.encode()) + len("\r\n") <= 512
            lines.append(line.removeprefix(":bob!~u@tcpchat PRIVMSG #lobby :"))
        assert " ".join(lines).split() == text.split()


def test_bytes_that_are_no_text_are_refused_and_what_follows_is_heard() -> None:
    with serving() as server:
        bob = server.person("bob", "lobby")
        ada = registered(server, "ada", "lobby")
        ada.send(b"PRIVMSG #lobby :caf\xe9\r\nPRIVMSG #lobby :caf\xc3\xa9\r\n")
        assert "INVALID_UTF8" in last(ada, "UTF8")
        assert "[lobby] ada: café" in bob.read_until("[lobby] ada: ")


# ── Going on ─────────────────────────────────────────────────────────────────────────────────────

TOKEN: Final = "0123456789abcdef" * 4
PROOF: Final = base64.b64encode(f"\0ada@desk\0{TOKEN}".encode()).decode()
SIGN_IN: Final = (
    "CAP REQ :sasl message-tags server-time batch\r\n"
    f"AUTHENTICATE PLAIN\r\nAUTHENTICATE {PROOF}\r\n"
    "NICK x\r\nUSER x 0 * :x\r\nCAP END\r\n"
).encode()


def test_a_client_whose_connection_is_reset_goes_on_and_is_sent_what_it_had_not_seen() -> None:
    limits = ServerLimits(flood_rate=0, ping_after_ms=50, drop_after_ms=600_000)
    with serving(RecordedProtocol(limits=limits)) as server:
        granted: AsyncResult[object] = AsyncResult()
        server.node.propose(events.Grant("ada", "ada", device=session_of(TOKEN)), granted.set)
        granted.get(timeout=60)
        bob = server.person("bob", "lobby")
        ada = server.peer(SIGN_IN)
        ada.read_until(":tcpchat 422 ada ")
        ada.send("JOIN #lobby\r\n")
        ada.read_until(":tcpchat 366 ada #lobby ")
        bob.read_until("* ada joined lobby")
        bob.send("one\n")
        while (ping := ada.read_until("PING ")[-1].rstrip()) == "PING :tcpchat":
            ada.send("PONG tcpchat\r\n")
        ada.send(ping.replace("PING", "PONG") + "\r\n")
        in_turn_until(
            lambda: any(isinstance(each.event, events.Seen) for each in server.recorded.log)
        )
        bob.send("two\n")
        last(ada, ":two")
        ada.reset()
        in_turn_until(lambda: server.people == 1)
        bob.send("three\n")
        again = server.peer(SIGN_IN)
        again.read_until(":tcpchat 422 ada ")
        told = [line.rstrip("\r") for line in again.read_until(":tcpchat BATCH -")]
        assert [line.rpartition(" :")[2] for line in told if " PRIVMSG " in line] == [
            "two",
            "three",
        ]
        assert told[0] == ":ada!~u@tcpchat JOIN #lobby"
        bob.send("four\n")
        last(again, ":four")
        again.send("QUIT :bye\r\n")
        heard = bob.read_until("* ada quit")
        assert heard == ["* ada quit (bye)"], "nobody is told of the cut"
