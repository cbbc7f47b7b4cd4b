"""ChatState against the naive model."""

from __future__ import annotations

from hypothesis import settings

from tests.core.state_machine import SmallStateMachine, StateMachine

TestStateIsTheModel = StateMachine.TestCase
TestStateIsTheModel.settings = settings(max_examples=60)

TestStateWithSmallLimitsIsTheModel = SmallStateMachine.TestCase
TestStateWithSmallLimitsIsTheModel.settings = settings(max_examples=60)
