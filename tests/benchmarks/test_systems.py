from __future__ import annotations

import resource
from pathlib import Path

import pytest

from benchmarks.processes import MAX_DESCRIPTORS, Failed, compile_c, descriptors_lacking
from benchmarks.systems import PLAIN, SYSTEMS, System


def test_a_system_that_is_not_installed_is_left_out_with_a_sentence() -> None:
    absent = System("absent", "", PLAIN, lambda _: [], "no-such-program", "apt-get install it")
    assert absent.unavailable() == (
        "absent is left out: no-such-program is not installed (apt-get install it)"
    )


def test_another_build_is_measured_only_when_it_is_named() -> None:
    assert SYSTEMS["tcpchat-before"].unavailable() == (
        "tcpchat-before is left out: there is none"
        " (TCPCHAT_BEFORE=/path/to/its/tcpchat-server says which it is)"
    )


def test_the_yardstick_needs_nothing_installed() -> None:
    assert SYSTEMS["c-loop"].unavailable() is None


def test_more_clients_than_descriptors_is_a_sentence() -> None:
    sentence = descriptors_lacking(MAX_DESCRIPTORS)
    assert sentence is not None
    assert sentence.startswith("20,000 clients need 20,064 descriptors, and ")


def test_the_soft_limit_of_descriptors_is_raised_as_needed() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (100, hard))
        assert descriptors_lacking(200) is None
        assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] >= 264
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_server_that_does_not_start_is_a_sentence(tmp_path: Path) -> None:
    broken = System("broken", "", PLAIN, lambda _: ["/bin/sh", "-c", "echo no luck >&2; exit 3"])
    with pytest.raises(Failed, match="sh did not start: no luck"), broken.serving(tmp_path, 1):
        pass


def test_c_that_does_not_compile_is_a_sentence(tmp_path: Path) -> None:
    source = tmp_path / "broken.c"
    source.write_text("int main(void) { return zero; }")
    with pytest.raises(Failed, match=r"cc cannot compile broken\.c"):
        compile_c(source, tmp_path)
