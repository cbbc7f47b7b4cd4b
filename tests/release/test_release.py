"""A release is made of a tree: all of its files, to the same bytes each time; and where something
is missing, that is said in a sentence.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path
from typing import Final

import pytest

from tests.cli.released import DATA

ROOT: Final = Path(__file__).parents[2]

# A version that there is not: whatever the tree is at, it is not released.
VERSION: Final = "99.0.0"
DAY: Final = "2099-12-31"

# For a network that is slow, too.
LIMIT_SECONDS: Final = 280


class Tree:
    """A clone of the tree that is ready for a release."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        files = shutil.ignore_patterns(".*", "__pycache__", "dist", "*.egg-info")
        shutil.copytree(ROOT, folder, ignore=files)
        shutil.copy(ROOT / ".gitignore", folder)
        (folder / "tcpchat_core/version.py").write_text(
            f'VERSION = "{VERSION}"\nRELEASED = "{DAY}"\n'
        )
        changes = folder / "CHANGELOG.md"
        head, rest = changes.read_text().split("## [Unreleased]\n", 1)
        changes.write_text(f"{head}## [Unreleased]\n\n## [{VERSION}] – {DAY}\n{rest}")
        newest = max(DATA.glob("[0-9]*.tar.gz"))
        shutil.copy(newest, folder / f"tests/data/{VERSION}.tar.gz")
        self.git("init", "-q")
        self.commit()

    def git(self, *arguments: str) -> None:
        who = ("-c", "user.name=ada", "-c", "user.email=ada@example.org")
        subprocess.run(["git", *who, *arguments], cwd=self.folder, check=True)

    def commit(self) -> None:
        self.git("add", "-A")
        self.git("commit", "-q", "-m", "as it is")

    def release(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [self.folder / "packaging/release", *arguments],
            capture_output=True,
            text=True,
            timeout=LIMIT_SECONDS,
            check=False,
            env=os.environ | {"PYTHON": sys.executable},
        )

    def refusal(self, *arguments: str) -> str:
        """The sentence why none is made."""
        done = self.release(*arguments)
        assert done.returncode == 1, done.stdout
        assert done.stderr.startswith("release: ")
        assert done.stderr.count("\n") == 1
        return done.stderr.removeprefix("release: ").strip()


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    return Tree(tmp_path / "tree")


def test_a_release_has_all_its_files_and_is_installed_and_tried(tree: Tree, tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = tree.release("--out", str(out))
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"tcpchat-server {VERSION}\n" in done.stdout
    assert f"git tag -s v{VERSION}" in done.stdout
    wheel, sdist = f"tcpchat-{VERSION}-py3-none-any.whl", f"tcpchat-{VERSION}.tar.gz"
    bill = f"tcpchat-{VERSION}.cdx.json"
    assert {path.name for path in out.iterdir()} == {wheel, sdist, bill, "SHA256SUMS"}
    for line in (out / "SHA256SUMS").read_text().splitlines():
        digest, name = line.split()
        assert hashlib.sha256((out / name).read_bytes()).hexdigest() == digest
    with zipfile.ZipFile(out / wheel) as packed:
        assert {name.split("/")[0] for name in packed.namelist()} == {
            *("tcpchat_core", "tcpchat_net", "tcpchat_cli"),
            *(f"tcpchat-{VERSION}.data", f"tcpchat-{VERSION}.dist-info"),
        }
    with tarfile.open(out / sdist) as tar:
        assert f"tcpchat-{VERSION}/packaging/release" in tar.getnames()
    materials = json.loads((out / bill).read_text())
    assert materials["bomFormat"] == "CycloneDX"
    components = {each["name"]: each["version"] for each in materials["components"]}
    assert {"gevent", "msgspec", "hiredis", "prometheus_client"} <= components.keys()
    whose = materials["metadata"]["component"]
    assert (whose["name"], whose["version"]) == ("tcpchat", VERSION)
    assert "pip" not in components


def test_what_a_release_lacks_is_said_in_a_sentence(tree: Tree, tmp_path: Path) -> None:
    (tree.folder / "new.py").touch()
    assert tree.refusal() == "the tree is not clean: commit what is to be in it"
    (tree.folder / "new.py").unlink()

    changes = tree.folder / "CHANGELOG.md"
    text = changes.read_text()
    changes.write_text(text.replace(f"## [{VERSION}] – {DAY}\n", ""))
    tree.commit()
    section = f"CHANGELOG.md has no section '## [{VERSION}] – {DAY}'"
    assert tree.refusal().startswith(section)
    changes.write_text(text)
    tree.commit()

    tree.git("tag", f"v{VERSION}")
    assert tree.refusal().startswith(f"there is a tag v{VERSION} already")
    tree.git("tag", "-d", f"v{VERSION}")

    (tmp_path / "out").mkdir()
    (tmp_path / "out/old.whl").touch()
    assert "already: give another folder with --out" in tree.refusal("--out", str(tmp_path / "out"))

    folder = tree.folder / f"tests/data/{VERSION}.tar.gz"
    folder.unlink()
    tree.commit()
    assert "now there is, commit it" in tree.refusal()
    with tarfile.open(folder) as tar:
        assert "told.json" in tar.getnames()


def test_a_wrong_command_line_is_refused_and_help_is_given(tree: Tree) -> None:
    for arguments in (("--ou",), ("--out",), ("--out", "")):
        done = tree.release(*arguments)
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr.endswith("(try --help)\n")
        assert done.stderr.count("\n") == 1
    assert tree.release("--help").stdout.startswith("usage: packaging/release")
