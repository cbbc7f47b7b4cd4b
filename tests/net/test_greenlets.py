"""A host whose work waits on sockets does one thing after the other, and hides no defect."""

from __future__ import annotations

import gevent
import pytest

from tcpchat_net.greenlets import GreenletHost
from tests.net.peers import LIMIT_SECONDS


def test_what_a_function_raises_is_told_and_the_next_is_done() -> None:
    host = GreenletHost()
    told: list[BaseException | None] = []

    def fail() -> None:
        raise OSError("lost")

    host.run(fail, told.append)
    host.run(lambda: None, told.append)
    with gevent.Timeout(LIMIT_SECONDS):
        while len(told) < 2:
            gevent.sleep()
    assert [str(error) for error in told] == ["lost", "None"]
    host.finish()


def test_a_defect_in_what_is_told_ends_the_program() -> None:
    host = GreenletHost()

    def fail(_error: BaseException | None) -> None:
        raise AssertionError("an impossible state")

    host.run(lambda: None, fail)
    with pytest.raises(AssertionError, match="an impossible state"):
        gevent.sleep(LIMIT_SECONDS)
