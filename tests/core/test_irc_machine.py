"""Any lines of IRC clients and of a program, against a model of what they are to be shown."""

from __future__ import annotations

from hypothesis import settings

from tests.core.irc_machine import IrcMachine

TestAllAreShownTheSameWhateverTheyTake = IrcMachine.TestCase
TestAllAreShownTheSameWhateverTheyTake.settings = settings(max_examples=80)
