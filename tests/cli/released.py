"""A folder as a release leaves it, for all versions that come after it: tests/data/VERSION.tar.gz.

`python -m tests.cli.released FILE` has a server write one: rooms, topics, messages of all kinds,
direct messages, accounts, what is restricted, a snapshot, and a log behind it that ends with a
kill. Beside it, in `told.json`, stands what that server answers about it, and the secrets by which
one is asked again. A later version has to answer the same; it may tell more.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final, Self

from tests.cli.serving import ServerProcess, Talker
from tests.cli.terminal import LIMIT_SECONDS, SERVER

DATA: Final = Path(__file__).parents[1] / "data"

TOLD: Final = "told.json"

# What restricts somebody ends by itself, so who is asked later tells something else. That it is
# kept is in the digest, which `replay` compares.
_OF_NOW: Final = ("restricted", "lifted")

# One line of JSON, and what is told to somebody until a question is answered.
Line = dict[str, Any]

# What these ask, when they have come back.
_QUESTIONS: Final = {
    "ada": (
        {"type": "topic", "room": "den"},
        {"type": "who", "room": "den"},
        {"type": "history", "room": "lobby", "limit": 100},
        {"type": "history", "room": "den", "limit": 100},
        {"type": "search", "words": "tea"},
        {"type": "search", "words": "teapot", "in": "den", "from": "bob"},
    ),
    "bob": ({"type": "history", "room": "den", "limit": 100},),
    "zoe": ({"type": "whois", "nick": "zoe"}, {"type": "devices"}, {"type": "audit"}),
}


class Person:
    """Somebody who speaks JSON Lines."""

    def __init__(self, address: str, **hello: str) -> None:
        self._talker = Talker(address, f"{json.dumps({'type': 'hello', **hello})}\n")
        self.welcome = self.until("resumed" if hello else "welcome")[-1]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self._talker.__exit__()

    def until(self, kind: str) -> list[Line]:
        """What is told up to the first notice of a kind, with it."""
        lines = self._talker.read_until(f'{{"type":"{kind}"')
        return [json.loads(line) for line in lines]

    def tell(self, **request: Any) -> list[Line]:
        """Ask something; what is told until it is answered, without what is about now only."""
        # Which is answered when all before it is done.
        for each in (request, {"type": "rooms"}):
            self._talker.send(f"{json.dumps(each)}\n")
        return [_of_then(line) for line in self.until("rooms")[:-1]]

    def do(self, **request: Any) -> list[Line]:
        """Ask for something that is not refused."""
        told = self.tell(**request)
        assert [line for line in told if line["type"] == "rejected"] == [], told
        return told

    def leave(self) -> None:
        """Go for good."""
        self._talker.send('{"type":"quit"}\n')
        self._talker.read_to_end()

    def say(self, room: str, text: str, **more: Any) -> None:
        """Say something; it is kept when this returns."""
        told = self.do(type="say", room=room, text=text, id=text, **more)
        assert "sent" in [line["type"] for line in told]


def _of_then(line: Line) -> Line:
    """Without the time of the answer."""
    return {key: value for key, value in line.items() if key != "at" or "text" in line}


@contextmanager
def serving(folder: Path, program: str) -> Iterator[tuple[ServerProcess, str]]:
    """A server on a folder, and its address; it is killed at the end."""
    arguments = (
        "--port",
        "0",
        "--data",
        str(folder),
        "--rooms",
        "lobby",
        "--flood-rate",
        "0",
        "--grace",
        "3600",
    )
    with ServerProcess(*arguments, program=program) as server:
        yield server, server.read_address()


def stop(server: ServerProcess) -> None:
    """End it as an operator does."""
    server.process.terminate()
    status, _, log = server.wait()
    assert status == 0, log


def tool(program: str, *arguments: object) -> str:
    """What a tool of the server prints."""
    return subprocess.run(
        [program, *map(str, arguments)],
        stdout=subprocess.PIPE,
        text=True,
        timeout=LIMIT_SECONDS,
        check=True,
    ).stdout


# ── Writing one ──────────────────────────────────────────────────────────────────────────────────


def write(folder: Path, program: str = SERVER) -> dict[str, str]:
    """Have a server make a folder; the secrets by which people come back."""
    with serving(folder, program) as (server, address):
        with Person(address) as ada:
            ada.do(type="nick", nick="ada")
            ada.do(type="join", room="lobby")
            for text in ("good morning", "tea at four", "grüße an alle"):
                ada.say("lobby", text)
            ada.do(type="topic", room="lobby", topic="tea at four")
            ada.leave()
        stop(server)
    tool(program, "compact", folder)  # with a snapshot, behind which the log begins
    with serving(folder, program) as (server, address):
        code = tool(program, "admin", "--data", folder, "invite", "zoe", "--admin").split()[0]
        with Person(address) as zoe:
            claimed = zoe.do(type="claim", code=code, name="laptop")
            device = next(line["token"] for line in claimed if line["type"] == "claimed")
            zoe.do(type="join", room="den")
            zoe.do(type="mode", room="den", kept=True)
        stop(server)
    with (
        serving(folder, program) as (_server, address),  # which ends with a kill
        Person(address) as ada,
        Person(address) as bob,
        Person(address) as eve,
    ):
        people = {"ada": ada, "bob": bob, "eve": eve}
        for nick, each in people.items():
            each.do(type="nick", nick=nick)
            each.do(type="join", room="lobby")
            each.do(type="join", room="den")
        with Person(address) as zoe:
            zoe.do(type="login", device=device)
            zoe.do(type="role", room="den", nick="ada", role="moderator")
        ada.do(type="topic", room="den", topic="teapots")
        bob.say("den", "a teapot of tea")
        bob.say("den", "makes more tea", emote=True)
        bob.say("den", "it rains", notice=True)
        bob.say("den", "and with tags", tags={"reply": "1"})
        eve.say("den", "spam")
        ada.do(type="redact", room="den", nick="eve")
        ada.do(type="restrict", room="den", nick="eve", what="ban", reason="spam")
        ada.do(type="restrict", room="den", nick="bob", what="mute", ms=999_999_999_999)
        ada.do(type="tell", nick="bob", text="psst", id="t")
        ada.say("lobby", "the last thing before the kill")
        tokens = {nick: str(each.welcome["token"]) for nick, each in people.items()}
    return {"device": device, **tokens}


# ── Asking about one ─────────────────────────────────────────────────────────────────────────────


def ask(folder: Path, secrets: dict[str, str], program: str = SERVER) -> dict[str, list[Line]]:
    """What a server answers about a folder, to each who comes back to it."""
    tool(program, "replay", folder)  # it comes to what was recorded on the way
    told: dict[str, list[Line]] = {}
    with serving(folder, program) as (server, address):
        for nick, questions in _QUESTIONS.items():
            with _back(address, nick, secrets) as person:
                lines = [person.welcome] if nick in secrets else []
                for question in questions:
                    lines += _answer(person, question)
            told[nick] = [line for line in lines if line["type"] not in _OF_NOW]
        stop(server)
    return told


def _back(address: str, nick: str, secrets: dict[str, str]) -> Person:
    if nick in secrets:
        return Person(address, token=secrets[nick])
    person = Person(address)
    person.do(type="login", device=secrets["device"])
    return person


def _answer(person: Person, question: Line) -> list[Line]:
    """What is told until then; asked again while the archive is not ready to look."""
    while (told := person.tell(**question)) and told[-1].get("reason") == "unavailable":
        pass
    return told


def still_holds(then: object, now: object) -> bool:
    """Whether what was told then is told now: there may be more in it, and nothing else."""
    match then, now:
        case dict(), dict():
            return all(key in now and still_holds(value, now[key]) for key, value in then.items())
        case list(), list():
            return len(then) == len(now) and all(map(still_holds, then, now))
        case _:
            return then == now


def main(argv: Sequence[str] | None = None) -> None:
    """Write a file. Exits with 1 when it is there already."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument(
        "file", type=Path, help="the file to write, such as tests/data/0.2.0.tar.gz"
    )
    parser.add_argument("--server", default=SERVER, help="the tcpchat-server of the release")
    given = parser.parse_args(argv)
    if given.file.exists():
        sys.exit(f"{given.file} is there already: what a release has written stays as it is")
    with TemporaryDirectory() as made:
        os.environ.setdefault("XDG_DATA_HOME", made)
        folder, copy = Path(made) / "data", Path(made) / "copy"
        secrets = write(folder, given.server)
        shutil.copytree(folder, copy, ignore=shutil.ignore_patterns("control"))
        told = ask(copy, secrets, given.server)
        text = json.dumps({"secrets": secrets, "told": told}, ensure_ascii=False, indent=1)
        (folder / TOLD).write_text(text)
        with tarfile.open(given.file, "w:gz") as tar:
            for path in sorted(folder.iterdir()):
                if path.is_file() and not path.name.endswith("-shm"):
                    tar.add(path, path.name)
    print(f"{given.file}: {given.file.stat().st_size:,} bytes; commit it")


if __name__ == "__main__":
    main()
