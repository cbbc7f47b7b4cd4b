"""The site that is made of the pages, built once for all tests of a run."""

from __future__ import annotations

import fcntl
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.pages import ROOT, code_blocks, read

# As CONTRIBUTING.md gives it; there, the site is put into `build/site`.
[LINE] = [line for line in code_blocks(read("CONTRIBUTING.md"), "sh") if "sphinx-build" in line]
COMMAND = LINE.split()[1:-1]


def build(target: Path) -> None:
    """Build the site, and fail with what is wrong with a page."""
    sphinx = [str(Path(sys.executable).with_name("sphinx-build"))]
    doctrees = ["-d", str(target.with_name(f"{target.name}-doctrees"))]
    done = subprocess.run(
        [*sphinx, *COMMAND, str(target), *doctrees],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def built(folders: pytest.TempPathFactory) -> Path:
    """The folder of the site. Whichever worker comes first builds it for all of them."""
    # What all workers of a run have in common; one that is alone has none above its own.
    own = folders.getbasetemp()
    shared = own.parent if own.name.startswith("popen-") else own
    target = shared / "site"
    with (shared / "site.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (target / "index.html").exists():
            build(target)
    return target
