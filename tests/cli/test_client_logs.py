"""Logs of tcpchat-client: a file for each room and each conversation, and no other."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st
from tcpchat_cli.terminal.address import Address
from tcpchat_cli.terminal.configuration import check
from tcpchat_cli.terminal.logs import Logs, log_line, safe_name
from tcpchat_cli.terminal.numbering import MessageId
from tcpchat_cli.terminal.render import Line, Renderer
from tcpchat_cli.terminal.settings import BadSettings, Settings
from tcpchat_cli.terminal.view import View

from tests.cli.conftest import Server
from tests.cli.terminal import CLIENT, Terminal

NAMES = st.text(max_size=300) | st.text("./~\\ aA\0", max_size=10)
CHAT = Address("chat.example.org", 7667)


def said(text: str, seq: int = 0, room: str = "dev") -> Line:
    head = [("class:time", "10:20 "), ("class:nick.1", "ada"), ("", ": ")]
    return Line(head, [("", text)], MessageId(room, seq), datetime(2026, 11, 30, 10, 20))


def nobody(sentence: str) -> None:
    raise AssertionError(sentence)


def logs_in(folder: Path, tell: Callable[[str], None] = nobody) -> Logs:
    return Logs(CHAT, Settings(log=True, log_folder=str(folder)), tell)


# ── Names ────────────────────────────────────────────────────────────────────────────────────


@given(NAMES, NAMES)
@example("lobby", "Lobby")
@example("a/b", "a_b")
@example("..", ".")
@example("é", "e\u0301")
def test_each_name_has_a_file_of_its_own_in_the_folder(name: str, other: str) -> None:
    made = safe_name(name)
    assert made not in {"", ".", ".."}
    assert not made.startswith(".")
    assert not set(made) & set('/\\:*?"<>|\0\n')
    assert all(char.isprintable() for char in made)
    assert len(f"{made}.log".encode()) <= 255
    assume(name != other)
    assert made.casefold() != safe_name(other).casefold()


@pytest.mark.parametrize("name", ["lobby", "dev-2", "대화", "عربي", "łódź", "a.b_c", "हिन्दी"])
def test_a_name_that_is_safe_is_that_of_the_file(name: str) -> None:
    assert safe_name(name) == name


@pytest.mark.parametrize("name", ["con", "nul.txt", "com1", "Lobby", "..", "/etc", "a~b", ""])
def test_a_name_that_is_not_is_told_apart_by_a_digest(name: str) -> None:
    assert "~" in safe_name(name)


def test_a_room_and_somebody_of_the_same_name_have_two_files() -> None:
    logs = logs_in(Path("/logs"))
    paths = [str(logs.path(view)) for view in (View("ada", "room"), View("Ada", "direct"))]
    assert paths == [
        "/logs/chat.example.org/rooms/ada.log",
        "/logs/chat.example.org/direct/ada.log",
    ]
    other = Logs(Address("Chat.example.org", 7668), Settings(log_folder="/logs"), nobody)
    assert str(other.path(View("ada", "room"))).startswith("/logs/chat.example.org,7668/rooms/")


# ── Lines ────────────────────────────────────────────────────────────────────────────────────


@given(st.text(), st.booleans())
def test_a_line_of_a_log_is_one_line_and_begins_with_its_day(text: str, timestamps: bool) -> None:
    line = log_line(said(text))
    assert line.startswith("2026-11-30 10:20 <ada> ")
    assert line.splitlines(keepends=True) == [line]
    renderer = Renderer()
    renderer.timestamps = timestamps
    line = log_line(renderer.system(text))
    assert datetime.now() - datetime.fromisoformat(line[:16]) < timedelta(minutes=2)
    assert line[16:].startswith(" -- ")
    assert line.splitlines(keepends=True) == [line]


def test_lines_go_to_the_end_of_what_is_there(tmp_path: Path) -> None:
    for text in ("first", "second"):
        logs = logs_in(tmp_path / "logs")
        logs.add(View("dev", "room"), [said(text), said(text.upper())])
        logs.add(View("", "home"), [said("nowhere")])
        logs.write()
        logs.write()
    [path] = (path for path in tmp_path.rglob("*.log"))
    assert path.read_text() == (
        "2026-11-30 10:20 <ada> first\n2026-11-30 10:20 <ada> FIRST\n"
        "2026-11-30 10:20 <ada> second\n2026-11-30 10:20 <ada> SECOND\n"
    )
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    made = [folder for folder in path.parents if tmp_path in folder.parents]
    assert {stat.S_IMODE(folder.stat().st_mode) for folder in made} == {0o700}


def test_what_was_said_before_and_what_was_found_elsewhere_is_not_logged(tmp_path: Path) -> None:
    logs, view = logs_in(tmp_path), View("dev", "room")
    logs.begin("dev", 5)
    logs.add(view, [said("old", 5), said("found", 9, "lobby"), said("new", 6), said("no number")])
    logs.write()
    texts = [line.rpartition("> ")[2] for line in logs.path(view).read_text().splitlines()]
    assert texts == ["new", "no number"]


# ── What goes wrong ──────────────────────────────────────────────────────────────────────────


def test_a_full_disk_is_told_once_and_the_log_goes_on_when_there_is_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    logs, view = logs_in(tmp_path, told.append), View("dev", "room")
    really_write, room_left = os.write, [10]

    def write(descriptor: int, data: bytes) -> int:
        if not room_left[0]:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        taken, room_left[0] = data[: room_left[0]], 0
        return really_write(descriptor, taken)

    with monkeypatch.context() as patched:
        patched.setattr(os, "write", write)
        for _ in range(3):
            logs.add(view, [said("lost")])
            logs.write()
    path = logs.path(view)
    assert told == [
        f"cannot write {path}: no space left on device; until that works, nothing is logged"
    ]
    assert path.read_text() == ""
    logs.add(view, [said("kept")])
    logs.write()
    assert path.read_text() == "2026-11-30 10:20 <ada> kept\n"


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir, lambda path: os.symlink("/dev/full", path)])
def test_what_is_no_file_is_told_and_not_waited_for(tmp_path: Path, make: object) -> None:
    told: list[str] = []
    logs, view = logs_in(tmp_path, told.append), View("dev", "room")
    logs.path(view).parent.mkdir(parents=True)
    make(logs.path(view))  # type: ignore[operator] # each is a function of a path
    logs.add(view, [said("lost")])
    logs.write()
    assert len(told) == 1
    assert told[0].startswith(f"cannot write {logs.path(view)}: ")


@pytest.mark.parametrize("folder", ["logs", "./logs", "~nobody-has-this-name/logs", "a\0b"])
def test_a_folder_that_is_none_is_refused(folder: str) -> None:
    with pytest.raises(BadSettings, match="log_folder cannot be "):
        check("log_folder", folder)


# ── On a terminal ────────────────────────────────────────────────────────────────────────────


def test_every_room_and_conversation_is_logged_also_what_one_does_not_look_at(
    server: Server, tmp_path: Path
) -> None:
    folder = tmp_path / "logs" / server.address.replace(":", ",")
    with (
        Terminal(
            [CLIENT, server.address, "--nick", "ada", "--room", "lobby,dev"], columns=200
        ) as ada,
        Terminal(
            [CLIENT, server.address, "--nick", "bob", "--room", "lobby,dev"], columns=200
        ) as bob,
    ):
        for terminal in (ada, bob):
            terminal.wait_for("^ 1:lobby 2:dev ")
        ada.enter("/log")
        ada.wait_for("-- nothing is logged; after /set log on")
        ada.enter(f"/set log_folder {tmp_path}/logs")
        ada.wait_for("-- log_folder is ")
        ada.enter("/set log on")
        ada.wait_for("-- log is on$")
        ada.enter("here")
        ada.wait_for("ada: here$")
        bob.type("\x1b2")
        bob.wait_for("^dev>")
        bob.enter("there")
        bob.wait_for("bob: there$")
        bob.enter("/msg ada psst")
        ada.wait_for("^ 1:lobby 2:dev.* 3:@bob")
        ada.type("\x1b2")
        ada.wait_for("bob: there$")
        ada.enter("/set log off")
        ada.wait_for("-- log is off$")
        ada.enter("not this")
        ada.wait_for("ada: not this$")
    logged = {
        str(path.relative_to(folder)): [line[17:] for line in path.read_text().splitlines()]
        for path in folder.rglob("*.log")
    }
    assert set(logged) == {"rooms/lobby.log", "rooms/dev.log", "direct/bob.log"}
    assert "<ada> here" in logged["rooms/lobby.log"]
    assert "<bob> there" in logged["rooms/dev.log"]
    assert [line for line in logged["direct/bob.log"] if line.endswith("psst")] != []
    assert not any("not this" in line for line in logged["rooms/dev.log"])
