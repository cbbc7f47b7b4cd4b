# ruff: noqa: E501 # JavaScript, as it stands
"""protocol.js does what Python's client does; and where it would not, that is seen."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.web.recording import recording
from tests.web.tables import PAGE, tables

HERE = Path(__file__).parent

# Each of them is a mistake that is easily made: what stands in protocol.js, and what would.
MUTANTS = {
    "a resent message is shown twice": ("seq <= view.seq", "seq < view.seq"),
    "a direct message is shown twice": ("notice.seq > this._told;", "true;"),
    "what has no receipt is not sent again": (
        "this._held.push(id, ...(after.get(id) ?? []));",
        "this._held.push(...(after.get(id) ?? []));",
    ),
    "more is sent than the server remembers": (">= oldest + window", "> oldest + window"),
    "a gap is not taken for seen": ("this._see(notice.room, notice.oldest - 1)", "true"),
    "what diverged is not lost": ("this._lost.add(room);", ""),
    "a gap whose connection broke is not told": ("if (untold.has(room)) this._owed.push", "if (false) this._owed.push"),
    "direct messages of a lost epoch count": (
        'this._told = this._cut("", this._told, resumed.common, untold);',
        "",
    ),
    "a gap that was told is owed": ("this._lost.delete(notice.room);", ""),
    "what is owed is forgotten by a reload": ("protocol._lost = new Set(saved.lost);", ""),
    "rooms are keys of an object": (
        "value instanceof Map ? Object.fromEntries(value) : value",
        "value instanceof Map ? [...value].reduce((o, [k, v]) => ((o[k] = v), o), {}) : value",
    ),
    "lone surrogates are sent as they are": (
        "text.toWellFormed ? text.toWellFormed() : text.replace(LONE_SURROGATES, \"\\ufffd\")",
        "text",
    ),
    "characters are counted for bytes": (
        "const byteCount = (text) => utf8.encode(text).length;",
        "const byteCount = (text) => text.length;",
    ),
    "an answer goes to the newest question": (
        "this._pending.findIndex(",
        "this._pending.findLastIndex(",
    ),
    "an unknown notice is an error": ("&& !NOTICES.has(type)) return null;", "&& false) return null;"),
    "the pauses are not spread": ("this._pauseMs * (0.5 + spread)", "this._pauseMs"),
    "the epoch is not told": ('hello.epoch = token ? this.epoch : "";', 'hello.epoch = "";'),
    "what was asked is not asked again": (
        "this._pending.map((each) => [each.after, each.request])",
        "[]",
    ),
    "who is gone stays": ("for (const each of this._leftBy(notice.nick))", "for (const each of [])"),
    "who moderates no more does": ("view?.moderators.delete(notice.nick);", ""),
    "an owner does not moderate": (' && notice.role !== "owner"', ""),
    "a moderator who is gone stays one": ("    this.moderators.delete(nick);\n", ""),
    "a moderator with another nick is none": ("each.moderators = renamed(each.moderators, ", "renamed(each.moderators, "),
    "the device is not said": ("token, told, password, device });", "token, told, password });"),
    "who comes again by a device that it has loses it": (
        "this.device = notice.token || this.device;",
        "this.device = notice.token;",
    ),
    "who is put out of the server is thought out of a room": (
        "if (server !== isOfServer) return false;",
        "",
    ),
    "a real name of another device is thought an answer": (
        "return notice.own && isOfKind && !request.name === !notice.name;",
        "return isOfKind;",
    ),
    "a real name is shown as it comes": ("[sanitize(key), read(text, \"str\")]", "[key, text]"),
    "to be away on another device is thought an answer": (
        "return notice.own && isOfKind && !request.text === !notice.text;",
        "return isOfKind;",
    ),
    "ids begin anew after a reload": ("protocol._lastId = saved.lastId;", ""),
}  # fmt: skip


@pytest.fixture(scope="module")
def node() -> str:
    found = shutil.which("node")
    if found is None:
        if os.environ.get("CI"):
            pytest.fail("there is no node, and in CI there has to be one")
        pytest.skip("there is no node that could run the page's JavaScript")
    return found


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("recording") / "recording.json"
    file.write_text(json.dumps(recording()), encoding="utf-8")
    return file


def copy(folder: Path, replaced: str = "", by: str = "") -> Path:
    """The page's modules, as node takes them: with a protocol.js that may be broken."""
    folder.mkdir()
    (folder / "package.json").write_text('{"type":"module"}')
    for file in PAGE.glob("*.js"):
        shutil.copy(file, folder)
    text = (folder / "protocol.js").read_text(encoding="utf-8")
    assert replaced in text, replaced
    (folder / "protocol.js").write_text(text.replace(replaced, by), encoding="utf-8")
    return folder


def differences(node: str, recorded: Path, folders: list[Path]) -> list[str | None]:
    """Of each folder the first difference to the recording, or None."""
    done = subprocess.run(
        [node, HERE / "replay.mjs", recorded, *folders],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
        env={**os.environ, "TZ": "UTC"},  # where the plain dialect is
    )
    return [json.loads(line) for line in done.stdout.strip().split("\n")]


def test_it_does_what_pythons_client_does(node: str, recorded: Path, tmp_path: Path) -> None:
    assert differences(node, recorded, [copy(tmp_path / "page")]) == [None]


def test_each_mistake_is_seen(node: str, recorded: Path, tmp_path: Path) -> None:
    folders = [
        copy(tmp_path / str(place), *change) for place, change in enumerate(MUTANTS.values())
    ]
    found = differences(node, recorded, folders)
    assert [name for name, seen in zip(MUTANTS, found, strict=True) if seen is None] == []


def test_it_needs_nothing_that_only_new_browsers_have(
    node: str, recorded: Path, tmp_path: Path
) -> None:
    without = copy(tmp_path / "page", "text.toWellFormed ?", "false ?")
    assert differences(node, recorded, [without]) == [None]


@pytest.mark.parametrize("file", sorted(path.name for path in PAGE.glob("*.js")))
def test_a_module_can_be_read(node: str, file: str, tmp_path: Path) -> None:
    module = copy(tmp_path / "page") / file
    subprocess.run([node, "--check", module], check=True, timeout=60)


def test_the_tables_are_those_of_python() -> None:
    is_written = (PAGE / "tables.js").read_text(encoding="utf-8")
    assert is_written == tables(), "run python -m tests.web.tables"
