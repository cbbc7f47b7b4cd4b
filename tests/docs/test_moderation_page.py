"""docs/moderation.md: what is typed there is what there is, and the workshop is what happens."""

from __future__ import annotations

import re

from tcpchat_core import COMMANDS, Rejected
from tcpchat_core.commands import parse_line
from tests.docs.chat_room import play
from tests.docs.pages import code_blocks, read, sections

TEXT = read("docs/moderation.md")
PAGE = sections(TEXT, 2)

# What is not about moderation, nor about accounts.
OF_EVERYBODY = "nick out quit rooms whois away name msg me reply topic history search help"


def test_the_workshop_is_what_happens() -> None:
    [workshop] = code_blocks(PAGE["A workshop"], "text")
    play(workshop)


def test_what_is_typed_can_be_typed() -> None:
    typed = re.findall(r"`(/\w[^`]*)`", TEXT)
    assert typed
    for line in typed:
        if line not in ("/unmod", "/moderated", "/topiclock"):  # named without what follows
            assert not isinstance(parse_line(line), Rejected), f"docs/moderation.md: {line}"


def test_every_command_for_it_is_on_the_page() -> None:
    wanted = {command.names[0] for command in COMMANDS} - set(OF_EVERYBODY.split())
    named = set(re.findall(r"`/(\w+)", TEXT))
    missing = wanted - named
    assert not missing, f"docs/moderation.md: add {', '.join(sorted(missing))}"
