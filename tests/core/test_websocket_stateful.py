"""What browsers are told against what programs are, with a log that commits at once, or later."""

from __future__ import annotations

from hypothesis import settings

from tests.core.websocket_machine import DelayedWebSocketMachine, WebSocketMachine

TestABrowserIsToldWhatAProgramIs = WebSocketMachine.TestCase
TestABrowserIsToldWhatAProgramIs.settings = settings(max_examples=60)

TestSoItIsWithALogThatCommitsLater = DelayedWebSocketMachine.TestCase
TestSoItIsWithALogThatCommitsLater.settings = settings(max_examples=60)
