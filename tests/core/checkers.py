"""Checks of bytes, each a function that raises AssertionError when what it guards is broken.

The tests of bytes call them with everything hypothesis thinks of; the tests of the tests call
them with a broken product.
"""

from __future__ import annotations

import os
import subprocess
import sys
import unicodedata
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from tcpchat_core import ChatState, ClientProtocol, Entry, RemoteError, Request, events
from tcpchat_core.dialects.jsonl import decode_notice, encode_request
from tcpchat_core.dialects.telnet import strip_telnet
from tcpchat_core.framing import LineBuffer, TooLong
from tests.core.harness import HELLO, LIMITS, MemoryServer, join, restored, split_at
from tests.core.replay import replay

# The bidi controls, the byte order mark, interlinear annotation and deprecated format controls.
_FORBIDDEN_FORMAT = (
    frozenset(map(chr, range(0x202A, 0x202F)))
    | frozenset(map(chr, range(0x2066, 0x2070)))
    | frozenset("\ufeff\ufff9\ufffa\ufffb")
)

# C0, DEL, C1; lone surrogates; the line and the paragraph separator.
_FORBIDDEN_CATEGORIES = frozenset({"Cc", "Cs", "Zl", "Zp"})


def is_forbidden(char: str) -> bool:
    """Whether a character may reach nobody else's terminal, by Unicode's own tables."""
    return char in _FORBIDDEN_FORMAT or unicodedata.category(char) in _FORBIDDEN_CATEGORIES


def texts_in(value: Any) -> Iterator[str]:
    """Every string in a value built of structs, tuples and scalars."""
    match value:
        case str():
            yield value
        case tuple():
            for item in value:
                yield from texts_in(item)
        case msgspec.Struct():
            for field in value.__struct_fields__:
                yield from texts_in(getattr(value, field))


def check_no_forbidden_text(texts: Iterable[str]) -> None:
    """Nothing that the sanitiser forbids is in any text."""
    for text in texts:
        assert not any(map(is_forbidden, text)), ascii(text)


def check_output(output: bytes, *, plain: bool) -> None:
    """What a server wrote is documented: notices, or lines that a person knows."""
    if not output:
        return
    assert output.endswith(b"\n")
    for line in output.removesuffix(b"\n").split(b"\n"):
        if plain:
            text = line.decode()
            assert text.startswith(("* ", "! ", "[")), text
            check_no_forbidden_text([text])
        else:
            check_no_forbidden_text(texts_in(decode_notice(line)))


def check_any_split(data: bytes, cuts: Iterable[int]) -> None:
    """A server writes and logs the same however what it reads is split: whole, cut, by bytes."""
    results = []
    for pieces in ([data], split_at(data, cuts), [data[i : i + 1] for i in range(len(data))]):
        server = MemoryServer()
        server.connect(1)
        for piece in pieces:
            server.send(1, piece)
        server.eof(1)
        results.append((server.output, server.log, server.closed))
    assert results[0] == results[1] == results[2]


def check_arbitrary_bytes(data: bytes) -> None:
    """A server takes any bytes without raising, gives only documented answers to their sender
    and to a neighbour of each dialect, and hears what a neighbour says before and after."""
    server = MemoryServer()
    for conn in (2, 3):
        server.connect(conn)
    server.send(2, HELLO)
    server.ask(2, join("lobby"))
    server.send(3, b"/join lobby\n")
    server.connect(1)
    server.send(1, data)
    server.ask(2, events.Say("lobby", "still here"))
    assert b"[lobby] guest-1: still here\n" in server.output[3]
    server.eof(1)
    if data:
        check_output(server.read(1), plain=not data.startswith(b"{"))
    check_output(server.read(2), plain=False)
    check_output(server.read(3), plain=True)


def check_good_lines_count(bad: bytes) -> None:
    """A bad line in either dialect takes nothing from the good ones before and after it."""
    server = MemoryServer()
    server.connect(1)
    server.connect(2)
    server.connect(3)
    server.send(3, HELLO)
    for conn, ask in ((3, encode_request(join("lobby"))), (2, b"/join lobby\n")):
        server.send(conn, ask)
    server.send(1, encode_request(join("lobby")))
    server.read(3)
    server.send(1, encode_request(events.Say("lobby", "json before")) + bad + b"\n")
    server.send(1, encode_request(events.Say("lobby", "json after")))
    server.send(2, b"plain before\n" + bad + b"\nplain after\n")
    heard = [getattr(notice, "text", "") for notice in server.told(3)]
    expected = ["json before", "json after", "plain before", "plain after"]
    assert [text for text in heard if text in expected] == expected


def check_nothing_forbidden_leaves(requests: Iterable[Request], motd: str) -> None:
    """Whatever texts a program puts into whichever field, nobody is shown a forbidden one."""
    server = MemoryServer()
    for conn in (1, 2):
        server.connect(conn)
        server.send(conn, HELLO)
        server.ask(conn, join("lobby"))
    server.connect(3)
    server.send(3, b"/join lobby\n")
    for request in requests:
        server.ask(1, request)
    server.lose(1, motd)
    server.connect(4)
    server.send(4, b"/join lobby\n/rooms\n/who\n/topic\n/history\n")
    for conn in (1, 2, 3, 4):
        check_output(server.read(conn), plain=conn > 2)


def check_framing(lines: Iterable[bytes], cuts: Iterable[int], max_line_bytes: int) -> None:
    """Framing is bounded, reports each long line once, and is in step again after it."""
    lines = list(lines)
    buffer = LineBuffer(max_line_bytes)
    heard: list[bytes | None] = []
    for piece in split_at(b"".join(line + b"\n" for line in lines), cuts):
        heard += [
            None if isinstance(line, TooLong) else line for line in buffer.receive_data(piece)
        ]
        assert buffer.partial_bytes <= max_line_bytes + 1
    assert buffer.partial_bytes == 0
    bare = [line.removesuffix(b"\r") for line in lines]
    assert heard == [line if len(line) <= max_line_bytes else None for line in bare]


def check_telnet(pieces: Iterable[bytes], negotiations: Iterable[bytes], cuts: list[int]) -> None:
    """Negotiations between pieces of text leave the text as it was, under any split."""
    texts = list(pieces)
    data = b"".join(text + nego for text, nego in zip(texts, negotiations, strict=False))
    text, pending = b"", b""
    for piece in split_at(data, cuts):
        more, pending = strip_telnet(piece, pending)
        text += more
    assert (text, pending) == (b"".join(texts), b"")


def check_client(data: bytes, cuts: Iterable[int]) -> None:
    """A client raises nothing but RemoteError, and never returns a forbidden character."""
    client = ClientProtocol()
    try:
        for piece in split_at(data, cuts):
            check_no_forbidden_text(texts_in(tuple(client.receive_data(piece).notices)))
    except RemoteError as error:
        check_no_forbidden_text([str(error)])


def is_good_id(id: str | None) -> bool:
    """Whether a server takes an id, by the words of docs/protocol.md."""
    return id is None or (len(id) <= 64 and not any(map(is_forbidden, id)))


def check_hash_seeds(seed: int, length: int, *, before: str = "") -> None:
    """A log replayed in interpreters with different hash seeds gives the same, every time.

    `before` is Python that each interpreter runs first.
    """
    program = f"{before}\nfrom tests.core.replay import main\nmain()"
    runs = [
        subprocess.Popen(
            [sys.executable, "-c", program, str(seed), str(length)],
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": os.getcwd()},
        )
        for hash_seed in ("0", "1", "4242")
    ]
    results = [run.communicate()[0] for run in runs]
    assert [run.returncode for run in runs] == [0] * len(runs)
    assert len(set(results)) == 1, results


def check_snapshot_and_rest(log: list[Entry], cut: int, again: int) -> None:
    """A state restored in the middle of a log goes on as the one that saw the whole.

    The last `again` entries before the cut are given once more, as a log does after a crash.
    """
    whole = ChatState(limits=LIMITS)
    replay(log[:cut], whole)
    other = restored(whole.snapshot())
    assert other.digest() == whole.digest()
    for old in log[max(0, cut - again) : cut]:
        assert other.handle(old) == []
    assert replay(log[cut:], other).splitlines() == replay(log[cut:], whole).splitlines()
    assert other.digest() == whole.digest()
