"""A server that says what no server says: the client stays quick, small and true."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from queue import SimpleQueue

import msgspec
import pytest

from tests.cli.hostile import AT, entered, hostile, line, said
from tests.cli.terminal import CLIENT, LIMIT_SECONDS, Terminal

# What the client has resident when nothing was said to it is some 45 MB.
MOST_RESIDENT = 150_000_000

EVIL = "\x1b]0;owned\x07\x1b[2J\x9b31m\u202e\r\n12:00 ada: forged"


def page(room: str, *seqs: int, more: bool = True) -> bytes:
    messages = [
        {"room": room, "nick": "bob", "text": f"old {seq}", "seq": seq, "at": AT} for seq in seqs
    ]
    return line("history", room=room, messages=messages, more=more)


def many(count: int, make: Callable[[int], bytes]) -> bytes:
    return b"".join(make(number) for number in range(count))


HOSTILE = {
    "rooms never joined": lambda: many(
        4_000, lambda n: entered(f"room{n}") + said(1, room=f"room{n}")
    ),
    "nicks": lambda: many(
        40_000, lambda n: line("joined", room="lobby", nick=f"nick{n}", seq=n, at=AT)
    ),
    "people who write": lambda: many(
        5_000, lambda n: line("told", nick=f"nick{n}", text="psst", seq=n + 1, at=AT)
    ),
    "people who change": lambda: many(
        5_000, lambda n: line("renamed", old=f"nick{n}", new=f"nick{n + 1}")
    ),
    "a flood": lambda: many(5_000, lambda n: said(n + 1, f"line {n}")),
    "answers nobody asked for": lambda: many(
        2_000,
        lambda n: (
            line("sent", id=f"x{n}", room="lobby", seq=n, at=AT)
            + line("rejected", id=f"x{n}", reason="bad", text=f"no {n}", request="say")
            + line("ponged", id=f"x{n}")
        ),
    ),
    "huge names": lambda: b"".join(
        [
            entered("r" * 200_000, topic="t" * 200_000),
            said(1, "x" * 200_000, nick="n" * 200_000),
            line("told", nick="m" * 200_000, text="y", seq=1, at=AT),
            line("renamed", old="a" * 200_000, new="b" * 200_000, own=True),
            line("rooms", rooms=[{"room": "q" * 200_000, "members": 1, "topic": "z" * 200_000}]),
        ]
    ),
    "pages in no order": lambda: page("lobby", 9, 3, 7, 7, -5) * 50 + page("never", 1, 2) * 50,
    "numbers that go back": lambda: many(2_000, lambda n: said(2_000 - n, f"back {n}")),
    "numbers that are none": lambda: (
        many(
            100,
            lambda n: line("said", room="lobby", nick="bob", text="x", seq=2**62 + n, at=-(2**62)),
        )
        + line("left", room="lobby", nick="bob", by="eve", at=2**62, until=-(2**62))
    ),
    "what never was is taken back": lambda: many(
        2_000, lambda n: line("redacted", room="lobby", seq=n, by="eve", at=AT, nick="bob")
    ),
    "notices of no kind": lambda: many(5_000, lambda n: line(f"kind{n}", room="lobby", x=n)),
    "help without an end": lambda: line("help", lines=[f"{EVIL} {n}" for n in range(50_000)]),
    "what a terminal obeys": lambda: b"".join(
        [
            said(1, EVIL),
            said(2, "text", nick=EVIL),
            entered(EVIL, topic=EVIL),
            line("told", nick=EVIL, text=EVIL, seq=1, at=AT),
            line("announced", text=EVIL),
            line("topic", room="lobby", topic=EVIL, nick=EVIL, seq=3, at=AT),
            line("rejected", reason="bad", text=EVIL, request=EVIL),
        ]
    ),
}


def asks(asked: SimpleQueue[bytes], what: bytes) -> bool:
    """Whether that is asked for, sooner or later."""
    return any(what in request for request in iter(lambda: asked.get(timeout=LIMIT_SECONDS), b""))


def resident(pid: int | None) -> int:
    """Bytes of memory that a program has."""
    status = Path(f"/proc/{pid}/status").read_text().splitlines()
    return 1_024 * next(int(row.split()[1]) for row in status if row.startswith("VmRSS:"))


# What may take all of the screen is said there, too.
IN_PANES = ("rooms never joined", "huge names", "what a terminal obeys", "a flood")

# What a terminal would obey, or what nobody may read.
NEVER_WRITTEN = (b"Traceback", b"]0;owned\x07", b"\x9b31m", "\u202e".encode())


@pytest.mark.parametrize(
    ("name", "options"),
    [(name, ()) for name in HOSTILE]
    + [(name, ("--full-screen",)) for name in IN_PANES]
    + [(name, ("--plain-ui",)) for name in HOSTILE],
)
def test_whatever_a_server_says_the_client_stays_quick_small_and_true(
    name: str, options: tuple[str, ...]
) -> None:
    argv = ["--nick", "ada", "--room", "lobby", *options]
    with hostile(HOSTILE[name]) as (address, asked), Terminal([CLIENT, address, *argv]) as ada:
        # It may have left the screen by then: what is new elsewhere is told behind it.
        ada.wait_until(lambda: ada.shows("that was all") or b"that was all" in ada.output)
        ada.enter("still here")
        assert asks(asked, b"still here")
        assert resident(ada.child.pid) < MOST_RESIDENT
        forged = ("12:00 ada: forged", "ada: forged")
        assert not any(row.startswith(forged) for row in ada.scrollback)
        ada.type("\x04")
        assert ada.wait_for_exit() == 0
        for never in (*NEVER_WRITTEN, *((b"\x1b",) if "--plain-ui" in options else ())):
            assert never not in ada.output


PIPES = {
    "tail": ("tail", "lobby", "--follow", "--retry", "0", "--server"),
    "tail --json": ("tail", "lobby", "--follow", "--retry", "0", "--json", "--server"),
    "--json": ("--json", "--room", "lobby"),
    "": ("--room", "lobby"),
}


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("pipe", PIPES)
def test_whatever_a_server_says_a_program_reads_whole_lines_of_it(pipe: str, name: str) -> None:
    with hostile(HOSTILE[name]) as (address, asked):
        argv = [CLIENT, *PIPES[pipe], address, "--nick", "ada"]
        with subprocess.Popen(argv, stdin=-1, stdout=-1, stderr=-1) as program:
            assert program.stdin is not None
            assert program.stdout is not None
            assert program.stderr is not None
            read = [*iter_to(program.stdout.readline, b"that was all")]
            assert resident(program.pid) < MOST_RESIDENT
            if "tail" in pipe:
                program.terminate()
            else:
                program.stdin.write(b"still here\n")
                program.stdin.close()
                assert asks(asked, b"still here")
            read += program.stdout.readlines()
            complaints = program.stderr.read()
        assert program.returncode in {0, 1}
        for never in (*NEVER_WRITTEN, b"\x1b"):
            assert never not in b"".join(read) + complaints
        assert all(line.startswith(b"tcpchat-client: ") for line in complaints.splitlines())
        if "--json" in pipe:
            assert all(isinstance(msgspec.json.decode(each), dict) for each in read)
        else:
            assert all(each.startswith((b"[", b"*", b"-", b"!", b"<")) for each in read)


def iter_to(readline: Callable[[], bytes], last: bytes) -> Iterator[bytes]:
    """Lines up to one that has that in it, with it."""
    while line := readline():
        yield line
        if last in line:
            return
    pytest.fail(f"{last!r} never came")


def test_more_rooms_than_anybody_is_in_end_the_conversation_with_one_sentence() -> None:
    argv = ["--nick", "ada", "--room", "lobby"]
    rooms = hostile(lambda: many(5_000, lambda n: entered(f"room{n}")))
    with rooms as (address, _), Terminal([CLIENT, address, *argv]) as ada:
        assert ada.wait_for_exit() == 1
        assert "the server put us into more than 4,096 rooms" in " ".join(ada.rows)
        assert b"Traceback" not in ada.output
