"""What all tests share: how properties are tried, and what is not taken from whoever starts them.

A verdict depends on the commit alone: not on what an earlier run left behind, not on the shell that
the tests are started from, and not on how busy the machine is.
"""

from __future__ import annotations

import atexit
import os
import shutil
import signal
import tempfile
import time
from itertools import count

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.internal.conjecture import providers
from hypothesis.internal.constants_ast import Constants

# ── Properties ───────────────────────────────────────────────────────────────────────────────────

# No deadline: what a busy machine does to one example says nothing about the code. No database: an
# example that is kept in `.hypothesis` would be tried in this clone, and in no other. The whole of
# tests/core is to stay under a minute on two cores, which these numbers of examples allow.
settings.register_profile(
    "tcpchat",
    deadline=None,
    database=None,
    max_examples=100,
    stateful_step_count=40,
    suppress_health_check=[HealthCheck.too_slow],
    print_blob=True,
)
# Hypothesis also tries the constants that stand in whatever modules are loaded: other ones when a
# file is run alone, and when a number is changed anywhere. There is no setting for it.
providers._get_local_constants = Constants
# The same examples in each run, so that what is red in CI is red for whoever repeats it.
settings.register_profile("ci", settings.get_profile("tcpchat"), derandomize=True)
# For code that is broken on purpose: the first failure is enough and is not made small. It is the
# same in each run, so that whether it is seen depends on nothing but the code.
settings.register_profile(
    "broken",
    settings.get_profile("tcpchat"),
    max_examples=200,
    phases=[Phase.generate],
    derandomize=True,
    report_multiple_bugs=False,
    print_blob=False,
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "tcpchat"))

# ── The shell that the tests are started from ────────────────────────────────────────────────────

# What a shell runs in its background ignores Ctrl-C, and so does all that this starts. The programs
# that are tested have to hear it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# How wide a terminal is, whether there are colours, settings of tcpchat, builds to compare with.
for name in list(os.environ):
    if name in {"COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR"} or name.startswith("TCPCHAT_"):
        del os.environ[name]

# Names are looked up that do not exist. Where no name server answers, that ends soon all the same.
os.environ |= {"RES_OPTIONS": "timeout:1 attempts:1", "LOCALDOMAIN": ""}

# What a server keeps is not kept where whoever runs the tests has theirs; each test has its own.
_folders = tempfile.mkdtemp(prefix="tcpchat-tests-")
_numbers = count()
atexit.register(shutil.rmtree, _folders, ignore_errors=True)


@pytest.fixture(autouse=True)
def own_data(monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder for what the servers of a test keep; it is made when one keeps something."""
    monkeypatch.setenv("XDG_DATA_HOME", os.path.join(_folders, str(next(_numbers))))


# Days begin at the same time everywhere.
os.environ["TZ"] = "UTC"
time.tzset()
