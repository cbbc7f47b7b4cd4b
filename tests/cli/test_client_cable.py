"""tcpchat-client on a real terminal, whose cable is pulled out during a conversation."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from queue import SimpleQueue
from typing import NamedTuple

import gevent
from gevent.event import Event

from tests.cli.conftest import Server
from tests.cli.terminal import CLIENT, LIMIT_SECONDS, Terminal
from tests.net.proxy import Cable

SAID = re.compile(r"^\d\d:\d\d (\w+: .*)$")


class Plug(NamedTuple):
    """The end of a cable: where to connect to, and what can be done to it."""

    address: str
    pull: Callable[[], object]
    put_back: Callable[[], object]


@contextmanager
def cable_to(address: str) -> Iterator[Plug]:
    """A cable in a thread of its own, since who looks at a terminal waits for it."""
    ready: SimpleQueue[tuple[Plug, Callable[[], object]]] = SimpleQueue()
    host, _, port = address.rpartition(":")

    def run() -> None:
        hub = gevent.get_hub()  # each thread has one
        pulled, put_back, ended = (hub.loop.async_() for _ in range(3))
        end = Event()
        with Cable((host, int(port))) as cable:

            def pull() -> None:
                cable.pull_out()
                cable.cut()

            pulled.start(pull)
            put_back.start(cable.plug_in)
            ended.start(end.set)
            near = "{}:{}".format(*cable.address)
            ready.put((Plug(near, pulled.send, put_back.send), ended.send))
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


def join(address: str, nick: str) -> Terminal:
    """A client in the lobby, with its prompt on the screen."""
    opened = Terminal([CLIENT, address, "--nick", nick, "--room", "lobby"], rows=40)
    opened.wait_until(lambda: opened.prompt.startswith("lobby>"), f"the prompt of {nick}")
    return opened


def said(terminal: Terminal) -> list[str]:
    """What was said, as the screen shows it."""
    return [found[1] for row in terminal.scrollback if (found := SAID.match(row))]


def test_a_person_whose_cable_is_pulled_sees_no_hole_no_duplicate_and_nobody_quit(
    server: Server,
) -> None:
    with (
        cable_to(server.address) as plug,
        join(server.address, "bob") as bob,
        join(plug.address, "ada") as ada,
    ):
        bob.wait_for("ada joined lobby")
        spoken = ["bob: are you there?", "ada: I am"]
        bob.enter("are you there?")
        ada.wait_for("bob: are you there")
        ada.enter("I am")
        bob.wait_for("ada: I am")
        plug.pull()
        ada.wait_for("reconnecting")
        ada.enter("did you hear this?")
        for number in range(10):
            bob.enter(f"line {number}")
            bob.wait_for(f"bob: line {number}$")
            spoken.append(f"bob: line {number}")
        plug.put_back()
        bob.wait_for("ada: did you hear this")
        ada.wait_for("bob: line 9$")
        spoken.append("ada: did you hear this?")
        bob.enter("welcome back")
        ada.wait_for("bob: welcome back")
        bob.wait_for("^.{6}bob: welcome back$")
        spoken.append("bob: welcome back")
        assert said(bob) == said(ada) == spoken
        for terminal in (ada, bob):
            told = "\n".join(terminal.scrollback)
            assert "quit" not in told
            assert "left" not in told
            assert told.count("joined") <= 1
