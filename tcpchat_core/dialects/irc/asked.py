"""How an IRC client asked for something, where the answer has to say it again.

One question of the core has several spellings in IRC, and each is answered by numerics of its own:
NAMES, WHO and MODE all ask who is in a room. And an answer names its target as the client wrote
it, which may be none that the core would know.
"""

from __future__ import annotations

from typing import NamedTuple


class How(NamedTuple):
    """The command, in upper case, and its target as the client wrote it.

    `fields` and `token` are those of an extended WHO (`WHO #hall %tcn,42`), in the order in which
    they were asked for. `label` and `batch` are those of `labels.py`.
    """

    command: str
    target: str = ""
    fields: str = ""
    token: str = ""
    label: str = ""
    batch: str = ""
