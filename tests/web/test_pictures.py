"""docs/images/page.py and irc.py take the pictures of the page again, and README.md shows one."""

from __future__ import annotations

import struct
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.pages import ROOT, read
from tests.irc.clients import WEECHAT, has_to_be_here

PICTURES = ROOT / "docs" / "images"
MAX_BYTES = 150_000


def _size(picture: Path) -> tuple[int, int]:
    """The width and height that a PNG says it has."""
    data = picture.read_bytes()
    assert data.startswith(b"\x89PNG\r\n\x1a\n")
    assert len(data) <= MAX_BYTES
    width, height = struct.unpack(">II", data[16:24])
    return width, height


@pytest.mark.usefixtures("browser")  # it says so where there is none
def test_the_pictures_can_be_taken_again(tmp_path: Path) -> None:
    command = [sys.executable, str(PICTURES / "page.py"), str(tmp_path)]
    subprocess.run(command, check=True, timeout=240)
    for name, size in (("page.png", (1200, 640)), ("page-phone.png", (390, 780))):
        assert _size(tmp_path / name) == _size(PICTURES / name) == size
    assert "(docs/images/page.png)" in read("README.md")
    assert "(images/page-phone.png)" in read("docs/web.md")


@pytest.mark.usefixtures("browser")
def test_the_picture_of_one_conversation_in_three_programs_can_be_taken_again(
    tmp_path: Path,
) -> None:
    has_to_be_here(WEECHAT)
    command = [sys.executable, str(PICTURES / "irc.py"), str(tmp_path)]
    subprocess.run(command, check=True, timeout=240)
    assert _size(tmp_path / "irc.png") == _size(PICTURES / "irc.png")
    assert "(images/irc.png)" in read("docs/irc.md")
