"""docs/client.md has all that the client has, as it is."""

from __future__ import annotations

import json
import re

from tcpchat_cli.terminal import settings

from tests.docs.pages import ROOT

PAGE = (ROOT / "docs" / "client.md").read_text(encoding="utf-8")


def test_the_table_of_settings_is_that_of_the_client() -> None:
    rows = re.findall(r"^\| `(\w+)`(?:, or `(\w+)`)? \| `(.*?)` \| (.*?) \|$", PAGE, re.MULTILINE)
    other_names = {name: other for other, name in settings.OTHER_NAMES.items()}
    assert rows == [
        (
            name,
            other_names.get(name, ""),
            json.dumps(settings.default(name)),
            settings.description(name),
        )
        for name in settings.FIELDS
    ]
