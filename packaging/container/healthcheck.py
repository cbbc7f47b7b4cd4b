"""Whether the server in this container is alive, for HEALTHCHECK: exit 0 when it is, otherwise 1.

The base has no curl. What is asked is the port of TCPCHAT_METRICS, which answers alike with TLS and
without, behind a proxy, and while a long log is read.
"""

from __future__ import annotations

import os
import sys
from typing import Final
from urllib.error import HTTPError, URLError
from urllib.request import urlopen

# Less than HEALTHCHECK waits, so that it is told why.
_TIMEOUT_S: Final = 4

# Of every address that a container has, and of none that is given, one by which it reaches itself.
_HERE: Final = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "[::]": "[::1]"}  # noqa: S104 # to ask it


def main() -> int:
    """Ask once, and tell what was answered; the exit status."""
    host, _, port = os.environ.get("TCPCHAT_METRICS", "").rpartition(":")
    if not port:
        print("TCPCHAT_METRICS is empty: nobody can say how the server is", file=sys.stderr)
        return 1
    url = f"http://{_HERE.get(host, host)}:{port}/healthz"
    try:
        with urlopen(url, timeout=_TIMEOUT_S) as answer:
            print(answer.read().decode(), end="")
            return 0
    except HTTPError as error:
        print(error.read().decode(), end="", file=sys.stderr)
    except (URLError, OSError) as error:
        print(f"{url}: {getattr(error, 'reason', error)}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
