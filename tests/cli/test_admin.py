"""tcpchat-server admin: accounts, made on the machine itself, whether the server runs or not."""

from __future__ import annotations

import base64
import ctypes
import hashlib
import ipaddress
import json
import re
import secrets
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import pytest

from tests.cli.serving import Talker
from tests.cli.terminal import LIMIT_SECONDS, SERVER
from tests.cli.test_kept import serving, stop, tool

# Linux's numbers, as in linux/capability.h.
CAP_DAC_OVERRIDE: Final = 1
CAP_DAC_READ_SEARCH: Final = 2


def admin(folder: Path, *arguments: str) -> str:
    """What the tool says when all is well."""
    status, output, errors = tool("admin", "--data", folder, *arguments)
    assert (status, errors) == (0, "")
    return output


def no_server(folder: Path) -> str:
    """What is to be known then."""
    return (
        f"no server runs on {folder}, so this is of the folder itself; a server with another folder"
        " or with --in-memory knows nothing of it"
    )


def admin_of_a_folder(folder: Path, *arguments: str) -> str:
    """The same while no server runs, which it says."""
    status, output, errors = tool("admin", "--data", folder, *arguments)
    assert status == 0
    assert errors == f"tcpchat-server: {no_server(folder)}\n"
    return output


def refused(folder: Path, *arguments: str) -> str:
    """What it says when it is not: one sentence."""
    status, output, errors = tool("admin", "--data", folder, *arguments)
    assert (status, output) == (1, "")
    assert errors.count("\n") == 1
    return errors.removeprefix("tcpchat-server: ").removesuffix("\n")


def code_for(folder: Path, nick: str, *arguments: str) -> str:
    return admin(folder, "invite", nick, *arguments).splitlines()[0]


def test_the_folder_is_given_before_the_command_or_after_it(tmp_path: Path) -> None:
    with serving(tmp_path):
        for arguments in (("--data", tmp_path, "accounts"), ("accounts", "--data", tmp_path)):
            assert tool("admin", *arguments) == (0, "there are no accounts yet\n", "")


def test_a_code_of_a_server_that_runs_makes_whoever_has_it_the_account(tmp_path: Path) -> None:
    with serving(tmp_path) as (server, address):
        told = admin(tmp_path, "invite", "Ada")
        code = told.splitlines()[0]
        assert f"tcpchat-client HOST:PORT --claim {code}" in told
        with Talker(address, f"/claim {code} phone\n/join lobby\n") as ada:
            ada.read_until("* This is device 1 of Ada")
            token = ada.read_until("* Keep this").pop().rpartition(" ")[2]
            ada.read_until("* You joined lobby")
            assert "Ada  1 device" in admin(tmp_path, "accounts")
        with Talker(address, f"/login {token}\n") as again:
            again.read_until("* This is device 1 of Ada")
            # Last, for after a wrong one who comes from there has to wait.
            with Talker(address, f"/claim {code}\n/nick ada\n/join lobby\n") as bob:
                bob.read_until("! wrong-code")
                bob.read_until("! nick-in-use")
        log = stop(server)
    for secret in (code, token):
        assert secret not in log
        for path in filter(Path.is_file, tmp_path.rglob("*")):
            assert secret.encode() not in path.read_bytes()


ADDRESSES: Final = ("192.0.2.41", "2001:db8:4141::7")
PASSWORD, WRONG_PASSWORD, WORD = "correct horse battery", "incorrect horse", "teapot-4141"
NOBODYS: Final = secrets.token_urlsafe(24)


def from_elsewhere(address: str, source: str, words: str) -> Talker:
    """Somebody whose address is what a proxy says."""
    family, to = ("TCP6", "2001:db8::1") if ":" in source else ("TCP4", "192.0.2.99")
    return Talker(address, f"PROXY {family} {source} {to} 4141 7667\r\n{words}")


def with_secrets(folder: Path, address: str) -> Iterator[str]:
    """People come, are let in, invited, banned and refused; the secrets that are made for that."""
    with ExitStack() as stack:
        ada, bob, eve = (
            stack.enter_context(from_elsewhere(address, source, words))
            for source, words in (
                (ADDRESSES[0], '{"type":"hello"}\n'),
                (ADDRESSES[1], "/nick bob\n"),
                (ADDRESSES[0], "/nick eve\n"),
            )
        )

        def made(what: str, field: str) -> str:
            told = json.loads(ada.read_until(f'{{"type":"{what}"')[-1])[field]
            assert isinstance(told, str)
            return told

        yield made("welcome", "token")
        yield (code := code_for(folder, "ada"))
        ada.send(f'{{"type":"claim","code":"{code}","name":"phone"}}\n')
        yield made("claimed", "token")
        ada.send(
            '{"type":"device"}\n{"type":"join","room":"den"}\n{"type":"invite","room":"den"}\n'
        )
        yield made("offered", "code")
        yield made("invited", "code")
        ada.send(f'{{"type":"mode","room":"den","secret":"{WORD}"}}\n')
        ada.read_until('{"type":"mode"')
        bob.send(f"/join den {WORD}\n")
        bob.read_until("* You joined den")
        ada.send('{"type":"restrict","room":"den","nick":"bob","what":"ban","reason":"spam"}\n')
        bob.read_until("* You were banned")
        for request in ("claim", "login", "join den"):
            eve.send(f"/{request} {NOBODYS}\n")
            eve.read_until("! ")


def with_passwords(folder: Path, address: str) -> Iterator[str]:
    """The same of passwords, which are for who comes from the machine itself."""
    yield (token := admin(folder, "token", "deploy").strip())
    with Talker(address, f"/login {token}\n/password {PASSWORD}\n") as bot:
        bot.read_until("* deploy has a new password now")
        with Talker(address, f"/login deploy {WRONG_PASSWORD}\n") as guesser:
            guesser.read_until("! wrong-password")


def hashed(secret: str) -> str:
    """What is kept of a token, or of a code."""
    is_code = re.fullmatch("([0-9a-f]{5}-){3}[0-9a-f]{5}", secret)
    plain = secret.replace("-", "") if is_code else secret
    return hashlib.sha256(plain.encode()).hexdigest()


def test_no_secret_and_no_address_is_in_any_file_nor_in_the_console_log(tmp_path: Path) -> None:
    folder, backups = tmp_path / "data", tmp_path / "backups"
    backups.mkdir()

    def backup(name: str) -> None:
        assert tool("backup", folder, backups / name)[0] == 0

    with serving(folder, "--proxy-protocol", "127.0.0.1") as (server, address):
        made = [*with_secrets(folder, address)]
        backup("while it runs.tar")
        log = stop(server)
    with serving(folder) as (server, address):
        made += with_passwords(folder, address)
        log += stop(server)
    backup("after it.tar")
    assert tool("compact", folder)[0] == 0
    backup("compacted.tar")
    files = {path.name: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert files.keys() >= {"log.db", "archive.db", "after it.tar", "compacted.tar"}
    everything = b"".join(files.values())
    four, six = (ipaddress.ip_address(each) for each in ADDRESSES)
    for secret in (*made, NOBODYS, PASSWORD, WRONG_PASSWORD, WORD, *ADDRESSES, six.exploded):
        assert secret not in log
        for written in {secret, secret.replace("-", "")}:
            assert written.encode() not in everything
    for network in (four.packed, six.packed[:8]):
        assert network not in everything
    for secret in made:  # so it was looked for where it would be
        assert hashed(secret).encode() in everything


def test_what_is_done_while_no_server_runs_is_so_when_it_runs(tmp_path: Path) -> None:
    with serving(tmp_path) as (server, _):
        stop(server)
    code = admin_of_a_folder(tmp_path, "invite", "ada", "--admin").splitlines()[0]
    assert admin_of_a_folder(tmp_path, "accounts") == "ada  no device yet  admin\n"
    with serving(tmp_path) as (_, address), Talker(address, f"/claim {code}\n") as ada:
        ada.read_until("* This is device 1 of ada, who looks after this server")
        ada.send("/audit\n")
        assert "the owner invite ada" in ada.read_until("* 20")[-1] + ada.read_until("* 20")[-1]


def test_an_irc_client_goes_on_when_the_server_was_killed_and_is_started_again(
    tmp_path: Path,
) -> None:
    def sign_in(token: str) -> str:
        proof = base64.b64encode(f"\0ada\0{token}".encode()).decode()
        lines = ("CAP REQ sasl", "AUTHENTICATE PLAIN", f"AUTHENTICATE {proof}", "NICK x")
        return "".join(f"{line}\r\n" for line in (*lines, "USER x 0 * :x", "CAP END"))

    with serving(tmp_path) as (server, address):
        token = admin(tmp_path, "token", "ada").strip()
        with Talker(address, sign_in(token)) as ada, Talker(address, "/nick bob\n") as bob:
            ada.read_until(":tcpchat 422 ada ")
            ada.send("JOIN #lobby\r\n")
            ada.read_until(":tcpchat 366 ada ")
            bob.send("/join lobby\none\n/msg ada psst\n")
            ada.read_until(":bob!~u@tcpchat PRIVMSG ada :psst")
            server.process.kill()
            server.process.wait()
    with serving(tmp_path) as (_, address), Talker(address, "/nick bob\n/join lobby\n") as bob:
        bob.read_until("* You joined lobby")
        bob.send("two\n/nick eve\n")
        bob.read_until("* You are now eve")
        with Talker(address, sign_in(token)) as ada:
            ada.read_until(":tcpchat 422 ada ")
            told = [
                line.rstrip("\r") for line in ada.read_until(":bob!~u@tcpchat PRIVMSG #lobby :[")
            ]
            told += ada.read_until(":bob!~u@tcpchat PRIVMSG #lobby :[")
            said = [line.rstrip("\r").rpartition("] ")[2] for line in told if " PRIVMSG " in line]
            assert said == ["psst", "one", "two"]
            assert told[0] == ":ada!~u@tcpchat JOIN #lobby"


def test_a_program_comes_by_a_token(tmp_path: Path) -> None:
    with serving(tmp_path) as (_, address):
        token = admin(tmp_path, "token", "deploy").strip()
        with Talker(address, f"/login {token}\n/join lobby\n") as bot:
            bot.read_until("* This is device 1 of deploy")
            with Talker(address, "/join lobby\n") as guest:
                guest.read_until("* You joined lobby (2 here: deploy, guest-")


def test_an_admin_is_made_and_is_one_no_more(tmp_path: Path) -> None:
    with serving(tmp_path) as (_, address):
        code = code_for(tmp_path, "ada")
        with Talker(address, f"/claim {code}\n/bans --server\n") as ada:
            ada.read_until("! no-right")
            admin(tmp_path, "admin", "ada", "on")
            ada.send("/bans --server\n")
            ada.read_until("* Nobody is banned from this server")
            admin(tmp_path, "admin", "ada", "off")
            ada.send("/bans --server\n")
            ada.read_until("! no-right")


def test_the_log_tells_whom_an_admin_put_out_and_whom_for_longer(tmp_path: Path) -> None:
    with serving(tmp_path) as (server, address):
        code = code_for(tmp_path, "ada")
        with (
            Talker(address, f"/claim {code}\n/bans --server\n") as ada,
            Talker(address, "/nick bob\n/join tea\n") as bob,
            Talker(address, "/nick eve\n/join tea\n") as eve,
        ):
            ada.read_until("! no-right")
            bob.read_until("* You joined tea")
            eve.read_until("* You joined tea")
            admin(tmp_path, "admin", "ada", "on")
            ada.send("/ban bob 1h --server\n/kick eve --server\n")
            bob.read_until("* Closing")
            eve.read_until("* Closing")
            server.wait_until(lambda: " nick=eve by=" in server.log_so_far())
        assert re.findall(r"event=(\w+) conn=\S+ (.*) by=ada", server.log_so_far()) == [
            ("restricted", "nick=bob what=ban"),
            ("expelled", "nick=eve"),
        ]


def test_an_account_that_alone_owns_rooms_ends_only_when_that_is_meant(tmp_path: Path) -> None:
    with serving(tmp_path) as (_, address):
        code = code_for(tmp_path, "ada")
        with Talker(address, f"/claim {code}\n/join tea\n/keep\n") as ada:
            ada.read_until("* tea is kept now")
            assert refused(tmp_path, "withdraw", "ada") == (
                "ada alone owns tea, which would be kept no more; give --yes if that is meant"
            )
            admin(tmp_path, "withdraw", "ada", "--yes")
            ada.read_until("* Closing: this account was closed")
        assert admin(tmp_path, "accounts") == "there are no accounts yet\n"
        assert "the owner withdraw ada" in admin(tmp_path, "audit")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (
            ("invite", "two words"),
            "two words cannot be an account: a nickname cannot contain spaces",
        ),
        (("withdraw", "nobody"), "there is no account nobody"),
        (("admin", "nobody", "off"), "there is no account nobody"),
    ],
)
def test_what_cannot_be_is_refused_in_a_sentence(
    arguments: tuple[str, ...], sentence: str, tmp_path: Path
) -> None:
    with serving(tmp_path) as (server, _):
        assert refused(tmp_path, *arguments) == sentence
        stop(server)
    assert refused(tmp_path, *arguments) == f"{sentence} ({no_server(tmp_path)})"


def test_a_folder_without_a_server_or_a_log_is_refused_in_a_sentence(tmp_path: Path) -> None:
    assert refused(tmp_path, "accounts") == (
        f"no server keeps {tmp_path}: start one, or give its folder with --data (a server with"
        " --in-memory has no accounts)"
    )


def as_anybody() -> None:
    """What may be read is asked of root as well: it has no rights beyond the mode of a file."""
    if sys.platform == "linux":
        drop_from_bounding_set = 24
        for capability in (CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH):
            ctypes.CDLL(None).prctl(drop_from_bounding_set, capability, 0, 0, 0)


@pytest.mark.parametrize("runs", [True, False])
def test_a_folder_that_one_may_not_open_is_refused_in_a_sentence(
    tmp_path: Path, runs: bool
) -> None:
    folder = tmp_path / "data"
    with serving(folder) as (server, _):
        if not runs:
            stop(server)
        folder.chmod(0)
        done = subprocess.run(
            [SERVER, "admin", "--data", folder, "invite", "ada"],
            capture_output=True,
            text=True,
            timeout=LIMIT_SECONDS,
            check=False,
            preexec_fn=as_anybody,
        )
        folder.chmod(0o700)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        f"tcpchat-server: {folder} is another user's: run this as the one who runs the server\n"
    )


def test_a_log_that_cannot_be_used_is_told_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "log.db").write_bytes(b"no database" * 1_000)
    assert str(tmp_path) in refused(tmp_path, "accounts")


def test_only_who_may_open_the_folder_may_ask(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    with serving(folder):
        for path in (folder, folder / "control"):
            assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0


def test_without_guests_only_who_has_an_account_talks(tmp_path: Path) -> None:
    words = "/join lobby\n/rooms\n/nick ada\n/msg ada psst\n"
    with serving(tmp_path, "--no-guests") as (_, address), Talker(address, words) as guest:
        for _ in range(4):
            guest.read_until("! no-right: only who has an account talks here")
        code = code_for(tmp_path, "ada")
        guest.send(f"/claim {code}\n/join lobby\n")
        guest.read_until("* You joined lobby")
