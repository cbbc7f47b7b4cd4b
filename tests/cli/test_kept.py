"""What tcpchat-server keeps in its folder, and the tools that look after it."""

from __future__ import annotations

import hashlib
import json
import re
import sqlite3
import stat
import subprocess
import tarfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tcpchat_net import ChatClient
from tcpchat_net.logs.store import Store
from tests.cli.released import DATA
from tests.cli.serving import ServerProcess, Talker, run_server
from tests.cli.terminal import LIMIT_SECONDS, SERVER, Terminal


@contextmanager
def serving(folder: Path, *arguments: str) -> Iterator[tuple[ServerProcess, str]]:
    """A server that keeps what is said in a folder, and its address."""
    with ServerProcess("--port", "0", "--data", str(folder), *arguments) as server:
        yield server, server.read_address()


def stop(server: ServerProcess) -> str:
    """End it as an operator does; its log."""
    server.process.terminate()
    status, _, log = server.wait()
    assert status == 0, log
    return log


def client(address: str, nick: str) -> ChatClient:
    host, _, port = address.rpartition(":")
    return ChatClient(host, int(port), nick=nick, timeout=LIMIT_SECONDS)


def talk(address: str, *texts: str, nick: str = "ada") -> None:
    """Somebody says this in the lobby, and goes."""
    with client(address, nick) as chat:
        chat.join("lobby")
        for text in texts:
            chat.say("lobby", text)


def tool(*arguments: object) -> tuple[int, str, str]:
    done = subprocess.run(
        [SERVER, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=LIMIT_SECONDS,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
def kept(folder: Path) -> Path:
    """A folder of a server that has ended: three messages were said in the lobby."""
    with serving(folder, "--rooms", "lobby") as (server, address):
        talk(address, "one", "two", "waves")
        stop(server)
    return folder


# ── Starting again ───────────────────────────────────────────────────────────────────────────


def test_a_folder_is_made_for_its_owner_alone(folder: Path) -> None:
    with serving(folder / "deep") as (server, _address):
        assert stat.S_IMODE((folder / "deep").stat().st_mode) == 0o700
        stop(server)
    assert {stat.S_IMODE(path.stat().st_mode) for path in (folder / "deep").iterdir()} == {0o600}
    assert names(folder / "deep") == {
        "archive.db",
        "log.db",
        "origins.key",
        f"snapshot-{0:020}.bin",
    }


def from_elsewhere(address: str, source: str, *lines: str) -> Talker:
    """Somebody whose address is what a proxy says."""
    header = f"PROXY TCP4 {source} 192.0.2.1 4000 7667\r\n"
    return Talker(address, header + "".join(f"{line}\n" for line in lines))


def test_who_is_banned_is_known_by_the_place_after_a_kill_and_no_address_is_kept(
    folder: Path,
) -> None:
    proxied = ("--proxy-protocol", "127.0.0.1")
    hello, join = '{"type":"hello"}', '{"type":"join","room":"den"}'
    with (
        serving(folder, *proxied) as (_server, address),
        from_elsewhere(address, "192.0.2.1", hello, join) as ada,
    ):
        ada.read_until('{"type":"entered"')
        with from_elsewhere(address, "192.0.2.7", "/nick eve", "/join den") as eve:
            eve.read_until("* You joined den")
            ada.send('{"type":"restrict","room":"den","nick":"eve","what":"ban"}\n')
            eve.read_until("* You were banned from den")
    with serving(folder, *proxied) as (_server, address):
        with from_elsewhere(address, "192.0.2.7", "/nick zed", "/join den") as zed:
            zed.read_until("! banned:")
        with from_elsewhere(address, "192.0.2.8", "/nick noa", "/join den") as noa:
            noa.read_until("* You joined den")
    files = [path for path in folder.iterdir() if path.is_file()]
    assert len(files) >= 3
    assert not any(b"192.0.2." in path.read_bytes() for path in files)


def test_a_secret_that_cannot_be_read_is_told(kept: Path) -> None:
    file = kept / "origins.key"
    file.write_text("no secret\n")
    status, _, error = run_server(["--port", "0", "--data", str(kept)])
    assert status == 1
    assert error == (
        f"tcpchat-server: {file} cannot be read: take it away, and a new one is made\n"
    )
    file.unlink()
    with serving(kept) as (server, _address):
        stop(server)
    assert len(file.read_text()) == 65


def test_what_was_said_is_there_after_a_kill(folder: Path) -> None:
    with serving(folder, "--rooms", "lobby") as (_server, address):
        talk(address, "before the kill")  # the end of this block is a kill -9
    with serving(folder, "--rooms", "lobby") as (server, address):
        with client(address, "bob") as bob:
            bob.join("lobby")
            assert [said.text for said in bob.history("lobby").messages] == ["before the kill"]
        stop(server)


def search(talker: Talker, words: str) -> str:
    """What is found, once the archive has caught up with the log."""
    while True:
        talker.send(f'{{"type":"search","words":"{words}"}}\n')
        while not (line := talker.read_until("{")[-1]).startswith('{"type":"rejected"'):
            if line.startswith('{"type":"found"'):
                return line


def test_a_folder_of_before_there_were_accounts_is_gone_on_with(folder: Path) -> None:
    # It is of a version without accounts and moderation, which was killed while ada was in lobby
    # and tea, and bob in lobby and den; with a snapshot, entries behind it, and an archive.
    with tarfile.open(DATA / "before_moderation.tar.gz") as packed:
        packed.extractall(folder, filter="data")
    found = fields(tool("replay", folder)[1])
    assert found["digest"] == "c735ebc4dee708ca5eb1a9acdf2be76c73c309b04bae4cfb38fa174eb4798245"
    assert found["recorded"] == "2 digests, 0 of them another"
    people = (("ada", "fERD832aZt_OofsnzhuT5w"), ("bob", "Foj3H8oKClcXNIA56zVHqA"))
    with serving(folder, "--rooms", "lobby") as (server, address), ExitStack() as stack:
        ada, bob = (
            stack.enter_context(Talker(address, f'{{"type":"hello","token":"{token}"}}\n'))
            for _, token in people
        )
        rooms = {"ada": ["lobby", "tea"], "bob": ["lobby", "den"]}
        for each, (nick, _) in zip((ada, bob), people, strict=True):
            resumed = json.loads(each.read_until('{"type":"resumed"')[-1])
            assert resumed["nick"] == nick
            assert [room["room"] for room in resumed["rooms"]] == rooms[nick]
        ada.send('{"type":"say","room":"lobby","text":"we talk on"}\n')
        bob.read_until('{"type":"said","room":"lobby","nick":"ada","text":"we talk on","seq":4')
        for words, seq in (("good", 3), ("green", 6), ("talk", 4)):
            assert f'"seq":{seq}' in search(ada, words)
        status, invited, errors = tool("admin", "--data", folder, "invite", "zoe", "--admin")
        assert (status, errors) == (0, "")
        bob.send(f'{{"type":"claim","code":"{invited.splitlines()[0]}"}}\n')
        bob.read_until('{"type":"claimed","account":"zoe","number":1')
        bob.send('{"type":"mode","room":"den","kept":true}\n')
        bob.read_until('{"type":"mode","room":"den","by":"zoe"')
        stop(server)
    rooms_then = tool("replay", folder)[1].splitlines()
    assert "room     den: 1 people" in rooms_then


def test_numbers_and_receipts_go_on_in_the_same_epoch(folder: Path) -> None:
    welcomes: list[dict[str, str]] = []
    for _ in range(2):
        with serving(folder) as (server, address):
            with Talker(address, '{"type":"hello"}\n') as peer:
                [line] = peer.read_until('{"type":"welcome"')
                welcomes.append(json.loads(line))
            stop(server)
    assert welcomes[0]["epoch"] == welcomes[1]["epoch"]


def test_standing_rooms_keep_their_topic_and_their_history_without_people(folder: Path) -> None:
    with serving(folder, "--rooms", "help,lobby") as (server, address):
        with client(address, "ada") as ada:
            ada.join("help")
            ada.say("help", "ask here")
        with Talker(address, "/join help\n/topic tea at four\n/rooms\n/who\n") as bob:
            listed = bob.read_until("* 1 in help")
        stop(server)
    assert any("help" in line for line in listed)
    with serving(folder, "--rooms", "help") as (server, address):
        with Talker(address, "/join help\n/history\n/rooms\n/who\n") as bob:
            lines = bob.read_until("* 1 in help")
        stop(server)
    assert any("tea at four" in line for line in lines)
    assert any("ask here" in line for line in lines)
    assert not any("lobby" in line for line in lines)


def test_a_search_finds_what_was_said_before_the_last_start(folder: Path) -> None:
    with serving(folder, "--rooms", "lobby") as (server, address):
        talk(address, "tea at four", "coffee at five")
        stop(server)
    with serving(folder, "--rooms", "lobby") as (server, address):
        with Talker(address, "/join lobby\n/search TEA\n/search milk\n") as bob:
            *found, nothing = bob.read_until("* Nothing was found.")
        stop(server)
    (line,) = (line for line in found if line.startswith("* 2"))
    assert re.fullmatch(r"\* \d{4}-\d\d-\d\d \d\d:\d\d \[lobby\] ada: tea at four", line)
    assert nothing == "* Nothing was found."


def test_direct_messages_are_not_in_the_archive(folder: Path) -> None:
    with serving(folder) as (server, address):
        with client(address, "ada") as ada, client(address, "bob"):
            ada.join("lobby")
            ada.tell("bob", "plugh")
            ada.say("lobby", "xyzzy")
        stop(server)
    archive = (folder / "archive.db").read_bytes()
    assert b"xyzzy" in archive
    assert b"plugh" not in archive


def test_a_durability_that_may_lose_something_is_said_loudly(folder: Path) -> None:
    with serving(folder, "--durability", "os") as (server, address):
        talk(address, "hello")
        log = stop(server)
    assert "a power cut may lose what was said in the last seconds" in log


# ── What cannot be used ──────────────────────────────────────────────────────────────────────


def refused(folder: Path) -> str:
    """Why a server does not start on a folder; nothing in it is changed by that."""
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    status, output, log = run_server(["--port", "0", "--data", str(folder)])
    assert (status, output) == (1, "")
    assert log.startswith("tcpchat-server: ")
    assert log.count("\n") == 1
    if folder.is_dir():
        assert before == {path: path.read_bytes() for path in before}
    return log.replace(str(folder), "DIR")


def test_a_second_server_on_the_folder_is_told_so(folder: Path) -> None:
    with serving(folder) as (server, _address):
        status, _, log = run_server(["--port", "0", "--data", str(folder)])
        assert status == 1
        assert f"another tcpchat-server uses the folder {folder}; stop it" in log
        stop(server)


def test_a_file_in_place_of_the_folder_is_refused(folder: Path) -> None:
    folder.write_text("mine")
    assert "DIR is a file; give a folder with --data" in refused(folder)


def test_a_newer_format_is_refused(kept: Path) -> None:
    db = sqlite3.connect(kept / "log.db")
    db.execute("PRAGMA user_version = 9")
    db.close()
    assert "was written by a newer tcpchat (its format is 9" in refused(kept)


def test_a_damaged_log_is_refused(kept: Path) -> None:
    (kept / "log.db").write_bytes(b"SQLite format 3\0" + bytes(5_000))
    assert "is damaged" in refused(kept)


@pytest.mark.parametrize("data", [None, b""])
def test_a_log_that_was_lost_is_not_begun_anew(data: bytes | None, kept: Path) -> None:
    (kept / "log.db").unlink()
    if data is not None:
        (kept / "log.db").write_bytes(data)
    before = {path.name: path.read_bytes() for path in kept.iterdir()}
    assert "and no log (log.db) that it belongs to; put a backup" in refused(kept)
    assert {path.name: path.read_bytes() for path in kept.iterdir()} == before
    assert tool("export", kept, "--room", "lobby")[1].count("\n") == 3
    assert tool("replay", kept)[0] == tool("compact", kept)[0] == 1


def test_a_snapshot_that_is_no_state_is_put_aside(kept: Path) -> None:
    snapshot = kept / f"snapshot-{0:020}.bin"
    snapshot.write_bytes(hashlib.sha256(b"{}").digest() + b"{}")
    with serving(kept) as (server, address):
        with client(address, "bob") as bob:
            bob.join("lobby")
        log = stop(server)
    assert f"{snapshot.name} is damaged; it is now {snapshot.name}.damaged" in log
    assert tool("replay", kept)[0] == 0


def test_a_damaged_archive_is_put_aside_and_filled_again(kept: Path) -> None:
    (kept / "archive.db").write_bytes(b"?" * 5_000)
    with serving(kept) as (server, address):
        with Talker(address, "/join lobby\n") as bob:
            bob.read_until("*")
            while True:
                bob.send("/search one\n")
                if not bob.read_until("* ")[-1].startswith("* Error"):
                    break
        log = stop(server)
    assert "it is now archive.db.damaged, and a new one is filled from the log" in log
    assert (kept / "archive.db.damaged").read_bytes() == b"?" * 5_000
    assert tool("export", kept, "--room", "lobby")[1].count("\n") == 3


# ── replay ───────────────────────────────────────────────────────────────────────────────────


def fields(output: str) -> dict[str, str]:
    return dict(re.findall(r"^(\w+) +(.*)$", output, flags=re.MULTILINE))


def test_a_replay_tells_what_the_log_comes_to(kept: Path) -> None:
    status, output, log = tool("replay", kept)
    assert (status, log) == (0, "")
    found = fields(output)
    assert re.fullmatch(r"[0-9a-f]{64}", found["digest"])
    assert found["recorded"] == "2 digests, 0 of them another"
    assert found["room"] == "lobby: 0 people"


def test_a_replay_can_stop_at_an_entry_or_at_a_time(kept: Path) -> None:
    whole = int(fields(tool("replay", kept)[1])["entry"].partition(",")[0])
    earlier = fields(tool("replay", kept, "--until", whole - 1)[1])
    assert earlier["entry"].startswith(f"{whole - 1}, ")
    assert earlier["people"] == "1 connected, 0 away"
    before = fields(tool("replay", kept, "--at", "2020-01-31")[1])
    assert before["entry"] == "0"


def test_a_replay_fails_when_the_log_comes_to_something_else(kept: Path) -> None:
    store, other = Store(kept), Store(kept / "other")
    store.open()
    other.open()
    for batch in store.read_all(0):
        other.append(batch._replace(record=batch.record.replace(b"two", b"2wo")))
    for key, value in store.all_meta():
        other.set_meta(key, value)
    other.close()
    store.close()
    (kept / "other" / "log.db").replace(kept / "log.db")
    status, output, log = tool("replay", kept)
    assert status == 1
    assert "does not come to what was recorded after the entry" in log
    assert fields(output)["recorded"] == "2 digests, 1 of them another"


# ── backup ───────────────────────────────────────────────────────────────────────────────────


def restore(file: Path, folder: Path) -> None:
    folder.mkdir()
    with tarfile.open(file) as tar:
        tar.extractall(folder, filter="data")


def test_a_backup_of_a_server_that_runs_can_be_restored(folder: Path, tmp_path: Path) -> None:
    file, other = tmp_path / "backup.tar", tmp_path / "restored"
    with serving(folder, "--rooms", "lobby") as (server, address):
        talk(address, "one", "two")
        assert tool("backup", folder, file)[0] == 0
        talk(address, "three")
        stop(server)
    restore(file, other)
    with serving(other, "--rooms", "lobby") as (server, address):
        with client(address, "bob") as bob:
            bob.join("lobby")
            assert [said.text for said in bob.history("lobby").messages] == ["one", "two"]
        stop(server)
    assert tool("export", other, "--room", "lobby")[1].count("\n") == 2


def test_a_backup_without_a_server_is_the_same(kept: Path, tmp_path: Path) -> None:
    file, other = tmp_path / "backup.tar", tmp_path / "restored"
    status, output, _ = tool("backup", kept, file)
    assert status == 0
    assert output.startswith(f"{file}: ")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    restore(file, other)
    assert fields(tool("replay", other)[1])["digest"] == fields(tool("replay", kept)[1])["digest"]
    assert names(tmp_path) >= {"data", "restored", "backup.tar"}
    assert not [name for name in names(tmp_path) if name.startswith(".")]


def test_a_backup_goes_over_no_file(kept: Path, tmp_path: Path) -> None:
    file = tmp_path / "mine"
    file.write_text("mine")
    status, _, log = tool("backup", kept, file)
    assert (status, log) == (
        1,
        f"tcpchat-server: {file} is there already; give the name of a new file\n",
    )
    assert file.read_text() == "mine"


def test_a_backup_of_a_folder_with_a_long_name(tmp_path: Path) -> None:
    folder = tmp_path / ("x" * 120)
    with serving(folder) as (server, address):
        talk(address, "one")
        assert tool("backup", folder, tmp_path / "backup.tar")[0] == 0
        stop(server)


# ── export ───────────────────────────────────────────────────────────────────────────────────


def test_all_that_was_said_in_a_room_can_be_exported(kept: Path) -> None:
    status, output, _ = tool("export", kept, "--room", "LOBBY")
    assert status == 0
    assert [line.partition(" ada: ")[2] for line in output.splitlines()] == ["one", "two", "waves"]
    status, output, _ = tool("export", kept, "--room", "lobby", "--format", "jsonl")
    messages = [json.loads(line) for line in output.splitlines()]
    assert [message["text"] for message in messages] == ["one", "two", "waves"]
    assert {message["nick"] for message in messages} == {"ada"}


def test_an_export_tells_how_something_was_said(folder: Path) -> None:
    with serving(folder) as (server, address):
        with client(address, "ada") as ada:
            ada.join("lobby")
            ada.say("lobby", "one")
            ada.say("lobby", "waves", emote=True)
            rain = ada.say("lobby", "it rains", notice=True)
            ada.say("lobby", "so it does", re=rain.seq)
        stop(server)
    lines = tool("export", folder, "--room", "lobby")[1].splitlines()
    shown = [line.split(" ", 2)[2] for line in lines]  # without the day and the time
    says = 'ada (to ada "it rains"): so it does'
    assert shown == ["ada: one", "* ada waves", "-ada- it rains", says]


def test_an_export_while_a_server_runs(folder: Path) -> None:
    with serving(folder) as (server, address):
        with client(address, "ada") as ada:
            ada.join("lobby")
            ada.say("lobby", "one")
            while not tool("export", folder, "--room", "lobby")[1].endswith("ada: one\n"):
                pass  # the archive is behind by moments
        stop(server)


def test_a_reader_who_has_seen_enough_is_no_error(kept: Path) -> None:
    command = f"{SERVER} export {kept} --room lobby | true"
    done = subprocess.run(
        ["sh", "-c", command], capture_output=True, text=True, timeout=LIMIT_SECONDS, check=True
    )
    assert done.stderr == ""


# ── compact, and what is past its time ───────────────────────────────────────────────────────


def test_a_compacted_folder_is_smaller_and_says_the_same(kept: Path) -> None:
    before = fields(tool("replay", kept)[1])
    status, output, _ = tool("compact", kept)
    assert status == 0
    assert "bytes before" in output
    after = fields(tool("replay", kept)[1])
    assert (after["people"], after["room"]) == (before["people"], before["room"])
    assert tool("export", kept, "--room", "lobby")[1].count("\n") == 3


def test_compact_forgets_what_is_past_its_time(kept: Path) -> None:
    def is_there(text: bytes) -> bool:
        return any(text in path.read_bytes() for path in kept.iterdir())

    assert is_there(b"waves")
    while not (done := tool("compact", kept, "--keep", "1s"))[0] and is_there(b"waves"):
        pass  # a second has not passed yet
    assert done[0] == 0
    assert not is_there(b"waves")
    assert tool("export", kept, "--room", "lobby")[0] == 1


# ── Wrong use ────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("arguments", "status", "sentence"),
    [
        (["replay"], 2, "the following arguments are required: DIR"),
        (["replay", "DIR", "--until", "0"], 2, "'0' is not the number of an entry"),
        (["replay", "DIR", "--at", "noon"], 2, "'noon' is not a time such as"),
        (["replay", "nowhere"], 1, "there is no log in nowhere"),
        (["backup", "DIR"], 2, "the following arguments are required: FILE"),
        (["backup", "nowhere", "x"], 1, "there is no log in nowhere"),
        (["backup", "DIR", "/nowhere/x"], 1, "/nowhere"),
        (["export", "DIR"], 2, "the following arguments are required: --room"),
        (["export", "DIR", "--room", "tea"], 1, "that was said in tea"),
        (["export", "DIR", "--room", "a:b"], 1, "a room name cannot contain"),
        (["export", "/nowhere", "--room", "tea"], 1, "there is no archive in /nowhere; give"),
        (["compact", "DIR", "--keep", "soon"], 2, "'soon' is not forever, or a time such as 90d"),
        (["compact", "nowhere"], 1, "there is no log in nowhere"),
        (["rewind", "DIR"], 2, "there is no 'rewind'; there are replay, backup, export, compact"),
    ],
)
def test_wrong_use_is_one_sentence(
    arguments: Sequence[str], status: int, sentence: str, kept: Path
) -> None:
    given = [str(kept) if each == "DIR" else each for each in arguments]
    code, output, log = tool(*given)
    assert (code, output) == (status, "")
    assert sentence in log
    assert log.count("\n") == 1
    assert log.startswith("tcpchat-server")


@pytest.mark.parametrize("name", ["replay", "compact"])
def test_a_tool_on_a_folder_that_a_server_uses_says_so(name: str, folder: Path) -> None:
    with serving(folder) as (server, _address):
        status, _, log = tool(name, folder)
        assert status == 1
        assert "another tcpchat-server uses the folder" in log
        stop(server)


def test_a_bar_is_shown_on_a_terminal_for_what_takes_long(kept: Path) -> None:
    program = (
        "from tcpchat_cli import progress, tools\n"
        "progress._SHOWN_AFTER_S = progress._DRAWN_EVERY_S = 0\n"
        f"tools.run(['replay', {str(kept)!r}])\n"
    )
    python = str(Path(SERVER).with_name("python"))
    with Terminal([python, "-c", program]) as terminal:
        terminal.wait_for("digest")
        assert b"replaying" in terminal.output
        assert "replaying" not in terminal.text
        assert b"\x1b[?25l" not in terminal.output  # the cursor is never hidden: see Ctrl-C


def test_nothing_is_left_behind_when_a_server_was_killed_in_a_snapshot(kept: Path) -> None:
    unfinished = kept / f"snapshot-{7:020}.tmp"
    unfinished.write_bytes(b"half")
    with serving(kept) as (server, _address):
        server.wait_until(lambda: not unfinished.exists())
        stop(server)
    assert not unfinished.exists()
