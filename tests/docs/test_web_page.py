"""docs/web.md: its handshake is the server's, and its codes and refusals are all there are."""

from __future__ import annotations

import re

from tcpchat_cli.terminal.commands import LOCAL_COMMANDS

from tcpchat_core.dialects.frames import CloseCode
from tcpchat_core.dialects.http import Exchange, Site
from tests.core.browser import get, header, status, upgrade
from tests.docs.pages import code_blocks, read, sections, table

PAGE = sections(read("docs/web.md"), 2)
OPERATOR, CLIENT = PAGE["To run it"], PAGE["To write a client"]


PEOPLE = sections(PAGE["The page"], 3)


def test_the_commands_that_the_page_carries_out_are_those_of_the_terminals_client() -> None:
    theirs = {f"`{each.usage}`": each.summary for each in LOCAL_COMMANDS}
    rows = table(PEOPLE["Commands"])
    assert [usage for usage, _ in rows] == ["`/ignore [NICK]`", "`/unignore NICK`"]
    assert all(theirs[usage] == summary for usage, summary in rows)


def test_the_keys_are_those_that_help_shows() -> None:
    index = read("tcpchat_net/page/index.html")
    assert [tuple(row) for row in table(PEOPLE["Keys"])[1:]] == re.findall(
        r"<dt>(.+)</dt><dd>(.+)</dd>", index
    )


def _answer(request: bytes, hosts: frozenset[str] = frozenset()) -> bytes:
    answer = Exchange(Site({}, hosts)).receive_data(request)
    assert answer is not None
    return answer.data


def test_the_handshake_of_the_page_is_the_servers() -> None:
    [shown] = code_blocks(CLIENT, "text")
    request, _, answer = shown.replace("\n", "\r\n").partition("\r\n\r\n")
    data = _answer(f"{request}\r\n\r\n".encode(), frozenset({"chat.example"}))
    assert data.decode() == f"{answer}\r\n"


def test_the_close_codes_of_the_page_are_the_servers() -> None:
    assert [int(row[0]) for row in table(CLIENT)] == list(CloseCode)


def test_each_refusal_of_the_page_is_one_of_the_servers() -> None:
    broken = {
        "the request": [
            get("/ x"),
            get("/").replace(b"GET", b"POST"),
            get("/", {"A": "x" * 17_000}),
            get("/").replace(b"1.1", b"1.0"),
        ],
        "Host": [get("/", {"Host": "evil.example"})],
        "the path": [get("/nothing")],
        "Upgrade, at /ws": [upgrade(Upgrade=None)],
        "Origin, at /ws": [upgrade(Origin=None)],
        "Sec-WebSocket-Protocol, at /ws": [upgrade(Sec_WebSocket_Protocol=None)],
        "Sec-WebSocket-Key, at /ws": [upgrade(Sec_WebSocket_Key=None)],
    }
    rows = {row[0].replace("`", ""): row[2] for row in table(sections(OPERATOR, 3)["Who may come"])}
    assert rows.pop("its time") == "503"
    assert rows.keys() == broken.keys()
    for what, requests in broken.items():
        codes = [str(status(_answer(request))) for request in requests]
        assert ", ".join(codes) == rows[what], f"docs/web.md, Who may come: {what}"


def test_the_configuration_of_a_proxy_waits_longer_than_the_server_asks() -> None:
    waits = [
        int(seconds) for seconds in re.findall(r"timeout(?: client| server)? (\d+)s", OPERATOR)
    ]
    assert len(waits) == 4
    assert min(waits) > 150


def test_a_page_that_is_refused_is_told_in_a_sentence() -> None:
    data = _answer(upgrade(Origin=None))
    assert header(data, "Content-Type") == "text/plain; charset=utf-8"
