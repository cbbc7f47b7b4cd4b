"""docs/guarantees.md: the tests that it names exist, its numbers are the code's, and its promises
are those of the README.
"""

from __future__ import annotations

import ast
import importlib
import re
from pathlib import Path
from typing import Any

import pytest

from tests.docs.pages import ROOT, read, sections, table

TEXT = read("docs/guarantees.md")
PAGE = sections(TEXT, 2)

# "1. One order" and so on.
PROMISES = [title for title in PAGE if re.match(r"\d\. ", title)]

NAMED = sorted(set(re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", TEXT)))


def _tests_in(path: Path) -> set[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


@pytest.mark.parametrize(
    ("path", "test"), NAMED, ids=["::".join(filter(None, named)) for named in NAMED]
)
def test_every_test_that_is_named_exists(path: str, test: str) -> None:
    assert (ROOT / path).is_file(), f"docs/guarantees.md: there is no {path}"
    if test:
        assert test in _tests_in(ROOT / path), f"docs/guarantees.md: {path} has no {test}"


@pytest.mark.parametrize("promise", PROMISES)
def test_each_promise_has_conditions_and_tests(promise: str) -> None:
    conditions, _, tests = PAGE[promise].partition("Held by:\n")
    assert "\nConditions:\n\n- " in conditions
    assert "- `tests/" in tests


def test_the_readme_names_the_same_promises() -> None:
    assert re.findall(r"^(\d\. )\*\*(.+?)\.\*\*", read("README.md"), flags=re.MULTILINE) == [
        (promise[:3], promise[3:]) for promise in PROMISES
    ]


def test_the_checkers_that_are_named_are_those_of_the_simulator() -> None:
    named = re.findall(r"`(\w+)`", " ".join(re.findall(r"\(checkers? ([^)]*)\)", TEXT)))
    checkers = {path.stem for path in (ROOT / "tests/sim/checkers").glob("[a-z]*.py")}
    assert set(named) == checkers


BOUNDS = table(PAGE["Bounds"])


@pytest.mark.parametrize("row", BOUNDS, ids=[row[2].strip("`") for row in BOUNDS])
def test_each_bound_is_the_codes(row: list[str]) -> None:
    _, shown, name = row
    assert shown == f"{_value(name.strip('`')):,}", f"docs/guarantees.md, Bounds: {name}"


def _value(name: str) -> int:
    """The value of a dotted name; of a field of limits, its default."""
    owner, _, attribute = name.rpartition(".")
    try:
        holder: Any = importlib.import_module(owner)
    except ModuleNotFoundError:
        module, _, limits = owner.rpartition(".")
        holder = getattr(importlib.import_module(module), limits)()
    value = getattr(holder, attribute)
    assert isinstance(value, int)
    return value


def test_every_limit_is_a_row_of_the_bounds() -> None:
    from tcpchat_core import ServerLimits, StateLimits

    rows = {row[2].strip("`") for row in BOUNDS}
    for limits in (ServerLimits, StateLimits):
        for field in limits.__struct_fields__:
            assert f"tcpchat_core.{limits.__name__}.{field}" in rows
