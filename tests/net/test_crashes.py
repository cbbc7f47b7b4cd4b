"""What is acknowledged is kept: through kills, a full disk, a broken one, and a power cut."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.terminal import SERVER
from tests.net.crashing import RECEIPTS_BETWEEN, Conversation, Disk, kill_again_and_again
from tests.net.peers import LIMIT_SECONDS, Peer

KILLS = 10


@pytest.fixture
def disk(tmp_path: Path) -> Disk:
    return Disk(tmp_path)


@pytest.fixture
def conversation(disk: Disk) -> Iterator[Conversation]:
    """People who talk, on a disk of which we decide."""
    made = Conversation(disk.folder, disk.environment)
    try:
        yield made
    finally:
        made.close()


def replays(folder: Path) -> bool:
    """Whether the log of a folder comes to what was recorded."""
    done = subprocess.run(
        [SERVER, "replay", str(folder)], capture_output=True, timeout=LIMIT_SECONDS, check=False
    )
    return done.returncode == 0


def test_a_server_that_is_killed_again_and_again_keeps_what_it_has_acknowledged(
    tmp_path: Path,
) -> None:
    assert kill_again_and_again(tmp_path / "data", KILLS) > KILLS * RECEIPTS_BETWEEN
    assert replays(tmp_path / "data")


def test_after_a_power_cut_everything_is_there_that_was_acknowledged(
    conversation: Conversation, disk: Disk
) -> None:
    conversation.begin()
    for _ in range(3):
        conversation.until_receipts(RECEIPTS_BETWEEN)
        conversation.kill()
        disk.cut_power()
        conversation.start_again()
    conversation.until_receipts(RECEIPTS_BETWEEN)
    conversation.end()


def test_a_server_that_was_stopped_for_a_while_goes_on(conversation: Conversation) -> None:
    conversation.begin()
    for _ in range(3):
        conversation.until_receipts(RECEIPTS_BETWEEN)
        conversation.server.process.send_signal(signal.SIGSTOP)
        conversation.server.process.send_signal(signal.SIGCONT)
    conversation.end()


def test_while_the_disk_is_full_people_wait_and_nothing_is_lost(
    conversation: Conversation, disk: Disk
) -> None:
    host, _, port = conversation.address.rpartition(":")
    with Peer((host, int(port)), b"/join lobby\n") as peer:
        peer.read_until("* You joined lobby")
        conversation.begin()
        conversation.until_receipts(RECEIPTS_BETWEEN)
        disk.say("full")
        peer.read_until("* the server's disk is full: what you say waits until there is room")
        peer.send("/who\n")
        assert peer.read_until("* 6 in lobby")
        given = len(conversation.receipts)
        peer.send("from nc\n")
        disk.say("full", is_so=False)
        peer.read_until("* there is room again")
        conversation.until_receipts(RECEIPTS_BETWEEN)
        assert len(conversation.receipts) > given
    log = conversation.server.log_so_far()
    assert "event=disk-full" in log
    assert "event=disk-has-room" in log
    conversation.hush()
    conversation.check()


def test_a_disk_that_fails_ends_the_server_which_does_not_try_again(
    conversation: Conversation, disk: Disk
) -> None:
    conversation.begin()
    conversation.until_receipts(RECEIPTS_BETWEEN)
    disk.say("broken")
    status, log = conversation.until_ended()
    assert status == 1
    assert log.splitlines()[-1].startswith("tcpchat-server: cannot write to ")
    assert "Traceback" not in log
    disk.say("broken", is_so=False)
    conversation.start_again()
    conversation.until_receipts(RECEIPTS_BETWEEN)
    conversation.end()


def test_a_disk_that_is_full_at_the_start_is_one_sentence(disk: Disk) -> None:
    disk.folder.mkdir()
    disk.say("full")
    environment = {**disk.environment, "PATH": "/usr/bin:/bin"}
    done = subprocess.run(
        [sys.executable, SERVER, "--port", "0", "--data", str(disk.folder)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=LIMIT_SECONDS,
        check=False,
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert "there is no room left on the disk" in done.stderr
    assert done.stderr.count("\n") == 1
