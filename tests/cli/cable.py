"""A cable to a server that a test can pull out while it waits for a terminal."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from queue import SimpleQueue
from typing import Any, NamedTuple

import gevent
from gevent.event import Event

from tests.cli.terminal import LIMIT_SECONDS
from tests.net.proxy import Cable


class Plug(NamedTuple):
    """The end of a cable: where to connect to, and what can be done to it, which then is done."""

    address: str
    pull: Callable[[], object]
    put_back: Callable[[], object]
    lead_to: Callable[[str], object]  # another server, for connections from now on


def host_and_port(address: str) -> tuple[str, int]:
    """Both parts of an address."""
    host, _, port = address.rpartition(":")
    return host, int(port)


@contextmanager
def cable_to(address: str) -> Iterator[Plug]:
    """A cable in a thread of its own, since who looks at a terminal waits for it."""
    ready: SimpleQueue[tuple[Plug, Callable[[], object]]] = SimpleQueue()
    done: SimpleQueue[None] = SimpleQueue()

    def run() -> None:
        hub = gevent.get_hub()  # each thread has one
        pulled, put_back, ended = (hub.loop.async_() for _ in range(3))

        def asked(watcher: Any, act: Callable[[], None]) -> Callable[[], None]:
            """What has this thread act, and waits until it has: what is said next is later."""

            def ask() -> None:
                watcher.send()
                done.get(timeout=LIMIT_SECONDS)

            def carry_out() -> None:
                act()
                done.put(None)

            watcher.start(carry_out)
            return ask

        end = Event()
        with Cable(host_and_port(address)) as cable:

            def pull() -> None:
                cable.pull_out()
                cable.cut()

            def lead_to(other: str) -> None:
                cable.server = host_and_port(other)

            ended.start(end.set)
            near = "{}:{}".format(*cable.address)
            plug = Plug(near, asked(pulled, pull), asked(put_back, cable.plug_in), lead_to)
            ready.put((plug, ended.send))
            end.wait()
        for watcher in (pulled, put_back, ended):
            watcher.close()
        hub.destroy()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    plug, unplug_for_good = ready.get(timeout=LIMIT_SECONDS)
    try:
        yield plug
    finally:
        unplug_for_good()
        thread.join(LIMIT_SECONDS)
        assert not thread.is_alive()
