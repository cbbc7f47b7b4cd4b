"""Nodes as processes, and people who talk on them, whatever becomes of nodes and engine.

    with Team(tmp_path, engine.url("team"), 3) as team, Talk(team) as talk:
        talk.begin()
        team.nodes[0].kill()
        talk.go_on()
        talk.finish()

Rule 1: What returns has happened. A node that was started listens, one that was killed is gone.

Rule 2: Every wait ends. One that is in vain is an AssertionError with the logs of all nodes in it.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path
from typing import Final, Self

import gevent

from tcpchat_core import Notice, TcpchatError, notices
from tcpchat_net import ChatClient
from tests.cli.log_lines import events_in, unknown
from tests.cli.serving import FIRST_WORDS, environment
from tests.cli.terminal import LIMIT_SECONDS, SERVER
from tests.cluster.ports import HOST, Port
from tests.net.peers import Peer

# Between two looks at something that another process does.
_LOOK_SECONDS: Final = 0.005

# Between a receipt and what is said next: so much is said that there is always something on its
# way, and not so much that a test is about speed.
_PAUSE_SECONDS: Final = 0.005

# How many receipts each who talks has to be given before a test goes on.
RECEIPTS: Final = 10

ROOM: Final = "lobby"


def until(holds: Callable[[], bool], complaint: Callable[[], str] = lambda: "") -> None:
    """Look until it holds; what does not come fails the test."""
    deadline = time.monotonic() + LIMIT_SECONDS
    while not holds():
        assert time.monotonic() < deadline, complaint()
        gevent.sleep(_LOOK_SECONDS)


class NodeProcess:
    """A tcpchat-server that shares a log. It has a port of its own over all its starts."""

    def __init__(self, url: str, folder: Path, *arguments: str) -> None:
        self.url = url
        self.folder = folder
        self.environment: dict[str, str] = {}
        self._arguments = arguments
        self._port = Port()
        self._process: subprocess.Popen[bytes] | None = None
        self._starts = 0  # how many of these there were
        self._home = tempfile.TemporaryDirectory(prefix="tcpchat-node-")
        self._output = Path(self._home.name, "stdout")
        self._log = Path(self._home.name, "stderr")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.kill()
        self._port.close()
        self._home.cleanup()

    # ── What it is ───────────────────────────────────────────────────────────────────────────

    @property
    def place(self) -> tuple[str, int]:
        """Where it listens."""
        return HOST, self._port.number

    @property
    def pid(self) -> int:
        """The process that runs."""
        assert self._process is not None, "the node does not run"
        return self._process.pid

    @property
    def runs(self) -> bool:
        return self._process is not None

    @property
    def begins(self) -> int:
        """How often it has begun to listen."""
        again = self.log_text().count("event=began-anew")
        return _text(self._output).count(FIRST_WORDS) + again

    def log_text(self) -> str:
        """All that it has logged, over all its starts."""
        return _text(self._log)

    # ── What becomes of it ───────────────────────────────────────────────────────────────────

    def spawn(self) -> None:
        """Start it, and do not wait."""
        assert self._process is None, "the node runs"
        self._starts = self.begins
        command = [SERVER, "--port", str(self._port.number), "--log", self.url]
        if self.folder.name:
            command += ["--data", str(self.folder)]
        with self._output.open("ab") as output, self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [*command, *self._arguments],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=log,
                env=environment() | self.environment,
            )

    def start(self) -> None:
        """Start it, or start it again, and wait until it listens."""
        self.spawn()
        self.until_listening()

    def until_listening(self) -> None:
        """Wait until it does, since its start."""
        self.until(lambda: self.begins > self._starts, "listen")

    def kill(self) -> None:
        """From one moment to the next; nothing when it does not run."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def stop(self) -> None:
        """End it as an operator does."""
        os.kill(self.pid, signal.SIGTERM)
        assert self.until_ended() == 0, self._complaint("end well")

    def until_ended(self) -> int:
        """Wait until it has ended; its status."""
        process = self._process
        assert process is not None, "the node does not run"
        until(lambda: process.poll() is not None, lambda: self._complaint("end"))
        self._process = None
        wrong = unknown(events_in(self.log_text()))
        assert not wrong, f"vocabulary.py lacks {', '.join(wrong)}"
        return process.returncode

    def pause(self) -> None:
        """Have it do nothing, as a machine that hangs. Its connections stay."""
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """Have it go on."""
        os.kill(self.pid, signal.SIGCONT)

    def until_logged(self, words: str, times: int = 1) -> None:
        """Wait until it has said that so often."""
        self.until(lambda: self.log_text().count(words) >= times, f"say {words!r}")

    def until_begun_anew(self, begins: int) -> None:
        """Wait until it has begun to listen once more than so often."""
        self.until(lambda: self.begins > begins, "begin anew")

    def until(self, holds: Callable[[], bool], what: str) -> None:
        """Wait until it has done something; it may not end before."""
        process = self._process
        assert process is not None, "the node does not run"

        def look() -> bool:
            assert process.poll() is None, self._complaint(what)
            return holds()

        until(look, lambda: self._complaint(what))

    def _complaint(self, what: str) -> str:
        return f"the node at {self.place} did not {what}; its log:\n{self.log_text()}"

    # ── Who is there ─────────────────────────────────────────────────────────────────────────

    def peer(self, nick: str, *rooms: str) -> Peer:
        """Somebody with nc, in rooms, the last of them the current one."""
        peer = Peer(self.place, f"/nick {nick}\n".encode())
        peer.read_until(f"* You are now {nick}")
        for room in rooms:
            peer.send(f"/join {room}\n")
            peer.read_until(f"* You joined {room}")
        return peer

    def exported(self, room: str) -> list[dict[str, object]]:
        """What its archive has of a room."""
        command = [SERVER, "export", str(self.folder), "--room", room, "--format", "jsonl"]
        # In a thread: one greenlet waits, not all of them. (With gevent's own subprocess the loop
        # would reap every child of this process, and the status of each would be 0.)
        run = partial(subprocess.run, command, capture_output=True, timeout=LIMIT_SECONDS)
        done = gevent.get_hub().threadpool.apply(run)
        if done.returncode:  # nothing is kept of that room, or it cannot be read
            return []
        return [json.loads(line) for line in done.stdout.splitlines()]


class Team:
    """Nodes 1, 2 … that share a log, each with a folder in `home`. They run from the beginning.

    `urls` is what each is told, or what all are told. They let everybody say as much as they like,
    and remember all of it.
    """

    def __init__(
        self, home: Path, urls: str | Sequence[str], count: int = 2, *arguments: str
    ) -> None:
        told = [urls] * count if isinstance(urls, str) else urls
        common = ("--flood-rate", "0", "--flood-burst", "1000", "--history", "10000")
        self._closing = ExitStack()
        self.nodes = [
            self._closing.enter_context(
                NodeProcess(
                    url, home / f"node-{number}", "--node", str(number), *common, *arguments
                )
            )
            for number, url in enumerate(told, 1)
        ]

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self._closing.close()
            raise
        return self

    def __exit__(self, *_error: object) -> None:
        self._closing.close()

    def start(self) -> None:
        """Start those that do not run, at the same time."""
        starting = [node for node in self.nodes if not node.runs]
        for node in starting:
            node.spawn()
        for node in starting:
            node.until_listening()

    def stop(self) -> None:
        """End all as an operator does, one after the other."""
        for node in self.nodes:
            if node.runs:
                node.stop()

    def logs(self) -> str:
        """What all nodes have logged."""
        return "\n".join(f"── {node.place}:\n{node.log_text()}" for node in self.nodes)

    def places(self, first: int = 0) -> list[tuple[str, int]]:
        """Where the nodes listen, beginning with one of them."""
        places = [node.place for node in self.nodes]
        return places[first:] + places[:first]


class Person:
    """Somebody who is on a node, goes to the next when it is lost, and keeps all that is told."""

    def __init__(self, nick: str, places: Sequence[tuple[str, int]], *rooms: str) -> None:
        (host, port), *others = places
        self.nick, self.rooms = nick, rooms
        self.chat = ChatClient(
            host, port, others=others, nick=nick, timeout=LIMIT_SECONDS, reconnect=3_600
        )
        for room in rooms:
            self.chat.join(room)
        self.receipts: dict[str, notices.Sent] = {}
        self.told: list[Notice] = []
        self._listening = gevent.spawn(self._listen)

    def _listen(self) -> None:
        with suppress(TcpchatError):  # the end; who says something next hears of it, too
            while True:
                self.told.append(self.chat.next_notice())

    def say(self, text: str) -> None:
        """Say it in the first room; back when there is a receipt."""
        assert text not in self.receipts, text
        self.receipts[text] = self.chat.say(self.rooms[0], text)

    @property
    def place(self) -> tuple[str, int]:
        """The node that it is on, or tries to reach."""
        return self.chat._servers[0]

    @property
    def heard(self) -> list[notices.Said]:
        """What others have said in the first room."""
        return [
            each
            for each in self.told
            if isinstance(each, notices.Said) and each.room == self.rooms[0]
        ]

    def close(self) -> None:
        self.chat.close()
        self._listening.kill()


class Talk:
    """People who talk in one room, spread over the nodes of a team; one more only listens."""

    def __init__(self, team: Team, talkers: int = 4) -> None:
        self.team = team
        self.talkers = [self._person(f"p{number}", number) for number in range(talkers)]
        self.people = [*self.talkers, self._person("listener", 0)]
        self._talking: list[gevent.Greenlet[..., None]] = []
        self._is_over = False

    def _person(self, nick: str, number: int) -> Person:
        # Each in a room of the own, too: it is still there when all is over.
        places = self.team.places(number % len(self.team.nodes))
        return Person(nick, places, ROOM, f"of-{nick}")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self._is_over = True
        gevent.killall(self._talking)
        gevent.joinall([gevent.spawn(person.chat._reader.kill) for person in self.people])
        for person in self.people:
            person.close()

    def begin(self) -> None:
        """Everybody talks, one message after the other, and has been heard when this returns."""
        self._talking = [gevent.spawn(self._talk, person) for person in self.talkers]
        self.go_on()

    def _talk(self, person: Person) -> None:
        while not self._is_over:
            person.say(f"{person.nick} {len(person.receipts) + 1}")
            gevent.sleep(_PAUSE_SECONDS)

    def go_on(self, receipts: int = RECEIPTS, *, but_on: NodeProcess | None = None) -> None:
        """Wait until each who talks has so many receipts more; who is on that node need not."""
        talkers = [each for each in self.talkers if not but_on or each.place != but_on.place]
        wanted = [len(person.receipts) + receipts for person in talkers]

        def there() -> bool:
            self._raise_errors()
            given = [len(person.receipts) for person in talkers]
            return all(have >= want for have, want in zip(given, wanted, strict=True))

        until(there, self._complaint)

    def receipts(self) -> int:
        """How many were given so far."""
        return sum(len(person.receipts) for person in self.talkers)

    def finish(self) -> None:
        """Everybody ends, says a last word, and hears that of all others; then all is looked at.

        The archive of each node that runs has the last of it by then: where nobody is, a node may
        come to the end of the log later than all who have heard it.
        """
        self._is_over = True
        until(lambda: all(each.ready() for each in self._talking), self._complaint)
        self._raise_errors()
        last = gevent.joinall(
            [gevent.spawn(each.say, f"{each.nick} ends") for each in self.people],
            timeout=LIMIT_SECONDS,
            raise_error=True,
        )
        assert len(last) == len(self.people), self._complaint()
        for person in self.people:
            until(lambda person=person: self._has_heard_all(person), self._complaint)  # type: ignore[misc] # mypy infers no type for a default
        until(self._have_nodes_kept_the_end, self._complaint)
        self.check()

    def _has_heard_all(self, person: Person) -> bool:
        ends = {each.text for each in person.heard if each.text.endswith(" ends")}
        return len(ends) == len(self.people) - 1

    def _have_nodes_kept_the_end(self) -> bool:
        last = max(receipt.seq or 0 for each in self.people for receipt in each.receipts.values())
        running = [node for node in self.team.nodes if node.runs]
        exporting = [gevent.spawn(node.exported, ROOM) for node in running]
        kept = [each.get() for each in exporting]
        return all(said and said[-1]["seq"] == last for said in kept)

    def check(self) -> None:
        """What has a receipt was shown to everybody once, in one order, and in one place."""
        places: dict[str, int] = {}
        for person in self.people:
            for text, receipt in person.receipts.items():
                assert receipt.seq is not None
                places[text] = receipt.seq
        numbers = sorted(places.values())
        assert numbers == list(range(numbers[0], numbers[0] + len(numbers))), "there are holes"
        for person in self.people:
            heard = [(each.seq, each.text) for each in person.heard]
            wanted = sorted(
                (seq, text) for text, seq in places.items() if text not in person.receipts
            )
            assert heard == wanted, _difference(person.nick, heard, wanted)
            gaps = [each for each in person.told if isinstance(each, notices.Gap)]
            assert not gaps, (person.nick, gaps)
            gone = [
                each
                for each in person.told
                if isinstance(each, notices.Gone | notices.Left | notices.Renamed)
                and not getattr(each, "nick", "guest-").startswith("guest-")
            ]
            assert not gone, (person.nick, gone)
            assert person.chat.nick == person.nick
            assert set(person.chat.rooms) == set(person.rooms)

    def check_archives(self, but: NodeProcess | None = None) -> None:
        """The archive of each node has all of it, once. Call it when the nodes have ended."""
        nodes = [node for node in self.team.nodes if node is not but]
        receipts = [each for person in self.people for each in person.receipts.items()]
        wanted = sorted((receipt.seq, text) for text, receipt in receipts)
        exporting = [gevent.spawn(node.exported, ROOM) for node in nodes]
        for node, exported in zip(nodes, exporting, strict=True):
            kept = [(each["seq"], each["text"]) for each in exported.get()]
            assert kept == wanted, _difference(str(node.place), kept, wanted)

    def _raise_errors(self) -> None:
        for greenlet in self._talking:
            if greenlet.ready():
                greenlet.get()

    def _complaint(self) -> str:
        given = {person.nick: len(person.receipts) for person in self.people}
        return f"people do not come on; receipts so far: {given}\n{self.team.logs()}"


def _difference(who: str, heard: Sequence[object], wanted: Sequence[object]) -> str:
    lacks = [each for each in wanted if each not in set(heard)][:5]
    more = [each for each in heard if each not in set(wanted)][:5]
    return (
        f"{who}: {len(heard)} of {len(wanted)}; lacks {lacks}; has too much {more}, or not in order"
    )


def _text(path: Path) -> str:
    return path.read_text(errors="replace") if path.exists() else ""
