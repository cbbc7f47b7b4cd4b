"""Why something failed, in the operating system's words."""

from __future__ import annotations

import os


def reason(error: OSError) -> str:
    """What is said behind the colon of a sentence that tells of it."""
    text = error.strerror or (os.strerror(error.errno) if error.errno else str(error))
    return text.lower()
