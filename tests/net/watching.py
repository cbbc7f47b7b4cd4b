"""What is told of a server by HTTP, as a test reads it: pages, and the numbers of Prometheus."""

from __future__ import annotations

import http.client
from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import urlsplit

from prometheus_client.parser import text_string_to_metric_families

from tests.net.serving import LIMIT_S


class Page(NamedTuple):
    """What was answered."""

    status: int
    text: str
    content_type: str


def get(address: tuple[str, int] | str, path: str = "", method: str = "GET") -> Page:
    """Ask for a page, of a host and a port or by a URL whose path may be another."""
    if isinstance(address, str):
        url = urlsplit(address)
        assert url.hostname is not None
        assert url.port is not None
        address, path = (url.hostname, url.port), path or url.path
    connection = http.client.HTTPConnection(*address, timeout=LIMIT_S)
    try:
        connection.request(method, path)
        response = connection.getresponse()
        text = response.read().decode()
        return Page(response.status, text, response.headers["Content-Type"])
    finally:
        connection.close()


def numbers(text: str) -> Mapping[str, float]:
    """What stands in a page of metrics, as `name` or `name{label}`; the parser is Prometheus's."""
    return {
        sample.name + "".join(f"{{{value}}}" for value in sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
