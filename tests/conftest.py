"""Settings that all tests share."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

# No deadline: what a busy machine does to one example says nothing about the code. The whole
# of tests/core is to stay under a minute on two cores, which these numbers of examples allow.
settings.register_profile(
    "tcpchat",
    deadline=None,
    max_examples=100,
    stateful_step_count=40,
    suppress_health_check=[HealthCheck.too_slow],
    print_blob=True,
)
settings.load_profile("tcpchat")
