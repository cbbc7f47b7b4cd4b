"""tcpchat-client on a device of an account: claimed once, and known from then on."""

from __future__ import annotations

import re
import select
import socket
import stat
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tcpchat_cli.terminal.address import Address, parse_servers
from tcpchat_cli.terminal.device import Device
from tcpchat_cli.terminal.settings import BadSettings, config_path

from tcpchat_core import Name, events, nick_name
from tcpchat_core.effects import Propose
from tcpchat_core.server.access import code_hash
from tcpchat_net.logs.records import encode_batch
from tcpchat_net.logs.store import Batch, Store
from tests.cli.cable import cable_to, host_and_port
from tests.cli.clients import waits_for_bar
from tests.cli.conftest import Server, running_server
from tests.cli.serving import Talker
from tests.cli.terminal import CLIENT, LIMIT_SECONDS, Terminal

# Wide enough that no line is wrapped.
COLUMNS = 160

# What the server's owner has given to whom: ada, who looks after it, two codes, and bob one.
CODES = (("ada", "a-1", True), ("ada", "a-2", None), ("bob", "b-1", None))


def grant(account: str, code: str, *, admin: bool | None) -> events.Grant:
    """What the server's owner does, as it stands in the log."""
    name = nick_name(account)
    assert isinstance(name, Name)
    return events.Grant(account, name.key, code_hash(code), admin)


@contextmanager
def serving(folder: Path, *arguments: str) -> Iterator[Server]:
    """A server with accounts, whose log begins with them."""
    grants = [grant(account, code, admin=admin) for account, code, admin in CODES]
    record = encode_batch([Propose(0, 0, tuple(grants))])
    store = Store(folder)
    store.open()
    store.append(Batch(1, len(grants), int(time.time() * 1_000), record))
    store.close()
    with running_server("--data", str(folder), "--flood-rate", "0", *arguments) as started:
        yield started


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with serving(tmp_path / "data") as started:
        yield started


def run(*arguments: str, typed: str = "hello\n") -> subprocess.CompletedProcess[str]:
    """The client in a pipe, to its end."""
    return subprocess.run(
        [CLIENT, *arguments],
        input=typed,
        capture_output=True,
        text=True,
        timeout=LIMIT_SECONDS,
        check=False,
    )


def come(server: Server, *arguments: str, home: Path | None = None) -> Terminal:
    """The client on a terminal, with what is kept in the home of the test, or in another."""
    env = {"HOME": str(home)} if home else {}
    return Terminal([CLIENT, server.address, *arguments], columns=COLUMNS, env=env)


def token_file(address: str) -> Path:
    """Where the token for a server is kept."""
    host, _, port = address.rpartition(":")
    return config_path().parent / "devices" / f"{host}%3A{port}"


# ── Claimed, and known ───────────────────────────────────────────────────────────────────────────


def test_a_device_is_claimed_once_and_never_asked_for_a_nickname_again(server: Server) -> None:
    with come(server, "--claim", "a-1", "--device", "desk") as ada:
        ada.wait_for(r"^Room \[lobby\]:")
        ada.enter("")
        ada.wait_for("-- this is device 1 of ada, who looks after this server$")
        ada.wait_for("^lobby>")
        ada.enter("/devices")
        ada.wait_for(r"-- 1 \(desk\) since \d{4}-\d\d-\d\d this one$")
        first = ada.output
    path = token_file(server.address)
    token = path.read_text().strip()
    assert re.fullmatch("[0-9a-f]{64}", token)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert [each.name for each in path.parent.iterdir()] == [path.name]
    assert token.encode() not in first
    with come(server, "--room", "lobby") as again:
        again.wait_for("-- welcome to tcpchat; you are ada$")
        again.wait_for("^lobby>")
        again.enter("hello")
        again.wait_for("ada: hello$")
        assert not again.shows("Nickname")
        assert token.encode() not in again.output


def test_a_code_that_is_typed_does_the_same_and_the_computer_names_the_device(
    server: Server,
) -> None:
    with come(server, "--nick", "eve", "--room", "lobby") as bob:
        bob.wait_for("^lobby>")
        bob.enter("/claim b-1")
        bob.wait_for("-- this is device 1 of bob$")
        bob.enter("/devices")
        bob.wait_for(r"-- 1 \(.+\) since \S+ this one$")
    assert token_file(server.address).read_text().strip().encode() not in bob.output
    said = run(server.address, "--nick", "Bob", "--room", "lobby")
    assert (said.returncode, said.stderr) == (0, "")
    assert "(1 here: bob)" in said.stdout


def test_a_nickname_that_is_given_for_a_device_is_told_to_be_of_no_use(server: Server) -> None:
    assert run(server.address, "--claim", "b-1", typed="").returncode == 0
    sentence = "this is a device of bob: the nickname eve is for guests, and not used"
    said = run(server.address, "--nick", "eve", "--room", "lobby")
    assert (said.returncode, said.stderr) == (0, f"tcpchat-client: {sentence}\n")
    assert "(1 here: bob)" in said.stdout
    with come(server, "--nick", "eve", "--room", "lobby") as bob:
        bob.wait_for(f"-- {sentence}$")
        bob.wait_for("^lobby>")
    with Terminal([CLIENT, server.address, "--nick", "eve"], env={"TERM": "dumb"}) as plain:
        plain.wait_for(rf"^\* {sentence}$")


def test_a_script_claims_a_device_and_is_not_told_its_token(server: Server) -> None:
    claimed = run(server.address, "--claim", "a-1", "--room", "lobby", "--json")
    assert (claimed.returncode, claimed.stderr) == (0, "")
    assert '"type":"claimed"' in claimed.stdout
    token = token_file(server.address).read_text().strip()
    assert token not in claimed.stdout
    # By its token another computer of hers comes, and it is kept there, too.
    token_file(server.address).unlink()
    come_by = run(server.address, typed=f"/login {token}\n/join lobby\n")
    assert (come_by.returncode, come_by.stderr) == (0, "")
    assert "This is device 1 of ada" in come_by.stdout
    assert token not in come_by.stdout
    assert token_file(server.address).read_text().strip() == token


def test_a_wrong_code_is_told_in_one_sentence(server: Server, tmp_path: Path) -> None:
    refused = run(server.address, "--claim", "no-code", "--room", "lobby")
    assert (refused.returncode, refused.stdout) == (1, "")
    assert refused.stderr == (
        "tcpchat-client: there is no such code, or not any more; ask for another\n"
    )
    assert not token_file(server.address).exists()
    # On another server, since this one wants no other code for a second now.
    with serving(tmp_path / "other") as other, come(other, "--claim", "no-code") as refused_too:
        assert refused_too.wait_for_exit() == 1
        assert refused_too.shows("^tcpchat-client: there is no such code")
        assert not token_file(other.address).exists()


@contextmanager
def losing(address: str, word: bytes, *, times: int) -> Iterator[str]:
    """The address of a way to a server. So many connections end when the server says a line with
    that word, which the client is not given; the next one lasts.
    """

    def relay(client: socket.socket, server: socket.socket, lost: bytes) -> None:
        said = b""
        while True:
            for each in select.select([client, server], [], [])[0]:
                if not (data := each.recv(65_536)):
                    return
                if each is client:
                    server.sendall(data)
                    continue
                *lines, said = (said + data).split(b"\n")
                for line in lines:
                    if lost and lost in line:
                        return
                    client.sendall(line + b"\n")

    def serve() -> None:
        for lost in (*[word] * times, b""):
            with listener.accept()[0] as client, socket.create_connection(to) as server:
                relay(client, server, lost)

    to = host_and_port(address)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve)
        thread.start()
        yield "{}:{}".format(*listener.getsockname())
        thread.join(LIMIT_SECONDS)


@pytest.mark.parametrize("grace", ["60", "0"])  # so the session goes on, or is over
def test_a_claim_whose_answer_is_lost_is_repeated(tmp_path: Path, grace: str) -> None:
    with (
        serving(tmp_path / "data", "--grace", grace) as server,
        losing(server.address, b'"claimed"', times=2) as address,
    ):
        claimed = run(address, "--claim", "a-1", "--room", "lobby", "--json")
        assert (claimed.returncode, claimed.stderr) == (0, "")
        assert '"account":"ada","number":1' in claimed.stdout
        token = token_file(address).read_text().strip()
        assert token not in claimed.stdout
        said = run(server.address, typed=f"/login {token}\n/devices\n")
        assert "Device 1 (" in said.stdout
        assert "Device 2" not in said.stdout


def test_a_claim_that_is_typed_and_whose_answer_is_lost_is_repeated(server: Server) -> None:
    with losing(server.address, b'"claimed"', times=1) as address:
        argv = [CLIENT, address, "--nick", "eve", "--room", "lobby"]
        with Terminal(argv, columns=COLUMNS) as ada:
            ada.wait_for("^lobby>")
            ada.enter("/claim a-1")
            ada.wait_for("-- this is device 1 of ada, who looks after this server$")
            ada.enter("/quit")
            assert ada.wait_for_exit() == 0
        assert re.fullmatch("[0-9a-f]{64}", token_file(address).read_text().strip())


def test_where_a_claim_has_no_answer_it_is_said_what_that_may_mean() -> None:
    welcome = b'{"type":"welcome","nick":"guest-1","epoch":"1"}\n'
    closing = b'{"type":"closing","reason":"bye","retry":60000}\n'
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            with listener.accept()[0] as client, client.makefile("rb") as lines:
                for answer in (welcome, closing):
                    lines.readline()
                    client.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        address = "{}:{}".format(*listener.getsockname())
        told = run(address, "--claim", "a-1")
        thread.join()
    assert told.returncode == 1
    assert told.stderr == (
        "tcpchat-client: the server closed the connection: bye;"
        " if the code is refused from now on, it is used up: ask for another\n"
    )


def test_what_one_says_on_another_device_is_shown_as_ones_own(server: Server) -> None:
    with (
        come(server, "--claim", "a-1", "--room", "lobby") as desk,
        come(server, "--claim", "b-1", "--room", "lobby") as bob,
    ):
        desk.wait_for("^lobby>")
        bob.wait_for("^lobby>")
        with come(server, "--claim", "a-2") as phone:  # it comes to where the other one is
            phone.wait_for("^lobby>")
            phone.enter("from the phone")
            phone.enter("/msg bob psst")
            for each in (desk, phone):
                each.wait_for("ada: from the phone$")
                each.wait_for("1:lobby 2:@bob ")
                each.type("\x1b2")
                each.wait_for(r"\[you → bob\] psst$")
                each.type("\x1b1")
                each.wait_for("^lobby>")
            bob.wait_for("1:lobby 2:@ada!1 ")
            bob.type("\x1b2")
            bob.wait_for(r"\[ada → you\] psst$")
            assert not phone.shows("Room")
            phone.enter("/revoke 1")
            phone.wait_for("-- device 1 is none of yours any more$")
            assert desk.wait_for_exit() == 1
            assert desk.shows("closed the connection: this device was revoked$")


def test_what_was_read_on_one_device_is_not_new_on_another(server: Server, tmp_path: Path) -> None:
    with (
        cable_to(server.address) as plug,
        come(server, "--claim", "a-1", "--room", "lobby") as desk,
        come(server, "--nick", "eve", "--room", "den", home=tmp_path) as eve,
    ):
        desk.wait_for("^lobby>")
        eve.wait_for("^den>")
        desk.enter("/join den")
        desk.wait_for("^den>")
        desk.enter("/join lobby")
        desk.wait_for("^lobby>")
        argv = [CLIENT, plug.address, "--claim", "a-2", "--room", "lobby"]
        with Terminal(argv, columns=COLUMNS) as phone:
            phone.wait_for("^lobby>")
            eve.enter("one")
            for each in (desk, phone):
                waits_for_bar(each, "1:lobby 2:den+1")
            phone.type("\x1b2")
            phone.wait_for("── new since you were here: 1 message ──$")
            waits_for_bar(desk, "1:lobby 2:den │")
            phone.type("\x1b1")
            phone.wait_for("^lobby>")
            plug.pull()
            phone.wait_for("reconnecting, and what you type is kept$")
            eve.enter("two")
            waits_for_bar(desk, "1:lobby 2:den+1")
            desk.type("\x1b2")
            desk.wait_for("^den>")
            desk.enter("/devices")  # answered after the server knows what was read
            desk.wait_for("-- the devices of ada:$")
            plug.put_back()
            phone.wait_for("the connection is back$")
            waits_for_bar(phone, "1:lobby 2:den │")
            eve.enter("three")  # desk is still looking: within five seconds it is told
            waits_for_bar(phone, "1:lobby 2:den+1")
            waits_for_bar(phone, "1:lobby 2:den │")


def test_who_comes_back_with_a_client_started_anew_finds_where_it_stopped(
    server: Server, tmp_path: Path
) -> None:
    (tmp_path / "bob").mkdir()
    with come(server, "--claim", "b-1", "--room", "lobby", home=tmp_path / "bob") as bob:
        bob.wait_for("^lobby>")
        with come(server, "--claim", "a-1", "--room", "lobby") as desk:
            desk.wait_for("^lobby>")
            bob.wait_for("ada joined lobby")
            for text in ("one", "two"):
                bob.enter(text)
                desk.wait_for(f"bob: {text}$")
            desk.enter("/quit tea")
            assert desk.wait_for_exit() == 0
        bob.wait_for(r"ada is gone \(tea\)$")
        bob.enter("three, ada")
        bob.wait_for("bob: three, ada$")
        with come(server, "--room", "lobby") as desk:
            desk.wait_for("bob: three, ada$")
            mark = "── new since you were here: 1 message, 1 for you ──"
            assert mark in desk.rows, desk.text
            at = desk.rows.index(mark)
            assert desk.rows[at - 1].endswith("bob: two")
            assert desk.rows[at + 1].endswith("bob: three, ada")


# ── Unknown, or banned ───────────────────────────────────────────────────────────────────────────


def test_a_token_that_is_not_known_any_more_is_forgotten(server: Server) -> None:
    path = token_file(server.address)
    path.parent.mkdir(parents=True)
    path.touch(0o600)
    path.write_text("0" * 64 + "\n")
    with come(server) as guest:
        guest.wait_for(r"^Nickname \[guest-1\]:")
        guest.wait_for("!! the server does not know this device any more: its token is forgotten")
    assert not path.exists()


def test_who_is_banned_is_told_until_when_and_comes_no_more(tmp_path: Path) -> None:
    with (
        serving(tmp_path / "data") as server,
        come(server, "--claim", "a-1", "--room", "lobby") as ada,
    ):
        ada.wait_for("^lobby>")
        (tmp_path / "bob").mkdir()
        home = {"HOME": str(tmp_path / "bob")}
        argv = [CLIENT, server.address, "--claim", "b-1", "--room", "lobby"]
        with Terminal(argv, columns=COLUMNS, env=home) as bob:
            bob.wait_for("^lobby>")
            ada.enter("/ban bob 2h spam --server")
            ada.wait_for(r"-- bob is banned from this server for 2 h \(spam\)$")
            ada.enter("/bans --server")
            ada.wait_for(r"-- bob is banned from this server for another .*, by ada \(spam\)$")
            ada.enter("/audit")
            ada.wait_for(r"-- \S+ \S+ ada ban bob on this server until \S+ \S+ \(spam\)$")
            assert bob.wait_for_exit() == 1
            assert bob.shows("closed the connection: you were banned for 2 h by ada: spam$")
        with Terminal(argv[:2], columns=COLUMNS, env=home) as again:
            assert again.wait_for_exit() == 1
            assert again.shows("^tcpchat-client: you are banned from this server for another")


def test_who_was_banned_while_the_connection_was_lost_does_not_come_back(tmp_path: Path) -> None:
    with (
        serving(tmp_path / "data") as server,
        cable_to(server.address) as plug,
        come(server, "--claim", "a-1", "--room", "lobby") as ada,
        Terminal([CLIENT, plug.address, "--claim", "b-1", "--room", "lobby"], columns=COLUMNS) as b,
    ):
        ada.wait_for("^lobby>")
        b.wait_for("^lobby>")
        plug.pull()
        b.wait_for("reconnecting, and what you type is kept$")
        ada.enter("/ban bob 2h --server")
        ada.wait_for("-- bob is banned from this server for 2 h$")
        plug.put_back()
        assert b.wait_for_exit() == 1
        assert b.shows("^tcpchat-client: you are banned from this server for another ")


# ── The file ─────────────────────────────────────────────────────────────────────────────────────

SERVERS = (Address("Example.org", 7667), Address("::1", 7668))


def test_a_token_is_kept_for_each_server_and_for_nobody_else() -> None:
    Device(SERVERS).keep("aa11")
    assert Device.kept_for(parse_servers("example.org")).token == "aa11"
    assert Device.kept_for(parse_servers("[::1]:7668,localhost")).token == "aa11"
    assert Device.kept_for(parse_servers("localhost,example.org:7668")).token == ""
    Device(SERVERS[:1]).keep("bb22")
    old = Device(SERVERS, "aa11")
    old.forget()
    assert old.token == ""
    assert Device.kept_for(SERVERS[:1]).token == "bb22"
    assert Device.kept_for(SERVERS[1:]).token == ""


def test_a_token_that_was_given_over_tls_is_never_sent_without() -> None:
    Device(SERVERS, is_tls=True).keep("5ec2e7")
    assert Device.kept_for(SERVERS, is_tls=True).token == "5ec2e7"
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = "{}:{}".format(*listener.getsockname())
        Device(parse_servers(address), is_tls=True).keep("5ec2e7")
        refused = run(address)
        listener.setblocking(False)
        with pytest.raises(BlockingIOError):  # nobody has come
            listener.accept()
    assert refused.returncode == 1
    assert refused.stderr == (
        f"tcpchat-client: the token in {token_file(address)} was given over TLS, and others could"
        " read it on the way without: give --tls (or take the file away, to come as a guest)\n"
    )
    # One that was given in clear is used with TLS, too, and stays what it is.
    Device(SERVERS).keep("c1ea4")
    assert Device.kept_for(SERVERS, is_tls=True).token == "c1ea4"
    assert Device.kept_for(SERVERS).token == "c1ea4"
    old = Device.kept_for(SERVERS, is_tls=True)
    old.forget()
    assert Device.kept_for(SERVERS).token == ""


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o666])
def test_a_file_that_others_can_read_is_not_used(mode: int) -> None:
    Device(SERVERS[:1]).keep("5ec2e7")
    (path,) = (config_path().parent / "devices").iterdir()
    path.chmod(mode)
    refused = run("example.org")
    assert refused.returncode == 1
    assert refused.stderr.startswith(f"tcpchat-client: {path} is not for you alone: ")
    assert refused.stderr.count("\n") == 1
    assert "5ec2e7" not in refused.stderr


@pytest.mark.parametrize(
    "content",
    ["", "\n", "two words\n", "5ec2e7 tls more\n", "5ec2e7\nmore\n", "é\n", "x" * 2_000],
)
def test_a_file_that_holds_no_token_is_told_in_one_sentence(content: str) -> None:
    Device(SERVERS[:1]).keep("5ec2e7")
    (path,) = (config_path().parent / "devices").iterdir()
    path.write_text(content)
    refused = run("example.org")
    assert refused.returncode == 1
    assert refused.stderr == (
        f"tcpchat-client: {path} holds no token: take it away, and claim this device anew\n"
    )


def test_where_a_token_cannot_be_kept_nothing_is_left_and_that_is_told() -> None:
    folder = config_path().parent
    folder.parent.mkdir(parents=True)
    folder.write_text("in the way")
    with pytest.raises(
        BadSettings, match=r"cannot write .*: (not a directory|file exists)"
    ) as told:
        Device(SERVERS).keep("5ec2e7")
    assert "5ec2e7" not in str(told.value)
    folder.unlink()
    (folder / "devices" / "example.org%3A7667").mkdir(parents=True)
    with pytest.raises(BadSettings, match=r"cannot write .*: is a directory"):
        Device(SERVERS).keep("5ec2e7")
    assert [each.name for each in (folder / "devices").iterdir()] == ["example.org%3A7667"]
    with pytest.raises(BadSettings, match="cannot be kept"):
        Device(SERVERS).keep("not\na token")


def test_where_a_token_could_not_be_kept_no_code_is_used_up(server: Server) -> None:
    in_the_way = token_file(server.address)
    in_the_way.mkdir(parents=True)
    sentence = (
        f"a token could not be kept, so the code is not used: cannot write {in_the_way}: is a"
        " directory"
    )
    refused = run(server.address, "--claim", "b-1")
    assert (refused.returncode, refused.stderr) == (1, f"tcpchat-client: {sentence}\n")
    assert [each.name for each in in_the_way.parent.iterdir()] == [in_the_way.name]
    in_the_way.rmdir()
    with come(server, "--nick", "eve", "--room", "lobby") as bob:
        bob.wait_for("^lobby>")
        in_the_way.mkdir()
        bob.enter("/claim b-1")
        bob.wait_for("!! a token could not be kept, so the code is not used: ")
        in_the_way.rmdir()
        bob.enter("/claim b-1")
        bob.wait_for("-- this is device 1 of bob$")


def test_a_name_without_a_claim_means_nothing() -> None:
    refused = run("example.org", "--device", "desk")
    assert refused.returncode == 1
    assert refused.stderr == "tcpchat-client: --device means nothing without --claim\n"


def test_with_nc_one_is_told_the_token_to_keep(server: Server) -> None:
    with Talker(server.address, "/claim a-1\n") as plain:
        assert re.search("/login [0-9a-f]{64}$", plain.read_until("* Keep this")[-1])
