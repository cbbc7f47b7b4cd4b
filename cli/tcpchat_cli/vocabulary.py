"""What the server's log tells of: one table of its events, and one of their fields.

Programs match on these names, and docs/operating.md lists them; so a name that is here stays, and
what is logged is here. To log something new, add a line.

Rule 1: No field holds what people say: no message, topic, reason, real name, password or code.

Rule 2: An event has a name that does not change, however what it tells is worded. Sentences for
        people stand in `text`.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, NamedTuple

INFO: Final = logging.INFO
WARNING: Final = logging.WARNING


class Kind(NamedTuple):
    """What an event means, and its fields in their order; one may be left out where it says
    nothing.
    """

    meaning: str
    fields: tuple[str, ...] = ()
    level: int = INFO


EVENTS: Final[Mapping[str, Kind]] = MappingProxyType(
    {
        # The server
        "started": Kind("it serves from now on", ("version", "address", "data", "node")),
        "began-anew": Kind("a node has found its log again, and serves again", ("node",)),
        "metrics": Kind("its metrics are there", ("address",)),
        "stopping": Kind("it was asked to end", ("connections", "workers")),
        "stopped": Kind("all is written, and it ends"),
        "reloaded": Kind("the settings were read again, and hold", ("changed",)),
        "reloading": Kind("… by who looks after workers, and tells them", ("changed",)),
        "certificate-renewed": Kind("new connections are given the new certificate"),
        "serving": Kind("a worker serves", ("worker", "node", "pid")),
        "restarting": Kind("a worker is ended to be started again", ("worker",)),
        "restarted": Kind("all workers were started again", ("workers",)),
        "worker-ended": Kind("a worker is gone, or does not go", ("worker", "text"), WARNING),
        # Connections
        "connected": Kind("somebody is in the chat", ("conn", "nick")),
        "resumed": Kind("a session goes on, on this connection", ("conn", "nick")),
        "lost": Kind(
            "a connection ended; who had it is still in the chat, on another one, or because the"
            " session may be resumed",
            ("conn", "nick", "reason"),
        ),
        "disconnected": Kind(
            "the server ended a connection, and who had it is still in the chat",
            ("conn", "nick", "reason"),
        ),
        "gone": Kind("somebody is in the chat no more", ("conn", "nick", "reason")),
        "throttled": Kind(
            "what somebody said waits because it came too fast, for a second by now; at most once"
            " in 10 s for one connection, and 10 times for all",
            ("conn", "nick", "ms", "left_out"),
        ),
        "caught-up": Kind("… and nothing of it waits any more", ("conn", "nick", "ms", "lines")),
        "overrun": Kind(
            "somebody read too slowly, and was put out for that",
            ("conn", "nick", "backlog_bytes", "stalled_ms"),
        ),
        "refused": Kind(
            "somebody was not let in; at most one in 10 s for each reason",
            ("host", "reason", "text", "left_out"),
            WARNING,
        ),
        # People and rooms
        "renamed": Kind("somebody has another nickname", ("conn", "nick", "to")),
        "joined": Kind("somebody came into a room", ("conn", "nick", "room")),
        "left": Kind("somebody went out of a room", ("conn", "nick", "room")),
        "expelled": Kind("somebody was put out of a room, or all", ("conn", "nick", "room", "by")),
        "restricted": Kind(
            "somebody was muted, or banned: who was there is out then",
            ("conn", "nick", "room", "what", "by"),
        ),
        "lifted": Kind("… and is no more", ("conn", "nick", "room", "what", "by")),
        "role": Kind("somebody has another role", ("conn", "nick", "room", "role", "by")),
        "mode": Kind("how one talks in a room has changed", ("conn", "nick", "room", "mode")),
        "redacted": Kind("a message was taken back", ("conn", "nick", "room", "seq")),
        "invited": Kind("somebody was invited", ("conn", "nick", "room", "by")),
        "account": Kind("an account was made, changed or ended", ("nick", "what")),
        "device": Kind("a device of an account was added", ("conn", "nick", "number")),
        # The loop, in which everybody is served
        "held": Kind(
            "a turn of it takes longer than 250 ms, and nobody is served; at most one in 10 s",
            ("ms", "stack", "left_out"),
            WARNING,
        ),
        "released": Kind("that turn is over", ("ms",), WARNING),
        "suspended": Kind(
            "the process did not run: it was stopped, or the machine had no time for it",
            ("ms", "left_out"),
            WARNING,
        ),
        # What is kept
        "snapshot": Kind("a snapshot was written, so that the next start is quick", ("seq", "ms")),
        "forgotten": Kind("`--keep`: what was said before is forgotten", ("before",)),
        # What is wrong outside
        "exhausted": Kind(
            "descriptors or memory have run out; at most one in 10 s for each",
            ("what", "text", "left_out"),
            WARNING,
        ),
        "warning": Kind("something is not as it should be", ("about", "text"), WARNING),
        "log-cut": Kind(
            "nobody read this log, and so many lines are not here", ("left_out",), WARNING
        ),
        "disk-full": Kind("nothing is taken in until there is room", (), WARNING),
        "disk-has-room": Kind("there is, and what waited is taken in", (), WARNING),
    }
)

FIELDS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "about": "what it is about, in a word",
        "address": "where it listens",
        "backlog_bytes": "how much it was sent and had not taken",
        "before": "that time",
        "by": "the nickname of who has done it",
        "changed": "names of settings with the old and the new value; `read anew` is what their"
        " files say",
        "conn": "the connection: which start of the server, and which connection since",
        "connections": "how many there are",
        "data": "where what is said is kept",
        "host": "the address that it came from",
        "left_out": "how many of the same were not logged since the last",
        "lines": "how many lines that was worth, of those that `--flood-rate` gives in a second",
        "mode": "how one talks there now",
        "ms": "how long it took, or takes by now, in milliseconds",
        "nick": "whom it is about",
        "node": "the number of the node; 0 without `--log`",
        "number": "of the device, in its account",
        "pid": "the worker's process",
        "reason": "why: in words that do not change",
        "role": "what somebody may do there now",
        "room": "the room; left out where it is about all of the server",
        "seq": "the number of an entry in the log of what is said",
        "stack": "what holds it: files, lines and functions, the innermost first",
        "stalled_ms": "for how long it had taken nothing of that",
        "text": "a sentence for people; its words may change",
        "to": "the new nickname",
        "version": "of tcpchat",
        "what": "what kind of it",
        "worker": "which worker it is about",
        "workers": "how many there are",
    }
)
