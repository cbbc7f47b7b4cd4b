"""What follows when something is said: who is called, who is told so, and what is run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tcpchat_cli.terminal.called import Called
from tcpchat_cli.terminal.notify import VIEW_SECONDS
from tcpchat_cli.terminal.numbering import Numbering
from tcpchat_cli.terminal.render import Renderer
from tcpchat_cli.terminal.settings import BadSettings, Settings

from tcpchat_core import Notice
from tcpchat_core.notices import Entered, Redacted, Resumed, RoomState, Said, Told, Welcome
from tests.cli.loops import in_loop

NOON = 1_800_000_000_000


def said(text: str, seq: int = 1, nick: str = "bob") -> Said:
    return Said("lobby", nick, text, seq, NOON + seq)


def resumed(seq: int) -> Resumed:
    return Resumed("ada", (RoomState("lobby", ("ada", "bob"), 2, seq),), "e1")


class Person:
    """One who is called, and what reaches the terminal; each notice comes a minute later."""

    def __init__(self, **changed: Any) -> None:
        self.sent: list[str] = []
        self.told: list[str] = []
        settings = Settings(**{"notify": "bell", **changed})
        self.called = Called(
            settings,
            {},
            ignores=lambda nick: nick == "troll",
            numbering=Numbering(),
            send=self.sent.append,
            tell=self.told.append,
        )
        self._now = 0.0

    def hear(self, *notices: Notice, looks: bool = False, is_here: bool = True) -> None:
        """All of them at once."""
        for notice in notices:
            self._now += 60
            self.called.told(notice, "ada", is_here=is_here, looks=looks, now=self._now)
        self.called.settled()

    @property
    def listed(self) -> list[str]:
        return [line.body[0][1] for line in self.called.mentions.lines(Renderer())[1:]]


def test_one_is_called_by_nick_by_highlight_and_by_a_direct_message() -> None:
    ada = Person(highlight=("deploy",))
    ada.hear(said("Ada?", 1), said("DEPLOY!", 2), Told("eve", "psst", 1, NOON + 3), said("tea", 4))
    assert ada.sent == ["\a"] * 3
    assert ada.listed == ["Ada?", "DEPLOY!", "psst"]


def test_what_one_says_oneself_or_is_taken_back_calls_nobody() -> None:
    ada = Person()
    ada.hear(
        said("ada!", 1, nick="Ada"),
        Told("ada", "note", 1, NOON, to="eve"),
        Said("lobby", "bob", "ada", 2, NOON, redacted=True),
    )
    assert (ada.sent, ada.listed) == ([], [])
    ada.hear(said("ada?", 3), Redacted("lobby", 3, "bob", NOON, "bob"))
    assert (ada.sent, ada.listed) == (["\a"], [])


def test_who_looks_there_is_not_told_but_it_is_listed() -> None:
    ada = Person()
    ada.hear(said("ada?", 1), looks=True)
    assert (ada.sent, ada.listed) == ([], ["ada?"])
    ada.hear(said("ada, elsewhere", 2), looks=True, is_here=False)
    assert (ada.sent, ada.listed) == (["\a"], ["ada?", "ada, elsewhere"])


def test_what_is_missed_where_one_is_counts_until_one_looks() -> None:
    ada = Person()
    ada.hear(said("tea", 1), said("ada?", 2), said("mine", 3, nick="ada"))
    ada.hear(said("elsewhere", 4), is_here=False)
    ada.hear(said("seen", 5), looks=True)
    assert ada.called.missed.summary() == "2 messages, 1 for you"
    ada.called.seen()
    assert not ada.called.missed


def test_what_was_said_before_one_came_is_listed_and_does_not_ring() -> None:
    ada = Person()
    ada.hear(
        Entered(
            "lobby", ("ada",), 1, 2, NOON, history=(said("ada?", 1), said("ada!", 2, nick="troll"))
        )
    )
    assert (ada.sent, ada.listed) == ([], ["ada?"])
    assert VIEW_SECONDS < 60, "each notice here comes later than that"


class Ran:
    """Hooks that write down that they were run."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "ran"
        hook = ("sh", "-c", f'echo "$TCPCHAT_HOOK $1" >> {self._file}', "sh", "{text}")
        self.hooks = dict.fromkeys(("on_mention", "on_direct", "on_message"), hook)

    def after(self, ada: Person, *batches: list[Notice]) -> set[str]:
        async def hear() -> None:
            for batch in batches:
                ada.hear(*batch)
                await ada.called.hooks_end()
            await ada.called.close()

        in_loop(hear())
        return set(self._file.read_text().splitlines()) if self._file.exists() else set()


def test_programs_are_run_for_what_is_said_now(tmp_path: Path) -> None:
    ran = Ran(tmp_path)
    ada = Person(**ran.hooks)
    entered = Entered("lobby", ("ada",), 1, 2, NOON, history=(said("ada, before", 1),))
    live: list[Notice] = [said("ada?", 2), said("tea", 3), said("mine", 4, nick="ada")]
    again: list[Notice] = [resumed(6), said("ada, missed", 5), Told("eve", "missed", 1, NOON)]
    late: list[Notice] = [said("missed, and late", 6), said("new", 7), Told("eve", "psst", 2, NOON)]
    assert ran.after(ada, [entered], live, again, late) == {
        "on_mention ada?",
        "on_message ada?",
        "on_message tea",
        "on_message new",
        "on_direct psst",
    }
    assert "ada, missed" in ada.listed
    assert not ada.told


def test_a_session_that_begins_anew_has_numbers_of_its_own(tmp_path: Path) -> None:
    ran = Ran(tmp_path)
    ada = Person(**ran.hooks)
    batches: list[list[Notice]] = [[resumed(9)], [Welcome("ada", "e2")], [said("tea", 1)]]
    assert ran.after(ada, *batches) == {"on_message tea"}


def test_settings_that_make_no_sense_change_nothing() -> None:
    settings = Settings(highlight=("deploy",))
    called = Called(
        settings,
        {},
        ignores=lambda _: False,
        numbering=Numbering(),
        send=pytest.fail,
        tell=pytest.fail,
    )
    settings.on_direct, settings.highlight = "notify-send '", ()
    with pytest.raises(BadSettings, match="on_direct cannot be split"):
        called.apply_settings()
    assert called.calls("ada", said("deploy"))
