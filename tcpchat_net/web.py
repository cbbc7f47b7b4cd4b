"""The page that browsers get: its files are read once, at the start, and given to the core."""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from tcpchat_core.dialects.http import File, Site

PAGE: Final = Path(__file__).parent / "page"

# What may be in a page. Anything else that lies in its folder is not for browsers.
_CONTENT_TYPES: Final = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".png": "image/png",
    ".svg": "image/svg+xml",
}

# So many hexadecimal digits of SHA-256 name a content: 64 bits are enough among a page's versions.
_ETAG_DIGITS: Final = 16


def load_site(hosts: Iterable[str] = (), *, is_encrypted: bool, folder: Path = PAGE) -> Site:
    """What browsers get: the files of a folder, `index.html` as `/`.

    `hosts` are the names of the server, beside `localhost` and its addresses. Where everybody
    speaks TLS (`is_encrypted`), a page of this server has come by `https`; elsewhere a proxy may
    have spoken it. Raises OSError.
    """
    files = {"/": _load(folder / "index.html")}  # without which there is no page
    for path in sorted(folder.iterdir()):
        if path.suffix in _CONTENT_TYPES and path.name != "index.html":
            files[f"/{path.name}"] = _load(path)
    schemes = ("https",) if is_encrypted else ("http", "https")
    return Site(files, frozenset(host.lower() for host in hosts), schemes)


def _load(path: Path) -> File:
    data = path.read_bytes()
    etag = hashlib.sha256(data).hexdigest()[:_ETAG_DIGITS]
    gzipped = gzip.compress(data, mtime=0)
    return File(
        _CONTENT_TYPES[path.suffix], etag, data, gzipped if len(gzipped) < len(data) else b""
    )
