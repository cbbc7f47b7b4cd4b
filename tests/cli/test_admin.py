"""tcpchat-server admin: accounts, made on the machine itself, whether the server runs or not."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from tests.cli.serving import Talker
from tests.cli.test_kept import serving, stop, tool


def admin(folder: Path, *arguments: str) -> str:
    """What the tool says when all is well."""
    status, output, errors = tool("admin", "--data", folder, *arguments)
    assert (status, errors) == (0, "")
    return output


def refused(folder: Path, *arguments: str) -> str:
    """What it says when it is not: one sentence."""
    status, output, errors = tool("admin", "--data", folder, *arguments)
    assert (status, output) == (1, "")
    assert errors.count("\n") == 1
    return errors.removeprefix("tcpchat-server: ").removesuffix("\n")


def code_for(folder: Path, nick: str, *arguments: str) -> str:
    return admin(folder, "invite", nick, *arguments).splitlines()[0]


def test_a_code_of_a_server_that_runs_makes_whoever_has_it_the_account(tmp_path: Path) -> None:
    with serving(tmp_path) as (server, address):
        told = admin(tmp_path, "invite", "Ada")
        code = told.splitlines()[0]
        assert f"tcpchat-client --claim {code}" in told
        with Talker(address, f"/claim {code} phone\n/join lobby\n") as ada:
            ada.read_until("* This is device 1 of Ada")
            token = ada.read_until("* Keep this").pop().rpartition(" ")[2]
            ada.read_until("* You joined lobby")
            with Talker(address, f"/claim {code}\n/nick ada\n/join lobby\n") as bob:
                bob.read_until("! wrong-code")
                bob.read_until("! nick-in-use")
            assert "Ada  1 device" in admin(tmp_path, "accounts")
        with Talker(address, f"/login {token}\n") as again:
            again.read_until("* This is device 1 of Ada")
        log = stop(server)
    for secret in (code, token):
        assert secret not in log
        for path in filter(Path.is_file, tmp_path.rglob("*")):
            assert secret.encode() not in path.read_bytes()


def test_what_is_done_while_no_server_runs_is_so_when_it_runs(tmp_path: Path) -> None:
    with serving(tmp_path) as (server, _):
        stop(server)
    code = code_for(tmp_path, "ada", "--admin")
    with serving(tmp_path) as (_, address), Talker(address, f"/claim {code}\n") as ada:
        ada.read_until("* This is device 1 of ada, who looks after this server")
        ada.send("/audit\n")
        assert "the owner invite ada" in ada.read_until("* 20")[-1] + ada.read_until("* 20")[-1]


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
    assert refused(tmp_path, *arguments) == sentence


def test_a_folder_without_a_server_or_a_log_is_refused_in_a_sentence(tmp_path: Path) -> None:
    assert refused(tmp_path, "accounts") == (
        f"no server keeps {tmp_path}: start one, or give its folder with --data"
    )


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
