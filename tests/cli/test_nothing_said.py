"""What people say is in no format of the log: whatever they say, in whichever way, and whatever
comes of it.
"""

from __future__ import annotations

import json
from typing import Final

from hypothesis import given
from hypothesis import strategies as st
from tcpchat_cli.console import Journal
from tcpchat_cli.telling import telling

from tcpchat_core import ChatState, ServerLimits, ServerProtocol
from tests.cli.log_lines import events_in, unknown
from tests.cli.test_vocabulary import FORMATS, logged
from tests.net.hosting import Host, Wire

# What is said has this in it, and nothing else does: no name of somebody, of a room or of ours.
SAID: Final = "qzxv"

# Every line in which somebody says something; `{}` is what.
PLAIN: Final = (
    "{}",
    "/me {}",
    "/msg ada {}",
    "/msg bob {}",
    "/msg nobody {}",
    "/topic {}",
    "/away {}",
    "/name {}",
    "/out lobby {}",
    "/quit {}",
    "/kick bob {}",
    "/mute bob 1m {}",
    "/ban bob 1m {}",
    "/secret {}",
    "/join tea {}",
    "/claim {}",
    "/login ada {}",
    "/password {}",
    "/search {}",
    "/report {}",
    "/{}",
    "/nick x {}",
    "/nick [{}]",
    "/join [{}]",
)
JSON: Final = (
    {"type": "say", "room": "lobby", "text": "{}"},
    {"type": "say", "room": "lobby", "text": "hi", "id": "{}"},
    {"type": "say", "room": "lobby", "text": "hi", "tags": {"{}": "{}"}},
    {"type": "say", "room": "lobby", "text": "{}", "emote": True},
    {"type": "tell", "nick": "ada", "text": "{}"},
    {"type": "topic", "room": "lobby", "text": "{}"},
    {"type": "away", "text": "{}"},
    {"type": "setname", "name": "{}"},
    {"type": "signal", "room": "lobby", "tags": {"+typing": "{}"}},
    {"type": "quit", "reason": "{}"},
    {"type": "claim", "code": "{}"},
    {"type": "login", "account": "ada", "password": "{}"},
    {"type": "{}"},
)
IRC: Final = (
    "PRIVMSG #lobby :{}",
    "NOTICE ada :{}",
    "TOPIC #lobby :{}",
    "AWAY :{}",
    "SETNAME :{}",
    "PART #lobby :{}",
    "QUIT :{}",
    "KICK #lobby bob :{}",
    "OPER ada {}",
    "JOIN #tea {}",
    "PRIVMSG NickServ :IDENTIFY {}",
    "AUTHENTICATE {}",
    "{} ada",
)

BEGINNINGS: Final = (
    b"qzxv\n/nick carl\n/join lobby\n",
    (
        b'{"type":"hello","password":"qzxv"}\n{"type":"nick","nick":"dora"}\n'
        b'{"type":"join","room":"lobby"}\n'
    ),
    b"PASS qzxv\r\nNICK emil\r\nUSER qzxv 0 * :qzxv\r\nJOIN #lobby\r\n",
)

# What is around it is anything, but for what would be a line of its own.
WORDS: Final = st.text(st.characters(exclude_characters="\r\n", exclude_categories=["Cs"])).map(
    lambda text: f"{text[: len(text) // 2]}{SAID}{text[len(text) // 2 :]}"
)


def lines(kind: int, place: int, words: str) -> bytes:
    """One line in which that is said."""
    if kind == 1:
        written = json.dumps(JSON[place % len(JSON)]).replace("{}", json.dumps(words)[1:-1])
        return f"{written}\n".encode()
    of = PLAIN if kind == 0 else IRC
    return f"{of[place % len(of)].format(words)}\r\n".encode()


def say(host: Host, wire: Wire, data: bytes) -> None:
    if wire.is_read and not wire.is_closed:
        host.give(wire, data)
    host.wait(3_000)
    host.node.sweep()
    host.run()


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 30), WORDS), max_size=30))
def test_what_people_say_is_in_no_format_of_the_log(said: list[tuple[int, int, str]]) -> None:
    for format in FORMATS:
        with logged(format) as log:
            journal = Journal()
            limits = ServerLimits(flood_burst=3, flood_rate=2)
            protocol = ServerProtocol(
                ChatState(), limits=limits, password=SAID, observe=journal.observe
            )
            host = Host(protocol, report=telling(protocol.state))
            wires: list[Wire] = []
            for number, beginning in enumerate(BEGINNINGS):
                wires.append(host.connect(token=f"{number}" * 32))
                say(host, wires[-1], beginning)
            for kind, place, words in said:
                say(host, wires[kind], lines(kind, place, words))
            for wire in wires:
                host.node.lost(wire.conn)
            host.wait(120_000)
        written = log.getvalue()
        assert SAID not in written.casefold()
        assert not unknown(events_in(written))
        # They did talk: otherwise this would be no test.
        assert all(written.count(nick) > 1 for nick in ("carl", "dora", "emil"))
        assert written.count("gone") >= 3
