"""ServerProtocol through bytes, with a log that commits at once and one that commits later."""

from __future__ import annotations

from hypothesis import settings

from tests.core.protocol_machine import DelayedLogMachine, ProtocolMachine
from tests.core.session_machine import SessionMachine

TestServerIsTheModel = ProtocolMachine.TestCase
TestServerIsTheModel.settings = settings(max_examples=60)

TestALogThatCommitsLaterChangesNothing = DelayedLogMachine.TestCase
TestALogThatCommitsLaterChangesNothing.settings = settings(max_examples=60)

TestNothingIsLostOrShownTwice = SessionMachine.TestCase
TestNothingIsLostOrShownTwice.settings = settings(max_examples=60)
