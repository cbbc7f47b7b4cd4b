"""A server that is killed again and again while people talk, and all that was promised of it.

`python -m tests.net.crashing --times 200` is the long run.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import gevent

from tcpchat_core import notices
from tcpchat_core.notices import Said
from tcpchat_net import ChatClient
from tests.cli.serving import ServerProcess
from tests.cluster.ports import Port
from tests.net.peers import LIMIT_SECONDS

SHIM = Path(__file__).with_name("disk_shim.c")

TALKERS = 4

# How many receipts are given before the server is killed again.
RECEIPTS_BETWEEN = 60


class Disk:
    """The folder of a server, on a disk that can be full, fail, and lose what is not synced."""

    def __init__(self, where: Path) -> None:
        self.folder = where / "data"
        self._state = where / "disk"
        (self._state / "synced").mkdir(parents=True)
        self._library = where / "disk_shim.so"
        command = ["cc", "-shared", "-fPIC", "-O1", "-o", str(self._library), str(SHIM), "-ldl"]
        subprocess.run(command, check=True, timeout=LIMIT_SECONDS)

    @property
    def environment(self) -> Mapping[str, str]:
        """For a server that uses it."""
        return {
            "LD_PRELOAD": str(self._library),
            "SHIM_FOLDER": str(self.folder),
            "SHIM_STATE": str(self._state),
        }

    def say(self, what: str, *, is_so: bool = True) -> None:
        """It is `full` or `broken` from now on, or not any more."""
        if is_so:
            (self._state / what).touch()
        else:
            (self._state / what).unlink()

    def cut_power(self) -> None:
        """Have the folder hold what was synced, and nothing else. Nobody may use it now."""
        names: dict[str, str] = {}
        for line in (self._state / "names").read_text().splitlines():
            inode, _, name = line.partition(" ")
            if inode == "0":  # the names of the folder, all of them
                names.clear()
            else:
                names[name] = inode
        synced = self._state / "synced"
        found = {
            name: (synced / inode).read_bytes()
            for name, inode in names.items()
            if (synced / inode).exists()
        }
        for path in (*self.folder.iterdir(), *synced.iterdir()):
            path.unlink()
        with (self._state / "names").open("w") as listed:
            for name, data in found.items():  # which is what the disk has from here on
                (self.folder / name).write_bytes(data)
                number = (self.folder / name).stat().st_ino
                (synced / str(number)).write_bytes(data)
                print(number, name, file=listed)


class Conversation:
    """People who talk in the lobby of a server, whatever becomes of it; and what they were told."""

    def __init__(self, folder: Path, environment: Mapping[str, str] | None = None) -> None:
        self.folder = folder
        self._environment = environment
        self._port = Port()  # held also while there is no server
        self.server = self._start()
        self.address = self.server.read_address()
        self.receipts: dict[str, notices.Sent] = {}
        self._talking: list[gevent.Greenlet[[ChatClient], None]] = []
        self._is_over = False
        self.people = [self._person(f"p{number}") for number in range(TALKERS)]
        self.listener = self._person("listener")

    def _start(self) -> ServerProcess:
        return ServerProcess(
            *("--port", str(self._port.number), "--data", str(self.folder), "--flood-rate", "0"),
            *("--log-level", "warning", "--rooms", "lobby"),
            # Who was dropped again and again waits for long until it comes back, and misses much.
            *("--history", "10000"),
            env=self._environment,
        )

    def _person(self, nick: str) -> ChatClient:
        host, _, port = self.address.rpartition(":")
        client = ChatClient(host, int(port), nick=nick, timeout=LIMIT_SECONDS, reconnect=3_600)
        client.join("lobby")
        return client

    def begin(self) -> None:
        """Everybody talks, one message after the other."""
        self._talking = [gevent.spawn(self._talk, person) for person in self.people]

    def _talk(self, person: ChatClient) -> None:
        nick, count = person.nick, 0
        while not self._is_over:
            count += 1
            text = f"{nick} {count}"
            self.receipts[text] = person.say("lobby", text)

    def until_receipts(self, more: int) -> None:
        """Wait until so many more receipts have come."""
        wanted = len(self.receipts) + more
        while len(self.receipts) < wanted:
            for greenlet in self._talking:
                greenlet.get(block=False) if greenlet.ready() else None
            gevent.sleep(0.001)

    def until_ended(self) -> tuple[int, str]:
        """Have people talk on until the server has ended by itself; its status, and its log."""
        with gevent.Timeout(LIMIT_SECONDS):
            while self.server.process.poll() is None:
                gevent.sleep(0.001)
        status, _, log = self.server.wait()
        return status, log

    def start_again(self) -> None:
        """After the server's end: the next one, on the same port."""
        self.server.__exit__()
        self.server = self._start()
        assert self.server.read_address() == self.address

    def kill(self) -> None:
        """From one moment to the next."""
        self.server.process.kill()
        self.server.process.wait()

    def end(self) -> None:
        """Everybody says a last word, and all that was promised is looked at."""
        self.hush()
        self.receipts["the end"] = self.listener.say("lobby", "the end")
        self.check()
        for person in (*self.people, self.listener):
            person.close()

    def hush(self) -> None:
        """Nobody says more than what is on its way."""
        self._is_over = True
        gevent.joinall(self._talking, raise_error=True)

    def check(self) -> None:
        """What has a receipt is there, in its place, once; and nobody missed or was told twice."""
        said = self._history()
        seqs = [each.seq for each in said]
        assert seqs == list(range(seqs[0], seqs[0] + len(seqs))), "the numbers have holes"
        texts = [each.text for each in said]
        assert len(set(texts)) == len(texts), "something was said twice"
        places = {each.text: each.seq for each in said}
        for text, receipt in self.receipts.items():
            assert places.get(text) == receipt.seq, f"{text!r} is not where its receipt says"
        heard = self._heard()
        others = [each for each in said if each.text != "the end"]
        assert heard == others, "somebody missed something"

    def _history(self) -> list[Said]:
        """All that was said in the lobby, by its pages."""
        messages: list[Said] = []
        before: int | None = None
        while True:
            page = self.listener.history("lobby", before=before, limit=200)
            messages[:0] = page.messages
            if not page.more:
                return messages
            before = page.messages[0].seq

    def _heard(self) -> list[Said]:
        """What the listener was told since it came; nobody has come or gone meanwhile."""
        heard: list[Said] = []
        with suppress(TimeoutError):  # all that was told before is there
            while True:
                notice = self.listener.next_notice(0)
                assert not isinstance(notice, notices.Gap), notice
                if isinstance(notice, notices.Joined | notices.Gone):
                    assert notice.nick.startswith("guest-"), notice
                if isinstance(notice, Said):
                    heard.append(notice)
        return heard

    def close(self) -> None:
        """End the server, however it is."""
        self._is_over = True
        gevent.killall(self._talking)
        self.server.__exit__()
        self._port.close()


def kill_again_and_again(folder: Path, times: int) -> int:
    """Kill a server so many times while people talk; how many receipts were given."""
    conversation = Conversation(folder)
    try:
        conversation.begin()
        for _ in range(times):
            conversation.until_receipts(RECEIPTS_BETWEEN)
            conversation.kill()
            conversation.start_again()
        conversation.until_receipts(RECEIPTS_BETWEEN)
        conversation.end()
    finally:
        conversation.close()
    return len(conversation.receipts)


def main() -> None:
    """The long run."""
    parser = argparse.ArgumentParser(description=kill_again_and_again.__doc__)
    parser.add_argument("--times", type=int, default=200)
    times = parser.parse_args().times
    os.environ.setdefault("XDG_DATA_HOME", tempfile.gettempdir())
    with tempfile.TemporaryDirectory(prefix="tcpchat-kill-") as folder:
        receipts = kill_again_and_again(Path(folder) / "data", times)
    print(f"killed {times} times, {receipts} receipts given, each kept", file=sys.stdout)


if __name__ == "__main__":
    main()
