"""client.toml is changed one key at a time, and what a person has written in it stays."""

from __future__ import annotations

import errno
import os
import stat
import subprocess
import sys
import textwrap
import tomllib
from pathlib import Path

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st
from tcpchat_cli.terminal.client_toml import MAX_FILE_BYTES, Table, change_file, read_tables
from tcpchat_cli.terminal.settings import BadSettings

TEXTS = st.text(st.characters(codec="utf-8"), max_size=20)
VALUES: st.SearchStrategy[object] = st.one_of(
    st.booleans(), st.integers(0, 2**40), TEXTS, st.lists(TEXTS, max_size=3), st.just([])
)

# What stands in a file, a line or some, with a number that makes its key a key of its own.
PIECES = (
    "# a comment {0}",
    "#theme = {0}",
    "",
    "   ",
    "key{0} = {0} # why",
    "  indented{0}   =   'as it is'",
    "[table{0}]",
    "\t[ profiles.work{0} ] # mine",
    'wall{0} = """\ntheme = "no"\n[none]\n  """',
    "list{0} = [ # first\n  1,\n  2, # last\n]",
    "inline{0} = {{ a = 1, b = [2] }}",
    "dotted{0}.a = 1",
    "dotted{0}.b.c = 2",
    '"quoted {0}" = "\\u00e9"',
    "[[many]]",
    "kä = {0}",
    'sign{0} = "한글 é"',
)
HOW_THEME_STANDS = (None, 'theme = "dark" # why', "theme='''a\nb'''", "theme = [\n 1,\n] # end")


@st.composite
def files(draw: st.DrawFn) -> str:
    """The text of a file that is TOML, whether or not it has a theme."""
    pieces = draw(st.lists(st.sampled_from(PIECES), max_size=8))
    lines = [piece.format(number) for number, piece in enumerate(pieces)]
    theme = draw(st.sampled_from(HOW_THEME_STANDS))
    if theme is not None:
        lines.insert(draw(st.integers(0, len(lines))), theme)
    end = draw(st.sampled_from(("\n", "\r\n")))
    text = end.join(lines).replace("\r\n", "\n").replace("\n", end)
    text += draw(st.sampled_from(("", end)))
    try:
        tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        assume(False)
    return text


def put(path: Path, text: str) -> None:
    path.write_bytes(text.encode())


def got(path: Path) -> str:
    return path.read_bytes().decode()


def others(text: str) -> list[str]:
    """The lines that are not blank and have nothing of the theme at the top level."""
    text = text.replace("\r\n", "\n")
    lines = text.split("\n")
    found = next((each for each in HOW_THEME_STANDS if each and each in text), None)
    own = found.split("\n") if found else []
    at = next((at for at in range(len(lines)) if own and lines[at : at + len(own)] == own), None)
    left = lines if at is None else lines[:at] + lines[at + len(own) :]
    return [line for line in left if line.strip()]


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("settings") / "client.toml"


@given(files(), VALUES)
@example("# about\n[keys]\nnext = 'c-n'\n", "dark")
@example("a = 1\n\n# about keys\n[keys]\nnext = 'c-n'\n", "dark")
@example("[a]\nx = 1\n\n[b]", ["one", "two"])
@example("[[many]]\n[table1]\n[[many]]", [])
@example("theme = [\n 1,\n] # end\n[[many]]\n[table1]\n[[many]]", "dark")
@example("\ufeffa = 1", True)
def test_what_is_set_is_read_again_and_all_other_lines_stay(
    path: Path, text: str, value: object
) -> None:
    put(path, text)
    before = read_tables(path)

    def edit(tables: Table) -> None:
        tables["theme"] = value

    change_file(path, edit, "theme")
    assert read_tables(path) == {**before, "theme": value}
    changed = got(path)
    assert text.count("\r\n") in (0, text.count("\n"))
    left = iter(changed.replace("\r\n", "\n").split("\n"))
    for line in others(text):
        assert line in left, f"{line!r} of {text!r} is not, or not there, in {changed!r}"


@given(files())
@example("theme = [\n 1,\n] # end\n[[many]]\n[table1]\n[[many]]")
def test_what_is_unset_is_gone_and_all_other_lines_stay(path: Path, text: str) -> None:
    put(path, text)
    before = read_tables(path)
    change_file(path, lambda tables: (tables.pop("theme", None), None)[1], "theme")
    before.pop("theme", None)
    assert read_tables(path) == before
    left = iter(got(path).replace("\r\n", "\n").split("\n"))
    for line in others(text):
        assert line in left


@given(
    st.binary(max_size=60) | st.text(max_size=60).map(lambda text: text.encode("utf-8", "replace"))
)
def test_a_file_that_is_no_toml_is_not_touched(path: Path, data: bytes) -> None:
    try:
        tomllib.loads(data.decode().removeprefix("\ufeff"))
    except (UnicodeDecodeError, tomllib.TOMLDecodeError):
        pass
    else:
        assume(False)
    path.write_bytes(data)
    with pytest.raises(BadSettings, match=r"is not (TOML|UTF-8)"):
        change_file(path, lambda tables: tables.update(theme="dark"), "theme")
    assert path.read_bytes() == data
    assert os.listdir(path.parent) == [path.name]


def test_a_new_key_stands_below_the_comment_that_shows_it(tmp_path: Path) -> None:
    path = tmp_path / "client.toml"
    put(path, '# colours\n# theme = "none"\n\n# the bell\n# bell = true\n')
    change_file(path, lambda tables: tables.update(theme="dark"), "theme")
    assert got(path) == (
        '# colours\n# theme = "none"\ntheme = "dark"\n\n# the bell\n# bell = true\n'
    )


def test_what_an_editor_writes_meanwhile_is_not_lost(tmp_path: Path) -> None:
    path = tmp_path / "client.toml"
    put(path, "a = 1\n")
    calls = 0

    def edit(tables: Table) -> None:
        nonlocal calls
        calls += 1
        if calls == 1:  # what is changed was read before
            put(path, "a = 1\nfrom_the_editor = true\n")
        tables["theme"] = "dark"

    change_file(path, edit, "theme")
    assert got(path) == 'a = 1\nfrom_the_editor = true\ntheme = "dark"\n'


def test_who_never_stops_writing_is_not_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "client.toml"
    put(path, "")

    def edit(tables: Table) -> None:
        with path.open("a") as file:
            file.write("# more\n")
        tables["theme"] = "dark"

    with pytest.raises(BadSettings, match="another program keeps writing it"):
        change_file(path, edit, "theme")
    assert "theme" not in got(path)


def test_a_link_stays_one_and_the_mode_stays(tmp_path: Path) -> None:
    real, link = tmp_path / "dotfiles" / "client.toml", tmp_path / "client.toml"
    real.parent.mkdir()
    put(real, "a = 1\n")
    real.chmod(0o640)
    link.symlink_to(real)
    change_file(link, lambda tables: tables.update(theme="dark"), "theme")
    assert link.is_symlink()
    assert got(real) == 'a = 1\ntheme = "dark"\n'
    assert stat.S_IMODE(real.stat().st_mode) == 0o640
    assert os.listdir(real.parent) == ["client.toml"]


def test_a_link_to_what_is_not_there_yet_has_it_made_there(tmp_path: Path) -> None:
    link = tmp_path / "client.toml"
    link.symlink_to(tmp_path / "later.toml")
    change_file(link, lambda tables: tables.update(theme="dark"), "theme")
    assert link.is_symlink()
    assert got(tmp_path / "later.toml") == 'theme = "dark"\n'


def test_a_file_that_is_made_is_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "new" / "client.toml"
    change_file(path, lambda tables: tables.update(theme="dark"), "theme")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_file_that_is_read_only_stays_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "client.toml"
    put(path, "a = 1\n")
    path.chmod(0o444)
    with pytest.raises(BadSettings, match=r"client.toml: it is read-only$"):
        change_file(path, lambda tables: tables.update(theme="dark"), "theme")
    assert got(path) == "a = 1\n"


def test_a_full_disk_is_told_and_nothing_is_left_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "here" / "client.toml"
    path.parent.mkdir()
    put(path, "a = 1\n")

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(BadSettings, match=r"client.toml: no space left on device$"):
        change_file(path, lambda tables: tables.update(theme="dark"), "theme")
    assert got(path) == "a = 1\n"
    assert os.listdir(path.parent) == ["client.toml"]


def test_a_file_that_never_ends_is_not_read_to_its_end(tmp_path: Path) -> None:
    path = tmp_path / "client.toml"
    path.symlink_to("/dev/zero")
    with pytest.raises(BadSettings, match=f"more than {MAX_FILE_BYTES:,} bytes"):
        read_tables(path)


KILLED_ANYWHERE = """
    import os, signal, sys
    from pathlib import Path
    from tcpchat_cli.terminal import client_toml, kept_files

    files = {client_toml.__file__, kept_files.__file__}
    path, old = Path(sys.argv[1]), b"a = 1\\n"
    path.write_bytes(old)
    client_toml.change_file(path, lambda tables: tables.update(theme="dark"), "theme")
    new = path.read_bytes()

    def change(last):  # and die before the line of that number
        lines = 0
        def trace(frame, event, argument):
            nonlocal lines
            if frame.f_code.co_filename not in files:
                return None
            if event == "line":
                lines += 1
                if lines == last:
                    os.kill(os.getpid(), signal.SIGKILL)
            return trace
        sys.settrace(trace)
        client_toml.change_file(path, lambda tables: tables.update(theme="dark"), "theme")
        sys.settrace(None)
        os._exit(0)

    found, status, last = set(), -1, 0
    while status != 0:
        last += 1
        for left in path.parent.glob(".*"):  # each would take the next one some lines more
            left.unlink()
        path.write_bytes(old)
        if (child := os.fork()) == 0:
            change(last)
        status = os.waitpid(child, 0)[1]
        found.add(path.read_bytes())
    assert found == {old, new}, found
    print(last)
"""


def test_killed_at_any_line_it_leaves_the_old_file_or_the_new(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(KILLED_ANYWHERE), tmp_path / "client.toml"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == ""
    assert int(done.stdout) > 30  # lines that it died before


def test_a_number_that_nobody_reads_is_told_in_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "client.toml"
    put(path, f"away = {'9' * 5_000}")
    with pytest.raises(BadSettings, match="has a number with too many digits"):
        read_tables(path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="Windows has no named pipes in folders")
def test_nobody_waits_for_the_other_end_of_a_pipe(tmp_path: Path) -> None:
    path = tmp_path / "client.toml"
    os.mkfifo(path)
    with pytest.raises(BadSettings, match=r"client\.toml is a pipe: put a file in its place$"):
        read_tables(path)


# Killed where the new file is whole and has not taken the old one's place.
KILLED = """
import os, sys
from pathlib import Path
from tcpchat_cli.terminal.client_toml import change_file
os.replace = lambda *_: os.kill(os.getpid(), 9)
change_file(Path(sys.argv[1]), lambda table: table.update(theme="dark"), "theme")
"""


def test_what_a_killed_client_has_left_is_removed_by_the_next_change_once_it_is_old(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "settings"
    folder.mkdir()
    path = folder / "client.toml"
    path.write_text("fold = true\n")
    mine = folder / ".client-20260101.toml"
    mine.write_text("kept = true\n")
    os.utime(mine, (0, 0))
    killed = subprocess.run([sys.executable, "-c", KILLED, str(path)], check=False)
    assert killed.returncode == -9
    (left,) = set(folder.iterdir()) - {path, mine}
    change_file(path, lambda table: table.update(fold=False), "fold")
    assert left.exists()  # another client may be writing it now
    os.utime(left, (0, 0))
    change_file(path, lambda table: table.update(fold=True), "fold")
    assert {*folder.iterdir()} == {path, mine}
    assert path.read_text() == "fold = true\n"
