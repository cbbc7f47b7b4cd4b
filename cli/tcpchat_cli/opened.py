"""A folder that no server uses, opened by a program that does something with it and ends."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Self

from tcpchat_cli import console
from tcpchat_cli.keeping import Here, open_folder
from tcpchat_cli.progress import Report
from tcpchat_cli.settings import duration_ms
from tcpchat_core import ChatState, Entry, Event, Propose
from tcpchat_net.logs.archive import ArchiveKeeper
from tcpchat_net.logs.chores import finish
from tcpchat_net.logs.durable import DurableLog
from tcpchat_net.logs.replayer import InProcess
from tcpchat_net.logs.store import StoreError
from tcpchat_net.logs.upkeep import Upkeep


class OpenFolder:
    """A folder that no server uses, and its upkeep."""

    def __init__(
        self, path: Path, keep: str = "forever", report: Report = lambda _done, _all: None
    ) -> None:
        host = Here()
        self._folder = folder = open_folder(path, is_synced=True)
        self._log = log = DurableLog(folder.store, host, failed=_raise)
        log.open(self._handle)
        archive = ArchiveKeeper(
            folder.archive, host, console.complaining("archive"), is_behind=folder.is_behind
        )
        self._upkeep = Upkeep(
            folder.store,
            log,
            archive,
            host=host,
            aside=host,
            replay=InProcess,
            keep_ms=duration_ms(keep),
            complain=console.complaining("upkeep"),
            failed=_raise,
            progress=report,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self._folder.close()

    def _handle(self, entries: Sequence[Entry]) -> None:
        for entry in entries:
            self._folder.state.handle(entry)

    @property
    def state(self) -> ChatState:
        """What the log has come to."""
        return self._folder.state

    def propose(self, event: Event) -> None:
        """Put something into the log that is nobody's on a connection."""
        self._log.propose([Propose(0, 0, (event,))])

    def back_up(self, target: Path) -> None:
        """Write a copy into an empty folder."""
        finish(self._upkeep.copy(target))

    def compact(self) -> None:
        """Make it as small as it can be."""
        finish(self._upkeep.compact())


def _raise(error: StoreError) -> None:
    raise error
