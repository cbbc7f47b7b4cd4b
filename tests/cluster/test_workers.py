"""tcpchat-server --workers: several processes behind one port, and who looks after them.

Rule 1: Which worker somebody is on is decided by the kernel, as if by a coin. Whoever needs people
        on two workers lets so many come, one after the other, that all of them on one is out of
        the question: 64 of them are, once in 2^63 times.

Rule 2: The pids of workers are those that the supervisor tells in its log.
"""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

import gevent
import pytest
from tcpchat_cli.reloading import Own
from tcpchat_cli.settings import Settings, SettingsError, read_settings
from tcpchat_cli.workers import (
    MAX_PAUSE_S,
    RAN_WELL_S,
    Backoff,
    Place,
    Supervisor,
    reserve,
    tasks,
)

from tcpchat_core import events, notices
from tcpchat_core.dialects.jsonl import decode_notice, encode_request
from tcpchat_net import ChatClient
from tests.cli.serving import ServerProcess, Talker
from tests.cli.terminal import LIMIT_SECONDS, SERVER, Terminal
from tests.cluster.engines import Engine
from tests.cluster.ports import HOST

# See rule 1.
MANY: Final = 64

# So much may be said that somebody has not heard yet; a room remembers more.
AHEAD: Final = 50


def until(holds: Callable[[], bool]) -> None:
    """Look until it holds; what does not come fails the test. Greenlets go on meanwhile."""
    deadline = time.monotonic() + LIMIT_SECONDS
    while not holds():
        assert time.monotonic() < deadline
        gevent.sleep(0.005)


class Workers(ServerProcess):
    """Two workers on a free port, which share the log of an engine, and their supervisor."""

    def __init__(self, engine: Engine, *arguments: str) -> None:
        shared = ("--log", engine.url("team"), "--flood-rate", "0")
        super().__init__("--port", "0", "--workers", "2", *shared, *arguments)

    def pids(self) -> dict[int, int]:
        """The process that is each worker now, or was it last."""
        told = re.findall(r"event=serving worker=(\d+) .*pid=(\d+)", self.log_so_far())
        return {int(worker): int(pid) for worker, pid in told}

    def worker_of(self, nick: str) -> int:
        """On which worker somebody came to be called so."""
        line = re.compile(rf"worker=(\d+) event=renamed .* to={nick}\n")
        until(lambda: bool(line.search(self.log_so_far())))
        found = line.search(self.log_so_far())
        assert found is not None
        return int(found[1])

    def until_told(self, what: str) -> None:
        """Wait until the log has something."""
        until(lambda: what in self.log_so_far())

    def stop(self, number: signal.Signals = signal.SIGTERM) -> str:
        """End it as an operator does; its log. Nobody is left."""
        pids = self.pids()
        self.process.send_signal(number)
        status, _, log = self.wait()
        assert status == 0, log
        assert "Traceback" not in log
        assert all(is_gone(pid) for pid in pids.values())
        return log


@contextmanager
def serving(engine: Engine, *arguments: str) -> Iterator[tuple[Workers, str]]:
    """Two workers, and where they listen."""
    with Workers(engine, *arguments) as workers:
        yield workers, workers.read_address()


def is_gone(pid: int) -> bool:
    """Whether a process has ended, even if nobody has asked for its status.

    All of its threads have: until the last of them has, its sockets are open.
    """
    try:
        threads = [*Path(f"/proc/{pid}/task").iterdir()]
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return True
    return len(threads) == 1 and stat.rpartition(")")[2].split()[0] == "Z"


def is_free(address: str) -> bool:
    """Whether nobody listens there."""
    host, _, port = address.rpartition(":")
    try:
        reserve(host, int(port)).close()
    except OSError:
        return False
    return True


def client(address: str, nick: str) -> ChatClient:
    host, _, port = address.rpartition(":")
    return ChatClient(host, int(port), nick=nick, timeout=LIMIT_SECONDS, reconnect=LIMIT_SECONDS)


def one_on_each(workers: Workers, stack: ExitStack, address: str) -> dict[int, ChatClient]:
    """Clients in the lobby, one on each worker."""
    found: dict[int, ChatClient] = {}
    for number in range(MANY):
        nick = f"p{number}"
        chat = stack.enter_context(client(address, nick))
        if found.setdefault(workers.worker_of(nick), chat) is chat:
            chat.join("lobby")
        if len(found) == 2:
            break
    assert sorted(found) == [1, 2]
    return found


def hear(chat: ChatClient, last: str) -> list[str]:
    """What is said in rooms, up to a text, with it."""
    heard: list[str] = []
    hear_into(heard, chat, last)
    return heard


def hear_into(heard: list[str], chat: ChatClient, last: str) -> None:
    """As `hear`, for who wants to see how far it is."""
    while not heard or heard[-1] != last:
        match chat.next_notice(LIMIT_SECONDS):
            case notices.Said(text=text):
                heard.append(text)
            case notices.Gap() as missed:
                raise AssertionError(missed)
            case _:
                pass


# ── One port ─────────────────────────────────────────────────────────────────────────────────────


def test_people_on_two_workers_are_in_one_room(engine: Engine) -> None:
    with serving(engine) as (workers, address), ExitStack() as stack:
        there = one_on_each(workers, stack, address)
        there[1].say("lobby", "tea?")
        assert hear(there[2], "tea?") == ["tea?"]
        there[2].say("lobby", "please")
        assert hear(there[1], "please") == ["please"]


def test_the_first_lines_are_those_of_one_server_and_say_how_many_it_is(
    engine: Engine, tmp_path: Path
) -> None:
    with serving(engine, "--data", str(tmp_path)) as (workers, address):
        host, _, port = address.rpartition(":")
        assert [workers.read_line() for _ in range(6)] == [
            f"join:  tcpchat-client {address}",
            f"  or:  nc {host} {port}",
            f"  or:  open http://{address}/ in a browser",
            f"kept:  in team at {engine.address}, by nodes 1, 2, and in {tmp_path}/{{1,2}}",
            "runs:  2 workers",
            "stop:  Ctrl-C",
        ]
        assert {path.name for path in tmp_path.iterdir()} == {"1", "2"}
        workers.process.terminate()
        assert workers.wait()[1] == ""


def test_a_file_a_flag_and_the_environment_are_for_all_workers(tmp_path: Path) -> None:
    motd, file = tmp_path / "motd", tmp_path / "chat.toml"
    motd.write_text("Tea is at four.\n")
    with Engine(requirepass="open sesame") as engine:
        url = f"valkey://{engine.address}/0?name=team"
        file.write_text(f'workers = 2\nlog = "{url}"\nmotd = "{motd}"\nin-memory = true\n')
        told = {"TCPCHAT_LOG_PASSWORD": "open sesame"}
        flags = ("--config", str(file), "--port", "0", "--node", "7")
        with ServerProcess(*flags, env=told) as server:
            address = server.read_address()
            for _ in range(3):
                server.read_line()
            assert server.read_line() == f"kept:  in team at {engine.address}, by nodes 7, 8"
            pids = re.findall(r"pid=(\d+)", server.log_so_far())
            assert len(pids) == 2
            assert all(b"sesame" not in Path(f"/proc/{pid}/cmdline").read_bytes() for pid in pids)
            with Talker(address, "/rooms\n") as talker:
                assert "* Tea is at four." in talker.read_until("* There are no rooms yet.")
            server.process.terminate()
            assert server.wait()[0] == 0


def test_each_line_of_the_log_is_an_object_and_says_which_worker_it_is(engine: Engine) -> None:
    with serving(engine, "--log-format", "json") as (workers, address):
        with Talker(address, "/quit\n") as ada:
            ada.read_until("* Closing: bye")
        workers.process.terminate()
        status, _, log = workers.wait()
    assert status == 0
    told = [json.loads(line) for line in log.splitlines()]
    for event in ("started", "stopped"):
        assert sorted(line["worker"] for line in told if line["event"] == event) == [1, 2]
    (gone,) = [line for line in told if line["event"] == "gone"]
    assert gone["worker"] in (1, 2)


def test_each_line_says_of_which_worker_it_is_also_on_a_terminal(engine: Engine) -> None:
    argv = [SERVER, "--port", "0", "--workers", "2", "--log", engine.url("team"), "--in-memory"]
    with Terminal(argv, columns=160) as terminal:
        terminal.wait_for("stop:  Ctrl-C")
        terminal.type("\x03")  # to all that are in the foreground
        assert terminal.wait_for_exit() == 0
        assert re.search(r"\[1\] stopping connections=0", terminal.text)
        assert re.search(r"\[2\] stopping connections=0", terminal.text)


# ── What cannot be is said once ──────────────────────────────────────────────────────────────────


def refused(*arguments: str, env: dict[str, str] | None = None) -> str:
    """The one sentence with which it ends, status 1."""
    with ServerProcess("--port", "0", "--workers", "2", *arguments, env=env) as server:
        status, output, log = server.wait()
    assert (status, output) == (1, "")
    assert log.count("\n") == 1, log
    return log.removeprefix("tcpchat-server: ").removesuffix("\n")


def test_workers_without_a_log_are_told_what_to_start() -> None:
    assert refused() == (
        "workers need a log that they share: start Valkey, and give --log valkey://127.0.0.1:6379/0"
    )


def test_an_engine_that_cannot_be_reached_is_one_sentence() -> None:
    with socket.socket() as unused:
        unused.bind((HOST, 0))
        where = "{}:{}".format(*unused.getsockname())
        sentence = refused("--log", f"valkey://{where}")
    assert sentence == f"cannot reach the engine at {where}: connection refused"


def test_a_wrong_password_and_an_unsafe_engine_are_one_sentence() -> None:
    with Engine(requirepass="open sesame", appendonly="no") as engine:
        log = ("--log", f"valkey://{engine.address}")
        sentence = refused(*log, env={"TCPCHAT_LOG_PASSWORD": "sesame, open"})
        assert sentence.startswith(f"the engine at {engine.address} refuses the login: ")
        sentence = refused(*log, env={"TCPCHAT_LOG_PASSWORD": "open sesame"})
        assert "could lose what it has acknowledged: appendonly is no;" in sentence


@pytest.mark.parametrize("is_shared", [False, True])
def test_a_port_that_somebody_else_has_is_one_sentence(engine: Engine, is_shared: bool) -> None:
    with socket.create_server((HOST, 0), reuse_port=is_shared) as holder:
        port = holder.getsockname()[1]
        sentence = refused("--log", engine.url("team"), "--port", str(port))
    assert sentence == (
        f"cannot listen on {HOST}:{port}: the port is in use; choose another with --port"
    )


def test_a_worker_that_cannot_begin_ends_those_that_have_begun(
    engine: Engine, tmp_path: Path
) -> None:
    (tmp_path / "2").mkdir()
    (tmp_path / "2" / "log.db").touch()
    with Workers(engine, "--data", str(tmp_path)) as workers:
        status, output, log = workers.wait()
        assert [is_gone(pid) for pid in workers.pids().values()] == [True]
    assert (status, output) == (1, "")
    assert (
        f"tcpchat-server: {tmp_path}/2 is the folder of a server with a log of its own:"
        " give another with --data\n"
    ) in log


# ── What ends, and what does not ─────────────────────────────────────────────────────────────────


def test_a_worker_that_is_killed_is_started_again_and_its_sessions_go_on(engine: Engine) -> None:
    with serving(engine) as (workers, address), ExitStack() as stack:
        there = one_on_each(workers, stack, address)
        there[1].say("lobby", "one")
        before = workers.pids()
        os.kill(before[1], signal.SIGKILL)
        there[1].say("lobby", "two")  # on whichever worker it has come back to
        there[2].say("lobby", "three")
        assert hear(there[2], "two") == ["one", "two"]
        assert hear(there[1], "three") == ["three"]
        until(lambda: workers.pids()[1] != before[1])
        assert workers.pids()[2] == before[2]
        log = workers.stop()
    told = re.findall(r'level=warning event=worker-ended worker=1 text="(.*)"', log)
    assert told == ["worker 1 has ended by SIGKILL; it is started again at once"]


def test_no_worker_outlives_a_supervisor_that_is_killed(engine: Engine) -> None:
    with serving(engine) as (workers, address):
        pids = workers.pids().values()
        assert len(pids) == 2
        assert not is_free(address)
        workers.process.kill()
        until(lambda: all(is_gone(pid) for pid in pids))
        assert is_free(address)


def test_workers_are_restarted_one_after_the_other_and_nothing_is_lost(engine: Engine) -> None:
    with serving(engine) as (workers, address), ExitStack() as stack:
        there = one_on_each(workers, stack, address)
        before = workers.pids()
        for pid in (*before.values(), workers.process.pid):  # as systemd does
            os.kill(pid, signal.SIGUSR1)
        said: dict[int, list[str]] = {1: [], 2: []}
        heard: dict[int, list[str]] = {1: [], 2: []}

        def talk(number: int) -> None:
            other = 3 - number
            while "event=restarted" not in workers.log_so_far():
                # Who is away is not owed more than a room remembers.
                until(lambda: len(said[number]) - len(heard[other]) < AHEAD)
                text = f"{number}-{len(said[number])}"
                there[number].say("lobby", text)
                said[number].append(text)
            there[number].say("lobby", "end")
            said[number].append("end")

        talking = [gevent.spawn(talk, number) for number in there]
        hearing = [gevent.spawn(hear_into, heard[number], there[number], "end") for number in there]
        gevent.joinall(talking, raise_error=True)
        gevent.joinall(hearing, raise_error=True)
        assert heard == {1: said[2], 2: said[1]}
        assert min(map(len, said.values())) > 1
        after = workers.pids()
        assert before[1] != after[1]
        assert before[2] != after[2]
        log = workers.stop()
    told = re.findall(r"event=(restarting worker=\d|serving worker=\d|restarted)", log)
    assert told[2:] == [
        "restarting worker=1",
        "serving worker=1",
        "restarting worker=2",
        "serving worker=2",
        "restarted",
    ]


def test_a_hangup_is_for_all_workers(engine: Engine) -> None:
    with serving(engine) as (workers, _address):
        workers.process.send_signal(signal.SIGHUP)
        for number in (1, 2):
            workers.until_told(f"worker={number} event=reloaded changed=nothing")
        workers.stop()


def test_settings_that_are_read_again_hold_for_all_workers_and_for_those_that_come_later(
    engine: Engine, tmp_path: Path
) -> None:
    file = tmp_path / "chat.toml"
    file.write_text("grace = 30")
    with serving(engine, "--config", str(file)) as (workers, address):
        file.write_text("grace = 'x'")
        workers.process.send_signal(signal.SIGHUP)
        workers.until_told("the old settings stay in use: ")
        file.write_text('grace = 40\nnode = 7\nmotd = "/no/where"')
        workers.process.send_signal(signal.SIGHUP)
        workers.until_told("the old settings stay in use: --motd /no/where: cannot read")
        file.write_text("grace = 40\nnode = 7")
        workers.process.send_signal(signal.SIGHUP)
        workers.until_told("a restart is needed for node 0 → 7")
        for number in (1, 2):
            workers.until_told(f'worker={number} event=reloaded changed="grace 30 → 40"')
        assert graces(workers, address) == {1: 40_000, 2: 40_000}
        before = workers.pids()
        os.kill(before[1], signal.SIGKILL)
        until(lambda: workers.pids()[1] != before[1])
        assert graces(workers, address) == {1: 40_000, 2: 40_000}
        log = workers.stop()
    assert log.count("stay in use") == 2  # it is the supervisor that looks, once for all
    assert log.count('event=reloading changed="grace 30 → 40"') == 1


def graces(workers: Workers, address: str) -> dict[int, int]:
    """For how long each worker says that a session may be resumed."""
    found: dict[int, int] = {}
    with ExitStack() as stack:
        for number in range(MANY):
            nick = f"g{len(workers.log_so_far())}-{number}"
            hello = encode_request(events.Hello()) + encode_request(events.Nick(nick))
            talker = stack.enter_context(Talker(address, hello.decode()))
            welcome = decode_notice(talker.read_until('{"type":"welcome"')[-1].encode())
            assert isinstance(welcome, notices.Welcome)
            assert welcome.limits is not None
            found[workers.worker_of(nick)] = welcome.limits.grace_ms
            if len(found) == 2:
                break
    return found


def test_a_worker_that_is_starting_is_told_the_settings_that_hold_by_then(
    engine: Engine, tmp_path: Path
) -> None:
    file = tmp_path / "chat.toml"
    file.write_text("grace = 30")
    with Workers(engine, "--config", str(file)) as workers:
        # The first one is on its way, and so it is told its task and, later, the rest.
        workers.wait_until(lambda: worker_is_starting(workers.process.pid))
        file.write_text("grace = 40")
        workers.process.send_signal(signal.SIGHUP)
        address = workers.read_address()
        for number in (1, 2):
            workers.until_told(f"event=serving worker={number} ")
        until(lambda: set(graces(workers, address).values()) == {40_000})
        workers.stop()


def worker_is_starting(supervisor: int) -> bool:
    """Whether a supervisor has a child: from then on it hears signals."""
    return bool(Path(f"/proc/{supervisor}/task/{supervisor}/children").read_text().split())


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_all_workers_and_everybody_is_told(
    engine: Engine, number: signal.Signals
) -> None:
    with serving(engine) as (workers, address), Talker(address, "/join lobby\n") as ada:
        ada.read_until("* You joined lobby")
        workers.process.send_signal(number)
        assert ada.read_to_end()[-1] == "* Closing: this node is shutting down"
        ada.__exit__()
        workers.stop()


def test_systemd_may_send_its_signal_to_all_of_them(engine: Engine) -> None:
    with serving(engine) as (workers, address), Talker(address, "/join lobby\n") as ada:
        ada.read_until("* You joined lobby")
        for pid in (workers.process.pid, *workers.pids().values()):
            os.kill(pid, signal.SIGTERM)
        assert ada.read_to_end()[-1] == "* Closing: this node is shutting down"
        ada.__exit__()
        assert "started again" not in workers.stop()


def test_a_second_ctrl_c_ends_the_waiting_for_those_who_do_not_close(engine: Engine) -> None:
    with serving(engine) as (workers, address), Talker(address, "/join lobby\n") as ada:
        ada.read_until("* You joined lobby")
        workers.process.send_signal(signal.SIGINT)
        ada.read_until("* Closing")  # it waits now for this side to close
        workers.stop(signal.SIGINT)


def test_a_worker_that_does_not_end_is_killed(engine: Engine, tmp_path: Path) -> None:
    hurried = "from tcpchat_cli import server, workers; workers.END_S = 0.1; server.main()"
    argv = [sys.executable, "-c", hurried, "--port", "0", "--workers", "2", "--in-memory"]
    with (
        (tmp_path / "log").open("w") as log,
        subprocess.Popen(
            [*argv, "--log", engine.url("team")], stdout=subprocess.PIPE, stderr=log, text=True
        ) as process,
    ):
        try:
            assert process.stdout is not None
            while "stop:" not in process.stdout.readline():
                pass
            pid = int(re.findall(r"worker=1 .*pid=(\d+)", (tmp_path / "log").read_text())[0])
            os.kill(pid, signal.SIGSTOP)
            process.terminate()
            assert process.wait(LIMIT_SECONDS) == 0
            assert is_gone(pid)
        finally:
            process.kill()
    assert "worker 1 does not end, and is killed" in (tmp_path / "log").read_text()


# ── Without processes ────────────────────────────────────────────────────────────────────────────


def test_who_asks_for_the_end_does_not_wait_for_those_who_asked_for_reloads() -> None:
    looked = []

    class Source(Own):
        def read(self) -> Settings:
            looked.append(self)
            raise SettingsError("this test has none")

    def run(*signals: signal.Signals) -> int:
        """What a supervisor does by signals that came at once; how often it has read settings."""
        looked.clear()
        settings = Settings(workers=2, log=f"valkey://{HOST}:1", in_memory=True)
        supervisor = Supervisor(settings, Place(HOST, 0), Source())
        wake, woken = socket.socketpair()
        with wake, woken:
            wake.setblocking(False)
            woken.setblocking(False)
            woken.send(bytes(signals))
            handler = signal.signal(signal.SIGCHLD, lambda *_: None)
            descriptor = signal.set_wakeup_fd(woken.fileno())
            try:
                supervisor.run(wake)
            finally:
                signal.set_wakeup_fd(descriptor)
                signal.signal(signal.SIGCHLD, handler)
        return len(looked)

    hangups = [signal.SIGHUP] * 50
    assert run(*hangups, signal.SIGTERM, signal.SIGTERM) == 0
    assert run(*hangups, signal.SIGCHLD) == 1


def test_a_worker_that_ends_again_and_again_has_to_wait_longer_each_time() -> None:
    backoff = Backoff()
    assert [backoff.pause_s(0) for _ in range(8)] == [0, 1, 2, 4, 8, 16, MAX_PAUSE_S, MAX_PAUSE_S]
    assert backoff.pause_s(RAN_WELL_S) == 0
    assert backoff.pause_s(RAN_WELL_S - 1) == 1


def test_workers_have_the_same_settings_but_for_numbers_and_folders() -> None:
    place = Place("127.0.0.1", 7_000)
    given = Settings(workers=3, log="valkey://a", data="/srv/chat", node=5, history=7)
    told = [each.settings for each in tasks(given, place)]
    assert [each.node for each in told] == [5, 6, 7]
    assert [each.data for each in told] == ["/srv/chat/1", "/srv/chat/2", "/srv/chat/3"]
    assert {(each.workers, each.history) for each in told} == {(1, 7)}
    assert {(each.host, each.port) for each in told} == {("127.0.0.1", 7_000)}
    free = [each.settings for each in tasks(Settings(workers=2, log="valkey://a"), place)]
    assert {(each.node, each.data) for each in free} == {(0, "")}


def test_numbers_beyond_the_last_node_are_refused() -> None:
    flags = ["--log", "valkey://a", "--workers", "2", "--node"]
    assert read_settings([*flags, "9998"]).workers == 2
    with pytest.raises(SettingsError, match="2 workers from node 9999 on are beyond node 9999"):
        read_settings([*flags, "9999"])
