"""Terminal injection: what a terminal obeys, in every field that reaches another person.

Each row of SEQUENCES goes through each row of FIELDS, sent by a program (raw and as JSON escapes)
and typed by a person. Nobody in the room, in either dialect, may be sent a byte of it that a
terminal would obey, or a line that the sender made up.
"""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from tcpchat_core import ChatState, ClientProtocol, ServerProtocol
from tcpchat_core.dialects.jsonl import JSON
from tests.core import checkers
from tests.core.harness import HELLO, NO_FLOOD_LIMIT, MemoryServer, join
from tests.core.test_plain import TOLD

# Each class of dangerous sequence, as the bytes that a sender writes.
SEQUENCES: dict[str, bytes] = {
    "NUL": b"\x00",
    "bell": b"\x07",
    "backspace": b"\x08\x08\x08",
    "carriage return": b"ok\r* fake",
    "vertical tab and form feed": b"\x0b\x0c",
    "shift out": b"\x0e",
    "ESC alone": b"\x1b",
    "CSI: clear the screen": b"\x1b[2J\x1b[H",
    "CSI: colours": b"\x1b[31mred\x1b[0m",
    "CSI: report": b"\x1b[6n",
    "OSC: title": b"\x1b]0;owned\x07",
    "OSC: clipboard": b"\x1b]52;c;ZXZpbA==\x1b\\",
    "OSC: hyperlink": b"\x1b]8;;http://evil\x1b\\here\x1b]8;;\x1b\\",
    "DCS": b"\x1bP$q\x1b\\",
    "DEL": b"\x7f",
    "C1 raw: CSI": b"\x9b2J",
    "C1 raw: OSC": b"\x9d0;owned\x9c",
    "C1 in UTF-8: CSI": "\x9b2J".encode(),
    "C1 in UTF-8: OSC": "\x9d0;owned\x9c".encode(),
    "C1 in UTF-8: next line": "ok\x85* fake".encode(),
    "bidi override": "\u202eevil".encode(),
    "bidi embedding": "\u202aevil\u202c".encode(),
    "bidi isolate": "\u2066evil\u2069".encode(),
    "line separator": "ok\u2028* fake".encode(),
    "paragraph separator": "ok\u2029* fake".encode(),
    "byte order mark": "\ufeff".encode(),
    "interlinear annotation": "\ufff9a\ufffab\ufffb".encode(),
    "lone surrogate in UTF-8": b"\xed\xa0\x80",
    "overlong ESC": b"\xc0\x9b[2J",
    "overlong ESC in three bytes": b"\xe0\x80\x9b[2J",
    "overlong line feed": b"ok\xc0\x8a* fake",
    "beyond Unicode": b"\xf4\x90\x80\x80",
    "cut short": b"\xe2\x80",
}

# The same as JSON escapes, and those that only an escape can write.
ESCAPED: dict[str, bytes] = {
    **{
        name: json.dumps(raw.decode())[1:-1].encode()
        for name, raw in SEQUENCES.items()
        if raw.decode(errors="replace").encode() == raw
    },
    "line feed": rb"ok\n* fake",
    "lone high surrogate": rb"\ud800",
    "lone low surrogate": rb"\udc9b",
    "surrogates the wrong way round": rb"\udc00\ud800",
}

# Each field of a request that may reach another person, or come back in an error; what a program
# sends, with %s where the sequence goes.
PROGRAM_FIELDS: dict[str, bytes] = {
    "nick": b'{"type":"nick","nick":"a%sb"}',
    "room": b'{"type":"join","room":"a%sb"}',
    "text": b'{"type":"say","room":"lobby","text":"a%sb"}',
    "emote": b'{"type":"say","room":"lobby","text":"a%sb","emote":true}',
    "topic": b'{"type":"topic","room":"lobby","topic":"a%sb"}',
    "quit reason": b'{"type":"quit","reason":"a%sb"}',
    "reason to leave": b'{"type":"out","room":"lobby","reason":"a%sb"}',
    "away": b'{"type":"away","text":"a%sb"}',
    "real name": b'{"type":"setname","name":"a%sb"}',
    "person to ask about": b'{"type":"whois","nick":"a%sb"}',
    "direct message": b'{"type":"tell","nick":"bob","text":"a%sb"}',
    "direct message to nobody": b'{"type":"tell","nick":"a%sb","text":"x"}',
    "room to say to": b'{"type":"say","room":"a%sb","text":"x"}',
    "room to ask about": b'{"type":"who","room":"a%sb"}',
    "room that was seen": b'{"type":"hello","seen":{"a%sb":1}}',
    "id": b'{"type":"say","room":"lobby","text":"x","id":"a%sb"}',
    "id of a ping": b'{"type":"ping","id":"a%sb"}',
    "type": b'{"type":"a%sb"}',
    "key": b'{"type":"say","room":"lobby","text":"x","key":"a%sb"}',
    "help": b'{"type":"help","command":"a%sb"}',
    "no JSON": b"{a%sb",
}

PERSON_FIELDS: dict[str, bytes] = {
    "nick": b"/nick a%sb",
    "room": b"/join a%sb",
    "text": b"a%sb",
    "text at the start": b"%sb",
    "emote": b"/me a%sb",
    "topic": b"/topic a%sb",
    "quit reason": b"/quit a%sb",
    "reason to leave": b"/out lobby a%sb",
    "away": b"/away a%sb",
    "real name": b"/name a%sb",
    "person to ask about": b"/whois a%sb",
    "direct message": b"/msg bob a%sb",
    "direct message to nobody": b"/msg a%sb x",
    "room to ask about": b"/who a%sb",
    "room to leave": b"/out a%sb",
    "unknown command": b"/a%sb",
    "help": b"/help a%sb",
    "usage": b"/history a%sb",
}


def audience(protocol: ServerProtocol | None = None) -> MemoryServer:
    """In the lobby: 1 a program called ada, 2 a program called bob, 3 a person called cleo."""
    server = MemoryServer(protocol)
    for conn in (1, 2, 3, 4):
        server.connect(conn)
    for conn, name in ((1, b"ada"), (2, b"bob")):
        server.send(conn, HELLO + b'{"type":"nick","nick":"%s"}\n' % name)
        server.ask(conn, join("lobby"))
    for conn, name in ((3, b"cleo"), (4, b"dora")):
        server.send(conn, b"/nick %s\n/join lobby\n" % name)
    return server


def check_all_neutral(server: MemoryServer) -> None:
    """Nobody was sent anything that a terminal obeys, or a line that the server did not write."""
    for conn in (5, 6):  # somebody who comes later is shown the history, the topic and the rooms
        server.connect(conn)
    server.send(5, HELLO + b'{"type":"join","room":"lobby"}\n{"type":"rooms"}\n')
    server.send(6, b"/join lobby\n/rooms\n/who\n/history\n")
    for conn, output in server.output.items():
        plain = conn in (3, 4, 6)
        checkers.check_output(bytes(output), plain=plain)
        if plain:
            lines = output.decode().splitlines()
            assert not [line for line in lines if line.startswith("* fake")]
    # Whatever a server sends, the client that shows it is the second line of defence.
    for conn in (1, 2, 5):
        checkers.check_client(server.read(conn), [])


@pytest.mark.parametrize("field", PROGRAM_FIELDS)
@pytest.mark.parametrize("table", [SEQUENCES, ESCAPED], ids=["raw", "escaped"])
def test_what_a_program_sends_is_neutral(field: str, table: dict[str, bytes]) -> None:
    for sequence in table.values():
        server = audience()
        server.send(1, PROGRAM_FIELDS[field] % sequence + b"\n")
        server.lose(1)
        check_all_neutral(server)


@pytest.mark.parametrize("field", PERSON_FIELDS)
def test_what_a_person_types_is_neutral(field: str) -> None:
    for sequence in SEQUENCES.values():
        server = audience()
        server.send(4, PERSON_FIELDS[field] % sequence + b"\r\n")
        server.lose(4)
        check_all_neutral(server)


TEXTS = {name: raw.decode(errors="surrogateescape") for name, raw in SEQUENCES.items()}


@pytest.mark.parametrize("sequence", TEXTS)
@pytest.mark.parametrize(
    "tell",
    [
        lambda server, text: server.lose(1, text),
        lambda server, text: server.stop(text),
        lambda server, text: server.output[2].extend(server.protocol.closing(2, text)),
        lambda server, text: server.output[3].extend(server.protocol.closing(3, text)),
    ],
    ids=["lost", "stop", "closing-jsonl", "closing-plain"],
)
def test_what_the_adapter_gives_as_a_reason_is_neutral(
    tell: Callable[[MemoryServer, str], None], sequence: str
) -> None:
    server = audience()
    tell(server, TEXTS[sequence])
    for conn, output in server.output.items():
        checkers.check_output(bytes(output), plain=conn > 2)


@pytest.mark.parametrize("sequence", TEXTS)
def test_the_message_of_the_day_is_neutral(sequence: str) -> None:
    motd = [TEXTS[sequence]]
    check_all_neutral(audience(ServerProtocol(ChatState(), limits=NO_FLOOD_LIMIT, motd=motd)))


@pytest.mark.parametrize("sequence", ESCAPED)
@pytest.mark.parametrize("kind", sorted({type(notice).__name__ for notice, _ in TOLD}))
def test_what_a_hostile_server_tells_is_neutral_in_a_client(kind: str, sequence: str) -> None:
    """Every string of every notice, by a server that does not sanitise."""
    notice = next(notice for notice, _ in TOLD if type(notice).__name__ == kind)
    line = JSON.encode(notice).replace(b'"ada"', b'"a%sb"' % ESCAPED[sequence])
    checkers.check_client(line, [])


@pytest.mark.parametrize("sequence", SEQUENCES)
def test_what_a_client_says_of_nonsense_is_neutral(sequence: str) -> None:
    checkers.check_client(SEQUENCES[sequence] + b"\n", [])
    assert ClientProtocol().receive_data(b"").notices == []
